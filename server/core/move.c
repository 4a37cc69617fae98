/* move.c - records that change their bucket, with everything that belongs to them.
 *
 * Model:      a move gives a record a position in its new bucket and a new revision. In the log of the old
 *             bucket its departure takes the place of the record (MOVED: table, id, bucket -> position BE8,
 *             when BE8, and eight bytes of nothing if the record was purged), at most one per record and bucket; it goes when
 *             the record comes back, and with the horizon.
 * Order:      within a group parents are written before what belongs to them, so that each record finds its
 *             bucket where its parent is now; then follows what the group did not write. What came before its parent was
 *             in nobody's bucket, and follows when that comes.
 * Lease:      who had a record may go on sending what was written before the news of its departure came,
 *             for LEASE_MS; headquarters' clock counts.
 * Source:     DESIGN.md 8; protocol/adr/0012-moves.md. */
#include "server/core/hub_internal.h"

#include <string.h>

enum { RECORD_KEY = 2 + 16, MOVED_VALUE = 8 + 8, PURGED_VALUE = MOVED_VALUE + 8 };
static const int64_t LEASE_MS = (int64_t)LEASE_DAYS * 24 * 3600 * 1000;

static void moved_key(const struct model_table *table, const struct uuid *id, uint32_t bucket,
                      uint8_t out[MOVED_KEY])
{
    be16_put(out, table->id);
    memcpy(out + 2, id->byte, 16);
    be32_put(out + RECORD_KEY, bucket);
}

enum err move_departure(struct bytes value, struct departure *ret)
{
    if (value.size != MOVED_VALUE && value.size != PURGED_VALUE)
        return ERR_CORRUPT;
    *ret = (struct departure){.position = be64_get(value.data),
                              .at_ms = (int64_t)be64_get(value.data + 8),
                              .purged = value.size == PURGED_VALUE};
    return ERR_OK;
}

bool move_in_lease(const struct hub *hub, const struct departure *departure)
{
    return !departure->purged && departure->at_ms >= hub->now.wall.ms - LEASE_MS;
}

enum err move_depart(struct hub *hub, const struct model_table *table, const struct uuid *id,
                     uint32_t from, bool purged)
{
    struct bucket *bucket = bucket_by_number(hub, from);
    if (!bucket)
        return ERR_CORRUPT;
    /* one that was purged, came back, and goes again has left an entry */
    enum err e = move_arrive(hub, table, id, from);
    if (e != ERR_OK)
        return e;
    uint8_t key[MOVED_KEY], value[PURGED_VALUE] = {0};
    moved_key(table, id, from, key);
    be64_put(value, ++bucket->head);
    be64_put(value + 8, (uint64_t)hub->now.wall.ms);
    bucket->dirty = true;
    e = store_log_put(hub->store, from, bucket->head, table, id);
    if (e == ERR_OK)
        e = store_side_put(hub->store, SIDE_MOVED, bytes_of(key, sizeof key),
                           bytes_of(value, purged ? PURGED_VALUE : MOVED_VALUE));
    return e == ERR_OK ? live_note_gone(hub, bucket, table, id) : e;
}

enum err move_arrive(struct hub *hub, const struct model_table *table, const struct uuid *id,
                     uint32_t to)
{
    uint8_t key[MOVED_KEY];
    struct bytes value;
    moved_key(table, id, to, key);
    enum err e =
        store_side_get(hub->store, SIDE_MOVED, bytes_of(key, sizeof key), &hub->turn, &value);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    struct departure departure;
    if (e == ERR_OK)
        e = move_departure(value, &departure);
    if (e == ERR_OK)
        e = store_log_delete(hub->store, to, departure.position);
    return e == ERR_OK ? store_side_delete(hub->store, SIDE_MOVED, bytes_of(key, sizeof key)) : e;
}

enum err move_explains(struct store *store, uint32_t bucket, uint64_t position,
                       const struct model_table *table, const struct uuid *id, struct arena *arena)
{
    uint8_t key[MOVED_KEY];
    struct bytes value;
    struct departure departure;
    moved_key(table, id, bucket, key);
    enum err e = store_side_get(store, SIDE_MOVED, bytes_of(key, sizeof key), arena, &value);
    if (e == ERR_OK)
        e = move_departure(value, &departure);
    if (e == ERR_OK && departure.position == position)
        return ERR_NOT_FOUND;
    return e == ERR_OK || e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
}

/* ---- the lease ---- */

struct former {
    struct hub *hub;
    const struct author *author;
    int64_t stamp_ms;
    bool found;
};

static int look_at_departure(void *context, struct bytes key, struct bytes value)
{
    struct former *former = context;
    struct departure departure;
    if (key.size != MOVED_KEY || move_departure(value, &departure) != ERR_OK)
        return ERR_CORRUPT;
    if (!move_in_lease(former->hub, &departure))
        return 0;
    const uint32_t bucket = be32_get(key.data + RECORD_KEY);
    enum err e = ERR_OK;
    former->found = audience_has(former->author->audience, bucket);
    if (!former->found)
        e = lapse_lease(former->hub, &former->author->user, bucket, former->stamp_ms,
                        &former->found);
    return e != ERR_OK ? (int)e : former->found ? STORE_STOP : 0;
}

static enum err scan_departures(struct hub *hub, const struct model_table *table,
                                const struct uuid *id, store_side_fn *fn, void *context)
{
    uint8_t from[MOVED_KEY], to[MOVED_KEY];
    moved_key(table, id, 0, from);
    moved_key(table, id, UINT32_MAX, to);
    return store_side_scan(hub->store, SIDE_MOVED, bytes_of(from, sizeof from),
                           bytes_of(to, sizeof to), fn, context);
}

enum err move_lease(struct hub *hub, const struct author *author, int64_t stamp_ms,
                    const struct model_table *table, const struct uuid *id, bool *ret)
{
    struct former former = {.hub = hub, .author = author, .stamp_ms = stamp_ms};
    enum err e = scan_departures(hub, table, id, look_at_departure, &former);
    *ret = former.found;
    return e;
}

static int look_for_purge(void *context, struct bytes key, struct bytes value)
{
    struct departure departure;
    (void)key;
    if (move_departure(value, &departure) != ERR_OK)
        return ERR_CORRUPT;
    *(bool *)context = departure.purged;
    return departure.purged ? STORE_STOP : 0;
}

enum err move_was_purged(struct hub *hub, const struct model_table *table, const struct uuid *id,
                         bool *ret)
{
    *ret = false;
    return scan_departures(hub, table, id, look_for_purge, ret);
}

/* ---- a group that moves records ---- */

static bool routes_in(const struct apply_report *report)
{
    for (uint32_t i = 0; i < report->count; i++) {
        const struct applied_record *applied = &report->records[i];
        const struct model_table *table = applied->table;
        if (applied->inserted)
            continue;
        for (uint16_t k = 0; k < applied->result.written_count; k++) {
            int16_t column = (int16_t)table->units[applied->result.written[k]].columns[0];
            if ((table->bucket_rule == BUCKET_ROUTED &&
                 (column == table->visibility_column || column == table->branch_column ||
                  column == table->owner_column || column == table->team_column)) ||
                (table->bucket_rule == BUCKET_INHERIT && column == table->parent_column))
                return true;
        }
    }
    return false;
}

static int is_there(void *context, const struct uuid *id)
{
    (void)id;
    *(bool *)context = true;
    return STORE_STOP;
}

/* Whether something that belongs to this new record has come before it, as after a restore: it is in nobody's bucket. */
static enum err is_awaited(struct hub *hub, const struct applied_record *applied, bool *ret)
{
    const struct model *model = hub->model;
    enum err e = ERR_OK;
    for (uint16_t t = 0; e == ERR_OK && !*ret && t < model->table_count; t++) {
        const struct model_table *table = &model->tables[t];
        if (table->bucket_rule == BUCKET_INHERIT &&
            table->columns[table->parent_column].target == (int32_t)applied->table->index)
            e = store_children(hub->store, table, &applied->id, is_there, ret);
    }
    return e;
}

enum err move_in(struct hub *hub, const struct apply_report *report, bool *ret)
{
    const struct bucket *nobodys = bucket_by_number(hub, BUCKET_NUMBER_UNASSIGNED);
    bool moves = routes_in(report);
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && !moves && nobodys && nobodys->count && i < report->count;
         i++)
        if (report->records[i].inserted)
            e = is_awaited(hub, &report->records[i], &moves);
    if (e == ERR_OK)
        *ret = moves;
    return e;
}

/* 0: belongs to nothing. */
static uint16_t depth_of(const struct model *model, const struct model_table *table)
{
    uint16_t depth = 0;
    while (table->bucket_rule == BUCKET_INHERIT && depth < model->table_count) {
        table = &model->tables[table->columns[table->parent_column].target];
        depth++;
    }
    return depth;
}

#define MOVED ((uint64_t)1 << 32) /* beside the number of a bucket */

struct moving {
    struct hub *hub;
    const struct write_origin *origin;
    struct hash_map written; /* table BE2, id -> bucket, | MOVED */
    struct arena arena;      /* of lists of ids */
};

static enum err note_written(struct moving *m, const struct model_table *table,
                             const struct uuid *id, uint32_t from, uint32_t to)
{
    uint8_t key[MOVED_KEY];
    moved_key(table, id, 0, key);
    return hash_map_put_number(&m->written, bytes_of(key, RECORD_KEY),
                               from != 0 && from != to ? to | MOVED : to);
}

/* Where the group put it: a bucket and perhaps MOVED; 0: it did not. */
static uint64_t written_to(const struct moving *m, const struct model_table *table,
                           const struct uuid *id)
{
    uint8_t key[MOVED_KEY];
    moved_key(table, id, 0, key);
    const union hash_value *to = hash_map_get(&m->written, bytes_of(key, RECORD_KEY));
    return to ? to->number : 0;
}

/* A record that the group did not write follows. */
static enum err follow(struct moving *m, const struct model_table *table, const struct uuid *id,
                       uint32_t bucket)
{
    struct hub *hub = m->hub;
    if (written_to(m, table, id))
        return ERR_OK;
    struct applied_record *applied = arena_calloc(&hub->turn, 1, sizeof *applied);
    if (!applied)
        return ERR_NOMEM;
    enum err e = world_get(hub, table, id, &hub->turn, &applied->before);
    if (e != ERR_OK)
        return e;
    const struct store_row *old = world_row(hub, table, id);
    if (!old)
        return ERR_CORRUPT;
    if (old->bucket == bucket)
        return ERR_OK;
    uint32_t from = old->bucket;
    applied->table = table;
    applied->id = *id;
    applied->record = applied->before;
    applied->previous_revision = applied->before.version.revision;
    applied->record.version.revision++;
    e = write_record(hub, applied, bucket, m->origin);
    return e == ERR_OK ? note_written(m, table, id, from, bucket) : e;
}

static enum err follow_all(struct moving *m, const struct model_table *parent,
                           const struct uuid *id, uint32_t bucket, uint16_t depth)
{
    const struct model *model = m->hub->model;
    enum err e = ERR_OK;
    if (depth > model->table_count)
        return ERR_OK; /* tables that belong to each other in a ring */
    for (uint16_t t = 0; e == ERR_OK && t < model->table_count; t++) {
        const struct model_table *table = &model->tables[t];
        if (table->bucket_rule != BUCKET_INHERIT ||
            table->columns[table->parent_column].target != (int32_t)parent->index)
            continue;
        struct store_ids children = {.arena = &m->arena};
        e = store_children(m->hub->store, table, id, store_ids_add, &children);
        for (uint32_t i = 0; e == ERR_OK && i < children.count; i++) {
            e = follow(m, table, &children.ids[i], bucket);
            if (e == ERR_OK)
                e = follow_all(m, table, &children.ids[i], bucket, (uint16_t)(depth + 1));
        }
    }
    return e;
}

/* Conflict records are where their record is. There are few, and none is found by its record: all are
 * looked at, once per group that moves something. */
static enum err follow_conflicts(struct moving *m)
{
    struct hub *hub = m->hub;
    const struct model_table *table = model_table_by_id(hub->model, TABLE_CONFLICT);
    struct store_ids all = {.arena = &m->arena};
    enum err e = store_row_scan(hub->store, table, NULL, store_ids_add, &all);
    for (uint32_t i = 0; e == ERR_OK && i < all.count; i++) {
        struct record record;
        e = system_get(hub, TABLE_CONFLICT, &all.ids[i], &record);
        if (e != ERR_OK)
            return e;
        struct value of = system_value(hub, TABLE_CONFLICT, &record, "record");
        struct value in = system_value(hub, TABLE_CONFLICT, &record, "table_id");
        struct uuid id;
        if (!value_id(&of, &id) || in.kind != VALUE_INT)
            continue;
        const struct model_table *its = model_table_by_id(hub->model, (uint32_t)in.as.integer);
        uint64_t to = its ? written_to(m, its, &id) : 0;
        if (to & MOVED)
            e = follow(m, table, &all.ids[i], (uint32_t)to);
    }
    return e;
}

static enum err write_one(struct moving *m, const struct applied_record *applied)
{
    struct hub *hub = m->hub;
    const struct store_row *old = world_row(hub, applied->table, &applied->id);
    uint32_t from = old ? old->bucket : 0, to = from;
    if (!old || applied->table->bucket_rule != BUCKET_SYSTEM) {
        struct bucket *bucket;
        enum err e = write_route(hub, applied->table, applied->record.values, &bucket);
        if (e != ERR_OK)
            return e;
        to = bucket->number;
    }
    enum err e = write_record(hub, applied, to, m->origin);
    return e == ERR_OK ? note_written(m, applied->table, &applied->id, from, to) : e;
}

static enum err write_by_depth(struct moving *m, const struct apply_report *report)
{
    uint16_t deepest = 0;
    for (uint16_t depth = 0; depth <= deepest; depth++)
        for (uint32_t i = 0; i < report->count; i++) {
            const struct applied_record *applied = &report->records[i];
            uint16_t own = depth_of(m->hub->model, applied->table);
            deepest = own > deepest ? own : deepest;
            if (own != depth || !applied->result.revision_changes)
                continue;
            enum err e = write_one(m, applied);
            if (e != ERR_OK)
                return e;
        }
    return ERR_OK;
}

enum err move_write(struct hub *hub, const struct apply_report *report,
                    const struct write_origin *origin)
{
    enum { IDS_MAX = 256 << 20 };
    struct moving m = {.hub = hub, .origin = origin};
    hash_map_init(&m.written, UINT32_MAX, hub->incarnation);
    arena_init(&m.arena, IDS_MAX);
    enum err e = write_by_depth(&m, report);
    for (uint32_t i = 0; e == ERR_OK && i < report->count; i++) {
        const struct applied_record *applied = &report->records[i];
        uint64_t to = written_to(&m, applied->table, &applied->id);
        if (to & MOVED || (to && applied->inserted))
            e = follow_all(&m, applied->table, &applied->id, (uint32_t)to, 0);
    }
    if (e == ERR_OK)
        e = follow_conflicts(&m);
    hash_map_done(&m.written);
    arena_done(&m.arena);
    return e;
}
