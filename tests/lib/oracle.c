/* oracle.c - see oracle.h. Naive on purpose: no state is carried from one question to the next. */
#include "tests/lib/oracle_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void *oracle_need(const struct oracle *o, size_t count, size_t size)
{
    void *memory = arena_calloc(o->arena, count + 1, size);
    if (memory == NULL)
        abort();
    return memory;
}

/* --- Dots and values ------------------------------------------------------------------------- */

int oracle_order_dots(const struct dot *a, const struct dot *b)
{
    if (a->origin != b->origin)
        return a->origin < b->origin ? -1 : 1;
    if (a->oseq != b->oseq)
        return a->oseq < b->oseq ? -1 : 1;
    if (a->tag != b->tag)
        return a->tag < b->tag ? -1 : 1;
    return 0;
}

bool oracle_names(struct dot_set set, const struct dot *dot)
{
    for (uint16_t i = 0; i < set.count; i++)
        if (oracle_order_dots(&set.dots[i], dot) == 0)
            return true;
    return false;
}

/* --- What is in the set of operations -------------------------------------------------------- */

const struct mutation *oracle_mutation_of(const struct oracle *o, uint32_t op,
                                          const struct model_table *table, const struct uuid *id)
{
    const struct group *group = o->ops[op]->group;
    for (uint32_t i = 0; i < group->mutation_count; i++) {
        const struct mutation *m = &group->mutations[i];
        if (m->table == table && memcmp(&m->id, id, sizeof *id) == 0)
            return (o->refused[op] >> i & 1) != 0 ? NULL : m;
    }
    return NULL;
}

/* The first n operations' insert of the record. */
const struct mutation *oracle_insert_of(const struct oracle *o, uint32_t n,
                                        const struct model_table *table, const struct uuid *id,
                                        uint32_t *ret_op)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct mutation *m = oracle_mutation_of(o, i, table, id);
        if (m != NULL && m->op == MUTATION_INSERT) {
            *ret_op = i;
            return m;
        }
    }
    return NULL;
}

const struct unit_write *oracle_write_of(const struct mutation *m, const struct model_unit *unit)
{
    for (uint16_t i = 0; i < m->write_count; i++)
        if (m->writes[i].unit->index == unit->index)
            return &m->writes[i];
    return NULL;
}

/* The writes of a unit among the first n operations, in order of decision. */
uint32_t oracle_writes_of(const struct oracle *o, uint32_t n, const struct model_table *table,
                          const struct uuid *id, const struct model_unit *unit,
                          struct unit_op out[ORACLE_OPS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct mutation *m = oracle_mutation_of(o, i, table, id);
        if (m == NULL)
            continue;
        const struct unit_write *write = oracle_write_of(m, unit);
        if (m->op == MUTATION_INSERT || write != NULL)
            out[count++] = (struct unit_op){i, m->op == MUTATION_INSERT, m, write};
    }
    return count;
}

const struct dot *oracle_dot_of(const struct oracle *o, const struct unit_op *write)
{
    return &o->ops[write->op]->group->dot;
}

/* Whether `later` names the dot of `earlier` as seen; an empty set is the insert's dot. */
static bool saw(const struct oracle *o, const struct unit_op *later, const struct unit_op *earlier)
{
    if (later->insert)
        return false;
    if (later->write->seen.count == 0)
        return earlier->insert;
    return oracle_names(later->write->seen, oracle_dot_of(o, earlier));
}

bool oracle_is_maximal(const struct oracle *o, const struct unit_op *writes, uint32_t count,
                       uint32_t which)
{
    for (uint32_t i = 0; i < count; i++)
        if (i != which && saw(o, &writes[i], &writes[which]))
            return false;
    return true;
}

static bool has_ranks(const struct model_unit *unit)
{
    return unit->policy == MERGE_FIRST || unit->policy == MERGE_MANUAL || unit->policy == MERGE_FSM;
}

/* The place in the order of decision of a write, or the lowest of those that it replaced: what it
 * saw and was still in the frontier when it was decided. */
static uint64_t rank_of(const struct oracle *o, const struct unit_op *writes, uint32_t which)
{
    if (o->ops[writes[which].op]->pending)
        return RANK_PENDING;
    uint64_t rank = UINT64_MAX;
    for (uint32_t i = 0; i < which; i++) {
        if (saw(o, &writes[which], &writes[i]) && oracle_is_maximal(o, writes, which, i)) {
            uint64_t inherited = rank_of(o, writes, i);
            rank = inherited < rank ? inherited : rank;
        }
    }
    return rank != UINT64_MAX ? rank : writes[which].op + 1;
}

/* --- Checks ---------------------------------------------------------------------------------- */

static bool sees_exactly_the_frontier(const struct oracle *o, uint32_t n, const struct mutation *m,
                                      const struct unit_write *write)
{
    struct unit_op writes[ORACLE_OPS_MAX];
    uint32_t count = oracle_writes_of(o, n, m->table, &m->id, write->unit, writes);
    struct unit_op self = {n, false, m, write};
    uint32_t current = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (oracle_is_maximal(o, writes, count, i)) {
            current++;
            if (!saw(o, &self, &writes[i]))
                return false;
        }
    }
    return current == (write->seen.count == 0 ? 1 : write->seen.count);
}

int oracle_symbol_of(const struct model_column *column, const struct value *value)
{
    if (value->kind != VALUE_TEXT)
        return -1;
    for (int i = 0; i < column->symbol_count; i++)
        if (bytes_equal(bytes_of_text(column->symbols[i]), value->as.bytes))
            return i;
    return -1;
}

static bool transition_declared(const struct model_table *table, const struct unit_write *write)
{
    const struct model_column *column = &table->columns[write->unit->columns[0]];
    if (write->base == NULL || write->base[0].kind == VALUE_NULL)
        return true; /* from "not set" any symbol may be set, as by an insert */
    int from = oracle_symbol_of(column, &write->base[0]);
    int to = oracle_symbol_of(column, &write->values[0]);
    for (uint16_t i = 0; i < write->unit->transition_count; i++)
        if (write->unit->transitions[i].from == from && write->unit->transitions[i].to == to)
            return true;
    return from == to;
}

/* Why the mutation of operation n does not count, given those before it. */
static enum reason judge(const struct oracle *o, uint32_t n, const struct mutation *m)
{
    uint32_t inserted;
    bool present = oracle_insert_of(o, n, m->table, &m->id, &inserted) != NULL;
    if (m->op == MUTATION_INSERT)
        return present ? REASON_EXISTS : REASON_NONE;
    if (!present)
        return REASON_NO_RECORD;
    if (m->op == MUTATION_DELETE)
        return m->table->delete_policy == DELETE_NEVER ? REASON_NO_DELETE : REASON_NONE;
    for (uint16_t i = 0; i < m->write_count; i++) {
        const struct unit_write *write = &m->writes[i];
        if (write->unit->policy == MERGE_APPEND)
            return REASON_APPEND_ONLY;
        if (write->unit->policy == MERGE_UPSTREAM && !sees_exactly_the_frontier(o, n, m, write))
            return REASON_UPSTREAM;
        if (write->unit->policy == MERGE_FSM && !transition_declared(m->table, write))
            return REASON_TRANSITION;
    }
    return REASON_NONE;
}

void oracle_init(struct oracle *o, const struct model *model, const struct oracle_op *const *ops,
                 uint32_t count, struct arena *arena)
{
    assert(count <= ORACLE_OPS_MAX);
    o->model = model;
    o->arena = arena;
    o->ops = ops;
    o->count = count;
    o->trees = false;
    for (uint16_t i = 0; i < model->table_count; i++)
        o->trees = o->trees || model->tables[i].parent_column >= 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct group *group = ops[i]->group;
        assert(group->mutation_count <= ORACLE_MUTATIONS_MAX);
        o->refused[i] = 0;
        o->reason[i] = REASON_NONE;
        for (uint32_t j = 0; j < group->mutation_count; j++) {
            enum reason reason = judge(o, i, &group->mutations[j]);
            if (reason == REASON_NONE)
                continue;
            if (o->reason[i] == REASON_NONE)
                o->reason[i] = reason;
            o->refused[i] |= ops[i]->pending ? 1u << j : UINT32_MAX;
        }
    }
    oracle_judge_deletes(o);
}

bool oracle_present(const struct oracle *o, const struct model_table *table, const struct uuid *id)
{
    uint32_t op;
    return oracle_insert_of(o, o->count, table, id, &op) != NULL;
}

/* --- A record ---------------------------------------------------------------------------------- */

/* The values of an insert, fallbacks included. */
static const struct value *values_of(const struct oracle *o, const struct model_table *table,
                                     const struct model_unit *unit, const struct unit_op *write)
{
    if (write->write != NULL)
        return write->write->values;
    struct value *values = oracle_need(o, unit->column_count, sizeof *values);
    for (uint16_t i = 0; i < unit->column_count; i++)
        values[i] = table->columns[unit->columns[i]].fallback;
    return values;
}

static int order_candidates(const void *a, const void *b)
{
    const struct oracle_candidate *x = a, *y = b;
    return oracle_order_dots(&x->dot, &y->dot);
}

static void unit_state(const struct oracle *o, const struct model_table *table,
                       const struct uuid *id, const struct model_unit *unit,
                       struct oracle_unit *ret, struct value *shown)
{
    struct unit_op writes[ORACLE_OPS_MAX];
    uint32_t count = oracle_writes_of(o, o->count, table, id, unit, writes);
    bool plain = unit->policy != MERGE_COUNTER && unit->policy != MERGE_SET;
    ret->exact = true;
    ret->candidates = oracle_need(o, count, sizeof *ret->candidates);
    for (uint32_t i = 0; i < count; i++) {
        if (!oracle_is_maximal(o, writes, count, i))
            continue;
        struct oracle_candidate *c = &ret->candidates[ret->count++];
        c->dot = *oracle_dot_of(o, &writes[i]);
        c->stamp = o->ops[writes[i].op]->stamp;
        c->rank = has_ranks(unit) ? rank_of(o, writes, i) : 0;
        c->values = plain ? values_of(o, table, unit, &writes[i]) : NULL;
        c->base = writes[i].write != NULL ? writes[i].write->base : NULL;
    }
    qsort(ret->candidates, ret->count, sizeof *ret->candidates, order_candidates);
    const struct value *first = NULL;
    for (uint32_t i = 0; i < count; i++)
        if (writes[i].insert)
            first = values_of(o, table, unit, &writes[i]);
    if (unit->policy == MERGE_COUNTER)
        oracle_show_counter(writes, count, first, &shown[unit->columns[0]]);
    else if (unit->policy == MERGE_SET)
        oracle_show_set(o, writes, count, first, ret, &shown[unit->columns[0]]);
    else
        oracle_show_policy(o, table, unit, ret, shown);
}

void oracle_record(const struct oracle *o, const struct model_table *table, const struct uuid *id,
                   struct oracle_record *ret)
{
    uint32_t inserted;
    memset(ret, 0, sizeof *ret);
    if (oracle_insert_of(o, o->count, table, id, &inserted) == NULL)
        return;
    ret->present = true;
    ret->dead = oracle_dead(o, table, id);
    ret->insert = o->ops[inserted]->group->dot;
    ret->insert_stamp = o->ops[inserted]->stamp;
    ret->units = oracle_need(o, table->unit_count, sizeof *ret->units);
    ret->shown = oracle_need(o, table->column_count, sizeof *ret->shown);
    for (uint16_t i = 0; i < table->unit_count; i++)
        unit_state(o, table, id, &table->units[i], &ret->units[i], ret->shown);
}
