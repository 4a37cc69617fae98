/* hub_internal.h - what the files of the server's core share.
 *
 * Reading order: hub.c (opening, the turn), receive.c -> peers.c (queues, effects, deadlines) ->
 * auth.c (handshake) -> ingest.c (pushes), blobs.c (attachments) -> decide.c (one group; waiting.c: again,
 * when its causes have come; purged.c: onto what was purged) -> write.c (a decided record: row,
 * log, digest, conflicts) -> feed.c (live) and catchup.c (pages from a snapshot; compare.c: what
 * differs from it); state.c (buckets,
 * marks, receipts), people.c and scope.c (lapse.c: until lately), system.c (headquarters' own rows), audit.c,
 * admin.c; purge.c (what goes; age.c, seen.c: what may). */
#ifndef SERVER_CORE_HUB_INTERNAL_H
#define SERVER_CORE_HUB_INTERNAL_H

#include "common/blob.h"
#include "common/hash_map.h"
#include "protocol/apply.h"
#include "protocol/conflict.h"
#include "protocol/digest.h"
#include "protocol/hlc.h"
#include "protocol/mark.h"
#include "protocol/page.h"
#include "protocol/ranges.h"
#include "protocol/route.h"
#include "server/core/hub.h"
#include "server/core/people.h"
#include "server/core/purge.h"

enum {
    TURN_ARENA_MAX = 1 << 30,
    TURN_BYTES_MAX = 4 << 20, /* group bytes taken into one transaction */
    TURN_CHUNKS_MAX = 16,  /* of attachments, in one transaction: what was pushed waits no longer */
    PUSH_CREDIT = 4 << 20, /* unacknowledged bytes that a device may have under way */
    HUB_BUCKETS_MAX = 1 << 20,
    HUB_ORIGINS_MAX = 1 << 20,
    RECORD_BYTES_MAX =
        640 << 10,            /* values and open candidates of one record: it has to fit a frame */
    INTENT_COST = 4096 + 256, /* memory of a queued message beside its bytes */
    INTENTS_MAX = 512 << 20,  /* bytes of queued messages of all peers */
    ANSWERS_MAX = 20000,      /* answers that wait for a peer that does not read them */
    CHECKS_MAX = 256,         /* signatures left for later while there is other work */
    KNOWN_DOTS = 4096,        /* direct-mapped cache of dots that are in effect */
    KEY_ORIGIN_SIZE = 16,     /* origin BE8, oseq BE8 */
    KEY_WAITS_FOR = 20 + KEY_ORIGIN_SIZE,        /* the missing dot, the group */
    MOVED_KEY = 2 + 16 + 4,                      /* table BE2, id, bucket BE4 */
    DEVICE_VALUE_SIZE = 32 + 16 + 1 + 8 + 8 + 8, /* auth.c */
    DEVICE_REVOKED_AT = 48,
    DEVICE_SEEN_AT = 57, /* of a revoked one: when it was revoked */
};

/* ---- frames that wait for a writable socket; shared among the subscribers of a bucket ---- */
struct shared_frame {
    uint32_t references;
    enum message_type type;
    size_t size;
    uint8_t data[];
};
struct chunk_list { /* chunks.c */
    struct chunk *items;
    uint32_t count, capacity;
    size_t bytes;
};
struct queued_frame {
    struct queued_frame *next;
    struct shared_frame *frame;
};

/* ---- a bucket as it is in this transaction ---- */
struct bucket {
    uint32_t number;
    enum bucket_kind kind;
    struct uuid key;
    uint64_t head, count;
    uint64_t floor; /* cursors below it have missed what is not in the log any more */
    struct digest sum;
    bool dirty;
};

/* ---- what is known of an origin ---- */
struct origin {
    uint64_t id, upto;
    struct oseq_range *ranges; /* decided beyond upto */
    uint32_t range_count, range_capacity;
    struct uuid device, user;
    bool dirty;
};

/* ---- one that writes: a device's session, or headquarters itself ---- */
struct audience {
    enum role role;
    bool all;          /* sees every bucket */
    bool branch;       /* a branch server: pushes for its devices */
    uint32_t *buckets; /* ascending */
    uint32_t count;
    struct bucket_name *absent; /* at a branch: in scope, and not held here (number 0) */
    uint32_t absent_count;
};

struct intent { /* a message that waits for the turn */
    struct intent *next;
    struct peer *peer; /* NULL: it has gone; the intent is dropped */
    struct message message;
    struct arena arena; /* owns what message points to */
    size_t size, held;  /* bytes that came; about what it takes of memory */
    uint32_t failures;  /* turns that failed with it alone */
};

enum peer_state { PEER_NEW, PEER_CHALLENGED, PEER_OPEN, PEER_CLOSING };
enum pull_state { PULL_NONE, PULL_CATCHING_UP, PULL_LIVE };

/* Whose pushes a branch sends now. */
struct relayed {
    uint64_t origin;
    struct uuid device, user;
    uint8_t public_key[32];
    struct envelope envelope;
    bool revoked; /* before this came */
};

/* An origin whose fates a peer is told besides those of its own. */
struct follow {
    uint64_t origin, floor; /* its groups up to here are decided, as the peer knows */
    uint64_t before;        /* the floor before the last fate: its checkpoint may not leave */
    uint64_t turn;          /* commits before the turn that brought it; 0: none did */
    bool forked;            /* the branch was told: what comes under it now is of the past */
    bool relayed;           /* the peer is the branch that its groups come from */
    bool told; /* what is known of it; not so if it came to be followed by PENDING alone */
};

/* The part of a peer that a turn changes and a rollback restores; plain data. */
struct peer_session {
    enum peer_state state;
    enum pull_state pull;
    struct uuid device, user;
    uint64_t origin;
    uint64_t stated;      /* own groups up to here are decided, as the device knows: a subscription
                                tells of those above, whatever was told before it */
    uint64_t floor;       /* the same, with what this subscription has told */
    int64_t offset_ms;    /* our clock minus the device's */
    uint32_t model_asks;  /* pieces of the model that it was given */
    bool compare;         /* after this catch-up its snapshot is kept for a comparison */
    uint32_t comparisons; /* asked for in this session */
    bool fresh_subscription; /* the catch-up has to start over */
    uint32_t claimed;        /* origins that its pushes have brought */
    bool forked;             /* was told to renumber: further pushes are of the past */
    uint64_t scope;
    uint64_t told; /* results up to here are in checkpoints of this catch-up; 0: up to floor */
    bool pong_due; /* a PING came: its answer goes behind what there is to tell (peer_pong()) */
    uint64_t pong_token;
    struct relayed relayed;
    uint64_t pending_next; /* of a branch's list: the run that the peer has not been given */
    bool blobs_told;       /* asked for attachments, or offered some: hears what becomes of them */
    bool want_open;        /* WANT: this chunk is to be sent when nothing else is */
    uint8_t want_hash[BLOB_HASH];
    uint32_t want_number;
};

struct peer {
    struct hub *hub;
    struct peer *next, *previous, *effect_next;
    void *context;
    uint64_t number; /* of this connection, ascending */
    struct peer_session session, saved;
    bool saved_valid;
    uint8_t nonce[32], client_nonce[32];
    uint8_t public_key[32];
    struct uuid hello_device;
    struct audience audience;
    struct audience relayed_audience; /* as last computed */
    struct uuid relayed_user;
    bool relayed_known, relayed_revoked;
    struct follow *follows; /* ascending by origin */
    uint32_t follow_count, follow_capacity;
    struct queued_frame *out_head, *out_tail, *staged_head, *staged_tail;
    size_t out_bytes, in_bytes;
    uint32_t answers; /* queued frames that are not of the feed */
    int64_t page_credit;
    /* where the subscriber will be when all that is queued has arrived; ascending by bucket */
    struct bucket_position *positions;
    uint32_t position_count, position_capacity;
    struct catch_up *catch_up;
    int64_t last_received_us, last_sent_us, attached_us;
    int64_t pinged_ms, confirmed_ms; /* seen.c: what was sent by then is installed there */
    bool ping_sent;
    bool wants_write, wants_hang_up, in_effects;
    enum err why;
};

struct catch_up {
    struct store *reader;        /* holds a snapshot; NULL: waits for one */
    struct arena arena, rows;    /* of the catch-up; of one row */
    struct bucket_digest *heads; /* of the subscriber's buckets in the snapshot */
    uint32_t head_count, next;   /* bucket under way */
    uint32_t anew;               /* the bucket that is sent from its begin */
    struct mark own;             /* the receiver's own mark in the snapshot */
    int64_t progress_us;
    struct comparison *comparison; /* the catch-up is over, the snapshot kept: compare.c */
};

/* A change of the commit under way, for the live feed. */
enum live_kind {
    LIVE_CHANGE, /* as its columns, or by name to its author, where that is possible */
    LIVE_ROW,    /* whole: the bucket's subscribers need not have it */
    LIVE_GONE,   /* it left the bucket: applied is NULL */
};
struct live_entry {
    struct live_entry *next;
    enum live_kind kind;
    uint32_t bucket;
    uint64_t position;
    const struct model_table *table;
    struct uuid id;
    const struct applied_record *applied; /* arena of the turn */
    struct bytes version;                 /* encoded; arena */
    struct dot dot;
    uint64_t stamp;
    uint64_t author_peer; /* peer number, 0: nobody's or not clean */
    uint64_t oseq;
    uint32_t mutation;
};

/* A result for the author, told with the checkpoint. */
struct live_result {
    struct live_result *next;
    uint64_t origin; /* of the group, or of the session that asked */
    struct group_result result;
    bool renamed;   /* not a result: the group (oseq, *tags) was decided under another number */
    uint32_t *tags; /* of each group; arena */
    uint32_t tag_capacity;
};

struct receipt {
    struct receipt *next;
    uint64_t oseq;
    uint32_t tag;
    uint8_t code, reason;
    uint8_t hash[16];
};
struct receipt_run { /* consecutive receipts of the turn, one stored row */
    struct receipt_run *next;
    uint64_t origin, first, last;
    struct receipt *head, *tail;
    uint32_t count;
};

/* A run whose signature has not been checked yet. */
struct run_check {
    struct run_check *next;
    uint64_t peer_number;
    struct uuid device;
    uint8_t public_key[32], signature[64], text[128];
    size_t size;
};

/* A row as it was read for the group under way: what writing it needs of the old one. */
struct fetched {
    const struct model_table *table;
    struct uuid id;
    struct store_row row;
    bool found;
};

struct hub {
    struct hub_config config;
    struct hub_limits limits;
    const struct model *model;
    struct store *store;
    struct uuid history;
    uint64_t incarnation; /* also the origin of headquarters' own writes */
    uint64_t incarnation_count;
    uint64_t own_oseq; /* last used under it */
    uint64_t scope_revision;
    uint64_t hlc;
    struct hub_now now;

    struct bucket **buckets; /* by number - 1 */
    uint32_t bucket_count, bucket_capacity;
    struct hash_map bucket_keys; /* route_key -> number */
    struct hash_map origins;     /* origin BE8 -> struct origin * */
    struct dot known[KNOWN_DOTS];
    uint64_t waiting_count, parked_count, renamed_count, given_up_count;
    struct shared_frame *model_frame; /* the model's first piece; NULL: nobody has asked */
    bool models_due; /* groups that waited for a later model are to be judged again */
    bool reopens;    /* another model is next: nothing is served any more */
    struct purge purge;
    uint64_t audit_count;
    bool audit_loaded;
    struct people people;
    int64_t ends_ms; /* wall time at which the next substitution ends; 0: there is none */
    struct run_check *checks, *checks_tail, *checks_saved; /* saved: the last before the turn */
    uint32_t check_count;
    uint8_t audit_head[32];

    struct relay *relay; /* a branch: relay.c; NULL: headquarters */
    uint32_t followers;  /* peers that follow others' origins */
    struct peer *peers, *peers_tail, *effects, *effects_tail;
    int64_t deadline_us; /* no deadline of any peer is before this */
    uint32_t peer_count;
    uint64_t peer_numbers;
    struct intent *intents, *intents_tail;
    struct intent
        *plain_tail; /* of those before the chunks of attachments, which come last; NULL: none */
    size_t intent_bytes;
    int64_t retry_us;    /* the turn failed for now: again then */
    bool stale;          /* memory is not as the store has it; see refresh.c */
    bool scope_due;      /* rights have changed, live sessions do not know yet */
    uint32_t one_by_one; /* messages to take each in a turn of its own: one of them fails */
    bool in_turn;
    bool blob_checks;      /* an attachment may be there that is to be checked */
    bool blob_asks;        /* a branch: there is something to offer or ask for above */
    bool blob_sweeps;      /* blobs_turn() has some to remove */
    int64_t blob_sweep_us; /* when to look again */
    struct blob_check blob_check;

    struct chunk_list chunks;
    struct store **readers; /* idle ones */
    uint32_t reader_count, readers_open;

    /* of the turn under way */
    struct arena turn;
    struct buf encode, payload, row_scratch;
    struct page_writer writer;
    struct deflater *deflater;
    struct inflater *inflater;
    struct live_entry *live_head, *live_tail;
    struct live_result *results_head, *results_tail;
    struct receipt_run *runs;
    struct fetched *fetched; /* of the group under way; heap */
    uint32_t fetched_count, fetched_capacity, fetched_hint;
    uint32_t turn_origins; /* decided groups in this turn, for the audit */
    bool scope_changed;
    struct hub_stats stats, stats_saved;
};

/* refresh.c: what a failure has left to be done. Outside of a transaction; OK if nothing is due. */
enum { HUB_RETRY_US = 100000 };
enum err side_count(struct hub *hub, enum store_side side, uint64_t *ret);
enum err hub_refresh(struct hub *hub);      /* store errors, ERR_NOMEM: memory is still stale */
enum err hub_renew_rights(struct hub *hub); /* only what is fatal; else it is tried again */

/* state.c: what is held in memory and follows the transaction. */
enum err state_load(struct hub *hub);
enum err floors_load(struct hub *hub); /* a part of it, for a branch as well */
void state_drop(struct hub *hub);      /* after a rollback, and at the end */
enum err state_flush(struct hub *hub); /* before the commit: dirty buckets, marks, receipts */
enum err bucket_get(struct hub *hub, enum bucket_kind kind, const struct uuid *key,
                    struct bucket **ret);
struct bucket *bucket_by_number(struct hub *hub, uint32_t number);
enum err bucket_append(struct hub *hub, const struct bucket *from);     /* into memory alone */
enum err origin_get(struct hub *hub, uint64_t id, struct origin **ret); /* ERR_NOT_FOUND */
enum err origin_new(struct hub *hub, uint64_t id, const struct uuid *device,
                    const struct uuid *user, struct origin **ret);
bool origin_decided(const struct origin *origin, uint64_t oseq);
enum err origin_mark(struct hub *hub, struct origin *origin, uint64_t oseq);
enum err receipt_add(struct hub *hub, const struct dot *dot, const uint8_t hash[32],
                     enum result_code code, enum reason reason);
enum err receipt_find(struct hub *hub, uint64_t origin, uint64_t oseq, struct receipt *ret);
enum err receipt_change(struct hub *hub, uint64_t origin, uint64_t oseq, enum result_code code);
/* A SIDE_BUCKET value, also of a snapshot. */
enum err bucket_decode(struct bytes value, struct bucket *ret);
/* What headquarters' store, or a snapshot of it, has of an origin. ERR_NOT_FOUND: nothing; then *ret is empty. */
enum err mark_get(struct store *store, uint64_t origin, struct arena *arena, struct mark *ret,
                  struct uuid *ret_device, struct uuid *ret_user);
/* Up to which oseq the origin's groups are in a verified backup; 0: none. Also a branch's store. */
enum err archived_get(struct store *store, uint64_t origin, struct arena *arena, uint64_t *ret);
void key_origin(uint64_t origin, uint64_t oseq, uint8_t out[KEY_ORIGIN_SIZE]);
enum err meta_get_u64(struct hub *hub, const char *name, uint64_t fallback, uint64_t *ret);
enum err meta_put_u64(struct hub *hub, const char *name, uint64_t value);

/* peers.c */
/* Encodes a message and queues it for the peer; within a turn it is held until the commit. */
enum err peer_send(struct hub *hub, struct peer *peer, const struct message *message);
/* Answers a PING, once nothing of a branch is left to be given before. */
void peer_pong(struct hub *hub, struct peer *peer);
enum err peer_queue(struct hub *hub, struct peer *peer, struct shared_frame *frame);
enum err frame_share(struct hub *hub, const struct message *message, struct shared_frame **ret);
void frame_release(struct shared_frame *frame);
bool frame_is_feed(const struct shared_frame *frame); /* PAGE and CHECKPOINT */
/* Sends FAILURE and hangs up. */
void peer_fail(struct hub *hub, struct peer *peer, enum err why, const char *text);
void peer_want_write(struct peer *peer);
void deadline_lower(struct hub *hub, int64_t at_us);
void peer_save(struct peer *peer); /* before a turn changes its session */
void frames_drop(struct queued_frame **head, struct queued_frame **tail);
void peer_publish_staged(struct peer *peer); /* after the commit */

/* hub.c; the first: receive.c */
void intent_free(struct intent *intent);
/* One store transaction around body, with everything that follows a commit (frames, feed, scope) or a
 * failure (memory as the store again). */
typedef enum err hub_body(struct hub *hub, void *context);
enum err hub_transact(struct hub *hub, hub_body *body, void *context);
enum err hub_end(struct hub *hub, enum err e); /* a transaction: commits if e is ERR_OK */

/* auth.c: a device. ERR_AUTH: not known; ERR_REVOKED, with its key. */
enum err device_get(struct hub *hub, const struct uuid *device, uint8_t ret_key[32],
                    struct uuid *ret_user);
/* auth.c: an origin of the device, known or new. ERR_AUTH: another's. */
enum err claim_origin(struct hub *hub, const struct uuid *device, const struct uuid *user,
                      uint64_t id, struct origin **ret);
/* models.c */
enum { MODEL_ASKS_MAX = 64, MODEL_PIECE_MAX = 512 << 10 };
enum err handle_model_ask(struct hub *hub, struct peer *peer,
                          const struct message_model_ask *message);
/* After a start: whether groups that wait for a later model may be readable now; and judging them, within a
 * turn. */
enum err models_load(struct hub *hub);
enum err models_release(struct hub *hub);
struct json_t;
enum err models_status(struct hub *hub, struct json_t *answer);
/* waiting.c: judges once more each group that waits for this dot, which nothing decides. */
enum err decide_waiting_again(struct hub *hub, const struct dot *dot);

/* auth.c, ingest.c, catchup.c: handlers of messages, within a turn. */
enum err handle_hello(struct hub *hub, struct peer *peer, const struct message_hello *message);
enum err handle_enrol(struct hub *hub, struct peer *peer, const struct message_enrol *message);
enum err handle_prove(struct hub *hub, struct peer *peer, const struct message_prove *message);
enum err handle_push(struct hub *hub, struct peer *peer, const struct message_push *message);
enum err handle_part(struct hub *hub, struct peer *peer, const struct message_part *message);
enum err handle_discard(struct hub *hub, struct peer *peer, const struct message_discard *message);
enum err handle_subscribe(struct hub *hub, struct peer *peer,
                          const struct message_subscribe *message);

/* decide.c */
struct author {
    struct peer *peer; /* NULL: a waiting group whose author is away */
    uint64_t peer_number;
    struct origin *origin;
    struct uuid device, user;
    const struct audience *audience;
    struct envelope envelope;
    bool given_up; /* what the group waited for was discarded */
    bool lapsed;   /* what it waits for is not waited for any longer: it is decided without */
};
enum decision { DECISION_DONE, DECISION_DUPLICATE, DECISION_FORK, DECISION_WAITS };
enum err decide_group(struct hub *hub, const struct author *author, uint64_t oseq, struct bytes raw,
                      const uint8_t hash[32], enum decision *ret);
/* causes.c. Whether the dot is in effect here: ERR_OK; ERR_NOT_FOUND: not decided yet, or parked;
 * ERR_FORBIDDEN: it was given up and will never be. */
enum err dot_in_effect(struct hub *hub, const struct dot *dot);
/* From now on it is in effect: its group has been written. */
void dot_note_effect(struct hub *hub, const struct dot *dot);
/* Whether the last dots that were looked for have this one: in effect, and under no other. */
bool dot_is_known(struct hub *hub, const struct dot *dot);
enum { PARKED_INSERT_KEY = 16 + 20 };
void parked_insert_key(const uint8_t id[16], const struct dot *dot, uint8_t out[PARKED_INSERT_KEY]);
/* A group that is set aside and inserts this record; *ret stays as it is if there is none. */
enum err parked_insert_find(struct hub *hub, const uint8_t id[16], struct dot *ret);
/* waiting.c: keeps a group until this dot is decided (none: until the model is another). */
enum err waiting_put(struct hub *hub, const struct author *author, const struct dot *missing,
                     const struct dot *dot, const uint8_t hash[32], struct bytes raw);
/* waiting.c: groups that waited for this dot are judged again. */
enum err decide_waiting(struct hub *hub, const struct dot *dot);
/* A waiting group, by its key of WAITS_FOR, is decided without what is missing if it came up to before_ms.
 * *ret_lapsed: it did. */
enum err waiting_lapse(struct hub *hub, struct bytes key, int64_t before_ms, bool *ret_lapsed);
/* The dot that this group had before it was renumbered; none as a rule. */
struct dot dot_before(struct bytes raw);

/* renamed.c. The dot that stands for this one; ERR_NOT_FOUND: itself, as far as is known. */
enum err renamed_find(struct hub *hub, const struct dot *dot, struct dot *ret);
/* From now on `stands` stands for this dot, unless another one does already. */
enum err renamed_put(struct hub *hub, const struct dot *dot, const struct dot *stands);
/* All dots of the group that this one is of, that which stands for it first; arena of the turn. Reads the whole
 * table: for what is rare. */
enum err renamed_selves(struct hub *hub, const struct dot *dot, const struct dot **ret,
                        uint32_t *ret_count);
/* The group's references become those that stand for them. */
enum err renamed_translate(struct hub *hub, struct group *group, bool *ret_changed);

/* scope.c */
enum err scope_audience(struct hub *hub, const struct uuid *user, struct audience *ret);
void audience_done(struct audience *audience);
bool audience_has(const struct audience *audience, uint32_t bucket);
/* After a commit that changed people: sessions whose scope changed are closed. */
enum err scope_refresh(struct hub *hub);
/* With the start of headquarters, in its transaction: the buckets that all have; and after one that was lost. */
enum err scope_start(struct hub *hub);
void scope_undo(struct hub *hub);
/* By this server's clock: substitutions that are over end. Outside of a transaction; OK if none is. */
enum err scope_clock(struct hub *hub);
/* A deadline for scope_clock(). */
void scope_deadline(struct hub *hub);
/* Whether who owns a record of the team sees it there. */
enum err scope_owner_sees(struct hub *hub, const struct uuid *owner, const struct uuid *team,
                          bool *ret);

/* follow.c: fates of origins that are not the peer's own. */
enum { FOLLOWS_MAX = 65536 };
enum err handle_follow(struct hub *hub, struct peer *peer, const struct message_follow *message);
enum err handle_relay(struct hub *hub, struct peer *peer, const struct message_relay *message);
/* The rights of the user whose pushes are relayed. */
enum err relayed_audience(struct hub *hub, struct peer *peer, const struct audience **ret);
struct follow *follow_find(const struct peer *peer, uint64_t origin);
/* ERR_LIMIT, ERR_NOMEM. *ret_new: it was not followed yet. */
enum err follow_add(struct hub *hub, struct peer *peer, uint64_t origin, uint64_t floor,
                    bool *ret_new);
void follows_drop(struct hub *hub, struct peer *peer);
/* With the checkpoint of a catch-up: what its snapshot knows of them. */
enum err follow_catch_up(struct hub *hub, struct peer *peer, struct store *reader,
                         struct arena *arena, uint64_t live);
/* Whether a branch would not hear what became of all that the mark covers. */
bool follow_lacks(const struct peer *peer, const struct follow *follow, const struct mark *mark,
                  const struct group_result *results, uint32_t count);
/* All that is known above its floor, to a live peer; the checkpoint is the caller's. */
enum err follow_tell(struct hub *hub, struct peer *peer, struct follow *follow);
/* Within a transaction: what was decided after the snapshot of the catch-up that ends now. */
enum err follow_go_live(struct hub *hub, struct peer *peer);
/* One more group in the entry, whose last one is before it. */
enum err live_result_grow(struct hub *hub, struct live_result *entry, uint32_t tag);
/* The turn has decided the group that had this dot before it was renumbered (none: nothing to note). */
enum err follow_note_renamed(struct hub *hub, const struct dot *had);
/* With a commit: what it has decided of them. *ret_any: something. */
enum err follow_live(struct hub *hub, struct peer *peer, bool *ret_any);

/* feed.c */
/* After the commit: encodes what changed once per bucket and queues it for the live peers. */
void feed_publish(struct hub *hub);
void follow_told(struct follow *follow, uint64_t upto); /* with the next checkpoint */
/* The checkpoint does not leave: what it would have told is told again. */
void follows_untold(struct peer *peer);
/* The turn is undone: so are the origins that it brought. */
void follows_undo(struct hub *hub, struct peer *peer);
void feed_fall_back(struct hub *hub, struct peer *peer);    /* from live to catching up */
enum err catch_up_next(struct hub *hub, struct peer *peer); /* queues the next page or checkpoint */
void catch_up_free(struct hub *hub, struct peer *peer);
/* Queues what the page writer holds, of so many rows, against the peer's credit. */
enum err catch_up_page(struct hub *hub, struct peer *peer, struct message *message, uint32_t rows);
bool catch_up_ready(struct hub *hub, struct peer *peer);

/* ---- chunks.c ---- */
/* One page of the catch-up's bucket under way into the peer's queue; moves on in it. */
enum err chunk_send(struct hub *hub, struct peer *peer);
void chunks_drop(struct hub *hub);
void chunks_expire(struct hub *hub); /* those that nobody has taken for long */
/* The row that an entry of a bucket's log stands for, as headquarters has it, beneath what is pending on a branch.
 * ERR_NOT_FOUND: the record has left the bucket, or has a later entry. */
enum err entry_row(struct hub *hub, struct store *reader, uint32_t bucket, uint64_t position,
                   const struct model_table *table, const struct uuid *id, struct arena *arena,
                   struct store_row *ret);
/* The mark of an origin in a store, and the results of its groups above `after`. */
enum err origin_results(struct store *store, uint64_t origin, uint64_t after, struct arena *arena,
                        struct mark *ret_mark, const struct group_result **ret,
                        uint32_t *ret_count);
/* The checkpoint of the catch-up's snapshot, with which it ends (or becomes a comparison). */
enum err catch_up_checkpoint(struct hub *hub, struct peer *peer);
uint64_t peer_position(const struct peer *peer, uint32_t bucket);
enum err peer_set_position(struct peer *peer, uint32_t bucket, uint64_t position);
enum err own_mark(struct hub *hub, const struct origin *origin, struct mark *ret);

/* compare.c: questions about ranges of buckets, answered from the snapshot of a catch-up. */
enum { COMPARISONS_MAX = 8 }; /* in one session */
enum err comparison_new(uint32_t head_count, struct comparison **ret);
void comparison_free(struct comparison *comparison); /* accepts NULL */
/* Copies the question. ERR_PROTOCOL; ERR_LIMIT: more than one comparison needs; ERR_NOMEM. */
enum err handle_ranges(struct hub *hub, struct peer *peer, const struct message_ranges *message);
/* Goes on with the oldest question, some thousand records at a time. */
enum err compare_next(struct hub *hub, struct peer *peer);

/* verify.c: recomputes a bucket's digest from its records, within a transaction. */
enum err bucket_recount(struct hub *hub, const struct bucket *bucket, uint64_t *ret_found,
                        bool *ret_right);

/* audit.c: entries are JSON texts, chained by SHA-256(previous hash, text). */
enum err audit_load(struct hub *hub);
enum err audit_run(struct hub *hub, const struct uuid *author, uint64_t origin, uint64_t first,
                   uint32_t count, const uint8_t *hashes, const uint8_t signature[64]);
/* Signatures are checked after the commit and the answers: Ed25519 takes 0.1 to 0.2 ms. */
enum err verify_later(struct hub *hub, const struct peer *peer, uint64_t origin, uint64_t first,
                      uint32_t count, const uint8_t *hashes, const uint8_t signature[64]);
/* At once: a run that a branch has forwarded. ERR_AUTH. */
enum err verify_now(struct hub *hub, const uint8_t public_key[32], uint64_t origin, uint64_t first,
                    uint32_t count, const uint8_t *hashes, const uint8_t signature[64]);
enum err verify_some(struct hub *hub);
void checks_drop(struct hub *hub, struct run_check *after); /* those behind it; NULL: all */
enum err audit_append(struct hub *hub, const char *json);
enum err audit_verify(struct hub *hub, uint64_t *ret_entries, uint64_t *ret_bad);

#include "server/core/records.h"

#endif
