#include "asker.h"

#include "leat/buf.h"

#include <criterion/criterion.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define must(call)                                                                                                                         \
	do {                                                                                                                                   \
		natsStatus status_ = (call);                                                                                                       \
		cr_assert_eq(status_, NATS_OK, "%s", natsStatus_GetText(status_));                                                                 \
	} while (0)

void asker_open(struct asker *out, const char *url, const char *user, const char *password)
{
	natsOptions *options = NULL;
	natsConnection *connection = NULL;
	natsSubscription *subscription = NULL;
	natsInbox *inbox = NULL;
	*out = (struct asker){0};
	must(natsOptions_Create(&options));
	must(natsOptions_SetURL(options, url));
	must(natsOptions_SetSendAsap(options, true));
	if (user != NULL)
		must(natsOptions_SetUserInfo(options, user, password));
	must(natsConnection_Connect(&connection, options));
	must(natsInbox_Create(&inbox));
	snprintf(out->inbox, sizeof out->inbox, "%s", inbox);
	char all[80];
	snprintf(all, sizeof all, "%s.*", inbox);
	must(natsConnection_SubscribeSync(&subscription, connection, all));
	must(natsSubscription_SetPendingLimits(subscription, -1, -1));
	out->connection = connection;
	out->subscription = subscription;
	natsInbox_Destroy(inbox);
	natsOptions_Destroy(options);
}

void asker_close(struct asker *asker)
{
	natsSubscription_Destroy(asker->subscription);
	natsConnection_Destroy(asker->connection);
	*asker = (struct asker){0};
}

static natsMsg *make(const char *what, const char *reply, const char *actor, const char *body)
{
	natsMsg *message = NULL;
	char subject[256];
	snprintf(subject, sizeof subject, "leat.query.%s", what);
	must(natsMsg_Create(&message, subject, reply, body, (int)strlen(body)));
	if (actor != NULL)
		must(natsMsgHeader_Set(message, "Leat-Actor", actor));
	return message;
}

static char *take_text(natsMsg *message)
{
	struct leat_buf text = LEAT_BUF_INIT;
	leat_buf_add(&text, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
	natsMsg_Destroy(message);
	return leat_buf_take(&text);
}

char *asker_ask(struct asker *asker, const char *what, const char *actor, const char *body, int64_t timeout_ms)
{
	natsMsg *answer = NULL;
	natsMsg *request = make(what, NULL, actor, body);
	natsStatus status = natsConnection_RequestMsg(&answer, asker->connection, request, timeout_ms);
	natsMsg_Destroy(request);
	if (status == NATS_NO_RESPONDERS)
		return leat_strdup(ASKER_NOBODY);
	if (status == NATS_TIMEOUT)
		return leat_strdup(ASKER_SILENCE);
	must(status);
	return take_text(answer);
}

const char *asker_code(struct asker *asker, const char *what, const char *actor, const char *body, json_t **answer)
{
	static char code[64];
	char *text = asker_ask(asker, what, actor, body, 10000);
	json_t *found = json_loads(text, 0, NULL);
	const char *value = json_string_value(json_object_get(found, "code"));
	if (value == NULL)
		value = json_string_value(json_object_get(found, "status"));
	snprintf(code, sizeof code, "%s", value != NULL ? value : "not JSON");
	if (found == NULL)
		cr_log_error("%s: %.300s", what, text);
	free(text);
	if (answer != NULL)
		*answer = found;
	else
		json_decref(found);
	return code;
}

void asker_send(struct asker *asker, size_t number, const char *what, const char *actor, const char *body)
{
	char reply[96];
	snprintf(reply, sizeof reply, "%s.%zu", asker->inbox, number);
	natsMsg *message = make(what, reply, actor, body);
	must(natsConnection_PublishMsg(asker->connection, message));
	natsMsg_Destroy(message);
}

bool asker_take(struct asker *asker, int64_t timeout_ms, size_t *number, char **text)
{
	natsMsg *answer = NULL;
	natsStatus status = natsSubscription_NextMsg(&answer, asker->subscription, timeout_ms);
	cr_assert_neq(status, NATS_NO_RESPONDERS, "a request found nobody");
	if (status == NATS_TIMEOUT)
		return false;
	must(status);
	*number = strtoul(natsMsg_GetSubject(answer) + strlen(asker->inbox) + 1, NULL, 10);
	*text = take_text(answer);
	return true;
}
