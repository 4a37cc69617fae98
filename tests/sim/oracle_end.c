/* oracle_end.c - all is quiet: replicas, digests, the audit chain, what still waits. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "tests/sim/history.h"
#include "tests/sim/oracle.h"
#include "tests/sim/photos.h"
#include "tests/sim/sight.h"

enum { BUCKETS_MOST = 128 };

struct heads {
    uint64_t scope[BUCKETS_MOST];    /* the oracle's bit of each of headquarters' buckets */
    uint8_t value[BUCKETS_MOST][32]; /* position BE8, count BE8, sum 16 */
    uint32_t count;
};

uint64_t oracle_bucket_bit(const struct ledger *l, unsigned kind, const uint8_t key[16])
{
    if (kind == 1)
        return 1;
    for (uint32_t i = 0; kind == 2 && i < l->branch_count; i++)
        if (memcmp(l->branches[i].byte, key, 16) == 0)
            return (uint64_t)1 << (1 + i);
    for (uint32_t i = 0; kind == 3 && i < l->person_count; i++)
        if (memcmp(l->people[i].id.byte, key, 16) == 0)
            return (uint64_t)1 << (BUCKET_USER + i);
    for (uint32_t i = 0; kind == 5 && i < l->team_count; i++)
        if (memcmp(l->teams[i].byte, key, 16) == 0)
            return (uint64_t)1 << (BUCKET_TEAM + i);
    return kind == 4 ? (uint64_t)1 << BUCKET_UNASSIGNED : 0;
}

static bool read_heads(struct world *world, struct heads *ret)
{
    sqlite3_stmt *row;
    memset(ret, 0, sizeof *ret);
    if (sqlite3_prepare_v2(store_sqlite_handle(world->nodes[0].store),
                           "SELECT k,v FROM satchel_bucket", -1, &row, NULL) != SQLITE_OK)
        return false;
    while (sqlite3_step(row) == SQLITE_ROW) {
        uint32_t number = be32_get(sqlite3_column_blob(row, 0));
        const uint8_t *value = sqlite3_column_blob(row, 1);
        if (number >= BUCKETS_MOST || sqlite3_column_bytes(row, 1) != 49)
            continue;
        ret->scope[number] = oracle_bucket_bit(world->ledger, value[0], value + 1);
        memcpy(ret->value[number], value + 17, 32);
        ret->count = number >= ret->count ? number + 1 : ret->count;
    }
    sqlite3_finalize(row);
    return true;
}

/* ---- replicas ---- */

static void say_row(const struct world *world, const struct row_digest *row, char out[100])
{
    char id[UUID_TEXT_SIZE];
    struct uuid uuid;
    memcpy(uuid.byte, row->id, 16);
    uuid_format(&uuid, id);
    snprintf(out, 100, "%s %s%s in bucket %u", world->model->tables[row->table].name, id,
             row->dead ? " (dead)" : "", row->bucket);
}

static void compare_rows(struct node *node, const struct row_list *all, const struct row_list *here,
                         const bool *buckets)
{
    struct world *world = node->world;
    uint32_t a = 0, b = 0;
    char text[100];
    while ((a < all->count || b < here->count) && !world->failed) {
        const struct row_digest *x = a < all->count ? &all->items[a] : NULL;
        const struct row_digest *y = b < here->count ? &here->items[b] : NULL;
        if (x && (x->bucket >= BUCKETS_MOST || !buckets[x->bucket])) {
            a++;
            continue;
        }
        int order = !x                     ? 1
                    : !y                   ? -1
                    : x->table != y->table ? (x->table < y->table ? -1 : 1)
                                           : memcmp(x->id, y->id, 16);
        if (order < 0) {
            say_row(world, x, text);
            broken(world, "replicas are equal", "%s lacks %s", node->name, text);
        } else if (order > 0) {
            say_row(world, y, text);
            broken(world, "replicas are equal", "%s has %s, which headquarters has not", node->name,
                   text);
        } else if (x->hash != y->hash || x->dead != y->dead || x->bucket != y->bucket) {
            say_row(world, y, text);
            broken(world, "replicas are equal", "%s shows another %s than headquarters", node->name,
                   text);
        }
        a += order <= 0;
        b += order >= 0;
    }
}

static void compare_digests(struct node *node, const struct heads *heads, const bool *buckets)
{
    struct world *world = node->world;
    sqlite3_stmt *row;
    bool seen[BUCKETS_MOST] = {false};
    if (sqlite3_prepare_v2(store_sqlite_handle(node->store), "SELECT k,v FROM satchel_cursor", -1,
                           &row, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(row) == SQLITE_ROW && !world->failed) {
        uint32_t number = be32_get(sqlite3_column_blob(row, 0));
        const uint8_t *value = sqlite3_column_blob(row, 1); /* position, staged, count, sum */
        if (number >= BUCKETS_MOST || !buckets[number]) {
            broken(world, "digests agree", "%s has a cursor of bucket %u, which it may not see",
                   node->name, number);
            break;
        }
        seen[number] = true;
        if (memcmp(value, heads->value[number], 8) != 0 ||
            memcmp(value + 16, heads->value[number] + 8, 24) != 0)
            broken(world, "digests agree",
                   "bucket %u of %s is at %llu with %llu records; headquarters at %llu with %llu",
                   number, node->name, (unsigned long long)be64_get(value),
                   (unsigned long long)be64_get(value + 16),
                   (unsigned long long)be64_get(heads->value[number]),
                   (unsigned long long)be64_get(heads->value[number] + 8));
    }
    sqlite3_finalize(row);
    for (uint32_t i = 0; i < heads->count && !world->failed; i++)
        if (buckets[i] && !seen[i] && be64_get(heads->value[i]))
            broken(world, "digests agree", "%s has no cursor of bucket %u", node->name, i);
}

static void compare(struct node *node, const struct heads *heads, const struct row_list *all)
{
    struct world *world = node->world;
    bool buckets[BUCKETS_MOST] = {false};
    struct row_list here;
    uint64_t scope = world->ledger->people[node->user].scope;
    for (uint32_t i = 0; i < heads->count; i++)
        buckets[i] = scope == UINT64_MAX || (scope & heads->scope[i]) != 0;
    struct replica_status status;
    replica_status(node->replica, &status);
    if (status.reconcile)
        broken(world, "digests agree", "%s wants to reconcile", node->name);
    if (status.differs)
        broken(world, "digests agree", "%s differs", node->name);
    compare_digests(node, heads, buckets);
    if (status.outbox_count > 0 || replica_pending_count(node->replica) >
                                       0) /* it shows its own that waits; oracle_fates() asks why */
        return;
    if (!rows_read(node, NULL, 0, &here))
        broken(world, "store is whole", "%s cannot be read", node->name);
    else
        compare_rows(node, all, &here, buckets);
    rows_done(&here);
}

/* ---- the audit chain: SHA-256(previous hash, text) ---- */

static void audit(struct world *world)
{
    sqlite3_stmt *row;
    uint8_t last[32] = {0}, expected[32];
    uint64_t count = 0;
    struct buf text;
    buf_init(&text, 1 << 20);
    if (sqlite3_prepare_v2(store_sqlite_handle(world->nodes[0].store),
                           "SELECT k,v FROM satchel_audit ORDER BY k", -1, &row, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(row) == SQLITE_ROW && !world->failed) {
        const uint8_t *value = sqlite3_column_blob(row, 1);
        size_t size = (size_t)sqlite3_column_bytes(row, 1);
        buf_reset(&text);
        (void)buf_append(&text, last, 32);
        (void)buf_append(&text, value + 32, size - 32);
        (void)crypto_sha256(world->kit->crypto, buf_view(&text), expected);
        if (be64_get(sqlite3_column_blob(row, 0)) != ++count || memcmp(expected, value, 32) != 0)
            broken(world, "the audit chain", "entry %llu does not follow",
                   (unsigned long long)count);
        memcpy(last, value, 32);
    }
    sqlite3_finalize(row);
    buf_done(&text);
}

void oracle_end(struct world *world)
{
    struct heads *heads = calloc(1, sizeof *heads);
    struct row_list all;
    if (!heads)
        abort();
    oracle_people(world);
    world->events++;
    if (!read_heads(world, heads) || !rows_read(&world->nodes[0], NULL, 0, &all)) {
        broken(world, "store is whole", "headquarters cannot be read");
        free(heads);
        return;
    }
    for (uint32_t i = 0; i < all.count; i++)
        world_note(world, all.items[i].hash, all.items[i].bucket, all.items[i].dead);
    for (uint32_t i = 0; i < all.count; i++)
        world->cover[COVER_DEAD_AT_END] += all.items[i].dead;
    for (uint32_t i = 1; i < world->node_count && !world->failed; i++)
        if (!world->nodes[i].erased)
            compare(&world->nodes[i], heads, &all);
    rows_done(&all);
    free(heads);
    const char *verdict = hub_node_ask(&world->nodes[0], "{\"do\":\"verify\"}");
    if (!verdict)
        broken(world, "digests agree", "headquarters does not verify");
    audit(world);
    if (!world->failed)
        oracle_fates(world);
    if (!world->failed)
        drafts_end(world);
    if (!world->failed)
        promise_end(world);
    if (!world->failed)
        photos_end(world);
    if (!world->failed)
        judge_world(world);
    if (!world->failed)
        judge_rest(world);
    if (!world->failed)
        sight_end(world);
}
