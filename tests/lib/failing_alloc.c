#include "tests/lib/failing_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/lib/failing_place.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BEHIND_ASAN 1
#elif __has_feature(thread_sanitizer)
#define BEHIND_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define BEHIND_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define BEHIND_TSAN 1
#endif

/* What stands behind ours: the sanitizer's functions under another name, else glibc's. */
#ifdef BEHIND_ASAN
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

struct failing {
    uint64_t countdown; /* allocations until the failing one, itself included; 0: none will fail */
    uint64_t seen;      /* since the start */
    bool forever;
    bool failed;
    bool paused;
};

static _Thread_local struct failing failing;
static _Thread_local int64_t live;

#ifndef BEHIND_TSAN /* it must have malloc to itself */

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *old, size_t size);

static bool fails_now(const void *from, const void *frame)
{
    if (failing.paused)
        return false;
    if (failing_place_now(PLACE_ERRORS, 0, from, frame)) {
        failing.failed = true;
        return true;
    }
    if (failing.countdown == 0)
        return false;
    failing.seen++;
    if (failing.countdown > 1) {
        failing.countdown--;
        return false;
    }
    failing.failed = true;
    if (!failing.forever)
        failing.countdown = 0;
    return true;
}

static void *counted(void *memory)
{
    live += memory != NULL;
    return memory;
}

void *malloc(size_t size)
{
    return fails_now(PLACE_HERE) ? NULL : counted(REAL(malloc)(size));
}

void *calloc(size_t count, size_t size)
{
    return fails_now(PLACE_HERE) ? NULL : counted(REAL(calloc)(count, size));
}

void *realloc(void *old, size_t size)
{
    if (fails_now(PLACE_HERE))
        return NULL;
    void *memory = REAL(realloc)(old, size);
    live += (memory != NULL) - (old != NULL && (memory != NULL || size == 0));
    return memory;
}

#ifndef BEHIND_ASAN /* it looks for leaks itself */

void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

/* Never fails on request: unfailing.h takes it for that. */
void *aligned_alloc(size_t alignment, size_t size)
{
    return counted(__libc_memalign(alignment, size));
}

void free(void *memory)
{
    live -= memory != NULL;
    __libc_free(memory);
}

#endif

#endif

/* Compilers know malloc, and that libc's neither reads nor writes a variable of ours: without a
 * barrier they move it past the assignments here. */
#define COMPILER_BARRIER() __asm__ volatile("" ::: "memory")

bool failing_alloc_works(void)
{
    void *volatile memory; /* so that the pair is not optimised away */

    failing_alloc_start(1);
    memory = malloc(1);
    free(memory);
    return failing_alloc_stop();
}

void failing_alloc_start(uint64_t k)
{
    failing = (struct failing){.countdown = k};
    COMPILER_BARRIER();
}

void failing_alloc_start_forever(uint64_t k)
{
    failing = (struct failing){.countdown = k, .forever = true};
    COMPILER_BARRIER();
}

bool failing_alloc_stop(void)
{
    bool failed;

    COMPILER_BARRIER();
    failed = failing.failed;
    failing = (struct failing){0};
    COMPILER_BARRIER();
    return failed;
}

bool failing_alloc_now_at(const void *from, const void *frame)
{
#ifdef BEHIND_TSAN
    (void)from;
    (void)frame;
    return false;
#else
    return fails_now(from, frame);
#endif
}

uint64_t failing_alloc_seen(void)
{
    COMPILER_BARRIER();
    return failing.seen;
}

bool failing_alloc_pause(bool paused)
{
    bool was = failing.paused;
    COMPILER_BARRIER();
    failing.paused = paused;
    failing_place_pause(paused);
    COMPILER_BARRIER();
    return was;
}

bool failing_alloc_hit(void)
{
    COMPILER_BARRIER();
    return failing.failed;
}

int64_t failing_alloc_live(void)
{
    COMPILER_BARRIER();
#ifdef BEHIND_ASAN
    return 0;
#else
    return live;
#endif
}

uint64_t failing_alloc_each(enum err (*run)(void *context), void *context, enum err expected)
{
    for (uint64_t k = 1;; k++) {
        enum err error;
        bool failed;

        failing_alloc_start(k);
        error = run(context);
        failed = failing_alloc_stop();
        if (!failed) {
            assert_int_equal(error, ERR_OK);
            return k - 1;
        }
        if (error != expected)
            print_error("allocation %llu failed: %s\n", (unsigned long long)k, err_name(error));
        assert_int_equal(error, expected);
    }
}
