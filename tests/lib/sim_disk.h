/* sim_disk.h - a disk in memory that SQLite writes to, with power cuts and faults: an SQLite VFS.
 *
 * Model:      a disk is a folder of named files. What a program reads back is the *volatile* view
 *             (the page cache); beside it stands what is *durable*, and the list of the writes,
 *             truncations and changes of the folder between the two, in the order of the calls. A
 *             sync moves the file's part of that list to what is durable; the folder's part is moved
 *             when a new journal or log is synced the first time, by a delete that asks for it, and
 *             by sim_disk_sync_folder(): as SQLite's VFS for Unix does, and no more.
 * Processes:  one process uses a disk at a time, with as many connections as it likes (locks and the
 *             shared memory of the log are the disk's). It ends without warning by sim_disk_kill(),
 *             sim_disk_crash() or a fault that cuts the power: from then on each call on what it had
 *             open fails with SQLITE_IOERR and does nothing, until sim_disk_start(). Close what was
 *             open before or after that; nothing of it reaches the disk any more.
 * Memory:     blocks of 4 KiB, counted and copied on write: a copy of a disk costs some nanoseconds
 *             per block. None of it comes from malloc, so that failing_alloc.h fails the product's
 *             allocations and never the disk's.
 * Determinism: nothing depends on time, addresses or the process; SQLite's own random numbers are the
 *             process's, see sim_disk_seed_sqlite().
 * Threads:    one. Ownership: sim_disk_new() to sim_disk_free(), no file being open then.
 * Source:     https://sqlite.org/vfs.html, https://sqlite.org/atomiccommit.html sections 2 and 9,
 *             os_unix.c of SQLite (which calls sync what). */
#ifndef TESTS_LIB_SIM_DISK_H
#define TESTS_LIB_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/store_sqlite/store_sqlite.h"

enum { SIM_DISK_SECTOR = 512, SIM_DISK_NAME_MAX = 200 };

struct sim_disk;

/* An empty disk, started. The seed is of its random numbers and of faults at a rate. */
struct sim_disk *sim_disk_new(uint64_t seed);
/* Accepts NULL. */
void sim_disk_free(struct sim_disk *disk);
/* The same files, durable and volatile with the list between, on a started disk of its own with
 * another seed: without locks, faults, connections. A rollback of a whole disk is a copy as well. */
struct sim_disk *sim_disk_copy(const struct sim_disk *disk, uint64_t seed);

/* The name of the disk's VFS, for store_sqlite_options.vfs and sqlite3_open_v2(). It lives as long as
 * the disk. Paths on it are names as they are given, with or without slashes. */
const char *sim_disk_vfs(const struct sim_disk *disk);

/* Seeds the generator behind sqlite3_randomness() (salts of the log), which is the whole process's:
 * before a run that shall be the same twice. */
void sim_disk_seed_sqlite(uint32_t seed);

/* What SQLite's CURRENT_TIMESTAMP and the like show, ms since 1970; 0 at first. A sleep of SQLite
 * (busy_timeout) passes on this clock and takes no real time. */
void sim_disk_set_time(struct sim_disk *disk, int64_t now_ms);

/* ---- ends of processes ---- */

enum sim_disk_survivors {
    SIM_DISK_LOSE,    /* nothing that was not synced */
    SIM_DISK_PREFIX,  /* the first `seed % (n + 1)` of the n operations that were not */
    SIM_DISK_SUBSET,  /* of those, each sector and each change of the folder by a coin */
    SIM_DISK_GARBAGE, /* SUBSET, and one of the sectors written holds garbage (there may be none) */
    SIM_DISK_ALL,     /* everything: the kernel had just written it back */
    SIM_DISK_SURVIVORS_COUNT
};

/* The process is gone; the machine runs on, so nothing is lost. The disk is down. */
void sim_disk_kill(struct sim_disk *disk);
/* The power goes, or has gone at a fault: what survives becomes the content, all of it durable. The
 * disk is down. May be called on a disk that is down. */
void sim_disk_crash(struct sim_disk *disk, enum sim_disk_survivors survivors, uint64_t seed);
/* The next process may begin. Counts of calls go on; faults are gone. */
void sim_disk_start(struct sim_disk *disk);
bool sim_disk_is_down(const struct sim_disk *disk);

/* How many operations are not durable yet: n of SIM_DISK_PREFIX. */
uint64_t sim_disk_unsynced(const struct sim_disk *disk);
/* Makes everything durable (a template image that was written with synchronous=OFF). */
void sim_disk_sync_all(struct sim_disk *disk);

/* SQLite takes a sector's bytes outside a write for safe when the power goes ("powersafe overwrite",
 * its default on Unix): true at first. With false the disk does not promise it, and garbage covers
 * whole sectors, bytes that were synced included. */
void sim_disk_set_powersafe(struct sim_disk *disk, bool powersafe);

/* ---- faults ---- */

enum sim_disk_call {
    SIM_DISK_OPEN, /* of a file that is there; else CREATE */
    SIM_DISK_CREATE,
    SIM_DISK_DELETE,
    SIM_DISK_ACCESS,
    SIM_DISK_READ,
    SIM_DISK_WRITE,
    SIM_DISK_TRUNCATE,
    SIM_DISK_SYNC, /* a file's, or the folder's */
    SIM_DISK_FILE_SIZE,
    SIM_DISK_LOCK,
    SIM_DISK_UNLOCK,
    SIM_DISK_CHECK_RESERVED,
    SIM_DISK_SHM_MAP,
    SIM_DISK_SHM_LOCK, /* to take one; giving one back cannot fail */
    SIM_DISK_RENAME,   /* sim_disk_rename() alone: SQLite has none */
    SIM_DISK_CALL_COUNT
};

#define SIM_DISK_BIT(call) (1u << (call))
/* Each call, and those that change the disk: the points at which a power cut differs. */
#define SIM_DISK_ANY       ((1u << SIM_DISK_CALL_COUNT) - 1)
#define SIM_DISK_CHANGES                                              \
    (SIM_DISK_BIT(SIM_DISK_CREATE) | SIM_DISK_BIT(SIM_DISK_DELETE) |  \
     SIM_DISK_BIT(SIM_DISK_WRITE) | SIM_DISK_BIT(SIM_DISK_TRUNCATE) | \
     SIM_DISK_BIT(SIM_DISK_SYNC) | SIM_DISK_BIT(SIM_DISK_RENAME))

enum sim_disk_effect {
    SIM_DISK_FAILS,        /* the call answers `code` and does nothing */
    SIM_DISK_HALF_WRITE,   /* a write does its first half, then answers `code`; others as FAILS */
    SIM_DISK_SHORT_READ,   /* a read of a journal or log gives its first half, zeros, and
                              SQLITE_IOERR_SHORT_READ; others as FAILS: of the database file SQLite
                              takes the zeros for a page, since no disk gives less than there is
                              without an error, and so protects from none that does */
    SIM_DISK_SYNC_LOSES,   /* a sync answers `code`, and what it should have written may never be
                              (by a coin per sector), though reads go on showing it and the next sync
                              succeeds: as Linux does. Others as FAILS */
    SIM_DISK_POWER_BEFORE, /* the disk goes down, the call not done */
    SIM_DISK_POWER_AFTER,  /* the call done */
};

struct sim_disk_fault {
    uint32_t calls;    /* SIM_DISK_BIT()s that it concerns */
    uint64_t at;       /* the at-th of them from now on (1: the next); 0: by rate_ppm */
    uint32_t rate_ppm; /* each with this chance, in parts per million, from the disk's seed */
    bool forever;      /* and all after it; with at */
    enum sim_disk_effect effect;
    int code; /* SQLite's; 0: the one that the call has for a failing disk (SQLITE_IOERR_WRITE, ...) */
};

enum { SIM_DISK_FAULTS = 4 };
/* How many more it takes. */
uint32_t sim_disk_fault_room(const struct sim_disk *disk);
/* Adds a fault (up to SIM_DISK_FAULTS; the first that hits is the one). */
void sim_disk_fail(struct sim_disk *disk, const struct sim_disk_fault *fault);
void sim_disk_no_faults(struct sim_disk *disk);
/* While paused, calls neither count nor meet faults: who looks is not part of the story. */
void sim_disk_pause_faults(struct sim_disk *disk, bool paused);
/* How often a fault has hit since the disk was made. */
uint64_t sim_disk_hits(const struct sim_disk *disk);

/* Bytes that all files together may have, counted in blocks of 4 KiB, and 32 KiB for each region of
 * shared memory; 0: no bound. A write past it does what fits and answers SQLITE_FULL; shared memory
 * past it is SQLITE_IOERR_SHMSIZE, as on Unix. */
void sim_disk_set_capacity(struct sim_disk *disk, uint64_t bytes);
uint64_t sim_disk_used(const struct sim_disk *disk);

/* Calls of these kinds (SIM_DISK_BIT()s) since the disk was made. */
uint64_t sim_disk_count(const struct sim_disk *disk, uint32_t calls);

/* Told of each call before it is done, for traces: name "" for a file without one. */
typedef void sim_disk_observer_fn(void *context, enum sim_disk_call call, const char *name,
                                  uint64_t offset, uint64_t size);
void sim_disk_observe(struct sim_disk *disk, sim_disk_observer_fn *fn, void *context);
const char *sim_disk_call_name(enum sim_disk_call call);

/* ---- files from outside: of the test, or of what stands for an operating system's calls ---- */

bool sim_disk_exists(const struct sim_disk *disk, const char *name);
/* Of the volatile view; 0 for no such file. */
uint64_t sim_disk_size(const struct sim_disk *disk, const char *name);
/* Copies what is there; returns how much. Counts no call, meets no fault, as those below. */
size_t sim_disk_peek(const struct sim_disk *disk, const char *name, uint64_t offset, void *out,
                     size_t size);
/* Overwrites durable bytes and volatile ones: the disk rots. */
void sim_disk_poke(struct sim_disk *disk, const char *name, uint64_t offset, struct bytes bytes);
/* A whole file to this or another disk under a name, durable at once: a backup that is carried away or
 * put back. Replaces what had the name, which must not be open. false: there is no such file. */
bool sim_disk_carry(const struct sim_disk *from, const char *name, struct sim_disk *to,
                    const char *to_name);

/* These are calls: they count, meet faults, and return SQLite's codes. */
int sim_disk_remove(struct sim_disk *disk, const char *name); /* SQLITE_IOERR_DELETE_NOENT */
/* Never replaces a file: SQLITE_CONSTRAINT. SQLITE_CANTOPEN: there is none. */
int sim_disk_rename(struct sim_disk *disk, const char *from, const char *to);
int sim_disk_sync_file(struct sim_disk *disk, const char *name);
int sim_disk_sync_folder(struct sim_disk *disk);
/* For store_sqlite_options.files, so that backups are made on the disk. */
struct store_sqlite_files sim_disk_files(struct sim_disk *disk);

#endif
