#include "common/bytes.h"

#include <string.h>

struct bytes bytes_of_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){.data = data, .size = size};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    /* memcmp must not be given NULL, which an empty view may be. */
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    if (order != 0)
        return order < 0 ? -1 : 1;
    return a.size < b.size ? -1 : a.size > b.size;
}

void be16_put(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

void be32_put(uint8_t *out, uint32_t value)
{
    be16_put(out, (uint16_t)(value >> 16));
    be16_put(out + 2, (uint16_t)value);
}

void be64_put(uint8_t *out, uint64_t value)
{
    be32_put(out, (uint32_t)(value >> 32));
    be32_put(out + 4, (uint32_t)value);
}

uint16_t be16_get(const uint8_t *in)
{
    return (uint16_t)(in[0] << 8 | in[1]);
}

uint32_t be32_get(const uint8_t *in)
{
    return (uint32_t)be16_get(in) << 16 | be16_get(in + 2);
}

uint64_t be64_get(const uint8_t *in)
{
    return (uint64_t)be32_get(in) << 32 | be32_get(in + 4);
}
