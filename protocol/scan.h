/* scan.h - the bounds-first scan: no decoder sees bytes that it has not accepted.
 *
 * Why:     msgpack-c's unpacker allocates what a header claims: 5 bytes may reserve 4 GiB.
 * Checks:  exactly one MessagePack object and nothing after it; depth <= max_depth; each
 *          container's count at most the bytes that remain; each string, binary and extension
 *          within the bytes that remain and within its maximum; no reserved byte (0xc1).
 * Cost:    O(size), about 1 GB/s; no allocation, no recursion.
 * Source:  the MessagePack specification (github.com/msgpack/msgpack, spec.md); SPEC.md 7. */
#ifndef PROTOCOL_SCAN_H
#define PROTOCOL_SCAN_H

#include "common/bytes.h"
#include "common/error.h"

struct scan_limits {
    uint32_t max_depth; /* containers within each other: 0 takes scalars only; at most 32 */
    uint32_t max_string_bytes, max_binary_bytes;
    uint32_t max_objects; /* in all, containers and map keys included */
};
/* SPEC.md 7: depth 16, strings 64 KiB, binaries FRAME_INFLATED_MAX, 4 million objects. */
extern const struct scan_limits scan_limits_default;

/* The whole of `in`. ERR_MALFORMED, ERR_TOO_LARGE (a limit of ours, the bytes may be
 * well-formed). */
enum err scan_check(struct bytes in, const struct scan_limits *limits);
/* The first object of `in`, and its size; what follows it is not looked at. Same errors. */
enum err scan_first(struct bytes in, const struct scan_limits *limits, size_t *ret_size);

#endif
