#include "client/net/net_poll.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS_AT_ONCE = 256,
    SWEEP_SHARE = 4,
    /* The library reads one TLS record of a connection at a time; who waits here commits what came,
     * so it is worth taking what more there is, for a while. */
    ROUNDS_MAX = 64,
    ROUNDS_MAX_US = 1000,
};

#define CONNECTING ((uint64_t)1 << 32) /* beside the descriptor */
#define FOREIGN    ((uint64_t)1 << 33)

enum err net_poll_open(struct net_poll *poll, bool with_epoll)
{
    *poll = (struct net_poll){.fd = -1};
    if (with_epoll) {
        poll->fd = epoll_create1(EPOLL_CLOEXEC);
        return poll->fd >= 0 ? ERR_OK : ERR_LIMIT;
    }
    return ERR_OK;
}

void net_poll_close(struct net_poll *poll)
{
    lws_sul_cancel(&poll->alarm);
    if (poll->fd >= 0) {
        close(poll->fd);
        poll->fd = -1;
    }
}

static int change(struct net_poll *poll, int operation, int fd, uint32_t events, uint64_t flags)
{
    struct epoll_event event = {.events = events, .data = {.u64 = (uint32_t)fd | flags}};
    return epoll_ctl(poll->fd, operation, fd, &event);
}

static enum err add(struct net_poll *poll, int fd, uint64_t flags)
{
    if (poll->fd < 0 || change(poll, EPOLL_CTL_ADD, fd, EPOLLIN, flags) == 0) {
        return ERR_OK;
    }
    return errno == ENOMEM ? ERR_NOMEM : ERR_LIMIT;
}

enum err net_poll_add(struct net_poll *poll, int fd)
{
    return add(poll, fd, 0);
}

enum err net_poll_add_foreign(struct net_poll *poll, int fd)
{
    return add(poll, fd, FOREIGN);
}

void net_poll_add_connecting(struct net_poll *poll, int fd)
{
    if (poll->fd >= 0) {
        /* If this fails, the sweeps serve it. */
        (void)change(poll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, CONNECTING);
    }
}

enum err net_poll_connected(struct net_poll *poll, int fd)
{
    if (poll->fd < 0 || change(poll, EPOLL_CTL_MOD, fd, EPOLLIN, 0) == 0) {
        return ERR_OK;
    }
    return net_poll_add(poll, fd); /* another one than it was */
}

void net_poll_want_write(struct net_poll *poll, int fd, bool want)
{
    if (poll->fd >= 0) {
        /* If this fails, a sweep finds the descriptor writable. */
        (void)change(poll, EPOLL_CTL_MOD, fd, want ? EPOLLIN | EPOLLOUT : EPOLLIN, 0);
    }
}

static void alarm_rings(lws_sorted_usec_list_t *alarm)
{
    /* The library looks at its timers before it waits, and again when it is called the next time:
     * if this one is due so soon, it would now wait for the others. */
    struct net_poll *poll =
        (struct net_poll *)(void *)((char *)alarm - offsetof(struct net_poll, alarm));
    lws_cancel_service(poll->lws);
}

/* The library's own poll, until due_us (0: no end). */
static enum err sweep(struct net_poll *poll, struct lws_context *lws, const struct clock *clock,
                      int64_t due_us, bool at_once)
{
    int64_t before_us = clock_mono(clock).us;
    poll->lws = lws;
    if (!at_once && due_us != 0 && due_us > before_us) {
        lws_sul_schedule(lws, 0, &poll->alarm, alarm_rings, due_us - before_us);
    } else {
        lws_sul_cancel(&poll->alarm);
        at_once |= due_us != 0;
    }
    int result = lws_service(lws, at_once ? -1 : 0);
    poll->sweep_us = clock_mono(clock).us;
    poll->sweep_cost_us = poll->sweep_us - before_us;
    return result < 0 ? ERR_BUG : ERR_OK;
}

static void serve(struct lws_context *lws, const struct epoll_event *event)
{
    uint32_t found = event->events;
    struct lws_pollfd polled = {
        .fd = (int)(uint32_t)event->data.u64,
        .events = POLLIN | POLLOUT,
        .revents = (short)((found & EPOLLIN ? POLLIN : 0) | (found & EPOLLOUT ? POLLOUT : 0) |
                           (found & EPOLLHUP ? POLLHUP : 0) | (found & EPOLLERR ? POLLERR : 0)),
    };
    if (lws_service_fd(lws, &polled) == 0 && (event->data.u64 & CONNECTING) != 0) {
        polled.revents = POLLOUT;
        (void)lws_service_fd(lws, &polled);
    }
}

int64_t net_poll_due(const struct net_poll *poll)
{
    int64_t pause_us = (int64_t)NET_SWEEP_MS * 1000;
    if (poll->unsettled > 0) {
        pause_us = SWEEP_SHARE * poll->sweep_cost_us;
        pause_us = pause_us > NET_SWEEP_SHORT_US ? pause_us : NET_SWEEP_SHORT_US;
    }
    return poll->sweep_us + pause_us;
}

enum err net_poll_wait(struct net_poll *poll, struct lws_context *lws, const struct clock *clock,
                       int64_t due_us)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    if (poll->fd < 0) {
        return sweep(poll, lws, clock, due_us, false);
    }
    int64_t now_us = clock_mono(clock).us;
    int64_t sweep_at_us = net_poll_due(poll);
    int64_t until_us = due_us != 0 && due_us < sweep_at_us ? due_us : sweep_at_us;
    int64_t wait_ms = until_us > now_us ? (until_us - now_us + 999) / 1000 : 0;
    int count = epoll_wait(poll->fd, events, EVENTS_AT_ONCE, (int)wait_ms);
    if (count < 0 && errno != EINTR) {
        return ERR_BUG;
    }
    int64_t began_us = clock_mono(clock).us;
    now_us = began_us;
    for (int round = 1; count > 0; round++) {
        for (int i = 0; i < count; i++) {
            if ((events[i].data.u64 & FOREIGN) != 0) {
                poll->foreign = true;
            } else {
                serve(lws, &events[i]);
            }
        }
        now_us = clock_mono(clock).us;
        count = round < ROUNDS_MAX && now_us - began_us < ROUNDS_MAX_US && !poll->foreign
                    ? epoll_wait(poll->fd, events, EVENTS_AT_ONCE, 0)
                    : 0;
    }
    return now_us < sweep_at_us ? ERR_OK : sweep(poll, lws, clock, 0, true);
}
