/* A table in memory, from the id of a thing in a tenant to what is known of it. One thread; nothing here can fail. */
#ifndef LEAT_LIB_VERIFY_IDS_H
#define LEAT_LIB_VERIFY_IDS_H

#include "verify.h"

#include <stdbool.h>
#include <stddef.h>

/* Without padding: hashed and compared as bytes. */
struct verify_id {
	struct leat_uuid tenant; /* all zero where ids are one space for all tenants */
	struct leat_uuid id;
};

struct verify_id_slot {
	struct verify_id key;
	void *value; /* NULL: free */
};

/* Zero-initialise. Values belong to whoever put them in. */
struct verify_ids {
	struct verify_id_slot *slots;
	size_t room;
	size_t count;
};

/* NULL when it is not there. */
void *verify_ids_find(const struct verify_ids *ids, const struct verify_id *key);
/* It must not be there yet; `value` is not NULL. */
void verify_ids_add(struct verify_ids *ids, const struct verify_id *key, void *value);
/* Each once, in no order: *at begins with 0. NULL after the last. */
void *verify_ids_next(const struct verify_ids *ids, size_t *at, struct verify_id *key);
/* Takes the values out that are not of the pass, or all of them, and gives each to `drop`, with the fold that it is part of. */
void verify_ids_narrow(struct verify_ids *ids, const struct verify *v, void (*drop)(void *fold, void *value), void *fold);
void verify_ids_drop(struct verify_ids *ids, void (*drop)(void *fold, void *value), void *fold);
/* The table alone. */
void verify_ids_fini(struct verify_ids *ids);

#endif
