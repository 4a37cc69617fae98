#include "protocol/hlc.h"

#define COUNTER_BITS 16
#define COUNTER_MAX  UINT16_MAX
#define MS_MAX       ((INT64_C(1) << 48) - 1)

static int64_t clamp_ms(int64_t ms)
{
    if (ms < 0)
        return 0;
    return ms > MS_MAX ? MS_MAX : ms;
}

uint64_t hlc_make(int64_t unix_ms, uint16_t counter)
{
    return (uint64_t)clamp_ms(unix_ms) << COUNTER_BITS | counter;
}

int64_t hlc_ms(uint64_t stamp)
{
    return (int64_t)(stamp >> COUNTER_BITS);
}

uint16_t hlc_counter(uint64_t stamp)
{
    return (uint16_t)stamp;
}

uint64_t hlc_next(uint64_t last, int64_t wall_ms)
{
    uint64_t now = hlc_make(wall_ms, 0);

    if (now > last)
        return now;
    return last == UINT64_MAX ? last : last + 1;
}

uint64_t hlc_learn(uint64_t last, uint64_t seen, int64_t wall_ms)
{
    int64_t limit_ms = clamp_ms(clamp_ms(wall_ms) + HLC_LEARN_MAX_MS);

    if (hlc_ms(seen) > limit_ms)
        seen = hlc_make(limit_ms, 0);
    return seen > last ? seen : last;
}

/* A clamped stamp takes a constant counter, not its own: (6 s ahead, 9) would otherwise come out
 * above (7 s ahead, 0). Stamps that become equal keep their author's order, because dots break ties. */
uint64_t hlc_effective(uint64_t authored, const struct envelope *envelope)
{
    int64_t offset = envelope->offset_ms, ms = hlc_ms(authored), limit;

    if (envelope->received_ms == 0)
        return authored;
    if (offset > HLC_TOLERANCE_MS || offset < -HLC_TOLERANCE_MS) {
        if (offset > MS_MAX)
            offset = MS_MAX;
        if (offset < -MS_MAX)
            offset = -MS_MAX;
        ms += offset;
        if (ms < 0)
            return 0;
    }
    limit = clamp_ms(clamp_ms(envelope->received_ms) + HLC_TOLERANCE_MS);
    if (ms > limit)
        return hlc_make(limit, COUNTER_MAX);
    return hlc_make(ms, hlc_counter(authored));
}
