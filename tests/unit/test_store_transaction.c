/* The conformance suite of the seam, second half: transactions, savepoints, readers. */
#include "common/store.h"

#include "common/store_mem/store_mem.h"
#include "tests/lib/store_kit.h"

static void fill(struct store_kit *kit, uint64_t seed)
{
    struct uuid id = store_kit_id(1);
    struct store_row base = store_kit_row(&kit->arena, kit->thing, seed);
    char text = (char)('a' + seed % 26);
    store_kit_put(kit, kit->thing, 1, seed, false);
    store_kit_put(kit, kit->part, 2, seed, true);
    assert_ok(store_base_put(kit->store, kit->thing, &id, &base));
    assert_ok(store_log_put(kit->store, 1, seed, kit->thing, &id));
    assert_ok(store_side_put(kit->store, SIDE_META, BYTES("k"), bytes_of(&text, 1)));
}

static void assert_filled(struct store_kit *kit, struct store *store, uint64_t seed)
{
    struct uuid id = store_kit_id(1);
    struct store_row got;
    struct bytes value;
    struct store_kit_list list = {0};
    store_kit_assert_is(kit, store, kit->thing, 1, seed, false);
    store_kit_assert_is(kit, store, kit->part, 2, seed, true);
    assert_err(store_base_get(store, kit->thing, &id, &kit->arena, &got),
               seed == 0 ? ERR_NOT_FOUND : ERR_OK);
    assert_err(store_side_get(store, SIDE_META, BYTES("k"), &kit->arena, &value),
               seed == 0 ? ERR_NOT_FOUND : ERR_OK);
    if (seed > 0)
        assert_int_equal(value.data[0], 'a' + seed % 26);
    assert_ok(store_log_scan(store, 1, 0, store_kit_list_log, &list));
    assert_int_equal(list.count, seed == 0 ? 0 : 1);
}

static void clear(struct store_kit *kit, uint64_t seed)
{
    struct uuid one = store_kit_id(1);
    struct uuid two = store_kit_id(2);
    assert_ok(store_row_delete(kit->store, kit->thing, &one));
    assert_ok(store_row_delete(kit->store, kit->part, &two));
    assert_ok(store_base_delete(kit->store, kit->thing, &one));
    assert_ok(store_log_delete(kit->store, 1, seed));
    assert_ok(store_side_delete(kit->store, SIDE_META, BYTES("k")));
}

static void rollback_restores_everything(void **state)
{
    struct store_kit *kit = *state;

    store_kit_begin(kit);
    fill(kit, 3);
    store_rollback(kit->store);
    store_kit_begin(kit);
    assert_filled(kit, kit->store, 0);
    fill(kit, 4);
    store_kit_commit(kit);
    store_kit_begin(kit);
    clear(kit, 4);
    assert_filled(kit, kit->store, 0);
    fill(kit, 5);
    store_rollback(kit->store);
    assert_ok(store_begin(kit->store, STORE_READ));
    assert_filled(kit, kit->store, 4);
    store_rollback(kit->store);
}

static void savepoints_undo_their_part_only(void **state)
{
    struct store_kit *kit = *state;

    store_kit_begin(kit);
    fill(kit, 3);
    assert_ok(store_savepoint(kit->store));
    clear(kit, 3);
    fill(kit, 4);
    assert_ok(store_rollback_to(kit->store));
    assert_filled(kit, kit->store, 3);
    assert_ok(store_savepoint(kit->store)); /* one after the other */
    clear(kit, 3);
    assert_ok(store_rollback_to(kit->store));
    assert_ok(store_savepoint(kit->store));
    clear(kit, 3);
    fill(kit, 5);
    assert_ok(store_release(kit->store));
    assert_filled(kit, kit->store, 5);
    store_kit_commit(kit);
    store_kit_begin(kit);
    assert_ok(store_savepoint(kit->store));
    clear(kit, 5);
    store_rollback(kit->store); /* with the savepoint open */
    store_kit_begin(kit);
    assert_filled(kit, kit->store, 5);
    store_kit_commit(kit);
}

static void a_reader_sees_what_was_committed_at_its_begin(void **state)
{
    struct store_kit *kit = *state;
    struct store *reader = NULL;
    struct store *second = NULL;

    store_kit_begin(kit);
    fill(kit, 3);
    store_kit_commit(kit);
    assert_ok(store_reader(kit->store, &reader));
    assert_ok(store_begin(reader, STORE_READ));
    assert_filled(kit, reader, 3);
    store_kit_begin(kit);
    clear(kit, 3);
    fill(kit, 4);
    assert_filled(kit, reader, 3);
    store_kit_commit(kit); /* the reader's snapshot does not hold it up */
    assert_filled(kit, reader, 3);
    assert_ok(store_reader(kit->store, &second));
    assert_ok(store_begin(second, STORE_READ));
    assert_filled(kit, second, 4);
    store_rollback(reader);
    assert_ok(store_begin(reader, STORE_READ));
    assert_filled(kit, reader, 4);
    assert_ok(store_commit(reader));
    assert_err(store_begin(reader, STORE_WRITE), ERR_FORBIDDEN);
    assert_ok(store_begin(reader, STORE_READ));
    store_kit_begin(kit);
    clear(kit, 4);
    store_rollback(kit->store);
    assert_filled(kit, reader, 4);
    store_close(second);
    store_close(reader); /* within its transaction */
}

static void a_reader_never_sees_an_open_transaction(void **state)
{
    struct store_kit *kit = *state;
    struct store *reader = NULL;

    store_kit_begin(kit);
    fill(kit, 3);
    store_kit_commit(kit);
    assert_ok(store_reader(kit->store, &reader));
    store_kit_begin(kit);
    clear(kit, 3);
    fill(kit, 4);
    if (kit->kind == STORE_KIND_SQLITE_MEMORY) {
        assert_err(store_begin(reader, STORE_READ), ERR_BUSY);
    } else {
        assert_ok(store_begin(reader, STORE_READ));
        assert_filled(kit, reader, 3);
        store_rollback(reader);
    }
    store_kit_commit(kit);
    assert_ok(store_begin(reader, STORE_READ));
    assert_filled(kit, reader, 4);
    store_close(reader);
}

static void closing_rolls_back(void **state)
{
    struct store_kit *kit = *state;

    store_kit_begin(kit);
    fill(kit, 3);
    store_close(kit->store);
    kit->store = NULL;
    store_close(NULL);
    if (kit->kind != STORE_KIND_SQLITE_FILE)
        return;
    store_kit_reopen(kit);
    store_kit_begin(kit);
    assert_filled(kit, kit->store, 0);
    store_kit_commit(kit);
}

static void the_memory_store_fails_on_request(void **state)
{
    struct store_kit *kit = *state;
    struct uuid id = store_kit_id(9);

    if (kit->kind != STORE_KIND_MEM)
        return;
    store_kit_begin(kit);
    fill(kit, 3);
    store_kit_commit(kit);
    store_kit_begin(kit);
    clear(kit, 3);
    store_mem_fail_at(kit->store, 2, ERR_FULL);
    assert_ok(store_row_delete(kit->store, kit->part, &id)); /* names no attachments: one call */
    assert_err(store_row_delete(kit->store, kit->part, &id), ERR_FULL);
    assert_ok(store_row_delete(kit->store, kit->part, &id));
    store_mem_fail_at(kit->store, 1, ERR_IO);
    assert_err(store_commit(kit->store), ERR_IO);
    store_mem_fail_at(kit->store, 1, ERR_BUSY);
    assert_err(store_begin(kit->store, STORE_READ), ERR_BUSY);
    store_mem_fail_at(kit->store, 1, ERR_BUSY);
    store_mem_fail_at(kit->store, 0, ERR_OK);
    uint64_t calls = store_mem_call_count(kit->store);
    assert_ok(store_begin(kit->store, STORE_READ));
    assert_int_equal(store_mem_call_count(kit->store), calls + 1);
    assert_filled(kit, kit->store, 3);
    store_rollback(kit->store);
}

int main(void)
{
    int failed;
    const struct CMUnitTest tests[] = {
        STORE_KIT_TEST(rollback_restores_everything),
        STORE_KIT_TEST(savepoints_undo_their_part_only),
        STORE_KIT_TEST(a_reader_sees_what_was_committed_at_its_begin),
        STORE_KIT_TEST(a_reader_never_sees_an_open_transaction),
        STORE_KIT_TEST(closing_rolls_back),
        STORE_KIT_TEST(the_memory_store_fails_on_request),
    };
    STORE_KIT_RUN(tests, failed);
    return failed;
}
