/* Rows of a first sync that has not ended: who writes has them all, nobody else sees them, through cuts, other
 * handles, a later model, until they are shown at once. */
#include <sqlite3.h>

#include "common/store_sqlite/query.h"
#include "common/store_sqlite/sqlite_store.h"
#include "tests/lib/store_kit.h"

enum { OWN = 1, CAME = 2, SCHEMA_TEXT = 20000 };

static int setup(void **state)
{
    store_kit_kind = STORE_KIND_SQLITE_FILE;
    return store_kit_setup(state);
}

static void put(struct store_kit *kit, uint32_t number, uint64_t position)
{
    const struct uuid id = store_kit_id(number);
    struct store_row row = store_kit_row(&kit->arena, kit->thing, number);
    row.position = position;
    assert_ok(store_row_put(kit->store, kit->thing, &id, &row));
}

/* One own insert, and one that came. */
static void first_page(struct store_kit *kit)
{
    store_kit_begin(kit);
    put(kit, OWN, 0);
    store_kit_commit(kit);
    store_kit_begin(kit);
    assert_ok(store_conceal(kit->store));
    assert_ok(store_conceal(kit->store)); /* the second page */
    put(kit, CAME, 7);
    store_kit_commit(kit);
}

/* As another program reads it. */
static int64_t counted(struct store_kit *kit)
{
    sqlite3 *db;
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_open_v2(kit->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM thing", -1, &row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(row, 0);
    (void)sqlite3_finalize(row);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return count;
}

static enum err found(struct store_kit *kit, struct store *store, uint32_t number)
{
    const struct uuid id = store_kit_id(number);
    struct store_row row;
    return store_row_get(store, kit->thing, &id, &kit->arena, &row);
}

/* Readers see `came` or not; whoever writes does, and can write. */
static void assert_seen(struct store_kit *kit, struct store *store, bool came)
{
    assert_ok(store_begin(store, STORE_READ));
    assert_ok(found(kit, store, OWN));
    assert_err(found(kit, store, CAME), came ? ERR_OK : ERR_NOT_FOUND);
    store_rollback(store);
    assert_ok(store_begin(store, STORE_WRITE));
    assert_ok(found(kit, store, OWN));
    assert_ok(found(kit, store, CAME));
    store_rollback(store);
}

static void only_writers_see_what_came(void **state)
{
    struct store_kit *kit = *state;
    struct store *reader;
    first_page(kit);
    assert_seen(kit, kit->store, false);
    assert_int_equal(counted(kit), 1);
    assert_ok(store_reader(kit->store, &reader));
    assert_ok(store_begin(reader, STORE_READ));
    assert_err(found(kit, reader, CAME), ERR_NOT_FOUND);
    store_rollback(reader);
    store_kit_begin(kit);
    assert_ok(store_reveal(kit->store));
    assert_ok(found(kit, kit->store, CAME));
    put(kit, 3, 8);
    store_kit_commit(kit);
    assert_seen(kit, kit->store, true);
    assert_int_equal(counted(kit), 3);
    assert_ok(store_begin(reader, STORE_READ)); /* its statements were made for the view */
    assert_ok(found(kit, reader, CAME));
    store_rollback(reader);
    store_close(reader);
}

static void a_transaction_that_is_undone_changes_no_names(void **state)
{
    struct store_kit *kit = *state;
    first_page(kit);
    store_kit_begin(kit);
    assert_ok(store_reveal(kit->store));
    assert_ok(found(kit, kit->store, CAME));
    store_rollback(kit->store);
    assert_seen(kit, kit->store, false);
    assert_int_equal(counted(kit), 1);
    store_kit_begin(kit);
    assert_ok(store_reveal(kit->store));
    assert_ok(store_reveal(kit->store));
    store_kit_commit(kit);
    store_kit_begin(kit);
    assert_ok(store_conceal(kit->store));
    store_rollback(kit->store);
    assert_seen(kit, kit->store, true);
}

/* A handle that was open before, and one that was opened meanwhile, as of another process. */
static void other_handles_follow(void **state)
{
    struct store_kit *kit = *state;
    struct store *before, *meanwhile;
    assert_ok(store_sqlite_open(&kit->options, kit->model, &before, NULL));
    assert_ok(store_begin(before, STORE_WRITE));
    assert_err(found(kit, before, CAME), ERR_NOT_FOUND);
    store_rollback(before);
    first_page(kit);
    assert_ok(store_sqlite_open(&kit->options, kit->model, &meanwhile, NULL));
    assert_seen(kit, before, false);
    assert_seen(kit, meanwhile, false);
    store_kit_begin(kit);
    assert_ok(store_reveal(kit->store));
    store_kit_commit(kit);
    assert_seen(kit, before, true);
    assert_seen(kit, meanwhile, true);
    store_close(before);
    store_close(meanwhile);
}

/* The schema, as another program reads it after its own change (may be NULL); without quotes, which SQLite adds. */
static void schema(struct store_kit *kit, const char *change, char (*ret)[SCHEMA_TEXT])
{
    sqlite3 *db;
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_open(kit->path, &db), SQLITE_OK);
    if (change)
        assert_int_equal(sqlite3_exec(db, change, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(
            db,
            "SELECT group_concat(type||' '||name||' of '||tbl_name||"
            "': '||replace(sql,char(34),''),char(10)) FROM (SELECT * FROM sqlite_schema"
            " ORDER BY type,name)",
            -1, &row, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    (void)snprintf(*ret, sizeof *ret, "%s", (const char *)sqlite3_column_text(row, 0));
    (void)sqlite3_finalize(row);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Tables, indexes and what somebody else has added are as before, and work. */
static void the_schema_is_as_before(void **state)
{
    struct store_kit *kit = *state;
    static const char *const changes[] = {
        NULL, "CREATE INDEX \"their index\" ON thing (name)",
        "CREATE TRIGGER theirs AFTER INSERT ON thing BEGIN SELECT 1; END"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char before[SCHEMA_TEXT], now[SCHEMA_TEXT];
        schema(kit, changes[i], &before);
        store_kit_begin(kit);
        assert_ok(store_conceal(kit->store));
        put(kit, CAME, 7 + i);
        store_kit_commit(kit);
        schema(kit, NULL, &now);
        assert_non_null(strstr(now, "table satchel_first_thing of satchel_first_thing"));
        assert_non_null(strstr(now, "view thing of thing"));
        assert_ok(store_sqlite_verify(kit->store, NULL, NULL));
        store_kit_begin(kit);
        assert_ok(store_reveal(kit->store));
        store_kit_commit(kit);
        schema(kit, NULL, &now);
        assert_string_equal(now, before);
        assert_int_equal(counted(kit), 1);
    }
}

static const char model_format[] =
    "{\"name\":\"kit\",\"version\":%d,\"tables\":[{\"id\":16,\"name\":\"thing\",\"label\":{\"en\":"
    "\"Thing\"},\"delete\":\"revives\",\"bucket\":\"company\",\"title\":\"name\",\"columns\":["
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\",\"label\":{\"en\":\"Name\"}}%s]}%s]}";

static struct model *model_with(int version, const char *columns, const char *tables)
{
    char json[1200];
    (void)snprintf(json, sizeof json, model_format, version, columns, tables);
    return store_kit_model(json);
}

/* A cut, and a program with a later model: columns, tables and look-ups are made for what is concealed. */
static void a_later_model_finds_them(void **state)
{
    struct store_kit *kit = *state;
    struct err_info info = {0};
    char path[96];
    (void)snprintf(path, sizeof path, "%s/other.db", kit->folder);
    struct model
        *before = model_with(1, "", ""),
        *after = model_with(
            2,
            ",{\"id\":2,\"name\":\"size\",\"type\":\"integer\",\"default\":7,\"label\":"
            "{\"en\":\"S\"}}",
            ",{\"id\":17,\"name\":\"piece\",\"label\":{\"en\":\"Piece\"},\"delete\":"
            "\"wins\",\"bucket\":\"inherit\",\"parent\":\"of\",\"columns\":[{\"id\":1,"
            "\"name\":\"of\",\"type\":\"reference\",\"target\":\"thing\",\"required\":true,"
            "\"label\":{\"en\":\"Of\"}}]}");
    struct store_kit other = *kit;
    arena_init(&other.arena, 1 << 20);
    struct store_sqlite_options options = kit->options;
    options.path = path;
    other.model = before;
    other.thing = model_table_by_name(before, bytes_of_text("thing"));
    memcpy(other.path, path, sizeof other.path);
    assert_ok(store_sqlite_open(&options, before, &other.store, &info));
    first_page(&other);
    store_close(other.store);
    if (store_sqlite_open(&options, after, &other.store, &info) != ERR_OK)
        fail_msg("%s", info.message);
    other.thing = model_table_by_name(after, bytes_of_text("thing"));
    const struct model_table *piece = model_table_by_name(after, bytes_of_text("piece"));
    const struct model_column *size = &other.thing->columns[1];
    struct query_lookup *lookup;
    assert_ok(query_lookup_new(other.store, other.thing, &size, 1, true, &lookup, &info));
    query_lookup_free(lookup);
    assert_seen(&other, other.store, false);
    assert_int_equal(counted(&other), 1);
    assert_ok(store_sqlite_verify(other.store, NULL, NULL));
    assert_ok(store_begin(other.store, STORE_WRITE));
    struct store_row row;
    const struct uuid came = store_kit_id(CAME), child = store_kit_id(9);
    assert_ok(store_row_get(other.store, other.thing, &came, &kit->arena, &row));
    assert_int_equal(row.values[1].as.integer, 7);
    struct value parent = value_blob(bytes_of(came.byte, sizeof came.byte));
    row = (struct store_row){.values = &parent, .version = bytes_of_text("v"), .position = 9};
    assert_ok(store_row_put(other.store, piece, &child, &row));
    assert_ok(store_reveal(other.store));
    assert_ok(store_commit(other.store));
    assert_seen(&other, other.store, true);
    assert_ok(store_begin(other.store, STORE_READ));
    assert_ok(store_row_get(other.store, piece, &child, &kit->arena, &row));
    store_rollback(other.store);
    store_close(other.store);
    arena_done(&other.arena);
    model_free(before);
    model_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_writers_see_what_came, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(a_transaction_that_is_undone_changes_no_names, setup,
                                        store_kit_teardown),
        cmocka_unit_test_setup_teardown(other_handles_follow, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(the_schema_is_as_before, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(a_later_model_finds_them, setup, store_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
