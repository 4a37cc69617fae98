/* hash_map.h - byte key -> pointer or number, bounded, in the order of insertion.
 *
 * Model:      entries in an array, as they came; an open-addressing index of entry numbers beside
 *             it.
 * Invariants: count <= limit. Iteration follows insertion (a key that was removed and put again
 * comes last; replacing a value keeps the place) and does not depend on the seed.
 * Cost:       put, get, remove O(1) expected; 65 to 130 bytes an entry; keys up to
 *             HASH_MAP_KEY_INLINE bytes take no allocation of their own.
 * Ownership:  the caller embeds the struct. Keys are copied; what a pointer value points to is the
 *             caller's. hash_map_done() frees the memory and accepts a zeroed struct. */
#ifndef COMMON_HASH_MAP_H
#define COMMON_HASH_MAP_H

#include "common/bytes.h"
#include "common/error.h"

#define HASH_MAP_KEY_MAX    ((size_t)65536)
#define HASH_MAP_KEY_INLINE 32
#define HASH_MAP_LIMIT_MAX  ((size_t)1 << 30) /* entries */

union hash_value {
    void *pointer;
    uint64_t number;
};

struct hash_entry;
struct hash_map {
    struct hash_entry *entries; /* [0, used), removed ones included */
    uint32_t *index;            /* [0, index_size): entry number + 1, or 0 */
    size_t count, used, capacity, index_size, limit;
    uint64_t seed;
};

/* seed: random where a peer chooses the keys, else 0. limit is capped at HASH_MAP_LIMIT_MAX. */
void hash_map_init(struct hash_map *map, size_t limit, uint64_t seed);
void hash_map_done(struct hash_map *map);
/* Empties it and keeps the arrays. */
void hash_map_clear(struct hash_map *map);
size_t hash_map_count(const struct hash_map *map);

/* Inserts or replaces. ERR_LIMIT: `limit` entries are there, or the key is larger than
 * HASH_MAP_KEY_MAX; ERR_NOMEM. On failure nothing has changed. */
enum err hash_map_put(struct hash_map *map, struct bytes key, union hash_value value);
enum err hash_map_put_pointer(struct hash_map *map, struct bytes key, void *pointer);
enum err hash_map_put_number(struct hash_map *map, struct bytes key, uint64_t number);
/* The value in place, or NULL; valid until the next put, remove, clear or done. */
union hash_value *hash_map_get(const struct hash_map *map, struct bytes key);
/* The pointer, or NULL when the key is not there (or its pointer is NULL). */
void *hash_map_get_pointer(const struct hash_map *map, struct bytes key);
/* Whether there was such a key; its value goes to ret_value unless that is NULL. */
bool hash_map_remove(struct hash_map *map, struct bytes key, union hash_value *ret_value);

/* Iteration: *cursor starts at 0; false at the end. The key view and the value are valid until the
 * next put, remove, clear or done; removing during an iteration is allowed, putting is not.
 *
 *     size_t cursor = 0;
 *     struct bytes key;
 *     union hash_value value;
 *     while (hash_map_next(&map, &cursor, &key, &value)) */
bool hash_map_next(const struct hash_map *map, size_t *cursor, struct bytes *ret_key,
                   union hash_value *ret_value);

#endif
