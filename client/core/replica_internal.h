/* replica_internal.h - what the files of the replica share.
 *
 * Reading order: replica.c (opening, state, reading) -> replica_write.c, replica_delete.c (local
 * transactions) -> replica_base.c (confirmed copies and pending groups) -> replica_install.c (entries
 * of pages) -> replica_checkpoint.c (pages and checkpoints) -> replica_compare.c (a digest that differs) ->
 * replica_link.c (welcome, fork, outbox, acknowledgements), replica_scope.c -> replica_parked.c;
 *                replica_kept.c (what was purged under them); others' groups: replica_pending.c, replica_fates.c; a branch's: replica_relay.c, replica_log.c.
 *
 * Stored:  META "state": origin BE8, last_oseq BE8, hlc BE8, scope BE8, last checkpoint BE8, flags u8;
 *          OUTBOX (origin BE8, oseq BE8) -> group bytes: pending ones, and decided ones (the sent-log)
 *          until they are archived; which is which is said by the own mark;
 *          MARK origin -> upto, ranges; CURSOR bucket BE4 -> position, staged position, count, sum;
 *          PENDING (origin, oseq) -> flags u8, effective stamp BE8, number of its run BE8, group bytes: groups
 *          of others (replica_pending.c); on a branch also those from below, until they are archived;
 *          STAGE number BE8 -> bucket BE4, page body; PARKED as OUTBOX with a head;
 *          base rows: version = varint size, version blob (empty: absent), varint count, dots. */
#ifndef CLIENT_CORE_REPLICA_INTERNAL_H
#define CLIENT_CORE_REPLICA_INTERNAL_H

#include "client/core/replica.h"
#include "common/hash_map.h"
#include "protocol/digest.h"
#include "protocol/hlc.h"
#include "protocol/page.h"
#include "protocol/route.h"

enum {
    REPLICA_ARENA_MAX = 1 << 30,
    REPLICA_HELD_MAX = 64 << 20,  /* live pages waiting for their checkpoint */
    REPLICA_STAGE_FROM = 1 << 20, /* a catch-up larger than this is staged on disk */
    REPLICA_KEY = 16,
    BUCKETS_MAX = 1 << 20,
    PENDING_GROUPS_MAX = 4 << 20, /* of others, not decided */
    SEEN_MAX = 1 << 28,
};

struct cursor {
    uint32_t bucket;
    uint64_t position, staged, count;
    struct digest sum;
    bool dirty;
    bool differs; /* from the last head that was seen */
};

struct held_page {
    struct held_page *next;
    uint32_t bucket;
    uint64_t from, to;
    size_t size;
    uint8_t body[];
};

struct own_mark {
    uint64_t upto;
    struct oseq_range *ranges; /* heap */
    uint32_t count;
};

/* A decoded group of the outbox, kept while consecutive look-ups are of the same group. */
struct group_cache {
    uint64_t origin, oseq;
    struct arena arena;
    struct group group;
    struct bytes raw;
    uint32_t hint;
    bool valid;
};

/* What was told of an origin that is followed; counts with the next checkpoint of its kind. */
struct held_fate {
    struct held_fate *next;
    struct arena arena;
    struct message_fates fates;
    uint64_t
        forked; /* at a branch: the least number whose group here is another than the decided one; 0: none */
};

struct base;
struct install;

/* Of SIDE_META: what run_next was when the last run went. */
#define META_RUN_NEXT "run_next"

struct replica {
    struct replica_config config;
    const struct model *model;
    struct store *store;
    uint64_t origin, last_oseq, hlc, scope;
    uint64_t scope_at; /* position in the company's bucket that the list of buckets here is of */
    int64_t last_checkpoint_ms;
    bool bootstrapped, reconcile, have_history;
    bool differs; /* rows here are not those of headquarters: replica_compare.c */
    bool older;   /* groups of older origins go up again: replica_older.c */
    bool stale;   /* a transaction failed, and memory could not be read anew yet */
    struct uuid history;
    struct own_mark mark;
    uint64_t outbox_count, sent_count, parked_count, attention_count, acknowledged;
    uint64_t discards_archived; /* what was given up up to this one is forgotten */
    struct cursor *cursors;     /* ascending by bucket */
    uint32_t cursor_count, cursor_capacity;
    struct hash_map bucket_keys; /* route_key -> number */
    struct hash_map
        pending; /* origin BE8, oseq BE8 -> effective stamp: others' groups, not decided */
    uint64_t relay, relay_seq; /* the branch that they come from, and up to where they are here */
    uint64_t run_next;         /* of a branch: the number of the next run (replica_relay.c) */
    bool people_changed;       /* users, branches, devices: since it was asked */
    uint64_t upheavals;        /* buckets or marks have gone without a checkpoint: counted */
    bool online;               /* of the session under way: replica_set_online() */
    bool follow_more;          /* an origin that the server has not been told of may be served */
    struct held_fate *fates, *fates_tail;
    uint32_t fate_count;
    struct held_page *live, *live_tail, *caught, *caught_tail;
    size_t live_bytes, caught_bytes;
    uint64_t stage_next;
    struct group_cache cache;
    struct replica_comparison *comparison; /* NULL: none is under way */

    /* the local transaction under way */
    bool writing;
    struct dot dot;
    uint64_t stamp;
    struct arena arena;
    struct mutation *mutations;
    uint32_t mutation_count, mutation_capacity;
    struct buf scratch, encode;
};

/* replica.c */
enum err replica_load(struct replica *r);
enum err replica_save(struct replica *r);
/* Ends a failed transaction: rolls back and reads memory anew from the store. */
void replica_abort(struct replica *r);
/* A store transaction, with memory as the store has it. */
enum err replica_enter(struct replica *r, enum store_mode mode);
/* Its end: commits if e is ERR_OK; after any failure nothing of it is there, in memory neither. */
enum err replica_leave(struct replica *r, enum err e);
bool mark_has(const struct own_mark *mark, uint64_t oseq);
enum err own_mark_copy(struct own_mark *to, const struct mark *from);
enum err mark_set(struct replica *r, const struct mark *from);
/* The own mark becomes what either says (join), or what both say (meet). ERR_NOMEM. */
enum err mark_combine(struct replica *r, const struct mark *with, bool meet);
enum err mark_put(struct replica *r, const struct mark *mark);
enum err mark_save(struct replica *r);                         /* the own one */
struct cursor *cursor_get(struct replica *r, uint32_t bucket); /* makes it; NULL: no memory */
/* Whether there is a cursor of it: every bucket in scope of which something has come has one. */
bool bucket_subscribed(const struct replica *r, uint32_t bucket);
enum err cursors_save(struct replica *r);
void own_key(uint64_t origin, uint64_t oseq, uint8_t out[REPLICA_KEY]);
bool is_own_pending(const struct replica *r, const struct dot *dot);
/* The same, or of another one's group that is held here and not decided. */
bool is_pending(const struct replica *r, const struct dot *dot);
/* store_row_get() without what a first sync that has not ended has brought. */
enum err shown_row(struct replica *r, const struct model_table *table, const struct uuid *id,
                   struct arena *arena, struct store_row *ret);
/* Whether the row is an insert that waits. One that has a position came from headquarters, in a first sync
 * that was cut before the mark came: it is confirmed. */
bool is_waiting_insert(const struct replica *r, const struct store_row *row,
                       const struct dot *insert);
enum err record_from_row(const struct model_table *table, const struct store_row *row,
                         struct arena *arena, struct record *ret);
/* Encodes version and fills row (values, version in arena, dead). */
enum err row_from_record(struct replica *r, const struct model_table *table,
                         const struct record *record, struct arena *arena, struct store_row *ret);
uint32_t route_bucket(struct replica *r, const struct model_table *table,
                      const struct value *values);
/* Whether an entry of the outbox is a whole group and the one that its key says. */
bool outbox_readable(struct bytes key, struct bytes value);
/* Of the outbox, or of the pending groups of others. ERR_NOT_FOUND; ERR_CORRUPT: it cannot be read, or is another. */
enum err outbox_group(struct replica *r, uint64_t origin, uint64_t oseq, struct group **ret);
void cache_drop(struct replica *r);
enum err hold_page(struct held_page **head, struct held_page **tail, size_t *bytes,
                   const struct message_page *page);
void drop_pages(struct held_page **head, struct held_page **tail, size_t *bytes);

/* replica_model.c: whether what is shown was made with another model than this one, and showing it anew. */
enum err model_is_new(struct replica *r, bool *ret);
enum err model_show_anew(struct replica *r);

/* replica_scope.c: buckets and their names as this WELCOME has them; rows of others go. */
enum err scope_load(struct replica *r);
enum err scope_take(struct replica *r, const struct message_welcome *welcome);
/* A cursor below a floor of the server: everything is to be read anew. A branch takes it for its own where it has
 * nothing yet. */
enum err scope_floors(struct replica *r, const struct message_welcome *welcome);

/* replica_pending.c */
enum {
    PENDING_HEAD = 17,
    PENDING_WHOLE = 1 /* from below: to be forwarded */,
    PENDING_DECIDED = 2,
    PENDING_UNREADABLE = 4 /* as it came: headquarters will say so */,
    PENDING_TAKEN = 8 /* decided is another group of this number; its author renumbers this one */
};
enum err pending_load(struct replica *r);
/* Takes one group into the pending layer, within a transaction: stores it, and shows what it touches.
 * Passed over: own groups, those that are here already. ERR_NOMEM, store errors. */
enum err pending_take(struct replica *r, uint64_t stamp, uint8_t flags, uint64_t run,
                      struct bytes raw, struct arena *arena);
/* The same of what came from below under this number (its tag does not matter); flags: PENDING_DECIDED, or none. What cannot be read, or says itself
 * that it is another group, is kept for headquarters to refuse it, and is not shown. */
enum err pending_take_as(struct replica *r, const struct dot *dot, uint64_t stamp, uint8_t flags,
                         uint64_t run, struct bytes raw, struct arena *arena);
/* The dots of others' groups that touch the record, in their order among the own: by stamp, causes
 * before effects. */
enum err pending_order(struct replica *r, const struct model_table *table, const struct uuid *id,
                       struct base *base, struct arena *arena);
/* The own origin was this one, before a fork: its groups that come from a branch are own ones. */
enum err pending_note_former(struct replica *r, uint64_t origin);
/* What came from above goes: some of it may be out of scope now. The branch is asked for all anew. */
enum err pending_drop_filtered(struct replica *r, struct arena *arena);
/* The replica has another model than when it showed them: groups that it could not read are shown now, and the
 * branch is asked for all anew. */
enum err pending_show_again(struct replica *r);
/* The stamp that a pending group is merged by; authored: that of the group itself. */
uint64_t pending_stamp(const struct replica *r, const struct dot *dot, uint64_t authored);
void fates_drop(struct replica *r, uint64_t live); /* of this kind; UINT64_MAX: all */

/* replica_base.c */
struct base {
    bool present;         /* false: not there in the confirmed layer */
    struct store_row row; /* version is the real blob */
    struct dot *pending;  /* groups that touch the record, in order */
    uint16_t pending_count;
};
enum {
    PENDING_MAX = 65000, /* own groups of one record, all of them pending again after a restore */
    PENDING_WRITES_MAX = 1000, /* of them written here without ever having been decided */
};
enum err base_load(struct replica *r, const struct model_table *table, const struct uuid *id,
                   struct arena *arena, struct base *ret);
/* The same from a snapshot of the replica. */
enum err base_load_from(struct store *store, const struct model_table *table, const struct uuid *id,
                        struct arena *arena, struct base *ret);
enum err base_save(struct replica *r, const struct model_table *table, const struct uuid *id,
                   const struct base *base);
enum err base_add_pending(struct arena *arena, struct base *base, const struct dot *dot);
/* The same, at its place in the order of (origin's) oseq: for a group that is pending again. */
enum err base_insert_pending(struct arena *arena, struct base *base, const struct dot *dot);
void base_remove_pending(struct base *base, const struct dot *dot);
/* Before a local write to a record whose view row is `old`: keeps the confirmed copy. */
enum err base_touch(struct replica *r, const struct model_table *table, const struct uuid *id,
                    const struct store_row *old, const struct dot *dot);
/* The view of a record from its base and pending groups; removes the base when none is pending. */
enum err base_show(struct replica *r, const struct model_table *table, const struct uuid *id,
                   const struct base *base, struct arena *arena);
/* Parked groups: replica_parked.c. */
enum err parked_put(struct replica *r, uint64_t oseq, const struct group_result *result,
                    int64_t wall_ms, struct arena *arena);
/* What was given up and told is to be told again: all of it, or one own group that came to be set aside anew. */
enum err discards_again(struct replica *r);
enum err discard_again(struct replica *r, uint64_t oseq);
/* Those of the present origin up to this one are archived: nobody will ask for them. Some at a time. */
enum err discards_forget(struct replica *r, uint64_t upto, struct arena *arena);
/* Headquarters was restored, and this is its mark: own groups that were set aside and that it does not know go
 * back to the outbox, as decided ones that pending_again() finds there. */
enum err parked_again(struct replica *r, const struct mark *mark);
const struct mutation *group_mutation(struct group_cache *cache, const struct model_table *table,
                                      const struct uuid *id);
enum err merge_into(struct replica *r, const struct mutation *mutation, const struct dot *dot,
                    uint64_t stamp, enum merge_mode mode, struct arena *arena,
                    struct record *record, struct merge_result *ret);

/* replica_write.c: the transaction under way. */
/* One more mutation of the open transaction. ERR_LIMIT: too many; ERR_NOMEM. */
enum err write_mutation(struct replica *r, const struct model_table *table, enum mutation_op op,
                        const struct uuid *id, struct mutation **ret, struct err_info *info);
enum err write_check_table(const struct model_table *table, struct err_info *info);
/* The view's record, which has to be dead or not; ERR_NOT_FOUND says so to people. */
enum err write_read(struct replica *r, const struct model_table *table, const struct uuid *id,
                    bool dead, struct store_row *ret_row, struct record *ret,
                    struct err_info *info);
/* Merges the mutation into the view row and stores it, with its base kept. */
enum err write_view(struct replica *r, const struct mutation *mutation, const struct store_row *old,
                    struct record *record, struct err_info *info);

/* replica_older.c: within a transaction: notes whether there are groups of older origins to send again. */
enum err older_again(struct replica *r);

/* replica_checkpoint.c */
enum err clear_stage(struct replica *r);

#endif
