/* version.c - the bytes of a version.
 *
 * Format (integers: varint = LEB128 in the shortest form, beN = N bytes big-endian):
 *
 *   head     flags byte (bit 0 units, bit 1 deletes, bit 2 stamp_adjusted; others 0)
 *            insert dot (origin be8, oseq varint, tag be4), insert_stamp be8, revision varint
 *   dots     if units or deletes: count varint, then each dot but the insert's that is named below,
 *            once, ascending (origin be8, oseq varint, tag be4). `ref` n is the n-th of them, from 1;
 *            ref 0 is the insert.
 *   units    if bit 0: count varint, then each, ascending by id:
 *            id varint, shape varint = candidates * 8 + pairs? 4 + values? 2 + ranks? 1,
 *            candidates ascending by dot:
 *              ref * 2 + base? varint, stamp be8,
 *              ranks:  rank varint, plus one; RANK_PENDING is 0
 *              values: one per column of the unit
 *              base:   one per column of the unit
 *            pairs (exactly with MERGE_SET): count varint, then each, ascending by (element, dot):
 *              size varint, element, ref varint
 *   deletes  if bit 1: count varint, then each, ascending by dot: ref varint, stamp be8
 *   value    kind byte (0 NULL, 1 INT, 2 REAL, 3 TEXT, 4 BLOB), then INT: zigzag varint; REAL: IEEE
 *            754 be8, no NaN; TEXT and BLOB: size varint, bytes
 *
 * Canonical:  `ranks` is set if and only if some rank is not 0, `values` if and only if there are
 *             several candidates of a policy other than counter and set; a unit names a dot other than
 *             the insert's; a delete is never the insert; nothing follows. What breaks a rule is
 *             refused.
 * Cost:       simple versions take one pass and no memory; others O(n log n) in the dots named. */
#include "protocol/version_format.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { STAMP_SIZE = 8 };

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *put_dot(uint8_t *out, const struct dot *dot)
{
    be64_put(out, dot->origin);
    out = put_varint(out + 8, dot->oseq);
    be32_put(out, dot->tag);
    return out + 4;
}

static uint8_t *put_head(uint8_t *out, const struct version *version, unsigned flags)
{
    *out++ = (uint8_t)(flags | (version->stamp_adjusted ? FLAG_ADJUSTED : 0u));
    out = put_dot(out, &version->insert);
    be64_put(out, version->insert_stamp);
    return put_varint(out + STAMP_SIZE, version->revision);
}

size_t version_encode_simple(const struct version *version, uint8_t *out)
{
    assert(version->unit_count == 0 && version->delete_count == 0);
    return (size_t)(put_head(out, version, 0) - out);
}

/* The dots that a version names, but the insert's: ascending, once. */
struct dot_table {
    struct dot inside[48];
    struct dot *dots; /* inside, or from malloc */
    size_t count;
};

static void dot_table_add(struct dot_table *table, const struct dot *dot, const struct dot *insert)
{
    /* Runs of one dot (a group that wrote several units, the pairs of a set) stay one. */
    if (dot_equal(dot, insert) ||
        (table->count > 0 && dot_equal(dot, &table->dots[table->count - 1])))
        return;
    table->dots[table->count++] = *dot;
}

static int compare_dots(const void *a, const void *b)
{
    return dot_compare(a, b);
}

static void dot_table_sort(struct dot_table *table)
{
    size_t kept = 0;

    if (table->count <= FRONTIER_MAX) {
        table->count = dot_sort(table->dots, (uint16_t)table->count);
        return;
    }
    qsort(table->dots, table->count, sizeof(*table->dots), compare_dots);
    for (size_t i = 0; i < table->count; i++) {
        if (kept == 0 || !dot_equal(&table->dots[kept - 1], &table->dots[i]))
            table->dots[kept++] = table->dots[i];
    }
    table->count = kept;
}

static enum err dot_table_init(struct dot_table *table, const struct version *version)
{
    size_t most = version->delete_count;

    for (uint16_t i = 0; i < version->unit_count; i++)
        most += (size_t)version->units[i].count + version->units[i].pair_count;
    table->dots = table->inside;
    table->count = 0;
    if (most > sizeof(table->inside) / sizeof(table->inside[0])) {
        table->dots = malloc(most * sizeof(*table->dots));
        if (table->dots == NULL)
            return ERR_NOMEM;
    }
    for (uint16_t i = 0; i < version->unit_count; i++) {
        const struct unit_state *unit = &version->units[i];

        for (uint16_t j = 0; j < unit->count; j++)
            dot_table_add(table, &unit->candidates[j].dot, &version->insert);
        for (uint32_t j = 0; j < unit->pair_count; j++)
            dot_table_add(table, &unit->pairs[j].dot, &version->insert);
    }
    for (uint16_t i = 0; i < version->delete_count; i++)
        dot_table_add(table, &version->deletes[i].dot, &version->insert);
    dot_table_sort(table);
    return ERR_OK;
}

static void dot_table_done(struct dot_table *table)
{
    if (table->dots != table->inside)
        free(table->dots);
}

static uint64_t dot_table_ref(const struct dot_table *table, const struct version *version,
                              const struct dot *dot)
{
    size_t low = 0, high = table->count;

    if (dot_equal(dot, &version->insert))
        return 0;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (dot_compare(&table->dots[middle], dot) <= 0)
            low = middle;
        else
            high = middle;
    }
    assert(dot_equal(&table->dots[low], dot));
    return low + 1;
}

/* The appends below leave their error in out->error; version_encode looks at it once. */
static void append_be64(struct buf *out, uint64_t value)
{
    uint8_t bytes[8];

    be64_put(bytes, value);
    (void)buf_append(out, bytes, sizeof(bytes));
}

static void append_sized(struct buf *out, struct bytes bytes)
{
    (void)buf_append_varint(out, bytes.size);
    (void)buf_append(out, bytes.data, bytes.size);
}

static void append_value(struct buf *out, const struct value *value)
{
    uint64_t bits;

    switch (value->kind) {
    case VALUE_NULL: (void)buf_append_byte(out, KIND_NULL); break;
    case VALUE_INT:
        (void)buf_append_byte(out, KIND_INT);
        bits = (uint64_t)value->as.integer << 1 ^ (value->as.integer < 0 ? UINT64_MAX : 0);
        (void)buf_append_varint(out, bits);
        break;
    case VALUE_REAL:
        (void)buf_append_byte(out, KIND_REAL);
        memcpy(&bits, &value->as.real, sizeof(bits));
        append_be64(out, bits);
        break;
    case VALUE_TEXT:
    case VALUE_BLOB:
        (void)buf_append_byte(out, value->kind == VALUE_TEXT ? KIND_TEXT : KIND_BLOB);
        append_sized(out, value->as.bytes);
        break;
    }
}

static void append_values(struct buf *out, const struct value *values, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++)
        append_value(out, &values[i]);
}

static unsigned unit_shape(const struct model_unit *unit, const struct unit_state *state)
{
    unsigned shape = (unsigned)state->count << SHAPE_COUNT_SHIFT;

    for (uint16_t i = 0; i < state->count; i++) {
        if (state->candidates[i].rank != 0)
            shape |= SHAPE_RANKS;
    }
    if (state->count > 1 && version_keeps_values(unit->policy))
        shape |= SHAPE_VALUES;
    if (unit->policy == MERGE_SET)
        shape |= SHAPE_PAIRS;
    return shape;
}

static void append_unit(const struct model_unit *unit, const struct version *version,
                        const struct unit_state *state, const struct dot_table *dots,
                        struct buf *out)
{
    unsigned shape = unit_shape(unit, state);

    (void)buf_append_varint(out, unit->id);
    (void)buf_append_varint(out, shape);
    for (uint16_t i = 0; i < state->count; i++) {
        const struct candidate *candidate = &state->candidates[i];
        uint64_t ref = dot_table_ref(dots, version, &candidate->dot);

        (void)buf_append_varint(out, ref * 2 + (candidate->base != NULL));
        append_be64(out, candidate->stamp);
        if (shape & SHAPE_RANKS)
            (void)buf_append_varint(out, candidate->rank + 1); /* RANK_PENDING wraps to 0 */
        if (shape & SHAPE_VALUES) {
            assert(candidate->values != NULL);
            append_values(out, candidate->values, unit->column_count);
        }
        if (candidate->base != NULL)
            append_values(out, candidate->base, unit->column_count);
    }
    if (!(shape & SHAPE_PAIRS))
        return;
    (void)buf_append_varint(out, state->pair_count);
    for (uint32_t i = 0; i < state->pair_count; i++) {
        append_sized(out, state->pairs[i].element);
        (void)buf_append_varint(out, dot_table_ref(dots, version, &state->pairs[i].dot));
    }
}

static void append_dots(struct buf *out, const struct dot_table *dots)
{
    uint8_t encoded[8 + 10 + 4];

    (void)buf_append_varint(out, dots->count);
    for (size_t i = 0; i < dots->count; i++)
        (void)buf_append(out, encoded, (size_t)(put_dot(encoded, &dots->dots[i]) - encoded));
}

enum err version_encode(const struct model_table *table, const struct version *version,
                        struct buf *out)
{
    unsigned flags =
        (version->unit_count ? FLAG_UNITS : 0u) | (version->delete_count ? FLAG_DELETES : 0u);
    uint8_t head[VERSION_SIMPLE_MAX];
    struct dot_table dots;
    size_t start = out->size;
    enum err error;

    error = buf_append(out, head, (size_t)(put_head(head, version, flags) - head));
    if (error != ERR_OK || flags == 0)
        return error;
    error = dot_table_init(&dots, version);
    if (error != ERR_OK) {
        out->size = start;
        return error;
    }
    append_dots(out, &dots);
    if (version->unit_count > 0)
        (void)buf_append_varint(out, version->unit_count);
    for (uint16_t i = 0; i < version->unit_count; i++) {
        assert(version->units[i].unit < table->unit_count);
        append_unit(&table->units[version->units[i].unit], version, &version->units[i], &dots, out);
    }
    if (version->delete_count > 0)
        (void)buf_append_varint(out, version->delete_count);
    for (uint16_t i = 0; i < version->delete_count; i++) {
        (void)buf_append_varint(out, dot_table_ref(&dots, version, &version->deletes[i].dot));
        append_be64(out, version->deletes[i].stamp);
    }
    dot_table_done(&dots);
    if (out->error != ERR_OK)
        out->size = start;
    return out->error;
}

const struct unit_state *version_unit(const struct version *version, uint16_t unit_index)
{
    uint16_t low = 0, high = version->unit_count;

    while (low < high) {
        uint16_t middle = (uint16_t)(low + (high - low) / 2);

        if (version->units[middle].unit == unit_index)
            return &version->units[middle];
        if (version->units[middle].unit < unit_index)
            low = (uint16_t)(middle + 1);
        else
            high = middle;
    }
    return NULL;
}

struct dot_set version_frontier(const struct version *version, uint16_t unit_index,
                                struct dot *dots)
{
    const struct unit_state *unit = version_unit(version, unit_index);

    if (unit == NULL) {
        dots[0] = version->insert;
        return (struct dot_set){.dots = dots, .count = 1};
    }
    assert(unit->count <= FRONTIER_MAX);
    for (uint16_t i = 0; i < unit->count; i++)
        dots[i] = unit->candidates[i].dot;
    return (struct dot_set){.dots = dots, .count = unit->count};
}

int set_pair_compare(const void *a, const void *b)
{
    const struct set_pair *x = a, *y = b;
    int order = bytes_compare(x->element, y->element);

    return order != 0 ? order : dot_compare(&x->dot, &y->dot);
}
