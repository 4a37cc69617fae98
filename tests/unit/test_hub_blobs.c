/* Attachments and peers that do what no honest device would. */
#include "protocol/frame.h"
#include "tests/lib/hands.h"
#include "tests/lib/hostile.h"
#include "tests/lib/photos.h"

enum { SIZE = 3 * BLOB_CHUNK + 100 };

/* Anna has two customers, one of which Eve sees, each with a photo at headquarters; and a photo that has not come. */
struct stage {
    struct pair pair;
    struct pair_device *anna, *eve;
    struct photo open, secret, missing;
    struct hostile h;
    struct message_states states; /* the last that came */
    struct blob_state state;      /* its first */
    uint8_t hash[BLOB_HASH];
    uint32_t chunks; /* CHUNK frames that came */
    struct arena arena;
};

static void start(struct stage *s, const struct hub_limits *limits)
{
    memset(s, 0, sizeof *s);
    pair_init(&s->pair, NULL, 77);
    if (limits) {
        s->pair.config.limits = *limits;
        pair_restart_hub(&s->pair);
    }
    s->anna = pair_enrol(&s->pair, "anna", "rep");
    s->eve = pair_enrol(&s->pair, "eve", "rep");
    pair_sync_all(&s->pair);
    struct uuid open = pair_insert(&s->pair, s->anna, "party", "name", "Open");
    struct uuid hers = hands_customer(&s->pair, s->anna, "Secret", hands_user(&s->pair, "anna"));
    s->open = photo_attach(&s->pair, s->anna, open, 1, SIZE);
    s->secret = photo_attach(&s->pair, s->anna, hers, 2, SIZE);
    pair_sync(&s->pair, s->anna);
    s->missing = photo_attach(&s->pair, s->anna, open, 3, SIZE);
    /* its record alone */
    struct uplink_effects effects;
    const struct uplink_config config = {.replica = s->anna->replica,
                                         .crypto = s->pair.crypto,
                                         .rng = &s->pair.rng,
                                         .agent = "test",
                                         .once = true,
                                         .no_attachments = true};
    uplink_free(s->anna->uplink);
    assert_ok(uplink_new(&config, &s->anna->identity, NULL, &s->anna->uplink));
    assert_ok(hub_attach(s->pair.hub, s->anna, pair_hub_now(&s->pair), &s->anna->peer));
    s->anna->up = true;
    uplink_link_up(s->anna->uplink, (struct now){{s->pair.now_ms}, {s->pair.now_ms * 1000}},
                   &effects);
    pair_run(&s->pair);
    arena_init(&s->arena, 64 << 20);
    hostile_attach(&s->h, &s->pair, s->eve);
}

static void stop(struct stage *s)
{
    hostile_end(&s->h);
    pair_sync(&s->pair, s->anna); /* others go on */
    assert_true(photo_is_at(&s->pair, NULL, &s->missing));
    arena_done(&s->arena);
    pair_done(&s->pair);
}

/* All that comes is read; of STATES and CHUNK the last is kept. */
static void listen(struct stage *s)
{
    struct buf frame;
    struct message m;
    buf_init(&frame, FRAME_MAX);
    for (bool moved = true; moved;) {
        moved = hub_has_work(s->pair.hub);
        hostile_turn(&s->h);
        while (s->h.peer) {
            hub_next_frame(s->pair.hub, s->h.peer, pair_hub_now(&s->pair), &frame);
            if (frame.size == 0)
                break;
            moved = true;
            arena_reset(&s->arena);
            assert_ok(
                frame_decode(buf_view(&frame), true, s->h.inflater, &s->h.inflated, &s->arena, &m));
            s->chunks += m.type == MESSAGE_CHUNK;
            if (m.type == MESSAGE_FAILURE)
                s->h.failure = (enum err)m.as.failure.code;
            if (m.type != MESSAGE_STATES)
                continue;
            s->states = m.as.states;
            if (m.as.states.blobs_count > 0) {
                s->state = m.as.states.blobs[0];
                memcpy(s->hash, s->state.hash.data, BLOB_HASH);
            }
        }
    }
    buf_done(&frame);
}

static void want(struct stage *s, const struct photo *photo, uint64_t number)
{
    const struct message m = {.type = MESSAGE_WANT,
                              .as.want = {bytes_of(photo->hash, BLOB_HASH), number, UINT64_MAX}};
    s->state = (struct blob_state){0};
    hostile_send(&s->h, &m);
    listen(s);
}

/* data NULL: the right one, by `of`. */
static void chunk(struct stage *s, const struct photo *photo, uint64_t size, uint64_t number,
                  uint64_t of)
{
    uint8_t *data = photo_bytes(of, SIZE);
    size_t at = number < 4 ? (size_t)number * BLOB_CHUNK : 0,
           have = SIZE - at < BLOB_CHUNK ? SIZE - at : BLOB_CHUNK;
    const struct message m = {.type = MESSAGE_CHUNK,
                              .as.chunk = {.hash = bytes_of(photo->hash, BLOB_HASH),
                                           .size = size,
                                           .number = number,
                                           .data = bytes_of(data + at, have)}};
    s->state = (struct blob_state){0};
    hostile_send(&s->h, &m);
    listen(s);
    free(data);
}

static void a_hash_alone_gives_nothing(void **state)
{
    struct stage s;
    struct photo nobody = {.size = SIZE, .hash = {1, 2, 3}};
    (void)state;
    start(&s, NULL);
    hostile_open(&s.h);
    want(&s, &s.secret, 0); /* it is there */
    assert_int_equal(s.state.code, BLOB_UNKNOWN);
    assert_int_equal(s.state.next, 0);
    want(&s, &nobody, 0); /* it is not: the same answer */
    assert_int_equal(s.state.code, BLOB_UNKNOWN);
    assert_int_equal(s.state.next, 0);
    assert_int_equal(s.chunks, 0);
    uint32_t before = photo_chunks(&s.pair, NULL);
    chunk(&s, &s.secret, SIZE, 0, 2);
    assert_int_equal(s.state.code, BLOB_UNKNOWN);
    chunk(&s, &nobody, SIZE, 0, 2);
    assert_int_equal(s.state.code, BLOB_UNKNOWN);
    assert_int_equal(photo_chunks(&s.pair, NULL), before);
    struct blob_offer offers[] = {{bytes_of(s.secret.hash, 32), SIZE},
                                  {bytes_of(s.open.hash, 32), 1}};
    const struct message offer = {.type = MESSAGE_OFFER, .as.offer = {offers, 2}};
    hostile_send(&s.h, &offer);
    listen(&s);
    assert_int_equal(s.states.blobs_count, 2);
    assert_int_equal(s.states.blobs[0].code, BLOB_UNKNOWN);
    assert_int_equal(s.states.blobs[1].code, BLOB_AT_HEADQUARTERS);
    want(&s, &s.missing, 0); /* in sight, and not here yet */
    assert_int_equal(s.state.code, BLOB_MISSING);
    want(&s, &s.open, 3);
    assert_int_equal(s.chunks, 1);
    stop(&s);
}

static void other_bytes_are_thrown_away(void **state)
{
    struct stage s;
    (void)state;
    start(&s, NULL);
    hostile_open(&s.h);
    for (uint64_t n = 0; n < 4; n++)
        chunk(&s, &s.missing, SIZE, n, 9);
    assert_int_equal(s.state.code, BLOB_OTHER);
    assert_memory_equal(s.hash, s.missing.hash, BLOB_HASH);
    assert_false(photo_state(&s.pair, NULL, &s.missing).whole);
    chunk(&s, &s.missing, SIZE, 0, 9); /* half of it once more, and then the honest one comes */
    assert_int_equal(s.state.code, BLOB_WANTED);
    stop(&s);
}

static void chunks_out_of_turn_change_nothing(void **state)
{
    struct stage s;
    (void)state;
    start(&s, NULL);
    hostile_open(&s.h);
    chunk(&s, &s.missing, SIZE, 2, 3);
    assert_int_equal(s.state.code, BLOB_WANTED);
    assert_int_equal(s.state.next, 0);
    chunk(&s, &s.missing, SIZE, 0, 3);
    chunk(&s, &s.missing, SIZE, 0, 3); /* twice */
    assert_int_equal(s.state.code, BLOB_WANTED);
    assert_int_equal(s.state.next, 1);
    chunk(&s, &s.missing, (uint64_t)BLOB_SIZE_DEFAULT + 1, 1, 3);
    assert_int_equal(s.state.code, BLOB_TOO_LARGE);
    assert_int_equal(s.states.limit, BLOB_SIZE_DEFAULT);
    chunk(&s, &s.missing, 0, 0, 3);
    assert_int_equal(s.state.code, BLOB_TOO_LARGE);
    chunk(&s, &s.missing, SIZE, 3, 3); /* not the next, and short as the last */
    assert_int_equal(s.state.next, 1);
    stop(&s);
}

static void what_is_not_of_the_form_ends_the_session(void **state)
{
    static const struct {
        uint64_t size, number;
    } wrong[] = {{SIZE, 4}, {SIZE, UINT64_MAX}, {SIZE, (uint64_t)UINT32_MAX + 1}, {10, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct stage s;
        (void)state;
        start(&s, NULL);
        hostile_open(&s.h);
        chunk(&s, &s.missing, wrong[i].size, wrong[i].number, 3);
        assert_err(s.h.failure, ERR_PROTOCOL);
        stop(&s);
    }
}

static void two_questions_at_once_end_the_session(void **state)
{
    struct stage s;
    (void)state;
    start(&s, NULL);
    hostile_open(&s.h);
    const struct message m = {.type = MESSAGE_WANT,
                              .as.want = {bytes_of(s.open.hash, BLOB_HASH), 0, UINT64_MAX}};
    hostile_send(&s.h, &m);
    hostile_send(&s.h, &m);
    listen(&s);
    assert_err(s.h.failure, ERR_PROTOCOL);
    assert_int_equal(s.chunks, 0);
    stop(&s);
}

static void past_the_end_ends_the_session(void **state)
{
    struct stage s;
    (void)state;
    start(&s, NULL);
    hostile_open(&s.h);
    want(&s, &s.open, 4);
    assert_err(s.h.failure, ERR_PROTOCOL);
    stop(&s);
}

static void hashes_have_32_bytes(void **state)
{
    struct stage s;
    (void)state;
    start(&s, NULL);
    hostile_open(&s.h);
    const struct message m = {.type = MESSAGE_WANT,
                              .as.want = {bytes_of(s.open.hash, 31), 0, UINT64_MAX}};
    hostile_send(&s.h, &m);
    listen(&s);
    assert_err(s.h.failure, ERR_PROTOCOL);
    stop(&s);
}

static void before_the_welcome_nothing_is_taken(void **state)
{
    struct stage s;
    (void)state;
    start(&s, NULL);
    const struct message m = {.type = MESSAGE_OFFER};
    hostile_send(&s.h, &m);
    listen(&s);
    assert_err(s.h.failure, ERR_PROTOCOL);
    stop(&s);
}

/* More chunks than any answer has asked for: the queue has its bound, and others do not notice. */
static void a_flood_ends_the_session(void **state)
{
    struct stage s;
    (void)state;
    start(&s, NULL);
    hostile_open(&s.h);
    uint8_t *data = photo_bytes(3, BLOB_CHUNK);
    const struct message m = {.type = MESSAGE_CHUNK,
                              .as.chunk = {.hash = bytes_of(s.missing.hash, BLOB_HASH),
                                           .size = SIZE,
                                           .data = bytes_of(data, BLOB_CHUNK)}};
    for (int i = 0; i < 400; i++)
        hostile_send(&s.h, &m);
    listen(&s);
    free(data);
    assert_err(s.h.failure, ERR_LIMIT);
    stop(&s);
}

/* Chunks wait while there is anything else. */
static void what_is_pushed_goes_first(void **state)
{
    struct stage s;
    struct hub_stats before, after;
    (void)state;
    start(&s, NULL);
    hostile_open(&s.h);
    uint8_t *data = photo_bytes(3, BLOB_CHUNK);
    const struct message m = {.type = MESSAGE_CHUNK,
                              .as.chunk = {.hash = bytes_of(s.missing.hash, BLOB_HASH),
                                           .size = SIZE,
                                           .data = bytes_of(data, BLOB_CHUNK)}};
    for (int i = 0; i < 100; i++)
        hostile_send(&s.h, &m);
    const struct bytes *groups;
    pair_insert(&s.pair, s.eve, "party", "name", "Eve's");
    uint32_t count = hostile_groups(&s.h, 1, &s.arena, &groups);
    hub_stats(s.pair.hub, &before);
    hostile_push(&s.h, 1, groups, count);
    assert_ok(hub_turn(s.pair.hub, pair_hub_now(&s.pair)));
    hub_stats(s.pair.hub, &after);
    assert_int_equal(after.groups_applied, before.groups_applied + 1); /* in the first turn */
    assert_true(hub_has_work(s.pair.hub));                             /* of 16 chunks */
    free(data);
    listen(&s);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_alone_gives_nothing),
        cmocka_unit_test(other_bytes_are_thrown_away),
        cmocka_unit_test(chunks_out_of_turn_change_nothing),
        cmocka_unit_test(what_is_not_of_the_form_ends_the_session),
        cmocka_unit_test(two_questions_at_once_end_the_session),
        cmocka_unit_test(past_the_end_ends_the_session),
        cmocka_unit_test(hashes_have_32_bytes),
        cmocka_unit_test(before_the_welcome_nothing_is_taken),
        cmocka_unit_test(a_flood_ends_the_session),
        cmocka_unit_test(what_is_pushed_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
