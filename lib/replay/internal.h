/*
 * Inside lib/replay only. replay.c is the loop, open.c how it begins, read.c the streams merged, apply.c a batch into Postgres, decide.c
 * what is parked, plan.c the dry run, link.c the connections.
 */
#ifndef LEAT_LIB_REPLAY_H
#define LEAT_LIB_REPLAY_H

#include "leat/batch.h"
#include "leat/bus.h"
#include "leat/clock.h"
#include "leat/pg.h"
#include "leat/replay.h"
#include "leat/source.h"

struct replay_stream {
	enum leat_replay_stream which;
	const struct leat_source *source;
	struct leat_replay_figures *figures; /* of the report */
	struct leat_reader *reader;
	struct leat_msg head; /* the next message; its handle is NULL for none yet */
	int64_t taken_ns;     /* of the last that was taken from there */
	bool ended;

	struct leat_pg *pg; /* NULL: not open */
	int64_t epoch;
	struct leat_batch batch;
	uint64_t done_seq; /* all up to here is settled, parked, gone, or left out */
	uint64_t read_seq; /* the same, and the batch in hand and what lies between its messages */
	bool complete;     /* done_seq is a floor: nothing is still to come below it */
	bool told;         /* Postgres knows all of done_seq but what a batch settled */
	bool probe;        /* the last batch held something known */
	bool durable;      /* there is one */
	uint64_t durable_floor;
	uint64_t mark;          /* the floor that the database had at the beginning */
	int64_t mode;           /* leat.replay of the connection: 0 for none, -1 for not known, else a time in us */
	uint64_t left;          /* parked */
	int64_t decided_ms;     /* when what is parked was looked at */
	uint64_t suppressed[5]; /* by earlier connections */
};

struct replay {
	const struct leat_params *params;
	const struct leat_replay_options *options;
	struct leat_replay_report *report;
	struct leat_bus *bus;
	struct replay_stream streams[LEAT_REPLAY_STREAMS];
	struct leat_backoff backoff;
	bool begun;  /* the servers were there, and what is asked for can be */
	bool polite; /* consumers are at work on this database */
};

bool replay_stopped(const struct replay *r);
void replay_note(const struct replay *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Waits the next delay, a moment at a time; false when it was stopped, or has not begun: who begins is told at once what is away. */
bool replay_pause(struct replay *r, const char *what, const struct leat_error *err);

/* ---- link.c ---- */

/* Opens what is not open, waiting as long as it takes. TEMPORARY: stopped, or not begun. */
enum leat_kind replay_open_bus(struct replay *r, struct leat_error *err) __attribute__((warn_unused_result));
enum leat_kind replay_open_pg(struct replay *r, struct replay_stream *s, struct leat_error *err) __attribute__((warn_unused_result));
void replay_close_pg(struct replay_stream *s);

/* ---- open.c ---- */

/* Checks each stream against the ledger, and opens its reader where the range begins. */
enum leat_kind replay_open(struct replay *r, struct leat_error *err) __attribute__((warn_unused_result));

/* ---- read.c ---- */

/* The stream whose message is next, in its head; NULL: all have ended, or it was stopped. */
enum leat_kind replay_read(struct replay *r, struct replay_stream **next, struct leat_error *err) __attribute__((warn_unused_result));

/* ---- apply.c ---- */

/* Applies the batch that is filled, if any. TEMPORARY: stopped. */
enum leat_kind replay_apply(struct replay *r, struct replay_stream *s, struct leat_error *err) __attribute__((warn_unused_result));
/* Nothing up to there is still to come, whatever this replay leaves out (leat/replay.h, The floor). */
bool replay_is_passed(const struct replay_stream *s, uint64_t seq);
/* Everything that is applied now was settled before. */
bool replay_is_settled(const struct replay_stream *s, uint64_t seq);
/* Sets leat.replay: to a time where effects are suppressed, to nothing where they are not. */
enum leat_kind replay_set_mode(struct replay_stream *s, int64_t clock_us, struct leat_error *err) __attribute__((warn_unused_result));
/* Those of the batch that are not settled, by sequence. */
enum leat_kind replay_probe(struct replay_stream *s, struct leat_pg_result **unsettled, struct leat_error *err)
	__attribute__((warn_unused_result));
enum leat_kind replay_count_suppressed(struct replay *r, struct replay_stream *s, struct leat_error *err)
	__attribute__((warn_unused_result));

/* ---- decide.c ---- */

/* Tells Postgres the floor, and decides what is parked below it. TEMPORARY: stopped, or the connection is lost. */
enum leat_kind replay_decide(struct replay *r, struct replay_stream *s, uint64_t floor_seq, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Runs that wait for their workflow have their turn, at this time. */
enum leat_kind replay_decide_waiting(struct replay *r, int64_t clock_us, struct leat_error *err) __attribute__((warn_unused_result));
/* At the end: all that can be decided. */
enum leat_kind replay_decide_rest(struct replay *r, struct leat_error *err) __attribute__((warn_unused_result));

/* ---- plan.c ---- */

/* Counts what of the batch would be applied; writes nothing. */
enum leat_kind replay_plan(struct replay *r, struct replay_stream *s, struct leat_error *err) __attribute__((warn_unused_result));

#endif
