/* a session of a device with a server that need not be honest (it has the right key).
 *
 * Input:   steps: frames of the real headquarters that come as they are, changed in a field or a
 *          byte, twice, not at all; messages and pages made up; local writes; others' writes; time;
 *          the link going down; the device starting again.
 * Asserts: local writes go on; own groups stay, in order, until the server says that they are
 *          decided; memory is what the store holds (a restart changes nothing); nothing is sent
 *          after hanging up, and nothing but HELLO and PROVE before the WELCOME; an honest
 *          headquarters afterwards brings the device back to exactly what it holds; memory is bounded.
 * ctest: labels=asan */
#include "tests/fuzz/world.h"

enum { STEPS_MAX = 40, FRAMES_MAX = 4000 };

struct session {
    struct world world;
    struct pair_device *device;
    struct arena arena; /* of a step */
    struct inflater *inflater;
    struct deflater *deflater;
    struct buf inflated, payload, frame;
    bool misled; /* about what became of its own groups: no honest server can know of that */
};

static struct hub_now hub_now(const struct session *s)
{
    int64_t ms = s->world.pair.now_ms;
    return (struct hub_now){{ms}, {ms * 1000}};
}

static struct now device_now(const struct session *s)
{
    int64_t ms = s->world.pair.now_ms;
    return (struct now){{ms + s->device->skew_ms}, {ms * 1000}};
}

static void ended(struct session *s, const struct uplink_effects *effects)
{
    struct pair_device *d = s->device;
    struct uplink_effects ignored;
    fuzz_check(effects->why == ERR_OK || effects->message[0], "%s without a word",
               err_name(effects->why));
    fuzz_check(err_class(effects->why) != ERR_CLASS_BUG, "%s", effects->message);
    d->why = effects->why;
    d->ended = true;
    buf_reset(&s->frame);
    uplink_next_frame(d->uplink, device_now(s), &s->frame, &ignored);
    fuzz_check(s->frame.size == 0 || !effects->hang_up, "a frame after hanging up");
    if (d->peer)
        hub_detach(s->world.pair.hub, d->peer, hub_now(s));
    d->peer = NULL;
    d->up = false;
    uplink_link_down(d->uplink, device_now(s), &ignored);
}

static void connect(struct session *s, bool once)
{
    const struct uplink_effects down = {.why = ERR_LINK, .message = "cut"};
    if (s->device->up)
        ended(s, &down);
    pair_connect(&s->world.pair, s->device, once);
}

static void receive(struct session *s, struct bytes frame)
{
    struct uplink_effects effects;
    uint8_t *copy = fuzz_copy(frame);
    if (s->device->up) {
        uplink_receive(s->device->uplink, bytes_of(copy, frame.size), device_now(s), &effects);
        if (effects.hang_up)
            ended(s, &effects);
    }
    free(copy);
}

/* What headquarters has not said. */
static void receive_false(struct session *s, struct bytes frame)
{
    struct replica_status before = {0}, after = {0};
    replica_status(s->device->replica, &before);
    receive(s, frame);
    replica_status(s->device->replica, &after);
    s->misled |= before.decided_upto != after.decided_upto ||
                 before.outbox_count != after.outbox_count ||
                 before.parked_count != after.parked_count;
}

static void send(struct session *s, const struct message *message, bool deflated)
{
    if (frame_encode(message, deflated ? s->deflater : NULL, &s->payload, &s->frame) == ERR_OK)
        receive_false(s, buf_view(&s->frame));
}

/* --- frames ----------------------------------------------------------------------------------- */

/* One frame up; false: there is none. */
static bool up(struct session *s)
{
    struct uplink_effects effects;
    struct message message;
    struct pair_device *d = s->device;
    if (!d->up)
        return false;
    struct uplink_progress progress;
    uplink_progress(d->uplink, &progress);
    buf_reset(&s->frame);
    uplink_next_frame(d->uplink, device_now(s), &s->frame, &effects);
    bool any = s->frame.size > 0;
    if (any) {
        fuzz_ok(frame_decode(buf_view(&s->frame), true, s->inflater, &s->inflated, &s->arena,
                             &message));
        fuzz_check(progress.authenticated || message_before_auth(message.type) ||
                       message.type == MESSAGE_PONG,
                   "%s before the welcome", message_name(message.type));
        pool_add_message(&s->world.pool, &message);
        hub_receive(s->world.pair.hub, d->peer, buf_view(&s->frame), hub_now(s));
    }
    if (d->up && effects.hang_up)
        ended(s, &effects);
    return any;
}

static void turn(struct session *s)
{
    struct pair *pair = &s->world.pair;
    pair->now_ms++;
    for (int i = 0; i < 1000 && hub_has_work(pair->hub); i++)
        fuzz_ok(hub_turn(pair->hub, hub_now(s)));
    while (hub_next_effect(pair->hub).kind != HUB_EFFECT_NONE)
        continue;
}

/* Delivers a frame of headquarters as the input says. */
static void deliver(struct session *s, struct bytes frame, struct fuzz_input *in)
{
    struct message message;
    uint8_t kind = in ? fuzz_u8(in) : 0;
    fuzz_ok(frame_decode(frame, true, s->inflater, &s->inflated, &s->arena, &message));
    pool_add_message(&s->world.pool, &message);
    if (message.type == MESSAGE_CHECKPOINT && kind >= 144)
        s->misled = true; /* its results may be lost */
    if (kind < 144) {
        receive(s, frame);
    } else if (kind < 208) {
        pool_change(&s->world.pool, in, &s->arena, &message);
        send(s, &message, kind % 2);
    } else if (kind < 224) {
        uint8_t *copy = fuzz_copy(frame);
        copy[fuzz_u16(in) % frame.size] ^= (uint8_t)(1u << kind % 8);
        receive_false(s, bytes_of(copy, frame.size));
        free(copy);
    } else if (kind < 240) {
        receive(s, frame);
        receive(s, frame);
    } /* else it is lost */
}

/* One frame down; false: there is none. */
static bool down(struct session *s, struct fuzz_input *in)
{
    struct pair_device *d = s->device;
    struct buf frame;
    if (!d->up || !d->peer)
        return false;
    buf_init(&frame, FRAME_MAX);
    hub_next_frame(s->world.pair.hub, d->peer, hub_now(s), &frame);
    bool any = frame.size > 0;
    if (any)
        deliver(s, buf_view(&frame), in);
    buf_done(&frame);
    return any;
}

/* A deadline that is now: an attachment is checked. */
static bool work(struct session *s)
{
    struct uplink_effects effects;
    if (!s->device->up || !uplink_works(s->device->uplink))
        return false;
    uplink_tick(s->device->uplink, device_now(s), &effects);
    if (effects.hang_up)
        ended(s, &effects);
    return true;
}

/* Up to `count` frames, or until nothing moves. in NULL: honestly. */
static void exchange(struct session *s, struct fuzz_input *in, unsigned count)
{
    for (bool moved = true; moved && count > 0;) {
        moved = work(s);
        count -= moved;
        while (count > 0 && up(s)) {
            moved = true;
            count--;
        }
        turn(s);
        while (count > 0 && down(s, in)) {
            moved = true;
            count--;
        }
    }
}

/* --- made up ---------------------------------------------------------------------------------- */

static void page(struct session *s, struct fuzz_input *in)
{
    struct world *w = &s->world;
    uint64_t from = pool_number(&w->pool, in), to;
    uint8_t kind = fuzz_u8(in);
    struct bytes body = pool_page(&w->pool, in, w->pair.model, from, &s->arena, &to);
    uint64_t bucket = kind < 192 ? 1u + kind % 4u : pool_number(&w->pool, in);
    uint64_t live = fuzz_u8(in) % 3;
    struct message message = {
        .type = MESSAGE_PAGE,
        .as.page = {.bucket = bucket, .from = from, .to = to, .live = live, .body = body}};
    send(s, &message, false);
}

static void made(struct session *s, struct fuzz_input *in)
{
    static const enum message_type types[] = {
        MESSAGE_CHECKPOINT, MESSAGE_CHECKPOINT, MESSAGE_ACK,     MESSAGE_FORK,
        MESSAGE_PING,       MESSAGE_PONG,       MESSAGE_WELCOME, MESSAGE_CHALLENGE,
        MESSAGE_FAILURE,    MESSAGE_ENROLLED,   MESSAGE_PAGE,    MESSAGE_CHECKPOINT,
        MESSAGE_ACK,        MESSAGE_CREDIT,     MESSAGE_WELCOME, MESSAGE_DIFFERENCES};
    struct message message;
    pool_message(&s->world.pool, in, types[fuzz_u8(in) % 16], &s->arena, &message);
    send(s, &message, fuzz_u8(in) % 2);
}

/* --- what must hold --------------------------------------------------------------------------- */

static void outbox_is_whole(struct session *s)
{
    struct replica_status status = {0};
    const struct bytes *groups;
    struct group head;
    uint32_t count;
    uint64_t first;
    replica_status(s->device->replica, &status);
    fuzz_ok(
        replica_outbox(s->device->replica, 1, 1 << 22, 1000, &s->arena, &groups, &count, &first));
    for (uint32_t i = 0; i < count; i++) {
        fuzz_ok(group_peek(groups[i], &head));
        fuzz_check(head.dot.origin == status.origin && head.dot.oseq == first + i,
                   "group %llu is where %llu should be", (unsigned long long)head.dot.oseq,
                   (unsigned long long)(first + i));
    }
    if (status.outbox_count > 0)
        fuzz_check(count > 0 && first + count - 1 == status.last_oseq,
                   "%u groups from %llu, the last is %llu", count, (unsigned long long)first,
                   (unsigned long long)status.last_oseq);
}

static void restart(struct session *s)
{
    struct replica_status before, after;
    const struct uplink_effects down = {.why = ERR_LINK, .message = "cut"};
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    replica_drop_live(s->device->replica);
    replica_status(s->device->replica, &before);
    if (s->device->up)
        ended(s, &down);
    pair_restart_device(&s->world.pair, s->device);
    replica_status(s->device->replica, &after);
    fuzz_check(before.origin == after.origin && before.last_oseq == after.last_oseq &&
                   before.decided_upto == after.decided_upto && before.scope == after.scope,
               "origin %llx, last %llu, decided %llu, scope %llu; then %llx, %llu, %llu, %llu",
               (unsigned long long)before.origin, (unsigned long long)before.last_oseq,
               (unsigned long long)before.decided_upto, (unsigned long long)before.scope,
               (unsigned long long)after.origin, (unsigned long long)after.last_oseq,
               (unsigned long long)after.decided_upto, (unsigned long long)after.scope);
    fuzz_check(
        before.outbox_count == after.outbox_count && before.parked_count == after.parked_count &&
            before.sent_count == after.sent_count &&
            before.attention_count == after.attention_count && before.records == after.records,
        "outbox %llu, parked %llu, sent %llu, attention %llu, records %llu; then %llu, %llu, "
        "%llu, %llu, %llu",
        (unsigned long long)before.outbox_count, (unsigned long long)before.parked_count,
        (unsigned long long)before.sent_count, (unsigned long long)before.attention_count,
        (unsigned long long)before.records, (unsigned long long)after.outbox_count,
        (unsigned long long)after.parked_count, (unsigned long long)after.sent_count,
        (unsigned long long)after.attention_count, (unsigned long long)after.records);
    fuzz_check(before.bootstrapped == after.bootstrapped && before.reconcile == after.reconcile &&
                   before.differs == after.differs,
               "bootstrapped %d, reconcile %d, differs %d; then %d, %d, %d", before.bootstrapped,
               before.reconcile, before.differs, after.bootstrapped, after.reconcile,
               after.differs);
}

/* --- steps ------------------------------------------------------------------------------------ */

static void tick(struct session *s, struct fuzz_input *in)
{
    static const int64_t steps[] = {1, 1000, 11000, 31000, 46000, 3600000};
    struct uplink_effects effects;
    s->world.pair.now_ms += steps[fuzz_u8(in) % 6];
    if (!s->device->up)
        return;
    uplink_tick(s->device->uplink, device_now(s), &effects);
    if (effects.hang_up)
        ended(s, &effects);
}

static void step(struct session *s, struct fuzz_input *in)
{
    struct uplink_effects effects;
    uint8_t kind = fuzz_u8(in);
    if (kind < 80) {
        exchange(s, in, kind % 16 + 1);
    } else if (kind < 112) {
        page(s, in);
    } else if (kind < 160) {
        made(s, in);
    } else if (kind < 192) {
        world_write(&s->world, s->device, in);
        world_learn(&s->world, s->device);
        if (s->device->up)
            uplink_local_change(s->device->uplink, device_now(s), &effects);
    } else if (kind < 208) {
        world_write(&s->world, s->world.boss, in);
        world_learn(&s->world, s->world.boss);
        pair_sync(&s->world.pair, s->world.boss);
    } else if (kind < 224) {
        tick(s, in);
    } else if (kind < 232) {
        restart(s);
        connect(s, false);
    } else if (kind < 248) {
        connect(s, kind % 2);
        exchange(s, NULL, kind % 8);
    } else {
        exchange(s, NULL, 100);
    }
    outbox_is_whole(s);
}

struct comparison {
    struct session *s;
    const struct model_table *table;
};

static int same_row(void *context, const struct uuid *id)
{
    const struct comparison *c = context;
    struct session *s = c->s;
    struct store_row here, there;
    char text[UUID_TEXT_SIZE];
    uuid_format(id, text);
    fuzz_ok(store_row_get(s->device->store, c->table, id, &s->arena, &here));
    enum err e = store_row_get(s->world.pair.hub_store, c->table, id, &s->arena, &there);
    fuzz_check(e == ERR_OK && !there.dead, "%s %s is not at headquarters", c->table->name, text);
    for (uint16_t i = 0; i < c->table->column_count; i++)
        fuzz_check(value_equal(&here.values[i], &there.values[i]), "%s %s differs in %s",
                   c->table->name, text, c->table->columns[i].name);
    fuzz_check(bytes_equal(here.version, there.version), "%s %s has another version",
               c->table->name, text);
    return 0;
}

/* The server is honest again. */
static void recovers(struct session *s)
{
    struct replica_status status = {0};
    for (int i = 0; i < 8; i++) {
        connect(s, true);
        exchange(s, NULL, FRAMES_MAX);
        fuzz_check(s->device->ended, "the session does not end");
        replica_status(s->device->replica, &status);
        if (s->device->why == ERR_OK && !status.reconcile && !status.differs)
            break;
    }
    if (s->device->why != ERR_OK || status.outbox_count > 0 || s->misled)
        return; /* it may have been told that it is of another customer file, or the like */
    fuzz_check(!status.reconcile && !status.differs, "it never agrees");
    fuzz_ok(store_begin(s->device->store, STORE_READ));
    fuzz_ok(store_begin(s->world.pair.hub_store, STORE_READ));
    for (uint16_t i = 0; i < s->world.pair.model->table_count; i++) {
        struct comparison c = {s, &s->world.pair.model->tables[i]};
        arena_reset(&s->arena);
        fuzz_ok(store_row_scan(s->device->store, c.table, NULL, same_row, &c));
    }
    store_rollback(s->device->store);
    store_rollback(s->world.pair.hub_store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session s = {.device = NULL};
    struct fuzz_input in = fuzz_input_of(data, size);
    world_start(&s.world);
    fuzz_begin(FUZZ_MEMORY_MAX);
    s.device = s.world.near;
    arena_init(&s.arena, 32 << 20);
    buf_init(&s.inflated, FRAME_INFLATED_MAX);
    buf_init(&s.payload, FRAME_INFLATED_MAX + 4096);
    buf_init(&s.frame, 2 * FRAME_MAX);
    fuzz_ok(inflater_new(&s.inflater));
    fuzz_ok(deflater_new(1, &s.deflater));
    connect(&s, false);
    exchange(&s, NULL, fuzz_u8(&in) % 32);
    for (int i = 0; i < STEPS_MAX && fuzz_more(&in); i++) {
        arena_reset(&s.arena);
        step(&s, &in);
    }
    restart(&s);
    arena_reset(&s.arena);
    recovers(&s);
    inflater_free(s.inflater);
    deflater_free(s.deflater);
    buf_done(&s.inflated);
    buf_done(&s.payload);
    buf_done(&s.frame);
    arena_done(&s.arena);
    world_end(&s.world);
    fuzz_end(1 << 20); /* libcrypto keeps tables; leaks are the sanitizer's to find */
    return 0;
}
