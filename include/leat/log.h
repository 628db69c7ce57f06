/*
 * One line per event on standard error: `2026-11-21T21:40:10.123Z warn entity: text`. A line is one write(2), so lines of
 * several threads never mix. Log where an error is handled, once; a state that lasts is logged when it begins and when it ends.
 */
#ifndef LEAT_LOG_H
#define LEAT_LOG_H

enum leat_log_level { LEAT_LOG_DEBUG, LEAT_LOG_INFO, LEAT_LOG_WARN, LEAT_LOG_ERROR };

/* Lines below `level` are dropped; default LEAT_LOG_INFO. Call before threads start. */
void leat_log_set_level(enum leat_log_level level);

/* `who` is a lane or a module: "entity", "relay", "bus". Any thread. */
void leat_log(enum leat_log_level level, const char *who, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
