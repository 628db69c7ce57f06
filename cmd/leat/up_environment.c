/* The settings as environment variables, made from the table of settings (leat/param.h). */
#include "up.h"

#include "leat/buf.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SETTING(field, ...) SETTING_##field,
enum { LEAT_PARAMS(SETTING, SETTING, SETTING) SETTINGS };

static struct leat_buf variable(const char *field)
{
	struct leat_buf line = LEAT_BUF_INIT;
	leat_buf_add_text(&line, "LEAT_");
	for (const char *at = field; *at != '\0'; at++)
		leat_buf_printf(&line, "%c", toupper((unsigned char)*at));
	leat_buf_add_text(&line, "=");
	return line;
}

static char *text_line(const char *field, const char *value)
{
	struct leat_buf line = variable(field);
	leat_buf_add_text(&line, value);
	return leat_buf_take(&line);
}

static char *number_line(const char *field, int64_t value)
{
	struct leat_buf line = variable(field);
	leat_buf_printf(&line, "%" PRId64, value);
	return leat_buf_take(&line);
}

void up_environment_init(
	struct up_environment *out, const struct leat_params *params, const char *nats_url, const char *database_url, const char *migrate_url)
{
	struct leat_params theirs = *params;
	theirs.nats_url = nats_url;
	theirs.database_url = database_url;
	theirs.migrate_url = migrate_url;
	const char **logins[] = {&theirs.nats_creds, &theirs.nats_nkey, &theirs.nats_user, &theirs.nats_password, &theirs.nats_inbox_prefix,
		&theirs.nats_tls_ca, &theirs.nats_tls_cert, &theirs.nats_tls_key}; /* of other servers than these, which ask for none */
	for (size_t i = 0; i < sizeof logins / sizeof *logins; i++)
		*logins[i] = "";
	size_t count = 0;
	out->lines = leat_alloc_zero(SETTINGS + 1, sizeof *out->lines);
#define TEXT_LINE(field, ...) out->lines[count++] = text_line(#field, theirs.field);
#define NUMBER_LINE(field, ...) out->lines[count++] = number_line(#field, theirs.field);
	LEAT_PARAMS(TEXT_LINE, NUMBER_LINE, TEXT_LINE)
}

void up_environment_fini(struct up_environment *environment)
{
	for (size_t i = 0; environment->lines != NULL && environment->lines[i] != NULL; i++)
		free((char *)environment->lines[i]);
	free(environment->lines);
}
