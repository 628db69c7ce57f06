/*
 * Fields that exclude or need each other, by the table's row: two ways to say the same, of which a message has exactly one (`either`), and
 * fields that are for one choice of another (`only_with`). Fails at the first fault, naming the fields.
 */
#include "reading.h"

#include "leat/either.h"

#include <string.h>

static enum leat_kind refuse(struct leat_reading *reading, const char *what)
{
	const struct leat_intent_type *type = reading->out->type;
	return leat_fail(reading->err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "%s.%s %s", type->noun, type->verb, what);
}

static enum leat_kind refuse_ways(struct leat_reading *reading, const char *verb, const char *ending)
{
	LEAT_BUF_SCOPED what = LEAT_BUF_INIT;
	leat_buf_printf(&what, "%s ", verb);
	leat_either_write(&what, reading->out->type->either);
	leat_buf_add_text(&what, ending);
	return refuse(reading, leat_buf_text(&what));
}

static enum leat_kind check_either(struct leat_reading *reading)
{
	const struct leat_intent_type *type = reading->out->type;
	struct leat_either found = {0};
	if (type->either[0] == NULL)
		return LEAT_OK;
	for (size_t i = 0; i < leat_intent_field_count(type); i++)
		leat_either_note(&found, type->either, type->fields[i].name, reading->found[i].type != LEAT_JSON_NONE);
	if (found.sent[0] != NULL && found.sent[1] != NULL)
		return refuse_ways(reading, "takes", ", not both");
	if (found.sent[0] == NULL && found.sent[1] == NULL)
		return refuse_ways(reading, "needs", "");
	int way = found.sent[0] != NULL ? 0 : 1;
	if (found.missing[way] == NULL)
		return LEAT_OK;
	LEAT_BUF_SCOPED what = LEAT_BUF_INIT;
	leat_buf_printf(&what, "needs %s with %s", found.missing[way], found.sent[way]);
	return refuse(reading, leat_buf_text(&what));
}

static const struct leat_json *find(const struct leat_reading *reading, const char *name)
{
	const struct leat_intent_type *type = reading->out->type;
	size_t i = 0;
	while (strcmp(type->fields[i].name, name) != 0)
		i++;
	return &reading->found[i];
}

static enum leat_kind check_only_with(struct leat_reading *reading, const struct leat_field *field)
{
	const struct leat_json *other = find(reading, field->only_with);
	if (other->type == LEAT_JSON_STRING) {
		struct leat_text text = leat_json_text(other, &reading->scratch);
		if (text.bytes == strlen(field->only_when) && memcmp(text.at, field->only_when, text.bytes) == 0)
			return LEAT_OK;
	}
	LEAT_BUF_SCOPED what = LEAT_BUF_INIT;
	leat_buf_printf(&what, "takes %s only with %s %s", field->name, field->only_with, field->only_when);
	return refuse(reading, leat_buf_text(&what));
}

enum leat_kind leat_reading_check_together(struct leat_reading *reading)
{
	const struct leat_intent_type *type = reading->out->type;
	if (check_either(reading) != LEAT_OK)
		return LEAT_PERMANENT;
	for (size_t i = 0; i < leat_intent_field_count(type); i++)
		if (type->fields[i].only_with != NULL && reading->found[i].type != LEAT_JSON_NONE &&
			check_only_with(reading, &type->fields[i]) != LEAT_OK)
			return LEAT_PERMANENT;
	return LEAT_OK;
}
