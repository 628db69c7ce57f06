/*
 * Dead letters: reading one from its message, and finding those that one means. dead.c is the command, dead_find.c finds, the others are
 * one subcommand each.
 */
#ifndef LEAT_DEAD_H
#define LEAT_DEAD_H

#include "command.h"

#include "leat/bus.h"
#include "leat/param.h"

#include <stddef.h>

#define DEAD_STREAM "LEAT_DEAD"
#define DEAD_SUBJECTS "leat.dead.>"

/* Texts are borrowed from the message; "" where it has none. */
struct dead_letter {
	const struct leat_msg *msg;
	char tenant[40];    /* "" when it could not be told */
	const char *intent; /* noun.verb; the subject it came on when that could not be told */
	const char *code;
	const char *error;
	const char *origin_subject; /* the origin is the message that was rejected first */
	const char *origin_stream;
	const char *origin_seq;
	const char *origin_position; /* as the ledger has it */
};

void dead_letter_read(struct dead_letter *out, const struct leat_msg *msg);
/* A sequence as `leat dead list` shows it. */
bool dead_parse_seq(const char *text, uint64_t *out);

/* Which ones: what the flags say, NULL for any; the rest is dead_filter_check's. */
struct dead_filter {
	const char *tenant;
	const char *code;
	const char *noun;
	const char *verb; /* NOUN.VERB */
	const char *since;
	char subject[600];
	int64_t since_ns;
	bool any;         /* every dead letter matches */
	bool saw_too_old; /* set while reading: there was one from before `since`, and so are all before it */
};

#define DEAD_FILTER_FLAGS(filter)                                                                                                          \
	{.name = "--tenant", .text = &(filter).tenant}, {.name = "--code", .text = &(filter).code},                                            \
		{.name = "--noun", .text = &(filter).noun}, {.name = "--verb", .text = &(filter).verb},                                            \
	{                                                                                                                                      \
		.name = "--since", .text = &(filter).since                                                                                         \
	}

/* False when a flag makes no sense, and then it was said. */
bool dead_filter_check(const char *command, struct dead_filter *filter) __attribute__((warn_unused_result));

/*
 * Those that match from sequence *seq to `last`, oldest first, at most `most` into `out`; *count of them, each to be freed. *seq is where
 * to go on: above `last` when there are no more.
 */
enum leat_kind dead_read(struct leat_bus *bus, struct dead_filter *filter, uint64_t *seq, uint64_t last, struct leat_msg *out, size_t most,
	size_t *count, struct leat_error *err) __attribute__((warn_unused_result));
/* The one with that sequence; PERMANENT with not_found when there is none. Free it. */
enum leat_kind dead_read_one(struct leat_bus *bus, uint64_t seq, struct leat_msg *out, struct leat_error *err)
	__attribute__((warn_unused_result));

int dead_list(const struct leat_params *params, int argc, char **argv);
int dead_show(const struct leat_params *params, int argc, char **argv);
int dead_redrive(const struct leat_params *params, int argc, char **argv);
int dead_discard(const struct leat_params *params, int argc, char **argv);

#endif
