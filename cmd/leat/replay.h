/* What the files of `leat replay` share: times as people give them, and what is told of a replay. */
#ifndef LEAT_CMD_REPLAY_H
#define LEAT_CMD_REPLAY_H

#include "leat/replay.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* "2026-11-22T10:00:00Z" (RFC 3339, to the nanosecond), or how long ago: "90s", "30min", "2h", "7d". False for anything else. */
bool replay_time_parse(int64_t *unix_ns, const char *text);
#define REPLAY_TIME_BYTES 40
/* The same instant, to the nanosecond. */
void replay_time_format(char out[REPLAY_TIME_BYTES], int64_t unix_ns);

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
