/* series.h - all faults of a kind, one run of a flow for each. */
#ifndef TESTS_FAULTS_SERIES_H
#define TESTS_FAULTS_SERIES_H

#include "tests/faults/flows.h"

struct plan {
    uint64_t part;      /* each part-th fault of a series */
    const char *series; /* only this one; NULL: all */
    const char *only;   /* one story, as rig_fail() prints it; NULL: all */
    bool apart;         /* each story in a process of its own: after a failure the next ones run */
    bool allocations;   /* whether they can be failed here */
};

/* Runs what the plan asks for of this flow, and prints its counts. Ends the process at the first story
 * that goes wrong, unless they run apart. Returns how many went wrong. */
uint64_t series_of_flow(const struct flow *flow, const struct plan *plan);

#endif
