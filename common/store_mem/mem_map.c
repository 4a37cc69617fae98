#include "common/store_mem/mem_map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct mem_entry *entry_new(size_t memory_size)
{
    struct mem_entry *entry = calloc(1, sizeof *entry + memory_size);
    if (entry != NULL)
        entry->references = 1;
    return entry;
}

static struct bytes copy_to(uint8_t **at, struct bytes in)
{
    struct bytes out = bytes_of(*at, in.size);
    if (in.size > 0)
        memcpy(*at, in.data, in.size);
    *at += in.size;
    return out;
}

struct mem_entry *mem_entry_bytes(struct bytes key, struct bytes value)
{
    struct mem_entry *entry = entry_new(key.size + value.size);
    if (entry == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)entry->memory;
    entry->key = copy_to(&at, key);
    entry->value = copy_to(&at, value);
    return entry;
}

static bool has_bytes(const struct value *value)
{
    return value->kind == VALUE_TEXT || value->kind == VALUE_BLOB;
}

struct mem_entry *mem_entry_row(struct bytes key, const struct store_row *row, uint16_t value_count)
{
    size_t values_size = value_count * sizeof(struct value);
    size_t size = values_size + key.size + row->version.size;
    for (uint16_t i = 0; i < value_count; i++)
        size += has_bytes(&row->values[i]) ? row->values[i].as.bytes.size : 0;
    struct mem_entry *entry = entry_new(size);
    if (entry == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)entry->memory + values_size;
    entry->key = copy_to(&at, key);
    entry->row = *row;
    entry->row.version = copy_to(&at, row->version);
    entry->row.values = value_count == 0 ? NULL : (struct value *)(void *)entry->memory;
    for (uint16_t i = 0; i < value_count; i++) {
        struct value *value = &entry->row.values[i];
        *value = row->values[i];
        if (has_bytes(value))
            value->as.bytes = copy_to(&at, value->as.bytes);
        else if (value->kind == VALUE_REAL)
            value->as.real += 0.0; /* -0.0 becomes 0.0, as in SQLite */
    }
    return entry;
}

struct mem_entry *mem_entry_hold(struct mem_entry *entry)
{
    assert(entry->references > 0 && entry->references < UINT32_MAX);
    entry->references++;
    return entry;
}

void mem_entry_drop(struct mem_entry *entry)
{
    if (entry == NULL)
        return;
    assert(entry->references > 0);
    if (--entry->references == 0)
        free(entry);
}

void mem_map_done(struct mem_map *map)
{
    for (size_t i = 0; i < map->count; i++)
        mem_entry_drop(map->entries[i]);
    free(map->entries);
    *map = (struct mem_map){0};
}

size_t mem_map_find(const struct mem_map *map, struct bytes key)
{
    size_t low = 0;
    size_t high = map->count;
    if (high > 0 && bytes_compare(map->entries[high - 1]->key, key) < 0)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_compare(map->entries[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct mem_entry *mem_map_get(const struct mem_map *map, struct bytes key)
{
    size_t place = mem_map_find(map, key);
    if (place == map->count || !bytes_equal(map->entries[place]->key, key))
        return NULL;
    return map->entries[place];
}

enum err mem_map_reserve(struct mem_map *map)
{
    if (map->count < map->capacity)
        return ERR_OK;
    size_t capacity = map->capacity == 0 ? 16 : map->capacity * 2;
    struct mem_entry **entries = realloc(map->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return ERR_NOMEM;
    map->entries = entries;
    map->capacity = capacity;
    return ERR_OK;
}

void mem_map_set(struct mem_map *map, struct mem_entry *entry)
{
    size_t place = mem_map_find(map, entry->key);
    (void)mem_entry_hold(entry);
    if (place < map->count && bytes_equal(map->entries[place]->key, entry->key)) {
        mem_entry_drop(map->entries[place]);
        map->entries[place] = entry;
        return;
    }
    assert(map->count < map->capacity);
    memmove(&map->entries[place + 1], &map->entries[place],
            (map->count - place) * sizeof(struct mem_entry *));
    map->entries[place] = entry;
    map->count++;
}

void mem_map_remove(struct mem_map *map, struct bytes key)
{
    size_t place = mem_map_find(map, key);
    assert(place < map->count && bytes_equal(map->entries[place]->key, key));
    struct mem_entry *entry = map->entries[place]; /* `key` may point into it */
    map->count--;
    memmove(&map->entries[place], &map->entries[place + 1],
            (map->count - place) * sizeof(struct mem_entry *));
    mem_entry_drop(entry);
}

enum err mem_map_copy(struct mem_map *map, const struct mem_map *from)
{
    struct mem_map copy = {.count = from->count, .capacity = from->count};
    if (from->count > 0) {
        copy.entries = malloc(from->count * sizeof(struct mem_entry *));
        if (copy.entries == NULL)
            return ERR_NOMEM;
    }
    for (size_t i = 0; i < from->count; i++)
        copy.entries[i] = mem_entry_hold(from->entries[i]);
    mem_map_done(map);
    *map = copy;
    return ERR_OK;
}
