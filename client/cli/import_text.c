/* import_text.c - finds the encoding and the delimiter of a file; converts to UTF-8. */
#include <errno.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "import.h"

/* The first byte that is not UTF-8, or size. */
static size_t utf8_until(const char *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint32_t c;
        size_t bytes = text_decode(data + at, size - at, &c);
        if (bytes == 1 && (unsigned char)data[at] >= 0x80)
            return at;
        at += bytes;
    }
    return size;
}

static bool is_letter(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Bytes from 0xc0 are letters in both. Russian words are runs of them; in the languages of
 * windows-1252 they stand alone between letters of ASCII. */
static const char *single_byte(const char *data, size_t size)
{
    const unsigned char *u = (const unsigned char *)data;
    size_t runs = 0, mixed = 0;
    for (size_t i = 0; i + 1 < size; i++) {
        bool high = u[i] >= 0xc0 || u[i] == 0xa8 || u[i] == 0xb8;
        bool next_high = u[i + 1] >= 0xc0 || u[i + 1] == 0xa8 || u[i + 1] == 0xb8;
        runs += high && next_high;
        mixed += (high && is_letter(u[i + 1])) || (is_letter(u[i]) && next_high);
    }
    return runs > mixed ? "windows-1251" : "windows-1252";
}

/* UTF-16 without a mark: every other byte of text in most scripts is a small one. */
static const char *wide(const char *data, size_t size)
{
    size_t zeros[2] = {0, 0}, looked = size > 4096 ? 4096 : size;
    for (size_t i = 0; i < looked; i++)
        zeros[i % 2] += data[i] == '\0';
    if (zeros[1] > looked / 8 && zeros[0] < zeros[1] / 4)
        return "UTF-16LE";
    if (zeros[0] > looked / 8 && zeros[1] < zeros[0] / 4)
        return "UTF-16BE";
    return NULL;
}

/* The encoding, and in *skip the bytes of its mark. NULL: an unknown name. */
static const char *choose(const char *data, size_t size, const char *wanted, size_t *skip)
{
    bool automatic = strcasecmp(wanted, "auto") == 0;
    bool utf16 = strcasecmp(wanted, "utf-16") == 0;
    *skip = 0;
    if (size >= 2 && (automatic || utf16)) {
        *skip = 2;
        if (memcmp(data, "\xff\xfe", 2) == 0)
            return "UTF-16LE";
        if (memcmp(data, "\xfe\xff", 2) == 0)
            return "UTF-16BE";
        *skip = 0;
    }
    if (utf16)
        return wide(data, size) ? wide(data, size) : "UTF-16LE";
    if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 &&
        (automatic || strcasecmp(wanted, "utf-8") == 0)) {
        *skip = 3;
        return "UTF-8";
    }
    if (automatic && wide(data, size))
        return wide(data, size);
    if (automatic)
        return utf8_until(data, size) == size ? "UTF-8" : single_byte(data, size);
    static const char *const names[] = {"UTF-8", "windows-1251", "windows-1252"};
    for (size_t i = 0; i < 3; i++) {
        if (strcasecmp(wanted, names[i]) == 0)
            return names[i];
    }
    return NULL;
}

static size_t line_of(const char *data, size_t at)
{
    size_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += data[i] == '\n';
    return line;
}

static char *convert(const char *data, size_t size, const char *from, size_t *ret_size,
                     char *problem, size_t problem_size)
{
    size_t capacity = size * 3 + 16, in_left = size, out_left = capacity;
    char *out = need(malloc(capacity)), *to = out;
    char *in = (char *)(uintptr_t)data; /* iconv does not write to it */
    iconv_t converter = iconv_open("UTF-8", from);
    size_t result =
        converter == (iconv_t)-1 ? (size_t)-1 : iconv(converter, &in, &in_left, &to, &out_left);
    if (converter == (iconv_t)-1)
        snprintf(problem, problem_size, "this system cannot convert %s", from);
    else
        iconv_close(converter);
    if (result == (size_t)-1) {
        if (converter != (iconv_t)-1)
            snprintf(problem, problem_size,
                     "line %zu: byte 0x%02x is no %s; --encoding names another",
                     line_of(data, size - in_left), (unsigned char)*in, from);
        free(out);
        return NULL;
    }
    *ret_size = (size_t)(to - out);
    out[*ret_size] = '\0';
    return out;
}

char *import_decode(const char *data, size_t size, const char *encoding, size_t *ret_size,
                    const char **ret_encoding, char *problem, size_t problem_size)
{
    size_t skip;
    const char *found = choose(data, size, encoding, &skip);
    if (!found) {
        snprintf(problem, problem_size,
                 "--encoding is auto, utf-8, windows-1251, windows-1252 or utf-16, not '%s'",
                 encoding);
        return NULL;
    }
    *ret_encoding = found;
    if (strcmp(found, "UTF-8") != 0)
        return convert(data + skip, size - skip, found, ret_size, problem, problem_size);
    size_t until = utf8_until(data, size);
    if (until < size) {
        snprintf(problem, problem_size,
                 "line %zu: byte 0x%02x is no UTF-8; --encoding names another",
                 line_of(data, until), (unsigned char)data[until]);
        return NULL;
    }
    *ret_size = size - skip;
    return text_copy_n(data + skip, size - skip);
}

/* How many of the first records have as many delimiters as the first one, and how many that are. */
static void consistency(const char *text, size_t size, char delimiter, size_t *ret_alike,
                        size_t *ret_first)
{
    size_t count = 0, first = 0, alike = 0, records = 0;
    bool quoted = false, any = false;
    for (size_t i = 0; i < size && records < 100; i++) {
        if (text[i] == '"')
            quoted = !quoted;
        if (!quoted && text[i] == delimiter)
            count++;
        any |= text[i] != '\n' && text[i] != '\r';
        bool end = !quoted && (text[i] == '\n' || text[i] == '\r' || i + 1 == size);
        if (end && any) {
            if (records == 0)
                first = count;
            alike += count == first;
            records++;
            count = 0;
            any = false;
        }
    }
    *ret_first = first;
    *ret_alike = records > 0 ? alike * 1000 / records : 0;
}

char import_delimiter(const char *text, size_t size)
{
    static const char candidates[] = {',', ';', '\t', '|'};
    size_t best_alike = 0, best_first = 0;
    char best = ',';
    for (size_t i = 0; i < sizeof candidates; i++) {
        size_t alike, first;
        consistency(text, size > 65536 ? 65536 : size, candidates[i], &alike, &first);
        if (first == 0)
            continue;
        if (alike > best_alike || (alike == best_alike && first > best_first)) {
            best_alike = alike;
            best_first = first;
            best = candidates[i];
        }
    }
    return best;
}
