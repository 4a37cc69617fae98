/* hostile.h - a peer that sends what no honest device would, against the real hub: headquarters', or that of
 * the branch where its device connects.
 *
 * Model:      it holds a real device's key and groups (pair.h), makes its frames itself and keeps what
 *             it was answered. Its effects are taken by hostile_turn(), or passed over by pair_run().
 * Ownership:  the test owns the struct; hostile_end() frees what is in it. */
#ifndef TESTS_LIB_HOSTILE_H
#define TESTS_LIB_HOSTILE_H

#include "tests/lib/pair.h"

struct hostile {
    struct pair_device shadow; /* first, and never up: what pair_run() sees of our effects */
    struct pair *pair;
    struct pair_device *device;
    struct peer *peer;
    struct deflater *deflater;
    struct inflater *inflater;
    struct buf frame, payload, inflated;
    struct arena arena; /* of the last frame read */
    uint8_t nonce[32], server_nonce[32];
    uint64_t incarnation, origin, last_oseq, floor;
    bool hung_up;
    enum err failure;      /* code of the FAILURE that came; ERR_OK: none */
    uint32_t received[32]; /* messages, by type */
    uint64_t acked_upto, fork_oseq;
    uint32_t acked_ranges, rows, results;
    uint64_t bytes;  /* received */
    struct buf feed; /* every PAGE and CHECKPOINT that came, in order */
};

/* Accepted by the hub; nothing is sent yet. It will use the device's identity and origin. */
void hostile_attach(struct hostile *h, struct pair *pair, struct pair_device *device);
void hostile_end(struct hostile *h);
void hostile_send(struct hostile *h, const struct message *message);
void hostile_send_bytes(struct hostile *h, struct bytes frame);
/* Turns of the hub until it has nothing to do; our effects. */
void hostile_turn(struct hostile *h);
/* Takes one frame from the hub; false: there is none. */
bool hostile_read_one(struct hostile *h);
void hostile_read(struct hostile *h);
/* Turn and read, until neither does anything. */
void hostile_settle(struct hostile *h);

void hostile_hello(struct hostile *h);
/* The proof, as the device would make it; signature 64 bytes. */
struct message hostile_proof(struct hostile *h, uint8_t signature[64]);
/* HELLO, PROVE; asserts that it is welcome. */
void hostile_open(struct hostile *h);
/* SUBSCRIBE from these positions. */
void hostile_subscribe(struct hostile *h, const struct bucket_position *cursors, uint32_t count,
                       uint64_t credit);
/* The groups of the device's outbox from oseq `from`; arena of the caller. */
uint32_t hostile_groups(struct hostile *h, uint64_t from, struct arena *arena,
                        const struct bytes **ret);
void hostile_sign(struct hostile *h, uint64_t first, const struct bytes *groups, uint32_t count,
                  uint8_t signature[64]);
/* PUSH, signed. */
void hostile_push(struct hostile *h, uint64_t first, const struct bytes *groups, uint32_t count);
/* Settles, and asserts that the session was ended with this code. */
void hostile_expect(struct hostile *h, enum err failure);

#endif
