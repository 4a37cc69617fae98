/* import_pool.c - pools of memory, and maps of texts. */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

struct pool_block {
    struct pool_block *next;
    size_t used, size;
    alignas(max_align_t) char data[];
};

void *pool_take(struct pool *pool, size_t size)
{
    struct pool_block *block = pool->blocks;
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (!block || block->size - block->used < rounded) {
        size_t wanted = rounded > 65536 ? rounded : 65536;
        block = need(malloc(sizeof *block + wanted));
        *block = (struct pool_block){.next = pool->blocks, .size = wanted};
        pool->blocks = block;
    }
    void *memory = block->data + block->used;
    block->used += rounded;
    return memory;
}

char *pool_text(struct pool *pool, const char *text, size_t size)
{
    char *copy = pool_take(pool, size + 1);
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

void pool_done(struct pool *pool)
{
    while (pool->blocks) {
        struct pool_block *next = pool->blocks->next;
        free(pool->blocks);
        pool->blocks = next;
    }
}

struct map_slot {
    char *key;
    uint64_t value;
};

static size_t hash(const char *key)
{
    uint64_t h = 14695981039346656037u;
    for (const unsigned char *c = (const unsigned char *)key; *c; c++)
        h = (h ^ *c) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

static struct map_slot *slot_of(const struct map *map, const char *key)
{
    size_t i = hash(key) & (map->capacity - 1);
    while (map->slots[i].key && strcmp(map->slots[i].key, key) != 0)
        i = (i + 1) & (map->capacity - 1);
    return &map->slots[i];
}

static void grow(struct map *map)
{
    struct map old = *map;
    map->capacity = old.capacity ? old.capacity * 2 : 256;
    map->slots = need(calloc(map->capacity, sizeof *map->slots));
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].key)
            *slot_of(map, old.slots[i].key) = old.slots[i];
    }
    free(old.slots);
}

uint64_t *map_at(struct map *map, const char *key, bool make)
{
    if (map->count * 2 >= map->capacity) {
        if (!make && map->capacity == 0)
            return NULL;
        if (make)
            grow(map);
    }
    struct map_slot *slot = slot_of(map, key);
    if (!slot->key) {
        if (!make)
            return NULL;
        *slot = (struct map_slot){.key = text_copy(key)};
        map->count++;
    }
    return &slot->value;
}

void map_done(struct map *map)
{
    for (size_t i = 0; i < map->capacity; i++)
        free(map->slots[i].key);
    free(map->slots);
    *map = (struct map){0};
}
