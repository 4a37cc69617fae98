/* text.h - bytes, numbers, dates and money as text, and back.
 *
 * Model:      `text_append_x` writes to a buf, `text_parse_x` reads a whole view: nothing before,
 *             after or between is skipped unless it says so. Nothing depends on the locale.
 * Errors:     parsing: ERR_PARSE for the form, ERR_LIMIT for a value out of range; the out-
 *             parameter is untouched then. Appending: ERR_NOMEM, ERR_TOO_LARGE; nothing is appended
 *             then.
 * Source:     RFC 4648 (base 16, base64url), RFC 3629 (UTF-8), RFC 8259 (JSON), RFC 3339
 *             (instants), https://www.crockford.com/base32.html. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include "common/buf.h"

/* Lower-case hexadecimal. */
enum err text_append_hex(struct buf *out, struct bytes in);
/* Either case, exactly 2 * size digits. ERR_PARSE. */
enum err text_parse_hex(struct bytes text, uint8_t *ret_data, size_t size);

/* The URL-safe alphabet, no padding. */
enum err text_append_base64url(struct buf *out, struct bytes in);
/* Appends. ERR_PARSE: padding, other characters, a length that cannot be, or unused bits that are
 * not 0 (so that each value has one form). */
enum err text_parse_base64url(struct bytes text, struct buf *out);

#define TEXT_CODE_MAX ((size_t)64) /* bytes */

/* Crockford's base32: the bits in order, five to a character, 0 bits at the end; no check symbol.
 * A '-' stands after each `group` characters (0: none): 16 bytes are 26 characters. */
enum err text_append_code(struct buf *out, struct bytes in, size_t group);
/* What a person copied: either case, o as 0, i and l as 1, '-' and spaces anywhere. Exactly `size`
 * bytes. ERR_PARSE: another character, another count, or unused bits that are not 0. ERR_INVALID:
 * size > TEXT_CODE_MAX. */
enum err text_parse_code(struct bytes text, uint8_t *ret_data, size_t size);

/* Whether it is UTF-8: shortest forms only, no surrogates, nothing above U+10FFFF. U+0000 is valid
 * here; columns refuse it (model_check_value). Empty text is valid. */
bool utf8_valid(struct bytes text);
/* The size of the text without the character that it breaks off in, if it does; the text before
 * that is valid UTF-8. */
size_t utf8_whole(struct bytes text);
/* The largest size <= max_bytes that does not cut a character of valid UTF-8 in two. */
size_t utf8_cut(struct bytes text, size_t max_bytes);

/* A JSON string with its quotes, escaping only what must be: `"`, `\` and control characters below
 * U+0020. A byte that is not valid UTF-8 becomes U+FFFD: the output is always valid JSON. */
enum err text_append_json(struct buf *out, struct bytes text);

/* Terminated text, without its terminator. */
enum err text_append(struct buf *out, const char *text);
/* printf-like. Needs room for a terminator, which is not kept. ERR_BUG: the format failed. */
enum err text_append_format(struct buf *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* -?[0-9]+ within int64. ERR_PARSE, ERR_LIMIT. */
enum err text_parse_int64(struct bytes text, int64_t *ret_value);
#define TEXT_DOUBLE_MAX ((size_t)400)

/* -?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?, at most TEXT_DOUBLE_MAX bytes. ERR_PARSE; ERR_LIMIT: not
 * finite. What is too small becomes 0 or a subnormal. */
enum err text_parse_double(struct bytes text, double *ret_value);
enum err text_append_int64(struct buf *out, int64_t value);
/* The fewest of 15, 16 or 17 digits that read back as the same number ("0.1", "1e+300", "-0").
 * ERR_INVALID: not finite. */
enum err text_append_double(struct buf *out, double value);

/* Calendar dates "YYYY-MM-DD", proleptic Gregorian, years 0001 to 9999. */
bool text_date_valid(struct bytes text);
/* Days since 1970-01-01. ERR_PARSE: the form, or no such day. */
enum err text_parse_date(struct bytes text, int32_t *ret_days);
/* ERR_LIMIT: not in the years 0001 to 9999. */
enum err text_append_date(struct buf *out, int32_t days);

/* "2026-11-22T10:00:00.000Z" -> ms since 1970 UTC. Taken too: a space for the T, t and z, seconds
 * or their fraction missing, 1 to 9 digits of it (cut to ms), an offset +hh:mm or -hh:mm for the Z,
 * which must be one or the other. No second 60. ERR_PARSE; ERR_LIMIT: outside the years 0001 to
 * 9999 (UTC). */
enum err text_parse_instant(struct bytes text, int64_t *ret_ms);
/* Always the 24 characters above. ERR_LIMIT: outside the years 0001 to 9999. */
enum err text_append_instant(struct buf *out, int64_t ms);

#define TEXT_MONEY_DIGITS_MAX 4u
/* Decimal text -> minor units: -?[0-9]+(\.[0-9]{1,digits})?, so "12.5" with 2 digits is 1250. No
 * thousands separators, no sign +. ERR_PARSE (more digits after the point than `digits` included);
 * ERR_LIMIT: past int64; ERR_INVALID: digits > TEXT_MONEY_DIGITS_MAX. */
enum err text_parse_money(struct bytes text, unsigned digits, int64_t *ret_minor);
/* Always with `digits` digits after the point ("-0.05"); without a point for 0. ERR_INVALID. */
enum err text_append_money(struct buf *out, int64_t minor, unsigned digits);

/* A number of bytes as people read it: "812 B", "1.5 kB", "34 MB" (powers of 1000). Returns out. */
enum { TEXT_SIZE_MAX = 16 };
const char *text_size(uint64_t bytes, char out[TEXT_SIZE_MAX]);

#endif
