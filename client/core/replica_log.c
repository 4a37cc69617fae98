/* replica_log.c - the log of a branch's replica: its confirmed rows at headquarters' positions, so that a device
 * that is behind catches up from the branch as it would from headquarters.
 *
 * Invariant:  a confirmed row in scope has one entry, at its position; a record that left a bucket, and has not
 *             come back, has a departure there (MOVED: table BE2, id, bucket BE4 -> position BE8, when BE8).
 *             A first sync has no departures. */
#include "client/core/replica_log.h"

#include <string.h>

enum { MOVED_KEY = 2 + 16 + 4, MOVED_VALUE = 16 };

static void moved_key(const struct model_table *table, const struct uuid *id, uint32_t bucket,
                      uint8_t out[MOVED_KEY])
{
    install_key(table, id, out);
    be32_put(out + 18, bucket);
}

/* What stood at the position was of a history that is lost: it gets a new entry, or goes. */
static enum err put(struct replica *r, uint32_t bucket, uint64_t position,
                    const struct model_table *table, const struct uuid *id)
{
    enum err e = store_log_put(r->store, bucket, position, table, id);
    if (e != ERR_EXISTS)
        return e;
    e = store_log_delete(r->store, bucket, position);
    return e == ERR_OK ? store_log_put(r->store, bucket, position, table, id) : e;
}

static enum err forget_departure(struct install *in, const struct model_table *table,
                                 const struct uuid *id, uint32_t bucket)
{
    struct replica *r = in->r;
    uint8_t key[MOVED_KEY];
    struct bytes value;
    moved_key(table, id, bucket, key);
    enum err e =
        store_side_get(r->store, SIDE_MOVED, bytes_of(key, sizeof key), &in->entry, &value);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (value.size != MOVED_VALUE)
        return ERR_CORRUPT;
    e = store_log_delete(r->store, bucket, be64_get(value.data));
    return e == ERR_OK ? store_side_delete(r->store, SIDE_MOVED, bytes_of(key, sizeof key)) : e;
}

enum err log_row(struct install *in, const struct model_table *table, const struct uuid *id,
                 const struct store_row *old, const struct store_row *row)
{
    struct replica *r = in->r;
    enum err e = ERR_OK;
    if (!r->config.branch)
        return ERR_OK;
    if (old && (!in->reconcile || in->again) &&
        (old->bucket != row->bucket || old->position != row->position))
        e = store_log_delete(r->store, old->bucket, old->position);
    if (e == ERR_OK && !in->direct && !in->reconcile)
        e = forget_departure(in, table, id, row->bucket);
    return e == ERR_OK ? put(r, row->bucket, row->position, table, id) : e;
}

enum err log_gone(struct install *in, const struct model_table *table, const struct uuid *id,
                  uint64_t position)
{
    uint8_t key[MOVED_KEY], value[MOVED_VALUE];
    if (!in->r->config.branch || in->direct || in->reconcile)
        return ERR_OK;
    enum err e = forget_departure(in, table, id, in->bucket);
    moved_key(table, id, in->bucket, key);
    be64_put(value, position);
    be64_put(value + 8, (uint64_t)in->wall_ms);
    if (e == ERR_OK)
        e = store_side_put(in->r->store, SIDE_MOVED, bytes_of(key, sizeof key),
                           bytes_of(value, sizeof value));
    return e == ERR_OK ? put(in->r, in->bucket, position, table, id) : e;
}

enum err log_removed(struct install *in, const struct store_row *old)
{
    if (!in->r->config.branch || !old || in->reconcile)
        return ERR_OK;
    return store_log_delete(in->r->store, old->bucket, old->position);
}

struct positions {
    struct arena *arena;
    uint64_t *items;
    uint32_t count, capacity;
};

static int collect_position(void *context, uint64_t position, const struct model_table *table,
                            const struct uuid *id)
{
    struct positions *list = context;
    (void)table;
    (void)id;
    uint64_t *items =
        arena_extend(list->arena, list->items, list->count, &list->capacity, sizeof *items);
    if (!items)
        return ERR_NOMEM;
    list->items = items;
    items[list->count++] = position;
    return 0;
}

enum err log_clear(struct replica *r, uint32_t bucket)
{
    struct arena arena;
    if (!r->config.branch)
        return ERR_OK;
    arena_init(&arena, REPLICA_ARENA_MAX);
    struct positions list = {.arena = &arena};
    enum err e = store_log_scan(r->store, bucket, 0, collect_position, &list);
    for (uint32_t i = 0; e == ERR_OK && i < list.count; i++)
        e = store_log_delete(r->store, bucket, list.items[i]);
    arena_done(&arena);
    return e;
}
