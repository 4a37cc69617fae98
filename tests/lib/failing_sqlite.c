/* failing_sqlite.c - calls of SQLite fail at each place once (failing_place.h, PLACE_NATIVE), with each of some codes.
 *
 * Model:      what fails is not done; its statement remembers the code until it is reset or finalized, as SQLite
 *             does it. Binding does not fail: nothing is copied. The code of a step is one of the list below, anything else is out of memory.
 * Use:        `ctest: sqlite` in the head of a test links it with --wrap. */
#include <sqlite3.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

#include "tests/lib/failing_place.h"

#define FAILS() failing_place_now(PLACE_NATIVE, 0, PLACE_HERE)

/* What can be wrong with a step of a statement, or with the log. */
static const int codes[] = {SQLITE_NOMEM, SQLITE_IOERR_READ, SQLITE_IOERR_FSYNC, SQLITE_CORRUPT,
                            SQLITE_FULL,  SQLITE_BUSY,       SQLITE_INTERRUPT};
enum { CODES = sizeof codes / sizeof *codes };

static sqlite3_stmt *failed;
static int failed_code;

static int code_now(const void *from, const void *frame)
{
    for (unsigned i = 0; i < CODES; i++)
        if (failing_place_now(PLACE_NATIVE, i, from, frame))
            return codes[i];
    return SQLITE_OK;
}

/* clang-format off */
#define CALLS(X) \
    X(sqlite3_prepare_v2, (sqlite3 *db, const char *sql, int size, sqlite3_stmt **ret, \
      const char **tail), (db, sql, size, ret, tail)) \
    X(sqlite3_prepare_v3, (sqlite3 *db, const char *sql, int size, unsigned flags, \
      sqlite3_stmt **ret, const char **tail), (db, sql, size, flags, ret, tail)) \
    X(sqlite3_create_function_v2, (sqlite3 *db, const char *name, int count, int encoding, \
      void *context, void (*f)(sqlite3_context *, int, sqlite3_value **), \
      void (*step)(sqlite3_context *, int, sqlite3_value **), \
      void (*final)(sqlite3_context *), void (*destroy)(void *)), \
      (db, name, count, encoding, context, f, step, final, destroy))
/* clang-format on */

/* What the linker calls SQLite's, and ours. */
#define WRAP(name, parameters, arguments)                        \
    int __real_##name parameters __attribute__((weak));          \
    int __wrap_##name parameters;                                \
    int __wrap_##name parameters                                 \
    {                                                            \
        return FAILS() ? SQLITE_NOMEM : __real_##name arguments; \
    }
CALLS(WRAP)

typedef int statement_fn(sqlite3_stmt *statement);
statement_fn __real_sqlite3_step __attribute__((weak)), __wrap_sqlite3_step;
statement_fn __real_sqlite3_reset __attribute__((weak)), __wrap_sqlite3_reset;
statement_fn __real_sqlite3_finalize __attribute__((weak)), __wrap_sqlite3_finalize;

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    int code = code_now(PLACE_HERE);
    if (code == SQLITE_OK)
        return __real_sqlite3_step(statement);
    failed = statement;
    failed_code = code;
    return code;
}

/* The code of the last step, which was ours. */
static int ended(sqlite3_stmt *statement, int native)
{
    if (statement == NULL || statement != failed)
        return native;
    failed = NULL;
    return failed_code;
}

int __wrap_sqlite3_reset(sqlite3_stmt *statement)
{
    return ended(statement, __real_sqlite3_reset(statement));
}

int __wrap_sqlite3_finalize(sqlite3_stmt *statement)
{
    return ended(statement, __real_sqlite3_finalize(statement));
}

int __real_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
                        void *context, char **message) __attribute__((weak));
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
                        void *context, char **message);

int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **),
                        void *context, char **message)
{
    int code = code_now(PLACE_HERE);
    return code != SQLITE_OK ? code : __real_sqlite3_exec(db, sql, fn, context, message);
}

int __real_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *moved)
    __attribute__((weak));
int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *moved);

int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *moved)
{
    int code = code_now(PLACE_HERE);
    return code != SQLITE_OK ? code : __real_sqlite3_wal_checkpoint_v2(db, name, mode, log, moved);
}

int __real_sqlite3_backup_step(sqlite3_backup *backup, int pages) __attribute__((weak));
int __wrap_sqlite3_backup_step(sqlite3_backup *backup, int pages);

int __wrap_sqlite3_backup_step(sqlite3_backup *backup, int pages)
{
    int code = code_now(PLACE_HERE);
    return code != SQLITE_OK ? code : __real_sqlite3_backup_step(backup, pages);
}

/* ---- memory ---- */

void *__real_sqlite3_malloc64(sqlite3_uint64 size) __attribute__((weak));
void *__wrap_sqlite3_malloc64(sqlite3_uint64 size);
char *__real_sqlite3_str_finish(sqlite3_str *text) __attribute__((weak));
char *__wrap_sqlite3_str_finish(sqlite3_str *text);
char *__wrap_sqlite3_mprintf(const char *format, ...);

void *__wrap_sqlite3_malloc64(sqlite3_uint64 size)
{
    return FAILS() ? NULL : __real_sqlite3_malloc64(size);
}

char *__wrap_sqlite3_str_finish(sqlite3_str *text)
{
    char *whole = __real_sqlite3_str_finish(text);
    if (!FAILS())
        return whole;
    sqlite3_free(whole);
    return NULL;
}

char *__wrap_sqlite3_mprintf(const char *format, ...)
{
    if (FAILS())
        return NULL;
    va_list list;
    va_start(list, format);
    char *text = sqlite3_vmprintf(format, list);
    va_end(list);
    return text;
}

/* ---- files beside the database ---- */

typedef int two_paths_fn(const char *from, const char *to);
two_paths_fn __real_link __attribute__((weak)), __wrap_link;
two_paths_fn __real_rename __attribute__((weak)), __wrap_rename;
int __real_fsync(int file) __attribute__((weak));
int __wrap_fsync(int file);

/* The first code: this file system has no hard links. */
int __wrap_link(const char *from, const char *to)
{
    static const int numbers[] = {EPERM, EIO, EEXIST};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (failing_place_now(PLACE_NATIVE, i, PLACE_HERE)) {
            errno = numbers[i];
            return -1;
        }
    return __real_link(from, to);
}

int __wrap_rename(const char *from, const char *to)
{
    if (!FAILS())
        return __real_rename(from, to);
    errno = EACCES;
    return -1;
}

int __wrap_fsync(int file)
{
    if (!FAILS())
        return __real_fsync(file);
    errno = EIO;
    return -1;
}
