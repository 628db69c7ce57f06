/*
 * Connecting, and staying connected.
 *
 * The happy path: two connections (internal.h tells why), each reconnecting by itself for ever with growing, jittered delays. What the
 * library reports through its callbacks, on threads of its own, is counted or logged and nothing else.
 *
 * Possible failure modes are: no server answers the first time (TEMPORARY, the caller tries again); a connection is lost (counted; pulls
 * and stores under way notice by the count); the library gives up, which it does after two refused logins in a row (logged as an error;
 * every call is PERMANENT from then on, and the owner opens another).
 */
#include "internal.h"

#include "leat/log.h"

#include <stdlib.h>
#include <string.h>

#define PING_INTERVAL_MS 10000 /* two unanswered: the connection is dead */
#define CLOSE_FLUSH_MS 1000
#define SERVERS 32

uint64_t bus_link_losses(const struct bus_link *link)
{
	return atomic_load(&link->losses);
}

bool bus_link_connected(const struct bus_link *link)
{
	return natsConnection_Status(link->nats) == NATS_CONN_STATUS_CONNECTED;
}

/* ---- what the library tells ---- */

static void on_lost(natsConnection *nats, void *closure)
{
	(void)nats;
	struct bus_link *link = closure;
	atomic_fetch_add(&link->losses, 1);
	if (link->speaks && !atomic_load(&link->bus->closing))
		leat_log(LEAT_LOG_WARN, "bus", "connection to nats-server lost; trying to reconnect");
}

static void on_returned(natsConnection *nats, void *closure)
{
	(void)nats;
	struct bus_link *link = closure;
	atomic_fetch_add(&link->returns, 1);
	if (link->speaks)
		leat_log(LEAT_LOG_INFO, "bus", "connected to nats-server again");
}

static void on_ended(natsConnection *nats, void *closure)
{
	struct bus_link *link = closure;
	const char *text = NULL;
	if (!atomic_load(&link->bus->closing) && !atomic_exchange(&link->bus->end_told, true)) {
		natsConnection_GetLastError(nats, &text);
		leat_log(LEAT_LOG_ERROR, "bus", "connection to nats-server is closed for good: %s", text != NULL ? text : "no reason given");
	}
	sem_post(&link->ended);
}

/* Here and nowhere else does one learn that a publish or a subscription was not permitted. */
static void on_error(natsConnection *nats, natsSubscription *subscription, natsStatus status, void *closure)
{
	(void)subscription;
	struct bus_link *link = closure;
	const char *text = NULL;
	natsConnection_GetLastError(nats, &text);
	bus_complain(link->bus, "nats-server or its library reports: %s%s%s", natsStatus_GetText(status),
		text != NULL && *text != '\0' ? ": " : "", text != NULL ? text : "");
}

static int64_t reconnect_delay(natsConnection *nats, int attempts, void *closure)
{
	(void)nats;
	struct bus_link *link = closure;
	if (attempts <= 1)
		link->backoff.next_ms = 0;
	return leat_backoff_delay_ms(&link->backoff);
}

/* ---- opening ---- */

void leat_bus_options_init(struct leat_bus_options *out, const struct leat_params *params, const char *name)
{
	*out = (struct leat_bus_options){
		.url = params->nats_url,
		.name = name,
		.creds = params->nats_creds,
		.nkey = params->nats_nkey,
		.user = params->nats_user,
		.password = params->nats_password,
		.inbox_prefix = params->nats_inbox_prefix,
		.tls_ca = params->nats_tls_ca,
		.tls_cert = params->nats_tls_cert,
		.tls_key = params->nats_tls_key,
		.request_timeout_ms = params->publish_timeout_ms,
		.retry_first_ms = params->retry_first_ms,
		.retry_limit_ms = params->retry_limit_ms,
	};
}

static natsStatus set_servers(natsOptions *options, char *list)
{
	const char *servers[SERVERS];
	int count = 0;
	char *rest = list;
	for (char *url = strtok_r(list, ", ", &rest); url != NULL && count < SERVERS; url = strtok_r(NULL, ", ", &rest))
		servers[count++] = url;
	return count > 0 ? natsOptions_SetServers(options, servers, count) : NATS_ADDRESS_MISSING;
}

static natsStatus set_options(natsOptions *options, struct bus_link *link, const struct bus_login *login, bool prompt)
{
	const struct leat_bus_options *wanted = login->wanted;
	char *list = leat_strdup(wanted->url);
	natsStatus s = set_servers(options, list);
	free(list);
	if (s == NATS_OK && wanted->name != NULL)
		s = natsOptions_SetName(options, wanted->name);
	if (s == NATS_OK)
		s = bus_login_set(options, login);
	if (s == NATS_OK)
		s = natsOptions_SetTimeout(options, wanted->request_timeout_ms);
	if (s == NATS_OK)
		s = natsOptions_SetWriteDeadline(options, wanted->request_timeout_ms);
	if (s == NATS_OK)
		s = natsOptions_SetPingInterval(options, PING_INTERVAL_MS);
	if (s == NATS_OK)
		s = natsOptions_SetMaxReconnect(options, -1);
	if (s == NATS_OK)
		s = natsOptions_SetCustomReconnectDelay(options, reconnect_delay, link);
	if (s == NATS_OK)
		s = natsOptions_SetSendAsap(options, prompt);
	if (s == NATS_OK)
		s = natsOptions_SetDisconnectedCB(options, on_lost, link);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectedCB(options, on_returned, link);
	if (s == NATS_OK)
		s = natsOptions_SetClosedCB(options, on_ended, link);
	if (s == NATS_OK)
		s = natsOptions_SetErrorHandler(options, on_error, link);
	return s;
}

static natsStatus link_open(struct bus_link *link, struct leat_bus *bus, const struct bus_login *login, bool prompt)
{
	link->bus = bus;
	link->speaks = prompt;
	link->backoff = (struct leat_backoff){.first_ms = login->wanted->retry_first_ms, .limit_ms = login->wanted->retry_limit_ms};
	sem_init(&link->ended, 0, 0);
	natsOptions *options = NULL;
	natsStatus s = natsOptions_Create(&options);
	if (s == NATS_OK)
		s = set_options(options, link, login, prompt);
	if (s == NATS_OK)
		s = natsConnection_Connect(&link->nats, options);
	natsOptions_Destroy(options);
	return s;
}

/* Waits for the library's last callback, so that none finds a bus that was freed. */
static void link_close(struct bus_link *link)
{
	if (link->nats != NULL) {
		if (bus_link_connected(link))
			natsConnection_FlushTimeout(link->nats, CLOSE_FLUSH_MS);
		natsConnection_Close(link->nats);
		while (sem_wait(&link->ended) != 0)
			continue;
		natsConnection_Destroy(link->nats);
	}
	if (link->bus != NULL)
		sem_destroy(&link->ended);
}

enum leat_kind leat_bus_open(struct leat_bus **out, const struct leat_bus_options *options, struct leat_error *err)
{
	*out = NULL;
	struct bus_login login;
	if (bus_login_prepare(&login, options, err) != LEAT_OK)
		return err->kind;
	struct leat_bus *bus = leat_alloc_zero(1, sizeof *bus);
	bus->request_timeout_ms = options->request_timeout_ms;
	bool prefixed = options->inbox_prefix != NULL && *options->inbox_prefix != '\0';
	bus->inbox_prefix = leat_strdup(prefixed ? options->inbox_prefix : "_INBOX");
	pthread_mutex_init(&bus->complaints_lock, NULL);
	natsStatus s = link_open(&bus->prompt, bus, &login, true);
	if (s == NATS_OK)
		s = link_open(&bus->bulk, bus, &login, false);
	if (s == NATS_OK)
		s = bus_store_open(bus);
	if (s != NATS_OK) {
		bus_login_fail(err, s, &login);
		leat_bus_close(bus);
		return err->kind;
	}
	*out = bus;
	return LEAT_OK;
}

void leat_bus_close(struct leat_bus *bus)
{
	if (bus == NULL)
		return;
	bus_store_close(bus);
	atomic_store(&bus->closing, true);
	link_close(&bus->bulk);
	link_close(&bus->prompt);
	pthread_mutex_destroy(&bus->complaints_lock);
	free(bus->inbox_prefix);
	free(bus);
}

/* ---- asking about it ---- */

bool leat_bus_connected(const struct leat_bus *bus)
{
	return bus_link_connected(&bus->prompt) && bus_link_connected(&bus->bulk);
}

bool leat_bus_closed(const struct leat_bus *bus)
{
	return natsConnection_IsClosed(bus->prompt.nats) || natsConnection_IsClosed(bus->bulk.nats);
}

uint64_t leat_bus_reconnects(const struct leat_bus *bus)
{
	return atomic_load(&bus->prompt.returns);
}

size_t leat_bus_max_payload(const struct leat_bus *bus)
{
	int64_t bytes = natsConnection_GetMaxPayload(bus->prompt.nats);
	return bytes > 0 ? (size_t)bytes : 0;
}

enum leat_kind leat_bus_flush(struct leat_bus *bus, struct leat_error *err)
{
	natsStatus s = natsConnection_FlushTimeout(bus->bulk.nats, bus->request_timeout_ms);
	if (s == NATS_OK)
		s = natsConnection_FlushTimeout(bus->prompt.nats, bus->request_timeout_ms);
	return s == NATS_OK ? LEAT_OK : bus_fail(err, s, "flushing to nats-server");
}
