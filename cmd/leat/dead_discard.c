/*
 * `leat dead discard`: deletes dead letters for good. It asks first, or wants --yes where nobody can answer. It fails when NATS does not
 * answer; a letter that is gone already is fine.
 */
#include "dead_choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct discard {
	struct leat_bus *bus;
	size_t count;
};

static enum leat_kind take(void *context, struct leat_msg *letters, size_t count, struct leat_error *err)
{
	struct discard *discard = context;
	for (size_t i = 0; i < count; i++) {
		if (leat_stream_delete_message(discard->bus, DEAD_STREAM, letters[i].seq, err) == LEAT_OK)
			discard->count++;
		else if (err->code != LEAT_CODE_NOT_FOUND)
			return err->kind;
	}
	return LEAT_OK;
}

static bool confirmed(const struct dead_choice *choice)
{
	char answer[16];
	if (!isatty(STDIN_FILENO))
		return command_fail(choice->command, false, "what is discarded is gone for good: say --yes; nothing was discarded");
	fprintf(stderr, "Delete %s for good? [y/N] ", choice->all ? "all dead letters" : "these dead letters");
	bool yes = fgets(answer, sizeof answer, stdin) != NULL && (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
	return yes ? true : command_fail(choice->command, false, "nothing was discarded");
}

int dead_discard(const struct leat_params *params, int argc, char **argv)
{
	struct dead_choice choice = {.command = "dead discard"};
	bool yes = false;
	const struct command_flag flags[] = {
		DEAD_FILTER_FLAGS(choice.filter), {.name = "--all", .on = &choice.all}, {.name = "--yes", .on = &yes}, {0}};
	if (!command_take_flags(choice.command, flags, argc, &argc, argv) || !dead_choice_check(&choice, argc, argv) ||
		(!yes && !confirmed(&choice)))
		return EXIT_USAGE;

	__attribute__((cleanup(command_close_bus))) struct leat_bus *bus = NULL;
	struct leat_error err;
	if (command_open_bus(&bus, params, &err) != LEAT_OK)
		return command_fail(choice.command, EXIT_FAILURE, "%s", err.text);
	struct discard discard = {.bus = bus};
	enum leat_kind kind = dead_each(bus, &choice, take, &discard, &err);
	printf("%zu discarded\n", discard.count);
	if (kind != LEAT_OK)
		return command_fail(choice.command, EXIT_FAILURE, "%s", err.text);
	return choice.absent > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
