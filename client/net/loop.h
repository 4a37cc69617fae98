/* loop.h - the client's connections: TLS and WebSocket by libwebsockets, one uplink behind each.
 *
 * Model:      a loop serves any number of links in one thread. A link makes one connection for one
 *             uplink: it hands in whole messages, asks for frames while the socket takes them, keeps
 *             the uplink's deadline, and does what the effects say. It decides nothing, and it does
 *             not connect again: that is the caller's business (backoff.h).
 * Reports:    what a caller wants to know (something changed, the link has ended) is collected
 *             while the library runs and told afterwards, from client_loop_run(): a report function
 *             may open and close links and use the uplink.
 * Security:   TLS 1.3, ALPN http/1.1, SNI the host; the only check of the server is the pin
 *             (pin.h). No WebSocket extensions, no redirects, no proxies from the environment.
 * Limits:     a message is at most NET_MESSAGE_MAX bytes; connecting, handshakes included, and each
 *             whole message have their time.
 * Threads:    a loop belongs to one thread. Loops in several threads are independent.
 * Traps:      the host name is looked up while client_link_open() waits; SIGPIPE is ignored from
 *             the first loop on, by libwebsockets. */
#ifndef CLIENT_NET_LOOP_H
#define CLIENT_NET_LOOP_H

#include "client/core/uplink.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"

#define CLIENT_CONNECT_TIMEOUT_MS 10000
#define CLIENT_MESSAGE_TIMEOUT_MS 15000
#define CLIENT_HANG_UP_TIMEOUT_MS 3000
#define CLIENT_LINKS_SMALL        64

struct client_loop;
struct client_link;

struct client_loop_config {
    const struct clock *clock;
    const struct log *log; /* NULL: quiet; the library's own talk has the level debug */
    /* Up to CLIENT_LINKS_SMALL the loop takes memory for so many; above, tables as large as the
     * process may have files, which makes them fast. 0: 8. */
    uint32_t links_max;
    bool nested; /* served by another poll of the same thread: client_loop_fd() */
};

/* ERR_NOMEM, ERR_CRYPTO. info may be NULL. */
enum err client_loop_new(const struct client_loop_config *config, struct client_loop **ret_loop,
                         struct err_info *info);
/* Ends all links without reports, and frees them. Accepts NULL. */
void client_loop_free(struct client_loop *loop);

enum client_woken {
    CLIENT_WOKEN_BY_REPORT, /* at least one report function was called */
    CLIENT_WOKEN_BY_FD,     /* wake_fd is readable (or its other end is closed) */
    CLIENT_WOKEN_BY_TIME,
};

/* Runs until there is something to do for the caller. wake_fd (-1: none) is watched in the same
 * poll as the connections and not read; it must be the same file in each call of a loop, or -1.
 * timeout_ms: -1 for ever, 0 what is there now. ERR_BUG: libwebsockets failed; free the loop. */
enum err client_loop_run(struct client_loop *loop, int wake_fd, int64_t timeout_ms,
                         enum client_woken *ret_woken);

/* A nested loop's, for the poll around it: the loop is to be run (timeout 0) when the descriptor is readable
 * or the time has come (monotonic us; 1: now). */
int client_loop_fd(const struct client_loop *loop);
int64_t client_loop_deadline(const struct client_loop *loop);

struct client_report {
    bool up;             /* the connection stands; authentication is the uplink's business */
    bool changed;        /* the uplink says so */
    bool erase;          /* the uplink says so */
    bool learned;        /* the same; comes with closed */
    bool closed;         /* the link has ended: free it */
    enum err why;        /* where closed: ERR_OK finished; the uplink's code; ERR_PIN, ERR_LINK,
                     ERR_TIMEOUT, ERR_CLOSED, ERR_PROTOCOL, ERR_TOO_LARGE, ERR_NOMEM */
    const char *message; /* where closed, for people; valid during the call */
};

struct client_link_config {
    const char *host;    /* name or address; copied */
    const char *address; /* of the host, numeric: nothing is looked up. NULL: not known; copied */
    uint16_t port;
    const char *path; /* NULL: NET_PATH; copied */
    uint8_t pin[32];
    struct uplink *uplink; /* borrowed until client_link_close() */
    /* May be NULL. Called from client_loop_run(); may call client_link_close() on this link. */
    void (*report)(void *context, struct client_link *link, const struct client_report *report);
    void *context;
    int64_t connect_timeout_ms, message_timeout_ms; /* 0: as above */
};

/* Begins to connect. What goes wrong afterwards, a name without address included, is reported.
 * ERR_INVALID: no host, port or uplink; ERR_NOMEM. */
enum err client_link_open(struct client_loop *loop, const struct client_link_config *config,
                          struct client_link **ret_link);
/* Hangs up (politely, where there is time) and frees the link; nothing is reported any more, and
 * the uplink is told of the end unless it was already. Accepts NULL. */
void client_link_close(struct client_link *link);
/* A local change was committed: tells the uplink and sends at once what it has to say. */
void client_link_wake(struct client_link *link);
bool client_link_is_up(const struct client_link *link);
void *client_link_context(const struct client_link *link);

#endif
