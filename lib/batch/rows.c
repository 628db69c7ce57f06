/*
 * The rows of a batch: what comes in is decoded at once, so that it happens while Postgres works on the batch before.
 *
 * Nothing here fails: an intent that can't be understood becomes a row that the database records as rejected.
 */
#include "leat/batch.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_BYTES (16u << 20) /* memory kept for the next batch */

void leat_batch_init(struct leat_batch *batch, const struct leat_params *params, const char *stream)
{
	*batch = (struct leat_batch){.params = params, .stream = stream};
}

static size_t buffer_bytes(const struct leat_batch *batch)
{
	size_t bytes = batch->headers.cap;
	for (size_t i = 0; i < LEAT_BATCH_COLUMNS; i++)
		bytes += batch->arrays[i].bytes.cap;
	return bytes;
}

static void free_buffers(struct leat_batch *batch)
{
	leat_buf_free(&batch->headers);
	for (size_t i = 0; i < LEAT_BATCH_COLUMNS; i++)
		leat_pg_array_free(&batch->arrays[i]);
}

void leat_batch_fini(struct leat_batch *batch)
{
	leat_batch_clear(batch);
	free(batch->rows);
	free_buffers(batch);
	*batch = (struct leat_batch){0};
}

bool leat_batch_full(const struct leat_batch *batch)
{
	return batch->targets >= (size_t)batch->params->batch || batch->bytes >= (size_t)batch->params->batch_bytes;
}

/* Headers that make a publish fail, or that the dead letter gets anew. Those of a redrive tell the database what it repeats. */
static bool is_dropped(const char *line, size_t length, bool redrive)
{
	static const char *const prefixes[] = {
		"Nats-", "Leat-Error", "Leat-Body-Omitted:", "Leat-Headers-Omitted:", "Leat-Origin-", "Leat-Redrive:"};
	size_t count = sizeof prefixes / sizeof *prefixes - (redrive ? 2 : 0);
	for (size_t i = 0; i < count; i++) {
		size_t prefix = strlen(prefixes[i]);
		if (length >= prefix && strncasecmp(line, prefixes[i], prefix) == 0)
			return true;
	}
	return false;
}

static void keep_headers(struct leat_batch *batch, struct leat_batch_row *row)
{
	LEAT_BUF_SCOPED all = LEAT_BUF_INIT;
	leat_msg_add_headers(&row->msg, &all);
	bool redrive = strncmp(row->msg.subject, LEAT_REDRIVE_SUBJECTS, strlen(LEAT_REDRIVE_SUBJECTS)) == 0;
	batch->bytes += all.len;
	row->headers_at = batch->headers.len;
	for (const char *line = leat_buf_text(&all), *end; *line != '\0'; line = end) {
		const char *stop = strstr(line, "\r\n");
		end = stop != NULL ? stop + 2 : line + strlen(line);
		if (!is_dropped(line, (size_t)(end - line), redrive))
			leat_buf_add(&batch->headers, line, (size_t)(end - line));
	}
	row->headers_bytes = batch->headers.len - row->headers_at;
}

void leat_batch_reject(struct leat_batch_row *row, enum leat_code code, const char *why)
{
	free(row->rejection);
	row->rejection = leat_strdup(why);
	row->code = code;
}

static bool is_ascii(const char *text)
{
	while (*text != '\0' && (unsigned char)*text < 0x80)
		text++;
	return *text == '\0';
}

/* A subject may hold any bytes; the database takes UTF-8. What is not ASCII is shown as %XX, and belongs to no tenant. */
static char *escape_subject(const char *subject)
{
	struct leat_buf out = LEAT_BUF_INIT;
	for (; *subject != '\0'; subject++) {
		if ((unsigned char)*subject < 0x80)
			leat_buf_add(&out, subject, 1);
		else
			leat_buf_printf(&out, "%%%02X", (unsigned char)*subject);
	}
	return leat_buf_take(&out);
}

static void decode(struct leat_batch *batch, struct leat_batch_row *row)
{
	struct leat_error err;
	const struct leat_raw_intent raw = {
		.subject = row->msg.subject,
		.body = row->msg.data,
		.body_bytes = row->msg.data_bytes,
		.id = leat_msg_header(&row->msg, "Leat-Id"),
		.actor = leat_msg_header(&row->msg, "Leat-Actor"),
		.reply_to = leat_msg_header(&row->msg, "Leat-Reply-To"),
		.traceparent = leat_msg_header(&row->msg, "traceparent"),
	};
	if (leat_intent_decode(&row->intent, &raw, batch->params, &err) != LEAT_OK)
		leat_batch_reject(row, err.code, err.text);
	if (!is_ascii(row->msg.subject)) {
		row->subject = escape_subject(row->msg.subject);
		row->intent.subject.routable = false;
		if (row->rejection == NULL)
			leat_batch_reject(row, LEAT_CODE_INVALID_MESSAGE, "subject: expected ASCII characters only");
	}
}

void leat_batch_add(struct leat_batch *batch, struct leat_msg *msg)
{
	if (batch->count == batch->room) {
		batch->room = batch->room > 0 ? batch->room * 2 : 64;
		batch->rows = leat_realloc(batch->rows, batch->room * sizeof *batch->rows);
	}
	struct leat_batch_row *row = &batch->rows[batch->count++];
	*row = (struct leat_batch_row){.msg = *msg};
	*msg = (struct leat_msg){0};
	batch->bytes += row->msg.data_bytes;
	keep_headers(batch, row);
	decode(batch, row);
	batch->targets += row->intent.targets != NULL ? row->intent.target_count : 1;
}

static void free_row(struct leat_batch_row *row)
{
	leat_intent_fini(&row->intent);
	leat_msg_free(&row->msg);
	free(row->subject);
	free(row->rejection);
	free(row->reply);
	free(row->short_reply);
}

/* The time decides between messages of a stream and of the one that replaced it. */
static int by_stream_order(const void *a, const void *b)
{
	const struct leat_msg *left = &((const struct leat_batch_row *)a)->msg;
	const struct leat_msg *right = &((const struct leat_batch_row *)b)->msg;
	if (left->seq != right->seq)
		return left->seq < right->seq ? -1 : 1;
	return left->timestamp_ns < right->timestamp_ns ? -1 : left->timestamp_ns > right->timestamp_ns;
}

void leat_batch_close(struct leat_batch *batch)
{
	bool sorted = true;
	for (size_t i = 1; i < batch->count && sorted; i++)
		sorted = by_stream_order(&batch->rows[i - 1], &batch->rows[i]) < 0;
	if (sorted)
		return;

	qsort(batch->rows, batch->count, sizeof *batch->rows, by_stream_order);
	size_t kept = 1;
	for (size_t i = 1; i < batch->count; i++) {
		if (by_stream_order(&batch->rows[kept - 1], &batch->rows[i]) == 0)
			free_row(&batch->rows[i]); /* settling the other copy settles both */
		else
			batch->rows[kept++] = batch->rows[i];
	}
	batch->count = kept;
}

void leat_batch_clear(struct leat_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		free_row(&batch->rows[i]);
	batch->count = 0;
	batch->bytes = 0;
	batch->targets = 0;
	leat_buf_clear(&batch->headers);
	if (buffer_bytes(batch) > KEPT_BYTES)
		free_buffers(batch);
}
