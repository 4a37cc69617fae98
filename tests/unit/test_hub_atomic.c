/* What a subscriber is shown is whole: groups of ten records carry one marker, and no view ever shows two
 * markers in one of them, whatever the pages, the writers and the cuts. Every view is looked at after
 * every frame, and counted.
 *
 * ctest: timeout=900 */
#include "tests/lib/pair.h"

enum { GROUP = 10, SETS_MAX = 100 };

struct stage {
    struct pair pair;
    struct pair_device *writer, *puller;
    struct uuid ids[SETS_MAX][GROUP];
    uint32_t sets, marker, frames;
    uint64_t views, hidden; /* hidden: before the first checkpoint nothing is shown */
    const struct model_table *party;
    uint16_t name, details;
    bool large;
};

static struct now device_time(const struct stage *s)
{
    return (struct now){{s->pair.now_ms}, {s->pair.now_ms * 1000}};
}

static struct hub_now hub_time(const struct stage *s)
{
    return (struct hub_now){{s->pair.now_ms}, {s->pair.now_ms * 1000}};
}

static void stage_start(struct stage *s, uint64_t seed, const struct hub_limits *limits,
                        uint32_t sets, bool large)
{
    memset(s, 0, sizeof *s);
    pair_init(&s->pair, NULL, seed);
    s->pair.config.limits = *limits;
    pair_restart_hub(&s->pair);
    s->writer = pair_enrol(&s->pair, "writer", "admin");
    s->puller = pair_enrol(&s->pair, "puller", "admin");
    s->sets = sets;
    s->large = large;
    s->party = model_table_by_name(s->pair.model, bytes_of_text("party"));
    s->name = model_column_by_name(s->party, bytes_of_text("name"))->index;
    s->details = model_column_by_name(s->party, bytes_of_text("bank_details"))->index;
}

/* One group: ten records of the set get the next marker. */
static void write_set(struct stage *s, uint32_t set)
{
    char text[24], details[1901];
    struct err_info info = {0};
    struct dot dot;
    struct replica *r = s->writer->replica;
    const uint16_t columns[2] = {s->name, s->details};
    snprintf(text, sizeof text, "%u", ++s->marker);
    assert_ok(replica_begin(r, s->pair.now_ms));
    for (int i = 0; i < GROUP; i++) {
        for (size_t k = 0; s->large && k + 1 < sizeof details; k++)
            details[k] = (char)('a' + seeded_below(&s->pair.seeded, 26));
        struct value values[2] = {value_text(bytes_of_text(text)),
                                  value_text(bytes_of(details, sizeof details - 1))};
        uint16_t count = s->large ? 2 : 1;
        enum err e =
            uuid_is_nil(&s->ids[set][i])
                ? replica_insert(r, s->party, &s->ids[set][i], columns, values, count, &info)
                : replica_update(r, s->party, &s->ids[set][i], columns, values, count, false,
                                 &info);
        if (e != ERR_OK)
            fail_msg("%s", info.message);
    }
    assert_ok(replica_commit(r, &dot));
}

/* Looks at the puller's view. */
static void look(struct stage *s)
{
    struct replica_status status;
    struct arena arena;
    replica_status(s->puller->replica, &status);
    if (!status.bootstrapped) {
        s->hidden++;
        return;
    }
    arena_init(&arena, 1 << 24);
    assert_ok(store_begin(s->puller->store, STORE_READ));
    for (uint32_t set = 0; set < s->sets; set++) {
        struct bytes shown = bytes_of(NULL, 0);
        uint32_t present = 0;
        for (int i = 0; i < GROUP; i++) {
            struct store_row row;
            enum err e = store_row_get(s->puller->store, s->party, &s->ids[set][i], &arena, &row);
            if (e == ERR_NOT_FOUND)
                continue;
            assert_ok(e);
            if (present++ == 0)
                shown = row.values[s->name].as.bytes;
            if (!bytes_equal(shown, row.values[s->name].as.bytes))
                fail_msg("half of a group after %u frames", s->frames);
        }
        if (present != 0 && present != GROUP)
            fail_msg("%u of %d records of a group after %u frames", present, GROUP, s->frames);
    }
    store_rollback(s->puller->store);
    arena_done(&arena);
    s->views++;
}

static void ended(struct stage *s, struct pair_device *device, const struct uplink_effects *effects)
{
    if (effects->why != ERR_OK)
        fail_msg("%s", effects->message);
    pair_cut(&s->pair, device);
}

static bool up(struct stage *s, struct pair_device *device)
{
    struct buf frame;
    struct uplink_effects effects = {0};
    if (!device->up)
        return false;
    buf_init(&frame, FRAME_MAX);
    uplink_next_frame(device->uplink, device_time(s), &frame, &effects);
    bool sent = frame.size > 0;
    if (sent)
        hub_receive(s->pair.hub, device->peer, buf_view(&frame), hub_time(s));
    buf_done(&frame);
    while (hub_has_work(s->pair.hub))
        assert_ok(hub_turn(s->pair.hub, hub_time(s)));
    if (effects.hang_up)
        ended(s, device, &effects);
    return sent;
}

static bool down(struct stage *s, struct pair_device *device)
{
    struct buf frame;
    struct uplink_effects effects = {0};
    if (!device->up)
        return false;
    buf_init(&frame, FRAME_MAX);
    hub_next_frame(s->pair.hub, device->peer, hub_time(s), &frame);
    bool sent = frame.size > 0;
    if (sent)
        uplink_receive(device->uplink, buf_view(&frame), device_time(s), &effects);
    buf_done(&frame);
    if (effects.hang_up)
        ended(s, device, &effects);
    return sent;
}

/* The writer commits a group, and it is decided. */
static void commit(struct stage *s)
{
    struct uplink_effects effects;
    write_set(s, (uint32_t)seeded_below(&s->pair.seeded, s->sets));
    s->pair.now_ms++;
    uplink_local_change(s->writer->uplink, device_time(s), &effects);
    while (up(s, s->writer) || down(s, s->writer))
        continue;
}

/* One frame of the puller, and its view. False: it has nothing to say or to hear. */
static bool step(struct stage *s)
{
    if (!up(s, s->puller) && !down(s, s->puller))
        return false;
    s->frames++;
    look(s);
    return true;
}

static void fill(struct stage *s)
{
    pair_connect(&s->pair, s->writer, false);
    for (uint32_t set = 0; set < s->sets; set++)
        write_set(s, set);
    while (up(s, s->writer) || down(s, s->writer))
        continue;
}

static uint64_t checkpoints(struct stage *s)
{
    struct uplink_progress progress = {0};
    if (s->puller->uplink)
        uplink_progress(s->puller->uplink, &progress);
    return progress.checkpoints;
}

static void finish(struct stage *s)
{
    while (step(s))
        continue;
    struct hub_stats stats;
    hub_stats(s->pair.hub, &stats);
    assert_int_equal(stats.peers_live, 2);
    pair_assert_equal(&s->pair, s->puller);
    print_message(
        "%llu views (and %llu hidden ones) over %u frames and %u groups, %llu checkpoints\n",
        (unsigned long long)s->views, (unsigned long long)s->hidden, s->frames, s->marker,
        (unsigned long long)checkpoints(s));
    assert_true(s->views > 0);
    pair_cut(&s->pair, s->puller);
    pair_cut(&s->pair, s->writer);
    pair_done(&s->pair);
}

static void small_pages_under_constant_writes_show_no_half(void **state)
{
    (void)state;
    const struct hub_limits limits = {.page_rows = 3, .page_bytes = 200};
    struct stage s;
    stage_start(&s, 1, &limits, 12, false);
    fill(&s);
    pair_connect(&s.pair, s.puller, false);
    for (unsigned i = 0; i < unit_rounds(3000); i++) { /* a commit between any two frames */
        if (!step(&s))
            break;
        commit(&s);
    }
    assert_true(checkpoints(&s) > unit_rounds(20) / 2); /* it gets on, however fast the writer is */
    finish(&s);
}

static void live_pages_show_no_half(void **state)
{
    (void)state;
    const struct hub_limits limits = {.page_rows = 3, .page_bytes = 200};
    struct stage s;
    stage_start(&s, 2, &limits, 12, false);
    fill(&s);
    pair_connect(&s.pair, s.puller, false);
    while (step(&s))
        continue;
    uint64_t before = checkpoints(&s);
    const unsigned commits = unit_rounds(300);
    for (unsigned i = 0; i < commits; i++) { /* one frame, or some, or none between two commits */
        commit(&s);
        for (uint64_t n = seeded_below(&s.pair.seeded, 12); n && step(&s); n--)
            continue;
    }
    while (step(&s))
        continue;
    assert_int_equal(checkpoints(&s) - before, commits); /* each commit was one */
    struct hub_stats stats;
    hub_stats(s.pair.hub, &stats);
    assert_int_equal(stats.fallbacks, 0);
    finish(&s);
}

/* The reader stops for so long that its snapshot is taken from it, and falls behind its live queue. */
static void a_slow_reader_sees_no_half_and_finishes(void **state)
{
    (void)state;
    const struct hub_limits limits = {.page_rows = 3,
                                      .page_bytes = 200,
                                      .live_queue_bytes = 3000,
                                      .readers_max = 1,
                                      .reader_timeout_us = 20000000};
    struct stage s;
    struct hub_stats stats;
    stage_start(&s, 3, &limits, 12, false);
    fill(&s);
    pair_connect(&s.pair, s.puller, false);
    for (int i = 0; i < 8; i++)
        assert_true(step(&s)); /* in the middle of its catch-up */
    for (int i = 0; i < 400; i++) {
        commit(&s);
        if (i % 40 == 0) { /* longer than a snapshot is held */
            s.pair.now_ms += 25000;
            hub_tick(s.pair.hub, hub_time(&s));
        }
        for (uint64_t n = seeded_below(&s.pair.seeded, 5); n && step(&s); n--)
            continue;
    }
    while (step(&s))
        continue;
    for (int i = 0; i < 60; i++) /* now live, and not reading */
        commit(&s);
    hub_stats(s.pair.hub, &stats);
    assert_true(stats.fallbacks > 0);
    finish(&s);
}

/* A long catch-up is cut at each frame in turn, on a device that starts anew each time. */
static void a_catch_up_that_is_cut_goes_on_where_it_was(void **state)
{
    (void)state;
    const struct hub_limits limits = {.page_rows = 20, .page_bytes = 32 << 10};
    struct stage s;
    stage_start(&s, 4, &limits, 90, true);
    fill(&s);
    pair_sync(&s.pair,
              s.puller); /* an empty replica takes pages straight into its tables: not this */
    for (uint32_t set = 0; set < s.sets; set++)
        commit(&s);
    for (uint32_t set = 0; set < s.sets; set++)
        write_set(&s, set);
    struct uplink_effects effects;
    uplink_local_change(s.writer->uplink, device_time(&s), &effects);
    while (up(&s, s.writer) || down(&s, s.writer))
        continue;
    uint64_t furthest = 0;
    uint32_t cuts = 0, resumed = 0;
    while (checkpoints(&s) == 0 || cuts == 0) {
        /* the first session brings enough to be staged, the others a page or two */
        const uint32_t length = cuts == 0 ? 38 : 6 + cuts % 3;
        pair_restart_device(&s.pair, s.puller);
        pair_connect(&s.pair, s.puller, false);
        for (uint32_t n = 0; n < length && checkpoints(&s) == 0; n++) {
            if (!step(&s))
                break;
            if (n % 16 == 0)
                commit(&s);
        }
        if (checkpoints(&s) > 0)
            break;
        cuts++;
        pair_restart_device(&s.pair, s.puller);
        const struct bucket_position *positions;
        uint32_t count;
        bool reconcile;
        struct arena arena;
        arena_init(&arena, 1 << 20);
        assert_ok(replica_cursors(s.puller->replica, &arena, &positions, &count, &reconcile));
        assert_false(reconcile);
        uint64_t at = 0;
        for (uint32_t i = 0; i < count; i++)
            at += positions[i].position;
        arena_done(&arena);
        assert_true(at >= furthest); /* staged pages outlive the process */
        resumed += at > furthest && cuts > 1;
        furthest = at;
        assert_true(cuts < 100);
    }
    print_message("%u cuts, %u of them went on from a later place\n", cuts, resumed);
    assert_true(cuts > 3 && resumed > 2);
    finish(&s);
}

/* The same with a first sync: nothing is shown before its checkpoint, and it resumes as well. */
static void a_first_sync_that_is_cut_shows_nothing_before_it_is_whole(void **state)
{
    (void)state;
    const struct hub_limits limits = {.page_rows = 7, .page_bytes = 2000};
    struct stage s;
    stage_start(&s, 5, &limits, 20, false);
    fill(&s);
    uint32_t cuts = 0;
    pair_connect(&s.pair, s.puller, false);
    for (uint32_t length = 1; checkpoints(&s) == 0; length++) {
        pair_restart_device(&s.pair, s.puller);
        pair_connect(&s.pair, s.puller, false);
        for (uint32_t n = 0; n < length && checkpoints(&s) == 0; n++) {
            if (!step(&s))
                break;
            commit(&s);
        }
        cuts++;
        assert_true(cuts < 300);
    }
    assert_true(s.hidden > 0);
    finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_pages_under_constant_writes_show_no_half),
        cmocka_unit_test(live_pages_show_no_half),
        cmocka_unit_test(a_slow_reader_sees_no_half_and_finishes),
        cmocka_unit_test(a_catch_up_that_is_cut_goes_on_where_it_was),
        cmocka_unit_test(a_first_sync_that_is_cut_shows_nothing_before_it_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
