#include "common/hash_map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/siphash.h"

#define HASH_MAP_CAPACITY_MIN ((size_t)8)
#define HASH_MAP_SEED_2       0x53617463686c6d70u /* the other half of the hash's key: a constant */

struct hash_entry {
    uint64_t hash;
    union hash_value value;
    union {
        uint8_t inside[HASH_MAP_KEY_INLINE];
        uint8_t *outside; /* larger keys */
    } key;
    uint32_t key_size;
    bool removed;
};

void hash_map_init(struct hash_map *map, size_t limit, uint64_t seed)
{
    *map = (struct hash_map){.seed = seed};
    map->limit = limit < HASH_MAP_LIMIT_MAX ? limit : HASH_MAP_LIMIT_MAX;
}

static void entry_free_key(struct hash_entry *entry)
{
    if (!entry->removed && entry->key_size > HASH_MAP_KEY_INLINE)
        free(entry->key.outside);
}

void hash_map_done(struct hash_map *map)
{
    hash_map_clear(map);
    free(map->entries);
    free(map->index);
    *map = (struct hash_map){.limit = map->limit, .seed = map->seed};
}

void hash_map_clear(struct hash_map *map)
{
    for (size_t i = 0; i < map->used; i++)
        entry_free_key(&map->entries[i]);
    map->count = 0;
    map->used = 0;
    if (map->index_size > 0)
        memset(map->index, 0, map->index_size * sizeof(*map->index));
}

size_t hash_map_count(const struct hash_map *map)
{
    return map->count;
}

static struct bytes entry_key(const struct hash_entry *entry)
{
    if (entry->key_size > HASH_MAP_KEY_INLINE)
        return bytes_of(entry->key.outside, entry->key_size);
    return bytes_of(entry->key.inside, entry->key_size);
}

/* The slot of the key in the index, or the empty one where it belongs. The index is never full. */
static size_t find_slot(const struct hash_map *map, uint64_t hash, struct bytes key)
{
    size_t mask = map->index_size - 1;
    size_t slot = (size_t)hash & mask;

    while (map->index[slot] != 0) {
        const struct hash_entry *entry = &map->entries[map->index[slot] - 1];

        if (entry->hash == hash && bytes_equal(entry_key(entry), key))
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

static struct hash_entry *find_entry(const struct hash_map *map, struct bytes key)
{
    size_t slot;

    if (map->count == 0)
        return NULL;
    slot = find_slot(map, siphash24(map->seed, HASH_MAP_SEED_2, key), key);
    return map->index[slot] == 0 ? NULL : &map->entries[map->index[slot] - 1];
}

/* Moves the entries together over the removed ones and numbers them anew in the cleared index. */
static void compact(struct hash_map *map)
{
    size_t mask = map->index_size - 1;
    size_t kept = 0;

    memset(map->index, 0, map->index_size * sizeof(*map->index));
    for (size_t i = 0; i < map->used; i++) {
        size_t slot = (size_t)map->entries[i].hash & mask;

        if (map->entries[i].removed)
            continue;
        map->entries[kept] = map->entries[i];
        kept++;
        while (map->index[slot] != 0)
            slot = (slot + 1) & mask;
        map->index[slot] = (uint32_t)kept;
    }
    map->used = kept;
    assert(map->used == map->count);
}

/* Room for one more entry. On failure nothing has changed that could be seen. */
static enum err make_room(struct hash_map *map)
{
    size_t capacity = map->capacity * 2;
    struct hash_entry *entries;
    uint32_t *index;

    if (map->used < map->capacity)
        return ERR_OK;
    if (map->capacity > 0 && map->count <= map->capacity / 2) {
        compact(map);
        return ERR_OK;
    }
    if (capacity == 0)
        capacity = HASH_MAP_CAPACITY_MIN;
    if (capacity > SIZE_MAX / sizeof(*entries))
        return ERR_NOMEM;
    entries = realloc(map->entries, capacity * sizeof(*entries));
    if (entries == NULL)
        return ERR_NOMEM;
    map->entries = entries;
    index = realloc(map->index, capacity * 2 * sizeof(*index)); /* at most half full */
    if (index == NULL)
        return ERR_NOMEM;
    map->index = index;
    map->index_size = capacity * 2;
    map->capacity = capacity;
    compact(map);
    return ERR_OK;
}

static enum err entry_set_key(struct hash_entry *entry, struct bytes key)
{
    uint8_t *copy = entry->key.inside;

    if (key.size > HASH_MAP_KEY_INLINE) {
        copy = malloc(key.size);
        if (copy == NULL)
            return ERR_NOMEM;
        entry->key.outside = copy;
    }
    if (key.size > 0)
        memcpy(copy, key.data, key.size);
    entry->key_size = (uint32_t)key.size;
    return ERR_OK;
}

enum err hash_map_put(struct hash_map *map, struct bytes key, union hash_value value)
{
    struct hash_entry *entry = find_entry(map, key);
    uint64_t hash;
    enum err error;

    if (entry != NULL) {
        entry->value = value;
        return ERR_OK;
    }
    if (map->count >= map->limit || key.size > HASH_MAP_KEY_MAX)
        return ERR_LIMIT;
    error = make_room(map);
    if (error != ERR_OK)
        return error;
    hash = siphash24(map->seed, HASH_MAP_SEED_2, key);
    entry = &map->entries[map->used];
    *entry = (struct hash_entry){.hash = hash, .value = value};
    error = entry_set_key(entry, key);
    if (error != ERR_OK)
        return error;
    map->used++;
    map->count++;
    map->index[find_slot(map, hash, key)] = (uint32_t)map->used;
    return ERR_OK;
}

enum err hash_map_put_pointer(struct hash_map *map, struct bytes key, void *pointer)
{
    return hash_map_put(map, key, (union hash_value){.pointer = pointer});
}

enum err hash_map_put_number(struct hash_map *map, struct bytes key, uint64_t number)
{
    return hash_map_put(map, key, (union hash_value){.number = number});
}

union hash_value *hash_map_get(const struct hash_map *map, struct bytes key)
{
    struct hash_entry *entry = find_entry(map, key);

    return entry == NULL ? NULL : &entry->value;
}

void *hash_map_get_pointer(const struct hash_map *map, struct bytes key)
{
    union hash_value *value = hash_map_get(map, key);

    return value == NULL ? NULL : value->pointer;
}

/* Empties a slot and moves back those after it that would no longer be found (Knuth 6.4, R). */
static void index_remove(struct hash_map *map, size_t hole)
{
    size_t mask = map->index_size - 1;

    for (size_t slot = (hole + 1) & mask; map->index[slot] != 0; slot = (slot + 1) & mask) {
        size_t home = (size_t)map->entries[map->index[slot] - 1].hash & mask;

        /* It may move if its home is not between the hole and itself, going round. */
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            map->index[hole] = map->index[slot];
            hole = slot;
        }
    }
    map->index[hole] = 0;
}

bool hash_map_remove(struct hash_map *map, struct bytes key, union hash_value *ret_value)
{
    struct hash_entry *entry = find_entry(map, key);

    if (entry == NULL)
        return false;
    if (ret_value != NULL)
        *ret_value = entry->value;
    index_remove(map, find_slot(map, entry->hash, key));
    entry_free_key(entry);
    entry->removed = true;
    map->count--;
    return true;
}

bool hash_map_next(const struct hash_map *map, size_t *cursor, struct bytes *ret_key,
                   union hash_value *ret_value)
{
    for (; *cursor < map->used; ++*cursor) {
        const struct hash_entry *entry = &map->entries[*cursor];

        if (entry->removed)
            continue;
        *ret_key = entry_key(entry);
        *ret_value = entry->value;
        ++*cursor;
        return true;
    }
    return false;
}
