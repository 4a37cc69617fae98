#include "common/rng.h"

#include "common/bytes.h"

#define RNG_DRAWS_MAX 128 /* each draw succeeds with a chance over 1/2: 2^-128 that all fail */

enum err rng_fill(const struct rng *rng, void *out, size_t size)
{
    return size == 0 ? ERR_OK : rng->fill(rng->context, out, size);
}

enum err rng_u32(const struct rng *rng, uint32_t *ret_value)
{
    uint8_t bytes[4];
    enum err error = rng_fill(rng, bytes, sizeof(bytes));

    if (error == ERR_OK)
        *ret_value = be32_get(bytes);
    return error;
}

enum err rng_u64(const struct rng *rng, uint64_t *ret_value)
{
    uint8_t bytes[8];
    enum err error = rng_fill(rng, bytes, sizeof(bytes));

    if (error == ERR_OK)
        *ret_value = be64_get(bytes);
    return error;
}

enum err rng_below(const struct rng *rng, uint64_t bound, uint64_t *ret_value)
{
    uint64_t excess;

    if (bound == 0)
        return ERR_INVALID;
    excess = (UINT64_MAX % bound + 1) % bound; /* 2^64 mod bound */
    for (int draw = 0; draw < RNG_DRAWS_MAX; draw++) {
        uint64_t value;
        enum err error = rng_u64(rng, &value);

        if (error != ERR_OK)
            return error;
        if (value <= UINT64_MAX - excess) {
            *ret_value = value % bound;
            return ERR_OK;
        }
    }
    return ERR_IO;
}
