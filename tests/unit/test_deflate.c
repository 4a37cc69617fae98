#include "common/deflate.h"

#include "tests/lib/failing_alloc.h"
#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

#define ROOM ((size_t)16 << 20)

struct streams {
    struct deflater *deflater;
    struct inflater *inflater;
    struct buf packed, plain;
};

static int set_up(void **state)
{
    static struct streams s;

    if (deflater_new(6, &s.deflater) != ERR_OK || inflater_new(&s.inflater) != ERR_OK)
        return -1;
    buf_init(&s.packed, ROOM);
    buf_init(&s.plain, ROOM);
    *state = &s;
    return 0;
}

static int tear_down(void **state)
{
    struct streams *s = *state;

    deflater_free(s->deflater);
    inflater_free(s->inflater);
    buf_done(&s->packed);
    buf_done(&s->plain);
    return 0;
}

static void restart(struct streams *s)
{
    buf_reset(&s->packed);
    buf_reset(&s->plain);
}

static void known_streams_inflate(void **state)
{
    struct streams *s = *state;

    restart(s);
    assert_ok(inflate_frame(s->inflater, BYTES("\x01\x05\x00\xfa\xffhello"), 5, &s->plain));
    assert_ok(inflate_frame(s->inflater, BYTES("\xcb\x48\xcd\xc9\xc9\x07\x00"), 5, &s->plain));
    assert_ok(inflate_frame(s->inflater, BYTES("\x03\x00"), 0, &s->plain)); /* empty */
    assert_text(buf_view(&s->plain), "hellohello");
}

static void frames_are_independent_and_come_back(void **state)
{
    static uint8_t data[200000];
    struct streams *s = *state;
    struct seeded_rng r;

    seeded_rng_init(&r, 11);
    for (int i = 0; i < 200; i++) {
        size_t size = (size_t)(seeded_u64(&r) % sizeof(data)) >> seeded_below(&r, 17);
        uint64_t alphabet = 1 + seeded_below(&r, 256);
        size_t before;

        for (size_t j = 0; j < size; j++)
            data[j] = (uint8_t)seeded_below(&r, alphabet);
        restart(s);
        buf_append(&s->packed, "frame:", 6);
        buf_append(&s->plain, "plain:", 6);
        assert_ok(deflate_frame(s->deflater, bytes_of(data, size), &s->packed));
        before = s->packed.size;
        assert_ok(deflate_frame(s->deflater, bytes_of(data, size), &s->packed));
        assert_int_equal(s->packed.size - before, before - 6); /* nothing is left of the first */
        if (inflate_cap(before - 6, ROOM) < size)
            continue;
        assert_ok(
            inflate_frame(s->inflater, bytes_of(s->packed.data + 6, before - 6), size, &s->plain));
        assert_true(
            bytes_equal(bytes_of(s->plain.data + 6, s->plain.size - 6), bytes_of(data, size)));
    }
}

static void every_level_works_and_others_do_not(void **state)
{
    struct streams *s = *state;
    struct deflater *d = NULL;

    assert_err(deflater_new(-2, &d), ERR_INVALID);
    assert_err(deflater_new(10, &d), ERR_INVALID);
    assert_null(d);
    for (int level = -1; level <= 9; level++) {
        assert_ok(deflater_new(level, &d));
        restart(s);
        assert_ok(deflate_frame(d, bytes_of_text("abcabcabcabcabcabc"), &s->packed));
        assert_ok(inflate_frame(s->inflater, buf_view(&s->packed), 18, &s->plain));
        assert_text(buf_view(&s->plain), "abcabcabcabcabcabc");
        deflater_free(d);
    }
    deflater_free(NULL);
    inflater_free(NULL);
}

static void output_is_refused_past_the_maximum(void **state)
{
    static uint8_t data[5000];
    struct streams *s = *state;

    restart(s);
    assert_ok(deflate_frame(s->deflater, bytes_of(data, sizeof(data)), &s->packed));
    buf_append(&s->plain, "before", 6);
    for (size_t max = 0; max < sizeof(data); max += 499) {
        assert_err(inflate_frame(s->inflater, buf_view(&s->packed), max, &s->plain), ERR_TOO_LARGE);
        assert_text(buf_view(&s->plain), "before");
    }
    assert_err(inflate_frame(s->inflater, buf_view(&s->packed), sizeof(data) - 1, &s->plain),
               ERR_TOO_LARGE);
    assert_ok(inflate_frame(s->inflater, buf_view(&s->packed), sizeof(data), &s->plain));
    assert_int_equal(s->plain.size, sizeof(data) + 6);
}

static void output_is_refused_past_the_buffers_limit(void **state)
{
    static uint8_t data[5000];
    struct streams *s = *state;
    struct buf small;

    restart(s);
    assert_ok(deflate_frame(s->deflater, bytes_of(data, sizeof(data)), &s->packed));
    buf_init(&small, sizeof(data) - 1);
    assert_err(inflate_frame(s->inflater, buf_view(&s->packed), ROOM, &small), ERR_TOO_LARGE);
    assert_int_equal(small.size, 0);
    buf_done(&small);
    buf_init(&small, sizeof(data));
    assert_ok(inflate_frame(s->inflater, buf_view(&s->packed), ROOM, &small));
    assert_int_equal(small.size, sizeof(data));
    buf_done(&small);
    buf_init(&small, s->packed.size);
    assert_ok(deflate_frame(s->deflater, bytes_of(data, sizeof(data)), &small));
    assert_err(deflate_frame(s->deflater, bytes_of(data, sizeof(data)), &small), ERR_TOO_LARGE);
    assert_int_equal(small.size, s->packed.size);
    buf_done(&small);
    buf_init(&small, s->packed.size - 1);
    assert_err(deflate_frame(s->deflater, bytes_of(data, sizeof(data)), &small), ERR_TOO_LARGE);
    assert_int_equal(small.size, 0);
    buf_done(&small);
}

static void the_cap_is_the_stricter_of_both(void **state)
{
    (void)state;
    assert_int_equal(inflate_cap(0, 8 << 20), 65536);
    assert_int_equal(inflate_cap(655, 8 << 20), 65536);
    assert_int_equal(inflate_cap(656, 8 << 20), 65600);
    assert_int_equal(inflate_cap(83886, 8 << 20), 8388600);
    assert_int_equal(inflate_cap(83887, 8 << 20), 8 << 20);
    assert_int_equal(inflate_cap(1000, 1000), 1000);
    assert_true(inflate_cap(SIZE_MAX, SIZE_MAX) == SIZE_MAX);
}

/* A stream of exactly packed_size bytes that inflates to zeros: empty stored blocks of 5 bytes come
 * first. Returns whether the sizes allow it. */
static bool stretch(struct streams *s, size_t zeros, size_t packed_size)
{
    static uint8_t data[200000];
    size_t padding;

    restart(s);
    assert_true(zeros <= sizeof(data));
    assert_ok(deflate_frame(s->deflater, bytes_of(data, zeros), &s->packed));
    if (s->packed.size > packed_size || (packed_size - s->packed.size) % 5 != 0)
        return false;
    padding = packed_size - s->packed.size;
    assert_non_null(buf_reserve(&s->packed, padding));
    memmove(s->packed.data + padding, s->packed.data, s->packed.size);
    for (size_t at = 0; at < padding; at += 5)
        memcpy(s->packed.data + at, "\x00\x00\x00\xff\xff", 5);
    s->packed.size += padding;
    return true;
}

static void the_ratio_holds_to_the_byte(void **state)
{
    struct streams *s = *state;
    unsigned allowed = 0, refused = 0;

    for (size_t packed = 700; packed < 1500; packed += unit_step(9)) {
        if (stretch(s, packed * INFLATE_RATIO_MAX, packed)) {
            assert_ok(inflate_frame(s->inflater, buf_view(&s->packed), ROOM, &s->plain));
            assert_int_equal(s->plain.size, packed * INFLATE_RATIO_MAX);
            allowed++;
        }
        if (stretch(s, packed * INFLATE_RATIO_MAX + 1, packed)) {
            assert_err(inflate_frame(s->inflater, buf_view(&s->packed), ROOM, &s->plain),
                       ERR_TOO_LARGE);
            assert_int_equal(s->plain.size, 0);
            refused++;
        }
    }
    assert_true(allowed > unit_rounds(50) && refused > unit_rounds(50));
}

static void below_64_kib_any_ratio_is_fine(void **state)
{
    static uint8_t data[INFLATE_FREE_BYTES + 1];
    struct streams *s = *state;

    restart(s);
    assert_ok(deflate_frame(s->deflater, bytes_of(data, INFLATE_FREE_BYTES), &s->packed));
    assert_true(s->packed.size < 200);
    assert_ok(inflate_frame(s->inflater, buf_view(&s->packed), ROOM, &s->plain));
    assert_int_equal(s->plain.size, INFLATE_FREE_BYTES);
    restart(s);
    assert_ok(deflate_frame(s->deflater, bytes_of(data, INFLATE_FREE_BYTES + 1), &s->packed));
    assert_err(inflate_frame(s->inflater, buf_view(&s->packed), ROOM, &s->plain), ERR_TOO_LARGE);
}

/* 1,000 to 1: the memory that it takes follows the frame that came, not what it promises. */
static void a_bomb_takes_little_memory(void **state)
{
    struct streams *s = *state;
    uint8_t *zeros = calloc(1, ROOM);
    struct buf plain;

    assert_non_null(zeros);
    restart(s);
    assert_ok(deflate_frame(s->deflater, bytes_of(zeros, ROOM), &s->packed));
    free(zeros);
    buf_init(&plain, SIZE_MAX);
    assert_err(inflate_frame(s->inflater, buf_view(&s->packed), SIZE_MAX, &plain), ERR_TOO_LARGE);
    assert_true(plain.capacity <= 2 * inflate_cap(s->packed.size, SIZE_MAX));
    buf_done(&plain);
}

static void cut_and_followed_frames_are_malformed(void **state)
{
    struct streams *s = *state;
    struct bytes whole;

    restart(s);
    assert_ok(deflate_frame(s->deflater, bytes_of_text("some text, some more text"), &s->packed));
    whole = buf_view(&s->packed);
    for (size_t cut = 0; cut < whole.size; cut++) {
        assert_err(inflate_frame(s->inflater, bytes_of(whole.data, cut), ROOM, &s->plain),
                   ERR_MALFORMED);
        assert_int_equal(s->plain.size, 0);
    }
    assert_ok(inflate_frame(s->inflater, whole, ROOM, &s->plain));
    restart(s);
    assert_ok(deflate_frame(s->deflater, bytes_of_text("x"), &s->packed));
    buf_append_byte(&s->packed, 0);
    assert_err(inflate_frame(s->inflater, buf_view(&s->packed), ROOM, &s->plain), ERR_MALFORMED);
    assert_err(inflate_frame(s->inflater, bytes_of(NULL, 0), ROOM, &s->plain), ERR_MALFORMED);
    assert_err(inflate_frame(s->inflater, BYTES("\x07"), ROOM, &s->plain), ERR_MALFORMED);
    assert_int_equal(s->plain.size, 0);
}

static void garbage_is_an_error_or_within_the_cap(void **state)
{
    struct streams *s = *state;
    struct seeded_rng r;
    uint8_t text[3000];

    seeded_rng_init(&r, 12);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)('a' + seeded_below(&r, 5));
    for (unsigned i = 0; i < unit_rounds(5000); i++) {
        enum err error;

        restart(s);
        if (seeded_below(&r, 4) == 0) {
            uint8_t noise[64];

            seeded_fill(&r, noise, sizeof(noise));
            buf_append(&s->packed, noise, (size_t)seeded_below(&r, sizeof(noise) + 1));
        } else {
            assert_ok(deflate_frame(s->deflater, bytes_of(text, sizeof(text)), &s->packed));
            s->packed.data[seeded_below(&r, s->packed.size)] ^=
                (uint8_t)(1u << seeded_below(&r, 8));
        }
        error = inflate_frame(s->inflater, buf_view(&s->packed), 10000, &s->plain);
        assert_true(error == ERR_OK || error == ERR_MALFORMED || error == ERR_TOO_LARGE);
        assert_true(s->plain.size <= 10000);
        assert_true(error == ERR_OK || s->plain.size == 0);
    }
}

static enum err there_and_back(void *context)
{
    static uint8_t data[100000];
    struct deflater *deflater = NULL;
    struct inflater *inflater = NULL;
    struct buf packed, plain;
    enum err error;

    (void)context;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * i >> 8);
    buf_init(&packed, ROOM);
    buf_init(&plain, ROOM);
    error = deflater_new(6, &deflater);
    if (error == ERR_OK)
        error = inflater_new(&inflater);
    if (error == ERR_OK)
        error = deflate_frame(deflater, bytes_of(data, sizeof(data)), &packed);
    if (error == ERR_OK)
        error = inflate_frame(inflater, buf_view(&packed), ROOM, &plain);
    if (error == ERR_OK)
        assert_int_equal(plain.size, sizeof(data));
    deflater_free(deflater);
    inflater_free(inflater);
    buf_done(&packed);
    buf_done(&plain);
    return error;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    if (!failing_alloc_works())
        skip();
    assert_true(failing_alloc_each(there_and_back, NULL, ERR_NOMEM) >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_streams_inflate),
        cmocka_unit_test(frames_are_independent_and_come_back),
        cmocka_unit_test(every_level_works_and_others_do_not),
        cmocka_unit_test(output_is_refused_past_the_maximum),
        cmocka_unit_test(output_is_refused_past_the_buffers_limit),
        cmocka_unit_test(the_cap_is_the_stricter_of_both),
        cmocka_unit_test(the_ratio_holds_to_the_byte),
        cmocka_unit_test(below_64_kib_any_ratio_is_fine),
        cmocka_unit_test(a_bomb_takes_little_memory),
        cmocka_unit_test(cut_and_followed_frames_are_malformed),
        cmocka_unit_test(garbage_is_an_error_or_within_the_cap),
        cmocka_unit_test(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
