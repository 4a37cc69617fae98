/* SQLite's side of a disk in memory: its VFS, locks, shared memory. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/sim_disk_internal.h"
#include "tests/lib/unfailing.h"

static struct sim_verdict enter_file(struct sim_file *f, enum sim_disk_call call, uint64_t offset,
                                     uint64_t size)
{
    return sim_enter(f->disk, f->epoch, call, f->name, offset, size);
}

/* ---- content ---- */

static struct sim_file *file_of(sqlite3_file *file)
{
    return (struct sim_file *)(void *)file;
}

static bool is_alive(const struct sim_file *f)
{
    return f->epoch == f->disk->epoch;
}

static int sim_read(sqlite3_file *file, void *out, int size, sqlite3_int64 offset)
{
    struct sim_file *f = file_of(file);
    struct sim_verdict v = enter_file(f, SIM_DISK_READ, (uint64_t)offset, (uint64_t)size);
    bool half = v.code != SQLITE_OK && v.effect == SIM_DISK_SHORT_READ && f->is_journal;
    if (!sim_goes_on(&v) && !half)
        return v.code;
    size_t wanted = (size_t)size;
    if (half) {
        memset(out, 0, wanted);
        (void)sim_image_read(&f->inode->now, (uint64_t)offset, out, wanted / 2);
        return SQLITE_IOERR_SHORT_READ;
    }
    size_t got = sim_image_read(&f->inode->now, (uint64_t)offset, out, wanted);
    return sim_leave(f->disk, &v, got == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ);
}

/* How much of a write fits; bytes of blocks that the file has already always do. */
static size_t fitting(const struct sim_file *f, uint64_t offset, size_t size)
{
    const struct sim_disk *disk = f->disk;
    if (disk->capacity == 0)
        return size;
    uint64_t used = sim_disk_used(disk);
    uint64_t has = (f->inode->now.size + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;
    uint64_t room = used > disk->capacity ? 0 : (disk->capacity - used) / SIM_BLOCK * SIM_BLOCK;
    uint64_t end = has + room;
    if (offset + size <= end)
        return size;
    return offset >= end ? 0 : (size_t)(end - offset);
}

static int sim_write(sqlite3_file *file, const void *in, int size, sqlite3_int64 offset)
{
    struct sim_file *f = file_of(file);
    struct sim_verdict v = enter_file(f, SIM_DISK_WRITE, (uint64_t)offset, (uint64_t)size);
    if (!sim_goes_on(&v)) {
        if (v.effect == SIM_DISK_HALF_WRITE)
            sim_inode_write(f->inode, (uint64_t)offset, in, (size_t)size / 2);
        return v.code;
    }
    size_t fits = fitting(f, (uint64_t)offset, (size_t)size);
    sim_inode_write(f->inode, (uint64_t)offset, in, fits);
    return sim_leave(f->disk, &v, fits == (size_t)size ? SQLITE_OK : SQLITE_FULL);
}

static int sim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct sim_file *f = file_of(file);
    struct sim_verdict v = enter_file(f, SIM_DISK_TRUNCATE, 0, (uint64_t)size);
    if (!sim_goes_on(&v))
        return v.code;
    sim_inode_truncate(f->inode, (uint64_t)size);
    return sim_leave(f->disk, &v, SQLITE_OK);
}

static int sim_sync(sqlite3_file *file, int flags)
{
    struct sim_file *f = file_of(file);
    struct sim_verdict v = enter_file(f, SIM_DISK_SYNC, 0, 0);
    (void)flags;
    if (!sim_goes_on(&v)) {
        if (v.effect == SIM_DISK_SYNC_LOSES)
            sim_inode_sync(f->inode, true);
        return v.code;
    }
    sim_inode_sync(f->inode, false);
    if (f->inode->syncs_folder)
        sim_folder_sync(f->disk, false);
    f->inode->syncs_folder = false;
    return sim_leave(f->disk, &v, SQLITE_OK);
}

static int sim_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    struct sim_file *f = file_of(file);
    struct sim_verdict v = enter_file(f, SIM_DISK_FILE_SIZE, 0, 0);
    if (!sim_goes_on(&v))
        return v.code;
    *ret_size = (sqlite3_int64)f->inode->now.size;
    return sim_leave(f->disk, &v, SQLITE_OK);
}

/* ---- locks ---- */

static int take_lock(struct sim_file *f, int lock)
{
    struct sim_inode *inode = f->inode;
    if (lock == SQLITE_LOCK_SHARED) {
        if (inode->pending != NULL)
            return SQLITE_BUSY;
        inode->shared++;
    } else if (lock == SQLITE_LOCK_RESERVED) {
        if (inode->reserved != NULL)
            return SQLITE_BUSY;
        inode->reserved = f;
    } else {
        if ((inode->pending != NULL && inode->pending != f) ||
            (inode->reserved != NULL && inode->reserved != f))
            return SQLITE_BUSY;
        inode->pending = f;
        f->lock = SQLITE_LOCK_PENDING;
        if (inode->shared > 1)
            return SQLITE_BUSY;
    }
    f->lock = lock;
    return SQLITE_OK;
}

static int sim_lock(sqlite3_file *file, int lock)
{
    struct sim_file *f = file_of(file);
    if (f->lock >= lock && is_alive(f))
        return SQLITE_OK;
    struct sim_verdict v = enter_file(f, SIM_DISK_LOCK, 0, (uint64_t)lock);
    if (!sim_goes_on(&v))
        return v.code;
    return sim_leave(f->disk, &v, take_lock(f, lock));
}

static void give_lock(struct sim_file *f, int lock)
{
    struct sim_inode *inode = f->inode;
    if (f->lock <= lock)
        return;
    if (inode->pending == f)
        inode->pending = NULL;
    if (inode->reserved == f)
        inode->reserved = NULL;
    if (lock == SQLITE_LOCK_NONE)
        inode->shared--;
    f->lock = lock;
}

static int sim_unlock(sqlite3_file *file, int lock)
{
    struct sim_file *f = file_of(file);
    if (f->lock <= lock && is_alive(f))
        return SQLITE_OK;
    struct sim_verdict v = enter_file(f, SIM_DISK_UNLOCK, 0, (uint64_t)lock);
    if (!sim_goes_on(&v))
        return v.code;
    give_lock(f, lock);
    return sim_leave(f->disk, &v, SQLITE_OK);
}

static int sim_check_reserved(sqlite3_file *file, int *ret_reserved)
{
    struct sim_file *f = file_of(file);
    struct sim_verdict v = enter_file(f, SIM_DISK_CHECK_RESERVED, 0, 0);
    if (!sim_goes_on(&v))
        return v.code;
    *ret_reserved = f->inode->reserved != NULL || f->inode->pending != NULL;
    return sim_leave(f->disk, &v, SQLITE_OK);
}

/* ---- shared memory ---- */

static int sim_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
    struct sim_file *f = file_of(file);
    struct sim_verdict v = enter_file(f, SIM_DISK_SHM_MAP, (uint64_t)region, (uint64_t)size);
    *ret = NULL;
    if (!sim_goes_on(&v))
        return v.code;
    if (f->inode->shm == NULL) {
        f->inode->shm = unfailing_malloc(sizeof *f->inode->shm);
        f->inode->shm->refs = 1;
    }
    struct sim_shm *shm = f->inode->shm;
    if (f->shm == NULL) {
        f->shm = shm;
        shm->refs++;
    }
    while (extend && shm->region_count <= (uint32_t)region) {
        uint64_t capacity = f->disk->capacity;
        if (capacity != 0 && sim_disk_used(f->disk) + SIM_SHM_REGION > capacity)
            return sim_leave(f->disk, &v, SQLITE_IOERR_SHMSIZE);
        shm->regions =
            unfailing_realloc(shm->regions, (shm->region_count + 1) * sizeof *shm->regions);
        shm->regions[shm->region_count++] = unfailing_malloc((size_t)size);
    }
    if ((uint32_t)region < shm->region_count)
        *ret = shm->regions[region];
    return sim_leave(f->disk, &v, SQLITE_OK);
}

static void give_shm_locks(struct sim_file *f, uint32_t mask)
{
    for (uint32_t i = 0; i < SIM_SHM_LOCKS; i++) {
        if ((f->shm_shared & mask) >> i & 1)
            f->shm->shared[i]--;
        if ((f->shm_exclusive & mask) >> i & 1)
            f->shm->exclusive[i] = NULL;
    }
    f->shm_shared &= ~mask;
    f->shm_exclusive &= ~mask;
}

static bool is_taken(const struct sim_file *f, uint32_t mask, bool exclusive)
{
    for (uint32_t i = 0; i < SIM_SHM_LOCKS; i++) {
        if ((mask >> i & 1) == 0)
            continue;
        if (f->shm->exclusive[i] != NULL && f->shm->exclusive[i] != f)
            return true;
        if (exclusive && f->shm->shared[i] > (f->shm_shared >> i & 1))
            return true;
    }
    return false;
}

static int sim_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    struct sim_file *f = file_of(file);
    uint32_t mask = ((1u << count) - 1) << offset;
    bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
        if (f->shm != NULL)
            give_shm_locks(f, mask);
        return SQLITE_OK;
    }
    struct sim_verdict v = enter_file(f, SIM_DISK_SHM_LOCK, (uint64_t)offset, (uint64_t)count);
    if (!sim_goes_on(&v))
        return v.code;
    if (is_taken(f, mask, exclusive))
        return sim_leave(f->disk, &v, SQLITE_BUSY);
    for (uint32_t i = 0; i < SIM_SHM_LOCKS; i++) {
        if ((mask >> i & 1) == 0)
            continue;
        if (exclusive)
            f->shm->exclusive[i] = f;
        else if ((f->shm_shared >> i & 1) == 0)
            f->shm->shared[i]++;
    }
    if (exclusive)
        f->shm_exclusive |= mask;
    else
        f->shm_shared |= mask;
    return sim_leave(f->disk, &v, SQLITE_OK);
}

static void sim_shm_barrier(sqlite3_file *file)
{
    (void)file; /* one thread */
}

static int sim_shm_unmap(sqlite3_file *file, int delete_it)
{
    struct sim_file *f = file_of(file);
    (void)delete_it; /* whoever maps it first the next time finds it empty anyway */
    if (f->shm == NULL)
        return SQLITE_OK;
    give_shm_locks(f, (1u << SIM_SHM_LOCKS) - 1);
    if (f->inode->shm == f->shm && f->shm->refs == 2) { /* the last connection's */
        sim_shm_unref(f->inode->shm);
        f->inode->shm = NULL;
    }
    sim_shm_unref(f->shm);
    f->shm = NULL;
    return SQLITE_OK;
}

/* ---- opening and closing ---- */

static int sim_close(sqlite3_file *file)
{
    struct sim_file *f = file_of(file);
    (void)sim_shm_unmap(file, 0);
    if (is_alive(f))
        give_lock(f, SQLITE_LOCK_NONE);
    sim_inode_unref(f->inode);
    f->inode = NULL;
    return SQLITE_OK;
}

static int sim_control(sqlite3_file *file, int operation, void *argument)
{
    struct sim_file *f = file_of(file);
    switch (operation) {
    case SQLITE_FCNTL_LOCKSTATE: *(int *)argument = f->lock; return SQLITE_OK;
    case SQLITE_FCNTL_POWERSAFE_OVERWRITE: *(int *)argument = f->disk->powersafe; return SQLITE_OK;
    case SQLITE_FCNTL_VFSNAME:
        *(char **)argument = sqlite3_mprintf("%s", f->disk->vfs_name);
        return SQLITE_OK;
    case SQLITE_FCNTL_HAS_MOVED:
        *(int *)argument = sim_inode_find(&f->disk->now, f->name) != f->inode;
        return SQLITE_OK;
    default: return SQLITE_NOTFOUND;
    }
}

static int sim_sector_size(sqlite3_file *file)
{
    (void)file;
    return SIM_DISK_SECTOR;
}

static int sim_characteristics(sqlite3_file *file)
{
    return file_of(file)->disk->powersafe ? SQLITE_IOCAP_POWERSAFE_OVERWRITE : 0;
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 2, /* shared memory, no memory-mapped files */
    .xClose = sim_close,
    .xRead = sim_read,
    .xWrite = sim_write,
    .xTruncate = sim_truncate,
    .xSync = sim_sync,
    .xFileSize = sim_file_size,
    .xLock = sim_lock,
    .xUnlock = sim_unlock,
    .xCheckReservedLock = sim_check_reserved,
    .xFileControl = sim_control,
    .xSectorSize = sim_sector_size,
    .xDeviceCharacteristics = sim_characteristics,
    .xShmMap = sim_shm_map,
    .xShmLock = sim_shm_lock,
    .xShmBarrier = sim_shm_barrier,
    .xShmUnmap = sim_shm_unmap,
};

static struct sim_disk *disk_of(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

static int sim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    const int journals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
    struct sim_disk *disk = disk_of(vfs);
    struct sim_file *f = file_of(file);
    memset(f, 0, sizeof *f);
    if (name != NULL && strlen(name) >= SIM_DISK_NAME_MAX)
        return SQLITE_CANTOPEN;
    struct sim_inode *inode = name == NULL ? NULL : sim_inode_find(&disk->now, name);
    if (inode == NULL && name != NULL && (flags & SQLITE_OPEN_CREATE) == 0)
        return SQLITE_CANTOPEN;
    if (inode != NULL && (flags & SQLITE_OPEN_EXCLUSIVE) != 0)
        return SQLITE_CANTOPEN;
    struct sim_verdict v = sim_enter(
        disk, disk->epoch, inode == NULL && name != NULL ? SIM_DISK_CREATE : SIM_DISK_OPEN,
        name == NULL ? "" : name, 0, 0);
    if (!sim_goes_on(&v))
        return v.code == SQLITE_IOERR ? SQLITE_CANTOPEN : v.code;
    if (inode == NULL) {
        inode = sim_inode_new(disk);
        inode->syncs_folder = (flags & journals) != 0;
        if (name != NULL)
            sim_disk_link(disk, name, inode);
    } else {
        inode->refs++;
    }
    f->file.pMethods = &file_methods;
    f->disk = disk;
    f->inode = inode;
    f->epoch = disk->epoch;
    f->is_journal = (flags & journals) != 0;
    (void)snprintf(f->name, sizeof f->name, "%s", name == NULL ? "" : name);
    if (ret_flags != NULL)
        *ret_flags = flags;
    int code = sim_leave(disk, &v, SQLITE_OK);
    if (name != NULL && (flags & SQLITE_OPEN_DELETEONCLOSE) != 0)
        sim_disk_unlink(disk, name, NULL);
    if (code != SQLITE_OK) {
        f->file.pMethods = NULL;
        sim_inode_unref(inode);
    }
    return code;
}

static int sim_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    return sim_remove(disk_of(vfs), name, sync_folder != 0);
}

/* As on Unix, a journal of no bytes is no journal. */
static int sim_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_there)
{
    struct sim_disk *disk = disk_of(vfs);
    struct sim_verdict v = sim_enter(disk, disk->epoch, SIM_DISK_ACCESS, name, 0, 0);
    if (!sim_goes_on(&v))
        return v.code;
    const struct sim_inode *inode = sim_inode_find(&disk->now, name);
    *ret_there = inode != NULL && (flags != SQLITE_ACCESS_EXISTS || inode->now.size > 0);
    return sim_leave(disk, &v, SQLITE_OK);
}

static int sim_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    if (strlen(name) >= (size_t)size)
        return SQLITE_CANTOPEN;
    memcpy(out, name, strlen(name) + 1);
    return SQLITE_OK;
}

static int sim_randomness(sqlite3_vfs *vfs, int size, char *out)
{
    seeded_fill(&disk_of(vfs)->rng, out, (size_t)size);
    return size;
}

static int sim_sleep(sqlite3_vfs *vfs, int us)
{
    disk_of(vfs)->now_us += us;
    return us;
}

/* Ms since the Julian epoch. */
static int sim_current_time_int64(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
    *ret_ms = (sqlite3_int64)24405875 * 8640000 + disk_of(vfs)->now_us / 1000;
    return SQLITE_OK;
}

static int sim_current_time(sqlite3_vfs *vfs, double *ret_days)
{
    sqlite3_int64 ms = 0;
    (void)sim_current_time_int64(vfs, &ms);
    *ret_days = (double)ms / 86400000.0;
    return SQLITE_OK;
}

static int sim_last_error(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    (void)size;
    (void)out;
    return 0;
}

/* The lowest number that no disk has: so a run that makes the same disks has the same names. */
void sim_vfs_register(struct sim_disk *disk)
{
    unsigned number = 0;
    (void)sqlite3_initialize();
    do
        (void)snprintf(disk->vfs_name, sizeof disk->vfs_name, "sim-disk-%u", number++);
    while (sqlite3_vfs_find(disk->vfs_name) != NULL);
    disk->vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(struct sim_file),
        .mxPathname = SIM_DISK_NAME_MAX,
        .zName = disk->vfs_name,
        .pAppData = disk,
        .xOpen = sim_open,
        .xDelete = sim_delete,
        .xAccess = sim_access,
        .xFullPathname = sim_full_pathname,
        .xRandomness = sim_randomness,
        .xSleep = sim_sleep,
        .xCurrentTime = sim_current_time,
        .xGetLastError = sim_last_error,
        .xCurrentTimeInt64 = sim_current_time_int64,
    };
    (void)sqlite3_vfs_register(&disk->vfs, 0);
}

void sim_vfs_unregister(struct sim_disk *disk)
{
    (void)sqlite3_vfs_unregister(&disk->vfs);
}

const char *sim_disk_vfs(const struct sim_disk *disk)
{
    return disk->vfs_name;
}

void sim_disk_seed_sqlite(uint32_t seed)
{
    (void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(seed | 1), (void *)NULL);
}
