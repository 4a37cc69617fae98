/* replica_log.c - the log of a branch's replica: its confirmed rows at headquarters' positions, so that a device
 * that is behind catches up from the branch as it would from headquarters.
 *
 * Invariant:  a confirmed row in scope has one entry, at its position; a record that left a bucket, and has not
 *             come back, has a departure there (MOVED: table BE2, id, bucket BE4 -> position BE8, when BE8).
 *             What is read from position 0 brings the departures with it, and the floor of the server above, so that
 *             devices that were served elsewhere go on from their cursors.
 * Reading anew (SPEC.md 13.3): of what is not there any more the departure, which was purged above, had a position
 *             that no entry has now, behind the one where this branch was. So there are free ones enough, and a
 *             device that is at or before that hears of it. Where there are not, the bucket's floor rises: its
 *             devices read anew as well. */
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
    if (old && (!in->reconcile || in->again || in->log_stays) &&
        (old->bucket != row->bucket || old->position != row->position))
        e = store_log_delete(r->store, old->bucket, old->position);
    if (e == ERR_OK && old && in->log_stays && old->bucket != row->bucket)
        e = log_vanished(in, table, id, old);
    if (e == ERR_OK)
        e = forget_departure(in, table, id, row->bucket);
    return e == ERR_OK ? put(r, row->bucket, row->position, table, id) : e;
}

static enum err depart(struct install *in, const struct model_table *table, const struct uuid *id,
                       uint32_t bucket, uint64_t position)
{
    uint8_t key[MOVED_KEY], value[MOVED_VALUE];
    if (!in->r->config.branch)
        return ERR_OK;
    enum err e = forget_departure(in, table, id, bucket);
    moved_key(table, id, bucket, key);
    be64_put(value, position);
    be64_put(value + 8, (uint64_t)in->wall_ms);
    if (e == ERR_OK)
        e = store_side_put(in->r->store, SIDE_MOVED, bytes_of(key, sizeof key),
                           bytes_of(value, sizeof value));
    return e == ERR_OK ? put(in->r, bucket, position, table, id) : e;
}

enum err log_gone(struct install *in, const struct model_table *table, const struct uuid *id,
                  uint64_t position)
{
    return depart(in, table, id, in->bucket, position);
}

enum err log_removed(struct install *in, const struct store_row *old)
{
    if (!in->r->config.branch || !old || (in->reconcile && !in->log_stays))
        return ERR_OK;
    return store_log_delete(in->r->store, old->bucket, old->position);
}

/* ---- what vanished ---- */

struct vanished {
    struct vanished *next;
    const struct model_table *table;
    struct uuid id;
    uint32_t bucket; /* 0: done */
};

enum err log_vanished(struct install *in, const struct model_table *table, const struct uuid *id,
                      const struct store_row *old)
{
    if (!in->r->config.branch || !in->log_stays || old->bucket == 0)
        return ERR_OK;
    struct vanished *v = arena_calloc(&in->arena, 1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    *v = (struct vanished){.table = table, .id = *id, .bucket = old->bucket};
    if (in->vanished_last)
        in->vanished_last->next = v;
    else
        in->vanished = v;
    in->vanished_last = v;
    return store_log_delete(in->r->store, old->bucket, old->position);
}

struct free_positions {
    uint64_t *free;
    uint32_t wanted, count;
    uint64_t next; /* the first that may be free */
};

static int take_free(void *context, uint64_t position, const struct model_table *table,
                     const struct uuid *id)
{
    struct free_positions *f = context;
    (void)table;
    (void)id;
    while (f->next < position && f->count < f->wanted)
        f->free[f->count++] = f->next++;
    f->next = position + 1;
    return f->count == f->wanted ? STORE_STOP : 0;
}

enum err log_floor(struct replica *r, uint32_t bucket, uint64_t position)
{
    uint8_t key[4], value[8];
    be32_put(key, bucket);
    be64_put(value, position);
    return store_side_put(r->store, SIDE_FLOOR, bytes_of(key, 4), bytes_of(value, 8));
}

/* Those of one bucket, `from` being the first of them. */
static enum err depart_all(struct install *in, struct vanished *from, uint64_t was_at,
                           uint64_t head)
{
    uint32_t bucket = from->bucket;
    struct free_positions f = {.next = was_at + 1};
    for (const struct vanished *v = from; v; v = v->next)
        f.wanted += v->bucket == bucket;
    f.free = arena_calloc(&in->arena, f.wanted, sizeof *f.free);
    if (!f.free)
        return ERR_NOMEM;
    enum err e = store_log_scan(in->r->store, bucket, was_at, take_free, &f);
    while (f.count < f.wanted && f.next <= head)
        f.free[f.count++] = f.next++;
    if (e == ERR_OK && f.count < f.wanted)
        e = log_floor(in->r, bucket, head);
    uint32_t i = 0;
    for (struct vanished *v = from; e == ERR_OK && v; v = v->next) {
        if (v->bucket != bucket)
            continue;
        if (i < f.count)
            e = depart(in, v->table, &v->id, bucket, f.free[i++]);
        v->bucket = 0;
    }
    return e;
}

enum err log_departures(struct install *in)
{
    const struct message_checkpoint *c = in->checkpoint;
    enum err e = ERR_OK;
    for (struct vanished *v = in->vanished; e == ERR_OK && v; v = v->next) {
        if (v->bucket == 0)
            continue;
        const struct cursor *cursor = cursor_get(in->r, v->bucket);
        uint64_t head = 0;
        if (!cursor)
            return ERR_NOMEM;
        for (uint32_t i = 0; i < c->heads_count; i++)
            if (c->heads[i].bucket == v->bucket)
                head = c->heads[i].position;
        e = depart_all(in, v, cursor->position, head);
    }
    return e;
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

struct departed {
    struct arena *arena;
    uint32_t bucket;
    struct bytes *keys;
    uint32_t count, capacity;
};

static int collect_departed(void *context, struct bytes key, struct bytes value)
{
    struct departed *list = context;
    (void)value;
    if (key.size != MOVED_KEY)
        return ERR_CORRUPT;
    if (be32_get(key.data + 18) != list->bucket)
        return 0;
    struct bytes *keys =
        arena_extend(list->arena, list->keys, list->count, &list->capacity, sizeof *keys);
    if (!keys)
        return ERR_NOMEM;
    list->keys = keys;
    return (int)arena_copy(list->arena, key, &keys[list->count++]);
}

static enum err forget_departures(struct replica *r, uint32_t bucket, struct arena *arena)
{
    uint8_t floor[4];
    const struct bytes none = bytes_of(NULL, 0);
    struct departed list = {.arena = arena, .bucket = bucket};
    enum err e = store_side_scan(r->store, SIDE_MOVED, none, none, collect_departed, &list);
    for (uint32_t i = 0; e == ERR_OK && i < list.count; i++)
        e = store_side_delete(r->store, SIDE_MOVED, list.keys[i]);
    be32_put(floor, bucket);
    return e == ERR_OK ? store_side_delete(r->store, SIDE_FLOOR, bytes_of(floor, 4)) : e;
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
    if (e == ERR_OK)
        e = forget_departures(r, bucket, &arena);
    arena_done(&arena);
    return e;
}
