/* apply_delete.c - which deletes of a group count.
 *
 * Model:      deletes of a parent and of its children in the group are bound: they count together or
 *             not at all. They do if each of them saw every current dot of its record, and every other
 *             child of these records is dead. A DELETE_WINS record that no
 *             parent binds is *free*: its delete counts in any case, and does not bind its children's.
 * Cost:       O(deletes + their records' children); union-find, no recursion. */
#include "protocol/apply_internal.h"

enum binding { BINDING_UNKNOWN, BINDING_FREE, BINDING_BOUND };

#define NOBODY UINT32_MAX

struct doomed {
    struct apply_entry *entry;
    uint32_t mutation; /* its index */
    uint32_t parent;   /* the delete of its parent, or NOBODY */
    uint32_t leader;   /* union-find */
    enum binding binding;
    bool covered;  /* it saw every dot */
    bool standing; /* covered, and so are the children */
    bool void_set; /* of a leader: something in its set does not stand */
};

struct doom {
    struct apply_run *run;
    struct doomed *all;
    uint32_t count;
};

static uint32_t leader_of(struct doom *doom, uint32_t at)
{
    struct doomed *all = doom->all;

    while (all[at].leader != at) {
        all[at].leader = all[all[at].leader].leader;
        at = all[at].leader;
    }
    return at;
}

/* The record's own checks. What is refused drops out of the list. */
static void collect(struct doom *doom)
{
    struct apply_run *run = doom->run;

    for (uint32_t i = 0; i < run->group->mutation_count && run->reason == REASON_NONE; i++) {
        struct apply_entry *entry = run->entries[i];

        if (run->group->mutations[i].op != MUTATION_DELETE ||
            entry->mutation != &run->group->mutations[i])
            continue;
        if (!entry->record.present ||
            !dot_equal(&entry->record.version.insert, &entry->mutation->insert)) {
            apply_refuse(run, i, REASON_NO_RECORD, NULL);
            continue;
        }
        if (entry->table->delete_policy == DELETE_NEVER) {
            apply_refuse(run, i, REASON_NO_DELETE, NULL);
            continue;
        }
        doom->all[doom->count] =
            (struct doomed){.entry = entry, .mutation = i, .parent = NOBODY, .leader = doom->count};
        entry->doomed = ++doom->count;
    }
}

/* The place of the delete of the entry's parent, or NOBODY. */
static uint32_t doomed_parent(const struct doom *doom, const struct apply_entry *entry)
{
    const struct model_table *table;
    const struct apply_entry *parent;
    struct record_key key;
    struct uuid id;

    if (!apply_parent_id(doom->run, entry, &table, &id))
        return NOBODY;
    key = record_key_of(table, &id);
    parent = (const struct apply_entry *)record_map_find(&doom->run->map, &key);
    return parent == NULL || parent->doomed == 0 || parent == entry ? NOBODY : parent->doomed - 1;
}

/* DELETE_WINS records up to the first other one, or to the top, share one answer. */
static void find_binding(struct doom *doom, uint32_t which)
{
    enum binding answer = BINDING_UNKNOWN;
    uint32_t at = which, steps = 0;

    while (answer == BINDING_UNKNOWN) {
        const struct doomed *d = &doom->all[at];

        if (d->binding != BINDING_UNKNOWN)
            answer = d->binding;
        else if (d->entry->table->delete_policy != DELETE_WINS)
            answer = BINDING_BOUND;
        else if (d->parent == NOBODY || ++steps > doom->count)
            answer = BINDING_FREE;
        else
            at = d->parent;
    }
    for (at = which; doom->all[at].binding == BINDING_UNKNOWN; at = doom->all[at].parent) {
        doom->all[at].binding = answer;
        if (doom->all[at].parent == NOBODY)
            break;
    }
}

static void find_sets(struct doom *doom)
{
    for (uint32_t i = 0; i < doom->count; i++)
        doom->all[i].parent = doomed_parent(doom, doom->all[i].entry);
    for (uint32_t i = 0; i < doom->count; i++)
        find_binding(doom, i);
    for (uint32_t i = 0; i < doom->count; i++) {
        struct doomed *d = &doom->all[i];

        if (d->parent != NOBODY && doom->all[d->parent].binding == BINDING_BOUND)
            doom->all[leader_of(doom, i)].leader = leader_of(doom, d->parent);
    }
}

static bool is_parent_now(const struct apply_run *run, const struct apply_entry *child,
                          const struct apply_entry *parent)
{
    const struct model_table *table;
    struct uuid id;

    return apply_parent_id(run, child, &table, &id) && table == parent->table &&
           uuid_equal(&id, &parent->id);
}

static enum err children_allow(struct apply_run *run, struct apply_entry *parent, bool *ret)
{
    for (uint16_t i = 0; i < run->model->table_count && *ret; i++) {
        const struct model_table *table = &run->model->tables[i];
        const struct uuid *ids;
        uint32_t count;
        enum err error;

        if (!apply_is_child_table(run->model, table, parent->table))
            continue;
        error = run->world->children(run->world->context, table, &parent->id, run->context->arena,
                                     &ids, &count);
        for (uint32_t j = 0; error == ERR_OK && j < count && *ret; j++) {
            struct apply_entry *child;

            error = apply_entry_get(run, table, &ids[j], &child);
            if (error != ERR_OK || !child->record.present || child->doomed > 0 ||
                !is_parent_now(run, child, parent))
                continue;
            *ret = child->record.dead;
        }
        if (error != ERR_OK)
            return error;
    }
    return ERR_OK;
}

/* What this very group has put below a record that it deletes is not in the world's lists yet. */
static void void_by_writes(struct doom *doom)
{
    struct apply_run *run = doom->run;

    for (uint32_t i = 0; i < run->group->mutation_count; i++) {
        struct apply_entry *entry = run->entries[i];
        uint32_t parent;

        if (entry->doomed > 0 || !entry->changed || entry->record.dead)
            continue;
        parent = doomed_parent(doom, entry);
        if (parent != NOBODY)
            doom->all[parent].standing = false;
    }
}

static enum err judge(struct doom *doom)
{
    for (uint32_t i = 0; i < doom->count; i++) {
        struct doomed *d = &doom->all[i];

        d->covered = merge_delete_covers(&d->entry->record.version, d->entry->mutation);
        d->standing = d->covered;
        if (d->binding == BINDING_BOUND && d->standing) {
            enum err error = children_allow(doom->run, d->entry, &d->standing);

            if (error != ERR_OK)
                return error;
        }
    }
    void_by_writes(doom);
    for (uint32_t i = 0; i < doom->count; i++) {
        if (doom->all[i].binding == BINDING_BOUND && !doom->all[i].standing)
            doom->all[leader_of(doom, i)].void_set = true;
    }
    return ERR_OK;
}

static enum err carry_out(struct doom *doom, uint32_t at)
{
    struct doomed *d = &doom->all[at];
    struct apply_entry *entry = d->entry;
    bool counts = d->binding == BINDING_FREE || !doom->all[leader_of(doom, at)].void_set;
    bool topmost = d->parent == NOBODY || doom->all[d->parent].binding == BINDING_FREE;
    enum err error;

    if (!counts) {
        entry->result.delete_lost = !entry->record.dead && (topmost || !d->covered);
        return ERR_OK;
    }
    error = merge_mutation(doom->run->context, entry->mutation, &entry->record, &entry->result);
    if (error != ERR_OK)
        return error;
    if (entry->result.reason != REASON_NONE)
        apply_refuse(doom->run, d->mutation, entry->result.reason, entry->result.refused_unit);
    else if (entry->result.revision_changes)
        apply_mark_changed(doom->run, entry);
    return ERR_OK;
}

enum err apply_deletes(struct apply_run *run)
{
    struct doom doom = {.run = run};
    uint32_t count = 0;
    enum err error;

    for (uint32_t i = 0; i < run->group->mutation_count; i++)
        count += run->group->mutations[i].op == MUTATION_DELETE;
    if (count == 0)
        return ERR_OK;
    doom.all = arena_alloc(run->context->arena, count * sizeof(*doom.all));
    if (doom.all == NULL)
        return ERR_NOMEM;
    collect(&doom);
    find_sets(&doom);
    error = judge(&doom);
    for (uint32_t i = 0; error == ERR_OK && i < doom.count && run->reason == REASON_NONE; i++)
        error = carry_out(&doom, i);
    return error;
}
