/*
 * Two ways to say the same, as the tables of messages and of node types have them: each a field, or two with a blank between them that go
 * together: {"entity_id", "entity_type key"}. Nobody mixes them. {NULL, NULL} for none.
 */
#ifndef LEAT_EITHER_H
#define LEAT_EITHER_H

#include "leat/buf.h"

#include <stdbool.h>

/* Which of the two has this field; -1 when none has. */
int leat_either_way(const char *const either[2], const char *field);
/* "run_id or agent_id"; "entity_id, or entity_type and key" */
void leat_either_write(struct leat_buf *out, const char *const either[2]);

/* What of either way was sent: of each the last field that was and the last that was not, or NULL. Zero-initialise. */
struct leat_either {
	const char *sent[2];
	const char *missing[2];
};

void leat_either_note(struct leat_either *found, const char *const either[2], const char *field, bool sent);

#endif
