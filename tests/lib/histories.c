#include "tests/lib/histories.h"

#include "tests/lib/unit.h"

uint64_t histories_play(unsigned usual, void (*play)(uint64_t seed, uint64_t *sums), uint64_t *sums)
{
    const char *seed = getenv("SATCHEL_SEED"), *rounds = getenv("SATCHEL_ROUNDS");
    uint64_t first = seed ? strtoull(seed, NULL, 10) : 1;
    uint64_t count = rounds ? strtoull(rounds, NULL, 10) : seed ? 1 : unit_rounds(usual);
    for (uint64_t i = first; i < first + count; i++) {
        if (getenv("SATCHEL_TELL"))
            print_message("SATCHEL_SEED=%llu\n", (unsigned long long)i);
        play(i, sums);
    }
    return count;
}
