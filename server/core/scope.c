/* scope.c - who may see what: a user's role, branch and teams make the set of buckets.
 *
 * Model:      administrators see every bucket. Everybody else sees the company's, the branch's, the own one, those
 *             of their teams, and of whom they stand in for the own bucket and the teams'. A manager besides those
 *             of the branch's users and teams. A branch server the company's, and whatever anybody of its branch,
 *             or of one below, may see.
 * Invariant:  while rights are due to be looked at (scope_due), nothing of the feed leaves.
 * Cost:       computed once per session, from memory (people.c); a look-up is a binary search.
 * Source:     DESIGN.md 8; SPEC.md 11.9. */
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

static enum err add_teams(struct hub *hub, struct audience *audience, const struct uuid *user)
{
    uint32_t count;
    const struct membership *teams = person_teams(hub, user, &count);
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < count; i++)
        e = add_kind(hub, audience, BUCKET_KIND_TEAM, &teams[i].team);
    return e;
}

/* What is a person's own: the own bucket, those of the teams. */
static enum err add_own(struct hub *hub, struct audience *audience, const struct uuid *user)
{
    enum err e = add_kind(hub, audience, BUCKET_KIND_USER, user);
    return e == ERR_OK ? add_teams(hub, audience, user) : e;
}

/* With what is theirs for whom the person stands in; not further: a substitute's substitute has no part in it. */
static enum err add_person(struct hub *hub, struct audience *audience, const struct uuid *user)
{
    uint32_t count;
    const struct person *const *replaced = person_replaces(hub, user, &count);
    enum err e = add_own(hub, audience, user);
    for (uint32_t i = 0; e == ERR_OK && i < count; i++)
        if (is_replaced(hub, replaced[i]))
            e = add_own(hub, audience, &replaced[i]->id);
    return e;
}

/* What a manager sees of a branch: what is its people's own, and its teams'. */
static enum err add_managed(struct hub *hub, struct audience *audience, const struct uuid *branch)
{
    const struct people *p = &hub->people;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < p->person_count; i++)
        if (uuid_equal(&p->persons[i].branch, branch))
            e = add_kind(hub, audience, BUCKET_KIND_USER, &p->persons[i].id);
    for (uint32_t i = 0; e == ERR_OK && i < p->team_count; i++)
        if (uuid_equal(&p->teams[i].branch, branch))
            e = add_kind(hub, audience, BUCKET_KIND_TEAM, &p->teams[i].id);
    return e;
}

static const struct place *place_find(const struct people *p, const struct uuid *id)
{
    for (uint32_t from = 0, to = p->branch_count; from < to;) {
        uint32_t middle = from + (to - from) / 2;
        int order = memcmp(&p->branches[middle].id, id, sizeof *id);
        if (order == 0)
            return &p->branches[middle];
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

/* Whether a branch is this one or below it. */
static bool is_below(const struct people *p, struct uuid branch, const struct uuid *top)
{
    enum { DEPTH_MAX = 16 };
    for (int i = 0; i < DEPTH_MAX; i++) {
        if (uuid_equal(&branch, top))
            return true;
        const struct place *place = place_find(p, &branch);
        if (!place || uuid_is_nil(&place->parent))
            return false;
        branch = place->parent;
    }
    return false;
}

/* What anybody of the branch, or of one below it, may see. */
static enum err add_served(struct hub *hub, struct audience *audience, const struct uuid *top)
{
    const struct people *p = &hub->people;
    enum err e = ERR_OK;
    for (uint32_t b = 0; e == ERR_OK && b < p->branch_count; b++) {
        const struct uuid *branch = &p->branches[b].id;
        if (!is_below(p, *branch, top))
            continue;
        e = add_kind(hub, audience, BUCKET_KIND_BRANCH, branch);
        if (e == ERR_OK)
            e = add_managed(hub, audience, branch);
        for (uint32_t i = 0; e == ERR_OK && i < p->person_count; i++)
            if (uuid_equal(&p->persons[i].branch, branch))
                e = add_person(hub, audience, &p->persons[i].id);
    }
    return e;
}

static int compare_name(const void *a, const void *b)
{
    const struct bucket_name *x = a, *y = b;
    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1)
                              : memcmp(&x->key, &y->key, sizeof x->key);
}

/* Ascending, and each once: what is seen for several reasons is listed for each. */
static void put_in_order(struct audience *audience)
{
    uint32_t kept = 0;
    if (audience->count)
        qsort(audience->buckets, audience->count, sizeof *audience->buckets, compare_u32);
    for (uint32_t i = 0; i < audience->count; i++)
        if (i == 0 || audience->buckets[i] != audience->buckets[kept - 1])
            audience->buckets[kept++] = audience->buckets[i];
    audience->count = kept;
    kept = 0;
    if (audience->absent_count)
        qsort(audience->absent, audience->absent_count, sizeof *audience->absent, compare_name);
    for (uint32_t i = 0; i < audience->absent_count; i++)
        if (i == 0 || compare_name(&audience->absent[i], &audience->absent[kept - 1]) != 0)
            audience->absent[kept++] = audience->absent[i];
    audience->absent_count = kept;
}

static enum err add_all(struct hub *hub, struct audience *audience, const struct person *person)
{
    const struct uuid nil = {{0}};
    enum err e = add_kind(hub, audience, BUCKET_KIND_COMPANY, &nil);
    if (e == ERR_OK && !uuid_is_nil(&person->branch)) {
        e = add_kind(hub, audience, BUCKET_KIND_BRANCH, &person->branch);
        if (e == ERR_OK && person->role == ROLE_MANAGER)
            e = add_managed(hub, audience, &person->branch);
        if (e == ERR_OK && person->serves)
            e = add_served(hub, audience, &person->branch);
    }
    return e == ERR_OK ? add_person(hub, audience, &person->id) : e;
}

enum err scope_audience(struct hub *hub, const struct uuid *user, struct audience *ret)
{
    enum err e = people_load(hub);
    if (e != ERR_OK)
        return e;
    const struct person *person = person_find(hub, user);
    if (!person || !person->active || person->role == ROLE_NONE)
        return ERR_AUTH; /* role none: a person in the books without access */
    struct audience audience = {.role = person->role, .branch = person->serves};
    if (person->role >= ROLE_ADMIN) {
        audience.all = true;
        *ret = audience;
        return ERR_OK;
    }
    e = add_all(hub, &audience, person);
    if (e != ERR_OK) {
        audience_done(&audience);
        return e;
    }
    put_in_order(&audience);
    *ret = audience;
    return ERR_OK;
}

enum err scope_owner_sees(struct hub *hub, const struct uuid *owner, const struct uuid *team,
                          bool *ret)
{
    enum err e = people_load(hub);
    if (e != ERR_OK)
        return e;
    const struct person *person = person_find(hub, owner);
    const struct team *of = team_find(hub, team);
    *ret = is_member(hub, owner, team) ||
           (person && of &&
            (person->role >= ROLE_ADMIN ||
             (person->role == ROLE_MANAGER && !uuid_is_nil(&of->branch) &&
              uuid_equal(&person->branch, &of->branch))));
    return ERR_OK;
}

enum err scope_start(struct hub *hub)
{
    struct uuid nil = {{0}};
    struct bucket *bucket;
    enum err e = bucket_get(hub, BUCKET_KIND_COMPANY, &nil, &bucket);
    if (e == ERR_OK && bucket->number != BUCKET_NUMBER_COMPANY)
        e = ERR_CORRUPT;
    if (e == ERR_OK)
        e = bucket_get(hub, BUCKET_KIND_UNASSIGNED, &nil, &bucket);
    if (e == ERR_OK && bucket->number != BUCKET_NUMBER_UNASSIGNED)
        e = ERR_CORRUPT;
    if (e == ERR_OK)
        e = lapse_purge(hub);
    return e == ERR_OK ? people_load(hub) : e; /* and when the next substitution ends */
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
    if (e == ERR_OK)
        e = people_load(hub);
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

/* ---- substitutions end ---- */

/* The end is a write of headquarters', so that branches and devices hear of it as of any other change of rights,
 * whatever their clocks say. */
static enum err end_some(struct hub *hub, void *context)
{
    const uint16_t columns[] = {SYSTEM_USER_SUBSTITUTE, SYSTEM_USER_SUBSTITUTE_UNTIL};
    const struct value nothing[] = {value_null(), value_null()};
    struct store_ids over = {.arena = &hub->turn};
    (void)context;
    enum err e = people_load(hub);
    for (uint32_t i = 0; e == ERR_OK && i < hub->people.replaced_count; i++)
        if (!is_replaced(hub, hub->people.replaced[i]))
            e = (enum err)store_ids_add(&over, &hub->people.replaced[i]->id);
    for (uint32_t i = 0; e == ERR_OK && i < over.count; i++) {
        e = system_put(hub, TABLE_USER, &over.ids[i], columns, nothing, 2, 0);
        if (e == ERR_OK)
            e = audit_append(hub, "{\"what\":\"substitution ended\"}");
    }
    return e;
}

void scope_undo(struct hub *hub)
{
    people_forget(hub);
    if (hub->scope_changed && !hub->relay)
        hub->ends_ms = 1; /* long ago: it is looked for again */
}

enum err scope_clock(struct hub *hub)
{
    arena_reset(&hub->turn);
    if (hub->ends_ms == 0 || hub->now.wall.ms < hub->ends_ms)
        return ERR_OK;
    if (!hub->relay)
        return hub_transact(hub, end_some, NULL);
    people_forget(hub);
    hub->ends_ms = 0;
    hub->scope_due = true;
    enum err e = hub_renew_rights(hub);
    arena_reset(&hub->turn);
    return e;
}

void scope_deadline(struct hub *hub)
{
    enum { LOOK_MS = 60000 }; /* wall clocks jump */
    int64_t left_ms = hub->ends_ms - hub->now.wall.ms;
    if (hub->ends_ms == 0)
        return;
    if (left_ms < HUB_RETRY_US / 1000)
        left_ms = HUB_RETRY_US / 1000;
    deadline_lower(hub, hub->now.mono.us + 1000 * (left_ms < LOOK_MS ? left_ms : LOOK_MS));
}
