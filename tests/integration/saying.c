#include "saying.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_SECONDS 60

const char say_right_to_left[] = {(char)0xE2, (char)0x80, (char)0xAE, '\0'};

void say_run(struct rig *rig, const char *name, int status, const char *const *arguments)
{
	int ended = rig_run(rig, name, RUN_SECONDS, arguments);
	char *log = rig_log(rig, name);
	char *output = rig_output(rig, name);
	cr_assert_eq(ended, status, "leat %s ended with %d, expected %d\n%s%s", arguments[0], ended, status, log, output);
	free(log);
	free(output);
}

char *say_output(struct rig *rig, const char *name, int status, const char *const *arguments)
{
	say_run(rig, name, status, arguments);
	return rig_output(rig, name);
}

void say_expect(const struct rig *rig, const char *name, const char *text)
{
	char *found = rig_output(rig, name);
	cr_assert_not_null(strstr(found, text), "expected \"%s\" in:\n%s", text, found);
	free(found);
}

void say_expect_not(const struct rig *rig, const char *name, const char *text)
{
	char *found = rig_output(rig, name);
	cr_assert_null(strstr(found, text), "\"%s\" should not be in:\n%s", text, found);
	free(found);
}

void say_expect_log(const struct rig *rig, const char *name, const char *text)
{
	char *found = rig_log(rig, name);
	cr_assert_not_null(strstr(found, text), "expected \"%s\" in:\n%s", text, found);
	free(found);
}

struct waiting {
	const struct rig *rig;
	const char *name;
	const char *text;
};

static bool is_logged(void *argument)
{
	const struct waiting *waiting = argument;
	char *found = rig_log(waiting->rig, waiting->name);
	bool there = strstr(found, waiting->text) != NULL;
	free(found);
	return there;
}

void say_wait_log(const struct rig *rig, const char *name, const char *text)
{
	struct waiting waiting = {rig, name, text};
	if (!rig_wait_until(is_logged, &waiting, RUN_SECONDS))
		say_expect_log(rig, name, text);
}

size_t say_count(const char *text, const char *part)
{
	size_t count = 0;
	for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
		count++;
	return count;
}

void say_write_file(const struct rig *rig, const char *name, const char *text, size_t bytes)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof path, "%s/%s", rig->folder, name);
	FILE *file = fopen(path, "we");
	cr_assert_not_null(file, "can't write %s", path);
	cr_assert_eq(fwrite(text, 1, bytes, file), bytes);
	cr_assert_eq(fclose(file), 0);
}
