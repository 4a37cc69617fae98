/* version decode: the opaque blob that rows travel with.
 *
 * Input:   which table of the model of tests/vectors, then the blob.
 * Asserts: documented errors only; what is taken is canonical: it encodes to the same bytes;
 *          version_peek() says the same as version_decode(); frontiers are sets; memory is bounded.
 * ctest: labels=asan */
#include "tests/fuzz/fuzz.h"

#include "protocol/version.h"
#include "tests/lib/codec.h"

static void decoded(const struct model_table *table, const struct version *version, struct bytes in)
{
    struct version_head head;
    struct dot dots[FRONTIER_MAX];
    struct buf packed;
    uint8_t simple[VERSION_SIMPLE_MAX];
    buf_init(&packed, in.size + 64);
    fuzz_ok(version_encode(table, version, &packed));
    fuzz_check(bytes_equal(buf_view(&packed), in), "%zu bytes from %zu", packed.size, in.size);
    fuzz_ok(version_peek(in, &head));
    fuzz_check(dot_equal(&head.insert, &version->insert) && head.revision == version->revision &&
                   head.insert_stamp == version->insert_stamp &&
                   head.stamp_adjusted == version->stamp_adjusted,
               "the head");
    fuzz_check(head.simple == (version->unit_count == 0 && version->delete_count == 0), "simple");
    if (head.simple)
        fuzz_check(bytes_equal(bytes_of(simple, version_encode_simple(version, simple)), in),
                   "simple");
    for (uint16_t i = 0; i < table->unit_count; i++) {
        const struct unit_state *unit = version_unit(version, i);
        struct dot_set set = version_frontier(version, i, dots);
        fuzz_check(set.count == (unit ? unit->count : 1), "%u", set.count);
        for (uint16_t k = 1; k < set.count; k++)
            fuzz_check(dot_compare(&set.dots[k - 1], &set.dots[k]) < 0, "unit %u", i);
        for (uint16_t k = 0; k < set.count; k++)
            fuzz_check(dot_set_has(set, &set.dots[k]), "unit %u", i);
    }
    buf_done(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum err documented[] = {ERR_MALFORMED, ERR_MODEL, ERR_NOMEM, ERR_OK};
    static struct model *model;
    struct version version;
    struct arena arena;
    if (!model)
        model = codec_model();
    if (size == 0)
        return 0;
    const struct model_table *table = &model->tables[data[0] % model->table_count];
    struct bytes in = bytes_of(data + 1, size - 1);
    fuzz_begin(FUZZ_MEMORY_MAX);
    arena_init(&arena, FUZZ_MEMORY_MAX);
    enum err e = version_decode(table, in, &arena, &version);
    fuzz_one_of(e, "version_decode", documented);
    if (e == ERR_OK)
        decoded(table, &version, in);
    arena_done(&arena);
    fuzz_end(0);
    return 0;
}
