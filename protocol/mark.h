/* mark.h - what is decided of an origin, as stores keep it: upto varint, count varint, (from, to) varints; and
 * under which name in SIDE_META they keep how far its groups are in a verified backup. The same at headquarters
 * and on a branch. */
#ifndef PROTOCOL_MARK_H
#define PROTOCOL_MARK_H

#include "protocol/message.h"

bool mark_covers(const struct mark *mark, uint64_t oseq);
/* Appends; the error stays in out->error. */
void mark_pack(const struct mark *mark, struct buf *out);
/* From *offset on, which moves behind it; ranges in the arena. ret->origin stays. ERR_CORRUPT, ERR_NOMEM. */
enum err mark_unpack(struct bytes in, size_t *offset, struct arena *arena, struct mark *ret);

enum { ARCHIVED_NAME_SIZE = 9 + 16 + 1 };
void archived_name(uint64_t origin, char out[ARCHIVED_NAME_SIZE]);

#endif
