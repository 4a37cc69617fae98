#include "common/store_models.h"

#include <stdlib.h>
#include <string.h>

enum { PREFIX = sizeof STORE_MODELS_WAS - 1, KEY_SIZE = PREFIX + 32 };

static struct bytes was_key(const uint8_t hash[32], uint8_t out[KEY_SIZE])
{
    memcpy(out, STORE_MODELS_WAS, PREFIX);
    memcpy(out + PREFIX, hash, 32);
    return bytes_of(out, KEY_SIZE);
}

enum err store_models_was(struct store *store, const uint8_t hash[32], bool *ret)
{
    uint8_t key[KEY_SIZE];
    struct arena arena;
    struct bytes value;
    arena_init(&arena, 4096);
    enum err e = store_side_get(store, SIDE_MODELS, was_key(hash, key), &arena, &value);
    arena_done(&arena);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    *ret = e == ERR_OK;
    return ERR_OK;
}

enum err store_models_add(struct store *store, const struct model_name *name)
{
    uint8_t key[KEY_SIZE], version[4];
    be32_put(version, name->version);
    return store_side_put(store, SIDE_MODELS, was_key(name->hash, key), bytes_of(version, 4));
}

struct listing {
    struct arena *arena;
    struct bytes *items;
    uint32_t count, capacity;
};

static int add_name(void *context, struct bytes key, struct bytes value)
{
    struct listing *list = context;
    uint8_t *wire = arena_alloc(list->arena, MODEL_NAME_SIZE);
    if (key.size != KEY_SIZE || value.size != 4)
        return ERR_CORRUPT;
    struct bytes *items =
        arena_extend(list->arena, list->items, list->count, &list->capacity, sizeof *items);
    if (items == NULL || wire == NULL)
        return ERR_NOMEM;
    memcpy(wire, value.data, 4);
    memcpy(wire + 4, key.data + PREFIX, 32);
    list->items = items;
    items[list->count++] = bytes_of(wire, MODEL_NAME_SIZE);
    return 0;
}

static int later_first(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)b, *(const struct bytes *)a);
}

enum err store_models_list(struct store *store, struct arena *arena, const struct bytes **ret,
                           uint32_t *ret_count)
{
    struct listing list = {.arena = arena};
    enum err e = store_side_scan(store, SIDE_MODELS, bytes_of_text(STORE_MODELS_WAS),
                                 bytes_of_text("wat"), add_name, &list);
    if (e != ERR_OK)
        return e;
    if (list.count > 1)
        qsort(list.items, list.count, sizeof *list.items, later_first);
    *ret = list.items;
    *ret_count = list.count < STORE_MODELS_MAX ? list.count : STORE_MODELS_MAX;
    return ERR_OK;
}

enum err model_name_read(struct bytes wire, struct model_name *ret)
{
    if (wire.size != MODEL_NAME_SIZE)
        return ERR_MALFORMED;
    ret->version = be32_get(wire.data);
    memcpy(ret->hash, wire.data + 4, 32);
    return ERR_OK;
}

enum err store_models_next(struct store *store, struct bytes text, bool anew)
{
    enum err e = store_side_put(store, SIDE_MODELS, bytes_of_text(STORE_MODELS_NEXT), text);
    if (e == ERR_OK && anew)
        e = store_side_put(store, SIDE_MODELS, bytes_of_text(STORE_MODELS_ANEW), bytes_of("", 0));
    return e;
}
