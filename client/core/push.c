/* push.c - own groups go up, in order, within the window that the server gives.
 *
 * Model:      frames of whole groups (or parts of a large one) are sent from `next` on; an ACK is
 *             cumulative and gives their bytes back to the window.
 * Invariants: acknowledged < next; unacknowledged <= window, except for one frame when nothing is
 *             under way (a window smaller than a group must not block for ever).
 * Source:     SPEC.md 7. */
#include "client/core/uplink_internal.h"

#include <string.h>

static enum err sign_run(struct uplink *u, uint64_t origin, uint64_t first,
                         const struct bytes *groups, uint32_t count, uint8_t signature[64])
{
    static const char label[] = "satchel-run-v1";
    uint8_t text[sizeof label - 1 + 24 + 32], *at = text;
    uint8_t *hashes = arena_alloc(&u->arena, count * (size_t)32);
    if (!hashes)
        return ERR_NOMEM;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < count; i++)
        e = crypto_sha256(u->config.crypto, groups[i], hashes + i * (size_t)32);
    memcpy(at, label, sizeof label - 1);
    at += sizeof label - 1;
    be64_put(at, origin);
    be64_put(at + 8, first);
    be64_put(at + 16, count);
    if (e == ERR_OK)
        e = crypto_sha256(u->config.crypto, bytes_of(hashes, count * (size_t)32), at + 24);
    return e == ERR_OK ? crypto_ed25519_sign(u->config.crypto, u->identity.seed,
                                             bytes_of(text, sizeof text), signature)
                       : e;
}

void push_note_sent(struct push_state *push, uint64_t origin, uint64_t last, size_t bytes)
{
    uint32_t slots = sizeof push->sent / sizeof *push->sent;
    uint32_t at = (push->sent_first + push->sent_count) % slots;
    push->sent[at] = (struct sent_run){.origin = origin, .last = last, .bytes = bytes};
    push->sent_count++;
    push->unacknowledged += bytes;
}

static bool may_send(const struct push_state *push)
{
    return !push->blocked && !push->idle &&
           push->sent_count < sizeof push->sent / sizeof *push->sent &&
           (push->sent_count == 0 || push->unacknowledged < push->window);
}

/* Discards go up once the feed is live: their answers come with it. */
static bool discards_due(const struct uplink *u)
{
    return !u->push.discards_known && u->pull == PULL_LIVE;
}

bool push_wants(const struct uplink *u)
{
    struct replica_status status;
    if (u->push.blocked)
        return false;
    if (discards_due(u))
        return true;
    replica_status(u->config.replica, &status);
    if (status.older)
        return !u->push.older_sent;
    if (u->push.idle)
        return false;
    return may_send(&u->push) && (u->push.part_oseq || status.last_oseq >= u->push.next) &&
           status.outbox_count > 0;
}

bool push_acknowledged(const struct uplink *u)
{
    struct replica_status status;
    replica_status(u->config.replica, &status);
    /* what waits at headquarters for others' changes is durable there: nothing more to do now */
    return u->push.sent_count == 0 && !u->push.part_oseq && !status.older &&
           (status.outbox_count == 0 || u->push.next > status.last_oseq || u->push.idle);
}

bool push_finished(const struct uplink *u)
{
    return u->push.discards_known && push_acknowledged(u);
}

bool push_verified(const struct uplink *u)
{
    return u->push.acknowledged >= u->push.verify_upto || push_acknowledged(u);
}

enum err push_begin(struct uplink *u, const struct message_welcome *m)
{
    u->push.window = (size_t)m->credit;
    const struct mark *mark = m->marks_count ? &m->marks[0] : NULL;
    uint64_t decided = mark ? mark->upto : 0;
    if (mark && mark->range_count)
        decided = mark->ranges[mark->range_count - 1].to;
    const struct bytes *groups;
    uint32_t count;
    uint64_t first;
    enum err e = replica_outbox(u->config.replica, 1, 1, 1, &u->arena, &groups, &count, &first);
    if (e == ERR_OK && count > 0 && first <= decided)
        u->push.verify_upto = decided;
    return e;
}

enum err push_part(struct uplink *u, uint64_t origin, uint64_t oseq, struct bytes group,
                   const uint8_t signature[64], struct buf *out, bool *ret_last)
{
    struct push_state *push = &u->push;
    uint32_t parts = (uint32_t)((group.size + UPLINK_PUSH_BYTES - 1) / UPLINK_PUSH_BYTES);
    size_t offset = (size_t)push->part * UPLINK_PUSH_BYTES;
    size_t size = group.size - offset < UPLINK_PUSH_BYTES ? group.size - offset : UPLINK_PUSH_BYTES;
    struct message m = {.type = MESSAGE_PART,
                        .as.part = {.origin = origin,
                                    .oseq = oseq,
                                    .part = push->part,
                                    .parts = parts,
                                    .total = group.size,
                                    .data = bytes_of(group.data + offset, size)}};
    bool last = push->part + 1 == parts;
    if (last)
        m.as.part.signature = bytes_of(signature, 64);
    enum err e = uplink_send(u, &m, out);
    if (e != ERR_OK)
        return e;
    push->part++;
    u->progress.pushed_bytes += out->size;
    if (last)
        u->progress.pushed_groups++;
    *ret_last = last;
    return ERR_OK;
}

static enum err send_part(struct uplink *u, uint64_t origin, struct bytes group, struct buf *out,
                          bool *ret_last)
{
    uint8_t signature[64];
    enum err e = sign_run(u, origin, u->push.part_oseq, &group, 1, signature);
    return e == ERR_OK ? push_part(u, origin, u->push.part_oseq, group, signature, out, ret_last)
                       : e;
}

enum err push_run(struct uplink *u, uint64_t origin, uint64_t first, const struct bytes *groups,
                  uint32_t count, const uint8_t signature[64], struct buf *out)
{
    struct message m = {.type = MESSAGE_PUSH,
                        .as.push = {.origin = origin,
                                    .first = first,
                                    .groups = groups,
                                    .groups_count = count,
                                    .signature = bytes_of(signature, 64)}};
    enum err e = uplink_send(u, &m, out);
    if (e != ERR_OK)
        return e;
    u->progress.pushed_groups += count;
    u->progress.pushed_bytes += out->size;
    return ERR_OK;
}

static enum err send_run(struct uplink *u, uint64_t origin, uint64_t first,
                         const struct bytes *groups, uint32_t count, struct buf *out)
{
    uint8_t signature[64];
    enum err e = sign_run(u, origin, first, groups, count, signature);
    return e == ERR_OK ? push_run(u, origin, first, groups, count, signature, out) : e;
}

/* The next run of an older origin, one at a time: its answer brings the next. */
static enum err send_older(struct uplink *u, struct buf *out)
{
    struct push_state *push = &u->push;
    struct replica_older run;
    enum err e = replica_older(u->config.replica, push->older_origin, push->older_oseq,
                               UPLINK_PUSH_BYTES, &u->arena, &run);
    if (e != ERR_OK)
        return e;
    if (run.count == 0)
        return replica_older_done(u->config.replica);
    push->older_origin = run.origin;
    if (run.groups[0].size > UPLINK_PUSH_BYTES) {
        bool last = false;
        if (push->part_oseq != run.first) {
            push->part_oseq = run.first;
            push->part = 0;
        }
        e = send_part(u, run.origin, run.groups[0], out, &last);
        if (e != ERR_OK || !last)
            return e;
        push->part_oseq = 0;
        run.count = 1;
    } else {
        e = send_run(u, run.origin, run.first, run.groups, run.count, out);
    }
    push->older_oseq = run.first + run.count;
    push->older_sent = e == ERR_OK;
    return e;
}

static enum err send_discard(struct uplink *u, struct buf *out)
{
    const struct replica_discard *discards;
    uint32_t count;
    enum err e = replica_discards(u->config.replica, &u->arena, &discards, &count);
    if (e != ERR_OK)
        return e;
    if (count <= u->push.discards_sent) {
        u->push.discards_known = true;
        return ERR_OK;
    }
    const struct replica_discard *discard = &discards[u->push.discards_sent++];
    struct message m = {.type = MESSAGE_DISCARD,
                        .as.discard = {.origin = discard->origin, .oseq = discard->oseq}};
    return uplink_send(u, &m, out);
}

enum err push_next(struct uplink *u, struct buf *out)
{
    struct push_state *push = &u->push;
    struct replica_status status;
    if (push->blocked)
        return ERR_OK;
    if (discards_due(u)) {
        enum err e = send_discard(u, out);
        if (e != ERR_OK || out->size)
            return e;
    }
    replica_status(u->config.replica, &status);
    if (status.older && (push->older_sent || push->sent_count))
        return ERR_OK;
    if (status.older) {
        enum err e = send_older(u, out);
        if (e != ERR_OK || out->size)
            return e;
    }
    if (!may_send(push))
        return ERR_OK;
    const struct bytes *groups;
    uint32_t count;
    uint64_t first;
    enum err e = replica_outbox(u->config.replica, push->next, UPLINK_PUSH_BYTES,
                                UPLINK_PUSH_GROUPS, &u->arena, &groups, &count, &first);
    if (e != ERR_OK)
        return e;
    if (count == 0) {
        push->idle = true; /* until the application writes again */
        return ERR_OK;
    }
    if (groups[0].size > UPLINK_PUSH_BYTES) {
        bool last = false;
        if (push->part_oseq != first) {
            push->part_oseq = first;
            push->part = 0;
        }
        e = send_part(u, status.origin, groups[0], out, &last);
        if (e != ERR_OK || !last)
            return e;
        push_note_sent(push, status.origin, first, groups[0].size);
        push->next = first + 1;
        push->part_oseq = 0;
        return ERR_OK;
    }
    e = send_run(u, status.origin, first, groups, count, out);
    if (e != ERR_OK)
        return e;
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += groups[i].size;
    push_note_sent(push, status.origin, first + count - 1, bytes);
    push->next = first + count;
    return ERR_OK;
}

/* ---- answers ---- */

static bool ack_covers(const struct message_ack *m, uint64_t oseq)
{
    if (oseq <= m->upto)
        return true;
    for (uint32_t i = 0; i < m->ranges_count; i++)
        if (oseq >= m->ranges[i].from && oseq <= m->ranges[i].to)
            return true;
    return false;
}

/* Each run of an origin gets an ACK, in order: also one that was refused with FORK, which it does not cover. */
static void settle_relayed(struct push_state *push, const struct message_ack *m)
{
    uint32_t slots = sizeof push->sent / sizeof *push->sent;
    bool oldest = true;
    for (uint32_t i = 0; i < push->sent_count; i++) {
        struct sent_run *run = &push->sent[(push->sent_first + i) % slots];
        if (run->origin != m->origin)
            continue;
        run->settled |= oldest || ack_covers(m, run->last);
        oldest = false;
    }
}

/* The server has refused them, and perhaps says nothing more of them. */
static void settle_forked(struct push_state *push, const struct message_fork *m)
{
    uint32_t slots = sizeof push->sent / sizeof *push->sent;
    for (uint32_t i = 0; i < push->sent_count; i++) {
        struct sent_run *run = &push->sent[(push->sent_first + i) % slots];
        run->settled |= run->origin == m->origin && run->last >= m->oseq;
    }
}

static void forget_settled(struct push_state *push)
{
    uint32_t slots = sizeof push->sent / sizeof *push->sent;
    while (push->sent_count && push->sent[push->sent_first].settled) {
        push->unacknowledged -= push->sent[push->sent_first].bytes;
        push->sent_first = (push->sent_first + 1) % slots;
        push->sent_count--;
    }
}

enum err on_ack(struct uplink *u, const struct message_ack *m, struct uplink_effects *effects)
{
    struct push_state *push = &u->push;
    struct replica_status status;
    replica_status(u->config.replica, &status);
    bool relayed = u->config.branch && m->origin != status.origin;
    if (m->origin != status.origin && !relayed) { /* of an older origin: the next run may go */
        if (!push->older_sent || m->origin != push->older_origin)
            return ERR_PROTOCOL;
        push->older_sent = false;
        return ERR_OK;
    }
    if (relayed)
        settle_relayed(push, m);
    for (struct sent_run *run = &push->sent[push->sent_first];
         !relayed && push->sent_count && run->origin == m->origin && ack_covers(m, run->last);
         run = &push->sent[push->sent_first]) {
        push->acknowledged = run->last;
        run->settled = true;
        forget_settled(push);
    }
    forget_settled(push);
    push->window = (size_t)m->credit;
    u->progress.acknowledged_upto = push->acknowledged;
    u->drain_asked = u->drained = false; /* results may follow */
    effects->changed = true;
    return replica_acknowledged(u->config.replica, m);
}

/* An older origin is another device's there: its groups get a new one, and all go up once more; what is there
 * already does no harm. */
static enum err on_older_taken(struct uplink *u, const struct message_fork *m)
{
    struct push_state *push = &u->push;
    bool asked = push->older_origin == m->origin && (push->older_sent || push->part_oseq);
    if (!asked)
        return ERR_PROTOCOL;
    push->older_sent = false;
    push->part_oseq = 0;
    push->older_origin = push->older_oseq = 0;
    return replica_older_taken(u->config.replica, m->origin);
}

enum err on_fork(struct uplink *u, const struct message_fork *m, struct now now,
                 struct uplink_effects *effects)
{
    struct replica_status status;
    replica_status(u->config.replica, &status);
    if (m->oseq == 0)
        return ERR_PROTOCOL;
    if (m->origin != status.origin && u->config.branch) {
        settle_forked(&u->push, m);
        forget_settled(&u->push);
        enum err e = replica_relay_forked(u->config.replica, m->origin, m->oseq);
        if (e == ERR_OK && u->config.forked)
            u->config.forked(u->config.context, m->origin, m->oseq);
        return e;
    }
    if (m->origin != status.origin)
        return on_older_taken(u, m);
    u->push.blocked = true;
    enum err e = replica_fork(u->config.replica, m->oseq, now.wall.ms);
    if (e == ERR_OK)
        uplink_end(u, ERR_CONFLICT, "this replica goes on under a new origin", effects);
    return e;
}
