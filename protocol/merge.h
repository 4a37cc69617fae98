/* merge.h - one mutation into one record: pure, no storage, no clock, no I/O.
 *
 * Model:      a unit's new frontier = (current frontier minus what the mutation saw) plus its dot.
 *             The shown value is a pure function of the set of candidates, never of the order in which
 *             they came. Causes come before effects (the caller sees to it), so a dot that was
 *             superseded never comes back.
 * Deletes:    record.dead is derived: DELETE_REVIVES and DELETE_MANUAL: dead if and only if some
 *             delete saw every current dot; DELETE_WINS: dead if a delete exists that no restore names.
 *             What children say about a parent's death is in apply.h.
 * Cost:       O(units written * candidates).
 * Source:     DESIGN.md 4; SPEC.md 5. */
#ifndef PROTOCOL_MERGE_H
#define PROTOCOL_MERGE_H

#include "protocol/group.h"
#include "protocol/version.h"

enum merge_mode {
    MERGE_DECIDE, /* headquarters: checks that park */
    MERGE_SHOW,   /* a view: what would be parked is simply not shown (`hidden`) */
};

/* Why a check refused. Stable values (wire, people's texts in reason_text). */
/* clang-format off */
#define REASON_LIST(X)                                                                \
    X(NONE, 0, "")                                                                    \
    X(TRANSITION, 1, "this change of state is not allowed")                           \
    X(UPSTREAM, 2, "headquarters has changed this value meanwhile")                   \
    X(APPEND_ONLY, 3, "entries of this kind are never changed")                       \
    X(NO_RECORD, 4, "the record is not there")                                        \
    X(EXISTS, 5, "there is a record with this id already")                            \
    X(RIGHTS, 6, "you may not change this record")                                    \
    X(SCOPE, 7, "the record is outside what you may see")                             \
    X(FRONTIER_FULL, 8, "too many concurrent versions; somebody has to choose first") \
    X(NO_DELETE, 9, "records of this kind are never deleted")                         \
    X(MALFORMED, 10, "the change could not be read")                                  \
    X(MODEL, 11, "the change does not fit the data model")                            \
    X(MOVE, 12, "the new owner, branch or team is not there")                         \
    X(REVOKED, 13, "the device was revoked before this change arrived")               \
    X(DEPENDS, 14, "it builds on a change that was set aside")                        \
    X(TOO_LARGE, 15, "the change is larger than allowed")                             \
    X(REQUIRED, 16, "a required value is missing")                                    \
    X(TEAM, 17, "its owner does not belong to that team; choose another team, or another owner first") \
    X(PURGED, 18, "the record was deleted long ago; trying again brings it back")     \
    X(LAPSED, 19, "a change that it builds on never arrived")                         \
    X(LATE, 20, "it came so late that later changes were decided without it")
/* clang-format on */

enum reason {
#define REASON_ENUM(name, value, text) REASON_##name = value,
    REASON_LIST(REASON_ENUM)
#undef REASON_ENUM
};
const char *reason_name(enum reason reason);
const char *reason_text(enum reason reason);

struct merge_result {
    enum reason reason; /* not NONE: refused; the record is as before */
    bool fast_forward;  /* every unit written had exactly the frontier that was seen; a delete: it
                               counts and saw every current dot; an insert: always */
    bool revived, died; /* the record's own state changed so by this mutation */
    bool revision_changes;  /* anything changed */
    uint16_t written_count; /* units whose state changed, ascending indexes; an insert lists none */
    const uint16_t *written;
    uint16_t
        conflict_count; /* of those, units with candidates whose values differ (never counter, set, append) */
    const uint16_t *conflicts;
    uint16_t settled_count; /* units that had differing candidates before and have one value now */
    const uint16_t *settled;
    bool delete_lost; /* a delete that missed a write: nothing changed, somebody has to be told */
    const struct model_unit *refused_unit; /* with a reason that has one, else NULL */
};

/* What is the same for all mutations of a group. */
struct merge_context {
    struct dot dot;
    uint64_t stamp; /* effective */
    bool stamp_adjusted;
    enum merge_mode mode;
    struct arena *arena; /* results live here */
};

/* Merges into *record (in and out; record->present false for an insert). In MERGE_DECIDE the record's
 * revision is raised by one if anything changes and new candidates get that revision as rank; in
 * MERGE_SHOW revision stays and ranks are RANK_PENDING. ERR_NOMEM only; refusals are in ret->reason. */
enum err merge_mutation(const struct merge_context *context, const struct mutation *mutation,
                        struct record *record, struct merge_result *ret);

/* The shown values of a unit from its candidates (count >= 1, ascending by dot), for every policy but
 * counter and set. ret_open: a person has to choose (manual, text with different bases, fsm of equal
 * ranks). values: unit->column_count, arena. ERR_NOMEM. */
enum err merge_shown(const struct model_table *table, const struct model_unit *unit,
                     const struct candidate *candidates, uint16_t count, struct arena *arena,
                     const struct value **ret_values, bool *ret_open);
/* The shown text of a set: a JSON array, sorted, no repetitions. */
enum err merge_set_shown(const struct set_pair *pairs, uint32_t count, struct arena *arena,
                         struct bytes *ret);
/* Three-way merge by line of several texts over one base, sorted as given; diff3-like, deterministic. */
enum err merge_text(struct bytes base, const struct bytes *texts, uint16_t count,
                    struct arena *arena, struct bytes *ret_text, bool *ret_clean);
/* Whether candidates of a unit differ in value. */
bool merge_values_differ(const struct model_unit *unit, const struct candidate *candidates,
                         uint16_t count);

#endif
