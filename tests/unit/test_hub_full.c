/* The disk of headquarters is full: who waits is told, keeps what it wrote, and comes again. */
#include "tests/lib/pair.h"

#include "common/store_mem/store_mem.h"

enum { STEP_MS = 100, STEPS_MAX = 200 };

/* The store has no room while the device waits for an answer; how long until it was told, in ms. */
static int64_t wait_until_told(struct pair *pair, struct pair_device *device)
{
    int64_t from_ms = pair->now_ms;
    struct uplink_effects effects;
    struct now here = {{pair->now_ms}, {pair->now_ms * 1000}};
    uplink_local_change(device->uplink, here, &effects);
    for (int i = 0; i < STEPS_MAX && !device->ended; i++) {
        struct hub_now now = {{pair->now_ms}, {pair->now_ms * 1000}};
        store_mem_fail_at(pair->hub_store, 1, ERR_FULL);
        assert_ok(hub_turn(pair->hub, now)); /* when it is due again, as a server does */
        store_mem_fail_at(pair->hub_store, 1, ERR_FULL);
        pair_run(pair);
        pair->now_ms += STEP_MS;
    }
    store_mem_fail_at(pair->hub_store, 0, ERR_OK);
    struct hub_now then = {{pair->now_ms}, {pair->now_ms * 1000}};
    assert_ok(hub_turn(pair->hub, then));
    return pair->now_ms - from_ms;
}

static void who_waits_is_told(void **state)
{
    struct pair pair;
    (void)state;
    pair_init(&pair, NULL, 5);
    struct pair_device *anna = pair_enrol(&pair, "anna", "admin");
    struct pair_device *boris = pair_enrol(&pair, "boris", "admin");
    pair_sync(&pair, anna);
    pair_sync(&pair, boris);
    pair_connect(&pair, anna, false);
    pair_run(&pair);
    struct uuid id = pair_insert(&pair, anna, "party", "name", "Waiting");
    int64_t waited_ms = wait_until_told(&pair, anna);
    assert_true(anna->ended);
    assert_int_equal(anna->why, ERR_TIMEOUT);
    assert_non_null(strstr(anna->message, "disk is full"));
    assert_in_range(waited_ms, 3000, 10000);
    assert_string_equal(pair_cell(&pair, NULL, "party", id, "name"), "-");
    assert_string_equal(pair_cell(&pair, anna, "party", id, "name"), "Waiting");

    pair_sync(&pair, anna);
    pair_sync(&pair, boris);
    assert_string_equal(pair_cell(&pair, boris, "party", id, "name"), "Waiting");
    assert_int_equal(pair_count(&pair, NULL, "party"), 1);
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_waits_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
