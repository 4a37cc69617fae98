/* what people type: values of columns, and the text that `find` looks for.
 *
 * Input:   which column of the model of tests/vectors; the text.
 * Asserts: documented errors, each with its reason; a value that is taken is of its column's kind, written
 *          as text is taken as the same value again, and its text is UTF-8 of one form; a value that
 *          passes the checks goes into SQLite and comes back the same, is found by that text and by a
 *          part of it in any case, and an equal condition finds exactly it; numbers, dates and uuids
 *          written from what was parsed parse the same; memory is bounded.
 * ctest: labels=asan */
#include "common/store_sqlite/query.h"
#include "common/store_sqlite/store_sqlite.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/codec.h"

static const struct uuid row_id = {{7}};

static int count_row(void *context, const struct uuid *id)
{
    fuzz_check(uuid_equal(id, &row_id), "another row");
    ++*(unsigned *)context;
    return 0;
}

static int count_hit(void *context, const struct uuid *id, const struct model_column *column)
{
    (void)column;
    return count_row(context, id);
}

/* --- in the store ----------------------------------------------------------------------------- */

static void search(struct store *store, const struct model_table *table,
                   const struct model_column *column, const struct value *value)
{
    const struct query_condition condition = {.column = column, .op = QUERY_EQ, .value = *value};
    const struct query query = {.conditions = &condition, .condition_count = 1};
    unsigned found = 0;
    fuzz_ok(store_sqlite_query(store, table, &query, count_row, &found, NULL));
    fuzz_check(found == 1, "an equal condition finds %u rows", found);
    if (value->kind != VALUE_TEXT || column->type != COLUMN_TEXT || value->as.bytes.size == 0)
        return;
    found = 0;
    fuzz_ok(store_sqlite_find(store, table, value->as.bytes, 0, count_hit, &found, NULL));
    fuzz_check(found == 1, "its own text finds %u rows", found);
    found = 0;
    fuzz_ok(
        store_sqlite_find_equal(store, table, column, value->as.bytes, count_row, &found, NULL));
    fuzz_check(found == 1, "its own text is equal to %u rows", found);
}

static void store(const struct model *model, const struct model_table *table,
                  const struct model_column *column, const struct value *value, struct bytes typed,
                  struct arena *arena)
{
    static struct store *memory;
    struct err_info info = {0};
    if (!memory) {
        const struct store_sqlite_options options = {
            .path = ":memory:", .synchronous = STORE_SQLITE_OFF, .cache_bytes = 1 << 20};
        fuzz_check(store_sqlite_open(&options, model, &memory, &info) == ERR_OK, "%s",
                   info.message);
    }
    struct store_row got,
        row = {.values = arena_calloc(arena, table->column_count, sizeof *row.values),
               .version = bytes_of_text("v"),
               .bucket = 1,
               .position = 1};
    fuzz_check(row.values, "no memory");
    row.values[column->index] = *value;
    fuzz_ok(store_begin(memory, STORE_WRITE));
    fuzz_ok(store_row_put(memory, table, &row_id, &row));
    fuzz_ok(store_row_get(memory, table, &row_id, arena, &got));
    fuzz_check(value_equal(&row.values[column->index], &got.values[column->index]), "%s comes back",
               column->name);
    search(memory, table, column, value);
    unsigned found = 0; /* whatever was typed: no text is an error */
    fuzz_ok(store_sqlite_find(memory, table, typed, 10, count_hit, &found, NULL));
    store_rollback(memory);
}

/* --- as text ---------------------------------------------------------------------------------- */

static void column_value(const struct model *model, const struct model_table *table,
                         const struct model_column *column, struct bytes text, struct arena *arena)
{
    static const enum err documented[] = {ERR_TYPE, ERR_NOMEM, ERR_OK};
    struct err_info info = {0};
    struct value value, again;
    struct buf written, twice;
    enum err e = model_value_from_text(column, text, arena, &value, &info);
    fuzz_one_of(e, "model_value_from_text", documented);
    if (e != ERR_OK) {
        fuzz_check(info.message[0], "refused without a reason");
        return;
    }
    enum err checked = model_check_value(column, &value, &info);
    fuzz_check(checked == ERR_OK || checked == ERR_TYPE || checked == ERR_LIMIT, "%s",
               err_name(checked));
    buf_init(&written, 1 << 20);
    buf_init(&twice, 1 << 20);
    if (checked == ERR_OK) {
        fuzz_ok(model_value_to_text(column, &value, &written));
        fuzz_error(model_value_from_text(column, buf_view(&written), arena, &again, &info), ERR_OK,
                   info.message, __FILE__, __LINE__);
        fuzz_check(value_equal(&value, &again), "%s: '%.*s' is '%.*s'", column->name,
                   (int)text.size, (const char *)text.data, (int)written.size,
                   (const char *)written.data);
        fuzz_ok(model_value_to_text(column, &again, &twice));
        fuzz_check(bytes_equal(buf_view(&written), buf_view(&twice)), "%s", column->name);
        store(model, table, column, &value, text, arena);
    }
    buf_done(&written);
    buf_done(&twice);
}

static void numbers(struct bytes text)
{
    struct buf out;
    int64_t a, b;
    struct uuid id, same;
    char form[UUID_TEXT_SIZE];
    buf_init(&out, 256);
    if (text_parse_int64(text, &a) == ERR_OK) {
        text_append_int64(&out, a);
        fuzz_ok(text_parse_int64(buf_view(&out), &b));
        fuzz_check(a == b, "%lld, %lld", (long long)a, (long long)b);
    }
    buf_reset(&out);
    if (text_parse_instant(text, &a) == ERR_OK) {
        text_append_instant(&out, a);
        fuzz_ok(text_parse_instant(buf_view(&out), &b));
        fuzz_check(a == b, "%lld, %lld", (long long)a, (long long)b);
    }
    if (uuid_parse(text, &id) == ERR_OK) {
        uuid_format(&id, form);
        fuzz_ok(uuid_parse(bytes_of_text(form), &same));
        fuzz_check(uuid_equal(&id, &same), "%s", form);
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model *model;
    struct arena arena;
    if (!model)
        model = codec_model();
    if (size == 0)
        return 0;
    fuzz_begin(FUZZ_MEMORY_MAX);
    arena_init(&arena, 16 << 20);
    const struct model_table *table = model_table_by_id(model, CODEC_ITEM);
    struct bytes text = bytes_of(data + 1, size - 1);
    column_value(model, table, &table->columns[data[0] % table->column_count], text, &arena);
    numbers(text);
    arena_done(&arena);
    fuzz_end(4 << 20); /* the store stays, and what it caches */
    return 0;
}
