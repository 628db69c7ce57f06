/*
 * The wall between tenants for whoever publishes: every role, every message of the table, at what is one's own, another tenant's and
 * nobody's. What is another tenant's is as if it were not there: in outcome, reply, dead letter, ledger and event; and stays as it is.
 */
#include "intents.h"
#include "load.h"

#include "leat/intent.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "0123456789" /* in all that B has */
#define CASES 64
#define TYPE "t"

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(wall_nats, .init = setup, .fini = teardown);

/* ---- cases ---- */

enum whose { OWN, THEIRS, NOBODYS, WHOSE };

/* One role, one message, the target named by id or by key; three targets, of which only the second is B's. */
struct wall_case {
	enum leat_role role;
	const struct leat_intent_type *type;
	bool by_key;
	char keys[WHOSE][16];
	char ids[WHOSE][LEAT_UUID_TEXT_BYTES]; /* for A */
	uint64_t seqs[WHOSE];
	char *replies[WHOSE];
};

static struct wall_case cases[CASES];
static size_t case_count;

static void name_targets(struct wall_case *at, size_t number)
{
	struct leat_uuid tenant;
	cr_assert(leat_uuid_parse(&tenant, RIG_TENANT_A, strlen(RIG_TENANT_A)));
	for (size_t whose = 0; whose < WHOSE; whose++) {
		snprintf(at->keys[whose], sizeof at->keys[whose], "key-%02zu-%zu", number, whose);
		snprintf(at->ids[whose], sizeof at->ids[whose], "eeeeeeee-0000-4000-8000-%010zx%02zx", number, whose);
		if (at->by_key) {
			char name[64];
			struct leat_uuid id;
			snprintf(name, sizeof name, TYPE ":%s", at->keys[whose]);
			leat_uuid_from_name(&id, &tenant, name, strlen(name));
			leat_uuid_format(&id, at->ids[whose]);
		}
	}
}

static void make_cases(void)
{
	size_t rows;
	const struct leat_intent_type *table = leat_intent_table(&rows);
	case_count = 0;
	for (enum leat_role role = LEAT_ROLE_USER; role <= LEAT_ROLE_ENGINE; role++) {
		for (size_t row = 0; row < rows; row++) {
			if (strcmp(table[row].noun, "entity") != 0)
				continue; /* they have walls of their own */
			for (int by_key = 0; by_key <= (table[row].target == LEAT_TARGET_ID_OR_KEY); by_key++) {
				cr_assert_lt(case_count, CASES);
				struct wall_case *at = &cases[case_count];
				*at = (struct wall_case){.role = role, .type = &table[row], .by_key = by_key != 0};
				name_targets(at, case_count++);
			}
		}
	}
}

static void free_cases(void)
{
	for (size_t i = 0; i < case_count; i++)
		for (size_t whose = 0; whose < WHOSE; whose++)
			free(cases[i].replies[whose]);
}

/* All its fields, each with a value; of entity_id and key the one that is wanted. */
static void add_body(struct leat_buf *out, const struct wall_case *at, enum whose whose)
{
	const char *separator = "{";
	for (size_t i = 0; i < LEAT_INTENT_FIELDS && at->type->fields[i].name != NULL; i++) {
		const struct leat_field *field = &at->type->fields[i];
		bool key_part = field->type == LEAT_FIELD_KEY || (field->type == LEAT_FIELD_TYPE && !field->required);
		if ((field->type == LEAT_FIELD_UUID && at->by_key) || (key_part && !at->by_key))
			continue;
		leat_buf_printf(out, "%s\"%s\":", separator, field->name);
		separator = ",";
		switch (field->type) {
		case LEAT_FIELD_UUID:
			leat_buf_printf(out, "\"%s\"", at->ids[whose]);
			break;
		case LEAT_FIELD_UUIDS:
			leat_buf_printf(out, "[\"%s\"]", at->ids[whose]);
			break;
		case LEAT_FIELD_TYPE:
			leat_buf_add_text(out, "\"" TYPE "\"");
			break;
		case LEAT_FIELD_KEY:
			leat_buf_printf(out, "\"%s\"", at->keys[whose]);
			break;
		case LEAT_FIELD_OBJECT:
			leat_buf_add_text(out, "{\"field\":1}");
			break;
		case LEAT_FIELD_NAMES:
			leat_buf_add_text(out, "[\"field\"]");
			break;
		case LEAT_FIELD_BOOL:
			leat_buf_add_text(out, "true");
			break;
		case LEAT_FIELD_TEXT:
		case LEAT_FIELD_LINES:
		case LEAT_FIELD_CHOICE:
		case LEAT_FIELD_NUMBER:
		case LEAT_FIELD_VALUE:
		case LEAT_FIELD_DEFINITION:
			cr_assert_fail("%s.%s has fields of another kind: they need values here", at->type->noun, at->type->verb);
		}
	}
	leat_buf_add_text(out, "}");
}

/* ---- what there is before ---- */

/* A's own and B's, B's with the same ids that A will try. Keys make other ids for B, and are there all the same. */
static void store_entities(void)
{
	struct load load = {0};
	for (size_t i = 0; i < case_count; i++) {
		const struct wall_case *at = &cases[i];
		char id[48];
		snprintf(id, sizeof id, "Leat-Id: " SECRET "-%zu\r\n", i);
		load_add_intent(&load, RIG_TENANT_A, "entity.upsert", NULL, "{\"entity_id\":\"%s\",\"entity_type\":\"" TYPE "\"}", at->ids[OWN]);
		load_add_intent(&load, RIG_TENANT_B, "entity.upsert", "Leat-Actor: " SECRET "\r\n",
			"{\"entity_id\":\"%s\",\"entity_type\":\"" TYPE "\",\"content\":{\"field\":\"" SECRET "\"}}", at->ids[THEIRS]);
		load_add_intent(&load, RIG_TENANT_B, "entity.upsert", id,
			"{\"key\":\"%s\",\"entity_type\":\"" TYPE "\",\"metadata\":{\"field\":\"" SECRET "\"}}", at->keys[THEIRS]);
	}
	load_store(&rig, &load);
	load_free(&load);
}

/* All that is B's: rows and their versions, ledger, ids, audit. */
static char *snapshot_of_b(void)
{
	return rig_sql_text(&rig,
		"select concat_ws(' ', (select string_agg(concat_ws(' ', e, xmin, ctid), ',' order by id) from leat.entities e where tenant_id = "
		"'" RIG_TENANT_B "'),"
		" (select count(*) from leat.activity where tenant_id = '" RIG_TENANT_B
		"'), (select count(*) from leat.message_ids where tenant_id = '" RIG_TENANT_B
		"'), (select count(*) from leat.audit_log where tenant_id = '" RIG_TENANT_B "'))");
}

/* How many messages of the stream are under the prefix; fails when one that is not holds B's secret. */
static size_t count_of_b(const char *stream, const char *prefix)
{
	struct leat_msg msg;
	struct leat_error err;
	size_t count = 0;
	uint64_t seq = 1;
	for (; leat_stream_get_next(rig_bus(&rig), stream, ">", &seq, &msg, &err) == LEAT_OK; seq++) {
		if (strncmp(msg.subject, prefix, strlen(prefix)) == 0)
			count++;
		else
			cr_expect_null(
				memmem(msg.data, msg.data_bytes, SECRET, strlen(SECRET)), "%s: %.*s", msg.subject, (int)msg.data_bytes, msg.data);
		leat_msg_free(&msg);
	}
	cr_assert_eq(err.code, LEAT_CODE_NOT_FOUND, "%s", err.text);
	return count;
}

/* ---- what came of it ---- */

/* The text with all that says which case it was taken out: ids, keys, numbers of two digits and more, event ids. */
static char *plain(const char *text, const struct wall_case *at, enum whose whose)
{
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	while (*text != '\0') {
		size_t id = strlen(at->ids[whose]);
		size_t key = strlen(at->keys[whose]);
		if (strncmp(text, at->ids[whose], id) == 0) {
			leat_buf_add_text(&out, "<id>");
			text += id;
		} else if (strncmp(text, at->keys[whose], key) == 0) {
			leat_buf_add_text(&out, "<key>");
			text += key;
		} else if (strncmp(text, "\"position\":", 11) == 0) {
			leat_buf_add_text(&out, "\"position\":<n>");
			text += 11 + strspn(text + 11, "0123456789");
		} else {
			leat_buf_add(&out, text++, 1);
		}
	}
	return leat_buf_take(&out);
}

/* The row of the ledger as JSON, without what is different for every message. */
static char *ledger_of(const struct wall_case *at, enum whose whose)
{
	char *row = rig_sql_text(&rig,
		"select to_jsonb(a) - '{position,message_at,at,leat_id}'::text[] from leat.activity a where position = %" PRIu64, at->seqs[whose]);
	char *text = plain(row, at, whose);
	free(row);
	return text;
}

/* Headers and body of the dead letter, without what is different for every message; "none" without one. */
static char *dead_letter_of(const struct wall_case *at, enum whose whose)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	static const char *const names[] = {"Leat-Error-Code", "Leat-Error", "Leat-Origin-Subject", "Leat-Origin-Stream", "Leat-Actor",
		"Leat-Headers-Omitted", "Leat-Body-Omitted", "traceparent"};
	struct leat_msg msg;
	struct leat_error err;
	uint64_t seq = 1;
	leat_buf_add_text(&text, "none");
	for (; leat_stream_get_next(rig_bus(&rig), "LEAT_DEAD", ">", &seq, &msg, &err) == LEAT_OK; seq++) {
		const char *origin = leat_msg_header(&msg, "Leat-Origin-Seq");
		if (origin != NULL && strtoull(origin, NULL, 10) == at->seqs[whose]) {
			leat_buf_clear(&text);
			leat_buf_add_text(&text, msg.subject);
			for (size_t i = 0; i < sizeof names / sizeof *names; i++)
				leat_buf_printf(
					&text, " %s: %s", names[i], leat_msg_header(&msg, names[i]) != NULL ? leat_msg_header(&msg, names[i]) : "-");
			leat_buf_add(&text, msg.data, msg.data_bytes);
		}
		leat_msg_free(&msg);
	}
	return plain(leat_buf_text(&text), at, whose);
}

/* `<status> <code>` of a reply. */
static void expect_status(const struct wall_case *at, enum whose whose, const char *expected)
{
	cr_assert_not_null(at->replies[whose]);
	cr_expect(strstr(at->replies[whose], expected) != NULL, "%s %s: expected %s in %s", leat_role_name(at->role), at->type->verb, expected,
		at->replies[whose]);
}

static void expect_same(const struct wall_case *at, const char *what, char *not_yours, char *not_there)
{
	cr_expect_str_eq(not_yours, not_there, "%s %s: %s differs\nnot yours: %s\nnot there: %s", leat_role_name(at->role), at->type->verb,
		what, not_yours, not_there);
	cr_expect_null(strstr(not_yours, SECRET), "%s %s: %s\n%s", leat_role_name(at->role), at->type->verb, what, not_yours);
	free(not_yours);
	free(not_there);
}

static void expect_wall(const struct wall_case *at)
{
	bool creates = strcmp(at->type->verb, "upsert") == 0;
	expect_status(at, OWN, "\"status\":\"applied\"");
	expect_status(at, NOBODYS, creates ? "\"status\":\"applied\"" : "\"code\":\"not_found\"");
	expect_same(at, "reply", plain(at->replies[THEIRS], at, THEIRS), plain(at->replies[NOBODYS], at, NOBODYS));
	expect_same(at, "ledger", ledger_of(at, THEIRS), ledger_of(at, NOBODYS));
	expect_same(at, "dead letter", dead_letter_of(at, THEIRS), dead_letter_of(at, NOBODYS));
}

/* ---- the matrix ---- */

static void store_attempt(struct wall_case *at, size_t number, enum whose whose)
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	char subject[160];
	char headers[300];
	snprintf(subject, sizeof subject, "leat.intent." RIG_TENANT_A ".%s.entity.%s", leat_role_name(at->role), at->type->verb);
	snprintf(headers, sizeof headers, "Leat-Actor: ann\r\nLeat-Id: %zu-%d\r\nLeat-Reply-To: leat.reply." RIG_TENANT_A ".%zu.%d\r\n", number,
		(int)whose, number, (int)whose);
	add_body(&body, at, whose);
	at->seqs[whose] = rig_publish(&rig, subject, headers, leat_buf_text(&body));
}

static void take_replies(struct leat_inbox *inbox, size_t count)
{
	struct leat_msg msg;
	struct leat_error err;
	for (size_t i = 0; i < count; i++) {
		cr_assert_eq(leat_inbox_next(inbox, 60000, &msg, &err), LEAT_OK, "reply %zu of %zu: %s", i + 1, count, err.text);
		const char *number_at = msg.subject + strlen("leat.reply." RIG_TENANT_A ".");
		char *rest = NULL;
		size_t number = strtoul(number_at, &rest, 10);
		size_t whose = strtoul(rest + 1, NULL, 10);
		cr_assert(number < case_count && whose < WHOSE, "%s", msg.subject);
		cr_assert_null(cases[number].replies[whose], "%s came twice", msg.subject);
		cases[number].replies[whose] = leat_alloc_zero(1, msg.data_bytes + 1);
		memcpy(cases[number].replies[whose], msg.data, msg.data_bytes);
		leat_msg_free(&msg);
	}
}

/* At once: in batches, as they come. One by one: each decided before the next is sent. */
static void run_matrix(bool at_once)
{
	struct leat_inbox *replies = NULL;
	struct leat_inbox *replies_of_b = NULL;
	struct leat_error err;
	struct leat_msg msg;
	make_cases();
	load_start_consumer(&rig, "consumer", NULL);
	store_entities();
	int64_t settled = (int64_t)case_count * 3;
	load_wait_settled(&rig, settled, 60);
	char *before = snapshot_of_b();
	size_t events_before = count_of_b("LEAT_EVENTS", "leat.event." RIG_TENANT_B ".");
	cr_assert_eq(events_before, case_count * 2, "%zu events", events_before);
	cr_assert_eq(leat_inbox_open(&replies, rig_bus(&rig), "leat.reply." RIG_TENANT_A ".>", &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_inbox_open(&replies_of_b, rig_bus(&rig), "leat.reply." RIG_TENANT_B ".>", &err), LEAT_OK, "%s", err.text);

	for (size_t i = 0; i < case_count; i++) {
		for (size_t whose = 0; whose < WHOSE; whose++) {
			store_attempt(&cases[i], i, (enum whose)whose);
			if (!at_once)
				take_replies(replies, 1);
		}
	}
	if (at_once)
		take_replies(replies, case_count * WHOSE);
	load_wait_settled(&rig, settled + (int64_t)case_count * WHOSE, 60);
	for (size_t i = 0; i < case_count; i++)
		expect_wall(&cases[i]);

	char *after = snapshot_of_b();
	cr_expect_str_eq(after, before, "B's rows changed\n%s\n%s", before, after);
	cr_expect_eq(count_of_b("LEAT_EVENTS", "leat.event." RIG_TENANT_B "."), events_before);
	cr_expect_eq(count_of_b("LEAT_DEAD", "leat.dead." RIG_TENANT_B "."), 0);
	cr_expect_eq(count_of_b("LEAT_DEAD", "leat.dead.unroutable"), 0);
	cr_expect_eq(leat_inbox_next(replies_of_b, 0, &msg, &err), LEAT_TEMPORARY, "B got a reply");
	leat_inbox_close(replies);
	leat_inbox_close(replies_of_b);
	free(before);
	free(after);
	free_cases();
}

Test(wall_nats, what_is_another_tenants_is_as_if_it_were_not_there)
{
	run_matrix(true);
}

Test(wall_nats, the_same_one_by_one)
{
	run_matrix(false);
}

/* ---- what else reaches over ---- */

Test(wall_nats, neither_a_leat_id_nor_a_reply_address_of_another_tenants_reaches_over_in_any_role)
{
	struct leat_inbox *replies_of_b = NULL;
	struct leat_error err;
	struct leat_msg msg;
	int64_t settled = 0;
	load_start_consumer(&rig, "consumer", NULL);
	cr_assert_eq(leat_inbox_open(&replies_of_b, rig_bus(&rig), "leat.reply." RIG_TENANT_B ".>", &err), LEAT_OK, "%s", err.text);
	for (enum leat_role role = LEAT_ROLE_USER; role <= LEAT_ROLE_ENGINE; role++) {
		char subject[160];
		char header[64];
		const char *const name = leat_role_name(role);
		static const char body[] = "{\"entity_id\":\"" ENTITY_1 "\",\"entity_type\":\"" TYPE "\"}";
		snprintf(header, sizeof header, "Leat-Id: same-%s\r\n", name);
		snprintf(subject, sizeof subject, "leat.intent." RIG_TENANT_B ".%s.entity.upsert", name);
		rig_publish(&rig, subject, header, body);
		snprintf(subject, sizeof subject, "leat.intent." RIG_TENANT_A ".%s.entity.upsert", name);
		rig_publish(&rig, subject, header, body);
		rig_publish(&rig, subject, "Leat-Reply-To: leat.reply." RIG_TENANT_B ".x\r\n", body);
		settled += 3;
	}
	load_wait_settled(&rig, settled, 60);
	load_wait_dead(&rig, 3, 60);
	rig_sql_expect(&rig, "3 rejected invalid_message, 6 applied",
		"select string_agg(line, ', ' order by line) from (select concat_ws(' ', count(*), outcome, code) as line from leat.activity group "
		"by outcome, code) l");
	cr_expect_eq(count_of_b("LEAT_DEAD", "leat.dead." RIG_TENANT_B "."), 0);
	cr_expect_eq(leat_inbox_next(replies_of_b, 0, &msg, &err), LEAT_TEMPORARY, "B got a reply");
	leat_inbox_close(replies_of_b);
}
