#include "client/net/net_timer.h"

#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

enum { TIMERS = 200, STEPS = 20000 };

/* The earliest of those that are set, found the slow way. */
static int64_t earliest(const struct net_timer *timers, const bool *set)
{
    int64_t found = 0;
    for (int i = 0; i < TIMERS; i++) {
        if (set[i] && (found == 0 || timers[i].due_us < found)) {
            found = timers[i].due_us;
        }
    }
    return found;
}

static void agrees_with_a_slow_list(void **state)
{
    struct net_timers heap;
    static struct net_timer timers[TIMERS];
    static bool set[TIMERS];
    struct seeded_rng seeded;

    (void)state;
    seeded_rng_init(&seeded, 7);
    net_timers_init(&heap);
    assert_ok(net_timers_reserve(&heap, TIMERS));
    for (int step = 0; step < STEPS; step++) {
        uint64_t which = seeded_below(&seeded, TIMERS);
        uint64_t what = seeded_below(&seeded, 10);
        uint64_t when = seeded_below(&seeded, 1000);
        if (what < 6) {
            net_timer_set(&heap, &timers[which], (int64_t)when + 1);
            set[which] = true;
        } else if (what < 8) {
            net_timer_clear(&heap, &timers[which]);
            set[which] = false;
        } else if (what < 9) {
            net_timer_set(&heap, &timers[which], 0);
            set[which] = false;
        } else {
            struct net_timer *due = net_timers_take(&heap, (int64_t)when);
            int64_t first = earliest(timers, set);
            assert_int_equal(due != NULL, first != 0 && first <= (int64_t)when);
            if (due) {
                assert_int_equal(due->due_us, first);
                set[due - timers] = false;
            }
        }
        assert_int_equal(net_timers_next(&heap), earliest(timers, set));
    }
    net_timers_done(&heap);
}

static void an_empty_one_has_nothing(void **state)
{
    struct net_timers heap;
    struct net_timer timer = {0};

    (void)state;
    net_timers_init(&heap);
    assert_int_equal(net_timers_next(&heap), 0);
    assert_null(net_timers_take(&heap, INT64_MAX));
    net_timer_clear(&heap, &timer);
    net_timers_done(&heap);
    net_timers_done(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_slow_list),
        cmocka_unit_test(an_empty_one_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
