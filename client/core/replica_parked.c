/* replica_parked.c - own groups that were set aside: shown with the reason, mended or given up.
 *
 * Stored:     PARKED (origin, oseq) -> result u8, reason u8, at BE8, detail size BE2, detail; if the reason is
 *             PURGED size BE4 and the inserts of replica_kept.c; group;
 *             META "discard/" + origin BE8 + oseq BE8: given up here; empty: to be told, DISCARD_TOLD: the server has
 *             confirmed it. It stays until the group is archived: a restored headquarters has forgotten it. */
#include "client/core/replica_kept.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    PARKED_HEAD = 12,
    DISCARD_PREFIX = 8,
    DISCARD_KEY = DISCARD_PREFIX + REPLICA_KEY,
    DISCARD_MAX = 1000
};
#define DISCARD_TOLD bytes_of("1", 1)

static void discard_key(uint64_t origin, uint64_t oseq, uint8_t out[DISCARD_KEY])
{
    memcpy(out, "discard/", DISCARD_PREFIX);
    own_key(origin, oseq, out + DISCARD_PREFIX);
}

/* The parts of an entry. */
struct parked_parts {
    struct bytes detail, attached, raw;
};

static enum err parked_split(struct bytes value, struct parked_parts *ret)
{
    if (value.size < PARKED_HEAD)
        return ERR_CORRUPT;
    size_t at = PARKED_HEAD, size = be16_get(value.data + 10);
    *ret = (struct parked_parts){.attached = bytes_of(NULL, 0)};
    if (value.size - at < size)
        return ERR_CORRUPT;
    ret->detail = bytes_of(value.data + at, size);
    at += size;
    if (value.data[1] == REASON_PURGED) {
        if (value.size - at < 4)
            return ERR_CORRUPT;
        size = be32_get(value.data + at);
        at += 4;
        if (value.size - at < size)
            return ERR_CORRUPT;
        ret->attached = bytes_of(value.data + at, size);
        at += size;
    }
    ret->raw = bytes_of(value.data + at, value.size - at);
    return ERR_OK;
}

enum err parked_put(struct replica *r, uint64_t oseq, const struct group_result *result,
                    int64_t wall_ms, struct arena *arena)
{
    uint8_t key[REPLICA_KEY], head[PARKED_HEAD], size[4];
    struct group *group;
    struct bytes attached = bytes_of(NULL, 0);
    enum err e = outbox_group(r, r->origin, oseq, &group); /* readable: it can be tried again */
    if (e == ERR_OK && result->reason == REASON_PURGED)
        e = kept_attach(r, group, arena, &attached);
    if (e != ERR_OK)
        return e;
    const struct bytes raw = r->cache.raw;
    own_key(r->origin, oseq, key);
    head[0] = (uint8_t)result->code;
    head[1] = (uint8_t)result->reason;
    be64_put(head + 2, (uint64_t)wall_ms);
    be16_put(head + 10, (uint16_t)result->detail.size);
    buf_reset(&r->scratch);
    buf_append(&r->scratch, head, sizeof head);
    buf_append(&r->scratch, result->detail.data, result->detail.size);
    if (result->reason == REASON_PURGED) {
        be32_put(size, (uint32_t)attached.size);
        buf_append(&r->scratch, size, sizeof size);
        buf_append(&r->scratch, attached.data, attached.size);
    }
    buf_append(&r->scratch, raw.data, raw.size);
    e = r->scratch.error;
    if (e == ERR_OK)
        e = store_side_put(r->store, SIDE_PARKED, bytes_of(key, sizeof key), buf_view(&r->scratch));
    if (e == ERR_OK)
        e = store_side_delete(r->store, SIDE_OUTBOX, bytes_of(key, sizeof key));
    r->parked_count++;
    return e;
}

struct parked_walk {
    struct replica *r;
    replica_parked_fn *fn;
    void *context;
};

static enum err parked_decode(struct replica *r, struct bytes key, struct bytes value,
                              struct arena *arena, struct parked_group *ret)
{
    struct parked_parts parts;
    if (key.size != REPLICA_KEY || parked_split(value, &parts) != ERR_OK)
        return ERR_CORRUPT;
    struct parked_group parked = {.result = value.data[0],
                                  .reason = (enum reason)value.data[1],
                                  .at_ms = (int64_t)be64_get(value.data + 2),
                                  .detail = parts.detail,
                                  .attached = parts.attached};
    enum err e = group_decode(r->model, parts.raw, arena, &parked.group, NULL);
    if (e != ERR_OK)
        return e == ERR_MALFORMED ? ERR_CORRUPT : e;
    parked.dot = (struct dot){be64_get(key.data), be64_get(key.data + 8), parked.group.dot.tag};
    *ret = parked;
    return ERR_OK;
}

static int walk_parked(void *context, struct bytes key, struct bytes value)
{
    struct parked_walk *walk = context;
    struct arena arena;
    struct parked_group parked;
    arena_init(&arena, REPLICA_ARENA_MAX);
    enum err e = parked_decode(walk->r, key, value, &arena, &parked);
    if (e == ERR_OK)
        e = walk->fn(walk->context, &parked);
    arena_done(&arena);
    return (int)e;
}

enum err replica_parked(struct replica *r, replica_parked_fn *fn, void *context)
{
    struct parked_walk walk = {r, fn, context};
    bool inside = r->writing;
    enum err e = inside ? ERR_OK : replica_enter(r, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = store_side_scan(r->store, SIDE_PARKED, bytes_of(NULL, 0), bytes_of(NULL, 0), walk_parked,
                        &walk);
    if (!inside)
        store_rollback(r->store);
    return e;
}

/* ---- a restored headquarters ---- */

struct lost_walk {
    struct replica *r;
    struct own_mark there;
    struct {
        uint64_t oseq;
        struct bytes value;
    } * items;
    uint32_t count, capacity;
};

static int collect_lost(void *context, struct bytes key, struct bytes value)
{
    struct lost_walk *walk = context;
    struct parked_parts parts;
    if (key.size != REPLICA_KEY || parked_split(value, &parts) != ERR_OK)
        return ERR_CORRUPT;
    uint64_t oseq = be64_get(key.data + 8);
    if (value.data[0] != RESULT_PARKED || mark_has(&walk->there, oseq))
        return 0;
    void *items = arena_extend(&walk->r->arena, walk->items, walk->count, &walk->capacity,
                               sizeof *walk->items);
    if (!items)
        return ERR_NOMEM;
    walk->items = items;
    walk->items[walk->count].oseq = oseq;
    return (int)arena_copy(&walk->r->arena, value, &walk->items[walk->count++].value);
}

enum err parked_again(struct replica *r, const struct mark *mark)
{
    struct lost_walk walk = {.r = r};
    uint8_t low[REPLICA_KEY], high[REPLICA_KEY];
    own_key(r->origin, 0, low);
    own_key(r->origin, UINT64_MAX, high);
    enum err e = own_mark_copy(&walk.there, mark);
    if (e == ERR_OK)
        e = store_side_scan(r->store, SIDE_PARKED, bytes_of(low, sizeof low),
                            bytes_of(high, sizeof high), collect_lost, &walk);
    for (uint32_t i = 0; e == ERR_OK && i < walk.count; i++) {
        struct parked_parts parts;
        own_key(r->origin, walk.items[i].oseq, low);
        e = parked_split(walk.items[i].value, &parts);
        if (e == ERR_OK)
            e = store_side_put(r->store, SIDE_OUTBOX, bytes_of(low, sizeof low), parts.raw);
        if (e == ERR_OK)
            e = store_side_delete(r->store, SIDE_PARKED, bytes_of(low, sizeof low));
        r->parked_count--;
        r->sent_count++;
    }
    free(walk.there.ranges);
    return e;
}

/* ---- retry ---- */

struct parked_search {
    struct replica *r;
    uint64_t oseq;
    struct arena *arena;
    struct bytes key, value;
};

static int find_parked(void *context, struct bytes key, struct bytes value)
{
    struct parked_search *search = context;
    if (key.size != REPLICA_KEY || be64_get(key.data + 8) != search->oseq)
        return 0;
    enum err e = arena_copy(search->arena, key, &search->key);
    if (e == ERR_OK)
        e = arena_copy(search->arena, value, &search->value);
    return e == ERR_OK ? STORE_STOP : (int)e;
}

static enum err parked_find(struct replica *r, uint64_t oseq, struct arena *arena,
                            struct parked_search *ret, struct err_info *info)
{
    *ret = (struct parked_search){.r = r, .oseq = oseq, .arena = arena};
    enum err e = store_side_scan(r->store, SIDE_PARKED, bytes_of(NULL, 0), bytes_of(NULL, 0),
                                 find_parked, ret);
    if (e == ERR_OK && ret->key.size == 0)
        return err_set(info, ERR_NOT_FOUND, "nothing with the number %llu needs attention",
                       (unsigned long long)oseq);
    return e;
}

static enum err forget_parked(struct replica *r, struct bytes key)
{
    uint8_t discard[DISCARD_KEY];
    discard_key(be64_get(key.data), be64_get(key.data + 8), discard);
    enum err e =
        store_side_put(r->store, SIDE_META, bytes_of(discard, sizeof discard), bytes_of(NULL, 0));
    if (e == ERR_OK)
        e = store_side_delete(r->store, SIDE_PARKED, key);
    if (e == ERR_OK)
        r->parked_count--;
    return e;
}

/* A set's or counter's change upon what is shown now. */
static enum err value_upon(const struct unit_write *write, const struct value *now,
                           struct arena *arena, struct value *ret)
{
    if (write->unit->policy == MERGE_COUNTER) {
        int64_t sum;
        if (write->values->kind == VALUE_REAL)
            *ret =
                value_real((now->kind == VALUE_REAL ? now->as.real : 0) + write->values->as.real);
        else if (__builtin_add_overflow(now->kind == VALUE_INT ? now->as.integer : 0,
                                        write->values->as.integer, &sum))
            return ERR_LIMIT;
        else
            *ret = value_int(sum);
        return ERR_OK;
    }
    uint32_t count = 0;
    json_t *array = now->kind == VALUE_TEXT
                        ? json_loadb((const char *)now->as.bytes.data, now->as.bytes.size, 0, NULL)
                        : NULL;
    struct set_pair *pairs =
        arena_calloc(arena, json_array_size(array) + write->add_count + 1, sizeof *pairs);
    if (!pairs || (now->kind == VALUE_TEXT && !array)) {
        json_decref(array);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        struct bytes element = bytes_of(json_string_value(item), json_string_length(item));
        bool removed = false;
        for (uint32_t k = 0; k < write->remove_count; k++)
            removed |= bytes_equal(write->removes[k].element, element);
        if (!removed)
            pairs[count++].element = element;
    }
    for (uint32_t i = 0; i < write->add_count; i++)
        pairs[count++].element = write->adds[i];
    struct bytes text;
    enum err e = merge_set_shown(pairs, count, arena, &text);
    json_decref(array);
    if (e == ERR_OK)
        *ret = value_text(text);
    return e;
}

/* revive: what is not known to be purged here yet, but deleted, comes back as well. */
static enum err write_again(struct replica *r, const struct mutation *mutation, bool revive,
                            struct arena *arena, struct err_info *info)
{
    const struct model_table *table = mutation->table;
    uint16_t columns[MODEL_COLUMNS_MAX], count = 0;
    struct value values[MODEL_COLUMNS_MAX];
    struct replica_record now;
    enum err found = replica_get(r, table, &mutation->id, arena, &now);
    if (found != ERR_OK && found != ERR_NOT_FOUND)
        return found;
    bool update = found == ERR_OK && !now.record.dead;
    for (uint16_t i = 0; i < mutation->write_count; i++) {
        const struct unit_write *write = &mutation->writes[i];
        bool derived = mutation->op == MUTATION_UPDATE &&
                       (write->unit->policy == MERGE_COUNTER || write->unit->policy == MERGE_SET);
        if (derived && !update)
            continue;
        for (uint16_t k = 0; k < write->unit->column_count; k++) {
            columns[count] = write->unit->columns[k];
            if (!derived)
                values[count] = write->values[k];
            enum err e = derived ? value_upon(write, &now.record.values[columns[count]], arena,
                                              &values[count])
                                 : ERR_OK;
            if (e != ERR_OK)
                return e;
            count++;
        }
    }
    struct uuid id = mutation->id;
    if (revive && mutation->op == MUTATION_UPDATE && found == ERR_OK && now.record.dead) {
        enum err e = replica_restore(r, table, &id, info);
        if (e != ERR_OK)
            return e;
        update = true;
    }
    if (mutation->op == MUTATION_DELETE)
        return update ? replica_delete(r, table, &id, info) : ERR_OK;
    if (mutation->op == MUTATION_RESTORE && found == ERR_OK && now.record.dead)
        return replica_restore(r, table, &id, info);
    if (update)
        return replica_update(r, table, &id, columns, values, count, false, info);
    if (mutation->op == MUTATION_INSERT)
        return replica_insert(r, table, &id, columns, values, count, info);
    return err_set(
        info, ERR_NOT_FOUND,
        "the %s that this change belongs to is not there any more, and this device has no "
        "copy of it; add it anew, or give the change up",
        table->name);
}

enum err replica_parked_retry(struct replica *r, uint64_t oseq, int64_t wall_ms,
                              struct err_info *info)
{
    bool own = !r->writing;
    enum err e = own ? replica_begin(r, wall_ms) : ERR_OK;
    if (e != ERR_OK)
        return err_set(info, e, "%s", err_text(e));
    struct arena arena;
    arena_init(&arena, REPLICA_ARENA_MAX);
    struct parked_search search;
    struct parked_group parked;
    e = parked_find(r, oseq, &arena, &search, info);
    if (e == ERR_OK)
        e = parked_decode(r, search.key, search.value, &arena, &parked);
    if (e == ERR_OK)
        e = kept_bring_back(r, parked.attached, &arena, info);
    for (uint32_t i = 0; e == ERR_OK && i < parked.group.mutation_count; i++)
        e = write_again(r, &parked.group.mutations[i], parked.reason == REASON_PURGED, &arena,
                        info);
    if (e == ERR_OK)
        e = forget_parked(r, search.key);
    if (own && e == ERR_OK) {
        struct dot dot;
        e = replica_commit(r, &dot);
    } else if (own) {
        replica_rollback(r);
    }
    arena_done(&arena);
    return e;
}

enum err replica_parked_discard(struct replica *r, uint64_t oseq, struct err_info *info)
{
    struct parked_search search;
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return err_set(info, e, "%s", err_text(e));
    e = parked_find(r, oseq, &r->arena, &search, info);
    if (e == ERR_OK)
        e = forget_parked(r, search.key);
    e = replica_leave(r, e);
    arena_reset(&r->arena);
    return e;
}

/* ---- what was given up ---- */

struct discard_walk {
    bool told; /* those that are; else those that are to be told */
    uint64_t upto;
    struct replica_discard *items;
    uint32_t count;
};

static int collect_discard(void *context, struct bytes key, struct bytes value)
{
    struct discard_walk *walk = context;
    if (key.size != DISCARD_KEY || (value.size > 0) != walk->told)
        return 0;
    const struct replica_discard discard = {be64_get(key.data + DISCARD_PREFIX),
                                            be64_get(key.data + DISCARD_PREFIX + 8)};
    if (discard.oseq > walk->upto)
        return 0;
    if (walk->count == DISCARD_MAX)
        return STORE_STOP;
    walk->items[walk->count++] = discard;
    return 0;
}

/* Within a transaction. At most DISCARD_MAX; origin 0: all. */
static enum err collect_discards(struct replica *r, uint64_t origin, struct arena *arena,
                                 struct discard_walk *walk)
{
    uint8_t from[DISCARD_KEY], to[DISCARD_KEY];
    discard_key(origin, 0, from);
    discard_key(origin ? origin : UINT64_MAX, UINT64_MAX, to);
    walk->count = 0;
    walk->items = arena_calloc(arena, DISCARD_MAX, sizeof *walk->items);
    if (!walk->items)
        return ERR_NOMEM;
    return store_side_scan(r->store, SIDE_META, bytes_of(from, sizeof from),
                           bytes_of(to, sizeof to), collect_discard, walk);
}

enum err replica_discards(struct replica *r, struct arena *arena,
                          const struct replica_discard **ret, uint32_t *ret_count)
{
    struct discard_walk walk = {.upto = UINT64_MAX};
    enum err e = replica_enter(r, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = collect_discards(r, 0, arena, &walk);
    store_rollback(r->store);
    if (e != ERR_OK)
        return e;
    *ret = walk.items;
    *ret_count = walk.count;
    return ERR_OK;
}

static enum err discard_put(struct replica *r, const struct replica_discard *discard,
                            struct bytes value)
{
    uint8_t key[DISCARD_KEY];
    discard_key(discard->origin, discard->oseq, key);
    return store_side_put(r->store, SIDE_META, bytes_of(key, sizeof key), value);
}

enum err discards_again(struct replica *r)
{
    struct discard_walk walk = {.told = true, .upto = UINT64_MAX};
    enum err e = ERR_OK;
    do {
        e = collect_discards(r, 0, &r->arena, &walk);
        for (uint32_t i = 0; e == ERR_OK && i < walk.count; i++)
            e = discard_put(r, &walk.items[i], bytes_of(NULL, 0));
    } while (e == ERR_OK && walk.count == DISCARD_MAX);
    return e;
}

enum err discards_forget(struct replica *r, uint64_t upto, struct arena *arena)
{
    struct discard_walk walk = {.told = true, .upto = upto};
    enum err e = collect_discards(r, r->origin, arena, &walk);
    for (uint32_t i = 0; e == ERR_OK && i < walk.count; i++) {
        uint8_t key[DISCARD_KEY];
        discard_key(walk.items[i].origin, walk.items[i].oseq, key);
        e = store_side_delete(r->store, SIDE_META, bytes_of(key, sizeof key));
    }
    return e;
}

enum err discard_again(struct replica *r, uint64_t oseq)
{
    uint8_t key[DISCARD_KEY];
    struct bytes value;
    discard_key(r->origin, oseq, key);
    enum err e = store_side_get(r->store, SIDE_META, bytes_of(key, sizeof key), &r->arena, &value);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    return discard_put(r, &(struct replica_discard){r->origin, oseq}, bytes_of(NULL, 0));
}

/* An answer names no origin: when it is none of the present one's, it is an earlier one's (before a
 * fork). */
static enum err discard_told(struct replica *r, uint64_t origin, uint64_t oseq)
{
    uint8_t key[DISCARD_KEY];
    struct bytes value;
    discard_key(origin, oseq, key);
    enum err e = store_side_get(r->store, SIDE_META, bytes_of(key, sizeof key), &r->arena, &value);
    if (e == ERR_OK)
        return discard_put(r, &(struct replica_discard){origin, oseq}, DISCARD_TOLD);
    struct discard_walk walk = {.upto = UINT64_MAX};
    if (e == ERR_NOT_FOUND)
        e = collect_discards(r, 0, &r->arena, &walk);
    for (uint32_t i = 0; e == ERR_OK && i < walk.count; i++)
        if (walk.items[i].oseq == oseq)
            return discard_put(r, &walk.items[i], DISCARD_TOLD);
    return e;
}

enum err replica_discarded(struct replica *r, uint64_t origin, uint64_t oseq)
{
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    return replica_leave(r, discard_told(r, origin, oseq));
}
