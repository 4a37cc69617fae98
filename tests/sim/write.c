/* write.c - local transactions: one to four changes of few records, so that devices meet. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/act.h"
#include "tests/sim/oracle.h"
#include "tests/sim/photos.h"
#include "tests/sim/write.h"

/* OF_BRANCHES: buckets that are drawn from before those of users */
enum {
    OF_BRANCHES = 8,
    TEXT_LINES = 5,
    RECORDS_MOST = 60,
    RECORDS_HOT = 12,
    COLUMNS_HOT = 13,
    TEXT_MOST = 1200
};

const struct model_table *write_table(const struct writing *w, const char *name)
{
    return model_table_by_name(w->model, bytes_of_text(name));
}

static uint16_t column_of(const struct model_table *table, const char *name)
{
    return model_column_by_name(table, bytes_of_text(name))->index;
}

/* ---- which record ---- */

uint32_t write_any_record(struct writing *w, const struct model_table *table)
{
    const struct ledger *l = w->ledger;
    for (int tries = 0; tries < 12 && l->record_count; tries++) {
        uint32_t last = l->record_count,
                 most = w->world->plan->seed & 1 ? RECORDS_HOT : RECORDS_MOST;
        if (most > last || seeded_below(w->dice, 4) == 0)
            most = last;
        uint32_t at = last - 1 - (uint32_t)seeded_below(w->dice, most);
        if (l->records[at].table == table->index && l->txs[l->records[at].tx].committed)
            return at;
    }
    return NONE;
}

/* A bucket that the user may see, as far as is known. */
static uint16_t any_bucket(struct writing *w, bool forged)
{
    const struct ledger *l = w->ledger;
    uint64_t scope = l->people[w->node->user].scope;
    if (w->world->sight)
        return people_bucket(w, forged);
    for (int tries = 0; tries < 30; tries++) {
        uint16_t bucket = (uint16_t)seeded_below(w->dice, OF_BRANCHES + l->person_count);
        if (bucket >= OF_BRANCHES)
            bucket = (uint16_t)(bucket + BUCKET_USER - OF_BRANCHES);
        bool there = bucket <= l->branch_count || bucket >= BUCKET_USER;
        if (there && (scope >> bucket & 1) != forged)
            return bucket;
    }
    return 0;
}

/* ---- values ---- */

static enum err text_of_token(struct writing *w, uint32_t op, uint16_t bucket, struct value *ret)
{
    char text[64];
    struct bytes copy;
    size_t size = ledger_token(w->ledger, op, bucket, text);
    enum err e = arena_copy(&w->arena, bytes_of(text, size), &copy);
    *ret = value_text(copy);
    return e;
}

static enum err update(struct writing *w, const struct ledger_record *record, uint16_t column,
                       const struct value *value)
{
    return replica_update(w->node->replica, &w->model->tables[record->table], &record->id, &column,
                          value, 1, seeded_below(w->dice, 12) == 0, &w->info);
}

/* The shown text with a line of the new token, often without one of the others. */
static enum err next_text(struct writing *w, struct bytes before, uint32_t op, uint16_t bucket,
                          struct value *ret)
{
    struct buf out;
    struct value line;
    uint32_t lines = 0, drop;
    buf_init(&out, TEXT_MOST + 200);
    for (size_t i = 0; i < before.size; i++)
        lines += before.data[i] == '\n';
    drop = lines >= TEXT_LINES || seeded_below(w->dice, 3) == 0
               ? (uint32_t)seeded_below(w->dice, lines + 1)
               : NONE;
    bool ahead = seeded_below(w->dice, 2);
    enum err e = text_of_token(w, op, bucket, &line);
    for (int part = 0; part < 2; part++) {
        if ((part == 0) == ahead) {
            (void)buf_append(&out, line.as.bytes.data, line.as.bytes.size);
            (void)buf_append_byte(&out, '\n');
            continue;
        }
        uint32_t at = 0;
        for (size_t i = 0; i < before.size; i++) {
            if (at != drop && out.size < TEXT_MOST)
                (void)buf_append_byte(&out, before.data[i]);
            at += before.data[i] == '\n';
        }
    }
    struct bytes copy = {0};
    if (e == ERR_OK)
        e = out.error; /* its memory may fail like the application's */
    if (e == ERR_OK)
        e = arena_copy(&w->arena, buf_view(&out), &copy);
    ledger_replaces(w->ledger, w->tx, before, copy);
    *ret = value_text(copy);
    buf_done(&out);
    return e;
}

enum err write_text(struct writing *w, uint32_t at, uint16_t column, const struct value *shown,
                    bool lines)
{
    const struct ledger_record *record = &w->ledger->records[at];
    struct bytes before = shown->kind == VALUE_TEXT ? shown->as.bytes : bytes_of(NULL, 0);
    struct value value = value_text(bytes_of("", 0));
    if (!w->model->tables[record->table].columns[column].required &&
        seeded_below(w->dice, 16) == 0) {
        ledger_replaces(w->ledger, w->tx, before, value.as.bytes); /* the field is emptied */
        return update(w, record, column, &value);
    }
    uint32_t op = ledger_op(w->ledger, w->tx, OP_TEXT, at, column, 0);
    enum err e;
    if (lines) {
        e = next_text(w, before, op, record->bucket, &value);
    } else {
        e = text_of_token(w, op, record->bucket, &value);
        ledger_replaces(w->ledger, w->tx, before, value.as.bytes);
        ledger_replaces_own(w->node, w->tx, at, column);
    }
    return e == ERR_OK ? update(w, record, column, &value) : e;
}

static enum err change_number(struct writing *w, uint32_t at, uint16_t column,
                              const struct value *shown, bool counts)
{
    const struct ledger_record *record = &w->ledger->records[at];
    int64_t by = (int64_t)seeded_below(w->dice, 200) - 100;
    int64_t before = shown->kind == VALUE_INT ? shown->as.integer : 0;
    if (by == 0)
        by = 7;
    struct value value = value_int(counts ? before + by : by);
    (void)ledger_op(w->ledger, w->tx, counts ? OP_COUNT : OP_NUMBER, at, column, by);
    return update(w, record, column, &value);
}

/* ["#t1.0@","#t5.2@"]: one more, or one less. */
static enum err change_set(struct writing *w, uint32_t at, uint16_t column,
                           const struct value *shown)
{
    const struct ledger_record *record = &w->ledger->records[at];
    struct bytes before = shown->kind == VALUE_TEXT ? shown->as.bytes : bytes_of_text("[]");
    struct set_edit edit;
    enum err e = ledger_edit_set(w->ledger, w->tx, at, column, before, w->dice, &edit);
    struct value value;
    if (e == ERR_OK)
        e = arena_copy(&w->arena, bytes_of(edit.text, edit.size), &value.as.bytes);
    value.kind = VALUE_TEXT;
    return e == ERR_OK ? update(w, record, column, &value) : e;
}

static enum err change_stage(struct writing *w, uint32_t at, uint16_t column,
                             const struct value *shown)
{
    static const char *const next[][3] = {{"sent", "paid", "lost"},
                                          {"draft", "paid", "lost"},
                                          {"sent", "sent", "sent"},
                                          {"draft", "draft", "draft"}};
    static const char *const stages[] = {"draft", "sent", "paid", "lost"};
    size_t from = 0;
    for (size_t i = 0; i < 4; i++)
        if (shown->kind == VALUE_TEXT && bytes_equal(shown->as.bytes, bytes_of_text(stages[i])))
            from = i;
    struct value value = value_text(bytes_of_text(next[from][seeded_below(w->dice, 3)]));
    (void)ledger_op(w->ledger, w->tx, OP_NUMBER, at, column, 0);
    return update(w, &w->ledger->records[at], column, &value);
}

static enum err change_column(struct writing *w, uint32_t at, const struct model_table *table,
                              const struct model_column *column, const struct value *shown)
{
    const struct model_unit *unit = &table->units[column->unit_index];
    if (unit->policy == MERGE_APPEND || column->type == COLUMN_REFERENCE ||
        (int)column->index == table->visibility_column)
        return ERR_OK;
    if (!w->ledger->txs[w->tx].journaled &&
        (unit->policy == MERGE_COUNTER || unit->policy == MERGE_SET))
        return ERR_OK; /* only what is journaled can be added up */
    if (unit->policy == MERGE_UPSTREAM && seeded_below(w->dice, 2))
        return ERR_OK; /* these are often refused */
    switch ((int)column->type) {
    case COLUMN_TEXT: return write_text(w, at, column->index, shown, unit->policy == MERGE_TEXT);
    case COLUMN_SET: return change_set(w, at, column->index, shown);
    case COLUMN_ENUM: return change_stage(w, at, column->index, shown);
    case COLUMN_BOOLEAN: {
        struct value value = value_int((int64_t)seeded_below(w->dice, 2));
        (void)ledger_op(w->ledger, w->tx, OP_NUMBER, at, column->index, value.as.integer);
        return update(w, &w->ledger->records[at], column->index, &value);
    }
    default: return change_number(w, at, column->index, shown, unit->policy == MERGE_COUNTER);
    }
}

/* ---- changes ---- */

static enum err change(struct writing *w, const struct model_table *table)
{
    uint32_t at = write_any_record(w, table);
    struct replica_record shown;
    if (at == NONE)
        return ERR_OK;
    enum err e =
        replica_get(w->node->replica, table, &w->ledger->records[at].id, &w->arena, &shown);
    if (e != ERR_OK || shown.record.dead)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    /* In some runs everybody is after the same few columns, so that they meet there. */
    uint64_t seed = w->world->plan->seed * 0x9e3779b97f4a7c15 >> 20;
    uint64_t wanted = seeded_below(w->dice, table->column_count);
    if ((seed >> 1 & 3) && seeded_below(w->dice, 3)) /* of an account: not those that route it */
        wanted =
            (seed >> 3) % (table->column_count > COLUMNS_HOT ? COLUMNS_HOT : table->column_count) +
            wanted % 2;
    uint64_t count =
        1 + (seeded_below(w->dice, 3) == 0); /* sometimes two fields of a form at once */
    for (uint64_t i = 0; e == ERR_OK && i < count; i++) {
        const struct model_column *column = &table->columns[(wanted + i) % table->column_count];
        e = change_column(w, at, table, column, &shown.record.values[column->index]);
    }
    return e;
}

static void route_values(struct writing *w, uint16_t bucket, struct value values[3])
{
    const struct ledger *l = w->ledger;
    values[0] = value_text(bytes_of_text(bucket == 0            ? "company"
                                         : bucket < BUCKET_USER ? "branch"
                                                                : "owner"));
    values[1] = bucket > 0 && bucket < BUCKET_USER
                    ? value_blob(bytes_of(l->branches[bucket - 1].byte, 16))
                    : value_null();
    values[2] = bucket >= BUCKET_USER
                    ? value_blob(bytes_of(l->people[bucket - BUCKET_USER].id.byte, 16))
                    : value_null();
}

static enum err insert_account(struct writing *w, bool forged)
{
    const struct model_table *table = write_table(w, "account");
    static const char *const names[] = {"name", "made", "visibility", "branch", "owner", "team"};
    const uint16_t count = w->world->sight ? 6 : 5;
    uint16_t columns[6], bucket = any_bucket(w, forged);
    struct value values[6];
    struct uuid id = {{0}};
    for (int i = 0; i < count; i++)
        columns[i] = column_of(table, names[i]);
    if (w->world->sight)
        people_route(w, bucket, values + 2);
    else
        route_values(w, bucket, values + 2);
    if (bucket == 0)
        w->ledger->txs[w->tx].forged = false; /* there is nothing that this user may not see */
    if (w->world->sight)
        bucket = 0; /* it will change: its texts have no canary of it */
    uint32_t at = ledger_insert(w->ledger, w->tx, table->index, bucket, NONE, &id);
    enum err e = ERR_OK;
    for (int i = 0; e == ERR_OK && i < 2; i++)
        e = text_of_token(w, ledger_op(w->ledger, w->tx, OP_TEXT, at, columns[i], 0), bucket,
                          &values[i]);
    if (e == ERR_OK)
        e = replica_insert(w->node->replica, table, &id, columns, values, count, &w->info);
    w->ledger->records[at].id = id;
    return e;
}

/* What the bytes of a photo of the account say. */
static void photo_canary(const struct writing *w, uint32_t account, char out[24])
{
    uint16_t bucket = w->ledger->records[account].bucket;
    out[0] = 0;
    if (w->world->sight)
        snprintf(out, 24, "@@r%u@@", account);
    else if (bucket)
        snprintf(out, 24, "@@%c%u@@", bucket < BUCKET_USER ? 'b' : 'u',
                 bucket < BUCKET_USER ? bucket : bucket - BUCKET_USER);
}

/* A line or a gift, or a photo: a child of an account. */
static enum err insert_child(struct writing *w, const struct model_table *table, bool photo)
{
    uint32_t parent =
        w->account != NONE ? w->account : write_any_record(w, write_table(w, "account"));
    struct replica_record shown;
    if (parent == NONE)
        return ERR_OK;
    const struct uuid *account = &w->ledger->records[parent].id;
    uint16_t bucket = w->ledger->records[parent].bucket;
    enum err e =
        replica_get(w->node->replica, write_table(w, "account"), account, &w->arena, &shown);
    if (e != ERR_OK || shown.record.dead)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    uint16_t columns[3] = {column_of(table, "account"), column_of(table, "what"), 2};
    struct value values[3] = {value_blob(bytes_of(account->byte, 16))};
    struct uuid id = {{0}};
    uint8_t hash[32];
    if (photo) {
        char canary[24];
        photo_canary(w, parent, canary);
        e = photos_make(w->node, w->dice, w->tx, canary, hash);
        if (e != ERR_OK)
            return e;
        values[2] = value_blob(bytes_of(hash, sizeof hash));
    }
    uint32_t at = ledger_insert(w->ledger, w->tx, table->index, bucket, parent, &id);
    e = text_of_token(w, ledger_op(w->ledger, w->tx, OP_TEXT, at, columns[1], 0), bucket,
                      &values[1]);
    if (e == ERR_OK)
        e = replica_insert(w->node->replica, table, &id, columns, values, photo ? 3 : 2, &w->info);
    w->ledger->records[at].id = id;
    return e;
}

/* Once the model has it, gifts are made as lines are. */
static const struct model_table *line_or_gift(struct writing *w)
{
    const struct model_table *gift = write_table(w, "gift");
    return gift && seeded_below(w->dice, 2) ? gift : write_table(w, "line");
}

enum err write_line_of(struct writing *w)
{
    return insert_child(w, line_or_gift(w), false);
}

static enum err insert_simple(struct writing *w, const char *table_name, const char *column_name)
{
    const struct model_table *table = write_table(w, table_name);
    uint16_t column = column_of(table, column_name);
    struct value value;
    struct uuid id = {{0}};
    uint32_t at = ledger_insert(w->ledger, w->tx, table->index, 0, NONE, &id);
    enum err e = text_of_token(w, ledger_op(w->ledger, w->tx, OP_TEXT, at, column, 0), 0, &value);
    if (e == ERR_OK)
        e = replica_insert(w->node->replica, table, &id, &column, &value, 1, &w->info);
    w->ledger->records[at].id = id;
    return e;
}

static enum err delete_or_restore(struct writing *w, const struct model_table *table, bool restore)
{
    struct replica_record shown = {0};
    uint32_t at = NONE;
    for (int tries = 0; tries < 10; tries++) { /* one that is dead, or alive */
        at = write_any_record(w, table);
        if (at == NONE)
            return ERR_OK;
        enum err found =
            replica_get(w->node->replica, table, &w->ledger->records[at].id, &w->arena, &shown);
        if (found != ERR_OK && found != ERR_NOT_FOUND)
            return found;
        if (found == ERR_OK && shown.record.dead == restore)
            break;
    }
    const struct uuid id = w->ledger->records[at].id;
    ledger_delete(w->node, w->tx, at, restore);
    enum err e = restore ? replica_restore(w->node->replica, table, &id, &w->info)
                         : replica_delete(w->node->replica, table, &id, &w->info);
    if (e == ERR_NOT_FOUND) {
        ledger_take_back(w->ledger, w->tx);
        return ERR_OK;
    }
    return e;
}

static enum err both_twins(struct writing *w)
{
    const struct model_table *table = write_table(w, "twin");
    if (w->ledger->twin_count == 0)
        return ERR_OK;
    const uint32_t *twins = w->ledger->twins[seeded_below(w->dice, w->ledger->twin_count)];
    struct replica_record shown[2];
    for (int i = 0; i < 2; i++) {
        enum err e = replica_get(w->node->replica, table, &w->ledger->records[twins[i]].id,
                                 &w->arena, &shown[i]);
        if (e != ERR_OK)
            return e == ERR_NOT_FOUND ? ERR_OK : e;
    }
    uint32_t op = ledger_op(w->ledger, w->tx, OP_TEXT, twins[0], 0, 0);
    struct value value;
    enum err e = text_of_token(w, op, 0, &value);
    ledger_replaces(w->ledger, w->tx, shown[0].record.values[0].as.bytes, value.as.bytes);
    ledger_replaces_own(w->node, w->tx, twins[0], 0);
    for (int i = 0; e == ERR_OK && i < 2; i++)
        e = update(w, &w->ledger->records[twins[i]], 0, &value);
    return e;
}

static enum err one_change(struct writing *w)
{
    uint64_t what = seeded_below(w->dice, 100);
    if (what < 12 || w->ledger->record_count < 6)
        return insert_account(w, false);
    if (what < 20)
        return what < 15 ? insert_child(w, write_table(w, "photo"), true) : write_line_of(w);
    if (what < 24)
        return insert_simple(w, "memo", "body");
    if (what < 34)
        return both_twins(w);
    if (what < 40)
        return delete_or_restore(w, write_table(w, seeded_below(w->dice, 2) ? "account" : "line"),
                                 false);
    if (what < 42)
        return delete_or_restore(w, write_table(w, "memo"), false);
    if (what < 46)
        return delete_or_restore(w, write_table(w, seeded_below(w->dice, 3) ? "account" : "line"),
                                 true);
    if (what < 58)
        return change(w, write_table(w, "memo"));
    if (what < 68)
        return change(w, line_or_gift(w));
    return change(w, write_table(w, "account"));
}

enum err write_journal(struct writing *w)
{
    const struct model_table *table = write_table(w, "journal");
    char text[32];
    struct uuid id = {{0}};
    const uint16_t column = 0;
    const struct value value = value_text(bytes_of(text, ledger_journal(w->tx, text)));
    w->ledger->txs[w->tx].journaled = true;
    return replica_insert(w->node->replica, table, &id, &column, &value, 1, &w->info);
}

/* ---- the transaction ---- */

static void ended(struct writing *w, enum err e, const struct dot *dot)
{
    struct world *world = w->world;
    struct tx *tx = &w->ledger->txs[w->tx];
    world_note(world, w->tx, e, dot->oseq);
    if (sim_disk_is_down(w->node->disk)) {
        tx->committed = tx->uncertain = true; /* nobody knows */
        world->cover[COVER_WRITES_UNCERTAIN]++;
    } else if (e == ERR_OK) {
        tx->committed = !dot_is_none(dot);
        tx->failed = !tx->committed;
        tx->dot = *dot;
        tx->here = true;
        world->cover[COVER_WRITES] += tx->committed;
    } else {
        bool fatal = err_class(e) == ERR_CLASS_FATAL;
        tx->committed = tx->uncertain = fatal;
        tx->failed = !fatal;
        world
            ->cover[err_class(e) == ERR_CLASS_INPUT ? COVER_WRITES_REFUSED : COVER_WRITES_FAILED]++;
    }
    say(world, "%s: transaction %u (%u changes%s): %s%s%s", w->node->name, w->tx, tx->op_count,
        tx->journaled ? ", journaled" : "", err_name(e), e == ERR_OK ? "" : " ", w->info.message);
}

static enum err run(struct writing *w, enum err (*body)(struct writing *w), struct dot *dot)
{
    struct replica *replica = w->node->replica;
    enum err e = replica_begin(replica, node_now(w->node).wall.ms);
    if (e != ERR_OK)
        return e;
    e = body(w);
    if (e == ERR_OK)
        return replica_commit(replica, dot);
    replica_rollback(replica);
    return e;
}

void write_transact(struct node *node, struct seeded_rng *dice, enum err (*body)(struct writing *w),
                    bool forged, uint32_t account)
{
    struct world *world = node->world;
    struct dot dot = {0};
    if (!node->running)
        return;
    struct writing w = {.world = world,
                        .node = node,
                        .dice = dice,
                        .model = replica_model(node->replica),
                        .ledger = world->ledger,
                        .account = account,
                        .tx = ledger_begin(world, node->number)};
    arena_init(&w.arena, 1 << 24);
    world->ledger->txs[w.tx].forged = forged;
    node_enter(node);
    enum err e = run(&w, body, &dot);
    node_leave(node);
    ended(&w, e, &dot);
    arena_done(&w.arena);
    if (node_check_power(node))
        return;
    if (err_class(e) == ERR_CLASS_FATAL) {
        node_stop(node, e);
        return;
    }
    if (e == ERR_OK) {
        oracle_reads_own(node, w.tx);
        photos_ask(node, dice);
        device_node_wrote(node);
    }
}

static enum err some_changes(struct writing *w)
{
    uint64_t count = 1 + seeded_below(w->dice, 3);
    enum err e = seeded_below(w->dice, 4) ? write_journal(w) : ERR_OK;
    for (uint64_t i = 0; e == ERR_OK && i < count; i++)
        e = one_change(w);
    return e;
}

static enum err forged_changes(struct writing *w)
{
    const struct ledger *l = w->ledger;
    const struct person *person = &l->people[w->node->user];
    enum err e = write_journal(w);
    if (e == ERR_OK && !person->all && !person->manager && seeded_below(w->dice, 2))
        e = insert_simple(w, "tariff", "label");
    else if (e == ERR_OK && !person->all)
        e = insert_account(w, true);
    else if (e == ERR_OK)
        w->ledger->txs[w->tx].forged = false; /* this one may do everything */
    if (e == ERR_OK)
        e = one_change(w);
    return e;
}

void write_transaction(struct node *node, struct seeded_rng *dice, bool forged)
{
    write_transact(node, dice, forged ? forged_changes : some_changes, forged, NONE);
}

static enum err line_alone(struct writing *w)
{
    enum err e = write_journal(w);
    return e == ERR_OK ? write_line_of(w) : e;
}

void write_line(struct node *node, struct seeded_rng *dice, uint32_t account)
{
    write_transact(node, dice, line_alone, false, account);
}

static enum err make_twins(struct writing *w)
{
    struct ledger *l = w->ledger;
    const struct model_table *table = write_table(w, "twin");
    enum err e = write_journal(w);
    for (; e == ERR_OK && l->twin_count < TWINS_MAX; l->twin_count++) {
        const uint16_t column = 0;
        struct value value = value_null();
        uint32_t *twins = l->twins[l->twin_count];
        for (int i = 0; e == ERR_OK && i < 2; i++) {
            struct uuid id = {{0}};
            twins[i] = ledger_insert(l, w->tx, table->index, 0, NONE, &id);
            if (i == 0)
                e = text_of_token(w, ledger_op(l, w->tx, OP_TEXT, twins[0], 0, 0), 0, &value);
            if (e == ERR_OK)
                e = replica_insert(w->node->replica, table, &id, &column, &value, 1, &w->info);
            l->records[twins[i]].id = id;
        }
    }
    return e;
}

void write_twins(struct node *node)
{
    struct seeded_rng dice;
    seeded_rng_start(&dice, 1);
    write_transact(node, &dice, make_twins, false, NONE);
}
