/* The public interface without a server: directories, tickets, the model, writing. */
#include "tests/lib/api_kit.h"
#include "tests/lib/unit.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- codes, ids, tickets ---- */

static void the_codes_are_those_inside(void **state)
{
    (void)state;
    assert_int_equal(SATCHEL_OK, ERR_OK);
    assert_string_equal(satchel_error_name(SATCHEL_E_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(satchel_error_text(SATCHEL_E_FULL), "the disk is full");
    static const struct {
        enum satchel_code code;
        enum err inside;
    } all[] = {
        {SATCHEL_E_NOMEM, ERR_NOMEM},
        {SATCHEL_E_LIMIT, ERR_LIMIT},
        {SATCHEL_E_INVALID, ERR_INVALID},
        {SATCHEL_E_NOT_FOUND, ERR_NOT_FOUND},
        {SATCHEL_E_EXISTS, ERR_EXISTS},
        {SATCHEL_E_BUSY, ERR_BUSY},
        {SATCHEL_E_FULL, ERR_FULL},
        {SATCHEL_E_IO, ERR_IO},
        {SATCHEL_E_CORRUPT, ERR_CORRUPT},
        {SATCHEL_E_MALFORMED, ERR_MALFORMED},
        {SATCHEL_E_TOO_LARGE, ERR_TOO_LARGE},
        {SATCHEL_E_PROTOCOL, ERR_PROTOCOL},
        {SATCHEL_E_VERSION, ERR_VERSION},
        {SATCHEL_E_AUTH, ERR_AUTH},
        {SATCHEL_E_REVOKED, ERR_REVOKED},
        {SATCHEL_E_FORBIDDEN, ERR_FORBIDDEN},
        {SATCHEL_E_MODEL, ERR_MODEL},
        {SATCHEL_E_TYPE, ERR_TYPE},
        {SATCHEL_E_CRYPTO, ERR_CRYPTO},
        {SATCHEL_E_LINK, ERR_LINK},
        {SATCHEL_E_TIMEOUT, ERR_TIMEOUT},
        {SATCHEL_E_CLOSED, ERR_CLOSED},
        {SATCHEL_E_BUG, ERR_BUG},
        {SATCHEL_E_INTERRUPTED, ERR_INTERRUPTED},
        {SATCHEL_E_OFFLINE, ERR_OFFLINE},
        {SATCHEL_E_PIN, ERR_PIN},
        {SATCHEL_E_ENROLMENT, ERR_ENROLMENT},
        {SATCHEL_E_PARSE, ERR_PARSE},
        {SATCHEL_E_CONFLICT, ERR_CONFLICT},
    };
    size_t inside = 0;
#define COUNT(name, value, class, text) inside++;
    ERR_LIST(COUNT)
#undef COUNT
    assert_int_equal(sizeof all / sizeof all[0] + 1, inside);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_int_equal(all[i].code, all[i].inside);
}

static void ids_are_read_and_written(void **state)
{
    struct satchel_id id;
    char text[SATCHEL_ID_TEXT_SIZE];
    (void)state;
    assert_int_equal(satchel_id_parse("0193A1B2-c3d4-7000-8000-0123456789ab", &id), SATCHEL_OK);
    satchel_id_format(&id, text);
    assert_string_equal(text, "0193a1b2-c3d4-7000-8000-0123456789ab");
    assert_int_equal(satchel_id_parse("0193a1b2", &id), SATCHEL_E_PARSE);
}

#define PIN "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static void tickets_are_read(void **state)
{
    struct satchel_ticket ticket;
    struct satchel_error error;
    (void)state;
    assert_int_equal(satchel_ticket_parse("satchel://hq.example:7443/"
                                          "00000-00000-00000-00000-00000-1?pin=" PIN,
                                          &ticket, &error),
                     SATCHEL_E_PARSE); /* the code's unused bits are not 0 */
    assert_int_equal(satchel_ticket_parse(" satchel://hq.example:7443/"
                                          "ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ-W?pin=" PIN "\n",
                                          &ticket, &error),
                     SATCHEL_OK);
    assert_string_equal(ticket.host, "hq.example");
    assert_int_equal(ticket.port, 7443);
    for (int i = 0; i < 15; i++)
        assert_int_equal(ticket.code[i], 0xff);
    for (int i = 0; i < 32; i++)
        assert_int_equal(ticket.pin[i], i);
    assert_int_equal(satchel_ticket_parse("satchel://[::1]:1/ZZZZZZZZZZZZZZZZZZZZZZZZZW?pin=" PIN,
                                          &ticket, &error),
                     SATCHEL_OK);
    assert_string_equal(ticket.host, "::1");

    static const char *const bad[] = {
        "",
        "https://hq.example:7443/ZZZZZZZZZZZZZZZZZZZZZZZZZW?pin=" PIN,
        "satchel://hq.example/ZZZZZZZZZZZZZZZZZZZZZZZZZW?pin=" PIN,
        "satchel://:7443/ZZZZZZZZZZZZZZZZZZZZZZZZZW?pin=" PIN,
        "satchel://hq.example:0/ZZZZZZZZZZZZZZZZZZZZZZZZZW?pin=" PIN,
        "satchel://hq.example:65536/ZZZZZZZZZZZZZZZZZZZZZZZZZW?pin=" PIN,
        "satchel://[]:1/ZZZZZZZZZZZZZZZZZZZZZZZZZW?pin=" PIN,
        "satchel://hq.example:7443/ZZZZ?pin=" PIN,
        "satchel://hq.example:7443/ZZZZZZZZZZZZZZZZZZZZZZZZZW",
        "satchel://hq.example:7443/ZZZZZZZZZZZZZZZZZZZZZZZZZW?pin=",
        "satchel://hq.example:7443/ZZZZZZZZZZZZZZZZZZZZZZZZZW?pin=AAAA",
        "satchel://hq.example:7443",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(satchel_ticket_parse(bad[i], &ticket, &error), SATCHEL_E_PARSE);
        assert_non_null(strstr(error.message, "ticket"));
    }
}

/* ---- the data api_directory ---- */

static void a_directory_that_is_not_enrolled_is_not_opened(void **state)
{
    struct satchel *other = NULL;
    struct satchel_error error;
    const struct satchel_options options = {.directory = "/tmp/satchel-api-none"};
    (void)state;
    assert_int_equal(satchel_open(&options, &other, &error), SATCHEL_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "enrol"));
    assert_null(other);
    assert_int_not_equal(access("/tmp/satchel-api-none", F_OK), 0);
}

static void a_second_writer_is_told_who_is_first(void **state)
{
    (void)state;
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork(); /* locks are a process's */
    if (child == 0) {
        struct satchel *other = NULL;
        struct satchel_error error;
        char pid[16];
        const struct satchel_options options = {.directory = api_directory, .create = true};
        snprintf(pid, sizeof pid, "%d", (int)getppid());
        bool good = satchel_open(&options, &other, &error) == SATCHEL_E_BUSY &&
                    strstr(error.message, pid) != NULL;
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_reader_beside_the_writer_sees_commits_and_writes_nothing(void **state)
{
    (void)state;
    const struct satchel_id id = api_party("Alfreds", "Berlin");
    struct satchel *writer = h, *reader = api_open((struct satchel_options){.read_only = true});
    assert_non_null(reader);
    h = reader;
    assert_cell("party", &id, "city", "Berlin");
    h = writer;
    const struct satchel_field city = {"city", "Bonn", NULL};
    assert_done(satchel_update_fields(h, "party", &id, &city, 1));
    h = reader;
    assert_cell("party", &id, "city", "Bonn");
    assert_code(satchel_update_fields(h, "party", &id, &city, 1), SATCHEL_E_FORBIDDEN);
    assert_code(satchel_begin(h), SATCHEL_E_FORBIDDEN);
    satchel_close(reader);
    h = writer;
}

static void what_is_committed_is_there_after_reopening(void **state)
{
    (void)state;
    const struct satchel_id id = api_party("Alfreds", "Berlin");
    api_reopen();
    assert_cell("party", &id, "name", "Alfreds");
    struct satchel_status status;
    assert_done(satchel_status(h, &status));
    assert_int_equal(status.written, 1);
    assert_int_equal(status.saved_here, 1);
    assert_int_equal(status.at_server, 0);
    assert_false(status.enrolled);
    assert_string_equal(status.server, "");
}

static void a_damaged_identity_is_named(void **state)
{
    char path[128];
    struct satchel *other = NULL;
    struct satchel_error error;
    const struct satchel_options options = {.directory = api_directory};
    (void)state;
    satchel_close(h);
    h = NULL;
    snprintf(path, sizeof path, "%s/identity.json", api_directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("{\"version\":1,\"seed\":", file);
    fclose(file);
    assert_int_equal(satchel_open(&options, &other, &error), SATCHEL_E_MALFORMED);
    assert_non_null(strstr(error.message, "identity.json"));
}

static void erasing_takes_a_closed_directory_only(void **state)
{
    struct satchel_error error;
    char path[128];
    (void)state;
    api_party("Alfreds", "Berlin");
    satchel_close(h);
    h = NULL;
    assert_int_equal(satchel_erase(api_directory, &error), SATCHEL_OK);
    snprintf(path, sizeof path, "%s/replica.db", api_directory);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(satchel_erase(api_directory, &error), SATCHEL_E_NOT_FOUND);
}

static void without_enrolment_there_is_nothing_to_connect_to(void **state)
{
    struct satchel_loop *loop;
    (void)state;
    assert_code(satchel_sync(h, NULL, NULL), SATCHEL_E_INVALID);
    assert_message_has("not enrolled");
    assert_int_equal(satchel_loop_new(NULL, &loop, NULL), SATCHEL_OK);
    assert_code(satchel_connect(h, loop, SATCHEL_LIVE, NULL, NULL), SATCHEL_E_INVALID);
    enum satchel_woken woken;
    assert_int_equal(satchel_loop_run(loop, -1, 1, &woken), SATCHEL_OK);
    assert_int_equal(woken, SATCHEL_WOKEN_BY_TIME);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(satchel_loop_run(loop, fds[0], -1, &woken), SATCHEL_OK);
    assert_int_equal(woken, SATCHEL_WOKEN_BY_FD);
    satchel_loop_free(loop);
    close(fds[0]);
    close(fds[1]);
}

static void enrolling_says_what_is_wrong(void **state)
{
    struct satchel_error error;
    struct satchel_enrollment enrollment = {.directory = api_directory, .ticket = "satchel://x"};
    (void)state;
    satchel_close(h);
    h = NULL;
    assert_int_equal(satchel_enroll(&enrollment, &error), SATCHEL_E_PARSE);
    enrollment.ticket = "satchel://127.0.0.1:1/ZZZZZZZZZZZZZZZZZZZZZZZZZW?pin=" PIN;
    assert_int_equal(satchel_enroll(&enrollment, &error), SATCHEL_E_LINK);
    assert_non_null(strstr(error.message, "127.0.0.1"));
}

/* ---- the model ---- */

static void the_schema_tells_everything(void **state)
{
    const struct satchel_schema *schema = satchel_schema(h);
    (void)state;
    assert_string_equal(schema->name, "crm");
    const struct satchel_table *table = satchel_table(h, "party");
    assert_non_null(table);
    assert_ptr_equal(satchel_table_by_id(h, table->id), table);
    assert_ptr_equal(&schema->tables[table->index], table);
    assert_string_equal(table->label.text[SATCHEL_EN], "Customer");
    assert_string_equal(table->bucket_rule, "routed");
    assert_string_equal(table->columns[table->title_column].name, "name");
    assert_false(table->system);
    assert_true(satchel_table(h, "conflict")->system);
    const struct satchel_column *city = satchel_column(table, "city");
    assert_string_equal(city->unit, "address");
    assert_string_equal(city->policy, "lww");
    assert_string_equal(city->type_name, "text");
    const struct satchel_column *status = satchel_column(table, "status");
    assert_int_equal(status->type, SATCHEL_TYPE_ENUM);
    assert_string_equal(status->symbols[0], "prospect");
    assert_int_equal(status->fallback.kind, SATCHEL_TEXT);
    const struct satchel_column *territory = satchel_column(table, "territory");
    assert_string_equal(schema->tables[territory->target].name, "territory");
    assert_null(satchel_table(h, "parties"));
    assert_null(satchel_column(table, "town"));
}

static void another_model_is_a_file(void **state)
{
    static const char text[] =
        "{\"name\":\"tiny\",\"version\":1,\"tables\":[{\"id\":16,\"name\":\"thing\","
        "\"bucket\":\"company\",\"columns\":[{\"id\":1,\"name\":\"name\",\"type\":\"text\"}]}]}";
    char path[128];
    struct satchel_error error;
    (void)state;
    api_tear_down(NULL);
    assert_int_equal(mkdir(api_directory, 0700), 0);
    snprintf(path, sizeof path, "%s/model.json", api_directory);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    h = api_open((struct satchel_options){.create = true, .model_file = path});
    assert_non_null(h);
    assert_string_equal(satchel_schema(h)->name, "tiny");
    satchel_close(h);
    h = NULL;
    file = fopen(path, "w");
    fputs("{\"name\":\"tiny\",\"version\":1,\"tables\":[{\"id\":16}]}", file);
    fclose(file);
    const struct satchel_options bad = {
        .directory = api_directory, .create = true, .model_file = path};
    assert_int_equal(satchel_open(&bad, &h, &error), SATCHEL_E_MODEL);
    assert_non_null(strstr(error.message, "tables[0]"));
    h = NULL;
}

/* ---- writing ---- */

static void a_transaction_is_whole_or_not_at_all(void **state)
{
    struct satchel_dot dot = {0};
    struct satchel_record *record;
    (void)state;
    assert_done(satchel_begin(h));
    assert_code(satchel_begin(h), SATCHEL_E_INVALID);
    const struct satchel_id gone = api_party("Gone", "Nowhere");
    satchel_rollback(h);
    assert_false(satchel_in_transaction(h));
    assert_code(satchel_get(h, "party", &gone, 0, &record), SATCHEL_E_NOT_FOUND);
    assert_code(satchel_commit(h, NULL), SATCHEL_E_INVALID);

    assert_done(satchel_begin(h));
    const struct satchel_id a = api_party("A", "Aachen"), b = api_party("B", "Bonn");
    const struct satchel_field wrong = {"status", "gone fishing", NULL};
    assert_code(satchel_update_fields(h, "party", &a, &wrong, 1), SATCHEL_E_TYPE);
    assert_true(satchel_in_transaction(h)); /* the others stay */
    assert_done(satchel_commit(h, &dot));
    assert_int_equal(dot.oseq, 1);
    assert_true(dot.origin != 0);
    assert_cell("party", &a, "city", "Aachen");
    assert_cell("party", &b, "city", "Bonn");

    assert_done(satchel_begin(h));
    assert_done(satchel_commit(h, &dot));
    assert_int_equal(dot.oseq, 0); /* nothing was written */
}

static void errors_name_table_column_and_value(void **state)
{
    struct satchel_id id = {{0}};
    const struct satchel_id made = api_party("Alfreds", "Berlin");
    (void)state;
#define INSERT(column, text) \
    satchel_insert_fields(   \
        h, "party", &id,     \
        (const struct satchel_field[]){{"name", "N", NULL}, {column, text, NULL}}, 2)
    assert_code(INSERT("town", "X"), SATCHEL_E_MODEL);
    assert_message_has("party has no column 'town'");
    assert_code(INSERT("status", "gone"), SATCHEL_E_TYPE);
    assert_message_has("party.status: 'gone'");
    assert_code(INSERT("employees", "many"), SATCHEL_E_TYPE);
    assert_message_has("party.employees: 'many'");
    assert_code(INSERT("employees", "-1"), SATCHEL_E_LIMIT);
    assert_message_has("party: 'employees'");
    assert_code(INSERT("territory", "Atlantis"), SATCHEL_E_NOT_FOUND);
    assert_message_has("party.territory: there is no territory 'Atlantis'");
    assert_code(INSERT("name", "twice"), SATCHEL_E_INVALID);
    assert_message_has("party.name is given twice");
#undef INSERT
    assert_code(satchel_insert_fields(h, "party", &id, NULL, 0), SATCHEL_E_TYPE);
    assert_message_has("party.name");
    assert_code(satchel_insert_fields(h, "partys", &id, NULL, 0), SATCHEL_E_MODEL);
    assert_message_has("there is no table 'partys'");
    assert_code(satchel_insert_fields(h, "conflict", &id, NULL, 0), SATCHEL_E_FORBIDDEN);
    const uint16_t name = satchel_column(satchel_table(h, "party"), "name")->id, none = 999;
    const struct satchel_value number = satchel_int(1), text = satchel_text("x");
    assert_code(satchel_insert(h, 16, &id, &name, &number, 1), SATCHEL_E_TYPE);
    assert_code(satchel_insert(h, 16, &id, &none, &text, 1), SATCHEL_E_MODEL);
    assert_code(satchel_insert(h, 999, &id, &name, &text, 1), SATCHEL_E_MODEL);
    id = made;
    assert_code(satchel_insert(h, 16, &id, &name, &text, 1), SATCHEL_E_EXISTS);
    struct satchel_status status;
    assert_done(satchel_status(h, &status));
    assert_int_equal(status.written, 1);
}

static void deleted_records_come_back(void **state)
{
    struct satchel_record *record;
    (void)state;
    const struct satchel_id id = api_party("Alfreds", "Berlin");
    const uint32_t table = satchel_table(h, "party")->id;
    assert_code(satchel_restore(h, table, &id), SATCHEL_E_NOT_FOUND);
    assert_done(satchel_delete(h, table, &id));
    assert_code(satchel_delete(h, table, &id), SATCHEL_E_NOT_FOUND);
    assert_done(satchel_get(h, "party", &id, 0, &record));
    assert_true(record->deleted);
    satchel_record_free(record);
    uint64_t count;
    assert_done(satchel_count(h, "party", NULL, &count));
    assert_int_equal(count, 0);
    assert_done(satchel_restore(h, table, &id));
    assert_cell("party", &id, "name", "Alfreds");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_codes_are_those_inside),
        cmocka_unit_test(ids_are_read_and_written),
        cmocka_unit_test(tickets_are_read),
        cmocka_unit_test(a_directory_that_is_not_enrolled_is_not_opened),
        WITH_HANDLE(a_second_writer_is_told_who_is_first),
        WITH_HANDLE(a_reader_beside_the_writer_sees_commits_and_writes_nothing),
        WITH_HANDLE(what_is_committed_is_there_after_reopening),
        WITH_HANDLE(a_damaged_identity_is_named),
        WITH_HANDLE(erasing_takes_a_closed_directory_only),
        WITH_HANDLE(without_enrolment_there_is_nothing_to_connect_to),
        WITH_HANDLE(enrolling_says_what_is_wrong),
        WITH_HANDLE(the_schema_tells_everything),
        WITH_HANDLE(another_model_is_a_file),
        WITH_HANDLE(a_transaction_is_whole_or_not_at_all),
        WITH_HANDLE(errors_name_table_column_and_value),
        WITH_HANDLE(deleted_records_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
