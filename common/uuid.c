#include "common/uuid.h"

#include <string.h>

#include "common/text.h"

#define UUID_COUNTER_MAX 0xfffu

struct uuid uuid_v7(uint64_t unix_ms, const uint8_t random[10])
{
    struct uuid id;

    be16_put(id.byte, (uint16_t)(unix_ms >> 32));
    be32_put(id.byte + 2, (uint32_t)unix_ms);
    memcpy(id.byte + 6, random, 10);
    id.byte[6] = (uint8_t)(0x70 | (id.byte[6] & 0x0f)); /* version 7 */
    id.byte[8] = (uint8_t)(0x80 | (id.byte[8] & 0x3f)); /* variant of RFC 9562 */
    return id;
}

struct uuid uuid_next(struct uuid_source *source, uint64_t unix_ms, const uint8_t random[10])
{
    uint8_t bits[10];

    memcpy(bits, random, sizeof(bits));
    if (unix_ms > source->last_ms) {
        source->last_ms = unix_ms;
        source->counter = be16_get(random) & (UUID_COUNTER_MAX >> 1);
    } else if (source->counter < UUID_COUNTER_MAX) {
        source->counter++;
    } else {
        source->last_ms++;
        source->counter = be16_get(random) & (UUID_COUNTER_MAX >> 1);
    }
    be16_put(bits, source->counter);
    return uuid_v7(source->last_ms, bits);
}

int uuid_compare(const struct uuid *a, const struct uuid *b)
{
    int order = memcmp(a->byte, b->byte, sizeof(a->byte));

    return order < 0 ? -1 : order > 0;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->byte, b->byte, sizeof(a->byte)) == 0;
}

bool uuid_is_nil(const struct uuid *a)
{
    static const struct uuid nil;

    return uuid_equal(a, &nil);
}

/* Whether a '-' stands before this byte in the text form. */
static bool uuid_dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void uuid_format(const struct uuid *id, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof(id->byte); i++) {
        if (uuid_dash_before(i))
            *out++ = '-';
        *out++ = digits[id->byte[i] >> 4];
        *out++ = digits[id->byte[i] & 15];
    }
    *out = '\0';
}

enum err uuid_parse(struct bytes text, struct uuid *ret_id)
{
    struct uuid id;
    const uint8_t *at = text.data;

    if (text.size != UUID_TEXT_SIZE - 1)
        return ERR_PARSE;
    for (size_t i = 0; i < sizeof(id.byte); i++) {
        if (uuid_dash_before(i) && *at++ != '-')
            return ERR_PARSE;
        if (text_parse_hex(bytes_of(at, 2), &id.byte[i], 1) != ERR_OK)
            return ERR_PARSE;
        at += 2;
    }
    *ret_id = id;
    return ERR_OK;
}
