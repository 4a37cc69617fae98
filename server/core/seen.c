/* seen.c - where devices are in the log, as the server knows: for retention alone. Cursors live at the client.
 *
 * Model:      a device states its cursors when it subscribes. A session that lasts confirms, by the answer to a
 *             heartbeat, that what was sent before that is installed. A device that was here within the lease
 *             is live, and what it has not passed is not purged; one that stays away longer reads anew.
 * Stored:     SEEN device -> when BE8, (bucket BE4, position BE8) each. One that reads everything has no cursors.
 * Source:     SPEC.md 13.2. */
#include "server/core/hub_internal.h"

#include <string.h>

enum { SEEN_HEAD = 8, SEEN_CURSOR = 12 };

enum err seen_note(struct hub *hub, const struct peer *peer)
{
    struct buf *b = &hub->row_scratch;
    uint8_t raw[SEEN_CURSOR];
    if (hub->intents && hub->intents->failures > 0)
        return ERR_OK; /* the disk is full: who only reads goes on, and may have to read anew one day */
    buf_reset(b);
    be64_put(raw, (uint64_t)hub->now.wall.ms);
    buf_append(b, raw, SEEN_HEAD);
    for (uint32_t i = 0; i < peer->position_count; i++) {
        if (peer->positions[i].position == 0)
            continue;
        be32_put(raw, (uint32_t)peer->positions[i].bucket);
        be64_put(raw + 4, peer->positions[i].position);
        buf_append(b, raw, SEEN_CURSOR);
    }
    if (b->error != ERR_OK)
        return b->error;
    return store_side_put(hub->store, SIDE_SEEN, bytes_of(peer->session.device.byte, 16),
                          buf_view(b));
}

enum err seen_forget(struct hub *hub, const struct uuid *device)
{
    return store_side_delete(hub->store, SIDE_SEEN, bytes_of(device->byte, 16));
}

void seen_pinged(struct hub *hub, struct peer *peer)
{
    bool all_sent = peer->session.pull == PULL_LIVE && !peer->out_head && !peer->catch_up;
    peer->pinged_ms = all_sent ? hub->now.wall.ms : 0;
}

void seen_answered(struct peer *peer)
{
    if (peer->pinged_ms)
        peer->confirmed_ms = peer->pinged_ms;
    peer->pinged_ms = 0;
}

/* ---- who holds back ---- */

struct holding {
    struct hub *hub;
    int64_t since_ms, before_ms;
    struct hash_map *limits;
};

static const struct peer *session_of(const struct hub *hub, struct bytes device)
{
    for (const struct peer *peer = hub->peers; peer; peer = peer->next)
        if (peer->session.state == PEER_OPEN &&
            memcmp(peer->session.device.byte, device.data, 16) == 0)
            return peer;
    return NULL;
}

static int hold_back(void *context, struct bytes key, struct bytes value)
{
    struct holding *holding = context;
    const struct peer *peer = NULL;
    bool looked = false;
    if (key.size != 16 || value.size < SEEN_HEAD || (value.size - SEEN_HEAD) % SEEN_CURSOR)
        return ERR_CORRUPT;
    bool live = (int64_t)be64_get(value.data) >= holding->since_ms;
    for (size_t at = SEEN_HEAD; at < value.size; at += SEEN_CURSOR) {
        union hash_value *limit =
            hash_map_get(holding->limits, bytes_of(value.data + at, 4)); /* the bucket, BE4 */
        uint64_t position = be64_get(value.data + at + 4);
        if (!limit || limit->number <= position)
            continue;
        if (!looked)
            peer = session_of(holding->hub, key);
        looked = true;
        if (peer ? peer->confirmed_ms > holding->before_ms : !live)
            return 0;
        limit->number = position;
    }
    return 0;
}

enum err seen_hold(struct hub *hub, int64_t since_ms, int64_t before_ms, struct hash_map *limits)
{
    struct holding holding = {hub, since_ms, before_ms, limits};
    const struct bytes none = bytes_of(NULL, 0);
    return store_side_scan(hub->store, SIDE_SEEN, none, none, hold_back, &holding);
}
