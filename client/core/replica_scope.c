/* replica_scope.c - which buckets are here: what a WELCOME says, and rows that leave with theirs.
 *
 * Model:      headquarters says all that is in scope; a branch only what it holds, and takes nothing away.
 * Source:     SPEC.md 10.10, 12.2. */
#include "client/core/replica_log.h"

#include <string.h>

static bool welcomes(const struct message_welcome *welcome, uint32_t bucket)
{
    for (uint32_t i = 0; i < welcome->buckets_count; i++)
        if (welcome->buckets[i].number == bucket)
            return true;
    return false;
}

/* What stays: the buckets of a WELCOME, or all but these. */
struct staying {
    const struct message_welcome *welcome;
    const struct message_leave *leave;
};

static bool stays(const struct staying *staying, uint32_t bucket)
{
    if (staying->welcome)
        return welcomes(staying->welcome, bucket);
    for (uint32_t i = 0; i < staying->leave->buckets_count; i++)
        if (staying->leave->buckets[i].number == bucket)
            return false;
    return true;
}

struct leaving {
    struct replica *r;
    const struct staying *staying;
    const struct model_table *table;
    struct arena arena, row_arena;
    struct store_ids list;
};

static int collect_leaving(void *context, const struct uuid *id)
{
    struct leaving *leaving = context;
    struct base base;
    struct store_row row;
    struct version_head head;
    arena_reset(&leaving->row_arena);
    enum err e = base_load(leaving->r, leaving->table, id, &leaving->row_arena, &base);
    if (e == ERR_OK) {
        bool leaves = base.present && !stays(leaving->staying, base.row.bucket);
        return leaves ? store_ids_add(&leaving->list, id) : 0;
    }
    if (e != ERR_NOT_FOUND)
        return (int)e;
    e = store_row_get(leaving->r->store, leaving->table, id, &leaving->row_arena, &row);
    if (e != ERR_OK)
        return (int)e;
    if (row.bucket == 0 || stays(leaving->staying, row.bucket))
        return 0;
    if (version_peek(row.version, &head) != ERR_OK)
        return ERR_CORRUPT;
    if (is_waiting_insert(leaving->r, &row, &head.insert))
        return 0;
    return store_ids_add(&leaving->list, id);
}

/* What the outbox touches stays until it is sent, but in no bucket: should its bucket be subscribed
 * again, that one's sum begins at nothing. */
static enum err drop_row(struct leaving *leaving, const struct uuid *id)
{
    struct base base;
    arena_reset(&leaving->row_arena);
    enum err e = base_load(leaving->r, leaving->table, id, &leaving->row_arena, &base);
    if (e == ERR_NOT_FOUND)
        return store_row_delete(leaving->r->store, leaving->table, id);
    base.row.bucket = 0;
    return e == ERR_OK ? base_save(leaving->r, leaving->table, id, &base) : e;
}

/* Rows of buckets that are no longer subscribed go. */
static enum err drop_rows(struct replica *r, const struct staying *staying)
{
    enum err e = ERR_OK;
    struct leaving leaving = {.r = r, .staying = staying};
    arena_init(&leaving.arena, REPLICA_ARENA_MAX);
    arena_init(&leaving.row_arena, REPLICA_ARENA_MAX);
    for (uint16_t t = 0; e == ERR_OK && t < r->model->table_count; t++) {
        leaving.table = &r->model->tables[t];
        leaving.list = (struct store_ids){.arena = &leaving.arena};
        arena_reset(&leaving.arena);
        e = store_row_scan(r->store, leaving.table, NULL, collect_leaving, &leaving);
        if (e == ERR_OK)
            e = store_dead_scan(r->store, leaving.table, collect_leaving, &leaving);
        for (uint32_t i = 0; e == ERR_OK && i < leaving.list.count; i++)
            e = drop_row(&leaving, &leaving.list.ids[i]);
    }
    arena_done(&leaving.arena);
    arena_done(&leaving.row_arena);
    return e;
}

/* Rows, cursors and the log of what does not stay go, and what others' pending groups say of it. */
static enum err drop_others(struct replica *r, const struct staying *staying)
{
    enum err e = pending_drop_filtered(r, &r->arena);
    if (e == ERR_OK)
        e = drop_rows(r, staying);
    for (uint32_t i = 0; e == ERR_OK && i < r->cursor_count;) {
        uint8_t key[4];
        be32_put(key, r->cursors[i].bucket);
        if (stays(staying, r->cursors[i].bucket)) {
            i++;
            continue;
        }
        e = store_side_delete(r->store, SIDE_CURSOR, bytes_of(key, 4));
        if (e == ERR_OK)
            e = log_clear(r, r->cursors[i].bucket);
        r->cursor_count--;
        memmove(r->cursors + i, r->cursors + i + 1, (r->cursor_count - i) * sizeof *r->cursors);
    }
    return e;
}

static bool loses(const struct replica *r, const struct staying *staying)
{
    for (uint32_t i = 0; i < r->cursor_count; i++)
        if (!stays(staying, r->cursors[i].bucket))
            return true;
    return false;
}

enum err replica_leave_buckets(struct replica *r, const struct message_leave *leave)
{
    const struct staying staying = {.leave = leave};
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    arena_reset(&r->arena);
    if (loses(r, &staying))
        e = drop_others(r, &staying);
    return replica_leave(r, e);
}

enum err scope_take(struct replica *r, const struct message_welcome *welcome)
{
    enum err e = ERR_OK;
    const struct staying staying = {.welcome = welcome};
    for (uint32_t i = 0; e == ERR_OK && i < welcome->buckets_count; i++) {
        const struct bucket_name *name = &welcome->buckets[i];
        uint8_t key[ROUTE_KEY_SIZE], number[4];
        route_key((enum bucket_kind)name->kind, &name->key, key);
        be32_put(number, name->number);
        union hash_value *known = hash_map_get(&r->bucket_keys, bytes_of(key, sizeof key));
        if (known && known->number == name->number)
            continue;
        e = hash_map_put_number(&r->bucket_keys, bytes_of(key, sizeof key), name->number);
        if (e == ERR_OK)
            e = store_side_put(r->store, SIDE_BUCKET_KEY, bytes_of(key, sizeof key),
                               bytes_of(number, 4));
    }
    /* what a branch lacks it does not take away: what it has, and may not show, it names (LEAVE) */
    if (e == ERR_OK && welcome->relay == 0 && loses(r, &staying))
        e = drop_others(r, &staying);
    if (welcome->relay == 0 || welcome->scope > r->scope)
        r->scope = welcome->scope;
    return e;
}
