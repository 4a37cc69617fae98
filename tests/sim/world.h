/* world.h - one simulated run: virtual time, nodes, links, and what is told of them.
 *
 * Model:      a run is a pure function of a plan (plan.h). One heap of events drives everything; each
 *             node and link draws its random numbers from a stream of its own, so that taking one action
 *             out of a plan disturbs the others little.
 * Topology:   a table of nodes with the index of the upstream one; nothing here knows how many tiers
 *             there are.
 * Hash:       every event, and every byte that is delivered, goes into `hash`.
 * Ownership:  world_run() makes and frees all; the kit is shared by the runs of a process. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdio.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/model.h"
#include "tests/lib/seeded_rng.h"
#include "tests/sim/cover.h"
#include "tests/sim/heap.h"
#include "tests/sim/plan.h"

struct history;
struct ledger;
struct link;
struct node;
struct sight;
struct sim_disk;

enum { SIM_NODES_MAX = 80, SIM_MODELS = 3 };

enum event_kind {
    EVENT_ACTION,      /* what: index in the plan */
    EVENT_OPEN,        /* a connection reaches the upper node */
    EVENT_UP,          /* the lower node learns that it stands */
    EVENT_DELIVER,     /* bytes reach `side` */
    EVENT_END,         /* `side` learns that the connection has ended */
    EVENT_LIMIT,       /* the adapter's patience with `side` is over */
    EVENT_TURN,        /* a server takes what has arrived */
    EVENT_TICK,        /* a server's deadline */
    EVENT_UPLINK_TICK, /* a client's deadline */
    EVENT_CONNECT,     /* a client connects */
    EVENT_START,       /* a process starts */
    EVENT_MEND,        /* what: enum mend */
    EVENT_COUNT
};

enum mend { MEND_DISK, MEND_CLOCK };

/* Shared by all runs of a process. */
struct kit {
    struct model *models[SIM_MODELS]; /* each extends the one before */
    struct crypto *crypto;
    struct sim_disk *template[2]; /* an empty store of a device, and of a server */
    struct kit *teams;            /* the same, where the model has teams; NULL in that one itself */
};

struct world {
    const struct kit *kit;
    const struct plan *plan;
    const struct model
        *model; /* the last that headquarters will have: what the oracles read with */
    struct heap heap;
    int64_t now_us;
    struct node *nodes;
    uint32_t node_count, node_capacity;
    struct link **links; /* by number; NULL: gone */
    uint32_t link_count, link_capacity;
    struct ledger *ledger;
    struct sight *sight; /* sight.h; NULL where nobody changes hands */
    struct photos *photos;
    struct history *history; /* history.h; NULL: no group has come yet */
    struct seeded_rng dice;  /* of what belongs to no node and no link */
    uint64_t hash, events;
    uint64_t kinds[EVENT_COUNT];
    uint64_t activity; /* events that were more than a heartbeat */
    uint64_t cover[COVER_COUNT];
    FILE *story;   /* NULL: nobody listens */
    bool settling; /* the faults have stopped */
    bool failed;
    char invariant[48], why[600];
};

/* What a run came to. */
struct outcome {
    bool failed;
    char invariant[48], why[600];
    uint64_t hash, events;
    int64_t simulated_us;
    uint64_t cover[COVER_COUNT];
};

void kit_open(struct kit *kit);
void kit_close(struct kit *kit);

/* Runs the plan. story NULL: silently. */
void world_run(const struct kit *kit, const struct plan *plan, FILE *story, struct outcome *ret);

/* Goes on until nothing happens but heartbeats for `quiet_us`, or limit_us have passed; false: the
 * limit came first. */
bool world_settle(struct world *world, int64_t quiet_us, int64_t limit_us);
/* The next event; false: there is none, or the run has failed. */
bool world_step(struct world *world);

void world_at(struct world *world, int64_t at_us, struct event event);
/* True time in ms since 1970. */
int64_t world_ms(const struct world *world);
/* Into the hash of the trace. */
void world_note(struct world *world, uint64_t a, uint64_t b, uint64_t c);
void world_note_bytes(struct world *world, const void *data, size_t size);
/* A line of the story. */
void say(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An invariant is broken; the first one counts, and ends the run. */
void broken(struct world *world, const char *invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct link *world_link(struct world *world, uint32_t number);

#endif
