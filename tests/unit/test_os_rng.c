#include "common/os/os_rng.h"

#include "tests/lib/unit.h"

static void fills_all_of_it_and_each_time_anew(void **state)
{
    static uint8_t one[100000], other[100000]; /* more than getrandom gives at once */
    struct rng rng = os_rng();
    unsigned counts[256] = {0};

    (void)state;
    assert_ok(rng_fill(&rng, one, sizeof(one)));
    assert_ok(rng_fill(&rng, other, sizeof(other)));
    assert_memory_not_equal(one, other, sizeof(one));
    assert_memory_not_equal(one + sizeof(one) - 16, other + sizeof(other) - 16, 16);
    for (size_t i = 0; i < sizeof(one); i++)
        counts[one[i]]++;
    for (size_t i = 0; i < 256; i++)
        assert_in_range(counts[i], 200, 600); /* 390 on average; 9 standard deviations */
}

static void nothing_is_fine(void **state)
{
    struct rng rng = os_rng();

    (void)state;
    assert_ok(rng_fill(&rng, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_all_of_it_and_each_time_anew),
        cmocka_unit_test(nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
