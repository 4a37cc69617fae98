/* lapse.c - what people saw until lately: a team that they left, a person whom they stood in for.
 *
 * Model:      whoever loses a bucket in this way may go on sending, for LEASE_DAYS, what was written before the news
 *             came; where the end was known before (a substitution that ran out), what was written before it.
 * Stored:     LAPSED (user, bucket BE4) -> when BE8, the last ms at which writing counts BE8.
 * Invariant:  noted in the transaction that takes the bucket away.
 * Source:     SPEC.md 11.9; protocol/adr/0015-teams-and-substitutes.md. */
#include "server/core/hub_internal.h"

#include <string.h>

enum { LAPSED_KEY = 16 + 4, LAPSED_VALUE = 8 + 8 };
static const int64_t LEASE_MS = (int64_t)LEASE_DAYS * 24 * 3600 * 1000;
static const int64_t AHEAD_MS =
    120000; /* as much a stamp may be before its clock (SPEC.md 2.3.2) */

struct lapse {
    struct hub *hub;
    int64_t when_ms, last_ms;
};

static enum err note(const struct lapse *lapse, const struct uuid *user, enum bucket_kind kind,
                     const struct uuid *of)
{
    struct bucket *bucket;
    uint8_t key[LAPSED_KEY], value[LAPSED_VALUE];
    enum err e = bucket_get(lapse->hub, kind, of, &bucket);
    if (e != ERR_OK)
        return e;
    memcpy(key, user->byte, 16);
    be32_put(key + 16, bucket->number);
    be64_put(value, (uint64_t)lapse->when_ms);
    be64_put(value + 8, (uint64_t)lapse->last_ms);
    return store_side_put(lapse->hub->store, SIDE_LAPSED, bytes_of(key, sizeof key),
                          bytes_of(value, sizeof value));
}

/* A person leaves a team; who stands in for the person sees it no longer, either. */
static enum err note_leaves(const struct lapse *lapse, const struct uuid *user,
                            const struct uuid *team)
{
    const struct person *person = person_find(lapse->hub, user);
    enum err e = note(lapse, user, BUCKET_KIND_TEAM, team);
    if (e == ERR_OK && person && is_replaced(lapse->hub, person))
        e = note(lapse, &person->substitute, BUCKET_KIND_TEAM, team);
    return e;
}

static enum err note_substitute(struct lapse *lapse, const struct applied_record *applied)
{
    const struct hub *hub = lapse->hub;
    const struct person *before = person_find(hub, &applied->id);
    struct value by = system_value(lapse->hub, TABLE_USER, &applied->record, "substitute");
    struct value until = system_value(lapse->hub, TABLE_USER, &applied->record, "substitute_until");
    struct uuid now;
    if (!before || !before->until_ms)
        return ERR_OK;
    if (value_id(&by, &now) && uuid_equal(&now, &before->substitute) && until.kind == VALUE_INT &&
        until.as.integer > lapse->when_ms)
        return ERR_OK; /* goes on */
    if (!is_replaced(hub, before))
        lapse->when_ms = lapse->last_ms = before->until_ms;
    uint32_t count;
    const struct membership *teams = person_teams(hub, &before->id, &count);
    enum err e = note(lapse, &before->substitute, BUCKET_KIND_USER, &before->id);
    for (uint32_t i = 0; e == ERR_OK && i < count; i++)
        e = note(lapse, &before->substitute, BUCKET_KIND_TEAM, &teams[i].team);
    return e;
}

static bool stands(struct hub *hub, uint32_t table, const struct record *record)
{
    struct value active = system_value(hub, table, record, "active");
    return !record->dead && (active.kind != VALUE_INT || active.as.integer != 0);
}

static enum err note_member(const struct lapse *lapse, const struct applied_record *applied)
{
    struct hub *hub = lapse->hub;
    struct uuid ids[4] = {{{0}}};
    const struct record *records[] = {&applied->before, &applied->record};
    for (int i = 0; i < 2; i++) {
        struct value person = system_value(hub, TABLE_TEAM_MEMBER, records[i], "user");
        struct value team = system_value(hub, TABLE_TEAM_MEMBER, records[i], "team");
        (void)value_id(&person, &ids[2 * i]);
        (void)value_id(&team, &ids[2 * i + 1]);
    }
    if (!stands(hub, TABLE_TEAM_MEMBER, &applied->before) ||
        (stands(hub, TABLE_TEAM_MEMBER, &applied->record) &&
         memcmp(ids, ids + 2, 2 * sizeof *ids) == 0))
        return ERR_OK;
    return note_leaves(lapse, &ids[0], &ids[1]);
}

static enum err note_team(const struct lapse *lapse, const struct applied_record *applied)
{
    const struct people *p = &lapse->hub->people;
    enum err e = ERR_OK;
    if (!stands(lapse->hub, TABLE_TEAM, &applied->before) ||
        stands(lapse->hub, TABLE_TEAM, &applied->record))
        return ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < p->member_count; i++)
        if (uuid_equal(&p->members[i].team, &applied->id))
            e = note_leaves(lapse, &p->members[i].person, &applied->id);
    return e;
}

enum err lapse_note(struct hub *hub, const struct applied_record *applied)
{
    struct lapse lapse = {hub, hub->now.wall.ms, INT64_MAX};
    if (!applied->before.present)
        return ERR_OK;
    enum err e = people_load(hub);
    if (e != ERR_OK)
        return e;
    switch (applied->table->id) {
    case TABLE_USER: return note_substitute(&lapse, applied);
    case TABLE_TEAM: return note_team(&lapse, applied);
    case TABLE_TEAM_MEMBER: return note_member(&lapse, applied);
    default: return ERR_OK;
    }
}

enum err lapse_lease(struct hub *hub, const struct uuid *user, uint32_t bucket, int64_t stamp_ms,
                     bool *ret)
{
    uint8_t key[LAPSED_KEY];
    struct bytes value;
    *ret = false;
    memcpy(key, user->byte, 16);
    be32_put(key + 16, bucket);
    enum err e =
        store_side_get(hub->store, SIDE_LAPSED, bytes_of(key, sizeof key), &hub->turn, &value);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (value.size != LAPSED_VALUE)
        return ERR_CORRUPT;
    int64_t when_ms = (int64_t)be64_get(value.data), last_ms = (int64_t)be64_get(value.data + 8);
    *ret = when_ms >= hub->now.wall.ms - LEASE_MS && stamp_ms - AHEAD_MS <= last_ms;
    return ERR_OK;
}

struct stale {
    struct arena *arena;
    struct bytes *keys;
    uint32_t count, capacity;
    int64_t before_ms;
};

static int collect_stale(void *context, struct bytes key, struct bytes value)
{
    struct stale *stale = context;
    if (key.size != LAPSED_KEY || value.size != LAPSED_VALUE)
        return ERR_CORRUPT;
    if ((int64_t)be64_get(value.data) >= stale->before_ms)
        return 0;
    struct bytes *keys =
        arena_extend(stale->arena, stale->keys, stale->count, &stale->capacity, sizeof *keys);
    if (!keys)
        return ERR_NOMEM;
    stale->keys = keys;
    return (int)arena_copy(stale->arena, key, &keys[stale->count++]);
}

enum err lapse_purge(struct hub *hub)
{
    struct stale stale = {.arena = &hub->turn, .before_ms = hub->now.wall.ms - LEASE_MS};
    const struct bytes none = bytes_of(NULL, 0);
    enum err e = store_side_scan(hub->store, SIDE_LAPSED, none, none, collect_stale, &stale);
    for (uint32_t i = 0; e == ERR_OK && i < stale.count; i++)
        e = store_side_delete(hub->store, SIDE_LAPSED, stale.keys[i]);
    return e;
}
