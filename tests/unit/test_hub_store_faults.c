/* Calls of a store fail, with each error in turn, and memory is short, while devices push and pull: nothing
 * that was acknowledged is lost, nothing is applied twice, and all agree when it is over. Allocations each,
 * and the calls of a disk below the store: tests/faults.
 *
 * ctest: timeout=600 valgrind=no */
#include "tests/lib/failing_alloc.h"
#include "tests/lib/fault_play.h"
#include "tests/lib/unfailing.h"

#include "common/store_mem/store_mem.h"

enum { DEVICES = 3, ROUNDS = 3 };

struct play {
    struct fault_play run;
    struct pair_device *devices[DEVICES];
    struct uuid shared; /* a record that all of them count in */
    uint32_t inserted, points;
};

static void play_start(struct play *play)
{
    static const char *const names[] = {"anna", "boris", "clara"};
    memset(play, 0, sizeof *play);
    pair_init(&play->run.pair, NULL, 77);
    for (int i = 0; i < DEVICES; i++)
        play->devices[i] = pair_enrol(&play->run.pair, names[i], i == 2 ? "rep" : "admin");
    play->shared = pair_insert(&play->run.pair, play->devices[0], "party", "name", "Shared");
    for (int i = 0; i < DEVICES; i++)
        pair_sync(&play->run.pair, play->devices[i]);
    play->inserted = 1;
}

/* A transaction that is tried until the store takes it; what failed left nothing behind. */
static void write(struct play *play, struct pair_device *device, bool insert)
{
    const struct model_table *party =
        model_table_by_name(play->run.pair.model, bytes_of_text("party"));
    const uint16_t name = model_column_by_name(party, bytes_of_text("name"))->index;
    const uint16_t points = model_column_by_name(party, bytes_of_text("loyalty_points"))->index;
    for (int tries = 0; tries < 4; tries++) {
        struct err_info info = {0};
        struct dot dot;
        struct arena arena;
        struct replica_record now;
        enum err e = replica_begin(device->replica, play->run.pair.now_ms);
        arena_init(&arena, 1 << 20);
        if (e == ERR_OK && insert) {
            struct uuid id = {{0}};
            const struct value value = value_text(bytes_of_text("One more"));
            e = replica_insert(device->replica, party, &id, &name, &value, 1, &info);
        } else if (e == ERR_OK) {
            e = replica_get(device->replica, party, &play->shared, &arena, &now);
            if (e == ERR_OK) {
                const struct value value = value_int(now.record.values[points].as.integer + 1);
                e = replica_update(device->replica, party, &play->shared, &points, &value, 1, false,
                                   &info);
            }
        }
        arena_done(&arena);
        if (e == ERR_OK)
            e = replica_commit(device->replica, &dot);
        else if (replica_in_transaction(device->replica))
            replica_rollback(device->replica);
        if (e == ERR_OK) {
            play->inserted += insert;
            play->points += !insert;
            return;
        }
        play->run.writes_refused++;
        if (err_class(e) == ERR_CLASS_FATAL)
            pair_restart_device(&play->run.pair, device);
    }
    fail_msg("a write was refused four times");
}

static void act(struct play *play)
{
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < DEVICES; i++) {
            write(play, play->devices[i], true);
            write(play, play->devices[i], false);
            fault_play_sync(&play->run, play->devices[i]);
        }
}

static void play_end(struct play *play)
{
    char points[24];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < DEVICES; i++)
            fault_play_sync(&play->run, play->devices[i]);
    snprintf(points, sizeof points, "%u", play->points);
    assert_int_equal(pair_count(&play->run.pair, NULL, "party"), play->inserted);
    assert_string_equal(pair_cell(&play->run.pair, NULL, "party", play->shared, "loyalty_points"),
                        points);
    for (int i = 0; i < 2; i++) /* the rep does not hold every bucket */
        pair_assert_equal(&play->run.pair, play->devices[i]);
    assert_string_equal(
        pair_cell(&play->run.pair, play->devices[2], "party", play->shared, "loyalty_points"),
        points);
    assert_int_equal(pair_count(&play->run.pair, play->devices[2], "party"), play->inserted);
    if (!strstr(pair_admin(&play->run.pair, "{\"do\":\"verify\"}"), "\"ok\":true"))
        fail_msg("the store does not verify");
    pair_done(&play->run.pair);
}

static struct store *chosen(struct play *play, int which)
{
    return which < 0 ? play->run.pair.hub_store : play->devices[which]->store;
}

static uint64_t calls_of(int which)
{
    struct play play;
    play_start(&play);
    uint64_t before = store_mem_call_count(chosen(&play, which));
    act(&play);
    uint64_t calls = store_mem_call_count(chosen(&play, which)) - before;
    assert_int_equal(play.run.sessions_lost + play.run.turns_failed + play.run.writes_refused, 0);
    play_end(&play);
    return calls;
}

/* which: -1 the hub's store, else a device's. */
static void each_call_fails(int which)
{
    static const enum err errors[] = {ERR_BUSY, ERR_FULL, ERR_NOMEM, ERR_IO};
    uint64_t calls = calls_of(which);
    uint32_t met = 0, plays = 0;
    for (uint64_t k = 1; k <= calls; k += unit_step(7)) {
        struct play play;
        play_start(&play);
        store_mem_fail_at(chosen(&play, which), k, errors[k % 4]);
        act(&play);
        met += play.run.sessions_lost + play.run.turns_failed + play.run.writes_refused > 0;
        store_mem_fail_at(chosen(&play, which), 0, ERR_OK);
        play_end(&play);
        plays++;
    }
    print_message("%llu calls, %u plays, %u of them met the failure\n", (unsigned long long)calls,
                  plays, met);
    assert_true(met * 10 >= plays * 9); /* few are passed over, as a look-up that may fail */
}

static void calls_of_the_hubs_store_fail_once(void **state)
{
    (void)state;
    each_call_fails(-1);
}

static void calls_of_a_devices_store_fail_once(void **state)
{
    (void)state;
    each_call_fails(1);
}

/* Memory is short from the k-th allocation of a turn to its end, so that reading the state anew after the
 * failure fails as well; then it is there again. Found by the flow "push" of tests/faults: the hub went
 * on with an empty state, numbered buckets and positions from 1, and lost what it had acknowledged. */
static void memory_is_short_until_the_end_of_a_turn(void **state)
{
    (void)state;
    if (!failing_alloc_works())
        skip();
    uint32_t plays = 0;
    bool met = true;
    for (uint64_t k = 1; met; k += unit_step(2), plays++) {
        struct play play;
        play_start(&play);
        play.run.shortage_at = k;
        act(&play);
        met = play.run.shortage_at == 0;
        play.run.shortage_at = 0;
        play_end(&play);
    }
    print_message("%u plays\n", plays);
    assert_true(plays > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_of_the_hubs_store_fail_once),
        cmocka_unit_test(calls_of_a_devices_store_fail_once),
        cmocka_unit_test(memory_is_short_until_the_end_of_a_turn),
    };
    unfailing_libraries();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
