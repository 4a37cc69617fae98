/* A server that sends what no honest one would, in every state of a session: the device ends it with the reason, and
 * what it holds is as it was; and what a device does as time passes. */
#include "client/core/uplink_internal.h"
#include "tests/lib/pair.h"

struct act {
    struct pair p;
    struct pair_device *device;
    struct uuid party;
    struct buf payload, frame;
    struct replica_status before;
};

static struct now now_of(const struct pair *p)
{
    return (struct now){{p->now_ms}, {p->now_ms * 1000}};
}

static void act_start(struct act *a, uint64_t seed)
{
    pair_init(&a->p, NULL, seed);
    a->device = pair_enrol(&a->p, "anna", "admin");
    a->party = pair_insert(&a->p, a->device, "party", "name", "Acme");
    pair_sync(&a->p, a->device);
    pair_set(&a->p, a->device, "party", a->party, "notes", "not sent yet");
    buf_init(&a->payload, FRAME_INFLATED_MAX);
    buf_init(&a->frame, FRAME_MAX);
}

/* Nothing is lost: the next session ends well, and headquarters has what was typed. */
static void act_end(struct act *a)
{
    pair_cut(&a->p, a->device);
    pair_sync(&a->p, a->device);
    pair_assert_equal(&a->p, a->device);
    assert_string_equal(pair_cell(&a->p, NULL, "party", a->party, "notes"), "not sent yet");
    buf_done(&a->payload);
    buf_done(&a->frame);
    pair_done(&a->p);
}

/* What the device would send now goes to headquarters, or nowhere. */
static size_t take(struct act *a, bool deliver)
{
    struct uplink_effects effects;
    struct hub_now now = {now_of(&a->p).wall, now_of(&a->p).mono};
    uplink_next_frame(a->device->uplink, now_of(&a->p), &a->frame, &effects);
    if (deliver && a->frame.size)
        hub_receive(a->p.hub, a->device->peer, buf_view(&a->frame), now);
    while (hub_has_work(a->p.hub))
        assert_ok(hub_turn(a->p.hub, now));
    return a->frame.size;
}

/* A new session, as far as this; nobody answers any more. */
static void reach(struct act *a, enum handshake shake, enum pull pull)
{
    struct uplink_effects effects;
    pair_cut(&a->p, a->device);
    pair_connect(&a->p, a->device, false);
    assert_true(take(a, shake != SHAKE_HELLO) > 0);
    if (shake != SHAKE_HELLO) {
        hub_next_frame(a->p.hub, a->device->peer,
                       (struct hub_now){now_of(&a->p).wall, now_of(&a->p).mono}, &a->frame);
        uplink_receive(a->device->uplink, buf_view(&a->frame), now_of(&a->p), &effects);
        assert_true(take(a, shake == SHAKE_OPEN) > 0);
    }
    if (shake == SHAKE_OPEN) {
        hub_next_frame(a->p.hub, a->device->peer,
                       (struct hub_now){now_of(&a->p).wall, now_of(&a->p).mono}, &a->frame);
        uplink_receive(a->device->uplink, buf_view(&a->frame), now_of(&a->p), &effects);
        while (take(a, false))
            continue;
        a->device->uplink->pull = pull;
    }
    assert_int_equal(a->device->uplink->shake, shake);
    replica_status(a->device->replica, &a->before);
}

static struct uplink_effects give(struct act *a, const struct message *message)
{
    struct uplink_effects effects = {0};
    buf_reset(&a->payload);
    buf_reset(&a->frame);
    assert_ok(frame_encode(message, NULL, &a->payload, &a->frame));
    uplink_receive(a->device->uplink, buf_view(&a->frame), now_of(&a->p), &effects);
    return effects;
}

static void assert_as_before(struct act *a)
{
    struct replica_status now;
    replica_status(a->device->replica, &now);
    assert_int_equal(now.origin, a->before.origin);
    assert_int_equal(now.last_oseq, a->before.last_oseq);
    assert_int_equal(now.outbox_count, a->before.outbox_count);
    assert_int_equal(now.decided_upto, a->before.decided_upto);
    assert_string_equal(pair_cell(&a->p, a->device, "party", a->party, "notes"), "not sent yet");
}

static void expect(struct act *a, const struct message *message, enum err why)
{
    struct uplink_effects effects = give(a, message);
    if (!effects.hang_up || effects.why != why)
        fail_msg("%s: the session ended with %s, not %s", message_name(message->type),
                 err_name(effects.hang_up ? effects.why : ERR_OK), err_name(why));
    assert_as_before(a);
    /* and it is over: nothing is heard or said */
    effects = give(a, message);
    assert_false(effects.hang_up || effects.want_write);
    assert_int_equal(take(a, false), 0);
}

static const uint8_t zeros[64];

static const enum message_type types[] = {
    MESSAGE_HELLO, MESSAGE_CHALLENGE,  MESSAGE_ENROL,   MESSAGE_ENROLLED,  MESSAGE_PROVE,
    MESSAGE_PUSH,  MESSAGE_PART,       MESSAGE_WELCOME, MESSAGE_ACK,       MESSAGE_FORK,
    MESSAGE_PAGE,  MESSAGE_CHECKPOINT, MESSAGE_CREDIT,  MESSAGE_SUBSCRIBE, MESSAGE_DISCARD};

/* Each type where it has no place. */
static void messages_out_of_their_state_end_the_session(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 51);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct message message = {.type = types[i]}; /* empty: well-formed */
        bool server = types[i] == MESSAGE_ACK || types[i] == MESSAGE_FORK ||
                      types[i] == MESSAGE_PAGE || types[i] == MESSAGE_CHECKPOINT;
        reach(&a, SHAKE_HELLO, PULL_OFF);
        expect(&a, &message, ERR_PROTOCOL);
        if (types[i] != MESSAGE_WELCOME) {
            reach(&a, SHAKE_PROOF, PULL_OFF);
            expect(&a, &message, ERR_PROTOCOL);
        }
        reach(&a, SHAKE_OPEN, PULL_CATCHING_UP);
        if (!server || types[i] == MESSAGE_ACK || types[i] == MESSAGE_FORK) /* of origin 0 */
            expect(&a, &message, ERR_PROTOCOL);
    }
    act_end(&a);
}

static void challenges_are_looked_at(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 52);
    uint8_t key[32];
    memset(key, 7, sizeof key);
    const struct message good = {.type = MESSAGE_CHALLENGE,
                                 .as.challenge = {.protocol = PROTOCOL_VERSION_MAX,
                                                  .nonce = bytes_of(zeros, 32),
                                                  .server_key = bytes_of(key, 32),
                                                  .model_hash = bytes_of(zeros, 32)}};
    for (int i = 0; i < 5; i++) {
        static const enum err whys[] = {ERR_PROTOCOL, ERR_PROTOCOL, ERR_VERSION, ERR_VERSION,
                                        ERR_PIN};
        struct message bad = good;
        struct message_challenge *c = &bad.as.challenge;
        if (i == 0)
            c->nonce.size = 31;
        else if (i == 1)
            c->server_key.size = 31;
        else if (i == 2)
            c->protocol = PROTOCOL_VERSION_MIN - 1;
        else if (i == 3)
            c->protocol = PROTOCOL_VERSION_MAX + 1;
        else
            c->server_key = bytes_of(zeros, 32);
        reach(&a, SHAKE_HELLO, PULL_OFF);
        expect(&a, &bad, whys[i]);
    }
    reach(&a, SHAKE_HELLO, PULL_OFF);
    assert_false(give(&a, &good).hang_up);
    act_end(&a);
}

static void welcomes_are_looked_at(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 53);
    struct message welcome = {.type = MESSAGE_WELCOME, .as.welcome = {.role = 3, .scope = 1}};
    /* another customer file */
    reach(&a, SHAKE_PROOF, PULL_OFF);
    a.device->uplink->history.byte[0] ^= 1;
    expect(&a, &welcome, ERR_PROTOCOL);
    /* rights of before those that are known, from a server without a start */
    reach(&a, SHAKE_PROOF, PULL_OFF);
    welcome.as.welcome.scope = 0;
    pair_cut(&a.p, a.device);
    pair_admin(&a.p, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&a.p, "{\"do\":\"user-set\",\"login\":\"anna\",\"role\":\"manager\"}");
    pair_admin(&a.p, "{\"do\":\"user-set\",\"login\":\"anna\",\"role\":\"admin\"}");
    pair_connect(&a.p, a.device, false); /* learns of the rights */
    pair_run(&a.p);
    pair_set(&a.p, a.device, "party", a.party, "notes", "not sent yet");
    reach(&a, SHAKE_PROOF, PULL_OFF);
    expect(&a, &welcome, ERR_PROTOCOL);
    act_end(&a);
}

static void failures_are_told(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 54);
    for (uint64_t code = 0; code < 40; code++) {
        bool known = code > 0 && code <= ERR_CONFLICT;
        const struct message failure = {
            .type = MESSAGE_FAILURE,
            .as.failure = {.code = code, .text = bytes_of_text(code % 2 ? "because" : "")}};
        reach(&a, SHAKE_OPEN, PULL_LIVE);
        struct uplink_effects effects = give(&a, &failure);
        assert_true(effects.hang_up);
        assert_int_equal(effects.why, known ? (enum err)code : ERR_PROTOCOL);
        assert_int_equal(effects.erase, code == ERR_REVOKED);
        assert_string_equal(effects.message, code % 2 ? "because" : err_text(effects.why));
        assert_as_before(&a);
    }
    act_end(&a);
}

/* Acknowledgements, forks and pages that belong to nothing. */
static void answers_that_nobody_asked_for(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 55);
    const uint64_t origin = (reach(&a, SHAKE_OPEN, PULL_LIVE), a.before.origin);
    const struct oseq_range range = {50, 60};
    const struct message others[] = {
        {.type = MESSAGE_ACK, .as.ack = {.origin = origin + 1, .upto = 5}},
        {.type = MESSAGE_FORK, .as.fork = {.origin = origin + 1, .oseq = 5}},
        {.type = MESSAGE_FORK, .as.fork = {.origin = origin, .oseq = 0}},
        {.type = MESSAGE_PAGE, .as.page = {.bucket = 1, .body = bytes_of(zeros, 3)}},
    };
    for (size_t i = 0; i < 3; i++) {
        reach(&a, SHAKE_OPEN, PULL_LIVE);
        expect(&a, &others[i], ERR_PROTOCOL);
    }
    /* what was never sent is not acknowledged by a range of it */
    reach(&a, SHAKE_OPEN, PULL_LIVE);
    const struct message ack = {
        .type = MESSAGE_ACK,
        .as.ack = {
            .origin = origin, .upto = 1, .ranges = &range, .ranges_count = 1, .credit = 1 << 20}};
    assert_false(give(&a, &ack).hang_up);
    assert_as_before(&a);
    /* live pages of an earlier subscription are passed over, whatever is in them */
    reach(&a, SHAKE_OPEN, PULL_CATCHING_UP);
    struct message page = others[3], checkpoint = {.type = MESSAGE_CHECKPOINT};
    page.as.page.live = 1;
    checkpoint.as.checkpoint.live = 1;
    assert_false(give(&a, &page).hang_up);
    assert_false(give(&a, &checkpoint).hang_up);
    assert_as_before(&a);
    /* those of this one are read at their checkpoint */
    reach(&a, SHAKE_OPEN, PULL_LIVE);
    assert_false(give(&a, &page).hang_up);
    expect(&a, &checkpoint, ERR_MALFORMED);
    act_end(&a);
}

/* The token of a PING comes back, also before the proof. */
static void pings_are_answered(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 56);
    for (int open = 0; open < 2; open++) {
        const struct message ping = {.type = MESSAGE_PING, .as.ping = {.token = 77}};
        struct message answer;
        struct arena arena;
        arena_init(&arena, 1 << 16);
        reach(&a, open ? SHAKE_OPEN : SHAKE_PROOF, PULL_LIVE);
        assert_true(give(&a, &ping).want_write);
        assert_true(take(&a, false) > 0);
        assert_ok(frame_decode(buf_view(&a.frame), true, a.device->uplink->inflater, &a.payload,
                               &arena, &answer));
        assert_int_equal(answer.type, MESSAGE_PONG);
        assert_int_equal(answer.as.pong.token, 77);
        arena_done(&arena);
    }
    act_end(&a);
}

static struct uplink_effects tick(struct act *a, int64_t after_ms)
{
    struct uplink_effects effects;
    a->p.now_ms += after_ms;
    uplink_tick(a->device->uplink, now_of(&a->p), &effects);
    return effects;
}

static void silence_ends_a_session(void **state)
{
    (void)state;
    struct act a;
    struct uplink_effects effects;
    act_start(&a, 57);
    for (int shake = 0; shake < 2; shake++) {
        reach(&a, shake ? SHAKE_PROOF : SHAKE_HELLO, PULL_OFF);
        assert_false(tick(&a, 9999).hang_up);
        effects = tick(&a, 2);
        assert_true(effects.hang_up);
        assert_int_equal(effects.why, ERR_TIMEOUT);
        effects = tick(&a, 100000); /* once */
        assert_false(effects.hang_up || effects.want_write);
        assert_int_equal(effects.deadline_us, 0);
    }
    reach(&a, SHAKE_OPEN, PULL_LIVE);
    assert_false(tick(&a, 29999).hang_up);
    assert_int_equal(take(&a, false), 0);
    assert_false(tick(&a, 2).hang_up);
    assert_true(take(&a, false) > 0); /* a PING */
    assert_false(tick(&a, 14000).hang_up);
    const struct message pong = {.type = MESSAGE_PONG, .as.pong = {.token = 1}};
    assert_false(give(&a, &pong).hang_up); /* it was heard: all of it again */
    assert_false(tick(&a, 29999).hang_up);
    assert_false(tick(&a, 2).hang_up);
    assert_true(take(&a, false) > 0);
    effects = tick(&a, 45001);
    assert_true(effects.hang_up);
    assert_int_equal(effects.why, ERR_TIMEOUT);
    assert_as_before(&a);
    /* without a link nothing happens */
    uplink_link_down(a.device->uplink, now_of(&a.p), &effects);
    assert_false(give(&a, &pong).hang_up);
    assert_int_equal(take(&a, false), 0);
    effects = tick(&a, 100000);
    assert_false(effects.hang_up || effects.want_write);
    assert_int_equal(effects.deadline_us, 0);
    act_end(&a);
}

/* An enrolment that was not answered has given nothing. */
static void an_enrolment_is_looked_at(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 58);
    const struct uplink_enrolment enrolment = {.name = "phone", .platform = "test"};
    const struct uplink_config config = {.crypto = a.p.crypto, .rng = &a.p.rng, .agent = "test"};
    struct uplink_effects effects;
    struct uplink *known = a.device->uplink;
    struct uuid device, user, history;
    const char *login;
    assert_ok(uplink_new(&config, &a.device->identity, &enrolment, &a.device->uplink));
    uplink_link_up(a.device->uplink, now_of(&a.p), &effects);
    assert_err(uplink_enrolled(a.device->uplink, &device, &user, &history, &login), ERR_NOT_FOUND);
    const struct message enrolled = {.type = MESSAGE_ENROLLED,
                                     .as.enrolled = {.login = bytes_of_text("anna")}};
    effects = give(&a, &enrolled);
    assert_int_equal(effects.why, ERR_PROTOCOL);
    assert_err(uplink_enrolled(a.device->uplink, &device, &user, &history, &login), ERR_NOT_FOUND);
    uplink_free(a.device->uplink);
    a.device->uplink = known;
    act_end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_out_of_their_state_end_the_session),
        cmocka_unit_test(challenges_are_looked_at),
        cmocka_unit_test(welcomes_are_looked_at),
        cmocka_unit_test(failures_are_told),
        cmocka_unit_test(answers_that_nobody_asked_for),
        cmocka_unit_test(pings_are_answered),
        cmocka_unit_test(silence_ends_a_session),
        cmocka_unit_test(an_enrolment_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
