#include "common/blob.h"

#include <assert.h>

/* What every implementation would have to check is checked here, once. */

enum value_kind store_column_kind(const struct model_column *column)
{
    switch (column->type) {
    case COLUMN_INTEGER:
    case COLUMN_MONEY:
    case COLUMN_INSTANT:
    case COLUMN_BOOLEAN: return VALUE_INT;
    case COLUMN_REAL: return VALUE_REAL;
    case COLUMN_REFERENCE:
    case COLUMN_BLOB: return VALUE_BLOB;
    case COLUMN_TEXT:
    case COLUMN_DATE:
    case COLUMN_ENUM:
    case COLUMN_SET: return VALUE_TEXT;
    }
    assert(!"a column type without a kind");
    return VALUE_TEXT;
}

#ifndef NDEBUG
static bool knows_table(const struct store *store, const struct model_table *table)
{
    return table != NULL && table->index < store->model->table_count &&
           table == &store->model->tables[table->index];
}
#endif

static enum err row_check(const struct model_table *table, const struct store_row *row)
{
    if (row->position > INT64_MAX)
        return ERR_LIMIT;
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct value *value = &row->values[i];
        if (value->kind == VALUE_NULL)
            continue;
        if (value->kind != store_column_kind(&table->columns[i]))
            return ERR_TYPE;
        if (value->kind == VALUE_REAL && value->as.real != value->as.real)
            return ERR_TYPE;
    }
    return ERR_OK;
}

void store_close(struct store *store)
{
    if (store != NULL)
        store->ops->close(store);
}

enum err store_reader(struct store *store, struct store **ret_reader)
{
    assert(store != NULL && ret_reader != NULL);
    return store->ops->reader(store, ret_reader);
}

enum err store_begin(struct store *store, enum store_mode mode)
{
    assert(store != NULL);
    assert(mode == STORE_READ || mode == STORE_WRITE || mode == STORE_WRITE_LATER);
    return store->ops->begin(store, mode);
}

enum err store_commit(struct store *store)
{
    return store->ops->commit(store);
}

void store_rollback(struct store *store)
{
    store->ops->rollback(store);
}

enum err store_savepoint(struct store *store)
{
    return store->ops->savepoint(store);
}

enum err store_release(struct store *store)
{
    return store->ops->release(store);
}

enum err store_rollback_to(struct store *store)
{
    return store->ops->rollback_to(store);
}

enum err store_row_get(struct store *store, const struct model_table *table, const struct uuid *id,
                       struct arena *arena, struct store_row *ret_row)
{
    assert(knows_table(store, table));
    assert(id != NULL && arena != NULL && ret_row != NULL);
    return store->ops->row_get(store, table, id, arena, ret_row);
}

enum err store_row_put(struct store *store, const struct model_table *table, const struct uuid *id,
                       const struct store_row *row)
{
    assert(knows_table(store, table));
    assert(id != NULL && row != NULL);
    enum err err = row_check(table, row);
    if (err == ERR_OK && blob_table(table))
        err = blob_row_changes(store, table, id, row);
    return err != ERR_OK ? err : store->ops->row_put(store, table, id, row);
}

enum err store_row_insert(struct store *store, const struct model_table *table,
                          const struct uuid *id, const struct store_row *row)
{
    assert(knows_table(store, table));
    assert(id != NULL && row != NULL && !row->dead);
    enum err err = row_check(table, row);
    if (err == ERR_OK)
        err = store->ops->row_insert(store, table, id, row);
    return err == ERR_OK && blob_table(table) ? blob_row_comes(store, table, id, row) : err;
}

enum err store_row_delete(struct store *store, const struct model_table *table,
                          const struct uuid *id)
{
    assert(knows_table(store, table));
    assert(id != NULL);
    enum err err = blob_table(table) ? blob_row_changes(store, table, id, NULL) : ERR_OK;
    return err != ERR_OK ? err : store->ops->row_delete(store, table, id);
}

enum err store_row_scan(struct store *store, const struct model_table *table,
                        const struct uuid *after, store_id_fn *fn, void *context)
{
    assert(knows_table(store, table));
    assert(fn != NULL);
    return store->ops->row_scan(store, table, after, fn, context);
}

enum err store_dead_scan(struct store *store, const struct model_table *table,
                         const struct uuid *after, store_id_fn *fn, void *context)
{
    assert(knows_table(store, table));
    assert(fn != NULL);
    return store->ops->dead_scan(store, table, after, fn, context);
}

enum err store_children(struct store *store, const struct model_table *table,
                        const struct uuid *parent, store_id_fn *fn, void *context)
{
    assert(knows_table(store, table));
    assert(parent != NULL && fn != NULL);
    if (table->parent_column < 0)
        return ERR_OK;
    return store->ops->children(store, table, parent, fn, context);
}

enum err store_base_get(struct store *store, const struct model_table *table, const struct uuid *id,
                        struct arena *arena, struct store_row *ret_row)
{
    assert(knows_table(store, table));
    assert(id != NULL && arena != NULL && ret_row != NULL);
    return store->ops->base_get(store, table, id, arena, ret_row);
}

enum err store_base_put(struct store *store, const struct model_table *table, const struct uuid *id,
                        const struct store_row *row)
{
    assert(knows_table(store, table));
    assert(id != NULL && row != NULL);
    if (row->position > INT64_MAX)
        return ERR_LIMIT;
    enum err err = row->version.size == 0 ? ERR_OK : row_check(table, row);
    return err != ERR_OK ? err : store->ops->base_put(store, table, id, row);
}

enum err store_base_delete(struct store *store, const struct model_table *table,
                           const struct uuid *id)
{
    assert(knows_table(store, table));
    assert(id != NULL);
    return store->ops->base_delete(store, table, id);
}

enum err store_log_put(struct store *store, uint32_t bucket, uint64_t position,
                       const struct model_table *table, const struct uuid *id)
{
    assert(knows_table(store, table));
    assert(id != NULL);
    if (position > INT64_MAX)
        return ERR_LIMIT;
    return store->ops->log_put(store, bucket, position, table, id);
}

enum err store_log_delete(struct store *store, uint32_t bucket, uint64_t position)
{
    if (position > INT64_MAX)
        return ERR_OK;
    return store->ops->log_delete(store, bucket, position);
}

enum err store_conceal(struct store *store)
{
    return store->ops->conceal != NULL ? store->ops->conceal(store) : ERR_OK;
}

enum err store_reveal(struct store *store)
{
    return store->ops->reveal != NULL ? store->ops->reveal(store) : ERR_OK;
}

enum err store_log_scan(struct store *store, uint32_t bucket, uint64_t after, store_log_fn *fn,
                        void *context)
{
    assert(fn != NULL);
    if (after >= INT64_MAX)
        return ERR_OK;
    return store->ops->log_scan(store, bucket, after, fn, context);
}

enum err store_side_get(struct store *store, enum store_side side, struct bytes key,
                        struct arena *arena, struct bytes *ret_value)
{
    assert(side < SIDE_COUNT);
    assert(arena != NULL && ret_value != NULL);
    if (key.size > STORE_KEY_MAX)
        return ERR_NOT_FOUND;
    return store->ops->side_get(store, side, key, arena, ret_value);
}

enum err store_side_put(struct store *store, enum store_side side, struct bytes key,
                        struct bytes value)
{
    assert(side < SIDE_COUNT);
    if (key.size > STORE_KEY_MAX || value.size > STORE_VALUE_MAX)
        return ERR_LIMIT;
    return store->ops->side_put(store, side, key, value);
}

enum err store_side_delete(struct store *store, enum store_side side, struct bytes key)
{
    assert(side < SIDE_COUNT);
    if (key.size > STORE_KEY_MAX)
        return ERR_OK;
    return store->ops->side_delete(store, side, key);
}

enum err store_side_scan(struct store *store, enum store_side side, struct bytes from,
                         struct bytes to, store_side_fn *fn, void *context)
{
    assert(side < SIDE_COUNT);
    assert(fn != NULL);
    return store->ops->side_scan(store, side, from, to, fn, context);
}

int store_ids_add(void *context, const struct uuid *id)
{
    struct store_ids *list = context;
    struct uuid *ids =
        arena_extend(list->arena, list->ids, list->count, &list->capacity, sizeof *ids);
    if (!ids)
        return ERR_NOMEM;
    list->ids = ids;
    ids[list->count++] = *id;
    return 0;
}
