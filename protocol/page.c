/* The format. A body is a MessagePack array:
 *
 *   dots      [origin, oseq, tag, stamp ...], flat: what the deltas name by index
 *   entries   each an array:
 *     ROW     [0, step, table id, id, dead, version, values ...]    all columns, in order
 *     DELTA   [1, step, table id, id, previous, revision, dot index, (unit id, values ...) ...]
 *     GONE    [2, step, table id, id]
 *     OWN     [3, step, oseq, mutation index, revision]
 *
 * step: the position, less that of the entry before (the first: less 0); at least 1. id: 16 bytes
 * of binary; dead: a boolean; version: a binary. Units ascend; values are those of the unit's
 * columns. A value is nil, an integer, a float 64, a string or a binary, as its column's type
 * asks. */
#include "protocol/page.h"

#include "protocol/group.h"
#include "protocol/pack.h"
#include "protocol/scan.h"
#include "protocol/unpack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_DOTS_LOOKED_AT = 16, /* the latest ones; an older one that comes again is written again */
    PAGE_ARRAY_HEADERS = 10,  /* bytes of the body that are neither dots nor entries */
    ROW_FIELDS = 6,
    DELTA_FIELDS = 7,
    GONE_FIELDS = 4,
    OWN_FIELDS = 5,
};

/* --- Writing ---------------------------------------------------------------------------------- */

void page_writer_init(struct page_writer *w)
{
    memset(w, 0, sizeof(*w));
    buf_init(&w->entries, PAGE_BODY_MAX);
    buf_init(&w->dots, PAGE_BODY_MAX);
    buf_init(&w->body, PAGE_BODY_MAX);
}

void page_writer_done(struct page_writer *w)
{
    buf_done(&w->entries);
    buf_done(&w->dots);
    buf_done(&w->body);
    free(w->dictionary);
    free(w->stamps);
    w->dictionary = NULL;
    w->stamps = NULL;
}

void page_writer_reset(struct page_writer *w)
{
    buf_reset(&w->entries);
    buf_reset(&w->dots);
    buf_reset(&w->body);
    w->dot_count = 0;
    w->entry_count = 0;
    w->last_position = 0;
}

size_t page_writer_size(const struct page_writer *w)
{
    return w->entries.size + w->dots.size + PAGE_ARRAY_HEADERS;
}

/* What an entry has in common with the others. fields: objects of the entry's array. */
static void page_start(struct page_writer *w, enum page_entry_kind kind, uint32_t fields,
                       uint64_t position, const struct model_table *table, const struct uuid *id)
{
    assert(position > w->last_position);
    pack_array(&w->entries, fields);
    pack_uint(&w->entries, kind);
    pack_uint(&w->entries, position - w->last_position);
    pack_uint(&w->entries, table->id);
    pack_id(&w->entries, id);
}

/* start: the size of w->entries before the entry. On failure the entry is taken back, so that the
 * page can be finished with those before it. */
static enum err page_end(struct page_writer *w, size_t start, uint64_t position, enum err err)
{
    if (err == ERR_OK)
        err = w->entries.error;
    if (err == ERR_OK && page_writer_size(w) > PAGE_BODY_MAX)
        err = ERR_TOO_LARGE;
    if (err != ERR_OK) {
        w->entries.size = start;
        w->entries.error = ERR_OK;
        return err;
    }
    w->entry_count++;
    w->last_position = position;
    return ERR_OK;
}

/* A text that no receiver's scan would take is refused here. */
static enum err page_put_values(struct page_writer *w, const struct value *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].kind == VALUE_TEXT &&
            values[i].as.bytes.size > scan_limits_default.max_string_bytes)
            return ERR_TOO_LARGE;
        pack_value(&w->entries, &values[i]);
    }
    return ERR_OK;
}

enum err page_write_row(struct page_writer *w, uint64_t position, const struct model_table *table,
                        const struct uuid *id, const struct store_row *row)
{
    size_t start = w->entries.size;
    enum err err;

    if (w->entry_count == PAGE_ENTRIES_MAX)
        return ERR_TOO_LARGE;
    page_start(w, PAGE_ROW, ROW_FIELDS + (uint32_t)table->column_count, position, table, id);
    pack_bool(&w->entries, row->dead);
    pack_binary(&w->entries, row->version);
    err = page_put_values(w, row->values, table->column_count);
    return page_end(w, start, position, err);
}

static enum err page_grow_dictionary(struct page_writer *w)
{
    uint32_t capacity = w->dot_capacity == 0 ? 64 : w->dot_capacity * 2;
    struct dot *dictionary = realloc(w->dictionary, capacity * sizeof(*dictionary));
    uint64_t *stamps;

    if (dictionary == NULL)
        return ERR_NOMEM;
    w->dictionary = dictionary;
    stamps = realloc(w->stamps, capacity * sizeof(*stamps));
    if (stamps == NULL)
        return ERR_NOMEM;
    w->stamps = stamps;
    w->dot_capacity = capacity;
    return ERR_OK;
}

static enum err page_dot_index(struct page_writer *w, const struct dot *dot, uint64_t stamp,
                               uint32_t *ret_index)
{
    uint32_t oldest = w->dot_count > PAGE_DOTS_LOOKED_AT ? w->dot_count - PAGE_DOTS_LOOKED_AT : 0;
    size_t start = w->dots.size;

    for (uint32_t i = w->dot_count; i > oldest; i--) {
        if (dot_equal(&w->dictionary[i - 1], dot) && w->stamps[i - 1] == stamp) {
            *ret_index = i - 1;
            return ERR_OK;
        }
    }
    if (w->dot_count == w->dot_capacity && page_grow_dictionary(w) != ERR_OK)
        return ERR_NOMEM;
    pack_uint(&w->dots, dot->origin);
    pack_uint(&w->dots, dot->oseq);
    pack_uint(&w->dots, dot->tag);
    pack_uint(&w->dots, stamp);
    if (w->dots.error != ERR_OK) {
        enum err err = w->dots.error;

        w->dots.size = start;
        w->dots.error = ERR_OK;
        return err;
    }
    w->dictionary[w->dot_count] = *dot;
    w->stamps[w->dot_count] = stamp;
    *ret_index = w->dot_count++;
    return ERR_OK;
}

/* NOLINTNEXTLINE(readability-function-size): its parameters are the entry's fields */
enum err page_write_delta(struct page_writer *w, uint64_t position, const struct model_table *table,
                          const struct uuid *id, uint64_t previous, uint64_t revision,
                          const struct dot *dot, uint64_t stamp, const struct page_unit *units,
                          uint16_t unit_count)
{
    size_t start = w->entries.size;
    uint32_t fields = DELTA_FIELDS, index;
    enum err err;

    assert(revision > previous && unit_count > 0);
    if (w->entry_count == PAGE_ENTRIES_MAX)
        return ERR_TOO_LARGE;
    err = page_dot_index(w, dot, stamp, &index);
    if (err != ERR_OK)
        return err;
    for (uint16_t i = 0; i < unit_count; i++)
        fields += 1u + table->units[units[i].unit].column_count;
    page_start(w, PAGE_DELTA, fields, position, table, id);
    pack_uint(&w->entries, previous);
    pack_uint(&w->entries, revision);
    pack_uint(&w->entries, index);
    for (uint16_t i = 0; i < unit_count && err == ERR_OK; i++) {
        const struct model_unit *unit = &table->units[units[i].unit];

        assert(i == 0 || units[i - 1].unit < units[i].unit);
        pack_uint(&w->entries, unit->id);
        err = page_put_values(w, units[i].values, unit->column_count);
    }
    return page_end(w, start, position, err);
}

enum err page_write_gone(struct page_writer *w, uint64_t position, const struct model_table *table,
                         const struct uuid *id)
{
    size_t start = w->entries.size;

    if (w->entry_count == PAGE_ENTRIES_MAX)
        return ERR_TOO_LARGE;
    page_start(w, PAGE_GONE, GONE_FIELDS, position, table, id);
    return page_end(w, start, position, ERR_OK);
}

enum err page_write_own(struct page_writer *w, uint64_t position, uint64_t oseq, uint32_t mutation,
                        uint64_t revision)
{
    size_t start = w->entries.size;

    assert(position > w->last_position);
    if (w->entry_count == PAGE_ENTRIES_MAX)
        return ERR_TOO_LARGE;
    pack_array(&w->entries, OWN_FIELDS);
    pack_uint(&w->entries, PAGE_OWN);
    pack_uint(&w->entries, position - w->last_position);
    pack_uint(&w->entries, oseq);
    pack_uint(&w->entries, mutation);
    pack_uint(&w->entries, revision);
    return page_end(w, start, position, ERR_OK);
}

enum err page_writer_finish(struct page_writer *w, struct bytes *ret_body)
{
    buf_reset(&w->body);
    pack_array(&w->body, 1 + w->entry_count);
    pack_array(&w->body, w->dot_count * 4);
    buf_append(&w->body, w->dots.data, w->dots.size);
    buf_append(&w->body, w->entries.data, w->entries.size);
    if (w->body.error == ERR_OK)
        *ret_body = buf_view(&w->body);
    return w->body.error;
}

/* --- Reading ---------------------------------------------------------------------------------- */

struct page_dot {
    struct dot dot;
    uint64_t stamp;
};

struct page_reader {
    const struct model *model;
    struct unpacker u;
    struct page_dot *dots;
    uint32_t dot_count, entry_count;
    const struct model_table *table; /* of the entry before: mostly the same again */
    uint64_t position;
};

static enum err read_dots(struct page_reader *r)
{
    uint32_t count;
    enum err err = unpack_array(&r->u, PAGE_ENTRIES_MAX * 4, &count);

    if (err == ERR_OK && count % 4 != 0)
        err = ERR_MALFORMED;
    if (err != ERR_OK)
        return err;
    r->dots = calloc(count / 4 + 1, sizeof(*r->dots));
    if (r->dots == NULL)
        return ERR_NOMEM;
    for (; r->dot_count < count / 4 && err == ERR_OK; r->dot_count++) {
        struct page_dot *at = &r->dots[r->dot_count];
        uint64_t tag = 0;

        if (unpack_uint(&r->u, UINT64_MAX, &at->dot.origin) != ERR_OK || at->dot.origin == 0 ||
            unpack_uint(&r->u, UINT64_MAX, &at->dot.oseq) != ERR_OK || at->dot.oseq == 0 ||
            unpack_uint(&r->u, UINT32_MAX, &tag) != ERR_OK ||
            unpack_uint(&r->u, UINT64_MAX, &at->stamp) != ERR_OK)
            err = ERR_MALFORMED;
        at->dot.tag = (uint32_t)tag;
    }
    return err;
}

static enum err read_values(const struct model_table *table, const msgpack_object *items,
                            uint16_t count, struct value *values)
{
    for (uint16_t i = 0; i < count; i++) {
        if (!object_value(&items[i], table->columns[i].type, &values[i]))
            return ERR_MODEL;
    }
    for (uint16_t i = count; i < table->column_count; i++)
        values[i] = table->columns[i].fallback; /* the sender's model is an earlier one */
    return ERR_OK;
}

static enum err read_row(struct page_reader *r, const msgpack_object *items, uint32_t count,
                         struct page_entry *entry)
{
    struct value *values;

    if (count < ROW_FIELDS || items[4].type != MSGPACK_OBJECT_BOOLEAN ||
        items[5].type != MSGPACK_OBJECT_BIN)
        return ERR_MALFORMED;
    if (count - ROW_FIELDS > entry->table->column_count)
        return ERR_MODEL;
    values = unpack_scratch(&r->u, entry->table->column_count * sizeof(*values));
    if (values == NULL)
        return ERR_NOMEM;
    entry->dead = items[4].via.boolean;
    entry->version = bytes_of(items[5].via.bin.ptr, items[5].via.bin.size);
    entry->values = values;
    return read_values(entry->table, items + ROW_FIELDS, (uint16_t)(count - ROW_FIELDS), values);
}

/* (unit id, values ...) ... of count objects. */
static enum err read_units(struct page_reader *r, const msgpack_object *items, uint32_t count,
                           struct page_entry *entry)
{
    const struct model_table *table = entry->table;
    struct page_unit *units = unpack_scratch(&r->u, table->unit_count * sizeof(*units));
    struct value *values = unpack_scratch(&r->u, table->column_count * sizeof(*values));
    uint16_t unit_count = 0;

    if (units == NULL || values == NULL)
        return ERR_NOMEM;
    for (uint32_t at = 0; at < count;) {
        const struct model_unit *unit;
        uint64_t id;

        if (!object_uint(&items[at++], UINT32_MAX, &id))
            return ERR_MALFORMED;
        unit = model_unit_by_id(table, (uint32_t)id);
        if (unit == NULL)
            return ERR_MODEL;
        if ((unit_count > 0 && units[unit_count - 1].unit >= unit->index) ||
            unit->column_count > count - at)
            return ERR_MALFORMED;
        units[unit_count++] = (struct page_unit){unit->index, values};
        for (uint16_t i = 0; i < unit->column_count; i++) {
            if (!object_value(&items[at++], table->columns[unit->columns[i]].type, values++))
                return ERR_MODEL;
        }
    }
    entry->units = units;
    entry->unit_count = unit_count;
    return ERR_OK;
}

static enum err read_delta(struct page_reader *r, const msgpack_object *items, uint32_t count,
                           struct page_entry *entry)
{
    uint64_t dot;

    if (count <= DELTA_FIELDS || !object_uint(&items[4], UINT64_MAX, &entry->previous) ||
        !object_uint(&items[5], UINT64_MAX, &entry->revision) ||
        entry->revision <= entry->previous || !object_uint(&items[6], UINT32_MAX, &dot) ||
        dot >= r->dot_count)
        return ERR_MALFORMED;
    entry->dot = r->dots[dot].dot;
    entry->stamp = r->dots[dot].stamp;
    return read_units(r, items + DELTA_FIELDS, count - DELTA_FIELDS, entry);
}

static enum err read_own(const msgpack_object *items, uint32_t count, struct page_entry *entry)
{
    uint64_t mutation;

    if (count != OWN_FIELDS || !object_uint(&items[2], UINT64_MAX, &entry->oseq) ||
        !object_uint(&items[3], GROUP_MUTATIONS_MAX - 1, &mutation) ||
        !object_uint(&items[4], UINT64_MAX, &entry->revision) || entry->oseq == 0)
        return ERR_MALFORMED;
    entry->mutation = (uint32_t)mutation;
    return ERR_OK;
}

/* What an entry of a record starts with: table and id. */
static enum err read_record(struct page_reader *r, const msgpack_object *items,
                            struct page_entry *entry)
{
    uint64_t table;

    if (!object_uint(&items[2], UINT32_MAX, &table) || !object_id(&items[3], &entry->id))
        return ERR_MALFORMED;
    if (r->table == NULL || r->table->id != table)
        r->table = model_table_by_id(r->model, (uint32_t)table);
    entry->table = r->table;
    return r->table == NULL ? ERR_MODEL : ERR_OK;
}

static enum err read_entry(struct page_reader *r, struct page_entry *entry)
{
    const msgpack_object *items;
    msgpack_object object;
    uint32_t count;
    uint64_t kind, step;
    enum err err = unpack_object(&r->u, &object);

    if (err != ERR_OK)
        return err;
    items = object.via.array.ptr;
    count = object.via.array.size;
    if (object.type != MSGPACK_OBJECT_ARRAY || count < GONE_FIELDS ||
        !object_uint(&items[0], PAGE_OWN, &kind) || !object_uint(&items[1], UINT64_MAX, &step) ||
        step == 0 || step > UINT64_MAX - r->position)
        return ERR_MALFORMED;
    r->position += step;
    entry->kind = (enum page_entry_kind)kind;
    entry->position = r->position;
    if (entry->kind == PAGE_OWN)
        return read_own(items, count, entry);
    err = read_record(r, items, entry);
    if (err != ERR_OK)
        return err;
    if (entry->kind == PAGE_ROW)
        return read_row(r, items, count, entry);
    if (entry->kind == PAGE_DELTA)
        return read_delta(r, items, count, entry);
    return count == GONE_FIELDS ? ERR_OK : ERR_MALFORMED;
}

static enum err read_entries(struct page_reader *r, struct arena *arena, page_entry_fn *fn,
                             void *context)
{
    uint32_t count;
    enum err err = unpack_array(&r->u, 1 + PAGE_ENTRIES_MAX, &count);

    if (err == ERR_OK && count == 0)
        err = ERR_MALFORMED;
    if (err == ERR_OK)
        err = read_dots(r);
    for (uint32_t i = 1; err == ERR_OK && i < count; i++) {
        struct page_entry entry = {0};

        if (arena != NULL)
            arena_reset(arena);
        err = read_entry(r, &entry);
        if (err == ERR_OK)
            err = fn(context, &entry);
    }
    if (err == ERR_OK && !unpack_at_end(&r->u))
        err = ERR_MALFORMED;
    return err;
}

enum err page_read(const struct model *model, struct bytes body, struct arena *arena,
                   page_entry_fn *fn, void *context)
{
    struct page_reader r = {.model = model};
    enum err err;

    unpack_init(&r.u, body);
    err = read_entries(&r, arena, fn, context);
    unpack_done(&r.u);
    free(r.dots);
    return err;
}
