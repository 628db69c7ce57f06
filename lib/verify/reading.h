/* JSON values taken apart, as the folds of workflows and runs need it. Only checked JSON. Pure; any thread. */
#ifndef LEAT_LIB_VERIFY_READING_H
#define LEAT_LIB_VERIFY_READING_H

#include "verify.h"

#define VERIFY_NEVER INT64_MIN /* a time that is not */

size_t verify_items(const struct leat_json *array);
/* The item at that place; LEAT_JSON_NONE behind the last. */
struct leat_json verify_item(const struct leat_json *array, size_t place);
/* What a string says, the caller's to free(). NULL for LEAT_JSON_NONE and null; of another value its source. */
char *verify_copy_text(const struct leat_json *value);
/* A copy of the source, the caller's to free(); NULL for LEAT_JSON_NONE. */
char *verify_copy_source(const struct leat_json *value);
/* A whole number of at most 18 digits; `otherwise` for anything else. */
int64_t verify_number(const struct leat_json *value, int64_t otherwise);
/* A UUID in lower case, like verify_copy_text; what is none stays as it is. */
char *verify_copy_uuid(const struct leat_json *value);
/* A time, microseconds since 1970, as JSON text: "2023-11-14T22:13:20.005000Z", or null. */
void verify_print_time(int64_t at_us, struct leat_buf *out);
/* A text as a JSON string, quotes and all. */
void verify_add_string(struct leat_buf *out, const char *text);

#endif
