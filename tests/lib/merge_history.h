/* merge_history.h - random histories for the merge: replicas that write, and tell each other.
 *
 * Model:      up to 9 replicas; each step one of them learns all that another knows, or writes a group
 *             of 1 to 3 changes to what it sees: inserts, updates of some units, deletes with all that
 *             is below, restores. Tables: one with every policy, three levels of parents and children,
 *             one for each other delete policy. Clocks are right, a little off, or three years off.
 * Ownership:  what a history refers to lies in its arena. */
#ifndef TESTS_LIB_MERGE_HISTORY_H
#define TESTS_LIB_MERGE_HISTORY_H

#include "tests/lib/merge_world.h"
#include "tests/lib/seeded_rng.h"

enum { HISTORY_OPS = 40, HISTORY_REPLICAS = 9, HISTORY_RECORDS = 24 };

struct known_record {
    const struct model_table *table;
    struct uuid id;
    int parent; /* its place in records, or -1 */
};

struct operation {
    struct oracle_op op, shown; /* decided, and as a pending one */
    struct group group;
    uint64_t past;
};

struct history {
    uint64_t seed;
    struct seeded_rng rng;
    struct arena arena, scratch;
    struct merge_model model;
    const struct model_table *wide, *top, *middle, *line, *wins, *never, *manual;
    struct known_record records[HISTORY_RECORDS];
    int record_count;
    struct operation ops[HISTORY_OPS];
    int op_count; /* the order of making respects causes */
    int replicas;
    uint64_t known[HISTORY_REPLICAS], oseq[HISTORY_REPLICAS];
    int64_t skew[HISTORY_REPLICAS];
};

/* The history of a seed. */
void history_make(struct history *h, uint64_t seed);
void history_done(struct history *h);
/* A random number of this history's, below bound > 0. */
int history_below(struct history *h, int bound);

#endif
