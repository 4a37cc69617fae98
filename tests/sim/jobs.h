/* jobs.h - many seeds, in processes of their own; and one seed's failing run made small. */
#ifndef TESTS_SIM_JOBS_H
#define TESTS_SIM_JOBS_H

#include "tests/sim/world.h"

struct options {
    uint64_t seed;
    uint32_t devices, events, jobs;
    double seconds; /* 0: by `runs` */
    uint32_t runs;  /* seeds from `seed` on */
    bool trace, real_crypto, quiet, keep_going;
    const char *bug; /* planted, in an exam build */
};

/* One seed in this process. */
void run_seed(const struct kit *kit, const struct options *options, uint64_t seed, FILE *story,
              struct outcome *ret);
void run_one_plan(const struct kit *kit, const struct options *options, const struct plan *plan,
                  FILE *story, struct outcome *ret);
/* Until the time or the seeds are over, or one has failed; prints the figures. 0: all is well; 1. */
int run_many(const struct options *options);
/* Prints a small plan that fails as the seed does, and its story. */
int shrink_seed(const struct options *options);
/* In a process of its own, as it may crash; false: it did not fail. */
bool fails_apart(const struct kit *kit, const struct options *options, const struct plan *plan,
                 struct outcome *ret);
void print_replay(const struct options *options, uint64_t seed);

#endif
