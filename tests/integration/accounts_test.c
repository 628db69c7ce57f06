/*
 * docker/nats-accounts.conf on a real server: who may publish what, who hears what, and that nobody gets at the streams, not even by the
 * subject that an answer is sent to. That Leat itself works with these logins is in logins_test.c.
 */
#include "logins.h"
#include "wire.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;
static struct leat_bus *admin;

static struct leat_bus *open_bus(const char *user)
{
	struct leat_bus_options options = {.url = rig.nats.url,
		.name = "test",
		.user = user,
		.password = logins_password(user),
		.request_timeout_ms = 10000,
		.retry_first_ms = 20,
		.retry_limit_ms = 200};
	struct leat_bus *bus = NULL;
	struct leat_error err;
	cr_assert_eq(leat_bus_open(&bus, &options, &err), LEAT_OK, "%s", err.text);
	return bus;
}

static void setup(void)
{
	rig_open(&rig);
	logins_start(&rig);
	logins_be("leat-admin");
	rig_migrate(&rig);
	admin = open_bus("leat-admin");
}

static void teardown(void)
{
	leat_bus_close(admin);
	rig_close(&rig);
}

TestSuite(accounts, .init = setup, .fini = teardown);

static struct wire be(const char *user)
{
	struct wire wire;
	cr_assert(wire_open(&wire, rig.nats.port, user, logins_password(user)), "%s", user);
	return wire;
}

static void expect_messages(const char *stream, uint64_t expected)
{
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(admin, stream, &state, &err), LEAT_OK, "%s", err.text);
	cr_expect_eq(state.messages, expected, "%s holds %d messages, not %d", stream, (int)state.messages, (int)expected);
}

/* ---- publishing ---- */

#define MERGE(tenant, role) "leat.intent." tenant "." role ".entity.merge"

/* Subjects that nobody but Leat's own account may do anything with. */
static const char *const forbidden_to_tenants[] = {
	MERGE(SHOP, "engine"),
	MERGE(CLUB, "engine"),
	MERGE("*", "service"),
	"leat.redrive." SHOP ".service.entity.merge",
	"leat.event." SHOP ".entity.1",
	"leat.event." CLUB ".entity.1",
	"leat.dead." SHOP ".entity.merge",
	"leat.dead.unroutable",
	"leat.reply." SHOP ".1",
	"leat.reply." CLUB ".1",
	"_INBOX_consumer.1",
	"$JS.API.STREAM.CREATE.LEAT_OTHER",
	"$JS.API.STREAM.UPDATE.LEAT_ENTITY",
	"$JS.API.STREAM.INFO.LEAT_ENTITY",
	"$JS.API.STREAM.DELETE.LEAT_ENTITY",
	"$JS.API.STREAM.PURGE.LEAT_ENTITY",
	"$JS.API.STREAM.SNAPSHOT.LEAT_ENTITY",
	"$JS.API.STREAM.MSG.GET.LEAT_ENTITY",
	"$JS.API.STREAM.MSG.DELETE.LEAT_ENTITY",
	"$JS.API.CONSUMER.CREATE.LEAT_ENTITY",
	"$JS.API.CONSUMER.CREATE.LEAT_EVENTS.mine.leat.event." SHOP ".>",
	"$JS.API.CONSUMER.DURABLE.CREATE.LEAT_ENTITY.mine",
	"$JS.API.CONSUMER.INFO.LEAT_ENTITY.leat-entity",
	"$JS.API.CONSUMER.NAMES.LEAT_ENTITY",
	"$JS.API.CONSUMER.DELETE.LEAT_ENTITY.leat-entity",
	"$JS.ACK.LEAT_ENTITY.leat-entity.1.1.1.1.1",
	"$SYS.REQ.SERVER.PING",
};

#define FORBIDDEN (sizeof forbidden_to_tenants / sizeof *forbidden_to_tenants)

/* Neither stored nor done. */
static void expect_no_effect(struct wire *wire, const char *user, const char *prefix, const char *subject)
{
	enum wire_answer answer = wire_ask(wire, prefix, subject, "{}");
	cr_expect(answer != WIRE_STORED && answer != WIRE_ANSWER, "%s: %s had an effect", user, subject);
}

Test(accounts, a_producer_publishes_for_its_tenant_and_role_and_nothing_else)
{
	static const struct {
		const char *user;
		const char *own; /* NULL: none */
	} producers[] = {
		{"shop-service", MERGE(SHOP, "service")},
		{"shop-user", MERGE(SHOP, "user")},
		{"shop-events", NULL},
		{"club-service", MERGE(CLUB, "service")},
		{"club-user", MERGE(CLUB, "user")},
		{"club-events", NULL},
	};
	uint64_t stored = 0;
	for (size_t i = 0; i < sizeof producers / sizeof *producers; i++) {
		struct wire wire = be(producers[i].user);
		for (size_t k = 0; k < sizeof producers / sizeof *producers; k++) {
			const char *subject = producers[k].own;
			if (subject != NULL && i == k)
				cr_expect_eq(wire_ask(&wire, "_INBOX", subject, "{}"), WIRE_STORED, "%s: %s", producers[i].user, subject);
			else if (subject != NULL)
				expect_no_effect(&wire, producers[i].user, "_INBOX", subject);
		}
		for (size_t k = 0; k < FORBIDDEN && i < 3; k++) /* the server takes its time to refuse: one tenant is enough */
			expect_no_effect(&wire, producers[i].user, "_INBOX", forbidden_to_tenants[k]);
		stored += producers[i].own != NULL;
		expect_messages("LEAT_ENTITY", stored);
		wire_close(&wire);
	}
	expect_messages("LEAT_EVENTS", 0);
	expect_messages("LEAT_DEAD", 0);
}

Test(accounts, a_producer_pulls_nothing)
{
	static const char *const users[] = {"shop-service", "shop-user", "shop-events"};
	struct wire leat = be("leat-admin");
	cr_assert_eq(wire_ask(&leat, "_INBOX", MERGE(SHOP, "service"), "{}"), WIRE_STORED);
	cr_assert_eq(wire_ask(&leat, "_INBOX", "$JS.API.CONSUMER.DURABLE.CREATE.LEAT_ENTITY.leat-entity",
					 "{\"stream_name\":\"LEAT_ENTITY\",\"config\":{\"durable_name\":\"leat-entity\",\"ack_policy\":\"explicit\"}}"),
		WIRE_ANSWER);
	for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
		struct wire wire = be(users[i]);
		wire_subscribe(&wire, "_INBOX.mine");
		wire_publish(&wire, "$JS.API.CONSUMER.MSG.NEXT.LEAT_ENTITY.leat-entity", "_INBOX.mine", "{\"batch\":1}");
		char *text = wire_settle(&wire);
		cr_expect_null(strstr(text, "MSG"), "%s: %s", users[i], text);
		free(text);
		wire_close(&wire);
	}
	struct leat_pull_info info;
	struct leat_error err;
	cr_assert_eq(leat_durable_get_info(admin, "LEAT_ENTITY", "leat-entity", &info, &err), LEAT_OK, "%s", err.text);
	cr_expect(info.pending == 1 && info.ack_pending == 0 && info.waiting == 0);

	wire_subscribe(&leat, "_INBOX.mine"); /* and what the same request does where it is allowed */
	wire_publish(&leat, "$JS.API.CONSUMER.MSG.NEXT.LEAT_ENTITY.leat-entity", "_INBOX.mine", "{\"batch\":1}");
	free(wire_wait(&leat, "MSG " MERGE(SHOP, "service")));
	wire_close(&leat);
}

Test(accounts, the_consumer_speaks_for_leat_and_touches_no_streams_and_publishes_no_intents_but_leats_own)
{
	static const char *const refused[] = {MERGE(SHOP, "service"), MERGE(SHOP, "user"), "leat.intent." SHOP ".engine.entity.delete",
		"leat.intent." SHOP ".engine.interaction.answer", "leat.intent." SHOP ".engine.run.start", "leat.query." SHOP ".user.entity.get",
		"leat.redrive." SHOP ".service.entity.merge", "$JS.API.STREAM.CREATE.LEAT_OTHER", "$JS.API.STREAM.UPDATE.LEAT_ENTITY",
		"$JS.API.STREAM.DELETE.LEAT_ENTITY", "$JS.API.STREAM.PURGE.LEAT_ENTITY", "$JS.API.STREAM.MSG.DELETE.LEAT_ENTITY",
		"$JS.API.CONSUMER.CREATE.LEAT_ENTITY", "_INBOX.1"};
	struct wire wire = be("leat-consumer");
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		cr_expect_eq(wire_ask(&wire, "_INBOX_consumer", refused[i], "{}"), WIRE_REFUSED, "%s", refused[i]);
	cr_expect_eq(wire_ask(&wire, "_INBOX_consumer", "leat.event." SHOP ".entity.1", "{}"), WIRE_STORED);
	cr_expect_eq(wire_ask(&wire, "_INBOX_consumer", "leat.dead." SHOP ".entity.merge", "{}"), WIRE_STORED);
	static const char *const own[] = {"interaction.expire", "interaction.ask", "run.node", "run.resume", "entity.merge"};
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		char subject[128];
		snprintf(subject, sizeof subject, "leat.intent." SHOP ".engine.%s", own[i]);
		cr_expect_eq(wire_ask(&wire, "_INBOX_consumer", subject, "{}"), WIRE_STORED, "%s", subject);
	}
	cr_expect_eq(wire_ask(&wire, "_INBOX_consumer", "$JS.API.STREAM.INFO.LEAT_ENTITY", ""), WIRE_ANSWER);
	wire_close(&wire);
	expect_messages("LEAT_ENTITY", 1);
}

Test(accounts, a_wrong_password_and_no_password_are_refused)
{
	struct wire wire;
	cr_expect_not(wire_open(&wire, rig.nats.port, "shop-service", logins_password("club-service")));
	wire_close(&wire);
	cr_expect_not(wire_open(&wire, rig.nats.port, "leat-admin", ""));
	wire_close(&wire);
	cr_expect_not(wire_open(&wire, rig.nats.port, "", ""));
	wire_close(&wire);
}

/* ---- the way round: a publisher chooses where JetStream's answer goes, and the server checks no permission there ---- */

static void publish_with_reply(struct wire *wire, const char *prefix, const char *reply)
{
	wire_publish(wire, MERGE(SHOP, "service"), reply, "{}");
	/* A stream sends its answers in order: once this one is here, that one is where it went. */
	cr_assert_eq(wire_ask(wire, prefix, MERGE(SHOP, "service"), "{}"), WIRE_STORED);
}

Test(accounts, an_answer_sent_to_a_subject_of_leat_ends_in_the_producers_own_account)
{
	struct wire consumer = be("leat-consumer");
	cr_assert_eq(wire_ask(&consumer, "_INBOX_consumer", "leat.dead.unroutable", "{}"), WIRE_STORED);
	wire_close(&consumer);

	struct wire wire = be("shop-service");
	uint64_t stored = 0;
	static const char *const own[] = {
		MERGE(SHOP, "user"), MERGE(CLUB, "service"), "$JS.API.STREAM.PURGE.LEAT_DEAD", "$JS.API.STREAM.MSG.DELETE.LEAT_DEAD"};
	for (size_t i = 0; i < FORBIDDEN + sizeof own / sizeof *own; i++) {
		const char *reply = i < FORBIDDEN ? forbidden_to_tenants[i] : own[i - FORBIDDEN];
		if (strncmp(reply, "$JS.ACK.", 8) == 0)
			continue; /* the server itself refuses it as a reply */
		if (strpbrk(reply, "*>") != NULL)
			continue; /* 2.9.10 ends with a stack overflow, 2.9.15 does not (pull request 3862 of nats-server) */
		publish_with_reply(&wire, "_INBOX", reply);
		stored += 2;
	}
	wire_close(&wire);
	expect_messages("LEAT_ENTITY", stored);
	expect_messages("LEAT_DEAD", 1);
	expect_messages("LEAT_EVENTS", 0);
}

/* Why producers need accounts of their own. When a server comes that closes this, the head of docker/nats-accounts.conf is to be changed.
 */
Test(accounts, within_leats_own_account_such_an_answer_would_purge_a_stream)
{
	struct wire wire = be("leat-admin");
	cr_assert_eq(wire_ask(&wire, "_INBOX", "leat.dead.unroutable", "{}"), WIRE_STORED);
	publish_with_reply(&wire, "_INBOX", "$JS.API.STREAM.PURGE.LEAT_DEAD");
	free(wire_settle(&wire));
	wire_close(&wire);
	expect_messages("LEAT_DEAD", 0);
}

/* ---- listening ---- */

static const char *const spoken[] = {MERGE(SHOP, "service"), MERGE(SHOP, "user"), MERGE(CLUB, "service"), MERGE(CLUB, "user"),
	"leat.reply." SHOP ".1", "leat.reply." CLUB ".1", "leat.event." SHOP ".entity.1", "leat.event." CLUB ".entity.1",
	"leat.dead." SHOP ".entity.merge", "leat.query." SHOP ".user.entity.get", "_INBOX.1", "_INBOX_consumer.1"};

#define SPOKEN (sizeof spoken / sizeof *spoken)

Test(accounts, each_hears_what_is_for_it_and_nothing_else)
{
	static const struct {
		const char *user;
		const char *heard; /* NULL: nothing */
		const char *only;  /* what it subscribes to; NULL: all that it may want */
	} listeners[] = {
		{"shop-service", "leat.reply." SHOP ".1", NULL},
		{"shop-user", "leat.reply." SHOP ".1", NULL},
		{"shop-events", "leat.event." SHOP ".entity.1", NULL},
		{"club-service", "leat.reply." CLUB ".1", NULL},
		{"club-user", "leat.reply." CLUB ".1", NULL},
		{"club-events", "leat.event." CLUB ".entity.1", NULL},
		{"leat-consumer", "_INBOX_consumer.1", NULL},
		{"leat-consumer", "leat.query." SHOP ".user.entity.get", "leat.query.>"},
	};
	enum { LISTENERS = sizeof listeners / sizeof *listeners };
	struct wire wires[LISTENERS];
	for (size_t i = 0; i < LISTENERS; i++) {
		wires[i] = be(listeners[i].user);
		static const char *const wanted[] = {">", "leat.>", "leat.reply.>", "leat.event.*.>", "leat.intent.>", "_INBOX.>", "_INBOX.*",
			"_INBOX_consumer.>", "$JS.>", "$SYS.>"};
		for (size_t k = 0; k < (listeners[i].only == NULL ? sizeof wanted / sizeof *wanted : 0); k++)
			wire_subscribe(&wires[i], wanted[k]);
		if (listeners[i].only != NULL)
			wire_subscribe(&wires[i], listeners[i].only);
		free(wire_settle(&wires[i]));
	}
	struct wire speaker = be("leat-admin");
	for (size_t k = 0; k < SPOKEN; k++)
		wire_publish(&speaker, spoken[k], NULL, "spoken");
	free(wire_settle(&speaker));
	wire_close(&speaker);

	struct wire producer = be("shop-service"); /* its PubAck is for it alone */
	cr_assert_eq(wire_ask(&producer, "_INBOX", MERGE(SHOP, "service"), "{}"), WIRE_STORED);
	wire_close(&producer);

	for (size_t i = 0; i < LISTENERS; i++) {
		char *text = wire_settle(&wires[i]);
		for (size_t k = 0; k < SPOKEN; k++) {
			char line[128];
			snprintf(line, sizeof line, "MSG %s 1 6\r\nspoken", spoken[k]);
			bool expected = listeners[i].heard != NULL && strcmp(spoken[k], listeners[i].heard) == 0;
			cr_expect_eq(strstr(text, line) != NULL, expected, "%s and %s: %s", listeners[i].user, spoken[k], text);
		}
		bool own_account = strcmp(listeners[i].user, "shop-service") == 0;
		cr_expect_eq(strstr(text, "\"seq\":") != NULL, own_account, "%s: %s", listeners[i].user, text);
		free(text);
		wire_close(&wires[i]);
	}
}

/* ---- a gateway for events ---- */

static bool has_two(void *bus)
{
	struct leat_stream_state state;
	struct leat_error err;
	cr_assert_eq(leat_stream_get_state(bus, "EVENTS", &state, &err), LEAT_OK, "%s", err.text);
	return state.messages == 2;
}

Test(accounts, a_gateway_reads_its_tenants_events_from_a_sequence_on_from_a_stream_of_its_own)
{
	struct wire gateway = be("shop-events");
	cr_assert_eq(wire_ask(&gateway, "_INBOX", "$JS.API.STREAM.CREATE.EVENTS",
					 "{\"name\":\"EVENTS\",\"subjects\":[\"leat.event.>\"],\"storage\":\"file\",\"max_age\":3600000000000}"),
		WIRE_ANSWER);
	struct wire consumer = be("leat-consumer");
	cr_assert_eq(wire_ask(&consumer, "_INBOX_consumer", "leat.event." SHOP ".entity.1", "{\"first\":1}"), WIRE_STORED);
	cr_assert_eq(wire_ask(&consumer, "_INBOX_consumer", "leat.event." CLUB ".entity.1", "{\"not for the shop\":1}"), WIRE_STORED);
	cr_assert_eq(wire_ask(&consumer, "_INBOX_consumer", "leat.event." SHOP ".entity.1", "{\"second\":1}"), WIRE_STORED);
	wire_close(&consumer);

	struct leat_bus *bus = open_bus("shop-events");
	cr_assert(rig_wait_until(has_two, bus, 10));
	struct leat_msg msg;
	struct leat_error err;
	uint64_t seq = 2;
	cr_assert_eq(leat_stream_get_next(bus, "EVENTS", ">", &seq, &msg, &err), LEAT_OK, "%s", err.text);
	cr_expect(seq == 2 && msg.data_bytes == strlen("{\"second\":1}") && memcmp(msg.data, "{\"second\":1}", msg.data_bytes) == 0);
	leat_msg_free(&msg);
	cr_expect_eq(leat_stream_get_next(bus, "LEAT_EVENTS", ">", &seq, &msg, &err), LEAT_PERMANENT, "LEAT_EVENTS itself is Leat's");
	leat_bus_close(bus);
	wire_close(&gateway);
}
