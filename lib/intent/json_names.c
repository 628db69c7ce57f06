#include "json_names.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 32
#define FEW 16 /* up to here comparing each with each is faster than sorting */

struct leat_json_name {
	struct leat_text text;
	char *owned; /* the text without its escapes, when it had any */
};

void leat_json_names_add(struct leat_json_names *names, const struct leat_json *name)
{
	if (names->count == names->room) {
		names->room = names->room == 0 ? FIRST_ROOM : names->room * 2;
		names->names = leat_realloc(names->names, names->room * sizeof *names->names);
	}
	LEAT_BUF_SCOPED plain = LEAT_BUF_INIT;
	struct leat_json_name *added = &names->names[names->count++];
	added->text = leat_json_text(name, &plain);
	added->owned = plain.data != NULL ? leat_buf_take(&plain) : NULL;
}

static int compare(const void *left, const void *right)
{
	const struct leat_text *a = &((const struct leat_json_name *)left)->text;
	const struct leat_text *b = &((const struct leat_json_name *)right)->text;
	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? -1 : 1;
	return memcmp(a->at, b->at, a->bytes);
}

const struct leat_text *leat_json_names_twice(struct leat_json_names *names, size_t first)
{
	size_t count = names->count - first;
	if (count < 2)
		return NULL;
	struct leat_json_name *name = names->names + first;
	bool sorted = count > FEW;
	if (sorted)
		qsort(name, count, sizeof *name, compare);
	for (size_t i = 0; i + 1 < count; i++)
		for (size_t j = i + 1; j < (sorted ? i + 2 : count); j++)
			if (compare(&name[i], &name[j]) == 0)
				return &name[i].text;
	return NULL;
}

void leat_json_names_drop(struct leat_json_names *names, size_t count)
{
	while (names->count > count)
		free(names->names[--names->count].owned);
}

void leat_json_names_free(struct leat_json_names *names)
{
	leat_json_names_drop(names, 0);
	free(names->names);
	*names = (struct leat_json_names){0};
}
