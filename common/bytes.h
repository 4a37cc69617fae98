/* bytes.h - a borrowed view of memory, and the fixed-width helpers on it.
 *
 * Ownership: a view owns nothing; it is valid as long as what it points into. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *data;
    size_t size;
};

/* A view of a terminated string, without its terminator. */
struct bytes bytes_of_text(const char *text);
struct bytes bytes_of(const void *data, size_t size);
bool bytes_equal(struct bytes a, struct bytes b);
/* memcmp order, the shorter first when one is a prefix of the other. */
int bytes_compare(struct bytes a, struct bytes b);

/* Big-endian, so that memcmp order is numeric order. */
void be16_put(uint8_t *out, uint16_t value);
void be32_put(uint8_t *out, uint32_t value);
void be64_put(uint8_t *out, uint64_t value);
uint16_t be16_get(const uint8_t *in);
uint32_t be32_get(const uint8_t *in);
uint64_t be64_get(const uint8_t *in);

#endif
