#include "protocol/unpack.h"

#include "protocol/scan.h"

void unpack_init(struct unpacker *u, struct bytes in)
{
    *u = (struct unpacker){.in = in};
}

void unpack_done(struct unpacker *u)
{
    msgpack_zone_free(u->zone);
    u->zone = NULL;
}

bool unpack_at_end(const struct unpacker *u)
{
    return u->at == u->in.size;
}

/* The next object, which must not be a container: msgpack-c allocates nothing for it. It does make
 * a zone for strings and binaries though when it is given none, and that would be lost: hence
 * `unused`. */
static enum err unpack_scalar(struct unpacker *u, msgpack_object *ret, size_t *ret_next)
{
    msgpack_zone unused = {0};
    size_t next = u->at;
    uint8_t first;
    int result;

    if (unpack_at_end(u))
        return ERR_MALFORMED;
    first = u->in.data[u->at];
    if ((first >= 0x80 && first <= 0x9f) || (first >= 0xdc && first <= 0xdf))
        return ERR_MALFORMED;
    result = msgpack_unpack((const char *)u->in.data, u->in.size, &next, &unused, ret);
    if (result != MSGPACK_UNPACK_SUCCESS && result != MSGPACK_UNPACK_EXTRA_BYTES)
        return ERR_MALFORMED;
    *ret_next = next;
    return ERR_OK;
}

enum err unpack_array(struct unpacker *u, uint32_t max_count, uint32_t *ret_count)
{
    const uint8_t *at = u->in.data + u->at;
    size_t left = u->in.size - u->at;
    uint32_t count;
    size_t size;

    if (left >= 1 && (at[0] & 0xf0) == 0x90) {
        count = at[0] & 0x0f;
        size = 1;
    } else if (left >= 3 && at[0] == 0xdc) {
        count = be16_get(at + 1);
        size = 3;
    } else if (left >= 5 && at[0] == 0xdd) {
        count = be32_get(at + 1);
        size = 5;
    } else {
        return ERR_MALFORMED;
    }
    if (count > max_count || count > left - size)
        return ERR_MALFORMED;
    u->at += size;
    *ret_count = count;
    return ERR_OK;
}

enum err unpack_uint(struct unpacker *u, uint64_t max, uint64_t *ret)
{
    msgpack_object object;
    size_t next;

    if (unpack_scalar(u, &object, &next) != ERR_OK || !object_uint(&object, max, ret))
        return ERR_MALFORMED;
    u->at = next;
    return ERR_OK;
}

enum err unpack_int(struct unpacker *u, int64_t *ret)
{
    msgpack_object object;
    size_t next;
    uint64_t positive;

    if (unpack_scalar(u, &object, &next) != ERR_OK)
        return ERR_MALFORMED;
    if (object.type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        *ret = object.via.i64;
    else if (object_uint(&object, INT64_MAX, &positive))
        *ret = (int64_t)positive;
    else
        return ERR_MALFORMED;
    u->at = next;
    return ERR_OK;
}

enum err unpack_text(struct unpacker *u, size_t max_size, struct bytes *ret)
{
    msgpack_object object;
    size_t next;

    if (unpack_scalar(u, &object, &next) != ERR_OK || object.type != MSGPACK_OBJECT_STR ||
        object.via.str.size > max_size)
        return ERR_MALFORMED;
    *ret = bytes_of(object.via.str.ptr, object.via.str.size);
    u->at = next;
    return ERR_OK;
}

enum err unpack_binary(struct unpacker *u, size_t max_size, struct bytes *ret)
{
    msgpack_object object;
    size_t next;

    if (unpack_scalar(u, &object, &next) != ERR_OK || object.type != MSGPACK_OBJECT_BIN ||
        object.via.bin.size > max_size)
        return ERR_MALFORMED;
    *ret = bytes_of(object.via.bin.ptr, object.via.bin.size);
    u->at = next;
    return ERR_OK;
}

enum err unpack_id(struct unpacker *u, struct uuid *ret)
{
    msgpack_object object;
    size_t next;

    if (unpack_scalar(u, &object, &next) != ERR_OK || !object_id(&object, ret))
        return ERR_MALFORMED;
    u->at = next;
    return ERR_OK;
}

bool unpack_nil(struct unpacker *u)
{
    if (unpack_at_end(u) || u->in.data[u->at] != 0xc0)
        return false;
    u->at++;
    return true;
}

static enum err unpack_scan(const struct unpacker *u, size_t *ret_size)
{
    struct bytes rest = bytes_of(u->in.data + u->at, u->in.size - u->at);

    return scan_first(rest, &scan_limits_default, ret_size) == ERR_OK ? ERR_OK : ERR_MALFORMED;
}

enum err unpack_skip(struct unpacker *u)
{
    size_t size;
    enum err err = unpack_scan(u, &size);

    if (err == ERR_OK)
        u->at += size;
    return err;
}

enum err unpack_object(struct unpacker *u, msgpack_object *ret)
{
    size_t size;
    int result;

    if (unpack_scan(u, &size) != ERR_OK)
        return ERR_MALFORMED;

    if (u->zone == NULL) {
        u->zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
        if (u->zone == NULL)
            return ERR_NOMEM;
    }
    msgpack_zone_clear(u->zone);
    result = msgpack_unpack((const char *)u->in.data, u->in.size, &u->at, u->zone, ret);
    if (result == MSGPACK_UNPACK_NOMEM_ERROR)
        return ERR_NOMEM;
    if (result != MSGPACK_UNPACK_SUCCESS && result != MSGPACK_UNPACK_EXTRA_BYTES)
        return ERR_MALFORMED;
    return ERR_OK;
}

void *unpack_scratch(struct unpacker *u, size_t size)
{
    return u->zone == NULL ? NULL : msgpack_zone_malloc(u->zone, size);
}

static bool object_integer(const msgpack_object *object, struct value *ret)
{
    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        *ret = (struct value){.kind = VALUE_INT, .as.integer = object->via.i64};
    else if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER && object->via.u64 <= INT64_MAX)
        *ret = (struct value){.kind = VALUE_INT, .as.integer = (int64_t)object->via.u64};
    else
        return false;
    return true;
}

static bool object_text(const msgpack_object *object, struct value *ret)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return false;
    ret->kind = VALUE_TEXT;
    ret->as.bytes.data = (const uint8_t *)object->via.str.ptr;
    ret->as.bytes.size = object->via.str.size;
    return true;
}

static bool object_blob(const msgpack_object *object, struct value *ret)
{
    if (object->type != MSGPACK_OBJECT_BIN)
        return false;
    ret->kind = VALUE_BLOB;
    ret->as.bytes.data = (const uint8_t *)object->via.bin.ptr;
    ret->as.bytes.size = object->via.bin.size;
    return true;
}

static bool object_real(const msgpack_object *object, struct value *ret)
{
    if (object->type != MSGPACK_OBJECT_FLOAT64)
        return false;
    *ret = (struct value){.kind = VALUE_REAL, .as.real = object->via.f64};
    return true;
}

bool object_value(const msgpack_object *object, enum column_type type, struct value *ret)
{
    if (object->type == MSGPACK_OBJECT_NIL) {
        *ret = (struct value){.kind = VALUE_NULL};
        return true;
    }
    switch (type) {
    case COLUMN_TEXT:
    case COLUMN_DATE:
    case COLUMN_ENUM:
    case COLUMN_SET: return object_text(object, ret);
    case COLUMN_INTEGER:
    case COLUMN_MONEY:
    case COLUMN_INSTANT:
    case COLUMN_BOOLEAN: return object_integer(object, ret);
    case COLUMN_REAL: return object_real(object, ret);
    case COLUMN_REFERENCE:
    case COLUMN_BLOB: return object_blob(object, ret);
    }
    return false;
}
