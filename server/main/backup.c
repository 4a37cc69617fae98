/* satcheld backup - a verified copy, while the server runs; then the server is told what it holds, so
 * that devices may forget the bytes of what is safe twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/os/os_term.h"
#include "server/main/ask.h"
#include "server/main/check.h"
#include "server/main/command.h"

enum { MARKS_PER_REQUEST = 1000, MARKS_MAX = 256 << 20 };

struct copy {
    struct progress progress;
    bool started, always;
    const struct clock *clock;
};

static bool show(void *context, int remaining, int total)
{
    struct copy *copy = context;
    if (!copy->started)
        progress_init(&copy->progress, "backup", "pages", (uint64_t)total, copy->clock,
                      copy->always);
    copy->started = true;
    progress_step(&copy->progress, (uint64_t)(total - remaining));
    return true;
}

static enum err copy_store(struct house *house, const char *file, bool always,
                           struct err_info *info)
{
    struct copy copy = {.clock = &house->clock, .always = always};
    enum err e = house_open(house, HOUSE_LOOK, NULL, info);
    if (e == ERR_OK)
        e = store_sqlite_backup(house->store, file, show, &copy, info);
    if (copy.started)
        progress_end(&copy.progress);
    house_leave(house);
    return e;
}

static enum err check_copy(struct house *house, const char *file, json_t **ret_report,
                           struct err_info *info)
{
    char aside[OS_PATH_MAX];
    enum err e = check_store(house, file, ret_report, info);
    if (e != ERR_OK || check_is_clean(*ret_report))
        return e;
    (void)snprintf(aside, sizeof aside, "%.4000s.damaged", file);
    bool moved = rename(file, aside) == 0;
    return err_set(info, ERR_CORRUPT,
                   "the copy did not verify (%.200s) and is no backup; it is kept as %.200s. See "
                   "'satcheld verify'",
                   check_first(*ret_report), moved ? aside : file);
}

/* What the backup holds of each origin, read from the backup itself. */
static enum err read_marks(struct house *house, const char *file, json_t **ret_answer,
                           struct err_info *info)
{
    struct buf text;
    buf_init(&text, MARKS_MAX);
    enum err e = house_open(house, HOUSE_LOOK, file, info);
    if (e == ERR_OK) {
        e = hub_admin(house->hub, bytes_of_text("{\"do\":\"marks\"}"), house_now(house), &text);
        if (e == ERR_OK)
            *ret_answer = json_loadb((const char *)text.data, text.size, 0, NULL);
        if (!json_is_object(json_object_get(*ret_answer, "marks")))
            e = err_set(info, ERR_CORRUPT, "the marks in %s could not be read", file);
    }
    house_leave(house);
    buf_done(&text);
    return e;
}

static enum err tell_some(struct house *house, json_t **marks, struct err_info *info)
{
    json_t *request = ask_for("archived"), *answer = NULL;
    json_object_set_new(request, "marks", *marks);
    *marks = json_object();
    enum err e = ask(house, request, true, &answer, NULL, info);
    json_decref(answer);
    return e;
}

static enum err tell_archived(struct house *house, json_t *marks, struct err_info *info)
{
    json_t *some = json_object(), *upto;
    const char *origin;
    enum err e = ERR_OK;
    json_object_foreach(marks, origin, upto)
    {
        json_object_set(some, origin, upto);
        if (e == ERR_OK && json_object_size(some) == MARKS_PER_REQUEST)
            e = tell_some(house, &some, info);
    }
    if (e == ERR_OK && json_object_size(some) > 0)
        e = tell_some(house, &some, info);
    json_decref(some);
    return e;
}

static enum err backup(struct house *house, const char *file, bool always, json_t **ret_report,
                       struct err_info *info)
{
    json_t *marks = NULL;
    enum err e = copy_store(house, file, always, info);
    if (e == ERR_OK)
        e = check_copy(house, file, ret_report, info);
    if (e == ERR_OK)
        e = read_marks(house, file, &marks, info);
    if (e == ERR_OK) {
        e = tell_archived(house, json_object_get(marks, "marks"), info);
        if (e != ERR_OK) {
            struct err_info why = *info;
            err_set(info, e,
                    "the backup %s is written and verified, but the server could not be told "
                    "(devices keep more than they need until the next backup): %.250s",
                    file, why.message);
        }
    }
    json_decref(marks);
    return e;
}

static void print_done(const struct common_options *common, const char *file, json_t *report)
{
    struct stat status = {0};
    (void)stat(file, &status);
    json_object_set_new(report, "file", json_string(file));
    json_object_set_new(report, "bytes", json_integer((json_int_t)status.st_size));
    if (common->json) {
        print_json(report);
        return;
    }
    printf(
        "Backup %s: %.1f MB, %lld records, verified.\n"
        "Keep tls.key, tls.crt, satcheld.conf and model.json of the data directory with it, in a\n"
        "safe place: devices know the server by that key.\n",
        file, (double)status.st_size / 1e6,
        (long long)json_integer_value(json_object_get(report, "records")));
}

int command_backup(int argc, char **argv)
{
    struct common_options common = {0};
    const char *file;
    bool progress = false;
    const struct option options[] = {
        OPTIONS_COMMON(&common),
        {"progress", OPTION_FLAG, &progress, NULL, "show progress even off a terminal", 0, 0},
    };
    const struct usage usage = {
        "satcheld backup",
        "FILE",
        "Writes a consistent copy of the store while the server runs, verifies it (integrity,\n"
        "digests, audit chain), and tells the server what it holds. Never replaces a file.\n"
        "Without a running server the store is opened here, which counts as a start.",
        "  satcheld backup /backups/acme-monday.db",
        options,
        sizeof options / sizeof *options,
        1,
        1};
    int code = options_parse(&usage, argc, argv, &file);
    if (code != OPTIONS_GO_ON)
        return code;
    struct house house;
    struct err_info info = {0};
    json_t *report = NULL;
    enum err e = house_init(&house, data_of(&common), &info);
    if (e == ERR_OK && house_is_branch(&house))
        e = err_set(&info, ERR_FORBIDDEN,
                    "a branch needs no backup: what it holds is at headquarters, or on the devices "
                    "that wrote it. If its disk is lost, enrol it anew (satcheld branch ticket)");
    if (e == ERR_OK)
        e = backup(&house, file, progress, &report, &info);
    if (e == ERR_OK)
        print_done(&common, file, report);
    json_decref(report);
    house_close(&house);
    return e == ERR_OK ? EXIT_DONE : tell_failure(&common, e, &info);
}
