/* act.h - what the actions of a plan do. */
#ifndef TESTS_SIM_ACT_H
#define TESTS_SIM_ACT_H

#include "tests/sim/node.h"

/* A disk with an empty store on it. */
struct sim_disk *act_template(const struct kit *kit, bool serves);
/* Headquarters, people, enrolled devices, all running; no faults. */
void act_set_up(struct world *world);
void act(struct world *world, const struct action *action);
/* The faults stop: everybody runs, connects, and is quiet; or liveness is broken. */
void act_settle(struct world *world);
/* A further device with a copy of this disk; NULL: there are enough. */
struct node *act_add_device(struct world *world, struct sim_disk *disk);

/* act_branches.c: who is above whom: -1 headquarters, else a branch. */
void branches_draw(const struct plan *plan, int32_t parents[]);
/* Their servers, and where devices belong; after the people and the devices. */
void branches_set_up(struct world *world, struct sim_disk *(*fresh)(struct world *, bool));
bool act_branch(struct world *world, struct node *node, const struct action *action,
                struct seeded_rng *dice);
/* They are connected, unless their line is down. */
void branches_wake(struct world *world);
/* Each device goes where it may hold all that it may see. */
void branches_settle(struct world *world);
/* act.c: a further node. */
struct node *act_add_node(struct world *world, bool serves, int32_t upstream,
                          struct sim_disk *disk);

/* act_models.c: the models of a kit, the first of which is this text. */
enum err models_open(struct kit *kit, const char *text, struct err_info *info);
/* That of the kit which has this text; otherwise an invariant is broken. */
const struct model *models_known(struct world *world, const struct node *node, struct bytes text);
/* Whether the server's model is an earlier one than the node's. */
bool models_behind(const struct world *world, const struct node *server, const struct node *node);
/* Headquarters takes the next one over. */
void models_extend(struct world *world);
/* Until it has the last. */
void models_settle(struct world *world);

/* act_faults.c: false: not one of its kinds. */
bool act_fault(struct world *world, struct node *node, const struct action *action,
               struct seeded_rng *dice);
/* act_copies.c: backups, restores, clones, rollbacks, revocation, rights. */
bool act_copy(struct world *world, struct node *node, const struct action *action,
              struct seeded_rng *dice);
/* act_people.c: teams, when people are there; who changes hands, enters, leaves, stands in. */
void people_set_up(struct world *world);
bool act_people(struct world *world, struct node *node, const struct action *action,
                struct seeded_rng *dice);
/* No substitution is about to end. */
void people_settle(struct world *world);
/* byzantine.c */
bool act_byzantine(struct world *world, struct node *node, const struct action *action,
                   struct seeded_rng *dice);

/* write.c: one local transaction, of whatever the dice say. forged: among it something that headquarters
 * has to refuse. */
void write_transaction(struct node *node, struct seeded_rng *dice, bool forged);
/* A line below that account. */
void write_line(struct node *node, struct seeded_rng *dice, uint32_t account);
/* The pairs of records that are always written together. */
void write_twins(struct node *node);

#endif
