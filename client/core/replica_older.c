/* replica_older.c - own groups of origins from before a fork, when headquarters was restored.
 *
 * Model:      they were decided, so they keep their dots: others build on these. A restored headquarters
 *             may have lost them, and is given all of them again, in order, before the own outbox; what it
 *             has is a duplicate. If another device has claimed the origin there meanwhile, they go on under
 *             a new one. Until that is done the state says so (`older`), through restarts.
 * Source:     SPEC.md 10.9. */
#include "client/core/replica_internal.h"

#include <string.h>

struct older_walk {
    struct replica *r;
    struct arena *arena;
    struct replica_older *ret;
    size_t max_bytes, bytes;
    enum err error;
};

static int walk_older(void *context, struct bytes key, struct bytes value)
{
    struct older_walk *walk = context;
    struct replica_older *run = walk->ret;
    if (!outbox_readable(key, value))
        return ERR_CORRUPT;
    uint64_t origin = be64_get(key.data), oseq = be64_get(key.data + 8);
    if (origin == walk->r->origin)
        return run->count ? STORE_STOP : 0;
    if (run->count && (origin != run->origin || oseq != run->first + run->count ||
                       run->count == OLDER_GROUPS || walk->bytes + value.size > walk->max_bytes))
        return STORE_STOP;
    if (run->count == 0) {
        run->origin = origin;
        run->first = oseq;
    }
    walk->error = arena_copy(walk->arena, value, &run->groups[run->count]);
    if (walk->error != ERR_OK)
        return (int)walk->error;
    run->count++;
    walk->bytes += value.size;
    return 0;
}

static enum err scan(struct replica *r, uint64_t origin, uint64_t oseq, size_t max_bytes,
                     struct arena *arena, struct replica_older *ret)
{
    uint8_t from[REPLICA_KEY];
    *ret = (struct replica_older){0};
    ret->groups = arena_calloc(arena, OLDER_GROUPS, sizeof *ret->groups);
    if (!ret->groups)
        return ERR_NOMEM;
    own_key(origin, oseq, from);
    struct older_walk walk = {.r = r, .arena = arena, .ret = ret, .max_bytes = max_bytes};
    return store_side_scan(r->store, SIDE_OUTBOX, bytes_of(from, sizeof from), bytes_of(NULL, 0),
                           walk_older, &walk);
}

enum err replica_older(struct replica *r, uint64_t origin, uint64_t oseq, size_t max_bytes,
                       struct arena *arena, struct replica_older *ret)
{
    enum err e = replica_enter(r, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = scan(r, origin, oseq, max_bytes, arena, ret);
    store_rollback(r->store);
    return e;
}

enum err replica_older_done(struct replica *r)
{
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    r->older = false;
    return replica_leave(r, replica_save(r));
}

static enum err move_older(struct replica *r, uint64_t from, uint64_t to, uint64_t oseq,
                           struct arena *arena)
{
    struct group *group, fresh;
    uint8_t key[REPLICA_KEY];
    enum err e = outbox_group(r, from, oseq, &group);
    if (e == ERR_OK)
        e = group_renumber(group, from, NULL, 0, to, arena, &fresh);
    buf_reset(&r->encode);
    if (e == ERR_OK)
        e = group_encode(&fresh, &r->encode);
    if (e != ERR_OK)
        return e;
    own_key(to, oseq, key);
    e = store_side_put(r->store, SIDE_OUTBOX, bytes_of(key, sizeof key), buf_view(&r->encode));
    own_key(from, oseq, key);
    return e == ERR_OK ? store_side_delete(r->store, SIDE_OUTBOX, bytes_of(key, sizeof key)) : e;
}

static enum err move_all_older(struct replica *r, uint64_t from)
{
    uint64_t to = 0;
    enum err e = ERR_OK;
    while (e == ERR_OK && (to == 0 || to == r->origin || to == from))
        e = rng_u64(r->config.rng, &to);
    struct arena arena;
    arena_init(&arena, REPLICA_ARENA_MAX);
    for (uint64_t oseq = 1; e == ERR_OK;) {
        struct replica_older run;
        arena_reset(&arena);
        e = scan(r, from, oseq, 1, &arena, &run);
        if (e != ERR_OK || run.count == 0 || run.origin != from)
            break;
        e = move_older(r, from, to, run.first, &arena);
        oseq = run.first + 1;
    }
    arena_done(&arena);
    cache_drop(r);
    return e;
}

enum err replica_older_taken(struct replica *r, uint64_t origin)
{
    if (origin == r->origin)
        return ERR_INVALID;
    enum err e = replica_enter(r, STORE_WRITE);
    return e == ERR_OK ? replica_leave(r, move_all_older(r, origin)) : e;
}

enum err older_again(struct replica *r)
{
    struct replica_older any;
    enum err e = scan(r, 0, 0, 1, &r->arena, &any);
    if (e == ERR_OK)
        r->older = any.count > 0;
    return e;
}
