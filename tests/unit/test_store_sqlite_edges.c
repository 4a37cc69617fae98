/* The store on SQLite at its edges: files that others have written to, limits of questions and options, a store that
 * has ended, what the operating system refuses while a backup is made.
 *
 * ctest: timeout=300 */
#include <errno.h>
#include <sqlite3.h>
#include <unistd.h>

#include "common/store_sqlite/query.h"
#include "common/store_sqlite/sqlite_store.h"
#include "tests/lib/store_kit.h"

static int setup(void **state)
{
    store_kit_kind = STORE_KIND_SQLITE_FILE;
    if (store_kit_setup(state) != 0)
        return 1;
    struct store_kit *kit = *state;
    kit->options.synchronous = STORE_SQLITE_OFF;
    store_kit_reopen(kit);
    store_kit_begin(kit);
    for (uint32_t i = 1; i <= 6; i++) {
        struct uuid id = store_kit_id(i);
        struct store_row row = store_kit_row(&kit->arena, kit->thing, i + 20);
        store_kit_put(kit, kit->thing, i, i, i == 6);
        assert_ok(store_base_put(kit->store, kit->thing, &id, &row));
        assert_ok(store_log_put(kit->store, 1, i, kit->thing, &id));
        assert_ok(store_side_put(kit->store, SIDE_META, bytes_of(&i, 4), bytes_of_text("x")));
    }
    store_kit_commit(kit);
    return 0;
}

/* SQL of another program, while the store is closed. */
static void by_others(struct store_kit *kit, const char *sql)
{
    sqlite3 *db;
    char *message = NULL;
    store_close(kit->store);
    kit->store = NULL;
    assert_int_equal(sqlite3_open_v2(kit->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    store_kit_reopen(kit);
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

static int count_log(void *context, uint64_t position, const struct model_table *table,
                     const struct uuid *id)
{
    (void)position;
    (void)table;
    return count_id(context, id);
}

static int count_side(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(uint32_t *)context;
    return 0;
}

static void count_problem(void *context, const char *text)
{
    assert_true(text[0] != 0);
    ++*(uint32_t *)context;
}

/* The worst of reading everything. */
static enum err read_all(struct store_kit *kit)
{
    const struct bytes none = bytes_of(NULL, 0);
    uint32_t count = 0;
    enum err worst = ERR_OK, e;
    struct store_row row;
#define READ(call)                                                          \
    do {                                                                    \
        e = (call);                                                         \
        assert_true(e == ERR_OK || e == ERR_NOT_FOUND || e == ERR_CORRUPT); \
        if (e == ERR_CORRUPT)                                               \
            worst = e;                                                      \
    } while (0)
    assert_ok(store_begin(kit->store, STORE_READ));
    READ(store_row_scan(kit->store, kit->thing, NULL, count_id, &count));
    READ(store_dead_scan(kit->store, kit->thing, NULL, count_id, &count));
    READ(store_log_scan(kit->store, 1, 0, count_log, &count));
    READ(store_side_scan(kit->store, SIDE_META, none, none, count_side, &count));
    for (uint32_t i = 1; i <= 6; i++) {
        struct uuid id = store_kit_id(i);
        READ(store_row_get(kit->store, kit->thing, &id, &kit->arena, &row));
        READ(store_base_get(kit->store, kit->thing, &id, &kit->arena, &row));
    }
    store_rollback(kit->store);
#undef READ
    return worst;
}

static void what_others_have_written_is_found(void **state)
{
    struct store_kit *kit = *state;
    static const struct {
        const char *sql;
        bool read;     /* reading everything finds it */
        bool verified; /* and verification does */
    } damages[] = {
        {"UPDATE satchel_dead SET content=x''", false, false}, /* one that was never known */
        {"UPDATE satchel_dead SET content=x'01'", true, true},
        {"UPDATE satchel_base SET content=x'0101'", true, true},
        {"UPDATE satchel_base SET content=x'02'", true, true},
        {"UPDATE satchel_log SET id=x'00' WHERE position=2", true, true},
        {"UPDATE satchel_log SET table_id=0 WHERE position=2", false, false},
        {"UPDATE satchel_log SET table_id=70000 WHERE position=2", false, false},
        {"UPDATE satchel_log SET table_id=-1 WHERE position=2", false, false},
        {"UPDATE satchel_log SET table_id=99 WHERE position=2", false, false},
        {"UPDATE satchel_dead SET id=x'00'", true, true},
        {"UPDATE satchel_base SET id=x'00' WHERE id=(SELECT min(id) FROM satchel_base)", false,
         true},
        {"UPDATE thing SET id=x'00' WHERE id=(SELECT min(id) FROM thing)", true, true},
        {"INSERT INTO satchel_meta(k,v) VALUES(zeroblob(300),x'00')", false, true},
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        uint32_t problems = 0;
        by_others(kit, "CREATE TABLE IF NOT EXISTS keep_dead AS SELECT * FROM satchel_dead;"
                       "CREATE TABLE IF NOT EXISTS keep_base AS SELECT * FROM satchel_base;"
                       "CREATE TABLE IF NOT EXISTS keep_log AS SELECT * FROM satchel_log;"
                       "CREATE TABLE IF NOT EXISTS keep_thing AS SELECT * FROM thing");
        by_others(kit, damages[i].sql);
        enum err e = read_all(kit);
        if ((e == ERR_CORRUPT) != damages[i].read)
            fail_msg("%s: reading is ERR_%s", damages[i].sql, err_name(e));
        e = store_sqlite_verify(kit->store, count_problem, &problems);
        if ((e == ERR_CORRUPT) != damages[i].verified || (problems > 0) != damages[i].verified)
            fail_msg("%s: verification is ERR_%s, %u", damages[i].sql, err_name(e), problems);
        by_others(kit, "DELETE FROM satchel_dead; INSERT INTO satchel_dead SELECT * FROM keep_dead;"
                       "DELETE FROM satchel_base; INSERT INTO satchel_base SELECT * FROM keep_base;"
                       "DELETE FROM satchel_log; INSERT INTO satchel_log SELECT * FROM keep_log;"
                       "DELETE FROM thing; INSERT INTO thing SELECT * FROM keep_thing;"
                       "DELETE FROM satchel_meta WHERE length(k)>256;"
                       "DROP TABLE keep_dead; DROP TABLE keep_base; DROP TABLE keep_log;"
                       "DROP TABLE keep_thing");
        assert_ok(read_all(kit));
        assert_ok(store_sqlite_verify(kit->store, count_problem, &problems));
    }
}

/* ---- a store that has ended ---- */

static int take_row(void *context, int count, const char *const *names, const struct value *values)
{
    (void)count;
    (void)names;
    (void)values;
    ++*(uint32_t *)context;
    return 0;
}

static int refuse_row(void *context, int count, const char *const *names,
                      const struct value *values)
{
    (void)take_row(context, count, names, values);
    return ERR_CLOSED;
}

static int stop_row(void *context, int count, const char *const *names, const struct value *values)
{
    (void)take_row(context, count, names, values);
    return STORE_STOP;
}

static int refuse_id(void *context, const struct uuid *id)
{
    (void)count_id(context, id);
    return ERR_CLOSED;
}

static void one_that_has_ended_answers_nothing(void **state)
{
    struct store_kit *kit = *state;
    struct sqlite_store *s = sqlite_store_of(kit->store);
    const struct model_column *name = model_column_by_name(kit->thing, bytes_of_text("name"));
    const struct value value = value_text(bytes_of_text("x"));
    const struct query query = {0};
    struct query_lookup *lookup;
    struct err_info info = {0};
    char path[128];
    uint32_t count = 0;
    uint64_t all = 0;
    assert_ok(query_lookup_new(kit->store, kit->thing, &name, 1, false, &lookup, &info));
    s->ended = ERR_IO; /* as after a failed sync */
    assert_err(store_begin(kit->store, STORE_READ), ERR_IO);
    assert_err(store_begin(kit->store, STORE_WRITE), ERR_IO);
    assert_err(store_sqlite_query(kit->store, kit->thing, &query, count_id, &count, &info), ERR_IO);
    assert_int_equal(info.code, ERR_IO);
    assert_err(store_sqlite_count(kit->store, kit->thing, &query, &all, NULL), ERR_IO);
    assert_err(store_sqlite_sql(kit->store, "SELECT 1", take_row, &count, NULL), ERR_IO);
    assert_err(query_lookup_run(lookup, &value, count_id, &count), ERR_IO);
    struct query_lookup *second;
    assert_err(query_lookup_new(kit->store, kit->thing, &name, 1, true, &second, NULL), ERR_IO);
    assert_err(
        store_sqlite_find(kit->store, kit->thing, bytes_of_text("x"), 1, count_hit, &count, NULL),
        ERR_IO);
    assert_err(store_sqlite_find_equal(kit->store, kit->thing, name, bytes_of_text("x"), count_id,
                                       &count, NULL),
               ERR_IO);
    struct uuid low = store_kit_id(1), high = store_kit_id(5);
    assert_err(store_sqlite_find_ids(kit->store, kit->thing, &low, &high, count_id, &count, NULL),
               ERR_IO);
    assert_err(store_sqlite_verify(kit->store, count_problem, &count), ERR_IO);
    assert_err(store_sqlite_tidy(kit->store), ERR_IO);
    assert_err(store_sqlite_checkpoint(kit->store), ERR_IO);
    (void)snprintf(path, sizeof path, "%s/backup.db", kit->folder);
    assert_err(store_sqlite_backup(kit->store, path, NULL, NULL, NULL), ERR_IO);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(count, 0);
    query_lookup_free(lookup);
    store_kit_reopen(kit);
    assert_ok(read_all(kit));
}

/* ---- limits ---- */

static void questions_at_their_limits(void **state)
{
    struct store_kit *kit = *state;
    const struct model_column *name = model_column_by_name(kit->thing, bytes_of_text("name"));
    const struct value value = value_null();
    struct err_info info = {0};
    uint32_t count = 0;
    const struct query queries[] = {
        {.limit = UINT64_MAX},
        {.offset = 1},
        {.limit = 3},
        {.offset = UINT64_MAX},
        {.limit = 2, .offset = 1},
        {.order = name, .descending = true},
    };
    static const uint32_t expected[] = {5, 4, 3, 0, 2, 5};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        count = 0;
        assert_ok(store_sqlite_query(kit->store, kit->thing, &queries[i], count_id, &count, &info));
        assert_int_equal(count, expected[i]);
    }
    count = 0;
    assert_err(store_sqlite_sql(kit->store, "SELECT id FROM thing", refuse_row, &count, NULL),
               ERR_CLOSED);
    assert_int_equal(count, 1);
    assert_ok(store_sqlite_sql(kit->store, "SELECT id FROM thing", stop_row, &count, NULL));
    assert_int_equal(count, 2);
    enum err e = store_sqlite_sql(kit->store, "SELECT none FROM nothing", take_row, &count, NULL);
    assert_true(e != ERR_OK && err_class(e) == ERR_CLASS_INPUT);
    struct query_lookup *lookup;
    assert_ok(query_lookup_new(kit->store, kit->thing, &name, 1, true, &lookup, &info));
    store_kit_begin(kit);
    store_kit_put(kit, kit->thing, 50, 50, false);
    store_rollback(kit->store);
    count = 0;
    enum err found = query_lookup_run(lookup, &value, refuse_id, &count);
    assert_int_equal(found, count ? ERR_CLOSED : ERR_OK);
    query_lookup_free(lookup);
    static const uint64_t limits[] = {0, 2, UINT64_MAX};
    uint32_t hits[3] = {0};
    for (size_t i = 0; i < 3; i++)
        assert_ok(store_sqlite_find(kit->store, kit->thing, bytes_of_text(""), limits[i], count_hit,
                                    &hits[i], NULL));
    assert_true(hits[0] == hits[2] && hits[1] <= 2 && hits[0] >= hits[1]);
    /* one that only reads makes no index, and finds the same */
    const struct value is = value_text(bytes_of_text("x"));
    kit->options.read_only = true;
    store_kit_reopen(kit);
    assert_ok(query_lookup_new(kit->store, kit->thing, &name, 1, true, &lookup, &info));
    assert_ok(query_lookup_run(lookup, &is, count_id, &count));
    query_lookup_free(lookup);
    kit->options.read_only = false;
    store_kit_reopen(kit);
}

static void options_at_their_limits(void **state)
{
    struct store_kit *kit = *state;
    struct store *store = NULL, *reader = NULL, *second = NULL;
    struct err_info info = {0};
    struct store_sqlite_options options = kit->options;
    const char *const paths[] = {NULL, ""};
    for (size_t i = 0; i < 2; i++) {
        options.path = paths[i];
        assert_err(store_sqlite_open(&options, kit->model, &store, &info), ERR_INVALID);
    }
    options = kit->options;
    options.cache_bytes = SIZE_MAX;
    options.wal_autocheckpoint_pages = -1;
    for (int i = 0; i < 4; i++) {
        static const enum store_sqlite_synchronous levels[] = {
            STORE_SQLITE_FULL, STORE_SQLITE_EXTRA, STORE_SQLITE_NORMAL, STORE_SQLITE_OFF};
        options.synchronous = levels[i];
        assert_ok(store_sqlite_open(&options, kit->model, &store, &info));
        assert_ok(store_begin(store, STORE_WRITE));
        assert_ok(store_side_put(store, SIDE_META, bytes_of("k", 1), bytes_of("v", 1)));
        assert_ok(store_commit(store));
        assert_ok(store_sqlite_tidy(store));
        assert_ok(store_sqlite_checkpoint(store));
        store_close(store);
    }
    /* a reader of a file may have readers; one of memory holds a copy, which has none */
    options.path = ":memory:";
    assert_ok(store_sqlite_open(&options, kit->model, &store, &info));
    assert_ok(store_reader(store, &reader));
    assert_err(store_reader(reader, &second), ERR_INVALID);
    assert_err(store_begin(reader, STORE_WRITE), ERR_FORBIDDEN);
    store_close(reader);
    store_close(store);
    options.path = kit->path;
    options.exclusive = true;
    store_close(kit->store);
    kit->store = NULL;
    assert_ok(store_sqlite_open(&options, kit->model, &store, &info));
    assert_err(store_reader(store, &reader), ERR_INVALID);
    uint32_t problems = 0;
    assert_ok(store_sqlite_verify(store, count_problem, &problems));
    store_close(store);
    options.exclusive = false;
    options.vfs = "no such";
    assert_err(store_sqlite_open(&options, kit->model, &store, &info), ERR_IO);
    options.vfs = NULL;
    store_kit_reopen(kit);
    /* an empty file, read only: nothing could be made of it */
    char path[128];
    (void)snprintf(path, sizeof path, "%s/other.db", kit->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    options.path = path;
    options.read_only = true;
    assert_err(store_sqlite_open(&options, kit->model, &store, &info), ERR_INVALID);
    assert_non_null(strstr(info.message, "is empty"));
}

/* Names that the store has itself, and columns that rows of before them answer with a default. */
static void models_at_their_limits(void **state)
{
    struct store_kit *kit = *state;
    static const char *const names[][2] = {
        {"satchel_meta", "name"}, {"Satchel_x", "name"}, {"sqlite_x", "name"}, {"fine", "_version"},
        {"fine", "_Bucket"},      {"fine", "_position"}, {"fine", "ID"}};
    char json[700], path[128];
    struct store *store;
    (void)snprintf(path, sizeof path, "%s/other.db", kit->folder);
    struct store_sqlite_options options = kit->options;
    options.path = path;
    uint32_t refused = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct err_info info = {0};
        struct model *model = NULL;
        (void)snprintf(json, sizeof json,
                       "{\"name\":\"m\",\"version\":1,\"tables\":[{\"id\":16,\"name\":\"%s\","
                       "\"label\":{\"en\":\"T\"},\"delete\":\"revives\",\"bucket\":\"company\","
                       "\"title\":\"%s\",\"columns\":[{\"id\":1,\"name\":\"%s\",\"type\":\"text\","
                       "\"label\":{\"en\":\"N\"}}]}]}",
                       names[i][0], names[i][1], names[i][1]);
        if (model_parse(bytes_of_text(json), &model, &info) != ERR_OK) {
            refused++; /* the model itself takes no such names */
            continue;
        }
        assert_err(store_sqlite_open(&options, model, &store, &info), ERR_MODEL);
        refused++;
        model_free(model);
    }
    assert_int_equal(refused, sizeof names / sizeof *names);
}

/* ---- what the operating system refuses ---- */

struct refusing {
    int rename, sync, folder, remove;
    bool there;
};

static bool exists(void *context, const char *path)
{
    (void)path;
    return ((struct refusing *)context)->there;
}

static int remove_file(void *context, const char *path)
{
    int code = ((struct refusing *)context)->remove;
    return code ? code : unlink(path) == 0 ? 0 : errno;
}

static int rename_file(void *context, const char *from, const char *to)
{
    int code = ((struct refusing *)context)->rename;
    return code ? code : rename(from, to) == 0 ? 0 : errno;
}

static int sync_file(void *context, const char *path)
{
    (void)path;
    return ((struct refusing *)context)->sync;
}

static int sync_folder(void *context, const char *path)
{
    (void)path;
    return ((struct refusing *)context)->folder;
}

static void a_backup_tells_why_it_was_not_made(void **state)
{
    struct store_kit *kit = *state;
    static const struct {
        int native;
        enum err err;
    } codes[] = {{EEXIST, ERR_EXISTS}, {ENOSPC, ERR_FULL}, {EDQUOT, ERR_FULL},
                 {ENOMEM, ERR_NOMEM},  {EIO, ERR_IO},      {EACCES, ERR_IO}};
    char path[128], partial[160];
    struct refusing refusing = {0};
    const struct store_sqlite_files files = {exists,    remove_file, rename_file,
                                             sync_file, sync_folder, &refusing};
    (void)snprintf(path, sizeof path, "%s/backup.db", kit->folder);
    (void)snprintf(partial, sizeof partial, "%s.partial", path);
    kit->options.files = &files;
    store_kit_reopen(kit);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        for (int what = 0; what < 4; what++)
            for (int told = 0; told < 2; told++) {
                struct err_info info = {0};
                refusing = (struct refusing){0};
                *(what == 0   ? &refusing.rename
                  : what == 1 ? &refusing.sync
                  : what == 2 ? &refusing.folder
                              : &refusing.remove) = codes[i].native;
                assert_err(store_sqlite_backup(kit->store, path, NULL, NULL, told ? &info : NULL),
                           codes[i].err);
                if (told) {
                    assert_int_equal(info.code, codes[i].err);
                    assert_int_equal(info.native, codes[i].native);
                    assert_non_null(strstr(info.message, path));
                }
                assert_int_equal(access(path, F_OK), -1); /* it can be made again */
                (void)unlink(partial);
            }
    refusing = (struct refusing){.there = true};
    assert_err(store_sqlite_backup(kit->store, path, NULL, NULL, NULL), ERR_EXISTS);
    refusing.there = false;
    assert_ok(store_sqlite_backup(kit->store, path, NULL, NULL, NULL));
    assert_int_equal(access(path, F_OK), 0);
    kit->options.files = NULL;
    store_kit_reopen(kit);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, store_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_others_have_written_is_found),
        TEST(one_that_has_ended_answers_nothing),
        TEST(questions_at_their_limits),
        TEST(options_at_their_limits),
        TEST(models_at_their_limits),
        TEST(a_backup_tells_why_it_was_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
