/* One verification under way: what lib/verify/ shares of it, and folds don't see. */
#ifndef LEAT_LIB_VERIFY_STATE_H
#define LEAT_LIB_VERIFY_STATE_H

#include "verify.h"

#include "leat/bus.h"
#include "ranges.h"

#include <stdio.h>

#define EPOCH_BITS 40
#define SEQ_OF(position) ((position) & ((INT64_C(1) << EPOCH_BITS) - 1))
#define EPOCH_OF(position) ((position) >> EPOCH_BITS)

struct epoch {
	int64_t number;
	int64_t opened_us; /* INT64_MIN: since ever */
	int64_t first_seq; /* 0: not known */
};

/* What is known of a stream. `lost` and `holes` are those of the pass. */
struct source {
	enum verify_stream stream;
	bool exists;
	struct leat_stream_state state; /* before the snapshot */
	int64_t floor;                  /* everything at or below was settled before the snapshot */
	int64_t base;                   /* facts at or below stand in the baseline; 0: there is none */
	struct epoch *epochs;           /* rising; one at least */
	size_t epoch_count;
	struct ranges lost;
	struct ranges holes;
	struct ranges told; /* rows of the ledger that were reported in the first pass */
};

struct verify {
	const struct leat_verify_options *options;
	struct leat_verify_report *report;
	struct leat_bus *bus;
	struct leat_pg *pg;
	struct leat_pg *ledger_pg; /* on the same snapshot */
	struct source sources[VERIFY_STREAMS];
	uint64_t modulus; /* of the pass: ids whose key leaves `remainder` */
	uint64_t remainder;
	bool again; /* not the first pass: what is told of the streams as a whole has been told */
	int64_t told_ms;
	FILE *baseline; /* that is being written; NULL: none */
	uint64_t baseline_rows;
	struct leat_uuid baseline_digest; /* of its lines so far */
};

/* ---- source.c ---- */

/* The stream's state and the floor of its durable. To be called before the snapshot is taken. */
enum leat_kind source_look(struct verify *v, enum verify_stream stream, struct leat_error *err) __attribute__((warn_unused_result));
/* What the snapshot knows of the stream. */
enum leat_kind source_load(struct verify *v, enum verify_stream stream, struct leat_error *err) __attribute__((warn_unused_result));
void source_fini(struct source *source);
/* The position of a message: that of the newest epoch that was open at its time. */
int64_t source_position(const struct source *source, int64_t seq, int64_t at_us);

/* ---- facts.c ---- */

/* Feeds every fact of the stream above its base to `feed`, in order; fills `lost` and `holes`, and reports the latter. */
enum leat_kind facts_read(struct verify *v, struct source *source,
	void (*feed)(struct verify *v, const struct verify_fact *fact, void *context), void *context, struct leat_error *err)
	__attribute__((warn_unused_result));

/* ---- cover.c: which of the positions up to the newest settled one no message tells of. Pure. ---- */

struct cover {
	const struct epoch *epochs;
	size_t epoch_count;
	struct ranges *lost;
	struct ranges pending; /* gaps with nothing settled above them so far */
	int64_t at;
};

/* Above `base`. */
void cover_init(struct cover *cover, const struct epoch *epochs, size_t epoch_count, int64_t base, struct ranges *lost);
void cover_fini(struct cover *cover);
/* The next position that a message has, or a row of the ledger, or both; rising. needed: the row is one that is folded. */
void cover_step(struct cover *cover, int64_t position, bool message, bool row, bool needed);

/* ---- ledger.c ---- */

enum ledger_outcome { LEDGER_PARKED, LEDGER_APPLIED, LEDGER_DUPLICATE, LEDGER_REJECTED };

/* In the order of LEDGER_STATEMENT. */
enum ledger_column {
	LEDGER_POSITION,
	LEDGER_AT,
	LEDGER_OUTCOME,
	LEDGER_DETAIL,
	LEDGER_TENANT,
	LEDGER_ROLE,
	LEDGER_NOUN,
	LEDGER_VERB,
	LEDGER_TARGET,
	LEDGER_LEAT_ID,
	LEDGER_ACTOR,
	LEDGER_TRACEPARENT,
	LEDGER_CODE,
};

/* The ledger of one stream at the snapshot, and what is parked, in order of position. */
struct ledger {
	struct leat_pg *pg;
	const char *stream;
	struct leat_pg_result *page;
	size_t rows;
	size_t next;
	int64_t after; /* the last of the page; at first, what it is read above */
	bool asked;    /* the next page is under way */
	bool ended;
	/* the row at hand, unless ended */
	size_t row;
	int64_t position;
	int64_t at_us;
	enum ledger_outcome outcome;
	const char *detail; /* NULL for none; borrowed until the next ledger_next */
};

#define LEDGER_STATEMENT                                                                                                                   \
	{                                                                                                                                      \
		"ledger",                                                                                                                          \
			"select position, message_at, outcome, detail, tenant_id, role, noun, verb, target_id, leat_id, actor, traceparent, code "     \
		    "from ("                                                                                                                       \
			"(select a.position, a.message_at, a.outcome::text collate \"C\" as outcome, a.detail::text, a.tenant_id, a.role, a.noun, "    \
			"a.verb, a.target_id, a.leat_id, a.actor, a.traceparent, a.code from leat.activity a "                                         \
			"where a.stream = $1 and a.position > $2 order by a.position limit $3) "                                                       \
			"union all "                                                                                                                   \
			"(select p.position, p.message_at, 'parked', null, null, null, null, null, null, null, null, null, null from leat.parked p "   \
			"where p.stream = $1 and p.position > $2 order by p.position limit $3)) every order by position limit $3"                      \
	}

/* `pg` is the ledger's alone until it is closed. */
void ledger_open(struct ledger *ledger, struct leat_pg *pg, const char *stream, int64_t after);
enum leat_kind ledger_next(struct ledger *ledger, struct leat_error *err) __attribute__((warn_unused_result));
void ledger_close(struct ledger *ledger);
/* Of the row at hand; NULL for null. Borrowed until the next ledger_next. The second: 16 bytes. */
const char *ledger_text(const struct ledger *ledger, enum ledger_column column);
const unsigned char *ledger_uuid(const struct ledger *ledger, enum ledger_column column);

/* ---- columns.c ---- */

/* Reports where the row at hand, which is not parked, does not say what its message says. understood: the decoder takes the message. */
void columns_compare(struct verify *v, struct source *source, const struct ledger *ledger, const struct leat_intent *intent,
	const char *subject, bool understood);
/* Reports that the row has another time than its message. */
void columns_report_time(struct verify *v, const struct source *source, int64_t position, int64_t found_us, int64_t expected_us);

/* ---- pass.c ---- */

/* A part of all ids, to be verified on its own. */
struct part {
	uint64_t modulus;
	uint64_t remainder;
};

/* Halves the pass; returns the half that is left for later. */
struct part verify_split(struct verify *v);
/* Shows where it stands, at most once a second. */
void verify_progress(struct verify *v, const char *doing, const struct source *source, int64_t seq);

#endif
