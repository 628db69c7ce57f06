/*
 * The advance lane's orders: run.resume messages, one to a slot, and never more fetched than slots are free.
 *
 * The happy path: resumes are read, and take a slot each; all that is ready of their runs is claimed together. One that names an agent
 * becomes a resume for each of the agent's runs.
 *
 * Possible failures: it can't be read, or its sender may not: a dead letter. Its run is not there: a dead letter too, unless it is so new
 * that the run.start may be on its way. Postgres is away, or somebody locks the run's row: it is given back, and comes again a little
 * later.
 */
#include "advance.h"

#include "leat/intent.h"
#include "leat/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Their runs' rows are locked together. */
enum { CLAIM_AT_ONCE = 16 };

/* What a message says. Borrowed from it. */
struct resume {
	struct leat_intent intent;
	struct leat_raw_intent raw;
	char tenant[LEAT_UUID_TEXT_BYTES];
	char run[LEAT_UUID_TEXT_BYTES]; /* "": none */
	struct leat_buf agent;
};

static void give_back(struct advance_lane *a, struct leat_msg *msg, int64_t delay_ms)
{
	leat_msg_nak(a->link.bus, msg, delay_ms);
	leat_msg_free(msg);
}

static void done(struct advance_lane *a, struct leat_msg *msg)
{
	leat_msg_ack(a->link.bus, msg);
	leat_msg_free(msg);
}

/* Something failed in Postgres: lost, or a refusal that may pass, or one that may not and is told. */
static void put_off(struct advance_lane *a, struct leat_msg *msg, const struct leat_error *err)
{
	bool alive = leat_pg_alive(a->link.pg);
	if (err->kind == LEAT_PERMANENT)
		leat_log(LEAT_LOG_ERROR, "advance", "message %" PRIu64 " of LEAT_WORK can't be worked on: %s", msg->seq, err->text);
	if (!alive)
		advance_lose_postgres(a, err->text);
	give_back(a, msg, err->kind == LEAT_PERMANENT ? ADVANCE_FAILED_AGAIN_MS : ADVANCE_AGAIN_MS);
}

/* The sender hears it too, if it asked for the outcome. */
static void tell_refusal(struct advance_lane *a, const struct leat_msg *msg, const char *reply_to, const char *code, const char *why)
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	struct leat_error err;
	leat_buf_printf(&body, "{\"status\":\"rejected\",\"position\":%" PRIu64 ",\"code\":\"%s\",\"message\":", msg->seq, code);
	advance_add_text(&body, why);
	leat_buf_add_text(&body, "}");
	if (leat_bus_publish(a->link.bus, reply_to, NULL, body.data, body.len, &err) != LEAT_OK)
		leat_log(LEAT_LOG_WARN, "advance", "reply to %s not sent: %s", reply_to, err.text);
}

/* To the dead letters, with the reason. Takes the message. */
static void refuse(struct advance_lane *a, struct leat_msg *msg, const struct resume *resume, const char *code, const char *why)
{
	LEAT_BUF_SCOPED headers = LEAT_BUF_INIT;
	struct leat_pg_array head = {0};
	struct leat_pg_array body = {0};
	struct leat_pg_params params = {0};
	struct leat_error err;
	leat_msg_add_headers(msg, &headers);
	leat_pg_array_start(&head, LEAT_PG_BYTES);
	leat_pg_array_add_bytes(&head, leat_buf_text(&headers), headers.len);
	leat_pg_array_start(&body, LEAT_PG_BYTES);
	leat_pg_array_add_bytes(&body, msg->data, msg->data_bytes);
	leat_pg_bind_int8(&params, (int64_t)msg->seq);
	leat_pg_bind_text(&params, resume->intent.subject.routable ? resume->tenant : NULL);
	leat_pg_bind_text(&params, msg->subject);
	leat_pg_bind_text(&params, code);
	leat_pg_bind_text(&params, why);
	leat_pg_bind_only_element(&params, &head);
	leat_pg_bind_only_element(&params, &body);
	if (leat_pg_run(a->link.pg, "bury", &params, NULL, &err) != LEAT_OK) {
		put_off(a, msg, &err);
	} else {
		leat_lane_count(a->lane, LEAT_COUNT_REJECTED, 1);
		if (resume->intent.reply_to != NULL)
			tell_refusal(a, msg, resume->intent.reply_to, code, why);
		done(a, msg);
	}
	leat_pg_array_free(&head);
	leat_pg_array_free(&body);
}

static enum leat_kind read_resume(struct advance_lane *a, const struct leat_msg *msg, struct resume *out, struct leat_error *err)
{
	struct leat_json body;
	*out = (struct resume){.raw = {
							   .subject = msg->subject,
							   .body = msg->data,
							   .body_bytes = msg->data_bytes,
							   .id = leat_msg_header(msg, "Leat-Id"),
							   .actor = leat_msg_header(msg, "Leat-Actor"),
							   .reply_to = leat_msg_header(msg, "Leat-Reply-To"),
							   .traceparent = leat_msg_header(msg, "traceparent"),
						   }};
	enum leat_kind kind = leat_intent_decode(&out->intent, &out->raw, a->params, err);
	leat_uuid_format(&out->intent.subject.tenant, out->tenant);
	if (kind == LEAT_OK)
		kind = leat_json_check(&body, msg->data, msg->data_bytes, a->params->max_nesting, err);
	if (kind != LEAT_OK)
		return kind;
	const struct leat_json run = advance_member(&body, "run_id");
	const struct leat_json agent = advance_member(&body, "agent_id");
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	if (run.type == LEAT_JSON_STRING) {
		leat_uuid_format(&out->intent.target, out->run);
	} else {
		struct leat_text text = leat_json_text(&agent, &scratch);
		leat_buf_add(&out->agent, text.at, text.bytes);
	}
	return LEAT_OK;
}

/* May it be? Only asked of what others than Leat itself publish. False: the message is settled. */
static bool check(struct advance_lane *a, struct leat_msg *msg, const struct resume *resume)
{
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	struct leat_pg_array at = {0};
	struct leat_pg_params params = {0};
	struct leat_error err;
	if (resume->intent.subject.role == LEAT_ROLE_ENGINE)
		return true;
	leat_pg_array_start(&at, LEAT_PG_TIME);
	leat_pg_array_add_time(&at, msg->timestamp_ns);
	leat_pg_bind_text(&params, resume->tenant);
	leat_pg_bind_text(&params, leat_role_name(resume->intent.subject.role));
	leat_pg_bind_text(&params, resume->intent.actor);
	leat_pg_bind_text(&params, resume->run[0] != '\0' ? resume->run : NULL);
	leat_pg_bind_only_element(&params, &at);
	enum leat_kind kind = leat_pg_run(a->link.pg, "check", &params, &rows, &err);
	leat_pg_array_free(&at);
	if (kind != LEAT_OK) {
		put_off(a, msg, &err);
		return false;
	}
	const char *code = leat_pg_text(rows, 0, 0);
	if (code == NULL)
		return true;
	if (leat_pg_bool(rows, 0, 2))
		give_back(a, msg, ADVANCE_AGAIN_MS);
	else
		refuse(a, msg, resume, code, leat_pg_text(rows, 0, 1));
	return false;
}

static void resume_agent(struct advance_lane *a, struct leat_msg *msg, const struct resume *resume)
{
	LEAT_PG_RESULT_SCOPED *rows = NULL;
	struct leat_pg_params params = {0};
	struct leat_error err;
	leat_pg_bind_text(&params, resume->tenant);
	leat_pg_bind_text(&params, leat_buf_text(&resume->agent));
	leat_pg_bind_text(&params, resume->intent.traceparent);
	if (leat_pg_run(a->link.pg, "resume_agent", &params, &rows, &err) != LEAT_OK) {
		put_off(a, msg, &err);
		return;
	}
	if (resume->intent.reply_to != NULL) {
		LEAT_BUF_SCOPED result = LEAT_BUF_INIT;
		leat_buf_add_text(&result, "{\"agent_id\":");
		advance_add_text(&result, leat_buf_text(&resume->agent));
		leat_buf_printf(&result, ",\"resumed\":%" PRId64 "}", leat_pg_int8(rows, 0, 0));
		advance_reply(a, resume->intent.reply_to, msg->seq, result.data);
	}
	done(a, msg);
}

static struct advance_slot *find_free(struct advance_lane *a)
{
	for (struct advance_slot *slot = a->slots; slot < a->slots + a->params->max_runs; slot++)
		if (!slot->used)
			return slot;
	return NULL;
}

static void claim_alone(struct advance_lane *a, struct advance_slot *slot)
{
	struct leat_error err;
	if (a->link.pg != NULL && advance_claim(a, &slot, 1, &err) == LEAT_OK)
		return;
	struct leat_msg msg = slot->msg;
	free(slot->reply_to);
	*slot = (struct advance_slot){0};
	if (a->link.pg != NULL)
		put_off(a, &msg, &err);
	else
		give_back(a, &msg, ADVANCE_AGAIN_MS);
}

/* For all slots that are fresh; where that can't be done together, for one after the other. */
static void claim_fresh(struct advance_lane *a)
{
	struct advance_slot *fresh[CLAIM_AT_ONCE];
	size_t count = 0;
	struct leat_error err;
	ADVANCE_EACH_SLOT(a, slot)
	{
		assert(!slot->fresh || count < CLAIM_AT_ONCE);
		if (slot->fresh)
			fresh[count++] = slot;
	}
	if (count > 1 && a->link.pg != NULL && advance_claim(a, fresh, count, &err) != LEAT_OK)
		leat_log(LEAT_LOG_DEBUG, "advance", "%zu runs are asked for their nodes one by one: %s", count, err.text);
	for (size_t i = 0; i < count; i++) {
		if (fresh[i]->fresh)
			claim_alone(a, fresh[i]);
	}
	if (count > 0)
		advance_settle_slots(a);
}

static bool is_fresh(const struct advance_lane *a, const char *run)
{
	ADVANCE_EACH_SLOT(a, slot)
	{
		if (slot->fresh && strcmp(slot->run, run) == 0)
			return true;
	}
	return false;
}

static size_t count_fresh(const struct advance_lane *a)
{
	size_t count = 0;
	ADVANCE_EACH_SLOT(a, slot)
	count += slot->fresh;
	return count;
}

static void resume_run(struct advance_lane *a, struct leat_msg *msg, const struct resume *resume)
{
	if (is_fresh(a, resume->run))
		claim_fresh(a);
	struct advance_slot *slot = find_free(a);
	if (resume->intent.reply_to == NULL && advance_has_more(a, resume->run)) { /* it is for others */
		done(a, msg);
		return;
	}
	if (slot == NULL) { /* more came than were asked for: of a request that the server had lost */
		give_back(a, msg, ADVANCE_AGAIN_MS);
		return;
	}
	*slot = (struct advance_slot){.used = true, .fresh = true, .msg = *msg, .tenant_id = resume->intent.subject.tenant};
	memcpy(slot->tenant, resume->tenant, sizeof slot->tenant);
	memcpy(slot->run, resume->run, sizeof slot->run);
	slot->reply_to = resume->intent.reply_to != NULL ? leat_strdup(resume->intent.reply_to) : NULL;
	if (count_fresh(a) == CLAIM_AT_ONCE)
		claim_fresh(a);
}

static void begin(struct advance_lane *a, struct leat_msg *msg)
{
	struct resume resume;
	struct leat_error err;
	if (a->link.pg == NULL || a->drain_until_ms != 0) {
		give_back(a, msg, a->drain_until_ms != 0 ? 0 : ADVANCE_AGAIN_MS);
		return;
	}
	if (read_resume(a, msg, &resume, &err) != LEAT_OK) {
		refuse(a, msg, &resume, leat_code_name(err.code), err.text);
	} else if (check(a, msg, &resume)) {
		if (resume.run[0] != '\0')
			resume_run(a, msg, &resume);
		else
			resume_agent(a, msg, &resume);
	}
	leat_buf_free(&resume.agent);
	leat_intent_fini(&resume.intent);
}

void advance_take_resumes(struct advance_lane *a)
{
	while (a->pull != NULL) {
		struct leat_msg msg;
		struct leat_error err;
		int64_t room = 0;
		for (struct advance_slot *slot = a->slots; slot < a->slots + a->params->max_runs; slot++)
			room += !slot->used;
		leat_pull_set_batch(a->pull, a->link.pg != NULL && a->drain_until_ms == 0 ? room : 0);
		switch (leat_pull_next(a->pull, 0, &msg, &err)) {
		case LEAT_PULL_MESSAGE:
			begin(a, &msg);
			break;
		case LEAT_PULL_EMPTY:
			if (count_fresh(a) == 0)
				return;
			claim_fresh(a);
			break;
		case LEAT_PULL_BROKEN:
			leat_lane_enter(a->lane, "opening the durable again", err.text);
			leat_lane_count(a->lane, LEAT_COUNT_RECONNECTS, 1);
			leat_pull_close(a->pull);
			a->pull = NULL;
			break;
		}
	}
	claim_fresh(a);
}
