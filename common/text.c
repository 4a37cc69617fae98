#include "common/text.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Base 16, 64 and 32 are one thing: groups of 4, 6 or 5 bits, most significant first. */

static enum err append_bits(struct buf *out, struct bytes in, unsigned bits, const char *alphabet,
                            size_t group)
{
    size_t size = (in.size / bits) * 8 + ((in.size % bits) * 8 + bits - 1) / bits;
    size_t dashes = group == 0 || size == 0 ? 0 : (size - 1) / group;
    uint32_t pending = 0; /* its low `count` bits are not written yet */
    unsigned count = 0;
    size_t next = 0;
    uint8_t *at;

    if (in.size > SIZE_MAX / 16)
        return ERR_TOO_LARGE;
    at = buf_reserve(out, size + dashes);
    if (at == NULL)
        return out->error;
    for (size_t i = 0; i < size; i++) {
        if (count < bits) {
            pending = pending << 8 | (next < in.size ? in.data[next] : 0u);
            next++;
            count += 8;
        }
        if (dashes > 0 && i > 0 && i % group == 0)
            *at++ = '-';
        count -= bits;
        *at++ = (uint8_t)alphabet[pending >> count & ((1u << bits) - 1)];
    }
    out->size += size + dashes;
    return ERR_OK;
}

/* What a character stands for, or DIGIT_NONE, or DIGIT_SKIP. */
enum { DIGIT_NONE = -1, DIGIT_SKIP = -2 };
typedef int digit_fn(uint8_t character);

/* Exactly size bytes, and no bits left but zeros that did not fill a byte. */
static enum err parse_bits(struct bytes text, unsigned bits, digit_fn *digit, uint8_t *out,
                           size_t size)
{
    size_t digits = (size / bits) * 8 + ((size % bits) * 8 + bits - 1) / bits;
    uint32_t pending = 0;
    unsigned count = 0;
    size_t seen = 0, written = 0;

    for (size_t i = 0; i < text.size; i++) {
        int value = digit(text.data[i]);

        if (value == DIGIT_SKIP)
            continue;
        if (value == DIGIT_NONE || ++seen > digits)
            return ERR_PARSE;
        pending = pending << bits | (uint32_t)value;
        count += bits;
        if (count >= 8) {
            count -= 8;
            out[written++] = (uint8_t)(pending >> count);
        }
    }
    if (seen != digits || (pending & ((1u << count) - 1)) != 0)
        return ERR_PARSE;
    return ERR_OK;
}

enum err text_append_hex(struct buf *out, struct bytes in)
{
    return append_bits(out, in, 4, "0123456789abcdef", 0);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return DIGIT_NONE;
}

enum err text_parse_hex(struct bytes text, uint8_t *ret_data, size_t size)
{
    if (size > SIZE_MAX / 2 || text.size != 2 * size)
        return ERR_PARSE;
    for (size_t i = 0; i < text.size; i++) {
        if (hex_digit(text.data[i]) < 0)
            return ERR_PARSE;
    }
    return parse_bits(text, 4, hex_digit, ret_data, size);
}

enum err text_append_base64url(struct buf *out, struct bytes in)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    return append_bits(out, in, 6, alphabet, 0);
}

static int base64url_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : DIGIT_NONE;
}

enum err text_parse_base64url(struct bytes text, struct buf *out)
{
    size_t size = text.size / 4 * 3 + text.size % 4 * 6 / 8;
    uint8_t *at;
    enum err error;

    if (text.size % 4 == 1)
        return ERR_PARSE;
    at = buf_reserve(out, size);
    if (at == NULL)
        return out->error;
    error = parse_bits(text, 6, base64url_digit, at, size);
    if (error == ERR_OK)
        out->size += size;
    return error;
}

enum err text_append_code(struct buf *out, struct bytes in, size_t group)
{
    return append_bits(out, in, 5, "0123456789ABCDEFGHJKMNPQRSTVWXYZ", group);
}

static int code_digit(uint8_t c)
{
    /* By letter from A; '-' where Crockford leaves one out. I and L read as 1, O as 0. */
    static const signed char letters[] = {10, 11, 12, 13, 14, 15, 16, 17, 1,  18, 19, 1,  20,
                                          21, 0,  22, 23, 24, 25, 26, -1, 27, 28, 29, 30, 31};

    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'Z')
        return letters[c - 'A'];
    if (c >= 'a' && c <= 'z')
        return letters[c - 'a'];
    return c == '-' || c == ' ' ? DIGIT_SKIP : DIGIT_NONE;
}

enum err text_parse_code(struct bytes text, uint8_t *ret_data, size_t size)
{
    uint8_t data[TEXT_CODE_MAX];
    enum err error;

    if (size > sizeof(data))
        return ERR_INVALID;
    error = parse_bits(text, 5, code_digit, data, size);
    if (error == ERR_OK && size > 0)
        memcpy(ret_data, data, size);
    return error;
}

/* How many bytes a character that starts with `lead` has; 0: none starts so. */
static size_t utf8_size(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if ((lead & 0xf0) == 0xe0)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/* The size of the valid character at the start of the text, which is not empty; 0: it is not one. */
static size_t utf8_char(struct bytes text)
{
    uint8_t lead = text.data[0];
    size_t size = utf8_size(lead);

    if (size == 0 || size > text.size)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
    }
    if (size < 3)
        return size;
    /* The second byte's range is narrower where a shorter form, a surrogate or more than U+10FFFF
     * would follow (Unicode, table 3-7). */
    if ((lead == 0xe0 && text.data[1] < 0xa0) || (lead == 0xed && text.data[1] > 0x9f) ||
        (lead == 0xf0 && text.data[1] < 0x90) || (lead == 0xf4 && text.data[1] > 0x8f))
        return 0;
    return size;
}

bool utf8_valid(struct bytes text)
{
    for (size_t at = 0; at < text.size;) {
        size_t size =
            text.data[at] < 0x80 ? 1 : utf8_char(bytes_of(text.data + at, text.size - at));

        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

size_t utf8_whole(struct bytes text)
{
    for (size_t back = 1; back <= 4 && back <= text.size; back++) {
        uint8_t byte = text.data[text.size - back];

        if ((byte & 0xc0) != 0x80) /* the last character starts here */
            return utf8_size(byte) > back ? text.size - back : text.size;
    }
    return text.size; /* nothing but continuation bytes: not UTF-8, so nothing to save */
}

size_t utf8_cut(struct bytes text, size_t max_bytes)
{
    if (text.size <= max_bytes)
        return text.size;
    return utf8_whole(bytes_of(text.data, max_bytes));
}

/* The character in `byte`, escaped. Returns how much was written to out, 0: needs no escape. */
static size_t json_escape(uint8_t byte, char out[7])
{
    static const char shorts[] = "btn\0fr"; /* from U+0008 on */

    if (byte == '"' || byte == '\\') {
        out[0] = '\\';
        out[1] = (char)byte;
        return 2;
    }
    if (byte >= 0x20)
        return 0;
    if (byte >= 8 && byte <= 13 && byte != 11) {
        out[0] = '\\';
        out[1] = shorts[byte - 8];
        return 2;
    }
    return (size_t)snprintf(out, 7, "\\u%04x", (unsigned)byte);
}

enum err text_append_json(struct buf *out, struct bytes text)
{
    size_t start = out->size;
    size_t plain = 0; /* [plain, at) is to be copied as it is */

    buf_append_byte(out, '"');
    for (size_t at = 0; at < text.size;) {
        char escaped[7];
        size_t escaped_size = json_escape(text.data[at], escaped);
        size_t size = utf8_char(bytes_of(text.data + at, text.size - at));

        if (escaped_size > 0 || size == 0) {
            buf_append(out, text.data + plain, at - plain);
            if (size == 0)
                buf_append(out, "\xef\xbf\xbd", 3);
            else
                buf_append(out, escaped, escaped_size);
            plain = at + 1;
        }
        at += size > 0 ? size : 1;
    }
    buf_append(out, text.size > plain ? text.data + plain : NULL, text.size - plain);
    buf_append_byte(out, '"');
    if (out->error != ERR_OK)
        out->size = start;
    return out->error;
}

enum err text_append(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

enum err text_append_format(struct buf *out, const char *format, ...)
{
    va_list arguments, again;
    uint8_t *at;
    int wanted;

    va_start(arguments, format);
    va_copy(again, arguments);
    wanted = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (wanted < 0 || wanted == INT_MAX) {
        va_end(again);
        return ERR_BUG;
    }
    at = buf_reserve(out, (size_t)wanted + 1); /* vsnprintf adds a terminator */
    if (at != NULL) {
        vsnprintf((char *)at, (size_t)wanted + 1, format, again);
        out->size += (size_t)wanted;
    }
    va_end(again);
    return out->error;
}
