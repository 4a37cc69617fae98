/* compare.c - a subscriber whose digest differs finds out where, range by range.
 *
 * Model:      the snapshot of its last catch-up is kept, so that both sides look at the same state. Each
 *             question names ranges of a bucket (ranges.h) with the asker's sums of their parts; the
 *             answer names the parts that differ here, and, if asked for, their rows follow as pages.
 *             The question marked `last` is followed by the snapshot's checkpoint, which ends the
 *             comparison. A question is answered by itself: nothing is kept from one to the next.
 * Bounds:     a call reads SLICE_ROWS rows or passes SLICE_ENTRIES entries of the log; RANGES_SUMS_MAX sums
 *             are held for a question, QUESTIONS_SUMS_MAX for all that wait; a bucket is asked about
 *             RANGES_ROUNDS_MAX times in a comparison, and COMPARISONS_MAX are made in a session. The
 *             snapshot is one of the readers_max, and given up like any that makes no progress.
 * Cost:       a first question reads all records of its bucket, a later one only the log and the records
 *             in its ranges.
 * Source:     SPEC.md 9.5; DESIGN.md 7. */
#include "server/core/hub_internal.h"

#include <stdlib.h>
#include <string.h>

enum { SLICE_ROWS = 1000, SLICE_ENTRIES = 50000, QUESTIONS_SUMS_MAX = 1 << 16 };

struct question {
    struct question *next;
    uint32_t bucket;
    uint64_t salt, after; /* after: position up to which the log has been passed */
    struct ranges ranges;
    bool rows, last;
    bool answered; /* the rows are being sent */
    uint8_t *sums; /* the asker's */
    uint64_t *differing;
    uint32_t differing_count;
};

struct comparison {
    struct question *first, *end;
    uint32_t sums;    /* of the questions that wait */
    uint32_t *rounds; /* questions about each head's bucket so far */
};

static void question_free(struct question *question)
{
    if (!question)
        return;
    ranges_done(&question->ranges);
    free(question->sums);
    free(question->differing);
    free(question);
}

enum err comparison_new(uint32_t head_count, struct comparison **ret)
{
    struct comparison *comparison = calloc(1, sizeof *comparison);
    if (!comparison)
        return ERR_NOMEM;
    comparison->rounds = calloc((size_t)head_count + 1, sizeof *comparison->rounds);
    if (!comparison->rounds) {
        free(comparison);
        return ERR_NOMEM;
    }
    *ret = comparison;
    return ERR_OK;
}

void comparison_free(struct comparison *comparison)
{
    if (!comparison)
        return;
    while (comparison->first) {
        struct question *next = comparison->first->next;
        question_free(comparison->first);
        comparison->first = next;
    }
    free(comparison->rounds);
    free(comparison);
}

/* ---- questions ---- */

static enum err question_new(const struct message_ranges *m, struct question **ret)
{
    struct question *question = calloc(1, sizeof *question);
    uint64_t *numbers = calloc((size_t)m->numbers_count + 1, sizeof *numbers);
    enum err e = question && numbers ? ERR_OK : ERR_NOMEM;
    for (uint32_t i = 0; e == ERR_OK && i < m->numbers_count; i++)
        numbers[i] = m->numbers[i].number;
    if (e == ERR_OK && (m->depth > RANGES_DEPTH_MAX || m->bits > RANGES_BITS_MAX))
        e = ERR_PROTOCOL;
    if (e == ERR_OK)
        e = ranges_init(&question->ranges, (uint32_t)m->depth, (uint32_t)m->bits, numbers,
                        m->numbers_count);
    free(numbers);
    if (e == ERR_OK &&
        m->sums.size != ((size_t)question->ranges.count << m->bits) * RANGES_SUM_SIZE)
        e = ERR_PROTOCOL;
    if (e == ERR_OK && !(question->sums = malloc(m->sums.size)))
        e = ERR_NOMEM;
    if (e != ERR_OK) {
        question_free(question);
        return e;
    }
    memcpy(question->sums, m->sums.data, m->sums.size);
    question->bucket = (uint32_t)m->bucket;
    question->salt = m->salt;
    question->rows = m->rows != 0;
    question->last = m->last != 0;
    *ret = question;
    return ERR_OK;
}

enum err handle_ranges(struct hub *hub, struct peer *peer, const struct message_ranges *m)
{
    struct catch_up *c = peer->catch_up;
    if (peer->session.state != PEER_OPEN)
        return ERR_PROTOCOL;
    if (!c || !c->reader || !c->comparison)
        return ERR_OK; /* of a comparison that took too long: the subscriber hears a checkpoint */
    uint32_t i = 0;
    while (i < c->head_count && c->heads[i].bucket != m->bucket)
        i++;
    /* a bucket that it may not see is not among the heads, whether there is one or not */
    if (i == c->head_count || c->heads[i].position != m->position)
        return ERR_PROTOCOL;
    if (++c->comparison->rounds[i] > RANGES_ROUNDS_MAX)
        return ERR_LIMIT;
    struct question *question;
    enum err e = question_new(m, &question);
    if (e != ERR_OK)
        return e;
    c->comparison->sums += question->ranges.count << question->ranges.bits;
    if (c->comparison->sums > QUESTIONS_SUMS_MAX) {
        question_free(question);
        return ERR_LIMIT;
    }
    if (c->comparison->end)
        c->comparison->end->next = question;
    else
        c->comparison->first = question;
    c->comparison->end = question;
    c->progress_us = hub->now.mono.us;
    peer_want_write(peer);
    return ERR_OK;
}

static void question_done(struct comparison *comparison)
{
    struct question *question = comparison->first;
    comparison->sums -= question->ranges.count << question->ranges.bits;
    comparison->first = question->next;
    if (!comparison->first)
        comparison->end = NULL;
    question_free(question);
}

/* ---- one slice over the log ---- */

struct slice {
    struct hub *hub;
    struct catch_up *c;
    struct question *question;
    uint32_t rows, entries; /* read, passed */
    uint32_t sent;          /* rows in the page */
    bool full;
};

static bool slice_is_full(struct slice *slice)
{
    slice->full = slice->rows >= SLICE_ROWS || slice->entries >= SLICE_ENTRIES;
    slice->entries++;
    return slice->full;
}

/* ERR_NOT_FOUND: the entry says that the record has left the bucket. */
static enum err read_row(struct slice *slice, uint64_t position, const struct model_table *table,
                         const struct uuid *id, struct store_row *ret)
{
    arena_reset(&slice->c->rows);
    slice->rows++;
    return entry_row(slice->hub, slice->c->reader, slice->question->bucket, position, table, id,
                     &slice->c->rows, ret);
}

static int sum_row(void *context, uint64_t position, const struct model_table *table,
                   const struct uuid *id)
{
    struct slice *slice = context;
    struct question *question = slice->question;
    if (slice_is_full(slice))
        return STORE_STOP;
    question->after = position;
    struct range_cell *cell =
        ranges_cell(&question->ranges, range_place(question->salt, table->id, id));
    if (!cell)
        return 0;
    struct store_row row;
    struct digest digest;
    enum err e = read_row(slice, position, table, id, &row);
    if (e == ERR_NOT_FOUND)
        return 0;
    if (e == ERR_OK)
        e = digest_row(slice->hub->config.crypto, table, id, &row, &slice->hub->row_scratch,
                       &digest);
    if (e == ERR_OK)
        range_cell_add(cell, &digest);
    return (int)e;
}

static int send_row(void *context, uint64_t position, const struct model_table *table,
                    const struct uuid *id)
{
    struct slice *slice = context;
    struct question *question = slice->question;
    struct hub *hub = slice->hub;
    if (slice_is_full(slice) || slice->sent >= hub->limits.page_rows ||
        page_writer_size(&hub->writer) >= hub->limits.page_bytes) {
        slice->full = true;
        return STORE_STOP;
    }
    question->after = position;
    if (!ranges_include(question->differing, question->differing_count,
                        question->ranges.depth + question->ranges.bits,
                        range_place(question->salt, table->id, id)))
        return 0;
    struct store_row row;
    enum err e = read_row(slice, position, table, id, &row);
    if (e == ERR_NOT_FOUND)
        return 0;
    slice->sent++;
    return (int)(e == ERR_OK ? page_write_row(&hub->writer, position, table, id, &row) : e);
}

/* ---- answers ---- */

static enum err send_differences(struct hub *hub, struct peer *peer, struct question *question)
{
    const struct ranges *ranges = &question->ranges;
    size_t parts = (size_t)ranges->count << ranges->bits;
    struct range_count *list = calloc(parts, sizeof *list);
    question->differing = calloc(parts, sizeof *question->differing);
    if (!list || !question->differing) {
        free(list);
        return ERR_NOMEM;
    }
    question->differing_count =
        ranges_differing(ranges, bytes_of(question->sums, parts * RANGES_SUM_SIZE), list);
    for (uint32_t i = 0; i < question->differing_count; i++)
        question->differing[i] = list[i].number;
    const struct message message = {.type = MESSAGE_DIFFERENCES,
                                    .as.differences = {.bucket = question->bucket,
                                                       .salt = question->salt,
                                                       .depth = ranges->depth + ranges->bits,
                                                       .ranges = list,
                                                       .ranges_count = question->differing_count}};
    enum err e = peer_send(hub, peer, &message);
    free(list);
    question->answered = true;
    question->after = 0;
    return e;
}

static enum err finish(struct hub *hub, struct peer *peer)
{
    struct catch_up *c = peer->catch_up;
    bool last = c->comparison->first->last;
    question_done(c->comparison);
    return last ? catch_up_checkpoint(hub, peer) : ERR_OK;
}

static enum err sum_some(struct hub *hub, struct peer *peer, struct slice *slice)
{
    struct question *question = slice->question;
    enum err e =
        store_log_scan(slice->c->reader, question->bucket, question->after, sum_row, slice);
    return e == ERR_OK && !slice->full ? send_differences(hub, peer, question) : e;
}

static enum err send_some(struct hub *hub, struct peer *peer, struct slice *slice)
{
    struct question *question = slice->question;
    uint64_t from = question->after;
    if (!question->rows || question->differing_count == 0)
        return finish(hub, peer);
    slice->sent = 0;
    page_writer_reset(&hub->writer);
    enum err e = store_log_scan(slice->c->reader, question->bucket, from, send_row, slice);
    struct message page = {
        .type = MESSAGE_PAGE,
        .as.page = {
            .bucket = question->bucket, .from = from, .to = question->after, .live = FEED_REPAIR}};
    if (e == ERR_OK && slice->sent > 0)
        e = catch_up_page(hub, peer, &page, slice->sent);
    return e == ERR_OK && !slice->full ? finish(hub, peer) : e;
}

/* Until there is a frame to send, or the slice is full. */
enum err compare_next(struct hub *hub, struct peer *peer)
{
    struct slice slice = {.hub = hub};
    enum err e = ERR_OK;
    while (e == ERR_OK && !slice.full && !peer->out_head) {
        struct catch_up *c = peer->catch_up;
        struct question *question = c && c->comparison ? c->comparison->first : NULL;
        if (!question || (question->answered && peer->page_credit <= 0))
            return ERR_OK;
        slice.c = c;
        slice.question = question;
        c->progress_us = hub->now.mono.us;
        e = question->answered ? send_some(hub, peer, &slice) : sum_some(hub, peer, &slice);
    }
    peer_want_write(peer);
    return e;
}
