/* people.h - who there is, as rights are made of it: users, branches, teams, who stands in for whom.
 *
 * Model:      a copy in memory of four small tables, as headquarters has decided them (a branch: beneath what
 *             is pending, as nobody's rights come from what is not decided). Read when it is first asked for, and
 *             forgotten with every write to these tables and every rollback.
 * Cost:       loading O(n log n) in all of them; look-ups are binary searches.
 * Ownership:  the hub owns it; pointers hold until it is forgotten.
 * Source:     SPEC.md 11.9. */
#ifndef SERVER_CORE_PEOPLE_H
#define SERVER_CORE_PEOPLE_H

#include "common/arena.h"
#include "common/model.h"
#include "common/uuid.h"

struct hub;

struct person {
    struct uuid id, branch, substitute; /* nil: none */
    int64_t until_ms;                   /* the substitute's last moment; 0: has none */
    enum role role;                     /* ROLE_NONE: no access */
    bool serves;                        /* the server of a branch */
    bool active;
};

struct team {
    struct uuid id, branch; /* nil: none */
    bool active;
};

struct membership { /* of a team that is active */
    struct uuid person, team;
};

struct place {
    struct uuid id, parent; /* nil: none */
};

struct people {
    bool known;
    struct arena arena;
    struct person *persons; /* ascending by id, as all of these */
    struct team *teams;
    struct membership *members; /* by person, then team */
    struct place *branches;
    const struct person **replaced; /* those who have a substitute, by that one */
    uint32_t person_count, team_count, member_count, branch_count, replaced_count;
    uint32_t person_room, team_room, member_room, branch_room;
};

/* Within a transaction. Store errors, ERR_CORRUPT, ERR_NOMEM; then nothing is known. */
enum err people_load(struct hub *hub);
void people_forget(struct hub *hub);
/* After people_load(). NULL: not there. */
const struct person *person_find(const struct hub *hub, const struct uuid *id);
const struct team *team_find(const struct hub *hub, const struct uuid *id);
/* The first membership of the person, and in *ret_count how many follow each other. */
const struct membership *person_teams(const struct hub *hub, const struct uuid *id,
                                      uint32_t *ret_count);
bool is_member(const struct hub *hub, const struct uuid *person, const struct uuid *team);
/* The first of those whose substitute this one is, or was and the row still says so. */
const struct person *const *person_replaces(const struct hub *hub, const struct uuid *id,
                                            uint32_t *ret_count);
/* Whether somebody stands in for the person now, by this server's clock. */
bool is_replaced(const struct hub *hub, const struct person *person);
/* Whether `by` stands in for the person of this id now. */
bool stands_in(const struct hub *hub, const struct uuid *by, const struct uuid *id);

#endif
