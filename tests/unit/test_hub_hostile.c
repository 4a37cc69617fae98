/* Frames, proofs, silence and queues that no honest device would show to headquarters, and the answer to
 * each: a defined code, bounded memory, and others go on (tests/lib/scene.h).
 *
 * ctest: timeout=900 */
#include "server/core/hub_internal.h"
#include "tests/lib/scene.h"

#include <malloc.h>

/* ---- frames ---- */

static void frames_past_their_limit_end_the_session(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 11, NULL);
    uint8_t *frame = calloc(1, FRAME_MAX + 1);
    assert_non_null(frame);
    frame[0] = MESSAGE_HELLO;
    be32_put(frame + 2, FRAME_BEFORE_AUTH_MAX + 1 - FRAME_HEADER_SIZE);
    hostile_send_bytes(&s.h, bytes_of(frame, FRAME_BEFORE_AUTH_MAX + 1));
    hostile_expect(&s.h, ERR_TOO_LARGE);
    scene_again(&s, true);
    frame[0] = MESSAGE_PUSH;
    be32_put(frame + 2, FRAME_MAX + 1 - FRAME_HEADER_SIZE);
    hostile_send_bytes(&s.h, bytes_of(frame, FRAME_MAX + 1));
    hostile_expect(&s.h, ERR_TOO_LARGE);
    scene_again(&s, true);
    be32_put(frame + 2, UINT32_MAX); /* a size that is only claimed */
    hostile_send_bytes(&s.h, bytes_of(frame, 64));
    hostile_expect(&s.h, ERR_TOO_LARGE);
    scene_again(&s, true);
    hostile_send_bytes(&s.h, bytes_of(frame, 0));
    hostile_expect(&s.h, ERR_MALFORMED);
    free(frame);
    scene_again(&s, true);
    hub_violation(s.pair.hub, s.h.peer, ERR_PROTOCOL,
                  (struct hub_now){{s.pair.now_ms}, {s.pair.now_ms * 1000}});
    hostile_expect(&s.h, ERR_PROTOCOL); /* a text frame, as the adapter tells of it */
    scene_end(&s);
}

static void a_decompression_bomb_is_refused_in_bounded_memory(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 12, NULL);
    struct buf zeros, bomb;
    buf_init(&zeros, FRAME_INFLATED_MAX);
    buf_init(&bomb, FRAME_MAX);
    uint8_t *zero = calloc(1, FRAME_INFLATED_MAX);
    assert_non_null(zero);
    assert_ok(buf_append(&zeros, zero, FRAME_INFLATED_MAX));
    free(zero);
    static const uint8_t header[] = {MESSAGE_PUSH, 1, 0, 0x80, 0, 0};
    hostile_open(&s.h);
    assert_ok(buf_append(&bomb, header, sizeof header));
    assert_ok(deflate_frame(s.h.deflater, buf_view(&zeros), &bomb));
    buf_done(&zeros);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 50; i++) {
        hostile_send_bytes(&s.h, buf_view(&bomb));
        hostile_expect(&s.h, ERR_TOO_LARGE);
        scene_again(&s, true);
    }
    assert_true(mallinfo2().uordblks < before + (4 << 20));
    buf_done(&bomb);
    scene_end(&s);
}

static void unknown_and_servers_messages_end_the_session(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 13, NULL);
    for (unsigned type = 0; type < 256; type++) {
        for (int open = 0; open < 2; open++) {
            if (open && (type == MESSAGE_PING || type == MESSAGE_PONG))
                continue;
            scene_again(&s, open);
            const uint8_t frame[] = {(uint8_t)type, 0, 0, 0, 0, 1, 0x90}; /* an empty array */
            hostile_send_bytes(&s.h, bytes_of(frame, sizeof frame));
            hostile_settle(&s.h);
            assert_true(s.h.hung_up);
            assert_true(s.h.failure == ERR_PROTOCOL || s.h.failure == ERR_MALFORMED);
        }
    }
    static const enum message_type servers[] = {
        MESSAGE_CHALLENGE, MESSAGE_ENROLLED, MESSAGE_WELCOME, MESSAGE_FAILURE,
        MESSAGE_ACK,       MESSAGE_FORK,     MESSAGE_PAGE,    MESSAGE_CHECKPOINT};
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        struct message message = {.type = servers[i]};
        scene_again(&s, true);
        hostile_send(&s.h, &message); /* well-formed, from the wrong side */
        hostile_expect(&s.h, ERR_PROTOCOL);
    }
    scene_end(&s);
}

/* Every message that a client sends, cut after every byte, before or after authentication. */
static void every_truncation_is_malformed(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 14, NULL);
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    static const uint8_t raw[100] = {1};
    const struct bytes groups[] = {bytes_of(raw, 100), bytes_of(raw, 3)};
    const struct bucket_position cursors[] = {{1, 0}, {2, 0}};
    const struct bytes b16 = bytes_of(raw, 16), b32 = bytes_of(raw, 32), b64 = bytes_of(raw, 64);
    const struct message messages[] = {
        {.type = MESSAGE_HELLO,
         .as.hello = {1, 1, s.bad->identity.device, b32, bytes_of_text("x")}},
        {.type = MESSAGE_ENROL,
         .as.enrol = {b16, b32, bytes_of_text("name"), bytes_of_text("test")}},
        {.type = MESSAGE_PROVE, .as.prove = {b64, 5, 5, 5, 5, 5}},
        {.type = MESSAGE_PUSH, .as.push = {5, 1, groups, 2, b64}},
        {.type = MESSAGE_PART, .as.part = {5, 1, 0, 2, 6, b16, b64}},
        {.type = MESSAGE_SUBSCRIBE, .as.subscribe = {1, cursors, 2, 100, 0}},
        {.type = MESSAGE_CREDIT, .as.credit = {1000}},
        {.type = MESSAGE_PING, .as.ping = {1000}},
        {.type = MESSAGE_PONG, .as.pong = {1000}},
        {.type = MESSAGE_DISCARD, .as.discard = {1000, 1000}},
    };
    uint32_t cuts = 0;
    for (size_t m = 0; m < sizeof messages / sizeof *messages; m++) {
        bool before = message_before_auth(messages[m].type);
        struct buf whole;
        buf_init(&whole, FRAME_MAX);
        assert_ok(frame_encode(&messages[m], NULL, &s.h.payload, &whole));
        for (size_t size = 0; size < whole.size; size++) {
            scene_again(&s, !before);
            /* as it was cut, and with a header that fits what is left */
            uint8_t copy[1024];
            assert_true(size <= sizeof copy);
            memcpy(copy, whole.data, size);
            if (size >= FRAME_HEADER_SIZE && cuts % 2)
                be32_put(copy + 2, (uint32_t)(size - FRAME_HEADER_SIZE));
            hostile_send_bytes(&s.h, bytes_of(copy, size));
            hostile_expect(&s.h, ERR_MALFORMED);
            cuts++;
        }
        buf_done(&whole);
    }
    print_message("%u truncations\n", cuts);
    scene_end(&s);
}

/* ---- order and proof ---- */

static void messages_out_of_order_end_the_session(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 15, NULL);
    const struct bytes *groups;
    uint8_t signature[64];
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    scene_again(&s, false);
    hostile_groups(&s.h, 1, &s.arena, &groups);
    hostile_push(&s.h, 1, groups, 1); /* PUSH first of all */
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_again(&s, false);
    hostile_hello(&s.h);
    hostile_push(&s.h, 1, groups, 1); /* PUSH before PROVE */
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_again(&s, false);
    struct message proof = hostile_proof(&s.h, signature);
    hostile_send(&s.h, &proof); /* PROVE before HELLO */
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_again(&s, false);
    hostile_hello(&s.h);
    hostile_hello(&s.h); /* HELLO twice */
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_again(&s, true);
    proof = hostile_proof(&s.h, signature);
    hostile_send(&s.h, &proof); /* PROVE twice */
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_again(&s, true);
    hostile_hello(&s.h); /* HELLO in an open session */
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_again(&s, false);
    hostile_hello(&s.h);
    const struct message enrol = {.type = MESSAGE_ENROL,
                                  .as.enrol = {bytes_of(signature, 16), bytes_of(signature, 32),
                                               bytes_of_text("x"), bytes_of_text("x")}};
    hostile_send(&s.h, &enrol); /* a device that is enrolled already */
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_again(&s, false);
    s.h.device = &(struct pair_device){.identity = {.device = {{0}}}};
    hostile_hello(&s.h);
    hostile_send(&s.h, &enrol); /* a code that nobody was given */
    hostile_expect(&s.h, ERR_ENROLMENT);
    scene_end(&s);
}

static void nobody_gets_in_with_a_false_proof(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 16, NULL);
    uint8_t signature[64];
    for (size_t i = 0; i < 64; i += 7) {
        scene_again(&s, false);
        hostile_hello(&s.h);
        struct message proof = hostile_proof(&s.h, signature);
        signature[i] ^= 0x10;
        hostile_send(&s.h, &proof);
        hostile_expect(&s.h, ERR_AUTH);
    }
    scene_again(&s, false); /* the proof of an earlier session, word for word */
    hostile_hello(&s.h);
    struct message proof = hostile_proof(&s.h, signature);
    hostile_send(&s.h, &proof);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_WELCOME], 1);
    scene_again(&s, false);
    hostile_hello(&s.h);
    hostile_send(&s.h, &proof);
    hostile_expect(&s.h, ERR_AUTH);
    scene_again(&s, false); /* another origin than the one that was signed for */
    hostile_hello(&s.h);
    proof = hostile_proof(&s.h, signature);
    proof.as.prove.origin++;
    hostile_send(&s.h, &proof);
    hostile_expect(&s.h, ERR_AUTH);
    char request[100], id[UUID_TEXT_SIZE];
    uuid_format(&s.bad->identity.device, id);
    snprintf(request, sizeof request, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    scene_again(&s, true);
    pair_admin(&s.pair, request); /* the live session ends, and no other is let in */
    hostile_expect(&s.h, ERR_REVOKED);
    scene_again(&s, false);
    hostile_hello(&s.h);
    proof = hostile_proof(&s.h, signature);
    hostile_send(&s.h, &proof);
    hostile_expect(&s.h, ERR_REVOKED);
    scene_end(&s);
}

/* ---- silence ---- */

static void a_silent_peer_is_closed_in_time(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 17, NULL);
    scene_tick(&s, 4990);
    hostile_settle(&s.h);
    assert_false(s.h.hung_up);
    scene_tick(&s, 20);
    hostile_expect(&s.h, ERR_TIMEOUT); /* nothing at all within 5 s */
    scene_again(&s, false);
    hostile_hello(&s.h);
    scene_tick(&s, 5010);
    hostile_expect(&s.h, ERR_TIMEOUT); /* greeted, and no proof */
    scene_again(&s, true);
    scene_tick(&s, 29000);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PING], 0);
    scene_tick(&s, 1010);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PING], 1);
    const struct message pong = {.type = MESSAGE_PONG, .as.pong = {.token = 1}};
    hostile_send(&s.h, &pong);
    scene_tick(&s, 30010);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PING], 2); /* it was heard: another 30 s */
    scene_tick(&s, 14000);
    hostile_settle(&s.h);
    assert_false(s.h.hung_up);
    scene_tick(&s, 1010);
    hostile_expect(&s.h, ERR_TIMEOUT);
    scene_end(&s);
}

/* ---- queues ---- */

static void a_peer_that_never_reads_falls_back_and_stays_bounded(void **state)
{
    (void)state;
    const struct hub_limits limits = {.live_queue_bytes = 64 << 10, .page_bytes = 8 << 10};
    struct scene s;
    scene_start(&s, 18, &limits);
    hostile_open(&s.h);
    hostile_subscribe(&s.h, NULL, 0, 4 << 20);
    hostile_settle(&s.h);
    assert_int_equal(scene_stats(&s).peers_live, 1);
    struct uuid id = pair_insert(&s.pair, s.good, "party", "name", "Acme");
    char text[2001] = {0};
    pair_connect(&s.pair, s.good, false);
    size_t most = 0;
    for (int i = 0; i < 400; i++) {
        struct uplink_effects effects;
        memset(text, 'a' + i % 20, sizeof text - 1);
        for (size_t k = 0; k + 1 < sizeof text; k += 3) /* not to be deflated away */
            text[k] = (char)('a' + seeded_below(&s.pair.seeded, 26));
        pair_set(&s.pair, s.good, "party", id, "bank_details", text);
        uplink_local_change(s.good->uplink, (struct now){{s.pair.now_ms}, {s.pair.now_ms * 1000}},
                            &effects);
        pair_run(&s.pair);
        most = s.h.peer->out_bytes > most ? s.h.peer->out_bytes : most;
    }
    assert_true(scene_stats(&s).fallbacks >= 1);
    assert_true(most > (32 << 10) && most < (96 << 10));
    assert_string_equal(pair_cell(&s.pair, NULL, "party", id, "bank_details"), text);
    /* when it reads again it is brought to the head, and is live */
    hostile_settle(&s.h);
    assert_int_equal(s.h.failure, ERR_OK);
    assert_int_equal(scene_stats(&s).peers_live, 2);
    pair_cut(&s.pair, s.good);
    s.parties = 1;
    scene_end(&s);
}

static void answers_to_a_peer_that_does_not_read_them_are_bounded(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 19, NULL);
    hostile_open(&s.h);
    const struct message ping = {.type = MESSAGE_PING, .as.ping = {.token = UINT64_MAX}};
    uint32_t sent = 0;
    while (!s.h.hung_up && sent < 4000000) {
        for (int i = 0; i < 1000; i++)
            hostile_send(&s.h, &ping);
        sent += 1000;
        hostile_turn(&s.h);
        assert_true(s.h.peer->out_bytes < (8 << 20));
    }
    assert_true(s.h.hung_up);
    hostile_expect(&s.h, ERR_LIMIT);
    print_message("closed after %u pings\n", sent);
    scene_end(&s);
}

static void credit_is_bounded(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 20, NULL);
    struct message credit = {.type = MESSAGE_CREDIT, .as.credit = {.bytes = UINT64_MAX}};
    hostile_open(&s.h);
    hostile_send(&s.h, &credit);
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_again(&s, true);
    hostile_subscribe(&s.h, NULL, 0, UINT64_MAX);
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_again(&s, true);
    credit.as.credit.bytes = (uint64_t)64 << 20;
    for (int i = 0; i < 1000; i++)
        hostile_send(&s.h, &credit); /* never more than one such */
    assert_int_equal(s.h.peer->page_credit, 64 << 20);
    assert_int_equal(s.h.failure, ERR_OK);
    for (int i = 0; i < 200; i++)
        pair_insert(&s.pair, s.good, "party", "name", "A rather long name of a customer, repeated");
    pair_sync(&s.pair, s.good);
    s.parties = 200;
    hostile_subscribe(&s.h, NULL, 0, 0); /* no credit, no pages */
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PAGE], 0);
    credit.as.credit.bytes = 1;
    hostile_send(&s.h, &credit);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PAGE], 1); /* one page may overdraw it */
    scene_end(&s);
}

static void a_flood_beyond_the_push_credit_ends_the_session(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 21, NULL);
    hostile_open(&s.h);
    static uint8_t junk[512 << 10];
    const struct bytes groups[] = {bytes_of(junk, 60000), bytes_of(junk, 60000),
                                   bytes_of(junk, 60000), bytes_of(junk, 60000),
                                   bytes_of(junk, 60000), bytes_of(junk, 60000)};
    for (size_t i = 0; i < sizeof junk; i++)
        junk[i] = (uint8_t)seeded_below(&s.pair.seeded, 256);
    uint32_t sent = 0;
    for (; s.h.peer->session.state == PEER_OPEN && sent < 1000; sent++) {
        hostile_push(&s.h, 1 + sent * 6, groups, 6);
        assert_true(s.pair.hub->intent_bytes < (24 << 20));
    }
    assert_true(sent < 100);
    hostile_expect(&s.h, ERR_LIMIT);
    scene_end(&s);
}

static void more_peers_than_allowed_are_not_attached(void **state)
{
    (void)state;
    const struct hub_limits limits = {.peers_max = 50};
    struct scene s;
    scene_start(&s, 22, &limits);
    struct peer *peers[60];
    uint32_t count = 0;
    const struct hub_now now = {{s.pair.now_ms}, {s.pair.now_ms * 1000}};
    while (count < 60 && hub_attach(s.pair.hub, &s.h, now, &peers[count]) == ERR_OK)
        count++;
    assert_int_equal(count, 49); /* and the one of the scene */
    assert_err(hub_attach(s.pair.hub, &s.h, now, &peers[count]), ERR_LIMIT);
    while (count)
        hub_detach(s.pair.hub, peers[--count], now);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_past_their_limit_end_the_session),
        cmocka_unit_test(a_decompression_bomb_is_refused_in_bounded_memory),
        cmocka_unit_test(unknown_and_servers_messages_end_the_session),
        cmocka_unit_test(every_truncation_is_malformed),
        cmocka_unit_test(messages_out_of_order_end_the_session),
        cmocka_unit_test(nobody_gets_in_with_a_false_proof),
        cmocka_unit_test(a_silent_peer_is_closed_in_time),
        cmocka_unit_test(a_peer_that_never_reads_falls_back_and_stays_bounded),
        cmocka_unit_test(answers_to_a_peer_that_does_not_read_them_are_bounded),
        cmocka_unit_test(credit_is_bounded),
        cmocka_unit_test(a_flood_beyond_the_push_credit_ends_the_session),
        cmocka_unit_test(more_peers_than_allowed_are_not_attached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
