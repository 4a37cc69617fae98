#include <float.h>
#include <locale.h>
#include <math.h>

#include "common/text.h"
#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

static struct buf out;

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, 4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

static void integers_of_the_whole_range(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        {"0", 0},
        {"-0", 0},
        {"007", 7},
        {"-1", -1},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"00000000000000000000000000000001", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = 99;

        assert_ok(text_parse_int64(bytes_of_text(rows[i].text), &value));
        assert_true(value == rows[i].value);
    }
}

static void what_is_no_integer(void **state)
{
    static const char *const malformed[] = {"",    "-",   "+1",  " 1", "1 ", "1.0",     "1.",
                                            "1e3", "0x1", "--1", "1-", "a",  "\xd9\xa1"};
    static const char *const too_large[] = {"9223372036854775808", "-9223372036854775809",
                                            "99999999999999999999", "18446744073709551617"};
    int64_t value = 99;

    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_err(text_parse_int64(bytes_of_text(malformed[i]), &value), ERR_PARSE);
    for (size_t i = 0; i < sizeof(too_large) / sizeof(too_large[0]); i++)
        assert_err(text_parse_int64(bytes_of_text(too_large[i]), &value), ERR_LIMIT);
    assert_err(text_parse_int64(bytes_of(NULL, 0), &value), ERR_PARSE);
    assert_err(text_parse_int64(BYTES("1\0"), &value), ERR_PARSE);
    assert_true(value == 99);
}

static void integers_come_back(void **state)
{
    struct seeded_rng r;

    (void)state;
    seeded_rng_init(&r, 16);
    for (int i = 0; i < 20000; i++) {
        int64_t value = (int64_t)seeded_u64(&r) >> seeded_below(&r, 64);
        char expected[32];
        int64_t parsed;

        buf_reset(&out);
        assert_ok(text_append_int64(&out, value));
        snprintf(expected, sizeof(expected), "%lld", (long long)value);
        assert_text(buf_view(&out), expected);
        assert_ok(text_parse_int64(buf_view(&out), &parsed));
        assert_true(parsed == value);
    }
    buf_reset(&out);
    assert_ok(text_append_int64(&out, INT64_MIN));
    assert_text(buf_view(&out), "-9223372036854775808");
}

static void reals_are_parsed_strictly(void **state)
{
    static const struct {
        const char *text;
        double value;
    } rows[] = {
        {"0", 0.0},       {"1.5", 1.5},       {"-1.25e2", -125.0},
        {"1E+3", 1000.0}, {"1e-3", 0.001},    {"0.1", 0.1},
        {"1e-999", 0.0},  {"5e-324", 5e-324}, {"1.7976931348623157e308", DBL_MAX},
    };
    static const char *const malformed[] = {
        "",   "-",   "+1",  ".5",  "5.",   "1e",    "1e+",   "e5",       "1,5", " 1",
        "1 ", "0x1", "inf", "nan", "-inf", "1.2.3", "1e5.5", "infinity", "1_0", "1e5 ",
    };
    static const char *const too_large[] = {"1e309", "-1e309", "1.8e308", "1e99999999999"};
    double value = 99;

    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_err(text_parse_double(bytes_of_text(malformed[i]), &value), ERR_PARSE);
    for (size_t i = 0; i < sizeof(too_large) / sizeof(too_large[0]); i++)
        assert_err(text_parse_double(bytes_of_text(too_large[i]), &value), ERR_LIMIT);
    assert_err(text_parse_double(BYTES("1\0"), &value), ERR_PARSE);
    assert_true(value == 99);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_ok(text_parse_double(bytes_of_text(rows[i].text), &value));
        assert_true(value == rows[i].value);
    }
}

static void a_real_has_a_longest_text(void **state)
{
    char text[TEXT_DOUBLE_MAX + 1];
    double value;

    (void)state;
    memset(text, '0', sizeof(text));
    text[1] = '.';
    text[TEXT_DOUBLE_MAX - 1] = '5';
    assert_ok(text_parse_double(bytes_of(text, TEXT_DOUBLE_MAX), &value));
    assert_err(text_parse_double(bytes_of(text, TEXT_DOUBLE_MAX + 1), &value), ERR_PARSE);
}

static void reals_have_short_texts(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0.0, "0"},
        {-0.0, "-0"},
        {1.0, "1"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {100000.0, "100000"},
        {1e15, "1e+15"},
        {123456789012345.0, "123456789012345"},
        {-2.5, "-2.5"},
        {1.0 / 3, "0.3333333333333333"},
        {1e300, "1e+300"},
        {5e-324, "4.94065645841247e-324"},
        {0.1 + 0.2, "0.30000000000000004"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_reset(&out);
        assert_ok(text_append_double(&out, rows[i].value));
        assert_text(buf_view(&out), rows[i].text);
    }
    buf_reset(&out);
    assert_err(text_append_double(&out, NAN), ERR_INVALID);
    assert_err(text_append_double(&out, INFINITY), ERR_INVALID);
    assert_int_equal(out.size, 0);
}

static void reals_come_back(uint64_t seed)
{
    struct seeded_rng r;

    seeded_rng_init(&r, seed);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = seeded_u64(&r);
        double value, parsed;

        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        buf_reset(&out);
        assert_ok(text_append_double(&out, value));
        assert_ok(text_parse_double(buf_view(&out), &parsed));
        assert_memory_equal(&parsed, &value, sizeof(value));
    }
}

static void reals_of_any_bits_come_back(void **state)
{
    (void)state;
    reals_come_back(17);
}

/* A program that sets its locale must not change what a file or frame says. */
static void reals_do_not_depend_on_the_locale(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "ru_RU.UTF-8", "fr_FR.UTF-8", "de_DE"};
    const char *found = NULL;
    double value = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && found == NULL; i++)
        found = setlocale(LC_NUMERIC, names[i]);
    if (found == NULL)
        skip();
    assert_string_not_equal(localeconv()->decimal_point, ".");
    assert_ok(text_parse_double(bytes_of_text("1.5"), &value));
    assert_true(value == 1.5);
    assert_err(text_parse_double(bytes_of_text("1,5"), &value), ERR_PARSE);
    buf_reset(&out);
    assert_ok(text_append_double(&out, 1.5));
    assert_text(buf_view(&out), "1.5");
    reals_come_back(18);
    setlocale(LC_NUMERIC, "C");
}

static void money_in_minor_units(void **state)
{
    static const struct {
        const char *text;
        unsigned digits;
        int64_t minor;
        const char *formatted;
    } rows[] = {
        {"0", 2, 0, "0.00"},
        {"12.5", 2, 1250, "12.50"},
        {"12.50", 2, 1250, "12.50"},
        {"-0.05", 2, -5, "-0.05"},
        {"-12", 2, -1200, "-12.00"},
        {"12", 0, 12, "12"},
        {"1.234", 3, 1234, "1.234"},
        {"0.0001", 4, 1, "0.0001"},
        {"92233720368547758.07", 2, INT64_MAX, "92233720368547758.07"},
        {"-92233720368547758.08", 2, INT64_MIN, "-92233720368547758.08"},
        {"-922337203685477.5808", 4, INT64_MIN, "-922337203685477.5808"},
        {"9223372036854775807", 0, INT64_MAX, "9223372036854775807"},
        {"-0.00", 2, 0, "0.00"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t minor = 99;

        assert_ok(text_parse_money(bytes_of_text(rows[i].text), rows[i].digits, &minor));
        assert_true(minor == rows[i].minor);
        buf_reset(&out);
        assert_ok(text_append_money(&out, minor, rows[i].digits));
        assert_text(buf_view(&out), rows[i].formatted);
    }
}

static void what_is_no_money(void **state)
{
    static const struct {
        const char *text;
        unsigned digits;
        enum err error;
    } rows[] = {
        {"", 2, ERR_PARSE},
        {"1.234", 2, ERR_PARSE},
        {"1.200", 2, ERR_PARSE},
        {"1.0", 0, ERR_PARSE},
        {"1.", 2, ERR_PARSE},
        {".5", 2, ERR_PARSE},
        {"1,5", 2, ERR_PARSE},
        {"1 000", 2, ERR_PARSE},
        {"1,000.00", 2, ERR_PARSE},
        {"+1", 2, ERR_PARSE},
        {"1e2", 2, ERR_PARSE},
        {"--1", 2, ERR_PARSE},
        {"1.-5", 2, ERR_PARSE},
        {"1.5.5", 2, ERR_PARSE},
        {"92233720368547758.08", 2, ERR_LIMIT},
        {"-92233720368547758.09", 2, ERR_LIMIT},
        {"92233720368547759", 2, ERR_LIMIT},
        {"9223372036854775807", 2, ERR_LIMIT},
        {"922337203685477.5808", 4, ERR_LIMIT},
        {"1", 5, ERR_INVALID},
    };
    int64_t minor = 99;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum err error = text_parse_money(bytes_of_text(rows[i].text), rows[i].digits, &minor);

        assert_err(error, rows[i].error);
        assert_true(minor == 99);
    }
    buf_reset(&out);
    assert_err(text_append_money(&out, 1, TEXT_MONEY_DIGITS_MAX + 1), ERR_INVALID);
    assert_int_equal(out.size, 0);
}

static void money_comes_back(void **state)
{
    struct seeded_rng r;

    (void)state;
    seeded_rng_init(&r, 19);
    for (int i = 0; i < 20000; i++) {
        int64_t minor = (int64_t)seeded_u64(&r) >> seeded_below(&r, 64);
        unsigned digits = (unsigned)seeded_below(&r, TEXT_MONEY_DIGITS_MAX + 1);
        int64_t parsed;

        buf_reset(&out);
        assert_ok(text_append_money(&out, minor, digits));
        assert_ok(text_parse_money(buf_view(&out), digits, &parsed));
        assert_true(parsed == minor);
    }
}

static void sizes_are_for_people(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},          {999, "999 B"},         {1000, "1.0 kB"},     {1549, "1.5 kB"},
        {9999, "9.9 kB"},    {10000, "10 kB"},       {999999, "999 kB"},   {1000000, "1.0 MB"},
        {34 << 20, "35 MB"}, {2500000000, "2.5 GB"}, {UINT64_MAX, "18 EB"}};
    char text[TEXT_SIZE_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(text_size(cases[i].bytes, text), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_the_whole_range),
        cmocka_unit_test(what_is_no_integer),
        cmocka_unit_test(integers_come_back),
        cmocka_unit_test(reals_are_parsed_strictly),
        cmocka_unit_test(a_real_has_a_longest_text),
        cmocka_unit_test(reals_have_short_texts),
        cmocka_unit_test(reals_of_any_bits_come_back),
        cmocka_unit_test(reals_do_not_depend_on_the_locale),
        cmocka_unit_test(money_in_minor_units),
        cmocka_unit_test(what_is_no_money),
        cmocka_unit_test(money_comes_back),
        cmocka_unit_test(sizes_are_for_people),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
