/* oracle.h - what the merge must give, said in the most naive way; for tests only.
 *
 * Model:      a history is the set of operations (groups with their effective stamps), listed in the
 *             order of decision. Every question is answered from the whole list, by definition:
 *               frontier  the writes of a unit that no other write of it names as seen (what a write
 *                         superseded was named by a write that is in the set, so naming is enough);
 *               shown     the policy over the frontier's writes; counter: the sum of all deltas;
 *                         set: the pairs added that nothing removed;
 *               dead      some delete saw every current dot, children's included (DELETE_WINS: a delete
 *                         that no restore names), see oracle.c.
 *             The order of decision is used for three things only: ranks (which are the order of
 *             decision), checks against the current frontier (upstream), and whether a child was live
 *             when its parent was deleted.
 * Apart:      shares no code with protocol/merge.c and apply.c; a disagreement means something.
 * Not here:   records that move to another parent; children of DELETE_WINS tables; REAL counters.
 * Cost:       O(n^3) and worse; histories are short.
 * Ownership:  borrows the groups; what it makes lies in the arena of oracle_init(). */
#ifndef TESTS_LIB_ORACLE_H
#define TESTS_LIB_ORACLE_H

#include "protocol/group.h"
#include "protocol/merge.h"

enum { ORACLE_OPS_MAX = 128, ORACLE_MUTATIONS_MAX = 32 };

struct oracle_op {
    const struct group *group;
    uint64_t stamp; /* effective */
    bool pending; /* in a view: not decided. Ranks after all decided ones; a failed check hides the
                       mutation, not the group */
};

struct oracle {
    const struct model *model;
    struct arena *arena;
    const struct oracle_op *const *ops; /* in order of decision, decided ones before pending ones */
    uint32_t count;
    bool trees; /* the model has tables with parents */
    enum reason
        reason[ORACLE_OPS_MAX];        /* why the group, or a pending one's mutation, was refused */
    uint32_t refused[ORACLE_OPS_MAX];  /* bits: mutations that do not count */
    uint32_t standing[ORACLE_OPS_MAX]; /* bits: deletes (roots, see oracle.c) that hold */
};

struct oracle_candidate {
    struct dot dot;
    uint64_t stamp;
    uint64_t rank; /* place in the order of decision, from 1; RANK_PENDING; 0: no ranks */
    const struct value *values; /* NULL: counter and set */
    const struct value *base;   /* NULL: none */
};

struct oracle_unit {
    uint32_t count;
    struct oracle_candidate *candidates; /* ascending by dot */
    struct set_pair *pairs;              /* MERGE_SET, ascending by (element, dot) */
    uint32_t pair_count;
    bool differ; /* candidates of different values; never counter, set, append */
    bool open;   /* a person has to choose; defined where they differ */
    bool exact;  /* false: a text whose merge the oracle does not define */
};

struct oracle_record {
    bool present, dead;
    struct dot insert;
    uint64_t insert_stamp;
    struct oracle_unit *units; /* table->unit_count */
    struct value *shown; /* table->column_count; any candidate's where the unit is not exact */
};

/* Judges the history. ops and what they refer to must outlive the oracle. Everything aborts when
 * memory or a limit is exceeded. */
void oracle_init(struct oracle *o, const struct model *model, const struct oracle_op *const *ops,
                 uint32_t count, struct arena *arena);
/* The state of one record. */
void oracle_record(const struct oracle *o, const struct model_table *table, const struct uuid *id,
                   struct oracle_record *ret);
/* Whether it is there, and whether it is dead, without the rest. */
bool oracle_present(const struct oracle *o, const struct model_table *table, const struct uuid *id);
bool oracle_dead(const struct oracle *o, const struct model_table *table, const struct uuid *id);
/* Whether the op's delete of this record holds now. */
bool oracle_delete_holds(const struct oracle *o, uint32_t op, const struct model_table *table,
                         const struct uuid *id);

#endif
