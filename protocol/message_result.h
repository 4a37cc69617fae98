/* message_result.h - for message.c: an element of the lists of CHECKPOINT and FATES, and what elements share. */
#ifndef PROTOCOL_MESSAGE_RESULT_H
#define PROTOCOL_MESSAGE_RESULT_H

#include "protocol/message.h"
#include "protocol/unpack.h"

enum { MESSAGE_FIELDS_MAX = 1 << 16 /* of a newer peer; what is beyond ours is skipped */ };

/* What exceeds a maximum is an error and no assertion: counts grow with what peers do. It stays in
 * out->error, as buf's own errors do. */
static inline void pack_check(struct buf *out, bool right, enum err error)
{
    if (!right && out->error == ERR_OK)
        out->error = error;
}

static inline enum err unpack_u32(struct unpacker *u, uint32_t *ret)
{
    uint64_t value;
    enum err err = unpack_uint(u, UINT32_MAX, &value);

    if (err == ERR_OK)
        *ret = (uint32_t)value;
    return err;
}

void encode_group_result(const void *element, struct buf *out);
enum err decode_group_result(struct unpacker *u, struct arena *arena, void *ret);

#endif
