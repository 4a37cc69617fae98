/* hlc.h - hybrid logical clock stamps: 48 bits of Unix ms, 16 bits of counter.
 *
 * Model:      a stamp orders what is concurrent, and nothing rests on it for identity or safety.
 *             The author's stamp is part of the group and never changes; the *effective* stamp is a
 *             pure function of it and of the first server's envelope.
 * Source:     Kulkarni et al., "Logical Physical Clocks", OPODIS 2014; protocol/SPEC.md 2. */
#ifndef PROTOCOL_HLC_H
#define PROTOCOL_HLC_H

#include "common/error.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    HLC_TOLERANCE_MS = 5000,   /* offsets and leads up to this change nothing */
    HLC_LEARN_MAX_MS = 120000, /* how far ahead of the own clock a peer's stamp is believed */
};

struct envelope {
    int64_t
        received_ms;   /* the first server's clock when the group arrived; 0: none (a local view) */
    int64_t offset_ms; /* that server's clock minus the device's, measured in the handshake */
};

uint64_t hlc_make(int64_t unix_ms, uint16_t counter); /* unix_ms is clamped to 0 .. 2^48-1 */
int64_t hlc_ms(uint64_t stamp);
uint16_t hlc_counter(uint64_t stamp);
/* The next stamp of a local event: greater than last, not before the wall clock. A full counter
 * carries into the ms. */
uint64_t hlc_next(uint64_t last, int64_t wall_ms);
/* What a replica keeps as `last` after seeing a stamp: the larger, but never beyond
 * wall_ms + HLC_LEARN_MAX_MS because of a peer. */
uint64_t hlc_learn(uint64_t last, uint64_t seen, int64_t wall_ms);
/* Authored stamp -> effective stamp: shifted by the offset when that is beyond the tolerance; what
 * would still lie more than the tolerance after received_ms becomes the last stamp of received_ms +
 * tolerance (with "becomes received_ms", a lead of 5.1 s would come out before a lead of 4.9 s). The
 * counter is kept otherwise. Never decreasing in `authored` for one envelope; stamps of one author
 * that become equal keep their order by the dot. Without an envelope (received_ms 0) the authored
 * stamp. */
uint64_t hlc_effective(uint64_t authored, const struct envelope *envelope);

#endif
