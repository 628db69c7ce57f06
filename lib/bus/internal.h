/*
 * What the files of lib/bus share. Nothing outside includes it.
 *
 * A bus is two connections. `prompt` writes each message to the socket at once: subscriptions, requests, single publishes. `bulk`
 * collects for up to a millisecond, or until it is flushed: settlements and batches to be stored, where a system call a message costs
 * more than the message (measured: 1 us of 3 us).
 */
#ifndef LEAT_BUS_INTERNAL_H
#define LEAT_BUS_INTERNAL_H

#include "leat/bus.h"
#include "leat/clock.h"
#include "leat/uuid.h"

#include <jansson.h>
#include <nats/nats.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define BUS_NS_PER_MS INT64_C(1000000)
#define BUS_INBOX_BYTES 128

/* ---- trash.c ---- */

#define BUS_TRASH 256

/* Zero-initialise. One thread at a time. */
struct bus_trash {
	natsMsg *messages[BUS_TRASH];
	size_t count;
	size_t bytes;
};

/* Takes the message, to destroy it now or later. */
void bus_trash_add(struct bus_trash *trash, natsMsg *message);
void bus_trash_empty(struct bus_trash *trash);

/* ---- connection.c ---- */

struct bus_link {
	natsConnection *nats;
	struct leat_bus *bus;
	struct leat_backoff backoff; /* of the library's reconnect thread */
	atomic_uint_fast64_t losses;
	atomic_uint_fast64_t returns;
	sem_t ended; /* posted by the library's last callback */
	bool speaks; /* logs loss and return: one of the two does */
};

#define BUS_COMPLAINTS 16

struct bus_complaint {
	uint64_t hash;
	int64_t until_ms;
};

struct leat_bus {
	struct bus_link prompt;
	struct bus_link bulk;
	int64_t request_timeout_ms;
	char *inbox_prefix;
	atomic_bool closing;  /* by us */
	atomic_bool end_told; /* closed by the library, and logged */

	struct bus_mailbox *answers; /* store.c: on bulk, at answer_prefix.> */
	char answer_prefix[BUS_INBOX_BYTES];
	uint64_t store_calls;
	struct bus_trash stored; /* of the thread that stores */

	pthread_mutex_t complaints_lock;
	struct bus_complaint complaints[BUS_COMPLAINTS];
};

/* How often this link was lost: a change since the last look means that requests under way may never be answered. */
uint64_t bus_link_losses(const struct bus_link *link);
bool bus_link_connected(const struct bus_link *link);

/* ---- nkey.c ---- */

#define BUS_NKEY_BYTES 64

/* Public key, `U…`, of the seed in a file. */
enum leat_kind bus_nkey_read(char out[BUS_NKEY_BYTES], const char *path, struct leat_error *err) __attribute__((warn_unused_result));

/* ---- login.c ---- */

/* Settings that were looked at. */
struct bus_login {
	const struct leat_bus_options *wanted; /* borrowed */
	bool tls;
	char nkey[BUS_NKEY_BYTES];
};

enum leat_kind bus_login_prepare(struct bus_login *out, const struct leat_bus_options *wanted, struct leat_error *err)
	__attribute__((warn_unused_result));
natsStatus bus_login_set(natsOptions *options, const struct bus_login *login);
/* Why connecting failed, and what to do. To be called by the thread that tried, before any other call of the library. */
enum leat_kind bus_login_fail(struct leat_error *err, natsStatus status, const struct bus_login *login);

/* ---- complain.c ---- */

/* Logs a warning, but each distinct text once a minute at most. Any thread. */
void bus_complain(struct leat_bus *bus, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- fail.c: every foreign verdict becomes a leat_error here ---- */

/* For a natsStatus other than NATS_OK. */
enum leat_kind bus_fail(struct leat_error *err, natsStatus status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* For the "error" object of a JetStream answer. */
enum leat_kind bus_fail_api(struct leat_error *err, const json_t *error, const char *what);

/* ---- subject.c ---- */

/* One or more tokens, no white space, nothing that breaks the protocol line. `wildcards`: * and > may stand for tokens. */
bool bus_subject_valid(const char *subject, bool wildcards);
/* A stream's or durable's name: one token that is also a file name. */
bool bus_name_valid(const char *name);

/* ---- message.c ---- */

/* Copies the message; the stream's fields are read from the reply subject when it is a delivery. */
void bus_message_copy(struct leat_msg *out, const natsMsg *message);
/* From parts, the stream's fields 0; `headers` as on the wire, from "NATS/1.0" on. */
void bus_message_make(struct leat_msg *out, const char *subject, const char *reply, const char *headers, size_t headers_bytes,
	const char *data, size_t data_bytes);
/* "NATS/1.0 408 Request Timeout": the number, and the text behind it when `text` is not NULL; 0 for an ordinary message. */
int bus_message_status(const struct leat_msg *msg, char *text, size_t text_bytes);

/* ---- delivery.c ---- */

/* Fills seq, pending, delivered and timestamp from the reply subject of a message that a durable delivered; false for any other. */
bool bus_delivery_read(struct leat_msg *msg);

/* ---- publish.c ---- */

/* Checks and publishes; of the message only what goes in is read. `reply` may be NULL. `trash`: gets what the library made; NULL: it is
 * freed. */
enum leat_kind bus_publish(struct bus_link *link, const struct leat_outgoing *from, const char *reply, struct bus_trash *trash,
	struct leat_error *err) __attribute__((warn_unused_result));

/* ---- store.c: a call sends messages whose answers come to a subject with its number and theirs ---- */

#define BUS_REPLY_BYTES (BUS_INBOX_BYTES + 48)

natsStatus bus_store_open(struct leat_bus *bus);
void bus_store_close(struct leat_bus *bus);
/* A new call: answers to the ones before are dropped from now on. */
void bus_store_begin(struct leat_bus *bus);
void bus_store_reply(const struct leat_bus *bus, size_t index, char out[BUS_REPLY_BYTES]);
/* What comes out of a message until its answer is there: TEMPORARY. */
void bus_store_await(const struct leat_bus *bus, struct leat_outgoing *message);
/* Flushes, and fills in the answers until `missing` are there, the time is up or the connection is lost. */
void bus_store_collect(struct leat_bus *bus, struct leat_outgoing *messages, size_t count, size_t missing);

/* ---- mailbox.c: a subscription and what has arrived on it ---- */

struct bus_mailbox;
/* `group`: the queue group, or NULL. */
natsStatus bus_mailbox_open(struct bus_mailbox **out, struct bus_link *link, const char *subject, const char *group);
/* False when nothing comes within the time. 0 never waits. One thread. */
bool bus_mailbox_take(struct bus_mailbox *mailbox, int64_t timeout_ms, struct leat_msg *out);
/* Readable while something has arrived since bus_mailbox_take looked last. The mailbox closes it. */
int bus_mailbox_fd(struct bus_mailbox *mailbox);
/* All that has arrived and is not taken yet; borrowed until the next call. */
const struct leat_msg *bus_mailbox_peek(struct bus_mailbox *mailbox, size_t *count);
/* Ends the subscription: when it returns, everything that was sent is here to be taken, and nothing more will come. */
void bus_mailbox_end(struct bus_mailbox *mailbox);
/* Ends it if need be, drops what is left. NULL is fine. */
void bus_mailbox_free(struct bus_mailbox *mailbox);
/* A fresh subject that nobody else uses, `<inbox prefix>.<unique>`. */
natsStatus bus_inbox_name(const struct leat_bus *bus, char out[BUS_INBOX_BYTES]);

/* ---- api.c: JetStream's JSON API ---- */

/* Asks `$JS.API.<what>` (a format) with `request`, which it takes (NULL: no body). OK: *answer is the caller's to json_decref. */
enum leat_kind bus_api(struct leat_bus *bus, json_t **answer, json_t *request, struct leat_error *err, const char *what, ...)
	__attribute__((format(printf, 5, 6), warn_unused_result));
/* Numbers and texts of an answer; 0 or "" where it leaves them out, as the server does with zero values. */
int64_t bus_json_int(const json_t *object, const char *name);
const char *bus_json_text(const json_t *object, const char *name);
/* RFC 3339 as the server writes it, in UTC or with an offset; 0 for its zero time and for what is none. */
int64_t bus_json_time_ns(const json_t *object, const char *name);

/* ---- compare.c ---- */

/* Tells each member of `expected`, a "config" object as the server has them, that is another in `found`. */
void bus_compare(json_t *expected, const json_t *found, leat_bus_tell *tell, void *argument);

/* ---- durable.c ---- */

/* Makes the durable when it is missing or ahead of its stream; complains about one with other settings, refuses one that can't work. */
enum leat_kind bus_durable_ensure(struct leat_bus *bus, const struct leat_pull_options *options, struct leat_error *err)
	__attribute__((warn_unused_result));

/* ---- pull.c, for readers: the same on a consumer that is there, whatever its kind ---- */

/* On the consumer options->durable. `losses`: bus_link_losses(&bus->prompt) before the consumer was made. */
enum leat_kind bus_pull_start(struct leat_pull **out, struct leat_bus *bus, const struct leat_pull_options *options, uint64_t losses,
	struct leat_error *err) __attribute__((warn_unused_result));
/* Frees it with all that has arrived; gives nothing back. NULL is fine. */
void bus_pull_drop(struct leat_pull *pull);

#endif
