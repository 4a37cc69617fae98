#include "tests/lib/api_kit.h"

#include "tests/lib/unit.h"

#include <unistd.h>

char api_directory[64];
struct satchel *h;

struct satchel *api_open(struct satchel_options options)
{
    struct satchel *handle = NULL;
    struct satchel_error error = {0};
    options.directory = api_directory;
    if (satchel_open(&options, &handle, &error) != SATCHEL_OK)
        print_error("%s: %s\n", satchel_error_name(error.code), error.message);
    return handle;
}

void api_reopen(void)
{
    satchel_close(h);
    h = api_open(
        (struct satchel_options){.create = true, .synchronous = SATCHEL_SYNCHRONOUS_NORMAL});
    assert_non_null(h);
}

int api_set_up(void **state)
{
    (void)state;
    strcpy(api_directory, "/tmp/satchel-api-XXXXXX");
    assert_non_null(mkdtemp(api_directory));
    h = NULL;
    api_reopen();
    return 0;
}

int api_tear_down(void **state)
{
    static const char *const names[] = {"replica.db", "replica.db-wal", "replica.db-shm",
                                        "lock",       "identity.json",  "model.json"};
    char path[128];
    (void)state;
    satchel_close(h);
    h = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", api_directory, names[i]);
        (void)unlink(path);
    }
    return rmdir(api_directory);
}

void api_check(enum satchel_code got, enum satchel_code expected, const char *call,
               const char *file, int line)
{
    if (got == expected)
        return;
    print_error("%s\n  is %s, not %s: %s\n", call, satchel_error_name(got),
                satchel_error_name(expected), h != NULL ? satchel_last_error(h)->message : "");
    _fail(file, line);
}

void assert_message_has(const char *part)
{
    const char *message = satchel_last_error(h)->message;
    if (strstr(message, part) == NULL)
        fail_msg("'%s' is not in: %s", part, message);
}

struct satchel_id api_party(const char *name, const char *city)
{
    struct satchel_id id = {{0}};
    const struct satchel_field fields[] = {{"name", name, NULL}, {"city", city, NULL}};
    assert_done(satchel_insert_fields(h, "party", &id, fields, 2));
    return id;
}

const struct satchel_cell *api_cell(const struct satchel_record *record, const char *column)
{
    const struct satchel_column *found = satchel_column(record->table, column);
    assert_non_null(found);
    return &record->cells[found->index];
}

void assert_cell(const char *table, const struct satchel_id *id, const char *column,
                 const char *text)
{
    struct satchel_record *record;
    assert_done(satchel_get(h, table, id, 0, &record));
    assert_string_equal(api_cell(record, column)->text, text);
    satchel_record_free(record);
}
