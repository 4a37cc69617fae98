/* sim_disk_internal.h - what sim_disk.c (the folder, power cuts), sim_disk_image.c (content),
 * sim_disk_faults.c and sim_disk_vfs.c (SQLite's side) share; nobody else includes it. */
#ifndef TESTS_LIB_SIM_DISK_INTERNAL_H
#define TESTS_LIB_SIM_DISK_INTERNAL_H

#include <sqlite3.h>

#include "tests/lib/seeded_rng.h"
#include "tests/lib/sim_disk.h"

enum { SIM_BLOCK = 4096, SIM_SHM_LOCKS = SQLITE_SHM_NLOCK, SIM_SHM_REGION = 32 << 10 };

struct sim_block {
    uint32_t refs;
    uint8_t bytes[SIM_BLOCK];
};

/* Content of a file. A block that is NULL, or not in the array, is zeros. */
struct sim_image {
    struct sim_block **blocks;
    size_t count, capacity;
    uint64_t size;
};

struct sim_shm {
    uint32_t refs; /* of the file and of each connection that has it mapped */
    uint8_t **regions;
    uint32_t region_count, region_size;
    uint32_t shared[SIM_SHM_LOCKS];
    struct sim_file *exclusive[SIM_SHM_LOCKS];
};

/* A file, whatever its names. */
struct sim_inode {
    uint32_t refs; /* of names, operations and handles */
    struct sim_disk *disk;
    struct sim_inode *next; /* all of the disk */
    struct sim_inode *twin; /* while a disk is copied */
    struct sim_image now, durable;
    bool syncs_folder; /* a new journal: its first sync is the folder's as well */
    /* Locks of the process that runs: */
    uint32_t shared;
    struct sim_file *reserved, *pending; /* pending: or exclusive */
    struct sim_shm *shm;
};

struct sim_name {
    char *name;
    struct sim_inode *inode;
};

struct sim_folder {
    struct sim_name *names; /* in the order of their creation */
    size_t count, capacity;
};

enum sim_op_kind { SIM_OP_WRITE, SIM_OP_TRUNCATE, SIM_OP_LINK, SIM_OP_UNLINK };

/* Content of a write, shared by copies of the disk. */
struct sim_data {
    uint32_t refs;
    uint8_t bytes[];
};

/* What is not durable yet. A rename is an unlink of the old name that links the new one. */
struct sim_op {
    enum sim_op_kind kind;
    struct sim_op *next;
    struct sim_inode *inode;
    uint64_t offset, size; /* of a write; size: also of a truncation */
    struct sim_data *data;
    char *name, *new_name;
};

struct sim_armed {
    struct sim_disk_fault fault;
    uint64_t seen;
    bool used; /* not forever, and has hit */
};

struct sim_disk {
    sqlite3_vfs vfs; /* its pAppData is the disk */
    char vfs_name[32];
    struct sim_inode *inodes;
    struct sim_folder now, durable;
    struct sim_op *first, **end;
    uint64_t op_count;
    struct seeded_rng rng;
    int64_t now_us;
    uint64_t epoch; /* of the process that runs: handles of another are dead */
    bool down;
    bool powersafe;
    bool paused;
    uint64_t capacity;
    uint64_t counts[SIM_DISK_CALL_COUNT];
    uint64_t hits;
    struct sim_armed faults[SIM_DISK_FAULTS];
    size_t fault_count;
    sim_disk_observer_fn *observer;
    void *observer_context;
};

struct sim_file {
    sqlite3_file file; /* first */
    struct sim_disk *disk;
    struct sim_inode *inode;
    uint64_t epoch;
    char name[SIM_DISK_NAME_MAX]; /* "" without one */
    bool is_journal;              /* or a log */
    int lock;
    struct sim_shm *shm;
    uint32_t shm_shared, shm_exclusive; /* bits */
};

/* sim_disk_image.c */

/* How much of a read of this many bytes there is; the rest of `out` is zeros. */
size_t sim_image_read(const struct sim_image *image, uint64_t offset, void *out, size_t size);
void sim_image_write(struct sim_image *image, uint64_t offset, const uint8_t *in, size_t size);
void sim_image_truncate(struct sim_image *image, uint64_t size);
/* Makes `to` the same content. */
void sim_image_share(struct sim_image *to, const struct sim_image *from);
struct sim_block *sim_image_block(const struct sim_image *image, size_t index);
void sim_image_put_block(struct sim_image *image, size_t index, struct sim_block *block);
void sim_image_done(struct sim_image *image);

/* sim_disk.c */

struct sim_inode *sim_inode_find(const struct sim_folder *folder, const char *name);
struct sim_inode *sim_inode_new(struct sim_disk *disk);
void sim_inode_unref(struct sim_inode *inode);
/* Volatile changes, with their entry in the list. */
void sim_inode_write(struct sim_inode *inode, uint64_t offset, const void *in, size_t size);
void sim_inode_truncate(struct sim_inode *inode, uint64_t size);
void sim_disk_link(struct sim_disk *disk, const char *name, struct sim_inode *inode);
/* new_name: NULL, or what it is called from now on. */
void sim_disk_unlink(struct sim_disk *disk, const char *name, const char *new_name);
/* loses: by a coin per sector; the list forgets them all the same. */
void sim_inode_sync(struct sim_inode *inode, bool loses);
void sim_folder_sync(struct sim_disk *disk, bool loses);
void sim_shm_unref(struct sim_shm *shm);

/* sim_disk_faults.c */

/* What happens to a call. */
struct sim_verdict {
    bool hit;
    enum sim_disk_effect effect;
    int code; /* SQLITE_OK: the call goes on */
};

/* Each call begins here. All faults see it, so that each counts for itself. epoch: of the process
 * that calls. */
struct sim_verdict sim_enter(struct sim_disk *disk, uint64_t epoch, enum sim_disk_call call,
                             const char *name, uint64_t offset, uint64_t size);
/* Whether the call itself is to be done before its code is returned. */
bool sim_goes_on(const struct sim_verdict *verdict);
/* The end of a call that was done. */
int sim_leave(struct sim_disk *disk, const struct sim_verdict *verdict, int code);
int sim_remove(struct sim_disk *disk, const char *name, bool sync_folder);

/* sim_disk_vfs.c */

void sim_vfs_register(struct sim_disk *disk);
void sim_vfs_unregister(struct sim_disk *disk);

#endif
