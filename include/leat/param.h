/*
 * Every setting of every command, in one table: name, type, default, lowest, highest, unit, what it does.
 *
 * The table makes the struct, the flags (`--ack-wait-ms`), the variables (`LEAT_ACK_WAIT_MS`), the range checks and the README's
 * configuration table (`leat help settings` prints it; a test compares). A flag wins over its variable, that over the default.
 *
 * Secrets have no flag, since everybody on the machine can read a command line: they come from the environment only, are "" otherwise, and
 * no message, table or log quotes their value.
 */
#ifndef LEAT_PARAM_H
#define LEAT_PARAM_H

#include "leat/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEAT_QUEUE_GROUP_BYTES 100

/* X(field, default, description) for texts; N(field, default, lowest, highest, unit, description) for whole numbers; S(field, description)
   for secrets. */
#define LEAT_PARAMS(X, N, S)                                                                                                               \
	X(nats_url, "nats://127.0.0.1:4222", "where nats-server listens; several URLs with commas")                                            \
	X(nats_creds, "", "credentials file (JWT and seed) for the login to NATS")                                                             \
	X(nats_nkey, "", "file with the seed of an nkey for the login to NATS")                                                                \
	X(nats_user, "", "user for the login to NATS, with LEAT_NATS_PASSWORD")                                                                \
	S(nats_password, "password of that user")                                                                                              \
	X(nats_inbox_prefix, "_INBOX", "subjects that answers come to; must be what the login may subscribe to")                               \
	X(nats_tls_ca, "", "PEM file of authorities that may sign nats-server's certificate, besides the system's")                            \
	X(nats_tls_cert, "", "PEM file of our own certificate, for a nats-server that asks for one")                                           \
	X(nats_tls_key, "", "PEM file of its private key")                                                                                     \
	X(database_url, "", "libpq URI of the database; empty: libpq's own defaults (PGHOST, ...)")                                            \
	X(migrate_url, "", "libpq URI that `leat migrate` uses; empty: database_url")                                                          \
	X(queue_group, "leat", "processes of one group share the work; durables are named GROUP-LANE")                                         \
	X(lanes, "entity,control,run,advance,query,relay,keep,embed", "which lanes this process runs")                                         \
	X(state_dir, ".leat", "where `leat up` keeps its servers' data and logs")                                                              \
	X(log_level, "info", "debug, info, warn or error")                                                                                     \
	N(consumers, 1, 0, 64, "processes", "consumers that `leat up` starts")                                                                 \
	N(batch, 1000, 1, 5000, "messages", "intents applied in one transaction; a bulk counts as many as it names")                           \
	N(batch_bytes, 8388608, 1048576, 268435456, "bytes", "most bytes of messages fetched ahead at once")                                   \
	N(ack_wait_ms, 10000, 1000, 10000, "ms", "a message not settled or renewed for this long goes to another process")                     \
	N(max_ack_pending, 50000, 1000, 1000000, "messages", "unsettled messages of a durable, over all processes")                            \
	N(idle_heartbeat_ms, 5000, 500, 30000, "ms", "how often nats-server shows an idle pull that it is alive")                              \
	N(retry_first_ms, 100, 1, 60000, "ms", "first delay after a failure that may pass; doubles, jittered")                                 \
	N(retry_limit_ms, 5000, 10, 60000, "ms", "longest such delay")                                                                         \
	N(floor_check_ms, 500, 50, 60000, "ms", "longest pause between looks at the ack floor while intents are parked")                       \
	N(relay_tick_ms, 2000, 100, 60000, "ms", "outbox looked at without being woken; also the take-over check")                             \
	N(relay_batch, 1000, 1, 5000, "messages", "most messages of the outbox published at once, give or take a row")                         \
	N(publish_timeout_ms, 5000, 100, 60000, "ms", "how long to wait for nats-server to store or answer")                                   \
	N(query_wait_ms, 3000, 100, 60000, "ms", "longest that a query waits for Postgres; then it is answered with an error")                 \
	X(embed_url, "", "OpenAI-compatible endpoint, http://host/v1/embeddings; empty: no embeddings")                                        \
	X(embed_model, "text-embedding-3-small", "model asked of it; all consumers the same")                                                  \
	S(embed_key, "key of the endpoint, sent as a bearer token; empty: none is sent")                                                       \
	N(embed_batch, 64, 1, 64, "inputs", "most entities in one call")                                                                       \
	N(embed_calls, 2, 1, 16, "calls", "calls under way at once, of each process")                                                          \
	N(embed_timeout_ms, 30000, 100, 600000, "ms", "longest call")                                                                          \
	N(embed_input_bytes, 8192, 16, 1048576, "bytes", "of an entity's text that are embedded; the rest is cut off")                         \
	N(embed_response_bytes, 16777216, 1024, 268435456, "bytes", "largest answer")                                                          \
	N(embed_lease_ms, 60000, 1000, 3600000, "ms", "what a killed lane held goes to another; never less than embed_timeout_ms and 1 s")     \
	N(embed_retry_limit_ms, 60000, 10, 3600000, "ms", "longest delay after a failure of the endpoint; the first is retry_first_ms")        \
	N(embed_refused_min, 60, 1, 10080, "min", "wait of an entity that the endpoint refuses alone, unless it changes")                      \
	N(embed_tick_ms, 10000, 100, 600000, "ms", "queue looked at without being woken")                                                      \
	X(allow_hosts, "", "hosts that nodes may call: `host[:port],...`; `*`: any public host; empty: none")                                  \
	X(call_tls_ca, "", "PEM file of authorities that may sign the certificates of what nodes and embeddings call, besides the system's")   \
	X(secrets_dir, "", "directory with tenants' secrets, TENANT/NAME; empty: there are none")                                              \
	N(call_timeout_ms, 30000, 1, 600000, "ms", "longest try of a call of a node that sets no timeout_ms")                                  \
	N(call_attempts, 3, 1, 20, "tries", "of a node that sets no max_attempts")                                                             \
	N(call_response_bytes, 524288, 1024, 67108864, "bytes", "largest answer to a node's call")                                             \
	N(max_runs, 3, 1, 256, "runs", "runs that this process advances at once; one that is done makes room for the next")                    \
	N(max_calls, 12, 1, 256, "calls", "calls of runs under way at once, of each process")                                                  \
	N(lease_ms, 120000, 1000, 3600000, "ms", "a claimed node without a sign of life for this long goes to another process")                \
	N(reap_every_ms, 30000, 100, 3600000, "ms", "how often one of the consumers looks for nodes past their lease, and runs left alone")    \
	N(process_heartbeat_ms, 5000, 1000, 60000, "ms", "how often a consumer writes its state into leat.processes")                          \
	N(drain_ms, 8000, 100, 600000, "ms", "SIGTERM: longest time to finish what is in hand")                                                \
	N(replicas, 1, 1, 5, "copies", "of each stream; 3 survives a power loss")                                                              \
	N(retention_h, 168, 1, 87600, "h", "source streams (LEAT_ENTITY, LEAT_CONTROL, LEAT_RUN) and LEAT_WORK")                               \
	N(dead_retention_h, 720, 1, 87600, "h", "LEAT_DEAD")                                                                                   \
	N(event_retention_min, 60, 1, 525600, "min", "LEAT_EVENTS")                                                                            \
	N(ledger_retention_h, 0, 0, 87600, "h",                                                                                                \
		"ledger and Leat-Ids stay this long at least, and while the stream has the message; 0: retention_h")                               \
	N(audit_retention_h, 720, 1, 87600, "h", "leat.audit_log; whole days are dropped")                                                     \
	N(prune_every_ms, 60000, 100, 3600000, "ms", "how often one of the consumers looks for what is old")                                   \
	N(prune_batch, 5000, 1, 100000, "rows", "most rows deleted in one transaction")                                                        \
	N(interaction_sweep_ms, 10000, 100, 3600000, "ms", "how often one of the consumers looks for questions past their time")               \
	N(max_body_bytes, 524288, 1024, 67108864, "bytes", "largest body of an intent")                                                        \
	N(max_fields, 1000, 1, 100000, "fields", "most fields that one intent names")                                                          \
	N(max_nesting, 64, 2, 1000, "levels", "deepest nesting of a body; the body itself is level 1")                                         \
	N(max_field_name_bytes, 256, 1, 65536, "bytes", "longest field name")                                                                  \
	N(max_key_bytes, 512, 1, 2048, "bytes", "longest entity key")                                                                          \
	N(max_workflow_nodes, 500, 1, 5000, "nodes", "most nodes of a workflow's definition")                                                  \
	N(max_workflow_bytes, 262144, 1024, 16777216, "bytes", "longest definition of a workflow")

#define LEAT_PARAM_TEXT_FIELD(field, fallback, about) const char *field;
#define LEAT_PARAM_NUMBER_FIELD(field, fallback, lowest, highest, unit, about) int64_t field;
#define LEAT_PARAM_SECRET_FIELD(field, about) const char *field;

/* Texts are borrowed from argv, the environment or the table: they live as long as the process. */
struct leat_params {
	LEAT_PARAMS(LEAT_PARAM_TEXT_FIELD, LEAT_PARAM_NUMBER_FIELD, LEAT_PARAM_SECRET_FIELD)
};

#undef LEAT_PARAM_TEXT_FIELD
#undef LEAT_PARAM_NUMBER_FIELD
#undef LEAT_PARAM_SECRET_FIELD

/* The defaults. */
void leat_params_init(struct leat_params *params);

/* Takes every LEAT_* variable that names a setting. PERMANENT with the variable, the value and what was expected. */
enum leat_kind leat_params_read_environment(struct leat_params *params, struct leat_error *err) __attribute__((warn_unused_result));

/*
 * Takes `--name value` and `--name=value` out of argv; what is left (words that are no settings, flags of the command's own) stays in
 * order and *argc is lowered. PERMANENT: a value missing, out of range or of the wrong form, or a secret. A flag that is no setting is left
 * for the caller.
 */
enum leat_kind leat_params_take_flags(struct leat_params *params, int *argc, char **argv, struct leat_error *err)
	__attribute__((warn_unused_result));

/* Prints the table as Markdown: `| flag | variable | default | meaning |`. The README's copy of it is checked by a test. */
struct leat_buf;
void leat_params_describe(struct leat_buf *out);

#endif
