/*
 * Inside lib/describe only. Schemas are jansson values; each function returns a new one, the caller's, or adds to `defs`, an object of
 * schemas by name. They keep to what the drafts 07 and 2020-12 have in common, since AsyncAPI's own schemas are of the former:
 * no keyword beside a $ref, no prefixItems, no dependentRequired.
 */
#ifndef LEAT_DESCRIBE_PARTS_H
#define LEAT_DESCRIBE_PARTS_H

#include "leat/intent.h"
#include "leat/param.h"
#include "leat/shape.h"

#include <jansson.h>

#define DESCRIBE_REFERENCE "#/$defs/"
/* No control characters: leat_text_is_printable. */
#define DESCRIBE_PRINTABLE "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"

/* json_pack, which can't fail here. */
json_t *describe_pack(const char *format, ...);
/* {"$ref":"#/$defs/<name>"} */
json_t *describe_ref(const char *name);
/* "a|b" as ["a","b"]; "a b" with a blank. */
json_t *describe_words(const char *words, char between);
/* {"type":"string","enum":[…]} */
json_t *describe_choice(const char *choices);
/* A text of lowest to highest bytes. */
json_t *describe_text(int64_t lowest, int64_t highest);
json_t *describe_printable(int64_t lowest, int64_t highest);
json_t *describe_whole(int64_t lowest, int64_t highest);
/* An object in which no field of `way` (leat/either.h) is missing, where `all`, and none is there, otherwise. */
json_t *describe_way(const char *way, bool all);

/* Adds the array to the object, unless it is empty. Takes it. */
void describe_add_any(json_t *object, const char *name, json_t *array);

/* An object of this shape; `more` (or NULL) are members it also has. Takes `more`. */
json_t *describe_shape(const struct leat_shape *shape, json_t *more);
/* Of one or two: the first, or anyOf both. */
json_t *describe_shapes(const struct leat_shape *const shapes[2]);

void describe_basics(json_t *defs, const struct leat_params *limits);
void describe_headers(json_t *defs);
void describe_intents(json_t *defs, const struct leat_params *limits);
void describe_queries(json_t *defs, const struct leat_params *limits);
void describe_definition(json_t *defs, const struct leat_params *limits);
void describe_events(json_t *defs);

/* All of them. */
json_t *describe_all(const struct leat_params *limits);
/* Appends it, two blanks a level, members in the order they were added in. */
void describe_write(struct leat_buf *out, const json_t *document);

#endif
