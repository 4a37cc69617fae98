/* version_decode.c - reads the bytes of a version (the format is described in version.c), and refuses
 * all but the canonical ones. */
#include "common/text.h"
#include "protocol/version_format.h"

#include <string.h>

enum { STAMP_SIZE = 8, DOT_SIZE_MIN = 13 };

/* A place in the blob. `error` keeps the first failure; reads after it give 0. */
struct reader {
    const uint8_t *at, *end;
    enum err error;
    struct arena *arena;
};

static void reader_fail(struct reader *reader, enum err error)
{
    if (reader->error == ERR_OK)
        reader->error = error;
    reader->at = reader->end;
}

static size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static uint64_t get_varint(struct reader *reader)
{
    struct bytes rest = {.data = reader->at, .size = reader_left(reader)};
    size_t offset = 0;
    uint64_t value = 0;

    if (rest.size > 0 && *reader->at < 0x80)
        return *reader->at++;
    if (varint_get(rest, &offset, &value) != ERR_OK) {
        reader_fail(reader, ERR_MALFORMED);
        return 0;
    }
    reader->at += offset;
    return value;
}

/* A count of things that take at least item_size bytes each, and at most `most` of them. */
static uint32_t get_count(struct reader *reader, uint64_t most, size_t item_size)
{
    uint64_t count = get_varint(reader);

    if (count <= most && count <= reader_left(reader) / item_size)
        return (uint32_t)count;
    reader_fail(reader, ERR_MALFORMED);
    return 0;
}

static const uint8_t *get_bytes(struct reader *reader, size_t size)
{
    const uint8_t *bytes = reader->at;

    if (size > reader_left(reader)) {
        reader_fail(reader, ERR_MALFORMED);
        return NULL;
    }
    reader->at += size;
    return bytes;
}

static uint64_t get_be64(struct reader *reader)
{
    const uint8_t *bytes = get_bytes(reader, 8);

    return bytes == NULL ? 0 : be64_get(bytes);
}

static struct bytes get_sized(struct reader *reader)
{
    uint64_t size = get_varint(reader);
    struct bytes bytes = {.data = reader->at, .size = (size_t)size};

    if (size > reader_left(reader)) {
        reader_fail(reader, ERR_MALFORMED);
        return (struct bytes){0};
    }
    reader->at += size;
    return bytes;
}

static struct dot get_dot(struct reader *reader)
{
    struct dot dot = {0};
    const uint8_t *tag;

    dot.origin = get_be64(reader);
    dot.oseq = get_varint(reader);
    tag = get_bytes(reader, 4);
    if (tag != NULL)
        dot.tag = be32_get(tag);
    if (dot.origin == 0 || dot.oseq == 0)
        reader_fail(reader, ERR_MALFORMED);
    return dot;
}

/* A reader of nothing at all would otherwise add 0 to NULL. */
static struct reader reader_of(struct bytes in, struct arena *arena)
{
    static const uint8_t nothing;
    const uint8_t *data = in.size > 0 ? in.data : &nothing;

    return (struct reader){.at = data, .end = data + in.size, .arena = arena};
}

static void *get_memory(struct reader *reader, size_t count, size_t size)
{
    void *memory = arena_calloc(reader->arena, count, size);

    if (memory == NULL)
        reader_fail(reader, ERR_NOMEM);
    return memory;
}

/* Returns the flags. */
static unsigned get_head(struct reader *reader, struct version_head *head)
{
    unsigned flags = FLAGS_ALL + 1;

    if (reader_left(reader) > 0)
        flags = *reader->at++;
    if (flags > FLAGS_ALL)
        reader_fail(reader, ERR_MALFORMED);
    head->stamp_adjusted = (flags & FLAG_ADJUSTED) != 0;
    head->simple = (flags & (FLAG_UNITS | FLAG_DELETES)) == 0;
    head->insert = get_dot(reader);
    head->insert_stamp = get_be64(reader);
    head->revision = get_varint(reader);
    if (head->simple && reader_left(reader) > 0)
        reader_fail(reader, ERR_MALFORMED);
    return flags;
}

enum err version_peek(struct bytes in, struct version_head *ret)
{
    struct reader reader = reader_of(in, NULL);
    struct version_head head;

    (void)get_head(&reader, &head);
    if (reader.error != ERR_OK)
        return reader.error;
    *ret = head;
    return ERR_OK;
}

/* The dictionary as read: place 0 is the insert. */
struct dot_list {
    const struct dot *dots;
    bool *used;
    uint32_t count;
};

static struct dot_list get_dots(struct reader *reader, const struct dot *insert)
{
    uint32_t count = get_count(reader, UINT32_MAX - 1, DOT_SIZE_MIN);
    struct dot *dots = get_memory(reader, (size_t)count + 1, sizeof(*dots));
    bool *used = get_memory(reader, (size_t)count + 1, sizeof(*used));

    if (dots == NULL || used == NULL)
        return (struct dot_list){0};
    dots[0] = *insert;
    used[0] = true;
    for (uint32_t i = 1; i <= count && reader->error == ERR_OK; i++) {
        dots[i] = get_dot(reader);
        if (dot_equal(&dots[i], insert) || (i > 1 && dot_compare(&dots[i - 1], &dots[i]) >= 0))
            reader_fail(reader, ERR_MALFORMED);
    }
    return (struct dot_list){.dots = dots, .used = used, .count = count + 1};
}

static struct dot get_ref(struct reader *reader, const struct dot_list *list, uint64_t ref)
{
    if (reader->error != ERR_OK)
        return (struct dot){0};
    if (ref >= list->count) {
        reader_fail(reader, ERR_MALFORMED);
        return (struct dot){0};
    }
    list->used[ref] = true;
    return list->dots[ref];
}

/* Whether a column may hold a value of this kind. Ranges and symbols are not asked: a model may have
 * narrowed them since the value was accepted. */
static bool kind_fits(const struct model_column *column, const struct value *value)
{
    if (value->kind == VALUE_NULL)
        return true;
    switch (column->type) {
    case COLUMN_TEXT:
    case COLUMN_DATE:
    case COLUMN_ENUM:
    case COLUMN_SET: return value->kind == VALUE_TEXT;
    case COLUMN_INTEGER:
    case COLUMN_MONEY:
    case COLUMN_INSTANT:
    case COLUMN_BOOLEAN: return value->kind == VALUE_INT;
    case COLUMN_REAL: return value->kind == VALUE_REAL;
    case COLUMN_REFERENCE: return value->kind == VALUE_BLOB && value->as.bytes.size == 16;
    case COLUMN_BLOB: return value->kind == VALUE_BLOB && value->as.bytes.size == 32;
    }
    return false;
}

static bool text_fits(struct bytes text)
{
    return utf8_valid(text) && (text.size == 0 || memchr(text.data, 0, text.size) == NULL);
}

static struct value get_value(struct reader *reader)
{
    const uint8_t *kind = get_bytes(reader, 1);
    struct value value = {.kind = VALUE_NULL};
    uint64_t bits;

    switch (kind == NULL ? KIND_NULL : *kind) {
    case KIND_NULL: break;
    case KIND_INT:
        bits = get_varint(reader);
        value = value_int((int64_t)(bits >> 1 ^ (bits & 1 ? UINT64_MAX : 0)));
        break;
    case KIND_REAL:
        bits = get_be64(reader);
        value.kind = VALUE_REAL;
        memcpy(&value.as.real, &bits, sizeof(bits));
        if (value.as.real != value.as.real)
            reader_fail(reader, ERR_MALFORMED);
        break;
    case KIND_TEXT:
        value = value_text(get_sized(reader));
        if (!text_fits(value.as.bytes))
            reader_fail(reader, ERR_MALFORMED);
        break;
    case KIND_BLOB: value = value_blob(get_sized(reader)); break;
    default: reader_fail(reader, ERR_MALFORMED);
    }
    return value;
}

static const struct value *get_values(struct reader *reader, const struct model_table *table,
                                      const struct model_unit *unit)
{
    struct value *values = get_memory(reader, unit->column_count, sizeof(*values));

    for (uint16_t i = 0; values != NULL && i < unit->column_count; i++) {
        values[i] = get_value(reader);
        if (reader->error == ERR_OK && !kind_fits(&table->columns[unit->columns[i]], &values[i]))
            reader_fail(reader, ERR_MALFORMED);
    }
    return values;
}

static void get_candidates(struct reader *reader, const struct model_table *table,
                           const struct model_unit *unit, const struct dot_list *dots,
                           uint64_t shape, struct unit_state *state)
{
    struct candidate *candidates = get_memory(reader, state->count, sizeof(*candidates));
    bool ranked = false, written = false;

    if (candidates == NULL)
        return;
    for (uint16_t i = 0; i < state->count && reader->error == ERR_OK; i++) {
        struct candidate *candidate = &candidates[i];
        uint64_t head = get_varint(reader);

        candidate->dot = get_ref(reader, dots, head / 2);
        written = written || head / 2 > 0;
        if (i > 0 && dot_compare(&candidates[i - 1].dot, &candidate->dot) >= 0)
            reader_fail(reader, ERR_MALFORMED);
        candidate->stamp = get_be64(reader);
        if (shape & SHAPE_RANKS)
            candidate->rank = get_varint(reader) - 1;
        ranked = ranked || candidate->rank != 0;
        if (shape & SHAPE_VALUES)
            candidate->values = get_values(reader, table, unit);
        if (head & 1)
            candidate->base = get_values(reader, table, unit);
    }
    if (!written || ((shape & SHAPE_RANKS) != 0 && !ranked))
        reader_fail(reader, ERR_MALFORMED);
    state->candidates = candidates;
}

static void get_pairs(struct reader *reader, const struct dot_list *dots, struct unit_state *state)
{
    struct set_pair *pairs;

    state->pair_count = get_count(reader, UINT32_MAX, 2);
    pairs = get_memory(reader, state->pair_count, sizeof(*pairs));
    for (uint32_t i = 0; pairs != NULL && i < state->pair_count && reader->error == ERR_OK; i++) {
        int order = -1;

        pairs[i].element = get_sized(reader);
        pairs[i].dot = get_ref(reader, dots, get_varint(reader));
        if (i > 0)
            order = bytes_compare(pairs[i - 1].element, pairs[i].element);
        if (order == 0)
            order = dot_compare(&pairs[i - 1].dot, &pairs[i].dot);
        if (order >= 0 || !text_fits(pairs[i].element))
            reader_fail(reader, ERR_MALFORMED);
    }
    state->pairs = pairs;
}

static void get_unit(struct reader *reader, const struct model_table *table,
                     const struct dot_list *dots, struct unit_state *state)
{
    uint64_t id = get_varint(reader), shape = get_varint(reader), count, expected = 0;
    const struct model_unit *unit;

    if (reader->error != ERR_OK)
        return;
    unit = id <= MODEL_ID_MAX ? model_unit_by_id(table, (uint32_t)id) : NULL;
    if (unit == NULL) {
        reader_fail(reader, ERR_MODEL);
        return;
    }
    count = shape >> SHAPE_COUNT_SHIFT;
    if (count > 1 && version_keeps_values(unit->policy))
        expected |= SHAPE_VALUES;
    if (unit->policy == MERGE_SET)
        expected |= SHAPE_PAIRS;
    if (count == 0 || count > FRONTIER_MAX || (shape & (SHAPE_VALUES | SHAPE_PAIRS)) != expected) {
        reader_fail(reader, ERR_MALFORMED);
        return;
    }
    state->unit = unit->index;
    state->count = (uint16_t)count;
    get_candidates(reader, table, unit, dots, shape, state);
    if (expected & SHAPE_PAIRS)
        get_pairs(reader, dots, state);
}

static void get_units(struct reader *reader, const struct model_table *table,
                      const struct dot_list *dots, struct version *version)
{
    uint32_t count = get_count(reader, table->unit_count, 2 + 1 + STAMP_SIZE);
    struct unit_state *units = get_memory(reader, count, sizeof(*units));

    if (count == 0)
        reader_fail(reader, ERR_MALFORMED);
    for (uint32_t i = 0; units != NULL && i < count && reader->error == ERR_OK; i++) {
        get_unit(reader, table, dots, &units[i]);
        if (i > 0 && units[i].unit <= units[i - 1].unit)
            reader_fail(reader, ERR_MALFORMED);
    }
    version->units = units;
    version->unit_count = (uint16_t)count;
}

static void get_deletes(struct reader *reader, const struct dot_list *dots, struct version *version)
{
    uint32_t count = get_count(reader, FRONTIER_MAX, 1 + STAMP_SIZE);
    struct delete_mark *deletes = get_memory(reader, count, sizeof(*deletes));
    uint64_t last = 0;

    if (count == 0)
        reader_fail(reader, ERR_MALFORMED);
    for (uint32_t i = 0; deletes != NULL && i < count && reader->error == ERR_OK; i++) {
        uint64_t ref = get_varint(reader);

        deletes[i].dot = get_ref(reader, dots, ref);
        deletes[i].stamp = get_be64(reader);
        if (ref <= last)
            reader_fail(reader, ERR_MALFORMED);
        last = ref;
    }
    version->deletes = deletes;
    version->delete_count = (uint16_t)count;
}

enum err version_decode(const struct model_table *table, struct bytes in, struct arena *arena,
                        struct version *ret)
{
    struct reader reader = reader_of(in, arena);
    struct version_head head;
    unsigned flags = get_head(&reader, &head);
    struct version version = {.insert = head.insert,
                              .insert_stamp = head.insert_stamp,
                              .stamp_adjusted = head.stamp_adjusted,
                              .revision = head.revision};

    if (!head.simple && reader.error == ERR_OK) {
        struct dot_list dots = get_dots(&reader, &version.insert);

        if (reader.error == ERR_OK && (flags & FLAG_UNITS))
            get_units(&reader, table, &dots, &version);
        if (reader.error == ERR_OK && (flags & FLAG_DELETES))
            get_deletes(&reader, &dots, &version);
        if (reader_left(&reader) > 0)
            reader_fail(&reader, ERR_MALFORMED);
        for (uint32_t i = 0; reader.error == ERR_OK && i < dots.count; i++) {
            if (!dots.used[i])
                reader_fail(&reader, ERR_MALFORMED);
        }
    }
    if (reader.error == ERR_OK)
        *ret = version;
    return reader.error;
}
