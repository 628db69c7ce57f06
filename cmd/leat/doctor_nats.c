/* nats-server itself: its version, its clock, the account's room, and what the login may do. */
#include "doctor.h"

#include "show.h"

#include "leat/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NOBODY "00000000-0000-0000-0000-000000000000" /* the tenant that nobody is */

/* ---- version ---- */

/* What was found wrong in versions before this one, and is not told by any setting. */
static const struct {
	int fixed[3];
	enum doctor_level level;
	const char *what;
} known_faults[] = {
	{{2, 9, 0}, DOCTOR_FAULT, "it does not know how to pull as Leat does"},
	{{2, 9, 15}, DOCTOR_WARNING,
		"a producer's reply subject that ends with a wildcard ends the server, and a new tenant is taken up only when its configuration is "
		"reloaded twice"},
};

static bool is_before(const int found[3], const int fixed[3])
{
	for (int i = 0; i < 3; i++) {
		if (found[i] != fixed[i])
			return found[i] < fixed[i];
	}
	return false;
}

/* "2.9.10" or "2.11.0-RC.1" */
static bool read_version(const char *text, int out[3])
{
	for (int i = 0; i < 3; i++) {
		char *end;
		long number = strtol(text, &end, 10);
		if (end == text || number < 0 || number > 9999 || (i < 2 && *end != '.'))
			return false;
		out[i] = (int)number;
		text = end + 1;
	}
	return true;
}

void doctor_check_nats_version(struct doctor *d)
{
	const char *shown = doctor_text(d->versions, "nats");
	int version[3];
	if (!read_version(shown, version)) {
		doctor_skip(d, "nats-server does not tell its version");
		return;
	}
	for (size_t i = 0; i < sizeof known_faults / sizeof *known_faults; i++) {
		if (!is_before(version, known_faults[i].fixed))
			continue;
		const int *fixed = known_faults[i].fixed;
		doctor_find(d, known_faults[i].level, "nats-server is %s, older than %d.%d.%d", shown, fixed[0], fixed[1], fixed[2]);
		doctor_why(d, "%s", known_faults[i].what);
		doctor_mend(d, "install a newer nats-server, https://github.com/nats-io/nats-server/releases; the streams stay");
		return;
	}
}

/* ---- login ---- */

static bool is_stream(struct doctor *d, const char *stream)
{
	struct leat_stream_state state;
	struct leat_error err;
	return leat_stream_get_state(d->bus, stream, &state, &err) == LEAT_OK;
}

/*
 * Offers a message to the stream of each subject that consumers publish to, with a header by which the stream has to refuse it: who may
 * publish is refused, who may not gets no answer. Nothing is stored; the tenant is one that nobody is.
 */
void doctor_check_nats_login(struct doctor *d)
{
	static const char refuse[] = "Nats-Expected-Stream: LEAT_DOCTOR\r\n";
	struct leat_outgoing offers[DOCTOR_LANES + 2];
	char subjects[DOCTOR_LANES][128];
	size_t count = 0;
	if (is_stream(d, "LEAT_EVENTS"))
		offers[count++] = (struct leat_outgoing){.subject = "leat.event." NOBODY ".doctor.check", .headers = refuse};
	if (is_stream(d, "LEAT_DEAD"))
		offers[count++] = (struct leat_outgoing){.subject = "leat.dead." NOBODY ".doctor.check", .headers = refuse};
	for (size_t i = 0; i < DOCTOR_LANES; i++) {
		snprintf(subjects[i], sizeof subjects[i], "leat.intent." NOBODY ".engine.%s", doctor_lanes[i].engine);
		if (is_stream(d, doctor_lanes[i].stream))
			offers[count++] = (struct leat_outgoing){.subject = subjects[i], .headers = refuse};
	}
	/* Each has its own outcome; the whole can't be well. */
	if (leat_bus_store(d->bus, offers, count) == LEAT_OK)
		doctor_skip(d, count > 0 ? "a stream stored what it had to refuse" : "there is no stream");
	for (size_t i = 0; i < count; i++) {
		if (offers[i].kind != LEAT_TEMPORARY)
			continue;
		doctor_find(d, DOCTOR_FAULT, "this login can't publish %s: %s", offers[i].subject, offers[i].err.text);
		doctor_why(d, "what Leat has to say there waits in the outbox for ever: events, dead letters, results of nodes");
		doctor_mend(d, "allow it in nats-server's configuration, as docker/nats-accounts.conf does for leat-consumer");
	}
}

/* ---- the account's room ---- */

#define FULL_PERCENT 80

static json_int_t percent(json_int_t part, json_int_t whole)
{
	return (json_int_t)((double)part * 100 / (double)whole);
}

/* What the streams will hold once they are as old as they may become, if they go on to grow as until now. */
static json_int_t expected_bytes(struct doctor *d)
{
	struct leat_stream_config streams[LEAT_STREAMS];
	struct leat_error err;
	double sum = 0;
	leat_schema_streams(d->params, streams);
	for (size_t i = 0; i < LEAT_STREAMS; i++) {
		struct leat_stream_state state;
		if (leat_stream_get_state(d->bus, streams[i].name, &state, &err) != LEAT_OK)
			continue; /* told by the check of streams */
		double lived_ms = (double)(doctor_now_us() * 1000 - state.first_ns) / 1e6;
		double grows = state.first_ns > 0 && lived_ms > 3600e3 ? (double)streams[i].max_age_ms / lived_ms : 1;
		sum += (double)state.bytes * (grows > 1 && !streams[i].work_queue ? grows : 1);
	}
	return (json_int_t)sum;
}

void doctor_check_nats_room(struct doctor *d)
{
	struct leat_error err;
	json_auto_t *info = doctor_jetstream(d, &err, "INFO");
	if (info == NULL) {
		doctor_skip(d, "%s", err.text);
		return;
	}
	json_int_t limit = doctor_number(json_object_get(info, "limits"), "max_storage");
	if (limit <= 0)
		return;
	json_int_t used = doctor_number(info, "storage");
	json_int_t expected = expected_bytes(d);
	bool full = percent(used, limit) >= FULL_PERCENT;
	if (!full && expected <= limit)
		return;
	char size[SHOW_BYTES];
	char wanted[SHOW_BYTES];
	show_size(size, (uint64_t)limit);
	show_size(wanted, (uint64_t)expected);
	if (full)
		doctor_find(d, percent(used, limit) >= 95 ? DOCTOR_FAULT : DOCTOR_WARNING,
			"the account's disk in JetStream, %s, is %" JSON_INTEGER_FORMAT " %% full", size, percent(used, limit));
	else
		doctor_find(d, DOCTOR_WARNING, "the streams will need %s at this rate, the account has %s", wanted, size);
	doctor_why(d, "when it is full, nothing can be published any more");
	doctor_mend(
		d, "raise max_file in nats-server's configuration, or keep less: LEAT_RETENTION_H, and `nats stream edit STREAM --max-age`");
}

/* ---- clock ---- */

void doctor_check_nats_clock(struct doctor *d)
{
	struct leat_error err;
	int64_t its_ns = 0;
	if (!is_stream(d, "LEAT_EVENTS")) {
		doctor_skip(d, "there is no stream");
		return;
	}
	int64_t before_us = doctor_now_us();
	if (leat_bus_get_clock(d->bus, "LEAT_EVENTS", &its_ns, &err) != LEAT_OK)
		doctor_skip(d, "%s", err.text);
	if (its_ns > 0)
		doctor_compare_clocks(d, "NATS", before_us, its_ns / 1000, doctor_now_us());
}
