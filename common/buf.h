/* buf.h - a growing byte buffer that cannot exist without a limit.
 *
 * Model:      bytes [0, size) are content; capacity grows by doubling up to `limit`.
 * Invariants: size <= capacity <= limit. After a failed append the content is as before, and
 * `error` keeps the first failure: every append after it fails with the same code until
 * buf_reset(), so that a run of appends may be checked once, at its end.
 * Ownership:  the caller embeds the struct; buf_done() frees the memory and accepts a zeroed
 *             struct. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/bytes.h"
#include "common/error.h"

struct buf {
    uint8_t *data;
    size_t size, capacity, limit;
    enum err error; /* first failure since init or reset: ERR_NOMEM or ERR_TOO_LARGE */
};

void buf_init(struct buf *b, size_t limit_bytes);
void buf_done(struct buf *b);
/* Empties it, keeps the memory, clears error. */
void buf_reset(struct buf *b);
/* ERR_NOMEM, ERR_TOO_LARGE (past the limit). data may be NULL when size is 0; it must not point
 * into the buffer itself. */
enum err buf_append(struct buf *b, const void *data, size_t size);
enum err buf_append_byte(struct buf *b, uint8_t byte);
/* Makes room for `size` more bytes and returns where to write them, or NULL (see error);
 * the caller then adds what it wrote to b->size. */
uint8_t *buf_reserve(struct buf *b, size_t size);
struct bytes buf_view(const struct buf *b);

/* LEB128 varints (7 bits a byte, least first): the encoding inside version blobs. */
enum err buf_append_varint(struct buf *b, uint64_t value);
/* Reads one varint at *offset. ERR_MALFORMED: truncated, over 64 bit, or not the shortest form. */
enum err varint_get(struct bytes in, size_t *offset, uint64_t *ret_value);

#endif
