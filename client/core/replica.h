/* replica.h - a device's copy of the customer file: local writes, the view, checkpoints.
 *
 * Model:      view = confirmed layer + pending groups (DESIGN.md 3). The typed rows hold the view. Where a
 *             pending group touches a record that is confirmed, `base` keeps the confirmed row and the
 *             dots of the pending groups that touch it. A pending insert needs no base: its insert dot is
 *             of this replica's origin and above its mark.
 * Invariants: oseq of the outbox are consecutive up to last_oseq; a group is in exactly one of outbox,
 *             sent, parked; a record with a base row has at least one pending group; what is shown is
 *             always a whole checkpoint plus the pending groups.
 * Transactions: every public call is one store transaction, or part of the one begun by replica_begin().
 * Ownership:  borrows model, store, crypto, rng, log; owns the rest.
 * Source:     SPEC.md 10. */
#ifndef CLIENT_CORE_REPLICA_H
#define CLIENT_CORE_REPLICA_H

#include "common/crypto.h"
#include "common/log.h"
#include "common/rng.h"
#include "common/store.h"
#include "common/store_models.h"
#include "protocol/apply.h"
#include "protocol/message.h"

struct replica;

struct replica_config {
    const struct model *model;
    struct store *store;
    struct crypto *crypto;
    const struct rng *rng;
    const struct log *log; /* may be NULL */
    /* A branch's: confirmed rows are entered in the log, groups from below are kept to be forwarded, and
     * fates to be told (replica_relay.h). */
    bool branch;
    /* May be NULL. After each checkpoint's commit; what came with it is still there (replica_relay.h). */
    void (*installed)(void *context, const struct message_checkpoint *checkpoint);
    void *context;
};

/* Opens (and on a new store sets up) the replica. ERR_NOMEM, ERR_IO, ERR_CORRUPT, ERR_BUSY. */
enum err replica_open(const struct replica_config *config, struct replica **ret,
                      struct err_info *info);
void replica_close(struct replica *replica);

/* --- local writes: one group per transaction --- */
enum err replica_begin(struct replica *replica, int64_t wall_ms);
/* columns[i] gets values[i]; others their fallback. id in: nil makes one; out: the record's.
 * ERR_TYPE, ERR_EXISTS, ERR_FORBIDDEN (system table), ERR_LIMIT, ERR_NOMEM, store errors. */
enum err replica_insert(struct replica *replica, const struct model_table *table, struct uuid *id,
                        const uint16_t *columns, const struct value *values, uint16_t count,
                        struct err_info *info);
/* ERR_NOT_FOUND (absent or dead), ERR_TYPE, ERR_FORBIDDEN (append-only). For counters the value is the
 * new total: the difference travels. For sets a JSON array: the difference travels. Columns whose
 * value does not change are left out, unless `settle`: then the write names all open candidates. */
enum err replica_update(struct replica *replica, const struct model_table *table,
                        const struct uuid *id, const uint16_t *columns, const struct value *values,
                        uint16_t count, bool settle, struct err_info *info);
/* Deletes the record and everything that belongs to it. ERR_NOT_FOUND, ERR_FORBIDDEN. */
enum err replica_delete(struct replica *replica, const struct model_table *table,
                        const struct uuid *id, struct err_info *info);
/* Brings a deleted record back. ERR_NOT_FOUND. */
enum err replica_restore(struct replica *replica, const struct model_table *table,
                         const struct uuid *id, struct err_info *info);
/* ERR_OK with ret_dot none: nothing was written. After an error nothing of the transaction is there. */
enum err replica_commit(struct replica *replica, struct dot *ret_dot);
void replica_rollback(struct replica *replica);
bool replica_in_transaction(const struct replica *replica);

/* --- reading (inside or outside of a transaction) --- */
struct replica_record {
    struct record record;
    uint32_t bucket;
    uint16_t pending; /* own groups that touch it and are not decided */
};
/* ERR_NOT_FOUND. */
enum err replica_get(struct replica *replica, const struct model_table *table,
                     const struct uuid *id, struct arena *arena, struct replica_record *ret);

/* --- what the uplink needs --- */
struct replica_status {
    uint64_t origin, last_oseq, decided_upto;
    uint64_t outbox_count, parked_count, sent_count, attention_count;
    struct uuid history;
    bool bootstrapped;          /* at least one checkpoint has been installed */
    bool older;                 /* replica_older() has something to send */
    bool reconcile;             /* the next subscription has to bring everything anew */
    bool differs;               /* a digest differs: it has to be compared by ranges */
    int64_t last_checkpoint_ms; /* wall clock; 0: never */
    uint64_t scope;
    uint64_t records; /* confirmed records in all buckets, as of the last checkpoint */
};
void replica_status(const struct replica *replica, struct replica_status *ret);

/* --- the server's model (SPEC.md 14) --- */
enum replica_model {
    MODEL_SAME,    /* as here */
    MODEL_EARLIER, /* what is here continues it */
    MODEL_STRANGE, /* this program cannot read it; it continues what is here: writes go up, nothing comes down */
};
const struct model *replica_model(const struct replica *replica);
/* Whether the model here has been, or continues, the one of this hash. */
enum err replica_model_was(struct replica *replica, const uint8_t hash[32], bool *ret);
/* The store is opened with this model the next time, and knows these that it continues. Where nothing has been written
 * or received yet it may be any; otherwise ERR_MODEL unless it extends what is here, info says why. */
enum err replica_model_learn(struct replica *replica, const struct model *model,
                             const struct model_name *former, uint32_t former_count,
                             struct err_info *info);
/* The model here continues this one. */
enum err replica_model_continues(struct replica *replica, const struct model_name *former);
/* What is kept of the server's model for people: written where it changes. */
enum err replica_note_server_model(struct replica *replica, enum replica_model state,
                                   uint32_t version, const char *why);
/* Within a transaction. why: in the arena; "" where there is nothing to say. */
enum err replica_server_model(struct store *store, struct arena *arena, enum replica_model *ret,
                              uint32_t *ret_version, const char **ret_why);

/* The handshake's outcome: compares incarnations and marks with what is held here, and moves to a new
 * origin (ret_forked) or forgets a lost history (ret_diverged: sent-log back to outbox, cursors to
 * 0). ERR_PROTOCOL: another customer file. */
enum err replica_welcome(struct replica *replica, const struct uuid *history,
                         const struct message_welcome *welcome, int64_t wall_ms, bool *ret_forked,
                         bool *ret_diverged);
/* FORK: renumbers own groups from oseq on, under a new origin. */
enum err replica_fork(struct replica *replica, uint64_t oseq, int64_t wall_ms);
/* Outbox groups with oseq >= from, in order, until max_bytes or max_groups; at least one if there is one. */
enum err replica_outbox(struct replica *replica, uint64_t from, size_t max_bytes,
                        uint32_t max_groups, struct arena *arena, const struct bytes **ret_groups,
                        uint32_t *ret_count, uint64_t *ret_first);
/* Groups of origins from before a fork that a restored headquarters has to be given again
 * (status.older): a run of one origin from (origin, oseq) on; arena. count 0: no more. */
enum { OLDER_GROUPS = 1000 };
struct replica_older {
    uint64_t origin, first;
    struct bytes *groups;
    uint32_t count;
};
enum err replica_older(struct replica *replica, uint64_t origin, uint64_t oseq, size_t max_bytes,
                       struct arena *arena, struct replica_older *ret);
/* The server has all of them. */
enum err replica_older_done(struct replica *replica);
/* An older origin is another device's at the server: its groups go on under a new one, each with its number
 * and naming the dot that it had. */
enum err replica_older_taken(struct replica *replica, uint64_t origin);
/* The present origin is another device's at the server, which so has none of its groups: all of them, decided
 * ones too (it was restored, then), go on under a new one and are sent. */
enum err replica_disown(struct replica *replica);
/* The server holds these durably (the second mark). Idempotent. */
enum err replica_acknowledged(struct replica *replica, const struct message_ack *ack);
/* Where to go on: installed cursors, or staged positions; arena. */
enum err replica_cursors(struct replica *replica, struct arena *arena,
                         const struct bucket_position **ret, uint32_t *ret_count,
                         bool *ret_reconcile);
/* A page of a catch-up: staged, or on an empty replica written at once. */
enum err replica_page(struct replica *replica, const struct message_page *page);
/* Live pages are held in memory until their checkpoint. ret_gap: a delta did not fit; nothing was
 * installed and the caller subscribes again from its cursors. */
enum err replica_checkpoint(struct replica *replica, const struct message_checkpoint *checkpoint,
                            int64_t wall_ms, bool *ret_gap);
/* Whether the checkpoint says of own numbers that they are decided which this replica has not given yet: another one
 * writes under its origin. */
bool replica_mark_beyond(const struct replica *replica,
                         const struct message_checkpoint *checkpoint);
/* The highest own group that the checkpoint says to be decided, that is not known to be so, and that is beyond what
 * the server has acknowledged (and so compared) in this session; 0: none. */
uint64_t replica_mark_unproven(const struct replica *replica,
                               const struct message_checkpoint *checkpoint, uint64_t acknowledged);
/* --- comparing by ranges, when a digest differs (status.differs) --- */
enum replica_compare {
    COMPARE_NONE,
    COMPARE_SCAN,       /* replica_compare_scan() has work */
    COMPARE_READY,      /* to subscribe with RECONCILE_RANGES */
    COMPARE_SUBSCRIBED, /* the checkpoint of the server's snapshot is awaited */
    COMPARE_AGREES,     /* nothing differs: to subscribe as usual */
    COMPARE_ASK,        /* replica_compare_question() has some */
    COMPARE_ANSWERS,    /* are awaited */
    COMPARE_SCAN_PARTS, /* replica_compare_scan() has work, for more questions */
    COMPARE_ROWS,       /* are awaited, and the checkpoint behind them */
    COMPARE_UNFOUNDED   /* all rows agree, and the digest does not: the server's is wrong */
};
enum replica_compare replica_compare_state(const struct replica *replica);
/* Begins (again). ERR_NOMEM, store errors. Where the store can have no snapshots: status.reconcile. */
enum err replica_compare_begin(struct replica *replica);
/* Reads up to `rows` records. */
enum err replica_compare_scan(struct replica *replica, uint32_t rows);
void replica_compare_subscribed(struct replica *replica);
/* The next question; sums and numbers in the arena. */
enum err replica_compare_question(struct replica *replica, struct arena *arena,
                                  struct message_ranges *ret);
/* A page of rows. More than can be held: status.reconcile, and the comparison is dropped. */
enum err replica_compare_page(struct replica *replica, const struct message_page *page);
/* ERR_PROTOCOL: no answer to what was asked. */
enum err replica_compare_answer(struct replica *replica, const struct message_differences *answer);
/* Too much differs, or the end of a session. Accepts none. */
void replica_compare_drop(struct replica *replica);
/* Groups of others that headquarters has not decided, from a branch. ERR_MALFORMED, ERR_PROTOCOL. */
enum err replica_pending(struct replica *replica, const struct message_pending *pending,
                         int64_t wall_ms);
/* What became of an origin's groups: held until the checkpoint of its kind. ERR_PROTOCOL, ERR_LIMIT. */
enum err replica_fates(struct replica *replica, const struct message_fates *fates);
/* Whose fates matter here, and what is here of this branch's list (0: of headquarters); arena. */
enum err replica_follow(struct replica *replica, uint64_t relay, struct arena *arena,
                        struct message_follow *ret);
uint64_t replica_pending_count(const struct replica *replica); /* groups of others that wait */
/* Forgets live pages without a checkpoint (the link went down). */
void replica_drop_live(struct replica *replica);
/* Scope of the session; buckets no longer subscribed are dropped (never what the outbox touches). */
uint64_t replica_scope(const struct replica *replica);
/* Whether the session under way is with headquarters, or with a branch that is online itself. */
void replica_set_online(struct replica *replica, bool online);
bool replica_online(const struct replica *replica);

/* --- verifying --- */
struct replica_bucket {
    uint32_t number, kind; /* enum bucket_kind; 0: not known */
    struct uuid key;       /* of the branch or user */
    uint64_t saved, found; /* records by the cursor, and by counting */
    uint64_t position;
    bool right; /* the records add up to what the cursor says */
};
typedef void replica_verify_fn(void *context, const struct replica_bucket *bucket);
/* Reads every confirmed record and calls fn for each bucket. mark: where something is wrong, the next
 * session compares with the server (status.differs). Not within a session or a transaction.
 * ret_unreadable: records that cannot be read. ERR_NOMEM, ERR_INVALID (a store without snapshots),
 * store errors. */
enum err replica_verify(struct replica *replica, bool mark, replica_verify_fn *fn, void *context,
                        uint64_t *ret_unreadable);

/* --- needs attention --- */
struct parked_group {
    struct dot dot;
    enum reason reason;
    uint32_t result; /* enum result_code */
    struct bytes detail;
    struct bytes attached; /* of what was purged: the inserts that bring it back; may be empty */
    struct group group;
    int64_t at_ms;
};
typedef enum err replica_parked_fn(void *context, const struct parked_group *parked);
enum err replica_parked(struct replica *replica, replica_parked_fn *fn, void *context);
/* fix: writes the group's mutations again upon what is shown now, as a new group, with the values
 * of the replica_update() calls that the caller makes in between; discard: gives it up, and tells the server. ERR_NOT_FOUND. */
enum err replica_parked_retry(struct replica *replica, uint64_t oseq, int64_t wall_ms,
                              struct err_info *info);
enum err replica_parked_discard(struct replica *replica, uint64_t oseq, struct err_info *info);
/* Discards that the server has not confirmed; arena. At most 1,000 at a time. */
struct replica_discard {
    uint64_t origin, oseq;
};
enum err replica_discards(struct replica *replica, struct arena *arena,
                          const struct replica_discard **ret, uint32_t *ret_count);
/* The server has taken it. */
enum err replica_discarded(struct replica *replica, uint64_t origin, uint64_t oseq);

#endif
