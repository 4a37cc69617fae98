/* pool_group.c - groups, versions and pages by the input's choice. */
#include "tests/fuzz/pool.h"

enum { DOTS_MAX = 4, SET_MAX = 4 };

static void *need(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_calloc(arena, count, size);
    fuzz_check(memory, "no memory");
    return memory;
}

/* --- values ----------------------------------------------------------------------------------- */

static struct value value_of(const struct pool *pool, struct fuzz_input *in,
                             const struct model_column *column, struct arena *arena)
{
    switch (column->type) {
    case COLUMN_TEXT:
    case COLUMN_DATE: return value_text(pool_text(in, SIZE_MAX, arena));
    case COLUMN_ENUM:
        return value_text(bytes_of_text(column->symbols[fuzz_u8(in) % column->symbol_count]));
    case COLUMN_SET:
        return value_text(bytes_of_text(fuzz_u8(in) % 2 ? "[\"x\"]" : "[\"y\",\"z\"]"));
    case COLUMN_INTEGER:
    case COLUMN_MONEY:
    case COLUMN_INSTANT: return value_int((int64_t)fuzz_number(in));
    case COLUMN_BOOLEAN: return value_int(fuzz_u8(in) % 3);
    case COLUMN_REAL: {
        static const double reals[] = {0, -0.0, 1.5, -2, 1e308, 5e-324};
        return value_real(reals[fuzz_u8(in) % 6]);
    }
    case COLUMN_REFERENCE: {
        struct uuid id = pool_id(pool, in);
        uint8_t *copy = need(arena, 16, 1);
        memcpy(copy, id.byte, 16);
        return value_blob(bytes_of(copy, 16));
    }
    case COLUMN_BLOB: return value_blob(bytes_of(need(arena, 32, 1), 32));
    }
    return value_null();
}

struct value pool_value(const struct pool *pool, struct fuzz_input *in,
                        const struct model_column *column, struct arena *arena)
{
    uint8_t choice = fuzz_u8(in);
    if (choice >= 248)
        return value_text(pool_text(in, SIZE_MAX, arena)); /* whatever the column is */
    if (choice >= 224)
        return value_null();
    return value_of(pool, in, column, arena);
}

static const struct value *values_of(const struct pool *pool, struct fuzz_input *in,
                                     const struct model_table *table, const struct model_unit *unit,
                                     struct arena *arena)
{
    struct value *values = need(arena, unit->column_count, sizeof *values);
    for (uint16_t i = 0; i < unit->column_count; i++)
        values[i] = pool_value(pool, in, &table->columns[unit->columns[i]], arena);
    return values;
}

/* --- dots ------------------------------------------------------------------------------------- */

static struct dot_set dots_of(const struct pool *pool, struct fuzz_input *in, uint16_t max,
                              struct arena *arena)
{
    uint8_t choice = fuzz_u8(in);
    uint16_t count = (uint16_t)(choice < 250 ? choice % (max + 1) : FRONTIER_MAX - 2 + choice % 4);
    struct dot *dots = need(arena, (size_t)count + 1, sizeof *dots);
    for (uint16_t i = 0; i < count; i++)
        dots[i] = i < DOTS_MAX ? pool_dot(pool, in) : (struct dot){7, i, i};
    return (struct dot_set){dots, dot_sort(dots, count)};
}

static int compare_pairs(const void *a, const void *b)
{
    const struct set_pair *x = a, *y = b;
    int order = bytes_compare(x->element, y->element);
    return order ? order : dot_compare(&x->dot, &y->dot);
}

static struct set_pair *pairs_of(const struct pool *pool, struct fuzz_input *in,
                                 uint32_t *ret_count, struct arena *arena)
{
    static const char *const elements[] = {"a", "x", "y", "", "\xd1\x8f", "\xff"};
    uint32_t count = fuzz_u8(in) % SET_MAX, kept = 0;
    struct set_pair *pairs = need(arena, SET_MAX, sizeof *pairs);
    for (uint32_t i = 0; i < count; i++) {
        pairs[i].element = bytes_of_text(elements[fuzz_u8(in) % 6]);
        pairs[i].dot = pool_dot(pool, in);
    }
    qsort(pairs, count, sizeof *pairs, compare_pairs);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || compare_pairs(&pairs[kept - 1], &pairs[i]) != 0)
            pairs[kept++] = pairs[i];
    *ret_count = kept;
    return pairs;
}

/* --- groups ----------------------------------------------------------------------------------- */

static struct unit_write write_of(const struct pool *pool, struct fuzz_input *in,
                                  const struct mutation *mutation, const struct model_unit *unit,
                                  struct arena *arena)
{
    struct unit_write write = {.unit = unit};
    bool insert = mutation->op == MUTATION_INSERT;
    if (!insert)
        write.seen = dots_of(pool, in, DOTS_MAX, arena);
    if (unit->policy == MERGE_SET && !insert) {
        struct set_pair *adds = pairs_of(pool, in, &write.add_count, arena);
        struct bytes *elements = need(arena, SET_MAX, sizeof *elements);
        uint32_t count = 0;
        for (uint32_t i = 0; i < write.add_count; i++)
            if (count == 0 || !bytes_equal(elements[count - 1], adds[i].element))
                elements[count++] = adds[i].element;
        write.adds = elements;
        write.add_count = count;
        write.removes = pairs_of(pool, in, &write.remove_count, arena);
        return write;
    }
    write.values = values_of(pool, in, mutation->table, unit, arena);
    if (unit->policy == MERGE_COUNTER && !insert) {
        struct value *delta = (struct value *)(uintptr_t)write.values;
        if (delta->kind == VALUE_NULL)
            *delta = value_int(1);
    }
    if (unit->carries_base && mutation->op == MUTATION_UPDATE)
        write.base = values_of(pool, in, mutation->table, unit, arena);
    return write;
}

static void writes_of(const struct pool *pool, struct fuzz_input *in, struct mutation *mutation,
                      struct arena *arena)
{
    const struct model_table *table = mutation->table;
    struct unit_write *writes = need(arena, table->unit_count, sizeof *writes);
    uint32_t chosen = fuzz_u24(in);
    for (uint16_t i = 0; i < table->unit_count; i++)
        if (chosen >> i % 24 & 1)
            writes[mutation->write_count++] = write_of(pool, in, mutation, &table->units[i], arena);
    mutation->writes = writes;
}

static struct mutation mutation_of(const struct pool *pool, struct fuzz_input *in,
                                   const struct model *model, struct arena *arena)
{
    struct mutation m = {.table = &model->tables[fuzz_u8(in) % model->table_count]};
    m.op = (enum mutation_op)(1 + fuzz_u8(in) % 4);
    m.id = pool_id(pool, in);
    if (m.op != MUTATION_INSERT)
        m.insert = pool_dot(pool, in);
    if (m.op == MUTATION_DELETE) {
        struct unit_seen *frontier = need(arena, m.table->unit_count, sizeof *frontier);
        uint32_t chosen = fuzz_u16(in);
        for (uint16_t i = 0; i < m.table->unit_count; i++)
            if (chosen >> i % 16 & 1)
                frontier[m.frontier_count++] =
                    (struct unit_seen){i, dots_of(pool, in, DOTS_MAX, arena)};
        m.frontier = frontier;
        return m;
    }
    if (m.op == MUTATION_RESTORE)
        m.deletes = dots_of(pool, in, DOTS_MAX, arena);
    writes_of(pool, in, &m, arena);
    return m;
}

void pool_group(const struct pool *pool, struct fuzz_input *in, const struct model *model,
                struct arena *arena, struct group *ret)
{
    struct mutation *mutations = need(arena, 4, sizeof *mutations);
    *ret = (struct group){.dot = pool_dot(pool, in), .mutations = mutations};
    ret->stamp = pool_number(pool, in);
    ret->model_version = fuzz_u8(in) < 240 ? model->version : fuzz_u8(in);
    ret->mutation_count = 1 + fuzz_u8(in) % 4;
    if (fuzz_u8(in) >= 240)
        ret->renamed = pool_dot(pool, in);
    for (uint32_t i = 0; i < ret->mutation_count; i++)
        mutations[i] = mutation_of(pool, in, model, arena);
}

/* --- versions --------------------------------------------------------------------------------- */

static struct unit_state state_of(const struct pool *pool, struct fuzz_input *in,
                                  const struct model_table *table, const struct model_unit *unit,
                                  struct arena *arena)
{
    struct dot_set set = dots_of(pool, in, DOTS_MAX - 1, arena);
    if (set.count == 0)
        set.count = 1;
    struct candidate *candidates = need(arena, set.count, sizeof *candidates);
    struct unit_state state = {.unit = unit->index, .count = set.count, .candidates = candidates};
    bool plain = unit->policy == MERGE_COUNTER || unit->policy == MERGE_SET;
    for (uint16_t i = 0; i < set.count; i++) {
        candidates[i] = (struct candidate){.dot = set.dots[i], .stamp = pool_number(pool, in)};
        if (unit->policy == MERGE_FIRST || unit->policy == MERGE_MANUAL ||
            unit->policy == MERGE_FSM)
            candidates[i].rank = fuzz_number(in);
        if (set.count > 1 && !plain)
            candidates[i].values = values_of(pool, in, table, unit, arena);
        if (unit->carries_base && fuzz_u8(in) % 2)
            candidates[i].base = values_of(pool, in, table, unit, arena);
    }
    if (unit->policy == MERGE_SET)
        state.pairs = pairs_of(pool, in, &state.pair_count, arena);
    return state;
}

void pool_version(const struct pool *pool, struct fuzz_input *in, const struct model_table *table,
                  struct arena *arena, struct version *ret)
{
    struct unit_state *units = need(arena, table->unit_count, sizeof *units);
    *ret = (struct version){.insert = pool_dot(pool, in), .units = units};
    ret->insert_stamp = pool_number(pool, in);
    ret->revision = pool_number(pool, in);
    uint8_t kind = fuzz_u8(in);
    if (kind < 96)
        return;
    ret->stamp_adjusted = kind % 2;
    uint32_t chosen = fuzz_u24(in);
    for (uint16_t i = 0; i < table->unit_count; i++)
        if (chosen >> i % 24 & 1)
            units[ret->unit_count++] = state_of(pool, in, table, &table->units[i], arena);
    struct dot_set deletes = dots_of(pool, in, 2, arena);
    struct delete_mark *marks = need(arena, 3, sizeof *marks);
    for (uint16_t i = 0; i < deletes.count; i++)
        marks[i] = (struct delete_mark){deletes.dots[i], pool_number(pool, in)};
    ret->deletes = marks;
    ret->delete_count = deletes.count;
}

/* --- pages ------------------------------------------------------------------------------------ */

static enum err add_row(const struct pool *pool, struct fuzz_input *in, struct page_writer *w,
                        uint64_t at, const struct model_table *table, struct arena *arena)
{
    struct store_row row = {.values = need(arena, table->column_count, sizeof *row.values)};
    struct version version;
    struct buf blob;
    struct uuid id = pool_id(pool, in);
    uint8_t kind = fuzz_u8(in);
    for (uint16_t i = 0; i < table->column_count; i++)
        row.values[i] = kind % 2 ? pool_value(pool, in, &table->columns[i], arena) : value_null();
    row.dead = kind >= 224;
    buf_init(&blob, 1 << 20);
    pool_version(pool, in, table, arena, &version);
    if (kind % 16 == 15)
        row.version = pool_blob(pool, in, SIZE_MAX, arena);
    else if (version_encode(table, &version, &blob) == ERR_OK)
        row.version = buf_view(&blob);
    enum err e = page_write_row(w, at, table, &id, &row);
    buf_done(&blob);
    return e;
}

static enum err add_delta(const struct pool *pool, struct fuzz_input *in, struct page_writer *w,
                          uint64_t at, const struct model_table *table, struct arena *arena)
{
    struct page_unit *units = need(arena, table->unit_count, sizeof *units);
    uint16_t count = 0;
    struct uuid id = pool_id(pool, in);
    struct dot dot = pool_dot(pool, in);
    uint32_t chosen = fuzz_u24(in);
    for (uint16_t i = 0; i < table->unit_count; i++)
        if (chosen >> i % 24 & 1)
            units[count++] =
                (struct page_unit){i, values_of(pool, in, table, &table->units[i], arena)};
    uint64_t previous = fuzz_number(in) / 2;
    if (count == 0)
        return ERR_INVALID;
    uint64_t revision = previous + 1 + fuzz_u8(in) % 3;
    uint64_t stamp = pool_number(pool, in);
    return page_write_delta(w, at, table, &id, previous, revision, &dot, stamp, units, count);
}

struct bytes pool_page(const struct pool *pool, struct fuzz_input *in, const struct model *model,
                       uint64_t from, struct arena *arena, uint64_t *ret_to)
{
    struct page_writer w;
    struct bytes body, copy = {NULL, 0};
    unsigned count = fuzz_u8(in) % 9;
    page_writer_init(&w);
    *ret_to = from;
    for (unsigned i = 0; i < count && from < UINT64_MAX - 1000; i++) {
        enum err e = ERR_OK;
        const struct model_table *table = &model->tables[fuzz_u8(in) % model->table_count];
        uint8_t kind = fuzz_u8(in);
        uint64_t at = from + 1 + (kind >= 240 ? fuzz_u8(in) : 0);
        uint64_t oseq;
        uint32_t mutation;
        struct uuid id;
        switch (kind % 4) {
        case PAGE_ROW: e = add_row(pool, in, &w, at, table, arena); break;
        case PAGE_DELTA: e = add_delta(pool, in, &w, at, table, arena); break;
        case PAGE_GONE:
            id = pool_id(pool, in);
            e = page_write_gone(&w, at, table, &id);
            break;
        default:
            oseq = pool_number(pool, in);
            mutation = fuzz_u8(in) % 5;
            e = page_write_own(&w, at, oseq, mutation, fuzz_number(in));
        }
        if (e == ERR_OK)
            *ret_to = from = at;
    }
    if (page_writer_finish(&w, &body) == ERR_OK)
        fuzz_ok(arena_copy(arena, body, &copy));
    page_writer_done(&w);
    return copy;
}
