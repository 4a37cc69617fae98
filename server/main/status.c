/* satcheld status - what the server holds and does. */
#include <stdio.h>
#include <string.h>

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
    const struct option options[] = {OPTIONS_COMMON(&common)};
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
    if (e == ERR_OK && common.json) {
        json_object_set_new(answer, "running", json_boolean(running));
        print_json(answer);
    } else if (e == ERR_OK && house_is_branch(&house)) {
        print_branch(&house, answer, running);
    } else if (e == ERR_OK) {
        print_status(&house, answer, running);
    }
    json_decref(answer);
    house_close(&house);
    return e == ERR_OK ? EXIT_DONE : tell_failure(&common, e, &info);
}
