/* fault_branch.h - worlds with branches in which calls may fail (fault_play.h has those without).
 *
 * Model:      in a run everybody who is to be there is connected, and connects again when a session has ended; a
 *             process that dies of a fatal error starts again from its store. Calls fail only in the processes
 *             that are named, so that each is met by its own failures. */
#ifndef TESTS_LIB_FAULT_BRANCH_H
#define TESTS_LIB_FAULT_BRANCH_H

#include "tests/lib/fault_play.h"

enum fault_side {
    FAULT_HEADQUARTERS = 1,
    FAULT_BRANCHES = 2, /* their hubs, their replicas and links */
    FAULT_DEVICES = 4
};

struct fault_branch {
    struct fault_play *play;
    unsigned sides;          /* where calls may fail */
    bool away[PAIR_DEVICES]; /* is not to connect */
};

/* Until nobody has anything to do and everybody is there. */
void fault_branch_run(struct fault_branch *world);
/* The branch's process starts again, and tries until it is open. */
void fault_branch_restart(struct fault_branch *world, struct pair_branch *branch);
/* Without failures: everybody who is not away connects anew, the servers first, and what is left is told. */
void fault_branch_meet(struct fault_branch *world);
/* After that nothing waits anywhere, and everybody has what headquarters has. */
void fault_branch_assert_settled(struct fault_branch *world);

#endif
