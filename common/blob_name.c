/* blob_name.c - which rows name a hash: kept by store.c with every row that is written. */
#include "common/blob.h"

#include <string.h>

enum { NAME_KEY = BLOB_HASH + 2 + 16, ROW_ARENA_MAX = 64 << 20 };

bool blob_table(const struct model_table *table)
{
    for (uint16_t i = 0; !table->system && i < table->column_count; i++)
        if (table->columns[i].type == COLUMN_BLOB)
            return true;
    return false;
}

/* NULL: the column holds none. */
static const uint8_t *named_by(const struct model_table *table, const struct store_row *row,
                               uint16_t column)
{
    if (!row || table->columns[column].type != COLUMN_BLOB)
        return NULL;
    const struct value *value = &row->values[column];
    bool hash = value->kind == VALUE_BLOB && value->as.bytes.size == BLOB_HASH;
    return hash ? value->as.bytes.data : NULL;
}

static bool names(const struct model_table *table, const struct store_row *row,
                  const uint8_t hash[BLOB_HASH])
{
    for (uint16_t i = 0; row && i < table->column_count; i++) {
        const uint8_t *named = named_by(table, row, i);
        if (named && memcmp(named, hash, BLOB_HASH) == 0)
            return true;
    }
    return false;
}

static struct bytes name_key(const uint8_t hash[BLOB_HASH], const struct model_table *table,
                             const struct uuid *id, uint8_t out[NAME_KEY])
{
    memcpy(out, hash, BLOB_HASH);
    be16_put(out + BLOB_HASH, table->id);
    memcpy(out + BLOB_HASH + 2, id->byte, 16);
    return bytes_of(out, NAME_KEY);
}

struct name_scan {
    const struct model *model;
    blob_name_fn *fn;
    void *context;
};

static int each_name(void *context, struct bytes key, struct bytes value)
{
    const struct name_scan *scan = context;
    struct uuid id;
    if (key.size != NAME_KEY || value.size != 1)
        return ERR_CORRUPT;
    const struct model_table *table =
        model_table_by_id(scan->model, be16_get(key.data + BLOB_HASH));
    memcpy(id.byte, key.data + BLOB_HASH + 2, 16);
    return table ? scan->fn(scan->context, table, &id, value.data[0] != 0) : 0;
}

enum err blob_names(struct store *store, const uint8_t hash[BLOB_HASH], blob_name_fn *fn,
                    void *context)
{
    struct name_scan scan = {store->model, fn, context};
    uint8_t to[BLOB_HASH];
    size_t size = BLOB_HASH; /* of the next prefix; 0: there is none after it */
    memcpy(to, hash, BLOB_HASH);
    while (size > 0 && ++to[size - 1] == 0)
        size--;
    return store_side_scan(store, SIDE_BLOB_NAME, bytes_of(hash, BLOB_HASH), bytes_of(to, size),
                           each_name, &scan);
}

struct named {
    bool live, dead;
};

static int note_name(void *context, const struct model_table *table, const struct uuid *id,
                     bool live)
{
    struct named *named = context;
    (void)table;
    (void)id;
    named->live |= live;
    named->dead |= !live;
    return live ? STORE_STOP : 0;
}

enum err blob_named(struct store *store, const uint8_t hash[BLOB_HASH], bool *ret_live,
                    bool *ret_dead)
{
    struct named named = {false, false};
    enum err e = blob_names(store, hash, note_name, &named);
    *ret_live = named.live;
    *ret_dead = named.dead;
    return e;
}

/* ---- rows ---- */

static enum err name_comes(struct store *store, const struct model_table *table,
                           const struct uuid *id, const uint8_t hash[BLOB_HASH], bool live)
{
    uint8_t key[NAME_KEY], flag = live;
    struct blob blob = {.whole = false};
    enum err e =
        store_side_put(store, SIDE_BLOB_NAME, name_key(hash, table, id, key), bytes_of(&flag, 1));
    if (e != ERR_OK || !live)
        return e;
    e = blob_list_remove(store, BLOB_UNNAMED, hash);
    if (e == ERR_OK)
        e = blob_get(store, hash, &blob);
    if (e == ERR_NOT_FOUND)
        e = ERR_OK;
    if (e != ERR_OK || blob.whole)
        return e;
    e = blob_list_put(store, BLOB_TO_FETCH, hash);
    return e == ERR_OK ? blob_list_put(store, BLOB_NEWS, hash) : e;
}

/* A row has stopped to name it, or is dead. */
static enum err name_goes(struct store *store, const uint8_t hash[BLOB_HASH])
{
    bool live, dead;
    enum err e = blob_named(store, hash, &live, &dead);
    if (e != ERR_OK || live)
        return e;
    e = blob_list_remove(store, BLOB_TO_FETCH, hash);
    if (e == ERR_OK)
        e = blob_list_remove(store, BLOB_ASKED, hash);
    if (e == ERR_OK)
        e = blob_list_remove(store, BLOB_NEWS, hash);
    return e == ERR_OK ? blob_list_put(store, BLOB_UNNAMED, hash) : e;
}

static enum err change(struct store *store, const struct model_table *table, const struct uuid *id,
                       const struct store_row *old, const struct store_row *row)
{
    enum err e = ERR_OK;
    for (uint16_t i = 0; e == ERR_OK && i < table->column_count; i++) {
        const uint8_t *before = named_by(table, old, i), *now = named_by(table, row, i);
        uint8_t key[NAME_KEY];
        if (now && (!names(table, old, now) || (old && old->dead != row->dead)))
            e = name_comes(store, table, id, now, !row->dead);
        if (e == ERR_OK && now && old && row->dead && !old->dead)
            e = name_goes(store, now);
        if (e != ERR_OK || !before || names(table, row, before))
            continue;
        e = store_side_delete(store, SIDE_BLOB_NAME, name_key(before, table, id, key));
        if (e == ERR_OK)
            e = name_goes(store, before);
    }
    return e;
}

enum err blob_row_changes(struct store *store, const struct model_table *table,
                          const struct uuid *id, const struct store_row *row)
{
    struct arena arena;
    struct store_row old;
    arena_init(&arena, ROW_ARENA_MAX);
    enum err e = store_row_get(store, table, id, &arena, &old);
    if (e == ERR_OK || e == ERR_NOT_FOUND)
        e = change(store, table, id, e == ERR_OK ? &old : NULL, row);
    arena_done(&arena);
    return e;
}

enum err blob_row_comes(struct store *store, const struct model_table *table, const struct uuid *id,
                        const struct store_row *row)
{
    return change(store, table, id, NULL, row);
}
