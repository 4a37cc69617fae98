/* merge_world.h - what the tests of the merge share: a world in memory, authors who write mutations
 * from what they know, and the comparison of a record with the oracle's.
 *
 * Ownership: everything made lies in the arena given; running out of memory aborts. */
#ifndef TESTS_LIB_MERGE_WORLD_H
#define TESTS_LIB_MERGE_WORLD_H

#include "protocol/apply.h"
#include "tests/lib/merge_model.h"
#include "tests/lib/oracle.h"

enum { MERGE_WHY_SIZE = 1024 };

struct world_slot {
    const struct model_table *table;
    struct uuid id;
    struct record record;
};

/* Records by (table, id). Copying the slots copies the state: records are never changed in place. */
struct merge_world {
    const struct model *model;
    struct world_slot *slots;
    uint32_t count, capacity;
};

/* NULL: no such record. */
struct record *world_find(struct merge_world *world, const struct model_table *table,
                          const struct uuid *id);
/* apply_group() onto the world; what it reports is stored. */
enum err world_apply(struct merge_world *world, const struct merge_context *context,
                     const struct group *group, struct apply_report *ret);

/* A mutation as its author makes it from the operations that he knows. */
struct author {
    struct arena *arena;
    const struct oracle *view;
    struct oracle_record state; /* of the record that is written */
    struct mutation mutation;
    struct unit_write *writes;
};

/* Starts a mutation; for MUTATION_DELETE and _RESTORE it fills in all that was seen. */
void author_start(struct author *a, struct arena *arena, const struct oracle *view,
                  enum mutation_op op, const struct model_table *table, const struct uuid *id);
/* Adds the write of a unit (ascending by unit index): seen and base from what the author knows.
 * values are kept. An author names {insert} by an empty set unless explicit_seen. */
void author_write(struct author *a, const struct model_unit *unit, const struct value *values,
                  bool explicit_seen);
/* The same for a set; removals are by element: all its pairs that the author sees. */
void author_set(struct author *a, const struct model_unit *unit, const char *add,
                const char *removal);

/* Whether record is what the oracle says; if not, why says where. */
bool same_as_oracle(const struct model_table *table, const struct record *record,
                    const struct oracle_record *expected, struct arena *arena, char *why);
/* Whether two records are the same, canonical form included; the revision and ranks if asked. */
bool same_records(const struct model_table *table, const struct record *a, const struct record *b,
                  bool with_ranks);
/* A line for people: "[2f.1] update lww=x saw {1.1}" and so on. */
void group_print(const struct group *group, uint64_t stamp, char *out, size_t size);

#endif
