/*
 * leat verify: is the database what its streams say? Prints what differs, and ends with 0 when all is equal, 1 when something differs, 2
 * when nobody can tell, because a server is away, or since the streams no longer hold all that made the tables.
 */
#include "verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINDINGS = 50, MEMORY_MB = 512 };

/* "5" and "5%" */
static bool parse_percent(const char *text, int64_t *out)
{
	char *end;
	*out = strtol(text, &end, 10);
	if (*end == '%')
		end++;
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out >= 1 && *out <= 100)
		return true;
	return command_fail("verify", false, "--sample: expected 1%% to 100%%, found \"%s\"", text);
}

int leat_cmd_verify(struct leat_params *params, int argc, char **argv)
{
	const char *sample = "100%";
	const char *baseline = NULL;
	int64_t limit = FINDINGS;
	int64_t memory_mb = MEMORY_MB;
	bool json = false;
	const struct command_flag flags[] = {
		{.name = "--sample", .text = &sample},
		{.name = "--baseline", .text = &baseline},
		{.name = "--memory-mb", .number = &memory_mb},
		{.name = "--limit", .number = &limit},
		{.name = "--json", .on = &json},
		{0},
	};
	struct leat_verify_options options = {.params = params};
	if (!command_take_flags("verify", flags, 0, &argc, argv) || !parse_percent(sample, &options.sample_percent))
		return EXIT_USAGE;
	options.baseline = baseline;
	options.memory_bytes = memory_mb << 20;
	options.most_findings = (size_t)limit;
	return verify_run("verify", &options, json);
}
