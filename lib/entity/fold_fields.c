/* A sorted array of fields. Nothing here can fail: out of memory aborts. */
#include "leat/buf.h"

#include "fold.h"

#include <stdlib.h>
#include <string.h>

/* Where the name stands, or would have to. */
static size_t place_of(const struct leat_fold_fields *fields, const char *name)
{
	size_t low = 0;
	size_t high = fields->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(fields->fields[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct leat_fold_field *insert(struct leat_fold_fields *fields, size_t at)
{
	fields->fields = leat_realloc(fields->fields, (fields->count + 1) * sizeof *fields->fields);
	memmove(&fields->fields[at + 1], &fields->fields[at], (fields->count - at) * sizeof *fields->fields);
	fields->count++;
	return &fields->fields[at];
}

void leat_fold_fields_write(struct leat_fold_fields *fields, const struct leat_fold_write *write, int64_t position)
{
	size_t at = place_of(fields, write->name);
	struct leat_fold_field *field;
	if (at < fields->count && strcmp(fields->fields[at].name, write->name) == 0) {
		field = &fields->fields[at];
		if (field->position > position)
			return;
	} else {
		field = insert(fields, at);
	}
	*field = (struct leat_fold_field){write->name, write->value, position};
}

void leat_fold_fields_drop_removed(struct leat_fold_fields *fields)
{
	size_t kept = 0;
	for (size_t i = 0; i < fields->count; i++)
		if (fields->fields[i].value != NULL)
			fields->fields[kept++] = fields->fields[i];
	fields->count = kept;
}

void leat_fold_fields_clear(struct leat_fold_fields *fields)
{
	free(fields->fields);
	*fields = (struct leat_fold_fields){0};
}

void leat_fold_state_fini(struct leat_fold_state *state)
{
	for (enum leat_fold_part part = 0; part < LEAT_FOLD_PARTS; part++)
		leat_fold_fields_clear(&state->parts[part]);
	*state = (struct leat_fold_state){0};
}
