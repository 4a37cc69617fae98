/* oracle_fates.c - what became of each transaction: applied as a whole and once, set aside, waiting, or
 * lost where nobody had a promise. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/group.h"
#include "tests/sim/oracle.h"
#include "tests/sim/purges.h"

struct fates {
    struct world *world;
    struct ledger *l;
    uint8_t *seen; /* of transactions: bits below */
    bool told;     /* what is looked at tells of values, and does not show them: conflict records */
};

enum {
    SEEN_JOURNAL = 1,
    SEEN_TOKEN = 2,
    SEEN_PARKED = 4,
    SEEN_WAITING = 8,
    SEEN_OUTBOX = 16,
    SEEN_HELD = 32,
    SEEN_REFUSED = 64 /* set aside at headquarters, by its journal row */
};

/* ---- looking ---- */

static void in_row(void *context, uint32_t tx, uint32_t op)
{
    struct fates *f = context;
    if (tx >= f->l->tx_count || (op != NONE && op >= f->l->txs[tx].op_count))
        return;
    f->seen[tx] |= op == NONE ? SEEN_JOURNAL : SEEN_TOKEN;
    if (op == NONE)
        return;
    struct op *found = &f->l->ops[f->l->txs[tx].first_op + op];
    found->found |= !f->told || found->kind != OP_ADD;
}

static void look_at_rows(struct fates *f, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK) {
        broken(f->world, "store is whole", "%s: %s", sql, sqlite3_errmsg(db));
        return;
    }
    while (sqlite3_step(row) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(row); i++)
            if (sqlite3_column_type(row, i) == SQLITE_TEXT ||
                sqlite3_column_type(row, i) == SQLITE_BLOB)
                tokens_each(
                    bytes_of(sqlite3_column_blob(row, i), (size_t)sqlite3_column_bytes(row, i)),
                    in_row, f);
    sqlite3_finalize(row);
}

/* Every text that headquarters shows: live rows (conflict records among them), and dead ones. */
static void look_at_headquarters(struct fates *f)
{
    const struct model *model = f->world->model;
    sqlite3 *db = store_sqlite_handle(f->world->nodes[0].store);
    char sql[1400];
    for (uint16_t t = 0; t < model->table_count; t++) {
        const struct model_table *table = &model->tables[t];
        int size = snprintf(sql, sizeof sql, "SELECT ");
        for (uint16_t i = 0; i < table->column_count; i++)
            size += snprintf(sql + size, sizeof sql - (size_t)size, "%s\"%s\"", i ? "," : "",
                             table->columns[i].name);
        snprintf(sql + size, sizeof sql - (size_t)size, " FROM \"%s\"", table->name);
        f->told = table->id == TABLE_CONFLICT;
        look_at_rows(f, db, sql);
    }
    f->told = false;
    look_at_rows(f, db, "SELECT content FROM satchel_dead");
}

/* Whose group it is: that of its journal row, or else the newest of those whose texts it writes; it may repeat
 * the texts of others that its author saw, beside its own and as what was there before. */
struct authorship {
    const struct fates *f;
    uint32_t newest, journal; /* transactions; NONE */
};

static void whose(void *context, uint32_t tx, uint32_t op)
{
    struct authorship *a = context;
    if (tx >= a->f->l->tx_count)
        return;
    if (op == NONE)
        a->journal = tx;
    if (a->newest == NONE || tx > a->newest)
        a->newest = tx;
}

static void look_at_writes(struct authorship *a, const struct group *group)
{
    for (uint32_t m = 0; m < group->mutation_count; m++)
        for (uint16_t i = 0; i < group->mutations[m].write_count; i++) {
            const struct unit_write *write = &group->mutations[m].writes[i];
            for (uint16_t k = 0; write->values && k < write->unit->column_count; k++)
                if (write->unit->policy != MERGE_COUNTER && write->values[k].kind == VALUE_TEXT)
                    tokens_each(write->values[k].as.bytes, whose, a);
            for (uint32_t k = 0; k < write->add_count; k++)
                tokens_each(write->adds[k], whose, a);
        }
}

/* What stands before the group in each side table. */
static size_t head_of_parked(struct bytes value)
{
    return value.size < 2 ? value.size : 2u + value.data[1];
}

static size_t head_of_waiting(struct bytes value)
{
    return value.size < 80 ? value.size : 80;
}

static size_t head_of_set_aside(struct bytes value)
{
    size_t head = value.size < 12 ? value.size : 12u + be16_get(value.data + 10);
    if (head + 4 <= value.size && value.data[1] == REASON_PURGED)
        head += 4u + be32_get(value.data + head); /* what brings the record back */
    return head;
}

static void mark(struct fates *f, struct bytes raw, uint8_t bit)
{
    struct authorship a = {f, NONE, NONE};
    struct arena arena;
    struct group group;
    arena_init(&arena, 64 << 20);
    if (group_decode(f->world->model, raw, &arena, &group, NULL) == ERR_OK)
        look_at_writes(&a, &group);
    arena_done(&arena);
    if (bit == SEEN_REFUSED) {
        if (a.journal != NONE)
            f->seen[a.journal] |= SEEN_REFUSED;
        bit = SEEN_PARKED;
    }
    if (a.newest != NONE)
        f->seen[a.journal != NONE ? a.journal : a.newest] |= bit;
}

static uint32_t look_at_side(struct fates *f, struct node *node, const char *sql,
                             size_t (*head_of)(struct bytes), uint8_t bit)
{
    sqlite3_stmt *row;
    uint32_t count = 0;
    if (sqlite3_prepare_v2(store_sqlite_handle(node->store), sql, -1, &row, NULL) != SQLITE_OK)
        return 0;
    while (sqlite3_step(row) == SQLITE_ROW) {
        struct bytes value =
            bytes_of(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
        size_t head = head_of(value);
        count++;
        if (head <= value.size)
            mark(f, bytes_of(value.data + head, value.size - head), bit);
    }
    sqlite3_finalize(row);
    return count;
}

/* ---- judging ---- */

static bool overwritten(const struct fates *f, const uint32_t *first, uint32_t op)
{
    for (uint32_t i = first[op]; i != NONE && i < f->l->overwrite_count; i++) {
        if (f->l->overwrites[i].op != op)
            break;
        const struct tx *by = &f->l->txs[f->l->overwrites[i].tx];
        if (by->committed && !by->failed && by->fate != FATE_PARKED && by->fate != FATE_LOST)
            return true;
    }
    return false;
}

static int by_op(const void *a, const void *b)
{
    const struct overwrite *x = a, *y = b;
    return x->op != y->op ? (x->op < y->op ? -1 : 1) : x->tx < y->tx ? -1 : x->tx > y->tx;
}

static void decide(struct fates *f)
{
    struct ledger *l = f->l;
    for (uint32_t i = 0; i < l->tx_count; i++) {
        struct tx *tx = &l->txs[i];
        uint8_t seen = f->seen[i];
        tx->fate = seen & SEEN_JOURNAL                     ? FATE_APPLIED
                   : seen & SEEN_PARKED                    ? FATE_PARKED
                   : seen & SEEN_WAITING                   ? FATE_WAITING
                   : seen & SEEN_OUTBOX                    ? FATE_HELD
                   : !tx->journaled && (seen & SEEN_TOKEN) ? FATE_APPLIED
                   : tx->journaled                         ? FATE_LOST
                                                           : FATE_UNKNOWN;
        world_note(f->world, i, tx->fate, seen);
    }
}

static const char *who(const struct fates *f, const struct tx *tx)
{
    return f->world->nodes[tx->device].name;
}

static void check_lost(struct fates *f, uint32_t number)
{
    const struct tx *tx = &f->l->txs[number];
    if (tx->fate != FATE_LOST || !tx->committed)
        return;
    /* what was built upon one that was given up, and is tried again, repeats its texts */
    if ((f->seen[number] & SEEN_TOKEN) && !tx->discarded)
        broken(f->world, "a group is whole",
               "of transaction %u of %s there are texts, but not its journal row", number,
               who(f, tx));
    else if (!tx->uncertain && !tx->discarded)
        broken(f->world, "nothing saved is lost", "transaction %u of %s (%s) is nowhere", number,
               who(f, tx), tx->acked_us ? "acknowledged" : "saved");
    else
        f->world->cover[COVER_UNCERTAIN_LOST]++;
}

static void check_failed(struct fates *f, uint32_t number)
{
    const struct tx *tx = &f->l->txs[number];
    if (f->seen[number] && !tx->committed)
        broken(f->world, "what failed is not there",
               "transaction %u of %s was refused or failed, and is there", number, who(f, tx));
    if (tx->forged && tx->fate == FATE_APPLIED && f->world->cover[COVER_RIGHTS] == 0 &&
        !f->world->sight) /* sight_rule.c knows when */
        broken(f->world, "rights", "transaction %u of %s wrote out of its scope, and was applied",
               number, who(f, tx));
}

/* One that is tried again is another group with the same texts. */
static void check_once(struct fates *f, uint32_t number)
{
    const struct tx *tx = &f->l->txs[number];
    uint8_t both = SEEN_JOURNAL | SEEN_REFUSED;
    if ((f->seen[number] & both) == both && !tx->discarded && f->world->cover[COVER_STOLEN] == 0)
        broken(f->world, "a group is decided once",
               "transaction %u of %s is in effect, and set aside as well", number, who(f, tx));
}

static void check_texts(struct fates *f, const uint32_t *first, uint32_t number)
{
    const struct ledger *l = f->l;
    const struct tx *tx = &l->txs[number];
    bool may_be_lost = tx->uncertain || tx->discarded;
    if (!tx->committed || tx->fate == FATE_PARKED || tx->fate == FATE_WAITING ||
        tx->fate == FATE_HELD || tx->fate == FATE_LOST || (tx->fate == FATE_UNKNOWN && may_be_lost))
        return;
    for (uint32_t i = tx->first_op; i < tx->first_op + tx->op_count; i++) {
        const struct op *op = &l->ops[i];
        if (op->kind != OP_TEXT || op->found || overwritten(f, first, i) ||
            purges_gone(f->world, &l->records[op->record]) || purges_settled(f->world, tx->at_us))
            continue;
        const struct model_table *table = &f->world->model->tables[l->records[op->record].table];
        char id[UUID_TEXT_SIZE];
        uuid_format(&l->records[op->record].id, id);
        broken(f->world, "conflicts explain what lost",
               "what transaction %u of %s wrote to %s.%s (%s, text %u) is neither shown nor in a "
               "conflict "
               "record, and nobody replaced it",
               number, who(f, tx), table->name, table->columns[op->column].name, id,
               i - tx->first_op);
        return;
    }
}

/* ---- sums and sets ---- */

struct total {
    uint32_t record;
    uint16_t column;
    int64_t sum;
};

static int by_cell(const void *a, const void *b)
{
    const struct total *x = a, *y = b;
    if (x->record != y->record)
        return x->record < y->record ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

static void check_sum(struct fates *f, const struct total *total)
{
    const struct ledger_record *record = &f->l->records[total->record];
    const struct model_table *table = &f->world->model->tables[record->table];
    char sql[160], id[UUID_TEXT_SIZE];
    sqlite3_stmt *row;
    snprintf(sql, sizeof sql, "SELECT \"%s\" FROM \"%s\" WHERE id=?",
             table->columns[total->column].name, table->name);
    if (sqlite3_prepare_v2(store_sqlite_handle(f->world->nodes[0].store), sql, -1, &row, NULL) !=
        SQLITE_OK)
        return;
    sqlite3_bind_blob(row, 1, record->id.byte, 16, SQLITE_STATIC);
    uuid_format(&record->id, id);
    if (sqlite3_step(row) == SQLITE_ROW && sqlite3_column_int64(row, 0) != total->sum)
        broken(f->world, "counters are sums", "%s.%s of %s is %lld; the applied changes make %lld",
               table->name, table->columns[total->column].name, id,
               (long long)sqlite3_column_int64(row, 0), (long long)total->sum);
    sqlite3_finalize(row);
}

static void check_counters(struct fates *f)
{
    const struct ledger *l = f->l;
    struct total *totals = calloc(l->op_count + 1u, sizeof *totals);
    uint32_t count = 0;
    if (!totals)
        abort();
    for (uint32_t i = 0; i < l->op_count; i++)
        if (l->ops[i].kind == OP_COUNT)
            totals[count++] =
                (struct total){l->ops[i].record, l->ops[i].column,
                               l->txs[l->ops[i].tx].fate == FATE_APPLIED ? l->ops[i].number : 0};
    qsort(totals, count, sizeof *totals, by_cell);
    for (uint32_t i = 0; i < count && !f->world->failed;) {
        struct total total = totals[i++];
        while (i < count && by_cell(&totals[i], &total) == 0)
            total.sum += totals[i++].sum;
        check_sum(f, &total);
    }
    free(totals);
}

/* An element is there exactly if it was added, and nobody who saw it took it out. */
static void check_sets(struct fates *f)
{
    static const char *const fates[] = {"unknown", "applied", "parked", "waiting", "lost", "held"};
    const struct ledger *l = f->l;
    uint32_t *removed =
        calloc(l->op_count + 1u, sizeof *removed); /* by this transaction, plus one */
    if (!removed)
        abort();
    for (uint32_t i = 0; i < l->op_count; i++)
        if (l->ops[i].kind == OP_REMOVE && l->txs[l->ops[i].tx].fate == FATE_APPLIED &&
            (uint64_t)l->ops[i].number < l->op_count)
            removed[l->ops[i].number] = l->ops[i].tx + 1;
    for (uint32_t i = 0; i < l->op_count && !f->world->failed; i++) {
        const struct op *op = &l->ops[i];
        bool expected = l->txs[op->tx].fate == FATE_APPLIED && removed[i] == 0;
        if (op->kind == OP_ADD && op->found != expected &&
            !purges_gone(f->world, &l->records[op->record]))
            broken(f->world, "sets",
                   "element %u of transaction %u (%s; taken out by %d) is %sin the set",
                   i - l->txs[op->tx].first_op, op->tx, fates[l->txs[op->tx].fate],
                   (int)removed[i] - 1, op->found ? "" : "not ");
    }
    free(removed);
}

/* ---- what still waits ---- */

/* A group that is not decided has to wait at headquarters for something that nobody can bring, or that
 * was set aside. */
static void check_waiting(struct fates *f)
{
    struct world *world = f->world;
    hub_node_count(&world->nodes[0]);
    uint32_t waiting = look_at_side(f, &world->nodes[0], "SELECT v FROM satchel_waiting",
                                    head_of_waiting, SEEN_WAITING);
    world->cover[COVER_WAITING_AT_END] += waiting;
    bool excuse = world->cover[COVER_PARKED] || world->cover[COVER_ROLLBACKS] ||
                  world->cover[COVER_REVOKES] || world->cover[COVER_CLONES] ||
                  world->cover[COVER_RESTORES] || world->cover[COVER_DISKS_LOST];
    if (waiting && !excuse)
        broken(world, "liveness",
               "%u groups wait at headquarters, and nothing was lost or set aside", waiting);
    if (!world->failed)
        oracle_waiting(world);
}

void oracle_fates(struct world *world)
{
    struct ledger *l = world->ledger;
    struct fates f = {.world = world, .l = l};
    f.seen = calloc(l->tx_count + 1u, 1);
    uint32_t *first = calloc(l->op_count + 1u, sizeof *first);
    if (!f.seen || !first)
        abort();
    look_at_headquarters(&f);
    (void)look_at_side(&f, &world->nodes[0], "SELECT v FROM satchel_parked", head_of_parked,
                       SEEN_REFUSED);
    check_waiting(&f);
    for (uint32_t i = 1; i < world->node_count; i++)
        if (!world->nodes[i].erased)
            (void)look_at_side(&f, &world->nodes[i], "SELECT v FROM satchel_parked",
                               head_of_set_aside, SEEN_PARKED);
    decide(&f);
    qsort(l->overwrites, l->overwrite_count, sizeof *l->overwrites, by_op);
    for (uint32_t i = 0; i <= l->op_count; i++)
        first[i] = NONE;
    for (uint32_t i = l->overwrite_count; i > 0; i--)
        first[l->overwrites[i - 1].op] = i - 1;
    for (uint32_t i = 0; i < l->tx_count && !world->failed; i++) {
        check_failed(&f, i);
        check_lost(&f, i);
        check_once(&f, i);
        check_texts(&f, first, i);
    }
    if (!world->failed)
        check_counters(&f);
    if (!world->failed)
        check_sets(&f);
    free(f.seen);
    free(first);
}
