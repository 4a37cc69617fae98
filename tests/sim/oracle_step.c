/* oracle_step.c - what is looked at while things happen. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "tests/sim/oracle.h"
#include "tests/sim/sight.h"

static struct ledger *ledger_of(const struct node *node)
{
    return node->world->ledger;
}

/* ---- beginnings and ends ---- */

void oracle_started(struct node *node)
{
    struct ledger *l = ledger_of(node);
    sight_look(node);
    if (node->number == 0) {
        oracle_people(node->world);
        return;
    }
    l->acked_upto[node->number] = 0;
}

void oracle_ended(struct node *node)
{
    (void)node;
}

void oracle_erased(struct node *node)
{
    ledger_disk_lost(node->world, node->number, 0);
}

void oracle_session_over(struct node *node)
{
    ledger_of(node)->acked_upto[node->number] = 0;
}

/* ---- promises ---- */

/* After a fork the groups have other numbers: found by their tokens. */
struct finding {
    struct ledger *l;
    struct dot dot;
};

static void found_again(void *context, uint32_t tx, uint32_t op)
{
    struct finding *f = context;
    (void)op;
    if (tx < f->l->tx_count && f->l->txs[tx].acked_us == 0)
        f->l->txs[tx].dot = f->dot;
}

static void dots_again(struct node *node)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(store_sqlite_handle(node->store), "SELECT k,v FROM satchel_outbox", -1,
                           &row, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(row) == SQLITE_ROW) {
        const uint8_t *key = sqlite3_column_blob(row, 0);
        struct finding f = {ledger_of(node), {be64_get(key), be64_get(key + 8), 0}};
        if (f.dot.origin == node->origin)
            tokens_each(bytes_of(sqlite3_column_blob(row, 1), (size_t)sqlite3_column_bytes(row, 1)),
                        found_again, &f);
    }
    sqlite3_finalize(row);
}

static void acknowledged(struct node *node)
{
    struct ledger *l = ledger_of(node);
    struct uplink_progress progress;
    struct replica_status status;
    uint16_t n = node->number;
    uplink_progress(node->uplink, &progress);
    replica_status(node->replica, &status);
    if (status.origin != node->origin) {
        node->origin = status.origin;
        dots_again(node);
    }
    uint64_t upto = progress.acknowledged_upto > status.decided_upto ? progress.acknowledged_upto
                                                                     : status.decided_upto;
    if (!progress.authenticated || upto <= l->acked_upto[n])
        return;
    l->acked_upto[n] = upto;
    for (uint32_t i = l->first_unacked[n]; i < l->tx_count; i++) {
        struct tx *tx = &l->txs[i];
        if (tx->device == n && tx->acked_us == 0 && tx->committed &&
            tx->dot.origin == status.origin && tx->dot.oseq > 0 && tx->dot.oseq <= upto)
            tx->acked_us = node->world->now_us;
    }
    while (l->first_unacked[n] < l->tx_count &&
           (l->txs[l->first_unacked[n]].device != n || l->txs[l->first_unacked[n]].acked_us))
        l->first_unacked[n]++;
}

void oracle_received(struct node *node, struct link *link)
{
    (void)link;
    if (node->running && node->uplink)
        acknowledged(node);
}

void oracle_reached(struct node *node, struct link *link, struct bytes frame)
{
    struct ledger *l = ledger_of(node);
    uint16_t n = link->ends[LOWER];
    if (frame.size == 0 || (frame.data[0] != MESSAGE_PUSH && frame.data[0] != MESSAGE_PART))
        return;
    for (uint32_t i = l->first_unreached[n]; i < l->tx_count; i++)
        if (l->txs[i].device == n && l->txs[i].reached_us == INT64_MAX)
            l->txs[i].reached_us = node->world->now_us;
    l->first_unreached[n] = l->tx_count;
}

/* ---- a device's view ---- */

/* Both records of a pair are always written together: no view may show different tokens. */
static void look_at_twins(struct node *node)
{
    struct world *world = node->world;
    struct ledger *l = world->ledger;
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(store_sqlite_handle(node->store), "SELECT id,token FROM twin", -1, &row,
                           NULL) != SQLITE_OK)
        return;
    char texts[TWINS_MAX][2][200];
    memset(texts, 0, sizeof texts);
    while (sqlite3_step(row) == SQLITE_ROW)
        for (uint32_t i = 0; i < l->twin_count; i++)
            for (int k = 0; k < 2; k++)
                if (memcmp(l->records[l->twins[i][k]].id.byte, sqlite3_column_blob(row, 0), 16) ==
                    0)
                    snprintf(texts[i][k], sizeof texts[i][k], "%s",
                             (const char *)sqlite3_column_text(row, 1));
    sqlite3_finalize(row);
    for (uint32_t i = 0; i < l->twin_count; i++)
        if (strcmp(texts[i][0], texts[i][1]) != 0)
            broken(world, "no half group",
                   "%s shows '%s' and '%s' in two records that are always written together",
                   node->name, texts[i][0], texts[i][1]);
}

static void look_at_cursors(struct node *node, bool anew)
{
    struct world *world = node->world;
    struct ledger *l = world->ledger;
    sqlite3_stmt *row;
    uint64_t *seen = l->positions[node->number];
    if (sqlite3_prepare_v2(store_sqlite_handle(node->store), "SELECT k,v FROM satchel_cursor", -1,
                           &row, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(row) == SQLITE_ROW) {
        uint32_t bucket = be32_get(sqlite3_column_blob(row, 0));
        uint64_t position = be64_get(sqlite3_column_blob(row, 1));
        if (bucket >= 64)
            continue;
        if (position < seen[bucket] && !anew)
            broken(world, "cursors move forward", "%s: bucket %u went from %llu back to %llu",
                   node->name, bucket, (unsigned long long)seen[bucket],
                   (unsigned long long)position);
        seen[bucket] = position;
    }
    sqlite3_finalize(row);
}

void oracle_changed(struct node *node)
{
    struct replica_status status;
    struct ledger *l = ledger_of(node);
    replica_status(node->replica, &status);
    if (!status.bootstrapped || !node->running)
        return;
    /* a new history, a disk that was put back, a scope that was lost and came again: all counts anew */
    uint64_t life =
        node->world->cover[COVER_DIVERGED] * 1000003 + node->world->cover[COVER_ROLLBACKS] * 1009 +
        node->world->cover[COVER_RIGHTS] + node->world->cover[COVER_RESTORES] * 31 +
        node->world->cover[COVER_DISKS_LOST] * 10007 + sight_changes(node->world) * 100003;
    bool anew = l->cursor_life[node->number] != life;
    l->cursor_life[node->number] = life;
    if (anew) /* also of buckets that have no cursor just now */
        memset(l->positions[node->number], 0, sizeof l->positions[node->number]);
    look_at_cursors(node, anew);
    look_at_twins(node);
    if (!status.reconcile)
        sight_changed(node);
}

/* ---- read your writes ---- */

struct seeking {
    uint32_t tx, op;
    bool found;
};

static void seek(void *context, uint32_t tx, uint32_t op)
{
    struct seeking *s = context;
    s->found |= tx == s->tx && op == s->op;
}

static bool overwritten_within(const struct ledger *l, uint32_t op)
{
    for (uint32_t i = l->overwrite_count; i > 0; i--)
        if (l->overwrites[i - 1].op == op)
            return true;
    return false;
}

void oracle_reads_own(struct node *node, uint32_t number)
{
    struct world *world = node->world;
    struct ledger *l = world->ledger;
    const struct tx *tx = &l->txs[number];
    char sql[160];
    for (uint32_t i = 0; i < tx->op_count && !world->failed; i++) {
        const struct op *op = &l->ops[tx->first_op + i];
        if (op->kind != OP_TEXT || overwritten_within(l, tx->first_op + i))
            continue;
        const struct ledger_record *record = &l->records[op->record];
        const struct model_table *table = &world->model->tables[record->table];
        sqlite3_stmt *row;
        snprintf(sql, sizeof sql, "SELECT \"%s\" FROM \"%s\" WHERE id=?",
                 table->columns[op->column].name, table->name);
        if (sqlite3_prepare_v2(store_sqlite_handle(node->store), sql, -1, &row, NULL) != SQLITE_OK)
            return;
        sqlite3_bind_blob(row, 1, record->id.byte, 16, SQLITE_STATIC);
        struct seeking s = {number, i, false};
        int result = sqlite3_step(row);
        if (result == SQLITE_ROW)
            tokens_each(bytes_of(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0)),
                        seek, &s);
        sqlite3_finalize(row);
        if (!s.found && (result == SQLITE_ROW || result == SQLITE_DONE))
            broken(world, "read your writes", "%s does not show what transaction %u wrote to %s.%s",
                   node->name, number, table->name, table->columns[op->column].name);
    }
}

void oracle_turned(struct node *node)
{
    sight_look(node);
}

void oracle_now_and_then(struct world *world)
{
    if (world->nodes[0].running && world->ledger->twin_count)
        look_at_twins(&world->nodes[0]);
}
