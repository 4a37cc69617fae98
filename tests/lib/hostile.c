#include "tests/lib/hostile.h"

static struct hub_now hub_now(const struct hostile *h)
{
    return (struct hub_now){{h->pair->now_ms}, {h->pair->now_ms * 1000}};
}

/* The branch at which the device connects, or headquarters. */
static struct hub *hub_of(const struct hostile *h)
{
    return pair_server(h->pair, h->device);
}

void hostile_attach(struct hostile *h, struct pair *pair, struct pair_device *device)
{
    struct replica_status status = {0};
    memset(h, 0, sizeof *h);
    h->pair = pair;
    h->device = device;
    buf_init(&h->frame, 2 * FRAME_MAX);
    buf_init(&h->payload, FRAME_INFLATED_MAX + 4096);
    buf_init(&h->inflated, FRAME_INFLATED_MAX);
    buf_init(&h->feed, (size_t)64 << 20);
    arena_init(&h->arena, (size_t)64 << 20);
    assert_ok(deflater_new(1, &h->deflater));
    assert_ok(inflater_new(&h->inflater));
    replica_status(device->replica, &status);
    h->origin = status.origin;
    h->last_oseq = status.last_oseq;
    h->floor = status.decided_upto;
    memset(h->nonce, 0x5a, sizeof h->nonce);
    assert_ok(hub_attach(hub_of(h), h, hub_now(h), &h->peer));
}

void hostile_end(struct hostile *h)
{
    if (h->peer)
        hub_detach(hub_of(h), h->peer, hub_now(h));
    h->peer = NULL;
    deflater_free(h->deflater);
    inflater_free(h->inflater);
    buf_done(&h->frame);
    buf_done(&h->payload);
    buf_done(&h->inflated);
    buf_done(&h->feed);
    arena_done(&h->arena);
}

void hostile_send_bytes(struct hostile *h, struct bytes frame)
{
    hub_receive(hub_of(h), h->peer, frame, hub_now(h));
}

void hostile_send(struct hostile *h, const struct message *message)
{
    assert_ok(frame_encode(message, h->deflater, &h->payload, &h->frame));
    hostile_send_bytes(h, buf_view(&h->frame));
}

void hostile_turn(struct hostile *h)
{
    for (int i = 0; i < 10000 && hub_has_work(hub_of(h)); i++)
        assert_ok(hub_turn(hub_of(h), hub_now(h)));
    for (;;) {
        struct hub_effect effect = hub_next_effect(hub_of(h));
        if (effect.kind == HUB_EFFECT_NONE)
            return;
        if (effect.kind == HUB_EFFECT_HANG_UP && effect.context == h)
            h->hung_up = true;
    }
}

static void note(struct hostile *h, const struct message *m)
{
    switch ((int)m->type) {
    case MESSAGE_CHALLENGE:
        memcpy(h->server_nonce, m->as.challenge.nonce.data, 32);
        h->incarnation = m->as.challenge.incarnation;
        break;
    case MESSAGE_FAILURE: h->failure = (enum err)m->as.failure.code; break;
    case MESSAGE_ACK:
        h->acked_upto = m->as.ack.upto;
        h->acked_ranges = m->as.ack.ranges_count;
        break;
    case MESSAGE_FORK: h->fork_oseq = m->as.fork.oseq; break;
    case MESSAGE_CHECKPOINT:
        for (uint32_t i = 0; i < m->as.checkpoint.results_count; i++)
            h->results += (uint32_t)m->as.checkpoint.results[i].count;
        break;
    case MESSAGE_PAGE: h->rows += (uint32_t)(m->as.page.to - m->as.page.from); break;
    default: break;
    }
}

bool hostile_read_one(struct hostile *h)
{
    struct message message;
    struct buf frame;
    buf_init(&frame, FRAME_MAX);
    hub_next_frame(hub_of(h), h->peer, hub_now(h), &frame);
    bool any = frame.size > 0;
    if (any) {
        arena_reset(&h->arena);
        assert_ok(
            frame_decode(buf_view(&frame), true, h->inflater, &h->inflated, &h->arena, &message));
        h->received[message.type]++;
        h->bytes += frame.size;
        note(h, &message);
        if (message.type == MESSAGE_PAGE || message.type == MESSAGE_CHECKPOINT)
            assert_ok(buf_append(&h->feed, frame.data, frame.size));
    }
    buf_done(&frame);
    return any;
}

void hostile_read(struct hostile *h)
{
    while (hostile_read_one(h))
        continue;
}

void hostile_settle(struct hostile *h)
{
    do {
        hostile_turn(h);
        hostile_read(h);
    } while (hub_has_work(hub_of(h)));
    hostile_turn(h);
}

void hostile_hello(struct hostile *h)
{
    const struct message hello = {.type = MESSAGE_HELLO,
                                  .as.hello = {.protocol_min = PROTOCOL_VERSION_MIN,
                                               .protocol_max = PROTOCOL_VERSION_MAX,
                                               .device = h->device->identity.device,
                                               .nonce = bytes_of(h->nonce, 32),
                                               .agent = bytes_of_text("hostile")}};
    hostile_send(h, &hello);
    hostile_settle(h);
}

struct message hostile_proof(struct hostile *h, uint8_t signature[64])
{
    static const char label[] = "satchel-auth-v1";
    uint8_t text[sizeof label - 1 + 136], *at = text;
    memcpy(at, label, sizeof label - 1);
    at += sizeof label - 1;
    memcpy(at, h->server_nonce, 32);
    memcpy(at + 32, h->nonce, 32);
    memcpy(at + 64, h->device->identity.server_key, 32);
    memcpy(at + 96, h->device->identity.device.byte, 16);
    be64_put(at + 112, h->incarnation);
    be64_put(at + 120, h->origin);
    be64_put(at + 128, h->last_oseq);
    assert_ok(crypto_ed25519_sign(h->pair->crypto, h->device->identity.seed,
                                  bytes_of(text, sizeof text), signature));
    return (struct message){.type = MESSAGE_PROVE,
                            .as.prove = {.signature = bytes_of(signature, 64),
                                         .origin = h->origin,
                                         .last_oseq = h->last_oseq,
                                         .floor = h->floor,
                                         .wall_ms = h->pair->now_ms}};
}

void hostile_open(struct hostile *h)
{
    uint8_t signature[64];
    hostile_hello(h);
    assert_int_equal(h->received[MESSAGE_CHALLENGE], 1);
    const struct message proof = hostile_proof(h, signature);
    hostile_send(h, &proof);
    hostile_settle(h);
    assert_int_equal(h->received[MESSAGE_WELCOME], 1);
}

void hostile_subscribe(struct hostile *h, const struct bucket_position *cursors, uint32_t count,
                       uint64_t credit)
{
    const struct message subscribe = {
        .type = MESSAGE_SUBSCRIBE,
        .as.subscribe = {.scope = 1, .cursors = cursors, .cursors_count = count, .credit = credit}};
    hostile_send(h, &subscribe);
}

uint32_t hostile_groups(struct hostile *h, uint64_t from, struct arena *arena,
                        const struct bytes **ret)
{
    uint32_t count;
    uint64_t first;
    assert_ok(replica_outbox(h->device->replica, from, 1 << 30, 1000, arena, ret, &count, &first));
    if (count)
        assert_int_equal(first, from);
    return count;
}

void hostile_sign(struct hostile *h, uint64_t first, const struct bytes *groups, uint32_t count,
                  uint8_t signature[64])
{
    static const char label[] = "satchel-run-v1";
    uint8_t text[sizeof label - 1 + 24 + 32], *at = text;
    uint8_t *hashes = malloc(count * (size_t)32);
    assert_non_null(hashes);
    for (uint32_t i = 0; i < count; i++)
        assert_ok(crypto_sha256(h->pair->crypto, groups[i], hashes + i * (size_t)32));
    memcpy(at, label, sizeof label - 1);
    at += sizeof label - 1;
    be64_put(at, h->origin);
    be64_put(at + 8, first);
    be64_put(at + 16, count);
    assert_ok(crypto_sha256(h->pair->crypto, bytes_of(hashes, count * (size_t)32), at + 24));
    assert_ok(crypto_ed25519_sign(h->pair->crypto, h->device->identity.seed,
                                  bytes_of(text, sizeof text), signature));
    free(hashes);
}

void hostile_push(struct hostile *h, uint64_t first, const struct bytes *groups, uint32_t count)
{
    uint8_t signature[64];
    hostile_sign(h, first, groups, count, signature);
    const struct message push = {.type = MESSAGE_PUSH,
                                 .as.push = {.origin = h->origin,
                                             .first = first,
                                             .groups = groups,
                                             .groups_count = count,
                                             .signature = bytes_of(signature, 64)}};
    hostile_send(h, &push);
}

void hostile_expect(struct hostile *h, enum err failure)
{
    hostile_settle(h);
    if (h->failure != failure)
        fail_msg("the session ended with %s, not %s", err_name(h->failure), err_name(failure));
    assert_true(h->hung_up);
}
