#include "protocol/pack.h"

#include <msgpack.h>

static int pack_write(void *data, const char *bytes, size_t size)
{
    return buf_append(data, bytes, size) == ERR_OK ? 0 : -1;
}

static inline msgpack_packer pack_on(struct buf *out)
{
    return (msgpack_packer){.data = out, .callback = pack_write};
}

void pack_nil(struct buf *out)
{
    msgpack_packer packer = pack_on(out);

    msgpack_pack_nil(&packer);
}

void pack_bool(struct buf *out, bool value)
{
    msgpack_packer packer = pack_on(out);

    if (value)
        msgpack_pack_true(&packer);
    else
        msgpack_pack_false(&packer);
}

void pack_uint(struct buf *out, uint64_t value)
{
    msgpack_packer packer = pack_on(out);

    msgpack_pack_uint64(&packer, value);
}

void pack_int(struct buf *out, int64_t value)
{
    msgpack_packer packer = pack_on(out);

    msgpack_pack_int64(&packer, value);
}

void pack_text(struct buf *out, struct bytes text)
{
    msgpack_packer packer = pack_on(out);

    msgpack_pack_str(&packer, text.size);
    msgpack_pack_str_body(&packer, text.data, text.size);
}

void pack_binary(struct buf *out, struct bytes binary)
{
    msgpack_packer packer = pack_on(out);

    msgpack_pack_bin(&packer, binary.size);
    msgpack_pack_bin_body(&packer, binary.data, binary.size);
}

void pack_id(struct buf *out, const struct uuid *id)
{
    pack_binary(out, bytes_of(id->byte, sizeof(id->byte)));
}

void pack_value(struct buf *out, const struct value *value)
{
    msgpack_packer packer = pack_on(out);

    switch (value->kind) {
    case VALUE_NULL: msgpack_pack_nil(&packer); break;
    case VALUE_INT: msgpack_pack_int64(&packer, value->as.integer); break;
    case VALUE_REAL: msgpack_pack_double(&packer, value->as.real); break;
    case VALUE_TEXT: pack_text(out, value->as.bytes); break;
    case VALUE_BLOB: pack_binary(out, value->as.bytes); break;
    }
}

void pack_array(struct buf *out, uint32_t count)
{
    msgpack_packer packer = pack_on(out);

    msgpack_pack_array(&packer, count);
}
