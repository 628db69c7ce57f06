/*
 * A CloudEvent around the data of a row: https://github.com/cloudevents/spec, version 1.0, structured mode in JSON. It is put together here
 * and not in the trigger, since that runs in the transaction that everybody waits for, and here is time.
 *
 * Nothing needs escaping: id, tenant and type are Leat's own, and what may stand in a subject may stand in a JSON text, but for the quote
 * and the backslash, which no id has.
 */
#include "event.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define PREFIX "leat.event."
#define US_PER_S 1000000

struct part {
	const char *at;
	int bytes;
};

/* The next token of a subject, and the rest behind it. */
static struct part take_token(const char **rest)
{
	struct part token = {*rest, (int)strcspn(*rest, ".")};
	*rest += token.bytes + ((*rest)[token.bytes] == '.');
	return token;
}

/* The value of a header's line; nothing when there is none. */
static struct part find_header(const char *headers, const char *name)
{
	size_t length = strlen(name);
	for (const char *line = headers; *line != '\0';) {
		size_t bytes = strcspn(line, "\r\n");
		if (bytes > length && strncmp(line, name, length) == 0)
			return (struct part){line + length, (int)(bytes - length)};
		line += bytes;
		line += strspn(line, "\r\n");
	}
	return (struct part){"", 0};
}

static void add_time(struct leat_buf *out, int64_t at_us)
{
	time_t seconds = (time_t)(at_us / US_PER_S);
	struct tm utc;
	char text[32];
	gmtime_r(&seconds, &utc);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
	leat_buf_printf(out, "%s.%06dZ", text, (int)(at_us % US_PER_S));
}

void leat_event_shorten(struct leat_buf *data, const struct leat_event *event)
{
	static const char entity[] = "leat.entity.";
	static const char changed[] = ",\"changed\":";
	const char *cut = NULL;
	if (strncmp(event->type, entity, strlen(entity)) == 0) /* of others, a text of a user's may look like that */
		cut = memmem(event->data, event->data_bytes, changed, strlen(changed));
	if (cut != NULL)
		leat_buf_add(data, event->data, (size_t)(cut - event->data));
	leat_buf_add_text(data, cut != NULL ? ",\"changed_omitted\":true}" : "{\"data_omitted\":true}");
}

bool leat_event_write(struct leat_buf *out, const struct leat_event *event)
{
	if (strncmp(event->subject, PREFIX, strlen(PREFIX)) != 0 || event->data_bytes < 2 || event->data[0] != '{')
		return false;
	const char *rest = event->subject + strlen(PREFIX);
	struct part tenant = take_token(&rest);
	struct part noun = take_token(&rest);
	struct part traceparent = find_header(event->headers, "traceparent: ");

	leat_buf_printf(out, "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"/leat/%.*s\",\"type\":\"%s\",\"subject\":\"%s\",\"time\":\"",
		event->id, tenant.bytes, tenant.at, event->type, rest);
	add_time(out, event->at_us);
	leat_buf_add_text(out, "\",\"datacontenttype\":\"application/json\"");
	if (traceparent.bytes > 0)
		leat_buf_printf(out, ",\"traceparent\":\"%.*s\"", traceparent.bytes, traceparent.at);
	leat_buf_printf(out, ",\"data\":{\"tenant_id\":\"%.*s\",\"%.*s_id\":\"%s\"%s", tenant.bytes, tenant.at, noun.bytes, noun.at, rest,
		event->data_bytes > 2 ? "," : "");
	leat_buf_add(out, event->data + 1, event->data_bytes - 1);
	leat_buf_add_text(out, "}");
	return true;
}
