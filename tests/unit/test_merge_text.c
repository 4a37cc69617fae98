/* Texts: stories of a note that several people write, and the merge by line itself. */
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

static const struct merge_result *result_of(struct story *s)
{
    return &story_applied(s, "customer", 1)->result;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_texts_merge_by_line),
        TEST(test_texts_over_different_bases_wait_for_a_person),
        TEST(test_a_cleared_text_gives_way_or_wins),
        TEST(test_a_merged_text_that_is_too_long_is_left_to_a_person),
        TEST(test_merge_text),
        TEST(test_merge_text_of_three),
        TEST(test_merge_text_of_many_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
