/* The envelope of events. */
#include "../../lib/outbox/event.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#define SUBJECT "leat.event.aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa.entity.eeeeeeee-0000-4000-8000-000000000001"
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static struct leat_event event_of(const char *subject, const char *headers, const char *data)
{
	return (struct leat_event){
		.id = "11111111-2222-4333-8444-555555555555",
		.type = "leat.entity.updated",
		.subject = subject,
		.headers = headers,
		.at_us = INT64_C(1700000000000042),
		.data = data,
		.data_bytes = strlen(data),
	};
}

static void expect_written(const struct leat_event *event, const char *expected)
{
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	cr_assert(leat_event_write(&out, event));
	cr_expect_str_eq(leat_buf_text(&out), expected);
	json_t *json = json_loads(leat_buf_text(&out), JSON_REJECT_DUPLICATES, NULL);
	cr_expect_not_null(json);
	json_decref(json);
}

#define BEFORE_TRACE                                                                                                                       \
	"{\"specversion\":\"1.0\",\"id\":\"11111111-2222-4333-8444-555555555555\",\"source\":\"/leat/aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa\","  \
	"\"type\":\"leat.entity.updated\",\"subject\":\"eeeeeeee-0000-4000-8000-000000000001\",\"time\":\"2023-11-14T22:13:20.000042Z\","      \
	"\"datacontenttype\":\"application/json\""
#define IDS "\"tenant_id\":\"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa\",\"entity_id\":\"eeeeeeee-0000-4000-8000-000000000001\""

Test(event, is_a_cloud_event_around_the_data)
{
	struct leat_event event = event_of(SUBJECT, "", "{\"position\":7}");
	expect_written(&event, BEFORE_TRACE ",\"data\":{" IDS ",\"position\":7}}");
}

Test(event, passes_the_trace_on)
{
	struct leat_event event = event_of(SUBJECT, "X-Other: 1\r\ntraceparent: " TRACE "\r\n", "{}");
	expect_written(&event, BEFORE_TRACE ",\"traceparent\":\"" TRACE "\",\"data\":{" IDS "}}");
}

static void expect_short(const char *expected, const char *type, const char *data)
{
	LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
	struct leat_event event = event_of(SUBJECT, "", data);
	event.type = type;
	leat_event_shorten(&out, &event);
	cr_expect_str_eq(leat_buf_text(&out), expected);
}

Test(event, a_short_one_says_what_is_left_out)
{
	expect_short("{\"entity_type\":\"t\",\"position\":7,\"changed_omitted\":true}", "leat.entity.updated",
		"{\"entity_type\":\"t\",\"position\":7,\"changed\":{\"content\":[\"a\"],\"metadata\":[]}}");
	expect_short("{\"data_omitted\":true}", "leat.entity.updated", "{}");
	expect_short("{\"data_omitted\":true}", "leat.interaction.asked", "{\"payload\":{\"a\":1,\"changed\":2}}");
}

Test(event, what_is_none_is_left_alone)
{
	const struct leat_event others[] = {
		event_of("leat.dead.x.entity.merge", "", "{}"), event_of(SUBJECT, "", ""), event_of(SUBJECT, "", "[1]"), event_of("", "", "{}")};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		LEAT_BUF_SCOPED out = LEAT_BUF_INIT;
		cr_expect_not(leat_event_write(&out, &others[i]), "%zu", i);
		cr_expect_eq(out.len, 0);
	}
}
