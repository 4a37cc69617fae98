/* uplink.c - events of the link, frames out, timers. */
#include "client/core/uplink_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err uplink_new(const struct uplink_config *config, const struct uplink_identity *identity,
                    const struct uplink_enrolment *enrolment, struct uplink **ret)
{
    struct uplink *u = calloc(1, sizeof *u);
    if (!u)
        return ERR_NOMEM;
    u->config = *config;
    u->identity = *identity;
    if (enrolment) {
        u->enrolling = true;
        u->enrolment = *enrolment;
    }
    buf_init(&u->payload, FRAME_INFLATED_MAX + 4096);
    buf_init(&u->inflated, FRAME_INFLATED_MAX);
    buf_init(&u->model_text, MODEL_WHOLE_MAX);
    arena_init(&u->arena, UPLINK_ARENA_MAX);
    enum err e = deflater_new(1, &u->deflater);
    if (e == ERR_OK)
        e = inflater_new(&u->inflater);
    if (e != ERR_OK) {
        uplink_free(u);
        return e;
    }
    *ret = u;
    return ERR_OK;
}

void uplink_free(struct uplink *u)
{
    if (!u)
        return;
    carry_done(u);
    deflater_free(u->deflater);
    inflater_free(u->inflater);
    buf_done(&u->payload);
    buf_done(&u->inflated);
    learn_done(u);
    arena_done(&u->arena);
    crypto_wipe(&u->identity, sizeof u->identity);
    crypto_wipe(&u->enrolment, sizeof u->enrolment);
    free(u);
}

/* ---- effects ---- */

static bool wants_write(const struct uplink *u)
{
    if (!u->link || u->closing)
        return false;
    if (u->send_hello || u->send_proof || u->send_enrol || u->send_pong || u->ping)
        return true;
    if (u->shake != SHAKE_OPEN)
        return false;
    if (learn_first(u))
        return u->learning == LEARN_ASK;
    return u->send_follow || runs_want(u) || (u->send_subscribe && push_verified(u)) ||
           compare_asks(u) || u->page_consumed >= UPLINK_PAGE_CREDIT / 2 || push_wants(u) ||
           carry_wants(u);
}

static int64_t next_deadline(const struct uplink *u)
{
    if (!u->link || u->closing)
        return 0;
    if (u->shake != SHAKE_OPEN)
        return u->up_us + UPLINK_AUTH_US;
    if (uplink_works(u))
        return u->received_us > 0 ? u->received_us : 1; /* now, whenever that is */
    return u->received_us + (u->pong_wait ? UPLINK_CLOSE_US : UPLINK_PING_US);
}

bool uplink_works(const struct uplink *u)
{
    return u->link && !u->closing && (compare_scans(u) || carry_works(u));
}

/* Once: all records are told and taken. */
static bool records_finished(const struct uplink *u)
{
    if (u->learning == LEARN_REFUSED) /* nothing comes down */
        return u->config.once && push_acknowledged(u);
    return u->config.once && u->shake == SHAKE_OPEN && u->progress.caught_up &&
           u->pull == PULL_LIVE && !u->send_subscribe && push_finished(u) &&
           replica_compare_state(u->config.replica) == COMPARE_NONE;
}

/* All is acknowledged, but not all decided, or a branch may have something of colleagues: a last PING, whose
 * answer comes after that. */
static bool waits_for_results(const struct uplink *u)
{
    struct replica_status status;
    replica_status(u->config.replica, &status);
    return (status.outbox_count > 0 || u->push.discards_sent > 0 || u->relay != 0) && !u->drained;
}

static void settle(struct uplink *u, struct uplink_effects *effects)
{
    bool records = !u->closing && records_finished(u);
    u->progress.records_done = records;
    if (records && (u->learning == LEARN_REFUSED || carry_finished(u))) {
        if (u->learning == LEARN_REFUSED)
            uplink_end(u, ERR_MODEL, u->model_why, effects);
        else if (!waits_for_results(u))
            uplink_end(u, ERR_OK, "", effects);
        else if (!u->drain_asked)
            u->ping = u->drain_asked = true;
    }
    effects->want_write = wants_write(u);
    effects->deadline_us = next_deadline(u);
}

void uplink_end(struct uplink *u, enum err why, const char *message, struct uplink_effects *effects)
{
    if (u->closing)
        return;
    u->closing = true;
    effects->hang_up = true;
    effects->why = why;
    snprintf(effects->message, sizeof effects->message, "%s",
             message && *message ? message : err_text(why));
}

/* ---- the link ---- */

void uplink_link_up(struct uplink *u, struct now now, struct uplink_effects *effects)
{
    *effects = (struct uplink_effects){0};
    struct uplink_progress before = u->progress;
    u->link = true;
    u->closing = false;
    u->shake = SHAKE_HELLO;
    u->send_hello = true;
    u->send_proof = u->send_enrol = u->send_subscribe = u->send_follow = u->send_pong =
        u->pong_wait = false;
    u->ping = u->drain_asked = u->drained = false;
    u->push = (struct push_state){.next = 1, .run_next = 1};
    u->pull = PULL_OFF;
    u->learning = LEARN_NOTHING;
    u->page_consumed = 0;
    u->repairs = 0;
    carry_begin(u);
    u->up_us = u->received_us = now.mono.us;
    u->progress =
        (struct uplink_progress){.connected = true, .clock_offset_ms = before.clock_offset_ms};
    if (u->config.replica) {
        replica_set_online(u->config.replica, false);
        replica_drop_live(u->config.replica);
        replica_compare_drop(u->config.replica);
    }
    if (rng_fill(u->config.rng, u->nonce, sizeof u->nonce) != ERR_OK)
        uplink_end(u, ERR_IO, "no random numbers", effects);
    settle(u, effects);
}

void uplink_link_down(struct uplink *u, struct now now, struct uplink_effects *effects)
{
    (void)now;
    *effects = (struct uplink_effects){0};
    u->link = false;
    u->shake = SHAKE_NONE;
    u->progress.connected = u->progress.authenticated = u->progress.live = false;
    if (u->config.replica) {
        replica_set_online(u->config.replica, false);
        replica_drop_live(u->config.replica);
        replica_compare_drop(u->config.replica);
    }
}

/* ---- receiving ---- */

static enum err on_failure(struct uplink *u, const struct message_failure *m,
                           struct uplink_effects *effects)
{
    char text[200];
    snprintf(text, sizeof text, "%.*s", (int)m->text.size, (const char *)m->text.data);
    enum err why = m->code > 0 && m->code <= ERR_CONFLICT ? (enum err)m->code : ERR_PROTOCOL;
    effects->erase = why == ERR_REVOKED;
    enum err e = ERR_OK;
    if (why == ERR_CONFLICT && u->shake == SHAKE_PROOF) /* its origin is another device's */
        e = replica_disown(u->config.replica);
    if (e == ERR_OK)
        uplink_end(u, why, text, effects);
    return e;
}

static enum err dispatch(struct uplink *u, const struct message *m, size_t size, struct now now,
                         struct uplink_effects *effects)
{
    switch ((int)m->type) {
    case MESSAGE_CHALLENGE: return on_challenge(u, &m->as.challenge, now, effects);
    case MESSAGE_ENROLLED: return on_enrolled(u, &m->as.enrolled, effects);
    case MESSAGE_WELCOME: return on_welcome(u, &m->as.welcome, now, effects);
    case MESSAGE_FAILURE: return on_failure(u, &m->as.failure, effects);
    case MESSAGE_PING:
        u->send_pong = true;
        u->pong_token = m->as.ping.token;
        return ERR_OK;
    case MESSAGE_PONG: u->drained = u->drain_asked; return ERR_OK;
    default: break;
    }
    if (u->shake != SHAKE_OPEN)
        return ERR_PROTOCOL;
    switch ((int)m->type) {
    case MESSAGE_MODEL: return on_model(u, &m->as.model, effects);
    case MESSAGE_ACK: return on_ack(u, &m->as.ack, effects);
    case MESSAGE_FORK: return on_fork(u, &m->as.fork, now, effects);
    case MESSAGE_PAGE: return on_page(u, &m->as.page, size);
    case MESSAGE_FATES: return on_fates(u, &m->as.fates);
    case MESSAGE_PENDING: return on_pending(u, &m->as.pending, now, effects);
    case MESSAGE_CHECKPOINT: return on_checkpoint(u, &m->as.checkpoint, now, effects);
    case MESSAGE_DIFFERENCES: return on_differences(u, &m->as.differences, effects);
    case MESSAGE_STATES: return on_states(u, &m->as.states, effects);
    case MESSAGE_CHUNK: return on_chunk(u, &m->as.chunk, effects);
    default: return ERR_PROTOCOL;
    }
}

void uplink_receive(struct uplink *u, struct bytes frame, struct now now,
                    struct uplink_effects *effects)
{
    *effects = (struct uplink_effects){0};
    if (!u->link || u->closing)
        return;
    u->received_us = now.mono.us;
    u->pong_wait = false;
    arena_reset(&u->arena);
    struct message message;
    /* The welcome is the first message that may be large: it ends the time before authentication. */
    bool open = u->shake == SHAKE_OPEN || u->shake == SHAKE_PROOF;
    enum err e = frame_decode(frame, open, u->inflater, &u->inflated, &u->arena, &message);
    if (e == ERR_OK)
        e = dispatch(u, &message, frame.size, now, effects);
    if (e != ERR_OK)
        uplink_end(u, e, err_text(e), effects);
    settle(u, effects);
}

/* ---- sending ---- */

enum err uplink_send(struct uplink *u, const struct message *message, struct buf *out)
{
    return frame_encode(message, u->deflater, &u->payload, out);
}

static enum err next_frame(struct uplink *u, struct now now, struct buf *out)
{
    if (u->send_hello) {
        u->send_hello = false;
        return send_hello(u, out);
    }
    if (u->send_enrol) {
        u->send_enrol = false;
        return send_enrol(u, out);
    }
    if (u->send_proof) {
        u->send_proof = false;
        return send_proof(u, now, out);
    }
    if (u->send_pong) {
        u->send_pong = false;
        struct message pong = {.type = MESSAGE_PONG, .as.pong = {.token = u->pong_token}};
        return uplink_send(u, &pong, out);
    }
    if (u->shake != SHAKE_OPEN)
        return ERR_OK;
    if (u->learning == LEARN_ASK)
        return learn_ask(u, out);
    if (learn_first(u))
        return ERR_OK;
    if (u->send_follow) {
        u->send_follow = false;
        return send_follow(u, out);
    }
    if (u->send_subscribe && push_verified(u)) {
        u->send_subscribe = false;
        return send_subscribe(u, out);
    }
    if (compare_asks(u))
        return compare_ask(u, out);
    if (u->page_consumed >= UPLINK_PAGE_CREDIT / 2)
        return send_credit(u, out);
    if (u->ping) {
        u->ping = false;
        struct message ping = {.type = MESSAGE_PING, .as.ping = {.token = 1}};
        return uplink_send(u, &ping, out);
    }
    if (runs_want(u)) {
        enum err e = runs_next(u, out);
        if (e != ERR_OK || out->size)
            return e;
    }
    enum err e = push_next(u, out);
    return e == ERR_OK && out->size == 0 ? carry_next(u, out) : e;
}

void uplink_next_frame(struct uplink *u, struct now now, struct buf *out,
                       struct uplink_effects *effects)
{
    *effects = (struct uplink_effects){0};
    buf_reset(out);
    if (!u->link || u->closing)
        return;
    for (int i = 0; i < 2 && !u->closing;
         i++) { /* that nothing is left may itself be news to tell */
        arena_reset(&u->arena);
        enum err e = next_frame(u, now, out);
        if (e != ERR_OK) {
            buf_reset(out);
            uplink_end(u, e, err_text(e), effects);
        }
        settle(u, effects);
        if (out->size || !effects->want_write)
            return;
    }
}

/* ---- time and the application ---- */

void uplink_tick(struct uplink *u, struct now now, struct uplink_effects *effects)
{
    *effects = (struct uplink_effects){0};
    bool works = uplink_works(u);
    if (works) {
        enum err e = compare_scans(u) ? compare_step(u) : carry_work(u, effects);
        if (e != ERR_OK)
            uplink_end(u, e, err_text(e), effects);
    }
    int64_t at = next_deadline(u);
    if (at && now.mono.us >= at && !works && !uplink_works(u)) {
        if (u->shake != SHAKE_OPEN) {
            uplink_end(u, ERR_TIMEOUT, "the server did not answer in time", effects);
        } else if (u->pong_wait) {
            uplink_end(u, ERR_TIMEOUT, "nothing was heard from the server for too long", effects);
        } else {
            u->ping = true;
            u->pong_wait = true;
        }
    }
    settle(u, effects);
}

void uplink_local_change(struct uplink *u, struct now now, struct uplink_effects *effects)
{
    (void)now;
    *effects = (struct uplink_effects){0};
    u->push.idle = false;
    u->push.discards_known = false;
    carry_again(u);
    if (u->config.branch && u->shake == SHAKE_OPEN && u->learning != LEARN_REFUSED)
        u->send_follow |= replica_follows_more(u->config.replica);
    settle(u, effects);
}

void uplink_progress(const struct uplink *u, struct uplink_progress *ret)
{
    *ret = u->progress;
}

enum err uplink_enrolled(const struct uplink *u, struct uuid *ret_device, struct uuid *ret_user,
                         struct uuid *ret_history, const char **ret_login)
{
    if (!u->enrolled)
        return ERR_NOT_FOUND;
    *ret_device = u->identity.device;
    *ret_user = u->user;
    *ret_history = u->history;
    *ret_login = u->login;
    return ERR_OK;
}
