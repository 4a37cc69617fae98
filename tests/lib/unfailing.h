/* unfailing.h - memory that failing_alloc.h does not fail, for what may not meet a failure: the test's
 * own instruments, and libraries that leak or break when their own allocations fail.
 *
 * Source: OpenSSL 3.0 leaks such memory itself; jansson 2.14 writes through a NULL pointer
 *         (strbuffer_init() of an object key). Neither is ours to mend. */
#ifndef TESTS_LIB_UNFAILING_H
#define TESTS_LIB_UNFAILING_H

#include <stddef.h>

/* Ends the process when there is no memory at all. Zeroed; freed by unfailing_free() alone. */
void *unfailing_malloc(size_t size);
void *unfailing_realloc(void *memory, size_t size);
/* Accepts NULL. */
void unfailing_free(void *memory);

/* OpenSSL and jansson take theirs from here from now on; before the first use of either. */
void unfailing_libraries(void);

#endif
