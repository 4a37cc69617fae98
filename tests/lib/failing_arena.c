/* failing_arena.c - what an arena or a buffer hands out counts as an allocation of failing_alloc.h: an
 * arena takes a block from malloc for many of them, and a failure there meets few of its callers.
 *
 * Limits:     opening a database does not fail: the ciphers' part of SQLite does not look at what its
 *             malloc returns there.
 * Use:        `ctest: arena` in the head of a test links it with --wrap. */
#include <sqlite3.h>

#include "common/arena.h"
#include "common/buf.h"

#include "tests/lib/failing_alloc.h"
#include "tests/lib/failing_place.h"

/* What the linker calls the product's, and ours. */
void *__real_arena_alloc(struct arena *a, size_t size) __attribute__((weak));
void *__real_arena_calloc(struct arena *a, size_t count, size_t size) __attribute__((weak));
void *__real_arena_extend(struct arena *a, void *items, uint32_t count, uint32_t *capacity,
                          size_t size) __attribute__((weak));
enum err __real_arena_copy(struct arena *a, struct bytes in, struct bytes *ret)
    __attribute__((weak));
char *__real_arena_text(struct arena *a, struct bytes in) __attribute__((weak));
enum err __real_buf_append(struct buf *b, const void *data, size_t size) __attribute__((weak));
uint8_t *__real_buf_reserve(struct buf *b, size_t size) __attribute__((weak));
void *__wrap_arena_alloc(struct arena *a, size_t size);
void *__wrap_arena_calloc(struct arena *a, size_t count, size_t size);
void *__wrap_arena_extend(struct arena *a, void *items, uint32_t count, uint32_t *capacity,
                          size_t size);
enum err __wrap_arena_copy(struct arena *a, struct bytes in, struct bytes *ret);
char *__wrap_arena_text(struct arena *a, struct bytes in);
enum err __wrap_buf_append(struct buf *b, const void *data, size_t size);
uint8_t *__wrap_buf_reserve(struct buf *b, size_t size);

void *__wrap_arena_alloc(struct arena *a, size_t size)
{
    return failing_alloc_now_at(PLACE_HERE) ? NULL : __real_arena_alloc(a, size);
}

void *__wrap_arena_calloc(struct arena *a, size_t count, size_t size)
{
    return failing_alloc_now_at(PLACE_HERE) ? NULL : __real_arena_calloc(a, count, size);
}

void *__wrap_arena_extend(struct arena *a, void *items, uint32_t count, uint32_t *capacity,
                          size_t size)
{
    if (count == *capacity && failing_alloc_now_at(PLACE_HERE))
        return NULL;
    return __real_arena_extend(a, items, count, capacity, size);
}

enum err __wrap_arena_copy(struct arena *a, struct bytes in, struct bytes *ret)
{
    return failing_alloc_now_at(PLACE_HERE) ? ERR_NOMEM : __real_arena_copy(a, in, ret);
}

char *__wrap_arena_text(struct arena *a, struct bytes in)
{
    return failing_alloc_now_at(PLACE_HERE) ? NULL : __real_arena_text(a, in);
}

/* A buffer goes on failing, as after a failed growth. */
enum err __wrap_buf_append(struct buf *b, const void *data, size_t size)
{
    if (b->error == ERR_OK && failing_alloc_now_at(PLACE_HERE))
        b->error = ERR_NOMEM;
    return b->error != ERR_OK ? b->error : __real_buf_append(b, data, size);
}

uint8_t *__wrap_buf_reserve(struct buf *b, size_t size)
{
    if (b->error == ERR_OK && failing_alloc_now_at(PLACE_HERE))
        b->error = ERR_NOMEM;
    return b->error != ERR_OK ? NULL : __real_buf_reserve(b, size);
}

int __real_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs)
    __attribute__((weak));
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs);

int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs)
{
    bool was = failing_alloc_pause(true);
    int native = __real_sqlite3_open_v2(path, ret, flags, vfs);
    (void)failing_alloc_pause(was);
    return native;
}
