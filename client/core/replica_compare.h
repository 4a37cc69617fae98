/* replica_compare.h - the replica's side of a comparison by ranges.
 *
 * Model:      SCAN: all confirmed records are read from a snapshot of the replica, some thousands a call, and
 *             summed up in ranges per bucket; the replica goes on being synchronised meanwhile, and the
 *             sums follow what is installed. READY: the cursors have the sums of the rows that are
 *             there; now SUBSCRIBE asks for a snapshot of the server to be kept. ASK: its checkpoint was
 *             installed; for each bucket that differs a question is asked. SCAN_PARTS: the ranges that
 *             differ are split and their records summed up for the next questions. ROWS: every bucket
 *             is down to small ranges, whose rows come; the server's last checkpoint installs them by
 *             difference, in one transaction.
 * Memory:     RANGES_SUMS_MAX sums for each bucket that differs, and the rows that came.
 * Ownership:  the replica owns it; not stored: a session that ends has to begin again.
 * Source:     SPEC.md 9.5, 10.7. */
#ifndef CLIENT_CORE_REPLICA_COMPARE_H
#define CLIENT_CORE_REPLICA_COMPARE_H

#include "client/core/replica_install.h"
#include "protocol/ranges.h"

struct compared { /* a bucket */
    uint32_t bucket;
    struct ranges ranges;
    uint32_t round;         /* questions asked */
    bool differs;           /* by its digest; false: done with */
    bool asked, rows, done; /* waits for an answer; for rows; knows its leaves */
    uint64_t *leaves;       /* the ranges whose rows come whole: ascending numbers */
    uint32_t leaf_count, leaf_depth;
};

struct replica_comparison {
    enum replica_compare state;
    uint64_t salt;
    struct compared *items; /* ascending by bucket */
    uint32_t count;
    /* the scan */
    struct store *snapshot;
    struct own_mark mark; /* the own mark in the snapshot */
    uint64_t origin;
    bool has_bases; /* in the snapshot */
    uint16_t table; /* the next one */
    bool dead;      /* of it, the dead rows */
    bool begun;     /* of these, rows up to `after` are done */
    struct uuid after;
    struct arena row;
    uint64_t unreadable; /* records: taken for absent */
    bool only_verifies;  /* the cursors stay as they were saved */
    struct held_page *pages, *pages_tail;
    size_t page_bytes;
};

/* What all parts of a bucket's ranges add up to. */
struct range_cell compare_total(const struct replica_comparison *c, uint32_t bucket);
/* A record enters (add) or leaves the confirmed layer: the sums follow. Accepts no comparison. */
void compare_account(struct replica *r, uint32_t bucket, const struct model_table *table,
                     const struct uuid *id, const struct digest *digest, bool add);
/* The checkpoint of a catch-up was installed, and cursors know whether they agree with its heads. */
void compare_checkpoint(struct replica *r);
/* Within the transaction of the last checkpoint: the rows that came, and what did not come. */
enum err compare_install(struct install *in);

#endif
