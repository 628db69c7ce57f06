/* A workflow's definition as the graph that runs walk, read anew from what was saved. Pure; any thread. */
#ifndef LEAT_LIB_VERIFY_GRAPH_H
#define LEAT_LIB_VERIFY_GRAPH_H

#include "leat/workflow.h"

#define VERIFY_NO_NODE SIZE_MAX

struct verify_node {
	char *id;
	enum leat_node_kind kind;
	size_t *needs; /* nodes that an edge leads from */
	size_t need_count;
	size_t split;           /* the split that it runs below, once per item; or VERIFY_NO_NODE */
	size_t partner;         /* of a split its collect, of a collect its split; or VERIFY_NO_NODE */
	struct leat_json items; /* of a split: what it fans out, as saved; borrowed from `text` */
};

/* Zero-initialise. Nodes stand in the order in which they can run: each behind all that it needs. */
struct verify_graph {
	char *text;
	struct verify_node *nodes;
	size_t count;
};

/* False: `definition`, JSON text, is no workflow that can run, and the graph stays empty. */
bool verify_graph_read(struct verify_graph *out, const char *definition) __attribute__((warn_unused_result));
void verify_graph_fini(struct verify_graph *graph);
/* VERIFY_NO_NODE when there is none. */
size_t verify_graph_find(const struct verify_graph *graph, struct leat_text id);

#endif
