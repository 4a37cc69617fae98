#include "protocol/record_map.h"

#include <assert.h>

struct record_key record_key_of(const struct model_table *table, const struct uuid *id)
{
    return (struct record_key){
        .words = {be64_get(id->byte), be64_get(id->byte + 8), (uint64_t)table->id << 48}};
}

static bool key_equal(const struct record_key *a, const struct record_key *b)
{
    return a->words[1] == b->words[1] && a->words[0] == b->words[0] && a->words[2] == b->words[2];
}

static unsigned bit_of(const struct record_key *key, int bit)
{
    return (unsigned)(key->words[bit / 64] >> (63 - bit % 64) & 1);
}

static int first_difference(const struct record_key *a, const struct record_key *b)
{
    for (int i = 0; i < 3; i++) {
        uint64_t difference = a->words[i] ^ b->words[i];

        if (difference != 0)
            return i * 64 + __builtin_clzll(difference);
    }
    return -1;
}

/* The only node that can have the key: a link that leads to a lower bit ends the way down. */
static struct record_node *nearest(const struct record_map *map, const struct record_key *key)
{
    struct record_node *at = map->first->links[0];

    for (int bit = -1; at->bit > bit;) {
        bit = at->bit;
        at = at->links[bit_of(key, bit)];
    }
    return at;
}

struct record_node *record_map_find(const struct record_map *map, const struct record_key *key)
{
    struct record_node *at;

    if (map->first == NULL)
        return NULL;
    at = nearest(map, key);
    return key_equal(&at->key, key) ? at : NULL;
}

void record_map_add(struct record_map *map, struct record_node *node)
{
    struct record_node *above, *at;
    unsigned side = 0;

    if (map->first == NULL) {
        node->bit = -1;
        node->links[0] = node->links[1] = node;
        map->first = node;
        return;
    }
    node->bit = first_difference(&node->key, &nearest(map, &node->key)->key);
    assert(node->bit >= 0);
    above = map->first;
    at = above->links[0];
    while (at->bit > above->bit && at->bit < node->bit) {
        above = at;
        side = bit_of(&node->key, at->bit);
        at = at->links[side];
    }
    above->links[side] = node;
    side = bit_of(&node->key, node->bit);
    node->links[side] = node;
    node->links[1 - side] = at;
}
