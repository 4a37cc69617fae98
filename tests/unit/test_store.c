/* The conformance suite of the seam, which every implementation passes: what is put comes back.
 * Its other half is test_store_transaction.c. */
#include "common/store.h"

#include "tests/lib/store_kit.h"

static void assert_things(struct store_kit *kit, const char *expected)
{
    struct store_kit_list list = {0};
    enum err err = store_row_scan(kit->store, kit->thing, NULL, store_kit_list_id, &list);
    store_kit_assert_list(err, &list, expected);
}

static void a_new_store_is_empty(void **state)
{
    struct store_kit *kit = *state;
    struct store_kit_list list = {0};
    struct uuid id = store_kit_id(1);
    struct store_row row;
    struct bytes value;
    enum err err;

    assert_ok(store_begin(kit->store, STORE_READ));
    for (uint16_t i = 0; i < kit->model->table_count; i++) {
        const struct model_table *table = &kit->model->tables[i];
        assert_err(store_row_get(kit->store, table, &id, &kit->arena, &row), ERR_NOT_FOUND);
        assert_err(store_base_get(kit->store, table, &id, &kit->arena, &row), ERR_NOT_FOUND);
        err = store_row_scan(kit->store, table, NULL, store_kit_list_id, &list);
        store_kit_assert_list(err, &list, "");
        err = store_children(kit->store, table, &id, store_kit_list_id, &list);
        store_kit_assert_list(err, &list, "");
    }
    for (unsigned i = 0; i < SIDE_COUNT; i++) {
        enum store_side side = (enum store_side)i;
        assert_err(store_side_get(kit->store, side, BYTES("k"), &kit->arena, &value),
                   ERR_NOT_FOUND);
        if (side == SIDE_MODELS)
            continue; /* a file has its model's text from the beginning */
        err = store_side_scan(kit->store, side, BYTES(""), BYTES(""), store_kit_list_side, &list);
        store_kit_assert_list(err, &list, "");
    }
    store_kit_assert_list(store_log_scan(kit->store, 0, 0, store_kit_list_log, &list), &list, "");
    assert_ok(store_commit(kit->store));
}

static void a_write_for_later_is_a_write(void **state)
{
    struct store_kit *kit = *state;

    assert_ok(store_begin(kit->store, STORE_WRITE_LATER));
    store_kit_put(kit, kit->thing, 1, 1, false);
    store_rollback(kit->store);
    assert_ok(store_begin(kit->store, STORE_WRITE_LATER));
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 0, false);
    store_kit_put(kit, kit->thing, 1, 2, false);
    store_kit_commit(kit);
    store_kit_begin(kit);
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 2, false);
    store_kit_put(kit, kit->thing, 2, 3, false);
    store_kit_commit(kit);
    assert_ok(store_begin(kit->store, STORE_READ));
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 2, false);
    store_kit_assert_is(kit, kit->store, kit->thing, 2, 3, false);
    store_rollback(kit->store);
}

static void a_row_comes_back_as_it_was_put(void **state)
{
    struct store_kit *kit = *state;

    store_kit_begin(kit);
    for (uint32_t i = 1; i <= 60; i++) {
        store_kit_put(kit, kit->thing, i, i, i % 3 == 0);
        store_kit_put(kit, kit->part, i, i, i % 4 == 0);
        store_kit_put(kit, kit->purchase, i, i, false);
    }
    for (uint32_t i = 1; i <= 60; i++)
        store_kit_assert_is(kit, kit->store, kit->thing, i, i, i % 3 == 0);
    store_kit_commit(kit);
    assert_ok(store_begin(kit->store, STORE_READ));
    for (uint32_t i = 1; i <= 60; i++) {
        store_kit_assert_is(kit, kit->store, kit->thing, i, i, i % 3 == 0);
        store_kit_assert_is(kit, kit->store, kit->part, i, i, i % 4 == 0);
        store_kit_assert_is(kit, kit->store, kit->purchase, i, i, false);
    }
    assert_ok(store_commit(kit->store));
}

/* Live and dead rows and base copies keep values apart that are easily taken for one another. */
static void easily_confused_values_stay_apart(void **state)
{
    struct store_kit *kit = *state;
    struct uuid id = store_kit_id(1);
    struct store_row got;
    struct value values[11];

    for (size_t i = 0; i < 11; i++)
        values[i] = value_null();
    values[0] = value_text(bytes_of(NULL, 0));
    values[1] = value_int(INT64_MIN);
    values[2] = value_real(3.0);
    values[3] = value_int(INT64_MAX);
    values[4] = value_text(BYTES("0001"));
    values[7] = value_text(BYTES("\xd0\x96\xf0\x9f\x98\x80'\""));
    values[8] = value_blob(bytes_of(NULL, 0));
    struct store_row row = {
        .values = values, .version = BYTES("\0\0"), .bucket = UINT32_MAX, .position = INT64_MAX};
    store_kit_begin(kit);
    for (int dead = 0; dead < 2; dead++) {
        row.dead = dead != 0;
        assert_ok(store_row_put(kit->store, kit->thing, &id, &row));
        assert_ok(store_row_get(kit->store, kit->thing, &id, &kit->arena, &got));
        store_kit_assert_row(kit->thing, &got, &row);
        assert_ok(store_base_put(kit->store, kit->thing, &id, &row));
        assert_ok(store_base_get(kit->store, kit->thing, &id, &kit->arena, &got));
        store_kit_assert_row(kit->thing, &got, &row);
        values[2] = value_real(-0.0); /* no store keeps its sign */
        assert_ok(store_row_put(kit->store, kit->thing, &id, &row));
        assert_ok(store_row_get(kit->store, kit->thing, &id, &kit->arena, &got));
        values[2] = value_real(0.0);
        store_kit_assert_row(kit->thing, &got, &row);
        values[2] = value_real(3.0);
    }
    store_kit_commit(kit);
}

static void refuses_values_of_another_kind_and_limits(void **state)
{
    struct store_kit *kit = *state;
    struct uuid id = store_kit_id(1);
    struct store_row row = store_kit_row(&kit->arena, kit->purchase, 1);
    volatile double zero = 0.0;

    store_kit_begin(kit);
    row.values[1] = value_text(BYTES("1"));
    assert_err(store_row_put(kit->store, kit->purchase, &id, &row), ERR_TYPE);
    assert_err(store_row_insert(kit->store, kit->purchase, &id, &row), ERR_TYPE);
    assert_err(store_base_put(kit->store, kit->purchase, &id, &row), ERR_TYPE);
    row.values[1] = value_real(1.0);
    assert_err(store_row_put(kit->store, kit->purchase, &id, &row), ERR_TYPE);
    row.values[1] = value_int(1);
    row.position = (uint64_t)INT64_MAX + 1;
    assert_err(store_row_put(kit->store, kit->purchase, &id, &row), ERR_LIMIT);
    row = store_kit_row(&kit->arena, kit->thing, 1);
    row.values[2] = value_real(zero / zero);
    assert_err(store_row_put(kit->store, kit->thing, &id, &row), ERR_TYPE);
    row.values[2] = value_int(1);
    assert_err(store_row_put(kit->store, kit->thing, &id, &row), ERR_TYPE);
    store_kit_assert_is(kit, kit->store, kit->purchase, 1, 0, false);
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 0, false);
    store_kit_commit(kit);
}

static void insert_is_for_what_is_not_there(void **state)
{
    struct store_kit *kit = *state;
    struct uuid id = store_kit_id(1);
    struct store_row row = store_kit_row(&kit->arena, kit->thing, 7);
    struct store_row other = store_kit_row(&kit->arena, kit->thing, 8);

    store_kit_begin(kit);
    assert_ok(store_row_insert(kit->store, kit->thing, &id, &row));
    assert_err(store_row_insert(kit->store, kit->thing, &id, &other), ERR_EXISTS);
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 7, false);
    store_kit_put(kit, kit->thing, 1, 9, true);
    assert_err(store_row_insert(kit->store, kit->thing, &id, &other), ERR_EXISTS);
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 9, true);
    assert_ok(store_row_delete(kit->store, kit->thing, &id));
    assert_ok(store_row_insert(kit->store, kit->thing, &id, &other));
    store_kit_commit(kit);
    store_kit_begin(kit);
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 8, false);
    other = store_kit_row(&kit->arena, kit->thing, 8);
    assert_err(store_row_insert(kit->store, kit->thing, &id, &other), ERR_EXISTS);
    store_kit_commit(kit);
}

static void a_record_is_live_or_dead(void **state)
{
    struct store_kit *kit = *state;
    struct uuid id = store_kit_id(2);

    store_kit_begin(kit);
    for (uint32_t i = 1; i <= 3; i++)
        store_kit_put(kit, kit->thing, i, i, false);
    assert_things(kit, "1 2 3 ");
    store_kit_put(kit, kit->thing, 2, 12, true);
    assert_things(kit, "1 3 ");
    store_kit_assert_is(kit, kit->store, kit->thing, 2, 12, true);
    store_kit_commit(kit);
    store_kit_begin(kit);
    store_kit_put(kit, kit->thing, 2, 13, true); /* dead stays dead, with other content */
    store_kit_assert_is(kit, kit->store, kit->thing, 2, 13, true);
    store_kit_put(kit, kit->thing, 2, 14, false);
    assert_things(kit, "1 2 3 ");
    store_kit_assert_is(kit, kit->store, kit->thing, 2, 14, false);
    store_kit_put(kit, kit->thing, 2, 15, true);
    assert_ok(store_row_delete(kit->store, kit->thing, &id));
    store_kit_assert_is(kit, kit->store, kit->thing, 2, 0, false);
    assert_ok(store_row_delete(kit->store, kit->thing, &id)); /* none: no error */
    id = store_kit_id(3);
    assert_ok(store_row_delete(kit->store, kit->thing, &id));
    assert_things(kit, "1 ");
    store_kit_commit(kit);
}

static void row_scan_is_ordered_and_can_be_stopped(void **state)
{
    struct store_kit *kit = *state;
    struct store_kit_list list = {0};
    struct uuid id = store_kit_id(20);
    static const uint32_t numbers[] = {40, 10, 30, 20, 50};

    store_kit_begin(kit);
    for (size_t i = 0; i < 5; i++)
        store_kit_put(kit, kit->thing, numbers[i], numbers[i], false);
    store_kit_put(kit, kit->purchase, 25, 1, false);
    assert_things(kit, "10 20 30 40 50 ");
    store_kit_assert_list(store_row_scan(kit->store, kit->thing, &id, store_kit_list_id, &list),
                          &list, "30 40 50 ");
    id = store_kit_id(25);
    list.stop_after = 2;
    store_kit_assert_list(store_row_scan(kit->store, kit->thing, &id, store_kit_list_id, &list),
                          &list, "30 40 ");
    list.fail_after = 1;
    assert_err(store_row_scan(kit->store, kit->thing, NULL, store_kit_list_id, &list), ERR_CLOSED);
    assert_string_equal(list.text, "10 ");
    assert_things(kit, "10 20 30 40 50 ");
    store_kit_commit(kit);
}

static void dead_scan_is_ordered_and_of_the_dead(void **state)
{
    struct store_kit *kit = *state;
    struct store_kit_list list = {0};
    static const uint32_t numbers[] = {40, 10, 30, 20, 50};

    store_kit_begin(kit);
    for (size_t i = 0; i < 5; i++)
        store_kit_put(kit, kit->thing, numbers[i], numbers[i], i % 2 == 0);
    store_kit_put(kit, kit->purchase, 25, 1, true);
    store_kit_assert_list(store_dead_scan(kit->store, kit->thing, NULL, store_kit_list_id, &list),
                          &list, "30 40 50 ");
    store_kit_put(kit, kit->thing, 40, 40, false);
    list.stop_after = 1;
    store_kit_assert_list(store_dead_scan(kit->store, kit->thing, NULL, store_kit_list_id, &list),
                          &list, "30 ");
    const struct uuid after = store_kit_id(30);
    list = (struct store_kit_list){0};
    store_kit_assert_list(store_dead_scan(kit->store, kit->thing, &after, store_kit_list_id, &list),
                          &list, "50 ");
    list.fail_after = 1;
    assert_err(store_dead_scan(kit->store, kit->thing, NULL, store_kit_list_id, &list), ERR_CLOSED);
    store_kit_commit(kit);
}

static void put_part(struct store_kit *kit, uint32_t number, uint32_t parent, bool dead)
{
    struct uuid id = store_kit_id(number);
    struct uuid thing = store_kit_id(parent);
    struct value values[2] = {value_text(BYTES("p")),
                              value_blob(bytes_of(thing.byte, sizeof thing.byte))};
    struct store_row row = {.values = values, .version = BYTES("v"), .dead = dead};
    if (parent == 0)
        values[1] = value_null();
    assert_ok(store_row_put(kit->store, kit->part, &id, &row));
}

static void children_live_and_dead_in_order(void **state)
{
    struct store_kit *kit = *state;
    struct store_kit_list list = {0};
    struct uuid one = store_kit_id(1);
    struct uuid two = store_kit_id(2);
    struct uuid twelve = store_kit_id(12);

    store_kit_begin(kit);
    put_part(kit, 14, 1, false);
    put_part(kit, 12, 1, true);
    put_part(kit, 13, 1, false);
    put_part(kit, 11, 2, false);
    put_part(kit, 15, 0, false);
    put_part(kit, 10, 0, true);
    store_kit_assert_list(store_children(kit->store, kit->part, &one, store_kit_list_id, &list),
                          &list, "12 13 14 ");
    store_kit_commit(kit);
    store_kit_begin(kit);
    put_part(kit, 13, 2, false); /* moves to another parent */
    put_part(kit, 12, 1, false); /* revives */
    put_part(kit, 11, 2, true);  /* dies */
    store_kit_assert_list(store_children(kit->store, kit->part, &one, store_kit_list_id, &list),
                          &list, "12 14 ");
    store_kit_assert_list(store_children(kit->store, kit->part, &two, store_kit_list_id, &list),
                          &list, "11 13 ");
    assert_ok(store_row_delete(kit->store, kit->part, &twelve));
    list.stop_after = 1;
    store_kit_assert_list(store_children(kit->store, kit->part, &one, store_kit_list_id, &list),
                          &list, "14 ");
    store_kit_assert_list(store_children(kit->store, kit->thing, &one, store_kit_list_id, &list),
                          &list, "");
    store_kit_commit(kit);
}

static void base_copies_and_their_absent_marker(void **state)
{
    struct store_kit *kit = *state;
    struct uuid id = store_kit_id(1);
    struct store_row got;
    struct store_row row = store_kit_row(&kit->arena, kit->thing, 5);
    struct store_row absent = {.bucket = 3, .position = 9};

    store_kit_begin(kit);
    store_kit_put(kit, kit->thing, 1, 4, false);
    assert_err(store_base_get(kit->store, kit->thing, &id, &kit->arena, &got), ERR_NOT_FOUND);
    assert_ok(store_base_put(kit->store, kit->thing, &id, &row));
    assert_ok(store_base_get(kit->store, kit->thing, &id, &kit->arena, &got));
    store_kit_assert_row(kit->thing, &got, &row);
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 4, false);
    row.dead = true;
    assert_ok(store_base_put(kit->store, kit->thing, &id, &row));
    assert_ok(store_base_get(kit->store, kit->thing, &id, &kit->arena, &got));
    store_kit_assert_row(kit->thing, &got, &row);
    assert_ok(store_base_put(kit->store, kit->thing, &id, &absent));
    assert_ok(store_base_get(kit->store, kit->thing, &id, &kit->arena, &got));
    assert_int_equal(got.version.size, 0);
    assert_int_equal(got.bucket, 3);
    assert_int_equal(got.position, 9);
    assert_false(got.dead);
    for (uint16_t i = 0; i < kit->thing->column_count; i++)
        assert_int_equal(got.values[i].kind, VALUE_NULL);
    assert_err(store_base_get(kit->store, kit->part, &id, &kit->arena, &got), ERR_NOT_FOUND);
    assert_ok(store_base_delete(kit->store, kit->thing, &id));
    assert_ok(store_base_delete(kit->store, kit->thing, &id));
    assert_err(store_base_get(kit->store, kit->thing, &id, &kit->arena, &got), ERR_NOT_FOUND);
    store_kit_commit(kit);
}

static void the_log_is_ordered_within_its_bucket(void **state)
{
    struct store_kit *kit = *state;
    struct store *store = kit->store;
    struct store_kit_list list = {0};
    struct uuid one = store_kit_id(1);
    struct uuid two = store_kit_id(2);

    store_kit_begin(kit);
    assert_ok(store_log_put(store, 7, 256, kit->thing, &one));
    assert_ok(store_log_put(store, 7, 3, kit->part, &two));
    assert_ok(store_log_put(store, 7, 20, kit->thing, &two));
    assert_ok(store_log_put(store, 6, 300, kit->thing, &two));
    assert_ok(store_log_put(store, 8, 0, kit->thing, &two));
    assert_ok(store_log_put(store, UINT32_MAX, INT64_MAX, kit->thing, &two));
    assert_err(store_log_put(store, 7, 20, kit->purchase, &one), ERR_EXISTS);
    assert_err(store_log_put(store, 7, (uint64_t)INT64_MAX + 1, kit->purchase, &one), ERR_LIMIT);
    store_kit_assert_list(store_log_scan(store, 7, 0, store_kit_list_log, &list), &list,
                          "3:part/2 20:thing/2 256:thing/1 ");
    store_kit_assert_list(store_log_scan(store, 7, 3, store_kit_list_log, &list), &list,
                          "20:thing/2 256:thing/1 ");
    list.stop_after = 1;
    store_kit_assert_list(store_log_scan(store, 7, 4, store_kit_list_log, &list), &list,
                          "20:thing/2 ");
    store_kit_assert_list(store_log_scan(store, 7, 256, store_kit_list_log, &list), &list, "");
    store_kit_assert_list(store_log_scan(store, 7, UINT64_MAX, store_kit_list_log, &list), &list,
                          "");
    store_kit_assert_list(store_log_scan(store, 8, 0, store_kit_list_log, &list), &list, "");
    store_kit_assert_list(store_log_scan(store, UINT32_MAX, 0, store_kit_list_log, &list), &list,
                          "9223372036854775807:thing/2 ");
    assert_ok(store_log_delete(store, 7, 20));
    assert_ok(store_log_delete(store, 7, 20));
    assert_ok(store_log_delete(store, 7, UINT64_MAX));
    store_kit_assert_list(store_log_scan(store, 7, 0, store_kit_list_log, &list), &list,
                          "3:part/2 256:thing/1 ");
    assert_ok(store_log_put(store, 7, 20, kit->purchase, &one));
    store_kit_commit(kit);
}

static void side_tables_keep_order_and_ranges(void **state)
{
    struct store_kit *kit = *state;
    struct store *store = kit->store;
    struct store_kit_list list = {0};
    struct bytes value;
    struct bytes none = BYTES("");

    store_kit_begin(kit);
    assert_ok(store_side_put(store, SIDE_META, BYTES("b"), BYTES("2")));
    assert_ok(store_side_put(store, SIDE_META, BYTES("a"), BYTES("1")));
    assert_ok(store_side_put(store, SIDE_META, BYTES("ab"), BYTES("")));
    assert_ok(store_side_put(store, SIDE_META, BYTES("c\xff"), BYTES("4")));
    assert_ok(store_side_put(store, SIDE_META, none, BYTES("0")));
    assert_ok(store_side_put(store, SIDE_OUTBOX, BYTES("a"), BYTES("other")));
    store_kit_assert_list(store_side_scan(store, SIDE_META, none, none, store_kit_list_side, &list),
                          &list, "=0 a=1 ab= b=2 c\xff=4 ");
    store_kit_assert_list(
        store_side_scan(store, SIDE_META, BYTES("a"), BYTES("b"), store_kit_list_side, &list),
        &list, "a=1 ab= ");
    store_kit_assert_list(
        store_side_scan(store, SIDE_META, BYTES("aa"), none, store_kit_list_side, &list), &list,
        "ab= b=2 c\xff=4 ");
    store_kit_assert_list(
        store_side_scan(store, SIDE_META, BYTES("b"), BYTES("a"), store_kit_list_side, &list),
        &list, "");
    list.fail_after = 2;
    assert_err(store_side_scan(store, SIDE_META, none, none, store_kit_list_side, &list),
               ERR_CLOSED);
    assert_ok(store_side_put(store, SIDE_META, BYTES("a"), BYTES("changed")));
    assert_ok(store_side_get(store, SIDE_META, BYTES("a"), &kit->arena, &value));
    assert_text(value, "changed");
    assert_ok(store_side_get(store, SIDE_META, none, &kit->arena, &value));
    assert_text(value, "0");
    assert_ok(store_side_get(store, SIDE_META, BYTES("ab"), &kit->arena, &value));
    assert_int_equal(value.size, 0);
    assert_ok(store_side_delete(store, SIDE_META, BYTES("a")));
    assert_ok(store_side_delete(store, SIDE_META, BYTES("a")));
    assert_err(store_side_get(store, SIDE_META, BYTES("a"), &kit->arena, &value), ERR_NOT_FOUND);
    assert_ok(store_side_get(store, SIDE_OUTBOX, BYTES("a"), &kit->arena, &value));
    store_kit_commit(kit);
}

static void side_tables_have_limits(void **state)
{
    struct store_kit *kit = *state;
    struct store *store = kit->store;
    uint8_t key[STORE_KEY_MAX + 1];
    uint8_t *large = malloc((size_t)STORE_VALUE_MAX + 1);
    struct bytes value;

    assert_non_null(large);
    memset(key, 'k', sizeof key);
    memset(large, 'v', (size_t)STORE_VALUE_MAX + 1);
    store_kit_begin(kit);
    assert_err(store_side_put(store, SIDE_STAGE, bytes_of(key, sizeof key), BYTES("")), ERR_LIMIT);
    assert_err(store_side_put(store, SIDE_STAGE, bytes_of(key, STORE_KEY_MAX),
                              bytes_of(large, (size_t)STORE_VALUE_MAX + 1)),
               ERR_LIMIT);
    assert_ok(store_side_put(store, SIDE_STAGE, bytes_of(key, STORE_KEY_MAX),
                             bytes_of(large, STORE_VALUE_MAX)));
    assert_ok(store_side_get(store, SIDE_STAGE, bytes_of(key, STORE_KEY_MAX), &kit->arena, &value));
    assert_true(bytes_equal(value, bytes_of(large, STORE_VALUE_MAX)));
    assert_err(store_side_get(store, SIDE_STAGE, bytes_of(key, sizeof key), &kit->arena, &value),
               ERR_NOT_FOUND);
    assert_ok(store_side_delete(store, SIDE_STAGE, bytes_of(key, sizeof key)));
    store_kit_commit(kit);
    free(large);
}

struct nested {
    struct store_kit *kit;
    struct store_kit_list inner;
    int depth;
};

static int scan_again(void *context, uint64_t position, const struct model_table *table,
                      const struct uuid *id)
{
    struct nested *n = context;
    struct store_row row;
    (void)position;
    assert_ok(store_row_get(n->kit->store, table, id, &n->kit->arena, &row));
    if (n->depth > 0)
        return store_kit_list_log(&n->inner, position, table, id);
    n->depth++;
    enum err err = store_log_scan(n->kit->store, 1, 0, scan_again, n);
    n->depth--;
    return (int)err;
}

static int side_scan_writes(void *context, struct bytes key, struct bytes value)
{
    struct store_kit *kit = context;
    assert_ok(store_side_put(kit->store, SIDE_WAITING, key, value));
    return 0;
}

static void scans_nest_and_may_write_elsewhere(void **state)
{
    struct store_kit *kit = *state;
    struct nested n = {.kit = kit};
    struct store_kit_list list = {0};

    store_kit_begin(kit);
    for (uint32_t i = 1; i <= 3; i++) {
        struct uuid id = store_kit_id(i);
        char key = (char)('a' + i);
        store_kit_put(kit, kit->thing, i, i, i == 2);
        assert_ok(store_log_put(kit->store, 1, i, kit->thing, &id));
        assert_ok(store_side_put(kit->store, SIDE_OUTBOX, bytes_of(&key, 1), BYTES("v")));
    }
    assert_ok(store_log_scan(kit->store, 1, 0, scan_again, &n));
    assert_string_equal(n.inner.text, "1:thing/1 2:thing/2 3:thing/3 1:thing/1 2:thing/2 3:thing/3 "
                                      "1:thing/1 2:thing/2 3:thing/3 ");
    assert_ok(
        store_side_scan(kit->store, SIDE_OUTBOX, BYTES(""), BYTES(""), side_scan_writes, kit));
    store_kit_assert_list(
        store_side_scan(kit->store, SIDE_WAITING, BYTES(""), BYTES(""), store_kit_list_side, &list),
        &list, "b=v c=v d=v ");
    store_kit_commit(kit);
}

static void what_was_got_outlives_the_transaction(void **state)
{
    struct store_kit *kit = *state;
    struct uuid id = store_kit_id(1);
    struct store_row got;
    struct bytes value;
    char text[] = "before";
    char key[] = "key";

    store_kit_begin(kit);
    struct value values[2] = {value_text(bytes_of(text, 6)), value_int(1)};
    struct store_row row = {.values = values, .version = bytes_of(text, 6)};
    assert_ok(store_row_put(kit->store, kit->purchase, &id, &row));
    assert_ok(store_side_put(kit->store, SIDE_META, bytes_of(key, 3), bytes_of(text, 6)));
    memcpy(text, "XXXXXX", 6); /* a put has read what it was given */
    memcpy(key, "XXX", 3);
    assert_ok(store_row_get(kit->store, kit->purchase, &id, &kit->arena, &got));
    assert_ok(store_side_get(kit->store, SIDE_META, BYTES("key"), &kit->arena, &value));
    assert_ok(store_row_put(kit->store, kit->purchase, &id, &row));
    assert_ok(store_side_delete(kit->store, SIDE_META, BYTES("key")));
    assert_ok(store_commit(kit->store));
    assert_text(got.values[0].as.bytes, "before");
    assert_text(got.version, "before");
    assert_text(value, "before");
}

int main(void)
{
    int failed;
    const struct CMUnitTest tests[] = {
        STORE_KIT_TEST(a_new_store_is_empty),
        STORE_KIT_TEST(a_write_for_later_is_a_write),
        STORE_KIT_TEST(a_row_comes_back_as_it_was_put),
        STORE_KIT_TEST(easily_confused_values_stay_apart),
        STORE_KIT_TEST(refuses_values_of_another_kind_and_limits),
        STORE_KIT_TEST(insert_is_for_what_is_not_there),
        STORE_KIT_TEST(a_record_is_live_or_dead),
        STORE_KIT_TEST(row_scan_is_ordered_and_can_be_stopped),
        STORE_KIT_TEST(dead_scan_is_ordered_and_of_the_dead),
        STORE_KIT_TEST(children_live_and_dead_in_order),
        STORE_KIT_TEST(base_copies_and_their_absent_marker),
        STORE_KIT_TEST(the_log_is_ordered_within_its_bucket),
        STORE_KIT_TEST(side_tables_keep_order_and_ranges),
        STORE_KIT_TEST(side_tables_have_limits),
        STORE_KIT_TEST(scans_nest_and_may_write_elsewhere),
        STORE_KIT_TEST(what_was_got_outlives_the_transaction),
    };
    STORE_KIT_RUN(tests, failed);
    return failed;
}
