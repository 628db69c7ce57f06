/*
 * The query lane's NATS side: requests are taken and decoded, answers sent.
 *
 * An answer goes where the request says, and who asks may say anything: the server checks no permission there. So nothing is sent to
 * Leat's own subjects, or to the server's, where an answer could be taken for an event or for an order.
 */
#include "query.h"

#include "leat/log.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECT "leat.query.>"

bool query_open_inbox(struct query_lane *q)
{
	struct leat_error err;
	if (q->inbox != NULL)
		return true;
	if (leat_inbox_join(&q->inbox, q->link.bus, SUBJECT, q->params->queue_group, &err) != LEAT_OK) {
		lane_link_wait(&q->link, "waiting for NATS", err.text);
		return false;
	}
	q->link.backoff.next_ms = 0;
	return true;
}

void query_end_inbox(struct query_lane *q)
{
	if (!q->ended)
		leat_inbox_end(q->inbox);
	q->ended = true;
}

void query_close_inbox(struct query_lane *q)
{
	leat_inbox_close(q->inbox);
	q->inbox = NULL;
	q->ended = false;
}

static void drop(struct query_request *request)
{
	leat_intent_fini(&request->intent);
	leat_msg_free(&request->msg);
}

void query_drop(struct query_lane *q)
{
	for (size_t i = 0; i < q->count; i++)
		drop(&q->hand[i]);
	q->count = 0;
}

/* ---- answers ---- */

bool query_may_reply(const char *subject)
{
	return *subject != '\0' && *subject != '$' && strncmp(subject, "leat.", strlen("leat.")) != 0;
}

static char *refusal(enum leat_code code, const char *why)
{
	json_auto_t *answer = json_pack("{s:s, s:s, s:s}", "status", "rejected", "code", leat_code_name(code), "message", why);
	assert(answer != NULL);
	return json_dumps(answer, JSON_COMPACT | JSON_PRESERVE_ORDER);
}

static enum leat_kind send_answer(struct query_lane *q, const struct leat_msg *msg, const char *answer, struct leat_error *err)
{
	return leat_bus_publish(q->link.bus, msg->reply, NULL, answer, strlen(answer), err);
}

static void refuse(struct query_lane *q, const struct leat_msg *msg, enum leat_code code, const char *why);

/* A server with a lower limit than before may have taken over. */
static void send_or_log(struct query_lane *q, const struct leat_msg *msg, const char *answer)
{
	struct leat_error err;
	enum leat_kind kind = send_answer(q, msg, answer, &err);
	if (kind == LEAT_PERMANENT && err.code == LEAT_CODE_TOO_LARGE) {
		refuse(q, msg, LEAT_CODE_TOO_LARGE, err.text);
		return;
	}
	if (kind != LEAT_OK && !q->mute)
		leat_log(LEAT_LOG_WARN, "query", "an answer could not be sent: %s", err.text);
	q->mute = kind != LEAT_OK;
}

static void refuse(struct query_lane *q, const struct leat_msg *msg, enum leat_code code, const char *why)
{
	char *answer = refusal(code, why);
	send_or_log(q, msg, answer);
	free(answer);
	leat_lane_count(q->lane, LEAT_COUNT_REJECTED, 1);
}

void query_reply(struct query_lane *q, size_t at, const char *answer)
{
	send_or_log(q, &q->hand[at].msg, answer);
	leat_lane_count(q->lane, LEAT_COUNT_ANSWERED, 1);
}

void query_turn_away(struct query_lane *q, const char *why)
{
	for (size_t i = 0; i < q->count; i++)
		refuse(q, &q->hand[i].msg, LEAT_CODE_INTERNAL, why);
	query_drop(q);
}

void query_drop_last(struct query_lane *q, const char *why)
{
	struct query_request *last = &q->hand[q->count - 1];
	if (why != NULL)
		refuse(q, &last->msg, LEAT_CODE_INTERNAL, why);
	drop(last);
	q->count--;
}

/* ---- requests ---- */

/* Takes the message: into the hand, or answered, or dropped when nobody waits for an answer. */
static void receive(struct query_lane *q, struct leat_msg *msg)
{
	struct query_request *request = &q->hand[q->count];
	struct leat_error err;
	*request = (struct query_request){.msg = *msg};
	const struct leat_raw_intent raw = {
		.subject = msg->subject,
		.body = msg->data_bytes > 0 ? msg->data : "{}", /* a request without a body asks for the defaults */
		.body_bytes = msg->data_bytes > 0 ? msg->data_bytes : strlen("{}"),
		.actor = leat_msg_header(msg, "Leat-Actor"),
	};
	if (!query_may_reply(msg->reply)) {
		leat_log(LEAT_LOG_DEBUG, "query", "a request on %s has no reply subject, or one that is not answered", msg->subject);
		drop(request);
	} else if (leat_query_decode(&request->intent, &raw, q->params, &err) != LEAT_OK) {
		refuse(q, msg, err.code, err.text);
		drop(request);
	} else {
		q->count++;
	}
}

bool query_take(struct query_lane *q, int64_t timeout_ms)
{
	struct leat_msg msg;
	struct leat_error none;
	assert(q->count == 0);
	bool came = false;
	while (q->count < QUERY_HAND && leat_inbox_next(q->inbox, came ? 0 : timeout_ms, &msg, &none) == LEAT_OK) {
		receive(q, &msg);
		came = true;
	}
	q->give_up_ms = leat_clock_ms() + q->params->query_wait_ms;
	return came;
}
