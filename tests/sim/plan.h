/* plan.h - what is going to be done to a world, drawn from a seed before the run.
 *
 * Model:      a run is a pure function of the plan: who there is (people), and timed actions, each with
 *             its own random number. Any subset of the actions is a plan as well, so a failing run
 *             shrinks by leaving actions out.
 * Swarm:      each seed enables a part of the kinds of faults only, so that some runs are rough and some
 *             let one rare fault have its long effect (Groce et al., Swarm Testing, ISSTA 2012). */
#ifndef TESTS_SIM_PLAN_H
#define TESTS_SIM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, what) */
/* clang-format off */
#define ACTION_LIST(X)                                               \
    X(WRITE, "a local transaction")                                  \
    X(SYNC, "connects once")                                         \
    X(LIVE, "connects to stay")                                      \
    X(OFFLINE, "hangs up, and stays away")                           \
    X(AGAIN, "connects again while the old connection lives")        \
    X(CUT, "the connection breaks")                                  \
    X(CUT_INSIDE, "the connection will break after some more bytes") \
    X(HALF_OPEN, "the connection dies unnoticed by one side")        \
    X(ONE_WAY, "one direction passes nothing for a while")           \
    X(CLOG, "the link is clogged for a while")                       \
    X(CLOG_MANY, "links are clogged, and cleared in another order")  \
    X(NO_NETWORK, "no connection can be made for a while")           \
    X(LINK, "another kind of link: segments, delays, buffers")       \
    X(KILL, "the process is killed")                                 \
    X(POWER, "the power goes")                                       \
    X(POWER_AT, "the power will go within a call of the disk")       \
    X(PAUSE, "the process is paused")                                \
    X(SKEW, "the clock is set wrong")                                \
    X(FREEZE, "the clock stands still for a while")                  \
    X(NOMEM, "an allocation will fail")                              \
    X(FULL, "the disk is full for a while")                          \
    X(IO_ERROR, "the disk has errors for a while")                   \
    X(SYNC_ERROR, "the next sync of the disk fails")                 \
    X(BACKUP, "headquarters is backed up")                           \
    X(RESTORE, "headquarters is restored from a backup")             \
    X(CLONE, "the device's disk is copied to a second device")       \
    X(SNAPSHOT, "the device's disk is copied away")                  \
    X(ROLLBACK, "the device's disk is put back")                     \
    X(REVOKE, "the device is revoked")                               \
    X(RIGHTS, "the user gets another role, branch or none")          \
    X(NIGHT, "everybody goes; hours to days pass")                   \
    X(PARKED, "what was set aside is tried again or given up")       \
    X(FORGE, "Byzantine: writes what it may not")                    \
    X(REPLAY, "Byzantine: sends old pushes again")                   \
    X(CHANGE, "Byzantine: sends a dot again with other content")     \
    X(BEYOND, "Byzantine: subscribes from beyond the head, or without credit")          \
    X(STEAL, "Byzantine: pushes under another's origin, or with another key")             \
    X(GARBAGE, "Byzantine: sends garbage")                           \
    X(ROAM, "the device goes to another server")                     \
    X(LINE, "a branch's line is down, for hours to weeks")           \
    X(DISK_LOST, "a branch loses its disk, and is enrolled anew")     \
    X(MODEL, "headquarters extends the model")                        \
    X(MOVE, "a customer goes to another owner, branch, team or everybody")  \
    X(HANDOVER, "what somebody owns goes to somebody else")           \
    X(TEAM, "a team is made or removed, somebody enters or leaves it") \
    X(SUBSTITUTE, "somebody stands in for somebody for a time, or no longer")
/* clang-format on */

enum action_kind {
#define ACTION_ENUM(name, text) ACTION_##name,
    ACTION_LIST(ACTION_ENUM)
#undef ACTION_ENUM
        ACTION_COUNT
};

struct action {
    int64_t at_us;
    uint8_t kind;
    uint16_t node; /* whom: 0 is headquarters, devices follow; more than there are wraps around */
    uint64_t dice; /* everything else is drawn from this */
};

struct plan {
    uint64_t seed;
    uint32_t devices;       /* beside headquarters */
    uint32_t branches;      /* servers of branches, numbered after the devices */
    bool models;            /* the model changes in the middle */
    bool people;            /* customers change hands, there are teams and substitutes */
    int64_t end_us;         /* when the faults stop */
    struct action *actions; /* ascending by time */
    uint32_t count;
};

/* events: about how many the run will have. */
void plan_make(uint64_t seed, uint32_t devices, uint32_t branches, uint32_t events,
               struct plan *ret);
/* The model changes some times on the way: all else of the plan stays as it is. */
void plan_add_models(struct plan *plan);
/* Customers change hands, teams and substitutes come and go: likewise. */
void plan_add_people(struct plan *plan);
/* The part of `plan` whose actions are marked; ret is freed by plan_done(). */
void plan_part(const struct plan *plan, const bool *keep, struct plan *ret);
void plan_done(struct plan *plan);
const char *action_name(enum action_kind kind);
const char *action_text(enum action_kind kind);

#endif
