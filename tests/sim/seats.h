/* seats.h - who may see what, read with plain SQL from a server's database: the oracle's own rule (SPEC.md 11.9), nothing
 * of which is the product's.
 *
 * Model:      buckets are bits (oracle.h): the company, branches, teams, the unassigned one, users. A person has a seat: role,
 *             branch, who stands in and until when; a team has a branch and people. */
#ifndef TESTS_SIM_SEATS_H
#define TESTS_SIM_SEATS_H

#include "tests/sim/oracle.h"

struct seat {
    uint32_t branch, substitute; /* NONE */
    int64_t until_ms;
    bool manager, admin, server, in;
};

struct team_seat {
    bool there, active;
    uint32_t branch;  /* NONE */
    uint64_t members; /* bits of users; those that are active */
};

struct seats {
    struct seat people[PEOPLE_MAX];
    struct team_seat teams[TEAMS_MAX];
    uint32_t count; /* of people */
    int64_t now_ms; /* the server's: substitutions end by it */
};

/* As this server's database has them now. ids: also those of users and teams are taken into the ledger. false: not all
 * can be read just now. */
bool seats_read(struct node *server, bool ids, struct seats *ret);
/* Bits of buckets. */
uint64_t seats_scope(const struct ledger *ledger, const struct seats *seats, uint32_t user);
/* The own one, those of teams, and of whom the person stands in for; let in or not. */
uint64_t seats_own(const struct seats *seats, uint32_t user);
/* Whether somebody stands in for the person. */
bool seats_replaced(const struct seats *seats, uint32_t user);
/* The number behind the first letter of a name: u12, b3, t0; NONE. */
uint32_t seats_number(const char *name);

#endif
