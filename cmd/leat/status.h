/*
 * The parts of `leat status`. What it knows is one JSON object, printed as it is or as tables:
 *
 *   {"healthy":true, "problems":["…"],
 *    "nats":{"reachable":true, "version":…, "streams":[…], "lanes":[…], "dead":{…}},
 *    "postgres":{"reachable":true, "version":…, "processes":[…], "outbox":{…}, "parked":…, …}}
 */
#ifndef LEAT_STATUS_H
#define LEAT_STATUS_H

#include "leat/bus.h"
#include "leat/param.h"
#include "leat/pg.h"

#include <jansson.h>
#include <stdbool.h>

#define STATUS_COUNTED 100000 /* rows of a kind, at most */
#define STATUS_LANES 4        /* that consume */

/* How far a lane was at the last look. */
struct status_mark {
	uint64_t settled; /* messages, up to here */
	int64_t at_ms;    /* by leat_clock_ms; 0: there was none */
};

/* What is kept from one look to the next: connections, and the dead letters counted, which are walked one by one. */
struct status {
	const struct leat_params *params;
	struct leat_bus *bus; /* NULL: not open */
	struct leat_pg *pg;   /* NULL: not open */
	json_t *dead;         /* NULL: not counted */
	uint64_t dead_last_seq;
	struct status_mark marks[STATUS_LANES];
	json_t *problems; /* of this look */
};

/* Adds a sentence to the problems. */
void status_complain(struct status *status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One server's part. It complains when that can't be asked, or when what must be there is not. `dead`: with dead letters by code. */
json_t *status_ask_nats(struct status *status, bool dead);
json_t *status_ask_postgres(struct status *status);

void status_print(const json_t *report);

#endif
