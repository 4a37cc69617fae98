/* replica_pending.c - groups of others that headquarters has not decided: a branch gives them to its devices,
 * and keeps those that come from below until headquarters has them archived.
 *
 * Model:      they lie beside the outbox, and touch records in the same way: a base copy names them in
 *             `pending`, an insert alone is the row itself. What is shown is a function of the set: the
 *             groups in the order of (effective stamp, dot), causes before effects (pending_order).
 * Leaving:    when the fate of their origin covers them (replica_fates.c), or their records leave the scope.
 * Invariant:  r->pending has exactly the stored groups that are not decided.
 * Source:     SPEC.md 10.4, 12.4. */
#include "client/core/replica_internal.h"
#include "client/core/replica_relay.h"
#include "protocol/hlc.h"
#include "protocol/scan.h"

#include <string.h>

enum { ORDER_CAUSES_MAX = 256 /* beyond, the order is that of the stamps alone */ };

static int load_pending(void *context, struct bytes key, struct bytes value)
{
    struct replica *r = context;
    if (key.size != REPLICA_KEY || value.size < PENDING_HEAD)
        return ERR_CORRUPT;
    if (value.data[0] & PENDING_DECIDED)
        return 0;
    return (int)hash_map_put_number(&r->pending, key, be64_get(value.data + 1));
}

static int last_run(void *context, struct bytes key, struct bytes value)
{
    uint64_t *next = context;
    (void)value;
    if (key.size != 8)
        return ERR_CORRUPT;
    if (be64_get(key.data) >= *next) /* later ones may have been given, and be gone */
        *next = be64_get(key.data) + 1;
    return 0;
}

/* Below which numbers were given, also of runs that are gone: devices count by them. */
static enum err run_next_load(struct replica *r)
{
    struct bytes value;
    enum err e =
        store_side_get(r->store, SIDE_META, bytes_of_text(META_RUN_NEXT), &r->arena, &value);
    if (e == ERR_OK && value.size != 8)
        return ERR_CORRUPT;
    if (e == ERR_OK)
        r->run_next = be64_get(value.data);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err pending_load(struct replica *r)
{
    const struct bytes none = bytes_of(NULL, 0);
    struct bytes value;
    hash_map_clear(&r->pending);
    r->run_next = 1;
    enum err e = store_side_scan(r->store, SIDE_PENDING, none, none, load_pending, r);
    if (e == ERR_OK && r->config.branch)
        e = run_next_load(r);
    if (e == ERR_OK && r->config.branch)
        e = store_side_scan(r->store, SIDE_RUN, none, none, last_run, &r->run_next);
    r->relay = r->relay_seq = 0;
    if (e == ERR_OK)
        e = store_side_get(r->store, SIDE_META, bytes_of_text("relay"), &r->arena, &value);
    if (e == ERR_OK && value.size != 16)
        return ERR_CORRUPT;
    if (e == ERR_OK) {
        r->relay = be64_get(value.data);
        r->relay_seq = be64_get(value.data + 8);
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err save_relay(struct replica *r, uint64_t relay, uint64_t seq)
{
    uint8_t value[16];
    be64_put(value, relay);
    be64_put(value + 8, seq);
    r->relay = relay;
    r->relay_seq = seq;
    return store_side_put(r->store, SIDE_META, bytes_of_text("relay"),
                          bytes_of(value, sizeof value));
}

uint64_t pending_stamp(const struct replica *r, const struct dot *dot, uint64_t authored)
{
    uint8_t key[REPLICA_KEY];
    own_key(dot->origin, dot->oseq, key);
    union hash_value *stamp =
        dot->origin == r->origin ? NULL : hash_map_get(&r->pending, bytes_of(key, sizeof key));
    return stamp ? stamp->number : authored;
}

/* ---- order ---- */

struct order {
    struct dot dot;
    uint64_t stamp;
    bool taken;
    uint64_t causes[ORDER_CAUSES_MAX / 64]; /* bits: positions in the list */
};

static void add_cause(struct order *list, uint16_t count, uint16_t of, const struct dot *dot)
{
    for (uint16_t i = 0; i < count; i++)
        if (i != of && dot_equal(&list[i].dot, dot))
            list[of].causes[i / 64] |= 1ull << (i % 64);
}

static void add_set(struct order *list, uint16_t count, uint16_t of, struct dot_set set)
{
    for (uint16_t i = 0; i < set.count; i++)
        add_cause(list, count, of, &set.dots[i]);
}

static void add_causes(struct order *list, uint16_t count, uint16_t of, const struct mutation *m)
{
    add_cause(list, count, of, &m->insert);
    add_set(list, count, of, m->deletes);
    for (uint16_t i = 0; i < m->frontier_count; i++)
        add_set(list, count, of, m->frontier[i].seen);
    for (uint16_t i = 0; i < m->write_count; i++) {
        add_set(list, count, of, m->writes[i].seen);
        for (uint32_t k = 0; k < m->writes[i].remove_count; k++)
            add_cause(list, count, of, &m->writes[i].removes[k].dot);
    }
    for (uint16_t i = 0; i < count; i++)
        if (list[i].dot.origin == list[of].dot.origin && list[i].dot.oseq < list[of].dot.oseq)
            list[of].causes[i / 64] |= 1ull << (i % 64);
}

static bool is_before(const struct order *a, const struct order *b)
{
    return a->stamp != b->stamp ? a->stamp < b->stamp : dot_compare(&a->dot, &b->dot) < 0;
}

static bool causes_taken(const struct order *list, uint16_t count, const struct order *of)
{
    for (uint16_t i = 0; i < count && i < ORDER_CAUSES_MAX; i++)
        if ((of->causes[i / 64] >> (i % 64) & 1) && !list[i].taken)
            return false;
    return true;
}

/* Again and again the least whose causes have been taken; clocks that stand on their heads may leave none
 * (two that name each other): then the least. */
static void take_in_order(struct order *list, uint16_t count, struct dot *out)
{
    for (uint16_t n = 0; n < count; n++) {
        struct order *next = NULL, *least = NULL;
        for (uint16_t i = 0; i < count; i++) {
            struct order *at = &list[i];
            if (at->taken)
                continue;
            if (!least || is_before(at, least))
                least = at;
            if ((!next || is_before(at, next)) && causes_taken(list, count, at))
                next = at;
        }
        next = next ? next : least;
        next->taken = true;
        out[n] = next->dot;
    }
}

enum err pending_order(struct replica *r, const struct model_table *table, const struct uuid *id,
                       struct base *base, struct arena *arena)
{
    uint16_t count = base->pending_count, others = 0;
    for (uint16_t i = 0; i < count; i++)
        others = (uint16_t)(others + (base->pending[i].origin != r->origin));
    if (others == 0 || count < 2)
        return ERR_OK; /* own groups are in their order */
    struct order *list = arena_calloc(arena, count, sizeof *list);
    struct dot *out = arena_calloc(arena, count, sizeof *out);
    if (!list || !out)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < count; i++)
        list[i].dot = base->pending[i];
    for (uint16_t i = 0; i < count; i++) {
        struct group *group;
        enum err e = outbox_group(r, list[i].dot.origin, list[i].dot.oseq, &group);
        if (e == ERR_NOT_FOUND)
            continue;
        if (e != ERR_OK)
            return e;
        list[i].stamp = pending_stamp(r, &list[i].dot, group->stamp);
        const struct mutation *mutation = group_mutation(&r->cache, table, id);
        if (mutation && count <= ORDER_CAUSES_MAX)
            add_causes(list, count, i, mutation);
    }
    take_in_order(list, count, out);
    base->pending = out;
    return ERR_OK;
}

/* ---- taking ---- */

/* The base of a record that a group of others begins to touch; *ret_plain: nothing is there, and the
 * mutation is the insert: the row alone shows it. */
static enum err base_for(struct replica *r, const struct mutation *mutation, struct arena *arena,
                         struct base *ret, bool *ret_plain)
{
    struct version_head head;
    *ret_plain = false;
    enum err e = base_load(r, mutation->table, &mutation->id, arena, ret);
    if (e != ERR_NOT_FOUND)
        return e;
    *ret = (struct base){0};
    e = store_row_get(r->store, mutation->table, &mutation->id, arena, &ret->row);
    if (e == ERR_NOT_FOUND) {
        ret->row = (struct store_row){0};
        *ret_plain = mutation->op == MUTATION_INSERT;
        return ERR_OK;
    }
    if (e != ERR_OK)
        return e;
    if (version_peek(ret->row.version, &head) != ERR_OK)
        return ERR_CORRUPT;
    ret->present = !is_waiting_insert(r, &ret->row, &head.insert);
    if (ret->present)
        return ERR_OK;
    ret->row = (struct store_row){0};
    return base_add_pending(arena, ret, &head.insert);
}

static enum err show_insert(struct replica *r, const struct mutation *mutation,
                            const struct dot *dot, uint64_t stamp, struct arena *arena)
{
    struct record record = {0};
    struct merge_result result;
    struct store_row row = {0};
    enum err e = merge_into(r, mutation, dot, stamp, MERGE_SHOW, arena, &record, &result);
    if (e != ERR_OK || !record.present)
        return e;
    record.version.revision = 1;
    e = row_from_record(r, mutation->table, &record, arena, &row);
    row.bucket = route_bucket(r, mutation->table, record.values);
    return e == ERR_OK ? store_row_put(r->store, mutation->table, &mutation->id, &row) : e;
}

static enum err touch_record(struct replica *r, const struct mutation *mutation,
                             const struct dot *dot, uint64_t stamp, struct arena *arena)
{
    struct base base;
    bool plain;
    enum err e = base_for(r, mutation, arena, &base, &plain);
    if (e == ERR_OK && plain)
        return show_insert(r, mutation, dot, stamp, arena);
    if (e == ERR_OK)
        e = base_add_pending(arena, &base, dot);
    return e == ERR_OK ? base_show(r, mutation->table, &mutation->id, &base, arena) : e;
}

static enum err show_group(struct replica *r, const struct dot *dot, uint64_t stamp,
                           struct arena *arena)
{
    struct group *group;
    enum err e = outbox_group(r, dot->origin, dot->oseq, &group);
    if (e == ERR_MODEL || e == ERR_LIMIT || e == ERR_CORRUPT)
        return ERR_OK; /* of a later model: kept, and not shown */
    uint32_t count = e == ERR_OK ? group->mutation_count : 0;
    for (uint32_t m = 0; e == ERR_OK && m < count; m++) {
        e = outbox_group(r, dot->origin, dot->oseq, &group); /* the cache may have moved on */
        if (e != ERR_OK)
            return e;
        const struct mutation mutation = group->mutations[m];
        arena_reset(arena);
        e = touch_record(r, &mutation, dot, stamp, arena);
        if (e == ERR_LIMIT || e == ERR_MODEL)
            e = ERR_OK; /* headquarters will see to it */
    }
    return e;
}

static enum err put(struct replica *r, const struct dot *dot, uint64_t stamp, uint8_t flags,
                    uint64_t run, struct bytes raw)
{
    uint8_t key[REPLICA_KEY], head[PENDING_HEAD];
    own_key(dot->origin, dot->oseq, key);
    head[0] = flags;
    be64_put(head + 1, stamp);
    be64_put(head + 9, run);
    buf_reset(&r->encode);
    buf_append(&r->encode, head, sizeof head);
    buf_append(&r->encode, raw.data, raw.size);
    if (r->encode.error != ERR_OK)
        return r->encode.error;
    enum err e =
        store_side_put(r->store, SIDE_PENDING, bytes_of(key, sizeof key), buf_view(&r->encode));
    if (e != ERR_OK || (flags & PENDING_DECIDED))
        return e;
    cache_drop(r);
    return hash_map_put_number(&r->pending, bytes_of(key, sizeof key), stamp);
}

/* ---- own origins of before ---- */

/* META "former": the origins that this replica had before forks, BE8 each. */
static enum err former_get(struct replica *r, struct arena *arena, struct bytes *ret)
{
    *ret = bytes_of(NULL, 0);
    enum err e = store_side_get(r->store, SIDE_META, bytes_of_text("former"), arena, ret);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err is_former(struct replica *r, uint64_t origin, struct arena *arena, bool *ret)
{
    struct bytes list;
    enum err e = former_get(r, arena, &list);
    *ret = false;
    for (size_t at = 0; e == ERR_OK && at + 8 <= list.size && !*ret; at += 8)
        *ret = be64_get(list.data + at) == origin;
    return e;
}

enum err pending_note_former(struct replica *r, uint64_t origin)
{
    uint8_t raw[8];
    struct bytes list;
    enum err e = former_get(r, &r->arena, &list);
    be64_put(raw, origin);
    buf_reset(&r->scratch);
    buf_append(&r->scratch, list.data, list.size);
    buf_append(&r->scratch, raw, sizeof raw);
    if (e == ERR_OK)
        e = r->scratch.error;
    return e == ERR_OK
               ? store_side_put(r->store, SIDE_META, bytes_of_text("former"), buf_view(&r->scratch))
               : e;
}

static enum err forget_shown(struct replica *r, const struct dot *dot, struct arena *arena);

enum err pending_take(struct replica *r, uint64_t stamp, uint8_t flags, uint64_t run,
                      struct bytes raw, struct arena *arena)
{
    struct group head;
    uint8_t key[REPLICA_KEY];
    struct bytes have;
    if (scan_check(raw, &scan_limits_default) == ERR_MALFORMED || group_peek(raw, &head) != ERR_OK)
        return ERR_MALFORMED;
    if (head.dot.origin == r->origin || head.dot.oseq == 0)
        return ERR_OK;
    own_key(head.dot.origin, head.dot.oseq, key);
    arena_reset(arena);
    bool former;
    enum err e = is_former(r, head.dot.origin, arena, &former);
    if (e != ERR_OK || former)
        return e; /* it is in the outbox, under another number */
    e = store_side_get(r->store, SIDE_PENDING, bytes_of(key, sizeof key), arena, &have);
    if (e == ERR_OK && have.size < PENDING_HEAD)
        e = ERR_CORRUPT;
    if (e == ERR_OK) {
        bool replaces = (flags & PENDING_WHOLE) && !(have.data[0] & PENDING_WHOLE);
        if (!replaces)
            return ERR_OK;
        e = forget_shown(r, &head.dot, arena);
    }
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    e = put(r, &head.dot, stamp, flags, run, raw);
    bool shows = e == ERR_OK && !(flags & PENDING_DECIDED);
    return shows ? show_group(r, &head.dot, stamp, arena) : e;
}

enum err pending_take_as(struct replica *r, const struct dot *dot, uint64_t stamp, uint8_t flags,
                         uint64_t run, struct bytes raw, struct arena *arena)
{
    uint8_t key[REPLICA_KEY];
    struct bytes have;
    own_key(dot->origin, dot->oseq, key);
    if (outbox_readable(bytes_of(key, sizeof key), raw))
        return pending_take(r, stamp, flags | PENDING_WHOLE, run, raw, arena);
    arena_reset(arena);
    enum err e = store_side_get(r->store, SIDE_PENDING, bytes_of(key, sizeof key), arena, &have);
    flags |= PENDING_WHOLE | PENDING_UNREADABLE;
    return e == ERR_NOT_FOUND ? put(r, dot, stamp, flags, run, raw) : e;
}

/* ---- leaving without a fate ---- */

static enum err untouch_record(struct replica *r, const struct mutation *mutation,
                               const struct dot *dot, struct arena *arena)
{
    struct base base;
    struct store_row row;
    struct version_head head;
    enum err e = base_load(r, mutation->table, &mutation->id, arena, &base);
    if (e == ERR_OK) {
        base_remove_pending(&base, dot);
        return base_show(r, mutation->table, &mutation->id, &base, arena);
    }
    if (e == ERR_NOT_FOUND)
        e = store_row_get(r->store, mutation->table, &mutation->id, arena, &row);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (version_peek(row.version, &head) != ERR_OK)
        return ERR_CORRUPT;
    bool shows_it = row.position == 0 && dot_equal(&head.insert, dot);
    return shows_it ? store_row_delete(r->store, mutation->table, &mutation->id) : ERR_OK;
}

/* The group is not shown any more; it is taken out of memory, and the caller out of the store. */
static enum err forget_shown(struct replica *r, const struct dot *dot, struct arena *arena)
{
    struct group *group;
    uint8_t key[REPLICA_KEY];
    enum err e = outbox_group(r, dot->origin, dot->oseq, &group);
    uint32_t count = e == ERR_OK ? group->mutation_count : 0;
    if (e == ERR_MODEL || e == ERR_LIMIT || e == ERR_CORRUPT)
        e = ERR_OK;
    for (uint32_t m = 0; e == ERR_OK && m < count; m++) {
        e = outbox_group(r, dot->origin, dot->oseq, &group);
        if (e != ERR_OK)
            return e;
        const struct mutation mutation = group->mutations[m];
        arena_reset(arena);
        e = untouch_record(r, &mutation, dot, arena);
    }
    own_key(dot->origin, dot->oseq, key);
    (void)hash_map_remove(&r->pending, bytes_of(key, sizeof key), NULL);
    return e;
}

struct filtered {
    struct arena *arena;
    struct dot *dots;
    uint32_t count, capacity;
};

static int collect_filtered(void *context, struct bytes key, struct bytes value)
{
    struct filtered *list = context;
    struct group head;
    if (key.size != REPLICA_KEY || value.size < PENDING_HEAD)
        return ERR_CORRUPT;
    if (value.data[0] & PENDING_WHOLE)
        return 0;
    if (group_peek(bytes_of(value.data + PENDING_HEAD, value.size - PENDING_HEAD), &head) != ERR_OK)
        return ERR_CORRUPT;
    struct dot *dots =
        arena_extend(list->arena, list->dots, list->count, &list->capacity, sizeof *dots);
    if (!dots)
        return ERR_NOMEM;
    list->dots = dots;
    dots[list->count++] = head.dot;
    return 0;
}

enum err pending_drop_filtered(struct replica *r, struct arena *arena)
{
    struct arena list_arena;
    arena_init(&list_arena, REPLICA_ARENA_MAX);
    struct filtered list = {.arena = &list_arena};
    enum err e = store_side_scan(r->store, SIDE_PENDING, bytes_of(NULL, 0), bytes_of(NULL, 0),
                                 collect_filtered, &list);
    for (uint32_t i = 0; e == ERR_OK && i < list.count; i++) {
        uint8_t key[REPLICA_KEY];
        e = forget_shown(r, &list.dots[i], arena);
        own_key(list.dots[i].origin, list.dots[i].oseq, key);
        if (e == ERR_OK)
            e = store_side_delete(r->store, SIDE_PENDING, bytes_of(key, sizeof key));
    }
    arena_done(&list_arena);
    cache_drop(r);
    return e == ERR_OK && r->relay ? save_relay(r, r->relay, 0) : e;
}

/* ---- another model ---- */

struct shown_again {
    struct arena *arena;
    struct pending_stamp_of {
        struct dot dot;
        uint64_t stamp;
    } * items;
    uint32_t count, capacity;
};

static int collect_undecided(void *context, struct bytes key, struct bytes value)
{
    struct shown_again *list = context;
    struct group head;
    if (key.size != REPLICA_KEY || value.size < PENDING_HEAD)
        return ERR_CORRUPT;
    if (value.data[0] & PENDING_DECIDED)
        return 0;
    if (group_peek(bytes_of(value.data + PENDING_HEAD, value.size - PENDING_HEAD), &head) != ERR_OK)
        return ERR_CORRUPT;
    struct pending_stamp_of *items =
        arena_extend(list->arena, list->items, list->count, &list->capacity, sizeof *items);
    if (!items)
        return ERR_NOMEM;
    list->items = items;
    items[list->count++] = (struct pending_stamp_of){head.dot, be64_get(value.data + 1)};
    return 0;
}

enum err pending_show_again(struct replica *r)
{
    struct arena list_arena, arena;
    arena_init(&list_arena, REPLICA_ARENA_MAX);
    arena_init(&arena, REPLICA_ARENA_MAX);
    struct shown_again list = {.arena = &list_arena};
    enum err e = store_side_scan(r->store, SIDE_PENDING, bytes_of(NULL, 0), bytes_of(NULL, 0),
                                 collect_undecided, &list);
    for (uint32_t i = 0; e == ERR_OK && i < list.count; i++) {
        const struct pending_stamp_of *item = &list.items[i];
        uint8_t key[REPLICA_KEY];
        e = forget_shown(r, &item->dot, &arena);
        own_key(item->dot.origin, item->dot.oseq, key);
        if (e == ERR_OK)
            e = hash_map_put_number(&r->pending, bytes_of(key, sizeof key), item->stamp);
        if (e == ERR_OK)
            e = show_group(r, &item->dot, item->stamp, &arena);
    }
    arena_done(&arena);
    arena_done(&list_arena);
    cache_drop(r);
    return e == ERR_OK && r->relay ? save_relay(r, r->relay, 0) : e;
}

/* ---- the session ---- */

enum err replica_pending(struct replica *r, const struct message_pending *m, int64_t wall_ms)
{
    struct arena arena;
    if (m->relay == 0)
        return ERR_PROTOCOL;
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    arena_init(&arena, REPLICA_ARENA_MAX);
    uint64_t run = r->config.branch ? r->run_next : 0; /* as relay_note_above() numbers them */
    for (uint32_t i = 0; e == ERR_OK && i < m->groups_count; i++) {
        e = pending_take(r, m->groups[i].stamp, 0, run + i, m->groups[i].group, &arena);
        r->hlc = hlc_learn(r->hlc, m->groups[i].stamp, wall_ms);
    }
    if (e == ERR_OK && r->config.branch && m->groups_count)
        e = relay_note_above(r, m);
    if (e == ERR_OK)
        e = save_relay(r, m->relay, m->seq);
    if (e == ERR_OK)
        e = replica_save(r);
    arena_done(&arena);
    return replica_leave(r, e);
}

struct follow_list {
    struct arena *arena;
    struct origin_floor *items;
    uint32_t count, capacity;
};

static int collect_origin(void *context, struct bytes key, struct bytes value)
{
    struct follow_list *list = context;
    uint64_t origin = be64_get(key.data);
    (void)value;
    if (list->count && list->items[list->count - 1].origin == origin)
        return 0;
    struct origin_floor *items =
        arena_extend(list->arena, list->items, list->count, &list->capacity, sizeof *items);
    if (!items)
        return ERR_NOMEM;
    list->items = items;
    items[list->count++] = (struct origin_floor){origin, 0};
    return 0;
}

enum err replica_follow(struct replica *r, uint64_t relay, struct arena *arena,
                        struct message_follow *ret)
{
    struct follow_list list = {.arena = arena};
    *ret = (struct message_follow){.relay = relay, .seq = relay == r->relay ? r->relay_seq : 0};
    enum err e = replica_enter(r, STORE_READ);
    if (e != ERR_OK)
        return e;
    if (r->config.branch)
        e = relay_origins(r, arena, &list.items, &list.count);
    else
        e = store_side_scan(r->store, SIDE_PENDING, bytes_of(NULL, 0), bytes_of(NULL, 0),
                            collect_origin, &list);
    store_rollback(r->store);
    ret->origins = list.items;
    ret->origins_count = list.count;
    return e;
}

uint64_t replica_pending_count(const struct replica *r)
{
    return hash_map_count(&r->pending);
}
