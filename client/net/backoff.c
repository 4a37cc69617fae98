#include "client/net/backoff.h"

int64_t backoff_next(struct backoff *backoff, const struct rng *rng)
{
    int64_t step_ms = BACKOFF_FIRST_MS;
    uint64_t jitter_ms;
    for (uint32_t i = 0; i < backoff->failures && step_ms < BACKOFF_MAX_MS; i++) {
        step_ms *= 2;
    }
    if (step_ms >= BACKOFF_MAX_MS) {
        step_ms = BACKOFF_MAX_MS;
    } else {
        backoff->failures++;
    }
    if (rng_below(rng, (uint64_t)(step_ms / 2) + 1, &jitter_ms) != ERR_OK) {
        return step_ms;
    }
    return step_ms / 2 + (int64_t)jitter_ms;
}

void backoff_reset(struct backoff *backoff)
{
    backoff->failures = 0;
}
