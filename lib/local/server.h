/* What differs between kinds of servers: server.c walks through it. */
#ifndef LEAT_LOCAL_SERVER_H
#define LEAT_LOCAL_SERVER_H

#include "leat/local.h"

struct leat_server_type {
	const char *name; /* "postgres": its data is in <folder>/<name>, its log in <folder>/<name>.log */
	int stop_signal;
	int64_t stop_ms;
	const char *pid_file; /* below the data folder; its first line is the pid */
	/* Makes server->data, an absolute path, ready for a start. */
	enum leat_kind (*prepare)(struct leat_server *server, const char *folder, struct leat_error *err);
	enum leat_kind (*launch)(struct leat_server *server, struct leat_error *err);
	/* Whether this very process, and no other at that port, takes clients. */
	bool (*ready)(const struct leat_server *server);
	void (*set_url)(struct leat_server *server);
};

#define LEAT_SERVER_ARGUMENTS 48
/* Puts server->more behind the arguments in argv, up to NULL. */
void leat_server_add_arguments(const struct leat_server *server, const char *argv[LEAT_SERVER_ARGUMENTS]);

extern const struct leat_server_type leat_server_nats;
extern const struct leat_server_type leat_server_postgres;

/* Whether a listener on 127.0.0.1 could have it now. */
bool leat_port_free(int port);
/* A free one that no outgoing connection will take by chance. Aborts when 1,000 tries find none. */
int leat_port_pick(void);

bool leat_user_find(const char *name, uid_t *uid, gid_t *gid);

/* Reads at most bytes - 1 of the file; "" when it can't be read. Returns the length. */
size_t leat_read_file(const char *path, char *out, size_t bytes);

#endif
