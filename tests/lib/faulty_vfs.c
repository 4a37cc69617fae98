#include "tests/lib/faulty_vfs.h"

#include <sqlite3.h>
#include <stddef.h>
#include <string.h>

struct faulty_file {
    sqlite3_file file;  /* first */
    sqlite3_file *real; /* follows in memory */
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    uint64_t count[FAULTY_OPERATION_COUNT], fail_at[FAULTY_OPERATION_COUNT];
    int code[FAULTY_OPERATION_COUNT];
    bool forever[FAULTY_OPERATION_COUNT];
} faulty;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct faulty_file *)(void *)file)->real;
}

static int counted(enum faulty_operation operation)
{
    uint64_t count = ++faulty.count[operation];
    uint64_t at = faulty.fail_at[operation];
    bool hit = at != 0 && (count == at || (count > at && faulty.forever[operation]));
    return hit ? faulty.code[operation] : SQLITE_OK;
}

static int faulty_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int faulty_read(sqlite3_file *file, void *out, int size, sqlite3_int64 offset)
{
    int code = counted(FAULTY_READ);
    return code != SQLITE_OK ? code
                             : real_of(file)->pMethods->xRead(real_of(file), out, size, offset);
}

static int faulty_write(sqlite3_file *file, const void *in, int size, sqlite3_int64 offset)
{
    int code = counted(FAULTY_WRITE);
    return code != SQLITE_OK ? code
                             : real_of(file)->pMethods->xWrite(real_of(file), in, size, offset);
}

static int faulty_sync(sqlite3_file *file, int flags)
{
    int code = counted(FAULTY_SYNC);
    return code != SQLITE_OK ? code : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int faulty_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), ret_size);
}

static int faulty_lock(sqlite3_file *file, int lock)
{
    return real_of(file)->pMethods->xLock(real_of(file), lock);
}

static int faulty_unlock(sqlite3_file *file, int lock)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), lock);
}

static int faulty_check_reserved(sqlite3_file *file, int *ret_reserved)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret_reserved);
}

static int faulty_control(sqlite3_file *file, int operation, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}

static int faulty_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int faulty_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int faulty_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, ret);
}

static int faulty_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void faulty_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int faulty_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods faulty_methods = {
    .iVersion = 2,
    .xClose = faulty_close,
    .xRead = faulty_read,
    .xWrite = faulty_write,
    .xTruncate = faulty_truncate,
    .xSync = faulty_sync,
    .xFileSize = faulty_file_size,
    .xLock = faulty_lock,
    .xUnlock = faulty_unlock,
    .xCheckReservedLock = faulty_check_reserved,
    .xFileControl = faulty_control,
    .xSectorSize = faulty_sector_size,
    .xDeviceCharacteristics = faulty_characteristics,
    .xShmMap = faulty_shm_map,
    .xShmLock = faulty_shm_lock,
    .xShmBarrier = faulty_shm_barrier,
    .xShmUnmap = faulty_shm_unmap,
};

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                       int *ret_flags)
{
    struct faulty_file *f = (struct faulty_file *)(void *)file;
    (void)vfs;
    f->real = (sqlite3_file *)(void *)(f + 1);
    memset(f->real, 0, (size_t)faulty.real->szOsFile);
    int code = faulty.real->xOpen(faulty.real, name, f->real, flags, ret_flags);
    f->file.pMethods = f->real->pMethods == NULL ? NULL : &faulty_methods;
    return code;
}

void faulty_vfs_init(void)
{
    if (faulty.real == NULL) {
        faulty.real = sqlite3_vfs_find(NULL);
        faulty.vfs = *faulty.real; /* all but open is the real one's */
        faulty.vfs.zName = FAULTY_VFS_NAME;
        faulty.vfs.pNext = NULL;
        faulty.vfs.xOpen = faulty_open;
        faulty.vfs.szOsFile = (int)sizeof(struct faulty_file) + faulty.real->szOsFile;
        (void)sqlite3_vfs_register(&faulty.vfs, 0);
    }
    memset(faulty.count, 0, sizeof faulty.count);
    memset(faulty.fail_at, 0, sizeof faulty.fail_at);
}

void faulty_vfs_fail_at(enum faulty_operation operation, uint64_t k, int code, bool forever)
{
    faulty.fail_at[operation] = k == 0 ? 0 : faulty.count[operation] + k;
    faulty.code[operation] = code;
    faulty.forever[operation] = forever;
}

uint64_t faulty_vfs_count(enum faulty_operation operation)
{
    return faulty.count[operation];
}
