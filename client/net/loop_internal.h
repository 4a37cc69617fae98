/* loop_internal.h - what loop.c and link.c share. */
#ifndef CLIENT_NET_LOOP_INTERNAL_H
#define CLIENT_NET_LOOP_INTERNAL_H

#include "client/net/loop.h"
#include "client/net/net_message.h"
#include "client/net/net_poll.h"
#include "client/net/net_timer.h"

#include <openssl/ssl.h>

enum {
    LINK_SEND_BUDGET = 256 * 1024, /* bytes at a time, then the others have their turn */
    LINK_MESSAGE_MAX = 240,
};

/* What stands behind a connection at libwebsockets: the first member of both. */
enum loop_owner { LOOP_OWNER_LINK, LOOP_OWNER_WAKE };

struct link_list {
    struct client_link *first, *last;
};

struct link_place {
    struct client_link *before, *after;
    bool in;
};

enum link_list_kind { LINK_LIST_ALL, LINK_LIST_READY, LINK_LIST_REPORTS, LINK_LIST_COUNT };

struct client_loop {
    enum loop_owner owner; /* WAKE: the loop stands behind its wake descriptor */
    struct lws_context *lws;
    struct lws_vhost *vhost;
    SSL_CTX *tls;
    const struct clock *clock;
    const struct log *log;
    struct net_timers timers;
    uint32_t link_count;
    struct net_poll poll;
    struct link_list lists[LINK_LIST_COUNT];
    struct lws *wake;
    int wake_fd;
    bool woken;
    struct net_stage stage;
    struct buf frame; /* what an uplink just gave */
};

enum link_state { LINK_CONNECTING, LINK_UP, LINK_CLOSED };
enum link_timer { LINK_TIMER_UPLINK, LINK_TIMER_LIMIT, LINK_TIMER_COUNT };

/* Freed when the caller has released it and libwebsockets has let go of it. */
struct client_link {
    enum loop_owner owner;
    struct client_loop *loop;
    struct link_place places[LINK_LIST_COUNT];
    struct lws *wsi;
    enum link_state state;
    bool released;
    bool pinned;     /* the server's key was checked */
    bool want_write; /* the uplink has frames */
    bool asked_writable, unsettled;
    bool hanging_up; /* send what is there, then end, with `why` */
    bool report_up, report_changed, report_erase, report_learned, report_closed;
    enum err why;
    char message[LINK_MESSAGE_MAX];
    struct client_link_config config; /* its strings are not valid, these are: */
    char *host, *address, *path;
    struct net_timer timers[LINK_TIMER_COUNT]; /* LIMIT: to connect, for a message, to hang up */
    struct net_receiver in;
    struct net_sender out;
};

void link_list_add(struct client_link *link, enum link_list_kind kind);
void link_list_remove(struct client_link *link, enum link_list_kind kind);
struct client_link *link_list_take(struct client_loop *loop, enum link_list_kind kind);

struct now loop_now(const struct client_loop *loop);
/* Sends what there is to send; ends the link when it is hanging up. */
void link_pump(struct client_link *link);
void link_tick(struct client_link *link, enum link_timer which);
/* Tells the caller what has been collected. */
void link_report(struct client_link *link);
void link_free(struct client_link *link);
/* What libwebsockets calls for a WebSocket of ours. */
int link_callback(struct client_link *link, struct lws *wsi, enum lws_callback_reasons reason,
                  void *in, size_t size);

#endif
