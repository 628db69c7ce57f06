/* NATS for tests: one connection per rig; publishing and deleting that must succeed. */
#include "harness.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct leat_bus *rig_bus(struct rig *rig)
{
	if (rig->bus == NULL) {
		struct leat_bus_options options = {
			.url = rig->nats.url, .name = "test", .request_timeout_ms = 10000, .retry_first_ms = 20, .retry_limit_ms = 200};
		struct leat_error err;
		cr_assert_eq(leat_bus_open(&rig->bus, &options, &err), LEAT_OK, "%s", err.text);
	}
	return rig->bus;
}

uint64_t rig_publish(struct rig *rig, const char *subject, const char *headers, const char *body)
{
	struct leat_outgoing message = {.subject = subject, .headers = headers, .data = body, .data_bytes = strlen(body)};
	cr_assert_eq(leat_bus_store(rig_bus(rig), &message, 1), LEAT_OK, "%s: %s", subject, message.err.text);
	return message.seq;
}

uint64_t rig_intent(struct rig *rig, const char *tenant, const char *noun_verb, const char *headers, const char *body)
{
	char subject[256];
	snprintf(subject, sizeof subject, "leat.intent.%s.service.%s", tenant, noun_verb);
	return rig_publish(rig, subject, headers, body);
}

struct stream {
	struct leat_bus *bus;
	const char *name;
};

static bool is_gone(void *stream)
{
	const struct stream *wanted = stream;
	struct leat_stream_state state;
	struct leat_error err;
	return leat_stream_get_state(wanted->bus, wanted->name, &state, &err) == LEAT_PERMANENT && err.code == LEAT_CODE_NOT_FOUND;
}

void rig_delete_stream(struct rig *rig, const char *stream)
{
	char subject[128];
	struct leat_error err;
	struct stream wanted = {rig_bus(rig), stream};
	snprintf(subject, sizeof subject, "$JS.API.STREAM.DELETE.%s", stream);
	cr_assert_eq(leat_bus_publish(wanted.bus, subject, NULL, "", 0, &err), LEAT_OK, "%s", err.text);
	cr_assert(rig_wait_until(is_gone, &wanted, 30), "%s is still there", stream);
}
