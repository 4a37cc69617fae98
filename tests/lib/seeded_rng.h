/* seeded_rng.h - random numbers that a seed replays, for property loops and the simulator.
 *
 * Model:      SplitMix64 (Steele, Lea, Flood 2014). Good for tests, never for keys.
 * Use:        seeded_rng_init() prints the seed; SATCHEL_TEST_SEED in the environment replaces it. */
#ifndef TESTS_LIB_SEEDED_RNG_H
#define TESTS_LIB_SEEDED_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "common/rng.h"

struct seeded_rng {
    uint64_t state;
};

/* Takes `seed` unless the environment says otherwise, and prints which one it is. */
void seeded_rng_init(struct seeded_rng *r, uint64_t seed);
/* Exactly this seed, silently. */
void seeded_rng_start(struct seeded_rng *r, uint64_t seed);

uint64_t seeded_u64(struct seeded_rng *r);
/* [0, bound), bound > 0. */
uint64_t seeded_below(struct seeded_rng *r, uint64_t bound);
void seeded_fill(struct seeded_rng *r, void *out, size_t size);
/* The same behind the interface; borrows r. */
struct rng seeded_rng_interface(struct seeded_rng *r);

#endif
