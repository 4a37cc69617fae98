/* model_text.c - values as people and CSV files write them. */
#include "common/model.h"
#include "common/model_word.h"
#include "common/set.h"
#include "common/text.h"
#include "common/uuid.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_SIZE = 32, QUOTE_MAX = 60 };

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct bytes trim(struct bytes text)
{
    while (text.size > 0 && is_space(text.data[0])) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && is_space(text.data[text.size - 1]))
        text.size--;
    return text;
}

static bool starts_with(struct bytes text, size_t offset, const char *start)
{
    return text.size >= offset + strlen(start) &&
           memcmp(text.data + offset, start, strlen(start)) == 0;
}

/* "'price': '1,5' is not an amount ..." */
static enum err refuse(const struct model_column *column, struct bytes text, const char *why,
                       struct err_info *info)
{
    size_t size = utf8_valid(text) ? utf8_cut(text, QUOTE_MAX) : 0;

    if (size == 0)
        return err_set(info, ERR_TYPE, "'%s': this text %s", column->name, why);
    return err_set(info, ERR_TYPE, "'%s': '%.*s%s' %s", column->name, (int)size,
                   (const char *)text.data, size < text.size ? "..." : "", why);
}

static enum err copy_as(struct arena *arena, struct bytes text, struct value (*make)(struct bytes),
                        struct value *ret)
{
    struct bytes copy;
    enum err err = arena_copy(arena, text, &copy);

    if (err == ERR_OK)
        *ret = make(copy);
    return err;
}

static enum err integer_from_text(const struct model_column *column, struct bytes text,
                                  struct value *ret, struct err_info *info)
{
    int64_t integer;
    enum err err = text_parse_int64(text, &integer);

    /* A whole number with a fraction of zeros is what spreadsheets write. */
    for (struct bytes rest = text; err == ERR_PARSE && rest.size > 0; rest.size--) {
        uint8_t last = rest.data[rest.size - 1];

        if (last == '.' && rest.size < text.size)
            err = text_parse_int64(bytes_of(rest.data, rest.size - 1), &integer);
        if (last != '0')
            break;
    }
    if (err == ERR_LIMIT)
        return refuse(column, text, "is too large", info);
    if (err != ERR_OK)
        return refuse(column, text, "is not a whole number", info);
    *ret = value_int(integer);
    return ERR_OK;
}

static enum err real_from_text(const struct model_column *column, struct bytes text,
                               struct value *ret, struct err_info *info)
{
    double real;
    enum err err = text_parse_double(text, &real);

    if (err == ERR_LIMIT)
        return refuse(column, text, "is too large", info);
    if (err != ERR_OK)
        return refuse(column, text, "is not a number like 12.5", info);
    *ret = value_real(real == 0 ? 0 : real); /* -0 is 0 */
    return ERR_OK;
}

static enum err money_from_text(const struct model_column *column, struct bytes text,
                                struct value *ret, struct err_info *info)
{
    const uint8_t *point = memchr(text.data, '.', text.size);
    struct bytes exact = text;
    int64_t minor;
    enum err err;

    /* Zeros past the column's digits say nothing. */
    while (point != NULL && exact.data[exact.size - 1] == '0' &&
           exact.size - 1 > (size_t)(point - exact.data) + column->digits)
        exact.size--;
    if (point != NULL && column->digits == 0 && exact.size == (size_t)(point - exact.data) + 1 &&
        exact.size < text.size)
        exact.size--;
    err = text_parse_money(exact, column->digits, &minor);
    if (err == ERR_LIMIT)
        return refuse(column, text, "is too large", info);
    if (err != ERR_OK)
        return refuse(column, text,
                      column->digits == 0   ? "is not an amount like 1250"
                      : column->digits == 2 ? "is not an amount like 1250.50"
                                            : "is not an amount with this column's digits",
                      info);
    *ret = value_int(minor);
    return ERR_OK;
}

/* Whether what stands behind a date is midnight: " 00:00", "T00:00:00.000Z". */
static bool is_midnight(struct bytes text)
{
    if (text.size < 6 || (text.data[0] != ' ' && text.data[0] != 'T'))
        return false;
    for (size_t i = 1; i < text.size; i++) {
        uint8_t c = text.data[i];
        uint8_t expected = i == 3 || i == 6 ? ':' : i == 9 ? '.' : '0';

        if (i + 1 == text.size && c == 'Z')
            return true;
        if (c != expected)
            return false;
    }
    return true;
}

static enum err date_from_text(const struct model_column *column, struct bytes text,
                               struct arena *arena, struct value *ret, struct err_info *info)
{
    struct bytes day = text;

    if (text.size > 10 && is_midnight(bytes_of(text.data + 10, text.size - 10)))
        day.size = 10;
    if (text_date_valid(day))
        return copy_as(arena, day, value_text, ret);
    if (text.size > 10 && text_date_valid(bytes_of(text.data, 10)) &&
        (text.data[10] == ' ' || text.data[10] == 'T'))
        return refuse(column, text, "has a time of day; the column holds a date", info);
    return refuse(column, text, "is not a date like 2026-11-22", info);
}

/* ms; ISO; ISO without a zone, or a date only: UTC. */
static enum err instant_from_text(const struct model_column *column, struct bytes text,
                                  struct value *ret, struct err_info *info)
{
    uint8_t with_zone[48];
    int64_t ms;
    int32_t days;

    if (text_parse_int64(text, &ms) == ERR_OK || text_parse_instant(text, &ms) == ERR_OK) {
        *ret = value_int(ms);
        return ERR_OK;
    }
    if (text_parse_date(text, &days) == ERR_OK) {
        *ret = value_int((int64_t)days * 86400000);
        return ERR_OK;
    }
    if (text.size < sizeof(with_zone)) {
        memcpy(with_zone, text.data, text.size);
        with_zone[text.size] = 'Z';
        if (text_parse_instant(bytes_of(with_zone, text.size + 1), &ms) == ERR_OK) {
            *ret = value_int(ms);
            return ERR_OK;
        }
    }
    return refuse(column, text, "is not a time like 2026-11-22T10:00:00Z", info);
}

static enum err boolean_from_text(const struct model_column *column, struct bytes text,
                                  struct value *ret, struct err_info *info)
{
    static const char *const words[] = {"false", "true", "no", "yes", "0", "1", "нет", "да"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (word_compare_folded(bytes_of_text(words[i]), text) == 0) {
            *ret = value_int((int64_t)(i % 2));
            return ERR_OK;
        }
    }
    return refuse(column, text, "is neither true nor false (yes, no, 1, 0)", info);
}

static enum err enum_from_text(const struct model_column *column, struct bytes text,
                               struct value *ret, struct err_info *info)
{
    char why[96] = "is not one of the possible values", word[MODEL_NAME_MAX + 1];
    const char *nearest = NULL;

    for (size_t i = 0; i < column->symbol_count; i++) {
        bool same = word_compare_folded(bytes_of_text(column->symbols[i]), text) == 0;

        for (size_t k = 0; k < MODEL_LANGUAGES && !same; k++)
            same = word_compare_folded(bytes_of_text(column->symbol_labels[i].text[k]), text) == 0;
        if (same) {
            *ret = value_text(bytes_of_text(column->symbols[i]));
            return ERR_OK;
        }
    }
    if (text.size <= MODEL_NAME_MAX) {
        memcpy(word, text.data, text.size);
        word[text.size] = '\0';
        for (size_t i = 0; i < text.size; i++) {
            if (word[i] >= 'A' && word[i] <= 'Z')
                word[i] = (char)(word[i] + 32);
        }
        nearest = word_nearest(word, column->symbols, column->symbol_count);
    }
    if (nearest != NULL) {
        strcpy(why, "is not one of the values; did you mean ");
        strncat(why, nearest, sizeof(why) - strlen(why) - 2);
        strcat(why, "?");
    }
    return refuse(column, text, why, info);
}

static enum err reference_from_text(const struct model_column *column, struct bytes text,
                                    struct arena *arena, struct value *ret, struct err_info *info)
{
    struct uuid id;

    if (uuid_parse(text, &id) != ERR_OK)
        return refuse(column, text, "is not the id of a record", info);
    return copy_as(arena, bytes_of(id.byte, sizeof(id.byte)), value_blob, ret);
}

static enum err blob_from_text(const struct model_column *column, struct bytes text,
                               struct arena *arena, struct value *ret, struct err_info *info)
{
    uint8_t hash[HASH_SIZE];

    if (text_parse_hex(text, hash, sizeof(hash)) != ERR_OK)
        return refuse(column, text, "is not a SHA-256 in hexadecimal", info);
    return copy_as(arena, bytes_of(hash, sizeof(hash)), value_blob, ret);
}

/* --- Sets ----------------------------------------------------------------------------------- */

struct elements {
    struct bytes element[SET_ELEMENTS_MAX];
    size_t count;
};

/* The elements of a JSON array of texts; views into `array`. */
static bool elements_of_json(json_t *array, struct elements *ret)
{
    if (json_array_size(array) > SET_ELEMENTS_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *element = json_array_get(array, i);

        if (!json_is_string(element))
            return false;
        ret->element[ret->count] =
            trim(bytes_of(json_string_value(element), json_string_length(element)));
        if (ret->element[ret->count].size > 0)
            ret->count++;
    }
    return true;
}

/* The parts between semicolons. */
static bool elements_of_list(struct bytes text, struct elements *ret)
{
    for (size_t at = 0; at < text.size;) {
        const uint8_t *end = memchr(text.data + at, ';', text.size - at);
        size_t size = end != NULL ? (size_t)(end - text.data) - at : text.size - at;
        struct bytes element = trim(bytes_of(text.data + at, size));

        at += size + 1;
        if (element.size == 0)
            continue;
        if (ret->count == SET_ELEMENTS_MAX)
            return false;
        ret->element[ret->count++] = element;
    }
    return true;
}

static enum err set_from_text(const struct model_column *column, struct bytes text,
                              struct arena *arena, struct value *ret, struct err_info *info)
{
    struct elements elements = {.count = 0};
    json_t *array = NULL;
    struct buf out;
    bool ok;
    enum err err;

    if (text.data[0] == '[')
        array = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    ok = array != NULL ? elements_of_json(array, &elements) : elements_of_list(text, &elements);
    buf_init(&out, MODEL_TEXT_MAX);
    err = ok ? set_append(elements.element, elements.count, &out) : ERR_PARSE;
    json_decref(array);
    if (err == ERR_OK)
        err = copy_as(arena, buf_view(&out), value_text, ret);
    buf_done(&out);
    if (err == ERR_OK || err == ERR_NOMEM)
        return err;
    return refuse(column, text, "is not a list like `a; b` or [\"a\", \"b\"]", info);
}

enum err model_value_from_text(const struct model_column *column, struct bytes text,
                               struct arena *arena, struct value *ret, struct err_info *info)
{
    struct bytes bare = trim(text);

    if (column->type == COLUMN_TEXT)
        return copy_as(arena, text, value_text, ret);
    if (bare.size == 0) {
        *ret = value_null();
        return ERR_OK;
    }
    switch (column->type) {
    case COLUMN_TEXT: break;
    case COLUMN_INTEGER: return integer_from_text(column, bare, ret, info);
    case COLUMN_REAL: return real_from_text(column, bare, ret, info);
    case COLUMN_MONEY: return money_from_text(column, bare, ret, info);
    case COLUMN_DATE: return date_from_text(column, bare, arena, ret, info);
    case COLUMN_INSTANT: return instant_from_text(column, bare, ret, info);
    case COLUMN_BOOLEAN: return boolean_from_text(column, bare, ret, info);
    case COLUMN_ENUM: return enum_from_text(column, bare, ret, info);
    case COLUMN_REFERENCE: return reference_from_text(column, bare, arena, ret, info);
    case COLUMN_SET: return set_from_text(column, bare, arena, ret, info);
    case COLUMN_BLOB: return blob_from_text(column, bare, arena, ret, info);
    }
    return err_set(info, ERR_BUG, "'%s' is of no known type", column->name);
}

/* --- To text -------------------------------------------------------------------------------- */

/* Whether `a; b` would be read back as the same elements. */
static bool is_plain_list(const struct bytes *elements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (memchr(elements[i].data, ';', elements[i].size) != NULL ||
            trim(elements[i]).size != elements[i].size || starts_with(elements[i], 0, "["))
            return false;
    }
    return count > 0;
}

static enum err set_to_text(struct bytes text, struct buf *out)
{
    struct arena arena;
    struct bytes *elements = NULL;
    size_t count = 0, start = out->size;
    enum err err;

    arena_init(&arena, (size_t)4 * MODEL_TEXT_MAX);
    err = set_parse(text, &arena, &elements, &count);
    if (err == ERR_PARSE || (err == ERR_OK && !is_plain_list(elements, count))) {
        err = buf_append(out, text.data, text.size);
    } else {
        for (size_t i = 0; i < count && err == ERR_OK; i++) {
            if (i > 0)
                err = text_append(out, "; ");
            if (err == ERR_OK)
                err = buf_append(out, elements[i].data, elements[i].size);
        }
    }
    if (err != ERR_OK)
        out->size = start;
    arena_done(&arena);
    return err;
}

static enum err integer_to_text(const struct model_column *column, int64_t integer, struct buf *out)
{
    enum err err;

    if (column->type == COLUMN_BOOLEAN)
        return text_append(out, integer != 0 ? "true" : "false");
    if (column->type == COLUMN_MONEY)
        return text_append_money(out, integer, column->digits);
    if (column->type == COLUMN_INSTANT) {
        err = text_append_instant(out, integer);
        if (err != ERR_LIMIT)
            return err;
    }
    return text_append_int64(out, integer);
}

static enum err blob_to_text(const struct model_column *column, struct bytes blob, struct buf *out)
{
    char text[UUID_TEXT_SIZE];
    struct uuid id;

    if (column->type != COLUMN_REFERENCE || blob.size != sizeof(id.byte))
        return text_append_hex(out, blob);
    memcpy(id.byte, blob.data, sizeof(id.byte));
    uuid_format(&id, text);
    return text_append(out, text);
}

enum err model_value_to_text(const struct model_column *column, const struct value *value,
                             struct buf *out)
{
    switch (value->kind) {
    case VALUE_NULL: return ERR_OK;
    case VALUE_INT: return integer_to_text(column, value->as.integer, out);
    case VALUE_REAL: return text_append_double(out, value->as.real);
    case VALUE_TEXT:
        return column->type == COLUMN_SET
                   ? set_to_text(value->as.bytes, out)
                   : buf_append(out, value->as.bytes.data, value->as.bytes.size);
    case VALUE_BLOB: return blob_to_text(column, value->as.bytes, out);
    }
    return ERR_BUG;
}
