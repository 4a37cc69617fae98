/* os_rng.h - the kernel's random generator behind struct rng, fit for keys. */
#ifndef COMMON_OS_RNG_H
#define COMMON_OS_RNG_H

#include "common/rng.h"

/* getrandom(2): blocks only before the kernel's pool is first seeded. Usable from any thread. */
struct rng os_rng(void);

#endif
