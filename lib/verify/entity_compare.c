/*
 * A row against the fold: who it is, since when, and its fields one by one, as two sorted lists.
 *
 * Where messages are lost, a position of the row that one of them had is believed, as far as the fold can't know better: a lost write may
 * well be higher than the highest that is left, a lost delete may have ended what the fold still has. It may not be lower: the fold's own
 * writes are there for certain. What a direct call or insert wrote is reported as such.
 */
#include "entity.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct comparison {
	struct verify *v;
	const struct entity *folded;
	const struct entity *row;
	int64_t deleted; /* D and C, as far as the lost ones let us know */
	int64_t since;
	bool inserted; /* by direct SQL */
	bool unsure;
};

static const char *const parts[] = {"content", "metadata", "locked_fields"};

static void report(const struct comparison *c, enum leat_verify_kind kind, const char *field, const char *found, const char *expected,
	int64_t position, const char *explanation)
{
	char id[LEAT_UUID_TEXT_BYTES];
	if (position > 0 && verify_is_hole(c->v, VERIFY_ENTITY, position))
		return; /* reported already */
	leat_uuid_format(&c->row->id, id);
	verify_report(c->v,
		&(struct verify_finding){.kind = kind,
			.stream = VERIFY_ENTITY,
			.noun = "entity",
			.tenant = &c->row->tenant,
			.id = id,
			.field = field,
			.found = found,
			.expected = expected,
			.position = position,
			.explanation = explanation});
}

static bool is_lost(const struct comparison *c, int64_t position)
{
	return position > 0 && verify_is_lost(c->v, VERIFY_ENTITY, position);
}

/* ---- the row as a whole ---- */

static void compare_position(const struct comparison *c, const char *column, int64_t found, int64_t expected)
{
	char texts[2][24];
	snprintf(texts[0], sizeof texts[0], "%" PRId64, found);
	snprintf(texts[1], sizeof texts[1], "%" PRId64, expected);
	if (found != expected)
		report(c, LEAT_VERIFY_STAMP, column, texts[0], texts[1], expected, NULL);
}

/* The row's position, where a lost message may have raised the fold's. */
static int64_t raised(struct comparison *c, int64_t folded, int64_t found)
{
	if (found <= folded || !is_lost(c, found))
		return folded;
	c->unsure = true;
	return found;
}

static void compare_life(struct comparison *c, bool deleted_at)
{
	const struct entity *folded = c->folded;
	const struct entity *row = c->row;
	c->deleted = raised(c, folded->deleted, row->deleted);
	c->since = folded->since > c->deleted ? folded->since : ENTITY_NEVER;
	bool may_be_lower = row->since > c->deleted && (c->since == ENTITY_NEVER || row->since < c->since);
	if (may_be_lower && is_lost(c, row->since)) {
		c->unsure = true;
		c->since = row->since;
	} else if (c->inserted && c->deleted == 0) {
		c->since = 0;
		report(c, LEAT_VERIFY_OUT_OF_BAND, NULL, NULL, NULL, 0, "inserted directly, by no intent");
	}
	compare_position(c, "deleted_position", row->deleted, c->deleted);
	compare_position(c, "upsert_positions", row->since, c->since);
	compare_position(c, "last_position", row->last, raised(c, folded->last, row->last));
	if (deleted_at != (c->since == ENTITY_NEVER))
		report(c, LEAT_VERIFY_FIELD, "deleted_at", deleted_at ? "set" : "null", deleted_at ? "null" : "set", c->deleted, NULL);
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void compare_names(struct comparison *c)
{
	const struct entity *folded = c->folded;
	const struct entity *row = c->row;
	int64_t type_since = raised(c, folded->type_since, row->type_since);
	compare_position(c, "type_position", row->type_since, type_since);
	if (type_since == folded->type_since && folded->type != NULL && !same_text(row->type, folded->type))
		report(c, LEAT_VERIFY_FIELD, "entity_type", row->type, folded->type, type_since, NULL);
	if (same_text(row->key, folded->key) || (c->inserted && folded->key == NULL))
		return;
	if (folded->key == NULL && !verify_knows_all(c->v, VERIFY_ENTITY))
		c->unsure = true;
	else
		report(c, LEAT_VERIFY_FIELD, "key", row->key, folded->key, folded->since, NULL);
}

/* ---- fields ---- */

static bool same_value(const struct entity_field *found, const struct entity_field *expected)
{
	if (found->removed || expected->removed)
		return found->removed == expected->removed;
	if (found->part == ENTITY_LOCKS)
		return true;
	if (!expected->hashed)
		return verify_json_equal(entity_value(found), found->value_bytes, entity_value(expected), expected->value_bytes);
	char hash[LEAT_UUID_TEXT_BYTES];
	verify_json_hash(hash, entity_value(found), found->value_bytes);
	return strcmp(hash, entity_value(expected)) == 0;
}

static void report_field(const struct comparison *c, enum leat_verify_kind kind, const struct entity_field *found,
	const struct entity_field *expected, const char *explanation)
{
	const struct entity_field *field = found != NULL ? found : expected;
	assert(field != NULL);
	LEAT_BUF_SCOPED name = LEAT_BUF_INIT;
	leat_buf_printf(&name, "%s.%s", parts[field->part], field->text);
	report(c, kind, name.data, found != NULL ? entity_value(found) : NULL, expected != NULL ? entity_value(expected) : NULL,
		expected != NULL ? expected->position : 0,
		explanation != NULL                        ? explanation
			: expected != NULL && expected->hashed ? "the expected value is the hash that the baseline has"
												   : NULL);
}

/* One of the two may be NULL. */
static void report_stamp(const struct comparison *c, const struct entity_field *found, const struct entity_field *expected)
{
	const struct entity_field *field = found != NULL ? found : expected;
	assert(field != NULL);
	LEAT_BUF_SCOPED name = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED stamp = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED wanted = LEAT_BUF_INIT;
	leat_buf_printf(&name, "%s.%s", parts[field->part], field->text);
	if (found == NULL || found->position == ENTITY_NEVER)
		leat_buf_add_text(&stamp, "no position");
	else
		leat_buf_printf(&stamp, "position %" PRId64, found->position);
	if (expected == NULL)
		leat_buf_add_text(&wanted, "no position");
	else
		leat_buf_printf(&wanted, "position %" PRId64, expected->position);
	report(c, LEAT_VERIFY_STAMP, name.data, stamp.data, wanted.data, expected != NULL ? expected->position : 0, NULL);
}

/* In the row, and not in the fold. */
static void judge_extra(struct comparison *c, const struct entity_field *found)
{
	if (found->direct)
		report_field(c, LEAT_VERIFY_OUT_OF_BAND, found, NULL, "written by a direct call");
	else if (is_lost(c, found->position))
		c->unsure = true;
	else if (c->inserted && found->position == ENTITY_NEVER)
		return; /* inserted with the row, which has been reported */
	else if (found->removed)
		report_stamp(c, found, NULL);
	else
		report_field(c, LEAT_VERIFY_FIELD, found, NULL, "nothing in the stream wrote it");
}

/* In the fold, and nothing in the row that counts. What was removed has left its position there, and no value on either side. */
static void judge_absent(const struct comparison *c, const struct entity_field *found, const struct entity_field *expected)
{
	if (expected->removed)
		report_stamp(c, found, expected);
	else
		report_field(c, LEAT_VERIFY_FIELD, NULL, expected, NULL);
}

static void judge_both(struct comparison *c, const struct entity_field *found, const struct entity_field *expected)
{
	bool same = same_value(found, expected);
	if (same && found->position == expected->position)
		return;
	if (found->direct)
		report_field(c, LEAT_VERIFY_OUT_OF_BAND, found, expected, "written by a direct call");
	else if (found->position > expected->position && is_lost(c, found->position))
		c->unsure = true;
	else if (same)
		report_stamp(c, found, expected);
	else
		report_field(c, LEAT_VERIFY_FIELD, found, expected, NULL);
}

static int order(const struct entity_field *a, const struct entity_field *b)
{
	if (a->part != b->part)
		return a->part < b->part ? -1 : 1;
	size_t common = a->name_bytes < b->name_bytes ? a->name_bytes : b->name_bytes;
	int bytes = memcmp(a->text, b->text, common);
	return bytes != 0 ? bytes : (a->name_bytes > b->name_bytes) - (a->name_bytes < b->name_bytes);
}

static bool counts(const struct comparison *c, const struct entity_field *field)
{
	return c->since != ENTITY_NEVER && field->position >= c->since && field->position > c->deleted;
}

/* Of what does not count, the row keeps positions and hidden values as long as they may still come to count: no business of ours. */
static bool shows(const struct comparison *c, const struct entity_field *field)
{
	return !field->removed || counts(c, field);
}

static void compare_fields(struct comparison *c)
{
	const struct entity_field *folded = c->folded->fields;
	const struct entity_field *row = c->row->fields;
	const struct entity_field *folded_end = folded + c->folded->count;
	const struct entity_field *row_end = row + c->row->count;
	while (folded < folded_end || row < row_end) {
		int next = folded == folded_end ? 1 : row == row_end ? -1 : order(folded, row);
		const struct entity_field *expected = next <= 0 && counts(c, folded) ? folded : NULL;
		const struct entity_field *found = next >= 0 && shows(c, row) ? row : NULL;
		if (expected != NULL && found != NULL)
			judge_both(c, found, expected);
		else if (expected != NULL)
			judge_absent(c, next == 0 ? row : NULL, expected);
		else if (found != NULL)
			judge_extra(c, found);
		folded += next <= 0;
		row += next >= 0;
	}
}

bool entity_compare(struct verify *v, struct entity *folded, const struct entity_row *row)
{
	struct comparison c = {.v = v, .folded = folded, .row = &row->entity, .inserted = row->entity.since == 0 && !row->made};
	compare_life(&c, row->deleted_at);
	compare_names(&c);
	compare_fields(&c);
	return !c.unsure;
}
