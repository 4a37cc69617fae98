#include "common/os/os_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK      ((size_t)65536)
#define TEMPORARY_TRIES 16

static enum err err_of_errno(int number)
{
    switch (number) {
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY: return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS: return ERR_FORBIDDEN;
    case ENOSPC:
    case EFBIG: /* as far as this user may write */
    case EDQUOT: return ERR_FULL;
    case ENOMEM: return ERR_NOMEM;
    case ENAMETOOLONG:
    case ELOOP:
    case EINVAL: return ERR_INVALID;
    default: return ERR_IO;
    }
}

/* "reading /a/b failed: Permission denied", from errno. */
static enum err fail(struct err_info *info, const char *doing, const char *path)
{
    int number = errno;
    enum err error = err_set(info, err_of_errno(number), "%s %s failed: %s", doing, path,
                             strerror(number)); /* NOLINT(concurrency-mt-unsafe): glibc's is safe */

    if (info != NULL)
        info->native = number;
    return error;
}

/* Keeps errno. */
static void close_quietly(int fd)
{
    int number = errno;

    close(fd);
    errno = number;
}

/* The directory that holds the path: "a/b" -> "a", "b" -> ".", "/b" -> "/". false: too long. */
static bool parent_of(const char *path, char out[OS_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 1 : (size_t)(slash - path);

    if (size >= OS_PATH_MAX)
        return false;
    if (slash == NULL)
        memcpy(out, ".", 2);
    else if (size == 0)
        memcpy(out, "/", 2);
    else {
        memcpy(out, path, size);
        out[size] = '\0';
    }
    return true;
}

/* So that a new name outlives a crash. 0, or -1 with errno. */
static int sync_parent(const char *path)
{
    char parent[OS_PATH_MAX];
    int fd, result;

    if (!parent_of(path, parent)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    result = fsync(fd);
    if (result != 0 && errno == EINVAL)
        result = 0; /* a file system where directories cannot be synced */
    close_quietly(fd);
    return result;
}

/* How much to ask for next: the chunk, or what is left of the limit and one byte to see that there is
 * more. */
static enum err read_all(int fd, const char *path, struct buf *out, struct err_info *info)
{
    for (;;) {
        size_t left = out->limit - out->size;
        uint8_t beyond;
        uint8_t *at = &beyond;
        size_t room = 1;
        ssize_t got;

        if (left > 0) {
            room = left < READ_CHUNK ? left : READ_CHUNK;
            at = buf_reserve(out, room);
            if (at == NULL)
                return err_set(info, out->error, "no memory to read %s", path);
        }
        got = read(fd, at, room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(info, "reading", path);
        if (got == 0)
            return ERR_OK;
        if (left == 0) {
            out->error = ERR_TOO_LARGE;
            return err_set(info, ERR_TOO_LARGE, "%s is larger than the %zu bytes allowed", path,
                           out->limit);
        }
        out->size += (size_t)got;
    }
}

enum err os_file_read(const char *path, struct buf *out, struct err_info *info)
{
    size_t start = out->size;
    enum err error;
    int fd;

    if (out->error != ERR_OK)
        return err_set(info, out->error, "reading %s: the buffer has failed before", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(info, "opening", path);
    error = read_all(fd, path, out, info);
    close(fd);
    if (error != ERR_OK)
        out->size = start;
    return error;
}

static int write_all(int fd, struct bytes content)
{
    while (content.size > 0) {
        ssize_t written = write(fd, content.data, content.size);

        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            content.data += written;
            content.size -= (size_t)written;
        }
    }
    return 0;
}

/* A new file beside `path`; its name goes to `name`. -1 with errno. */
static int create_temporary(const char *path, char name[OS_PATH_MAX])
{
    for (int i = 0; i < TEMPORARY_TRIES; i++) {
        int size = snprintf(name, OS_PATH_MAX, "%s.tmp.%ld.%d", path, (long)getpid(), i);
        int fd;

        if (size < 0 || size >= OS_PATH_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

enum err os_file_write(const char *path, struct bytes content, unsigned mode, struct err_info *info)
{
    char name[OS_PATH_MAX];
    enum err error;
    int fd = create_temporary(path, name);

    if (fd < 0)
        return fail(info, "making a file beside", path);
    if (write_all(fd, content) != 0 || fchmod(fd, (mode_t)mode) != 0 || fsync(fd) != 0) {
        error = fail(info, "writing", name);
        close(fd);
        goto remove_temporary;
    }
    if (close(fd) != 0) {
        error = fail(info, "writing", name);
        goto remove_temporary;
    }
    if (rename(name, path) != 0) {
        error = fail(info, "replacing", path);
        goto remove_temporary;
    }
    return sync_parent(path) == 0 ? ERR_OK : fail(info, "syncing the directory of", path);

remove_temporary:
    unlink(name);
    return error;
}

bool os_file_exists(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0;
}

enum err os_file_remove(const char *path, struct err_info *info)
{
    if (unlink(path) != 0)
        return fail(info, "removing", path);
    return sync_parent(path) == 0 ? ERR_OK : fail(info, "syncing the directory of", path);
}

/* One directory of the path; no error if it is there. */
static int make_one(const char *path, unsigned mode)
{
    struct stat status;

    if (mkdir(path, (mode_t)mode) == 0)
        return sync_parent(path);
    if (errno != EEXIST && errno != EROFS && errno != EACCES)
        return -1;
    /* It may be there although it may not be made: "/", or a directory of someone else. */
    if (stat(path, &status) != 0)
        return -1;
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    return 0;
}

enum err os_dir_make(const char *path, unsigned mode, struct err_info *info)
{
    char part[OS_PATH_MAX];
    size_t size = strlen(path);

    if (size == 0 || size >= sizeof(part)) {
        errno = size == 0 ? EINVAL : ENAMETOOLONG;
        return fail(info, "making the directory", path);
    }
    memcpy(part, path, size + 1);
    while (size > 1 && part[size - 1] == '/')
        part[--size] = '\0';
    for (size_t i = 1; i <= size; i++) {
        char saved = part[i];

        if (saved != '/' && saved != '\0')
            continue;
        part[i] = '\0';
        if (part[i - 1] != '/' && make_one(part, mode) != 0)
            return fail(info, "making the directory", part);
        part[i] = saved;
    }
    return ERR_OK;
}

/* The pid that the holder of a lock wrote, for the message; 0: unknown. */
static long lock_owner(int fd)
{
    char text[32] = "";
    ssize_t size = pread(fd, text, sizeof(text) - 1, 0);

    return size > 0 ? strtol(text, NULL, 10) : 0;
}

enum err os_lock_take(const char *path, struct os_lock *ret_lock, struct err_info *info)
{
    char text[32];
    int size, fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum err error;

    ret_lock->fd = -1;
    if (fd < 0)
        return fail(info, "opening the lock file", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            error = err_set(info, ERR_BUSY, "%s is locked by process %ld; stop that process first",
                            path, lock_owner(fd));
        else
            error = fail(info, "locking", path);
        close(fd);
        return error;
    }
    size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || write_all(fd, bytes_of(text, (size_t)size)) != 0) {
        error = fail(info, "writing", path);
        close(fd);
        return error;
    }
    ret_lock->fd = fd;
    return ERR_OK;
}

void os_lock_release(struct os_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd); /* which gives up the lock */
    lock->fd = -1;
}
