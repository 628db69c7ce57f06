/*
 * Where a message stands in its stream, read from the subject that settles it:
 *
 *   $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<timestamp ns>.<pending>
 *   $JS.ACK.<domain>.<account hash>.<stream>.<consumer>.<delivered>.….<pending>.<more, ignored>
 *
 * natsMsg_GetMetaData reads the same, at the price of an allocation a message.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define TOKENS 12
#define SHORT_FORM 9

bool bus_delivery_read(struct leat_msg *msg)
{
	if (strncmp(msg->reply, "$JS.ACK.", strlen("$JS.ACK.")) != 0)
		return false;
	const char *tokens[TOKENS];
	size_t count = 0;
	for (const char *token = msg->reply; token != NULL && count < TOKENS; count++) {
		tokens[count] = token;
		token = strchr(token, '.');
		token = token != NULL ? token + 1 : NULL;
	}
	if (count < SHORT_FORM || count == SHORT_FORM + 1)
		return false;
	const char *const *numbers = tokens + (count == SHORT_FORM ? 4 : 6);
	msg->delivered = strtoull(numbers[0], NULL, 10);
	msg->seq = strtoull(numbers[1], NULL, 10);
	msg->nth = strtoull(numbers[2], NULL, 10);
	msg->timestamp_ns = strtoll(numbers[3], NULL, 10);
	msg->pending = strtoull(numbers[4], NULL, 10);
	return msg->seq > 0;
}
