/* What goes down live while memory is short: a subscriber gets all of a commit, or catches up. */
#include "client/core/uplink_internal.h"
#include "tests/lib/failing_alloc.h"
#include "tests/lib/pair.h"

/* Takes the writer's next frame up and does the turn, in which the k-th allocation fails; whether one did. */
static bool turn_with(struct pair *p, struct pair_device *writer, uint64_t k)
{
    const struct now here = {{p->now_ms}, {p->now_ms * 1000}};
    const struct hub_now there = {{p->now_ms}, {p->now_ms * 1000}};
    struct uplink_effects effects;
    struct buf frame;
    buf_init(&frame, FRAME_MAX);
    uplink_local_change(writer->uplink, here, &effects);
    uplink_next_frame(writer->uplink, here, &frame, &effects);
    assert_true(frame.size > 0);
    hub_receive(p->hub, writer->peer, buf_view(&frame), there);
    buf_done(&frame);
    failing_alloc_start(k);
    enum err e = hub_turn(p->hub, there);
    bool failed = failing_alloc_stop();
    assert_ok(e);
    return failed;
}

static void a_subscriber_gets_all_of_a_commit_or_catches_up(void **state)
{
    (void)state;
    struct pair p;
    uint64_t failures = 0, fallbacks = 0;
    struct hub_stats stats;
    if (!failing_alloc_works())
        skip();
    pair_init(&p, NULL, 71);
    struct pair_device *readers[3], *writer = pair_enrol(&p, "anna", "admin");
    for (int i = 0; i < 3; i++)
        readers[i] = pair_enrol(&p, i ? "boss" : "boris", "admin");
    for (uint32_t i = 0; i < p.device_count; i++)
        pair_sync(&p, &p.devices[i]);
    for (bool more = true; more; failures++) {
        for (uint32_t i = 0; i < p.device_count; i++)
            if (!p.devices[i].up)
                pair_connect(&p, &p.devices[i], false);
        pair_run(&p);
        pair_insert(&p, writer, "party", "name", "Acme");
        more = turn_with(&p, writer, failures + 1);
        for (int i = 0; i < 3; i++) { /* a turn that failed is done again */
            p.now_ms += 1000;
            assert_ok(hub_turn(p.hub, (struct hub_now){{p.now_ms}, {p.now_ms * 1000}}));
            pair_run(&p);
        }
        for (int i = 0; i < 3; i++) {
            if (readers[i]->up && readers[i]->uplink->repairs > 0)
                fail_msg("allocation %llu: reader %d has other rows than it was told",
                         (unsigned long long)failures + 1, i);
            if (readers[i]->up)
                assert_int_equal(pair_count(&p, readers[i], "party"),
                                 pair_count(&p, NULL, "party"));
        }
    }
    hub_stats(p.hub, &stats);
    fallbacks = stats.fallbacks;
    print_message("%llu allocations failed, %llu times somebody fell back\n",
                  (unsigned long long)failures - 1, (unsigned long long)fallbacks);
    assert_true(fallbacks > 0);
    for (uint32_t i = 0; i < p.device_count; i++)
        pair_assert_equal(&p, &p.devices[i]);
    pair_done(&p);
}

/* What headquarters writes itself is told after the commit as it was stored: nothing of it was on a stack that is
 * used again meanwhile. */
static void live_subscribers_hear_of_new_devices_as_they_are(void **state)
{
    (void)state;
    struct pair p;
    struct hub_stats before, after;
    pair_init(&p, NULL, 1);
    struct pair_device *boss = pair_enrol(&p, "boss", "admin");
    pair_connect(&p, boss, false);
    pair_run(&p);
    hub_stats(p.hub, &before);
    for (int i = 0; i < 4; i++) {
        static const char *const logins[] = {"anna", "boris", "carl", "dora"};
        struct pair_device *device = pair_enrol(&p, logins[i], "rep");
        pair_sync(&p, device);
        assert_string_equal(pair_cell(&p, boss, "device", device->identity.device, "user"),
                            pair_cell(&p, NULL, "device", device->identity.device, "user"));
    }
    pair_run(&p);
    hub_stats(p.hub, &after);
    assert_int_equal(after.catch_ups - before.catch_ups,
                     4); /* theirs: the boss had no reason for one */
    pair_assert_equal(&p, boss);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_subscribers_hear_of_new_devices_as_they_are),
        cmocka_unit_test(a_subscriber_gets_all_of_a_commit_or_catches_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
