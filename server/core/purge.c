/* purge.c - what nobody needs any more goes: in rounds, of bounded steps, when nobody waits for an answer.
 *
 * Model:      a round goes through deleted records, settled conflict records, departures, waiting groups and
 *             marks of origins, a step per turn. A deleted record that is old enough leaves its bucket like one
 *             that moves away: a departure takes its place in the log, with which every subscriber hears of it,
 *             and is purged a horizon later. With a departure the floor of its bucket rises: cursors below it
 *             have missed something, and read anew.
 * Old enough: decided before the horizon (age.c, by position: a record's stamps may be much older than its
 *             decision), and passed by every live device (seen.c). What belongs to a deleted record goes with it, in
 *             one step, once all of it is old: till then a late write to one may bring back all.
 * A branch:   purges departures alone, on its own account; the rest it is told.
 * Cost:       a step looks at PURGE_LOOKED rows at most and writes PURGE_AT_ONCE, or one family.
 * Source:     SPEC.md 13; protocol/adr/0016-retention.md. */
#include "server/core/relay.h"

#include <stdio.h>
#include <string.h>

enum {
    FAMILY_MAX = 10000, /* records that belong together; more stay */
    FAMILY_BYTES = 16 << 20,
    PURGE_STARVES_US = 1000000,
    PURGE_FIRST_US = 3000000, /* after a start */
};

static const int64_t DAY_MS = (int64_t)24 * 3600 * 1000;

static int64_t setting(int64_t given_ms, int64_t default_days)
{
    return given_ms ? given_ms : default_days * DAY_MS;
}

int64_t purge_horizon_ms(const struct hub *hub)
{
    return setting(hub->config.retention.horizon_ms, 90);
}

int64_t purge_lease_ms(const struct hub *hub)
{
    return setting(hub->config.retention.lease_ms, 30);
}

int64_t purge_archive_ms(const struct hub *hub)
{
    return setting(hub->config.retention.archive_ms, 180);
}

/* What was decided up to this time may go; 0: nothing. */
int64_t purge_before(const struct hub *hub, int64_t kept_ms)
{
    return kept_ms > 0 && hub->now.wall.ms > kept_ms ? hub->now.wall.ms - kept_ms : 0;
}

static int64_t interval_ms(const struct hub *hub)
{
    int64_t some = purge_horizon_ms(hub) / AGE_MARKS;
    return some > 0 && some < DAY_MS ? some : DAY_MS;
}

/* ---- when ---- */

enum err purge_open(struct hub *hub)
{
    uint64_t last;
    hash_map_init(&hub->purge.limits, HUB_BUCKETS_MAX, 0);
    hash_map_init(&hub->purge.archived, HUB_ORIGINS_MAX, 0);
    enum err e = side_count(hub, SIDE_GIVEN_UP, &hub->given_up_count);
    if (e == ERR_OK)
        e = meta_get_u64(hub, "purged_at", 0, &last);
    if (e != ERR_OK)
        return e;
    int64_t wait_us = ((int64_t)last + interval_ms(hub) - hub->now.wall.ms) * 1000;
    if (last == 0 || wait_us < PURGE_FIRST_US)
        wait_us = PURGE_FIRST_US;
    if (wait_us > interval_ms(hub) * 1000)
        wait_us = interval_ms(hub) * 1000; /* the clock was set back */
    hub->purge.due_us = hub->now.mono.us + wait_us;
    return ERR_OK;
}

void purge_close(struct hub *hub)
{
    hash_map_done(&hub->purge.limits);
    hash_map_done(&hub->purge.archived);
}

void purge_soon(struct hub *hub)
{
    if (hub->purge.phase == PURGE_IDLE)
        hub->purge.due_us = hub->now.mono.us;
}

void purge_tick(struct hub *hub)
{
    if (hub->purge.phase != PURGE_IDLE || hub->purge.due_us > hub->now.mono.us)
        return;
    hub->purge.phase = PURGE_BUCKETS;
    hub->purge.key_size = 0;
    hub->purge.records = hub->purge.departures = hub->purge.given_up = 0;
    hash_map_clear(&hub->purge.limits);
    hash_map_clear(&hub->purge.archived);
}

int64_t purge_deadline(const struct hub *hub)
{
    return hub->purge.phase == PURGE_IDLE ? hub->purge.due_us : 0;
}

bool purge_has_work(const struct hub *hub)
{
    return hub->purge.phase != PURGE_IDLE;
}

bool purge_starves(const struct hub *hub)
{
    return hub->now.mono.us - hub->purge.stepped_us > PURGE_STARVES_US;
}

/* ---- where a walk is ---- */

/* From behind the last key on: the next possible one is a byte longer. */
struct bytes purge_behind(struct purge *p)
{
    if (p->key_size == 0)
        return bytes_of(NULL, 0);
    p->key[p->key_size] = 0;
    return bytes_of(p->key, p->key_size + 1);
}

void purge_place(struct purge *p, struct bytes key)
{
    p->key_size = key.size < sizeof p->key - 1 ? key.size : sizeof p->key - 1;
    memcpy(p->key, key.data, p->key_size);
}

void purge_next(struct purge *p, enum purge_phase phase)
{
    p->phase = phase;
    p->key_size = 0;
    p->table = 0;
}

/* ---- limits ---- */

static uint64_t limit_of(const struct hub *hub, uint32_t bucket)
{
    uint8_t key[4];
    be32_put(key, bucket);
    const union hash_value *limit = hash_map_get(&hub->purge.limits, bytes_of(key, sizeof key));
    return limit ? limit->number : 0;
}

/* By age, some hundred buckets a step; then what live devices have not passed. */
static enum err find_limits(struct hub *hub)
{
    struct purge *p = &hub->purge;
    enum err e = ERR_OK;
    int64_t horizon_ms = purge_horizon_ms(hub), before_ms = purge_before(hub, horizon_ms);
    uint32_t i = p->table;
    for (uint32_t n = 0; e == ERR_OK && n < PURGE_LOOKED && i < hub->bucket_count; n++, i++) {
        const struct bucket *bucket = hub->buckets[i];
        uint64_t then;
        uint8_t key[4];
        be32_put(key, bucket->number);
        if (horizon_ms <= 0)
            continue;
        e = age_look(hub, AGE_OF_BUCKET, bucket->number, bucket->head, before_ms,
                     horizon_ms / AGE_MARKS, &then);
        if (e == ERR_OK && then)
            e = hash_map_put_number(&p->limits, bytes_of(key, sizeof key), then);
    }
    p->table = i;
    if (e != ERR_OK || i < hub->bucket_count)
        return e;
    e = seen_hold(hub, hub->now.wall.ms - purge_lease_ms(hub), before_ms, &p->limits);
    purge_next(p, hub->relay ? PURGE_DEPARTURES : PURGE_DEAD);
    return e;
}

/* ---- records ---- */

/* Leaves its bucket for good: as one that moves away, to nowhere. */
static enum err purge_record(struct hub *hub, const struct model_table *table,
                             const struct uuid *id, const struct store_row *row)
{
    enum err e = write_forget(hub, table, id, row);
    if (e == ERR_OK)
        e = store_row_delete(hub->store, table, id);
    if (e == ERR_OK)
        e = move_depart(hub, table, id, row->bucket, true);
    hub->purge.records += e == ERR_OK;
    hub->stats.records_purged += e == ERR_OK;
    return e;
}

/* A record and all that belongs to it, dead or alive: one goes with the other, as one comes back with the other. */
struct family {
    struct hub *hub;
    struct arena arena;
    struct member {
        const struct model_table *table;
        struct uuid id;
    } * members; /* parents before what belongs to them */
    uint32_t count, capacity;
};

static enum err family_add(struct family *f, const struct model_table *table, const struct uuid *id)
{
    struct member *members =
        arena_extend(&f->arena, f->members, f->count, &f->capacity, sizeof *members);
    if (!members)
        return ERR_NOMEM;
    f->members = members;
    members[f->count++] = (struct member){table, *id};
    return ERR_OK;
}

/* *ret_whole false: more than a step takes. */
static enum err family_find(struct family *f, bool *ret_whole)
{
    const struct model *model = f->hub->model;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < f->count && f->count <= FAMILY_MAX; i++)
        for (uint16_t t = 0; e == ERR_OK && t < model->table_count; t++) {
            const struct model_table *table = &model->tables[t];
            struct store_ids children = {.arena = &f->arena};
            const struct member parent = f->members[i];
            if (table->parent_column < 0 ||
                table->columns[table->parent_column].target != (int32_t)parent.table->index)
                continue;
            e = store_children(f->hub->store, table, &parent.id, store_ids_add, &children);
            for (uint32_t k = 0; e == ERR_OK && k < children.count; k++)
                e = family_add(f, table, &children.ids[k]);
        }
    *ret_whole = f->count <= FAMILY_MAX;
    return e;
}

static enum err is_old(struct hub *hub, const struct model_table *table, const struct uuid *id,
                       struct store_row *ret_row, bool *ret)
{
    enum err e = store_row_get(hub->store, table, id, &hub->turn, ret_row);
    *ret = e == ERR_OK && ret_row->dead && ret_row->position <= limit_of(hub, ret_row->bucket);
    return e;
}

/* Whether a parent that is deleted itself takes it along. */
static enum err goes_with_parent(struct hub *hub, const struct model_table *table,
                                 const struct store_row *row, bool *ret)
{
    struct uuid id;
    struct store_row parent;
    *ret = false;
    if (table->parent_column < 0 || table->columns[table->parent_column].target < 0 ||
        !value_id(&row->values[table->parent_column], &id))
        return ERR_OK;
    enum err e =
        store_row_get(hub->store, &hub->model->tables[table->columns[table->parent_column].target],
                      &id, &hub->turn, &parent);
    *ret = e == ERR_OK && parent.dead;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* All of them, if all are dead and old: from the last child up. */
static enum err purge_family(struct family *f, uint32_t *ret_purged)
{
    struct store_row row;
    bool old = true;
    enum err e = family_find(f, &old);
    for (uint32_t i = 0; e == ERR_OK && old && i < f->count; i++)
        e = is_old(f->hub, f->members[i].table, &f->members[i].id, &row, &old);
    for (uint32_t i = f->count; e == ERR_OK && old && i > 0; i--) {
        const struct member *member = &f->members[i - 1];
        e = is_old(f->hub, member->table, &member->id, &row, &old);
        if (e == ERR_OK)
            e = purge_record(f->hub, member->table, &member->id, &row);
        *ret_purged += e == ERR_OK;
    }
    return e;
}

static enum err purge_if_old(struct hub *hub, const struct model_table *table,
                             const struct uuid *id, uint32_t *ret_purged)
{
    struct store_row row;
    bool old, later;
    enum err e = is_old(hub, table, id, &row, &old);
    if (e == ERR_NOT_FOUND)
        return ERR_OK; /* it went with its family */
    if (e != ERR_OK || !old)
        return e;
    e = goes_with_parent(hub, table, &row, &later);
    if (e != ERR_OK || later)
        return e;
    struct family family = {.hub = hub};
    arena_init(&family.arena, FAMILY_BYTES);
    e = family_add(&family, table, id);
    if (e == ERR_OK)
        e = purge_family(&family, ret_purged);
    arena_done(&family.arena);
    return e;
}

struct id_page {
    struct uuid ids[PURGE_LOOKED];
    uint32_t count;
};

static int add_id(void *context, const struct uuid *id)
{
    struct id_page *page = context;
    page->ids[page->count++] = *id;
    return page->count == PURGE_LOOKED ? STORE_STOP : 0;
}

static const struct uuid *place_id(const struct purge *p, struct uuid *id)
{
    if (p->key_size != 16)
        return NULL;
    memcpy(id->byte, p->key, 16);
    return id;
}

static enum err purge_dead(struct hub *hub)
{
    struct purge *p = &hub->purge;
    struct id_page page = {.count = 0};
    struct uuid after;
    if (p->table == hub->model->table_count) {
        purge_next(p, PURGE_CONFLICTS);
        return ERR_OK;
    }
    const struct model_table *table = &hub->model->tables[p->table];
    enum err e = store_dead_scan(hub->store, table, place_id(p, &after), add_id, &page);
    uint32_t purged = 0, i = 0;
    for (; e == ERR_OK && i < page.count && purged < PURGE_AT_ONCE; i++) {
        e = purge_if_old(hub, table, &page.ids[i], &purged);
    }
    if (i == page.count && page.count < PURGE_LOOKED) {
        p->table++;
        p->key_size = 0;
    } else if (i > 0) {
        purge_place(p, bytes_of(page.ids[i - 1].byte, 16));
    }
    return e;
}

/* ---- conflict records ---- */

/* Settled before the horizon; or of a record that is not there any more. */
static enum err conflict_is_over(struct hub *hub, const struct store_row *row, bool *ret)
{
    struct record record;
    const struct model_table *conflicts = model_table_by_id(hub->model, TABLE_CONFLICT);
    enum err e = record_of_row(conflicts, row, &hub->turn, &record);
    *ret = false;
    if (e != ERR_OK)
        return e;
    struct value state = system_value(hub, TABLE_CONFLICT, &record, "state");
    struct value settled_at = system_value(hub, TABLE_CONFLICT, &record, "settled_at");
    struct value of = system_value(hub, TABLE_CONFLICT, &record, "record");
    struct value in = system_value(hub, TABLE_CONFLICT, &record, "table_id");
    if (state.kind == VALUE_TEXT && bytes_equal(state.as.bytes, bytes_of_text("settled"))) {
        *ret = settled_at.kind == VALUE_INT &&
               settled_at.as.integer <= purge_before(hub, purge_horizon_ms(hub));
        return ERR_OK;
    }
    struct uuid id;
    struct store_row its;
    const struct model_table *table =
        in.kind == VALUE_INT ? model_table_by_id(hub->model, (uint32_t)in.as.integer) : NULL;
    if (!table || !value_id(&of, &id))
        return ERR_OK;
    e = store_row_get(hub->store, table, &id, &hub->turn, &its);
    *ret = e == ERR_NOT_FOUND;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err purge_conflicts(struct hub *hub)
{
    struct purge *p = &hub->purge;
    const struct model_table *table = model_table_by_id(hub->model, TABLE_CONFLICT);
    struct id_page page = {.count = 0};
    struct uuid after;
    enum err e = store_row_scan(hub->store, table, place_id(p, &after), add_id, &page);
    uint32_t purged = 0, i = 0;
    for (; e == ERR_OK && i < page.count && purged < PURGE_AT_ONCE; i++) {
        struct store_row row;
        bool over = false;
        e = store_row_get(hub->store, table, &page.ids[i], &hub->turn, &row);
        if (e == ERR_OK && row.position <= limit_of(hub, row.bucket))
            e = conflict_is_over(hub, &row, &over);
        if (e == ERR_OK && over)
            e = purge_record(hub, table, &page.ids[i], &row);
        purged += over;
    }
    if (i == page.count && page.count < PURGE_LOOKED)
        purge_next(p, PURGE_DEPARTURES);
    else if (i > 0)
        purge_place(p, bytes_of(page.ids[i - 1].byte, 16));
    return e;
}

/* ---- departures ---- */

struct departure_page {
    struct hub *hub;
    struct {
        uint8_t key[MOVED_KEY];
        uint64_t position;
    } old[PURGE_AT_ONCE];
    uint32_t count, looked;
    uint8_t last[MOVED_KEY];
};

static int look_at_departure(void *context, struct bytes key, struct bytes value)
{
    struct departure_page *page = context;
    struct departure departure;
    if (key.size != MOVED_KEY || move_departure(value, &departure) != ERR_OK)
        return ERR_CORRUPT;
    memcpy(page->last, key.data, MOVED_KEY);
    page->looked++;
    uint32_t bucket = be32_get(key.data + MOVED_KEY - 4);
    if (departure.position <= limit_of(page->hub, bucket) &&
        !move_in_lease(page->hub, &departure)) {
        memcpy(page->old[page->count].key, key.data, MOVED_KEY);
        page->old[page->count++].position = departure.position;
    }
    return page->count == PURGE_AT_ONCE || page->looked == PURGE_LOOKED ? STORE_STOP : 0;
}

static enum err raise_floor(struct hub *hub, uint32_t number, uint64_t position)
{
    struct bucket *bucket = bucket_by_number(hub, number);
    uint8_t key[4], value[8];
    if (!bucket || bucket->floor >= position)
        return ERR_OK;
    bucket->floor = position;
    be32_put(key, number);
    be64_put(value, position);
    return store_side_put(hub->store, SIDE_FLOOR, bytes_of(key, sizeof key),
                          bytes_of(value, sizeof value));
}

static enum err purge_departures(struct hub *hub)
{
    struct purge *p = &hub->purge;
    struct departure_page page = {.hub = hub};
    enum err e = store_side_scan(hub->store, SIDE_MOVED, purge_behind(p), bytes_of(NULL, 0),
                                 look_at_departure, &page);
    for (uint32_t i = 0; e == ERR_OK && i < page.count; i++) {
        uint32_t bucket = be32_get(page.old[i].key + MOVED_KEY - 4);
        e = store_log_delete(hub->store, bucket, page.old[i].position);
        if (e == ERR_OK)
            e = store_side_delete(hub->store, SIDE_MOVED, bytes_of(page.old[i].key, MOVED_KEY));
        if (e == ERR_OK)
            e = raise_floor(hub, bucket, page.old[i].position);
    }
    p->departures += page.count;
    hub->stats.departures_purged += page.count;
    if (page.count < PURGE_AT_ONCE && page.looked < PURGE_LOOKED)
        purge_next(p, hub->relay ? PURGE_END : PURGE_WAITING);
    else
        purge_place(p, bytes_of(page.last, MOVED_KEY));
    return e;
}

/* ---- a step ---- */

static enum err end_round(struct hub *hub)
{
    struct purge *p = &hub->purge;
    char entry[200];
    enum err e = meta_put_u64(hub, "purged_at", (uint64_t)hub->now.wall.ms);
    if (e == ERR_OK && !hub->relay && (p->records || p->departures || p->given_up)) {
        snprintf(entry, sizeof entry,
                 "{\"what\":\"purged\",\"records\":%llu,\"departures\":%llu,\"given_up\":%llu}",
                 (unsigned long long)p->records, (unsigned long long)p->departures,
                 (unsigned long long)p->given_up);
        e = audit_append(hub, entry);
    }
    purge_next(p, PURGE_IDLE);
    return e;
}

static enum err step_body(struct hub *hub, void *context)
{
    (void)context;
    switch (hub->purge.phase) {
    case PURGE_IDLE: return ERR_OK;
    case PURGE_BUCKETS: return find_limits(hub);
    case PURGE_DEAD: return purge_dead(hub);
    case PURGE_CONFLICTS: return purge_conflicts(hub);
    case PURGE_DEPARTURES: return purge_departures(hub);
    case PURGE_WAITING: return purge_waiting(hub);
    case PURGE_ARCHIVE: return purge_archive(hub);
    case PURGE_END: return end_round(hub);
    }
    return ERR_BUG;
}

enum err purge_step(struct hub *hub)
{
    struct purge *p = &hub->purge;
    p->stepped_us = hub->now.mono.us;
    enum err e = hub_transact(hub, step_body, NULL);
    if (e != ERR_OK) { /* another time, from the begin */
        purge_next(p, PURGE_IDLE);
        p->due_us = hub->now.mono.us + (int64_t)60 * 1000000;
        return e;
    }
    if (p->phase == PURGE_IDLE) {
        p->due_us = hub->now.mono.us + interval_ms(hub) * 1000;
        purge_tell_archived(hub);
    }
    return ERR_OK;
}
