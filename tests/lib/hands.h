/* hands.h - customers that change hands, for tests with tests/lib/pair.h. */
#ifndef TESTS_LIB_HANDS_H
#define TESTS_LIB_HANDS_H

#include "tests/lib/pair.h"

struct hands_cell {
    const char *column, *text;
    struct uuid id; /* text NULL: a reference */
};

/* One transaction that writes these columns, up to 8; id nil: a new record. Returns its id. */
struct uuid hands_put(struct pair *p, struct pair_device *d, const char *table, struct uuid id,
                      const struct hands_cell *cells, uint16_t count);
/* The id of the user of that login. */
struct uuid hands_user(struct pair *p, const char *login);
struct uuid hands_branch(struct pair *p, const char *name);
/* Teams and substitutes, by headquarters' administrator. branch NULL: none. */
struct uuid hands_team(struct pair *p, const char *name);
struct uuid hands_team_new(struct pair *p, const char *name, const char *branch);
void hands_join(struct pair *p, const char *team, const char *login);
void hands_leave(struct pair *p, const char *team, const char *login);
void hands_substitute(struct pair *p, const char *login, const char *by, int64_t until_ms);
void hands_end(struct pair *p, const char *login);
/* A customer that a team sees. */
struct uuid hands_team_customer(struct pair *p, struct pair_device *d, const char *name,
                                struct uuid owner, struct uuid team);
/* A customer that only its owner sees, and a contact of a customer. */
struct uuid hands_customer(struct pair *p, struct pair_device *d, const char *name,
                           struct uuid owner);
struct uuid hands_contact(struct pair *p, struct pair_device *d, struct uuid party,
                          const char *name);
void hands_give(struct pair *p, struct pair_device *d, struct uuid party, struct uuid owner);
/* Whether the record, which has a name, is in the device's view. */
bool hands_shows(struct pair *p, struct pair_device *d, const char *table, struct uuid id);
/* What was set aside is given up, so that nothing waits for it; how many groups. */
uint32_t hands_give_up(struct pair_device *d);
/* Every record, dead ones too, is in a bucket that the device has. */
void hands_assert_holds_its_own(struct pair *p, struct pair_device *d);
/* Whether the payload of a frame, inflated, has this text. */
bool hands_frame_has(struct bytes frame, const char *text);
/* The digests are right, and the log has a row for each record and each departure. */
void hands_assert_verified(struct pair *p);

#endif
