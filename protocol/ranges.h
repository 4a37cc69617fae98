/* ranges.h - finding what differs between two sets of records, range by range.
 *
 * Model:      range-based set reconciliation: both sides sum up the digests of their records per range of
 *             an order on them; ranges whose sums agree are done with, the others are split, until
 *             they are so small that their rows are sent. The order is that of *places*: a record's
 *             place is a keyed hash of its table and id, 64 bits, the key (salt) new for each
 *             comparison. So records lie evenly whatever their ids are and whoever chose them; a
 *             range is split into equal parts without looking and named by a number (the leading
 *             bits of its places); and its sum is made in one pass in whatever order records come,
 *             with no index and no sorting.
 * Cost:       with N records, few of which differ: about 2 * sqrt(N / 16) sums of 8 bytes, two rounds, and
 *             16 rows for each difference.
 * Ownership:  a struct ranges owns its arrays until ranges_done(), which accepts a zeroed one.
 * Source:     A. Meyer, "Range-Based Set Reconciliation", 2022 (arXiv:2212.13567); SPEC.md 9.5. */
#ifndef PROTOCOL_RANGES_H
#define PROTOCOL_RANGES_H

#include "protocol/digest.h"

enum {
    RANGES_ASKED_MAX = 4096, /* ranges that one message asks about */
    RANGES_SUMS_MAX = 8192,  /* sums in one message, and so differences in its answer */
    RANGES_SUM_SIZE = 8,
    RANGES_BITS_MAX = 13,  /* a range is split into 2^bits parts */
    RANGES_DEPTH_MAX = 60, /* bits of a range's number */
    RANGES_LEAF = 16,      /* rows of a range that are sent rather than split */
    RANGES_ROUNDS_MAX = 6, /* questions about a bucket in one comparison */
};

struct range_cell {
    struct digest sum;
    uint64_t count;
};

/* Ranges of one depth, each split into 2^bits parts, with a cell for each part. */
struct ranges {
    uint32_t depth, bits, count;
    uint64_t *numbers;        /* count, strictly ascending, each below 2^depth */
    struct range_cell *cells; /* count << bits, in order of place */
};

/* A part that differs: its number at the depth of parts, and its records at the server. */
struct range_count {
    uint64_t number, count;
};

uint64_t range_place(uint64_t salt, uint16_t table_id, const struct uuid *id);
/* The number of the range of this depth that the place is in. */
uint64_t range_number(uint64_t place, uint32_t depth);

/* Empty cells; numbers are copied. ERR_PROTOCOL: not of the form above, or over a limit; ERR_NOMEM. */
enum err ranges_init(struct ranges *ranges, uint32_t depth, uint32_t bits, const uint64_t *numbers,
                     uint32_t count);
void ranges_done(struct ranges *ranges);
/* The cell that a place belongs to, NULL: it is in none of the ranges. */
struct range_cell *ranges_cell(const struct ranges *ranges, uint64_t place);
void range_cell_add(struct range_cell *cell, const struct digest *digest);
void range_cell_subtract(struct range_cell *cell, const struct digest *digest);
/* Whether a place is in one of `count` ranges with these ascending numbers. */
bool ranges_include(const uint64_t *numbers, uint32_t count, uint32_t depth, uint64_t place);

/* Appends the sums of all parts, 8 bytes each: the low half, little-endian. ERR_NOMEM. */
enum err ranges_sums(const struct ranges *ranges, struct buf *out);
/* The parts whose sum here is another than in `theirs` (which has one for each part): into `ret`, which
 * has room for all; returns how many. */
uint32_t ranges_differing(const struct ranges *ranges, struct bytes theirs,
                          struct range_count *ret);

enum range_step {
    RANGES_NARROW,  /* ask which parts differ */
    RANGES_ROWS,    /* ask for the rows of the parts that differ */
    RANGES_GIVE_UP, /* too much differs: read the bucket anew */
};
/* How to ask about `count` ranges, the fullest of which has `rows` records, as round number `round`
 * (from 1). */
enum range_step ranges_plan(uint32_t count, uint64_t rows, uint32_t round, uint32_t *ret_bits);

#endif
