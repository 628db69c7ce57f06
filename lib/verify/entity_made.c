/*
 * Rows that say that direct SQL inserted them (upsert_positions begins with 0), and yet were made by an intent: their stamp was changed.
 *
 * What tells: a lane writes the row and the ledger's row of the intent in one transaction, and both have its time, to the microsecond. A
 * row that was inserted directly is older or younger than every intent about it. One join, which ends at once where no row says so. Fails
 * as the database does.
 */
#include "entity.h"
#include "row.h"

#include <string.h>

static const char made[] =
	"with said as materialized (select e.tenant_id, e.id, e.created_at from leat.entities e where e.upsert_positions[1] = 0)"
	" select said.tenant_id, said.id from said join leat.activity a"
	" on a.tenant_id = said.tenant_id and a.target_id = said.id and a.at = said.created_at and a.stream = 'LEAT_ENTITY'"
	" and a.outcome = 'applied' where true";

static void note(void *of, const struct leat_pg_result *page, size_t at)
{
	struct verify_ids *ids = of;
	struct verify_id key;
	leat_uuid_parse(&key.tenant, leat_pg_text(page, at, 0), LEAT_UUID_TEXT_BYTES - 1);
	leat_uuid_parse(&key.id, leat_pg_text(page, at, 1), LEAT_UUID_TEXT_BYTES - 1);
	if (verify_ids_find(ids, &key) == NULL)
		verify_ids_add(ids, &key, ids);
}

enum leat_kind entity_made_load(struct verify *v, struct verify_ids *out, struct leat_error *err)
{
	return verify_each_row(v, NULL, made, "said.id", note, out, err);
}
