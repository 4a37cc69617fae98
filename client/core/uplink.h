/* uplink.h - one device's session with its server: link, handshake, push, pull, as a state machine.
 *
 * Model:      independent machines with independent state: link (down, up), handshake (hello, enrol or
 *             prove, open), push (next oseq, acknowledged), pull (subscribed, catching up, live),
 *             attachments (carry.c), heartbeat. All state is here or in the replica's store.
 * Events:     link_up, link_down, receive, next_frame (the socket is writable), tick (a deadline has
 *             passed), local_change. Each gets `now` by value. The adapter decides nothing.
 * Effects:    after each event the adapter reads struct uplink_effects.
 * Ownership:  borrows the replica and the identity.
 * Source:     SPEC.md 7, 10. */
#ifndef CLIENT_CORE_UPLINK_H
#define CLIENT_CORE_UPLINK_H

#include "client/core/replica.h"
#include "common/clock.h"
#include "protocol/frame.h"

struct uplink_identity {
    struct uuid device;     /* nil before enrolment */
    uint8_t seed[32];       /* Ed25519 private key */
    uint8_t server_key[32]; /* pinned SHA-256 of the server's public key */
};

struct uplink_enrolment { /* set while enrolling */
    uint8_t code[16];
    const char *name, *platform;
    const char *address; /* a branch's: HOST:PORT for its devices; NULL: a device */
    uint8_t pin[32];     /* with it: SHA-256 of the branch's own public key */
};

struct uplink_config {
    struct replica *replica; /* NULL while enrolling */
    struct crypto *crypto;
    const struct rng *rng;
    const struct log *log;
    const char *agent;   /* "satchel/0.1" */
    bool once;           /* hang up when pushed and caught up */
    bool branch;         /* the replica is a branch's: runs from below go up */
    bool no_attachments; /* records alone */
    /* May be NULL. An attachment has come whole, or is known to be at headquarters now. */
    void (*carried)(void *context, const uint8_t hash[32]);
    /* May be NULL. A branch is told that (origin, oseq), which it has sent up, is another group's. */
    void (*forked)(void *context, uint64_t origin, uint64_t oseq);
    /* The same: groups of others have come that its devices may be shown. */
    void (*pended)(void *context);
    void *context;
};

struct now {
    struct wall_time wall;
    struct mono_time mono;
};

struct uplink_effects {
    bool want_write; /* ask next_frame when the socket is writable */
    bool hang_up;    /* close the link; `why` says the reason */
    enum err why;    /* ERR_OK: finished (once) */
    bool erase;      /* the server says that this device is revoked */
    bool learned; /* the replica's next model came: close it and its store, open them anew, and come
                            back at once (why is ERR_CLOSED) */
    bool changed; /* a checkpoint was installed, or results came: tell the user */
    int64_t deadline_us; /* monotonic; 0: none */
    char message[200];   /* for people, where why is an error */
};

struct uplink_progress {
    bool connected, authenticated, live, caught_up;
    uint64_t pushed_groups, pushed_bytes, acknowledged_upto;
    uint64_t pulled_rows, pulled_bytes, checkpoints;
    uint64_t pending_groups; /* of others, that came from a branch */
    uint64_t attachments_sent, attachment_bytes_sent;
    uint64_t attachments_received, attachment_bytes_received;
    uint8_t sending[32];     /* the attachment that goes up; */
    uint64_t sending_done;   /* bytes of it that the server has; 0: none goes up */
    bool records_done;       /* once: what is left are attachments */
    int64_t clock_offset_ms; /* server minus device, by the handshake */
};

struct uplink;
enum err uplink_new(const struct uplink_config *config, const struct uplink_identity *identity,
                    const struct uplink_enrolment *enrolment, struct uplink **ret);
void uplink_free(struct uplink *uplink);
void uplink_link_up(struct uplink *uplink, struct now now, struct uplink_effects *effects);
void uplink_link_down(struct uplink *uplink, struct now now, struct uplink_effects *effects);
/* One whole binary message. A text message: the adapter closes with ERR_PROTOCOL. */
void uplink_receive(struct uplink *uplink, struct bytes frame, struct now now,
                    struct uplink_effects *effects);
/* Fills out with the next frame, or leaves it empty when there is none. */
void uplink_next_frame(struct uplink *uplink, struct now now, struct buf *out,
                       struct uplink_effects *effects);
void uplink_tick(struct uplink *uplink, struct now now, struct uplink_effects *effects);
/* The application committed a local group (or discarded one). */
void uplink_local_change(struct uplink *uplink, struct now now, struct uplink_effects *effects);
/* Whether uplink_tick() has work now, whatever the time. */
bool uplink_works(const struct uplink *uplink);
void uplink_progress(const struct uplink *uplink, struct uplink_progress *ret);
/* After enrolment: what the server gave. ERR_NOT_FOUND before. login is valid while uplink lives. */
enum err uplink_enrolled(const struct uplink *uplink, struct uuid *ret_device,
                         struct uuid *ret_user, struct uuid *ret_history, const char **ret_login);

#endif
