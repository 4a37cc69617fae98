/* crypto_fast.h - see crypto_fast.c. */
#ifndef TESTS_SIM_CRYPTO_FAST_H
#define TESTS_SIM_CRYPTO_FAST_H

#include <stdbool.h>

extern bool crypto_real;
/* Before each run. */
void crypto_fast_forget(void);

#endif
