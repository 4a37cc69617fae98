/* world.h - one headquarters and three devices for the targets that play sessions.
 *
 * Model:      the model of model.json; branches north and south; "boss" sees all, "near" is a
 *             representative of the branch north, "far" one of south. Each has written and synced a
 *             little; what "far" wrote for its branch or for itself says WORLD_SECRET, and nobody in
 *             north may ever be sent it.
 * Determinism: all from one seed, so that an input replays.
 * Ownership:  the caller embeds the struct; world_end() frees. */
#ifndef TESTS_FUZZ_WORLD_H
#define TESTS_FUZZ_WORLD_H

#include "tests/fuzz/pool.h"
#include "tests/lib/hostile.h"

#define WORLD_SECRET "a secret of the south"

struct world {
    struct pair pair;
    struct pair_device *boss, *near, *far;
    struct uuid north, south;
    struct uuid shared, mine, secret; /* customers: of the company, of north, of south */
    struct pool pool;
    struct arena arena;
};

void world_start(struct world *w);
void world_end(struct world *w);
/* Asserts that no page in these frames carries the secret. */
void world_no_secret(struct world *w, struct bytes frame);
/* What headquarters holds is whole: it verifies, starts again with the same marks, everybody who
 * behaves syncs and sees what it holds, and so does a device that is new. */
void world_is_whole(struct world *w);
/* Adds what the device's outbox holds to the pool. */
void world_learn(struct world *w, struct pair_device *device);
/* A local change of a device, by the input's choice. */
void world_write(struct world *w, struct pair_device *device, struct fuzz_input *in);
/* The answer of hub_admin() to a request that may fail; static. */
const char *world_ask(struct world *w, const char *request);

#endif
