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
const char *leat_verify_kind_name(enum leat_verify_kind kind);   /* "field", "stamp", …, "out_of_band" */
const char *leat_verify_verdict_name(enum leat_verdict verdict); /* "equal", "different", "unknown" */

/* ---- what is asked ---- */

struct leat_verify_progress {
	const char *doing;  /* "reading", "comparing" */
	const char *stream; /* NULL while comparing */
	int64_t seq;
	int64_t last_seq;
	uint64_t facts; /* folded so far, over all passes */
	uint64_t passes;
};

struct leat_verify_options {
	const struct leat_params *params;
	const char *baseline;   /* file to go on from; NULL: from the streams' first message */
	const char *write;      /* file that becomes a baseline, made whole or not at all; NULL: none */
	bool trust;             /* write it although the verdict is not equal */
	int64_t sample_percent; /* 1 to 100: of the ids */
	int64_t memory_bytes;  /* of what is folded; more takes more passes. Exceeded only by a single entity, workflow or run that is larger */
	uint64_t memory_facts; /* how often that is looked at, in facts; 0: as suits */
	size_t most_findings;  /* kept in the report; all are counted */
	void (*progress)(void *context, const struct leat_verify_progress *progress); /* NULL: not wanted */
	void *context;
};

/* ---- what is answered ---- */

/* NULL: there is none, or it is not known. Values over 4 KiB are cut. `found` is what the database has, `expected` what the fold has. */
struct leat_verify_finding {
	enum leat_verify_kind kind;
	const char *stream;
	const char *noun;
	char *tenant;
	char *id;
	char *field;
	char *found;
	char *expected;
	char *explanation;
	int64_t position; /* that should have won; 0: none */
};

#define LEAT_VERIFY_NOUNS 8

struct leat_verify_report {
	enum leat_verdict verdict;
	uint64_t counts[LEAT_VERIFY_KINDS];
	struct leat_verify_finding *findings; /* the first of them */
	size_t finding_count;
	char **doubts; /* why it may not be equal although no difference was found */
	size_t doubt_count;
	struct {
		const char *noun;
		uint64_t compared; /* rows */
		uint64_t unknown;  /* of them, rows of which not all is known: what made them is gone from the stream */
	} nouns[LEAT_VERIFY_NOUNS];
	size_t noun_count;
	uint64_t facts;
	uint64_t passes;
	bool written;    /* the baseline that was asked for */
	int64_t read_ms; /* of the passes, without comparing */
};

#define LEAT_VERIFY_REPORT_SCOPED __attribute__((cleanup(leat_verify_report_fini))) struct leat_verify_report
void leat_verify_report_fini(struct leat_verify_report *report);

/*
 * Verifies. OK: *report is filled, whatever the verdict. TEMPORARY, PERMANENT: a server is away or refuses, the baseline can't be read; the
 * report is empty. Finish *report in every case. One thread; holds one snapshot of the database open throughout, in two connections.
 */
enum leat_kind leat_verify(struct leat_verify_report *report, const struct leat_verify_options *options, struct leat_error *err)
	__attribute__((warn_unused_result));

#endif
