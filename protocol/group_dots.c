/* group_dots.c - a group whose references are others, and a group under a new dot. Declared in group.h. */
#include "protocol/group.h"

#include <stdlib.h>
#include <string.h>

struct mapping {
    struct arena *arena;
    group_dot_map *map;
    void *context;
};

static enum err map_set(const struct mapping *r, struct dot_set *set)
{
    struct dot *dots = arena_alloc(r->arena, set->count * sizeof(*dots));

    if (dots == NULL)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < set->count; i++)
        dots[i] = r->map(r->context, set->dots[i]);
    set->count = dot_sort(dots, set->count);
    set->dots = dots;
    return ERR_OK;
}

static enum err map_write(const struct mapping *r, struct unit_write *write)
{
    struct set_pair *removes;
    uint32_t kept = 0;
    enum err error = map_set(r, &write->seen);

    if (error != ERR_OK || write->remove_count == 0)
        return error;
    removes = arena_alloc(r->arena, write->remove_count * sizeof(*removes));
    if (removes == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < write->remove_count; i++) {
        removes[i] = write->removes[i];
        removes[i].dot = r->map(r->context, removes[i].dot);
    }
    qsort(removes, write->remove_count, sizeof(*removes), set_pair_compare);
    for (uint32_t i = 0; i < write->remove_count; i++)
        if (kept == 0 || set_pair_compare(&removes[kept - 1], &removes[i]) != 0)
            removes[kept++] = removes[i];
    write->removes = removes;
    write->remove_count = kept;
    return ERR_OK;
}

static enum err map_mutation(const struct mapping *r, struct mutation *mutation)
{
    struct unit_write *writes = arena_alloc(r->arena, mutation->write_count * sizeof(*writes));
    struct unit_seen *frontier =
        arena_alloc(r->arena, mutation->frontier_count * sizeof(*frontier));
    enum err error = ERR_OK;

    if (writes == NULL || frontier == NULL)
        return ERR_NOMEM;
    for (uint16_t i = 0; error == ERR_OK && i < mutation->write_count; i++) {
        writes[i] = mutation->writes[i];
        error = map_write(r, &writes[i]);
    }
    for (uint16_t i = 0; error == ERR_OK && i < mutation->frontier_count; i++) {
        frontier[i] = mutation->frontier[i];
        error = map_set(r, &frontier[i].seen);
    }
    if (error == ERR_OK)
        error = map_set(r, &mutation->deletes);
    mutation->insert = r->map(r->context, mutation->insert);
    mutation->writes = writes;
    mutation->frontier = frontier;
    return error;
}

enum err group_map_dots(const struct group *in, group_dot_map *map, void *context,
                        struct arena *arena, struct group *ret)
{
    const struct mapping r = {arena, map, context};
    struct mutation *mutations = arena_alloc(arena, in->mutation_count * sizeof(*mutations));
    struct group out = *in;

    if (mutations == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < in->mutation_count; i++) {
        enum err error;

        mutations[i] = in->mutations[i];
        error = map_mutation(&r, &mutations[i]);
        if (error != ERR_OK)
            return error;
    }
    out.mutations = mutations;
    *ret = out;
    return ERR_OK;
}

/* From which dot to which. */
struct renumbering {
    uint64_t old_origin, new_origin;
    const uint64_t *moved; /* NULL: all, under the numbers that they have */
    uint32_t count;
};

/* The group's place among those that move, from 1 on; 0: it stays. */
static uint64_t number_of(const struct renumbering *r, uint64_t oseq)
{
    uint32_t low = 0, high = r->count;

    if (r->moved == NULL)
        return oseq;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (r->moved[middle] < oseq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->count && r->moved[low] == oseq ? low + UINT64_C(1) : 0;
}

static struct dot renumber_dot(void *context, struct dot dot)
{
    const struct renumbering *r = context;
    uint64_t number = dot.origin == r->old_origin ? number_of(r, dot.oseq) : 0;

    return number ? (struct dot){r->new_origin, number, dot.tag} : dot;
}

enum err group_renumber(const struct group *in, uint64_t old_origin, const uint64_t *moved,
                        uint32_t count, uint64_t new_origin, struct arena *arena, struct group *ret)
{
    struct renumbering r = {old_origin, new_origin, moved, count};
    struct group out;
    enum err error;

    error = group_map_dots(in, renumber_dot, &r, arena, &out);
    if (error != ERR_OK)
        return error;
    out.dot = renumber_dot(&r, in->dot);
    if (!dot_equal(&out.dot, &in->dot))
        out.renamed = in->dot;
    *ret = out;
    return ERR_OK;
}
