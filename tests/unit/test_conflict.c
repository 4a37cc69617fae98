#include "protocol/conflict.h"

#include "tests/lib/story.h"
#include "tests/lib/unit.h"

#include <jansson.h>

struct kit {
    struct story story;
    struct crypto *crypto;
    const struct model_table *customer;
};

static int setup(void **state)
{
    struct kit *kit = calloc(1, sizeof(*kit));

    assert_non_null(kit);
    story_init(&kit->story, NULL);
    assert_ok(crypto_new(&kit->crypto));
    kit->customer = model_table_by_name(kit->story.model, bytes_of_text("customer"));
    *state = kit;
    return 0;
}

static int teardown(void **state)
{
    struct kit *kit = *state;

    story_done(&kit->story);
    crypto_free(kit->crypto);
    free(kit);
    return 0;
}

static const struct value *column_of(struct kit *kit, const struct value *values, const char *name)
{
    const struct model_table *table = model_table_by_id(kit->story.model, TABLE_CONFLICT);
    const struct model_column *column = model_column_by_name(table, bytes_of_text(name));

    assert_non_null(column);
    assert_ok(model_check_value(column, &values[column->index], NULL));
    return &values[column->index];
}

static void assert_column(struct kit *kit, const struct value *values, const char *name,
                          const char *text)
{
    const struct value *value = column_of(kit, values, name);

    if (text == NULL) {
        assert_int_equal(value->kind, VALUE_NULL);
        return;
    }
    assert_int_equal(value->kind, VALUE_TEXT);
    assert_text(value->as.bytes, text);
}

static struct value *row_of(struct kit *kit, const char *unit)
{
    struct uuid id = story_id(1);
    struct value *values = NULL;

    assert_ok(conflict_row(
        kit->story.model, kit->customer, &id, story_record_of(&kit->story, "customer", 1),
        story_unit(&kit->story, "customer", unit), 12345, &kit->story.arena, &values));
    return values;
}

static void test_the_id_is_a_hash_of_record_unit_and_dots(void **state)
{
    struct kit *kit = *state;
    const struct model_unit *name = story_unit(&kit->story, "customer", "name");
    struct dot dots[2] = {{1, 2, 3}, {4, 5, 6}};
    struct dot_set both = {.dots = dots, .count = 2}, one = {.dots = dots, .count = 1};
    struct uuid record = story_id(1), other = story_id(2), ids[5];
    uint8_t input[60] = {0, 16}, hash[32];

    assert_ok(conflict_id(kit->crypto, kit->customer, &record, name, both, &ids[0]));
    assert_ok(conflict_id(kit->crypto, kit->customer, &record, name, one, &ids[1]));
    assert_ok(conflict_id(kit->crypto, kit->customer, &record, NULL, both, &ids[2]));
    assert_ok(conflict_id(kit->crypto, kit->customer, &other, name, both, &ids[3]));
    assert_ok(conflict_id(kit->crypto, &kit->story.model->tables[0], &record, name, both, &ids[4]));
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < i; j++)
            assert_false(uuid_equal(&ids[i], &ids[j]));
    }
    /* As SPEC.md 6 has it. */
    memcpy(input + 2, record.byte, 16);
    be16_put(input + 18, 1);
    be64_put(input + 20, 1);
    be64_put(input + 28, 2);
    be32_put(input + 36, 3);
    be64_put(input + 40, 4);
    be64_put(input + 48, 5);
    be32_put(input + 56, 6);
    assert_ok(crypto_sha256(kit->crypto, bytes_of(input, 60), hash));
    assert_memory_equal(ids[0].byte, hash, 16);
}

static void test_a_row_says_who_wrote_what(void **state)
{
    struct kit *kit = *state;
    struct story *s = &kit->story;
    struct story_record start;
    struct value *values;

    STORY_INSERT(s, 1, "customer", 1, "name", "Ada", "phone", "1");
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "phone", "say \"2\"");
    STORY_UPDATE(s, 3, &start, "phone", NULL);
    values = row_of(kit, "phone");
    assert_int_equal(column_of(kit, values, "table_id")->as.integer, 16);
    assert_int_equal(column_of(kit, values, "record")->as.bytes.data[15], 1);
    assert_int_equal(column_of(kit, values, "unit_id")->as.integer, 2);
    assert_int_equal(column_of(kit, values, "at")->as.integer, 12345);
    assert_column(kit, values, "record_title", "Ada");
    assert_column(kit, values, "unit", "phone");
    assert_column(kit, values, "policy", "lww");
    assert_column(kit, values, "kind", "value");
    assert_column(kit, values, "state", "automatic");
    assert_column(kit, values, "shown", "{\"phone\":null}");
    assert_column(kit, values, "base", NULL);
    assert_column(kit, values, "settled_at", NULL);
    assert_column(kit, values, "candidates",
                  "[{\"origin\":\"0000000000000002\",\"oseq\":1,\"tag\":7,\"at\":2000,"
                  "\"value\":{\"phone\":\"say \\\"2\\\"\"}},"
                  "{\"origin\":\"0000000000000003\",\"oseq\":1,\"tag\":7,\"at\":3000,"
                  "\"value\":{\"phone\":null}}]");
}

static void test_a_row_of_a_column_group_and_its_base(void **state)
{
    struct kit *kit = *state;
    struct story *s = &kit->story;
    struct story_record start;
    struct value *values;

    STORY_INSERT(s, 1, "customer", 1, "city", "Yerevan", "street", "Abovyan");
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "city", "Gyumri");
    STORY_UPDATE(s, 3, &start, "street", "Tumanyan");
    values = row_of(kit, "address");
    assert_int_equal(column_of(kit, values, "unit_id")->as.integer, 201);
    assert_column(kit, values, "record_title", NULL); /* it has no name */
    assert_column(kit, values, "shown", "{\"city\":\"Yerevan\",\"street\":\"Tumanyan\"}");
    assert_column(kit, values, "base", "{\"city\":\"Yerevan\",\"street\":\"Abovyan\"}");
}

static void test_a_row_is_open_where_a_person_has_to_choose(void **state)
{
    struct kit *kit = *state;
    struct story *s = &kit->story;
    struct story_record start, later;
    struct value *values;

    STORY_INSERT(s, 1, "customer", 1, "category", "A", "note", "one", "stage", "sent");
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "category", "B", "note", "one\nfrom 2", "stage", "paid");
    later = story_look(s, "customer", 1);
    STORY_UPDATE(s, 3, &start, "category", "C", "note", "one\nfrom 3", "stage", "lost");
    assert_column(kit, row_of(kit, "category"), "state", "open");
    assert_column(kit, row_of(kit, "category"), "base", "{\"category\":\"A\"}");
    assert_column(kit, row_of(kit, "stage"), "state", "open");
    assert_column(kit, row_of(kit, "note"), "state", "automatic");
    assert_column(kit, row_of(kit, "note"), "shown", "{\"note\":\"one\\nfrom 2\\nfrom 3\"}");
    STORY_UPDATE(s, 2, &later, "note", "one\nfrom 2\nagain");
    values = row_of(kit, "note");
    assert_column(kit, values, "state", "open");
    assert_column(kit, values, "base", NULL); /* they differ: each candidate says its own */
    assert_column(kit, values, "candidates",
                  "[{\"origin\":\"0000000000000002\",\"oseq\":2,\"tag\":7,\"at\":4000,"
                  "\"value\":{\"note\":\"one\\nfrom 2\\nagain\"},"
                  "\"base\":{\"note\":\"one\\nfrom 2\"}},"
                  "{\"origin\":\"0000000000000003\",\"oseq\":1,\"tag\":7,\"at\":3000,"
                  "\"value\":{\"note\":\"one\\nfrom 3\"},\"base\":{\"note\":\"one\"}}]");
}

static void test_long_texts_are_cut_so_that_the_row_can_travel(void **state)
{
    struct kit *kit = *state;
    struct story *s = &kit->story;
    struct story_record start;
    char *text = calloc(1, 60001);
    struct bytes candidates;
    struct value *values;
    json_error_t error;
    json_t *json;

    for (int i = 0; i < 60000; i += 2)
        memcpy(text + i, "\xd0\xb6", 2); /* a letter of two bytes */
    STORY_INSERT(s, 1, "customer", 1, "name", "Ada");
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "name", text);
    STORY_UPDATE(s, 3, &start, "name", text + 1000);
    STORY_UPDATE(s, 4, &start, "name", "short");
    values = row_of(kit, "name");
    candidates = column_of(kit, values, "candidates")->as.bytes;
    assert_in_range(candidates.size, 20000, MODEL_TEXT_MAX);
    json = json_loadb((const char *)candidates.data, candidates.size, 0, &error);
    assert_non_null(json);
    assert_int_equal(json_array_size(json), 3);
    assert_true(json_is_true(json_object_get(json_array_get(json, 0), "cut")));
    assert_null(json_object_get(json_array_get(json, 2), "cut"));
    json_decref(json);
    free(text);
}

static void test_a_delete_that_was_lost(void **state)
{
    struct kit *kit = *state;
    struct story *s = &kit->story;
    struct story_record start;
    struct uuid id = story_id(1);
    struct value *values;

    STORY_INSERT(s, 1, "customer", 1, "name", "Ada");
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "name", "Ada L", "ceiling", "5", "city", "Gyumri");
    STORY_DELETE(s, 3, &start);
    assert_true(story_applied(s, "customer", 1)->result.delete_lost);
    assert_ok(conflict_delete_row(s->model, kit->customer, &id, story_record_of(s, "customer", 1),
                                  &s->dot, UINT64_C(3000) << 16, 12345, &s->arena, &values));
    assert_column(kit, values, "kind", "delete");
    assert_column(kit, values, "policy", "revives");
    assert_column(kit, values, "state", "automatic");
    assert_column(kit, values, "record_title", "Ada L");
    assert_column(kit, values, "unit", NULL);
    assert_int_equal(column_of(kit, values, "unit_id")->as.integer, 0);
    assert_column(kit, values, "candidates",
                  "[{\"origin\":\"0000000000000002\",\"oseq\":1,\"tag\":7,\"at\":2000,\"value\":"
                  "{\"name\":\"Ada L\",\"ceiling\":5,\"city\":\"Gyumri\",\"street\":null}},"
                  "{\"origin\":\"0000000000000003\",\"oseq\":1,\"tag\":7,\"at\":3000,"
                  "\"value\":null,\"delete\":true}]");
}

static void test_a_delete_of_a_manual_table_waits_for_a_person(void **state)
{
    struct kit *kit = *state;
    struct story *s = &kit->story;
    struct uuid id = story_id(1);
    struct value *values;

    STORY_INSERT(s, 1, "memo", 1, "name", "a");
    assert_ok(conflict_delete_row(s->model, model_table_by_name(s->model, bytes_of_text("memo")),
                                  &id, story_record_of(s, "memo", 1), &(struct dot){3, 1, 7},
                                  UINT64_C(3000) << 16, 12345, &s->arena, &values));
    assert_column(kit, values, "state", "open");
    assert_column(kit, values, "policy", "manual");
}

static void test_no_memory(void **state)
{
    struct kit *kit = *state;
    struct story *s = &kit->story;
    struct uuid id = story_id(1);
    struct story_record start;
    bool done = false;

    STORY_INSERT(s, 1, "customer", 1, "note", "one");
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "note", "one\n2");
    STORY_UPDATE(s, 3, &start, "note", "one\n3");
    for (size_t limit = 0; !done; limit += 32) {
        struct value *values = NULL;
        struct arena arena;
        enum err error;

        arena_init(&arena, limit);
        error = conflict_row(s->model, kit->customer, &id, story_record_of(s, "customer", 1),
                             story_unit(s, "customer", "note"), 1, &arena, &values);
        done = error == ERR_OK;
        assert_true(done || (error == ERR_NOMEM && values == NULL));
        arena_done(&arena);
    }
}

static void test_no_memory_for_a_delete(void **state)
{
    struct kit *kit = *state;
    struct story *s = &kit->story;
    struct uuid id = story_id(1);
    struct story_record start;
    bool done = false;

    STORY_INSERT(s, 1, "customer", 1, "name", "Ada");
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "name", "Ada L", "city", "Gyumri");
    STORY_DELETE(s, 3, &start);
    for (size_t limit = 0; !done; limit += 16) {
        struct value *values = NULL;
        struct arena arena;
        enum err error;

        arena_init(&arena, limit);
        error = conflict_delete_row(s->model, kit->customer, &id, story_record_of(s, "customer", 1),
                                    &s->dot, UINT64_C(3000) << 16, 12345, &arena, &values);
        done = error == ERR_OK;
        assert_true(done || (error == ERR_NOMEM && values == NULL));
        arena_done(&arena);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_id_is_a_hash_of_record_unit_and_dots),
        TEST(test_a_row_says_who_wrote_what),
        TEST(test_a_row_of_a_column_group_and_its_base),
        TEST(test_a_row_is_open_where_a_person_has_to_choose),
        TEST(test_long_texts_are_cut_so_that_the_row_can_travel),
        TEST(test_a_delete_that_was_lost),
        TEST(test_a_delete_of_a_manual_table_waits_for_a_person),
        TEST(test_no_memory),
        TEST(test_no_memory_for_a_delete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
