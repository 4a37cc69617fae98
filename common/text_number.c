#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The end of the run of digits that starts at `at`. */
static size_t digits_end(struct bytes text, size_t at)
{
    while (at < text.size && is_digit(text.data[at]))
        at++;
    return at;
}

/* *magnitude * 10 + digit, if it is at most `max`. */
static bool push_digit(uint64_t *magnitude, unsigned digit, uint64_t max)
{
    if (*magnitude > (max - digit) / 10)
        return false;
    *magnitude = *magnitude * 10 + digit;
    return true;
}

static uint64_t magnitude_max(bool negative)
{
    return negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
}

static int64_t with_sign(uint64_t magnitude, bool negative)
{
    if (!negative)
        return (int64_t)magnitude;
    return magnitude == 0 ? 0 : -(int64_t)(magnitude - 1) - 1;
}

enum err text_parse_int64(struct bytes text, int64_t *ret_value)
{
    return text_parse_money(text, 0, ret_value);
}

/* Whether all of it is -?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?; where the point is, or text.size. */
static bool scan_double(struct bytes text, size_t *ret_point)
{
    size_t start = text.size > 0 && text.data[0] == '-' ? 1 : 0;
    size_t at = digits_end(text, start);

    if (at == start)
        return false;
    *ret_point = text.size;
    if (at < text.size && text.data[at] == '.') {
        *ret_point = at;
        start = at + 1;
        at = digits_end(text, start);
        if (at == start)
            return false;
    }
    if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
        start = at + 1;
        if (start < text.size && (text.data[start] == '+' || text.data[start] == '-'))
            start++;
        at = digits_end(text, start);
        if (at == start)
            return false;
    }
    return at == text.size;
}

#define POINT_MAX ((size_t)8) /* bytes of a locale's decimal point */

/* The decimal point that strtod and printf use at the moment. */
static const char *locale_point(void)
{
    const char *point = localeconv()->decimal_point;

    return point == NULL || *point == '\0' || strlen(point) > POINT_MAX ? "." : point;
}

enum err text_parse_double(struct bytes text, double *ret_value)
{
    char copy[TEXT_DOUBLE_MAX + POINT_MAX + 1];
    const char *point = locale_point();
    size_t at, size = 0;
    char *end;
    double value;

    if (text.size > TEXT_DOUBLE_MAX || !scan_double(text, &at))
        return ERR_PARSE;
    memcpy(copy, text.data, at);
    size = at;
    if (at < text.size) {
        memcpy(copy + size, point, strlen(point));
        size += strlen(point);
        memcpy(copy + size, text.data + at + 1, text.size - at - 1);
        size += text.size - at - 1;
    }
    copy[size] = '\0';
    value = strtod(copy, &end);
    if (end != copy + size)
        return ERR_BUG;
    if (!isfinite(value))
        return ERR_LIMIT;
    *ret_value = value;
    return ERR_OK;
}

enum err text_append_int64(struct buf *out, int64_t value)
{
    return text_append_money(out, value, 0);
}

enum err text_append_double(struct buf *out, double value)
{
    char text[64];
    const char *point = locale_point();
    char *at;

    if (!isfinite(value))
        return ERR_INVALID;
    for (int digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    at = strstr(text, point);
    if (at != NULL && strcmp(point, ".") != 0) {
        *at = '.';
        memmove(at + 1, at + strlen(point), strlen(at + strlen(point)) + 1);
    }
    return text_append(out, text);
}

enum err text_parse_money(struct bytes text, unsigned digits, int64_t *ret_minor)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t start = negative ? 1 : 0;
    size_t point = digits_end(text, start);
    size_t end = point;
    uint64_t magnitude = 0;
    bool fits = true;

    if (digits > TEXT_MONEY_DIGITS_MAX)
        return ERR_INVALID;
    if (point == start)
        return ERR_PARSE;
    if (point < text.size) {
        end = digits_end(text, point + 1);
        if (text.data[point] != '.' || end != text.size || end == point + 1 ||
            end - point - 1 > digits)
            return ERR_PARSE;
    }
    for (size_t at = start; at < point && fits; at++)
        fits = push_digit(&magnitude, text.data[at] - (unsigned)'0', magnitude_max(negative));
    for (size_t i = 1; i <= digits && fits; i++) {
        unsigned digit = point + i < end ? text.data[point + i] - (unsigned)'0' : 0;

        fits = push_digit(&magnitude, digit, magnitude_max(negative));
    }
    if (!fits)
        return ERR_LIMIT;
    *ret_minor = with_sign(magnitude, negative);
    return ERR_OK;
}

enum err text_append_money(struct buf *out, int64_t minor, unsigned digits)
{
    char text[32]; /* filled from its end */
    size_t at = sizeof(text);
    uint64_t magnitude = minor < 0 ? (uint64_t)0 - (uint64_t)minor : (uint64_t)minor;

    if (digits > TEXT_MONEY_DIGITS_MAX)
        return ERR_INVALID;
    for (unsigned written = 0; written <= digits || magnitude > 0; written++) {
        if (written == digits && digits > 0)
            text[--at] = '.';
        text[--at] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    }
    if (minor < 0)
        text[--at] = '-';
    return buf_append(out, text + at, sizeof(text) - at);
}

const char *text_size(uint64_t bytes, char out[TEXT_SIZE_MAX])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    uint64_t tenths = bytes, unit = 0; /* of the unit, from kB on */
    if (bytes < 1000) {
        (void)snprintf(out, TEXT_SIZE_MAX, "%u B", (unsigned)bytes);
        return out;
    }
    for (unit = 1, tenths = bytes / 100; tenths >= 10000; unit++)
        tenths /= 1000;
    if (tenths < 100)
        (void)snprintf(out, TEXT_SIZE_MAX, "%u.%u %s", (unsigned)(tenths / 10),
                       (unsigned)(tenths % 10), units[unit]);
    else
        (void)snprintf(out, TEXT_SIZE_MAX, "%u %s", (unsigned)(tenths / 10), units[unit]);
    return out;
}
