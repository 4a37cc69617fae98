/* pack.h - MessagePack onto a buf, by msgpack-c.
 *
 * Model:      one call packs one object (pack_array: only its header) in the shortest form. Errors
 *             stay in out->error, so a run of calls is checked once, at its end.
 * Internal to protocol/. */
#ifndef PROTOCOL_PACK_H
#define PROTOCOL_PACK_H

#include "common/buf.h"
#include "common/uuid.h"
#include "common/value.h"

void pack_nil(struct buf *out);
void pack_bool(struct buf *out, bool value);
void pack_uint(struct buf *out, uint64_t value);
void pack_int(struct buf *out, int64_t value);
void pack_text(struct buf *out, struct bytes text);
void pack_binary(struct buf *out, struct bytes binary);
void pack_id(struct buf *out, const struct uuid *id); /* 16 bytes of binary */
/* nil, int, float 64, str, bin. */
void pack_value(struct buf *out, const struct value *value);
/* Followed by `count` objects. */
void pack_array(struct buf *out, uint32_t count);

#endif
