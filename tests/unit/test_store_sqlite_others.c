/* The store on SQLite with files that others have made, changed or damaged, and in places that cannot hold one:
 * what is wrong is said at the opening, the reading, the backup; and what is right goes on.
 *
 * ctest: timeout=300 */
#include <sqlite3.h>
#include <unistd.h>

#include "common/store_mem/store_mem.h"
#include "common/store_sqlite/query.h"
#include "common/store_sqlite/sqlite_store.h"
#include "tests/lib/failing_alloc.h"
#include "tests/lib/store_kit.h"

enum { ROWS = 6 };

static int setup(void **state)
{
    store_kit_kind = STORE_KIND_SQLITE_FILE;
    if (store_kit_setup(state) != 0)
        return 1;
    struct store_kit *kit = *state;
    kit->options.synchronous = STORE_SQLITE_OFF;
    store_kit_reopen(kit);
    store_kit_begin(kit);
    for (uint32_t i = 1; i <= ROWS; i++)
        store_kit_put(kit, kit->thing, i, i, false);
    store_kit_commit(kit);
    return 0;
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                     SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* While the store is closed. */
static void by_others(struct store_kit *kit, const char *sql)
{
    store_close(kit->store);
    kit->store = NULL;
    run_sql(kit->path, sql);
    store_kit_reopen(kit);
}

static struct store_sqlite_options other_file(struct store_kit *kit, char path[128])
{
    struct store_sqlite_options options = kit->options;
    (void)snprintf(path, 128, "%s/other.db", kit->folder);
    (void)unlink(path);
    options.path = path;
    return options;
}

static int64_t ask(struct store_kit *kit, const char *sql)
{
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_prepare_v2(store_sqlite_handle(kit->store), sql, -1, &row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(row, 0);
    (void)sqlite3_finalize(row);
    return number;
}

static void assert_row(struct store_kit *kit, uint32_t number)
{
    assert_ok(store_begin(kit->store, STORE_READ));
    store_kit_assert_is(kit, kit->store, kit->thing, number, number, false);
    store_rollback(kit->store);
}

/* ---- opening ---- */

static void what_is_not_ours_is_refused(void **state)
{
    struct store_kit *kit = *state;
    struct store *store = NULL;
    struct err_info info = {0};
    char path[128];
    struct store_sqlite_options options = other_file(kit, path);
    run_sql(path, "PRAGMA user_version=5"); /* of another program, which has no tables yet */
    assert_err(store_sqlite_open(&options, kit->model, &store, &info), ERR_INVALID);
    assert_non_null(strstr(info.message, "another program"));
    options = other_file(kit, path);
    options.vfs = "unix-none"; /* as on a network share: no memory that processes share */
    assert_err(store_sqlite_open(&options, kit->model, &store, &info), ERR_IO);
    assert_non_null(strstr(info.message, "write-ahead log"));
}

static const char model_format[] =
    "{\"name\":\"kit\",\"version\":%d,\"tables\":[{\"id\":16,\"name\":\"thing\",\"label\":{\"en\":"
    "\"Thing\"},\"delete\":\"revives\",\"bucket\":\"company\",\"title\":\"name\",\"columns\":["
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\",\"label\":{\"en\":\"Name\"}}%s]}]}";

static struct model *model_with(int version, const char *columns)
{
    char json[1200];
    (void)snprintf(json, sizeof json, model_format, version, columns);
    return store_kit_model(json);
}

/* Rows of before a column answer its default, whatever its type. */
static void columns_that_come_later_have_their_default(void **state)
{
    struct store_kit *kit = *state;
    struct store *store = NULL;
    struct err_info info = {0};
    struct store_row row;
    char path[128];
    struct store_sqlite_options options = other_file(kit, path);
    struct model *before = model_with(1, ""),
                 *after = model_with(
                     2, ",{\"id\":2,\"name\":\"weight\",\"type\":\"real\",\"default\":1.5,"
                        "\"label\":{\"en\":\"W\"}},{\"id\":3,\"name\":\"size\",\"type\":"
                        "\"integer\",\"default\":7,\"label\":{\"en\":\"S\"}},{\"id\":4,"
                        "\"name\":\"of\",\"type\":\"text\",\"default\":\"it's\",\"label\":"
                        "{\"en\":\"O\"}}");
    const struct uuid id = store_kit_id(1);
    assert_ok(store_sqlite_open(&options, before, &store, &info));
    const struct model_table *table = model_table_by_name(before, bytes_of_text("thing"));
    row = store_kit_row(&kit->arena, table, 9);
    assert_ok(store_begin(store, STORE_WRITE));
    assert_ok(store_row_put(store, table, &id, &row));
    assert_ok(store_commit(store));
    store_close(store);
    /* who only reads cannot bring it to the later model */
    options.read_only = true;
    assert_err(store_sqlite_open(&options, after, &store, &info), ERR_MODEL);
    assert_err(store_sqlite_open(&options, kit->model, &store, &info), ERR_MODEL);
    assert_non_null(strstr(info.message, "reading only"));
    options.read_only = false;
    assert_ok(store_sqlite_open(&options, after, &store, &info));
    table = model_table_by_name(after, bytes_of_text("thing"));
    assert_ok(store_begin(store, STORE_READ));
    assert_ok(store_row_get(store, table, &id, &kit->arena, &row));
    store_rollback(store);
    assert_true(row.values[1].kind == VALUE_REAL && row.values[1].as.real > 1.4999 &&
                row.values[1].as.real < 1.5001);
    assert_int_equal(row.values[2].as.integer, 7);
    assert_true(bytes_equal(row.values[3].as.bytes, bytes_of_text("it's")));
    store_close(store);
    model_free(before);
    model_free(after);
}

/* Side tables that an older program did not know are made; who only reads goes without. */
static void files_of_an_older_program_are_brought_up(void **state)
{
    struct store_kit *kit = *state;
    store_close(kit->store);
    kit->store = NULL;
    run_sql(kit->path, "UPDATE satchel_model SET sides=1");
    kit->options.read_only = true;
    store_kit_reopen(kit);
    assert_int_equal(ask(kit, "SELECT sides FROM satchel_model"), 1);
    kit->options.read_only = false;
    store_kit_reopen(kit);
    assert_int_equal(ask(kit, "SELECT sides FROM satchel_model"), SIDE_COUNT);
    assert_row(kit, 3);
}

/* ---- reading ---- */

static void values_of_another_kind_are_damage(void **state)
{
    struct store_kit *kit = *state;
    static const char *const harms[] = {
        "UPDATE thing SET amount='many'", "UPDATE thing SET name=x'00ff'",
        "UPDATE thing SET weight='heavy'", "UPDATE thing SET photo=5"};
    char sql[400];
    for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
        const struct uuid id = store_kit_id(2);
        struct store_row row;
        (void)snprintf(sql, sizeof sql,
                       "CREATE TABLE keep AS SELECT * FROM thing; PRAGMA writable_schema=ON;"
                       "UPDATE sqlite_schema SET "
                       "sql=replace(replace(replace(sql,',STRICT',''),'STRICT,',''),'STRICT','') "
                       "WHERE name='thing'");
        by_others(kit, sql);
        by_others(kit, harms[i]);
        assert_ok(store_begin(kit->store, STORE_READ));
        assert_err(store_row_get(kit->store, kit->thing, &id, &kit->arena, &row), ERR_CORRUPT);
        store_rollback(kit->store);
        by_others(kit, "DELETE FROM thing; INSERT INTO thing SELECT * FROM keep; DROP TABLE keep");
        assert_row(kit, 2);
    }
}

static int count_id(void *context, const struct uuid *id)
{
    (void)id;
    ++*(uint32_t *)context;
    return 0;
}

static int count_hit(void *context, const struct uuid *id, const struct model_column *column)
{
    assert_non_null(column);
    return count_id(context, id);
}

static void ids_of_another_size_are_damage(void **state)
{
    struct store_kit *kit = *state;
    const struct model_column *name = model_column_by_name(kit->thing, bytes_of_text("name"));
    const struct value is = value_text(bytes_of_text("harmed"));
    struct query_lookup *lookup;
    uint32_t count = 0;
    by_others(kit, "UPDATE thing SET id=x'00',name='harmed' WHERE id=(SELECT min(id) FROM thing)");
    assert_ok(query_lookup_new(kit->store, kit->thing, &name, 1, false, &lookup, NULL));
    assert_err(query_lookup_run(lookup, &is, count_id, &count), ERR_CORRUPT);
    assert_err(store_sqlite_find(kit->store, kit->thing, bytes_of_text("harmed"), 0, count_hit,
                                 &count, NULL),
               ERR_CORRUPT);
    assert_int_equal(count, 0);
    query_lookup_free(lookup);
}

/* An id is bytes, in which no text is found. */
static void ids_contain_no_text(void **state)
{
    struct store_kit *kit = *state;
    const struct query_condition condition = {.op = QUERY_CONTAINS,
                                              .value = value_text(bytes_of_text("a"))};
    const struct query query = {.conditions = &condition, .condition_count = 1};
    uint64_t found = 7;
    uint32_t count = 0;
    assert_ok(store_sqlite_count(kit->store, kit->thing, &query, &found, NULL));
    assert_int_equal(found, 0);
    assert_ok(store_sqlite_query(kit->store, kit->thing, &query, count_id, &count, NULL));
    assert_int_equal(count, 0);
}

/* A snapshot begins with the model's row. */
static void a_file_without_its_model_has_no_snapshot(void **state)
{
    struct store_kit *kit = *state;
    run_sql(kit->path, "DELETE FROM satchel_model");
    assert_err(store_begin(kit->store, STORE_READ), ERR_CORRUPT);
    store_kit_reopen(kit); /* and is given it again */
    assert_row(kit, 1);
}

/* ---- backups ---- */

static void remember_problem(void *context, const char *text)
{
    (void)snprintf(context, 200, "%s", text);
}

static void a_damaged_copy_is_no_backup(void **state)
{
    struct store_kit *kit = *state;
    struct err_info info = {0};
    char path[128], problem[200] = "";
    (void)snprintf(path, sizeof path, "%s/backup.db", kit->folder);
    by_others(kit,
              "CREATE INDEX one ON part(name); CREATE INDEX two ON thing(amount);"
              "CREATE INDEX three ON thing(weight); PRAGMA writable_schema=ON;"
              "UPDATE sqlite_schema SET sql='CREATE INDEX two ON thing(seen)' WHERE name='two';"
              "UPDATE sqlite_schema SET sql='CREATE INDEX three ON thing(seen)' WHERE "
              "name='three'");
    assert_err(store_sqlite_verify(kit->store, remember_problem, problem), ERR_CORRUPT);
    assert_true(problem[0] != 0);
    assert_err(store_sqlite_backup(kit->store, path, NULL, NULL, &info), ERR_CORRUPT);
    assert_non_null(strstr(info.message, "the copy is damaged"));
    assert_int_equal(access(path, F_OK), -1);
}

static int rows_of(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM thing", -1, &row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int count = sqlite3_column_int(row, 0);
    (void)sqlite3_finalize(row);
    (void)sqlite3_close(db);
    return count;
}

/* Many pages, and nobody who is told of the progress; a name without a folder. */
static void a_large_backup_beside_us(void **state)
{
    struct store_kit *kit = *state;
    char path[128], before[512];
    store_kit_begin(kit);
    for (uint32_t i = 100; i < 700; i++) {
        const struct uuid id = store_kit_id(i);
        struct store_row row = store_kit_row(&kit->arena, kit->thing, i);
        uint8_t *note = arena_calloc(&kit->arena, 20000, 1);
        assert_non_null(note);
        row.values[model_column_by_name(kit->thing, bytes_of_text("photo"))->index] =
            value_blob(bytes_of(note, 20000));
        assert_ok(store_row_put(kit->store, kit->thing, &id, &row));
    }
    store_kit_commit(kit);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(kit->folder), 0);
    enum err e = store_sqlite_backup(kit->store, "backup.db", NULL, NULL, NULL);
    assert_int_equal(chdir(before), 0);
    assert_ok(e);
    (void)snprintf(path, sizeof path, "%s/backup.db", kit->folder);
    assert_int_equal(rows_of(path), ROWS + 600);
}

static void memory_is_backed_up_and_verified(void **state)
{
    struct store_kit *kit = *state;
    struct store *store, *reader;
    struct err_info info = {0};
    struct store_sqlite_options options = kit->options;
    const struct uuid id = store_kit_id(1);
    char path[128], problem[200] = "";
    (void)snprintf(path, sizeof path, "%s/backup.db", kit->folder);
    options.path = ":memory:";
    assert_ok(store_sqlite_open(&options, kit->model, &store, &info));
    struct store_row row = store_kit_row(&kit->arena, kit->thing, 1);
    assert_ok(store_begin(store, STORE_WRITE));
    assert_ok(store_row_put(store, kit->thing, &id, &row));
    assert_ok(store_commit(store));
    assert_ok(store_sqlite_backup(store, path, NULL, NULL, &info));
    assert_int_equal(rows_of(path), 1);
    assert_ok(store_reader(store, &reader));
    assert_ok(store_sqlite_verify(reader, remember_problem, problem));
    assert_string_equal(problem, "");
    store_close(reader);
    store_close(store);
}

/* ---- the seam, and the store in memory ---- */

static void positions_have_a_limit(void **state)
{
    struct store_kit *kit = *state;
    const struct uuid id = store_kit_id(1);
    struct store_row row = store_kit_row(&kit->arena, kit->thing, 1);
    store_kit_begin(kit);
    row.position = INT64_MAX;
    assert_ok(store_base_put(kit->store, kit->thing, &id, &row));
    row.position++;
    assert_err(store_base_put(kit->store, kit->thing, &id, &row), ERR_LIMIT);
    store_kit_commit(kit);
}

static void the_store_in_memory_at_its_edges(void **state)
{
    struct store_kit *kit = *state;
    struct store *store = NULL, *reader, *second;
    const struct uuid id = store_kit_id(1), odd_parent = {{1, 2, 3}};
    uint32_t count = 0;
    for (uint64_t k = 1; failing_alloc_works() && !store; k++) {
        failing_alloc_start(k);
        enum err e = store_mem_open(kit->model, &store);
        assert_true(failing_alloc_stop() ? e == ERR_NOMEM && !store : e == ERR_OK);
    }
    if (!store)
        assert_ok(store_mem_open(kit->model, &store));
    struct store_row row = store_kit_row(&kit->arena, kit->part, 1);
    const struct model_column *parent = model_column_by_name(kit->part, bytes_of_text("thing"));
    row.values[parent->index] = value_blob(bytes_of(odd_parent.byte, 3)); /* nobody's child */
    assert_ok(store_begin(store, STORE_WRITE));
    assert_ok(store_row_put(store, kit->part, &id, &row));
    assert_ok(store_children(store, kit->part, &odd_parent, count_id, &count));
    assert_int_equal(count, 0);
    assert_ok(store_commit(store));
    /* a reader of a reader reads what was committed */
    assert_ok(store_reader(store, &reader));
    assert_ok(store_reader(reader, &second));
    assert_ok(store_begin(second, STORE_READ));
    assert_ok(store_row_get(second, kit->part, &id, &kit->arena, &row));
    store_rollback(second);
    store_close(second);
    store_close(reader);
    store_close(store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, store_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_ours_is_refused),
        TEST(columns_that_come_later_have_their_default),
        TEST(files_of_an_older_program_are_brought_up),
        TEST(values_of_another_kind_are_damage),
        TEST(ids_of_another_size_are_damage),
        TEST(ids_contain_no_text),
        TEST(a_file_without_its_model_has_no_snapshot),
        TEST(a_damaged_copy_is_no_backup),
        TEST(a_large_backup_beside_us),
        TEST(memory_is_backed_up_and_verified),
        TEST(positions_have_a_limit),
        TEST(the_store_in_memory_at_its_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
