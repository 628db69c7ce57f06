/*
 * The dead letters that one means, in batches. What is added meanwhile is left alone, or a redrive that is rejected again would come back
 * for ever. It fails when NATS does not answer or has no such stream.
 */
#include "dead_choice.h"

#include "leat/buf.h"

#include <stdlib.h>

bool dead_choice_check(struct dead_choice *choice, int argc, char **argv)
{
	choice->words = argc - 1;
	choice->seqs = argv + 1;
	if (!dead_filter_check(choice->command, &choice->filter))
		return false;
	int ways = (choice->words > 0) + choice->all + !choice->filter.any;
	if (ways != 1)
		return command_fail(choice->command, false, "which ones? %s: sequences as `leat dead list` shows them, filters, or --all",
			ways == 0 ? "Say it by one of" : "Only one of");
	uint64_t seq;
	for (int i = 0; i < choice->words; i++)
		if (!dead_parse_seq(choice->seqs[i], &seq))
			return command_fail(choice->command, false, "expected a sequence as `leat dead list` shows it, found \"%s\"", choice->seqs[i]);
	return true;
}

/* The next of those that are named by their sequence. */
static enum leat_kind read_named(
	struct leat_bus *bus, struct dead_choice *choice, int *word, struct leat_msg *letters, size_t *count, struct leat_error *err)
{
	for (*count = 0; *word < choice->words && *count < DEAD_BATCH; ++*word) {
		uint64_t seq;
		if (!dead_parse_seq(choice->seqs[*word], &seq))
			abort(); /* dead_choice_check let it pass */
		if (dead_read_one(bus, seq, &letters[*count], err) == LEAT_OK) {
			++*count;
		} else if (err->code == LEAT_CODE_NOT_FOUND) {
			command_fail(choice->command, 0, "%s", err->text);
			choice->absent++;
		} else {
			return err->kind;
		}
	}
	return LEAT_OK;
}

enum leat_kind dead_each(struct leat_bus *bus, struct dead_choice *choice,
	enum leat_kind (*take)(void *context, struct leat_msg *letters, size_t count, struct leat_error *err), void *context,
	struct leat_error *err)
{
	struct leat_stream_state state;
	if (leat_stream_get_state(bus, DEAD_STREAM, &state, err) != LEAT_OK)
		return err->kind;
	uint64_t seq = state.first_seq;
	if (leat_stream_find_time(bus, DEAD_STREAM, choice->filter.since_ns, &seq, err) != LEAT_OK)
		return err->kind;
	struct leat_msg *letters = leat_alloc(DEAD_BATCH * sizeof *letters);
	int word = 0;
	enum leat_kind kind = LEAT_OK;
	while (kind == LEAT_OK && (choice->words > 0 ? word < choice->words : seq <= state.last_seq)) {
		size_t count;
		kind = choice->words > 0 ? read_named(bus, choice, &word, letters, &count, err)
								 : dead_read(bus, &choice->filter, &seq, state.last_seq, letters, DEAD_BATCH, &count, err);
		if (kind == LEAT_OK && count > 0)
			kind = take(context, letters, count, err);
		for (size_t i = 0; i < count; i++)
			leat_msg_free(&letters[i]);
	}
	free(letters);
	return kind;
}
