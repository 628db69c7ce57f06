/*
 * Entities as the fold knows them and as a row shows them: the same struct, so that comparing is walking two sorted lists of fields.
 *
 * What stands in an entity is a function of the set of writes that it was given, in whatever order (design.md section 4): of each field the
 * highest write or removal, D the highest delete, C the lowest upsert above D, the type of the highest upsert. A field counts when its
 * position is at or above C; those between D and C are kept, since a redriven upsert may still lower C.
 */
#ifndef LEAT_LIB_VERIFY_ENTITY_H
#define LEAT_LIB_VERIFY_ENTITY_H

#include "ids.h"
#include "verify.h"

enum entity_part { ENTITY_CONTENT, ENTITY_METADATA, ENTITY_LOCKS, ENTITY_PARTS };

#define ENTITY_NEVER (-1)

struct entity_field {
	char *text; /* name, a NUL, the value, a NUL; owned */
	uint32_t room;
	uint32_t name_bytes;
	uint32_t value_bytes;
	enum entity_part part;
	bool removed;     /* there is no value */
	bool hashed;      /* the value is what verify_json_hash makes of it: from a baseline */
	bool direct;      /* of a row: a direct call wrote it */
	int64_t position; /* of a row: ENTITY_NEVER when it has none */
};

struct entity {
	struct leat_uuid tenant;
	struct leat_uuid id;
	int64_t deleted;             /* D; 0: never */
	int64_t since;               /* C; ENTITY_NEVER: it does not exist. 0, of a row: it says that direct SQL inserted it */
	int64_t type_since;          /* of the highest upsert; 0: none */
	int64_t last;                /* the highest position of all */
	char *type;                  /* NULL for none; owned */
	char *key;                   /* the same */
	struct entity_field *fields; /* by part, then by the name's bytes */
	size_t count;
	size_t room;
	bool compared;     /* its row was seen */
	size_t text_bytes; /* of the fields' texts */
};

void entity_init(struct entity *entity, const struct leat_uuid *tenant, const struct leat_uuid *id);
void entity_fini(struct entity *entity);
/* What it takes in memory, about. */
size_t entity_bytes(const struct entity *entity);

/* A write, or with the value NULL a removal; passed over unless it is above what the field has. The field, or NULL when passed over. */
struct entity_field *entity_write(
	struct entity *entity, enum entity_part part, struct leat_text name, const char *value, size_t value_bytes, int64_t position);
/* The value alone, whatever the position. */
void entity_set(struct entity *entity, enum entity_part part, struct leat_text name, const char *value, size_t value_bytes);
struct entity_field *entity_find(const struct entity *entity, enum entity_part part, struct leat_text name);
void entity_upsert(struct entity *entity, const char *type, size_t type_bytes, const char *key, size_t key_bytes, int64_t position);
void entity_delete(struct entity *entity, int64_t position);

const char *entity_value(const struct entity_field *field); /* NULL: it is removed */

/* ---- all of them: entity_table.c ---- */

struct entity_table {
	struct entity **slots;
	size_t size;
	size_t count;
	size_t bytes;
};

struct entity *entity_table_find(const struct entity_table *table, const struct leat_uuid *tenant, const struct leat_uuid *id);
struct entity *entity_table_get(struct entity_table *table, const struct leat_uuid *tenant, const struct leat_uuid *id);
/* Takes those out, and frees them, that `keeps` is false of. */
void entity_table_filter(
	struct entity_table *table, bool (*keeps)(const struct verify *v, const struct leat_uuid *id), const struct verify *v);
void entity_table_free(struct entity_table *table);

/* ---- what an intent does: entity_apply.c. Pure. ---- */

/* Each target that `wants` lets through gets its share. */
void entity_apply(struct entity_table *table, const struct verify_fact *fact,
	bool (*wants)(const struct verify *v, const struct leat_uuid *id), const struct verify *v);

/* ---- in a baseline: entity_baseline.c ---- */

/* Writes it, where a baseline is written. */
void entity_baseline_add(struct verify *v, const struct entity *entity);
/* What `line` says, unless it is not of the pass. False: it is none. */
bool entity_baseline_load(const struct verify *v, struct entity_table *table, const json_t *line);

/* ---- rows: entity_rows.c ---- */

struct entity_rows {
	struct verify *v;
	struct leat_pg_result *page;
	size_t next;
	int64_t limit;
	char tenant[LEAT_UUID_TEXT_BYTES]; /* of the last row */
	char id[LEAT_UUID_TEXT_BYTES];
};

struct entity_row {
	struct entity entity;
	bool deleted_at; /* the column is set */
	bool made;       /* by an intent, whatever `since` says */
};

void entity_rows_open(struct entity_rows *rows, struct verify *v);
/* *more false after the last. Finish the entity. */
enum leat_kind entity_rows_next(struct entity_rows *rows, struct entity_row *out, bool *more, struct leat_error *err)
	__attribute__((warn_unused_result));
void entity_rows_close(struct entity_rows *rows);

/* ---- rows that are not what they say: entity_made.c ---- */

/* Adds those of the pass with `since` 0 that an intent made; what they have for a value says nothing. */
enum leat_kind entity_made_load(struct verify *v, struct verify_ids *out, struct leat_error *err) __attribute__((warn_unused_result));

/* ---- comparing: entity_compare.c ---- */

/* Reports where the row is not what the fold says. False: not all of it is known, since messages are lost. */
bool entity_compare(struct verify *v, struct entity *folded, const struct entity_row *row);

#endif
