/* merge_unit.c - the writes of one mutation: frontiers, candidates and shown values of its units. */
#include "protocol/merge_internal.h"

#include <assert.h>
#include <string.h>

enum { CANDIDATES_SIZE_MAX = 512 << 10 }; /* bytes of text and blob of one unit's candidates */

/* One call of merge_writes. Everything made is new: the record before keeps its memory. */
struct writing {
    const struct merge_context *context;
    const struct model_table *table;
    const struct dot *insert;
    uint64_t insert_stamp, revision; /* revision: after this mutation */
    struct value *values;            /* the row's, being changed */
    struct merge_result *result;
    uint16_t *written, *conflicts, *settled; /* room for one of each write */
    struct candidate *single;                /* room for one candidate of each write */
};

/* One unit of it. */
struct unit_merge {
    const struct model_unit *unit;
    const struct unit_write *write;
    const struct unit_state *state;  /* before; NULL: not written since the insert */
    const struct candidate *current; /* before; the insert's if there is no state */
    uint16_t count, kept_count;
    bool exact;              /* the writer saw the current frontier, no more and no less */
    bool kept[FRONTIER_MAX]; /* current candidates that the writer did not see */
    uint64_t lowest_rank;    /* of those replaced */
};

static bool policy_has_ranks(enum merge_policy policy)
{
    return policy == MERGE_FIRST || policy == MERGE_MANUAL || policy == MERGE_FSM;
}

static void compare_frontiers(const struct writing *w, struct unit_merge *u)
{
    struct dot_set seen = u->write->seen;
    uint16_t found = 0;

    if (seen.count == 0)
        seen = (struct dot_set){.dots = w->insert, .count = 1};
    u->kept_count = 0;
    u->lowest_rank = UINT64_MAX;
    for (uint16_t i = 0; i < u->count; i++) {
        bool named = dot_set_has(seen, &u->current[i].dot);

        /* Our own dot is there only if a caller merges a group twice: it must not stand beside itself. */
        u->kept[i] = !named && !dot_equal(&u->current[i].dot, &w->context->dot);
        u->kept_count = (uint16_t)(u->kept_count + u->kept[i]);
        found = (uint16_t)(found + named);
        if (!u->kept[i] && u->current[i].rank < u->lowest_rank)
            u->lowest_rank = u->current[i].rank;
    }
    u->exact = u->kept_count == 0 && found == seen.count;
}

static bool transition_allowed(const struct writing *w, const struct unit_merge *u)
{
    uint16_t index = u->unit->columns[0];
    const struct model_column *column = &w->table->columns[index];
    const struct value *base = u->write->base != NULL ? u->write->base : &w->values[index];
    const struct value *value = u->write->values;
    int from = merge_symbol(column, base), to = merge_symbol(column, value);

    if (value_equal(base, value) || base->kind == VALUE_NULL)
        return true; /* from "not set", as an insert */
    for (uint16_t i = 0; i < u->unit->transition_count; i++) {
        if (u->unit->transitions[i].from == from && u->unit->transitions[i].to == to)
            return true;
    }
    return false;
}

static enum reason check_write(const struct writing *w, const struct unit_merge *u)
{
    if (u->unit->policy == MERGE_APPEND)
        return REASON_APPEND_ONLY;
    if (u->unit->policy == MERGE_UPSTREAM && !u->exact)
        return REASON_UPSTREAM;
    if (u->unit->policy == MERGE_FSM && !transition_allowed(w, u))
        return REASON_TRANSITION;
    if (u->kept_count == FRONTIER_MAX)
        return REASON_FRONTIER_FULL;
    return REASON_NONE;
}

/* Modulo 2^64, so that no order of deltas matters. */
static void add_delta(struct value *sum, const struct value *delta)
{
    if (delta->kind == VALUE_NULL)
        return;
    if (sum->kind == VALUE_NULL)
        *sum = delta->kind == VALUE_REAL ? value_real(0) : value_int(0);
    assert(sum->kind == delta->kind); /* the column's: decoding saw to it */
    if (delta->kind == VALUE_INT)
        sum->as.integer = (int64_t)((uint64_t)sum->as.integer + (uint64_t)delta->as.integer);
    else
        sum->as.real += delta->as.real;
}

static struct candidate new_candidate(const struct writing *w, const struct unit_merge *u)
{
    struct candidate candidate = {.dot = w->context->dot,
                                  .stamp = w->context->stamp,
                                  .base = u->unit->carries_base ? u->write->base : NULL};

    if (!policy_has_ranks(u->unit->policy))
        return candidate;
    if (w->context->mode == MERGE_SHOW)
        candidate.rank = RANK_PENDING;
    else
        candidate.rank = u->kept_count < u->count ? u->lowest_rank : w->revision;
    return candidate;
}

static void store_values(const struct writing *w, const struct model_unit *unit,
                         const struct value *values)
{
    for (uint16_t i = 0; i < unit->column_count; i++)
        w->values[unit->columns[i]] = values[i];
}

/* The row's values of a unit, apart from the row. NULL: no memory. */
static const struct value *copy_values(const struct writing *w, const struct model_unit *unit)
{
    struct value *copy = arena_alloc(w->context->arena, unit->column_count * sizeof(*copy));

    for (uint16_t i = 0; copy != NULL && i < unit->column_count; i++)
        copy[i] = w->values[unit->columns[i]];
    return copy;
}

static size_t values_size(const struct value *values, uint16_t count)
{
    size_t size = 0;

    for (uint16_t i = 0; values != NULL && i < count; i++) {
        if (values[i].kind == VALUE_TEXT || values[i].kind == VALUE_BLOB)
            size += values[i].as.bytes.size;
    }
    return size;
}

/* Many concurrent long texts: a row must still fit into a frame. */
static enum reason check_size(const struct model_unit *unit, const struct unit_state *state)
{
    size_t size = 0;

    for (uint16_t i = 0; i < state->count; i++) {
        size += values_size(state->candidates[i].values, unit->column_count);
        size += values_size(state->candidates[i].base, unit->column_count);
    }
    return size > CANDIDATES_SIZE_MAX ? REASON_FRONTIER_FULL : REASON_NONE;
}

/* The candidates kept and the new one, by dot. */
static enum err build_candidates(struct writing *w, const struct unit_merge *u,
                                 struct unit_state *state)
{
    bool with_values = u->unit->policy != MERGE_COUNTER && u->unit->policy != MERGE_SET;
    struct candidate *candidates, fresh = new_candidate(w, u);
    uint16_t count = 0;
    bool placed = false;

    candidates = arena_alloc(w->context->arena, (u->kept_count + 1u) * sizeof(*candidates));
    if (candidates == NULL)
        return ERR_NOMEM;
    if (with_values)
        fresh.values = u->write->values;
    for (uint16_t i = 0; i < u->count; i++) {
        if (!u->kept[i])
            continue;
        if (!placed && dot_compare(&fresh.dot, &u->current[i].dot) < 0) {
            candidates[count++] = fresh;
            placed = true;
        }
        candidates[count] = u->current[i];
        if (with_values && u->count == 1) {
            candidates[count].values = copy_values(w, u->unit);
            if (candidates[count].values == NULL)
                return ERR_NOMEM;
        }
        count++;
    }
    if (!placed)
        candidates[count++] = fresh;
    state->candidates = candidates;
    state->count = count;
    w->result->reason = check_size(u->unit, state);
    return ERR_OK;
}

static enum err show(struct writing *w, const struct unit_merge *u, struct unit_state *state)
{
    const struct value *values = u->write->values;
    bool open;
    enum err error = ERR_OK;

    switch (u->unit->policy) {
    case MERGE_COUNTER: add_delta(&w->values[u->unit->columns[0]], values); return ERR_OK;
    case MERGE_SET:
        return merge_set_write(w->context, w->insert, u->state, u->write,
                               &w->values[u->unit->columns[0]], state, &w->result->reason);
    case MERGE_LWW:
    case MERGE_UPSTREAM:
    case MERGE_FIRST:
    case MERGE_MANUAL:
    case MERGE_MAX:
    case MERGE_MIN:
    case MERGE_RESTRICT:
    case MERGE_APPEND:
    case MERGE_TEXT:
    case MERGE_FSM: break;
    }
    if (state->count > 1)
        error = merge_shown(w->table, u->unit, state->candidates, state->count, w->context->arena,
                            &values, &open);
    if (error == ERR_OK)
        store_values(w, u->unit, values);
    return error;
}

static void report_unit(struct writing *w, const struct unit_merge *u,
                        const struct unit_state *state)
{
    struct merge_result *result = w->result;
    bool differed = u->count > 1 && merge_values_differ(u->unit, u->current, u->count);

    w->written[result->written_count++] = u->unit->index;
    if (state->count > 1 && merge_values_differ(u->unit, state->candidates, state->count))
        w->conflicts[result->conflict_count++] = u->unit->index;
    else if (differed)
        w->settled[result->settled_count++] = u->unit->index;
    if (!u->exact)
        result->fast_forward = false;
}

/* before: NULL if the unit was not written since the insert. */
static enum err merge_unit(struct writing *w, const struct unit_write *write,
                           const struct unit_state *before, struct unit_state *after)
{
    struct unit_merge u = {.unit = write->unit, .write = write, .state = before};
    struct candidate inserted = {.dot = *w->insert, .stamp = w->insert_stamp};
    enum err error = ERR_OK;

    if (policy_has_ranks(u.unit->policy))
        inserted.rank = w->revision > 1 ? 1 : RANK_PENDING; /* decided first, or not at all yet */
    u.current = before != NULL ? before->candidates : &inserted;
    u.count = before != NULL ? before->count : 1;
    compare_frontiers(w, &u);
    w->result->reason = check_write(w, &u);
    w->result->refused_unit = u.unit;
    if (w->result->reason != REASON_NONE)
        return ERR_OK;
    *after = (struct unit_state){.unit = u.unit->index};
    if (u.kept_count == 0) {
        *w->single = new_candidate(w, &u);
        after->candidates = w->single++;
        after->count = 1;
    } else {
        error = build_candidates(w, &u, after);
    }
    if (error == ERR_OK && w->result->reason == REASON_NONE)
        error = show(w, &u, after);
    if (error == ERR_OK && w->result->reason == REASON_NONE) {
        w->result->refused_unit = NULL;
        report_unit(w, &u, after);
    }
    return error;
}

/* Memory for the result: the row, the units, one candidate and three list entries for each write. */
static enum err start_writing(struct writing *w, const struct mutation *mutation,
                              const struct record *before, struct unit_state **ret_units)
{
    struct arena *arena = w->context->arena;
    size_t writes = mutation->write_count, columns = w->table->column_count;

    w->values = arena_alloc(arena, columns * sizeof(*w->values));
    *ret_units = arena_alloc(arena, (before->version.unit_count + writes) * sizeof(**ret_units));
    w->single = arena_alloc(arena, writes * sizeof(*w->single));
    w->written = arena_alloc(arena, 3 * writes * sizeof(*w->written));
    if (w->values == NULL || *ret_units == NULL || w->single == NULL || w->written == NULL)
        return ERR_NOMEM;
    memcpy(w->values, before->values, columns * sizeof(*w->values));
    w->conflicts = w->written + writes;
    w->settled = w->conflicts + writes;
    return ERR_OK;
}

enum err merge_writes(const struct merge_context *context, const struct mutation *mutation,
                      struct record *after, struct merge_result *ret)
{
    const struct version *version = &after->version;
    struct writing w = {.context = context,
                        .table = mutation->table,
                        .insert = &version->insert,
                        .insert_stamp = version->insert_stamp,
                        .revision = version->revision + 1,
                        .result = ret};
    struct unit_state *units;
    uint16_t at = 0, count = 0;
    enum err error = start_writing(&w, mutation, after, &units);

    for (uint16_t i = 0; error == ERR_OK && i < mutation->write_count; i++) {
        const struct unit_write *write = &mutation->writes[i];
        const struct unit_state *before = NULL;

        assert(i == 0 || write->unit->index > mutation->writes[i - 1].unit->index);
        while (at < version->unit_count && version->units[at].unit < write->unit->index)
            units[count++] = version->units[at++];
        if (at < version->unit_count && version->units[at].unit == write->unit->index)
            before = &version->units[at++];
        error = merge_unit(&w, write, before, &units[count++]);
        if (ret->reason != REASON_NONE)
            return error;
    }
    if (error != ERR_OK)
        return error;
    while (at < version->unit_count)
        units[count++] = version->units[at++];
    after->values = w.values;
    after->version.units = units;
    after->version.unit_count = count;
    ret->written = w.written;
    ret->conflicts = w.conflicts;
    ret->settled = w.settled;
    return ERR_OK;
}
