/* The parts of `leat publish`: what its words mean, lines from a file, a message from a line, the outcomes that come back. */
#ifndef LEAT_PUBLISH_H
#define LEAT_PUBLISH_H

#include "outcomes.h"

#include "leat/buf.h"
#include "leat/bus.h"
#include "leat/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PUBLISH_NESTING 1010 /* of JSON read here: the highest value of max_nesting, and what may be around a body */

/* ---- publish_lines.c ---- */

struct publish_line {
	size_t number; /* counted from 1, blank ones too */
	const char *text;
	size_t bytes;
};

struct publish_lines {
	int fd;
	bool ended;
	struct leat_buf held; /* what was read */
	size_t taken;         /* of it */
	size_t number;        /* of the line taken last */
};

/* Reads on: waits until there is something new, or the end. What was taken before is gone. */
enum leat_kind publish_lines_read(struct publish_lines *lines, struct leat_error *err) __attribute__((warn_unused_result));
/* The next whole line that is here and not blank, without its line break; the last one may have none. False when there is none. */
bool publish_lines_take(struct publish_lines *lines, struct publish_line *out);
/* Whether publish_lines_take has more than one to give. */
bool publish_lines_several(const struct publish_lines *lines);

/* ---- publish_message.c ---- */

/* What the flags say. NULL where they say nothing. */
struct publish_defaults {
	const char *intent; /* NOUN.VERB; NULL: each line is an envelope */
	const char *tenant;
	const char *role;
	const char *actor;
	const char *id; /* NULL: each message has a random one */
	bool numbered;  /* ids are <id>-1, <id>-2, ... */
	bool wait;
	const char *reply_token; /* with `wait`: replies are sent to leat.reply.<tenant>.<reply_token>.<index> */
};

/* PERMANENT: no message can be sent with these. For those of flags alone, before anything is sent. */
enum leat_kind publish_defaults_check(const struct publish_defaults *says, struct leat_error *err) __attribute__((warn_unused_result));

struct publish_message {
	size_t line;
	struct leat_buf subject;
	struct leat_buf headers;
	struct leat_buf text; /* the body when it was given as "raw" */
	const char *body;     /* borrowed from the line, or from `text` */
	size_t body_bytes;
};

/* `index` counts messages from 0. PERMANENT: the line can't be published; the text says why. Memory of *out is used again. */
enum leat_kind publish_message_make(struct publish_message *out, const struct publish_defaults *defaults, const struct publish_line *line,
	size_t index, struct leat_error *err) __attribute__((warn_unused_result));
void publish_message_fini(struct publish_message *message);

/* ---- publish_words.c ---- */

/* From the words behind the flags: the intent, checked with all that the flags say, and the file; NULL where there is none. */
enum leat_kind publish_take_words(struct publish_defaults *says, const char **path, int argc, char **argv, struct leat_error *err)
	__attribute__((warn_unused_result));

/* ---- publish_outcomes.c ---- */

/*
 * Waits for the replies to `count` messages, the first of which has the given index, and prints each on a line as soon as all before it
 * are; at most `timeout_ms` after the last that came. What has none in time is told on standard error by the number of its line.
 * True when all came and none was rejected.
 */
bool publish_outcomes_print(
	struct outcomes *outcomes, const struct publish_message *messages, size_t count, size_t first, int64_t timeout_ms);

#endif
