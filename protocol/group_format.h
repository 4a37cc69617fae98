/* group_format.h - the byte format of groups: what encoder and decoder share.
 *
 * A group is a MessagePack array of 11:
 *
 *   format         1
 *   origin         of the group's dot
 *   oseq
 *   tag
 *   stamp          HLC of the author
 *   model version  that it was written with
 *   renamed        nil, or [origin, oseq, tag]: the dot that it had before a fork
 *   origins        [origin ...], ascending
 *   dots           [origin index, oseq, tag ...], flat, ascending by (origin, oseq, tag)
 *   shapes         [[table id, unit id ...] ...], unit ids ascending
 *   mutations      [mutation ...]
 *
 * Origins and dots are the dictionary: every dot that a mutation names, once; elsewhere a dot is
 * its index. Each entry is used by something; the group's own dot is not among them. A shape says
 * which table and units a mutation writes; shapes in use twice may be written twice. A mutation is
 * an array:
 *
 *   INSERT   [1, shape, id, values ...]
 *   UPDATE   [2, shape, id, insert, writes ...]
 *   DELETE   [3, shape, id, insert, (unit id, seen) ...]    shape without units; unit ids ascending
 *   RESTORE  [4, shape, id, insert, deletes, writes ...]    deletes: [dot ...], ascending
 *
 * id: 16 bytes of binary. insert: the dot of the record's insert. values: those of each unit's
 * columns in order. A write, for each unit of the shape: seen, then
 *   for a set      adds [element ...], ascending; removes [element, dot ...], flat, ascending;
 *   for a counter  the delta;
 *   otherwise      the values of the unit's columns; in an UPDATE followed by as many base values,
 *                  if the unit carries them.
 * seen: nil is {insert}, an integer is one other dot, an array is two or more, ascending.
 * A value is nil, an integer, a float 64, a string or a binary, as its column's type asks. */
#ifndef PROTOCOL_GROUP_FORMAT_H
#define PROTOCOL_GROUP_FORMAT_H

#include "protocol/group.h"

enum {
    GROUP_FORMAT = 1,
    GROUP_FIELDS = 11,
    GROUP_SHAPE_UNITS_MAX = MODEL_COLUMNS_MAX,
    GROUP_DELETES_MAX = 1024,   /* that one restore lifts */
    GROUP_ELEMENTS_MAX = 10000, /* adds, and removes, of one write to a set */
};

/* Objects that one unit takes in a mutation's array. */
static inline uint32_t group_unit_fields(const struct model_unit *unit, enum mutation_op op)
{
    if (op == MUTATION_INSERT)
        return unit->column_count;
    if (unit->policy == MERGE_SET)
        return 3;
    return 1 + (uint32_t)unit->column_count * (op == MUTATION_UPDATE && unit->carries_base ? 2 : 1);
}

/* Whether a column of that type can have a value of that kind. */
static inline bool group_value_fits(enum column_type type, enum value_kind kind)
{
    if (kind == VALUE_NULL)
        return true;
    switch (type) {
    case COLUMN_TEXT:
    case COLUMN_DATE:
    case COLUMN_ENUM:
    case COLUMN_SET: return kind == VALUE_TEXT;
    case COLUMN_INTEGER:
    case COLUMN_MONEY:
    case COLUMN_INSTANT:
    case COLUMN_BOOLEAN: return kind == VALUE_INT;
    case COLUMN_REAL: return kind == VALUE_REAL;
    case COLUMN_REFERENCE:
    case COLUMN_BLOB: return kind == VALUE_BLOB;
    }
    return false;
}

#endif
