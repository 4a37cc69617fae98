/* apply.h - a whole group onto a set of records: the one engine of headquarters' decisions and of
 * every replica's view.
 *
 * Model:      records are reached through a world: headquarters' world is its store, a view's world is
 *             the confirmed layer with the pending groups before it, a test's world is a map.
 * Parents:    a delete of a parent comes with deletes of its live children in the same group. It counts
 *             only if each live child's current dots were seen by the child's delete in that group;
 *             otherwise the parent stays and the child deletes of the group are void. A write to a
 *             child that the parent's delete did not see revives the parent and its ancestors, and
 *             restores the children deleted by the same groups. So a dead parent (of DELETE_REVIVES
 *             or _MANUAL) has no live child. A delete of a DELETE_WINS parent counts whatever its
 *             children are; nothing that happens to them revives it.
 * Atomic:     on a refusal of any mutation nothing has been put into the world (judge first: all puts
 *             come after all merges); on ERR_NOMEM and world errors the caller rolls back.
 * Source:     DESIGN.md 4, 5; SPEC.md 5. */
#ifndef PROTOCOL_APPLY_H
#define PROTOCOL_APPLY_H

#include "protocol/merge.h"

struct apply_world {
    void *context;
    /* Fills record (present false if there is none). Its memory lives at least as long as arena. */
    enum err (*get)(void *context, const struct model_table *table, const struct uuid *id,
                    struct arena *arena, struct record *ret);
    /* The ids of all records (live and dead) of `table` whose parent is `parent`; arena owns them. */
    enum err (*children)(void *context, const struct model_table *table, const struct uuid *parent,
                         struct arena *arena, const struct uuid **ret_ids, uint32_t *ret_count);
};

/* One record that the group changed (or whose delete was lost: result.delete_lost, then nothing else
 * has changed), in order of the group's mutations, then records revived or restored beside them. Of the
 * deletes of a parent and its children that are void together, the topmost and those that missed a
 * write are reported. */
struct applied_record {
    const struct model_table *table;
    struct uuid id;
    struct record record;       /* after */
    uint64_t previous_revision; /* 0: there was none */
    bool was_dead;
    bool inserted;
    bool delta_simple; /* live before and after; every written unit now has the group's dot as its
                                   only candidate: can travel as changed columns */
    struct merge_result result;
    /* The record before, for digests, conflict records that are superseded and routing. */
    struct record before;
};

struct apply_report {
    enum reason reason;                        /* not NONE: refused as a whole */
    uint32_t refused_mutation;                 /* its index then */
    const struct model_column *refused_column; /* where it has one, or NULL */
    uint32_t hidden_count;                     /* MERGE_SHOW: mutations left out */
    bool clean; /* every mutation was a fast-forward or an insert, none was left out, and
                                    nothing was revived but by a restore */
    struct applied_record *records;
    uint32_t count;
};

/* Judges and merges every mutation of the group against the world and reports the new records; the
 * caller stores them. In MERGE_SHOW a mutation that cannot be shown (its record is absent, a check
 * fails) is left out and the others go on. ERR_NOMEM, or what the world's functions return. */
enum err apply_group(const struct model *model, const struct merge_context *context,
                     const struct apply_world *world, const struct group *group,
                     struct apply_report *ret);

#endif
