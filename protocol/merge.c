#include "protocol/merge_internal.h"

#include <string.h>

const char *reason_name(enum reason reason)
{
    switch (reason) {
#define REASON_NAME(name, value, text) \
    case REASON_##name: return #name;
        REASON_LIST(REASON_NAME)
#undef REASON_NAME
    }
    return "UNKNOWN";
}

const char *reason_text(enum reason reason)
{
    switch (reason) {
#define REASON_TEXT(name, value, text) \
    case REASON_##name: return text;
        REASON_LIST(REASON_TEXT)
#undef REASON_TEXT
    }
    return "unknown reason";
}

static enum err refuse(struct merge_result *ret, enum reason reason)
{
    *ret = (struct merge_result){.reason = reason, .refused_unit = ret->refused_unit};
    return ERR_OK;
}

static uint64_t next_revision(const struct merge_context *context, const struct record *record)
{
    return record->version.revision + (context->mode == MERGE_DECIDE);
}

static enum err merge_insert(const struct merge_context *context, const struct mutation *mutation,
                             struct record *record, struct merge_result *ret)
{
    const struct model_table *table = mutation->table;
    struct value *values;

    if (record->present)
        return refuse(ret, REASON_EXISTS);
    values = arena_alloc(context->arena, table->column_count * sizeof(*values));
    if (values == NULL)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < table->column_count; i++)
        values[i] = table->columns[i].fallback;
    for (uint16_t i = 0; i < mutation->write_count; i++) {
        const struct unit_write *write = &mutation->writes[i];

        for (uint16_t j = 0; j < write->unit->column_count; j++)
            values[write->unit->columns[j]] = write->values[j];
    }
    *record = (struct record){.present = true,
                              .values = values,
                              .version = {.insert = context->dot,
                                          .insert_stamp = context->stamp,
                                          .stamp_adjusted = context->stamp_adjusted,
                                          .revision = context->mode == MERGE_DECIDE}};
    ret->fast_forward = true;
    ret->revision_changes = true;
    return ERR_OK;
}

enum err merge_lift_deletes(struct arena *arena, struct dot_set dots, struct version *version,
                            bool *ret_any)
{
    struct delete_mark *kept;
    uint16_t count = 0;

    *ret_any = false;
    if (version->delete_count == 0)
        return ERR_OK;
    kept = arena_alloc(arena, version->delete_count * sizeof(*kept));
    if (kept == NULL)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < version->delete_count; i++) {
        if (!dot_set_has(dots, &version->deletes[i].dot))
            kept[count++] = version->deletes[i];
    }
    *ret_any = count < version->delete_count;
    version->deletes = count > 0 ? kept : NULL;
    version->delete_count = count;
    return ERR_OK;
}

/* Whether there are deletes that a restore does not name. */
static bool knows_deletes(const struct version *version, const struct mutation *mutation)
{
    for (uint16_t i = 0; i < version->delete_count; i++) {
        if (!dot_set_has(mutation->deletes, &version->deletes[i].dot))
            return false;
    }
    return true;
}

/* Life after an UPDATE or RESTORE. A write is not seen by any delete that came before it; where a
 * delete does not win regardless, it counts no more. */
static enum err lift_deletes(const struct merge_context *context, const struct mutation *mutation,
                             struct record *after, struct merge_result *ret)
{
    bool any = false;
    enum err error = ERR_OK;

    if (mutation->op == MUTATION_RESTORE && !knows_deletes(&after->version, mutation))
        ret->fast_forward = false;
    if (mutation->write_count > 0 && mutation->table->delete_policy != DELETE_WINS) {
        after->version.deletes = NULL;
        after->version.delete_count = 0;
    } else if (mutation->op == MUTATION_RESTORE) {
        error = merge_lift_deletes(context->arena, mutation->deletes, &after->version, &any);
    }
    ret->revision_changes = mutation->write_count > 0 || any;
    return error;
}

static enum err merge_update(const struct merge_context *context, const struct mutation *mutation,
                             struct record *record, struct merge_result *ret)
{
    struct record after = *record;
    enum err error = ERR_OK;

    ret->fast_forward = true;
    if (mutation->write_count > 0)
        error = merge_writes(context, mutation, &after, ret);
    if (error == ERR_OK && ret->reason != REASON_NONE)
        return refuse(ret, ret->reason);
    if (error == ERR_OK)
        error = lift_deletes(context, mutation, &after, ret);
    if (error != ERR_OK)
        return error;
    after.dead = merge_is_dead(&after.version);
    *record = after;
    return ERR_OK;
}

/* Whether `seen` of a delete holds all dots of the unit; the insert's is seen by all. */
static bool unit_covered(const struct version *version, const struct unit_state *unit,
                         struct dot_set seen)
{
    for (uint16_t i = 0; i < unit->count; i++) {
        if (!dot_equal(&unit->candidates[i].dot, &version->insert) &&
            !dot_set_has(seen, &unit->candidates[i].dot))
            return false;
    }
    return true;
}

bool merge_delete_covers(const struct version *version, const struct mutation *mutation)
{
    uint16_t at = 0;

    for (uint16_t i = 0; i < version->unit_count; i++) {
        struct dot_set seen = {.dots = NULL, .count = 0};

        while (at < mutation->frontier_count &&
               mutation->frontier[at].unit < version->units[i].unit)
            at++;
        if (at < mutation->frontier_count && mutation->frontier[at].unit == version->units[i].unit)
            seen = mutation->frontier[at].seen;
        if (!unit_covered(version, &version->units[i], seen))
            return false;
    }
    return true;
}

/* Adds the mark in its place; one that is there already stays. */
static enum err add_delete(const struct merge_context *context, struct version *version,
                           struct merge_result *ret)
{
    const struct delete_mark *old = version->deletes;
    struct delete_mark *marks;
    uint16_t at = 0, count = version->delete_count;

    while (at < count && dot_compare(&old[at].dot, &context->dot) < 0)
        at++;
    if (at < count && dot_equal(&old[at].dot, &context->dot))
        return ERR_OK;
    if (count == FRONTIER_MAX)
        return refuse(ret, REASON_FRONTIER_FULL);
    marks = arena_alloc(context->arena, (count + 1u) * sizeof(*marks));
    if (marks == NULL)
        return ERR_NOMEM;
    if (count > 0) {
        memcpy(marks, old, at * sizeof(*marks));
        memcpy(marks + at + 1, old + at, (size_t)(count - at) * sizeof(*marks));
    }
    marks[at] = (struct delete_mark){.dot = context->dot, .stamp = context->stamp};
    version->deletes = marks;
    version->delete_count = (uint16_t)(count + 1);
    ret->revision_changes = true;
    return ERR_OK;
}

static enum err merge_delete(const struct merge_context *context, const struct mutation *mutation,
                             struct record *record, struct merge_result *ret)
{
    struct record after = *record;
    bool covers = merge_delete_covers(&record->version, mutation);
    enum err error;

    if (mutation->table->delete_policy == DELETE_NEVER)
        return refuse(ret, REASON_NO_DELETE);
    if (!covers && mutation->table->delete_policy != DELETE_WINS) {
        ret->delete_lost = !record->dead;
        return ERR_OK;
    }
    ret->fast_forward = covers && !record->dead;
    error = add_delete(context, &after.version, ret);
    if (error != ERR_OK || ret->reason != REASON_NONE)
        return error;
    after.dead = merge_is_dead(&after.version);
    *record = after;
    return ERR_OK;
}

enum err merge_mutation(const struct merge_context *context, const struct mutation *mutation,
                        struct record *record, struct merge_result *ret)
{
    bool was_dead = record->present && record->dead;
    uint64_t revision = next_revision(context, record);
    struct merge_result result = {.reason = REASON_NONE};
    enum err error;

    if (mutation->op == MUTATION_INSERT)
        error = merge_insert(context, mutation, record, &result);
    else if (!record->present || !dot_equal(&record->version.insert, &mutation->insert))
        error = refuse(&result, REASON_NO_RECORD);
    else if (mutation->op == MUTATION_DELETE)
        error = merge_delete(context, mutation, record, &result);
    else
        error = merge_update(context, mutation, record, &result);
    if (error != ERR_OK)
        return error;
    if (result.revision_changes && mutation->op != MUTATION_INSERT) {
        record->version.revision = revision;
        result.revived = was_dead && !record->dead;
        result.died = !was_dead && record->dead;
    }
    *ret = result;
    return ERR_OK;
}
