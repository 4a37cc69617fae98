#include "tests/lib/fault_branch.h"

#include "tests/lib/failing_alloc.h"

enum { RETRY_MS = 150, TURNS_MAX = 100, ROUNDS_MAX = 4000, CONNECTS_MAX = 60, STARTS_MAX = 4 };

/* What is ours does not fail, nor what others do whose turn it is not. */
static void enter(const struct fault_branch *world, enum fault_side side)
{
    (void)failing_alloc_pause(!(world->sides & side));
}

static void leave(void)
{
    (void)failing_alloc_pause(true);
}

static enum fault_side side_of(const struct pair_device *device)
{
    return device->serves ? FAULT_BRANCHES : FAULT_DEVICES;
}

void fault_branch_restart(struct fault_branch *world, struct pair_branch *branch)
{
    struct pair *p = &world->play->pair;
    enum err e = ERR_NOMEM;
    bool was = failing_alloc_pause(true);
    for (uint32_t i = 0; i < p->device_count; i++)
        if (p->devices[i].at == branch)
            pair_cut(p, &p->devices[i]);
    pair_cut(p, branch->link);
    pair_close_branch(branch);
    uplink_free(branch->link->uplink);
    branch->link->uplink = NULL;
    for (int tries = 0; e != ERR_OK; tries++) {
        assert_true(tries < STARTS_MAX);
        replica_close(branch->link->replica);
        branch->link->replica = NULL;
        enter(world, FAULT_BRANCHES);
        e = pair_try_open_device(p, branch->link);
        if (e == ERR_OK)
            e = pair_try_serve(p, branch);
        leave();
    }
    (void)failing_alloc_pause(was);
}

static void session_ended(struct fault_branch *world, struct pair_device *device, enum err why)
{
    struct pair *p = &world->play->pair;
    world->play->sessions_lost++;
    pair_cut(p, device);
    device->why = why;
    if (err_class(why) != ERR_CLASS_FATAL)
        return;
    if (device->serves)
        fault_branch_restart(world, device->serves);
    else
        pair_restart_device(p, device);
}

/* ---- one round ---- */

static bool send_up(struct fault_branch *world, struct pair_device *device)
{
    struct pair *p = &world->play->pair;
    struct buf frame;
    struct uplink_effects effects = {0};
    bool moved = false;
    buf_init(&frame, FRAME_MAX);
    while (device->up) {
        enter(world, side_of(device));
        uplink_next_frame(device->uplink, pair_device_now(p, device), &frame, &effects);
        leave();
        moved |= frame.size > 0;
        if (frame.size) {
            enter(world, device->at ? FAULT_BRANCHES : FAULT_HEADQUARTERS);
            hub_receive(pair_server(p, device), device->peer, buf_view(&frame), pair_hub_now(p));
            leave();
        }
        if (effects.hang_up)
            session_ended(world, device, effects.why);
        if (frame.size == 0)
            break;
    }
    buf_done(&frame);
    return moved;
}

static bool receive(struct fault_branch *world, struct pair_device *device)
{
    struct pair *p = &world->play->pair;
    struct buf frame;
    struct uplink_effects effects = {0};
    bool moved = false;
    buf_init(&frame, FRAME_MAX);
    while (device->up) {
        enter(world, device->at ? FAULT_BRANCHES : FAULT_HEADQUARTERS);
        hub_next_frame(pair_server(p, device), device->peer, pair_hub_now(p), &frame);
        leave();
        if (frame.size == 0)
            break;
        moved = true;
        enter(world, side_of(device));
        uplink_receive(device->uplink, buf_view(&frame), pair_device_now(p, device), &effects);
        leave();
        if (effects.hang_up)
            session_ended(world, device, effects.why);
    }
    buf_done(&frame);
    return moved;
}

/* branch NULL: headquarters. Whether it did something. */
static bool turns(struct fault_branch *world, struct pair_branch *branch)
{
    struct pair *p = &world->play->pair;
    bool moved = false;
    for (int i = 0; i < TURNS_MAX; i++) {
        struct hub *hub = branch ? branch->hub : p->hub;
        enter(world, branch ? FAULT_BRANCHES : FAULT_HEADQUARTERS);
        hub_tick(hub, pair_hub_now(p));
        bool work = hub_has_work(hub);
        enum err e = hub_turn(hub, pair_hub_now(p));
        leave();
        moved |= work;
        if (e != ERR_OK) {
            assert_int_equal(err_class(e), ERR_CLASS_FATAL);
            world->play->turns_failed++;
            if (branch)
                fault_branch_restart(world, branch);
            else
                fault_play_restart_hub(world->play);
            return true;
        }
        if (hub_has_work(hub))
            continue;
        int64_t at = hub_deadline(hub);
        if (at == 0 || at > (p->now_ms + RETRY_MS) * 1000)
            return moved;
        world->play->turns_failed++;
        p->now_ms += RETRY_MS; /* it failed for now: the batch is done again */
    }
    fail_msg("a hub has work without end");
    return false;
}

static bool take_effects(struct fault_branch *world, struct hub *hub)
{
    struct pair *p = &world->play->pair;
    bool moved = false;
    for (struct hub_effect effect; (effect = hub_next_effect(hub)).kind != HUB_EFFECT_NONE;) {
        struct pair_device *device = effect.context;
        moved |= effect.kind == HUB_EFFECT_WANT_WRITE && device->up;
        if (effect.kind != HUB_EFFECT_HANG_UP || !device->up)
            continue;
        (void)receive(world, device);
        if (device->up)
            pair_cut(p, device);
        return true; /* the hub may be another one now */
    }
    return moved;
}

static bool round_of(struct fault_branch *world)
{
    struct pair *p = &world->play->pair;
    bool moved = false;
    p->now_ms++;
    for (uint32_t i = 0; i < p->device_count; i++)
        moved |= send_up(world, &p->devices[i]);
    moved |= turns(world, NULL);
    for (uint32_t i = 0; i < p->branch_count; i++)
        moved |= turns(world, &p->branches[i]);
    for (uint32_t i = 0; i < p->device_count; i++)
        moved |= receive(world, &p->devices[i]);
    moved |= take_effects(world, p->hub);
    for (uint32_t i = 0; i < p->branch_count; i++)
        moved |= take_effects(world, p->branches[i].hub);
    return moved;
}

static bool all_there(const struct fault_branch *world)
{
    const struct pair *p = &world->play->pair;
    for (uint32_t i = 0; i < p->device_count; i++)
        if (!p->devices[i].up && !world->away[i])
            return false;
    return true;
}

static void connect_all(struct fault_branch *world, uint32_t *connects)
{
    struct pair *p = &world->play->pair;
    for (uint32_t i = 0; i < p->device_count; i++) {
        struct pair_device *device = &p->devices[i];
        if (device->up || world->away[i])
            continue;
        if (++*connects > CONNECTS_MAX)
            fail_msg("device %u does not stay: %s", i, err_name(device->why));
        enter(world, side_of(device));
        (void)pair_try_connect(p, device, false); /* else in the next round */
        leave();
    }
}

void fault_branch_run(struct fault_branch *world)
{
    bool was = failing_alloc_pause(true);
    uint32_t connects = 0;
    for (int i = 0; i < ROUNDS_MAX; i++) {
        connect_all(world, &connects);
        if (!round_of(world) && all_there(world)) {
            (void)failing_alloc_pause(was);
            return;
        }
    }
    fail_msg("rounds without end");
}

/* ---- the end ---- */

void fault_branch_meet(struct fault_branch *world)
{
    struct pair *p = &world->play->pair;
    for (int round = 0; round < 2; round++)
        for (int links = 1; links >= 0; links--)
            for (uint32_t i = 0; i < p->device_count; i++) {
                struct pair_device *device = &p->devices[i];
                if ((device->serves != NULL) != (links == 1) || (round && device->up))
                    continue;
                pair_cut(p, device);
                if (world->away[i])
                    continue;
                pair_connect(p, device, false);
                pair_run(p);
            }
}

void fault_branch_assert_settled(struct fault_branch *world)
{
    struct pair *p = &world->play->pair;
    for (uint32_t i = 0; i < p->device_count; i++) {
        struct pair_device *device = &p->devices[i];
        if (world->away[i])
            continue;
        if (!device->up || replica_pending_count(device->replica))
            fail_msg("device %u (%s): %u groups of others wait", i, err_name(device->why),
                     (unsigned)replica_pending_count(device->replica));
        pair_assert_equal(p, device);
    }
}
