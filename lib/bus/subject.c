/*
 * Which texts are subjects. nats.c sends whatever it is given, so a space or a line break in a subject would end the protocol line early
 * and the rest be read as another command; and a subject longer than the server's control line (4096 bytes) closes the connection.
 */
#include "internal.h"

#include <string.h>

/* Leaves room in the control line for the verb, a reply inbox and two sizes. */
#define SUBJECT_BYTES 3072
#define NAME_BYTES 255

static bool token_valid(const char *token, size_t bytes, bool wildcards, bool last)
{
	if (bytes == 0)
		return false;
	if (bytes == 1 && *token == '*')
		return wildcards;
	if (bytes == 1 && *token == '>')
		return wildcards && last;
	for (size_t i = 0; i < bytes; i++) {
		unsigned char byte = (unsigned char)token[i];
		if (byte <= ' ' || byte == 0x7F)
			return false;
	}
	return true;
}

bool bus_subject_valid(const char *subject, bool wildcards)
{
	if (strnlen(subject, SUBJECT_BYTES + 1) > SUBJECT_BYTES)
		return false;
	for (const char *token = subject;;) {
		size_t bytes = strcspn(token, ".");
		bool last = token[bytes] == '\0';
		if (!token_valid(token, bytes, wildcards, last))
			return false;
		if (last)
			return true;
		token += bytes + 1;
	}
}

bool bus_name_valid(const char *name)
{
	return strnlen(name, NAME_BYTES + 1) <= NAME_BYTES && strpbrk(name, ".*>/\\") == NULL && token_valid(name, strlen(name), false, true);
}

bool leat_subject_is_pattern(const char *pattern)
{
	return bus_subject_valid(pattern, true);
}

bool leat_subject_matches(const char *pattern, const char *subject)
{
	for (;;) {
		size_t wanted = strcspn(pattern, ".");
		size_t found = strcspn(subject, ".");
		if (wanted == 1 && *pattern == '>')
			return found > 0;
		bool any = wanted == 1 && *pattern == '*';
		if (!any && (wanted != found || memcmp(pattern, subject, wanted) != 0))
			return false;
		if (pattern[wanted] == '\0' || subject[found] == '\0')
			return pattern[wanted] == subject[found];
		pattern += wanted + 1;
		subject += found + 1;
	}
}
