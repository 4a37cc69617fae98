#include "protocol/hlc.h"

#include "tests/lib/unit.h"

#define MS_MAX ((INT64_C(1) << 48) - 1)

static void test_a_stamp_is_ms_and_counter(void **state)
{
    uint64_t stamp = hlc_make(1234567, 89);

    (void)state;
    assert_int_equal(hlc_ms(stamp), 1234567);
    assert_int_equal(hlc_counter(stamp), 89);
    assert_int_equal(hlc_ms(hlc_make(-1, 0)), 0);
    assert_int_equal(hlc_ms(hlc_make(INT64_MAX, 0)), MS_MAX);
    assert_int_equal(hlc_ms(hlc_make(INT64_MIN, 0)), 0);
}

static void test_local_events_ascend_while_the_clock_stands_or_goes_back(void **state)
{
    uint64_t first = hlc_next(0, 1000), second = hlc_next(first, 1000),
             third = hlc_next(second, 10);

    (void)state;
    assert_int_equal(first, hlc_make(1000, 0));
    assert_int_equal(second, hlc_make(1000, 1));
    assert_int_equal(third, hlc_make(1000, 2));
    assert_int_equal(hlc_next(third, 1001), hlc_make(1001, 0));
}

static void test_a_full_counter_carries_into_the_ms(void **state)
{
    (void)state;
    assert_int_equal(hlc_next(hlc_make(1000, UINT16_MAX), 1000), hlc_make(1001, 0));
    assert_int_equal(hlc_next(UINT64_MAX, 1000), UINT64_MAX);
    assert_int_equal(hlc_next(0, 0), 1);
}

static void test_what_peers_say_is_learned_up_to_two_minutes_ahead(void **state)
{
    uint64_t last = hlc_make(5000, 3);

    (void)state;
    assert_int_equal(hlc_learn(last, hlc_make(4000, 0), 5000), last);
    assert_int_equal(hlc_learn(last, hlc_make(6000, 7), 5000), hlc_make(6000, 7));
    assert_int_equal(hlc_learn(last, hlc_make(125000, 7), 5000), hlc_make(125000, 7));
    assert_int_equal(hlc_learn(last, hlc_make(125001, 7), 5000), hlc_make(125000, 0));
    assert_int_equal(hlc_learn(last, UINT64_MAX, 5000), hlc_make(125000, 0));
    assert_int_equal(hlc_learn(0, UINT64_MAX, INT64_MAX), UINT64_MAX); /* the end of time */
}

static void test_small_offsets_and_leads_change_nothing(void **state)
{
    struct envelope envelope = {.received_ms = 100000, .offset_ms = 5000};
    uint64_t ahead = hlc_make(105000, 9), old = hlc_make(5, 9);

    (void)state;
    assert_int_equal(hlc_effective(ahead, &envelope), ahead);
    assert_int_equal(hlc_effective(old, &envelope), old);
    envelope.offset_ms = -5000;
    assert_int_equal(hlc_effective(ahead, &envelope), ahead);
}

static void test_a_large_offset_shifts(void **state)
{
    struct envelope late = {.received_ms = 10000000, .offset_ms = 3600000};
    struct envelope early = {.received_ms = 10000000, .offset_ms = -3600000};

    (void)state;
    assert_int_equal(hlc_effective(hlc_make(1000, 9), &late), hlc_make(3601000, 9));
    assert_int_equal(hlc_effective(hlc_make(13600000, 9), &early), hlc_make(10000000, 9));
    assert_int_equal(hlc_effective(hlc_make(1000, 9), &early), 0);
}

static void test_a_stamp_from_the_future_becomes_the_end_of_the_tolerance(void **state)
{
    struct envelope envelope = {.received_ms = 100000, .offset_ms = 0};

    (void)state;
    assert_int_equal(hlc_effective(hlc_make(105001, 0), &envelope), hlc_make(105000, UINT16_MAX));
    assert_int_equal(hlc_effective(UINT64_MAX, &envelope), hlc_make(105000, UINT16_MAX));
}

static void test_without_an_envelope_the_authored_stamp_stands(void **state)
{
    struct envelope envelope = {.received_ms = 0, .offset_ms = 9999999};

    (void)state;
    assert_int_equal(hlc_effective(UINT64_MAX, &envelope), UINT64_MAX);
    assert_int_equal(hlc_effective(7, &envelope), 7);
}

/* Whatever a peer or a broken clock says. */
static void test_effective_never_decreases(void **state)
{
    static const int64_t times[] = {
        1,      4999,       5000,      5001,      100000,
        MS_MAX, MS_MAX + 1, INT64_MAX, INT64_MIN, INT64_C(1700000000000),
        -1};
    const size_t time_count = sizeof(times) / sizeof(times[0]);
    uint64_t x = 1;

    (void)state;
    for (size_t i = 0; i < time_count * time_count; i++) {
        struct envelope envelope = {.received_ms = times[i / time_count],
                                    .offset_ms = times[i % time_count]};

        for (int j = 0; j < 2000; j++) {
            uint64_t a, b;

            x = x * 6364136223846793005u + 1442695040888963407u;
            a = x >> (j % 60);
            b = j % 2 ? a + (x >> 48) : a + (x & 0x3ff);
            if (b < a)
                continue;
            assert_true(hlc_effective(a, &envelope) <= hlc_effective(b, &envelope));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stamp_is_ms_and_counter),
        cmocka_unit_test(test_local_events_ascend_while_the_clock_stands_or_goes_back),
        cmocka_unit_test(test_a_full_counter_carries_into_the_ms),
        cmocka_unit_test(test_what_peers_say_is_learned_up_to_two_minutes_ahead),
        cmocka_unit_test(test_small_offsets_and_leads_change_nothing),
        cmocka_unit_test(test_a_large_offset_shifts),
        cmocka_unit_test(test_a_stamp_from_the_future_becomes_the_end_of_the_tolerance),
        cmocka_unit_test(test_without_an_envelope_the_authored_stamp_stands),
        cmocka_unit_test(test_effective_never_decreases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
