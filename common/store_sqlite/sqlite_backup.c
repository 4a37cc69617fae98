/* Backup: copies a snapshot of its own, so that the store goes on. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/store_sqlite/sqlite_store.h"

enum { BACKUP_STEP_PAGES = 512 };

/* ---- the operating system's files ---- */

static bool os_exists(void *context, const char *path)
{
    (void)context;
    return access(path, F_OK) == 0;
}

static int os_remove(void *context, const char *path)
{
    (void)context;
    return unlink(path) == 0 ? 0 : errno;
}

/* A link never replaces a file; where there are no hard links, nobody else may make one. */
static int os_rename(void *context, const char *from, const char *to)
{
    (void)context;
    if (link(from, to) == 0) {
        (void)unlink(from);
        return 0;
    }
    if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS)
        return errno;
    if (access(to, F_OK) == 0)
        return EEXIST;
    return rename(from, to) == 0 ? 0 : errno;
}

static int sync_path(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC);
    if (file < 0)
        return errno;
    int native = fsync(file) == 0 ? 0 : errno;
    (void)close(file);
    return native;
}

static int os_sync(void *context, const char *path)
{
    (void)context;
    return sync_path(path, O_RDONLY);
}

static int os_sync_folder(void *context, const char *path)
{
    const char *slash = strrchr(path, '/');
    (void)context;
    if (slash == NULL)
        return sync_path(".", O_RDONLY | O_DIRECTORY);
    char *folder = sqlite3_mprintf("%.*s", slash == path ? 1 : (int)(slash - path), path);
    int native = folder == NULL ? ENOMEM : sync_path(folder, O_RDONLY | O_DIRECTORY);
    sqlite3_free(folder);
    return native;
}

static const struct store_sqlite_files os_files = {
    .exists = os_exists,
    .remove = os_remove,
    .rename = os_rename,
    .sync = os_sync,
    .sync_folder = os_sync_folder,
};

static const struct store_sqlite_files *files_of(const struct sqlite_store *s)
{
    return s->options.files == NULL ? &os_files : s->options.files;
}

/* ---- the copy ---- */

/* native: an errno value; 0 is ERR_OK. */
static enum err system_failed(int native, const char *path, const char *what, struct err_info *info)
{
    if (native == 0)
        return ERR_OK;
    enum err err = native == EEXIST                       ? ERR_EXISTS
                   : native == ENOSPC || native == EDQUOT ? ERR_FULL
                   : native == ENOMEM                     ? ERR_NOMEM
                                                          : ERR_IO;
    (void)err_set(info, err, "'%s': %s: %s", path, what, strerror(native));
    if (info != NULL)
        info->native = native;
    return err;
}

static enum err copy_failed(sqlite3 *db, int native, const char *path, struct err_info *info)
{
    (void)err_set(info, sqlite_store_code(native), "'%s': the backup failed: %s", path,
                  sqlite3_errmsg(db));
    if (info != NULL)
        info->native = native;
    return sqlite_store_code(native);
}

static enum err copy_pages(sqlite3 *to, sqlite3 *from, const char *path,
                           store_sqlite_progress_fn *progress, void *context, struct err_info *info)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (backup == NULL)
        return copy_failed(to, sqlite3_extended_errcode(to), path, info);
    enum err err = ERR_OK;
    int native = SQLITE_OK;
    while (err == ERR_OK && native == SQLITE_OK) {
        native = sqlite3_backup_step(backup, BACKUP_STEP_PAGES);
        if (native == SQLITE_OK && progress != NULL &&
            !progress(context, sqlite3_backup_remaining(backup), sqlite3_backup_pagecount(backup)))
            err = err_set(info, ERR_INTERRUPTED, "'%s': the backup was stopped", path);
    }
    int finished = sqlite3_backup_finish(backup);
    if (err != ERR_OK)
        return err;
    if (native == SQLITE_DONE)
        native = finished;
    return native == SQLITE_OK ? ERR_OK : copy_failed(to, native, path, info);
}

static void first_problem(void *context, const char *text)
{
    char *first = context;
    if (first[0] == 0)
        (void)snprintf(first, 200, "%s", text);
}

static enum err check_copy(sqlite3 *db, const char *path, struct err_info *info)
{
    char problem[200] = "";
    /* One file that needs no log beside it to be read. */
    int native = sqlite3_exec(db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    if (native != SQLITE_OK)
        return copy_failed(db, native, path, info);
    enum err err = sqlite_store_check_integrity(db, first_problem, problem);
    if (err == ERR_CORRUPT)
        return err_set(info, err,
                       "'%s': the copy is damaged: %s. Verify the store that it was made of", path,
                       problem);
    return err == ERR_OK ? ERR_OK : err_set(info, err, "'%s': the copy cannot be read", path);
}

static enum err write_partial(struct sqlite_store *s, const char *partial,
                              store_sqlite_progress_fn *progress, void *context,
                              struct err_info *info)
{
    struct sqlite_store *snapshot = NULL;
    sqlite3 *to = NULL;
    int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    enum err err = sqlite_store_snapshot_open(s, &snapshot);
    if (err != ERR_OK)
        return err_set(info, err, "'%s': the store cannot be read: %s", s->path, err_text(err));
    int native = sqlite3_open_v2(partial, &to, flags, s->memory ? NULL : s->vfs);
    if (native != SQLITE_OK)
        err = copy_failed(to, native, partial, info);
    if (err == ERR_OK)
        err = copy_pages(to, snapshot->db, partial, progress, context, info);
    sqlite_store_snapshot_close(s, snapshot);
    if (err == ERR_OK)
        err = check_copy(to, partial, info);
    native = sqlite3_close(to);
    if (err == ERR_OK && native != SQLITE_OK)
        err = copy_failed(to, native, partial, info);
    if (err != ERR_OK)
        return err;
    const struct store_sqlite_files *files = files_of(s);
    return system_failed(files->sync(files->context, partial), partial,
                         "cannot be written to the disk", info);
}

enum err store_sqlite_backup(struct store *store, const char *path,
                             store_sqlite_progress_fn *progress, void *context,
                             struct err_info *info)
{
    struct sqlite_store *s = sqlite_store_of(store);
    const struct store_sqlite_files *files = files_of(s);
    assert(s->state == SQLITE_STORE_IDLE);
    if (files->exists(files->context, path))
        return err_set(info, ERR_EXISTS, "'%s' exists already; a backup never replaces a file",
                       path);
    char *partial = sqlite3_mprintf("%s.partial", path);
    if (partial == NULL)
        return err_set(info, ERR_NOMEM, "out of memory");
    int native = files->remove(files->context, partial); /* of a backup that was killed */
    enum err err =
        native == ENOENT ? ERR_OK : system_failed(native, partial, "cannot be removed", info);
    if (err == ERR_OK) {
        err = write_partial(s, partial, progress, context, info);
        if (err == ERR_OK)
            err = system_failed(files->rename(files->context, partial, path), path,
                                "cannot be created", info);
        if (err != ERR_OK) {
            (void)files->remove(files->context, partial);
        } else {
            err = system_failed(files->sync_folder(files->context, path), path,
                                "cannot be written to the disk", info);
            if (err != ERR_OK) /* a name that may be gone after a power cut is no backup */
                (void)files->remove(files->context, path);
        }
    }
    sqlite3_free(partial);
    return err;
}
