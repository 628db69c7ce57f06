/*
 * Runs the tests: makes a temporary folder and one Postgres for the whole suite, then hands over to Criterion.
 *
 * Criterion runs each test in a process of its own, which finds both by the environment. The logs of a test that failed are printed as
 * soon as it has. No test at all is a failure too: a filter that matches nothing would pass silently.
 */
#include "harness.h"

#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <criterion/options.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_BYTES 8000 /* printed of each log, its end */
#define TEST_SECONDS 180
#define SOAK_SECONDS 3600

static size_t tests_run;

ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
	tests_run = stats->nb_tests - stats->tests_skipped;
}

static void print_end(const char *path)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return;
	fseek(file, 0, SEEK_END);
	long size = ftell(file);
	fseek(file, size > LOG_BYTES ? size - LOG_BYTES : 0, SEEK_SET);
	char text[LOG_BYTES + 1];
	size_t got = fread(text, 1, LOG_BYTES, file);
	fclose(file);
	if (got > 0)
		fprintf(stderr, "---- %s%s\n%.*s\n", path, size > LOG_BYTES ? " (its end)" : "", (int)got, text);
}

static void print_logs(const struct criterion_test_stats *stats)
{
	char pattern[PATH_MAX];
	snprintf(pattern, sizeof pattern, "%s/%s.%s.*/*.{log,out}", getenv(RIG_ENV_FOLDER), stats->test->category, stats->test->name);
	glob_t found;
	if (glob(pattern, GLOB_BRACE, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			print_end(found.gl_pathv[i]);
		globfree(&found);
	}
}

ReportHook(POST_TEST)(struct criterion_test_stats *stats)
{
	if (stats->test_status == CR_STATUS_FAILED)
		print_logs(stats);
}

ReportHook(TEST_CRASH)(struct criterion_test_stats *stats)
{
	print_logs(stats);
}

static int remove_one(const char *path, const struct stat *file, int type, struct FTW *place)
{
	(void)file;
	(void)type;
	(void)place;
	return remove(path);
}

static int run_tests(int argc, char **argv)
{
	struct criterion_test_set *tests = criterion_initialize();
	int passed = 0;
	criterion_options.timeout = rig_soak() ? SOAK_SECONDS : TEST_SECONDS;
	if (criterion_handle_args(argc, argv, true))
		passed = criterion_run_all_tests(tests);
	criterion_finalize(tests);
	return passed && tests_run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/leat-test-XXXXXX";
	struct leat_server postgres;
	struct leat_error err;
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0) {
		perror(folder);
		return EXIT_FAILURE;
	}
	if (leat_server_start(&postgres, LEAT_SERVER_POSTGRES, folder, 0, &err) != LEAT_OK) {
		fprintf(stderr, "%s\n", err.text);
		return EXIT_FAILURE;
	}
	setenv(RIG_ENV_FOLDER, folder, 1);
	setenv(RIG_ENV_POSTGRES, postgres.url, 1);
	int status = run_tests(argc, argv);
	leat_server_stop(&postgres);
	nftw(folder, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	return status;
}
