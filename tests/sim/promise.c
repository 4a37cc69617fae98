/* promise.c - what headquarters says over the wire is so: acknowledgements, challenges, who is served. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/frame.h"
#include "tests/sim/history.h"
#include "tests/sim/oracle.h"

enum { GRACE_US = 7000000 }; /* what was queued before may still go: a closing has 5 s */

static bool is_key(sqlite3 *db, const char *sql, const void *key, int size)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_blob(row, 1, key, size, SQLITE_TRANSIENT);
    bool found = sqlite3_step(row) == SQLITE_ROW;
    sqlite3_finalize(row);
    return found;
}

static bool covered(const struct message_ack *ack, uint64_t oseq)
{
    bool found = oseq <= ack->upto;
    for (uint32_t i = 0; i < ack->ranges_count; i++)
        found |= oseq >= ack->ranges[i].from && oseq <= ack->ranges[i].to;
    return found;
}

/* What is acknowledged is decided, or waits, in what is committed. */
static void check_ack(struct node *node, const struct message_ack *ack)
{
    const struct history *h = node->world->history;
    for (uint32_t i = 0; h && i < h->count; i++) {
        const struct told *told = &h->items[i];
        if (told->origin == ack->origin && told->turn == 0 && !told->passed &&
            covered(ack, told->oseq) && history_lacks(node, told))
            broken(node->world, "nothing leaves before its commit",
                   "group %016llx/%llu is acknowledged, and is not in the store of headquarters",
                   (unsigned long long)told->origin, (unsigned long long)told->oseq);
    }
}

/* No challenge is given twice. */
static void check_nonce(struct node *node, struct bytes nonce)
{
    struct history *h = node->world->history;
    uint64_t number = nonce.size >= 8 ? be64_get(nonce.data) : 0;
    for (uint32_t i = 0; h && i < HISTORY_NONCES; i++)
        if (h->nonces[i] == number)
            broken(node->world, "challenges are fresh",
                   "a challenge was given for the second time");
    if (h)
        h->nonces[h->nonce_count++ % HISTORY_NONCES] = number;
}

/* The heads of a checkpoint are committed. */
static void check_heads(struct node *node, const struct message_checkpoint *checkpoint)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(store_sqlite_handle(node->store),
                           "SELECT v FROM satchel_bucket WHERE k=?", -1, &row, NULL) != SQLITE_OK)
        return;
    for (uint32_t i = 0; i < checkpoint->heads_count; i++) {
        uint8_t key[4];
        be32_put(key, checkpoint->heads[i].bucket);
        sqlite3_reset(row);
        sqlite3_bind_blob(row, 1, key, 4, SQLITE_TRANSIENT);
        if (sqlite3_step(row) == SQLITE_ROW && sqlite3_column_bytes(row, 0) == 49 &&
            be64_get((const uint8_t *)sqlite3_column_blob(row, 0) + 17) <
                checkpoint->heads[i].position)
            broken(
                node->world, "nothing leaves before its commit",
                "a checkpoint says that bucket %u is at %llu, which headquarters has not committed",
                checkpoint->heads[i].bucket, (unsigned long long)checkpoint->heads[i].position);
    }
    sqlite3_finalize(row);
}

static void look_into(struct node *node, struct bytes frame)
{
    struct history *h = node->world->history;
    struct arena arena;
    struct buf inflated;
    struct message message;
    arena_init(&arena, 64 << 20);
    buf_init(&inflated, FRAME_INFLATED_MAX);
    if (h && frame_decode(frame, true, h->inflater, &inflated, &arena, &message) == ERR_OK) {
        if (message.type == MESSAGE_ACK)
            check_ack(node, &message.as.ack);
        else if (message.type == MESSAGE_CHALLENGE)
            check_nonce(node, message.as.challenge.nonce);
        else if (message.type == MESSAGE_CHECKPOINT)
            check_heads(node, &message.as.checkpoint);
    }
    buf_done(&inflated);
    arena_done(&arena);
}

/* ---- who is served ---- */

/* Clones share an identity: the first one's number stands for it. */
static uint16_t identity_of(const struct world *world, const struct node *device)
{
    for (uint16_t i = 1; i < device->number; i++)
        if (uuid_equal(&world->nodes[i].identity.device, &device->identity.device))
            return i;
    return device->number;
}

static void check_revoked(struct node *node, const struct node *device)
{
    struct world *world = node->world;
    int64_t *since = &world->history->revoked_us[device->number];
    bool revoked =
        world->cover[COVER_REVOKES] &&
        is_key(store_sqlite_handle(node->store), "SELECT 1 FROM device WHERE id=? AND revoked=1",
               device->identity.device.byte, 16);
    if (!revoked)
        *since = 0;
    else if (*since == 0)
        *since = world->now_us;
    else if (world->now_us - *since > GRACE_US)
        broken(world, "revoked means out", "%s was revoked %.1f s ago, and is served", device->name,
               (double)(world->now_us - *since) / 1e6);
}

/* What a user may not see any more is not sent a while after that. */
static void check_scope(struct node *node, const struct node *device, struct bytes frame)
{
    struct world *world = node->world;
    struct history *h = world->history;
    uint64_t scope = world->ledger->people[device->user].scope;
    if (h->scope[device->user] != scope) {
        h->scope[device->user] = scope;
        h->scope_us[device->user] = world->now_us;
    }
    if (world->now_us - h->scope_us[device->user] > GRACE_US &&
        (oracle_canaries(world->ledger, frame) & ~scope))
        broken(world, "nothing out of scope",
               "%s is sent what u%u may not see any more, for %.0f s", device->name, device->user,
               (double)(world->now_us - h->scope_us[device->user]) / 1e6);
}

/* One that was made later may come to headquarters first, and end before. */
static bool is_open(const struct link *link)
{
    return link && link->open[UPPER] && !link->closing[UPPER];
}

static void check_session(struct node *node, const struct node *device, const struct link *link,
                          bool welcome)
{
    struct world *world = node->world;
    struct history *h = world->history;
    uint16_t who = identity_of(world, device);
    if (link->number < device->enrolled_from)
        return; /* of a device that it was before */
    if (welcome && (h->newest[who] == 0 || link->number + 1 > h->newest[who])) {
        h->newest[who] = link->number + 1;
        h->welcomed_us[who] = world->now_us;
    } else if (link->number + 1 < h->newest[who] &&
               is_open(world_link(world, h->newest[who] - 1)) &&
               world->now_us - h->welcomed_us[who] > GRACE_US) {
        broken(world, "one session of a device",
               "%s is served on an older connection than its last one", device->name);
    }
}

void promise_sent_down(struct node *node, struct link *link, struct bytes frame)
{
    struct world *world = node->world;
    const struct node *device = &world->nodes[link->ends[LOWER]];
    if (frame.size == 0 || !world->history || !node->running)
        return;
    enum message_type type = (enum message_type)frame.data[0];
    queues_answered(link, type);
    if (node->number == 0 &&
        (type == MESSAGE_ACK || type == MESSAGE_CHALLENGE || type == MESSAGE_CHECKPOINT))
        look_into(node, frame);
    if (type == MESSAGE_PAGE && node->number == 0 && !world->sight) /* sight.h is stricter */
        check_scope(node, device, frame);
    if (type != MESSAGE_WELCOME && type != MESSAGE_PAGE && type != MESSAGE_CHECKPOINT &&
        type != MESSAGE_ACK)
        return;
    if (type == MESSAGE_WELCOME && device->impostor && device->up == link)
        broken(world, "who proves is let in",
               "%s has another key than it was enrolled with, and is let in", device->name);
    check_revoked(node, device);
    if (node->number == 0) /* an older one at another server may not have noticed yet */
        check_session(node, device, link, type == MESSAGE_WELCOME);
}

/* All is quiet: who is revoked has erased itself. */
void promise_end(struct world *world)
{
    for (uint32_t i = 1; i < world->node_count && !world->failed; i++) {
        const struct node *device = &world->nodes[i];
        if (!device->erased && is_key(store_sqlite_handle(world->nodes[0].store),
                                      "SELECT 1 FROM device WHERE id=? AND revoked=1",
                                      device->identity.device.byte, 16))
            broken(world, "revoked means out", "%s is revoked, and still has its data",
                   device->name);
    }
}
