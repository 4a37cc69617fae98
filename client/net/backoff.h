/* backoff.h - how long to wait before the next attempt to connect.
 *
 * Model:      doubles from BACKOFF_FIRST_MS to BACKOFF_MAX_MS; the second half of each is random, so
 *             that the devices of a server that comes back do not all return at once.
 * Source:     https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("equal
 *             jitter"). */
#ifndef CLIENT_NET_BACKOFF_H
#define CLIENT_NET_BACKOFF_H

#include "common/rng.h"

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS   60000

struct backoff { /* zeroed: no failure yet */
    uint32_t failures;
};

/* Counts a failure; ms to wait, from half of the current step to the whole of it. Without random
 * numbers (rng fails) the whole. */
int64_t backoff_next(struct backoff *backoff, const struct rng *rng);
/* A session worked: the next wait is short again. */
void backoff_reset(struct backoff *backoff);

#endif
