/* Decoding: the mutations; the format is in group_format.h.
 *
 * One mutation after another is read as a small tree (unpack.h). What is allocated is at most some
 * 100 bytes for each object of the input, all in the arena. */
#include "protocol/group_decoder.h"

#include <stdlib.h>

static enum err bad_mutation(struct group_decoder *d, enum err code, const char *what)
{
    return err_set(d->info, code, "mutation %u of the group: %s", (unsigned)d->index, what);
}

static enum err bad_column(struct group_decoder *d, const struct model_table *table,
                           const struct model_column *column)
{
    return err_set(d->info, ERR_MODEL, "mutation %u of the group: %s.%s: a value of another type",
                   (unsigned)d->index, table->name, column->name);
}

static bool take_dot(struct group_decoder *d, const msgpack_object *object, struct dot *ret)
{
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 >= d->dot_count)
        return false;
    *ret = d->dots[object->via.u64];
    d->dot_used[object->via.u64] = 1;
    return true;
}

/* Indexes, ascending, at most max of them. */
static enum err take_dots(struct group_decoder *d, const msgpack_object *items, uint32_t count,
                          uint32_t max, struct dot_set *ret)
{
    struct dot *dots;

    if (count > max)
        return bad_mutation(d, ERR_LIMIT, "it names too many dots");
    dots = arena_alloc(d->arena, count * sizeof(*dots));
    if (dots == NULL)
        return group_no_memory(d);
    for (uint32_t i = 0; i < count; i++) {
        if (!take_dot(d, &items[i], &dots[i]) ||
            (i > 0 && dot_compare(&dots[i - 1], &dots[i]) >= 0))
            return bad_mutation(d, ERR_MALFORMED, "a dot that is not listed, or out of order");
    }
    *ret = (struct dot_set){dots, (uint16_t)count};
    return ERR_OK;
}

/* nil, an index, or an array of several (group_format.h): one frontier has one form. */
static enum err take_seen(struct group_decoder *d, const msgpack_object *object,
                          const struct dot *insert, struct dot_set *ret)
{
    enum err err;

    if (object->type == MSGPACK_OBJECT_NIL) {
        *ret = (struct dot_set){insert, 1};
        return ERR_OK;
    }
    if (object->type == MSGPACK_OBJECT_ARRAY) {
        if (object->via.array.size < 2)
            return bad_mutation(d, ERR_MALFORMED, "a list of less than two dots");
        return take_dots(d, object->via.array.ptr, object->via.array.size, FRONTIER_MAX, ret);
    }
    err = take_dots(d, object, 1, FRONTIER_MAX, ret);
    if (err == ERR_OK && dot_equal(&ret->dots[0], insert))
        return bad_mutation(d, ERR_MALFORMED, "the insert's dot is not written as nil");
    return err;
}

static enum err take_values(struct group_decoder *d, const struct model_table *table,
                            const struct model_unit *unit, const msgpack_object *items,
                            struct value *ret)
{
    for (uint16_t i = 0; i < unit->column_count; i++) {
        const struct model_column *column = &table->columns[unit->columns[i]];

        if (!object_value(&items[i], column->type, &ret[i]))
            return bad_column(d, table, column);
    }
    return ERR_OK;
}

static bool take_element(const msgpack_object *object, struct bytes *ret)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return false;
    *ret = bytes_of(object->via.str.ptr, object->via.str.size);
    return true;
}

static enum err take_adds(struct group_decoder *d, const msgpack_object *object,
                          struct unit_write *write)
{
    struct bytes *adds;
    uint32_t count;

    if (object->type != MSGPACK_OBJECT_ARRAY)
        return bad_mutation(d, ERR_MALFORMED, "elements added to a set are not a list");
    count = object->via.array.size;
    if (count > GROUP_ELEMENTS_MAX)
        return bad_mutation(d, ERR_LIMIT, "too many elements added to a set");
    adds = arena_alloc(d->arena, count * sizeof(*adds));
    if (adds == NULL)
        return group_no_memory(d);
    for (uint32_t i = 0; i < count; i++) {
        if (!take_element(&object->via.array.ptr[i], &adds[i]))
            return bad_mutation(d, ERR_MODEL, "an element of a set that is not text");
        if (i > 0 && bytes_compare(adds[i - 1], adds[i]) >= 0)
            return bad_mutation(d, ERR_MALFORMED, "elements added to a set are out of order");
    }
    write->adds = adds;
    write->add_count = count;
    return ERR_OK;
}

static enum err take_removes(struct group_decoder *d, const msgpack_object *object,
                             struct unit_write *write)
{
    struct set_pair *removes;
    uint32_t count;

    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size % 2 != 0)
        return bad_mutation(d, ERR_MALFORMED, "elements removed from a set are not a list");
    count = object->via.array.size / 2;
    if (count > GROUP_ELEMENTS_MAX)
        return bad_mutation(d, ERR_LIMIT, "too many elements removed from a set");
    removes = arena_alloc(d->arena, count * sizeof(*removes));
    if (removes == NULL)
        return group_no_memory(d);
    for (uint32_t i = 0; i < count; i++) {
        const msgpack_object *items = &object->via.array.ptr[2 * (size_t)i];
        int order;

        if (!take_element(&items[0], &removes[i].element))
            return bad_mutation(d, ERR_MODEL, "an element of a set that is not text");
        if (!take_dot(d, &items[1], &removes[i].dot))
            return bad_mutation(d, ERR_MALFORMED, "a dot that is not listed");
        order = i == 0 ? -1 : bytes_compare(removes[i - 1].element, removes[i].element);
        if (order > 0 || (order == 0 && dot_compare(&removes[i - 1].dot, &removes[i].dot) >= 0))
            return bad_mutation(d, ERR_MALFORMED, "elements removed from a set are out of order");
    }
    write->removes = removes;
    write->remove_count = count;
    return ERR_OK;
}

/* values: room for the unit's columns, twice where it carries base values. */
static enum err take_write(struct group_decoder *d, const struct mutation *mutation,
                           const msgpack_object *items, struct value *values,
                           struct unit_write *write)
{
    const struct model_unit *unit = write->unit;
    enum err err = take_seen(d, &items[0], &mutation->insert, &write->seen);

    if (err != ERR_OK)
        return err;
    if (unit->policy == MERGE_SET) {
        err = take_adds(d, &items[1], write);
        return err == ERR_OK ? take_removes(d, &items[2], write) : err;
    }
    err = take_values(d, mutation->table, unit, &items[1], values);
    write->values = values;
    if (err == ERR_OK && unit->policy == MERGE_COUNTER && values[0].kind == VALUE_NULL)
        return bad_mutation(d, ERR_MALFORMED, "a counter changed by nothing");
    if (err == ERR_OK && unit->carries_base && mutation->op == MUTATION_UPDATE) {
        write->base = values + unit->column_count;
        err = take_values(d, mutation->table, unit, &items[1 + unit->column_count],
                          values + unit->column_count);
    }
    return err;
}

static enum err take_writes(struct group_decoder *d, struct mutation *mutation,
                            const struct group_shape *shape, const msgpack_object *items)
{
    size_t value_count =
        mutation->op == MUTATION_UPDATE ? 2 * (size_t)shape->value_count : shape->value_count;
    struct unit_write *writes;
    struct value *values;
    enum err err = ERR_OK;

    writes = arena_alloc(d->arena, shape->unit_count * sizeof(*writes));
    values = arena_alloc(d->arena, value_count * sizeof(*values));
    if (writes == NULL || values == NULL)
        return group_no_memory(d);
    for (uint16_t i = 0; i < shape->unit_count && err == ERR_OK; i++) {
        const struct model_unit *unit = shape->units[i];

        writes[i] = (struct unit_write){.unit = unit};
        if (mutation->op == MUTATION_INSERT) {
            err = take_values(d, mutation->table, unit, items, values);
            writes[i].values = values;
            values += unit->column_count;
        } else {
            err = take_write(d, mutation, items, values, &writes[i]);
            values += (size_t)unit->column_count * (mutation->op == MUTATION_UPDATE ? 2 : 1);
        }
        items += group_unit_fields(unit, mutation->op);
    }
    mutation->writes = writes;
    mutation->write_count = shape->unit_count;
    return err;
}

static enum err take_frontier(struct group_decoder *d, struct mutation *mutation,
                              const msgpack_object *items, uint32_t count)
{
    struct unit_seen *frontier;
    enum err err = ERR_OK;

    if (count % 2 != 0)
        return bad_mutation(d, ERR_MALFORMED, "not of its form");
    frontier = arena_alloc(d->arena, count / 2 * sizeof(*frontier));
    if (frontier == NULL)
        return group_no_memory(d);
    for (uint32_t i = 0; i < count / 2 && err == ERR_OK; i++) {
        const struct model_unit *unit = NULL;
        uint64_t id;

        if (!object_uint(&items[2 * (size_t)i], UINT32_MAX, &id))
            return bad_mutation(d, ERR_MALFORMED, "not of its form");
        unit = model_unit_by_id(mutation->table, (uint32_t)id);
        if (unit == NULL)
            return bad_mutation(d, ERR_MODEL, "a column or group that the model does not have");
        frontier[i].unit = unit->index;
        if (i > 0 && frontier[i - 1].unit >= frontier[i].unit)
            return bad_mutation(d, ERR_MALFORMED, "columns out of order");
        err = take_seen(d, &items[2 * (size_t)i + 1], &mutation->insert, &frontier[i].seen);
    }
    mutation->frontier = frontier;
    mutation->frontier_count = (uint16_t)(count / 2);
    return err;
}

/* op, shape, id, insert and deletes; *ret_items and *ret_count: the objects after them. */
static enum err take_start(struct group_decoder *d, const msgpack_object *object,
                           struct mutation *mutation, struct group_shape **ret_shape,
                           const msgpack_object **ret_items, uint32_t *ret_count)
{
    const msgpack_object *items = object->via.array.ptr;
    uint32_t count, start;
    uint64_t op, shape;

    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 3 ||
        !object_uint(&items[0], MUTATION_RESTORE, &op) || op < MUTATION_INSERT ||
        !object_uint(&items[1], UINT32_MAX, &shape) || shape >= d->shape_count ||
        !object_id(&items[2], &mutation->id))
        return bad_mutation(d, ERR_MALFORMED, "not of its form");
    count = object->via.array.size;
    *ret_shape = &d->shapes[shape];
    (*ret_shape)->used = true;
    mutation->op = (enum mutation_op)op;
    mutation->table = (*ret_shape)->table;
    start = op == MUTATION_INSERT ? 3 : op == MUTATION_RESTORE ? 5 : 4;
    if (count < start || (op == MUTATION_DELETE && (*ret_shape)->unit_count != 0) ||
        (op != MUTATION_DELETE && count - start != (*ret_shape)->fields[op]))
        return bad_mutation(d, ERR_MALFORMED, "not of its form");
    if (op != MUTATION_INSERT && !take_dot(d, &items[3], &mutation->insert))
        return bad_mutation(d, ERR_MALFORMED, "a dot that is not listed");
    *ret_items = items + start;
    *ret_count = count - start;
    if (op != MUTATION_RESTORE)
        return ERR_OK;
    if (items[4].type != MSGPACK_OBJECT_ARRAY)
        return bad_mutation(d, ERR_MALFORMED, "not of its form");
    return take_dots(d, items[4].via.array.ptr, items[4].via.array.size, GROUP_DELETES_MAX,
                     &mutation->deletes);
}

static enum err read_mutation(struct group_decoder *d, struct mutation *mutation)
{
    const msgpack_object *items = NULL;
    msgpack_object object;
    struct group_shape *shape = NULL;
    uint32_t count = 0;
    enum err err = unpack_object(&d->u, &object);

    if (err != ERR_OK)
        return err == ERR_NOMEM ? group_no_memory(d) : group_malformed(d, "list of mutations");
    err = take_start(d, &object, mutation, &shape, &items, &count);
    if (err != ERR_OK || shape == NULL)
        return err;
    if (mutation->op == MUTATION_DELETE)
        return take_frontier(d, mutation, items, count);
    return take_writes(d, mutation, shape, items);
}

/* --- The whole -------------------------------------------------------------------------------- */

static int compare_records(const struct mutation *a, const struct mutation *b)
{
    if (a->table != b->table)
        return a->table->index < b->table->index ? -1 : 1;
    return uuid_compare(&a->id, &b->id);
}

static int compare_record_pointers(const void *a, const void *b)
{
    return compare_records(*(const struct mutation *const *)a, *(const struct mutation *const *)b);
}

/* At most one mutation per record. Ids are made ascending, so that most groups pass in one run; the
 * others are sorted (a hash set would need a secret, or a peer could choose ids that collide). */
static enum err check_records(struct group_decoder *d, const struct mutation *mutations,
                              uint32_t count)
{
    const struct mutation **sorted;
    uint32_t i = 1;

    while (i < count && compare_records(&mutations[i - 1], &mutations[i]) < 0)
        i++;
    if (i >= count)
        return ERR_OK;
    sorted = arena_alloc(d->arena, count * sizeof(const struct mutation *));
    if (sorted == NULL)
        return group_no_memory(d);
    for (i = 0; i < count; i++)
        sorted[i] = &mutations[i];
    qsort(sorted, count, sizeof(const struct mutation *), compare_record_pointers);
    for (i = 1; i < count; i++) {
        if (compare_records(sorted[i - 1], sorted[i]) == 0) {
            d->index = (uint32_t)(sorted[i] - mutations);
            return bad_mutation(d, ERR_MALFORMED, "a second mutation of one record");
        }
    }
    return ERR_OK;
}

static enum err check_used(struct group_decoder *d)
{
    for (uint32_t i = 0; i < d->dot_count; i++) {
        if (!d->dot_used[i])
            return group_malformed(d, "list of dots (one is not used)");
    }
    for (uint32_t i = 0; i < d->shape_count; i++) {
        if (!d->shapes[i].used)
            return group_malformed(d, "list of shapes (one is not used)");
    }
    return ERR_OK;
}

static enum err read_mutations(struct group_decoder *d)
{
    struct mutation *mutations;
    uint32_t count;
    enum err err = unpack_array(&d->u, UINT32_MAX, &count);

    if (err != ERR_OK)
        return group_malformed(d, "list of mutations");
    if (count > GROUP_MUTATIONS_MAX)
        return err_set(d->info, ERR_LIMIT, "the group has %u mutations, the most is %d",
                       (unsigned)count, GROUP_MUTATIONS_MAX);
    mutations = arena_calloc(d->arena, count, sizeof(*mutations));
    if (mutations == NULL)
        return group_no_memory(d);
    for (d->index = 0; d->index < count && err == ERR_OK; d->index++)
        err = read_mutation(d, &mutations[d->index]);
    if (err == ERR_OK && !unpack_at_end(&d->u))
        err = group_malformed(d, "end");
    if (err == ERR_OK)
        err = check_used(d);
    if (err == ERR_OK)
        err = check_records(d, mutations, count);
    d->group.mutations = mutations;
    d->group.mutation_count = count;
    return err;
}

enum err group_decode(const struct model *model, struct bytes in, struct arena *arena,
                      struct group *ret, struct err_info *info)
{
    struct group_decoder d = {.model = model, .arena = arena, .info = info};
    enum err err;

    if (in.size > GROUP_BYTES_MAX)
        return err_set(info, ERR_LIMIT, "the group has %zu bytes, the most is %d", in.size,
                       GROUP_BYTES_MAX);
    unpack_init(&d.u, in);
    err = group_read_head(&d);
    if (err == ERR_OK)
        err = read_mutations(&d);
    unpack_done(&d.u);
    if (err == ERR_OK)
        *ret = d.group;
    return err;
}
