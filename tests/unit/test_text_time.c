#include "common/text.h"

#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

static struct buf out;

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, 100);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

static void leap_years_are_gregorian(void **state)
{
    (void)state;
    assert_true(text_date_valid(bytes_of_text("2024-02-29")));
    assert_false(text_date_valid(bytes_of_text("2023-02-29")));
    assert_true(text_date_valid(bytes_of_text("2000-02-29")));
    assert_false(text_date_valid(bytes_of_text("1900-02-29")));
    assert_true(text_date_valid(bytes_of_text("1600-02-29")));
    assert_false(text_date_valid(bytes_of_text("1500-02-29"))); /* proleptic: not Julian */
    assert_true(text_date_valid(bytes_of_text("0004-02-29")));
}

static void what_is_no_date(void **state)
{
    static const char *const texts[] = {
        "",
        "2024-1-01",
        "2024-01-1",
        "24-01-01",
        "2024-00-01",
        "2024-13-01",
        "2024-01-00",
        "2024-01-32",
        "2024-04-31",
        "2024/01/01",
        "20240101",
        "2024-01-01 ",
        " 2024-01-01",
        "0000-01-01",
        "-001-01-01",
        "+2024-01-01",
        "10000-01-01",
        "2024-01-0a",
        "2024-01-01T00:00:00Z",
    };
    int32_t days = 99;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(text_date_valid(bytes_of_text(texts[i])));
        assert_err(text_parse_date(bytes_of_text(texts[i]), &days), ERR_PARSE);
    }
    assert_int_equal(days, 99);
}

static void days_of_known_dates(void **state)
{
    static const struct {
        const char *text;
        int32_t days;
    } rows[] = {
        {"1970-01-01", 0},       {"1969-12-31", -1},      {"2000-03-01", 11017},
        {"2026-11-22", 20779},   {"0001-01-01", -719162}, {"9999-12-31", 2932896},
        {"1582-10-15", -141427},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int32_t days;

        assert_ok(text_parse_date(bytes_of_text(rows[i].text), &days));
        assert_int_equal(days, rows[i].days);
    }
}

/* All 3,652,059 days, one after the other, against a calendar that counts. */
static void every_day_follows_the_one_before(void **state)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 1, month = 1, day = 1, part = (int)unit_step(19);

    (void)state;
    for (int32_t days = -719162; days <= 2932896; days++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        /* not each: formatting takes time */
        bool look = (days % 7 == 0 || day == 1 || day >= 28) && year % part == 0;
        char expected[40];
        int32_t parsed;

        if (look) {
            snprintf(expected, sizeof(expected), "%04d-%02d-%02d", year, month, day);
            buf_reset(&out);
            assert_ok(text_append_date(&out, days));
            assert_text(buf_view(&out), expected);
            assert_ok(text_parse_date(buf_view(&out), &parsed));
            assert_int_equal(parsed, days);
        }
        if (++day > lengths[month - 1] + (month == 2 && leap)) {
            day = 1;
            if (++month > 12) {
                month = 1;
                year++;
            }
        }
    }
    assert_int_equal(year, 10000);
    buf_reset(&out);
    assert_err(text_append_date(&out, 2932897), ERR_LIMIT);
    assert_err(text_append_date(&out, -719163), ERR_LIMIT);
    assert_err(text_append_date(&out, INT32_MIN), ERR_LIMIT);
    assert_err(text_append_date(&out, INT32_MAX), ERR_LIMIT);
}

static void known_instants(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *formatted; /* NULL: as it was */
    } rows[] = {
        {"1970-01-01T00:00:00.000Z", 0, NULL},
        {"2026-11-22T10:00:00.000Z", 1795341600000, NULL},
        {"1969-12-31T23:59:59.999Z", -1, NULL},
        {"0001-01-01T00:00:00.000Z", -62135596800000, NULL},
        {"9999-12-31T23:59:59.999Z", 253402300799999, NULL},
        {"2026-11-22T10:00Z", 1795341600000, "2026-11-22T10:00:00.000Z"},
        {"2026-11-22 10:00:00z", 1795341600000, "2026-11-22T10:00:00.000Z"},
        {"2026-11-22t12:30:00+02:30", 1795341600000, "2026-11-22T10:00:00.000Z"},
        {"2026-11-21T22:00:00-12:00", 1795341600000, "2026-11-22T10:00:00.000Z"},
        {"2026-11-22T10:00:00.5Z", 1795341600500, "2026-11-22T10:00:00.500Z"},
        {"2026-11-22T10:00:00.123456789Z", 1795341600123, "2026-11-22T10:00:00.123Z"},
        {"2026-11-22T10:00:00.9999+00:00", 1795341600999, "2026-11-22T10:00:00.999Z"},
        {"1985-04-12T23:20:50.52Z", 482196050520, "1985-04-12T23:20:50.520Z"}, /* RFC 3339, 5.8 */
        {"1996-12-19T16:39:57-08:00", 851042397000, "1996-12-20T00:39:57.000Z"},
        {"1937-01-01T12:00:27.87+00:20", -1041337172130, "1937-01-01T11:40:27.870Z"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = 99;

        assert_ok(text_parse_instant(bytes_of_text(rows[i].text), &ms));
        assert_true(ms == rows[i].ms);
        buf_reset(&out);
        assert_ok(text_append_instant(&out, ms));
        assert_text(buf_view(&out), rows[i].formatted == NULL ? rows[i].text : rows[i].formatted);
    }
}

static void what_is_no_instant(void **state)
{
    static const char *const malformed[] = {
        "",
        "2026-11-22",
        "2026-11-22T10:00:00",
        "2026-11-22T10Z",
        "2026-11-22T1:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T23:60:00Z",
        "2026-11-22T23:59:60Z",
        "2026-11-22T10:00:00.Z",
        "2026-11-22T10:00:00.1234567890Z",
        "2026-11-22T10:00:00,5Z",
        "2026-11-22T10:00:00+0200",
        "2026-11-22T10:00:00+02",
        "2026-11-22T10:00:00+24:00",
        "2026-11-22T10:00:00+02:60",
        "2026-11-22T10:00:00ZZ",
        "2026-11-22T10:00:00 Z",
        "2026-11-22_10:00:00Z",
        "2026-02-29T10:00:00Z",
        "2026-11-22T10:00:00Z ",
        "2026-11-22T10:00.5Z",
        "2026-11-22T-1:00:00Z",
    };
    static const char *const out_of_range[] = {"0001-01-01T00:00:00+00:01",
                                               "9999-12-31T23:59:59-00:01"};
    int64_t ms = 99;

    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_err(text_parse_instant(bytes_of_text(malformed[i]), &ms), ERR_PARSE);
    for (size_t i = 0; i < sizeof(out_of_range) / sizeof(out_of_range[0]); i++)
        assert_err(text_parse_instant(bytes_of_text(out_of_range[i]), &ms), ERR_LIMIT);
    assert_true(ms == 99);
    buf_reset(&out);
    assert_err(text_append_instant(&out, -62135596800001), ERR_LIMIT);
    assert_err(text_append_instant(&out, 253402300800000), ERR_LIMIT);
    assert_err(text_append_instant(&out, INT64_MIN), ERR_LIMIT);
    assert_err(text_append_instant(&out, INT64_MAX), ERR_LIMIT);
    assert_int_equal(out.size, 0);
}

static void instants_come_back(void **state)
{
    struct seeded_rng r;

    (void)state;
    seeded_rng_init(&r, 20);
    for (int i = 0; i < 20000; i++) {
        int64_t ms = (int64_t)seeded_below(&r, 62135596800000 + 253402300800000) - 62135596800000;
        int64_t parsed;

        buf_reset(&out);
        assert_ok(text_append_instant(&out, ms));
        assert_int_equal(out.size, 24);
        assert_ok(text_parse_instant(buf_view(&out), &parsed));
        assert_true(parsed == ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leap_years_are_gregorian),
        cmocka_unit_test(what_is_no_date),
        cmocka_unit_test(days_of_known_dates),
        cmocka_unit_test(every_day_follows_the_one_before),
        cmocka_unit_test(known_instants),
        cmocka_unit_test(what_is_no_instant),
        cmocka_unit_test(instants_come_back),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
