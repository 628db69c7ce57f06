/* Outcomes that a command waits for: the replies of consumers to messages that it has published (design.md section 3). */
#ifndef LEAT_OUTCOMES_H
#define LEAT_OUTCOMES_H

#include "leat/buf.h"
#include "leat/bus.h"
#include "leat/uuid.h"

#include <stdbool.h>
#include <stddef.h>

#define OUTCOME_TIMEOUTS 6 /* times publish_timeout_ms: a target that may still come is waited for */

/* Where they come to. Zero-initialise; an inbox that is NULL is not open. */
struct outcomes {
	struct leat_inbox *inbox;
	char token[LEAT_UUID_TEXT_BYTES];
};

/* `tenant`: whose messages they are, "*" for several. */
enum leat_kind outcomes_open(struct outcomes *out, struct leat_bus *bus, const char *tenant, struct leat_error *err)
	__attribute__((warn_unused_result));
void outcomes_close(struct outcomes *outcomes);
/* The header of the message with that index by which its outcome comes here. */
void outcomes_add_header(struct leat_buf *headers, const char *tenant, const char *token, size_t index);

/*
 * Waits for those of `count` messages from index `first` on, of which `expected` were stored, at most `timeout_ms` after the last that
 * came. `take` gets each once, counted from 0, and the reply, which is its to free. Returns how many never came.
 */
size_t outcomes_wait(struct outcomes *outcomes, size_t first, size_t count, size_t expected, int64_t timeout_ms,
	void (*take)(void *context, size_t place, struct leat_msg *reply), void *context);

struct outcome {
	char status[16]; /* "rejected" when it is nothing that a consumer says */
	char code[32];   /* "": none */
};
void outcome_read(struct outcome *out, const struct leat_msg *reply);

#endif
