/* pair.h - real client and server cores joined in memory: virtual time, no sockets, no threads.
 *
 * Model:      one hub and up to PAIR_DEVICES devices, each with a store, a replica and an uplink. A link
 *             carries whole frames; it can be cut at any frame, on either side.
 * Ownership:  the test owns the struct; pair_done() frees everything. Failures assert (cmocka). */
#ifndef TESTS_LIB_PAIR_H
#define TESTS_LIB_PAIR_H

#include "client/core/uplink.h"
#include "server/core/hub.h"
#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

enum { PAIR_DEVICES = 12, PAIR_BRANCHES = 4 };

struct pair;
struct pair_device;

/* A branch: a hub whose replica is that of its link to the server above. */
struct pair_branch {
    struct pair *pair;
    struct pair_device *link;
    struct hub *hub;
    const char *name; /* borrowed */
};

struct pair_device {
    struct store *store;
    struct replica *replica;
    struct uplink *uplink;
    struct uplink_identity identity;
    struct peer *peer;          /* NULL: not connected */
    struct pair_branch *at;     /* where it connects; NULL: headquarters */
    struct pair_branch *serves; /* it is the link of this branch */
    bool up;
    int64_t skew_ms; /* the device's clock minus true time */
    enum err why;    /* of the last end of a session */
    char message[200];
    bool ended, learned;
    uint32_t frames_until_cut;     /* 0: never */
    uint64_t bytes_up, bytes_down; /* of frames */
    /* NULL, or told of each frame before it arrives */
    void (*on_frame)(struct pair_device *device, bool up, struct bytes frame);
};

struct pair {
    struct model *model;
    struct crypto *crypto;
    struct seeded_rng seeded;
    struct rng rng;
    int64_t now_ms;
    struct store *hub_store;
    struct hub *hub;
    struct hub_config config;
    struct pair_device devices[PAIR_DEVICES];
    uint32_t device_count;
    struct pair_branch branches[PAIR_BRANCHES];
    uint32_t branch_count;
    uint32_t frames; /* exchanged */
    /* Opens the store of device number n; NULL: in memory. */
    struct store *(*open_store)(struct pair *pair, uint32_t n);
    /* The device has learned a model: its store is to be opened anew. NULL: not. */
    void (*take_model)(struct pair *pair, struct pair_device *device);
};

/* model_json NULL: the built-in model. */
void pair_init(struct pair *pair, const char *model_json, uint64_t seed);
void pair_done(struct pair *pair);
/* Asks hub_admin; asserts that it is ok; the answer's text (static, until the next call). */
const char *pair_admin(struct pair *pair, const char *request);
/* A user (made if there is none of that login) and a device of it, enrolled through the protocol. */
struct pair_device *pair_enrol(struct pair *pair, const char *login, const char *role);
void pair_connect(struct pair *pair, struct pair_device *device, bool once);
void pair_cut(struct pair *pair, struct pair_device *device);
/* Connects to stay, and runs. */
void pair_go_live(struct pair *pair, struct pair_device *device);
/* The application says that it has written; runs. */
void pair_say(struct pair *pair, struct pair_device *device);
/* One round of it: up, a turn, down; 0: nobody had anything to do. */
uint32_t pair_step(struct pair *pair);
/* Exchanges frames until nobody has anything to send; the number of frames. */
uint32_t pair_run(struct pair *pair);
/* Connects once, runs, and asserts that the session ended well (reconnecting after a fork). */
void pair_sync(struct pair *pair, struct pair_device *device);
/* Everybody, twice: what one brings, the others take. */
void pair_sync_all(struct pair *pair);
struct replica_status pair_status(const struct pair_device *device);
/* The device's, or the server's, process dies and starts again from its store. */
void pair_restart_device(struct pair *pair, struct pair_device *device);
void pair_restart_hub(struct pair *pair);
/* Every live row of the device's view against headquarters' rows in its buckets; asserts equality. */
void pair_assert_equal(struct pair *pair, struct pair_device *device);

/* pair_branch.c: a branch of that name, below the branch `above` (NULL: headquarters), with its server
 * enrolled, synced once and serving. Its link stays connected until it is cut. */
struct pair_branch *pair_branch_new(struct pair *pair, const char *name, struct pair_branch *above);
/* A device of a new user of the branch; it connects there from now on. */
struct pair_device *pair_enrol_at(struct pair *pair, const char *login, const char *branch,
                                  struct pair_branch *at);
/* Links that were closed, not cut, connect again, from the top down: rights have changed, say. */
void pair_links_again(struct pair *pair);
/* The branch's process dies and starts again from its store. */
void pair_restart_branch(struct pair *pair, struct pair_branch *branch);
/* Its disk is gone: another machine is enrolled in its place, and connected. */
void pair_replace_branch(struct pair *pair, struct pair_branch *branch);
void pair_close_branch(struct pair_branch *branch);

/* For those who play with failures (fault_branch.h): what may fail says so. */
enum err pair_try_connect(struct pair *pair, struct pair_device *device, bool once);
enum err pair_try_open_device(struct pair *pair, struct pair_device *device);
enum err pair_try_serve(struct pair *pair, struct pair_branch *branch); /* its hub is opened */
struct hub *pair_server(struct pair *pair, const struct pair_device *device);
struct now pair_device_now(const struct pair *pair, const struct pair_device *device);

/* Of pair.c, for pair_branch.c. */
struct hub_now pair_hub_now(const struct pair *pair);
void pair_open_device(struct pair *pair, struct pair_device *device);

/* Short ways of writing: one transaction of one change. Values by column name. */
struct uuid pair_insert(struct pair *pair, struct pair_device *device, const char *table,
                        const char *column, const char *text);
void pair_set(struct pair *pair, struct pair_device *device, const char *table, struct uuid id,
              const char *column, const char *text);
void pair_delete(struct pair *pair, struct pair_device *device, const char *table, struct uuid id);
/* The text of a cell in the device's view, or in headquarters' store (device NULL); "" for NULL and
 * "-" for no such record. Static, until the fourth call after. */
const char *pair_cell(struct pair *pair, struct pair_device *device, const char *table,
                      struct uuid id, const char *column);
/* Live rows of a table. */
uint32_t pair_count(struct pair *pair, struct pair_device *device, const char *table);

#endif
