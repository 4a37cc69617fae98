/* What columns take, and values as people write them and read them. */
#include "tests/lib/quoted_model.h"

#include "common/uuid.h"

#include <math.h>

/* One column of each kind, in a table `t`. */
#define COLUMNS                                                                                 \
    ONE("{'id':1,'name':'text','type':'text','max':10,'required':true},"                        \
        "{'id':2,'name':'integer','type':'integer','min':-5,'max':100},"                        \
        "{'id':3,'name':'real','type':'real','min':0,'max':1},"                                 \
        "{'id':4,'name':'money','type':'money','min':-1000000,'max':1000000},"                  \
        "{'id':5,'name':'date','type':'date'},{'id':6,'name':'instant','type':'instant'},"      \
        "{'id':7,'name':'flag','type':'boolean'},"                                              \
        "{'id':8,'name':'state','type':'enum','symbols':["                                      \
        "{'name':'open','label':{'en':'Still open','ru':'Открыт'}},'won']},"              \
        "{'id':9,'name':'ref','type':'reference','target':'user'},"                             \
        "{'id':10,'name':'tags','type':'set','max':40},{'id':11,'name':'photo','type':'blob'}," \
        "{'id':12,'name':'yen','type':'money','digits':0},"                                     \
        "{'id':13,'name':'mills','type':'money','digits':4},"                                   \
        "{'id':14,'name':'any_real','type':'real'},{'id':15,'name':'big','type':'integer'}")

struct fixture {
    struct model *model;
    const struct model_table *table;
    struct arena arena;
};

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture.model = parsed(COLUMNS);
    fixture.table = model_table_by_id(fixture.model, 16);
    arena_init(&fixture.arena, 1 << 20);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    model_free(fixture->model);
    arena_done(&fixture->arena);
    return 0;
}

static const struct model_column *column(const struct fixture *fixture, const char *name)
{
    const struct model_column *found = model_column_by_name(fixture->table, bytes_of_text(name));

    assert_non_null(found);
    return found;
}

/* --- Checking ------------------------------------------------------------------------------- */

static void assert_check(void **state, const char *name, struct value value, enum err expected,
                         const char *message)
{
    struct err_info info = {.message = ""};

    assert_err(model_check_value(column(*state, name), &value, &info), expected);
    assert_string_equal(info.message, message);
}

#define TEXT(literal) value_text(BYTES(literal))

static void values_are_taken_at_their_bounds_and_refused_past_them(void **state)
{
    assert_check(state, "text", TEXT("1234567890"), ERR_OK, "");
    assert_check(state, "text", TEXT("12345678901"), ERR_LIMIT,
                 "'text' has at most 10 bytes; this has 11");
    assert_check(state, "integer", value_int(-5), ERR_OK, "");
    assert_check(state, "integer", value_int(-6), ERR_LIMIT, "'integer' is at least -5, not -6");
    assert_check(state, "integer", value_int(100), ERR_OK, "");
    assert_check(state, "integer", value_int(101), ERR_LIMIT, "'integer' is at most 100, not 101");
    assert_check(state, "big", value_int(INT64_MIN), ERR_OK, "");
    assert_check(state, "big", value_int(INT64_MAX), ERR_OK, "");
    assert_check(state, "real", value_real(0), ERR_OK, "");
    assert_check(state, "real", value_real(1), ERR_OK, "");
    assert_check(state, "real", value_real(-0.001), ERR_LIMIT, "'real' is at least 0, not -0.001");
    assert_check(state, "real", value_real(1.001), ERR_LIMIT, "'real' is at most 1, not 1.001");
    assert_check(state, "any_real", value_real(-1e300), ERR_OK, "");
    assert_check(state, "money", value_int(1000001), ERR_LIMIT,
                 "'money' is at most 1000000, not 1000001");
    assert_check(state, "instant", value_int(253402300799999), ERR_OK, "");
    assert_check(state, "instant", value_int(253402300800000), ERR_LIMIT,
                 "'instant' is at most 253402300799999, not 253402300800000");
    assert_check(state, "instant", value_int(-62135596800001), ERR_LIMIT,
                 "'instant' is at least -62135596800000, not -62135596800001");
    assert_check(state, "tags", TEXT("[\"1234567890123456789012345678901234567\"]"), ERR_LIMIT,
                 "'tags' has at most 40 bytes; this has 41");
    assert_check(state, "tags", TEXT("[\"123456789012345678901234567890123456\"]"), ERR_OK, "");
}

static void values_of_another_kind_or_form_are_refused(void **state)
{
    static const uint8_t hash[32], id[16];

    assert_check(state, "text", value_null(), ERR_TYPE, "'text' must have a value");
    assert_check(state, "text", TEXT(""), ERR_TYPE, "'text' must not be empty");
    assert_check(state, "text", TEXT("a\0b"), ERR_TYPE, "'text' has a zero byte in it");
    assert_check(state, "text", TEXT("\xc3("), ERR_TYPE, "'text' is not valid UTF-8");
    assert_check(state, "text", value_blob(BYTES("a")), ERR_TYPE,
                 "'text' is of type text; this value is of another kind");
    assert_check(state, "integer", value_null(), ERR_OK, "");
    assert_check(state, "integer", value_real(1), ERR_TYPE,
                 "'integer' is of type integer; this value is of another kind");
    assert_check(state, "real", value_int(1), ERR_TYPE,
                 "'real' is of type real; this value is of another kind");
    assert_check(state, "any_real", value_real(NAN), ERR_TYPE,
                 "'any_real' is a number; this is not one");
    assert_check(state, "any_real", value_real(INFINITY), ERR_TYPE,
                 "'any_real' is a number; this is not one");
    assert_check(state, "flag", value_int(2), ERR_TYPE, "'flag' is a boolean: 0 or 1");
    assert_check(state, "flag", value_int(1), ERR_OK, "");
    assert_check(state, "date", TEXT("2024-02-29"), ERR_OK, "");
    assert_check(state, "date", TEXT("2023-02-29"), ERR_TYPE,
                 "'date' is not a date like 2026-11-22");
    assert_check(state, "date", TEXT("2024-2-29"), ERR_TYPE,
                 "'date' is not a date like 2026-11-22");
    assert_check(state, "state", TEXT("won"), ERR_OK, "");
    assert_check(state, "state", TEXT("Won"), ERR_TYPE, "'state' has no symbol 'Won'");
    assert_check(state, "state", TEXT(""), ERR_TYPE, "'state' has no symbol ''");
    assert_check(state, "ref", value_blob(bytes_of(id, 16)), ERR_OK, "");
    assert_check(state, "ref", value_blob(bytes_of(hash, 32)), ERR_TYPE,
                 "'ref' has 16 bytes; this has 32");
    assert_check(state, "photo", value_blob(bytes_of(hash, 32)), ERR_OK, "");
    assert_check(state, "photo", value_blob(bytes_of(hash, 31)), ERR_TYPE,
                 "'photo' has 32 bytes; this has 31");
    assert_check(state, "tags", TEXT("[]"), ERR_OK, "");
    assert_check(state, "tags", TEXT("[\"b\",\"a\"]"), ERR_TYPE,
                 "'tags' is not a set: a JSON array of texts, sorted");
}

/* --- Text and back -------------------------------------------------------------------------- */

static void assert_reads(void **state, const char *name, const char *text, struct value expected)
{
    struct fixture *fixture = *state;
    struct err_info info = {.message = ""};
    struct value value;
    enum err err = model_value_from_text(column(fixture, name), bytes_of_text(text),
                                         &fixture->arena, &value, &info);

    if (err != ERR_OK)
        fail_msg("%s: '%s': %s", name, text, info.message);
    if (!value_equal(&value, &expected))
        fail_msg("%s: '%s' is read as another value", name, text);
}

static void assert_refuses(void **state, const char *name, const char *text, const char *message)
{
    struct fixture *fixture = *state;
    struct err_info info;
    struct value value;

    assert_err(model_value_from_text(column(fixture, name), bytes_of_text(text), &fixture->arena,
                                     &value, &info),
               ERR_TYPE);
    assert_string_equal(info.message, message);
}

static void assert_writes(void **state, const char *name, struct value value, const char *text)
{
    const struct model_column *at = column(*state, name);
    struct buf out;

    buf_init(&out, 1000);
    assert_ok(model_value_to_text(at, &value, &out));
    assert_text(buf_view(&out), text);
    buf_done(&out);
}

static void assert_both(void **state, const char *name, const char *text, struct value value)
{
    assert_reads(state, name, text, value);
    assert_writes(state, name, value, text);
}

static void empty_is_null_but_for_text(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < fixture->table->column_count; i++) {
        const struct model_column *at = &fixture->table->columns[i];
        struct value expected = at->type == COLUMN_TEXT ? TEXT("") : value_null();

        assert_reads(state, at->name, "", expected);
        assert_writes(state, at->name, value_null(), "");
        if (at->type != COLUMN_TEXT)
            assert_reads(state, at->name, " \t", value_null());
    }
    assert_reads(state, "text", " a ", TEXT(" a ")); /* kept as it is */
}

static void numbers(void **state)
{
    assert_both(state, "integer", "42", value_int(42));
    assert_both(state, "big", "-9223372036854775808", value_int(INT64_MIN));
    assert_reads(state, "integer", " 7 ", value_int(7));
    assert_reads(state, "integer", "7.00", value_int(7));
    assert_reads(state, "integer", "70", value_int(70));
    assert_refuses(state, "integer", "7.5", "'integer': '7.5' is not a whole number");
    assert_refuses(state, "integer", "7.", "'integer': '7.' is not a whole number");
    assert_refuses(state, "integer", ".0", "'integer': '.0' is not a whole number");
    assert_refuses(state, "integer", "1 000", "'integer': '1 000' is not a whole number");
    assert_refuses(state, "big", "9223372036854775808",
                   "'big': '9223372036854775808' is too large");
    assert_both(state, "any_real", "0.1", value_real(0.1));
    assert_both(state, "any_real", "1e+300", value_real(1e300));
    assert_both(state, "any_real", "12", value_real(12));
    assert_reads(state, "any_real", "-0", value_real(0));
    assert_refuses(state, "any_real", "1,5", "'any_real': '1,5' is not a number like 12.5");
    assert_refuses(state, "any_real", "nan", "'any_real': 'nan' is not a number like 12.5");
    assert_refuses(state, "any_real", "1e999", "'any_real': '1e999' is too large");
}

static void amounts(void **state)
{
    assert_both(state, "money", "1250.50", value_int(125050));
    assert_both(state, "money", "-0.05", value_int(-5));
    assert_reads(state, "money", "18", value_int(1800));
    assert_reads(state, "money", "9.8", value_int(980));
    assert_reads(state, "money", "9.8000", value_int(980));
    assert_reads(state, "money", "100", value_int(10000));
    assert_refuses(state, "money", "9.805", "'money': '9.805' is not an amount like 1250.50");
    assert_refuses(state, "money", "9.", "'money': '9.' is not an amount like 1250.50");
    assert_refuses(state, "money", "1,250.50", "'money': '1,250.50' is not an amount like 1250.50");
    assert_refuses(state, "money", "99999999999999999999",
                   "'money': '99999999999999999999' is too large");
    assert_both(state, "yen", "1250", value_int(1250));
    assert_reads(state, "yen", "1250.00", value_int(1250));
    assert_refuses(state, "yen", "1250.5", "'yen': '1250.5' is not an amount like 1250");
    assert_refuses(state, "yen", "1250.", "'yen': '1250.' is not an amount like 1250");
    assert_both(state, "mills", "0.0001", value_int(1));
    assert_refuses(state, "mills", "0.00001",
                   "'mills': '0.00001' is not an amount with this column's digits");
}

static void dates_and_times(void **state)
{
    assert_both(state, "date", "2024-02-29", TEXT("2024-02-29"));
    assert_reads(state, "date", "1996-07-04 00:00:00.000", TEXT("1996-07-04"));
    assert_reads(state, "date", "1996-07-04T00:00", TEXT("1996-07-04"));
    assert_reads(state, "date", "1996-07-04T00:00:00Z", TEXT("1996-07-04"));
    assert_refuses(state, "date", "1996-07-04 00:00:01",
                   "'date': '1996-07-04 00:00:01' has a time of day; the column holds a date");
    assert_refuses(state, "date", "04.07.1996",
                   "'date': '04.07.1996' is not a date like 2026-11-22");
    assert_refuses(state, "date", "1996-07-04x",
                   "'date': '1996-07-04x' is not a date like 2026-11-22");
    assert_both(state, "instant", "2026-11-22T10:00:00.000Z", value_int(1795341600000));
    assert_reads(state, "instant", "1795341600000", value_int(1795341600000));
    assert_reads(state, "instant", "2026-11-22T14:00:00+04:00", value_int(1795341600000));
    assert_reads(state, "instant", "2026-11-22 10:00", value_int(1795341600000));
    assert_reads(state, "instant", "1970-01-02", value_int(86400000));
    assert_reads(state, "instant", "-1", value_int(-1));
    assert_refuses(state, "instant", "tomorrow",
                   "'instant': 'tomorrow' is not a time like 2026-11-22T10:00:00Z");
    assert_writes(state, "instant", value_int(INT64_MAX), "9223372036854775807");
}

static void booleans_and_symbols(void **state)
{
    assert_both(state, "flag", "true", value_int(1));
    assert_both(state, "flag", "false", value_int(0));
    assert_reads(state, "flag", "YES", value_int(1));
    assert_reads(state, "flag", "No", value_int(0));
    assert_reads(state, "flag", "1", value_int(1));
    assert_reads(state, "flag", "0", value_int(0));
    assert_reads(state, "flag", "ДА", value_int(1));
    assert_reads(state, "flag", "Нет", value_int(0));
    assert_refuses(state, "flag", "maybe",
                   "'flag': 'maybe' is neither true nor false (yes, no, 1, 0)");
    assert_both(state, "state", "won", TEXT("won"));
    assert_reads(state, "state", "Won", TEXT("won"));
    assert_reads(state, "state", "STILL OPEN", TEXT("open"));
    assert_reads(state, "state", "оТКРЫТ", TEXT("open"));
    assert_refuses(state, "state", "Opne",
                   "'state': 'Opne' is not one of the values; did you mean open?");
    assert_refuses(state, "state", "lost", "'state': 'lost' is not one of the possible values");
    assert_refuses(state, "state", "\xff", "'state': this text is not one of the possible values");
}

static void references_and_blobs(void **state)
{
    static const uint8_t id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255};
    static const uint8_t hash[32] = {0xab, 1};

    assert_both(state, "ref", "01020304-0506-0708-090a-0b0c0d0e0fff",
                value_blob(BYTES("\1\2\3\4\5\6\7\x08\x09"
                                 "\x0a\x0b\x0c\x0d\x0e\x0f"
                                 "\xff")));
    assert_reads(state, "ref", "01020304-0506-0708-090A-0B0C0D0E0FFF",
                 value_blob(bytes_of(id, 16)));
    assert_refuses(state, "ref", "ALFKI", "'ref': 'ALFKI' is not the id of a record");
    assert_both(state, "photo", "ab01000000000000000000000000000000000000000000000000000000000000",
                value_blob(bytes_of(hash, 32)));
    assert_refuses(state, "photo", "ab01", "'photo': 'ab01' is not a SHA-256 in hexadecimal");
}

static void sets(void **state)
{
    assert_both(state, "tags", "a; b", TEXT("[\"a\",\"b\"]"));
    assert_both(state, "tags", "one", TEXT("[\"one\"]"));
    assert_reads(state, "tags", "b;a ;; b;", TEXT("[\"a\",\"b\"]"));
    assert_reads(state, "tags", "[\"b\", \"a\"]", TEXT("[\"a\",\"b\"]"));
    assert_reads(state, "tags", "[]", TEXT("[]"));
    assert_reads(state, "tags", ";", TEXT("[]"));
    assert_reads(state, "tags", "[x] y", TEXT("[\"[x] y\"]")); /* no JSON: an element */
    assert_both(state, "tags", "[\"a;b\",\"c\"]", TEXT("[\"a;b\",\"c\"]"));
    assert_both(state, "tags", "[\"[]\"]", TEXT("[\"[]\"]"));
    assert_writes(state, "tags", TEXT("[]"), "[]");
    assert_writes(state, "tags", TEXT("[\" a\"]"), "[\" a\"]");
    assert_refuses(state, "tags", "[1]",
                   "'tags': '[1]' is not a list like `a; b` or [\"a\", \"b\"]");
    assert_refuses(state, "tags", "a; \xff",
                   "'tags': this text is not a list like `a; b` or "
                   "[\"a\", \"b\"]");
}

static void what_does_not_fit_the_buffer_leaves_it_as_it_was(void **state)
{
    struct value value = TEXT("[\"aaaa\",\"bbbb\"]");
    struct buf out;

    buf_init(&out, 8);
    assert_ok(buf_append(&out, "xx", 2));
    assert_err(model_value_to_text(column(*state, "tags"), &value, &out), ERR_TOO_LARGE);
    assert_text(buf_view(&out), "xx");
    buf_done(&out);
}

/* A thousand values of each kind: what to_text writes, from_text reads, and it passes the check. */
static void what_is_written_is_read_back(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 0x1234567;

    for (size_t i = 0; i < 1000; i++) {
        for (size_t k = 0; k < fixture->table->column_count; k++) {
            const struct model_column *at = &fixture->table->columns[k];
            struct value value = value_null(), again;
            struct err_info info;
            double real;
            struct buf out;

            random = random * 6364136223846793005u + 1442695040888963407u;
            if (at->type == COLUMN_INTEGER || at->type == COLUMN_MONEY)
                value = value_int((int64_t)random);
            else if (at->type == COLUMN_INSTANT)
                value = value_int((int64_t)(random % 253402300800000));
            else if (at->type == COLUMN_REAL) {
                memcpy(&real, &random, sizeof(real));
                value = isfinite(real) ? value_real(real) : value_real(1);
            }
            buf_init(&out, 100);
            assert_ok(model_value_to_text(at, &value, &out));
            assert_ok(model_value_from_text(at, buf_view(&out), &fixture->arena, &again, &info));
            if (at->type != COLUMN_TEXT)
                assert_true(value_equal(&value, &again));
            buf_done(&out);
        }
        arena_reset(&fixture->arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_taken_at_their_bounds_and_refused_past_them),
        cmocka_unit_test(values_of_another_kind_or_form_are_refused),
        cmocka_unit_test(empty_is_null_but_for_text),
        cmocka_unit_test(numbers),
        cmocka_unit_test(amounts),
        cmocka_unit_test(dates_and_times),
        cmocka_unit_test(booleans_and_symbols),
        cmocka_unit_test(references_and_blobs),
        cmocka_unit_test(sets),
        cmocka_unit_test(what_does_not_fit_the_buffer_leaves_it_as_it_was),
        cmocka_unit_test(what_is_written_is_read_back),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
