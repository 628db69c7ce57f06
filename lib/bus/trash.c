/*
 * Messages of the library's that are done with. It gives each that is destroyed to a thread of its own and wakes that one when it has
 * nothing to do, which costs more than the rest of a message; so they are kept until there are some, and go together.
 */
#include "internal.h"

#define BYTES_LIMIT 262144

void bus_trash_add(struct bus_trash *trash, natsMsg *message)
{
	trash->messages[trash->count++] = message;
	trash->bytes += (size_t)natsMsg_GetDataLength(message);
	if (trash->count == BUS_TRASH || trash->bytes >= BYTES_LIMIT)
		bus_trash_empty(trash);
}

void bus_trash_empty(struct bus_trash *trash)
{
	for (size_t i = 0; i < trash->count; i++)
		natsMsg_Destroy(trash->messages[i]);
	trash->count = 0;
	trash->bytes = 0;
}
