/* oracle_internal.h - what the oracle's three files share. */
#ifndef TESTS_LIB_ORACLE_INTERNAL_H
#define TESTS_LIB_ORACLE_INTERNAL_H

#include "tests/lib/oracle.h"

/* One accepted write of a unit. */
struct unit_op {
    uint32_t op;
    bool insert;
    const struct mutation *mutation;
    const struct unit_write *write; /* NULL: an insert that left the unit to its fallback */
};

/* Cleared memory; aborts when there is none. */
void *oracle_need(const struct oracle *o, size_t count, size_t size);
int oracle_order_dots(const struct dot *a, const struct dot *b);
bool oracle_names(struct dot_set set, const struct dot *dot);

/* The operation's mutation of the record; NULL: none that counts. */
const struct mutation *oracle_mutation_of(const struct oracle *o, uint32_t op,
                                          const struct model_table *table, const struct uuid *id);
/* The first n operations' insert of the record. */
const struct mutation *oracle_insert_of(const struct oracle *o, uint32_t n,
                                        const struct model_table *table, const struct uuid *id,
                                        uint32_t *ret_op);
/* NULL: the mutation does not write the unit. */
const struct unit_write *oracle_write_of(const struct mutation *m, const struct model_unit *unit);
/* The writes of a unit among the first n operations, in order of decision. */
uint32_t oracle_writes_of(const struct oracle *o, uint32_t n, const struct model_table *table,
                          const struct uuid *id, const struct model_unit *unit,
                          struct unit_op out[ORACLE_OPS_MAX]);
const struct dot *oracle_dot_of(const struct oracle *o, const struct unit_op *write);
/* Whether none of the writes names this one as seen. */
bool oracle_is_maximal(const struct oracle *o, const struct unit_op *writes, uint32_t count,
                       uint32_t which);
/* The place of a symbol, or -1. */
int oracle_symbol_of(const struct model_column *column, const struct value *value);

/* oracle_deletes.c: fills o->standing. */
void oracle_judge_deletes(struct oracle *o);

/* oracle_shown.c: fill state and shown (by column; counter and set: one value) from the writes of a
 * unit, `first` being the insert's value. */
void oracle_show_policy(const struct oracle *o, const struct model_table *table,
                        const struct model_unit *unit, struct oracle_unit *state,
                        struct value *shown);
void oracle_show_counter(const struct unit_op *writes, uint32_t count, const struct value *first,
                         struct value *shown);
void oracle_show_set(const struct oracle *o, const struct unit_op *writes, uint32_t count,
                     const struct value *first, struct oracle_unit *state, struct value *shown);

#endif
