#include "protocol/ranges.h"

#include "common/bytes.h"
#include "common/siphash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t range_place(uint64_t salt, uint16_t table_id, const struct uuid *id)
{
    uint8_t key[18];
    be16_put(key, table_id);
    memcpy(key + 2, id->byte, 16);
    return siphash24(salt, 0, bytes_of(key, sizeof key));
}

uint64_t range_number(uint64_t place, uint32_t depth)
{
    return depth == 0 ? 0 : place >> (64 - depth);
}

static bool are_numbers(const uint64_t *numbers, uint32_t count, uint32_t depth)
{
    for (uint32_t i = 0; i < count; i++)
        if (numbers[i] >> depth || (i > 0 && numbers[i] <= numbers[i - 1]))
            return false;
    return true;
}

enum err ranges_init(struct ranges *ranges, uint32_t depth, uint32_t bits, const uint64_t *numbers,
                     uint32_t count)
{
    *ranges = (struct ranges){0};
    if (count == 0 || count > RANGES_ASKED_MAX || bits > RANGES_BITS_MAX ||
        depth > RANGES_DEPTH_MAX || depth + bits > RANGES_DEPTH_MAX ||
        (uint64_t)count << bits > RANGES_SUMS_MAX || !are_numbers(numbers, count, depth))
        return ERR_PROTOCOL;
    ranges->numbers = malloc(count * sizeof *numbers);
    ranges->cells = calloc((size_t)count << bits, sizeof *ranges->cells);
    if (!ranges->numbers || !ranges->cells) {
        ranges_done(ranges);
        return ERR_NOMEM;
    }
    memcpy(ranges->numbers, numbers, count * sizeof *numbers);
    ranges->depth = depth;
    ranges->bits = bits;
    ranges->count = count;
    return ERR_OK;
}

void ranges_done(struct ranges *ranges)
{
    free(ranges->numbers);
    free(ranges->cells);
    *ranges = (struct ranges){0};
}

/* The index of a number; count: it is not there. */
static uint32_t search(const uint64_t *numbers, uint32_t count, uint64_t number)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && numbers[low] == number ? low : count;
}

bool ranges_include(const uint64_t *numbers, uint32_t count, uint32_t depth, uint64_t place)
{
    return search(numbers, count, range_number(place, depth)) < count;
}

struct range_cell *ranges_cell(const struct ranges *ranges, uint64_t place)
{
    uint32_t range = search(ranges->numbers, ranges->count, range_number(place, ranges->depth));
    if (range == ranges->count)
        return NULL;
    uint64_t part =
        range_number(place, ranges->depth + ranges->bits) & (((uint64_t)1 << ranges->bits) - 1);
    return &ranges->cells[((uint64_t)range << ranges->bits) + part];
}

void range_cell_add(struct range_cell *cell, const struct digest *digest)
{
    digest_add(&cell->sum, digest);
    cell->count++;
}

void range_cell_subtract(struct range_cell *cell, const struct digest *digest)
{
    digest_subtract(&cell->sum, digest);
    cell->count--;
}

enum err ranges_sums(const struct ranges *ranges, struct buf *out)
{
    uint32_t parts = ranges->count << ranges->bits;
    for (uint32_t i = 0; i < parts; i++)
        buf_append(out, ranges->cells[i].sum.byte, RANGES_SUM_SIZE);
    return out->error;
}

uint32_t ranges_differing(const struct ranges *ranges, struct bytes theirs, struct range_count *ret)
{
    uint32_t parts = ranges->count << ranges->bits, count = 0;
    assert(theirs.size == (size_t)parts * RANGES_SUM_SIZE);
    for (uint32_t i = 0; i < parts; i++) {
        const struct range_cell *cell = &ranges->cells[i];
        if (memcmp(cell->sum.byte, theirs.data + (size_t)i * RANGES_SUM_SIZE, RANGES_SUM_SIZE) == 0)
            continue;
        uint64_t part = i & (((uint32_t)1 << ranges->bits) - 1);
        ret[count++] = (struct range_count){
            (ranges->numbers[i >> ranges->bits] << ranges->bits) + part, cell->count};
    }
    return count;
}

/* How many halvings bring `rows` down to a leaf. */
static uint32_t halvings(uint64_t rows)
{
    uint32_t bits = 0;
    while (rows > RANGES_LEAF) {
        rows = (rows + 1) / 2;
        bits++;
    }
    return bits;
}

enum range_step ranges_plan(uint32_t count, uint64_t rows, uint32_t round, uint32_t *ret_bits)
{
    enum { SMALL = 8, FIRST_MAX = 12 }; /* 2^SMALL sums cost less than one more round */
    uint32_t needed = halvings(rows), room = 0;
    if (count == 0 || count > RANGES_ASKED_MAX || round > RANGES_ROUNDS_MAX)
        return RANGES_GIVE_UP;
    while (room < RANGES_BITS_MAX && (uint64_t)count << (room + 1) <= RANGES_SUMS_MAX)
        room++;
    if (round == 1 && needed > SMALL) { /* the two rounds that follow cost the same */
        *ret_bits = (needed + 1) / 2 < FIRST_MAX ? (needed + 1) / 2 : FIRST_MAX;
        return RANGES_NARROW;
    }
    *ret_bits = needed < room ? needed : room;
    return needed <= room || round == RANGES_ROUNDS_MAX ? RANGES_ROWS : RANGES_NARROW;
}
