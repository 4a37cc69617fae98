/* message_blob.c - elements of the lists of OFFER and STATES. */
#include "protocol/message_blob.h"

#include "protocol/pack.h"

static enum err unpack_hash(struct unpacker *u, struct bytes *ret)
{
    enum err err = unpack_binary(u, 32, ret);

    return err == ERR_OK && ret->size != 32 ? ERR_MALFORMED : err;
}

void encode_blob_offer(const void *element, struct buf *out)
{
    const struct blob_offer *offer = element;

    pack_array(out, 2);
    pack_binary(out, offer->hash);
    pack_uint(out, offer->size);
}

enum err decode_blob_offer(struct unpacker *u, struct arena *arena, void *ret)
{
    struct blob_offer *offer = ret;
    enum err err = unpack_hash(u, &offer->hash);

    (void)arena;
    return err == ERR_OK ? unpack_uint(u, UINT64_MAX, &offer->size) : err;
}

void encode_blob_state(const void *element, struct buf *out)
{
    const struct blob_state *state = element;

    pack_array(out, 3);
    pack_binary(out, state->hash);
    pack_uint(out, state->code);
    pack_uint(out, state->next);
}

enum err decode_blob_state(struct unpacker *u, struct arena *arena, void *ret)
{
    struct blob_state *state = ret;
    enum err err = unpack_hash(u, &state->hash);

    (void)arena;
    if (err == ERR_OK)
        err = unpack_uint(u, UINT64_MAX, &state->code);
    return err == ERR_OK ? unpack_uint(u, UINT64_MAX, &state->next) : err;
}
