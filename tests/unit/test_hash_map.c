#include "common/hash_map.h"

#include "tests/lib/failing_alloc.h"
#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

static void puts_gets_and_removes(void **state)
{
    struct hash_map map;
    union hash_value value;
    int thing;

    (void)state;
    hash_map_init(&map, 10, 0);
    assert_null(hash_map_get(&map, bytes_of_text("a")));
    assert_false(hash_map_remove(&map, bytes_of_text("a"), NULL));
    assert_ok(hash_map_put_number(&map, bytes_of_text("a"), 1));
    assert_ok(hash_map_put_pointer(&map, bytes_of_text("b"), &thing));
    assert_ok(hash_map_put_number(&map, bytes_of_text(""), 3));
    assert_ok(hash_map_put_number(&map, BYTES("a\0"), 4));
    assert_int_equal(hash_map_count(&map), 4);
    assert_int_equal(hash_map_get(&map, bytes_of_text("a"))->number, 1);
    assert_ptr_equal(hash_map_get_pointer(&map, bytes_of_text("b")), &thing);
    assert_null(hash_map_get_pointer(&map, bytes_of_text("c")));
    assert_int_equal(hash_map_get(&map, bytes_of(NULL, 0))->number, 3);
    assert_int_equal(hash_map_get(&map, BYTES("a\0"))->number, 4);
    assert_ok(hash_map_put_number(&map, bytes_of_text("a"), 5));
    assert_int_equal(hash_map_count(&map), 4);
    assert_true(hash_map_remove(&map, bytes_of_text("a"), &value));
    assert_int_equal(value.number, 5);
    assert_null(hash_map_get(&map, bytes_of_text("a")));
    assert_int_equal(hash_map_count(&map), 3);
    hash_map_done(&map);
}

static void keys_are_copied_whatever_their_size(void **state)
{
    struct hash_map map;
    char key[200];

    (void)state;
    hash_map_init(&map, sizeof(key), 0);
    for (size_t size = 0; size < sizeof(key); size++) {
        memset(key, 'k', size);
        assert_ok(hash_map_put_number(&map, bytes_of(key, size), size));
        memset(key, 'x', size);
    }
    for (size_t size = 0; size < sizeof(key); size++) {
        memset(key, 'k', size);
        assert_int_equal(hash_map_get(&map, bytes_of(key, size))->number, size);
    }
    hash_map_done(&map);
}

static void the_limits_hold_to_the_entry_and_the_byte(void **state)
{
    static uint8_t key[HASH_MAP_KEY_MAX + 1];
    struct hash_map map;

    (void)state;
    hash_map_init(&map, 3, 0);
    assert_err(hash_map_put_number(&map, bytes_of(key, sizeof(key)), 1), ERR_LIMIT);
    assert_ok(hash_map_put_number(&map, bytes_of(key, sizeof(key) - 1), 1));
    assert_ok(hash_map_put_number(&map, bytes_of_text("b"), 2));
    assert_ok(hash_map_put_number(&map, bytes_of_text("c"), 3));
    assert_err(hash_map_put_number(&map, bytes_of_text("d"), 4), ERR_LIMIT);
    assert_ok(hash_map_put_number(&map, bytes_of_text("c"), 5)); /* no new entry */
    assert_int_equal(hash_map_count(&map), 3);
    assert_true(hash_map_remove(&map, bytes_of_text("b"), NULL));
    assert_ok(hash_map_put_number(&map, bytes_of_text("d"), 4));
    hash_map_done(&map);
    hash_map_init(&map, 0, 0);
    assert_err(hash_map_put_number(&map, bytes_of_text("a"), 1), ERR_LIMIT);
    hash_map_done(&map);
}

static void iterates_in_the_order_of_insertion(void **state)
{
    static const uint64_t seeds[] = {0, 1, 0x123456789abcdef};

    (void)state;
    for (size_t s = 0; s < sizeof(seeds) / sizeof(seeds[0]); s++) {
        struct hash_map map;
        struct bytes key;
        union hash_value value;
        size_t cursor = 0;
        char order[16] = "";

        hash_map_init(&map, 100, seeds[s]);
        for (const char *c = "qwertyuiop"; *c != '\0'; c++)
            assert_ok(hash_map_put_number(&map, bytes_of(c, 1), (uint64_t)*c));
        hash_map_remove(&map, bytes_of_text("q"), NULL);
        hash_map_remove(&map, bytes_of_text("t"), NULL);
        hash_map_put_number(&map, bytes_of_text("q"), 'q'); /* again: now the last */
        hash_map_put_number(&map, bytes_of_text("w"), 'w'); /* replaced: keeps its place */
        while (hash_map_next(&map, &cursor, &key, &value)) {
            assert_int_equal(key.size, 1);
            assert_int_equal(key.data[0], value.number);
            strncat(order, (const char *)key.data, 1);
        }
        assert_string_equal(order, "weryuiopq");
        hash_map_done(&map);
    }
}

static void removing_while_iterating_visits_each_once(void **state)
{
    struct hash_map map;
    struct bytes key;
    union hash_value value;
    size_t cursor = 0, seen = 0;

    (void)state;
    hash_map_init(&map, 1000, 0);
    for (uint32_t i = 0; i < 1000; i++)
        assert_ok(hash_map_put_number(&map, bytes_of(&i, sizeof(i)), i));
    while (hash_map_next(&map, &cursor, &key, &value)) {
        assert_int_equal(value.number, seen);
        seen++;
        if (value.number % 3 != 0)
            assert_true(hash_map_remove(&map, key, NULL));
    }
    assert_int_equal(seen, 1000);
    assert_int_equal(hash_map_count(&map), 334);
    hash_map_done(&map);
}

#define KEYS 500

struct model {
    bool there;
    uint64_t number, inserted;
};

/* Keys of many sizes: some are kept inside the entry, some outside. */
static struct bytes key_of(uint32_t k, char text[64])
{
    return bytes_of(text, (size_t)snprintf(text, 64, "%0*u", (int)(k % 60) + 1, k));
}

static void assert_same_content(const struct hash_map *map, const struct model *model)
{
    struct bytes key;
    union hash_value value;
    size_t cursor = 0, seen = 0;
    uint64_t before = 0;
    char text[64];

    for (uint32_t k = 0; k < KEYS; k++) {
        const union hash_value *found = hash_map_get(map, key_of(k, text));

        assert_int_equal(found != NULL, model[k].there);
        if (found != NULL)
            assert_true(found->number == model[k].number);
    }
    while (hash_map_next(map, &cursor, &key, &value)) {
        uint32_t k = 0;

        for (size_t i = 0; i < key.size; i++)
            k = k * 10 + (uint32_t)(key.data[i] - '0');
        assert_true(model[k].there && value.number == model[k].number);
        assert_true(seen == 0 || model[k].inserted > before);
        before = model[k].inserted;
        seen++;
    }
    assert_int_equal(hash_map_count(map), seen);
}

/* Against an array: the same content, in the right order, after any sequence of operations. */
static void behaves_like_an_array(void **state)
{
    static struct model model[KEYS];
    struct seeded_rng r;
    struct hash_map map;

    (void)state;
    seeded_rng_init(&r, 13);
    hash_map_init(&map, KEYS, seeded_u64(&r));
    for (uint64_t step = 0; step < 100000; step++) {
        uint32_t k = (uint32_t)seeded_below(&r, KEYS);
        char text[64];
        union hash_value removed;

        if (seeded_below(&r, 20000) == 0) {
            hash_map_clear(&map);
            memset(model, 0, sizeof(model));
        }
        if (seeded_below(&r, 2) == 0) {
            assert_ok(hash_map_put_number(&map, key_of(k, text), step));
            model[k].inserted = model[k].there ? model[k].inserted : step;
            model[k].there = true;
            model[k].number = step;
        } else {
            assert_int_equal(hash_map_remove(&map, key_of(k, text), &removed), model[k].there);
            if (model[k].there)
                assert_true(removed.number == model[k].number);
            model[k].there = false;
        }
        if (step % 1000 == 0)
            assert_same_content(&map, model);
    }
    hash_map_done(&map);
}

static void empty_maps_are_fine(void **state)
{
    struct hash_map zeroed = {0}, map;
    struct bytes key;
    union hash_value value;
    size_t cursor = 0;

    (void)state;
    hash_map_done(&zeroed);
    hash_map_init(&map, SIZE_MAX, 0);
    assert_int_equal(map.limit, HASH_MAP_LIMIT_MAX);
    assert_false(hash_map_next(&map, &cursor, &key, &value));
    hash_map_clear(&map);
    hash_map_done(&map);
    hash_map_done(&map);
}

static enum err fill(void *context)
{
    struct hash_map map;
    enum err error = ERR_OK;
    char key[64];
    size_t i;

    (void)context;
    hash_map_init(&map, 100, 0);
    for (i = 0; i < 100 && error == ERR_OK; i++) {
        memset(key, (int)i, sizeof(key));
        error = hash_map_put_number(&map, bytes_of(key, i % 2 == 0 ? 8 : sizeof(key)), i);
    }
    if (error != ERR_OK) { /* what was there still is, and it can go on */
        assert_int_equal(hash_map_count(&map), i - 1);
        for (size_t j = 0; j < i; j++) {
            const union hash_value *found;

            memset(key, (int)j, sizeof(key));
            found = hash_map_get(&map, bytes_of(key, j % 2 == 0 ? 8 : sizeof(key)));
            assert_int_equal(found != NULL, j + 1 < i);
        }
        assert_ok(hash_map_put_number(&map, bytes_of_text("next"), 1));
    }
    hash_map_done(&map);
    return error;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    if (!failing_alloc_works())
        skip();
    assert_true(failing_alloc_each(fill, NULL, ERR_NOMEM) >= 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_gets_and_removes),
        cmocka_unit_test(keys_are_copied_whatever_their_size),
        cmocka_unit_test(the_limits_hold_to_the_entry_and_the_byte),
        cmocka_unit_test(iterates_in_the_order_of_insertion),
        cmocka_unit_test(removing_while_iterating_visits_each_once),
        cmocka_unit_test(behaves_like_an_array),
        cmocka_unit_test(empty_maps_are_fine),
        cmocka_unit_test(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
