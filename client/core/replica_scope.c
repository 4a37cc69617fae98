/* replica_scope.c - which buckets are here: what a WELCOME says, and rows that leave with theirs.
 *
 * Model:      scope is a function of the company's records, which are in one bucket. A WELCOME says all that is in
 *             scope as of its server's head of that bucket: at a branch also what it does not hold, by kind and
 *             key. The list here is replaced by one that is as new, or newer.
 * Stored:     META "scope_at" -> the head that the list here is of, BE8.
 * Source:     SPEC.md 10.10, 12.2. */
#include "client/core/replica_log.h"

#include <string.h>

enum { ROLE_SEES_ALL = 3 /* WELCOME.role: administrators */ };
#define META_SCOPE_AT "scope_at"

enum err scope_load(struct replica *r)
{
    struct bytes value;
    r->scope_at = 0;
    enum err e =
        store_side_get(r->store, SIDE_META, bytes_of_text(META_SCOPE_AT), &r->arena, &value);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (value.size != 8)
        return ERR_CORRUPT;
    r->scope_at = be64_get(value.data);
    return ERR_OK;
}

/* By its number here, or by its name where the server does not hold it. */
static bool names(const struct replica *r, const struct bucket_name *name, uint32_t bucket)
{
    uint8_t key[ROUTE_KEY_SIZE];
    if (name->number != 0)
        return name->number == bucket;
    route_key((enum bucket_kind)name->kind, &name->key, key);
    union hash_value *known = hash_map_get(&r->bucket_keys, bytes_of(key, sizeof key));
    return known && known->number == bucket;
}

static bool stays(const struct replica *r, const struct message_welcome *welcome, uint32_t bucket)
{
    for (uint32_t i = 0; i < welcome->buckets_count; i++)
        if (names(r, &welcome->buckets[i], bucket))
            return true;
    return false;
}

struct leaving {
    struct replica *r;
    const struct message_welcome *welcome;
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
        bool leaves = base.present && !stays(leaving->r, leaving->welcome, base.row.bucket);
        return leaves ? store_ids_add(&leaving->list, id) : 0;
    }
    if (e != ERR_NOT_FOUND)
        return (int)e;
    e = store_row_get(leaving->r->store, leaving->table, id, &leaving->row_arena, &row);
    if (e != ERR_OK)
        return (int)e;
    if (row.bucket == 0 || stays(leaving->r, leaving->welcome, row.bucket))
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
static enum err drop_rows(struct replica *r, const struct message_welcome *welcome)
{
    enum err e = ERR_OK;
    struct leaving leaving = {.r = r, .welcome = welcome};
    arena_init(&leaving.arena, REPLICA_ARENA_MAX);
    arena_init(&leaving.row_arena, REPLICA_ARENA_MAX);
    for (uint16_t t = 0; e == ERR_OK && t < r->model->table_count; t++) {
        leaving.table = &r->model->tables[t];
        leaving.list = (struct store_ids){.arena = &leaving.arena};
        arena_reset(&leaving.arena);
        e = store_row_scan(r->store, leaving.table, NULL, collect_leaving, &leaving);
        if (e == ERR_OK)
            e = store_dead_scan(r->store, leaving.table, NULL, collect_leaving, &leaving);
        for (uint32_t i = 0; e == ERR_OK && i < leaving.list.count; i++)
            e = drop_row(&leaving, &leaving.list.ids[i]);
    }
    arena_done(&leaving.arena);
    arena_done(&leaving.row_arena);
    return e;
}

/* Rows, cursors and the log of what does not stay go, and what others' pending groups say of it. */
static enum err drop_others(struct replica *r, const struct message_welcome *welcome)
{
    enum err e = pending_drop_filtered(r, &r->arena);
    r->upheavals++;
    if (e == ERR_OK)
        e = drop_rows(r, welcome);
    for (uint32_t i = 0; e == ERR_OK && i < r->cursor_count;) {
        uint8_t key[4];
        be32_put(key, r->cursors[i].bucket);
        if (stays(r, welcome, r->cursors[i].bucket)) {
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

static bool loses(const struct replica *r, const struct message_welcome *welcome)
{
    for (uint32_t i = 0; i < r->cursor_count; i++)
        if (!stays(r, welcome, r->cursors[i].bucket))
            return true;
    return false;
}

/* The server's head of the company's bucket; 0: it holds nothing. */
static uint64_t company_head(const struct message_welcome *welcome)
{
    for (uint32_t i = 0; i < welcome->buckets_count; i++)
        if (welcome->buckets[i].number == BUCKET_NUMBER_COMPANY)
            return welcome->buckets[i].head;
    return 0;
}

/* Buckets come to be at headquarters: what it lists to an administrator is all that there is. A branch lists what it
 * holds. */
static bool is_whole(const struct replica *r, const struct message_welcome *welcome)
{
    if (welcome->relay == 0)
        return true;
    return welcome->role < ROLE_SEES_ALL && company_head(welcome) > 0 &&
           company_head(welcome) >= r->scope_at;
}

static enum err note_name(struct replica *r, const struct bucket_name *name)
{
    uint8_t key[ROUTE_KEY_SIZE], number[4];
    route_key((enum bucket_kind)name->kind, &name->key, key);
    be32_put(number, name->number);
    union hash_value *known = hash_map_get(&r->bucket_keys, bytes_of(key, sizeof key));
    if (name->number == 0 || (known && known->number == name->number))
        return ERR_OK;
    enum err e = hash_map_put_number(&r->bucket_keys, bytes_of(key, sizeof key), name->number);
    return e == ERR_OK ? store_side_put(r->store, SIDE_BUCKET_KEY, bytes_of(key, sizeof key),
                                        bytes_of(number, 4))
                       : e;
}

static enum err replace_list(struct replica *r, const struct message_welcome *welcome)
{
    uint8_t value[8];
    uint64_t at = company_head(welcome);
    enum err e = loses(r, welcome) ? drop_others(r, welcome) : ERR_OK;
    if (e != ERR_OK || at == r->scope_at)
        return e;
    be64_put(value, at);
    r->scope_at = at;
    return store_side_put(r->store, SIDE_META, bytes_of_text(META_SCOPE_AT), bytes_of(value, 8));
}

enum err scope_take(struct replica *r, const struct message_welcome *welcome)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < welcome->buckets_count; i++)
        e = note_name(r, &welcome->buckets[i]);
    if (e == ERR_OK && is_whole(r, welcome))
        e = replace_list(r, welcome);
    if (welcome->relay == 0 || welcome->scope > r->scope)
        r->scope = welcome->scope;
    return e;
}

/* Below a floor the server's log does not say any more what has gone since: everything is read anew, and what is not
 * there any more is removed. What waits here stays. */
enum err scope_floors(struct replica *r, const struct message_welcome *welcome)
{
    bool below = false;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < welcome->floors_count; i++) {
        const struct bucket_position *floor = &welcome->floors[i];
        uint64_t at = 0;
        for (uint32_t k = 0; k < r->cursor_count; k++) {
            const struct cursor *cursor = &r->cursors[k];
            if (cursor->bucket == floor->bucket)
                at = cursor->staged > cursor->position ? cursor->staged : cursor->position;
        }
        below |= at > 0 && at < floor->position;
        if (at == 0 && r->config.branch)
            e = log_floor(r, floor->bucket, floor->position);
    }
    r->reconcile |= below;
    if (below)
        log_write(r->config.log, LOG_LEVEL_INFO,
                  "this replica was away for longer than deletions are kept: it reads anew");
    return e;
}
