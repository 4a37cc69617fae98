/* relay_feed.c - what a branch gives to its devices: headquarters' checkpoints as they came, and the pending
 * groups, each device those parts that it may see.
 *
 * Model:      a live checkpoint's pages are passed on unchanged, as buckets and positions are headquarters';
 *             after any other one the live devices catch up from the log. Pending groups are asked for by the
 *             writable socket, from the run on that the device has not been given: nothing is queued.
 * Source:     SPEC.md 12. */
#include "server/core/relay.h"

#include "client/core/replica_internal.h"

#include <stdlib.h>
#include <string.h>

enum { PENDING_BYTES = 256 << 10, PENDING_GROUPS = 500, PENDING_GROUP_MAX = 4 << 20 };

/* ---- marks and results ---- */

enum err relay_origin_results(struct store *store, uint64_t origin, uint64_t after,
                              struct arena *arena, struct mark *ret_mark,
                              const struct group_result **ret, uint32_t *ret_count)
{
    enum err e = relay_mark_from(store, origin, arena, ret_mark);
    return e == ERR_OK ? relay_results_from(store, origin, after, arena, ret, ret_count) : e;
}

enum err relay_follow(struct hub *hub, struct peer *peer, const struct message_follow *message)
{
    struct replica *replica = hub->relay->replica;
    const struct uuid nobody = {{0}};
    peer->session.pending_next = message->relay == hub->relay->id ? message->seq + 1 : 1;
    for (uint32_t i = 0; i < message->origins_count; i++) {
        struct relay_origin known;
        uint64_t origin = message->origins[i].origin;
        if (origin == 0)
            return ERR_PROTOCOL;
        enum err e = relay_origin_get(replica, origin, &known);
        if (e ==
            ERR_NOT_FOUND) { /* what the device holds of another branch's: its fate is asked for */
            e = relay_origin_new(hub, origin, &nobody, &nobody);
            hub->relay->follows = true;
        }
        if (e != ERR_OK)
            return e;
    }
    if (relay_pending_ready(hub, peer))
        peer_want_write(peer); /* a live one asks again for what it has forgotten */
    return ERR_OK;
}

/* ---- pending groups ---- */

bool relay_pending_ready(const struct hub *hub, const struct peer *peer)
{
    return hub->relay && peer->session.pull == PULL_LIVE &&
           peer->session.pending_next < relay_run_end(hub->relay->replica);
}

void relay_published(struct hub *hub)
{
    uint64_t end = relay_run_end(hub->relay->replica);
    if (hub->relay->given == end && !hub->relay->follows)
        return;
    hub->relay->follows = false;
    hub->relay->given = end;
    for (struct peer *peer = hub->peers; peer; peer = peer->next)
        if (relay_pending_ready(hub, peer))
            peer_want_write(peer);
    if (hub->config.pushed)
        hub->config.pushed(hub->config.context);
}

enum { PARENTS_MAX = 32 };

/* A record that headquarters has is where it says. What is pending keeps the bucket that it was written in, and what it
 * belongs to may have been moved since, by a group that is pending as well: all of these have to be seen. */
static enum err sees_record(struct hub *hub, const struct peer *peer,
                            const struct model_table *table, struct uuid id, bool *ret)
{
    for (int depth = 0; depth < PARENTS_MAX; depth++) {
        struct base base;
        struct store_row row;
        enum err e = base_load_from(hub->store, table, &id, &hub->turn, &base);
        *ret = false;
        if (e == ERR_OK && base.present) {
            *ret = audience_has(&peer->audience, base.row.bucket);
            return ERR_OK;
        }
        if (e != ERR_OK && e != ERR_NOT_FOUND)
            return e;
        e = store_row_get(hub->store, table, &id, &hub->turn, &row);
        if (e != ERR_OK)
            return e == ERR_NOT_FOUND ? ERR_OK : e;
        *ret = row.bucket != 0 && audience_has(&peer->audience, row.bucket);
        if (!*ret || row.position > 0 || row.dead || table->bucket_rule != BUCKET_INHERIT ||
            table->parent_column < 0 || !value_id(&row.values[table->parent_column], &id))
            return ERR_OK;
        table = &hub->model->tables[table->columns[table->parent_column].target];
    }
    *ret = false;
    return ERR_OK;
}

/* The group without what the peer may not see; empty: nothing is left. */
static enum err filter(struct hub *hub, const struct peer *peer, uint64_t origin, uint64_t oseq,
                       struct bytes raw, struct bytes *ret)
{
    struct group group;
    *ret = bytes_of(NULL, 0);
    enum err e = group_decode(hub->model, raw, &hub->turn, &group, NULL);
    if (e != ERR_OK)
        return e == ERR_NOMEM ? e : ERR_OK; /* headquarters will say what is wrong with it */
    if (group.dot.origin != origin || group.dot.oseq != oseq)
        return ERR_OK; /* nor is it what it says */
    struct mutation *kept = arena_calloc(&hub->turn, group.mutation_count + 1u, sizeof *kept);
    if (!kept)
        return ERR_NOMEM;
    uint32_t count = 0;
    for (uint32_t i = 0; e == ERR_OK && i < group.mutation_count; i++) {
        bool sees;
        e = sees_record(hub, peer, group.mutations[i].table, group.mutations[i].id, &sees);
        if (e == ERR_OK && sees)
            kept[count++] = group.mutations[i];
    }
    if (e != ERR_OK || count == 0)
        return e;
    if (count == group.mutation_count) {
        *ret = raw;
        return ERR_OK;
    }
    group.mutations = kept;
    group.mutation_count = count;
    buf_reset(&hub->row_scratch);
    e = group_encode(&group, &hub->row_scratch);
    return e == ERR_OK ? arena_copy(&hub->turn, buf_view(&hub->row_scratch), ret) : e;
}

/* Its own groups a device has; a sub-branch those that it sent up. */
static bool is_from(struct hub *hub, const struct peer *peer, uint64_t origin)
{
    struct relay_origin known;
    if (origin == peer->session.origin)
        return true;
    const struct follow *follow = follow_find(peer, origin);
    if (follow && follow->relayed)
        return true;
    return relay_origin_get(hub->relay->replica, origin, &known) == ERR_OK &&
           uuid_equal(&known.device, &peer->session.device);
}

struct pending_list {
    struct pending_group groups[PENDING_GROUPS];
    uint32_t count;
    size_t bytes;
};

static enum err add_run(struct hub *hub, struct peer *peer, const struct relay_run *run,
                        struct pending_list *list)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < run->count; i++) {
        struct bytes raw, seen;
        uint64_t stamp;
        bool decided;
        e = relay_group(hub->relay->replica, run->origin, run->first + i, &hub->turn, &raw, &stamp,
                        &decided);
        if (e == ERR_NOT_FOUND || (e == ERR_OK && (decided || raw.size > PENDING_GROUP_MAX))) {
            e = ERR_OK;
            continue;
        }
        if (e == ERR_OK)
            e = filter(hub, peer, run->origin, run->first + i, raw, &seen);
        if (e != ERR_OK || seen.size == 0)
            continue;
        list->groups[list->count++] = (struct pending_group){stamp, seen};
        list->bytes += seen.size;
    }
    return e;
}

static enum err send_pending(struct hub *hub, struct peer *peer, uint64_t end,
                             const struct pending_list *list)
{
    struct message m = {.type = MESSAGE_PENDING,
                        .as.pending = {.relay = hub->relay->id,
                                       .seq = end - 1,
                                       .groups = list->groups,
                                       .groups_count = list->count}};
    for (uint32_t i = 0; i < list->count; i++) {
        struct group head;
        bool is_new;
        enum err e = group_peek(list->groups[i].group, &head);
        if (e == ERR_OK)
            e = follow_add(hub, peer, head.dot.origin, 0, &is_new);
        if (e != ERR_OK)
            return e;
    }
    enum err e = peer_send(hub, peer, &m);
    if (e == ERR_OK)
        peer->session.pending_next = end;
    return e;
}

/* Runs from pending_next on, until a message is full. A run of many groups is not torn. */
static enum err gather(struct hub *hub, struct peer *peer)
{
    struct pending_list *list = arena_calloc(&hub->turn, 1, sizeof *list);
    uint64_t next = peer->session.pending_next;
    if (!list)
        return ERR_NOMEM;
    for (uint32_t runs = 0; runs < PENDING_GROUPS; runs++) {
        struct relay_run run;
        enum err e = relay_run_next(hub->relay->replica, next, &run);
        if (e == ERR_NOT_FOUND) {
            next = relay_run_end(hub->relay->replica);
            break;
        }
        if (e != ERR_OK)
            return e;
        if (list->count &&
            (list->count + run.count > PENDING_GROUPS || list->bytes > PENDING_BYTES))
            break;
        if (run.count <= PENDING_GROUPS && !is_from(hub, peer, run.origin))
            e = add_run(hub, peer, &run, list);
        if (e != ERR_OK)
            return e;
        next = run.number + 1;
    }
    return send_pending(hub, peer, next, list);
}

enum err relay_pending_next(struct hub *hub, struct peer *peer)
{
    enum err e = store_begin(hub->store, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = gather(hub, peer);
    store_rollback(hub->store);
    arena_reset(&hub->turn);
    return e;
}

/* ---- live ---- */

struct live_page {
    struct live_page *next;
    uint32_t bucket;
    struct shared_frame *frame;
};

struct live_feed {
    struct hub *hub;
    const struct message_checkpoint *checkpoint;
    struct live_page *pages, **last;
};

static enum err share_page(void *context, uint32_t bucket, uint64_t from, uint64_t to,
                           struct bytes body)
{
    struct live_feed *feed = context;
    struct live_page *page = arena_calloc(&feed->hub->turn, 1, sizeof *page);
    if (!page)
        return ERR_NOMEM;
    const struct message m = {
        .type = MESSAGE_PAGE,
        .as.page = {.bucket = bucket, .from = from, .to = to, .live = FEED_LIVE, .body = body}};
    enum err e = frame_share(feed->hub, &m, &page->frame);
    if (e != ERR_OK)
        return e;
    page->bucket = bucket;
    *feed->last = page;
    feed->last = &page->next;
    return ERR_OK;
}

struct own_fate {
    struct hub *hub;
    struct peer *peer;
    const struct message_fates *own;
    bool any;
};

static enum err send_fate(void *context, const struct message_fates *fates)
{
    struct own_fate *fate = context;
    struct peer *peer = fate->peer;
    uint64_t origin = fates->marks[0].origin;
    if (origin == peer->session.origin) {
        if (fate->own)
            return ERR_LIMIT; /* results in several parts: by catching up */
        fate->own = fates;
        return ERR_OK;
    }
    struct follow *follow = follow_find(peer, origin);
    if (!follow)
        return ERR_OK;
    fate->any = true;
    if (follow_lacks(peer, follow, &fates->marks[0], fates->results, fates->results_count))
        return follow_tell(fate->hub, peer, follow);
    struct message m = {.type = MESSAGE_FATES, .as.fates = *fates};
    if (!peer->audience.branch) {
        m.as.fates.results = NULL;
        m.as.fates.results_count = 0;
    }
    enum err e = peer_send(fate->hub, peer, &m);
    if (e == ERR_OK)
        follow_told(follow, fates->marks[0].upto);
    return e;
}

/* Its author knows which groups they are: without the tags. */
static enum err add_own(struct hub *hub, const struct message_fates *own,
                        struct message_checkpoint *ret)
{
    struct group_result *results =
        arena_calloc(&hub->turn, own->results_count + 1u, sizeof *results);
    if (!results)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < own->results_count; i++) {
        results[i] = own->results[i];
        results[i].tags = bytes_of(NULL, 0);
    }
    ret->marks = own->marks;
    ret->marks_count = 1;
    ret->results = results;
    ret->results_count = own->results_count;
    ret->archived = own->archived;
    return ERR_OK;
}

static enum err feed_live(struct live_feed *feed, struct peer *peer)
{
    struct hub *hub = feed->hub;
    const struct message_checkpoint *c = feed->checkpoint;
    struct own_fate fate = {.hub = hub, .peer = peer};
    struct bucket_digest *heads = arena_calloc(&hub->turn, c->heads_count + 1u, sizeof *heads);
    uint32_t count = 0;
    if (!heads)
        return ERR_NOMEM;
    enum err e = ERR_OK;
    for (const struct live_page *page = feed->pages; e == ERR_OK && page; page = page->next)
        if (audience_has(&peer->audience, page->bucket))
            e = peer_queue(hub, peer, page->frame);
    for (uint32_t i = 0; i < c->heads_count; i++) {
        if (!audience_has(&peer->audience, c->heads[i].bucket))
            continue;
        heads[count++] = c->heads[i];
    }
    if (e == ERR_OK)
        e = relay_fates(hub->relay->replica, FEED_LIVE, send_fate, &fate);
    if (e != ERR_OK || (count == 0 && !fate.own && !fate.any))
        return e;
    struct message m = {
        .type = MESSAGE_CHECKPOINT,
        .as.checkpoint = {
            .live = FEED_LIVE, .scope = peer->session.scope, .heads = heads, .heads_count = count}};
    if (fate.own)
        e = add_own(hub, fate.own, &m.as.checkpoint);
    if (e == ERR_OK)
        e = peer_send(hub, peer, &m);
    if (e == ERR_OK && fate.own && fate.own->marks[0].upto > peer->session.floor)
        peer->session.floor = fate.own->marks[0].upto;
    for (uint32_t i = 0; e == ERR_OK && i < count;
         i++) /* pages without a checkpoint count for nothing */
        if (peer_position(peer, heads[i].bucket) < heads[i].position)
            e = peer_set_position(peer, heads[i].bucket, heads[i].position);
    return e;
}

static void feed_all(struct hub *hub, const struct message_checkpoint *checkpoint)
{
    struct live_feed feed = {.hub = hub, .checkpoint = checkpoint};
    feed.last = &feed.pages;
    enum err e = checkpoint->live == FEED_LIVE
                     ? relay_live_pages(hub->relay->replica, share_page, &feed)
                     : ERR_CONFLICT; /* not of one commit: who is live catches up */
    for (struct peer *peer = hub->peers; peer; peer = peer->next) {
        if (peer->session.pull != PULL_LIVE || peer->session.state != PEER_OPEN)
            continue;
        if (e != ERR_OK || hub->scope_due || peer->out_bytes > hub->limits.live_queue_bytes ||
            feed_live(&feed, peer) != ERR_OK)
            feed_fall_back(hub, peer);
    }
    for (struct live_page *page = feed.pages; page; page = page->next)
        frame_release(page->frame);
    arena_reset(&hub->turn);
}

/* Who has not been told of a start of headquarters, and sees positions that were given since, would take it for a
 * restore when it hears of it. So all connect again, as they would to headquarters. */
static void close_after_start(struct hub *hub)
{
    uint64_t starts = 0;
    enum err e = store_begin(hub->store, STORE_READ);
    if (e == ERR_OK) {
        e = relay_starts(hub, &starts);
        store_rollback(hub->store);
    }
    if (e == ERR_OK && starts == hub->relay->starts)
        return;
    hub->relay->starts = e == ERR_OK ? starts : 0; /* looked at again next time */
    for (struct peer *peer = hub->peers; peer; peer = peer->next)
        if (peer->session.state == PEER_OPEN)
            peer_fail(hub, peer, ERR_CLOSED, "headquarters has started again");
}

static void tell_fork(void *context, uint64_t origin, uint64_t oseq)
{
    struct hub *hub = context;
    hub_forked(hub, origin, oseq, hub->now);
}

void hub_installed(struct hub *hub, const struct message_checkpoint *checkpoint, struct hub_now now)
{
    hub->now = now;
    relay_forks(hub->relay->replica, checkpoint->live, tell_fork, hub); /* before marks leave */
    close_after_start(hub);
    if (checkpoint->live != FEED_LIVE)
        chunks_drop(hub); /* rows may have changed in their places */
    hub->stale = true;    /* buckets and marks are other ones now */
    if (hub_refresh(hub) != ERR_OK) {
        for (struct peer *peer = hub->peers; peer; peer = peer->next)
            if (peer->session.pull == PULL_LIVE)
                feed_fall_back(hub, peer);
        return;
    }
    const uint64_t held = relay_held_buckets(hub);
    if (replica_people_changed(hub->relay->replica) || held != hub->relay->held)
        hub->scope_due = true;
    hub->relay->held = held;
    if (hub->scope_due)
        people_forget(hub);
    if (hub_renew_rights(hub) !=
        ERR_OK) /* before anything of it leaves; store errors show in the next turn */
        log_write(hub->config.log, LOG_LEVEL_ERROR, "rights could not be looked at");
    feed_all(hub, checkpoint);
    relay_published(hub);
}

void hub_pended(struct hub *hub, struct hub_now now)
{
    hub->now = now;
    relay_published(hub);
}

void hub_forked(struct hub *hub, uint64_t origin, uint64_t oseq, struct hub_now now)
{
    hub->now = now;
    for (struct peer *peer = hub->peers; peer; peer = peer->next) {
        struct message fork = {.type = MESSAGE_FORK, .as.fork = {.origin = origin, .oseq = oseq}};
        struct follow *follow = peer->audience.branch ? follow_find(peer, origin) : NULL;
        bool below = follow && follow->relayed;
        if (peer->session.state != PEER_OPEN || (peer->session.origin != origin && !below))
            continue;
        if (below)
            follow->forked = true;
        else
            peer->session.forked = true;
        enum err e = peer_send(hub, peer, &fork);
        if (e != ERR_OK) /* else the next checkpoint would settle its group with another's fate */
            peer_fail(hub, peer, e, err_text(e));
    }
}
