#include "common/clock.h"

struct wall_time clock_wall(const struct clock *clock)
{
    return (struct wall_time){.ms = clock->wall_ms(clock->context)};
}

struct mono_time clock_mono(const struct clock *clock)
{
    return (struct mono_time){.us = clock->mono_us(clock->context)};
}

/* a + b, or the end of the range that it runs past. */
static int64_t saturating_add(int64_t a, int64_t b)
{
    if (b > 0 && a > INT64_MAX - b)
        return INT64_MAX;
    if (b < 0 && a < INT64_MIN - b)
        return INT64_MIN;
    return a + b;
}

struct mono_time mono_add_ms(struct mono_time t, int64_t ms)
{
    int64_t us;

    if (ms > INT64_MAX / 1000)
        us = INT64_MAX;
    else if (ms < INT64_MIN / 1000)
        us = INT64_MIN;
    else
        us = ms * 1000;
    return (struct mono_time){.us = saturating_add(t.us, us)};
}

int64_t mono_elapsed_us(struct mono_time from, struct mono_time to)
{
    if (from.us == INT64_MIN) /* it has no negative */
        return to.us >= 0 ? INT64_MAX : to.us - INT64_MIN;
    return saturating_add(to.us, -from.us);
}
