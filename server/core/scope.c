/* scope.c - who may see what: a user's role and branch make the set of buckets.
 *
 * Model:      administrators see every bucket; a manager the company's, the branch's and those of the
 *             branch's users; a rep the company's, the branch's and the own one; a branch server the
 *             company's, and those of its branch, of the branches below it and of their users.
 * Cost:       computed once per session; a look-up is a binary search.
 * Source:     DESIGN.md 8. */
#include "server/core/hub_internal.h"

#include <stdlib.h>
#include <string.h>

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

bool audience_has(const struct audience *audience, uint32_t bucket)
{
    return audience->all || (audience->count && bsearch(&bucket, audience->buckets, audience->count,
                                                        sizeof bucket, compare_u32));
}

void audience_done(struct audience *audience)
{
    free(audience->buckets);
    free(audience->absent);
    *audience = (struct audience){0};
}

static enum err add(struct audience *audience, uint32_t bucket)
{
    uint32_t *grown = realloc(audience->buckets, (audience->count + 1) * sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    audience->buckets = grown;
    audience->buckets[audience->count++] = bucket;
    return ERR_OK;
}

static enum err add_absent(struct audience *audience, enum bucket_kind kind, const struct uuid *key)
{
    struct bucket_name *grown =
        realloc(audience->absent, (audience->absent_count + 1) * sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    audience->absent = grown;
    audience->absent[audience->absent_count++] = (struct bucket_name){.kind = kind, .key = *key};
    return ERR_OK;
}

static enum err add_kind(struct hub *hub, struct audience *audience, enum bucket_kind kind,
                         const struct uuid *key)
{
    struct bucket *bucket;
    enum err e = bucket_get(hub, kind, key, &bucket);
    if (e == ERR_NOT_FOUND)
        return add_absent(audience, kind, key); /* a branch does not hold it */
    return e == ERR_OK ? add(audience, bucket->number) : e;
}

static enum err add_colleagues(struct hub *hub, struct audience *audience,
                               const struct uuid *branch)
{
    struct store_ids users = {.arena = &hub->turn};
    enum err e = store_row_scan(hub->store, model_table_by_id(hub->model, TABLE_USER), NULL,
                                store_ids_add, &users);
    for (uint32_t i = 0; e == ERR_OK && i < users.count; i++) {
        struct record record;
        e = system_get(hub, TABLE_USER, &users.ids[i], &record);
        if (e != ERR_OK)
            break;
        struct value at = system_value(hub, TABLE_USER, &record, "branch");
        struct uuid key;
        if (value_id(&at, &key) && uuid_equal(&key, branch))
            e = add_kind(hub, audience, BUCKET_KIND_USER, &users.ids[i]);
    }
    return e;
}

static enum err branch_parent(struct hub *hub, const struct uuid *branch, struct uuid *ret)
{
    struct record record;
    enum err e = system_get(hub, TABLE_BRANCH, branch, &record);
    struct value parent =
        e == ERR_OK ? system_value(hub, TABLE_BRANCH, &record, "parent") : value_null();
    return e == ERR_OK && !value_id(&parent, ret) ? ERR_NOT_FOUND : e;
}

/* Whether a branch is this one or below it. */
static enum err is_below(struct hub *hub, struct uuid branch, const struct uuid *top, bool *ret)
{
    enum { DEPTH_MAX = 16 };
    *ret = false;
    for (int i = 0; i < DEPTH_MAX; i++) {
        if (uuid_equal(&branch, top)) {
            *ret = true;
            return ERR_OK;
        }
        enum err e = branch_parent(hub, &branch, &branch);
        if (e != ERR_OK)
            return e == ERR_NOT_FOUND ? ERR_OK : e;
    }
    return ERR_OK;
}

static enum err add_branches(struct hub *hub, struct audience *audience, const struct uuid *top)
{
    struct store_ids branches = {.arena = &hub->turn};
    enum err e = store_row_scan(hub->store, model_table_by_id(hub->model, TABLE_BRANCH), NULL,
                                store_ids_add, &branches);
    for (uint32_t i = 0; e == ERR_OK && i < branches.count; i++) {
        bool below;
        e = is_below(hub, branches.ids[i], top, &below);
        if (e == ERR_OK && below)
            e = add_kind(hub, audience, BUCKET_KIND_BRANCH, &branches.ids[i]);
        if (e == ERR_OK && below)
            e = add_colleagues(hub, audience, &branches.ids[i]);
    }
    return e;
}

enum err scope_audience(struct hub *hub, const struct uuid *user, struct audience *ret)
{
    struct record record;
    enum err e = system_get(hub, TABLE_USER, user, &record);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && record.dead))
        return ERR_AUTH;
    if (e != ERR_OK)
        return e;
    struct value active = system_value(hub, TABLE_USER, &record, "active");
    if (active.kind == VALUE_INT && active.as.integer == 0)
        return ERR_AUTH;
    struct audience audience = {.role = ROLE_REP};
    struct value role = system_value(hub, TABLE_USER, &record, "role");
    audience.branch =
        role.kind == VALUE_TEXT && bytes_equal(role.as.bytes, bytes_of_text("branch"));
    if (role.kind == VALUE_TEXT && !audience.branch)
        (void)role_parse(role.as.bytes, &audience.role);
    if (audience.role == ROLE_NONE)
        return ERR_AUTH; /* a person in the books without access */
    if (audience.role >= ROLE_ADMIN) {
        audience.all = true;
        *ret = audience;
        return ERR_OK;
    }
    struct uuid nil = {{0}}, branch;
    struct value at = system_value(hub, TABLE_USER, &record, "branch");
    e = add_kind(hub, &audience, BUCKET_KIND_COMPANY, &nil);
    if (e == ERR_OK && value_id(&at, &branch)) {
        e = add_kind(hub, &audience, BUCKET_KIND_BRANCH, &branch);
        if (e == ERR_OK && audience.role == ROLE_MANAGER)
            e = add_colleagues(hub, &audience, &branch);
        if (e == ERR_OK && audience.branch)
            e = add_branches(hub, &audience, &branch);
    }
    if (e == ERR_OK)
        e = add_kind(hub, &audience, BUCKET_KIND_USER, user);
    if (e != ERR_OK) {
        audience_done(&audience);
        return e;
    }
    qsort(audience.buckets, audience.count, sizeof *audience.buckets, compare_u32);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < audience.count; i++)
        if (i == 0 || audience.buckets[i] != audience.buckets[kept - 1])
            audience.buckets[kept++] = audience.buckets[i];
    audience.count = kept;
    *ret = audience;
    return ERR_OK;
}

enum err scope_ensure_buckets(struct hub *hub)
{
    struct uuid nil = {{0}};
    struct bucket *bucket;
    enum err e = bucket_get(hub, BUCKET_KIND_COMPANY, &nil, &bucket);
    if (e == ERR_OK && bucket->number != BUCKET_NUMBER_COMPANY)
        e = ERR_CORRUPT;
    if (e == ERR_OK)
        e = bucket_get(hub, BUCKET_KIND_UNASSIGNED, &nil, &bucket);
    return e == ERR_OK && bucket->number != BUCKET_NUMBER_UNASSIGNED ? ERR_CORRUPT : e;
}

static bool names_equal(const struct audience *a, const struct audience *b)
{
    if (a->absent_count != b->absent_count)
        return false;
    for (uint32_t i = 0; i < a->absent_count; i++)
        if (a->absent[i].kind != b->absent[i].kind ||
            !uuid_equal(&a->absent[i].key, &b->absent[i].key))
            return false;
    return true;
}

static bool audience_equal(const struct audience *a, const struct audience *b)
{
    return a->role == b->role && a->all == b->all && a->branch == b->branch &&
           a->count == b->count &&
           (a->count == 0 || memcmp(a->buckets, b->buckets, a->count * sizeof *a->buckets) == 0) &&
           names_equal(a, b);
}

static bool device_revoked(struct hub *hub, const struct peer *peer)
{
    uint8_t key[32];
    struct uuid user;
    return device_get(hub, &peer->session.device, key, &user) == ERR_REVOKED;
}

static enum err refresh_all(struct hub *hub)
{
    enum err e = hub->relay ? ERR_OK : meta_put_u64(hub, "scope_revision", hub->scope_revision + 1);
    for (struct peer *peer = hub->peers; e == ERR_OK && peer; peer = peer->next) {
        if (peer->session.state != PEER_OPEN)
            continue;
        struct audience fresh = {0};
        peer->relayed_known = false;
        if (hub->relay && device_revoked(hub, peer))
            peer_fail(hub, peer, ERR_REVOKED,
                      "this device has been revoked; its data must be erased");
        e = scope_audience(hub, &peer->session.user, &fresh);
        if (e == ERR_AUTH)
            e = ERR_OK; /* an empty audience differs: the session ends and is not let in again */
        if (e == ERR_OK && !audience_equal(&fresh, &peer->audience))
            peer_fail(hub, peer, ERR_CLOSED, "your rights have changed; connecting again");
        audience_done(&fresh);
    }
    return e == ERR_OK ? state_flush(hub) : e;
}

enum err scope_refresh(struct hub *hub)
{
    hub->runs = NULL; /* flushed with the turn that changed the scope */
    enum err e = store_begin(hub->store, hub->relay ? STORE_READ : STORE_WRITE);
    if (e != ERR_OK)
        return e;
    e = refresh_all(hub);
    if (e == ERR_OK && !hub->relay)
        e = store_commit(hub->store);
    else
        store_rollback(hub->store);
    if (e == ERR_OK && !hub->relay)
        hub->scope_revision++;
    return e;
}
