/* server_net.h - the server's network: TLS, WebSocket and HTTP by libwebsockets, a control socket,
 * and the loop that drives the hub.
 *
 * Model:      one thread. The library reads what has arrived and hands whole messages to the hub;
 *             after each pass the hub has one turn (one commit for all of them); then its effects
 *             are carried out, and what it has for each peer is written for as long as the sockets
 *             take it. The adapter decides nothing about messages.
 * Speaks:     TLS 1.3 only, ALPN http/1.1; the WebSocket subprotocol NET_SUBPROTOCOL at NET_PATH;
 *             GET /health; nothing else (404). No other upgrade, no extensions, no text frames.
 * Bounds:     connections in all and per address (IPv6: per /64); time to shake hands, for a whole
 *             message and to take what is left when it hangs up; NET_MESSAGE_MAX per message.
 * Memory:     an idle connection costs 4 KiB, and 14 more for its TLS state (./dev bench fan); buffers
 *             for large messages exist while there is one.
 * Sending:    what a peer is to get at once goes out in one TLS record (burst.h); who does not take it
 *             is not asked again before its socket is writable.
 * Control:    a Unix socket of mode 0600: a line of JSON in, hub_admin(), a line of JSON out.
 * Threads:    one per server_net; libwebsockets ignores SIGPIPE for the whole process. */
#ifndef SERVER_NET_SERVER_NET_H
#define SERVER_NET_SERVER_NET_H

#include "server/core/hub.h"

#define SERVER_NET_CONNECTIONS_MAX      10500
#define SERVER_NET_PER_ADDRESS_MAX      256
#define SERVER_NET_HANDSHAKE_TIMEOUT_MS 10000
#define SERVER_NET_MESSAGE_TIMEOUT_MS   15000
#define SERVER_NET_HANG_UP_TIMEOUT_MS   5000
#define SERVER_NET_STOP_TIMEOUT_MS      3000
#define SERVER_NET_REST_MS              30

struct server_net;

/* Another poll in the same thread: a branch's link to the server above it. */
struct server_net_guest {
    int fd;                                /* readable: to be served */
    int64_t (*deadline_us)(void *context); /* monotonic; also then. 0: never, 1: now */
    enum err (*serve)(void *context);      /* other than ERR_OK ends server_net_run() with it */
    void *context;
};

struct server_net_config {
    const char *address;                     /* numeric; NULL or "": all, IPv6 and IPv4 */
    uint16_t port;                           /* 0: the system chooses, server_net_port() tells */
    const char *certificate_path, *key_path; /* PEM; may be the same file */
    const char *control_path;                /* NULL: no control socket */
    int stop_fd;                             /* readable: stop. -1: none */
    const struct clock *clock;
    const struct rng *rng;
    const struct log *log; /* NULL: quiet */
    /* Called when nothing has happened for SERVER_NET_REST_MS since the hub's last turn; NULL: not.
     * What it returns other than ERR_OK ends server_net_run(). */
    enum err (*rest)(void *context);
    void *rest_context;
    const struct server_net_guest *guest; /* NULL: none */
    /* Answers the control socket; NULL: hub_admin(). */
    enum err (*admin)(void *context, struct bytes request, struct hub_now now, struct buf *answer);
    void *admin_context;
    uint32_t connections_max, per_address_max; /* 0: as above */
    int64_t handshake_timeout_ms, message_timeout_ms, hang_up_timeout_ms, stop_timeout_ms; /* 0 */
};

/* Listens. The hub is borrowed until server_net_close(); the config's pointers as well. Raises the
 * number of files that the process may have open, and takes fewer connections if it cannot.
 * ERR_INVALID: no such address, or the certificate and key do not belong together; ERR_NOT_FOUND,
 * ERR_FORBIDDEN: a file, a port; ERR_BUSY: the address or the control socket is in use; ERR_EXISTS:
 * something else is where the control socket should be; ERR_LIMIT: no files; ERR_NOMEM, ERR_IO. */
enum err server_net_open(const struct server_net_config *config, struct hub *hub,
                         struct server_net **ret_net, struct err_info *info);
uint16_t server_net_port(const struct server_net *net);
/* Serves until stop_fd is readable or server_net_stop() was called; then tells the peers, waits for
 * them (stop_timeout_ms), and returns ERR_OK. Another value: the hub's fatal error, or ERR_BUG
 * (libwebsockets failed); nothing more was sent, and the process must stop. */
enum err server_net_run(struct server_net *net);
/* From a signal handler or another thread: makes server_net_run() stop. */
void server_net_stop(struct server_net *net);
/* Ends what is left (the hub sees its peers go) and frees. Before hub_close(). Accepts NULL. */
void server_net_close(struct server_net *net);

struct server_net_stats {
    uint32_t connections, connections_most, control_clients;
    uint64_t accepted, refused, timed_out, turns;
};
void server_net_stats(const struct server_net *net, struct server_net_stats *ret);

/* A descriptor that becomes readable with SIGTERM or SIGINT, which are blocked in the calling
 * thread (and those that it starts) from then on. Closed by the caller. ERR_IO, ERR_LIMIT. */
enum err server_net_stop_signals(int *ret_fd, struct err_info *info);

#endif
