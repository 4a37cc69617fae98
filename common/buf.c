#include "common/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAPACITY_MIN 64

void buf_init(struct buf *b, size_t limit_bytes)
{
    *b = (struct buf){.limit = limit_bytes};
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.limit = b->limit};
}

void buf_reset(struct buf *b)
{
    b->size = 0;
    b->error = ERR_OK;
}

static enum err buf_fail(struct buf *b, enum err error)
{
    b->error = error;
    return error;
}

/* Makes capacity >= size + more, and data not NULL. Fails, and goes on failing, with b->error. */
static enum err buf_grow(struct buf *b, size_t more)
{
    size_t wanted, capacity;
    uint8_t *data;

    assert(b->size <= b->capacity && b->capacity <= b->limit);
    if (b->error != ERR_OK)
        return b->error;
    if (more > b->limit - b->size)
        return buf_fail(b, ERR_TOO_LARGE);
    wanted = b->size + more;
    if (wanted <= b->capacity && b->data != NULL)
        return ERR_OK;
    capacity = b->capacity > b->limit / 2 ? b->limit : b->capacity * 2;
    if (capacity < BUF_CAPACITY_MIN)
        capacity = BUF_CAPACITY_MIN < b->limit ? BUF_CAPACITY_MIN : b->limit;
    if (capacity < wanted)
        capacity = wanted;
    data = realloc(b->data, capacity > 0 ? capacity : 1);
    if (data == NULL)
        return buf_fail(b, ERR_NOMEM);
    b->data = data;
    b->capacity = capacity;
    return ERR_OK;
}

enum err buf_append(struct buf *b, const void *data, size_t size)
{
    if (size == 0 || buf_grow(b, size) != ERR_OK)
        return b->error;
    memcpy(b->data + b->size, data, size);
    b->size += size;
    return ERR_OK;
}

enum err buf_append_byte(struct buf *b, uint8_t byte)
{
    return buf_append(b, &byte, 1);
}

uint8_t *buf_reserve(struct buf *b, size_t size)
{
    return buf_grow(b, size) == ERR_OK ? b->data + b->size : NULL;
}

struct bytes buf_view(const struct buf *b)
{
    return bytes_of(b->data, b->size);
}

enum err buf_append_varint(struct buf *b, uint64_t value)
{
    uint8_t encoded[10];
    size_t size = 0;

    while (value >= 0x80) {
        encoded[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    encoded[size++] = (uint8_t)value;
    return buf_append(b, encoded, size);
}

enum err varint_get(struct bytes in, size_t *offset, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t at = *offset;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;

        if (at >= in.size)
            return ERR_MALFORMED;
        byte = in.data[at++];
        if (shift == 63 && byte > 1)
            return ERR_MALFORMED;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0)
                return ERR_MALFORMED;
            *offset = at;
            *ret_value = value;
            return ERR_OK;
        }
    }
    return ERR_MALFORMED;
}
