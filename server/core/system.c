/* system.c - rows that headquarters writes itself: devices, origins, conflicts, users, branches.
 *
 * Model:      each is a group of one mutation under this start's origin (the incarnation), decided at
 *             once by the same merge and the same write as everybody's. */
#include "server/core/hub_internal.h"
#include "server/core/relay.h"

#include <assert.h>
#include <string.h>

enum err system_id(struct hub *hub, struct uuid *ret)
{
    uint8_t random[10];
    enum err e = rng_fill(hub->config.rng, random, sizeof random);
    if (e == ERR_OK)
        *ret = uuid_v7((uint64_t)hub->now.wall.ms, random);
    return e;
}

enum err system_get(struct hub *hub, uint32_t table_id, const struct uuid *id, struct record *ret)
{
    const struct model_table *table = model_table_by_id(hub->model, table_id);
    struct store_row row;
    /* at a branch what is pending gives nobody a right: it was refused, perhaps, or will be */
    enum err e = hub->relay ? relay_confirmed(hub->store, table, id, &hub->turn, &row)
                            : store_row_get(hub->store, table, id, &hub->turn, &row);
    return e == ERR_OK ? record_of_row(table, &row, &hub->turn, ret) : e;
}

struct value system_value(struct hub *hub, uint32_t table_id, const struct record *record,
                          const char *column)
{
    const struct model_table *table = model_table_by_id(hub->model, table_id);
    const struct model_column *c = model_column_by_name(table, bytes_of_text(column));
    assert(c && record->present);
    return record->values[c->index];
}

/* The feed encodes the row after the commit, when what the caller had on its stack is gone. */
static enum err keep_values(struct hub *hub, const struct value *values, uint16_t count,
                            const struct value **ret)
{
    struct value *kept = arena_calloc(&hub->turn, count, sizeof *kept);
    enum err e = kept ? ERR_OK : ERR_NOMEM;
    for (uint16_t i = 0; e == ERR_OK && i < count; i++)
        e = value_copy(&hub->turn, &values[i], &kept[i]);
    *ret = kept;
    return e;
}

/* The unit writes of the given columns; every system column is a unit of its own. */
static enum err build_writes(struct hub *hub, const struct model_table *table,
                             const struct record *record, const uint16_t *column_ids,
                             const struct value *values, uint16_t count, struct mutation *mutation)
{
    struct unit_write *writes = arena_calloc(&hub->turn, table->unit_count, sizeof *writes);
    if (!writes)
        return ERR_NOMEM;
    for (uint16_t u = 0; u < table->unit_count; u++) {
        const struct model_unit *unit = &table->units[u];
        for (uint16_t i = 0; i < count; i++) {
            if (column_ids[i] != table->columns[unit->columns[0]].id)
                continue;
            if (mutation->op == MUTATION_INSERT && values[i].kind == VALUE_NULL)
                continue;
            struct unit_write *write = &writes[mutation->write_count++];
            write->unit = unit;
            write->values = &values[i];
            if (mutation->op == MUTATION_INSERT)
                continue;
            struct dot *dots = arena_calloc(&hub->turn, FRONTIER_MAX, sizeof *dots);
            if (!dots)
                return ERR_NOMEM;
            write->seen = version_frontier(&record->version, u, dots);
            assert(!unit->carries_base);
        }
    }
    mutation->writes = writes;
    return ERR_OK;
}

static enum err next_dot(struct hub *hub, struct dot *ret)
{
    struct origin *origin;
    enum err e = origin_get(hub, hub->incarnation, &origin);
    if (e != ERR_OK)
        return e;
    *ret = (struct dot){hub->incarnation, ++hub->own_oseq, 1};
    return origin_mark(hub, origin, ret->oseq);
}

enum err system_put(struct hub *hub, uint32_t table_id, const struct uuid *id,
                    const uint16_t *column_ids, const struct value *values, uint16_t count,
                    uint32_t bucket)
{
    const struct model_table *table = model_table_by_id(hub->model, table_id);
    struct applied_record *applied = arena_calloc(&hub->turn, 1, sizeof *applied);
    if (!applied)
        return ERR_NOMEM;
    world_reset(hub);
    enum err e = world_get(hub, table, id, &hub->turn, &applied->before);
    if (e != ERR_OK)
        return e;
    struct mutation mutation = {.table = table, .op = MUTATION_INSERT, .id = *id};
    if (applied->before.present) {
        mutation.op = MUTATION_UPDATE;
        mutation.insert = applied->before.version.insert;
    }
    e = keep_values(hub, values, count, &values);
    if (e == ERR_OK)
        e = build_writes(hub, table, &applied->before, column_ids, values, count, &mutation);
    struct merge_context context = {.mode = MERGE_DECIDE, .arena = &hub->turn};
    if (e == ERR_OK)
        e = next_dot(hub, &context.dot);
    if (e != ERR_OK)
        return e;
    context.stamp = hub->hlc = hlc_next(hub->hlc, hub->now.wall.ms);
    applied->table = table;
    applied->id = *id;
    applied->record = applied->before;
    if (applied->before.present) {
        /* merging changes values in place: `before` keeps its own */
        struct value *copy = arena_calloc(&hub->turn, table->column_count, sizeof *copy);
        if (!copy)
            return ERR_NOMEM;
        memcpy(copy, applied->before.values, table->column_count * sizeof *copy);
        applied->record.values = copy;
    }
    applied->was_dead = applied->before.present && applied->before.dead;
    applied->inserted = !applied->before.present;
    applied->previous_revision = applied->before.version.revision;
    e = merge_mutation(&context, &mutation, &applied->record, &applied->result);
    if (e != ERR_OK)
        return e;
    assert(applied->result.reason == REASON_NONE);
    const struct store_row *old = world_row(hub, table, id);
    if (old)
        bucket = old->bucket;
    const struct write_origin origin = {.dot = context.dot, .stamp = context.stamp};
    return write_record(hub, applied, bucket, &origin);
}
