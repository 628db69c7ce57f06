/* One call of the functions that the lanes call. What it fails by is the caller's to judge. */
#include "intents.h"

#include "leat/schema.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGAN_MS INT64_C(1700000000000)

#define ANSWER "select ord, status, code, position, reply, short_reply from "
#define PARAMETERS "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
#define DECIDED "select decided, remaining from "

static const struct leat_pg_statement statements[] = {
	{"apply", ANSWER "leat.apply_entity_intents('" STREAM "', " PARAMETERS},
	{"apply_one", ANSWER "leat.apply_entity_intent('" STREAM "', " PARAMETERS},
	{"decide", DECIDED "leat.decide_parked('" STREAM "', $1::integer, $2, $3::integer)"},
};

static const struct leat_pg_statement control_statements[] = {
	{"apply", ANSWER "leat.apply_control_intents('LEAT_CONTROL', " PARAMETERS},
	{"apply_one", ANSWER "leat.apply_control_intent('LEAT_CONTROL', " PARAMETERS},
	{"decide", DECIDED "leat.decide_parked_control('LEAT_CONTROL', $1::integer, $2, $3::integer)"},
};

static const struct leat_pg_statement run_statements[] = {
	{"apply", ANSWER "leat.apply_run_facts('LEAT_RUN', " PARAMETERS},
	{"apply_one", ANSWER "leat.apply_run_fact('LEAT_RUN', " PARAMETERS},
	{"decide", DECIDED "leat.decide_parked_run('LEAT_RUN', $1::integer, $2, $3::integer)"},
};

void install_schema(struct rig *rig)
{
	LEAT_BUF_SCOPED report = LEAT_BUF_INIT;
	struct leat_error err;
	struct leat_pg *pg = NULL;
	cr_assert_eq(leat_pg_open(&pg, rig->database_url, "test", NULL, NULL, 0, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_schema_migrate(pg, &report, &err), LEAT_OK, "%s", err.text);
	leat_pg_close(pg);
}

static void open_with(struct gate *gate, const struct rig *rig, const struct leat_pg_statement *prepared, size_t count)
{
	struct leat_error err;
	*gate = (struct gate){0};
	cr_assert_eq(leat_pg_open(&gate->pg, rig->database_url, "test", "service_role", prepared, count, &err), LEAT_OK, "%s", err.text);
}

void gate_open(struct gate *gate, const struct rig *rig)
{
	open_with(gate, rig, statements, sizeof statements / sizeof *statements);
}

void gate_open_control(struct gate *gate, const struct rig *rig)
{
	open_with(gate, rig, control_statements, sizeof control_statements / sizeof *control_statements);
}

void gate_open_run(struct gate *gate, const struct rig *rig)
{
	open_with(gate, rig, run_statements, sizeof run_statements / sizeof *run_statements);
}

void gate_close(struct gate *gate)
{
	leat_pg_close(gate->pg);
	for (size_t i = 0; i < LEAT_BATCH_COLUMNS; i++)
		leat_pg_array_free(&gate->arrays[i]);
	*gate = (struct gate){0};
}

void gate_open_with_rig(struct gate *gate, struct rig *rig)
{
	rig_open(rig);
	install_schema(rig);
	gate_open(gate, rig);
}

void gate_close_with_rig(struct gate *gate, struct rig *rig)
{
	gate_close(gate);
	rig_close(rig);
}

static void add_uuid(struct leat_pg_array *array, const char *text)
{
	struct leat_uuid uuid;
	bool given = text != NULL && leat_uuid_parse(&uuid, text, strlen(text));
	leat_pg_array_add_uuid(array, given ? &uuid : NULL);
}

static void add_message(struct leat_pg_array *arrays, const struct message *message)
{
	char subject[160];
	const char *headers = message->headers != NULL ? message->headers : "";
	const char *tenant = message->tenant != NULL ? message->tenant : RIG_TENANT_A;
	const char *role = message->role != NULL ? message->role : "service";
	snprintf(subject, sizeof subject, "leat.%s.%s.%s.%s.%s", message->redrive ? "redrive" : "intent", tenant, role,
		message->noun != NULL ? message->noun : "entity", message->verb);
	leat_pg_array_add_int8(&arrays[LEAT_BATCH_SEQ], message->seq);
	leat_pg_array_add_time(&arrays[LEAT_BATCH_AT], (BEGAN_MS + (message->at_ms != 0 ? message->at_ms : message->seq)) * 1000000);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_SUBJECT], subject);
	add_uuid(&arrays[LEAT_BATCH_TENANT], tenant);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_ROLE], role);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_VERB], message->verb);
	add_uuid(&arrays[LEAT_BATCH_TARGET], message->entity);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_ACTOR], message->actor != NULL ? message->actor : "tests");
	leat_pg_array_add_text(&arrays[LEAT_BATCH_ID], message->leat_id);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_REPLY_TO], message->reply_to);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_TRACEPARENT], message->traceparent);
	leat_pg_array_add_bytes(&arrays[LEAT_BATCH_HEADERS], headers, strlen(headers));
	leat_pg_array_add_bytes(&arrays[LEAT_BATCH_BODY], message->body, strlen(message->body));
	leat_pg_array_add_text(&arrays[LEAT_BATCH_CODE], message->code);
	leat_pg_array_add_text(&arrays[LEAT_BATCH_MESSAGE], message->code != NULL ? "as the test says" : NULL);
}

static char *copy(const char *text)
{
	return text != NULL ? leat_strdup(text) : NULL;
}

/* What is not in the result was applied, and nothing more is to be said. */
static void read_answers(const struct leat_pg_result *result, size_t count, struct answer *answers)
{
	for (size_t i = 0; i < count; i++)
		answers[i] = (struct answer){.outcome = LEAT_OUTCOME_APPLIED};
	for (size_t row = 0; row < leat_pg_rows(result); row++) {
		struct answer *answer = &answers[leat_pg_int8(result, row, 0) - 1];
		const char *code = leat_pg_text(result, row, 2);
		answer->outcome = leat_outcome_parse(leat_pg_text(result, row, 1));
		snprintf(answer->code, sizeof answer->code, "%s", code != NULL ? code : "");
		answer->position = leat_pg_int8(result, row, 3);
		answer->reply = copy(leat_pg_text(result, row, 4));
		answer->short_reply = copy(leat_pg_text(result, row, 5));
	}
}

enum leat_kind gate_apply(
	struct gate *gate, const struct message *const *messages, size_t count, struct answer *answers, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	LEAT_PG_RESULT_SCOPED *result = NULL;
	for (size_t i = 0; i < LEAT_BATCH_COLUMNS; i++)
		leat_pg_array_start(&gate->arrays[i], leat_batch_types[i]);
	for (size_t i = 0; i < count; i++)
		add_message(gate->arrays, messages[i]);
	for (size_t i = 0; i < LEAT_BATCH_COLUMNS; i++)
		(count == 1 ? leat_pg_bind_only_element : leat_pg_bind_array)(&params, &gate->arrays[i]);
	if (leat_pg_run(gate->pg, count == 1 ? "apply_one" : "apply", &params, &result, err) != LEAT_OK)
		return err->kind;
	read_answers(result, count, answers);
	return LEAT_OK;
}

/* ---- by hand ---- */

static struct message with_body(struct message message, const char *format, ...)
{
	static char bodies[64][1024];
	static size_t next;
	char *body = bodies[next++ % (sizeof bodies / sizeof *bodies)];
	va_list args;
	va_start(args, format);
	cr_assert_lt((size_t)vsnprintf(body, sizeof bodies[0], format, args), sizeof bodies[0]);
	va_end(args);
	for (char *quote = body; (quote = strchr(quote, '\'')) != NULL;)
		*quote = '"';
	message.body = body;
	return message;
}

struct message intent(int64_t seq, const char *verb, const char *entity, const char *members)
{
	struct message message = {.seq = seq, .verb = verb, .entity = entity};
	const char *type = strcmp(verb, "upsert") == 0 ? ",'entity_type':'t'" : "";
	return with_body(message, "{'entity_id':'%s'%s%s%s}", entity, type, members[0] != '\0' ? "," : "", members);
}

struct message bulk_intent(int64_t seq, const char *entities, const char *members)
{
	struct message message = {.seq = seq, .verb = "bulk"};
	return with_body(message, "{'entity_ids':[%s],%s}", entities, members);
}

struct message with_id(struct message message, const char *leat_id)
{
	message.leat_id = leat_id;
	return message;
}

void put_all(struct gate *gate, const struct message *messages, size_t count, struct answer *answers)
{
	const struct message *batch[LONGEST_BATCH];
	struct leat_error err;
	cr_assert_leq(count, LONGEST_BATCH);
	for (size_t i = 0; i < count; i++)
		batch[i] = &messages[i];
	cr_assert_eq(gate_apply(gate, batch, count, answers, &err), LEAT_OK, "%s", err.text);
}

void answers_free(struct answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(answers[i].reply);
		free(answers[i].short_reply);
	}
}

void put_expect(struct gate *gate, const struct message *messages, size_t count, const enum leat_outcome *expected, size_t expected_count)
{
	struct answer answers[LONGEST_BATCH];
	cr_assert_eq(count, expected_count);
	put_all(gate, messages, count, answers);
	for (size_t i = 0; i < count; i++)
		cr_expect_eq(answers[i].outcome, expected[i], "message %zu ended %d, expected %d", i, (int)answers[i].outcome, (int)expected[i]);
	answers_free(answers, count);
}

enum leat_outcome put(struct gate *gate, struct message message)
{
	struct answer answer;
	put_all(gate, &message, 1, &answer);
	answers_free(&answer, 1);
	return answer.outcome;
}

/* ---- what is parked ---- */

enum leat_kind gate_decide(struct gate *gate, int32_t epoch, int64_t floor_seq, int32_t limit, struct decided *out, struct leat_error *err)
{
	struct leat_pg_params params = {0};
	LEAT_PG_RESULT_SCOPED *result = NULL;
	leat_pg_bind_int8(&params, epoch);
	leat_pg_bind_int8(&params, floor_seq);
	leat_pg_bind_int8(&params, limit);
	if (leat_pg_run(gate->pg, "decide", &params, &result, err) != LEAT_OK)
		return err->kind;
	*out = (struct decided){leat_pg_int8(result, 0, 0), leat_pg_int8(result, 0, 1)};
	return LEAT_OK;
}

int64_t gate_decide_all(struct gate *gate, int32_t epoch, int64_t floor_seq)
{
	struct leat_error err;
	struct decided round;
	for (int rounds = 0; rounds < 10000; rounds++) {
		cr_assert_eq(gate_decide(gate, epoch, floor_seq, LONGEST_BATCH, &round, &err), LEAT_OK, "%s", err.text);
		if (round.decided == 0)
			return round.remaining;
	}
	cr_assert_fail("deciding does not come to an end");
	return 0;
}
