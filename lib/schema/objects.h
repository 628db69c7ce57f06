/*
 * Inside lib/schema only: what the schema is made of, as it is now beside how `leat migrate` left it. In a transaction of the caller's,
 * whose search_path they set.
 */
#ifndef LEAT_LIB_SCHEMA_OBJECTS_H
#define LEAT_LIB_SCHEMA_OBJECTS_H

#include "leat/schema.h"

/* A row each that is not as it was left: name, what became of it, its checksum now ('' for none). None where there is no record yet. */
enum leat_kind schema_objects_compare(struct leat_pg *pg, struct leat_pg_result **out, struct leat_error *err)
	__attribute__((warn_unused_result));

/* Records all that is there now, but what stands in `damaged`, an answer of schema_objects_compare, and is still the same. */
enum leat_kind schema_objects_note(struct leat_pg *pg, const struct leat_pg_result *damaged, struct leat_error *err)
	__attribute__((warn_unused_result));

#endif
