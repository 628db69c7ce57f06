/*
 * The types of events that Leat publishes, and what stands in their data (design.md section 5). The triggers in sql/functions/80 to 83
 * write them; the schemas and the AsyncAPI document are made of this table.
 */
#ifndef LEAT_EVENT_H
#define LEAT_EVENT_H

#include "leat/shape.h"

#include <stddef.h>

struct leat_event_type {
	const char *noun; /* of the subject: leat.event.<tenant>.<noun>.<id> */
	const char *what; /* the type is leat.<noun>.<what> */
	const char *about;
	const struct leat_shape *data[2]; /* behind tenant_id and <noun>_id: this, or that when there are two */
};

/* The rows, those of one noun together; *count of them. Static. */
const struct leat_event_type *leat_event_table(size_t *count);

#endif
