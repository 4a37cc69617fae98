/* receive.c - messages as they come: checked, and queued for the turn, or taken at once. */
#include "server/core/hub_internal.h"

#include <stdlib.h>

static enum err receive_now(struct hub *hub, struct peer *peer, const struct message *message)
{
    switch ((int)message->type) {
    case MESSAGE_PING:
        peer->session.pong_due = true;
        peer->session.pong_token = message->as.ping.token;
        peer_pong(hub, peer);
        return ERR_OK;
    case MESSAGE_PONG: seen_answered(peer); return ERR_OK;
    case MESSAGE_CREDIT:
        if (message->as.credit.bytes > (uint64_t)64 << 20)
            return ERR_PROTOCOL;
        peer->page_credit += (int64_t)message->as.credit.bytes;
        if (peer->page_credit > (int64_t)64 << 20)
            peer->page_credit = (int64_t)64 << 20;
        peer_want_write(peer);
        return ERR_OK;
    case MESSAGE_RANGES: return handle_ranges(hub, peer, &message->as.ranges);
    default: return ERR_PROTOCOL;
    }
}

static bool is_intent(enum message_type type)
{
    switch ((int)type) {
    case MESSAGE_HELLO:
    case MESSAGE_ENROL:
    case MESSAGE_PROVE:
    case MESSAGE_PUSH:
    case MESSAGE_PART:
    case MESSAGE_RELAY:
    case MESSAGE_FOLLOW:
    case MESSAGE_MODEL_ASK:
    case MESSAGE_SUBSCRIBE:
    case MESSAGE_DISCARD:
    case MESSAGE_OFFER:
    case MESSAGE_WANT:
    case MESSAGE_CHUNK: return true;
    default: return false;
    }
}

void intent_free(struct intent *intent)
{
    arena_done(&intent->arena);
    free(intent);
}

/* Chunks of attachments come after everything else that waits. */
static void queue_intent(struct hub *hub, struct intent *intent)
{
    bool last = intent->message.type == MESSAGE_CHUNK;
    struct intent *after = last ? hub->intents_tail : hub->plain_tail;
    struct intent **place = after ? &after->next : &hub->intents;
    intent->next = *place;
    *place = intent;
    if (!intent->next)
        hub->intents_tail = intent;
    if (!last)
        hub->plain_tail = intent;
}

void hub_receive(struct hub *hub, struct peer *peer, struct bytes frame, struct hub_now now)
{
    hub->now = now;
    hub->stats.frames_in++;
    hub->stats.bytes_in += frame.size;
    if (peer->session.state == PEER_CLOSING)
        return;
    peer->last_received_us = now.mono.us;
    peer->ping_sent = false;
    struct intent *intent = calloc(1, sizeof *intent);
    if (!intent) {
        peer_fail(hub, peer, ERR_NOMEM, "out of memory");
        return;
    }
    arena_init(&intent->arena, (size_t)FRAME_INFLATED_MAX * 4);
    /* The message's views have to outlive this call: the frame is copied or inflated into the intent. */
    struct bytes copy;
    enum err e = frame.size <= FRAME_MAX ? arena_copy(&intent->arena, frame, &copy) : ERR_TOO_LARGE;
    struct buf inflated;
    buf_init(&inflated, FRAME_INFLATED_MAX);
    if (e == ERR_OK)
        e = frame_decode(copy, peer->session.state == PEER_OPEN, hub->inflater, &inflated,
                         &intent->arena, &intent->message);
    struct bytes held;
    if (e == ERR_OK && inflated.size && is_intent(intent->message.type)) {
        /* decode again from memory that stays */
        e = arena_copy(&intent->arena, buf_view(&inflated), &held);
        if (e == ERR_OK)
            e = message_decode(intent->message.type, held, &intent->arena, &intent->message);
    }
    intent->size = frame.size + inflated.size;
    intent->held = intent->size + INTENT_COST;
    if (e == ERR_OK && hub->intent_bytes > INTENTS_MAX)
        e = ERR_BUSY;
    bool waits = is_intent(intent->message.type) ||
                 (intent->message.type == MESSAGE_PING && peer->in_bytes > 0);
    if (e == ERR_OK && waits) {
        intent->peer = peer;
        peer->in_bytes += intent->held;
        hub->intent_bytes += intent->held;
        queue_intent(hub, intent);
        intent = NULL;
    } else if (e == ERR_OK) {
        e = receive_now(hub, peer, &intent->message);
    }
    buf_done(&inflated);
    if (intent)
        intent_free(intent);
    if (e != ERR_OK)
        peer_fail(hub, peer, e, err_text(e));
    else if (peer->in_bytes > hub->limits.receive_queue_bytes + 2 * PUSH_CREDIT) /* held inflated */
        peer_fail(hub, peer, ERR_LIMIT, "more was sent than the credit allows");
    else if (peer->answers > ANSWERS_MAX)
        peer_fail(hub, peer, ERR_LIMIT, "the answers are not read");
}

void hub_violation(struct hub *hub, struct peer *peer, enum err why, struct hub_now now)
{
    hub->now = now;
    peer_fail(hub, peer, why, err_text(why));
}
