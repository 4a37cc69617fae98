/* scan + decode of every message.
 *
 * Input:   the message's type, then the payload.
 * Asserts: what scan_check() takes is one object to the last byte, and no prefix of it is; a payload
 *          that the scan refuses reaches no decoder; decode gives documented errors only; what was
 *          decoded encodes, decodes to the same fields, and encodes to the same bytes; a further
 *          field (of a newer peer) changes nothing; memory is bounded.
 * ctest: labels=asan */
#include "tests/fuzz/fuzz.h"

#include "protocol/frame.h"
#include "protocol/scan.h"
#include "tests/lib/messages.h"

enum { DECODED_MAX = 48 << 20 };

static void scan_properties(struct bytes payload, enum err scanned)
{
    size_t size = SIZE_MAX;
    enum err first = scan_first(payload, &scan_limits_default, &size);
    if (scanned == ERR_OK) {
        fuzz_ok(first);
        fuzz_check(size == payload.size, "%zu of %zu", size, payload.size);
        size_t step = payload.size / 64 + 1;
        for (size_t cut = 0; cut < payload.size; cut += step)
            fuzz_check(scan_check(bytes_of(payload.data, cut), &scan_limits_default) != ERR_OK,
                       "%zu of %zu bytes are taken as a whole", cut, payload.size);
    } else if (first == ERR_OK) {
        fuzz_check(size < payload.size, "%zu of %zu", size, payload.size);
        fuzz_ok(scan_check(bytes_of(payload.data, size), &scan_limits_default));
    }
}

/* The array's header says one element more, which follows: nil. */
static void newer_peer(enum message_type type, const struct message *message,
                       const struct buf *packed, struct arena *arena)
{
    struct message got;
    struct buf longer;
    if (packed->size == 0 || packed->data[0] < 0x90 || packed->data[0] >= 0x9f)
        return;
    buf_init(&longer, packed->size + 1);
    fuzz_ok(buf_append(&longer, packed->data, packed->size));
    longer.data[0]++;
    fuzz_ok(buf_append_byte(&longer, 0xc0));
    fuzz_ok(message_decode(type, buf_view(&longer), arena, &got));
    fuzz_check(messages_equal(message, &got), "of a newer peer");
    buf_done(&longer);
}

static void decode(enum message_type type, struct bytes payload)
{
    static const enum err documented[] = {ERR_MALFORMED, ERR_PROTOCOL, ERR_NOMEM, ERR_OK};
    struct message message, again;
    struct arena arena;
    struct buf packed, twice;
    arena_init(&arena, DECODED_MAX);
    buf_init(&packed, FRAME_INFLATED_MAX + 4096);
    buf_init(&twice, FRAME_INFLATED_MAX + 4096);
    enum err e = message_decode(type, payload, &arena, &message);
    fuzz_one_of(e, message_name(type), documented);
    if (e == ERR_OK) {
        fuzz_check(message.type == type, "%d", (int)message.type);
        fuzz_ok(message_encode(&message, &packed));
        fuzz_ok(scan_check(buf_view(&packed), &scan_limits_default));
        fuzz_ok(message_decode(type, buf_view(&packed), &arena, &again));
        fuzz_check(messages_equal(&message, &again), "%s", message_name(type));
        fuzz_ok(message_encode(&again, &twice));
        fuzz_check(bytes_equal(buf_view(&packed), buf_view(&twice)), "%s", message_name(type));
        newer_peer(type, &message, &packed, &arena);
    }
    buf_done(&packed);
    buf_done(&twice);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    fuzz_begin(FUZZ_MEMORY_MAX);
    struct bytes payload = bytes_of(data + 1, size - 1);
    enum err e = scan_check(payload, &scan_limits_default);
    fuzz_check(e == ERR_OK || e == ERR_MALFORMED || e == ERR_TOO_LARGE, "%s", err_name(e));
    scan_properties(payload, e);
    if (e == ERR_OK)
        decode((enum message_type)(data[0] % 32), payload);
    fuzz_end(0);
    return 0;
}
