/* reading a page: the rows as they come down.
 *
 * Input:   the body of a PAGE, on the model of tests/vectors.
 * Asserts: documented errors only; positions ascend, tables and units are the model's, values fit
 *          their columns; what was read, written by the page writer, reads the same; an error of the
 *          caller's ends the reading there and comes back; memory is bounded.
 * ctest: labels=asan */
#include "tests/fuzz/fuzz.h"

#include "protocol/page.h"
#include "tests/lib/codec.h"

enum { DECODED_MAX = 32 << 20 };

struct reading {
    const struct model *model;
    struct page_writer writer;
    uint64_t position;
    uint32_t entries, stop_at; /* 0: never */
    uint32_t checksum;
    bool writes;
    enum err written;
};

static void mix(struct reading *r, const void *data, size_t size)
{
    const uint8_t *byte = data;
    for (size_t i = 0; i < size; i++)
        r->checksum = r->checksum * 31 + byte[i];
}

static void mix_values(struct reading *r, const struct model_column *columns, uint16_t count,
                       const struct value *values)
{
    for (uint16_t i = 0; i < count; i++) {
        mix(r, &values[i].kind, sizeof values[i].kind);
        if (values[i].kind == VALUE_TEXT || values[i].kind == VALUE_BLOB)
            mix(r, values[i].as.bytes.data, values[i].as.bytes.size);
        else if (values[i].kind != VALUE_NULL)
            mix(r, &values[i].as, sizeof values[i].as.integer);
        (void)columns;
    }
}

static enum err write(struct reading *r, const struct page_entry *e)
{
    struct store_row row = {
        .values = (struct value *)(uintptr_t)e->values, .version = e->version, .dead = e->dead};
    switch (e->kind) {
    case PAGE_ROW: return page_write_row(&r->writer, e->position, e->table, &e->id, &row);
    case PAGE_DELTA:
        return page_write_delta(&r->writer, e->position, e->table, &e->id, e->previous, e->revision,
                                &e->dot, e->stamp, e->units, e->unit_count);
    case PAGE_GONE: return page_write_gone(&r->writer, e->position, e->table, &e->id);
    case PAGE_OWN:
        return page_write_own(&r->writer, e->position, e->oseq, e->mutation, e->revision);
    }
    return ERR_BUG;
}

static void check_entry(struct reading *r, const struct page_entry *e)
{
    fuzz_check(e->kind <= PAGE_OWN, "%d", (int)e->kind);
    fuzz_check(e->position > r->position, "position %llu after %llu",
               (unsigned long long)e->position, (unsigned long long)r->position);
    r->position = e->position;
    mix(r, &e->kind, sizeof e->kind);
    mix(r, &e->position, sizeof e->position);
    if (e->kind == PAGE_OWN) {
        mix(r, &e->oseq, sizeof e->oseq);
        mix(r, &e->mutation, sizeof e->mutation);
        return;
    }
    fuzz_check(e->table >= r->model->tables && e->table < r->model->tables + r->model->table_count,
               "a table of the model");
    mix(r, &e->id, sizeof e->id);
    if (e->kind == PAGE_ROW) {
        mix_values(r, e->table->columns, e->table->column_count, e->values);
        mix(r, e->version.data, e->version.size);
    }
    for (uint16_t i = 0; e->kind == PAGE_DELTA && i < e->unit_count; i++) {
        fuzz_check(e->units[i].unit < e->table->unit_count, "unit %u", e->units[i].unit);
        fuzz_check(i == 0 || e->units[i - 1].unit < e->units[i].unit, "units ascend");
        mix(r, &e->units[i].unit, sizeof e->units[i].unit);
        const struct model_unit *unit = &e->table->units[e->units[i].unit];
        mix_values(r, e->table->columns, unit->column_count, e->units[i].values);
    }
}

static enum err on_entry(void *context, const struct page_entry *entry)
{
    struct reading *r = context;
    check_entry(r, entry);
    if (++r->entries == r->stop_at)
        return ERR_INTERRUPTED;
    if (r->writes && r->written == ERR_OK)
        r->written = write(r, entry);
    return ERR_OK;
}

static void reads_again(const struct reading *first, struct bytes body, struct arena *arena)
{
    struct reading r = {.model = first->model};
    fuzz_ok(page_read(first->model, body, arena, on_entry, &r));
    fuzz_check(r.entries == first->entries && r.checksum == first->checksum, "%u entries were %u",
               r.entries, first->entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum err documented[] = {ERR_MALFORMED, ERR_MODEL, ERR_NOMEM, ERR_OK};
    static struct model *model;
    struct arena arena;
    struct bytes body = bytes_of(data, size);
    if (!model)
        model = codec_model();
    fuzz_begin(FUZZ_MEMORY_MAX);
    arena_init(&arena, DECODED_MAX);
    struct reading r = {.model = model, .writes = true};
    page_writer_init(&r.writer);
    enum err e = page_read(model, body, &arena, on_entry, &r);
    fuzz_one_of(e, "page_read", documented);
    if (e == ERR_OK && r.written == ERR_OK) {
        struct bytes written;
        fuzz_ok(page_writer_finish(&r.writer, &written));
        reads_again(&r, written, &arena);
    }
    fuzz_check(r.written == ERR_OK || r.written == ERR_TOO_LARGE, "%s", err_name(r.written));
    page_writer_done(&r.writer);
    if (r.entries) {
        struct reading stopped = {.model = model, .stop_at = r.entries / 2 + 1};
        fuzz_err(page_read(model, body, NULL, on_entry, &stopped), ERR_INTERRUPTED);
        fuzz_check(stopped.entries == stopped.stop_at, "%u", stopped.entries);
    }
    arena_done(&arena);
    fuzz_end(0);
    return 0;
}
