/* Content of files: blocks that are counted, and copied when one of their owners writes. */
#include <string.h>

#include "tests/lib/sim_disk_internal.h"
#include "tests/lib/unfailing.h"

static void block_unref(struct sim_block *block)
{
    if (block != NULL && --block->refs == 0)
        unfailing_free(block);
}

void sim_image_put_block(struct sim_image *image, size_t index, struct sim_block *block)
{
    if (index >= image->capacity) {
        size_t capacity = image->capacity == 0 ? 16 : image->capacity;
        while (capacity <= index)
            capacity *= 2;
        image->blocks = unfailing_realloc(image->blocks, capacity * sizeof(struct sim_block *));
        image->capacity = capacity; /* what is new is NULL */
    }
    if (block != NULL)
        block->refs++;
    block_unref(image->blocks[index]);
    image->blocks[index] = block;
    if (index >= image->count)
        image->count = index + 1;
}

struct sim_block *sim_image_block(const struct sim_image *image, size_t index)
{
    return index < image->count ? image->blocks[index] : NULL;
}

/* A block of this image alone, to write to. */
static struct sim_block *image_own_block(struct sim_image *image, size_t index)
{
    struct sim_block *old = sim_image_block(image, index);
    if (old != NULL && old->refs == 1)
        return old;
    struct sim_block *block = unfailing_malloc(sizeof *block);
    if (old != NULL)
        memcpy(block->bytes, old->bytes, SIM_BLOCK);
    sim_image_put_block(image, index, block);
    return block;
}

size_t sim_image_read(const struct sim_image *image, uint64_t offset, void *out, size_t size)
{
    uint8_t *to = out;
    memset(to, 0, size);
    if (offset >= image->size)
        return 0;
    if (size > image->size - offset)
        size = (size_t)(image->size - offset);
    for (size_t done = 0; done < size;) {
        size_t within = (size_t)((offset + done) % SIM_BLOCK);
        size_t part = SIM_BLOCK - within < size - done ? SIM_BLOCK - within : size - done;
        const struct sim_block *block =
            sim_image_block(image, (size_t)((offset + done) / SIM_BLOCK));
        if (block != NULL)
            memcpy(to + done, block->bytes + within, part);
        done += part;
    }
    return size;
}

void sim_image_write(struct sim_image *image, uint64_t offset, const uint8_t *in, size_t size)
{
    for (size_t done = 0; done < size;) {
        size_t within = (size_t)((offset + done) % SIM_BLOCK);
        size_t part = SIM_BLOCK - within < size - done ? SIM_BLOCK - within : size - done;
        struct sim_block *block = image_own_block(image, (size_t)((offset + done) / SIM_BLOCK));
        memcpy(block->bytes + within, in + done, part);
        done += part;
    }
    if (offset + size > image->size)
        image->size = offset + size;
}

void sim_image_truncate(struct sim_image *image, uint64_t size)
{
    size_t keep = (size_t)((size + SIM_BLOCK - 1) / SIM_BLOCK);
    for (size_t i = keep; i < image->count; i++) {
        block_unref(image->blocks[i]);
        image->blocks[i] = NULL;
    }
    if (image->count > keep)
        image->count = keep;
    size_t within = (size_t)(size % SIM_BLOCK);
    if (size < image->size && within > 0 && sim_image_block(image, keep - 1) != NULL)
        memset(image_own_block(image, keep - 1)->bytes + within, 0, SIM_BLOCK - within);
    image->size = size;
}

void sim_image_share(struct sim_image *to, const struct sim_image *from)
{
    sim_image_truncate(to, 0);
    for (size_t i = from->count; i-- > 0;)
        sim_image_put_block(to, i, from->blocks[i]);
    to->size = from->size;
}

void sim_image_done(struct sim_image *image)
{
    sim_image_truncate(image, 0);
    unfailing_free(image->blocks);
}
