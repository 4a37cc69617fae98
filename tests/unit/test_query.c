/* Questions to a store, its copies and its checks, with each allocation failing once: the answer is the
 * right one or ERR_NOMEM, and the same question is answered afterwards. What they answer is told in
 * test_api_reading.c and test_store_sqlite.c.
 *
 * ctest: arena valgrind=no */
#include <sys/stat.h>
#include <unistd.h>

#include "common/store_sqlite/query.h"
#include "tests/lib/failing_alloc.h"
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
    for (uint32_t i = 1; i <= 20; i++) {
        store_kit_put(kit, kit->thing, i, i, false);
        store_kit_put(kit, kit->part, i, i, i % 5 == 0);
    }
    store_kit_commit(kit);
    return 0;
}

struct answer {
    struct store_kit *kit;
    uint32_t count;
    struct uuid last;
};

typedef enum err question(struct answer *answer);

static int take_id(void *context, const struct uuid *id)
{
    struct answer *answer = context;
    answer->count++;
    answer->last = *id;
    return 0;
}

static int take_hit(void *context, const struct uuid *id, const struct model_column *column)
{
    assert_non_null(column);
    return take_id(context, id);
}

static int take_row(void *context, int count, const char *const *names, const struct value *values)
{
    struct answer *answer = context;
    assert_true(count > 0 && names[0] != NULL && values[0].kind != VALUE_NULL);
    answer->count++;
    return 0;
}

static const struct model_column *column(struct store_kit *kit, const char *name)
{
    return model_column_by_name(kit->thing, bytes_of_text(name));
}

static enum err ask_list(struct answer *a)
{
    struct store_kit *kit = a->kit;
    const struct query_condition conditions[] = {
        {column(kit, "amount"), QUERY_NE, value_int(7)},
        {column(kit, "note"), QUERY_NE, value_null()},
        {column(kit, "weight"), QUERY_NE, value_real(-1)},
        {column(kit, "name"), QUERY_CONTAINS, value_text(bytes_of_text(""))},
        {column(kit, "tags"), QUERY_CONTAINS, value_text(bytes_of_text(""))},
    };
    const struct query query = {.conditions = conditions,
                                .condition_count = 3,
                                .order = column(kit, "name"),
                                .descending = true,
                                .limit = 5,
                                .offset = 1};
    const struct query searched = {.conditions = &conditions[3], .condition_count = 2};
    uint64_t count = 0;
    enum err e = store_sqlite_query(kit->store, kit->thing, &query, take_id, a, NULL);
    if (e == ERR_OK)
        e = store_sqlite_query(kit->store, kit->thing, &searched, take_id, a, NULL);
    if (e == ERR_OK)
        e = store_sqlite_count(kit->store, kit->thing, &query, &count, NULL);
    a->count += e == ERR_OK ? (uint32_t)count : 0;
    return e;
}

static enum err ask_find(struct answer *a)
{
    struct store_kit *kit = a->kit;
    struct uuid low = store_kit_id(3), high = store_kit_id(9);
    enum err e =
        store_sqlite_find(kit->store, kit->thing, bytes_of_text("e"), 6, take_hit, a, NULL);
    if (e == ERR_OK)
        e = store_sqlite_find_equal(kit->store, kit->thing, column(kit, "name"),
                                    bytes_of_text("none"), take_id, a, NULL);
    if (e == ERR_OK)
        e = store_sqlite_find_ids(kit->store, kit->thing, &low, &high, take_id, a, NULL);
    return e;
}

static enum err look_up(struct answer *a, bool index)
{
    struct store_kit *kit = a->kit;
    const struct model_column *columns[] = {column(kit, "name"), column(kit, "amount")};
    const struct value values[] = {value_text(bytes_of_text("none")), value_null()};
    struct query_lookup *lookup = NULL;
    enum err e = query_lookup_new(kit->store, kit->thing, columns, 2, index, &lookup, NULL);
    if (e == ERR_OK)
        e = query_lookup_run(lookup, values, take_id, a);
    query_lookup_free(lookup);
    return e;
}

static enum err ask_lookup(struct answer *a)
{
    enum err e = look_up(a, true);
    return e == ERR_OK ? look_up(a, false) : e;
}

static enum err ask_sql(struct answer *a)
{
    return store_sqlite_sql(a->kit->store,
                            "SELECT id, name, amount, 1.5, 'x' FROM thing WHERE id > x'00'",
                            take_row, a, NULL);
}

static void no_problem(void *context, const char *text)
{
    (void)context;
    fail_msg("found, and not there: %s", text);
}

static enum err ask_verify(struct answer *a)
{
    return store_sqlite_verify(a->kit->store, no_problem, a);
}

static enum err ask_backup(struct answer *a)
{
    static off_t whole; /* of the first one */
    struct stat is;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/backup.db", a->kit->folder);
    (void)unlink(path);
    enum err e = store_sqlite_backup(a->kit->store, path, NULL, NULL, NULL);
    bool there =
        stat(path, &is) == 0; /* if only its folder could not be synced, after a failure too */
    assert_true(there || e != ERR_OK);
    if (there) {
        assert_true(whole == 0 || is.st_size == whole);
        whole = is.st_size;
    }
    return e;
}

/* A second handle, and a transaction taken back. */
static enum err ask_reader(struct answer *a)
{
    struct store *store = a->kit->store, *reader = NULL;
    struct store_row row;
    struct uuid id = store_kit_id(2);
    enum err e = store_reader(store, &reader);
    if (e == ERR_OK)
        e = store_begin(reader, STORE_READ);
    if (e == ERR_OK) {
        e = store_row_get(reader, a->kit->thing, &id, &a->kit->arena, &row);
        store_rollback(reader);
    }
    store_close(reader);
    if (e == ERR_OK)
        e = store_begin(store, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    e = store_row_delete(store, a->kit->thing, &id);
    store_rollback(store);
    return e;
}

static void each_allocation(struct store_kit *kit, const char *name, question *ask)
{
    struct answer right = {.kit = kit};
    uint64_t k = 1, refused = 0;
    assert_ok(ask(&right));
    for (bool hit = failing_alloc_works(); hit; k += unit_step(5)) {
        struct answer answer = {.kit = kit};
        failing_alloc_start(k);
        enum err e = ask(&answer);
        hit = failing_alloc_stop();
        refused += e != ERR_OK;
        if (e == ERR_OK)
            assert_int_equal(answer.count, right.count); /* SQLite does without some */
        else if (e != ERR_NOMEM || !hit)
            fail_msg("%s, allocation %llu: ERR_%s", name, (unsigned long long)k, err_name(e));
        arena_reset(&kit->arena);
    }
    struct answer after = {.kit = kit};
    assert_ok(ask(&after));
    assert_int_equal(after.count, right.count);
    print_message("%s: %llu allocations, %llu refused\n", name, (unsigned long long)k - 1,
                  (unsigned long long)refused);
}

static void questions_do_without_memory(void **state)
{
    struct store_kit *kit = *state;
    each_allocation(kit, "list", ask_list);
    each_allocation(kit, "find", ask_find);
    each_allocation(kit, "look-up", ask_lookup);
    each_allocation(kit, "SQL", ask_sql);
}

static void copies_and_checks_do_without_memory(void **state)
{
    struct store_kit *kit = *state;
    each_allocation(kit, "verify", ask_verify);
    each_allocation(kit, "backup", ask_backup);
    each_allocation(kit, "reader", ask_reader);
}

/* ---- what is asked wrongly ---- */

static int stop_with_error(void *context, const struct uuid *id)
{
    (void)context;
    (void)id;
    return ERR_CLOSED;
}

static int stop_hit(void *context, const struct uuid *id, const struct model_column *column)
{
    (void)column;
    return stop_with_error(context, id);
}

static void an_error_of_a_callback_is_returned(void **state)
{
    struct store_kit *kit = *state;
    const struct query all = {0};
    struct uuid low = store_kit_id(1), high = store_kit_id(9);
    struct err_info info;
    assert_err(store_sqlite_query(kit->store, kit->thing, &all, stop_with_error, NULL, &info),
               ERR_CLOSED);
    assert_err(
        store_sqlite_find(kit->store, kit->thing, bytes_of_text(""), 0, stop_hit, NULL, &info),
        ERR_CLOSED);
    assert_err(
        store_sqlite_find_ids(kit->store, kit->thing, &low, &high, stop_with_error, NULL, &info),
        ERR_CLOSED);
}

static void too_many_conditions_are_refused(void **state)
{
    struct store_kit *kit = *state;
    static const struct query_condition conditions[QUERY_CONDITIONS_MAX + 1];
    struct query query = {.conditions = conditions, .condition_count = QUERY_CONDITIONS_MAX + 1};
    struct answer answer = {.kit = kit};
    struct err_info info;
    uint64_t count = 77;
    assert_err(store_sqlite_query(kit->store, kit->thing, &query, take_id, &answer, &info),
               ERR_LIMIT);
    assert_err(store_sqlite_count(kit->store, kit->thing, &query, &count, &info), ERR_LIMIT);
    assert_int_equal(count, 77);
    query.condition_count = QUERY_CONDITIONS_MAX; /* no id is NULL */
    assert_ok(store_sqlite_query(kit->store, kit->thing, &query, take_id, &answer, &info));
    assert_int_equal(answer.count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, store_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(questions_do_without_memory),
        TEST(copies_and_checks_do_without_memory),
        TEST(an_error_of_a_callback_is_returned),
        TEST(too_many_conditions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
