/* dot.h - the identity of a group, and sets of dots.
 *
 * Model:      a dot is (origin, oseq, tag). All three are compared: a clone or a rolled-back replica
 *             may use an oseq again, and then draws another tag.
 * Source:     protocol/SPEC.md 2. */
#ifndef PROTOCOL_DOT_H
#define PROTOCOL_DOT_H

#include "common/arena.h"

struct dot {
    uint64_t origin; /* random; one replica that writes; never 0 */
    uint64_t oseq;   /* 1, 2, 3 ... per origin; 0 is "no dot" */
    uint32_t tag;    /* random per group */
};

/* Ascending, without repetition. Views: the array is owned elsewhere. */
struct dot_set {
    const struct dot *dots;
    uint16_t count;
};

enum { FRONTIER_MAX = 64 }; /* dots of one column; past it headquarters parks (ADR 0005) */

int dot_compare(const struct dot *a, const struct dot *b); /* by origin, oseq, tag */
bool dot_equal(const struct dot *a, const struct dot *b);
bool dot_is_none(const struct dot *dot); /* oseq is 0 */
bool dot_set_has(struct dot_set set, const struct dot *dot);
bool dot_set_equal(struct dot_set a, struct dot_set b);
/* a is a subset of b. */
bool dot_set_within(struct dot_set a, struct dot_set b);
/* Sorts and removes repetitions in place; returns the new count. */
uint16_t dot_sort(struct dot *dots, uint16_t count);

#endif
