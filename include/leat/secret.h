/*
 * Secrets of tenants, as an orchestrator mounts them: files at <directory>/<tenant>/<NAME>, the tenant in lower case.
 *
 * The happy path: a set for each call, leat_secrets_get for every name that the call's headers hold, leat_secrets_redact on whatever came
 * back. A file is read when it is asked for, so that a rotated one counts at the next call. Nothing but the tenant's own file is ever
 * looked at: a name that the tenant does not have fails. No text quotes a value; memory that held one is cleared before it is freed.
 *
 * One thread at a time for a set.
 */
#ifndef LEAT_SECRET_H
#define LEAT_SECRET_H

#include "leat/buf.h"
#include "leat/error.h"
#include "leat/text.h"
#include "leat/uuid.h"

#include <stdbool.h>
#include <stddef.h>

#define LEAT_SECRET_BYTES 65536 /* longest value */

struct leat_secrets;

/* `directory` is copied; "" when none is set, and then there are no secrets at all. Never NULL. */
struct leat_secrets *leat_secrets_new(const char *directory, const struct leat_uuid *tenant);
/* Does nothing with NULL. */
void leat_secrets_free(struct leat_secrets *secrets);

/*
 * The value without one line break at its end, with a '\0' behind it, borrowed until leat_secrets_free; the same one when asked again.
 *
 * Symbolic links may lead from the tenant's directory to within it, as Kubernetes makes them (NAME -> ..data/NAME); <tenant> itself may be
 * one to ..data/<tenant>. A link that leads anywhere else is as if there were no file.
 *
 * PERMANENT, not_found or invalid_message, with the secret's name, the file's place below the directory, and what to do: no directory is
 * set, not a name (1 to 64 of A-Z a-z 0-9 _), no such file, not readable, not a file, empty, over LEAT_SECRET_BYTES, not UTF-8 or with
 * control characters (then it can't stand in a header).
 */
enum leat_kind leat_secrets_get(struct leat_secrets *secrets, struct leat_text name, struct leat_text *value, struct leat_error *err)
	__attribute__((warn_unused_result));

/*
 * Adds `text` to `out` with `[redacted]` in place of every value that was taken from the set: as it is, percent-encoded (RFC 3986, wholly
 * or in part, + for a space), escaped as in JSON, and in base64 (either alphabet, also within a longer base64 text, from eight characters
 * on). What is not a value's whole is not known as one.
 */
void leat_secrets_redact(const struct leat_secrets *secrets, struct leat_text text, struct leat_buf *out);

/*
 * The same for JSON that leat_json_check has let through: names and texts are redacted by what they say, and a number that holds a value
 * becomes the text "[redacted]", so that `out` is JSON again (in which a name may now stand twice: check it once more). False when
 * nothing was found; nothing is added to `out` then.
 */
bool leat_secrets_redact_json(const struct leat_secrets *secrets, struct leat_text json, struct leat_buf *out)
	__attribute__((warn_unused_result));

#endif
