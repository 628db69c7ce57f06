/* leat baseline: a verification that writes down where the database stands, so that the next one can go on from there. */
#include "verify.h"

#include <stdio.h>
#include <unistd.h>

enum { FINDINGS = 50, MEMORY_MB = 512 };

int leat_cmd_baseline(struct leat_params *params, int argc, char **argv)
{
	const char *baseline = NULL;
	int64_t memory_mb = MEMORY_MB;
	bool trust = false;
	bool force = false;
	const struct command_flag flags[] = {
		{.name = "--baseline", .text = &baseline},
		{.name = "--memory-mb", .number = &memory_mb},
		{.name = "--trust", .on = &trust},
		{.name = "--force", .on = &force},
		{0},
	};
	if (!command_take_flags("baseline", flags, 1, &argc, argv))
		return EXIT_USAGE;
	const char *file = argc > 1 ? argv[1] : "leat-baseline.jsonl";
	if (!force && access(file, F_OK) == 0)
		return command_fail("baseline", EXIT_USAGE,
			"%s is there already: name another file, and go on from that one with --baseline %s; or replace it with --force", file, file);
	struct leat_verify_options options = {
		.params = params,
		.baseline = baseline,
		.write = file,
		.trust = trust,
		.sample_percent = 100,
		.memory_bytes = memory_mb << 20,
		.most_findings = FINDINGS,
	};
	return verify_run("baseline", &options, false);
}
