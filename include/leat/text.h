/* Text as producers send it, and as error texts may quote it. Pure; any thread. */
#ifndef LEAT_TEXT_H
#define LEAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that belong to somebody else and are not terminated. */
struct leat_text {
	const char *at;
	size_t bytes;
};

/* Length in bytes of the UTF-8 character at `at` (RFC 3629: nothing overlong, no surrogates), or 0 when there is none before `end`. */
size_t leat_utf8_bytes(const char *at, const char *end);

/* UTF-8 throughout and no control characters: it may stand in a header, a log line and a `text` column. */
bool leat_text_is_printable(struct leat_text text);

/* The beginning of a text for people: whole characters, "…" where it was cut, '?' for what is not printable. */
struct leat_excerpt {
	char text[100];
};
struct leat_excerpt leat_excerpt(struct leat_text text);

/* A few typing errors apart, whatever the case: Levenshtein distance of at most 2, and less than half of the word. */
bool leat_text_is_near(struct leat_text typed, const char *word);

#endif
