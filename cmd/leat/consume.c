/* `leat consume`: one consumer process. It runs its lanes until SIGTERM or SIGINT, then ends with 0; with 2 when it was asked wrongly. */
#include "command.h"

#include "leat/bus.h"
#include "leat/lane.h"

#include <stdlib.h>

int leat_cmd_consume(struct leat_params *params, int argc, char **argv)
{
	static const struct command_flag no_flags[] = {{0}};
	struct leat_error err;
	if (!command_take_flags("consume", no_flags, 0, &argc, argv))
		return EXIT_USAGE;
	struct leat_bus_options options;
	leat_bus_options_init(&options, params, "leat");
	if (leat_bus_check_options(&options, &err) != LEAT_OK || leat_process_run(params, &err) != LEAT_OK)
		return command_fail("consume", EXIT_USAGE, "%s", err.text);
	return EXIT_SUCCESS;
}
