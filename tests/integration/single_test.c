/*
 * The short way of a batch of one (sql/functions/55_entity_single.sql): where it is taken it says and writes what the set-based path would;
 * where it is not, nothing of the attempt is left, and the set-based path decides.
 */
#include "beside.h"
#include "load.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

#define EPOCH_1 (INT64_C(1) << 40)

static struct rig rig;
static struct gate gate;

static void setup(void)
{
	gate_open_with_rig(&gate, &rig);
}

static void teardown(void)
{
	gate_close_with_rig(&gate, &rig);
}

TestSuite(single, .init = setup, .fini = teardown);

static void expect_content(const char *entity, const char *expected)
{
	rig_sql_expect(&rig, expected, "select content from leat.entities where id = '%s'", entity);
}

static void expect_ledger(const char *expected)
{
	rig_sql_expect(&rig, expected,
		"select string_agg(concat_ws(' ', position >> 40, position & ((1::bigint << 40) - 1), outcome, code), ', ' order by position)"
		" from leat.activity");
}

static struct message at(int64_t at_ms, struct message message)
{
	message.at_ms = at_ms;
	return message;
}

/* ---- is it taken? ---- */

/* What leat.merge_single itself says of the message: "t" or "f". */
static void expect_short_way(const char *expected, struct message message)
{
	rig_sql_expect(&rig, expected,
		"select leat.merge_single('" STREAM "', %" PRId64 ", timestamptz 'epoch' + (1700000000000 + %" PRId64
		") * interval '1 millisecond', '%s', 'service', '%s', 'tests', nullif('%s', ''), null, '%s')",
		message.seq, message.at_ms != 0 ? message.at_ms : message.seq, message.tenant != NULL ? message.tenant : RIG_TENANT_A,
		message.entity, message.leat_id != NULL ? message.leat_id : "", message.body);
}

static void expect_taken(struct message message)
{
	rig_sql(&rig, "begin");
	expect_short_way("t", message);
	rig_sql(&rig, "rollback");
}

/* What uses a Leat-Id up is in the ledger as applied, and the other way round. */
static void expect_sound_leat_ids(void)
{
	cr_assert_eq(rig_sql_int(&rig,
					 "select count(*) from (select * from leat.activity where outcome = 'applied' and leat_id is not null) a"
					 " full join leat.message_ids m using (stream, position, tenant_id, leat_id) where a.at is null or m.at is null"),
		0);
}

/* Takes what load_snapshot said before. */
static void expect_unchanged(char *before)
{
	char *after = load_snapshot(&rig);
	cr_assert_str_eq(after, before, "before %s, after %s", before, after);
	free(after);
	free(before);
}

/* The attempt, alone and committed, leaves nothing; then the message comes in by the door, and ends so. */
static void expect_declined(struct message message, enum leat_outcome expected)
{
	char *before = load_snapshot(&rig);
	expect_short_way("f", message);
	expect_unchanged(before);
	enum leat_outcome found = put(&gate, message);
	cr_assert_eq(found, expected, "outcome %d", found);
	expect_sound_leat_ids();
}

/* ---- taken: as by the other door ---- */

/* An intent alone takes the short way when it may; one that has company, of another entity, never. */
enum door { ALONE, IN_COMPANY };

static void put_through(enum door door, struct message message)
{
	struct message batch[] = {message, intent(message.seq + 100, "upsert", ENTITY_2, "")};
	struct answer answers[2];
	put_all(&gate, batch, door == ALONE ? 1 : 2, answers);
	cr_assert_eq(answers[0].outcome, LEAT_OUTCOME_APPLIED);
}

/* All that there is to know of ENTITY_1, but for times; then everything is empty again. */
static char *take_state(void)
{
	char *state = rig_sql_text(&rig,
		"select concat_ws(E'\\n',"
		" (select to_jsonb(e) - '{created_at,updated_at}'::text[] from leat.entities e where id = '" ENTITY_1 "'),"
		" (select jsonb_agg(to_jsonb(a) - 'at' order by position) from leat.activity a where target_id = '" ENTITY_1 "'),"
		" (select jsonb_agg(to_jsonb(m) - 'at' order by position) from leat.message_ids m),"
		" (select jsonb_agg(jsonb_build_array(operation, position, db_user, (old).content, (old).metadata, (new).content, (new).metadata)"
		" order by position) from leat.audit_log where entity_id = '" ENTITY_1 "'))");
	rig_sql(&rig, "truncate leat.entities, leat.activity, leat.message_ids, leat.audit_log, leat.stream_epochs");
	return state;
}

Test(single, a_merge_alone_writes_what_it_writes_in_company)
{
	const struct message upsert = intent(1, "upsert", ENTITY_1, "'content':{'a':1,'b':{'deep':[1]}},'metadata':{'m':1}");
	const struct message merges[] = {intent(2, "merge", ENTITY_1, "'content':{'a':2,'c':null}"),
		with_id(intent(3, "merge", ENTITY_1, "'metadata':{'m':3,'n':[3]}"), "x"),
		with_id(intent(4, "merge", ENTITY_1, "'content':{'b':4},'metadata':{'m':4},'respect_locks':true"), "y"),
		intent(5, "merge", ENTITY_1, "'content':{'a':12345678901234567890.50}"), intent(6, "merge", ENTITY_1, "")};
	char *states[2];
	for (enum door door = ALONE; door <= IN_COMPANY; door++) {
		put_through(door, upsert);
		for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
			expect_taken(merges[i]);
			put_through(door, merges[i]);
		}
		expect_sound_leat_ids();
		states[door] = take_state();
	}
	cr_assert_str_eq(states[ALONE], states[IN_COMPANY], "alone\n%s\nin company\n%s", states[ALONE], states[IN_COMPANY]);
	free(states[ALONE]);
	free(states[IN_COMPANY]);
}

Test(single, the_ledger_keeps_who_and_when)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	struct message merge = with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3}"), "x");
	expect_taken(merge);
	cr_assert_eq(put(&gate, merge), LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, STREAM " 3 x " RIG_TENANT_A " tests service entity merge " ENTITY_1 " applied 1700000000.003000",
		"select concat_ws(' ', stream, position, leat_id, tenant_id, actor, role, noun, verb, target_id, outcome, code, detail,"
		" extract(epoch from message_at)) from leat.activity where position = 3");
}

Test(single, a_merge_is_audited_once_with_both_images_and_moves_updated_at)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1},'metadata':{'m':1}"));
	char *before = rig_sql_text(&rig, "select updated_at from leat.entities");
	struct message merge = intent(2, "merge", ENTITY_1, "'content':{'a':2}");
	expect_taken(merge);
	put(&gate, merge);
	rig_sql_expect(&rig, "1 2 {\"a\": 1} {\"m\": 1} -> {\"a\": 2} {\"m\": 1}",
		"select concat_ws(' ', count(*) over (), position, (old).content, (old).metadata, '->', (new).content, (new).metadata)"
		" from leat.audit_log where operation = 'update'");
	rig_sql_expect(&rig, "t t t",
		"select concat_ws(' ', e.updated_at > '%s', (l.old).updated_at = '%s', (l.new).updated_at = e.updated_at)"
		" from leat.entities e, leat.audit_log l where l.operation = 'update'",
		before, before);
	free(before);
}

Test(single, a_merge_that_changes_nothing_visible_is_settled_and_not_audited)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	struct message merge = intent(2, "merge", ENTITY_1, "'content':{'a':1}");
	expect_taken(merge);
	cr_assert_eq(put(&gate, merge), LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "2 2", "select concat_ws(' ', last_position, content_positions -> 'a') from leat.entities");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log"), 1, "the insert, and nothing else");
}

/* ---- declined: the target ---- */

Test(single, an_entity_that_is_not_there_yet_is_waited_for)
{
	put(&gate, intent(1, "upsert", ENTITY_2, ""));
	struct message early = with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3}"), "x");
	expect_declined(early, LEAT_OUTCOME_PARKED);
	expect_ledger("0 1 applied");
	put(&gate, intent(2, "upsert", ENTITY_1, "'content':{'a':2,'b':2}"));
	cr_assert_eq(gate_decide_all(&gate, 0, 3), 0);
	expect_ledger("0 1 applied, 0 2 applied, 0 3 applied");
	expect_content(ENTITY_1, "{\"a\": 3, \"b\": 2}");
	expect_sound_leat_ids();
}

Test(single, a_row_whose_upsert_comes_later_in_the_stream_is_waited_for)
{
	put(&gate, intent(5, "upsert", ENTITY_1, "'content':{'a':5}"));
	put(&gate, intent(1, "upsert", ENTITY_2, ""));
	expect_declined(with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3,'b':3}"), "x"), LEAT_OUTCOME_PARKED);
	cr_assert_eq(gate_decide_all(&gate, 0, 3), 0);
	expect_ledger("0 1 applied, 0 3 rejected not_found, 0 5 applied");
	expect_content(ENTITY_1, "{\"a\": 5}");
	expect_sound_leat_ids();
}

Test(single, another_tenants_entity_is_nobodys)
{
	struct message theirs = with_id(intent(2, "merge", ENTITY_1, "'content':{'a':2}"), "x");
	theirs.tenant = RIG_TENANT_B;
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	expect_declined(theirs, LEAT_OUTCOME_PARKED);
	expect_content(ENTITY_1, "{\"a\": 1}");
}

Test(single, a_deleted_entity_takes_nothing)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(2, "delete", ENTITY_1, ""));
	expect_declined(with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3}"), "x"), LEAT_OUTCOME_PARKED);
	cr_assert_eq(gate_decide_all(&gate, 0, 3), 0);
	expect_ledger("0 1 applied, 0 2 applied, 0 3 rejected deleted");
	expect_content(ENTITY_1, "{}");
	expect_sound_leat_ids();
}

Test(single, an_older_merge_overwrites_nothing_newer)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(5, "merge", ENTITY_1, "'content':{'a':5}"));
	expect_declined(with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3,'b':3}"), "x"), LEAT_OUTCOME_APPLIED);
	expect_ledger("0 1 applied, 0 3 applied, 0 5 applied");
	expect_content(ENTITY_1, "{\"a\": 5, \"b\": 3}");
}

Test(single, hidden_fields_come_to_light_all_the_same)
{
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	put(&gate, intent(4, "merge", ENTITY_1, "'content':{'b':4,'c':4}"));
	put(&gate, intent(2, "delete", ENTITY_1, ""));
	put(&gate, intent(5, "upsert", ENTITY_1, "'content':{'d':5}"));
	expect_content(ENTITY_1, "{\"d\": 5}");
	expect_declined(with_id(intent(6, "merge", ENTITY_1, "'content':{'c':6}"), "x"), LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"c\": 6, \"d\": 5}");
	put(&gate, intent(3, "upsert", ENTITY_1, ""));
	expect_content(ENTITY_1, "{\"b\": 4, \"c\": 6, \"d\": 5}");
}

/* ---- declined: the message ---- */

Test(single, a_leat_id_that_is_used_up_makes_a_duplicate)
{
	put(&gate, with_id(intent(1, "upsert", ENTITY_1, "'content':{'a':1}"), "x"));
	expect_declined(with_id(intent(2, "merge", ENTITY_1, "'content':{'a':2}"), "x"), LEAT_OUTCOME_DUPLICATE);
	expect_ledger("0 1 applied, 0 2 duplicate");
	rig_sql_expect(&rig, "{\"original_position\": 1}", "select detail from leat.activity where position = 2");
	expect_content(ENTITY_1, "{\"a\": 1}");
}

Test(single, a_settled_message_changes_nothing)
{
	static const char *const ids[] = {NULL, "x"};
	put(&gate, intent(1, "upsert", ENTITY_1, "'content':{'a':1}"));
	for (size_t i = 0; i < 2; i++) {
		struct message merge = with_id(intent((int64_t)i + 2, "merge", ENTITY_1, "'content':{'a':2}"), ids[i]);
		expect_taken(merge);
		put(&gate, merge);
		char *before = load_snapshot(&rig);
		expect_declined(merge, LEAT_OUTCOME_KNOWN);
		expect_unchanged(before);
	}
}

Test(single, a_message_settled_as_a_duplicate_stays_one)
{
	struct message second = with_id(intent(2, "merge", ENTITY_1, "'content':{'a':2}"), "x");
	put(&gate, with_id(intent(1, "upsert", ENTITY_1, "'content':{'a':1}"), "x"));
	put(&gate, second);
	rig_sql(&rig, "delete from leat.message_ids"); /* as pruning may */
	expect_short_way("f", second);
	cr_assert_eq(put(&gate, second), LEAT_OUTCOME_KNOWN);
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.message_ids"), 0);
	expect_content(ENTITY_1, "{\"a\": 1}");
}

Test(single, a_message_that_waits_keeps_waiting)
{
	struct message waiting = with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3}"), "x");
	put(&gate, intent(1, "upsert", ENTITY_2, ""));
	put(&gate, waiting);
	put(&gate, intent(2, "upsert", ENTITY_1, "")); /* it could be applied now, and is decided where it waits */
	char *before = load_snapshot(&rig);
	expect_declined(waiting, LEAT_OUTCOME_KNOWN);
	expect_unchanged(before);
	cr_assert_eq(gate_decide_all(&gate, 0, 3), 0);
	expect_ledger("0 1 applied, 0 2 applied, 0 3 applied");
}

Test(single, a_position_that_another_message_has_begins_an_epoch)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, intent(2, "merge", ENTITY_1, "'content':{'a':'old'}"));
	expect_declined(with_id(at(100, intent(2, "merge", ENTITY_1, "'content':{'a':'new'}")), "x"), LEAT_OUTCOME_APPLIED);
	expect_ledger("0 1 applied, 0 2 applied, 1 2 applied");
	expect_content(ENTITY_1, "{\"a\": \"new\"}");
	cr_assert_eq(rig_sql_int(&rig, "select position from leat.message_ids"), EPOCH_1 | 2);
}

Test(single, a_message_of_the_epoch_before_is_older)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	put(&gate, intent(3, "merge", ENTITY_1, "'content':{'a':'old'}"));
	put(&gate, at(100, intent(3, "merge", ENTITY_1, "'content':{'a':'new'}")));
	expect_declined(with_id(intent(2, "merge", ENTITY_1, "'content':{'a':'old','b':'old'}"), "x"), LEAT_OUTCOME_APPLIED);
	expect_ledger("0 1 applied, 0 2 applied, 0 3 applied, 1 3 applied");
	expect_content(ENTITY_1, "{\"a\": \"new\", \"b\": \"old\"}");
}

/* ---- declined: the stream ---- */

static void insert_by_hand(const char *entity)
{
	rig_sql(&rig, "insert into leat.entities (tenant_id, id, entity_type) values ('" RIG_TENANT_A "', '%s', 'hand')", entity);
}

#define EPOCHS "select string_agg(concat_ws(' ', epoch, first_seq), ', ' order by epoch) from leat.stream_epochs"

Test(single, the_first_message_of_a_stream_opens_its_epoch)
{
	insert_by_hand(ENTITY_1);
	expect_declined(with_id(intent(7, "merge", ENTITY_1, "'content':{'a':7}"), "x"), LEAT_OUTCOME_APPLIED);
	expect_content(ENTITY_1, "{\"a\": 7}");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.stream_epochs"), 1);
}

Test(single, the_first_message_of_an_epoch_is_noted)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	rig_sql(&rig, "select leat.stream_was_cut('" STREAM "', 0, timestamptz 'epoch' + 1700000000050 * interval '1 millisecond')");
	rig_sql_expect(&rig, "0 0, 1", EPOCHS);
	expect_declined(with_id(at(100, intent(7, "merge", ENTITY_1, "'content':{'a':7}")), "x"), LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "0 0, 1 7", EPOCHS);
	expect_declined(at(101, intent(5, "merge", ENTITY_1, "'content':{'a':5,'b':5}")), LEAT_OUTCOME_APPLIED);
	rig_sql_expect(&rig, "0 0, 1 5", EPOCHS);
	expect_content(ENTITY_1, "{\"a\": 7, \"b\": 5}");
	expect_taken(at(102, intent(8, "merge", ENTITY_1, "'content':{'a':8}")));
}

/* ---- in two hands at once ---- */

static void expect_of_second(struct message first, struct message second, enum leat_outcome expected)
{
	const struct message *others[] = {&second};
	struct answer answer;
	expect_taken(first);
	put_beside(&rig, &gate, first, others, 1, &answer);
	cr_assert_eq(answer.outcome, expected, "outcome %d", answer.outcome);
	answers_free(&answer, 1);
	expect_sound_leat_ids();
}

Test(single, one_message_in_two_hands_is_applied_once)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	struct message merge = intent(2, "merge", ENTITY_1, "'content':{'a':2}");
	expect_of_second(merge, merge, LEAT_OUTCOME_KNOWN);
	expect_ledger("0 1 applied, 0 2 applied");
	cr_assert_eq(rig_sql_int(&rig, "select count(*) from leat.audit_log where operation = 'update'"), 1);
}

Test(single, one_leat_id_in_two_hands_is_applied_once)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	expect_of_second(with_id(intent(2, "merge", ENTITY_1, "'content':{'a':2}"), "x"),
		with_id(intent(3, "merge", ENTITY_1, "'content':{'a':3}"), "x"), LEAT_OUTCOME_DUPLICATE);
	expect_ledger("0 1 applied, 0 2 applied, 0 3 duplicate");
	expect_content(ENTITY_1, "{\"a\": 2}");
}

/* Both merges wait for one row: the older one comes to it last. */
Test(single, an_older_merge_that_waited_for_the_row_overwrites_nothing_newer)
{
	put(&gate, intent(1, "upsert", ENTITY_1, ""));
	expect_of_second(intent(3, "merge", ENTITY_1, "'content':{'a':3}"),
		with_id(intent(2, "merge", ENTITY_1, "'content':{'a':2,'b':2}"), "x"), LEAT_OUTCOME_APPLIED);
	expect_ledger("0 1 applied, 0 2 applied, 0 3 applied");
	expect_content(ENTITY_1, "{\"a\": 3, \"b\": 2}");
}
