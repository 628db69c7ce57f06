/* What a locker publishes, and what it must hear. The first thing that is wrong ends it, and is in `failure`. */
#include "locker.h"

#include "leat/buf.h"
#include "leat/clock.h"
#include "load.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS 6 /* the last two are nobody's */
#define REPLIES "leat.reply." RIG_TENANT_A ".locker"
#define PATIENCE_MS 40000

static const char *const fields[FIELDS] = {"a", "b", "c", "d", "x", "y"};

const char *locker_field(size_t number)
{
	return fields[number];
}

static void fail(struct locker *locker, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct locker *locker, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(locker->failure, sizeof locker->failure, format, args);
	va_end(args);
}

/* ---- an intent ---- */

static struct told *begin(struct locker *locker, enum leat_fold_verb verb)
{
	struct told *told = &locker->intents[locker->count];
	*told = (struct told){0};
	told->fold.verb = verb;
	told->fold.targets = told->targets;
	cr_assert(leat_uuid_parse(&told->fold.tenant, RIG_TENANT_A, strlen(RIG_TENANT_A)));
	for (enum leat_fold_part part = 0; part < LEAT_FOLD_PARTS; part++)
		told->fold.parts[part].writes = told->writes[part];
	if (verb == LEAT_FOLD_UPSERT) {
		snprintf(told->type, sizeof told->type, "t");
		told->fold.entity_type = told->type;
	}
	told->message = (struct message){.verb = leat_fold_verb_name(verb), .body = told->body};
	told->message.role = chance_percent(&locker->chance, 40) ? "user" : "service";
	return told;
}

static void add_target(struct told *told, size_t entity)
{
	char id[37];
	load_entity(id, entity);
	cr_assert(leat_uuid_parse(&told->targets[told->fold.target_count++], id, 36));
}

/* Writes, removes, locks or unlocks it, as the verb has it. No two values are the same. */
static void add_field(struct locker *locker, struct told *told, const char *field)
{
	enum leat_fold_verb verb = told->fold.verb;
	bool is_lock = verb == LEAT_FOLD_LOCK || verb == LEAT_FOLD_UNLOCK;
	enum leat_fold_part part = is_lock ? LEAT_FOLD_LOCKS : LEAT_FOLD_CONTENT;
	size_t at = told->fold.parts[part].count++;
	char *value = told->values[part][at];
	if (verb == LEAT_FOLD_LOCK)
		snprintf(value, sizeof told->values[part][at], "true");
	else
		snprintf(value, sizeof told->values[part][at], "%zu", locker->count * LOCKERS + locker->number);
	told->writes[part][at] = (struct leat_fold_write){field, verb == LEAT_FOLD_UNLOCK || verb == LEAT_FOLD_UNSET ? NULL : value};
}

static void write_body(struct told *told)
{
	LEAT_BUF_SCOPED body = LEAT_BUF_INIT;
	enum leat_fold_verb verb = told->fold.verb;
	bool is_lock = verb == LEAT_FOLD_LOCK || verb == LEAT_FOLD_UNLOCK;
	bool only_names = is_lock || verb == LEAT_FOLD_UNSET;
	enum leat_fold_part part = is_lock ? LEAT_FOLD_LOCKS : LEAT_FOLD_CONTENT;
	leat_buf_add_text(&body, verb == LEAT_FOLD_BULK ? "{\"entity_ids\":[" : "{\"entity_id\":");
	for (size_t i = 0; i < told->fold.target_count; i++) {
		char id[LEAT_UUID_TEXT_BYTES];
		leat_uuid_format(&told->targets[i], id);
		leat_buf_printf(&body, "%s\"%s\"", i > 0 ? "," : "", id);
	}
	leat_buf_add_text(&body, verb == LEAT_FOLD_BULK ? "]" : "");
	leat_buf_add_text(&body, verb == LEAT_FOLD_UPSERT ? ",\"entity_type\":\"t\"" : "");
	if (verb != LEAT_FOLD_DELETE)
		leat_buf_printf(&body, ",\"%s\":%c", is_lock ? "fields" : "content", only_names ? '[' : '{');
	for (size_t i = 0; i < told->fold.parts[part].count; i++) {
		const struct leat_fold_write *write = &told->writes[part][i];
		leat_buf_printf(&body, "%s\"%s\"%s%s", i > 0 ? "," : "", write->name, only_names ? "" : ":", only_names ? "" : write->value);
	}
	if (verb != LEAT_FOLD_DELETE)
		leat_buf_add_text(&body, only_names ? "]" : "}");
	leat_buf_add_text(&body, told->respects_locks ? ",\"respect_locks\":true}" : "}");
	cr_assert_lt(body.len, sizeof told->body);
	memcpy(told->body, body.data, body.len + 1);
}

/* ---- asking and hearing ---- */

static bool store(struct locker *locker, struct told *told, const char *headers)
{
	char subject[160];
	snprintf(subject, sizeof subject, "leat.intent." RIG_TENANT_A ".%s.entity.%s", told->message.role, told->message.verb);
	struct leat_outgoing message = {.subject = subject, .headers = headers, .data = told->body, .data_bytes = strlen(told->body)};
	if (leat_bus_store(locker->bus, &message, 1) != LEAT_OK) {
		fail(locker, "storing %s: %s", told->body, message.err.text);
		return false;
	}
	told->fold.position = told->message.seq = (int64_t)message.seq;
	locker->count++;
	return true;
}

static void tell(struct locker *locker, struct told *told)
{
	write_body(told);
	store(locker, told, NULL);
}

/* What is heard of other intents came again, since a consumer was killed after it had replied. NULL: failed. */
static json_t *hear(struct locker *locker, const char *subject)
{
	for (int64_t deadline = leat_clock_ms() + PATIENCE_MS; leat_clock_ms() < deadline;) {
		struct leat_msg msg;
		struct leat_error err;
		if (leat_inbox_next(locker->inbox, 1000, &msg, &err) != LEAT_OK)
			continue;
		json_t *outcome = strcmp(msg.subject, subject) == 0 ? json_loadb(msg.data, msg.data_bytes, 0, NULL) : NULL;
		leat_msg_free(&msg);
		if (outcome != NULL)
			return outcome;
	}
	fail(locker, "no outcome on %s", subject);
	return NULL;
}

/* Publishes and waits for the outcome, which must be `applied`. NULL: failed. */
static json_t *ask(struct locker *locker, struct told *told)
{
	char subject[120];
	char headers[160];
	snprintf(subject, sizeof subject, REPLIES ".%zu.%zu", locker->number, locker->count);
	snprintf(headers, sizeof headers, "Leat-Reply-To: %s\r\n", subject);
	write_body(told);
	json_t *outcome = store(locker, told, headers) ? hear(locker, subject) : NULL;
	const char *status = json_string_value(json_object_get(outcome, "status"));
	if (outcome != NULL && (status == NULL || strcmp(status, "applied") != 0)) {
		fail(locker, "%s at %" PRId64 ": %s", told->body, told->fold.position, status != NULL ? status : "no status");
		json_decref(outcome);
		outcome = NULL;
	}
	return outcome;
}

static int64_t value_of(const json_t *outcome, const char *field)
{
	const json_t *value = json_object_get(json_object_get(json_object_get(outcome, "result"), "content"), field);
	return value != NULL ? json_integer_value(value) : -1;
}

/* Of a merge; of a bulk, in that entity. */
static bool has_skipped(const json_t *outcome, const struct told *told, size_t entity, const char *field)
{
	const json_t *skipped = json_object_get(json_object_get(outcome, "result"), "skipped_fields");
	char id[37];
	load_entity(id, entity);
	if (told->fold.verb == LEAT_FOLD_BULK)
		skipped = json_object_get(skipped, id);
	for (size_t i = 0; i < json_array_size(skipped); i++)
		if (strcmp(json_string_value(json_array_get(skipped, i)), field) == 0)
			return true;
	return false;
}

/* ---- writing what others own ---- */

static void look(struct locker *locker, struct lock_known out[KEPT][LOCKERS])
{
	pthread_mutex_lock(&locker->table->mutex);
	memcpy(out, locker->table->known, sizeof locker->table->known);
	pthread_mutex_unlock(&locker->table->mutex);
}

static void judge(struct locker *locker, const struct told *told, const json_t *outcome, size_t entity, size_t owner,
	const struct lock_known *before, const struct lock_known *after)
{
	const char *field = fields[owner];
	if (!before->locked || before->changes != after->changes)
		return;
	locker->judged++;
	if (!has_skipped(outcome, told, entity, field))
		fail(locker, "%s of entity %zu was known to be locked, and was not skipped by %s at %" PRId64, field, entity, told->body,
			told->fold.position);
	else if (told->fold.verb != LEAT_FOLD_BULK && value_of(outcome, field) != before->value)
		fail(locker, "%s of entity %zu was locked as %" PRId64 ", and is %" PRId64 " after %s at %" PRId64, field, entity, before->value,
			value_of(outcome, field), told->body, told->fold.position);
}

/* Some fields of one kept entity, or by a bulk of all, and perhaps of one that may not be there. */
static void write_respectfully(struct locker *locker)
{
	struct lock_known before[KEPT][LOCKERS];
	struct lock_known after[KEPT][LOCKERS];
	bool is_bulk = chance_percent(&locker->chance, 25);
	struct told *told = begin(locker, is_bulk ? LEAT_FOLD_BULK : LEAT_FOLD_MERGE);
	size_t first = chance_of(&locker->chance, FIELDS);
	size_t count = 1 + chance_of(&locker->chance, STORY_FIELDS);
	size_t only = chance_of(&locker->chance, KEPT);
	told->respects_locks = true;
	for (size_t i = 0; i < count; i++)
		add_field(locker, told, fields[(first + i) % FIELDS]);
	for (size_t entity = is_bulk ? 0 : only; entity < (is_bulk ? KEPT : only + 1); entity++)
		add_target(told, entity);
	if (is_bulk && chance_percent(&locker->chance, 30))
		add_target(told, KEPT);
	if (chance_percent(&locker->chance, 30)) {
		tell(locker, told);
		return;
	}

	look(locker, before);
	json_t *outcome = ask(locker, told);
	look(locker, after);
	for (size_t entity = 0; outcome != NULL && entity < KEPT; entity++)
		for (size_t i = 0; i < count && (is_bulk || entity == only); i++) {
			size_t owner = (first + i) % FIELDS;
			if (owner < LOCKERS)
				judge(locker, told, outcome, entity, owner, &before[entity][owner], &after[entity][owner]);
		}
	json_decref(outcome);
}

/* ---- what it owns ---- */

static void note(struct locker *locker, struct lock_known *known, bool locked, int64_t value)
{
	pthread_mutex_lock(&locker->table->mutex);
	*known = (struct lock_known){locked, known->changes + 1, value};
	pthread_mutex_unlock(&locker->table->mutex);
}

/* Again, perhaps. */
static void lock(struct locker *locker, struct told *told, struct lock_known *known, const char *field)
{
	json_t *outcome = ask(locker, told);
	if (outcome == NULL)
		return;
	if (!known->locked)
		note(locker, known, true, value_of(outcome, field));
	else if (value_of(outcome, field) != known->value)
		fail(locker, "%s was locked as %" PRId64 ", and is %" PRId64 " at %" PRId64, field, known->value, value_of(outcome, field),
			told->fold.position);
	json_decref(outcome);
}

/* Waits for the outcome of what is not bound by locks, so that none of it is on its way when the field is locked. */
static void use_own_field(struct locker *locker)
{
	static const enum leat_fold_verb writes[] = {LEAT_FOLD_MERGE, LEAT_FOLD_MERGE, LEAT_FOLD_UPSERT, LEAT_FOLD_BULK, LEAT_FOLD_UNSET};
	size_t entity = chance_of(&locker->chance, KEPT);
	struct lock_known *known = &locker->table->known[entity][locker->number]; /* nobody else changes it */
	const char *field = fields[locker->number];
	bool locks = chance_percent(&locker->chance, 50);
	struct told *told = begin(locker, locks ? LEAT_FOLD_LOCK : known->locked ? LEAT_FOLD_UNLOCK : writes[chance_of(&locker->chance, 5)]);
	add_target(told, entity);
	add_field(locker, told, field);
	if (locks) {
		lock(locker, told, known, field);
	} else if (known->locked) {
		note(locker, known, false, -1);
		tell(locker, told);
	} else {
		json_decref(ask(locker, told));
	}
}

/* ---- what is nobody's ---- */

static void do_anything(struct locker *locker)
{
	static const enum leat_fold_verb verbs[] = {LEAT_FOLD_UPSERT, LEAT_FOLD_UPSERT, LEAT_FOLD_MERGE, LEAT_FOLD_MERGE, LEAT_FOLD_MERGE,
		LEAT_FOLD_UNSET, LEAT_FOLD_LOCK, LEAT_FOLD_LOCK, LEAT_FOLD_UNLOCK, LEAT_FOLD_DELETE};
	size_t entity = chance_of(&locker->chance, ENTITIES);
	bool kept = entity < KEPT;
	size_t of = sizeof verbs / sizeof *verbs - (kept ? 1 : 0);
	struct told *told = begin(locker, verbs[chance_of(&locker->chance, of)]);
	add_target(told, entity);
	told->respects_locks = told->fold.verb == LEAT_FOLD_MERGE && chance_percent(&locker->chance, 60);
	size_t from = kept ? LOCKERS : 0;
	size_t count = told->fold.verb == LEAT_FOLD_DELETE ? 0 : 1 + chance_of(&locker->chance, 2);
	size_t first = chance_of(&locker->chance, FIELDS - from);
	for (size_t i = 0; i < count; i++)
		add_field(locker, told, fields[from + (first + i) % (FIELDS - from)]);
	tell(locker, told);
}

/* ---- the thread ---- */

static void *work(void *argument)
{
	struct locker *locker = argument;
	for (; locker->done < locker->steps && locker->failure[0] == '\0'; locker->done++) {
		size_t drawn = chance_of(&locker->chance, 100);
		if (drawn < 45)
			write_respectfully(locker);
		else if (drawn < 75)
			use_own_field(locker);
		else
			do_anything(locker);
	}
	locker->done = locker->steps;
	return NULL;
}

void locker_start(struct locker *locker, size_t number, const char *nats_url, struct lock_table *table, uint64_t seed, size_t steps)
{
	struct leat_error err;
	struct leat_bus_options options = {
		.url = nats_url, .name = "locker", .request_timeout_ms = 10000, .retry_first_ms = 20, .retry_limit_ms = 200};
	char replies[80];
	*locker = (struct locker){.number = number, .table = table, .chance = {seed + number}, .steps = steps};
	locker->intents = leat_alloc(steps * sizeof *locker->intents);
	snprintf(replies, sizeof replies, REPLIES ".%zu.*", number);
	cr_assert_eq(leat_bus_open(&locker->bus, &options, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(leat_inbox_open(&locker->inbox, locker->bus, replies, &err), LEAT_OK, "%s", err.text);
	cr_assert_eq(pthread_create(&locker->thread, NULL, work, locker), 0);
}

void locker_join(struct locker *locker)
{
	pthread_join(locker->thread, NULL);
	leat_inbox_close(locker->inbox);
	leat_bus_close(locker->bus);
}
