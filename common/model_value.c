/* model_value.c - what a column may hold. */
#include "common/model.h"
#include "common/set.h"
#include "common/text.h"
#include "common/uuid.h"

#include <math.h>
#include <string.h>

enum { HASH_SIZE = 32 };

static enum value_kind kind_of_type(enum column_type type)
{
    switch (type) {
    case COLUMN_TEXT:
    case COLUMN_DATE:
    case COLUMN_ENUM:
    case COLUMN_SET: return VALUE_TEXT;
    case COLUMN_INTEGER:
    case COLUMN_MONEY:
    case COLUMN_INSTANT:
    case COLUMN_BOOLEAN: return VALUE_INT;
    case COLUMN_REAL: return VALUE_REAL;
    case COLUMN_REFERENCE:
    case COLUMN_BLOB: return VALUE_BLOB;
    }
    return VALUE_NULL;
}

static enum err check_integer(const struct model_column *column, int64_t integer,
                              struct err_info *info)
{
    if (column->type == COLUMN_BOOLEAN)
        return integer == 0 || integer == 1
                   ? ERR_OK
                   : err_set(info, ERR_TYPE, "'%s' is a boolean: 0 or 1", column->name);
    if (integer < column->min)
        return err_set(info, ERR_LIMIT, "'%s' is at least %lld, not %lld", column->name,
                       (long long)column->min, (long long)integer);
    if (integer > column->max)
        return err_set(info, ERR_LIMIT, "'%s' is at most %lld, not %lld", column->name,
                       (long long)column->max, (long long)integer);
    return ERR_OK;
}

static enum err check_real(const struct model_column *column, double real, struct err_info *info)
{
    if (!isfinite(real))
        return err_set(info, ERR_TYPE, "'%s' is a number; this is not one", column->name);
    if (column->min != INT64_MIN && real < (double)column->min)
        return err_set(info, ERR_LIMIT, "'%s' is at least %lld, not %g", column->name,
                       (long long)column->min, real);
    if (column->max != INT64_MAX && real > (double)column->max)
        return err_set(info, ERR_LIMIT, "'%s' is at most %lld, not %g", column->name,
                       (long long)column->max, real);
    return ERR_OK;
}

static enum err check_text(const struct model_column *column, struct bytes text,
                           struct err_info *info)
{
    if ((column->type == COLUMN_TEXT || column->type == COLUMN_SET) &&
        text.size > (uint64_t)column->max)
        return err_set(info, ERR_LIMIT, "'%s' has at most %lld bytes; this has %zu", column->name,
                       (long long)column->max, text.size);
    if (column->type == COLUMN_TEXT) {
        if (!utf8_valid(text))
            return err_set(info, ERR_TYPE, "'%s' is not valid UTF-8", column->name);
        if (text.size > 0 && memchr(text.data, 0, text.size) != NULL)
            return err_set(info, ERR_TYPE, "'%s' has a zero byte in it", column->name);
        if (column->required && text.size == 0)
            return err_set(info, ERR_TYPE, "'%s' must not be empty", column->name);
        return ERR_OK;
    }
    if (column->type == COLUMN_SET)
        return set_valid(text)
                   ? ERR_OK
                   : err_set(info, ERR_TYPE, "'%s' is not a set: a JSON array of texts, sorted",
                             column->name);
    if (column->type == COLUMN_DATE)
        return text_date_valid(text)
                   ? ERR_OK
                   : err_set(info, ERR_TYPE, "'%s' is not a date like 2026-11-22", column->name);
    for (size_t i = 0; i < column->symbol_count; i++) {
        if (bytes_equal(bytes_of_text(column->symbols[i]), text))
            return ERR_OK;
    }
    return err_set(info, ERR_TYPE, "'%s' has no symbol '%.*s'", column->name,
                   (int)utf8_cut(text, 60), text.size > 0 ? (const char *)text.data : "");
}

enum err model_check_value(const struct model_column *column, const struct value *value,
                           struct err_info *info)
{
    size_t size;

    if (value->kind == VALUE_NULL)
        return column->required ? err_set(info, ERR_TYPE, "'%s' must have a value", column->name)
                                : ERR_OK;
    if (value->kind != kind_of_type(column->type))
        return err_set(info, ERR_TYPE, "'%s' is of type %s; this value is of another kind",
                       column->name, column_type_name(column->type));
    switch (value->kind) {
    case VALUE_NULL: break;
    case VALUE_INT: return check_integer(column, value->as.integer, info);
    case VALUE_REAL: return check_real(column, value->as.real, info);
    case VALUE_TEXT: return check_text(column, value->as.bytes, info);
    case VALUE_BLOB:
        size = column->type == COLUMN_BLOB ? HASH_SIZE : sizeof(struct uuid);
        if (value->as.bytes.size != size)
            return err_set(info, ERR_TYPE, "'%s' has %zu bytes; this has %zu", column->name, size,
                           value->as.bytes.size);
        break;
    }
    return ERR_OK;
}
