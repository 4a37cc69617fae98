/* sqlite3_open_v2() of this program (-Wl,--wrap): with memory that does not fail. The ciphers' part of the
 * pinned SQLite copies tables there without a look at what its malloc returned; that is not ours to
 * mend, and would end each series at its first such allocation. */
#include <sqlite3.h>

#include "tests/lib/failing_alloc.h"

int __real_sqlite3_open_v2(const char *path, sqlite3 **ret_db, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret_db, int flags, const char *vfs);

int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret_db, int flags, const char *vfs)
{
    bool was_paused = failing_alloc_pause(true);
    int code = __real_sqlite3_open_v2(path, ret_db, flags, vfs);
    (void)failing_alloc_pause(was_paused);
    return code;
}
