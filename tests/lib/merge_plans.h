/* merge_plans.h - what the exhaustive test enumerates: a table and an alphabet per policy. */
#ifndef TESTS_LIB_MERGE_PLANS_H
#define TESTS_LIB_MERGE_PLANS_H

#include "tests/lib/merge_letters.h"

enum { PLAN_UNITS_MAX = 3, PLAN_LETTERS_MAX = 4, MERGE_PLANS_MAX = 48 };

struct plan {
    const char *name;
    enum unit_kind kinds[PLAN_UNITS_MAX];
    uint16_t kind_count;
    enum delete_policy deletes, child_deletes;
    struct letter letters[PLAN_LETTERS_MAX];
    uint8_t letter_count;
    bool symmetric; /* replicas may be renamed */
    bool ranks;     /* the order of decision has a say in values */
    bool tree;      /* a parent, one child, children inserted later */
    bool apply;     /* through apply_group(), else merge_mutation() */
    bool cut;       /* 2 + 2 + 1 operations: for time */
    bool clones;    /* the replicas share origin and oseq; only the tags differ */
};

extern const struct plan merge_plans[];
extern const int merge_plan_count;

#endif
