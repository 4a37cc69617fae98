/* relay.c - a branch's hub: what it knows by its replica. See relay.h. */
#include "server/core/relay.h"

#include "client/core/replica_internal.h"

#include <stdlib.h>
#include <string.h>

static enum err add_bucket(void *context, const struct bucket_name *name,
                           const struct bucket_digest *head)
{
    struct bucket bucket = {.number = name->number,
                            .kind = (enum bucket_kind)name->kind,
                            .key = name->key,
                            .head = head->position,
                            .count = head->count};
    memcpy(bucket.sum.byte, head->sum, 16);
    return bucket_append(context, &bucket);
}

enum err relay_load(struct hub *hub)
{
    struct replica_status status;
    replica_status(hub->relay->replica, &status);
    hub->history = status.history;
    hub->scope_revision = status.scope;
    hub->relay->upheavals = relay_upheavals(hub->relay->replica);
    enum err e = relay_buckets(hub->relay->replica, add_bucket, hub);
    if (e == ERR_OK)
        e = floors_load(hub);
    return e == ERR_OK ? side_count(hub, SIDE_INCARNATION, &hub->incarnation_count) : e;
}

uint64_t relay_held_buckets(const struct hub *hub)
{
    uint64_t sum = hub->bucket_count;
    for (uint32_t i = 0; i < hub->bucket_count; i++) {
        uint64_t n = hub->buckets[i]->number * 0x9e3779b97f4a7c15;
        sum += (n ^ n >> 29) * 0xbf58476d1ce4e5b9;
    }
    return sum;
}

static enum err list_id(struct hub *hub)
{
    struct relay *relay = hub->relay;
    enum err e = meta_get_u64(hub, "relay_id", 0, &relay->id);
    if (e != ERR_OK || relay->id != 0)
        return e;
    while (e == ERR_OK && relay->id == 0)
        e = rng_u64(hub->config.rng, &relay->id);
    return e == ERR_OK ? meta_put_u64(hub, "relay_id", relay->id) : e;
}

static int add_start(void *context, struct bytes key, struct bytes value)
{
    uint64_t *sum = context;
    if (key.size != 8 || value.size < 8)
        return ERR_CORRUPT;
    *sum = (*sum ^ be64_get(value.data)) * 0x100000001b3;
    return 0;
}

enum err relay_starts(struct hub *hub, uint64_t *ret)
{
    const struct bytes none = bytes_of(NULL, 0);
    *ret = 0;
    return store_side_scan(hub->store, SIDE_INCARNATION, none, none, add_start, ret);
}

enum err relay_open(struct hub *hub, struct err_info *info)
{
    (void)info;
    hub->relay = calloc(1, sizeof *hub->relay);
    if (!hub->relay)
        return ERR_NOMEM;
    hub->relay->replica = hub->config.replica;
    hub->relay->given = relay_run_end(hub->config.replica);
    enum err e = relay_begin(hub);
    if (e != ERR_OK)
        return e;
    while (e == ERR_OK && hub->incarnation == 0)
        e = rng_u64(hub->config.rng, &hub->incarnation);
    if (e == ERR_OK)
        e = list_id(hub);
    if (e == ERR_OK)
        e = relay_load(hub);
    if (e == ERR_OK)
        e = purge_open(hub);
    if (e == ERR_OK)
        e = relay_starts(hub, &hub->relay->starts);
    if (e == ERR_OK)
        e = people_load(hub);
    hub->relay->held = relay_held_buckets(hub);
    return relay_end(hub, e);
}

bool relay_online(const struct hub *hub)
{
    return !hub->relay || replica_online(hub->relay->replica);
}

enum err relay_ready(struct hub *hub)
{
    if (!hub->relay)
        return ERR_OK;
    if (!relay_holds_records(hub->relay->replica))
        return ERR_BUSY;
    hub->stale |= hub->relay->upheavals != relay_upheavals(hub->relay->replica);
    return hub_refresh(hub);
}

void relay_close(struct hub *hub)
{
    free(hub->relay);
    hub->relay = NULL;
}

enum err relay_begin(struct hub *hub)
{
    return replica_enter(hub->relay->replica, STORE_WRITE);
}

enum err relay_end(struct hub *hub, enum err e)
{
    struct replica *r = hub->relay->replica;
    if (e == ERR_OK)
        e = replica_save(r);
    cache_drop(r);
    return replica_leave(r, e);
}

/* ---- origins ---- */

enum err relay_origin_load(struct hub *hub, uint64_t id, struct mark *ret_mark,
                           struct uuid *ret_device, struct uuid *ret_user)
{
    struct relay_origin known;
    enum err e = relay_origin_get(hub->relay->replica, id, &known);
    if (e != ERR_OK)
        return e;
    *ret_device = known.device;
    *ret_user = known.user;
    return relay_mark(hub->relay->replica, id, &hub->turn, ret_mark);
}

enum err relay_origin_new(struct hub *hub, uint64_t id, const struct uuid *device,
                          const struct uuid *user)
{
    const struct relay_origin origin = {.origin = id, .device = *device, .user = *user};
    return relay_origin_put(hub->relay->replica, &origin);
}

enum err relay_origin_claim(struct hub *hub, uint64_t id, const struct uuid *device,
                            const struct uuid *user)
{
    struct relay_origin known;
    enum err e = relay_origin_get(hub->relay->replica, id, &known);
    known.device = *device;
    known.user = *user;
    return e == ERR_OK ? relay_origin_put(hub->relay->replica, &known) : e;
}

/* ---- devices ---- */

enum err relay_device(struct hub *hub, const struct uuid *device, uint8_t ret_key[32],
                      struct uuid *ret_user)
{
    struct record record;
    enum err e = system_get(hub, TABLE_DEVICE, device, &record);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && record.dead))
        return ERR_AUTH;
    if (e != ERR_OK)
        return e;
    struct value key = system_value(hub, TABLE_DEVICE, &record, "key");
    struct value user = system_value(hub, TABLE_DEVICE, &record, "user");
    struct value revoked = system_value(hub, TABLE_DEVICE, &record, "revoked");
    if (key.kind != VALUE_BLOB || key.as.bytes.size != 32 || !value_id(&user, ret_user))
        return ERR_AUTH;
    memcpy(ret_key, key.as.bytes.data, 32);
    return revoked.kind == VALUE_INT && revoked.as.integer != 0 ? ERR_REVOKED : ERR_OK;
}

/* ---- rows ---- */

enum err relay_confirmed(struct store *store, const struct model_table *table,
                         const struct uuid *id, struct arena *arena, struct store_row *ret)
{
    struct base base;
    enum err e = base_load_from(store, table, id, arena, &base);
    if (e == ERR_NOT_FOUND)
        return store_row_get(store, table, id, arena, ret);
    *ret = base.row;
    return e == ERR_OK && !base.present ? ERR_NOT_FOUND : e;
}
