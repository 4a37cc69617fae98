/* group decode.
 *
 * Input:   the bytes of a group, on the model of tests/vectors.
 * Asserts: documented errors only; group_peek() says the same as group_decode() wherever that takes
 *          it; a decoded group encodes to bytes that decode to the same and encode to the same;
 *          renumbering there and back gives the group; normalising what is normal changes nothing;
 *          memory is bounded.
 * ctest: labels=asan */
#include "tests/fuzz/fuzz.h"

#include "protocol/group.h"
#include "tests/lib/codec.h"

enum { DECODED_MAX = 48 << 20 };

static void same_encoding(const struct group *a, const struct group *b)
{
    struct buf x, y;
    buf_init(&x, GROUP_BYTES_MAX);
    buf_init(&y, GROUP_BYTES_MAX);
    fuzz_ok(group_encode(a, &x));
    fuzz_ok(group_encode(b, &y));
    fuzz_check(bytes_equal(buf_view(&x), buf_view(&y)), "they encode to %zu and %zu bytes", x.size,
               y.size);
    buf_done(&x);
    buf_done(&y);
}

static void renumber(const struct group *group, struct arena *arena)
{
    struct group there, back;
    const uint64_t fresh = UINT64_C(0xf0e1d2c3b4a59687);
    enum err e =
        group_renumber(group, group->dot.origin, &group->dot.oseq, 1, fresh, arena, &there);
    fuzz_check(e == ERR_OK || e == ERR_NOMEM || e == ERR_INVALID || e == ERR_LIMIT, "%s",
               err_name(e));
    if (e != ERR_OK)
        return;
    fuzz_check(there.dot.origin == fresh && there.dot.oseq == 1, "%llu",
               (unsigned long long)there.dot.oseq);
    fuzz_check(there.mutation_count == group->mutation_count, "%u", there.mutation_count);
    fuzz_check(dot_equal(&there.renamed, &group->dot), "the dot that it had");
    if (group_renumber(&there, fresh, NULL, 0, group->dot.origin, arena, &back) == ERR_OK)
        fuzz_check(back.dot.oseq == 1 && dot_equal(&back.renamed, &there.dot), "and back");
}

static void normalise(const struct group *group, struct arena *arena)
{
    struct group normal = *group, twice = *group;
    enum err e = group_normalise(group->mutations, group->mutation_count, arena, &normal.mutations,
                                 &normal.mutation_count);
    fuzz_check(e == ERR_OK || e == ERR_NOMEM || e == ERR_LIMIT || e == ERR_INVALID, "%s",
               err_name(e));
    if (e != ERR_OK)
        return;
    fuzz_check(normal.mutation_count <= group->mutation_count, "%u of %u", normal.mutation_count,
               group->mutation_count);
    fuzz_ok(group_normalise(normal.mutations, normal.mutation_count, arena, &twice.mutations,
                            &twice.mutation_count));
    same_encoding(&normal, &twice);
}

static void decoded(const struct model *model, const struct group *group, struct arena *arena)
{
    struct group again;
    struct err_info info;
    struct buf packed;
    buf_init(&packed, GROUP_BYTES_MAX);
    fuzz_ok(group_encode(group, &packed));
    fuzz_error(group_decode(model, buf_view(&packed), arena, &again, &info), ERR_OK, info.message,
               __FILE__, __LINE__);
    codec_assert_group(group, &again);
    same_encoding(group, &again);
    renumber(group, arena);
    normalise(group, arena);
    buf_done(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum err documented[] = {ERR_VERSION, ERR_MALFORMED, ERR_MODEL,
                                          ERR_LIMIT,   ERR_NOMEM,     ERR_OK};
    static struct model *model;
    struct group group, head;
    struct arena arena;
    struct err_info info = {0};
    if (!model)
        model = codec_model();
    fuzz_begin(FUZZ_MEMORY_MAX);
    arena_init(&arena, DECODED_MAX);
    enum err peeked = group_peek(bytes_of(data, size), &head);
    fuzz_check(peeked == ERR_OK || peeked == ERR_MALFORMED || peeked == ERR_VERSION, "%s",
               err_name(peeked));
    enum err e = group_decode(model, bytes_of(data, size), &arena, &group, &info);
    fuzz_one_of(e, "group_decode", documented);
    fuzz_check(e == ERR_OK || info.message[0] || e == ERR_NOMEM, "%s without a message",
               err_name(e));
    if (e == ERR_OK) {
        fuzz_ok(peeked);
        fuzz_check(dot_equal(&head.dot, &group.dot) && dot_equal(&head.renamed, &group.renamed) &&
                       head.stamp == group.stamp && head.model_version == group.model_version,
                   "the head");
        decoded(model, &group, &arena);
    }
    arena_done(&arena);
    fuzz_end(0);
    return 0;
}
