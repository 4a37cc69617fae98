#include "client/api/api_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- transactions ---- */

static enum err may_write(struct satchel *h)
{
    if (h->read_only)
        return err_set(&h->error, ERR_FORBIDDEN, "this handle was opened for reading only");
    if (h->reading > 0)
        return err_set(&h->error, ERR_INVALID, "a callback of a reading function may not write");
    return ERR_OK;
}

static enum err begin(struct satchel *h)
{
    enum err e = may_write(h);
    return e == ERR_OK ? replica_begin(h->replica, clock_wall(&h->clock).ms) : e;
}

/* The transaction of satchel_begin() is over, one way or the other. */
static void end_transaction(struct satchel *h)
{
    if (h->transaction)
        api_sync_hold(h, -1);
    h->transaction = false;
}

enum satchel_code satchel_begin(struct satchel *handle)
{
    enum err e = api_start(handle);
    if (e == ERR_OK && handle->transaction)
        e = err_set(&handle->error, ERR_INVALID, "a transaction is open already");
    if (e == ERR_OK)
        e = begin(handle);
    if (e == ERR_OK) {
        handle->transaction = true;
        api_sync_hold(handle, 1);
    }
    return api_end(handle, e);
}

static enum err commit(struct satchel *h, struct dot *ret_dot)
{
    enum err e = replica_commit(h->replica, ret_dot);
    end_transaction(h);
    if (e == ERR_OK && ret_dot->oseq != 0)
        api_sync_changed(h);
    return e;
}

enum satchel_code satchel_commit(struct satchel *handle, struct satchel_dot *ret_dot)
{
    struct dot dot = {0};
    enum err e = api_start(handle);
    if (e == ERR_OK && !handle->transaction)
        e = err_set(&handle->error, ERR_INVALID, "no transaction is open");
    if (e == ERR_OK && handle->reading > 0)
        e = err_set(&handle->error, ERR_INVALID, "a callback of a reading function may not commit");
    if (e == ERR_OK)
        e = commit(handle, &dot);
    if (e == ERR_OK && ret_dot != NULL)
        *ret_dot = (struct satchel_dot){dot.origin, dot.oseq, dot.tag};
    return api_end(handle, e);
}

void satchel_rollback(struct satchel *handle)
{
    if (!handle->transaction || handle->reading > 0)
        return;
    replica_rollback(handle->replica);
    end_transaction(handle);
}

bool satchel_in_transaction(const struct satchel *handle)
{
    return handle->transaction;
}

enum err api_write_begin(struct satchel *h, bool *ret_own)
{
    *ret_own = !h->transaction;
    return h->transaction ? may_write(h) : begin(h);
}

enum err api_write_end(struct satchel *h, bool own, enum err e)
{
    struct dot dot = {0};
    if (own && e == ERR_OK)
        return commit(h, &dot);
    if (e != ERR_OK && (own || err_class(e) != ERR_CLASS_INPUT)) {
        replica_rollback(h->replica);
        end_transaction(h);
    }
    return e;
}

/* ---- writing by ids ---- */

/* Column ids to indexes. The same ids as last time cost a comparison. */
static enum err map_columns(struct satchel *h, const struct model_table *table, const uint16_t *ids,
                            uint16_t count)
{
    if (count > MODEL_COLUMNS_MAX)
        return err_set(&h->error, ERR_LIMIT, "%s: more columns than a table can have", table->name);
    if (h->map_table == table && h->map_count == count &&
        (count == 0 || memcmp(h->map_ids, ids, count * sizeof *ids) == 0))
        return ERR_OK;
    h->map_table = NULL;
    for (uint16_t i = 0; i < count; i++) {
        const struct model_column *column = model_column_by_id(table, ids[i]);
        if (column == NULL)
            return err_set(&h->error, ERR_MODEL, "%s has no column with the id %u", table->name,
                           (unsigned)ids[i]);
        h->map_ids[i] = ids[i];
        h->map_indexes[i] = column->index;
    }
    h->map_table = table;
    h->map_count = count;
    return ERR_OK;
}

/* "'phone' has at most ..." -> "party: 'phone' has at most ..." */
static enum err name_table(struct satchel *h, const struct model_table *table, enum err e)
{
    char message[sizeof h->error.message];
    if (e == ERR_OK || h->error.code != e || h->error.message[0] != '\'')
        return e;
    memcpy(message, h->error.message, sizeof message);
    return err_set(&h->error, e, "%s: %s", table->name, message);
}

enum write_kind { WRITE_INSERT, WRITE_UPDATE };

/* Ascending even within a millisecond, so that lists are in the order of making. */
static enum err make_id(struct satchel *h, struct uuid *id)
{
    uint8_t random[10];
    if (!uuid_is_nil(id))
        return ERR_OK;
    enum err e = rng_fill(&h->rng, random, sizeof random);
    if (e == ERR_OK)
        *id = uuid_next(&h->ids, (uint64_t)clock_wall(&h->clock).ms, random);
    return e;
}

static enum err write_columns(struct satchel *h, enum write_kind kind,
                              const struct model_table *table, struct uuid *id,
                              const uint16_t *indexes, const struct value *values, uint16_t count)
{
    bool own;
    enum err e = api_write_begin(h, &own);
    if (e != ERR_OK)
        return e;
    if (kind == WRITE_INSERT) {
        e = make_id(h, id);
        if (e == ERR_OK)
            e = replica_insert(h->replica, table, id, indexes, values, count, &h->error);
    } else {
        e = replica_update(h->replica, table, id, indexes, values, count, false, &h->error);
    }
    e = name_table(h, table, e);
    return api_write_end(h, own, e);
}

enum satchel_code satchel_insert(struct satchel *handle, uint32_t table_id, struct satchel_id *id,
                                 const uint16_t *columns, const struct satchel_value *values,
                                 uint16_t count)
{
    enum err e = api_start(handle);
    const struct model_table *table = e == ERR_OK ? api_table_by_id(handle, table_id, &e) : NULL;
    if (e == ERR_OK)
        e = map_columns(handle, table, columns, count);
    struct uuid made = *api_uuid(id);
    if (e == ERR_OK)
        e = write_columns(handle, WRITE_INSERT, table, &made, handle->map_indexes,
                          api_values(values), count);
    if (e == ERR_OK)
        *id = api_id(&made);
    return api_end(handle, e);
}

enum satchel_code satchel_update(struct satchel *handle, uint32_t table_id,
                                 const struct satchel_id *id, const uint16_t *columns,
                                 const struct satchel_value *values, uint16_t count)
{
    enum err e = api_start(handle);
    const struct model_table *table = e == ERR_OK ? api_table_by_id(handle, table_id, &e) : NULL;
    if (e == ERR_OK)
        e = map_columns(handle, table, columns, count);
    struct uuid record = *api_uuid(id);
    if (e == ERR_OK)
        e = write_columns(handle, WRITE_UPDATE, table, &record, handle->map_indexes,
                          api_values(values), count);
    return api_end(handle, e);
}

enum satchel_code satchel_delete(struct satchel *handle, uint32_t table_id,
                                 const struct satchel_id *id)
{
    bool own;
    enum err e = api_start(handle);
    const struct model_table *table = e == ERR_OK ? api_table_by_id(handle, table_id, &e) : NULL;
    if (e == ERR_OK)
        e = api_write_begin(handle, &own);
    if (e == ERR_OK)
        e = api_write_end(handle, own,
                          replica_delete(handle->replica, table, api_uuid(id), &handle->error));
    return api_end(handle, e);
}

enum satchel_code satchel_restore(struct satchel *handle, uint32_t table_id,
                                  const struct satchel_id *id)
{
    bool own;
    enum err e = api_start(handle);
    const struct model_table *table = e == ERR_OK ? api_table_by_id(handle, table_id, &e) : NULL;
    if (e == ERR_OK)
        e = api_write_begin(handle, &own);
    if (e == ERR_OK)
        e = api_write_end(handle, own,
                          replica_restore(handle->replica, table, api_uuid(id), &handle->error));
    return api_end(handle, e);
}

/* ---- writing by names ---- */

static enum err write_fields(struct satchel *h, enum write_kind kind, const char *table_name,
                             struct uuid *id, const struct satchel_field *fields, size_t count)
{
    enum err e = api_start(h);
    const struct model_table *table = e == ERR_OK ? api_table_by_name(h, table_name, &e) : NULL;
    if (table == NULL)
        return e;
    struct arena arena;
    uint16_t *columns;
    struct value *values;
    arena_init(&arena, API_ARENA_MAX);
    e = api_fields(h, table, fields, count, &arena, &columns, &values);
    if (e == ERR_OK)
        e = write_columns(h, kind, table, id, columns, values, (uint16_t)count);
    arena_done(&arena);
    return e;
}

enum satchel_code satchel_insert_fields(struct satchel *handle, const char *table,
                                        struct satchel_id *id, const struct satchel_field *fields,
                                        size_t count)
{
    struct uuid made = *api_uuid(id);
    enum err e = write_fields(handle, WRITE_INSERT, table, &made, fields, count);
    if (e == ERR_OK)
        *id = api_id(&made);
    return api_end(handle, e);
}

enum satchel_code satchel_update_fields(struct satchel *handle, const char *table,
                                        const struct satchel_id *id,
                                        const struct satchel_field *fields, size_t count)
{
    struct uuid record = *api_uuid(id);
    return api_end(handle, write_fields(handle, WRITE_UPDATE, table, &record, fields, count));
}

/* ---- reading by ids, without a copy for people ---- */

enum satchel_code satchel_read(struct satchel *handle, uint32_t table_id,
                               const struct satchel_id *id, const uint16_t *columns,
                               struct satchel_value *ret_values, uint16_t count)
{
    struct store_row row;
    enum err e = api_start(handle);
    const struct model_table *table = e == ERR_OK ? api_table_by_id(handle, table_id, &e) : NULL;
    if (e == ERR_OK)
        e = map_columns(handle, table, columns, count);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    arena_reset(&handle->read_arena);
    e = store_row_get(handle->store, table, api_uuid(id), &handle->read_arena, &row);
    api_read_end(handle);
    if (e == ERR_OK && row.dead)
        e = ERR_NOT_FOUND;
    for (uint16_t i = 0; e == ERR_OK && i < count; i++)
        ret_values[i] = api_public(&row.values[handle->map_indexes[i]]);
    return api_end(handle, e);
}
