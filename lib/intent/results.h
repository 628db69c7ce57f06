/* Inside lib/intent only: what the tables' rows say of results and answers. The rows of sql/functions write them. */
#ifndef LEAT_INTENT_RESULTS_H
#define LEAT_INTENT_RESULTS_H

#include "leat/shape.h"

#define LEAT_RUN_STATUSES "pending|running|waiting|completed|failed|cancelled"

/* `result` of an outcome */
extern const struct leat_shape leat_result_entity;
extern const struct leat_shape leat_result_bulk;
extern const struct leat_shape leat_result_saved;
extern const struct leat_shape leat_result_workflow_deleted;
extern const struct leat_shape leat_result_member;
extern const struct leat_shape leat_result_asked;
extern const struct leat_shape leat_result_answered;
extern const struct leat_shape leat_result_withdrawn;
extern const struct leat_shape leat_result_expired;
extern const struct leat_shape leat_result_started;
extern const struct leat_shape leat_result_resumed;
extern const struct leat_shape leat_result_agent_resumed;
extern const struct leat_shape leat_result_retried;
extern const struct leat_shape leat_result_cancelled;
extern const struct leat_shape leat_result_node;
extern const struct leat_shape leat_result_ignored;

/* `result` of an answer */
extern const struct leat_shape leat_answer_resolved;
extern const struct leat_shape leat_answer_workflow;
extern const struct leat_shape leat_answer_workflows;
extern const struct leat_shape leat_answer_entity;
extern const struct leat_shape leat_answer_interactions;
extern const struct leat_shape leat_answer_run;
extern const struct leat_shape leat_answer_runs;
extern const struct leat_shape leat_answer_heartbeat;

#endif
