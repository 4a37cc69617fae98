/* The store's file operations on a disk in memory. */
#include <errno.h>

#include "tests/lib/sim_disk_internal.h"

static int errno_of(int code)
{
    switch (code) {
    case SQLITE_OK: return 0;
    case SQLITE_IOERR_DELETE_NOENT:
    case SQLITE_CANTOPEN: return ENOENT;
    case SQLITE_CONSTRAINT: return EEXIST;
    case SQLITE_FULL: return ENOSPC;
    default: return EIO;
    }
}

static bool files_exists(void *context, const char *path)
{
    struct sim_disk *disk = context;
    return !disk->down && sim_disk_exists(disk, path);
}

static int files_remove(void *context, const char *path)
{
    return errno_of(sim_disk_remove(context, path));
}

static int files_rename(void *context, const char *from, const char *to)
{
    return errno_of(sim_disk_rename(context, from, to));
}

static int files_sync(void *context, const char *path)
{
    return errno_of(sim_disk_sync_file(context, path));
}

static int files_sync_folder(void *context, const char *path)
{
    (void)path;
    return errno_of(sim_disk_sync_folder(context));
}

struct store_sqlite_files sim_disk_files(struct sim_disk *disk)
{
    return (struct store_sqlite_files){.exists = files_exists,
                                       .remove = files_remove,
                                       .rename = files_rename,
                                       .sync = files_sync,
                                       .sync_folder = files_sync_folder,
                                       .context = disk};
}
