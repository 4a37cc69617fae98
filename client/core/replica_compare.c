/* replica_compare.c - the replica's side of a comparison by ranges; see replica_compare.h. */
#include "client/core/replica_compare.h"

#include <stdlib.h>
#include <string.h>

enum { READ_COST = 16 /* of reading a record, where passing one by costs 1 */ };

static struct compared *item_of(const struct replica_comparison *c, uint32_t bucket)
{
    uint32_t low = 0, high = c->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c->items[middle].bucket < bucket)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->count && c->items[low].bucket == bucket ? &c->items[low] : NULL;
}

static bool is_open(const struct compared *item)
{
    return item->differs && !item->done;
}

enum replica_compare replica_compare_state(const struct replica *r)
{
    return r->comparison ? r->comparison->state : COMPARE_NONE;
}

void compare_account(struct replica *r, uint32_t bucket, const struct model_table *table,
                     const struct uuid *id, const struct digest *digest, bool add)
{
    struct replica_comparison *c = r->comparison;
    struct compared *item = c ? item_of(c, bucket) : NULL;
    struct range_cell *cell =
        item ? ranges_cell(&item->ranges, range_place(c->salt, table->id, id)) : NULL;
    if (cell && add)
        range_cell_add(cell, digest);
    else if (cell)
        range_cell_subtract(cell, digest);
}

/* ---- beginning and ending ---- */

static void snapshot_close(struct replica_comparison *c)
{
    if (c->snapshot)
        store_rollback(c->snapshot);
    store_close(c->snapshot);
    c->snapshot = NULL;
}

void replica_compare_drop(struct replica *r)
{
    struct replica_comparison *c = r->comparison;
    if (!c)
        return;
    r->comparison = NULL;
    snapshot_close(c);
    for (uint32_t i = 0; i < c->count; i++) {
        ranges_done(&c->items[i].ranges);
        free(c->items[i].leaves);
    }
    drop_pages(&c->pages, &c->pages_tail, &c->page_bytes);
    arena_done(&c->row);
    free(c->mark.ranges);
    free(c->items);
    free(c);
}

/* A snapshot of the replica as it is now, to be read from the beginning. */
static enum err scan_begin(struct replica *r, enum replica_compare state)
{
    struct replica_comparison *c = r->comparison;
    const struct mark mark = {r->origin, r->mark.upto, r->mark.ranges, r->mark.count};
    enum err e = own_mark_copy(&c->mark, &mark);
    if (e == ERR_OK)
        e = store_reader(r->store, &c->snapshot);
    if (e == ERR_OK)
        e = store_begin(c->snapshot, STORE_READ);
    if (e != ERR_OK) {
        store_close(c->snapshot);
        c->snapshot = NULL;
        return e;
    }
    c->origin = r->origin;
    c->has_bases = r->outbox_count > 0;
    c->table = 0;
    c->dead = c->begun = false;
    c->state = state;
    return ERR_OK;
}

static enum err items_make(struct replica *r, struct replica_comparison *c)
{
    c->items = calloc((size_t)r->cursor_count + 1, sizeof *c->items);
    if (!c->items)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < r->cursor_count; i++) {
        struct compared *item = &c->items[i];
        const uint64_t whole = 0;
        uint32_t bits = 0;
        item->bucket = r->cursors[i].bucket;
        item->rows = ranges_plan(1, r->cursors[i].count, 1, &bits) == RANGES_ROWS;
        c->count++;
        enum err e = ranges_init(&item->ranges, 0, bits, &whole, 1);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

/* Everything is read anew instead. */
static enum err give_up(struct replica *r)
{
    replica_compare_drop(r);
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    r->reconcile = true;
    return replica_leave(r, replica_save(r));
}

enum err replica_compare_begin(struct replica *r)
{
    replica_compare_drop(r);
    struct replica_comparison *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    arena_init(&c->row, REPLICA_ARENA_MAX);
    r->comparison = c;
    enum err e = rng_u64(r->config.rng, &c->salt);
    if (e == ERR_OK)
        e = items_make(r, c);
    if (e == ERR_OK)
        e = scan_begin(r, COMPARE_SCAN);
    if (e == ERR_OK)
        return ERR_OK;
    replica_compare_drop(r);
    return e == ERR_INVALID ? give_up(r) : e; /* a store without snapshots */
}

/* ---- the scan ---- */

struct scan {
    struct replica *r;
    struct replica_comparison *c;
    const struct model_table *table;
    uint32_t cost, limit;
    bool full;
};

static bool is_wanted(const struct replica_comparison *c, uint64_t place)
{
    if (c->state == COMPARE_SCAN)
        return true;
    for (uint32_t i = 0; i < c->count; i++)
        if (is_open(&c->items[i]) && ranges_cell(&c->items[i].ranges, place))
            return true;
    return false;
}

/* The confirmed row in the snapshot. ERR_NOT_FOUND: none, or none that can be read. */
static enum err confirmed_row(struct scan *scan, const struct uuid *id, struct store_row *ret)
{
    struct replica_comparison *c = scan->c;
    struct base base;
    struct version_head head;
    arena_reset(&c->row);
    enum err e =
        c->has_bases ? base_load_from(c->snapshot, scan->table, id, &c->row, &base) : ERR_NOT_FOUND;
    if (e == ERR_OK) {
        *ret = base.row;
        return base.present ? ERR_OK : ERR_NOT_FOUND;
    }
    if (e == ERR_NOT_FOUND)
        e = store_row_get(c->snapshot, scan->table, id, &c->row, ret);
    if (e == ERR_OK && version_peek(ret->version, &head) != ERR_OK)
        e = ERR_CORRUPT;
    c->unreadable += e == ERR_CORRUPT;
    if (e != ERR_OK)
        return e == ERR_CORRUPT ? ERR_NOT_FOUND : e;
    bool pending = head.insert.origin == c->origin && !mark_has(&c->mark, head.insert.oseq);
    return pending ? ERR_NOT_FOUND : ERR_OK;
}

static int scan_id(void *context, const struct uuid *id)
{
    struct scan *scan = context;
    struct replica_comparison *c = scan->c;
    if (c->dead && c->begun && memcmp(id->byte, c->after.byte, 16) <= 0)
        return 0; /* scans of the dead begin at the first one */
    if (scan->cost >= scan->limit) {
        scan->full = true;
        return STORE_STOP;
    }
    c->after = *id;
    c->begun = true;
    uint64_t place = range_place(c->salt, scan->table->id, id);
    bool wanted = is_wanted(c, place);
    scan->cost += wanted ? READ_COST : 1;
    if (!wanted)
        return 0;
    struct store_row row;
    struct digest digest;
    enum err e = confirmed_row(scan, id, &row);
    if (e != ERR_OK)
        return (int)(e == ERR_NOT_FOUND ? ERR_OK : e);
    struct compared *item = item_of(c, row.bucket);
    struct range_cell *cell = item ? ranges_cell(&item->ranges, place) : NULL;
    if (!cell)
        return 0;
    e = digest_row(scan->r->config.crypto, scan->table, id, &row, &scan->r->scratch, &digest);
    if (e == ERR_OK)
        range_cell_add(cell, &digest);
    return (int)e;
}

static enum err scan_some(struct scan *scan)
{
    struct replica_comparison *c = scan->c;
    enum err e = ERR_OK;
    while (e == ERR_OK && !scan->full && c->table < scan->r->model->table_count) {
        scan->table = &scan->r->model->tables[c->table];
        if (c->dead)
            e = store_dead_scan(c->snapshot, scan->table, NULL, scan_id, scan);
        else
            e = store_row_scan(c->snapshot, scan->table, c->begun ? &c->after : NULL, scan_id,
                               scan);
        if (e != ERR_OK || scan->full)
            break;
        c->table = (uint16_t)(c->table + c->dead);
        c->dead = !c->dead;
        c->begun = false;
    }
    return e;
}

struct range_cell compare_total(const struct replica_comparison *c, uint32_t bucket)
{
    const struct compared *item = item_of(c, bucket);
    struct range_cell all = {0};
    for (uint32_t k = 0; item && k < item->ranges.count << item->ranges.bits; k++) {
        digest_add(&all.sum, &item->ranges.cells[k].sum);
        all.count += item->ranges.cells[k].count;
    }
    return all;
}

/* What the cursors say becomes what the rows say: a row that changed by itself shows in no cursor. */
static enum err take_sums(struct replica *r)
{
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    for (uint32_t i = 0; i < r->cursor_count; i++) {
        struct cursor *cursor = &r->cursors[i];
        if (!item_of(r->comparison, cursor->bucket))
            continue;
        const struct range_cell all = compare_total(r->comparison, cursor->bucket);
        if (all.count == cursor->count && memcmp(all.sum.byte, cursor->sum.byte, 16) == 0)
            continue;
        log_write(r->config.log, LOG_LEVEL_WARNING,
                  "the records of bucket %u on this device are not those that were saved",
                  cursor->bucket);
        cursor->count = all.count;
        cursor->sum = all.sum;
        cursor->dirty = true;
    }
    return replica_leave(r, cursors_save(r));
}

enum err replica_compare_scan(struct replica *r, uint32_t rows)
{
    struct replica_comparison *c = r->comparison;
    if (!c || !c->snapshot)
        return ERR_OK;
    struct scan scan = {.r = r, .c = c, .limit = rows * READ_COST};
    enum err e = scan_some(&scan);
    if (e != ERR_OK || scan.full)
        return e;
    snapshot_close(c);
    if (c->state == COMPARE_SCAN && !c->only_verifies)
        e = take_sums(r); /* a failure drops the comparison */
    if (e == ERR_OK)
        c->state = c->state == COMPARE_SCAN ? COMPARE_READY : COMPARE_ASK;
    return e;
}

/* ---- questions and answers ---- */

void replica_compare_subscribed(struct replica *r)
{
    r->comparison->state = COMPARE_SUBSCRIBED;
}

void compare_checkpoint(struct replica *r)
{
    struct replica_comparison *c = r->comparison;
    bool differs = false, unknown = false;
    if (!c || c->state == COMPARE_SCAN || c->state == COMPARE_READY)
        return;
    for (uint32_t i = 0; i < r->cursor_count; i++) {
        struct compared *item = item_of(c, r->cursors[i].bucket);
        if (item)
            item->differs = r->cursors[i].differs;
        unknown |= !item && r->cursors[i].differs;
        differs |= r->cursors[i].differs;
    }
    if (c->state != COMPARE_SUBSCRIBED || unknown)
        replica_compare_drop(r); /* the server has let its snapshot go, or it is of another scope */
    else
        c->state = differs ? COMPARE_ASK : COMPARE_AGREES;
}

/* Whether this question is the last of the comparison: all that is left comes with it. */
static bool is_last(const struct replica_comparison *c, const struct compared *item)
{
    for (uint32_t i = 0; i < c->count; i++) {
        const struct compared *other = &c->items[i];
        if (is_open(other) && (!other->rows || (other != item && !other->asked)))
            return false;
    }
    return true;
}

enum err replica_compare_question(struct replica *r, struct arena *arena,
                                  struct message_ranges *ret)
{
    struct replica_comparison *c = r->comparison;
    struct compared *item = NULL;
    for (uint32_t i = 0; i < c->count && !item; i++)
        if (is_open(&c->items[i]) && !c->items[i].asked)
            item = &c->items[i];
    if (!item)
        return ERR_BUG;
    const struct ranges *ranges = &item->ranges;
    struct range_name *numbers = arena_calloc(arena, ranges->count, sizeof *numbers);
    struct bytes sums;
    buf_reset(&r->scratch);
    enum err e = numbers ? ranges_sums(ranges, &r->scratch) : ERR_NOMEM;
    if (e == ERR_OK)
        e = arena_copy(arena, buf_view(&r->scratch), &sums);
    if (e != ERR_OK)
        return e;
    for (uint32_t i = 0; i < ranges->count; i++)
        numbers[i].number = ranges->numbers[i];
    *ret = (struct message_ranges){.bucket = item->bucket,
                                   .position = cursor_get(r, item->bucket)->position,
                                   .salt = c->salt,
                                   .depth = ranges->depth,
                                   .bits = ranges->bits,
                                   .numbers = numbers,
                                   .numbers_count = ranges->count,
                                   .sums = sums,
                                   .rows = item->rows,
                                   .last = is_last(c, item)};
    item->asked = true;
    item->round++;
    c->state = COMPARE_ANSWERS;
    for (uint32_t i = 0; i < c->count; i++)
        if (is_open(&c->items[i]) && !c->items[i].asked)
            c->state = COMPARE_ASK;
    return ERR_OK;
}

static bool answers(const struct compared *item, const struct message_differences *answer)
{
    const struct ranges *ranges = &item->ranges;
    if (answer->depth != ranges->depth + ranges->bits)
        return false;
    for (uint32_t i = 0; i < answer->ranges_count; i++) {
        uint64_t number = answer->ranges[i].number;
        if ((i > 0 && number <= answer->ranges[i - 1].number) ||
            !ranges_include(ranges->numbers, ranges->count, 64, number >> ranges->bits))
            return false;
    }
    return true;
}

/* The ranges that differ become those that are asked about next. */
static enum err narrow(struct replica *r, struct compared *item,
                       const struct message_differences *answer, const uint64_t *numbers)
{
    uint64_t most = 0;
    uint32_t bits = 0, depth = (uint32_t)answer->depth;
    for (uint32_t i = 0; i < answer->ranges_count; i++) {
        uint64_t place = depth ? numbers[i] << (64 - depth) : 0;
        const struct range_cell *cell = ranges_cell(&item->ranges, place);
        most = answer->ranges[i].count > most ? answer->ranges[i].count : most;
        most = cell->count > most ? cell->count : most;
    }
    enum range_step step = ranges_plan(answer->ranges_count, most, item->round + 1, &bits);
    if (step == RANGES_GIVE_UP || depth + bits > RANGES_DEPTH_MAX) {
        log_write(r->config.log, LOG_LEVEL_WARNING, "too much differs: everything is read anew");
        return give_up(r);
    }
    struct ranges next;
    enum err e = ranges_init(&next, depth, bits, numbers, answer->ranges_count);
    if (e != ERR_OK)
        return e;
    ranges_done(&item->ranges);
    item->ranges = next;
    item->rows = step == RANGES_ROWS;
    return ERR_OK;
}

static enum err take_answer(struct replica *r, struct compared *item,
                            const struct message_differences *answer)
{
    uint64_t *numbers = calloc((size_t)answer->ranges_count + 1, sizeof *numbers);
    if (!numbers)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < answer->ranges_count; i++)
        numbers[i] = answer->ranges[i].number;
    item->asked = false;
    if (item->rows) {
        item->done = true;
        item->leaves = numbers;
        item->leaf_count = answer->ranges_count;
        item->leaf_depth = (uint32_t)answer->depth;
        return ERR_OK;
    }
    enum err e = narrow(r, item, answer, numbers);
    free(numbers);
    return e;
}

enum err replica_compare_answer(struct replica *r, const struct message_differences *answer)
{
    struct replica_comparison *c = r->comparison;
    if (!c || answer->salt != c->salt)
        return ERR_OK; /* of a comparison that was given up */
    struct compared *item =
        answer->bucket <= UINT32_MAX ? item_of(c, (uint32_t)answer->bucket) : NULL;
    if (!item || !item->asked || !answers(item, answer))
        return ERR_PROTOCOL;
    if (answer->ranges_count == 0) {
        c->state = COMPARE_UNFOUNDED;
        return ERR_OK;
    }
    enum err e = take_answer(r, item, answer);
    if (e != ERR_OK || !r->comparison || c->state != COMPARE_ANSWERS)
        return e;
    bool open = false;
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->items[i].asked)
            return ERR_OK;
        open |= is_open(&c->items[i]);
    }
    if (open)
        return scan_begin(r, COMPARE_SCAN_PARTS);
    c->state = COMPARE_ROWS;
    return ERR_OK;
}

enum err replica_compare_page(struct replica *r, const struct message_page *page)
{
    struct replica_comparison *c = r->comparison;
    if (!c || c->state < COMPARE_ASK || c->state > COMPARE_ROWS)
        return ERR_OK; /* of a comparison that was given up */
    enum err e = hold_page(&c->pages, &c->pages_tail, &c->page_bytes, page);
    return e == ERR_TOO_LARGE ? give_up(r) : e;
}

/* ---- installing ---- */

static bool in_leaves(const struct compared *item, uint64_t place)
{
    return item->done && ranges_include(item->leaves, item->leaf_count, item->leaf_depth, place);
}

struct leavers {
    struct install *in;
    const struct model_table *table;
    struct store_ids list;
};

static int collect_leaver(void *context, const struct uuid *id)
{
    struct leavers *leavers = context;
    const struct replica_comparison *c = leavers->in->r->comparison;
    uint64_t place = range_place(c->salt, leavers->table->id, id);
    bool inside = false;
    uint8_t key[18];
    for (uint32_t i = 0; i < c->count && !inside; i++)
        inside = in_leaves(&c->items[i], place);
    if (!inside)
        return 0;
    install_key(leavers->table, id, key);
    if (hash_map_get(&leavers->in->seen, bytes_of(key, sizeof key)))
        return 0;
    return store_ids_add(&leavers->list, id);
}

/* In a range whose rows came whole, and not among them: headquarters does not have it there. */
static enum err drop_leaver(struct install *in, const struct model_table *table,
                            const struct uuid *id)
{
    struct replica_comparison *c = in->r->comparison;
    struct touched *t;
    struct store_row row;
    arena_reset(&in->entry);
    enum err e = install_base(in, table, id, &t);
    if (e == ERR_OK)
        e = install_confirmed(in, table, id, t, &row);
    if (e == ERR_NOT_FOUND)
        return ERR_OK; /* an own insert that waits */
    if (e == ERR_CORRUPT)
        return install_remove(in, table, id, t, NULL);
    if (e != ERR_OK)
        return e;
    const struct compared *item = item_of(c, row.bucket);
    bool leaves = item && in_leaves(item, range_place(c->salt, table->id, id));
    return leaves ? install_remove(in, table, id, t, &row) : ERR_OK;
}

enum err compare_install(struct install *in)
{
    struct replica *r = in->r;
    struct replica_comparison *c = r->comparison;
    enum err e = ERR_OK;
    uint64_t gone = 0;
    for (struct held_page *p = c->pages; e == ERR_OK && p; p = p->next)
        e = install_body(in, p->bucket, bytes_of(p->body, p->size));
    for (uint16_t i = 0; e == ERR_OK && i < r->model->table_count; i++) {
        struct leavers leavers = {
            .in = in, .table = &r->model->tables[i], .list = {.arena = &in->arena}};
        e = store_row_scan(r->store, leavers.table, NULL, collect_leaver, &leavers);
        if (e == ERR_OK)
            e = store_dead_scan(r->store, leavers.table, NULL, collect_leaver, &leavers);
        for (uint32_t k = 0; e == ERR_OK && k < leavers.list.count; k++)
            e = drop_leaver(in, leavers.table, &leavers.list.ids[k]);
        gone += leavers.list.count;
    }
    if (e == ERR_OK)
        log_write(r->config.log, LOG_LEVEL_WARNING,
                  "what differed was compared with headquarters: %llu records came, %llu were "
                  "looked at that it does not have",
                  (unsigned long long)hash_map_count(&in->seen), (unsigned long long)gone);
    return e;
}
