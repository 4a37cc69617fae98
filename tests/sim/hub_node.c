/* hub_node.c - a node that serves: the hub, driven as server/net drives it. */
#include <string.h>

#include "tests/sim/history.h"
#include "tests/sim/node.h"
#include "tests/sim/oracle.h"
#include "tests/sim/purges.h"
#include "tests/sim/sight.h"

enum { RETRY_US = 100000, TICK_PAUSE_US = 1000 };

/* Small bounds in some runs, so that a small world reaches them. */
static void draw_limits(struct node *node, struct hub_limits *limits)
{
    struct seeded_rng dice;
    seeded_rng_start(&dice, node->world->plan->seed * 31 + 7);
    *limits = (struct hub_limits){0};
    if (seeded_below(&dice, 2))
        limits->page_bytes = 256u << seeded_below(&dice, 6);
    if (seeded_below(&dice, 3) == 0)
        limits->page_rows = 1 + (uint32_t)seeded_below(&dice, 10);
    if (seeded_below(&dice, 2))
        limits->readers_max = 1 + (uint32_t)seeded_below(&dice, 2);
    if (seeded_below(&dice, 2))
        limits->live_queue_bytes = 512u << seeded_below(&dice, 6);
    if (seeded_below(&dice, 4) == 0)
        limits->reader_timeout_us = 2000000;
}

static void pushed(void *context)
{
    struct node *node = context;
    node->pushed = true; /* said when the hub has returned */
}

static void configure(struct node *node)
{
    const struct kit *kit = node->world->kit;
    node->config = (struct hub_config){.model = node->model,
                                       .store = node->store,
                                       .crypto = kit->crypto,
                                       .rng = &node->rng,
                                       .log = &node->log};
    memset(node->config.server_key, 7, 32);
    draw_limits(node, &node->config.limits);
    node->config.retention = purges_retention(node->world);
    if (node_is_branch(node)) {
        node->config.replica = node->replica;
        node->config.pushed = pushed;
        node->config.context = node;
    }
}

void hub_node_create(struct node *node)
{
    struct err_info info = {0};
    configure(node);
    if (hub_create(&node->config, node_hub_now(node), &info) != ERR_OK)
        broken(node->world, "setting up", "%s", info.message);
}

enum err hub_node_open(struct node *node)
{
    struct err_info info = {0};
    configure(node);
    node->stats = (struct hub_stats){0};
    enum err e = hub_open(&node->config, node_hub_now(node), &node->hub, &info);
    if (e != ERR_OK)
        say(node->world, "%s: %s", node->name, info.message);
    return e;
}

void hub_node_close(struct node *node)
{
    if (node->hub)
        hub_node_count(node);
    for (uint32_t i = 0; i < node->world->link_count; i++) {
        struct link *link = node->world->links[i];
        if (link && link->ends[UPPER] == node->number)
            link->peer = NULL;
    }
    hub_close(node->hub);
    node->hub = NULL;
    node->pushed = false;
    node->turn_scheduled = false;
    node->tick_us = 0;
}

void hub_node_count(struct node *node)
{
    struct hub_stats now;
    uint64_t *cover = node->world->cover;
    if (node_is_branch(node))
        return; /* it decides nothing */
    hub_stats(node->hub, &now);
    cover[COVER_APPLIED] += now.groups_applied - node->stats.groups_applied;
    cover[COVER_MERGED] += now.groups_merged - node->stats.groups_merged;
    cover[COVER_PARKED] += now.groups_parked - node->stats.groups_parked;
    cover[COVER_WAITED] += now.groups_waiting - node->stats.groups_waiting;
    cover[COVER_CLASHES] += now.forks - node->stats.forks;
    cover[COVER_DUPLICATES] += now.duplicates - node->stats.duplicates;
    cover[COVER_CONFLICTS] += now.conflicts - node->stats.conflicts;
    cover[COVER_FALL_BACKS] += now.fallbacks - node->stats.fallbacks;
    cover[COVER_CATCH_UPS] += now.catch_ups - node->stats.catch_ups;
    cover[COVER_BAD_SIGNATURES] += now.bad_signatures - node->stats.bad_signatures;
    node->stats = now;
}

static void plan_tick(struct node *node)
{
    struct world *world = node->world;
    int64_t due = hub_deadline(node->hub);
    if (due == 0)
        return;
    int64_t at_us = due - node->boot_us - 1;
    if (at_us < world->now_us + TICK_PAUSE_US)
        at_us = world->now_us + TICK_PAUSE_US;
    if (node->tick_us && node->tick_us <= at_us && node->tick_us > world->now_us)
        return; /* one comes before */
    node->tick_us = at_us;
    world_at(world, at_us,
             (struct event){.kind = EVENT_TICK, .node = node->number, .life = node->life});
}

void hub_node_settle(struct node *node)
{
    struct world *world = node->world;
    if (node_check_power(node) || !node->running)
        return;
    if (node->pushed) {
        node->pushed = false;
        device_node_wrote(node);
        if (!node->running)
            return;
    }
    for (;;) {
        struct hub_effect effect = hub_next_effect(node->hub);
        if (effect.kind == HUB_EFFECT_NONE)
            break;
        struct link *link = effect.context;
        if (effect.kind == HUB_EFFECT_HANG_UP)
            link_finish(link, UPPER);
        else
            link_pump(link, UPPER);
        if (!node->running)
            return;
    }
    if (hub_has_work(node->hub) && !node->turn_scheduled) {
        node->turn_scheduled = true;
        int64_t wait = (int64_t)seeded_below(&node->seeded, 3) * 400;
        world_at(world, world->now_us + wait,
                 (struct event){.kind = EVENT_TURN, .node = node->number, .life = node->life});
    }
    plan_tick(node);
}

void hub_node_accept(struct node *node, struct link *link)
{
    struct world *world = node->world;
    const struct event up = {.kind = EVENT_UP,
                             .side = LOWER,
                             .node = link->ends[LOWER],
                             .life = link->lives[LOWER],
                             .what = link->number};
    struct event end = up;
    end.kind = EVENT_END;
    link->lives[UPPER] = node->life;
    if (!node->running || !link->open[UPPER] ||
        hub_attach(node->hub, link, node_hub_now(node), &link->peer) != ERR_OK) {
        link->open[UPPER] = false;
        world->cover[COVER_REFUSED]++;
        world_at(world, world->now_us + 1000, end);
        return;
    }
    link->attached = true;
    world_at(world, world->now_us + 500, up);
    hub_node_settle(node);
}

static void retry(struct node *node)
{
    node->turn_scheduled = true;
    world_at(node->world, node->world->now_us + RETRY_US,
             (struct event){.kind = EVENT_TURN, .node = node->number, .life = node->life});
}

void hub_node_turn(struct node *node)
{
    node->turn_scheduled = false;
    if (!node->running)
        return;
    queues_before(node);
    node_enter(node);
    enum err e = hub_turn(node->hub, node_hub_now(node));
    node_leave(node);
    if (err_class(e) == ERR_CLASS_FATAL || err_class(e) == ERR_CLASS_BUG) {
        node_stop(node, e);
        return;
    }
    if (node_check_power(node))
        return;
    if (e != ERR_OK)
        retry(node);
    oracle_turned(node);
    if (node->number == 0)
        history_turned(node);
    if (node->number == 0)
        sight_turned(node->world);
    queues_after(node);
    hub_node_settle(node);
}

/* A deadline that an earlier one has taken the place of. Elsewhere such ticks go on, each with another one: old seeds
 * tell the same stories, and nobody waits there for weeks with a deadline. */
static bool is_past(const struct node *node)
{
    return node->tick_us == 0 || node->tick_us > node->world->now_us;
}

void hub_node_tick(struct node *node)
{
    if (!node->running || (node->world->sight && is_past(node)))
        return;
    node->tick_us = 0;
    node_enter(node);
    hub_tick(node->hub, node_hub_now(node));
    node_leave(node);
    if (node_check_power(node))
        return;
    hub_node_turn(node); /* a turn that failed is taken again when its deadline has come */
}

const char *hub_node_ask(struct node *node, const char *request)
{
    static char text[65536];
    struct buf answer;
    buf_init(&answer, sizeof text - 1);
    node_enter(node);
    enum err e = hub_admin(node->hub, bytes_of_text(request), node_hub_now(node), &answer);
    node_leave(node);
    if (e == ERR_OK) {
        memcpy(text, answer.data, answer.size);
        text[answer.size] = 0;
    }
    bool ok = e == ERR_OK && strstr(text, "\"ok\":true");
    if (!ok)
        say(node->world, "%s: %s: %s", node->name, request, e == ERR_OK ? text : err_name(e));
    buf_done(&answer);
    if (e == ERR_OK && (strstr(text, "\"code\":\"IO\"") || strstr(text, "\"code\":\"CORRUPT\"")))
        node_stop(node, ERR_IO);
    else
        hub_node_settle(node);
    return ok && node->running ? text : NULL;
}
