/* replica_older.c - own groups of origins from before a fork, when headquarters was restored.
 *
 * Model:      they were decided, so they keep their dots: others build on these. A restored headquarters
 *             may have lost them, and is given all of them again, in order, before the own outbox; what it
 *             has is a duplicate. Until that is done the state says so (`older`), through restarts.
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
    if (key.size != REPLICA_KEY)
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

enum err older_again(struct replica *r)
{
    struct replica_older any;
    enum err e = scan(r, 0, 0, 1, &r->arena, &any);
    if (e == ERR_OK)
        r->older = any.count > 0;
    return e;
}
