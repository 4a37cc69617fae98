#include "protocol/frame.h"

#include "protocol/scan.h"

#include <assert.h>

enum { FRAME_DEFLATED = 1 }; /* the flags */

/* Appends the payload, deflated if that is smaller and the receiver's ratio cap lets it through. */
static enum err frame_append_payload(struct deflater *deflater, struct bytes payload,
                                     struct buf *out)
{
    size_t start = out->size;

    if (deflater != NULL && payload.size >= FRAME_DEFLATE_THRESHOLD) {
        enum err err = deflate_frame(deflater, payload, out);
        size_t deflated = out->size - start;

        if (err == ERR_OK && deflated < payload.size &&
            inflate_cap(deflated, FRAME_INFLATED_MAX) >= payload.size) {
            out->data[1] = FRAME_DEFLATED;
            return ERR_OK;
        }
        if (err != ERR_OK && err != ERR_TOO_LARGE)
            return err;
        out->size = start;
        out->error = ERR_OK;
    }
    return buf_append(out, payload.data, payload.size);
}

/* Photos and archives are compressed already: deflating them again costs a millisecond a chunk for nothing. The
 * bytes of such a file are about equally frequent. */
static bool is_dense(struct bytes data)
{
    enum { SAMPLE = 4096, STEP_MAX = 16 };
    uint32_t counts[256] = {0};
    uint64_t squares = 0, taken = 0;
    size_t step = data.size / SAMPLE + 1;

    assert(step <= STEP_MAX + 1);
    for (size_t i = 0; i < data.size; i += step, taken++)
        counts[data.data[i]]++;
    for (int i = 0; i < 256; i++)
        squares += (uint64_t)counts[i] * counts[i];
    /* even ones: taken + taken^2 / 256, in the mean */
    return squares * 10 < (taken + taken * taken / 256) * 11;
}

enum err frame_encode(const struct message *message, struct deflater *deflater, struct buf *scratch,
                      struct buf *out)
{
    uint8_t header[FRAME_HEADER_SIZE] = {(uint8_t)message->type};
    enum err err;

    buf_reset(scratch);
    buf_reset(out);
    err = message_encode(message, scratch);
    if (err != ERR_OK)
        return err;
    if (scratch->size > FRAME_INFLATED_MAX)
        return ERR_TOO_LARGE;
    be32_put(header + 2, (uint32_t)scratch->size);
    err = buf_append(out, header, sizeof(header));
    if (message->type == MESSAGE_CHUNK && is_dense(message->as.chunk.data))
        deflater = NULL;
    if (err == ERR_OK)
        err = frame_append_payload(deflater, buf_view(scratch), out);
    if (err == ERR_OK && out->size > FRAME_MAX)
        err = ERR_TOO_LARGE;
    if (err != ERR_OK)
        buf_reset(out);
    return err;
}

/* The payload: a view into `in`, or into scratch. declared: what the header says of its size. */
static enum err frame_payload(struct bytes in, uint32_t declared, struct inflater *inflater,
                              struct buf *scratch, struct bytes *ret)
{
    struct bytes body = bytes_of(in.data + FRAME_HEADER_SIZE, in.size - FRAME_HEADER_SIZE);
    enum err err;

    if ((in.data[1] & FRAME_DEFLATED) == 0) {
        if (body.size != declared)
            return ERR_MALFORMED;
        *ret = body;
        return ERR_OK;
    }
    assert(inflater != NULL);
    buf_reset(scratch);
    err = inflate_frame(inflater, body, declared, scratch);
    if (err != ERR_OK)
        return err;
    if (scratch->size != declared)
        return ERR_MALFORMED;
    *ret = buf_view(scratch);
    return ERR_OK;
}

enum err frame_decode(struct bytes in, bool authenticated, struct inflater *inflater,
                      struct buf *scratch, struct arena *arena, struct message *ret)
{
    size_t frame_max = authenticated ? FRAME_MAX : FRAME_BEFORE_AUTH_MAX;
    size_t payload_max = authenticated ? FRAME_INFLATED_MAX : FRAME_BEFORE_AUTH_MAX;
    enum message_type type;
    uint32_t declared;
    struct bytes payload;
    enum err err;

    if (in.size < FRAME_HEADER_SIZE || (in.data[1] & ~FRAME_DEFLATED) != 0)
        return ERR_MALFORMED;
    if (in.size > frame_max)
        return ERR_TOO_LARGE;
    type = (enum message_type)in.data[0];
    if (!authenticated && !message_before_auth(type))
        return ERR_PROTOCOL;
    declared = be32_get(in.data + 2);
    if (declared > payload_max)
        return ERR_TOO_LARGE;
    err = frame_payload(in, declared, inflater, scratch, &payload);
    if (err == ERR_OK)
        err = scan_check(payload, &scan_limits_default);
    if (err == ERR_OK)
        err = message_decode(type, payload, arena, ret);
    return err;
}
