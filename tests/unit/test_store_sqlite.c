/* What only the store on SQLite has: files of other versions and kinds, backup, verification. Its
 * behaviour under crashes and disk faults is in test_store_sqlite_faults.c. */
#include "common/store_sqlite/store_sqlite.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/sim_disk.h"
#include "tests/lib/store_kit.h"

/* The kit's model, a version earlier: `thing` with fewer columns, nothing else. */
static const char *const old_model_json =
    "{\"name\":\"kit\",\"version\":1,\"tables\":["
    "{\"id\":16,\"name\":\"thing\",\"label\":{\"en\":\"Thing\"},\"delete\":\"revives\","
    "\"bucket\":\"company\",\"title\":\"name\",\"columns\":["
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\",\"label\":{\"en\":\"Name\"}},"
    "{\"id\":3,\"name\":\"weight\",\"type\":\"real\",\"label\":{\"en\":\"Weight\"}}]}]}";

static int setup(void **state)
{
    store_kit_kind = STORE_KIND_SQLITE_FILE;
    return store_kit_setup(state);
}

/* Runs SQL on the file from outside; the store is closed. */
static void sql(struct store_kit *kit, const char *text)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(kit->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t query(sqlite3 *db, const char *text)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t result = sqlite3_column_int64(statement, 0);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    return result;
}

static void close_store(struct store_kit *kit)
{
    store_close(kit->store);
    kit->store = NULL;
}

/* Opening fails with this code, and the message names the file and has this word. */
static void assert_refused(struct store_kit *kit, enum err expected, const char *word)
{
    struct err_info info = {0};
    close_store(kit);
    assert_err(store_sqlite_open(&kit->options, kit->model, &kit->store, &info), expected);
    assert_null(kit->store);
    assert_int_equal(info.code, expected);
    assert_non_null(strstr(info.message, word));
    assert_non_null(strstr(info.message, kit->options.path));
}

static void tables_are_ordinary_ones(void **state)
{
    struct store_kit *kit = *state;
    sqlite3 *db = store_sqlite_handle(kit->store);
    struct uuid id = store_kit_id(1);
    struct value values[2] = {value_text(BYTES("A-1")), value_int(3)};
    struct store_row row = {.values = values, .version = BYTES("v"), .bucket = 2, .position = 5};

    store_kit_begin(kit);
    assert_ok(store_row_put(kit->store, kit->purchase, &id, &row));
    store_kit_commit(kit);
    assert_ok(store_begin(kit->store, STORE_READ));
    assert_int_equal(query(db, "SELECT count(*) FROM purchase WHERE sku='A-1' AND pieces=3 AND"
                               " length(id)=16 AND _bucket=2 AND _position=5"),
                     1);
    store_rollback(kit->store);
    assert_int_equal(query(db, "PRAGMA user_version"), 1);
    assert_int_equal(query(db, "PRAGMA application_id"), 0x53746368);
    assert_int_equal(query(db, "PRAGMA synchronous"), 2);
    assert_int_equal(query(db, "PRAGMA foreign_keys"), 0);
    assert_int_equal(query(db, "PRAGMA cell_size_check"), 1);
    assert_int_equal(query(db, "PRAGMA page_size"), 8192);
}

static void make_old_file(struct store_kit *kit)
{
    struct model *old = store_kit_model(old_model_json);
    const struct model_table *thing = model_table_by_id(old, 16);
    struct uuid live = store_kit_id(1);
    struct uuid dead = store_kit_id(2);
    struct value values[2] = {value_text(BYTES("old")), value_real(2.5)};
    struct store_row row = {.values = values, .version = BYTES("v")};
    close_store(kit);
    (void)unlink(kit->path);
    assert_ok(store_sqlite_open(&kit->options, old, &kit->store, NULL));
    assert_ok(store_begin(kit->store, STORE_WRITE));
    assert_ok(store_row_put(kit->store, thing, &live, &row));
    row.dead = true;
    assert_ok(store_row_put(kit->store, thing, &dead, &row));
    assert_ok(store_base_put(kit->store, thing, &live, &row));
    assert_ok(store_commit(kit->store));
    close_store(kit);
    model_free(old);
}

static void assert_old_row(struct store_kit *kit, const struct store_row *row)
{
    (void)kit;
    assert_text(row->values[0].as.bytes, "old");
    assert_true(row->values[2].as.real == 2.5);
    assert_int_equal(row->values[1].kind, VALUE_NULL);
    assert_int_equal(row->values[6].as.integer, 1); /* columns of later: their defaults */
    assert_text(row->values[9].as.bytes, "new");
    assert_text(row->values[10].as.bytes, "it's \"so\"");
}

static void a_larger_model_adds_tables_and_columns(void **state)
{
    struct store_kit *kit = *state;
    struct store_row row;
    struct uuid live = store_kit_id(1);
    struct uuid dead = store_kit_id(2);

    make_old_file(kit);
    store_kit_reopen(kit);
    for (int round = 0; round < 2; round++) {
        assert_ok(store_begin(kit->store, STORE_READ));
        assert_ok(store_row_get(kit->store, kit->thing, &live, &kit->arena, &row));
        assert_old_row(kit, &row);
        assert_ok(store_row_get(kit->store, kit->thing, &dead, &kit->arena, &row));
        assert_true(row.dead);
        assert_old_row(kit, &row);
        assert_ok(store_base_get(kit->store, kit->thing, &live, &kit->arena, &row));
        assert_old_row(kit, &row);
        store_rollback(kit->store);
        store_kit_reopen(kit);
    }
    store_kit_begin(kit);
    store_kit_put(kit, kit->thing, 3, 3, false);
    store_kit_put(kit, kit->part, 3, 3, false);
    store_kit_assert_is(kit, kit->store, kit->thing, 3, 3, false);
    store_kit_commit(kit);
}

static void a_smaller_model_leaves_what_it_does_not_know(void **state)
{
    struct store_kit *kit = *state;
    struct model *old = store_kit_model(old_model_json);
    const struct model_table *thing = model_table_by_id(old, 16);
    struct uuid id = store_kit_id(1);
    struct uuid part = store_kit_id(2);
    struct store_row row;
    struct store_row before = store_kit_row(&kit->arena, kit->thing, 4);
    struct store_kit_list list = {0};

    store_kit_begin(kit);
    assert_ok(store_row_put(kit->store, kit->thing, &id, &before));
    assert_ok(store_log_put(kit->store, 1, 1, kit->part, &part));
    assert_ok(store_log_put(kit->store, 1, 2, kit->thing, &id));
    assert_ok(store_commit(kit->store));
    close_store(kit);
    assert_ok(store_sqlite_open(&kit->options, old, &kit->store, NULL));
    assert_ok(store_begin(kit->store, STORE_WRITE));
    assert_ok(store_row_get(kit->store, thing, &id, &kit->arena, &row));
    row.values[0] = value_text(BYTES("changed"));
    assert_ok(store_row_put(kit->store, thing, &id, &row));
    enum err err = store_log_scan(kit->store, 1, 0, store_kit_list_log, &list);
    store_kit_assert_list(err, &list, "2:thing/1 "); /* of a table that it knows */
    assert_ok(store_commit(kit->store));
    close_store(kit);
    model_free(old);
    assert_ok(store_sqlite_open(&kit->options, kit->model, &kit->store, NULL));
    assert_ok(store_begin(kit->store, STORE_READ));
    assert_ok(store_row_get(kit->store, kit->thing, &id, &kit->arena, &row));
    before.values[0] = value_text(BYTES("changed"));
    store_kit_assert_row(kit->thing, &row, &before);
    store_rollback(kit->store);
}

static void refuses_what_it_cannot_use(void **state)
{
    struct store_kit *kit = *state;
    FILE *file;

    close_store(kit);
    sql(kit, "PRAGMA user_version=2");
    assert_refused(kit, ERR_VERSION, "newer Satchel");
    sql(kit, "PRAGMA user_version=1;PRAGMA application_id=77");
    assert_refused(kit, ERR_INVALID, "another program");
    (void)unlink(kit->path);
    sql(kit, "CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)");
    assert_refused(kit, ERR_INVALID, "another program");
    sql(kit, "SELECT x FROM theirs"); /* untouched */
    file = fopen(kit->path, "wb");
    assert_non_null(file);
    for (int i = 0; i < 3000; i++)
        (void)fputs("Dear diary, ", file);
    assert_int_equal(fclose(file), 0);
    assert_refused(kit, ERR_CORRUPT, "not a Satchel database");
    (void)unlink(kit->path);
    kit->options.path = "/nonexistent/store.db";
    assert_refused(kit, ERR_IO, "cannot be opened");
    kit->options.path = "";
    assert_err(store_sqlite_open(&kit->options, kit->model, &kit->store, NULL), ERR_INVALID);
    kit->options.path = kit->path;
}

static void a_columns_type_cannot_change(void **state)
{
    struct store_kit *kit = *state;

    close_store(kit);
    (void)unlink(kit->path);
    store_kit_reopen(kit);
    close_store(kit);
    sql(kit, "DROP TABLE purchase; CREATE TABLE purchase(id BLOB PRIMARY KEY,sku INTEGER);"
             "UPDATE satchel_model SET hash=x'00'");
    assert_refused(kit, ERR_MODEL, "sku");
}

static void read_only_changes_nothing(void **state)
{
    struct store_kit *kit = *state;

    store_kit_begin(kit);
    store_kit_put(kit, kit->thing, 1, 1, false);
    store_kit_commit(kit);
    kit->options.read_only = true;
    store_kit_reopen(kit);
    assert_ok(store_begin(kit->store, STORE_READ));
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 1, false);
    store_rollback(kit->store);
    assert_err(store_begin(kit->store, STORE_WRITE), ERR_FORBIDDEN);
    kit->options.read_only = false;
    make_old_file(kit);
    kit->options.read_only = true;
    assert_refused(kit, ERR_MODEL, "for reading only");
    (void)unlink(kit->path);
    assert_refused(kit, ERR_IO, "cannot be opened");
}

static void without_a_log_there_is_none(void **state)
{
    struct store_kit *kit = *state;
    struct store_kit_list list = {0};
    struct uuid id = store_kit_id(1);

    kit->options.keeps_log = false;
    store_kit_reopen(kit);
    store_kit_begin(kit);
    assert_ok(store_log_put(kit->store, 1, 1, kit->thing, &id));
    assert_ok(store_log_put(kit->store, 1, 1, kit->thing, &id));
    assert_ok(store_log_delete(kit->store, 1, 1));
    store_kit_assert_list(store_log_scan(kit->store, 1, 0, store_kit_list_log, &list), &list, "");
    store_kit_commit(kit);
}

static void a_second_writer_is_told_to_wait(void **state)
{
    struct store_kit *kit = *state;
    struct store *second = NULL;

    assert_ok(store_sqlite_open(&kit->options, kit->model, &second, NULL));
    store_kit_begin(kit);
    store_kit_put(kit, kit->thing, 1, 1, true);
    assert_err(store_begin(second, STORE_WRITE), ERR_BUSY);
    assert_ok(store_begin(second, STORE_READ));
    store_rollback(second);
    store_kit_commit(kit);
    assert_ok(store_begin(second, STORE_WRITE));
    struct uuid id = store_kit_id(1);
    struct store_row row = store_kit_row(&kit->arena, kit->thing, 2);
    assert_err(store_row_insert(second, kit->thing, &id, &row),
               ERR_EXISTS); /* dead, of the other */
    store_close(second);
}

static void readers_and_checkpoints_do_not_block_each_other(void **state)
{
    struct store_kit *kit = *state;
    struct store *reader = NULL;
    struct stat wal;
    char wal_path[128];

    (void)snprintf(wal_path, sizeof wal_path, "%s-wal", kit->path);
    store_kit_begin(kit);
    store_kit_put(kit, kit->thing, 1, 1, false);
    store_kit_commit(kit);
    assert_ok(store_reader(kit->store, &reader));
    assert_ok(store_begin(reader, STORE_READ));
    for (uint32_t i = 2; i < 200; i++) {
        store_kit_begin(kit);
        store_kit_put(kit, kit->thing, i, i, false);
        store_kit_commit(kit);
        if (i % 50 == 0)
            assert_ok(store_sqlite_checkpoint(kit->store));
    }
    store_kit_assert_is(kit, reader, kit->thing, 1, 1, false);
    store_kit_assert_is(kit, reader, kit->thing, 2, 0, false);
    store_rollback(reader);
    assert_ok(store_sqlite_checkpoint(kit->store));
    assert_int_equal(stat(wal_path, &wal), 0);
    assert_int_equal(wal.st_size, 0);
    store_close(reader);
}

struct backup_writer {
    struct store_kit *kit;
    uint32_t calls, stop_after;
};

static bool write_meanwhile(void *context, int remaining, int total)
{
    struct backup_writer *w = context;
    assert_true(remaining <= total);
    w->calls++;
    store_kit_begin(w->kit);
    store_kit_put(w->kit, w->kit->thing, 10000 + w->calls, 1, false);
    store_kit_put(w->kit, w->kit->thing, 5, 9999, false);
    store_kit_commit(w->kit);
    return w->calls != w->stop_after;
}

static void a_backup_is_one_moment_of_a_store_that_is_written(void **state)
{
    struct store_kit *kit = *state;
    static const uint8_t filler[1500];
    struct backup_writer w = {.kit = kit};
    struct err_info info = {0};
    struct store *copy = NULL;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/backup.db", kit->folder);
    store_kit_begin(kit);
    for (uint32_t i = 1; i <= 4000; i++) {
        store_kit_put(kit, kit->thing, i, i, false);
        assert_ok(store_side_put(kit->store, SIDE_STAGE, bytes_of(&i, sizeof i),
                                 bytes_of(filler, sizeof filler)));
    }
    store_kit_commit(kit);
    w.stop_after = 1;
    assert_err(store_sqlite_backup(kit->store, path, write_meanwhile, &w, &info), ERR_INTERRUPTED);
    assert_int_not_equal(access(path, F_OK), 0);
    store_kit_begin(kit);
    store_kit_put(kit, kit->thing, 5, 5, false);
    store_kit_commit(kit);
    w = (struct backup_writer){.kit = kit};
    assert_ok(store_sqlite_backup(kit->store, path, write_meanwhile, &w, &info));
    assert_true(w.calls > 1);
    assert_err(store_sqlite_backup(kit->store, path, NULL, NULL, &info), ERR_EXISTS);
    assert_non_null(strstr(info.message, "never replaces"));
    struct store_sqlite_options options = {.path = path, .keeps_log = true};
    assert_ok(store_sqlite_open(&options, kit->model, &copy, &info));
    assert_ok(store_begin(copy, STORE_READ));
    store_kit_assert_is(kit, copy, kit->thing, 5, 5, false); /* not what came meanwhile */
    store_kit_assert_is(kit, copy, kit->thing, 10002, 0, false);
    for (uint32_t i = 1; i <= 4000; i++)
        store_kit_assert_is(kit, copy, kit->thing, i, i, false);
    store_rollback(copy);
    store_close(copy);
    assert_ok(store_begin(kit->store, STORE_READ));
    store_kit_assert_is(kit, kit->store, kit->thing, 5, 9999, false);
    store_rollback(kit->store);
}

static void count_problem(void *context, const char *text)
{
    struct store_kit_list *list = context;
    (void)snprintf(list->text, sizeof list->text, "%s", text);
    list->count++;
}

static void verification_names_what_is_wrong(void **state)
{
    struct store_kit *kit = *state;
    struct store_kit_list problems = {0};
    struct uuid id = store_kit_id(1);
    char text[400];
    char hex[UUID_TEXT_SIZE];

    store_kit_begin(kit);
    store_kit_put(kit, kit->thing, 1, 1, false);
    store_kit_put(kit, kit->thing, 2, 2, true);
    assert_ok(store_log_put(kit->store, 1, 1, kit->thing, &id));
    id = store_kit_id(2);
    assert_ok(store_log_put(kit->store, 1, 2, kit->thing, &id));
    store_kit_commit(kit);
    assert_ok(store_sqlite_verify(kit->store, count_problem, &problems));
    assert_int_equal(problems.count, 0);
    close_store(kit);
    sql(kit, "DELETE FROM thing; UPDATE satchel_dead SET content=x'0102'");
    store_kit_reopen(kit);
    assert_err(store_sqlite_verify(kit->store, count_problem, &problems), ERR_CORRUPT);
    assert_int_equal(problems.count, 2);
    id = store_kit_id(2);
    uuid_format(&id, hex);
    assert_non_null(strstr(problems.text, hex));
    assert_ok(store_begin(kit->store, STORE_READ));
    struct store_row row;
    assert_err(store_row_get(kit->store, kit->thing, &id, &kit->arena, &row), ERR_CORRUPT);
    store_rollback(kit->store);
    (void)snprintf(text, sizeof text,
                   "DELETE FROM satchel_log;DELETE FROM satchel_dead;"
                   "INSERT INTO satchel_log VALUES(1,1,16,x'%032d')",
                   1);
    close_store(kit);
    sql(kit, text);
    store_kit_reopen(kit);
    problems = (struct store_kit_list){0};
    assert_err(store_sqlite_verify(kit->store, count_problem, &problems), ERR_CORRUPT);
    assert_int_equal(problems.count, 1);
    assert_non_null(strstr(problems.text, "log names a record"));
}

static void exclusive_needs_no_shared_memory(void **state)
{
    struct store_kit *kit = *state;
    struct store *reader = NULL;
    struct store_kit_list problems = {0};
    char path[128];

    kit->options.exclusive = true;
    close_store(kit);
    (void)unlink(kit->path);
    store_kit_reopen(kit);
    store_kit_begin(kit);
    store_kit_put(kit, kit->thing, 1, 1, false);
    store_kit_commit(kit);
    (void)snprintf(path, sizeof path, "%s-shm", kit->path);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_err(store_reader(kit->store, &reader), ERR_INVALID);
    assert_ok(store_sqlite_verify(kit->store, count_problem, &problems));
    (void)snprintf(path, sizeof path, "%s/backup.db", kit->folder);
    assert_ok(store_sqlite_backup(kit->store, path, NULL, NULL, NULL));
    store_kit_reopen(kit);
    assert_ok(store_begin(kit->store, STORE_READ));
    store_kit_assert_is(kit, kit->store, kit->thing, 1, 1, false);
    store_rollback(kit->store);
}

/* Groups are up to 64 MiB large: what a search of a key costs must not depend on its neighbours' values. */
static void a_search_reads_no_value_but_its_own(void **state)
{
    enum { VALUES = 40, SIZE = 200 << 10, READS_MAX = 12 };
    static const enum store_side sides[] = {SIDE_OUTBOX, SIDE_PENDING, SIDE_WAITING,
                                            SIDE_PARKED, SIDE_STAGE,   SIDE_PART};
    struct store_kit *kit = *state;
    struct sim_disk *disk = sim_disk_new(1);
    struct bytes found;
    uint8_t key[8];
    uint8_t *value = calloc(1, SIZE);
    assert_non_null(value);

    close_store(kit);
    kit->options.vfs = sim_disk_vfs(disk);
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        store_kit_reopen(kit);
        store_kit_begin(kit);
        for (uint64_t k = 0; k < VALUES; k++) {
            be64_put(key, 2 * k);
            assert_ok(
                store_side_put(kit->store, sides[i], bytes_of(key, 8), bytes_of(value, SIZE)));
        }
        store_kit_commit(kit);
        store_kit_reopen(kit); /* with an empty cache */
        uint64_t reads = sim_disk_count(disk, SIM_DISK_BIT(SIM_DISK_READ));
        assert_ok(store_begin(kit->store, STORE_READ));
        be64_put(key, VALUES + 1);
        assert_err(store_side_get(kit->store, sides[i], bytes_of(key, 8), &kit->arena, &found),
                   ERR_NOT_FOUND);
        store_rollback(kit->store);
        reads = sim_disk_count(disk, SIM_DISK_BIT(SIM_DISK_READ)) - reads;
        if (reads > READS_MAX)
            fail_msg("side %d: %llu reads", (int)sides[i], (unsigned long long)reads);
    }
    free(value);
    close_store(kit);
    kit->options.vfs = NULL;
    sim_disk_free(disk);
}

static void the_builtin_model_opens(void **state)
{
    struct store_kit *kit = *state;
    struct model *crm = NULL;
    struct err_info info = {0};

    close_store(kit);
    (void)unlink(kit->path);
    assert_ok(model_builtin(&crm, &info));
    enum err err = store_sqlite_open(&kit->options, crm, &kit->store, &info);
    if (err != ERR_OK)
        fail_msg("%s", info.message);
    store_close(kit->store);
    assert_ok(store_sqlite_open(&kit->options, crm, &kit->store, &info));
    close_store(kit);
    model_free(crm);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, store_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(tables_are_ordinary_ones),
        TEST(a_larger_model_adds_tables_and_columns),
        TEST(a_smaller_model_leaves_what_it_does_not_know),
        TEST(refuses_what_it_cannot_use),
        TEST(a_columns_type_cannot_change),
        TEST(read_only_changes_nothing),
        TEST(without_a_log_there_is_none),
        TEST(a_second_writer_is_told_to_wait),
        TEST(readers_and_checkpoints_do_not_block_each_other),
        TEST(a_backup_is_one_moment_of_a_store_that_is_written),
        TEST(verification_names_what_is_wrong),
        TEST(exclusive_needs_no_shared_memory),
        TEST(a_search_reads_no_value_but_its_own),
        TEST(the_builtin_model_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
