/* feed.c - what goes down to live subscribers, encoded from the commit itself.
 *
 * Model:      after a commit the changes of each bucket become pages, encoded and deflated once and shared
 *             by all its live subscribers; an author's own clean changes are told to it as OWN entries.
 *             One CHECKPOINT ends what a commit gives a subscriber: its heads, own mark and results.
 * Bounds:     a subscriber with more than live_queue_bytes waiting falls back to catching up.
 * Errors:     a failure here loses nothing: the subscriber falls back as well.
 * Source:     SPEC.md 8, 11; DESIGN.md 7. */
#include "server/core/hub_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- positions of a subscriber ---- */

static uint32_t position_slot(const struct peer *peer, uint32_t bucket)
{
    uint32_t low = 0, high = peer->position_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (peer->positions[middle].bucket < bucket)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t peer_position(const struct peer *peer, uint32_t bucket)
{
    uint32_t i = position_slot(peer, bucket);
    return i < peer->position_count && peer->positions[i].bucket == bucket
               ? peer->positions[i].position
               : 0;
}

enum err peer_set_position(struct peer *peer, uint32_t bucket, uint64_t position)
{
    uint32_t i = position_slot(peer, bucket);
    if (i < peer->position_count && peer->positions[i].bucket == bucket) {
        peer->positions[i].position = position;
        return ERR_OK;
    }
    if (peer->position_count == peer->position_capacity) {
        uint32_t capacity = peer->position_capacity ? peer->position_capacity * 2 : 4;
        struct bucket_position *grown = realloc(peer->positions, capacity * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        peer->positions = grown;
        peer->position_capacity = capacity;
    }
    memmove(peer->positions + i + 1, peer->positions + i,
            (peer->position_count - i) * sizeof *peer->positions);
    peer->positions[i] = (struct bucket_position){bucket, position};
    peer->position_count++;
    return ERR_OK;
}

/* ---- pages of one bucket for one kind of reader ---- */

struct page_list {
    struct page_list *next; /* other variants of the bucket */
    uint64_t author_peer;   /* 0: everybody else */
    struct shared_frame **frames;
    uint32_t count, capacity;
    enum err error; /* of encoding them: who comes next has to fall back as well */
};

/* Ascending: few write in one commit, and each subscriber is looked for. */
struct number_set {
    uint64_t *numbers;
    uint32_t count, capacity;
};

struct touched {
    struct touched *next;
    uint32_t bucket;
    struct live_entry **entries;
    uint32_t count, capacity;
    struct number_set authors; /* numbers of peers */
    struct page_list *variants;
};

/* What a commit gives. */
struct news {
    struct touched *all;
    struct number_set authors;   /* origins that have results */
    struct shared_frame *shared; /* the checkpoint of who sees all of it and wrote nothing */
};

static uint32_t number_slot(const struct number_set *set, uint64_t number)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set->numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool number_set_has(const struct number_set *set, uint64_t number)
{
    uint32_t i = number_slot(set, number);
    return i < set->count && set->numbers[i] == number;
}

static enum err number_set_add(struct hub *hub, struct number_set *set, uint64_t number)
{
    if (number == 0 || number_set_has(set, number))
        return ERR_OK;
    uint64_t *numbers =
        arena_extend(&hub->turn, set->numbers, set->count, &set->capacity, sizeof *numbers);
    if (!numbers)
        return ERR_NOMEM;
    uint32_t i = number_slot(set, number);
    memmove(numbers + i + 1, numbers + i, (set->count - i) * sizeof *numbers);
    numbers[i] = number;
    set->numbers = numbers;
    set->count++;
    return ERR_OK;
}

/* Whether the change can travel as its columns alone: everything else of the version follows. */
static bool as_delta(const struct live_entry *entry)
{
    const struct applied_record *applied = entry->applied;
    if (!applied->delta_simple || applied->previous_revision == 0)
        return false;
    for (uint16_t i = 0; i < applied->result.written_count; i++) {
        const struct model_unit *unit = &entry->table->units[applied->result.written[i]];
        if (unit->carries_base || unit->policy == MERGE_SET || unit->policy == MERGE_FIRST)
            return false;
    }
    return true;
}

static enum err write_delta(struct hub *hub, const struct live_entry *entry)
{
    const struct applied_record *applied = entry->applied;
    uint16_t count = applied->result.written_count;
    struct page_unit *units = arena_calloc(&hub->turn, count, sizeof *units);
    if (!units)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < count; i++) {
        const struct model_unit *unit = &entry->table->units[applied->result.written[i]];
        struct value *values = arena_calloc(&hub->turn, unit->column_count, sizeof *values);
        if (!values)
            return ERR_NOMEM;
        for (uint16_t k = 0; k < unit->column_count; k++)
            values[k] = applied->record.values[unit->columns[k]];
        units[i] = (struct page_unit){unit->index, values};
    }
    return page_write_delta(&hub->writer, entry->position, entry->table, &entry->id,
                            applied->previous_revision, applied->record.version.revision,
                            &entry->dot, entry->stamp, units, count);
}

static enum err write_entry(struct hub *hub, const struct live_entry *entry, uint64_t reader)
{
    const struct applied_record *applied = entry->applied;
    if (entry->kind == LIVE_GONE)
        return page_write_gone(&hub->writer, entry->position, entry->table, &entry->id);
    if (reader && entry->author_peer == reader)
        return page_write_own(&hub->writer, entry->position, entry->oseq, entry->mutation,
                              applied->record.version.revision);
    if (entry->kind == LIVE_CHANGE && as_delta(entry))
        return write_delta(hub, entry);
    const struct store_row row = {.values = applied->record.values,
                                  .version = entry->version,
                                  .bucket = entry->bucket,
                                  .position = entry->position,
                                  .dead = applied->record.dead};
    return page_write_row(&hub->writer, entry->position, entry->table, &entry->id, &row);
}

static enum err finish_page(struct hub *hub, struct page_list *list, uint32_t bucket, uint64_t from,
                            uint64_t to)
{
    struct message message = {.type = MESSAGE_PAGE,
                              .as.page = {.bucket = bucket, .from = from, .to = to, .live = 1}};
    enum err e = page_writer_finish(&hub->writer, &message.as.page.body);
    if (e != ERR_OK)
        return e;
    struct shared_frame **frames = arena_extend(&hub->turn, (void *)list->frames, list->count,
                                                &list->capacity, sizeof *frames);
    if (!frames)
        return ERR_NOMEM;
    list->frames = frames;
    e = frame_share(hub, &message, &list->frames[list->count]);
    if (e == ERR_OK)
        list->count++;
    return e;
}

static enum err encode_pages(struct hub *hub, const struct touched *touched, uint64_t reader,
                             struct page_list *list)
{
    page_writer_reset(&hub->writer);
    uint64_t from = touched->entries[0]->position - 1;
    uint32_t in_page = 0;
    for (uint32_t i = 0; i < touched->count; i++) {
        enum err e = write_entry(hub, touched->entries[i], reader);
        if (e != ERR_OK)
            return e;
        bool full = ++in_page >= PAGE_ENTRIES_MAX ||
                    page_writer_size(&hub->writer) >= hub->limits.page_bytes;
        if (!full && i + 1 < touched->count)
            continue;
        uint64_t to = touched->entries[i]->position;
        e = finish_page(hub, list, touched->bucket, from, to);
        if (e != ERR_OK)
            return e;
        page_writer_reset(&hub->writer);
        from = to;
        in_page = 0;
    }
    return ERR_OK;
}

static enum err pages_for(struct hub *hub, struct touched *touched, uint64_t reader,
                          struct page_list **ret)
{
    uint64_t author = number_set_has(&touched->authors, reader) ? reader : 0;
    for (struct page_list *list = touched->variants; list; list = list->next)
        if (list->author_peer == author) {
            *ret = list;
            return list->error;
        }
    struct page_list *list = arena_calloc(&hub->turn, 1, sizeof *list);
    if (!list)
        return ERR_NOMEM;
    list->author_peer = author;
    list->next = touched->variants;
    touched->variants = list; /* first: its frames are released even if encoding fails */
    list->error = encode_pages(hub, touched, author, list);
    *ret = list;
    return list->error;
}

/* ---- the commit's changes by bucket ---- */

static enum err touch(struct hub *hub, struct touched **list, struct live_entry *entry)
{
    struct touched *t = *list;
    while (t && t->bucket != entry->bucket)
        t = t->next;
    if (!t) {
        t = arena_calloc(&hub->turn, 1, sizeof *t);
        if (!t)
            return ERR_NOMEM;
        t->bucket = entry->bucket;
        t->next = *list;
        *list = t;
    }
    struct live_entry **entries =
        arena_extend(&hub->turn, (void *)t->entries, t->count, &t->capacity, sizeof *entries);
    if (!entries)
        return ERR_NOMEM;
    t->entries = entries;
    t->entries[t->count++] = entry;
    return number_set_add(hub, &t->authors, entry->author_peer);
}

/* ---- one subscriber ---- */

static enum err add_results(struct hub *hub, struct peer *peer,
                            struct message_checkpoint *checkpoint)
{
    uint32_t count = 0;
    for (const struct live_result *r = hub->results_head; r; r = r->next)
        count += !r->renamed && r->origin == peer->session.origin;
    struct group_result *results = arena_calloc(&hub->turn, count, sizeof *results);
    struct mark *mark = arena_calloc(&hub->turn, 1, sizeof *mark);
    if (!results || !mark)
        return ERR_NOMEM;
    count = 0;
    for (const struct live_result *r = hub->results_head; r; r = r->next)
        if (!r->renamed && r->origin == peer->session.origin)
            results[count++] = r->result;
    struct origin *origin;
    enum err e = origin_get(hub, peer->session.origin, &origin);
    if (e == ERR_OK)
        e = own_mark(hub, origin, mark);
    if (e != ERR_OK)
        return e;
    checkpoint->results = results;
    checkpoint->results_count = count;
    checkpoint->marks = mark;
    checkpoint->marks_count = 1;
    return ERR_OK;
}

static enum err send_checkpoint(struct hub *hub, struct peer *peer, struct news *news,
                                bool sees_all)
{
    const struct touched *all = news->all;
    bool own = number_set_has(&news->authors, peer->session.origin);
    if (sees_all && !own && news->shared)
        return peer_queue(hub, peer, news->shared);
    uint32_t count = 0;
    for (const struct touched *t = all; t; t = t->next)
        count += audience_has(&peer->audience, t->bucket);
    struct bucket_digest *heads = arena_calloc(&hub->turn, count, sizeof *heads);
    if (!heads)
        return ERR_NOMEM;
    count = 0;
    for (const struct touched *t = all; t; t = t->next) {
        if (!audience_has(&peer->audience, t->bucket))
            continue;
        const struct bucket *bucket = bucket_by_number(hub, t->bucket);
        heads[count] = (struct bucket_digest){bucket->number, bucket->head, bucket->count, {0}};
        memcpy(heads[count++].sum, bucket->sum.byte, 16);
    }
    struct message message = {
        .type = MESSAGE_CHECKPOINT,
        .as.checkpoint = {
            .live = 1, .scope = peer->session.scope, .heads = heads, .heads_count = count}};
    enum err e = own ? add_results(hub, peer, &message.as.checkpoint) : ERR_OK;
    struct shared_frame *frame;
    if (e == ERR_OK)
        e = frame_share(hub, &message, &frame);
    if (e != ERR_OK)
        return e;
    e = peer_queue(hub, peer, frame);
    if (e == ERR_OK && own)
        peer->session.floor = message.as.checkpoint.marks[0].upto;
    if (sees_all && !own)
        news->shared = frame; /* kept for the others */
    else
        frame_release(frame);
    return e;
}

static enum err feed_peer(struct hub *hub, struct peer *peer, struct news *news)
{
    struct touched *all = news->all;
    bool sees_all = true, sees_any = false, fates = false;
    for (struct touched *t = all; t; t = t->next) {
        if (!audience_has(&peer->audience, t->bucket)) {
            sees_all = false;
            continue;
        }
        sees_any = true;
        struct page_list *pages;
        enum err e = pages_for(hub, t, peer->number, &pages);
        for (uint32_t i = 0; e == ERR_OK && i < pages->count; i++)
            e = peer_queue(hub, peer, pages->frames[i]);
        if (e != ERR_OK)
            return e;
        hub->stats.rows_sent += t->count;
    }
    enum err e = follow_live(hub, peer, &fates);
    bool own = number_set_has(&news->authors, peer->session.origin);
    if (e != ERR_OK || (!sees_any && !fates && !own))
        return e;
    e = send_checkpoint(hub, peer, news, sees_all && sees_any);
    for (const struct touched *t = all; e == ERR_OK && t; t = t->next)
        if (audience_has(&peer->audience, t->bucket))
            e = peer_set_position(peer, t->bucket, bucket_by_number(hub, t->bucket)->head);
    return e;
}

void feed_fall_back(struct hub *hub, struct peer *peer)
{
    hub->stats.fallbacks++;
    follows_untold(peer);
    peer->session.pull = PULL_CATCHING_UP;
    peer->session.fresh_subscription = true;
    peer_want_write(peer);
}

/* A subscriber who has not taken what earlier commits gave gets no more of it. */
static bool is_slow(const struct hub *hub, const struct peer *peer)
{
    return peer->out_bytes > hub->limits.live_queue_bytes;
}

void feed_publish(struct hub *hub)
{
    if (!hub->live_head && !hub->results_head)
        return;
    struct news news = {0};
    enum err e = ERR_OK;
    for (struct live_entry *entry = hub->live_head; e == ERR_OK && entry; entry = entry->next)
        e = touch(hub, &news.all, entry);
    for (struct live_result *r = hub->results_head; e == ERR_OK && r; r = r->next)
        e = r->renamed ? ERR_OK : number_set_add(hub, &news.authors, r->origin);
    for (struct peer *peer = hub->peers; peer; peer = peer->next) {
        if (peer->session.pull != PULL_LIVE || peer->session.state != PEER_OPEN)
            continue;
        /* whose rights could not be looked at gets nothing before they are */
        if (e != ERR_OK || hub->scope_due || is_slow(hub, peer) ||
            feed_peer(hub, peer, &news) != ERR_OK)
            feed_fall_back(hub, peer);
    }
    frame_release(news.shared);
    for (struct touched *t = news.all; t; t = t->next)
        for (struct page_list *list = t->variants; list; list = list->next)
            for (uint32_t i = 0; i < list->count; i++)
                frame_release(list->frames[i]);
}
