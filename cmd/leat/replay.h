/* What the files of `leat replay` share: what is told of a replay. */
#ifndef LEAT_CMD_REPLAY_H
#define LEAT_CMD_REPLAY_H

#include "leat/replay.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Where it is, on standard error: once a second over the line before on a terminal, else a line every ten seconds. Zero-initialise. */
struct replay_progress {
	bool quiet;
	int64_t began_ms;
	int64_t next_ms;
	bool drawn; /* there is a line to be cleared */
};
void replay_show_progress(struct replay_progress *progress, const struct leat_replay_report *report);
void replay_clear_progress(struct replay_progress *progress);

/* What was done, or would be; streams that were not asked for are left out. */
void replay_print(const struct leat_replay_options *options, const struct leat_replay_report *report, int64_t took_ms);
void replay_print_json(const struct leat_replay_options *options, const struct leat_replay_report *report, int64_t took_ms);

#endif
