/* Encoding; the format is in group_format.h, decoding in group_decode.c. */
#include "protocol/group.h"

#include "protocol/group_format.h"
#include "protocol/pack.h"
#include "protocol/scan.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SHAPES_LOOKED_AT = 16
}; /* the latest ones; an older one that comes again is written again */

struct encoder {
    const struct group *group;
    struct buf *out;
    struct dot *dots; /* the dictionary, sorted once all are collected */
    size_t dot_count, dot_capacity;
    uint64_t *origins;
    size_t origin_count;
    const struct mutation **shapes; /* one mutation of each shape */
    uint32_t shape_count;
    uint32_t *shape_of; /* per mutation */
};

/* --- The dictionary --------------------------------------------------------------------------- */

static int compare_dots(const void *a, const void *b)
{
    return dot_compare(a, b);
}

static void sort_dots(struct encoder *e)
{
    size_t kept = 0;

    if (e->dot_count == 0)
        return;
    qsort(e->dots, e->dot_count, sizeof(*e->dots), compare_dots);
    for (size_t i = 1; i < e->dot_count; i++) {
        if (!dot_equal(&e->dots[kept], &e->dots[i]))
            e->dots[++kept] = e->dots[i];
    }
    e->dot_count = kept + 1;
}

/* When the room is used up, repetitions go first: memory stays O(distinct dots). */
static enum err add_dot(struct encoder *e, const struct dot *dot)
{
    if (dot_is_none(dot) || dot->origin == 0 || dot_equal(dot, &e->group->dot))
        return ERR_INVALID;
    if (e->dot_count > 0 && dot_equal(dot, &e->dots[e->dot_count - 1]))
        return ERR_OK;
    if (e->dot_count == e->dot_capacity) {
        sort_dots(e);
        if (e->dot_count >= e->dot_capacity / 2) {
            size_t capacity = e->dot_capacity == 0 ? 64 : e->dot_capacity * 2;
            struct dot *dots = realloc(e->dots, capacity * sizeof(*dots));

            if (dots == NULL)
                return ERR_NOMEM;
            e->dots = dots;
            e->dot_capacity = capacity;
        }
    }
    e->dots[e->dot_count++] = *dot;
    return ERR_OK;
}

static uint64_t dot_index(const struct encoder *e, const struct dot *dot)
{
    const struct dot *found = bsearch(dot, e->dots, e->dot_count, sizeof(*e->dots), compare_dots);

    assert(found != NULL);
    return (uint64_t)(found - e->dots);
}

/* Authors may leave out a frontier that is {insert}. */
static bool is_insert(struct dot_set set, const struct dot *insert)
{
    return set.count == 0 || (set.count == 1 && dot_equal(&set.dots[0], insert));
}

static enum err collect_dots(struct encoder *e, struct dot_set set, uint32_t max)
{
    enum err err = ERR_OK;

    if (set.count > max)
        return ERR_LIMIT;
    for (uint16_t i = 0; i < set.count && err == ERR_OK; i++) {
        if (i > 0 && dot_compare(&set.dots[i - 1], &set.dots[i]) >= 0)
            return ERR_INVALID;
        err = add_dot(e, &set.dots[i]);
    }
    return err;
}

static enum err collect_seen(struct encoder *e, struct dot_set seen, const struct dot *insert)
{
    return is_insert(seen, insert) ? ERR_OK : collect_dots(e, seen, FRONTIER_MAX);
}

/* --- What a decoder would refuse is refused here, and the dots are collected ------------------ */

static enum err collect_elements(struct encoder *e, const struct unit_write *write)
{
    enum err err = ERR_OK;

    if (write->add_count > GROUP_ELEMENTS_MAX || write->remove_count > GROUP_ELEMENTS_MAX)
        return ERR_LIMIT;
    for (uint32_t i = 1; i < write->add_count; i++) {
        if (bytes_compare(write->adds[i - 1], write->adds[i]) >= 0)
            return ERR_INVALID;
    }
    for (uint32_t i = 0; i < write->remove_count && err == ERR_OK; i++) {
        const struct set_pair *pair = &write->removes[i];

        if (i > 0) {
            int order = bytes_compare(pair[-1].element, pair->element);

            if (order > 0 || (order == 0 && dot_compare(&pair[-1].dot, &pair->dot) >= 0))
                return ERR_INVALID;
        }
        err = add_dot(e, &pair->dot);
    }
    return err;
}

static bool values_fit(const struct model_table *table, const struct model_unit *unit,
                       const struct value *values)
{
    if (values == NULL)
        return false;
    for (uint16_t i = 0; i < unit->column_count; i++) {
        if (!group_value_fits(table->columns[unit->columns[i]].type, values[i].kind))
            return false;
    }
    return true;
}

static bool write_fits(const struct mutation *mutation, const struct unit_write *write)
{
    const struct model_unit *unit = write->unit;

    if (mutation->op == MUTATION_INSERT)
        return values_fit(mutation->table, unit, write->values);
    if (unit->policy == MERGE_SET)
        return true;
    if (!values_fit(mutation->table, unit, write->values))
        return false;
    if (unit->policy == MERGE_COUNTER)
        return write->values[0].kind != VALUE_NULL;
    return mutation->op != MUTATION_UPDATE || !unit->carries_base ||
           values_fit(mutation->table, unit, write->base);
}

static enum err collect_writes(struct encoder *e, const struct mutation *mutation)
{
    enum err err = ERR_OK;

    for (uint16_t i = 0; i < mutation->write_count && err == ERR_OK; i++) {
        const struct unit_write *write = &mutation->writes[i];

        if ((i > 0 && write[-1].unit->index >= write->unit->index) || !write_fits(mutation, write))
            return ERR_INVALID;
        if (mutation->op == MUTATION_INSERT)
            continue;
        err = collect_seen(e, write->seen, &mutation->insert);
        if (err == ERR_OK && write->unit->policy == MERGE_SET)
            err = collect_elements(e, write);
    }
    return err;
}

static enum err collect_mutation(struct encoder *e, const struct mutation *mutation)
{
    enum err err = collect_writes(e, mutation);

    if (err == ERR_OK && mutation->op != MUTATION_INSERT)
        err = add_dot(e, &mutation->insert);
    if (err == ERR_OK && mutation->op == MUTATION_RESTORE)
        err = collect_dots(e, mutation->deletes, GROUP_DELETES_MAX);
    if (mutation->op != MUTATION_DELETE)
        return err;
    if (mutation->write_count != 0)
        return ERR_INVALID;
    for (uint16_t i = 0; i < mutation->frontier_count && err == ERR_OK; i++) {
        const struct unit_seen *seen = &mutation->frontier[i];

        if (seen->unit >= mutation->table->unit_count || (i > 0 && seen[-1].unit >= seen->unit))
            return ERR_INVALID;
        err = collect_seen(e, seen->seen, &mutation->insert);
    }
    return err;
}

static bool same_shape(const struct mutation *a, const struct mutation *b)
{
    if (a->table != b->table || a->write_count != b->write_count)
        return false;
    for (uint16_t i = 0; i < a->write_count; i++) {
        if (a->writes[i].unit != b->writes[i].unit)
            return false;
    }
    return true;
}

static uint32_t shape_index(struct encoder *e, const struct mutation *mutation)
{
    uint32_t oldest = e->shape_count > SHAPES_LOOKED_AT ? e->shape_count - SHAPES_LOOKED_AT : 0;

    for (uint32_t i = e->shape_count; i > oldest; i--) {
        if (same_shape(e->shapes[i - 1], mutation))
            return i - 1;
    }
    e->shapes[e->shape_count] = mutation;
    return e->shape_count++;
}

static enum err collect(struct encoder *e)
{
    const struct group *group = e->group;
    size_t count = group->mutation_count > 0 ? group->mutation_count : 1;
    enum err err = ERR_OK;

    if (dot_is_none(&group->dot) || group->dot.origin == 0)
        return ERR_INVALID;
    if (group->mutation_count > GROUP_MUTATIONS_MAX)
        return ERR_LIMIT;
    e->shapes = calloc(count, sizeof(const struct mutation *));
    e->shape_of = calloc(count, sizeof(*e->shape_of));
    if (e->shapes == NULL || e->shape_of == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < group->mutation_count && err == ERR_OK; i++) {
        err = collect_mutation(e, &group->mutations[i]);
        e->shape_of[i] = shape_index(e, &group->mutations[i]);
    }
    if (err != ERR_OK)
        return err;
    sort_dots(e);
    e->origins = calloc(e->dot_count + 1, sizeof(*e->origins));
    if (e->origins == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < e->dot_count; i++) {
        if (i == 0 || e->dots[i].origin != e->dots[i - 1].origin)
            e->origins[e->origin_count++] = e->dots[i].origin;
    }
    return ERR_OK;
}

/* --- Writing ---------------------------------------------------------------------------------- */

static void put_dots(struct encoder *e, struct dot_set set)
{
    for (uint16_t i = 0; i < set.count; i++)
        pack_uint(e->out, dot_index(e, &set.dots[i]));
}

static void put_seen(struct encoder *e, struct dot_set seen, const struct dot *insert)
{
    if (is_insert(seen, insert)) {
        pack_nil(e->out);
        return;
    }
    if (seen.count != 1)
        pack_array(e->out, seen.count);
    put_dots(e, seen);
}

static void put_values(struct encoder *e, const struct model_unit *unit, const struct value *values)
{
    for (uint16_t i = 0; i < unit->column_count; i++)
        pack_value(e->out, &values[i]);
}

static void put_write(struct encoder *e, const struct mutation *mutation,
                      const struct unit_write *write)
{
    if (mutation->op == MUTATION_INSERT) {
        put_values(e, write->unit, write->values);
        return;
    }
    put_seen(e, write->seen, &mutation->insert);
    if (write->unit->policy != MERGE_SET) {
        put_values(e, write->unit, write->values);
        if (write->unit->carries_base && mutation->op == MUTATION_UPDATE)
            put_values(e, write->unit, write->base);
        return;
    }
    pack_array(e->out, write->add_count);
    for (uint32_t i = 0; i < write->add_count; i++)
        pack_text(e->out, write->adds[i]);
    pack_array(e->out, write->remove_count * 2);
    for (uint32_t i = 0; i < write->remove_count; i++) {
        pack_text(e->out, write->removes[i].element);
        pack_uint(e->out, dot_index(e, &write->removes[i].dot));
    }
}

static void put_mutation(struct encoder *e, const struct mutation *mutation, uint32_t shape)
{
    uint32_t fields = mutation->op == MUTATION_INSERT    ? 3
                      : mutation->op == MUTATION_RESTORE ? 5
                                                         : 4;

    for (uint16_t i = 0; i < mutation->write_count; i++)
        fields += group_unit_fields(mutation->writes[i].unit, mutation->op);
    if (mutation->op == MUTATION_DELETE)
        fields += 2u * mutation->frontier_count;
    pack_array(e->out, fields);
    pack_uint(e->out, mutation->op);
    pack_uint(e->out, shape);
    pack_id(e->out, &mutation->id);
    if (mutation->op != MUTATION_INSERT)
        pack_uint(e->out, dot_index(e, &mutation->insert));
    if (mutation->op == MUTATION_RESTORE) {
        pack_array(e->out, mutation->deletes.count);
        put_dots(e, mutation->deletes);
    }
    for (uint16_t i = 0; i < mutation->write_count; i++)
        put_write(e, mutation, &mutation->writes[i]);
    if (mutation->op != MUTATION_DELETE)
        return;
    for (uint16_t i = 0; i < mutation->frontier_count; i++) {
        pack_uint(e->out, mutation->table->units[mutation->frontier[i].unit].id);
        put_seen(e, mutation->frontier[i].seen, &mutation->insert);
    }
}

static void put_head(struct encoder *e)
{
    const struct group *group = e->group;

    pack_array(e->out, GROUP_FIELDS);
    pack_uint(e->out, GROUP_FORMAT);
    pack_uint(e->out, group->dot.origin);
    pack_uint(e->out, group->dot.oseq);
    pack_uint(e->out, group->dot.tag);
    pack_uint(e->out, group->stamp);
    pack_uint(e->out, group->model_version);
    if (dot_is_none(&group->renamed)) {
        pack_nil(e->out);
        return;
    }
    pack_array(e->out, 3);
    pack_uint(e->out, group->renamed.origin);
    pack_uint(e->out, group->renamed.oseq);
    pack_uint(e->out, group->renamed.tag);
}

static void put_dictionary(struct encoder *e)
{
    size_t origin = 0;

    pack_array(e->out, (uint32_t)e->origin_count);
    for (size_t i = 0; i < e->origin_count; i++)
        pack_uint(e->out, e->origins[i]);
    pack_array(e->out, (uint32_t)(e->dot_count * 3));
    for (size_t i = 0; i < e->dot_count; i++) {
        if (e->dots[i].origin != e->origins[origin])
            origin++;
        pack_uint(e->out, origin);
        pack_uint(e->out, e->dots[i].oseq);
        pack_uint(e->out, e->dots[i].tag);
    }
}

static void put_shapes(struct encoder *e)
{
    pack_array(e->out, e->shape_count);
    for (uint32_t i = 0; i < e->shape_count; i++) {
        const struct mutation *mutation = e->shapes[i];

        pack_array(e->out, 1u + mutation->write_count);
        pack_uint(e->out, mutation->table->id);
        for (uint16_t k = 0; k < mutation->write_count; k++)
            pack_uint(e->out, mutation->writes[k].unit->id);
    }
}

/* Last, the scan of every receiver: a text or a number of objects that it would refuse must not be
 * found out only there, when the group is committed and can never be sent. */
static enum err put_group(struct encoder *e)
{
    size_t start = e->out->size;
    struct bytes written;
    enum err err;

    put_head(e);
    put_dictionary(e);
    put_shapes(e);
    pack_array(e->out, e->group->mutation_count);
    for (uint32_t i = 0; i < e->group->mutation_count; i++)
        put_mutation(e, &e->group->mutations[i], e->shape_of[i]);
    err = e->out->error;
    if (err == ERR_OK) {
        written = bytes_of(e->out->data + start, e->out->size - start);
        err = written.size > GROUP_BYTES_MAX ? ERR_TOO_LARGE
                                             : scan_check(written, &scan_limits_default);
    }
    assert(err != ERR_MALFORMED);
    if (err != ERR_OK)
        e->out->size = start;
    return err;
}

enum err group_encode(const struct group *group, struct buf *out)
{
    struct encoder e = {.group = group, .out = out};
    enum err err = collect(&e);

    if (err == ERR_OK)
        err = put_group(&e);
    free(e.dots);
    free(e.origins);
    free(e.shapes);
    free(e.shape_of);
    return err;
}
