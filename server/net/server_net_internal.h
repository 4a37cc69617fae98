/* server_net_internal.h - what the files of server/net share. */
#ifndef SERVER_NET_SERVER_NET_INTERNAL_H
#define SERVER_NET_SERVER_NET_INTERNAL_H

#include "client/net/net_message.h"
#include "client/net/net_poll.h"
#include "client/net/net_timer.h"
#include "common/hash_map.h"
#include "server/net/burst.h"
#include "server/net/server_net.h"

#include <openssl/ssl.h>

enum {
    SEND_BUDGET = 256 * 1024, /* bytes for one peer, then the others have their turn */
    ADDRESS_SIZE = 16,
    CONTROL_CLIENTS_MAX = 8,
    CONTROL_LINE_MAX = 64 * 1024,
    CONTROL_ANSWER_MAX = 64 * 1024 * 1024,
    CONTROL_TIMEOUT_MS = 30000,
    CONTROL_PATH_MAX = 107, /* sockaddr_un */
};

/* What stands behind a connection at libwebsockets: the first member of each. */
enum net_owner {
    NET_OWNER_CONNECTION,
    NET_OWNER_LISTENER,
    NET_OWNER_STOP,
    NET_OWNER_WAKER, /* server_net_stop() */
    NET_OWNER_CONTROL,
    NET_OWNER_CONTROL_CLIENT,
};

/* A file in the library's poll that we read and write ourselves. wsi NULL: not there. */
struct net_file {
    enum net_owner owner;
    struct server_net *net;
    struct lws *wsi;
    int fd; /* the library's, which closes it */
};

enum connection_state {
    CONNECTION_NEW,    /* TLS, HTTP */
    CONNECTION_UP,     /* has a peer */
    CONNECTION_ENDING, /* no peer any more; the library closes */
};

struct connection {
    enum net_owner owner;
    enum connection_state state;
    struct server_net *net;
    struct lws *wsi;
    struct peer *peer;
    struct connection *before, *after;             /* of all */
    struct connection *ready_before, *ready_after; /* of those to be pumped */
    struct net_timer limit;                        /* handshake, message, hanging up */
    struct net_receiver in;
    struct net_sender out;
    BIO *burst; /* NULL: without */
    uint8_t address[ADDRESS_SIZE];
    enum err why; /* of hanging up */
    bool ready, hanging_up, close_now;
    bool asked_writable;
    bool unsettled; /* shakes hands or ends: see net_poll.h */
};

struct control_client {
    struct net_file file;
    struct net_timer limit;
    struct buf line, answer;
    size_t answered;
    bool last;      /* close when the answer is out */
    bool unsettled; /* the answer waits for the socket */
};

enum timer_kind { TIMER_CONNECTION, TIMER_CONTROL_CLIENT, TIMER_LISTENER, TIMER_STOP, TIMER_REST };

struct server_net {
    struct server_net_config config; /* zeros replaced */
    struct hub *hub;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    SSL_CTX *client_tls;
    BIO_METHOD *burst_method;
    struct net_file listener, stop, waker, control;
    struct control_client clients[CONTROL_CLIENTS_MAX];
    uint64_t control_device, control_inode; /* of the socket that we made */
    uint16_t port;
    struct connection *connections, *ready_first, *ready_last;
    struct connection *adopting; /* not yet seen by the library's callbacks to the end */
    struct hash_map per_address;
    struct net_timers timers;
    struct net_timer listener_pause, stop_limit, rest;
    int64_t turn_not_before_us; /* after an error that may pass */
    int64_t ticked_us;          /* the hub's last tick */
    struct net_poll poll;
    struct net_stage stage;
    struct buf frame;
    struct hub_now pumping; /* when the connection that is sent to had its turn */
    struct server_net_stats stats;
    bool stopping, stop_over, resting, tls_ready;
    int waker_fd;
    bool stop_asked;
};

struct hub_now net_now(const struct server_net *net);
int64_t net_deadline_us(const struct server_net *net, int64_t ms);
/* Whether something needs the library's own pass; *unsettled is the owner's flag. */
void net_settle(struct server_net *net, bool *unsettled, bool settled);
/* Puts a descriptor into the library's poll; closes it on failure. ERR_LIMIT. */
enum err net_file_adopt(struct server_net *net, struct net_file *file, enum net_owner owner,
                        int fd);
/* From outside of the library's callbacks. Accepts a file that is not there. */
void net_file_close(struct net_file *file);

/* listen.c */
enum err listen_open(struct server_net *net, struct err_info *info);
void listen_accept(struct server_net *net);

/* connection.c */
void connection_accept(struct server_net *net, int fd, const uint8_t address[ADDRESS_SIZE]);
int connection_callback(struct connection *connection, struct lws *wsi,
                        enum lws_callback_reasons reason, void *in, size_t size);
void connection_tick(struct connection *connection);
/* Carries out what the hub wants done. */
void connection_effects(struct server_net *net);
/* Sends to all that are ready. */
void connection_pump_all(struct server_net *net);
void connection_stop_all(struct server_net *net);
void connection_free(struct connection *connection);

/* http.c */
int http_answer(struct lws *wsi);
/* 0: a WebSocket of ours. Else it has been answered, and the connection is to be closed. */
int http_check_upgrade(struct lws *wsi);

/* control.c */
enum err control_open(struct server_net *net, struct err_info *info);
void control_accept(struct server_net *net);
/* What the library wants of a client; -1: close it. */
int control_callback(struct control_client *client, enum lws_callback_reasons reason);
void control_close(struct server_net *net);

#endif
