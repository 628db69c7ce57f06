/*
 * Embeddings: what goes to an OpenAI-compatible endpoint and what may come back. Pure; any thread.
 *
 * The happy path: inputs become a request, its answer becomes a vector for each input. It fails when the answer is not exactly that; what
 * the lane does about it (and about any other end of a call) is decided by leat_embed_judge alone.
 */
#ifndef LEAT_EMBED_H
#define LEAT_EMBED_H

#include "leat/buf.h"
#include "leat/error.h"
#include "leat/http.h"

#include <stddef.h>

#define LEAT_EMBED_INPUTS 64        /* most in one request */
#define LEAT_EMBED_DIMENSIONS 16000 /* most numbers in a vector */

/* {"model":"…","input":["…",…]}. The texts are UTF-8. */
void leat_embed_write_request(struct leat_buf *out, const char *model, const char *const *inputs, size_t count);

/*
 * Reads {"data":[{"index":0,"embedding":[…]},…]}, in any order, other members ignored. vectors[i] is then the one of input i as Postgres
 * writes a real[]: {0.25,-1}. TEMPORARY, and the vectors are the caller's to free all the same: no JSON, an index missing, repeated or out
 * of range, vectors empty, too long or of different lengths, something in them that is no number or not finite as a real.
 */
enum leat_kind leat_embed_read_answer(const char *body, size_t body_bytes, size_t count, struct leat_buf *vectors, struct leat_error *err)
	__attribute__((warn_unused_result));

/* What a call's end means for its inputs. */
enum leat_embed_verdict {
	LEAT_EMBED_READ,    /* the answer is to be read */
	LEAT_EMBED_LATER,   /* the endpoint is not well: again later */
	LEAT_EMBED_SLOWER,  /* it is, and asks for patience: again, not before Retry-After */
	LEAT_EMBED_APART,   /* it refuses this request: one of the inputs is to blame, or all are */
	LEAT_EMBED_NOT_SET, /* it refuses any request: somebody has to mend the settings */
};

enum leat_embed_verdict leat_embed_judge(enum leat_http_end end, int status);

/* What to do about NOT_SET, for people; a static text. */
const char *leat_embed_advice(int status);

#endif
