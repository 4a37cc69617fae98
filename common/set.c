#include "common/set.h"

#include "common/text.h"

#include <stdlib.h>
#include <string.h>

/* The byte that `\` and the text at `at` stand for, if that is how text_append_json() writes it.
 * Returns how many bytes the escape takes after the `\`, 0: another form. */
static size_t unescape(struct bytes at, uint8_t *ret_byte)
{
    static const char letters[] = "\"\\bfnrt";
    static const uint8_t bytes[] = {'"', '\\', '\b', '\f', '\n', '\r', '\t'};
    const char *letter;

    if (at.size == 0 || at.data[0] == '\0')
        return 0;
    letter = strchr(letters, at.data[0]);
    if (letter != NULL) {
        *ret_byte = bytes[letter - letters];
        return 1;
    }
    if (at.size < 5 || memcmp(at.data, "u00", 3) != 0 || (at.data[3] != '0' && at.data[3] != '1') ||
        memchr("0123456789abcdef", at.data[4], 16) == NULL)
        return 0;
    *ret_byte = (uint8_t)((at.data[3] - '0') * 16 +
                          (at.data[4] <= '9' ? at.data[4] - '0' : at.data[4] - 'a' + 10));
    if (*ret_byte == 0 || (*ret_byte >= 8 && *ret_byte <= 13 && *ret_byte != 11))
        return 0; /* no NUL; these have short forms */
    return 5;
}

/* Reads the string at *offset into out (SET_ELEMENT_MAX bytes). Returns its size, 0: not valid. */
static size_t read_element(struct bytes text, size_t *offset, uint8_t *out)
{
    size_t at = *offset, size = 0;

    if (at >= text.size || text.data[at] != '"')
        return 0;
    for (at++; at < text.size && text.data[at] != '"'; size++) {
        uint8_t byte = text.data[at];
        size_t escape_size = 0;

        if (byte < 0x20 || size == SET_ELEMENT_MAX)
            return 0;
        if (byte == '\\') {
            escape_size = unescape(bytes_of(text.data + at + 1, text.size - at - 1), &byte);
            if (escape_size == 0)
                return 0;
        }
        out[size] = byte;
        at += 1 + escape_size;
    }
    if (at >= text.size || !utf8_valid(bytes_of(out, size)))
        return 0;
    *offset = at + 1;
    return size;
}

typedef enum err element_fn(void *context, struct bytes element);

/* Calls fn (may be NULL) with each element; the view is valid during the call. ERR_PARSE, or what
 * fn returns. */
static enum err set_scan(struct bytes text, element_fn *fn, void *context)
{
    uint8_t space[2][SET_ELEMENT_MAX];
    struct bytes last = {NULL, 0};
    size_t at = 1, count = 0;

    if (text.size < 2 || text.data[0] != '[')
        return ERR_PARSE;
    if (text.data[1] == ']')
        return text.size == 2 ? ERR_OK : ERR_PARSE;
    for (;;) {
        struct bytes element = {space[count % 2], 0};

        element.size = read_element(text, &at, space[count % 2]);
        if (element.size == 0 || ++count > SET_ELEMENTS_MAX ||
            (last.size > 0 && bytes_compare(last, element) >= 0))
            return ERR_PARSE;
        if (fn != NULL) {
            enum err err = fn(context, element);
            if (err != ERR_OK)
                return err;
        }
        last = element;
        if (at >= text.size || (text.data[at] != ',' && text.data[at] != ']'))
            return ERR_PARSE;
        if (text.data[at++] == ']')
            return at == text.size ? ERR_OK : ERR_PARSE;
    }
}

bool set_valid(struct bytes text)
{
    return set_scan(text, NULL, NULL) == ERR_OK;
}

static enum err count_element(void *context, struct bytes element)
{
    (void)element;
    ++*(size_t *)context;
    return ERR_OK;
}

struct collector {
    struct arena *arena;
    struct bytes *elements;
    size_t count;
};

static enum err collect_element(void *context, struct bytes element)
{
    struct collector *collector = context;

    return arena_copy(collector->arena, element, &collector->elements[collector->count++]);
}

enum err set_parse(struct bytes text, struct arena *arena, struct bytes **ret_elements,
                   size_t *ret_count)
{
    struct collector collector = {arena, NULL, 0};
    size_t count = 0;
    enum err err = set_scan(text, count_element, &count);

    if (err != ERR_OK)
        return err;
    collector.elements = arena_calloc(arena, count, sizeof(*collector.elements));
    if (collector.elements == NULL)
        return ERR_NOMEM;
    err = set_scan(text, collect_element, &collector);
    if (err != ERR_OK)
        return err;
    *ret_elements = collector.elements;
    *ret_count = count;
    return ERR_OK;
}

static int compare_elements(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

enum err set_append(struct bytes *elements, size_t count, struct buf *out)
{
    size_t start = out->size, written = 0;

    for (size_t i = 0; i < count; i++) {
        if (elements[i].size == 0 || elements[i].size > SET_ELEMENT_MAX ||
            !utf8_valid(elements[i]) || memchr(elements[i].data, 0, elements[i].size) != NULL)
            return ERR_PARSE;
    }
    if (count > 1)
        qsort(elements, count, sizeof(*elements), compare_elements);
    buf_append_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && bytes_equal(elements[i - 1], elements[i]))
            continue;
        if (written++ > 0)
            buf_append_byte(out, ',');
        text_append_json(out, elements[i]);
    }
    buf_append_byte(out, ']');
    if (out->error != ERR_OK || written > SET_ELEMENTS_MAX) {
        out->size = start;
        return out->error != ERR_OK ? out->error : ERR_LIMIT;
    }
    return ERR_OK;
}
