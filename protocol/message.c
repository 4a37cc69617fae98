#include "protocol/message_blob.h"
#include "protocol/message_result.h"

#include "common/text.h"
#include "protocol/group.h"
#include "protocol/pack.h"
#include "protocol/unpack.h"

#include <assert.h>
#include <string.h>

/* Maxima inside list elements. */
enum {
    MARK_RANGES_MAX = 10000,
    INCARNATION_BUCKETS_MAX = 65536,
};

/* --- List elements -------------------------------------------------------------------------------
 *
 * An element is an array with its fields in order, `bytes` alone is a plain binary. Nested lists
 * are flat: ranges [from, to, from, to ...], positions [bucket, position, ...]. As with messages,
 * fields beyond the known ones are skipped. */

static void pack_ranges(struct buf *out, const struct oseq_range *ranges, uint32_t count)
{
    pack_check(out, count <= MARK_RANGES_MAX, ERR_TOO_LARGE);
    pack_array(out, count * 2);
    for (uint32_t i = 0; i < count; i++) {
        pack_uint(out, ranges[i].from);
        pack_uint(out, ranges[i].to);
    }
}

/* A count of elements that take `per` objects each, and room for them. */
static enum err unpack_list(struct unpacker *u, uint32_t max, uint32_t per, size_t element_size,
                            struct arena *arena, void **ret, uint32_t *ret_count)
{
    uint32_t objects;
    void *elements;
    enum err err = unpack_array(u, max * per, &objects);

    if (err != ERR_OK)
        return err;
    if (objects % per != 0)
        return ERR_MALFORMED;
    elements = arena_calloc(arena, objects / per, element_size);
    if (elements == NULL)
        return ERR_NOMEM;
    *ret = elements;
    *ret_count = objects / per;
    return ERR_OK;
}

static enum err unpack_range(struct unpacker *u, struct oseq_range *ret)
{
    enum err err = unpack_uint(u, UINT64_MAX, &ret->from);

    if (err == ERR_OK)
        err = unpack_uint(u, UINT64_MAX, &ret->to);
    if (err == ERR_OK && (ret->from == 0 || ret->from > ret->to))
        err = ERR_MALFORMED;
    return err;
}

static void encode_bytes(const void *element, struct buf *out)
{
    pack_binary(out, *(const struct bytes *)element);
}

static enum err decode_bytes(struct unpacker *u, struct arena *arena, void *ret)
{
    (void)arena;
    return unpack_binary(u, UINT32_MAX, ret);
}

static void encode_oseq_range(const void *element, struct buf *out)
{
    pack_ranges(out, element, 1);
}

static enum err decode_oseq_range(struct unpacker *u, struct arena *arena, void *ret)
{
    (void)arena;
    return unpack_range(u, ret);
}

static void encode_bucket_name(const void *element, struct buf *out)
{
    const struct bucket_name *name = element;

    pack_array(out, 4);
    pack_uint(out, name->number);
    pack_uint(out, name->kind);
    pack_id(out, &name->key);
    pack_uint(out, name->head);
}

static enum err decode_bucket_name(struct unpacker *u, struct arena *arena, void *ret)
{
    struct bucket_name *name = ret;
    enum err err = unpack_u32(u, &name->number);

    (void)arena;
    if (err == ERR_OK)
        err = unpack_u32(u, &name->kind);
    if (err == ERR_OK && (name->kind < BUCKET_KIND_COMPANY || name->kind > BUCKET_KIND_TEAM))
        err = ERR_MALFORMED;
    if (err == ERR_OK)
        err = unpack_id(u, &name->key);
    return err == ERR_OK ? unpack_uint(u, UINT64_MAX, &name->head) : err;
}

static void encode_bucket_position(const void *element, struct buf *out)
{
    const struct bucket_position *position = element;

    pack_array(out, 2);
    pack_uint(out, position->bucket);
    pack_uint(out, position->position);
}

static enum err decode_bucket_position(struct unpacker *u, struct arena *arena, void *ret)
{
    struct bucket_position *position = ret;
    enum err err = unpack_u32(u, &position->bucket);

    (void)arena;
    return err == ERR_OK ? unpack_uint(u, UINT64_MAX, &position->position) : err;
}

static void encode_bucket_digest(const void *element, struct buf *out)
{
    const struct bucket_digest *digest = element;

    pack_array(out, 4);
    pack_uint(out, digest->bucket);
    pack_uint(out, digest->position);
    pack_uint(out, digest->count);
    pack_binary(out, bytes_of(digest->sum, sizeof(digest->sum)));
}

static enum err decode_bucket_digest(struct unpacker *u, struct arena *arena, void *ret)
{
    struct bucket_digest *digest = ret;
    struct bytes sum;
    enum err err = unpack_u32(u, &digest->bucket);

    (void)arena;
    if (err == ERR_OK)
        err = unpack_uint(u, UINT64_MAX, &digest->position);
    if (err == ERR_OK)
        err = unpack_uint(u, UINT64_MAX, &digest->count);
    if (err == ERR_OK)
        err = unpack_binary(u, sizeof(digest->sum), &sum);
    if (err != ERR_OK)
        return err;
    if (sum.size != sizeof(digest->sum))
        return ERR_MALFORMED;
    memcpy(digest->sum, sum.data, sum.size);
    return ERR_OK;
}

static void encode_incarnation(const void *element, struct buf *out)
{
    const struct incarnation *incarnation = element;

    pack_check(out, incarnation->first_count <= INCARNATION_BUCKETS_MAX, ERR_TOO_LARGE);
    pack_array(out, 2);
    pack_uint(out, incarnation->id);
    pack_array(out, incarnation->first_count * 2);
    for (uint32_t i = 0; i < incarnation->first_count; i++) {
        pack_uint(out, incarnation->first[i].bucket);
        pack_uint(out, incarnation->first[i].position);
    }
}

static enum err decode_incarnation(struct unpacker *u, struct arena *arena, void *ret)
{
    struct incarnation *incarnation = ret;
    struct bucket_position *first;
    void *list;
    enum err err = unpack_uint(u, UINT64_MAX, &incarnation->id);

    if (err == ERR_OK)
        err = unpack_list(u, INCARNATION_BUCKETS_MAX, 2, sizeof(*first), arena, &list,
                          &incarnation->first_count);
    if (err != ERR_OK)
        return err;
    first = list;
    for (uint32_t i = 0; i < incarnation->first_count && err == ERR_OK; i++)
        err = decode_bucket_position(u, arena, &first[i]);
    incarnation->first = first;
    return err;
}

static void encode_mark(const void *element, struct buf *out)
{
    const struct mark *mark = element;

    pack_array(out, 3);
    pack_uint(out, mark->origin);
    pack_uint(out, mark->upto);
    pack_ranges(out, mark->ranges, mark->range_count);
}

static enum err decode_mark(struct unpacker *u, struct arena *arena, void *ret)
{
    struct mark *mark = ret;
    struct oseq_range *ranges;
    uint64_t last;
    void *list;
    enum err err = unpack_uint(u, UINT64_MAX, &mark->origin);

    if (err == ERR_OK)
        err = unpack_uint(u, UINT64_MAX, &mark->upto);
    if (err == ERR_OK)
        err = unpack_list(u, MARK_RANGES_MAX, 2, sizeof(*ranges), arena, &list, &mark->range_count);
    if (err != ERR_OK)
        return err;
    ranges = list;
    last = mark->upto;
    for (uint32_t i = 0; i < mark->range_count; i++) {
        err = unpack_range(u, &ranges[i]);
        if (err != ERR_OK)
            return err;
        if (ranges[i].from <= last || ranges[i].from - last < 2) /* apart by one at least */
            return ERR_MALFORMED;
        last = ranges[i].to;
    }
    mark->ranges = ranges;
    return ERR_OK;
}

static void encode_range_name(const void *element, struct buf *out)
{
    pack_uint(out, ((const struct range_name *)element)->number);
}

static enum err decode_range_name(struct unpacker *u, struct arena *arena, void *ret)
{
    (void)arena;
    return unpack_uint(u, UINT64_MAX, &((struct range_name *)ret)->number);
}

static void encode_range_count(const void *element, struct buf *out)
{
    const struct range_count *range = element;

    pack_array(out, 2);
    pack_uint(out, range->number);
    pack_uint(out, range->count);
}

static enum err decode_range_count(struct unpacker *u, struct arena *arena, void *ret)
{
    struct range_count *range = ret;
    enum err err = unpack_uint(u, UINT64_MAX, &range->number);

    (void)arena;
    return err == ERR_OK ? unpack_uint(u, UINT64_MAX, &range->count) : err;
}

static void encode_origin_floor(const void *element, struct buf *out)
{
    const struct origin_floor *floor = element;

    pack_array(out, 2);
    pack_uint(out, floor->origin);
    pack_uint(out, floor->floor);
}

static enum err decode_origin_floor(struct unpacker *u, struct arena *arena, void *ret)
{
    struct origin_floor *floor = ret;
    enum err err = unpack_uint(u, UINT64_MAX, &floor->origin);

    (void)arena;
    return err == ERR_OK ? unpack_uint(u, UINT64_MAX, &floor->floor) : err;
}

static void encode_pending_group(const void *element, struct buf *out)
{
    const struct pending_group *pending = element;

    pack_array(out, 2);
    pack_uint(out, pending->stamp);
    pack_binary(out, pending->group);
}

static enum err decode_pending_group(struct unpacker *u, struct arena *arena, void *ret)
{
    struct pending_group *pending = ret;
    enum err err = unpack_uint(u, UINT64_MAX, &pending->stamp);

    (void)arena;
    return err == ERR_OK ? unpack_binary(u, UINT32_MAX, &pending->group) : err;
}

/* fields: of the element's array; 0: the element is a plain object. */
struct element {
    void (*encode)(const void *element, struct buf *out);
    enum err (*decode)(struct unpacker *u, struct arena *arena, void *ret);
    size_t size;
    uint32_t fields;
};

/* clang-format off */
#define ELEMENT_LIST(X)   \
    X(bytes, 0)           \
    X(oseq_range, 2)      \
    X(bucket_name, 4)     \
    X(bucket_position, 2) \
    X(bucket_digest, 4)   \
    X(incarnation, 2)     \
    X(mark, 3)            \
    X(group_result, 0)    \
    X(range_name, 0)      \
    X(range_count, 2)     \
    X(origin_floor, 2)    \
    X(pending_group, 2)   \
    X(blob_offer, 2)      \
    X(blob_state, 3)
/* clang-format on */

#define ELEMENT_ROW(name, fields)                                               \
    static const struct element element_##name = {encode_##name, decode_##name, \
                                                  sizeof(struct name), fields};
ELEMENT_LIST(ELEMENT_ROW)
#undef ELEMENT_ROW

/* --- Messages: one table of fields each, made from the lists of message.h --------------------- */

enum field_kind { FIELD_UINT, FIELD_INT, FIELD_UUID, FIELD_BYTES, FIELD_TEXT, FIELD_LIST };

struct field {
    enum field_kind kind;
    uint32_t max;                /* bytes, or elements */
    size_t offset, count_offset; /* within the message's struct */
    const struct element *element;
};

struct layout {
    const char *name;
    bool before_auth;
    const struct field *fields;
    uint32_t field_count;
};

#define ROW_U(name)      {FIELD_UINT, 0, offsetof(self, name), 0, NULL},
#define ROW_I(name)      {FIELD_INT, 0, offsetof(self, name), 0, NULL},
#define ROW_ID(name)     {FIELD_UUID, 0, offsetof(self, name), 0, NULL},
#define ROW_B(name, max) {FIELD_BYTES, max, offsetof(self, name), 0, NULL},
#define ROW_T(name, max) {FIELD_TEXT, max, offsetof(self, name), 0, NULL},
#define ROW_L(name, kind, max) \
    {FIELD_LIST, max, offsetof(self, name), offsetof(self, name##_count), &element_##kind},

/* `self` is the message's struct within its function. */
#define LAYOUT_FUNCTION(upper, lower, code, pre)                                  \
    static const struct layout *layout_##lower(void)                              \
    {                                                                             \
        typedef struct message_##lower self;                                      \
        static const struct field fields[] = {                                    \
            MESSAGE_##upper(ROW_U, ROW_I, ROW_ID, ROW_B, ROW_T, ROW_L)};          \
        static const struct layout layout = {#upper, pre, fields,                 \
                                             sizeof(fields) / sizeof(fields[0])}; \
        return &layout;                                                           \
    }
MESSAGE_LIST(LAYOUT_FUNCTION)
#undef LAYOUT_FUNCTION

/* NULL: there is no such message. */
static const struct layout *message_layout(enum message_type type)
{
    switch (type) {
#define LAYOUT_CASE(upper, lower, code, pre) \
    case MESSAGE_##upper: return layout_##lower();
        MESSAGE_LIST(LAYOUT_CASE)
#undef LAYOUT_CASE
    }
    return NULL;
}

/* A list's pointer and count, whatever struct it points to, are read and written by memcpy. */
static void encode_list(const struct field *field, const uint8_t *self, struct buf *out)
{
    const struct element *element = field->element;
    const void *elements;
    uint32_t count;

    memcpy(&elements, self + field->offset, sizeof(elements));
    memcpy(&count, self + field->count_offset, sizeof(count));
    pack_check(out, count <= field->max, ERR_TOO_LARGE);
    pack_array(out, count);
    for (uint32_t i = 0; i < count && out->error == ERR_OK; i++)
        element->encode((const uint8_t *)elements + i * element->size, out);
}

static void encode_field(const struct field *field, const uint8_t *self, struct buf *out)
{
    const void *at = self + field->offset;
    struct bytes bytes;

    switch (field->kind) {
    case FIELD_UINT: pack_uint(out, *(const uint64_t *)at); break;
    case FIELD_INT: pack_int(out, *(const int64_t *)at); break;
    case FIELD_UUID: pack_id(out, at); break;
    case FIELD_BYTES:
        memcpy(&bytes, at, sizeof(bytes));
        pack_check(out, bytes.size <= field->max, ERR_TOO_LARGE);
        pack_binary(out, bytes);
        break;
    case FIELD_TEXT:
        memcpy(&bytes, at, sizeof(bytes));
        pack_check(out, bytes.size <= field->max, ERR_TOO_LARGE);
        pack_check(out, utf8_valid(bytes), ERR_INVALID);
        pack_text(out, bytes);
        break;
    case FIELD_LIST: encode_list(field, self, out); break;
    }
}

enum err message_encode(const struct message *message, struct buf *out)
{
    const struct layout *layout = message_layout(message->type);
    size_t start = out->size;

    assert(layout != NULL);
    pack_array(out, layout->field_count);
    for (uint32_t i = 0; i < layout->field_count; i++)
        encode_field(&layout->fields[i], (const uint8_t *)&message->as, out);
    if (out->error != ERR_OK)
        out->size = start;
    return out->error;
}

static enum err decode_element(const struct element *element, struct unpacker *u,
                               struct arena *arena, void *ret)
{
    uint32_t count = 0;
    enum err err;

    if (element->fields == 0)
        return element->decode(u, arena, ret);
    err = unpack_array(u, MESSAGE_FIELDS_MAX, &count);
    if (err == ERR_OK && count < element->fields)
        err = ERR_MALFORMED;
    if (err == ERR_OK)
        err = element->decode(u, arena, ret);
    for (uint32_t i = element->fields; i < count && err == ERR_OK; i++)
        err = unpack_skip(u);
    return err;
}

static enum err decode_list(const struct field *field, struct unpacker *u, struct arena *arena,
                            uint8_t *self)
{
    const struct element *element = field->element;
    void *elements;
    uint32_t count;
    enum err err = unpack_list(u, field->max, 1, element->size, arena, &elements, &count);

    for (uint32_t i = 0; err == ERR_OK && i < count; i++)
        err = decode_element(element, u, arena, (uint8_t *)elements + i * element->size);
    if (err != ERR_OK)
        return err;
    memcpy(self + field->offset, &elements, sizeof(elements));
    memcpy(self + field->count_offset, &count, sizeof(count));
    return ERR_OK;
}

static enum err decode_field(const struct field *field, struct unpacker *u, struct arena *arena,
                             uint8_t *self)
{
    void *at = self + field->offset;
    enum err err;

    switch (field->kind) {
    case FIELD_UINT: return unpack_uint(u, UINT64_MAX, at);
    case FIELD_INT: return unpack_int(u, at);
    case FIELD_UUID: return unpack_id(u, at);
    case FIELD_BYTES: return unpack_binary(u, field->max, at);
    case FIELD_TEXT:
        err = unpack_text(u, field->max, at);
        if (err == ERR_OK && !utf8_valid(*(const struct bytes *)at))
            err = ERR_MALFORMED;
        return err;
    case FIELD_LIST: return decode_list(field, u, arena, self);
    }
    return ERR_BUG;
}

enum err message_decode(enum message_type type, struct bytes payload, struct arena *arena,
                        struct message *ret)
{
    const struct layout *layout = message_layout(type);
    struct message message;
    struct unpacker u;
    uint32_t count = 0;
    enum err err;

    if (layout == NULL)
        return ERR_PROTOCOL;
    memset(&message, 0, sizeof(message));
    message.type = type;
    unpack_init(&u, payload);
    err = unpack_array(&u, MESSAGE_FIELDS_MAX, &count);
    if (err == ERR_OK && count < layout->field_count)
        err = ERR_MALFORMED;
    for (uint32_t i = 0; i < layout->field_count && err == ERR_OK; i++)
        err = decode_field(&layout->fields[i], &u, arena, (uint8_t *)&message.as);
    for (uint32_t i = layout->field_count; i < count && err == ERR_OK; i++)
        err = unpack_skip(&u);
    if (err == ERR_OK && !unpack_at_end(&u))
        err = ERR_MALFORMED;
    unpack_done(&u);
    if (err == ERR_OK)
        *ret = message;
    return err;
}

const char *message_name(enum message_type type)
{
    const struct layout *layout = message_layout(type);

    return layout == NULL ? "UNKNOWN" : layout->name;
}

bool message_before_auth(enum message_type type)
{
    const struct layout *layout = message_layout(type);

    return layout != NULL && layout->before_auth;
}
