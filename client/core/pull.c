/* pull.c - subscribing, pages, checkpoints, credit.
 *
 * Model:      after SUBSCRIBE comes a catch-up (pages that are not live, then a checkpoint that is not),
 *             perhaps several, then live pages and checkpoints. Live ones that come before the first
 *             catch-up's checkpoint belong to an earlier subscription and are dropped.
 * Source:     SPEC.md 8, 10. */
#include "client/core/uplink_internal.h"

#include <string.h>

/* Everything comes anew when a digest differs. Where that does not help, doing it for ever would not
 * either, and may cost the user's money: the next session tries again. */
enum { REPAIRS_MAX = 3 };

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
                                         .reconcile = reconcile}};
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
    if (m->live && u->pull != PULL_LIVE)
        return ERR_OK;
    if (!m->live) {
        u->page_consumed += frame_bytes;
        u->progress.pulled_rows += m->to - m->from; /* positions: an upper bound of the rows */
    }
    return replica_page(u->config.replica, m);
}

enum err on_checkpoint(struct uplink *u, const struct message_checkpoint *m, struct now now,
                       struct uplink_effects *effects)
{
    if (m->live && u->pull != PULL_LIVE)
        return ERR_OK;
    bool gap = false;
    enum err e = replica_checkpoint(u->config.replica, m, now.wall.ms, &gap);
    if (e != ERR_OK)
        return e;
    struct replica_status status;
    replica_status(u->config.replica, &status);
    if (status.reconcile && ++u->repairs > REPAIRS_MAX) {
        uplink_end(
            u, ERR_PROTOCOL,
            "the records that the server sends do not add up to its digest; run 'satcheld verify' "
            "there. Nothing of yours is lost: it goes on being sent",
            effects);
        return ERR_OK;
    }
    /* What is held here does not fit: all of it again, or compared anew. */
    if (gap || status.reconcile) {
        u->send_subscribe = true;
        u->pull = PULL_WANTED;
        return ERR_OK;
    }
    u->progress.checkpoints++;
    u->progress.caught_up = true;
    u->pull = PULL_LIVE;
    u->progress.live = true;
    effects->changed = true;
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
