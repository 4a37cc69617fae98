#include "client/net/net_timer.h"

#include <assert.h>
#include <stdlib.h>

#define CAPACITY_FIRST 16u

void net_timers_init(struct net_timers *timers)
{
    *timers = (struct net_timers){0};
}

void net_timers_done(struct net_timers *timers)
{
    for (uint32_t i = 0; i < timers->count; i++) {
        timers->heap[i]->place = 0;
    }
    free(timers->heap);
    *timers = (struct net_timers){0};
}

enum err net_timers_reserve(struct net_timers *timers, uint32_t count)
{
    uint32_t capacity = timers->capacity ? timers->capacity : CAPACITY_FIRST;
    while (capacity < count && capacity < UINT32_MAX / 2) {
        capacity *= 2;
    }
    if (capacity == timers->capacity) {
        return ERR_OK;
    }
    struct net_timer **heap = realloc(timers->heap, capacity * sizeof(struct net_timer *));
    if (!heap) {
        return ERR_NOMEM;
    }
    timers->heap = heap;
    timers->capacity = capacity;
    return ERR_OK;
}

static void put(struct net_timers *timers, uint32_t at, struct net_timer *timer)
{
    timers->heap[at] = timer;
    timer->place = at + 1;
}

static void sift_up(struct net_timers *timers, uint32_t at)
{
    struct net_timer *timer = timers->heap[at];
    while (at > 0 && timers->heap[(at - 1) / 2]->due_us > timer->due_us) {
        put(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(timers, at, timer);
}

static void sift_down(struct net_timers *timers, uint32_t at)
{
    struct net_timer *timer = timers->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < timers->count &&
            timers->heap[child + 1]->due_us < timers->heap[child]->due_us) {
            child++;
        }
        if (child >= timers->count || timers->heap[child]->due_us >= timer->due_us) {
            break;
        }
        put(timers, at, timers->heap[child]);
        at = child;
    }
    put(timers, at, timer);
}

void net_timer_set(struct net_timers *timers, struct net_timer *timer, int64_t due_us)
{
    if (due_us == 0) {
        net_timer_clear(timers, timer);
        return;
    }
    if (timer->place != 0 && timer->due_us == due_us) {
        return;
    }
    if (timer->place == 0) {
        assert(timers->count < timers->capacity);
        timer->due_us = due_us;
        put(timers, timers->count++, timer);
        sift_up(timers, timer->place - 1);
    } else if (due_us < timer->due_us) {
        timer->due_us = due_us;
        sift_up(timers, timer->place - 1);
    } else {
        timer->due_us = due_us;
        sift_down(timers, timer->place - 1);
    }
}

void net_timer_clear(struct net_timers *timers, struct net_timer *timer)
{
    if (timer->place == 0) {
        return;
    }
    uint32_t at = timer->place - 1;
    struct net_timer *moved = timers->heap[--timers->count];
    timer->place = 0;
    if (moved != timer) {
        put(timers, at, moved);
        sift_up(timers, at);
        sift_down(timers, moved->place - 1);
    }
}

int64_t net_timers_next(const struct net_timers *timers)
{
    return timers->count > 0 ? timers->heap[0]->due_us : 0;
}

struct net_timer *net_timers_take(struct net_timers *timers, int64_t now_us)
{
    if (timers->count == 0 || timers->heap[0]->due_us > now_us) {
        return NULL;
    }
    struct net_timer *timer = timers->heap[0];
    net_timer_clear(timers, timer);
    return timer;
}
