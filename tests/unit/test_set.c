#include "common/set.h"

#include "common/text.h"
#include "tests/lib/unit.h"

/* The set of the texts, which end with NULL. */
static void assert_set(const char *const *texts, const char *expected)
{
    struct bytes elements[16], *again;
    size_t count = 0, again_count;
    struct arena arena;
    struct buf out;

    while (texts[count] != NULL) {
        elements[count] = bytes_of_text(texts[count]);
        count++;
    }
    buf_init(&out, 10000);
    arena_init(&arena, 10000);
    assert_ok(set_append(elements, count, &out));
    assert_text(buf_view(&out), expected);
    assert_true(set_valid(buf_view(&out)));
    assert_ok(set_parse(buf_view(&out), &arena, &again, &again_count));
    buf_reset(&out);
    assert_ok(set_append(again, again_count, &out));
    assert_text(buf_view(&out), expected);
    arena_done(&arena);
    buf_done(&out);
}

static void equal_sets_are_equal_bytes(void **state)
{
    (void)state;
    assert_set((const char *const[]){NULL}, "[]");
    assert_set((const char *const[]){"b", "a", "b", NULL}, "[\"a\",\"b\"]");
    assert_set((const char *const[]){"ab", "a", "Я", "B", NULL},
               "[\"B\",\"a\",\"ab\",\"\xd0\xaf\"]");
    assert_set((const char *const[]){"say \"hi\"", "a\\b", "line\nnext", "\x01\x1f\x7f", NULL},
               "[\"\\u0001\\u001f\x7f\",\"a\\\\b\",\"line\\nnext\",\"say \\\"hi\\\"\"]");
    assert_set((const char *const[]){"\b\t\n\f\r\v", NULL}, "[\"\\b\\t\\n\\f\\r\\u000b\"]");
}

static void only_the_one_form_is_valid(void **state)
{
    static const char *const wrong[] = {
        "",
        "[",
        "]",
        "{}",
        "null",
        "[\"a\"",
        "[\"a]",
        "[a]",
        "[ ]",
        "[\"a\", \"b\"]",
        " [\"a\"]",
        "[\"a\"] ",
        "[\"b\",\"a\"]",
        "[\"a\",\"a\"]",
        "[\"a\",]",
        "[,\"a\"]",
        "[\"\"]",
        "[[\"a\"]]",
        "[1]",
        "[\"\\u0041\"]",
        "[\"\\/\"]",
        "[\"\\u000a\"]",
        "[\"\\u001F\"]",
        "[\"\\u0000\"]",
        "[\"a\nb\"]",
        "[\"\\x\"]",
        "[\"\\\"]",
        "[\"\\u00\"]",
        "[\"\xff\"]",
        "[\"\xc3\"]",
        "[\"a\"\"b\"]",
        "[\"\\u0020\"]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (set_valid(bytes_of_text(wrong[i])))
            fail_msg("taken: %s", wrong[i]);
    }
    assert_false(set_valid(BYTES("[\"a\0b\"]")));
    assert_false(set_valid(BYTES("[\"\\\0\"]")));
    assert_false(set_valid(bytes_of(NULL, 0)));
}

static void parsing_needs_no_more_than_the_text(void **state)
{
    struct bytes *elements;
    struct arena arena;
    size_t count = 9;

    (void)state;
    arena_init(&arena, 10000);
    assert_ok(set_parse(bytes_of_text("[\"a;b\",\"c\\\\\"]"), &arena, &elements, &count));
    assert_int_equal(count, 2);
    assert_text(elements[0], "a;b");
    assert_text(elements[1], "c\\");
    assert_ok(set_parse(bytes_of_text("[]"), &arena, &elements, &count));
    assert_int_equal(count, 0);
    count = 9;
    assert_err(set_parse(bytes_of_text("[\"a\",\"c\",\"b\"]"), &arena, &elements, &count),
               ERR_PARSE);
    assert_int_equal(count, 9);
    arena_done(&arena);
    arena_init(&arena, 0);
    assert_err(set_parse(bytes_of_text("[\"a\"]"), &arena, &elements, &count), ERR_NOMEM);
    arena_done(&arena);
}

static void elements_are_refused_when_empty_long_or_not_text(void **state)
{
    char text[SET_ELEMENT_MAX + 2];
    struct bytes element;
    struct buf out;

    (void)state;
    memset(text, 'x', sizeof(text));
    buf_init(&out, 10000);
    assert_ok(buf_append(&out, "-", 1));
    element = BYTES("");
    assert_err(set_append(&element, 1, &out), ERR_PARSE);
    element = BYTES("a\0b");
    assert_err(set_append(&element, 1, &out), ERR_PARSE);
    element = BYTES("\xff");
    assert_err(set_append(&element, 1, &out), ERR_PARSE);
    element = bytes_of(text, SET_ELEMENT_MAX + 1);
    assert_err(set_append(&element, 1, &out), ERR_PARSE);
    assert_text(buf_view(&out), "-");
    buf_reset(&out);
    element = bytes_of(text, SET_ELEMENT_MAX);
    assert_ok(set_append(&element, 1, &out));
    assert_true(set_valid(buf_view(&out)));
    out.size -= 2; /* one more byte in the element */
    assert_ok(buf_append(&out, "x\"]", 3));
    assert_false(set_valid(buf_view(&out)));
    buf_done(&out);
}

static void the_number_of_elements_is_bounded(void **state)
{
    static char texts[SET_ELEMENTS_MAX + 1][8];
    struct bytes elements[SET_ELEMENTS_MAX + 1];
    struct buf out;

    (void)state;
    for (size_t i = 0; i <= SET_ELEMENTS_MAX; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%04zu", i);
        elements[i] = bytes_of_text(texts[i]);
    }
    buf_init(&out, 20000);
    assert_ok(set_append(elements, SET_ELEMENTS_MAX, &out));
    assert_true(set_valid(buf_view(&out)));
    out.size--;
    assert_ok(text_append(&out, ",\"2000\"]"));
    assert_false(set_valid(buf_view(&out)));
    buf_reset(&out);
    assert_err(set_append(elements, SET_ELEMENTS_MAX + 1, &out), ERR_LIMIT);
    elements[5] = elements[6]; /* 1000 different ones */
    assert_ok(set_append(elements, SET_ELEMENTS_MAX + 1, &out));
    buf_done(&out);
    buf_init(&out, 5);
    assert_err(set_append(elements, 2, &out), ERR_TOO_LARGE);
    assert_int_equal(out.size, 0);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_sets_are_equal_bytes),
        cmocka_unit_test(only_the_one_form_is_valid),
        cmocka_unit_test(parsing_needs_no_more_than_the_text),
        cmocka_unit_test(elements_are_refused_when_empty_long_or_not_text),
        cmocka_unit_test(the_number_of_elements_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
