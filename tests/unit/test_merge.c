/* Stories of one record: inserts, updates, deletes, restores; what each policy makes of concurrent
 * values is in test_merge_unit.c and test_merge_text.c. Persons are numbered; 1 makes the record,
 * `start` is what everybody sees of it at first. */
#include "protocol/merge.h"

#include "tests/lib/story.h"
#include "tests/lib/unit.h"

static struct story *begin(void **state)
{
    return *state;
}

static int setup(void **state)
{
    struct story *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    story_init(s, NULL);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    story_done(*state);
    free(*state);
    return 0;
}

/* Customer 1 with these values, as everybody sees it. */
#define MADE_WITH(s, ...) \
    (STORY_INSERT((s), 1, "customer", 1, __VA_ARGS__), story_look((s), "customer", 1))

static void assert_shows(struct story *s, const char *column, const char *text)
{
    assert_string_equal(story_shown(s, "customer", 1, column), text);
}

static void assert_refused(struct story *s, enum reason reason)
{
    uint64_t revision = story_record_of(s, "customer", 1)->version.revision;

    assert_int_equal(story_commit(s), reason);
    assert_int_equal(s->report.count, 0);
    assert_int_equal(story_record_of(s, "customer", 1)->version.revision, revision);
}

static const struct merge_result *result_of(struct story *s)
{
    return &story_applied(s, "customer", 1)->result;
}

/* --- Inserts and plain updates ---------------------------------------------------------------- */

static void test_an_insert_takes_fallbacks_for_what_it_leaves_out(void **state)
{
    struct story *s = begin(state);

    MADE_WITH(s, "name", "Ada");
    assert_shows(s, "name", "Ada");
    assert_shows(s, "phone", "NULL");
    assert_shows(s, "stage", "draft");
    assert_shows(s, "points", "0");
    assert_int_equal(story_record_of(s, "customer", 1)->version.revision, 1);
    assert_int_equal(story_record_of(s, "customer", 1)->version.unit_count, 0);
    assert_true(s->report.clean);
    assert_true(story_applied(s, "customer", 1)->inserted);
}

static void test_a_second_insert_is_refused(void **state)
{
    struct story *s = begin(state);

    MADE_WITH(s, "name", "Ada");
    story_begin(s, 2);
    story_insert(s, "customer", 1, "name", "Bob", NULL);
    assert_refused(s, REASON_EXISTS);
}

static void test_who_saw_the_latest_goes_forward(void **state)
{
    struct story *s = begin(state);
    struct story_record seen = MADE_WITH(s, "name", "Ada", "phone", "1");

    STORY_UPDATE(s, 2, &seen, "name", "Ada L");
    assert_true(s->report.clean);
    assert_true(result_of(s)->fast_forward);
    assert_true(story_applied(s, "customer", 1)->delta_simple);
    assert_int_equal(result_of(s)->written_count, 1);
    assert_int_equal(result_of(s)->conflict_count, 0);
    seen = story_look(s, "customer", 1);
    STORY_UPDATE(s, 3, &seen, "name", "Ada Lovelace");
    assert_true(s->report.clean);
    assert_shows(s, "name", "Ada Lovelace");
    assert_shows(s, "phone", "1");
    assert_int_equal(story_candidates(s, "customer", 1, "name"), 1);
    assert_int_equal(story_record_of(s, "customer", 1)->version.revision, 3);
}

static void test_an_empty_seen_set_means_the_insert(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");

    story_begin(s, 2);
    story_update(s, &start, "name", "Bob", NULL);
    ((struct unit_write *)story_last(s)->writes)[0].seen = (struct dot_set){.dots = NULL};
    story_must_commit(s);
    assert_true(result_of(s)->fast_forward);
    story_begin(s, 3);
    story_update(s, &start, "name", "Cid", NULL);
    ((struct unit_write *)story_last(s)->writes)[0].seen = (struct dot_set){.dots = NULL};
    story_must_commit(s);
    assert_false(result_of(s)->fast_forward);
    assert_int_equal(story_candidates(s, "customer", 1, "name"), 2);
}

static void test_an_update_of_nothing_or_of_another_life_is_refused(void **state)
{
    struct story *s = begin(state);
    struct story_record seen = MADE_WITH(s, "name", "Ada");

    seen.id = story_id(9);
    story_begin(s, 2);
    story_update(s, &seen, "name", "x", NULL);
    assert_refused(s, REASON_NO_RECORD);
    seen.id = story_id(1);
    seen.record.version.insert.tag++; /* inserted by somebody else, with the same id */
    story_begin(s, 2);
    story_update(s, &seen, "name", "x", NULL);
    assert_refused(s, REASON_NO_RECORD);
}

static void test_different_columns_do_not_conflict(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");

    STORY_UPDATE(s, 2, &start, "name", "Ada L");
    STORY_UPDATE(s, 3, &start, "phone", "1");
    assert_true(s->report.clean);
    assert_shows(s, "name", "Ada L");
    assert_shows(s, "phone", "1");
}

/* --- Bounds ----------------------------------------------------------------------------------- */

static void test_a_frontier_has_a_bound(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");

    for (int i = 0; i < FRONTIER_MAX; i++)
        STORY_UPDATE(s, 2, &start, "name", "again", "points", "1");
    assert_int_equal(story_candidates(s, "customer", 1, "name"), FRONTIER_MAX);
    story_begin(s, 3);
    story_update(s, &start, "name", "one too many", NULL);
    assert_refused(s, REASON_FRONTIER_FULL);
    story_begin(s, 3);
    story_update(s, &start, "points", "1", NULL);
    assert_refused(s, REASON_FRONTIER_FULL);
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 3, &start, "name", "chosen", "points", "1");
    assert_int_equal(story_candidates(s, "customer", 1, "name"), 1);
    assert_shows(s, "points", "65");
}

static void test_long_concurrent_texts_have_a_bound(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");
    char *text = calloc(1, 60001);
    int accepted = 0;

    memset(text, 'x', 60000);
    for (; accepted < FRONTIER_MAX; accepted++) {
        story_begin(s, 2);
        story_update(s, &start, "name", text, NULL);
        if (story_commit(s) != REASON_NONE)
            break;
    }
    assert_int_equal(s->report.reason, REASON_FRONTIER_FULL);
    assert_in_range(accepted, 4, 20);
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 3, &start, "name", text);
    free(text);
}

/* --- Deletes of one record -------------------------------------------------------------------- */

static void test_a_delete_that_saw_everything_counts(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada"), seen;

    STORY_UPDATE(s, 2, &start, "name", "Bob");
    seen = story_look(s, "customer", 1);
    STORY_DELETE(s, 3, &seen);
    assert_true(story_dead(s, "customer", 1));
    assert_true(result_of(s)->died);
    assert_true(s->report.clean);
    assert_shows(s, "name", "Bob"); /* a tombstone keeps the row */
}

static void test_a_delete_that_missed_a_write_is_lost(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");

    STORY_UPDATE(s, 2, &start, "name", "Bob");
    STORY_DELETE(s, 3, &start);
    assert_false(story_dead(s, "customer", 1));
    assert_true(result_of(s)->delete_lost);
    assert_false(result_of(s)->revision_changes);
    assert_int_equal(story_record_of(s, "customer", 1)->version.revision, 2);
    assert_false(s->report.clean);
}

static void test_a_write_that_the_delete_missed_revives(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");

    STORY_DELETE(s, 3, &start);
    STORY_DELETE(s, 4, &start);
    STORY_UPDATE(s, 2, &start, "name", "Bob");
    assert_false(story_dead(s, "customer", 1));
    assert_true(result_of(s)->revived);
    assert_false(s->report.clean);
    assert_int_equal(story_record_of(s, "customer", 1)->version.delete_count, 0);
    assert_int_equal(story_applied(s, "customer", 1)->before.version.delete_count, 2);
    assert_false(story_applied(s, "customer", 1)->delta_simple);
}

static void test_a_restore_lifts_the_deletes_that_it_names(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada"), dead;

    STORY_DELETE(s, 3, &start);
    dead = story_look(s, "customer", 1);
    STORY_DELETE(s, 4, &start);
    story_begin(s, 2);
    story_restore(s, &dead, NULL);
    story_must_commit(s);
    assert_true(story_dead(s, "customer", 1)); /* it did not know of 4's */
    assert_false(s->report.clean);
    dead = story_look(s, "customer", 1);
    story_begin(s, 2);
    story_restore(s, &dead, "phone", "1", NULL);
    story_must_commit(s);
    assert_false(story_dead(s, "customer", 1));
    assert_shows(s, "phone", "1");
    assert_true(s->report.clean);
}

static void test_a_restore_of_what_lives_changes_nothing(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada"), dead;

    STORY_DELETE(s, 3, &start);
    dead = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "name", "Bob");
    story_begin(s, 4);
    story_restore(s, &dead, NULL);
    story_must_commit(s);
    assert_int_equal(s->report.count, 0);
    assert_int_equal(story_record_of(s, "customer", 1)->version.revision, 3);
}

static void test_delete_wins_over_writes_until_restored(void **state)
{
    struct story *s = begin(state);
    struct story_record start, dead;

    STORY_INSERT(s, 1, "line", 1, "name", "Bolts");
    start = story_look(s, "line", 1);
    STORY_UPDATE(s, 2, &start, "name", "Nuts");
    STORY_DELETE(s, 3, &start);
    assert_true(story_dead(s, "line", 1));
    STORY_UPDATE(s, 4, &start, "name", "Screws");
    assert_true(story_dead(s, "line", 1));
    assert_int_equal(story_candidates(s, "line", 1, "name"), 2);
    dead = story_look(s, "line", 1);
    story_begin(s, 5);
    story_restore(s, &dead, NULL);
    story_must_commit(s);
    assert_false(story_dead(s, "line", 1));
    assert_string_equal(story_shown(s, "line", 1, "name"), "Screws");
}

static void test_some_records_are_never_deleted(void **state)
{
    struct story *s = begin(state);
    struct story_record seen;

    STORY_INSERT(s, 1, "entry", 1, "name", "a call");
    seen = story_look(s, "entry", 1);
    story_begin(s, 2);
    story_delete(s, &seen);
    assert_int_equal(story_commit(s), REASON_NO_DELETE);
    assert_false(story_dead(s, "entry", 1));
}

static void test_manual_deletes_revive_like_the_others(void **state)
{
    struct story *s = begin(state);
    struct story_record start;

    STORY_INSERT(s, 1, "memo", 1, "name", "a");
    start = story_look(s, "memo", 1);
    STORY_UPDATE(s, 2, &start, "name", "b");
    STORY_DELETE(s, 3, &start);
    assert_false(story_dead(s, "memo", 1));
    assert_true(story_applied(s, "memo", 1)->result.delete_lost);
}

/* Without apply_group(), which asks the same question for a whole family. */
static void test_one_delete_by_itself_is_judged_the_same(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada"), seen;
    struct merge_context context = {
        .dot = {9, 1, 1}, .stamp = s->stamp, .mode = MERGE_DECIDE, .arena = &s->arena};
    struct merge_result result;

    STORY_UPDATE(s, 2, &start, "phone", "1");
    seen = story_look(s, "customer", 1);
    story_begin(s, 3);
    story_delete(s, &start);
    assert_ok(merge_mutation(&context, story_last(s), &seen.record, &result));
    assert_true(result.delete_lost && !result.fast_forward && !seen.record.dead);
    story_delete(s, &seen);
    assert_ok(merge_mutation(&context, story_last(s), &seen.record, &result));
    assert_true(result.died && result.fast_forward && seen.record.dead);
    assert_int_equal(seen.record.version.revision, 3);
    story_delete(s, &start); /* dead already: nobody has to be told */
    context.dot.oseq = 2;
    assert_ok(merge_mutation(&context, story_last(s), &seen.record, &result));
    assert_true(!result.delete_lost && !result.revision_changes);
}

static void test_deletes_have_a_bound(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");

    for (int i = 0; i < FRONTIER_MAX; i++)
        STORY_DELETE(s, 2, &start);
    story_begin(s, 3);
    story_delete(s, &start);
    assert_refused(s, REASON_FRONTIER_FULL);
}

/* --- Memory ----------------------------------------------------------------------------------- */

/* Without memory the record is as before. */
static void test_running_out_of_memory_changes_nothing(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada", "tags", "[\"a\"]", "note", "x");
    struct merge_context context = {.dot = {9, 9, 9}, .stamp = s->stamp, .mode = MERGE_DECIDE};
    bool done = false;

    STORY_UPDATE(s, 2, &start, "name", "Bob", "note", "x\ny", "tags", "+b");
    story_begin(s, 3);
    story_update(s, &start, "name", "Cid", "note", "x\nz", "tags", "+c -a", "city", "Gyumri", NULL);
    for (size_t limit = 0; !done; limit += 16) {
        struct record record = *story_record_of(s, "customer", 1);
        struct merge_result result;
        struct arena arena;
        enum err error;

        arena_init(&arena, limit);
        context.arena = &arena;
        error = merge_mutation(&context, story_last(s), &record, &result);
        done = error == ERR_OK;
        assert_true(done || error == ERR_NOMEM);
        if (!done)
            assert_memory_equal(&record, story_record_of(s, "customer", 1), sizeof(record));
        arena_done(&arena);
        assert_true(limit < 100000);
    }
}

static void test_reasons_have_names_and_texts(void **state)
{
    (void)state;
    assert_string_equal(reason_name(REASON_UPSTREAM), "UPSTREAM");
    assert_string_equal(reason_text(REASON_NONE), "");
    assert_true(strlen(reason_text(REASON_FRONTIER_FULL)) > 10);
    assert_string_equal(reason_name((enum reason)1000), "UNKNOWN");
#define ASSERT_REASON(name, value, text)                    \
    assert_string_equal(reason_name(REASON_##name), #name); \
    assert_string_equal(reason_text((enum reason)value), text);
    REASON_LIST(ASSERT_REASON)
#undef ASSERT_REASON
    assert_string_equal(reason_text((enum reason)1000), "unknown reason");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_insert_takes_fallbacks_for_what_it_leaves_out),
        TEST(test_a_second_insert_is_refused),
        TEST(test_who_saw_the_latest_goes_forward),
        TEST(test_an_empty_seen_set_means_the_insert),
        TEST(test_an_update_of_nothing_or_of_another_life_is_refused),
        TEST(test_different_columns_do_not_conflict),
        TEST(test_a_frontier_has_a_bound),
        TEST(test_long_concurrent_texts_have_a_bound),
        TEST(test_a_delete_that_saw_everything_counts),
        TEST(test_a_delete_that_missed_a_write_is_lost),
        TEST(test_a_write_that_the_delete_missed_revives),
        TEST(test_a_restore_lifts_the_deletes_that_it_names),
        TEST(test_a_restore_of_what_lives_changes_nothing),
        TEST(test_delete_wins_over_writes_until_restored),
        TEST(test_some_records_are_never_deleted),
        TEST(test_manual_deletes_revive_like_the_others),
        TEST(test_one_delete_by_itself_is_judged_the_same),
        TEST(test_deletes_have_a_bound),
        TEST(test_running_out_of_memory_changes_nothing),
        TEST(test_reasons_have_names_and_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
