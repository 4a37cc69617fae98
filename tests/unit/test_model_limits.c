/* Everything that a model file may have many of, at its limit and one past it; and no memory. */
#include "tests/lib/failing_alloc.h"
#include "tests/lib/quoted_model.h"
#include "tests/lib/unfailing.h"

#include "common/text.h"

/* The template `count` times, with '#' as 16, 17, 18 ..., and the separator between. */
static void repeat(struct buf *out, const char *template, size_t count, const char *separator)
{
    for (size_t i = 0; i < count; i++) {
        char number[24];

        snprintf(number, sizeof(number), "%zu", i + 16);
        if (i > 0)
            buf_append(out, separator, strlen(separator));
        for (const char *c = template; *c != '\0'; c++) {
            if (*c == '#')
                buf_append(out, number, strlen(number));
            else
                buf_append_byte(out, (uint8_t)*c);
        }
    }
}

static enum err parse_repeated(const char *before, const char *template, size_t count,
                               const char *separator, const char *after, struct err_info *info)
{
    struct model *model = NULL;
    struct buf json;
    enum err err;

    buf_init(&json, (size_t)2 * MODEL_FILE_MAX);
    buf_append(&json, before, strlen(before));
    repeat(&json, template, count, separator);
    buf_append(&json, after, strlen(after) + 1);
    assert_ok(json.error);
    err = parse((const char *)json.data, &model, info);
    buf_done(&json);
    model_free(model);
    return err;
}

#define T_STARTS \
    "{'name':'m','version':1,'tables':[{'id':16,'name':'t','bucket':'company','columns':["

static void counts_are_taken_at_their_limit_and_refused_past_it(void **state)
{
    static const struct {
        const char *before, *template, *after;
        size_t max;
        const char *message;
    } cases[] = {
        {"{'name':'m','version':1,'tables':[",
         "{'id':#,'name':'t#','bucket':'company','columns':[{'id':1,'name':'a','type':'text'}]}",
         "]}", MODEL_TABLES_MAX - 7, "tables: has 250 elements; at most 249 are possible"},
        {T_STARTS, "{'id':#,'name':'c#','type':'text'}", "]}]}", MODEL_COLUMNS_MAX,
         "tables[0].columns: has 513 elements; at most 512 are possible"},
        {T_STARTS "{'id':1,'name':'a','type':'enum','symbols':[", "'s#'", "]}]}]}",
         MODEL_SYMBOLS_MAX,
         "tables[0].columns[0].symbols: has 257 elements; at most 256 are possible"},
        {T_STARTS "{'id':1,'name':'a','type':'set','default':[", "'s#'", "]}]}]}", 1000,
         "tables[0].columns[0].default: a set has at most 1000 elements"},
    };
    struct err_info info;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_ok(parse_repeated(cases[i].before, cases[i].template, cases[i].max, ",",
                                 cases[i].after, &info));
        assert_err(parse_repeated(cases[i].before, cases[i].template, cases[i].max + 1, ",",
                                  cases[i].after, &info),
                   ERR_LIMIT);
        assert_string_equal(info.message, cases[i].message);
    }
}

/* 65 symbols have 65 * 64 = 4160 transitions. */
static void transitions_are_bounded(void **state)
{
    for (size_t count = MODEL_TRANSITIONS_MAX; count <= MODEL_TRANSITIONS_MAX + 1; count++) {
        struct model *model = NULL;
        struct err_info info;
        struct buf json;
        enum err err;

        (void)state;
        buf_init(&json, MODEL_FILE_MAX);
        text_append(&json, T_STARTS "{'id':1,'name':'a','type':'enum','merge':'fsm','symbols':[");
        repeat(&json, "'s#'", 65, ",");
        text_append(&json, "],'ranks':{");
        repeat(&json, "'s#':1", 65, ",");
        text_append(&json, "},'transitions':[");
        for (size_t i = 0; i < count; i++)
            text_append_format(&json, "%s['s%zu','s%zu']", i > 0 ? "," : "", 16 + i / 64,
                               16 + (i / 64 + 1 + i % 64) % 65);
        text_append(&json, "]}]}]}");
        buf_append_byte(&json, 0);
        assert_ok(json.error);
        err = parse((const char *)json.data, &model, &info);
        buf_done(&json);
        model_free(model);
        assert_err(err, count == MODEL_TRANSITIONS_MAX ? ERR_OK : ERR_LIMIT);
    }
}

static void ids_are_taken_at_their_limit_and_refused_past_it(void **state)
{
    struct model *model = parsed(ONE("{'id':32767,'name':'a','type':'text'}"));
    struct err_info info;

    (void)state;
    assert_non_null(model_column_by_id(model_table_by_id(model, 16), MODEL_ID_MAX));
    model_free(model);
    assert_err(parse(ONE("{'id':32768,'name':'a','type':'text'}"), &model, &info), ERR_MODEL);
    assert_string_equal(info.message,
                        "tables[0].columns[0].id: must be from 1 to 32767, not 32768");
}

/* A name or label of the size, in a model. */
static enum err parse_sized(const char *before, size_t size, const char *after)
{
    struct err_info info;

    return parse_repeated(before, "a", size, "", after, &info);
}

static void names_and_labels_are_taken_at_their_limit_and_refused_past_it(void **state)
{
    static const char start[] = "{'name':'m','version':1,'tables':[{'id':16,'bucket':'company',"
                                "'columns':[{'id':1,'type':'text','name':'";
    static const char label[] = "{'name':'m','version':1,'tables':[{'id':16,'bucket':'company',"
                                "'columns':[{'id':1,'type':'text','name':'a','label':{'en':'";

    (void)state;
    assert_ok(parse_sized(start, MODEL_NAME_MAX, "'}],'name':'t'}]}"));
    assert_err(parse_sized(start, MODEL_NAME_MAX + 1, "'}],'name':'t'}]}"), ERR_MODEL);
    assert_ok(parse_sized(label, MODEL_LABEL_MAX, "'}}],'name':'t'}]}"));
    assert_err(parse_sized(label, MODEL_LABEL_MAX + 1, "'}}],'name':'t'}]}"), ERR_MODEL);
}

static void file_size_and_depth_are_bounded(void **state)
{
    static const char text[] = "{\"name\":\"m\",\"version\":1,\"tables\":[]}";
    struct model *model;
    struct err_info info;
    uint8_t *json = malloc(MODEL_FILE_MAX + 1);

    (void)state;
    assert_non_null(json);
    memset(json, ' ', MODEL_FILE_MAX + 1);
    memcpy(json, text, sizeof(text) - 1);
    assert_ok(model_parse(bytes_of(json, MODEL_FILE_MAX), &model, &info));
    model_free(model);
    assert_err(model_parse(bytes_of(json, MODEL_FILE_MAX + 1), &model, &info), ERR_LIMIT);
    assert_string_equal(info.message, "the model: has 4194305 bytes; at most 4194304 are possible");
    memset(json, '[', MODEL_FILE_MAX);
    assert_err(model_parse(bytes_of(json, MODEL_FILE_MAX), &model, &info), ERR_LIMIT);
    assert_err(model_parse(bytes_of(json, MODEL_DEPTH_MAX + 1), &model, &info), ERR_LIMIT);
    assert_string_equal(info.message, "the model: is nested deeper than 12");
    assert_err(model_parse(bytes_of(json, MODEL_DEPTH_MAX), &model, &info), ERR_PARSE);
    free(json);
}

static void chains_of_parents_are_bounded(void **state)
{
    struct model *model;
    struct err_info info;

    (void)state;
    model_free(
        parsed(MODEL(ROOT "," CHAIN(17, a, root) "," CHAIN(18, b, a) "," CHAIN(19, c, b) "," //
                     CHAIN(20, d, c) "," CHAIN(21, e, d) "," CHAIN(22, f, e) ","             //
                     CHAIN(23, g, f) "," CHAIN(24, h, g))));
    assert_err(
        parse(MODEL(ROOT "," CHAIN(17, a, root) "," CHAIN(18, b, a) "," CHAIN(19, c, b) "," //
                    CHAIN(20, d, c) "," CHAIN(21, e, d) "," CHAIN(22, f, e) ","             //
                    CHAIN(23, g, f) "," CHAIN(24, h, g) "," CHAIN(25, i, h)),
              &model, &info),
        ERR_LIMIT);
    assert_string_equal(info.message,
                        "tables[9].parent: has 9 tables above it; at most 8 are possible");
}

/* --- Memory --------------------------------------------------------------------------------- */

/* jansson and OpenSSL have memory that does not fail: what is tested here is what our code does. */

static enum err parse_bytes(void *context)
{
    struct model *model = NULL;
    struct err_info info;
    enum err err = model_parse(*(const struct bytes *)context, &model, &info);

    assert_true(err == ERR_OK ? model != NULL : model == NULL && info.code == err);
    model_free(model);
    return err;
}

static void a_failed_allocation_is_nomem_and_nothing_else(void **state)
{
    char json[] = MODEL(BIG_TABLE);
    struct bytes view = bytes_of(json, sizeof(json) - 1);

    (void)state;
    for (char *c = json; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    if (failing_alloc_works())
        assert_true(failing_alloc_each(parse_bytes, &view, ERR_NOMEM) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_taken_at_their_limit_and_refused_past_it),
        cmocka_unit_test(transitions_are_bounded),
        cmocka_unit_test(ids_are_taken_at_their_limit_and_refused_past_it),
        cmocka_unit_test(names_and_labels_are_taken_at_their_limit_and_refused_past_it),
        cmocka_unit_test(file_size_and_depth_are_bounded),
        cmocka_unit_test(chains_of_parents_are_bounded),
        cmocka_unit_test(a_failed_allocation_is_nomem_and_nothing_else),
    };

    unfailing_libraries();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
