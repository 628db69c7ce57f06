/* The messages about workflows, members and questions: what each takes, what it refuses and in which words. */
#include "decoding.h"

#define CONTROL(noun_verb) "leat.intent." TENANT ".user." noun_verb
#define USER "00000000-0000-4000-8000-000000000001"
#define WORKFLOW "\"workflow_id\":\"" ENTITY "\",\"action\":\"new\",\"name\":\"n\","
#define DEFINITION "{\"nodes\":[{\"id\":\"a\",\"type\":\"http\",\"url\":\"http://example.com/\"}],\"edges\":[]}"
#define ASK "\"interaction_id\":\"" ENTITY "\",\"connection_id\":\"c\",\"expected_user_id\":\"" USER "\","

struct taken {
	const char *noun_verb;
	const char *body;
	const char *refused; /* a part of the reason; NULL: accepted */
};

static const struct taken messages[] = {
	{"member.set", "{\"user_id\":\"" USER "\",\"role\":\"viewer\"}", NULL},
	{"member.set", "{\"user_id\":\"" USER "\",\"role\":\"view\"}",
		"role: expected one of owner|admin|editor|viewer, found the text \"view\""},
	{"member.set", "{\"user_id\":\"" USER "\",\"role\":\"viewer|editor\"}", "role: expected one of"},
	{"member.set", "{\"user_id\":\"" USER "\",\"role\":\"\"}", "role: expected one of"},
	{"member.set", "{\"user_id\":\"ann\",\"role\":\"viewer\"}", "user_id: expected a UUID"},
	{"member.set", "{\"user_id\":\"" USER "\"}", "member.set needs role"},
	{"member.remove", "{\"user_id\":\"" USER "\"}", NULL},
	{"workflow.delete", "{\"workflow_id\":\"" ENTITY "\"}", NULL},
	{"workflow.save", "{" WORKFLOW "\"definition\":" DEFINITION ",\"expected_version\":-1}",
		"expected_version: expected a whole number from 0"},
	{"workflow.save", "{" WORKFLOW "\"definition\":" DEFINITION ",\"expected_version\":1.0}", "expected_version: expected a whole number"},
	{"workflow.save", "{" WORKFLOW "\"definition\":" DEFINITION ",\"expected_version\":99999999999999999999}",
		"expected_version: expected a whole number"},
	{"workflow.save", "{" WORKFLOW "\"definition\":" DEFINITION ",\"expected_version\":\"1\"}",
		"expected_version: expected a whole number"},
	{"workflow.save", "{" WORKFLOW "\"expected_version\":1}", "needs definition"},
	{"workflow.save", "{" WORKFLOW "\"definition\":" DEFINITION ",\"expected_version\":0}", NULL},
	{"workflow.save", "{" WORKFLOW "\"definition\":{\"nodes\":[{\"id\":\"a\",\"type\":\"http\"}],\"edges\":[]}}",
		"node \"a\": url is missing"},
	{"workflow.save", "{" WORKFLOW "\"definition\":" DEFINITION ",\"expected_verison\":1}", "did you mean \"expected_version\""},
	{"interaction.ask", "{" ASK "\"payload\":{}}", NULL},
	{"interaction.ask", "{" ASK "\"payload\":null,\"ttl_s\":31536000,\"run_id\":\"" ENTITY "\",\"node_id\":\"n[7]\"}", NULL},
	{"interaction.ask", "{" ASK "\"payload\":{},\"ttl_s\":0}", "ttl_s: expected a whole number from 1 to 31536000"},
	{"interaction.answer", "{\"interaction_id\":\"" ENTITY "\",\"connection_id\":\"\",\"user_id\":\"" USER "\",\"value\":1}",
		"connection_id: expected a text of 1 to 256 bytes"},
	{"interaction.ask", "{" ASK "\"payload\":{},\"node_id\":\"a\\nb\"}", "node_id: expected a text of 1 to 80 bytes"},
	{"interaction.answer", "{\"interaction_id\":\"" ENTITY "\",\"connection_id\":\"c\",\"user_id\":\"" USER "\",\"value\":null}", NULL},
	{"interaction.answer", "{\"interaction_id\":\"" ENTITY "\",\"connection_id\":\"c\",\"user_id\":\"" USER "\"}", "needs value"},
	{"interaction.withdraw", "{\"interaction_id\":\"" ENTITY "\",\"connection_id\":\"c\",\"user_id\":\"" USER "\"}", NULL},
	{"interaction.withdraw", "{\"interaction_id\":\"" ENTITY "\",\"connection_id\":\"c\",\"expected_user_id\":\"" USER "\"}", NULL},
	{"interaction.withdraw", "{\"interaction_id\":\"" ENTITY "\",\"connection_id\":\"c\"}",
		"interaction.withdraw needs user_id or expected_user_id"},
	{"interaction.withdraw",
		"{\"interaction_id\":\"" ENTITY "\",\"connection_id\":\"c\",\"user_id\":\"" USER "\",\"expected_user_id\":\"" USER "\"}",
		"interaction.withdraw takes user_id or expected_user_id, not both"},
	{"interaction.expire", "{\"interaction_ids\":[\"" ENTITY "\"]}", NULL},
	{"interaction.expire", "{\"interaction_ids\":[]}", "interaction_ids: expected 1 to 1000 UUIDs"},
};

Test(control_intent, takes_what_the_table_says)
{
	for (const struct taken *message = messages; message < messages + sizeof messages / sizeof *messages; message++) {
		char subject[128];
		snprintf(subject, sizeof subject, CONTROL("%s"), message->noun_verb);
		if (message->refused == NULL)
			expect_accepted(subject, message->body);
		else
			expect_rejected(subject, message->body, LEAT_CODE_INVALID_MESSAGE, message->refused);
	}
}

Test(control_intent, the_first_field_is_the_target)
{
	DECODED out = decode(CONTROL("interaction.ask"), "{\"run_id\":\"" USER "\"," ASK "\"payload\":1}");
	char text[LEAT_UUID_TEXT_BYTES];
	cr_assert(out.kind == LEAT_OK, "%s", out.err.text);
	leat_uuid_format(&out.intent.target, text);
	cr_expect_str_eq(text, ENTITY);
}
