/* clock_shim.c - a wall clock that a test shifts while the program runs: LD_PRELOAD it, and the 8 bytes
 * (ms, signed, of this machine's byte order) of the file that SATCHEL_TEST_CLOCK names are added to
 * what CLOCK_REALTIME says. Other clocks run on. faults.js builds it.
 *
 * Cost: the file is mapped, so a shift is felt at the next call, without a system call here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int clock_function(clockid_t clock, struct timespec *time);

static _Atomic int64_t *offset_ms;
static clock_function *real_clock;

__attribute__((constructor)) static void find_clock(void)
{
    const char *path = getenv("SATCHEL_TEST_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof *offset_ms, PROT_READ, MAP_SHARED, fd, 0);
        offset_ms = page == MAP_FAILED ? NULL : page;
        close(fd);
    }
    /* POSIX's dlsym() gives functions as data pointers. */
    *(void **)&real_clock = dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = real_clock(clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && offset_ms) {
        int64_t ms = atomic_load(offset_ms);
        int64_t ns = time->tv_nsec + ms % 1000 * 1000000;
        time->tv_sec += (time_t)(ms / 1000);
        if (ns < 0) {
            ns += 1000000000;
            time->tv_sec--;
        } else if (ns >= 1000000000) {
            ns -= 1000000000;
            time->tv_sec++;
        }
        time->tv_nsec = (long)ns;
    }
    return result;
}
