/* The scan: each MessagePack type at its limits, what is refused, and that nothing is allocated. */
#include "tests/lib/unit.h"

#include "common/text.h"
#include "protocol/frame.h"
#include "protocol/scan.h"
#include "tests/lib/codec.h"
#include "tests/lib/failing_alloc.h"

#include <jansson.h>
#include <msgpack.h>

static enum err scan(const void *data, size_t size)
{
    return scan_check(bytes_of(data, size), &scan_limits_default);
}

/* A header and as many zero bytes as its payload has. */
struct form {
    const char *name;
    const char *header;
    size_t header_size, payload;
};

#define FORM(name, header, payload)               \
    {                                             \
        name, header, sizeof(header) - 1, payload \
    }

static const struct form forms[] = {
    FORM("fixint 0", "\x00", 0),
    FORM("fixint 127", "\x7f", 0),
    FORM("fixmap 0", "\x80", 0),
    FORM("fixmap 1", "\x81", 2),
    FORM("fixmap 15", "\x8f", 30),
    FORM("fixarray 0", "\x90", 0),
    FORM("fixarray 1", "\x91", 1),
    FORM("fixarray 15", "\x9f", 15),
    FORM("fixstr 0", "\xa0", 0),
    FORM("fixstr 1", "\xa1", 1),
    FORM("fixstr 31", "\xbf", 31),
    FORM("nil", "\xc0", 0),
    FORM("false", "\xc2", 0),
    FORM("true", "\xc3", 0),
    FORM("bin 8 of 0", "\xc4\x00", 0),
    FORM("bin 8 of 255", "\xc4\xff", 255),
    FORM("bin 16 of 0", "\xc5\x00\x00", 0),
    FORM("bin 16 of 65535", "\xc5\xff\xff", 65535),
    FORM("bin 32 of 0", "\xc6\x00\x00\x00\x00", 0),
    FORM("bin 32 of 65536", "\xc6\x00\x01\x00\x00", 65536),
    FORM("ext 8 of 0", "\xc7\x00\x01", 0),
    FORM("ext 8 of 255", "\xc7\xff\x01", 255),
    FORM("ext 16 of 0", "\xc8\x00\x00\x01", 0),
    FORM("ext 16 of 65535", "\xc8\xff\xff\x01", 65535),
    FORM("ext 32 of 0", "\xc9\x00\x00\x00\x00\x01", 0),
    FORM("ext 32 of 65536", "\xc9\x00\x01\x00\x00\x01", 65536),
    FORM("float 32", "\xca", 4),
    FORM("float 64", "\xcb", 8),
    FORM("uint 8", "\xcc", 1),
    FORM("uint 16", "\xcd", 2),
    FORM("uint 32", "\xce", 4),
    FORM("uint 64", "\xcf", 8),
    FORM("int 8", "\xd0", 1),
    FORM("int 16", "\xd1", 2),
    FORM("int 32", "\xd2", 4),
    FORM("int 64", "\xd3", 8),
    FORM("fixext 1", "\xd4\x01", 1),
    FORM("fixext 2", "\xd5\x01", 2),
    FORM("fixext 4", "\xd6\x01", 4),
    FORM("fixext 8", "\xd7\x01", 8),
    FORM("fixext 16", "\xd8\x01", 16),
    FORM("str 8 of 0", "\xd9\x00", 0),
    FORM("str 8 of 255", "\xd9\xff", 255),
    FORM("str 16 of 0", "\xda\x00\x00", 0),
    FORM("str 16 of 65535", "\xda\xff\xff", 65535),
    FORM("str 32 of 0", "\xdb\x00\x00\x00\x00", 0),
    FORM("str 32 of 65536", "\xdb\x00\x01\x00\x00", 65536),
    FORM("array 16 of 0", "\xdc\x00\x00", 0),
    FORM("array 16 of 65535", "\xdc\xff\xff", 65535),
    FORM("array 32 of 0", "\xdd\x00\x00\x00\x00", 0),
    FORM("array 32 of 65536", "\xdd\x00\x01\x00\x00", 65536),
    FORM("map 16 of 0", "\xde\x00\x00", 0),
    FORM("map 16 of 65535", "\xde\xff\xff", 131070),
    FORM("map 32 of 0", "\xdf\x00\x00\x00\x00", 0),
    FORM("map 32 of 65536", "\xdf\x00\x01\x00\x00", 131072),
    FORM("negative fixint -1", "\xff", 0),
    FORM("negative fixint -32", "\xe0", 0),
};

/* Cuts: all of them for what is short, some thousands of what is long. */
static void every_type_at_its_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const struct form *form = &forms[i];
        size_t size = form->header_size + form->payload;
        size_t stride = 1 + size / 4096;
        uint8_t *data = calloc(size + 1, 1);

        assert_non_null(data);
        memcpy(data, form->header, form->header_size);
        if (scan(data, size) != ERR_OK)
            fail_msg("%s: refused", form->name);
        if (scan(data, size + 1) != ERR_MALFORMED)
            fail_msg("%s: a byte after it was taken", form->name);
        for (size_t cut = 0; cut < size; cut += cut < 16 ? 1 : stride) {
            /* a copy of its own, so that a sanitizer sees a read beyond */
            uint8_t *cut_data = malloc(cut == 0 ? 1 : cut);

            assert_non_null(cut_data);
            memcpy(cut_data, data, cut);
            if (scan(cut_data, cut) != ERR_MALFORMED)
                fail_msg("%s: taken when cut to %zu bytes", form->name, cut);
            free(cut_data);
        }
        free(data);
    }
}

static void the_unused_byte_is_refused(void **state)
{
    (void)state;
    assert_err(scan("\xc1", 1), ERR_MALFORMED);
    assert_err(scan("\x92\x01\xc1", 3), ERR_MALFORMED);
    assert_err(scan("", 0), ERR_MALFORMED);
    assert_err(scan_check(bytes_of(NULL, 0), &scan_limits_default), ERR_MALFORMED);
}

static void first_object_leaves_the_rest(void **state)
{
    size_t size = 0;

    (void)state;
    assert_ok(scan_first(bytes_of("\x92\x01\xa1x\xc1", 5), &scan_limits_default, &size));
    assert_int_equal(size, 4);
}

static void limits_at_max_and_beyond(void **state)
{
    struct scan_limits limits = {
        .max_depth = 2, .max_string_bytes = 3, .max_binary_bytes = 4, .max_objects = 5};
    struct {
        const char *data;
        size_t size;
        enum err expected;
    } cases[] = {
        {"\xa3xyz", 4, ERR_OK},
        {"\xa4wxyz", 5, ERR_TOO_LARGE},
        {"\xc4\x04wxyz", 6, ERR_OK},
        {"\xc4\x05vwxyz", 7, ERR_TOO_LARGE},
        {"\xd6\x01wxyz", 6, ERR_OK},
        {"\xc7\x05\x01vwxyz", 8, ERR_TOO_LARGE},
        {"\x91\x91\x01", 3, ERR_OK},
        {"\x91\x91\x91\x01", 4, ERR_TOO_LARGE},
        {"\x91\x91\x90", 3, ERR_TOO_LARGE},
        {"\x94\x01\x02\x03\x04", 5, ERR_OK},
        {"\x95\x01\x02\x03\x04\x05", 6, ERR_TOO_LARGE},
        {"\x82\x01\x02\x03\x04", 5, ERR_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_err(scan_check(bytes_of(cases[i].data, cases[i].size), &limits), cases[i].expected);
}

static void default_limits(void **state)
{
    size_t size = (8 << 20) + 8;
    uint8_t *data = calloc(size, 1);
    uint8_t depth[20];

    (void)state;
    assert_non_null(data);
    memset(depth, 0x91, sizeof(depth));
    depth[16] = 0x00;
    assert_err(scan(depth, 17), ERR_OK); /* 16 containers */
    depth[16] = 0x91;
    depth[17] = 0x00;
    assert_err(scan(depth, 18), ERR_TOO_LARGE);

    memcpy(data, "\xdb\x00\x01\x00\x01", 5);
    assert_err(scan(data, 5 + 65537), ERR_TOO_LARGE);
    memcpy(data, "\xc6\x00\x80\x00\x00", 5);
    assert_err(scan(data, 5 + FRAME_INFLATED_MAX), ERR_OK);
    data[4] = 1;
    assert_err(scan(data, 6 + FRAME_INFLATED_MAX), ERR_TOO_LARGE);
    memset(data, 0, size);
    memcpy(data, "\xdd\x00\x3d\x08\xff", 5); /* 3,999,999, and the array itself */
    assert_err(scan(data, 5 + 3999999), ERR_OK);
    data[3] = 0x09;
    data[4] = 0x00;
    assert_err(scan(data, 5 + 4000000), ERR_TOO_LARGE);
    free(data);
}

/* --- Bombs ------------------------------------------------------------------------------------ */

static void refused_without_memory(const char *name, const uint8_t *data, size_t size)
{
    enum err err;

    failing_alloc_start_forever(1);
    err = scan(data, size);
    if (failing_alloc_stop())
        fail_msg("%s: the scan allocated", name);
    if (err == ERR_OK)
        fail_msg("%s: taken", name);
}

static void headers_that_claim_4_gib(void **state)
{
    static const uint8_t firsts[] = {0xdd, 0xdf, 0xc6, 0xdb, 0xc9};
    uint8_t data[64];

    (void)state;
    for (size_t i = 0; i < sizeof(firsts); i++) {
        for (size_t size = 5; size <= sizeof(data); size++) {
            memset(data, 0xff, sizeof(data));
            data[0] = firsts[i];
            refused_without_memory("a header of 5 bytes", data, size);
            memset(data, 0, sizeof(data)); /* the same inside an array */
            data[0] = 0x92;
            data[1] = firsts[i];
            memset(data + 2, 0xff, 4);
            refused_without_memory("a header of 5 bytes within", data, size);
        }
    }
}

static void a_million_deep(void **state)
{
    static const uint8_t firsts[] = {0x91, 0x81, 0xdc};
    size_t size = 3000000;
    uint8_t *data = malloc(size);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < sizeof(firsts); i++) {
        size_t step = firsts[i] == 0xdc ? 3 : 1;

        for (size_t at = 0; at < size; at += step) {
            data[at] = firsts[i];
            if (step == 3)
                memcpy(data + at + 1, "\x00\x01", 2);
        }
        refused_without_memory("a million levels", data, size);
    }
    free(data);
}

/* Each level claims all that is left: a decoder that believed them would multiply them. */
static void nested_claims(void **state)
{
    uint8_t data[1024];

    (void)state;
    memset(data, 0xc0, sizeof(data));
    for (size_t at = 0; at + 3 < 45; at += 3) {
        data[at] = 0xdc;
        be16_put(data + at + 1, (uint16_t)(sizeof(data) - at - 3));
    }
    refused_without_memory("nested claims", data, sizeof(data));
}

static void bomb(const char *name, struct bytes data)
{
    refused_without_memory(name, data.data, data.size);
}

static void corpus_of_bombs(void **state)
{
    (void)state;
    assert_in_range(codec_bombs("scan-", bomb), 8, 1000);
}

/* --- Others' data ----------------------------------------------------------------------------- */

static size_t parse_suite_hex(const char *text, uint8_t *out, size_t size)
{
    size_t count = 0;

    while (text[0] != '\0') {
        assert_in_range(count, 0, size - 1);
        assert_true(strlen(text) >= 2);
        assert_ok(text_parse_hex(bytes_of(text, 2), &out[count++], 1));
        text += text[2] == '-' ? 3 : 2;
    }
    return count;
}

static void check_encoding(const char *file_name, const char *text)
{
    uint8_t data[4096] = {0};
    size_t size = parse_suite_hex(text, data, sizeof(data));

    if (scan(data, size) != ERR_OK)
        fail_msg("%s: %s refused", file_name, text);
    for (size_t cut = 0; cut < size; cut++) {
        if (scan(data, cut) != ERR_MALFORMED)
            fail_msg("%s: %s taken when cut", file_name, text);
    }
}

/* npm's msgpack-test-suite: {file: [{..., "msgpack": ["c4-01-01", ...]}, ...], ...}. */
static void the_public_test_suite(void **state)
{
    const char *file_name, *path = "node_modules/msgpack-test-suite/dist/msgpack-test-suite.json";
    json_t *root, *file, *item, *form;
    struct buf text;
    size_t i, k, count = 0;

    (void)state;
    buf_init(&text, 4 << 20);
    if (!codec_file(path, &text)) {
        print_message("skipped: there is no %s (run ./dev setup)\n", path);
        skip();
    }
    root = json_loadb((const char *)text.data, text.size, 0, NULL);
    assert_non_null(root);
    json_object_foreach(root, file_name, file)
    {
        json_array_foreach(file, i, item)
        {
            json_array_foreach(json_object_get(item, "msgpack"), k, form)
            {
                check_encoding(file_name, json_string_value(form));
                count++;
            }
        }
    }
    json_decref(root);
    buf_done(&text);
    print_message("%zu encodings of the suite\n", count);
    assert_in_range(count, 200, 10000);
}

static bool msgpack_c_takes(const uint8_t *data, size_t size)
{
    msgpack_unpacked unpacked;
    size_t at = 0;
    int result;

    msgpack_unpacked_init(&unpacked);
    result = msgpack_unpack_next(&unpacked, (const char *)data, size, &at);
    msgpack_unpacked_destroy(&unpacked);
    return result == MSGPACK_UNPACK_SUCCESS && at == size;
}

/* What the scan takes, msgpack-c reads to the end, and the other way round. */
static void agrees_with_msgpack_c(void **state)
{
    struct seeded_rng r;
    unsigned rounds = unit_rounds(200000), taken = 0;

    (void)state;
    seeded_rng_init(&r, 20260101);
    for (unsigned i = 0; i < rounds; i++) {
        uint8_t data[24];
        size_t size = 1 + (size_t)seeded_below(&r, sizeof(data));
        bool ours, theirs;

        seeded_fill(&r, data, size);
        if (seeded_below(&r, 2) == 0)
            data[0] = (uint8_t)(0x90 | seeded_below(&r, 8));
        for (size_t k = 0; k < size; k++) { /* small counts, or hardly any would be whole */
            if (k > 0 && data[k - 1] >= 0xc4)
                data[k] &= 0x03;
            if (data[k] == 0xdd || data[k] == 0xdf)
                data[k] = 0xdc;
        }
        ours = scan(data, size) == ERR_OK;
        theirs = msgpack_c_takes(data, size);
        if (ours != theirs) {
            for (size_t k = 0; k < size; k++)
                print_error("%02x ", data[k]);
            fail_msg("ours %d, msgpack-c %d", ours, theirs);
        }
        taken += ours;
    }
    print_message("%u of %u taken\n", taken, rounds);
    assert_in_range(taken, rounds / 100, rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_at_its_limits),
        cmocka_unit_test(the_unused_byte_is_refused),
        cmocka_unit_test(first_object_leaves_the_rest),
        cmocka_unit_test(limits_at_max_and_beyond),
        cmocka_unit_test(default_limits),
        cmocka_unit_test(headers_that_claim_4_gib),
        cmocka_unit_test(a_million_deep),
        cmocka_unit_test(nested_claims),
        cmocka_unit_test(corpus_of_bombs),
        cmocka_unit_test(the_public_test_suite),
        cmocka_unit_test(agrees_with_msgpack_c),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
