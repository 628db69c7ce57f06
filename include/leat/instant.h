/* Instants as people write them, in nanoseconds since 1970 (UTC). Pure; any thread. */
#ifndef LEAT_INSTANT_H
#define LEAT_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

/* For messages about what leat_instant_parse did not take. */
#define LEAT_INSTANT_EXPECTED "a time like 2026-11-22T10:00:00Z or 2026-11-22, or how long ago, like 90s, 30min, 2h or 7d"

/*
 * RFC 3339 from 1970 to 2200, to the nanosecond; a date alone is its midnight, UTC; or how long before now_ns: "90s", "30min" ("30m"),
 * "2h", "7d". False for anything else, and for what is not after 1970; *unix_ns is left alone then.
 */
bool leat_instant_parse(int64_t *unix_ns, const char *text, int64_t now_ns) __attribute__((warn_unused_result));
/* The machine's clock. */
int64_t leat_instant_now(void);

/* RFC 3339, to the nanosecond: leat_instant_parse reads the same instant. unix_ns is at least 0. */
#define LEAT_INSTANT_BYTES 40
void leat_instant_format(char out[LEAT_INSTANT_BYTES], int64_t unix_ns);

#endif
