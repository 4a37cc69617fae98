/* a session with headquarters: messages of an enrolled device that need not be honest.
 *
 * Input:   steps: which kind of message, and its fields, mostly from what the device knows; groups of
 *          its own outbox, whole, mutated or made up; local writes; time; restarts; frames with
 *          single bytes changed; bytes.
 * Asserts: headquarters' turn never fails; what it sends is well-formed and holds nothing of another
 *          branch; afterwards it verifies, starts again from its store with the same marks, and
 *          devices that behave sync and see exactly what it holds, a new one included; memory is
 *          bounded.
 * ctest: labels=asan */
#include "server/core/hub_internal.h"
#include "tests/fuzz/world.h"

enum { STEPS_MAX = 40 };

struct session {
    struct world world;
    struct hostile h;
    struct arena arena; /* of a step */
    size_t looked;      /* bytes of the feed that were searched */
    bool open;
};

static struct hub_now now(const struct session *s)
{
    int64_t ms = s->world.pair.now_ms;
    return (struct hub_now){{ms}, {ms * 1000}};
}

/* Reads all answers. */
static void settle(struct session *s)
{
    struct hostile *h = &s->h;
    hostile_settle(h);
    buf_reset(&h->feed);
    if (h->hung_up)
        s->open = false;
}

/* hostile.c keeps PAGE and CHECKPOINT frames without their borders: looked at one by one. */
static void read_all(struct session *s)
{
    struct hostile *h = &s->h;
    do {
        hostile_turn(h);
        for (;;) {
            buf_reset(&h->feed);
            if (!hostile_read_one(h))
                break;
            if (h->feed.size)
                world_no_secret(&s->world, buf_view(&h->feed));
        }
    } while (hub_has_work(h->pair->hub));
    settle(s);
}

static void connect(struct session *s, bool open)
{
    struct hostile *h = &s->h;
    hostile_end(h);
    hostile_attach(h, &s->world.pair, s->world.near);
    hostile_hello(h);
    if (!open)
        return;
    uint8_t signature[64];
    const struct message proof = hostile_proof(h, signature);
    hostile_send(h, &proof);
    read_all(s);
    s->open = h->received[MESSAGE_WELCOME] > 0;
}

/* --- pushes ----------------------------------------------------------------------------------- */

static void change_group(struct session *s, struct fuzz_input *in, struct group *group)
{
    struct world *w = &s->world;
    struct mutation *mutations =
        arena_calloc(&s->arena, group->mutation_count + 1u, sizeof *mutations);
    fuzz_check(mutations, "no memory");
    memcpy(mutations, group->mutations, group->mutation_count * sizeof *mutations);
    group->mutations = mutations;
    struct mutation *m = group->mutation_count ? &mutations[0] : NULL;
    struct group other;
    switch (fuzz_u8(in) % 8) {
    case 0: group->dot = pool_dot(&w->pool, in); break;
    case 1: group->stamp = pool_number(&w->pool, in); break;
    case 2: group->dot.tag ^= fuzz_u8(in); break;
    case 3: group->renamed = pool_dot(&w->pool, in); break;
    case 4:
        if (m)
            m->id = pool_id(&w->pool, in);
        break;
    case 5:
        if (m && m->op != MUTATION_INSERT)
            m->insert = pool_dot(&w->pool, in);
        break;
    default: /* other mutations under its dot */
        pool_group(&w->pool, in, w->pair.model, &s->arena, &other);
        group->mutations = other.mutations;
        group->mutation_count = other.mutation_count;
    }
}

/* The n-th group of the run: of the outbox, changed, or made up. */
static bool group_of(struct session *s, struct fuzz_input *in, const struct bytes *own,
                     uint32_t count, uint64_t oseq, struct bytes *ret)
{
    struct world *w = &s->world;
    struct group group;
    struct buf packed;
    uint8_t kind = fuzz_u8(in);
    uint32_t which = fuzz_u8(in);
    if (kind < 80 && count) {
        *ret = own[which % count];
        return true;
    }
    if (kind < 96) {
        *ret = fuzz_take(in, which);
        return ret->size > 0;
    }
    if (kind < 160 && count &&
        group_decode(w->pair.model, own[which % count], &s->arena, &group, NULL) == ERR_OK)
        change_group(s, in, &group);
    else
        pool_group(&w->pool, in, w->pair.model, &s->arena, &group);
    if (which < 200) /* the dot that belongs here */
        group.dot = (struct dot){s->h.origin, oseq, group.dot.tag};
    buf_init(&packed, 1 << 20);
    bool made = group_encode(&group, &packed) == ERR_OK &&
                arena_copy(&s->arena, buf_view(&packed), ret) == ERR_OK;
    if (made)
        pool_add_group(&w->pool, &group);
    buf_done(&packed);
    return made;
}

static void push(struct session *s, struct fuzz_input *in)
{
    struct hostile *h = &s->h;
    struct bytes groups[4];
    const struct bytes *own;
    uint32_t count, pushed = 0, wanted = 1 + fuzz_u8(in) % 4;
    uint64_t first, from = h->last_oseq + 1;
    uint8_t kind = fuzz_u8(in);
    fuzz_ok(
        replica_outbox(s->world.near->replica, 1, 1 << 20, 50, &s->arena, &own, &count, &first));
    if (kind < 64)
        from = count ? first : 1;
    else if (kind >= 192)
        from = pool_number(&s->world.pool, in);
    for (uint32_t i = 0; i < wanted; i++)
        if (group_of(s, in, own, count, from + pushed, &groups[pushed]))
            pushed++;
    if (pushed == 0)
        return;
    uint8_t signature[64];
    hostile_sign(h, from, groups, pushed, signature);
    if (kind % 16 == 15)
        signature[kind / 16] ^= 1;
    struct message message = {.type = MESSAGE_PUSH,
                              .as.push = {.origin = h->origin,
                                          .first = from,
                                          .groups = groups,
                                          .groups_count = pushed,
                                          .signature = bytes_of(signature, 64)}};
    if (kind % 32 == 30)
        message.as.push.origin = pool_number(&s->world.pool, in);
    hostile_send(h, &message);
    if (kind < 192)
        h->last_oseq = from + pushed - 1 > h->last_oseq ? from + pushed - 1 : h->last_oseq;
}

/* A group in pieces, perhaps not all of them or in another order. */
static void parts(struct session *s, struct fuzz_input *in)
{
    struct hostile *h = &s->h;
    struct bytes group;
    const struct bytes *own;
    uint32_t count;
    uint64_t first, oseq = h->last_oseq + 1;
    uint8_t kind = fuzz_u8(in), parts = (uint8_t)(2 + fuzz_u8(in) % 3), signature[64];
    fuzz_ok(
        replica_outbox(s->world.near->replica, 1, 1 << 20, 50, &s->arena, &own, &count, &first));
    if (!group_of(s, in, own, count, oseq, &group) || group.size < parts)
        return;
    if (kind >= 224)
        oseq = pool_number(&s->world.pool, in);
    hostile_sign(h, oseq, &group, 1, signature);
    size_t piece = group.size / parts;
    for (uint8_t i = 0; i < parts; i++) {
        uint8_t n = (uint8_t)(kind % 8 == 7 ? fuzz_u8(in) % (parts + 1) : i);
        size_t end = n + 1 == parts ? group.size : (n + 1u) * piece;
        if (end > group.size)
            end = group.size;
        size_t start = n * piece < end ? n * piece : end;
        struct message message = {.type = MESSAGE_PART,
                                  .as.part = {.origin = h->origin,
                                              .oseq = oseq,
                                              .part = n,
                                              .parts = parts,
                                              .total = group.size,
                                              .data = bytes_of(group.data + start, end - start),
                                              .signature = bytes_of(signature, 64)}};
        if (kind % 8 == 6)
            pool_change(&s->world.pool, in, &s->arena, &message);
        hostile_send(h, &message);
    }
    if (kind < 224)
        h->last_oseq = oseq;
}

/* --- other messages --------------------------------------------------------------------------- */

static void send_made(struct session *s, struct fuzz_input *in, enum message_type type)
{
    struct message message;
    struct buf payload, frame;
    pool_message(&s->world.pool, in, type, &s->arena, &message);
    buf_init(&payload, 2 << 20);
    buf_init(&frame, 2 << 20);
    if (frame_encode(&message, fuzz_u8(in) % 2 ? s->h.deflater : NULL, &payload, &frame) == ERR_OK)
        hostile_send_bytes(&s->h, buf_view(&frame));
    buf_done(&payload);
    buf_done(&frame);
}

static void subscribe(struct session *s, struct fuzz_input *in)
{
    struct message message;
    uint8_t kind = fuzz_u8(in);
    if (kind < 128) { /* as an honest device would */
        const struct bucket_position *cursors;
        uint32_t count;
        bool reconcile;
        fuzz_ok(replica_cursors(s->world.near->replica, &s->arena, &cursors, &count, &reconcile));
        message = (struct message){.type = MESSAGE_SUBSCRIBE,
                                   .as.subscribe = {.scope = replica_scope(s->world.near->replica),
                                                    .cursors = cursors,
                                                    .cursors_count = count,
                                                    .credit = 1 << 20,
                                                    .reconcile = kind % 3}};
        if (kind >= 64)
            pool_change(&s->world.pool, in, &s->arena, &message);
        hostile_send(&s->h, &message);
    } else {
        send_made(s, in, MESSAGE_SUBSCRIBE);
    }
}

/* A comparison as an honest device would begin it, or nearly. */
static void ranges(struct session *s, struct fuzz_input *in)
{
    const struct hub *hub = s->world.pair.hub;
    struct message message = {.type = MESSAGE_SUBSCRIBE,
                              .as.subscribe = {.scope = 1, .credit = 1 << 16, .reconcile = 2}};
    uint8_t kind = fuzz_u8(in), bits = fuzz_u8(in) % 10;
    struct range_name numbers[4];
    uint32_t count = 1 + kind % 4;
    if (kind < 160) {
        hostile_send(&s->h, &message);
        hostile_settle(&s->h);
    }
    const struct bucket *bucket = hub->buckets[fuzz_u8(in) % hub->bucket_count];
    for (uint32_t i = 0; i < count; i++)
        numbers[i].number = i;
    message.type = MESSAGE_RANGES;
    message.as.ranges = (struct message_ranges){.bucket = bucket->number,
                                                .position = bucket->head,
                                                .salt = fuzz_u8(in),
                                                .depth = count > 1 ? 2 + kind % 50 : 0,
                                                .bits = bits,
                                                .numbers = numbers,
                                                .numbers_count = count,
                                                .rows = kind % 2,
                                                .last = kind % 5 == 0};
    size_t size = (size_t)count << bits << 3;
    uint8_t *sums = arena_calloc(&s->arena, size, 1);
    fuzz_check(sums != NULL, "memory");
    message.as.ranges.sums = bytes_of(sums, size);
    if (kind % 7 == 0)
        pool_change(&s->world.pool, in, &s->arena, &message);
    hostile_send(&s->h, &message);
}

static void send_bytes(struct session *s, struct fuzz_input *in)
{
    struct bytes taken = fuzz_take(in, fuzz_u8(in));
    struct buf frame;
    uint8_t head[FRAME_HEADER_SIZE] = {fuzz_u8(in) % 32, 0};
    buf_init(&frame, 1024);
    be32_put(head + 2, (uint32_t)taken.size);
    fuzz_ok(buf_append(&frame, head, sizeof head));
    fuzz_ok(buf_append(&frame, taken.data, taken.size));
    hostile_send_bytes(&s->h, buf_view(&frame));
    buf_done(&frame);
}

static void time_passes(struct session *s, struct fuzz_input *in)
{
    static const int64_t steps[] = {1, 1000, 5000, 31000, 46000, 3600000, -5000, 86400000};
    s->world.pair.now_ms += steps[fuzz_u8(in) % 8];
    hub_tick(s->world.pair.hub, now(s));
}

static void administrator(struct session *s, struct fuzz_input *in)
{
    static const char *const requests[] = {
        "{\"do\":\"user-set\",\"login\":\"near\",\"role\":\"manager\"}",
        "{\"do\":\"user-set\",\"login\":\"near\",\"role\":\"rep\"}",
        "{\"do\":\"user-set\",\"login\":\"far\",\"branch\":\"south\"}",
        "{\"do\":\"archived\",\"marks\":{}}",
        "{\"do\":\"status\"}",
        "{\"do\":\"devices\"}",
    };
    fuzz_check(strstr(world_ask(&s->world, requests[fuzz_u8(in) % 6]), "\"ok\":"), "an answer");
}

static void step(struct session *s, struct fuzz_input *in)
{
    static const enum message_type others[] = {
        MESSAGE_CREDIT, MESSAGE_PING,      MESSAGE_PONG,    MESSAGE_DISCARD,
        MESSAGE_HELLO,  MESSAGE_PROVE,     MESSAGE_ENROL,   MESSAGE_PUSH,
        MESSAGE_PART,   MESSAGE_SUBSCRIBE, MESSAGE_DISCARD, MESSAGE_WELCOME,
        MESSAGE_RANGES, MESSAGE_ACK,       MESSAGE_FAILURE, MESSAGE_CHECKPOINT};
    uint8_t kind = fuzz_u8(in);
    if (kind < 64) {
        push(s, in);
    } else if (kind < 96) {
        world_write(&s->world, s->world.near, in);
        world_learn(&s->world, s->world.near);
    } else if (kind < 128) {
        subscribe(s, in);
    } else if (kind < 134) {
        ranges(s, in);
    } else if (kind < 144) {
        parts(s, in);
    } else if (kind < 192) {
        send_made(s, in, others[kind % 16]);
    } else if (kind < 200) {
        send_bytes(s, in);
    } else if (kind < 216) {
        connect(s, kind % 8 != 7);
    } else if (kind < 224) {
        time_passes(s, in);
    } else if (kind < 236) {
        world_write(&s->world, s->world.boss, in);
        pair_sync(&s->world.pair, s->world.boss);
    } else if (kind < 240) {
        hostile_end(&s->h);
        memset(&s->h, 0, sizeof s->h); /* ended once is enough */
        pair_restart_hub(&s->world.pair);
        connect(s, true);
    } else if (kind < 248) {
        administrator(s, in);
    } else {
        read_all(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session s = {.open = false};
    struct fuzz_input in = fuzz_input_of(data, size);
    world_start(&s.world);
    fuzz_begin(FUZZ_MEMORY_MAX);
    arena_init(&s.arena, 16 << 20);
    hostile_attach(&s.h, &s.world.pair, s.world.near);
    connect(&s, true);
    for (int i = 0; i < STEPS_MAX && fuzz_more(&in); i++) {
        arena_reset(&s.arena);
        step(&s, &in);
        if (fuzz_u8(&in) % 4 == 0) /* often several messages come before a turn */
            read_all(&s);
    }
    read_all(&s);
    hostile_end(&s.h);
    world_is_whole(&s.world);
    arena_done(&s.arena);
    world_end(&s.world);
    fuzz_end(1 << 20); /* libcrypto keeps tables; leaks are the sanitizer's to find */
    return 0;
}
