/* satcheld restore - the store from a backup. The database that was there is kept aside. Devices find
 * out by the next start's incarnation, and bring back what they had brought since the backup. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/os/os_term.h"
#include "common/os/os_tls.h"
#include "server/main/check.h"
#include "server/main/command.h"

struct restore {
    struct common_options common;
    const char *model;
    bool force, new_key;
};

static enum err need_key(struct house *house, const struct restore *with, struct err_info *info)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "::1"};
    char certificate[OS_PATH_MAX], key[OS_PATH_MAX];
    enum err e = house_path(house, house->settings.certificate, certificate, info);
    if (e == ERR_OK)
        e = house_path(house, house->settings.key, key, info);
    if (e != ERR_OK || (os_file_exists(certificate) && os_file_exists(key)))
        return e;
    if (!with->new_key)
        return err_set(info, ERR_NOT_FOUND,
                       "%.300s or its certificate is missing, and devices know this server by that "
                       "key. Copy tls.key and tls.crt of the old server there, or say --new-key "
                       "(then each device has to enrol again)",
                       key);
    return os_tls_make_certificate(certificate, key, names, 3, clock_wall(&house->clock), info);
}

static enum err copy_model(struct house *house, const char *file, struct err_info *info)
{
    char path[OS_PATH_MAX];
    struct buf text;
    buf_init(&text, MODEL_FILE_MAX);
    enum err e = os_file_read(file, &text, info);
    if (e == ERR_OK)
        e = house_path(house, "model.json", path, info);
    if (e == ERR_OK)
        e = os_file_write(path, buf_view(&text), 0600, info);
    buf_done(&text);
    return e;
}

/* Moves hq.db and its log to names that nothing has. */
static enum err put_aside(struct house *house, char aside[OS_PATH_MAX], struct err_info *info)
{
    static const char *const suffixes[] = {"-wal", "-shm", ""}; /* the database itself last */
    char from[OS_PATH_MAX], to[OS_PATH_MAX + 8], name[64];
    for (int n = 1; n < 10000; n++) {
        (void)snprintf(name, sizeof name, "hq.db.replaced-%d", n);
        enum err e = house_path(house, name, aside, info);
        if (e != ERR_OK)
            return e;
        if (!os_file_exists(aside))
            break;
    }
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "hq.db%s", suffixes[i]);
        enum err e = house_path(house, name, from, info);
        if (e != ERR_OK)
            return e;
        (void)snprintf(to, sizeof to, "%s%s", aside, suffixes[i]);
        if (rename(from, to) != 0 && errno != ENOENT)
            return err_set(info, ERR_IO, "%.200s could not be put aside: %s", from,
                           strerror(errno));
    }
    return ERR_OK;
}

static bool show(void *context, int remaining, int total)
{
    struct progress *progress = context;
    progress->total = (uint64_t)total;
    progress_step(progress, (uint64_t)(total - remaining));
    return true;
}

static enum err copy_in(struct house *house, const char *file, struct err_info *info)
{
    char path[OS_PATH_MAX];
    struct progress progress;
    progress_init(&progress, "restore", "pages", 0, &house->clock, false);
    enum err e = house_path(house, "hq.db", path, info);
    if (e == ERR_OK)
        e = house_open(house, HOUSE_COPY, file, info);
    if (e == ERR_OK)
        e = store_sqlite_backup(house->store, path, show, &progress, info);
    progress_end(&progress);
    house_leave(house);
    return e;
}

static enum err restore(struct house *house, const struct restore *with, const char *file,
                        json_t **ret_report, char aside[OS_PATH_MAX], struct err_info *info)
{
    char path[OS_PATH_MAX];
    enum err e = os_dir_make(house->dir, 0700, info);
    if (e == ERR_OK)
        e = house_init(house, house->dir, info);
    if (e == ERR_OK && house_is_branch(house))
        e = err_set(info, ERR_FORBIDDEN, "%s is the server of a branch, which has no backups",
                    house->dir);
    if (e == ERR_OK && !os_file_exists(file))
        e = err_set(info, ERR_NOT_FOUND, "there is no backup %s", file);
    if (e == ERR_OK && with->model)
        e = copy_model(house, with->model, info);
    if (e == ERR_OK) /* the lock: no server runs */
        e = house_open(house, HOUSE_FILES, NULL, info);
    if (e == ERR_OK)
        e = house_path(house, "hq.db", path, info);
    bool replaces = e == ERR_OK && os_file_exists(path);
    if (replaces && !with->force)
        return err_set(info, ERR_EXISTS,
                       "%s exists. With --force it is put aside, not deleted, and the backup takes "
                       "its place",
                       path);
    if (e == ERR_OK)
        e = need_key(house, with, info);
    if (e == ERR_OK)
        e = check_store(house, file, ret_report, info);
    if (e == ERR_OK && !check_is_clean(*ret_report))
        e = err_set(info, ERR_CORRUPT, "%s is no sound backup: %.300s", file,
                    check_first(*ret_report));
    if (e == ERR_OK && replaces)
        e = put_aside(house, aside, info);
    return e == ERR_OK ? copy_in(house, file, info) : e;
}

int command_restore(int argc, char **argv)
{
    struct restore with = {0};
    const char *file;
    const struct option options[] = {
        OPTIONS_COMMON(&with.common),
        {"force", OPTION_FLAG, &with.force, NULL, "even if there is a store; it is put aside", 0,
         0},
        {"model", OPTION_TEXT, &with.model, "FILE", "the model of the backup, if not the CRM's", 0,
         0},
        {"new-key", OPTION_FLAG, &with.new_key, NULL,
         "the old TLS key is lost: make one, all devices enrol again", 0, 0},
    };
    const struct usage usage = {
        "satcheld restore",
        "FILE",
        "Makes the store of the data directory from a backup, with the server stopped. The backup\n"
        "is verified first; a store that was there is put aside (--force), never overwritten.\n"
        "Devices bring back by themselves what they had brought since the backup.",
        "  satcheld restore /backups/acme-monday.db --force",
        options,
        sizeof options / sizeof *options,
        1,
        1};
    int code = options_parse(&usage, argc, argv, &file);
    if (code != OPTIONS_GO_ON)
        return code;
    struct house house = {.dir = data_of(&with.common), .lock = {-1}};
    struct err_info info = {0};
    json_t *report = NULL;
    char aside[OS_PATH_MAX] = "";
    enum err e = restore(&house, &with, file, &report, aside, &info);
    house_close(&house);
    if (e == ERR_OK && with.common.json) {
        json_object_set_new(report, "aside", json_string(aside));
        print_json(report);
    } else if (e == ERR_OK) {
        printf("Restored %lld records from %s.\n",
               (long long)json_integer_value(json_object_get(report, "records")), file);
        if (aside[0])
            printf("The store that was there: %s\n", aside);
        printf("Next: satcheld run --data %s\n", data_of(&with.common));
    }
    json_decref(report);
    return e == ERR_OK ? EXIT_DONE : tell_failure(&with.common, e, &info);
}
