/* The names of the objects that a reader is inside of, as a stack: to find one that stands twice. Zero-initialise. */
#ifndef LEAT_INTENT_JSON_NAMES_H
#define LEAT_INTENT_JSON_NAMES_H

#include "leat/json.h"

struct leat_json_name;

struct leat_json_names {
	struct leat_json_name *names;
	size_t count;
	size_t room;
};

/* Pushes a checked string; the body must outlive it. */
void leat_json_names_add(struct leat_json_names *names, const struct leat_json *name);
/* One of those from `first` on that is there twice, by what it says and not by how it is escaped; NULL if none is. May reorder them. */
const struct leat_text *leat_json_names_twice(struct leat_json_names *names, size_t first);
/* Pops all but the first `count`. */
void leat_json_names_drop(struct leat_json_names *names, size_t count);
void leat_json_names_free(struct leat_json_names *names);

#endif
