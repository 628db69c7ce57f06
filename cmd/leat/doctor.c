/*
 * `leat doctor`: what is wrong with this installation, or soon will be, why that matters, and what mends it.
 *
 * The happy path connects to both servers and runs the checks of the table below, each a small function that asks one thing; 0 when they
 * find nothing worse than warnings, else 1. A server that does not answer is a fault by itself; the checks that need it are told as not
 * done, and the others run. What a login may not ask is not done either, and says so.
 */
#include "doctor.h"

#include "command.h"

#include "leat/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MS 2000 /* what a login may not ask is never answered */
#define HEARTBEATS 3    /* missed: then a process counts as gone */

enum needs { MACHINE = 0, NATS = 1, LOGIN = 2, SCHEMA = 4 };

/* In this order: what others build on comes first, and so does the ledger's mark after the floor that it is compared with. */
static const struct {
	const char *name;
	unsigned int needs;
	void (*run)(struct doctor *d);
} checks[] = {
	{"nats version", NATS, doctor_check_nats_version},
	{"streams", NATS, doctor_check_streams},
	{"copies of streams", NATS, doctor_check_stream_copies},
	{"room in streams", NATS, doctor_check_stream_room},
	{"room of the account", NATS, doctor_check_nats_room},
	{"nats login", NATS, doctor_check_nats_login},
	{"nats clock", NATS, doctor_check_nats_clock},
	{"postgres version", LOGIN, doctor_check_postgres_version},
	{"postgres settings", LOGIN, doctor_check_postgres_settings},
	{"postgres login", LOGIN, doctor_check_postgres_login},
	{"postgres clock", LOGIN, doctor_check_postgres_clock},
	{"pooler", LOGIN, doctor_check_pooler},
	{"schema", LOGIN, doctor_check_schema},
	{"functions and triggers", SCHEMA, doctor_check_objects},
	{"walls", LOGIN, doctor_check_walls},
	{"processes", SCHEMA, doctor_check_processes},
	{"connections", SCHEMA, doctor_check_connections},
	{"consumers", NATS | SCHEMA, doctor_check_durables},
	{"fleet", NATS | SCHEMA, doctor_check_fleet},
	{"ledger", NATS | SCHEMA, doctor_check_ledger},
	{"dead letters", NATS, doctor_check_dead_letters},
	{"allowed hosts", SCHEMA, doctor_check_allow_hosts},
	{"secrets", MACHINE, doctor_check_secrets},
};

#define CHECK_COUNT (sizeof checks / sizeof *checks)

/* ---- the servers ---- */

static const char away_why[] =
	"nothing is applied meanwhile; what is published waits in the streams, and nothing is lost within their retention";

static void open_nats(struct doctor *d, const struct leat_params *settings)
{
	struct leat_error err;
	char version[32] = "";
	d->check = "nats";
	if (command_open_bus(&d->bus, settings, &err) != LEAT_OK) {
		doctor_find(d, DOCTOR_FAULT, "%s", err.text);
		doctor_why(d, "%s", away_why);
		doctor_mend(d,
			"start nats-server with JetStream on (-js), or say by LEAT_NATS_URL where it listens, by LEAT_NATS_USER or the like who logs "
			"in");
		return;
	}
	leat_bus_server_version(d->bus, version);
	json_object_set_new(d->versions, "nats", json_string(version));
}

/* The live processes; counts as a try of what every lane does first. */
static enum leat_kind read_processes(struct doctor *d, struct leat_error *err)
{
	LEAT_PG_RESULT_SCOPED *result = NULL;
	struct leat_pg_params params = {0};
	leat_pg_bind_int8(&params, HEARTBEATS * d->params->process_heartbeat_ms);
	if (leat_pg_run_once(d->pg,
			"select coalesce(jsonb_agg(to_jsonb(p)), '[]') from leat.processes p"
			" where p.seen_at >= now() - $1::bigint * interval '1 millisecond'",
			&params, &result, err) != LEAT_OK)
		return err->kind;
	d->processes = json_loads(leat_pg_text(result, 0, 0), 0, NULL);
	return LEAT_OK;
}

static void open_postgres(struct doctor *d)
{
	struct leat_error err;
	d->check = "postgres";
	if (leat_pg_open(&d->login, d->params->database_url, "leat doctor", NULL, NULL, 0, &err) != LEAT_OK) {
		doctor_find(d, DOCTOR_FAULT, "%s", err.text);
		doctor_why(d, "%s", away_why);
		doctor_mend(d, "start Postgres, or say by LEAT_DATABASE_URL where it listens and who logs in");
		return;
	}
	/* Why it can't is for the checks of login and schema to find. */
	if (leat_pg_open(&d->pg, d->params->database_url, "leat doctor", "service_role", NULL, 0, &err) == LEAT_OK &&
		read_processes(d, &err) != LEAT_OK) {
		leat_pg_close(d->pg);
		d->pg = NULL;
	}
}

/* ---- running ---- */

static void run_checks(struct doctor *d)
{
	for (size_t i = 0; i < CHECK_COUNT; i++) {
		d->check = checks[i].name;
		if ((checks[i].needs & NATS) != 0 && d->bus == NULL)
			doctor_skip(d, "NATS does not answer");
		else if ((checks[i].needs & (LOGIN | SCHEMA)) != 0 && d->login == NULL)
			doctor_skip(d, "Postgres does not answer");
		else if ((checks[i].needs & SCHEMA) != 0 && d->pg == NULL)
			doctor_skip(d, "there is no schema that this login may read");
		else
			checks[i].run(d);
	}
}

static size_t count(const struct doctor *d, const char *level)
{
	size_t i;
	size_t found = 0;
	json_t *finding;
	json_array_foreach(d->findings, i, finding) found += strcmp(doctor_text(finding, "level"), level) == 0;
	return found;
}

/* ---- printing ---- */

static void print_plural(size_t number, const char *what)
{
	printf("%zu %s%s", number, what, number == 1 ? "" : "s");
}

static void print_findings(const struct doctor *d)
{
	size_t i;
	json_t *finding;
	bool begins = true;
	json_array_foreach(d->findings, i, finding)
	{
		printf("%s  %s\n", strcmp(doctor_text(finding, "level"), "fault") == 0 ? "FAULT  " : "WARNING", doctor_text(finding, "what"));
		printf("    why   %s\n    mend  %s\n\n", doctor_text(finding, "why"), doctor_text(finding, "mend"));
	}
	json_array_foreach(d->skipped, i, finding)
	{
		const json_t *next = json_array_get(d->skipped, i + 1);
		bool together = strcmp(doctor_text(finding, "why"), doctor_text(next, "why")) == 0;
		printf("%s%s", begins ? "NOT CHECKED  " : ", ", doctor_text(finding, "check"));
		if (!together)
			printf(": %s\n", doctor_text(finding, "why"));
		begins = !together;
	}
	if (json_array_size(d->skipped) > 0)
		putchar('\n');
}

static void print_tables(const struct doctor *d)
{
	print_findings(d);
	printf("leat %s", LEAT_VERSION);
	if (d->bus != NULL)
		printf(", nats-server %s", doctor_text(d->versions, "nats"));
	if (d->login != NULL)
		printf(", Postgres %s", doctor_text(d->versions, "postgres"));
	printf(": ");
	print_plural(CHECK_COUNT, "check");
	printf(", ");
	print_plural(count(d, "fault"), "fault");
	printf(", ");
	print_plural(count(d, "warning"), "warning");
	if (json_array_size(d->skipped) > 0)
		printf(", %zu not checked", json_array_size(d->skipped));
	putchar('\n');
}

static void print_json(const struct doctor *d)
{
	json_t *report = json_pack("{s:b, s:I, s:I, s:O, s:O, s:O}", "healthy", count(d, "fault") == 0, "faults", (json_int_t)count(d, "fault"),
		"warnings", (json_int_t)count(d, "warning"), "versions", d->versions, "findings", d->findings, "skipped", d->skipped);
	json_dumpf(report, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(report);
}

int leat_cmd_doctor(struct leat_params *params, int argc, char **argv)
{
	bool json = false;
	const struct command_flag flags[] = {{.name = "--json", .on = &json}, {0}};
	if (!command_take_flags("doctor", flags, 0, &argc, argv))
		return EXIT_USAGE;
	struct leat_params quick = *params;
	if (quick.publish_timeout_ms > REQUEST_MS)
		quick.publish_timeout_ms = REQUEST_MS;
	struct doctor d = {
		.params = params, .findings = json_array(), .skipped = json_array(), .versions = json_pack("{s:s}", "leat", LEAT_VERSION)};
	open_nats(&d, &quick);
	open_postgres(&d);
	run_checks(&d);
	if (json)
		print_json(&d);
	else
		print_tables(&d);
	int status = count(&d, "fault") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	leat_bus_close(d.bus);
	leat_pg_close(d.login);
	leat_pg_close(d.pg);
	json_decref(d.processes);
	json_decref(d.findings);
	json_decref(d.skipped);
	json_decref(d.versions);
	return status;
}
