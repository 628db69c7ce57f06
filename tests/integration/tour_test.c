/* The tour of `make run`: it shows what it promises, twice in a folder, and leaves nothing running, however it ends. */
#include "scripts.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOUR "tests/clients/tour.sh"
#define COLUMNS 100
#define SECONDS 120

static struct rig rig;

static void setup(void)
{
	rig_open(&rig);
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(tour, .init = setup, .fini = teardown);

static void start_tour(struct leat_child *out, const char *name)
{
	char state[PATH_MAX + 64];
	snprintf(state, sizeof state, "LEAT_STATE_DIR=%s/state", rig.folder);
	script_start(out, &rig, name, RIG_ARGS("bash", TOUR), RIG_ARGS(state));
}

static int run_tour(const char *name)
{
	struct leat_child tour;
	start_tour(&tour, name);
	return script_wait(&tour, SECONDS);
}

/* Postgres takes this file away as the last thing it does. */
static bool postgres_runs(void)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof path, "%s/state/postgres/postmaster.pid", rig.folder);
	return access(path, F_OK) == 0;
}

/* From where paths, which are long here, are no longer shown, to where they are again. */
static void expect_columns(const char *text)
{
	const char *from = strstr(text, "Publishing");
	const char *to = strstr(text, "Try it yourself");
	size_t width = 0;
	cr_assert(from != NULL && to != NULL, "%s", text);
	for (const char *at = from; at < to; at++) {
		if (((unsigned char)*at & 0xC0) != 0x80)
			width = *at == '\n' ? 0 : width + 1;
		cr_assert_leq(width, COLUMNS, "wider than %d columns before: %.40s", COLUMNS, at);
	}
}

Test(tour, shows_entities_activity_and_dead_letters)
{
	static const char *const shown[] = {"12345678901234567890", "\"by_1\": 3, \"by_2\": 3, \"by_3\": 3, \"by_4\": 3", "deleted",
		"3 entities", "rejected: invalid_json", "rejected: invalid_message", "rejected: not_found", "did you mean", "Try it yourself"};
	cr_assert_eq(run_tour("tour"), 0);
	cr_assert(!postgres_runs());
	char *text = rig_output(&rig, "tour");
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		cr_expect_not_null(strstr(text, shown[i]), "the tour does not show: %s", shown[i]);
	expect_columns(text);
	free(text);
}

Test(tour, can_be_taken_again_in_the_same_folder)
{
	cr_assert_eq(run_tour("first"), 0);
	cr_assert_eq(run_tour("second"), 0);
	char *text = rig_output(&rig, "second");
	cr_expect_not_null(strstr(text, "Both are duplicates now"));
	expect_columns(text);
	free(text);
}

static bool publishes(void *argument)
{
	(void)argument;
	char *text = rig_output(&rig, "tour");
	bool there = strstr(text, "an import") != NULL;
	free(text);
	return there;
}

Test(tour, stops_everything_on_ctrl_c)
{
	struct leat_child tour;
	signal(SIGINT, SIG_DFL); /* ignored in whatever a shell runs in the background, and no script can undo that */
	start_tour(&tour, "tour");
	cr_assert(rig_wait_until(publishes, NULL, SECONDS));
	cr_assert(postgres_runs());
	cr_assert_eq(kill(-tour.pid, SIGINT), 0); /* as a terminal does: to the whole group */
	cr_assert_eq(script_wait(&tour, SECONDS), 130);
	cr_assert(!postgres_runs());
}

static bool other_is_up(void *argument)
{
	(void)argument;
	char *text = rig_output(&rig, "other");
	bool up = strstr(text, "leat is up") != NULL;
	free(text);
	return up;
}

Test(tour, says_why_when_it_cannot_start_and_leaves_others_alone)
{
	struct leat_child *other = rig_start(&rig, "other", RIG_ARGS("up", "--state-dir", "state"));
	cr_assert(rig_wait_until(other_is_up, NULL, SECONDS));
	cr_assert_eq(run_tour("tour"), 1);
	char *log = rig_log(&rig, "tour");
	cr_expect_not_null(strstr(log, "another `leat up`"), "%s", log);
	free(log);
	cr_assert(postgres_runs());
	leat_child_stop(other, SIGTERM, SECONDS * 1000);
}
