/* oracle_shown.c - what a unit shows. */
#include "tests/lib/oracle_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- Texts ------------------------------------------------------------------------------------ */

enum { LINES_MAX = 64, TEXTS_MAX = 64 };

static uint32_t split_lines(struct bytes text, struct bytes out[LINES_MAX])
{
    uint32_t count = 0;
    size_t start = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\n' || i + 1 == text.size) {
            assert(count < LINES_MAX);
            out[count++] = bytes_of(text.data + start, i + 1 - start);
            start = i + 1;
        }
    }
    return count;
}

static bool line_among(const struct bytes *lines, uint32_t count, struct bytes line)
{
    for (uint32_t i = 0; i < count; i++)
        if (bytes_equal(lines[i], line))
            return true;
    return false;
}

/* The merge of texts, where nobody can doubt it: at most one differs from the base, or all have the
 * base's number of lines and replaced lines that are apart from each other's. False: no opinion. */
static bool plain_text_merge(const struct oracle *o, struct bytes base, const struct bytes *texts,
                             uint32_t text_count, struct bytes *ret)
{
    struct bytes changed[TEXTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < text_count; i++)
        if (!bytes_equal(texts[i], base) && !line_among(changed, count, texts[i]))
            changed[count++] = texts[i];
    if (count <= 1) {
        *ret = count == 0 ? base : changed[0];
        return true;
    }
    struct bytes old[LINES_MAX], merged[LINES_MAX];
    uint64_t changers[LINES_MAX] = {0};
    uint32_t old_count = split_lines(base, old);
    for (uint32_t i = 0; i < old_count; i++) {
        merged[i] = old[i];
        if (line_among(old, i, old[i]))
            return false;
    }
    for (uint32_t t = 0; t < count; t++) {
        struct bytes lines[LINES_MAX];
        if (split_lines(changed[t], lines) != old_count)
            return false;
        for (uint32_t i = 0; i < old_count; i++) {
            if (bytes_equal(lines[i], old[i]))
                continue;
            if (line_among(old, old_count, lines[i]) ||
                (changers[i] != 0 && !bytes_equal(merged[i], lines[i])))
                return false;
            merged[i] = lines[i];
            changers[i] |= 1ull << t;
        }
    }
    size_t size = 0;
    for (uint32_t i = 0; i < old_count; i++) {
        size += merged[i].size;
        if (i > 0 && changers[i] != 0 && changers[i - 1] != 0 && changers[i] != changers[i - 1])
            return false;
    }
    uint8_t *text = oracle_need(o, size, 1);
    *ret = bytes_of(text, size);
    for (uint32_t i = 0; i < old_count; i++) {
        memcpy(text, merged[i].data, merged[i].size);
        text += merged[i].size;
    }
    return true;
}

/* --- Shown values ----------------------------------------------------------------------------- */

static bool later_stamp(const struct oracle_candidate *a, const struct oracle_candidate *b)
{
    if (a->stamp != b->stamp)
        return a->stamp > b->stamp;
    return oracle_order_dots(&a->dot, &b->dot) > 0;
}

static bool lower_rank(const struct oracle_candidate *a, const struct oracle_candidate *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank;
    return later_stamp(b, a);
}

/* What `restrict` compares: the place of a symbol, or the number; NULL is below all. */
static int64_t strictness(const struct model_table *table, const struct model_unit *unit,
                          const struct value *value)
{
    const struct model_column *column = &table->columns[unit->columns[0]];
    if (column->type == COLUMN_ENUM)
        return oracle_symbol_of(column, value);
    return value->kind == VALUE_INT ? value->as.integer : INT64_MIN;
}

static int symbol_rank(const struct model_table *table, const struct model_unit *unit,
                       const struct oracle_candidate *candidate)
{
    int symbol = oracle_symbol_of(&table->columns[unit->columns[0]], &candidate->values[0]);
    return symbol < 0 ? -1 : unit->ranks[symbol];
}

/* Which of two numbers is the larger; NULL is no value, below all. */
static int order_numbers(const struct value *a, const struct value *b)
{
    if (a->kind == VALUE_NULL || b->kind == VALUE_NULL)
        return (a->kind != VALUE_NULL) - (b->kind != VALUE_NULL);
    return value_compare(a, b);
}

/* Whether a is shown rather than b. */
static bool better(const struct model_table *table, const struct model_unit *unit,
                   const struct oracle_candidate *a, const struct oracle_candidate *b)
{
    int order = 0;
    switch (unit->policy) {
    case MERGE_FIRST:
    case MERGE_MANUAL:
    case MERGE_TEXT: return lower_rank(a, b);
    case MERGE_MAX: order = order_numbers(a->values, b->values); break;
    case MERGE_MIN:
        order = order_numbers(a->values, b->values);
        if (a->values[0].kind != VALUE_NULL && b->values[0].kind != VALUE_NULL)
            order = -order;
        break;
    case MERGE_RESTRICT: {
        int64_t x = strictness(table, unit, a->values), y = strictness(table, unit, b->values);
        order = x == y ? 0 : x > y ? 1 : -1;
        break;
    }
    case MERGE_FSM: {
        int x = symbol_rank(table, unit, a), y = symbol_rank(table, unit, b);
        return x != y ? x > y : lower_rank(a, b);
    }
    case MERGE_LWW:
    case MERGE_UPSTREAM:
    case MERGE_APPEND: break;
    case MERGE_COUNTER:
    case MERGE_SET: abort();
    }
    return order != 0 ? order > 0 : later_stamp(a, b);
}

static bool same_values(const struct value *a, const struct value *b, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++)
        if (!value_equal(&a[i], &b[i]))
            return false;
    return true;
}

static bool one_base(const struct oracle_unit *unit)
{
    for (uint32_t i = 0; i < unit->count; i++)
        if (unit->candidates[i].base == NULL ||
            !value_equal(&unit->candidates[i].base[0], &unit->candidates[0].base[0]))
            return false;
    return true;
}

static struct bytes text_or_empty(const struct value *value)
{
    return value->kind == VALUE_TEXT ? value->as.bytes : bytes_of_text("");
}

/* The merge of texts over one base: where at most one value is not the base, that one, NULL included. */
static void show_text(const struct oracle *o, struct oracle_unit *state, struct value *shown)
{
    const struct value *base = &state->candidates[0].base[0], *changed = base;
    struct bytes texts[TEXTS_MAX], merged;
    bool several = false;
    for (uint32_t i = 0; i < state->count; i++) {
        const struct value *value = &state->candidates[i].values[0];
        texts[i] = text_or_empty(value);
        if (value_equal(value, base))
            continue;
        several = several || (changed != base && !value_equal(value, changed));
        changed = value;
    }
    if (!several) {
        *shown = *changed;
        return;
    }
    state->exact = plain_text_merge(o, text_or_empty(base), texts, state->count, &merged);
    if (state->exact)
        *shown = value_text(merged);
}

void oracle_show_policy(const struct oracle *o, const struct model_table *table,
                        const struct model_unit *unit, struct oracle_unit *state,
                        struct value *shown)
{
    const struct oracle_candidate *best = &state->candidates[0];
    bool same_rank_differs = false;
    for (uint32_t i = 0; i < state->count; i++) {
        const struct oracle_candidate *c = &state->candidates[i];
        if (better(table, unit, c, best))
            best = c;
        state->differ = state->differ ||
                        !same_values(c->values, state->candidates[0].values, unit->column_count);
    }
    for (uint16_t i = 0; i < unit->column_count; i++)
        shown[unit->columns[i]] = best->values[i];
    for (uint32_t i = 0; unit->policy == MERGE_FSM && i < state->count; i++)
        same_rank_differs =
            same_rank_differs ||
            (symbol_rank(table, unit, &state->candidates[i]) == symbol_rank(table, unit, best) &&
             !value_equal(&state->candidates[i].values[0], &best->values[0]));
    if (unit->policy == MERGE_MANUAL)
        state->open = state->differ;
    else if (unit->policy == MERGE_FSM)
        state->open = same_rank_differs;
    else if (unit->policy == MERGE_TEXT && state->differ && one_base(state)) {
        show_text(o, state, &shown[unit->columns[0]]);
    } else if (unit->policy == MERGE_TEXT)
        state->open = state->differ;
    if (unit->policy == MERGE_APPEND)
        state->differ = false;
}

void oracle_show_counter(const struct unit_op *writes, uint32_t count, const struct value *first,
                         struct value *shown)
{
    *shown = *first;
    for (uint32_t i = 0; i < count; i++) {
        if (writes[i].insert)
            continue;
        int64_t before = shown->kind == VALUE_INT ? shown->as.integer : 0;
        *shown = value_int(before + writes[i].write->values[0].as.integer);
    }
}

/* The elements of a JSON array of strings without escapes. */
static uint32_t parse_set(const struct value *value, struct bytes out[LINES_MAX])
{
    uint32_t count = 0;
    struct bytes text = text_or_empty(value);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '"')
            continue;
        size_t end = i + 1;
        while (text.data[end] != '"')
            end++;
        assert(count < LINES_MAX);
        out[count++] = bytes_of(text.data + i + 1, end - i - 1);
        i = end;
    }
    return count;
}

static bool pair_removed(const struct oracle *o, const struct unit_op *writes, uint32_t count,
                         uint32_t adder, struct bytes element)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; !writes[i].insert && j < writes[i].write->remove_count; j++)
            if (bytes_equal(writes[i].write->removes[j].element, element) &&
                oracle_order_dots(&writes[i].write->removes[j].dot,
                                  oracle_dot_of(o, &writes[adder])) == 0)
                return true;
    return false;
}

static int order_pairs(const void *a, const void *b)
{
    const struct set_pair *x = a, *y = b;
    int order = bytes_compare(x->element, y->element);
    return order != 0 ? order : oracle_order_dots(&x->dot, &y->dot);
}

void oracle_show_set(const struct oracle *o, const struct unit_op *writes, uint32_t count,
                     const struct value *first, struct oracle_unit *state, struct value *shown)
{
    size_t room = 0, size = 2;
    for (uint32_t i = 0; i < count; i++)
        room += writes[i].insert ? LINES_MAX : writes[i].write->add_count;
    state->pairs = oracle_need(o, room, sizeof *state->pairs);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes parsed[LINES_MAX];
        const struct bytes *adds = writes[i].insert ? parsed : writes[i].write->adds;
        uint32_t add_count =
            writes[i].insert ? parse_set(first, parsed) : writes[i].write->add_count;
        for (uint32_t j = 0; j < add_count; j++) {
            if (pair_removed(o, writes, count, i, adds[j]))
                continue;
            state->pairs[state->pair_count++] =
                (struct set_pair){adds[j], *oracle_dot_of(o, &writes[i])};
            size += adds[j].size + 3;
        }
    }
    qsort(state->pairs, state->pair_count, sizeof *state->pairs, order_pairs);
    *shown = *first;
    if (count == 1) /* not written since the insert: the text that was inserted */
        return;
    char *text = oracle_need(o, size, 1), *at = text;
    *at++ = '[';
    for (uint32_t i = 0; i < state->pair_count; i++) {
        struct bytes element = state->pairs[i].element;
        if (i > 0 && bytes_equal(element, state->pairs[i - 1].element))
            continue;
        if (at > text + 1)
            *at++ = ',';
        *at++ = '"';
        memcpy(at, element.data, element.size);
        at += element.size;
        *at++ = '"';
    }
    *at++ = ']';
    *shown = value_text(bytes_of(text, (size_t)(at - text)));
}
