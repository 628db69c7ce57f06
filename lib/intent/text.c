#include "leat/text.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#define NEAR_WORD_BYTES 32 /* longer words have no near ones */

size_t leat_utf8_bytes(const char *at, const char *end)
{
	const unsigned char *byte = (const unsigned char *)at;
	size_t left = (size_t)(end - at);
	if (left == 0)
		return 0;
	if (byte[0] < 0x80)
		return 1;
	size_t length = byte[0] >= 0xF0 ? 4 : byte[0] >= 0xE0 ? 3 : 2;
	if (byte[0] < 0xC2 || byte[0] > 0xF4 || left < length)
		return 0;
	/* The second byte's range is where overlong forms, surrogates and what lies beyond U+10FFFF are told. */
	unsigned char lowest = byte[0] == 0xE0 ? 0xA0 : byte[0] == 0xF0 ? 0x90 : 0x80;
	unsigned char highest = byte[0] == 0xED ? 0x9F : byte[0] == 0xF4 ? 0x8F : 0xBF;
	if (byte[1] < lowest || byte[1] > highest)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((byte[i] & 0xC0) != 0x80)
			return 0;
	return length;
}

/* U+0000 to U+001F, U+007F to U+009F; `at` starts a whole character. */
static bool is_control(const char *at)
{
	unsigned char first = (unsigned char)at[0];
	return first < 0x20 || first == 0x7F || (first == 0xC2 && (unsigned char)at[1] < 0xA0);
}

bool leat_text_is_printable(struct leat_text text)
{
	const char *end = text.at + text.bytes;
	for (const char *at = text.at; at < end;) {
		size_t length = leat_utf8_bytes(at, end);
		if (length == 0 || is_control(at))
			return false;
		at += length;
	}
	return true;
}

struct leat_excerpt leat_excerpt(struct leat_text text)
{
	static const char more[] = "…";
	struct leat_excerpt out;
	const char *end = text.at + text.bytes;
	size_t used = 0;
	for (const char *at = text.at; at < end;) {
		size_t length = leat_utf8_bytes(at, end);
		bool printable = length > 0 && !is_control(at);
		size_t written = printable ? length : 1;
		if (used + written + sizeof more > sizeof out.text) {
			memcpy(out.text + used, more, sizeof more);
			return out;
		}
		memcpy(out.text + used, printable ? at : "?", written);
		used += written;
		at += length > 0 ? length : 1;
	}
	out.text[used] = '\0';
	return out;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

bool leat_text_is_near(struct leat_text typed, const char *word)
{
	size_t word_bytes = strlen(word);
	assert(word_bytes < NEAR_WORD_BYTES);
	if (typed.bytes >= NEAR_WORD_BYTES)
		return false;
	size_t above[NEAR_WORD_BYTES]; /* distances from what was typed so far to each beginning of the word */
	for (size_t j = 0; j <= word_bytes; j++)
		above[j] = j;
	for (size_t i = 1; i <= typed.bytes; i++) {
		size_t diagonal = above[0];
		above[0] = i;
		for (size_t j = 1; j <= word_bytes; j++) {
			size_t replaced = diagonal + (tolower((unsigned char)typed.at[i - 1]) != tolower((unsigned char)word[j - 1]));
			diagonal = above[j];
			above[j] = least(replaced, least(above[j], above[j - 1]) + 1);
		}
	}
	return above[word_bytes] <= 2 && above[word_bytes] * 2 < word_bytes;
}
