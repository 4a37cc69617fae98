#include "tests/lib/seeded_rng.h"

#include <stdio.h>
#include <stdlib.h>

void seeded_rng_init(struct seeded_rng *r, uint64_t seed)
{
    const char *text = getenv("SATCHEL_TEST_SEED");

    if (text != NULL)
        seed = strtoull(text, NULL, 0);
    printf("seed %llu (SATCHEL_TEST_SEED replays another)\n", (unsigned long long)seed);
    seeded_rng_start(r, seed);
}

void seeded_rng_start(struct seeded_rng *r, uint64_t seed)
{
    *r = (struct seeded_rng){.state = seed};
}

uint64_t seeded_u64(struct seeded_rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t seeded_below(struct seeded_rng *r, uint64_t bound)
{
    return seeded_u64(r) % bound; /* the bias does not matter here */
}

void seeded_fill(struct seeded_rng *r, void *out, size_t size)
{
    uint8_t *at = out;

    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)seeded_u64(r);
}

static enum err fill(void *context, void *out, size_t size)
{
    seeded_fill(context, out, size);
    return ERR_OK;
}

struct rng seeded_rng_interface(struct seeded_rng *r)
{
    return (struct rng){.fill = fill, .context = r};
}
