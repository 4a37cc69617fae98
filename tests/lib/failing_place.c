#include "tests/lib/failing_place.h"

#include <stddef.h>
#include <stdlib.h>

enum { PLACES = 1 << 16 };

static uint64_t places[PLACES]; /* hashes of those that have failed, 0: free */
static _Thread_local enum place_kind wanted;
static _Thread_local bool paused;
static uint64_t failed_at, story;
static bool coarse;

static uint64_t mix(uint64_t hash, uint64_t with)
{
    hash = (hash ^ with) * 0x9E3779B97F4A7C15ULL;
    return hash ^ hash >> 29;
}

static bool is_new(uint64_t hash)
{
    for (uint64_t i = hash >> 20;; i++) {
        uint64_t *slot = &places[i % PLACES];
        if (*slot == hash)
            return false;
        if (*slot == 0) {
            *slot = hash;
            return true;
        }
    }
}

bool failing_place_looks_for(enum place_kind kind)
{
    return wanted == kind && !paused;
}

bool failing_place_now(enum place_kind kind, unsigned variant, const void *from, const void *frame)
{
    if (wanted != kind || paused)
        return false;
    uint64_t way = coarse ? 0 : (uint64_t)(uintptr_t)frame;
    uint64_t hash = mix(mix((uint64_t)(uintptr_t)from, way), variant + (story << 8)) | 1;
    if (!is_new(hash))
        return false;
    failed_at = hash;
    wanted = PLACE_NONE;
    return true;
}

uint64_t failing_place_number(void)
{
    return failed_at >> 7;
}

void failing_place_pause(bool pause)
{
    paused = pause;
}

void failing_place_story(void)
{
    story += getenv("SATCHEL_EACH_STORY") != NULL;
}

void failing_place_start(enum place_kind kind)
{
    coarse = getenv("SATCHEL_SLOW_TOOL") != NULL;
    failed_at = 0;
    wanted = kind;
}

bool failing_place_stop(void)
{
    wanted = PLACE_NONE;
    return failed_at != 0;
}
