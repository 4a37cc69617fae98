/* link.h - a connection as a byte stream in each direction, with what networks do to it.
 *
 * Model:      messages go as frames with a length before them into a bounded buffer (the sockets' of
 *             both ends and the way between); segments of any size leave it after a delay. A full buffer
 *             holds the sender back. A connection ends for each side by itself: with what is under way
 *             delivered first (a close), at any byte (a cut), or unnoticed (half-open).
 * Sides:      LOWER is who connected, UPPER who accepted. pipes[LOWER] carries what LOWER sends. */
#ifndef TESTS_SIM_LINK_H
#define TESTS_SIM_LINK_H

#include "common/buf.h"
#include "server/core/hub.h"
#include "tests/lib/seeded_rng.h"
#include "tests/sim/world.h"

enum side { LOWER, UPPER };
enum { MESSAGE_US = 15000000 }; /* a message has to come whole within */

/* What kind of network somebody is in. */
struct profile {
    int64_t least_us, most_us; /* delay of a segment */
    uint32_t segment_max;      /* bytes; 0: all that is there */
    uint32_t window;           /* bytes of the buffer */
};

struct pipe {
    struct buf way; /* sent, not delivered */
    size_t way_at;
    struct buf out; /* the frame that is being sent, with its length */
    size_t out_at;
    struct buf in;                  /* received, not a whole frame yet */
    uint64_t passed;                /* bytes delivered */
    uint64_t cut_at;                /* the connection breaks when so many have passed; 0: never */
    bool scheduled, pumping, ended; /* ended: the sender has closed */
    bool silent;                    /* the sender is gone without a word */
    int64_t began_us;   /* when the first byte of a message came that is not whole; 0: none */
    int64_t clogged_us; /* nothing passes before */
    int64_t last_us;    /* the latest delivery planned: a stream does not overtake itself */
};

struct link {
    struct world *world;
    uint32_t number;
    uint16_t ends[2];  /* nodes */
    uint32_t lives[2]; /* their processes */
    bool open[2], closing[2];
    bool attached; /* the upper node has accepted */
    struct pipe pipes[2];
    struct profile profile;
    struct seeded_rng dice;
    struct peer *peer; /* of the upper node's hub */
    enum err why;      /* of a closing by the lower side */
    uint64_t scopes;   /* oracle: buckets that its user has seen in this connection's time */
    bool welcomed;
    uint32_t pieces;   /* small segments until now */
    uint16_t relayed;  /* of a branch: the device whose pushes it passes on; 0: none yet */
    int32_t asked;     /* pushes that came less answers that went */
    size_t feed_bytes; /* queues.c: before this turn, if too many wait; else SIZE_MAX */
};

/* LOWER connects to UPPER: EVENT_OPEN follows. */
struct link *link_new(struct world *world, uint16_t lower, uint16_t upper);
void link_free(struct link *link);
/* Takes frames from the side's node as long as there is room. */
void link_pump(struct link *link, enum side side);
/* The side sends what it has, then closes; its patience is bounded. */
void link_finish(struct link *link, enum side side);
/* The side closes now. silently: the other one is not told. The side's node has let go of it already. */
void link_close(struct link *link, enum side side, bool silently);
/* The network breaks it; each side learns unless said otherwise. */
void link_cut(struct link *link, bool lower_learns, bool upper_learns);
void link_deliver(struct link *link, enum side to);
/* Puts bytes between the side's frames, as they are (with their length). false: not now. */
bool link_inject(struct link *link, enum side side, struct bytes frame);
/* Nothing passes in the direction from `side` before that time. */
void link_clog(struct link *link, enum side side, int64_t until_us);

#endif
