#include "decoding.h"

#include "leat/bus.h"

static struct leat_subject parse(const char *subject)
{
	struct leat_subject out;
	leat_subject_parse(&out, subject);
	return out;
}

Test(subject, gives_tenant_role_noun_and_verb)
{
	struct leat_subject subject = parse("leat.intent." TENANT ".user.entity.merge");
	struct leat_uuid tenant;
	cr_assert(leat_uuid_parse(&tenant, TENANT, strlen(TENANT)));
	cr_assert(subject.routable);
	cr_expect(!subject.redrive);
	cr_expect(leat_uuid_compare(&subject.tenant, &tenant) == 0);
	cr_expect(subject.role == LEAT_ROLE_USER);
	cr_expect(subject.noun_bytes == 6 && memcmp(subject.noun, "entity", 6) == 0);
	cr_expect(subject.verb_bytes == 5 && memcmp(subject.verb, "merge", 5) == 0);
}

Test(subject, knows_each_role)
{
	static const enum leat_role roles[] = {LEAT_ROLE_USER, LEAT_ROLE_SERVICE, LEAT_ROLE_ENGINE};
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		char text[200];
		snprintf(text, sizeof text, "leat.intent." TENANT ".%s.run.start", leat_role_name(roles[i]));
		cr_expect(parse(text).role == roles[i], "%s", text);
	}
	cr_expect_str_eq(leat_role_name(LEAT_ROLE_NONE), "");
}

Test(subject, an_unknown_role_is_still_routable)
{
	static const char *const roles[] = {"admin", "User", "users", "use", "*"};
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		char text[200];
		snprintf(text, sizeof text, "leat.intent." TENANT ".%s.entity.merge", roles[i]);
		struct leat_subject subject = parse(text);
		cr_expect(subject.routable && subject.role == LEAT_ROLE_NONE, "%s", text);
	}
}

Test(subject, a_redrive_is_told_apart)
{
	struct leat_subject subject = parse("leat.redrive." TENANT ".service.entity.merge");
	cr_expect(subject.routable && subject.redrive);
}

Test(subject, a_tenant_in_capitals_is_the_same_tenant)
{
	struct leat_subject lower = parse("leat.intent.abcdefab-cdef-4bcd-abcd-abcdefabcdef.user.entity.merge");
	struct leat_subject upper = parse("leat.intent.ABCDEFAB-CDEF-4BCD-ABCD-ABCDEFABCDEF.user.entity.merge");
	cr_expect(lower.routable && upper.routable);
	cr_expect(leat_uuid_compare(&lower.tenant, &upper.tenant) == 0);
}

Test(subject, what_is_not_one_is_not_routable)
{
	static const char *const bad[] = {"", ".", "leat", "leat.intent", "leat.intent." TENANT, "leat.intent." TENANT ".user",
		"leat.intent." TENANT ".user.entity", "leat.intent." TENANT ".user.entity.", "leat.intent." TENANT ".user.entity.merge.",
		"leat.intent." TENANT ".user..merge", "leat.intent." TENANT "..entity.merge", "leat.intent." TENANT ".user.entity.merge.now",
		".intent." TENANT ".user.entity.merge", "leat.intent.acme.user.entity.merge", "leat.intent..user.entity.merge",
		"leat.intent." TENANT "0.user.entity.merge", "leat.event." TENANT ".user.entity.merge", "LEAT.intent." TENANT ".user.entity.merge",
		"leat.Intent." TENANT ".user.entity.merge", "leat.intent." TENANT ".user.*.merge", "leat.intent." TENANT ".user.entity.>",
		"leat.intent." TENANT ".user.entity.mer ge", "leat.intent." TENANT ".user.entity.mer\x01ge",
		"leat.intent." TENANT ".user.entity.mer\xffge"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct leat_subject subject = parse(bad[i]);
		cr_expect(!subject.routable, "%s", bad[i]);
		cr_expect(subject.noun == NULL && subject.verb == NULL && subject.role == LEAT_ROLE_NONE, "%s", bad[i]);
	}
}

Test(subject, a_noun_or_verb_over_255_bytes_is_not_routable)
{
	char text[1024];
	for (int bytes = 255; bytes <= 256; bytes++) {
		snprintf(text, sizeof text, "leat.intent." TENANT ".user.%0*d.merge", bytes, 0);
		cr_expect(parse(text).routable == (bytes == 255), "a noun of %d bytes", bytes);
		snprintf(text, sizeof text, "leat.intent." TENANT ".user.entity.%0*d", bytes, 0);
		cr_expect(parse(text).routable == (bytes == 255), "a verb of %d bytes", bytes);
	}
}

Test(subject, an_unroutable_message_is_told_what_a_subject_looks_like)
{
	expect_rejected("leat.intent.acme.user.entity.merge", "{}", LEAT_CODE_INVALID_MESSAGE, "leat.intent.<tenant>.<role>.<noun>.<verb>");
	DECODED out = decode("leat.intent.acme.user.entity.merge", "{}");
	cr_expect(!out.intent.subject.routable);
	cr_expect(out.intent.type == NULL);
}

Test(subject, an_unknown_role_is_named)
{
	expect_rejected("leat.intent." TENANT ".bob.entity.merge", "{}", LEAT_CODE_INVALID_MESSAGE, "\"bob\"");
	DECODED out = decode("leat.intent." TENANT ".bob.entity.merge", "{}");
	cr_expect(out.intent.subject.routable);
}

Test(subject, an_unknown_message_is_unknown_whatever_its_body)
{
	expect_rejected("leat.intent." TENANT ".user.entity.mrege", "not JSON", LEAT_CODE_UNKNOWN_VERB, "entity.merge");
	expect_rejected("leat.intent." TENANT ".user.entity.rename", "{}", LEAT_CODE_UNKNOWN_VERB, "entity.lock");
	expect_rejected("leat.intent." TENANT ".user.workflow.list", "{}", LEAT_CODE_UNKNOWN_VERB, "workflow.list");
	expect_rejected("leat.redrive." TENANT ".user.entity.rename", "{}", LEAT_CODE_UNKNOWN_VERB, "entity.lock");
}

/* ---- patterns, as NATS has them ---- */

Test(subject_pattern, a_token_a_star_and_the_rest_match_what_they_should)
{
	static const struct {
		const char *pattern;
		const char *subject;
		bool matches;
	} cases[] = {
		{"a.b.c", "a.b.c", true},
		{"a.b.c", "a.b", false},
		{"a.b", "a.b.c", false},
		{"a.b", "a.bc", false},
		{"a.bc", "a.b", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.b.d", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"a.*", "a.b.c", false},
		{"*", "a", true},
		{"*", "a.b", false},
		{"*.*", "a.b", true},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c.d", true},
		{"a.>", "a", false},
		{">", "a", true},
		{">", "a.b", true},
		{"*.>", "a.b", true},
		{"*.>", "a", false},
		{"a*.b", "ab.b", false},
		{"a*.b", "a*.b", true},
		{"a.b>", "a.bc", false},
		{"A.b", "a.b", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(
			leat_subject_matches(cases[i].pattern, cases[i].subject), cases[i].matches, "%s and %s", cases[i].pattern, cases[i].subject);
}

Test(subject_pattern, what_is_none_is_told)
{
	static const char *const good[] = {"a", "a.b", "*", ">", "a.*.c", "a.>", "*.>", "a*b"};
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", ">.a", "a.>.b", "a b", "a.b\n", "a\tb"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		cr_expect(leat_subject_is_pattern(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect(!leat_subject_is_pattern(bad[i]), "\"%s\"", bad[i]);
}
