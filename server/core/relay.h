/* relay.h - the hub of a branch: a server to its devices whose state is a replica of headquarters'.
 *
 * Model:      rows, positions, marks, results and starts are headquarters' as the branch's replica has them, and
 *             are passed on as they are; what devices push is kept as pending, given to the other devices,
 *             and goes up by the uplink, which is the one of a device. Nothing is decided here.
 * Store:      the replica's. A turn's transaction is the replica's as well.
 * Source:     SPEC.md 12; DESIGN.md 3. */
#ifndef SERVER_CORE_RELAY_H
#define SERVER_CORE_RELAY_H

#include "client/core/replica_relay.h"
#include "server/core/hub_internal.h"

struct relay {
    struct replica *replica;
    uint64_t id;        /* of the list of pending groups: another one if the store is lost */
    uint64_t given;     /* runs that live peers have been woken for end before this one */
    uint64_t starts;    /* of headquarters, as told to peers: relay_starts() */
    uint64_t upheavals; /* of the replica, that memory here is as of */
    bool follows;       /* an origin that the server above has to be asked about */
    uint64_t held;      /* for the buckets that rights were looked at with: relay_held_buckets() */
};

/* Whether what is known here is what headquarters says now, as far as the link above shows; headquarters itself is. */
bool relay_online(const struct hub *hub);
enum err relay_open(struct hub *hub, struct err_info *info);
/* Before a device is given anything: memory is as the replica is now. ERR_BUSY: there is nothing to give yet. */
enum err relay_ready(struct hub *hub);
void relay_close(struct hub *hub);
/* The turn's transaction, and its end: commits if e is ERR_OK. */
enum err relay_begin(struct hub *hub);
enum err relay_end(struct hub *hub, enum err e);
/* A number that stands for the list of headquarters' starts. */
enum err relay_starts(struct hub *hub, uint64_t *ret);
/* A number that stands for the set of buckets that are held. */
uint64_t relay_held_buckets(const struct hub *hub);
/* Buckets and scope as of the last checkpoint. */
enum err relay_load(struct hub *hub);
/* What is known of an origin that is served or followed here; arena. ERR_NOT_FOUND. */
enum err relay_origin_load(struct hub *hub, uint64_t id, struct mark *ret_mark,
                           struct uuid *ret_device, struct uuid *ret_user);
enum err relay_origin_new(struct hub *hub, uint64_t id, const struct uuid *device,
                          const struct uuid *user);
enum err relay_origin_claim(struct hub *hub, uint64_t id, const struct uuid *device,
                            const struct uuid *user);
/* A device by its row. ERR_AUTH: not known here; ERR_REVOKED. */
enum err relay_device(struct hub *hub, const struct uuid *device, uint8_t ret_key[32],
                      struct uuid *ret_user);
/* The confirmed row of a record, beneath what is pending. ERR_NOT_FOUND. */
enum err relay_confirmed(struct store *store, const struct model_table *table,
                         const struct uuid *id, struct arena *arena, struct store_row *ret);

/* relay_push.c */
/* A run of the session's device, or of one below a sub-branch. *ret_fork: it has to renumber. */
enum err relay_push(struct hub *hub, struct peer *peer, struct origin *origin, uint64_t first,
                    const struct bytes *groups, uint32_t count, const uint8_t *hashes,
                    const uint8_t signature[64], bool *ret_fork);
/* What is decided of the origin, or durable here; ranges matter up to `last`. */
enum err relay_received(struct hub *hub, const struct origin *origin, uint64_t last,
                        struct mark *ret);
enum err relay_discard(struct hub *hub, struct peer *peer, const struct message_discard *message);

/* relay_feed.c */
enum err relay_follow(struct hub *hub, struct peer *peer, const struct message_follow *message);
enum err relay_origin_results(struct store *store, uint64_t origin, uint64_t after,
                              struct arena *arena, struct mark *ret_mark,
                              const struct group_result **ret, uint32_t *ret_count);
/* After a turn: live peers are to ask for what was pushed. */
void relay_published(struct hub *hub);
bool relay_pending_ready(const struct hub *hub, const struct peer *peer);
/* Queues the next pending groups for a live peer. */
enum err relay_pending_next(struct hub *hub, struct peer *peer);

#endif
