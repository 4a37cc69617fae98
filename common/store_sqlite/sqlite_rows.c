/* The typed tables. A put that finds no row of its id inserts it; whether a dead row of that id has
 * to go is only asked where the table has dead rows at all. */
#include "common/store_sqlite/sqlite_store.h"

#include <assert.h>
#include <string.h>

static int bind_value(sqlite3_stmt *statement, int parameter, const struct value *value)
{
    switch (value->kind) {
    case VALUE_NULL: return sqlite3_bind_null(statement, parameter);
    case VALUE_INT: return sqlite3_bind_int64(statement, parameter, value->as.integer);
    case VALUE_REAL: return sqlite3_bind_double(statement, parameter, value->as.real);
    case VALUE_TEXT:
        return sqlite3_bind_text64(statement, parameter,
                                   value->as.bytes.size == 0 ? ""
                                                             : (const char *)value->as.bytes.data,
                                   value->as.bytes.size, SQLITE_STATIC, SQLITE_UTF8);
    case VALUE_BLOB:
        sqlite_store_bind_bytes(statement, parameter, value->as.bytes);
        return SQLITE_OK;
    }
    assert(!"no such kind");
    return SQLITE_MISUSE;
}

/* Order as append_insert() in sqlite_statement.c names them. */
static void bind_row(sqlite3_stmt *statement, const struct model_table *table,
                     const struct uuid *id, const struct store_row *row)
{
    int parameter = 1;
    int native = SQLITE_OK;
    sqlite_store_bind_id(statement, parameter++, id);
    for (uint16_t i = 0; i < table->column_count; i++)
        native |= bind_value(statement, parameter++, &row->values[i]);
    sqlite_store_bind_bytes(statement, parameter++, row->version);
    native |= sqlite3_bind_int64(statement, parameter++, row->bucket);
    native |= sqlite3_bind_int64(statement, parameter++, (int64_t)row->position);
    assert(native == SQLITE_OK);
    (void)native;
}

/* The bytes of text and blobs of columns 0 to count - 1, a NUL after each. */
static size_t content_size(sqlite3_stmt *statement, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        int type = sqlite3_column_type(statement, i);
        if (type == SQLITE_TEXT || type == SQLITE_BLOB)
            size += (size_t)sqlite3_column_bytes(statement, i) + 1;
    }
    return size;
}

static struct bytes copy_column(sqlite3_stmt *statement, int column, uint8_t **at)
{
    struct bytes in = sqlite_store_column(statement, column);
    uint8_t *out = *at;
    if (in.size > 0)
        memcpy(out, in.data, in.size);
    out[in.size] = 0;
    *at += in.size + 1;
    return bytes_of(out, in.size);
}

static enum err copy_value(sqlite3_stmt *statement, int column, enum value_kind kind, uint8_t **at,
                           struct value *ret)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL: *ret = value_null(); return ERR_OK;
    case SQLITE_INTEGER: *ret = value_int(sqlite3_column_int64(statement, column)); break;
    case SQLITE_FLOAT: *ret = value_real(sqlite3_column_double(statement, column)); break;
    case SQLITE_TEXT: *ret = value_text(copy_column(statement, column, at)); break;
    default: *ret = value_blob(copy_column(statement, column, at)); break;
    }
    return ret->kind == kind ? ERR_OK : ERR_CORRUPT;
}

static enum err read_row(sqlite3_stmt *statement, const struct model_table *table,
                         struct arena *arena, struct store_row *ret_row)
{
    int count = table->column_count;
    size_t values_size = (size_t)count * sizeof(struct value);
    uint8_t *memory = arena_alloc(arena, values_size + content_size(statement, count + 1));
    if (memory == NULL)
        return ERR_NOMEM;
    struct store_row row = {.values = (struct value *)(void *)memory};
    uint8_t *at = memory + values_size;
    for (int i = 0; i < count; i++) {
        enum err err =
            copy_value(statement, i, store_column_kind(&table->columns[i]), &at, &row.values[i]);
        if (err != ERR_OK)
            return err;
    }
    row.version = copy_column(statement, count, &at);
    row.bucket = (uint32_t)sqlite3_column_int64(statement, count + 1);
    row.position = (uint64_t)sqlite3_column_int64(statement, count + 2);
    *ret_row = row;
    return ERR_OK;
}

enum err sqlite_store_row_get(struct store *store, const struct model_table *table,
                              const struct uuid *id, struct arena *arena, struct store_row *ret_row)
{
    struct sqlite_store *s = sqlite_store_of(store);
    size_t statement = sqlite_store_table_statement(table, TABLE_GET);
    enum err err = ERR_OK;
    assert(s->state != SQLITE_STORE_IDLE);
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    sqlite_store_bind_id(taken, 1, id);
    int native = sqlite3_step(taken);
    bool found = native == SQLITE_ROW;
    if (found)
        err = read_row(taken, table, arena, ret_row);
    else if (native != SQLITE_DONE)
        err = sqlite_store_failed(s, native);
    sqlite_store_give(s, statement, taken);
    if (found || err != ERR_OK)
        return err;
    return sqlite_store_dead_get(s, table, id, arena, ret_row);
}

static enum err write_live(struct sqlite_store *s, enum table_statement how,
                           const struct model_table *table, const struct uuid *id,
                           const struct store_row *row)
{
    size_t statement = sqlite_store_table_statement(table, how);
    enum err err = ERR_OK;
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    bind_row(taken, table, id, row);
    return sqlite_store_finish(s, statement, taken);
}

static enum err delete_live(struct sqlite_store *s, const struct model_table *table,
                            const struct uuid *id)
{
    size_t statement = sqlite_store_table_statement(table, TABLE_DELETE);
    enum err err = ERR_OK;
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    sqlite_store_bind_id(taken, 1, id);
    return sqlite_store_finish(s, statement, taken);
}

static enum err delete_dead(struct sqlite_store *s, const struct model_table *table,
                            const struct uuid *id)
{
    bool any = false;
    enum err err = sqlite_store_dead_any(s, table, &any);
    return err != ERR_OK || !any ? err : sqlite_store_dead_delete(s, table, id);
}

enum err sqlite_store_row_put(struct store *store, const struct model_table *table,
                              const struct uuid *id, const struct store_row *row)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_WRITING);
    if (row->dead) {
        enum err err = sqlite_store_dead_put(s, table, id, row);
        return err != ERR_OK ? err : delete_live(s, table, id);
    }
    enum err err = write_live(s, TABLE_PUT, table, id, row);
    return err != ERR_OK ? err : delete_dead(s, table, id);
}

/* ERR_EXISTS: there is a dead row of that id. */
static enum err refuse_dead(struct sqlite_store *s, const struct model_table *table,
                            const struct uuid *id)
{
    bool any = false;
    enum err err = sqlite_store_dead_any(s, table, &any);
    if (err != ERR_OK || !any)
        return err;
    struct arena arena; /* for one row of a table that has dead rows: rare */
    struct store_row row;
    arena_init(&arena, SQLITE_STORE_PACKED_MAX);
    err = sqlite_store_dead_get(s, table, id, &arena, &row);
    arena_done(&arena);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    return err != ERR_OK ? err : ERR_EXISTS;
}

enum err sqlite_store_row_insert(struct store *store, const struct model_table *table,
                                 const struct uuid *id, const struct store_row *row)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_WRITING);
    enum err err = refuse_dead(s, table, id);
    if (err == ERR_OK)
        err = write_live(s, TABLE_INSERT, table, id, row);
    if (err != ERR_OK)
        return err;
    return sqlite3_changes64(s->db) == 0 ? ERR_EXISTS : ERR_OK;
}

enum err sqlite_store_row_delete(struct store *store, const struct model_table *table,
                                 const struct uuid *id)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_WRITING);
    enum err err = delete_live(s, table, id);
    return err != ERR_OK ? err : delete_dead(s, table, id);
}

enum err sqlite_store_row_scan(struct store *store, const struct model_table *table,
                               const struct uuid *after, store_id_fn *fn, void *context)
{
    struct sqlite_store *s = sqlite_store_of(store);
    size_t statement = sqlite_store_table_statement(table, TABLE_SCAN);
    enum err err = ERR_OK;
    assert(s->state != SQLITE_STORE_IDLE);
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    if (after != NULL)
        sqlite_store_bind_id(taken, 1, after);
    else
        sqlite_store_bind_bytes(taken, 1, bytes_of(NULL, 0));
    return sqlite_store_scan_ids(s, statement, taken, fn, context);
}

enum err sqlite_store_children(struct store *store, const struct model_table *table,
                               const struct uuid *parent, store_id_fn *fn, void *context)
{
    struct sqlite_store *s = sqlite_store_of(store);
    size_t statement = sqlite_store_table_statement(table, TABLE_CHILDREN);
    enum err err = ERR_OK;
    assert(s->state != SQLITE_STORE_IDLE);
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    sqlite_store_bind_id(taken, 1, parent);
    (void)sqlite3_bind_int64(taken, 2, table->id);
    return sqlite_store_scan_ids(s, statement, taken, fn, context);
}
