/* leat schema: what messages look like, for programs. */
#include "command.h"

#include "leat/describe.h"

#include <stdio.h>
#include <stdlib.h>

int leat_cmd_schema(struct leat_params *params, int argc, char **argv)
{
	bool list = false;
	bool asyncapi = false;
	const struct command_flag flags[] = {{.name = "--list", .on = &list}, {.name = "--asyncapi", .on = &asyncapi}, {0}};
	if (!command_take_flags("schema", flags, 1, &argc, argv))
		return EXIT_USAGE;
	if ((argc > 1) + list + asyncapi > 1)
		return command_fail("schema", EXIT_USAGE, "expected a name, --list or --asyncapi, found more than one of them");
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	if (list)
		leat_describe_names(&out, params);
	else if (asyncapi)
		leat_describe_asyncapi(&out, params);
	else if (!leat_describe_schema(&out, argc > 1 ? argv[1] : NULL, params))
		return command_fail("schema", EXIT_USAGE, "there is no schema \"%s\"; `leat schema --list` names them all", argv[1]);
	fputs(leat_buf_text(&out), stdout);
	return EXIT_SUCCESS;
}
