/*
 * Finding dead letters. Tenant, noun and verb stand in the subject, by which the server finds the next one; code and time are looked at
 * here. It fails when NATS does not answer or has no such stream.
 */
#include "dead.h"

#include "leat/buf.h"
#include "leat/instant.h"
#include "leat/uuid.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading one ---- */

static const char *header(const struct leat_msg *msg, const char *name)
{
	const char *value = leat_msg_header(msg, name);
	return value != NULL ? value : "";
}

void dead_letter_read(struct dead_letter *out, const struct leat_msg *msg)
{
	*out = (struct dead_letter){
		.msg = msg,
		.intent = header(msg, "Leat-Origin-Subject"),
		.code = header(msg, "Leat-Error-Code"),
		.error = header(msg, "Leat-Error"),
		.origin_subject = header(msg, "Leat-Origin-Subject"),
		.origin_stream = header(msg, "Leat-Origin-Stream"),
		.origin_seq = header(msg, "Leat-Origin-Seq"),
		.origin_position = header(msg, "Leat-Origin-Position"),
	};
	const char *tenant = msg->subject + strlen("leat.dead.");
	size_t bytes = strcspn(tenant, ".");
	if (bytes < sizeof out->tenant && tenant[bytes] == '.') {
		memcpy(out->tenant, tenant, bytes);
		out->intent = tenant + bytes + 1;
	}
}

bool dead_parse_seq(const char *text, uint64_t *out)
{
	char *end;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out > 0 && *out <= INT64_MAX;
}

/* ---- what the flags say ---- */

static bool check_code(const char *command, const char *code)
{
	LEAT_BUF_SCOPED known = LEAT_BUF_INIT;
	if (code == NULL)
		return true;
	for (enum leat_code each = LEAT_CODE_INVALID_JSON; each <= LEAT_CODE_INTERNAL; each++) {
		if (strcmp(leat_code_name(each), code) == 0)
			return true;
		leat_buf_printf(&known, "%s%s", known.len > 0 ? ", " : "", leat_code_name(each));
	}
	return command_fail(command, false, "--code: expected one of %s, found \"%s\"", leat_buf_text(&known), code);
}

static bool choose_subject(const char *command, struct dead_filter *filter)
{
	char tenant[LEAT_UUID_TEXT_BYTES] = "*";
	struct leat_uuid id;
	const char *verb = filter->verb;
	if (filter->tenant != NULL && !leat_uuid_parse(&id, filter->tenant, strlen(filter->tenant)))
		return command_fail(command, false, "--tenant: expected a UUID, found \"%s\"", filter->tenant);
	if (filter->tenant != NULL)
		leat_uuid_format(&id, tenant);
	if (verb != NULL && filter->noun != NULL)
		return command_fail(command, false, "--noun and --verb: one of them, --verb NOUN.VERB says both");
	if (verb != NULL && strchr(verb, '.') == NULL)
		return command_fail(command, false, "--verb: expected NOUN.VERB, as in entity.merge, found \"%s\"", verb);
	if (filter->noun != NULL && strpbrk(filter->noun, ".*> ") != NULL)
		return command_fail(command, false, "--noun: expected a word, as entity, found \"%s\"", filter->noun);
	if (filter->noun != NULL)
		snprintf(filter->subject, sizeof filter->subject, "leat.dead.%s.%s.*", tenant, filter->noun);
	else if (filter->tenant != NULL || verb != NULL)
		snprintf(filter->subject, sizeof filter->subject, "leat.dead.%s.%s", tenant, verb != NULL ? verb : ">");
	else
		snprintf(filter->subject, sizeof filter->subject, "%s", DEAD_SUBJECTS);
	return true;
}

bool dead_filter_check(const char *command, struct dead_filter *filter)
{
	if (filter->since != NULL && !leat_instant_parse(&filter->since_ns, filter->since, leat_instant_now()))
		return command_fail(command, false, "--since: expected " LEAT_INSTANT_EXPECTED "; found \"%s\"", filter->since);
	filter->any = filter->tenant == NULL && filter->code == NULL && filter->noun == NULL && filter->verb == NULL && filter->since == NULL;
	return choose_subject(command, filter) && check_code(command, filter->code);
}

/* ---- finding ---- */

static bool is_wanted(struct dead_filter *filter, const struct leat_msg *msg)
{
	if (msg->timestamp_ns < filter->since_ns) {
		filter->saw_too_old = true;
		return false;
	}
	return filter->code == NULL || strcmp(header(msg, "Leat-Error-Code"), filter->code) == 0;
}

enum leat_kind dead_read(struct leat_bus *bus, struct dead_filter *filter, uint64_t *seq, uint64_t last, struct leat_msg *out, size_t most,
	size_t *count, struct leat_error *err)
{
	*count = 0;
	while (*seq <= last && *count < most) {
		struct leat_msg msg;
		if (leat_stream_get_next(bus, DEAD_STREAM, filter->subject, seq, &msg, err) != LEAT_OK) {
			*seq = last + 1;
			return err->code == LEAT_CODE_NOT_FOUND ? LEAT_OK : err->kind;
		}
		if (*seq <= last && is_wanted(filter, &msg))
			out[(*count)++] = msg;
		else
			leat_msg_free(&msg);
		++*seq;
	}
	return LEAT_OK;
}

enum leat_kind dead_read_one(struct leat_bus *bus, uint64_t seq, struct leat_msg *out, struct leat_error *err)
{
	uint64_t found = seq;
	enum leat_kind kind = leat_stream_get_next(bus, DEAD_STREAM, DEAD_SUBJECTS, &found, out, err);
	if (kind == LEAT_OK && found == seq)
		return LEAT_OK;
	if (kind == LEAT_OK)
		leat_msg_free(out);
	else if (err->code != LEAT_CODE_NOT_FOUND)
		return kind;
	return leat_fail(
		err, LEAT_PERMANENT, LEAT_CODE_NOT_FOUND, "there is no dead letter %llu; see `leat dead list`", (unsigned long long)seq);
}
