/* replica_checkpoint.c - pages are kept until their checkpoint, which is installed in one transaction.
 * Source: SPEC.md 10; DESIGN.md 3, 7. */
#include "client/core/replica_compare.h"
#include "client/core/replica_kept.h"
#include "client/core/replica_log.h"
#include "protocol/mark.h"

#include <stdlib.h>
#include <string.h>

/* ---- pages ---- */

enum err hold_page(struct held_page **head, struct held_page **tail, size_t *bytes,
                   const struct message_page *page)
{
    if (*bytes + page->body.size > REPLICA_HELD_MAX)
        return ERR_TOO_LARGE;
    struct held_page *held = malloc(sizeof *held + page->body.size);
    if (!held)
        return ERR_NOMEM;
    held->next = NULL;
    held->bucket = (uint32_t)page->bucket;
    held->from = page->from;
    held->to = page->to;
    held->size = page->body.size;
    memcpy(held->body, page->body.data, page->body.size);
    if (*tail)
        (*tail)->next = held;
    else
        *head = held;
    *tail = held;
    *bytes += page->body.size;
    return ERR_OK;
}

void replica_drop_live(struct replica *r)
{
    drop_pages(&r->live, &r->live_tail, &r->live_bytes);
    drop_pages(&r->caught, &r->caught_tail, &r->caught_bytes);
    fates_drop(r, UINT64_MAX);
}

static enum err stage_put(struct replica *r, uint32_t bucket, struct bytes body, uint64_t to)
{
    uint8_t key[8], head[4];
    struct cursor *cursor = cursor_get(r, bucket);
    if (!cursor)
        return ERR_NOMEM;
    cursor->staged = to;
    cursor->dirty = true;
    be64_put(key, r->stage_next);
    be32_put(head, bucket);
    buf_reset(&r->scratch);
    buf_append(&r->scratch, head, 4);
    buf_append(&r->scratch, body.data, body.size);
    if (r->scratch.error != ERR_OK)
        return r->scratch.error;
    r->stage_next++;
    return store_side_put(r->store, SIDE_STAGE, bytes_of(key, 8), buf_view(&r->scratch));
}

/* A long catch-up goes to disk, so that a cut does not lose it. If the power goes with it, it comes again. */
static enum err stage_page(struct replica *r, const struct message_page *page)
{
    enum err e = replica_enter(r, STORE_WRITE_LATER);
    if (e != ERR_OK)
        return e;
    for (struct held_page *held = r->caught; e == ERR_OK && held; held = held->next)
        e = stage_put(r, held->bucket, bytes_of(held->body, held->size), held->to);
    if (e == ERR_OK)
        e = stage_put(r, (uint32_t)page->bucket, page->body, page->to);
    if (e == ERR_OK)
        e = cursors_save(r);
    e = replica_leave(r, e);
    if (e != ERR_OK)
        return e;
    drop_pages(&r->caught, &r->caught_tail, &r->caught_bytes);
    return ERR_OK;
}

/* The first sync: straight into the tables, shown with the first checkpoint, which makes them durable. */
static enum err direct_page(struct replica *r, const struct message_page *page)
{
    struct install in;
    install_init(&in, r);
    in.direct = true;
    enum err e = replica_enter(r, STORE_WRITE_LATER);
    if (e != ERR_OK) {
        install_done(&in);
        return e;
    }
    e = store_conceal(r->store);
    if (e == ERR_OK)
        e = install_body(&in, (uint32_t)page->bucket, page->body);
    struct cursor *cursor = cursor_get(r, (uint32_t)page->bucket);
    if (e == ERR_OK && !cursor)
        e = ERR_NOMEM;
    if (e == ERR_OK) {
        cursor->staged = page->to;
        cursor->dirty = true;
        e = cursors_save(r);
    }
    for (struct touched *t = in.first; e == ERR_OK && t; t = t->next)
        e = base_save(r, t->table, &t->id, &t->base); /* shown with the checkpoint */
    e = replica_leave(r, e);
    install_done(&in);
    return e;
}

enum err replica_page(struct replica *r, const struct message_page *page)
{
    if (page->live == FEED_REPAIR)
        return replica_compare_page(r, page);
    if (page->live)
        return hold_page(&r->live, &r->live_tail, &r->live_bytes, page);
    if (!r->bootstrapped && !r->reconcile)
        return direct_page(r, page);
    if (r->stage_next > 0 || r->caught_bytes + page->body.size > REPLICA_STAGE_FROM)
        return stage_page(r, page);
    return hold_page(&r->caught, &r->caught_tail, &r->caught_bytes, page);
}

/* ---- own groups that are decided now ---- */

static const struct group_result *result_of(const struct install *in, uint64_t oseq)
{
    for (uint32_t i = 0; i < in->checkpoint->results_count; i++) {
        const struct group_result *result = &in->checkpoint->results[i];
        if (oseq >= result->oseq && oseq - result->oseq < result->count)
            return result;
    }
    return NULL;
}

/* The row of an insert that waited goes if it was set aside or is forgotten, unless a confirmed record stands in its
 * place, be it that very insert; and if it took effect in a bucket that is out of scope, as nothing of it comes
 * back then: a row that came has a position, and live an own entry. */
static enum err insert_decided(struct install *in, const struct mutation *mutation,
                               const struct dot *dot, bool in_effect)
{
    uint8_t key[18];
    install_key(mutation->table, &mutation->id, key);
    if (in_effect && hash_map_get(&in->own, bytes_of(key, sizeof key)))
        return ERR_OK;
    struct store_row row;
    struct version_head head;
    arena_reset(&in->entry);
    enum err e = store_row_get(in->r->store, mutation->table, &mutation->id, &in->entry, &row);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (version_peek(row.version, &head) != ERR_OK)
        return ERR_CORRUPT;
    bool stays = row.position > 0 || (!in_effect && !dot_equal(&head.insert, dot));
    return stays ? ERR_OK : store_row_delete(in->r->store, mutation->table, &mutation->id);
}

enum err install_leave(struct install *in, const struct group *group, bool in_effect)
{
    for (uint32_t m = 0; m < group->mutation_count; m++) {
        const struct mutation *mutation = &group->mutations[m];
        struct touched *t;
        enum err e = install_base(in, mutation->table, &mutation->id, &t);
        if (e != ERR_OK)
            return e;
        if (t) {
            base_remove_pending(&t->base, &group->dot);
        } else if (mutation->op == MUTATION_INSERT) {
            e = insert_decided(in, mutation, &group->dot, in_effect);
            if (e != ERR_OK)
                return e;
        }
    }
    return ERR_OK;
}

static enum err cover_group(struct install *in, uint64_t oseq)
{
    struct replica *r = in->r;
    struct group *group;
    enum err e = outbox_group(r, r->origin, oseq, &group);
    if (e != ERR_OK)
        return e;
    const struct group_result *result = result_of(in, oseq);
    bool in_effect = !result || result->code == RESULT_APPLIED || result->code == RESULT_MERGED;
    e = install_leave(in, group, in_effect);
    if (e != ERR_OK)
        return e;
    r->outbox_count--;
    if (in_effect) {
        r->sent_count++;
        return ERR_OK;
    }
    return parked_put(r, oseq, result, in->wall_ms, &in->entry);
}

/* The own groups that the new mark covers and the old one did not. */
static enum err newly_covered(struct install *in, const struct mark *mark, uint64_t **ret,
                              uint32_t *ret_count)
{
    struct replica *r = in->r;
    uint64_t from = r->mark.upto + 1, count = 0;
    uint64_t *oseqs =
        arena_alloc(&in->arena, (size_t)(r->last_oseq - r->mark.upto + 1) * sizeof *oseqs);
    if (!oseqs)
        return ERR_NOMEM;
    for (uint64_t oseq = from; oseq <= r->last_oseq; oseq++)
        if (mark_covers(mark, oseq) && !mark_has(&r->mark, oseq))
            oseqs[count++] = oseq;
    *ret = oseqs;
    *ret_count = (uint32_t)count;
    return ERR_OK;
}

static const struct mark *own_mark_of(const struct replica *r, const struct message_checkpoint *c)
{
    for (uint32_t i = 0; i < c->marks_count; i++)
        if (c->marks[i].origin == r->origin)
            return &c->marks[i];
    return NULL;
}

bool replica_mark_beyond(const struct replica *r, const struct message_checkpoint *checkpoint)
{
    const struct mark *mark = own_mark_of(r, checkpoint);
    return mark &&
           (mark->range_count ? mark->ranges[mark->range_count - 1].to : mark->upto) > r->last_oseq;
}

uint64_t replica_mark_unproven(const struct replica *r, const struct message_checkpoint *checkpoint,
                               uint64_t acknowledged)
{
    const struct mark *mark = own_mark_of(r, checkpoint);
    uint64_t from = acknowledged > r->mark.upto ? acknowledged : r->mark.upto;
    for (uint64_t oseq = r->last_oseq; mark && oseq > from; oseq--)
        if (mark_covers(mark, oseq) && !mark_has(&r->mark, oseq))
            return oseq;
    return 0;
}

static enum err take_marks(struct install *in)
{
    struct replica *r = in->r;
    const struct message_checkpoint *c = in->checkpoint;
    for (uint32_t i = 0; i < c->marks_count; i++) {
        const struct mark *mark = &c->marks[i];
        if (mark->origin != r->origin)
            continue;
        uint64_t *oseqs;
        uint32_t count;
        enum err e = newly_covered(in, mark, &oseqs, &count);
        for (uint32_t k = 0; e == ERR_OK && k < count; k++) {
            e = cover_group(in, oseqs[k]);
            if (e ==
                ERR_NOT_FOUND) { /* discarded here meanwhile, or before headquarters was restored */
                const struct group_result *result = result_of(in, oseqs[k]);
                e = result && result->code == RESULT_PARKED ? discard_again(r, oseqs[k]) : ERR_OK;
            }
        }
        if (e == ERR_OK)
            e = mark_combine(r, mark, false);
        if (e == ERR_OK)
            e = mark_save(r);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

/* ---- the end of a checkpoint ---- */

static enum err note_attention(struct install *in, const struct touched *t, enum err why)
{
    uint8_t key[18];
    install_key(t->table, &t->id, key);
    in->r->attention_count++;
    log_write(in->r->config.log, LOG_LEVEL_WARNING,
              "a record could not be shown with the changes "
              "that wait: %s",
              err_text(why));
    return store_side_put(in->r->store, SIDE_ATTENTION, bytes_of(key, sizeof key),
                          bytes_of_text(err_name(why)));
}

static enum err show_touched(struct install *in)
{
    for (struct touched *t = in->first; t; t = t->next) {
        arena_reset(&in->entry);
        enum err e = base_show(in->r, t->table, &t->id, &t->base, &in->entry);
        if (e == ERR_LIMIT || e == ERR_MODEL)
            e = note_attention(in, t, e); /* the rest goes on */
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

struct unseen {
    struct install *in;
    const struct model_table *table;
    struct store_ids list;
};

static int collect_unseen(void *context, const struct uuid *id)
{
    struct unseen *unseen = context;
    uint8_t key[18];
    install_key(unseen->table, id, key);
    if (hash_map_get(&unseen->in->seen, bytes_of(key, sizeof key)))
        return 0;
    return store_ids_add(&unseen->list, id);
}

/* After everything arrived anew: what did not arrive is not there. */
static enum err drop_unseen(struct install *in)
{
    struct replica *r = in->r;
    for (uint16_t i = 0; i < r->model->table_count; i++) {
        struct unseen unseen = {
            .in = in, .table = &r->model->tables[i], .list = {.arena = &in->arena}};
        enum err e = store_row_scan(r->store, unseen.table, NULL, collect_unseen, &unseen);
        if (e == ERR_OK)
            e = store_dead_scan(r->store, unseen.table, NULL, collect_unseen, &unseen);
        for (uint32_t k = 0; e == ERR_OK && k < unseen.list.count; k++) {
            struct touched *t;
            struct store_row row;
            const struct uuid *id = &unseen.list.ids[k];
            arena_reset(&in->entry);
            e = install_base(in, unseen.table, id, &t);
            if (e == ERR_OK)
                e = install_confirmed(in, unseen.table, id, t, &row);
            if (e == ERR_OK)
                e = kept_note(in, unseen.table, id, t, &row);
            if (e == ERR_OK)
                e = log_vanished(in, unseen.table, id, &row);
            if (t && (e == ERR_OK || e == ERR_NOT_FOUND)) {
                t->base.present = false;
                e = ERR_OK;
            } else if (e == ERR_OK) {
                e = store_row_delete(r->store, unseen.table, id);
            } else if (e == ERR_NOT_FOUND) {
                e = ERR_OK; /* an own insert that waits */
            }
        }
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static enum err take_heads(struct install *in)
{
    struct replica *r = in->r;
    bool differs = false;
    for (uint32_t i = 0; i < in->checkpoint->heads_count; i++) {
        const struct bucket_digest *head = &in->checkpoint->heads[i];
        struct cursor *cursor = cursor_get(r, head->bucket);
        if (!cursor)
            return ERR_NOMEM;
        if (head->position < cursor->position && !in->reconcile && !in->repair)
            continue; /* a branch that is behind what is here */
        cursor->position = cursor->staged = head->position;
        cursor->dirty = true;
        cursor->differs =
            cursor->count != head->count || memcmp(cursor->sum.byte, head->sum, 16) != 0;
        if (!cursor->differs)
            continue;
        differs = true;
        log_write(
            r->config.log, LOG_LEVEL_WARNING,
            "bucket %u differs from headquarters at position %llu (%llu records here, %llu there)",
            head->bucket, (unsigned long long)head->position, (unsigned long long)cursor->count,
            (unsigned long long)head->count);
    }
    /* what ranges did not mend is read anew, and that until it agrees */
    if (in->reconcile || in->repair) {
        r->reconcile = differs;
        r->differs = false;
    } else if (!in->checkpoint->live && replica_compare_state(r) == COMPARE_SUBSCRIBED) {
        r->differs = differs; /* the cursors have been counted anew */
    } else {
        r->differs |= differs;
    }
    return ERR_OK;
}

struct archive {
    struct replica *r;
    uint64_t upto;
    uint64_t *oseqs;
    uint32_t count, capacity;
};

static int collect_archived(void *context, struct bytes key, struct bytes value)
{
    struct archive *list = context;
    (void)value;
    uint64_t oseq = be64_get(key.data + 8);
    if (oseq > list->upto || list->count == list->capacity)
        return STORE_STOP;
    if (mark_has(&list->r->mark, oseq))
        list->oseqs[list->count++] = oseq;
    return 0;
}

/* Groups that a verified backup contains are forgotten, some thousands at a time. */
static enum err forget_archived(struct install *in, uint64_t upto)
{
    struct replica *r = in->r;
    enum err e = ERR_OK;
    if (upto > r->discards_archived)
        e = discards_forget(r, upto, &in->arena);
    r->discards_archived = upto;
    if (upto == 0 || r->sent_count == 0 || e != ERR_OK)
        return e;
    struct archive list = {.r = r, .upto = upto, .capacity = 10000};
    list.oseqs = arena_calloc(&in->arena, list.capacity, sizeof *list.oseqs);
    if (!list.oseqs)
        return ERR_NOMEM;
    uint8_t from[REPLICA_KEY], to[REPLICA_KEY];
    own_key(r->origin, 0, from);
    own_key(r->origin, UINT64_MAX, to);
    e = store_side_scan(r->store, SIDE_OUTBOX, bytes_of(from, sizeof from), bytes_of(to, sizeof to),
                        collect_archived, &list);
    for (uint32_t i = 0; e == ERR_OK && i < list.count; i++) {
        own_key(r->origin, list.oseqs[i], from);
        e = store_side_delete(r->store, SIDE_OUTBOX, bytes_of(from, sizeof from));
        r->sent_count--;
    }
    return e;
}

static int install_staged(void *context, struct bytes key, struct bytes value)
{
    struct install *in = context;
    (void)key;
    if (value.size < 4)
        return ERR_CORRUPT;
    return (int)install_body(in, be32_get(value.data), bytes_of(value.data + 4, value.size - 4));
}

enum err clear_stage(struct replica *r)
{
    enum err e = ERR_OK;
    for (uint64_t i = 0; e == ERR_OK && i < r->stage_next; i++) {
        uint8_t key[8];
        be64_put(key, i);
        e = store_side_delete(r->store, SIDE_STAGE, bytes_of(key, 8));
    }
    r->stage_next = 0;
    return e;
}

static enum err install_rows(struct install *in)
{
    struct replica *r = in->r;
    enum err e = ERR_OK;
    if (in->repair)
        return compare_install(in);
    if (in->checkpoint->live) {
        for (struct held_page *p = r->live; e == ERR_OK && p; p = p->next)
            e = install_body(in, p->bucket, bytes_of(p->body, p->size));
        return e;
    }
    if (in->reconcile)
        for (uint32_t i = 0; i < r->cursor_count; i++) {
            in->log_stays |= r->cursors[i].position > 0; /* else it was of a lost history */
            r->cursors[i].count = 0;
            memset(r->cursors[i].sum.byte, 0, 16);
            r->cursors[i].dirty = true;
        }
    if (r->stage_next)
        e = store_side_scan(r->store, SIDE_STAGE, bytes_of(NULL, 0), bytes_of(NULL, 0),
                            install_staged, in);
    for (struct held_page *p = r->caught; e == ERR_OK && p; p = p->next)
        e = install_body(in, p->bucket, bytes_of(p->body, p->size));
    if (e == ERR_OK && in->reconcile)
        e = drop_unseen(in);
    if (e == ERR_OK && in->reconcile)
        e = log_departures(in);
    return e == ERR_OK ? clear_stage(r) : e;
}

static enum err install_all(struct install *in)
{
    struct replica *r = in->r;
    enum err e = install_rows(in);
    if (e == ERR_OK)
        e = take_marks(in);
    if (e == ERR_OK)
        e = install_fates(in);
    if (e == ERR_OK)
        e = show_touched(in);
    if (e == ERR_OK)
        e = take_heads(in);
    if (e == ERR_OK)
        e = forget_archived(in, in->checkpoint->archived);
    if (e == ERR_OK)
        e = kept_forget(in);
    if (e == ERR_OK)
        e = cursors_save(r);
    if (e == ERR_OK)
        e = store_reveal(r->store);
    r->bootstrapped = true;
    r->last_checkpoint_ms = in->wall_ms;
    return e == ERR_OK ? replica_save(r) : e;
}

/* What went to disk of a catch-up and does not fit comes again: else it would be in the way of each session. */
static enum err forget_stage(struct replica *r)
{
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    for (uint32_t i = 0; i < r->cursor_count; i++) {
        r->cursors[i].staged = 0;
        r->cursors[i].dirty = true;
    }
    e = clear_stage(r);
    return replica_leave(r, e == ERR_OK ? cursors_save(r) : e);
}

enum err replica_checkpoint(struct replica *r, const struct message_checkpoint *checkpoint,
                            int64_t wall_ms, bool *ret_gap)
{
    struct install in;
    *ret_gap = false;
    if (checkpoint->live == FEED_REPAIR && replica_compare_state(r) != COMPARE_ROWS)
        return ERR_PROTOCOL;
    install_init(&in, r);
    in.checkpoint = checkpoint;
    in.wall_ms = wall_ms;
    in.reconcile = r->reconcile && !checkpoint->live;
    in.repair = checkpoint->live == FEED_REPAIR;
    enum err e = replica_enter(r, STORE_WRITE);
    if (e == ERR_OK) {
        e = install_all(&in);
        e = replica_leave(r, e);
    }
    if (!checkpoint->live && r->stage_next > 0 && (in.gap || err_class(e) == ERR_CLASS_PEER)) {
        enum err forgotten = forget_stage(r);
        e = forgotten == ERR_OK ? e : forgotten;
    }
    if (e == ERR_OK && !checkpoint->live)
        compare_checkpoint(r);
    if (in.repair)
        replica_compare_drop(r);
    if (in.gap) {
        *ret_gap = true;
        e = ERR_OK;
    }
    if (e == ERR_OK && !in.gap && r->config.installed)
        r->config.installed(r->config.context, checkpoint);
    fates_drop(r, checkpoint->live);
    /* live pages before a catch-up's checkpoint are of a commit that it contains */
    drop_pages(&r->live, &r->live_tail, &r->live_bytes);
    if (!checkpoint->live || e != ERR_OK)
        drop_pages(&r->caught, &r->caught_tail, &r->caught_bytes);
    cache_drop(r);
    install_done(&in);
    return e;
}
