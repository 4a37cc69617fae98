/* device_node.c - a node below a server: the replica and its uplink, driven as client/net and
 * client/api drive them. */
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tests/sim/act.h"
#include "tests/sim/history.h"
#include "tests/sim/oracle.h"

enum { BACKOFF_FIRST_US = 1000000, BACKOFF_MOST_US = 300000000 };

/* A branch's hub learns what its uplink has learnt, within the same call. */
static void installed(void *context, const struct message_checkpoint *checkpoint)
{
    struct node *node = context;
    if (node->hub)
        hub_installed(node->hub, checkpoint, node_hub_now(node));
}

static void carried(void *context, const uint8_t hash[32])
{
    struct node *node = context;
    if (node->hub)
        hub_blob_changed(node->hub, hash);
}

static void forked(void *context, uint64_t origin, uint64_t oseq)
{
    struct node *node = context;
    if (node->hub)
        hub_forked(node->hub, origin, oseq, node_hub_now(node));
}

static void pended(void *context)
{
    struct node *node = context;
    if (node->hub)
        hub_pended(node->hub, node_hub_now(node));
}

enum err device_node_open(struct node *node)
{
    struct err_info info = {0};
    const struct replica_config config = {.model = node->model,
                                          .store = node->store,
                                          .crypto = node->world->kit->crypto,
                                          .rng = &node->rng,
                                          .log = &node->log,
                                          .branch = node->serves,
                                          .installed = node->serves ? installed : NULL,
                                          .context = node};
    enum err e = replica_open(&config, &node->replica, &info);
    if (e != ERR_OK)
        say(node->world, "%s: %s", node->name, info.message);
    return e;
}

void device_node_close(struct node *node)
{
    uplink_free(node->uplink);
    node->uplink = NULL;
    replica_close(node->replica);
    node->replica = NULL;
    node->uplink_us = 0;
}

/* ---- sessions ---- */

static void connect_later(struct node *node, int64_t wait_us)
{
    world_at(node->world, node->world->now_us + wait_us,
             (struct event){.kind = EVENT_CONNECT, .node = node->number, .life = node->life});
}

static int64_t backoff(struct node *node)
{
    int64_t step = BACKOFF_FIRST_US;
    for (uint32_t i = 0; i < node->failures && step < BACKOFF_MOST_US; i++)
        step *= 2;
    if (step > BACKOFF_MOST_US)
        step = BACKOFF_MOST_US;
    node->failures++;
    return step / 2 + (int64_t)seeded_below(&node->seeded, (uint64_t)step / 2 + 1);
}

static void erase(struct node *node)
{
    say(node->world, "%s: is revoked and erases its data", node->name);
    node->world->cover[COVER_ERASED]++;
    node_end(node, END_KILLED, 0, -1);
    node->erased = true;
    node->mode = MODE_OFF;
    oracle_erased(node);
}

/* The session is over: whether, and when, another one begins. */
void device_node_unplug(struct node *node)
{
    node->up = NULL;
    node->evil = false;
    if (node->impostor) {
        node->identity.seed[0] ^= 1;
        node->impostor = false;
    }
}

void device_node_over(struct node *node, enum err why)
{
    struct uplink_effects ignored;
    if (!node->up)
        return;
    device_node_unplug(node);
    node->last_why = why;
    if (!node->running)
        return;
    uplink_link_down(node->uplink, node_now(node), &ignored);
    say(node->world, "%s: the session ends: %s", node->name, err_name(why));
    node->uplink_us = 0;
    oracle_session_over(node);
    node->world->cover[COVER_BEHIND] +=
        models_behind(node->world, &node->world->nodes[node->upstream], node);
    if (node->learned) { /* as the programs do: everything is closed, and opened with the model */
        node->learned = false;
        node_end(node, END_KILLED, 0, 1000);
        return;
    }
    switch ((int)why) {
    case ERR_OK:
        node->drained = true;
        node->failures = 0;
        if (node->mode == MODE_ONCE)
            node->mode = MODE_OFF;
        break;
    case ERR_REVOKED: erase(node); return;
    case ERR_IO:
    case ERR_CORRUPT:
        node->world->cover[COVER_GAPS]++;
        node_stop(node, why);
        return;
    case ERR_AUTH:
        if (node->upstream > 0) { /* a branch has not heard of it yet, or not again */
            node->world->cover[COVER_STRANGERS]++;
            break;
        }
        node->mode = MODE_OFF;
        return;
    case ERR_PIN:
    case ERR_VERSION: node->mode = MODE_OFF; return;
    default: break;
    }
    if (why == ERR_CONFLICT)
        connect_later(node, 1000);
    else if (node->mode != MODE_OFF)
        connect_later(node, backoff(node));
}

void device_node_mode(struct node *node, enum node_mode mode)
{
    node->mode = mode;
    node->drained = false;
    if (mode == MODE_OFF) {
        if (node->up) {
            node->up->why = ERR_OK;
            link_finish(node->up, LOWER);
        }
        return;
    }
    node->failures = 0;
    if (!node->up)
        connect_later(node, 1000);
}

void device_node_connect(struct node *node)
{
    struct world *world = node->world;
    if (!node->running || node->up || node->mode == MODE_OFF)
        return;
    if (node->refused_us > world->now_us) {
        world->cover[COVER_REFUSED]++;
        connect_later(node, backoff(node));
        return;
    }
    const struct uplink_config config = {.replica = node->replica,
                                         .crypto = world->kit->crypto,
                                         .rng = &node->rng,
                                         .log = &node->log,
                                         .agent = "sim",
                                         .once = node->mode == MODE_ONCE,
                                         .branch = node->serves,
                                         .forked = node->serves ? forked : NULL,
                                         .pended = node->serves ? pended : NULL,
                                         .carried = node->serves ? carried : NULL,
                                         .context = node};
    uplink_free(node->uplink);
    node->uplink = NULL;
    node_enter(node);
    enum err e = uplink_new(&config, &node->identity, NULL, &node->uplink);
    node_leave(node);
    if (e != ERR_OK) {
        connect_later(node, backoff(node));
        return;
    }
    node->up = link_new(world, node->number, (uint16_t)node->upstream);
    say(world, "%s: connects", node->name);
}

void device_node_up(struct node *node, struct link *link)
{
    struct uplink_effects effects;
    if (!node->running || node->up != link)
        return;
    node_enter(node);
    uplink_link_up(node->uplink, node_now(node), &effects);
    node_leave(node);
    device_node_apply(node, link, &effects);
}

static void apply(struct node *node, struct link *link, const struct uplink_effects *effects)
{
    struct world *world = node->world;
    if (node_check_power(node) || !node->running || node->up != link)
        return;
    if (effects->changed) {
        world->cover[COVER_CHECKPOINTS]++;
        oracle_changed(node);
        view_check(node);
    }
    if (effects->learned) {
        node->learned = true;
        world->cover[COVER_LEARNED]++;
    }
    if (effects->hang_up) {
        link->why = effects->why;
        if (effects->why != ERR_OK)
            say(world, "%s: hangs up: %s", node->name, effects->message);
        link_finish(link, LOWER);
        return;
    }
    if (effects->deadline_us) {
        int64_t at_us = effects->deadline_us - node->boot_us - 1;
        if (at_us <= world->now_us)
            at_us = world->now_us + 1000;
        if (at_us != node->uplink_us &&
            (node->uplink_us <= world->now_us || at_us < node->uplink_us)) {
            node->uplink_us = at_us;
            world_at(world, at_us,
                     (struct event){
                         .kind = EVENT_UPLINK_TICK, .node = node->number, .life = node->life});
        }
    }
    if (effects->want_write)
        link_pump(link, LOWER);
}

void device_node_apply(struct node *node, struct link *link, const struct uplink_effects *effects)
{
    apply(node, link, effects);
    if (node->serves && node->hub)
        hub_node_settle(node); /* what the branch has learnt goes to its devices */
}

void device_node_tick(struct node *node)
{
    struct uplink_effects effects;
    if (!node->running || !node->up || !node->uplink ||
        (node->world->sight && node->uplink_us > node->world->now_us)) /* as in hub_node.c */
        return;
    node->uplink_us = 0;
    node_enter(node);
    uplink_tick(node->uplink, node_now(node), &effects);
    node_leave(node);
    device_node_apply(node, node->up, &effects);
}

void device_node_wrote(struct node *node)
{
    struct uplink_effects effects;
    if (!node->up || !node->uplink || node->up->closing[LOWER])
        return;
    uplink_local_change(node->uplink, node_now(node), &effects);
    device_node_apply(node, node->up, &effects);
}

/* ---- enrolment: before the faults begin, without a network between ---- */

static void exchange(struct node *node, struct node *server)
{
    struct uplink_effects effects = {0};
    struct peer *peer;
    struct buf frame;
    buf_init(&frame, 2 << 20);
    if (hub_attach(server->hub, NULL, node_hub_now(server), &peer) != ERR_OK)
        abort();
    uplink_link_up(node->uplink, node_now(node), &effects);
    for (int round = 0; round < 8 && !effects.hang_up; round++) {
        uplink_next_frame(node->uplink, node_now(node), &frame, &effects);
        if (frame.size)
            hub_receive(server->hub, peer, buf_view(&frame), node_hub_now(server));
        enum err e = hub_turn(server->hub, node_hub_now(server));
        if (err_class(e) == ERR_CLASS_FATAL || node_check_power(server)) {
            node_stop(server, e);
            break;
        }
        hub_next_frame(server->hub, peer, node_hub_now(server), &frame);
        if (frame.size)
            uplink_receive(node->uplink, buf_view(&frame), node_now(node), &effects);
    }
    buf_done(&frame);
    if (!server->running)
        return;
    hub_detach(server->hub, peer, node_hub_now(server));
    if (node->world->now_us > 0)
        hub_node_settle(server);
    else
        while (hub_next_effect(server->hub).kind != HUB_EFFECT_NONE)
            continue;
}

bool device_node_enrol_again(struct node *node, uint16_t user)
{
    struct world *world = node->world;
    struct node *server = &world->nodes[0];
    char request[120];
    struct uplink_enrolment enrolment = {.name = node->name, .platform = "sim"};
    struct uuid person, history;
    const char *login;
    node->user = user;
    snprintf(request, sizeof request, "{\"do\":\"enroll\",\"login\":\"u%u\",\"minutes\":10000}",
             user);
    const char *answer = hub_node_ask(server, request);
    const char *code = answer ? strstr(answer, "\"code\":\"") : NULL;
    if (!code || text_parse_hex(bytes_of(code + 8, 32), enrolment.code, 16) != ERR_OK)
        return false;
    seeded_fill(&node->seeded, node->identity.seed, 32);
    memset(node->identity.server_key, 7, 32);
    const struct uplink_config config = {
        .crypto = world->kit->crypto, .rng = &node->rng, .agent = "sim"};
    if (uplink_new(&config, &node->identity, &enrolment, &node->uplink) != ERR_OK)
        abort();
    exchange(node, server);
    bool enrolled =
        uplink_enrolled(node->uplink, &node->identity.device, &person, &history, &login) == ERR_OK;
    uplink_free(node->uplink);
    node->uplink = NULL;
    return enrolled;
}

void device_node_enrol(struct node *node, uint16_t user)
{
    if (!device_node_enrol_again(node, user))
        broken(node->world, "setting up", "%s could not be enrolled", node->name);
}
