#include "leat/uuid.h"

#include <string.h>
#include <uuid/uuid.h>

bool leat_uuid_parse(struct leat_uuid *out, const char *text, size_t length)
{
	char copy[LEAT_UUID_TEXT_BYTES];
	if (length != sizeof copy - 1)
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return uuid_parse(copy, out->bytes) == 0;
}

void leat_uuid_format(const struct leat_uuid *uuid, char out[LEAT_UUID_TEXT_BYTES])
{
	uuid_unparse_lower(uuid->bytes, out);
}

int leat_uuid_compare(const struct leat_uuid *a, const struct leat_uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

void leat_uuid_from_name(struct leat_uuid *out, const struct leat_uuid *space, const void *name, size_t name_bytes)
{
	uuid_generate_sha1(out->bytes, space->bytes, name, name_bytes);
}

void leat_uuid_random(struct leat_uuid *out)
{
	uuid_generate_random(out->bytes);
}
