/* renamed.c - groups that were renumbered: several dots, one group.
 *
 * Model:      a device that goes on under a new origin sends its undecided groups again, each naming the dot
 *             that it had. The first of them that is decided stands for all: the others get its result, and
 *             who names one of them has seen it.
 * Stored:     RENAMED dot (origin BE8, oseq BE8, tag BE4) -> the dot that stands for it.
 * Invariants: what a dot stands for stands for itself; what stands for itself has no entry.
 * Cost:       nothing where no group was ever renumbered; else a look-up per dot that is not known to be in
 *             effect.
 * Source:     SPEC.md 11.2; DESIGN.md 5. */
#include "server/core/hub_internal.h"

#include <string.h>

enum { DOT_SIZE = KEY_ORIGIN_SIZE + 4 };

static void dot_key(const struct dot *dot, uint8_t out[DOT_SIZE])
{
    key_origin(dot->origin, dot->oseq, out);
    be32_put(out + KEY_ORIGIN_SIZE, dot->tag);
}

enum err renamed_find(struct hub *hub, const struct dot *dot, struct dot *ret)
{
    uint8_t key[DOT_SIZE];
    struct bytes value;
    if (hub->renamed_count == 0)
        return ERR_NOT_FOUND;
    dot_key(dot, key);
    enum err e =
        store_side_get(hub->store, SIDE_RENAMED, bytes_of(key, sizeof key), &hub->turn, &value);
    if (e != ERR_OK)
        return e;
    if (value.size != DOT_SIZE)
        return ERR_CORRUPT;
    *ret = (struct dot){be64_get(value.data), be64_get(value.data + 8), be32_get(value.data + 16)};
    return ERR_OK;
}

enum err renamed_put(struct hub *hub, const struct dot *dot, const struct dot *stands)
{
    uint8_t key[DOT_SIZE], value[DOT_SIZE];
    struct dot known;
    if (dot_is_none(dot) || dot_equal(dot, stands))
        return ERR_OK;
    enum err e = renamed_find(hub, dot, &known);
    if (e != ERR_NOT_FOUND)
        return e;
    dot_key(dot, key);
    dot_key(stands, value);
    hub->renamed_count++;
    return store_side_put(hub->store, SIDE_RENAMED, bytes_of(key, sizeof key),
                          bytes_of(value, sizeof value));
}

struct selves {
    struct arena *arena;
    struct dot *dots;
    uint32_t count, capacity;
};

static enum err add_self(struct selves *selves, const struct dot *dot)
{
    struct dot *dots =
        arena_extend(selves->arena, selves->dots, selves->count, &selves->capacity, sizeof *dots);
    if (!dots)
        return ERR_NOMEM;
    selves->dots = dots;
    dots[selves->count++] = *dot;
    return ERR_OK;
}

static int collect_self(void *context, struct bytes key, struct bytes value)
{
    struct selves *selves = context;
    uint8_t stands[DOT_SIZE];
    dot_key(&selves->dots[0], stands);
    if (key.size != DOT_SIZE || value.size != DOT_SIZE)
        return ERR_CORRUPT;
    if (memcmp(value.data, stands, DOT_SIZE) != 0)
        return 0;
    return (int)add_self(
        selves, &(struct dot){be64_get(key.data), be64_get(key.data + 8), be32_get(key.data + 16)});
}

enum err renamed_selves(struct hub *hub, const struct dot *dot, const struct dot **ret,
                        uint32_t *ret_count)
{
    struct selves selves = {.arena = &hub->turn};
    struct dot stands;
    enum err e = renamed_find(hub, dot, &stands);
    if (e == ERR_NOT_FOUND) {
        stands = *dot;
        e = ERR_OK;
    }
    if (e == ERR_OK)
        e = add_self(&selves, &stands);
    if (e == ERR_OK && hub->renamed_count)
        e = store_side_scan(hub->store, SIDE_RENAMED, bytes_of(NULL, 0), bytes_of(NULL, 0),
                            collect_self, &selves);
    *ret = selves.dots;
    *ret_count = selves.count;
    return e;
}

struct translation {
    struct hub *hub;
    bool changed;
    enum err error;
};

static struct dot translate(void *context, struct dot dot)
{
    struct translation *t = context;
    struct dot stands;
    if (t->error != ERR_OK || dot_is_none(&dot) || dot_is_known(t->hub, &dot))
        return dot;
    enum err e = renamed_find(t->hub, &dot, &stands);
    if (e == ERR_NOT_FOUND)
        return dot;
    t->error = e;
    t->changed |= e == ERR_OK;
    return e == ERR_OK ? stands : dot;
}

enum err renamed_translate(struct hub *hub, struct group *group, bool *ret_changed)
{
    struct translation t = {.hub = hub};
    *ret_changed = false;
    if (hub->renamed_count == 0)
        return ERR_OK;
    enum err e = group_map_dots(group, translate, &t, &hub->turn, group);
    *ret_changed = t.changed;
    return e == ERR_OK ? t.error : e;
}
