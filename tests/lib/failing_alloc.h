/* failing_alloc.h - makes one allocation of the process fail, to see that the code takes it well.
 *
 * Model:      linking this file puts our malloc, calloc and realloc before libc's (or the
 *             sanitizer's). They count on the calling thread only, and fail on request, those made
 *             inside zlib, OpenSSL and SQLite included.
 * Limits:     valgrind puts its own before ours, and the thread sanitizer cannot live with ours:
 *             failing_alloc_works() is false there.
 * Use:        failing_alloc_each(), or a loop over failing_alloc_start(k) until
 *             failing_alloc_stop() says that nothing failed. */
#ifndef TESTS_LIB_FAILING_ALLOC_H
#define TESTS_LIB_FAILING_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* Whether requests to fail have an effect here. */
bool failing_alloc_works(void);

/* The k-th allocation from now on fails (1 is the next one), those after it succeed. */
void failing_alloc_start(uint64_t k);
/* The k-th and all after it fail. */
void failing_alloc_start_forever(uint64_t k);
/* Back to normal. Returns whether an allocation failed since the start. */
bool failing_alloc_stop(void);

/* Counts as an allocation, for what stands for one: whether it is to fail. At: PLACE_HERE of failing_place.h. */
bool failing_alloc_now_at(const void *from, const void *frame);

/* How many there have been since the start, up to one that failed alone. */
uint64_t failing_alloc_seen(void);
/* Whether one has failed since the start. */
bool failing_alloc_hit(void);
/* While paused, allocations neither count nor fail: in code that is not the one under test. Returns whether
 * they were paused before. */
bool failing_alloc_pause(bool paused);

/* Blocks of memory that this thread has taken and not given back: two runs of the same leave the same.
 * Always 0 where a sanitizer looks for leaks itself. */
int64_t failing_alloc_live(void);

/* Calls run once for each allocation that it makes, failing that one, and asserts (cmocka) that it
 * returns `expected` each time; then once more with none failing, which must return ERR_OK. run
 * frees what it made. Returns how many allocations were failed; 0 when !failing_alloc_works(). */
uint64_t failing_alloc_each(enum err (*run)(void *context), void *context, enum err expected);

#endif
