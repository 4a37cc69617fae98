/* Questions about ranges as no honest device would ask them, and the answer to each: a defined code, bounded
 * work and memory, nothing of other buckets, and others go on (tests/lib/scene.h). */
#include "server/core/hub_internal.h"
#include "tests/lib/scene.h"

enum { PARTIES = 300 };

struct question {
    struct message message;
    struct range_name numbers[RANGES_ASKED_MAX + 1];
    uint8_t sums[(RANGES_SUMS_MAX + 1) * RANGES_SUM_SIZE];
};
static struct question asked;

/* An honest first question: the whole bucket, no record here. */
static struct message_ranges *ask(uint64_t bucket, uint64_t position, uint32_t bits)
{
    memset(&asked, 0, sizeof asked);
    asked.message.type = MESSAGE_RANGES;
    asked.message.as.ranges = (struct message_ranges){
        .bucket = bucket,
        .position = position,
        .salt = 42,
        .bits = bits,
        .numbers = asked.numbers,
        .numbers_count = 1,
        .sums = bytes_of(asked.sums, ((size_t)1 << bits) * RANGES_SUM_SIZE),
    };
    return &asked.message.as.ranges;
}

static void compare(struct hostile *h)
{
    const struct message subscribe = {
        .type = MESSAGE_SUBSCRIBE,
        .as.subscribe = {.scope = 1, .credit = 1 << 20, .reconcile = RECONCILE_RANGES}};
    hostile_send(h, &subscribe);
    hostile_settle(h);
    assert_err(h->failure, ERR_OK);
}

/* The bucket that the customers are in. */
static uint32_t home(struct scene *s)
{
    for (uint32_t i = 0; i < s->pair.hub->bucket_count; i++)
        if (s->pair.hub->buckets[i]->count >= PARTIES)
            return s->pair.hub->buckets[i]->number;
    fail_msg("the customers are nowhere");
    return 0;
}

static uint64_t head_of(struct scene *s, uint32_t bucket)
{
    return s->pair.hub->buckets[bucket - 1]->head;
}

static void start(struct scene *s, uint64_t seed, const struct hub_limits *limits)
{
    scene_start(s, seed, limits);
    for (uint32_t i = 0; i < PARTIES; i++)
        pair_insert(&s->pair, s->good, "party", "name", "A customer");
    pair_sync(&s->pair, s->good);
    s->parties = PARTIES;
    hostile_open(&s->h);
}

/* ---- questions that are answered ---- */

static void a_question_is_answered_and_the_last_ends_it(void **state)
{
    (void)state;
    struct scene s;
    start(&s, 31, NULL);
    compare(&s.h);
    assert_int_equal(s.h.received[MESSAGE_CHECKPOINT], 1);
    ask(home(&s), head_of(&s, home(&s)), 3);
    hostile_send(&s.h, &asked.message);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_DIFFERENCES], 1);
    assert_int_equal(s.h.received[MESSAGE_CHECKPOINT], 1);
    assert_int_equal(s.h.peer->session.pull, PULL_CATCHING_UP);
    assert_int_equal(s.pair.hub->readers_open - s.pair.hub->reader_count, 1); /* is kept */
    uint32_t rows = s.h.rows;
    ask(home(&s), head_of(&s, home(&s)), 0)->rows = 1;
    asked.message.as.ranges.last = 1;
    hostile_send(&s.h, &asked.message);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_DIFFERENCES], 2);
    assert_int_equal(s.h.received[MESSAGE_CHECKPOINT], 2);
    assert_true(s.h.rows >= rows + PARTIES);
    assert_int_equal(s.h.peer->session.pull, PULL_LIVE);
    assert_int_equal(s.pair.hub->readers_open, s.pair.hub->reader_count);
    hostile_send(&s.h, &asked.message); /* of a comparison that is over */
    hostile_settle(&s.h);
    assert_err(s.h.failure, ERR_OK);
    assert_int_equal(s.h.received[MESSAGE_DIFFERENCES], 2);
    scene_end(&s);
}

/* ---- questions that are not ---- */

static void expect(struct scene *s, enum err failure)
{
    hostile_send(&s->h, &asked.message);
    hostile_expect(&s->h, failure);
    assert_int_equal(s->h.received[MESSAGE_DIFFERENCES], 0);
    scene_again(s, true);
    compare(&s->h);
}

static void what_is_out_of_form_ends_the_session(void **state)
{
    (void)state;
    struct scene s;
    start(&s, 32, NULL);
    const uint64_t at = head_of(&s, home(&s));
    compare(&s.h);
    ask(home(&s), at + 1, 2);
    expect(&s, ERR_PROTOCOL);
    ask(home(&s), 0, 2);
    expect(&s, ERR_PROTOCOL);
    ask(UINT64_MAX, at, 2);
    expect(&s, ERR_PROTOCOL);
    ask(home(&s) + (UINT64_C(1) << 32), at, 2); /* no truncation */
    expect(&s, ERR_PROTOCOL);
    ask(home(&s), at, 2)->sums.size -= 1;
    expect(&s, ERR_PROTOCOL);
    ask(home(&s), at, 2)->bits = 3;
    expect(&s, ERR_PROTOCOL);
    ask(home(&s), at, 2)->numbers_count = 0;
    expect(&s, ERR_PROTOCOL);
    ask(home(&s), at, 2)->numbers_count = 2; /* 0, 0 of depth 0 */
    expect(&s, ERR_PROTOCOL);
    ask(home(&s), at, 2)->depth = UINT64_MAX;
    expect(&s, ERR_PROTOCOL);
    ask(home(&s), at, 2)->bits = UINT64_MAX;
    expect(&s, ERR_PROTOCOL);
    ask(home(&s), at, 2)->depth = RANGES_DEPTH_MAX - 1;
    expect(&s, ERR_PROTOCOL);
    ask(home(&s), at, 2);
    asked.numbers[0].number = 1; /* there is one range of depth 0 */
    expect(&s, ERR_PROTOCOL);
    const struct message subscribe = {.type = MESSAGE_SUBSCRIBE,
                                      .as.subscribe = {.scope = 1, .reconcile = 3}};
    hostile_send(&s.h, &subscribe);
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_end(&s);
}

/* A bucket that it may not see is answered as one that there is not. */
static void another_ones_bucket_is_no_bucket(void **state)
{
    (void)state;
    struct scene s;
    start(&s, 33, NULL);
    struct pair_device *rep = pair_enrol(&s.pair, "rep", "rep");
    const uint64_t at = head_of(&s, home(&s));
    uint64_t bytes[2];
    for (int i = 0; i < 2; i++) {
        hostile_end(&s.h);
        hostile_attach(&s.h, &s.pair, rep);
        hostile_open(&s.h);
        compare(&s.h);
        ask(i ? 4711 : home(&s), at, 2)->rows = 1;
        bytes[i] = s.h.bytes;
        hostile_send(&s.h, &asked.message);
        hostile_expect(&s.h, ERR_PROTOCOL);
        bytes[i] = s.h.bytes - bytes[i];
        assert_int_equal(s.h.received[MESSAGE_DIFFERENCES], 0);
    }
    assert_int_equal(bytes[0], bytes[1]);
    scene_end(&s);
}

/* ---- bounds ---- */

static void questions_and_comparisons_are_counted(void **state)
{
    (void)state;
    struct scene s;
    start(&s, 34, NULL);
    const uint64_t at = head_of(&s, home(&s));
    compare(&s.h);
    ask(home(&s), at, 1);
    for (uint32_t i = 0; i < RANGES_ROUNDS_MAX; i++)
        hostile_send(&s.h, &asked.message);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_DIFFERENCES], RANGES_ROUNDS_MAX);
    hostile_send(&s.h, &asked.message);
    hostile_expect(&s.h, ERR_LIMIT);
    scene_again(&s, true);
    for (uint32_t i = 0; i < COMPARISONS_MAX; i++)
        compare(&s.h);
    const struct message subscribe = {.type = MESSAGE_SUBSCRIBE,
                                      .as.subscribe = {.scope = 1, .reconcile = RECONCILE_RANGES}};
    hostile_send(&s.h, &subscribe);
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_end(&s);
}

static void sums_that_wait_are_bounded(void **state)
{
    (void)state;
    struct scene s;
    start(&s, 35, NULL);
    compare(&s.h);
    uint32_t sent = 0;
    for (uint32_t bucket = 1; bucket <= 2; bucket++)
        for (uint32_t i = 0; i < RANGES_ROUNDS_MAX && s.h.peer->session.state == PEER_OPEN; i++) {
            ask(bucket, head_of(&s, bucket), RANGES_BITS_MAX);
            hostile_send(&s.h, &asked.message);
            sent++;
        }
    assert_int_equal(sent, 9); /* eight of 8,192 sums may wait */
    hostile_expect(&s.h, ERR_LIMIT);
    scene_end(&s);
}

/* All snapshots are held by comparisons in which nothing is asked: others wait, and not for ever. */
static void a_silent_comparison_gives_its_snapshot_back(void **state)
{
    (void)state;
    struct scene s;
    const struct hub_limits limits = {
        .readers_max = 1, .idle_ping_us = 3600000000, .idle_close_us = 7200000000};
    start(&s, 36, &limits);
    compare(&s.h);
    assert_int_equal(s.h.received[MESSAGE_CHECKPOINT], 1);
    pair_insert(&s.pair, s.good, "party", "name", "One");
    pair_connect(&s.pair, s.good, true);
    pair_run(&s.pair);
    assert_false(s.good->ended); /* waits for the snapshot */
    scene_tick(&s, 61000);
    pair_run(&s.pair);
    assert_true(s.good->ended);
    assert_err(s.good->why, ERR_OK);
    s.parties++;
    hostile_settle(&s.h);
    assert_err(s.h.failure, ERR_OK);
    assert_true(s.h.received[MESSAGE_CHECKPOINT] >= 2); /* of an ordinary catch-up */
    assert_int_equal(s.h.peer->session.pull, PULL_LIVE);
    ask(home(&s), head_of(&s, home(&s)), 2);
    hostile_send(&s.h, &asked.message);
    hostile_settle(&s.h);
    assert_err(s.h.failure, ERR_OK);
    assert_int_equal(s.h.received[MESSAGE_DIFFERENCES], 0);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_answered_and_the_last_ends_it),
        cmocka_unit_test(what_is_out_of_form_ends_the_session),
        cmocka_unit_test(another_ones_bucket_is_no_bucket),
        cmocka_unit_test(questions_and_comparisons_are_counted),
        cmocka_unit_test(sums_that_wait_are_bounded),
        cmocka_unit_test(a_silent_comparison_gives_its_snapshot_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
