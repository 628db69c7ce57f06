/*
 * A definition as it was read, and the steps of leat_workflow_check in their order. Each returns LEAT_OK, or PERMANENT with a text that
 * names the node and the rule; the later steps rely on what the earlier ones have let through. All pure.
 */
#ifndef LEAT_WORKFLOW_DEFINITION_H
#define LEAT_WORKFLOW_DEFINITION_H

#include "leat/workflow.h"

#include "matrix.h"

/* Nodes are known by their index; these are none of them. */
#define LEAT_NO_NODE SIZE_MAX
#define LEAT_NODE_INPUT (SIZE_MAX - 1) /* what a reference to `input` or `item` names */
#define LEAT_NODE_ITEM (SIZE_MAX - 2)

/* How nearly every fault ends. */
#define LEAT_REFUSE(err, ...) leat_fail(err, LEAT_PERMANENT, LEAT_CODE_INVALID_MESSAGE, __VA_ARGS__)

struct leat_node {
	char id[LEAT_NODE_ID_BYTES + 1];
	const struct leat_node_type *type;
	struct leat_json source;                   /* the whole node */
	struct leat_json values[LEAT_NODE_PARAMS]; /* in the order of the type's parameters; LEAT_JSON_NONE: left out */
	size_t split;                              /* below which it runs once per item, or LEAT_NO_NODE */
	size_t partner;                            /* of a split its collect, of a collect its split */
};

struct leat_reference {
	size_t node; /* where it stands */
	const struct leat_node_param *param;
	size_t target;
	struct leat_json text; /* "node#/pointer" */
};

struct leat_node_name {
	const char *id;
	size_t node;
};

/* Zero-initialise; borrows from the JSON that it was read from. */
struct leat_definition {
	struct leat_node *nodes;
	struct leat_node_name *names; /* sorted */
	size_t node_count;
	struct leat_matrix after;  /* (a, b): an edge leads from a to b */
	struct leat_matrix before; /* (b, a): the same edge */
	struct leat_matrix above;  /* (b, a): a path leads from a to b */
	size_t *order;             /* every node, each behind all those above it */
	struct leat_reference *references;
	size_t reference_count;
	size_t reference_room;
};

void leat_definition_fini(struct leat_definition *definition);
/* LEAT_NO_NODE when there is none. */
size_t leat_definition_find(const struct leat_definition *definition, struct leat_text id);
/* `; did you mean "a"?` where a node's id is near, else "". */
struct leat_excerpt leat_definition_suggest(const struct leat_definition *definition, struct leat_text id);

enum leat_kind leat_definition_read_nodes(struct leat_definition *out, const struct leat_json *nodes, const struct leat_params *limits,
	struct leat_error *err) __attribute__((warn_unused_result));
enum leat_kind leat_definition_read_edges(struct leat_definition *out, const struct leat_json *edges, struct leat_error *err)
	__attribute__((warn_unused_result));
enum leat_kind leat_definition_read_params(struct leat_definition *out, const struct leat_params *limits, struct leat_error *err)
	__attribute__((warn_unused_result));
/* Acyclic; fills in `order` and `above`. */
enum leat_kind leat_definition_sort(struct leat_definition *definition, struct leat_error *err) __attribute__((warn_unused_result));
/* Every split has its collect; fills in `split` and `partner`. */
enum leat_kind leat_definition_pair(struct leat_definition *definition, struct leat_error *err) __attribute__((warn_unused_result));
/* Every reference names what is known by then. */
enum leat_kind leat_definition_resolve(const struct leat_definition *definition, struct leat_error *err)
	__attribute__((warn_unused_result));

#endif
