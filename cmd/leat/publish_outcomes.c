/* Outcomes, printed in the order of their lines: each as soon as all before it are there. */
#include "publish.h"

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
	struct outcome outcome;
	outcome_read(&outcome, reply);
	return strcmp(outcome.status, "rejected") == 0;
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

static void take(void *context, size_t place, struct leat_msg *reply)
{
	struct collection *all = context;
	all->replies[place] = *reply;
	print_ready(all);
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
	struct outcomes *outcomes, const struct publish_message *messages, size_t count, size_t first, int64_t timeout_ms)
{
	struct collection all = {messages, leat_alloc_zero(count, sizeof *all.replies), count, 0, true};
	if (outcomes_wait(outcomes, first, count, count, timeout_ms, take, &all) > 0)
		print_rest(&all, timeout_ms);
	for (size_t i = 0; i < count; i++)
		leat_msg_free(&all.replies[i]);
	free(all.replies);
	return all.all_well;
}
