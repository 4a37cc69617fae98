/* Random operations on every implementation against a model that could not be more naive: a struct
 * that a transaction copies. */
#include "common/store.h"

#include "tests/lib/seeded_rng.h"
#include "tests/lib/store_kit.h"

enum {
    IDS = 24, /* numbers 1 to IDS */
    TABLES = 3,
    BUCKETS = 3,
    POSITIONS = 30, /* 1 to POSITIONS */
    SIDES = 2,
    KEYS = 20,
};

/* 0: not there; otherwise the seed of its content. */
struct image {
    uint64_t row[TABLES][IDS + 1];
    bool dead[TABLES][IDS + 1];
    uint64_t base[TABLES][IDS + 1];       /* ABSENT: the marker */
    uint32_t log[BUCKETS][POSITIONS + 1]; /* table * 100 + id */
    uint32_t side[SIDES][KEYS];
};

static const uint64_t ABSENT = UINT64_MAX;

struct world {
    struct store_kit *kit;
    const struct model_table *tables[TABLES];
    struct seeded_rng rng;
    struct image now, committed, saved;
    struct store *reader;
    struct image read;
    bool reading, savepoint;
    uint64_t next_seed;
};

static struct bytes side_key(uint32_t number, char *memory)
{
    (void)snprintf(memory, 16, "%.*s%u", (int)(number % 3), "kk", number);
    return bytes_of_text(memory);
}

static uint32_t below(struct world *w, uint32_t bound)
{
    return (uint32_t)seeded_below(&w->rng, bound);
}

static void check_row(struct world *w, struct store *store, const struct image *image, uint32_t t,
                      uint32_t i)
{
    struct uuid id = store_kit_id(i);
    struct store_row got;
    store_kit_assert_is(w->kit, store, w->tables[t], i, image->row[t][i], image->dead[t][i]);
    enum err err = store_base_get(store, w->tables[t], &id, &w->kit->arena, &got);
    assert_err(err, image->base[t][i] == 0 ? ERR_NOT_FOUND : ERR_OK);
    if (image->base[t][i] == ABSENT) {
        assert_int_equal(got.version.size, 0);
    } else if (image->base[t][i] != 0) {
        struct store_row base = store_kit_row(&w->kit->arena, w->tables[t], image->base[t][i]);
        base.dead = image->base[t][i] % 2 != 0;
        store_kit_assert_row(w->tables[t], &got, &base);
    }
}

static void check_scan(struct world *w, struct store *store, const struct image *image, uint32_t t)
{
    struct store_kit_list list = {0};
    char expected[1024] = "";
    uint32_t after = below(w, IDS);
    struct uuid id = store_kit_id(after);
    for (uint32_t i = after + 1; i <= IDS; i++)
        if (image->row[t][i] != 0 && !image->dead[t][i])
            (void)snprintf(expected + strlen(expected), 8, "%u ", i);
    enum err err =
        store_row_scan(store, w->tables[t], after == 0 ? NULL : &id, store_kit_list_id, &list);
    store_kit_assert_list(err, &list, expected);
}

static void check_children(struct world *w, struct store *store, const struct image *image)
{
    for (uint32_t parent = 0; parent < 8; parent++) {
        struct store_kit_list list = {0};
        char expected[1024] = "";
        struct uuid id = store_kit_id(parent);
        for (uint32_t i = 1; i <= IDS; i++) {
            if (image->row[1][i] == 0)
                continue;
            struct store_row row = store_kit_row(&w->kit->arena, w->kit->part, image->row[1][i]);
            if (row.values[1].kind == VALUE_BLOB &&
                bytes_equal(row.values[1].as.bytes, bytes_of(id.byte, sizeof id.byte)))
                (void)snprintf(expected + strlen(expected), 8, "%u ", i);
        }
        enum err err = store_children(store, w->kit->part, &id, store_kit_list_id, &list);
        store_kit_assert_list(err, &list, expected);
    }
}

static void check_log(struct world *w, struct store *store, const struct image *image)
{
    for (uint32_t b = 0; b < BUCKETS; b++) {
        struct store_kit_list list = {0};
        char expected[1024] = "";
        uint32_t after = below(w, POSITIONS);
        for (uint32_t p = after + 1; p <= POSITIONS; p++)
            if (image->log[b][p] != 0)
                (void)snprintf(expected + strlen(expected), 32, "%u:%s/%u ", p,
                               w->tables[image->log[b][p] / 100]->name, image->log[b][p] % 100);
        store_kit_assert_list(store_log_scan(store, b, after, store_kit_list_log, &list), &list,
                              expected);
    }
}

struct side_check {
    const struct image *image;
    uint32_t side, seen;
    uint8_t last[16];
    size_t last_size;
};

static int check_side_entry(void *context, struct bytes key, struct bytes value)
{
    struct side_check *c = context;
    uint32_t number = be32_get(value.data);
    char memory[16];
    assert_true(c->seen == 0 || bytes_compare(bytes_of(c->last, c->last_size), key) < 0);
    assert_true(number < KEYS && bytes_equal(key, side_key(number, memory)));
    assert_int_equal(be32_get(value.data + 4), c->image->side[c->side][number]);
    memcpy(c->last, key.data, key.size);
    c->last_size = key.size;
    c->seen++;
    return 0;
}

static void check_sides(struct store *store, const struct image *image)
{
    for (uint32_t side = 0; side < SIDES; side++) {
        struct side_check c = {.image = image, .side = side};
        uint32_t count = 0;
        for (uint32_t i = 0; i < KEYS; i++)
            count += image->side[side][i] != 0;
        assert_ok(store_side_scan(store, (enum store_side)side, BYTES(""), BYTES(""),
                                  check_side_entry, &c));
        assert_int_equal(c.seen, count);
    }
}

static void check_all(struct world *w, struct store *store, const struct image *image)
{
    for (uint32_t t = 0; t < TABLES; t++) {
        for (uint32_t i = 1; i <= IDS; i++)
            check_row(w, store, image, t, i);
        check_scan(w, store, image, t);
    }
    check_children(w, store, image);
    check_log(w, store, image);
    check_sides(store, image);
    arena_reset(&w->kit->arena);
}

static void change_row(struct world *w)
{
    uint32_t t = below(w, TABLES);
    uint32_t i = 1 + below(w, IDS);
    uint64_t seed = ++w->next_seed;
    struct uuid id = store_kit_id(i);
    struct store_row row = store_kit_row(&w->kit->arena, w->tables[t], seed);
    switch (below(w, 4)) {
    case 0:
        assert_ok(store_row_delete(w->kit->store, w->tables[t], &id));
        w->now.row[t][i] = 0;
        w->now.dead[t][i] = false;
        return;
    case 1:
        assert_err(store_row_insert(w->kit->store, w->tables[t], &id, &row),
                   w->now.row[t][i] != 0 ? ERR_EXISTS : ERR_OK);
        if (w->now.row[t][i] == 0)
            w->now.row[t][i] = seed;
        return;
    default:
        row.dead = below(w, 3) == 0;
        assert_ok(store_row_put(w->kit->store, w->tables[t], &id, &row));
        w->now.row[t][i] = seed;
        w->now.dead[t][i] = row.dead;
        return;
    }
}

static void change_base(struct world *w)
{
    uint32_t t = below(w, TABLES);
    uint32_t i = 1 + below(w, IDS);
    uint64_t seed = ++w->next_seed;
    struct uuid id = store_kit_id(i);
    struct store_row row = store_kit_row(&w->kit->arena, w->tables[t], seed);
    switch (below(w, 3)) {
    case 0:
        assert_ok(store_base_delete(w->kit->store, w->tables[t], &id));
        w->now.base[t][i] = 0;
        return;
    case 1:
        row.version = bytes_of(NULL, 0);
        assert_ok(store_base_put(w->kit->store, w->tables[t], &id, &row));
        w->now.base[t][i] = ABSENT;
        return;
    default:
        row.dead = seed % 2 != 0;
        assert_ok(store_base_put(w->kit->store, w->tables[t], &id, &row));
        w->now.base[t][i] = seed;
        return;
    }
}

static void change_log(struct world *w)
{
    uint32_t b = below(w, BUCKETS);
    uint32_t p = 1 + below(w, POSITIONS);
    uint32_t t = below(w, TABLES);
    uint32_t i = 1 + below(w, IDS);
    struct uuid id = store_kit_id(i);
    if (below(w, 3) == 0) {
        assert_ok(store_log_delete(w->kit->store, b, p));
        w->now.log[b][p] = 0;
        return;
    }
    assert_err(store_log_put(w->kit->store, b, p, w->tables[t], &id),
               w->now.log[b][p] != 0 ? ERR_EXISTS : ERR_OK);
    if (w->now.log[b][p] == 0)
        w->now.log[b][p] = t * 100 + i;
}

static void change_side(struct world *w)
{
    uint32_t side = below(w, SIDES);
    uint32_t number = below(w, KEYS);
    char memory[16];
    uint8_t value[300] = {0};
    if (below(w, 3) == 0) {
        assert_ok(
            store_side_delete(w->kit->store, (enum store_side)side, side_key(number, memory)));
        w->now.side[side][number] = 0;
        return;
    }
    w->now.side[side][number] = (uint32_t)++w->next_seed;
    be32_put(value, number);
    be32_put(value + 4, w->now.side[side][number]);
    assert_ok(store_side_put(w->kit->store, (enum store_side)side, side_key(number, memory),
                             bytes_of(value, 8 + below(w, 290))));
}

static void savepoint_step(struct world *w)
{
    if (!w->savepoint) {
        assert_ok(store_savepoint(w->kit->store));
        w->saved = w->now;
        w->savepoint = true;
        return;
    }
    w->savepoint = false;
    if (below(w, 2) == 0) {
        assert_ok(store_release(w->kit->store));
        return;
    }
    assert_ok(store_rollback_to(w->kit->store));
    w->now = w->saved;
}

static void transaction(struct world *w)
{
    uint32_t steps = below(w, 40);
    store_kit_begin(w->kit);
    for (uint32_t step = 0; step < steps; step++) {
        switch (below(w, 9)) {
        case 0: savepoint_step(w); break;
        case 1: change_log(w); break;
        case 2: change_side(w); break;
        case 3: change_base(w); break;
        case 4: check_row(w, w->kit->store, &w->now, below(w, TABLES), 1 + below(w, IDS)); break;
        default: change_row(w); break;
        }
    }
    if (below(w, 4) == 0)
        check_all(w, w->kit->store, &w->now);
    if (w->savepoint && below(w, 2) == 0)
        savepoint_step(w);
    if (w->savepoint || below(w, 3) == 0) {
        store_rollback(w->kit->store);
        w->savepoint = false;
        w->now = w->committed;
        return;
    }
    store_kit_commit(w->kit);
    w->committed = w->now;
}

/* Begins, looks or ends; what a reader sees is what was committed when it began. */
static void read_step(struct world *w)
{
    if (w->reader == NULL)
        assert_ok(store_reader(w->kit->store, &w->reader));
    if (!w->reading) {
        assert_ok(store_begin(w->reader, STORE_READ));
        w->read = w->committed;
        w->reading = true;
    }
    check_all(w, w->reader, &w->read);
    if (below(w, 2) == 0) {
        store_rollback(w->reader);
        w->reading = false;
    }
}

static void reopen(struct world *w)
{
    store_close(w->reader);
    w->reader = NULL;
    w->reading = false;
    store_kit_reopen(w->kit);
}

static void random_operations_agree_with_the_model(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->kit = *state;
    w->tables[0] = w->kit->thing;
    w->tables[1] = w->kit->part;
    w->tables[2] = w->kit->purchase;
    seeded_rng_init(&w->rng, 20261122);
    for (int round = 0; round < 150; round++) {
        transaction(w);
        if (below(w, 3) == 0)
            read_step(w);
        if (w->kit->kind == STORE_KIND_SQLITE_FILE && below(w, 15) == 0)
            reopen(w);
    }
    assert_ok(store_begin(w->kit->store, STORE_READ));
    check_all(w, w->kit->store, &w->committed);
    store_rollback(w->kit->store);
    store_close(w->reader);
    free(w);
}

int main(void)
{
    int failed;
    const struct CMUnitTest tests[] = {
        STORE_KIT_TEST(random_operations_agree_with_the_model),
    };
    STORE_KIT_RUN(tests, failed);
    return failed;
}
