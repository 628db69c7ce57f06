/*
 * Verification: is the database what its streams say it should be?
 *
 * The streams are folded in memory by code of its own, simple and slow on purpose, with the decisions that the ledger holds, and the result
 * is compared with the tables, field by field, at one snapshot of the database: design.md sections 2 and 8. Nothing is written, the
 * durables are not touched, and consumers go on meanwhile.
 *
 * Happy path: every settled message is in the stream, every row is what the fold says. It ends as LEAT_VERIFY_UNKNOWN where nobody can
 * tell: the streams no longer hold all that made the tables (retention, a stream deleted and made again, messages deleted from the middle),
 * or the database knows more than the stream. A baseline, written by an earlier verification, is what a later one can go on from.
 */
#ifndef LEAT_VERIFY_H
#define LEAT_VERIFY_H

#include "leat/error.h"
#include "leat/param.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum leat_verdict { LEAT_VERIFY_EQUAL, LEAT_VERIFY_DIFFERENT, LEAT_VERIFY_UNKNOWN };

enum leat_verify_kind {
	LEAT_VERIFY_FIELD,       /* a field or column has another value */
	LEAT_VERIFY_STAMP,       /* its value is right, the position that is kept with it is not */
	LEAT_VERIFY_MISSING,     /* a row is not there */
	LEAT_VERIFY_EXTRA,       /* a row that nothing in the streams made */
	LEAT_VERIFY_MOVED,       /* a row stands in another tenant */
	LEAT_VERIFY_HOLE,        /* a message below the floor that the ledger does not know */
	LEAT_VERIFY_OUT_OF_BAND, /* written past the streams, by a direct call or insert: to be known, no difference */
	LEAT_VERIFY_KINDS,
};
const char *leat_verify_kind_name(enum leat_verify_kind kind); /* "field", "stamp", …, "out_of_band" */

#endif
