/* The public interface without a server: what people ask and what they are told. */
#include "tests/lib/api_kit.h"
#include "tests/lib/unit.h"

/* ---- people's values ---- */

static void records_are_found_by_what_people_call_them(void **state)
{
    struct satchel_id id, found;
    char text[SATCHEL_ID_TEXT_SIZE];
    (void)state;
    const struct satchel_id a = api_party("Müller & Söhne", "Köln");
    id = a;
    assert_done(satchel_resolve(h, "party", "Müller & Söhne", &found));
    assert_memory_equal(&found, &id, 16);
    assert_done(satchel_resolve(h, "party", "MÜLLER & SÖHNE", &found));
    assert_memory_equal(&found, &id, 16);
    satchel_id_format(&a, text);
    assert_done(satchel_resolve(h, "party", text, &found));
    text[13] = '\0';
    assert_done(satchel_resolve(h, "party", text, &found));
    assert_memory_equal(&found, &id, 16);
    assert_code(satchel_resolve(h, "party", "Meier", &found), SATCHEL_E_NOT_FOUND);
    assert_message_has("'Meier'");
    api_party("Twin", "A");
    api_party("Twin", "B");
    assert_code(satchel_resolve(h, "party", "Twin", &found), SATCHEL_E_CONFLICT);
    assert_message_has("several of party");
}

static void references_are_written_by_name_and_shown_by_name(void **state)
{
    struct satchel_id territory = {{0}};
    (void)state;
    const struct satchel_field named = {"name", "Nord", NULL};
    assert_done(satchel_insert_fields(h, "territory", &territory, &named, 1));
    const struct satchel_id id = api_party("Alfreds", "Kiel");
    const struct satchel_field by_name = {"territory", "nord", NULL};
    assert_done(satchel_update_fields(h, "party", &id, &by_name, 1));
    assert_cell("party", &id, "territory", "Nord");
    const struct satchel_field none = {"territory", "", NULL};
    assert_done(satchel_update_fields(h, "party", &id, &none, 1));
    assert_cell("party", &id, "territory", "");
    const struct satchel_value value = satchel_reference(&territory);
    const struct satchel_field by_value = {"territory", NULL, &value};
    assert_done(satchel_update_fields(h, "party", &id, &by_value, 1));
    assert_cell("party", &id, "territory", "Nord");
}

static void values_are_parsed_and_formatted(void **state)
{
    const struct satchel_table *table = satchel_table(h, "party");
    struct satchel_value value;
    char text[32];
    size_t size;
    (void)state;
    const struct satchel_column *revenue = satchel_column(table, "revenue");
    assert_done(satchel_parse_value(h, revenue, "12.5", &value));
    assert_int_equal(value.kind, SATCHEL_INT);
    assert_int_equal(value.as.integer, 1250);
    assert_done(satchel_format_value(h, revenue, &value, text, sizeof text, &size));
    assert_string_equal(text, "12.50");
    assert_int_equal(size, 5);
    assert_done(satchel_format_value(h, revenue, &value, text, 3, &size));
    assert_string_equal(text, "12");
    const struct satchel_column *phones = satchel_column(table, "phones");
    assert_done(satchel_parse_value(h, phones, "2; 1; 2", &value));
    assert_done(satchel_format_value(h, phones, &value, text, sizeof text, NULL));
    assert_code(satchel_parse_value(h, revenue, "a lot", &value), SATCHEL_E_TYPE);
    assert_message_has("party.revenue: 'a lot'");
    const struct satchel_column foreign = {0};
    assert_code(satchel_parse_value(h, &foreign, "1", &value), SATCHEL_E_INVALID);
}

/* ---- lists ---- */

struct names {
    char text[400];
    int count, stop_at;
};

static int add_name(void *context, const struct satchel_record *record)
{
    struct names *names = context;
    strcat(names->text, api_cell(record, "name")->text);
    strcat(names->text, " ");
    return ++names->count == names->stop_at;
}

static void assert_list(const struct satchel_query *query, const char *expected)
{
    struct names names = {.text = ""};
    assert_done(satchel_list(h, "party", query, add_name, &names));
    assert_string_equal(names.text, expected);
    uint64_t count;
    assert_done(satchel_count(h, "party", query, &count));
    if (query == NULL || (query->limit == 0 && query->offset == 0))
        assert_int_equal(count, names.count);
}

static void lists_take_conditions_order_and_pages(void **state)
{
    (void)state;
    const struct satchel_id a = api_party("Anna", "Berlin");
    api_party("Boris", "Bonn");
    api_party("Carla", "Ärzen");
    const struct satchel_field staff = {"employees", "7", NULL};
    assert_done(satchel_update_fields(h, "party", &a, &staff, 1));

    assert_list(NULL, "Anna Boris Carla ");
    struct satchel_condition c = {"city", SATCHEL_OP_EQ, "Bonn", NULL};
    struct satchel_query q = {.conditions = &c, .condition_count = 1};
    assert_list(&q, "Boris ");
    c.op = SATCHEL_OP_NE;
    assert_list(&q, "Anna Carla ");
    c = (struct satchel_condition){"city", SATCHEL_OP_CONTAINS, "ÄRZ", NULL};
    assert_list(&q, "Carla ");
    c = (struct satchel_condition){"employees", SATCHEL_OP_GE, "7", NULL};
    assert_list(&q, "Anna ");
    c.op = SATCHEL_OP_GT;
    assert_list(&q, "");
    c = (struct satchel_condition){"employees", SATCHEL_OP_EQ, NULL, NULL};
    assert_list(&q, "Boris Carla ");
    c = (struct satchel_condition){"employees", SATCHEL_OP_NE, NULL, NULL};
    assert_list(&q, "Anna ");
    c = (struct satchel_condition){"employees", SATCHEL_OP_EQ, "x", NULL};
    assert_code(satchel_list(h, "party", &q, add_name, NULL), SATCHEL_E_TYPE);
    c = (struct satchel_condition){"town", SATCHEL_OP_EQ, "x", NULL};
    assert_code(satchel_list(h, "party", &q, add_name, NULL), SATCHEL_E_MODEL);
    const struct satchel_condition two[] = {{"city", SATCHEL_OP_CONTAINS, "b", NULL},
                                            {"name", SATCHEL_OP_LT, "B", NULL}};
    q = (struct satchel_query){.conditions = two, .condition_count = 2};
    assert_list(&q, "Anna ");
    q = (struct satchel_query){.order = "name", .descending = true};
    assert_list(&q, "Carla Boris Anna ");
    q.limit = 1;
    q.offset = 1;
    assert_list(&q, "Boris ");
    q = (struct satchel_query){.condition_count = 33};
    assert_code(satchel_list(h, "party", &q, add_name, NULL), SATCHEL_E_LIMIT);
    struct names first = {.text = "", .stop_at = 2};
    assert_done(satchel_list(h, "party", NULL, add_name, &first));
    assert_string_equal(first.text, "Anna Boris ");
}

static int write_within(void *context, const struct satchel_record *record)
{
    const struct satchel_field city = {"city", "X", NULL};
    int *calls = context;
    ++*calls;
    assert_code(satchel_update_fields(h, "party", &record->id, &city, 1), SATCHEL_E_INVALID);
    assert_code(satchel_begin(h), SATCHEL_E_INVALID);
    assert_cell("party", &record->id, "city", "Berlin"); /* reading is allowed */
    uint64_t count;
    assert_done(satchel_count(h, "party", NULL, &count));
    return 0;
}

static void a_callback_reads_and_does_not_write(void **state)
{
    int calls = 0;
    (void)state;
    api_party("Anna", "Berlin");
    assert_done(satchel_list(h, "party", NULL, write_within, &calls));
    assert_int_equal(calls, 1);
    assert_done(satchel_begin(h));
    assert_done(satchel_list(h, "party", NULL, write_within, &calls));
    assert_done(satchel_commit(h, NULL));
}

static int add_hit(void *context, const struct satchel_hit *hit)
{
    char *text = context;
    strcat(text, hit->record->title);
    strcat(text, ":");
    strcat(text, hit->column->name);
    strcat(text, " ");
    return 0;
}

static void text_is_found_in_every_table(void **state)
{
    char text[400] = "";
    struct satchel_id territory = {{0}};
    (void)state;
    api_party("ООО Ромашка", "Москва");
    api_party("Plain", "Bonn");
    const struct satchel_field named = {"name", "Москва-Юг", NULL};
    assert_done(satchel_insert_fields(h, "territory", &territory, &named, 1));
    assert_done(satchel_find(h, "МОСКВА", 0, add_hit, text));
    assert_non_null(strstr(text, "ООО Ромашка:city"));
    assert_non_null(strstr(text, "Москва-Юг:name"));
    assert_null(strstr(text, "Plain"));
    text[0] = '\0';
    assert_done(satchel_find(h, "о", 1, add_hit, text));
    assert_true(strlen(text) > 0);
    assert_code(satchel_find(h, "", 0, add_hit, text), SATCHEL_E_INVALID);
}

static void keys_are_looked_up(void **state)
{
    const struct satchel_table *table = satchel_table(h, "party");
    const uint16_t columns[] = {satchel_column(table, "name")->id,
                                satchel_column(table, "code")->id};
    struct satchel_value values[] = {satchel_text("Anna"), satchel_null()};
    struct satchel_id ids[2];
    size_t count = 9;
    (void)state;
    const struct satchel_id a = api_party("Anna", "Berlin");
    assert_done(satchel_lookup(h, table->id, columns, values, 2, ids, 2, &count));
    assert_int_equal(count, 1);
    assert_memory_equal(&ids[0], &a, 16);
    values[1] = satchel_text("A1");
    assert_done(satchel_lookup(h, table->id, columns, values, 2, ids, 2, &count));
    assert_int_equal(count, 0);
    for (int i = 0; i < 3; i++)
        api_party("Same", "X");
    values[0] = satchel_text("Same");
    assert_done(satchel_lookup(h, table->id, columns, values, 1, ids, 2, &count));
    assert_int_equal(count, 3);
    assert_code(satchel_lookup(h, table->id, columns, values, 0, ids, 2, &count), SATCHEL_E_LIMIT);
}

/* ---- SQL and export ---- */

static int add_row(void *context, int count, const char *const *names,
                   const struct satchel_value *values)
{
    char *text = context;
    for (int i = 0; i < count; i++) {
        strcat(text, names[i]);
        strcat(text, "=");
        if (values[i].kind == SATCHEL_INT)
            sprintf(text + strlen(text), "%d ", (int)values[i].as.integer);
        else if (values[i].kind == SATCHEL_TEXT)
            sprintf(text + strlen(text), "%.*s ", (int)values[i].as.bytes.size,
                    (const char *)values[i].as.bytes.data);
    }
    return 0;
}

static void sql_reads_and_writes_nothing(void **state)
{
    char text[200] = "";
    (void)state;
    api_party("Anna", "Berlin");
    api_party("Boris", "Berlin");
    assert_done(
        satchel_sql(h, "SELECT city,count(*) AS n FROM party GROUP BY city;", add_row, text));
    assert_string_equal(text, "city=Berlin n=2 ");
    static const char *const writing[] = {
        "DELETE FROM party",
        "UPDATE party SET name='x'",
        "INSERT INTO party(id) VALUES(x'00')",
        "DROP TABLE party",
        "CREATE TABLE t(a)",
        "ATTACH ':memory:' AS other",
        "PRAGMA synchronous=OFF",
        "PRAGMA writable_schema=1",
        "BEGIN",
        "VACUUM INTO '/tmp/satchel-api-copy'",
        "WITH a AS (SELECT 1) DELETE FROM party",
        "EXPLAIN DELETE FROM party",
        "REINDEX",
    };
    for (size_t i = 0; i < sizeof writing / sizeof writing[0]; i++)
        assert_code(satchel_sql(h, writing[i], add_row, text), SATCHEL_E_FORBIDDEN);
    assert_code(satchel_sql(h, "SELECT 1; SELECT 2", add_row, text), SATCHEL_E_INVALID);
    assert_code(satchel_sql(h, "SELECT 1; DELETE FROM party", add_row, text), SATCHEL_E_INVALID);
    assert_code(satchel_sql(h, " ", add_row, text), SATCHEL_E_INVALID);
    assert_code(satchel_sql(h, "SELECT * FROM nothing", add_row, text), SATCHEL_E_PARSE);
    assert_message_has("nothing");
    assert_code(satchel_sql(h, "SELECT abs(-9223372036854775807-1)", add_row, text),
                SATCHEL_E_PARSE);
    uint64_t count;
    assert_done(satchel_count(h, "party", NULL, &count));
    assert_int_equal(count, 2);
    api_party("Carla", "Bonn"); /* and the handle still writes */
}

static int add_text(void *context, const char *text, size_t size)
{
    strncat(context, text, size);
    return 0;
}

static void tables_are_exported(void **state)
{
    static char text[200000];
    char id_text[SATCHEL_ID_TEXT_SIZE];
    (void)state;
    const struct satchel_id id = api_party("Say \"hi\", you", "Berlin");
    satchel_id_format(&id, id_text);
    text[0] = '\0';
    assert_done(satchel_export(h, "party", SATCHEL_FORMAT_CSV, add_text, text));
    assert_non_null(strstr(text, "id,kind,code,name"));
    assert_non_null(strstr(text, "\"Say \"\"hi\"\", you\""));
    assert_non_null(strstr(text, id_text));
    text[0] = '\0';
    assert_done(satchel_export(h, NULL, SATCHEL_FORMAT_JSON_LINES, add_text, text));
    assert_non_null(strstr(text, "{\"_table\":\"party\",\"id\":\""));
    assert_non_null(strstr(text, "\"name\":\"Say \\\"hi\\\", you\""));
    assert_non_null(strstr(text, "\"do_not_call\":false"));
    assert_code(satchel_export(h, "no", SATCHEL_FORMAT_CSV, add_text, text), SATCHEL_E_MODEL);
}

/* ---- authors, history, what is pending ---- */

static int count_event(void *context, const struct satchel_event *event)
{
    int *counts = context;
    counts[event->kind]++;
    if (event->kind == SATCHEL_EVENT_WRITTEN && strcmp(event->unit, "employees") == 0)
        assert_string_equal(event->text, "7");
    assert_true(event->author.own);
    return 0;
}

static void records_tell_who_wrote_and_what_is_pending(void **state)
{
    struct satchel_record *record;
    int counts[8] = {0};
    (void)state;
    const struct satchel_id id = api_party("Anna", "Berlin");
    const struct satchel_field staff = {"employees", "7", NULL};
    assert_done(satchel_update_fields(h, "party", &id, &staff, 1));
    assert_done(satchel_update_fields(h, "party", &id, &staff, 1)); /* no change, no group */
    assert_done(satchel_get(h, "party", &id, SATCHEL_WITH_AUTHORS, &record));
    assert_int_equal(record->pending, 2);
    assert_int_equal(record->revision, 0);
    assert_int_equal(record->bucket, 0);
    assert_string_equal(record->title, "Anna");
    assert_true(record->created.own);
    assert_int_equal(record->created.oseq, 1);
    assert_int_equal(api_cell(record, "employees")->author.oseq, 2);
    assert_int_equal(api_cell(record, "name")->author.oseq, 1);
    assert_true(api_cell(record, "name")->author.at_ms > 1700000000000);
    assert_int_equal(api_cell(record, "name")->candidates, 1);
    satchel_record_free(record);
    assert_done(satchel_history(h, "party", &id, count_event, counts));
    assert_int_equal(counts[SATCHEL_EVENT_CREATED], 1);
    assert_int_equal(counts[SATCHEL_EVENT_WRITTEN], 1);
    assert_int_equal(counts[SATCHEL_EVENT_PENDING], 2);
    const struct satchel_id none = {{1}};
    assert_code(satchel_history(h, "party", &none, count_event, counts), SATCHEL_E_NOT_FOUND);
}

static int never(void *context, const struct satchel_conflict *conflict)
{
    (void)context;
    (void)conflict;
    fail();
    return 0;
}

static int never_parked(void *context, const struct satchel_parked *parked)
{
    (void)context;
    (void)parked;
    fail();
    return 0;
}

static void without_a_server_nothing_conflicts(void **state)
{
    const struct satchel_id none = {{1}};
    const struct satchel_field city = {"city", "X", NULL};
    (void)state;
    assert_done(satchel_conflicts(h, NULL, never, NULL));
    const struct satchel_conflict_query query = {.table = "party", .record = &none};
    assert_done(satchel_conflicts(h, &query, never, NULL));
    assert_done(satchel_parked(h, never_parked, NULL));
    assert_code(satchel_conflict_take(h, &none, 0), SATCHEL_E_NOT_FOUND);
    assert_code(satchel_conflict_set(h, &none, &city, 1), SATCHEL_E_NOT_FOUND);
    assert_code(satchel_parked_retry(h, 1), SATCHEL_E_NOT_FOUND);
    assert_code(satchel_parked_discard(h, 1), SATCHEL_E_NOT_FOUND);
}

static void values_are_read_without_ceremony(void **state)
{
    const struct satchel_table *table = satchel_table(h, "party");
    const uint16_t columns[] = {satchel_column(table, "city")->id,
                                satchel_column(table, "employees")->id};
    struct satchel_value values[2];
    const struct satchel_id id = api_party("Anna", "Berlin"), none = {{1}};
    (void)state;
    assert_done(satchel_read(h, table->id, &id, columns, values, 2));
    assert_int_equal(values[0].as.bytes.size, 6);
    assert_memory_equal(values[0].as.bytes.data, "Berlin", 6);
    assert_int_equal(values[1].kind, SATCHEL_NULL);
    assert_code(satchel_read(h, table->id, &none, columns, values, 2), SATCHEL_E_NOT_FOUND);
}

static void many_rows_go_in_by_the_fast_path(void **state)
{
    const struct satchel_table *table = satchel_table(h, "party");
    const uint16_t columns[] = {satchel_column(table, "name")->id,
                                satchel_column(table, "employees")->id};
    (void)state;
    for (int t = 0; t < 5; t++) {
        assert_done(satchel_begin(h));
        for (int i = 0; i < 1000; i++) {
            char name[32];
            struct satchel_id id = {{0}};
            snprintf(name, sizeof name, "Customer %d", t * 1000 + i);
            const struct satchel_value values[] = {satchel_text(name), satchel_int(i)};
            assert_done(satchel_insert(h, table->id, &id, columns, values, 2));
        }
        assert_done(satchel_commit(h, NULL));
    }
    uint64_t count;
    assert_done(satchel_count(h, "party", NULL, &count));
    assert_int_equal(count, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HANDLE(records_are_found_by_what_people_call_them),
        WITH_HANDLE(references_are_written_by_name_and_shown_by_name),
        WITH_HANDLE(values_are_parsed_and_formatted),
        WITH_HANDLE(lists_take_conditions_order_and_pages),
        WITH_HANDLE(a_callback_reads_and_does_not_write),
        WITH_HANDLE(text_is_found_in_every_table),
        WITH_HANDLE(keys_are_looked_up),
        WITH_HANDLE(sql_reads_and_writes_nothing),
        WITH_HANDLE(tables_are_exported),
        WITH_HANDLE(records_tell_who_wrote_and_what_is_pending),
        WITH_HANDLE(without_a_server_nothing_conflicts),
        WITH_HANDLE(values_are_read_without_ceremony),
        WITH_HANDLE(many_rows_go_in_by_the_fast_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
