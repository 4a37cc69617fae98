/* follow.c - others' origins in a session: a branch pushes for its devices (RELAY), and is told what became of
 * their groups; a device is told of those whose pending groups it holds (FOLLOW, FATES).
 *
 * Model:      a peer's list of followed origins, each with the floor up to which their fates are known there.
 *             Fates go out before the checkpoint that has what they decided. Results are for branches alone:
 *             a device learns that a colleague's group was decided, not how.
 * Memory:     the list is the connection's; what a turn that fails has added to it goes. Telling a fate twice does
 *             no harm: the floors of what may not have been told are lowered.
 * Source:     SPEC.md 12. */
#include "server/core/hub_internal.h"
#include "server/core/relay.h"

#include <stdlib.h>
#include <string.h>

enum { FATE_RESULTS_MAX = 10000 };

/* ---- the list ---- */

static uint32_t slot_of(const struct peer *peer, uint64_t origin)
{
    uint32_t low = 0, high = peer->follow_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (peer->follows[middle].origin < origin)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct follow *follow_find(const struct peer *peer, uint64_t origin)
{
    uint32_t i = slot_of(peer, origin);
    return i < peer->follow_count && peer->follows[i].origin == origin ? &peer->follows[i] : NULL;
}

enum err follow_add(struct hub *hub, struct peer *peer, uint64_t origin, uint64_t floor,
                    bool *ret_new)
{
    *ret_new = false;
    if (origin == 0 || origin == peer->session.origin || follow_find(peer, origin))
        return ERR_OK;
    if (peer->follow_count >= FOLLOWS_MAX)
        return ERR_LIMIT;
    if (peer->follow_count == peer->follow_capacity) {
        uint32_t capacity = peer->follow_capacity ? peer->follow_capacity * 2 : 8;
        struct follow *grown = realloc(peer->follows, capacity * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        peer->follows = grown;
        peer->follow_capacity = capacity;
    }
    uint32_t i = slot_of(peer, origin);
    memmove(peer->follows + i + 1, peer->follows + i,
            (peer->follow_count - i) * sizeof *peer->follows);
    peer->follows[i] = (struct follow){.origin = origin,
                                       .floor = floor,
                                       .before = floor,
                                       .turn = hub->in_turn ? hub->stats.commits + 1 : 0};
    if (peer->follow_count++ == 0)
        hub->followers++;
    *ret_new = true;
    return ERR_OK;
}

void follow_told(struct follow *follow, uint64_t upto)
{
    if (upto <= follow->floor)
        return;
    follow->before = follow->floor;
    follow->floor = upto;
}

void follows_untold(struct peer *peer)
{
    for (uint32_t i = 0; i < peer->follow_count; i++)
        peer->follows[i].floor = peer->follows[i].before;
}

void follows_undo(struct hub *hub, struct peer *peer)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < peer->follow_count; i++) {
        peer->follows[i].told = false; /* the turn may have */
        if (peer->follows[i].turn != hub->stats.commits + 1)
            peer->follows[kept++] = peer->follows[i];
    }
    if (peer->follow_count && kept == 0)
        hub->followers--;
    peer->follow_count = kept;
}

void follows_drop(struct hub *hub, struct peer *peer)
{
    if (peer->follow_count)
        hub->followers--;
    peer->follow_count = 0;
}

/* ---- fates ---- */

/* Groups of an origin that are decided under another number. */
struct renamed_list {
    struct arena *arena;
    struct range_count *items; /* oseq, tag */
    uint32_t count, capacity;
};

static enum err renamed_add(struct renamed_list *list, uint64_t oseq, uint32_t tag)
{
    enum { MOST = 10000 };
    if (list->count == MOST)
        return ERR_OK; /* the others stay shown as pending */
    struct range_count *items =
        arena_extend(list->arena, list->items, list->count, &list->capacity, sizeof *items);
    if (!items)
        return ERR_NOMEM;
    list->items = items;
    items[list->count++] = (struct range_count){oseq, tag};
    return ERR_OK;
}

static int collect_renamed(void *context, struct bytes key, struct bytes value)
{
    (void)value;
    return key.size == KEY_ORIGIN_SIZE + 4
               ? (int)renamed_add(context, be64_get(key.data + 8), be32_get(key.data + 16))
               : ERR_CORRUPT;
}

static enum err renamed_from(struct store *store, uint64_t origin, struct renamed_list *list)
{
    uint8_t from[KEY_ORIGIN_SIZE + 4] = {0}, to[KEY_ORIGIN_SIZE + 4];
    memset(to, 0xff, sizeof to);
    be64_put(from, origin);
    be64_put(to, origin);
    return store_side_scan(store, SIDE_RENAMED, bytes_of(from, sizeof from),
                           bytes_of(to, sizeof to), collect_renamed, list);
}

/* As many results as a message takes. */
static uint32_t part_of(const struct group_result *results, uint32_t count)
{
    uint32_t part = 0;
    size_t tags = 0;
    while (part < count && part < FATE_RESULTS_MAX) {
        tags += results[part].tags.size;
        if (part > 0 && tags > (size_t)RESULT_TAGS_MAX * RESULT_TAG_SIZE)
            break;
        part++;
    }
    return part;
}

/* In as many messages as the results need. */
static enum err send_fates(struct hub *hub, struct peer *peer, uint64_t live,
                           const struct mark *mark, const struct group_result *results,
                           uint32_t count, uint64_t archived, const struct renamed_list *renamed)
{
    uint32_t done = 0;
    if (!peer->audience.branch)
        count = 0;
    do {
        uint32_t part = part_of(results + done, count - done);
        struct message m = {.type = MESSAGE_FATES,
                            .as.fates = {.live = live,
                                         .marks = mark,
                                         .marks_count = 1,
                                         .results = results + done,
                                         .results_count = part,
                                         .archived = archived,
                                         .renamed = done ? NULL : renamed->items,
                                         .renamed_count = done ? 0 : renamed->count}};
        enum err e = peer_send(hub, peer, &m);
        if (e != ERR_OK)
            return e;
        done += part;
    } while (done < count);
    return ERR_OK;
}

/* What a store knows of an origin, above the floor. */
static enum err fates_from(struct hub *hub, struct peer *peer, struct store *store,
                           struct follow *follow, struct arena *arena, uint64_t live)
{
    struct mark mark;
    const struct group_result *results;
    uint32_t count;
    uint64_t archived;
    enum err e = hub->relay ? relay_origin_results(store, follow->origin, follow->floor, arena,
                                                   &mark, &results, &count)
                            : origin_results(store, follow->origin, follow->floor, arena, &mark,
                                             &results, &count);
    struct renamed_list renamed = {.arena = arena};
    if (e == ERR_OK)
        e = archived_get(store, follow->origin, arena, &archived);
    if (e == ERR_OK)
        e = renamed_from(store, follow->origin, &renamed);
    if (e != ERR_OK)
        return e;
    follow->told = true;
    if (mark.upto <= follow->floor && mark.range_count == 0 && archived == 0 && renamed.count == 0)
        return ERR_OK;
    e = send_fates(hub, peer, live, &mark, results, count, archived, &renamed);
    if (e == ERR_OK)
        follow_told(follow, mark.upto);
    return e;
}

enum err follow_catch_up(struct hub *hub, struct peer *peer, struct store *reader,
                         struct arena *arena, uint64_t live)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < peer->follow_count; i++)
        e = fates_from(hub, peer, reader, &peer->follows[i], arena, live);
    return e;
}

enum err follow_note_renamed(struct hub *hub, const struct dot *had)
{
    if (dot_is_none(had) || hub->followers == 0)
        return ERR_OK;
    struct live_result *entry = arena_calloc(&hub->turn, 1, sizeof *entry);
    if (!entry)
        return ERR_NOMEM;
    *entry =
        (struct live_result){.origin = had->origin, .result = {.oseq = had->oseq}, .renamed = true};
    enum err e = live_result_grow(hub, entry, had->tag);
    if (e != ERR_OK)
        return e;
    if (hub->results_tail)
        hub->results_tail->next = entry;
    else
        hub->results_head = entry;
    hub->results_tail = entry;
    return ERR_OK;
}

enum err live_result_grow(struct hub *hub, struct live_result *entry, uint32_t tag)
{
    uint32_t count = (uint32_t)entry->result.count;
    uint32_t *tags =
        arena_extend(&hub->turn, entry->tags, count, &entry->tag_capacity, sizeof *tags);
    if (!tags)
        return ERR_NOMEM;
    entry->tags = tags;
    tags[count] = tag;
    entry->result.count++;
    return ERR_OK;
}

static enum err tags_pack(struct hub *hub, const struct live_result *r, struct bytes *ret)
{
    size_t size = (size_t)r->result.count * RESULT_TAG_SIZE;
    uint8_t *tags = arena_alloc(&hub->turn, size);
    if (!tags)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < r->result.count; i++)
        be32_put(tags + (size_t)i * RESULT_TAG_SIZE, r->tags[i]);
    *ret = bytes_of(tags, size);
    return ERR_OK;
}

/* The results of the turn that are of one origin. */
static enum err results_of(struct hub *hub, uint64_t origin, const struct group_result **ret,
                           uint32_t *ret_count, struct renamed_list *renamed)
{
    uint32_t count = 0;
    enum err e = ERR_OK;
    for (const struct live_result *r = hub->results_head; e == ERR_OK && r; r = r->next) {
        count += !r->renamed && r->origin == origin;
        if (r->renamed && r->origin == origin)
            e = renamed_add(renamed, r->result.oseq, r->tags[0]);
    }
    if (e != ERR_OK)
        return e;
    struct group_result *results = arena_calloc(&hub->turn, count + 1u, sizeof *results);
    if (!results)
        return ERR_NOMEM;
    count = 0;
    for (const struct live_result *r = hub->results_head; e == ERR_OK && r; r = r->next) {
        if (r->renamed || r->origin != origin)
            continue;
        results[count] = r->result;
        e = tags_pack(hub, r, &results[count++].tags);
    }
    *ret = results;
    *ret_count = count;
    return e;
}

static uint64_t results_above(const struct group_result *results, uint32_t count, uint64_t floor)
{
    uint64_t above = 0;
    for (uint32_t i = 0; i < count; i++)
        above += results[i].oseq > floor ? results[i].count : 0;
    return above;
}

bool follow_lacks(const struct peer *peer, const struct follow *follow, const struct mark *mark,
                  const struct group_result *results, uint32_t count)
{
    return peer->audience.branch && mark->upto > follow->floor &&
           results_above(results, count, follow->floor) < mark->upto - follow->floor;
}

enum err follow_tell(struct hub *hub, struct peer *peer, struct follow *follow)
{
    enum err e = store_begin(hub->store, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = fates_from(hub, peer, hub->store, follow, &hub->turn, FEED_LIVE);
    store_rollback(hub->store);
    return e;
}

/* Of an origin that the turn has decided something of, or whose groups it decided under another number: in
 * memory is it in the first case alone. */
static enum err send_live(struct hub *hub, struct peer *peer, struct follow *follow)
{
    struct renamed_list renamed = {.arena = &hub->turn};
    struct mark mark = {.origin = follow->origin, .upto = follow->floor};
    const struct group_result *results = NULL;
    uint32_t count = 0;
    struct origin *origin;
    enum err e = results_of(hub, follow->origin, &results, &count, &renamed);
    if (e == ERR_OK && count > 0)
        e = origin_get(hub, follow->origin, &origin);
    if (e == ERR_OK && count > 0)
        e = own_mark(hub, origin, &mark);
    if (e == ERR_OK && follow_lacks(peer, follow, &mark, results, count))
        return follow_tell(hub, peer, follow); /* something was decided before this turn, too */
    if (e == ERR_OK)
        e = send_fates(hub, peer, FEED_LIVE, &mark, results, count, 0, &renamed);
    if (e == ERR_OK)
        follow_told(follow, mark.upto);
    return e;
}

enum err follow_live(struct hub *hub, struct peer *peer, bool *ret_any)
{
    *ret_any = false;
    if (peer->follow_count == 0)
        return ERR_OK;
    uint64_t told = 0;
    for (const struct live_result *r = hub->results_head; r; r = r->next) {
        struct follow *follow = r->origin == told ? NULL : follow_find(peer, r->origin);
        bool earlier = false;
        for (const struct live_result *p = hub->results_head; follow && p != r; p = p->next)
            earlier |= p->origin == r->origin;
        if (!follow || earlier)
            continue;
        told = r->origin;
        enum err e = send_live(hub, peer, follow);
        if (e != ERR_OK)
            return e;
        *ret_any = true;
    }
    return ERR_OK;
}

/* ---- messages ---- */

/* A live peer hears at once of an origin that it begins to follow: the next checkpoint may be far. */
static enum err tell_now(struct hub *hub, struct peer *peer, struct follow *follow)
{
    if (!follow || follow->told || peer->session.pull != PULL_LIVE)
        return ERR_OK;
    enum err e = fates_from(hub, peer, hub->store, follow, &hub->turn, FEED_LIVE);
    struct message m = {.type = MESSAGE_CHECKPOINT,
                        .as.checkpoint = {.live = FEED_LIVE, .scope = peer->session.scope}};
    return e == ERR_OK ? peer_send(hub, peer, &m) : e;
}

static enum err mark_now(struct hub *hub, uint64_t id, struct mark *ret)
{
    struct origin *origin;
    if (hub->relay)
        return relay_mark_from(hub->store, id, &hub->turn, ret);
    *ret = (struct mark){.origin = id};
    enum err e = origin_get(hub, id, &origin);
    if (e == ERR_OK)
        ret->upto = origin->upto;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err follow_go_live(struct hub *hub, struct peer *peer)
{
    bool any = false;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < peer->follow_count; i++) {
        struct follow *follow = &peer->follows[i];
        struct mark mark;
        e = mark_now(hub, follow->origin, &mark);
        if (e != ERR_OK || mark.upto <= follow->floor)
            continue;
        any = true;
        e = fates_from(hub, peer, hub->store, follow, &hub->turn, FEED_LIVE);
    }
    struct message m = {.type = MESSAGE_CHECKPOINT,
                        .as.checkpoint = {.live = FEED_LIVE, .scope = peer->session.scope}};
    return e == ERR_OK && any ? peer_send(hub, peer, &m) : e;
}

enum err handle_follow(struct hub *hub, struct peer *peer, const struct message_follow *message)
{
    if (peer->session.state != PEER_OPEN)
        return ERR_PROTOCOL;
    for (uint32_t i = 0; i < message->origins_count; i++) {
        bool is_new;
        enum err e =
            follow_add(hub, peer, message->origins[i].origin, message->origins[i].floor, &is_new);
        if (e == ERR_OK)
            e = tell_now(hub, peer, follow_find(peer, message->origins[i].origin));
        if (e != ERR_OK)
            return e;
    }
    return hub->relay ? relay_follow(hub, peer, message) : ERR_OK;
}

enum err handle_relay(struct hub *hub, struct peer *peer, const struct message_relay *message)
{
    struct relayed *relayed = &peer->session.relayed;
    struct bytes value;
    bool is_new;
    if (peer->session.state != PEER_OPEN || !peer->audience.branch || message->origin == 0 ||
        message->origin == peer->session.origin)
        return ERR_PROTOCOL;
    *relayed = (struct relayed){.origin = message->origin,
                                .device = message->device,
                                .envelope = {message->received_ms, message->offset_ms}};
    enum err e = follow_add(hub, peer, message->origin, 0, &is_new);
    if (e != ERR_OK)
        return e;
    follow_find(peer, message->origin)->relayed = true;
    e = tell_now(hub, peer, follow_find(peer, message->origin));
    if (e != ERR_OK)
        return e;
    if (hub->relay) {
        e = relay_device(hub, &message->device, relayed->public_key, &relayed->user);
        return e == ERR_REVOKED ? ERR_OK : e; /* headquarters judges what it wrote */
    }
    e = store_side_get(hub->store, SIDE_DEVICE, bytes_of(message->device.byte, 16), &hub->turn,
                       &value);
    if (e == ERR_NOT_FOUND)
        return ERR_AUTH; /* a branch lets in only those that it knows from here */
    if (e == ERR_OK && value.size != DEVICE_VALUE_SIZE)
        e = ERR_CORRUPT;
    if (e != ERR_OK)
        return e;
    memcpy(relayed->public_key, value.data, 32);
    memcpy(relayed->user.byte, value.data + 32, 16);
    /* what reached the branch before the device was revoked counts */
    relayed->revoked = value.data[DEVICE_REVOKED_AT] &&
                       message->received_ms >= (int64_t)be64_get(value.data + DEVICE_SEEN_AT);
    return ERR_OK;
}

enum err relayed_audience(struct hub *hub, struct peer *peer, const struct audience **ret)
{
    const struct relayed *relayed = &peer->session.relayed;
    *ret = &peer->relayed_audience;
    if (peer->relayed_known && peer->relayed_revoked == relayed->revoked &&
        uuid_equal(&peer->relayed_user, &relayed->user))
        return ERR_OK;
    audience_done(&peer->relayed_audience);
    peer->relayed_known = false;
    enum err e =
        relayed->revoked ? ERR_AUTH : scope_audience(hub, &relayed->user, &peer->relayed_audience);
    if (e != ERR_OK && e != ERR_AUTH)
        return e;
    peer->relayed_known = true; /* locked out: without any right, which is judged */
    peer->relayed_user = relayed->user;
    peer->relayed_revoked = relayed->revoked;
    return ERR_OK;
}
