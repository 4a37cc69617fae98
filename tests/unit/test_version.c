#include "protocol/version.h"

#include "tests/lib/seeded_rng.h"
#include "tests/lib/story.h"
#include "tests/lib/unit.h"

struct kit {
    struct story story;
    const struct model_table *customer;
    struct buf out;
};

static int setup(void **state)
{
    struct kit *kit = calloc(1, sizeof(*kit));

    assert_non_null(kit);
    story_init(&kit->story, NULL);
    kit->customer = model_table_by_name(kit->story.model, bytes_of_text("customer"));
    buf_init(&kit->out, 1 << 20);
    *state = kit;
    return 0;
}

static int teardown(void **state)
{
    struct kit *kit = *state;

    buf_done(&kit->out);
    story_done(&kit->story);
    free(kit);
    return 0;
}

static struct version simple_version(void)
{
    return (struct version){
        .insert = {.origin = 0x1122334455667788, .oseq = 300, .tag = 0xa1b2c3d4},
        .insert_stamp = 0x0102030405060708,
        .revision = 5};
}

static void test_bytes_of_a_simple_version(void **state)
{
    static const uint8_t expected[] = {4,    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                       0x88, 0xac, 0x02, 0xa1, 0xb2, 0xc3, 0xd4, 1,
                                       2,    3,    4,    5,    6,    7,    8,    5};
    struct version version = simple_version();
    uint8_t out[VERSION_SIMPLE_MAX];

    (void)state;
    version.stamp_adjusted = true;
    assert_int_equal(version_encode_simple(&version, out), sizeof(expected));
    assert_memory_equal(out, expected, sizeof(expected));
}

static void test_the_largest_simple_version_fits(void **state)
{
    struct kit *kit = *state;
    struct version version = {.insert = {UINT64_MAX, UINT64_MAX, UINT32_MAX},
                              .insert_stamp = UINT64_MAX,
                              .revision = UINT64_MAX},
                   again;
    uint8_t out[VERSION_SIMPLE_MAX];
    size_t size = version_encode_simple(&version, out);

    assert_true(size <= VERSION_SIMPLE_MAX);
    assert_ok(version_encode(kit->customer, &version, &kit->out));
    assert_true(bytes_equal(buf_view(&kit->out), bytes_of(out, size)));
    assert_ok(version_decode(kit->customer, bytes_of(out, size), &kit->story.arena, &again));
    assert_true(dot_equal(&again.insert, &version.insert));
    assert_true(again.revision == UINT64_MAX && again.insert_stamp == UINT64_MAX);
    assert_int_equal(again.unit_count + again.delete_count, 0);
}

static void test_bytes_of_a_version_with_a_unit_and_a_delete(void **state)
{
    struct kit *kit = *state;
    static const uint8_t expected[] = {
        3, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0,   0, 7, 0, 0, 0, 0, 0, 0, 0, 100, 2, /* head */
        2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0,   0, 8, 0, 0, 0, 0, 0, 0, 0, 3,   1,
        0, 0, 0, 9,                           /* dots */
        1, 1, 8, 2, 0, 0, 0, 0, 0, 0, 0, 200, /* unit 1: one candidate, ref 1 */
        1, 2, 0, 0, 0, 0, 0, 0, 1, 44};       /* a delete, ref 2 */
    struct candidate written = {.dot = {1, 2, 8}, .stamp = 200};
    struct unit_state unit = {.unit = 0, .count = 1, .candidates = &written};
    struct delete_mark mark = {.dot = {3, 1, 9}, .stamp = 300};
    struct version version = {.insert = {1, 1, 7},
                              .insert_stamp = 100,
                              .revision = 2,
                              .units = &unit,
                              .unit_count = 1,
                              .deletes = &mark,
                              .delete_count = 1};

    assert_ok(version_encode(kit->customer, &version, &kit->out));
    assert_int_equal(kit->out.size, sizeof(expected));
    assert_memory_equal(kit->out.data, expected, sizeof(expected));
}

/* A version with something of everything, as the merge makes it. */
static struct version rich_version(struct kit *kit)
{
    struct story *s = &kit->story;
    struct story_record start, second;

    STORY_INSERT(s, 1, "customer", 1, "name", "Ada", "tags", "[\"a\",\"b\"]", "note", "one\ntwo");
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "name", "Ada L", "phone", "1", "tags", "+c -a", "category", "A",
                 "note", "one\n2", "points", "5", "weight", "1.5", "ceiling", "-7", "city",
                 "Gyumri", "street", "Abovyan");
    STORY_UPDATE(s, 3, &start, "name", "A. L.", "tags", "+d", "category", "B", "note", "1\ntwo",
                 "points", "-2", "ceiling", "900", "signer", "me", "city", "Vanadzor", "since",
                 "2020-02-29");
    second = story_look(s, "customer", 1);
    STORY_UPDATE(s, 4, &second, "phone", NULL, "signer", "you", "stage", "sent");
    second = story_look(s, "customer", 1);
    story_record_of(s, "customer", 1)->version.stamp_adjusted = true;
    STORY_DELETE(s, 5, &second);
    STORY_DELETE(s, 6, &second);
    return story_record_of(s, "customer", 1)->version;
}

static void test_everything_survives_a_round_trip(void **state)
{
    struct kit *kit = *state;
    struct version version = rich_version(kit), again;
    struct bytes first;

    assert_int_equal(version.delete_count, 2);
    assert_int_equal(version.unit_count, 12);
    assert_ok(version_encode(kit->customer, &version, &kit->out));
    first = buf_view(&kit->out);
    assert_ok(version_decode(kit->customer, first, &kit->story.arena, &again));
    assert_int_equal(again.unit_count, version.unit_count);
    assert_true(again.stamp_adjusted);
    for (uint16_t i = 0; i < version.unit_count; i++) {
        const struct unit_state *a = &version.units[i], *b = &again.units[i];

        assert_int_equal(a->unit, b->unit);
        assert_int_equal(a->count, b->count);
        assert_int_equal(a->pair_count, b->pair_count);
        for (uint16_t j = 0; j < a->count; j++) {
            const struct candidate *x = &a->candidates[j], *y = &b->candidates[j];

            assert_true(dot_equal(&x->dot, &y->dot));
            assert_true(x->stamp == y->stamp && x->rank == y->rank);
            assert_int_equal(x->values == NULL, y->values == NULL);
            assert_int_equal(x->base == NULL, y->base == NULL);
            for (uint16_t k = 0;
                 x->values != NULL && k < kit->customer->units[a->unit].column_count; k++)
                assert_true(value_equal(&x->values[k], &y->values[k]));
        }
    }
    for (uint16_t i = 0; i < 2; i++)
        assert_true(dot_equal(&version.deletes[i].dot, &again.deletes[i].dot));
}

static void test_pending_ranks_survive(void **state)
{
    struct kit *kit = *state;
    struct candidate pending = {.dot = {1, 2, 8}, .stamp = 200, .rank = RANK_PENDING};
    struct unit_state unit = {
        .unit = story_unit(&kit->story, "customer", "signer")->index,
        .count = 1,
        .candidates = &pending,
    };
    struct version version = simple_version(), again;

    version.units = &unit;
    version.unit_count = 1;
    assert_ok(version_encode(kit->customer, &version, &kit->out));
    assert_ok(version_decode(kit->customer, buf_view(&kit->out), &kit->story.arena, &again));
    assert_true(again.units[0].candidates[0].rank == RANK_PENDING);
}

/* Thousands of pairs take more than the encoder has on its stack. */
static void test_a_large_set_survives(void **state)
{
    enum { PAIRS = 3000 };
    struct kit *kit = *state;
    struct set_pair *pairs = calloc(PAIRS, sizeof(*pairs));
    char(*texts)[8] = calloc(PAIRS, sizeof(*texts));
    struct candidate written = {.dot = {2, 5000, 1}, .stamp = 200};
    struct unit_state unit = {.unit = story_unit(&kit->story, "customer", "tags")->index,
                              .count = 1,
                              .candidates = &written,
                              .pairs = pairs,
                              .pair_count = PAIRS};
    struct version version = simple_version(), again;

    for (unsigned i = 0; i < PAIRS; i++) {
        snprintf(texts[i], sizeof(texts[i]), "e%04u", i);
        pairs[i].element = bytes_of_text(texts[i]);
        pairs[i].dot = i % 3 ? (struct dot){2, 5000 - i, 1} : version.insert;
    }
    version.units = &unit;
    version.unit_count = 1;
    assert_ok(version_encode(kit->customer, &version, &kit->out));
    assert_ok(version_decode(kit->customer, buf_view(&kit->out), &kit->story.arena, &again));
    assert_int_equal(again.units[0].pair_count, PAIRS);
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_true(dot_equal(&again.units[0].pairs[i].dot, &pairs[i].dot));
        assert_true(bytes_equal(again.units[0].pairs[i].element, pairs[i].element));
    }
    free(pairs);
    free(texts);
}

static void test_every_truncated_prefix_is_refused(void **state)
{
    struct kit *kit = *state;
    struct version version = rich_version(kit), again;
    struct version_head head;

    assert_ok(version_encode(kit->customer, &version, &kit->out));
    for (size_t size = 0; size < kit->out.size; size++) {
        /* A copy of exactly that size, so that a sanitizer sees each byte too many. */
        uint8_t *copy = malloc(size + 1);
        struct bytes cut = bytes_of(copy, size);

        assert_non_null(copy);
        memcpy(copy, kit->out.data, size);
        assert_err(version_decode(kit->customer, cut, &kit->story.arena, &again), ERR_MALFORMED);
        (void)version_peek(cut, &head);
        free(copy);
    }
    assert_err(version_peek(bytes_of(NULL, 0), &head), ERR_MALFORMED);
}

static void test_anything_behind_is_refused(void **state)
{
    struct kit *kit = *state;
    struct version version = simple_version(), again;
    struct version_head head;

    assert_ok(version_encode(kit->customer, &version, &kit->out));
    assert_ok(buf_append_byte(&kit->out, 0));
    assert_err(version_decode(kit->customer, buf_view(&kit->out), &kit->story.arena, &again),
               ERR_MALFORMED);
    assert_err(version_peek(buf_view(&kit->out), &head), ERR_MALFORMED);
    buf_reset(&kit->out);
    version = rich_version(kit);
    assert_ok(version_encode(kit->customer, &version, &kit->out));
    assert_ok(buf_append_byte(&kit->out, 0));
    assert_err(version_decode(kit->customer, buf_view(&kit->out), &kit->story.arena, &again),
               ERR_MALFORMED);
}

static void test_peeking_reads_the_head(void **state)
{
    struct kit *kit = *state;
    struct version version = simple_version();
    struct version_head head;

    assert_ok(version_encode(kit->customer, &version, &kit->out));
    assert_ok(version_peek(buf_view(&kit->out), &head));
    assert_true(head.simple && !head.stamp_adjusted && head.revision == 5);
    assert_true(dot_equal(&head.insert, &version.insert));
    assert_true(head.insert_stamp == version.insert_stamp);
    buf_reset(&kit->out);
    version = rich_version(kit);
    assert_ok(version_encode(kit->customer, &version, &kit->out));
    assert_ok(version_peek(buf_view(&kit->out), &head));
    assert_true(!head.simple && head.stamp_adjusted);
    assert_true(head.revision == version.revision);
}

static void assert_refused(struct kit *kit, const uint8_t *bytes, size_t size, enum err expected)
{
    struct version version;

    assert_err(version_decode(kit->customer, bytes_of(bytes, size), &kit->story.arena, &version),
               expected);
}

static void test_what_is_not_canonical_is_refused(void **state)
{
    struct kit *kit = *state;
    uint8_t good[] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0,  0, 7, 0, 0, 0, 0, 0,
                      0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0,  1, 2, 0, 0, 0, 8, /* dots, at 23 */
                      1, 1, 8, 2, 0, 0, 0, 0, 0, 0, 0, 200};                 /* units, at 37 */
    struct {
        size_t at;
        uint8_t byte;
        enum err expected;
    } changes[] = {
        {0, 0, ERR_MALFORMED},   /* units without the flag */
        {0, 3, ERR_MALFORMED},   /* deletes announced */
        {0, 9, ERR_MALFORMED},   /* an unknown flag */
        {8, 0, ERR_MALFORMED},   /* origin 0 */
        {9, 0, ERR_MALFORMED},   /* oseq 0 */
        {23, 0, ERR_MALFORMED},  /* no dots */
        {23, 2, ERR_MALFORMED},  /* one too many */
        {32, 1, ERR_OK},         /* another tag than the insert's: a clone, fine */
        {37, 0, ERR_MALFORMED},  /* no units */
        {38, 18, ERR_MODEL},     /* no such unit */
        {38, 0, ERR_MODEL},      /* nor this */
        {39, 0, ERR_MALFORMED},  /* no candidates */
        {39, 9, ERR_MALFORMED},  /* ranks announced, none there */
        {39, 10, ERR_MALFORMED}, /* values of a single candidate */
        {39, 12, ERR_MALFORMED}, /* pairs of a unit that is no set */
        {40, 0, ERR_MALFORMED},  /* the insert as its only dot: is not listed; ref 1 unused */
        {40, 4, ERR_MALFORMED},  /* no such ref */
        {40, 3, ERR_MALFORMED},  /* a base announced */
    };
    struct version version;

    assert_ok(
        version_decode(kit->customer, bytes_of(good, sizeof(good)), &kit->story.arena, &version));
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        uint8_t saved = good[changes[i].at];

        good[changes[i].at] = changes[i].byte;
        assert_refused(kit, good, sizeof(good), changes[i].expected);
        good[changes[i].at] = saved;
    }
}

/* Whatever is accepted is canonical: it encodes to the same bytes. */
static void test_random_changes_are_refused_or_canonical(void **state)
{
    struct kit *kit = *state;
    struct version version = rich_version(kit), again;
    struct seeded_rng rng;
    struct arena arena;
    struct buf out;
    uint32_t accepted = 0;

    seeded_rng_init(&rng, 42);
    arena_init(&arena, 1 << 20);
    buf_init(&out, 1 << 20);
    assert_ok(version_encode(kit->customer, &version, &kit->out));
    for (unsigned i = 0; i < unit_rounds(60000); i++) {
        uint64_t changes = 1 + seeded_below(&rng, 3);
        size_t size = kit->out.size;
        uint8_t *copy = malloc(size);
        enum err error;

        assert_non_null(copy);
        memcpy(copy, kit->out.data, size);
        for (uint64_t j = 0; j < changes; j++)
            copy[seeded_below(&rng, size)] = (uint8_t)seeded_below(&rng, j % 2 ? 256 : 32);
        error = version_decode(kit->customer, bytes_of(copy, size), &arena, &again);
        if (error == ERR_OK) {
            accepted++;
            buf_reset(&out);
            assert_ok(version_encode(kit->customer, &again, &out));
            assert_true(bytes_equal(buf_view(&out), bytes_of(copy, size)));
        } else {
            assert_true(error == ERR_MALFORMED || error == ERR_MODEL);
        }
        free(copy);
        arena_reset(&arena);
    }
    assert_true(accepted > 1000);
    buf_done(&out);
    arena_done(&arena);
}

static void test_random_bytes_are_survived(void **state)
{
    struct kit *kit = *state;
    struct seeded_rng rng;
    struct arena arena;
    struct version version;
    struct version_head head;

    seeded_rng_init(&rng, 43);
    arena_init(&arena, 1 << 20);
    for (unsigned i = 0; i < unit_rounds(60000); i++) {
        size_t size = (size_t)seeded_below(&rng, 120);
        uint8_t bytes[120];

        for (size_t j = 0; j < size; j++)
            bytes[j] = (uint8_t)seeded_below(&rng, j < 1 ? 8 : j % 3 ? 256 : 4);
        (void)version_decode(kit->customer, bytes_of(bytes, size), &arena, &version);
        (void)version_peek(bytes_of(bytes, size), &head);
        arena_reset(&arena);
    }
    arena_done(&arena);
}

static void test_failures_leave_everything_as_it_was(void **state)
{
    struct kit *kit = *state;
    struct version version = rich_version(kit), again = {.revision = 77};
    struct arena small;
    struct buf tight;
    size_t size;

    assert_ok(version_encode(kit->customer, &version, &kit->out));
    size = kit->out.size;
    for (size_t limit = 0; limit < size; limit += 7) {
        buf_init(&tight, limit);
        assert_err(version_encode(kit->customer, &version, &tight), ERR_TOO_LARGE);
        assert_int_equal(tight.size, 0);
        buf_done(&tight);
    }
    for (size_t limit = 0; limit < 500; limit += 50) {
        arena_init(&small, limit);
        assert_err(version_decode(kit->customer, buf_view(&kit->out), &small, &again), ERR_NOMEM);
        assert_int_equal(again.revision, 77);
        arena_done(&small);
    }
}

static void test_frontiers(void **state)
{
    struct kit *kit = *state;
    struct version version = rich_version(kit);
    struct dot dots[FRONTIER_MAX];
    struct dot_set set;

    set = version_frontier(&version, story_unit(&kit->story, "customer", "price")->index, dots);
    assert_int_equal(set.count, 1);
    assert_true(dot_equal(&set.dots[0], &version.insert));
    set = version_frontier(&version, story_unit(&kit->story, "customer", "name")->index, dots);
    assert_int_equal(set.count, 2);
    assert_int_equal(set.dots[0].origin, 2);
    assert_int_equal(set.dots[1].origin, 3);
    assert_null(version_unit(&version, story_unit(&kit->story, "customer", "price")->index));
    for (uint16_t i = 0; i < version.unit_count; i++)
        assert_ptr_equal(version_unit(&version, version.units[i].unit), &version.units[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bytes_of_a_simple_version),
        TEST(test_the_largest_simple_version_fits),
        TEST(test_bytes_of_a_version_with_a_unit_and_a_delete),
        TEST(test_everything_survives_a_round_trip),
        TEST(test_pending_ranks_survive),
        TEST(test_a_large_set_survives),
        TEST(test_every_truncated_prefix_is_refused),
        TEST(test_anything_behind_is_refused),
        TEST(test_peeking_reads_the_head),
        TEST(test_what_is_not_canonical_is_refused),
        TEST(test_random_changes_are_refused_or_canonical),
        TEST(test_random_bytes_are_survived),
        TEST(test_failures_leave_everything_as_it_was),
        TEST(test_frontiers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
