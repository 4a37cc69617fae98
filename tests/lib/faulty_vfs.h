/* faulty_vfs.h - SQLite on the default VFS, with writes and syncs that fail on request.
 *
 * Use:        open the store with .vfs = FAULTY_VFS_NAME; faults concern every file opened since.
 *             One user at a time: the state is the process's. */
#ifndef TESTS_LIB_FAULTY_VFS_H
#define TESTS_LIB_FAULTY_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define FAULTY_VFS_NAME "satchel-faulty"

enum faulty_operation { FAULTY_WRITE, FAULTY_SYNC, FAULTY_READ, FAULTY_OPERATION_COUNT };

/* Registers the VFS; no faults, counts at 0. May be called again. */
void faulty_vfs_init(void);
/* The k-th such operation from now on (1: the next) fails with this SQLite code, and with `forever`
 * all after it. k = 0: none. */
void faulty_vfs_fail_at(enum faulty_operation operation, uint64_t k, int code, bool forever);
/* How many there have been since faulty_vfs_init(). */
uint64_t faulty_vfs_count(enum faulty_operation operation);

#endif
