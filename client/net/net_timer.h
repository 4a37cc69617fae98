/* net_timer.h - many deadlines, the earliest first: an indexed binary heap.
 *
 * Model:      libwebsockets keeps its timers in a sorted list, where setting one costs O(n); with
 *             10,000 connections, each with deadlines that move at every message, that is most of
 *             the time. Here are all of ours, and the library knows of the earliest one alone.
 * Cost:       set and clear O(log n); set is O(1) when the deadline stays.
 * Ownership:  the caller embeds struct net_timer, zeroed, in what the deadline is about; it must be
 *             cleared before it is freed. */
#ifndef CLIENT_NET_NET_TIMER_H
#define CLIENT_NET_NET_TIMER_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct net_timer {
    void *owner;    /* what it is about, and which of its deadlines: the owner's, not used here */
    int64_t due_us; /* monotonic */
    uint32_t kind;
    uint32_t place; /* in the heap + 1; 0: not set */
};

struct net_timers {
    struct net_timer **heap;
    uint32_t count, capacity;
};

void net_timers_init(struct net_timers *timers);
void net_timers_done(struct net_timers *timers);
/* Room for so many timers in all, so that setting one cannot fail. ERR_NOMEM. */
enum err net_timers_reserve(struct net_timers *timers, uint32_t count);
/* Sets or moves. due_us 0: clears. Room must have been reserved. */
void net_timer_set(struct net_timers *timers, struct net_timer *timer, int64_t due_us);
void net_timer_clear(struct net_timers *timers, struct net_timer *timer);
/* The earliest deadline, 0: none. */
int64_t net_timers_next(const struct net_timers *timers);
/* Takes a timer that is due (which clears it), or NULL. */
struct net_timer *net_timers_take(struct net_timers *timers, int64_t now_us);

#endif
