#include "tests/fuzz/fuzz.h"

#include <stdarg.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif

#ifdef WITH_ASAN
/* Of <sanitizer/allocator_interface.h>, which gcc leaves out. */
size_t __sanitizer_get_allocated_size(const volatile void *memory);
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));
#endif

/* --- checks ----------------------------------------------------------------------------------- */

void fuzz_failed(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "%s:%d: not so: %s\n  ", file, line, condition);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

void fuzz_error(enum err got, enum err expected, const char *call, const char *file, int line)
{
    if (got != expected)
        fuzz_failed(file, line, call, "it is ERR_%s, not ERR_%s", err_name(got),
                    err_name(expected));
}

void fuzz_one_of(enum err got, const char *call, const enum err *which)
{
    for (;; which++) {
        if (*which == got)
            return;
        if (*which == ERR_OK)
            fuzz_failed(call, 0, "a documented error", "it is ERR_%s", err_name(got));
    }
}

/* --- input ------------------------------------------------------------------------------------ */

struct fuzz_input fuzz_input_of(const uint8_t *data, size_t size)
{
    return (struct fuzz_input){.data = data, .size = size};
}

bool fuzz_more(const struct fuzz_input *in)
{
    return in->at < in->size;
}

uint8_t fuzz_u8(struct fuzz_input *in)
{
    return fuzz_more(in) ? in->data[in->at++] : 0;
}

uint16_t fuzz_u16(struct fuzz_input *in)
{
    uint16_t high = fuzz_u8(in);
    return (uint16_t)(high << 8 | fuzz_u8(in));
}

uint32_t fuzz_u24(struct fuzz_input *in)
{
    uint32_t high = fuzz_u16(in);
    return high << 8 | fuzz_u8(in);
}

uint64_t fuzz_u64(struct fuzz_input *in)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | fuzz_u8(in);
    return value;
}

uint64_t fuzz_below(struct fuzz_input *in, uint64_t bound)
{
    return (bound <= 256 ? fuzz_u8(in) : fuzz_u64(in)) % bound;
}

uint64_t fuzz_number(struct fuzz_input *in)
{
    static const uint64_t limits[] = {UINT8_MAX,  INT16_MAX, UINT16_MAX, INT32_MAX,
                                      UINT32_MAX, INT64_MAX, UINT64_MAX, 1 << 20};
    uint8_t kind = fuzz_u8(in);
    if (kind < 128)
        return kind % 32;
    if (kind < 192)
        return fuzz_u16(in);
    if (kind < 208)
        return fuzz_u64(in);
    return limits[kind % 8] + fuzz_u8(in) % 4 - 1; /* may wrap: that is one of the numbers */
}

struct bytes fuzz_take(struct fuzz_input *in, size_t size)
{
    size_t left = in->size - in->at;
    struct bytes taken = bytes_of(in->data + in->at, size < left ? size : left);
    in->at += taken.size;
    return taken;
}

struct bytes fuzz_rest(struct fuzz_input *in)
{
    return fuzz_take(in, in->size - in->at);
}

struct bytes fuzz_part(struct fuzz_input *in)
{
    size_t start = in->at, line = start;
    while (line < in->size) {
        const uint8_t *newline = memchr(in->data + line, '\n', in->size - line);
        size_t end = newline ? (size_t)(newline - in->data) : in->size;
        if (end - line == 2 && memcmp(in->data + line, "%%", 2) == 0) {
            in->at = newline ? end + 1 : end;
            return bytes_of(in->data + start, line - start);
        }
        line = newline ? end + 1 : in->size;
    }
    return fuzz_rest(in);
}

uint8_t *fuzz_copy(struct bytes in)
{
    uint8_t *copy = malloc(in.size ? in.size : 1);
    fuzz_check(copy, "no memory");
    if (in.size)
        memcpy(copy, in.data, in.size);
    return copy;
}

char *fuzz_text(struct bytes in)
{
    char *copy = malloc(in.size + 1);
    fuzz_check(copy, "no memory");
    if (in.size)
        memcpy(copy, in.data, in.size);
    copy[in.size] = 0;
    return copy;
}

/* --- files ------------------------------------------------------------------------------------ */

enum { PATHS_MAX = 8 };

static char folder[48], paths[PATHS_MAX][96];

static void remove_files(void)
{
    for (int i = 0; i < PATHS_MAX && paths[i][0]; i++)
        (void)unlink(paths[i]);
    (void)rmdir(folder);
}

const char *fuzz_path(const char *name)
{
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/dev/shm/satchel-fuzz-XXXXXX");
        if (!mkdtemp(folder)) {
            snprintf(folder, sizeof folder, "/tmp/satchel-fuzz-XXXXXX");
            fuzz_check(mkdtemp(folder), "no folder for files");
        }
        (void)atexit(remove_files);
    }
    size_t start = strlen(folder) + 1;
    for (int i = 0; i < PATHS_MAX; i++) {
        if (!paths[i][0])
            snprintf(paths[i], sizeof paths[i], "%s/%s", folder, name);
        if (strcmp(paths[i] + start, name) == 0)
            return paths[i];
    }
    fuzz_check(false, "too many files");
    return NULL;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Of the thread that watches: what libFuzzer's own thread does is not looked at. */
static _Thread_local struct {
    bool on;
    size_t now, peak, limit, start;
} watch;

size_t fuzz_peak(void)
{
    return watch.peak;
}

#ifdef WITH_ASAN

static void on_malloc(const volatile void *memory, size_t size)
{
    (void)memory;
    if (!watch.on)
        return;
    watch.now += size;
    if (watch.now > watch.peak)
        watch.peak = watch.now;
    if (watch.now > watch.limit) {
        watch.on = false;
        fuzz_failed(__FILE__, __LINE__, "memory is bounded", "%zu bytes are allocated, %zu may be",
                    watch.now - watch.start, watch.limit - watch.start);
    }
}

static void on_free(const volatile void *memory)
{
    if (!watch.on || !memory)
        return;
    size_t size = __sanitizer_get_allocated_size(memory);
    watch.now -= size < watch.now ? size : watch.now;
}

void fuzz_begin(size_t limit_bytes)
{
    static bool hooked;
    if (!hooked) {
        setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed assertion aborts */
        hooked = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) != 0;
        fuzz_check(hooked, "the sanitizer has no room for hooks");
    }
    watch.start = (size_t)1 << 40; /* what is freed may have been allocated before */
    watch.now = watch.start;
    watch.peak = 0;
    watch.limit = watch.start + limit_bytes;
    watch.on = true;
}

void fuzz_end(size_t slack_bytes)
{
    watch.on = false;
    watch.peak = watch.peak > watch.start ? watch.peak - watch.start : 0;
    fuzz_check(watch.now <= watch.start + slack_bytes, "%zu bytes are still allocated",
               watch.now - watch.start);
}

#else

void fuzz_begin(size_t limit_bytes)
{
    (void)limit_bytes;
    setenv("CMOCKA_TEST_ABORT", "1", 1);
}

void fuzz_end(size_t slack_bytes)
{
    (void)slack_bytes;
}

#endif
