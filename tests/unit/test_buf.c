#include "common/buf.h"

#include "tests/lib/failing_alloc.h"
#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

static void appends_up_to_its_limit_and_not_past_it(void **state)
{
    volatile size_t huge = SIZE_MAX; /* volatile: a compiler that sees it warns, rightly */
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    assert_ok(buf_append(&b, "0123456789", 10));
    assert_text(buf_view(&b), "0123456789");
    assert_err(buf_append_byte(&b, 'x'), ERR_TOO_LARGE);
    assert_text(buf_view(&b), "0123456789");
    assert_true(b.capacity <= b.limit);
    buf_done(&b);

    buf_init(&b, 10);
    assert_err(buf_append(&b, "0123456789a", 11), ERR_TOO_LARGE);
    assert_int_equal(b.size, 0);
    buf_done(&b);

    buf_init(&b, SIZE_MAX);
    assert_ok(buf_append(&b, "a", 1));
    assert_err(buf_append(&b, "b", huge), ERR_TOO_LARGE);
    buf_done(&b);
}

static void the_first_failure_stays_until_reset(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 4);
    assert_ok(buf_append(&b, "abc", 3));
    assert_err(buf_append(&b, "de", 2), ERR_TOO_LARGE);
    assert_err(buf_append(&b, "d", 1), ERR_TOO_LARGE); /* it would fit: but then there is a gap */
    assert_err(buf_append(&b, NULL, 0), ERR_TOO_LARGE);
    assert_null(buf_reserve(&b, 1));
    assert_text(buf_view(&b), "abc");
    assert_int_equal(b.error, ERR_TOO_LARGE);
    buf_reset(&b);
    assert_int_equal(b.error, ERR_OK);
    assert_int_equal(b.size, 0);
    assert_ok(buf_append(&b, "abcd", 4));
    buf_done(&b);
}

static void nothing_is_fine_everywhere(void **state)
{
    struct buf zeroed = {0};
    struct buf b;

    (void)state;
    buf_done(&zeroed);
    buf_init(&b, 0);
    assert_ok(buf_append(&b, NULL, 0));
    assert_non_null(buf_reserve(&b, 0));
    assert_null(buf_reserve(&b, 1));
    assert_int_equal(b.error, ERR_TOO_LARGE);
    buf_done(&b);
    buf_done(&b); /* twice is fine too */
    buf_init(&b, 100);
    assert_int_equal(buf_view(&b).size, 0);
    buf_done(&b);
}

static void reserve_gives_room_to_write(void **state)
{
    struct buf b;
    uint8_t *at;

    (void)state;
    buf_init(&b, 1000);
    buf_append(&b, "<", 1);
    at = buf_reserve(&b, 999);
    assert_non_null(at);
    memset(at, '=', 999);
    assert_int_equal(b.size, 1); /* reserved, not written */
    b.size += 999;
    assert_int_equal(b.data[999], '=');
    assert_non_null(buf_reserve(&b, 0));
    assert_null(buf_reserve(&b, 1));
    buf_done(&b);
}

static void content_is_the_concatenation(void **state)
{
    static uint8_t expected[200000];
    struct seeded_rng r;
    struct buf b;
    size_t size = 0;

    (void)state;
    seeded_rng_init(&r, 2);
    seeded_fill(&r, expected, sizeof(expected));
    buf_init(&b, sizeof(expected));
    while (size < sizeof(expected)) {
        size_t step = (size_t)seeded_below(&r, 3000);

        if (step > sizeof(expected) - size)
            step = sizeof(expected) - size;
        assert_ok(buf_append(&b, expected + size, step));
        size += step;
        assert_true(b.size <= b.capacity && b.capacity <= b.limit);
    }
    assert_true(bytes_equal(buf_view(&b), bytes_of(expected, sizeof(expected))));
    assert_err(buf_append_byte(&b, 0), ERR_TOO_LARGE);
    buf_done(&b);
}

static enum err append_in_steps(void *context)
{
    struct buf b;
    enum err error;

    (void)context;
    buf_init(&b, 100000);
    for (int i = 0; i < 1000; i++)
        buf_append(&b, "0123456789abcdef", 16);
    error = b.error;
    assert_true(error == ERR_OK ? b.size == 16000 : b.size < 16000 && b.size % 16 == 0);
    buf_done(&b);
    return error;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    if (!failing_alloc_works())
        skip();
    assert_true(failing_alloc_each(append_in_steps, NULL, ERR_NOMEM) >= 5);
}

static void varints_have_known_bytes(void **state)
{
    static const struct {
        uint64_t value;
        const char *bytes;
        size_t size;
    } rows[] = {
        {0, "\0", 1},
        {1, "\x01", 1},
        {127, "\x7f", 1},
        {128, "\x80\x01", 2},
        {300, "\xac\x02", 2},
        {16383, "\xff\x7f", 2},
        {16384, "\x80\x80\x01", 3},
        {UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b;
        size_t offset = 0;
        uint64_t value;

        buf_init(&b, 10);
        assert_ok(buf_append_varint(&b, rows[i].value));
        assert_true(bytes_equal(buf_view(&b), bytes_of(rows[i].bytes, rows[i].size)));
        assert_ok(varint_get(buf_view(&b), &offset, &value));
        assert_true(value == rows[i].value);
        assert_int_equal(offset, rows[i].size);
        for (size_t cut = 0; cut < rows[i].size; cut++) {
            offset = 0;
            assert_err(varint_get(bytes_of(b.data, cut), &offset, &value), ERR_MALFORMED);
            assert_int_equal(offset, 0);
        }
        buf_done(&b);
    }
}

static void varints_in_other_forms_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        {"\x80\x00", 2},                                      /* 0 in two bytes */
        {"\xff\x80\x00", 3},                                  /* 127 in three */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},     /* 2^64 and more */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81", 10},     /* goes on after ten */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11}, /* eleven bytes */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10},     /* 0 in ten */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t offset = 0;
        uint64_t value = 99;

        assert_err(varint_get(bytes_of(rows[i].bytes, rows[i].size), &offset, &value),
                   ERR_MALFORMED);
        assert_int_equal(offset, 0);
        assert_int_equal(value, 99);
    }
}

static void a_run_of_varints_reads_back(void **state)
{
    static uint64_t values[5000];
    struct seeded_rng r;
    struct buf b;
    size_t offset = 0;

    (void)state;
    seeded_rng_init(&r, 3);
    buf_init(&b, 10 * sizeof(values) / sizeof(values[0]));
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        values[i] = seeded_u64(&r) >> seeded_below(&r, 64);
        assert_ok(buf_append_varint(&b, values[i]));
    }
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        uint64_t value;

        assert_ok(varint_get(buf_view(&b), &offset, &value));
        assert_true(value == values[i]);
    }
    assert_int_equal(offset, b.size);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_up_to_its_limit_and_not_past_it),
        cmocka_unit_test(the_first_failure_stays_until_reset),
        cmocka_unit_test(nothing_is_fine_everywhere),
        cmocka_unit_test(reserve_gives_room_to_write),
        cmocka_unit_test(content_is_the_concatenation),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(varints_have_known_bytes),
        cmocka_unit_test(varints_in_other_forms_are_refused),
        cmocka_unit_test(a_run_of_varints_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
