/* purge.c - what nobody needs any more goes: in rounds, of bounded steps, when nobody waits for an answer.
 *
 * Model:      a round goes through deleted records, settled conflict records, departures, waiting groups and
 *             marks of origins, a step per turn. A deleted record that is old enough leaves its bucket like one
 *             that moves away: a departure takes its place in the log, with which every subscriber hears of it,
 *             and is purged a horizon later. With a departure the floor of its bucket rises: cursors below it
 *             have missed something, and read anew.
 * Old enough: decided before the horizon (age.c, by position: a record's stamps may be much older than its
 *             decision), and passed by every live device (seen.c). A record that something belongs to stays.
 * A branch:   purges departures alone, on its own account; the rest it is told.
 * Cost:       a step looks at PURGE_LOOKED rows at most and writes PURGE_AT_ONCE.
 * Source:     SPEC.md 13; protocol/adr/0016-retention.md. */
#include "server/core/relay.h"

#include <stdio.h>
#include <string.h>

enum {
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
    enum err e = meta_get_u64(hub, "purged_at", 0, &last);
    int64_t wait_us = ((int64_t)last + interval_ms(hub) - hub->now.wall.ms) * 1000;
    if (last == 0 || wait_us < PURGE_FIRST_US)
        wait_us = PURGE_FIRST_US;
    if (wait_us > interval_ms(hub) * 1000)
        wait_us = interval_ms(hub) * 1000; /* the clock was set back */
    hub->purge.due_us = hub->now.mono.us + wait_us;
    return e;
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

static int stop_at_first(void *context, const struct uuid *id)
{
    (void)id;
    *(bool *)context = true;
    return STORE_STOP;
}

/* Dead children as well: a late write to one would bring its parent back. */
static enum err has_children(struct hub *hub, const struct model_table *parent,
                             const struct uuid *id, bool *ret)
{
    enum err e = ERR_OK;
    *ret = false;
    for (uint16_t t = 0; e == ERR_OK && !*ret && t < hub->model->table_count; t++) {
        const struct model_table *table = &hub->model->tables[t];
        if (table->parent_column >= 0 &&
            table->columns[table->parent_column].target == (int32_t)parent->index)
            e = store_children(hub->store, table, id, stop_at_first, ret);
    }
    return e;
}

static enum err purge_if_old(struct hub *hub, const struct model_table *table,
                             const struct uuid *id, bool *ret_purged)
{
    struct store_row row;
    bool kept = true;
    enum err e = store_row_get(hub->store, table, id, &hub->turn, &row);
    *ret_purged = false;
    if (e != ERR_OK || row.position > limit_of(hub, row.bucket))
        return e;
    e = has_children(hub, table, id, &kept);
    if (e != ERR_OK || kept)
        return e;
    *ret_purged = true;
    return purge_record(hub, table, id, &row);
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

/* How many tables there are above: children are purged before their parents. */
static uint16_t depth_of(const struct model *model, const struct model_table *table)
{
    uint16_t depth = 0;
    while (table->parent_column >= 0 && table->columns[table->parent_column].target >= 0) {
        table = &model->tables[table->columns[table->parent_column].target];
        depth++;
    }
    return depth;
}

/* The table number n in the order of the walk, or NULL. */
static const struct model_table *table_at(const struct model *model, uint32_t n)
{
    enum { DEPTH_MAX = 8 };
    for (int depth = DEPTH_MAX; depth >= 0; depth--)
        for (uint16_t t = 0; t < model->table_count; t++)
            if (depth_of(model, &model->tables[t]) == depth && n-- == 0)
                return &model->tables[t];
    return NULL;
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
    const struct model_table *table = table_at(hub->model, p->table);
    struct id_page page = {.count = 0};
    struct uuid after;
    if (!table) {
        purge_next(p, PURGE_CONFLICTS);
        return ERR_OK;
    }
    enum err e = store_dead_scan(hub->store, table, place_id(p, &after), add_id, &page);
    uint32_t purged = 0, i = 0;
    for (; e == ERR_OK && i < page.count && purged < PURGE_AT_ONCE; i++) {
        bool gone;
        e = purge_if_old(hub, table, &page.ids[i], &gone);
        purged += gone;
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
