/* Questions as verify knows them from the stream, and their rows held against them. One thread. */
#ifndef LEAT_LIB_VERIFY_INTERACTION_H
#define LEAT_LIB_VERIFY_INTERACTION_H

#include "baseline.h"
#include "ids.h"
#include "reading.h"

struct verify_question {
	bool there; /* false: withdrawn */
	char *connection;
	char *user;
	struct verify_value payload;
	char *run;
	char *node;
	struct verify_value value;
	const char *status;
	int64_t position;
	int64_t created_us;
	int64_t asked_us;
	int64_t expires_us;
	int64_t claimed_us;
	size_t bytes;
	bool whole;  /* it began with what was seen */
	bool unsure; /* one that the ledger does not know was among its intents */
	bool seen;
};

struct verify_questions {
	struct verify *v;
	struct verify_ids all;
	size_t bytes;
};

/* Columns of a row, in the snapshot and in a baseline; the last in the snapshot alone. */
enum {
	VERIFY_QUESTION_TENANT,
	VERIFY_QUESTION_ID,
	VERIFY_QUESTION_CONNECTION,
	VERIFY_QUESTION_USER,
	VERIFY_QUESTION_PAYLOAD,
	VERIFY_QUESTION_RUN,
	VERIFY_QUESTION_NODE,
	VERIFY_QUESTION_STATUS,
	VERIFY_QUESTION_VALUE,
	VERIFY_QUESTION_POSITION,
	VERIFY_QUESTION_CREATED,
	VERIFY_QUESTION_ASKED,
	VERIFY_QUESTION_EXPIRES,
	VERIFY_QUESTION_CLAIMED,
	VERIFY_QUESTION_COLUMNS,
	VERIFY_QUESTION_DIRECT = VERIFY_QUESTION_COLUMNS,
};

/* The fold's comparison, with leat.interactions. */
enum leat_kind verify_compare_interactions(void *fold, struct leat_error *err);

#endif
