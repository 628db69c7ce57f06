/*
 * What the commands share. Each is a function of the settings and the words after its name (argv[0] is the name itself); it returns the
 * exit status: 0, 1 when it could not do what it was asked, 2 when it was asked wrongly.
 */
#ifndef LEAT_COMMAND_H
#define LEAT_COMMAND_H

#include "leat/bus.h"
#include "leat/error.h"
#include "leat/param.h"

#include <stdbool.h>

#define EXIT_USAGE 2

int leat_cmd_migrate(struct leat_params *params, int argc, char **argv);
int leat_cmd_consume(struct leat_params *params, int argc, char **argv);
int leat_cmd_publish(struct leat_params *params, int argc, char **argv);
int leat_cmd_status(struct leat_params *params, int argc, char **argv);
int leat_cmd_doctor(struct leat_params *params, int argc, char **argv);
int leat_cmd_explain(struct leat_params *params, int argc, char **argv);
int leat_cmd_runs(struct leat_params *params, int argc, char **argv);
int leat_cmd_schema(struct leat_params *params, int argc, char **argv);
int leat_cmd_verify(struct leat_params *params, int argc, char **argv);
int leat_cmd_replay(struct leat_params *params, int argc, char **argv);
int leat_cmd_baseline(struct leat_params *params, int argc, char **argv);
int leat_cmd_dead(struct leat_params *params, int argc, char **argv);

/*
 * A flag of one command; settings are taken before (leat/param.h). It has a value, text or number, or it is on once it is given; or both:
 * then a number may follow.
 */
struct command_flag {
	const char *name; /* "--tenant" */
	const char **text;
	int64_t *number; /* a whole number from 1 on */
	bool *on;
};

/*
 * Takes the flags (up to one without a name) out of argv, so that argv[1] is the first word. `--` ends them. False when something is wrong,
 * or more than `most_words` words are left: then it has been said, with the nearest flag that there is, and the command returns EXIT_USAGE.
 */
bool command_take_flags(const char *command, const struct command_flag *flags, int most_words, int *argc, char **argv)
	__attribute__((warn_unused_result));

/* "leat publish: <text>" on standard error; returns `status`. */
int command_fail(const char *command, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

enum leat_kind command_open_bus(struct leat_bus **out, const struct leat_params *params, struct leat_error *err)
	__attribute__((warn_unused_result));
/* For cleanup attributes. */
void command_close_bus(struct leat_bus **bus);

#endif
