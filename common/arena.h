/* arena.h - memory of one unit of work (decoding a frame, judging a batch), freed at once.
 *
 * Model:      blocks from malloc, handed out front to back; nothing is freed singly.
 * Invariants: used <= limit, where used is what was handed out since the reset and the padding
 *             between. Pointers stay valid until reset or done.
 * Ownership:  the caller embeds the struct; arena_done() accepts a zeroed one. */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "common/bytes.h"
#include "common/error.h"

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used, limit;
};

void arena_init(struct arena *a, size_t limit_bytes);
void arena_done(struct arena *a);
/* Frees all but the largest block and starts over. */
void arena_reset(struct arena *a);
/* Memory aligned for any type, not cleared; NULL: limit reached or no memory. size 0 gives a valid
 * pointer (to nothing). */
void *arena_alloc(struct arena *a, size_t size);
/* The same, cleared; checks count * size for overflow. */
void *arena_calloc(struct arena *a, size_t count, size_t size);
/* Room for one more item in a list that lives in the arena: `items` itself, or a copy of twice the size
 * when `count` has reached *capacity. NULL: limit reached or no memory; the list is as it was. */
void *arena_extend(struct arena *a, void *items, uint32_t count, uint32_t *capacity, size_t size);
/* Copies; the copy is followed by a NUL byte that is not counted. ERR_NOMEM, also for the limit. */
enum err arena_copy(struct arena *a, struct bytes in, struct bytes *ret);
/* A terminated copy; NULL: limit reached or no memory. */
char *arena_text(struct arena *a, struct bytes in);

#endif
