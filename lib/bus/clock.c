/*
 * The server's clock. No request asks for it in nats-server 2.9; but what it makes is dated. So this makes a durable and deletes it, which
 * a consumer's login may do. One that could not be deleted goes by itself after GONE_AFTER_NS.
 */
#include "internal.h"

#define GONE_AFTER_NS INT64_C(10000000000)

enum leat_kind leat_bus_get_clock(struct leat_bus *bus, const char *stream, int64_t *unix_ns, struct leat_error *err)
{
	struct leat_uuid id;
	char durable[LEAT_UUID_TEXT_BYTES];
	leat_uuid_random(&id);
	leat_uuid_format(&id, durable);
	json_auto_t *info = NULL;
	json_t *config = json_pack("{s:s, s:s, s:s, s:I}", "durable_name", durable, "deliver_policy", "new", "ack_policy", "explicit",
		"inactive_threshold", (json_int_t)GONE_AFTER_NS);
	json_t *request = json_pack("{s:s, s:o}", "stream_name", stream, "config", config);
	if (bus_api(bus, &info, request, err, "CONSUMER.DURABLE.CREATE.%s.%s", stream, durable) != LEAT_OK)
		return leat_fail_while(err, "making a durable, to learn the server's time");
	*unix_ns = bus_json_time_ns(info, "created");
	return leat_durable_delete(bus, stream, durable, err);
}
