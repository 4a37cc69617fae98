#include "common/rng.h"

#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

/* Gives one byte again and again; fails when there is none. */
static enum err fill_same(void *context, void *out, size_t size)
{
    const uint8_t *byte = context;

    if (byte == NULL)
        return ERR_IO;
    memset(out, *byte, size);
    return ERR_OK;
}

static void numbers_are_made_of_the_bytes(void **state)
{
    uint8_t byte = 0xab;
    struct rng rng = {.fill = fill_same, .context = &byte};
    uint32_t small;
    uint64_t large;

    (void)state;
    assert_ok(rng_u32(&rng, &small));
    assert_int_equal(small, 0xabababab);
    assert_ok(rng_u64(&rng, &large));
    assert_true(large == 0xabababababababab);
}

static void a_failing_source_is_an_error(void **state)
{
    struct rng rng = {.fill = fill_same, .context = NULL};
    uint32_t small = 1;
    uint64_t large = 2;
    uint8_t byte;

    (void)state;
    assert_err(rng_u32(&rng, &small), ERR_IO);
    assert_err(rng_u64(&rng, &large), ERR_IO);
    assert_err(rng_below(&rng, 5, &large), ERR_IO);
    assert_err(rng_fill(&rng, &byte, 1), ERR_IO);
    assert_ok(rng_fill(&rng, NULL, 0));
    assert_int_equal(small, 1);
    assert_true(large == 2);
}

static void below_stays_below_and_reaches_all(void **state)
{
    struct seeded_rng seeded;
    struct rng rng;
    unsigned seen[7] = {0};
    uint64_t value = 9;

    (void)state;
    seeded_rng_init(&seeded, 9);
    rng = seeded_rng_interface(&seeded);
    for (int i = 0; i < 70000; i++) {
        assert_ok(rng_below(&rng, 7, &value));
        assert_true(value < 7);
        seen[value]++;
    }
    for (size_t i = 0; i < 7; i++)
        assert_in_range(seen[i], 9500, 10500);
    assert_ok(rng_below(&rng, 1, &value));
    assert_true(value == 0);
    assert_ok(rng_below(&rng, UINT64_MAX, &value));
    assert_ok(rng_below(&rng, (uint64_t)1 << 63, &value));
    assert_true(value >> 63 == 0);
    assert_err(rng_below(&rng, 0, &value), ERR_INVALID);
}

/* 2^64 mod 5 is 1, so 2^64 - 1 must be drawn again: a source of nothing else is broken, and must not hang us. */
static void a_stuck_source_ends(void **state)
{
    uint8_t byte = 0xff;
    struct rng rng = {.fill = fill_same, .context = &byte};
    uint64_t value = 3;

    (void)state;
    assert_err(rng_below(&rng, 5, &value), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_made_of_the_bytes),
        cmocka_unit_test(a_failing_source_is_an_error),
        cmocka_unit_test(below_stays_below_and_reaches_all),
        cmocka_unit_test(a_stuck_source_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
