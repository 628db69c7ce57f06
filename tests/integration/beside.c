/* A thread with a gate of its own; Postgres says when it waits. */
#include "beside.h"

#include <criterion/criterion.h>
#include <pthread.h>

struct hand {
	struct gate gate;
	const struct message *const *messages;
	size_t count;
	enum leat_kind kind;
	struct leat_error err;
	struct answer *answers;
};

static void *put_by(void *argument)
{
	struct hand *hand = argument;
	hand->kind = gate_apply(&hand->gate, hand->messages, hand->count, hand->answers, &hand->err);
	return NULL;
}

static void run_sql(struct gate *gate, const char *sql)
{
	struct leat_error err;
	cr_assert_eq(leat_pg_run_sql(gate->pg, sql, NULL, &err), LEAT_OK, "%s", err.text);
}

void put_beside(
	struct rig *rig, struct gate *gate, struct message first, const struct message *const *others, size_t count, struct answer *answers)
{
	LEAT_PG_RESULT_SCOPED *pid = NULL;
	struct hand hand = {.messages = others, .count = count, .answers = answers};
	pthread_t thread;
	struct leat_error err;
	gate_open(&hand.gate, rig);
	cr_assert_eq(leat_pg_run_sql(hand.gate.pg, "select pg_backend_pid()", &pid, &err), LEAT_OK, "%s", err.text);
	run_sql(gate, "begin");
	cr_assert_eq(put(gate, first), LEAT_OUTCOME_APPLIED);
	cr_assert_eq(pthread_create(&thread, NULL, put_by, &hand), 0);
	rig_sql_wait(rig, 20, "t", "select cardinality(pg_blocking_pids(%s)) > 0", leat_pg_text(pid, 0, 0));
	run_sql(gate, "commit");
	pthread_join(thread, NULL);
	gate_close(&hand.gate);
	cr_assert_eq(hand.kind, LEAT_OK, "%s", hand.err.text);
}
