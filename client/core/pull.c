/* pull.c - subscribing, pages, checkpoints, credit.
 *
 * Model:      after SUBSCRIBE comes a catch-up (pages that are not live, then a checkpoint that is not),
 *             perhaps several, then live pages and checkpoints. Live ones that come before the first
 *             catch-up's checkpoint belong to an earlier subscription and are dropped.
 * Source:     SPEC.md 8, 10. */
#include "client/core/uplink_internal.h"

#include <string.h>

enum err send_subscribe(struct uplink *u, struct buf *out)
{
    const struct bucket_position *cursors;
    uint32_t count;
    bool reconcile;
    enum err e = replica_cursors(u->config.replica, &u->arena, &cursors, &count, &reconcile);
    if (e != ERR_OK)
        return e;
    struct message m = {.type = MESSAGE_SUBSCRIBE,
                        .as.subscribe = {.scope = replica_scope(u->config.replica),
                                         .cursors = cursors,
                                         .cursors_count = count,
                                         .credit = UPLINK_PAGE_CREDIT,
                                         .reconcile = reconcile ? RECONCILE_ALL : RECONCILE_NONE}};
    if (!reconcile && replica_compare_state(u->config.replica) == COMPARE_READY) {
        m.as.subscribe.reconcile = RECONCILE_RANGES;
        replica_compare_subscribed(u->config.replica);
    }
    u->pull = PULL_CATCHING_UP;
    u->page_consumed = 0;
    return uplink_send(u, &m, out);
}

enum err send_credit(struct uplink *u, struct buf *out)
{
    struct message m = {.type = MESSAGE_CREDIT, .as.credit = {.bytes = u->page_consumed}};
    u->page_consumed = 0;
    return uplink_send(u, &m, out);
}

enum err on_page(struct uplink *u, const struct message_page *m, size_t frame_bytes)
{
    u->progress.pulled_bytes += frame_bytes;
    if (m->live > FEED_REPAIR)
        return ERR_PROTOCOL;
    if (m->live == FEED_LIVE && u->pull != PULL_LIVE)
        return ERR_OK;
    if (m->live != FEED_LIVE)
        u->page_consumed += frame_bytes;
    if (m->live == FEED_CATCH_UP)
        u->progress.pulled_rows += m->to - m->from; /* positions: an upper bound of the rows */
    enum err e = replica_page(u->config.replica, m);
    struct replica_status status;
    replica_status(u->config.replica, &status);
    if (m->live == FEED_REPAIR && status.reconcile)
        u->send_subscribe = true; /* more than can be held */
    return e;
}

/* A copy of this replica that is connected elsewhere writes under the same numbers. So a mark counts for what was
 * acknowledged in this session, as the server has compared that; the rest goes up first. */
static enum err doubt(struct uplink *u, const struct message_checkpoint *m, struct now now,
                      struct uplink_effects *effects, bool *ret)
{
    struct replica *replica = u->config.replica;
    uint64_t upto = 0;
    bool beyond = replica_mark_beyond(replica, m);
    if (!beyond && !push_acknowledged(u)) /* else the number is of one that was given up here */
        upto = replica_mark_unproven(replica, m, u->push.acknowledged);
    *ret = beyond || upto > 0;
    if (!*ret)
        return ERR_OK;
    replica_drop_live(replica);
    if (m->live == FEED_REPAIR)
        replica_compare_drop(replica);
    if (beyond) {
        enum err e = replica_fork(replica, UINT64_MAX, now.wall.ms);
        if (e == ERR_OK)
            uplink_end(u, ERR_CONFLICT, "this replica goes on under a new origin", effects);
        return e;
    }
    u->push.verify_upto = upto;
    u->send_subscribe = true;
    u->pull = PULL_WANTED;
    return ERR_OK;
}

enum err on_checkpoint(struct uplink *u, const struct message_checkpoint *m, struct now now,
                       struct uplink_effects *effects)
{
    if (m->live == FEED_LIVE && u->pull != PULL_LIVE)
        return ERR_OK;
    if (m->live > FEED_REPAIR)
        return ERR_PROTOCOL;
    bool gap = false, doubtful;
    enum err e = doubt(u, m, now, effects, &doubtful);
    if (e != ERR_OK || doubtful)
        return e;
    e = replica_checkpoint(u->config.replica, m, now.wall.ms, &gap);
    if (e != ERR_OK)
        return e;
    struct replica_status status;
    replica_status(u->config.replica, &status);
    if (status.reconcile && !repair_begins(u, effects))
        return ERR_OK;
    /* What is held here does not fit: all of it again, or compared anew. */
    if (gap || status.reconcile) {
        u->send_subscribe = true;
        u->pull = PULL_WANTED;
        return ERR_OK;
    }
    u->progress.checkpoints++;
    carry_again(u);
    u->progress.caught_up = true;
    effects->changed = true;
    if (compare_asks(u)) { /* the server keeps its snapshot and sends nothing else meanwhile */
        u->progress.live = false;
    } else {
        u->pull = PULL_LIVE;
        u->progress.live = true;
        u->push.run_waits = false;
    }
    e = compare_due(u, &status, effects);
    if (e != ERR_OK)
        return e;
    for (uint32_t i = 0; i < m->results_count; i++)
        if (m->results[i].code == RESULT_DISCARDED) {
            e = replica_discarded(u->config.replica, status.origin, m->results[i].oseq);
            if (e != ERR_OK)
                return e;
            if (u->push.discards_sent)
                u->push.discards_sent--;
        }
    return ERR_OK;
}
