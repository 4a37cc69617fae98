/* Messages: round trip, truncation, fields of newer peers, every maximum. */
#include "tests/lib/unit.h"

#include "common/text.h"
#include "protocol/message.h"
#include "protocol/pack.h"
#include "protocol/scan.h"
#include "tests/lib/codec.h"
#include "tests/lib/failing_alloc.h"
#include "tests/lib/messages.h"

enum { ARENA_LIMIT = 64 << 20 };

struct fixture {
    struct arena arena, decoded;
    struct buf bytes, again;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    arena_init(&f->arena, ARENA_LIMIT);
    arena_init(&f->decoded, ARENA_LIMIT);
    buf_init(&f->bytes, 64 << 20);
    buf_init(&f->again, 64 << 20);
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
    free(f);
    return 0;
}

static enum err decode(struct fixture *f, enum message_type type, struct bytes payload,
                       struct message *ret)
{
    arena_reset(&f->decoded);
    return message_decode(type, payload, &f->decoded, ret);
}

static void random_messages_come_back(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;

    seeded_rng_init(&r, 20260130);
    for (unsigned i = 0; i < message_type_count * unit_rounds(300); i++) {
        enum message_type type = message_types[i % message_type_count];
        struct message message, got;

        arena_reset(&f->arena);
        message_random(&r, &f->arena, type, 5, &message);
        buf_reset(&f->bytes);
        assert_ok(message_encode(&message, &f->bytes));
        assert_ok(scan_check(buf_view(&f->bytes), &scan_limits_default));
        assert_ok(decode(f, type, buf_view(&f->bytes), &got));
        if (!messages_equal(&message, &got))
            fail_msg("%s did not come back", message_name(type));
    }
}

static void truncated_messages_are_refused(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;

    seeded_rng_init(&r, 20260131);
    for (unsigned i = 0; i < message_type_count * 3; i++) {
        enum message_type type = message_types[i % message_type_count];
        struct message message, got;

        arena_reset(&f->arena);
        message_random(&r, &f->arena, type, 2, &message);
        buf_reset(&f->bytes);
        assert_ok(message_encode(&message, &f->bytes));
        for (size_t cut = 0; cut < f->bytes.size; cut++) {
            uint8_t *data = malloc(cut + 1); /* so that a sanitizer sees a read beyond */

            assert_non_null(data);
            memcpy(data, f->bytes.data, cut);
            assert_err(decode(f, type, bytes_of(data, cut), &got), ERR_MALFORMED);
            free(data);
        }
        assert_ok(buf_append_byte(&f->bytes, 0xc0));
        assert_err(decode(f, type, buf_view(&f->bytes), &got), ERR_MALFORMED);
    }
}

static void changed_bytes_do_no_harm(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;

    seeded_rng_init(&r, 20260132);
    for (unsigned i = 0; i < unit_rounds(20000); i++) {
        enum message_type type = message_types[seeded_below(&r, message_type_count)];
        struct message message, got;

        arena_reset(&f->arena);
        message_random(&r, &f->arena, type, 3, &message);
        buf_reset(&f->bytes);
        assert_ok(message_encode(&message, &f->bytes));
        f->bytes.data[seeded_below(&r, f->bytes.size)] = (uint8_t)seeded_u64(&r);
        if (decode(f, type, buf_view(&f->bytes), &got) == ERR_OK) {
            buf_reset(&f->again); /* what was taken is within the encoder's limits */
            assert_ok(message_encode(&got, &f->again));
        }
    }
}

/* --- Forms ------------------------------------------------------------------------------------ */

struct form {
    enum message_type type;
    enum err expected;
    const char *json;
};

#define ID16   "'hex:000102030405060708090a0b0c0d0e0f'"
#define HASH32 "'hex:000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f'"

static const struct form forms[] = {
    {MESSAGE_PING, ERR_OK, "[7]"},
    {MESSAGE_PING, ERR_OK, "[7,'a newer field',[1,[2]],{'repeat':3,'of':null}]"},
    {MESSAGE_PING, ERR_MALFORMED, "[]"},
    {MESSAGE_PING, ERR_MALFORMED, "7"},
    {MESSAGE_PING, ERR_MALFORMED, "[-1]"},
    {MESSAGE_PING, ERR_MALFORMED, "[1.0]"},
    {MESSAGE_PING, ERR_MALFORMED, "['7']"},
    {MESSAGE_PING, ERR_MALFORMED, "[[7]]"},
    {MESSAGE_PING, ERR_MALFORMED, "[null]"},
    {(enum message_type)0, ERR_PROTOCOL, "[7]"},
    {(enum message_type)99, ERR_PROTOCOL, "[7]"},
    {(enum message_type)255, ERR_PROTOCOL, "[7]"},
    {MESSAGE_HELLO, ERR_OK, "[1,1," ID16 ",'hex:','agent']"},
    {MESSAGE_HELLO, ERR_MALFORMED, "[1,1," ID16 ",'hex:']"},
    {MESSAGE_OFFER, ERR_OK, "[[[" HASH32 ",1]]]"},
    {MESSAGE_OFFER, ERR_MALFORMED, "[[[" ID16 ",1]]]"},
    {MESSAGE_STATES, ERR_MALFORMED, "[[['hex:',1,1]],1,0]"},
    {MESSAGE_HELLO, ERR_MALFORMED, "[1,1,'hex:00','hex:','agent']"},
    {MESSAGE_HELLO, ERR_MALFORMED, "[1,1," ID16 ",'text','agent']"},
    {MESSAGE_HELLO, ERR_MALFORMED, "[1,1," ID16 ",'hex:','hex:00']"},
    {MESSAGE_FAILURE, ERR_OK, "[1,'\\u0431']"},
    {MESSAGE_ACK, ERR_OK, "[1,2,[[3,4],[5,5,'newer']],6]"},
    {MESSAGE_ACK, ERR_MALFORMED, "[1,2,[[3]],6]"},
    {MESSAGE_ACK, ERR_MALFORMED, "[1,2,[3],6]"},
    {MESSAGE_ACK, ERR_MALFORMED, "[1,2,3,6]"},
    {MESSAGE_ACK, ERR_MALFORMED, "[1,2,[[4,3]],6]"},
    {MESSAGE_ACK, ERR_MALFORMED, "[1,2,[[0,3]],6]"},
    {MESSAGE_SUBSCRIBE, ERR_OK, "[1,[[4294967295,5]],2,0]"},
    {MESSAGE_SUBSCRIBE, ERR_MALFORMED, "[1,[[4294967296,5]],2,0]"},
#define WELCOME(buckets, incarnations, marks) \
    "[" ID16 ",1,1," buckets "," incarnations "," marks ",0,0,-5,0,0,1,[]]"
    {MESSAGE_WELCOME, ERR_OK, WELCOME("[]", "[]", "[]")},
    {MESSAGE_WELCOME, ERR_OK,
     WELCOME("[[1,4," ID16 ",7]]", "[[9,[1,2,3,4]]]", "[[5,0,[2,2,4,9]]]")},
    {MESSAGE_WELCOME, ERR_MALFORMED, WELCOME("[[1,0," ID16 ",7]]", "[]", "[]")},
    {MESSAGE_WELCOME, ERR_MALFORMED, WELCOME("[[1,6," ID16 ",7]]", "[]", "[]")},
    {MESSAGE_WELCOME, ERR_MALFORMED, WELCOME("[[1,1,'hex:00',7]]", "[]", "[]")},
    {MESSAGE_WELCOME, ERR_MALFORMED, WELCOME("[]", "[[9,[1]]]", "[]")},
    {MESSAGE_WELCOME, ERR_MALFORMED, WELCOME("[]", "[[9,[[1,2]]]]", "[]")},
    {MESSAGE_WELCOME, ERR_MALFORMED, WELCOME("[]", "[]", "[[5,3,[4,4]]]")}, /* not apart */
    {MESSAGE_WELCOME, ERR_MALFORMED, WELCOME("[]", "[]", "[[5,3,[2,9]]]")},
    {MESSAGE_WELCOME, ERR_MALFORMED, WELCOME("[]", "[]", "[[5,3,[5,6,7,8]]]")},
    {MESSAGE_WELCOME, ERR_MALFORMED, WELCOME("[]", "[]", "[[5,3,[5,6,9,8]]]")},
    {MESSAGE_WELCOME, ERR_OK, WELCOME("[]", "[]", "[[5,3,[5,6,8,8]]]")},
#define CHECKPOINT(heads, results) "[1,1," heads ",[]," results ",0,[]]"
    {MESSAGE_CHECKPOINT, ERR_OK, CHECKPOINT("[[1,2,3," ID16 "]]", "[[1,1,1,0,'']]")},
    {MESSAGE_CHECKPOINT, ERR_MALFORMED, CHECKPOINT("[[1,2,3,'hex:00']]", "[]")},
    {MESSAGE_CHECKPOINT, ERR_MALFORMED, CHECKPOINT("[]", "[[0,1,1,0,'',[]]]")},
    {MESSAGE_CHECKPOINT, ERR_MALFORMED, CHECKPOINT("[]", "[[1,0,1,0,'',[]]]")},
    {MESSAGE_CHECKPOINT, ERR_MALFORMED, CHECKPOINT("[]", "[[1,1,0,0,'',[]]]")},
    {MESSAGE_CHECKPOINT, ERR_MALFORMED, CHECKPOINT("[]", "[[1,1,6,0,'',[]]]")},
    {MESSAGE_CHECKPOINT, ERR_MALFORMED, CHECKPOINT("[]", "[[1,1,1,0,7]]")},
};

static void forms_are_checked(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct message got;
        enum err err;

        codec_pack(forms[i].json, &f->bytes);
        err = decode(f, forms[i].type, buf_view(&f->bytes), &got);
        if (err != forms[i].expected)
            fail_msg("%s %s is ERR_%s, not ERR_%s", message_name(forms[i].type), forms[i].json,
                     err_name(err), err_name(forms[i].expected));
    }
}

static void text_must_be_utf8(void **state)
{
    struct fixture *f = *state;
    struct message got;

    assert_err(decode(f, MESSAGE_FAILURE, BYTES("\x92\x01\xa2\xd0\x91"), &got), ERR_OK);
    assert_err(decode(f, MESSAGE_FAILURE, BYTES("\x92\x01\xa2\xd0\x41"), &got), ERR_MALFORMED);
    assert_err(decode(f, MESSAGE_FAILURE, BYTES("\x92\x01\xa1\xff"), &got), ERR_MALFORMED);
}

static void ranges_at_the_end_of_the_numbers(void **state)
{
    struct fixture *f = *state;
    struct message got;

    /* ACK [1, 2, [[2^64-1, 2^64-1]], 6] */
    assert_ok(decode(f, MESSAGE_ACK,
                     BYTES("\x94\x01\x02\x91\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff"
                           "\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x06"),
                     &got));
    assert_true(got.as.ack.ranges[0].from == UINT64_MAX);
    /* a result of oseq 2^64-1 and count 2 would wrap */
    assert_err(decode(f, MESSAGE_CHECKPOINT,
                      BYTES("\x97\x01\x01\x90\x90\x91\x96\xcf\xff\xff\xff\xff\xff\xff\xff\xff"
                            "\x02\x01\x00\xa0\x90\x00\x90"),
                      &got),
               ERR_MALFORMED);
}

static void names_and_rights_before_authentication(void **state)
{
    (void)state;
    assert_string_equal(message_name(MESSAGE_HELLO), "HELLO");
    assert_string_equal(message_name((enum message_type)77), "UNKNOWN");
    assert_true(message_before_auth(MESSAGE_PROVE));
    assert_true(message_before_auth(MESSAGE_FAILURE));
    assert_false(message_before_auth(MESSAGE_PUSH));
    assert_false(message_before_auth(MESSAGE_PING));
    assert_false(message_before_auth((enum message_type)77));
}

/* --- Maxima --------------------------------------------------------------------------------------
 *
 * Each message is packed here once more, by other code: all fields empty but one, which has exactly
 * `size` bytes or elements. */

static void pack_filled(struct buf *out, bool text, size_t size)
{
    uint8_t *data = calloc(size + 1, 1);

    assert_non_null(data);
    memset(data, 'x', size);
    if (text)
        pack_text(out, bytes_of(data, size));
    else
        pack_binary(out, bytes_of(data, size));
    free(data);
}

static void pack_elements(struct buf *out, const char *json, size_t count)
{
    struct buf one;

    buf_init(&one, 1000);
    codec_pack(json, &one);
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        assert_ok(buf_append(out, one.data, one.size));
    buf_done(&one);
}

#define MINIMAL_bytes           "'hex:'"
#define MINIMAL_oseq_range      "[1,1]"
#define MINIMAL_bucket_name     "[1,1," ID16 ",1]"
#define MINIMAL_bucket_position "[1,1]"
#define MINIMAL_bucket_digest   "[1,1,1," ID16 "]"
#define MINIMAL_incarnation     "[1,[]]"
#define MINIMAL_mark            "[1,1,[]]"
#define MINIMAL_group_result    "[1,1,1,0,'']"
#define MINIMAL_range_name      "1"
#define MINIMAL_range_count     "[1,1]"
#define MINIMAL_origin_floor    "[1,1]"
#define MINIMAL_pending_group   "[1,'hex:']"
#define MINIMAL_blob_offer      "[" HASH32 ",1]"
#define MINIMAL_blob_state      "[" HASH32 ",1,1]"

#define COUNT_1(name)            +1
#define COUNT_2(name, max)       +1
#define COUNT_3(name, kind, max) +1
#define FILL_U(name)             pack_uint(out, 1), at++;
#define FILL_I(name)             pack_int(out, 1), at++;
#define FILL_ID(name)            pack_id(out, &(struct uuid){{0}}), at++;
#define FILL_B(name, max)        pack_filled(out, false, at == chosen ? size : 0), at++;
#define FILL_T(name, max)        pack_filled(out, true, at == chosen ? size : 0), at++;
#define FILL_L(name, kind, max)  pack_elements(out, MINIMAL_##kind, at == chosen ? size : 0), at++;
#define MAX_1(name)              0,
#define MAX_2(name, max)         max,
#define MAX_3(name, kind, max)   max,

#define FILL_FUNCTION(upper, lower, code, pre)                                                    \
    static const size_t maxima_##lower[] = {                                                      \
        MESSAGE_##upper(MAX_1, MAX_1, MAX_1, MAX_2, MAX_2, MAX_3)};                               \
    static void fill_##lower(struct buf *out, unsigned chosen, size_t size)                       \
    {                                                                                             \
        unsigned at = 0;                                                                          \
        (void)chosen;                                                                             \
        (void)size;                                                                               \
        buf_reset(out);                                                                           \
        pack_array(out, 0 MESSAGE_##upper(COUNT_1, COUNT_1, COUNT_1, COUNT_2, COUNT_2, COUNT_3)); \
        MESSAGE_##upper(FILL_U, FILL_I, FILL_ID, FILL_B, FILL_T, FILL_L)                          \
    }
MESSAGE_LIST(FILL_FUNCTION)

struct filler {
    enum message_type type;
    unsigned fields;
    void (*fill)(struct buf *out, unsigned chosen, size_t size);
    const size_t *maxima; /* 0: the field has none */
};

#define FILLER_ROW(upper, lower, code, pre)                                             \
    {MESSAGE_##upper, sizeof(maxima_##lower) / sizeof(maxima_##lower[0]), fill_##lower, \
     maxima_##lower},
static const struct filler fillers[] = {MESSAGE_LIST(FILLER_ROW)};

static void every_maximum_and_one_more(void **state)
{
    struct fixture *f = *state;
    unsigned checked = 0;

    for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++) {
        for (unsigned field = 0; field < fillers[i].fields; field++) {
            size_t max = fillers[i].maxima[field];
            struct message got;

            if (max == 0)
                continue;
            fillers[i].fill(&f->bytes, field, max);
            if (decode(f, fillers[i].type, buf_view(&f->bytes), &got) != ERR_OK)
                fail_msg("%s, field %u: its maximum refused", message_name(fillers[i].type), field);
            fillers[i].fill(&f->bytes, field, max + 1);
            if (decode(f, fillers[i].type, buf_view(&f->bytes), &got) != ERR_MALFORMED)
                fail_msg("%s, field %u: more than its maximum", message_name(fillers[i].type),
                         field);
            checked++;
        }
    }
    print_message("%u maxima\n", checked);
    assert_in_range(checked, 25, 100);
}

/* The maxima inside elements: ranges of a mark, positions of an incarnation, a result's
 * text. */
static void maxima_within_elements(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *before, *repeated, *after;
        unsigned max, per;
        enum message_type type;
    } cases[] = {
        {"[" ID16 ",1,1,[],[[9,[", "1", "]]],[],0,0,0,0,0,0,[]]", 65536, 2, MESSAGE_WELCOME},
    };
    struct message got;
    char json[400];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned more = 0; more < 2; more++) {
            snprintf(json, sizeof(json), "%s{'repeat':%u,'of':%s}%s", cases[i].before,
                     (cases[i].max + more) * cases[i].per, cases[i].repeated, cases[i].after);
            codec_pack(json, &f->bytes);
            assert_err(decode(f, cases[i].type, buf_view(&f->bytes), &got),
                       more == 0 ? ERR_OK : ERR_MALFORMED);
        }
    }
    for (uint32_t count = 10000; count <= 10001; count++) {
        buf_reset(&f->bytes); /* CHECKPOINT with a mark of `count` ranges */
        assert_ok(buf_append(&f->bytes, "\x97\x01\x01\x90\x91\x93\x05\x00", 8));
        pack_array(&f->bytes, 2 * count);
        for (uint32_t k = 1; k <= count; k++) {
            pack_uint(&f->bytes, 2 * (uint64_t)k);
            pack_uint(&f->bytes, 2 * (uint64_t)k);
        }
        assert_ok(buf_append(&f->bytes, "\x90\x00\x90", 3));
        assert_err(decode(f, MESSAGE_CHECKPOINT, buf_view(&f->bytes), &got),
                   count == 10000 ? ERR_OK : ERR_MALFORMED);
    }
    for (size_t size = 500; size <= 501; size++) {
        buf_reset(&f->bytes);
        assert_ok(buf_append(&f->bytes, "\x97\x01\x01\x90\x90\x91\x97\x01\x01\x01\x00", 11));
        pack_filled(&f->bytes, true, size);
        assert_ok(
            buf_append(&f->bytes, "\xc4\x00\x90\x00\x90", 5)); /* no tags, and an unknown field */
        assert_err(decode(f, MESSAGE_CHECKPOINT, buf_view(&f->bytes), &got),
                   size == 500 ? ERR_OK : ERR_MALFORMED);
    }
}

/* A result has the tag of each of its groups, or none. */
static void a_result_tells_all_tags_or_none(void **state)
{
    struct fixture *f = *state;
    struct message got;

    buf_reset(&f->bytes);
    codec_pack("[1,1,[],[],[[7,2,1,0,'','hex:0000000100000002']],0,[]]", &f->bytes);
    assert_ok(decode(f, MESSAGE_CHECKPOINT, buf_view(&f->bytes), &got));
    assert_int_equal(got.as.checkpoint.results[0].tags.size, 8);
    buf_reset(&f->bytes);
    codec_pack("[1,1,[],[],[[7,2,1,0,'']],0,[]]", &f->bytes);
    assert_ok(decode(f, MESSAGE_CHECKPOINT, buf_view(&f->bytes), &got));
    assert_int_equal(got.as.checkpoint.results[0].tags.size, 0);
    buf_reset(&f->bytes);
    codec_pack("[1,1,[],[],[[7,2,1,0,'','hex:00000001']],0,[]]", &f->bytes);
    assert_err(decode(f, MESSAGE_CHECKPOINT, buf_view(&f->bytes), &got), ERR_MALFORMED);
    buf_reset(&f->bytes);
    codec_pack("[1,1,[],[],[[7,2,1,0]],0,[]]", &f->bytes);
    assert_err(decode(f, MESSAGE_CHECKPOINT, buf_view(&f->bytes), &got), ERR_MALFORMED);
}

static enum err encode(struct fixture *f, const struct message *message)
{
    enum err err;

    buf_reset(&f->bytes);
    err = message_encode(message, &f->bytes);
    if (err != ERR_OK)
        assert_int_equal(f->bytes.size, 0);
    return err;
}

static void encoding_at_the_maxima(void **state)
{
    struct fixture *f = *state;
    struct oseq_range *ranges = arena_calloc(&f->arena, 10001, sizeof(*ranges));
    struct bytes text = bytes_of(memset(arena_alloc(&f->arena, 501), 'x', 501), 500);
    const uint8_t *tags =
        arena_calloc(&f->arena, RESULT_TAGS_MAX + 1, RESULT_TAG_SIZE); /* one more than fit */
    struct mark mark = {.origin = 5, .ranges = ranges, .range_count = 10000};
    struct group_result result = {.oseq = 1, .count = 1, .code = 1, .detail = text};
    struct message m = {.type = MESSAGE_ACK,
                        .as.ack = {.origin = 5, .ranges = ranges, .ranges_count = 10000}};

    assert_non_null(ranges);
    assert_ok(encode(f, &m));
    m.as.ack.ranges_count++;
    assert_err(encode(f, &m), ERR_TOO_LARGE);
    m.type = MESSAGE_CHECKPOINT;
    m.as.checkpoint = (struct message_checkpoint){
        .marks = &mark, .marks_count = 1, .results = &result, .results_count = 1};
    assert_ok(encode(f, &m));
    mark.range_count++;
    assert_err(encode(f, &m), ERR_TOO_LARGE);
    mark.range_count--;
    result.detail.size++;
    assert_err(encode(f, &m), ERR_TOO_LARGE);
    result.detail.size = 0;
    result.tags = bytes_of(tags, RESULT_TAGS_MAX * RESULT_TAG_SIZE);
    assert_ok(encode(f, &m));
    result.tags.size += RESULT_TAG_SIZE;
    assert_err(encode(f, &m), ERR_TOO_LARGE);
    m = (struct message){.type = MESSAGE_FAILURE, .as.failure = {.text = text}};
    assert_ok(encode(f, &m));
    m.as.failure.text.size++;
    assert_err(encode(f, &m), ERR_TOO_LARGE);
    m.as.failure.text = BYTES("\xff");
    assert_err(encode(f, &m), ERR_INVALID);
    m = (struct message){.type = MESSAGE_PUSH, .as.push = {.signature = bytes_of(text.data, 64)}};
    assert_ok(encode(f, &m));
    m.as.push.signature.size++;
    assert_err(encode(f, &m), ERR_TOO_LARGE);
}

/* --- Memory ----------------------------------------------------------------------------------- */

static void encoding_that_does_not_fit(void **state)
{
    struct message message = {.type = MESSAGE_PING, .as.ping.token = UINT64_MAX};
    struct buf small;

    (void)state;
    buf_init(&small, 12);
    assert_ok(buf_append(&small, "abc", 3));
    assert_err(message_encode(&message, &small), ERR_TOO_LARGE);
    assert_int_equal(small.size, 3);
    buf_done(&small);
}

static enum err run_decode(void *context)
{
    struct fixture *f = context;
    struct message got;
    struct arena arena;
    enum err err;

    arena_init(&arena, ARENA_LIMIT);
    err = message_decode(MESSAGE_CHECKPOINT, buf_view(&f->bytes), &arena, &got);
    arena_done(&arena);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    struct message message;

    if (!failing_alloc_works())
        skip();
    seeded_rng_start(&r, 4);
    message_random(&r, &f->arena, MESSAGE_CHECKPOINT, 200, &message);
    assert_ok(message_encode(&message, &f->bytes));
    assert_in_range(failing_alloc_each(run_decode, f, ERR_NOMEM), 2, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_messages_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(truncated_messages_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(changed_bytes_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(forms_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(text_must_be_utf8, setup, teardown),
        cmocka_unit_test_setup_teardown(ranges_at_the_end_of_the_numbers, setup, teardown),
        cmocka_unit_test(names_and_rights_before_authentication),
        cmocka_unit_test_setup_teardown(every_maximum_and_one_more, setup, teardown),
        cmocka_unit_test_setup_teardown(maxima_within_elements, setup, teardown),
        cmocka_unit_test_setup_teardown(a_result_tells_all_tags_or_none, setup, teardown),
        cmocka_unit_test_setup_teardown(encoding_at_the_maxima, setup, teardown),
        cmocka_unit_test(encoding_that_does_not_fit),
        cmocka_unit_test_setup_teardown(each_allocation_may_fail, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
