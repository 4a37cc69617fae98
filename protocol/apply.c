#include "protocol/apply_internal.h"

#include <string.h>

enum err apply_entry_get(struct apply_run *run, const struct model_table *table,
                         const struct uuid *id, struct apply_entry **ret)
{
    struct record_key key = record_key_of(table, id);
    struct apply_entry *entry = (struct apply_entry *)record_map_find(&run->map, &key);
    enum err error;

    if (entry != NULL) {
        *ret = entry;
        return ERR_OK;
    }
    entry = arena_calloc(run->context->arena, 1, sizeof(*entry));
    if (entry == NULL)
        return ERR_NOMEM;
    entry->table = table;
    entry->id = *id;
    error = run->world->get(run->world->context, table, id, run->context->arena, &entry->before);
    if (error != ERR_OK)
        return error;
    if (!entry->before.present)
        entry->before = (struct record){.present = false};
    entry->record = entry->before;
    entry->node.key = key;
    record_map_add(&run->map, &entry->node);
    *ret = entry;
    return ERR_OK;
}

bool apply_is_child_table(const struct model *model, const struct model_table *table,
                          const struct model_table *parent)
{
    int16_t target;

    if (table->parent_column < 0)
        return false;
    target = table->columns[table->parent_column].target;
    return target >= 0 && &model->tables[target] == parent;
}

bool apply_parent_id(const struct apply_run *run, const struct apply_entry *entry,
                     const struct model_table **ret_table, struct uuid *ret_id)
{
    int16_t column = entry->table->parent_column;

    if (column < 0 || !entry->record.present)
        return false;
    int16_t target = entry->table->columns[column].target;
    if (target < 0 || !value_id(&entry->record.values[column], ret_id))
        return false;
    *ret_table = &run->model->tables[target];
    return true;
}

enum err apply_parent(struct apply_run *run, const struct apply_entry *entry,
                      struct apply_entry **ret)
{
    const struct model_table *table;
    struct apply_entry *parent = NULL;
    struct uuid id;

    if (apply_parent_id(run, entry, &table, &id)) {
        enum err error = apply_entry_get(run, table, &id, &parent);

        if (error != ERR_OK)
            return error;
    }
    *ret = parent != NULL && parent->record.present ? parent : NULL;
    return ERR_OK;
}

void apply_mark_changed(struct apply_run *run, struct apply_entry *entry)
{
    if (!entry->changed && entry->mutation == NULL) {
        if (run->beside_last == NULL)
            run->beside_first = entry;
        else
            run->beside_last->beside = entry;
        run->beside_last = entry;
        run->beside_count++;
    }
    entry->changed = true;
}

void apply_refuse(struct apply_run *run, uint32_t mutation, enum reason reason,
                  const struct model_unit *unit)
{
    if (run->context->mode == MERGE_SHOW) {
        run->entries[mutation]->hidden = true;
        run->hidden_count++;
        return;
    }
    run->reason = reason;
    run->refused_mutation = mutation;
    run->refused_unit = unit;
}

/* All but deletes, each onto its own record. */
static enum err merge_all(struct apply_run *run)
{
    for (uint32_t i = 0; i < run->group->mutation_count && run->reason == REASON_NONE; i++) {
        const struct mutation *mutation = &run->group->mutations[i];
        struct apply_entry *entry;
        enum err error = apply_entry_get(run, mutation->table, &mutation->id, &entry);

        if (error != ERR_OK)
            return error;
        run->entries[i] = entry;
        if (entry->mutation != NULL) { /* a second one of a record: group_decode() refuses it */
            if (run->context->mode == MERGE_DECIDE)
                apply_refuse(run, i, REASON_MALFORMED, NULL);
            else
                run->hidden_count++;
            continue;
        }
        entry->mutation = mutation;
        if (mutation->op == MUTATION_DELETE)
            continue;
        error = merge_mutation(run->context, mutation, &entry->record, &entry->result);
        if (error != ERR_OK)
            return error;
        if (entry->result.reason != REASON_NONE)
            apply_refuse(run, i, entry->result.reason, entry->result.refused_unit);
        else if (entry->result.revision_changes)
            apply_mark_changed(run, entry);
    }
    return ERR_OK;
}

static enum err revive_all(struct apply_run *run)
{
    for (uint32_t i = 0; i < run->group->mutation_count; i++) {
        struct apply_entry *entry = run->entries[i];
        enum err error;

        if (!entry->changed || entry->mutation == NULL || entry->mutation->op == MUTATION_DELETE)
            continue;
        error = apply_revive(run, entry);
        if (error != ERR_OK)
            return error;
    }
    return ERR_OK;
}

/* Live before and after, and what was written has the group's dot alone. */
static bool delta_is_simple(const struct apply_run *run, const struct applied_record *applied)
{
    if (!applied->before.present || applied->was_dead || applied->record.dead ||
        applied->result.written_count == 0)
        return false;
    for (uint16_t i = 0; i < applied->result.written_count; i++) {
        const struct unit_state *unit =
            version_unit(&applied->record.version, applied->result.written[i]);

        if (unit->count != 1 || !dot_equal(&unit->candidates[0].dot, &run->context->dot))
            return false;
    }
    return true;
}

static void report_entry(const struct apply_run *run, const struct apply_entry *entry,
                         struct apply_report *report)
{
    struct applied_record *applied = &report->records[report->count++];
    bool raised = entry->changed && run->context->mode == MERGE_DECIDE;

    *applied = (struct applied_record){.table = entry->table,
                                       .id = entry->id,
                                       .record = entry->record,
                                       .previous_revision = entry->before.version.revision,
                                       .was_dead = entry->before.dead,
                                       .inserted = !entry->before.present,
                                       .result = entry->result,
                                       .before = entry->before};
    /* Once for the group, whatever touched the record. */
    applied->record.version.revision = entry->before.version.revision + raised;
    applied->result.revision_changes = entry->changed;
    applied->result.revived = entry->before.dead && !entry->record.dead;
    applied->result.died = !entry->before.dead && entry->record.dead;
    applied->delta_simple = delta_is_simple(run, applied);
}

/* In order of the mutations, then what changed beside them. */
static enum err report_all(const struct apply_run *run, struct apply_report *report)
{
    size_t most = (size_t)run->group->mutation_count + run->beside_count;

    report->records = arena_alloc(run->context->arena, most * sizeof(*report->records));
    if (report->records == NULL)
        return ERR_NOMEM;
    report->hidden_count = run->hidden_count;
    report->clean = run->hidden_count == 0 && !run->revived;
    for (uint32_t i = 0; i < run->group->mutation_count; i++) {
        const struct apply_entry *entry = run->entries[i];

        if (entry->mutation != &run->group->mutations[i])
            continue;
        if (!entry->result.fast_forward)
            report->clean = false;
        if (entry->changed || entry->result.delete_lost)
            report_entry(run, entry, report);
    }
    for (const struct apply_entry *entry = run->beside_first; entry != NULL; entry = entry->beside)
        report_entry(run, entry, report);
    return ERR_OK;
}

static void report_refusal(const struct apply_run *run, struct apply_report *report)
{
    const struct model_table *table = run->group->mutations[run->refused_mutation].table;

    report->reason = run->reason;
    report->refused_mutation = run->refused_mutation;
    if (run->refused_unit != NULL)
        report->refused_column = &table->columns[run->refused_unit->columns[0]];
}

enum err apply_group(const struct model *model, const struct merge_context *context,
                     const struct apply_world *world, const struct group *group,
                     struct apply_report *ret)
{
    struct apply_run run = {.model = model, .context = context, .world = world, .group = group};
    struct apply_report report = {.reason = REASON_NONE};
    enum err error;

    run.entries = arena_alloc(context->arena, group->mutation_count * sizeof(*run.entries));
    if (run.entries == NULL)
        return ERR_NOMEM;
    error = merge_all(&run);
    if (error == ERR_OK && run.reason == REASON_NONE)
        error = revive_all(&run);
    if (error == ERR_OK && run.reason == REASON_NONE)
        error = apply_deletes(&run);
    if (error == ERR_OK && run.reason == REASON_NONE)
        error = report_all(&run, &report);
    if (error != ERR_OK)
        return error;
    if (run.reason != REASON_NONE)
        report_refusal(&run, &report);
    *ret = report;
    return ERR_OK;
}
