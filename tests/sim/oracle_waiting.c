/* oracle_waiting.c - all is quiet: what is still shown as on its way. An own group that is not decided waits at
 * headquarters; one of others waits there as well, or nobody has it any more (its author was erased, the branch
 * that had it lost its disk).
 *
 * A group is known by its tag, which it keeps when it is renumbered. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/group.h"
#include "tests/sim/oracle.h"

enum { RECEIPT_ITEM = 22 /* tag BE4, code, reason, hash 16 */, PENDING_HEAD_SIZE = 17 };
enum { FLAG_WHOLE = 1, FLAG_DECIDED = 2 };

struct tags {
    uint32_t *items;
    uint32_t count, capacity;
};

static void add_tag(struct tags *tags, uint32_t tag)
{
    if (tags->count == tags->capacity) {
        tags->capacity = tags->capacity ? tags->capacity * 2 : 256;
        tags->items = realloc(tags->items, tags->capacity * sizeof *tags->items);
        if (!tags->items)
            abort();
    }
    tags->items[tags->count++] = tag;
}

static int by_tag(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void sort_tags(struct tags *tags)
{
    if (tags->count)
        qsort(tags->items, tags->count, sizeof *tags->items, by_tag);
}

static bool has_tag(const struct tags *tags, uint32_t tag)
{
    return tags->count && bsearch(&tag, tags->items, tags->count, sizeof tag, by_tag);
}

typedef void entry_fn(void *context, struct bytes key, struct bytes value);

static void each(struct node *node, const char *sql, entry_fn *fn, void *context)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(store_sqlite_handle(node->store), sql, -1, &row, NULL) != SQLITE_OK) {
        broken(node->world, "store is whole", "%s: %s", node->name, sql);
        return;
    }
    while (sqlite3_step(row) == SQLITE_ROW)
        fn(context, bytes_of(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0)),
           bytes_of(sqlite3_column_blob(row, 1), (size_t)sqlite3_column_bytes(row, 1)));
    sqlite3_finalize(row);
}

static bool peek(struct bytes value, size_t head, struct group *ret)
{
    return value.size > head &&
           group_peek(bytes_of(value.data + head, value.size - head), ret) == ERR_OK;
}

static void add_waiting(void *context, struct bytes key, struct bytes value)
{
    struct group group;
    (void)key;
    if (peek(value, 80, &group))
        add_tag(context, group.dot.tag);
}

static void add_receipts(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    for (size_t at = 8; at + RECEIPT_ITEM <= value.size; at += RECEIPT_ITEM)
        add_tag(context, be32_get(value.data + at));
}

static void add_outbox(void *context, struct bytes key, struct bytes value)
{
    struct group group;
    (void)key;
    if (peek(value, 0, &group))
        add_tag(context, group.dot.tag);
}

static void add_whole(void *context, struct bytes key, struct bytes value)
{
    struct group group;
    (void)key;
    if (value.size && (value.data[0] & FLAG_WHOLE) && peek(value, PENDING_HEAD_SIZE, &group))
        add_tag(context, group.dot.tag);
}

struct looking {
    struct node *node;
    const struct tags *waiting, *known;
    uint64_t origin, own; /* of the node; its groups that wait */
};

static void look_at_own(void *context, struct bytes key, struct bytes value)
{
    struct looking *looking = context;
    struct group group;
    looking->own += be64_get(key.data) == looking->origin && peek(value, 0, &group) &&
                    has_tag(looking->waiting, group.dot.tag);
}

static void look_at_pending(void *context, struct bytes key, struct bytes value)
{
    struct looking *looking = context;
    struct world *world = looking->node->world;
    struct group group;
    (void)key;
    if (world->failed || value.size == 0 || (value.data[0] & FLAG_DECIDED) ||
        !peek(value, PENDING_HEAD_SIZE, &group) || has_tag(looking->waiting, group.dot.tag))
        return;
    if (!has_tag(looking->known, group.dot.tag)) {
        world->cover[COVER_PENDING_LOST]++;
        return;
    }
    broken(world, "liveness",
           "%s still has group %016llx/%llu of others, which does not wait at headquarters",
           looking->node->name, (unsigned long long)group.dot.origin,
           (unsigned long long)group.dot.oseq);
}

static void look_at(struct node *node, const struct tags *waiting, const struct tags *known)
{
    struct replica_status status;
    replica_status(node->replica, &status);
    struct looking looking = {
        .node = node, .waiting = waiting, .known = known, .origin = status.origin};
    each(node, "SELECT k,v FROM satchel_outbox", look_at_own, &looking);
    if (status.outbox_count > looking.own)
        broken(node->world, "liveness",
               "%s still has %llu groups to send, and %llu of its groups wait at headquarters",
               node->name, (unsigned long long)status.outbox_count,
               (unsigned long long)looking.own);
    each(node, "SELECT k,v FROM satchel_pending", look_at_pending, &looking);
}

void oracle_waiting(struct world *world)
{
    struct tags waiting = {0}, known = {0};
    each(&world->nodes[0], "SELECT k,v FROM satchel_waiting", add_waiting, &waiting);
    each(&world->nodes[0], "SELECT k,v FROM satchel_receipt", add_receipts, &known);
    for (uint32_t i = 1; i < world->node_count; i++) {
        struct node *node = &world->nodes[i];
        if (node->erased)
            continue;
        each(node, "SELECT k,v FROM satchel_outbox", add_outbox, &known);
        if (node->serves)
            each(node, "SELECT k,v FROM satchel_pending", add_whole, &known);
    }
    sort_tags(&waiting);
    sort_tags(&known);
    for (uint32_t i = 1; i < world->node_count && !world->failed; i++)
        if (!world->nodes[i].erased)
            look_at(&world->nodes[i], &waiting, &known);
    free(waiting.items);
    free(known.items);
}
