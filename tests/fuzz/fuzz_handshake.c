/* the handshake, on either side.
 *
 * Input:   first byte even: messages of somebody who wants to get in to headquarters; odd: answers of
 *          a server to a device that connects (or enrols, bit 1).
 * Asserts: headquarters welcomes nobody but who has proven the key of the device that was named, in
 *          this connection, over these nonces; a code enrols once; nobody is sent rows before. A device
 *          gives its proof and its enrolment code only to the server whose key it knows, over the
 *          nonce that came; it takes no welcome that it did not ask for; memory is bounded.
 * ctest: labels=asan */
#include "tests/fuzz/world.h"

#include "common/text.h"

enum { STEPS_MAX = 24 };

/* --- headquarters' side ----------------------------------------------------------------------- */

struct guest {
    struct world world;
    struct hostile h;
    struct arena arena;
    struct uuid named; /* in the last HELLO that was answered */
    uint8_t nonce[32]; /* the same */
    bool challenged;   /* and not used up */
    bool may_enter;    /* a right proof was sent */
    uint8_t code[16];
    bool code_used, code_sent, named_nil;
    uint8_t old_proof[64];
    unsigned enrolled;
};

static void attach(struct guest *g)
{
    hostile_end(&g->h);
    hostile_attach(&g->h, &g->world.pair, g->world.near);
    g->challenged = g->may_enter = g->code_sent = false;
}

static void give(struct guest *g, const struct message *m)
{
    if (frame_encode(m, g->h.deflater, &g->h.payload, &g->h.frame) == ERR_OK)
        hostile_send_bytes(&g->h, buf_view(&g->h.frame));
}

static void look(struct guest *g)
{
    struct hostile *h = &g->h;
    uint32_t before = h->received[MESSAGE_ENROLLED];
    hostile_settle(h);
    if (h->received[MESSAGE_WELCOME] || h->received[MESSAGE_PAGE] ||
        h->received[MESSAGE_CHECKPOINT])
        fuzz_check(g->may_enter, "welcome without a proof");
    if (h->received[MESSAGE_ENROLLED] > before) {
        fuzz_check(g->code_sent && !g->code_used, "enrolled without a code");
        g->code_used = true;
        g->enrolled++;
    }
}

static void hello(struct guest *g, struct fuzz_input *in)
{
    struct hostile *h = &g->h;
    uint8_t kind = fuzz_u8(in);
    struct message m = {.type = MESSAGE_HELLO,
                        .as.hello = {.protocol_min = 1,
                                     .protocol_max = 1,
                                     .device = h->device->identity.device,
                                     .nonce = bytes_of(h->nonce, 32),
                                     .agent = bytes_of_text("guest")}};
    h->nonce[0] = fuzz_u8(in);
    if (kind < 64)
        memset(&m.as.hello.device, 0, sizeof m.as.hello.device);
    else if (kind < 96)
        m.as.hello.device = g->world.far->identity.device;
    else if (kind < 128)
        pool_change(&g->world.pool, in, &g->arena, &m);
    uint32_t before = h->received[MESSAGE_CHALLENGE];
    give(g, &m);
    look(g);
    if (h->received[MESSAGE_CHALLENGE] == before)
        return;
    g->named = m.as.hello.device;
    fuzz_check(m.as.hello.nonce.size == 32, "a nonce of %zu bytes", m.as.hello.nonce.size);
    memcpy(g->nonce, m.as.hello.nonce.data, 32);
    g->challenged = true;
}

static void prove(struct guest *g, struct fuzz_input *in)
{
    struct hostile *h = &g->h;
    uint8_t signature[64], old[64], kind = fuzz_u8(in);
    bool right = g->challenged && uuid_equal(&g->named, &h->device->identity.device) &&
                 memcmp(g->nonce, h->nonce, 32) == 0;
    struct message m = hostile_proof(h, signature);
    if (kind < 64) {
        uint8_t bit = fuzz_u8(in);
        signature[bit % 64] ^= (uint8_t)(1u << bit / 64);
        right = false;
    } else if (kind < 96) {
        memcpy(old, g->old_proof, 64);
        m.as.prove.signature = bytes_of(old, 64);
        right = right && memcmp(old, signature, 64) == 0;
    } else if (kind < 144) {
        struct message changed = m;
        pool_change(&g->world.pool, in, &g->arena, &changed);
        right = right && changed.as.prove.origin == m.as.prove.origin &&
                changed.as.prove.last_oseq == m.as.prove.last_oseq &&
                bytes_equal(changed.as.prove.signature, m.as.prove.signature);
        m = changed;
    }
    memcpy(g->old_proof, signature, 64);
    g->may_enter |= right;
    give(g, &m);
    look(g);
}

static void enrol(struct guest *g, struct fuzz_input *in)
{
    uint8_t key[32] = {9}, code[16], kind = fuzz_u8(in);
    memcpy(code, g->code, 16);
    if (kind < 96)
        code[fuzz_u8(in) % 16] ^= (uint8_t)(kind | 1);
    struct message m = {.type = MESSAGE_ENROL,
                        .as.enrol = {.code = bytes_of(code, 16),
                                     .public_key = bytes_of(key, 32),
                                     .name = pool_text(in, 200, &g->arena),
                                     .platform = bytes_of_text("fuzz")}};
    if (kind % 8 == 7)
        pool_change(&g->world.pool, in, &g->arena, &m);
    g->code_sent |= bytes_equal(m.as.enrol.code, bytes_of(g->code, 16)) && g->challenged &&
                    uuid_is_nil(&g->named);
    give(g, &m);
    look(g);
}

static void guest_step(struct guest *g, struct fuzz_input *in)
{
    uint8_t kind = fuzz_u8(in);
    struct message m;
    if (kind < 64) {
        hello(g, in);
    } else if (kind < 128) {
        prove(g, in);
    } else if (kind < 168) {
        enrol(g, in);
    } else if (kind < 200) {
        unsigned type = 1 + fuzz_u8(in) % 20;
        pool_message(&g->world.pool, in,
                     (enum message_type)(type > MESSAGE_DISCARD ? type + 11 : type), &g->arena, &m);
        if (frame_encode(&m, kind % 2 ? g->h.deflater : NULL, &g->h.payload, &g->h.frame) ==
                ERR_OK &&
            m.type != MESSAGE_HELLO)
            hostile_send_bytes(&g->h, buf_view(&g->h.frame));
        look(g);
    } else if (kind < 224) {
        hostile_send_bytes(&g->h, fuzz_take(in, fuzz_u8(in)));
        look(g);
    } else if (kind < 240) {
        attach(g);
    } else {
        g->world.pair.now_ms += (int64_t)fuzz_u8(in) * 100;
        hub_tick(g->world.pair.hub,
                 (struct hub_now){{g->world.pair.now_ms}, {g->world.pair.now_ms * 1000}});
        look(g);
    }
}

static void guest_run(struct fuzz_input *in)
{
    struct guest g = {.enrolled = 0};
    world_start(&g.world);
    fuzz_begin(FUZZ_MEMORY_MAX);
    arena_init(&g.arena, 1 << 20);
    const char *answer = world_ask(&g.world, "{\"do\":\"enroll\",\"login\":\"far\"}");
    const char *code = strstr(answer, "\"code\":\"");
    fuzz_check(code && text_parse_hex(bytes_of(code + 8, 32), g.code, 16) == ERR_OK, "%s", answer);
    hostile_attach(&g.h, &g.world.pair, g.world.near);
    for (int i = 0; i < STEPS_MAX && fuzz_more(in); i++)
        guest_step(&g, in);
    hostile_end(&g.h);
    world_is_whole(&g.world);
    arena_done(&g.arena);
    world_end(&g.world);
    fuzz_end(1 << 20); /* libcrypto keeps tables; leaks are the sanitizer's to find */
}

/* --- a device's side -------------------------------------------------------------------------- */

struct host {
    struct world world;
    struct uplink *uplink;
    struct uplink_identity identity;
    struct uplink_enrolment enrolment;
    struct arena arena;
    struct inflater *inflater;
    struct buf frame, payload, inflated;
    bool enrols, up;
    bool right_key; /* a CHALLENGE with the pinned key came, and the device went on */
    uint8_t nonce[32], client_nonce[32];
    uint64_t incarnation;
    bool enrol_sent, prove_sent;
};

static struct now device_now(const struct host *h)
{
    return (struct now){{h->world.pair.now_ms}, {h->world.pair.now_ms * 1000}};
}

static void check_proof(const struct host *h, const struct message_prove *prove)
{
    static const char label[] = "satchel-auth-v1";
    uint8_t text[sizeof label - 1 + 136], *at = text, key[32];
    memcpy(at, label, sizeof label - 1);
    at += sizeof label - 1;
    memcpy(at, h->nonce, 32);
    memcpy(at + 32, h->client_nonce, 32);
    memcpy(at + 64, h->identity.server_key, 32);
    memcpy(at + 96, h->identity.device.byte, 16);
    be64_put(at + 112, h->incarnation);
    be64_put(at + 120, prove->origin);
    be64_put(at + 128, prove->last_oseq);
    fuzz_ok(crypto_ed25519_public(h->world.pair.crypto, h->identity.seed, key));
    fuzz_ok(crypto_ed25519_verify(h->world.pair.crypto, key, bytes_of(text, sizeof text),
                                  prove->signature.data));
}

static void sent(struct host *h, struct bytes frame)
{
    struct message m;
    fuzz_ok(frame_decode(frame, true, h->inflater, &h->inflated, &h->arena, &m));
    switch ((int)m.type) {
    case MESSAGE_HELLO:
        memcpy(h->client_nonce, m.as.hello.nonce.data, 32);
        fuzz_check(uuid_is_nil(&m.as.hello.device) == h->enrols, "the device that it names");
        break;
    case MESSAGE_PROVE:
        fuzz_check(h->right_key && !h->enrols && !h->prove_sent, "a proof for another server");
        check_proof(h, &m.as.prove);
        h->prove_sent = true;
        break;
    case MESSAGE_ENROL:
        fuzz_check(h->right_key && h->enrols && !h->enrol_sent, "a code for another server");
        h->enrol_sent = true;
        break;
    case MESSAGE_PONG: break;
    default: {
        struct uplink_progress progress;
        uplink_progress(h->uplink, &progress);
        fuzz_check(progress.authenticated && h->prove_sent, "%s", message_name(m.type));
    }
    }
}

static void drain(struct host *h)
{
    for (int i = 0; i < 20 && h->up; i++) {
        struct uplink_effects effects;
        buf_reset(&h->frame);
        uplink_next_frame(h->uplink, device_now(h), &h->frame, &effects);
        if (h->frame.size)
            sent(h, buf_view(&h->frame));
        h->up = !effects.hang_up;
        if (!h->frame.size)
            return;
    }
}

static void answer(struct host *h, const struct message *m)
{
    struct uplink_effects effects;
    struct uuid device, user, history;
    const char *login;
    if (!h->up || frame_encode(m, NULL, &h->payload, &h->frame) != ERR_OK)
        return;
    if (m->type == MESSAGE_CHALLENGE && m->as.challenge.nonce.size == 32 && !h->right_key &&
        bytes_equal(m->as.challenge.server_key, bytes_of(h->identity.server_key, 32))) {
        h->right_key = true;
        memcpy(h->nonce, m->as.challenge.nonce.data, 32);
        h->incarnation = m->as.challenge.incarnation;
    }
    uplink_receive(h->uplink, buf_view(&h->frame), device_now(h), &effects);
    h->up = !effects.hang_up;
    fuzz_check(!effects.hang_up || effects.why == ERR_OK || effects.message[0], "no word");
    if (uplink_enrolled(h->uplink, &device, &user, &history, &login) == ERR_OK)
        fuzz_check(h->enrols && h->right_key, "enrolled out of nothing");
    struct uplink_progress progress;
    uplink_progress(h->uplink, &progress);
    fuzz_check(!progress.authenticated || (h->right_key && !h->enrols), "welcome out of nothing");
}

static void host_step(struct host *h, struct fuzz_input *in)
{
    static const enum message_type types[] = {
        MESSAGE_CHALLENGE, MESSAGE_CHALLENGE, MESSAGE_ENROLLED, MESSAGE_WELCOME,
        MESSAGE_FAILURE,   MESSAGE_PING,      MESSAGE_PAGE,     MESSAGE_CHECKPOINT};
    struct message m;
    struct uplink_effects effects;
    uint8_t kind = fuzz_u8(in);
    pool_message(&h->world.pool, in, types[kind % 8], &h->arena, &m);
    if (m.type == MESSAGE_CHALLENGE && kind < 160) { /* mostly right */
        m.as.challenge.protocol = 1;
        m.as.challenge.nonce = bytes_of(h->world.pair.config.server_key, 32);
        m.as.challenge.server_key = bytes_of(h->world.pair.config.server_key, 32);
        if (kind >= 128)
            pool_change(&h->world.pool, in, &h->arena, &m);
    }
    if (kind >= 248) {
        h->world.pair.now_ms += fuzz_u8(in) * 200;
        uplink_tick(h->uplink, device_now(h), &effects);
        h->up = h->up && !effects.hang_up;
    } else {
        answer(h, &m);
    }
    if (fuzz_u8(in) % 4)
        drain(h);
}

static void host_run(struct fuzz_input *in, bool enrols)
{
    struct host h = {.enrols = enrols, .up = true};
    struct uplink_effects effects;
    world_start(&h.world);
    fuzz_begin(FUZZ_MEMORY_MAX);
    struct pair *pair = &h.world.pair;
    arena_init(&h.arena, 8 << 20);
    buf_init(&h.frame, 2 * FRAME_MAX);
    buf_init(&h.payload, FRAME_INFLATED_MAX + 4096);
    buf_init(&h.inflated, FRAME_INFLATED_MAX);
    fuzz_ok(inflater_new(&h.inflater));
    h.identity = h.world.near->identity;
    h.enrolment = (struct uplink_enrolment){.code = {1, 2, 3}, .name = "fuzz", .platform = "fuzz"};
    const struct uplink_config config = {.replica = enrols ? NULL : h.world.near->replica,
                                         .crypto = pair->crypto,
                                         .rng = &pair->rng,
                                         .agent = "fuzz",
                                         .once = fuzz_u8(in) % 2};
    fuzz_ok(uplink_new(&config, &h.identity, enrols ? &h.enrolment : NULL, &h.uplink));
    uplink_link_up(h.uplink, device_now(&h), &effects);
    if (fuzz_u8(in) % 4)
        drain(&h);
    for (int i = 0; i < STEPS_MAX && fuzz_more(in); i++)
        host_step(&h, in);
    uplink_free(h.uplink);
    inflater_free(h.inflater);
    buf_done(&h.frame);
    buf_done(&h.payload);
    buf_done(&h.inflated);
    arena_done(&h.arena);
    world_end(&h.world);
    fuzz_end(1 << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input_of(data, size);
    uint8_t side = fuzz_u8(&in);
    if (side % 2)
        host_run(&in, side & 2);
    else
        guest_run(&in);
    return 0;
}
