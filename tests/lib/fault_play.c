#include "tests/lib/fault_play.h"

#include "tests/lib/failing_alloc.h"

static struct hub_now hub_time(const struct fault_play *play)
{
    return (struct hub_now){{play->pair.now_ms}, {play->pair.now_ms * 1000}};
}

static struct now device_time(const struct fault_play *play)
{
    return (struct now){{play->pair.now_ms}, {play->pair.now_ms * 1000}};
}

void fault_play_restart_hub(struct fault_play *play)
{
    struct err_info info;
    for (uint32_t i = 0; i < play->pair.device_count; i++)
        pair_cut(&play->pair, &play->pair.devices[i]);
    hub_close(play->pair.hub);
    for (int tries = 0;; tries++) { /* the failure may lie in the start itself */
        enum err e = hub_open(&play->pair.config, hub_time(play), &play->pair.hub, &info);
        if (e == ERR_OK)
            return;
        assert_true(tries < 3);
    }
}

void fault_play_turn(struct fault_play *play)
{
    for (int i = 0; i < 100; i++) {
        hub_tick(play->pair.hub, hub_time(play));
        if (play->shortage_at)
            failing_alloc_start_forever(play->shortage_at);
        enum err e = hub_turn(play->pair.hub, hub_time(play));
        if (play->shortage_at && failing_alloc_stop())
            play->shortage_at = 0;
        if (e != ERR_OK) {
            assert_int_equal(err_class(e), ERR_CLASS_FATAL);
            play->turns_failed++;
            fault_play_restart_hub(play);
            return;
        }
        if (!hub_has_work(play->pair.hub)) {
            int64_t at = hub_deadline(play->pair.hub);
            if (at == 0 || at > (play->pair.now_ms + 150) * 1000)
                return;
            play->turns_failed++;
            play->pair.now_ms += 150; /* it failed for now: the batch is done again */
        }
    }
    fail_msg("the hub has work without end");
}

/* The device's end of a session; whatever the reason, it may try again. */
static void session_ended(struct fault_play *play, struct pair_device *device,
                          const struct uplink_effects *effects)
{
    play->sessions_lost += effects->why != ERR_OK;
    if (err_class(effects->why) == ERR_CLASS_FATAL)
        pair_restart_device(&play->pair, device);
    else
        pair_cut(&play->pair, device);
    device->why = effects->why;
}

/* Checking an attachment, say: a deadline that is now. */
static bool work(struct fault_play *play, struct pair_device *device)
{
    struct uplink_effects effects = {0};
    if (!device->up || !uplink_works(device->uplink))
        return false;
    uplink_tick(device->uplink, device_time(play), &effects);
    if (effects.hang_up)
        session_ended(play, device, &effects);
    return true;
}

static bool exchange(struct fault_play *play, struct pair_device *device)
{
    struct buf frame;
    struct uplink_effects effects = {0};
    bool moved = work(play, device);
    buf_init(&frame, FRAME_MAX);
    while (device->up) {
        uplink_next_frame(device->uplink, device_time(play), &frame, &effects);
        if (frame.size)
            hub_receive(play->pair.hub, device->peer, buf_view(&frame), hub_time(play));
        moved |= frame.size > 0;
        if (effects.hang_up)
            session_ended(play, device, &effects);
        if (frame.size == 0)
            break;
    }
    fault_play_turn(play);
    while (device->up) {
        hub_next_frame(play->pair.hub, device->peer, hub_time(play), &frame);
        if (frame.size == 0)
            break;
        moved = true;
        uplink_receive(device->uplink, buf_view(&frame), device_time(play), &effects);
        if (effects.hang_up)
            session_ended(play, device, &effects);
    }
    bool hang_up = false;
    for (struct hub_effect e; (e = hub_next_effect(play->pair.hub)).kind != HUB_EFFECT_NONE;)
        hang_up |= e.kind == HUB_EFFECT_HANG_UP && e.context == device;
    buf_done(&frame);
    if (hang_up && device->up) {
        const struct uplink_effects lost = {.why = ERR_LINK};
        session_ended(play, device, &lost);
    }
    return moved;
}

void fault_play_live(struct fault_play *play, struct pair_device *device)
{
    while (device->up && exchange(play, device))
        continue;
}

void fault_play_sync(struct fault_play *play, struct pair_device *device)
{
    for (int tries = 0; tries < 6; tries++) {
        struct hub_now now = hub_time(play);
        struct uplink_effects effects;
        const struct uplink_config config = {.replica = device->replica,
                                             .crypto = play->pair.crypto,
                                             .rng = &play->pair.rng,
                                             .agent = "test",
                                             .once = true};
        play->pair.now_ms++;
        uplink_free(device->uplink);
        device->uplink = NULL;
        if (uplink_new(&config, &device->identity, NULL, &device->uplink) != ERR_OK)
            continue;
        if (hub_attach(play->pair.hub, device, now, &device->peer) != ERR_OK)
            continue;
        device->up = true;
        uplink_link_up(device->uplink, device_time(play), &effects);
        while (device->up && exchange(play, device))
            continue;
        if (device->up) { /* a lost answer: the link would time out */
            const struct uplink_effects lost = {.why = ERR_TIMEOUT};
            session_ended(play, device, &lost);
        }
        if (device->why == ERR_OK)
            return;
    }
    fail_msg("six sessions in a row ended with %s", err_name(device->why));
}
