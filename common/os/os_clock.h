/* os_clock.h - the operating system's clocks behind struct clock. For applications, never for
 * cores. */
#ifndef COMMON_OS_CLOCK_H
#define COMMON_OS_CLOCK_H

#include "common/clock.h"

/* Wall: CLOCK_REALTIME. Monotonic: CLOCK_BOOTTIME where there is one (a phone that slept has missed
 * its deadlines), else CLOCK_MONOTONIC. Usable from any thread. */
struct clock os_clock(void);

#endif
