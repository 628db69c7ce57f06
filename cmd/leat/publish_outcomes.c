/*
 * Outcomes, printed in the order of their lines. They come in any order, some twice (a redelivered intent repeats its reply), some never:
 * without a consumer nobody answers.
 */
#include "publish.h"

#include "leat/clock.h"
#include "leat/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct collection {
	const struct publish_message *messages;
	struct leat_msg *replies; /* `handle` is NULL where there is none yet */
	size_t count;
	size_t printed; /* all before are */
	bool all_well;
};

static bool is_rejected(const struct leat_msg *reply)
{
	struct leat_error err;
	struct leat_json json;
	if (leat_json_check(&json, reply->data, reply->data_bytes, PUBLISH_NESTING, &err) != LEAT_OK || json.type != LEAT_JSON_OBJECT)
		return true; /* nothing that a consumer says */
	LEAT_BUF_SCOPED scratch = LEAT_BUF_INIT;
	struct leat_json_walk walk = leat_json_walk(&json);
	struct leat_json name;
	struct leat_json value;
	while (leat_json_next(&walk, &name, &value)) {
		struct leat_text key = leat_json_text(&name, &scratch);
		if (key.bytes == 6 && memcmp(key.at, "status", 6) == 0) {
			struct leat_text status = leat_json_text(&value, &scratch);
			return status.bytes == 8 && memcmp(status.at, "rejected", 8) == 0;
		}
	}
	return true;
}

/* Prints what is there up to the first gap. */
static void print_ready(struct collection *all)
{
	for (; all->printed < all->count && all->replies[all->printed].handle != NULL; all->printed++) {
		struct leat_msg *reply = &all->replies[all->printed];
		fwrite(reply->data, 1, reply->data_bytes, stdout);
		putchar('\n');
		all->all_well = !is_rejected(reply) && all->all_well;
	}
	fflush(stdout);
}

/* Takes the message. True when it was one that was waited for. */
static bool keep(struct collection *all, struct leat_msg *reply, size_t first)
{
	const char *last_token = strrchr(reply->subject, '.') + 1;
	uint64_t index = strtoull(last_token, NULL, 10);
	if (index < first || index - first >= all->count || all->replies[index - first].handle != NULL) {
		leat_msg_free(reply);
		return false;
	}
	all->replies[index - first] = *reply;
	return true;
}

static void print_rest(struct collection *all, int64_t timeout_ms)
{
	size_t missing = 0;
	size_t line = 0;
	while (print_ready(all), all->printed < all->count) {
		if (missing++ == 0)
			line = all->messages[all->printed].line;
		all->printed++;
	}
	if (missing == 0)
		return;
	all->all_well = false;
	fprintf(stderr, "leat publish: line %zu", line);
	if (missing > 1)
		fprintf(stderr, " and %zu more", missing - 1);
	fprintf(stderr, ": published, but no outcome within %" PRId64 " s; is a consumer running? see `leat status`\n", timeout_ms / 1000);
}

bool publish_outcomes_print(
	struct leat_inbox *inbox, const struct publish_message *messages, size_t count, size_t first, int64_t timeout_ms)
{
	struct collection all = {messages, leat_alloc_zero(count, sizeof *all.replies), count, 0, true};
	int64_t deadline_ms = leat_clock_ms() + timeout_ms;
	for (size_t came = 0; came < count && leat_clock_ms() < deadline_ms;) {
		struct leat_msg reply;
		struct leat_error err;
		if (leat_inbox_next(inbox, deadline_ms - leat_clock_ms(), &reply, &err) != LEAT_OK || !keep(&all, &reply, first))
			continue;
		came++;
		deadline_ms = leat_clock_ms() + timeout_ms;
		print_ready(&all);
	}
	print_rest(&all, timeout_ms);
	for (size_t i = 0; i < count; i++)
		leat_msg_free(&all.replies[i]);
	free(all.replies);
	return all.all_well;
}
