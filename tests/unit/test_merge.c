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

/* --- Policies --------------------------------------------------------------------------------- */

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

static void test_texts_merge_by_line(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "note", "one\ntwo\nthree");

    STORY_UPDATE(s, 2, &start, "note", "ONE\ntwo\nthree");
    STORY_UPDATE(s, 3, &start, "note", "one\ntwo\nthree\nfour");
    assert_shows(s, "note", "ONE\ntwo\nthree\nfour");
    assert_false(is_open(s, "note"));
    assert_int_equal(result_of(s)->conflict_count, 1); /* the values differ: merged for you */
}

static void test_texts_over_different_bases_wait_for_a_person(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "note", "one"), later;

    STORY_UPDATE(s, 2, &start, "note", "one\nfrom 2");
    later = story_look(s, "customer", 1);
    STORY_UPDATE(s, 3, &start, "note", "one\nfrom 3");
    STORY_UPDATE(s, 2, &later, "note", "one\nfrom 2\nagain"); /* its base is not "one" */
    assert_true(is_open(s, "note"));
    assert_shows(s, "note", "one\nfrom 3"); /* the earliest */
}

static void test_a_cleared_text_gives_way_or_wins(void **state)
{
    struct story *s = begin(state);
    struct story_record start = MADE_WITH(s, "note", "one");

    STORY_UPDATE(s, 2, &start, "note", NULL);
    STORY_UPDATE(s, 3, &start, "note", "one"); /* says nothing new */
    assert_shows(s, "note", "NULL");
}

static void test_a_merged_text_that_is_too_long_is_left_to_a_person(void **state)
{
    struct story *s = begin(state);
    char a[152], b[152];
    struct story_record start = MADE_WITH(s, "note", "x");

    memset(a, 'a', 150);
    memset(b, 'b', 150);
    memcpy(a + 150, "", 1);
    memcpy(b + 150, "", 1);
    STORY_UPDATE(s, 2, &start, "note", a);
    STORY_UPDATE(s, 3, &start, "note", b); /* the column takes 200 bytes */
    assert_shows(s, "note", a);
    assert_true(is_open(s, "note"));
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

/* --- merge_text ------------------------------------------------------------------------------- */

static void assert_merged(struct story *s, const char *base, const char *a, const char *b,
                          const char *expected, bool clean)
{
    struct bytes texts[2] = {bytes_of_text(a), bytes_of_text(b)}, merged;
    bool is_clean;

    assert_ok(merge_text(bytes_of_text(base), texts, 2, &s->arena, &merged, &is_clean));
    assert_text(merged, expected);
    assert_int_equal(is_clean, clean);
}

static void test_merge_text(void **state)
{
    struct story *s = begin(state);

    assert_merged(s, "a\nb\nc", "a\nb\nc", "a\nb\nc", "a\nb\nc", true);
    assert_merged(s, "a\nb\nc", "A\nb\nc", "a\nb\nC", "A\nb\nC", true);
    assert_merged(s, "a\nb\nc", "a\nc", "a\nb\nc\nd", "a\nc\nd", true);
    assert_merged(s, "a\nb\nc", "A\nb\nc", "A\nb\nc", "A\nb\nc", true);     /* the same change */
    assert_merged(s, "a\nb\nc", "A\nb\nc", "1\nb\nc", "A\n1\nb\nc", false); /* different ones */
    assert_merged(s, "a\nb\nc", "b\nc", "A\nb\nc", "A\nb\nc", false);       /* deleted, changed */
    assert_merged(s, "a\nc", "a\nb\nc", "a\nB\nc", "a\nb\nB\nc", true);     /* both added */
    assert_merged(s, "a\nc", "a\nb\nc", "a\nb\nc", "a\nb\nc", true);
    assert_merged(s, "a\nb\nc\nd", "a\nX\nd", "a\nb\nY\nd", "a\nX\nb\nY\nd", false);
    assert_merged(s, "a\nb\nc\nd", "1\n2\nc\nd", "a\nb\n3\n4", "1\n2\n3\n4", true); /* adjacent */
    assert_merged(s, "", "x", "y", "x\ny", true);
    assert_merged(s, "", "", "y", "y", true);
    assert_merged(s, "a", "", "a", "", true);
    assert_merged(s, "a\n", "a\nb\n", "a\nc\n", "a\nb\nc\n", true);
    assert_merged(s, "a\r\nb", "a\r\nB", "A\r\nb", "A\r\nB", true);
    assert_merged(s, "\n\n\n", "x\n\n\n", "\n\n\nx", "x\n\n\nx", true);
}

static void test_merge_text_of_three(void **state)
{
    struct story *s = begin(state);
    struct bytes texts[3] = {bytes_of_text("1\nb\nc"), bytes_of_text("a\nb\n3"),
                             bytes_of_text("a\n2\nc\n4")};
    struct bytes merged;
    bool clean;

    assert_ok(merge_text(bytes_of_text("a\nb\nc"), texts, 3, &s->arena, &merged, &clean));
    assert_text(merged, "1\n2\n3\n4");
    assert_true(clean);
}

/* Far more lines than are compared one by one, and more than are merged at all. */
static void test_merge_text_of_many_lines(void **state)
{
    enum { LINES = 6000 };
    struct story *s = begin(state);
    char *base = malloc(LINES * 8), *a = malloc(LINES * 8), *b = malloc(LINES * 8);
    struct bytes texts[3], merged;
    size_t size = 0;
    bool clean;

    for (unsigned i = 0; i < LINES; i++)
        size += (size_t)snprintf(base + size, 8, "%05u\n", i);
    memcpy(a, base, size);
    memcpy(b, base, size);
    a[0] = 'A'; /* the first line, and the last but one: all between is compared */
    a[size - 12] = 'A';
    b[6 * LINES / 2] = 'B';
    texts[0] = bytes_of(a, size);
    texts[1] = bytes_of(base, size);
    assert_ok(merge_text(bytes_of(base, size), texts, 2, &s->arena, &merged, &clean));
    assert_true(clean && bytes_equal(merged, texts[0]));
    texts[1] = bytes_of(b, size);
    assert_ok(merge_text(bytes_of(base, size), texts, 2, &s->arena, &merged, &clean));
    assert_false(clean); /* too far apart to be told apart */
    texts[2] = bytes_of(b, size);
    assert_ok(merge_text(bytes_of(base, size), texts, 3, &s->arena, &merged, &clean));
    assert_false(clean);
    assert_true(bytes_equal(merged, texts[0]));
    free(base);
    free(a);
    free(b);
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
        TEST(test_texts_merge_by_line),
        TEST(test_texts_over_different_bases_wait_for_a_person),
        TEST(test_a_cleared_text_gives_way_or_wins),
        TEST(test_a_merged_text_that_is_too_long_is_left_to_a_person),
        TEST(test_fsm_takes_declared_transitions_only),
        TEST(test_an_insert_may_set_any_state),
        TEST(test_fsm_prefers_the_higher_rank),
        TEST(test_fsm_never_decides_between_equal_ranks),
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
        TEST(test_merge_text),
        TEST(test_merge_text_of_three),
        TEST(test_merge_text_of_many_lines),
        TEST(test_running_out_of_memory_changes_nothing),
        TEST(test_reasons_have_names_and_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
