/*
 * NATS: one connection, its streams, pulling from a durable, publishing. Only lib/bus includes nats.h.
 *
 * The traps that shape this interface were measured against nats.c 3.4.1 and nats-server 2.9.10: messages are pulled by hand
 * (natsSubscription_Fetch writes past its array), settled by publishing to their reply subject (natsMsg_Ack crashes on them), and a
 * consumer that vanished is noticed by missed heartbeats (the client sees nothing else).
 *
 * Headers travel as one block of "Name: value\r\n" lines, in the order they came in; NULL or "" is none. What is published keeps the
 * order of the values of one name; the order of different names is the library's, and lines that no client could read are left out.
 *
 * Errors: LEAT_TEMPORARY whenever the server, the stream or the time limit is to blame; LEAT_PERMANENT when the same call can never
 * work (a bad URL, a subject that is not one, a message over the server's limit). One function maps natsStatus to kind.
 */
#ifndef LEAT_BUS_H
#define LEAT_BUS_H

#include "leat/buf.h"
#include "leat/error.h"
#include "leat/param.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the connection ---- */

struct leat_bus; /* publishing from several threads is fine; a leat_pull or leat_inbox belongs to one thread */

struct leat_bus_options {
	const char *url;  /* one or several, with commas */
	const char *name; /* shown by the server's monitoring */
	/* One way to log in, or none; what the URL holds wins. NULL and "" are both "not set", here and below. */
	const char *creds; /* file of a JWT and a seed, as the NATS tools write it */
	const char *nkey;  /* file of a user's seed */
	const char *user;
	const char *password;
	const char *inbox_prefix; /* where answers come to; "_INBOX" when not set */
	/* TLS, with the server's certificate and host name verified: when any of these is set, a URL says tls://, or the server asks. */
	const char *tls_ca; /* PEM file of authorities; those of the system count too */
	const char *tls_cert;
	const char *tls_key;
	int64_t request_timeout_ms;
	int64_t retry_first_ms; /* delay between reconnects, jittered, without end */
	int64_t retry_limit_ms;
};

/* What the settings say; `name` and the settings must outlive *out. */
void leat_bus_options_init(struct leat_bus_options *out, const struct leat_params *params, const char *name);

/* PERMANENT: settings that contradict each other, files that can't be read. leat_bus_open finds the same. Sends nothing. */
enum leat_kind leat_bus_check_options(const struct leat_bus_options *options, struct leat_error *err) __attribute__((warn_unused_result));

/* Appends the URLs as they were given, without the user, password or token in them. Pure. */
void leat_bus_show_urls(struct leat_buf *out, const char *urls);

/*
 * TEMPORARY when no server answers (the caller retries), PERMANENT when it refuses the login or TLS does (who runs for ever retries that
 * too: an administrator may mend it). From then on it reconnects by itself, for ever. Logs each loss and return once.
 */
enum leat_kind leat_bus_open(struct leat_bus **out, const struct leat_bus_options *options, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Flushes what was published (at most a second), closes and frees. NULL is fine. Every pull and inbox must be closed before. */
void leat_bus_close(struct leat_bus *bus);
bool leat_bus_connected(const struct leat_bus *bus);
/* True once the library has given up (two refused logins in a row): close it and open another. */
bool leat_bus_closed(const struct leat_bus *bus);
/* How often the connection came back. A change tells a lane that the server may have restarted (design.md section 3, epochs). */
uint64_t leat_bus_reconnects(const struct leat_bus *bus);
/* Largest message (headers and body) that the server takes, in bytes; 0 while it was never connected. */
size_t leat_bus_max_payload(const struct leat_bus *bus);
/* "2.9.10"; "" while it was never connected. Written into `out`. */
void leat_bus_server_version(const struct leat_bus *bus, char out[32]);
/* Sends what is buffered and waits until the server has read it. */
enum leat_kind leat_bus_flush(struct leat_bus *bus, struct leat_error *err) __attribute__((warn_unused_result));

/* ---- messages ---- */

/* A message received. Everything in it is borrowed from the message and lives until leat_msg_free. */
struct leat_msg {
	const char *subject;
	const char *reply; /* "" for none */
	const char *data;  /* not terminated */
	size_t data_bytes;
	uint64_t seq;         /* of the stream; 0 when it did not come from one */
	uint64_t pending;     /* how many more the durable has behind it */
	uint64_t delivered;   /* how often it was delivered; may go backwards, so never decide by it */
	uint64_t nth;         /* which of its consumer's deliveries this is, from 1 */
	int64_t timestamp_ns; /* when the stream stored it, Unix time */
	void *handle;         /* lib/bus's own */
};

void leat_msg_free(struct leat_msg *msg);
/* First value of a header, names compared exactly; NULL when it is not there. Borrowed. */
const char *leat_msg_header(const struct leat_msg *msg, const char *name);
/* Appends all headers as a block. Values keep their bytes, whatever they are. */
void leat_msg_add_headers(const struct leat_msg *msg, struct leat_buf *block);

/* Whether a text may stand where a subscription's subject does, `*` and `>` in it; and whether such a pattern covers a subject. Pure. */
bool leat_subject_is_pattern(const char *pattern);
bool leat_subject_matches(const char *pattern, const char *subject);

/* ---- publishing ---- */

/* Plain NATS, no confirmation: buffered, sent at once by the flusher. `headers` may be NULL. */
enum leat_kind leat_bus_publish(struct leat_bus *bus, const char *subject, const char *headers, const void *data, size_t data_bytes,
	struct leat_error *err) __attribute__((warn_unused_result));

/* One message of a batch to be stored by a stream. */
struct leat_outgoing {
	const char *subject;
	const char *headers; /* block or NULL; must not hold Nats-Msg-Id when `id` is set */
	const void *data;
	size_t data_bytes;
	const char *id;        /* becomes Nats-Msg-Id; NULL for none */
	enum leat_kind kind;   /* out: LEAT_OK once the stream has it (or had it: a duplicate is fine) */
	uint64_t seq;          /* out: its sequence in the stream, when OK */
	bool duplicate;        /* out: the stream knew this id already */
	struct leat_error err; /* out: when not OK */
};

/*
 * Publishes all and waits for every acknowledgement, at most request_timeout_ms after the last was sent. In order. Each message gets
 * its own `kind`: TEMPORARY for no answer, no stream, not connected; PERMANENT for an answer that says it can never be stored.
 * The result is the worst of them. One thread at a time per bus.
 */
enum leat_kind leat_bus_store(struct leat_bus *bus, struct leat_outgoing *messages, size_t count) __attribute__((warn_unused_result));

/* A stream that we alone write to. */
struct leat_sole {
	uint64_t last_seq; /* of its last message; 0: not known, at first and whenever it may not be ours alone */
	int64_t until_ms;  /* leat_clock_ms() until which we may write */
};

/*
 * leat_bus_store for such a stream, at two thirds of the cost: as long as all goes well, only the last message is confirmed. Each needs an
 * `id`. What somebody else writes to the stream only costs time. Past until_ms it sends nothing: TEMPORARY.
 */
enum leat_kind leat_bus_store_sole(struct leat_bus *bus, struct leat_sole *sole, struct leat_outgoing *messages, size_t count)
	__attribute__((warn_unused_result));

/* ---- plain subscriptions: replies, listening in, requests ---- */

/*
 * What comes on a subject waits here without a limit until it is taken. Once it is open, the server knows of it; after a reconnect the
 * library subscribes again by itself.
 */
struct leat_inbox;
enum leat_kind leat_inbox_open(struct leat_inbox **out, struct leat_bus *bus, const char *subject, struct leat_error *err)
	__attribute__((warn_unused_result));
/* The same in a queue group: of all that are open with one group and subject, one gets each message. For whoever answers requests. */
enum leat_kind leat_inbox_join(struct leat_inbox **out, struct leat_bus *bus, const char *subject, const char *group,
	struct leat_error *err) __attribute__((warn_unused_result));
/*
 * Tells the server that no more should come, and waits until it has (at most two seconds where it does not answer). All that was delivered
 * until then can still be taken.
 */
void leat_inbox_end(struct leat_inbox *inbox);
/* Ends it if need be, and drops what was not taken. NULL is fine. */
void leat_inbox_close(struct leat_inbox *inbox);
/* As leat_pull_fd, for leat_inbox_next until it is not OK. Closed by leat_inbox_close. */
int leat_inbox_fd(struct leat_inbox *inbox);
/* LEAT_OK with a message, or TEMPORARY when none came within the time. Free it. */
enum leat_kind leat_inbox_next(struct leat_inbox *inbox, int64_t timeout_ms, struct leat_msg *out, struct leat_error *err)
	__attribute__((warn_unused_result));

/* ---- looking into the server, for operators ---- */

/*
 * What JetStream says to `$JS.API.<what>` ("STREAM.INFO.LEAT_ENTITY"), as it says it: JSON, appended to `answer`. `request`: JSON or NULL.
 * TEMPORARY without an answer, which is also what a login that may not ask gets; the kind of the error that the answer is.
 */
enum leat_kind leat_bus_ask_jetstream(struct leat_bus *bus, const char *what, const char *request, struct leat_buf *answer,
	struct leat_error *err) __attribute__((warn_unused_result));

/*
 * The server's time at some moment during this call. It makes a durable of that stream, of a random name, and deletes it. As
 * leat_bus_ask_jetstream; an error after the time is known only means that the durable stays for ten seconds.
 */
enum leat_kind leat_bus_get_clock(struct leat_bus *bus, const char *stream, int64_t *unix_ns, struct leat_error *err)
	__attribute__((warn_unused_result));

/* A setting that is another than it should be, by the server's name for it, and both values as people write them. */
typedef void leat_bus_tell(void *argument, const char *setting, const char *found, const char *expected);

/* ---- streams ---- */

#define LEAT_STREAM_SUBJECTS 8

struct leat_stream_config {
	const char *name;
	const char *subjects[LEAT_STREAM_SUBJECTS]; /* up to the first NULL */
	bool work_queue;                            /* kept until consumed; otherwise kept until max_age */
	int64_t max_age_ms;                         /* 0: for ever */
	int64_t duplicates_ms;                      /* window of Nats-Msg-Id */
	int64_t max_msgs_per_subject;               /* 0: no limit */
	int64_t replicas;
};

struct leat_stream_state {
	int64_t created_ns; /* Unix time: a stream that was deleted and made again has another */
	uint64_t messages;
	uint64_t bytes;
	uint64_t first_seq;
	uint64_t last_seq;
	uint64_t consumers;
	int64_t first_ns; /* timestamp of the first message that is still stored; 0 for none */
	int64_t last_ns;  /* of the last */
};

/*
 * Makes the stream when it is missing (two at once are fine). An existing one with other settings is never changed: every difference is
 * appended to `differences` as a line for people ("LEAT_ENTITY: max_age is 24h, expected 168h"), and it is still LEAT_OK. File storage.
 */
enum leat_kind leat_stream_ensure(struct leat_bus *bus, const struct leat_stream_config *config, struct leat_buf *differences,
	struct leat_error *err) __attribute__((warn_unused_result));
/* Tells each difference, and makes nothing. PERMANENT with code not_found when there is no such stream. */
enum leat_kind leat_stream_compare(struct leat_bus *bus, const struct leat_stream_config *config, leat_bus_tell *tell, void *argument,
	struct leat_error *err) __attribute__((warn_unused_result));
/* PERMANENT with code not_found when there is no such stream. */
enum leat_kind leat_stream_get_state(struct leat_bus *bus, const char *stream, struct leat_stream_state *out, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Timestamp of the stored message; PERMANENT with code not_found when the stream does not hold that sequence. */
enum leat_kind leat_stream_get_time(struct leat_bus *bus, const char *stream, uint64_t seq, int64_t *timestamp_ns, struct leat_error *err)
	__attribute__((warn_unused_result));
/*
 * First message of a subject (which may hold wildcards) at or after `*seq`: used to list dead letters. Sets *seq to the message's.
 * PERMANENT with code not_found when there is none.
 */
enum leat_kind leat_stream_get_next(struct leat_bus *bus, const char *stream, const char *subject, uint64_t *seq, struct leat_msg *out,
	struct leat_error *err) __attribute__((warn_unused_result));
/*
 * First message at or after `*seq` that was stored at or after a time: *seq becomes its sequence, or the one behind the stream's last
 * message when there is none. Some thirty requests. It trusts that times in a stream grow.
 */
enum leat_kind leat_stream_find_time(struct leat_bus *bus, const char *stream, int64_t timestamp_ns, uint64_t *seq, struct leat_error *err)
	__attribute__((warn_unused_result));

/* ---- reading a stream through, without a durable ---- */

/*
 * From one sequence to another, each message once and in order, as the stream holds it; no consumer that others use is touched or made.
 * Sequences that the stream does not hold (retention, deletion) are told as a range, and only then: a message that got lost on its way is
 * fetched again. Memory: at most two fetches of 1,000 messages or 4 MiB each. Runs on a server that goes and comes back. One thread.
 */
struct leat_reader;

enum leat_read {
	LEAT_READ_MESSAGE, /* out->msg is the caller's to free */
	LEAT_READ_GONE,    /* the stream does not hold out->first_seq to out->last_seq: once for each such range, in order */
	LEAT_READ_END,     /* all up to the end was told, and it stays so */
	LEAT_READ_WAIT,    /* nothing within the time. *err is filled when the server is away: call again, it goes on by itself */
	LEAT_READ_FAILED,  /* *err: the stream is gone (not_found), or another one by now (conflict: made again, restored, cut). It stays so */
};

struct leat_reading {
	struct leat_msg msg;
	uint64_t first_seq;
	uint64_t last_seq;
};

/*
 * Reads from_seq (0: from 1) to to_seq (0: the last), but not beyond the stream's last message at this moment; where from_seq is beyond
 * that, the end comes at once. TEMPORARY when the server is away, PERMANENT with not_found when there is no such stream.
 */
enum leat_kind leat_reader_open(struct leat_reader **out, struct leat_bus *bus, const char *stream, uint64_t from_seq, uint64_t to_seq,
	struct leat_error *err) __attribute__((warn_unused_result));
/* NULL is fine. Messages handed out stay valid. */
void leat_reader_close(struct leat_reader *reader);
/* Waits at most timeout_ms (0: hardly; it may still ask the server something, with its request_timeout_ms). */
enum leat_read leat_reader_next(struct leat_reader *reader, int64_t timeout_ms, struct leat_reading *out, struct leat_error *err)
	__attribute__((warn_unused_result));
/* The stream as it was when the reader was opened. */
const struct leat_stream_state *leat_reader_get_state(const struct leat_reader *reader);
/* Last sequence that it will read or tell of; 0 for an empty stream. */
uint64_t leat_reader_end_seq(const struct leat_reader *reader);

/* Deletes one message. PERMANENT with code not_found when the stream does not hold that sequence. */
enum leat_kind leat_stream_delete_message(struct leat_bus *bus, const char *stream, uint64_t seq, struct leat_error *err)
	__attribute__((warn_unused_result));

/* ---- pulling from a durable consumer ---- */

struct leat_pull;

struct leat_pull_options {
	const char *stream;
	const char *durable;
	int64_t ack_wait_ms;
	int64_t max_ack_pending;
	int64_t batch;       /* most messages on their way here or waiting here */
	int64_t batch_bytes; /* most bytes of them; never below the server's max_payload */
	int64_t idle_heartbeat_ms;
};

struct leat_pull_info {
	uint64_t pending;     /* in the stream, not delivered yet */
	uint64_t ack_pending; /* delivered, not settled */
	uint64_t floor_seq;   /* everything at or below is settled; may lag, never leads */
	uint64_t reached_seq; /* the newest that was delivered */
	uint64_t redelivered; /* delivered more than once and not settled */
	uint64_t waiting;     /* pull requests that wait: processes with nothing to do */
};

enum leat_pull_event {
	LEAT_PULL_MESSAGE, /* *out holds one */
	LEAT_PULL_EMPTY,   /* none came within the time; all is well as far as can be told */
	LEAT_PULL_BROKEN,  /* consumer or stream gone, heartbeats missed, connection lost: open again (and check the epoch) */
};

/*
 * Makes the durable when it is missing (explicit ack, deliver all, no filter, unlimited deliveries), checks an existing one, and
 * subscribes. PERMANENT with code not_found when the stream does not exist, with conflict when the durable is one that would lose
 * messages (ack policy, push); TEMPORARY otherwise. Other differences are logged and left. One that is ahead of its stream's last message
 * (the stream was cut back, the durable was not) is deleted and made again: everything is delivered once more. Asks for nothing yet.
 */
enum leat_kind leat_pull_open(struct leat_pull **out, struct leat_bus *bus, const struct leat_pull_options *options, struct leat_error *err)
	__attribute__((warn_unused_result));
/*
 * Gives back (nak) what is queued here or on its way, ends the subscription, frees. Takes 50 ms when nothing comes, about a second when
 * messages pour in, three when the server does not answer. Messages already handed out stay valid and may be settled after. NULL is fine.
 */
void leat_pull_close(struct leat_pull *pull);

/*
 * The next message, waiting at most timeout_ms (0: only what is here already). Keeps a request for up to `batch` messages open at the
 * server as long as it is called; after leat_pull_pause it asks for no more. BROKEN fills *err.
 */
enum leat_pull_event leat_pull_next(struct leat_pull *pull, int64_t timeout_ms, struct leat_msg *out, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Stop (true) or resume (false) asking for messages. Those already on their way still come: take them or close. */
void leat_pull_pause(struct leat_pull *pull, bool paused);
/*
 * From now on at most so many messages are on their way here or waiting here, as soon as no more are; each one taken makes room to ask for
 * one, at once and not half a batch at a time. For who takes as many as there are free hands. 0: asks for none.
 */
void leat_pull_set_batch(struct leat_pull *pull, int64_t batch);
/*
 * Readable when something has arrived that leat_pull_next has not looked at; to be watched with others. Messages may be queued behind the
 * last one all the same: call leat_pull_next until it is EMPTY before waiting, and once a second at least, since it also asks for more and
 * notices what is lost. Closed by leat_pull_close.
 */
int leat_pull_fd(struct leat_pull *pull);
/* leat_msg_progress for all that has arrived and was not handed out yet: its AckWait runs too. */
void leat_pull_progress(struct leat_pull *pull);

enum leat_kind leat_pull_get_info(struct leat_pull *pull, struct leat_pull_info *out, struct leat_error *err)
	__attribute__((warn_unused_result));
/* The same without pulling, for onlookers. PERMANENT with not_found when there is no such durable. */
enum leat_kind leat_durable_get_info(struct leat_bus *bus, const char *stream, const char *durable, struct leat_pull_info *out,
	struct leat_error *err) __attribute__((warn_unused_result));
/* Tells in what the durable is another than leat_pull_open would make it. PERMANENT with not_found when there is no such durable. */
enum leat_kind leat_durable_compare(struct leat_bus *bus, const struct leat_pull_options *options, leat_bus_tell *tell, void *argument,
	struct leat_error *err) __attribute__((warn_unused_result));
/* OK also when there is none. Pulls that are open on it become BROKEN; the next leat_pull_open makes it again, from the first message. */
enum leat_kind leat_durable_delete(struct leat_bus *bus, const char *stream, const char *durable, struct leat_error *err)
	__attribute__((warn_unused_result));

/*
 * Settling. None of them waits; a settlement that is lost in an outage only means another delivery, so there is no error to handle.
 * ack: done. nak: deliver again after delay_ms. progress: still at it, restart AckWait.
 */
void leat_msg_ack(struct leat_bus *bus, const struct leat_msg *msg);
void leat_msg_nak(struct leat_bus *bus, const struct leat_msg *msg, int64_t delay_ms);
void leat_msg_progress(struct leat_bus *bus, const struct leat_msg *msg);

#endif
