/* A comparison by ranges at its edges: answers that do not fit the question, steps in no order, pages that are too
 * large, a store without snapshots, small slices and pages at either end, questions that nobody may ask.
 *
 * ctest: timeout=600 */
#include "client/core/replica_compare.h"
#include "common/store_sqlite/store_sqlite.h"
#include "server/core/hub_internal.h"
#include "tests/lib/pair.h"
#include "tests/lib/scene.h"

#include <unistd.h>

enum { RECORDS = 700, HARMED = 40 };

struct world {
    struct pair p;
    struct pair_device *writer, *device;
    const struct model_table *party;
    struct uuid ids[RECORDS];
    struct arena arena;
};

static void world_open(struct world *w, const struct hub_limits *limits)
{
    pair_init(&w->p, NULL, 171);
    if (limits) {
        w->p.config.limits = *limits;
        pair_restart_hub(&w->p);
    }
    w->writer = pair_enrol(&w->p, "root", "admin");
    w->device = pair_enrol(&w->p, "root", "admin");
    w->party = model_table_by_name(w->p.model, bytes_of_text("party"));
    arena_init(&w->arena, 64 << 20);
    for (uint32_t i = 0; i < RECORDS; i++) {
        w->ids[i] = pair_insert(&w->p, w->writer, "party", "name", "Acme");
        if (i % 9 == 0)
            pair_delete(&w->p, w->writer, "party", w->ids[i]);
    }
    pair_sync_all(&w->p);
    pair_assert_equal(&w->p, w->device);
}

static void world_close(struct world *w)
{
    arena_done(&w->arena);
    pair_done(&w->p);
}

static void harm(struct world *w, uint32_t which)
{
    struct store_row row;
    struct store *store = w->device->store;
    assert_ok(store_begin(store, STORE_WRITE));
    assert_ok(store_row_get(store, w->party, &w->ids[which], &w->arena, &row));
    struct value *values = arena_calloc(&w->arena, w->party->column_count, sizeof *values);
    assert_non_null(values);
    memcpy(values, row.values, w->party->column_count * sizeof *values);
    values[model_column_by_name(w->party, bytes_of_text("name"))->index] =
        value_text(bytes_of_text("harmed"));
    row.values = values;
    assert_ok(store_row_put(store, w->party, &w->ids[which], &row));
    assert_ok(store_commit(store));
}

/* A comparison that is about to ask, of every bucket. */
static struct replica *begin(struct world *w, uint32_t rows)
{
    struct replica *r = w->device->replica;
    assert_ok(replica_compare_begin(r));
    for (int i = 0; replica_compare_state(r) == COMPARE_SCAN; i++) {
        assert_true(i < 20000);
        assert_ok(replica_compare_scan(r, rows));
    }
    assert_int_equal(replica_compare_state(r), COMPARE_READY);
    replica_compare_subscribed(r);
    for (uint32_t i = 0; i < r->cursor_count; i++)
        r->cursors[i].differs = true;
    compare_checkpoint(r);
    assert_int_equal(replica_compare_state(r), COMPARE_ASK);
    return r;
}

static void end(struct world *w, struct replica *r)
{
    replica_compare_drop(r);
    assert_ok(replica_compare_scan(r, 10)); /* there is none */
    assert_int_equal(replica_compare_state(r), COMPARE_NONE);
    pair_restart_device(&w->p, w->device);
    pair_sync(&w->p, w->device);
    pair_assert_equal(&w->p, w->device);
}

/* ---- answers ---- */

static void answers_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    struct replica *r = begin(&w, 1); /* record by record, the dead ones too */
    struct message_ranges q;
    assert_ok(replica_compare_question(r, &w.arena, &q));
    uint64_t depth = q.depth + q.bits, most = ((uint64_t)1 << depth) - 1;
    const struct range_count good[] = {{.number = 1, .count = 1}, {.number = 2, .count = 1}};
    const struct range_count falling[] = {{.number = 2, .count = 1}, {.number = 1, .count = 1}};
    const struct range_count beyond[] = {{.number = most + 1, .count = 1}};
    const struct message_differences fits = {
        .bucket = q.bucket, .salt = q.salt, .depth = depth, .ranges = good, .ranges_count = 2};
    struct message_differences bad[6];
    for (int i = 0; i < 6; i++)
        bad[i] = fits;
    bad[0].bucket = UINT64_MAX;
    bad[1].bucket = 4000;
    bad[2].depth++;
    bad[3].ranges = falling;
    bad[4].ranges = beyond;
    bad[4].ranges_count = 1;
    bad[5].salt++;
    for (int i = 0; i < 5; i++)
        assert_err(replica_compare_answer(r, &bad[i]), ERR_PROTOCOL);
    assert_ok(replica_compare_answer(r, &bad[5])); /* of a comparison that was given up */
    while (replica_compare_state(r) == COMPARE_ASK)
        assert_ok(replica_compare_question(r, &w.arena, &q));
    assert_int_equal(replica_compare_state(r), COMPARE_ANSWERS);
    assert_err(replica_compare_question(r, &w.arena, &q), ERR_BUG); /* nothing is left to ask */
    assert_ok(replica_compare_answer(r, &fits));
    assert_err(replica_compare_answer(r, &fits), ERR_PROTOCOL); /* it was not asked again */
    end(&w, r);
    world_close(&w);
}

static void an_answer_without_differences_ends_it(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    struct replica *r = begin(&w, 5000);
    struct message_ranges q;
    assert_ok(replica_compare_question(r, &w.arena, &q));
    const struct message_differences none = {
        .bucket = q.bucket, .salt = q.salt, .depth = q.depth + q.bits};
    assert_ok(replica_compare_answer(r, &none));
    assert_int_equal(replica_compare_state(r), COMPARE_UNFOUNDED);
    end(&w, r);
    world_close(&w);
}

/* ---- steps ---- */

static void buckets_that_come_meanwhile_end_it(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    struct replica *r = w.device->replica;
    assert_ok(replica_compare_begin(r));
    assert_non_null(cursor_get(r, 501)); /* of a bucket that the scan does not know */
    while (replica_compare_state(r) == COMPARE_SCAN)
        assert_ok(replica_compare_scan(r, 100));
    compare_checkpoint(r); /* not subscribed yet: of the feed */
    assert_int_equal(replica_compare_state(r), COMPARE_READY);
    replica_compare_subscribed(r);
    cursor_get(r, 501)->differs = true;
    compare_checkpoint(r);
    assert_int_equal(replica_compare_state(r), COMPARE_NONE);
    r->cursors[r->cursor_count - 1].differs = false;
    assert_int_equal(compare_total(begin(&w, 100)->comparison, 777).count,
                     0); /* of a bucket that it has not */
    end(&w, r);
    world_close(&w);
}

static void pages_are_kept_up_to_a_limit(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    struct replica *r = w.device->replica;
    const struct message_page page = {
        .bucket = 1, .to = 9, .live = FEED_REPAIR, .body = bytes_of_text("rows")};
    assert_ok(replica_page(r, &page)); /* of a comparison that was given up: nothing is kept */
    assert_null(r->live);
    assert_null(r->caught);
    r = begin(&w, 5000);
    assert_ok(replica_page(r, &page));
    assert_non_null(r->comparison->pages);
    r->comparison->page_bytes = REPLICA_HELD_MAX;
    assert_ok(replica_page(r, &page));
    assert_int_equal(replica_compare_state(r), COMPARE_NONE); /* everything is read anew instead */
    struct replica_status status;
    replica_status(r, &status);
    assert_true(status.reconcile);
    end(&w, r);
    world_close(&w);
}

/* ---- a store without snapshots ---- */

static void count_bucket(void *context, const struct replica_bucket *bucket)
{
    (void)bucket;
    ++*(uint32_t *)context;
}

static void without_snapshots_all_is_read_anew(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, NULL);
    char folder[] = "/tmp/satchel-edges-XXXXXX", path[100];
    struct err_info info = {0};
    struct replica_status status;
    uint64_t unreadable = 0;
    uint32_t count = 0;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/device", folder);
    struct pair_device *d = pair_enrol(&w.p, "root", "admin");
    replica_close(d->replica);
    store_close(d->store);
    const struct store_sqlite_options options = {
        .path = path, .synchronous = STORE_SQLITE_OFF, .exclusive = true};
    assert_ok(store_sqlite_open(&options, w.p.model, &d->store, &info));
    const struct replica_config config = {
        .model = w.p.model, .store = d->store, .crypto = w.p.crypto, .rng = &w.p.rng};
    assert_ok(replica_open(&config, &d->replica, &info));
    pair_sync(&w.p, d);
    assert_err(replica_verify(d->replica, true, count_bucket, &count, &unreadable), ERR_INVALID);
    assert_int_equal(count, 0);
    replica_status(d->replica, &status);
    assert_true(status.reconcile);
    pair_sync(&w.p, d);
    replica_status(d->replica, &status);
    assert_false(status.reconcile);
    pair_assert_equal(&w.p, d);
    world_close(&w);
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (int i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s/device%s", folder, ends[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

/* ---- headquarters ---- */

/* Few rows, or few bytes, to a page: all the same. */
static void small_pages_mend_as_well(void **state)
{
    (void)state;
    const struct hub_limits limits[] = {{.page_rows = 3}, {.page_bytes = 256}};
    for (int k = 0; k < 2; k++) {
        struct world w;
        uint64_t unreadable = 0;
        uint32_t count = 0;
        world_open(&w, &limits[k]);
        for (uint32_t i = 0; i < HARMED; i++)
            harm(&w, 1 + 9 * i);
        assert_ok(replica_verify(w.device->replica, true, count_bucket, &count, &unreadable));
        assert_true(count > 0 && unreadable == 0);
        assert_true(pair_status(w.device).differs);
        pair_sync(&w.p, w.device);
        assert_false(pair_status(w.device).differs);
        pair_assert_equal(&w.p, w.device);
        world_close(&w);
    }
}

static struct message question(struct scene *s, uint64_t position)
{
    static const struct range_name whole = {.number = 0};
    static uint8_t sums[64 * 64];
    (void)s;
    return (struct message){.type = MESSAGE_RANGES,
                            .as.ranges = {.bucket = 1,
                                          .position = position,
                                          .salt = 5,
                                          .depth = 0,
                                          .bits = 0,
                                          .numbers = &whole,
                                          .numbers_count = 1,
                                          .sums = bytes_of(sums, RANGES_SUM_SIZE),
                                          .rows = 1,
                                          .last = 1}};
}

/* Questions without a comparison are passed over; in one, of a position that it is not at, they end it. */
static void questions_out_of_place(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 172, NULL);
    scene_again(&s, true);
    const struct message early = question(&s, 1);
    hostile_send(&s.h, &early); /* nothing was subscribed */
    hostile_settle(&s.h);
    assert_int_equal(s.h.failure, ERR_OK);
    hostile_subscribe(&s.h, NULL, 0, 1 << 20);
    hostile_turn(&s.h);
    assert_true(hostile_read_one(&s.h)); /* in the middle of a catch-up */
    hostile_send(&s.h, &early);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_DIFFERENCES], 0);
    assert_int_equal(s.h.failure, ERR_OK);
    struct message subscribe = {
        .type = MESSAGE_SUBSCRIBE,
        .as.subscribe = {.scope = 1, .credit = 1 << 20, .reconcile = RECONCILE_RANGES}};
    hostile_send(&s.h, &subscribe);
    hostile_settle(&s.h);
    const struct message wrong = question(&s, 1 << 30);
    hostile_send(&s.h, &wrong);
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_that_do_not_fit_are_refused),
        cmocka_unit_test(an_answer_without_differences_ends_it),
        cmocka_unit_test(buckets_that_come_meanwhile_end_it),
        cmocka_unit_test(pages_are_kept_up_to_a_limit),
        cmocka_unit_test(without_snapshots_all_is_read_anew),
        cmocka_unit_test(small_pages_mend_as_well),
        cmocka_unit_test(questions_out_of_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
