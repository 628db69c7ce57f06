/* The schema: that of this binary, with its walls between tenants still up, used by processes of this version. */
#include "doctor.h"

#include "leat/schema.h"
#include "leat/version.h"

#include <inttypes.h>
#include <string.h>

void doctor_check_schema(struct doctor *d)
{
	struct leat_schema_gap gap;
	struct leat_error err;
	struct leat_pg *pg = d->pg != NULL ? d->pg : d->login;
	if (leat_schema_compare(pg, &gap, &err) != LEAT_OK) {
		if (err.kind != LEAT_TEMPORARY) {
			doctor_skip(d, "%s", err.text);
			return;
		}
		doctor_find(d, DOCTOR_FAULT, "the schema is not there: %s", err.text);
		doctor_why(d, "consumers wait for it");
		doctor_mend(d, "leat migrate");
		return;
	}
	if (gap.unknown.count > 0) {
		doctor_find(d, DOCTOR_FAULT, "%s was run in this database, and this binary does not know it", gap.unknown.first);
		doctor_why(d, "a newer leat was here: this one may do wrong what that one does otherwise");
		doctor_mend(d, "use the newer leat");
		return;
	}
	if (gap.not_run.count + gap.changed.count == 0)
		return;
	const struct leat_schema_files *files = gap.not_run.count > 0 ? &gap.not_run : &gap.changed;
	bool rewritten = strncmp(gap.changed.first, "migrations/", 11) == 0;
	doctor_find(d, DOCTOR_FAULT, "%" PRId64 " files of the schema are not this binary's, %s first", gap.not_run.count + gap.changed.count,
		files->first);
	doctor_why(d, "what this binary asks of the database may not be there, or be otherwise");
	doctor_mend(d, "%s", rewritten ? "use the leat that made this database: a migration of it is another" : "leat migrate");
}

/* ---- what somebody dropped, switched off or replaced ---- */

static void tell_damage(void *context, const char *object, const char *what)
{
	struct doctor *d = context;
	bool policy = strncmp(object, "policy ", strlen("policy ")) == 0;
	doctor_find(d, DOCTOR_FAULT, "%s is %s", object, what);
	if (policy)
		doctor_why(d, "it is a wall between tenants, or lets in who has to come in");
	else if (strncmp(object, "trigger ", strlen("trigger ")) == 0)
		doctor_why(d, "what it does at each change (events, audit log, wakes, suppression in a replay) is not done");
	else
		doctor_why(d, "what lanes and SQL clients call is not what this binary has tested");
	doctor_mend(d, "%s",
		policy ? "make it again as the file in sql/migrations says that made it; `leat migrate` names it until then" : "leat migrate");
}

void doctor_check_objects(struct doctor *d)
{
	struct leat_error err;
	if (leat_schema_find_damage(d->pg, tell_damage, d, &err) != LEAT_OK)
		doctor_skip(d, "%s", err.text);
}

/* ---- walls ---- */

static const char walls_sql[] =
	"select jsonb_build_object("
	" 'open', (select coalesce(jsonb_agg(c.relname order by c.relname), '[]') from pg_class c"
	"  where c.relnamespace = to_regnamespace('leat') and c.relkind in ('r', 'p') and not c.relrowsecurity"
	"   and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')"
	"   and (has_table_privilege('authenticated', c.oid, 'select') or has_table_privilege('public', c.oid, 'select'))),"
	" 'lent', (select coalesce(jsonb_agg(c.relname order by c.relname), '[]') from pg_class c"
	"  where c.relnamespace = to_regnamespace('leat') and c.relname = any ('{activity,message_ids,outbox,parked,audit_log}'::name[])"
	"   and has_table_privilege('authenticated', c.oid, 'select,insert,update,delete')),"
	" 'denied', (select coalesce(jsonb_agg(c.relname order by c.relname), '[]') from pg_class c"
	"  where c.relnamespace = to_regnamespace('leat')"
	"   and c.relname = any "
	"('{entities,activity,message_ids,parked,outbox,stream_epochs,stream_floors,processes,runs,interactions}'::name[])"
	"   and not (has_table_privilege('service_role', c.oid, 'select') and has_table_privilege('service_role', c.oid, 'insert'))),"
	" 'bypasses', (select rolbypassrls or rolsuper from pg_roles where rolname = 'authenticated'))"
	" where to_regrole('authenticated') is not null and to_regrole('service_role') is not null";

static void tell_each(struct doctor *d, const json_t *tables, const char *what, const char *why, const char *mend, const char *mend_end)
{
	size_t i;
	json_t *table;
	json_array_foreach(tables, i, table)
	{
		doctor_find(d, DOCTOR_FAULT, "Postgres: leat.%s %s", json_string_value(table), what);
		doctor_why(d, "%s", why);
		doctor_mend(d, "%s leat.%s %s", mend, json_string_value(table), mend_end);
	}
}

void doctor_check_walls(struct doctor *d)
{
	json_auto_t *found = doctor_query(d, d->login, walls_sql, NULL);
	tell_each(d, json_object_get(found, "open"), "has no row-level security", "a tenant's user sees other tenants' rows", "ALTER TABLE",
		"ENABLE ROW LEVEL SECURITY");
	tell_each(d, json_object_get(found, "lent"), "may be read or written by authenticated",
		"users have no business in ledger, outbox and audit log", "REVOKE ALL ON", "FROM authenticated, PUBLIC");
	tell_each(d, json_object_get(found, "denied"), "may not be read and written by service_role", "consumers can't work without",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON", "TO service_role");
	if (!json_is_true(json_object_get(found, "bypasses")))
		return;
	doctor_find(d, DOCTOR_FAULT, "Postgres: authenticated bypasses row-level security");
	doctor_why(d, "a tenant's user sees and writes other tenants' rows");
	doctor_mend(d, "ALTER ROLE authenticated NOBYPASSRLS NOSUPERUSER");
}

/* ---- processes ---- */

void doctor_check_processes(struct doctor *d)
{
	size_t i;
	json_t *process;
	if (doctor_count_processes(d, NULL) == 0) {
		doctor_find(d, DOCTOR_WARNING, "no consumer of queue group %s was seen of late", d->params->queue_group);
		doctor_why(d, "nothing is applied; what is published waits in the streams");
		doctor_mend(d, "leat consume --queue-group %s", d->params->queue_group);
	}
	json_array_foreach(d->processes, i, process)
	{
		if (strcmp(doctor_text(process, "version"), LEAT_VERSION) == 0)
			continue;
		doctor_find(d, DOCTOR_WARNING, "process %s/%" JSON_INTEGER_FORMAT " is leat %s, this is %s", doctor_text(process, "host"),
			doctor_number(process, "pid"), doctor_text(process, "version"), LEAT_VERSION);
		doctor_why(d, "processes of two versions are meant for the minutes of an upgrade");
		doctor_mend(d, "stop it by SIGTERM, and start the new one");
	}
}
