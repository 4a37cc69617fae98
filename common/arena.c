#include "common/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGN     alignof(max_align_t)
#define ARENA_BLOCK_MIN ((size_t)4096)
#define ARENA_BLOCK_MAX ((size_t)256 << 10)

struct arena_block {
    struct arena_block *next; /* older, except for large requests: those go behind the head */
    size_t capacity, used;    /* multiples of ARENA_ALIGN */
    max_align_t data[];
};

void arena_init(struct arena *a, size_t limit_bytes)
{
    *a = (struct arena){.limit = limit_bytes};
}

static void arena_free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;

        free(block);
        block = next;
    }
}

void arena_done(struct arena *a)
{
    arena_free_blocks(a->head);
    *a = (struct arena){.limit = a->limit};
}

void arena_reset(struct arena *a)
{
    struct arena_block **largest = &a->head;
    struct arena_block *kept;

    a->used = 0;
    if (a->head == NULL)
        return;
    for (struct arena_block **at = &a->head; *at != NULL; at = &(*at)->next) {
        if ((*at)->capacity > (*largest)->capacity)
            largest = at;
    }
    kept = *largest;
    *largest = kept->next;
    arena_free_blocks(a->head);
    kept->next = NULL;
    kept->used = 0;
    a->head = kept;
}

/* A block with room for size bytes (a multiple of ARENA_ALIGN), linked in. NULL: no memory. */
static struct arena_block *arena_add_block(struct arena *a, size_t size)
{
    size_t capacity = a->head == NULL ? ARENA_BLOCK_MIN : a->head->capacity * 2;
    bool large;
    struct arena_block *block;

    if (capacity > ARENA_BLOCK_MAX)
        capacity = ARENA_BLOCK_MAX;
    large = size > capacity / 2;
    if (large)
        capacity = size;
    if (capacity > SIZE_MAX - sizeof(*block))
        return NULL;
    block = malloc(sizeof(*block) + capacity);
    if (block == NULL)
        return NULL;
    block->capacity = capacity;
    block->used = 0;
    if (large && a->head != NULL) {
        block->next = a->head->next; /* it is full at once: the head keeps its room */
        a->head->next = block;
    } else {
        block->next = a->head;
        a->head = block;
    }
    return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
    struct arena_block *block = a->head;
    size_t left = a->limit - a->used;
    size_t rounded;
    void *result;

    assert(a->used <= a->limit);
    if (size > left || size > SIZE_MAX - ARENA_ALIGN)
        return NULL;
    rounded = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (block == NULL || block->capacity - block->used < rounded) {
        block = arena_add_block(a, rounded);
        if (block == NULL)
            return NULL;
    }
    result = (uint8_t *)block->data + block->used;
    block->used += rounded;
    a->used += rounded < left ? rounded : left; /* what is left can be had to the last byte */
    return result;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
    void *result;

    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    result = arena_alloc(a, count * size);
    if (result != NULL)
        memset(result, 0, count * size);
    return result;
}

void *arena_extend(struct arena *a, void *items, uint32_t count, uint32_t *capacity, size_t size)
{
    uint32_t wider = *capacity > 0 ? *capacity * 2 : 16;
    void *grown;

    if (count < *capacity)
        return items;
    if (wider <= *capacity)
        return NULL;
    grown = arena_calloc(a, wider, size);
    if (grown == NULL)
        return NULL;
    if (count > 0)
        memcpy(grown, items, count * size);
    *capacity = wider;
    return grown;
}

enum err arena_copy(struct arena *a, struct bytes in, struct bytes *ret)
{
    char *copy = arena_text(a, in);

    if (copy == NULL)
        return ERR_NOMEM;
    *ret = bytes_of(copy, in.size);
    return ERR_OK;
}

char *arena_text(struct arena *a, struct bytes in)
{
    char *copy;

    if (in.size == SIZE_MAX)
        return NULL;
    copy = arena_alloc(a, in.size + 1);
    if (copy == NULL)
        return NULL;
    if (in.size > 0)
        memcpy(copy, in.data, in.size);
    copy[in.size] = '\0';
    return copy;
}
