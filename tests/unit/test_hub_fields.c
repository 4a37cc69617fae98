/* Messages to headquarters with a field that is wrong, and groups that come in any order (tests/lib/scene.h): the
 * session ends with the reason and nothing is changed, or every group is decided once. */
#include "server/core/hub_internal.h"
#include "tests/lib/scene.h"

#include "common/text.h"

static const uint8_t zeros[64];

static uint64_t changes(struct scene *s)
{
    struct hub_stats stats = scene_stats(s);
    return stats.groups_applied + stats.groups_merged + stats.groups_parked +
           stats.groups_rejected + stats.groups_waiting;
}

static void refused(struct scene *s, const struct message *message, enum err why)
{
    uint64_t before = changes(s);
    hostile_send(&s->h, message);
    hostile_expect(&s->h, why);
    assert_int_equal(changes(s), before);
}

static void greetings_are_looked_at(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 61, NULL);
    const struct message good = {.type = MESSAGE_HELLO,
                                 .as.hello = {.protocol_min = PROTOCOL_VERSION_MIN,
                                              .protocol_max = PROTOCOL_VERSION_MAX,
                                              .device = s.bad->identity.device,
                                              .nonce = bytes_of(zeros, 32),
                                              .agent = bytes_of_text("hostile")}};
    struct message bad = good;
    scene_again(&s, false);
    bad.as.hello.nonce.size = 31;
    refused(&s, &bad, ERR_PROTOCOL);
    bad = good;
    scene_again(&s, false);
    bad.as.hello.protocol_min = PROTOCOL_VERSION_MAX + 1;
    bad.as.hello.protocol_max = PROTOCOL_VERSION_MAX + 1;
    refused(&s, &bad, ERR_VERSION);
    bad = good;
    scene_again(&s, false);
    bad.as.hello.protocol_min = bad.as.hello.protocol_max = PROTOCOL_VERSION_MIN - 1;
    refused(&s, &bad, ERR_VERSION);
    scene_end(&s);
}

static void proofs_are_looked_at(void **state)
{
    (void)state;
    struct scene s;
    uint8_t signature[64];
    scene_start(&s, 62, NULL);
    for (int i = 0; i < 4; i++) {
        struct pair_device unknown = {.identity = {.device = {{9}}}};
        scene_again(&s, false);
        if (i == 3)
            s.h.device = &unknown;
        hostile_hello(&s.h);
        struct message proof = hostile_proof(&s.h, signature);
        if (i == 0)
            proof.as.prove.signature.size = 63;
        else if (i == 1)
            proof.as.prove.origin = 0;
        else if (i == 2)
            proof.as.prove.last_oseq = (uint64_t)INT64_MAX + 1;
        refused(&s, &proof, i < 3 ? ERR_PROTOCOL : ERR_AUTH);
        s.h.device = s.bad;
    }
    scene_end(&s);
}

static void enrolments_are_looked_at(void **state)
{
    (void)state;
    struct scene s;
    uint8_t code[16];
    scene_start(&s, 63, NULL);
    const char *answer = strstr(
        pair_admin(&s.pair, "{\"do\":\"enroll\",\"login\":\"bad\",\"minutes\":5}"), "\"code\":\"");
    assert_non_null(answer);
    assert_ok(text_parse_hex(bytes_of(answer + 8, 32), code, 16));
    const struct message good = {.type = MESSAGE_ENROL,
                                 .as.enrol = {bytes_of(code, 16), bytes_of(zeros, 32),
                                              bytes_of_text("x"), bytes_of_text("x")}};
    uint32_t devices = pair_count(&s.pair, NULL, "device");
    for (int i = 0; i < 4; i++) {
        struct message bad = good;
        struct pair_device nobody = {.identity = {.device = {{0}}}};
        scene_again(&s, false);
        s.h.device = &nobody;
        if (i == 3) /* it is valid for five minutes */
            s.pair.now_ms += 5 * 60000 + 1;
        hostile_hello(&s.h);
        if (i == 0)
            bad.as.enrol.public_key.size = 31;
        else if (i == 1)
            bad.as.enrol.code.size = 15;
        else if (i == 2)
            bad.as.enrol.code = bytes_of(zeros, 16);
        refused(&s, &bad, i < 2 ? ERR_PROTOCOL : ERR_ENROLMENT);
        s.h.device = s.bad;
    }
    assert_int_equal(pair_count(&s.pair, NULL, "device"), devices);
    scene_end(&s);
}

static void pushes_and_parts_are_looked_at(void **state)
{
    (void)state;
    struct scene s;
    const struct bytes *groups;
    scene_start(&s, 64, NULL);
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    scene_again(&s, true);
    hostile_groups(&s.h, 1, &s.arena, &groups);
    const uint64_t origin = s.h.origin;
    const struct message push = {.type = MESSAGE_PUSH,
                                 .as.push = {.origin = origin,
                                             .first = 1,
                                             .groups = groups,
                                             .groups_count = 1,
                                             .signature = bytes_of(zeros, 64)}};
    for (int i = 0; i < 4; i++) {
        struct message bad = push;
        if (i == 0)
            bad.as.push.groups_count = 0;
        else if (i == 1)
            bad.as.push.signature.size = 63;
        else if (i == 2)
            bad.as.push.origin = 0;
        else
            bad.as.push.first = 0;
        scene_again(&s, true);
        refused(&s, &bad, ERR_PROTOCOL);
    }
    const struct message part = {.type = MESSAGE_PART,
                                 .as.part = {.origin = origin,
                                             .oseq = 1,
                                             .part = 1,
                                             .parts = 2,
                                             .total = 6,
                                             .data = bytes_of("abc", 3),
                                             .signature = bytes_of(zeros, 64)}};
    for (int i = 0; i < 6; i++) {
        struct message first = part, bad = part;
        first.as.part.part = 0;
        if (i == 0)
            bad.as.part.data.size = 0;
        else if (i == 1)
            bad.as.part.signature.size = 63;
        else if (i == 2)
            bad.as.part.total = 7; /* than came */
        else if (i == 3)
            bad.as.part.origin = 0;
        else if (i == 4)
            bad.as.part.parts = bad.as.part.total = 3,
            bad.as.part.part = 2; /* the second is missing */
        else
            bad.as.part.oseq = 2; /* of which no first part came */
        scene_again(&s, true);
        hostile_send(&s.h, &first);
        refused(&s, &bad, ERR_PROTOCOL);
    }
    scene_end(&s);
}

/* A discard of nothing is answered; before the session is open it ends it. */
static void discards_are_looked_at(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 65, NULL);
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    pair_sync(&s.pair, s.bad);
    s.parties = 1;
    scene_again(&s, true);
    hostile_subscribe(&s.h, NULL, 0, 1 << 20);
    hostile_settle(&s.h);
    const uint64_t oseqs[] = {1, 2, UINT64_MAX};
    for (size_t i = 0; i < 3; i++)
        for (int known = 0; known < 2; known++) {
            const struct message discard = {
                .type = MESSAGE_DISCARD,
                .as.discard = {.origin = known ? s.h.origin : 12345, .oseq = oseqs[i]}};
            uint32_t before = s.h.results;
            s.pair.hub->stale = true; /* its memory is read anew, as after a turn that failed */
            hostile_send(&s.h, &discard);
            hostile_settle(&s.h);
            assert_int_equal(s.h.failure, ERR_OK);
            assert_int_equal(s.h.results, before + 1);
        }
    assert_int_equal(pair_count(&s.pair, NULL, "party"), 1); /* what was applied stays */
    /* while a catch-up is under way, told with its checkpoint */
    scene_again(&s, true);
    hostile_subscribe(&s.h, NULL, 0, 1);
    const struct message discard = {.type = MESSAGE_DISCARD,
                                    .as.discard = {.origin = s.h.origin, .oseq = 1}};
    hostile_send(&s.h, &discard);
    hostile_settle(&s.h);
    assert_int_equal(s.h.failure, ERR_OK);
    const struct message credit = {.type = MESSAGE_CREDIT, .as.credit = {.bytes = 1 << 20}};
    hostile_send(&s.h, &credit);
    hostile_settle(&s.h);
    assert_true(s.h.results > 0);
    /* no group has the number 0: the answer would be one that nobody can read */
    struct message bad = discard;
    bad.as.discard.oseq = 0;
    refused(&s, &bad, ERR_PROTOCOL);
    scene_end(&s);
}

/* Groups in an order of the dice, some twice, with a new start of headquarters between: all are decided once, and the
 * answer says exactly which there are. */
static void groups_come_in_any_order(void **state)
{
    enum { COUNT = 40 };
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct scene s;
        const struct bytes *groups;
        bool there[COUNT + 1] = {false};
        uint32_t done = 0;
        scene_start(&s, 70 + seed, NULL);
        for (int i = 0; i < COUNT; i++)
            pair_insert(&s.pair, s.bad, "party", "name", "Acme");
        scene_again(&s, true);
        assert_int_equal(hostile_groups(&s.h, 1, &s.arena, &groups), COUNT);
        while (done < COUNT) {
            uint32_t oseq = 1 + (uint32_t)seeded_below(&s.pair.seeded, COUNT);
            if (seed % 2 && seeded_below(&s.pair.seeded, 2)) /* one after a gap, or in one */
                for (oseq = COUNT; oseq > 1 && (there[oseq] || !there[oseq - 1]);)
                    oseq--;
            hostile_push(&s.h, oseq, groups + oseq - 1, 1);
            hostile_settle(&s.h);
            assert_int_equal(s.h.failure, ERR_OK);
            done += !there[oseq];
            there[oseq] = true;
            uint64_t upto = 0;
            uint32_t ranges = 0;
            while (upto < COUNT && there[upto + 1])
                upto++;
            for (uint64_t i = upto + 1; i < COUNT; i++)
                ranges += !there[i] && there[i + 1];
            assert_int_equal(s.h.acked_upto, upto);
            assert_int_equal(s.h.acked_ranges, ranges);
            assert_int_equal(pair_count(&s.pair, NULL, "party"), done);
            if (seeded_below(&s.pair.seeded, 8) == 0) {
                hostile_end(&s.h);
                pair_restart_hub(&s.pair);
                hostile_attach(&s.h, &s.pair, s.bad);
                hostile_open(&s.h);
            }
        }
        s.parties = COUNT;
        scene_end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greetings_are_looked_at),
        cmocka_unit_test(proofs_are_looked_at),
        cmocka_unit_test(enrolments_are_looked_at),
        cmocka_unit_test(pushes_and_parts_are_looked_at),
        cmocka_unit_test(discards_are_looked_at),
        cmocka_unit_test(groups_come_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
