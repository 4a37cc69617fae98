#include "common/value.h"

#include <math.h>

#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

/* In ascending order. */
static size_t ladder(struct value *out)
{
    size_t n = 0;

    out[n++] = value_null();
    out[n++] = value_real(NAN);
    out[n++] = value_real(-INFINITY);
    out[n++] = value_real(-1e300);
    out[n++] = value_int(INT64_MIN);
    out[n++] = value_real(-0x1p63);
    out[n++] = value_int(INT64_MIN + 1);
    out[n++] = value_int(-2);
    out[n++] = value_real(-1.5);
    out[n++] = value_int(-1);
    out[n++] = value_real(-1.0);
    out[n++] = value_int(0);
    out[n++] = value_real(-0.0);
    out[n++] = value_real(0.0);
    out[n++] = value_real(5e-324);
    out[n++] = value_int(1);
    out[n++] = value_real(1.0);
    out[n++] = value_real(1.5);
    out[n++] = value_int(2);
    out[n++] = value_int(9007199254740991); /* 2^53 - 1 */
    out[n++] = value_int(9007199254740992);
    out[n++] = value_real(9007199254740992.0);
    out[n++] = value_int(9007199254740993); /* as a double it would be 2^53 */
    out[n++] = value_int(INT64_MAX);
    out[n++] = value_real(0x1p63);
    out[n++] = value_real(INFINITY);
    out[n++] = value_text(bytes_of_text(""));
    out[n++] = value_text(bytes_of_text("a"));
    out[n++] = value_text(bytes_of_text("ab"));
    out[n++] = value_text(bytes_of_text("b"));
    out[n++] = value_blob(bytes_of(NULL, 0));
    out[n++] = value_blob(bytes_of_text("a"));
    return n;
}

static void the_order_is_total(void **state)
{
    struct value values[64];
    size_t count = ladder(values);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int expected = i < j ? -1 : i > j;

            if (value_compare(&values[i], &values[j]) != expected)
                print_error("ladder %zu against %zu\n", i, j);
            assert_int_equal(value_compare(&values[i], &values[j]), expected);
            assert_int_equal(value_equal(&values[i], &values[j]), i == j);
        }
    }
}

static void integers_near_a_real_compare_exactly(void **state)
{
    struct seeded_rng r;

    (void)state;
    seeded_rng_init(&r, 8);
    for (int i = 0; i < 20000; i++) {
        int64_t near = (int64_t)(seeded_u64(&r) >> (2 + seeded_below(&r, 61)));
        double real = (double)near;
        struct value a = value_int(near + (int64_t)seeded_below(&r, 3) - 1);
        struct value b = value_real(real);
        int64_t exact = (int64_t)real;                /* below 2^62, and whole */
        int expected = a.as.integer > exact ? 1 : -1; /* the same number: the integer is first */

        assert_int_equal(value_compare(&a, &b), expected);
        assert_int_equal(value_compare(&b, &a), -expected);
    }
}

static void copies_own_their_bytes(void **state)
{
    char text[] = "text";
    struct value in = value_text(bytes_of_text(text)), copy;
    struct arena arena;

    (void)state;
    arena_init(&arena, 100);
    assert_ok(value_copy(&arena, &in, &copy));
    text[0] = 'n';
    assert_int_equal(copy.kind, VALUE_TEXT);
    assert_text(copy.as.bytes, "text");
    in = value_int(-3);
    assert_ok(value_copy(&arena, &in, &copy));
    assert_true(value_equal(&in, &copy));
    in = value_null();
    assert_ok(value_copy(&arena, &in, &copy));
    assert_true(value_equal(&in, &copy));
    in = value_blob(bytes_of(NULL, 0));
    assert_ok(value_copy(&arena, &in, &copy));
    assert_true(value_equal(&in, &copy));
    arena_done(&arena);
}

static void a_copy_without_memory_changes_nothing(void **state)
{
    struct value in = value_blob(bytes_of_text("0123456789")), copy = value_int(1);
    struct arena arena;

    (void)state;
    arena_init(&arena, 10);
    assert_err(value_copy(&arena, &in, &copy), ERR_NOMEM);
    assert_int_equal(copy.kind, VALUE_INT);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_is_total),
        cmocka_unit_test(integers_near_a_real_compare_exactly),
        cmocka_unit_test(copies_own_their_bytes),
        cmocka_unit_test(a_copy_without_memory_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
