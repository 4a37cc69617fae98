/* model files.
 *
 * Input:   the text of a model file.
 * Asserts: documented errors, each with a message that names a place; a model that is taken is sound in
 *          itself (indexes, units, symbols, defaults that its own checks take), parses to the same hash
 *          again, and makes a database that takes a record of every table and gives it back; memory is
 *          bounded.
 * ctest: labels=asan */
#include "tests/fuzz/fuzz.h"

#include "common/model_change.h"
#include "common/model.h"
#include "common/store_sqlite/store_sqlite.h"

static void check_unit(const struct model_table *table, const struct model_unit *unit)
{
    fuzz_check(unit == &table->units[unit->index] && unit->column_count > 0, "%s", unit->name);
    for (uint16_t i = 0; i < unit->column_count; i++) {
        fuzz_check(unit->columns[i] < table->column_count, "%s", unit->name);
        const struct model_column *column = &table->columns[unit->columns[i]];
        fuzz_check(column->unit_index == unit->index && column->unit_place == i, "%s.%s",
                   table->name, column->name);
    }
    const struct model_column *first = &table->columns[unit->columns[0]];
    for (uint16_t i = 0; i < unit->transition_count; i++)
        fuzz_check(unit->transitions[i].from < first->symbol_count &&
                       unit->transitions[i].to < first->symbol_count,
                   "%s.%s", table->name, unit->name);
    fuzz_check(unit->policy != MERGE_FSM || (unit->ranks && first->type == COLUMN_ENUM), "%s",
               unit->name);
}

static void check_column(const struct model *model, const struct model_table *table,
                         const struct model_column *column)
{
    struct err_info info = {0};
    fuzz_check(column == &table->columns[column->index], "%s", column->name);
    fuzz_check(model_column_by_id(table, column->id) == column, "%s", column->name);
    fuzz_check(model_column_by_name(table, bytes_of_text(column->name)) == column, "%s",
               column->name);
    fuzz_check((column->type == COLUMN_REFERENCE || column->target < 0) &&
                   column->target < (int)model->table_count,
               "%s.%s refers to %d", table->name, column->name, column->target);
    fuzz_check((column->type == COLUMN_ENUM) == (column->symbol_count > 0), "%s", column->name);
    if (column->fallback.kind != VALUE_NULL)
        fuzz_check(model_check_value(column, &column->fallback, &info) == ERR_OK, "%s.%s: %s",
                   table->name, column->name, info.message);
}

static void check_model(const struct model *model)
{
    fuzz_check(model->table_count <= MODEL_TABLES_MAX, "%u tables", model->table_count);
    for (uint16_t i = 0; i < model->table_count; i++) {
        const struct model_table *table = &model->tables[i];
        fuzz_check(table->index == i && model_table_by_id(model, table->id) == table, "%s",
                   table->name);
        fuzz_check(table->column_count > 0 && table->parent_column < (int)table->column_count &&
                       table->title_column < (int)table->column_count,
                   "%s", table->name);
        for (uint16_t c = 0; c < table->column_count; c++)
            check_column(model, table, &table->columns[c]);
        for (uint16_t u = 0; u < table->unit_count; u++)
            check_unit(table, &table->units[u]);
    }
}

/* A record of each table, with its defaults. */
static void check_database(const struct model *model)
{
    const struct store_sqlite_options options = {.path = ":memory:",
                                                 .synchronous = STORE_SQLITE_OFF,
                                                 .keeps_log = true,
                                                 .cache_bytes = 1 << 20};
    struct store *store;
    struct err_info info = {0};
    struct arena arena;
    const struct uuid id = {{1}};
    arena_init(&arena, 4 << 20);
    enum err e = store_sqlite_open(&options, model, &store, &info);
    fuzz_check(e == ERR_OK, "%s", info.message);
    fuzz_ok(store_begin(store, STORE_WRITE));
    for (uint16_t i = 0; i < model->table_count; i++) {
        const struct model_table *table = &model->tables[i];
        struct store_row got,
            row = {.values = arena_calloc(&arena, table->column_count, sizeof *row.values),
                   .version = bytes_of_text("version"),
                   .bucket = 1,
                   .position = i + 1u};
        fuzz_check(row.values, "no memory");
        for (uint16_t c = 0; c < table->column_count; c++)
            row.values[c] = table->columns[c].fallback;
        fuzz_ok(store_row_put(store, table, &id, &row));
        fuzz_ok(store_row_get(store, table, &id, &arena, &got));
        for (uint16_t c = 0; c < table->column_count; c++)
            fuzz_check(value_equal(&row.values[c], &got.values[c]), "%s.%s", table->name,
                       table->columns[c].name);
    }
    fuzz_ok(store_commit(store));
    store_close(store);
    arena_done(&arena);
}

/* The text that is kept, and told to others, is the same model; what is handed in for an extension either extends the
 * built-in model, or is refused with a reason; a text that came over the wire is read or refused. */
static void check_changes(const struct model *model, struct bytes data)
{
    static const enum err documented[] = {ERR_MODEL, ERR_PARSE,  ERR_LIMIT,
                                          ERR_NOMEM, ERR_EXISTS, ERR_OK};
    static const enum err received[] = {ERR_MODEL, ERR_PARSE,   ERR_LIMIT,
                                        ERR_NOMEM, ERR_VERSION, ERR_OK};
    struct model *whole = NULL, *base = NULL, *later = NULL, *told = NULL;
    struct err_info info = {0};
    if (model) {
        fuzz_ok(model_parse_whole(model->text, model->hash, &whole, &info));
        fuzz_check(bytes_equal(whole->text, model->text), "two texts");
        fuzz_ok(model_extends(model, whole, &info));
    }
    fuzz_ok(model_builtin(&base, &info));
    enum err e = model_extend(base, data, &later, &info);
    fuzz_one_of(e, "model_extend", documented);
    if (e == ERR_OK) {
        fuzz_ok(model_extends(base, later, &info));
        fuzz_check(later->version > base->version, "the version is not raised");
    } else {
        fuzz_check(info.code == e && info.message[0], "%s without a message", err_name(e));
    }
    fuzz_one_of(model_parse_whole(data, NULL, &told, &info), "model_parse_whole", received);
    model_free(told);
    model_free(later);
    model_free(base);
    model_free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum err documented[] = {ERR_MODEL, ERR_PARSE, ERR_LIMIT, ERR_NOMEM, ERR_OK};
    struct model *model = NULL, *again = NULL;
    struct err_info info = {0};
    fuzz_begin(FUZZ_MEMORY_MAX);
    enum err e = model_parse(bytes_of(data, size), &model, &info);
    fuzz_one_of(e, "model_parse", documented);
    if (e == ERR_OK) {
        check_model(model);
        fuzz_ok(model_parse(bytes_of(data, size), &again, &info));
        fuzz_check(memcmp(model->hash, again->hash, 32) == 0, "two hashes");
        model_free(again);
        if (model->table_count < 32)
            check_database(model);
    } else {
        fuzz_check(info.code == e && info.message[0], "%s without a message", err_name(e));
    }
    check_changes(model, bytes_of(data, size));
    model_free(model);
    fuzz_end(1 << 20); /* libcrypto and SQLite keep tables; leaks are the sanitizer's to find */
    return 0;
}
