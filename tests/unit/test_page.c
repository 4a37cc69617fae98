/* Pages: round trip, strict reading, limits. With SATCHEL_BENCH=1: how fast rows go. */
#include "tests/lib/unit.h"

#include "protocol/group.h"
#include "protocol/page.h"
#include "protocol/scan.h"
#include "tests/lib/codec.h"
#include "tests/lib/failing_alloc.h"

enum { ARENA_LIMIT = 64 << 20 };

struct fixture {
    struct model *model;
    const struct model_table *item, *count;
    struct arena arena;
    struct page_writer writer;
    struct buf bytes;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->model = codec_model();
    f->item = model_table_by_id(f->model, CODEC_ITEM);
    f->count = model_table_by_id(f->model, CODEC_COUNT);
    arena_init(&f->arena, ARENA_LIMIT);
    page_writer_init(&f->writer);
    buf_init(&f->bytes, 16 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    page_writer_done(&f->writer);
    buf_done(&f->bytes);
    arena_done(&f->arena);
    model_free(f->model);
    free(f);
    return 0;
}

/* --- Random pages ----------------------------------------------------------------------------- */

struct expected {
    const struct page_entry *entries;
    uint32_t count, seen;
};

static struct value *random_values(struct fixture *f, struct seeded_rng *r,
                                   const struct model_table *table)
{
    struct value *values = arena_calloc(&f->arena, table->column_count, sizeof(*values));

    assert_non_null(values);
    for (uint16_t i = 0; i < table->column_count; i++)
        values[i] = codec_value(r, &f->arena, &table->columns[i]);
    return values;
}

static void random_delta(struct fixture *f, struct seeded_rng *r, struct page_entry *entry)
{
    struct page_unit *units = arena_calloc(&f->arena, entry->table->unit_count, sizeof(*units));

    assert_non_null(units);
    entry->previous = seeded_below(r, 1000);
    entry->revision = entry->previous + 1 + seeded_below(r, 3);
    entry->dot = codec_dot(r);
    entry->dot.tag %= 40; /* some come again */
    entry->dot.oseq = 1;
    entry->stamp = seeded_below(r, 2) << 40;
    for (uint16_t u = 0; u < entry->table->unit_count; u++) {
        const struct model_unit *unit = &entry->table->units[u];
        struct value *values = arena_calloc(&f->arena, unit->column_count, sizeof(*values));

        assert_non_null(values);
        for (uint16_t i = 0; i < unit->column_count; i++)
            values[i] = codec_value(r, &f->arena, &entry->table->columns[unit->columns[i]]);
        if (seeded_below(r, 2) == 0 || u + 1 == entry->table->unit_count)
            units[entry->unit_count++] = (struct page_unit){u, values};
    }
    entry->units = units;
}

static void random_entry(struct fixture *f, struct seeded_rng *r, struct page_entry *entry)
{
    entry->kind = (enum page_entry_kind)seeded_below(r, 4);
    if (entry->kind == PAGE_OWN) {
        entry->oseq = 1 + seeded_below(r, 1000);
        entry->mutation = (uint32_t)seeded_below(r, GROUP_MUTATIONS_MAX);
        entry->revision = seeded_below(r, 1000);
        return;
    }
    entry->table = seeded_below(r, 4) == 0 ? f->count : f->item;
    entry->id = codec_id(r);
    if (entry->kind == PAGE_ROW) {
        entry->dead = seeded_below(r, 2) == 0;
        entry->values = random_values(f, r, entry->table);
        entry->version = codec_bytes(r, &f->arena, (size_t)seeded_below(r, 60));
    } else if (entry->kind == PAGE_DELTA) {
        random_delta(f, r, entry);
    }
}

static enum err write_entry(struct page_writer *w, const struct page_entry *entry)
{
    struct store_row row = {.values = (struct value *)(uintptr_t)entry->values,
                            .version = entry->version,
                            .dead = entry->dead};

    if (entry->kind == PAGE_ROW)
        return page_write_row(w, entry->position, entry->table, &entry->id, &row);
    if (entry->kind == PAGE_OWN)
        return page_write_own(w, entry->position, entry->oseq, entry->mutation, entry->revision);
    if (entry->kind == PAGE_GONE)
        return page_write_gone(w, entry->position, entry->table, &entry->id);
    return page_write_delta(w, entry->position, entry->table, &entry->id, entry->previous,
                            entry->revision, &entry->dot, entry->stamp, entry->units,
                            entry->unit_count);
}

static enum err compare_entry(void *context, const struct page_entry *got)
{
    struct expected *expected = context;
    const struct page_entry *want = &expected->entries[expected->seen++];

    assert_in_range(expected->seen, 1, expected->count);
    assert_int_equal(got->kind, want->kind);
    assert_true(got->position == want->position);
    assert_ptr_equal(got->table, want->table);
    assert_true(got->oseq == want->oseq && got->mutation == want->mutation);
    assert_true(got->revision == want->revision);
    assert_true(uuid_equal(&got->id, &want->id));
    if (want->kind == PAGE_ROW) {
        assert_int_equal(got->dead, want->dead);
        assert_true(bytes_equal(got->version, want->version));
        assert_true(codec_values_equal(got->values, want->values, want->table->column_count));
    } else if (want->kind == PAGE_DELTA) {
        assert_true(got->previous == want->previous);
        assert_true(dot_equal(&got->dot, &want->dot) && got->stamp == want->stamp);
        assert_int_equal(got->unit_count, want->unit_count);
        for (uint16_t i = 0; i < want->unit_count; i++) {
            assert_int_equal(got->units[i].unit, want->units[i].unit);
            assert_true(codec_values_equal(got->units[i].values, want->units[i].values,
                                           want->table->units[want->units[i].unit].column_count));
        }
    }
    return ERR_OK;
}

static struct page_entry *random_page(struct fixture *f, struct seeded_rng *r, uint32_t count)
{
    struct page_entry *entries = arena_calloc(&f->arena, count, sizeof(*entries));
    uint64_t position = 0;

    assert_non_null(entries);
    page_writer_reset(&f->writer);
    for (uint32_t i = 0; i < count; i++) {
        random_entry(f, r, &entries[i]);
        position += 1 + (seeded_below(r, 10) == 0 ? seeded_below(r, 1u << 30) : 0);
        entries[i].position = position;
        assert_ok(write_entry(&f->writer, &entries[i]));
    }
    return entries;
}

static void random_pages_come_back(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;

    seeded_rng_init(&r, 20260110);
    for (unsigned i = 0; i < 500; i++) {
        uint32_t count = (uint32_t)seeded_below(&r, i % 10 == 0 ? 200 : 12);
        struct expected expected = {.count = count};
        struct bytes body;

        arena_reset(&f->arena);
        expected.entries = random_page(f, &r, count);
        assert_ok(page_writer_finish(&f->writer, &body));
        assert_in_range(page_writer_size(&f->writer), body.size, body.size + 16);
        assert_ok(scan_check(body, &scan_limits_default));
        assert_ok(page_read(f->model, body, NULL, compare_entry, &expected));
        assert_int_equal(expected.seen, count);
    }
}

static enum err use_arena(void *context, const struct page_entry *entry)
{
    (void)entry;
    assert_in_range(((struct arena *)context)->used, 0, 0);
    assert_non_null(arena_alloc(context, 1000));
    return ERR_OK;
}

static void the_arena_is_reset_before_each_entry(void **state)
{
    struct fixture *f = *state;
    struct arena scratch;
    struct seeded_rng r;
    struct bytes body;

    seeded_rng_start(&r, 1);
    arena_init(&scratch, 1000);
    random_page(f, &r, 10);
    assert_ok(page_writer_finish(&f->writer, &body));
    assert_ok(page_read(f->model, body, &scratch, use_arena, &scratch));
    arena_done(&scratch);
}

static enum err stop_at_third(void *context, const struct page_entry *entry)
{
    (void)entry;
    return ++*(unsigned *)context == 3 ? ERR_FULL : ERR_OK;
}

static enum err ignore(void *context, const struct page_entry *entry)
{
    (void)context;
    (void)entry;
    return ERR_OK;
}

static void an_error_of_the_callback_ends_it(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    struct bytes body;
    unsigned calls = 0;

    seeded_rng_start(&r, 2);
    random_page(f, &r, 10);
    assert_ok(page_writer_finish(&f->writer, &body));
    assert_err(page_read(f->model, body, NULL, stop_at_third, &calls), ERR_FULL);
    assert_int_equal(calls, 3);
}

static void truncated_and_changed_pages(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;

    seeded_rng_init(&r, 20260111);
    for (unsigned i = 0; i < 300; i++) {
        struct bytes body;

        arena_reset(&f->arena);
        random_page(f, &r, 1 + (uint32_t)seeded_below(&r, 4));
        assert_ok(page_writer_finish(&f->writer, &body));
        for (size_t cut = 0; i < 30 && cut < body.size; cut++) {
            uint8_t *data = malloc(cut + 1);

            assert_non_null(data);
            memcpy(data, body.data, cut);
            assert_err(page_read(f->model, bytes_of(data, cut), NULL, ignore, NULL), ERR_MALFORMED);
            free(data);
        }
        for (unsigned k = 0; k < 50; k++) {
            buf_reset(&f->bytes);
            assert_ok(buf_append(&f->bytes, body.data, body.size));
            f->bytes.data[seeded_below(&r, body.size)] = (uint8_t)seeded_u64(&r);
            page_read(f->model, buf_view(&f->bytes), NULL, ignore, NULL);
        }
    }
}

/* --- What is wrong ---------------------------------------------------------------------------- */

#define ID "'hex:000102030405060708090a0b0c0d0e0f'"

static const struct {
    const char *json;
    enum err expected;
} bodies[] = {
    {"[[]]", ERR_OK},
    {"[[],[0,1,21," ID ",false,'hex:',7]]", ERR_OK},
    {"[[],[2,1,21," ID "],[2,1,21," ID "]]", ERR_OK},
    {"[[5,1,9,77],[1,1,21," ID ",4,5,0,1,8]]", ERR_OK},
    {"[[5,1,9,77],[1,1,20," ID ",4,6,0,1,'x',30,7,'EUR']]", ERR_OK},
    {"[[],[3,1,9,99999,4]]", ERR_OK},
    {"[[],[3,1,9,100000,4]]", ERR_MALFORMED}, /* no such mutation in any group */
    {"[[],[3,1,0,0,4]]", ERR_MALFORMED},
    {"[[],[3,1,9,0]]", ERR_MALFORMED},
    {"[[],[3,1,9,0,4,4]]", ERR_MALFORMED},
    {"[[],[3,0,9,0,4]]", ERR_MALFORMED},
    {"[[],[4,1,21," ID "]]", ERR_MALFORMED},
    {"[]", ERR_MALFORMED},
    {"7", ERR_MALFORMED},
    {"[7]", ERR_MALFORMED},
    {"[[],7]", ERR_MALFORMED},
    {"[[],[]]", ERR_MALFORMED},
    {"[[],[3,1,21," ID "]]", ERR_MALFORMED},
    {"[[],[2,0,21," ID "]]", ERR_MALFORMED}, /* no step */
    {"[[],[2,-1,21," ID "]]", ERR_MALFORMED},
    {"[[],[2,1,99," ID "]]", ERR_MODEL},
    {"[[],[2,1,4294967316," ID "]]", ERR_MALFORMED},
    {"[[],[2,1,21,'hex:00']]", ERR_MALFORMED},
    {"[[],[2,1,21," ID ",1]]", ERR_MALFORMED},
    {"[[],[0,1,21," ID ",false,'hex:']]", ERR_OK}, /* of a sender whose model is an earlier one */
    {"[[],[0,1,21," ID ",false,'hex:',7,8]]", ERR_MODEL}, /* of a later one */
    {"[[],[0,1,21," ID ",false,'hex:','x']]", ERR_MODEL},
    {"[[],[0,1,21," ID ",0,'hex:',7]]", ERR_MALFORMED},
    {"[[],[0,1,21," ID ",false,'text',7]]", ERR_MALFORMED},
    {"[[],[0,1,21," ID "]]", ERR_MALFORMED},
    {"[[5,1,9],[1,1,21," ID ",4,5,0,1,8]]", ERR_MALFORMED},
    {"[[0,1,9,77],[1,1,21," ID ",4,5,0,1,8]]", ERR_MALFORMED},
    {"[[5,0,9,77],[1,1,21," ID ",4,5,0,1,8]]", ERR_MALFORMED},
    {"[[5,1,4294967296,77],[1,1,21," ID ",4,5,0,1,8]]", ERR_MALFORMED},
    {"[[5,1,9,77],[1,1,21," ID ",4,5,1,1,8]]", ERR_MALFORMED}, /* no such dot */
    {"[[5,1,9,77],[1,1,21," ID ",5,5,0,1,8]]", ERR_MALFORMED}, /* revision not raised */
    {"[[5,1,9,77],[1,1,21," ID ",4,5,0]]", ERR_MALFORMED},     /* no unit */
    {"[[5,1,9,77],[1,1,21," ID ",4,5,0,1]]", ERR_MALFORMED},
    {"[[5,1,9,77],[1,1,21," ID ",4,5,0,9,8]]", ERR_MODEL},
    {"[[5,1,9,77],[1,1,21," ID ",4,5,0,1,'x']]", ERR_MODEL},
    {"[[5,1,9,77],[1,1,21," ID ",4,5,0,1,8,1,8]]", ERR_MALFORMED},
    {"[[5,1,9,77],[1,1,20," ID ",4,6,0,30,7,'EUR',1,'x']]", ERR_MALFORMED},
    {"[[5,1,9,77],[1,1,20," ID ",4,6,0,30,7]]", ERR_MALFORMED},
};

static enum err take_row(void *context, const struct page_entry *entry)
{
    struct value *values = context;

    for (uint16_t i = 0; i < entry->table->column_count; i++)
        values[i] = entry->values[i];
    return ERR_OK;
}

/* Columns that the sender's model does not have yet are those with the highest ids: they have their defaults. */
static void rows_of_an_earlier_model(void **state)
{
    static const char text[] =
        "{\"name\":\"m\",\"version\":2,\"tables\":[{\"id\":21,\"name\":\"count\","
        "\"bucket\":\"company\",\"columns\":[{\"id\":1,\"name\":\"n\",\"type\":"
        "\"integer\"},{\"id\":2,\"name\":\"m\",\"type\":\"integer\",\"default\":9},"
        "{\"id\":3,\"name\":\"o\",\"type\":\"text\"}]}]}";
    struct fixture *f = *state;
    struct model *later;
    struct value values[3];

    assert_ok(model_parse(bytes_of_text(text), &later, NULL));
    codec_pack("[[],[0,1,21," ID ",false,'hex:',7]]", &f->bytes);
    assert_ok(page_read(later, buf_view(&f->bytes), NULL, take_row, values));
    assert_int_equal(values[0].as.integer, 7);
    assert_int_equal(values[1].as.integer, 9);
    assert_int_equal(values[2].kind, VALUE_NULL);
    model_free(later);
}

static void reading_is_strict(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        enum err err;

        codec_pack(bodies[i].json, &f->bytes);
        err = page_read(f->model, buf_view(&f->bytes), NULL, ignore, NULL);
        if (err != bodies[i].expected)
            fail_msg("%s is ERR_%s, not ERR_%s", bodies[i].json, err_name(err),
                     err_name(bodies[i].expected));
        assert_ok(buf_append_byte(&f->bytes, 0xc0));
        assert_err(page_read(f->model, buf_view(&f->bytes), NULL, ignore, NULL),
                   err == ERR_OK ? ERR_MALFORMED : err);
    }
}

static void positions_do_not_wrap(void **state)
{
    struct fixture *f = *state;
    struct uuid id = {{0}};
    struct bytes body;

    assert_ok(page_write_gone(&f->writer, 5, f->count, &id));
    assert_ok(page_write_gone(&f->writer, UINT64_MAX, f->count, &id));
    assert_ok(page_writer_finish(&f->writer, &body));
    assert_ok(page_read(f->model, body, NULL, ignore, NULL));
    codec_pack("[[],[2,9223372036854775807,21," ID "],[2,9223372036854775807,21," ID "],[2,1,21," ID
               "]]",
               &f->bytes);
    assert_ok(page_read(f->model, buf_view(&f->bytes), NULL, ignore, NULL));
    codec_pack("[[],[2,9223372036854775807,21," ID "],[2,9223372036854775807,21," ID "],[2,2,21," ID
               "]]",
               &f->bytes);
    assert_err(page_read(f->model, buf_view(&f->bytes), NULL, ignore, NULL), ERR_MALFORMED);
}

/* --- Limits ----------------------------------------------------------------------------------- */

static void entries_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct value seven = value_int(7);
    struct store_row row = {.values = &seven};
    struct page_unit unit = {0, &seven};
    struct dot dot = {5, 1, 9};
    struct uuid id = {{0}};
    struct bytes body;

    for (uint64_t i = 1; i <= PAGE_ENTRIES_MAX; i++) {
        dot.oseq = i; /* as many dots as entries */
        assert_ok(page_write_delta(&f->writer, i, f->count, &id, 1, 2, &dot, 3, &unit, 1));
    }
    assert_err(page_write_gone(&f->writer, 2001, f->count, &id), ERR_TOO_LARGE);
    assert_err(page_write_own(&f->writer, 2001, 1, 0, 1), ERR_TOO_LARGE);
    assert_err(page_write_row(&f->writer, 2001, f->count, &id, &row), ERR_TOO_LARGE);
    assert_err(page_write_delta(&f->writer, 2001, f->count, &id, 1, 2, &dot, 3, &unit, 1),
               ERR_TOO_LARGE);
    assert_ok(page_writer_finish(&f->writer, &body));
    assert_ok(page_read(f->model, body, NULL, ignore, NULL));
    codec_pack("[[],{'repeat':2001,'of':[2,1,21," ID "]}]", &f->bytes);
    assert_err(page_read(f->model, buf_view(&f->bytes), NULL, ignore, NULL), ERR_MALFORMED);
}

static void bytes_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct seeded_rng r;
    struct value values[13];
    struct store_row row = {.values = values};
    struct uuid id = {{0}};
    uint64_t position = 0;
    struct bytes body;
    uint32_t count;
    enum err err;

    seeded_rng_start(&r, 3);
    memset(values, 0, sizeof(values));
    values[0] = value_text(codec_text(&r, &f->arena, (64 << 10) + 1));
    assert_err(page_write_row(&f->writer, 1, f->item, &id, &row), ERR_TOO_LARGE);
    values[0].as.bytes.size--;
    do
        err = page_write_row(&f->writer, ++position, f->item, &id, &row);
    while (err == ERR_OK);
    assert_err(err, ERR_TOO_LARGE);
    count = f->writer.entry_count;
    assert_int_equal(count, PAGE_BODY_MAX / (64 << 10));
    assert_ok(page_write_gone(&f->writer, position, f->item, &id)); /* a small one fits still */
    assert_ok(page_writer_finish(&f->writer, &body));
    assert_in_range(body.size, PAGE_BODY_MAX - (65 << 10), PAGE_BODY_MAX);
    assert_ok(page_read(f->model, body, NULL, ignore, NULL));
    page_writer_reset(&f->writer);
    assert_ok(page_writer_finish(&f->writer, &body));
    assert_int_equal(body.size, 2);
}

static void bomb(const char *name, struct bytes data)
{
    struct model *model = codec_model();
    enum err err = page_read(model, data, NULL, ignore, NULL);

    if (err != ERR_MALFORMED)
        fail_msg("%s: ERR_%s", name, err_name(err));
    model_free(model);
}

static void bombs_are_refused(void **state)
{
    (void)state;
    assert_in_range(codec_bombs("page-", bomb), 4, 1000);
}

static enum err run_write_and_read(void *context)
{
    struct fixture *f = context;
    struct value seven = value_int(7);
    struct store_row row = {.values = &seven};
    struct page_unit unit = {0, &seven};
    struct page_writer w;
    struct uuid id = {{0}};
    struct bytes body;
    enum err err = ERR_OK;

    page_writer_init(&w);
    for (uint64_t i = 1; i <= 100 && err == ERR_OK; i++) {
        struct dot dot = {5, i, 9};

        err = page_write_delta(&w, 2 * i, f->count, &id, 1, 2, &dot, 3, &unit, 1);
        if (err == ERR_OK)
            err = page_write_row(&w, 2 * i + 1, f->count, &id, &row);
    }
    if (err == ERR_OK)
        err = page_writer_finish(&w, &body);
    if (err == ERR_OK)
        err = page_read(f->model, body, NULL, ignore, NULL);
    page_writer_done(&w);
    return err;
}

static void each_allocation_may_fail(void **state)
{
    if (!failing_alloc_works())
        skip();
    assert_in_range(failing_alloc_each(run_write_and_read, *state, ERR_NOMEM), 10, 1000);
}

/* --- Speed ------------------------------------------------------------------------------------ */

static void benchmark(void **state)
{
    struct fixture *f = *state;
    enum { ROWS = 1000, ROUNDS = 100 };
    struct store_row rows[ROWS];
    struct uuid ids[ROWS];
    struct seeded_rng r;
    struct bytes body = {0};
    double best_write = 1e9, best_read = 1e9;

    if (!codec_bench())
        skip();
    seeded_rng_start(&r, 5);
    for (unsigned i = 0; i < ROWS; i++) {
        ids[i] = codec_id(&r);
        rows[i] = (struct store_row){.values = random_values(f, &r, f->item),
                                     .version = codec_bytes(&r, &f->arena, 26)};
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = codec_now(), middle, end;

        page_writer_reset(&f->writer);
        for (unsigned i = 0; i < ROWS; i++)
            assert_ok(page_write_row(&f->writer, i + 1, f->item, &ids[i], &rows[i]));
        assert_ok(page_writer_finish(&f->writer, &body));
        middle = codec_now();
        assert_ok(page_read(f->model, body, NULL, ignore, NULL));
        end = codec_now();
        best_write = middle - start < best_write ? middle - start : best_write;
        best_read = end - middle < best_read ? end - middle : best_read;
    }
    print_message("rows of 13 values, %u bytes: write %.2f, read %.2f M/s\n",
                  (unsigned)(body.size / ROWS), ROWS / best_write / 1e6, ROWS / best_read / 1e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_pages_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(the_arena_is_reset_before_each_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(an_error_of_the_callback_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(truncated_and_changed_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_of_an_earlier_model, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_is_strict, setup, teardown),
        cmocka_unit_test_setup_teardown(positions_do_not_wrap, setup, teardown),
        cmocka_unit_test_setup_teardown(entries_at_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_at_the_limit, setup, teardown),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test_setup_teardown(each_allocation_may_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(benchmark, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
