/* The log and the side tables. */
#include "common/store_mem/mem_store.h"

static uint32_t map_side(enum store_side side)
{
    return MAP_SIDES + (uint32_t)side;
}

/* The log: bucket and position, big-endian. */

enum { LOG_KEY_SIZE = 12 };

static struct bytes log_key(uint32_t bucket, uint64_t position, uint8_t *memory)
{
    be32_put(memory, bucket);
    be64_put(memory + 4, position);
    return bytes_of(memory, LOG_KEY_SIZE);
}

enum err mem_log_put(struct store *store, uint32_t bucket, uint64_t position,
                     const struct model_table *table, const struct uuid *id)
{
    struct mem_store *s = mem_of(store);
    uint8_t memory[LOG_KEY_SIZE];
    struct bytes key = log_key(bucket, position, memory);
    enum err err = mem_counted_write(s);
    if (err != ERR_OK)
        return err;
    if (mem_map_get(&s->maps[MAP_LOG], key) != NULL)
        return ERR_EXISTS;
    struct mem_entry *entry = mem_entry_bytes(key, bytes_of(NULL, 0));
    if (entry == NULL)
        return ERR_NOMEM;
    entry->table = table;
    entry->id = *id;
    return mem_put(s, MAP_LOG, entry);
}

enum err mem_log_delete(struct store *store, uint32_t bucket, uint64_t position)
{
    uint8_t memory[LOG_KEY_SIZE];
    enum err err = mem_counted_write(mem_of(store));
    return err != ERR_OK ? err
                         : mem_erase(mem_of(store), MAP_LOG, log_key(bucket, position, memory));
}

struct log_scan {
    store_log_fn *fn;
    void *context;
};

static int show_log(void *context, const struct mem_entry *entry)
{
    const struct log_scan *to = context;
    return to->fn(to->context, be64_get(entry->key.data + 4), entry->table, &entry->id);
}

enum err mem_log_scan(struct store *store, uint32_t bucket, uint64_t after, store_log_fn *fn,
                      void *context)
{
    struct log_scan to = {.fn = fn, .context = context};
    uint8_t from[LOG_KEY_SIZE];
    uint8_t end[LOG_KEY_SIZE]; /* no position is as high */
    return mem_scan(mem_of(store), MAP_LOG, log_key(bucket, after, from), true,
                    log_key(bucket, UINT64_MAX, end), show_log, &to);
}

/* Side tables. */

enum err mem_side_get(struct store *store, enum store_side side, struct bytes key,
                      struct arena *arena, struct bytes *ret_value)
{
    struct mem_store *s = mem_of(store);
    enum err err = mem_counted_read(s);
    if (err != ERR_OK)
        return err;
    const struct mem_entry *entry = mem_map_get(&s->maps[map_side(side)], key);
    return entry == NULL ? ERR_NOT_FOUND : arena_copy(arena, entry->value, ret_value);
}

enum err mem_side_put(struct store *store, enum store_side side, struct bytes key,
                      struct bytes value)
{
    enum err err = mem_counted_write(mem_of(store));
    return err != ERR_OK ? err
                         : mem_put(mem_of(store), map_side(side), mem_entry_bytes(key, value));
}

enum err mem_side_delete(struct store *store, enum store_side side, struct bytes key)
{
    enum err err = mem_counted_write(mem_of(store));
    return err != ERR_OK ? err : mem_erase(mem_of(store), map_side(side), key);
}

struct side_scan {
    store_side_fn *fn;
    void *context;
};

static int show_side(void *context, const struct mem_entry *entry)
{
    const struct side_scan *to = context;
    return to->fn(to->context, entry->key, entry->value);
}

enum err mem_side_scan(struct store *store, enum store_side side, struct bytes from,
                       struct bytes to, store_side_fn *fn, void *context)
{
    struct side_scan shown = {.fn = fn, .context = context};
    return mem_scan(mem_of(store), map_side(side), from, false, to, show_side, &shown);
}
