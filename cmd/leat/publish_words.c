/*
 * The words of `leat publish`: NOUN.VERB and FILE, either or both. One alone is a file when there is one called so.
 *
 * It fails when a word is neither, or names no message that there is: better now than as a dead letter.
 */
#include "publish.h"

#include "leat/intent.h"
#include "leat/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "did you mean entity.merge?", or all that there are. */
static void add_hint(struct leat_buf *out, const char *word)
{
	size_t count;
	const struct leat_intent_type *table = leat_intent_table(&count);
	LEAT_BUF_SCOPED all = LEAT_BUF_INIT;
	LEAT_BUF_SCOPED name = LEAT_BUF_INIT;
	for (size_t i = 0; i < count; i++) {
		leat_buf_clear(&name);
		leat_buf_printf(&name, "%s.%s", table[i].noun, table[i].verb);
		if (leat_text_is_near((struct leat_text){word, strlen(word)}, leat_buf_text(&name))) {
			leat_buf_printf(out, "did you mean %s?", leat_buf_text(&name));
			return;
		}
		leat_buf_printf(&all, "%s%s", i > 0 ? ", " : "", leat_buf_text(&name));
	}
	leat_buf_printf(out, "there are %s (`leat help messages`)", leat_buf_text(&all));
}

static enum leat_kind refuse(const char *word, const char *because, struct leat_error *err)
{
	LEAT_BUF_SCOPED hint = LEAT_BUF_INIT;
	add_hint(&hint, word);
	return leat_fail(err, LEAT_PERMANENT, LEAT_CODE_UNKNOWN_VERB, "%s%s; %s", leat_excerpt((struct leat_text){word, strlen(word)}).text,
		because, leat_buf_text(&hint));
}

static bool is_file(const char *word)
{
	return strcmp(word, "-") == 0 || access(word, F_OK) == 0;
}

enum leat_kind publish_take_words(struct publish_defaults *says, const char **path, int argc, char **argv, struct leat_error *err)
{
	*path = NULL;
	if (argc == 1)
		return LEAT_OK;
	if (argc == 2 && is_file(argv[1])) {
		*path = argv[1];
		return LEAT_OK;
	}
	if (argc == 2 && leat_intent_find_name(argv[1]) == NULL)
		return refuse(argv[1], " is neither a NOUN.VERB nor a file", err);
	says->intent = argv[1];
	*path = argc > 2 ? argv[2] : NULL;
	if (publish_defaults_check(says, err) != LEAT_OK)
		return err->kind;
	return leat_intent_find_name(says->intent) != NULL ? LEAT_OK : refuse(says->intent, " is no message that there is", err);
}
