/* replica.c - opening, the state in memory, reading. */
#include "client/core/replica_internal.h"
#include "client/core/replica_relay.h"
#include "protocol/mark.h"

#include <stdlib.h>
#include <string.h>

enum {
    FLAG_BOOTSTRAPPED = 1,
    FLAG_RECONCILE = 2,
    FLAG_OLDER = 4,
    FLAG_DIFFERS = 8,
    STATE_SIZE = 41
};

void own_key(uint64_t origin, uint64_t oseq, uint8_t out[REPLICA_KEY])
{
    be64_put(out, origin);
    be64_put(out + 8, oseq);
}

/* ---- marks ---- */

bool mark_has(const struct own_mark *mark, uint64_t oseq)
{
    if (oseq <= mark->upto)
        return true;
    for (uint32_t i = 0; i < mark->count; i++)
        if (oseq >= mark->ranges[i].from && oseq <= mark->ranges[i].to)
            return true;
    return false;
}

enum err own_mark_copy(struct own_mark *to, const struct mark *from)
{
    struct oseq_range *ranges = NULL;
    if (from->range_count) {
        ranges = malloc(from->range_count * sizeof *ranges);
        if (!ranges)
            return ERR_NOMEM;
        memcpy(ranges, from->ranges, from->range_count * sizeof *ranges);
    }
    free(to->ranges);
    *to = (struct own_mark){from->upto, ranges, from->range_count};
    return ERR_OK;
}

enum err mark_set(struct replica *r, const struct mark *from)
{
    return own_mark_copy(&r->mark, from);
}

struct range_list {
    struct oseq_range *items; /* ascending, apart; heap */
    uint32_t count;
};

static enum err ranges_of(uint64_t upto, const struct oseq_range *ranges, uint32_t count,
                          struct range_list *ret)
{
    ret->items = malloc((count + 1u) * sizeof *ret->items);
    if (!ret->items)
        return ERR_NOMEM;
    ret->count = 0;
    if (upto)
        ret->items[ret->count++] = (struct oseq_range){1, upto};
    for (uint32_t i = 0; i < count; i++)
        ret->items[ret->count++] = ranges[i];
    return ERR_OK;
}

static void join_lists(const struct range_list *a, const struct range_list *b,
                       struct range_list *out)
{
    for (uint32_t i = 0, k = 0; i < a->count || k < b->count;) {
        bool first = k == b->count || (i < a->count && a->items[i].from < b->items[k].from);
        struct oseq_range next = first ? a->items[i++] : b->items[k++];
        struct oseq_range *last = out->count ? &out->items[out->count - 1] : NULL;
        if (last && next.from <= last->to + 1)
            last->to = next.to > last->to ? next.to : last->to;
        else
            out->items[out->count++] = next;
    }
}

static void meet_lists(const struct range_list *a, const struct range_list *b,
                       struct range_list *out)
{
    for (uint32_t i = 0, k = 0; i < a->count && k < b->count;) {
        uint64_t from = a->items[i].from > b->items[k].from ? a->items[i].from : b->items[k].from;
        uint64_t to = a->items[i].to < b->items[k].to ? a->items[i].to : b->items[k].to;
        if (from <= to)
            out->items[out->count++] = (struct oseq_range){from, to};
        if (a->items[i].to < b->items[k].to)
            i++;
        else
            k++;
    }
}

enum err mark_combine(struct replica *r, const struct mark *with, bool meet)
{
    struct range_list a = {0}, b = {0}, out = {0};
    enum err e = ranges_of(r->mark.upto, r->mark.ranges, r->mark.count, &a);
    if (e == ERR_OK)
        e = ranges_of(with->upto, with->ranges, with->range_count, &b);
    out.items = malloc((a.count + b.count + 1u) * sizeof *out.items);
    if (e == ERR_OK && !out.items)
        e = ERR_NOMEM;
    if (e == ERR_OK) {
        if (meet)
            meet_lists(&a, &b, &out);
        else
            join_lists(&a, &b, &out);
        bool low = out.count && out.items[0].from == 1;
        const struct mark mark = {.origin = r->origin,
                                  .upto = low ? out.items[0].to : 0,
                                  .ranges = out.items + low,
                                  .range_count = out.count - low};
        e = mark_set(r, &mark);
    }
    free(a.items);
    free(b.items);
    free(out.items);
    return e;
}

enum err mark_put(struct replica *r, const struct mark *mark)
{
    uint8_t key[8];
    be64_put(key, mark->origin);
    buf_reset(&r->scratch);
    mark_pack(mark, &r->scratch);
    if (r->scratch.error != ERR_OK)
        return r->scratch.error;
    return store_side_put(r->store, SIDE_MARK, bytes_of(key, 8), buf_view(&r->scratch));
}

enum err mark_save(struct replica *r)
{
    const struct mark mark = {r->origin, r->mark.upto, r->mark.ranges, r->mark.count};
    return mark_put(r, &mark);
}

static enum err mark_load(struct replica *r)
{
    struct mark mark;
    enum err e = relay_mark_from(r->store, r->origin, &r->arena, &mark);
    return e == ERR_OK ? mark_set(r, &mark) : e;
}

bool is_own_pending(const struct replica *r, const struct dot *dot)
{
    return dot->origin == r->origin && !mark_has(&r->mark, dot->oseq);
}

bool is_pending(const struct replica *r, const struct dot *dot)
{
    uint8_t key[REPLICA_KEY];
    if (dot->origin == r->origin)
        return is_own_pending(r, dot);
    own_key(dot->origin, dot->oseq, key);
    return hash_map_get(&r->pending, bytes_of(key, sizeof key)) != NULL;
}

bool is_waiting_insert(const struct replica *r, const struct store_row *row,
                       const struct dot *insert)
{
    return row->position == 0 && is_pending(r, insert);
}

/* ---- cursors: position BE8, staged BE8, count BE8, sum 16 ---- */

struct cursor *cursor_get(struct replica *r, uint32_t bucket)
{
    uint32_t i = 0;
    while (i < r->cursor_count && r->cursors[i].bucket < bucket)
        i++;
    if (i < r->cursor_count && r->cursors[i].bucket == bucket)
        return &r->cursors[i];
    if (r->cursor_count == r->cursor_capacity) {
        uint32_t capacity = r->cursor_capacity ? r->cursor_capacity * 2 : 8;
        struct cursor *grown = realloc(r->cursors, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        r->cursors = grown;
        r->cursor_capacity = capacity;
    }
    memmove(r->cursors + i + 1, r->cursors + i, (r->cursor_count - i) * sizeof *r->cursors);
    r->cursor_count++;
    r->cursors[i] = (struct cursor){.bucket = bucket};
    return &r->cursors[i];
}

bool bucket_subscribed(const struct replica *r, uint32_t bucket)
{
    for (uint32_t i = 0; i < r->cursor_count; i++)
        if (r->cursors[i].bucket == bucket)
            return true;
    return false;
}

static int load_cursor(void *context, struct bytes key, struct bytes value)
{
    struct replica *r = context;
    if (key.size != 4 || value.size != 40)
        return ERR_CORRUPT;
    struct cursor *cursor = cursor_get(r, be32_get(key.data));
    if (!cursor)
        return ERR_NOMEM;
    cursor->position = be64_get(value.data);
    cursor->staged = be64_get(value.data + 8);
    cursor->count = be64_get(value.data + 16);
    memcpy(cursor->sum.byte, value.data + 24, 16);
    return 0;
}

enum err cursors_save(struct replica *r)
{
    for (uint32_t i = 0; i < r->cursor_count; i++) {
        struct cursor *cursor = &r->cursors[i];
        if (!cursor->dirty)
            continue;
        uint8_t key[4], value[40];
        be32_put(key, cursor->bucket);
        be64_put(value, cursor->position);
        be64_put(value + 8, cursor->staged);
        be64_put(value + 16, cursor->count);
        memcpy(value + 24, cursor->sum.byte, 16);
        enum err e = store_side_put(r->store, SIDE_CURSOR, bytes_of(key, 4), bytes_of(value, 40));
        if (e != ERR_OK)
            return e;
        cursor->dirty = false;
    }
    return ERR_OK;
}

/* ---- the state ---- */

enum err replica_save(struct replica *r)
{
    uint8_t value[STATE_SIZE];
    be64_put(value, r->origin);
    be64_put(value + 8, r->last_oseq);
    be64_put(value + 16, r->hlc);
    be64_put(value + 24, r->scope);
    be64_put(value + 32, (uint64_t)r->last_checkpoint_ms);
    value[40] =
        (uint8_t)((r->bootstrapped ? FLAG_BOOTSTRAPPED : 0) | (r->reconcile ? FLAG_RECONCILE : 0) |
                  (r->older ? FLAG_OLDER : 0) | (r->differs ? FLAG_DIFFERS : 0));
    return store_side_put(r->store, SIDE_META, bytes_of_text("state"),
                          bytes_of(value, sizeof value));
}

static int count_own(void *context, struct bytes key, struct bytes value)
{
    struct replica *r = context;
    (void)value;
    if (key.size != REPLICA_KEY)
        return ERR_CORRUPT;
    struct dot dot = {be64_get(key.data), be64_get(key.data + 8), 0};
    if (is_own_pending(r, &dot))
        r->outbox_count++;
    else
        r->sent_count++;
    return 0;
}

static int count_entry(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(uint64_t *)context;
    return 0;
}

static int load_bucket_key(void *context, struct bytes key, struct bytes value)
{
    struct replica *r = context;
    if (value.size != 4)
        return ERR_CORRUPT;
    return (int)hash_map_put_number(&r->bucket_keys, key, be32_get(value.data));
}

static int last_stage(void *context, struct bytes key, struct bytes value)
{
    (void)value;
    *(uint64_t *)context = be64_get(key.data) + 1;
    return 0;
}

static enum err load_lists(struct replica *r)
{
    const struct bytes none = bytes_of(NULL, 0);
    r->outbox_count = r->sent_count = r->parked_count = r->attention_count = r->stage_next = 0;
    r->cursor_count = 0;
    hash_map_clear(&r->bucket_keys);
    enum err e = store_side_scan(r->store, SIDE_OUTBOX, none, none, count_own, r);
    if (e == ERR_OK)
        e = store_side_scan(r->store, SIDE_PARKED, none, none, count_entry, &r->parked_count);
    if (e == ERR_OK)
        e = store_side_scan(r->store, SIDE_ATTENTION, none, none, count_entry, &r->attention_count);
    if (e == ERR_OK)
        e = store_side_scan(r->store, SIDE_CURSOR, none, none, load_cursor, r);
    if (e == ERR_OK)
        e = store_side_scan(r->store, SIDE_BUCKET_KEY, none, none, load_bucket_key, r);
    if (e == ERR_OK)
        e = store_side_scan(r->store, SIDE_STAGE, none, none, last_stage, &r->stage_next);
    return e;
}

static enum err replica_new(struct replica *r)
{
    enum err e = ERR_OK;
    r->run_next = 1;
    while (e == ERR_OK && r->origin == 0)
        e = rng_u64(r->config.rng, &r->origin);
    if (e == ERR_OK)
        e = model_show_anew(r);
    return e == ERR_OK ? replica_save(r) : e;
}

enum err replica_load(struct replica *r)
{
    struct bytes value;
    arena_reset(&r->arena);
    enum err e = store_side_get(r->store, SIDE_META, bytes_of_text("state"), &r->arena, &value);
    if (e == ERR_NOT_FOUND)
        return ERR_NOT_FOUND;
    if (e == ERR_OK && value.size != STATE_SIZE)
        e = ERR_CORRUPT;
    if (e != ERR_OK)
        return e;
    r->origin = be64_get(value.data);
    r->last_oseq = be64_get(value.data + 8);
    r->hlc = be64_get(value.data + 16);
    r->scope = be64_get(value.data + 24);
    r->last_checkpoint_ms = (int64_t)be64_get(value.data + 32);
    r->bootstrapped = value.data[40] & FLAG_BOOTSTRAPPED;
    r->reconcile = (value.data[40] & FLAG_RECONCILE) != 0;
    r->older = (value.data[40] & FLAG_OLDER) != 0;
    r->differs = (value.data[40] & FLAG_DIFFERS) != 0;
    e = store_side_get(r->store, SIDE_META, bytes_of_text("history"), &r->arena, &value);
    if (e == ERR_OK && value.size != 16)
        return ERR_CORRUPT;
    r->have_history = e == ERR_OK;
    if (r->have_history)
        memcpy(r->history.byte, value.data, 16);
    if (e == ERR_OK || e == ERR_NOT_FOUND)
        e = mark_load(r);
    if (e == ERR_OK)
        e = load_lists(r);
    if (e == ERR_OK)
        e = pending_load(r);
    if (e == ERR_OK)
        e = scope_load(r);
    cache_drop(r);
    arena_reset(&r->arena);
    return e;
}

/* Memory as the store has it again. Where that fails now, the next transaction begins with it. */
static void reload(struct replica *r)
{
    r->writing = false;
    r->mutation_count = 0;
    r->stale = true;
    replica_compare_drop(r); /* its sums followed what was undone */
    arena_reset(&r->arena);
    if (store_begin(r->store, STORE_READ) != ERR_OK)
        return;
    r->stale = replica_load(r) != ERR_OK;
    store_rollback(r->store);
}

void replica_abort(struct replica *r)
{
    store_rollback(r->store);
    reload(r);
}

enum err replica_enter(struct replica *r, enum store_mode mode)
{
    enum err e = store_begin(r->store, mode);
    if (e != ERR_OK || !r->stale)
        return e;
    e = replica_load(r);
    r->stale = e != ERR_OK;
    if (e != ERR_OK)
        store_rollback(r->store);
    return e;
}

enum err replica_leave(struct replica *r, enum err e)
{
    if (e != ERR_OK) {
        replica_abort(r);
        return e;
    }
    e = store_commit(r->store);
    if (e != ERR_OK)
        reload(r); /* the transaction is over as well */
    return e;
}

enum err replica_open(const struct replica_config *config, struct replica **ret,
                      struct err_info *info)
{
    struct replica *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(info, ERR_NOMEM, "out of memory");
    r->config = *config;
    r->model = config->model;
    r->store = config->store;
    arena_init(&r->arena, REPLICA_ARENA_MAX);
    arena_init(&r->cache.arena, REPLICA_ARENA_MAX);
    buf_init(&r->scratch, GROUP_KEPT_MAX);
    buf_init(&r->encode, GROUP_BYTES_MAX);
    hash_map_init(&r->bucket_keys, BUCKETS_MAX, 0);
    hash_map_init(&r->pending, PENDING_GROUPS_MAX, 0);
    /* Only a new one, and one of a new model, is written to: a handle that reads beside a writer opens as well. */
    bool is_new = false;
    enum err e = store_begin(r->store, STORE_READ);
    if (e == ERR_OK) {
        e = replica_load(r);
        if (e == ERR_OK)
            e = model_is_new(r, &is_new);
        store_rollback(r->store);
    }
    if ((e == ERR_NOT_FOUND || (e == ERR_OK && is_new)) &&
        (e = store_begin(r->store, STORE_WRITE)) == ERR_OK) {
        e = is_new ? model_show_anew(r) : replica_new(r);
        if (e == ERR_OK)
            e = store_commit(r->store);
        else
            store_rollback(r->store);
    }
    if (e == ERR_FORBIDDEN && is_new)
        e = ERR_OK; /* for reading only: it shows what there is */
    if (e != ERR_OK) {
        replica_close(r);
        return err_set(info, e, "the replica could not be opened: %s", err_text(e));
    }
    *ret = r;
    return ERR_OK;
}

void drop_pages(struct held_page **head, struct held_page **tail, size_t *bytes)
{
    while (*head) {
        struct held_page *next = (*head)->next;
        free(*head);
        *head = next;
    }
    *tail = NULL;
    *bytes = 0;
}

void replica_close(struct replica *r)
{
    if (!r)
        return;
    if (r->writing)
        store_rollback(r->store);
    replica_compare_drop(r);
    drop_pages(&r->live, &r->live_tail, &r->live_bytes);
    drop_pages(&r->caught, &r->caught_tail, &r->caught_bytes);
    free(r->mark.ranges);
    free(r->cursors);
    free(r->mutations);
    hash_map_done(&r->bucket_keys);
    hash_map_done(&r->pending);
    fates_drop(r, UINT64_MAX);
    buf_done(&r->scratch);
    buf_done(&r->encode);
    arena_done(&r->arena);
    arena_done(&r->cache.arena);
    free(r);
}

/* ---- records ---- */

enum err record_from_row(const struct model_table *table, const struct store_row *row,
                         struct arena *arena, struct record *ret)
{
    struct record record = {.present = true, .dead = row->dead, .values = row->values};
    enum err e = version_decode(table, row->version, arena, &record.version);
    if (e == ERR_OK)
        *ret = record;
    return e == ERR_MALFORMED || e == ERR_MODEL ? ERR_CORRUPT : e;
}

enum err row_from_record(struct replica *r, const struct model_table *table,
                         const struct record *record, struct arena *arena, struct store_row *ret)
{
    buf_reset(&r->scratch);
    enum err e = version_encode(table, &record->version, &r->scratch);
    struct bytes version;
    if (e == ERR_OK)
        e = arena_copy(arena, buf_view(&r->scratch), &version);
    if (e != ERR_OK)
        return e;
    ret->values = record->values;
    ret->version = version;
    ret->dead = record->dead;
    return ERR_OK;
}

uint32_t route_bucket(struct replica *r, const struct model_table *table,
                      const struct value *values)
{
    struct route route = route_record(table, values);
    if (route.inherit) {
        const struct model_table *parent =
            &r->model->tables[table->columns[table->parent_column].target];
        struct store_row row;
        return store_row_get(r->store, parent, &route.parent, &r->arena, &row) == ERR_OK
                   ? row.bucket
                   : 0;
    }
    if (route.kind == BUCKET_KIND_COMPANY)
        return BUCKET_NUMBER_COMPANY;
    if (route.kind == BUCKET_KIND_UNASSIGNED)
        return BUCKET_NUMBER_UNASSIGNED;
    uint8_t key[ROUTE_KEY_SIZE];
    route_key(route.kind, &route.key, key);
    union hash_value *found = hash_map_get(&r->bucket_keys, bytes_of(key, sizeof key));
    return found ? (uint32_t)found->number : 0;
}

enum err replica_get(struct replica *r, const struct model_table *table, const struct uuid *id,
                     struct arena *arena, struct replica_record *ret)
{
    bool inside = r->writing;
    enum err e = inside ? ERR_OK : replica_enter(r, STORE_READ);
    if (e != ERR_OK)
        return e;
    struct store_row row;
    struct replica_record found = {0};
    e = shown_row(r, table, id, arena, &row);
    if (e == ERR_OK)
        e = record_from_row(table, &row, arena, &found.record);
    if (e == ERR_OK) {
        found.bucket = row.bucket;
        struct base base;
        enum err b = base_load(r, table, id, arena, &base);
        if (b == ERR_OK)
            found.pending = base.pending_count;
        else if (b == ERR_NOT_FOUND)
            found.pending = is_waiting_insert(r, &row, &found.record.version.insert);
        else
            e = b;
    }
    if (!inside)
        store_rollback(r->store);
    if (e == ERR_OK)
        *ret = found;
    return e;
}

void replica_status(const struct replica *r, struct replica_status *ret)
{
    *ret = (struct replica_status){.origin = r->origin,
                                   .last_oseq = r->last_oseq,
                                   .decided_upto = r->mark.upto,
                                   .outbox_count = r->outbox_count,
                                   .parked_count = r->parked_count,
                                   .sent_count = r->sent_count,
                                   .attention_count = r->attention_count,
                                   .history = r->history,
                                   .bootstrapped = r->bootstrapped,
                                   .reconcile = r->reconcile,
                                   .differs = r->differs,
                                   .older = r->older,
                                   .last_checkpoint_ms = r->last_checkpoint_ms,
                                   .scope = r->scope};
    for (uint32_t i = 0; i < r->cursor_count; i++)
        ret->records += r->cursors[i].count;
}

uint64_t replica_scope(const struct replica *r)
{
    return r->scope;
}

void replica_set_online(struct replica *r, bool online)
{
    r->online = online;
}

bool replica_online(const struct replica *r)
{
    return r->online;
}
