/* unpack.h - one MessagePack object after another, by msgpack-c.
 *
 * Model:      array headers are read here and their elements one by one, so that msgpack-c never
 *             sees a whole message: a scalar allocates nothing, and a small array (a mutation, a
 *             row: the hot paths) goes into a zone that is used again for the next one. Measured on
 *             100,000 arrays of 15: 4.3 million a second so, 3.0 by msgpack_unpack_next (a new zone
 *             each), 2.1 for one tree.
 * Safety:     safe on any bytes: only unpack_object() allocates, and it scans (scan.h) what it is
 *             going to read.
 * Ownership:  strings and binaries are views into the input. An object lives until the next
 *             unpack_object() or unpack_done().
 * Internal to protocol/. */
#ifndef PROTOCOL_UNPACK_H
#define PROTOCOL_UNPACK_H

#include "common/bytes.h"
#include "common/error.h"
#include "common/model.h"
#include "common/uuid.h"

#include <msgpack.h>

struct unpacker {
    struct bytes in;
    size_t at;
    msgpack_zone *zone; /* made at the first unpack_object() */
};

void unpack_init(struct unpacker *u, struct bytes in);
void unpack_done(struct unpacker *u);
bool unpack_at_end(const struct unpacker *u);

/* Each reads one object and moves on; ERR_MALFORMED: another type, above max, truncated. On failure
 * neither the position nor *ret has changed. */
enum err unpack_array(struct unpacker *u, uint32_t max_count, uint32_t *ret_count); /* its header */
enum err unpack_uint(struct unpacker *u, uint64_t max, uint64_t *ret);
enum err unpack_int(struct unpacker *u, int64_t *ret);
enum err unpack_text(struct unpacker *u, size_t max_size,
                     struct bytes *ret); /* UTF-8 is not checked */
enum err unpack_binary(struct unpacker *u, size_t max_size, struct bytes *ret);
enum err unpack_id(struct unpacker *u, struct uuid *ret);
/* True, and moved on, if nil comes next. */
bool unpack_nil(struct unpacker *u);
/* Any object, unread: for fields that a newer peer adds. ERR_MALFORMED. */
enum err unpack_skip(struct unpacker *u);
/* Any object, as a tree. ERR_MALFORMED, ERR_NOMEM. */
enum err unpack_object(struct unpacker *u, msgpack_object *ret);
/* Scratch that lives as long as the last object. NULL: no memory. */
void *unpack_scratch(struct unpacker *u, size_t size);

/* Parts of a tree. False: another type, or out of range. */
static inline bool object_uint(const msgpack_object *object, uint64_t max, uint64_t *ret)
{
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 > max)
        return false;
    *ret = object->via.u64;
    return true;
}

static inline bool object_id(const msgpack_object *object, struct uuid *ret)
{
    if (object->type != MSGPACK_OBJECT_BIN || object->via.bin.size != sizeof(ret->byte))
        return false;
    memcpy(ret->byte, object->via.bin.ptr, sizeof(ret->byte));
    return true;
}

/* A value that the column's type can have, or NULL: only the kind is looked at. */
bool object_value(const msgpack_object *object, enum column_type type, struct value *ret);

#endif
