#include "common/text.h"

#include "tests/lib/failing_alloc.h"
#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

static struct buf out;

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

/* The vectors of RFC 4648, 10, with base64url's alphabet and without padding. The codes are base32
 * of the same in Crockford's alphabet. */
static const struct {
    const char *plain, *hex, *base64url, *code;
} rows[] = {
    {"", "", "", ""},
    {"f", "66", "Zg", "CR"},
    {"fo", "666f", "Zm8", "CSQG"},
    {"foo", "666f6f", "Zm9v", "CSQPY"},
    {"foob", "666f6f62", "Zm9vYg", "CSQPYRG"},
    {"fooba", "666f6f6261", "Zm9vYmE", "CSQPYRK1"},
    {"foobar", "666f6f626172", "Zm9vYmFy", "CSQPYRK1E8"},
};

static void the_vectors_of_rfc_4648(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes plain = bytes_of_text(rows[i].plain);
        uint8_t back[6];

        buf_reset(&out);
        assert_ok(text_append_hex(&out, plain));
        assert_text(buf_view(&out), rows[i].hex);
        assert_ok(text_parse_hex(buf_view(&out), back, plain.size));
        assert_memory_equal(back, plain.data, plain.size);

        buf_reset(&out);
        assert_ok(text_append_code(&out, plain, 0));
        assert_text(buf_view(&out), rows[i].code);
        assert_ok(text_parse_code(buf_view(&out), back, plain.size));
        assert_memory_equal(back, plain.data, plain.size);

        buf_reset(&out);
        assert_ok(text_append_base64url(&out, plain));
        assert_text(buf_view(&out), rows[i].base64url);
        buf_reset(&out);
        assert_ok(text_parse_base64url(bytes_of_text(rows[i].base64url), &out));
        assert_text(buf_view(&out), rows[i].plain);
    }
    buf_reset(&out);
    assert_ok(text_append_base64url(&out, BYTES("\xfb\xff\xfe")));
    assert_text(buf_view(&out), "-__-");
}

static void all_of_them_come_back(void **state)
{
    struct seeded_rng r;
    struct buf back;

    (void)state;
    seeded_rng_init(&r, 14);
    buf_init(&back, 1000);
    for (int i = 0; i < 3000; i++) {
        uint8_t data[TEXT_CODE_MAX], parsed[TEXT_CODE_MAX];
        size_t size = (size_t)seeded_below(&r, sizeof(data) + 1);
        struct bytes view = bytes_of(data, size);

        seeded_fill(&r, data, size);
        buf_reset(&out);
        assert_ok(text_append_hex(&out, view));
        assert_int_equal(out.size, 2 * size);
        assert_ok(text_parse_hex(buf_view(&out), parsed, size));
        assert_memory_equal(parsed, data, size);
        buf_reset(&out);
        assert_ok(text_append_code(&out, view, (size_t)seeded_below(&r, 7)));
        assert_ok(text_parse_code(buf_view(&out), parsed, size));
        assert_memory_equal(parsed, data, size);
        buf_reset(&out);
        buf_reset(&back);
        assert_ok(text_append_base64url(&out, view));
        assert_ok(text_parse_base64url(buf_view(&out), &back));
        assert_true(bytes_equal(buf_view(&back), view));
    }
    buf_done(&back);
}

static void hex_takes_either_case_and_nothing_else(void **state)
{
    uint8_t data[2] = {9, 9};

    (void)state;
    assert_ok(text_parse_hex(bytes_of_text("aBFe"), data, 2));
    assert_memory_equal(data, "\xab\xfe", 2);
    assert_err(text_parse_hex(bytes_of_text("0a0"), data, 2), ERR_PARSE);
    assert_err(text_parse_hex(bytes_of_text("0a0b0"), data, 2), ERR_PARSE);
    assert_err(text_parse_hex(bytes_of_text("000g"), data, 2), ERR_PARSE);
    assert_err(text_parse_hex(bytes_of_text("00 0"), data, 2), ERR_PARSE);
    assert_err(text_parse_hex(bytes_of_text("0x00"), data, 2), ERR_PARSE);
    assert_err(text_parse_hex(bytes_of_text(""), data, SIZE_MAX), ERR_PARSE);
    assert_memory_equal(data, "\xab\xfe", 2); /* untouched by what failed */
}

static void base64url_has_one_form(void **state)
{
    static const char *const texts[] = {
        "Z", "Zg==", "Zh", "Zm9", "Zm8=", "Zm 9v", "Zm+v", "Zm/v", "Zm9vY", "Zm9v\n"};

    (void)state;
    buf_reset(&out);
    buf_append(&out, "before", 6);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_err(text_parse_base64url(bytes_of_text(texts[i]), &out), ERR_PARSE);
        assert_text(buf_view(&out), "before");
    }
}

static void codes_forgive_what_people_write(void **state)
{
    uint8_t data[6];

    (void)state;
    assert_ok(text_parse_code(bytes_of_text("CSQP-YRK1-E8"), data, 6));
    assert_memory_equal(data, "foobar", 6);
    assert_ok(text_parse_code(bytes_of_text(" csqp yrkl - e8 "), data, 6));
    assert_memory_equal(data, "foobar", 6);
    assert_ok(text_parse_code(bytes_of_text("CsQpYrKIe8"), data, 6));
    assert_memory_equal(data, "foobar", 6);
    assert_ok(text_parse_code(bytes_of_text("oO0o"), data, 2));
    assert_memory_equal(data, "\0\0", 2);
    assert_ok(text_parse_code(bytes_of_text("--"), data, 0));
}

static void codes_do_not_forgive_more(void **state)
{
    static const char *const texts[] = {"CSQPYRK1E",  "CSQPYRK1E80",      "CSQPYRK1E9",
                                        "CSQPYRKUE8", "CSQPYRK*E8",       "CSQPYRK_E8",
                                        "",           "CSQPYRK1E\xc3\xb6"};
    uint8_t data[TEXT_CODE_MAX + 1] = "before";

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_err(text_parse_code(bytes_of_text(texts[i]), data, 6), ERR_PARSE);
        assert_memory_equal(data, "before", 6);
    }
    assert_err(text_parse_code(bytes_of_text(""), data, TEXT_CODE_MAX + 1), ERR_INVALID);
}

static void a_one_time_code_has_26_characters_in_groups(void **state)
{
    uint8_t secret[16];

    (void)state;
    memset(secret, 0xff, sizeof(secret));
    buf_reset(&out);
    assert_ok(text_append_code(&out, bytes_of(secret, sizeof(secret)), 5));
    assert_text(buf_view(&out), "ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ-W");
    buf_reset(&out);
    assert_ok(text_append_code(&out, bytes_of(secret, 5), 4));
    assert_text(buf_view(&out), "ZZZZ-ZZZZ"); /* none at the end */
}

/* The borders of Unicode's table 3-7, and Kuhn's stress test. */
static void utf8_is_strict(void **state)
{
    static const char *const valid[] = {
        "",
        "plain",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",
    };
    static const char *const invalid[] = {
        "\x80",
        "\xbf",
        "a\x80",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2\x41",
        "\xc2\xc0",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe1\x80",
        "\xe1\x80\x41",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
        assert_true(utf8_valid(bytes_of_text(valid[i])));
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
        assert_false(utf8_valid(bytes_of_text(invalid[i])));
    assert_true(utf8_valid(bytes_of(NULL, 0)));
    assert_true(utf8_valid(BYTES("a\0b")));
}

/* Encodes as RFC 3629 says, without its exceptions. */
static size_t encode(uint32_t c, uint8_t data[4])
{
    if (c < 0x80) {
        data[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        data[0] = (uint8_t)(0xc0 | c >> 6);
        data[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        data[0] = (uint8_t)(0xe0 | c >> 12);
        data[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        data[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    data[0] = (uint8_t)(0xf0 | c >> 18);
    data[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    data[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    data[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

static void every_code_point_and_no_surrogate(void **state)
{
    uint8_t data[4];

    (void)state;
    for (uint32_t c = 0; c < 0x110400; c++) {
        bool expected = (c < 0xd800 || c > 0xdfff) && c <= 0x10ffff;
        size_t size = encode(c, data);

        if (utf8_valid(bytes_of(data, size)) != expected)
            fail_msg("U+%04X", (unsigned)c);
        if (expected && size > 1) /* cut short, or short by its lead */
            assert_false(utf8_valid(bytes_of(data, size - 1)));
    }
}

static void text_is_cut_between_characters(void **state)
{
    static const char text[] = "a\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80z"; /* 1, 2, 3, 4, 1 bytes */
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};

    (void)state;
    for (size_t max = 0; max < sizeof(expected) / sizeof(expected[0]); max++)
        assert_int_equal(utf8_cut(bytes_of_text(text), max), expected[max]);
    assert_int_equal(utf8_cut(bytes_of(NULL, 0), 5), 0);
    assert_int_equal(utf8_whole(bytes_of_text(text)), 11);
    assert_int_equal(utf8_whole(bytes_of_text("ab\xe2\x82")), 2);
    assert_int_equal(utf8_whole(bytes_of_text("\x80\x80\x80\x80\x80")), 5);
}

static void assert_json(struct bytes in, const char *expected)
{
    buf_reset(&out);
    assert_ok(text_append_json(&out, in));
    assert_text(buf_view(&out), expected);
}

static void json_escapes_what_it_must(void **state)
{
    (void)state;
    assert_json(bytes_of(NULL, 0), "\"\"");
    assert_json(bytes_of_text("plain / text"), "\"plain / text\"");
    assert_json(bytes_of_text("say \"hi\" \\o/"), "\"say \\\"hi\\\" \\\\o/\"");
    assert_json(BYTES("\0\x01\b\t\n\x0b\f\r\x1f\x7f"),
                "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f\x7f\"");
    assert_json(bytes_of_text("\xd0\x96\xf0\x9f\x98\x80"), "\"\xd0\x96\xf0\x9f\x98\x80\"");
}

static void json_is_valid_whatever_comes(void **state)
{
    struct seeded_rng r;

    (void)state;
    assert_json(bytes_of_text("a\xff"
                              "b"),
                "\"a\xef\xbf\xbd"
                "b\"");
    assert_json(bytes_of_text("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_json(bytes_of_text("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    seeded_rng_init(&r, 15);
    for (int i = 0; i < 5000; i++) {
        uint8_t noise[40];
        size_t size = (size_t)seeded_below(&r, sizeof(noise) + 1);

        seeded_fill(&r, noise, size);
        buf_reset(&out);
        assert_ok(text_append_json(&out, bytes_of(noise, size)));
        assert_true(utf8_valid(buf_view(&out)));
        for (size_t j = 0; j < out.size; j++)
            assert_true(out.data[j] >= 0x20);
    }
}

static void what_does_not_fit_leaves_nothing(void **state)
{
    struct buf small;

    (void)state;
    buf_init(&small, 10);
    buf_append(&small, "keep", 4);
    assert_err(text_append_json(&small, bytes_of_text("abcde")), ERR_TOO_LARGE);
    assert_text(buf_view(&small), "keep");
    buf_reset(&small);
    assert_err(text_append_hex(&small, bytes_of_text("abcdef")), ERR_TOO_LARGE);
    assert_int_equal(small.size, 0);
    buf_reset(&small);
    assert_ok(text_append_hex(&small, bytes_of_text("abcde")));
    buf_reset(&small);
    assert_ok(text_append_json(&small, bytes_of_text("abcdefgh")));
    buf_reset(&small);
    assert_err(text_append_format(&small, "%010d", 1), ERR_TOO_LARGE);
    buf_reset(&small);
    assert_ok(text_append_format(&small, "%09d", 1));
    buf_reset(&small);
    assert_err(text_parse_base64url(bytes_of_text("AAAAAAAAAAAAAAAA"), &small), ERR_TOO_LARGE);
    buf_done(&small);
}

static void formats_of_any_length(void **state)
{
    char expected[5001];

    (void)state;
    buf_reset(&out);
    assert_ok(text_append(&out, "x="));
    assert_ok(text_append_format(&out, "%d,%s", 7, "y"));
    assert_ok(text_append_format(&out, "%s", ""));
    assert_text(buf_view(&out), "x=7,y");
    memset(expected, ' ', sizeof(expected));
    expected[4999] = '5';
    expected[5000] = '\0';
    buf_reset(&out);
    assert_ok(text_append_format(&out, "%5000d", 5));
    assert_text(buf_view(&out), expected);
}

static enum err append_all(void *context)
{
    struct buf b;
    enum err error;

    (void)context;
    buf_init(&b, 1000);
    error = text_append_json(&b, bytes_of_text("\"quoted\""));
    if (error == ERR_OK)
        error = text_append_format(&b, "%0100d", 1);
    if (error == ERR_OK)
        error = text_append_code(&b, bytes_of_text("0123456789abcdef0123456789abcdef"), 5);
    if (error == ERR_OK)
        error = text_append_hex(&b, buf_view(&out));
    buf_done(&b);
    return error;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    if (!failing_alloc_works())
        skip();
    buf_reset(&out);
    buf_append(&out, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 64);
    assert_true(failing_alloc_each(append_all, NULL, ERR_NOMEM) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_4648),
        cmocka_unit_test(all_of_them_come_back),
        cmocka_unit_test(hex_takes_either_case_and_nothing_else),
        cmocka_unit_test(base64url_has_one_form),
        cmocka_unit_test(codes_forgive_what_people_write),
        cmocka_unit_test(codes_do_not_forgive_more),
        cmocka_unit_test(a_one_time_code_has_26_characters_in_groups),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(every_code_point_and_no_surrogate),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(json_escapes_what_it_must),
        cmocka_unit_test(json_is_valid_whatever_comes),
        cmocka_unit_test(what_does_not_fit_leaves_nothing),
        cmocka_unit_test(formats_of_any_length),
        cmocka_unit_test(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
