#include "protocol/scan.h"

#include "protocol/frame.h"

#include <assert.h>

/* msgpack-c's own stack holds 32 levels (MSGPACK_EMBED_STACK_SIZE); what it could not read is not
 * accepted here either, whatever a caller's limits say. */
enum { SCAN_DEPTH_MAX = 32 };

const struct scan_limits scan_limits_default = {
    .max_depth = 16,
    .max_string_bytes = 64 << 10,
    .max_binary_bytes = FRAME_INFLATED_MAX,
    .max_objects = 4000000,
};

/* What a first byte announces. SCAN_FIX: nothing follows that is counted; the others are followed
 * by a length of 1, 2 or 4 bytes (or carry it in the byte itself) and by that many bytes or
 * objects. */
enum scan_class {
    SCAN_FIX,
    SCAN_STRING,
    SCAN_BINARY,
    SCAN_EXTENSION,
    SCAN_ARRAY,
    SCAN_MAP,
    SCAN_BAD
};

struct scan_type {
    uint8_t class;
    uint8_t length_size; /* bytes of length after the first byte */
    uint8_t size; /* SCAN_FIX: bytes after the first; else the length when length_size is 0 */
};

/* 0xc0 .. 0xdf; the rest is ranges: see scan_type_of. */
static const struct scan_type scan_types[32] = {
    {SCAN_FIX, 0, 0},        /* c0 nil */
    {SCAN_BAD, 0, 0},        /* c1 never used */
    {SCAN_FIX, 0, 0},        /* c2 false */
    {SCAN_FIX, 0, 0},        /* c3 true */
    {SCAN_BINARY, 1, 0},     /* c4 bin 8 */
    {SCAN_BINARY, 2, 0},     /* c5 bin 16 */
    {SCAN_BINARY, 4, 0},     /* c6 bin 32 */
    {SCAN_EXTENSION, 1, 0},  /* c7 ext 8 */
    {SCAN_EXTENSION, 2, 0},  /* c8 ext 16 */
    {SCAN_EXTENSION, 4, 0},  /* c9 ext 32 */
    {SCAN_FIX, 0, 4},        /* ca float 32 */
    {SCAN_FIX, 0, 8},        /* cb float 64 */
    {SCAN_FIX, 0, 1},        /* cc uint 8 */
    {SCAN_FIX, 0, 2},        /* cd uint 16 */
    {SCAN_FIX, 0, 4},        /* ce uint 32 */
    {SCAN_FIX, 0, 8},        /* cf uint 64 */
    {SCAN_FIX, 0, 1},        /* d0 int 8 */
    {SCAN_FIX, 0, 2},        /* d1 int 16 */
    {SCAN_FIX, 0, 4},        /* d2 int 32 */
    {SCAN_FIX, 0, 8},        /* d3 int 64 */
    {SCAN_EXTENSION, 0, 1},  /* d4 fixext 1 */
    {SCAN_EXTENSION, 0, 2},  /* d5 fixext 2 */
    {SCAN_EXTENSION, 0, 4},  /* d6 fixext 4 */
    {SCAN_EXTENSION, 0, 8},  /* d7 fixext 8 */
    {SCAN_EXTENSION, 0, 16}, /* d8 fixext 16 */
    {SCAN_STRING, 1, 0},     /* d9 str 8 */
    {SCAN_STRING, 2, 0},     /* da str 16 */
    {SCAN_STRING, 4, 0},     /* db str 32 */
    {SCAN_ARRAY, 2, 0},      /* dc array 16 */
    {SCAN_ARRAY, 4, 0},      /* dd array 32 */
    {SCAN_MAP, 2, 0},        /* de map 16 */
    {SCAN_MAP, 4, 0},        /* df map 32 */
};

static inline struct scan_type scan_type_of(uint8_t first)
{
    if (first < 0x80 || first >= 0xe0) /* small integers */
        return (struct scan_type){SCAN_FIX, 0, 0};
    if (first >= 0xc0)
        return scan_types[first - 0xc0];
    if (first >= 0xa0)
        return (struct scan_type){SCAN_STRING, 0, first & 0x1f};
    if (first >= 0x90)
        return (struct scan_type){SCAN_ARRAY, 0, first & 0x0f};
    return (struct scan_type){SCAN_MAP, 0, first & 0x0f};
}

static inline uint32_t scan_length(const uint8_t *at, const struct scan_type *type)
{
    switch (type->length_size) {
    case 0: return type->size;
    case 1: return at[0];
    case 2: return be16_get(at);
    default: return be32_get(at);
    }
}

/* What follows the header of a scalar, against its own maximum and against what is left. */
static inline enum err scan_payload(const struct scan_limits *limits, const struct scan_type *type,
                                    uint32_t length, size_t left, size_t *ret_size)
{
    size_t size = length;
    uint32_t max = UINT32_MAX;

    if (type->class == SCAN_STRING) {
        max = limits->max_string_bytes;
    } else if (type->class != SCAN_FIX) {
        max = limits->max_binary_bytes;
        if (type->class == SCAN_EXTENSION)
            size++; /* its type byte */
    }
    if (size > left)
        return ERR_MALFORMED;
    if (length > max)
        return ERR_TOO_LARGE;
    *ret_size = size;
    return ERR_OK;
}

/* open[depth - 1]: objects still to come in the container at that depth. `due` is their sum over
 * all depths: each needs a byte at least, so more than the bytes left is refused at the header that
 * says so, before anything is read of what it claims. */
enum err scan_first(struct bytes in, const struct scan_limits *limits, size_t *ret_size)
{
    uint64_t open[SCAN_DEPTH_MAX];
    uint64_t due = 1;
    uint32_t depth = 0, objects = 0;
    const uint8_t *at = in.data;
    const uint8_t *end = in.size == 0 ? at : at + in.size;

    assert(limits->max_depth <= SCAN_DEPTH_MAX);
    do {
        struct scan_type type;
        uint32_t length;
        size_t payload;

        if (at == end)
            return ERR_MALFORMED;
        if (++objects > limits->max_objects)
            return ERR_TOO_LARGE;
        due--;
        type = scan_type_of(*at++);
        if (type.class == SCAN_BAD || type.length_size > (size_t)(end - at))
            return ERR_MALFORMED;
        length = scan_length(at, &type);
        at += type.length_size;
        if (type.class >= SCAN_ARRAY) {
            if (depth >= limits->max_depth)
                return ERR_TOO_LARGE;
            open[depth] = (uint64_t)length * (type.class == SCAN_MAP ? 2 : 1);
            due += open[depth];
            if (due > (uint64_t)(end - at))
                return ERR_MALFORMED;
            open[depth++]++; /* the container itself, taken off below */
        } else {
            enum err err = scan_payload(limits, &type, length, (size_t)(end - at), &payload);

            if (err != ERR_OK)
                return err;
            at += payload;
        }
        while (depth > 0 && --open[depth - 1] == 0)
            depth--;
    } while (depth > 0);
    *ret_size = (size_t)(at - in.data);
    return ERR_OK;
}

enum err scan_check(struct bytes in, const struct scan_limits *limits)
{
    size_t size;
    enum err err = scan_first(in, limits, &size);

    if (err != ERR_OK)
        return err;
    return size == in.size ? ERR_OK : ERR_MALFORMED;
}
