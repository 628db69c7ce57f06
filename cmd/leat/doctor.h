/*
 * The parts of `leat doctor`: checks, which ask one or two servers and tell what they find. A finding says what is, why it matters, and
 * what mends it. None of them changes anything; what leaves a trace at all (a durable that is gone at once, an offer that is refused) says
 * so.
 */
#ifndef LEAT_DOCTOR_H
#define LEAT_DOCTOR_H

#include "leat/bus.h"
#include "leat/param.h"
#include "leat/pg.h"

#include <jansson.h>
#include <stdbool.h>

enum doctor_level {
	DOCTOR_WARNING, /* it works, and may not for long, or not as well as it could */
	DOCTOR_FAULT,   /* something does not work, or is lost when it has to hold */
};

struct doctor {
	const struct leat_params *params;
	struct leat_bus *bus;  /* NULL: NATS can't be asked */
	struct leat_pg *login; /* as who logged in; NULL: Postgres can't be asked */
	struct leat_pg *pg;    /* as service_role; NULL: not possible, or there is no schema */
	json_t *processes;     /* rows of leat.processes that are alive, of any group */
	const char *check;     /* the one that runs */
	json_t *findings;      /* [{"level","check","what","why","mend"}] */
	json_t *skipped;       /* [{"check","why"}] */
	json_t *versions;      /* {"leat", "nats", "postgres"} */
};

/* ---- telling: doctor_find.c ---- */

/* A finding, then why it matters, then what mends it: a command, or a sentence that begins with one. */
void doctor_find(struct doctor *d, enum doctor_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));
void doctor_why(struct doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void doctor_mend(struct doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The check that runs could not be done. */
void doctor_skip(struct doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- asking: doctor_find.c ---- */

/* JetStream's answer. NULL fills *err. The caller's to json_decref. */
json_t *doctor_jetstream(struct doctor *d, struct leat_error *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The JSON that a statement answers with. NULL was told as skipped. The caller's to json_decref. */
json_t *doctor_query(struct doctor *d, struct leat_pg *pg, const char *sql, const struct leat_pg_params *params);
json_int_t doctor_number(const json_t *object, const char *name);
const char *doctor_text(const json_t *object, const char *name); /* "" when it has none */

/* ---- clocks: doctor_find.c ---- */

/* This machine's, in microseconds since 1970. */
int64_t doctor_now_us(void);
/* Tells when a server's clock said its_us between these two moments of ours, and is off by more than the time that took. */
void doctor_compare_clocks(struct doctor *d, const char *server, int64_t before_us, int64_t its_us, int64_t after_us);

/* ---- the lanes that consume: doctor_durables.c ---- */

struct doctor_lane {
	const char *lane;
	const char *stream;
	const char *engine; /* an intent of this stream that Leat itself publishes: noun.verb */
	bool ledger;        /* each of its messages has a row in leat.activity */
};
#define DOCTOR_LANES 4
extern const struct doctor_lane doctor_lanes[DOCTOR_LANES];
/* "leat-entity" */
#define DOCTOR_DURABLE_BYTES (LEAT_QUEUE_GROUP_BYTES + 16)
void doctor_durable_name(const struct doctor *d, const struct doctor_lane *lane, char out[DOCTOR_DURABLE_BYTES]);
/* Live processes of this queue group; `lane` NULL: whatever they run. */
size_t doctor_count_processes(const struct doctor *d, const char *lane);

/* ---- the checks ---- */

/* NATS: doctor_nats.c, doctor_streams.c, doctor_durables.c */
void doctor_check_nats_version(struct doctor *d);
void doctor_check_nats_login(struct doctor *d);
void doctor_check_nats_clock(struct doctor *d);
void doctor_check_nats_room(struct doctor *d);
void doctor_check_streams(struct doctor *d);
void doctor_check_stream_copies(struct doctor *d);
void doctor_check_stream_room(struct doctor *d);
void doctor_check_durables(struct doctor *d);
void doctor_check_fleet(struct doctor *d);
void doctor_check_dead_letters(struct doctor *d);

/* Postgres: doctor_postgres.c, doctor_schema.c */
void doctor_check_postgres_version(struct doctor *d);
void doctor_check_postgres_settings(struct doctor *d);
void doctor_check_postgres_login(struct doctor *d);
void doctor_check_postgres_clock(struct doctor *d);
void doctor_check_pooler(struct doctor *d);
void doctor_check_connections(struct doctor *d);
void doctor_check_schema(struct doctor *d);
void doctor_check_objects(struct doctor *d);
void doctor_check_walls(struct doctor *d);
void doctor_check_processes(struct doctor *d);

/* Both, and this machine: doctor_ledger.c, doctor_calls.c */
void doctor_check_ledger(struct doctor *d);
void doctor_check_allow_hosts(struct doctor *d);
void doctor_check_secrets(struct doctor *d);

#endif
