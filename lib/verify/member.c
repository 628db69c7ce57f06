/*
 * Members, as the fold of member.set and member.remove, held against leat.members. Who was removed is remembered: a row that is there all
 * the same is a finding.
 */
#include "baseline.h"
#include "ids.h"
#include "reading.h"
#include "row.h"

#include <stdlib.h>
#include <string.h>

struct member {
	char *role; /* NULL: none any more */
	int64_t position;
	int64_t created_us;
	int64_t updated_us;
	bool whole;  /* it began with what was seen */
	bool unsure; /* one that the ledger does not know was among its intents */
	bool seen;
};

struct members {
	struct verify *v;
	struct verify_ids all;
};

static void drop(void *of, void *value)
{
	struct member *member = value;
	(void)of;
	free(member->role);
	free(member);
}

static void *open_fold(struct verify *v, struct leat_error *err)
{
	(void)err;
	struct members *fold = leat_alloc_zero(1, sizeof *fold);
	fold->v = v;
	return fold;
}

static void close_fold(void *of)
{
	struct members *fold = of;
	verify_ids_drop(&fold->all, drop, fold);
	free(fold);
}

static size_t bytes_of(const void *of)
{
	const struct members *fold = of;
	return fold->all.room * sizeof *fold->all.slots + fold->all.count * (sizeof(struct member) + 16);
}

static void narrow(void *of)
{
	struct members *fold = of;
	verify_ids_narrow(&fold->all, fold->v, drop, fold);
}

static struct member *add(struct members *fold, const struct verify_id *key)
{
	struct member *member = leat_alloc_zero(1, sizeof *member);
	verify_ids_add(&fold->all, key, member);
	return member;
}

/* ---- facts ---- */

/* Columns of a row, in the snapshot and in a baseline; the last, whether direct SQL inserted it, in the snapshot alone. */
enum { TENANT, USER, ROLE, POSITION, CREATED, UPDATED, COLUMNS, INSERTED = COLUMNS };

static bool load(void *of, const char *noun, const json_t *row)
{
	struct members *fold = of;
	struct verify_id key = {0};
	if (strcmp(noun, "member") != 0)
		return true;
	const char *role = baseline_text(row, ROLE);
	if (role == NULL || !baseline_id(row, TENANT, &key.tenant) || !baseline_id(row, USER, &key.id))
		return false;
	if (!verify_in_pass(fold->v, &key.id) || verify_ids_find(&fold->all, &key) != NULL)
		return true;
	*add(fold, &key) = (struct member){.role = leat_strdup(role),
		.position = baseline_number(row, POSITION),
		.created_us = baseline_number(row, CREATED),
		.updated_us = baseline_number(row, UPDATED),
		.whole = true};
	return true;
}

static void feed(void *of, const struct verify_fact *fact)
{
	struct members *fold = of;
	if (strcmp(fact->intent->type->noun, "member") != 0)
		return;
	const struct verify_id key = {.tenant = fact->intent->subject.tenant, .id = fact->intent->target};
	if (!verify_in_pass(fold->v, &key.id))
		return;
	struct member *member = verify_ids_find(&fold->all, &key);
	if (member == NULL)
		member = add(fold, &key);
	else if (fact->position <= member->position)
		return; /* the baseline has it */
	struct leat_json body = verify_json(fact->body, fact->body_bytes);
	struct leat_json role = verify_json_member(&body, "role");
	bool was_there = member->role != NULL;
	free(member->role);
	member->role = strcmp(fact->intent->type->verb, "set") == 0 ? verify_copy_text(&role) : NULL;
	if (!was_there)
		member->created_us = fact->at_us;
	member->whole = member->whole || member->role == NULL;
	member->updated_us = fact->at_us;
	member->position = fact->position;
	member->unsure = member->unsure || fact->hole;
}

/* ---- the table ---- */

struct held {
	const struct member *member;
	const struct leat_pg_result *page;
	size_t at;
	bool whole;
};

/* A row that direct SQL inserted is older than the intent that sets it. */
static const char *const inserted[] = {"created_at", NULL};

static void compare_columns(struct verify_row *row, const void *of)
{
	const struct held *held = of;
	const struct member *member = held->member;
	verify_row_text(row, "role", leat_pg_text(held->page, held->at, ROLE), member->role, member->position);
	if (held->whole)
		verify_row_time(row, "created_at", leat_pg_text(held->page, held->at, CREATED), member->created_us, member->position);
	verify_row_time(row, "updated_at", leat_pg_text(held->page, held->at, UPDATED), member->updated_us, member->position);
	verify_row_stamp(row, leat_pg_text(held->page, held->at, POSITION), member->position);
}

static void compare_member(void *of, const struct leat_pg_result *page, size_t at)
{
	struct members *fold = of;
	struct verify_id key = {0};
	const char *tenant = leat_pg_text(page, at, TENANT);
	const char *id = leat_pg_text(page, at, USER);
	leat_uuid_parse(&key.tenant, tenant, strlen(tenant));
	leat_uuid_parse(&key.id, id, strlen(id));
	struct member *member = verify_ids_find(&fold->all, &key);
	struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "member", .tenant = &key.tenant, .id = id};
	row.direct = strcmp(leat_pg_text(page, at, INSERTED), "t") == 0;
	row.direct_fields = inserted;
	bool all = verify_knows_all(fold->v, VERIFY_CONTROL);
	bool by_sql = verify_row_is_by_sql(leat_pg_text(page, at, POSITION));
	if (!by_sql)
		baseline_add_row(fold->v, "member", page, at, COLUMNS, NULL);
	if (by_sql && (member == NULL || member->role == NULL)) /* also one whom an intent had removed */
		verify_row_report(&row, LEAT_VERIFY_OUT_OF_BAND, NULL, NULL, 0, "inserted past the streams");
	else if ((member == NULL && !all) || (member != NULL && member->unsure) ||
		((member == NULL || member->role == NULL) && verify_row_is_lost(&row)))
		verify_count_unknown(fold->v, &verify_members, 1);
	else if (member == NULL || member->role == NULL)
		verify_row_report(&row, LEAT_VERIFY_EXTRA, leat_pg_text(page, at, ROLE), NULL, member == NULL ? 0 : member->position,
			"no member.set in the stream made it");
	else
		verify_row_compare(&row, &verify_members, compare_columns, &(struct held){member, page, at, all || member->whole});
	if (row.direct_differences > 0)
		verify_row_end(&row);
	if (member != NULL)
		member->seen = true;
}

static enum leat_kind compare(void *of, struct leat_error *err)
{
	struct members *fold = of;
	if (verify_each_row(fold->v, &verify_members,
			"select m.tenant_id, m.user_id, m.role, m.position, " VERIFY_US("m.created_at") ", " VERIFY_US(
				"m.updated_at") ", " VERIFY_DIRECT("member_inserted", "m.tenant_id", "m.user_id") " from leat.members m where true",
			"m.user_id", compare_member, fold, err) != LEAT_OK)
		return err->kind;
	struct verify_id key;
	struct member *member;
	for (size_t at = 0; (member = verify_ids_next(&fold->all, &at, &key)) != NULL;) {
		char id[LEAT_UUID_TEXT_BYTES];
		leat_uuid_format(&key.id, id);
		struct verify_row row = {.v = fold->v, .stream = VERIFY_CONTROL, .noun = "member", .tenant = &key.tenant, .id = id};
		if (!member->seen && !member->unsure && member->role != NULL && !verify_row_is_lost(&row))
			verify_row_report(&row, LEAT_VERIFY_MISSING, NULL, member->role, member->position, NULL);
	}
	return LEAT_OK;
}

const struct verify_fold verify_members = {.noun = "members",
	.streams = 1u << VERIFY_CONTROL,
	.open = open_fold,
	.load = load,
	.feed = feed,
	.narrow = narrow,
	.bytes = bytes_of,
	.compare = compare,
	.close = close_fold};
