/* replica_read.h - what people ask about a record beyond its values: its own undecided groups.
 *
 * Transactions: within one that the caller holds on the store, reading or writing.
 * Source:     SPEC.md 10. */
#ifndef CLIENT_CORE_REPLICA_READ_H
#define CLIENT_CORE_REPLICA_READ_H

#include "client/core/replica.h"

/* Own groups that touch the record and are not decided, in order; arena. row: the record's, as the
 * store gives it. ERR_NOMEM, ERR_CORRUPT, store errors. */
enum err replica_touching(struct replica *replica, const struct model_table *table,
                          const struct uuid *id, const struct store_row *row, struct arena *arena,
                          const struct dot **ret_dots, uint16_t *ret_count);
/* The mutation of the record in an own undecided group; valid until the next call of a function of
 * the replica. ERR_NOT_FOUND: no such group, or it does not touch the record. */
enum err replica_own_mutation(struct replica *replica, const struct dot *dot,
                              const struct model_table *table, const struct uuid *id,
                              const struct mutation **ret_mutation, uint64_t *ret_stamp);

#endif
