/* net_poll.h - waiting on thousands of connections, of which few have something.
 *
 * Model:      libwebsockets polls all its descriptors each time, which at 1,000 connections costs
 *             more than a small message does. So connections that are settled are watched by an
 *             epoll of ours, and the library is told which of them to serve (lws_service_fd).
 *             Everything else is left to the library's own pass over all descriptors (a sweep): its
 *             timers, handshakes, and the ends of connections. A sweep comes every NET_SWEEP_MS;
 *             while something is unsettled, as soon as the sweeps take a fifth of the time at most.
 * Invariants: a sweep is what the library would do without us, so whatever is missed here is late,
 *             never lost.
 * Cost:       wait O(descriptors that have something).
 * Ownership:  the caller embeds the struct; descriptors are borrowed, and leave by being closed. */
#ifndef CLIENT_NET_NET_POLL_H
#define CLIENT_NET_NET_POLL_H

#include "common/clock.h"
#include "common/error.h"

#include <libwebsockets.h>
#include <stdbool.h>
#include <stdint.h>

#define NET_SWEEP_MS       250
#define NET_SWEEP_SHORT_US 1000

struct net_poll {
    int fd;                /* epoll; -1: none, each wait is a sweep that waits */
    int64_t sweep_us;      /* when the last sweep ended */
    int64_t sweep_cost_us; /* how long it took */
    uint32_t unsettled;    /* what needs sweeps soon: the owner counts */
    bool foreign; /* a foreign descriptor was readable: whoever serves it takes this back */
    lws_sorted_usec_list_t alarm;
    struct lws_context *lws; /* the alarm's */
};

/* with_epoll false: for few connections the library's poll is as good. ERR_LIMIT. */
enum err net_poll_open(struct net_poll *poll, bool with_epoll);
void net_poll_close(struct net_poll *poll);
/* Watches a descriptor of a connection at the library. ERR_LIMIT, ERR_NOMEM. */
enum err net_poll_add(struct net_poll *poll, int fd);
/* The same for one that is connecting, where only the library knows what it waits for: it is served
 * at every change, and once more as writable. Until net_poll_connected(); sweeps are needed too,
 * because the library may go on with another descriptor. */
void net_poll_add_connecting(struct net_poll *poll, int fd);
/* ERR_LIMIT, ERR_NOMEM. */
enum err net_poll_connected(struct net_poll *poll, int fd);
/* Besides lws_callback_on_writable(), and once more with false when it is. */
void net_poll_want_write(struct net_poll *poll, int fd, bool want);
/* Watches a descriptor that is not at the library; see `foreign`. With an epoll only. ERR_LIMIT, ERR_NOMEM. */
enum err net_poll_add_foreign(struct net_poll *poll, int fd);
/* Monotonic us of the next sweep, which net_poll_wait() is to be called for. With an epoll. */
int64_t net_poll_due(const struct net_poll *poll);
/* Serves what has arrived, else waits until something does or due_us (0: no end). ERR_BUG: the
 * library failed. */
enum err net_poll_wait(struct net_poll *poll, struct lws_context *lws, const struct clock *clock,
                       int64_t due_us);

#endif
