/* merge_model.h - a data model built by hand for tests of the merge, without a model file.
 *
 * Ownership: the struct owns everything; it must not move once tables were added. */
#ifndef TESTS_LIB_MERGE_MODEL_H
#define TESTS_LIB_MERGE_MODEL_H

#include "common/model.h"

enum { MERGE_MODEL_TABLES = 24, MERGE_MODEL_COLUMNS = 20 };

/* What a unit of a test table is. */
enum unit_kind {
    KIND_LWW,
    KIND_LWW_GROUP, /* amount and currency */
    KIND_UPSTREAM,
    KIND_FIRST,
    KIND_MANUAL,
    KIND_MAX,
    KIND_MIN,
    KIND_RESTRICT_FLAG,
    KIND_RESTRICT_SYMBOL, /* open < ask < never */
    KIND_COUNTER,
    KIND_SET,
    KIND_APPEND,
    KIND_TEXT,
    KIND_FSM,    /* draft, sent, paid, lost; of equal rank: paid and lost */
    KIND_PARENT, /* the reference to the parent */
    KIND_COUNT
};

struct merge_model {
    struct model model;
    struct model_table tables[MERGE_MODEL_TABLES];
    struct model_column columns[MERGE_MODEL_TABLES][MERGE_MODEL_COLUMNS];
    struct model_unit units[MERGE_MODEL_TABLES][MERGE_MODEL_COLUMNS];
    uint16_t places[MERGE_MODEL_TABLES][MERGE_MODEL_COLUMNS];
};

extern const char *const fsm_symbols[4];
extern const char *const restrict_symbols[3];

void merge_model_init(struct merge_model *m);
/* Adds a table of these units, one per kind given; parent: the table that KIND_PARENT refers to. */
const struct model_table *merge_model_add(struct merge_model *m, const char *name,
                                          enum delete_policy delete_policy,
                                          const struct model_table *parent,
                                          const enum unit_kind *kinds, uint16_t kind_count);
/* The kind of a unit made here. */
enum unit_kind unit_kind_of(const struct model_unit *unit);
const char *unit_kind_name(enum unit_kind kind);

#endif
