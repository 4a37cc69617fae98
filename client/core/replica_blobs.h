/* replica_blobs.h - attachments of a replica: what its session brings up and down, what its user asks for.
 *
 * Model:      common/blob.h has the bytes; here each call is one transaction of the replica. What is to be done is in
 *             the lists of the store, so a session that was cut, or a program that ended, goes on where it was.
 * Errors:     store errors, ERR_NOMEM, and those named.
 * Source:     SPEC.md 15, ADR-18. */
#ifndef CLIENT_CORE_REPLICA_BLOBS_H
#define CLIENT_CORE_REPLICA_BLOBS_H

#include "client/core/replica.h"
#include "common/blob.h"

enum { BLOB_FETCH_DEFAULT = 1 << 20 }; /* bytes: a device takes attachments up to here by itself */

/* Whether the model has attachments at all. */
bool replica_has_blobs(const struct replica *replica);

/* --- up --- */
/* Up to max attachments after `after` (NULL: from the first) that are to be offered, and that a live record
 * names; hashes in the arena. *ret_after: where to go on. */
enum err replica_blob_offers(struct replica *replica, const uint8_t *after, uint32_t max,
                             struct arena *arena, struct blob_offer *ret, uint32_t *ret_count,
                             uint8_t ret_after[BLOB_HASH]);
/* ERR_NOT_FOUND: it is not here any more. */
enum err replica_blob_chunk(struct replica *replica, const uint8_t hash[BLOB_HASH], uint32_t n,
                            struct arena *arena, struct bytes *ret, uint64_t *ret_size);
/* What a server says of one, and its limit. */
enum err replica_blob_told(struct replica *replica, const struct message_states *states);

/* --- down --- */
struct blob_cursor { /* zeroed: from the beginning */
    enum { CURSOR_ASKED, CURSOR_ALL, CURSOR_NEWS } phase;
    bool began;
    uint8_t after[BLOB_HASH];
};
struct blob_wanted {
    uint8_t hash[BLOB_HASH];
    uint32_t number; /* the next chunk */
    uint64_t most;   /* bytes that it may have */
};
/* The next one to ask for. ERR_NOT_FOUND: none for now; news are found by the same cursor later. */
enum err replica_blob_wanted(struct replica *replica, struct blob_cursor *cursor,
                             struct blob_wanted *ret);
/* *ret_next: the chunk that is due now; *ret_all: none, all are here. ERR_PROTOCOL: not what it must be. */
enum err replica_blob_take(struct replica *replica, const struct message_chunk *chunk,
                           uint32_t *ret_next, bool *ret_all);
/* One step of checking what came, or of removing what nobody names. *ret_more: call again; *ret_whole: the one
 * in ret_hash has become whole; *ret_wrong: it was another. */
struct blob_work {
    struct blob_check check;
};
enum err replica_blob_work(struct replica *replica, struct blob_work *work, bool *ret_more,
                           bool *ret_whole, bool *ret_wrong, uint8_t ret_hash[BLOB_HASH]);

/* --- for people --- */
enum err replica_blob_ask(struct replica *replica, const uint8_t hash[BLOB_HASH]);
/* Bytes up to which attachments come by themselves: 0 none, UINT64_MAX all. */
enum err replica_blob_policy(struct replica *replica, uint64_t *ret_bytes);
enum err replica_blob_set_policy(struct replica *replica, uint64_t bytes);
/* Bytes that headquarters allows of one, as was told last. */
enum err replica_blob_limit(struct replica *replica, uint64_t *ret_bytes);
enum err replica_blob_state(struct replica *replica, const uint8_t hash[BLOB_HASH],
                            struct blob *ret); /* ERR_NOT_FOUND */
struct blob_counts {
    uint64_t to_send, bytes_to_send;
    uint64_t to_fetch, bytes_to_fetch; /* named and not here; bytes as far as sizes are known */
    uint64_t here, bytes_here;
    uint64_t refused, unnamed; /* of to_send: too large; named by no record here */
};
enum err replica_blob_counts(struct replica *replica, struct blob_counts *ret);
/* The same within a transaction of the store; and policy and limit. */
enum err replica_blob_counts_within(struct replica *replica, struct blob_counts *ret);
enum err replica_blob_settings_within(struct replica *replica, uint64_t *ret_automatic,
                                      uint64_t *ret_limit);
/* A new one: begin, add chunks, end within the transaction of replica_begin(), so that the record which names it
 * comes with it. begin and add are transactions of their own, or part of that. */
enum err replica_blob_begin(struct replica *replica, struct blob_writer *writer);
enum err replica_blob_add(struct replica *replica, struct blob_writer *writer, struct bytes data);
enum err replica_blob_end(struct replica *replica, struct blob_writer *writer,
                          uint8_t ret_hash[BLOB_HASH]);

#endif
