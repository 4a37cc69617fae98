/* peers.c - connections: their queues of frames, effects for the adapter, deadlines.
 *
 * Bounds:     a peer that does not read falls back from the live feed (feed.c), and is closed when more
 *             than ANSWERS_MAX answers wait for it; its catch-up is bounded by the credit it gives.
 * Source:     SPEC.md 7; DESIGN.md 10. */
#include "server/core/blobs.h"
#include "server/core/hub_internal.h"
#include "server/core/relay.h"

#include <stdlib.h>
#include <string.h>

/* ---- frames and queues ---- */

bool frame_is_feed(const struct shared_frame *frame)
{
    return frame->type == MESSAGE_PAGE || frame->type == MESSAGE_CHECKPOINT ||
           frame->type == MESSAGE_FATES || frame->type == MESSAGE_PENDING;
}

void frame_release(struct shared_frame *frame)
{
    if (frame && --frame->references == 0)
        free(frame);
}

enum err frame_share(struct hub *hub, const struct message *message, struct shared_frame **ret)
{
    buf_reset(&hub->encode);
    enum err e = frame_encode(message, hub->deflater, &hub->payload, &hub->encode);
    if (e != ERR_OK)
        return e;
    struct shared_frame *frame = malloc(sizeof *frame + hub->encode.size);
    if (!frame)
        return ERR_NOMEM;
    frame->references = 1;
    frame->type = message->type;
    frame->size = hub->encode.size;
    memcpy(frame->data, hub->encode.data, hub->encode.size);
    *ret = frame;
    return ERR_OK;
}

/* Who waits for news goes before who gets an answer: the author of a change sees it already. */
static void note_effect(struct peer *peer)
{
    struct hub *hub = peer->hub;
    if (peer->in_effects)
        return;
    peer->in_effects = true;
    peer->effect_next = NULL;
    if (peer->answers == 0 && hub->effects) {
        peer->effect_next = hub->effects;
        hub->effects = peer;
        return;
    }
    if (hub->effects_tail)
        hub->effects_tail->effect_next = peer;
    else
        hub->effects = peer;
    hub->effects_tail = peer;
}

void peer_want_write(struct peer *peer)
{
    peer->wants_write = true;
    note_effect(peer);
}

enum err peer_queue(struct hub *hub, struct peer *peer, struct shared_frame *frame)
{
    struct queued_frame *node = malloc(sizeof *node);
    if (!node)
        return ERR_NOMEM;
    node->next = NULL;
    node->frame = frame;
    frame->references++;
    peer->answers += !frame_is_feed(frame);
    bool staged = hub->in_turn;
    struct queued_frame **head = staged ? &peer->staged_head : &peer->out_head;
    struct queued_frame **tail = staged ? &peer->staged_tail : &peer->out_tail;
    if (*tail)
        (*tail)->next = node;
    else
        *head = node;
    *tail = node;
    if (!staged) {
        peer->out_bytes += frame->size;
        peer_want_write(peer);
    }
    return ERR_OK;
}

enum err peer_send(struct hub *hub, struct peer *peer, const struct message *message)
{
    struct shared_frame *frame;
    enum err e = frame_share(hub, message, &frame);
    if (e != ERR_OK)
        return e;
    e = peer_queue(hub, peer, frame);
    frame_release(frame);
    return e;
}

void frames_drop(struct queued_frame **head, struct queued_frame **tail)
{
    while (*head) {
        struct queued_frame *next = (*head)->next;
        frame_release((*head)->frame);
        free(*head);
        *head = next;
    }
    *tail = NULL;
}

void peer_publish_staged(struct peer *peer)
{
    if (!peer->staged_head)
        return;
    for (struct queued_frame *n = peer->staged_head; n; n = n->next)
        peer->out_bytes += n->frame->size;
    if (peer->out_tail)
        peer->out_tail->next = peer->staged_head;
    else
        peer->out_head = peer->staged_head;
    peer->out_tail = peer->staged_tail;
    peer->staged_head = peer->staged_tail = NULL;
    peer_want_write(peer);
}

void peer_fail(struct hub *hub, struct peer *peer, enum err why, const char *text)
{
    if (peer->session.state == PEER_CLOSING)
        return;
    struct message message = {.type = MESSAGE_FAILURE,
                              .as.failure = {.code = (uint64_t)why, .text = bytes_of_text(text)}};
    (void)peer_send(hub, peer, &message); /* a courtesy: the hang-up stands without it */
    log_write(hub->config.log, LOG_LEVEL_INFO, "peer %llu: %s: %s",
              (unsigned long long)peer->number, err_name(why), text);
    peer->session.state = PEER_CLOSING;
    peer->session.pull = PULL_NONE;
    peer->why = why;
    peer->wants_hang_up = true;
    note_effect(peer);
}

void peer_save(struct peer *peer)
{
    if (!peer->saved_valid) {
        peer->saved = peer->session;
        peer->saved_valid = true;
    }
}

/* ---- peers ---- */

size_t hub_message_max(const struct peer *peer)
{
    return peer->session.state == PEER_OPEN ? (size_t)FRAME_MAX : (size_t)FRAME_BEFORE_AUTH_MAX;
}

/* Heartbeats only move later, so a lower bound is enough: hub_tick() finds the next one. */
void deadline_lower(struct hub *hub, int64_t at_us)
{
    if (hub->deadline_us == 0 || at_us < hub->deadline_us)
        hub->deadline_us = at_us;
}

static void forget_effect(struct hub *hub, struct peer *peer)
{
    struct peer *previous = NULL;
    for (struct peer *p = hub->effects; p; previous = p, p = p->effect_next) {
        if (p != peer)
            continue;
        if (previous)
            previous->effect_next = p->effect_next;
        else
            hub->effects = p->effect_next;
        if (hub->effects_tail == p)
            hub->effects_tail = previous;
        p->in_effects = false;
        return;
    }
}

enum err hub_attach(struct hub *hub, void *context, struct hub_now now, struct peer **ret_peer)
{
    hub->now = now;
    if (hub->peer_count >= hub->limits.peers_max)
        return ERR_LIMIT;
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return ERR_NOMEM;
    peer->hub = hub;
    peer->context = context;
    peer->number = ++hub->peer_numbers;
    peer->attached_us = peer->last_received_us = peer->last_sent_us = now.mono.us;
    peer->previous = hub->peers_tail;
    if (hub->peers_tail)
        hub->peers_tail->next = peer;
    else
        hub->peers = peer;
    hub->peers_tail = peer;
    hub->peer_count++;
    deadline_lower(hub, now.mono.us + hub->limits.auth_timeout_us);
    *ret_peer = peer;
    return ERR_OK;
}

void hub_detach(struct hub *hub, struct peer *peer, struct hub_now now)
{
    if (!peer)
        return;
    hub->now = now;
    for (struct intent *intent = hub->intents; intent; intent = intent->next)
        if (intent->peer == peer)
            intent->peer = NULL;
    catch_up_free(hub, peer);
    frames_drop(&peer->out_head, &peer->out_tail);
    frames_drop(&peer->staged_head, &peer->staged_tail);
    if (peer->in_effects)
        forget_effect(hub, peer);
    audience_done(&peer->audience);
    audience_done(&peer->relayed_audience);
    follows_drop(hub, peer);
    free(peer->follows);
    free(peer->positions);
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        hub->peers = peer->next;
    if (peer->next)
        peer->next->previous = peer->previous;
    else
        hub->peers_tail = peer->previous;
    hub->peer_count--;
    free(peer);
}

/* ---- sending ---- */

void peer_pong(struct hub *hub, struct peer *peer)
{
    if (!peer->session.pong_due || relay_pending_ready(hub, peer))
        return;
    struct message pong = {.type = MESSAGE_PONG, .as.pong = {.token = peer->session.pong_token}};
    peer->session.pong_due = false;
    (void)peer_send(hub, peer, &pong); /* without it the other side asks again, or hangs up */
}

void hub_next_frame(struct hub *hub, struct peer *peer, struct hub_now now, struct buf *out)
{
    hub->now = now;
    buf_reset(out);
    const bool feeds =
        !hub->stale && !hub->scope_due; /* memory and rights are as they have to be */
    if (!peer->out_head && peer->session.pull == PULL_CATCHING_UP && feeds) {
        enum err e = catch_up_next(hub, peer);
        if (e != ERR_OK) {
            log_write(hub->config.log, LOG_LEVEL_ERROR, "catching up: %s", err_text(e));
            peer_fail(hub, peer, e, err_text(e));
        }
    }
    if (!peer->out_head && relay_pending_ready(hub, peer) && feeds) {
        enum err e = relay_pending_next(hub, peer);
        if (e != ERR_OK)
            peer_fail(hub, peer, e, err_text(e));
        peer_pong(hub, peer);
    }
    if (!peer->out_head && blobs_ready(peer) && !hub->stale) {
        enum err e = blobs_next(hub, peer);
        if (e != ERR_OK)
            peer_fail(hub, peer, e, err_text(e));
    }
    struct queued_frame *node = peer->out_head;
    if (!node)
        return;
    if (buf_append(out, node->frame->data, node->frame->size) != ERR_OK) {
        buf_reset(out);
        peer_fail(hub, peer, ERR_NOMEM, "out of memory");
        return;
    }
    peer->out_head = node->next;
    if (!peer->out_head)
        peer->out_tail = NULL;
    peer->out_bytes -= node->frame->size;
    peer->answers -= !frame_is_feed(node->frame);
    peer->last_sent_us = now.mono.us;
    hub->stats.frames_out++;
    hub->stats.bytes_out += node->frame->size;
    frame_release(node->frame);
    free(node);
    if (peer->out_head || catch_up_ready(hub, peer) || relay_pending_ready(hub, peer) ||
        blobs_ready(peer))
        peer_want_write(peer);
}

/* ---- deadlines ---- */

static int64_t peer_deadline(const struct hub *hub, const struct peer *peer)
{
    const struct hub_limits *l = &hub->limits;
    if (peer->session.state != PEER_OPEN)
        return peer->attached_us + l->auth_timeout_us;
    int64_t at = peer->last_received_us + (peer->ping_sent ? l->idle_close_us : l->idle_ping_us);
    if (peer->catch_up && peer->catch_up->reader &&
        peer->catch_up->progress_us + l->reader_timeout_us < at)
        at = peer->catch_up->progress_us + l->reader_timeout_us;
    return at;
}

static int64_t earlier(int64_t a_us, int64_t b_us) /* 0: never */
{
    return a_us == 0 || (b_us != 0 && b_us < a_us) ? b_us : a_us;
}

int64_t hub_deadline(const struct hub *hub)
{
    return earlier(earlier(hub->deadline_us, hub->retry_us), purge_deadline(hub));
}

void hub_tick(struct hub *hub, struct hub_now now)
{
    hub->now = now;
    purge_tick(hub);
    if (hub->deadline_us == 0 || now.mono.us < hub->deadline_us)
        return;
    hub->deadline_us = 0;
    chunks_expire(hub);
    for (struct peer *peer = hub->peers; peer; peer = peer->next) {
        if (peer->session.state == PEER_CLOSING)
            continue;
        if (peer_deadline(hub, peer) > now.mono.us) {
            deadline_lower(hub, peer_deadline(hub, peer));
            continue;
        }
        if (peer->session.state != PEER_OPEN) {
            peer_fail(hub, peer, ERR_TIMEOUT, "no authentication within the time allowed");
        } else if (peer->catch_up && peer->catch_up->reader &&
                   peer->catch_up->progress_us + hub->limits.reader_timeout_us <= now.mono.us) {
            catch_up_free(hub,
                          peer); /* its snapshot is given to others; it goes on from where it is */
            peer->session.fresh_subscription = true;
        } else if (peer->ping_sent) {
            peer_fail(hub, peer, ERR_TIMEOUT, "nothing was heard for too long");
        } else {
            struct message ping = {.type = MESSAGE_PING, .as.ping = {.token = peer->number}};
            seen_pinged(hub, peer);
            if (peer_send(hub, peer, &ping) == ERR_OK)
                peer->ping_sent = true;
        }
        deadline_lower(hub, peer_deadline(hub, peer));
    }
    (void)scope_clock(hub); /* what fails shows in the next turn */
    scope_deadline(hub);
    blobs_tick(hub);
}

struct hub_effect hub_next_effect(struct hub *hub)
{
    struct peer *peer = hub->effects;
    while (peer && !peer->wants_write &&
           !peer->wants_hang_up) { /* undone with a turn that failed */
        forget_effect(hub, peer);
        peer = hub->effects;
    }
    if (!peer)
        return (struct hub_effect){.kind = HUB_EFFECT_NONE};
    struct hub_effect effect = {HUB_EFFECT_WANT_WRITE, peer, peer->context, peer->why};
    if (peer->wants_write) {
        peer->wants_write = false;
    } else {
        effect.kind = HUB_EFFECT_HANG_UP;
        peer->wants_hang_up = false;
    }
    if (!peer->wants_hang_up)
        forget_effect(hub, peer);
    return effect;
}

void hub_stats(const struct hub *hub, struct hub_stats *ret)
{
    *ret = hub->stats;
    ret->peers = hub->peer_count;
    ret->peers_live = 0;
    for (const struct peer *peer = hub->peers; peer; peer = peer->next)
        ret->peers_live += peer->session.pull == PULL_LIVE;
}
