/* Loads: publishing by the thousand, waiting for the ledger. */
#include "load.h"

#include "leat/clock.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE 1000
#define LOOK_MS 20
#define STAT_FIELDS_BEFORE_TIMES 12 /* behind the name, proc(5) */

/* ---- publishing ---- */

void load_add(struct load *load, const char *subject, const char *headers, const void *body, size_t body_bytes)
{
	if (load->count == load->room) {
		load->room = load->room > 0 ? load->room * 2 : 256;
		load->messages = leat_realloc(load->messages, load->room * sizeof *load->messages);
	}
	char *copy = leat_alloc(body_bytes + 1);
	memcpy(copy, body, body_bytes);
	load->messages[load->count++] = (struct leat_outgoing){
		.subject = leat_strdup(subject),
		.headers = headers != NULL ? leat_strdup(headers) : NULL,
		.data = copy,
		.data_bytes = body_bytes,
	};
}

void load_add_intent(struct load *load, const char *tenant, const char *noun_verb, const char *headers, const char *format, ...)
{
	char subject[256];
	char *body = NULL;
	va_list args;
	va_start(args, format);
	cr_assert_geq(vasprintf(&body, format, args), 0);
	va_end(args);
	snprintf(subject, sizeof subject, "leat.intent.%s.service.%s", tenant, noun_verb);
	load_add(load, subject, headers, body, strlen(body));
	free(body);
}

void load_store(struct rig *rig, struct load *load)
{
	for (size_t from = 0; from < load->count; from += AT_ONCE) {
		struct leat_outgoing *slice = &load->messages[from];
		size_t count = load->count - from < AT_ONCE ? load->count - from : AT_ONCE;
		if (leat_bus_store(rig_bus(rig), slice, count) == LEAT_OK)
			continue;
		for (size_t i = 0; i < count; i++)
			cr_assert_eq(slice[i].kind, LEAT_OK, "%s: %s", slice[i].subject, slice[i].err.text);
	}
}

void load_free(struct load *load)
{
	for (size_t i = 0; i < load->count; i++) {
		free((void *)load->messages[i].subject);
		free((void *)load->messages[i].headers);
		free((void *)load->messages[i].data);
	}
	free(load->messages);
	*load = (struct load){0};
}

void load_entity(char out[37], size_t number)
{
	snprintf(out, 37, "eeeeeeee-0000-4000-8000-%012zx", number & 0xffffffffffff);
}

void load_store_entities(struct rig *rig, const char *tenant, size_t count)
{
	struct load load = {0};
	for (size_t i = 0; i < count; i++) {
		char id[37];
		load_entity(id, i);
		load_add_intent(&load, tenant, "entity.upsert", NULL, "{\"entity_id\":\"%s\",\"entity_type\":\"thing\"}", id);
	}
	load_store(rig, &load);
	load_free(&load);
}

void load_store_merges(struct rig *rig, const char *field, size_t count, size_t entities)
{
	struct load load = {0};
	for (size_t i = 0; i < count; i++) {
		char id[37];
		char header[64];
		load_entity(id, i % entities);
		snprintf(header, sizeof header, "Leat-Id: %s-%zu\r\n", field, i);
		load_add_intent(&load, RIG_TENANT_A, "entity.merge", header, "{\"entity_id\":\"%s\",\"content\":{\"%s\":%zu}}", id, field, i);
	}
	load_store(rig, &load);
	load_free(&load);
}

/* ---- consuming ---- */

struct leat_child *load_start_consumer(struct rig *rig, const char *name, const char *const *more)
{
	const char *arguments[16] = {"consume"};
	for (size_t i = 0; more != NULL && more[i] != NULL; i++) {
		cr_assert_lt(i, 14);
		arguments[i + 1] = more[i];
	}
	return rig_start(rig, name, arguments);
}

void load_stop_consumer(struct leat_child *consumer)
{
	int status = 0;
	leat_child_signal(consumer, SIGTERM);
	cr_assert(leat_child_wait(consumer, 10000, &status), "still there 10 s after SIGTERM");
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "SIGTERM: waitpid status %d", status);
}

void load_wait_settled(struct rig *rig, int64_t rows, int seconds)
{
	char expected[64];
	snprintf(expected, sizeof expected, "%" PRId64 " settled, 0 parked, 0 to publish", rows);
	rig_sql_wait(rig, seconds, expected,
		"select format('%%s settled, %%s parked, %%s to publish', (select count(*) from leat.activity),"
		" (select count(*) from leat.parked), (select count(*) from leat.outbox))");
}

int64_t load_dead_count(struct rig *rig)
{
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(rig_bus(rig), "LEAT_DEAD", &state, &err), LEAT_OK, "%s", err.text);
	return (int64_t)state.messages;
}

void load_wait_dead(struct rig *rig, int64_t count, int seconds)
{
	int64_t deadline = leat_clock_ms() + (int64_t)seconds * 1000;
	int64_t found;
	while ((found = load_dead_count(rig)) != count) {
		cr_assert_lt(leat_clock_ms(), deadline, "after %d s %" PRId64 " dead letters, expected %" PRId64, seconds, found, count);
		poll(NULL, 0, LOOK_MS);
	}
}

char *load_snapshot(struct rig *rig)
{
	return rig_sql_text(rig,
		"select format('entities %%s, ledger %%s, ids %%s, audit %%s, outbox %%s, parked %%s',"
		" (select md5(string_agg(concat_ws(' ', e, xmin, ctid), ',' order by tenant_id, id)) from leat.entities e),"
		" (select md5(string_agg(concat_ws(' ', a, xmin), ',' order by stream, position)) from leat.activity a),"
		" (select md5(string_agg(concat_ws(' ', m, xmin), ',' order by tenant_id, leat_id)) from leat.message_ids m),"
		" (select count(*) from leat.audit_log), (select count(*) from leat.outbox), (select count(*) from leat.parked))");
}

/* ---- servers and processes ---- */

void load_kill_and_restart(struct rig *rig, struct leat_server *server)
{
	struct leat_error err;
	leat_server_kill(server);
	cr_assert_eq(leat_server_restart(server, &err), LEAT_OK, "%s", err.text);
	rig_sql_wait(rig, 60, "1", "select 1");
}

int64_t load_cpu_ms(pid_t pid)
{
	char path[64];
	char text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *file = fopen(path, "re");
	cr_assert_not_null(file, "no %s", path);
	size_t got = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[got] = '\0';
	char *at = strrchr(text, ')'); /* the name may hold anything */
	for (int field = 0; field < STAT_FIELDS_BEFORE_TIMES && at != NULL; field++)
		at = strchr(at + 1, ' ');
	cr_assert_not_null(at, "%s", text);
	int64_t user = strtoll(at, &at, 10);
	int64_t system = strtoll(at, NULL, 10);
	return (user + system) * 1000 / sysconf(_SC_CLK_TCK);
}
