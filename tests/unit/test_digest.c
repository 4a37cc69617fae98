/* Digests: sums that do not depend on the order, and what a record's digest depends on. */
#include "tests/lib/unit.h"

#include "protocol/digest.h"
#include "tests/lib/codec.h"

struct fixture {
    struct model *model;
    const struct model_table *item;
    struct crypto *crypto;
    struct arena arena;
    struct buf scratch;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->model = codec_model();
    f->item = model_table_by_id(f->model, CODEC_ITEM);
    assert_ok(crypto_new(&f->crypto));
    arena_init(&f->arena, 16 << 20);
    buf_init(&f->scratch, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_done(&f->scratch);
    arena_done(&f->arena);
    crypto_free(f->crypto);
    model_free(f->model);
    free(f);
    return 0;
}

static struct digest digest(struct fixture *f, const struct model_table *table,
                            const struct uuid *id, const struct store_row *row)
{
    struct digest result;

    memset(&result, 0xee, sizeof(result));
    assert_ok(digest_row(f->crypto, table, id, row, &f->scratch, &result));
    return result;
}

static bool same(const struct digest *a, const struct digest *b)
{
    return memcmp(a->byte, b->byte, sizeof(a->byte)) == 0;
}

static struct value *random_row(struct fixture *f, struct seeded_rng *r)
{
    struct value *values = arena_calloc(&f->arena, f->item->column_count, sizeof(*values));

    assert_non_null(values);
    for (uint16_t i = 0; i < f->item->column_count; i++)
        values[i] = codec_value(r, &f->arena, &f->item->columns[i]);
    return values;
}

/* Stores keep 0.0 of it: what was hashed at a decision is what a reader hashes. */
static void minus_zero_is_zero(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    struct uuid id = {{1}};
    const struct model_column *weight = model_column_by_name(f->item, bytes_of_text("weight"));
    struct store_row row = {.version = bytes_of("", 1)};
    struct digest zero, minus;

    seeded_rng_start(&r, 5);
    row.values = random_row(f, &r);
    row.values[weight->index] = value_real(0.0);
    zero = digest(f, f->item, &id, &row);
    row.values[weight->index] = value_real(-0.0);
    minus = digest(f, f->item, &id, &row);
    assert_true(same(&zero, &minus));
}

/* Written out by hand: the canonical form and the first half of its hash. */
static void the_canonical_form(void **state)
{
    struct fixture *f = *state;
    struct value values[13];
    struct store_row row = {.values = values, .version = bytes_of("\x01\x02", 2)};
    struct uuid id = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
    uint8_t hash[CRYPTO_SHA256_SIZE];
    struct digest got;
    struct buf form;

    memset(values, 0, sizeof(values));
    values[0] = value_text(bytes_of_text("x"));
    values[4] = value_int(-3);
    values[9] = value_real(0.5);
    buf_init(&form, 1000);
    codec_pack("[20,'hex:000102030405060708090a0b0c0d0e0f',false,'hex:0102',1,'x',5,-3,10,0.5]",
               &form);
    assert_ok(crypto_sha256(f->crypto, buf_view(&form), hash));
    got = digest(f, f->item, &id, &row);
    assert_memory_equal(got.byte, hash, sizeof(got.byte));
    buf_done(&form);
}

static void everything_counts(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;

    seeded_rng_init(&r, 20260120);
    for (unsigned round = 0; round < 50; round++) {
        struct store_row row = {.values = random_row(f, &r),
                                .version = codec_bytes(&r, &f->arena, 20),
                                .bucket = 3,
                                .position = 9};
        struct store_row other = row;
        struct uuid id = codec_id(&r), other_id = id;
        struct digest before = digest(f, f->item, &id, &row), after;

        other.bucket = 4; /* where it lies does not */
        other.position = 10;
        after = digest(f, f->item, &id, &other);
        assert_true(same(&before, &after));
        other.dead = true;
        after = digest(f, f->item, &id, &other);
        assert_false(same(&before, &after));
        other = row;
        other.version.size--;
        after = digest(f, f->item, &id, &other);
        assert_false(same(&before, &after));
        other_id.byte[15] ^= 1;
        after = digest(f, f->item, &other_id, &row);
        assert_false(same(&before, &after));
        for (uint16_t i = 0; i < f->item->column_count; i++) {
            struct value kept = row.values[i];

            row.values[i] = kept.kind == VALUE_NULL ? value_int(0) : value_null();
            after = digest(f, f->item, &id, &row);
            assert_false(same(&before, &after));
            row.values[i] = kept;
        }
    }
}

/* An older model has the same digest of a row that has the new columns at their defaults; another value,
 * NULL too, changes it. */
static void a_column_at_its_default_does_not_count(void **state)
{
    static const char text[] = "{\"name\":\"m\",\"version\":1,\"tables\":[{\"id\":20,\"name\":"
                               "\"t\",\"bucket\":\"company\","
                               "\"columns\":[{\"id\":1,\"name\":\"a\",\"type\":\"text\"}%s]}]}";
    static const char more[] = ",{\"id\":2,\"name\":\"b\",\"type\":\"text\",\"default\":\"none\"},"
                               "{\"id\":3,\"name\":\"c\",\"type\":\"integer\"}";
    struct fixture *f = *state;
    struct model *models[2];
    struct digest digests[2], other;
    struct value values[3] = {value_text(BYTES("x")), value_text(BYTES("none")), value_null()};
    struct store_row row = {.values = values, .version = BYTES("v")};
    struct uuid id = {{1}};
    for (int i = 0; i < 2; i++) {
        char json[500];
        (void)snprintf(json, sizeof json, text, i == 0 ? "" : more);
        assert_ok(model_parse(bytes_of_text(json), &models[i], NULL));
        digests[i] = digest(f, model_table_by_id(models[i], 20), &id, &row);
    }
    assert_true(same(&digests[0], &digests[1]));
    values[1] = value_null();
    other = digest(f, model_table_by_id(models[1], 20), &id, &row);
    assert_false(same(&digests[1], &other));
    values[1] = value_text(BYTES("none"));
    values[2] = value_int(0);
    other = digest(f, model_table_by_id(models[1], 20), &id, &row);
    assert_false(same(&digests[1], &other));
    model_free(models[0]);
    model_free(models[1]);
}

static void sums_do_not_depend_on_the_order(void **state)
{
    struct digest items[100], forward = {{0}}, backward = {{0}}, zero = {{0}};
    struct seeded_rng r;

    (void)state;
    seeded_rng_init(&r, 20260121);
    for (unsigned i = 0; i < 100; i++) {
        seeded_fill(&r, items[i].byte, sizeof(items[i].byte));
        digest_add(&forward, &items[i]);
    }
    for (unsigned i = 100; i-- > 0;)
        digest_add(&backward, &items[i]);
    assert_true(same(&forward, &backward));
    for (unsigned i = 0; i < 100; i++)
        digest_subtract(&forward, &items[(i * 37) % 100]);
    assert_true(same(&forward, &zero));
}

static void sums_carry_and_wrap(void **state)
{
    struct digest all, one = {{1}}, zero = {{0}};

    (void)state;
    memset(&all, 0xff, sizeof(all));
    digest_add(&all, &one);
    assert_true(same(&all, &zero));
    digest_subtract(&all, &one);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(all.byte[i], 0xff);
    digest_add(&all, &all);
    assert_int_equal(all.byte[0], 0xfe);
    assert_int_equal(all.byte[15], 0xff);
    memset(&all, 0, sizeof(all)); /* little-endian: the carry goes to the next byte */
    all.byte[0] = 0xff;
    digest_add(&all, &one);
    assert_int_equal(all.byte[0], 0);
    assert_int_equal(all.byte[1], 1);
}

static void a_form_that_does_not_fit(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    struct store_row row;
    struct uuid id = {{0}};
    struct digest result = {{7}};
    struct buf small;

    seeded_rng_start(&r, 1);
    row = (struct store_row){.values = random_row(f, &r)};
    buf_init(&small, 8);
    assert_err(digest_row(f->crypto, f->item, &id, &row, &small, &result), ERR_TOO_LARGE);
    assert_int_equal(result.byte[0], 7);
    buf_done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_canonical_form, setup, teardown),
        cmocka_unit_test_setup_teardown(minus_zero_is_zero, setup, teardown),
        cmocka_unit_test_setup_teardown(everything_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_column_at_its_default_does_not_count, setup, teardown),
        cmocka_unit_test(sums_do_not_depend_on_the_order),
        cmocka_unit_test(sums_carry_and_wrap),
        cmocka_unit_test_setup_teardown(a_form_that_does_not_fit, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
