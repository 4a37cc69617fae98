/* satcheld compact - the database file anew, without what is free in it. */
#include <stdio.h>

#include "common/os/os_file.h"
#include "common/store_sqlite/store_sqlite.h"
#include "common/text.h"
#include "server/main/command.h"
#include "server/main/house.h"
#include "server/main/upstream.h"

static enum err sizes(struct store *store, struct store_sizes *ret)
{
    enum err e = store_begin(store, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = store_sqlite_sizes(store, false, ret);
    store_rollback(store);
    return e;
}

static enum err compact(struct house *house, struct store_sizes *ret_before,
                        struct store_sizes *ret_after, struct err_info *info)
{
    char path[OS_PATH_MAX];
    enum err e = house_path(house, house_is_branch(house) ? BRANCH_STORE : "hq.db", path, info);
    if (e == ERR_OK && !os_file_exists(path))
        return err_set(info, ERR_NOT_FOUND, "there is no %s yet", path);
    if (e == ERR_OK)
        e = house_open(house, HOUSE_MAKE, NULL, info);
    if (e != ERR_OK)
        return e;
    e = sizes(house->store, ret_before);
    if (e != ERR_OK)
        return err_set(info, e, "%s cannot be read: %s", path, err_text(e));
    e = store_sqlite_compact(house->store, info);
    if (e != ERR_OK)
        return e;
    e = sizes(house->store, ret_after);
    return e == ERR_OK ? e : err_set(info, e, "%s cannot be read: %s", path, err_text(e));
}

int command_compact(int argc, char **argv)
{
    struct common_options common = {0};
    const struct option options[] = {OPTIONS_COMMON(&common)};
    const struct usage usage = {
        "satcheld compact",
        "",
        "Writes the database file anew, without free pages: after a large import was deleted and\n"
        "purged, say. A server that runs gives most of them back by itself, a little whenever it\n"
        "rests; a file made by an earlier version does so only after it was compacted once. The\n"
        "server must be stopped, and the disk needs room for the file a second time.",
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
    struct store_sizes before, after;
    char was[TEXT_SIZE_MAX], is[TEXT_SIZE_MAX];
    enum err e = house_init(&house, data_of(&common), &info);
    if (e == ERR_OK)
        e = compact(&house, &before, &after, &info);
    house_close(&house);
    if (e != ERR_OK)
        return tell_failure(&common, e, &info);
    if (common.json)
        printf("{\"ok\":true,\"before_bytes\":%llu,\"after_bytes\":%llu}\n",
               (unsigned long long)before.file_bytes, (unsigned long long)after.file_bytes);
    else
        printf("The database took %s and takes %s now.\n", text_size(before.file_bytes, was),
               text_size(after.file_bytes, is));
    return EXIT_DONE;
}
