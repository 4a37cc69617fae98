/* oracle_deletes.c - which deletes hold. */
#include "tests/lib/oracle_internal.h"

#include <string.h>

/* The deletes of a group form trees: a child's delete hangs below its parent's when the group has
 * both. A *root* is one whose parent is not deleted in the same group. A tree stands or falls whole:
 *
 *   a delete covers its record  if no restore of the record names it and it saw every current dot
 *                               (the insert always: a delete names it apart from the frontiers);
 *   a tree stands               if every record in it is covered, and every child that it leaves out
 *                               is dead by another tree that stands; and it stood before (a revival
 *                               is for good: no later delete of the child undoes it);
 *   a DELETE_WINS root          stands unless a restore names it;
 *   a record is dead            if a delete of it lies in a tree that stands.
 *
 * "Stood before" is why prefixes are looked at, and only in models with parents. */

static const struct uuid *parent_of(const struct oracle *o, const struct model_table *table,
                                    const struct uuid *id, const struct model_table **ret_table)
{
    uint32_t op;
    const struct mutation *insert = oracle_insert_of(o, o->count, table, id, &op);
    if (table->parent_column < 0 || insert == NULL)
        return NULL;
    const struct model_column *column = &table->columns[table->parent_column];
    const struct unit_write *write = oracle_write_of(insert, &table->units[column->unit_index]);
    if (write == NULL || write->values[column->unit_place].kind != VALUE_BLOB)
        return NULL;
    *ret_table = &o->model->tables[column->target];
    return (const struct uuid *)(const void *)write->values[column->unit_place].as.bytes.data;
}

static uint32_t place_of(const struct oracle *o, uint32_t op, const struct mutation *m)
{
    return (uint32_t)(m - o->ops[op]->group->mutations);
}

static const struct mutation *root_of(const struct oracle *o, uint32_t op, const struct mutation *m)
{
    const struct model_table *table = NULL;
    const struct uuid *parent = parent_of(o, m->table, &m->id, &table);
    if (parent == NULL)
        return m;
    const struct mutation *above = oracle_mutation_of(o, op, table, parent);
    if (above == NULL || above->op != MUTATION_DELETE)
        return m;
    return root_of(o, op, above);
}

static bool lifted(const struct oracle *o, uint32_t n, uint32_t op, const struct mutation *m)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct mutation *other = oracle_mutation_of(o, i, m->table, &m->id);
        if (other != NULL && other->op == MUTATION_RESTORE &&
            oracle_names(other->deletes, &o->ops[op]->group->dot))
            return true;
    }
    return false;
}

static bool covers(const struct oracle *o, uint32_t n, uint32_t op, const struct mutation *m)
{
    if (lifted(o, n, op, m))
        return false;
    for (uint16_t u = 0; u < m->table->unit_count; u++) {
        struct dot_set seen = {&m->insert, 1};
        for (uint16_t i = 0; i < m->frontier_count; i++)
            if (m->frontier[i].unit == u)
                seen = m->frontier[i].seen;
        struct unit_op writes[ORACLE_OPS_MAX];
        uint32_t count = oracle_writes_of(o, n, m->table, &m->id, &m->table->units[u], writes);
        for (uint32_t i = 0; i < count; i++)
            if (!writes[i].insert && oracle_is_maximal(o, writes, count, i) &&
                !oracle_names(seen, oracle_dot_of(o, &writes[i])))
                return false;
    }
    return true;
}

/* Whether another operation's delete of the record holds, given the trees known to stand. */
static bool dead_by_other(const struct oracle *o, uint32_t n, const uint32_t *standing,
                          uint32_t except, const struct model_table *table, const struct uuid *id)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct mutation *m = oracle_mutation_of(o, i, table, id);
        if (i == except || m == NULL || m->op != MUTATION_DELETE)
            continue;
        const struct mutation *root = root_of(o, i, m);
        if ((standing[i] >> place_of(o, i, root) & 1) != 0 && (m == root || covers(o, n, i, m)))
            return true;
    }
    return false;
}

static bool tree_stands(const struct oracle *o, uint32_t n, const uint32_t *standing, uint32_t op,
                        const struct mutation *m, bool root)
{
    if (root && m->table->delete_policy == DELETE_WINS)
        return !lifted(o, n, op, m);
    if (!covers(o, n, op, m))
        return false;
    for (uint32_t i = 0; o->trees && i < n; i++) {
        const struct group *group = o->ops[i]->group;
        for (uint32_t j = 0; j < group->mutation_count; j++) {
            const struct mutation *child = &group->mutations[j];
            const struct model_table *above = NULL;
            if (child->op != MUTATION_INSERT || (o->refused[i] >> j & 1) != 0)
                continue;
            const struct uuid *parent = parent_of(o, child->table, &child->id, &above);
            if (parent == NULL || above != m->table || memcmp(parent, &m->id, sizeof m->id) != 0)
                continue;
            const struct mutation *below = oracle_mutation_of(o, op, child->table, &child->id);
            bool gone = below != NULL && below->op == MUTATION_DELETE
                            ? tree_stands(o, n, standing, op, below, false)
                            : dead_by_other(o, n, standing, op, child->table, &child->id);
            if (!gone)
                return false;
        }
    }
    return true;
}

/* The trees that stand after n operations: the least set, so that two void deletes cannot prop each
 * other up. */
static void find_standing(struct oracle *o, uint32_t n, const uint32_t *before)
{
    uint32_t now[ORACLE_OPS_MAX] = {0};
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < n; i++) {
            const struct group *group = o->ops[i]->group;
            for (uint32_t j = 0; j < group->mutation_count; j++) {
                const struct mutation *m = &group->mutations[j];
                if (m->op != MUTATION_DELETE || (o->refused[i] >> j & 1) != 0 ||
                    (now[i] >> j & 1) != 0 || (before[i] >> j & 1) == 0 || root_of(o, i, m) != m)
                    continue;
                if (tree_stands(o, n, now, i, m, true)) {
                    now[i] |= 1u << j;
                    more = true;
                }
            }
        }
    }
    memcpy(o->standing, now, sizeof now);
}

void oracle_judge_deletes(struct oracle *o)
{
    uint32_t before[ORACLE_OPS_MAX];
    bool any = false;
    memset(o->standing, 0, o->count * sizeof *o->standing);
    for (uint32_t i = 0; i < o->count; i++)
        for (uint32_t j = 0; j < o->ops[i]->group->mutation_count; j++)
            any = any || o->ops[i]->group->mutations[j].op == MUTATION_DELETE;
    if (!any)
        return;
    memset(before, 0xff, sizeof before);
    for (uint32_t n = o->trees ? 1 : o->count; n <= o->count; n++) {
        find_standing(o, n, before);
        for (uint32_t i = 0; i < n; i++)
            before[i] = o->standing[i];
    }
}

bool oracle_dead(const struct oracle *o, const struct model_table *table, const struct uuid *id)
{
    return dead_by_other(o, o->count, o->standing, UINT32_MAX, table, id);
}

bool oracle_delete_holds(const struct oracle *o, uint32_t op, const struct model_table *table,
                         const struct uuid *id)
{
    const struct mutation *m = oracle_mutation_of(o, op, table, id);
    if (m == NULL || m->op != MUTATION_DELETE)
        return false;
    const struct mutation *root = root_of(o, op, m);
    return (o->standing[op] >> place_of(o, op, root) & 1) != 0 &&
           (m == root || covers(o, o->count, op, m));
}
