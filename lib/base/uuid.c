#include "leat/uuid.h"

#include <ctype.h>
#include <string.h>
#include <uuid/uuid.h>

/* Of a hexadecimal digit: letters stand 9 behind their last four bits, in either case. */
static unsigned value_of(unsigned char digit)
{
	return (digit & 15u) + (digit >> 6) * 9u;
}

/* By hand, for there are two or three in every message, and libuuid's parser takes five times as long. */
bool leat_uuid_parse(struct leat_uuid *out, const char *text, size_t length)
{
	struct leat_uuid parsed;
	if (length != LEAT_UUID_TEXT_BYTES - 1)
		return false;
	for (size_t i = 0; i < sizeof parsed.bytes; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return false;
		unsigned char high = (unsigned char)*text++;
		unsigned char low = (unsigned char)*text++;
		if (isxdigit(high) == 0 || isxdigit(low) == 0)
			return false;
		parsed.bytes[i] = (unsigned char)(value_of(high) << 4 | value_of(low));
	}
	*out = parsed;
	return true;
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
