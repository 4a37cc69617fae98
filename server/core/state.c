/* state.c - buckets, marks and receipts as held in memory.
 *
 * Model:      a write-through cache of SIDE_BUCKET, SIDE_BUCKET_KEY, SIDE_MARK; receipts of the turn are
 *             gathered into runs. state_flush() writes what is dirty, before the commit.
 * Invariants: after a rollback state_drop() + state_load() make memory equal to the store again. */
#include "server/core/hub_internal.h"
#include "server/core/relay.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void key_origin(uint64_t origin, uint64_t oseq, uint8_t out[KEY_ORIGIN_SIZE])
{
    be64_put(out, origin);
    be64_put(out + 8, oseq);
}

static enum err number_get(struct store *store, struct arena *arena, const char *name,
                           uint64_t fallback, uint64_t *ret)
{
    struct bytes value;
    enum err e = store_side_get(store, SIDE_META, bytes_of_text(name), arena, &value);
    if (e == ERR_NOT_FOUND) {
        *ret = fallback;
        return ERR_OK;
    }
    if (e != ERR_OK)
        return e;
    if (value.size != 8)
        return ERR_CORRUPT;
    *ret = be64_get(value.data);
    return ERR_OK;
}

enum err meta_get_u64(struct hub *hub, const char *name, uint64_t fallback, uint64_t *ret)
{
    return number_get(hub->store, &hub->turn, name, fallback, ret);
}

enum err archived_get(struct store *store, uint64_t origin, struct arena *arena, uint64_t *ret)
{
    char name[ARCHIVED_NAME_SIZE];
    archived_name(origin, name);
    return number_get(store, arena, name, 0, ret);
}

enum err meta_put_u64(struct hub *hub, const char *name, uint64_t value)
{
    uint8_t raw[8];
    be64_put(raw, value);
    return store_side_put(hub->store, SIDE_META, bytes_of_text(name), bytes_of(raw, sizeof raw));
}

/* ---- buckets: number BE4 -> kind u8, key 16, head BE8, count BE8, sum 16 ---- */

enum { BUCKET_VALUE_SIZE = 1 + 16 + 8 + 8 + 16 };

enum err bucket_decode(struct bytes value, struct bucket *ret)
{
    if (value.size != BUCKET_VALUE_SIZE)
        return ERR_CORRUPT;
    ret->kind = (enum bucket_kind)value.data[0];
    memcpy(ret->key.byte, value.data + 1, 16);
    ret->head = be64_get(value.data + 17);
    ret->count = be64_get(value.data + 25);
    memcpy(ret->sum.byte, value.data + 33, 16);
    ret->dirty = false;
    return ERR_OK;
}

static enum err bucket_store(struct hub *hub, const struct bucket *bucket)
{
    uint8_t key[4], value[BUCKET_VALUE_SIZE];
    be32_put(key, bucket->number);
    value[0] = (uint8_t)bucket->kind;
    memcpy(value + 1, bucket->key.byte, 16);
    be64_put(value + 17, bucket->head);
    be64_put(value + 25, bucket->count);
    memcpy(value + 33, bucket->sum.byte, 16);
    return store_side_put(hub->store, SIDE_BUCKET, bytes_of(key, sizeof key),
                          bytes_of(value, sizeof value));
}

enum err bucket_append(struct hub *hub, const struct bucket *from)
{
    if (hub->bucket_count == hub->bucket_capacity) {
        uint32_t capacity = hub->bucket_capacity ? hub->bucket_capacity * 2 : 64;
        struct bucket **grown = realloc(hub->buckets, capacity * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        hub->buckets = grown;
        hub->bucket_capacity = capacity;
    }
    struct bucket *bucket = malloc(sizeof *bucket);
    if (!bucket)
        return ERR_NOMEM;
    *bucket = *from;
    uint8_t key[ROUTE_KEY_SIZE];
    route_key(bucket->kind, &bucket->key, key);
    enum err e = hash_map_put_number(&hub->bucket_keys, bytes_of(key, sizeof key), bucket->number);
    if (e != ERR_OK) {
        free(bucket);
        return e;
    }
    hub->buckets[hub->bucket_count++] = bucket;
    return ERR_OK;
}

static int load_bucket(void *context, struct bytes key, struct bytes value)
{
    struct hub *hub = context;
    struct bucket bucket = {0};
    if (key.size != 4)
        return ERR_CORRUPT;
    bucket.number = be32_get(key.data);
    enum err e = bucket_decode(value, &bucket);
    if (e == ERR_OK && bucket.number != hub->bucket_count + 1)
        e = ERR_CORRUPT;
    return (int)(e == ERR_OK ? bucket_append(hub, &bucket) : e);
}

enum err bucket_get(struct hub *hub, enum bucket_kind kind, const struct uuid *key,
                    struct bucket **ret)
{
    uint8_t raw[ROUTE_KEY_SIZE];
    route_key(kind, key, raw);
    union hash_value *found = hash_map_get(&hub->bucket_keys, bytes_of(raw, sizeof raw));
    if (found) {
        *ret = bucket_by_number(hub, (uint32_t)found->number);
        return ERR_OK;
    }
    if (hub->relay)
        return ERR_NOT_FOUND; /* not one of this branch's */
    if (hub->bucket_count >= HUB_BUCKETS_MAX)
        return ERR_LIMIT;
    struct bucket bucket = {
        .number = hub->bucket_count + 1, .kind = kind, .key = *key, .dirty = true};
    uint8_t number[4];
    be32_put(number, bucket.number);
    enum err e = store_side_put(hub->store, SIDE_BUCKET_KEY, bytes_of(raw, sizeof raw),
                                bytes_of(number, sizeof number));
    if (e == ERR_OK)
        e = bucket_append(hub, &bucket);
    if (e == ERR_OK)
        *ret = hub->buckets[hub->bucket_count - 1];
    return e;
}

struct bucket *bucket_by_number(struct hub *hub, uint32_t number)
{
    if (!hub->relay) /* they are all here */
        return number >= 1 && number <= hub->bucket_count ? hub->buckets[number - 1] : NULL;
    for (uint32_t i = 0; i < hub->bucket_count; i++)
        if (hub->buckets[i]->number == number)
            return hub->buckets[i];
    return NULL;
}

/* ---- marks: origin BE8 -> device 16, user 16, upto varint, count varint, (from, to) varints ---- */

enum err mark_get(struct store *store, uint64_t origin, struct arena *arena, struct mark *ret,
                  struct uuid *ret_device, struct uuid *ret_user)
{
    uint8_t key[8];
    struct bytes value;
    be64_put(key, origin);
    *ret = (struct mark){.origin = origin};
    enum err e = store_side_get(store, SIDE_MARK, bytes_of(key, sizeof key), arena, &value);
    if (e != ERR_OK)
        return e;
    if (value.size < 34)
        return ERR_CORRUPT;
    memcpy(ret_device->byte, value.data, 16);
    memcpy(ret_user->byte, value.data + 16, 16);
    size_t offset = 32;
    return mark_unpack(value, &offset, arena, ret);
}

static enum err mark_store(struct hub *hub, const struct origin *origin)
{
    uint8_t key[8];
    be64_put(key, origin->id);
    struct buf *b = &hub->row_scratch;
    buf_reset(b);
    buf_append(b, origin->device.byte, 16);
    buf_append(b, origin->user.byte, 16);
    const struct mark mark = {origin->id, origin->upto, origin->ranges, origin->range_count};
    mark_pack(&mark, b);
    if (b->error != ERR_OK)
        return b->error;
    return store_side_put(hub->store, SIDE_MARK, bytes_of(key, sizeof key), buf_view(b));
}

static void origin_free(struct origin *origin)
{
    if (origin)
        free(origin->ranges);
    free(origin);
}

static enum err origin_add(struct hub *hub, uint64_t id, const struct uuid *device,
                           const struct uuid *user, struct origin **ret)
{
    struct origin *origin = calloc(1, sizeof *origin);
    if (!origin)
        return ERR_NOMEM;
    origin->id = id;
    origin->device = *device;
    origin->user = *user;
    origin->dirty = true;
    uint8_t key[8];
    be64_put(key, id);
    enum err e = hash_map_put_pointer(&hub->origins, bytes_of(key, sizeof key), origin);
    if (e != ERR_OK)
        origin_free(origin);
    else
        *ret = origin;
    return e;
}

enum err origin_new(struct hub *hub, uint64_t id, const struct uuid *device,
                    const struct uuid *user, struct origin **ret)
{
    if (!hub->relay)
        return origin_add(hub, id, device, user, ret);
    enum err e = relay_origin_new(hub, id, device, user);
    return e == ERR_OK ? origin_get(hub, id, ret)
                       : e; /* its mark is headquarters', and may be known */
}

enum err origin_get(struct hub *hub, uint64_t id, struct origin **ret)
{
    uint8_t key[8];
    be64_put(key, id);
    struct origin *held = hash_map_get_pointer(&hub->origins, bytes_of(key, sizeof key));
    if (held) {
        *ret = held;
        return ERR_OK;
    }
    struct mark mark;
    struct uuid device, user;
    enum err e = hub->relay ? relay_origin_load(hub, id, &mark, &device, &user)
                            : mark_get(hub->store, id, &hub->turn, &mark, &device, &user);
    if (e != ERR_OK)
        return e;
    struct origin *origin;
    e = origin_add(hub, id, &device, &user, &origin);
    if (e != ERR_OK)
        return e;
    origin->dirty = false;
    origin->upto = mark.upto;
    if (mark.range_count) {
        origin->ranges = malloc(mark.range_count * sizeof *origin->ranges);
        if (!origin->ranges) {
            hash_map_remove(&hub->origins, bytes_of(key, sizeof key), NULL);
            origin_free(origin);
            return ERR_NOMEM;
        }
        memcpy(origin->ranges, mark.ranges, mark.range_count * sizeof *origin->ranges);
        origin->range_count = origin->range_capacity = mark.range_count;
    }
    *ret = origin;
    return ERR_OK;
}

bool origin_decided(const struct origin *origin, uint64_t oseq)
{
    if (oseq <= origin->upto)
        return true;
    for (uint32_t i = 0; i < origin->range_count; i++)
        if (oseq >= origin->ranges[i].from && oseq <= origin->ranges[i].to)
            return true;
    return false;
}

/* Takes ranges that now touch upto into it. */
static void origin_compact(struct origin *origin)
{
    uint32_t taken = 0;
    while (taken < origin->range_count && origin->ranges[taken].from <= origin->upto + 1) {
        if (origin->ranges[taken].to > origin->upto)
            origin->upto = origin->ranges[taken].to;
        taken++;
    }
    if (taken) {
        origin->range_count -= taken;
        memmove(origin->ranges, origin->ranges + taken,
                origin->range_count * sizeof *origin->ranges);
    }
}

enum err origin_mark(struct hub *hub, struct origin *origin, uint64_t oseq)
{
    (void)hub;
    assert(!origin_decided(origin, oseq));
    origin->dirty = true;
    if (oseq == origin->upto + 1) {
        origin->upto = oseq;
        origin_compact(origin);
        return ERR_OK;
    }
    uint32_t i = 0;
    while (i < origin->range_count && origin->ranges[i].to + 1 < oseq)
        i++;
    if (i < origin->range_count && origin->ranges[i].to + 1 == oseq) {
        origin->ranges[i].to = oseq;
        if (i + 1 < origin->range_count && origin->ranges[i + 1].from == oseq + 1) {
            origin->ranges[i].to = origin->ranges[i + 1].to;
            origin->range_count--;
            memmove(origin->ranges + i + 1, origin->ranges + i + 2,
                    (origin->range_count - i - 1) * sizeof *origin->ranges);
        }
        return ERR_OK;
    }
    if (i < origin->range_count && origin->ranges[i].from == oseq + 1) {
        origin->ranges[i].from = oseq;
        return ERR_OK;
    }
    if (origin->range_count == origin->range_capacity) {
        uint32_t capacity = origin->range_capacity ? origin->range_capacity * 2 : 8;
        struct oseq_range *grown = realloc(origin->ranges, capacity * sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        origin->ranges = grown;
        origin->range_capacity = capacity;
    }
    memmove(origin->ranges + i + 1, origin->ranges + i,
            (origin->range_count - i) * sizeof *origin->ranges);
    origin->ranges[i] = (struct oseq_range){oseq, oseq};
    origin->range_count++;
    return ERR_OK;
}

enum err own_mark(struct hub *hub, const struct origin *origin, struct mark *ret)
{
    struct oseq_range *ranges = arena_calloc(&hub->turn, origin->range_count, sizeof *ranges);
    if (!ranges)
        return ERR_NOMEM;
    if (origin->range_count)
        memcpy(ranges, origin->ranges, origin->range_count * sizeof *ranges);
    *ret = (struct mark){origin->id, origin->upto, ranges, origin->range_count};
    return ERR_OK;
}

/* ---- receipts: (origin, last oseq) -> first BE8, then per group tag BE4, code, reason, hash 16 ---- */

enum { RECEIPT_SIZE = 4 + 1 + 1 + 16, RECEIPT_RUN_MAX = 2000 };

enum err receipt_add(struct hub *hub, const struct dot *dot, const uint8_t hash[32],
                     enum result_code code, enum reason reason)
{
    struct receipt *receipt = arena_calloc(&hub->turn, 1, sizeof *receipt);
    if (!receipt)
        return ERR_NOMEM;
    receipt->oseq = dot->oseq;
    receipt->tag = dot->tag;
    receipt->code = (uint8_t)code;
    receipt->reason = (uint8_t)reason;
    memcpy(receipt->hash, hash, sizeof receipt->hash);
    struct receipt_run *run = hub->runs;
    if (!run || run->origin != dot->origin || run->last + 1 != dot->oseq ||
        run->count >= RECEIPT_RUN_MAX) {
        run = arena_calloc(&hub->turn, 1, sizeof *run);
        if (!run)
            return ERR_NOMEM;
        run->origin = dot->origin;
        run->first = dot->oseq;
        run->next = hub->runs;
        hub->runs = run;
    }
    run->last = dot->oseq;
    run->count++;
    if (run->tail)
        run->tail->next = receipt;
    else
        run->head = receipt;
    run->tail = receipt;
    return ERR_OK;
}

static void receipt_pack(const struct receipt *receipt, uint8_t *out)
{
    be32_put(out, receipt->tag);
    out[4] = receipt->code;
    out[5] = receipt->reason;
    memcpy(out + 6, receipt->hash, 16);
}

static void receipt_unpack(const uint8_t *in, struct receipt *ret)
{
    ret->tag = be32_get(in);
    ret->code = in[4];
    ret->reason = in[5];
    memcpy(ret->hash, in + 6, 16);
}

static enum err run_store(struct hub *hub, const struct receipt_run *run)
{
    uint8_t key[KEY_ORIGIN_SIZE];
    key_origin(run->origin, run->last, key);
    struct buf *b = &hub->row_scratch;
    buf_reset(b);
    uint8_t raw[RECEIPT_SIZE];
    be64_put(raw, run->first);
    buf_append(b, raw, 8);
    for (const struct receipt *r = run->head; r; r = r->next) {
        receipt_pack(r, raw);
        buf_append(b, raw, sizeof raw);
    }
    if (b->error != ERR_OK)
        return b->error;
    return store_side_put(hub->store, SIDE_RECEIPT, bytes_of(key, sizeof key), buf_view(b));
}

/* The first stored run that ends at or after the key. */
struct run_search {
    struct hub *hub;
    struct bytes key, value;
    enum err error;
};

static int first_run(void *context, struct bytes key, struct bytes value)
{
    struct run_search *search = context;
    search->error = arena_copy(&search->hub->turn, key, &search->key);
    if (search->error == ERR_OK)
        search->error = arena_copy(&search->hub->turn, value, &search->value);
    return search->error == ERR_OK ? STORE_STOP : (int)search->error;
}

static enum err run_find(struct hub *hub, uint64_t origin, uint64_t oseq, struct run_search *ret)
{
    uint8_t from[KEY_ORIGIN_SIZE], to[KEY_ORIGIN_SIZE];
    key_origin(origin, oseq, from);
    key_origin(origin, UINT64_MAX, to);
    *ret = (struct run_search){.hub = hub, .error = ERR_NOT_FOUND};
    enum err e = store_side_scan(hub->store, SIDE_RECEIPT, bytes_of(from, sizeof from),
                                 bytes_of(to, sizeof to), first_run, ret);
    if (e != ERR_OK)
        return e;
    if (ret->error != ERR_OK)
        return ret->error;
    if (ret->value.size < 8 || (ret->value.size - 8) % RECEIPT_SIZE)
        return ERR_CORRUPT;
    uint64_t first = be64_get(ret->value.data);
    if (oseq < first)
        return ERR_NOT_FOUND;
    return oseq - first < (ret->value.size - 8) / RECEIPT_SIZE ? ERR_OK : ERR_CORRUPT;
}

enum err receipt_find(struct hub *hub, uint64_t origin, uint64_t oseq, struct receipt *ret)
{
    for (const struct receipt_run *run = hub->runs; run; run = run->next) {
        if (run->origin != origin || oseq < run->first || oseq > run->last)
            continue;
        for (const struct receipt *r = run->head; r; r = r->next)
            if (r->oseq == oseq) {
                *ret = *r;
                return ERR_OK;
            }
    }
    struct run_search search;
    enum err e = run_find(hub, origin, oseq, &search);
    if (e != ERR_OK)
        return e;
    *ret = (struct receipt){.oseq = oseq};
    receipt_unpack(search.value.data + 8 + (oseq - be64_get(search.value.data)) * RECEIPT_SIZE,
                   ret);
    return ERR_OK;
}

enum err receipt_change(struct hub *hub, uint64_t origin, uint64_t oseq, enum result_code code)
{
    for (struct receipt_run *run = hub->runs; run; run = run->next)
        for (struct receipt *r = run->head; r && run->origin == origin; r = r->next)
            if (r->oseq == oseq) {
                r->code = (uint8_t)code;
                return ERR_OK;
            }
    struct run_search search;
    enum err e = run_find(hub, origin, oseq, &search);
    if (e != ERR_OK)
        return e;
    struct buf *b = &hub->row_scratch;
    buf_reset(b);
    if (buf_append(b, search.value.data, search.value.size) != ERR_OK)
        return b->error;
    b->data[8 + (oseq - be64_get(search.value.data)) * RECEIPT_SIZE + 4] = (uint8_t)code;
    return store_side_put(hub->store, SIDE_RECEIPT, search.key, buf_view(b));
}

/* ---- all of it ---- */

static int load_floor(void *context, struct bytes key, struct bytes value)
{
    if (key.size != 4 || value.size != 8)
        return ERR_CORRUPT;
    struct bucket *bucket = bucket_by_number(context, be32_get(key.data));
    if (bucket) /* a branch may have lost it */
        bucket->floor = be64_get(value.data);
    return 0;
}

enum err floors_load(struct hub *hub)
{
    return store_side_scan(hub->store, SIDE_FLOOR, bytes_of(NULL, 0), bytes_of(NULL, 0), load_floor,
                           hub);
}

enum err state_load(struct hub *hub)
{
    enum err e = store_side_scan(hub->store, SIDE_BUCKET, bytes_of(NULL, 0), bytes_of(NULL, 0),
                                 load_bucket, hub);
    return e == ERR_OK ? floors_load(hub) : e;
}

void state_drop(struct hub *hub)
{
    for (uint32_t i = 0; i < hub->bucket_count; i++)
        free(hub->buckets[i]);
    hub->bucket_count = 0;
    hash_map_clear(&hub->bucket_keys);
    size_t cursor = 0;
    struct bytes key;
    union hash_value value;
    while (hash_map_next(&hub->origins, &cursor, &key, &value))
        origin_free(value.pointer);
    hash_map_clear(&hub->origins);
    memset(hub->known, 0, sizeof hub->known);
}

enum err state_flush(struct hub *hub)
{
    for (uint32_t i = 0; i < hub->bucket_count; i++) {
        struct bucket *bucket = hub->buckets[i];
        if (!bucket->dirty)
            continue;
        enum err e = bucket_store(hub, bucket);
        if (e != ERR_OK)
            return e;
        bucket->dirty = false;
    }
    size_t cursor = 0;
    struct bytes key;
    union hash_value value;
    while (hash_map_next(&hub->origins, &cursor, &key, &value)) {
        struct origin *origin = value.pointer;
        if (!origin->dirty)
            continue;
        enum err e = mark_store(hub, origin);
        if (e != ERR_OK)
            return e;
        origin->dirty = false;
    }
    for (const struct receipt_run *run = hub->runs; run; run = run->next) {
        enum err e = run_store(hub, run);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}
