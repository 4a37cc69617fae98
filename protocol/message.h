/* message.h - every message as one list: structs, limits, encoders and decoders follow from it.
 *
 * Model:      one WebSocket message is one frame (frame.h) is one message: type, flags, length,
 *             then a MessagePack array with the message's fields in this order, positional. More
 *             fields than known are skipped (a newer peer), fewer are ERR_MALFORMED.
 * Ownership:  decoding yields views into the input and arrays in the arena.
 * Source:     SPEC.md 7; vectors in tests/vectors made by the encoders. */
#ifndef PROTOCOL_MESSAGE_H
#define PROTOCOL_MESSAGE_H

#include "common/buf.h"
#include "common/model.h"
#include "common/uuid.h"
#include "protocol/dot.h"
#include "protocol/ranges.h"

/* Inclusive range of oseqs. */
struct oseq_range {
    uint64_t from, to;
};

/* What has been decided (or received) of an origin: all of 1..upto, and the ranges beyond,
 * ascending, apart from each other and from upto by at least one. */
struct mark {
    uint64_t origin, upto;
    const struct oseq_range *ranges;
    uint32_t range_count;
};

struct bucket_name {
    uint32_t number; /* 0: a branch that does not hold it */
    uint32_t kind;   /* enum bucket_kind */
    struct uuid key; /* branch, user; nil otherwise */
    uint64_t head;   /* its last position at the server */
};
/* Every customer file has these two from the beginning, so that a replica knows them before it has
 * been welcomed anywhere. */
enum { BUCKET_NUMBER_COMPANY = 1, BUCKET_NUMBER_UNASSIGNED = 2 };
enum bucket_kind {
    BUCKET_KIND_COMPANY = 1,
    BUCKET_KIND_BRANCH = 2,
    BUCKET_KIND_USER = 3,
    BUCKET_KIND_UNASSIGNED = 4,
    BUCKET_KIND_TEAM = 5
};

struct bucket_position {
    uint32_t bucket;
    uint64_t position;
};

/* The head of a bucket with its digest: count of live records, 128-bit sum (digest.h). */
struct bucket_digest {
    uint32_t bucket;
    uint64_t position, count;
    uint8_t sum[16];
};

struct incarnation {
    uint64_t id;                         /* random */
    const struct bucket_position *first; /* the first position it may give, per bucket known then */
    uint32_t first_count;
};

enum result_code {
    RESULT_APPLIED = 1,
    RESULT_MERGED = 2,
    RESULT_PARKED = 3,
    RESULT_REJECTED = 4,
    RESULT_DISCARDED = 5
};

/* The result of a run of the receiver's own groups, or of an origin that it follows, all alike. */
struct group_result {
    uint64_t oseq, count;
    uint32_t code;       /* enum result_code */
    uint32_t reason;     /* enum reason (merge.h) */
    struct bytes detail; /* UTF-8: which column and record, for people; may be empty */
    struct bytes tags; /* in FATES to a branch: BE4 of each group, 0: unreadable; empty: not told */
};
enum { RESULT_TAG_SIZE = 4, RESULT_TAGS_MAX = 65536 /* of one result, and of one message */ };

/* An origin that is followed, and up to where its fates are known. */
struct origin_floor {
    uint64_t origin, floor;
};

/* A group that headquarters has not decided, with the stamp that it takes effect by (2.3.3). */
struct pending_group {
    uint64_t stamp;
    struct bytes group;
};

/* SUBSCRIBE.reconcile: from the cursors; everything from 0; from the cursors, and the checkpoint's
 * snapshot is kept for a comparison by ranges. */
enum reconcile { RECONCILE_NONE = 0, RECONCILE_ALL = 1, RECONCILE_RANGES = 2 };
/* PAGE.live, CHECKPOINT.live: of a catch-up; of a commit; of a comparison by ranges. */
enum feed { FEED_CATCH_UP = 0, FEED_LIVE = 1, FEED_REPAIR = 2 };

/* A range by its number (ranges.h). */
struct range_name {
    uint64_t number;
};

/* An attachment by the SHA-256 of its bytes (32), and how many they are. */
struct blob_offer {
    struct bytes hash;
    uint64_t size;
};
/* next: BLOB_WANTED the chunk that is due, BLOB_LARGER the size in bytes. */
struct blob_state {
    struct bytes hash;
    uint64_t code; /* enum blob_code */
    uint64_t next;
};
enum blob_code {
    BLOB_UNKNOWN = 1,   /* no record in your sight names it */
    BLOB_WANTED = 2,    /* chunk `next`, please */
    BLOB_CHECKING = 3,  /* all is here, and its hash is looked at */
    BLOB_AT_BRANCH = 4, /* whole and durable at this branch, not known to be at headquarters */
    BLOB_AT_HEADQUARTERS = 5,
    BLOB_OTHER = 6,     /* the bytes that came have another hash: they were thrown away */
    BLOB_TOO_LARGE = 7, /* for the limit of STATES */
    BLOB_MISSING =
        8, /* a record names it, and its bytes are not here; STATES tells when they have come */
    BLOB_LARGER = 9, /* than WANT's most */
};

/* Field kinds: UINT uint64_t; INT int64_t; UUID struct uuid; BYTES struct bytes with a maximum;
 * TEXT struct bytes, UTF-8, with a maximum; LIST(element) const element * + count with a
 * maximum. */

/*     name        code  pre-auth */
/* clang-format off */
#define MESSAGE_LIST(X) \
    X(HELLO,       hello,       1, true) \
    X(CHALLENGE,   challenge,   2, true) \
    X(ENROL,       enrol,       3, true) \
    X(ENROLLED,    enrolled,    4, true) \
    X(PROVE,       prove,       5, true) \
    X(WELCOME,     welcome,     6, false) \
    X(FAILURE,     failure,     7, true) \
    X(PUSH,        push,        8, false) \
    X(PART,        part,        9, false) \
    X(ACK,         ack,        10, false) \
    X(FORK,        fork,       11, false) \
    X(SUBSCRIBE,   subscribe,  12, false) \
    X(PAGE,        page,       13, false) \
    X(CHECKPOINT,  checkpoint, 14, false) \
    X(CREDIT,      credit,     15, false) \
    X(PING,        ping,       16, false) \
    X(PONG,        pong,       17, false) \
    X(DISCARD,     discard,    18, false) \
    X(RELAY,       relay,      19, false) \
    X(FOLLOW,      follow,     20, false) \
    X(FATES,       fates,      21, false) \
    X(PENDING,     pending,    22, false) \
    X(MODEL_ASK,   model_ask,  24, false) \
    X(MODEL,       model,      25, false) \
    X(OFFER,       offer,      26, false) \
    X(STATES,      states,     27, false) \
    X(WANT,        want,       28, false) \
    X(CHUNK,       chunk,      29, false) \
    X(RANGES,      ranges,     30, false) \
    X(DIFFERENCES, differences, 31, false)
/* clang-format on */

enum message_type {
#define MESSAGE_ENUM(upper, lower, code, pre) MESSAGE_##upper = code,
    MESSAGE_LIST(MESSAGE_ENUM)
#undef MESSAGE_ENUM
};

/* Fields. U uint, I int, ID uuid, B bytes (max), T text (max), L list (element kind, max). */
/* clang-format off */
#define MESSAGE_HELLO(U, I, ID, B, T, L) /* client's first */ \
    U(protocol_min) U(protocol_max) ID(device) /* nil: wants to enrol */ B(nonce, 32) T(agent, 100)
#define MESSAGE_CHALLENGE(U, I, ID, B, T, L) /* answer to HELLO */ \
    U(protocol) B(nonce, 32) B(server_key, 32) /* SHA-256 of the certificate's public key */ \
    U(incarnation) ID(history) /* this customer file, for good */ I(wall_ms) U(model_version) B(model_hash, 32)
#define MESSAGE_ENROL(U, I, ID, B, T, L) /* instead of PROVE */ \
    B(code, 16) B(public_key, 32) T(name, 200) T(platform, 100) \
    T(address, 300) B(pin, 32) /* of a branch: where its devices find it, and its own key; else empty */
#define MESSAGE_ENROLLED(U, I, ID, B, T, L) /* then the client starts over with HELLO */ \
    ID(device) ID(user) T(login, 200) ID(history)
#define MESSAGE_PROVE(U, I, ID, B, T, L) \
    B(signature, 64) U(origin) U(last_oseq) /* the highest that this replica has used */ \
    U(floor) /* all of its groups up to here are decided, as it knows */ U(floor_tag) I(wall_ms)
#define MESSAGE_WELCOME(U, I, ID, B, T, L) \
    ID(user) U(role) U(scope) /* its revision */ L(buckets, bucket_name, 65536) \
    L(incarnations, incarnation, 65536) L(marks, mark, 1) /* of the device's origin */ \
    U(archived) /* own groups up to here are in a verified backup */ U(credit) /* bytes of PUSH */ \
    I(wall_ms) U(fork) /* 1: this replica was rolled back or copied: take a new origin */ \
    U(relay) /* 0: headquarters; else this branch's list of pending groups */ \
    U(online) /* 1: what this server knows is headquarters' now */ \
    L(floors, bucket_position, 65536) /* cursors below these cannot catch up by the log */
#define MESSAGE_FAILURE(U, I, ID, B, T, L) /* then the connection closes */ \
    U(code) /* enum err */ T(text, 500)
#define MESSAGE_PUSH(U, I, ID, B, T, L) /* groups in order, oseqs consecutive from first */ \
    U(origin) U(first) L(groups, bytes, 1000) B(signature, 64)
#define MESSAGE_PART(U, I, ID, B, T, L) /* a piece of a group that is too large for one frame */ \
    U(origin) U(oseq) U(part) U(parts) U(total) B(data, 524288) B(signature, 64) /* with the last part */
#define MESSAGE_ACK(U, I, ID, B, T, L) /* durable at this server; and parts of a large group received */ \
    U(origin) U(upto) L(ranges, oseq_range, 10000) U(credit)
#define MESSAGE_FORK(U, I, ID, B, T, L) /* the oseq is taken by another group: renumber from here */ \
    U(origin) U(oseq)
#define MESSAGE_SUBSCRIBE(U, I, ID, B, T, L) \
    U(scope) L(cursors, bucket_position, 65536) /* staged positions while a catch-up is unfinished */ \
    U(credit) U(reconcile) /* enum reconcile */
#define MESSAGE_PAGE(U, I, ID, B, T, L) /* rows of one bucket; body: page.h */ \
    U(bucket) U(from) U(to) U(live) /* enum feed */ B(body, 8388608)
#define MESSAGE_CHECKPOINT(U, I, ID, B, T, L) /* the pages since the last one are whole */ \
    U(live) /* enum feed */ U(scope) L(heads, bucket_digest, 65536) L(marks, mark, 65536) \
    L(results, group_result, 10000) U(archived) L(incarnations, incarnation, 65536) /* new ones */
#define MESSAGE_CREDIT(U, I, ID, B, T, L) U(bytes) /* more bytes of PAGE that may be sent */
#define MESSAGE_PING(U, I, ID, B, T, L) U(token)
#define MESSAGE_PONG(U, I, ID, B, T, L) U(token)
#define MESSAGE_DISCARD(U, I, ID, B, T, L) U(origin) U(oseq) /* the author gives up a parked group */
#define MESSAGE_RELAY(U, I, ID, B, T, L) /* a branch: the pushes under this origin that follow are of this */ \
    U(origin) ID(device) /* and came to the first server like this: */ I(received_ms) I(offset_ms)
#define MESSAGE_FOLLOW(U, I, ID, B, T, L) /* before SUBSCRIBE: whose fates to tell besides the own */ \
    L(origins, origin_floor, 65536) U(relay) U(seq) /* what is here of that branch's pending groups */
#define MESSAGE_FATES(U, I, ID, B, T, L) /* of an origin that is followed; counts with the next CHECKPOINT */ \
    U(live) /* enum feed, as the CHECKPOINT's */ L(marks, mark, 1) L(results, group_result, 10000) \
    U(archived) /* its groups up to here are in a verified backup */ \
    L(renamed, range_count, 10000) /* its groups that are decided under another number: oseq, tag */
#define MESSAGE_PENDING(U, I, ID, B, T, L) /* groups that are not decided, without what is out of scope */ \
    U(relay) U(seq) /* of the list, these included */ L(groups, pending_group, 1000)
#define MESSAGE_MODEL_ASK(U, I, ID, B, T, L) /* the model of CHALLENGE is not known here */ \
    U(from) /* bytes that are here */
#define MESSAGE_MODEL(U, I, ID, B, T, L) /* the answer: a piece of the model's whole text */ \
    U(version) B(hash, 32) U(total) U(from) B(data, 524288) \
    L(former, bytes, 1000) /* with the first piece: the models that it continues, as store_models.h has them */
#define MESSAGE_OFFER(U, I, ID, B, T, L) /* attachments that are whole here; none: what is the limit? */ \
    L(blobs, blob_offer, 64)
#define MESSAGE_STATES(U, I, ID, B, T, L) /* what the server makes of attachments */ \
    L(blobs, blob_state, 64) U(limit) /* bytes of one */ U(answer) /* 1: to an OFFER */
#define MESSAGE_WANT(U, I, ID, B, T, L) /* one chunk, please */ \
    B(hash, 32) U(number) U(most) /* nothing if the whole has more bytes */
#define MESSAGE_CHUNK(U, I, ID, B, T, L) /* up: the next of what STATES asked for; down: what WANT did */ \
    B(hash, 32) U(size) /* of the whole */ U(number) U(code) /* down: where it is; up: 0 */ B(data, 65536)
#define MESSAGE_RANGES(U, I, ID, B, T, L) /* sums of a bucket's ranges, each in 2^bits parts: ranges.h */ \
    U(bucket) U(position) U(salt) U(depth) U(bits) L(numbers, range_name, 4096) B(sums, 65536) \
    U(rows) /* 1: send the rows of the parts that differ */ U(last) /* 1: and the checkpoint */
#define MESSAGE_DIFFERENCES(U, I, ID, B, T, L) /* the answer: which parts differ */ \
    U(bucket) U(salt) U(depth) L(ranges, range_count, 8192)
/* clang-format on */

#define FIELD_U(name)      uint64_t name;
#define FIELD_I(name)      int64_t name;
#define FIELD_ID(name)     struct uuid name;
#define FIELD_B(name, max) struct bytes name;
#define FIELD_T(name, max) struct bytes name;
#define FIELD_L(name, element, max) \
    const struct element *name;     \
    uint32_t name##_count;
#define MESSAGE_STRUCT(upper, lower, code, pre)                                \
    struct message_##lower {                                                   \
        MESSAGE_##upper(FIELD_U, FIELD_I, FIELD_ID, FIELD_B, FIELD_T, FIELD_L) \
    };
MESSAGE_LIST(MESSAGE_STRUCT)
#undef MESSAGE_STRUCT

struct message {
    enum message_type type;
    union {
#define MESSAGE_MEMBER(upper, lower, code, pre) struct message_##lower lower;
        MESSAGE_LIST(MESSAGE_MEMBER)
#undef MESSAGE_MEMBER
    } as;
};

/* Appends the MessagePack payload (no frame header). ERR_NOMEM; ERR_TOO_LARGE: out's limit, or a
 * maximum of the lists is exceeded; ERR_INVALID: a text that is not UTF-8. The error stays in
 * out->error. */
enum err message_encode(const struct message *message, struct buf *out);
/* payload must have passed scan_check(). ERR_MALFORMED (not of the form, a maximum exceeded, bad
 * UTF-8), ERR_PROTOCOL (unknown type), ERR_NOMEM. */
enum err message_decode(enum message_type type, struct bytes payload, struct arena *arena,
                        struct message *ret);
const char *message_name(enum message_type type);
bool message_before_auth(enum message_type type);

#endif
