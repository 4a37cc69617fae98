#include "common/clock.h"

#include "tests/lib/unit.h"

static int64_t read_wall(void *context)
{
    return *(int64_t *)context;
}

static int64_t read_mono(void *context)
{
    return *(int64_t *)context + 1;
}

static void a_clock_is_asked_with_its_context(void **state)
{
    int64_t now = 41;
    struct clock clock = {.wall_ms = read_wall, .mono_us = read_mono, .context = &now};

    (void)state;
    assert_true(clock_wall(&clock).ms == 41);
    assert_true(clock_mono(&clock).us == 42);
}

static int64_t added(int64_t us, int64_t ms)
{
    return mono_add_ms((struct mono_time){.us = us}, ms).us;
}

static void adding_stays_in_range(void **state)
{
    (void)state;
    assert_true(added(5, 2) == 2005);
    assert_true(added(5, -2) == -1995);
    assert_true(added(INT64_MAX - 1000, 1) == INT64_MAX);
    assert_true(added(INT64_MAX - 999, 1) == INT64_MAX);
    assert_true(added(INT64_MIN + 999, -1) == INT64_MIN);
    assert_true(added(0, INT64_MAX) == INT64_MAX);
    assert_true(added(-1, INT64_MIN) == INT64_MIN);
    assert_true(added(0, INT64_MAX / 1000) == INT64_MAX / 1000 * 1000);
    assert_true(added(0, INT64_MAX / 1000 + 1) == INT64_MAX);
}

static int64_t elapsed(int64_t from, int64_t to)
{
    return mono_elapsed_us((struct mono_time){.us = from}, (struct mono_time){.us = to});
}

static void elapsed_stays_in_range(void **state)
{
    (void)state;
    assert_true(elapsed(3, 10) == 7);
    assert_true(elapsed(10, 3) == -7);
    assert_true(elapsed(-1, INT64_MAX) == INT64_MAX);
    assert_true(elapsed(1, INT64_MIN) == INT64_MIN);
    assert_true(elapsed(INT64_MIN, 0) == INT64_MAX);
    assert_true(elapsed(INT64_MIN, -1) == INT64_MAX);
    assert_true(elapsed(INT64_MIN, INT64_MIN) == 0);
    assert_true(elapsed(INT64_MAX, INT64_MAX) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_is_asked_with_its_context),
        cmocka_unit_test(adding_stays_in_range),
        cmocka_unit_test(elapsed_stays_in_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
