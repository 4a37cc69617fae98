/* store_mem.h - the store in memory: the model that the others are compared with, for tests and the
 * simulator.
 *
 * Model:      sorted arrays of immutable, counted entries, one per model table (rows), per model
 *             table again (base copies, children by parent), for the log and per side table. A
 *             transaction keeps a list of what each change replaced; undoing walks it backwards.
 * Readers:    copy the arrays (not the entries) at begin(), as of the last commit. A reader is closed
 *             before its store, and lives in the same thread.
 * Cost:       get O(log n); an insert at the end O(log n), elsewhere O(n); begin() of a reader O(n)
 *             if there has been a commit since its last one.
 * Durability: none. Everything is gone at close. */
#ifndef COMMON_STORE_MEM_STORE_MEM_H
#define COMMON_STORE_MEM_STORE_MEM_H

#include "common/store.h"

/* The model is borrowed until close. ERR_NOMEM. */
enum err store_mem_open(const struct model *model, struct store **ret_store);

/* The k-th call from now on (1: the next one) that can fail returns `error` and does nothing, a
 * commit being over as store.h says; k = 0 takes a failure back. Every function of store.h but
 * close and rollback counts, on this handle. */
void store_mem_fail_at(struct store *store, uint64_t k, enum err error);

/* How many calls have been counted since the store was opened: to fail each one in turn. */
uint64_t store_mem_call_count(const struct store *store);

#endif
