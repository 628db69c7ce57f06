/*
 * JetStream's API: JSON requests on $JS.API subjects. Happy path: one request, one JSON answer without an "error".
 *
 * Possible failure modes are: no answer (TEMPORARY), JetStream off (TEMPORARY, and it says so), an "error" in the answer (bus_fail_api).
 */
#include "internal.h"

#include "leat/instant.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_SUBJECT_BYTES 640 /* two names of up to 255 bytes */

int64_t bus_json_int(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

const char *bus_json_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

int64_t bus_json_time_ns(const json_t *object, const char *name)
{
	int64_t ns;
	return leat_instant_parse(&ns, bus_json_text(object, name), 0) ? ns : 0; /* the zero time is in the year 1 */
}

enum leat_kind bus_api(struct leat_bus *bus, json_t **answer, json_t *request, struct leat_error *err, const char *what, ...)
{
	*answer = NULL;
	char subject[API_SUBJECT_BYTES] = "$JS.API.";
	size_t prefix = strlen(subject);
	va_list args;
	va_start(args, what);
	vsnprintf(subject + prefix, sizeof subject - prefix, what, args);
	va_end(args);

	char *body = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	natsMsg *reply = NULL;
	natsStatus s =
		natsConnection_Request(&reply, bus->prompt.nats, subject, body, body != NULL ? (int)strlen(body) : 0, bus->request_timeout_ms);
	free(body);
	if (s == NATS_NO_RESPONDERS)
		return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "JetStream does not answer: is it on (nats-server -js)?");
	if (s == NATS_TIMEOUT)
		return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL,
			"%s was not answered within %lld ms (a login that may not ask gets no answer either: see the log)", subject,
			(long long)bus->request_timeout_ms);
	if (s != NATS_OK)
		return bus_fail(err, s, "asking %s", subject);
	json_auto_t *fields = json_loadb(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), 0, NULL);
	natsMsg_Destroy(reply);
	if (fields == NULL)
		return leat_fail(err, LEAT_TEMPORARY, LEAT_CODE_INTERNAL, "%s was answered with something that is not JSON", subject);
	const json_t *error = json_object_get(fields, "error");
	if (error != NULL)
		return bus_fail_api(err, error, subject);
	*answer = json_incref(fields);
	return LEAT_OK;
}

enum leat_kind leat_bus_ask_jetstream(
	struct leat_bus *bus, const char *what, const char *request, struct leat_buf *answer, struct leat_error *err)
{
	json_auto_t *fields = NULL;
	if (bus_api(bus, &fields, request != NULL ? json_loads(request, 0, NULL) : NULL, err, "%s", what) != LEAT_OK)
		return err->kind;
	char *text = json_dumps(fields, JSON_COMPACT);
	leat_buf_add_text(answer, text);
	free(text);
	return LEAT_OK;
}
