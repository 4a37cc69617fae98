#include "common/deflate.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#define RAW_DEFLATE_WINDOW (-15) /* 32 KiB, without zlib's header and checksum */
#define MEMORY_LEVEL       8     /* zlib's default */
#define CHUNK_MIN          ((size_t)4096)

struct deflater {
    z_stream stream;
};

struct inflater {
    z_stream stream;
};

/* zlib's input pointer is not const unless ZLIB_CONST; it does not write through it. */
static void set_input(z_stream *stream, struct bytes in)
{
    stream->next_in = (Bytef *)(uintptr_t)in.data;
    stream->avail_in = (uInt)in.size;
}

enum err deflater_new(int level, struct deflater **ret_deflater)
{
    struct deflater *deflater;
    int code;

    if (level < -1 || level > 9)
        return ERR_INVALID;
    deflater = calloc(1, sizeof(*deflater));
    if (deflater == NULL)
        return ERR_NOMEM;
    code = deflateInit2(&deflater->stream, level, Z_DEFLATED, RAW_DEFLATE_WINDOW, MEMORY_LEVEL,
                        Z_DEFAULT_STRATEGY);
    if (code != Z_OK) {
        free(deflater);
        return code == Z_MEM_ERROR ? ERR_NOMEM : ERR_BUG;
    }
    *ret_deflater = deflater;
    return ERR_OK;
}

void deflater_free(struct deflater *deflater)
{
    if (deflater == NULL)
        return;
    deflateEnd(&deflater->stream);
    free(deflater);
}

/* Where zlib writes during one call. When there is no room, that is a byte of our own: if zlib takes
 * it there is too much, and if not, it only needed the call to see that the stream had ended. */
struct output {
    bool full;
    uint8_t beyond;
};

/* Room for `wanted` bytes, or for what is left of out's limit; for 0 the byte beyond. ERR_NOMEM. */
static enum err open_output(struct output *output, z_stream *stream, struct buf *out, size_t wanted)
{
    size_t left = out->limit - out->size;
    uint8_t *at = &output->beyond;
    size_t room = 1;

    output->full = wanted == 0 || left == 0;
    if (!output->full) {
        room = wanted < left ? wanted : left;
        if (room > UINT_MAX)
            room = UINT_MAX;
        at = buf_reserve(out, room);
        if (at == NULL)
            return out->error;
    }
    stream->next_out = at;
    stream->avail_out = (uInt)room;
    return ERR_OK;
}

/* What zlib wrote becomes content. ERR_TOO_LARGE: it was full. */
static enum err close_output(const struct output *output, const z_stream *stream, struct buf *out)
{
    if (output->full)
        return stream->avail_out == 0 ? ERR_TOO_LARGE : ERR_OK;
    out->size = (size_t)(stream->next_out - out->data);
    return ERR_OK;
}

/* One call of deflate(). */
static enum err deflate_step(z_stream *stream, struct buf *out, bool *ret_ended)
{
    size_t wanted = deflateBound(stream, stream->avail_in);
    struct output output;
    enum err error;
    int code;

    error = open_output(&output, stream, out, wanted > CHUNK_MIN ? wanted : CHUNK_MIN);
    if (error != ERR_OK)
        return error;
    code = deflate(stream, Z_FINISH);
    error = close_output(&output, stream, out);
    if (error == ERR_TOO_LARGE)
        out->error = error; /* like a failed append: the limit is out's own */
    else if (code != Z_STREAM_END && code != Z_OK)
        error = ERR_BUG;
    *ret_ended = code == Z_STREAM_END;
    return error;
}

enum err deflate_frame(struct deflater *deflater, struct bytes in, struct buf *out)
{
    z_stream *stream = &deflater->stream;
    size_t start = out->size;
    bool ended = false;
    enum err error = out->error;

    if (in.size > UINT_MAX)
        return ERR_LIMIT;
    if (deflateReset(stream) != Z_OK)
        return ERR_BUG;
    set_input(stream, in);
    while (error == ERR_OK && !ended)
        error = deflate_step(stream, out, &ended);
    if (error != ERR_OK)
        out->size = start;
    return error;
}

enum err inflater_new(struct inflater **ret_inflater)
{
    struct inflater *inflater = calloc(1, sizeof(*inflater));
    int code;

    if (inflater == NULL)
        return ERR_NOMEM;
    code = inflateInit2(&inflater->stream, RAW_DEFLATE_WINDOW);
    if (code != Z_OK) {
        free(inflater);
        return code == Z_MEM_ERROR ? ERR_NOMEM : ERR_BUG;
    }
    *ret_inflater = inflater;
    return ERR_OK;
}

void inflater_free(struct inflater *inflater)
{
    if (inflater == NULL)
        return;
    inflateEnd(&inflater->stream);
    free(inflater);
}

size_t inflate_cap(size_t in_size, size_t max_out_bytes)
{
    size_t cap = in_size > SIZE_MAX / INFLATE_RATIO_MAX ? SIZE_MAX : in_size * INFLATE_RATIO_MAX;

    if (cap < INFLATE_FREE_BYTES)
        cap = INFLATE_FREE_BYTES;
    return cap < max_out_bytes ? cap : max_out_bytes;
}

/* One call of inflate(), which may write up to `left` bytes. */
static enum err inflate_step(z_stream *stream, struct buf *out, size_t left, bool *ret_ended)
{
    size_t wanted = (size_t)stream->avail_in * 4;
    struct output output;
    enum err error;
    int code;

    if (wanted < CHUNK_MIN)
        wanted = CHUNK_MIN;
    error = open_output(&output, stream, out, wanted < left ? wanted : left);
    if (error != ERR_OK)
        return error;
    code = inflate(stream, Z_NO_FLUSH);
    error = close_output(&output, stream, out);
    if (error != ERR_OK)
        return error;
    if (code == Z_MEM_ERROR)
        return ERR_NOMEM;
    if (code != Z_OK && code != Z_STREAM_END)
        return ERR_MALFORMED; /* Z_BUF_ERROR too: it wants more input than there is */
    *ret_ended = code == Z_STREAM_END;
    return ERR_OK;
}

enum err inflate_frame(struct inflater *inflater, struct bytes in, size_t max_out_bytes,
                       struct buf *out)
{
    z_stream *stream = &inflater->stream;
    size_t cap = inflate_cap(in.size, max_out_bytes);
    size_t start = out->size;
    bool ended = false;
    enum err error = out->error;

    if (in.size > UINT_MAX)
        return ERR_LIMIT;
    if (inflateReset(stream) != Z_OK)
        return ERR_BUG;
    set_input(stream, in);
    while (error == ERR_OK && !ended)
        error = inflate_step(stream, out, cap - (out->size - start), &ended);
    if (error == ERR_OK && stream->avail_in > 0)
        error = ERR_MALFORMED;
    if (error != ERR_OK)
        out->size = start;
    return error;
}
