#include "client/net/backoff.h"

#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

static void doubles_up_to_a_minute(void **state)
{
    struct backoff backoff = {0};
    struct seeded_rng seeded;
    struct rng rng = seeded_rng_interface(&seeded);
    int64_t step_ms = BACKOFF_FIRST_MS;

    (void)state;
    seeded_rng_start(&seeded, 1);
    for (int i = 0; i < 100; i++) {
        int64_t wait_ms = backoff_next(&backoff, &rng);
        assert_in_range(wait_ms, step_ms / 2, step_ms);
        step_ms = step_ms * 2 < BACKOFF_MAX_MS ? step_ms * 2 : BACKOFF_MAX_MS;
    }
    backoff_reset(&backoff);
    assert_in_range(backoff_next(&backoff, &rng), BACKOFF_FIRST_MS / 2, BACKOFF_FIRST_MS);
}

static void devices_do_not_return_at_once(void **state)
{
    struct seeded_rng seeded;
    struct rng rng = seeded_rng_interface(&seeded);
    int64_t least = BACKOFF_FIRST_MS, most = 0;

    (void)state;
    seeded_rng_start(&seeded, 2);
    for (int i = 0; i < 1000; i++) {
        struct backoff backoff = {0};
        int64_t wait_ms = backoff_next(&backoff, &rng);
        least = wait_ms < least ? wait_ms : least;
        most = wait_ms > most ? wait_ms : most;
    }
    assert_true(most - least > BACKOFF_FIRST_MS / 2 - 10);
}

static enum err broken(void *context, void *out, size_t size)
{
    (void)context;
    (void)out;
    (void)size;
    return ERR_IO;
}

static void without_random_numbers_it_waits_the_whole_step(void **state)
{
    struct backoff backoff = {0};
    struct rng rng = {.fill = broken};

    (void)state;
    assert_int_equal(backoff_next(&backoff, &rng), BACKOFF_FIRST_MS);
    assert_int_equal(backoff_next(&backoff, &rng), 2 * BACKOFF_FIRST_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_a_minute),
        cmocka_unit_test(devices_do_not_return_at_once),
        cmocka_unit_test(without_random_numbers_it_waits_the_whole_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
