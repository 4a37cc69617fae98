/* Ranges: arithmetic, limits, and that two random sets always converge, with bounded messages. */
#include "tests/lib/unit.h"

#include "protocol/ranges.h"
#include "tests/lib/seeded_rng.h"

/* ---- arithmetic ---- */

static void places_depend_on_salt_table_and_id(void **state)
{
    (void)state;
    const struct uuid a = {{1}}, b = {{2}};
    assert_true(range_place(7, 20, &a) == range_place(7, 20, &a));
    assert_true(range_place(7, 20, &a) != range_place(8, 20, &a));
    assert_true(range_place(7, 20, &a) != range_place(7, 21, &a));
    assert_true(range_place(7, 20, &a) != range_place(7, 20, &b));
    /* SPEC.md 9.5.2 */
    assert_true(range_place(1, 20,
                            &(struct uuid){{0x01, 0x8f, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0,
                                            0x01}}) == UINT64_C(0x5d74632196c3a1c4));
}

static void numbers_are_leading_bits(void **state)
{
    (void)state;
    const uint64_t place = UINT64_C(0xf123456789abcdef);
    assert_true(range_number(place, 0) == 0);
    assert_true(range_number(place, 1) == 1);
    assert_true(range_number(place, 12) == 0xf12);
    assert_true(range_number(place, 60) == place >> 4);
}

static void a_place_belongs_to_one_part(void **state)
{
    (void)state;
    const uint64_t numbers[] = {0x1, 0x3, 0xf};
    struct ranges ranges;
    assert_ok(ranges_init(&ranges, 4, 8, numbers, 3));
    assert_ptr_equal(ranges_cell(&ranges, UINT64_C(0x1000000000000000)), &ranges.cells[0]);
    assert_ptr_equal(ranges_cell(&ranges, UINT64_C(0x1fffffffffffffff)), &ranges.cells[255]);
    assert_null(ranges_cell(&ranges, UINT64_C(0x2000000000000000)));
    assert_ptr_equal(ranges_cell(&ranges, UINT64_C(0x3aa0000000000000)), &ranges.cells[256 + 0xaa]);
    assert_ptr_equal(ranges_cell(&ranges, UINT64_MAX), &ranges.cells[3 * 256 - 1]);
    assert_null(ranges_cell(&ranges, 0));
    assert_true(ranges_include(numbers, 3, 4, UINT64_C(0x3aa0000000000000)));
    assert_false(ranges_include(numbers, 3, 4, UINT64_C(0x4aa0000000000000)));
    ranges_done(&ranges);
    ranges_done(&ranges); /* a done one is a zeroed one */
    const uint64_t whole = 0;
    assert_ok(ranges_init(&ranges, 0, 0, &whole, 1));
    assert_ptr_equal(ranges_cell(&ranges, UINT64_MAX), &ranges.cells[0]);
    ranges_done(&ranges);
}

static void what_is_out_of_form_is_refused(void **state)
{
    (void)state;
    uint64_t numbers[RANGES_ASKED_MAX + 1];
    struct ranges r;
    for (uint32_t i = 0; i <= RANGES_ASKED_MAX; i++)
        numbers[i] = i;
    const uint64_t falling[] = {2, 1}, equal[] = {1, 1}, beyond[] = {16}, one = 0;
    assert_err(ranges_init(&r, 4, 0, falling, 2), ERR_PROTOCOL);
    assert_err(ranges_init(&r, 4, 0, equal, 2), ERR_PROTOCOL);
    assert_err(ranges_init(&r, 4, 0, beyond, 1), ERR_PROTOCOL);
    assert_err(ranges_init(&r, 0, 0, numbers, 2), ERR_PROTOCOL);
    assert_err(ranges_init(&r, 4, 0, numbers, 0), ERR_PROTOCOL);
    assert_err(ranges_init(&r, 20, 0, numbers, RANGES_ASKED_MAX + 1), ERR_PROTOCOL);
    assert_err(ranges_init(&r, 20, 2, numbers, RANGES_ASKED_MAX), ERR_PROTOCOL);
    assert_err(ranges_init(&r, 0, RANGES_BITS_MAX + 1, &one, 1), ERR_PROTOCOL);
    assert_err(ranges_init(&r, RANGES_DEPTH_MAX, 1, &one, 1), ERR_PROTOCOL);
    assert_err(ranges_init(&r, RANGES_DEPTH_MAX + 1, 0, &one, 1), ERR_PROTOCOL);
    assert_ok(ranges_init(&r, 20, 1, numbers, RANGES_ASKED_MAX));
    ranges_done(&r);
    assert_ok(ranges_init(&r, 0, RANGES_BITS_MAX, &one, 1));
    ranges_done(&r);
    assert_ok(ranges_init(&r, RANGES_DEPTH_MAX, 0, &one, 1));
    ranges_done(&r);
}

static void a_million_takes_two_rounds(void **state)
{
    (void)state;
    uint32_t bits;
    assert_int_equal(ranges_plan(1, 1000000, 1, &bits), RANGES_NARROW);
    assert_int_equal(bits, 8);
    assert_int_equal(ranges_plan(1, 1000000 / 256, 2, &bits), RANGES_ROWS);
    assert_int_equal(bits, 8);
    assert_int_equal(ranges_plan(1, RANGES_LEAF, 1, &bits), RANGES_ROWS);
    assert_int_equal(bits, 0);
    assert_int_equal(ranges_plan(1, 0, 2, &bits), RANGES_ROWS);
    assert_int_equal(ranges_plan(RANGES_ASKED_MAX, 100, 2, &bits), RANGES_NARROW);
    assert_int_equal(bits, 1);
    assert_int_equal(ranges_plan(RANGES_ASKED_MAX + 1, 100, 2, &bits), RANGES_GIVE_UP);
    assert_int_equal(ranges_plan(RANGES_ASKED_MAX, 100, RANGES_ROUNDS_MAX, &bits), RANGES_ROWS);
    assert_int_equal(ranges_plan(1, 100, RANGES_ROUNDS_MAX + 1, &bits), RANGES_GIVE_UP);
}

/* ---- two sets ---- */

struct item {
    struct uuid id;
    struct digest digest;
};
struct set {
    struct item *items;
    uint32_t count;
};

static struct item random_item(struct seeded_rng *r)
{
    struct item item;
    seeded_fill(r, item.id.byte, 16);
    seeded_fill(r, item.digest.byte, 16);
    return item;
}

static void sum_up(const struct set *set, uint64_t salt, struct ranges *ranges)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct range_cell *cell = ranges_cell(ranges, range_place(salt, 20, &set->items[i].id));
        if (cell)
            range_cell_add(cell, &set->items[i].digest);
    }
}

struct cost {
    uint32_t rounds, sums_most, differences_most, rows;
    bool gave_up;
};

static bool in_leaf(const struct range_count *leaves, uint32_t count, uint32_t depth,
                    uint64_t place)
{
    for (uint32_t i = 0; i < count; i++)
        if (leaves[i].number == range_number(place, depth))
            return true;
    return false;
}

/* What a comparison leaves of `mine`: in the leaves it is as `theirs`. */
static void replace_leaves(struct set *mine, const struct set *theirs, uint64_t salt,
                           const struct range_count *leaves, uint32_t count, uint32_t depth,
                           struct cost *cost)
{
    struct item *items = calloc((size_t)mine->count + theirs->count + 1, sizeof *items);
    uint32_t kept = 0;
    assert_non_null(items);
    for (uint32_t i = 0; i < mine->count; i++)
        if (!in_leaf(leaves, count, depth, range_place(salt, 20, &mine->items[i].id)))
            items[kept++] = mine->items[i];
    for (uint32_t i = 0; i < theirs->count; i++)
        if (in_leaf(leaves, count, depth, range_place(salt, 20, &theirs->items[i].id))) {
            items[kept++] = theirs->items[i];
            cost->rows++;
        }
    free(mine->items);
    *mine = (struct set){items, kept};
}

static struct cost converge(struct set *mine, const struct set *theirs, uint64_t salt)
{
    struct cost cost = {0};
    uint64_t whole = 0, *numbers = &whole;
    uint32_t depth = 0, count = 1, bits = 0;
    uint64_t most = mine->count;
    for (bool narrow = true; narrow;) {
        enum range_step step = ranges_plan(count, most, ++cost.rounds, &bits);
        cost.gave_up = step == RANGES_GIVE_UP;
        if (cost.gave_up)
            break;
        struct ranges here, there;
        struct buf sums;
        buf_init(&sums, 1 << 20);
        assert_ok(ranges_init(&here, depth, bits, numbers, count));
        assert_ok(ranges_init(&there, depth, bits, numbers, count));
        sum_up(mine, salt, &here);
        sum_up(theirs, salt, &there);
        assert_ok(ranges_sums(&here, &sums));
        uint32_t parts = count << bits;
        assert_int_equal(sums.size, parts * RANGES_SUM_SIZE);
        struct range_count *differing = calloc(parts, sizeof *differing);
        assert_non_null(differing);
        uint32_t found = ranges_differing(&there, buf_view(&sums), differing);
        cost.sums_most = parts > cost.sums_most ? parts : cost.sums_most;
        cost.differences_most = found > cost.differences_most ? found : cost.differences_most;
        depth += bits;
        narrow = step == RANGES_NARROW && found > 0;
        if (step == RANGES_ROWS)
            replace_leaves(mine, theirs, salt, differing, found, depth, &cost);
        if (numbers != &whole)
            free(numbers);
        numbers = calloc((size_t)found + 1, sizeof *numbers);
        assert_non_null(numbers);
        most = 0;
        for (uint32_t i = 0; i < found; i++) {
            const struct range_cell *cell =
                ranges_cell(&here, depth ? differing[i].number << (64 - depth) : 0);
            numbers[i] = differing[i].number;
            most = differing[i].count > most ? differing[i].count : most;
            most = cell->count > most ? cell->count : most;
        }
        count = found;
        free(differing);
        ranges_done(&here);
        ranges_done(&there);
        buf_done(&sums);
    }
    if (numbers != &whole)
        free(numbers);
    return cost;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct item));
}

static bool equal_sets(struct set *a, struct set *b)
{
    qsort(a->items, a->count, sizeof *a->items, by_id);
    qsort(b->items, b->count, sizeof *b->items, by_id);
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->items, b->items, a->count * sizeof *a->items) == 0);
}

/* theirs: mine with `changes` records changed, missing or more. */
static void make_sets(struct seeded_rng *r, uint32_t count, uint32_t changes, struct set *mine,
                      struct set *theirs)
{
    mine->items = calloc((size_t)count + 1, sizeof *mine->items);
    theirs->items = calloc((size_t)count + changes + 1, sizeof *theirs->items);
    assert_true(mine->items && theirs->items);
    mine->count = theirs->count = count;
    for (uint32_t i = 0; i < count; i++)
        mine->items[i] = theirs->items[i] = random_item(r);
    for (uint32_t i = 0; i < changes; i++) {
        uint32_t kind = (uint32_t)seeded_below(r, 3);
        uint32_t at = theirs->count ? (uint32_t)seeded_below(r, theirs->count) : 0;
        if (kind == 0 || theirs->count == 0)
            theirs->items[theirs->count++] = random_item(r);
        else if (kind == 1)
            theirs->items[at] = theirs->items[--theirs->count];
        else
            theirs->items[at].digest.byte[seeded_below(r, 8)] ^=
                (uint8_t)(1u << seeded_below(r, 8));
    }
}

static void random_sets_converge(void **state)
{
    (void)state;
    struct seeded_rng r;
    uint32_t given_up = 0, rounds_total = unit_rounds(400);
    seeded_rng_init(&r, 20261124);
    for (uint32_t round = 0; round < rounds_total; round++) {
        struct set mine, theirs;
        uint32_t count = (uint32_t)seeded_below(&r, 1u << seeded_below(&r, 14));
        uint32_t changes = (uint32_t)seeded_below(&r, 1u << seeded_below(&r, 8));
        make_sets(&r, count, changes, &mine, &theirs);
        struct cost cost = converge(&mine, &theirs, seeded_u64(&r));
        assert_true(cost.rounds <= RANGES_ROUNDS_MAX + 1);
        assert_true(cost.sums_most <= RANGES_SUMS_MAX);
        assert_true(cost.differences_most <= RANGES_SUMS_MAX);
        given_up += cost.gave_up;
        if (!cost.gave_up && !equal_sets(&mine, &theirs))
            fail_msg("%u records, %u changes: not equal after %u rounds", count, changes,
                     cost.rounds);
        /* no more rows than the leaves of the differences may have */
        assert_true(cost.rows <= (changes + 1) * 4 * RANGES_LEAF + count / 8);
        free(mine.items);
        free(theirs.items);
    }
    assert_int_equal(given_up, 0); /* so few never differ too much */
}

static void one_of_many_is_cheap(void **state)
{
    (void)state;
    struct seeded_rng r;
    seeded_rng_init(&r, 20261125);
    struct set mine, theirs;
    make_sets(&r, 200000, 1, &mine, &theirs);
    struct cost cost = converge(&mine, &theirs, 99);
    assert_false(cost.gave_up);
    assert_true(equal_sets(&mine, &theirs));
    assert_int_equal(cost.rounds, 2);
    assert_true(cost.sums_most <= 256);
    assert_true(cost.rows <= 4 * RANGES_LEAF);
    free(mine.items);
    free(theirs.items);
}

static void nothing_in_common_is_given_up_or_converges(void **state)
{
    (void)state;
    struct seeded_rng r;
    seeded_rng_init(&r, 20261126);
    struct set mine, theirs, other;
    make_sets(&r, 150000, 0, &mine, &other);
    free(other.items);
    make_sets(&r, 150000, 0, &theirs, &other);
    free(other.items);
    struct cost cost = converge(&mine, &theirs, 5);
    assert_true(cost.gave_up);
    assert_true(cost.rounds <= RANGES_ROUNDS_MAX);
    free(mine.items);
    free(theirs.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_depend_on_salt_table_and_id),
        cmocka_unit_test(numbers_are_leading_bits),
        cmocka_unit_test(a_place_belongs_to_one_part),
        cmocka_unit_test(what_is_out_of_form_is_refused),
        cmocka_unit_test(a_million_takes_two_rounds),
        cmocka_unit_test(random_sets_converge),
        cmocka_unit_test(one_of_many_is_cheap),
        cmocka_unit_test(nothing_in_common_is_given_up_or_converges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
