/* record_map.h - finds a record's entry by table and id, within one group.
 *
 * Model:      a PATRICIA trie over (id, table id) whose nodes are embedded in the caller's entries,
 *             first member. No hashing: ids are chosen by peers, and the core has no random seed.
 * Cost:       find and add O(log n) for random ids, at most 144 steps for any ids; no memory of its own.
 * Source:     Morrison, "PATRICIA", JACM 15(4), 1968. */
#ifndef PROTOCOL_RECORD_MAP_H
#define PROTOCOL_RECORD_MAP_H

#include "common/model.h"
#include "common/uuid.h"

struct record_key {
    uint64_t words[3];
};

struct record_node {
    struct record_key key;
    struct record_node *links[2];
    int bit; /* the first in which its key differs from those that it parted from; -1: the first node */
};

struct record_map {
    struct record_node *first; /* NULL: empty; zeroed at first */
};

struct record_key record_key_of(const struct model_table *table, const struct uuid *id);
/* NULL: not there. */
struct record_node *record_map_find(const struct record_map *map, const struct record_key *key);
/* node->key is set and not in the map; the node must not move any more. */
void record_map_add(struct record_map *map, struct record_node *node);

#endif
