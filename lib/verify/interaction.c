/*
 * Questions, as the fold of interaction.ask, answer, withdraw and expire, held against leat.interactions. Who won a question is what the
 * ledger says: of all answers only the winner's is applied, and of those that were to expire `expired` names the ones that did.
 *
 * `generation` is not compared: it is how often the node had been retried when the question was asked, which is the run lane's business and
 * in no message. What was withdrawn is remembered: a row that is there all the same is a finding.
 */
#include "ids.h"
#include "reading.h"
#include "row.h"

#include <stdlib.h>
#include <string.h>

#define TTL_S 86400 /* where whoever asks does not say: design.md section 7 */
#define SECOND_US INT64_C(1000000)

struct question {
	bool there; /* false: withdrawn */
	char *connection;
	char *user;
	char *payload;
	char *run;
	char *node;
	char *value;
	const char *status;
	int64_t position;
	int64_t created_us;
	int64_t asked_us;
	int64_t expires_us;
	int64_t claimed_us;
	size_t bytes;
	bool whole;  /* it began with what was seen */
	bool unsure; /* one that the ledger does not know was among its intents */
	bool seen;
};

struct questions {
	struct verify *v;
	struct verify_ids all;
	size_t bytes;
};

static void clear(struct questions *fold, struct question *question)
{
	free(question->connection);
	free(question->user);
	free(question->payload);
	free(question->run);
	free(question->node);
	free(question->value);
	fold->bytes -= question->bytes;
	question->connection = question->user = question->payload = question->run = question->node = question->value = NULL;
	question->bytes = 0;
}

static void *open_fold(struct verify *v, struct leat_error *err)
{
	(void)err;
	struct questions *fold = leat_alloc_zero(1, sizeof *fold);
	fold->v = v;
	return fold;
}

static void drop(void *of, void *value)
{
	clear(of, value);
	free(value);
}

static void close_fold(void *of)
{
	struct questions *fold = of;
	verify_ids_drop(&fold->all, drop, fold);
	free(fold);
}

static size_t bytes_of(const void *of)
{
	const struct questions *fold = of;
	return fold->bytes + fold->all.room * sizeof *fold->all.slots + fold->all.count * sizeof(struct question);
}

static void narrow(void *of)
{
	struct questions *fold = of;
	verify_ids_narrow(&fold->all, fold->v, drop, fold);
}

/* ---- facts ---- */

static char *member_text(const struct leat_json *body, const char *name)
{
	struct leat_json value = verify_json_member(body, name);
	return verify_copy_text(&value);
}

static char *member_uuid(const struct leat_json *body, const char *name)
{
	struct leat_json value = verify_json_member(body, name);
	return verify_copy_uuid(&value);
}

static char *member_json(const struct leat_json *body, const char *name)
{
	struct leat_json value = verify_json_member(body, name);
	return verify_copy_source(&value);
}

/* As if it were new, but for when it was asked first. */
static void ask(struct questions *fold, struct question *question, const struct verify_fact *fact, const struct leat_json *body)
{
	struct leat_json ttl = verify_json_member(body, "ttl_s");
	clear(fold, question);
	question->connection = member_text(body, "connection_id");
	question->user = member_uuid(body, "expected_user_id");
	question->payload = member_json(body, "payload");
	question->run = member_uuid(body, "run_id");
	question->node = member_text(body, "node_id");
	question->status = "open";
	question->created_us = question->there ? question->created_us : fact->at_us;
	question->asked_us = fact->at_us;
	question->expires_us = fact->at_us + verify_number(&ttl, TTL_S) * SECOND_US;
	question->claimed_us = VERIFY_NEVER;
	question->there = true;
	question->bytes = fact->body_bytes + 128;
	fold->bytes += question->bytes;
}

static void answer(struct questions *fold, struct question *question, const struct verify_fact *fact, const struct leat_json *body)
{
	free(question->value);
	question->value = member_json(body, "value");
	question->status = "answered";
	question->claimed_us = fact->at_us;
	question->bytes += fact->body_bytes;
	fold->bytes += fact->body_bytes;
}

static struct question *find(const struct questions *fold, const struct verify_fact *fact, const struct leat_uuid *id)
{
	const struct verify_id key = {.tenant = fact->intent->subject.tenant, .id = *id};
	return verify_ids_find(&fold->all, &key);
}

static void expire(struct questions *fold, const struct verify_fact *fact)
{
	struct leat_json expired = verify_json_member(&fact->detail, "expired");
	for (size_t i = 0; fact->hole && i < fact->intent->target_count; i++) {
		struct question *question = find(fold, fact, &fact->intent->targets[i]);
		if (question != NULL)
			question->unsure = true;
	}
	if (expired.type != LEAT_JSON_ARRAY)
		return;
	struct leat_json_walk walk = leat_json_walk(&expired);
	for (struct leat_json name, value; leat_json_next(&walk, &name, &value);) {
		struct leat_uuid id;
		char *text = verify_copy_text(&value);
		struct question *question = leat_uuid_parse(&id, text, strlen(text)) ? find(fold, fact, &id) : NULL;
		free(text);
		if (question == NULL)
			continue;
		question->status = "expired";
		question->position = fact->position;
	}
}

static void feed(void *of, const struct verify_fact *fact)
{
	struct questions *fold = of;
	if (strcmp(fact->intent->type->noun, "interaction") != 0)
		return;
	const char *verb = fact->intent->type->verb;
	if (strcmp(verb, "expire") == 0) {
		expire(fold, fact);
		return;
	}
	if (!verify_in_pass(fold->v, &fact->intent->target))
		return;
	struct leat_json body = verify_json(fact->body, fact->body_bytes);
	struct question *question = find(fold, fact, &fact->intent->target);
	if (question == NULL && strcmp(verb, "ask") != 0)
		return; /* asked before the stream begins */
	if (question == NULL) {
		const struct verify_id key = {.tenant = fact->intent->subject.tenant, .id = fact->intent->target};
		question = leat_alloc_zero(1, sizeof *question);
		verify_ids_add(&fold->all, &key, question);
	}
	question->position = fact->position;
	question->unsure = question->unsure || fact->hole;
	if (strcmp(verb, "ask") == 0) {
		ask(fold, question, fact, &body);
	} else if (strcmp(verb, "answer") == 0) {
		answer(fold, question, fact, &body);
	} else {
		clear(fold, question);
		question->there = false;
		question->whole = true;
	}
}

/* ---- the table ---- */

/* Page: tenant, id, connection, user, payload, run, node, status, value, position, created, asked, expires, claimed, direct */
struct held {
	const struct question *question;
	const struct leat_pg_result *page;
	size_t at;
	bool whole;
};

/* A question that was withdrawn by a direct call is a new one when it is asked again. */
static bool was_asked_anew(const struct verify_row *row, const struct leat_pg_result *page, size_t at)
{
	return row->direct && strcmp(leat_pg_text(page, at, 10), leat_pg_text(page, at, 11)) == 0;
}

static void compare_columns(struct verify_row *row, const void *of)
{
	const struct held *held = of;
	const struct question *question = held->question;
	const struct leat_pg_result *page = held->page;
	size_t at = held->at;
	int64_t position = question->position;
	verify_row_text(row, "connection_id", leat_pg_text(page, at, 2), question->connection, position);
	verify_row_text(row, "expected_user_id", leat_pg_text(page, at, 3), question->user, position);
	verify_row_json(row, "payload", leat_pg_text(page, at, 4), question->payload, position);
	verify_row_text(row, "run_id", leat_pg_text(page, at, 5), question->run, position);
	verify_row_text(row, "node_id", leat_pg_text(page, at, 6), question->node, position);
	verify_row_text(row, "status", leat_pg_text(page, at, 7), question->status, position);
	verify_row_json(row, "value", leat_pg_text(page, at, 8), question->value, position);
	if (held->whole && !was_asked_anew(row, page, at))
		verify_row_time(row, "created_at", leat_pg_text(page, at, 10), question->created_us, position);
	verify_row_time(row, "asked_at", leat_pg_text(page, at, 11), question->asked_us, position);
	verify_row_time(row, "expires_at", leat_pg_text(page, at, 12), question->expires_us, position);
	verify_row_time(row, "claimed_at", leat_pg_text(page, at, 13), question->claimed_us, position);
	verify_row_stamp(row, leat_pg_text(page, at, 9), position);
}

/* What leat.claim_interaction changes, and only in an open question. */
static const char *const claimed[] = {"status", "claimed_at", NULL};

static void compare_question(void *of, const struct leat_pg_result *page, size_t at)
{
	struct questions *fold = of;
	struct verify_id key = {0};
	const char *tenant = leat_pg_text(page, at, 0);
	const char *id = leat_pg_text(page, at, 1);
	leat_uuid_parse(&key.tenant, tenant, strlen(tenant));
	leat_uuid_parse(&key.id, id, strlen(id));
	struct question *question = verify_ids_find(&fold->all, &key);
	struct verify_row row = {.v = fold->v,
		.stream = VERIFY_CONTROL,
		.noun = "interaction",
		.tenant = &key.tenant,
		.id = id,
		.direct = strcmp(leat_pg_text(page, at, 14), "t") == 0};
	if (question != NULL && question->there && strcmp(question->status, "open") == 0 && strcmp(leat_pg_text(page, at, 7), "answered") == 0)
		row.direct_fields = claimed;
	bool all = verify_knows_all(fold->v, VERIFY_CONTROL);
	if (question == NULL && strcmp(leat_pg_text(page, at, 9), "0") == 0)
		verify_row_report(&row, LEAT_VERIFY_OUT_OF_BAND, NULL, NULL, 0, "inserted past the streams");
	else if ((question == NULL && !all) || (question != NULL && question->unsure) ||
		((question == NULL || !question->there) && verify_row_is_lost(&row)))
		verify_count_unknown(fold->v, &verify_interactions, 1);
	else if (question == NULL || !question->there)
		verify_row_report(&row, LEAT_VERIFY_EXTRA, leat_pg_text(page, at, 7), NULL, question == NULL ? 0 : question->position,
			question == NULL ? "no interaction.ask in the stream made it" : "it was withdrawn");
	else
		verify_row_compare(&row, &verify_interactions, compare_columns, &(struct held){question, page, at, all || question->whole});
	verify_row_end(&row);
	if (question != NULL)
		question->seen = true;
}

/* tenant, id: of direct calls whose question is gone */
static void note_withdrawn(void *of, const struct leat_pg_result *page, size_t at)
{
	struct questions *fold = of;
	struct verify_id key = {0};
	const char *tenant = leat_pg_text(page, at, 0);
	const char *id = leat_pg_text(page, at, 1);
	leat_uuid_parse(&key.tenant, tenant, strlen(tenant));
	leat_uuid_parse(&key.id, id, strlen(id));
	struct question *question = verify_ids_find(&fold->all, &key);
	struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "interaction", .tenant = &key.tenant, .id = id};
	verify_row_report(&row, LEAT_VERIFY_OUT_OF_BAND, NULL, NULL, 0, "withdrawn by a direct call");
	if (question != NULL)
		question->seen = true;
}

static enum leat_kind compare(void *of, struct leat_error *err)
{
	struct questions *fold = of;
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
	struct question *question;
	for (size_t at = 0; (question = verify_ids_next(&fold->all, &at, &key)) != NULL;) {
		char id[LEAT_UUID_TEXT_BYTES];
		leat_uuid_format(&key.id, id);
		struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "interaction", .tenant = &key.tenant, .id = id};
		if (question->there && !question->seen && !question->unsure && !verify_row_is_lost(&row))
			verify_row_report(&row, LEAT_VERIFY_MISSING, NULL, question->status, question->position, NULL);
	}
	return LEAT_OK;
}

const struct verify_fold verify_interactions = {.noun = "interactions",
	.streams = 1u << VERIFY_CONTROL,
	.open = open_fold,
	.feed = feed,
	.narrow = narrow,
	.bytes = bytes_of,
	.compare = compare,
	.close = close_fold};
