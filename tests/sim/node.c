#include "tests/sim/node.h"

#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "tests/lib/failing_alloc.h"
#include "tests/sim/act.h"
#include "tests/sim/history.h"
#include "tests/sim/oracle.h"

enum { NOMEM_TRIES = 12 };

static void logged(void *context, enum log_level level, const char *message)
{
    struct node *node = context;
    struct world *world = node->world;
    say(world, "%s: [%s] %s", node->name, log_level_name(level), message);
    if (strstr(message, "differs from headquarters")) {
        world->cover[COVER_DIFFERS]++;
        broken(world, "digests agree", "%s: %s", node->name, message);
    }
    world->cover[COVER_FORKS] += strstr(message, "goes on under a new origin") != NULL;
    world->cover[COVER_DIVERGED] += strstr(message, "was restored from a backup") != NULL;
    world->cover[COVER_FLOORS] += strstr(message, "longer than deletions are kept") != NULL;
    world->cover[COVER_TURNS_FAILED] += strstr(message, "a commit failed") != NULL;
}

void node_init(struct world *world, struct node *node, uint16_t number, bool serves,
               int32_t upstream)
{
    *node = (struct node){.world = world,
                          .number = number,
                          .serves = serves,
                          .upstream = upstream,
                          .frozen_ms = -1,
                          .clone_of = -1,
                          .life = 1};
    if (serves && upstream >= 0)
        snprintf(node->name, sizeof node->name, "branch%u", number - 1 - world->plan->devices);
    else if (serves)
        snprintf(node->name, sizeof node->name, "hq");
    else
        snprintf(node->name, sizeof node->name, "d%u", number);
    seeded_rng_start(&node->seeded, world->plan->seed * 1000003 + number);
    node->rng = seeded_rng_interface(&node->seeded);
    node->log = (struct log){logged, node, LOG_LEVEL_INFO};
    node->profile = (struct profile){500, 2000, 0, 256 << 10};
    node->boot_us = (int64_t)seeded_below(&node->seeded, 1000000000);
    for (int i = 0; i < OLD_PUSHES; i++)
        buf_init(&node->pushes[i], 2 << 20);
}

void node_done(struct node *node)
{
    if (node->running && !sim_disk_is_down(node->disk))
        sim_disk_kill(node->disk); /* nothing is written any more */
    hub_node_close(node);
    device_node_close(node);
    store_close(node->store);
    if (node->number == 0)
        history_free(node->world);
    for (uint32_t i = 0; i < node->copy_count; i++)
        sim_disk_free(node->copies[i].disk);
    node->world->cover[COVER_DISK_HITS] += sim_disk_hits(node->disk);
    sim_disk_free(node->disk);
    for (int i = 0; i < OLD_PUSHES; i++)
        buf_done(&node->pushes[i]);
}

static int64_t wall_ms(const struct node *node)
{
    return node->frozen_ms >= 0 ? node->frozen_ms : world_ms(node->world) + node->skew_ms;
}

struct now node_now(const struct node *node)
{
    return (struct now){{wall_ms(node)}, {node->world->now_us + node->boot_us + 1}};
}

struct hub_now node_hub_now(const struct node *node)
{
    return (struct hub_now){{wall_ms(node)}, {node->world->now_us + node->boot_us + 1}};
}

/* ---- memory that runs out ---- */

void node_enter(struct node *node)
{
    if (node->nomem_in)
        failing_alloc_start(node->nomem_in);
}

void node_leave(struct node *node)
{
    if (!node->nomem_in)
        return;
    bool hit = failing_alloc_stop();
    node->world->cover[COVER_NOMEM_HIT] += hit;
    if (hit)
        say(node->world, "%s: an allocation has failed", node->name);
    if (hit || ++node->nomem_tries >= NOMEM_TRIES)
        node->nomem_in = 0;
}

/* ---- the process ---- */

static enum err open_store(struct node *node)
{
    struct err_info info = {0};
    const struct store_sqlite_options options = {.path = "store.db",
                                                 .vfs = sim_disk_vfs(node->disk),
                                                 .keeps_log = node->serves,
                                                 .cache_bytes = 2 << 20,
                                                 .wal_autocheckpoint_pages = 100};
    struct buf text;
    buf_init(&text, MODEL_WHOLE_MAX);
    enum err e = store_sqlite_model_text(&options, false, &text, &info);
    if (e == ERR_OK)
        node->model = models_known(node->world, node, buf_view(&text));
    buf_done(&text);
    if (e == ERR_OK && node->world->failed)
        e = ERR_BUG;
    if (e == ERR_OK)
        e = store_sqlite_open(&options, node->model, &node->store, &info);
    if (e != ERR_OK)
        say(node->world, "%s: %s", node->name, info.message);
    return e;
}

static void close_all(struct node *node)
{
    hub_node_close(node);
    device_node_close(node);
    store_close(node->store);
    node->store = NULL;
    node->running = false;
}

void node_prepare(struct node *node)
{
    if (open_store(node) != ERR_OK)
        abort();
    hub_node_create(node);
    store_close(node->store);
    node->store = NULL;
}

void node_start(struct node *node)
{
    struct world *world = node->world;
    if (node->running || node->erased)
        return;
    if (sim_disk_is_down(node->disk))
        sim_disk_start(node->disk);
    node_enter(node);
    enum err e = open_store(node);
    if (e == ERR_OK && node->upstream >= 0)
        e = device_node_open(node);
    if (e == ERR_OK && node->serves)
        e = hub_node_open(node);
    node_leave(node);
    if (e != ERR_OK) {
        say(world, "%s: does not start: %s", node->name, err_name(e));
        if (e == ERR_CORRUPT && !node->corrupt_ok)
            broken(world, "store is whole", "%s: the store is damaged after a restart", node->name);
        if (sim_disk_is_down(node->disk)) { /* the power went meanwhile */
            uint64_t dice = seeded_u64(&world->dice);
            sim_disk_crash(node->disk, (enum sim_disk_survivors)(dice % SIM_DISK_SURVIVORS_COUNT),
                           dice >> 8);
        } else {
            sim_disk_kill(node->disk);
        }
        close_all(node);
        node->life++;
        int64_t wait = (int64_t)2000000 << (node->start_failures < 7 ? node->start_failures++ : 7);
        world_at(world, world->now_us + wait,
                 (struct event){.kind = EVENT_START, .node = node->number, .life = node->life});
        return;
    }
    node->running = true;
    node->start_failures = 0;
    say(world, "%s: started", node->name);
    oracle_started(node);
    if (node->number == 0)
        history_started(node);
    if (node->upstream >= 0 && node->mode != MODE_OFF)
        world_at(world, world->now_us + 1000,
                 (struct event){.kind = EVENT_CONNECT, .node = node->number, .life = node->life});
    if (node->serves)
        hub_node_settle(node);
}

void node_end(struct node *node, enum node_end how, uint64_t dice, int64_t again_us)
{
    struct world *world = node->world;
    if (!node->running)
        return;
    say(world, "%s: %s", node->name, how == END_POWER ? "loses power" : "is killed");
    if (how == END_POWER)
        sim_disk_crash(node->disk, (enum sim_disk_survivors)(dice % SIM_DISK_SURVIVORS_COUNT),
                       dice >> 8);
    else
        sim_disk_kill(node->disk);
    for (uint32_t i = 0; i < world->link_count; i++) {
        struct link *link = world->links[i];
        for (int side = 0; link && side < 2; side++)
            if (link->ends[side] == node->number && link->lives[side] == node->life)
                link_close(link, (enum side)side, how == END_POWER && (dice >> 40) % 3 != 0);
    }
    device_node_unplug(node);
    node->learned = false;
    close_all(node);
    node->life++;
    node->paused_us = 0;
    node->nomem_in = 0;
    oracle_ended(node);
    if (again_us >= 0)
        world_at(world, world->now_us + again_us,
                 (struct event){.kind = EVENT_START, .node = node->number, .life = node->life});
}

bool node_check_power(struct node *node)
{
    if (!node->running || !sim_disk_is_down(node->disk))
        return false;
    node->world->cover[COVER_POWER_MIDWAY]++;
    uint64_t dice = seeded_u64(&node->world->dice);
    node_end(node, END_POWER, dice, (int64_t)(dice >> 50) * 1000);
    return true;
}

void node_stop(struct node *node, enum err why)
{
    if (node_check_power(node) || !node->running)
        return;
    say(node->world, "%s: stops: %s", node->name, err_name(why));
    node->world->cover[COVER_STOPPED]++;
    if (why == ERR_CORRUPT && !node->corrupt_ok) {
        broken(node->world, "store is whole", "%s: a call says that the store is damaged",
               node->name);
        return;
    }
    node_end(node, END_KILLED, 0, 500000);
}

/* ---- what links ask ---- */

void node_next_frame(struct node *node, struct link *link, enum side side, struct buf *out)
{
    buf_reset(out);
    if (!node->running)
        return;
    if (side == UPPER) {
        int64_t credit = queues_credit(link);
        node_enter(node);
        hub_next_frame(node->hub, link->peer, node_hub_now(node), out);
        node_leave(node);
        queues_gave(node, link, credit);
        if (out->size) {
            oracle_sent_down(node, link, buf_view(out));
            promise_sent_down(node, link, buf_view(out));
        }
        node_check_power(node);
        return;
    }
    if (!node->uplink || node->up != link || link->closing[LOWER])
        return;
    struct uplink_effects effects;
    node_enter(node);
    uplink_next_frame(node->uplink, node_now(node), out, &effects);
    node_leave(node);
    if (node_check_power(node)) {
        buf_reset(out);
        return;
    }
    if (out->size)
        oracle_sent_up(node, link, buf_view(out));
    device_node_apply(node, link, &effects);
}

void node_received(struct node *node, struct link *link, enum side side, struct bytes frame)
{
    if (!node->running)
        return;
    if (side == UPPER) {
        oracle_reached(node, link, frame);
        history_reached(node, link, frame);
        if (link->closing[UPPER])
            return;
        node_enter(node);
        hub_receive(node->hub, link->peer, frame, node_hub_now(node));
        node_leave(node);
        hub_node_settle(node);
        return;
    }
    if (!node->uplink || node->up != link || link->closing[LOWER])
        return;
    struct uplink_effects effects;
    struct replica_status before, after;
    replica_status(node->replica, &before);
    node_enter(node);
    uplink_receive(node->uplink, frame, node_now(node), &effects);
    node_leave(node);
    if (node_check_power(node))
        return;
    replica_status(node->replica, &after);
    if (after.origin != before.origin && !node->serves)
        fork_check(node, before.origin);
    oracle_received(node, link);
    device_node_apply(node, link, &effects);
}

void node_let_go(struct node *node, struct link *link, enum side side)
{
    if (side == LOWER) {
        if (node->up == link)
            device_node_over(node, link->why);
        return;
    }
    if (node->running && link->peer)
        hub_detach(node->hub, link->peer, node_hub_now(node));
    link->peer = NULL;
}

void node_lost(struct node *node, struct link *link, enum side side)
{
    if (!link->open[side])
        return;
    if (side == LOWER && !link->closing[LOWER])
        link->why = ERR_LINK;
    node_let_go(node, link, side);
    link_close(link, side, false);
    if (side == UPPER && node->running)
        hub_node_settle(node);
}

/* ---- events ---- */

static void limit(struct node *node, struct link *link, enum side side)
{
    if (!link->open[side])
        return;
    const struct pipe *in = &link->pipes[side == LOWER ? UPPER : LOWER];
    bool late = in->began_us && node->world->now_us - in->began_us >= MESSAGE_US;
    if (link->closing[side]) { /* it could not send all that it wanted to */
        node_let_go(node, link, side);
        link_close(link, side, false);
    } else if (late && side == UPPER && link->attached) {
        hub_violation(node->hub, link->peer, ERR_TIMEOUT, node_hub_now(node));
        hub_node_settle(node);
    } else if (late && side == LOWER) {
        node_lost(node, link, side);
    }
}

static void mend(struct node *node, enum mend what)
{
    if (what == MEND_CLOCK) {
        node->frozen_ms = -1;
        return;
    }
    sim_disk_no_faults(node->disk);
    sim_disk_set_capacity(node->disk, 0);
}

static void link_event(struct node *node, const struct event *event)
{
    struct link *link = world_link(node->world, event->what);
    enum side side = (enum side)event->side;
    if (!link)
        return;
    switch ((int)event->kind) {
    case EVENT_OPEN: hub_node_accept(node, link); break;
    case EVENT_UP: device_node_up(node, link); break;
    case EVENT_DELIVER: link_deliver(link, side); break;
    case EVENT_END: node_lost(node, link, side); break;
    default: limit(node, link, side); break;
    }
}

void node_event(struct node *node, const struct event *event)
{
    switch ((int)event->kind) {
    case EVENT_TURN: hub_node_turn(node); break;
    case EVENT_TICK: hub_node_tick(node); break;
    case EVENT_UPLINK_TICK: device_node_tick(node); break;
    case EVENT_CONNECT: device_node_connect(node); break;
    case EVENT_START: node_start(node); break;
    case EVENT_MEND: mend(node, (enum mend)event->what); break;
    default: link_event(node, event); break;
    }
}
