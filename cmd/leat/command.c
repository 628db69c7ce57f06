/* What the commands share: their flags, their complaints, their connection to NATS. */
#include "command.h"

#include "leat/text.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 64

int command_fail(const char *command, int status, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "leat %s: ", command);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return status;
}

/* ---- flags ---- */

/* The flag that was probably meant, written to `out`; false when none is near. */
static bool find_near(const char *typed, size_t bytes, const struct command_flag *flags, char out[NAME_BYTES])
{
#define FIELD(field, ...) #field,
#define NO_FLAG(...)
	static const char *const settings[] = {LEAT_PARAMS(FIELD, FIELD, NO_FLAG)};
#undef FIELD
#undef NO_FLAG
	struct leat_text word = {typed, bytes};
	for (const struct command_flag *flag = flags; flag->name != NULL; flag++) {
		snprintf(out, NAME_BYTES, "%s", flag->name);
		if (leat_text_is_near(word, out))
			return true;
	}
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		snprintf(out, NAME_BYTES, "--%s", settings[i]);
		for (char *at = out; *at != '\0'; at++)
			*at = (char)(*at == '_' ? '-' : *at);
		if (leat_text_is_near(word, out))
			return true;
	}
	return false;
}

static bool refuse_unknown(const char *command, const char *word, const struct command_flag *flags)
{
	char near[NAME_BYTES];
	size_t bytes = strcspn(word, "=");
	if (find_near(word, bytes, flags, near))
		command_fail(command, 0, "there is no flag %.*s; did you mean %s?", (int)bytes, word, near);
	else
		command_fail(command, 0, "there is no flag %.*s; see `leat help %s`", (int)bytes, word, command);
	return false;
}

static bool parse_number(const char *text, int64_t *out)
{
	char *end;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out > 0;
}

static bool set(const char *command, const struct command_flag *flag, const char *value)
{
	assert(flag->text != NULL || flag->number != NULL);
	if (value == NULL)
		return command_fail(command, false, "%s needs a value", flag->name);
	if (flag->text != NULL)
		*flag->text = value;
	else if (!parse_number(value, flag->number))
		return command_fail(command, false, "%s: expected a whole number from 1 on, found \"%s\"", flag->name, value);
	return true;
}

bool command_take_flags(const char *command, const struct command_flag *flags, int most_words, int *argc, char **argv)
{
	int words = 0;
	bool ended = false;
	for (int at = 1; at < *argc; at++) {
		char *word = argv[at];
		if (ended || strncmp(word, "-", 1) != 0 || strcmp(word, "-") == 0) {
			argv[++words] = word;
			continue;
		}
		if (strcmp(word, "--") == 0) {
			ended = true;
			continue;
		}
		size_t bytes = strcspn(word, "=");
		const struct command_flag *flag = flags;
		while (flag->name != NULL && (strlen(flag->name) != bytes || strncmp(flag->name, word, bytes) != 0))
			flag++;
		if (flag->name == NULL)
			return refuse_unknown(command, word, flags);
		if (flag->on != NULL) {
			bool follows = flag->number != NULL && at + 1 < *argc && isdigit((unsigned char)argv[at + 1][0]);
			if (word[bytes] == '=' && flag->number == NULL)
				return command_fail(command, false, "%s has no value", flag->name);
			*flag->on = true;
			if (word[bytes] != '=' && !follows)
				continue;
		}
		if (!set(command, flag, word[bytes] == '=' ? word + bytes + 1 : at + 1 < *argc ? argv[++at] : NULL))
			return false;
	}
	*argc = words + 1;
	if (words > most_words)
		return command_fail(command, false, "don't know what to do with \"%s\"; see `leat help %s`", argv[most_words + 1], command);
	return true;
}

/* ---- NATS ---- */

enum leat_kind command_open_bus(struct leat_bus **out, const struct leat_params *params, struct leat_error *err)
{
	struct leat_bus_options options;
	leat_bus_options_init(&options, params, "leat");
	if (leat_bus_open(out, &options, err) != LEAT_OK)
		return leat_fail_while(err, "NATS");
	return LEAT_OK;
}

void command_close_bus(struct leat_bus **bus)
{
	leat_bus_close(*bus);
	*bus = NULL;
}
