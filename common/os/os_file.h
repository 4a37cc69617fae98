/* os_file.h - whole files, directories and the lock file. For applications, never for cores.
 *
 * Errors:     ERR_NOT_FOUND, ERR_EXISTS (something of another kind is in the way), ERR_FORBIDDEN
 *             (permissions, a read-only file system), ERR_FULL, ERR_NOMEM, ERR_INVALID (a path that
 *             cannot be one), ERR_IO. info (may be NULL) names the path and the cause.
 * Limits:     paths up to OS_PATH_MAX bytes with the terminator. */
#ifndef COMMON_OS_FILE_H
#define COMMON_OS_FILE_H

#include "common/buf.h"

#define OS_PATH_MAX 4096

/* Appends the whole file to out; ERR_TOO_LARGE when it does not fit into out's limit (out->error is
 * set then as with buf_append). Works on pipes and /proc too. On failure out is as before. */
enum err os_file_read(const char *path, struct buf *out, struct err_info *info);
/* Replaces the file as one step: after a crash it has the old content or the new, never a mixture.
 * Writes `path`.tmp.<pid>.<n> beside it, syncs it, renames it, syncs the directory. mode:
 * permission bits (0600 for secrets), set whatever the umask says. On failure the old file stands;
 * only when syncing the directory failed (ERR_IO) is the new one there but may be gone after a
 * crash. */
enum err os_file_write(const char *path, struct bytes content, unsigned mode,
                       struct err_info *info);
bool os_file_exists(const char *path);
/* Removes a file and syncs its directory; ERR_NOT_FOUND. */
enum err os_file_remove(const char *path, struct err_info *info);
/* mkdir -p: makes what is missing with `mode`; no error if it is there. */
enum err os_dir_make(const char *path, unsigned mode, struct err_info *info);

/* A lock that ends with the process, however it ends. The file stays and holds the owner's pid. */
struct os_lock {
    int fd; /* -1: not held */
};

/* ERR_BUSY: another process holds it (info says which). Made if missing. On failure ret_lock->fd
 * is -1. */
enum err os_lock_take(const char *path, struct os_lock *ret_lock, struct err_info *info);
/* Accepts a lock that is not held. */
void os_lock_release(struct os_lock *lock);

#endif
