/* Dead rows and base copies: whole rows of any table, their values packed into one blob. */
#include "common/store_sqlite/sqlite_store.h"

#include <assert.h>

static void bind_key(sqlite3_stmt *taken, const struct model_table *table, const struct uuid *id)
{
    (void)sqlite3_bind_int64(taken, 1, table->id);
    sqlite_store_bind_id(taken, 2, id);
}

enum err sqlite_store_dead_any(struct sqlite_store *s, const struct model_table *table,
                               bool *ret_any)
{
    uint8_t *known = &s->dead_rows[table->index];
    if (*known == DEAD_ROWS_UNKNOWN) {
        enum err err = ERR_OK;
        sqlite3_stmt *taken = sqlite_store_take(s, STATEMENT_DEAD_ANY, &err);
        if (taken == NULL)
            return err;
        (void)sqlite3_bind_int64(taken, 1, table->id);
        int native = sqlite3_step(taken);
        if (native == SQLITE_ROW)
            *known = DEAD_ROWS_SOME;
        else if (native == SQLITE_DONE)
            *known = DEAD_ROWS_NONE;
        else
            err = sqlite_store_failed(s, native);
        sqlite_store_give(s, STATEMENT_DEAD_ANY, taken);
        if (err != ERR_OK)
            return err;
    }
    *ret_any = *known == DEAD_ROWS_SOME;
    return ERR_OK;
}

/* Columns: bucket, position, version, content. */
static enum err read_copy(sqlite3_stmt *taken, const struct model_table *table, struct arena *arena,
                          struct store_row *ret_row)
{
    struct store_row row = {.bucket = (uint32_t)sqlite3_column_int64(taken, 0),
                            .position = (uint64_t)sqlite3_column_int64(taken, 1)};
    struct bytes content;
    row.values = arena_calloc(arena, table->column_count, sizeof *row.values);
    if (row.values == NULL ||
        arena_copy(arena, sqlite_store_column(taken, 2), &row.version) != ERR_OK ||
        arena_copy(arena, sqlite_store_column(taken, 3), &content) != ERR_OK)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < table->column_count; i++)
        row.values[i] = value_null();
    if (content.size > 0) {
        enum err err = sqlite_store_unpack(content, table, row.values);
        if (err != ERR_OK)
            return err;
    }
    *ret_row = row;
    return ERR_OK;
}

static enum err get_copy(struct sqlite_store *s, enum statement statement,
                         const struct model_table *table, const struct uuid *id,
                         struct arena *arena, struct store_row *ret_row)
{
    enum err err = ERR_OK;
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    bind_key(taken, table, id);
    int native = sqlite3_step(taken);
    if (native == SQLITE_ROW) {
        struct store_row row = {0};
        err = read_copy(taken, table, arena, &row);
        row.dead = statement == STATEMENT_DEAD_GET || sqlite3_column_int(taken, 4) != 0;
        if (err == ERR_OK)
            *ret_row = row;
    } else {
        err = native == SQLITE_DONE ? ERR_NOT_FOUND : sqlite_store_failed(s, native);
    }
    sqlite_store_give(s, statement, taken);
    return err;
}

/* Parameters: table, id, bucket, position, version, content, and what the last one is. */
static enum err put_copy(struct sqlite_store *s, enum statement statement,
                         const struct model_table *table, const struct uuid *id,
                         const struct store_row *row, const struct value *last)
{
    enum err err = ERR_OK;
    buf_reset(&s->packed);
    if (row->version.size > 0 || statement == STATEMENT_DEAD_PUT)
        err = sqlite_store_pack(&s->packed, table, row->values);
    if (err != ERR_OK)
        return err;
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    bind_key(taken, table, id);
    (void)sqlite3_bind_int64(taken, 3, row->bucket);
    (void)sqlite3_bind_int64(taken, 4, (int64_t)row->position);
    sqlite_store_bind_bytes(taken, 5, row->version);
    sqlite_store_bind_bytes(taken, 6, buf_view(&s->packed));
    if (last->kind == VALUE_BLOB)
        sqlite_store_bind_bytes(taken, 7, last->as.bytes);
    else if (last->kind == VALUE_INT)
        (void)sqlite3_bind_int64(taken, 7, last->as.integer);
    else
        (void)sqlite3_bind_null(taken, 7);
    return sqlite_store_finish(s, statement, taken);
}

static enum err delete_copy(struct sqlite_store *s, enum statement statement,
                            const struct model_table *table, const struct uuid *id)
{
    enum err err = ERR_OK;
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    bind_key(taken, table, id);
    return sqlite_store_finish(s, statement, taken);
}

enum err sqlite_store_dead_get(struct sqlite_store *s, const struct model_table *table,
                               const struct uuid *id, struct arena *arena,
                               struct store_row *ret_row)
{
    return get_copy(s, STATEMENT_DEAD_GET, table, id, arena, ret_row);
}

enum err sqlite_store_dead_put(struct sqlite_store *s, const struct model_table *table,
                               const struct uuid *id, const struct store_row *row)
{
    struct value parent =
        table->parent_column < 0 ? value_null() : row->values[table->parent_column];
    s->dead_rows[table->index] = DEAD_ROWS_SOME;
    return put_copy(s, STATEMENT_DEAD_PUT, table, id, row, &parent);
}

enum err sqlite_store_dead_delete(struct sqlite_store *s, const struct model_table *table,
                                  const struct uuid *id)
{
    return delete_copy(s, STATEMENT_DEAD_DELETE, table, id);
}

enum err sqlite_store_dead_scan(struct store *store, const struct model_table *table,
                                const struct uuid *after, store_id_fn *fn, void *context)
{
    struct sqlite_store *s = sqlite_store_of(store);
    enum err err = ERR_OK;
    assert(s->state != SQLITE_STORE_IDLE);
    sqlite3_stmt *taken = sqlite_store_take(s, STATEMENT_DEAD_SCAN, &err);
    if (taken == NULL)
        return err;
    (void)sqlite3_bind_int64(taken, 1, table->id);
    if (after != NULL)
        sqlite_store_bind_id(taken, 2, after);
    else
        sqlite_store_bind_bytes(taken, 2, bytes_of(NULL, 0));
    return sqlite_store_scan_ids(s, STATEMENT_DEAD_SCAN, taken, fn, context);
}

enum err sqlite_store_base_get(struct store *store, const struct model_table *table,
                               const struct uuid *id, struct arena *arena,
                               struct store_row *ret_row)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state != SQLITE_STORE_IDLE);
    return get_copy(s, STATEMENT_BASE_GET, table, id, arena, ret_row);
}

enum err sqlite_store_base_put(struct store *store, const struct model_table *table,
                               const struct uuid *id, const struct store_row *row)
{
    struct sqlite_store *s = sqlite_store_of(store);
    struct value dead = value_int(row->dead ? 1 : 0);
    assert(s->state == SQLITE_STORE_WRITING);
    return put_copy(s, STATEMENT_BASE_PUT, table, id, row, &dead);
}

enum err sqlite_store_base_delete(struct store *store, const struct model_table *table,
                                  const struct uuid *id)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_WRITING);
    return delete_copy(s, STATEMENT_BASE_DELETE, table, id);
}
