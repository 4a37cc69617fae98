/* mem_store.h - what the files of this folder share; nobody else includes it. */
#ifndef COMMON_STORE_MEM_MEM_STORE_H
#define COMMON_STORE_MEM_MEM_STORE_H

#include "common/store_mem/mem_map.h"

enum mem_state { MEM_IDLE, MEM_READING, MEM_WRITING };

/* One change: `before` was replaced by `after`; either may be NULL. Holds a reference of both. */
struct mem_change {
    uint32_t map;
    struct mem_entry *before, *after;
};

struct mem_store {
    struct store store;       /* first */
    struct mem_store *writer; /* a reader's; NULL: this is the writer */
    struct mem_map *maps;
    uint32_t map_count;
    uint64_t commits; /* a reader: of the copy; UINT64_MAX: none */
    enum mem_state state;
    struct mem_change *changes; /* of the open write transaction, in order */
    size_t change_count, change_capacity;
    bool has_savepoint;
    size_t savepoint; /* changes before it */
    uint64_t calls, fail_at;
    enum err failure;
};

/* Maps: the log, the side tables, then these of each model table. */
enum table_map { MAP_ROWS, MAP_BASE, MAP_CHILDREN, TABLE_MAP_COUNT };
enum { MAP_LOG = 0, MAP_SIDES = 1, MAP_TABLES = MAP_SIDES + (int)SIDE_COUNT };

/* store_mem.c */

struct mem_store *mem_of(struct store *store);
/* Counts a call, and fails the one that store_mem_fail_at() has named. */
enum err mem_counted(struct mem_store *s);
enum err mem_counted_write(struct mem_store *s);
enum err mem_counted_read(struct mem_store *s);
/* Room for the notes of `count` changes, so that a call that makes several does all or nothing. */
enum err mem_reserve_changes(struct mem_store *s, size_t count);
/* Notes what is replaced (NULL: nothing) and replaces it (NULL: removes it); there must be room for
 * both. Takes over the caller's reference of `after`. */
void mem_change(struct mem_store *s, uint32_t map, struct mem_entry *before,
                struct mem_entry *after);
/* Reserves and changes. Takes over `entry`; NULL is ERR_NOMEM. */
enum err mem_put(struct mem_store *s, uint32_t map, struct mem_entry *entry);
enum err mem_erase(struct mem_store *s, uint32_t map, struct bytes key);

typedef int entry_fn(void *context, const struct mem_entry *entry);
/* Shows the entries with from <= key (`after`: from < key) < to, an empty `to` being no end; fn's
 * answers are those of store.h. */
enum err mem_scan(struct mem_store *s, uint32_t map, struct bytes from, bool after, struct bytes to,
                  entry_fn *fn, void *context);

/* The operations: mem_rows.c, mem_sides.c. */

enum err mem_row_get(struct store *store, const struct model_table *table, const struct uuid *id,
                     struct arena *arena, struct store_row *ret_row);
enum err mem_row_put(struct store *store, const struct model_table *table, const struct uuid *id,
                     const struct store_row *row);
enum err mem_row_insert(struct store *store, const struct model_table *table, const struct uuid *id,
                        const struct store_row *row);
enum err mem_row_delete(struct store *store, const struct model_table *table,
                        const struct uuid *id);
enum err mem_base_get(struct store *store, const struct model_table *table, const struct uuid *id,
                      struct arena *arena, struct store_row *ret_row);
enum err mem_base_put(struct store *store, const struct model_table *table, const struct uuid *id,
                      const struct store_row *row);
enum err mem_base_delete(struct store *store, const struct model_table *table,
                         const struct uuid *id);
enum err mem_row_scan(struct store *store, const struct model_table *table,
                      const struct uuid *after, store_id_fn *fn, void *context);
enum err mem_dead_scan(struct store *store, const struct model_table *table,
                       const struct uuid *after, store_id_fn *fn, void *context);
enum err mem_children(struct store *store, const struct model_table *table,
                      const struct uuid *parent, store_id_fn *fn, void *context);
enum err mem_log_put(struct store *store, uint32_t bucket, uint64_t position,
                     const struct model_table *table, const struct uuid *id);
enum err mem_log_delete(struct store *store, uint32_t bucket, uint64_t position);
enum err mem_log_scan(struct store *store, uint32_t bucket, uint64_t after, store_log_fn *fn,
                      void *context);
enum err mem_side_get(struct store *store, enum store_side side, struct bytes key,
                      struct arena *arena, struct bytes *ret_value);
enum err mem_side_put(struct store *store, enum store_side side, struct bytes key,
                      struct bytes value);
enum err mem_side_delete(struct store *store, enum store_side side, struct bytes key);
enum err mem_side_scan(struct store *store, enum store_side side, struct bytes from,
                       struct bytes to, store_side_fn *fn, void *context);

#endif
