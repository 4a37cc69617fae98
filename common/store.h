/* store.h - the seam between the sync core and storage.
 *
 * Model:      typed rows (one per record, the *view* on a replica, live or dead), confirmed copies of
 *             rows that pending groups touch, the log (bucket, position) -> record, and side tables of
 *             ordered byte keys and values. The store knows the model's tables and columns and nothing
 *             of versions: they are opaque blobs to it.
 * Transactions: everything happens between store_begin() and store_commit()/store_rollback(); a read
 *             transaction is a snapshot. One writer; readers come from store_reader().
 * Ownership:  what a get returns lives in the arena that was passed. Views passed to a put are read
 *             before it returns.
 * Errors:     ERR_BUSY, ERR_FULL, ERR_IO, ERR_CORRUPT, ERR_NOMEM from any call. After any error in a
 *             write transaction the caller rolls back; after ERR_IO/ERR_CORRUPT it closes the store.
 * Order:      every scan is in ascending key order.
 * Source:     DESIGN.md 11; conformance suite tests/unit/test_store.c, which every implementation passes. */
#ifndef COMMON_STORE_H
#define COMMON_STORE_H

#include "common/arena.h"
#include "common/model.h"
#include "common/uuid.h"

/* Side tables: name in SQLite is "satchel_" + name. */
/* clang-format off */
#define STORE_SIDE_LIST(X) \
    X(META, meta, "settings and counters of this replica, by name") \
    X(OUTBOX, outbox, "own groups, pending and sent-log; the own mark says which (ADR-2): origin, oseq") \
    X(PENDING, pending, "groups of others that headquarters has not decided: origin, oseq") \
    X(WAITING, waiting, "headquarters: early groups, waiting for dots: origin, oseq") \
    X(WAITS_FOR, waits_for, "headquarters: missing dot -> waiting group") \
    X(PARKED, parked, "groups that a check refused, with the reason: origin, oseq") \
    X(PARKED_INSERT, parked_insert, "records that parked groups insert, their dots") \
    X(MARK, mark, "origin -> what has been decided of it") \
    X(RECEIPT, receipt, "origin, first oseq -> results and hashes of a run of groups") \
    X(BUCKET, bucket, "bucket number -> kind, key, head position, count, digest") \
    X(BUCKET_KEY, bucket_key, "kind, key -> bucket number") \
    X(CURSOR, cursor, "replica: bucket number -> position, digest") \
    X(STAGE, stage, "replica: pages of a checkpoint that is not complete") \
    X(ATTENTION, attention, "records whose local re-application failed, notices: table, id") \
    X(DEVICE, device, "headquarters: device -> public key, state, lease") \
    X(CODE, code, "headquarters: hash of a one-time enrolment code -> user, expiry") \
    X(AUDIT, audit, "hash-chained entries, by number") \
    X(INCARNATION, incarnation, "starts of headquarters: number -> random id, first positions") \
    X(PART, part, "parts of a large group that has not arrived whole") \
    X(RENAMED, renamed, "headquarters: dot of a renumbered group -> the dot that stands for it") \
    X(RUN, run, "branch: runs of groups in order of arrival -> origin, device, envelope, signature") \
    X(ORIGIN, origin_served, "branch: origin -> device, user, highest number") \
    X(MOVED, moved, "servers: table, id, bucket that it left -> position of the departure, when") \
    X(LAPSED, lapsed, "headquarters: user, bucket that this one no longer sees -> since when, last stamp") \
    X(BLOB, blob, "attachments: SHA-256 -> number, size, chunks that are here, state") \
    X(CHUNK, chunk, "attachments' bytes: number, chunk") \
    X(BLOB_NAME, blob_name, "SHA-256, table, id of a record that names it -> whether that is live") \
    X(BLOB_LIST, blob_list, "attachments with something left to do: what, SHA-256 or number") \
    X(MODELS, models, "the model's text, the one that is next, hashes of those before: store_models.h") \
    X(FLOOR, floor, "servers: bucket -> cursors below this position cannot catch up by the log") \
    X(SEEN, seen, "servers: device -> when it was here, up to when it has everything, its cursors") \
    X(AGE, age, "servers: what, number, time -> position or mark as of then") \
    X(GIVEN_UP, given_up, "headquarters: dots that groups were decided without -> when") \
    X(KEPT, kept, "replica: records that were purged under own changes: table, id -> their insert")
/* clang-format on */

enum store_side {
#define STORE_SIDE_ENUM(name, sql, about) SIDE_##name,
    STORE_SIDE_LIST(STORE_SIDE_ENUM)
#undef STORE_SIDE_ENUM
        SIDE_COUNT
};

/* LATER: as WRITE, but a power cut may take the commit back, whole, until one of WRITE or a checkpoint
 * has followed it. For what can be had again, where waiting for the disk would be most of the time. */
enum store_mode { STORE_READ, STORE_WRITE, STORE_WRITE_LATER };

enum {
    STORE_KEY_MAX = 256, /* bytes of a side table's key */
    STORE_VALUE_MAX =
        65 << 20, /* bytes of a side table's value: a group and what is kept with it */
};

/* A record as stored. bucket and position are 0 where they mean nothing (a pending insert). */
struct store_row {
    struct value *values; /* table->column_count of them, by column index */
    struct bytes version; /* version.h */
    uint32_t bucket;
    uint64_t position;
    bool dead; /* a tombstone: kept whole, not in the typed table */
};

struct store;

/* Each returns 0 to go on, or an error that ends the scan and is returned by it;
 * STORE_STOP ends it with ERR_OK. Views are valid during the call only. */
enum { STORE_STOP = -1 };
typedef int store_side_fn(void *context, struct bytes key, struct bytes value);
typedef int store_log_fn(void *context, uint64_t position, const struct model_table *table,
                         const struct uuid *id);
typedef int store_id_fn(void *context, const struct uuid *id);

struct store_ops {
    void (*close)(struct store *store);
    enum err (*reader)(struct store *store, struct store **ret_reader);
    enum err (*begin)(struct store *store, enum store_mode mode);
    enum err (*commit)(struct store *store);
    void (*rollback)(struct store *store);
    enum err (*savepoint)(struct store *store);
    enum err (*release)(struct store *store);
    enum err (*rollback_to)(struct store *store);
    enum err (*row_get)(struct store *store, const struct model_table *table, const struct uuid *id,
                        struct arena *arena, struct store_row *ret_row);
    enum err (*row_put)(struct store *store, const struct model_table *table, const struct uuid *id,
                        const struct store_row *row);
    enum err (*row_insert)(struct store *store, const struct model_table *table,
                           const struct uuid *id, const struct store_row *row);
    enum err (*row_delete)(struct store *store, const struct model_table *table,
                           const struct uuid *id);
    enum err (*children)(struct store *store, const struct model_table *table,
                         const struct uuid *parent, store_id_fn *fn, void *context);
    enum err (*base_get)(struct store *store, const struct model_table *table,
                         const struct uuid *id, struct arena *arena, struct store_row *ret_row);
    enum err (*base_put)(struct store *store, const struct model_table *table,
                         const struct uuid *id, const struct store_row *row);
    enum err (*base_delete)(struct store *store, const struct model_table *table,
                            const struct uuid *id);
    enum err (*log_put)(struct store *store, uint32_t bucket, uint64_t position,
                        const struct model_table *table, const struct uuid *id);
    enum err (*log_delete)(struct store *store, uint32_t bucket, uint64_t position);
    enum err (*log_scan)(struct store *store, uint32_t bucket, uint64_t after, store_log_fn *fn,
                         void *context);
    enum err (*side_get)(struct store *store, enum store_side side, struct bytes key,
                         struct arena *arena, struct bytes *ret_value);
    enum err (*side_put)(struct store *store, enum store_side side, struct bytes key,
                         struct bytes value);
    enum err (*side_delete)(struct store *store, enum store_side side, struct bytes key);
    enum err (*side_scan)(struct store *store, enum store_side side, struct bytes from,
                          struct bytes to, store_side_fn *fn, void *context);
    enum err (*row_scan)(struct store *store, const struct model_table *table,
                         const struct uuid *after, store_id_fn *fn, void *context);
    enum err (*dead_scan)(struct store *store, const struct model_table *table,
                          const struct uuid *after, store_id_fn *fn, void *context);
    enum err (*conceal)(
        struct store *store); /* NULL, as reveal: who reads uses transactions like these */
    enum err (*reveal)(struct store *store);
};

struct store {
    const struct store_ops *ops;
    const struct model *model; /* borrowed; outlives the store */
};

/* The kind of value that a column holds, NULL aside. A put of another kind, or of NaN, is ERR_TYPE;
 * a version, bucket or position that no store could hold (over INT64_MAX) is ERR_LIMIT. */
enum value_kind store_column_kind(const struct model_column *column);

/* Accepts NULL. Rolls back what is open. */
void store_close(struct store *store);
/* A further, read-only handle on the same data; sees commits made before its begin().
 * ERR_NOMEM, ERR_IO. The memory store gives a consistent copy at begin(). */
enum err store_reader(struct store *store, struct store **ret_reader);

/* ERR_BUSY when another process writes. Nesting is a bug (assert). */
enum err store_begin(struct store *store, enum store_mode mode);
/* When it returns ERR_OK in STORE_WRITE, the transaction, and all before it, is as durable as the store's
 * `synchronous` promises. On error nothing of it is there, and it is over. */
enum err store_commit(struct store *store);
void store_rollback(struct store *store);
/* One level inside a write transaction: for the repeated batch after an unexpected failure.
 * store_release() keeps what was written since, store_rollback_to() undoes it; either ends the
 * savepoint. */
enum err store_savepoint(struct store *store);
enum err store_release(struct store *store);
enum err store_rollback_to(struct store *store);

/* ERR_NOT_FOUND: neither live nor dead. */
enum err store_row_get(struct store *store, const struct model_table *table, const struct uuid *id,
                       struct arena *arena, struct store_row *ret_row);
/* Inserts or replaces, and moves between live and dead as row->dead says. */
enum err store_row_put(struct store *store, const struct model_table *table, const struct uuid *id,
                       const struct store_row *row);
/* The fast path: a live row that is not there yet; ERR_EXISTS if it is (and nothing changed). */
enum err store_row_insert(struct store *store, const struct model_table *table,
                          const struct uuid *id, const struct store_row *row);
/* Removes it, live or dead; no error if there is none. */
enum err store_row_delete(struct store *store, const struct model_table *table,
                          const struct uuid *id);
/* All live ids above `after` (NULL: from the first), in order. */
enum err store_row_scan(struct store *store, const struct model_table *table,
                        const struct uuid *after, store_id_fn *fn, void *context);
/* The same of dead ids. */
enum err store_dead_scan(struct store *store, const struct model_table *table,
                         const struct uuid *after, store_id_fn *fn, void *context);
/* Ids of the records of `table`, live and dead, whose parent column refers to `parent`. */
enum err store_children(struct store *store, const struct model_table *table,
                        const struct uuid *parent, store_id_fn *fn, void *context);

/* From now until store_reveal() rows that have a position are seen by write transactions alone; by others, other
 * handles and SQL tools only those without one. A replica's first sync fills its tables so, and shows them whole.
 * Within a write transaction, without a savepoint; nothing where it is so already. */
enum err store_conceal(struct store *store);
enum err store_reveal(struct store *store);

/* A store_id_fn for both: its context is a struct store_ids, which gets the ids. ERR_NOMEM. */
struct store_ids {
    struct arena *arena;
    struct uuid *ids;
    uint32_t count, capacity;
};
int store_ids_add(void *context, const struct uuid *id);

/* The confirmed copy of a record whose view differs. A row with version.size 0 says
 * "not there in the confirmed layer": its values are not kept (a get gives NULLs). ERR_NOT_FOUND: no copy (the view is the confirmed row). */
enum err store_base_get(struct store *store, const struct model_table *table, const struct uuid *id,
                        struct arena *arena, struct store_row *ret_row);
enum err store_base_put(struct store *store, const struct model_table *table, const struct uuid *id,
                        const struct store_row *row);
enum err store_base_delete(struct store *store, const struct model_table *table,
                           const struct uuid *id);

/* The log. log_put at a position in use is ERR_EXISTS; log_delete of none is no error. */
enum err store_log_put(struct store *store, uint32_t bucket, uint64_t position,
                       const struct model_table *table, const struct uuid *id);
enum err store_log_delete(struct store *store, uint32_t bucket, uint64_t position);
/* Positions > after, ascending. fn may call row_get; it must not write. */
enum err store_log_scan(struct store *store, uint32_t bucket, uint64_t after, store_log_fn *fn,
                        void *context);

/* Side tables. get: ERR_NOT_FOUND. put replaces. scan: from <= key < to; an empty `to` is no end.
 * Keys up to 256 bytes, values up to 64 MiB (ERR_LIMIT). fn must not write to that side table. */
enum err store_side_get(struct store *store, enum store_side side, struct bytes key,
                        struct arena *arena, struct bytes *ret_value);
enum err store_side_put(struct store *store, enum store_side side, struct bytes key,
                        struct bytes value);
enum err store_side_delete(struct store *store, enum store_side side, struct bytes key);
enum err store_side_scan(struct store *store, enum store_side side, struct bytes from,
                         struct bytes to, store_side_fn *fn, void *context);

#endif
