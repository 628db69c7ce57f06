/*
 * `bench [part …] [long]`: runs the parts named, or all of them, on servers of its own. Progress goes to standard error. Meant for a quiet
 * machine. Ends with 1 when something went wrong, never because a figure is bad: judging is the reader's.
 */
#include "bench.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *name;
	void (*run)(struct bench *bench);
} parts[] = {
	{"drain", bench_drain},
	{"latency", bench_latency},
	{"memory", bench_memory},
	{"idle", bench_idle},
	{"relay", bench_relay},
	{"makespan", bench_makespan},
	{"engine", bench_engine},
	{"waiting", bench_waiting},
	{"verify", bench_verify},
	{"replay", bench_replay},
};
#define PARTS (sizeof parts / sizeof *parts)

#define STAT_FIELDS_BEFORE_TIMES 12 /* behind the name, proc(5) */

static struct bench bench;

/* ---- for the parts ---- */

void bench_die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(EXIT_FAILURE);
}

void bench_must(enum leat_kind kind, const struct leat_error *err)
{
	if (kind != LEAT_OK)
		bench_die("%s", err->text);
}

void bench_print(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void read_proc(pid_t pid, const char *name, char *out, size_t bytes)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		bench_die("no %s: the consumer is gone", path);
	size_t got = fread(out, 1, bytes - 1, file);
	fclose(file);
	out[got] = '\0';
}

int64_t bench_cpu_ms(pid_t pid)
{
	char text[1024];
	read_proc(pid, "stat", text, sizeof text);
	char *at = strrchr(text, ')'); /* the name may hold anything */
	for (int field = 0; field < STAT_FIELDS_BEFORE_TIMES && at != NULL; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL)
		bench_die("can't read /proc/%d/stat", pid);
	int64_t user = strtoll(at, &at, 10);
	int64_t system = strtoll(at, NULL, 10);
	return (user + system) * 1000 / sysconf(_SC_CLK_TCK);
}

int64_t bench_resident_kb(pid_t pid)
{
	char text[4096];
	read_proc(pid, "status", text, sizeof text);
	const char *line = strstr(text, "VmRSS:");
	if (line == NULL)
		bench_die("no VmRSS in /proc/%d/status", pid);
	return strtoll(line + strlen("VmRSS:"), NULL, 10);
}

/* ---- start and end ---- */

static int remove_one(const char *path, const struct stat *file, int type, struct FTW *place)
{
	(void)file;
	(void)type;
	(void)place;
	return remove(path);
}

static void clean_up(void)
{
	leat_server_stop(&bench.postgres);
	if (bench.folder[0] != '\0')
		nftw(bench.folder, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

/* Times of commits are kept: latency is measured by them. */
static void start_postgres(void)
{
	struct leat_error err;
	struct leat_pg *pg = NULL;
	bench_must(leat_server_start(&bench.postgres, LEAT_SERVER_POSTGRES, bench.folder, 0, &err), &err);
	bench_must(leat_pg_open(&pg, bench.postgres.url, "bench", NULL, NULL, 0, &err), &err);
	bench_must(leat_pg_run_sql(pg, "alter system set track_commit_timestamp = on", NULL, &err), &err);
	leat_pg_close(pg);
	leat_server_stop(&bench.postgres);
	bench_must(leat_server_restart(&bench.postgres, &err), &err);
}

static bool take_arguments(int argc, char **argv, bool chosen[PARTS])
{
	bool any = false;
	for (int i = 1; i < argc; i++) {
		size_t part = 0;
		while (part < PARTS && strcmp(parts[part].name, argv[i]) != 0)
			part++;
		if (part < PARTS)
			any = chosen[part] = true;
		else if (strcmp(argv[i], "long") == 0)
			bench.longer = true;
		else
			return false;
	}
	for (size_t i = 0; i < PARTS && !any; i++)
		chosen[i] = true;
	return true;
}

int main(int argc, char **argv)
{
	bool chosen[PARTS] = {false};
	char folder[] = "/tmp/leat-bench-XXXXXX";
	if (!take_arguments(argc, argv, chosen)) {
		fputs("usage: bench", stderr);
		for (size_t i = 0; i < PARTS; i++)
			fprintf(stderr, " [%s]", parts[i].name);
		fputs(" [long]\n", stderr);
		return 2;
	}
	bench.binary = getenv("LEAT_BINARY");
	if (bench.binary == NULL)
		bench_die("LEAT_BINARY is not set: run the benchmark by `make bench`");
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0)
		bench_die("can't make %s", folder);
	memcpy(bench.folder, folder, sizeof folder);
	atexit(clean_up);
	start_postgres();
	for (size_t i = 0; i < PARTS; i++) {
		if (!chosen[i])
			continue;
		fprintf(stderr, "bench: %s\n", parts[i].name);
		parts[i].run(&bench);
	}
	return EXIT_SUCCESS;
}
