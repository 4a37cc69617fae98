/* The log and the side tables. */
#include "common/store_sqlite/sqlite_store.h"

#include <assert.h>

enum err sqlite_store_log_put(struct store *store, uint32_t bucket, uint64_t position,
                              const struct model_table *table, const struct uuid *id)
{
    struct sqlite_store *s = sqlite_store_of(store);
    enum err err = ERR_OK;
    assert(s->state == SQLITE_STORE_WRITING);
    if (!s->options.keeps_log)
        return ERR_OK;
    sqlite3_stmt *taken = sqlite_store_take(s, STATEMENT_LOG_PUT, &err);
    if (taken == NULL)
        return err;
    (void)sqlite3_bind_int64(taken, 1, bucket);
    (void)sqlite3_bind_int64(taken, 2, (int64_t)position);
    (void)sqlite3_bind_int64(taken, 3, table->id);
    sqlite_store_bind_id(taken, 4, id);
    err = sqlite_store_finish(s, STATEMENT_LOG_PUT, taken);
    if (err != ERR_OK)
        return err;
    return sqlite3_changes64(s->db) == 0 ? ERR_EXISTS : ERR_OK;
}

enum err sqlite_store_log_delete(struct store *store, uint32_t bucket, uint64_t position)
{
    struct sqlite_store *s = sqlite_store_of(store);
    enum err err = ERR_OK;
    assert(s->state == SQLITE_STORE_WRITING);
    if (!s->options.keeps_log)
        return ERR_OK;
    sqlite3_stmt *taken = sqlite_store_take(s, STATEMENT_LOG_DELETE, &err);
    if (taken == NULL)
        return err;
    (void)sqlite3_bind_int64(taken, 1, bucket);
    (void)sqlite3_bind_int64(taken, 2, (int64_t)position);
    return sqlite_store_finish(s, STATEMENT_LOG_DELETE, taken);
}

/* Returns what fn returned. A table that only a newer model has is passed over. */
static int log_row(struct sqlite_store *s, sqlite3_stmt *taken, store_log_fn *fn, void *context)
{
    uint64_t position = (uint64_t)sqlite3_column_int64(taken, 0);
    int64_t table_id = sqlite3_column_int64(taken, 1);
    const struct model_table *table = NULL;
    struct uuid id;
    enum err err = sqlite_store_column_id(taken, 2, &id);
    if (err != ERR_OK)
        return (int)err;
    if (table_id > 0 && table_id <= MODEL_ID_MAX)
        table = model_table_by_id(s->store.model, (uint32_t)table_id);
    return table == NULL ? 0 : fn(context, position, table, &id);
}

enum err sqlite_store_log_scan(struct store *store, uint32_t bucket, uint64_t after,
                               store_log_fn *fn, void *context)
{
    struct sqlite_store *s = sqlite_store_of(store);
    enum err err = ERR_OK;
    int native;
    assert(s->state != SQLITE_STORE_IDLE);
    if (!s->options.keeps_log)
        return ERR_OK;
    sqlite3_stmt *taken = sqlite_store_take(s, STATEMENT_LOG_SCAN, &err);
    if (taken == NULL)
        return err;
    (void)sqlite3_bind_int64(taken, 1, bucket);
    (void)sqlite3_bind_int64(taken, 2, (int64_t)after);
    while ((native = sqlite3_step(taken)) == SQLITE_ROW) {
        int result = log_row(s, taken, fn, context);
        if (result != 0) {
            err = sqlite_store_fn_result(result);
            goto cleanup;
        }
    }
    if (native != SQLITE_DONE)
        err = sqlite_store_failed(s, native);
cleanup:
    sqlite_store_give(s, STATEMENT_LOG_SCAN, taken);
    return err;
}

enum err sqlite_store_side_get(struct store *store, enum store_side side, struct bytes key,
                               struct arena *arena, struct bytes *ret_value)
{
    struct sqlite_store *s = sqlite_store_of(store);
    size_t statement = sqlite_store_side_statement(store->model, side, SIDE_GET);
    enum err err = ERR_OK;
    assert(s->state != SQLITE_STORE_IDLE);
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    sqlite_store_bind_bytes(taken, 1, key);
    int native = sqlite3_step(taken);
    if (native == SQLITE_ROW)
        err = arena_copy(arena, sqlite_store_column(taken, 0), ret_value);
    else
        err = native == SQLITE_DONE ? ERR_NOT_FOUND : sqlite_store_failed(s, native);
    sqlite_store_give(s, statement, taken);
    return err;
}

enum err sqlite_store_side_put(struct store *store, enum store_side side, struct bytes key,
                               struct bytes value)
{
    struct sqlite_store *s = sqlite_store_of(store);
    size_t statement = sqlite_store_side_statement(store->model, side, SIDE_PUT);
    enum err err = ERR_OK;
    assert(s->state == SQLITE_STORE_WRITING);
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    sqlite_store_bind_bytes(taken, 1, key);
    sqlite_store_bind_bytes(taken, 2, value);
    return sqlite_store_finish(s, statement, taken);
}

enum err sqlite_store_side_delete(struct store *store, enum store_side side, struct bytes key)
{
    struct sqlite_store *s = sqlite_store_of(store);
    size_t statement = sqlite_store_side_statement(store->model, side, SIDE_DELETE);
    enum err err = ERR_OK;
    assert(s->state == SQLITE_STORE_WRITING);
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    sqlite_store_bind_bytes(taken, 1, key);
    return sqlite_store_finish(s, statement, taken);
}

enum err sqlite_store_side_scan(struct store *store, enum store_side side, struct bytes from,
                                struct bytes to, store_side_fn *fn, void *context)
{
    struct sqlite_store *s = sqlite_store_of(store);
    size_t statement =
        sqlite_store_side_statement(store->model, side, to.size == 0 ? SIDE_SCAN : SIDE_SCAN_TO);
    enum err err = ERR_OK;
    int native;
    assert(s->state != SQLITE_STORE_IDLE);
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    if (taken == NULL)
        return err;
    sqlite_store_bind_bytes(taken, 1, from);
    if (to.size > 0)
        sqlite_store_bind_bytes(taken, 2, to);
    while ((native = sqlite3_step(taken)) == SQLITE_ROW) {
        int result = fn(context, sqlite_store_column(taken, 0), sqlite_store_column(taken, 1));
        if (result != 0) {
            err = sqlite_store_fn_result(result);
            goto cleanup;
        }
    }
    if (native != SQLITE_DONE)
        err = sqlite_store_failed(s, native);
cleanup:
    sqlite_store_give(s, statement, taken);
    return err;
}
