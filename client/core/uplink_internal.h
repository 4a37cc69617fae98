/* uplink_internal.h - what the files of the uplink share.
 *
 * Reading order: uplink.c (events, frames out, timers) -> handshake.c -> push.c -> pull.c ->
 * compare.c, carry.c. */
#ifndef CLIENT_CORE_UPLINK_INTERNAL_H
#define CLIENT_CORE_UPLINK_INTERNAL_H

#include "client/core/replica_blobs.h"
#include "client/core/replica_relay.h"
#include "client/core/uplink.h"
#include "protocol/hlc.h"

enum {
    UPLINK_PUSH_BYTES = 512 << 10, /* group bytes in one PUSH; a larger group goes in parts */
    UPLINK_PUSH_GROUPS = 1000,
    UPLINK_PAGE_CREDIT = 4 << 20,
    UPLINK_ARENA_MAX = 256 << 20,
    UPLINK_AUTH_US = 10000000,
    UPLINK_PING_US = 30000000,
    UPLINK_CLOSE_US = 45000000,
    UPLINK_COMPARE_ROWS = 4000, /* records read in one step of a comparison */
};

enum { CARRY_OFFERS = 64 };

struct carry_item {
    uint8_t hash[BLOB_HASH];
    uint32_t next; /* the chunk that the server asks for */
    bool checking; /* it has all, and will say what it finds */
};

/* Attachments (carry.c). */
struct carry_state {
    bool on;
    bool greeted; /* the server was asked for its limit */
    /* up */
    bool offers_due, offer_began,
        offered; /* some may be left; from offer_after on; OFFER is not answered */
    uint8_t offer_after[BLOB_HASH];
    struct carry_item wanted[CARRY_OFFERS];
    uint32_t wanted_at, wanted_count;
    bool sending, waits; /* up_hash; its chunk, or its check, is not answered */
    uint8_t up_hash[BLOB_HASH];
    uint32_t up_next, up_failures;
    /* down */
    bool wants_due, fetching, asked; /* some may be left; `down`; WANT is not answered */
    struct blob_cursor cursor;
    struct blob_wanted down;
    bool work_due; /* checking, removing */
    struct blob_work work;
};

enum handshake { SHAKE_NONE, SHAKE_HELLO, SHAKE_PROOF, SHAKE_ENROL, SHAKE_OPEN };
/* What the server's model is to the replica: asked for where CHALLENGE names one that is not known here. */
enum learning { LEARN_NOTHING, LEARN_ASK, LEARN_COMING, LEARN_REFUSED };
enum pull { PULL_OFF, PULL_WANTED, PULL_CATCHING_UP, PULL_LIVE };

struct push_state {
    uint64_t next;         /* the first oseq not sent in this session */
    uint64_t acknowledged; /* durable at the server: 1..this */
    uint64_t verify_upto;  /* own groups that the server had decided before this session, and of
                              which it is not known here that they are these; 0: none */
    size_t window, unacknowledged;
    /* sizes of what is under way, to give the window back: a ring by frame */
    struct sent_run {
        uint64_t origin, last;
        size_t bytes;
        bool settled; /* answered, before what was sent earlier under another origin */
    } sent[64];
    uint32_t sent_first, sent_count;
    uint64_t older_origin, older_oseq; /* the next group of an older origin that goes up again */
    bool older_sent;                   /* one run of them is under way */
    uint64_t part_oseq;                /* a large group under way; 0: none */
    uint32_t part;
    uint64_t run_next;     /* of a branch: the number of the run that goes up next */
    bool run_waits;        /* for the feed to be live */
    uint64_t part_run;     /* a run of one large group under way; 0: none */
    struct relay_run told; /* whose runs the server was told that it gets now */
    uint32_t discards_sent;
    bool idle;           /* nothing left to send, until the application writes */
    bool discards_known; /* all discards have been sent */
    bool blocked;        /* told to fork: nothing more is sent in this session */
};

struct uplink {
    struct uplink_config config;
    struct uplink_identity identity;
    struct uplink_enrolment enrolment;
    bool enrolling, enrolled;
    struct uuid user, history;
    char login[256];
    bool link;
    enum handshake shake;
    uint8_t nonce[32], server_nonce[32];
    uint64_t incarnation;
    uint64_t relay;         /* of the WELCOME: 0: headquarters */
    enum learning learning; /* REFUSED: this program cannot read it; only pushing goes on */
    uint64_t model_version; /* of the CHALLENGE, as the hash */
    uint8_t model_hash[32];
    char model_why[200];             /* where it was refused */
    struct buf model_text;           /* as far as it has come */
    struct model_name *model_former; /* heap: those that it continues */
    uint32_t model_former_count;
    bool send_hello, send_proof, send_enrol, send_subscribe, send_follow, send_pong;
    uint64_t pong_token;
    struct push_state push;
    struct carry_state carry;
    enum pull pull;
    size_t page_consumed; /* bytes of pages since the last credit */
    uint32_t repairs;     /* of this session: everything had to be compared anew */
    bool pong_wait, ping;
    bool drain_asked, drained; /* once: the last PING, and its answer */
    int64_t up_us, received_us;
    bool closing;
    struct deflater *deflater;
    struct inflater *inflater;
    struct buf payload, inflated;
    struct arena arena;
    struct uplink_progress progress;
};

/* Ends the session with a reason for people. */
void uplink_end(struct uplink *u, enum err why, const char *message,
                struct uplink_effects *effects);
enum err uplink_send(struct uplink *u, const struct message *message, struct buf *out);

/* Each handles a message; a failure ends the session with it. */
enum err on_challenge(struct uplink *u, const struct message_challenge *m, struct now now,
                      struct uplink_effects *effects);
enum err on_enrolled(struct uplink *u, const struct message_enrolled *m,
                     struct uplink_effects *effects);
enum err on_welcome(struct uplink *u, const struct message_welcome *m, struct now now,
                    struct uplink_effects *effects);
enum err send_hello(struct uplink *u, struct buf *out);
enum err send_proof(struct uplink *u, struct now now, struct buf *out);
enum err send_enrol(struct uplink *u, struct buf *out);

/* learn.c: the server's model. After WELCOME: what there is to learn. */
enum err learn_begin(struct uplink *u);
enum err learn_ask(struct uplink *u, struct buf *out);
enum err on_model(struct uplink *u, const struct message_model *m, struct uplink_effects *effects);
void learn_done(struct uplink *u);
/* Whether only the model is talked of, until it is known what it is. */
static inline bool learn_first(const struct uplink *u)
{
    return u->learning == LEARN_ASK || u->learning == LEARN_COMING;
}

enum err on_ack(struct uplink *u, const struct message_ack *m, struct uplink_effects *effects);
enum err on_fork(struct uplink *u, const struct message_fork *m, struct now now,
                 struct uplink_effects *effects);
/* The next PUSH, PART or DISCARD, if there is one and the window allows; else out stays empty. */
enum err push_next(struct uplink *u, struct buf *out);
bool push_wants(const struct uplink *u);
bool push_finished(const struct uplink *u);
/* One frame of a run that is signed already, or the next part of a group that is a run. */
enum err push_run(struct uplink *u, uint64_t origin, uint64_t first, const struct bytes *groups,
                  uint32_t count, const uint8_t signature[64], struct buf *out);
enum err push_part(struct uplink *u, uint64_t origin, uint64_t oseq, struct bytes group,
                   const uint8_t signature[64], struct buf *out, bool *ret_last);
void push_note_sent(struct push_state *push, uint64_t origin, uint64_t last, size_t bytes);
/* follow.c */
bool follow_due(const struct uplink *u);
enum err send_follow(struct uplink *u, struct buf *out);
enum err on_fates(struct uplink *u, const struct message_fates *m);
enum err on_pending(struct uplink *u, const struct message_pending *m, struct now now,
                    struct uplink_effects *effects);
bool runs_want(const struct uplink *u);
enum err runs_next(struct uplink *u, struct buf *out);
/* Whether a checkpoint may come: its mark says which numbers are decided, not whose groups they are. A
 * copy of this replica may have used the same numbers, so those go up first and are compared there. */
bool push_verified(const struct uplink *u);
/* Whether the server has all that the outbox holds, and has compared it. */
bool push_acknowledged(const struct uplink *u);
/* What has to be verified, by the mark of the WELCOME. */
enum err push_begin(struct uplink *u, const struct message_welcome *m);

enum err on_page(struct uplink *u, const struct message_page *m, size_t frame_bytes);
enum err on_checkpoint(struct uplink *u, const struct message_checkpoint *m, struct now now,
                       struct uplink_effects *effects);
enum err send_subscribe(struct uplink *u, struct buf *out);
enum err send_credit(struct uplink *u, struct buf *out);

/* carry.c: attachments */
void carry_begin(struct uplink *u);
void carry_done(struct uplink *u);
void carry_again(struct uplink *u);
bool carry_wants(const struct uplink *u);
enum err carry_next(struct uplink *u, struct buf *out);
bool carry_works(const struct uplink *u); /* carry_work() has some: a deadline that has come */
enum err carry_work(struct uplink *u, struct uplink_effects *effects);
bool carry_finished(const struct uplink *u);
enum err on_states(struct uplink *u, const struct message_states *m,
                   struct uplink_effects *effects);
enum err on_chunk(struct uplink *u, const struct message_chunk *m, struct uplink_effects *effects);

/* compare.c: what differs from the server, by ranges. */
/* After a checkpoint, with replica_status(): begins a comparison if one is due. */
enum err compare_due(struct uplink *u, const struct replica_status *status,
                     struct uplink_effects *effects);
bool compare_scans(const struct uplink *u); /* compare_step() has work: a deadline that has come */
enum err compare_step(struct uplink *u);
bool compare_asks(const struct uplink *u);
enum err compare_ask(struct uplink *u, struct buf *out);
enum err on_differences(struct uplink *u, const struct message_differences *m,
                        struct uplink_effects *effects);
/* One more repair in this session; false: the session was ended, it does not help. */
bool repair_begins(struct uplink *u, struct uplink_effects *effects);

#endif
