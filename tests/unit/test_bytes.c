#include "common/bytes.h"

#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

static void views_compare_as_memcmp_and_then_by_size(void **state)
{
    struct bytes empty = bytes_of(NULL, 0);
    struct bytes a = bytes_of_text("a"), ab = bytes_of_text("ab"), b = bytes_of_text("b");
    struct bytes high = BYTES("\xff");

    (void)state;
    assert_int_equal(bytes_compare(empty, empty), 0);
    assert_int_equal(bytes_compare(empty, a), -1);
    assert_int_equal(bytes_compare(a, empty), 1);
    assert_int_equal(bytes_compare(a, ab), -1);
    assert_int_equal(bytes_compare(ab, a), 1);
    assert_int_equal(bytes_compare(ab, b), -1);
    assert_int_equal(bytes_compare(b, high), -1);
    assert_int_equal(bytes_compare(b, b), 0);
    assert_true(bytes_equal(empty, bytes_of_text("")));
    assert_true(bytes_equal(BYTES("a\0b"), BYTES("a\0b")));
    assert_false(bytes_equal(BYTES("a\0b"), BYTES("a\0c")));
    assert_false(bytes_equal(a, ab));
}

static void big_endian_numbers_have_known_bytes(void **state)
{
    uint8_t out[8];

    (void)state;
    be16_put(out, 0xfedc);
    assert_memory_equal(out, "\xfe\xdc", 2);
    assert_int_equal(be16_get(out), 0xfedc);
    be32_put(out, 0xfedcba98);
    assert_memory_equal(out, "\xfe\xdc\xba\x98", 4);
    assert_int_equal(be32_get(out), 0xfedcba98);
    be64_put(out, 0xfedcba9876543210);
    assert_memory_equal(out, "\xfe\xdc\xba\x98\x76\x54\x32\x10", 8);
    assert_true(be64_get(out) == 0xfedcba9876543210);
}

static void big_endian_order_is_numeric_order(void **state)
{
    struct seeded_rng r;

    (void)state;
    seeded_rng_init(&r, 1);
    for (int i = 0; i < 10000; i++) {
        uint64_t a = seeded_u64(&r) >> seeded_below(&r, 64);
        uint64_t b = seeded_u64(&r) >> seeded_below(&r, 64);
        uint8_t a_bytes[8], b_bytes[8];

        be64_put(a_bytes, a);
        be64_put(b_bytes, b);
        assert_true(be64_get(a_bytes) == a);
        assert_int_equal(bytes_compare(bytes_of(a_bytes, 8), bytes_of(b_bytes, 8)),
                         a < b ? -1 : a > b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_compare_as_memcmp_and_then_by_size),
        cmocka_unit_test(big_endian_numbers_have_known_bytes),
        cmocka_unit_test(big_endian_order_is_numeric_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
