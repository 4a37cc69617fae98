/* text.c - see text.h. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ctype.h>
#include <wctype.h>

#include "cli.h"

void *need(void *memory)
{
    if (!memory)
        cli_out_of_memory();
    return memory;
}

char *text_copy(const char *text)
{
    return text_copy_n(text, strlen(text));
}

char *text_copy_n(const char *text, size_t size)
{
    char *copy = need(malloc(size + 1));
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

void text_done(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

void text_clear(struct text *text)
{
    text->size = 0;
    if (text->data)
        text->data[0] = '\0';
}

static void reserve(struct text *text, size_t more)
{
    if (text->capacity - text->size > more)
        return;
    size_t capacity = text->capacity < 64 ? 64 : text->capacity;
    while (capacity - text->size <= more)
        capacity *= 2;
    text->data = need(realloc(text->data, capacity));
    text->capacity = capacity;
}

void text_add_n(struct text *text, const char *add, size_t size)
{
    reserve(text, size);
    memcpy(text->data + text->size, add, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void text_add(struct text *text, const char *add)
{
    text_add_n(text, add, strlen(add));
}

void text_addf(struct text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size > 0) {
        reserve(text, (size_t)size);
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}

char *text_take(struct text *text)
{
    char *data = text->data ? text->data : text_copy("");
    *text = (struct text){0};
    return data;
}

const char *text_get(const struct text *text)
{
    return text->data ? text->data : "";
}

size_t text_decode(const char *s, size_t size, uint32_t *ret_character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *u = (const unsigned char *)s;
    size_t bytes = u[0] < 0x80                   ? 1
                   : u[0] >= 0xc2 && u[0] < 0xe0 ? 2
                   : u[0] >= 0xe0 && u[0] < 0xf0 ? 3
                   : u[0] >= 0xf0 && u[0] < 0xf5 ? 4
                                                 : 0;
    uint32_t c = bytes == 1 ? u[0] : bytes == 0 ? 0 : (uint32_t)u[0] & (0x7fu >> bytes);
    *ret_character = 0xfffd;
    if (bytes == 0 || bytes > size)
        return 1;
    for (size_t i = 1; i < bytes; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 1;
        c = c << 6 | (u[i] & 0x3fu);
    }
    if (bytes > 1 && (c < least[bytes] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)))
        return 1;
    *ret_character = c;
    return bytes;
}

void text_add_character(struct text *text, uint32_t c)
{
    char out[4];
    size_t size = 0;
    if (c < 0x80) {
        out[size++] = (char)c;
    } else if (c < 0x800) {
        out[size++] = (char)(0xc0 | c >> 6);
        out[size++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        out[size++] = (char)(0xe0 | c >> 12);
        out[size++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[size++] = (char)(0x80 | (c & 0x3f));
    } else {
        out[size++] = (char)(0xf0 | c >> 18);
        out[size++] = (char)(0x80 | (c >> 12 & 0x3f));
        out[size++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[size++] = (char)(0x80 | (c & 0x3f));
    }
    text_add_n(text, out, size);
}

int text_character_width(uint32_t c)
{
    static const uint32_t none[][2] = {
        {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
        {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x2064},
        {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}};
    static const uint32_t wide[][2] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x33ff},
                                       {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},
                                       {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
                                       {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
                                       {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    if (c < 0x300)
        return c >= 0x20 && c != 0x7f;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        if (c >= none[i][0] && c <= none[i][1])
            return 0;
    }
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        if (c >= wide[i][0] && c <= wide[i][1])
            return 2;
    }
    return 1;
}

int text_width(const char *s)
{
    int width = 0;
    for (size_t left = strlen(s); left > 0;) {
        uint32_t c;
        size_t bytes = text_decode(s, left, &c);
        width += text_character_width(c);
        s += bytes;
        left -= bytes;
    }
    return width;
}

char *text_fold(const char *s)
{
    struct text out = {0};
    for (size_t left = strlen(s); left > 0;) {
        uint32_t c;
        size_t bytes = text_decode(s, left, &c);
        wint_t lower = towlower((wint_t)c);
        if (c >= 0x80 ? iswalnum((wint_t)c) || c >= 0x3000 : isalnum((int)c))
            text_add_character(&out, (uint32_t)lower);
        s += bytes;
        left -= bytes;
    }
    return text_take(&out);
}

bool text_alike(const char *a, const char *b)
{
    char *x = text_fold(a), *y = text_fold(b);
    bool alike = x[0] != '\0' && strcmp(x, y) == 0;
    free(x);
    free(y);
    return alike;
}

/* Levenshtein's distance over folded bytes; of long names the first 63 bytes count. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], n = strlen(b) > 63 ? 63 : strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0' && i < 63; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= n; j++) {
            size_t change = corner + (a[i] != b[j - 1]);
            size_t less = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            corner = row[j];
            row[j] = change < less ? change : less;
        }
    }
    return row[n];
}

const char *text_nearest(const char *name, const char *const *candidates, size_t count)
{
    char *folded = text_fold(name);
    size_t best = SIZE_MAX, length = strlen(folded);
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        char *other = text_fold(candidates[i]);
        size_t apart = distance(folded, other);
        if (length >= 3 && strncmp(other, folded, length) == 0)
            apart = 1; /* the start of a name */
        if (apart < best && apart <= 1 + length / 3) {
            best = apart;
            found = candidates[i];
        }
        free(other);
    }
    free(folded);
    return found;
}

/* What a letter beyond ASCII is written as in a login; "" for none. */
static const char *transcribe(uint32_t c)
{
    static const char *const cyrillic[] = {
        "a", "b", "v", "g", "d", "e",  "zh", "z",  "i",  "y",    "k", "l", "m", "n", "o",  "p",
        "r", "s", "t", "u", "f", "kh", "ts", "ch", "sh", "shch", "",  "y", "",  "e", "yu", "ya"};
    static const char latin[] = "aaaaaaaceeeeiiiidnooooo.ouuuuyt.";
    static char one[2];
    if (c >= 0x430 && c <= 0x44f)
        return cyrillic[c - 0x430];
    if (c == 0x451)
        return "e";
    if (c == 0xdf)
        return "ss";
    if (c >= 0xe0 && c <= 0xfe && latin[c - 0xe0] != '.') {
        one[0] = latin[c - 0xe0];
        return one;
    }
    return "";
}

char *text_login(const char *name)
{
    struct text out = {0};
    bool gap = false;
    for (size_t left = strlen(name); left > 0;) {
        uint32_t c;
        size_t bytes = text_decode(name, left, &c);
        char ascii[2] = "";
        const char *add = ascii;
        c = (uint32_t)towlower((wint_t)c);
        if (c < 0x80)
            ascii[0] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? (char)c : '\0';
        else
            add = transcribe(c);
        if (add[0] != '\0') {
            if (gap && out.size > 0)
                text_add(&out, ".");
            text_add(&out, add);
            gap = false;
        } else if (c < 0x80) {
            gap = true;
        }
        name += bytes;
        left -= bytes;
    }
    return text_take(&out);
}
