/* blobs.c - attachments at a server: what it takes, what it gives, who is told.
 *
 * Model:      the sender of a chunk waits for the STATES that asks for the next one, the receiver asks for one
 *             chunk at a time: so nothing else ever waits behind more than one. What a server takes is kept by
 *             nothing but the store, so that a cut costs nothing, and two devices may bring one attachment together.
 *             A hash gives no right: without a live row that names it, in a bucket of the session, it is answered
 *             BLOB_UNKNOWN, whether its bytes are here or not.
 * Cost:       a look-up per chunk: names of the hash, a row. Checking a hash reads CHECK_CHUNKS in a step.
 * Source:     SPEC.md 15, ADR-18. */
#include "server/core/blobs.h"
#include "server/core/relay.h"

#include <string.h>

enum {
    CHECK_CHUNKS = 16, /* 1 MiB: 1 to 3 ms */
    SWEEP_STEPS = 64,
    NAMES_MAX =
        10000, /* rows looked at for one hash; more of them, out of sight, hide those behind */
};

static const char limit_name[] = "attachment_max";

static enum err limit_of(struct hub *hub, uint64_t *ret)
{
    uint64_t configured = hub->limits.attachment_bytes;
    *ret = configured;
    return hub->relay ? meta_get_u64(hub, limit_name, configured, ret) : ERR_OK;
}

/* ---- rights ---- */

struct sight {
    struct hub *hub;
    const struct audience *audience;
    bool writes; /* only rows of tables that the audience may write */
    bool sees;
    uint32_t looked;
    struct arena arena;
};

/* The row whose bucket says who sees the record. */
static enum err routed_row(struct hub *hub, const struct model_table *table, const struct uuid *id,
                           struct arena *arena, struct store_row *ret)
{
    enum err e = hub->relay ? relay_confirmed(hub->store, table, id, arena, ret) : ERR_NOT_FOUND;
    return e == ERR_NOT_FOUND ? store_row_get(hub->store, table, id, arena, ret) : e;
}

static int look_at(void *context, const struct model_table *table, const struct uuid *id, bool live)
{
    struct sight *sight = context;
    struct hub *hub = sight->hub;
    struct store_row row;
    if (++sight->looked > NAMES_MAX)
        return STORE_STOP;
    if (!live || (sight->writes && sight->audience->role < table->write_role))
        return 0;
    arena_reset(&sight->arena);
    enum err e = routed_row(hub, table, id, &sight->arena, &row);
    if (e == ERR_NOT_FOUND)
        return 0;
    if (e != ERR_OK)
        return (int)e;
    sight->sees = row.bucket != 0 && audience_has(sight->audience, row.bucket);
    return sight->sees ? STORE_STOP : 0;
}

/* Whether a live row that the audience sees (and may write) names it. Within a transaction. */
static enum err in_sight(struct hub *hub, const struct audience *audience, const uint8_t *hash,
                         bool writes, bool *ret)
{
    struct sight sight = {.hub = hub, .audience = audience, .writes = writes && !audience->branch};
    arena_init(&sight.arena, TURN_ARENA_MAX);
    enum err e = blob_names(hub->store, hash, look_at, &sight);
    arena_done(&sight.arena);
    *ret = sight.sees;
    return e;
}

/* ---- answers ---- */

static enum blob_code place_of(const struct hub *hub, const struct blob *blob)
{
    return !hub->relay || blob->confirmed ? BLOB_AT_HEADQUARTERS : BLOB_AT_BRANCH;
}

static enum err send_states(struct hub *hub, struct peer *peer, const struct blob_state *states,
                            uint32_t count, bool answer)
{
    struct message m = {
        .type = MESSAGE_STATES,
        .as.states = {.blobs = states, .blobs_count = count, .answer = answer ? 1 : 0}};
    enum err e = limit_of(hub, &m.as.states.limit);
    return e == ERR_OK ? peer_send(hub, peer, &m) : e;
}

static enum err send_state(struct hub *hub, struct peer *peer, const uint8_t *hash,
                           enum blob_code code, uint64_t next)
{
    const struct blob_state state = {bytes_of(hash, BLOB_HASH), code, next};
    return send_states(hub, peer, &state, 1, false);
}

/* What to say to somebody who has it whole. */
static enum err judge_offer(struct hub *hub, const struct peer *peer, const uint8_t *hash,
                            uint64_t size, struct blob_state *ret)
{
    struct blob blob = {.whole = false};
    uint64_t limit;
    bool sees;
    enum err e = in_sight(hub, &peer->audience, hash, true, &sees);
    if (e == ERR_OK)
        e = limit_of(hub, &limit);
    if (e != ERR_OK)
        return e;
    ret->code = BLOB_UNKNOWN;
    ret->next = 0;
    if (!sees)
        return ERR_OK;
    e = blob_get(hub->store, hash, &blob);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    if (blob.whole) {
        ret->code = place_of(hub, &blob);
    } else if (size == 0 || size > limit || size > BLOB_SIZE_LIMIT) {
        ret->code = BLOB_TOO_LARGE;
    } else {
        ret->next = blob.size == size ? blob.have : 0;
        ret->code = ret->next == blob_chunks(size) ? BLOB_CHECKING : BLOB_WANTED;
    }
    return ERR_OK;
}

enum err handle_offer(struct hub *hub, struct peer *peer, const struct message_offer *message)
{
    struct blob_state *states = arena_calloc(&hub->turn, message->blobs_count + 1u, sizeof *states);
    enum err e = states ? ERR_OK : ERR_NOMEM;
    if (peer->session.state != PEER_OPEN)
        return ERR_PROTOCOL;
    for (uint32_t i = 0; e == ERR_OK && i < message->blobs_count; i++) {
        states[i].hash = message->blobs[i].hash;
        e = judge_offer(hub, peer, message->blobs[i].hash.data, message->blobs[i].size, &states[i]);
    }
    peer->session.blobs_told = true;
    return e == ERR_OK ? send_states(hub, peer, states, message->blobs_count, true) : e;
}

enum err handle_chunk(struct hub *hub, struct peer *peer, const struct message_chunk *message)
{
    const uint8_t *hash = message->hash.data;
    struct blob_state state;
    struct blob blob;
    if (peer->session.state != PEER_OPEN || message->hash.size != BLOB_HASH)
        return ERR_PROTOCOL;
    peer->session.blobs_told = true;
    enum err e = judge_offer(hub, peer, hash, message->size, &state);
    if (e != ERR_OK || state.code != BLOB_WANTED)
        return e == ERR_OK ? send_state(hub, peer, hash, (enum blob_code)state.code, state.next)
                           : e;
    if (message->number > UINT32_MAX)
        return ERR_PROTOCOL;
    e = blob_take(hub->store, hash, message->size, (uint32_t)message->number, message->data, &blob);
    if (e == ERR_MALFORMED)
        return ERR_PROTOCOL;
    if (e != ERR_OK && e != ERR_CONFLICT)
        return e;
    bool all = blob.have == blob_chunks(blob.size);
    hub->blob_checks |= all;
    return send_state(hub, peer, hash, all ? BLOB_CHECKING : BLOB_WANTED, blob.have);
}

enum err handle_want(struct hub *hub, struct peer *peer, const struct message_want *message)
{
    const uint8_t *hash = message->hash.data;
    struct peer_session *session = &peer->session;
    struct blob blob = {.whole = false};
    bool sees;
    if (session->state != PEER_OPEN || message->hash.size != BLOB_HASH || session->want_open)
        return ERR_PROTOCOL;
    session->blobs_told = true;
    enum err e = in_sight(hub, &peer->audience, hash, false, &sees);
    if (e == ERR_OK && !sees)
        return send_state(hub, peer, hash, BLOB_UNKNOWN, 0);
    if (e == ERR_OK)
        e = blob_get(hub->store, hash, &blob);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && !blob.whole)) {
        e = hub->relay ? blob_ask(hub->store, hash) : ERR_OK;
        hub->blob_asks |= hub->relay != NULL;
        return e == ERR_OK ? send_state(hub, peer, hash, BLOB_MISSING, 0) : e;
    }
    if (e != ERR_OK)
        return e;
    if (blob.size > message->most)
        return send_state(hub, peer, hash, BLOB_LARGER, blob.size);
    if (message->number >= blob_chunks(blob.size))
        return ERR_PROTOCOL;
    memcpy(session->want_hash, hash, BLOB_HASH);
    session->want_number = (uint32_t)message->number;
    session->want_open = true;
    peer_want_write(peer);
    return ERR_OK;
}

/* ---- giving ---- */

bool blobs_ready(const struct peer *peer)
{
    return peer->session.state == PEER_OPEN && peer->session.want_open;
}

static enum err give(struct hub *hub, struct peer *peer)
{
    const struct peer_session *session = &peer->session;
    struct blob blob = {.whole = false};
    struct bytes data;
    bool sees;
    enum err e = in_sight(hub, &peer->audience, session->want_hash, false, &sees);
    if (e == ERR_OK)
        e = blob_get(hub->store, session->want_hash, &blob);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && (!sees || !blob.whole)))
        return send_state(hub, peer, session->want_hash, sees ? BLOB_MISSING : BLOB_UNKNOWN, 0);
    if (e == ERR_OK)
        e = blob_chunk(hub->store, &blob, session->want_number, &hub->turn, &data);
    if (e == ERR_NOT_FOUND) /* damage, which 'satcheld verify' tells */
        return send_state(hub, peer, session->want_hash, BLOB_MISSING, 0);
    struct message m = {.type = MESSAGE_CHUNK,
                        .as.chunk = {.hash = bytes_of(session->want_hash, BLOB_HASH),
                                     .size = blob.size,
                                     .number = session->want_number,
                                     .code = place_of(hub, &blob)}};
    if (e == ERR_OK)
        m.as.chunk.data = data;
    return e == ERR_OK ? peer_send(hub, peer, &m) : e;
}

/* When nothing else waits for the peer. */
enum err blobs_next(struct hub *hub, struct peer *peer)
{
    enum err e = store_begin(hub->store, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = give(hub, peer);
    store_rollback(hub->store);
    arena_reset(&hub->turn);
    peer->session.want_open = false;
    return e;
}

/* ---- telling ---- */

/* Those who have asked or offered anything in their session hear of what they may see. */
static enum err tell_all(struct hub *hub, const uint8_t *hash, enum blob_code code)
{
    enum err e = ERR_OK;
    for (struct peer *peer = hub->peers; e == ERR_OK && peer; peer = peer->next) {
        bool sees;
        if (peer->session.state != PEER_OPEN || !peer->session.blobs_told)
            continue;
        e = in_sight(hub, &peer->audience, hash, false, &sees);
        if (e == ERR_OK && sees)
            e = send_state(hub, peer, hash, code, 0);
    }
    return e;
}

void hub_blob_changed(struct hub *hub, const uint8_t hash[32])
{
    struct blob blob;
    if (store_begin(hub->store, STORE_READ) != ERR_OK)
        return; /* who waits asks again in the next session */
    enum err e = blob_get(hub->store, hash, &blob);
    if (e == ERR_OK && blob.whole)
        e = tell_all(hub, hash, place_of(hub, &blob));
    store_rollback(hub->store);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        log_write(hub->config.log, LOG_LEVEL_WARNING, "attachments: nobody was told: %s",
                  err_text(e));
}

/* ---- checking, removing ---- */

struct checked {
    bool right;
};

static enum err checked_body(struct hub *hub, void *context)
{
    const struct checked *checked = context;
    const uint8_t *hash = hub->blob_check.hash;
    enum err e = blob_checked(hub->store, &hub->blob_check, checked->right, !hub->relay);
    hub->blob_asks |= hub->relay != NULL; /* it is to go up */
    if (e != ERR_OK)
        return e;
    return tell_all(hub, hash,
                    !checked->right ? BLOB_OTHER
                                    : (hub->relay ? BLOB_AT_BRANCH : BLOB_AT_HEADQUARTERS));
}

static enum err check(struct hub *hub)
{
    struct checked checked;
    enum blob_verdict verdict = BLOB_NOTHING;
    enum err e = store_begin(hub->store, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = blob_check_step(hub->store, hub->config.crypto, &hub->blob_check, CHECK_CHUNKS, &verdict);
    store_rollback(hub->store);
    if (e != ERR_OK)
        return e;
    hub->blob_checks = verdict != BLOB_NOTHING;
    if (verdict != BLOB_RIGHT && verdict != BLOB_WRONG)
        return ERR_OK;
    checked.right = verdict == BLOB_RIGHT;
    if (!checked.right)
        log_write(hub->config.log, LOG_LEVEL_WARNING,
                  "an attachment came with other bytes than its hash says: thrown away");
    return hub_transact(hub, checked_body, &checked);
}

static enum err sweep_body(struct hub *hub, void *context)
{
    const struct blob_sweep sweep = {.steps = SWEEP_STEPS,
                                     .now_ms = hub->now.wall.ms,
                                     .keep_ms = hub->limits.attachment_keep_ms};
    return blob_sweep(hub->store, &sweep, context);
}

static enum err sweep(struct hub *hub)
{
    enum { AGAIN_US = 600000000 };
    bool more = false;
    enum err e = hub_transact(hub, sweep_body, &more);
    hub->blob_sweeps = e == ERR_OK && more;
    if (!hub->blob_sweeps)
        hub->blob_sweep_us = hub->now.mono.us + AGAIN_US;
    return e;
}

bool blobs_work(const struct hub *hub)
{
    return hub->blob_checks || hub->blob_sweeps;
}

enum err blobs_turn(struct hub *hub)
{
    enum { FULL_AGAIN_US = 10000000 };
    enum err e = hub->blob_checks ? check(hub) : hub->blob_sweeps ? sweep(hub) : ERR_OK;
    if (e != ERR_FULL)
        return e;
    hub->blob_checks = hub->blob_sweeps = false; /* later: records come first */
    hub->blob_sweep_us = hub->now.mono.us + FULL_AGAIN_US;
    return ERR_OK;
}

/* A branch's store is swept by its uplink. */
void blobs_tick(struct hub *hub)
{
    if (hub->relay && hub->blob_sweep_us == 0)
        return;
    if (hub->now.mono.us < hub->blob_sweep_us) {
        deadline_lower(hub, hub->blob_sweep_us);
        return;
    }
    hub->blob_checks = true; /* one may have been put off */
    hub->blob_sweeps = !hub->relay;
    if (hub->relay)
        hub->blob_sweep_us = 0;
}
