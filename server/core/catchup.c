/* catchup.c - a subscriber that is behind: pages from one held snapshot, then a checkpoint.
 *
 * Model:      a catch-up reads everything after the subscriber's positions from one read snapshot, bucket
 *             by bucket in order of position; its last message is the CHECKPOINT with that snapshot's
 *             heads, digests, own mark and results. As the whole of it is one cut, no half of a
 *             group can show, and a fast writer cannot keep it from finishing. When the heads are still
 *             the current ones, the subscriber is live; otherwise another round follows.
 * Bounds:     readers_max snapshots at a time (others wait); a snapshot without progress for
 *             reader_timeout_us is given up, and the catch-up goes on from where it was.
 * Source:     SPEC.md 8, 11; DESIGN.md 7. */
#include "server/core/hub_internal.h"
#include "server/core/relay.h"

#include <stdlib.h>
#include <string.h>

enum { RESULTS_MAX = 10000, PAGE_ARENA_MAX = 64 << 20 };

/* ---- snapshots ---- */

static enum err reader_take(struct hub *hub, struct store **ret)
{
    *ret = NULL;
    if (hub->reader_count) {
        *ret = hub->readers[--hub->reader_count];
        return ERR_OK;
    }
    if (hub->readers_open >= hub->limits.readers_max)
        return ERR_OK; /* wait for one */
    enum err e = store_reader(hub->store, ret);
    if (e == ERR_OK)
        hub->readers_open++;
    return e;
}

static void reader_give(struct hub *hub, struct store *reader)
{
    store_rollback(reader);
    hub->readers[hub->reader_count++] = reader;
    for (struct peer *peer = hub->peers; peer; peer = peer->next)
        if (peer->session.pull == PULL_CATCHING_UP && (!peer->catch_up || !peer->catch_up->reader))
            peer_want_write(peer);
}

void catch_up_free(struct hub *hub, struct peer *peer)
{
    struct catch_up *c = peer->catch_up;
    if (!c)
        return;
    peer->catch_up = NULL;
    if (c->reader)
        reader_give(hub, c->reader);
    arena_done(&c->arena);
    arena_done(&c->rows);
    comparison_free(c->comparison);
    free(c);
}

bool catch_up_ready(struct hub *hub, struct peer *peer)
{
    if (peer->session.pull != PULL_CATCHING_UP || peer->page_credit <= 0)
        return false;
    return (peer->catch_up && peer->catch_up->reader) || hub->reader_count ||
           hub->readers_open < hub->limits.readers_max;
}

/* ---- subscribing ---- */

/* Frames of an earlier subscription are of no use to the new one. */
static void drop_feed(struct peer *peer)
{
    struct queued_frame **link = &peer->out_head, *last = NULL;
    while (*link) {
        struct queued_frame *node = *link;
        if (frame_is_feed(node->frame)) {
            *link = node->next;
            peer->out_bytes -= node->frame->size;
            frame_release(node->frame);
            free(node);
        } else {
            last = node;
            link = &node->next;
        }
    }
    peer->out_tail = last;
}

/* What is missing there is not in the log any more. The WELCOME of the next session says so, and the subscriber
 * asks for everything (SPEC.md 13.3). */
static enum err tell_floor(struct hub *hub, struct peer *peer)
{
    peer_fail(hub, peer, ERR_CLOSED, "too much has been purged since; connect again");
    return ERR_OK;
}

enum err handle_subscribe(struct hub *hub, struct peer *peer,
                          const struct message_subscribe *message)
{
    if (peer->session.state != PEER_OPEN || message->credit > (uint64_t)64 << 20 ||
        message->reconcile > RECONCILE_RANGES)
        return ERR_PROTOCOL;
    peer->session.compare = message->reconcile == RECONCILE_RANGES;
    if (peer->session.compare && ++peer->session.comparisons > COMPARISONS_MAX)
        return ERR_PROTOCOL;
    catch_up_free(hub, peer);
    drop_feed(peer);
    peer->position_count = 0;
    for (uint32_t i = 0; i < message->cursors_count && message->reconcile != RECONCILE_ALL; i++) {
        const struct bucket *bucket = bucket_by_number(hub, message->cursors[i].bucket);
        if (!bucket || !audience_has(&peer->audience, bucket->number))
            continue; /* it will hear of the buckets that it may see, and of no others */
        if (message->cursors[i].position > bucket->head && !hub->relay)
            return ERR_PROTOCOL; /* at a branch that is behind it only waits */
        if (message->cursors[i].position > 0 && message->cursors[i].position < bucket->floor)
            return tell_floor(hub, peer);
        enum err e = peer_set_position(peer, bucket->number, message->cursors[i].position);
        if (e != ERR_OK)
            return e;
    }
    /* after a restore nothing that it was told before counts, whatever it stated before it knew */
    if (message->reconcile == RECONCILE_ALL)
        peer->session.stated = 0;
    /* what was told with the feed that it drops now is told again */
    peer->session.floor = peer->session.stated;
    peer->session.told = 0;
    peer->page_credit = (int64_t)message->credit;
    peer->session.pull = PULL_CATCHING_UP;
    hub->stats.catch_ups++;
    peer_want_write(peer);
    return seen_note(hub, peer);
}

/* ---- starting on a snapshot ---- */

struct head_search {
    struct peer *peer;
    struct catch_up *c;
    uint32_t capacity;
};

static enum err add_head(struct head_search *search, const struct bucket_digest *head)
{
    struct catch_up *c = search->c;
    if (!audience_has(&search->peer->audience, head->bucket))
        return ERR_OK;
    struct bucket_digest *heads =
        arena_extend(&c->arena, c->heads, c->head_count, &search->capacity, sizeof *heads);
    if (!heads)
        return ERR_NOMEM;
    c->heads = heads;
    c->heads[c->head_count++] = *head;
    return ERR_OK;
}

static int collect_head(void *context, struct bytes key, struct bytes value)
{
    struct head_search *search = context;
    struct bucket bucket;
    if (key.size != 4 || bucket_decode(value, &bucket) != ERR_OK)
        return ERR_CORRUPT;
    struct bucket_digest head = {be32_get(key.data), bucket.head, bucket.count, {0}};
    memcpy(head.sum, bucket.sum.byte, 16);
    return (int)add_head(search, &head);
}

/* A branch's: position BE8, staged BE8, count BE8, sum 16. */
static int collect_cursor(void *context, struct bytes key, struct bytes value)
{
    if (key.size != 4 || value.size != 40)
        return ERR_CORRUPT;
    struct bucket_digest head = {
        be32_get(key.data), be64_get(value.data), be64_get(value.data + 16), {0}};
    memcpy(head.sum, value.data + 24, 16);
    return (int)add_head(context, &head);
}

static enum err mark_from(struct store *store, uint64_t origin, struct arena *arena,
                          struct mark *ret)
{
    struct uuid device, user;
    enum err e = mark_get(store, origin, arena, ret, &device, &user);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* One that goes on from where an earlier snapshot was may have been passed by the floor. */
struct floor_check {
    const struct peer *peer;
    bool below;
};

static int check_floor(void *context, struct bytes key, struct bytes value)
{
    struct floor_check *check = context;
    if (key.size != 4 || value.size != 8)
        return ERR_CORRUPT;
    uint64_t at = peer_position(check->peer, be32_get(key.data));
    check->below |= at > 0 && at < be64_get(value.data);
    return 0;
}

static enum err start(struct hub *hub, struct peer *peer)
{
    struct catch_up *c = peer->catch_up;
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c)
            return ERR_NOMEM;
        arena_init(&c->arena, PAGE_ARENA_MAX);
        arena_init(&c->rows, PAGE_ARENA_MAX);
        peer->catch_up = c;
    }
    struct store *reader;
    enum err e = reader_take(hub, &reader);
    if (e != ERR_OK || !reader)
        return e;
    e = store_begin(reader, STORE_READ);
    if (e != ERR_OK) {
        hub->readers[hub->reader_count++] = reader;
        return e;
    }
    c->reader = reader;
    c->progress_us = hub->now.mono.us;
    deadline_lower(hub, hub->now.mono.us + hub->limits.reader_timeout_us);
    struct head_search search = {.peer = peer, .c = c};
    e = store_side_scan(reader, hub->relay ? SIDE_CURSOR : SIDE_BUCKET, bytes_of(NULL, 0),
                        bytes_of(NULL, 0), hub->relay ? collect_cursor : collect_head, &search);
    if (e == ERR_OK)
        e = hub->relay ? relay_mark_from(reader, peer->session.origin, &c->arena, &c->own)
                       : mark_from(reader, peer->session.origin, &c->arena, &c->own);
    peer->session.fresh_subscription = false;
    struct floor_check check = {.peer = peer};
    if (e == ERR_OK)
        e = store_side_scan(reader, SIDE_FLOOR, bytes_of(NULL, 0), bytes_of(NULL, 0), check_floor,
                            &check);
    return e == ERR_OK && check.below ? tell_floor(hub, peer) : e;
}

/* ---- the checkpoint ---- */

struct result_list {
    struct store *store;
    struct arena *arena;
    uint64_t origin, after, last;
    struct group_result *items;
    uint32_t count, capacity;
    bool grows; /* else it ends when it is full */
    bool tells; /* whose groups they are: tags */
    uint8_t *tags;
    uint32_t tag_capacity; /* of the last result */
};

static enum err parked_detail(struct result_list *list, uint64_t oseq, struct bytes *ret)
{
    uint8_t key[KEY_ORIGIN_SIZE];
    key_origin(list->origin, oseq, key);
    struct bytes value;
    enum err e =
        store_side_get(list->store, SIDE_PARKED, bytes_of(key, sizeof key), list->arena, &value);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (value.size >= 2 && value.size >= 2u + value.data[1])
        *ret = bytes_of(value.data + 2, value.data[1]);
    return ERR_OK;
}

static enum err add_tag(struct result_list *list, const uint8_t tag[RESULT_TAG_SIZE])
{
    struct group_result *last = &list->items[list->count - 1];
    uint32_t before = (uint32_t)last->count - 1;
    if (!list->tells)
        return ERR_OK;
    if (before == 0) {
        list->tags = NULL;
        list->tag_capacity = 0;
    }
    uint8_t *tags =
        arena_extend(list->arena, list->tags, before, &list->tag_capacity, RESULT_TAG_SIZE);
    if (!tags)
        return ERR_NOMEM;
    list->tags = tags;
    memcpy(tags + (size_t)before * RESULT_TAG_SIZE, tag, RESULT_TAG_SIZE);
    last->tags = bytes_of(tags, (size_t)(before + 1) * RESULT_TAG_SIZE);
    return ERR_OK;
}

static int add_result(struct result_list *list, uint64_t oseq, uint8_t code, uint8_t reason)
{
    struct group_result *last = list->count ? &list->items[list->count - 1] : NULL;
    if (last && last->code == code && last->reason == reason && code != RESULT_PARKED &&
        last->oseq + last->count == oseq && last->count < RESULT_TAGS_MAX) {
        last->count++;
    } else {
        if (list->count == list->capacity && !list->grows)
            return STORE_STOP;
        list->items = arena_extend(list->arena, list->items, list->count, &list->capacity,
                                   sizeof *list->items);
        if (!list->items)
            return ERR_NOMEM;
        struct group_result *item = &list->items[list->count];
        *item = (struct group_result){.oseq = oseq, .count = 1, .code = code, .reason = reason};
        enum err e = code == RESULT_PARKED ? parked_detail(list, oseq, &item->detail) : ERR_OK;
        if (e != ERR_OK)
            return (int)e;
        list->count++;
    }
    list->last = oseq;
    return 0;
}

static int collect_results(void *context, struct bytes key, struct bytes value)
{
    enum { SIZE = 22 };
    struct result_list *list = context;
    if (key.size != KEY_ORIGIN_SIZE || value.size < 8 || (value.size - 8) % SIZE)
        return ERR_CORRUPT;
    uint64_t first = be64_get(value.data);
    for (size_t i = 0; i < (value.size - 8) / SIZE; i++) {
        if (first + i <= list->after)
            continue;
        const uint8_t *receipt = value.data + 8 + i * SIZE;
        int stop = add_result(list, first + i, receipt[4], receipt[5]);
        if (stop == 0)
            stop = (int)add_tag(list, receipt);
        if (stop)
            return stop;
    }
    return 0;
}

static enum err own_results(struct peer *peer, struct result_list *list)
{
    struct catch_up *c = peer->catch_up;
    uint8_t from[KEY_ORIGIN_SIZE], to[KEY_ORIGIN_SIZE];
    uint64_t after =
        peer->session.told > peer->session.floor ? peer->session.told : peer->session.floor;
    *list = (struct result_list){.store = c->reader,
                                 .arena = &c->arena,
                                 .origin = peer->session.origin,
                                 .after = after,
                                 .last = after,
                                 .capacity = RESULTS_MAX};
    list->items = arena_calloc(&c->arena, list->capacity, sizeof *list->items);
    if (!list->items)
        return ERR_NOMEM;
    key_origin(list->origin, list->after + 1, from);
    key_origin(list->origin, UINT64_MAX, to);
    return store_side_scan(c->reader, SIDE_RECEIPT, bytes_of(from, sizeof from),
                           bytes_of(to, sizeof to), collect_results, list);
}

/* At a branch: those that it has been told of. */
static enum err relay_own_results(struct peer *peer, struct result_list *list)
{
    struct catch_up *c = peer->catch_up;
    const struct group_result *items;
    uint32_t count;
    enum err e = relay_results_from(c->reader, peer->session.origin, peer->session.floor, &c->arena,
                                    &items, &count);
    if (count > RESULTS_MAX)
        return ERR_LIMIT;
    *list = (struct result_list){.grows = true, .count = count, .last = UINT64_MAX};
    list->items = (struct group_result *)(uintptr_t)items;
    for (uint32_t i = 0; i < count; i++) /* the author knows its own */
        list->items[i].tags = bytes_of(NULL, 0);
    return e;
}

enum err origin_results(struct store *store, uint64_t origin, uint64_t after, struct arena *arena,
                        struct mark *ret_mark, const struct group_result **ret, uint32_t *ret_count)
{
    uint8_t from[KEY_ORIGIN_SIZE], to[KEY_ORIGIN_SIZE];
    struct result_list list = {.store = store,
                               .arena = arena,
                               .origin = origin,
                               .after = after,
                               .grows = true,
                               .tells = true};
    enum err e = mark_from(store, origin, arena, ret_mark);
    key_origin(origin, after + 1, from);
    key_origin(origin, UINT64_MAX, to);
    if (e == ERR_OK)
        e = store_side_scan(store, SIDE_RECEIPT, bytes_of(from, sizeof from),
                            bytes_of(to, sizeof to), collect_results, &list);
    *ret = list.items;
    *ret_count = list.count;
    return e;
}

static bool at_head(struct hub *hub, const struct peer *peer)
{
    for (uint32_t i = 0; i < hub->bucket_count; i++)
        if (audience_has(&peer->audience, hub->buckets[i]->number) &&
            peer_position(peer, hub->buckets[i]->number) < hub->buckets[i]->head)
            return false;
    return true;
}

/* The mark without what is beyond the last result told: the rest comes with the next checkpoint. */
static enum err mark_clip(struct catch_up *c, uint64_t last)
{
    struct oseq_range *ranges = arena_calloc(&c->arena, c->own.range_count, sizeof *ranges);
    if (!ranges)
        return ERR_NOMEM;
    uint32_t count = 0;
    for (; count < c->own.range_count && c->own.ranges[count].from <= last; count++) {
        ranges[count] = c->own.ranges[count];
        if (ranges[count].to > last)
            ranges[count].to = last;
    }
    c->own.ranges = ranges;
    c->own.range_count = count;
    if (c->own.upto > last)
        c->own.upto = last;
    return ERR_OK;
}

static bool mark_is(const struct mark *mark, const struct origin *origin)
{
    return mark->upto == origin->upto && mark->range_count == origin->range_count &&
           (mark->range_count == 0 ||
            memcmp(mark->ranges, origin->ranges, mark->range_count * sizeof *mark->ranges) == 0);
}

/* Live if nothing has been decided since the snapshot that the subscriber would miss. */
static enum err go_live(struct hub *hub, struct peer *peer, const struct mark *told)
{
    if (!at_head(hub, peer))
        return ERR_OK;
    enum err e = store_begin(hub->store, STORE_READ);
    if (e != ERR_OK)
        return e;
    struct origin *origin;
    e = origin_get(hub, peer->session.origin, &origin);
    bool live = e == ERR_OK && mark_is(told, origin);
    if (live)
        e = follow_go_live(hub, peer);
    store_rollback(hub->store);
    arena_reset(&hub->turn);
    if (live && e == ERR_OK)
        peer->session.pull = PULL_LIVE;
    return e;
}

enum err catch_up_checkpoint(struct hub *hub, struct peer *peer)
{
    struct catch_up *c = peer->catch_up;
    struct result_list results;
    uint64_t archived;
    enum err e = hub->relay ? relay_own_results(peer, &results) : own_results(peer, &results);
    if (e == ERR_OK)
        e = archived_get(c->reader, peer->session.origin, &c->arena, &archived);
    if (e != ERR_OK)
        return e;
    bool all_told = results.grows || results.count < results.capacity;
    e = all_told ? ERR_OK : mark_clip(c, results.last);
    if (e != ERR_OK)
        return e;
    struct message message = {.type = MESSAGE_CHECKPOINT,
                              .as.checkpoint = {.live = c->comparison ? FEED_REPAIR : FEED_CATCH_UP,
                                                .scope = peer->session.scope,
                                                .heads = c->heads,
                                                .heads_count = c->head_count,
                                                .marks = &c->own,
                                                .marks_count = 1,
                                                .results = results.items,
                                                .results_count = results.count,
                                                .archived = archived}};
    e = follow_catch_up(hub, peer, c->reader, &c->arena, message.as.checkpoint.live);
    if (e == ERR_OK)
        e = peer_send(hub, peer, &message);
    if (e != ERR_OK)
        return e;
    peer->session.told = all_told ? 0 : results.last;
    if (all_told) {
        peer->session.floor = c->own.upto;
        if (peer->session.compare) { /* the snapshot is kept */
            peer->session.compare = false;
            return comparison_new(c->head_count, &c->comparison);
        }
        e = go_live(hub, peer, &c->own);
    }
    catch_up_free(hub, peer);
    return e;
}

enum err catch_up_next(struct hub *hub, struct peer *peer)
{
    enum err ready = relay_ready(hub);
    if (ready == ERR_BUSY)
        peer_fail(hub, peer, ready, "headquarters was restored, and this branch waits for it");
    if (ready != ERR_OK)
        return ready == ERR_BUSY ? ERR_OK : ready;
    if (peer->session.fresh_subscription && peer->catch_up && peer->catch_up->reader)
        catch_up_free(hub, peer);
    if (!peer->catch_up || !peer->catch_up->reader) {
        enum err e = start(hub, peer);
        if (e != ERR_OK || !peer->catch_up->reader || peer->session.state == PEER_CLOSING)
            return e;
    }
    struct catch_up *c = peer->catch_up;
    if (c->comparison)
        return compare_next(hub, peer);
    while (c->next < c->head_count &&
           peer_position(peer, c->heads[c->next].bucket) >= c->heads[c->next].position)
        c->next++;
    if (c->next == c->head_count)
        return catch_up_checkpoint(hub, peer);
    return peer->page_credit > 0 ? chunk_send(hub, peer) : ERR_OK;
}
