/* The faults of each call, and the calls that stand for an operating system's. */
#include <assert.h>

#include "tests/lib/sim_disk_internal.h"

static const struct {
    const char *name;
    int code; /* of a failing disk */
} calls[SIM_DISK_CALL_COUNT] = {
    [SIM_DISK_OPEN] = {"open", SQLITE_CANTOPEN},
    [SIM_DISK_CREATE] = {"create", SQLITE_CANTOPEN},
    [SIM_DISK_DELETE] = {"delete", SQLITE_IOERR_DELETE},
    [SIM_DISK_ACCESS] = {"access", SQLITE_IOERR_ACCESS},
    [SIM_DISK_READ] = {"read", SQLITE_IOERR_READ},
    [SIM_DISK_WRITE] = {"write", SQLITE_IOERR_WRITE},
    [SIM_DISK_TRUNCATE] = {"truncate", SQLITE_IOERR_TRUNCATE},
    [SIM_DISK_SYNC] = {"sync", SQLITE_IOERR_FSYNC},
    [SIM_DISK_FILE_SIZE] = {"file size", SQLITE_IOERR_FSTAT},
    [SIM_DISK_LOCK] = {"lock", SQLITE_IOERR_LOCK},
    [SIM_DISK_UNLOCK] = {"unlock", SQLITE_IOERR_UNLOCK},
    [SIM_DISK_CHECK_RESERVED] = {"check reserved", SQLITE_IOERR_CHECKRESERVEDLOCK},
    [SIM_DISK_SHM_MAP] = {"shm map", SQLITE_IOERR_SHMMAP},
    [SIM_DISK_SHM_LOCK] = {"shm lock", SQLITE_IOERR_SHMLOCK},
    [SIM_DISK_RENAME] = {"rename", SQLITE_IOERR},
};

const char *sim_disk_call_name(enum sim_disk_call call)
{
    return calls[call].name;
}

void sim_disk_fail(struct sim_disk *disk, const struct sim_disk_fault *fault)
{
    assert(disk->fault_count < SIM_DISK_FAULTS);
    disk->faults[disk->fault_count++] = (struct sim_armed){.fault = *fault};
}

uint32_t sim_disk_fault_room(const struct sim_disk *disk)
{
    return SIM_DISK_FAULTS - (uint32_t)disk->fault_count;
}

void sim_disk_no_faults(struct sim_disk *disk)
{
    disk->fault_count = 0;
}

void sim_disk_pause_faults(struct sim_disk *disk, bool paused)
{
    disk->paused = paused;
}

uint64_t sim_disk_hits(const struct sim_disk *disk)
{
    return disk->hits;
}

uint64_t sim_disk_count(const struct sim_disk *disk, uint32_t of)
{
    uint64_t count = 0;
    for (uint32_t call = 0; call < SIM_DISK_CALL_COUNT; call++)
        count += (of >> call & 1) != 0 ? disk->counts[call] : 0;
    return count;
}

void sim_disk_observe(struct sim_disk *disk, sim_disk_observer_fn *fn, void *context)
{
    disk->observer = fn;
    disk->observer_context = context;
}

static bool hits_now(struct sim_disk *disk, struct sim_armed *armed)
{
    const struct sim_disk_fault *fault = &armed->fault;
    armed->seen++;
    if (fault->at == 0)
        return seeded_below(&disk->rng, 1000000) < fault->rate_ppm;
    return armed->seen == fault->at || (fault->forever && armed->seen > fault->at);
}

struct sim_verdict sim_enter(struct sim_disk *disk, uint64_t epoch, enum sim_disk_call call,
                             const char *name, uint64_t offset, uint64_t size)
{
    struct sim_verdict verdict = {.code = SQLITE_OK};
    if (disk->down || epoch != disk->epoch)
        return (struct sim_verdict){.effect = SIM_DISK_FAILS, .hit = true, .code = SQLITE_IOERR};
    if (disk->paused)
        return verdict;
    disk->counts[call]++;
    if (disk->observer != NULL)
        disk->observer(disk->observer_context, call, name, offset, size);
    for (size_t i = 0; i < disk->fault_count; i++) {
        const struct sim_disk_fault *fault = &disk->faults[i].fault;
        if ((fault->calls & SIM_DISK_BIT(call)) == 0 || !hits_now(disk, &disk->faults[i]) ||
            verdict.hit)
            continue;
        verdict.hit = true;
        verdict.effect = fault->effect;
        verdict.code = fault->code != 0 ? fault->code : calls[call].code;
    }
    disk->hits += verdict.hit;
    if (verdict.hit && verdict.effect == SIM_DISK_POWER_BEFORE)
        disk->down = true;
    return verdict;
}

bool sim_goes_on(const struct sim_verdict *verdict)
{
    return verdict->code == SQLITE_OK || verdict->effect == SIM_DISK_POWER_AFTER;
}

int sim_leave(struct sim_disk *disk, const struct sim_verdict *verdict, int code)
{
    if (verdict->code == SQLITE_OK)
        return code;
    disk->down = true; /* SIM_DISK_POWER_AFTER */
    return verdict->code;
}

/* ---- calls that stand for an operating system's ---- */

int sim_remove(struct sim_disk *disk, const char *name, bool sync_folder)
{
    struct sim_verdict v = sim_enter(disk, disk->epoch, SIM_DISK_DELETE, name, 0, 0);
    if (!sim_goes_on(&v))
        return v.code;
    if (sim_inode_find(&disk->now, name) == NULL)
        return sim_leave(disk, &v, SQLITE_IOERR_DELETE_NOENT);
    sim_disk_unlink(disk, name, NULL);
    if (sync_folder)
        sim_folder_sync(disk, false);
    return sim_leave(disk, &v, SQLITE_OK);
}

int sim_disk_remove(struct sim_disk *disk, const char *name)
{
    return sim_remove(disk, name, false);
}

int sim_disk_rename(struct sim_disk *disk, const char *from, const char *to)
{
    struct sim_verdict v = sim_enter(disk, disk->epoch, SIM_DISK_RENAME, from, 0, 0);
    if (!sim_goes_on(&v))
        return v.code;
    int code = sim_inode_find(&disk->now, from) == NULL ? SQLITE_CANTOPEN
               : sim_inode_find(&disk->now, to) != NULL ? SQLITE_CONSTRAINT
                                                        : SQLITE_OK;
    if (code == SQLITE_OK)
        sim_disk_unlink(disk, from, to);
    return sim_leave(disk, &v, code);
}

int sim_disk_sync_file(struct sim_disk *disk, const char *name)
{
    struct sim_verdict v = sim_enter(disk, disk->epoch, SIM_DISK_SYNC, name, 0, 0);
    struct sim_inode *inode = sim_inode_find(&disk->now, name);
    bool loses = v.code != SQLITE_OK && v.effect == SIM_DISK_SYNC_LOSES;
    if (inode == NULL)
        return SQLITE_CANTOPEN;
    if (sim_goes_on(&v) || loses)
        sim_inode_sync(inode, loses);
    return sim_goes_on(&v) ? sim_leave(disk, &v, SQLITE_OK) : v.code;
}

int sim_disk_sync_folder(struct sim_disk *disk)
{
    struct sim_verdict v = sim_enter(disk, disk->epoch, SIM_DISK_SYNC, "", 0, 0);
    bool loses = v.code != SQLITE_OK && v.effect == SIM_DISK_SYNC_LOSES;
    if (sim_goes_on(&v) || loses)
        sim_folder_sync(disk, loses);
    return sim_goes_on(&v) ? sim_leave(disk, &v, SQLITE_OK) : v.code;
}
