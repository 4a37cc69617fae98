/* Groups: limits, bombs, failing memory. With SATCHEL_BENCH=1: how fast they go. */
#include "tests/lib/unit.h"

#include "protocol/group.h"
#include "protocol/scan.h"
#include "tests/lib/codec.h"
#include "tests/lib/failing_alloc.h"

#define ID "'hex:000102030405060708090a0b0c0d0e0f'"

enum { ARENA_LIMIT = 512 << 20 };

struct fixture {
    struct model *model;
    struct arena arena, decoded;
    struct buf bytes, again;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->model = codec_model();
    arena_init(&f->arena, ARENA_LIMIT);
    arena_init(&f->decoded, ARENA_LIMIT);
    buf_init(&f->bytes, GROUP_BYTES_MAX + 1024);
    buf_init(&f->again, GROUP_BYTES_MAX + 1024);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_done(&f->bytes);
    buf_done(&f->again);
    arena_done(&f->arena);
    arena_done(&f->decoded);
    model_free(f->model);
    free(f);
    return 0;
}

static enum err decode(struct fixture *f, struct bytes in, struct group *ret)
{
    struct err_info info = {.message = "no message"};
    enum err err;

    arena_reset(&f->decoded);
    err = group_decode(f->model, in, &f->decoded, ret, &info);
    if (err != ERR_OK)
        assert_string_not_equal(info.message, "no message");
    return err;
}

static void encode(struct fixture *f, const struct group *group)
{
    buf_reset(&f->bytes);
    assert_ok(group_encode(group, &f->bytes));
}

/* --- Limits ----------------------------------------------------------------------------------- */

static struct mutation *inserts(struct fixture *f, uint32_t count)
{
    struct mutation *mutations = arena_calloc(&f->arena, count, sizeof(*mutations));

    assert_non_null(mutations);
    for (uint32_t i = 0; i < count; i++) {
        mutations[i].op = MUTATION_INSERT;
        mutations[i].table = model_table_by_id(f->model, CODEC_COUNT);
        be32_put(mutations[i].id.byte + 8, i * 2654435761u); /* not ascending */
    }
    return mutations;
}

static void mutations_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct mutation *mutations = inserts(f, GROUP_MUTATIONS_MAX + 1);
    struct group got,
        group = {.dot = {9, 1, 7}, .mutations = mutations, .mutation_count = GROUP_MUTATIONS_MAX};

    encode(f, &group);
    assert_ok(decode(f, buf_view(&f->bytes), &got));
    assert_int_equal(got.mutation_count, GROUP_MUTATIONS_MAX);
    group.mutation_count++;
    buf_reset(&f->bytes);
    assert_err(group_encode(&group, &f->bytes), ERR_LIMIT);
    codec_pack("[1,9,1,7,100,3,null,[],[],[[21]],[{'repeat':100001,'of':[1,0," ID "]}]]",
               &f->bytes);
    assert_err(decode(f, buf_view(&f->bytes), &got), ERR_LIMIT);
    group.mutation_count--;
    mutations[GROUP_MUTATIONS_MAX - 1].id = mutations[5].id;
    encode(f, &group);
    assert_err(decode(f, buf_view(&f->bytes), &got), ERR_MALFORMED);
}

static void dots_and_elements_at_the_limit(void **state)
{
    struct fixture *f = *state;
    const struct model_table *item = model_table_by_id(f->model, CODEC_ITEM);
    struct dot *dots = arena_calloc(&f->arena, 2000, sizeof(*dots));
    struct bytes *adds = arena_calloc(&f->arena, 10001, sizeof(*adds));
    struct unit_write write = {.unit = &item->units[3]};
    struct mutation mutation = {.table = item,
                                .op = MUTATION_RESTORE,
                                .insert = {5, 2, 8},
                                .writes = &write,
                                .write_count = 1};
    struct group got, group = {.dot = {9, 1, 7}, .mutations = &mutation, .mutation_count = 1};

    assert_true(dots != NULL && adds != NULL);
    for (uint32_t i = 0; i < 2000; i++)
        dots[i] = (struct dot){6, i + 1, 1};
    for (uint32_t i = 0; i < 10001; i++) {
        uint8_t *text = arena_alloc(&f->arena, 8);

        assert_non_null(text);
        snprintf((char *)text, 8, "%05u", (unsigned)i);
        adds[i] = bytes_of(text, 5);
    }
    write.adds = adds;
    write.add_count = 10000;
    write.seen = (struct dot_set){dots, FRONTIER_MAX};
    mutation.deletes = (struct dot_set){dots, 1024};
    encode(f, &group);
    assert_ok(decode(f, buf_view(&f->bytes), &got));
    codec_assert_group(&group, &got);

    buf_reset(&f->bytes);
    write.add_count = 10001;
    assert_err(group_encode(&group, &f->bytes), ERR_LIMIT);
    write.add_count = 0;
    write.seen.count++;
    assert_err(group_encode(&group, &f->bytes), ERR_LIMIT);
    write.seen.count--;
    mutation.deletes.count++;
    assert_err(group_encode(&group, &f->bytes), ERR_LIMIT);
}

static void bytes_at_the_limit(void **state)
{
    struct fixture *f = *state;
    const struct model_table *item = model_table_by_id(f->model, CODEC_ITEM);
    struct mutation *mutations = inserts(f, 1024);
    size_t size = (64 << 10) + 1;
    struct value value = value_text(codec_text(&(struct seeded_rng){1}, &f->arena, size));
    struct unit_write write = {.unit = &item->units[0], .values = &value};
    struct group got, group = {.dot = {9, 1, 7}, .mutations = mutations, .mutation_count = 1};

    for (uint32_t i = 0; i < 1024; i++) {
        mutations[i].table = item;
        mutations[i].writes = &write;
        mutations[i].write_count = 1;
    }
    buf_reset(&f->bytes);
    assert_err(group_encode(&group, &f->bytes), ERR_TOO_LARGE);
    value.as.bytes.size = 64 << 10;
    group.mutation_count = 1023;
    encode(f, &group);
    assert_ok(decode(f, buf_view(&f->bytes), &got));
    buf_reset(&f->bytes);
    group.mutation_count = 1024;
    assert_err(group_encode(&group, &f->bytes), ERR_TOO_LARGE);
    assert_int_equal(f->bytes.size, 0);
    assert_err(decode(f, bytes_of(f->bytes.data, GROUP_BYTES_MAX + 1), &got), ERR_LIMIT);
}

static void bomb(const char *name, struct bytes data)
{
    struct model *model = codec_model();
    struct arena arena;
    struct group got;
    enum err err;

    arena_init(&arena, 1 << 20);
    err = group_decode(model, data, &arena, &got, NULL);
    if (err != ERR_MALFORMED)
        fail_msg("%s: ERR_%s", name, err_name(err));
    assert_in_range(arena.used, 0, 128 << 10);
    failing_alloc_start_forever(1);
    group_peek(data, &got);
    if (failing_alloc_stop())
        fail_msg("%s: group_peek allocated", name);
    arena_done(&arena);
    model_free(model);
}

static void bombs_are_refused(void **state)
{
    (void)state;
    assert_in_range(codec_bombs("group-", bomb), 6, 1000);
}

/* --- Memory ----------------------------------------------------------------------------------- */

static enum err run_decode(void *context)
{
    struct fixture *f = context;
    struct arena arena;
    struct group got;
    enum err err;

    arena_init(&arena, ARENA_LIMIT);
    err = group_decode(f->model, buf_view(&f->bytes), &arena, &got, NULL);
    arena_done(&arena);
    return err;
}

static enum err run_encode(void *context)
{
    struct fixture *f = context;
    struct group group = *(struct group *)(void *)f->again.data;
    struct buf out;
    enum err err;

    buf_init(&out, 1 << 20);
    err = group_encode(&group, &out);
    buf_done(&out);
    return err;
}

/* As failing_alloc_each(), but what fails inside qsort() is nothing to it: it sorts in place. */
static unsigned fail_each(enum err (*run)(void *context), struct fixture *f)
{
    unsigned refused = 0;
    bool failed = true;

    for (uint64_t k = 1; failed; k++) {
        enum err err;

        failing_alloc_start(k);
        err = run(f);
        failed = failing_alloc_stop();
        if (failed && err != ERR_OK)
            refused++;
        assert_err(err, failed && err != ERR_OK ? ERR_NOMEM : ERR_OK);
    }
    return refused;
}

static void each_allocation_may_fail(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    struct group group;

    if (!failing_alloc_works())
        skip();
    seeded_rng_start(&r, 7);
    group = codec_group(&r, &f->arena, f->model, 200);
    encode(f, &group);
    assert_in_range(fail_each(run_decode, f), 5, 1000);
    buf_reset(&f->again);
    assert_ok(buf_append(&f->again, &group, sizeof(group)));
    assert_in_range(fail_each(run_encode, f), 5, 1000);
}

/* --- Speed ------------------------------------------------------------------------------------ */

static struct group bench_group(struct fixture *f, enum mutation_op op, uint32_t count)
{
    const struct model_table *item = model_table_by_id(f->model, CODEC_ITEM);
    struct mutation *mutations = inserts(f, count);
    struct unit_write *writes =
        arena_calloc(&f->arena, count * (size_t)item->unit_count, sizeof(*writes));
    struct value *values =
        arena_calloc(&f->arena, count * (size_t)item->column_count, sizeof(*values));
    struct seeded_rng r;

    assert_true(writes != NULL && values != NULL);
    seeded_rng_start(&r, 5);
    for (uint32_t i = 0; i < count; i++) {
        be32_put(mutations[i].id.byte,
                 i / 16); /* nearly ascending, as UUIDv7 of several makers are */
        mutations[i].table = item;
        mutations[i].op = op;
        mutations[i].insert = (struct dot){5, 1 + i / 1000, 3};
        mutations[i].writes = writes;
        for (uint16_t u = 0; u < item->unit_count; u++) {
            const struct model_unit *unit = &item->units[u];

            if (unit->policy == MERGE_SET && op == MUTATION_UPDATE)
                continue;
            *writes = (struct unit_write){.unit = unit, .values = values};
            if (op == MUTATION_UPDATE && unit->carries_base)
                writes->base = values;
            for (uint16_t k = 0; k < unit->column_count; k++, values++) {
                do
                    *values = codec_value(&r, &f->arena, &item->columns[unit->columns[k]]);
                while (values->kind == VALUE_NULL);
            }
            writes++;
            mutations[i].write_count++;
        }
    }
    return (struct group){.dot = {9, 1, 7}, .mutations = mutations, .mutation_count = count};
}

static void bench(struct fixture *f, const char *what, enum mutation_op op, uint32_t count)
{
    struct group got, group;
    double best = 1e9, best_encode = 1e9, best_scan = 1e9;

    arena_reset(&f->arena);
    group = bench_group(f, op, count);
    for (unsigned i = 0; i < 20; i++) {
        double start = codec_now(), end;

        encode(f, &group);
        end = codec_now();
        best_encode = end - start < best_encode ? end - start : best_encode;
        start = end;
        assert_ok(scan_check(buf_view(&f->bytes), &scan_limits_default));
        end = codec_now();
        best_scan = end - start < best_scan ? end - start : best_scan;
        start = end;
        assert_ok(decode(f, buf_view(&f->bytes), &got));
        end = codec_now();
        best = end - start < best ? end - start : best;
    }
    print_message(
        "%-28s %6u of %u bytes, arena %.1f MB: decode %.2f, encode %.2f M/s, scan %.0f MB/s\n",
        what, (unsigned)count, (unsigned)(f->bytes.size / count), (double)f->decoded.used / 1e6,
        count / best / 1e6, count / best_encode / 1e6, (double)f->bytes.size / best_scan / 1e6);
}

static void benchmark(void **state)
{
    struct fixture *f = *state;

    if (!codec_bench())
        skip();
    bench(f, "inserts of 13 values", MUTATION_INSERT, GROUP_MUTATIONS_MAX);
    bench(f, "inserts of 13 values", MUTATION_INSERT, GROUP_IMPORT_MUTATIONS);
    bench(f, "updates of 12 values, 4 bases", MUTATION_UPDATE, GROUP_MUTATIONS_MAX);
    bench(f, "updates of 12 values, 4 bases", MUTATION_UPDATE, GROUP_IMPORT_MUTATIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mutations_at_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(dots_and_elements_at_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_at_the_limit, setup, teardown),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test_setup_teardown(each_allocation_may_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(benchmark, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
