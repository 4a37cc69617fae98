#include "common/os/os_clock.h"

#include <stddef.h>
#include <time.h>

static int64_t wall_ms(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t mono_us(void *context)
{
    struct timespec now;

    (void)context;
#ifdef CLOCK_BOOTTIME
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
#endif
        clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct clock os_clock(void)
{
    return (struct clock){.wall_ms = wall_ms, .mono_us = mono_us, .context = NULL};
}
