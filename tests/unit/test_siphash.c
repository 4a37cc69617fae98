#include "common/siphash.h"

#include "tests/lib/unit.h"

/* The vectors of the reference code: key 00 01 .. 0f, input 00 01 .. of each size. */
static void the_vectors_of_the_paper(void **state)
{
    static const struct {
        size_t size;
        uint64_t hash;
    } rows[] = {
        {0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {2, 0x0d6c8009d9a94f5a},
        {3, 0x85676696d7fb7e2d}, {7, 0xab0200f58b01d137},  {8, 0x93f5f5799a932462},
        {9, 0x9e0082df0ba9e4b0}, {15, 0xa129ca6149be45e5},
    };
    uint8_t in[16];

    (void)state;
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t hash =
            siphash24(0x0706050403020100, 0x0f0e0d0c0b0a0908, bytes_of(in, rows[i].size));

        assert_true(hash == rows[i].hash);
    }
    assert_true(siphash24(0x0706050403020100, 0x0f0e0d0c0b0a0908, bytes_of(NULL, 0)) ==
                rows[0].hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_paper),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
