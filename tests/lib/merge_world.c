#include "tests/lib/merge_world.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *need(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_calloc(arena, count + 1, size);
    if (memory == NULL)
        abort();
    return memory;
}

/* --- The world --------------------------------------------------------------------------------- */

struct record *world_find(struct merge_world *world, const struct model_table *table,
                          const struct uuid *id)
{
    for (uint32_t i = 0; i < world->count; i++)
        if (world->slots[i].table == table && memcmp(&world->slots[i].id, id, sizeof *id) == 0)
            return &world->slots[i].record;
    return NULL;
}

/* The values are copied, so that an engine that writes into them changes nothing here. */
static enum err world_get(void *context, const struct model_table *table, const struct uuid *id,
                          struct arena *arena, struct record *ret)
{
    const struct record *found = world_find(context, table, id);
    memset(ret, 0, sizeof *ret);
    if (found == NULL)
        return ERR_OK;
    *ret = *found;
    ret->values = need(arena, table->column_count, sizeof *ret->values);
    memcpy(ret->values, found->values, table->column_count * sizeof *ret->values);
    return ERR_OK;
}

static enum err world_children(void *context, const struct model_table *table,
                               const struct uuid *parent, struct arena *arena,
                               const struct uuid **ret_ids, uint32_t *ret_count)
{
    struct merge_world *world = context;
    struct uuid *ids = need(arena, world->count, sizeof *ids);
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->count; i++) {
        const struct world_slot *slot = &world->slots[i];
        if (slot->table != table || table->parent_column < 0)
            continue;
        const struct value *value = &slot->record.values[table->parent_column];
        if (value->kind == VALUE_BLOB && bytes_equal(value->as.bytes, bytes_of(parent, 16)))
            ids[count++] = slot->id;
    }
    *ret_ids = ids;
    *ret_count = count;
    return ERR_OK;
}

enum err world_apply(struct merge_world *world, const struct merge_context *context,
                     const struct group *group, struct apply_report *ret)
{
    struct apply_world seam = {world, world_get, world_children};
    memset(ret, 0, sizeof *ret);
    enum err e = apply_group(world->model, context, &seam, group, ret);
    if (e != ERR_OK || (ret->reason != REASON_NONE && context->mode == MERGE_DECIDE))
        return e;
    for (uint32_t i = 0; i < ret->count; i++) {
        const struct applied_record *applied = &ret->records[i];
        struct record *record = world_find(world, applied->table, &applied->id);
        if (record == NULL) {
            assert(world->count < world->capacity);
            struct world_slot *slot = &world->slots[world->count++];
            slot->table = applied->table;
            slot->id = applied->id;
            record = &slot->record;
        }
        *record = applied->record;
    }
    return ERR_OK;
}

/* --- Authors ------------------------------------------------------------------------------------ */

static struct dot_set frontier_of(struct arena *arena, const struct oracle_unit *unit)
{
    struct dot *dots = need(arena, unit->count, sizeof *dots);
    for (uint32_t i = 0; i < unit->count; i++)
        dots[i] = unit->candidates[i].dot;
    return (struct dot_set){dots, (uint16_t)unit->count};
}

static bool only_insert(const struct oracle_record *state, const struct oracle_unit *unit)
{
    return unit->count == 1 && dot_equal(&unit->candidates[0].dot, &state->insert);
}

static void see_frontier(struct author *a)
{
    const struct model_table *table = a->mutation.table;
    struct unit_seen *seen = need(a->arena, table->unit_count, sizeof *seen);
    for (uint16_t i = 0; i < table->unit_count; i++) {
        if (only_insert(&a->state, &a->state.units[i]))
            continue;
        seen[a->mutation.frontier_count].unit = i;
        seen[a->mutation.frontier_count++].seen = frontier_of(a->arena, &a->state.units[i]);
    }
    a->mutation.frontier = seen;
}

/* A restore names every delete that holds, as far as its author knows. */
static void see_deletes(struct author *a)
{
    struct dot *dots = need(a->arena, a->view->count, sizeof *dots);
    uint16_t count = 0;
    for (uint32_t i = 0; i < a->view->count; i++)
        if (oracle_delete_holds(a->view, i, a->mutation.table, &a->mutation.id))
            dots[count++] = a->view->ops[i]->group->dot;
    a->mutation.deletes = (struct dot_set){dots, dot_sort(dots, count)};
}

void author_start(struct author *a, struct arena *arena, const struct oracle *view,
                  enum mutation_op op, const struct model_table *table, const struct uuid *id)
{
    memset(a, 0, sizeof *a);
    a->arena = arena;
    a->view = view;
    a->mutation.table = table;
    a->mutation.op = op;
    a->mutation.id = *id;
    a->mutation.writes = a->writes = need(arena, table->unit_count, sizeof *a->writes);
    if (op == MUTATION_INSERT)
        return;
    oracle_record(view, table, id, &a->state);
    a->mutation.insert = a->state.insert;
    if (op == MUTATION_DELETE)
        see_frontier(a);
    else if (op == MUTATION_RESTORE)
        see_deletes(a);
}

static struct unit_write *add_write(struct author *a, const struct model_unit *unit,
                                    bool explicit_seen)
{
    struct unit_write *write = &a->writes[a->mutation.write_count++];
    assert(a->mutation.write_count == 1 || write[-1].unit->index < unit->index);
    write->unit = unit;
    if (a->mutation.op == MUTATION_INSERT)
        return write;
    const struct oracle_unit *state = &a->state.units[unit->index];
    if (explicit_seen || !only_insert(&a->state, state))
        write->seen = frontier_of(a->arena, state);
    if (unit->carries_base && a->mutation.op == MUTATION_UPDATE) {
        struct value *base = need(a->arena, unit->column_count, sizeof *base);
        for (uint16_t i = 0; i < unit->column_count; i++)
            base[i] = a->state.shown[unit->columns[i]];
        write->base = base;
    }
    return write;
}

void author_write(struct author *a, const struct model_unit *unit, const struct value *values,
                  bool explicit_seen)
{
    add_write(a, unit, explicit_seen)->values = values;
}

void author_set(struct author *a, const struct model_unit *unit, const char *add,
                const char *removal)
{
    struct unit_write *write = add_write(a, unit, false);
    const struct oracle_unit *state = &a->state.units[unit->index];
    if (add != NULL) {
        struct bytes *adds = need(a->arena, 1, sizeof *adds);
        adds[0] = bytes_of_text(add);
        write->adds = adds;
        write->add_count = 1;
    }
    if (removal == NULL)
        return;
    struct set_pair *removes = need(a->arena, state->pair_count, sizeof *removes);
    for (uint32_t i = 0; i < state->pair_count; i++)
        if (bytes_equal(state->pairs[i].element, bytes_of_text(removal)))
            removes[write->remove_count++] = state->pairs[i];
    write->removes = removes;
}

/* --- Comparison --------------------------------------------------------------------------------- */

#define DIFFERS(...) (snprintf(why, MERGE_WHY_SIZE, __VA_ARGS__), false)

static void value_print(const struct value *value, char *out, size_t size)
{
    if (value->kind == VALUE_INT)
        snprintf(out, size, "%" PRId64, value->as.integer);
    else if (value->kind == VALUE_TEXT)
        snprintf(out, size, "\"%.*s\"", (int)value->as.bytes.size,
                 (const char *)value->as.bytes.data);
    else
        snprintf(out, size, "%s", value->kind == VALUE_NULL ? "NULL" : "(blob or real)");
}

static bool same_value(const char *what, const char *unit, const struct value *got,
                       const struct value *expected, char *why)
{
    char a[300], b[300];
    if (value_equal(got, expected))
        return true;
    value_print(got, a, sizeof a);
    value_print(expected, b, sizeof b);
    return DIFFERS("%s of %s is %s, expected %s", what, unit, a, b);
}

/* Ranks are compared by their order: the product counts revisions, the oracle decisions. */
static bool same_rank_order(const struct model_unit *unit, const struct unit_state *got,
                            const struct oracle_unit *expected, char *why)
{
    if (unit->policy != MERGE_FIRST && unit->policy != MERGE_MANUAL && unit->policy != MERGE_FSM)
        return true;
    for (uint16_t i = 0; i < got->count; i++) {
        uint64_t a = got->candidates[i].rank, x = expected->candidates[i].rank;
        if ((a == RANK_PENDING) != (x == RANK_PENDING))
            return DIFFERS("%s: rank of candidate %u is %" PRIu64 ", expected %" PRIu64, unit->name,
                           i, a, x);
        for (uint16_t j = 0; j < i; j++) {
            uint64_t b = got->candidates[j].rank, y = expected->candidates[j].rank;
            if ((a < b) != (x < y) || (a == b) != (x == y))
                return DIFFERS("%s: ranks %" PRIu64 " and %" PRIu64
                               ", expected the order of %" PRIu64 " and %" PRIu64,
                               unit->name, b, a, y, x);
        }
    }
    return true;
}

static bool same_candidates(const struct model_unit *unit, const struct unit_state *got,
                            const struct oracle_unit *expected, char *why)
{
    for (uint16_t i = 0; i < got->count; i++) {
        const struct candidate *a = &got->candidates[i];
        const struct oracle_candidate *b = &expected->candidates[i];
        if (!dot_equal(&a->dot, &b->dot))
            return DIFFERS("%s: candidate %u is %" PRIx64 ".%" PRIu64 ", expected %" PRIx64
                           ".%" PRIu64,
                           unit->name, i, a->dot.origin, a->dot.oseq, b->dot.origin, b->dot.oseq);
        if (a->stamp != b->stamp)
            return DIFFERS("%s: stamp of candidate %u", unit->name, i);
        if (b->values == NULL && a->values != NULL)
            return DIFFERS("%s: candidate %u has values", unit->name, i);
        if (got->count == 1 || b->values == NULL)
            continue;
        if (a->values == NULL)
            return DIFFERS("%s: candidate %u of %u has no values", unit->name, i, got->count);
        for (uint16_t c = 0; c < unit->column_count; c++)
            if (!same_value("a candidate", unit->name, &a->values[c], &b->values[c], why) ||
                (b->base != NULL && a->base != NULL &&
                 !same_value("a candidate's base", unit->name, &a->base[c], &b->base[c], why)))
                return false;
        if (unit->carries_base && (a->base != NULL) != (b->base != NULL))
            return DIFFERS("%s: base of candidate %u", unit->name, i);
    }
    return same_rank_order(unit, got, expected, why);
}

static int order_pairs(const struct set_pair *a, const struct set_pair *b)
{
    int order = bytes_compare(a->element, b->element);
    return order != 0 ? order : dot_compare(&a->dot, &b->dot);
}

static bool same_open(const struct model_table *table, const struct model_unit *unit,
                      const struct unit_state *got, const struct oracle_unit *expected,
                      struct arena *arena, char *why)
{
    const struct value *values;
    bool open;
    if (!expected->differ || !expected->exact)
        return true;
    if (merge_shown(table, unit, got->candidates, got->count, arena, &values, &open) != ERR_OK)
        abort();
    if (open != expected->open)
        return DIFFERS("%s: open is %d", unit->name, open);
    if (!merge_values_differ(unit, got->candidates, got->count))
        return DIFFERS("%s: its values do differ", unit->name);
    return true;
}

static bool same_unit(const struct model_table *table, const struct model_unit *unit,
                      const struct record *record, const struct oracle_record *expected,
                      struct arena *arena, char *why)
{
    const struct oracle_unit *state = &expected->units[unit->index];
    const struct unit_state *got = NULL;
    for (uint16_t i = 0; i < record->version.unit_count; i++)
        if (record->version.units[i].unit == unit->index)
            got = &record->version.units[i];
    if ((got == NULL) != only_insert(expected, state))
        return DIFFERS("%s: %s in the version", unit->name, got == NULL ? "not" : "needlessly");
    if (got != NULL && got->count != state->count)
        return DIFFERS("%s: %u candidates, expected %u", unit->name, got->count, state->count);
    if (got != NULL && !same_candidates(unit, got, state, why))
        return false;
    for (uint16_t i = 0; state->exact && i < unit->column_count; i++)
        if (!same_value("the value", unit->name, &record->values[unit->columns[i]],
                        &expected->shown[unit->columns[i]], why))
            return false;
    if (got == NULL)
        return true;
    if (got->pair_count != state->pair_count)
        return DIFFERS("%s: %u pairs, expected %u", unit->name, got->pair_count, state->pair_count);
    for (uint32_t i = 0; i < got->pair_count; i++)
        if (order_pairs(&got->pairs[i], &state->pairs[i]) != 0)
            return DIFFERS("%s: pair %u", unit->name, i);
    return same_open(table, unit, got, state, arena, why);
}

bool same_as_oracle(const struct model_table *table, const struct record *record,
                    const struct oracle_record *expected, struct arena *arena, char *why)
{
    if (record == NULL || !record->present)
        return expected->present ? DIFFERS("%s: the record is not there", table->name) : true;
    if (!expected->present)
        return DIFFERS("%s: the record should not be there", table->name);
    if (record->dead != expected->dead)
        return DIFFERS("%s is %s, expected %s", table->name, record->dead ? "dead" : "live",
                       expected->dead ? "dead" : "live");
    if (!dot_equal(&record->version.insert, &expected->insert) ||
        record->version.insert_stamp != expected->insert_stamp)
        return DIFFERS("%s: its insert", table->name);
    for (uint16_t i = 0; i < record->version.unit_count; i++)
        if (i > 0 && record->version.units[i - 1].unit >= record->version.units[i].unit)
            return DIFFERS("%s: units are not ascending", table->name);
    for (uint16_t i = 0; i < table->unit_count; i++)
        if (!same_unit(table, &table->units[i], record, expected, arena, why))
            return false;
    return true;
}

static bool same_arrays(const struct value *a, const struct value *b, uint16_t count)
{
    if (a == NULL || b == NULL)
        return a == b;
    for (uint16_t i = 0; i < count; i++)
        if (!value_equal(&a[i], &b[i]))
            return false;
    return true;
}

static bool same_units(const struct model_unit *unit, const struct unit_state *a,
                       const struct unit_state *b, bool with_ranks)
{
    if (a->unit != b->unit || a->count != b->count || a->pair_count != b->pair_count)
        return false;
    for (uint16_t i = 0; i < a->count; i++) {
        const struct candidate *x = &a->candidates[i], *y = &b->candidates[i];
        if (!dot_equal(&x->dot, &y->dot) || x->stamp != y->stamp ||
            (with_ranks && x->rank != y->rank) ||
            !same_arrays(x->values, y->values, unit->column_count) ||
            !same_arrays(x->base, y->base, unit->column_count))
            return false;
    }
    for (uint32_t i = 0; i < a->pair_count; i++)
        if (order_pairs(&a->pairs[i], &b->pairs[i]) != 0)
            return false;
    return true;
}

bool same_records(const struct model_table *table, const struct record *a, const struct record *b,
                  bool with_ranks)
{
    if (a->present != b->present || a->dead != b->dead)
        return false;
    if (!a->present)
        return true;
    const struct version *x = &a->version, *y = &b->version;
    if (!dot_equal(&x->insert, &y->insert) || x->insert_stamp != y->insert_stamp ||
        x->stamp_adjusted != y->stamp_adjusted || (with_ranks && x->revision != y->revision) ||
        x->unit_count != y->unit_count || x->delete_count != y->delete_count)
        return false;
    for (uint16_t i = 0; i < x->delete_count; i++)
        if (!dot_equal(&x->deletes[i].dot, &y->deletes[i].dot) ||
            x->deletes[i].stamp != y->deletes[i].stamp)
            return false;
    for (uint16_t i = 0; i < x->unit_count; i++)
        if (!same_units(&table->units[x->units[i].unit], &x->units[i], &y->units[i], with_ranks))
            return false;
    return same_arrays(a->values, b->values, table->column_count);
}

/* --- For people ---------------------------------------------------------------------------------- */

struct printer {
    char *out;
    size_t size, used;
};

static void put(struct printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct printer *p, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(p->out + p->used, p->size - p->used, format, arguments);
    va_end(arguments);
    p->used += n < 0 ? 0 : (size_t)n;
    if (p->used >= p->size)
        p->used = p->size - 1;
}

static void put_dots(struct printer *p, struct dot_set set)
{
    put(p, "{");
    for (uint16_t i = 0; i < set.count; i++)
        put(p, "%s%" PRIx64 ".%" PRIu64 ".%x", i > 0 ? " " : "", set.dots[i].origin,
            set.dots[i].oseq, set.dots[i].tag);
    put(p, "}");
}

static void put_write(struct printer *p, const struct unit_write *write)
{
    char text[200];
    put(p, " %s", write->unit->name);
    for (uint16_t i = 0; write->values != NULL && i < write->unit->column_count; i++) {
        value_print(&write->values[i], text, sizeof text);
        put(p, "=%s", text);
    }
    for (uint32_t i = 0; i < write->add_count; i++)
        put(p, "+%.*s", (int)write->adds[i].size, (const char *)write->adds[i].data);
    for (uint32_t i = 0; i < write->remove_count; i++)
        put(p, "-%.*s@%" PRIx64 ".%" PRIu64, (int)write->removes[i].element.size,
            (const char *)write->removes[i].element.data, write->removes[i].dot.origin,
            write->removes[i].dot.oseq);
    put(p, " saw ");
    put_dots(p, write->seen);
}

void group_print(const struct group *group, uint64_t stamp, char *out, size_t size)
{
    static const char *const ops[] = {"?", "insert", "update", "delete", "restore"};
    struct printer p = {out, size, 0};
    put(&p, "[%" PRIx64 ".%" PRIu64 ".%x @%" PRIu64 "]", group->dot.origin, group->dot.oseq,
        group->dot.tag, stamp);
    for (uint32_t i = 0; i < group->mutation_count; i++) {
        const struct mutation *m = &group->mutations[i];
        put(&p, " %s %s:%x", ops[m->op], m->table->name, m->id.byte[15]);
        for (uint16_t j = 0; j < m->write_count; j++)
            put_write(&p, &m->writes[j]);
        for (uint16_t j = 0; j < m->frontier_count; j++) {
            put(&p, " %s", m->table->units[m->frontier[j].unit].name);
            put_dots(&p, m->frontier[j].seen);
        }
        if (m->op == MUTATION_RESTORE)
            put_dots(&p, m->deletes);
        put(&p, ";");
    }
}
