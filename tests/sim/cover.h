/* cover.h - what is counted: faults by kind, and states worth reaching. */
#ifndef TESTS_SIM_COVER_H
#define TESTS_SIM_COVER_H

#include <stdint.h>

/* X(name, 1: an injected fault, what it is) */
/* clang-format off */
#define COVER_LIST(X)                                                      \
    X(WRITES, 0, "local transactions committed")                           \
    X(WRITES_REFUSED, 0, "local transactions refused by a rule")           \
    X(WRITES_FAILED, 0, "local transactions that failed by a fault")       \
    X(WRITES_UNCERTAIN, 0, "local transactions whose end nobody saw")      \
    X(SESSIONS, 0, "sessions welcomed")                                    \
    X(FRAMES_UP, 0, "frames that reached headquarters")                    \
    X(FRAMES_DOWN, 0, "frames that reached devices")                       \
    X(CHECKPOINTS, 0, "steps of devices that changed their view")          \
    X(SPLITS, 1, "segments that ended inside a frame")                     \
    X(MERGES, 1, "segments with several frames")                           \
    X(CUTS, 1, "connections cut")                                          \
    X(CUTS_INSIDE, 1, "connections cut inside a frame")                    \
    X(HALF_OPEN, 1, "connections of which one side did not learn the end") \
    X(ONE_WAY, 1, "one-way partitions")                                    \
    X(CLOGS, 1, "clogged links")                                           \
    X(REFUSED, 1, "connections refused")                                   \
    X(SLOW, 1, "slow or narrow links")                                     \
    X(LONG_DELAY, 1, "bytes that came after more than an hour")            \
    X(TWO_SESSIONS, 1, "connections made while an older one lived")        \
    X(BACK_PRESSURE, 0, "frames that did not fit the socket's buffer")     \
    X(KILLS_DEVICE, 1, "devices' processes killed")                        \
    X(KILLS_HUB, 1, "headquarters' process killed")                        \
    X(POWER_DEVICE, 1, "devices that lost power")                          \
    X(POWER_HUB, 1, "headquarters lost power")                             \
    X(POWER_MIDWAY, 1, "power lost within a call of the disk")             \
    X(PAUSES, 1, "processes paused")                                       \
    X(SKEWS, 1, "clocks set wrong")                                        \
    X(FREEZES, 1, "clocks frozen")                                         \
    X(NOMEM_ARMED, 1, "allocations told to fail")                          \
    X(NOMEM_HIT, 0, "allocations that failed")                             \
    X(DISK_FULL, 1, "disks that were full for a while")                    \
    X(DISK_ERROR, 1, "disks with I/O errors for a while")                  \
    X(SYNC_ERROR, 1, "disks with a failing sync")                          \
    X(DISK_HITS, 0, "calls of disks that a fault hit")                     \
    X(BACKUPS, 0, "backups")                                               \
    X(RESTORES, 1, "restores of an old backup of headquarters")            \
    X(CLONES, 1, "devices cloned")                                         \
    X(ROLLBACKS, 1, "devices rolled back")                                 \
    X(REVOKES, 1, "devices revoked")                                       \
    X(ERASED, 0, "devices that erased themselves")                         \
    X(RIGHTS, 1, "changes of rights")                                      \
    X(NIGHTS, 0, "nights: hours to days without anybody")                  \
    X(RETRIES, 0, "parked groups tried again")                             \
    X(DISCARDS, 0, "parked groups given up")                               \
    X(FORGED, 1, "Byzantine: writes out of scope or right")                \
    X(REPLAYED, 1, "Byzantine: old pushes replayed")                       \
    X(CHANGED, 1, "Byzantine: dots with other content")                    \
    X(BEYOND, 1, "Byzantine: cursors beyond the head")                     \
    X(STOLEN, 1, "Byzantine: another's origin")                            \
    X(GARBAGE, 1, "Byzantine: frames of garbage")                          \
    X(FORKS, 0, "devices that took a new origin")                          \
    X(CLASHES, 0, "groups whose number another group had")                 \
    X(DIVERGED, 0, "devices that saw a restored headquarters")             \
    X(DIFFERS, 0, "buckets that differed from their digest")               \
    X(GAPS, 0, "sessions ended by an error of the store")                  \
    X(TURNS_FAILED, 0, "turns of headquarters that failed")                \
    X(STOPPED, 0, "processes that stopped at a fatal error")               \
    X(APPLIED, 0, "groups applied as written")                             \
    X(MERGED, 0, "groups merged")                                          \
    X(PARKED, 0, "groups parked")                                          \
    X(WAITED, 0, "groups that waited for others")                          \
    X(DUPLICATES, 0, "duplicates recognised")                              \
    X(CONFLICTS, 0, "conflict records")                                    \
    X(FALL_BACKS, 0, "live subscribers that fell back")                    \
    X(CATCH_UPS, 0, "catch-ups")                                           \
    X(BAD_SIGNATURES, 0, "bad signatures found")                           \
    X(DEAD_AT_END, 0, "records dead at the end")                           \
    X(WAITING_AT_END, 0, "groups that wait for a lost one at the end")     \
    X(UNCERTAIN_LOST, 0, "uncertain transactions that were lost")          \
    X(PENDING_LOST, 0, "lost groups that others show as on their way")     \
    X(BRANCHES, 0, "branches")                                             \
    X(RELAYED, 0, "groups that came to headquarters through a branch")     \
    X(SHARED, 0, "steps of devices that hold others' undecided groups")    \
    X(ROAMS, 1, "devices that went to another server")                     \
    X(LINES, 1, "lines of branches cut for hours to weeks")                \
    X(KILLS_BRANCH, 1, "branches' processes killed")                       \
    X(POWER_BRANCH, 1, "branches that lost power")                         \
    X(DISKS_LOST, 1, "branches built anew from nothing")                   \
    X(STRANGERS, 0, "devices that came to a branch that did not know them") \
    X(PHOTOS, 0, "attachments made")                                      \
    X(MODELS, 1, "changes of the model at headquarters")                   \
    X(LEARNED, 0, "models learned by branches and devices")                \
    X(BEHIND, 0, "sessions at a server of an earlier model")               \
    X(LATER, 0, "groups of a later model that wait at headquarters")  \
    X(PURGED, 0, "records that were purged by the end")                    \
    X(FLOORS, 0, "sessions that began below a floor")                      \
    X(MOVES, 1, "transactions that let a customer change hands")           \
    X(HANDOVERS, 1, "transactions that hand all over that somebody owns")  \
    X(TEAMS, 1, "teams made or removed, entered or left")                  \
    X(SUBSTITUTES, 1, "substitutions begun or ended by hand")              \
    X(LAPSES, 0, "substitutions that ran out")                             \
    X(MOVED, 0, "customers that came to another bucket")                   \
    X(FORMER, 0, "groups in effect whose author did not see the record any more") \
    X(WHOLE_MOVES, 0, "moves that were looked at as a whole")
/* clang-format on */

enum cover {
#define COVER_ENUM(name, fault, text) COVER_##name,
    COVER_LIST(COVER_ENUM)
#undef COVER_ENUM
        COVER_COUNT
};

const char *cover_text(enum cover cover);
int cover_is_fault(enum cover cover);

#endif
