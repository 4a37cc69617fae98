/* ingest.c - pushes: runs of groups, parts of large ones, discards; acknowledgements.
 *
 * Model:      each group of a run is decided for itself; the acknowledgement tells, cumulatively, what is
 *             durable here (decided or waiting), and leaves with the commit.
 * Signatures: a run from its author's own session is acknowledged first and verified after (audit.c).
 * Source:     SPEC.md 7, 11. */
#include "server/core/hub_internal.h"
#include "server/core/relay.h"

#include <stdio.h>
#include <string.h>

enum {
    OSEQ_AHEAD_MAX = 1000000,
    RANGES_MAX = 8000 /* a run may add half its groups; messages take 10,000 */,
    ACK_RANGES_MAX = 10000,
    CLAIMS_MAX = 256 /* origins that one session may bring */
};

struct waiting_list {
    struct hub *hub;
    struct oseq_range *ranges;
    uint32_t count, capacity;
};

static int collect_oseq(void *context, struct bytes key, struct bytes value)
{
    struct waiting_list *list = context;
    (void)value;
    uint64_t oseq = be64_get(key.data + 8);
    if (list->count && list->ranges[list->count - 1].to + 1 == oseq) {
        list->ranges[list->count - 1].to = oseq;
        return 0;
    }
    if (list->count == list->capacity)
        return STORE_STOP;
    list->ranges[list->count++] = (struct oseq_range){oseq, oseq};
    return 0;
}

/* Decided ranges and waiting ones, ascending and joined. */
static uint32_t join_ranges(const struct mark *mark, const struct waiting_list *waiting,
                            struct oseq_range *out)
{
    uint32_t count = 0, a = 0, b = 0;
    while (a < mark->range_count || b < waiting->count) {
        bool first = b == waiting->count ||
                     (a < mark->range_count && mark->ranges[a].from < waiting->ranges[b].from);
        struct oseq_range next = first ? mark->ranges[a++] : waiting->ranges[b++];
        if (count && out[count - 1].to + 1 >= next.from)
            out[count - 1].to = next.to > out[count - 1].to ? next.to : out[count - 1].to;
        else
            out[count++] = next;
    }
    return count;
}

/* last: of what has come. */
static enum err acknowledge(struct hub *hub, struct peer *peer, const struct origin *origin,
                            uint64_t last)
{
    struct mark mark;
    enum err e =
        hub->relay ? relay_received(hub, origin, last, &mark) : own_mark(hub, origin, &mark);
    if (e != ERR_OK)
        return e;
    struct message_ack ack = {.origin = origin->id,
                              .upto = mark.upto,
                              .ranges = mark.ranges,
                              .ranges_count = mark.range_count,
                              .credit = PUSH_CREDIT};
    if (hub->waiting_count && !hub->relay) {
        struct waiting_list list = {.hub = hub, .capacity = RANGES_MAX / 2};
        list.ranges = arena_calloc(&hub->turn, list.capacity, sizeof *list.ranges);
        struct oseq_range *joined =
            arena_calloc(&hub->turn, list.capacity + mark.range_count, sizeof *joined);
        if (!list.ranges || !joined)
            return ERR_NOMEM;
        uint8_t from[KEY_ORIGIN_SIZE], to[KEY_ORIGIN_SIZE];
        key_origin(origin->id, 0, from);
        key_origin(origin->id, UINT64_MAX, to);
        e = store_side_scan(hub->store, SIDE_WAITING, bytes_of(from, sizeof from),
                            bytes_of(to, sizeof to), collect_oseq, &list);
        if (e != ERR_OK)
            return e;
        ack.ranges = joined;
        ack.ranges_count = join_ranges(&mark, &list, joined);
        if (ack.ranges_count > ACK_RANGES_MAX)
            ack.ranges_count = ACK_RANGES_MAX; /* the rest is acknowledged later */
    }
    struct message message = {.type = MESSAGE_ACK, .as.ack = ack};
    return peer_send(hub, peer, &message);
}

/* Whether the origin is of one of the branch's devices. */
static bool is_relayed(const struct peer *peer, uint64_t origin)
{
    return peer->audience.branch && origin != peer->session.origin;
}

static enum err author_of(struct hub *hub, struct peer *peer, struct origin *origin,
                          struct author *ret)
{
    /* results and own entries are of the session's origin alone */
    bool own = origin->id == peer->session.origin;
    *ret = (struct author){
        .peer = peer,
        .peer_number = own ? peer->number : 0,
        .origin = origin,
        .device = peer->session.device,
        .user = peer->session.user,
        .audience = &peer->audience,
        .envelope = {.received_ms = hub->now.wall.ms, .offset_ms = peer->session.offset_ms}};
    if (!is_relayed(peer, origin->id))
        return ERR_OK;
    ret->device = peer->session.relayed.device;
    ret->user = peer->session.relayed.user;
    ret->envelope = peer->session.relayed.envelope;
    return relayed_audience(hub, peer, &ret->audience);
}

/* Decides one group and what waited for it. ret_fork: the run ends here. */
static enum err ingest_one(struct hub *hub, struct peer *peer, struct origin *origin, uint64_t oseq,
                           struct bytes raw, const uint8_t hash[32], bool *ret_fork)
{
    struct author author;
    enum decision decision;
    enum err e = author_of(hub, peer, origin, &author);
    if (e == ERR_OK)
        e = decide_group(hub, &author, oseq, raw, hash, &decision);
    if (e != ERR_OK)
        return e;
    if (decision == DECISION_FORK) {
        bool own = origin->id == peer->session.origin || is_relayed(peer, origin->id);
        *ret_fork = own; /* what was decided once under an older origin has no other number */
        hub->stats.forks++;
        struct message fork = {.type = MESSAGE_FORK,
                               .as.fork = {.origin = origin->id, .oseq = oseq}};
        char entry[120];
        snprintf(entry, sizeof entry, "{\"what\":\"fork\",\"origin\":\"%016llx\",\"oseq\":%llu}",
                 (unsigned long long)origin->id, (unsigned long long)oseq);
        e = audit_append(hub, entry);
        return e == ERR_OK && own ? peer_send(hub, peer, &fork) : e;
    }
    if (decision != DECISION_DONE || hub->waiting_count == 0)
        return ERR_OK;
    struct receipt receipt;
    e = receipt_find(hub, origin->id, oseq, &receipt);
    if (e != ERR_OK || receipt.code == RESULT_PARKED)
        return e;
    const struct dot dots[] = {{origin->id, oseq, receipt.tag}, dot_before(raw)};
    for (int i = 0; e == ERR_OK && i < 2 && !dot_is_none(&dots[i]); i++)
        e = decide_waiting(hub, &dots[i]);
    return e;
}

/* What is kept of a run, decided now or later: it is audited and its signature looked at. */
static uint64_t groups_taken(const struct hub *hub)
{
    const struct hub_stats *s = &hub->stats;
    return s->groups_applied + s->groups_merged + s->groups_parked + s->groups_waiting;
}

/* The session's origin, or another one of the device: after a restore its groups of before a fork come
 * again. */
static enum err pushed_origin(struct hub *hub, struct peer *peer, uint64_t id, struct origin **ret)
{
    const struct relayed *relayed = &peer->session.relayed;
    if (is_relayed(peer, id))
        return id == relayed->origin ? claim_origin(hub, &relayed->device, &relayed->user, id, ret)
                                     : ERR_PROTOCOL;
    enum err e = id == 0 ? ERR_PROTOCOL : origin_get(hub, id, ret);
    if (e == ERR_NOT_FOUND && peer->session.claimed++ >= CLAIMS_MAX)
        return ERR_PROTOCOL;
    return e == ERR_OK || e == ERR_NOT_FOUND
               ? claim_origin(hub, &peer->hello_device, &peer->session.user, id, ret)
               : e;
}

/* It is another device's, which came with it first: the true owner, as a restored headquarters cannot know,
 * sends these groups under a new one. */
static enum err tell_taken(struct hub *hub, struct peer *peer, uint64_t origin)
{
    if (peer->session.claimed++ >= CLAIMS_MAX)
        return ERR_PROTOCOL;
    struct message fork = {.type = MESSAGE_FORK, .as.fork = {.origin = origin, .oseq = 1}};
    return peer_send(hub, peer, &fork);
}

/* Pushes under this origin are of the past: the author was told to take another one. */
static bool *forked_flag(struct peer *peer, uint64_t origin)
{
    struct follow *follow = is_relayed(peer, origin) ? follow_find(peer, origin) : NULL;
    if (follow)
        return &follow->forked;
    return origin == peer->session.origin ? &peer->session.forked : NULL;
}

/* What a branch forwards is verified before it is decided; what its author itself sends, after the answer. */
static enum err run_signed(struct hub *hub, struct peer *peer, uint64_t origin, uint64_t first,
                           uint32_t count, const uint8_t *hashes, const uint8_t signature[64])
{
    const struct uuid *author =
        is_relayed(peer, origin) ? &peer->session.relayed.device : &peer->session.device;
    enum err e = audit_run(hub, author, origin, first, count, hashes, signature);
    return e == ERR_OK && !is_relayed(peer, origin)
               ? verify_later(hub, peer, origin, first, count, hashes, signature)
               : e;
}

enum err handle_push(struct hub *hub, struct peer *peer, const struct message_push *message)
{
    if (peer->session.state != PEER_OPEN || message->groups_count == 0 || message->first == 0 ||
        message->signature.size != 64)
        return ERR_PROTOCOL;
    struct origin *origin;
    enum err e = pushed_origin(hub, peer, message->origin, &origin);
    if (e == ERR_AUTH)
        return tell_taken(hub, peer, message->origin);
    if (e != ERR_OK)
        return e;
    if (message->first > origin->upto + OSEQ_AHEAD_MAX || origin->range_count >= RANGES_MAX)
        return ERR_PROTOCOL;
    bool *forked = forked_flag(peer, origin->id), fork = forked && *forked;
    uint8_t *hashes = arena_alloc(&hub->turn, message->groups_count * (size_t)32);
    if (!hashes)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < message->groups_count; i++) {
        e = crypto_sha256(hub->config.crypto, message->groups[i], hashes + i * (size_t)32);
        if (e != ERR_OK)
            return e;
    }
    if (hub->relay && !fork) {
        e = relay_push(hub, peer, origin, message->first, message->groups, message->groups_count,
                       hashes, message->signature.data, &fork);
        if (forked)
            *forked |= fork;
        return e == ERR_OK
                   ? acknowledge(hub, peer, origin, message->first + message->groups_count - 1)
                   : e;
    }
    if (is_relayed(peer, origin->id)) {
        e = verify_now(hub, peer->session.relayed.public_key, origin->id, message->first,
                       message->groups_count, hashes, message->signature.data);
        if (e != ERR_OK)
            return e;
    }
    uint64_t before = groups_taken(hub);
    for (uint32_t i = 0; i < message->groups_count && !fork; i++) {
        e = ingest_one(hub, peer, origin, message->first + i, message->groups[i],
                       hashes + i * (size_t)32, &fork);
        if (e != ERR_OK)
            return e;
    }
    if (forked)
        *forked |= fork;
    if (groups_taken(hub) > before)
        e = run_signed(hub, peer, origin->id, message->first, message->groups_count, hashes,
                       message->signature.data);
    return e == ERR_OK ? acknowledge(hub, peer, origin, message->first + message->groups_count - 1)
                       : e;
}

/* ---- parts: (origin, oseq, part BE4) -> bytes ---- */

static void part_key(uint64_t origin, uint64_t oseq, uint32_t part, uint8_t out[20])
{
    key_origin(origin, oseq, out);
    be32_put(out + 16, part);
}

struct part_keys {
    struct arena *arena;
    struct bytes *keys;
    uint32_t count, capacity;
};

static int collect_part(void *context, struct bytes key, struct bytes value)
{
    struct part_keys *list = context;
    (void)value;
    struct bytes *keys =
        arena_extend(list->arena, list->keys, list->count, &list->capacity, sizeof *keys);
    if (!keys)
        return ERR_NOMEM;
    list->keys = keys;
    return (int)arena_copy(list->arena, key, &keys[list->count++]);
}

/* What an origin has begun to send: one large group at a time, so that what is kept has a bound. */
static enum err parts_forget(struct hub *hub, uint64_t origin)
{
    uint8_t from[20], to[20];
    struct part_keys list = {.arena = &hub->turn};
    part_key(origin, 0, 0, from);
    part_key(origin, UINT64_MAX, UINT32_MAX, to);
    enum err e = store_side_scan(hub->store, SIDE_PART, bytes_of(from, sizeof from),
                                 bytes_of(to, sizeof to), collect_part, &list);
    for (uint32_t i = 0; e == ERR_OK && i < list.count; i++)
        e = store_side_delete(hub->store, SIDE_PART, list.keys[i]);
    return e;
}

/* Parts come in their order; the first one of a group takes the place of what was begun before. */
static enum err part_keep(struct hub *hub, const struct message_part *message)
{
    uint8_t key[20];
    struct bytes before;
    enum err e = ERR_OK;
    if (message->part == 0) {
        e = parts_forget(hub, message->origin);
    } else {
        part_key(message->origin, message->oseq, (uint32_t)message->part - 1, key);
        e = store_side_get(hub->store, SIDE_PART, bytes_of(key, sizeof key), &hub->turn, &before);
    }
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_PROTOCOL : e;
    part_key(message->origin, message->oseq, (uint32_t)message->part, key);
    return store_side_put(hub->store, SIDE_PART, bytes_of(key, sizeof key), message->data);
}

static enum err parts_join(struct hub *hub, const struct message_part *message, struct buf *whole)
{
    for (uint32_t i = 0; i + 1 < message->parts; i++) {
        uint8_t key[20];
        part_key(message->origin, message->oseq, i, key);
        struct bytes piece;
        enum err e =
            store_side_get(hub->store, SIDE_PART, bytes_of(key, sizeof key), &hub->turn, &piece);
        if (e != ERR_OK)
            return e == ERR_NOT_FOUND ? ERR_PROTOCOL : e;
        if (buf_append(whole, piece.data, piece.size) != ERR_OK)
            return whole->error;
    }
    if (buf_append(whole, message->data.data, message->data.size) != ERR_OK)
        return whole->error;
    return whole->size == message->total ? ERR_OK : ERR_PROTOCOL;
}

enum err handle_part(struct hub *hub, struct peer *peer, const struct message_part *message)
{
    if (peer->session.state != PEER_OPEN || message->parts < 2 || message->parts > 256 ||
        message->part >= message->parts || message->total > GROUP_BYTES_MAX ||
        message->data.size == 0 || message->oseq == 0)
        return ERR_PROTOCOL;
    struct origin *origin;
    enum err e = pushed_origin(hub, peer, message->origin, &origin);
    if (e == ERR_AUTH) /* told once, not for each part */
        return message->part == 0 ? tell_taken(hub, peer, message->origin) : ERR_OK;
    bool *forked = e == ERR_OK ? forked_flag(peer, origin->id) : NULL;
    if (e != ERR_OK || (forked && *forked))
        return e;
    if (message->oseq > origin->upto + OSEQ_AHEAD_MAX || origin->range_count >= RANGES_MAX)
        return ERR_PROTOCOL;
    if (message->part + 1 < message->parts)
        return part_keep(hub, message);
    if (message->signature.size != 64)
        return ERR_PROTOCOL;
    uint64_t before = groups_taken(hub);
    struct buf whole;
    buf_init(&whole, GROUP_BYTES_MAX);
    e = parts_join(hub, message, &whole);
    struct bytes raw = buf_view(&whole);
    uint8_t hash[32];
    bool fork = false;
    if (e == ERR_OK)
        e = arena_copy(&hub->turn, raw, &raw); /* views of it live until the commit */
    buf_done(&whole);
    if (e == ERR_OK)
        e = crypto_sha256(hub->config.crypto, raw, hash);
    if (e == ERR_OK && hub->relay)
        e = relay_push(hub, peer, origin, message->oseq, &raw, 1, hash, message->signature.data,
                       &fork);
    else if (e == ERR_OK && is_relayed(peer, origin->id))
        e = verify_now(hub, peer->session.relayed.public_key, origin->id, message->oseq, 1, hash,
                       message->signature.data);
    if (e == ERR_OK && !hub->relay)
        e = ingest_one(hub, peer, origin, message->oseq, raw, hash, &fork);
    if (e == ERR_OK)
        e = parts_forget(hub, message->origin);
    if (e == ERR_OK && groups_taken(hub) > before)
        e = run_signed(hub, peer, origin->id, message->oseq, 1, hash, message->signature.data);
    if (forked)
        *forked |= fork;
    return e == ERR_OK ? acknowledge(hub, peer, origin, message->oseq) : e;
}

/* ---- discards ---- */

static enum err forget_parked(struct hub *hub, const struct dot *dot)
{
    uint8_t key[KEY_ORIGIN_SIZE], insert[PARKED_INSERT_KEY];
    key_origin(dot->origin, dot->oseq, key);
    struct bytes value;
    enum err e =
        store_side_get(hub->store, SIDE_PARKED, bytes_of(key, sizeof key), &hub->turn, &value);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e != ERR_OK)
        return e;
    if (value.size < 2 || value.size < 2u + value.data[1])
        return ERR_CORRUPT;
    struct bytes raw = bytes_of(value.data + 2 + value.data[1], value.size - 2u - value.data[1]);
    struct group group;
    if (group_decode(hub->model, raw, &hub->turn, &group, NULL) == ERR_OK)
        for (uint32_t i = 0; e == ERR_OK && i < group.mutation_count; i++) {
            parked_insert_key(group.mutations[i].id.byte, dot, insert);
            if (group.mutations[i].op == MUTATION_INSERT)
                e = store_side_delete(hub->store, SIDE_PARKED_INSERT,
                                      bytes_of(insert, sizeof insert));
        }
    if (e == ERR_OK)
        e = store_side_delete(hub->store, SIDE_PARKED, bytes_of(key, sizeof key));
    if (e == ERR_OK)
        hub->parked_count--;
    return e;
}

/* To a branch as a fate of the origin; to a device as a result of the session. */
static enum err tell_discarded(struct hub *hub, struct peer *peer, uint64_t origin, uint64_t oseq,
                               uint32_t tag)
{
    struct live_result *entry = arena_calloc(&hub->turn, 1, sizeof *entry);
    struct origin *told;
    if (!entry)
        return ERR_NOMEM;
    entry->origin = is_relayed(peer, origin) ? origin : peer->session.origin;
    entry->result = (struct group_result){.oseq = oseq, .code = RESULT_DISCARDED};
    enum err e = live_result_grow(hub, entry, tag);
    if (e ==
        ERR_OK) /* it is told with its mark after the commit, when nothing can be read any more */
        e = origin_get(hub, entry->origin, &told);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    entry->next = hub->results_head;
    hub->results_head = entry;
    if (!hub->results_tail)
        hub->results_tail = entry;
    return ERR_OK;
}

static enum err give_up_one(struct hub *hub, const struct dot *dot)
{
    struct receipt receipt;
    enum err e = receipt_find(hub, dot->origin, dot->oseq, &receipt);
    if (e != ERR_OK || receipt.code != RESULT_PARKED || receipt.tag != dot->tag)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    e = receipt_change(hub, dot->origin, dot->oseq, RESULT_DISCARDED);
    return e == ERR_OK ? forget_parked(hub, dot) : e;
}

/* A group that was renumbered is given up under each of its dots: one of them is set aside, and others may
 * wait for any. */
static enum err give_up(struct hub *hub, const struct dot *dot)
{
    const struct dot *selves;
    uint32_t count;
    enum err e = renamed_selves(hub, dot, &selves, &count);
    for (uint32_t i = 0; e == ERR_OK && i < count; i++)
        e = give_up_one(hub, &selves[i]);
    for (uint32_t i = 0; e == ERR_OK && i < count; i++)
        e = decide_waiting(hub, &selves[i]);
    return e;
}

enum err handle_discard(struct hub *hub, struct peer *peer, const struct message_discard *message)
{
    if (peer->session.state != PEER_OPEN || message->oseq == 0)
        return ERR_PROTOCOL;
    if (hub->relay)
        return relay_discard(hub, peer, message);
    struct origin *origin;
    enum err e = origin_get(hub, message->origin, &origin);
    bool others = e == ERR_OK && !uuid_equal(&origin->device, &peer->session.device) &&
                  !(is_relayed(peer, message->origin) && follow_find(peer, message->origin));
    struct receipt receipt;
    if (e == ERR_OK && !others)
        e = receipt_find(hub, message->origin, message->oseq, &receipt);
    if (e == ERR_NOT_FOUND || others) /* a restored headquarters: nothing is here to be given up */
        return tell_discarded(hub, peer, message->origin, message->oseq, 0);
    if (e != ERR_OK)
        return e;
    if (message->origin == peer->session.origin && message->oseq <= peer->session.stated)
        peer->session.stated = message->oseq - 1;
    if (peer->session.pull == PULL_CATCHING_UP && message->origin == peer->session.origin &&
        message->oseq <= peer->session.floor) {
        peer->session.floor = message->oseq - 1; /* told with the checkpoint, from a new snapshot */
        peer->session.fresh_subscription = true;
    }
    if (receipt.code == RESULT_PARKED)
        e = give_up(hub, &(struct dot){message->origin, message->oseq, receipt.tag});
    return e == ERR_OK ? tell_discarded(hub, peer, message->origin, message->oseq, receipt.tag) : e;
}
