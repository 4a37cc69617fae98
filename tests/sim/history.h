/* history.h - the groups as they came over the wire, and when headquarters decided each: what judge.c
 * merges anew, by the naive oracle of tests/lib.
 *
 * Model:      a group is known by its origin, its number and the hash of its bytes. After each turn the
 *             receipts tell which were decided in it; within a turn the order is that of arrival, unless a
 *             group waited, came twice, or was decided in a turn whose end nobody saw: then its place in
 *             the turn is not known.
 * Ownership:  a world has one, made at the first group, freed by history_free(). */
#ifndef TESTS_SIM_HISTORY_H
#define TESTS_SIM_HISTORY_H

#include "tests/sim/node.h"

struct told {
    uint64_t origin, oseq, number; /* of its arrival */
    uint64_t turn;                 /* in which it was decided; 0: it is not */
    int64_t decided_ms;            /* by headquarters' clock, as seen after the turn */
    int64_t at_us;                 /* the same, true time */
    uint32_t tag;
    struct dot renamed; /* the dot that it had before a fork */
    uint8_t hash[16];
    uint8_t code, reason; /* enum result_code, enum reason */
    bool vague;           /* its place within the turn is not known */
    bool passed;          /* another group has its number */
    bool arrived_again, waited;
    bool unread;       /* the disk failed when it was looked for: it may have been decided before */
    bool badly_signed; /* the run in which it came last before it was decided */
    uint16_t user;
    uint64_t scope;   /* its user's when it was decided */
    bool boss;        /* a manager or administrator then */
    uint32_t life;    /* headquarters' then */
    struct bytes raw; /* heap */
};

enum { HISTORY_NONCES = 64 };

struct history {
    struct told *items;
    uint32_t count, capacity;
    uint64_t arrivals, turns;
    int64_t latest_ms; /* that headquarters' clock has ever shown */
    struct inflater *inflater;
    uint64_t nonces[HISTORY_NONCES], nonce_count; /* of the last challenges */
    int64_t revoked_us[SIM_NODES_MAX];            /* devices: served since, though revoked */
    uint32_t newest[SIM_NODES_MAX];               /* by identity: link welcomed last, + 1 */
    int64_t welcomed_us[SIM_NODES_MAX];
    uint64_t scope[SIM_NODES_MAX]; /* by user: as seen last, and since when */
    int64_t scope_us[SIM_NODES_MAX];
};

void history_free(struct world *world);
/* A frame has reached headquarters. */
void history_reached(struct node *node, struct link *link, struct bytes frame);
/* A turn is over. */
void history_turned(struct node *node);
/* Headquarters has started, maybe from a backup: what is decided is looked up anew. */
void history_started(struct node *node);
/* Whether what headquarters has committed lacks the group: neither decided, nor waiting, nor its number taken
 * by another one. false also where the disk fails just now. */
bool history_lacks(struct node *node, const struct told *told);
/* By origin, number and tag; NULL. tag 0 of what cannot be read. */
const struct told *history_find(const struct history *history, const struct dot *dot);

/* promise.c: what headquarters says is so. */
void promise_sent_down(struct node *node, struct link *link, struct bytes frame);
void promise_end(struct world *world);

/* view.c: after each step of a device. */
void view_check(struct node *node);

/* queues.c: around each turn. */
void queues_before(struct node *node);
void queues_after(struct node *node);
/* Before a frame is asked for, and after. */
int64_t queues_credit(const struct link *link);
void queues_gave(struct node *node, const struct link *link, int64_t credit);
/* A frame of this type leaves headquarters. */
void queues_answered(struct link *link, enum message_type type);

/* forks.c: a device goes on under a new origin; it had `old` before. */
void fork_check(struct node *node, uint64_t old);

/* drafts.c: who was refused knows it. */
void drafts_end(struct world *world);

/* judge.c: headquarters' records are what the naive oracle makes of the groups that are in effect. */
void judge_world(struct world *world);
/* judge_rest.c: rights, signatures, what waits. */
void judge_rest(struct world *world);

#endif
