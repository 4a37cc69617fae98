/* group.h - the writes of one local transaction: what travels up.
 *
 * Model:      a group has a dot and the author's stamp; at most one mutation per record. A mutation
 *             names what its author saw: the insert dot of its record, and for each unit the
 *             frontier.
 * Format:     group_format.h; SPEC.md 4. The bytes are made once by the author and never change
 *             (they are hashed and signed), so forwarding and keeping a group means keeping its
 *             bytes.
 * Ownership:  decoded groups live in an arena; values are views into the bytes. */
#ifndef PROTOCOL_GROUP_H
#define PROTOCOL_GROUP_H

#include "common/buf.h"
#include "common/model.h"
#include "common/uuid.h"
#include "protocol/dot.h"
#include "protocol/version.h"

enum {
    GROUP_MUTATIONS_MAX = 100000,
    GROUP_BYTES_MAX = 64 << 20,
    GROUP_KEPT_MAX =
        GROUP_BYTES_MAX + 4096,    /* with what is stored beside it: a reason, an envelope */
    GROUP_IMPORT_MUTATIONS = 1000, /* imports cut themselves into groups of this many */
};

enum mutation_op {
    MUTATION_INSERT = 1,
    MUTATION_UPDATE = 2,
    MUTATION_DELETE = 3,
    MUTATION_RESTORE = 4
};

/* A write to one unit. */
struct unit_write {
    const struct model_unit *unit;
    struct dot_set seen; /* the frontier that the writer saw; empty in an insert. Elsewhere an empty
                                   one stands for {insert}; decoding gives {insert} */
    const struct value *values; /* unit->column_count; counter: one value, the delta (INT or REAL);
                                   set: NULL in an update */
    const struct value *base;   /* where unit->carries_base and op is UPDATE; else NULL */
    const struct bytes *adds;   /* MERGE_SET update: elements added; ascending, distinct */
    uint32_t add_count;
    const struct set_pair *removes; /* MERGE_SET update: pairs seen and removed; ascending by
                                       (element, dot), distinct */
    uint32_t remove_count;
};

/* A unit's frontier as a delete saw it. Units that are not listed were seen at {insert}. */
struct unit_seen {
    uint16_t unit; /* index in table->units */
    struct dot_set seen;
};

struct mutation {
    const struct model_table *table;
    enum mutation_op op;
    struct uuid id;
    struct dot insert; /* UPDATE, DELETE, RESTORE: the insert dot of the record */
    const struct unit_write
        *writes; /* INSERT, UPDATE, RESTORE; ascending by unit index. In an INSERT a
                                        unit that is missing has its columns' fallback values */
    uint16_t write_count;
    const struct unit_seen *frontier; /* DELETE: the whole frontier map that it saw */
    uint16_t frontier_count;
    struct dot_set deletes; /* RESTORE: the deletes that it saw and lifts */
};

struct group {
    struct dot dot;
    uint64_t stamp; /* authored HLC */
    uint32_t model_version;
    struct dot renamed; /* the dot it had before a fork; none as a rule */
    const struct mutation *mutations;
    uint32_t mutation_count;
};

/* Appends the encoding. What a decoder would refuse is refused here, save repeated records, so that
 * no group is committed that cannot be sent: ERR_INVALID (units, dots or elements out of order, a
 * value of the wrong kind, values or base missing), ERR_LIMIT (GROUP_MUTATIONS_MAX, FRONTIER_MAX
 * dots seen, 1,024 deletes, 10,000 elements of a set), ERR_TOO_LARGE (GROUP_BYTES_MAX, a text over
 * 64 KiB, or out's limit), ERR_NOMEM. */
enum err group_encode(const struct group *group, struct buf *out);
/* Decodes against the model; scans (scan.h) as it goes. ERR_VERSION (a later format), ERR_MALFORMED
 * (not of the form, unordered, repeated record), ERR_MODEL (unknown table, column, wrong type),
 * ERR_LIMIT, ERR_NOMEM (also: past the arena's limit; a group takes up to about 100 bytes for each
 * of its values); info says what and where. Ranges, symbols and UTF-8 are for
 * model_check_value(). */
enum err group_decode(const struct model *model, struct bytes in, struct arena *arena,
                      struct group *ret, struct err_info *info);
/* Without the mutations: dot, stamp, model_version, renamed. Safe on bytes that were not scanned.
 * ERR_MALFORMED, ERR_VERSION. */
enum err group_peek(struct bytes in, struct group *ret);
/* When a local transaction closes: one mutation per record (last value per unit, deltas summed,
 * seen frontiers as before the transaction; insert + delete vanish, update + delete leave the
 * delete), in order of first touch. `in` is in order of writing; a pair of a set that the
 * transaction itself added is removed by its element and no dot. Result in the arena, which refers
 * to `in`. ERR_NOMEM, ERR_LIMIT; ERR_INVALID: an insert of a record that was touched before, or an
 * update of one that was deleted. */
enum err group_normalise(const struct mutation *in, uint32_t count, struct arena *arena,
                         const struct mutation **ret, uint32_t *ret_count);
/* The same group with every dot that its mutations name replaced by the map's answer (none is asked as well,
 * and stays none); its own dot and `renamed` stay. ERR_NOMEM. */
typedef struct dot group_dot_map(void *context, struct dot dot);
enum err group_map_dots(const struct group *in, group_dot_map *map, void *context,
                        struct arena *arena, struct group *ret);
/* After a fork: the same group under a new dot. `moved` are the oseqs of old_origin that go on under
 * new_origin, ascending: each gets its place among them, from 1 on, and every reference to one of them
 * follows; others, decided ones, keep theirs. NULL: all move, and keep their numbers. `renamed` is set to
 * the dot it had. */
enum err group_renumber(const struct group *in, uint64_t old_origin, const uint64_t *moved,
                        uint32_t count, uint64_t new_origin, struct arena *arena,
                        struct group *ret);

#endif
