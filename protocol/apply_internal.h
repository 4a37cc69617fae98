/* apply_internal.h - what apply.c (the course of a group), apply_delete.c (which deletes count) and
 * apply_revive.c (what comes back with a record) share. */
#ifndef PROTOCOL_APPLY_INTERNAL_H
#define PROTOCOL_APPLY_INTERNAL_H

#include "protocol/apply.h"
#include "protocol/merge_internal.h"
#include "protocol/record_map.h"

/* A record as the group finds and leaves it. The world is asked once for each. */
struct apply_entry {
    struct record_node node; /* first */
    const struct model_table *table;
    struct uuid id;
    struct record before, record;
    struct merge_result result;
    const struct mutation *mutation; /* the group's, or NULL */
    bool hidden;                     /* its mutation was refused (MERGE_SHOW) */
    bool changed;
    uint32_t doomed;            /* apply_delete.c: its place there plus one; 0: not deleted here */
    struct apply_entry *beside; /* next that changed without a mutation of its own */
};

struct apply_run {
    const struct model *model;
    const struct merge_context *context;
    const struct apply_world *world;
    const struct group *group;
    struct record_map map;
    struct apply_entry **entries; /* of each mutation */
    struct apply_entry *beside_first, *beside_last;
    uint32_t beside_count, hidden_count;
    bool asked;   /* what comes back now comes back because of a restore */
    bool revived; /* something came back that no restore asked for */
    /* A refusal that ends the group (MERGE_DECIDE). */
    enum reason reason;
    uint32_t refused_mutation;
    const struct model_unit *refused_unit;
};

/* From the cache or the world. ERR_NOMEM, the world's errors. */
enum err apply_entry_get(struct apply_run *run, const struct model_table *table,
                         const struct uuid *id, struct apply_entry **ret);
/* The table and id that the record's parent column names now; false: none. */
bool apply_parent_id(const struct apply_run *run, const struct apply_entry *entry,
                     const struct model_table **ret_table, struct uuid *ret_id);
/* The entry of a present parent, or NULL. */
enum err apply_parent(struct apply_run *run, const struct apply_entry *entry,
                      struct apply_entry **ret);
/* Whether the table's records are children of those of `parent`. */
bool apply_is_child_table(const struct model *model, const struct model_table *table,
                          const struct model_table *parent);
void apply_mark_changed(struct apply_run *run, struct apply_entry *entry);
/* Notes a refused mutation: the end of the group, or one that is not shown. */
void apply_refuse(struct apply_run *run, uint32_t mutation, enum reason reason,
                  const struct model_unit *unit);

/* After the own merge of an INSERT, UPDATE or RESTORE: lifts what of the deletes of its parents and
 * children does not count any more. */
enum err apply_revive(struct apply_run *run, struct apply_entry *entry);
/* Judges and merges the group's deletes. The other mutations have been merged. */
enum err apply_deletes(struct apply_run *run);

#endif
