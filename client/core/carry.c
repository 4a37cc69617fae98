/* carry.c - attachments in a session: one chunk at a time, when nothing else is to be sent.
 *
 * Model:      up: an OFFER of what is whole here, whose answer says what is wanted; of these one is sent, each
 *             chunk after the STATES that asks for it. Down: one WANT at a time, answered by a CHUNK or STATES.
 *             Records come first: nothing is offered before they are up, and the feed is live.
 * Invariants: at most one chunk is under way in each direction.
 * Source:     SPEC.md 15, ADR-18. */
#include "client/core/uplink_internal.h"

#include <string.h>

void carry_begin(struct uplink *u)
{
    blob_check_done(&u->carry.work.check);
    u->carry = (struct carry_state){.on = u->config.replica && !u->config.no_attachments &&
                                          replica_has_blobs(u->config.replica),
                                    .offers_due = true,
                                    .wants_due = true,
                                    .work_due = true};
}

void carry_done(struct uplink *u)
{
    blob_check_done(&u->carry.work.check);
}

/* The application, a branch's hub or a checkpoint may have brought something. */
void carry_again(struct uplink *u)
{
    struct carry_state *c = &u->carry;
    c->offers_due = c->wants_due = c->work_due = true;
    c->offer_began = false;
}

static bool carry_open(const struct uplink *u)
{
    return u->carry.on && u->shake == SHAKE_OPEN && u->pull == PULL_LIVE && !u->push.blocked &&
           !push_wants(u) && !runs_want(u);
}

/* Records that are under way come first: a server takes nothing that none of its records names. */
static bool offer_due(const struct uplink *u)
{
    const struct carry_state *c = &u->carry;
    return c->offers_due && !c->offered && !c->sending && c->wanted_at == c->wanted_count &&
           u->push.sent_count == 0;
}

bool carry_wants(const struct uplink *u)
{
    const struct carry_state *c = &u->carry;
    if (!carry_open(u))
        return false;
    return (c->sending && !c->waits) || (!c->sending && c->wanted_at < c->wanted_count) ||
           offer_due(u) || (c->wants_due && !c->asked);
}

bool carry_works(const struct uplink *u)
{
    return u->carry.on && u->shake == SHAKE_OPEN && u->carry.work_due;
}

bool carry_finished(const struct uplink *u)
{
    const struct carry_state *c = &u->carry;
    return !c->on || (!c->offers_due && !c->offered && !c->sending && !c->wants_due && !c->asked &&
                      !c->work_due && c->wanted_at == c->wanted_count);
}

/* ---- frames ---- */

static enum err send_offer(struct uplink *u, struct buf *out)
{
    struct carry_state *c = &u->carry;
    struct blob_offer offers[CARRY_OFFERS];
    struct message m = {.type = MESSAGE_OFFER, .as.offer = {.blobs = offers}};
    enum err e =
        replica_blob_offers(u->config.replica, c->offer_began ? c->offer_after : NULL, CARRY_OFFERS,
                            &u->arena, offers, &m.as.offer.blobs_count, c->offer_after);
    if (e != ERR_OK)
        return e;
    c->offer_began = true;
    c->offers_due = m.as.offer.blobs_count == CARRY_OFFERS;
    if (m.as.offer.blobs_count == 0 && c->greeted)
        return ERR_OK;
    c->offered = c->greeted = true;
    return uplink_send(u, &m, out);
}

static enum err send_chunk(struct uplink *u, struct buf *out)
{
    struct carry_state *c = &u->carry;
    struct message m = {
        .type = MESSAGE_CHUNK,
        .as.chunk = {.hash = bytes_of(c->up_hash, BLOB_HASH), .number = c->up_next}};
    enum err e = replica_blob_chunk(u->config.replica, c->up_hash, c->up_next, &u->arena,
                                    &m.as.chunk.data, &m.as.chunk.size);
    if (e == ERR_NOT_FOUND) { /* let go meanwhile, or damaged */
        c->sending = false;
        return ERR_OK;
    }
    if (e == ERR_OK)
        e = uplink_send(u, &m, out);
    if (e != ERR_OK)
        return e;
    c->waits = true;
    u->progress.attachment_bytes_sent += m.as.chunk.data.size;
    return ERR_OK;
}

static enum err send_want(struct uplink *u, struct buf *out)
{
    struct carry_state *c = &u->carry;
    if (!c->fetching) {
        enum err e = replica_blob_wanted(u->config.replica, &c->cursor, &c->down);
        c->wants_due = e == ERR_OK;
        if (e != ERR_OK)
            return e == ERR_NOT_FOUND ? ERR_OK : e;
        c->fetching = true;
    }
    struct message m = {.type = MESSAGE_WANT,
                        .as.want = {.hash = bytes_of(c->down.hash, BLOB_HASH),
                                    .number = c->down.number,
                                    .most = c->down.most}};
    c->asked = true;
    return uplink_send(u, &m, out);
}

static void take_wanted(struct carry_state *c)
{
    const struct carry_item *item = &c->wanted[c->wanted_at++];
    memcpy(c->up_hash, item->hash, BLOB_HASH);
    c->up_next = item->next;
    c->waits = item->checking;
    c->up_failures = 0;
    c->sending = true;
}

enum err carry_next(struct uplink *u, struct buf *out)
{
    struct carry_state *c = &u->carry;
    enum err e = ERR_OK;
    if (!carry_open(u))
        return ERR_OK;
    if (c->wants_due && !c->asked)
        e = send_want(u, out);
    if (e != ERR_OK || out->size)
        return e;
    if (!c->sending && c->wanted_at < c->wanted_count)
        take_wanted(c);
    if (c->sending && !c->waits)
        return send_chunk(u, out);
    return offer_due(u) ? send_offer(u, out) : ERR_OK;
}

/* ---- answers ---- */

/* Of the one that is being sent. */
static void on_up_state(struct uplink *u, const struct blob_state *state)
{
    struct carry_state *c = &u->carry;
    switch (state->code) {
    case BLOB_WANTED:
        c->up_next = (uint32_t)state->next;
        c->waits = false;
        memcpy(u->progress.sending, c->up_hash, BLOB_HASH);
        u->progress.sending_done = state->next * BLOB_CHUNK;
        return;
    case BLOB_CHECKING: return;
    case BLOB_AT_BRANCH:
    case BLOB_AT_HEADQUARTERS:
        u->progress.attachments_sent++;
        c->sending = false;
        return;
    case BLOB_OTHER:
        c->up_next = 0;
        c->waits = false;
        c->sending = ++c->up_failures < BLOB_TRIES;
        return;
    default: c->sending = false; return;
    }
}

static void on_down_state(struct uplink *u, const struct blob_state *state)
{
    struct carry_state *c = &u->carry;
    bool none =
        state->code == BLOB_UNKNOWN || state->code == BLOB_MISSING || state->code == BLOB_LARGER;
    if (!c->asked || !none || memcmp(state->hash.data, c->down.hash, BLOB_HASH) != 0)
        return;
    c->asked = c->fetching = false;
}

static void note_wanted(struct carry_state *c, const struct blob_state *state)
{
    struct carry_item *item = &c->wanted[c->wanted_count++];
    memcpy(item->hash, state->hash.data, BLOB_HASH);
    item->next = (uint32_t)state->next;
    item->checking = state->code == BLOB_CHECKING;
}

enum err on_states(struct uplink *u, const struct message_states *m, struct uplink_effects *effects)
{
    struct carry_state *c = &u->carry;
    bool answers = m->answer == 1 && c->offered;
    if (!c->on)
        return ERR_PROTOCOL;
    if (answers) {
        c->offered = false;
        c->wanted_at = c->wanted_count = 0;
    }
    for (uint32_t i = 0; i < m->blobs_count; i++) {
        const struct blob_state *state = &m->blobs[i];
        bool wanted = state->code == BLOB_WANTED || state->code == BLOB_CHECKING;
        if (state->code == BLOB_WANTED && state->next > UINT32_MAX)
            return ERR_PROTOCOL;
        if (c->sending && memcmp(state->hash.data, c->up_hash, BLOB_HASH) == 0)
            on_up_state(u, state);
        else if (answers && wanted && c->wanted_count < CARRY_OFFERS)
            note_wanted(c, state);
        on_down_state(u, state);
    }
    c->wants_due = c->work_due = true; /* some may have come within reach, or may go */
    effects->changed = true;
    enum err e = replica_blob_told(u->config.replica, m);
    for (uint32_t i = 0; e == ERR_OK && u->config.carried && i < m->blobs_count; i++)
        if (m->blobs[i].code == BLOB_AT_HEADQUARTERS)
            u->config.carried(u->config.context, m->blobs[i].hash.data);
    return e;
}

enum err on_chunk(struct uplink *u, const struct message_chunk *m, struct uplink_effects *effects)
{
    struct carry_state *c = &u->carry;
    bool all = false;
    if (!c->asked || m->hash.size != BLOB_HASH || m->number != c->down.number ||
        m->size > c->down.most || memcmp(m->hash.data, c->down.hash, BLOB_HASH) != 0)
        return ERR_PROTOCOL;
    enum err e = replica_blob_take(u->config.replica, m, &c->down.number, &all);
    if (e != ERR_OK)
        return e;
    c->asked = false;
    c->fetching = !all;
    c->work_due |= all;
    u->progress.attachment_bytes_received += m->data.size;
    effects->changed = true;
    return ERR_OK;
}

/* ---- work ---- */

enum err carry_work(struct uplink *u, struct uplink_effects *effects)
{
    struct carry_state *c = &u->carry;
    uint8_t hash[BLOB_HASH];
    bool more = false, whole, wrong;
    enum err e = replica_blob_work(u->config.replica, &c->work, &more, &whole, &wrong, hash);
    c->work_due = e == ERR_OK && more;
    if (e != ERR_OK)
        return e;
    if (wrong) {
        log_write(u->config.log, LOG_LEVEL_WARNING,
                  "an attachment came with other bytes than its record says: thrown away");
        c->cursor = (struct blob_cursor){.phase = CURSOR_ASKED}; /* again, a few times */
        c->wants_due = true;
    }
    if (!whole)
        return ERR_OK;
    effects->changed = true;
    u->progress.attachments_received++;
    if (u->config.carried)
        u->config.carried(u->config.context, hash);
    return ERR_OK;
}
