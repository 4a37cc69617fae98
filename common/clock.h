/* clock.h - time as an input.
 *
 * Model:      two kinds of time that never mix, so two types: wall time can jump and goes into
 *             data; monotonic time only moves forward, starts anywhere, and is for deadlines. The
 *             cores take `now` by value; a clock is held by drivers alone (os/os_clock.h, the
 *             simulator's).
 * Ownership:  the caller embeds the struct; `context` belongs to whoever filled it in. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

struct wall_time {
    int64_t ms; /* since 1970-01-01T00:00:00Z, no leap seconds */
};

struct mono_time {
    int64_t us; /* since some fixed moment; never compared across processes */
};

struct clock {
    int64_t (*wall_ms)(void *context);
    int64_t (*mono_us)(void *context);
    void *context;
};

struct wall_time clock_wall(const struct clock *clock);
struct mono_time clock_mono(const struct clock *clock);

/* t + ms; stays at the largest or smallest time instead of overflowing. */
struct mono_time mono_add_ms(struct mono_time t, int64_t ms);
/* Microseconds from `from` to `to`, negative when `to` is earlier; saturates. */
int64_t mono_elapsed_us(struct mono_time from, struct mono_time to);

#endif
