/* Two connections that want the same row: what the second does that has waited for the first. */
#ifndef LEAT_TESTS_BESIDE_H
#define LEAT_TESTS_BESIDE_H

#include "intents.h"

/*
 * The first is applied by `gate` and not committed when the others come, as one call on another connection, and wait for it. All must work.
 * `answers`: one for each of the others.
 */
void put_beside(
	struct rig *rig, struct gate *gate, struct message first, const struct message *const *others, size_t count, struct answer *answers);

#endif
