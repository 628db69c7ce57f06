/* Postgres itself: its version, settings that a commit relies on, who logs in, its clock, what stands between, and its connections. */
#include "doctor.h"

#include "leat/lane.h"

#include <inttypes.h>
#include <string.h>

#define VERSION_LEAST 150000
#define XID_AGE_LIMIT 1000000000

void doctor_check_postgres_version(struct doctor *d)
{
	json_auto_t *found = doctor_query(d, d->login,
		"select jsonb_build_object('shown', current_setting('server_version'), 'number', current_setting('server_version_num')::integer)",
		NULL);
	if (found == NULL)
		return;
	json_object_set_new(d->versions, "postgres", json_string(doctor_text(found, "shown")));
	if (doctor_number(found, "number") >= VERSION_LEAST)
		return;
	doctor_find(d, DOCTOR_FAULT, "Postgres is %s, older than %d", doctor_text(found, "shown"), VERSION_LEAST / 10000);
	doctor_why(d, "the schema is written for 15, and is tested with nothing older");
	doctor_mend(d, "pg_upgrade");
}

/* ---- settings ---- */

static const struct setting {
	const char *name;
	const char *expected; /* anything else is a fault, but for synchronous_commit, where only `off` is one */
	enum doctor_level level;
	const char *why;
	const char *mend;
} settings[] = {
	{"fsync", "on", DOCTOR_FAULT, "a crash can leave a database that can't be read any more",
		"ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();"},
	{"full_page_writes", "on", DOCTOR_FAULT, "a power loss can leave pages that are half written",
		"ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();"},
	{"autovacuum", "on", DOCTOR_WARNING, "every update leaves a dead row: tables only grow, and all gets slower",
		"ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();"},
	{"default_transaction_read_only", "off", DOCTOR_FAULT, "nothing can be written",
		"connect to the primary, or ALTER DATABASE … RESET default_transaction_read_only"},
	{"in_hot_standby", "off", DOCTOR_FAULT, "this is a standby: nothing can be written",
		"connect to the primary: LEAT_DATABASE_URL=postgresql://one,two/leat?target_session_attrs=read-write"},
};

static void check_commit(struct doctor *d, const char *found)
{
	if (strcmp(found, "off") != 0)
		return;
	doctor_find(d, DOCTOR_FAULT, "synchronous_commit is off for this login");
	doctor_why(d, "an intent is acknowledged after the commit, which a crash of Postgres then undoes: it is lost");
	doctor_mend(d, "ALTER ROLE … RESET synchronous_commit, or ALTER DATABASE, or ALTER SYSTEM, whoever set it (pg_settings.source)");
}

void doctor_check_postgres_settings(struct doctor *d)
{
	json_auto_t *found = doctor_query(d, d->login,
		"select jsonb_object_agg(name, setting) || jsonb_build_object('xid_age',"
		" (select age(datfrozenxid) from pg_database where datname = current_database())) from pg_settings",
		NULL);
	if (found == NULL)
		return;
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		const char *value = doctor_text(found, settings[i].name);
		if (*value == '\0' || strcmp(value, settings[i].expected) == 0)
			continue;
		doctor_find(d, settings[i].level, "Postgres: %s is %s", settings[i].name, value);
		doctor_why(d, "%s", settings[i].why);
		doctor_mend(d, "%s", settings[i].mend);
	}
	check_commit(d, doctor_text(found, "synchronous_commit"));
	if (doctor_number(found, "xid_age") < XID_AGE_LIMIT)
		return;
	doctor_find(
		d, DOCTOR_WARNING, "Postgres: %" JSON_INTEGER_FORMAT " transactions since all rows were frozen", doctor_number(found, "xid_age"));
	doctor_why(d, "at two thousand million it stops writing, to save itself");
	doctor_mend(d, "VACUUM (FREEZE), and look for what holds autovacuum up: old transactions, replication slots");
}

/* ---- who logs in ---- */

static const char login_sql[] =
	"select jsonb_build_object('login', session_user, 'superuser', r.rolsuper, 'bypass', r.rolbypassrls,"
	" 'owns', exists (select from pg_class c where c.relnamespace = to_regnamespace('leat') and c.relowner = r.oid)"
	"  or exists (select from pg_database b where b.datname = current_database() and b.datdba = r.oid),"
	" 'authenticated', coalesce(pg_has_role(session_user, (select oid from pg_roles where rolname = 'authenticated'), 'member'), false),"
	" 'service_role', coalesce(pg_has_role(session_user, (select oid from pg_roles where rolname = 'service_role'), 'member'), false))"
	" from pg_roles r where r.rolname = session_user";

void doctor_check_postgres_login(struct doctor *d)
{
	json_auto_t *found = doctor_query(d, d->login, login_sql, NULL);
	if (found == NULL)
		return;
	const char *login = doctor_text(found, "login");
	for (const char *const *role = (const char *const[]){"authenticated", "service_role", NULL}; *role != NULL; role++) {
		if (json_is_true(json_object_get(found, *role)))
			continue;
		doctor_find(d, DOCTOR_FAULT, "Postgres: %s may not act as %s", login, *role);
		doctor_why(d, "every lane does: users' intents as authenticated, all else as service_role");
		doctor_mend(d, "leat migrate, then GRANT authenticated, service_role TO \"%s\"", login);
	}
	if (json_is_true(json_object_get(found, "superuser"))) {
		doctor_find(d, DOCTOR_WARNING, "Postgres: %s is a superuser", login);
		doctor_why(d, "no policy and no grant binds it: whoever has a consumer's password has the whole server");
	} else if (json_is_true(json_object_get(found, "owns"))) {
		doctor_find(d, DOCTOR_WARNING, "Postgres: %s owns the database or tables in it", login);
		doctor_why(d, "no policy binds the owner: it sees and writes all tenants' rows");
	} else if (json_is_true(json_object_get(found, "bypass"))) {
		doctor_find(d, DOCTOR_WARNING, "Postgres: %s bypasses row-level security", login);
		doctor_why(d, "it sees and writes all tenants' rows");
	} else {
		return;
	}
	doctor_mend(d, "log consumers in as another: CREATE ROLE leat LOGIN PASSWORD '…' IN ROLE authenticated, service_role");
}

/* ---- clock ---- */

void doctor_check_postgres_clock(struct doctor *d)
{
	int64_t before_us = doctor_now_us();
	json_auto_t *found = doctor_query(d, d->login, "select (extract(epoch from clock_timestamp()) * 1000000)::bigint", NULL);
	if (found != NULL)
		doctor_compare_clocks(d, "Postgres", before_us, json_integer_value(found), doctor_now_us());
}

/* ---- what stands between ---- */

/* Two sessions that are open at the same time are two processes of the server, unless something lends one to both. */
void doctor_check_pooler(struct doctor *d)
{
	struct leat_pg *other = NULL;
	struct leat_error err;
	if (leat_pg_open(&other, d->params->database_url, "leat doctor", NULL, NULL, 0, &err) != LEAT_OK) {
		doctor_skip(d, "%s", err.text);
		return;
	}
	json_auto_t *one = doctor_query(d, d->login, "select pg_backend_pid()", NULL);
	json_auto_t *two = doctor_query(d, other, "select pg_backend_pid()", NULL);
	leat_pg_close(other);
	if (one == NULL || two == NULL || !json_equal(one, two))
		return;
	doctor_find(d, DOCTOR_FAULT, "between here and Postgres is a pooler that lends sessions for a transaction");
	doctor_why(d, "a consumer keeps its session: prepared statements, LISTEN, a lock; without, nothing is lost and little gets done");
	doctor_mend(d, "connect to Postgres itself, or set pool_mode = session for this database");
}

/* ---- connections ---- */

#define FULL_PERCENT 80

void doctor_check_connections(struct doctor *d)
{
	json_auto_t *found = doctor_query(d, d->login,
		"select jsonb_build_object('most', current_setting('max_connections')::integer"
		" - current_setting('superuser_reserved_connections')::integer,"
		" 'used', (select count(*) from pg_stat_activity where backend_type = 'client backend'))",
		NULL);
	json_int_t most = doctor_number(found, "most");
	json_int_t used = doctor_number(found, "used");
	json_int_t wanted = 0;
	size_t i;
	json_t *process;
	if (found == NULL)
		return;
	json_array_foreach(d->processes, i, process) wanted += (json_int_t)json_object_size(json_object_get(process, "lanes"));
	if (used * 100 < most * FULL_PERCENT && wanted <= most)
		return;
	doctor_find(d, DOCTOR_WARNING,
		"Postgres: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
		" connections are in use; the %zu processes want %" JSON_INTEGER_FORMAT,
		used, most, json_array_size(d->processes), wanted);
	doctor_why(d, "each lane of each process has one, %d with all lanes; who gets none waits, and its lane stands still", LEAT_LANES);
	doctor_mend(d, "ALTER SYSTEM SET max_connections = %" JSON_INTEGER_FORMAT ", and restart Postgres; or fewer --lanes in each process",
		(most > wanted ? most : wanted) * 2);
}
