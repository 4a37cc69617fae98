#include "protocol/dot.h"

#include "tests/lib/unit.h"

static struct dot dot(uint64_t origin, uint64_t oseq, uint32_t tag)
{
    return (struct dot){.origin = origin, .oseq = oseq, .tag = tag};
}

static void test_dots_are_ordered_by_origin_then_oseq_then_tag(void **state)
{
    struct dot ascending[] = {dot(1, 1, 9), dot(1, 2, 1), dot(1, 2, 2), dot(2, 1, 0),
                              dot(UINT64_MAX, 1, 0)};

    (void)state;
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 5; j++) {
            int order = dot_compare(&ascending[i], &ascending[j]);

            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(dot_equal(&ascending[i], &ascending[j]), i == j);
        }
    }
}

static void test_a_clone_with_the_same_oseq_is_another_dot(void **state)
{
    struct dot a = dot(5, 3, 100), b = dot(5, 3, 101);

    (void)state;
    assert_false(dot_equal(&a, &b));
}

static void test_no_dot_has_oseq_0(void **state)
{
    struct dot none = dot(0, 0, 0), some = dot(1, 1, 0);

    (void)state;
    assert_true(dot_is_none(&none));
    assert_false(dot_is_none(&some));
}

static void test_sets_contain_and_compare(void **state)
{
    struct dot all[] = {dot(1, 1, 1), dot(1, 2, 1), dot(2, 1, 1)};
    struct dot_set three = {.dots = all, .count = 3}, two = {.dots = all, .count = 2};
    struct dot_set last = {.dots = all + 2, .count = 1}, none = {.dots = NULL, .count = 0};
    struct dot stranger = dot(1, 2, 2);

    (void)state;
    assert_true(dot_set_has(three, &all[1]));
    assert_false(dot_set_has(two, &all[2]));
    assert_false(dot_set_has(three, &stranger));
    assert_false(dot_set_has(none, &stranger));
    assert_true(dot_set_within(two, three));
    assert_true(dot_set_within(last, three));
    assert_true(dot_set_within(three, three));
    assert_true(dot_set_within(none, three));
    assert_true(dot_set_within(none, none));
    assert_false(dot_set_within(three, two));
    assert_false(dot_set_within(last, two));
    assert_true(dot_set_equal(three, three));
    assert_true(dot_set_equal(none, none));
    assert_false(dot_set_equal(two, three));
    assert_false(dot_set_equal(last, (struct dot_set){.dots = all, .count = 1}));
}

/* Small sets are sorted in another way than large ones. */
static void test_sorting_drops_repetitions_whatever_the_size(void **state)
{
    (void)state;
    for (uint16_t count = 0; count < 200; count++) {
        struct dot dots[200];
        uint16_t kept;

        for (uint16_t i = 0; i < count; i++)
            dots[i] = dot(1 + (i * 7919u) % 11, 1 + (i * 104729u) % 5, (i * 31u) % 2);
        kept = dot_sort(dots, count);
        assert_true(kept <= count && kept <= 110);
        assert_true(count == 0 || kept > 0);
        for (uint16_t i = 1; i < kept; i++)
            assert_true(dot_compare(&dots[i - 1], &dots[i]) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dots_are_ordered_by_origin_then_oseq_then_tag),
        cmocka_unit_test(test_a_clone_with_the_same_oseq_is_another_dot),
        cmocka_unit_test(test_no_dot_has_oseq_0),
        cmocka_unit_test(test_sets_contain_and_compare),
        cmocka_unit_test(test_sorting_drops_repetitions_whatever_the_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
