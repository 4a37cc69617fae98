/* siphash.h - SipHash-2-4: a fast hash of short keys that a peer cannot aim at one slot while it
 * does not know the key. Not a signature, not for storage.
 *
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012. */
#ifndef COMMON_SIPHASH_H
#define COMMON_SIPHASH_H

#include "common/bytes.h"

/* key0 and key1: the 16 key bytes as two little-endian numbers. */
uint64_t siphash24(uint64_t key0, uint64_t key1, struct bytes in);

#endif
