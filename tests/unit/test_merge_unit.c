/* Stories of one record: what concurrent writes of each policy come to. Persons are numbered; 1 makes
 * the record, `start` is what everybody sees of it at first. */
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

static void test_lww_shows_the_latest_and_keeps_both(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada"), both;

    s->stamp += UINT64_C(60000) << 16; /* 2's clock is a minute ahead */
    STORY_UPDATE(s, 2, &start, "name", "from 2");
    s->stamp -= UINT64_C(60000) << 16;
    STORY_UPDATE(s, 3, &start, "name", "from 3");
    assert_shows(s, "name", "from 2");
    assert_int_equal(story_candidates(s, "customer", 1, "name"), 2);
    assert_int_equal(result_of(s)->conflict_count, 1);
    assert_false(s->report.clean);
    assert_false(story_applied(s, "customer", 1)->delta_simple);
    both = story_look(s, "customer", 1);
    STORY_UPDATE(s, 4, &both, "name", "settled");
    assert_shows(s, "name", "settled");
    assert_int_equal(story_candidates(s, "customer", 1, "name"), 1);
    assert_int_equal(result_of(s)->settled_count, 1);
    assert_int_equal(result_of(s)->conflict_count, 0);
    assert_true(s->report.clean);
}

static void test_lww_ties_go_to_the_higher_dot(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");
    uint64_t stamp = s->stamp;

    STORY_UPDATE(s, 3, &start, "name", "from 3");
    s->stamp = stamp;
    STORY_UPDATE(s, 2, &start, "name", "from 2");
    assert_shows(s, "name", "from 3");
}

static void test_the_same_value_twice_is_no_conflict(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");

    STORY_UPDATE(s, 2, &start, "name", "Bob", "category", "A");
    STORY_UPDATE(s, 3, &start, "name", "Bob", "category", "A");
    assert_int_equal(story_candidates(s, "customer", 1, "name"), 2);
    assert_int_equal(result_of(s)->conflict_count, 0);
    assert_int_equal(result_of(s)->written_count, 2);
}

static void test_a_write_that_saw_one_of_two_leaves_the_other(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada"), two;

    STORY_UPDATE(s, 2, &start, "name", "from 2");
    two = story_look(s, "customer", 1);
    STORY_UPDATE(s, 3, &start, "name", "from 3");
    STORY_UPDATE(s, 2, &two, "name", "from 2 again");
    assert_int_equal(story_candidates(s, "customer", 1, "name"), 2);
    assert_shows(s, "name", "from 2 again");
    assert_false(result_of(s)->fast_forward);
}

static void test_a_column_group_is_one_unit(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "city", "Yerevan", "street", "Abovyan");

    STORY_UPDATE(s, 2, &start, "city", "Gyumri");
    STORY_UPDATE(s, 3, &start, "street", "Tumanyan");
    assert_shows(s, "city", "Yerevan"); /* never a street of one city in another */
    assert_shows(s, "street", "Tumanyan");
    assert_int_equal(result_of(s)->conflict_count, 1);
}

static void test_upstream_takes_a_request_that_saw_the_current_value(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "price", "100"), seen;

    STORY_UPDATE(s, 2, &start, "price", "110");
    assert_shows(s, "price", "110");
    story_begin(s, 3);
    story_update(s, &start, "name", "too", "price", "90", NULL);
    assert_refused(s, REASON_UPSTREAM);
    assert_string_equal(s->report.refused_column->name, "price");
    assert_shows(s, "price", "110");
    assert_shows(s, "name", "NULL"); /* the group is refused whole */
    seen = story_look(s, "customer", 1);
    STORY_UPDATE(s, 3, &seen, "price", "90");
    assert_shows(s, "price", "90");
}

static void test_first_shows_what_was_decided_first(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada"), both;

    s->stamp += UINT64_C(60000) << 16;
    STORY_UPDATE(s, 3, &start, "signer", "from 3");
    s->stamp -= UINT64_C(60000) << 16;
    STORY_UPDATE(s, 2, &start, "signer",
                 "from 2"); /* earlier by its clock, later at headquarters */
    assert_shows(s, "signer", "from 3");
    assert_int_equal(result_of(s)->conflict_count, 1);
    both = story_look(s, "customer", 1);
    STORY_UPDATE(s, 4, &both, "signer", "chosen");
    assert_shows(s, "signer", "chosen");
}

static void test_a_rank_is_inherited(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "signer", "Ada"), three;
    const struct unit_state *unit;

    STORY_UPDATE(s, 3, &start, "signer", "from 3"); /* replaces the insert: rank 1 */
    three = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "signer", "from 2");    /* revision 3 */
    STORY_UPDATE(s, 3, &three, "signer", "corrected"); /* replaces rank 1 */
    assert_shows(s, "signer", "corrected");
    unit = version_unit(&story_record_of(s, "customer", 1)->version,
                        story_unit(s, "customer", "signer")->index);
    assert_int_equal(unit->count, 2);
    assert_int_equal(unit->candidates[0].rank, 3);
    assert_int_equal(unit->candidates[1].rank, 1);
}

static void test_pending_writes_rank_after_decided_ones(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "signer", "Ada");

    STORY_UPDATE(s, 3, &start, "signer", "decided");
    s->mode = MERGE_SHOW;
    s->stamp -= UINT64_C(60000) << 16;
    STORY_UPDATE(s, 2, &start, "signer", "pending", "category", "A");
    assert_shows(s, "signer", "decided");
    assert_shows(s, "category", "A");
    assert_int_equal(story_record_of(s, "customer", 1)->version.revision, 2);
    STORY_UPDATE(s, 4, &start, "category", "B");
    assert_shows(s, "category", "A"); /* both pending: by time */
}

static bool is_open(struct story *s, const char *unit_name)
{
    const struct model_unit *unit = story_unit(s, "customer", unit_name);
    const struct unit_state *unit_state =
        version_unit(&story_record_of(s, "customer", 1)->version, unit->index);
    const struct value *values;
    bool open;

    assert_ok(merge_shown(model_table_by_name(s->model, bytes_of_text("customer")), unit,
                          unit_state->candidates, unit_state->count, &s->arena, &values, &open));
    return open;
}

static void test_manual_stays_open_until_somebody_picks(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "category", "A"), both;

    STORY_UPDATE(s, 2, &start, "category", "B");
    STORY_UPDATE(s, 3, &start, "category", "C");
    assert_shows(s, "category", "B");
    assert_true(is_open(s, "category"));
    both = story_look(s, "customer", 1);
    STORY_UPDATE(s, 4, &both, "category", "C");
    assert_shows(s, "category", "C");
    assert_int_equal(result_of(s)->settled_count, 1);
    assert_false(is_open(s, "category"));
}

static void test_max_and_min_show_the_extreme(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "ceiling", "10", "since", "2020-01-01"), seen;

    STORY_UPDATE(s, 2, &start, "ceiling", "30", "since", "2021-05-05");
    STORY_UPDATE(s, 3, &start, "ceiling", "20", "since", "2019-05-05");
    assert_shows(s, "ceiling", "30");
    assert_shows(s, "since", "2019-05-05");
    seen = story_look(s, "customer", 1);
    STORY_UPDATE(s, 4, &seen, "ceiling", "5"); /* who saw them all may lower it */
    assert_shows(s, "ceiling", "5");
}

static void test_no_value_is_never_the_extreme(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "ceiling", "10", "since", "2020-01-01");

    STORY_UPDATE(s, 2, &start, "ceiling", NULL, "since", NULL, "no_calls", NULL);
    STORY_UPDATE(s, 3, &start, "ceiling", "-5", "since", "2024-01-01", "no_calls", "false");
    assert_shows(s, "ceiling", "-5");
    assert_shows(s, "since", "2024-01-01");
    assert_shows(s, "no_calls", "false");
}

static void test_restrict_keeps_the_stricter_until_a_person_loosens_it(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada"), seen;

    STORY_UPDATE(s, 2, &start, "no_calls", "true", "consent", "refused");
    STORY_UPDATE(s, 3, &start, "no_calls", "false", "consent", "granted");
    assert_shows(s, "no_calls", "true");
    assert_shows(s, "consent", "refused"); /* by the order of the symbols, not of the alphabet */
    seen = story_look(s, "customer", 1);
    STORY_UPDATE(s, 3, &seen, "no_calls", "false", "consent", "granted");
    assert_shows(s, "no_calls", "false");
    assert_shows(s, "consent", "granted");
}

static void test_a_counter_adds_up(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "points", "100", "weight", "0.5"), seen;

    STORY_UPDATE(s, 2, &start, "points", "5", "weight", "0.25");
    STORY_UPDATE(s, 3, &start, "points", "-20", "weight", "1");
    assert_shows(s, "points", "85");
    assert_shows(s, "weight", "1.75");
    assert_int_equal(story_candidates(s, "customer", 1, "points"), 2);
    assert_int_equal(result_of(s)->conflict_count, 0);
    seen = story_look(s, "customer", 1);
    STORY_UPDATE(s, 4, &seen, "points", "1");
    assert_shows(s, "points", "86");
    assert_int_equal(story_candidates(s, "customer", 1, "points"), 1);
}

static void test_a_counter_starts_from_nothing_and_wraps_rather_than_traps(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "points", NULL);

    STORY_UPDATE(s, 2, &start, "points", "9223372036854775807");
    assert_shows(s, "points", "9223372036854775807");
    STORY_UPDATE(s, 3, &start, "points", "1");
    STORY_UPDATE(s, 4, &start, "points", "-1");
    assert_shows(s, "points", "9223372036854775807");
}

static void test_a_removal_takes_what_it_saw_only(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "tags", "[\"a\",\"b\"]"), seen;

    STORY_UPDATE(s, 2, &start, "tags", "-a +c");
    STORY_UPDATE(s, 3, &start, "tags", "+a"); /* 2 has not seen this a */
    assert_shows(s, "tags", "a; b; c");
    seen = story_look(s, "customer", 1);
    STORY_UPDATE(s, 4, &seen, "tags", "-a -b -c");
    assert_shows(s, "tags", "[]");
    assert_int_equal(story_candidates(s, "customer", 1, "tags"), 1);
}

static void test_a_set_in_the_insert_may_be_missing(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");

    STORY_UPDATE(s, 2, &start, "tags", "+x");
    assert_shows(s, "tags", "x");
}

static void test_a_set_has_a_bound(void **state)
{
    struct story *s = begin(state);
    struct story_record seen = MADE_WITH(s, "name", "Ada");
    struct bytes *adds = calloc(600, sizeof(*adds));
    struct unit_write *write;

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 600; i++) {
            char text[16];

            snprintf(text, sizeof(text), "%d-%03d", round, i);
            assert_ok(arena_copy(&s->arena, bytes_of_text(text), &adds[i]));
        }
        story_begin(s, 2);
        story_update(s, &seen, "tags", "+x", NULL);
        write = (struct unit_write *)story_last(s)->writes;
        write->adds = adds;
        write->add_count = 600;
        if (round == 0)
            story_must_commit(s);
        else
            assert_refused(s, REASON_TOO_LARGE);
        seen = story_look(s, "customer", 1);
    }
    free(adds);
}

static void test_append_is_set_once(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "source", "fair");

    story_begin(s, 2);
    story_update(s, &start, "source", "web", NULL);
    assert_refused(s, REASON_APPEND_ONLY);
    assert_string_equal(s->report.refused_column->name, "source");
    assert_shows(s, "source", "fair");
}

static void test_fsm_takes_declared_transitions_only(void **state)
{
    struct story *s = begin(state);
    struct story_record seen = MADE_WITH(s, "name", "Ada");

    story_begin(s, 2);
    story_update(s, &seen, "stage", "paid", NULL);
    assert_refused(s, REASON_TRANSITION);
    assert_string_equal(s->report.refused_column->name, "stage");
    STORY_UPDATE(s, 2, &seen, "stage", "sent");
    seen = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &seen, "stage", "sent"); /* the same again is no transition */
    seen = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &seen, "stage", "paid");
    assert_shows(s, "stage", "paid");
}

static void test_an_insert_may_set_any_state(void **state)
{
    struct story *s = begin(state);

    MADE_WITH(s, "stage", "paid");
    assert_shows(s, "stage", "paid");
}

static void test_fsm_prefers_the_higher_rank(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "name", "Ada");

    STORY_UPDATE(s, 2, &start, "stage", "lost");
    STORY_UPDATE(s, 3, &start, "stage", "sent");
    assert_shows(s, "stage", "lost");
    assert_false(is_open(s, "stage"));
}

static void test_fsm_never_decides_between_equal_ranks(void **state)
{
    struct story *s = begin(state);
    struct story_record seen = MADE_WITH(s, "stage", "sent");

    STORY_UPDATE(s, 2, &seen, "stage", "paid");
    STORY_UPDATE(s, 3, &seen, "stage", "lost");
    assert_shows(s, "stage", "paid"); /* decided first, and open */
    assert_true(is_open(s, "stage"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lww_shows_the_latest_and_keeps_both),
        TEST(test_lww_ties_go_to_the_higher_dot),
        TEST(test_the_same_value_twice_is_no_conflict),
        TEST(test_a_write_that_saw_one_of_two_leaves_the_other),
        TEST(test_a_column_group_is_one_unit),
        TEST(test_upstream_takes_a_request_that_saw_the_current_value),
        TEST(test_first_shows_what_was_decided_first),
        TEST(test_a_rank_is_inherited),
        TEST(test_pending_writes_rank_after_decided_ones),
        TEST(test_manual_stays_open_until_somebody_picks),
        TEST(test_max_and_min_show_the_extreme),
        TEST(test_no_value_is_never_the_extreme),
        TEST(test_restrict_keeps_the_stricter_until_a_person_loosens_it),
        TEST(test_a_counter_adds_up),
        TEST(test_a_counter_starts_from_nothing_and_wraps_rather_than_traps),
        TEST(test_a_removal_takes_what_it_saw_only),
        TEST(test_a_set_in_the_insert_may_be_missing),
        TEST(test_a_set_has_a_bound),
        TEST(test_append_is_set_once),
        TEST(test_fsm_takes_declared_transitions_only),
        TEST(test_an_insert_may_set_any_state),
        TEST(test_fsm_prefers_the_higher_rank),
        TEST(test_fsm_never_decides_between_equal_ranks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
