/* The definition of an entity's state, clause by clause. */
#include "folding.h"

Test(fold, nothing_is_made_of_nothing)
{
	expect("", "nothing");
	expect("1 merge a=1,2 bulk a=2,3 unset a,4 delete", "nothing");
}

Test(fold, an_upsert_creates_and_merges_into_what_is_there)
{
	expect("1 upsert a=1 m:x=1", "since 1 type:t a=1@1 m:x=1@1");
	expect("1 upsert a=1 b=1,2 upsert b=2 c=2 m:x=2", "since 1 type:t a=1@1 b=2@2 c=2@2 m:x=2@2");
}

Test(fold, the_highest_write_of_a_field_counts)
{
	expect("1 upsert a=1,2 merge a=2 b=2,3 bulk a=3", "since 1 type:t a=3@3 b=2@2");
	expect("1 upsert,3 merge a=3,4 merge m:a=4,5 merge b=5,6 merge a=6", "since 1 type:t a=6@6 b=5@5 m:a=4@4");
}

Test(fold, null_is_a_value)
{
	expect("1 upsert a=1,2 merge a=null", "since 1 type:t a=null@2");
}

Test(fold, an_unset_removes_what_is_below_it)
{
	expect("1 upsert a=1 m:a=1,2 unset a", "since 1 type:t m:a=1@1");
	expect("1 upsert a=1 m:a=1,2 unset m:a", "since 1 type:t a=1@1");
	expect("1 upsert a=1,2 unset a,3 merge a=3", "since 1 type:t a=3@3");
	expect("1 upsert,2 unset a", "since 1 type:t");
}

Test(fold, what_is_below_the_lowest_upsert_does_not_count)
{
	expect("1 merge a=1 b=1,2 upsert b=2", "since 2 type:t b=2@2");
	expect("1 unset a,2 upsert a=2", "since 2 type:t a=2@2");
	expect("1 merge a=1,2 upsert,3 merge b=3,4 upsert c=4", "since 2 type:t b=3@3 c=4@4");
}

Test(fold, a_delete_ends_it_and_all_that_was_in_it)
{
	expect("1 upsert a=1 m:x=1,2 delete", "deleted type:t");
	expect("1 upsert a=1,2 delete,3 merge a=3,4 unset a,5 bulk b=5", "deleted type:t");
	expect("1 upsert,2 delete,3 delete", "deleted type:t");
}

Test(fold, an_upsert_after_a_delete_revives_with_only_what_came_after)
{
	expect("1 upsert a=1,2 merge b=2,3 delete,4 merge c=4,5 upsert d=5,6 merge e=6", "since 5 type:t d=5@5 e=6@6");
	expect("1 upsert a=1,2 delete,3 upsert,4 delete,5 upsert b=5", "since 5 type:t b=5@5");
}

Test(fold, a_delete_below_every_upsert_changes_nothing)
{
	expect("1 delete,2 upsert a=2", "since 2 type:t a=2@2");
}

Test(fold, a_delete_between_two_upserts_leaves_the_second)
{
	expect("1 upsert a=1,2 merge b=2,3 delete,4 upsert c=4", "since 4 type:t c=4@4");
	expect("1 upsert,2 delete,3 upsert a=3,4 merge b=4,5 upsert c=5", "since 3 type:t a=3@3 b=4@4 c=5@5");
}

Test(fold, the_type_is_that_of_the_highest_upsert_whether_it_counts_or_not)
{
	expect("1 upsert type:a,2 upsert type:b,3 merge x=1", "since 1 type:b x=1@3");
	expect("1 upsert type:a,2 upsert type:b,3 delete", "deleted type:b");
	expect("1 upsert type:b,2 delete,3 upsert type:a", "since 3 type:a");
}

Test(fold, a_key_stays_once_an_upsert_named_it)
{
	expect("1 upsert,2 upsert key:k,3 upsert", "since 1 type:t key:k");
	expect("1 upsert key:k,2 delete,3 upsert", "since 3 type:t key:k");
	expect("1 upsert key:k,2 delete", "deleted type:t key:k");
}

Test(fold, values_keep_their_text)
{
	expect("1 upsert a=12345678901234567890123 b=1.50 c={\"x\":[1.0]}",
		"since 1 type:t a=12345678901234567890123@1 b=1.50@1 c={\"x\":[1.0]}@1");
}

/* ---- locks ---- */

Test(fold, a_field_is_locked_when_it_was_last_locked)
{
	expect("1 upsert a=1,2 lock a b", "since 1 type:t a=1@1 locked:a@2 locked:b@2");
	expect("1 upsert,2 lock a,3 unlock a", "since 1 type:t");
	expect("1 upsert,2 unlock a,3 lock a", "since 1 type:t locked:a@3");
	expect("1 upsert,2 lock a b,3 unlock a,4 lock a,5 lock a", "since 1 type:t locked:a@5 locked:b@2");
}

/* What a write that respects them skipped is the ledger's, and was taken out before. */
Test(fold, a_lock_keeps_no_write_out)
{
	expect("1 upsert a=1,2 lock a,3 merge a=3,4 bulk a=4", "since 1 type:t a=4@4 locked:a@2");
	expect("1 upsert a=1,2 lock a,3 unset a", "since 1 type:t locked:a@2");
	expect("1 upsert a=1,2 lock a,3 upsert a=3", "since 1 type:t a=3@3 locked:a@2");
}

Test(fold, a_delete_ends_locks_and_what_was_locked_before_the_upsert_is_not)
{
	expect("1 upsert,2 lock a,3 delete", "deleted type:t");
	expect("1 upsert,2 lock a,3 delete,4 lock b,5 upsert,6 lock c", "since 5 type:t locked:c@6");
	expect("1 lock a,2 upsert,3 unlock b", "since 2 type:t");
}

Test(fold, content_and_metadata_and_locks_have_names_of_their_own)
{
	expect("1 upsert,2 lock a,3 merge a=3 m:a=3,4 unset m:a", "since 1 type:t a=3@3 locked:a@2");
	expect("1 upsert a=1 m:a=1,2 lock a,3 unlock a", "since 1 type:t a=1@1 m:a=1@1");
}

Test(fold, a_bulk_that_skipped_more_in_one_target_goes_in_as_several)
{
	static const struct leat_uuid other = {{7}};
	struct set set;
	read_set(&set, "1 upsert a=1 b=1,2 bulk b=2,3 bulk a=2 b=2,4 lock a");
	set.intents[2].position = 2;
	set.intents[2].targets = &other;
	expect_serial(&set, "since 1 type:t a=1@1 b=2@2 locked:a@4", "bulk");
	expect_every_order(set.intents, set.count, set.count, "since 1 type:t a=1@1 b=2@2 locked:a@4", "bulk");
}

/* ---- whose it is ---- */

Test(fold, other_entities_and_other_tenants_are_passed_over)
{
	static const struct leat_uuid stranger = {{9}};
	struct set set;
	read_set(&set, "1 upsert a=1,2 merge a=2,3 merge a=3,4 merge b=4");
	set.intents[1].tenant = stranger;
	set.intents[2].targets = &stranger;
	expect_set(set.intents, set.count, "since 1 type:t a=1@1 b=4@4", "strangers");
	expect_serial(&set, "since 1 type:t a=1@1 b=4@4", "strangers");
}

/* ---- outcomes ---- */

static enum leat_fold_outcome last_outcome(const char *intents)
{
	struct set set;
	read_set(&set, intents);
	struct leat_fold *fold = leat_fold_new();
	enum leat_fold_outcome outcome = LEAT_FOLD_APPLIED;
	for (size_t i = 0; i < set.count; i++)
		outcome = apply(fold, &set.intents[i]);
	leat_fold_free(fold);
	return outcome;
}

Test(fold, says_how_each_intent_ends)
{
	static const char *const verbs[] = {"merge a=1", "unset a", "lock a", "unlock a", "delete"};
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		char text[100];
		snprintf(text, sizeof text, "1 %s", verbs[i]);
		cr_expect_eq(last_outcome(text), LEAT_FOLD_NOT_FOUND, "%s", text);
		snprintf(text, sizeof text, "1 upsert,2 %s", verbs[i]);
		cr_expect_eq(last_outcome(text), LEAT_FOLD_APPLIED, "%s", text);
		snprintf(text, sizeof text, "1 upsert,2 delete,3 %s", verbs[i]);
		cr_expect_eq(last_outcome(text), LEAT_FOLD_DELETED, "%s", text);
		snprintf(text, sizeof text, "1 upsert,2 delete,3 upsert,4 %s", verbs[i]);
		cr_expect_eq(last_outcome(text), LEAT_FOLD_APPLIED, "%s", text);
	}
	cr_expect_eq(last_outcome("1 upsert,2 delete,3 bulk a=1"), LEAT_FOLD_NOT_FOUND);
}

Test(fold, a_bulk_reaches_those_that_exist_and_lists_the_others)
{
	static const struct leat_uuid targets[] = {{{7}}, {{2}}, {{8}}};
	struct set set;
	read_set(&set, "1 upsert,2 bulk a=2");
	set.intents[1].targets = targets;
	set.intents[1].target_count = 3;
	struct leat_uuid missing[MOST_TARGETS];
	size_t missing_count;
	struct leat_fold *fold = leat_fold_new();
	leat_fold_apply(fold, &set.intents[0], missing, &missing_count);
	cr_expect_eq(missing_count, 0);
	cr_expect_eq(leat_fold_apply(fold, &set.intents[1], missing, &missing_count), LEAT_FOLD_APPLIED);
	cr_assert_eq(missing_count, 2);
	cr_expect_eq(leat_uuid_compare(&missing[0], &targets[0]), 0);
	cr_expect_eq(leat_uuid_compare(&missing[1], &targets[2]), 0);
	cr_expect_null(leat_fold_get(fold, &tenant, &targets[0]));
	leat_fold_free(fold);
	expect_serial(&set, "since 1 type:t a=2@2", "bulk");
	expect_set(set.intents, set.count, "since 1 type:t a=2@2", "bulk");
}
