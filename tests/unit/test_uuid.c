#include "common/uuid.h"

#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

static const uint8_t rfc_random[10] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};

/* RFC 9562, A.6. */
static void the_example_of_the_rfc(void **state)
{
    struct uuid id = uuid_v7(0x017f22e279b0, rfc_random);
    char text[UUID_TEXT_SIZE];

    (void)state;
    uuid_format(&id, text);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

static void version_and_variant_stand_whatever_the_random_bytes(void **state)
{
    uint8_t ones[10], zeros[10] = {0};
    struct uuid id;
    char text[UUID_TEXT_SIZE];

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    id = uuid_v7(UINT64_MAX, ones);
    uuid_format(&id, text);
    assert_string_equal(text, "ffffffff-ffff-7fff-bfff-ffffffffffff");
    id = uuid_v7(0, zeros);
    uuid_format(&id, text);
    assert_string_equal(text, "00000000-0000-7000-8000-000000000000");
    assert_false(uuid_is_nil(&id));
    memset(&id, 0, sizeof(id));
    assert_true(uuid_is_nil(&id));
}

static void parses_what_it_formats_in_either_case(void **state)
{
    struct seeded_rng r;

    (void)state;
    seeded_rng_init(&r, 5);
    for (int i = 0; i < 2000; i++) {
        struct uuid id, parsed;
        char text[UUID_TEXT_SIZE];

        seeded_fill(&r, id.byte, sizeof(id.byte));
        uuid_format(&id, text);
        for (size_t j = 0; j < UUID_TEXT_SIZE - 1; j++) {
            if (text[j] >= 'a' && seeded_below(&r, 2) == 0)
                text[j] = (char)(text[j] - 'a' + 'A');
        }
        assert_ok(uuid_parse(bytes_of_text(text), &parsed));
        assert_true(uuid_equal(&id, &parsed));
    }
}

static void other_forms_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398ff",
        "017f22e279b07cc398c4dc0c0c07398f",
        "{17f22e2-79b0-7cc3-98c4-dc0c0c07398}",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
        "017f22e2079b0-7cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4+dc0c0c07398f",
        " 17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct uuid id = {.byte = {7}};

        assert_err(uuid_parse(bytes_of_text(texts[i]), &id), ERR_PARSE);
        assert_int_equal(id.byte[0], 7);
    }
}

static void ids_are_ordered_by_time(void **state)
{
    struct seeded_rng r;

    (void)state;
    seeded_rng_init(&r, 6);
    for (int i = 0; i < 2000; i++) {
        uint64_t ms = seeded_u64(&r) >> 17;
        uint8_t random[10];
        struct uuid earlier, later;

        seeded_fill(&r, random, sizeof(random));
        earlier = uuid_v7(ms, random);
        seeded_fill(&r, random, sizeof(random));
        later = uuid_v7(ms + 1, random);
        assert_int_equal(uuid_compare(&earlier, &later), -1);
        assert_int_equal(uuid_compare(&later, &earlier), 1);
        assert_int_equal(uuid_compare(&later, &later), 0);
        assert_false(uuid_equal(&earlier, &later));
    }
}

/* 10,000 in one ms use the counter up twice, then the clock steps back, then it is slow. */
static void next_ascends_whatever_the_clock_does(void **state)
{
    struct uuid_source source = {0};
    struct seeded_rng r;
    struct uuid before = {0};
    uint64_t ms = 1700000000000;

    (void)state;
    seeded_rng_init(&r, 7);
    for (int i = 0; i < 40000; i++) {
        uint8_t random[10];
        struct uuid id;

        if (i == 10000)
            ms -= 60000;
        if (i > 20000)
            ms += seeded_below(&r, 3);
        seeded_fill(&r, random, sizeof(random));
        id = uuid_next(&source, ms, random);
        assert_int_equal(uuid_compare(&before, &id), -1);
        assert_int_equal(id.byte[6] >> 4, 7);
        assert_int_equal(id.byte[8] >> 6, 2);
        before = id;
    }
    assert_true(source.last_ms <= 1700000000000 + 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc),
        cmocka_unit_test(version_and_variant_stand_whatever_the_random_bytes),
        cmocka_unit_test(parses_what_it_formats_in_either_case),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(ids_are_ordered_by_time),
        cmocka_unit_test(next_ascends_whatever_the_clock_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
