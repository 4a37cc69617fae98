/* version.h - what a record carries beside its values: dots, stamps, candidates, deletes, revision.
 *
 * Model:      each unit (column or column group) has a *frontier*: the set of its maximal dots. A unit
 *             not written since the insert is not listed: its frontier is {insert}, its value the row's.
 *             A unit with one candidate has its values in the row; with more, each candidate carries
 *             its own, and the row shows what merge.h makes of them.
 * Invariants: units ascending by unit index; candidates ascending by dot; pairs ascending by
 *             (value, dot); deletes ascending by dot. One state has one encoding (canonical): equal
 *             states have equal bytes, so that digests may hash them.
 * Format:     see version.c; part of the wire (SPEC.md 3): rows travel with it as an opaque blob.
 * Ownership:  decoded structures live in an arena; values may be views into the encoded blob. */
#ifndef PROTOCOL_VERSION_H
#define PROTOCOL_VERSION_H

#include "common/buf.h"
#include "common/model.h"
#include "protocol/dot.h"

/* One of the concurrent writes of a unit. */
struct candidate {
    struct dot dot;
    uint64_t stamp; /* effective */
    uint64_t rank; /* first, manual, fsm: the revision at which it (or the earliest it replaced) was
                       decided; RANK_PENDING in a view; 0 for other policies */
    const struct value
        *values;              /* unit->column_count of them; NULL while it is the only one, and for
                                   counter and set */
    const struct value *base; /* what its author saw, where unit->carries_base; may be NULL */
};

#define RANK_PENDING UINT64_MAX

/* An element of a set and the dot that added it. */
struct set_pair {
    struct bytes element;
    struct dot dot;
};
/* By (element, dot); for qsort() and bsearch() of pairs. */
int set_pair_compare(const void *a, const void *b);

struct unit_state {
    uint16_t unit; /* index in table->units */
    uint16_t count;
    const struct candidate *candidates; /* their dots are the frontier; never empty */
    const struct set_pair *pairs;       /* MERGE_SET: what is in the set */
    uint32_t pair_count;
};

struct delete_mark {
    struct dot dot;
    uint64_t stamp;
};

struct version {
    struct dot insert;
    uint64_t insert_stamp; /* effective */
    bool stamp_adjusted;   /* the insert's effective stamp is not the authored one */
    uint64_t revision;     /* raised at each decision; 1 after a decided insert; 0 never decided */
    const struct unit_state *units;
    uint16_t unit_count;
    const struct delete_mark *deletes;
    uint16_t delete_count;
};

/* A record in memory: what merge and apply work on. values: table->column_count, in the arena. */
struct record {
    bool present; /* false: there is no such record, live or dead */
    bool dead;
    struct value *values;
    struct version version;
};

enum { VERSION_SIMPLE_MAX = 48 }; /* bytes of a version without units and deletes */

/* Appends the encoding. ERR_NOMEM, ERR_TOO_LARGE. */
enum err version_encode(const struct model_table *table, const struct version *version,
                        struct buf *out);
/* The same for the commonest case: only insert, stamp, revision; out has VERSION_SIMPLE_MAX bytes. */
size_t version_encode_simple(const struct version *version, uint8_t *out);
/* ERR_MALFORMED (also: not canonical), ERR_NOMEM. Unit ids unknown to the model are ERR_MODEL. */
enum err version_decode(const struct model_table *table, struct bytes in, struct arena *arena,
                        struct version *ret);
/* Without decoding the rest: revision, insert dot, stamp_adjusted, whether it is simple. ERR_MALFORMED. */
struct version_head {
    struct dot insert;
    uint64_t insert_stamp, revision;
    bool stamp_adjusted, simple;
};
enum err version_peek(struct bytes in, struct version_head *ret);

/* The frontier of a unit: its candidates' dots, or {insert}. dots: room for FRONTIER_MAX. */
struct dot_set version_frontier(const struct version *version, uint16_t unit_index,
                                struct dot *dots);
/* NULL: not written since the insert. */
const struct unit_state *version_unit(const struct version *version, uint16_t unit_index);

#endif
