/* Decoding: format, dot, stamp, dictionary and shapes; the format is in group_format.h. */
#include "protocol/group_decoder.h"

enum err group_no_memory(struct group_decoder *d)
{
    return err_set(d->info, ERR_NOMEM, "no memory to read a group");
}

enum err group_malformed(struct group_decoder *d, const char *what)
{
    return err_set(d->info, ERR_MALFORMED, "the group's %s is malformed", what);
}

static enum err read_dot(struct unpacker *u, struct dot *ret)
{
    struct dot dot;
    uint64_t tag;
    enum err err = unpack_uint(u, UINT64_MAX, &dot.origin);

    if (err == ERR_OK)
        err = unpack_uint(u, UINT64_MAX, &dot.oseq);
    if (err == ERR_OK)
        err = unpack_uint(u, UINT32_MAX, &tag);
    if (err == ERR_OK && (dot.origin == 0 || dot.oseq == 0))
        err = ERR_MALFORMED;
    if (err != ERR_OK)
        return err;
    dot.tag = (uint32_t)tag;
    *ret = dot;
    return ERR_OK;
}

static enum err read_renamed(struct unpacker *u, struct dot *ret)
{
    uint32_t count;
    enum err err;

    if (unpack_nil(u))
        return ERR_OK;
    err = unpack_array(u, 3, &count);
    if (err == ERR_OK && count != 3)
        err = ERR_MALFORMED;
    return err == ERR_OK ? read_dot(u, ret) : err;
}

/* Everything before the dictionary. Safe on bytes that were not scanned. */
static enum err read_head(struct unpacker *u, struct group *group)
{
    uint64_t format, model_version;
    uint32_t count;
    enum err err = unpack_array(u, UINT32_MAX, &count);

    if (err == ERR_OK && count == 0)
        err = ERR_MALFORMED;
    if (err == ERR_OK)
        err = unpack_uint(u, UINT64_MAX, &format);
    if (err != ERR_OK)
        return err;
    if (format != GROUP_FORMAT)
        return ERR_VERSION;
    if (count != GROUP_FIELDS)
        return ERR_MALFORMED;
    err = read_dot(u, &group->dot);
    if (err == ERR_OK)
        err = unpack_uint(u, UINT64_MAX, &group->stamp);
    if (err == ERR_OK)
        err = unpack_uint(u, UINT32_MAX, &model_version);
    if (err == ERR_OK)
        err = read_renamed(u, &group->renamed);
    if (err == ERR_OK && dot_equal(&group->dot, &group->renamed))
        err = ERR_MALFORMED;
    if (err == ERR_OK)
        group->model_version = (uint32_t)model_version;
    return err;
}

enum err group_peek(struct bytes in, struct group *ret)
{
    struct group group = {0};
    struct unpacker u;
    enum err err;

    unpack_init(&u, in);
    err = read_head(&u, &group);
    unpack_done(&u);
    if (err == ERR_OK)
        *ret = group;
    return err;
}

static enum err read_origins(struct group_decoder *d, uint64_t **ret, uint32_t *ret_count)
{
    uint64_t *origins;
    uint32_t count;
    enum err err = unpack_array(&d->u, UINT32_MAX, &count);

    if (err != ERR_OK)
        return group_malformed(d, "list of origins");
    origins = arena_calloc(d->arena, count, sizeof(*origins));
    if (origins == NULL)
        return group_no_memory(d);
    for (uint32_t i = 0; i < count; i++) {
        err = unpack_uint(&d->u, UINT64_MAX, &origins[i]);
        if (err != ERR_OK || origins[i] == 0 || (i > 0 && origins[i - 1] >= origins[i]))
            return group_malformed(d, "list of origins");
    }
    *ret = origins;
    *ret_count = count;
    return ERR_OK;
}

/* One dot after `previous` (origin index, or UINT64_MAX before the first); each origin comes up. */
static bool next_dot(struct group_decoder *d, const uint64_t *origins, uint32_t origin_count,
                     uint64_t *origin, struct dot *ret)
{
    uint64_t index, tag;

    if (origin_count == 0 || unpack_uint(&d->u, origin_count - 1, &index) != ERR_OK ||
        (index != *origin && index != *origin + 1) ||
        unpack_uint(&d->u, UINT64_MAX, &ret->oseq) != ERR_OK || ret->oseq == 0 ||
        unpack_uint(&d->u, UINT32_MAX, &tag) != ERR_OK)
        return false;
    *origin = index;
    ret->origin = origins[index];
    ret->tag = (uint32_t)tag;
    return !dot_equal(ret, &d->group.dot);
}

static enum err read_dots(struct group_decoder *d)
{
    uint64_t *origins = NULL;
    uint64_t origin = UINT64_MAX;
    uint32_t origin_count = 0, count;
    enum err err = read_origins(d, &origins, &origin_count);

    if (err != ERR_OK)
        return err;
    err = unpack_array(&d->u, UINT32_MAX, &count);
    if (err != ERR_OK || count % 3 != 0)
        return group_malformed(d, "list of dots");
    d->dot_count = count / 3;
    d->dots = arena_calloc(d->arena, d->dot_count, sizeof(*d->dots));
    d->dot_used = arena_calloc(d->arena, d->dot_count, sizeof(*d->dot_used));
    if (d->dots == NULL || d->dot_used == NULL)
        return group_no_memory(d);
    for (uint32_t i = 0; i < d->dot_count; i++) {
        if (!next_dot(d, origins, origin_count, &origin, &d->dots[i]) ||
            (i > 0 && dot_compare(&d->dots[i - 1], &d->dots[i]) >= 0))
            return group_malformed(d, "list of dots");
    }
    if (origin + 1 != origin_count) /* some were left over */
        return group_malformed(d, "list of dots");
    return ERR_OK;
}

static enum err read_shape_units(struct group_decoder *d, struct group_shape *shape)
{
    for (uint16_t i = 0; i < shape->unit_count; i++) {
        const struct model_unit *unit;
        uint64_t id;

        if (unpack_uint(&d->u, UINT32_MAX, &id) != ERR_OK)
            return group_malformed(d, "list of shapes");
        unit = model_unit_by_id(shape->table, (uint32_t)id);
        if (unit == NULL)
            return err_set(d->info, ERR_MODEL, "the model's table %s has no column or group %u",
                           shape->table->name, (unsigned)id);
        if (i > 0 && shape->units[i - 1]->index >= unit->index)
            return group_malformed(d, "list of shapes");
        shape->units[i] = unit;
        shape->value_count += unit->column_count;
        for (int op = MUTATION_INSERT; op <= MUTATION_RESTORE; op++)
            shape->fields[op] += group_unit_fields(unit, (enum mutation_op)op);
    }
    return ERR_OK;
}

static enum err read_shape(struct group_decoder *d, struct group_shape *shape)
{
    uint64_t id;
    uint32_t count;
    enum err err = unpack_array(&d->u, 1 + GROUP_SHAPE_UNITS_MAX, &count);

    if (err != ERR_OK || count == 0 || unpack_uint(&d->u, UINT32_MAX, &id) != ERR_OK)
        return group_malformed(d, "list of shapes");
    shape->table = model_table_by_id(d->model, (uint32_t)id);
    if (shape->table == NULL)
        return err_set(d->info, ERR_MODEL, "the model has no table %u", (unsigned)id);
    shape->unit_count = (uint16_t)(count - 1);
    shape->units = arena_calloc(d->arena, shape->unit_count, sizeof(const struct model_unit *));
    if (shape->units == NULL)
        return group_no_memory(d);
    return read_shape_units(d, shape);
}

static enum err read_shapes(struct group_decoder *d)
{
    enum err err = unpack_array(&d->u, UINT32_MAX, &d->shape_count);

    if (err != ERR_OK)
        return group_malformed(d, "list of shapes");
    d->shapes = arena_calloc(d->arena, d->shape_count, sizeof(*d->shapes));
    if (d->shapes == NULL)
        return group_no_memory(d);
    for (uint32_t i = 0; i < d->shape_count && err == ERR_OK; i++)
        err = read_shape(d, &d->shapes[i]);
    return err;
}

enum err group_read_head(struct group_decoder *d)
{
    enum err err = read_head(&d->u, &d->group);

    if (err == ERR_VERSION)
        return err_set(d->info, err, "the group has a format that is not known here");
    if (err != ERR_OK)
        return group_malformed(d, "head");
    err = read_dots(d);
    return err == ERR_OK ? read_shapes(d) : err;
}
