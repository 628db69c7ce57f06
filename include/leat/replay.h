/*
 * Replay: a range of the source streams applied again, by the code of the lanes, to the database of the settings.
 *
 * Order. Each stream keeps its own. LEAT_CONTROL and LEAT_RUN are merged by the time at which their messages were stored (ties: control
 * first), since a run is pinned to the version that its workflow had then, and a question to the attempt that asked it. LEAT_ENTITY, which
 * no other stream's fold reads, is merged with them up to one batch, so that its batches can be long.
 *
 * What is known stays. A message that the ledger has, or that is parked, is not applied again; on a live database that is nearly all, found
 * out by its key alone.
 *
 * Effects. What a durable has settled (its ack floor) had its events, replies, dead letters and messages of Leat's own when it was applied
 * first: they are suppressed and counted. Above the floor, or where there is no durable, nobody has applied it yet: it has its effects now,
 * and its reply by the consumer, to which it will be delivered. HTTP calls and embeddings are none of the lanes that are replayed; the
 * embed lane makes the vectors that are missing, the keeper resumes the runs that can go on.
 *
 * The floor (design.md section 3) is the replay's own, as long as it has seen everything: then everything up to where it is is settled or
 * gone from the stream. A range that begins later, or leaves messages out (subject), is complete where the database had that floor
 * already. Streams that are decided in order take it as complete as well where the durable has passed it or there is no durable.
 * LEAT_ENTITY does not: an entity forgets upserts below the floor, and a delete that is replayed later would end it. What depends on what
 * is left out stays parked, until that is replayed or consumers come by.
 *
 * run.start waits up to 10 s for its workflow: by the times of the messages here, not by the clock. Where workflows are there already, of
 * later versions perhaps, it gets the version that was current at its own time. LEAT_RUN alone needs them: without, it is refused.
 *
 * Possible failure modes are: NATS or Postgres is away: it waits and goes on, for ever, and says so. A stream is made again or cut back
 * while it is read, or the ledger knows messages that the stream no longer holds as they were, or LEAT_RUN is to be replayed without
 * LEAT_CONTROL into a database that has not settled that: PERMANENT. Killed or stopped at any point:
 * begin again from anywhere before; what is settled is known.
 */
#ifndef LEAT_REPLAY_H
#define LEAT_REPLAY_H

#include "leat/error.h"
#include "leat/param.h"
#include "leat/uuid.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum leat_replay_stream { LEAT_REPLAY_CONTROL, LEAT_REPLAY_ENTITY, LEAT_REPLAY_RUN, LEAT_REPLAY_STREAMS };
const char *leat_replay_stream_name(enum leat_replay_stream stream);

struct leat_replay_report;

struct leat_replay_options {
	bool streams[LEAT_REPLAY_STREAMS];
	uint64_t from_seq;                 /* 0: from the first; of a range, as of to_seq, only with one stream */
	uint64_t to_seq;                   /* 0: to the last at the beginning */
	int64_t since_ns;                  /* stored at or after; 0: any */
	int64_t until_ns;                  /* stored before; 0: any */
	const char *subject;               /* pattern of those wanted; NULL: all */
	bool dry_run;                      /* writes nothing: counts what is not settled */
	bool force;                        /* LEAT_RUN without the workflows that it needs */
	const volatile sig_atomic_t *stop; /* ends it after the batch in hand */
	/* `context` goes to both. A line for people: what is gone, what was refused, who is waited for. */
	void (*note)(void *context, const char *line);
	/* After each batch, and while it waits. */
	void (*progress)(void *context, const struct leat_replay_report *report);
	void *context;
};

struct leat_replay_figures {
	uint64_t first_seq; /* where it begins, where it is, and its end: [first, next) was read */
	uint64_t next_seq;
	uint64_t end_seq;
	uint64_t gone;     /* sequences that the stream does not hold */
	uint64_t gaps;     /* ranges of them */
	uint64_t left_out; /* of other subjects */
	uint64_t known;
	uint64_t applied;
	uint64_t duplicate;
	uint64_t rejected;
	uint64_t parked;
	uint64_t refused; /* by Postgres, for now: not applied */
};

/* What a dry run would apply: one for each stream, tenant and kind of intent. */
struct leat_replay_plan {
	enum leat_replay_stream stream;
	bool routable;
	struct leat_uuid tenant;
	char intent[64]; /* "entity.merge"; "" when it is not routable */
	uint64_t count;
};

struct leat_replay_report {
	struct leat_replay_figures streams[LEAT_REPLAY_STREAMS];
	uint64_t suppressed_events;
	uint64_t suppressed_dead_letters;
	uint64_t suppressed_resumes;
	uint64_t suppressed_intents; /* others of Leat's own: facts about questions */
	uint64_t suppressed_replies;
	uint64_t waiting; /* parked, and still so at the end */
	bool stopped;     /* before the end; everything stored before next_ns is done */
	int64_t next_ns;
	struct leat_replay_plan *plans; /* of a dry run, unsorted; leat_replay_report_fini frees them */
	size_t plan_count;
};

/*
 * One thread. *report is filled in every case; leat_replay_report_fini it. PERMANENT as above, and for settings that are wrong. TEMPORARY:
 * a server was away, or the schema, before it had begun; once it has, it waits for them as long as it takes.
 */
enum leat_kind leat_replay(const struct leat_params *params, const struct leat_replay_options *options, struct leat_replay_report *report,
	struct leat_error *err) __attribute__((warn_unused_result));
void leat_replay_report_fini(struct leat_replay_report *report);

#endif
