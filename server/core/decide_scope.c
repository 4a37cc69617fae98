/* decide_scope.c - one group at headquarters: whether its author sees what it writes, and where it goes.
 *
 * Model:      a record has to be in a bucket that the author sees, or saw until lately (move.c, lapse.c); it comes
 *             to another one only by who owns it, or manages, and only where its owner sees it.
 * Source:     SPEC.md 11.2.7, 11.9; DESIGN.md 8. */
#include "server/core/judging.h"

#include <string.h>

/* A record in this bucket has to be the author's to see, now or until lately. */
static enum err check_sight(struct judging *j, const struct model_table *table,
                            const struct uuid *id, uint32_t bucket)
{
    bool lately = false;
    if (audience_has(j->author->audience, bucket))
        return ERR_OK;
    enum err e = lapse_lease(j->hub, &j->author->user, bucket, j->stamp_ms, &lately);
    if (e == ERR_OK && !lately)
        e = move_lease(j->hub, j->author, j->stamp_ms, table, id, &lately);
    if (e == ERR_OK && !lately)
        refuse(j, REASON_SCOPE, table, NULL, NULL);
    j->former |= lately;
    return e;
}

static enum err check_old_sight(struct judging *j, const struct model_table *table,
                                const struct uuid *id)
{
    const struct store_row *old = world_row(j->hub, table, id);
    return old ? check_sight(j, table, id, old->bucket) : ERR_OK;
}

/* Who owns a record may give it away, and who stands in for the owner; who manages, may with all that they see. */
static bool may_move(const struct judging *j, const struct applied_record *applied)
{
    const struct model_table *table = applied->table;
    if (j->former)
        return false;
    if (j->author->audience->role >= ROLE_MANAGER || table->bucket_rule != BUCKET_ROUTED)
        return true;
    struct uuid owner;
    return value_id(&applied->before.values[table->owner_column], &owner) &&
           (uuid_equal(&owner, &j->author->user) || stands_in(j->hub, &j->author->user, &owner));
}

/* Whether there is somebody to see the record. */
static enum err check_destination(struct judging *j, const struct model_table *table,
                                  const struct route *route)
{
    struct record record;
    enum err e = ERR_OK;
    if (route->kind == BUCKET_KIND_TEAM) {
        const struct team *team = team_find(j->hub, &route->key);
        if (!team || !team->active)
            refuse(j, REASON_MOVE, table, NULL, NULL);
        return ERR_OK;
    }
    if (route->kind == BUCKET_KIND_USER)
        e = system_get(j->hub, TABLE_USER, &route->key, &record);
    else if (route->kind == BUCKET_KIND_BRANCH)
        e = system_get(j->hub, TABLE_BRANCH, &route->key, &record);
    else
        return ERR_OK;
    if (e == ERR_NOT_FOUND || (e == ERR_OK && record.dead)) {
        refuse(j, REASON_MOVE, table, NULL, NULL);
        return ERR_OK;
    }
    return e;
}

static bool same_cell(const struct value *a, const struct value *b)
{
    struct uuid x = {{0}}, y = {{0}};
    (void)value_id(a, &x);
    (void)value_id(b, &y);
    return uuid_equal(&x, &y);
}

/* A bucket holds nothing that its owner may not see: who gets a record of a team, or brings one, has to see the
 * team's. Asked when the record comes to the team, or to another owner in it. */
static enum err check_team(struct judging *j, const struct applied_record *applied,
                           const struct route *route, bool comes)
{
    const struct model_table *table = applied->table;
    struct uuid owner;
    bool sees;
    if (route->kind != BUCKET_KIND_TEAM || j->reason != REASON_NONE ||
        !value_id(&applied->record.values[table->owner_column], &owner))
        return ERR_OK;
    if (!comes && same_cell(&applied->before.values[table->owner_column],
                            &applied->record.values[table->owner_column]))
        return ERR_OK;
    enum err e = scope_owner_sees(j->hub, &owner, &route->key, &sees);
    if (e == ERR_OK && !sees)
        refuse(j, REASON_TEAM, table, table->columns[table->team_column].name, NULL);
    return e;
}

/* A new record has to be the author's to see where it comes. */
static enum err check_new(struct judging *j, const struct applied_record *applied,
                          const struct route *route)
{
    struct bucket *bucket;
    bool lately = false;
    enum err e = ERR_OK;
    if (route->kind == BUCKET_KIND_TEAM)
        e = check_destination(j, applied->table, route);
    if (e == ERR_OK && j->reason == REASON_NONE && !j->author->audience->all) {
        e = bucket_get(j->hub, route->kind, &route->key, &bucket);
        if (e == ERR_OK && !audience_has(j->author->audience, bucket->number)) {
            e = lapse_lease(j->hub, &j->author->user, bucket->number, j->stamp_ms, &lately);
            if (e == ERR_OK && !lately)
                refuse(j, REASON_SCOPE, applied->table, NULL, NULL);
            j->former |= lately;
        }
    }
    return e == ERR_OK ? check_team(j, applied, route, true) : e;
}

/* Something new beneath a record that is not there, nor comes with it. */
static enum err check_parent(struct judging *j, const struct apply_report *report,
                             const struct model_table *table, const struct model_table *parent,
                             const struct uuid *id)
{
    bool purged = false;
    for (uint32_t i = 0; i < report->count; i++)
        if (report->records[i].table == parent && uuid_equal(&report->records[i].id, id))
            return ERR_OK;
    enum err e = purged_parent(j->hub, parent, id, &purged);
    if (e == ERR_OK && purged)
        refuse(j, REASON_PURGED, table, NULL, NULL);
    return e;
}

enum err check_scope(struct judging *j, const struct apply_report *report)
{
    struct hub *hub = j->hub;
    enum err known = people_load(hub);
    if (known != ERR_OK)
        return known;
    /* The report lacks mutations that came to nothing. */
    for (uint32_t m = 0; m < j->group->mutation_count && j->reason == REASON_NONE; m++) {
        const struct mutation *mutation = &j->group->mutations[m];
        enum err e = check_old_sight(j, mutation->table, &mutation->id);
        if (e != ERR_OK)
            return e;
    }
    for (uint32_t i = 0; i < report->count && j->reason == REASON_NONE; i++) {
        const struct applied_record *applied = &report->records[i];
        const struct store_row *old = world_row(hub, applied->table, &applied->id);
        enum err e = check_old_sight(j, applied->table, &applied->id);
        if (e != ERR_OK || j->reason != REASON_NONE)
            return e;
        struct route route = route_record(applied->table, applied->record.values);
        if (route.inherit) {
            /* the parent's bucket decides; a parent of the same group has been checked itself */
            struct store_row parent;
            const struct model_table *table =
                &hub->model->tables[applied->table->columns[applied->table->parent_column].target];
            e = store_row_get(hub->store, table, &route.parent, &hub->turn, &parent);
            if (e == ERR_OK)
                e = check_sight(j, table, &route.parent, parent.bucket);
            if (e == ERR_OK && old && parent.bucket != old->bucket && !may_move(j, applied))
                refuse(j, REASON_SCOPE, applied->table, NULL, NULL);
            if (e == ERR_NOT_FOUND && applied->inserted)
                e = check_parent(j, report, applied->table, table, &route.parent);
            if (e != ERR_OK && e != ERR_NOT_FOUND)
                return e;
            continue;
        }
        if (old) {
            const struct bucket *bucket = bucket_by_number(hub, old->bucket);
            if (applied->table->bucket_rule == BUCKET_SYSTEM)
                continue;
            bool comes =
                !bucket || bucket->kind != route.kind || !uuid_equal(&bucket->key, &route.key);
            if (comes && !may_move(j, applied))
                refuse(j, j->former ? REASON_SCOPE : REASON_RIGHTS, applied->table, NULL, NULL);
            else if (comes)
                e = check_destination(j, applied->table, &route);
            if (e == ERR_OK)
                e = check_team(j, applied, &route, comes);
        } else {
            e = check_new(j, applied, &route);
        }
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}
