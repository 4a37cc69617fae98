/* replica_install.h - one checkpoint (or page of a first sync) on its way into the confirmed layer.
 *
 * Model:      rows of the pages change the confirmed layer (a base copy where pending groups touch the
 *             record, else the row itself); own groups that the new mark covers leave the pending
 *             layer; then each touched record is shown anew. A delta that does not fit undoes it all.
 * Memory:     only records with base copies are held, in an arena, for the length of a checkpoint.
 * Source:     SPEC.md 10; DESIGN.md 3, 7. */
#ifndef CLIENT_CORE_REPLICA_INSTALL_H
#define CLIENT_CORE_REPLICA_INSTALL_H

#include "client/core/replica_internal.h"

struct touched {
    struct touched *next;
    const struct model_table *table;
    struct uuid id;
    struct base base;
};

struct install {
    struct replica *r;
    struct arena arena, entry; /* of the checkpoint; of one entry */
    struct hash_map index;     /* table BE2, id -> struct touched *, or NULL: no base there */
    struct touched *first, *last;
    struct hash_map seen; /* reconciling, or repairing: what arrived */
    bool again; /* the row at hand had arrived before: a catch-up may go on from a newer snapshot */
    struct hash_map own; /* inserts that own entries have confirmed */
    const struct message_checkpoint *checkpoint;
    uint32_t bucket;
    uint64_t passed; /* positions of the bucket up to here are installed */
    bool reconcile, gap, direct;
    bool
        log_stays; /* reconciling: a branch's log is of this history, and its devices are to hear the rest */
    struct vanished *vanished,
        *vanished_last; /* left their buckets without an entry: replica_log.c */
    bool repair;        /* rows of ranges that differ: they replace whatever is there */
    int64_t wall_ms;
};

void install_init(struct install *in, struct replica *r);
void install_done(struct install *in);
void install_key(const struct model_table *table, const struct uuid *id, uint8_t out[18]);
/* The base copy of a record, read once per checkpoint; *ret NULL: it has none. */
enum err install_base(struct install *in, const struct model_table *table, const struct uuid *id,
                      struct touched **ret);
/* The confirmed row of a record as held here. ERR_NOT_FOUND: none (also: a pending insert,
 * and what the outbox held longer than its bucket). */
enum err install_confirmed(struct install *in, const struct model_table *table,
                           const struct uuid *id, const struct touched *t, struct store_row *ret);
/* A confirmed row leaves; old NULL: it cannot be read, and so is in no sum. */
enum err install_remove(struct install *in, const struct model_table *table, const struct uuid *id,
                        struct touched *t, const struct store_row *old);
/* The group leaves the pending layer: each record that it touches is shown without it. in_effect: the confirmed
 * layer has what became of it. */
enum err install_leave(struct install *in, const struct group *group, bool in_effect);
/* Another one's group, if it came from above, leaves without a fate and is forgotten. */
enum err install_forget(struct install *in, const struct dot *dot);
/* replica_fates.c: the fates that count with this checkpoint. */
enum err install_fates(struct install *in);
/* The entries of one page. in->gap with ERR_CONFLICT: one does not fit what is held here. */
enum err install_body(struct install *in, uint32_t bucket, struct bytes body);

#endif
