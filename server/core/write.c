/* write.c - a decided record becomes durable: row, log, digest, conflict records, live entry. */
#include "server/core/hub_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum err record_of_row(const struct model_table *table, const struct store_row *row,
                       struct arena *arena, struct record *ret)
{
    struct record record = {.present = true, .dead = row->dead, .values = row->values};
    enum err e = version_decode(table, row->version, arena, &record.version);
    if (e == ERR_OK)
        *ret = record;
    return e == ERR_MALFORMED || e == ERR_MODEL ? ERR_CORRUPT : e;
}

/* ---- the world that apply_group() works on: the store, with a memory of what was read ---- */

void world_reset(struct hub *hub)
{
    hub->fetched_count = hub->fetched_hint = 0;
}

static struct fetched *fetched_find(struct hub *hub, const struct model_table *table,
                                    const struct uuid *id)
{
    for (uint32_t n = 0; n < hub->fetched_count; n++) {
        uint32_t i = (hub->fetched_hint + n) % hub->fetched_count;
        struct fetched *f = &hub->fetched[i];
        if (f->table == table && uuid_equal(&f->id, id)) {
            hub->fetched_hint = i; /* records are written in the order in which they were read */
            return f;
        }
    }
    return NULL;
}

const struct store_row *world_row(struct hub *hub, const struct model_table *table,
                                  const struct uuid *id)
{
    struct fetched *f = fetched_find(hub, table, id);
    return f && f->found ? &f->row : NULL;
}

enum err world_get(void *context, const struct model_table *table, const struct uuid *id,
                   struct arena *arena, struct record *ret)
{
    struct hub *hub = context;
    if (hub->fetched_count == hub->fetched_capacity) {
        uint32_t capacity = hub->fetched_capacity ? hub->fetched_capacity * 2 : 1024;
        struct fetched *grown = realloc(hub->fetched, capacity * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        hub->fetched = grown;
        hub->fetched_capacity = capacity;
    }
    struct fetched *f = &hub->fetched[hub->fetched_count];
    *f = (struct fetched){.table = table, .id = *id};
    enum err e = store_row_get(hub->store, table, id, arena, &f->row);
    if (e == ERR_NOT_FOUND) {
        memset(ret, 0, sizeof *ret);
    } else if (e == ERR_OK) {
        f->found = true;
        e = record_of_row(table, &f->row, arena, ret);
        if (e != ERR_OK)
            return e;
    } else {
        return e;
    }
    hub->fetched_count++;
    return ERR_OK;
}

enum err world_children(void *context, const struct model_table *table, const struct uuid *parent,
                        struct arena *arena, const struct uuid **ret_ids, uint32_t *ret_count)
{
    struct hub *hub = context;
    struct store_ids list = {.arena = arena};
    enum err e = store_children(hub->store, table, parent, store_ids_add, &list);
    if (e != ERR_OK)
        return e;
    *ret_ids = list.ids;
    *ret_count = list.count;
    return ERR_OK;
}

/* ---- buckets ---- */

enum err write_route(struct hub *hub, const struct model_table *table, const struct value *values,
                     struct bucket **ret)
{
    struct route route = route_record(table, values);
    if (!route.inherit)
        return bucket_get(hub, route.kind, &route.key, ret);
    const struct model_table *parent =
        &hub->model->tables[table->columns[table->parent_column].target];
    struct store_row row;
    enum err e = store_row_get(hub->store, parent, &route.parent, &hub->turn, &row);
    if (e == ERR_OK) {
        *ret = bucket_by_number(hub, row.bucket);
        return *ret ? ERR_OK : ERR_CORRUPT;
    }
    if (e != ERR_NOT_FOUND)
        return e;
    struct uuid nil = {{0}};
    return bucket_get(hub, BUCKET_KIND_UNASSIGNED, &nil, ret);
}

/* ---- rows ---- */

static enum err encode_version(struct hub *hub, const struct applied_record *applied,
                               struct bytes *ret)
{
    const struct version *version = &applied->record.version;
    if (version->unit_count == 0 && version->delete_count == 0) {
        uint8_t raw[VERSION_SIMPLE_MAX];
        size_t size = version_encode_simple(version, raw);
        return arena_copy(&hub->turn, bytes_of(raw, size), ret);
    }
    buf_reset(&hub->row_scratch);
    enum err e = version_encode(applied->table, version, &hub->row_scratch);
    return e == ERR_OK ? arena_copy(&hub->turn, buf_view(&hub->row_scratch), ret) : e;
}

static enum err account(struct hub *hub, struct bucket *bucket, const struct model_table *table,
                        const struct uuid *id, const struct store_row *row, bool add)
{
    struct digest digest;
    enum err e = digest_row(hub->config.crypto, table, id, row, &hub->row_scratch, &digest);
    if (e != ERR_OK)
        return e;
    if (add) {
        digest_add(&bucket->sum, &digest);
        bucket->count++;
    } else {
        digest_subtract(&bucket->sum, &digest);
        assert(bucket->count > 0);
        bucket->count--;
    }
    bucket->dirty = true;
    return ERR_OK;
}

enum err write_forget(struct hub *hub, const struct model_table *table, const struct uuid *id,
                      const struct store_row *old)
{
    struct bucket *bucket = bucket_by_number(hub, old->bucket);
    if (!bucket)
        return ERR_CORRUPT;
    enum err e = account(hub, bucket, table, id, old, false);
    return e == ERR_OK ? store_log_delete(hub->store, old->bucket, old->position) : e;
}

static enum err live_add(struct hub *hub, const struct live_entry *from)
{
    struct live_entry *entry = arena_alloc(&hub->turn, sizeof *entry);
    if (!entry)
        return ERR_NOMEM;
    *entry = *from;
    if (hub->live_tail)
        hub->live_tail->next = entry;
    else
        hub->live_head = entry;
    hub->live_tail = entry;
    return ERR_OK;
}

static enum err note_live(struct hub *hub, const struct applied_record *applied,
                          const struct store_row *row, const struct write_origin *origin,
                          enum live_kind kind)
{
    const struct live_entry entry = {.kind = kind,
                                     .bucket = row->bucket,
                                     .position = row->position,
                                     .table = applied->table,
                                     .id = applied->id,
                                     .applied = applied,
                                     .version = row->version,
                                     .dot = origin->dot,
                                     .stamp = origin->stamp,
                                     .author_peer = kind == LIVE_CHANGE ? origin->peer_number : 0,
                                     .oseq = origin->oseq,
                                     .mutation = origin->mutation};
    return live_add(hub, &entry);
}

enum err live_note_gone(struct hub *hub, const struct bucket *bucket,
                        const struct model_table *table, const struct uuid *id)
{
    const struct live_entry entry = {.kind = LIVE_GONE,
                                     .bucket = bucket->number,
                                     .position = bucket->head,
                                     .table = table,
                                     .id = *id};
    return live_add(hub, &entry);
}

/* Whether somebody's rights come from records of this table. */
static bool makes_rights(const struct model_table *table)
{
    return table->id == TABLE_USER || table->id == TABLE_BRANCH || table->id == TABLE_TEAM ||
           table->id == TABLE_TEAM_MEMBER;
}

enum err write_record(struct hub *hub, const struct applied_record *applied, uint32_t bucket_number,
                      const struct write_origin *origin)
{
    struct bucket *bucket = bucket_by_number(hub, bucket_number);
    enum err e = ERR_OK;
    if (!bucket)
        e = write_route(hub, applied->table, applied->record.values, &bucket);
    if (e != ERR_OK)
        return e;
    struct store_row row = {
        .values = applied->record.values, .bucket = bucket->number, .dead = applied->record.dead};
    e = encode_version(hub, applied, &row.version);
    if (e != ERR_OK)
        return e;
    const struct store_row *old = world_row(hub, applied->table, &applied->id);
    bool moves = old && old->bucket != bucket->number;
    bool rights = makes_rights(applied->table);
    if (rights)
        e = lapse_note(hub, applied);
    if (e == ERR_OK && old)
        e = write_forget(hub, applied->table, &applied->id, old);
    if (e == ERR_OK && moves)
        e = move_depart(hub, applied->table, &applied->id, old->bucket, false);
    if (e == ERR_OK && moves)
        e = move_arrive(hub, applied->table, &applied->id, bucket->number);
    if (e == ERR_OK)
        e = account(hub, bucket, applied->table, &applied->id, &row, true);
    if (e != ERR_OK)
        return e;
    row.position = ++bucket->head;
    e = store_log_put(hub->store, bucket->number, row.position, applied->table, &applied->id);
    if (e != ERR_OK)
        return e;
    if (old || row.dead)
        e = store_row_put(hub->store, applied->table, &applied->id, &row);
    else
        e = store_row_insert(hub->store, applied->table, &applied->id, &row);
    if (e != ERR_OK)
        return e;
    hub->stats.rows_written++;
    if (rights) {
        hub->scope_changed = true;
        people_forget(hub);
    }
    return note_live(hub, applied, &row, origin, moves ? LIVE_ROW : LIVE_CHANGE);
}

/* ---- conflict records ---- */

static enum err conflict_settle(struct hub *hub, const struct applied_record *applied,
                                const struct model_unit *unit)
{
    struct dot dots[FRONTIER_MAX];
    struct dot_set frontier = version_frontier(&applied->before.version, unit->index, dots);
    struct uuid id;
    enum err e = conflict_id(hub->config.crypto, applied->table, &applied->id, unit, frontier, &id);
    if (e != ERR_OK)
        return e;
    struct record record;
    e = system_get(hub, TABLE_CONFLICT, &id, &record);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    const struct model_table *table = model_table_by_id(hub->model, TABLE_CONFLICT);
    uint16_t columns[2] = {model_column_by_name(table, bytes_of_text("state"))->id,
                           model_column_by_name(table, bytes_of_text("settled_at"))->id};
    struct value values[2] = {value_text(bytes_of_text("settled")), value_int(hub->now.wall.ms)};
    return system_put(hub, TABLE_CONFLICT, &id, columns, values, 2, 0);
}

/* Puts a conflict row into the bucket of its record. */
static enum err conflict_put(struct hub *hub, const struct applied_record *applied,
                             const struct uuid *id, struct value *values)
{
    struct record exists;
    enum err e = system_get(hub, TABLE_CONFLICT, id, &exists);
    if (e != ERR_NOT_FOUND)
        return e; /* the same dots met before: the record stands */
    struct bucket *bucket;
    e = write_route(hub, applied->table, applied->record.values, &bucket);
    return e == ERR_OK ? conflict_put_into(hub, id, values, bucket->number) : e;
}

enum err conflict_put_into(struct hub *hub, const struct uuid *id, const struct value *values,
                           uint32_t bucket)
{
    const struct model_table *table = model_table_by_id(hub->model, TABLE_CONFLICT);
    uint16_t *columns = arena_calloc(&hub->turn, table->column_count, sizeof *columns);
    if (!columns)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < table->column_count; i++)
        columns[i] = table->columns[i].id;
    hub->stats.conflicts++;
    return system_put(hub, TABLE_CONFLICT, id, columns, values, table->column_count, bucket);
}

static enum err conflict_value(struct hub *hub, const struct applied_record *applied,
                               const struct model_unit *unit)
{
    struct dot dots[FRONTIER_MAX];
    struct dot_set frontier = version_frontier(&applied->record.version, unit->index, dots);
    struct uuid id;
    enum err e = conflict_id(hub->config.crypto, applied->table, &applied->id, unit, frontier, &id);
    struct value *values;
    if (e == ERR_OK)
        e = conflict_row(hub->model, applied->table, &applied->id, &applied->record, unit,
                         hub->now.wall.ms, &hub->turn, &values);
    return e == ERR_OK ? conflict_put(hub, applied, &id, values) : e;
}

/* Whether the unit had candidates that differed before this write: then it has a conflict record. */
static bool had_conflict(const struct applied_record *applied, const struct model_unit *unit)
{
    if (!applied->before.present)
        return false;
    const struct unit_state *before = version_unit(&applied->before.version, unit->index);
    return before && before->count > 1 &&
           merge_values_differ(unit, before->candidates, before->count);
}

/* A delete that met a write which it had not seen: both sides are told. */
static enum err conflict_delete(struct hub *hub, const struct applied_record *applied,
                                const struct dot *delete_dot, uint64_t delete_stamp)
{
    const struct dot_set dots = {delete_dot, 1};
    struct uuid id;
    struct value *values;
    enum err e = conflict_id(hub->config.crypto, applied->table, &applied->id, NULL, dots, &id);
    if (e == ERR_OK)
        e = conflict_delete_row(hub->model, applied->table, &applied->id, &applied->record,
                                delete_dot, delete_stamp, hub->now.wall.ms, &hub->turn, &values);
    return e == ERR_OK ? conflict_put(hub, applied, &id, values) : e;
}

static enum err write_delete_conflicts(struct hub *hub, const struct applied_record *applied,
                                       const struct dot *dot, uint64_t stamp)
{
    if (applied->result.delete_lost)
        return conflict_delete(hub, applied, dot, stamp);
    const struct version *before = &applied->before.version;
    enum err e = ERR_OK;
    for (uint16_t i = 0; e == ERR_OK && applied->result.revived && i < before->delete_count; i++)
        e = conflict_delete(hub, applied, &before->deletes[i].dot, before->deletes[i].stamp);
    return e;
}

bool needs_conflicts(const struct applied_record *applied)
{
    const struct merge_result *result = &applied->result;
    return result->conflict_count || result->settled_count || result->delete_lost ||
           result->revived;
}

enum err write_conflicts(struct hub *hub, const struct applied_record *applied,
                         const struct dot *dot, uint64_t stamp, bool restore)
{
    const struct model_unit *units = applied->table->units;
    const struct merge_result *result = &applied->result;
    enum err e = ERR_OK;
    for (uint16_t i = 0; e == ERR_OK && i < result->conflict_count; i++) {
        const struct model_unit *unit = &units[result->conflicts[i]];
        if (had_conflict(applied, unit))
            e = conflict_settle(hub, applied, unit); /* superseded by the one with more dots */
        if (e == ERR_OK)
            e = conflict_value(hub, applied, unit);
    }
    for (uint16_t i = 0; e == ERR_OK && i < result->settled_count; i++)
        e = conflict_settle(hub, applied, &units[result->settled[i]]);
    return e == ERR_OK && !restore ? write_delete_conflicts(hub, applied, dot, stamp) : e;
}
