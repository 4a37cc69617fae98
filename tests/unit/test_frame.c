/* Frames: round trip, limits before and after authentication, bombs in bounded memory. */
#include "tests/lib/unit.h"

#include "protocol/frame.h"
#include "protocol/pack.h"
#include "tests/lib/codec.h"
#include "tests/lib/failing_alloc.h"
#include "tests/lib/messages.h"

enum { ARENA_LIMIT = 64 << 20 };

struct fixture {
    struct arena arena, decoded;
    struct deflater *deflater;
    struct inflater *inflater;
    struct buf payload, inflated, frame;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    arena_init(&f->arena, ARENA_LIMIT);
    arena_init(&f->decoded, ARENA_LIMIT);
    assert_ok(deflater_new(1, &f->deflater));
    assert_ok(inflater_new(&f->inflater));
    buf_init(&f->payload, 2 * (size_t)FRAME_INFLATED_MAX);
    buf_init(&f->inflated, FRAME_INFLATED_MAX);
    buf_init(&f->frame, 4 * (size_t)FRAME_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_done(&f->payload);
    buf_done(&f->inflated);
    buf_done(&f->frame);
    deflater_free(f->deflater);
    inflater_free(f->inflater);
    arena_done(&f->arena);
    arena_done(&f->decoded);
    free(f);
    return 0;
}

static enum err encode(struct fixture *f, const struct message *message, bool deflate)
{
    return frame_encode(message, deflate ? f->deflater : NULL, &f->payload, &f->frame);
}

static enum err decode_bytes(struct fixture *f, struct bytes in, bool authenticated,
                             struct message *ret)
{
    arena_reset(&f->decoded);
    return frame_decode(in, authenticated, f->inflater, &f->inflated, &f->decoded, ret);
}

static enum err decode(struct fixture *f, bool authenticated, struct message *ret)
{
    return decode_bytes(f, buf_view(&f->frame), authenticated, ret);
}

/* A frame by hand: the payload as it is, or deflated, and a header that says what it is told. */
static void make_frame(struct fixture *f, uint8_t type, uint8_t flags, uint32_t declared,
                       struct bytes payload)
{
    uint8_t header[FRAME_HEADER_SIZE] = {type, flags};

    be32_put(header + 2, declared);
    buf_reset(&f->frame);
    assert_ok(buf_append(&f->frame, header, sizeof(header)));
    if ((flags & 1) != 0)
        assert_ok(deflate_frame(f->deflater, payload, &f->frame));
    else
        assert_ok(buf_append(&f->frame, payload.data, payload.size));
}

static void random_frames_come_back(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    unsigned deflated = 0;

    seeded_rng_init(&r, 20260140);
    for (unsigned i = 0; i < message_type_count * 100; i++) {
        struct message message, got;

        arena_reset(&f->arena);
        message_random(&r, &f->arena, message_types[i % message_type_count], 40, &message);
        assert_ok(encode(f, &message, seeded_below(&r, 2) == 0));
        deflated += f->frame.data[1];
        assert_int_equal(f->frame.data[0], message.type);
        assert_int_equal(be32_get(f->frame.data + 2), f->payload.size);
        assert_ok(decode(f, true, &got));
        assert_true(messages_equal(&message, &got));
        if (message_before_auth(message.type)) {
            assert_in_range(f->frame.size, 0, FRAME_BEFORE_AUTH_MAX);
            assert_ok(decode(f, false, &got));
            assert_true(messages_equal(&message, &got));
        } else {
            assert_err(decode(f, false, &got),
                       f->frame.size > FRAME_BEFORE_AUTH_MAX ? ERR_TOO_LARGE : ERR_PROTOCOL);
        }
    }
    assert_in_range(deflated, 50, 1000);
}

static void truncated_and_changed_frames(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;

    seeded_rng_init(&r, 20260141);
    for (unsigned i = 0; i < message_type_count * 4; i++) {
        struct message message, got;

        arena_reset(&f->arena);
        message_random(&r, &f->arena, message_types[i % message_type_count], 4, &message);
        assert_ok(encode(f, &message, i % 2 == 0));
        for (size_t cut = 0; cut < f->frame.size; cut++) {
            uint8_t *data = malloc(cut + 1);

            assert_non_null(data);
            memcpy(data, f->frame.data, cut);
            assert_err(decode_bytes(f, bytes_of(data, cut), true, &got), ERR_MALFORMED);
            free(data);
        }
        for (unsigned k = 0; k < 100; k++) {
            size_t at = (size_t)seeded_below(&r, f->frame.size);
            uint8_t kept = f->frame.data[at];

            f->frame.data[at] = (uint8_t)seeded_u64(&r);
            decode(f, true, &got);
            f->frame.data[at] = kept;
        }
    }
}

static struct message page_of(struct bytes body)
{
    return (struct message){.type = MESSAGE_PAGE, .as.page = {.bucket = 1, .to = 2, .body = body}};
}

static void the_threshold_of_deflating(void **state)
{
    struct fixture *f = *state;
    uint8_t body[1000] = {0};
    struct message message, got;

    for (size_t size = 200; size < 300; size++) {
        message = page_of(bytes_of(body, size));
        assert_ok(encode(f, &message, true));
        assert_int_equal(f->frame.data[1], f->payload.size >= FRAME_DEFLATE_THRESHOLD);
        assert_ok(decode(f, true, &got));
        assert_true(bytes_equal(got.as.page.body, bytes_of(body, size)));
        assert_ok(encode(f, &message, false));
        assert_int_equal(f->frame.data[1], 0);
    }
}

static void what_does_not_shrink_travels_as_it_is(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    struct message message;

    seeded_rng_start(&r, 1);
    message = page_of(codec_bytes(&r, &f->arena, 100000));
    assert_ok(encode(f, &message, true));
    assert_int_equal(f->frame.data[1], 0);
    assert_int_equal(f->frame.size, FRAME_HEADER_SIZE + f->payload.size);
}

/* More than 100:1 past 64 KiB would be refused, so it is not sent so. */
static void what_shrinks_too_much_travels_as_it_is(void **state)
{
    struct fixture *f = *state;
    uint8_t *body = calloc(1, 900000);
    struct message message, got;

    assert_non_null(body);
    message = page_of(bytes_of(body, 900000));
    assert_ok(encode(f, &message, true));
    assert_int_equal(f->frame.data[1], 0);
    assert_ok(decode(f, true, &got));
    message = page_of(bytes_of(body, 60000)); /* small ones may */
    assert_ok(encode(f, &message, true));
    assert_int_equal(f->frame.data[1], 1);
    assert_ok(decode(f, true, &got));
    free(body);
}

/* A photo is compressed already; a text beside it is not. */
static void chunks_are_deflated_where_it_helps(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[65536];
    struct message back,
        m = {.type = MESSAGE_CHUNK, .as.chunk = {.hash = bytes_of(data, 32), .size = sizeof(data)}};
    uint64_t x = 7;

    for (size_t i = 0; i < sizeof(data); i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = (uint8_t)(x >> 24);
    }
    for (size_t size = 1; size <= sizeof(data); size = size * 3 + 1) {
        m.as.chunk.data = bytes_of(data, size);
        assert_ok(encode(f, &m, true));
        assert_int_equal(f->frame.data[1], 0);
    }
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)("a line of a price list; "[data[i] % 24]);
    m.as.chunk.data = bytes_of(data, sizeof(data));
    assert_ok(encode(f, &m, true));
    assert_int_equal(f->frame.data[1], 1);
    assert_ok(decode_bytes(f, buf_view(&f->frame), true, &back));
    assert_true(bytes_equal(back.as.chunk.data, m.as.chunk.data));
}

static void sizes_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    struct bytes body;
    struct message message, got;
    size_t overhead;

    seeded_rng_start(&r, 1);
    body = codec_bytes(&r, &f->arena, FRAME_MAX + 10);
    message = page_of(bytes_of(body.data, FRAME_MAX - 100));
    assert_ok(encode(f, &message, false));
    overhead = f->frame.size - (FRAME_MAX - 100);
    message = page_of(bytes_of(body.data, FRAME_MAX - overhead));
    assert_ok(encode(f, &message, true));
    assert_int_equal(f->frame.size, FRAME_MAX);
    assert_ok(decode(f, true, &got));
    assert_true(messages_equal(&message, &got));
    message.as.page.body.size++;
    assert_err(encode(f, &message, true), ERR_TOO_LARGE);
    assert_int_equal(f->frame.size, 0);
    make_frame(f, MESSAGE_PAGE, 0, (uint32_t)f->payload.size, buf_view(&f->payload));
    assert_int_equal(f->frame.size, FRAME_MAX + 1);
    assert_err(decode(f, true, &got), ERR_TOO_LARGE);
}

static void inflated_sizes_at_the_limit(void **state)
{
    struct fixture *f = *state;
    size_t size = FRAME_INFLATED_MAX;
    uint8_t *body = malloc(size);
    struct message message, got;

    assert_non_null(body);
    for (size_t i = 0; i < size; i++) /* shrinks, but not 100:1 */
        body[i] = i % 64 == 0 ? (uint8_t)(i * 2654435761u >> 24) : (uint8_t)(i >> 12);
    message = page_of(bytes_of(body, size - 10));
    assert_ok(encode(f, &message, true));
    assert_int_equal(f->frame.data[1], 1);
    assert_int_equal(be32_get(f->frame.data + 2), FRAME_INFLATED_MAX);
    assert_ok(decode(f, true, &got));
    assert_true(messages_equal(&message, &got));
    message.as.page.body.size++;
    assert_err(encode(f, &message, true), ERR_TOO_LARGE);
    make_frame(f, MESSAGE_PAGE, 1, FRAME_INFLATED_MAX + 1, buf_view(&f->payload));
    assert_err(decode(f, true, &got), ERR_TOO_LARGE);
    make_frame(f, MESSAGE_PAGE, 1, FRAME_INFLATED_MAX, buf_view(&f->payload));
    assert_err(decode(f, true, &got), ERR_TOO_LARGE); /* it holds one byte more than it says */
    free(body);
}

static void before_authentication(void **state)
{
    struct fixture *f = *state;
    uint8_t *zeros = calloc(1, 70000);
    struct message got;

    assert_non_null(zeros);
    /* FAILURE [0, text] with fields of a newer peer up to exactly 4 KiB, and one more */
    zeros[0] = 0xdc;
    be16_put(zeros + 1, FRAME_BEFORE_AUTH_MAX - FRAME_HEADER_SIZE - 3);
    zeros[4] = 0xa0;
    make_frame(f, MESSAGE_FAILURE, 0, FRAME_BEFORE_AUTH_MAX - FRAME_HEADER_SIZE,
               bytes_of(zeros, FRAME_BEFORE_AUTH_MAX - FRAME_HEADER_SIZE));
    assert_int_equal(f->frame.size, FRAME_BEFORE_AUTH_MAX);
    assert_ok(decode(f, false, &got));
    be16_put(zeros + 1, FRAME_BEFORE_AUTH_MAX - FRAME_HEADER_SIZE - 2);
    make_frame(f, MESSAGE_FAILURE, 0, FRAME_BEFORE_AUTH_MAX - FRAME_HEADER_SIZE + 1,
               bytes_of(zeros, FRAME_BEFORE_AUTH_MAX - FRAME_HEADER_SIZE + 1));
    assert_err(decode(f, false, &got), ERR_TOO_LARGE);
    assert_ok(decode(f, true, &got));
    /* deflated to little, inflated to 4 KiB, and one more */
    be16_put(zeros + 1, FRAME_BEFORE_AUTH_MAX - 3);
    make_frame(f, MESSAGE_FAILURE, 1, FRAME_BEFORE_AUTH_MAX,
               bytes_of(zeros, FRAME_BEFORE_AUTH_MAX));
    assert_ok(decode(f, false, &got));
    be16_put(zeros + 1, FRAME_BEFORE_AUTH_MAX - 2);
    make_frame(f, MESSAGE_FAILURE, 1, FRAME_BEFORE_AUTH_MAX + 1,
               bytes_of(zeros, FRAME_BEFORE_AUTH_MAX + 1));
    assert_err(decode(f, false, &got), ERR_TOO_LARGE);
    assert_ok(decode(f, true, &got));
    make_frame(f, MESSAGE_FAILURE, 1, FRAME_BEFORE_AUTH_MAX, bytes_of(zeros, 70000));
    assert_err(decode(f, false, &got), ERR_TOO_LARGE);
    assert_in_range(f->inflated.capacity, 0, 64 << 10);
    make_frame(f, MESSAGE_PING, 0, 2, bytes_of("\x91\x07", 2));
    assert_err(decode(f, false, &got), ERR_PROTOCOL);
    assert_ok(decode(f, true, &got));
    free(zeros);
}

static void wrong_headers(void **state)
{
    struct fixture *f = *state;
    struct bytes ping = BYTES("\x91\x07");
    struct message got;

    for (unsigned flags = 2; flags < 256; flags++) {
        make_frame(f, MESSAGE_PING, 0, 2, ping);
        f->frame.data[1] = (uint8_t)flags;
        assert_err(decode(f, true, &got), ERR_MALFORMED);
    }
    make_frame(f, MESSAGE_PING, 0, 1, ping);
    assert_err(decode(f, true, &got), ERR_MALFORMED);
    make_frame(f, MESSAGE_PING, 0, 3, ping);
    assert_err(decode(f, true, &got), ERR_MALFORMED);
    make_frame(f, MESSAGE_PING, 0, 0, bytes_of(NULL, 0));
    assert_err(decode(f, true, &got), ERR_MALFORMED);
    make_frame(f, 0, 0, 2, ping);
    assert_err(decode(f, true, &got), ERR_PROTOCOL);
    make_frame(f, 200, 0, 2, ping);
    assert_err(decode(f, true, &got), ERR_PROTOCOL);
    make_frame(f, 200, 0, 2, ping);
    assert_err(decode(f, false, &got), ERR_PROTOCOL);
    make_frame(f, MESSAGE_PING, 1, 2, ping); /* a small one may be deflated */
    assert_ok(decode(f, true, &got));
    assert_int_equal(got.as.ping.token, 7);
    make_frame(f, MESSAGE_PING, 1, 3, ping);
    assert_err(decode(f, true, &got), ERR_MALFORMED);
    make_frame(f, MESSAGE_PING, 1, 1, ping);
    assert_err(decode(f, true, &got), ERR_TOO_LARGE);
    make_frame(f, MESSAGE_PING, 1, 2, ping);
    assert_ok(buf_append_byte(&f->frame, 0));
    assert_err(decode(f, true, &got), ERR_MALFORMED);
}

/* --- Bombs ------------------------------------------------------------------------------------ */

static void bomb(const char *name, struct bytes data)
{
    struct inflater *inflater;
    struct arena arena;
    struct buf scratch;

    assert_ok(inflater_new(&inflater));
    for (int authenticated = 0; authenticated < 2; authenticated++) {
        uint32_t declared = be32_get(data.data + 2);
        size_t most = declared < FRAME_INFLATED_MAX ? declared : FRAME_INFLATED_MAX;
        struct message got;
        enum err err;

        buf_init(&scratch, FRAME_INFLATED_MAX);
        arena_init(&arena, ARENA_LIMIT);
        err = frame_decode(data, authenticated != 0, inflater, &scratch, &arena, &got);
        if (err == ERR_OK)
            fail_msg("%s: taken", name);
        if (authenticated == 0)
            most = FRAME_BEFORE_AUTH_MAX;
        /* what inflating may write, rounded up as buf does */
        if (scratch.capacity > 2 * most + 64 ||
            scratch.capacity > 2 * inflate_cap(data.size, FRAME_INFLATED_MAX) + 64)
            fail_msg("%s: %zu bytes of memory", name, scratch.capacity);
        assert_in_range(arena.used, 0, 128 << 10);
        arena_done(&arena);
        buf_done(&scratch);
    }
    inflater_free(inflater);
}

static void bombs_are_refused_in_bounded_memory(void **state)
{
    (void)state;
    assert_in_range(codec_bombs("frame-", bomb), 8, 1000);
}

static enum err run_both(void *context)
{
    struct fixture *f = context;
    uint8_t body[1000] = {0};
    struct message message = page_of(bytes_of(body, sizeof(body))), got;
    struct buf payload, frame, inflated;
    struct arena arena;
    enum err err;

    buf_init(&payload, FRAME_INFLATED_MAX);
    buf_init(&frame, FRAME_MAX);
    buf_init(&inflated, FRAME_INFLATED_MAX);
    arena_init(&arena, ARENA_LIMIT);
    err = frame_encode(&message, f->deflater, &payload, &frame);
    if (err == ERR_OK)
        err = frame_decode(buf_view(&frame), true, f->inflater, &inflated, &arena, &got);
    arena_done(&arena);
    buf_done(&payload);
    buf_done(&frame);
    buf_done(&inflated);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    if (!failing_alloc_works())
        skip();
    assert_in_range(failing_alloc_each(run_both, *state, ERR_NOMEM), 3, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_frames_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(truncated_and_changed_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(the_threshold_of_deflating, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_shrink_travels_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(what_shrinks_too_much_travels_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(chunks_are_deflated_where_it_helps, setup, teardown),
        cmocka_unit_test_setup_teardown(sizes_at_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(inflated_sizes_at_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(before_authentication, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_headers, setup, teardown),
        cmocka_unit_test(bombs_are_refused_in_bounded_memory),
        cmocka_unit_test_setup_teardown(each_allocation_may_fail, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
