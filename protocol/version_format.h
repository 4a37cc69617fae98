/* version_format.h - what version.c (encoding; the format stands there) and version_decode.c share. */
#ifndef PROTOCOL_VERSION_FORMAT_H
#define PROTOCOL_VERSION_FORMAT_H

#include "protocol/version.h"

enum { FLAG_UNITS = 1, FLAG_DELETES = 2, FLAG_ADJUSTED = 4, FLAGS_ALL = 7 };
enum { SHAPE_RANKS = 1, SHAPE_VALUES = 2, SHAPE_PAIRS = 4, SHAPE_COUNT_SHIFT = 3 };
enum { KIND_NULL, KIND_INT, KIND_REAL, KIND_TEXT, KIND_BLOB };

/* Whether several candidates of such a unit carry their values. */
static inline bool version_keeps_values(enum merge_policy policy)
{
    return policy != MERGE_COUNTER && policy != MERGE_SET;
}

#endif
