/* fan.h - satchel_bench_fan: thousands of connections to a server in one process, which speak the protocol
 * and install nothing.
 *
 * Model:      one thread, one epoll. A link is TCP, TLS (unless plain) and WebSocket; a device on it enrols,
 *             proves its key, subscribes, answers heartbeats, and notes when a frame with the awaited row
 *             has come. What a program of the product does beyond that would be measured here instead of
 *             the server.
 * Errors:     every failure ends the program and says why.
 * Source:     SPEC.md 7, 8; RFC 6455. */
#ifndef BENCH_FAN_H
#define BENCH_FAN_H

#include "common/crypto.h"
#include "common/rng.h"
#include "protocol/frame.h"

#include <openssl/ssl.h>

void die(const char *what, const char *why) __attribute__((noreturn));
double now_ms(void); /* monotonic */

/* ---- link.c ---- */

enum link_state { LINK_NONE, LINK_CONNECTING, LINK_TLS, LINK_UPGRADE, LINK_OPEN };

struct link {
    enum link_state state;
    int fd;
    SSL *tls;           /* NULL: plain */
    bool stalled;       /* reads no more */
    struct buf in;      /* the begin of a WebSocket frame */
    struct buf message; /* fragments of a message */
};

struct net {
    int epoll;
    SSL_CTX *tls; /* NULL: all plain */
    uint16_t port;
    uint64_t bytes_in;
};

void net_init(struct net *net, uint16_t port, bool plain);
/* Serves what has arrived, waiting up to timeout_ms for it. line: called when stdin has something. */
void net_serve(struct net *net, int timeout_ms, void (*line)(void));
void link_open(struct net *net, struct link *link);
void link_send(struct link *link, struct bytes message);
/* From now on nothing is read, and the kernel takes little. */
void link_stall(struct net *net, struct link *link);

/* device.c; the link is the first member of a device. */
void link_is_open(struct link *link);
void link_received(struct link *link, struct bytes message);

/* ---- device.c ---- */

struct device {
    struct link link;
    uint8_t code[16], seed[32], nonce[32];
    struct uuid id; /* nil before it is enrolled */
    uint64_t origin;
    size_t page_bytes; /* since the last credit */
    bool open, live;
    bool row, seen; /* of what is awaited: in a page; and its checkpoint came */
    double seen_ms;
};

/* What all devices share. */
struct fan {
    struct net net;
    struct device *devices;
    unsigned count, connected, opened, live, stalled, seen;
    bool have_heads;               /* from the first device that subscribed */
    struct bucket_position *heads; /* malloc */
    uint32_t head_count;
    const struct model *model;
    struct crypto *crypto;
    struct rng rng;
    struct inflater *inflater;
    struct buf payload, out, scratch;
    struct arena arena;
    /* the awaited change, and the frames that brought it to the first */
    bool watching;
    char value[96];
    struct buf page, checkpoint;
};
extern struct fan fan;

/* Begins to wait for a row with this text in any of its columns. */
void device_watch(const char *value);
void device_subscribe(struct device *device);

#endif
