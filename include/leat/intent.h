/*
 * Intents and queries: from a message's bytes to a checked value, by two tables (noun, verb, fields), of those that change something and of
 * those that only ask.
 *
 * The tables are the only place that knows which messages there are and what stands in them: the decoder walks them, and the README's
 * message tables are printed from them. Decoding is pure: no I/O, no state, any thread.
 */
#ifndef LEAT_INTENT_H
#define LEAT_INTENT_H

#include "leat/buf.h"
#include "leat/error.h"
#include "leat/param.h"
#include "leat/shape.h"
#include "leat/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEAT_ID_BYTES 256    /* Leat-Id */
#define LEAT_ACTOR_BYTES 256 /* Leat-Actor */
#define LEAT_REPLY_TO_BYTES 1024
#define LEAT_BULK_IDS 1000
#define LEAT_TTL_LIMIT_S 31536000 /* a year: the longest that a question waits */

enum leat_role { LEAT_ROLE_NONE, LEAT_ROLE_USER, LEAT_ROLE_SERVICE, LEAT_ROLE_ENGINE };
const char *leat_role_name(enum leat_role role); /* "" for none */

/* ---- the table ---- */

enum leat_field_type {
	LEAT_FIELD_UUID,   /* text: 36 characters */
	LEAT_FIELD_UUIDS,  /* array of 1 to LEAT_BULK_IDS UUIDs */
	LEAT_FIELD_TYPE,   /* text: [a-z0-9_.-]{1,64} */
	LEAT_FIELD_KEY,    /* text of 1 to max_key_bytes bytes */
	LEAT_FIELD_OBJECT, /* JSON object: fields to write */
	LEAT_FIELD_NAMES,  /* array of field names */
	LEAT_FIELD_BOOL,
	LEAT_FIELD_TEXT,       /* text of 1 to `highest` bytes without control characters */
	LEAT_FIELD_LINES,      /* text of 1 to `highest` bytes */
	LEAT_FIELD_CHOICE,     /* text: one of `choices` */
	LEAT_FIELD_NUMBER,     /* whole number from `lowest` to `highest` */
	LEAT_FIELD_VALUE,      /* any JSON value */
	LEAT_FIELD_DEFINITION, /* of a workflow: what leat_workflow_check lets through */
};

struct leat_field {
	const char *name;
	enum leat_field_type type;
	bool required;
	const char *choices; /* words with a bar between them */
	int64_t lowest;
	int64_t highest;
	const char *only_with; /* NULL, or the CHOICE field that has to be there too and to say `only_when` */
	const char *only_when;
};

#define LEAT_INTENT_FIELDS 8

/* What names the target. */
enum leat_target {
	LEAT_TARGET_ID,        /* the row's first field, a UUID */
	LEAT_TARGET_ID_OR_KEY, /* the same, or else what entity_type and key make */
	LEAT_TARGET_IDS,       /* the first field, several UUIDs */
	LEAT_TARGET_NONE,      /* a list */
};

struct leat_intent_type {
	const char *noun;
	const char *verb;
	enum leat_target target;
	struct leat_field fields[LEAT_INTENT_FIELDS]; /* up to the first without a name */
	const char *about;                            /* one line for the README's table */
	const char *either[2];                        /* NULL, or the fields of which it has exactly one way: leat/either.h */
	const struct leat_shape *results[2];          /* `result` of the outcome or answer: this, or that when there are two */
};

/* The rows, in the order of the README; *count of them. Static. */
const struct leat_intent_type *leat_intent_table(size_t *count);
/* NULL when there is no such message. Names need not be terminated. */
const struct leat_intent_type *leat_intent_find(const char *noun, size_t noun_bytes, const char *verb, size_t verb_bytes);
/* The same by "NOUN.VERB"; NULL also when there is no dot. */
const struct leat_intent_type *leat_intent_find_name(const char *name);
size_t leat_intent_field_count(const struct leat_intent_type *type);
/* Markdown rows: `| intent | body | does |`. */
void leat_intent_describe(struct leat_buf *out);

/* The same of queries. */
const struct leat_intent_type *leat_query_table(size_t *count);
/* `| query | body | answers |`. */
void leat_query_describe(struct leat_buf *out);

/* ---- the subject ---- */

/* An operator's, who sends a dead letter again: `leat.redrive.<tenant>.<role>.<noun>.<verb>`. */
#define LEAT_REDRIVE_SUBJECTS "leat.redrive."

/* `leat.intent.<tenant>.<role>.<noun>.<verb>`, or a redrive's. Borrowed parts. */
struct leat_subject {
	bool routable; /* the tenant is a UUID and there are a noun and a verb; the rest is set only then */
	bool redrive;
	struct leat_uuid tenant;
	enum leat_role role; /* NONE when it is none of the three */
	const char *noun;
	size_t noun_bytes;
	const char *verb;
	size_t verb_bytes;
};

void leat_subject_parse(struct leat_subject *out, const char *subject);
/* `leat.query.<tenant>.<role>.<noun>.<verb>`, and nothing else is routable. */
void leat_subject_parse_query(struct leat_subject *out, const char *subject);

/* ---- decoding ---- */

/* What came in. All borrowed. */
struct leat_raw_intent {
	const char *subject;
	const char *body;
	size_t body_bytes;
	const char *id;          /* Leat-Id, or NULL */
	const char *actor;       /* Leat-Actor, or NULL */
	const char *reply_to;    /* Leat-Reply-To, or NULL */
	const char *traceparent; /* or NULL */
};

/* What it says. Texts are borrowed from the raw intent; `targets` and what else is heap is freed by leat_intent_fini. */
struct leat_intent {
	struct leat_subject subject;
	const struct leat_intent_type *type; /* NULL when rejected before it was known */
	const char *id;                      /* NULL for none, or when it is not a legal one */
	const char *actor;
	const char *reply_to;      /* NULL for none or one that is not allowed: then the intent is applied without a reply */
	const char *traceparent;   /* NULL for none or malformed: W3C says ignore */
	struct leat_uuid target;   /* of a single one; UUIDv5(tenant, "<entity_type>:<key>") when it was named by key */
	struct leat_uuid *targets; /* of LEAT_TARGET_IDS, sorted, each once; NULL otherwise */
	size_t target_count;
};

/*
 * LEAT_OK, or PERMANENT with the code and a text that names the field and what was expected:
 *   unknown_verb     subject names no known message
 *   too_large        body, number of fields, nesting, field name or key over its limit (struct leat_params)
 *   invalid_json     not JSON text (RFC 8259, UTF-8)
 *   invalid_message  anything else: role, unknown or missing or mistyped field, duplicate object key, NUL character, a number that a
 *                    Postgres numeric can't hold exactly, Leat-Id or Leat-Actor too long or not UTF-8
 * On PERMANENT *out is still filled as far as it was understood (subject, id, actor, reply_to), for the ledger and the reply.
 * Never TEMPORARY. leat_intent_fini in every case.
 */
enum leat_kind leat_intent_decode(struct leat_intent *out, const struct leat_raw_intent *raw, const struct leat_params *limits,
	struct leat_error *err) __attribute__((warn_unused_result));
void leat_intent_fini(struct leat_intent *intent);

/* The same for a query, on its own kind of subject. */
enum leat_kind leat_query_decode(struct leat_intent *out, const struct leat_raw_intent *raw, const struct leat_params *limits,
	struct leat_error *err) __attribute__((warn_unused_result));

#endif
