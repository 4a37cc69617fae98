#include "common/text_fold.h"

#include <string.h>

/* Blocks in which upper-case letters stand before their lower-case ones: even ones, or odd ones. */
static bool is_paired(uint32_t c)
{
    bool even =
        (c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177) ||
        (c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f) ||
        (c >= 0x1e00 && c <= 0x1e95) || (c >= 0x1ea0 && c <= 0x1eff) || (c >= 0x218 && c <= 0x21f);
    bool odd =
        (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e) || (c >= 0x4c1 && c <= 0x4ce);
    return (even && c % 2 == 0) || (odd && c % 2 == 1);
}

static uint32_t fold(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3ab && c != 0x3a2) ||
        (c >= 0x410 && c <= 0x42f))
        return c + 0x20;
    if (c >= 0x400 && c <= 0x40f)
        return c + 0x50;
    if (c >= 0x531 && c <= 0x556)
        return c + 0x30;
    switch (c) {
    case 0x178: return 0xff;  /* Y with diaeresis */
    case 0x1e9e: return 0xdf; /* capital sharp s */
    case 0x386: return 0x3ac; /* Greek with tonos */
    case 0x388: return 0x3ad;
    case 0x389: return 0x3ae;
    case 0x38a: return 0x3af;
    case 0x38c: return 0x3cc;
    case 0x38e: return 0x3cd;
    case 0x38f: return 0x3ce;
    case 0x3c2: return 0x3c3; /* final sigma */
    case 0x4c0: return 0x4cf; /* palochka */
    case 0x130: return 0x130; /* dotted capital I has no simple folding */
    default: return is_paired(c) ? c + 1 : c;
    }
}

/* All that folds is of two bytes, or of three from U+1E00 on. Size 0: not such a character. */
static size_t decode(struct bytes text, size_t at, uint32_t *ret)
{
    uint8_t a = text.data[at];
    size_t left = text.size - at;

    if (a < 0x80) {
        *ret = a;
        return 1;
    }
    if (left >= 2 && a >= 0xc2 && a <= 0xdf && (text.data[at + 1] & 0xc0) == 0x80) {
        *ret = (a & 0x1fu) << 6 | (text.data[at + 1] & 0x3fu);
        return 2;
    }
    if (left >= 3 && a == 0xe1 && (text.data[at + 1] & 0xc0) == 0x80 &&
        (text.data[at + 2] & 0xc0) == 0x80) {
        *ret = 0x1000u | (text.data[at + 1] & 0x3fu) << 6 | (text.data[at + 2] & 0x3fu);
        return 3;
    }
    return 0;
}

static size_t encode(uint32_t c, uint8_t out[3])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    out[0] = (uint8_t)(0xe0 | c >> 12);
    out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c & 0x3f));
    return 3;
}

enum err text_fold(struct bytes text, struct buf *out)
{
    size_t before = out->size;
    size_t at = 0;

    while (at < text.size && out->error == ERR_OK) {
        uint32_t c;
        uint8_t bytes[3];
        size_t size = decode(text, at, &c);

        if (size == 0)
            (void)buf_append_byte(out, text.data[at++]);
        else
            (void)buf_append(out, bytes, encode(fold(c), bytes));
        at += size;
    }
    if (out->error != ERR_OK)
        out->size = before;
    return out->error;
}

bool text_contains(struct bytes text, struct bytes part)
{
    const uint8_t *at = text.data;
    size_t left = text.size;

    if (part.size == 0)
        return true;
    while (left >= part.size) {
        const uint8_t *found = memchr(at, part.data[0], left - part.size + 1);

        if (found == NULL)
            return false;
        if (memcmp(found, part.data, part.size) == 0)
            return true;
        left -= (size_t)(found - at) + 1;
        at = found + 1;
    }
    return false;
}
