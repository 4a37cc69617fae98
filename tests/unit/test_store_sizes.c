/* What takes place in the file of a store: by areas, whatever kind of table they lie in; free pages, the log. */
#include "common/store_sqlite/store_sqlite.h"

#include <sqlite3.h>

#include "tests/lib/store_kit.h"

static int setup(void **state)
{
    store_kit_kind = STORE_KIND_SQLITE_FILE;
    return store_kit_setup(state);
}

static struct store_sizes sizes_of(struct store_kit *kit)
{
    struct store_sizes sizes;
    assert_ok(store_begin(kit->store, STORE_READ));
    assert_ok(store_sqlite_sizes(kit->store, true, &sizes));
    store_rollback(kit->store);
    assert_true(sizes.measured);
    return sizes;
}

static void put_sides(struct store_kit *kit, enum store_side side, uint32_t count, size_t size)
{
    static uint8_t bytes[100000];
    uint8_t key[4];
    assert_true(size <= sizeof bytes);
    for (uint32_t i = 0; i < count; i++) {
        be32_put(key, i);
        assert_ok(store_side_put(kit->store, side, bytes_of(key, 4), bytes_of(bytes, size)));
    }
}

static void each_thing_is_counted_where_it_lies(void **state)
{
    struct store_kit *kit = *state;
    store_kit_begin(kit);
    for (uint32_t i = 1; i <= 1000; i++)
        store_kit_put(kit, kit->thing, i, i, i > 900);
    put_sides(kit, SIDE_OUTBOX, 300, 1000); /* with rowids */
    put_sides(kit, SIDE_AUDIT, 500, 100);   /* without */
    put_sides(kit, SIDE_WAITING, 3, 100000);
    store_kit_commit(kit);
    struct store_sizes sizes;
    assert_ok(store_begin(kit->store, STORE_READ));
    assert_ok(store_sqlite_sizes(kit->store, false, &sizes)); /* without reading the file */
    store_rollback(kit->store);
    assert_true(sizes.file_bytes > 300000 && !sizes.measured);
    sizes = sizes_of(kit);
    assert_int_equal(sizes.areas[STORE_AREA_RECORDS].rows, 900);
    assert_int_equal(sizes.areas[STORE_AREA_DELETED].rows, 100);
    assert_int_equal(sizes.areas[STORE_AREA_OWN_GROUPS].rows, 300);
    assert_int_equal(sizes.areas[STORE_AREA_AUDIT].rows, 500);
    assert_int_equal(sizes.areas[STORE_AREA_WAITING].rows, 3);
    assert_int_equal(sizes.areas[STORE_AREA_PARKED].rows, 0);
    assert_true(sizes.areas[STORE_AREA_WAITING].bytes >= 300000);
    assert_true(sizes.areas[STORE_AREA_OWN_GROUPS].bytes >= 300000);
    assert_true(sizes.wal_bytes > 0);
    uint64_t sum = sizes.free_bytes;
    for (int i = 0; i < STORE_AREA_COUNT; i++) {
        assert_non_null(store_area_name((enum store_area)i));
        sum += sizes.areas[i].bytes;
    }
    assert_true(sum <= sizes.file_bytes && sizes.file_bytes - sum <= 64 * 1024);
}

static void what_is_concealed_is_counted_as_records(void **state)
{
    struct store_kit *kit = *state;
    store_kit_begin(kit);
    assert_ok(store_conceal(kit->store));
    for (uint32_t i = 1; i <= 10; i++)
        store_kit_put(kit, kit->thing, i, i, false);
    store_kit_commit(kit);
    assert_int_equal(sizes_of(kit).areas[STORE_AREA_RECORDS].rows, 10);
}

static void what_was_removed_is_free(void **state)
{
    struct store_kit *kit = *state;
    uint8_t key[4];
    store_kit_begin(kit);
    put_sides(kit, SIDE_STAGE, 20, 100000);
    store_kit_commit(kit);
    struct store_sizes before = sizes_of(kit);
    store_kit_begin(kit);
    for (uint32_t i = 0; i < 20; i++) {
        be32_put(key, i);
        assert_ok(store_side_delete(kit->store, SIDE_STAGE, bytes_of(key, 4)));
    }
    store_kit_commit(kit);
    struct store_sizes after = sizes_of(kit);
    assert_true(after.free_bytes >= before.free_bytes + 2000000);
    assert_ok(store_sqlite_checkpoint(kit->store));
    assert_int_equal(sizes_of(kit).wal_bytes, 0);
}

static void fill_and_empty(struct store_kit *kit)
{
    uint8_t key[4];
    store_kit_begin(kit);
    put_sides(kit, SIDE_STAGE, 100, 100000);
    store_kit_put(kit, kit->thing, 1, 1, false);
    store_kit_commit(kit);
    store_kit_begin(kit);
    for (uint32_t i = 0; i < 100; i++) {
        be32_put(key, i);
        assert_ok(store_side_delete(kit->store, SIDE_STAGE, bytes_of(key, 4)));
    }
    store_kit_commit(kit);
}

/* Some at a time, until what is left is little; readers keep what they see. */
static void free_pages_are_given_back(void **state)
{
    struct store_kit *kit = *state;
    struct store *reader;
    bool more;
    uint64_t last;
    fill_and_empty(kit);
    assert_ok(store_reader(kit->store, &reader));
    assert_ok(store_begin(reader, STORE_READ));
    last = sizes_of(kit).file_bytes;
    assert_true(last > 10000000);
    int steps = 0;
    for (more = true; more; steps++) {
        assert_ok(store_sqlite_give_back(kit->store, 100, &more));
        struct store_sizes now = sizes_of(kit);
        assert_true(now.file_bytes < last && last - now.file_bytes <= 101 * 8192);
        last = now.file_bytes;
    }
    assert_true(steps >= 8);
    assert_true(last < 2000000);
    assert_ok(store_sqlite_give_back(kit->store, 100, &more)); /* few are kept to be used again */
    assert_int_equal(sizes_of(kit).file_bytes, last);
    store_rollback(reader);
    store_close(reader);
    store_kit_begin(kit);
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 1, false);
    store_kit_commit(kit);
}

static void a_file_is_compacted(void **state)
{
    struct store_kit *kit = *state;
    struct err_info info = {0};
    bool more;
    fill_and_empty(kit);
    /* as an earlier program made it */
    assert_int_equal(sqlite3_exec(store_sqlite_handle(kit->store), "PRAGMA auto_vacuum=NONE;VACUUM",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    fill_and_empty(kit);
    assert_ok(store_sqlite_give_back(kit->store, 100, &more));
    assert_false(more);
    assert_true(sizes_of(kit).file_bytes > 10000000);
    assert_ok(store_sqlite_compact(kit->store, &info));
    assert_int_equal(sizes_of(kit).free_bytes, 0);
    assert_true(sizes_of(kit).file_bytes < 1000000);
    fill_and_empty(kit);
    assert_ok(store_sqlite_give_back(kit->store, 100, &more)); /* it can from now on */
    assert_true(more);
    store_kit_begin(kit);
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 1, false);
    store_kit_commit(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_thing_is_counted_where_it_lies, setup,
                                        store_kit_teardown),
        cmocka_unit_test_setup_teardown(what_is_concealed_is_counted_as_records, setup,
                                        store_kit_teardown),
        cmocka_unit_test_setup_teardown(what_was_removed_is_free, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(free_pages_are_given_back, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(a_file_is_compacted, setup, store_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
