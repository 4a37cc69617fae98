/* uuid.h - record ids: UUIDv7 (RFC 9562), 16 bytes, ordered by the time they were made. */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include "common/bytes.h"
#include "common/error.h"

struct uuid {
    uint8_t byte[16];
};

#define UUID_TEXT_SIZE 37 /* with the terminator */

/* From Unix time in ms (its low 48 bits) and 10 random bytes, of which the low 4 bits of the first,
 * the second, and all but the top 2 bits of the third count. Ids of one ms have no order: who makes
 * several uses uuid_next(). */
struct uuid uuid_v7(uint64_t unix_ms, const uint8_t random[10]);

/* Ascending ids of one maker (RFC 9562, 6.2 method 1): the 12 bits after the time are a counter
 * that starts at random below 2048 in each ms and counts up within it; when it is used up, or the
 * clock steps back, the ids run ahead of the clock. The caller embeds the struct, zeroed at first.
 */
struct uuid_source {
    uint64_t last_ms;
    uint16_t counter;
};

/* random: 10 fresh random bytes. The result is greater than every one before from this source. */
struct uuid uuid_next(struct uuid_source *source, uint64_t unix_ms, const uint8_t random[10]);

/* memcmp order, which is the order of the times. */
int uuid_compare(const struct uuid *a, const struct uuid *b);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *a);
/* Lower-case 8-4-4-4-12; out has UUID_TEXT_SIZE bytes. */
void uuid_format(const struct uuid *id, char *out);
/* ERR_PARSE: not of that form (either case is taken). */
enum err uuid_parse(struct bytes text, struct uuid *ret_id);

#endif
