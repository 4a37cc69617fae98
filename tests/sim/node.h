/* node.h - a machine with one process of ours on it: headquarters, a branch or a device.
 *
 * Model:      a node accepts connections if it has a hub, and connects upstream if it has a replica; the
 *             roles are independent. Its process starts, is killed, loses power, is paused; its disk is a
 *             sim_disk; its clocks are its own. As the programs do, it stops at a fatal error and is
 *             started again, connects again with backoff, and erases itself when it was revoked.
 * Life:       raised at each end of the process: events of an older life are dropped. */
#ifndef TESTS_SIM_NODE_H
#define TESTS_SIM_NODE_H

#include "client/core/uplink.h"
#include "server/core/hub.h"
#include "tests/lib/sim_disk.h"
#include "tests/sim/link.h"

enum { OLD_PUSHES = 4, BACKUPS_MAX = 4 };

enum node_mode { MODE_OFF, MODE_ONCE, MODE_LIVE };

struct copy { /* of a disk, at a time */
    struct sim_disk *disk;
    int64_t at_us;
    uint32_t transactions; /* ledger: how many there were */
    bool announced;        /* headquarters was told what it holds */
};

struct node {
    struct world *world;
    uint16_t number;
    char name[16];
    bool serves;                   /* has a hub when it runs */
    int32_t upstream;              /* a node's number; -1: none. Who has one has a replica */
    bool running, erased, retired; /* retired: not part of the end (a clone's double, say) */
    bool corrupt_ok;               /* a fault was injected after which damage is no wonder */
    uint32_t life;
    int64_t paused_us; /* until then */
    int64_t boot_us;
    int64_t skew_ms, frozen_ms; /* frozen_ms < 0: runs */
    struct seeded_rng seeded;
    struct rng rng;
    struct log log;
    struct sim_disk *disk;
    struct store *store;
    const struct model *model; /* the store's; of the kit */
    uint32_t start_failures;
    uint32_t nomem_in; /* allocations; 0: none will fail */
    uint32_t nomem_tries;
    struct copy copies[BACKUPS_MAX];
    uint32_t copy_count;

    /* serving */
    struct hub *hub;
    struct hub_config config;
    bool turn_scheduled;
    int64_t tick_us;
    struct hub_stats stats; /* as counted last */
    bool pushed;            /* a branch: there is something to send up */

    /* below a server */
    struct replica *replica;
    struct uplink *uplink;
    struct uplink_identity identity;
    uint16_t user;
    enum node_mode mode;
    struct link *up;
    uint32_t failures;
    int64_t uplink_us;  /* its deadline that is in the heap */
    int64_t refused_us; /* no network before */
    int64_t clogged_us[2];
    struct profile profile;
    uint64_t origin; /* as seen last */
    bool learned;    /* its next model has come: it starts anew when the session is over */
    bool drained;    /* the last session ended well, with nothing left to say */
    enum err last_why;
    int32_t clone_of;              /* shares the identity of that node; -1 */
    bool evil;                     /* has done to its session what leaves it stuck */
    uint32_t enrolled_from;        /* the first connection under its present identity */
    bool dishonest;                /* has ever pushed what its replica does not know of */
    bool impostor;                 /* its seed is not its own for this session */
    struct buf pushes[OLD_PUSHES]; /* of earlier sessions, to replay */
    uint32_t push_count;
};

void node_init(struct world *world, struct node *node, uint16_t number, bool serves,
               int32_t upstream);
void node_done(struct node *node);
struct now node_now(const struct node *node);
struct hub_now node_hub_now(const struct node *node);

static inline bool node_is_branch(const struct node *node)
{
    return node->serves && node->upstream >= 0;
}

/* Makes a customer file on the disk of a node that serves. */
void node_prepare(struct node *node);
/* The process starts: opens the store and what stands on it. On a failure that may pass it tries again
 * a little later. */
void node_start(struct node *node);
enum node_end { END_KILLED, END_POWER };
/* The process ends: its connections with it. END_POWER: nobody is told, and the disk loses what it has
 * not synced (as dice say). It starts again after `again_us`; negative: not by itself. */
void node_end(struct node *node, enum node_end how, uint64_t dice, int64_t again_us);
/* Whether the disk has lost its power within the last call: the process is gone then. */
bool node_check_power(struct node *node);
/* A store call has failed in a way after which the programs stop. */
void node_stop(struct node *node, enum err why);

/* Around each call of the product, so that an allocation may fail within. */
void node_enter(struct node *node);
void node_leave(struct node *node);

/* What links ask. */
void node_next_frame(struct node *node, struct link *link, enum side side, struct buf *out);
void node_received(struct node *node, struct link *link, enum side side, struct bytes frame);
/* Forgets the link that it is about to close itself. */
void node_let_go(struct node *node, struct link *link, enum side side);
/* Learns that the connection is gone. */
void node_lost(struct node *node, struct link *link, enum side side);
void node_event(struct node *node, const struct event *event);

/* hub_node.c */
void hub_node_create(struct node *node);
enum err hub_node_open(struct node *node);
void hub_node_close(struct node *node);
/* After each call of the hub: effects, turns, deadlines. */
void hub_node_settle(struct node *node);
void hub_node_accept(struct node *node, struct link *link);
void hub_node_turn(struct node *node);
void hub_node_tick(struct node *node);
/* Asks hub_admin; the answer's text, or NULL if it failed. Static, until the next call. */
const char *hub_node_ask(struct node *node, const char *request);
/* Counts what the hub has counted since the last time. */
void hub_node_count(struct node *node);

/* device_node.c */
enum err device_node_open(struct node *node);
void device_node_close(struct node *node);
/* A new device of the user: enrolled without faults. */
void device_node_enrol(struct node *node, uint16_t user);
/* The same, where headquarters may have faults: false: nothing came of it. */
bool device_node_enrol_again(struct node *node, uint16_t user);
void device_node_connect(struct node *node);
void device_node_mode(struct node *node, enum node_mode mode);
void device_node_apply(struct node *node, struct link *link, const struct uplink_effects *effects);
void device_node_up(struct node *node, struct link *link);
void device_node_tick(struct node *node);
/* The application has written. */
void device_node_wrote(struct node *node);
void device_node_over(struct node *node, enum err why);
/* There is no session any more, and nothing of what it pretended to be. */
void device_node_unplug(struct node *node);

#endif
