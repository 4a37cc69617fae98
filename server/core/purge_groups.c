/* purge_groups.c - steps of a round that are about groups: those that wait for what does not come are decided without
 * it; those that nobody needs any more are announced as archived, so that who keeps them forgets them.
 *
 * Source:     SPEC.md 13.5, 13.6. */
#include "server/core/hub_internal.h"

/* ---- waiting groups ---- */

struct waiting_page {
    struct bytes keys[PURGE_AT_ONCE];
    struct arena *arena;
    uint32_t count;
};

static int add_waiting(void *context, struct bytes key, struct bytes value)
{
    struct waiting_page *page = context;
    (void)value;
    int stop = (int)arena_copy(page->arena, key, &page->keys[page->count++]);
    return stop ? stop : page->count == PURGE_AT_ONCE ? STORE_STOP : 0;
}

/* Whether the one who would have to send what is missing never will. */
static enum err is_revoked(struct hub *hub, uint64_t id, bool *ret)
{
    struct origin *origin;
    struct uuid user;
    uint8_t public_key[32];
    *ret = false;
    enum err e = origin_get(hub, id, &origin);
    if (e == ERR_OK && !uuid_is_nil(&origin->device))
        e = device_get(hub, &origin->device, public_key, &user);
    *ret = e == ERR_REVOKED;
    return e == ERR_REVOKED || e == ERR_NOT_FOUND || e == ERR_AUTH ? ERR_OK : e;
}

enum err purge_waiting(struct hub *hub)
{
    struct purge *p = &hub->purge;
    struct waiting_page page = {.arena = &hub->turn};
    enum err e = store_side_scan(hub->store, SIDE_WAITS_FOR, purge_behind(p), bytes_of(NULL, 0),
                                 add_waiting, &page);
    for (uint32_t i = 0; e == ERR_OK && i < page.count; i++) {
        bool over, given_up = false;
        if (page.keys[i].size != KEY_WAITS_FOR)
            return ERR_CORRUPT;
        e = is_revoked(hub, be64_get(page.keys[i].data), &over);
        if (e == ERR_OK)
            e = waiting_lapse(hub, page.keys[i],
                              over ? INT64_MAX : purge_before(hub, purge_horizon_ms(hub)),
                              &given_up);
        p->given_up += given_up;
    }
    if (page.count < PURGE_AT_ONCE)
        purge_next(p, PURGE_ARCHIVE);
    else
        purge_place(p, page.keys[page.count - 1]);
    return e;
}

/* ---- groups that nobody keeps any more ---- */

struct origin_page {
    uint64_t origins[PURGE_LOOKED];
    uint32_t count;
};

static int add_origin(void *context, struct bytes key, struct bytes value)
{
    struct origin_page *page = context;
    (void)value;
    if (key.size != 8)
        return ERR_CORRUPT;
    page->origins[page->count++] = be64_get(key.data);
    return page->count == PURGE_LOOKED ? STORE_STOP : 0;
}

static enum err archive_origin(struct hub *hub, uint64_t id)
{
    struct mark mark;
    struct uuid device, user;
    uint64_t then = 0, archived;
    int64_t kept_ms = purge_archive_ms(hub);
    enum err e = mark_get(hub->store, id, &hub->turn, &mark, &device, &user);
    if (e != ERR_OK || uuid_is_nil(&device))
        return e; /* what headquarters wrote itself nobody keeps */
    e = age_look(hub, AGE_OF_ORIGIN, id, mark.upto, purge_before(hub, kept_ms), kept_ms / AGE_MARKS,
                 &then);
    if (e == ERR_OK)
        e = archived_get(hub->store, id, &hub->turn, &archived);
    if (e != ERR_OK || then <= archived)
        return e;
    char name[ARCHIVED_NAME_SIZE];
    uint8_t key[8];
    archived_name(id, name);
    be64_put(key, id);
    e = meta_put_u64(hub, name, then);
    return e == ERR_OK ? hash_map_put_number(&hub->purge.archived, bytes_of(key, 8), then) : e;
}

enum err purge_archive(struct hub *hub)
{
    struct purge *p = &hub->purge;
    struct origin_page page = {.count = 0};
    if (purge_archive_ms(hub) <= 0) {
        purge_next(p, PURGE_END);
        return ERR_OK;
    }
    enum err e = store_side_scan(hub->store, SIDE_MARK, purge_behind(p), bytes_of(NULL, 0),
                                 add_origin, &page);
    for (uint32_t i = 0; e == ERR_OK && i < page.count; i++)
        e = archive_origin(hub, page.origins[i]);
    uint8_t last[8];
    if (page.count < PURGE_LOOKED) {
        purge_next(p, PURGE_END);
    } else {
        be64_put(last, page.origins[page.count - 1]);
        purge_place(p, bytes_of(last, sizeof last));
    }
    return e;
}

/* A session that lasts hears of it with the checkpoint of a catch-up, which has nothing else to tell. */
void purge_tell_archived(struct hub *hub)
{
    uint8_t key[8];
    if (hash_map_count(&hub->purge.archived) == 0)
        return;
    for (struct peer *peer = hub->peers; peer; peer = peer->next) {
        if (peer->session.pull != PULL_LIVE || peer->session.state != PEER_OPEN)
            continue;
        be64_put(key, peer->session.origin);
        bool news = hash_map_get(&hub->purge.archived, bytes_of(key, 8)) != NULL;
        for (uint32_t i = 0; i < peer->follow_count && !news; i++) {
            be64_put(key, peer->follows[i].origin);
            news = hash_map_get(&hub->purge.archived, bytes_of(key, 8)) != NULL;
        }
        if (!news)
            continue;
        peer->session.pull = PULL_CATCHING_UP;
        peer->session.fresh_subscription = true;
        peer_want_write(peer);
    }
}
