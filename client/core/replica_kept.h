/* replica_kept.h - records that were purged under own changes, and how they come back. */
#ifndef CLIENT_CORE_REPLICA_KEPT_H
#define CLIENT_CORE_REPLICA_KEPT_H

#include "client/core/replica_install.h"

/* A confirmed row leaves (NULL: it could not be read): kept if own groups that wait may need it. */
enum err kept_note(struct install *in, const struct model_table *table, const struct uuid *id,
                   const struct touched *t, const struct store_row *row);
/* At the end of a checkpoint: where no own group waits, nothing is kept. */
enum err kept_forget(struct install *in);
/* What the group's records, and those that they belong to, would be made of again: the bytes of a group of inserts
 * in the arena, parents first; empty if nothing is known of them. */
enum err kept_attach(struct replica *r, const struct group *group, struct arena *arena,
                     struct bytes *ret);
/* Within a local transaction: makes those of them that are not there. */
enum err kept_bring_back(struct replica *r, struct bytes attached, struct arena *arena,
                         struct err_info *info);

#endif
