#include "client/core/replica_read.h"

#include "client/core/replica_internal.h"

#include <string.h>

enum err replica_touching(struct replica *r, const struct model_table *table, const struct uuid *id,
                          const struct store_row *row, struct arena *arena,
                          const struct dot **ret_dots, uint16_t *ret_count)
{
    struct base base;
    struct version_head head;
    enum err e = base_load(r, table, id, arena, &base);
    if (e == ERR_OK) {
        *ret_dots = base.pending;
        *ret_count = base.pending_count;
        return ERR_OK;
    }
    if (e != ERR_NOT_FOUND)
        return e;
    if (version_peek(row->version, &head) != ERR_OK)
        return ERR_CORRUPT;
    *ret_count = 0;
    if (!is_waiting_insert(r, row, &head.insert))
        return ERR_OK;
    struct dot *dot = arena_alloc(arena, sizeof *dot);
    if (!dot)
        return ERR_NOMEM;
    *dot = head.insert;
    *ret_dots = dot;
    *ret_count = 1;
    return ERR_OK;
}

enum err replica_own_mutation(struct replica *r, const struct dot *dot,
                              const struct model_table *table, const struct uuid *id,
                              const struct mutation **ret_mutation, uint64_t *ret_stamp)
{
    struct group *group;
    enum err e = outbox_group(r, dot->origin, dot->oseq, &group);
    if (e != ERR_OK)
        return e;
    const struct mutation *mutation = group_mutation(&r->cache, table, id);
    if (!mutation)
        return ERR_NOT_FOUND;
    *ret_mutation = mutation;
    *ret_stamp = group->stamp;
    return ERR_OK;
}
