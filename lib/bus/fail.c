/*
 * Verdicts of nats.c and of JetStream, turned into ours.
 *
 * The rule: what an operator or the passing of time can mend without us is TEMPORARY; what says that this very call is wrong is
 * PERMANENT. When in doubt TEMPORARY, since a retry costs little and a dead letter costs a message.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static enum leat_kind kind_of_status(natsStatus status)
{
	switch (status) {
	case NATS_NO_MEMORY:
		abort();
	case NATS_CONNECTION_CLOSED: /* for good: the library gave up, or we closed it */
	case NATS_CONNECTION_AUTH_FAILED:
	case NATS_SECURE_CONNECTION_WANTED:
	case NATS_SECURE_CONNECTION_REQUIRED:
	case NATS_NO_SERVER_SUPPORT:
	case NATS_ADDRESS_MISSING:
	case NATS_INVALID_SUBJECT:
	case NATS_INVALID_ARG:
	case NATS_MAX_PAYLOAD:
		return LEAT_PERMANENT;
	default:
		return LEAT_TEMPORARY;
	}
}

enum leat_kind bus_fail(struct leat_error *err, natsStatus status, const char *format, ...)
{
	char what[256];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	enum leat_kind kind = kind_of_status(status);
	enum leat_code code = status == NATS_MAX_PAYLOAD ? LEAT_CODE_TOO_LARGE : LEAT_CODE_INTERNAL;
	return leat_fail(err, kind, code, "%s: %s", what, natsStatus_GetText(status));
}

/* JetStream's own error numbers, where its HTTP-like code does not tell the kind. */
static const struct {
	int64_t number;
	enum leat_kind kind;
	enum leat_code code;
} api_errors[] = {
	{JSStreamNotFoundErr, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND},
	{JSConsumerNotFoundErr, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND},
	{JSNoMessageFoundErr, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND},
	{JSSequenceNotFoundErr, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND},
	{JSStreamMessageExceedsMaximumErr, LEAT_PERMANENT, LEAT_CODE_TOO_LARGE},
	{JSStreamNameExistErr, LEAT_PERMANENT, LEAT_CODE_CONFLICT},
	{JSStreamInvalidConfig, LEAT_PERMANENT, LEAT_CODE_INTERNAL},
	{JSStreamReplicasNotSupportedErr, LEAT_PERMANENT, LEAT_CODE_INTERNAL},
	{JSAccountResourcesExceededErr, LEAT_TEMPORARY, LEAT_CODE_INTERNAL},
	{JSMemoryResourcesExceededErr, LEAT_TEMPORARY, LEAT_CODE_INTERNAL},
	{JSMaximumConsumersLimitErr, LEAT_TEMPORARY, LEAT_CODE_INTERNAL},
	{JSMaximumStreamsLimitErr, LEAT_TEMPORARY, LEAT_CODE_INTERNAL},
	{JSClusterNoPeersErr, LEAT_TEMPORARY, LEAT_CODE_INTERNAL},
	{JSStreamMaxStreamBytesExceededErr, LEAT_TEMPORARY, LEAT_CODE_INTERNAL},
};

enum leat_kind bus_fail_api(struct leat_error *err, const json_t *error, const char *what)
{
	int64_t number = bus_json_int(error, "err_code");
	int64_t status = bus_json_int(error, "code");
	enum leat_kind kind = status >= 400 && status < 500 ? LEAT_PERMANENT : LEAT_TEMPORARY;
	enum leat_code code = LEAT_CODE_INTERNAL;
	for (size_t i = 0; i < sizeof api_errors / sizeof *api_errors; i++) {
		if (api_errors[i].number == number) {
			kind = api_errors[i].kind;
			code = api_errors[i].code;
		}
	}
	return leat_fail(err, kind, code, "%s: %s (JetStream error %lld)", what, bus_json_text(error, "description"), (long long)number);
}
