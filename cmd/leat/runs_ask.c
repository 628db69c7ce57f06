/*
 * `leat runs resume`, `retry`, `cancel`: an intent of a service, stored in its stream. Of a retry and a cancel the outcome is waited for; a
 * resume is work for whoever has a free slot, and has none here.
 *
 * Possible failure modes are: NATS does not answer; the intent is rejected; nobody applies it in time, which leaves it in the stream.
 */
#include "runs.h"

#include "command.h"
#include "show.h"

#include "leat/text.h"
#include "leat/uuid.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTCOME_TIMEOUTS 6 /* times publish_timeout_ms: what is before it in the stream comes first */

struct ask {
	const struct leat_params *settings;
	const char *verb;
	char command[16]; /* "runs retry" */
	const char *tenant;
	const char *actor;
	const char *agent;
	char run[LEAT_UUID_TEXT_BYTES]; /* "" with an agent */
	char reply_to[128];
	struct leat_bus *bus;
	struct leat_inbox *inbox; /* NULL: no outcome is waited for */
};

static int fail(const struct ask *ask, const struct leat_error *err)
{
	return command_fail(ask->command, EXIT_FAILURE, "%s", err->text);
}

static enum leat_kind store(struct ask *ask, uint64_t *seq, struct leat_error *err)
{
	LEAT_BUF_SCOPED subject = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED headers = LEAT_BUF_INIT;
	struct leat_uuid id;
	char text[LEAT_UUID_TEXT_BYTES];
	leat_uuid_random(&id);
	leat_uuid_format(&id, text);
	leat_buf_printf(&subject, "leat.intent.%s.service.run.%s", ask->tenant, ask->verb);
	leat_buf_printf(&headers, "Leat-Id: %s\r\n", text);
	if (ask->actor != NULL)
		leat_buf_printf(&headers, "Leat-Actor: %s\r\n", ask->actor);
	if (ask->inbox != NULL)
		leat_buf_printf(&headers, "Leat-Reply-To: %s\r\n", ask->reply_to);
	json_t *body = ask->agent != NULL ? json_pack("{s:s}", "agent_id", ask->agent) : json_pack("{s:s}", "run_id", ask->run);
	char *said = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (said == NULL)
		return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, "--agent: expected UTF-8");
	struct leat_outgoing message = {
		.subject = leat_buf_text(&subject), .headers = leat_buf_text(&headers), .data = said, .data_bytes = strlen(said)};
	enum leat_kind kind = leat_bus_store(ask->bus, &message, 1);
	free(said);
	*seq = message.seq;
	*err = message.err;
	return kind;
}

/* ---- the outcome ---- */

static int tell_outcome(const struct ask *ask, const json_t *outcome)
{
	const json_t *result = json_object_get(outcome, "result");
	LEAT_BUF_SCOPED shown = LEAT_BUF_INIT;
	if (strcmp(runs_text(outcome, "status"), "applied") != 0) {
		show_text(&shown, runs_text(outcome, "message"), strlen(runs_text(outcome, "message")));
		return command_fail(ask->command, EXIT_FAILURE, "%s: %s", runs_text(outcome, "code"), leat_buf_text(&shown));
	}
	if (*runs_text(result, "ignored") != '\0') {
		show_text(&shown, runs_text(result, "ignored"), strlen(runs_text(result, "ignored")));
		printf("nothing changed: %s\n", leat_buf_text(&shown));
	} else {
		bool retry = strcmp(ask->verb, "retry") == 0;
		json_int_t nodes = runs_number(result, retry ? "retried_nodes" : "cancelled_nodes");
		printf("%s, with %" JSON_INTEGER_FORMAT " node%s %s; see `leat runs show %s`\n", retry ? "running again" : "cancelled", nodes,
			nodes == 1 ? "" : "s", retry ? "to begin again" : "that had not ended", ask->run);
	}
	return EXIT_SUCCESS;
}

static int await_outcome(struct ask *ask, uint64_t seq)
{
	struct leat_msg reply;
	struct leat_error err;
	int64_t timeout_ms = OUTCOME_TIMEOUTS * ask->settings->publish_timeout_ms;
	if (leat_inbox_next(ask->inbox, timeout_ms, &reply, &err) != LEAT_OK)
		return command_fail(ask->command, EXIT_FAILURE,
			"it is in LEAT_RUN at %" PRIu64 ", but was not applied within %" PRId64 " s; is a consumer running? see `leat status`", seq,
			timeout_ms / 1000);
	json_t *outcome = json_loadb(reply.data, reply.data_bytes, JSON_ALLOW_NUL, NULL);
	leat_msg_free(&reply);
	if (outcome == NULL)
		return command_fail(ask->command, EXIT_FAILURE, "the outcome is no JSON that can be read");
	int status = tell_outcome(ask, outcome);
	json_decref(outcome);
	return status;
}

/* ---- all of it ---- */

static int publish(struct ask *ask)
{
	struct leat_error err;
	uint64_t seq = 0;
	struct leat_uuid token;
	char text[LEAT_UUID_TEXT_BYTES];
	if (command_open_bus(&ask->bus, ask->settings, &err) != LEAT_OK)
		return fail(ask, &err);
	leat_uuid_random(&token);
	leat_uuid_format(&token, text);
	snprintf(ask->reply_to, sizeof ask->reply_to, "leat.reply.%s.%s", ask->tenant, text);
	if (strcmp(ask->verb, "resume") != 0 && leat_inbox_open(&ask->inbox, ask->bus, ask->reply_to, &err) != LEAT_OK)
		return fail(ask, &err);
	if (store(ask, &seq, &err) != LEAT_OK)
		return fail(ask, &err);
	if (ask->inbox != NULL)
		return await_outcome(ask, seq);
	printf("whoever has a free slot looks at it; see `leat runs %s%s`\n", ask->agent != NULL ? "list --agent " : "show ",
		ask->agent != NULL ? "AGENT" : ask->run);
	return EXIT_SUCCESS;
}

static bool take_words(struct ask *ask, int argc, char **argv, char tenant[LEAT_UUID_TEXT_BYTES])
{
	bool resume = strcmp(ask->verb, "resume") == 0;
	const struct command_flag flags[] = {
		{.name = "--tenant", .text = &ask->tenant},
		{.name = "--actor", .text = &ask->actor},
		{.name = resume ? "--agent" : NULL, .text = &ask->agent},
		{0},
	};
	if (!command_take_flags(ask->command, flags, 1, &argc, argv))
		return false;
	if ((argc > 1) == (ask->agent != NULL))
		return command_fail(ask->command, false, "expected the id of a run%s", resume ? ", or --agent AGENT, one of the two" : "");
	if (ask->tenant == NULL)
		return command_fail(ask->command, false, "expected --tenant TENANT; `leat runs show RUN` says whose it is");
	if (ask->actor != NULL && !leat_text_is_printable((struct leat_text){ask->actor, strlen(ask->actor)}))
		return command_fail(ask->command, false, "--actor: expected text without control characters");
	if (!runs_take_id(ask->command, "--tenant", ask->tenant, tenant))
		return false;
	ask->tenant = tenant;
	return argc < 2 || runs_take_id(ask->command, "RUN", argv[1], ask->run);
}

int runs_ask(const struct leat_params *params, int argc, char **argv)
{
	struct ask ask = {.settings = params, .verb = argv[0]};
	char tenant[LEAT_UUID_TEXT_BYTES];
	snprintf(ask.command, sizeof ask.command, "runs %s", argv[0]);
	if (!take_words(&ask, argc, argv, tenant))
		return EXIT_USAGE;
	int status = publish(&ask);
	leat_inbox_close(ask.inbox);
	leat_bus_close(ask.bus);
	return status;
}
