/* Redrives for the gates of tests/integration/intents.h: a message that the decoder rejects, and the same one sent again. */
#ifndef LEAT_TESTS_REDRIVING_H
#define LEAT_TESTS_REDRIVING_H

#include "intents.h"

#include <stdio.h>
#include <string.h>

/* As if Postgres had refused it for good. */
static inline struct message refused(struct message message)
{
	message.code = "internal";
	return message;
}

/* `origin` again, at `seq`. The header block lives until 64 more were made. `more`: further headers, or "". */
static inline struct message redrive_with(int64_t seq, struct message origin, const char *more)
{
	static char blocks[64][256];
	static size_t next;
	char *block = blocks[next++ % 64];
	const char *noun = origin.noun != NULL ? origin.noun : "entity";
	const char *stream = strcmp(noun, "entity") == 0 ? "LEAT_ENTITY" : strcmp(noun, "run") == 0 ? "LEAT_RUN" : "LEAT_CONTROL";
	snprintf(block, 256,
		"Leat-Actor: tests\r\nLeat-Origin-Subject: leat.intent." RIG_TENANT_A ".service.%s.%s\r\nLeat-Origin-Stream: %s\r\n"
		"Leat-Origin-Seq: %ld\r\nLeat-Origin-Position: %ld\r\n%s",
		noun, origin.verb, stream, (long)origin.seq, (long)origin.seq, more);
	origin.code = NULL;
	origin.redrive = true;
	origin.seq = seq;
	origin.at_ms = 0;
	origin.headers = block;
	return origin;
}

static inline struct message redrive(int64_t seq, struct message origin)
{
	return redrive_with(seq, origin, "");
}

#endif
