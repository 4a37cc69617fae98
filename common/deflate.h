/* deflate.h - one frame in, one raw deflate stream out, and back under caps.
 *
 * Model:      each frame is a complete raw deflate stream (RFC 1951, 32 KiB window) of its own, so
 *             that frames can be lost, repeated and read alone. The objects keep zlib's memory
 *             between frames: at most about 270 KiB (deflater) and 48 KiB (inflater).
 * Invariants: inflating never writes more than inflate_cap() bytes, whatever the input. On failure
 * `out` has the content that it had before.
 * Ownership:  heap; _free accepts NULL. One thread at a time.
 * Source:     RFC 1951; protocol/SPEC.md, limits. */
#ifndef COMMON_DEFLATE_H
#define COMMON_DEFLATE_H

#include "common/buf.h"

#define INFLATE_FREE_BYTES ((size_t)64 << 10) /* below this the ratio is not looked at */
#define INFLATE_RATIO_MAX  ((size_t)100)

struct deflater;
struct inflater;

/* level 0 (store) to 9 (smallest), or -1 for zlib's default. ERR_INVALID, ERR_NOMEM. */
enum err deflater_new(int level, struct deflater **ret_deflater);
void deflater_free(struct deflater *deflater);
/* Appends the compressed frame to out. ERR_NOMEM, ERR_TOO_LARGE (out's limit; also stays in
 * out->error), ERR_LIMIT (a frame of 4 GiB or more), ERR_BUG (zlib misused). */
enum err deflate_frame(struct deflater *deflater, struct bytes in, struct buf *out);

/* ERR_NOMEM. */
enum err inflater_new(struct inflater **ret_inflater);
void inflater_free(struct inflater *inflater);
/* The most that a frame of in_size bytes may inflate to: max_out_bytes, and past the first
 * INFLATE_FREE_BYTES at most INFLATE_RATIO_MAX times in_size. A sender asks this before it sends a
 * frame deflated: what the receiver would refuse goes as it is. */
size_t inflate_cap(size_t in_size, size_t max_out_bytes);
/* Appends what `in` inflates to. ERR_MALFORMED: not a deflate stream, truncated, or followed by
 * further bytes. ERR_TOO_LARGE: more than inflate_cap(in.size, max_out_bytes), or than out's limit
 * leaves room for. ERR_NOMEM; ERR_LIMIT: a frame of 4 GiB or more. */
enum err inflate_frame(struct inflater *inflater, struct bytes in, size_t max_out_bytes,
                       struct buf *out);

#endif
