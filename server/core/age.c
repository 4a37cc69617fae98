/* age.c - how old a position is: where a bucket, or the mark of an origin, was at times that are kept.
 *
 * Model:      a mark says that at this time the number was so far; what lies at or below it was decided by
 *             then, whenever it was written. Marks are made some AGE_MARKS times per horizon, of what has
 *             moved since the last one; of those from before the horizon the latest stays.
 * Stored:     AGE (what u8, number BE8, time in ms BE8) -> how far BE8.
 * Cost:       an index into a table and some twenty rows for each number that is asked for. */
#include "server/core/hub_internal.h"

#include <string.h>

enum { AGE_KEY = 1 + 8 + 8, AGE_STALE_MAX = 64 };

static void age_key(enum age_of what, uint64_t number, int64_t at_ms, uint8_t out[AGE_KEY])
{
    out[0] = (uint8_t)what;
    be64_put(out + 1, number);
    be64_put(out + 9, at_ms > 0 ? (uint64_t)at_ms : 0);
}

struct age_walk {
    int64_t before_ms, last_ms;
    uint64_t then, last;
    int64_t old_ms[AGE_STALE_MAX]; /* marks from before the horizon, the latest at the end */
    uint32_t old_count;
};

static int look_at_mark(void *context, struct bytes key, struct bytes value)
{
    struct age_walk *walk = context;
    if (key.size != AGE_KEY || value.size != 8)
        return ERR_CORRUPT;
    walk->last_ms = (int64_t)be64_get(key.data + 9);
    walk->last = be64_get(value.data);
    if (walk->last_ms > walk->before_ms)
        return 0;
    walk->then = walk->last;
    if (walk->old_count < AGE_STALE_MAX)
        walk->old_ms[walk->old_count++] = walk->last_ms;
    return 0;
}

enum err age_look(struct hub *hub, enum age_of what, uint64_t number, uint64_t now_at,
                  int64_t before_ms, int64_t every_ms, uint64_t *ret_then)
{
    uint8_t from[AGE_KEY], to[AGE_KEY], value[8];
    struct age_walk walk = {.before_ms = before_ms};
    age_key(what, number, 0, from);
    age_key(what, number, INT64_MAX, to);
    enum err e = store_side_scan(hub->store, SIDE_AGE, bytes_of(from, sizeof from),
                                 bytes_of(to, sizeof to), look_at_mark, &walk);
    for (uint32_t i = 0; e == ERR_OK && i + 1 < walk.old_count; i++) {
        age_key(what, number, walk.old_ms[i], from);
        e = store_side_delete(hub->store, SIDE_AGE, bytes_of(from, sizeof from));
    }
    bool due = now_at != walk.last && hub->now.wall.ms >= walk.last_ms + every_ms;
    if (e == ERR_OK && due) {
        age_key(what, number, hub->now.wall.ms, from);
        be64_put(value, now_at);
        e = store_side_put(hub->store, SIDE_AGE, bytes_of(from, sizeof from),
                           bytes_of(value, sizeof value));
    }
    *ret_then = walk.then;
    return e;
}
