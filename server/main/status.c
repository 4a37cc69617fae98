/* satcheld status - what the server holds and does. */
#include <stdio.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "common/text.h"
#include "server/main/ask.h"
#include "server/main/command.h"

static const struct {
    const char *name, *label;
    bool live; /* counted since the server started */
} rows[] = {
    {"records", "records", false},
    {"buckets", "buckets", false},
    {"attachments", "attachments", false},
    {"attachment_bytes", "bytes of attachments", false},
    {"attachments_missing", "attachments whose bytes have not come yet", false},
    {"waiting", "groups that wait for another", false},
    {"parked", "groups parked, for a person", false},
    {"starts", "starts of headquarters", false},
    {"sessions", "connections", true},
    {"live", "devices live", true},
    {"groups_applied", "groups applied", true},
    {"groups_merged", "groups merged", true},
    {"groups_parked", "groups parked", true},
    {"duplicates", "groups seen before", true},
    {"conflicts", "conflicts recorded", true},
    {"forks", "devices that had been copied", true},
    {"commits", "commits", true},
    {"rows_written", "records written", true},
    {"rows_sent", "records sent", true},
    {"pages_shared", "pages of first syncs sent as made before", true},
    {"bytes_in", "bytes received", true},
    {"bytes_out", "bytes sent", true},
    {"fallbacks", "slow devices sent back to the log", true},
};

static const struct {
    enum store_area area;
    const char *label;
} areas[] = {
    {STORE_AREA_RECORDS, "records"},
    {STORE_AREA_CONFLICTS, "conflict records"},
    {STORE_AREA_DELETED, "deleted records, until they are purged"},
    {STORE_AREA_LOG, "the log: a row per record, and departures"},
    {STORE_AREA_OWN_GROUPS, "groups of this server's own"},
    {STORE_AREA_PENDING, "groups on their way up, and what they touch"},
    {STORE_AREA_WAITING, "groups that wait for others"},
    {STORE_AREA_PARKED, "groups parked"},
    {STORE_AREA_RECEIPTS, "marks and receipts, kept for good"},
    {STORE_AREA_AUDIT, "audit, kept for good"},
    {STORE_AREA_OTHER, "other"},
};

static void print_sizes(const struct store_sizes *sizes)
{
    char size[TEXT_SIZE_MAX];
    puts("\nIn the database:");
    for (size_t i = 0; sizes->measured && i < sizeof areas / sizeof *areas; i++) {
        const struct store_size *of = &sizes->areas[areas[i].area];
        if (of->rows)
            printf("%14llu  %-10s %s\n", (unsigned long long)of->rows, text_size(of->bytes, size),
                   areas[i].label);
    }
    printf("%14s  %-10s the file", "", text_size(sizes->file_bytes, size));
    printf(", %s of it free", text_size(sizes->free_bytes, size));
    printf("; its write-ahead log %s\n", text_size(sizes->wal_bytes, size));
    if (!sizes->measured)
        puts("                satcheld status --sizes tells what takes how much");
}

static void print_retention(const json_t *answer)
{
    char when[WHEN_SIZE];
    const json_t *r = json_object_get(answer, "retention");
    const json_t *horizon = json_object_get(r, "horizon_days");
    const json_t *last = json_object_get(r, "last_purge_ms");
    if (!json_is_number(horizon)) {
        puts("\nDeleted records are kept for good (horizon-days = 0).");
        return;
    }
    printf("\nDeleted records are kept for %.0f days (horizon-days); last purge %s%s.\n",
           json_number_value(horizon),
           json_is_integer(last) ? when_text(json_integer_value(last), when) : "not yet",
           json_is_integer(last) ? " UTC" : "");
}

static json_t *sizes_json(const struct store_sizes *sizes)
{
    json_t *all =
        json_pack("{s:I,s:I,s:I}", "file_bytes", (json_int_t)sizes->file_bytes, "free_bytes",
                  (json_int_t)sizes->free_bytes, "wal_bytes", (json_int_t)sizes->wal_bytes);
    for (int i = 0; sizes->measured && i < STORE_AREA_COUNT; i++)
        json_object_set_new(all, store_area_name((enum store_area)i),
                            json_pack("{s:I,s:I}", "rows", (json_int_t)sizes->areas[i].rows,
                                      "bytes", (json_int_t)sizes->areas[i].bytes));
    return all;
}

/* By a reader of this process: a running server is not kept from its work. */
static enum err measure(struct house *house, bool by_area, struct store_sizes *ret,
                        struct err_info *info)
{
    enum err e = house_open(house, HOUSE_LOOK, NULL, info);
    if (e == ERR_OK)
        e = store_begin(house->store, STORE_READ);
    if (e == ERR_OK) {
        e = store_sqlite_sizes(house->store, by_area, ret);
        store_rollback(house->store);
    }
    if (e != ERR_OK && info->code != e)
        err_set(info, e, "the database's size cannot be measured: %s", err_text(e));
    house_leave(house);
    return e;
}

static void print_status(const struct house *house, const json_t *answer, bool running)
{
    json_int_t later = json_integer_value(json_object_get(answer, "waiting_model"));
    printf("Headquarters%s%s in %s: %s.\nModel %s (version %lld), history %s.\n\n",
           house->settings.name[0] ? " of " : "", house->settings.name, house->dir,
           running ? "running" : "not running (satcheld run)",
           json_string_value(json_object_get(answer, "model")),
           (long long)json_integer_value(json_object_get(answer, "model_version")),
           json_string_value(json_object_get(answer, "history")));
    if (later > 0)
        printf("%lld groups were written with a later model than this one, and wait: headquarters "
               "was restored to\n"
               "before a change of the model. Extend it again: satcheld model extend FILE --data "
               "%s\n\n",
               (long long)later, house->dir);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].live && !running)
            continue;
        if (rows[i].live && i > 0 && !rows[i - 1].live)
            puts("\nSince it started:");
        printf("%14lld  %s\n", (long long)json_integer_value(json_object_get(answer, rows[i].name)),
               rows[i].label);
    }
}

static void print_branch(const struct house *house, const json_t *answer, bool running)
{
    static const char *const told[] = {"live", "commits", "bytes_in", "bytes_out", "fallbacks"};
    char when[WHEN_SIZE];
    const char *name = json_string_value(json_object_get(answer, "branch"));
    const char *failure = json_string_value(json_object_get(answer, "failure"));
    bool connected = json_is_true(json_object_get(answer, "connected"));
    printf("Branch %s%s%s in %s: %s.\nThe server above is %s: %s%s%s%s; last contact %s UTC.\n\n",
           name && *name ? name : "(not known yet)", house->settings.name[0] ? " of " : "",
           house->settings.name, house->dir, running ? "running" : "not running (satcheld run)",
           json_string_value(json_object_get(answer, "upstream")),
           connected ? "connected" : "not connected", failure && *failure ? " (" : "",
           failure ? failure : "", failure && *failure ? ")" : "",
           when_text(json_integer_value(json_object_get(answer, "last_contact_ms")), when));
    if (!json_is_true(json_object_get(answer, "ready")))
        puts("It has not been filled by headquarters yet: devices wait.\n");
    printf("%14lld  records\n%14lld  groups that wait to go up, or to be decided there\n",
           (long long)json_integer_value(json_object_get(answer, "records")),
           (long long)json_integer_value(json_object_get(answer, "pending")));
    printf("%14lld  attachments here, %.1f MB\n%14lld  of them on their way up\n",
           (long long)json_integer_value(json_object_get(answer, "attachments")),
           (double)json_integer_value(json_object_get(answer, "attachment_bytes")) / 1e6,
           (long long)json_integer_value(json_object_get(answer, "attachments_pending")));
    for (size_t i = 0; running && i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < sizeof told / sizeof *told; j++)
            if (strcmp(rows[i].name, told[j]) == 0)
                printf("%14lld  %s\n",
                       (long long)json_integer_value(json_object_get(answer, rows[i].name)),
                       rows[i].label);
}

int command_status(int argc, char **argv)
{
    struct common_options common = {0};
    bool by_area = false;
    const struct option options[] = {OPTIONS_COMMON(&common),
                                     {"sizes", OPTION_FLAG, &by_area, NULL,
                                      "what takes how much of the file, which is read", 0, 0}};
    const struct usage usage = {"satcheld status",
                                "",
                                "Tells what the server holds and does.",
                                NULL,
                                options,
                                sizeof options / sizeof *options,
                                0,
                                0};
    int code = options_parse(&usage, argc, argv, NULL);
    if (code != OPTIONS_GO_ON)
        return code;
    struct house house;
    struct err_info info = {0};
    json_t *answer = NULL;
    bool running = false;
    enum err e = house_init(&house, data_of(&common), &info);
    if (e == ERR_OK)
        e = ask(&house, ask_for("status"), false, &answer, &running, &info);
    struct store_sizes sizes;
    if (e == ERR_OK)
        e = measure(&house, by_area, &sizes, &info);
    if (e == ERR_OK && common.json) {
        json_object_set_new(answer, "running", json_boolean(running));
        json_object_set_new(answer, "database", sizes_json(&sizes));
        print_json(answer);
    } else if (e == ERR_OK && house_is_branch(&house)) {
        print_branch(&house, answer, running);
        print_sizes(&sizes);
    } else if (e == ERR_OK) {
        print_status(&house, answer, running);
        print_sizes(&sizes);
        print_retention(answer);
    }
    json_decref(answer);
    house_close(&house);
    return e == ERR_OK ? EXIT_DONE : tell_failure(&common, e, &info);
}
