/* A dead letter, read from its message. */
#ifndef LEAT_DEAD_H
#define LEAT_DEAD_H

#include "leat/bus.h"
#include "leat/param.h"

#define DEAD_STREAM "LEAT_DEAD"
#define DEAD_SUBJECTS "leat.dead.>"

/* Texts are borrowed from the message; "" where it has none. */
struct dead_letter {
	const struct leat_msg *msg;
	char tenant[40];    /* "" when it could not be told */
	const char *intent; /* noun.verb; the subject it came on when that could not be told */
	const char *code;
	const char *error;
	const char *origin_stream;
	const char *origin_seq;
};

void dead_letter_read(struct dead_letter *out, const struct leat_msg *msg);

/* `leat dead show SEQ` */
int dead_show(const struct leat_params *params, int argc, char **argv);

#endif
