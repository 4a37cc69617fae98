/* apply_revive.c - what comes back with a record.
 *
 * Model:      a delete of a parent and the deletes of its children in one group stand or fall together:
 *             a mark that falls at one record falls at its children and at its parent. Of a parent
 *             whose child lives, all marks fall. Each loss of a mark is followed up and down until
 *             nothing more falls; marks only ever go, so this ends, and in one state.
 * Bound:      a DELETE_WINS record dies by its own deletes whatever is written to it, but a mark that
 *             its parent bears as well is bound to the parent's: it falls with a write that it did not
 *             see. Marks of a DELETE_WINS record without such a parent fall by a restore alone.
 * Cost:       O(marks that fall * children); no recursion. */
#include "protocol/apply_internal.h"

enum { CLIMB_MAX = 64 }; /* DELETE_WINS records above one another; a circle ends there */

static bool has_any(const struct version *version, struct dot_set dots)
{
    for (uint16_t i = 0; i < version->delete_count; i++) {
        if (dot_set_has(dots, &version->deletes[i].dot))
            return true;
    }
    return false;
}

/* The dots of the version's deletes, in new memory. */
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

/* These change a set whose memory is ours. */

static void keep_dots(struct dot_set *set, struct dot_set wanted)
{
    struct dot *dots = (struct dot *)set->dots;
    uint16_t kept = 0;

    for (uint16_t i = 0; i < set->count; i++) {
        if (dot_set_has(wanted, &dots[i]))
            dots[kept++] = dots[i];
    }
    set->count = kept;
}

static bool bears(const struct version *version, const struct dot *dot)
{
    return has_any(version, (struct dot_set){.dots = dot, .count = 1});
}

static void keep_borne(struct dot_set *set, const struct version *version)
{
    struct dot *dots = (struct dot *)set->dots;
    uint16_t kept = 0;

    for (uint16_t i = 0; i < set->count; i++) {
        if (bears(version, &dots[i]))
            dots[kept++] = dots[i];
    }
    set->count = kept;
}

static void drop_borne(struct dot_set *set, const struct version *version)
{
    struct dot *dots = (struct dot *)set->dots;
    uint16_t kept = 0;

    for (uint16_t i = 0; i < set->count; i++) {
        if (!bears(version, &dots[i]))
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
        keep_borne(&dots, &at->record.version);
        if (at->table->delete_policy != DELETE_WINS)
            break;
    }
    if (error == ERR_OK)
        *ret = dots;
    return error;
}

/* A record that lost marks, or that has come to where it is (no dots): what hangs on it is to follow. */
struct loss {
    struct apply_entry *entry;
    struct dot_set dots;
    struct loss *next;
};

/* Takes the marks from the entry. Who lost one is put on the stack. */
static enum err lift(struct apply_run *run, struct apply_entry *entry, struct dot_set dots,
                     struct loss **stack)
{
    struct arena *arena = run->context->arena;
    struct loss *loss;
    bool any;
    enum err error;

    if (!has_any(&entry->record.version, dots))
        return ERR_OK;
    error = merge_lift_deletes(arena, dots, &entry->record.version, &any);
    loss = arena_alloc(arena, sizeof(*loss));
    if (error != ERR_OK || loss == NULL)
        return ERR_NOMEM;
    entry->record.dead = merge_is_dead(&entry->record.version);
    apply_mark_changed(run, entry);
    /* Where the group does something else to it, its author cannot know: a delete of a line whose
     * account the same group brings back. */
    run->revived = run->revived || !run->asked ||
                   (entry->mutation != NULL && entry->mutation->op != MUTATION_RESTORE);
    *loss = (struct loss){.entry = entry, .dots = dots, .next = *stack};
    *stack = loss;
    return ERR_OK;
}

/* The children that the same groups deleted. */
static enum err lift_below(struct apply_run *run, const struct loss *loss, struct loss **stack)
{
    for (uint16_t i = 0; i < run->model->table_count && loss->dots.count > 0; i++) {
        const struct model_table *table = &run->model->tables[i];
        const struct uuid *ids;
        uint32_t count;
        enum err error;

        if (!apply_is_child_table(run->model, table, loss->entry->table))
            continue;
        error = run->world->children(run->world->context, table, &loss->entry->id,
                                     run->context->arena, &ids, &count);
        for (uint32_t j = 0; error == ERR_OK && j < count; j++) {
            struct apply_entry *child;

            error = apply_entry_get(run, table, &ids[j], &child);
            if (error == ERR_OK && child->record.present)
                error = lift(run, child, loss->dots, stack);
        }
        if (error != ERR_OK)
            return error;
    }
    return ERR_OK;
}

/* Of a parent whose child lives, all marks; else those that the child lost. */
static enum err lift_above(struct apply_run *run, const struct loss *loss, struct loss **stack)
{
    struct apply_entry *parent;
    struct dot_set dots;
    enum err error = apply_parent(run, loss->entry, &parent);

    if (error != ERR_OK || parent == NULL || parent->record.version.delete_count == 0)
        return error;
    if (parent->table->delete_policy == DELETE_WINS)
        error = bound_dots(run, parent, &dots);
    else
        error = delete_dots(run->context->arena, &parent->record.version, &dots);
    if (error != ERR_OK)
        return error;
    if (loss->entry->record.dead)
        keep_dots(&dots, loss->dots);
    return lift(run, parent, dots, stack);
}

static bool parent_changed(const struct apply_entry *entry)
{
    int16_t column = entry->table->parent_column;

    return column >= 0 && entry->before.present &&
           !value_equal(&entry->before.values[column], &entry->record.values[column]);
}

/* What the record's own merge took from it, and the bound marks that its write takes now. */
static enum err own_loss(struct apply_run *run, struct apply_entry *entry, struct loss **stack)
{
    struct loss *own = arena_calloc(run->context->arena, 1, sizeof(*own));
    bool arrived = !entry->before.present || parent_changed(entry);
    struct dot_set dots;
    enum err error = ERR_OK;

    if (own == NULL)
        return ERR_NOMEM;
    own->entry = entry;
    if (entry->before.version.delete_count > entry->record.version.delete_count) {
        run->revived = run->revived || !run->asked;
        error = delete_dots(run->context->arena, &entry->before.version, &own->dots);
        if (error == ERR_OK)
            drop_borne(&own->dots, &entry->record.version);
    }
    if (own->dots.count > 0 || (arrived && !entry->record.dead))
        *stack = own;
    if (error == ERR_OK && entry->record.dead && entry->mutation->write_count > 0)
        error = bound_dots(run, entry, &dots);
    else
        return error;
    return error == ERR_OK ? lift(run, entry, dots, stack) : error;
}

enum err apply_revive(struct apply_run *run, struct apply_entry *entry)
{
    struct loss *stack = NULL;
    enum err error;

    run->asked = entry->mutation->op == MUTATION_RESTORE;
    error = own_loss(run, entry, &stack);
    while (error == ERR_OK && stack != NULL) {
        const struct loss *top = stack;

        stack = top->next;
        error = lift_above(run, top, &stack);
        if (error == ERR_OK)
            error = lift_below(run, top, &stack);
    }
    return error;
}
