/*
 * Shapes: what stands in the objects that Leat writes (results, answers, the data of events), as data, so that the schemas are made of the
 * rows of the tables that name them. What Leat reads is in the tables themselves (leat/intent.h, leat/workflow.h).
 */
#ifndef LEAT_SHAPE_H
#define LEAT_SHAPE_H

#include <stdint.h>

enum leat_member_type {
	LEAT_MEMBER_UUID,
	LEAT_MEMBER_TEXT,
	LEAT_MEMBER_TIME,   /* text, RFC 3339 */
	LEAT_MEMBER_COUNT,  /* whole number from 0 on */
	LEAT_MEMBER_TRUE,   /* true; otherwise the member is not there */
	LEAT_MEMBER_CHOICE, /* text: one of `choices` */
	LEAT_MEMBER_VALUE,  /* any JSON value, null too */
	LEAT_MEMBER_FIELDS, /* object: an entity's fields */
	LEAT_MEMBER_TEXTS,  /* array of texts */
	LEAT_MEMBER_UUIDS,
	LEAT_MEMBER_NODES,  /* array of objects: nodes of a workflow */
	LEAT_MEMBER_EDGES,  /* array of pairs of texts */
	LEAT_MEMBER_OBJECT, /* of `shape` */
	LEAT_MEMBER_LIST,   /* array of `shape` */
	LEAT_MEMBER_MAP,    /* object whose members, whatever their names, are of `shape`, or texts where it is NULL */
	LEAT_MEMBER_SKIPPED /* of a bulk: entity ids, and with each an array of texts */
};

enum leat_presence {
	LEAT_ALWAYS,
	LEAT_NULLABLE,  /* there, perhaps null */
	LEAT_SOMETIMES, /* may be left out */
};

struct leat_member {
	const char *name;
	enum leat_member_type type;
	enum leat_presence presence;
	const char *choices; /* words with a bar between them */
	const struct leat_shape *shape;
};

#define LEAT_SHAPE_MEMBERS 16

struct leat_shape {
	const char *about;
	struct leat_member members[LEAT_SHAPE_MEMBERS]; /* up to the first without a name */
};

#endif
