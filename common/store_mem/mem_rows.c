/* Rows and base copies. Dead rows lie among the live ones. */
#include <assert.h>
#include <string.h>

#include "common/store_mem/mem_store.h"

static uint32_t map_of(const struct model_table *table, enum table_map which)
{
    return MAP_TABLES + (uint32_t)table->index * TABLE_MAP_COUNT + (uint32_t)which;
}

static struct bytes id_key(const struct uuid *id)
{
    return bytes_of(id->byte, sizeof id->byte);
}

static enum err copy_row(const struct mem_entry *entry, const struct model_table *table,
                         struct arena *arena, struct store_row *ret_row)
{
    struct store_row row = entry->row;
    row.values = arena_calloc(arena, table->column_count, sizeof *row.values);
    if (row.values == NULL || arena_copy(arena, entry->row.version, &row.version) != ERR_OK)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < table->column_count; i++) {
        row.values[i] = value_null();
        if (entry->row.values != NULL &&
            value_copy(arena, &entry->row.values[i], &row.values[i]) != ERR_OK)
            return ERR_NOMEM;
    }
    *ret_row = row;
    return ERR_OK;
}

static enum err get_row(struct mem_store *s, enum table_map which, const struct model_table *table,
                        const struct uuid *id, struct arena *arena, struct store_row *ret_row)
{
    enum err err = mem_counted_read(s);
    if (err != ERR_OK)
        return err;
    const struct mem_entry *entry = mem_map_get(&s->maps[map_of(table, which)], id_key(id));
    return entry == NULL ? ERR_NOT_FOUND : copy_row(entry, table, arena, ret_row);
}

enum err mem_row_get(struct store *store, const struct model_table *table, const struct uuid *id,
                     struct arena *arena, struct store_row *ret_row)
{
    return get_row(mem_of(store), MAP_ROWS, table, id, arena, ret_row);
}

/* *ret_entry is NULL where the row has no parent: parent id, then id. */
static enum err child_of(const struct model_table *table, const struct uuid *id,
                         const struct store_row *row, struct mem_entry **ret_entry)
{
    uint8_t key[STORE_KEY_MAX];
    *ret_entry = NULL;
    if (row == NULL || table->parent_column < 0)
        return ERR_OK;
    struct uuid parent;
    if (!value_id(&row->values[table->parent_column], &parent))
        return ERR_OK;
    memcpy(key, parent.byte, sizeof parent.byte);
    memcpy(key + sizeof id->byte, id->byte, sizeof id->byte);
    *ret_entry = mem_entry_bytes(bytes_of(key, 2 * sizeof id->byte), bytes_of(NULL, 0));
    if (*ret_entry == NULL)
        return ERR_NOMEM;
    (*ret_entry)->id = *id;
    return ERR_OK;
}

/* Sets the row (NULL: removes it) and its place among its parent's children. */
static enum err replace_row(struct mem_store *s, const struct model_table *table,
                            const struct uuid *id, const struct store_row *row)
{
    struct mem_map *rows = &s->maps[map_of(table, MAP_ROWS)];
    struct mem_map *children = &s->maps[map_of(table, MAP_CHILDREN)];
    struct mem_entry *before = mem_map_get(rows, id_key(id));
    struct mem_entry *after = NULL;
    struct mem_entry *child_before = NULL;
    struct mem_entry *child_after = NULL;
    enum err err = child_of(table, id, before == NULL ? NULL : &before->row, &child_before);
    if (err == ERR_OK)
        err = child_of(table, id, row, &child_after);
    if (err == ERR_OK && row != NULL) {
        after = mem_entry_row(id_key(id), row, table->column_count);
        err = after == NULL ? ERR_NOMEM : ERR_OK;
    }
    if (err == ERR_OK)
        err = mem_reserve_changes(s, 3);
    if (err == ERR_OK)
        err = mem_map_reserve(rows);
    if (err == ERR_OK)
        err = mem_map_reserve(children);
    if (err != ERR_OK) {
        mem_entry_drop(after);
        mem_entry_drop(child_after);
        goto cleanup;
    }
    if (child_before != NULL)
        mem_change(s, map_of(table, MAP_CHILDREN), mem_map_get(children, child_before->key), NULL);
    mem_change(s, map_of(table, MAP_ROWS), before, after);
    mem_change(s, map_of(table, MAP_CHILDREN), NULL, child_after);
cleanup:
    mem_entry_drop(child_before);
    return err;
}

enum err mem_row_put(struct store *store, const struct model_table *table, const struct uuid *id,
                     const struct store_row *row)
{
    enum err err = mem_counted_write(mem_of(store));
    return err != ERR_OK ? err : replace_row(mem_of(store), table, id, row);
}

enum err mem_row_insert(struct store *store, const struct model_table *table, const struct uuid *id,
                        const struct store_row *row)
{
    struct mem_store *s = mem_of(store);
    enum err err = mem_counted_write(s);
    if (err != ERR_OK)
        return err;
    if (mem_map_get(&s->maps[map_of(table, MAP_ROWS)], id_key(id)) != NULL)
        return ERR_EXISTS;
    return replace_row(s, table, id, row);
}

enum err mem_row_delete(struct store *store, const struct model_table *table, const struct uuid *id)
{
    enum err err = mem_counted_write(mem_of(store));
    return err != ERR_OK ? err : replace_row(mem_of(store), table, id, NULL);
}

enum err mem_base_get(struct store *store, const struct model_table *table, const struct uuid *id,
                      struct arena *arena, struct store_row *ret_row)
{
    return get_row(mem_of(store), MAP_BASE, table, id, arena, ret_row);
}

enum err mem_base_put(struct store *store, const struct model_table *table, const struct uuid *id,
                      const struct store_row *row)
{
    struct mem_store *s = mem_of(store);
    uint16_t values = row->version.size == 0 ? 0 : table->column_count;
    enum err err = mem_counted_write(s);
    if (err != ERR_OK)
        return err;
    return mem_put(s, map_of(table, MAP_BASE), mem_entry_row(id_key(id), row, values));
}

enum err mem_base_delete(struct store *store, const struct model_table *table,
                         const struct uuid *id)
{
    enum err err = mem_counted_write(mem_of(store));
    return err != ERR_OK ? err : mem_erase(mem_of(store), map_of(table, MAP_BASE), id_key(id));
}

struct id_scan {
    store_id_fn *fn;
    void *context;
};

static int show_live(void *context, const struct mem_entry *entry)
{
    const struct id_scan *to = context;
    struct uuid id;
    memcpy(id.byte, entry->key.data, sizeof id.byte);
    return entry->row.dead ? 0 : to->fn(to->context, &id);
}

enum err mem_row_scan(struct store *store, const struct model_table *table,
                      const struct uuid *after, store_id_fn *fn, void *context)
{
    struct id_scan to = {.fn = fn, .context = context};
    struct bytes from = after == NULL ? bytes_of(NULL, 0) : id_key(after);
    return mem_scan(mem_of(store), map_of(table, MAP_ROWS), from, true, bytes_of(NULL, 0),
                    show_live, &to);
}

static int show_dead(void *context, const struct mem_entry *entry)
{
    const struct id_scan *to = context;
    struct uuid id;
    memcpy(id.byte, entry->key.data, sizeof id.byte);
    return entry->row.dead ? to->fn(to->context, &id) : 0;
}

enum err mem_dead_scan(struct store *store, const struct model_table *table,
                       const struct uuid *after, store_id_fn *fn, void *context)
{
    struct id_scan to = {.fn = fn, .context = context};
    struct bytes from = after == NULL ? bytes_of(NULL, 0) : id_key(after);
    return mem_scan(mem_of(store), map_of(table, MAP_ROWS), from, true, bytes_of(NULL, 0),
                    show_dead, &to);
}

static int show_child(void *context, const struct mem_entry *entry)
{
    const struct id_scan *to = context;
    return to->fn(to->context, &entry->id);
}

enum err mem_children(struct store *store, const struct model_table *table,
                      const struct uuid *parent, store_id_fn *fn, void *context)
{
    struct id_scan to = {.fn = fn, .context = context};
    uint8_t end[2 * sizeof parent->byte + 1]; /* above every key that begins with the parent */
    memcpy(end, parent->byte, sizeof parent->byte);
    memset(end + sizeof parent->byte, 0xff, sizeof end - sizeof parent->byte);
    return mem_scan(mem_of(store), map_of(table, MAP_CHILDREN), id_key(parent), false,
                    bytes_of(end, sizeof end), show_child, &to);
}
