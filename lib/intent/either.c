#include "leat/either.h"

#include <string.h>

static bool has_word(const char *words, const char *word)
{
	size_t bytes = strlen(word);
	for (const char *at = words; *at != '\0';) {
		size_t length = strcspn(at, " ");
		if (length == bytes && memcmp(at, word, bytes) == 0)
			return true;
		at += length + (at[length] == ' ');
	}
	return false;
}

int leat_either_way(const char *const either[2], const char *field)
{
	for (int way = 0; way < 2 && either[way] != NULL; way++)
		if (has_word(either[way], field))
			return way;
	return -1;
}

void leat_either_write(struct leat_buf *out, const char *const either[2])
{
	const char *between = strchr(either[1], ' ') != NULL ? ", or " : " or ";
	for (int way = 0; way < 2; way++) {
		const char *blank = strchr(either[way], ' ');
		leat_buf_add_text(out, way > 0 ? between : "");
		if (blank != NULL)
			leat_buf_printf(out, "%.*s and %s", (int)(blank - either[way]), either[way], blank + 1);
		else
			leat_buf_add_text(out, either[way]);
	}
}

void leat_either_note(struct leat_either *found, const char *const either[2], const char *field, bool sent)
{
	int way = leat_either_way(either, field);
	if (way >= 0)
		*(sent ? &found->sent[way] : &found->missing[way]) = field;
}
