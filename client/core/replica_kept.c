/* replica_kept.c - records that were purged while own changes to them waited: what is needed to bring them back.
 *
 * Model:      when a confirmed row leaves, and own groups that wait touch it or put something beneath it, it is
 *             kept as the insert that would make it again (KEPT), hidden, until no own group waits any more. A
 *             group that is set aside because its record was purged takes these inserts along, parents first:
 *             trying it again begins with those whose records are not there.
 * Stored:     KEPT table BE2, id -> a group of one insert (SPEC.md 4); empty: what is kept belongs to this record,
 *             which is to be kept as well when it leaves.
 * Source:     SPEC.md 13.4. */
#include "client/core/replica_kept.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT_KEY = 18, ATTACHED_MAX = 10000, FORGET_AT_ONCE = 1000 };

/* It is never decided: the dot says nothing. */
static const struct dot insert_dot = {.origin = 1, .oseq = 1};

static bool is_fallback(const struct model_table *table, const struct model_unit *unit,
                        const struct value *values)
{
    for (uint16_t k = 0; k < unit->column_count; k++)
        if (!value_equal(&values[unit->columns[k]], &table->columns[unit->columns[k]].fallback))
            return false;
    return true;
}

static enum err insert_of_row(const struct model_table *table, const struct uuid *id,
                              const struct value *values, struct arena *arena, struct mutation *ret)
{
    struct unit_write *writes = arena_calloc(arena, table->unit_count + 1u, sizeof *writes);
    struct mutation insert = {.table = table, .op = MUTATION_INSERT, .id = *id};
    enum err e = writes ? ERR_OK : ERR_NOMEM;
    for (uint16_t u = 0; e == ERR_OK && u < table->unit_count; u++) {
        const struct model_unit *unit = &table->units[u];
        struct value *of = arena_calloc(arena, unit->column_count, sizeof *of);
        if (!of)
            return ERR_NOMEM;
        if (is_fallback(table, unit, values))
            continue;
        for (uint16_t k = 0; e == ERR_OK && k < unit->column_count; k++)
            e = value_copy(arena, &values[unit->columns[k]], &of[k]);
        writes[insert.write_count++] = (struct unit_write){.unit = unit, .values = of};
    }
    insert.writes = writes;
    *ret = insert;
    return e;
}

static enum err encode(const struct replica *r, const struct mutation *mutations, uint32_t count,
                       struct buf *out)
{
    const struct group group = {.dot = insert_dot,
                                .model_version = r->model->version,
                                .mutations = mutations,
                                .mutation_count = count};
    return group_encode(&group, out);
}

/* ---- a row leaves ---- */

struct child_search {
    struct replica *r;
    const struct model_table *table;
    struct arena *arena;
    bool found;
};

static bool has_own(const struct replica *r, const struct base *base)
{
    for (uint16_t i = 0; i < base->pending_count; i++)
        if (is_own_pending(r, &base->pending[i]))
            return true;
    return false;
}

/* Whether an own group that waits made it, or touches it. */
static int is_waiting_child(void *context, const struct uuid *id)
{
    struct child_search *search = context;
    struct store_row row;
    struct base base;
    struct version_head head;
    enum err e = base_load(search->r, search->table, id, search->arena, &base);
    if (e == ERR_OK) {
        search->found = has_own(search->r, &base);
        return search->found ? STORE_STOP : 0;
    }
    if (e == ERR_NOT_FOUND)
        e = store_row_get(search->r->store, search->table, id, search->arena, &row);
    if (e == ERR_OK && version_peek(row.version, &head) != ERR_OK)
        e = ERR_CORRUPT;
    if (e != ERR_OK)
        return (int)e;
    search->found = row.position == 0 && is_own_pending(search->r, &head.insert);
    return search->found ? STORE_STOP : 0;
}

static enum err has_waiting_child(struct install *in, const struct model_table *parent,
                                  const struct uuid *id, bool *ret)
{
    struct replica *r = in->r;
    enum err e = ERR_OK;
    *ret = false;
    for (uint16_t t = 0; e == ERR_OK && !*ret && t < r->model->table_count; t++) {
        struct child_search search = {r, &r->model->tables[t], &in->entry, false};
        if (search.table->parent_column < 0 ||
            search.table->columns[search.table->parent_column].target != (int32_t)parent->index)
            continue;
        e = store_children(r->store, search.table, id, is_waiting_child, &search);
        *ret = search.found;
    }
    return e;
}

/* What was kept belongs to it. */
static enum err is_wanted(struct install *in, struct bytes key, bool *ret)
{
    struct bytes value;
    enum err e = store_side_get(in->r->store, SIDE_KEPT, key, &in->entry, &value);
    *ret = e == ERR_OK;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err want_parent(struct install *in, const struct model_table *table,
                            const struct value *values)
{
    struct uuid id;
    uint8_t key[KEPT_KEY];
    bool known;
    if (table->parent_column < 0 || table->columns[table->parent_column].target < 0 ||
        !value_id(&values[table->parent_column], &id))
        return ERR_OK;
    install_key(&in->r->model->tables[table->columns[table->parent_column].target], &id, key);
    enum err e = is_wanted(in, bytes_of(key, sizeof key), &known);
    return e != ERR_OK || known ? e
                                : store_side_put(in->r->store, SIDE_KEPT, bytes_of(key, sizeof key),
                                                 bytes_of(NULL, 0));
}

enum err kept_note(struct install *in, const struct model_table *table, const struct uuid *id,
                   const struct touched *t, const struct store_row *row)
{
    struct replica *r = in->r;
    bool needed = t && has_own(r, &t->base);
    uint8_t key[KEPT_KEY];
    struct mutation insert;
    enum err e = ERR_OK;
    if (r->outbox_count == 0 || !row)
        return ERR_OK;
    install_key(table, id, key);
    if (!needed)
        e = is_wanted(in, bytes_of(key, sizeof key), &needed);
    if (e == ERR_OK && !needed)
        e = has_waiting_child(in, table, id, &needed);
    if (e == ERR_OK && needed)
        e = want_parent(in, table, row->values);
    if (e != ERR_OK || !needed)
        return e;
    e = insert_of_row(table, id, row->values, &in->entry, &insert);
    buf_reset(&r->encode);
    if (e == ERR_OK)
        e = encode(r, &insert, 1, &r->encode);
    return e == ERR_OK ? store_side_put(r->store, SIDE_KEPT, bytes_of(key, sizeof key),
                                        buf_view(&r->encode))
                       : e;
}

struct kept_keys {
    uint8_t keys[FORGET_AT_ONCE][KEPT_KEY];
    uint32_t count;
};

static int add_key(void *context, struct bytes key, struct bytes value)
{
    struct kept_keys *list = context;
    (void)value;
    if (key.size != KEPT_KEY)
        return ERR_CORRUPT;
    memcpy(list->keys[list->count++], key.data, KEPT_KEY);
    return list->count == FORGET_AT_ONCE ? STORE_STOP : 0;
}

enum err kept_forget(struct install *in)
{
    struct replica *r = in->r;
    if (r->outbox_count > 0)
        return ERR_OK;
    struct kept_keys *list = arena_calloc(&in->arena, 1, sizeof *list);
    if (!list)
        return ERR_NOMEM;
    enum err e =
        store_side_scan(r->store, SIDE_KEPT, bytes_of(NULL, 0), bytes_of(NULL, 0), add_key, list);
    for (uint32_t i = 0; e == ERR_OK && i < list->count; i++)
        e = store_side_delete(r->store, SIDE_KEPT, bytes_of(list->keys[i], KEPT_KEY));
    return e;
}

/* ---- a group is set aside ---- */

struct attaching {
    struct replica *r;
    struct arena *arena;
    struct mutation *inserts;
    uint32_t count, capacity;
};

static bool is_attached(const struct attaching *a, const struct model_table *table,
                        const struct uuid *id)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (a->inserts[i].table == table && uuid_equal(&a->inserts[i].id, id))
            return true;
    return false;
}

/* As it was kept, or as it is confirmed here still. ERR_NOT_FOUND: neither. */
static enum err find_insert(struct attaching *a, const struct model_table *table,
                            const struct uuid *id, struct mutation *ret)
{
    struct replica *r = a->r;
    uint8_t key[KEPT_KEY];
    struct bytes raw;
    struct group group;
    struct base base;
    struct store_row row;
    install_key(table, id, key);
    enum err e = store_side_get(r->store, SIDE_KEPT, bytes_of(key, sizeof key), a->arena, &raw);
    if (e == ERR_OK && raw.size > 0) {
        e = group_decode(r->model, raw, a->arena, &group, NULL);
        if (e == ERR_OK && group.mutation_count == 1)
            *ret = group.mutations[0];
        return e == ERR_MALFORMED || (e == ERR_OK && group.mutation_count != 1) ? ERR_CORRUPT : e;
    }
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    e = base_load(r, table, id, a->arena, &base);
    if (e == ERR_OK)
        return base.present ? insert_of_row(table, id, base.row.values, a->arena, ret)
                            : ERR_NOT_FOUND;
    if (e == ERR_NOT_FOUND)
        e = store_row_get(r->store, table, id, a->arena, &row);
    if (e == ERR_OK && row.position == 0)
        e = ERR_NOT_FOUND;
    return e == ERR_OK ? insert_of_row(table, id, row.values, a->arena, ret) : e;
}

static const struct value *parent_value(const struct mutation *mutation)
{
    for (uint16_t i = 0; i < mutation->write_count && mutation->table->parent_column >= 0; i++) {
        const struct unit_write *write = &mutation->writes[i];
        for (uint16_t k = 0; write->values && k < write->unit->column_count; k++)
            if (write->unit->columns[k] == mutation->table->parent_column)
                return &write->values[k];
    }
    return NULL;
}

static enum err attach(struct attaching *a, const struct mutation *mutation, int depth);

static enum err attach_parent(struct attaching *a, const struct mutation *of, int depth)
{
    enum { DEPTH_MAX = 8 };
    const struct value *value = parent_value(of);
    struct mutation parent = {0};
    if (!value || depth == DEPTH_MAX || !value_id(value, &parent.id))
        return ERR_OK;
    int32_t target = of->table->columns[of->table->parent_column].target;
    if (target < 0)
        return ERR_OK;
    parent.table = &a->r->model->tables[target];
    return attach(a, &parent, depth + 1);
}

static enum err attach(struct attaching *a, const struct mutation *mutation, int depth)
{
    struct mutation insert;
    if (is_attached(a, mutation->table, &mutation->id) || a->count == ATTACHED_MAX)
        return ERR_OK;
    enum err e = find_insert(a, mutation->table, &mutation->id, &insert);
    if (e == ERR_OK)
        e = attach_parent(a, &insert, depth);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    struct mutation *inserts =
        arena_extend(a->arena, a->inserts, a->count, &a->capacity, sizeof *inserts);
    if (!inserts)
        return ERR_NOMEM;
    a->inserts = inserts;
    inserts[a->count++] = insert;
    return ERR_OK;
}

enum err kept_attach(struct replica *r, const struct group *group, struct arena *arena,
                     struct bytes *ret)
{
    struct attaching a = {.r = r, .arena = arena};
    enum err e = ERR_OK;
    *ret = bytes_of(NULL, 0);
    for (uint32_t m = 0; e == ERR_OK && m < group->mutation_count; m++) {
        const struct mutation *mutation = &group->mutations[m];
        if (mutation->op == MUTATION_INSERT)
            e = attach_parent(&a, mutation, 0);
        else if (mutation->op != MUTATION_DELETE)
            e = attach(&a, mutation, 0);
    }
    if (e != ERR_OK || a.count == 0)
        return e;
    struct buf out;
    buf_init(&out, GROUP_BYTES_MAX);
    e = encode(r, a.inserts, a.count, &out);
    if (e == ERR_OK)
        e = arena_copy(arena, buf_view(&out), ret);
    else if (e == ERR_TOO_LARGE)
        e = ERR_OK; /* it cannot be brought back with one action */
    buf_done(&out);
    return e;
}

/* ---- and tried again ---- */

enum err kept_bring_back(struct replica *r, struct bytes attached, struct arena *arena,
                         struct err_info *info)
{
    struct group group = {0};
    if (attached.size == 0)
        return ERR_OK;
    enum err e = group_decode(r->model, attached, arena, &group, NULL);
    if (e != ERR_OK)
        return e == ERR_MODEL ? ERR_OK : e; /* the model has no such records any more */
    for (uint32_t m = 0; e == ERR_OK && m < group.mutation_count; m++) {
        const struct mutation *insert = &group.mutations[m];
        uint16_t columns[MODEL_COLUMNS_MAX], count = 0;
        struct value values[MODEL_COLUMNS_MAX];
        struct replica_record now;
        struct uuid id = insert->id;
        e = replica_get(r, insert->table, &insert->id, arena, &now);
        if (e != ERR_NOT_FOUND)
            continue;
        for (uint16_t i = 0; i < insert->write_count; i++) {
            const struct unit_write *write = &insert->writes[i];
            for (uint16_t k = 0; k < write->unit->column_count; k++) {
                columns[count] = write->unit->columns[k];
                values[count++] = write->values[k];
            }
        }
        e = replica_insert(r, insert->table, &id, columns, values, count, info);
    }
    return e;
}
