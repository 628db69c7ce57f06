#include "scripts.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

void script_start(struct leat_child *out, const struct rig *rig, const char *name, const char *const *argv, const char *const *environment)
{
	char log[PATH_MAX + 64];
	char output[PATH_MAX + 64];
	struct leat_error err;
	snprintf(log, sizeof log, "%s/%s.log", rig->folder, name);
	snprintf(output, sizeof output, "%s/%s.out", rig->folder, name);
	struct leat_child_spec spec = {.argv = argv, .environment = environment, .log = log, .output = output, .death_signal = SIGTERM};
	cr_assert_eq(leat_child_start(out, &spec, &err), LEAT_OK, "%s", err.text);
}

int script_wait(struct leat_child *script, int seconds)
{
	int status = 0;
	cr_assert(leat_child_wait(script, (int64_t)seconds * 1000, &status), "still running after %d s", seconds);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

char *script_read(const char *path)
{
	struct leat_buf text = LEAT_BUF_INIT;
	char chunk[4096];
	size_t got;
	FILE *file = fopen(path, "re");
	cr_assert_not_null(file, "no %s: run the tests in the checkout", path);
	while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
		leat_buf_add(&text, chunk, got);
	fclose(file);
	return leat_buf_take(&text);
}
