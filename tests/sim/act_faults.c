/* act_faults.c - networks, processes, clocks, memory and disks go wrong. */
#include <sqlite3.h>

#include "tests/sim/act.h"

static const int64_t second = 1000000;

/* Short mostly, sometimes long. */
static int64_t a_while(struct seeded_rng *dice)
{
    uint64_t at = seeded_below(dice, 20);
    if (at == 0)
        return (int64_t)seeded_below(dice, 6 * 3600) * second;
    if (at < 8)
        return (int64_t)seeded_below(dice, 90) * second;
    return (int64_t)seeded_below(dice, 3000) * 1000;
}

static void count(struct world *world, enum cover cover)
{
    world->cover[cover]++;
}

/* ---- networks ---- */

static void clog_node(struct world *world, struct node *node, int side, int64_t until_us)
{
    if (node->clogged_us[side] < until_us)
        node->clogged_us[side] = until_us;
    for (uint32_t i = 0; i < world->link_count; i++)
        if (world->links[i] && world->links[i]->ends[LOWER] == node->number)
            link_clog(world->links[i], (enum side)side, until_us);
}

static bool is_live(const struct node *node)
{
    return !node->serves && node->running && node->up && node->mode == MODE_LIVE;
}

/* What comes down waits for the time that a session survives it, in a small buffer and thus at headquarters,
 * while the others write a lot; what goes up passes. */
static void slow_consumer(struct world *world, struct node *node, struct seeded_rng *dice)
{
    uint32_t first = node->number, devices = world->node_count - 1;
    for (uint32_t i = 0; i < devices && !is_live(node); i++)
        node = &world->nodes[1 + (first + i) % devices];
    if (!is_live(node))
        return;
    node->profile.window = node->up->profile.window = 64u << seeded_below(dice, 4);
    clog_node(world, node, UPPER, world->now_us + (5 + (int64_t)seeded_below(dice, 35)) * second);
    count(world, COVER_SLOW);
    say(world, "%s: reads slowly", node->name);
    for (uint64_t i = 5 + seeded_below(dice, 20); i > 0; i--) {
        struct node *other = &world->nodes[1 + seeded_below(dice, devices)];
        if (other != node && is_live(other))
            write_transaction(other, dice, false);
    }
}

static void clog_many(struct world *world, struct seeded_rng *dice)
{
    for (uint32_t i = 1; i < world->node_count; i++) {
        if (seeded_below(dice, 2))
            continue;
        int64_t until = world->now_us + a_while(dice);
        clog_node(world, &world->nodes[i], LOWER, until);
        clog_node(world, &world->nodes[i], UPPER, until);
        count(world, COVER_CLOGS);
    }
}

static void change_link(struct node *node, struct seeded_rng *dice)
{
    static const uint32_t segments[] = {0, 1, 7, 100, 1000, 1400};
    static const uint32_t windows[] = {256 << 10, 64 << 10, 4096, 600, 16};
    struct profile *p = &node->profile;
    p->least_us = 200 << seeded_below(dice, 10);
    p->most_us = p->least_us + (int64_t)seeded_below(dice, (uint64_t)p->least_us * 4 + 1);
    p->segment_max = segments[seeded_below(dice, 6)];
    p->window = windows[seeded_below(dice, 5)];
    if (p->segment_max == 1 || p->window == 16)
        p->least_us = p->most_us = 300; /* very small pieces, but quick ones */
    if (node->up)
        node->up->profile = *p;
    count(node->world, COVER_SLOW);
}

static void cut_inside(struct node *node, struct seeded_rng *dice)
{
    if (!node->up)
        return;
    struct pipe *pipe = &node->up->pipes[seeded_below(dice, 2)];
    pipe->cut_at = pipe->passed + 1 + seeded_below(dice, 1u << (3 + seeded_below(dice, 10)));
}

static void half_open(struct node *node, struct seeded_rng *dice)
{
    uint64_t who = seeded_below(dice, 3);
    if (node->up)
        link_cut(node->up, who == 1, who == 2);
}

static bool network(struct world *world, struct node *node, const struct action *action,
                    struct seeded_rng *dice)
{
    int side = (int)seeded_below(dice, 2);
    switch ((int)action->kind) {
    case ACTION_CUT:
        if (node->up)
            link_cut(node->up, true, true);
        break;
    case ACTION_CUT_INSIDE: cut_inside(node, dice); break;
    case ACTION_HALF_OPEN: half_open(node, dice); break;
    case ACTION_ONE_WAY:
        clog_node(world, node, side, world->now_us + a_while(dice));
        count(world, COVER_ONE_WAY);
        break;
    case ACTION_CLOG: {
        int64_t until = world->now_us + a_while(dice);
        if (seeded_below(dice, 3) == 0) {
            slow_consumer(world, node, dice);
            break;
        }
        clog_node(world, node, LOWER, until);
        clog_node(world, node, UPPER, until);
        count(world, COVER_CLOGS);
        break;
    }
    case ACTION_CLOG_MANY: clog_many(world, dice); break;
    case ACTION_NO_NETWORK: node->refused_us = world->now_us + a_while(dice); break;
    case ACTION_LINK: change_link(node, dice); break;
    default: return false;
    }
    return true;
}

/* ---- processes, clocks, memory ---- */

/* A disk that is not used gathers faults: the oldest ones give way. */
static void arm(struct node *node, const struct sim_disk_fault *fault)
{
    if (sim_disk_fault_room(node->disk) == 0)
        sim_disk_no_faults(node->disk);
    sim_disk_fail(node->disk, fault);
}

static void power_at(struct node *node, struct seeded_rng *dice)
{
    const struct sim_disk_fault fault = {.calls = SIM_DISK_CHANGES,
                                         .at = 1 + seeded_below(dice, 40),
                                         .effect = seeded_below(dice, 2) ? SIM_DISK_POWER_BEFORE
                                                                         : SIM_DISK_POWER_AFTER};
    if (node->running)
        arm(node, &fault);
}

static void skew(struct node *node, struct seeded_rng *dice)
{
    static const int64_t spans[] = {3000, 60000, 3600000, 86400000, 31536000000};
    int64_t span = spans[seeded_below(dice, 5)];
    int64_t by = (int64_t)seeded_below(dice, (uint64_t)span * 6) - span * 3;
    node->skew_ms = seeded_below(dice, 4) ? by : 0;
    say(node->world, "%s: its clock is off by %lld ms", node->name, (long long)node->skew_ms);
    count(node->world, COVER_SKEWS);
}

static void mend_later(struct node *node, enum mend what, int64_t wait_us)
{
    world_at(node->world, node->world->now_us + wait_us,
             (struct event){.kind = EVENT_MEND, .node = node->number, .what = what});
}

static bool process(struct world *world, struct node *node, const struct action *action,
                    struct seeded_rng *dice)
{
    int64_t wait = a_while(dice);
    switch ((int)action->kind) {
    case ACTION_KILL:
        world->cover[node_is_branch(node) ? COVER_KILLS_BRANCH
                     : node->serves       ? COVER_KILLS_HUB
                                          : COVER_KILLS_DEVICE] += node->running;
        node_end(node, END_KILLED, 0, wait / 4);
        break;
    case ACTION_POWER:
        world->cover[node_is_branch(node) ? COVER_POWER_BRANCH
                     : node->serves       ? COVER_POWER_HUB
                                          : COVER_POWER_DEVICE] += node->running;
        node_end(node, END_POWER, seeded_u64(dice), wait / 4);
        break;
    case ACTION_POWER_AT: power_at(node, dice); break;
    case ACTION_PAUSE:
        node->paused_us = world->now_us + wait;
        count(world, COVER_PAUSES);
        break;
    case ACTION_SKEW: skew(node, dice); break;
    case ACTION_FREEZE:
        node->frozen_ms = node_now(node).wall.ms;
        mend_later(node, MEND_CLOCK, wait);
        count(world, COVER_FREEZES);
        break;
    case ACTION_NOMEM:
        if (node->running) {
            node->nomem_in = 1 + (uint32_t)seeded_below(dice, 1u << (1 + seeded_below(dice, 7)));
            node->nomem_tries = 0;
            count(world, COVER_NOMEM_ARMED);
        }
        break;
    default: return false;
    }
    return true;
}

/* ---- disks ---- */

static void io_errors(struct node *node, struct seeded_rng *dice)
{
    static const uint32_t calls[] = {SIM_DISK_BIT(SIM_DISK_WRITE), SIM_DISK_BIT(SIM_DISK_READ),
                                     SIM_DISK_BIT(SIM_DISK_WRITE) | SIM_DISK_BIT(SIM_DISK_READ),
                                     SIM_DISK_ANY};
    struct sim_disk_fault fault = {.calls = calls[seeded_below(dice, 4)],
                                   .rate_ppm = 1000u << seeded_below(dice, 8),
                                   .effect = seeded_below(dice, 3) ? SIM_DISK_FAILS
                                                                   : SIM_DISK_HALF_WRITE};
    if (seeded_below(dice, 2)) {
        fault.at = 1 + seeded_below(dice, 60);
        fault.forever = seeded_below(dice, 2);
    }
    arm(node, &fault);
    mend_later(node, MEND_DISK, a_while(dice) / 4);
    count(node->world, COVER_DISK_ERROR);
}

static void sync_error(struct node *node, struct seeded_rng *dice)
{
    const struct sim_disk_fault fault = {.calls = SIM_DISK_BIT(SIM_DISK_SYNC),
                                         .at = 1 + seeded_below(dice, 4),
                                         .effect = SIM_DISK_FAILS};
    arm(node, &fault);
    mend_later(node, MEND_DISK, 60 * second);
    count(node->world, COVER_SYNC_ERROR);
}

static bool disk(struct world *world, struct node *node, const struct action *action,
                 struct seeded_rng *dice)
{
    switch ((int)action->kind) {
    case ACTION_FULL:
        sim_disk_set_capacity(node->disk, sim_disk_used(node->disk) + seeded_below(dice, 60000));
        mend_later(node, MEND_DISK, a_while(dice) / 4);
        count(world, COVER_DISK_FULL);
        break;
    case ACTION_IO_ERROR: io_errors(node, dice); break;
    case ACTION_SYNC_ERROR: sync_error(node, dice); break;
    default: return false;
    }
    return true;
}

bool act_fault(struct world *world, struct node *node, const struct action *action,
               struct seeded_rng *dice)
{
    if (node->erased)
        return true;
    return network(world, node, action, dice) || process(world, node, action, dice) ||
           disk(world, node, action, dice);
}
