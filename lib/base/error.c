#include "leat/error.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[] = {
	[LEAT_CODE_NONE] = "",
	[LEAT_CODE_INVALID_JSON] = "invalid_json",
	[LEAT_CODE_INVALID_MESSAGE] = "invalid_message",
	[LEAT_CODE_UNKNOWN_VERB] = "unknown_verb",
	[LEAT_CODE_TOO_LARGE] = "too_large",
	[LEAT_CODE_NOT_FOUND] = "not_found",
	[LEAT_CODE_DELETED] = "deleted",
	[LEAT_CODE_WRONG_TENANT] = "wrong_tenant",
	[LEAT_CODE_WORKFLOW_DELETED] = "workflow_deleted",
	[LEAT_CODE_FORBIDDEN] = "forbidden",
	[LEAT_CODE_CONFLICT] = "conflict",
	[LEAT_CODE_ALREADY_CLAIMED] = "already_claimed",
	[LEAT_CODE_INTERNAL] = "internal",
};

const char *leat_code_name(enum leat_code code)
{
	assert((size_t)code < sizeof code_names / sizeof *code_names);
	return code_names[code];
}

/* A text that was cut may end inside a character, and Postgres refuses that: drop the unfinished one. */
static void trim_partial_character(char *text, size_t length)
{
	size_t start = length;
	while (start > 0 && length - start < 4 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
		start--;
	if (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0xC0)
		text[start - 1] = '\0';
}

enum leat_kind leat_fail(struct leat_error *err, enum leat_kind kind, enum leat_code code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int length = vsnprintf(err->text, sizeof err->text, format, args);
	va_end(args);
	if (length >= (int)sizeof err->text)
		trim_partial_character(err->text, sizeof err->text - 1);
	err->kind = kind;
	err->code = code;
	return kind;
}

enum leat_kind leat_fail_while(struct leat_error *err, const char *format, ...)
{
	char below[sizeof err->text];
	memcpy(below, err->text, sizeof below);
	va_list args;
	va_start(args, format);
	int length = vsnprintf(err->text, sizeof err->text, format, args);
	va_end(args);
	size_t used = length < (int)sizeof err->text ? (size_t)length : sizeof err->text - 1;
	int rest = snprintf(err->text + used, sizeof err->text - used, ": %s", below);
	if ((size_t)rest + used >= sizeof err->text)
		trim_partial_character(err->text, sizeof err->text - 1);
	return err->kind;
}
