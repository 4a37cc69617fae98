/* replica_log.h - the log of a branch's replica; on other replicas these do nothing. */
#ifndef CLIENT_CORE_REPLICA_LOG_H
#define CLIENT_CORE_REPLICA_LOG_H

#include "client/core/replica_install.h"

/* The confirmed row takes the place of `old`, which may be NULL. */
enum err log_row(struct install *in, const struct model_table *table, const struct uuid *id,
                 const struct store_row *old, const struct store_row *row);
/* The record has left the bucket whose page is read. */
enum err log_gone(struct install *in, const struct model_table *table, const struct uuid *id,
                  uint64_t position);
/* A confirmed row goes without a departure; old may be NULL. */
enum err log_removed(struct install *in, const struct store_row *old);
/* Reconciling: a confirmed row is not there any more, and nothing has said so. */
enum err log_vanished(struct install *in, const struct model_table *table, const struct uuid *id,
                      const struct store_row *old);
/* Reconciling, after all rows: what vanished gets departures. */
enum err log_departures(struct install *in);
/* Cursors below this position, that are not 0, have to read the bucket anew. */
enum err log_floor(struct replica *replica, uint32_t bucket, uint64_t position);
/* The bucket is no longer in scope, or comes anew. */
enum err log_clear(struct replica *replica, uint32_t bucket);

#endif
