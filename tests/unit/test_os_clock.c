#include "common/os/os_clock.h"

#include <time.h>

#include "tests/lib/unit.h"

static void the_wall_clock_is_the_systems(void **state)
{
    struct clock clock = os_clock();
    int64_t before = (int64_t)time(NULL) * 1000 - 1000; /* time() may lag by a tick */
    int64_t now = clock_wall(&clock).ms;
    int64_t after = (int64_t)time(NULL) * 1000 + 2000;

    (void)state;
    assert_true(before <= now && now <= after);
}

static void the_monotonic_clock_moves_forward(void **state)
{
    struct clock clock = os_clock();
    struct mono_time start = clock_mono(&clock), before = start;
    struct timespec pause = {.tv_nsec = 5000000};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct mono_time now = clock_mono(&clock);

        assert_true(mono_elapsed_us(before, now) >= 0);
        before = now;
    }
    nanosleep(&pause, NULL);
    assert_true(mono_elapsed_us(start, clock_mono(&clock)) >= 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wall_clock_is_the_systems),
        cmocka_unit_test(the_monotonic_clock_moves_forward),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
