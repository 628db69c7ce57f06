/* What `leat verify` and `leat baseline` share. */
#ifndef LEAT_CMD_VERIFY_H
#define LEAT_CMD_VERIFY_H

#include "command.h"

#include "leat/verify.h"

#define EXIT_UNKNOWN 2

/* Verifies with progress on standard error, prints the report on standard output; the exit status: 0 equal, 1 different, 2 could not tell.
 */
int verify_run(const char *command, const struct leat_verify_options *asked, bool json);

void verify_print(const struct leat_verify_report *report, const struct leat_verify_options *options);
void verify_print_json(const struct leat_verify_report *report, const struct leat_verify_options *options);

#endif
