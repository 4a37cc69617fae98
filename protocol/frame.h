/* frame.h - a message on the wire: 6 bytes of header, then the payload, deflated above a threshold.
 *
 * Format:  type u8, flags u8 (bit 0: deflated, others 0), u32 BE size of the payload before
 *          deflate, payload. One frame is one binary WebSocket message.
 * Limits:  FRAME_*_MAX; inflated size and ratio as in DESIGN.md 10; the scan (scan.h) runs before
 *          any decoder sees the payload.
 * Source:  SPEC.md 7. */
#ifndef PROTOCOL_FRAME_H
#define PROTOCOL_FRAME_H

#include "common/deflate.h"
#include "protocol/message.h"

enum {
    FRAME_HEADER_SIZE = 6,
    FRAME_BEFORE_AUTH_MAX = 4096,
    FRAME_MAX = 1 << 20, /* on the wire, after authentication */
    FRAME_INFLATED_MAX = 8 << 20,
    FRAME_DEFLATE_THRESHOLD = 256, /* payloads below travel as they are */
    PROTOCOL_VERSION_MIN = 1,
    PROTOCOL_VERSION_MAX = 1,
};

/* Encodes header + payload into out (reset first). ERR_NOMEM, ERR_TOO_LARGE (the frame would be
 * larger than FRAME_MAX). deflater NULL: never deflate. scratch is used for the payload. */
enum err frame_encode(const struct message *message, struct deflater *deflater, struct buf *scratch,
                      struct buf *out);
/* Checks the header, inflates into scratch, scans, decodes. Views point into `in` or scratch.
 * authenticated false: FRAME_BEFORE_AUTH_MAX and only pre-auth messages (ERR_PROTOCOL).
 * ERR_TOO_LARGE, ERR_MALFORMED, ERR_PROTOCOL, ERR_NOMEM. */
enum err frame_decode(struct bytes in, bool authenticated, struct inflater *inflater,
                      struct buf *scratch, struct arena *arena, struct message *ret);

#endif
