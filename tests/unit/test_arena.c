#include "common/arena.h"

#include <stdalign.h>

#include "tests/lib/failing_alloc.h"
#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

static void gives_memory_up_to_its_limit(void **state)
{
    static const size_t limits[] = {1, 15, 16, 17, 100, 4096, 100003};

    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct arena a;
        uint8_t *memory;

        arena_init(&a, limits[i]);
        assert_null(arena_alloc(&a, limits[i] + 1));
        memory = arena_alloc(&a, limits[i]);
        assert_non_null(memory);
        memset(memory, 1, limits[i]);
        assert_int_equal(a.used, a.limit);
        assert_null(arena_alloc(&a, 1));
        arena_reset(&a);
        assert_non_null(arena_alloc(&a, limits[i]));
        arena_done(&a);
    }
}

static void small_requests_cannot_pass_the_limit(void **state)
{
    struct arena a;
    size_t count = 0;

    (void)state;
    arena_init(&a, 1600);
    while (arena_alloc(&a, 1) != NULL)
        count++;
    assert_int_equal(count, 100); /* each takes an aligned 16 */
    arena_done(&a);
}

static void overflowing_sizes_are_refused(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, SIZE_MAX);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - alignof(max_align_t)));
    assert_null(arena_calloc(&a, SIZE_MAX / 2 + 1, 2));
    assert_null(arena_text(&a, bytes_of("", SIZE_MAX)));
    assert_non_null(arena_calloc(&a, SIZE_MAX, 0));
    arena_done(&a);
}

static void nothing_is_fine(void **state)
{
    struct arena zeroed = {0};
    struct arena a;

    (void)state;
    arena_done(&zeroed);
    arena_init(&a, 0);
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 0));
    assert_null(arena_alloc(&a, 1));
    arena_done(&a);
    arena_done(&a);
}

#define PIECES 2000

static void pieces_are_aligned_and_do_not_overlap(void **state)
{
    static struct {
        uint8_t *data;
        size_t size;
    } pieces[PIECES];
    struct seeded_rng r;
    struct arena a;

    (void)state;
    seeded_rng_init(&r, 4);
    arena_init(&a, (size_t)64 << 20);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < PIECES; i++) {
            size_t size = (size_t)(seeded_u64(&r) & 0xffff) >> seeded_below(&r, 16);

            pieces[i].size = size;
            pieces[i].data = arena_alloc(&a, size);
            assert_non_null(pieces[i].data);
            assert_int_equal((uintptr_t)pieces[i].data % alignof(max_align_t), 0);
            memset(pieces[i].data, (int)(i % 251), size);
        }
        for (size_t i = 0; i < PIECES; i++) {
            for (size_t j = 0; j < pieces[i].size; j++)
                assert_int_equal(pieces[i].data[j], i % 251);
        }
        assert_true(a.used <= a.limit);
        arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    arena_done(&a);
}

static void calloc_clears_used_memory(void **state)
{
    struct arena a;
    uint8_t *memory;

    (void)state;
    arena_init(&a, 4000);
    memset(arena_alloc(&a, 4000), 0xff, 4000);
    arena_reset(&a);
    memory = arena_calloc(&a, 40, 100);
    for (size_t i = 0; i < 4000; i++)
        assert_int_equal(memory[i], 0);
    arena_done(&a);
}

static void a_list_grows_and_keeps_its_items(void **state)
{
    struct arena a;
    uint64_t *items = NULL;
    uint32_t capacity = 0;

    (void)state;
    arena_init(&a, (16 + 32 + 64) * sizeof *items);
    for (uint32_t i = 0; i < 64; i++) {
        items = arena_extend(&a, items, i, &capacity, sizeof *items);
        assert_non_null(items);
        assert_int_equal(items[i], 0);
        items[i] = i + 1;
    }
    assert_null(arena_extend(&a, items, 64, &capacity, sizeof *items)); /* the limit */
    assert_int_equal(capacity, 64);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(items[i], i + 1);
    capacity = UINT32_MAX;
    assert_null(arena_extend(&a, items, UINT32_MAX, &capacity, sizeof *items));
    arena_done(&a);
}

static void copies_are_terminated(void **state)
{
    struct arena a;
    struct bytes copy = {0};
    struct bytes in = BYTES("a\0b");

    (void)state;
    arena_init(&a, 8);
    assert_ok(arena_copy(&a, in, &copy));
    assert_true(bytes_equal(copy, in));
    assert_ptr_not_equal(copy.data, in.data);
    assert_int_equal(copy.data[3], 0);
    arena_reset(&a);
    assert_string_equal(arena_text(&a, bytes_of_text("1234567")), "1234567"); /* 8 with the end */
    arena_reset(&a);
    copy = bytes_of_text("before");
    assert_err(arena_copy(&a, bytes_of_text("12345678"), &copy), ERR_NOMEM);
    assert_text(copy, "before");
    assert_ok(arena_copy(&a, bytes_of(NULL, 0), &copy));
    assert_int_equal(copy.size, 0);
    assert_non_null(copy.data);
    arena_done(&a);
}

/* Once it has grown, the same work again takes no memory from the system. */
static void a_reset_arena_does_small_work_without_malloc(void **state)
{
    struct arena a;

    (void)state;
    if (!failing_alloc_works())
        skip();
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&a, 1000));
    arena_reset(&a);
    failing_alloc_start_forever(1);
    for (int i = 0; i < 50; i++)
        assert_non_null(arena_alloc(&a, 1000));
    assert_false(failing_alloc_stop());
    arena_done(&a);
}

static void a_reset_keeps_the_largest_block(void **state)
{
    struct arena a;

    (void)state;
    if (!failing_alloc_works())
        skip();
    arena_init(&a, 1 << 20);
    assert_non_null(arena_alloc(&a, 10));
    assert_non_null(arena_alloc(&a, 500000)); /* a block of its own, behind the first */
    assert_non_null(arena_alloc(&a, 10));
    arena_reset(&a);
    failing_alloc_start_forever(1);
    assert_non_null(arena_alloc(&a, 500000));
    assert_false(failing_alloc_stop());
    arena_done(&a);
}

static enum err fill_and_reset(void *context)
{
    struct arena a;
    enum err error = ERR_NOMEM;

    (void)context;
    arena_init(&a, 1 << 20);
    if (arena_alloc(&a, 10) == NULL || arena_alloc(&a, 50000) == NULL)
        goto cleanup;
    for (int i = 0; i < 100; i++) {
        if (arena_calloc(&a, 10, 100) == NULL)
            goto cleanup;
    }
    arena_reset(&a);
    if (arena_alloc(&a, 300000) == NULL)
        goto cleanup;
    error = ERR_OK;
cleanup:
    arena_done(&a);
    return error;
}

static void no_memory_gives_null(void **state)
{
    (void)state;
    if (!failing_alloc_works())
        skip();
    assert_true(failing_alloc_each(fill_and_reset, NULL, ERR_NOMEM) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_memory_up_to_its_limit),
        cmocka_unit_test(small_requests_cannot_pass_the_limit),
        cmocka_unit_test(overflowing_sizes_are_refused),
        cmocka_unit_test(nothing_is_fine),
        cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(calloc_clears_used_memory),
        cmocka_unit_test(a_list_grows_and_keeps_its_items),
        cmocka_unit_test(copies_are_terminated),
        cmocka_unit_test(a_reset_arena_does_small_work_without_malloc),
        cmocka_unit_test(a_reset_keeps_the_largest_block),
        cmocka_unit_test(no_memory_gives_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
