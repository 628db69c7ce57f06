/*
 * How a call ended, and what the caller does about it.
 *
 * The kind is the decision: nothing wrong -> go on (acknowledge); temporary -> try again later, the message is not at
 * fault; permanent -> it will never work (dead letter). A bug is none of these: it asserts and aborts, in release builds too.
 */
#ifndef LEAT_ERROR_H
#define LEAT_ERROR_H

#include <stdarg.h>

enum leat_kind { LEAT_OK, LEAT_TEMPORARY, LEAT_PERMANENT };

/* The codes of design.md section 3, in its order; leat_code_name() gives their spelling on the wire and in the ledger. */
enum leat_code {
	LEAT_CODE_NONE,
	LEAT_CODE_INVALID_JSON,
	LEAT_CODE_INVALID_MESSAGE,
	LEAT_CODE_UNKNOWN_VERB,
	LEAT_CODE_TOO_LARGE,
	LEAT_CODE_NOT_FOUND,
	LEAT_CODE_DELETED,
	LEAT_CODE_WRONG_TENANT,
	LEAT_CODE_WORKFLOW_DELETED,
	LEAT_CODE_FORBIDDEN,
	LEAT_CODE_CONFLICT,
	LEAT_CODE_ALREADY_CLAIMED,
	LEAT_CODE_INTERNAL,
};

/* Owned by the caller; nothing in it needs freeing. `text` is for people and says what to do next. */
struct leat_error {
	enum leat_kind kind;
	enum leat_code code;
	char text[512];
};

/* "" for LEAT_CODE_NONE. Static strings. Any thread. */
const char *leat_code_name(enum leat_code code);

/* Fills *err and returns `kind`, so that a function can `return leat_fail(...)`. Long texts are cut on a UTF-8 boundary. */
enum leat_kind leat_fail(struct leat_error *err, enum leat_kind kind, enum leat_code code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Puts a phrase and ": " before the text of an error on its way up; returns its kind. */
enum leat_kind leat_fail_while(struct leat_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
