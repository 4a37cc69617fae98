/* verify.c - whether a bucket's records are those that its digest was made of.
 *
 * Cost:       reads each record of the bucket; memory for one of them. */
#include "server/core/hub_internal.h"

#include <string.h>

struct recount {
    struct hub *hub;
    uint32_t bucket;
    struct arena arena;
    struct digest sum;
    uint64_t count;
};

static int recount_row(void *context, uint64_t position, const struct model_table *table,
                       const struct uuid *id)
{
    struct recount *r = context;
    struct store_row row;
    struct digest digest;
    arena_reset(&r->arena);
    enum err e = store_row_get(r->hub->store, table, id, &r->arena, &row);
    if (e == ERR_OK && (row.bucket != r->bucket || row.position != position))
        return 0; /* it has left */
    if (e == ERR_OK)
        e = digest_row(r->hub->config.crypto, table, id, &row, &r->hub->row_scratch, &digest);
    if (e == ERR_NOT_FOUND)
        e = move_explains(r->hub->store, r->bucket, position, table, id, &r->arena);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? 0 : (int)e;
    digest_add(&r->sum, &digest);
    r->count++;
    return 0;
}

enum err bucket_recount(struct hub *hub, const struct bucket *bucket, uint64_t *ret_found,
                        bool *ret_right)
{
    struct recount r = {.hub = hub, .bucket = bucket->number};
    arena_init(&r.arena, (size_t)64 << 20);
    enum err e = store_log_scan(hub->store, bucket->number, 0, recount_row, &r);
    arena_done(&r.arena);
    *ret_found = r.count;
    *ret_right =
        r.count == bucket->count && memcmp(r.sum.byte, bucket->sum.byte, sizeof r.sum.byte) == 0;
    return e;
}
