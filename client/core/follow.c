/* follow.c - others' groups in a session: whose fates to tell, what is pending; and a branch's runs on their way
 * up. Source: SPEC.md 12. */
#include "client/core/replica_relay.h"
#include "client/core/uplink_internal.h"

#include <string.h>

bool follow_due(const struct uplink *u)
{
    return u->relay != 0 || u->config.branch || replica_pending_count(u->config.replica) > 0;
}

enum err send_follow(struct uplink *u, struct buf *out)
{
    struct message m = {.type = MESSAGE_FOLLOW};
    enum err e = replica_follow(u->config.replica, u->relay, &u->arena, &m.as.follow);
    return e == ERR_OK ? uplink_send(u, &m, out) : e;
}

enum err on_fates(struct uplink *u, const struct message_fates *m)
{
    if (m->live == FEED_LIVE && u->pull != PULL_LIVE)
        return ERR_OK; /* of an earlier subscription, as its pages */
    return replica_fates(u->config.replica, m);
}

enum err on_pending(struct uplink *u, const struct message_pending *m, struct now now,
                    struct uplink_effects *effects)
{
    if (m->relay != u->relay)
        return ERR_PROTOCOL;
    effects->changed = true;
    u->progress.pending_groups += m->groups_count;
    enum err e = replica_pending(u->config.replica, m, now.wall.ms);
    if (e == ERR_OK && u->config.pended)
        u->config.pended(u->config.context);
    return e;
}

/* ---- runs ---- */

bool runs_want(const struct uplink *u)
{
    const struct push_state *push = &u->push;
    return u->config.branch && !push->blocked && !push->run_waits &&
           push->sent_count < sizeof push->sent / sizeof *push->sent &&
           (push->sent_count == 0 || push->unacknowledged < push->window) &&
           push->run_next < relay_run_end(u->config.replica);
}

static bool same_envelope(const struct relay_run *a, const struct relay_run *b)
{
    return a->origin == b->origin && uuid_equal(&a->device, &b->device) &&
           a->received_ms == b->received_ms && a->offset_ms == b->offset_ms;
}

static enum err send_relay(struct uplink *u, const struct relay_run *run, struct buf *out)
{
    struct message m = {.type = MESSAGE_RELAY,
                        .as.relay = {.origin = run->origin,
                                     .device = run->device,
                                     .received_ms = run->received_ms,
                                     .offset_ms = run->offset_ms}};
    u->push.told = *run;
    return uplink_send(u, &m, out);
}

/* Its answer comes with the live feed. */
static enum err send_run_discard(struct uplink *u, const struct relay_run *run, struct buf *out)
{
    struct message m = {.type = MESSAGE_DISCARD,
                        .as.discard = {.origin = run->origin, .oseq = run->first}};
    u->push.run_waits = u->pull != PULL_LIVE;
    if (u->push.run_waits)
        return ERR_OK;
    u->push.run_next = run->number + 1;
    return uplink_send(u, &m, out);
}

enum err runs_next(struct uplink *u, struct buf *out)
{
    struct push_state *push = &u->push;
    struct relay_run run;
    const struct bytes *groups;
    enum err e = replica_run(u->config.replica, push->run_next, &u->arena, &run, &groups);
    if (e != ERR_OK)
        return e;
    push->run_next = run.number; /* what was decided meanwhile is passed over */
    if (run.kind == RUN_NONE)
        return ERR_OK;
    if (run.kind == RUN_DISCARD)
        return send_run_discard(u, &run, out);
    if (!same_envelope(&push->told, &run))
        return send_relay(u, &run, out);
    size_t bytes = 0;
    for (uint32_t i = 0; i < run.count; i++)
        bytes += groups[i].size;
    if (run.count == 1 && bytes > UPLINK_PUSH_BYTES) {
        bool last = false;
        if (push->part_run != run.number) {
            push->part_run = run.number;
            push->part = 0;
        }
        e = push_part(u, run.origin, run.first, groups[0], run.signature, out, &last);
        if (e != ERR_OK || !last)
            return e;
        push->part_run = 0;
    } else {
        e = push_run(u, run.origin, run.first, groups, run.count, run.signature, out);
    }
    if (e == ERR_OK) {
        push_note_sent(push, run.origin, run.first + run.count - 1, bytes);
        push->run_next = run.number + 1;
    }
    return e;
}
