/*
 * Every committed change of an entity that can be seen is an event and an audit row, by whatever path an intent takes; nothing else is. By
 * direct SQL: event_direct_test.c. How events get to the stream, and in which order, is the relay's: relay_test.c.
 */
#include "event_fixture.h"
#include "load.h"

#include <jansson.h>

TestSuite(event, .init = setup, .fini = teardown);

static struct message as(struct message message, const char *actor, const char *trace)
{
	message.actor = actor;
	message.traceparent = trace;
	return message;
}

#define TRACE_2 "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"

/* Of all events since: last digit of the id, first ones of the span that wrote. */
static void expect_traces(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(concat(entity, ' ', substr(headers, 50, 4)), ', ' order by seq) from event"
		" where headers ~ '^traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\\r\\n$'");
}

Test(event, an_intent_says_who_and_which_trace_by_any_path)
{
	create_entity();
	put(&gate, as(intent(2, "merge", ENTITY_1, "'content':{'a':2}"), "ann", TRACE));
	expect_audit("update 1 @2 ann");
	expect_traces("1 b7ad");
	forget();
	put(&gate, as(intent(3, "unset", ENTITY_1, "'content':['a']"), "bob", TRACE_2));
	expect_audit("update 1 @3 bob");
	expect_traces("1 00f0");
	forget();
	struct message batch[] = {as(intent(4, "merge", ENTITY_1, "'content':{'a':4}"), "ann", TRACE),
		as(intent(5, "upsert", ENTITY_2, ""), "bob", TRACE_2),
		as(intent(6, "merge", ENTITY_1, "'content':{'b':6}"), "the last one", TRACE_2)};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "insert 2 @5 bob, update 1 @6 the last one",
		"select string_agg(concat_ws(' ', operation, right(entity_id::text, 1), '@' || position, actor), ', ' order by position) from "
		"leat.audit_log");
	rig_sql_expect(&rig, "2", "select count(*) from event where headers like '%%" TRACE_2 "%%'");
	forget();
	cr_assert_eq(put(&gate, as(intent(8, "merge", ENTITY_3, "'content':{'a':8}"), "who waited", TRACE)), LEAT_OUTCOME_PARKED);
	put(&gate, intent(7, "upsert", ENTITY_3, ""));
	cr_assert_eq(gate_decide_all(&gate, 0, 8), 0);
	expect_audit("insert 3 @7 tests, update 3 @8 who waited");
	expect_traces("3 b7ad");
}

Test(event, intents_without_a_trace_have_none_and_positions_tell_them_apart)
{
	create_entity();
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':2}"));
	expect_events("updated 1 @2 a/");
	expect_audit("update 1 @2 tests");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from event where headers || data::text like '%%traceparent%%'"), 0);
}

Test(event, a_delete_and_a_revival_say_so)
{
	create_entity();
	put(&gate, intent(2, "delete", ENTITY_1, ""));
	put(&gate, intent(3, "upsert", ENTITY_1, "'content':{'c':3}"));
	expect_events("deleted 1 @2 a+b/m, created 1 @3 c/");
	expect_audit("update 1 @2 tests, update 1 @3 tests");
}

Test(event, locks_are_a_change_that_can_be_seen)
{
	create_entity();
	put(&gate, intent(2, "lock", ENTITY_1, "'fields':['a']"));
	put(&gate, intent(3, "lock", ENTITY_1, "'fields':['a']"));
	rig_sql_expect(&rig, "1 [\"a\"]", "select concat_ws(' ', count(*), min(data #>> '{changed,locked_fields}')) from event");
	expect_audit("update 1 @2 tests");
}

Test(event, a_batch_that_merged_one_entity_five_times_is_one_event)
{
	create_entity();
	struct message batch[] = {intent(2, "merge", ENTITY_1, "'content':{'a':2}"), intent(3, "merge", ENTITY_1, "'content':{'c':3}"),
		intent(4, "upsert", ENTITY_1, "'metadata':{'n':4}"), intent(5, "merge", ENTITY_1, "'content':{'c':5}"),
		intent(6, "merge", ENTITY_1, "'content':{'a':6}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	expect_events("updated 1 @6 a+c/n");
	expect_audit("update 1 @6 tests");
}

/* Its beginning and end are told each; what lies between is one change. */
Test(event, in_a_batch_of_everything_an_entity_ends_and_begins_by_events_of_their_own)
{
	create_entity();
	struct message batch[] = {intent(2, "lock", ENTITY_1, "'fields':['a']"), intent(3, "merge", ENTITY_1, "'content':{'a':3}"),
		intent(4, "delete", ENTITY_1, ""), intent(5, "upsert", ENTITY_1, "'content':{'c':5}"),
		intent(6, "lock", ENTITY_1, "'fields':['c']"), intent(7, "merge", ENTITY_1, "'content':{'c':7,'d':7},'respect_locks':true"),
		intent(8, "unset", ENTITY_1, "'content':['c']"), intent(9, "merge", ENTITY_2, "'content':{}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED,
		LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_PARKED);
	expect_events("deleted 1 @4 a+b/m, created 1 @5 c/, updated 1 @8 c+d/");
	expect_audit("update 1 @4 tests, update 1 @5 tests, update 1 @8 tests");
	rig_sql_expect(&rig, "{\"d\": 7} {c}", "select concat_ws(' ', content, locked_fields) from leat.entities");
	rig_sql_expect(&rig, "{\"skipped_fields\": [\"c\"]}", "select detail from leat.activity where position = 7");
}

/* What somebody's own triggers write beside the intent is named too, in a batch as in a single message. */
Test(event, what_triggers_of_others_write_is_named)
{
	create_entity();
	put(&gate, intent(2, "upsert", ENTITY_2, ""));
	rig_sql(&rig,
		"create function public.slug() returns trigger language plpgsql as $$ begin"
		"  new.content := new.content || jsonb_build_object('slug', lower(new.content ->> 'title')); return new; end $$;"
		"create function public.count() returns trigger language plpgsql as $$ begin"
		"  update leat.entities set content = content || jsonb_build_object('children', coalesce((content ->> 'children')::int, 0) + 1)"
		"  where id = '" ENTITY_1 "'; return null; end $$;"
		"create trigger slug before update on leat.entities for each row when (new.id = '" ENTITY_2 "') execute function public.slug();"
		"create trigger count after update on leat.entities for each row when (new.id = '" ENTITY_2 "') execute function public.count()");
	forget();
	struct message batch[] = {
		intent(3, "merge", ENTITY_2, "'content':{'title':'A'}"), intent(4, "merge", ENTITY_2, "'content':{'title':'B'}")};
	PUT_EXPECT(&gate, batch, LEAT_OUTCOME_APPLIED, LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "1 children/, 2 slug+title/",
		"select string_agg(concat(entity, ' ', (select string_agg(f, '+' order by f) from jsonb_array_elements_text(data #> "
		"'{changed,content}') f),"
		" '/'), ', ' order by entity) from event");
}

Test(event, a_late_write_has_its_own_position_in_the_audit_row)
{
	create_entity();
	put(&gate, as(intent(9, "merge", ENTITY_1, "'content':{'a':9}"), "nine", NULL));
	forget();
	put(&gate, as(intent(5, "merge", ENTITY_1, "'content':{'a':5,'c':5}"), "five", TRACE));
	expect_events("updated 1 @9 c/");
	expect_audit("update 1 @5 five");
	expect_traces("1 b7ad");
	forget();
	put(&gate, as(intent(4, "unset", ENTITY_1, "'content':['b']"), "four", NULL));
	put(&gate, as(intent(3, "upsert", ENTITY_1, "'metadata':{'u':3}"), "three", NULL));
	expect_audit("update 1 @4 four, update 1 @3 three");
	forget();
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':2}")); /* overtaken: nobody can see it */
	expect_nothing();
}

/* A field that direct SQL put there has no position of its own, and gets one by a later intent: that one's name is on it all the same. */
Test(event, a_late_upsert_beside_fields_written_by_hand_has_its_own_position)
{
	put(&gate, as(intent(5, "upsert", ENTITY_1, "'content':{'a':5}"), "five", NULL));
	rig_sql(&rig, "update leat.entities set content = content || '{\"hand\": 1}'");
	forget();
	put(&gate, as(intent(3, "upsert", ENTITY_1, "'content':{'b':3}"), "three", NULL));
	expect_audit("update 1 @3 three");
}

Test(event, a_bulk_is_an_event_of_each_entity_and_one_name)
{
	create_entity();
	put(&gate, intent(2, "upsert", ENTITY_2, ""));
	forget();
	put(&gate, as(bulk_intent(3, "'" ENTITY_1 "','" ENTITY_2 "'", "'content':{'z':3}"), "ann", NULL));
	rig_sql_expect(&rig, "1 @3 ann, 2 @3 ann",
		"select string_agg(concat_ws(' ', right(entity_id::text, 1), '@' || position, actor), ', ' order by entity_id) from "
		"leat.audit_log");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from event"), 2);
}

Test(event, what_changed_nothing_raises_none)
{
	create_entity();
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(3, "unset", ENTITY_1, "'content':['never']"));
	put(&gate, intent(4, "merge", ENTITY_2, "'content':{'a':1}"));
	cr_assert_eq(gate_decide_all(&gate, 0, 4), 0);
	expect_nothing();
}

/* ---- to the end ---- */

/* The next event, of ENTITY_1; its id must be that of the message, its time that of the change. */
static json_t *take_event(struct leat_inbox *inbox)
{
	struct leat_msg msg;
	struct leat_error err;
	cr_assert_eq(leat_inbox_next(inbox, 30000, &msg, &err), LEAT_OK, "no event: %s", err.text);
	json_t *event = json_loadb(msg.data, msg.data_bytes, 0, NULL);
	cr_assert_not_null(event, "%.*s", (int)msg.data_bytes, msg.data);
	const char *id = leat_msg_header(&msg, "Nats-Msg-Id");
	const char *type = leat_msg_header(&msg, "Content-Type");
	const char *trace = leat_msg_header(&msg, "traceparent");
	const char *trace_inside = json_string_value(json_object_get(event, "traceparent"));
	cr_expect_str_eq(msg.subject, "leat.event." RIG_TENANT_A ".entity." ENTITY_1);
	cr_expect_str_eq(json_string_value(json_object_get(event, "id")), id != NULL ? id : "no Nats-Msg-Id");
	cr_expect_str_eq(type != NULL ? type : "none", "application/cloudevents+json");
	cr_expect_str_eq(trace != NULL ? trace : "none", trace_inside != NULL ? trace_inside : "none");
	rig_sql_expect(&rig, "t",
		"select '%1$s' ~ '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?(Z|[+-]\\d\\d:\\d\\d)$'"
		" and exists (select from leat.audit_log where at = '%1$s'::timestamptz)",
		json_string_value(json_object_get(event, "time")));
	leat_msg_free(&msg);
	return event;
}

/* All of it, but for what take_event looked at. */
static void expect_event(struct leat_inbox *inbox, const char *what, const char *trace, int64_t position, json_t *changed)
{
	json_t *event = take_event(inbox);
	char type[32];
	snprintf(type, sizeof type, "leat.entity.%s", what);
	json_object_del(event, "id");
	json_object_del(event, "time");
	json_t *expected = json_pack("{s:s,s:s,s:s,s:s,s:s,s:{s:s,s:s,s:s,s:I,s:o}}", "specversion", "1.0", "source", "/leat/" RIG_TENANT_A,
		"type", type, "subject", ENTITY_1, "datacontenttype", "application/json", "data", "tenant_id", RIG_TENANT_A, "entity_id", ENTITY_1,
		"entity_type", "t", "position", (json_int_t)position, "changed", changed);
	if (trace != NULL)
		json_object_set_new(expected, "traceparent", json_string(trace));
	char *found_text = json_dumps(event, JSON_SORT_KEYS);
	char *expected_text = json_dumps(expected, JSON_SORT_KEYS);
	cr_expect_str_eq(found_text, expected_text, "expected %s\nfound    %s", expected_text, found_text);
	free(found_text);
	free(expected_text);
	json_decref(event);
	json_decref(expected);
}

TestSuite(event_stream);

Test(event_stream, a_subscriber_gets_what_intents_and_direct_sql_changed_as_cloud_events)
{
	struct leat_inbox *inbox = NULL;
	struct client client;
	struct leat_error err;
	struct leat_stream_state state;
	rig_open(&rig);
	rig_migrate(&rig);
	load_start_consumer(&rig, "consumer", NULL);
	cr_assert_eq(leat_inbox_open(&inbox, rig_bus(&rig), "leat.event.>", &err), LEAT_OK, "%s", err.text);
	rig_intent(&rig, RIG_TENANT_A, "entity.upsert", "traceparent: " TRACE "\r\n",
		"{\"entity_id\":\"" ENTITY_1 "\",\"entity_type\":\"t\",\"content\":{\"a\":1}}");
	load_wait_settled(&rig, 1, 60);
	rig_publish(&rig, "leat.intent." RIG_TENANT_A ".user.entity.merge", "traceparent: " TRACE_2 "\r\nLeat-Actor: bob\r\n",
		"{\"entity_id\":\"" ENTITY_1 "\",\"metadata\":{\"m\":2}}");
	load_wait_settled(&rig, 2, 60);
	client_open(&client, &rig, "authenticated");
	client_set(&client, CLAIMS_A, "");
	client_expect(&client, "", "begin; update leat.entities set content = '{}'; rollback");
	client_expect(&client, "{\"a\": 3}",
		"set timezone = 'Asia/Kolkata'; set datestyle = 'German'; select leat.merge_entity_content('" ENTITY_1 "', '" RIG_TENANT_A
		"', '{\"a\": 3}')");
	client_close(&client);
	load_wait_settled(&rig, 2, 60);
	rig_intent(&rig, RIG_TENANT_A, "entity.delete", NULL, "{\"entity_id\":\"" ENTITY_1 "\"}");
	load_wait_settled(&rig, 3, 60);

	expect_event(inbox, "created", TRACE, 1, json_pack("{s:[s],s:[]}", "content", "a", "metadata"));
	expect_event(inbox, "updated", TRACE_2, 2, json_pack("{s:[],s:[s]}", "content", "metadata", "m"));
	expect_event(inbox, "updated", NULL, 2, json_pack("{s:[s],s:[]}", "content", "a", "metadata"));
	expect_event(inbox, "deleted", NULL, 3, json_pack("{s:[s],s:[s]}", "content", "a", "metadata", "m"));
	cr_assert_eq(leat_stream_get_state(rig_bus(&rig), "LEAT_EVENTS", &state, &err), LEAT_OK, "%s", err.text);
	cr_expect_eq(state.messages, 4);
	rig_sql_expect(&rig, "insert 1, update 2 bob, update ann, update 3",
		"select string_agg(concat_ws(' ', operation, position, actor), ', ' order by at) from leat.audit_log");
	leat_inbox_close(inbox);
	rig_close(&rig);
}

/* ---- bundles ---- */

Test(event, many_of_one_statement_are_few_rows_which_can_be_taken_apart)
{
	rig_sql(&rig,
		"insert into leat.entities (tenant_id, id, entity_type, content)"
		" select '" RIG_TENANT_A "', md5(n::text)::uuid, E'a\\tb\\nc', jsonb_build_object('n', n) from generate_series(1, 1200) n");
	rig_sql_expect(&rig, "999 201", "select string_agg(events::text, ' ' order by seq) from leat.outbox");
	rig_sql(&rig,
		"create table line as select o.seq + n - 1 as seq, leat.event_id(o.id, n - 1) as id, string_to_array(line, E'\\t') as part"
		" from leat.outbox o, string_to_table(convert_from(o.body, 'UTF8'), E'\\n') with ordinality line (line, n)");
	rig_sql(&rig, "select leat.take_bundles_apart(array(select seq from leat.outbox))");
	rig_sql_expect(&rig, "1200 1200 1200",
		"select concat_ws(' ', count(*), count(distinct o.id), count(distinct o.subject)) from leat.outbox o join line l using (seq, id)"
		" where o.subject = l.part[1] and o.event = l.part[2] and o.headers = '' and convert_from(o.body, 'UTF8') = l.part[4]"
		" and l.part[3] = '' and l.part[5] is null and o.events is null and o.event = 'leat.entity.created'");
	rig_sql_expect(
		&rig, "1200", "select count(*) from event where data ->> 'entity_type' = E'a\\tb\\nc' and data #>> '{changed,content,0}' = 'n'");
}

Test(event, few_and_long_ones_are_rows_of_their_own)
{
	static const char sql[] =
		"truncate leat.entities; truncate leat.outbox; insert into leat.entities (tenant_id, id, entity_type, content)"
		" select '" RIG_TENANT_A "', md5(n::text)::uuid, 'a', jsonb_build_object(repeat('x', case n when 7 then 9000 else 1 end), n)"
		" from generate_series(1, %d) n";
	static const char rows[] = "select concat_ws(' ', count(*), sum(events)) from leat.outbox";
	rig_sql(&rig, sql, 15);
	rig_sql_expect(&rig, "15", rows);
	rig_sql(&rig, sql, 16);
	rig_sql_expect(&rig, "2 15", rows);
}

Test(event, of_a_bundle_each_has_the_trace_of_its_intent)
{
	struct message batch[20];
	struct answer answers[20];
	char entities[20][64];
	for (int i = 0; i < 20; i++) {
		snprintf(entities[i], sizeof entities[i], "eeeeeeee-0000-4000-8000-0000000000%02d", i);
		batch[i] = as(intent(i + 1, "upsert", entities[i], "'content':{'a':1}"), "ann", i % 2 == 0 ? TRACE : NULL);
	}
	PUT_ALL(&gate, batch, answers);
	answers_free(answers, 20);
	rig_sql_expect(&rig, "20", "select string_agg(events::text, ' ') from leat.outbox");
	rig_sql(&rig, "select leat.take_bundles_apart(array(select seq from leat.outbox))");
	rig_sql_expect(&rig, "10 10",
		"select concat_ws(' ', count(*) filter (where headers = E'traceparent: " TRACE "\\r\\n' and (data ->> 'position')::int %% 2 = 1),"
		" count(*) filter (where headers = '' and (data ->> 'position')::int %% 2 = 0)) from event");
}
