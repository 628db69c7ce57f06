/* What the checks of `leat doctor` share: telling what they find, and asking. Texts are shown as by show_text, wherever they come from. */
#include "doctor.h"

#include "show.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SENTENCE_BYTES 1024

static json_t *sentence(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
static json_t *sentence(const char *format, va_list args)
{
	char text[SENTENCE_BYTES];
	vsnprintf(text, sizeof text, format, args);
	LEAT_BUF_SCOPED shown = LEAT_BUF_INIT;
	show_text(&shown, text, strlen(text));
	return json_string(leat_buf_text(&shown));
}

void doctor_find(struct doctor *d, enum doctor_level level, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	json_array_append_new(d->findings,
		json_pack("{s:s, s:s, s:o, s:s, s:s}", "level", level == DOCTOR_FAULT ? "fault" : "warning", "check", d->check, "what",
			sentence(format, args), "why", "", "mend", ""));
	va_end(args);
}

static void amend(struct doctor *d, const char *member, const char *format, va_list args) __attribute__((format(printf, 3, 0)));
static void amend(struct doctor *d, const char *member, const char *format, va_list args)
{
	size_t count = json_array_size(d->findings);
	assert(count > 0);
	json_object_set_new(json_array_get(d->findings, count - 1), member, sentence(format, args));
}

void doctor_why(struct doctor *d, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	amend(d, "why", format, args);
	va_end(args);
}

void doctor_mend(struct doctor *d, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	amend(d, "mend", format, args);
	va_end(args);
}

void doctor_skip(struct doctor *d, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	json_array_append_new(d->skipped, json_pack("{s:s, s:o}", "check", d->check, "why", sentence(format, args)));
	va_end(args);
}

json_t *doctor_jetstream(struct doctor *d, struct leat_error *err, const char *format, ...)
{
	char what[SENTENCE_BYTES];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	LEAT_BUF_SCOPED answer = LEAT_BUF_INIT;
	if (leat_bus_ask_jetstream(d->bus, what, NULL, &answer, err) != LEAT_OK)
		return NULL;
	return json_loadb(answer.data, answer.len, 0, NULL);
}

json_t *doctor_query(struct doctor *d, struct leat_pg *pg, const char *sql, const struct leat_pg_params *params)
{
	static const struct leat_pg_params none;
	struct leat_error err;
	LEAT_PG_RESULT_SCOPED *result = NULL;
	if (leat_pg_run_once(pg, sql, params != NULL ? params : &none, &result, &err) != LEAT_OK) {
		doctor_skip(d, "%s", err.text);
		return NULL;
	}
	const char *text = leat_pg_rows(result) > 0 ? leat_pg_text(result, 0, 0) : NULL;
	return text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null();
}

json_int_t doctor_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

const char *doctor_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

/* ---- clocks ---- */

#define SKEW_WARN_MS 1000
#define SKEW_FAULT_MS 60000

int64_t doctor_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void doctor_compare_clocks(struct doctor *d, const char *server, int64_t before_us, int64_t its_us, int64_t after_us)
{
	int64_t skew_us = its_us < before_us ? its_us - before_us : its_us > after_us ? its_us - after_us : 0;
	int64_t ms = llabs(skew_us) / 1000;
	char shown[SHOW_BYTES];
	if (ms < SKEW_WARN_MS)
		return;
	show_duration(shown, ms);
	doctor_find(d, ms < SKEW_FAULT_MS ? DOCTOR_WARNING : DOCTOR_FAULT, "the clock of %s is %s %s this machine's", server, shown,
		skew_us < 0 ? "behind" : "ahead of");
	doctor_why(d, "leases and retention go by Postgres's clock, epochs of a stream by NATS's: they should agree to a second");
	doctor_mend(d, "timedatectl set-ntp true, on whichever machine is wrong");
}
