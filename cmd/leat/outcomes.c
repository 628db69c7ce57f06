/*
 * Waiting for outcomes. They come in any order, some twice (a redelivered intent repeats its reply), some never: without a consumer nobody
 * answers.
 */
#include "outcomes.h"

#include "leat/clock.h"
#include "leat/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NESTING 1010 /* the highest value of max_nesting, and what may be around a body */

enum leat_kind outcomes_open(struct outcomes *out, struct leat_bus *bus, const char *tenant, struct leat_error *err)
{
	struct leat_uuid token;
	leat_uuid_random(&token);
	leat_uuid_format(&token, out->token);
	LEAT_BUF_SCOPED subject = LEAT_BUF_INIT;
	leat_buf_printf(&subject, "leat.reply.%s.%s.*", tenant, out->token);
	return leat_inbox_open(&out->inbox, bus, leat_buf_text(&subject), err);
}

void outcomes_close(struct outcomes *outcomes)
{
	leat_inbox_close(outcomes->inbox);
	outcomes->inbox = NULL;
}

void outcomes_add_header(struct leat_buf *headers, const char *tenant, const char *token, size_t index)
{
	leat_buf_printf(headers, "Leat-Reply-To: leat.reply.%s.%s.%zu\r\n", tenant, token, index);
}

/* False: it is none that is waited for (any more). */
static bool find_place(const struct leat_msg *reply, size_t first, size_t count, const bool *came, size_t *place)
{
	uint64_t index = strtoull(strrchr(reply->subject, '.') + 1, NULL, 10);
	*place = index - first;
	return index >= first && *place < count && !came[*place];
}

size_t outcomes_wait(struct outcomes *outcomes, size_t first, size_t count, size_t expected, int64_t timeout_ms,
	void (*take)(void *context, size_t place, struct leat_msg *reply), void *context)
{
	bool *came = leat_alloc_zero(count, sizeof *came);
	size_t missing = expected;
	int64_t deadline_ms = leat_clock_ms() + timeout_ms;
	while (missing > 0 && leat_clock_ms() < deadline_ms) {
		struct leat_msg reply;
		struct leat_error err;
		size_t place;
		if (leat_inbox_next(outcomes->inbox, deadline_ms - leat_clock_ms(), &reply, &err) != LEAT_OK)
			continue;
		if (!find_place(&reply, first, count, came, &place)) {
			leat_msg_free(&reply);
			continue;
		}
		came[place] = true;
		missing--;
		deadline_ms = leat_clock_ms() + timeout_ms;
		take(context, place, &reply);
	}
	free(came);
	return missing;
}

static void copy_member(char *out, size_t bytes, const struct leat_json *value)
{
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_text text = leat_json_text(value, &scratch);
	snprintf(out, bytes, "%.*s", (int)text.bytes, text.at);
}

void outcome_read(struct outcome *out, const struct leat_msg *reply)
{
	struct leat_error err;
	struct leat_json json;
	*out = (struct outcome){.status = "rejected"};
	if (leat_json_check(&json, reply->data, reply->data_bytes, NESTING, &err) != LEAT_OK || json.type != LEAT_JSON_OBJECT)
		return;
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json_walk walk = leat_json_walk(&json);
	struct leat_json name;
	struct leat_json value;
	while (leat_json_next(&walk, &name, &value)) {
		struct leat_text key = leat_json_text(&name, &scratch);
		if (value.type != LEAT_JSON_STRING)
			continue;
		if (key.bytes == 6 && memcmp(key.at, "status", 6) == 0)
			copy_member(out->status, sizeof out->status, &value);
		else if (key.bytes == 4 && memcmp(key.at, "code", 4) == 0)
			copy_member(out->code, sizeof out->code, &value);
	}
}
