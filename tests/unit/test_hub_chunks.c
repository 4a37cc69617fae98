/* Pages of first syncs: made once for many devices, and made anew where the log has changed. */
#include "server/core/hub_internal.h"
#include "tests/lib/pair.h"

enum { PARTIES = 60, PAGE_ROWS = 7 };

struct office {
    struct pair p;
    struct pair_device *author, *fresh[8];
    uint32_t fresh_count;
    struct uuid parties[PARTIES];
};

static void office_open(struct office *o, uint64_t seed)
{
    memset(o, 0, sizeof *o);
    pair_init(&o->p, NULL, seed);
    o->p.config.limits.page_rows = PAGE_ROWS;
    pair_restart_hub(&o->p);
    o->author = pair_enrol(&o->p, "author", "admin");
    pair_sync(&o->p, o->author);
    for (uint32_t i = 0; i < PARTIES; i++)
        o->parties[i] = pair_insert(&o->p, o->author, "party", "name", "Acme");
    pair_sync(&o->p, o->author);
}

static uint64_t shared(const struct office *o)
{
    struct hub_stats stats;
    hub_stats(o->p.hub, &stats);
    return stats.pages_shared;
}

/* A new device's first sync; how many of its pages had been made for another one. */
static uint64_t first_sync(struct office *o)
{
    char login[8];
    (void)snprintf(login, sizeof login, "d%u", o->fresh_count);
    struct pair_device *device = o->fresh[o->fresh_count++] = pair_enrol(&o->p, login, "admin");
    uint64_t before = shared(o);
    pair_sync(&o->p, device);
    pair_assert_equal(&o->p, device);
    return shared(o) - before;
}

static void a_page_is_made_once_for_all(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 31);
    assert_int_equal(first_sync(&o), 0);
    uint64_t all = first_sync(&o);
    assert_true(all >= PARTIES / PAGE_ROWS);
    assert_true(first_sync(&o) >= all);
    pair_done(&o.p);
}

/* A change takes a record out of one page alone, wherever in it; that one keeps its end, and the others stand. */
static void a_change_makes_one_page_anew(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 32);
    assert_int_equal(first_sync(&o), 0);
    for (uint32_t i = 20; i < 20 + PAGE_ROWS; i++) {
        uint64_t all = first_sync(&o); /* brings the tail, with its own device's rows, up to date */
        pair_set(&o.p, o.author, "party", o.parties[i], "name", "Bolt");
        pair_sync(&o.p, o.author);
        assert_true(first_sync(&o) + 2 >= all);
        assert_string_equal(
            pair_cell(&o.p, o.fresh[o.fresh_count - 1], "party", o.parties[i], "name"), "Bolt");
        pair_done(&o.p);
        office_open(&o, 33 + i);
        assert_int_equal(first_sync(&o), 0);
    }
    /* all of a stretch: pages that have become small take in what follows */
    for (uint32_t i = 5; i < 40; i++)
        pair_set(&o.p, o.author, "party", o.parties[i], "name", "Bolt");
    pair_delete(&o.p, o.author, "party", o.parties[41]);
    pair_sync(&o.p, o.author);
    (void)first_sync(&o);
    (void)first_sync(&o);
    (void)first_sync(&o);
    assert_true(first_sync(&o) >= PARTIES / PAGE_ROWS);
    pair_done(&o.p);
}

static void they_are_bounded_and_leave_when_nobody_comes(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 90);
    assert_int_equal(first_sync(&o), 0);
    assert_true(o.p.hub->chunks.bytes > 0);
    o.p.now_ms += 10 * 60 * 1000 + 1;
    (void)pair_run(&o.p);
    hub_tick(o.p.hub, pair_hub_now(&o.p));
    assert_int_equal(o.p.hub->chunks.count, 0);
    assert_int_equal(o.p.hub->chunks.bytes, 0);
    o.p.hub->limits.chunk_bytes = 2000;
    assert_int_equal(first_sync(&o), 0);
    assert_true(o.p.hub->chunks.bytes <= 2000);
    uint64_t some = first_sync(&o);
    assert_true(some > 0 && some < PARTIES / PAGE_ROWS);
    pair_done(&o.p);
}

/* Who saw a record before is told that it left; a first sync is not, and its page is no use to the other. */
static void departures_are_told_to_whom_they_concern(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 91);
    pair_admin(&o.p, "{\"do\":\"branch-add\",\"name\":\"Gyumri\"}");
    pair_admin(&o.p, "{\"do\":\"user-set\",\"login\":\"author\",\"branch\":\"Gyumri\"}");
    struct pair_device *rep = pair_enrol(&o.p, "rep", "rep");
    pair_sync(&o.p, rep);
    assert_int_equal(pair_count(&o.p, rep, "party"), PARTIES);
    for (uint32_t i = 0; i < PARTIES; i += 3)
        pair_set(&o.p, o.author, "party", o.parties[i], "visibility", "owner");
    pair_sync(&o.p, o.author);
    for (int i = 0; i < 3; i++)
        (void)first_sync(&o);
    pair_sync(&o.p, rep);
    assert_int_equal(pair_count(&o.p, rep, "party"), PARTIES - PARTIES / 3);
    pair_assert_equal(&o.p, rep);
    pair_done(&o.p);
}

static void put_version(struct office *o, struct uuid id, struct bytes version)
{
    struct store *store = o->p.hub_store;
    const struct model_table *table = model_table_by_name(o->p.model, bytes_of_text("party"));
    struct store_row row;
    struct arena arena;
    arena_init(&arena, 1 << 16);
    assert_ok(store_begin(store, STORE_WRITE));
    assert_ok(store_row_get(store, table, &id, &arena, &row));
    row.version = version;
    assert_ok(store_row_put(store, table, &id, &row));
    assert_ok(store_commit(store));
    arena_done(&arena);
}

/* Nothing of a damaged record is kept for others: once the store is mended, a first sync succeeds. */
static void what_cannot_be_read_is_not_kept(void **state)
{
    (void)state;
    struct office o;
    struct store_row row;
    struct arena arena;
    office_open(&o, 92);
    arena_init(&arena, 1 << 16);
    const struct model_table *table = model_table_by_name(o.p.model, bytes_of_text("party"));
    assert_ok(store_begin(o.p.hub_store, STORE_READ));
    assert_ok(store_row_get(o.p.hub_store, table, &o.parties[30], &arena, &row));
    store_rollback(o.p.hub_store);
    put_version(&o, o.parties[30], bytes_of("", 0));
    struct pair_device *device = o.fresh[o.fresh_count++] = pair_enrol(&o.p, "fresh", "admin");
    pair_connect(&o.p, device, true);
    (void)pair_run(&o.p);
    assert_true(pair_count(&o.p, device, "party") < PARTIES);
    pair_cut(&o.p, device);
    put_version(&o, o.parties[30], row.version);
    pair_sync(&o.p, device);
    pair_assert_equal(&o.p, device);
    arena_done(&arena);
    pair_done(&o.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_made_once_for_all),
        cmocka_unit_test(a_change_makes_one_page_anew),
        cmocka_unit_test(they_are_bounded_and_leave_when_nobody_comes),
        cmocka_unit_test(departures_are_told_to_whom_they_concern),
        cmocka_unit_test(what_cannot_be_read_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
