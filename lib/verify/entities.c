/*
 * Entities: what the stream makes of each, and each row of leat.entities against it.
 *
 * Happy path: every entity of the fold has its row, every row its entity. An entity without a row and a row without an entity that have the
 * same id are one that was moved to another tenant. A row that only lost messages can have made is counted as not known.
 */
#include "entity.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct entities {
	struct verify *v;
	struct entity_table table;
	struct entity_table strangers; /* rows that nothing made: tenant and id only */
	struct verify_ids made;        /* rows that only say that direct SQL inserted them */
};

static void close_fold(void *context)
{
	struct entities *fold = context;
	entity_table_free(&fold->table);
	entity_table_free(&fold->strangers);
	verify_ids_fini(&fold->made);
	free(fold);
}

/*
 * A redriven delete stands lower than upserts that were read before it, of which only the lowest was kept: so it has its say first.
 * Index: none; one look at the whole ledger.
 */
static enum leat_kind delete_redriven(struct entities *fold, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *found = NULL;
	if (leat_pg_run_sql(verify_pg(fold->v),
			"select a.tenant_id, a.target_id, a.detail ->> 'origin_position' from leat.activity a where a.stream = 'LEAT_ENTITY' "
			"and a.verb = 'delete' and a.outcome = 'applied' and a.detail ? 'origin_position' and not a.detail ? 'now'",
			&found, err) != LEAT_OK)
		return err->kind;
	for (size_t row = 0; row < leat_pg_rows(found); row++) {
		struct leat_uuid tenant;
		struct leat_uuid id;
		leat_uuid_parse(&tenant, leat_pg_text(found, row, 0), LEAT_UUID_TEXT_BYTES - 1);
		leat_uuid_parse(&id, leat_pg_text(found, row, 1), LEAT_UUID_TEXT_BYTES - 1);
		if (verify_in_pass(fold->v, &id))
			entity_delete(entity_table_get(&fold->table, &tenant, &id), leat_pg_int8(found, row, 2));
	}
	return LEAT_OK;
}

static void *open_fold(struct verify *v, struct leat_error *err)
{
	struct entities *fold = leat_alloc_zero(1, sizeof *fold);
	fold->v = v;
	if (delete_redriven(fold, err) == LEAT_OK)
		return fold;
	close_fold(fold);
	return NULL;
}

static bool load(void *context, const char *noun, const json_t *row)
{
	struct entities *fold = context;
	return strcmp(noun, "entity") != 0 || entity_baseline_load(fold->v, &fold->table, row);
}

static void feed(void *context, const struct verify_fact *fact)
{
	struct entities *fold = context;
	assert(strcmp(fact->intent->type->noun, "entity") == 0);
	entity_apply(&fold->table, fact, verify_in_pass, fold->v);
}

static void narrow(void *context)
{
	struct entities *fold = context;
	entity_table_filter(&fold->table, verify_in_pass, fold->v);
}

static size_t bytes(const void *context)
{
	const struct entities *fold = context;
	return fold->table.bytes + fold->table.size * sizeof(struct entity *);
}

/* ---- rows ---- */

static void report(
	const struct entities *fold, enum leat_verify_kind kind, const struct entity *entity, int64_t position, const char *explanation)
{
	char id[LEAT_UUID_TEXT_BYTES];
	leat_uuid_format(&entity->id, id);
	verify_report(fold->v,
		&(struct verify_finding){.kind = kind,
			.stream = VERIFY_ENTITY,
			.noun = "entity",
			.tenant = &entity->tenant,
			.id = id,
			.position = position,
			.explanation = explanation});
}

/* A row that no fact is about. */
static void judge_stranger(struct entities *fold, const struct entity *row)
{
	int64_t made = row->since != ENTITY_NEVER ? row->since : row->deleted;
	if (row->since == 0)
		report(fold, LEAT_VERIFY_OUT_OF_BAND, row, 0, "inserted directly, by no intent");
	else if (verify_is_lost(fold->v, VERIFY_ENTITY, made) || verify_is_lost(fold->v, VERIFY_ENTITY, row->last))
		verify_count_unknown(fold->v, &verify_entities, 1);
	else
		entity_table_get(&fold->strangers, &row->tenant, &row->id)->last = row->last;
}

static void compare_row(struct entities *fold, const struct entity_row *row)
{
	struct entity *folded = entity_table_find(&fold->table, &row->entity.tenant, &row->entity.id);
	verify_count(fold->v, &verify_entities, 1);
	if (folded == NULL) {
		judge_stranger(fold, &row->entity);
		entity_baseline_add(fold->v, &row->entity);
		return;
	}
	bool known = entity_compare(fold->v, folded, row);
	if (!known)
		verify_count_unknown(fold->v, &verify_entities, 1);
	entity_baseline_add(fold->v, known ? folded : &row->entity);
	folded->compared = true;
}

static enum leat_kind compare_rows(struct entities *fold, struct leat_error *err)
{
	struct entity_rows rows;
	bool more = true;
	enum leat_kind kind = LEAT_OK;
	entity_rows_open(&rows, fold->v);
	while (more && kind == LEAT_OK) {
		struct entity_row row = {0};
		kind = entity_rows_next(&rows, &row, &more, err);
		row.made = verify_ids_find(&fold->made, &(struct verify_id){row.entity.tenant, row.entity.id}) != NULL;
		if (kind == LEAT_OK && more)
			compare_row(fold, &row);
		entity_fini(&row.entity);
	}
	entity_rows_close(&rows);
	return kind;
}

/* ---- what is left over ---- */

static struct entity *find_by_id(const struct entity_table *table, const struct leat_uuid *id)
{
	for (size_t i = 0; i < table->size; i++) {
		if (table->slots[i] != NULL && !table->slots[i]->compared && leat_uuid_compare(&table->slots[i]->id, id) == 0)
			return table->slots[i];
	}
	return NULL;
}

static void report_moved(struct entities *fold, const struct entity *missing, struct entity *stranger)
{
	char explanation[100] = "the row is not in this tenant; it stands in ";
	leat_uuid_format(&stranger->tenant, explanation + strlen(explanation));
	report(fold, LEAT_VERIFY_MOVED, missing, missing->last, explanation);
	stranger->compared = true;
}

static void report_missing(struct entities *fold, const struct entity *missing)
{
	int64_t made = missing->since != ENTITY_NEVER ? missing->since : missing->last;
	if (verify_is_hole(fold->v, VERIFY_ENTITY, made))
		return;
	struct entity *stranger = find_by_id(&fold->strangers, &missing->id);
	if (stranger != NULL)
		report_moved(fold, missing, stranger);
	else
		report(fold, LEAT_VERIFY_MISSING, missing, made, "there is no such row");
}

static enum leat_kind compare(void *context, struct leat_error *err)
{
	struct entities *fold = context;
	if (entity_made_load(fold->v, &fold->made, err) != LEAT_OK || compare_rows(fold, err) != LEAT_OK)
		return err->kind;
	for (size_t i = 0; i < fold->table.size; i++) {
		if (fold->table.slots[i] != NULL && !fold->table.slots[i]->compared)
			report_missing(fold, fold->table.slots[i]);
	}
	for (size_t i = 0; i < fold->strangers.size; i++) {
		const struct entity *stranger = fold->strangers.slots[i];
		if (stranger != NULL && !stranger->compared)
			report(fold, LEAT_VERIFY_EXTRA, stranger, 0, "nothing in the stream made this row");
	}
	return LEAT_OK;
}

const struct verify_fold verify_entities = {
	.noun = "entities",
	.streams = 1u << VERIFY_ENTITY,
	.open = open_fold,
	.load = load,
	.feed = feed,
	.narrow = narrow,
	.bytes = bytes,
	.compare = compare,
	.close = close_fold,
};
