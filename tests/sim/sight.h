/* sight.h - who could see which customer when: for runs in which customers, teams and substitutes change.
 *
 * Model:      each server has a trail per customer: its bucket, its owner, and who could see it from then on, as that
 *             server's database said after each commit (seats.h), by true time and by the server's clock; headquarters
 *             also one per person, of buckets. A text belongs to the customer of its record, by its token.
 * Wire:       a text goes to somebody who could see its customer at some time since it was at the server, if only between two
 *             groups of one turn. A branch is asked for what it knows itself, and for what headquarters knew.
 * Rule:       what is in effect was written by who saw the record, or did until lately (SPEC.md 11.2.7, 11.10); what was
 *             refused for its scope was not. Who routes a customer is its owner, or stands in, or manages.
 * Whole:      after the turn that decided it a move shows in all its records; a hand-over is seen with its journal row. */
#ifndef TESTS_SIM_SIGHT_H
#define TESTS_SIM_SIGHT_H

#include <sqlite3.h>

#include "tests/sim/oracle.h"

/* Beside the bits of buckets: the customer is not there; nobody could look, as the disk failed. */
enum { NOWHERE = 254, BLIND = 255, HANDOVERS_MOST = 64, HANDED_MOST = 64 };

struct place {                    /* what a customer's columns say */
    char visibility;              /* c, b, o, t; 0: unknown */
    uint32_t branch, owner, team; /* NONE */
};

struct step {
    int64_t at_us, at_ms; /* from then on; ms: by the server's clock */
    uint64_t bits;        /* of a customer: users who see it; of a person: buckets */
    uint64_t own;         /* of a person: by teams and as a substitute, let in or not */
    struct place place;
    uint8_t bucket; /* or NOWHERE, BLIND */
};

struct trail {
    struct step *steps; /* heap */
    uint32_t count, capacity;
};

struct lookout {             /* of a server */
    struct trail *customers; /* by record of the ledger */
    uint32_t capacity;
    struct trail people[PEOPLE_MAX];
    uint64_t readers[64];  /* users who see a bucket */
    sqlite3_int64 changes; /* of its database when it was looked at last */
    uint32_t life;
    int64_t until_ms;            /* by its clock: nobody's substitution ends before */
    int64_t ends_ms[PEOPLE_MAX]; /* of those for whom somebody stands in; 0 */
};

struct handover {
    uint32_t tx, from, count, records[HANDED_MOST];
};

struct sight {
    struct lookout servers[SIM_NODES_MAX];
    uint64_t changes;
    struct handover handovers[HANDOVERS_MOST];
    uint32_t handover_count;
};

void sight_open(struct world *world);
void sight_close(struct world *world);
/* A server has committed something, perhaps: its trails go on. */
void sight_look(struct node *server);
/* How often people's rights have changed at headquarters. */
uint64_t sight_changes(const struct world *world);
/* The story of a customer: where it was, and whether that one could see it. */
void sight_tell(struct world *world, uint32_t server, uint32_t record, uint32_t user);
/* A frame leaves a server. */
void sight_wire(struct node *server, struct link *link, const char *type, struct bytes payload);
/* A device shows something new: no hand-over by half. */
void sight_changed(struct node *device);
/* This transaction hands over what `from` owns; then, which records. */
void sight_hands_over(struct world *world, uint32_t tx, uint32_t from);
void sight_handed(struct world *world, uint32_t tx, uint32_t record);
/* A group that headquarters has just decided brought the customer there, for a moment at least. */
void sight_moment(struct world *world, uint32_t record, const struct place *place);
/* Where it was before this moment. */
struct place sight_place_before(const struct world *world, uint32_t record);
/* The place, with this cell of an account. */
void sight_set_place(const struct world *world, struct place *place, uint32_t column_id,
                     struct bytes cell);
/* sight_rule.c: after a turn of headquarters, and what it decided. */
void sight_turned(struct world *world);
/* All is quiet: rows are in the bucket of their customer, and rights were kept. */
void sight_end(struct world *world);

#endif
