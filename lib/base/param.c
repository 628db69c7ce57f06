/*
 * The table of settings, expanded from LEAT_PARAMS: defaults, then the environment, then flags, each value checked on its way in.
 * Fails with one sentence that names the flag or variable as the person wrote it, what was expected and what was found.
 */
#include "leat/param.h"

#include "leat/buf.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 64

struct setting {
	const char *field; /* as in struct leat_params: nats_url */
	size_t offset;
	const char *text; /* default of a text or secret; NULL for a number */
	bool secret;      /* a text without a flag */
	int64_t number;   /* default of a number */
	int64_t lowest;
	int64_t highest;
	const char *unit;
	const char *about;
};

#define TEXT_ROW(name, fallback, description)                                                                                              \
	{.field = #name, .offset = offsetof(struct leat_params, name), .text = (fallback), .about = (description)},
#define NUMBER_ROW(name, fallback, low, high, of, description)                                                                             \
	{.field = #name,                                                                                                                       \
		.offset = offsetof(struct leat_params, name),                                                                                      \
		.number = (fallback),                                                                                                              \
		.lowest = (low),                                                                                                                   \
		.highest = (high),                                                                                                                 \
		.unit = (of),                                                                                                                      \
		.about = (description)},
#define SECRET_ROW(name, description)                                                                                                      \
	{.field = #name, .offset = offsetof(struct leat_params, name), .text = "", .secret = true, .about = (description)},

static const struct setting settings[] = {LEAT_PARAMS(TEXT_ROW, NUMBER_ROW, SECRET_ROW)};

#define SETTING_COUNT (sizeof settings / sizeof *settings)

static const char **text_of(struct leat_params *params, const struct setting *setting)
{
	return (const char **)(void *)((char *)params + setting->offset);
}

static int64_t *number_of(struct leat_params *params, const struct setting *setting)
{
	return (int64_t *)(void *)((char *)params + setting->offset);
}

/* ack_wait_ms -> --ack-wait-ms */
static void flag_name(const struct setting *setting, char out[NAME_BYTES])
{
	*out++ = '-';
	*out++ = '-';
	for (const char *at = setting->field; *at != '\0'; at++)
		*out++ = (char)(*at == '_' ? '-' : *at);
	*out = '\0';
}

/* ack_wait_ms -> LEAT_ACK_WAIT_MS */
static void variable_name(const struct setting *setting, char out[NAME_BYTES])
{
	memcpy(out, "LEAT_", 5);
	out += 5;
	for (const char *at = setting->field; *at != '\0'; at++)
		*out++ = (char)toupper((unsigned char)*at);
	*out = '\0';
}

static bool parse_number(const char *text, int64_t *out)
{
	const char *digits = *text == '-' ? text + 1 : text;
	if (!isdigit((unsigned char)*digits))
		return false;
	char *end;
	*out = strtoll(text, &end, 10); /* a number too long becomes the largest, which no range allows */
	return *end == '\0';
}

/* It becomes a part of names in NATS, which take nothing else. */
static bool is_group(const char *text)
{
	size_t bytes = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
	return text[bytes] == '\0' && bytes >= 1 && bytes <= LEAT_QUEUE_GROUP_BYTES;
}

/* `name` is what the person wrote: the flag or the variable. */
static enum leat_kind set(
	struct leat_params *params, const struct setting *setting, const char *name, const char *value, struct leat_error *err)
{
	if (setting->text != NULL) {
		if (setting->offset == offsetof(struct leat_params, queue_group) && !is_group(value))
			return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s: expected 1 to %d letters, digits, - and _, found \"%s\"",
				name, LEAT_QUEUE_GROUP_BYTES, value);
		*text_of(params, setting) = value;
		return LEAT_OK;
	}
	int64_t number = 0;
	if (!parse_number(value, &number) || number < setting->lowest || number > setting->highest)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
			"%s: expected a whole number of %s from %" PRId64 " to %" PRId64 ", found \"%s\"", name, setting->unit, setting->lowest,
			setting->highest, value);
	*number_of(params, setting) = number;
	return LEAT_OK;
}

void leat_params_init(struct leat_params *params)
{
	for (const struct setting *setting = settings; setting < settings + SETTING_COUNT; setting++) {
		if (setting->text != NULL)
			*text_of(params, setting) = setting->text;
		else
			*number_of(params, setting) = setting->number;
	}
}

enum leat_kind leat_params_read_environment(struct leat_params *params, struct leat_error *err)
{
	for (const struct setting *setting = settings; setting < settings + SETTING_COUNT; setting++) {
		char name[NAME_BYTES];
		variable_name(setting, name);
		const char *value = getenv(name);
		if (value != NULL && set(params, setting, name, value, err) != LEAT_OK)
			return err->kind;
	}
	return LEAT_OK;
}

/* The setting that `word` (`--name` or `--name=value`) is a flag of, or NULL; *name is its spelling and *value what follows the '='. */
static const struct setting *find_flag(const char *word, char name[NAME_BYTES], const char **value)
{
	const char *equals = strchr(word, '=');
	size_t bytes = equals != NULL ? (size_t)(equals - word) : strlen(word);
	*value = equals != NULL ? equals + 1 : NULL;
	for (const struct setting *setting = settings; setting < settings + SETTING_COUNT; setting++) {
		flag_name(setting, name);
		if (strlen(name) == bytes && memcmp(name, word, bytes) == 0)
			return setting;
	}
	return NULL;
}

static enum leat_kind refuse_secret(const struct setting *setting, const char *flag, struct leat_error *err)
{
	char variable[NAME_BYTES];
	variable_name(setting, variable);
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE,
		"there is no flag %s, since everybody on the machine can read a command line: set the variable %s", flag, variable);
}

enum leat_kind leat_params_take_flags(struct leat_params *params, int *argc, char **argv, struct leat_error *err)
{
	int kept = 0;
	int at = 0;
	while (at < *argc && strcmp(argv[at], "--") != 0) {
		char name[NAME_BYTES];
		const char *value;
		const struct setting *setting = find_flag(argv[at], name, &value);
		if (setting == NULL) {
			argv[kept++] = argv[at++];
			continue;
		}
		if (setting->secret)
			return refuse_secret(setting, name, err);
		at++;
		if (value == NULL) {
			if (at == *argc || strncmp(argv[at], "--", 2) == 0)
				return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s needs a value: %s", name, setting->about);
			value = argv[at++];
		}
		if (set(params, setting, name, value, err) != LEAT_OK)
			return err->kind;
	}
	while (at < *argc)
		argv[kept++] = argv[at++];
	*argc = kept;
	return LEAT_OK;
}

void leat_params_describe(struct leat_buf *out)
{
	leat_buf_add_text(out, "| flag | variable | default | meaning |\n|---|---|---|---|\n");
	for (const struct setting *setting = settings; setting < settings + SETTING_COUNT; setting++) {
		char flag[NAME_BYTES];
		char variable[NAME_BYTES];
		flag_name(setting, flag);
		variable_name(setting, variable);
		if (setting->secret)
			leat_buf_printf(out, "| | `%s` | ", variable);
		else
			leat_buf_printf(out, "| `%s` | `%s` | ", flag, variable);
		if (setting->text == NULL)
			leat_buf_printf(out, "%" PRId64 " | %s (%s, %" PRId64 " to %" PRId64 ") |\n", setting->number, setting->about, setting->unit,
				setting->lowest, setting->highest);
		else if (*setting->text != '\0')
			leat_buf_printf(out, "`%s` | %s |\n", setting->text, setting->about);
		else
			leat_buf_printf(out, " | %s |\n", setting->about);
	}
}
