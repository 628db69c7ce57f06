/* The messages about runs: what each takes, what it refuses and in which words. */
#include "decoding.h"

#define RUN "\"run_id\":\"" ENTITY "\""
#define START RUN ",\"workflow_id\":\"" ENTITY "\""

struct taken {
	const char *noun_verb;
	const char *body;
	const char *refused; /* a part of the reason; NULL: accepted */
};

static const struct taken messages[] = {
	{"run.start", "{" START "}", NULL},
	{"run.start", "{" START ",\"version\":1,\"agent_id\":\"a\",\"entity_id\":\"" ENTITY "\",\"input\":[1]}", NULL},
	{"run.start", "{" START ",\"version\":0}", "version: expected a whole number from 1"},
	{"run.start", "{" START ",\"agent_id\":\"\"}", "agent_id: expected a text of 1 to 256 bytes"},
	{"run.start", "{" RUN "}", "run.start needs workflow_id"},
	{"run.start", "{\"workflow_id\":\"" ENTITY "\"}", "run.start needs run_id"},
	{"run.resume", "{" RUN "}", NULL},
	{"run.resume", "{\"agent_id\":\"crawler 7\"}", NULL},
	{"run.resume", "{}", "run.resume needs run_id or agent_id"},
	{"run.resume", "{" RUN ",\"agent_id\":\"a\"}", "run.resume takes run_id or agent_id, not both"},
	{"run.retry", "{" RUN "}", NULL},
	{"run.retry", "{" RUN ",\"node_id\":\"a\"}", "run.retry has no field \"node_id\""},
	{"run.cancel", "{" RUN "}", NULL},
	{"run.node", "{" RUN ",\"node_id\":\"n[999]\",\"status\":\"completed\",\"output\":null,\"attempt\":1}", NULL},
	{"run.node", "{" RUN ",\"node_id\":\"n\",\"status\":\"failed\",\"error\":\"line\\nline\\t\\u00e9\"}", NULL},
	{"run.node", "{" RUN ",\"node_id\":\"n\",\"status\":\"failed\",\"error\":\"\"}", "error: expected a text of 1 to 4096 bytes"},
	{"run.node", "{" RUN ",\"node_id\":\"n\",\"status\":\"failed\",\"error\":{}}", "error: expected a text of 1 to 4096 bytes"},
	{"run.node", "{" RUN ",\"node_id\":\"n\",\"status\":\"waiting\"}", "status: expected one of running|completed|failed"},
	{"run.node", "{" RUN ",\"node_id\":\"n\",\"status\":\"running\",\"attempt\":0}", "attempt: expected a whole number from 1"},
	{"run.node", "{" RUN ",\"status\":\"running\"}", "run.node needs node_id"},
	{"run.node", "{" RUN ",\"node_id\":\"n\",\"status\":\"failed\",\"output\":1}", "run.node takes output only with status completed"},
	{"run.node", "{" RUN ",\"error\":\"e\",\"node_id\":\"n\",\"status\":\"running\"}", "run.node takes error only with status failed"},
};

Test(run_intent, takes_what_the_table_says)
{
	for (const struct taken *message = messages; message < messages + sizeof messages / sizeof *messages; message++) {
		char subject[128];
		snprintf(subject, sizeof subject, "leat.intent." TENANT ".service.%s", message->noun_verb);
		if (message->refused == NULL)
			expect_accepted(subject, message->body);
		else
			expect_rejected(subject, message->body, LEAT_CODE_INVALID_MESSAGE, message->refused);
	}
}

Test(run_intent, the_run_is_the_target)
{
	struct leat_uuid run;
	DECODED start = decode("leat.intent." TENANT ".engine.run.start", "{" START "}");
	cr_assert(leat_uuid_parse(&run, ENTITY, strlen(ENTITY)));
	cr_expect_eq(start.kind, LEAT_OK);
	cr_expect_eq(leat_uuid_compare(&start.intent.target, &run), 0);
}
