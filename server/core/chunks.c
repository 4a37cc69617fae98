/* chunks.c - the pages of a catch-up; those of first syncs are made once for many devices.
 *
 * Model:      a chunk is the frame of a full page that a first sync got: (from, to] of a bucket's log. It is kept for the
 *             next device, which is at the same positions if it takes the same pages.
 * Invariants: a chunk is sent only if the page that would be made now has the same bytes. A position of a log belongs to
 *             one state of one record and is never given again, a record leaves it only for a later one; so that is the
 *             case if the log has as many entries in the range as it had (in the receiver's own snapshot). What
 *             changes rows in their places (a branch's repair, a new model) drops all chunks.
 *             Chunks of a bucket do not overlap.
 * Bounds:     limits.chunk_bytes in all; who does not fit is not kept; gone after CHUNK_IDLE_US without a use.
 * Cost:       counting the entries of a page of 1,000 rows takes about a twentieth of making it (tests/bench/RESULTS.md).
 * Source:     SPEC.md 11.6; DESIGN.md 7. */
#include "server/core/hub_internal.h"
#include "server/core/relay.h"

#include <stdlib.h>
#include <string.h>

static const int64_t CHUNK_IDLE_US = 10 * 60 * (int64_t)1000000;

struct chunk {
    uint32_t bucket;
    uint64_t from, to;
    uint32_t entries,
        rows;    /* of the log in (from, to]; without departures, which a first sync does not get */
    bool sparse; /* much less than a page by now: made anew, it takes in what follows */
    struct shared_frame *frame;
    int64_t used_us;
};

/* ---- the list: by bucket, then from ---- */

/* The first that is not before (bucket, from). */
static uint32_t place_of(const struct hub *hub, uint32_t bucket, uint64_t from)
{
    uint32_t low = 0, high = hub->chunks.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct chunk *chunk = &hub->chunks.items[middle];
        if (chunk->bucket < bucket || (chunk->bucket == bucket && chunk->from < from))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct chunk *find(struct hub *hub, uint32_t bucket, uint64_t from)
{
    uint32_t at = place_of(hub, bucket, from);
    struct chunk *chunk = &hub->chunks.items[at];
    return at < hub->chunks.count && chunk->bucket == bucket && chunk->from == from ? chunk : NULL;
}

static void forget(struct hub *hub, uint32_t at, uint32_t count)
{
    struct chunk_list *list = &hub->chunks;
    for (uint32_t i = at; i < at + count; i++) {
        list->bytes -= list->items[i].frame->size;
        frame_release(list->items[i].frame);
    }
    if (count)
        memmove(&list->items[at], &list->items[at + count],
                (list->count - at - count) * sizeof *list->items);
    list->count -= count;
}

void chunks_drop(struct hub *hub)
{
    forget(hub, 0, hub->chunks.count);
    free(hub->chunks.items);
    hub->chunks = (struct chunk_list){0};
}

void chunks_expire(struct hub *hub)
{
    struct chunk_list *list = &hub->chunks;
    for (uint32_t i = list->count; i-- > 0;)
        if (list->items[i].used_us + CHUNK_IDLE_US <= hub->now.mono.us)
            forget(hub, i, 1);
    if (list->count)
        deadline_lower(hub, hub->now.mono.us + CHUNK_IDLE_US);
    else
        chunks_drop(hub);
}

static bool make_room(struct chunk_list *list)
{
    if (list->count < list->capacity)
        return true;
    uint32_t capacity = list->capacity ? 2 * list->capacity : 64;
    struct chunk *items = realloc(list->items, capacity * sizeof *items);
    if (!items)
        return false;
    list->items = items;
    list->capacity = capacity;
    return true;
}

/* In place of those that it overlaps. No memory: it is not kept. */
static void keep(struct hub *hub, const struct chunk *chunk)
{
    struct chunk_list *list = &hub->chunks;
    uint32_t at = place_of(hub, chunk->bucket, chunk->from), overlapped = 0;
    while (at + overlapped < list->count && list->items[at + overlapped].bucket == chunk->bucket &&
           list->items[at + overlapped].from < chunk->to)
        overlapped++;
    forget(hub, at, overlapped);
    if (list->bytes + chunk->frame->size > hub->limits.chunk_bytes || !make_room(list))
        return;
    memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof *list->items);
    list->items[at] = *chunk;
    list->items[at].frame->references++;
    list->count++;
    list->bytes += chunk->frame->size;
    deadline_lower(hub, hub->now.mono.us + CHUNK_IDLE_US);
}

/* ---- whether one still stands ---- */

struct entry_count {
    uint64_t to;
    uint32_t entries;
};

static int count_entry(void *context, uint64_t position, const struct model_table *table,
                       const struct uuid *id)
{
    struct entry_count *count = context;
    (void)table;
    (void)id;
    if (position > count->to)
        return STORE_STOP;
    count->entries++;
    return 0;
}

static enum err is_current(struct store *reader, const struct chunk *chunk, bool *ret)
{
    struct entry_count count = {.to = chunk->to};
    enum err e = store_log_scan(reader, chunk->bucket, chunk->from, count_entry, &count);
    if (e == ERR_OK)
        *ret = count.entries == chunk->entries;
    return e;
}

/* ---- making one ---- */

struct page_build {
    struct hub *hub;
    struct catch_up *c;
    uint32_t bucket;
    bool anew;      /* a device that had nothing of the bucket: nobody's departure is news */
    uint64_t until; /* the page ends here at the latest */
    uint32_t entries, rows;
    uint64_t last;
    bool full;
};

enum err entry_row(struct hub *hub, struct store *reader, uint32_t bucket, uint64_t position,
                   const struct model_table *table, const struct uuid *id, struct arena *arena,
                   struct store_row *ret)
{
    enum err e = hub->relay ? relay_confirmed(reader, table, id, arena, ret)
                            : store_row_get(reader, table, id, arena, ret);
    if (e == ERR_NOT_FOUND && !hub->relay)
        return move_explains(reader, bucket, position, table, id,
                             arena); /* a branch has none of its own */
    return e == ERR_OK && (ret->bucket != bucket || ret->position != position) ? ERR_NOT_FOUND : e;
}

static int add_row(void *context, uint64_t position, const struct model_table *table,
                   const struct uuid *id)
{
    struct page_build *build = context;
    struct hub *hub = build->hub;
    struct store_row row;
    if (position > build->until) {
        build->last = build->until;
        build->full = true;
        return STORE_STOP;
    }
    arena_reset(&build->c->rows);
    enum err e =
        entry_row(hub, build->c->reader, build->bucket, position, table, id, &build->c->rows, &row);
    build->last = position;
    build->entries++;
    if (e == ERR_NOT_FOUND && build->anew)
        return 0;
    struct version_head head;
    if (e == ERR_OK && version_peek(row.version, &head) != ERR_OK)
        return ERR_CORRUPT; /* kept for many, it would keep failing after the store is mended */
    if (e == ERR_OK)
        e = page_write_row(&hub->writer, position, table, id, &row);
    else if (e == ERR_NOT_FOUND)
        e = page_write_gone(&hub->writer, position, table, id);
    if (e != ERR_OK)
        return (int)e;
    build->rows++;
    if (build->rows >= hub->limits.page_rows || build->rows >= PAGE_ENTRIES_MAX ||
        page_writer_size(&hub->writer) >= hub->limits.page_bytes) {
        build->full = true;
        return STORE_STOP;
    }
    return 0;
}

static enum err queue_page(struct hub *hub, struct peer *peer, struct shared_frame *frame,
                           uint32_t rows)
{
    enum err e = peer_queue(hub, peer, frame);
    peer->page_credit -= (int64_t)frame->size;
    hub->stats.rows_sent += rows;
    return e;
}

static enum err page_frame(struct hub *hub, struct message *message, struct shared_frame **ret)
{
    enum err e = page_writer_finish(&hub->writer, &message->as.page.body);
    return e == ERR_OK ? frame_share(hub, message, ret) : e;
}

enum err catch_up_page(struct hub *hub, struct peer *peer, struct message *message, uint32_t rows)
{
    struct shared_frame *frame;
    enum err e = page_frame(hub, message, &frame);
    if (e != ERR_OK)
        return e;
    e = queue_page(hub, peer, frame, rows);
    frame_release(frame);
    return e;
}

/* until: where the chunk ends in whose place it comes, so that those that follow it still do; else UINT64_MAX. */
static enum err make_page(struct hub *hub, struct peer *peer, uint64_t from, uint64_t until,
                          uint64_t *ret_to)
{
    struct catch_up *c = peer->catch_up;
    const struct bucket_digest *head = &c->heads[c->next];
    struct page_build build = {.hub = hub,
                               .c = c,
                               .bucket = head->bucket,
                               .anew = c->anew == head->bucket,
                               .until = until,
                               .last = from};
    struct shared_frame *frame;
    page_writer_reset(&hub->writer);
    enum err e = store_log_scan(c->reader, head->bucket, from, add_row, &build);
    struct message message = {.type = MESSAGE_PAGE,
                              .as.page = {.bucket = head->bucket, .from = from}};
    message.as.page.to = build.full ? build.last : head->position;
    if (e == ERR_OK)
        e = page_frame(hub, &message, &frame);
    if (e != ERR_OK)
        return e;
    const struct chunk chunk = {
        .bucket = head->bucket,
        .from = from,
        .to = message.as.page.to,
        .entries = build.entries,
        .rows = build.rows,
        .sparse = build.rows < hub->limits.page_rows / 2 &&
                  page_writer_size(&hub->writer) < hub->limits.page_bytes / 2,
        .frame = frame,
        .used_us = hub->now.mono.us,
    };
    if (build.anew && build.full)
        keep(hub, &chunk);
    e = queue_page(hub, peer, frame, build.rows);
    frame_release(frame);
    *ret_to = message.as.page.to;
    return e;
}

enum err chunk_send(struct hub *hub, struct peer *peer)
{
    struct catch_up *c = peer->catch_up;
    const struct bucket_digest *head = &c->heads[c->next];
    uint64_t from = peer_position(peer, head->bucket), to = 0;
    if (from == 0 && !peer->audience.branch)
        c->anew = head->bucket; /* a branch passes departures on */
    struct chunk *chunk = find(hub, head->bucket, from);
    if (chunk &&
        (chunk->to > head->position || (chunk->entries != chunk->rows && c->anew != head->bucket)))
        chunk = NULL; /* made from a later snapshot; or departures have to be told */
    bool current = false;
    enum err e = chunk ? is_current(c->reader, chunk, &current) : ERR_OK;
    if (e == ERR_OK && current) {
        chunk->used_us = hub->now.mono.us;
        hub->stats.pages_shared++;
        to = chunk->to;
        e = queue_page(hub, peer, chunk->frame, chunk->rows);
    } else if (e == ERR_OK) {
        e = make_page(hub, peer, from, chunk && !chunk->sparse ? chunk->to : UINT64_MAX, &to);
    }
    c->progress_us = hub->now.mono.us;
    return e == ERR_OK ? peer_set_position(peer, head->bucket, to) : e;
}
