/*
 * What Leat's messages look like, for programs: JSON Schemas (2020-12) and an AsyncAPI 3.0 document, made of the tables that validate and
 * write them: leat/intent.h, leat/workflow.h, leat/event.h.
 *
 * A schema is never stricter than Leat is. It says less where JSON Schema can't say it: limits are in bytes and there they are characters;
 * it knows nothing of names that stand twice, of graphs, of numbers that Postgres can't hold. Limits are those of the settings.
 *
 * All pure but for memory; any thread. The texts end with a line break.
 */
#ifndef LEAT_DESCRIBE_H
#define LEAT_DESCRIBE_H

#include "leat/buf.h"
#include "leat/param.h"

#include <stdbool.h>

/* `name  title`, a line each, in the order of the bundle. */
void leat_describe_names(struct leat_buf *out, const struct leat_params *limits);

/* One schema with what it refers to in its $defs; or, `name` NULL, all of them. False, and nothing written: there is none of that name. */
bool leat_describe_schema(struct leat_buf *out, const char *name, const struct leat_params *limits) __attribute__((warn_unused_result));

void leat_describe_asyncapi(struct leat_buf *out, const struct leat_params *limits);

#endif
