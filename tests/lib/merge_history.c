#include "tests/lib/merge_history.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/hlc.h"

enum { GROUP_MAX = 12 };

static void *need(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_calloc(arena, count + 1, size);
    if (memory == NULL)
        abort();
    return memory;
}

int history_below(struct history *h, int bound)
{
    return (int)seeded_below(&h->rng, (uint64_t)bound);
}

static void make_model(struct history *h)
{
    static const enum unit_kind all[] = {
        KIND_LWW,    KIND_LWW_GROUP, KIND_UPSTREAM,      KIND_FIRST,
        KIND_MANUAL, KIND_MAX,       KIND_MIN,           KIND_COUNTER,
        KIND_SET,    KIND_APPEND,    KIND_RESTRICT_FLAG, KIND_RESTRICT_SYMBOL,
        KIND_TEXT,   KIND_FSM};
    static const enum unit_kind top[] = {KIND_LWW, KIND_TEXT, KIND_COUNTER};
    static const enum unit_kind middle[] = {KIND_PARENT, KIND_FIRST, KIND_SET};
    static const enum unit_kind line[] = {KIND_PARENT, KIND_LWW_GROUP, KIND_MAX};
    merge_model_init(&h->model);
    h->wide = merge_model_add(&h->model, "wide", DELETE_REVIVES, NULL, all, 14);
    h->top = merge_model_add(&h->model, "top", DELETE_REVIVES, NULL, top, 3);
    h->middle = merge_model_add(&h->model, "middle", DELETE_REVIVES, h->top, middle, 3);
    h->line = merge_model_add(&h->model, "line", DELETE_WINS, h->middle, line, 3);
    h->wins = merge_model_add(&h->model, "wins", DELETE_WINS, NULL, top, 3);
    h->never = merge_model_add(&h->model, "never", DELETE_NEVER, NULL, top, 1);
    h->manual = merge_model_add(&h->model, "manual", DELETE_MANUAL, NULL, &all[3], 3);
}

static const char *const words[] = {"a", "b", "c", "d"};

static struct value random_text(struct history *h, const struct value *seen)
{
    struct bytes in = seen != NULL && seen->kind == VALUE_TEXT
                          ? seen->as.bytes
                          : bytes_of_text("l0\nl1\nl2\nl3\nl4\nl5\nl6\n");
    uint8_t *out = need(&h->arena, in.size + 16, 1);
    int at = 0, line = 2 * history_below(h, 4), what = history_below(h, 8);
    size_t size = 0;
    for (size_t i = 0; i < in.size; i++) {
        if (at != line)
            out[size++] = in.data[i];
        else if (in.data[i] == '\n' && what > 0)
            size += (size_t)snprintf((char *)out + size, 10, "n%d.%d\n", h->op_count,
                                     what == 1 ? 0 : history_below(h, 2));
        at += in.data[i] == '\n' ? 1 : 0;
    }
    return value_text(bytes_of(out, size));
}

static const char *const set_texts[] = {"[]", "[\"a\"]", "[\"a\",\"b\"]", "[\"c\",\"d\"]"};

static const struct value *random_values(struct history *h, const struct model_unit *unit,
                                         const struct value *seen)
{
    struct value *values = need(&h->arena, 2, sizeof *values);
    int which = history_below(h, 4);
    if (history_below(h, 12) == 0 && unit->policy != MERGE_COUNTER && unit->policy != MERGE_FSM) {
        values[0] = values[1] = value_null(); /* cleared */
        return values;
    }
    switch (unit_kind_of(unit)) {
    case KIND_LWW_GROUP:
        values[0] = value_int(which);
        values[1] = value_text(bytes_of_text(words[history_below(h, 4)]));
        break;
    case KIND_UPSTREAM:
    case KIND_MAX:
    case KIND_MIN:
    case KIND_COUNTER: values[0] = value_int(which - 1); break;
    case KIND_RESTRICT_FLAG: values[0] = value_int(which & 1); break;
    case KIND_RESTRICT_SYMBOL:
        values[0] = value_text(bytes_of_text(restrict_symbols[which % 3]));
        break;
    case KIND_FSM: values[0] = value_text(bytes_of_text(fsm_symbols[which])); break;
    case KIND_TEXT: values[0] = random_text(h, seen); break;
    case KIND_SET: values[0] = value_text(bytes_of_text(set_texts[which])); break;
    case KIND_LWW:
    case KIND_FIRST:
    case KIND_MANUAL:
    case KIND_APPEND:
    case KIND_PARENT:
    case KIND_COUNT:
    default: values[0] = value_text(bytes_of_text(words[which])); break;
    }
    return values;
}

/* A move that the declared transitions allow, most of the time. */
static bool plausible(struct history *h, const struct author *a, const struct model_unit *unit,
                      const struct value *value)
{
    if (unit->policy == MERGE_APPEND || unit->policy == MERGE_UPSTREAM)
        return history_below(h, 6) == 0;
    if (unit->policy != MERGE_FSM || history_below(h, 20) == 0)
        return true;
    const struct value *from = &a->state.shown[unit->columns[0]];
    if (from->kind == VALUE_NULL || value_equal(from, value))
        return true;
    for (uint16_t i = 0; i < unit->transition_count; i++)
        if (bytes_equal(from->as.bytes, bytes_of_text(fsm_symbols[unit->transitions[i].from])) &&
            bytes_equal(value->as.bytes, bytes_of_text(fsm_symbols[unit->transitions[i].to])))
            return true;
    return false;
}

static struct mutation make_insert(struct history *h, int record)
{
    struct author a;
    const struct known_record *k = &h->records[record];
    author_start(&a, &h->arena, NULL, MUTATION_INSERT, k->table, &k->id);
    for (uint16_t i = 0; i < k->table->unit_count; i++) {
        const struct model_unit *unit = &k->table->units[i];
        struct value *parent = need(&h->arena, 1, sizeof *parent);
        if (unit_kind_of(unit) == KIND_PARENT) {
            *parent = value_blob(bytes_of(&h->records[k->parent].id, sizeof(struct uuid)));
            author_write(&a, unit, parent, false);
        } else if (history_below(h, 4) > 0) {
            author_write(&a, unit, random_values(h, unit, NULL), false);
        }
    }
    return a.mutation;
}

static bool make_writes(struct history *h, struct author *a)
{
    const struct model_table *table = a->mutation.table;
    int chance = history_below(h, 3) == 0 ? 2 : 6;
    for (uint16_t i = 0; i < table->unit_count; i++) {
        const struct model_unit *unit = &table->units[i];
        if (unit_kind_of(unit) == KIND_PARENT ||
            (table->unit_count > 1 && history_below(h, chance) > 0))
            continue;
        if (unit->policy == MERGE_SET) {
            author_set(a, unit, history_below(h, 2) > 0 ? words[history_below(h, 4)] : NULL,
                       history_below(h, 2) > 0 ? words[history_below(h, 4)] : NULL);
            continue;
        }
        const struct value *values = random_values(h, unit, &a->state.shown[unit->columns[0]]);
        if (a->mutation.op == MUTATION_RESTORE && unit->carries_base && unit->policy != MERGE_LWW)
            continue;
        if (plausible(h, a, unit, values))
            author_write(a, unit, values, history_below(h, 2) > 0);
    }
    return a->mutation.write_count > 0;
}

/* The delete of a record and of everything live below it. */
static uint32_t make_deletes(struct history *h, const struct oracle *view, int record,
                             struct mutation *out, uint32_t room)
{
    struct author a;
    const struct known_record *k = &h->records[record];
    if (room == 0 || !oracle_present(view, k->table, &k->id) || oracle_dead(view, k->table, &k->id))
        return 0;
    author_start(&a, &h->arena, view, MUTATION_DELETE, k->table, &k->id);
    out[0] = a.mutation;
    uint32_t count = 1;
    for (int i = 0; i < h->record_count; i++)
        if (h->records[i].parent == record)
            count += make_deletes(h, view, i, out + count, room - count);
    return count;
}

static int add_record(struct history *h, const struct model_table *table, int parent)
{
    assert(h->record_count < HISTORY_RECORDS);
    h->records[h->record_count] = (struct known_record){
        table,
        {{(uint8_t)(1 + history_below(h, 250)), [15] = (uint8_t)(h->record_count + 1)}},
        parent};
    return h->record_count++;
}

/* A new record: below one that the author sees live, or of its own. */
static bool make_new(struct history *h, const struct oracle *view, struct mutation *out)
{
    const struct model_table *alone[] = {h->wide, h->top, h->wins, h->never, h->manual};
    if (h->record_count == HISTORY_RECORDS)
        return false;
    int parent = history_below(h, h->record_count);
    const struct known_record *k = &h->records[parent];
    const struct model_table *below_it = k->table == h->top      ? h->middle
                                         : k->table == h->middle ? h->line
                                                                 : NULL;
    if (below_it == NULL || !oracle_present(view, k->table, &k->id) ||
        oracle_dead(view, k->table, &k->id)) {
        below_it = alone[history_below(h, 5)];
        parent = -1;
    }
    *out = make_insert(h, add_record(h, below_it, parent));
    return true;
}

static uint32_t make_mutations(struct history *h, const struct oracle *view, struct mutation *out,
                               uint32_t room)
{
    int record = history_below(h, h->record_count), what = history_below(h, 20);
    const struct known_record *k = &h->records[record];
    struct author a;
    if (what == 0 && make_new(h, view, out))
        return 1;
    if (!oracle_present(view, k->table, &k->id))
        return 0;
    bool dead = oracle_dead(view, k->table, &k->id);
    if (what < 4 || (what < 8 && k->table->parent_column >= 0))
        return make_deletes(h, view, record, out, room);
    author_start(&a, &h->arena, view, dead && what < 16 ? MUTATION_RESTORE : MUTATION_UPDATE,
                 k->table, &k->id);
    if (!make_writes(h, &a) && a.mutation.op == MUTATION_UPDATE)
        return 0;
    *out = a.mutation;
    return 1;
}

static int record_of(const struct history *h, const struct mutation *m)
{
    for (int i = 0; i < h->record_count; i++)
        if (uuid_equal(&h->records[i].id, &m->id))
            return i;
    abort();
}

static bool is_above(const struct history *h, int above, int record)
{
    while (record >= 0 && record != above)
        record = h->records[record].parent;
    return record >= 0;
}

/* Whether the two cannot stand in one group: the same record, or something done to a record below one
 * that is deleted (the delete would have taken it along). */
static bool exclude_each_other(const struct history *h, const struct mutation *a,
                               const struct mutation *b)
{
    int x = record_of(h, a), y = record_of(h, b);
    return x == y || (a->op == MUTATION_DELETE && b->op != MUTATION_DELETE && is_above(h, x, y)) ||
           (b->op == MUTATION_DELETE && a->op != MUTATION_DELETE && is_above(h, y, x));
}

static void add_operation(struct history *h, int replica, struct mutation *mutations,
                          uint32_t count)
{
    struct operation *op = &h->ops[h->op_count];
    /* Clones share origin and oseq now and then; coarse stamps make ties. */
    uint64_t origin = history_below(h, 15) == 0 ? 77 : 100 + (uint64_t)((replica * 5) % 9);
    int64_t ms = 4000000000000 + h->skew[replica] + h->op_count / 3;
    op->group.dot = (struct dot){origin, ++h->oseq[replica], 1 + (uint32_t)h->op_count};
    op->group.stamp = hlc_make(ms, 0);
    op->group.mutations = mutations;
    op->group.mutation_count = count;
    op->past = h->known[replica];
    op->op = (struct oracle_op){&op->group, op->group.stamp, false};
    op->shown = (struct oracle_op){&op->group, op->group.stamp, true};
    h->known[replica] |= 1ull << h->op_count++;
}

static void make_operation(struct history *h, int replica)
{
    const struct oracle_op **ops = need(&h->scratch, HISTORY_OPS, sizeof *ops);
    struct oracle *view = need(&h->scratch, 1, sizeof *view);
    uint32_t known = 0, count = 0;
    for (int i = 0; i < h->op_count; i++)
        if ((h->known[replica] >> i & 1) != 0)
            ops[known++] = &h->ops[i].op;
    oracle_init(view, &h->model.model, ops, known, &h->arena);
    struct mutation *mutations = need(&h->arena, GROUP_MAX, sizeof *mutations);
    for (int i = 1 + history_below(h, 3); i > 0; i--) {
        struct mutation more[GROUP_MAX];
        uint32_t n = make_mutations(h, view, more, GROUP_MAX - count);
        bool again = false;
        for (uint32_t j = 0; j < n * count; j++)
            again = again || exclude_each_other(h, &mutations[j % count], &more[j / count]);
        if (again || count + n > GROUP_MAX)
            continue;
        memcpy(mutations + count, more, n * sizeof *more);
        count += n;
    }
    for (uint32_t i = count; i > 1; i--) { /* any order within the group */
        uint32_t j = (uint32_t)history_below(h, (int)i);
        struct mutation swap = mutations[i - 1];
        mutations[i - 1] = mutations[j];
        mutations[j] = swap;
    }
    if (count > 0)
        add_operation(h, replica, mutations, count);
    arena_reset(&h->scratch);
}

void history_make(struct history *h, uint64_t seed)
{
    static const int64_t skews[] = {0, 0, 0, 1, -1, 40, 94608000000, -94608000000};
    memset(h, 0, sizeof *h);
    h->seed = seed;
    seeded_rng_start(&h->rng, seed);
    arena_init(&h->arena, 64 << 20);
    arena_init(&h->scratch, 64 << 20);
    make_model(h);
    h->replicas = 2 + history_below(h, HISTORY_REPLICAS - 1);
    for (int i = 0; i < h->replicas; i++)
        h->skew[i] = skews[history_below(h, 8)];
    struct mutation *first = need(&h->arena, 8, sizeof *first);
    uint32_t count = 0;
    int top = add_record(h, h->top, -1);
    int middle = add_record(h, h->middle, top);
    add_record(h, h->line, middle);
    if (history_below(h, 2) > 0)
        add_record(h, h->middle, top);
    if (history_below(h, 3) > 0)
        add_record(h, h->wide, -1);
    if (history_below(h, 3) == 0)
        add_record(h, h->wins, -1);
    if (history_below(h, 3) == 0)
        add_record(h, h->manual, -1);
    for (int i = 0; i < h->record_count; i++)
        first[count++] = make_insert(h, i);
    add_operation(h, 0, first, count);
    for (int i = 0; i < h->replicas; i++)
        h->known[i] = 1;
    int wanted = 4 + history_below(h, HISTORY_OPS - 3), talk = 1 + history_below(h, 6);
    for (int steps = 0; h->op_count < wanted && steps < 400; steps++) {
        int replica = history_below(h, h->replicas);
        if (history_below(h, 8) < talk)
            h->known[replica] |= h->known[history_below(h, h->replicas)];
        else
            make_operation(h, replica);
    }
}

void history_done(struct history *h)
{
    arena_done(&h->arena);
    arena_done(&h->scratch);
}
