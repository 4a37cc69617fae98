/* replica_link.c - what a session needs of the replica: welcome, forks, the outbox, cursors.
 *
 * Forks:      a replica that was copied or rolled back takes a new origin: its undecided groups are
 *             renumbered (each names the dot that it had), and the records that they touch shown anew.
 * Restores:   when headquarters' history diverges from what this replica has seen of it, the own mark
 *             becomes the server's, decided groups beyond it are pending again, and the next
 *             subscription brings everything anew, installed by difference in one transaction.
 * Source:     SPEC.md 10; DESIGN.md 5, 6. */
#include "client/core/replica_internal.h"
#include "client/core/replica_log.h"
#include "client/core/replica_relay.h"
#include "common/blob.h"

#include <stdlib.h>
#include <string.h>

/* ---- the outbox ---- */

struct outbox_walk {
    struct replica *r;
    struct arena *arena;
    struct bytes *groups;
    uint32_t count, max_groups;
    size_t bytes, max_bytes;
    uint64_t first;
    enum err error;
};

static int walk_group(void *context, struct bytes key, struct bytes value)
{
    struct outbox_walk *walk = context;
    uint64_t oseq = be64_get(key.data + 8);
    if (mark_has(&walk->r->mark, oseq))
        return walk->count ? STORE_STOP : 0;
    if (!outbox_readable(key, value))
        return ERR_CORRUPT;
    if (walk->count && (oseq != walk->first + walk->count || walk->count == walk->max_groups ||
                        walk->bytes + value.size > walk->max_bytes))
        return STORE_STOP;
    if (!walk->count)
        walk->first = oseq;
    walk->error = arena_copy(walk->arena, value, &walk->groups[walk->count]);
    if (walk->error != ERR_OK)
        return (int)walk->error;
    walk->count++;
    walk->bytes += value.size;
    return 0;
}

enum err replica_outbox(struct replica *r, uint64_t from, size_t max_bytes, uint32_t max_groups,
                        struct arena *arena, const struct bytes **ret_groups, uint32_t *ret_count,
                        uint64_t *ret_first)
{
    struct outbox_walk walk = {
        .r = r, .arena = arena, .max_groups = max_groups, .max_bytes = max_bytes};
    walk.groups = arena_calloc(arena, max_groups, sizeof *walk.groups);
    if (!walk.groups)
        return ERR_NOMEM;
    if (from <= r->mark.upto)
        from = r->mark.upto + 1;
    uint8_t low[REPLICA_KEY], high[REPLICA_KEY];
    own_key(r->origin, from, low);
    own_key(r->origin, UINT64_MAX, high);
    enum err e = replica_enter(r, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = store_side_scan(r->store, SIDE_OUTBOX, bytes_of(low, sizeof low),
                        bytes_of(high, sizeof high), walk_group, &walk);
    store_rollback(r->store);
    if (e != ERR_OK)
        return e;
    *ret_groups = walk.groups;
    *ret_count = walk.count;
    *ret_first = walk.first;
    return ERR_OK;
}

enum err replica_acknowledged(struct replica *r, const struct message_ack *ack)
{
    if (ack->origin == r->origin && ack->upto > r->acknowledged)
        r->acknowledged = ack->upto;
    return ERR_OK;
}

/* ---- cursors ---- */

enum err replica_cursors(struct replica *r, struct arena *arena, const struct bucket_position **ret,
                         uint32_t *ret_count, bool *ret_reconcile)
{
    *ret_reconcile = r->reconcile;
    *ret_count = 0;
    replica_drop_live(r);
    if (r->reconcile && r->stage_next) {
        enum err e = replica_enter(r, STORE_WRITE);
        if (e == ERR_OK)
            e = replica_leave(r, clear_stage(r));
        if (e != ERR_OK)
            return e;
    }
    struct bucket_position *positions =
        arena_calloc(arena, r->cursor_count + 1u, sizeof *positions);
    if (!positions)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < r->cursor_count && !r->reconcile; i++) {
        const struct cursor *cursor = &r->cursors[i];
        uint64_t at = cursor->staged > cursor->position ? cursor->staged : cursor->position;
        positions[(*ret_count)++] = (struct bucket_position){cursor->bucket, at};
    }
    *ret = positions;
    return ERR_OK;
}

/* ---- renumbering ---- */

struct numbers {
    struct arena *arena;
    uint64_t *oseqs;
    uint32_t count, capacity;
};

static int collect_oseq(void *context, struct bytes key, struct bytes value)
{
    struct numbers *list = context;
    (void)value;
    uint64_t *oseqs =
        arena_extend(list->arena, list->oseqs, list->count, &list->capacity, sizeof *oseqs);
    if (!oseqs)
        return ERR_NOMEM;
    list->oseqs = oseqs;
    oseqs[list->count++] = be64_get(key.data + 8);
    return 0;
}

static enum err own_oseqs(struct replica *r, uint64_t from, struct arena *arena,
                          struct numbers *ret)
{
    *ret = (struct numbers){.arena = arena};
    uint8_t low[REPLICA_KEY], high[REPLICA_KEY];
    own_key(r->origin, from, low);
    own_key(r->origin, UINT64_MAX, high);
    return store_side_scan(r->store, SIDE_OUTBOX, bytes_of(low, sizeof low),
                           bytes_of(high, sizeof high), collect_oseq, ret);
}

/* The base of a record that a pending group touches; a pending insert gets one made, as does one that came
 * back before its group was known to be decided. */
static enum err base_make(struct replica *r, const struct mutation *mutation, const struct dot *dot,
                          struct arena *arena, struct base *ret)
{
    enum err e = base_load(r, mutation->table, &mutation->id, arena, ret);
    if (e != ERR_NOT_FOUND)
        return e;
    *ret = (struct base){0};
    e = store_row_get(r->store, mutation->table, &mutation->id, arena, &ret->row);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    ret->present = e == ERR_OK && ret->row.position > 0;
    if (ret->present)
        return ERR_OK;
    ret->row = (struct store_row){0};
    return base_add_pending(arena, ret, dot);
}

/* The groups that go on under a new origin: those of the own one that are not decided. */
struct fork {
    uint64_t old, origin;
    struct numbers
        moved; /* their old numbers, ascending; the new ones are their places, from 1 on */
};

/* A group moves to the new origin; records follow in renumber_records(). */
static enum err renumber_group(struct replica *r, const struct fork *fork, uint32_t place,
                               struct arena *arena)
{
    uint64_t oseq = fork->moved.oseqs[place];
    struct group *group, fresh;
    enum err e = outbox_group(r, fork->old, oseq, &group);
    if (e == ERR_OK)
        e = group_renumber(group, fork->old, fork->moved.oseqs, fork->moved.count, fork->origin,
                           arena, &fresh);
    buf_reset(&r->encode);
    if (e == ERR_OK)
        e = group_encode(&fresh, &r->encode);
    uint8_t key[REPLICA_KEY];
    if (e == ERR_OK) {
        own_key(fresh.dot.origin, fresh.dot.oseq, key);
        e = store_side_put(r->store, SIDE_OUTBOX, bytes_of(key, sizeof key), buf_view(&r->encode));
    }
    if (e != ERR_OK)
        return e;
    own_key(fork->old, oseq, key);
    return store_side_delete(r->store, SIDE_OUTBOX, bytes_of(key, sizeof key));
}

static int compare_oseqs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void renumber_pending(const struct fork *fork, struct base *base)
{
    for (uint16_t i = 0; i < base->pending_count; i++) {
        struct dot *dot = &base->pending[i];
        const uint64_t *place = dot->origin == fork->old && fork->moved.count
                                    ? bsearch(&dot->oseq, fork->moved.oseqs, fork->moved.count,
                                              sizeof *place, compare_oseqs)
                                    : NULL;
        if (place)
            *dot = (struct dot){fork->origin, (uint64_t)(place - fork->moved.oseqs) + 1, dot->tag};
    }
}

static enum err renumber_records(struct replica *r, const struct fork *fork, uint32_t place,
                                 struct arena *arena)
{
    struct group *group;
    enum err e = outbox_group(r, fork->origin, place + 1u, &group);
    if (e != ERR_OK)
        return e;
    uint32_t count = group->mutation_count;
    for (uint32_t m = 0; e == ERR_OK && m < count; m++) {
        e = outbox_group(r, fork->origin, place + 1u, &group); /* the cache may have moved on */
        if (e != ERR_OK)
            return e;
        const struct mutation mutation = group->mutations[m];
        struct base base;
        arena_reset(arena);
        e = base_make(r, &mutation, &group->dot, arena, &base);
        if (e != ERR_OK)
            return e;
        renumber_pending(fork, &base);
        e = base_show(r, mutation.table, &mutation.id, &base, arena);
    }
    return e;
}

static enum err fork_begin(struct replica *r, uint64_t from, struct arena *arena, struct fork *ret)
{
    enum err e = ERR_OK;
    *ret = (struct fork){.old = r->origin};
    while (e == ERR_OK && (ret->origin == 0 || ret->origin == r->origin))
        e = rng_u64(r->config.rng, &ret->origin);
    if (e == ERR_OK)
        e = own_oseqs(r, from, arena, &ret->moved);
    uint32_t kept = 0;
    for (uint32_t i = 0; e == ERR_OK && i < ret->moved.count; i++)
        if (!mark_has(&r->mark, ret->moved.oseqs[i]))
            ret->moved.oseqs[kept++] = ret->moved.oseqs[i];
    ret->moved.count = kept;
    return e;
}

static enum err fork_all(struct replica *r, uint64_t from)
{
    struct fork fork;
    struct arena list_arena, arena;
    arena_init(&list_arena, REPLICA_ARENA_MAX);
    arena_init(&arena, REPLICA_ARENA_MAX);
    enum err e = fork_begin(r, from, &list_arena, &fork);
    for (uint32_t i = 0; e == ERR_OK && i < fork.moved.count; i++) {
        arena_reset(&arena);
        e = renumber_group(r, &fork, i, &arena);
    }
    if (e == ERR_OK) {
        free(r->mark.ranges);
        r->mark = (struct own_mark){0};
        r->origin = fork.origin;
        r->last_oseq = fork.moved.count;
        r->acknowledged = 0;
        cache_drop(r);
        for (uint32_t i = 0; e == ERR_OK && i < fork.moved.count; i++)
            e = renumber_records(r, &fork, i, &arena);
    }
    if (e == ERR_OK)
        e = pending_note_former(r, fork.old);
    if (e == ERR_OK)
        e = mark_save(r);
    if (e == ERR_OK)
        e = replica_save(r);
    arena_done(&list_arena);
    arena_done(&arena);
    if (e == ERR_OK)
        log_write(r->config.log, LOG_LEVEL_WARNING,
                  "this replica was copied or rolled back: it goes on under a new origin");
    return e;
}

enum err replica_fork(struct replica *r, uint64_t oseq, int64_t wall_ms)
{
    (void)wall_ms;
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    uint64_t first = r->mark.upto + 1;
    e = fork_all(r, oseq < first ? oseq : first);
    e = replica_leave(r, e);
    return e;
}

/* ---- a restored headquarters ---- */

struct known_start {
    uint64_t id;
    struct bytes value; /* as stored: id BE8, then bucket BE4, first position BE8 of each */
};

struct known_starts {
    struct known_start *items;
    uint32_t count, capacity;
    struct arena *arena;
};

static int collect_start(void *context, struct bytes key, struct bytes value)
{
    struct known_starts *known = context;
    (void)key;
    if (value.size < 8 || (value.size - 8) % 12)
        return ERR_CORRUPT;
    struct known_start *items =
        arena_extend(known->arena, known->items, known->count, &known->capacity, sizeof *items);
    if (!items)
        return ERR_NOMEM;
    known->items = items;
    items[known->count].id = be64_get(value.data);
    return (int)arena_copy(known->arena, value, &items[known->count++].value);
}

static bool ahead_of(struct replica *r, const struct incarnation *start)
{
    for (uint32_t i = 0; i < start->first_count; i++)
        for (uint32_t k = 0; k < r->cursor_count; k++) {
            const struct cursor *cursor = &r->cursors[k];
            uint64_t at = cursor->staged > cursor->position ? cursor->staged : cursor->position;
            if (cursor->bucket == start->first[i].bucket && at >= start->first[i].position)
                return true;
        }
    return false;
}

/* Whether a branch that has not heard of this start has positions that the start gives anew: they are of a lost
 * history. */
static bool has_lost(const struct message_welcome *welcome, const struct known_start *start)
{
    for (size_t at = 8; at + 12 <= start->value.size; at += 12)
        for (uint32_t i = 0; i < welcome->buckets_count; i++)
            if (welcome->buckets[i].number == be32_get(start->value.data + at) &&
                welcome->buckets[i].head >= be64_get(start->value.data + at + 4))
                return true;
    return false;
}

static bool tells(const struct incarnation *start, uint32_t bucket)
{
    for (uint32_t i = 0; i < start->first_count; i++)
        if (start->first[i].bucket == bucket)
            return true;
    return false;
}

/* In headquarters' own form. A branch tells of the buckets that it holds: what is known of others stays. */
static enum err keep_start(struct replica *r, uint64_t number, const struct incarnation *start,
                           const struct known_start *known, bool branch)
{
    uint8_t key[8], raw[12];
    be64_put(key, number);
    be64_put(raw, start->id);
    buf_reset(&r->scratch);
    buf_append(&r->scratch, raw, 8);
    for (uint32_t i = 0; i < start->first_count; i++) {
        be32_put(raw, start->first[i].bucket);
        be64_put(raw + 4, start->first[i].position);
        buf_append(&r->scratch, raw, sizeof raw);
    }
    bool same = known && known->id == start->id;
    if (same && bytes_equal(known->value, buf_view(&r->scratch)))
        return ERR_OK;
    for (size_t at = 8; same && branch && at + 12 <= known->value.size; at += 12)
        if (!tells(start, be32_get(known->value.data + at)))
            buf_append(&r->scratch, known->value.data + at, 12);
    if (r->scratch.error != ERR_OK)
        return r->scratch.error;
    return store_side_put(r->store, SIDE_INCARNATION, bytes_of(key, 8), buf_view(&r->scratch));
}

static enum err keep_starts(struct replica *r, const struct message_welcome *welcome,
                            const struct known_starts *known, bool behind)
{
    enum err e = ERR_OK;
    uint32_t count = welcome->incarnations_count;
    for (uint32_t i = 0; e == ERR_OK && i < count; i++)
        e = keep_start(r, i + 1u, &welcome->incarnations[i],
                       i < known->count ? &known->items[i] : NULL, welcome->relay != 0);
    for (uint32_t i = count; e == ERR_OK && i < known->count && !behind; i++) {
        uint8_t key[8];
        be64_put(key, i + 1u);
        e = store_side_delete(r->store, SIDE_INCARNATION, bytes_of(key, 8));
    }
    return e;
}

/* Whether the server's history has lost something that this replica has seen. ERR_BUSY: this replica knows that
 * the branch's has. */
static enum err diverges(struct replica *r, const struct message_welcome *welcome, bool *ret)
{
    struct known_starts known = {.arena = &r->arena};
    enum err e = store_side_scan(r->store, SIDE_INCARNATION, bytes_of(NULL, 0), bytes_of(NULL, 0),
                                 collect_start, &known);
    if (e != ERR_OK)
        return e;
    uint32_t same = 0;
    while (same < known.count && same < welcome->incarnations_count &&
           known.items[same].id == welcome->incarnations[same].id)
        same++;
    bool behind = welcome->relay != 0 && same == welcome->incarnations_count;
    *ret = same < known.count && !behind;
    bool later = *ret && welcome->relay && known.items[same].id > welcome->incarnations[same].id;
    if (later &&
        !welcome->online) /* headquarters' clock may have gone back: who is online is right */
        return ERR_BUSY;
    if (behind && same < known.count && has_lost(welcome, &known.items[same]))
        return ERR_BUSY;
    for (uint32_t i = known.count; i < welcome->incarnations_count && !*ret; i++)
        *ret = ahead_of(r, &welcome->incarnations[i]);
    if (same <
        welcome
            ->incarnations_count) { /* what was told moves no position: it may be lost all the same */
        e = discards_again(r);
        if (e != ERR_OK)
            return e;
    }
    return keep_starts(r, welcome, &known, behind);
}

/* Groups that were decided in the lost history are pending again. */
static enum err pending_again(struct replica *r, const struct mark *mark)
{
    struct arena list_arena, arena;
    arena_init(&list_arena, REPLICA_ARENA_MAX);
    arena_init(&arena, REPLICA_ARENA_MAX);
    struct numbers list = {0};
    enum err e = parked_again(r, mark);
    if (e == ERR_OK)
        e = own_oseqs(r, 0, &list_arena, &list);
    /* What the server says to be decided and is not known to be so here stays pending: its result comes
     * with the checkpoint. */
    struct own_mark before = {0};
    const struct mark now = {r->origin, r->mark.upto, r->mark.ranges, r->mark.count};
    if (e == ERR_OK)
        e = own_mark_copy(&before, &now);
    /* All that is kept goes up again, also what the server says to be decided: it may be that of a copy of this
     * replica which came first. What is there already does no harm; what is not, makes this one fork. What is not
     * kept before that is archived: it stays decided, and its rows are confirmed ones. */
    const struct mark gone = {.origin = r->origin,
                              .upto = list.count ? list.oseqs[0] - 1 : r->last_oseq};
    if (e == ERR_OK)
        e = mark_combine(r, &gone, true);
    for (uint32_t i = 0; e == ERR_OK && i < list.count; i++) {
        uint64_t oseq = list.oseqs[i];
        if (mark_has(&r->mark, oseq) || !mark_has(&before, oseq))
            continue;
        struct group *group;
        r->outbox_count++;
        r->sent_count--;
        e = outbox_group(r, r->origin, oseq, &group);
        for (uint32_t m = 0; e == ERR_OK && m < group->mutation_count; m++) {
            const struct mutation *mutation = &group->mutations[m];
            struct store_row old;
            struct base base;
            bool hidden = false; /* an insert that was set aside: nothing shows it yet */
            arena_reset(&arena);
            e = base_load(r, mutation->table, &mutation->id, &arena, &base);
            if (e == ERR_NOT_FOUND) {
                base = (struct base){0};
                e = store_row_get(r->store, mutation->table, &mutation->id, &arena, &old);
                hidden = e == ERR_NOT_FOUND;
                base.present = e == ERR_OK && mutation->op != MUTATION_INSERT;
                base.row = old;
                e = e == ERR_NOT_FOUND ? ERR_OK : e;
                if (!base.present)
                    base.row = (struct store_row){0};
            }
            if (e == ERR_OK)
                e = base_insert_pending(&arena, &base, &group->dot);
            if (e == ERR_OK)
                e = base_save(r, mutation->table, &mutation->id, &base);
            if (e == ERR_OK && hidden)
                e = base_show(r, mutation->table, &mutation->id, &base, &arena);
            if (e == ERR_LIMIT || e == ERR_MODEL)
                e = ERR_OK; /* it is sent all the same */
        }
    }
    free(before.ranges);
    arena_done(&list_arena);
    arena_done(&arena);
    return e == ERR_OK ? mark_save(r) : e;
}

/* mark: what the server says to be decided of the own origin. */
static enum err start_over(struct replica *r, const struct mark *mark)
{
    log_write(r->config.log, LOG_LEVEL_WARNING,
              "headquarters was restored from a backup: what it lost is sent again");
    enum err e = pending_again(r, mark);
    if (e == ERR_OK)
        e = older_again(r);
    if (e == ERR_OK)
        e = r->config.branch ? relay_start_over(r) : pending_drop_filtered(r, &r->arena);
    if (e == ERR_OK && r->config.branch)
        e = mark_save(r);
    for (uint32_t i = 0; i < r->cursor_count; i++) {
        struct cursor *cursor = &r->cursors[i];
        if (e == ERR_OK)
            e = log_clear(r, cursor->bucket);
        *cursor = (struct cursor){.bucket = cursor->bucket, .dirty = true};
    }
    if (e == ERR_OK)
        e = clear_stage(r);
    if (e == ERR_OK)
        e = cursors_save(r);
    r->reconcile = true;
    r->acknowledged = 0;
    r->upheavals++;
    r->scope_at = 0; /* positions are other ones now */
    return e;
}

enum err replica_disown(struct replica *r)
{
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    arena_reset(&r->arena);
    const struct mark none = {.origin = r->origin};
    if (r->mark.upto > 0 || r->mark.count > 0)
        e = start_over(r, &none);
    if (e == ERR_OK)
        e = fork_all(r, 1);
    return replica_leave(r, e);
}

/* ---- welcome ---- */

static enum err welcome_body(struct replica *r, const struct uuid *history,
                             const struct message_welcome *welcome, bool *ret_forked,
                             bool *ret_diverged)
{
    enum err e = ERR_OK;
    if (!r->have_history)
        e = store_side_put(r->store, SIDE_META, bytes_of_text("history"),
                           bytes_of(history->byte, 16));
    if (e == ERR_OK)
        e = diverges(r, welcome, ret_diverged);
    const struct mark none = {.origin = r->origin};
    const struct mark *mark = welcome->marks_count ? &welcome->marks[0] : NULL;
    if (e == ERR_OK && *ret_diverged) /* what it lost of attachments it is offered again */
        e = blob_unconfirm_all(r->store);
    if (e == ERR_OK && *ret_diverged)
        e = start_over(r, mark ? mark : &none);
    if (e == ERR_OK)
        e = scope_take(r, welcome);
    if (e == ERR_OK)
        e = scope_floors(r, welcome);
    uint64_t highest = 0;
    if (mark)
        highest = mark->range_count ? mark->ranges[mark->range_count - 1].to : mark->upto;
    *ret_forked = welcome->fork || highest > r->last_oseq;
    if (e == ERR_OK && *ret_forked)
        e = fork_all(r, r->mark.upto + 1);
    return e == ERR_OK ? replica_save(r) : e;
}

enum err replica_welcome(struct replica *r, const struct uuid *history,
                         const struct message_welcome *welcome, int64_t wall_ms, bool *ret_forked,
                         bool *ret_diverged)
{
    (void)wall_ms;
    if (r->have_history && !uuid_equal(history, &r->history))
        return ERR_PROTOCOL;
    if (welcome->scope < r->scope && !welcome->incarnations_count)
        return ERR_PROTOCOL;
    bool forked = false, diverged = false;
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    arena_reset(&r->arena);
    e = welcome_body(r, history, welcome, &forked, &diverged);
    e = replica_leave(r, e);
    if (e != ERR_OK)
        return e;
    arena_reset(&r->arena);
    r->history = *history;
    r->have_history = true;
    *ret_forked = forked;
    *ret_diverged = diverged;
    return ERR_OK;
}
