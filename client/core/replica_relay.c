/* replica_relay.c - a branch's replica: runs from below, and what became of them. See replica_relay.h. */
#include "client/core/replica_relay.h"

#include "client/core/replica_internal.h"
#include "protocol/hlc.h"
#include "protocol/mark.h"

#include <stdio.h>
#include <string.h>

enum {
    RUN_SIZE = 1 + 8 + 8 + 4 + 16 + 8 + 8 + 64,
    ORIGIN_SIZE = 16 + 16 + 8 + 8,
};

/* ---- origins ---- */

static enum err origin_decode(struct bytes key, struct bytes value, struct relay_origin *ret)
{
    if (key.size != 8 || value.size != ORIGIN_SIZE)
        return ERR_CORRUPT;
    ret->origin = be64_get(key.data);
    memcpy(ret->device.byte, value.data, 16);
    memcpy(ret->user.byte, value.data + 16, 16);
    ret->received = be64_get(value.data + 32);
    ret->forked = be64_get(value.data + 40);
    return ERR_OK;
}

enum err relay_origin_get(struct replica *r, uint64_t origin, struct relay_origin *ret)
{
    uint8_t key[8];
    struct arena arena;
    struct bytes value;
    arena_init(&arena, 4096);
    be64_put(key, origin);
    enum err e = store_side_get(r->store, SIDE_ORIGIN, bytes_of(key, 8), &arena, &value);
    if (e == ERR_OK)
        e = origin_decode(bytes_of(key, 8), value, ret);
    arena_done(&arena);
    return e;
}

enum err relay_origin_put(struct replica *r, const struct relay_origin *origin)
{
    uint8_t key[8], value[ORIGIN_SIZE];
    be64_put(key, origin->origin);
    memcpy(value, origin->device.byte, 16);
    memcpy(value + 16, origin->user.byte, 16);
    be64_put(value + 32, origin->received);
    be64_put(value + 40, origin->forked);
    enum err e =
        store_side_put(r->store, SIDE_ORIGIN, bytes_of(key, 8), bytes_of(value, sizeof value));
    r->follow_more |= e == ERR_OK;
    return e;
}

/* ---- marks and results ---- */

static enum err discard_done(struct replica *r, uint64_t origin, uint64_t oseq);

enum err relay_mark_from(struct store *store, uint64_t origin, struct arena *arena,
                         struct mark *ret)
{
    uint8_t key[8];
    struct bytes value;
    be64_put(key, origin);
    *ret = (struct mark){.origin = origin};
    enum err e = store_side_get(store, SIDE_MARK, bytes_of(key, 8), arena, &value);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    size_t offset = 0;
    return mark_unpack(value, &offset, arena, ret);
}

enum err relay_mark(struct replica *r, uint64_t origin, struct arena *arena, struct mark *ret)
{
    return relay_mark_from(r->store, origin, arena, ret);
}

/* How many groups it covers: ranges may grow together, and be fewer for it. */
static uint64_t mark_size(const struct mark *mark)
{
    uint64_t size = mark->upto;
    for (uint32_t i = 0; i < mark->range_count; i++)
        size += mark->ranges[i].to - mark->ranges[i].from + 1;
    return size;
}

/* Headquarters' marks only grow; after a restore the old ones are gone (relay_start_over). */
enum err relay_note_fate(struct replica *r, const struct message_fates *fates, struct arena *arena)
{
    const struct mark *mark = &fates->marks[0];
    struct mark old;
    enum err e = relay_mark(r, mark->origin, arena, &old);
    if (e == ERR_OK && mark_size(mark) >= mark_size(&old))
        e = mark_put(r, mark);
    for (uint32_t i = 0; e == ERR_OK && i < fates->results_count; i++) {
        const struct group_result *result = &fates->results[i];
        e = relay_result_put(r, mark->origin, result);
        if (e == ERR_OK && result->code == RESULT_DISCARDED)
            e = discard_done(r, mark->origin, result->oseq);
    }
    for (uint32_t i = 0; e == ERR_OK && i < fates->renamed_count; i++) {
        uint8_t key[REPLICA_KEY + 4];
        own_key(mark->origin, fates->renamed[i].number, key);
        be32_put(key + REPLICA_KEY, (uint32_t)fates->renamed[i].count);
        e = store_side_put(r->store, SIDE_RENAMED, bytes_of(key, sizeof key),
                           bytes_of(key, sizeof key));
    }
    if (e == ERR_OK && fates->archived) {
        uint8_t value[8];
        char name[ARCHIVED_NAME_SIZE];
        archived_name(mark->origin, name);
        be64_put(value, fates->archived);
        e = store_side_put(r->store, SIDE_META, bytes_of_text(name), bytes_of(value, 8));
    }
    return e;
}

/* ---- runs ---- */

static enum err run_put(struct replica *r, const struct relay_run *run)
{
    uint8_t key[8], value[RUN_SIZE], *at = value;
    be64_put(key, run->number);
    *at++ = (uint8_t)run->kind;
    be64_put(at, run->origin);
    be64_put(at + 8, run->first);
    be32_put(at + 16, run->count);
    memcpy(at + 20, run->device.byte, 16);
    be64_put(at + 36, (uint64_t)run->received_ms);
    be64_put(at + 44, (uint64_t)run->offset_ms);
    memcpy(at + 52, run->signature, 64);
    return store_side_put(r->store, SIDE_RUN, bytes_of(key, 8), bytes_of(value, sizeof value));
}

/* With the last one its number would be given again, and devices and the uplink have passed that. */
static enum err run_delete(struct replica *r, uint64_t number)
{
    uint8_t key[8];
    enum err e = ERR_OK;
    if (number + 1 == r->run_next) {
        be64_put(key, r->run_next);
        e = store_side_put(r->store, SIDE_META, bytes_of_text(META_RUN_NEXT), bytes_of(key, 8));
    }
    be64_put(key, number);
    return e == ERR_OK ? store_side_delete(r->store, SIDE_RUN, bytes_of(key, 8)) : e;
}

struct run_walk {
    struct relay_run *run;
    bool found;
};

static enum err run_decode(struct bytes key, struct bytes value, struct relay_run *ret)
{
    if (key.size != 8 || value.size != RUN_SIZE)
        return ERR_CORRUPT;
    const uint8_t *at = value.data + 1;
    *ret = (struct relay_run){.number = be64_get(key.data),
                              .kind = (enum relay_run_kind)value.data[0],
                              .origin = be64_get(at),
                              .first = be64_get(at + 8),
                              .count = be32_get(at + 16),
                              .received_ms = (int64_t)be64_get(at + 36),
                              .offset_ms = (int64_t)be64_get(at + 44)};
    memcpy(ret->device.byte, at + 20, 16);
    memcpy(ret->signature, at + 52, 64);
    return ERR_OK;
}

static int first_run(void *context, struct bytes key, struct bytes value)
{
    struct run_walk *walk = context;
    enum err e = run_decode(key, value, walk->run);
    walk->found = e == ERR_OK;
    return walk->found ? STORE_STOP : (int)e;
}

enum err relay_run_next(struct replica *r, uint64_t from, struct relay_run *ret)
{
    uint8_t key[8];
    struct run_walk walk = {.run = ret};
    be64_put(key, from);
    enum err e =
        store_side_scan(r->store, SIDE_RUN, bytes_of(key, 8), bytes_of(NULL, 0), first_run, &walk);
    return e == ERR_OK && !walk.found ? ERR_NOT_FOUND : e;
}

uint64_t relay_run_end(const struct replica *r)
{
    return r->run_next;
}

enum err relay_take(struct replica *r, struct relay_run *run, const struct bytes *groups,
                    const bool *decided)
{
    struct arena arena;
    const struct envelope envelope = {run->received_ms, run->offset_ms};
    arena_init(&arena, REPLICA_ARENA_MAX);
    run->number = r->run_next++;
    run->kind = RUN_BELOW;
    enum err e = run_put(r, run);
    for (uint32_t i = 0; e == ERR_OK && i < run->count; i++) {
        struct group head;
        if (group_peek(groups[i], &head) != ERR_OK)
            head.stamp = 0; /* headquarters says what is wrong with it */
        const struct dot dot = {run->origin, run->first + i, 0};
        e = pending_take_as(r, &dot, hlc_effective(head.stamp, &envelope),
                            decided[i] ? PENDING_DECIDED : 0, run->number, groups[i], &arena);
        r->hlc = hlc_learn(r->hlc, hlc_effective(head.stamp, &envelope), run->received_ms);
    }
    arena_done(&arena);
    return e;
}

struct needed_walk {
    uint64_t origin, archived, first;
};

static int find_needed(void *context, struct bytes key, struct bytes value)
{
    struct needed_walk *walk = context;
    struct relay_run run;
    enum err e = run_decode(key, value, &run);
    if (e == ERR_OK && run.kind == RUN_BELOW && run.origin == walk->origin &&
        run.first < walk->first && run.first + run.count - 1 > walk->archived)
        walk->first = run.first;
    return (int)e;
}

enum err relay_runs_from(struct replica *r, uint64_t origin, uint64_t archived, uint64_t *ret)
{
    const struct bytes none = bytes_of(NULL, 0);
    struct needed_walk walk = {origin, archived, UINT64_MAX};
    enum err e = store_side_scan(r->store, SIDE_RUN, none, none, find_needed, &walk);
    *ret = walk.first;
    return e;
}

enum err relay_run_gone(struct replica *r, uint64_t number, uint64_t oseq)
{
    struct relay_run run;
    if (!r->config.branch || number == 0)
        return ERR_OK;
    enum err e = relay_run_next(r, number, &run);
    if (e != ERR_OK || run.number != number || run.first + run.count - 1 != oseq)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    return run_delete(r, number);
}

enum err relay_note_above(struct replica *r, const struct message_pending *pending)
{
    struct group head;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < pending->groups_count; i++) {
        if (group_peek(pending->groups[i].group, &head) != ERR_OK)
            return ERR_MALFORMED;
        const struct relay_run run = {.number = r->run_next++,
                                      .kind = RUN_ABOVE,
                                      .origin = head.dot.origin,
                                      .first = head.dot.oseq,
                                      .count = 1};
        e = run_put(r, &run);
    }
    return e;
}

enum err relay_group(struct replica *r, uint64_t origin, uint64_t oseq, struct arena *arena,
                     struct bytes *ret_raw, uint64_t *ret_stamp, bool *ret_decided)
{
    uint8_t key[REPLICA_KEY];
    struct bytes value;
    own_key(origin, oseq, key);
    enum err e = store_side_get(r->store, SIDE_PENDING, bytes_of(key, sizeof key), arena, &value);
    if (e == ERR_OK && value.size < PENDING_HEAD)
        e = ERR_CORRUPT;
    if (e != ERR_OK)
        return e;
    *ret_raw = bytes_of(value.data + PENDING_HEAD, value.size - PENDING_HEAD);
    *ret_stamp = be64_get(value.data + 1);
    *ret_decided = value.data[0] & PENDING_DECIDED;
    return ERR_OK;
}

enum err relay_group_below(struct replica *r, uint64_t origin, uint64_t oseq, struct arena *arena,
                           struct bytes *ret_raw, bool *ret_whole)
{
    uint8_t key[REPLICA_KEY];
    struct bytes value;
    own_key(origin, oseq, key);
    enum err e = store_side_get(r->store, SIDE_PENDING, bytes_of(key, sizeof key), arena, &value);
    if (e == ERR_OK && value.size < PENDING_HEAD)
        e = ERR_CORRUPT;
    if (e != ERR_OK)
        return e;
    *ret_raw = bytes_of(value.data + PENDING_HEAD, value.size - PENDING_HEAD);
    *ret_whole = value.data[0] & PENDING_WHOLE;
    return ERR_OK;
}

struct held_walk {
    struct arena *arena;
    struct oseq_range *ranges;
    uint32_t count, capacity;
};

static int collect_held(void *context, struct bytes key, struct bytes value)
{
    struct held_walk *walk = context;
    uint64_t oseq = be64_get(key.data + 8);
    if (value.size < PENDING_HEAD)
        return ERR_CORRUPT;
    if (!(value.data[0] & PENDING_WHOLE))
        return 0; /* one that is decided, under another number, say, is here all the same */
    if (walk->count && walk->ranges[walk->count - 1].to + 1 == oseq) {
        walk->ranges[walk->count - 1].to = oseq;
        return 0;
    }
    struct oseq_range *ranges =
        arena_extend(walk->arena, walk->ranges, walk->count, &walk->capacity, sizeof *ranges);
    if (!ranges)
        return ERR_NOMEM;
    walk->ranges = ranges;
    ranges[walk->count++] = (struct oseq_range){oseq, oseq};
    return 0;
}

enum err relay_held(struct replica *r, uint64_t origin, struct arena *arena,
                    struct oseq_range **ret, uint32_t *ret_count)
{
    uint8_t from[REPLICA_KEY], to[REPLICA_KEY];
    struct held_walk walk = {.arena = arena};
    own_key(origin, 0, from);
    own_key(origin, UINT64_MAX, to);
    enum err e = store_side_scan(r->store, SIDE_PENDING, bytes_of(from, sizeof from),
                                 bytes_of(to, sizeof to), collect_held, &walk);
    *ret = walk.ranges;
    *ret_count = walk.count;
    return e;
}

/* ---- upward ---- */

/* Whether headquarters has said of each number that it is decided. What was decided under another one alone goes up
 * all the same, or its author waits for it for ever. */
static enum err run_is_settled(struct replica *r, const struct relay_run *run, struct arena *arena,
                               bool *ret)
{
    struct mark mark;
    enum err e = relay_mark(r, run->origin, arena, &mark);
    *ret = true;
    for (uint32_t i = 0; e == ERR_OK && i < run->count; i++)
        *ret &= mark_covers(&mark, run->first + i);
    return e;
}

/* The groups of a run, if one of them is not decided and all are here. */
static enum err run_groups(struct replica *r, const struct relay_run *run, struct arena *arena,
                           const struct bytes **ret)
{
    struct bytes *groups = arena_calloc(arena, run->count, sizeof *groups);
    bool waits = false;
    if (!groups)
        return ERR_NOMEM;
    *ret = NULL;
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t stamp;
        bool decided;
        enum err e =
            relay_group(r, run->origin, run->first + i, arena, &groups[i], &stamp, &decided);
        if (e == ERR_NOT_FOUND)
            return ERR_OK; /* archived, and so is all of the run */
        if (e != ERR_OK)
            return e;
        waits |= !decided;
    }
    bool settled = false;
    enum err e = waits ? ERR_OK : run_is_settled(r, run, arena, &settled);
    *ret = waits || !settled ? groups : NULL;
    return e;
}

enum err replica_run(struct replica *r, uint64_t from, struct arena *arena, struct relay_run *ret,
                     const struct bytes **ret_groups)
{
    enum err e = replica_enter(r, STORE_READ);
    if (e != ERR_OK)
        return e;
    *ret_groups = NULL;
    for (bool found = false; e == ERR_OK && !found;) {
        e = relay_run_next(r, from, ret);
        if (e != ERR_OK)
            break;
        from = ret->number + 1;
        if (ret->kind == RUN_BELOW)
            e = run_groups(r, ret, arena, ret_groups);
        found = *ret_groups != NULL || ret->kind == RUN_DISCARD;
    }
    store_rollback(r->store);
    if (e == ERR_NOT_FOUND) {
        *ret = (struct relay_run){.number = r->run_next};
        e = ERR_OK;
    }
    return e;
}

enum err relay_note_discard(struct replica *r, uint64_t origin, uint64_t oseq)
{
    const struct relay_run run = {
        .number = r->run_next++, .kind = RUN_DISCARD, .origin = origin, .first = oseq};
    return run_put(r, &run);
}

/* Headquarters has taken the discard. */
static enum err discard_done(struct replica *r, uint64_t origin, uint64_t oseq)
{
    struct relay_run run = {0};
    enum err e = ERR_OK;
    for (uint64_t from = 1; e == ERR_OK; from = run.number + 1) {
        e = relay_run_next(r, from, &run);
        if (e != ERR_OK || run.kind != RUN_DISCARD || run.origin != origin || run.first != oseq)
            continue;
        e = run_delete(r, run.number);
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

bool replica_follows_more(struct replica *r)
{
    bool more = r->follow_more;
    r->follow_more = false;
    return more;
}

bool replica_people_changed(struct replica *r)
{
    bool changed = r->people_changed;
    r->people_changed = false;
    return changed;
}

enum err replica_relay_forked(struct replica *r, uint64_t origin, uint64_t oseq)
{
    struct relay_origin known;
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    e = relay_origin_get(r, origin, &known);
    if (e == ERR_OK && (known.forked == 0 || oseq < known.forked)) {
        known.forked = oseq;
        e = relay_origin_put(r, &known);
    }
    return replica_leave(r, e == ERR_NOT_FOUND ? ERR_OK : e);
}

/* ---- following ---- */

struct origin_walk {
    struct replica *r;
    struct arena *arena;
    struct origin_floor *items;
    uint32_t count, capacity;
};

static enum err walk_add(struct origin_walk *walk, uint64_t origin)
{
    struct mark mark;
    struct origin_floor *items =
        arena_extend(walk->arena, walk->items, walk->count, &walk->capacity, sizeof *items);
    if (!items)
        return ERR_NOMEM;
    walk->items = items;
    enum err e = relay_mark(walk->r, origin, walk->arena, &mark);
    items[walk->count++] = (struct origin_floor){origin, mark.upto};
    return e;
}

static int add_served(void *context, struct bytes key, struct bytes value)
{
    (void)value;
    return (int)walk_add(context, be64_get(key.data));
}

static int add_above(void *context, struct bytes key, struct bytes value)
{
    struct origin_walk *walk = context;
    struct relay_origin known;
    uint64_t origin = be64_get(key.data);
    (void)value;
    for (uint32_t i = walk->count; i > 0; i--)
        if (walk->items[i - 1].origin == origin)
            return 0;
    enum err e = relay_origin_get(walk->r, origin, &known);
    return (int)(e == ERR_NOT_FOUND ? walk_add(walk, origin) : e);
}

enum err relay_origins(struct replica *r, struct arena *arena, struct origin_floor **ret,
                       uint32_t *ret_count)
{
    const struct bytes none = bytes_of(NULL, 0);
    struct origin_walk walk = {.r = r, .arena = arena};
    enum err e = store_side_scan(r->store, SIDE_ORIGIN, none, none, add_served, &walk);
    if (e == ERR_OK)
        e = store_side_scan(r->store, SIDE_PENDING, none, none, add_above, &walk);
    *ret = walk.items;
    *ret_count = walk.count;
    return e;
}

/* ---- what came with a checkpoint ---- */

enum err relay_live_pages(const struct replica *r, relay_page_fn *fn, void *context)
{
    enum err e = ERR_OK;
    for (const struct held_page *page = r->live; e == ERR_OK && page; page = page->next)
        e = fn(context, page->bucket, page->from, page->to, bytes_of(page->body, page->size));
    return e;
}

enum err relay_fates(const struct replica *r, uint64_t live, relay_fates_fn *fn, void *context)
{
    enum err e = ERR_OK;
    for (const struct held_fate *fate = r->fates; e == ERR_OK && fate; fate = fate->next)
        if (fate->fates.live == live)
            e = fn(context, &fate->fates);
    return e;
}

void relay_forks(const struct replica *r, uint64_t live, relay_forks_fn *fn, void *context)
{
    for (const struct held_fate *fate = r->fates; fate; fate = fate->next)
        if (fate->fates.live == live && fate->forked)
            fn(context, fate->fates.marks[0].origin, fate->forked);
}

static const struct cursor *cursor_find(const struct replica *r, uint32_t bucket)
{
    for (uint32_t i = 0; i < r->cursor_count; i++)
        if (r->cursors[i].bucket == bucket)
            return &r->cursors[i];
    return NULL;
}

uint64_t relay_upheavals(const struct replica *r)
{
    return r->upheavals;
}

bool relay_holds_records(const struct replica *r)
{
    const struct cursor *company = cursor_find(r, BUCKET_NUMBER_COMPANY);
    return company && company->position > 0;
}

enum err relay_buckets(const struct replica *r, relay_bucket_fn *fn, void *context)
{
    size_t at = 0;
    struct bytes key;
    union hash_value value;
    enum err e = ERR_OK;
    while (e == ERR_OK && hash_map_next(&r->bucket_keys, &at, &key, &value)) {
        struct bucket_name name = {.number = (uint32_t)value.number, .kind = key.data[0]};
        struct bucket_digest head = {.bucket = name.number};
        const struct cursor *cursor = cursor_find(r, name.number);
        memcpy(name.key.byte, key.data + ROUTE_KEY_SIZE - 16, 16);
        if (!cursor)
            continue;
        head.position = cursor->position;
        head.count = cursor->count;
        memcpy(head.sum, cursor->sum.byte, 16);
        e = fn(context, &name, &head);
    }
    return e;
}
