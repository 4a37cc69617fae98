/* Calls of a store fail, with each error in turn, and memory is short, while devices push and pull: nothing
 * that was acknowledged is lost, nothing is applied twice, and all agree when it is over. Allocations each,
 * and the calls of a disk below the store: tests/faults.
 *
 * ctest: timeout=600 valgrind=no */
#include "tests/lib/failing_alloc.h"
#include "tests/lib/pair.h"
#include "tests/lib/unfailing.h"

#include "common/store_mem/store_mem.h"

enum { DEVICES = 3, ROUNDS = 3 };

struct play {
    struct pair pair;
    struct pair_device *devices[DEVICES];
    struct uuid shared; /* a record that all of them count in */
    uint32_t inserted, points;
    uint64_t shortage_at; /* memory is short from this allocation of a turn on; 0: never */
    uint32_t sessions_lost, turns_failed, writes_refused;
};

static struct hub_now hub_time(const struct play *play)
{
    return (struct hub_now){{play->pair.now_ms}, {play->pair.now_ms * 1000}};
}

static struct now device_time(const struct play *play)
{
    return (struct now){{play->pair.now_ms}, {play->pair.now_ms * 1000}};
}

static void play_start(struct play *play)
{
    static const char *const names[] = {"anna", "boris", "clara"};
    memset(play, 0, sizeof *play);
    pair_init(&play->pair, NULL, 77);
    for (int i = 0; i < DEVICES; i++)
        play->devices[i] = pair_enrol(&play->pair, names[i], i == 2 ? "rep" : "admin");
    play->shared = pair_insert(&play->pair, play->devices[0], "party", "name", "Shared");
    for (int i = 0; i < DEVICES; i++)
        pair_sync(&play->pair, play->devices[i]);
    play->inserted = 1;
}

/* The server process dies of a fatal error, and starts again from what its store holds. */
static void restart_hub(struct play *play)
{
    struct err_info info;
    for (uint32_t i = 0; i < play->pair.device_count; i++)
        pair_cut(&play->pair, &play->pair.devices[i]);
    hub_close(play->pair.hub);
    for (int tries = 0;; tries++) { /* the failure may lie in the start itself */
        enum err e = hub_open(&play->pair.config, hub_time(play), &play->pair.hub, &info);
        if (e == ERR_OK)
            return;
        assert_true(tries < 3);
    }
}

static void turn(struct play *play)
{
    for (int i = 0; i < 100; i++) {
        if (play->shortage_at)
            failing_alloc_start_forever(play->shortage_at);
        enum err e = hub_turn(play->pair.hub, hub_time(play));
        if (failing_alloc_stop())
            play->shortage_at = 0;
        if (e != ERR_OK) {
            assert_int_equal(err_class(e), ERR_CLASS_FATAL);
            play->turns_failed++;
            restart_hub(play);
            return;
        }
        if (!hub_has_work(play->pair.hub)) {
            int64_t at = hub_deadline(play->pair.hub);
            if (at == 0 || at > (play->pair.now_ms + 150) * 1000)
                return;
            play->turns_failed++;
            play->pair.now_ms += 150; /* it failed for now: the batch is done again */
        }
    }
    fail_msg("the hub has work without end");
}

/* The device's end of a session; whatever the reason, it may try again. */
static void session_ended(struct play *play, struct pair_device *device,
                          const struct uplink_effects *effects)
{
    play->sessions_lost += effects->why != ERR_OK;
    if (err_class(effects->why) == ERR_CLASS_FATAL)
        pair_restart_device(&play->pair, device);
    else
        pair_cut(&play->pair, device);
    device->why = effects->why;
}

static bool exchange(struct play *play, struct pair_device *device)
{
    struct buf frame;
    struct uplink_effects effects = {0};
    bool moved = false;
    buf_init(&frame, FRAME_MAX);
    while (device->up) {
        uplink_next_frame(device->uplink, device_time(play), &frame, &effects);
        if (frame.size)
            hub_receive(play->pair.hub, device->peer, buf_view(&frame), hub_time(play));
        moved |= frame.size > 0;
        if (effects.hang_up)
            session_ended(play, device, &effects);
        if (frame.size == 0)
            break;
    }
    turn(play);
    while (device->up) {
        hub_next_frame(play->pair.hub, device->peer, hub_time(play), &frame);
        if (frame.size == 0)
            break;
        moved = true;
        uplink_receive(device->uplink, buf_view(&frame), device_time(play), &effects);
        if (effects.hang_up)
            session_ended(play, device, &effects);
    }
    bool hang_up = false;
    for (struct hub_effect e; (e = hub_next_effect(play->pair.hub)).kind != HUB_EFFECT_NONE;)
        hang_up |= e.kind == HUB_EFFECT_HANG_UP && e.context == device;
    buf_done(&frame);
    if (hang_up && device->up) {
        const struct uplink_effects lost = {.why = ERR_LINK};
        session_ended(play, device, &lost);
    }
    return moved;
}

/* Sessions until one ends well. */
static void sync(struct play *play, struct pair_device *device)
{
    for (int tries = 0; tries < 6; tries++) {
        struct hub_now now = hub_time(play);
        struct uplink_effects effects;
        const struct uplink_config config = {.replica = device->replica,
                                             .crypto = play->pair.crypto,
                                             .rng = &play->pair.rng,
                                             .agent = "test",
                                             .once = true};
        play->pair.now_ms++;
        uplink_free(device->uplink);
        device->uplink = NULL;
        if (uplink_new(&config, &device->identity, NULL, &device->uplink) != ERR_OK)
            continue;
        if (hub_attach(play->pair.hub, device, now, &device->peer) != ERR_OK)
            continue;
        device->up = true;
        uplink_link_up(device->uplink, device_time(play), &effects);
        while (device->up && exchange(play, device))
            continue;
        if (device->up) { /* a lost answer: the link would time out */
            const struct uplink_effects lost = {.why = ERR_TIMEOUT};
            session_ended(play, device, &lost);
        }
        if (device->why == ERR_OK)
            return;
    }
    fail_msg("six sessions in a row ended with %s", err_name(device->why));
}

/* A transaction that is tried until the store takes it; what failed left nothing behind. */
static void write(struct play *play, struct pair_device *device, bool insert)
{
    const struct model_table *party = model_table_by_name(play->pair.model, bytes_of_text("party"));
    const uint16_t name = model_column_by_name(party, bytes_of_text("name"))->index;
    const uint16_t points = model_column_by_name(party, bytes_of_text("loyalty_points"))->index;
    for (int tries = 0; tries < 4; tries++) {
        struct err_info info = {0};
        struct dot dot;
        struct arena arena;
        struct replica_record now;
        enum err e = replica_begin(device->replica, play->pair.now_ms);
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
        play->writes_refused++;
        if (err_class(e) == ERR_CLASS_FATAL)
            pair_restart_device(&play->pair, device);
    }
    fail_msg("a write was refused four times");
}

static void act(struct play *play)
{
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < DEVICES; i++) {
            write(play, play->devices[i], true);
            write(play, play->devices[i], false);
            sync(play, play->devices[i]);
        }
}

static void play_end(struct play *play)
{
    char points[24];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < DEVICES; i++)
            sync(play, play->devices[i]);
    snprintf(points, sizeof points, "%u", play->points);
    assert_int_equal(pair_count(&play->pair, NULL, "party"), play->inserted);
    assert_string_equal(pair_cell(&play->pair, NULL, "party", play->shared, "loyalty_points"),
                        points);
    for (int i = 0; i < 2; i++) /* the rep does not hold every bucket */
        pair_assert_equal(&play->pair, play->devices[i]);
    assert_string_equal(
        pair_cell(&play->pair, play->devices[2], "party", play->shared, "loyalty_points"), points);
    assert_int_equal(pair_count(&play->pair, play->devices[2], "party"), play->inserted);
    if (!strstr(pair_admin(&play->pair, "{\"do\":\"verify\"}"), "\"ok\":true"))
        fail_msg("the store does not verify");
    pair_done(&play->pair);
}

static struct store *chosen(struct play *play, int which)
{
    return which < 0 ? play->pair.hub_store : play->devices[which]->store;
}

static uint64_t calls_of(int which)
{
    struct play play;
    play_start(&play);
    uint64_t before = store_mem_call_count(chosen(&play, which));
    act(&play);
    uint64_t calls = store_mem_call_count(chosen(&play, which)) - before;
    assert_int_equal(play.sessions_lost + play.turns_failed + play.writes_refused, 0);
    play_end(&play);
    return calls;
}

/* which: -1 the hub's store, else a device's. */
static void each_call_fails(int which)
{
    static const enum err errors[] = {ERR_BUSY, ERR_FULL, ERR_NOMEM, ERR_IO};
    uint64_t calls = calls_of(which);
    uint32_t met = 0, plays = 0;
    for (uint64_t k = 1; k <= calls; k++) {
        struct play play;
        play_start(&play);
        store_mem_fail_at(chosen(&play, which), k, errors[k % 4]);
        act(&play);
        met += play.sessions_lost + play.turns_failed + play.writes_refused > 0;
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
    for (uint64_t k = 1; met; k++, plays++) {
        struct play play;
        play_start(&play);
        play.shortage_at = k;
        act(&play);
        met = play.shortage_at == 0;
        play.shortage_at = 0;
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
