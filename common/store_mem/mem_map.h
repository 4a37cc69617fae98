/* mem_map.h - a sorted array of counted entries; only for this folder.
 *
 * Invariants: keys strictly ascending by bytes. An entry never changes after it was made.
 * Ownership:  a map holds one reference of each of its entries. */
#ifndef COMMON_STORE_MEM_MEM_MAP_H
#define COMMON_STORE_MEM_MEM_MAP_H

#include "common/store.h"

struct mem_entry {
    uint32_t references;
    struct bytes key;
    struct bytes value;              /* side tables */
    const struct model_table *table; /* the log: of which table `id` is a record */
    struct uuid id;                  /* the log, children */
    struct store_row row;            /* rows and base copies */
    max_align_t memory[];            /* what the views point to */
};

struct mem_map {
    struct mem_entry **entries;
    size_t count, capacity;
};

/* One reference, the caller's; NULL: no memory. Keys and values are copied. */
struct mem_entry *mem_entry_bytes(struct bytes key, struct bytes value);
/* value_count 0: no values are kept. */
struct mem_entry *mem_entry_row(struct bytes key, const struct store_row *row,
                                uint16_t value_count);
struct mem_entry *mem_entry_hold(struct mem_entry *entry);
void mem_entry_drop(struct mem_entry *entry); /* accepts NULL */

void mem_map_done(struct mem_map *map);
/* The place of the first entry whose key is >= key. */
size_t mem_map_find(const struct mem_map *map, struct bytes key);
/* NULL: none of that key. */
struct mem_entry *mem_map_get(const struct mem_map *map, struct bytes key);
/* Makes sure that a following mem_map_set() of a new key cannot fail. ERR_NOMEM. */
enum err mem_map_reserve(struct mem_map *map);
/* Puts the entry (taking a reference of its own) in the place of one of the same key. */
void mem_map_set(struct mem_map *map, struct mem_entry *entry);
void mem_map_remove(struct mem_map *map, struct bytes key);
/* Makes `map` equal to `from`. ERR_NOMEM: `map` is unchanged. */
enum err mem_map_copy(struct mem_map *map, const struct mem_map *from);

#endif
