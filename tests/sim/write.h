/* write.h - what write.c and act_people.c share: a local transaction on its way. */
#ifndef TESTS_SIM_WRITE_H
#define TESTS_SIM_WRITE_H

#include "tests/sim/oracle.h"

struct writing {
    struct world *world;
    struct node *node;
    struct seeded_rng *dice;
    const struct model *model;
    struct ledger *ledger;
    uint32_t tx;
    uint32_t account; /* whose line it is to be; NONE: any */
    struct arena arena;
    struct err_info info;
};

/* Runs the body in a transaction of the node's replica, and notes what came of it. */
void write_transact(struct node *node, struct seeded_rng *dice, enum err (*body)(struct writing *w),
                    bool forged, uint32_t account);
const struct model_table *write_table(const struct writing *w, const char *name);
/* One that somebody has made, rather a late one; NONE. */
uint32_t write_any_record(struct writing *w, const struct model_table *table);
enum err write_journal(struct writing *w);
/* Another text in the column of a record that is shown so. */
enum err write_text(struct writing *w, uint32_t at, uint16_t column, const struct value *shown,
                    bool lines);
enum err write_line_of(struct writing *w);

/* act_people.c: a bucket that the user may see, or may not; the cells that bring a new account there: visibility, branch,
 * owner, team. */
uint16_t people_bucket(struct writing *w, bool forged);
void people_route(struct writing *w, uint16_t bucket, struct value values[4]);

#endif
