/* UUIDs (RFC 4122). Plain values; any thread. */
#ifndef LEAT_UUID_H
#define LEAT_UUID_H

#include <stdbool.h>
#include <stddef.h>

struct leat_uuid {
	unsigned char bytes[16];
};

#define LEAT_UUID_TEXT_BYTES 37 /* with the '\0' */

/* Exactly the 36 characters 8-4-4-4-12, either case; anything else is false and leaves *out alone. */
bool leat_uuid_parse(struct leat_uuid *out, const char *text, size_t length);
/* Lower case. */
void leat_uuid_format(const struct leat_uuid *uuid, char out[LEAT_UUID_TEXT_BYTES]);
int leat_uuid_compare(const struct leat_uuid *a, const struct leat_uuid *b);
/* Version 5 (SHA-1 of namespace and name): the id of an entity with a key, design.md section 4. */
void leat_uuid_from_name(struct leat_uuid *out, const struct leat_uuid *space, const void *name, size_t name_bytes);
void leat_uuid_random(struct leat_uuid *out);

#endif
