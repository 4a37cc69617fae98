/* satcheld verify - reads everything and says what is wrong. */
#include <stdio.h>

#include "server/main/check.h"
#include "server/main/command.h"

static long long number(const json_t *report, const char *name)
{
    return (long long)json_integer_value(json_object_get(report, name));
}

static void print_report(const json_t *report)
{
    const json_t *problem;
    size_t i;
    if (check_is_clean(report) && !json_object_get(report, "audit_entries")) { /* a branch */
        printf("In order: %lld records in %lld buckets add up to headquarters' digests, "
               "%lld attachments to their hashes, integrity_check is clean.\n",
               number(report, "records"), number(report, "buckets"), number(report, "attachments"));
        return;
    }
    if (check_is_clean(report)) {
        printf("In order: %lld records in %lld buckets add up to their digests, %lld "
               "attachments to their hashes, %lld audit entries chain, integrity_check is clean.\n",
               number(report, "records"), number(report, "buckets"), number(report, "attachments"),
               number(report, "audit_entries"));
        return;
    }
    puts("Something is wrong:");
    json_array_foreach(json_object_get(report, "problems"), i, problem)
        printf("  %s\n", json_string_value(problem));
    if (!json_object_get(report, "audit_entries")) {
        puts("\nA branch that is damaged is made anew from headquarters (satcheld branch ticket); "
             "its\ndevices bring what is not decided yet.");
        return;
    }
    puts("\nKeep the file as it is, and see 'satcheld restore --help': devices bring back what "
         "they\n"
         "had brought since the backup.");
}

int command_verify(int argc, char **argv)
{
    struct common_options common = {0};
    const char *file;
    const struct option options[] = {OPTIONS_COMMON(&common)};
    const struct usage usage = {
        "satcheld verify",
        "[FILE]",
        "Reads the whole store (or a backup FILE): SQLite's integrity check, the log against the\n"
        "records, the digest of each bucket, the audit chain. A server may run meanwhile. Exit\n"
        "code 1 and the places if something is wrong.",
        NULL,
        options,
        sizeof options / sizeof *options,
        0,
        1};
    int code = options_parse(&usage, argc, argv, &file);
    if (code != OPTIONS_GO_ON)
        return code;
    struct house house;
    struct err_info info = {0};
    json_t *report = NULL;
    enum err e = house_init(&house, data_of(&common), &info);
    if (e == ERR_OK)
        e = check_store(&house, file, &report, &info);
    house_close(&house);
    if (e != ERR_OK)
        return tell_failure(&common, e, &info);
    if (common.json)
        print_json(report);
    else
        print_report(report);
    code = check_is_clean(report) ? EXIT_DONE : EXIT_NOTHING;
    json_decref(report);
    return code;
}
