/* replica_relay_again.c - a branch whose headquarters was restored: what it knew to be decided may be lost, so all
 * groups that it holds are pending again, and headquarters tells anew what became of them.
 * Source:     SPEC.md 12.7. */
#include "client/core/replica_internal.h"
#include "client/core/replica_relay.h"

struct again_walk {
    struct arena *arena;
    struct bytes *keys;
    uint32_t count, capacity;
};

static int collect_key(void *context, struct bytes key, struct bytes value)
{
    struct again_walk *walk = context;
    (void)value;
    struct bytes *keys =
        arena_extend(walk->arena, walk->keys, walk->count, &walk->capacity, sizeof *keys);
    if (!keys)
        return ERR_NOMEM;
    walk->keys = keys;
    return (int)arena_copy(walk->arena, key, &keys[walk->count++]);
}

static enum err drop_side(struct replica *r, enum store_side side, struct arena *arena)
{
    struct again_walk walk = {.arena = arena};
    enum err e =
        store_side_scan(r->store, side, bytes_of(NULL, 0), bytes_of(NULL, 0), collect_key, &walk);
    for (uint32_t i = 0; e == ERR_OK && i < walk.count; i++)
        e = store_side_delete(r->store, side, walk.keys[i]);
    return e;
}

/* A decided group enters the pending layer again as if it came now. */
static enum err take_again(struct replica *r, struct bytes key, struct arena *arena)
{
    struct bytes value, raw;
    struct arena work;
    arena_reset(arena);
    enum err e = store_side_get(r->store, SIDE_PENDING, key, arena, &value);
    if (e == ERR_OK && value.size < PENDING_HEAD)
        e = ERR_CORRUPT;
    if (e != ERR_OK || !(value.data[0] & PENDING_DECIDED))
        return e;
    raw = bytes_of(value.data + PENDING_HEAD, value.size - PENDING_HEAD);
    bool readable = outbox_readable(key, raw);
    if (!readable && !(value.data[0] & PENDING_UNREADABLE))
        return ERR_CORRUPT; /* it would go up with a signature that is not its own */
    const struct dot dot = {be64_get(key.data), be64_get(key.data + 8), 0};
    e = store_side_delete(r->store, SIDE_PENDING, key);
    arena_init(&work, REPLICA_ARENA_MAX);
    if (e == ERR_OK)
        e = pending_take_as(r, &dot, be64_get(value.data + 1), 0, be64_get(value.data + 9), raw,
                            &work);
    arena_done(&work);
    return e;
}

/* What was decided may have to come again. */
static enum err forget_received(struct replica *r, struct arena *arena)
{
    struct again_walk walk = {.arena = arena};
    enum err e = store_side_scan(r->store, SIDE_ORIGIN, bytes_of(NULL, 0), bytes_of(NULL, 0),
                                 collect_key, &walk);
    for (uint32_t i = 0; e == ERR_OK && i < walk.count; i++) {
        struct relay_origin origin;
        e = relay_origin_get(r, be64_get(walk.keys[i].data), &origin);
        origin.received = 0;
        if (e == ERR_OK)
            e = relay_origin_put(r, &origin);
    }
    return e;
}

enum err relay_start_over(struct replica *r)
{
    struct arena list, work;
    arena_init(&list, REPLICA_ARENA_MAX);
    arena_init(&work, REPLICA_ARENA_MAX);
    struct again_walk walk = {.arena = &list};
    enum err e = pending_drop_filtered(r, &work);
    if (e == ERR_OK)
        e = drop_side(r, SIDE_MARK, &list);
    if (e == ERR_OK)
        e = drop_side(r, SIDE_RECEIPT, &list);
    if (e == ERR_OK)
        e = drop_side(r, SIDE_RENAMED, &list);
    if (e == ERR_OK)
        e = forget_received(r, &list);
    if (e == ERR_OK)
        e = store_side_scan(r->store, SIDE_PENDING, bytes_of(NULL, 0), bytes_of(NULL, 0),
                            collect_key, &walk);
    for (uint32_t i = 0; e == ERR_OK && i < walk.count; i++)
        e = take_again(r, walk.keys[i], &work);
    arena_done(&list);
    arena_done(&work);
    return e;
}
