/* Files in memory, durable and not, and what a power cut leaves of them. */
#include "tests/lib/sim_disk.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/sim_disk_internal.h"
#include "tests/lib/unfailing.h"

/* ---- files and the folder ---- */

struct sim_inode *sim_inode_new(struct sim_disk *disk)
{
    struct sim_inode *inode = unfailing_malloc(sizeof *inode);
    inode->refs = 1;
    inode->disk = disk;
    inode->next = disk->inodes;
    disk->inodes = inode;
    return inode;
}

void sim_shm_unref(struct sim_shm *shm)
{
    if (shm == NULL || --shm->refs > 0)
        return;
    for (uint32_t i = 0; i < shm->region_count; i++)
        unfailing_free(shm->regions[i]);
    unfailing_free(shm->regions);
    unfailing_free(shm);
}

void sim_inode_unref(struct sim_inode *inode)
{
    if (--inode->refs > 0)
        return;
    struct sim_inode **at = &inode->disk->inodes;
    while (*at != inode)
        at = &(*at)->next;
    *at = inode->next;
    sim_shm_unref(inode->shm);
    sim_image_done(&inode->now);
    sim_image_done(&inode->durable);
    unfailing_free(inode);
}

static struct sim_name *folder_find(const struct sim_folder *folder, const char *name)
{
    for (size_t i = 0; i < folder->count; i++)
        if (strcmp(folder->names[i].name, name) == 0)
            return &folder->names[i];
    return NULL;
}

struct sim_inode *sim_inode_find(const struct sim_folder *folder, const char *name)
{
    struct sim_name *found = folder_find(folder, name);
    return found == NULL ? NULL : found->inode;
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(unfailing_malloc(size), text, size);
}

static void folder_unlink(struct sim_folder *folder, const char *name)
{
    struct sim_name *found = folder_find(folder, name);
    if (found == NULL)
        return;
    unfailing_free(found->name);
    sim_inode_unref(found->inode);
    folder->count--;
    memmove(found, found + 1, (size_t)(folder->names + folder->count - found) * sizeof *found);
}

static void folder_link(struct sim_folder *folder, const char *name, struct sim_inode *inode)
{
    inode->refs++;
    folder_unlink(folder, name);
    if (folder->count == folder->capacity) {
        folder->capacity = folder->capacity == 0 ? 4 : folder->capacity * 2;
        folder->names = unfailing_realloc(folder->names, folder->capacity * sizeof *folder->names);
    }
    folder->names[folder->count++] = (struct sim_name){copy_text(name), inode};
}

static void folder_clear(struct sim_folder *folder)
{
    while (folder->count > 0)
        folder_unlink(folder, folder->names[folder->count - 1].name);
}

static void folder_share(struct sim_folder *to, const struct sim_folder *from)
{
    folder_clear(to);
    for (size_t i = 0; i < from->count; i++)
        folder_link(to, from->names[i].name, from->names[i].inode);
}

/* ---- the list of what is not durable ---- */

static struct sim_op *op_new(struct sim_disk *disk, enum sim_op_kind kind, struct sim_inode *inode)
{
    struct sim_op *op = unfailing_malloc(sizeof *op);
    op->kind = kind;
    op->inode = inode;
    inode->refs++;
    *disk->end = op;
    disk->end = &op->next;
    disk->op_count++;
    return op;
}

static void op_free(struct sim_op *op)
{
    if (op->data != NULL && --op->data->refs == 0)
        unfailing_free(op->data);
    unfailing_free(op->name);
    unfailing_free(op->new_name);
    sim_inode_unref(op->inode);
    unfailing_free(op);
}

static bool is_of_folder(const struct sim_op *op)
{
    return op->kind == SIM_OP_LINK || op->kind == SIM_OP_UNLINK;
}

/* Takes the operations of a file out of the list (NULL: of the folder), in their order. */
static struct sim_op *take_ops(struct sim_disk *disk, const struct sim_inode *inode)
{
    struct sim_op *taken = NULL, **end = &taken;
    struct sim_op **at = &disk->first;
    while (*at != NULL) {
        struct sim_op *op = *at;
        if (inode == NULL ? !is_of_folder(op) : is_of_folder(op) || op->inode != inode) {
            at = &op->next;
            continue;
        }
        *at = op->next;
        op->next = NULL;
        *end = op;
        end = &op->next;
        disk->op_count--;
    }
    disk->end = at;
    return taken;
}

static void drop_ops(struct sim_disk *disk)
{
    while (disk->first != NULL) {
        struct sim_op *op = disk->first;
        disk->first = op->next;
        op_free(op);
    }
    disk->end = &disk->first;
    disk->op_count = 0;
}

/* Makes an operation durable. */
static void apply(struct sim_disk *disk, const struct sim_op *op)
{
    switch (op->kind) {
    case SIM_OP_WRITE:
        sim_image_write(&op->inode->durable, op->offset, op->data->bytes, (size_t)op->size);
        break;
    case SIM_OP_TRUNCATE: sim_image_truncate(&op->inode->durable, op->size); break;
    case SIM_OP_LINK: folder_link(&disk->durable, op->name, op->inode); break;
    case SIM_OP_UNLINK:
        if (op->new_name != NULL)
            folder_link(&disk->durable, op->new_name, op->inode);
        folder_unlink(&disk->durable, op->name);
        break;
    }
}

/* The part of a write from `at` on that lies in one sector. */
static uint64_t sector_part(const struct sim_op *op, uint64_t at)
{
    uint64_t to_end = op->offset + op->size - at;
    uint64_t to_next = SIM_DISK_SECTOR - at % SIM_DISK_SECTOR;
    return to_next < to_end ? to_next : to_end;
}

static void apply_by_coins(struct sim_disk *disk, const struct sim_op *op, struct seeded_rng *rng)
{
    if (op->kind != SIM_OP_WRITE) {
        if (seeded_below(rng, 2) == 1)
            apply(disk, op);
        return;
    }
    for (uint64_t at = op->offset; at < op->offset + op->size; at += sector_part(op, at))
        if (seeded_below(rng, 2) == 1)
            sim_image_write(&op->inode->durable, at, op->data->bytes + (at - op->offset),
                            (size_t)sector_part(op, at));
}

void sim_inode_write(struct sim_inode *inode, uint64_t offset, const void *in, size_t size)
{
    if (size == 0)
        return;
    struct sim_op *op = op_new(inode->disk, SIM_OP_WRITE, inode);
    op->offset = offset;
    op->size = size;
    op->data = unfailing_malloc(sizeof *op->data + size);
    op->data->refs = 1;
    memcpy(op->data->bytes, in, size);
    sim_image_write(&inode->now, offset, in, size);
}

void sim_inode_truncate(struct sim_inode *inode, uint64_t size)
{
    if (size == inode->now.size)
        return;
    op_new(inode->disk, SIM_OP_TRUNCATE, inode)->size = size;
    sim_image_truncate(&inode->now, size);
}

void sim_disk_link(struct sim_disk *disk, const char *name, struct sim_inode *inode)
{
    op_new(disk, SIM_OP_LINK, inode)->name = copy_text(name);
    folder_link(&disk->now, name, inode);
}

void sim_disk_unlink(struct sim_disk *disk, const char *name, const char *new_name)
{
    struct sim_inode *inode = sim_inode_find(&disk->now, name);
    struct sim_op *op = op_new(disk, SIM_OP_UNLINK, inode);
    op->name = copy_text(name);
    if (new_name != NULL) {
        op->new_name = copy_text(new_name);
        folder_link(&disk->now, new_name, inode);
    }
    folder_unlink(&disk->now, name);
}

/* A write or truncation is made durable as the kernel does it: by whole blocks, as they are now. */
static void share_blocks(struct sim_inode *inode, const struct sim_op *op)
{
    size_t from = (size_t)((op->kind == SIM_OP_WRITE ? op->offset : op->size) / SIM_BLOCK);
    size_t end = op->kind == SIM_OP_WRITE
                     ? (size_t)((op->offset + op->size + SIM_BLOCK - 1) / SIM_BLOCK)
                     : inode->durable.count;
    if (op->kind == SIM_OP_TRUNCATE && inode->now.count > end)
        end = inode->now.count;
    for (size_t i = from; i < end; i++)
        if (sim_image_block(&inode->durable, i) != sim_image_block(&inode->now, i))
            sim_image_put_block(&inode->durable, i, sim_image_block(&inode->now, i));
}

void sim_inode_sync(struct sim_inode *inode, bool loses)
{
    struct sim_op *op = take_ops(inode->disk, inode);
    bool any = op != NULL;
    inode->refs++; /* the last operation may hold the last one */
    while (op != NULL) {
        struct sim_op *next = op->next;
        if (loses)
            apply_by_coins(inode->disk, op, &inode->disk->rng);
        else
            share_blocks(inode, op);
        op_free(op);
        op = next;
    }
    if (any && !loses) {
        if (inode->durable.size > inode->now.size)
            sim_image_truncate(&inode->durable, inode->now.size);
        inode->durable.size = inode->now.size;
    }
    sim_inode_unref(inode);
}

void sim_folder_sync(struct sim_disk *disk, bool loses)
{
    struct sim_op *op = take_ops(disk, NULL);
    while (op != NULL) {
        struct sim_op *next = op->next;
        if (loses)
            apply_by_coins(disk, op, &disk->rng);
        else
            apply(disk, op);
        op_free(op);
        op = next;
    }
}

/* ---- the disk ---- */

static struct sim_disk *disk_new(uint64_t seed)
{
    struct sim_disk *disk = unfailing_malloc(sizeof *disk);
    disk->end = &disk->first;
    disk->powersafe = true;
    disk->epoch = 1;
    seeded_rng_start(&disk->rng, seed);
    sim_vfs_register(disk);
    return disk;
}

struct sim_disk *sim_disk_new(uint64_t seed)
{
    return disk_new(seed);
}

void sim_disk_free(struct sim_disk *disk)
{
    if (disk == NULL)
        return;
    sim_vfs_unregister(disk);
    drop_ops(disk);
    folder_clear(&disk->now);
    folder_clear(&disk->durable);
    unfailing_free(disk->now.names);
    unfailing_free(disk->durable.names);
    assert(disk->inodes == NULL); /* otherwise a file is still open */
    unfailing_free(disk);
}

static void copy_folder(struct sim_folder *to, const struct sim_folder *from)
{
    for (size_t i = 0; i < from->count; i++)
        folder_link(to, from->names[i].name, from->names[i].inode->twin);
}

struct sim_disk *sim_disk_copy(const struct sim_disk *disk, uint64_t seed)
{
    struct sim_disk *copy = disk_new(seed);
    copy->powersafe = disk->powersafe;
    copy->capacity = disk->capacity;
    copy->now_us = disk->now_us;
    for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        inode->twin = sim_inode_new(copy);
        inode->twin->syncs_folder = inode->syncs_folder;
        sim_image_share(&inode->twin->now, &inode->now);
        sim_image_share(&inode->twin->durable, &inode->durable);
    }
    copy_folder(&copy->now, &disk->now);
    copy_folder(&copy->durable, &disk->durable);
    for (const struct sim_op *op = disk->first; op != NULL; op = op->next) {
        struct sim_op *twin = op_new(copy, op->kind, op->inode->twin);
        twin->offset = op->offset;
        twin->size = op->size;
        twin->data = op->data;
        if (op->data != NULL)
            op->data->refs++;
        twin->name = op->name == NULL ? NULL : copy_text(op->name);
        twin->new_name = op->new_name == NULL ? NULL : copy_text(op->new_name);
    }
    for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next)
        sim_inode_unref(inode->twin); /* what only a handle held is gone */
    return copy;
}

/* Nobody holds a lock any more; what was open is dead. */
static void end_process(struct sim_disk *disk)
{
    disk->down = true;
    disk->epoch++;
    for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        inode->shared = 0;
        inode->reserved = inode->pending = NULL;
        sim_shm_unref(inode->shm);
        inode->shm = NULL;
    }
}

void sim_disk_kill(struct sim_disk *disk)
{
    end_process(disk);
}

void sim_disk_start(struct sim_disk *disk)
{
    end_process(disk);
    sim_disk_no_faults(disk);
    disk->down = false;
}

bool sim_disk_is_down(const struct sim_disk *disk)
{
    return disk->down;
}

static uint64_t written_sectors(const struct sim_disk *disk)
{
    uint64_t count = 0;
    for (const struct sim_op *op = disk->first; op != NULL; op = op->next)
        for (uint64_t at = op->offset; op->kind == SIM_OP_WRITE && at < op->offset + op->size;
             at += sector_part(op, at))
            count++;
    return count;
}

/* The n-th sector that was written holds garbage, as far as the disk does not promise otherwise. */
static void spoil(struct sim_disk *disk, uint64_t n, struct seeded_rng *rng)
{
    uint8_t garbage[SIM_DISK_SECTOR];
    seeded_fill(rng, garbage, sizeof garbage);
    for (const struct sim_op *op = disk->first; op != NULL; op = op->next)
        for (uint64_t at = op->offset; op->kind == SIM_OP_WRITE && at < op->offset + op->size;
             at += sector_part(op, at)) {
            if (n-- > 0)
                continue;
            uint64_t start = disk->powersafe ? at : at / SIM_DISK_SECTOR * SIM_DISK_SECTOR;
            uint64_t size = disk->powersafe ? sector_part(op, at) : SIM_DISK_SECTOR;
            sim_image_write(&op->inode->durable, start, garbage, (size_t)size);
            return;
        }
}

void sim_disk_crash(struct sim_disk *disk, enum sim_disk_survivors survivors, uint64_t seed)
{
    struct seeded_rng rng;
    uint64_t kept = seed % (disk->op_count + 1);
    end_process(disk);
    seeded_rng_start(&rng, seed);
    for (const struct sim_op *op = disk->first; op != NULL; op = op->next) {
        if (survivors == SIM_DISK_SUBSET || survivors == SIM_DISK_GARBAGE)
            apply_by_coins(disk, op, &rng);
        else if (survivors == SIM_DISK_ALL || (survivors == SIM_DISK_PREFIX && kept > 0))
            apply(disk, op);
        kept -= kept > 0;
    }
    uint64_t sectors = survivors == SIM_DISK_GARBAGE ? written_sectors(disk) : 0;
    if (sectors > 0)
        spoil(disk, seeded_below(&rng, sectors), &rng);
    drop_ops(disk);
    folder_share(&disk->now, &disk->durable);
    for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next)
        sim_image_share(&inode->now, &inode->durable);
}

uint64_t sim_disk_unsynced(const struct sim_disk *disk)
{
    return disk->op_count;
}

void sim_disk_sync_all(struct sim_disk *disk)
{
    drop_ops(disk);
    folder_share(&disk->durable, &disk->now);
    for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next)
        sim_image_share(&inode->durable, &inode->now);
}

void sim_disk_set_powersafe(struct sim_disk *disk, bool powersafe)
{
    disk->powersafe = powersafe;
}

void sim_disk_set_time(struct sim_disk *disk, int64_t now_ms)
{
    disk->now_us = now_ms * 1000;
}

void sim_disk_set_capacity(struct sim_disk *disk, uint64_t bytes)
{
    disk->capacity = bytes;
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
    uint64_t used = 0;
    for (const struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        used += (inode->now.size + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;
        if (inode->shm != NULL)
            used += (uint64_t)inode->shm->region_count * SIM_SHM_REGION;
    }
    return used;
}

/* ---- files from outside ---- */

bool sim_disk_exists(const struct sim_disk *disk, const char *name)
{
    return sim_inode_find(&disk->now, name) != NULL;
}

uint64_t sim_disk_size(const struct sim_disk *disk, const char *name)
{
    const struct sim_inode *inode = sim_inode_find(&disk->now, name);
    return inode == NULL ? 0 : inode->now.size;
}

size_t sim_disk_peek(const struct sim_disk *disk, const char *name, uint64_t offset, void *out,
                     size_t size)
{
    const struct sim_inode *inode = sim_inode_find(&disk->now, name);
    return inode == NULL ? 0 : sim_image_read(&inode->now, offset, out, size);
}

void sim_disk_poke(struct sim_disk *disk, const char *name, uint64_t offset, struct bytes bytes)
{
    struct sim_inode *inode = sim_inode_find(&disk->now, name);
    assert(inode != NULL);
    sim_image_write(&inode->now, offset, bytes.data, bytes.size);
    sim_image_write(&inode->durable, offset, bytes.data, bytes.size);
}

bool sim_disk_carry(const struct sim_disk *from, const char *name, struct sim_disk *to,
                    const char *to_name)
{
    const struct sim_inode *inode = sim_inode_find(&from->now, name);
    if (inode == NULL)
        return false;
    struct sim_inode *copy = sim_inode_new(to);
    sim_image_share(&copy->now, &inode->now);
    sim_image_share(&copy->durable, &inode->now);
    folder_link(&to->now, to_name, copy);
    folder_link(&to->durable, to_name, copy);
    sim_inode_unref(copy);
    return true;
}
