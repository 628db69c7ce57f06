/*
 * Workflows through NATS: many editors over connections of their own, two consumers. However it comes: one row, versions without gap or
 * repeat, and whoever loses hears which version is current.
 */
#include "control.h"
#include "deciding.h"
#include "leat/buf.h"
#include "load.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOW "77777777-0000-4000-8000-000000000001"
#define EDITORS 5
#define NEW_SAVES 10 /* of each editor */
#define EDITS 10     /* of each that must win */
#define PATIENCE_MS 40000

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	add_members(&rig);
	load_start_consumer(&rig, "one", NULL);
	load_start_consumer(&rig, "two", NULL);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(workflow_race, .init = setup, .fini = teardown);

/* ---- an editor: a thread with its own connection ---- */

struct editor {
	pthread_t thread;
	pthread_barrier_t *start;
	const char *url;
	struct leat_bus *bus;
	struct leat_inbox *inbox;
	char reply_to[96];
	int64_t version; /* that it knows */
	size_t losses;
	char failure[300]; /* "": none */
};

static bool fail(struct editor *editor, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct editor *editor, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(editor->failure, sizeof editor->failure, format, args);
	va_end(args);
	return false;
}

static bool connect_editor(struct editor *editor)
{
	struct leat_bus_options options = {
		.url = editor->url, .name = "editor", .request_timeout_ms = 10000, .retry_first_ms = 20, .retry_limit_ms = 200};
	struct leat_error err;
	if (leat_bus_open(&editor->bus, &options, &err) != LEAT_OK ||
		leat_inbox_open(&editor->inbox, editor->bus, editor->reply_to, &err) != LEAT_OK)
		return fail(editor, "%s", err.text);
	return true;
}

/* `version` below 0: expects none. */
static bool save(struct editor *editor, const char *action, int64_t version)
{
	LEAT_BUF_SCOPED headers = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	leat_buf_printf(&headers, "Leat-Actor: " USER_EDITOR "\r\nLeat-Reply-To: %s\r\n", editor->reply_to);
	leat_buf_printf(&body, "{\"workflow_id\":\"" FLOW "\",\"action\":\"%s\",\"name\":\"n\",\"definition\":", action);
	for (const char *at = CONTROL_DEFINITION; *at != '\0'; at++)
		leat_buf_add(&body, *at == '\'' ? "\"" : at, 1);
	if (version >= 0)
		leat_buf_printf(&body, ",\"expected_version\":%" PRId64, version);
	leat_buf_add_text(&body, "}");
	struct leat_outgoing message = {.subject = "leat.intent." RIG_TENANT_A ".user.workflow.save",
		.headers = leat_buf_text(&headers),
		.data = body.data,
		.data_bytes = body.len};
	return leat_bus_store(editor->bus, &message, 1) == LEAT_OK || fail(editor, "%s", message.err.text);
}

static const char current_is[] = "the current version of workflow " FLOW " is ";

/* The next outcome: the version that it made, or the one that it says is current. */
static bool hear(struct editor *editor, bool *won)
{
	struct leat_msg msg;
	struct leat_error err;
	if (leat_inbox_next(editor->inbox, PATIENCE_MS, &msg, &err) != LEAT_OK)
		return fail(editor, "no outcome: %s", err.text);
	const char *code = "";
	const char *message = "";
	json_int_t version = -1;
	json_t *outcome = json_loadb(msg.data, msg.data_bytes, 0, NULL);
	json_unpack(outcome, "{s?s,s?s,s?{s?I}}", "code", &code, "message", &message, "result", "version", &version);
	*won = version > 0;
	bool understood = true;
	if (!*won && strcmp(code, "conflict") == 0 && strncmp(message, current_is, strlen(current_is)) == 0)
		version = strtoll(message + strlen(current_is), NULL, 10);
	else if (!*won)
		understood = fail(editor, "%.*s", (int)msg.data_bytes, msg.data);
	editor->version = version;
	json_decref(outcome);
	leat_msg_free(&msg);
	return understood;
}

/* Says that it is new, ten times at once, as one that reconnects and has heard nothing. */
static bool save_as_new(struct editor *editor)
{
	bool won;
	for (int i = 0; i < NEW_SAVES; i++) {
		if (!save(editor, "new", -1))
			return false;
	}
	for (int i = 0; i < NEW_SAVES; i++) {
		if (!hear(editor, &won) || !(won || fail(editor, "a save without an expected version lost")))
			return false;
	}
	return true;
}

/* Edits what it knows; the loser goes on with what it heard. */
static bool edit(struct editor *editor)
{
	bool won = false;
	for (int wins = 0; wins < EDITS; wins += won) {
		if (!save(editor, "edit", editor->version) || !hear(editor, &won))
			return false;
		editor->losses += !won;
	}
	return true;
}

static void *run_editor(void *argument)
{
	struct editor *editor = argument;
	bool well = connect_editor(editor);
	pthread_barrier_wait(editor->start);
	well = well && save_as_new(editor);
	pthread_barrier_wait(editor->start);
	editor->version = EDITORS * NEW_SAVES; /* all know it, so that all but one lose the first time */
	if (well)
		edit(editor);
	leat_inbox_close(editor->inbox);
	leat_bus_close(editor->bus);
	return NULL;
}

/* ---- tests ---- */

Test(workflow_race, of_many_editors_each_save_is_one_version_and_each_loser_hears_the_current_one)
{
	struct editor editors[EDITORS] = {0};
	pthread_barrier_t start;
	size_t losses = 0;
	cr_assert_eq(pthread_barrier_init(&start, NULL, EDITORS), 0);
	for (size_t i = 0; i < EDITORS; i++) {
		editors[i].start = &start;
		editors[i].url = rig.nats.url;
		snprintf(editors[i].reply_to, sizeof editors[i].reply_to, "leat.reply." RIG_TENANT_A ".editor-%zu", i);
		cr_assert_eq(pthread_create(&editors[i].thread, NULL, run_editor, &editors[i]), 0);
	}
	for (size_t i = 0; i < EDITORS; i++) {
		pthread_join(editors[i].thread, NULL);
		losses += editors[i].losses;
	}
	pthread_barrier_destroy(&start);
	for (size_t i = 0; i < EDITORS; i++)
		cr_assert_str_empty(editors[i].failure, "%s", editors[i].failure);
	cr_expect_geq(losses, EDITORS - 1);

	const int all = EDITORS * (NEW_SAVES + EDITS);
	char expected[64];
	snprintf(expected, sizeof expected, "1 %d %d 1 %d", all, all, all);
	rig_sql_expect(&rig, expected,
		"select concat_ws(' ', (select count(*) from leat.workflows), (select version from leat.workflows), count(*), min(version),"
		" max(version)) from leat.workflow_versions");
	/* the first is new, all others update; each is told the version that it made; a conflict names the one that was current then */
	snprintf(expected, sizeof expected, "1 %d", all);
	rig_sql_expect(&rig, expected,
		"select concat_ws(' ', count(*) filter (where a.detail ->> 'kind' = 'new' and v.version = 1), count(*))"
		" from leat.workflow_versions v join leat.activity a on a.stream = 'LEAT_CONTROL' and a.position = v.position"
		" where (a.detail ->> 'version')::int = v.version");
	snprintf(expected, sizeof expected, "%zu", losses);
	rig_sql_expect(&rig, expected,
		"select count(*) from leat.activity a where a.code = 'conflict' and a.detail ->> 'message' like"
		" '%%is ' || (select max(v.version) from leat.workflow_versions v where v.position < a.position) || ', not %%'");
}

#define SAVE(action) "{'workflow_id':'" FLOW "','action':'" action "','name':'n','definition':" CONTROL_DEFINITION "}"

Test(workflow_race, an_id_means_the_same_to_everybody)
{
	control_expect(&rig, "applied {\"kind\": \"new\", \"version\": 1",
		control_publish(&rig, RIG_TENANT_A, "user", "workflow.save", USER_EDITOR, SAVE("new")));
	control_expect(&rig, "applied {\"kind\": \"existing\", \"version\": 2",
		control_publish(&rig, RIG_TENANT_A, "user", "workflow.save", USER_EDITOR, SAVE("new")));
	char *before = rig_sql_text(&rig, "select w::text from leat.workflows w");
	control_expect(&rig, "rejected wrong_tenant", control_publish(&rig, RIG_TENANT_B, "user", "workflow.save", USER_VIEWER, SAVE("new")));
	control_expect(&rig, "rejected wrong_tenant", control_publish(&rig, RIG_TENANT_B, "service", "workflow.save", NULL, SAVE("edit")));
	rig_sql_expect(&rig, before, "select w::text from leat.workflows w");
	free(before);
	control_expect(
		&rig, "applied", control_publish(&rig, RIG_TENANT_A, "user", "workflow.delete", USER_EDITOR, "{'workflow_id':'" FLOW "'}"));
	control_expect(
		&rig, "rejected workflow_deleted", control_publish(&rig, RIG_TENANT_A, "user", "workflow.save", USER_EDITOR, SAVE("new")));
	control_expect(&rig, "rejected workflow_deleted", control_publish(&rig, RIG_TENANT_A, "service", "workflow.save", NULL, SAVE("edit")));
	rig_sql_expect(&rig, "2", "select count(*) from leat.workflow_versions");
	load_wait_dead(&rig, 4, 30);
}

/* Direct SQL holds the id when the save comes: it is put aside and holds up nobody, and finds the row when that is there. */
Test(workflow_race, a_save_beside_an_open_direct_insert_waits_for_it_and_updates)
{
	struct client direct;
	client_open(&direct, &rig, "service_role");
	client_expect(&direct, "",
		"begin; insert into leat.workflows (id, tenant_id, name, version) values ('" FLOW "', '" RIG_TENANT_A "', 'direct', 3)");
	uint64_t waits = control_publish(&rig, RIG_TENANT_A, "service", "workflow.save", NULL, SAVE("new"));
	uint64_t next = control_publish(&rig, RIG_TENANT_A, "service", "member.set", NULL, "{'user_id':'" USER_NOBODY "','role':'viewer'}");
	control_expect(&rig, "applied", next);
	client_expect(&direct, "", "commit");
	control_expect(&rig, "applied {\"kind\": \"existing\", \"version\": 4", waits);
	client_close(&direct);
}
