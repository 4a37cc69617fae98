/* fault_play.h - sessions of pair.h in which calls may fail: whoever fails for good starts again from its
 * store, whoever fails for now tries again. */
#ifndef TESTS_LIB_FAULT_PLAY_H
#define TESTS_LIB_FAULT_PLAY_H

#include "tests/lib/pair.h"

struct fault_play {
    struct pair pair;
    uint64_t shortage_at; /* memory is short from this allocation of a turn on; 0: never */
    uint32_t sessions_lost, turns_failed, writes_refused;
};

/* The server process dies of a fatal error, and starts again from what its store holds. */
void fault_play_restart_hub(struct fault_play *play);
/* Turns of the hub until it has nothing to do now. */
void fault_play_turn(struct fault_play *play);
/* Frames of a session that is open (pair_connect()) until there are none, or it ends. */
void fault_play_live(struct fault_play *play, struct pair_device *device);
/* Sessions until one ends well; asserts that one of six does. */
void fault_play_sync(struct fault_play *play, struct pair_device *device);

#endif
