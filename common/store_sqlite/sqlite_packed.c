#include "common/store_sqlite/sqlite_store.h"

#include <assert.h>
#include <string.h>

enum { PACKED_FORMAT = 1 };

static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t value)
{
    uint64_t bits = (value >> 1) ^ ((value & 1) != 0 ? UINT64_MAX : 0);
    int64_t result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

static void pack_value(struct buf *out, const struct value *value)
{
    (void)buf_append_byte(out, (uint8_t)value->kind);
    switch (value->kind) {
    case VALUE_NULL: return;
    case VALUE_INT: (void)buf_append_varint(out, zigzag(value->as.integer)); return;
    case VALUE_REAL: {
        double real = value->as.real + 0.0; /* -0.0 becomes 0.0, as in a typed table */
        uint64_t bits;
        uint8_t wire[8];
        memcpy(&bits, &real, sizeof bits);
        be64_put(wire, bits);
        (void)buf_append(out, wire, sizeof wire);
        return;
    }
    case VALUE_TEXT:
    case VALUE_BLOB:
        (void)buf_append_varint(out, value->as.bytes.size);
        (void)buf_append(out, value->as.bytes.data, value->as.bytes.size);
        return;
    }
}

enum err sqlite_store_pack(struct buf *out, const struct model_table *table,
                           const struct value *values)
{
    assert(out->size == 0);
    (void)buf_append_byte(out, PACKED_FORMAT);
    (void)buf_append_varint(out, table->column_count);
    for (uint16_t i = 0; i < table->column_count; i++) {
        (void)buf_append_varint(out, table->columns[i].id);
        pack_value(out, &values[i]);
    }
    return out->error;
}

static enum err unpack_bytes(struct bytes in, size_t *offset, struct bytes *ret)
{
    uint64_t size;
    if (varint_get(in, offset, &size) != ERR_OK || size > in.size - *offset)
        return ERR_CORRUPT;
    *ret = bytes_of(in.data + *offset, (size_t)size);
    *offset += (size_t)size;
    return ERR_OK;
}

static enum err unpack_value(struct bytes in, size_t *offset, struct value *ret)
{
    if (*offset >= in.size)
        return ERR_CORRUPT;
    uint8_t kind = in.data[(*offset)++];
    uint64_t number;
    struct bytes bytes;
    switch (kind) {
    case VALUE_NULL: *ret = value_null(); return ERR_OK;
    case VALUE_INT:
        if (varint_get(in, offset, &number) != ERR_OK)
            return ERR_CORRUPT;
        *ret = value_int(unzigzag(number));
        return ERR_OK;
    case VALUE_REAL: {
        if (in.size - *offset < 8)
            return ERR_CORRUPT;
        uint64_t bits = be64_get(in.data + *offset);
        double real;
        memcpy(&real, &bits, sizeof real);
        *offset += 8;
        *ret = value_real(real);
        return ERR_OK;
    }
    case VALUE_TEXT:
    case VALUE_BLOB:
        if (unpack_bytes(in, offset, &bytes) != ERR_OK)
            return ERR_CORRUPT;
        *ret = kind == VALUE_TEXT ? value_text(bytes) : value_blob(bytes);
        return ERR_OK;
    default: return ERR_CORRUPT;
    }
}

enum err sqlite_store_unpack(struct bytes in, const struct model_table *table,
                             struct value *ret_values)
{
    size_t offset = 1;
    uint64_t count;
    if (in.size == 0 || in.data[0] != PACKED_FORMAT || varint_get(in, &offset, &count) != ERR_OK)
        return ERR_CORRUPT;
    for (uint16_t i = 0; i < table->column_count; i++)
        ret_values[i] = table->columns[i].fallback;
    for (; count > 0; count--) {
        uint64_t id;
        struct value value;
        if (varint_get(in, &offset, &id) != ERR_OK || id > MODEL_ID_MAX ||
            unpack_value(in, &offset, &value) != ERR_OK)
            return ERR_CORRUPT;
        const struct model_column *column = model_column_by_id(table, (uint32_t)id);
        if (column == NULL)
            continue;
        if (value.kind != VALUE_NULL && value.kind != store_column_kind(column))
            return ERR_CORRUPT;
        ret_values[column->index] = value;
    }
    return offset == in.size ? ERR_OK : ERR_CORRUPT;
}
