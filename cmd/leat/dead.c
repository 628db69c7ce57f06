/* `leat dead`: a table of what can be done with dead letters. An unknown word ends with 2 and says what there is. */
#include "dead.h"

#include <string.h>

int leat_cmd_dead(struct leat_params *params, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct leat_params *params, int argc, char **argv);
	} does[] = {{"list", dead_list}, {"show", dead_show}, {"redrive", dead_redrive}, {"discard", dead_discard}};
	for (size_t i = 0; argc > 1 && i < sizeof does / sizeof *does; i++) {
		if (strcmp(argv[1], does[i].name) == 0)
			return does[i].run(params, argc - 1, argv + 1);
	}
	return command_fail("dead", EXIT_USAGE, "expected list, show, redrive or discard%s%s; see `leat help dead`", argc > 1 ? ", found " : "",
		argc > 1 ? argv[1] : "");
}
