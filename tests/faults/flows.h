/* flows.h - the scripted flows that faults are put into. */
#ifndef TESTS_FAULTS_FLOWS_H
#define TESTS_FAULTS_FLOWS_H

#include "tests/faults/rig.h"

struct flow {
    const char *name, *about;
    bool old;                         /* the template's stores are of the older model */
    void (*prepare)(struct rig *rig); /* the template, without faults */
    void (*run)(struct rig *rig);     /* with them */
    void (*check)(struct rig *rig);   /* after rig_finish(); may be NULL */
    int victims[2];                   /* node numbers; 0 is headquarters; -1: none */
};

extern const struct flow flows[];
extern const int flow_count;

#endif
