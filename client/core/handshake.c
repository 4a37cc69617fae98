/* handshake.c - hello, challenge, enrolment, proof, welcome. Source: SPEC.md 7. */
#include "client/core/uplink_internal.h"

#include <stdio.h>
#include <string.h>

enum err send_hello(struct uplink *u, struct buf *out)
{
    struct message m = {.type = MESSAGE_HELLO,
                        .as.hello = {.protocol_min = PROTOCOL_VERSION_MIN,
                                     .protocol_max = PROTOCOL_VERSION_MAX,
                                     .nonce = bytes_of(u->nonce, 32),
                                     .agent = bytes_of_text(u->config.agent)}};
    if (!u->enrolling)
        m.as.hello.device = u->identity.device;
    return uplink_send(u, &m, out);
}

enum err on_challenge(struct uplink *u, const struct message_challenge *m, struct now now,
                      struct uplink_effects *effects)
{
    if (u->shake != SHAKE_HELLO || m->nonce.size != 32 || m->server_key.size != 32)
        return ERR_PROTOCOL;
    if (m->protocol < PROTOCOL_VERSION_MIN || m->protocol > PROTOCOL_VERSION_MAX)
        return ERR_VERSION;
    /* The TLS layer has compared the certificate; this ties the session's proof to the same key. */
    if (!crypto_equal(m->server_key, bytes_of(u->identity.server_key, 32))) {
        uplink_end(u, ERR_PIN, err_text(ERR_PIN), effects);
        return ERR_OK;
    }
    memcpy(u->server_nonce, m->nonce.data, 32);
    u->incarnation = m->incarnation;
    u->history = m->history;
    u->model_version = m->model_version;
    if (m->model_hash.size != 32)
        return ERR_PROTOCOL;
    memcpy(u->model_hash, m->model_hash.data, 32);
    u->progress.clock_offset_ms = m->wall_ms - now.wall.ms;
    u->shake = u->enrolling ? SHAKE_ENROL : SHAKE_PROOF;
    u->send_enrol = u->enrolling;
    u->send_proof = !u->enrolling;
    return ERR_OK;
}

/* ---- enrolment ---- */

enum err send_enrol(struct uplink *u, struct buf *out)
{
    uint8_t public_key[32];
    enum err e = crypto_ed25519_public(u->config.crypto, u->identity.seed, public_key);
    if (e != ERR_OK)
        return e;
    struct message m = {.type = MESSAGE_ENROL,
                        .as.enrol = {.code = bytes_of(u->enrolment.code, 16),
                                     .public_key = bytes_of(public_key, 32),
                                     .name = bytes_of_text(u->enrolment.name),
                                     .platform = bytes_of_text(u->enrolment.platform)}};
    if (u->enrolment.address) {
        m.as.enrol.address = bytes_of_text(u->enrolment.address);
        m.as.enrol.pin = bytes_of(u->enrolment.pin, 32);
    }
    return uplink_send(u, &m, out);
}

enum err on_enrolled(struct uplink *u, const struct message_enrolled *m,
                     struct uplink_effects *effects)
{
    if (u->shake != SHAKE_ENROL)
        return ERR_PROTOCOL;
    u->identity.device = m->device;
    u->user = m->user;
    u->history = m->history;
    snprintf(u->login, sizeof u->login, "%.*s", (int)m->login.size, (const char *)m->login.data);
    u->enrolled = true;
    uplink_end(u, ERR_OK, "", effects);
    return ERR_OK;
}

/* ---- proof ---- */

enum err send_proof(struct uplink *u, struct now now, struct buf *out)
{
    static const char label[] = "satchel-auth-v1";
    struct replica_status status;
    replica_status(u->config.replica, &status);
    uint8_t text[sizeof label - 1 + 136], *at = text;
    memcpy(at, label, sizeof label - 1);
    at += sizeof label - 1;
    memcpy(at, u->server_nonce, 32);
    memcpy(at + 32, u->nonce, 32);
    memcpy(at + 64, u->identity.server_key, 32);
    memcpy(at + 96, u->identity.device.byte, 16);
    be64_put(at + 112, u->incarnation);
    be64_put(at + 120, status.origin);
    be64_put(at + 128, status.last_oseq);
    uint8_t signature[64];
    enum err e = crypto_ed25519_sign(u->config.crypto, u->identity.seed,
                                     bytes_of(text, sizeof text), signature);
    if (e != ERR_OK)
        return e;
    struct message m = {.type = MESSAGE_PROVE,
                        .as.prove = {.signature = bytes_of(signature, 64),
                                     .origin = status.origin,
                                     .last_oseq = status.last_oseq,
                                     .floor = status.decided_upto,
                                     .wall_ms = now.wall.ms}};
    return uplink_send(u, &m, out);
}

enum err on_welcome(struct uplink *u, const struct message_welcome *m, struct now now,
                    struct uplink_effects *effects)
{
    if (u->shake != SHAKE_PROOF)
        return ERR_PROTOCOL;
    bool forked = false, diverged = false;
    enum err e =
        replica_welcome(u->config.replica, &u->history, m, now.wall.ms, &forked, &diverged);
    if (e == ERR_PROTOCOL) {
        uplink_end(u, e, "this server holds another customer file than this device", effects);
        return ERR_OK;
    }
    if (e == ERR_BUSY) {
        uplink_end(u, e, "this branch does not know yet that headquarters was restored", effects);
        return ERR_OK;
    }
    if (e != ERR_OK)
        return e;
    u->user = m->user;
    u->progress.clock_offset_ms = m->wall_ms - now.wall.ms;
    if (forked) { /* the session was proven for the old origin */
        uplink_end(u, ERR_CONFLICT, "this replica goes on under a new origin", effects);
        return ERR_OK;
    }
    u->shake = SHAKE_OPEN;
    u->progress.authenticated = true;
    u->relay = m->relay;
    replica_set_online(u->config.replica, m->relay == 0 || m->online);
    u->send_follow = follow_due(u);
    u->send_subscribe = true;
    u->pull = PULL_WANTED;
    e = push_begin(u, m);
    return e == ERR_OK ? learn_begin(u) : e;
}
