/*
 * What the tests of dead letters run on: a consumer at work, ENTITIES entities of tenant A of which one is deleted, and a look into
 * LEAT_DEAD.
 */
#ifndef LEAT_TESTS_DEAD_LETTER_FIXTURE_H
#define LEAT_TESTS_DEAD_LETTER_FIXTURE_H

#include "load.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTITIES 100
#define DELETED (ENTITIES - 1) /* this one is deleted */
#define INTENT "leat.intent." RIG_TENANT_A ".service.entity."
#define ID "\"entity_id\":\"eeeeeeee-0000-4000-8000-000000000001\""
#define REPLY_LIMIT_S 60

static struct rig rig;

static inline void setup(void)
{
	rig_open(&rig);
	rig_migrate(&rig);
	load_start_consumer(&rig, "consumer", NULL);
	load_store_entities(&rig, RIG_TENANT_A, ENTITIES);
	char id[37];
	char body[64];
	load_entity(id, DELETED);
	snprintf(body, sizeof body, "{\"entity_id\":\"%s\"}", id);
	rig_intent(&rig, RIG_TENANT_A, "entity.delete", NULL, body);
	load_wait_settled(&rig, ENTITIES + 1, 60);
}

static inline void teardown(void)
{
	rig_close(&rig);
}

/* The dead letter of the message with that sequence, waiting for it. Free it. */
static inline void find_dead(uint64_t origin_seq, struct leat_msg *out)
{
	struct leat_error err;
	rig_sql_wait(&rig, REPLY_LIMIT_S, "t",
		"select exists (select from leat.activity where position = %" PRIu64 ") and not exists (select from leat.outbox)", origin_seq);
	for (uint64_t seq = 1; leat_stream_get_next(rig_bus(&rig), "LEAT_DEAD", "leat.dead.>", &seq, out, &err) == LEAT_OK; seq++) {
		const char *origin = leat_msg_header(out, "Leat-Origin-Seq");
		cr_assert_not_null(origin);
		if (strtoull(origin, NULL, 10) == origin_seq)
			return;
		leat_msg_free(out);
	}
	cr_assert_fail("message %" PRIu64 " has no dead letter: %s", origin_seq, err.text);
}

static inline void expect_header(const struct leat_msg *msg, const char *name, const char *expected)
{
	const char *found = leat_msg_header(msg, name);
	cr_assert(found != NULL && strcmp(found, expected) == 0, "%s: expected %s, found %s", name, expected, found != NULL ? found : "none");
}

static inline void expect_body(const struct leat_msg *msg, const char *expected)
{
	cr_assert(msg->data_bytes == strlen(expected) && memcmp(msg->data, expected, msg->data_bytes) == 0, "expected %s, found %.*s", expected,
		(int)msg->data_bytes, msg->data);
}

static inline void expect_arrives(uint64_t seq, const char *code, const char *body)
{
	struct leat_msg msg;
	find_dead(seq, &msg);
	expect_header(&msg, "Leat-Error-Code", code);
	expect_header(&msg, "Leat-Origin-Stream", "LEAT_ENTITY");
	expect_body(&msg, body);
	leat_msg_free(&msg);
}

#endif
