/* hub.h - headquarters' core: all sessions, one store, one commit for all that has arrived.
 *
 * Model:      peers hand in whole frames (hub_receive), which are checked and queued; hub_turn() takes what
 *             has arrived into one store transaction (judge, write, commit) and only then queues the
 *             answers; hub_next_frame() is asked when a peer's socket is writable. Nothing leaves
 *             before the commit that it promises.
 * Bounds:     per peer: bytes queued in and out; in all: peers, memory. A peer whose live queue is full
 *             falls back to catching up from the log.
 * Effects:    hub_next_effect() after every call.
 * Ownership:  borrows what is in the config; owns peers.
 * Source:     SPEC.md 7, 11. */
#ifndef SERVER_CORE_HUB_H
#define SERVER_CORE_HUB_H

#include "client/core/replica.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/rng.h"
#include "common/store.h"
#include "protocol/frame.h"

struct hub;
struct peer;

struct hub_now {
    struct wall_time wall;
    struct mono_time mono;
};

struct hub_limits {               /* zeros: defaults */
    uint32_t peers_max;           /* 20,000 */
    uint32_t page_bytes;          /* 256 KiB; small in tests */
    uint32_t page_rows;           /* 1,000 */
    uint32_t readers_max;         /* snapshots held for catching-up peers: 4 */
    uint64_t chunk_bytes;         /* pages of first syncs that are kept for others: 64 MiB */
    uint64_t live_queue_bytes;    /* 1 MiB per peer, then it catches up */
    uint64_t receive_queue_bytes; /* 4 MiB per peer */
    int64_t auth_timeout_us, idle_ping_us, idle_close_us, message_timeout_us; /* 5, 30, 45, 15 s */
    int64_t reader_timeout_us; /* a held snapshot without progress: 60 s */
    uint64_t
        attachment_bytes; /* of one attachment: 32 MiB; at most 1 GiB. A branch's are headquarters' */
    int64_t attachment_keep_ms; /* its bytes after the last row that named it: 90 days */
};

/* How long things are kept, in ms. 0: the default; -1: for good. */
struct hub_retention {
    int64_t
        horizon_ms; /* deleted records, departures, settled conflict records, waiting groups: 90 days */
    int64_t
        lease_ms; /* a device that was here within it holds back what it has not taken: 30 days */
    int64_t
        archive_ms; /* groups, at those who sent or forward them, without a verified backup: 180 days */
};

struct hub_config {
    const struct model *model;
    struct store *store;
    struct crypto *crypto;
    const struct rng *rng;
    const struct log *log;
    uint8_t server_key[32]; /* SHA-256 of the TLS certificate's public key (SPKI) */
    struct hub_limits limits;
    struct hub_retention retention;
    /* Only looks: nothing is written, no incarnation either, so the store may be a read-only handle
     * beside a running server, or a backup. Each hub_admin() sees the store as it is then; commands
     * that write are ERR_FORBIDDEN. No peers, no turns. */
    bool inspect;
    /* A branch: the hub serves what this replica has (config.branch, its store is `store`), decides nothing,
     * and takes no administration. NULL: headquarters. */
    struct replica *replica;
    /* A branch's, may be NULL: there is something to send up (uplink_local_change()). */
    void (*pushed)(void *context);
    void *context;
};

/* Opens; on a new store creates the history (hub_create must have been called once). Writes this
 * start's incarnation before it returns. ERR_NOT_FOUND: not initialised. Store errors, ERR_NOMEM. */
enum err hub_open(const struct hub_config *config, struct hub_now now, struct hub **ret,
                  struct err_info *info);
/* Makes a new customer file in an empty store. ERR_EXISTS. */
enum err hub_create(const struct hub_config *config, struct hub_now now, struct err_info *info);
void hub_close(struct hub *hub);

/* A connection has been accepted; context is the adapter's. ERR_LIMIT (too many), ERR_NOMEM. */
enum err hub_attach(struct hub *hub, void *context, struct hub_now now, struct peer **ret_peer);
/* The connection is gone; the peer is freed. */
void hub_detach(struct hub *hub, struct peer *peer, struct hub_now now);
/* How many bytes a message of this peer may have: few before it has said who it is (SPEC.md 7.2.2). */
size_t hub_message_max(const struct peer *peer);
/* One whole binary message; copied or consumed before it returns. */
void hub_receive(struct hub *hub, struct peer *peer, struct bytes frame, struct hub_now now);
/* A text message, an over-long one, a stalled one: what the adapter saw. */
void hub_violation(struct hub *hub, struct peer *peer, enum err why, struct hub_now now);
/* Whether hub_turn() has something to do. */
bool hub_has_work(const struct hub *hub);
/* One transaction for what has arrived. ERR_IO/ERR_CORRUPT: the process must stop. */
enum err hub_turn(struct hub *hub, struct hub_now now);
/* The next frame for a peer into out, or nothing (out empty). */
void hub_next_frame(struct hub *hub, struct peer *peer, struct hub_now now, struct buf *out);
/* Monotonic us of the next deadline, 0: none; and what to call then. */
int64_t hub_deadline(const struct hub *hub);
void hub_tick(struct hub *hub, struct hub_now now);

enum hub_effect_kind { HUB_EFFECT_NONE, HUB_EFFECT_WANT_WRITE, HUB_EFFECT_HANG_UP };
struct hub_effect {
    enum hub_effect_kind kind;
    struct peer *peer;
    void *context; /* the adapter's, of hub_attach */
    enum err why;
};
/* Takes the next effect; kind NONE: no more. HANG_UP: send what hub_next_frame still gives, close,
 * then hub_detach. Each peer is at most once in the list per kind. */
struct hub_effect hub_next_effect(struct hub *hub);

/* A branch: its replica has installed a checkpoint (during replica_config.installed), or headquarters told it
 * that a number is another group's (uplink_config.forked). */
void hub_installed(struct hub *hub, const struct message_checkpoint *checkpoint,
                   struct hub_now now);
void hub_forked(struct hub *hub, uint64_t origin, uint64_t oseq, struct hub_now now);
/* Others' groups have come from above (uplink_config.pended): live devices are to ask for them. */
void hub_pended(struct hub *hub, struct hub_now now);
/* An attachment has come from above, or is known to be there (uplink_config.carried): who waits is told. */
void hub_blob_changed(struct hub *hub, const uint8_t hash[32]);

/* Administration, the same whether a server is running (through its control socket) or not: a JSON
 * object {"do": "...", ...} in, a JSON object out ({"ok": true, ...} or {"ok": false, "code": "...",
 * "message": "..."}). Commands: branch-add {name, city?}, branch-list, user-add {login, name?, branch?, role?},
 * user-list, user-set {login, ...}, user-substitute {login, by, until_ms} or {login} (ends it), team-add {name,
 * branch?}, team-list, team-join {team, login}, team-leave {team, login} -> {owns}, team-remove {team}, enroll {login, minutes?, name?} -> {code (hex 32), expires_ms},
 * devices, revoke {device}, status, verify, archived (called after a backup was verified, with the
 * marks as of that backup), marks -> {marks: {origin (16 hex digits): decided up to}}. ERR_NOMEM only; failures are in the answer. */
enum err hub_admin(struct hub *hub, struct bytes request, struct hub_now now, struct buf *answer);

/* Administration of the model: `text` is a whole model file or an extension file (common/model_change.h). The answer
 * is as of hub_admin(): {"ok", "name", "version", "changes": [{"allowed", "text"}]}. Unless dry_run, the model is noted
 * as the store's next, in one commit with its entry in the audit log, all sessions end, and hub_reopens() says that
 * hub and store are to be closed and opened anew (store_sqlite_model()). ERR_NOMEM only. */
enum err hub_extend(struct hub *hub, struct bytes text, bool dry_run, struct hub_now now,
                    struct buf *answer);
bool hub_reopens(const struct hub *hub);

struct hub_stats {
    uint64_t groups_applied, groups_merged, groups_parked, groups_rejected, groups_waiting,
        duplicates;
    uint64_t rows_written, rows_sent, frames_in, frames_out, bytes_in, bytes_out;
    uint64_t records_purged, departures_purged;
    uint64_t commits, conflicts, forks, catch_ups, fallbacks, largest_batch, bad_signatures;
    uint64_t pages_shared; /* of first syncs, that had been made for another device */
    uint32_t peers, peers_live;
};
void hub_stats(const struct hub *hub, struct hub_stats *ret);

#endif
