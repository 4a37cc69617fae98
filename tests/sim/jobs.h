/* jobs.h - many seeds, in processes of their own; and one seed's failing run made small. */
#ifndef TESTS_SIM_JOBS_H
#define TESTS_SIM_JOBS_H

#include "tests/sim/world.h"

/* By the seed: in each run, in one of three. */
enum { BRANCHES_MOST = 8, BRANCHES_ANY = -1, BRANCHES_SOME = -2 };
enum models { MODELS_NONE, MODELS_ALL, MODELS_SOME /* in one run of four */ };
enum people { PEOPLE_NONE, PEOPLE_ALL, PEOPLE_SOME /* in two runs of five */ };

struct options {
    uint64_t seed;
    uint32_t devices, events, jobs;
    int32_t branches; /* or one of: */
    double seconds;   /* 0: by `runs` */
    uint32_t runs;    /* seeds from `seed` on */
    enum models models;
    enum people people;
    bool trace, real_crypto, quiet, keep_going;
    const char *bug; /* planted, in an exam build */
};

/* How many the run of a seed has. */
uint32_t branches_of(const struct options *options, uint64_t seed);
bool models_change(const struct options *options, uint64_t seed);
bool people_change(const struct options *options, uint64_t seed);
/* The whole plan of a seed. */
void plan_of_seed(const struct options *options, uint64_t seed, struct plan *ret);
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
