/* What limits a session at headquarters: times, rows of a page, results that one checkpoint can tell;
 * who subscribes again in the middle gets all of it, once. */
#include "server/core/hub_internal.h"
#include "tests/lib/scene.h"

static void times_are_what_was_asked_for(void **state)
{
    (void)state;
    const struct hub_limits limits = {.receive_queue_bytes = 1 << 20,
                                      .auth_timeout_us = 1000000,
                                      .idle_ping_us = 2000000,
                                      .idle_close_us = 3000000,
                                      .message_timeout_us = 1500000,
                                      .page_bytes = 4096,
                                      .page_rows = 7,
                                      .readers_max = 2,
                                      .live_queue_bytes = 1 << 16,
                                      .reader_timeout_us = 5000000};
    struct scene s;
    scene_start(&s, 141, &limits);
    assert_int_equal(hub_message_max(s.h.peer), FRAME_BEFORE_AUTH_MAX);
    scene_tick(&s, 990);
    hostile_settle(&s.h);
    assert_false(s.h.hung_up);
    scene_tick(&s, 20);
    hostile_expect(&s.h, ERR_TIMEOUT);
    scene_again(&s, true);
    assert_int_equal(hub_message_max(s.h.peer), FRAME_MAX);
    scene_tick(&s, 2010);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PING], 1);
    scene_tick(&s, 1000);
    hostile_expect(&s.h, ERR_TIMEOUT);
    /* pages have at most so many rows */
    for (int i = 0; i < 30; i++)
        pair_insert(&s.pair, s.good, "party", "name", "Acme");
    pair_sync(&s.pair, s.good);
    s.parties = 30;
    scene_again(&s, true);
    hostile_subscribe(&s.h, NULL, 0, 1 << 20);
    hostile_settle(&s.h);
    assert_true(s.h.received[MESSAGE_PAGE] >= 5);
    assert_true(s.h.received[MESSAGE_CHECKPOINT] >= 1);
    scene_end(&s);
}

/* What was queued for an earlier subscription is not sent after a later one; answers are. */
static void a_later_subscription_takes_the_place_of_an_earlier_one(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 143, NULL);
    scene_again(&s, true);
    hostile_subscribe(&s.h, NULL, 0, 4 << 20);
    hostile_settle(&s.h);
    assert_int_equal(scene_stats(&s).peers_live, 1);
    uint32_t checkpoints = s.h.received[MESSAGE_CHECKPOINT];
    for (int i = 0; i < 3; i++) {
        pair_insert(&s.pair, s.good, "party", "name", "Acme");
        pair_sync(&s.pair, s.good); /* queued for us, and not read */
    }
    s.parties = 3;
    assert_true(s.h.peer->out_bytes > 0);
    const struct message ping = {.type = MESSAGE_PING, .as.ping = {.token = 5}};
    hostile_send(&s.h, &ping);
    hostile_subscribe(&s.h, NULL, 0, 4 << 20);
    hostile_turn(&s.h);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PONG], 1);
    assert_int_equal(s.h.received[MESSAGE_CHECKPOINT], checkpoints + 1); /* all of it in one */
    assert_true(s.h.rows >= 3);
    assert_int_equal(scene_stats(&s).peers_live, 1);
    scene_end(&s);
}

/* More results than one checkpoint tells, with holes between: what is told says so far and no further. */
static void results_beyond_a_checkpoint_are_told_with_their_holes(void **state)
{
    enum { COUNT = 10400 };
    (void)state;
    struct scene s;
    scene_start(&s, 144, NULL);
    pair_admin(&s.pair, "{\"do\":\"user-set\",\"login\":\"bad\",\"role\":\"rep\"}");
    for (int i = 0; i < COUNT; i++)
        pair_insert(&s.pair, s.bad, "product", "name", "N"); /* a rep may not */
    scene_again(&s, true);
    for (uint64_t first = 1; first <= COUNT;) {
        const struct bytes *groups;
        uint32_t count;
        uint64_t from;
        assert_ok(
            replica_outbox(s.bad->replica, first, 1 << 20, 400, &s.arena, &groups, &count, &from));
        assert_int_equal(from, first);
        if (first == 1) /* holes: the first, and one at the end of each run */
            groups++, from++, count--;
        hostile_push(&s.h, from, groups, count - 1);
        hostile_settle(&s.h);
        assert_int_equal(s.h.failure, ERR_OK);
        first = from + count;
    }
    hostile_subscribe(&s.h, NULL, 0, 4 << 20);
    hostile_settle(&s.h);
    assert_true(s.h.received[MESSAGE_CHECKPOINT] >= 2);
    uint32_t runs = (COUNT + 399) / 400;
    assert_int_equal(s.h.results, COUNT - runs - 1);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_what_was_asked_for),
        cmocka_unit_test(a_later_subscription_takes_the_place_of_an_earlier_one),
        cmocka_unit_test(results_beyond_a_checkpoint_are_told_with_their_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
