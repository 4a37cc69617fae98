/* act_branches.c - branches: their servers, who goes where, lines that are down for long, disks that are lost. */
#include <string.h>

#include "tests/sim/act.h"
#include "tests/sim/oracle.h"

enum { TIERS_MOST = 3 /* of branches */ };

static const int64_t hour_us = 3600000000;

void branches_draw(const struct plan *plan, int32_t parents[])
{
    struct seeded_rng dice;
    uint32_t depth[BRANCHES_MAX] = {0};
    seeded_rng_start(&dice, plan->seed * 101 + 11);
    uint64_t bushy = 1 + seeded_below(&dice, 3);
    for (uint32_t i = 0; i < plan->branches; i++) {
        parents[i] = -1;
        uint32_t above = i ? (uint32_t)seeded_below(&dice, i) : 0;
        if (i && seeded_below(&dice, 4) >= bushy && depth[above] + 1 < TIERS_MOST) {
            parents[i] = (int32_t)above;
            depth[i] = depth[above] + 1;
        }
    }
}

/* The number of a branch's server. */
static uint16_t server_of(const struct world *world, uint32_t branch)
{
    return (uint16_t)(1 + world->plan->devices + branch);
}

static void set_up_branch(struct world *world, struct node *node, uint32_t branch)
{
    char request[160];
    uint32_t user = world->ledger->person_count;
    snprintf(request, sizeof request,
             "{\"do\":\"user-add\",\"login\":\"u%u\",\"role\":\"branch\",\"branch\":\"b%u\"}", user,
             branch);
    if (!hub_node_ask(&world->nodes[0], request))
        broken(world, "setting up", "branch %u has no user", branch);
    oracle_people(world);
    if (!world->failed)
        device_node_enrol(node, (uint16_t)user);
    if (world->failed)
        return;
    node_start(node);
    device_node_mode(node, MODE_LIVE);
    world->cover[COVER_BRANCHES]++;
}

void branches_set_up(struct world *world, struct sim_disk *(*fresh)(struct world *, bool))
{
    struct seeded_rng dice;
    int32_t parents[BRANCHES_MAX];
    branches_draw(world->plan, parents);
    seeded_rng_start(&dice, world->plan->seed * 103 + 13);
    for (uint32_t i = 0; i < world->plan->branches && !world->failed; i++) {
        int32_t above = parents[i] < 0 ? 0 : server_of(world, (uint32_t)parents[i]);
        set_up_branch(world, act_add_node(world, true, above, fresh(world, true)), i);
    }
    for (uint32_t i = 1; i <= world->plan->devices && !world->failed; i++) {
        struct node *node = &world->nodes[i];
        const struct person *person = &world->ledger->people[node->user];
        if (seeded_below(&dice, 6) > 0 && !person->all && person->branch != NONE)
            node->upstream = server_of(world, person->branch);
        say(world, "%s belongs to %s", node->name, world->nodes[node->upstream].name);
    }
}

/* ---- actions ---- */

static void go_to(struct node *node, uint16_t server)
{
    struct link *old = node->up;
    if (node->upstream == server)
        return;
    enum node_mode mode = node->mode;
    if (old) {
        old->why = ERR_LINK;
        device_node_over(node, ERR_LINK);
        link_close(old, LOWER, false);
    }
    node->upstream = server;
    node->mode = mode;
    node->failures = 0;
    say(node->world, "%s: goes to %s", node->name, node->world->nodes[server].name);
    if (mode != MODE_OFF)
        device_node_connect(node);
}

static void roam(struct world *world, struct node *node, struct seeded_rng *dice)
{
    if (node->serves || node->erased)
        return;
    uint64_t where = seeded_below(dice, world->plan->branches + 1);
    go_to(node, where == 0 ? 0 : server_of(world, (uint32_t)where - 1));
    world->cover[COVER_ROAMS]++;
}

static void line_down(struct world *world, struct node *node, struct seeded_rng *dice)
{
    int64_t hours = 1 + (int64_t)seeded_below(dice, 24);
    if (seeded_below(dice, 2))
        hours *= 21; /* up to three weeks */
    node->refused_us = world->now_us + hours * hour_us;
    if (node->up)
        link_cut(node->up, true, true);
    world->cover[COVER_LINES]++;
    say(world, "%s: its line is down for %lld hours", node->name, (long long)hours);
}

static void disk_lost(struct world *world, struct node *node, struct seeded_rng *dice)
{
    struct node *server = &world->nodes[0];
    struct uplink_identity identity = node->identity;
    uint64_t seed = seeded_u64(dice);
    if (!node->running || !server->running)
        return;
    node_end(node, END_KILLED, 0, -1);
    bool enrolled = device_node_enrol_again(node, node->user);
    if (enrolled) {
        sim_disk_free(node->disk);
        node->disk = sim_disk_copy(world->kit->template[1], seed);
        ledger_branch_lost(world);
        node->enrolled_from = world->link_count;
        while (server->copy_count >
               0) /* headquarters would not know the new one: it is backed up after */
            sim_disk_free(server->copies[--server->copy_count].disk);
        world->cover[COVER_DISKS_LOST]++;
    } else {
        node->identity = identity; /* it was not lost, then */
    }
    world_at(world, world->now_us + 1000,
             (struct event){.kind = EVENT_START, .node = node->number, .life = node->life});
}

bool act_branch(struct world *world, struct node *node, const struct action *action,
                struct seeded_rng *dice)
{
    switch ((int)action->kind) {
    case ACTION_ROAM: roam(world, node, dice); break;
    case ACTION_LINE: line_down(world, node, dice); break;
    case ACTION_DISK_LOST:
        if (node_is_branch(node))
            disk_lost(world, node, dice);
        break;
    default: return false;
    }
    return true;
}

void branches_wake(struct world *world)
{
    for (uint32_t i = 0; i < world->plan->branches; i++) {
        struct node *node = &world->nodes[server_of(world, i)];
        if (node->mode == MODE_OFF)
            device_node_mode(node, MODE_LIVE);
    }
}

/* ---- the faults stop ---- */

/* The server of the user's branch or one above it, or headquarters: a branch holds all that they may see. */
static uint16_t end_of(struct world *world, const struct node *node, struct seeded_rng *dice)
{
    const struct ledger *l = world->ledger;
    const struct person *person = &l->people[node->user];
    uint32_t branch = person->all ? NONE : person->branch;
    while (branch != NONE && seeded_below(dice, 3) == 0)
        branch = l->parents[branch];
    return branch == NONE ? 0 : server_of(world, branch);
}

void branches_settle(struct world *world)
{
    struct seeded_rng dice;
    if (world->plan->branches == 0)
        return;
    branches_wake(world);
    (void)world_settle(world, 3000000, 600000000);
    seeded_rng_start(&dice, world->plan->seed * 107 + 17);
    for (uint32_t i = 1; i < world->node_count && !world->failed; i++)
        if (!world->nodes[i].serves && !world->nodes[i].erased)
            go_to(&world->nodes[i], end_of(world, &world->nodes[i], &dice));
}
