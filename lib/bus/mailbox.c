/*
 * A subscription and what has arrived on it.
 *
 * The library's thread puts each message into `arriving`; the owner takes the whole queue at once and works from `own`, so that the two
 * meet at the lock once a burst and not once a message.
 *
 * Why not the library's own queue (natsConnection_SubscribeSync): 3.4.1 throws away any empty message with a header `Status: 503`, which
 * any producer can write; from a stream it would come again for ever and never be settled.
 *
 * Ending is the delicate part: destroying a subscription while a message arrives crashes 3.4.1. It is drained first, so that the server
 * confirms that nothing more will come, and destroyed after the library's last callback.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DRAIN_MS 2000
#define UNLIMITED (-1)

struct queue {
	struct leat_msg *messages;
	size_t first;
	size_t end;
	size_t cap;
};

struct bus_mailbox {
	natsSubscription *subscription; /* NULL once it has ended */
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	struct queue arriving; /* under the lock */
	int arrived_fd;        /* readable while `arriving` holds something; -1: nobody asked for it. Under the lock */
	struct queue own;
	struct bus_trash trash; /* of the library's thread, while that calls */
	sem_t ended;
};

static void queue_put(struct queue *queue, const struct leat_msg *msg)
{
	if (queue->end == queue->cap) {
		queue->cap = queue->cap > 0 ? queue->cap * 2 : 16;
		queue->messages = leat_realloc(queue->messages, queue->cap * sizeof *queue->messages);
	}
	queue->messages[queue->end++] = *msg;
}

static bool queue_take(struct queue *queue, struct leat_msg *out)
{
	if (queue->first == queue->end)
		return false;
	*out = queue->messages[queue->first++];
	return true;
}

static void queue_free(struct queue *queue)
{
	struct leat_msg msg;
	while (queue_take(queue, &msg))
		leat_msg_free(&msg);
	free(queue->messages);
}

/* ---- the library's thread ---- */

static void ring(int fd)
{
	if (fd >= 0 && eventfd_write(fd, 1) != 0)
		abort();
}

static void on_message(natsConnection *nats, natsSubscription *subscription, natsMsg *message, void *closure)
{
	(void)nats;
	(void)subscription;
	struct bus_mailbox *mailbox = closure;
	struct leat_msg msg;
	bus_message_copy(&msg, message);
	bus_trash_add(&mailbox->trash, message);
	pthread_mutex_lock(&mailbox->lock);
	bool first = mailbox->arriving.end == 0;
	queue_put(&mailbox->arriving, &msg);
	if (first)
		ring(mailbox->arrived_fd);
	pthread_mutex_unlock(&mailbox->lock);
	if (first)
		pthread_cond_signal(&mailbox->arrived);
}

static void on_complete(void *closure)
{
	struct bus_mailbox *mailbox = closure;
	sem_post(&mailbox->ended);
}

/* ---- the owner's ---- */

static struct timespec deadline_in(int64_t ms)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += ms % 1000 * BUS_NS_PER_MS;
	if (at.tv_nsec >= 1000 * BUS_NS_PER_MS) {
		at.tv_sec++;
		at.tv_nsec -= 1000 * BUS_NS_PER_MS;
	}
	return at;
}

int bus_mailbox_fd(struct bus_mailbox *mailbox)
{
	pthread_mutex_lock(&mailbox->lock);
	if (mailbox->arrived_fd < 0) {
		mailbox->arrived_fd = eventfd(mailbox->arriving.end > 0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (mailbox->arrived_fd < 0)
			abort();
	}
	pthread_mutex_unlock(&mailbox->lock);
	return mailbox->arrived_fd;
}

/* `arriving` is about to be empty. */
static void hush(struct bus_mailbox *mailbox)
{
	eventfd_t rings;
	if (mailbox->arrived_fd >= 0 && mailbox->arriving.end > 0 && eventfd_read(mailbox->arrived_fd, &rings) != 0)
		abort();
}

/* Exchanges the empty own queue for what has arrived. */
static void fetch(struct bus_mailbox *mailbox, int64_t timeout_ms)
{
	pthread_mutex_lock(&mailbox->lock);
	if (mailbox->arriving.end == 0 && timeout_ms > 0) {
		struct timespec deadline = deadline_in(timeout_ms);
		int waited = 0;
		while (mailbox->arriving.end == 0 && waited == 0)
			waited = pthread_cond_timedwait(&mailbox->arrived, &mailbox->lock, &deadline);
	}
	hush(mailbox);
	struct queue emptied = mailbox->own;
	emptied.first = 0;
	emptied.end = 0;
	mailbox->own = mailbox->arriving;
	mailbox->arriving = emptied;
	pthread_mutex_unlock(&mailbox->lock);
}

bool bus_mailbox_take(struct bus_mailbox *mailbox, int64_t timeout_ms, struct leat_msg *out)
{
	if (queue_take(&mailbox->own, out))
		return true;
	fetch(mailbox, timeout_ms);
	return queue_take(&mailbox->own, out);
}

const struct leat_msg *bus_mailbox_peek(struct bus_mailbox *mailbox, size_t *count)
{
	struct queue *own = &mailbox->own;
	*count = own->end - own->first;
	if (*count > 0)
		memmove(own->messages, own->messages + own->first, *count * sizeof *own->messages);
	own->first = 0;
	own->end = *count;

	struct leat_msg msg;
	pthread_mutex_lock(&mailbox->lock);
	hush(mailbox);
	while (queue_take(&mailbox->arriving, &msg))
		queue_put(own, &msg);
	mailbox->arriving.first = 0;
	mailbox->arriving.end = 0;
	pthread_mutex_unlock(&mailbox->lock);
	*count = own->end;
	return own->messages;
}

static natsStatus subscribe(struct bus_mailbox *mailbox, struct bus_link *link, const char *subject, const char *group)
{
	if (group != NULL)
		return natsConnection_QueueSubscribe(&mailbox->subscription, link->nats, subject, group, on_message, mailbox);
	return natsConnection_Subscribe(&mailbox->subscription, link->nats, subject, on_message, mailbox);
}

natsStatus bus_mailbox_open(struct bus_mailbox **out, struct bus_link *link, const char *subject, const char *group)
{
	struct bus_mailbox *mailbox = leat_alloc_zero(1, sizeof *mailbox);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&mailbox->lock, NULL);
	pthread_cond_init(&mailbox->arrived, &monotonic);
	pthread_condattr_destroy(&monotonic);
	mailbox->arrived_fd = -1;
	sem_init(&mailbox->ended, 0, 0);
	natsStatus s = subscribe(mailbox, link, subject, group);
	if (s == NATS_OK) {
		s = natsSubscription_SetOnCompleteCB(mailbox->subscription, on_complete, mailbox);
		if (s != NATS_OK) { /* closed already; without that callback there is nothing to wait for */
			natsSubscription_Destroy(mailbox->subscription);
			mailbox->subscription = NULL;
		}
	}
	if (s == NATS_OK)
		s = natsSubscription_SetPendingLimits(mailbox->subscription, UNLIMITED, UNLIMITED);
	if (s != NATS_OK) {
		bus_mailbox_free(mailbox);
		return s;
	}
	*out = mailbox;
	return NATS_OK;
}

void bus_mailbox_end(struct bus_mailbox *mailbox)
{
	if (mailbox->subscription == NULL)
		return;
	natsSubscription_DrainTimeout(mailbox->subscription, DRAIN_MS);
	while (sem_wait(&mailbox->ended) != 0)
		continue;
	natsSubscription_Destroy(mailbox->subscription);
	mailbox->subscription = NULL;
}

void bus_mailbox_free(struct bus_mailbox *mailbox)
{
	if (mailbox == NULL)
		return;
	bus_mailbox_end(mailbox);
	bus_trash_empty(&mailbox->trash);
	queue_free(&mailbox->arriving);
	queue_free(&mailbox->own);
	if (mailbox->arrived_fd >= 0)
		close(mailbox->arrived_fd);
	sem_destroy(&mailbox->ended);
	pthread_cond_destroy(&mailbox->arrived);
	pthread_mutex_destroy(&mailbox->lock);
	free(mailbox);
}

natsStatus bus_inbox_name(const struct leat_bus *bus, char out[BUS_INBOX_BYTES])
{
	natsInbox *inbox = NULL;
	natsStatus s = natsInbox_Create(&inbox);
	if (s == NATS_OK)
		snprintf(out, BUS_INBOX_BYTES, "%s%s", bus->inbox_prefix, strchr(inbox, '.')); /* "_INBOX.<unique>", whatever the options say */
	natsInbox_Destroy(inbox);
	return s;
}
