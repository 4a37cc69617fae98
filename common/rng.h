/* rng.h - randomness as an input.
 *
 * Model:      an interface: programs pass the operating system's generator (os/os_rng.h), fit for
 *             keys; tests and the simulator pass a seeded one, which must never make a key.
 * Ownership:  the caller embeds the struct; `context` belongs to whoever filled it in. */
#ifndef COMMON_RNG_H
#define COMMON_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct rng {
    /* Fills all `size` bytes or fails (ERR_IO); what is in `out` after a failure must not be used.
     */
    enum err (*fill)(void *context, void *out, size_t size);
    void *context;
};

/* size may be 0. ERR_IO: the source failed. */
enum err rng_fill(const struct rng *rng, void *out, size_t size);
/* Evenly distributed over the type. ERR_IO. */
enum err rng_u32(const struct rng *rng, uint32_t *ret_value);
enum err rng_u64(const struct rng *rng, uint64_t *ret_value);
/* Evenly distributed over [0, bound), without modulo bias. bound 0 is ERR_INVALID. ERR_IO, also
 * when the source keeps giving values that must be drawn again (a broken source). */
enum err rng_below(const struct rng *rng, uint64_t bound, uint64_t *ret_value);

#endif
