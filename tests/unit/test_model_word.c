#include "common/model_word.h"

#include "tests/lib/unit.h"

static void names_have_one_form(void **state)
{
    (void)state;
    assert_true(word_is_name("a"));
    assert_true(word_is_name("order_line2"));
    assert_false(word_is_name(""));
    assert_false(word_is_name("2a"));
    assert_false(word_is_name("_a"));
    assert_false(word_is_name("aB"));
    assert_false(word_is_name("a-b"));
    assert_false(word_is_name("\xd0\xb0"));
}

static void words_of_sql_are_known(void **state)
{
    static const char *const words[] = {
        "add",    "alter",    "between", "collate", "commit",     "create",    "current_date",
        "delete", "distinct", "else",    "end",     "escape",     "except",    "exists",
        "for",    "from",     "group",   "having",  "index",      "insert",    "intersect",
        "into",   "isnull",   "join",    "limit",   "nothing",    "notnull",   "null",
        "oid",    "on",       "order",   "primary", "references", "returning", "right",
        "rowid",  "select",   "set",     "table",   "then",       "to",        "transaction",
        "union",  "unique",   "update",  "using",   "values",     "when",      "where",
        "with",
    };
    static const char *const names[] = {"name", "user", "orders", "a", "zzz", "stage", "at"};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!word_is_sql(words[i]))
            fail_msg("'%s' is not known", words[i]);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_false(word_is_sql(names[i]));
}

static void the_nearest_word_is_what_was_meant(void **state)
{
    static const char *const list[] = {"columns", "name", NULL, "label", "labels", "bucket"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"colums", "columns"}, {"nmae", "name"},      {"lables", "labels"}, {"label", "label"},
        {"buckets", "bucket"}, {"Name", "name"},      {"zzz", NULL},        {"", NULL},
        {"b", NULL},           {"coulmn", "columns"},
    };
    char longest[300];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *nearest = word_nearest(cases[i].word, list, sizeof(list) / sizeof(list[0]));

        if (cases[i].nearest == NULL)
            assert_null(nearest);
        else
            assert_string_equal(nearest, cases[i].nearest);
    }
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_null(word_nearest(longest, list, sizeof(list) / sizeof(list[0])));
    assert_null(word_nearest("name", list, 0));
}

static int folded(const char *a, const char *b)
{
    return word_compare_folded(bytes_of_text(a), bytes_of_text(b));
}

static void case_does_not_matter_in_the_scripts_in_use(void **state)
{
    (void)state;
    assert_int_equal(folded("Won", "wON"), 0);
    assert_int_equal(folded("Ёлка ЯРКАЯ", "ёЛКА яркая"), 0);
    assert_int_equal(folded("ÀÖØÞ", "àöøþ"), 0);
    assert_int_equal(folded("ԱՖ", "աֆ"), 0);
    assert_int_not_equal(folded("×", "÷"), 0);
    assert_int_not_equal(folded("a", "ab"), 0);
    assert_true(folded("a", "b") < 0 && folded("b", "a") > 0);
    assert_int_equal(folded("", ""), 0);
    assert_int_equal(folded("€", "€"), 0);
    assert_int_not_equal(folded("\xd0", "\xd1"), 0); /* cut characters: by their bytes */
    assert_int_not_equal(folded("\xd0", "\xd0\x90"), 0);
    assert_int_not_equal(folded("\xff", "\xfe"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_one_form),
        cmocka_unit_test(words_of_sql_are_known),
        cmocka_unit_test(the_nearest_word_is_what_was_meant),
        cmocka_unit_test(case_does_not_matter_in_the_scripts_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
