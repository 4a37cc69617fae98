/* replica_base.c - confirmed copies of records that pending groups touch, and views over them. */
#include "client/core/replica_internal.h"
#include "protocol/scan.h"

#include <string.h>

/* ---- groups of the outbox ---- */

void cache_drop(struct replica *r)
{
    r->cache.valid = false;
    arena_reset(&r->cache.arena);
}

/* Headquarters would refuse what is damaged, for good. */
bool outbox_readable(struct bytes key, struct bytes value)
{
    struct group head;
    return key.size == REPLICA_KEY && scan_check(value, &scan_limits_default) != ERR_MALFORMED &&
           group_peek(value, &head) == ERR_OK && head.dot.origin == be64_get(key.data) &&
           head.dot.oseq == be64_get(key.data + 8);
}

enum err outbox_group(struct replica *r, uint64_t origin, uint64_t oseq, struct group **ret)
{
    struct group_cache *cache = &r->cache;
    if (!cache->valid || cache->origin != origin || cache->oseq != oseq) {
        cache_drop(r);
        uint8_t key[REPLICA_KEY];
        own_key(origin, oseq, key);
        enum err e = store_side_get(r->store, SIDE_OUTBOX, bytes_of(key, sizeof key), &cache->arena,
                                    &cache->raw);
        if (e == ERR_NOT_FOUND && origin != r->origin) {
            e = store_side_get(r->store, SIDE_PENDING, bytes_of(key, sizeof key), &cache->arena,
                               &cache->raw);
            if (e == ERR_OK && cache->raw.size < PENDING_HEAD)
                e = ERR_CORRUPT;
            if (e == ERR_OK)
                cache->raw =
                    bytes_of(cache->raw.data + PENDING_HEAD, cache->raw.size - PENDING_HEAD);
        }
        if (e == ERR_OK)
            e = group_decode(r->model, cache->raw, &cache->arena, &cache->group, NULL);
        if (e == ERR_OK && (cache->group.dot.origin != origin || cache->group.dot.oseq != oseq))
            e = ERR_CORRUPT;
        if (e != ERR_OK)
            return e == ERR_MALFORMED ? ERR_CORRUPT : e;
        cache->origin = origin;
        cache->oseq = oseq;
        cache->hint = 0;
        cache->valid = true;
    }
    *ret = &cache->group;
    return ERR_OK;
}

/* Records are usually asked for in the order of the group: the search starts behind the last one. */
const struct mutation *group_mutation(struct group_cache *cache, const struct model_table *table,
                                      const struct uuid *id)
{
    uint32_t count = cache->group.mutation_count;
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = (cache->hint + n) % count;
        const struct mutation *mutation = &cache->group.mutations[i];
        if (mutation->table == table && uuid_equal(&mutation->id, id)) {
            cache->hint = i;
            return mutation;
        }
    }
    return NULL;
}

/* ---- bases ---- */

enum err base_load(struct replica *r, const struct model_table *table, const struct uuid *id,
                   struct arena *arena, struct base *ret)
{
    return base_load_from(r->store, table, id, arena, ret);
}

enum err base_load_from(struct store *store, const struct model_table *table, const struct uuid *id,
                        struct arena *arena, struct base *ret)
{
    struct base base = {0};
    enum err e = store_base_get(store, table, id, arena, &base.row);
    if (e != ERR_OK)
        return e;
    struct bytes packed = base.row.version;
    size_t offset = 0;
    uint64_t size, count;
    if (varint_get(packed, &offset, &size) != ERR_OK || size > packed.size - offset)
        return ERR_CORRUPT;
    base.row.version = bytes_of(packed.data + offset, (size_t)size);
    base.present = size > 0;
    offset += (size_t)size;
    if (varint_get(packed, &offset, &count) != ERR_OK || count > PENDING_MAX ||
        packed.size - offset != count * 20)
        return ERR_CORRUPT;
    base.pending = arena_calloc(arena, (size_t)count + 1, sizeof *base.pending);
    if (!base.pending)
        return ERR_NOMEM;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *at = packed.data + offset + i * 20;
        base.pending[i] = (struct dot){be64_get(at), be64_get(at + 8), be32_get(at + 16)};
    }
    base.pending_count = (uint16_t)count;
    *ret = base;
    return ERR_OK;
}

enum err base_save(struct replica *r, const struct model_table *table, const struct uuid *id,
                   const struct base *base)
{
    struct buf *b = &r->scratch;
    buf_reset(b);
    size_t size = base->present ? base->row.version.size : 0;
    buf_append_varint(b, size);
    buf_append(b, base->row.version.data, size);
    buf_append_varint(b, base->pending_count);
    for (uint16_t i = 0; i < base->pending_count; i++) {
        uint8_t raw[20];
        own_key(base->pending[i].origin, base->pending[i].oseq, raw);
        be32_put(raw + 16, base->pending[i].tag);
        buf_append(b, raw, sizeof raw);
    }
    if (b->error != ERR_OK)
        return b->error;
    struct store_row row = base->row;
    row.version = buf_view(b);
    struct value empty[MODEL_COLUMNS_MAX];
    if (!base->present) {
        for (uint16_t i = 0; i < table->column_count; i++)
            empty[i] = value_null();
        row.values = empty;
        row.dead = false;
    }
    return store_base_put(r->store, table, id, &row);
}

enum err base_add_pending(struct arena *arena, struct base *base, const struct dot *dot)
{
    for (uint16_t i = 0; i < base->pending_count; i++)
        if (dot_equal(&base->pending[i], dot))
            return ERR_OK;
    if (base->pending_count >= PENDING_MAX)
        return ERR_LIMIT;
    struct dot *grown = arena_calloc(arena, base->pending_count + 1u, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    if (base->pending_count)
        memcpy(grown, base->pending, base->pending_count * sizeof *grown);
    grown[base->pending_count++] = *dot;
    base->pending = grown;
    return ERR_OK;
}

enum err base_insert_pending(struct arena *arena, struct base *base, const struct dot *dot)
{
    enum err e = base_add_pending(arena, base, dot);
    for (uint16_t i = base->pending_count; e == ERR_OK && i > 1; i--) {
        struct dot *a = &base->pending[i - 2], *b = &base->pending[i - 1];
        if (a->origin != b->origin || a->oseq <= b->oseq)
            break;
        struct dot moved = *a;
        *a = *b;
        *b = moved;
    }
    return e;
}

void base_remove_pending(struct base *base, const struct dot *dot)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < base->pending_count; i++)
        if (!dot_equal(&base->pending[i], dot))
            base->pending[kept++] = base->pending[i];
    base->pending_count = kept;
}

enum err base_touch(struct replica *r, const struct model_table *table, const struct uuid *id,
                    const struct store_row *old, const struct dot *dot)
{
    struct base base;
    enum err e = base_load(r, table, id, &r->arena, &base);
    if (e == ERR_NOT_FOUND) {
        struct version_head head;
        if (version_peek(old->version, &head) != ERR_OK)
            return ERR_CORRUPT;
        if (dot_equal(&head.insert, dot))
            return ERR_OK; /* made in this very group: still one pending insert */
        base = (struct base){.present = true, .row = *old};
        if (is_waiting_insert(r, old, &head.insert)) {
            base.present = false;
            e = base_add_pending(&r->arena, &base, &head.insert);
            if (e != ERR_OK)
                return e;
        }
    } else if (e != ERR_OK) {
        return e;
    }
    if (base.pending_count >= PENDING_WRITES_MAX &&
        !dot_equal(&base.pending[base.pending_count - 1], dot))
        return ERR_LIMIT;
    e = base_add_pending(&r->arena, &base, dot);
    return e == ERR_OK ? base_save(r, table, id, &base) : e;
}

/* ---- views ---- */

enum err merge_into(struct replica *r, const struct mutation *mutation, const struct dot *dot,
                    uint64_t stamp, enum merge_mode mode, struct arena *arena,
                    struct record *record, struct merge_result *ret)
{
    (void)r;
    const struct merge_context context = {
        .dot = *dot, .stamp = stamp, .mode = mode, .arena = arena};
    return merge_mutation(&context, mutation, record, ret);
}

/* What a merge made may be views into the cached group, which the next look-up drops. */
static enum err record_keep(struct replica *r, const struct model_table *table, struct arena *arena,
                            struct record *record)
{
    struct store_row row = {0};
    enum err e = row_from_record(r, table, record, arena, &row);
    for (uint16_t i = 0; e == ERR_OK && i < table->column_count; i++)
        e = value_copy(arena, &record->values[i], &record->values[i]);
    row.values = record->values;
    return e == ERR_OK ? record_from_row(table, &row, arena, record) : e;
}

static enum err merge_pending(struct replica *r, const struct model_table *table,
                              const struct uuid *id, const struct dot *dot, struct arena *arena,
                              struct record *record)
{
    struct group *group;
    enum err e = outbox_group(r, dot->origin, dot->oseq, &group);
    if (e == ERR_NOT_FOUND)
        return ERR_OK; /* given up meanwhile */
    if (e != ERR_OK)
        return e;
    const struct mutation *mutation = group_mutation(&r->cache, table, id);
    struct merge_result result;
    if (!mutation)
        return ERR_OK;
    e = merge_into(r, mutation, dot, pending_stamp(r, dot, group->stamp), MERGE_SHOW, arena, record,
                   &result);
    return e == ERR_OK && record->present ? record_keep(r, table, arena, record) : e;
}

enum err base_show(struct replica *r, const struct model_table *table, const struct uuid *id,
                   const struct base *base, struct arena *arena)
{
    if (base->pending_count == 0) {
        enum err e = store_base_delete(r->store, table, id);
        if (e != ERR_OK)
            return e;
        /* what the outbox held here longer than its bucket goes now */
        bool stays = base->present && bucket_subscribed(r, base->row.bucket);
        return stays ? store_row_put(r->store, table, id, &base->row)
                     : store_row_delete(r->store, table, id);
    }
    struct record record = {0};
    enum err e = base->present ? record_from_row(table, &base->row, arena, &record) : ERR_OK;
    if (e == ERR_OK && base->present) {
        struct value *copy = arena_calloc(arena, table->column_count, sizeof *copy);
        if (!copy)
            return ERR_NOMEM;
        memcpy(copy, record.values, table->column_count * sizeof *copy);
        record.values = copy;
    }
    struct base ordered = *base;
    if (e == ERR_OK)
        e = pending_order(r, table, id, &ordered, arena);
    for (uint16_t i = 0; e == ERR_OK && i < ordered.pending_count; i++)
        e = merge_pending(r, table, id, &ordered.pending[i], arena, &record);
    if (e != ERR_OK)
        return e;
    e = base_save(r, table, id, base);
    if (e != ERR_OK)
        return e;
    if (!record.present)
        return store_row_delete(r->store, table, id);
    if (record.version.revision == 0)
        record.version.revision = 1;
    struct store_row row = {0};
    e = row_from_record(r, table, &record, arena, &row);
    row.bucket = base->present ? base->row.bucket : route_bucket(r, table, record.values);
    row.position = base->row.position;
    return e == ERR_OK ? store_row_put(r->store, table, id, &row) : e;
}
