/* replica_results.c - what a branch has been told of the groups of the origins that it follows: their results, and
 * whose they are.
 *
 * Model:      a mark says which numbers of an origin are decided, not whose groups they are: copies of a device write
 *             under the same numbers. So headquarters tells the tag of each group as well, and a branch compares
 *             what it holds, and what is pushed to it, with that.
 * Stored:     RECEIPT (origin, first oseq) -> count BE8, code u8, reason BE4, detail; with TAGGED in the code: the tag
 *             of each group, BE4, before the detail.
 * Source:     SPEC.md 12.3, 12.5. */
#include "client/core/replica_internal.h"
#include "client/core/replica_relay.h"
#include "protocol/scan.h"

#include <string.h>

enum { RECEIPT_HEAD = 8 + 1 + 4, TAGGED = 0x80 };

enum err relay_result_put(struct replica *r, uint64_t origin, const struct group_result *result)
{
    uint8_t key[REPLICA_KEY], head[RECEIPT_HEAD];
    own_key(origin, result->oseq, key);
    be64_put(head, result->count);
    head[8] = (uint8_t)(result->code | (result->tags.size ? TAGGED : 0));
    be32_put(head + 9, result->reason);
    buf_reset(&r->scratch);
    buf_append(&r->scratch, head, sizeof head);
    buf_append(&r->scratch, result->tags.data, result->tags.size);
    buf_append(&r->scratch, result->detail.data, result->detail.size);
    if (r->scratch.error != ERR_OK)
        return r->scratch.error;
    return store_side_put(r->store, SIDE_RECEIPT, bytes_of(key, sizeof key), buf_view(&r->scratch));
}

struct result_walk {
    struct arena *arena;
    uint64_t after;
    struct group_result *items;
    uint32_t count, capacity;
};

static enum err result_decode(struct bytes key, struct bytes value, struct group_result *ret)
{
    if (key.size != REPLICA_KEY || value.size < RECEIPT_HEAD)
        return ERR_CORRUPT;
    *ret = (struct group_result){.oseq = be64_get(key.data + 8),
                                 .count = be64_get(value.data),
                                 .code = (uint32_t)value.data[8] & (TAGGED - 1u),
                                 .reason = be32_get(value.data + 9)};
    struct bytes rest = bytes_of(value.data + RECEIPT_HEAD, value.size - RECEIPT_HEAD);
    if (value.data[8] & TAGGED) {
        if (ret->count > rest.size / RESULT_TAG_SIZE)
            return ERR_CORRUPT;
        size_t size = (size_t)ret->count * RESULT_TAG_SIZE;
        ret->tags = bytes_of(rest.data, size);
        rest = bytes_of(rest.data + size, rest.size - size);
    }
    ret->detail = rest;
    return ERR_OK;
}

/* A run of results that begins before `after` is told from there on. */
static int collect_result(void *context, struct bytes key, struct bytes value)
{
    struct result_walk *walk = context;
    struct group_result result;
    enum err e = result_decode(key, value, &result);
    if (e != ERR_OK)
        return (int)e;
    if (result.oseq + result.count - 1 <= walk->after)
        return 0;
    if (result.oseq <= walk->after) {
        uint64_t known = walk->after + 1 - result.oseq;
        size_t tags = result.tags.size ? (size_t)known * RESULT_TAG_SIZE : 0;
        result.tags = bytes_of(result.tags.data + tags, result.tags.size - tags);
        result.count -= known;
        result.oseq = walk->after + 1;
    }
    struct group_result *items =
        arena_extend(walk->arena, walk->items, walk->count, &walk->capacity, sizeof *items);
    if (!items)
        return ERR_NOMEM;
    walk->items = items;
    e = arena_copy(walk->arena, result.detail, &result.detail);
    if (e == ERR_OK)
        e = arena_copy(walk->arena, result.tags, &result.tags);
    items[walk->count++] = result;
    return (int)e;
}

enum err relay_results_from(struct store *store, uint64_t origin, uint64_t after,
                            struct arena *arena, const struct group_result **ret,
                            uint32_t *ret_count)
{
    uint8_t from[REPLICA_KEY], to[REPLICA_KEY];
    struct result_walk walk = {.arena = arena, .after = after};
    own_key(origin, 0, from);
    own_key(origin, UINT64_MAX, to);
    enum err e = store_side_scan(store, SIDE_RECEIPT, bytes_of(from, sizeof from),
                                 bytes_of(to, sizeof to), collect_result, &walk);
    *ret = walk.items;
    *ret_count = walk.count;
    return e;
}

/* ---- whose they are ---- */

/* As headquarters reads it: 0 if it is not the group that it came as. */
static uint32_t tag_of(uint64_t origin, uint64_t oseq, struct bytes raw)
{
    struct group head;
    bool readable = scan_check(raw, &scan_limits_default) == ERR_OK &&
                    group_peek(raw, &head) == ERR_OK && head.dot.origin == origin &&
                    head.dot.oseq == oseq;
    return readable ? head.dot.tag : 0;
}

enum relay_identity relay_identity_of(const struct group_result *results, uint32_t count,
                                      uint64_t origin, uint64_t oseq, struct bytes raw)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct group_result *result = &results[i];
        if (oseq < result->oseq || oseq - result->oseq >= result->count || !result->tags.size)
            continue;
        uint32_t tag =
            be32_get(result->tags.data + (size_t)(oseq - result->oseq) * RESULT_TAG_SIZE);
        if (result->code == RESULT_DISCARDED && tag == 0)
            continue; /* given up where headquarters had no group of that number */
        return tag == tag_of(origin, oseq, raw) ? RELAY_SAME : RELAY_OTHER;
    }
    return RELAY_UNKNOWN;
}
