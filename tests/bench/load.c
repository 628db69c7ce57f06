/* What is published: entities of eight fields, and merges that write two of them. */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT_ONCE 5000
#define SEED UINT64_C(20240229) /* the same load in every run */
#define ROOT_STEPS 200
#define USERS_PER_TENANT 5

/* ---- which entity ---- */

static uint64_t next_random(struct draw *draw)
{
	uint64_t z = draw->state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The tenth root, by Newton's method. */
static double tenth_root(double x)
{
	double y = x;
	for (int step = 0; step < ROOT_STEPS; step++) {
		double y3 = y * y * y;
		y = (9 * y + x / (y3 * y3 * y3)) / 10;
	}
	return y;
}

void draw_init(struct draw *draw, bool zipf)
{
	*draw = (struct draw){.state = SEED};
	if (!zipf)
		return;
	double sum = 0;
	draw->cumulative = leat_alloc(BENCH_ENTITIES * sizeof *draw->cumulative);
	for (size_t rank = 0; rank < BENCH_ENTITIES; rank++) {
		double k = (double)(rank + 1);
		sum += 1 / (k * tenth_root(k)); /* k to the power of -1.1 */
		draw->cumulative[rank] = sum;
	}
}

void draw_fini(struct draw *draw)
{
	free(draw->cumulative);
	*draw = (struct draw){0};
}

size_t draw_entity(struct draw *draw)
{
	if (draw->cumulative == NULL)
		return next_random(draw) % BENCH_ENTITIES;
	double at = (double)(next_random(draw) >> 11) * 0x1p-53 * draw->cumulative[BENCH_ENTITIES - 1];
	size_t low = 0;
	size_t high = BENCH_ENTITIES - 1;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (draw->cumulative[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- messages ---- */

struct message {
	char subject[96];
	char headers[128];
	char body[512];
};

void load_tenant_id(char out[37], size_t entity)
{
	snprintf(out, 37, "11111111-0000-4000-8000-%012zu", entity % BENCH_TENANTS);
}

void load_entity_id(char out[37], size_t entity)
{
	snprintf(out, 37, "22222222-0000-4000-8000-%012zu", entity % BENCH_ENTITIES);
}

static void address(struct message *message, size_t entity, const char *role, const char *verb, char id[37])
{
	char tenant[37];
	load_tenant_id(tenant, entity);
	load_entity_id(id, entity);
	snprintf(message->subject, sizeof message->subject, "leat.intent.%s.%s.entity.%s", tenant, role, verb);
}

static void store(struct stage *stage, struct leat_outgoing *outgoing, size_t count)
{
	if (leat_bus_store(stage->bus, outgoing, count) == LEAT_OK)
		return;
	for (size_t i = 0; i < count; i++)
		bench_must(outgoing[i].kind, &outgoing[i].err);
}

/* Stores `count` messages that `write` fills in. */
static void store_all(
	struct stage *stage, struct draw *draw, size_t count, void (*write)(struct message *message, struct draw *draw, size_t number))
{
	struct message *messages = leat_alloc(AT_ONCE * sizeof *messages);
	struct leat_outgoing *outgoing = leat_alloc(AT_ONCE * sizeof *outgoing);
	for (size_t from = 0; from < count; from += AT_ONCE) {
		size_t slice = count - from < AT_ONCE ? count - from : AT_ONCE;
		for (size_t i = 0; i < slice; i++) {
			write(&messages[i], draw, from + i);
			outgoing[i] = (struct leat_outgoing){.subject = messages[i].subject,
				.headers = messages[i].headers,
				.data = messages[i].body,
				.data_bytes = strlen(messages[i].body)};
		}
		store(stage, outgoing, slice);
	}
	free(messages);
	free(outgoing);
}

static int write_merge(struct message *message, size_t entity, const char *role, size_t number)
{
	static uint64_t run; /* so that a second load does not repeat the Leat-Ids of the first */
	if (number == 0)
		run++;
	char id[37];
	address(message, entity, role, "merge", id);
	snprintf(message->body, sizeof message->body, "{\"entity_id\":\"%s\",\"content\":{\"status\":\"step %zu\",\"progress\":%zu}}", id,
		number % 100, number);
	return snprintf(message->headers, sizeof message->headers, "Leat-Id: bench-%" PRIu64 "-%zu\r\n", run, number);
}

static void write_service_merge(struct message *message, struct draw *draw, size_t number)
{
	write_merge(message, draw_entity(draw), "service", number);
}

static void write_user_merge(struct message *message, struct draw *draw, size_t number)
{
	size_t entity = draw_entity(draw);
	int length = write_merge(message, entity, "user", number);
	snprintf(message->headers + length, sizeof message->headers - (size_t)length, "Leat-Actor: 33333333-0000-4000-8000-%012zu\r\n",
		entity % BENCH_TENANTS * USERS_PER_TENANT + number % USERS_PER_TENANT);
}

void load_store_merges(struct stage *stage, struct draw *draw, size_t count, enum load_role role)
{
	store_all(stage, draw, count, role == LOAD_USERS ? write_user_merge : write_service_merge);
}

static void write_entity(struct message *message, struct draw *draw, size_t number)
{
	(void)draw;
	char id[37];
	address(message, number, "service", "upsert", id);
	message->headers[0] = '\0';
	snprintf(message->body, sizeof message->body,
		"{\"entity_id\":\"%s\",\"entity_type\":\"order\",\"content\":{\"title\":\"Order %zu\",\"status\":\"new\",\"progress\":0,\"sent\":0,"
		"\"customer\":\"Customer %zu\",\"lines\":[1,2,3],\"total\":%zu.50,\"note\":\"none\"}}",
		id, number, number, number);
}

void load_store_entities(struct stage *stage)
{
	store_all(stage, NULL, BENCH_ENTITIES, write_entity);
}

void load_send_stamped(struct stage *stage, struct draw *draw, size_t number)
{
	struct message message = {0};
	struct timespec now;
	struct leat_error err;
	char id[37];
	address(&message, draw_entity(draw), "service", "merge", id);
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	snprintf(message.headers, sizeof message.headers, "Leat-Id: %" PRId64 "-%zu\r\n", us, number);
	snprintf(message.body, sizeof message.body, "{\"entity_id\":\"%s\",\"content\":{\"status\":\"step\",\"sent\":%" PRId64 "}}", id, us);
	bench_must(leat_bus_publish(stage->bus, message.subject, message.headers, message.body, strlen(message.body), &err), &err);
}
