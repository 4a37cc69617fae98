/* inflate + frame decode.
 *
 * Input:   a frame as it comes from the wire.
 * Asserts: documented errors only; what is taken before authentication is a message for that time, of
 *          a small frame, and is taken the same afterwards; inflating keeps inflate_cap(); a decoded
 *          message encodes, deflated or not, to a frame that decodes to the same; memory is bounded.
 * ctest: labels=asan */
#include "tests/fuzz/fuzz.h"

#include "protocol/frame.h"
#include "tests/lib/messages.h"

enum { DECODED_MAX = 40 << 20 };

struct fixture {
    struct inflater *inflater;
    struct deflater *deflater;
    struct buf inflated, scratch, frame;
    struct arena arena;
};

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    fuzz_ok(inflater_new(&f->inflater));
    fuzz_ok(deflater_new(1, &f->deflater));
    buf_init(&f->inflated, FRAME_INFLATED_MAX);
    buf_init(&f->scratch, FRAME_INFLATED_MAX + 4096);
    buf_init(&f->frame, 2 * FRAME_MAX);
    arena_init(&f->arena, DECODED_MAX);
}

static void teardown(struct fixture *f)
{
    inflater_free(f->inflater);
    deflater_free(f->deflater);
    buf_done(&f->inflated);
    buf_done(&f->scratch);
    buf_done(&f->frame);
    arena_done(&f->arena);
}

static enum err decode(struct fixture *f, struct bytes in, bool authenticated, struct message *ret)
{
    static const enum err documented[] = {ERR_TOO_LARGE, ERR_MALFORMED, ERR_PROTOCOL, ERR_NOMEM,
                                          ERR_OK};
    enum err e = frame_decode(in, authenticated, f->inflater, &f->inflated, &f->arena, ret);
    fuzz_one_of(e, "frame_decode", documented);
    return e;
}

/* Inflated: what it is, and that the cap was kept; then deflated and back. */
static void inflate(struct fixture *f, struct bytes in)
{
    static const enum err documented[] = {ERR_TOO_LARGE, ERR_MALFORMED, ERR_NOMEM, ERR_OK};
    static const size_t caps[] = {1000, FRAME_INFLATED_MAX};
    for (int i = 0; i < 2; i++) {
        buf_reset(&f->inflated);
        buf_reset(&f->frame);
        enum err e = inflate_frame(f->inflater, in, caps[i], &f->inflated);
        fuzz_one_of(e, "inflate_frame", documented);
        fuzz_check(f->inflated.size <= inflate_cap(in.size, caps[i]), "%zu of %zu bytes",
                   f->inflated.size, in.size);
        if (e != ERR_OK) {
            fuzz_check(f->inflated.size == 0, "%zu bytes are left of a failure", f->inflated.size);
        } else if (f->inflated.size < FRAME_MAX) {
            fuzz_ok(deflate_frame(f->deflater, buf_view(&f->inflated), &f->frame));
            buf_reset(&f->scratch);
            if (f->inflated.size <= inflate_cap(f->frame.size, FRAME_INFLATED_MAX)) {
                fuzz_ok(inflate_frame(f->inflater, buf_view(&f->frame), FRAME_INFLATED_MAX,
                                      &f->scratch));
                fuzz_check(bytes_equal(buf_view(&f->inflated), buf_view(&f->scratch)), "deflated");
            }
        }
    }
}

/* The message's views lie in f->inflated: what decodes anew needs a place of its own. */
static void round_trip(struct fixture *f, const struct message *message)
{
    struct message got;
    struct buf inflated;
    for (int deflated = 0; deflated < 2; deflated++) {
        buf_init(&inflated, FRAME_INFLATED_MAX);
        enum err e = frame_encode(message, deflated ? f->deflater : NULL, &f->scratch, &f->frame);
        if (e == ERR_OK) {
            fuzz_check(f->frame.size <= FRAME_MAX, "a frame of %zu bytes", f->frame.size);
            fuzz_ok(
                frame_decode(buf_view(&f->frame), true, f->inflater, &inflated, &f->arena, &got));
            fuzz_check(messages_equal(message, &got), "%s", message_name(message->type));
        } else {
            fuzz_err(e, ERR_TOO_LARGE); /* it came deflated better than we do */
        }
        buf_done(&inflated);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture f;
    struct message message, early;
    struct bytes in = bytes_of(data, size);
    fuzz_begin(FUZZ_MEMORY_MAX);
    setup(&f);
    if (size > FRAME_HEADER_SIZE && (data[1] & 1))
        inflate(&f, bytes_of(data + FRAME_HEADER_SIZE, size - FRAME_HEADER_SIZE));
    enum err before = decode(&f, in, false, &early);
    if (before == ERR_OK) {
        fuzz_check(message_before_auth(early.type) && size <= FRAME_BEFORE_AUTH_MAX,
                   "%s of %zu bytes before authentication", message_name(early.type), size);
        round_trip(&f, &early);
        arena_reset(&f.arena);
    }
    enum err after = decode(&f, in, true, &message);
    fuzz_check(before != ERR_OK || after == ERR_OK, "refused once it is authenticated: %s",
               err_name(after));
    if (after == ERR_OK)
        round_trip(&f, &message);
    teardown(&f);
    fuzz_end(0);
    return 0;
}
