/* apply_revive.c - what comes back with a record.
 *
 * Model:      a delete of a parent and the deletes of its children in one group stand or fall together.
 *             When a mark falls at one record it falls downwards (children deleted by the same group)
 *             and upwards: of a parent whose child lives, all marks fall.
 * Bound:      a DELETE_WINS record dies by its own deletes whatever is written to it, but a mark that
 *             its parent bears as well is bound to the parent's: it falls with a write that it did not
 *             see. Marks of a DELETE_WINS record without such a parent fall by a restore alone.
 * Cost:       O(marks that fall * children); no recursion. */
#include "protocol/apply_internal.h"

enum { CLIMB_MAX = 64 }; /* DELETE_WINS records above one another; a circle ends there */

struct lift {
    struct apply_entry *entry;
    struct dot_set dots;
    struct lift *next;
};

static bool has_any(const struct version *version, struct dot_set dots)
{
    for (uint16_t i = 0; i < version->delete_count; i++) {
        if (dot_set_has(dots, &version->deletes[i].dot))
            return true;
    }
    return false;
}

/* The dots of the version's deletes. NULL in dots: no memory. */
static enum err delete_dots(struct arena *arena, const struct version *version, struct dot_set *ret)
{
    struct dot *dots = arena_alloc(arena, version->delete_count * sizeof(*dots));

    if (dots == NULL)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < version->delete_count; i++)
        dots[i] = version->deletes[i].dot;
    *ret = (struct dot_set){.dots = dots, .count = version->delete_count};
    return ERR_OK;
}

/* Keeps of the set (whose memory is ours) what the version bears, or what it does not. */
static void filter_dots(struct dot_set *set, const struct version *version, bool borne)
{
    struct dot *dots = (struct dot *)set->dots;
    uint16_t kept = 0;

    for (uint16_t i = 0; i < set->count; i++) {
        bool found = has_any(version, (struct dot_set){.dots = &dots[i], .count = 1});

        if (found == borne)
            dots[kept++] = dots[i];
    }
    set->count = kept;
}

/* The marks of a DELETE_WINS record that are bound to its parents'. */
static enum err bound_dots(struct apply_run *run, struct apply_entry *entry, struct dot_set *ret)
{
    struct dot_set dots;
    struct apply_entry *at = entry;
    enum err error = delete_dots(run->context->arena, &entry->record.version, &dots);

    for (int i = 0; error == ERR_OK && dots.count > 0; i++) {
        error = i == CLIMB_MAX ? ERR_OK : apply_parent(run, at, &at);
        if (error != ERR_OK)
            return error;
        if (at == NULL || i == CLIMB_MAX) {
            dots.count = 0;
            break;
        }
        filter_dots(&dots, &at->record.version, true);
        if (at->table->delete_policy != DELETE_WINS)
            break;
    }
    if (error == ERR_OK)
        *ret = dots;
    return error;
}

static enum err push_children(struct apply_run *run, struct apply_entry *parent,
                              struct dot_set dots, struct lift **stack)
{
    for (uint16_t i = 0; i < run->model->table_count; i++) {
        const struct model_table *table = &run->model->tables[i];
        const struct uuid *ids;
        uint32_t count;
        enum err error;

        if (!apply_is_child_table(run->model, table, parent->table))
            continue;
        error = run->world->children(run->world->context, table, &parent->id, run->context->arena,
                                     &ids, &count);
        for (uint32_t j = 0; error == ERR_OK && j < count; j++) {
            struct apply_entry *child;
            struct lift *lift;

            error = apply_entry_get(run, table, &ids[j], &child);
            if (error != ERR_OK || !child->record.present || !has_any(&child->record.version, dots))
                continue;
            lift = arena_alloc(run->context->arena, sizeof(*lift));
            if (lift == NULL)
                return ERR_NOMEM;
            *lift = (struct lift){.entry = child, .dots = dots, .next = *stack};
            *stack = lift;
        }
        if (error != ERR_OK)
            return error;
    }
    return ERR_OK;
}

static enum err lift_from(struct apply_run *run, struct apply_entry *entry, struct dot_set dots,
                          bool *ret_any)
{
    enum err error = merge_lift_deletes(run->context->arena, dots, &entry->record.version, ret_any);

    if (error == ERR_OK && *ret_any) {
        entry->record.dead = merge_is_dead(&entry->record.version);
        apply_mark_changed(run, entry);
        run->revived = run->revived || !run->asked;
    }
    return error;
}

/* Takes the marks from what is below the entry. */
static enum err lift_below(struct apply_run *run, struct apply_entry *entry, struct dot_set dots)
{
    struct lift *stack = NULL;
    enum err error = push_children(run, entry, dots, &stack);

    while (error == ERR_OK && stack != NULL) {
        struct lift *top = stack;
        bool any;

        stack = top->next;
        error = lift_from(run, top->entry, top->dots, &any);
        if (error == ERR_OK && any)
            error = push_children(run, top->entry, top->dots, &stack);
    }
    return error;
}

/* What falls at the parent of a child that lives, or has lost the marks `lifted`. */
static enum err falling_dots(struct apply_run *run, const struct apply_entry *child,
                             struct dot_set lifted, struct apply_entry *parent, struct dot_set *ret)
{
    const struct version *version = &parent->record.version;
    struct dot_set dots;
    uint16_t kept = 0;
    enum err error;

    if (parent->table->delete_policy == DELETE_WINS)
        error = bound_dots(run, parent, &dots);
    else
        error = delete_dots(run->context->arena, version, &dots);
    if (error != ERR_OK)
        return error;
    if (child->record.dead) {
        struct dot *own = (struct dot *)dots.dots;

        for (uint16_t i = 0; i < dots.count; i++) {
            if (dot_set_has(lifted, &own[i]))
                own[kept++] = own[i];
        }
        dots.count = kept;
    }
    *ret = dots;
    return ERR_OK;
}

static enum err lift_above(struct apply_run *run, struct apply_entry *entry, struct dot_set lifted)
{
    struct apply_entry *child = entry;

    for (;;) {
        struct apply_entry *parent;
        struct dot_set dots;
        bool any;
        enum err error = apply_parent(run, child, &parent);

        if (error != ERR_OK || parent == NULL || parent->record.version.delete_count == 0)
            return error;
        error = falling_dots(run, child, lifted, parent, &dots);
        if (error != ERR_OK || dots.count == 0)
            return error;
        error = lift_from(run, parent, dots, &any);
        if (error == ERR_OK)
            error = lift_below(run, parent, dots);
        if (error != ERR_OK)
            return error;
        child = parent;
        lifted = dots;
    }
}

static bool parent_changed(const struct apply_entry *entry)
{
    int16_t column = entry->table->parent_column;

    return column >= 0 && entry->before.present &&
           !value_equal(&entry->before.values[column], &entry->record.values[column]);
}

enum err apply_revive(struct apply_run *run, struct apply_entry *entry)
{
    const struct mutation *mutation = entry->mutation;
    struct dot_set lifted = {.dots = NULL, .count = 0}, bound;
    uint16_t had = entry->before.present ? entry->before.version.delete_count : 0;
    bool fell = had > entry->record.version.delete_count;
    bool arrived = !entry->before.present || parent_changed(entry);
    enum err error = ERR_OK;

    run->asked = mutation->op == MUTATION_RESTORE;
    if (fell) {
        run->revived = run->revived || !run->asked;
        error = delete_dots(run->context->arena, &entry->before.version, &lifted);
        if (error == ERR_OK)
            filter_dots(&lifted, &entry->record.version, false);
    } else if (entry->record.dead && mutation->write_count > 0) {
        error = bound_dots(run, entry, &bound);
        if (error == ERR_OK && bound.count > 0) {
            error = lift_from(run, entry, bound, &fell);
            lifted = bound;
        }
    }
    if (error == ERR_OK && fell)
        error = lift_below(run, entry, lifted);
    if (error == ERR_OK && (fell || (arrived && !entry->record.dead)))
        error = lift_above(run, entry, lifted);
    return error;
}
