/* ledger.c - the oracle's own log of what was written, and of what was promised for it. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/failing_alloc.h"
#include "tests/sim/oracle.h"

struct ledger *ledger_new(void)
{
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (!ledger)
        abort();
    wire_open(ledger);
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    wire_close(ledger);
    free(ledger->txs);
    free(ledger->ops);
    free(ledger->overwrites);
    free(ledger->records);
    free(ledger->knowns);
    free(ledger);
}

static void *grow(void *items, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 256;
    bool paused = failing_alloc_pause(true); /* the oracle's memory is not the device's */
    items = realloc(items, *capacity * size);
    (void)failing_alloc_pause(paused);
    if (!items)
        abort();
    return items;
}

#define GROW(list, name)                                                                     \
    ((list)->name##s = grow((list)->name##s, (list)->name##_count, &(list)->name##_capacity, \
                            sizeof *(list)->name##s))

uint32_t ledger_begin(struct world *world, uint16_t device)
{
    struct ledger *l = world->ledger;
    GROW(l, tx);
    l->txs[l->tx_count] = (struct tx){
        .device = device, .at_us = world->now_us, .reached_us = INT64_MAX, .first_op = l->op_count};
    return l->tx_count++;
}

uint32_t ledger_op(struct ledger *l, uint32_t tx, enum op_kind kind, uint32_t record,
                   uint16_t column, int64_t number)
{
    GROW(l, op);
    l->ops[l->op_count] = (struct op){
        .tx = tx, .record = record, .kind = (uint8_t)kind, .column = column, .number = number};
    l->txs[tx].op_count++;
    return l->op_count++;
}

uint32_t ledger_insert(struct ledger *l, uint32_t tx, uint16_t table, uint16_t bucket,
                       uint32_t parent, const struct uuid *id)
{
    GROW(l, record);
    uint32_t at = l->record_count++;
    l->records[at] = (struct ledger_record){*id, table, bucket, parent, tx};
    (void)ledger_op(l, tx, OP_INSERT, at, 0, 0);
    return at;
}

static void overwrite(struct ledger *l, uint32_t op, uint32_t tx)
{
    GROW(l, overwrite);
    l->overwrites[l->overwrite_count++] = (struct overwrite){op, tx};
}

/* ---- tokens ---- */

size_t ledger_token(const struct ledger *l, uint32_t op, uint16_t bucket, char *out)
{
    uint32_t tx = l->ops[op].tx;
    int size = snprintf(out, 48, "#t%u.%u@", tx, op - l->txs[tx].first_op);
    if (bucket)
        size +=
            snprintf(out + size, 48 - (size_t)size, "@@%c%u@@", bucket < BUCKET_USER ? 'b' : 'u',
                     bucket < BUCKET_USER ? bucket : bucket - BUCKET_USER);
    return (size_t)size;
}

size_t ledger_journal(uint32_t tx, char *out)
{
    return (size_t)snprintf(out, 32, "#j%u;", tx);
}

/* Digits at `at`; false: none. */
static bool number_at(struct bytes text, size_t *at, uint32_t *ret)
{
    size_t from = *at;
    uint32_t number = 0;
    while (*at < text.size && *at < from + 9 && text.data[*at] >= '0' && text.data[*at] <= '9')
        number = number * 10 + (uint32_t)(text.data[(*at)++] - '0');
    *ret = number;
    return *at > from;
}

void tokens_each(struct bytes text, token_fn *fn, void *context)
{
    for (size_t i = 0; i + 3 < text.size; i++) {
        const uint8_t *hash = memchr(text.data + i, '#', text.size - i);
        if (!hash)
            return;
        i = (size_t)(hash - text.data);
        size_t at = i + 2;
        uint32_t tx, op;
        if (i + 3 >= text.size || (text.data[i + 1] != 't' && text.data[i + 1] != 'j') ||
            !number_at(text, &at, &tx) || at >= text.size)
            continue;
        if (text.data[i + 1] == 'j') {
            if (text.data[at] == ';')
                fn(context, tx, NONE);
            continue;
        }
        if (text.data[at++] == '.' && number_at(text, &at, &op) && at < text.size &&
            text.data[at] == '@')
            fn(context, tx, op);
    }
}

struct replacing {
    struct ledger *l;
    uint32_t tx;
    struct bytes kept;
    bool found;
    uint32_t look_tx, look_op;
};

static void look_for(void *context, uint32_t tx, uint32_t op)
{
    struct replacing *r = context;
    r->found |= tx == r->look_tx && op == r->look_op;
}

static void replaced(void *context, uint32_t tx, uint32_t op)
{
    struct replacing *r = context;
    if (tx >= r->l->tx_count || op >= r->l->txs[tx].op_count)
        return;
    r->found = false;
    r->look_tx = tx;
    r->look_op = op;
    tokens_each(r->kept, look_for, r);
    if (!r->found)
        overwrite(r->l, r->l->txs[tx].first_op + op, r->tx);
}

void ledger_replaces(struct ledger *l, uint32_t tx, struct bytes before, struct bytes kept)
{
    struct replacing r = {.l = l, .tx = tx, .kept = kept};
    tokens_each(before, replaced, &r);
}

/* ---- sets ---- */

struct element {
    char text[64];
};

static uint32_t elements_of(struct bytes json, struct element *out, uint32_t most)
{
    uint32_t count = 0;
    bool within = false;
    size_t from = 0;
    for (size_t i = 0; i < json.size && count < most; i++) {
        if (json.data[i] != '"')
            continue;
        if (within && i - from < sizeof out->text)
            snprintf(out[count++].text, sizeof out->text, "%.*s", (int)(i - from),
                     (const char *)json.data + from);
        within = !within;
        from = i + 1;
    }
    return count;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct element *)a)->text, ((const struct element *)b)->text);
}

static void added_by(void *context, uint32_t tx, uint32_t op)
{
    struct replacing *r = context;
    r->look_tx = tx;
    r->look_op = op;
    r->found = true;
}

enum err ledger_edit_set(struct ledger *l, uint32_t tx, uint32_t record, uint16_t column,
                         struct bytes before, struct seeded_rng *dice, struct set_edit *ret)
{
    enum { MOST = 16, SOME = 6 };
    struct element elements[MOST + 1];
    uint32_t count = elements_of(before, elements, MOST);
    if (count >= SOME || (count && seeded_below(dice, 3) == 0)) {
        uint32_t out = (uint32_t)seeded_below(dice, count);
        struct replacing r = {.l = l};
        tokens_each(bytes_of_text(elements[out].text), added_by, &r);
        if (r.found && r.look_tx < l->tx_count)
            (void)ledger_op(l, tx, OP_REMOVE, record, column,
                            l->txs[r.look_tx].first_op + r.look_op);
        memmove(elements + out, elements + out + 1, (count - out - 1) * sizeof *elements);
        count--;
    } else {
        uint32_t op = ledger_op(l, tx, OP_ADD, record, column, 0);
        elements[count].text[ledger_token(l, op, l->records[record].bucket, elements[count].text)] =
            0;
        count++;
    }
    qsort(elements, count, sizeof *elements, by_text);
    ret->size = 0;
    for (uint32_t i = 0; i < count; i++) {
        int size = snprintf(ret->text + ret->size, sizeof ret->text - ret->size, "%s\"%s\"",
                            i ? "," : "[", elements[i].text);
        ret->size += (size_t)size;
        if (ret->size + 70 > sizeof ret->text)
            return ERR_LIMIT;
    }
    ret->size += (size_t)snprintf(ret->text + ret->size, sizeof ret->text - ret->size, "%s",
                                  count ? "]" : "[]");
    return ERR_OK;
}

/* ---- deletes ---- */

struct knowing {
    struct ledger *l;
    uint32_t op; /* of the delete */
};

static void known_token(void *context, uint32_t tx, uint32_t op)
{
    struct knowing *k = context;
    struct ledger *l = k->l;
    if (tx >= l->tx_count || op == NONE)
        return;
    GROW(l, known);
    l->knowns[l->known_count++] = (struct known_write){k->op, tx};
}

/* Writes to the record in this very transaction leave no trace beside the delete. */
static void swallow(struct ledger *l, uint32_t tx, uint32_t record)
{
    for (uint32_t i = l->txs[tx].first_op; i < l->op_count; i++) {
        struct op *op = &l->ops[i];
        if (op->record == NONE || (op->record != record && l->records[op->record].parent != record))
            continue;
        overwrite(l, i, tx);
        if (op->kind == OP_COUNT || op->kind == OP_ADD || op->kind == OP_REMOVE)
            op->kind = OP_NUMBER;
    }
}

void ledger_delete(struct node *node, uint32_t tx, uint32_t record, bool restore)
{
    struct ledger *l = node->world->ledger;
    const struct model_table *table =
        &replica_model(node->replica)->tables[l->records[record].table];
    struct replica_record shown;
    struct arena arena;
    if (!restore)
        swallow(l, tx, record);
    struct knowing k = {l, ledger_op(l, tx, restore ? OP_RESTORE : OP_DELETE, record, 0, 0)};
    arena_init(&arena, 1 << 20);
    if (!restore &&
        replica_get(node->replica, table, &l->records[record].id, &arena, &shown) == ERR_OK)
        for (uint16_t i = 0; i < table->column_count; i++)
            if (shown.record.values[i].kind == VALUE_TEXT)
                tokens_each(shown.record.values[i].as.bytes, known_token, &k);
    arena_done(&arena);
}

void ledger_take_back(struct ledger *l, uint32_t tx)
{
    l->txs[tx].op_count--;
    l->op_count--;
}

void ledger_replaces_own(struct node *node, uint32_t number, uint32_t record, uint16_t column)
{
    struct ledger *l = node->world->ledger;
    struct replica_status status;
    replica_status(node->replica, &status);
    for (uint32_t i = 0; i < l->op_count; i++) {
        const struct op *op = &l->ops[i];
        const struct tx *tx = &l->txs[op->tx];
        if (op->kind == OP_TEXT && op->record == record && op->column == column &&
            op->tx != number && tx->device == node->number && tx->dot.origin == status.origin &&
            tx->dot.oseq > status.decided_upto)
            overwrite(l, i, number);
    }
}

/* ---- promises that end ---- */

static bool has_copy(const struct world *world, uint16_t device)
{
    for (uint32_t i = 1; i < world->node_count; i++)
        if (i != device &&
            uuid_equal(&world->nodes[i].identity.device, &world->nodes[device].identity.device))
            return true;
    return false;
}

/* What only a branch holds is lost as well if headquarters hears first of other groups under these numbers: from a
 * copy of the device, or from itself when it counts from an earlier one again. */
void ledger_disk_lost(struct world *world, uint16_t device, uint32_t from_tx)
{
    struct ledger *l = world->ledger;
    for (uint32_t i = from_tx; i < l->tx_count; i++) {
        struct tx *tx = &l->txs[i];
        if (tx->device != device)
            continue;
        tx->here = false;
        tx->uncertain |= tx->acked_us == 0 ||
                         (world->plan->branches && (from_tx > 0 || has_copy(world, device)));
    }
}

void ledger_branch_lost(struct world *world)
{
    struct ledger *l = world->ledger;
    memset(l->first_unacked, 0, sizeof l->first_unacked);
    memset(l->acked_upto, 0, sizeof l->acked_upto);
    for (uint32_t i = 0; i < l->tx_count; i++) {
        l->txs[i].acked_us = 0;
        l->txs[i].uncertain |= !l->txs[i].here || has_copy(world, l->txs[i].device);
    }
}

void ledger_revoked(struct world *world, uint16_t device)
{
    struct ledger *l = world->ledger;
    for (uint32_t i = 1; i < world->node_count; i++)
        if (uuid_equal(&world->nodes[i].identity.device, &world->nodes[device].identity.device))
            ledger_disk_lost(world, (uint16_t)i, 0);
    l->revoked[device] = true;
}

void ledger_cloned(struct world *world, uint16_t device)
{
    struct ledger *l = world->ledger;
    for (uint32_t i = 0; i < l->tx_count; i++)
        if (l->txs[i].device == device && l->txs[i].reached_us == INT64_MAX)
            l->txs[i].reached_us = world->now_us;
}

/* What the backup does not hold has to be brought again by a device; if that has lost it, or may not
 * come any more, nobody can. Where two copies write under one origin, the other one may come first then, and
 * its numbers are taken for this one's (seed 5118). */
void ledger_restored(struct world *world, const struct copy *copy)
{
    struct ledger *l = world->ledger;
    memset(l->first_unacked, 0, sizeof l->first_unacked);
    memset(l->acked_upto, 0, sizeof l->acked_upto);
    for (uint32_t i = 0; i < l->tx_count; i++) {
        struct tx *tx = &l->txs[i];
        bool held = tx->acked_us != 0 && tx->acked_us <= copy->at_us;
        if (held)
            continue;
        tx->acked_us = 0; /* until it has been brought again */
        tx->uncertain |= !tx->here || has_copy(world, tx->device);
    }
}
