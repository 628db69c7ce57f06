/* Which refusals of the database may pass: the closed list of design.md section 3. */
#include "leat/pg.h"

#include <string.h>

/* Two characters name a whole class. */
static const char *const temporary[] = {
	"",      /* no answer */
	"08",    /* connection exception */
	"23505", /* unique violation: the apply functions claim with ON CONFLICT, so this is a race about the same message */
	"25006", /* read-only transaction: a standby, or a failover under way */
	"26000", /* prepared statement does not exist: a pooler that lends sessions out, which is not ours to use */
	"28",    /* invalid authorization: the operator's to mend */
	"3D000", /* database does not exist */
	"3F000", /* schema does not exist: not migrated yet */
	"40",    /* serialization failure, deadlock, rollback */
	"42501", /* insufficient privilege: the operator's to mend */
	"42883", /* function does not exist: not migrated yet */
	"42P05", /* prepared statement exists already: the same */
	"42P01", /* table does not exist: not migrated yet */
	"53",    /* out of disk, memory, connections */
	"55P03", /* lock not available */
	"55006", /* object in use */
	"57",    /* shutting down, starting up, cancelled */
	"58",    /* I/O error outside Postgres */
	"XX001", /* data corrupted */
	"XX002", /* index corrupted */
};

enum leat_kind leat_pg_kind(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof temporary / sizeof *temporary; i++) {
		size_t length = strlen(temporary[i]);
		if (length == 0 ? sqlstate[0] == '\0' : strncmp(sqlstate, temporary[i], length) == 0)
			return LEAT_TEMPORARY;
	}
	return LEAT_PERMANENT;
}
