#include "common/error.h"

#include "tests/lib/unit.h"

static void names_values_and_classes_are_stable(void **state)
{
    (void)state;
    assert_int_equal(ERR_OK, 0);
    assert_int_equal(ERR_CONFLICT, 29);
    assert_string_equal(err_name(ERR_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(err_text(ERR_FULL), "the disk is full");
    assert_int_equal(err_class(ERR_OK), ERR_CLASS_NONE);
    assert_int_equal(err_class(ERR_BUSY), ERR_CLASS_RETRY);
    assert_int_equal(err_class(ERR_MALFORMED), ERR_CLASS_PEER);
    assert_int_equal(err_class(ERR_INVALID), ERR_CLASS_INPUT);
    assert_int_equal(err_class(ERR_CORRUPT), ERR_CLASS_FATAL);
    assert_int_equal(err_class(ERR_CRYPTO), ERR_CLASS_BUG);
}

static void every_code_has_a_name_of_its_own(void **state)
{
    static const enum err codes[] = {
#define CODE(name, value, class, text) ERR_##name,
        ERR_LIST(CODE)
#undef CODE
    };

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        assert_string_not_equal(err_name(codes[i]), "UNKNOWN");
        assert_true(strlen(err_text(codes[i])) > 0);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(codes[i], codes[j]);
            assert_string_not_equal(err_name(codes[i]), err_name(codes[j]));
        }
    }
}

static void a_number_that_is_no_code_is_unknown(void **state)
{
    static const int numbers[] = {30, 1000, -1, INT32_MIN, INT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_string_equal(err_name((enum err)numbers[i]), "UNKNOWN");
        assert_string_equal(err_text((enum err)numbers[i]), "unknown error");
        assert_int_equal(err_class((enum err)numbers[i]), ERR_CLASS_BUG);
    }
}

static void set_fills_the_info(void **state)
{
    struct err_info info = {.native = 7};

    (void)state;
    assert_err(err_set(&info, ERR_TYPE, "column %s: %d", "price", 3), ERR_TYPE);
    assert_int_equal(info.code, ERR_TYPE);
    assert_int_equal(info.native, 0);
    assert_string_equal(info.message, "column price: 3");
    assert_err(err_set(NULL, ERR_TYPE, "nobody asks"), ERR_TYPE);
}

static void a_long_message_is_cut_between_characters(void **state)
{
    struct err_info info;
    char text[2 * sizeof(info.message)];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[sizeof(info.message) - 1] = '\0'; /* the longest that fits */
    err_set(&info, ERR_TYPE, "%s", text);
    assert_string_equal(info.message, text);

    for (size_t i = 0; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "\xd0\x96", 3); /* Zhe, two bytes */
    err_set(&info, ERR_TYPE, "%s", text);
    assert_int_equal(strlen(info.message), sizeof(info.message) - 2);
    assert_memory_equal(info.message, text, sizeof(info.message) - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_values_and_classes_are_stable),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(a_number_that_is_no_code_is_unknown),
        cmocka_unit_test(set_fills_the_info),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
