/* The store on SQLite with each of its calls of SQLite, and each allocation, failing once: an error is returned, nothing
 * of a failed transaction is there, and after opening it again if the failure was for good all works; packed rows that
 * are damaged are found.
 *
 * ctest: arena sqlite timeout=600 valgrind=no */
#include <sys/stat.h>
#include <unistd.h>

#include "common/store_sqlite/query.h"
#include "common/store_sqlite/sqlite_store.h"
#include "tests/lib/failing_place.h"
#include "tests/lib/store_kit.h"

enum { ROWS = 12, PLACES_MAX = 3000 };

static uint32_t whole; /* what act_read() counts when all is there */

static void fill(struct store_kit *kit)
{
    store_kit_begin(kit);
    for (uint32_t i = 1; i <= ROWS; i++) {
        struct uuid id = store_kit_id(i);
        store_kit_put(kit, kit->thing, i, i, i % 4 == 0);
        store_kit_put(kit, kit->part, i, i, i % 5 == 0);
        struct store_row base = store_kit_row(&kit->arena, kit->thing, i + 50);
        assert_ok(store_base_put(kit->store, kit->thing, &id, &base));
        assert_ok(store_log_put(kit->store, 1, i, kit->thing, &id));
        assert_ok(store_side_put(kit->store, SIDE_META, bytes_of(&i, 4), bytes_of_text("x")));
    }
    store_kit_commit(kit);
}

/* ---- what is done ---- */

typedef enum err act_fn(struct store_kit *kit, uint32_t *count);

static int count_id(void *context, const struct uuid *id)
{
    (void)id;
    ++*(uint32_t *)context;
    return 0;
}

static int count_hit(void *context, const struct uuid *id, const struct model_column *column)
{
    (void)column;
    return count_id(context, id);
}

static int count_side(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(uint32_t *)context;
    return 0;
}

static int count_log(void *context, uint64_t position, const struct model_table *table,
                     const struct uuid *id)
{
    (void)position;
    (void)table;
    return count_id(context, id);
}

static int count_row(void *context, int count, const char *const *names, const struct value *values)
{
    (void)count;
    (void)names;
    (void)values;
    ++*(uint32_t *)context;
    return 0;
}

static enum err read_all(struct store_kit *kit, struct store *store, uint32_t *count)
{
    const struct bytes none = bytes_of(NULL, 0);
    struct uuid parent = store_kit_id(3);
    struct store_row row;
    enum err e = store_row_scan(store, kit->thing, NULL, count_id, count);
    if (e == ERR_OK)
        e = store_dead_scan(store, kit->thing, NULL, count_id, count);
    if (e == ERR_OK)
        e = store_children(store, kit->part, &parent, count_id, count);
    if (e == ERR_OK)
        e = store_log_scan(store, 1, 0, count_log, count);
    if (e == ERR_OK)
        e = store_side_scan(store, SIDE_META, none, none, count_side, count);
    if (e == ERR_OK)
        e = store_side_scan(store, SIDE_META, bytes_of_text("\x01"), bytes_of_text("\x04"),
                            count_side, count);
    for (uint32_t i = 1; e == ERR_OK && i <= ROWS; i++) {
        struct uuid id = store_kit_id(i);
        struct bytes value;
        e = store_row_get(store, kit->thing, &id, &kit->arena, &row);
        if (e == ERR_OK)
            e = store_base_get(store, kit->thing, &id, &kit->arena, &row);
        if (e == ERR_OK)
            e = store_side_get(store, SIDE_META, bytes_of(&i, 4), &kit->arena, &value);
    }
    struct uuid none_such = store_kit_id(9999);
    if (e == ERR_OK &&
        (e = store_row_get(store, kit->thing, &none_such, &kit->arena, &row)) == ERR_NOT_FOUND)
        e = ERR_OK;
    return e;
}

static enum err act_read(struct store_kit *kit, uint32_t *count)
{
    enum err e = store_begin(kit->store, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = read_all(kit, kit->store, count);
    store_rollback(kit->store);
    return e;
}

static enum err act_reader(struct store_kit *kit, uint32_t *count)
{
    struct store *reader;
    enum err e = store_reader(kit->store, &reader);
    if (e != ERR_OK)
        return e;
    e = store_begin(reader, STORE_READ);
    if (e == ERR_OK) {
        e = read_all(kit, reader, count);
        store_rollback(reader);
    }
    store_close(reader);
    return e;
}

/* All of it is taken back by a second transaction, so that each round finds the same. */
static enum err change(struct store_kit *kit, uint32_t number, bool there)
{
    struct store *s = kit->store;
    struct uuid id = store_kit_id(number);
    failing_place_pause(true); /* the test itself */
    struct store_row row = store_kit_row(&kit->arena, kit->thing, number);
    failing_place_pause(false);
    enum err e =
        there ? store_row_insert(s, kit->thing, &id, &row) : store_row_delete(s, kit->thing, &id);
    row.dead = true;
    if (e == ERR_OK && there)
        e = store_row_put(s, kit->thing, &id, &row);
    row.dead = false;
    if (e == ERR_OK && there) { /* the dead one stands in its way */
        e = store_row_insert(s, kit->thing, &id, &row);
        e = e == ERR_EXISTS ? ERR_OK : e == ERR_OK ? ERR_BUG : e;
    }
    row.dead = there;
    if (e == ERR_OK)
        e = there ? store_base_put(s, kit->thing, &id, &row)
                  : store_base_delete(s, kit->thing, &id);
    if (e == ERR_OK)
        e = there ? store_log_put(s, 1, number, kit->thing, &id) : store_log_delete(s, 1, number);
    if (e == ERR_OK)
        e = there ? store_side_put(s, SIDE_META, bytes_of(&number, 4), bytes_of_text("y"))
                  : store_side_delete(s, SIDE_META, bytes_of(&number, 4));
    return e;
}

static enum err transact(struct store_kit *kit, uint32_t number, bool there, bool saved)
{
    enum err e = store_begin(kit->store, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    if (saved)
        e = store_savepoint(kit->store);
    if (e == ERR_OK && saved) {
        e = change(kit, number + 1, true);
        enum err back = number % 2 ? store_rollback_to(kit->store) : store_release(kit->store);
        e = e == ERR_OK ? back : e;
        if (e == ERR_OK && number % 2 == 0)
            e = change(kit, number + 1, false);
    }
    if (e == ERR_OK)
        e = change(kit, number, there);
    if (e != ERR_OK) {
        store_rollback(kit->store);
        return e;
    }
    return store_commit(kit->store);
}

static enum err act_write(struct store_kit *kit, uint32_t *count)
{
    for (uint32_t number = 100; number < 102; number++) {
        enum err e = transact(kit, number, true, true);
        if (e == ERR_OK)
            e = transact(kit, number, false, false);
        if (e != ERR_OK)
            return e;
        ++*count;
    }
    return ERR_OK;
}

static enum err act_query(struct store_kit *kit, uint32_t *count)
{
    const struct model_column *name = model_column_by_name(kit->thing, bytes_of_text("name"));
    const struct model_column *amount = model_column_by_name(kit->thing, bytes_of_text("amount"));
    const struct query_condition conditions[] = {
        {name, QUERY_CONTAINS, value_text(bytes_of_text("e"))}, {amount, QUERY_GE, value_int(0)}};
    const struct query query = {
        .conditions = conditions, .condition_count = 2, .order = name, .limit = 5};
    const struct value values[] = {value_text(bytes_of_text("none"))};
    struct uuid low = store_kit_id(3), high = store_kit_id(9);
    uint64_t all = 0;
    struct query_lookup *lookup;
    struct store *s = kit->store;
    enum err e = store_sqlite_query(s, kit->thing, &query, count_id, count, NULL);
    if (e == ERR_OK)
        e = store_sqlite_count(s, kit->thing, &query, &all, NULL);
    if (e == ERR_OK)
        e = store_sqlite_find(s, kit->thing, bytes_of_text("e"), 6, count_hit, count, NULL);
    if (e == ERR_OK)
        e = store_sqlite_find_equal(s, kit->thing, name, bytes_of_text("none"), count_id, count,
                                    NULL);
    if (e == ERR_OK)
        e = store_sqlite_find_ids(s, kit->thing, &low, &high, count_id, count, NULL);
    if (e == ERR_OK)
        e = store_sqlite_sql(s, "SELECT id, name FROM thing", count_row, count, NULL);
    if (e == ERR_OK)
        e = query_lookup_new(s, kit->thing, &name, 1, true, &lookup, NULL);
    if (e != ERR_OK)
        return e;
    e = query_lookup_run(lookup, values, count_id, count);
    query_lookup_free(lookup);
    *count += (uint32_t)all;
    return e;
}

static void no_problem(void *context, const char *text)
{
    (void)context;
    fail_msg("found, and not there: %s", text);
}

static void some_problem(void *context, const char *text)
{
    (void)text;
    ++*(uint32_t *)context;
}

static enum err act_verify(struct store_kit *kit, uint32_t *count)
{
    uint32_t problems = 0;
    ++*count;
    return store_sqlite_verify(kit->store, some_problem, &problems);
}

static bool go_on(void *context, int remaining, int total)
{
    (void)context;
    return remaining <= total;
}

static enum err act_backup(struct store_kit *kit, uint32_t *count)
{
    char path[128];
    struct err_info info;
    (void)snprintf(path, sizeof path, "%s/backup.db", kit->folder);
    (void)unlink(path);
    ++*count;
    enum err e = store_sqlite_backup(kit->store, path, go_on, NULL, &info);
    static off_t size; /* of the first one */
    struct stat is;
    if (stat(path, &is) == 0) { /* whole, if it has its name: only its folder may not be synced */
        assert_true(size == 0 || is.st_size == size);
        size = is.st_size;
    } else {
        assert_int_not_equal(e, ERR_OK);
    }
    return e;
}

static enum err act_checkpoint(struct store_kit *kit, uint32_t *count)
{
    ++*count;
    enum err e = store_sqlite_checkpoint(kit->store);
    return e == ERR_OK ? store_sqlite_tidy(kit->store) : e;
}

/* ---- each place ---- */

static enum place_kind place_kinds[] = {PLACE_NATIVE, PLACE_ERRORS};

static void assert_whole(struct store_kit *kit)
{
    uint32_t count = 0;
    assert_ok(act_read(kit, &count));
    assert_int_equal(count, whole);
    assert_ok(store_sqlite_verify(kit->store, no_problem, NULL));
    arena_reset(&kit->arena);
}

/* Where the failure was for good the process ends. The rest of what was under way is taken back. */
static void go_on_after(struct store_kit *kit)
{
    uint32_t count = 0;
    enum err e = act_read(kit, &count);
    if (e != ERR_OK) {
        assert_int_equal(err_class(e), ERR_CLASS_FATAL);
        store_kit_reopen(kit);
    }
    for (uint32_t number = 100; number < 103; number++)
        assert_ok(transact(kit, number, false, false));
}

static void each_place(struct store_kit *kit, const char *name, act_fn *act)
{
    uint32_t right = 0;
    assert_ok(act(kit, &right));
    for (size_t kind = 0; kind < 2; kind++) {
        uint32_t rounds = 0, refused = 0;
        for (bool met = true; met; rounds++) {
            uint32_t count = 0;
            assert_true(rounds < PLACES_MAX);
            failing_place_start(place_kinds[kind]);
            enum err e = act(kit, &count);
            met = failing_place_stop();
            refused += e != ERR_OK;
            if (e == ERR_OK)
                assert_int_equal(count, right);
            else if (!met)
                fail_msg("%s: ERR_%s, and nothing had failed", name, err_name(e));
            if (met)
                go_on_after(kit);
            assert_whole(kit);
        }
        print_message("%s: %u places, %u refused\n", name, rounds - 1, refused);
    }
}

static int setup(void **state, enum store_kind kind)
{
    store_kit_kind = kind;
    if (store_kit_setup(state) != 0)
        return 1;
    struct store_kit *kit = *state;
    if (kind == STORE_KIND_SQLITE_FILE) {
        kit->options.synchronous = STORE_SQLITE_OFF;
        store_kit_reopen(kit);
    }
    fill(kit);
    whole = 0;
    assert_ok(act_read(kit, &whole));
    assert_true(whole > 3 * ROWS);
    return 0;
}

static int setup_file(void **state)
{
    return setup(state, STORE_KIND_SQLITE_FILE);
}

static int setup_memory(void **state)
{
    return setup(state, STORE_KIND_SQLITE_MEMORY);
}

static void reads_and_writes(void **state)
{
    each_place(*state, "read", act_read);
    each_place(*state, "write", act_write);
    each_place(*state, "reader", act_reader);
}

static void questions(void **state)
{
    each_place(*state, "questions", act_query);
}

static void copies_and_checks(void **state)
{
    each_place(*state, "verify", act_verify);
    each_place(*state, "backup", act_backup);
    each_place(*state, "checkpoint", act_checkpoint);
}

static void a_copy_in_memory(void **state)
{
    struct store_kit *kit = *state;
    uint32_t right = 0;
    assert_ok(act_reader(kit, &right));
    for (size_t kind = 0; kind < 2; kind++)
        for (bool met = true; met;) {
            uint32_t count = 0;
            failing_place_start(place_kinds[kind]);
            enum err e = act_reader(kit, &count);
            met = failing_place_stop();
            if (e == ERR_OK ? count != right : !met)
                fail_msg("ERR_%s, %u of %u", err_name(e), count, right);
            arena_reset(&kit->arena);
        }
    assert_whole(kit);
}

/* Opening: what is there already, what has to be made, and what has to be changed. */
static void opening(void **state)
{
    struct store_kit *kit = *state;
    for (int how = 0; how < 3; how++)
        for (size_t kind = 0; kind < 2; kind++) {
            uint32_t rounds = 0, refused = 0;
            for (bool met = true; met; rounds++) {
                char path[128];
                struct store *store = NULL;
                struct err_info info = {0};
                (void)snprintf(path, sizeof path, "%s/%s", kit->folder,
                               how == 1 ? "other.db" : "store.db");
                if (how == 1)
                    (void)unlink(path);
                struct store_sqlite_options options = kit->options;
                options.path = path;
                options.read_only = how == 2;
                failing_place_start(place_kinds[kind]);
                enum err e = store_sqlite_open(&options, kit->model, &store, &info);
                met = failing_place_stop();
                refused += e != ERR_OK;
                if (e == ERR_OK) {
                    store_close(store);
                } else {
                    assert_null(store);
                    assert_true(met);
                    assert_int_equal(info.code, e);
                    assert_true(info.message[0] != 0);
                }
            }
            print_message("opening %d: %u places, %u refused\n", how, rounds - 1, refused);
            assert_true(refused > 0 || how > 0 || unit_step(2) > 1); /* met by other tests then */
        }
    assert_whole(kit);
}

/* ---- damage ---- */

static void packed_rows_that_are_damaged_are_found(void **state)
{
    struct store_kit *kit = *state;
    struct value values[MODEL_COLUMNS_MAX];
    for (uint32_t seed = 1; seed < 40; seed++) {
        struct buf packed;
        buf_init(&packed, 1 << 20);
        struct store_row row = store_kit_row(&kit->arena, kit->thing, seed);
        assert_ok(sqlite_store_pack(&packed, kit->thing, row.values));
        assert_ok(sqlite_store_unpack(buf_view(&packed), kit->thing, values));
        for (uint16_t i = 0; i < kit->thing->column_count; i++)
            assert_true(value_equal(&values[i], &row.values[i]));
        size_t most = packed.size < 400 ? packed.size : 400;
        for (size_t size = 0; size < most; size++) /* exactly, so that a sanitizer sees more */
            assert_err(sqlite_store_unpack(bytes_of(packed.data, size), kit->thing, values),
                       ERR_CORRUPT);
        for (size_t at = 0; at < most; at++) {
            uint8_t was = packed.data[at];
            for (unsigned bit = 0; bit < 8; bit++) {
                packed.data[at] = (uint8_t)(was ^ 1u << bit);
                enum err e = sqlite_store_unpack(buf_view(&packed), kit->thing, values);
                assert_true(e == ERR_OK || e == ERR_CORRUPT);
            }
            packed.data[at] = was;
        }
        assert_ok(buf_append_byte(&packed, 0));
        assert_err(sqlite_store_unpack(buf_view(&packed), kit->thing, values), ERR_CORRUPT);
        buf_done(&packed);
        arena_reset(&kit->arena);
    }
}

static void every_code_has_its_meaning(void **state)
{
    (void)state;
    static const struct {
        int native;
        enum err err;
    } codes[] = {
        {SQLITE_OK, ERR_OK},
        {SQLITE_ROW, ERR_OK},
        {SQLITE_DONE, ERR_OK},
        {SQLITE_BUSY, ERR_BUSY},
        {SQLITE_BUSY_SNAPSHOT, ERR_BUSY},
        {SQLITE_LOCKED, ERR_BUSY},
        {SQLITE_FULL, ERR_FULL},
        {SQLITE_IOERR_SHMSIZE, ERR_FULL},
        {SQLITE_NOMEM, ERR_NOMEM},
        {SQLITE_IOERR_NOMEM, ERR_NOMEM},
        {SQLITE_CORRUPT, ERR_CORRUPT},
        {SQLITE_CORRUPT_INDEX, ERR_CORRUPT},
        {SQLITE_NOTADB, ERR_CORRUPT},
        {SQLITE_INTERRUPT, ERR_INTERRUPTED},
        {SQLITE_TOOBIG, ERR_LIMIT},
        {SQLITE_MISUSE, ERR_BUG},
        {SQLITE_IOERR, ERR_IO},
        {SQLITE_READONLY, ERR_IO},
        {SQLITE_CANTOPEN, ERR_IO},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        assert_int_equal(sqlite_store_code(codes[i].native), codes[i].err);
}

int main(void)
{
#define TEST(name, kind) cmocka_unit_test_setup_teardown(name, setup_##kind, store_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(reads_and_writes, file),
        TEST(questions, file),
        TEST(copies_and_checks, file),
        TEST(a_copy_in_memory, memory),
        TEST(opening, file),
        TEST(packed_rows_that_are_damaged_are_found, file),
        TEST(every_code_has_its_meaning, file),
    };
    if (getenv("SATCHEL_TEST_FILTER"))
        cmocka_set_test_filter(getenv("SATCHEL_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
