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
    uint32_t tag;
    uint8_t hash[16];
    uint8_t code, reason;          /* enum result_code, enum reason */
    bool vague;                    /* its place within the turn is not known */
    bool passed;                   /* another group has its number */
    bool arrived_again, waited;
    struct bytes raw;              /* heap */
};

struct history {
    struct told *items;
    uint32_t count, capacity;
    uint64_t arrivals, turns;
    int64_t latest_ms; /* that headquarters' clock has ever shown */
    struct inflater *inflater;
};

void history_free(struct world *world);
/* A frame has reached headquarters. */
void history_reached(struct node *node, struct bytes frame);
/* A turn is over. */
void history_turned(struct node *node);
/* Headquarters has started, maybe from a backup: what is decided is looked up anew. */
void history_started(struct node *node);
/* By origin, number and tag; NULL. tag 0 of what cannot be read. */
const struct told *history_find(const struct history *history, const struct dot *dot);

/* judge.c: headquarters' records are what the naive oracle makes of the groups that are in effect. */
void judge_world(struct world *world);

#endif
