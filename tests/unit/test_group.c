/* Groups: round trip, strict decoding and encoding. */
#include "tests/lib/unit.h"

#include "protocol/group.h"
#include "protocol/scan.h"
#include "tests/lib/codec.h"

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

/* --- What is right ---------------------------------------------------------------------------- */

static void random_groups_come_back(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;

    seeded_rng_init(&r, 20260102);
    for (unsigned i = 0; i < unit_rounds(2000); i++) {
        struct group group, got, peeked;

        arena_reset(&f->arena);
        group = codec_group(&r, &f->arena, f->model, (uint32_t)seeded_below(&r, 20));
        encode(f, &group);
        assert_ok(scan_check(buf_view(&f->bytes), &scan_limits_default));
        assert_ok(decode(f, buf_view(&f->bytes), &got));
        codec_assert_group(&group, &got);
        assert_ok(group_peek(buf_view(&f->bytes), &peeked));
        assert_true(dot_equal(&peeked.dot, &group.dot) && peeked.stamp == group.stamp);
        assert_true(dot_equal(&peeked.renamed, &group.renamed));
        assert_int_equal(peeked.model_version, group.model_version);
        assert_int_equal(peeked.mutation_count, 0);
        buf_reset(&f->again); /* one content has one encoding */
        assert_ok(group_encode(&got, &f->again));
        assert_true(bytes_equal(buf_view(&f->bytes), buf_view(&f->again)));
    }
}

static void encoding_appends(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    struct group group, got;

    seeded_rng_start(&r, 1);
    group = codec_group(&r, &f->arena, f->model, 3);
    buf_reset(&f->bytes);
    assert_ok(buf_append(&f->bytes, "abc", 3));
    assert_ok(group_encode(&group, &f->bytes));
    assert_memory_equal(f->bytes.data, "abc", 3);
    assert_ok(decode(f, bytes_of(f->bytes.data + 3, f->bytes.size - 3), &got));
    codec_assert_group(&group, &got);
}

static void truncated_groups_are_refused(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;

    seeded_rng_init(&r, 20260103);
    for (unsigned i = 0; i < unit_rounds(60); i++) {
        struct group group, got;

        arena_reset(&f->arena);
        group = codec_group(&r, &f->arena, f->model, 1 + (uint32_t)seeded_below(&r, 4));
        encode(f, &group);
        for (size_t cut = 0; cut < f->bytes.size; cut++) {
            uint8_t *data = malloc(cut + 1);
            enum err err;

            assert_non_null(data);
            memcpy(data, f->bytes.data, cut);
            err = decode(f, bytes_of(data, cut), &got);
            if (err == ERR_OK)
                fail_msg("taken when cut to %zu of %zu bytes", cut, f->bytes.size);
            group_peek(bytes_of(data, cut), &got);
            free(data);
        }
        assert_ok(buf_append_byte(&f->bytes, 0xc0));
        assert_err(decode(f, buf_view(&f->bytes), &got), ERR_MALFORMED);
    }
}

/* Under the sanitizers: whatever is changed, nothing is read that is not there, and what is taken
 * can be encoded again. */
static void changed_bytes_do_no_harm(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    unsigned rounds = unit_rounds(20000), taken = 0;

    seeded_rng_init(&r, 20260104);
    for (unsigned i = 0; i < rounds; i++) {
        struct group group, got;

        arena_reset(&f->arena);
        group = codec_group(&r, &f->arena, f->model, 1 + (uint32_t)seeded_below(&r, 3));
        encode(f, &group);
        for (uint64_t n = 1 + seeded_below(&r, 2); n > 0; n--)
            f->bytes.data[seeded_below(&r, f->bytes.size)] = (uint8_t)seeded_u64(&r);
        group_peek(buf_view(&f->bytes), &got);
        if (decode(f, buf_view(&f->bytes), &got) != ERR_OK)
            continue;
        taken++;
        buf_reset(&f->again);
        assert_ok(group_encode(&got, &f->again));
    }
    print_message("%u of %u were groups still\n", taken, rounds);
}

/* --- What is wrong ---------------------------------------------------------------------------- */

#define ID   "'hex:000102030405060708090a0b0c0d0e0f'"
#define ID2  "'hex:ff0102030405060708090a0b0c0d0e0f'"
#define HEAD "[1,9,1,7,100,3,null,"
#define DOTS "[5,6],[0,2,8,1,1,1]," /* 0: (5,2,8), 1: (6,1,1) */

struct wrong {
    const char *json;
    enum err expected;
};

static const struct wrong wrong_groups[] = {
    /* as they should be */
    {HEAD "[],[],[],[]]", ERR_OK},
    {HEAD "[],[],[[20]],[[1,0," ID "]]]", ERR_OK},
    {HEAD "[],[],[[20,1]],[[1,0," ID ",'x']]]", ERR_OK},
    {HEAD "[],[],[[20,1]],[[1,0," ID ",null]]]", ERR_OK},
    {HEAD DOTS "[[20,1]],[[2,0," ID ",0,1,'x']]]", ERR_OK},
    {HEAD "[5],[0,2,8],[[20,1]],[[2,0," ID ",0,null,'x']]]", ERR_OK},
    {HEAD DOTS "[[20,1]],[[2,0," ID ",0,[0,1],'x']]]", ERR_OK},
    {HEAD DOTS "[[20,6]],[[2,0," ID ",0,1,['a','b'],['a',0,'a',1]]]]", ERR_OK},
    {HEAD DOTS "[[20,7]],[[2,0," ID ",0,1,'new','old']]]", ERR_OK},
    {HEAD DOTS "[[20,30]],[[2,0," ID ",0,1,5,'EUR',4,'USD']]]", ERR_OK},
    {HEAD DOTS "[[20]],[[3,0," ID ",0,1,[0,1],4,1,30,null]]]", ERR_OK},
    {HEAD DOTS "[[20,7]],[[4,0," ID ",0,[0,1],null,'new']]]", ERR_OK},
    {HEAD DOTS "[[20,5]],[[2,0," ID ",0,1,-3]]]", ERR_OK},
    {HEAD "[],[],[[20],[21]],[[1,0," ID "],[1,1," ID "]]]", ERR_OK}, /* other tables, one id */
    {"[1,9,1,7,100,3,[9,1,8],[],[],[],[]]", ERR_OK},
    /* the head */
    {"[]", ERR_MALFORMED},
    {"7", ERR_MALFORMED},
    {"[1]", ERR_MALFORMED},
    {"[2,'whatever']", ERR_VERSION},
    {"[1,9,1,7,100,3,null,[],[],[]]", ERR_MALFORMED},
    {"[1,9,1,7,100,3,null,[],[],[],[],0]", ERR_MALFORMED},
    {"[1,0,1,7,100,3,null,[],[],[],[]]", ERR_MALFORMED}, /* origin 0 */
    {"[1,9,0,7,100,3,null,[],[],[],[]]", ERR_MALFORMED},
    {"[1,-9,1,7,100,3,null,[],[],[],[]]", ERR_MALFORMED},
    {"[1,9,1,4294967296,100,3,null,[],[],[],[]]", ERR_MALFORMED},
    {"[1,9,1,7,100,4294967296,null,[],[],[],[]]", ERR_MALFORMED},
    {"[1,9,1,7,'x',3,null,[],[],[],[]]", ERR_MALFORMED},
    {"[1,9,1,7,100,3,[9,1],[],[],[],[]]", ERR_MALFORMED},
    {"[1,9,1,7,100,3,[9,0,8],[],[],[],[]]", ERR_MALFORMED},
    {"[1,9,1,7,100,3,[9,1,7],[],[],[],[]]", ERR_MALFORMED}, /* its own dot */
    /* the dictionary */
    {HEAD "[0],[0,2,8],[[20,1]],[[2,0," ID ",0,null,'x']]]", ERR_MALFORMED},
    {HEAD "[5],[0,0,8],[[20,1]],[[2,0," ID ",0,null,'x']]]", ERR_MALFORMED},
    {HEAD "[5],[1,2,8],[[20,1]],[[2,0," ID ",0,null,'x']]]", ERR_MALFORMED},
    {HEAD "[5],[0,2],[[20,1]],[[2,0," ID ",0,null,'x']]]", ERR_MALFORMED},
    {HEAD "[9],[0,1,7],[[20,1]],[[2,0," ID ",0,null,'x']]]", ERR_MALFORMED}, /* its own dot */
    {HEAD "[],[0,2,8],[[20,1]],[[2,0," ID ",0,null,'x']]]", ERR_MALFORMED},
    {HEAD "[5,6],[0,2,8],[[20,1]],[[2,0," ID ",0,null,'x']]]", ERR_MALFORMED}, /* origin unused */
    {HEAD "[6,5],[0,2,8,1,1,1],[[20,1]],[[2,0," ID ",0,1,'x']]]", ERR_MALFORMED},
    {HEAD "[5,5],[0,2,8,1,1,1],[[20,1]],[[2,0," ID ",0,1,'x']]]", ERR_MALFORMED},
    {HEAD "[5],[0,2,8,0,2,8],[[20,1]],[[2,0," ID ",0,1,'x']]]", ERR_MALFORMED}, /* twice */
    {HEAD "[5],[0,2,8,0,1,8],[[20,1]],[[2,0," ID ",0,1,'x']]]", ERR_MALFORMED}, /* order */
    {HEAD "[5,6],[1,2,8,0,1,1],[[20,1]],[[2,0," ID ",0,1,'x']]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,1]],[[2,0," ID ",0,null,'x']]]", ERR_MALFORMED}, /* dot unused */
    {HEAD DOTS "[],[]]", ERR_MALFORMED},
    /* shapes */
    {HEAD "[],[],[[20]],[]]", ERR_MALFORMED}, /* unused */
    {HEAD "[],[],[[]],[]]", ERR_MALFORMED},
    {HEAD "[],[],[20],[]]", ERR_MALFORMED},
    {HEAD "[],[],[[99]],[[1,0," ID "]]]", ERR_MODEL},
    {HEAD "[],[],[[4294967296]],[[1,0," ID "]]]", ERR_MALFORMED},
    {HEAD "[],[],[[20,99]],[[1,0," ID ",1]]]", ERR_MODEL},
    {HEAD "[],[],[[20,2]],[[1,0," ID ",1]]]", ERR_MODEL}, /* a column within a group */
    {HEAD "[],[],[[20,4,1]],[[1,0," ID ",'a','b']]]", ERR_MALFORMED},
    {HEAD "[],[],[[20,1,1]],[[1,0," ID ",'a','b']]]", ERR_MALFORMED},
    /* mutations */
    {HEAD "[],[],[[20]],[7]]", ERR_MALFORMED},
    {HEAD "[],[],[[20]],[[1,0]]]", ERR_MALFORMED},
    {HEAD "[],[],[[20]],[[0,0," ID "]]]", ERR_MALFORMED},
    {HEAD "[],[],[[20]],[[5,0," ID "]]]", ERR_MALFORMED},
    {HEAD "[],[],[[20]],[[1,1," ID "]]]", ERR_MALFORMED},
    {HEAD "[],[],[[20]],[[1,0,'hex:00']]]", ERR_MALFORMED},
    {HEAD "[],[],[[20]],[[1,0,'0123456789abcdef']]]", ERR_MALFORMED}, /* text */
    {HEAD "[],[],[[20]],[[1,0," ID ",1]]]", ERR_MALFORMED},
    {HEAD "[],[],[[20,1]],[[1,0," ID "]]]", ERR_MALFORMED},
    {HEAD "[],[],[[20]],[[2,0," ID "]]]", ERR_MALFORMED},
    {HEAD "[],[],[[20]],[[2,0," ID ",0]]]", ERR_MALFORMED}, /* no such dot */
    {HEAD "[5],[0,2,8],[[20]],[[2,0," ID ",null]]]", ERR_MALFORMED},
    {HEAD "[],[],[[20]],[[1,0," ID "],[1,0," ID "]]]", ERR_MALFORMED}, /* repeated */
    {HEAD "[],[],[[20]],[[1,0," ID "],[1,0," ID2 "],[1,0," ID "]]]", ERR_MALFORMED},
    {HEAD "[],[],[[20],[20,1]],[[1,0," ID2 "],[1,1," ID ",'x'],[1,0," ID "]]]", ERR_MALFORMED},
    /* kinds of values */
    {HEAD "[],[],[[20,1]],[[1,0," ID ",1]]]", ERR_MODEL},
    {HEAD "[],[],[[20,1]],[[1,0," ID ",'hex:00']]]", ERR_MODEL},
    {HEAD "[],[],[[20,1]],[[1,0," ID ",true]]]", ERR_MODEL},
    {HEAD "[],[],[[20,1]],[[1,0," ID ",[]]]]", ERR_MODEL},
    {HEAD "[],[],[[20,5]],[[1,0," ID ",1.5]]]", ERR_MODEL},
    {HEAD "[],[],[[20,8]],[[1,0," ID ",'x']]]", ERR_MODEL},
    {HEAD "[],[],[[20,10]],[[1,0," ID ",1]]]", ERR_MODEL}, /* an integer for a real */
    {HEAD "[],[],[[20,30]],[[1,0," ID ",1,2]]]", ERR_MODEL},
    /* seen */
    {HEAD "[5],[0,2,8],[[20,1]],[[2,0," ID ",0,0,'x']]]", ERR_MALFORMED}, /* the insert, not nil */
    {HEAD "[5],[0,2,8],[[20,1]],[[2,0," ID ",0,[],'x']]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,1]],[[2,0," ID ",0,[1],'x']]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,1]],[[2,0," ID ",0,[1,0],'x']]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,1]],[[2,0," ID ",0,[0,0,1],'x']]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,1]],[[2,0," ID ",0,[0,2],'x']]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,1]],[[2,0," ID ",0,'x','x']]]", ERR_MALFORMED},
    /* sets, counters, bases */
    {HEAD DOTS "[[20,6]],[[2,0," ID ",0,1,['b','a'],[]]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,6]],[[2,0," ID ",0,1,['a','a'],[]]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,6]],[[2,0," ID ",0,1,[1],[]]]]", ERR_MODEL},
    {HEAD DOTS "[[20,6]],[[2,0," ID ",0,1,null,[]]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,6]],[[2,0," ID ",0,1,[],['a']]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,6]],[[2,0," ID ",0,1,[],['a',0,'a',0]]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,6]],[[2,0," ID ",0,1,[],['b',0,'a',0]]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,6]],[[2,0," ID ",0,1,[],['a',9]]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,6]],[[2,0," ID ",0,1,[],[0,0]]]]", ERR_MODEL},
    {HEAD DOTS "[[20,5]],[[2,0," ID ",0,1,null]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20,7]],[[2,0," ID ",0,1,'new']]]", ERR_MALFORMED}, /* no base */
    {HEAD DOTS "[[20,7]],[[2,0," ID ",0,1,'new',4]]]", ERR_MODEL},
    {HEAD DOTS "[[20,7]],[[4,0," ID ",0,[1],null,'new','base']]]", ERR_MALFORMED},
    /* deletes and restores */
    {HEAD "[5],[0,2,8],[[20,1]],[[3,0," ID ",0]]]", ERR_MALFORMED}, /* a shape with units */
    {HEAD DOTS "[[20]],[[3,0," ID ",0,1]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20]],[[3,0," ID ",0,4,1,1,1]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20]],[[3,0," ID ",0,1,1,1,1]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20]],[[3,0," ID ",0,2,1]]]", ERR_MODEL},
    {HEAD DOTS "[[20]],[[3,0," ID ",0,'x',1]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20]],[[4,0," ID ",0]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20]],[[4,0," ID ",0,1]]]", ERR_MALFORMED},
    {HEAD DOTS "[[20]],[[4,0," ID ",0,[1,0]]]]", ERR_MALFORMED},
};

static void decoding_is_strict(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(wrong_groups) / sizeof(wrong_groups[0]); i++) {
        const struct wrong *wrong = &wrong_groups[i];
        struct group got;
        enum err err;

        codec_pack(wrong->json, &f->bytes);
        err = decode(f, buf_view(&f->bytes), &got);
        if (err != wrong->expected)
            fail_msg("%s is ERR_%s, not ERR_%s", wrong->json, err_name(err),
                     err_name(wrong->expected));
    }
}

static void float_32_and_large_integers_are_no_values(void **state)
{
    struct fixture *f = *state;
    struct group got;

    codec_pack(HEAD "[],[],[[20,10]],[[1,0," ID ",1.0]]]", &f->bytes);
    assert_ok(decode(f, buf_view(&f->bytes), &got));
    assert_int_equal(f->bytes.data[f->bytes.size - 9], 0xcb);
    f->bytes.data[f->bytes.size - 9] = 0xca;
    f->bytes.size -= 4;
    assert_err(decode(f, buf_view(&f->bytes), &got), ERR_MODEL);
    codec_pack(HEAD "[],[],[[20,5]],[[1,0," ID ",9223372036854775807]]]", &f->bytes);
    assert_ok(decode(f, buf_view(&f->bytes), &got));
    f->bytes.data[f->bytes.size - 8] |= 0x80;
    assert_int_equal(f->bytes.data[f->bytes.size - 9], 0xcf);
    assert_err(decode(f, buf_view(&f->bytes), &got), ERR_MODEL);
}

/* What no decoder takes, no encoder makes. */
static void encoding_refuses(void **state)
{
    struct fixture *f = *state;
    const struct model_table *item = model_table_by_id(f->model, CODEC_ITEM);
    struct value values[2] = {value_text(bytes_of_text("x")), value_null()};
    struct dot dots[2] = {{6, 1, 1}, {5, 2, 8}};
    struct unit_write writes[2] = {{.unit = &item->units[0], .values = values},
                                   {.unit = &item->units[0], .values = values}};
    struct mutation mutation = {.table = item,
                                .op = MUTATION_UPDATE,
                                .insert = {5, 2, 8},
                                .writes = writes,
                                .write_count = 1};
    struct group group = {.dot = {9, 1, 7}, .mutations = &mutation, .mutation_count = 1};
    struct bytes adds[2] = {bytes_of_text("b"), bytes_of_text("a")};

    buf_reset(&f->bytes);
    assert_ok(group_encode(&group, &f->bytes));
    f->bytes.size = 0;
    mutation.insert = group.dot;
    assert_err(group_encode(&group, &f->bytes), ERR_INVALID);
    mutation.insert = (struct dot){0};
    assert_err(group_encode(&group, &f->bytes), ERR_INVALID);
    mutation.insert = dots[1];
    writes[0].seen = (struct dot_set){dots, 2};
    assert_err(group_encode(&group, &f->bytes), ERR_INVALID);
    writes[0].seen = (struct dot_set){dots, 1};
    values[0] = value_int(1);
    assert_err(group_encode(&group, &f->bytes), ERR_INVALID);
    values[0] = value_text(bytes_of_text("x"));
    mutation.write_count = 2;
    assert_err(group_encode(&group, &f->bytes), ERR_INVALID);
    writes[1] = (struct unit_write){.unit = &item->units[3], .adds = adds, .add_count = 2};
    assert_err(group_encode(&group, &f->bytes), ERR_INVALID);
    writes[1] =
        (struct unit_write){.unit = &item->units[4], .values = values}; /* base is missing */
    assert_err(group_encode(&group, &f->bytes), ERR_INVALID);
    writes[1].base = values;
    assert_ok(group_encode(&group, &f->bytes));
    f->bytes.size = 0;
    mutation.op = MUTATION_DELETE;
    assert_err(group_encode(&group, &f->bytes), ERR_INVALID);
    group.dot.oseq = 0;
    assert_err(group_encode(&group, &f->bytes), ERR_INVALID);
    assert_int_equal(f->bytes.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_groups_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(encoding_appends, setup, teardown),
        cmocka_unit_test_setup_teardown(truncated_groups_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(changed_bytes_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(decoding_is_strict, setup, teardown),
        cmocka_unit_test_setup_teardown(float_32_and_large_integers_are_no_values, setup, teardown),
        cmocka_unit_test_setup_teardown(encoding_refuses, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
