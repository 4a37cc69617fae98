/* replica_verify.c - whether the records on this device are those that were saved. */
#include "client/core/replica_compare.h"

#include <string.h>

/* The name that WELCOME gave to a bucket's number; kind 0 where it is not known. */
static void name_of(const struct replica *r, uint32_t number, struct replica_bucket *ret)
{
    size_t at = 0;
    struct bytes key;
    union hash_value value;
    while (hash_map_next(&r->bucket_keys, &at, &key, &value)) {
        if (value.number != number || key.size != ROUTE_KEY_SIZE)
            continue;
        ret->kind = key.data[0];
        memcpy(ret->key.byte, key.data + ROUTE_KEY_SIZE - 16, 16);
        return;
    }
}

static enum err recount(struct replica *r, uint64_t *ret_unreadable)
{
    enum { SLICE = 1 << 20 };
    enum err e = replica_compare_begin(r);
    if (e == ERR_OK && !r->comparison)
        return ERR_INVALID;
    if (e == ERR_OK)
        r->comparison->only_verifies = true;
    while (e == ERR_OK && replica_compare_state(r) == COMPARE_SCAN)
        e = replica_compare_scan(r, SLICE);
    if (e == ERR_OK)
        *ret_unreadable = r->comparison->unreadable;
    return e;
}

enum err replica_verify(struct replica *r, bool mark, replica_verify_fn *fn, void *context,
                        uint64_t *ret_unreadable)
{
    enum err e = recount(r, ret_unreadable);
    bool wrong = e == ERR_OK && *ret_unreadable > 0;
    for (uint32_t i = 0; e == ERR_OK && i < r->cursor_count; i++) {
        const struct cursor *saved = &r->cursors[i];
        const struct range_cell found = compare_total(r->comparison, saved->bucket);
        struct replica_bucket bucket = {.number = saved->bucket,
                                        .saved = saved->count,
                                        .found = found.count,
                                        .position = saved->position};
        bucket.right = found.count == saved->count &&
                       memcmp(found.sum.byte, saved->sum.byte, sizeof found.sum.byte) == 0;
        name_of(r, bucket.number, &bucket);
        wrong |= !bucket.right;
        fn(context, &bucket);
    }
    replica_compare_drop(r);
    if (e != ERR_OK || !wrong || !mark)
        return e;
    e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    r->differs = true;
    return replica_leave(r, replica_save(r));
}
