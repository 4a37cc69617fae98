/* message_result.c - what became of groups: an element of CHECKPOINT and FATES. */
#include "protocol/message_result.h"

#include "common/text.h"
#include "protocol/pack.h"

enum { RESULT_DETAIL_MAX = 500 };

void encode_group_result(const void *element, struct buf *out)
{
    const struct group_result *result = element;
    bool told = result->tags.size > 0;

    pack_check(out, result->detail.size <= RESULT_DETAIL_MAX, ERR_TOO_LARGE);
    pack_check(out, utf8_valid(result->detail), ERR_INVALID);
    pack_check(out, result->tags.size <= RESULT_TAGS_MAX * RESULT_TAG_SIZE, ERR_TOO_LARGE);
    pack_array(out, told ? 6 : 5);
    pack_uint(out, result->oseq);
    pack_uint(out, result->count);
    pack_uint(out, result->code);
    pack_uint(out, result->reason);
    pack_text(out, result->detail);
    if (told)
        pack_binary(out, result->tags);
}

static bool result_is_right(const struct group_result *result)
{
    size_t tags = result->tags.size;

    return result->oseq > 0 && result->count > 0 &&
           result->count - 1 <= UINT64_MAX - result->oseq && result->code >= RESULT_APPLIED &&
           result->code <= RESULT_DISCARDED && utf8_valid(result->detail) &&
           (tags == 0 || (tags % RESULT_TAG_SIZE == 0 && tags / RESULT_TAG_SIZE == result->count));
}

/* Its array's header as well: the tags may be missing. */
enum err decode_group_result(struct unpacker *u, struct arena *arena, void *ret)
{
    struct group_result *result = ret;
    uint32_t fields = 0;
    enum err err = unpack_array(u, MESSAGE_FIELDS_MAX, &fields);

    if (err == ERR_OK && fields < 5)
        err = ERR_MALFORMED;
    if (err == ERR_OK)
        err = unpack_uint(u, UINT64_MAX, &result->oseq);
    if (err == ERR_OK)
        err = unpack_uint(u, UINT64_MAX, &result->count);
    if (err == ERR_OK)
        err = unpack_u32(u, &result->code);
    if (err == ERR_OK)
        err = unpack_u32(u, &result->reason);
    if (err == ERR_OK)
        err = unpack_text(u, RESULT_DETAIL_MAX, &result->detail);
    if (err == ERR_OK && fields > 5)
        err = unpack_binary(u, RESULT_TAGS_MAX * RESULT_TAG_SIZE, &result->tags);
    for (uint32_t i = 6; i < fields && err == ERR_OK; i++)
        err = unpack_skip(u);
    (void)arena;
    if (err == ERR_OK && !result_is_right(result))
        err = ERR_MALFORMED;
    return err;
}
