#include "calls.h"

#include "leat/buf.h"
#include "leat/clock.h"

#include <criterion/criterion.h>
#include <stdlib.h>

void calls_open(struct calls *calls)
{
	struct leat_error err;
	rig_open(&calls->rig);
	endpoint_start(&calls->endpoint, &calls->rig);
	cr_assert_eq(leat_http_open(&calls->http, &err), LEAT_OK, "%s", err.text);
}

void calls_close(struct calls *calls)
{
	leat_http_close(calls->http);
	endpoint_stop(&calls->endpoint);
	rig_close(&calls->rig);
}

struct leat_http_answer calls_next(struct calls *calls)
{
	struct leat_http_answer answer;
	int64_t deadline = leat_clock_ms() + 60000;
	while (!leat_http_next(calls->http, &answer)) {
		cr_assert_lt(leat_clock_ms(), deadline, "no call is over");
		leat_http_wait(calls->http, NULL, 0, 1000);
	}
	return answer;
}

struct leat_egress *calls_allow(const struct calls *calls, const char *list)
{
	LEAT_BUF_SCOPED entries = LEAT_BUF_INIT;
	struct leat_egress *egress;
	struct leat_error err;
	for (; *list != '\0'; list++) {
		if (*list == '#')
			leat_buf_printf(&entries, "%d", calls->endpoint.port);
		else
			leat_buf_add(&entries, list, 1);
	}
	cr_assert_eq(leat_egress_parse(&egress, leat_buf_text(&entries), &err), LEAT_OK, "%s", err.text);
	return egress;
}

int calls_count_connections(const struct calls *calls)
{
	char *said = endpoint_ask(&calls->endpoint, "GET", "/connections", "");
	int count = (int)strtol(said, NULL, 10);
	free(said);
	return count;
}
