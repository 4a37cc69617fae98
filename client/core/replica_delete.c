/* replica_delete.c - deleting a record with everything that belongs to it, and bringing it back. */
#include "client/core/replica_internal.h"

#include <assert.h>
#include <string.h>

typedef enum err tree_fn(struct replica *r, const struct model_table *table, const struct uuid *id,
                         const struct record *parent, struct err_info *info);

/* Calls fn for every record that belongs to this one. */
static enum err each_child(struct replica *r, const struct model_table *table,
                           const struct uuid *id, const struct record *record, tree_fn *fn,
                           struct err_info *info)
{
    for (uint16_t t = 0; t < r->model->table_count; t++) {
        const struct model_table *child = &r->model->tables[t];
        if (child->parent_column < 0 ||
            child->columns[child->parent_column].target != (int16_t)table->index)
            continue;
        struct store_ids list = {.arena = &r->arena};
        enum err e = store_children(r->store, child, id, store_ids_add, &list);
        for (uint32_t i = 0; e == ERR_OK && i < list.count; i++)
            e = fn(r, child, &list.ids[i], record, info);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static enum err seen_map(struct replica *r, const struct record *record, struct mutation *mutation)
{
    uint16_t count = record->version.unit_count;
    struct unit_seen *frontier = arena_calloc(&r->arena, count + 1u, sizeof *frontier);
    if (!frontier)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < count; i++) {
        struct dot *dots = arena_calloc(&r->arena, FRONTIER_MAX, sizeof *dots);
        if (!dots)
            return ERR_NOMEM;
        frontier[i].unit = record->version.units[i].unit;
        frontier[i].seen = version_frontier(&record->version, frontier[i].unit, dots);
    }
    mutation->frontier = frontier;
    mutation->frontier_count = count;
    return ERR_OK;
}

static enum err delete_tree(struct replica *r, const struct model_table *table,
                            const struct uuid *id, const struct record *parent,
                            struct err_info *info)
{
    struct store_row old;
    struct record record;
    enum err e = write_read(r, table, id, false, &old, &record, info);
    if (e == ERR_NOT_FOUND && parent)
        return ERR_OK; /* a child that is dead already */
    if (e == ERR_OK && table->delete_policy == DELETE_NEVER)
        e = err_set(info, ERR_FORBIDDEN, "records of '%s' are never deleted", table->name);
    if (e != ERR_OK)
        return e;
    struct mutation *mutation;
    e = write_mutation(r, table, MUTATION_DELETE, id, &mutation, info);
    if (e != ERR_OK)
        return e;
    mutation->insert = record.version.insert;
    e = seen_map(r, &record, mutation);
    uint32_t at = r->mutation_count - 1;
    if (e == ERR_OK)
        e = each_child(r, table, id, &record, delete_tree, info);
    if (e != ERR_OK)
        return e;
    if (dot_equal(&record.version.insert, &r->dot))
        return store_row_delete(r->store, table, id); /* made and unmade in one group */
    return write_view(r, &r->mutations[at], &old, &record, info);
}

/* A record and all that belongs to it, or, on an error, none of it. */
static enum err write_tree(struct replica *r, const struct model_table *table,
                           const struct uuid *id, tree_fn *fn, struct err_info *info)
{
    uint32_t before = r->mutation_count;
    enum err e = store_savepoint(r->store);
    if (e != ERR_OK)
        return e;
    e = fn(r, table, id, NULL, info);
    if (e == ERR_OK)
        return store_release(r->store);
    r->mutation_count = before;
    (void)store_rollback_to(r->store); /* a store that cannot do this says so at the commit */
    return e;
}

enum err replica_delete(struct replica *r, const struct model_table *table, const struct uuid *id,
                        struct err_info *info)
{
    assert(r->writing);
    enum err e = write_check_table(table, info);
    return e == ERR_OK ? write_tree(r, table, id, delete_tree, info) : e;
}

static bool same_deletes(const struct record *record, const struct record *parent)
{
    for (uint16_t i = 0; i < record->version.delete_count; i++)
        for (uint16_t k = 0; k < parent->version.delete_count; k++)
            if (dot_equal(&record->version.deletes[i].dot, &parent->version.deletes[k].dot))
                return true;
    return false;
}

static enum err restore_tree(struct replica *r, const struct model_table *table,
                             const struct uuid *id, const struct record *parent,
                             struct err_info *info)
{
    struct store_row old;
    struct record record;
    enum err e = write_read(r, table, id, true, &old, &record, info);
    if (parent && (e == ERR_NOT_FOUND || (e == ERR_OK && !same_deletes(&record, parent))))
        return ERR_OK; /* alive, or deleted on another occasion */
    if (e != ERR_OK)
        return e;
    struct mutation *mutation;
    e = write_mutation(r, table, MUTATION_RESTORE, id, &mutation, info);
    if (e != ERR_OK)
        return e;
    struct dot *dots = arena_calloc(&r->arena, record.version.delete_count + 1u, sizeof *dots);
    if (!dots)
        return err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    for (uint16_t i = 0; i < record.version.delete_count; i++)
        dots[i] = record.version.deletes[i].dot;
    mutation->insert = record.version.insert;
    mutation->deletes = (struct dot_set){dots, record.version.delete_count};
    uint32_t at = r->mutation_count - 1;
    e = each_child(r, table, id, &record, restore_tree, info);
    return e == ERR_OK ? write_view(r, &r->mutations[at], &old, &record, info) : e;
}

enum err replica_restore(struct replica *r, const struct model_table *table, const struct uuid *id,
                         struct err_info *info)
{
    assert(r->writing);
    enum err e = write_check_table(table, info);
    return e == ERR_OK ? write_tree(r, table, id, restore_tree, info) : e;
}
