#include "endpoint.h"

#include "leat/clock.h"
#include "leat/http.h"
#include "scripts.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 20
#define START_MS 20000

static int read_port(const struct rig *rig, const char *name)
{
	int64_t deadline = leat_clock_ms() + START_MS;
	for (;;) {
		char *said = rig_output(rig, name);
		char *end = NULL;
		long port = strtol(said, &end, 10);
		bool whole = *end == '\n';
		free(said);
		if (whole)
			return (int)port;
		cr_assert_lt(leat_clock_ms(), deadline, "the endpoint does not start");
		poll(NULL, 0, LOOK_MS);
	}
}

void endpoint_start(struct endpoint *endpoint, struct rig *rig)
{
	char port[32];
	char name[32];
	endpoint->rig = rig;
	snprintf(port, sizeof port, "PORT=%d", endpoint->port);
	snprintf(name, sizeof name, "endpoint-%d", ++endpoint->starts);
	const char *script = endpoint->script != NULL ? endpoint->script : "tests/clients/endpoint.mjs";
	script_start(&endpoint->child, rig, name, RIG_ARGS("node", script), RIG_ARGS(port));
	endpoint->port = read_port(rig, name);
	snprintf(endpoint->base, sizeof endpoint->base, "http://127.0.0.1:%d", endpoint->port);
}

void endpoint_stop(struct endpoint *endpoint)
{
	leat_child_stop(&endpoint->child, SIGTERM, 10000);
}

char *endpoint_ask(const struct endpoint *endpoint, const char *method, const char *path, const char *body)
{
	struct leat_http *http;
	struct leat_http_answer answer;
	struct leat_error err;
	char url[128];
	snprintf(url, sizeof url, "%s%s", endpoint->base, path);
	cr_assert_eq(leat_http_open(&http, &err), LEAT_OK, "%s", err.text);
	const struct leat_http_request request = {
		.method = method, .url = url, .body = body, .body_bytes = strlen(body), .timeout_ms = 20000, .response_bytes = 64 << 20};
	cr_assert_eq(leat_http_start(http, &request, NULL, &err), LEAT_OK, "%s", err.text);
	while (!leat_http_next(http, &answer))
		leat_http_wait(http, NULL, 0, 1000);
	cr_assert(answer.end == LEAT_HTTP_ANSWERED && answer.status == 200, "%s %s: %d %s", method, path, answer.status, answer.why);
	leat_http_close(http);
	return answer.body;
}

void endpoint_plan(const struct endpoint *endpoint, const char *plan)
{
	free(endpoint_ask(endpoint, "PUT", "/plan", plan));
}

void endpoint_release(const struct endpoint *endpoint)
{
	free(endpoint_ask(endpoint, "PUT", "/release", ""));
}

json_t *endpoint_calls(const struct endpoint *endpoint)
{
	char *said = endpoint_ask(endpoint, "GET", "/calls", "");
	json_t *calls = json_loads(said, 0, NULL);
	cr_assert(json_is_array(calls), "%s", said);
	free(said);
	return calls;
}

size_t endpoint_count_calls(const struct endpoint *endpoint)
{
	json_t *calls = endpoint_calls(endpoint);
	size_t count = json_array_size(calls);
	json_decref(calls);
	return count;
}

void endpoint_wait_calls(const struct endpoint *endpoint, size_t count, int seconds)
{
	int64_t deadline = leat_clock_ms() + (int64_t)seconds * 1000;
	size_t found;
	while ((found = endpoint_count_calls(endpoint)) < count) {
		cr_assert_lt(leat_clock_ms(), deadline, "after %d s %zu calls, expected %zu", seconds, found, count);
		poll(NULL, 0, LOOK_MS);
	}
}

size_t endpoint_count_inputs(const struct endpoint *endpoint, const char *part)
{
	json_t *calls = endpoint_calls(endpoint);
	size_t found = 0;
	size_t i;
	json_t *call;
	json_array_foreach(calls, i, call)
	{
		size_t j;
		json_t *input;
		json_array_foreach(json_object_get(call, "inputs"), j, input) found += strstr(json_string_value(input), part) != NULL;
	}
	json_decref(calls);
	return found;
}
