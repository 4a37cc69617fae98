/* merge_shown.c - what a unit shows while it has several candidates. A pure function of their set. */
#include "protocol/merge_internal.h"

#include <assert.h>

int merge_symbol(const struct model_column *column, const struct value *value)
{
    if (value->kind != VALUE_TEXT)
        return -1;
    for (uint16_t i = 0; i < column->symbol_count; i++) {
        if (bytes_equal(bytes_of_text(column->symbols[i]), value->as.bytes))
            return i;
    }
    return -1;
}

static bool values_equal(const struct value *a, const struct value *b, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        if (!value_equal(&a[i], &b[i]))
            return false;
    }
    return true;
}

bool merge_values_differ(const struct model_unit *unit, const struct candidate *candidates,
                         uint16_t count)
{
    if (unit->policy == MERGE_COUNTER || unit->policy == MERGE_SET || unit->policy == MERGE_APPEND)
        return false;
    for (uint16_t i = 1; i < count; i++) {
        if (!values_equal(candidates[0].values, candidates[i].values, unit->column_count))
            return true;
    }
    return false;
}

/* > 0: a is later by (stamp, dot). */
static int compare_time(const struct candidate *a, const struct candidate *b)
{
    if (a->stamp != b->stamp)
        return a->stamp < b->stamp ? -1 : 1;
    return dot_compare(&a->dot, &b->dot);
}

static int compare_rank(const struct candidate *a, const struct candidate *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return compare_time(a, b);
}

/* By the first column that differs; > 0: a is the more extreme. NULL is no value and never wins. */
static int compare_extreme(const struct model_table *table, const struct model_unit *unit,
                           const struct candidate *a, const struct candidate *b)
{
    for (uint16_t i = 0; i < unit->column_count; i++) {
        const struct model_column *column = &table->columns[unit->columns[i]];
        const struct value *x = &a->values[i], *y = &b->values[i];
        int order = 0;

        if (x->kind == VALUE_NULL || y->kind == VALUE_NULL) {
            order = (x->kind != VALUE_NULL) - (y->kind != VALUE_NULL);
            if (order != 0)
                return order;
            continue;
        }
        if (column->type == COLUMN_ENUM)
            order = merge_symbol(column, x) - merge_symbol(column, y);
        if (order == 0)
            order = value_compare(x, y);
        if (order != 0)
            return unit->policy == MERGE_MIN ? -order : order;
    }
    return compare_time(a, b);
}

static int symbol_rank(const struct model_table *table, const struct model_unit *unit,
                       const struct candidate *candidate)
{
    int symbol = merge_symbol(&table->columns[unit->columns[0]], &candidate->values[0]);

    return symbol < 0 ? -1 : unit->ranks[symbol];
}

/* > 0: a is shown rather than b. */
static int compare_shown(const struct model_table *table, const struct model_unit *unit,
                         const struct candidate *a, const struct candidate *b)
{
    int order;

    switch (unit->policy) {
    case MERGE_MAX:
    case MERGE_MIN:
    case MERGE_RESTRICT: return compare_extreme(table, unit, a, b);
    case MERGE_FIRST:
    case MERGE_MANUAL:
    case MERGE_TEXT: return -compare_rank(a, b);
    case MERGE_FSM:
        order = symbol_rank(table, unit, a) - symbol_rank(table, unit, b);
        return order != 0 ? order : -compare_rank(a, b);
    case MERGE_LWW:
    case MERGE_UPSTREAM:
    case MERGE_APPEND:
    case MERGE_COUNTER:
    case MERGE_SET: break;
    }
    return compare_time(a, b);
}

static bool same_bases(const struct model_unit *unit, const struct candidate *candidates,
                       uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        if (candidates[i].base == NULL ||
            !values_equal(candidates[i].base, candidates[0].base, unit->column_count))
            return false;
    }
    return true;
}

static struct bytes text_of(const struct value *value)
{
    return value->kind == VALUE_TEXT ? value->as.bytes : (struct bytes){0};
}

/* One column of a text unit. *ret_value stays if the merged text would be too long to be stored, which
 * leaves the choice to a person; *ret_open is only ever set. */
static enum err merge_text_column(const struct model_column *column, uint16_t place,
                                  const struct candidate *candidates, uint16_t count,
                                  struct arena *arena, struct value *ret_value, bool *ret_open)
{
    const struct value *base = &candidates[0].base[place], *only = base;
    size_t most = MODEL_TEXT_MAX;
    struct bytes texts[FRONTIER_MAX], merged;
    bool several = false, clean = false;
    enum err error;

    for (uint16_t i = 0; i < count; i++) {
        const struct value *value = &candidates[i].values[place];

        texts[i] = text_of(value);
        if (value_equal(value, base))
            continue;
        several = several || (only != base && !value_equal(value, only));
        only = value;
    }
    if (!several) { /* what did not change gives way, also to a cleared value */
        *ret_value = *only;
        return ERR_OK;
    }
    error = merge_text(text_of(base), texts, count, arena, &merged, &clean);
    if (error != ERR_OK)
        return error;
    *ret_open = *ret_open || !clean;
    if (column->max > 0 && (uint64_t)column->max < most)
        most = (size_t)column->max;
    if (merged.size > most)
        *ret_open = true;
    else
        *ret_value = value_text(merged);
    return ERR_OK;
}

/* values: at first those of the candidate shown if nothing can be merged. */
static enum err show_text(const struct model_table *table, const struct model_unit *unit,
                          const struct candidate *candidates, uint16_t count, struct arena *arena,
                          const struct value **values, bool *ret_open)
{
    struct value *merged;

    if (!same_bases(unit, candidates, count)) {
        *ret_open = true;
        return ERR_OK;
    }
    merged = arena_alloc(arena, unit->column_count * sizeof(*merged));
    if (merged == NULL)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < unit->column_count; i++) {
        enum err error;

        merged[i] = (*values)[i];
        error = merge_text_column(&table->columns[unit->columns[i]], i, candidates, count, arena,
                                  &merged[i], ret_open);
        if (error != ERR_OK)
            return error;
    }
    *values = merged;
    return ERR_OK;
}

/* Whether another candidate of the shown one's rank says something else. */
static bool fsm_is_open(const struct model_table *table, const struct model_unit *unit,
                        const struct candidate *candidates, uint16_t count,
                        const struct candidate *shown)
{
    int rank = symbol_rank(table, unit, shown);

    for (uint16_t i = 0; i < count; i++) {
        if (symbol_rank(table, unit, &candidates[i]) == rank &&
            !values_equal(candidates[i].values, shown->values, unit->column_count))
            return true;
    }
    return false;
}

enum err merge_shown(const struct model_table *table, const struct model_unit *unit,
                     const struct candidate *candidates, uint16_t count, struct arena *arena,
                     const struct value **ret_values, bool *ret_open)
{
    const struct candidate *best = &candidates[0];
    const struct value *values;
    bool open = false;
    enum err error = ERR_OK;

    assert(count >= 1 && count <= FRONTIER_MAX);
    assert(unit->policy != MERGE_COUNTER && unit->policy != MERGE_SET);
    if (count > 1 && merge_values_differ(unit, candidates, count)) {
        for (uint16_t i = 1; i < count; i++) {
            if (compare_shown(table, unit, &candidates[i], best) > 0)
                best = &candidates[i];
        }
        open = unit->policy == MERGE_MANUAL;
    }
    values = best->values;
    if (count > 1 && unit->policy == MERGE_FSM)
        open = fsm_is_open(table, unit, candidates, count, best);
    if (unit->policy == MERGE_TEXT && merge_values_differ(unit, candidates, count))
        error = show_text(table, unit, candidates, count, arena, &values, &open);
    if (error != ERR_OK)
        return error;
    *ret_values = values;
    *ret_open = open;
    return ERR_OK;
}
