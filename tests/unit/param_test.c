#include "leat/buf.h"
#include "leat/param.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct leat_params defaults(void)
{
	struct leat_params params;
	leat_params_init(&params);
	return params;
}

/* Takes the flags of a command line, given as words up to NULL; returns how many words are left. */
static int take(struct leat_params *params, char **words, enum leat_kind *kind, struct leat_error *err)
{
	int count = 0;
	while (words[count] != NULL)
		count++;
	*kind = leat_params_take_flags(params, &count, words, err);
	return count;
}

Test(param, defaults_are_those_of_the_table)
{
	struct leat_params params = defaults();
	cr_expect_str_eq(params.nats_url, "nats://127.0.0.1:4222");
	cr_expect_str_eq(params.database_url, "");
	cr_expect(params.batch == 1000);
	cr_expect(params.max_body_bytes == 524288);
	cr_expect(params.max_fields == 1000 && params.max_nesting == 64 && params.max_field_name_bytes == 256 && params.max_key_bytes == 512);
}

Test(param, every_default_is_within_its_range)
{
#define IGNORE_TEXT(...)
#define IN_RANGE(field, fallback, lowest, highest, unit, about) cr_expect((fallback) >= (lowest) && (fallback) <= (highest), "%s", #field);
	LEAT_PARAMS(IGNORE_TEXT, IN_RANGE, IGNORE_TEXT)
}

Test(param, flags_are_taken_out_and_the_rest_keeps_its_order)
{
	struct leat_params params = defaults();
	struct leat_error err;
	enum leat_kind kind;
	char *words[] = {"entity.merge", "--batch", "7", "--tenant", "t", "--queue-group=other", "-", "file", NULL};
	int left = take(&params, words, &kind, &err);
	cr_assert(kind == LEAT_OK);
	cr_expect(params.batch == 7);
	cr_expect_str_eq(params.queue_group, "other");
	static const char *const kept[] = {"entity.merge", "--tenant", "t", "-", "file"};
	cr_assert(left == 5);
	for (int i = 0; i < left; i++)
		cr_expect_str_eq(words[i], kept[i]);
}

Test(param, nothing_is_taken_behind_two_dashes)
{
	struct leat_params params = defaults();
	struct leat_error err;
	enum leat_kind kind;
	char *words[] = {"--", "--batch", "7", NULL};
	cr_expect(take(&params, words, &kind, &err) == 3);
	cr_expect(kind == LEAT_OK && params.batch == 1000);
}

Test(param, a_flag_is_known_by_its_whole_name_only)
{
	struct leat_params params = defaults();
	struct leat_error err;
	enum leat_kind kind;
	char *words[] = {"--bat", "7", "--batches=7", "--max_fields=7", "batch", "-batch", NULL};
	cr_expect(take(&params, words, &kind, &err) == 6);
	cr_expect(kind == LEAT_OK && params.batch == 1000 && params.max_fields == 1000);
}

Test(param, ranges_hold_at_both_edges)
{
	static const struct {
		const char *value;
		bool good;
	} cases[] = {{"1000", true}, {"999", false}, {"10000", true}, {"10001", false}, {"-1", false}, {"", false}, {"1e3", false},
		{"5000 ", false}, {" 5000", false}, {"+5000", false}, {"5000ms", false}, {"99999999999999999999", false}, {"05000", true}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct leat_params params = defaults();
		struct leat_error err;
		enum leat_kind kind;
		char flag[64];
		snprintf(flag, sizeof flag, "--ack-wait-ms=%s", cases[i].value);
		char *words[] = {flag, NULL};
		take(&params, words, &kind, &err);
		cr_expect(kind == (cases[i].good ? LEAT_OK : LEAT_PERMANENT), "%s", flag);
		if (cases[i].good)
			continue;
		cr_expect(params.ack_wait_ms == 10000);
		cr_expect(
			strstr(err.text, "--ack-wait-ms") && strstr(err.text, "1000 to 10000") && strstr(err.text, cases[i].value), "%s", err.text);
	}
}

Test(param, a_queue_group_is_what_a_name_in_nats_may_hold)
{
	char longest[LEAT_QUEUE_GROUP_BYTES + 2];
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	const struct {
		const char *value;
		bool good;
	} cases[] = {{"leat", true}, {"Blue-2_b", true}, {longest + 1, true}, {longest, false}, {"", false}, {"a b", false}, {"a.b", false},
		{"a*", false}, {"a>", false}, {"a/b", false}, {"a\n", false}, {"z\xc3\xbcrich", false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct leat_params params = defaults();
		struct leat_error err;
		setenv("LEAT_QUEUE_GROUP", cases[i].value, 1);
		enum leat_kind kind = leat_params_read_environment(&params, &err);
		cr_expect(kind == (cases[i].good ? LEAT_OK : LEAT_PERMANENT), "%s", cases[i].value);
		cr_expect_str_eq(params.queue_group, cases[i].good ? cases[i].value : "leat");
		cr_expect(cases[i].good || strstr(err.text, "LEAT_QUEUE_GROUP: expected 1 to 100 letters"), "%s", err.text);
	}
}

Test(param, a_flag_without_its_value_is_told)
{
	static char *lines[][3] = {{"--batch", NULL}, {"--batch", "--lanes"}, {"--lanes", "--batch=1"}};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct leat_params params = defaults();
		struct leat_error err;
		enum leat_kind kind;
		take(&params, lines[i], &kind, &err);
		cr_expect(kind == LEAT_PERMANENT);
		cr_expect(strstr(err.text, lines[i][0]) && strstr(err.text, "needs a value"), "%s", err.text);
	}
}

Test(param, a_flag_wins_over_its_variable_and_that_over_the_default)
{
	struct leat_params params = defaults();
	struct leat_error err;
	enum leat_kind kind;
	setenv("LEAT_BATCH", "20", 1);
	setenv("LEAT_RELAY_BATCH", "30", 1);
	setenv("LEAT_NATS_URL", "nats://elsewhere:4222", 1);
	cr_assert(leat_params_read_environment(&params, &err) == LEAT_OK);
	char *words[] = {"--batch=10", NULL};
	take(&params, words, &kind, &err);
	cr_expect(kind == LEAT_OK);
	cr_expect(params.batch == 10);
	cr_expect(params.relay_batch == 30);
	cr_expect_str_eq(params.nats_url, "nats://elsewhere:4222");
	cr_expect(params.replicas == 1);
}

Test(param, a_secret_comes_from_the_environment_only)
{
	struct leat_params params = defaults();
	struct leat_error err;
	cr_expect_str_eq(params.nats_password, "");
	setenv("LEAT_NATS_PASSWORD", "tell-no-one", 1);
	cr_assert(leat_params_read_environment(&params, &err) == LEAT_OK);
	cr_expect_str_eq(params.nats_password, "tell-no-one");

	static char *lines[][3] = {{"--nats-password", "hush", NULL}, {"--nats-password=hush", NULL}, {"--nats-password", NULL}};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		enum leat_kind kind;
		take(&params, lines[i], &kind, &err);
		cr_expect(kind == LEAT_PERMANENT);
		cr_expect(strstr(err.text, "no flag --nats-password,") && strstr(err.text, "LEAT_NATS_PASSWORD"), "%s", err.text);
		cr_expect_null(strstr(err.text, "hush"));
	}
	LEAT_BUF_SCOPED table = LEAT_BUF_INIT;
	leat_params_describe(&table);
	cr_expect_not_null(strstr(leat_buf_text(&table), "\n| | `LEAT_NATS_PASSWORD` |  | "));
	cr_expect_null(strstr(leat_buf_text(&table), "tell-no-one"));
}

Test(param, a_bad_variable_is_named)
{
	struct leat_params params = defaults();
	struct leat_error err;
	setenv("LEAT_MAX_BODY_BYTES", "lots", 1);
	cr_assert(leat_params_read_environment(&params, &err) == LEAT_PERMANENT);
	cr_expect(strstr(err.text, "LEAT_MAX_BODY_BYTES") && strstr(err.text, "lots") && strstr(err.text, "bytes"), "%s", err.text);
}

Test(param, the_description_has_a_row_for_each)
{
	LEAT_BUF_SCOPED text = LEAT_BUF_INIT;
	leat_params_describe(&text);
	cr_expect(strstr(text.data, "| flag | variable | default | meaning |\n|---|---|---|---|\n") == text.data);
	cr_expect(strstr(text.data, "| `--ack-wait-ms` | `LEAT_ACK_WAIT_MS` | 10000 | "), "%s", text.data);
	cr_expect(strstr(text.data, " (ms, 1000 to 10000) |\n"));
	cr_expect(strstr(text.data, "| `--queue-group` | `LEAT_QUEUE_GROUP` | `leat` | "));
	size_t rows = 0, settings = 0;
	for (const char *at = text.data; (at = strchr(at, '\n')) != NULL; at++)
		rows++;
#define COUNT_TEXT(...) settings++;
#define COUNT_NUMBER(field, fallback, lowest, highest, unit, about) settings++;
	LEAT_PARAMS(COUNT_TEXT, COUNT_NUMBER, COUNT_TEXT)
	cr_expect(rows == settings + 2);
}
