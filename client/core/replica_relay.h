/* replica_relay.h - the replica of a branch: what comes from below on its way up, and what the branch has to
 * tell its devices.
 *
 * Model:      a branch's replica is a replica whose store keeps the log. Runs of groups that its devices push
 *             are kept as they came, numbered in order of arrival, with their envelope and signature; their
 *             groups are shown as pending. They go up in that order (push_relay.c), and stay until
 *             headquarters has them archived.
 * Stored:     RUN number BE8 -> kind u8, origin BE8, first BE8, count BE4,
 *             device 16, received BE8, offset BE8, signature 64; ORIGIN origin BE8 -> device 16, user 16,
 *             received BE8 (all up to it are here or decided), forked BE8 (the oseq from which another's
 *             groups stand; 0: none).
 * Transactions: those that begin with replica_ are one each; relay_ ones are part of the caller's.
 * Source:     SPEC.md 12. */
#ifndef CLIENT_CORE_REPLICA_RELAY_H
#define CLIENT_CORE_REPLICA_RELAY_H

#include "client/core/replica.h"

struct held_page;

enum relay_run_kind {
    RUN_NONE,    /* there is no more */
    RUN_BELOW,   /* to be forwarded */
    RUN_ABOVE,   /* another branch's: for the devices here */
    RUN_DISCARD, /* the author gives up `first`, which was set aside; to be forwarded */
};

struct relay_run {
    uint64_t number, origin, first;
    uint32_t count;
    enum relay_run_kind kind;
    struct uuid device;
    int64_t received_ms, offset_ms;
    uint8_t signature[64];
};

struct relay_origin {
    uint64_t origin, received, forked;
    struct uuid device, user;
};

/* ERR_NOT_FOUND. */
enum err relay_origin_get(struct replica *replica, uint64_t origin, struct relay_origin *ret);
enum err relay_origin_put(struct replica *replica, const struct relay_origin *origin);
/* What is decided of an origin, as this branch knows and can tell; upto 0: nothing. */
enum err relay_mark(struct replica *replica, uint64_t origin, struct arena *arena,
                    struct mark *ret);
/* The same from a snapshot of the store; for the replica's own origin as well. */
enum err relay_mark_from(struct store *store, uint64_t origin, struct arena *arena,
                         struct mark *ret);
/* What became of the groups above `after`; arena. */
enum err relay_results_from(struct store *store, uint64_t origin, uint64_t after,
                            struct arena *arena, const struct group_result **ret,
                            uint32_t *ret_count);
enum err relay_result_put(struct replica *replica, uint64_t origin,
                          const struct group_result *result);
/* Whether the group that came under this number is the one that headquarters has decided. UNKNOWN: none of the
 * results tells, as they were stored by an earlier program. */
enum relay_identity { RELAY_UNKNOWN, RELAY_SAME, RELAY_OTHER };
enum relay_identity relay_identity_of(const struct group_result *results, uint32_t count,
                                      uint64_t origin, uint64_t oseq, struct bytes raw);
/* Takes a run from below; groups as they came, their oseqs from run->first on; decided: which of them headquarters is
 * known to have decided; run->number is set. */
enum err relay_take(struct replica *replica, struct relay_run *run, const struct bytes *groups,
                    const bool *decided);
/* The group (origin, oseq) that is held here, decided or not. ERR_NOT_FOUND. */
enum err relay_group(struct replica *replica, uint64_t origin, uint64_t oseq, struct arena *arena,
                     struct bytes *ret_raw, uint64_t *ret_stamp, bool *ret_decided);
/* The same of one that may have come from below (whole), or from above without what is out of scope. */
enum err relay_group_below(struct replica *replica, uint64_t origin, uint64_t oseq,
                           struct arena *arena, struct bytes *ret_raw, bool *ret_whole);
/* The oseqs of an origin whose groups are held here: ranges, ascending; arena. */
enum err relay_held(struct replica *replica, uint64_t origin, struct arena *arena,
                    struct oseq_range **ret, uint32_t *ret_count);
/* The first run with a number >= from. ERR_NOT_FOUND: none. */
enum err relay_run_next(struct replica *replica, uint64_t from, struct relay_run *ret);
/* The numbers of runs end before this one. */
uint64_t relay_run_end(const struct replica *replica);
/* Whose groups are held here, or go up from here: with the floors of their fates; arena. */
enum err relay_origins(struct replica *replica, struct arena *arena, struct origin_floor **ret,
                       uint32_t *ret_count);
enum err relay_note_fate(struct replica *replica, const struct message_fates *fates,
                         struct arena *arena);
/* The first number of those runs of an origin from below that end after `archived`: they go up whole, with one
 * signature. UINT64_MAX: there is none. */
enum err relay_runs_from(struct replica *replica, uint64_t origin, uint64_t archived,
                         uint64_t *ret);
/* A run is forgotten with its last group: it is archived, or has left a branch that has it from above. */
enum err relay_run_gone(struct replica *replica, uint64_t number, uint64_t oseq);
enum err relay_note_above(struct replica *replica, const struct message_pending *pending);
/* Headquarters was restored: what was known to be decided may be lost, and goes up again. */
enum err relay_start_over(struct replica *replica);

/* What goes up next, from this number on: a run that has an undecided group, with its groups (arena), or a
 * discard; RUN_NONE: no more. One transaction. */
enum err replica_run(struct replica *replica, uint64_t from, struct arena *arena,
                     struct relay_run *ret, const struct bytes **ret_groups);
/* Headquarters says that (origin, oseq) is another group's. */
enum err replica_relay_forked(struct replica *replica, uint64_t origin, uint64_t oseq);

/* Whether replica_follow() may say more than it did when this was asked last. */
bool replica_follows_more(struct replica *replica);
/* Whether users, branches or devices have changed since this was asked last. */
bool replica_people_changed(struct replica *replica);
/* Discards of the devices below that headquarters has not confirmed. */
enum err relay_note_discard(struct replica *replica, uint64_t origin, uint64_t oseq);

/* During the call of `installed`: the live pages of the checkpoint, in order, and its fates. */
typedef enum err relay_page_fn(void *context, uint32_t bucket, uint64_t from, uint64_t to,
                               struct bytes body);
enum err relay_live_pages(const struct replica *replica, relay_page_fn *fn, void *context);
typedef enum err relay_fates_fn(void *context, const struct message_fates *fates);
enum err relay_fates(const struct replica *replica, uint64_t live, relay_fates_fn *fn,
                     void *context);
/* And the numbers whose groups here turned out to be others than those that were decided; the least of each origin. */
typedef void relay_forks_fn(void *context, uint64_t origin, uint64_t oseq);
void relay_forks(const struct replica *replica, uint64_t live, relay_forks_fn *fn, void *context);
/* The buckets in scope, with head, count and sum as of the last checkpoint. */
/* Changes whenever buckets or marks have gone without a checkpoint: with a WELCOME. */
uint64_t relay_upheavals(const struct replica *r);
/* Whether there is anything that a device could be given: not before the first checkpoint, nor after a restore of
 * headquarters until all has come anew. */
bool relay_holds_records(const struct replica *r);
typedef enum err relay_bucket_fn(void *context, const struct bucket_name *name,
                                 const struct bucket_digest *head);
enum err relay_buckets(const struct replica *replica, relay_bucket_fn *fn, void *context);

#endif
