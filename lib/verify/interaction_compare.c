/*
 * Questions held against leat.interactions. `generation` is not compared: it is how often the node had been retried when the question was
 * asked, which is the run lane's business and in no message. What was withdrawn is remembered: a row that is there all the same is a
 * finding.
 */
#include "interaction.h"
#include "row.h"

#include <string.h>

/* In a baseline. */
static const enum baseline_column columns[VERIFY_QUESTION_COLUMNS] = {
	[VERIFY_QUESTION_PAYLOAD] = BASELINE_HASH, [VERIFY_QUESTION_VALUE] = BASELINE_HASH};

struct held {
	const struct verify_question *question;
	const struct leat_pg_result *page;
	size_t at;
	bool whole;
};

/* A question that was withdrawn by a direct call is a new one when it is asked again. */
static bool was_asked_anew(const struct verify_row *row, const struct leat_pg_result *page, size_t at)
{
	return row->direct && strcmp(leat_pg_text(page, at, VERIFY_QUESTION_CREATED), leat_pg_text(page, at, VERIFY_QUESTION_ASKED)) == 0;
}

static void compare_columns(struct verify_row *row, const void *of)
{
	const struct held *held = of;
	const struct verify_question *question = held->question;
	const struct leat_pg_result *page = held->page;
	size_t at = held->at;
	int64_t position = question->position;
	verify_row_text(row, "connection_id", leat_pg_text(page, at, VERIFY_QUESTION_CONNECTION), question->connection, position);
	verify_row_text(row, "expected_user_id", leat_pg_text(page, at, VERIFY_QUESTION_USER), question->user, position);
	verify_row_value(row, "payload", leat_pg_text(page, at, VERIFY_QUESTION_PAYLOAD), &question->payload, position);
	verify_row_text(row, "run_id", leat_pg_text(page, at, VERIFY_QUESTION_RUN), question->run, position);
	verify_row_text(row, "node_id", leat_pg_text(page, at, VERIFY_QUESTION_NODE), question->node, position);
	verify_row_text(row, "status", leat_pg_text(page, at, VERIFY_QUESTION_STATUS), question->status, position);
	verify_row_value(row, "value", leat_pg_text(page, at, VERIFY_QUESTION_VALUE), &question->value, position);
	if (held->whole && !was_asked_anew(row, page, at))
		verify_row_time(row, "created_at", leat_pg_text(page, at, VERIFY_QUESTION_CREATED), question->created_us, position);
	verify_row_time(row, "asked_at", leat_pg_text(page, at, VERIFY_QUESTION_ASKED), question->asked_us, position);
	verify_row_time(row, "expires_at", leat_pg_text(page, at, VERIFY_QUESTION_EXPIRES), question->expires_us, position);
	verify_row_time(row, "claimed_at", leat_pg_text(page, at, VERIFY_QUESTION_CLAIMED), question->claimed_us, position);
	verify_row_stamp(row, leat_pg_text(page, at, VERIFY_QUESTION_POSITION), position);
}

/* What leat.claim_interaction changes, and only in an open question. */
static const char *const claimed[] = {"status", "claimed_at", NULL};

static void compare_question(void *of, const struct leat_pg_result *page, size_t at)
{
	struct verify_questions *fold = of;
	struct verify_id key = {0};
	const char *tenant = leat_pg_text(page, at, VERIFY_QUESTION_TENANT);
	const char *id = leat_pg_text(page, at, VERIFY_QUESTION_ID);
	leat_uuid_parse(&key.tenant, tenant, strlen(tenant));
	leat_uuid_parse(&key.id, id, strlen(id));
	struct verify_question *question = verify_ids_find(&fold->all, &key);
	struct verify_row row = {.v = fold->v,
		.stream = VERIFY_CONTROL,
		.noun = "interaction",
		.tenant = &key.tenant,
		.id = id,
		.direct = strcmp(leat_pg_text(page, at, VERIFY_QUESTION_DIRECT), "t") == 0};
	if (question != NULL && question->there && strcmp(question->status, "open") == 0 &&
		strcmp(leat_pg_text(page, at, VERIFY_QUESTION_STATUS), "answered") == 0)
		row.direct_fields = claimed;
	bool all = verify_knows_all(fold->v, VERIFY_CONTROL);
	bool by_sql = verify_row_is_by_sql(leat_pg_text(page, at, VERIFY_QUESTION_POSITION));
	if (!by_sql)
		baseline_add_row(fold->v, "interaction", page, at, VERIFY_QUESTION_COLUMNS, columns);
	if (question == NULL && by_sql)
		verify_row_report(&row, LEAT_VERIFY_OUT_OF_BAND, NULL, NULL, 0, "inserted past the streams");
	else if ((question == NULL && !all) || (question != NULL && question->unsure) ||
		((question == NULL || !question->there) && verify_row_is_lost(&row)))
		verify_count_unknown(fold->v, &verify_interactions, 1);
	else if (question == NULL || !question->there)
		verify_row_report(&row, LEAT_VERIFY_EXTRA, leat_pg_text(page, at, VERIFY_QUESTION_STATUS), NULL,
			question == NULL ? 0 : question->position, question == NULL ? "no interaction.ask in the stream made it" : "it was withdrawn");
	else
		verify_row_compare(&row, &verify_interactions, compare_columns, &(struct held){question, page, at, all || question->whole});
	verify_row_end(&row);
	if (question != NULL)
		question->seen = true;
}

/* tenant, id: of direct calls whose question is gone */
static void note_withdrawn(void *of, const struct leat_pg_result *page, size_t at)
{
	struct verify_questions *fold = of;
	struct verify_id key = {0};
	const char *tenant = leat_pg_text(page, at, 0);
	const char *id = leat_pg_text(page, at, 1);
	leat_uuid_parse(&key.tenant, tenant, strlen(tenant));
	leat_uuid_parse(&key.id, id, strlen(id));
	struct verify_question *question = verify_ids_find(&fold->all, &key);
	struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "interaction", .tenant = &key.tenant, .id = id};
	verify_row_report(&row, LEAT_VERIFY_OUT_OF_BAND, NULL, NULL, 0, "withdrawn by a direct call");
	if (question != NULL)
		question->seen = true;
}

enum leat_kind verify_compare_interactions(void *of, struct leat_error *err)
{
	struct verify_questions *fold = of;
	if (verify_each_row(fold->v, &verify_interactions,
			"select i.tenant_id, i.id, i.connection_id, i.expected_user_id, i.payload, i.run_id, i.node_id, i.status, i.value, i.position,"
			" " VERIFY_US("i.created_at") ", " VERIFY_US("i.asked_at") ", " VERIFY_US("i.expires_at") ", " VERIFY_US(
				"i.claimed_at") ", " VERIFY_DIRECT("interaction", "i.tenant_id", "i.id") " from leat.interactions i where true",
			"i.id", compare_question, fold, err) != LEAT_OK)
		return err->kind;
	if (verify_each_row(fold->v, NULL,
			"select d.tenant_id, d.id from leat.direct_changes d where d.noun = 'interaction' and not exists"
			" (select from leat.interactions i where i.tenant_id = d.tenant_id and i.id = d.id)",
			"d.id", note_withdrawn, fold, err) != LEAT_OK)
		return err->kind;
	struct verify_id key;
	struct verify_question *question;
	for (size_t at = 0; (question = verify_ids_next(&fold->all, &at, &key)) != NULL;) {
		char id[LEAT_UUID_TEXT_BYTES];
		leat_uuid_format(&key.id, id);
		struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "interaction", .tenant = &key.tenant, .id = id};
		if (question->there && !question->seen && !question->unsure && !verify_row_is_lost(&row))
			verify_row_report(&row, LEAT_VERIFY_MISSING, NULL, question->status, question->position, NULL);
	}
	return LEAT_OK;
}
