/* judge.h - what judge.c and judge_groups.c share. */
#ifndef TESTS_SIM_JUDGE_H
#define TESTS_SIM_JUDGE_H

#include <sqlite3.h>

#include "protocol/group.h"
#include "tests/sim/history.h"

struct deed { /* a group that can be read */
    const struct told *told;
    struct group group;
    bool in_effect, alias; /* alias: its first self was decided */
};

struct judge {
    struct world *world;
    struct arena arena, tree;
    sqlite3 *db;
    struct deed *deeds; /* in order of decision */
    uint32_t count;
};

/* Cleared memory; aborts when there is none. */
void *judge_need(struct arena *arena, size_t count, size_t size);
/* Reads the decided groups, in the order of decision; causes before what builds on them. */
void judge_read(struct judge *j);
/* All that a group in effect names is in effect, and was decided before. */
void judge_causes(struct judge *j, const struct deed *deed);
/* A device's stamps only rise, whatever its clock does. */
void judge_stamps(struct judge *j);

#endif
