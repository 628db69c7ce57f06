/*
 * Intents handed to the SQL functions as a lane would, without NATS in between: so a test decides what comes when.
 *
 * A gate is one connection, of one thread. Messages are stored in a stream by saying so: a position and a time.
 */
#ifndef LEAT_TESTS_INTENTS_H
#define LEAT_TESTS_INTENTS_H

#include "harness.h"
#include "leat/batch.h"
#include "leat/pg.h"

#define STREAM "LEAT_ENTITY"
#define LONGEST_BATCH 1000

struct message {
	int64_t seq;
	int64_t at_ms;      /* since the stream began; 0: as many as its sequence */
	const char *tenant; /* NULL: RIG_TENANT_A */
	const char *role;   /* NULL: service */
	const char *actor;  /* NULL: tests */
	const char *noun;   /* NULL: entity */
	bool redrive;       /* on leat.redrive.… */
	const char *verb;
	const char *entity; /* the target; NULL: a bulk, or what the decoder rejected */
	const char *body;
	const char *leat_id;
	const char *reply_to;
	const char *traceparent;
	const char *headers;
	const char *code; /* of the decoder's rejection; NULL: none */
};

struct answer {
	enum leat_outcome outcome;
	char code[24];
	int64_t position;
	char *reply; /* the caller's to free() */
	char *short_reply;
};

struct gate {
	struct leat_pg *pg;
	struct leat_pg_array arrays[LEAT_BATCH_COLUMNS];
};

/* The schema of this binary, in the rig's database. */
void install_schema(struct rig *rig);
void gate_open(struct gate *gate, const struct rig *rig);
/* To the functions of the control lane, for LEAT_CONTROL. */
void gate_open_control(struct gate *gate, const struct rig *rig);
/* To those of the run lane, for LEAT_RUN. */
void gate_open_run(struct gate *gate, const struct rig *rig);
void gate_close(struct gate *gate);
/* All that most suites need: a rig, the schema, a gate. */
void gate_open_with_rig(struct gate *gate, struct rig *rig);
void gate_close_with_rig(struct gate *gate, struct rig *rig);

/* One call, `count` messages in order of sequence, each once. `answers`: one each. */
enum leat_kind gate_apply(struct gate *gate, const struct message *const *messages, size_t count, struct answer *answers,
	struct leat_error *err) __attribute__((warn_unused_result));

/*
 * A message of tenant A. `members` goes into the body after the id, with ' for ": intent(1, "merge", ENTITY_1, "'content':{'a':1}"). An
 * upsert gets the entity_type "t". The text lives until 64 more were made.
 */
struct message intent(int64_t seq, const char *verb, const char *entity, const char *members);
/* The same to several: entities as in the JSON array, with '. */
struct message bulk_intent(int64_t seq, const char *entities, const char *members);
struct message with_id(struct message message, const char *leat_id);
#define ENTITY_1 "eeeeeeee-0000-4000-8000-000000000001"
#define ENTITY_2 "eeeeeeee-0000-4000-8000-000000000002"
#define ENTITY_3 "eeeeeeee-0000-4000-8000-000000000003"

/* Calls that must work. Of one, and how it ended; of a batch. */
enum leat_outcome put(struct gate *gate, struct message message);
void put_all(struct gate *gate, const struct message *messages, size_t count, struct answer *answers);
#define PUT_ALL(gate, messages, answers) put_all(gate, messages, sizeof(messages) / sizeof *(messages), answers)
void answers_free(struct answer *answers, size_t count);
/* A batch of which nobody asks for a reply, and how each ended: PUT_EXPECT(&gate, batch, LEAT_OUTCOME_KNOWN, LEAT_OUTCOME_APPLIED). */
void put_expect(struct gate *gate, const struct message *messages, size_t count, const enum leat_outcome *expected, size_t expected_count);
#define PUT_EXPECT(gate, messages, ...)                                                                                                    \
	put_expect(gate, messages, sizeof(messages) / sizeof *(messages), (const enum leat_outcome[]){__VA_ARGS__},                            \
		sizeof((const enum leat_outcome[]){__VA_ARGS__}) / sizeof(enum leat_outcome))

struct decided {
	int64_t decided;
	int64_t remaining;
};
enum leat_kind gate_decide(struct gate *gate, int32_t epoch, int64_t floor_seq, int32_t limit, struct decided *out, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Until nothing at or below the floor is left; fails the test when that does not come to an end. Returns how many are still parked. */
int64_t gate_decide_all(struct gate *gate, int32_t epoch, int64_t floor_seq);

#endif
