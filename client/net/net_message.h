/* net_message.h - whole messages over a libwebsockets WebSocket: taking them together, and sending
 * them in pieces that the socket accepts.
 *
 * Receiving:  a message that arrives in one piece is passed on where it stands, without a copy and
 *             without memory of the connection; only what comes in pieces is gathered, up to
 *             NET_MESSAGE_MAX, and the memory is given back with the message.
 * Sending:    a message is written as WebSocket fragments that fill one TLS record each, for as long
 *             as the socket takes them. The library would copy what does not fit; this way at most
 *             one fragment is copied, and a slow reader costs one message.
 * Ownership:  the caller embeds the structs; done accepts zeroed ones. */
#ifndef CLIENT_NET_NET_MESSAGE_H
#define CLIENT_NET_NET_MESSAGE_H

#include "common/buf.h"
#include "protocol/frame.h"

#include <libwebsockets.h>

#define NET_SUBPROTOCOL "satchel.v1"
#define NET_PATH        "/satchel"

enum {
    NET_MESSAGE_MAX = FRAME_MAX + FRAME_HEADER_SIZE,
    NET_FRAGMENT_MAX = 16384 - 16, /* with its WebSocket header within one TLS record */
    NET_RECEIVE_SIZE = 1024,       /* per connection, at libwebsockets */
    NET_SERVICE_SIZE = 16384 + 1024,
};

struct net_receiver {
    uint8_t *data;
    uint32_t size, capacity;
    bool within; /* a message has begun and not ended */
};

/* Takes what a RECEIVE callback brought, of a message of at most max bytes (NET_MESSAGE_MAX or less).
 * *ret_whole: a message is complete, *ret_message is valid until the next call. ERR_PROTOCOL: text;
 * ERR_TOO_LARGE: is, or says that it will be; ERR_NOMEM. */
enum err net_receive(struct net_receiver *receiver, struct lws *wsi, size_t max, const void *data,
                     size_t size, bool *ret_whole, struct bytes *ret_message);
/* After the message was used: gives back large memory. */
void net_receiver_trim(struct net_receiver *receiver);
void net_receiver_done(struct net_receiver *receiver);

/* Where fragments are put together with their header; one for all connections of a thread. */
struct net_stage {
    uint8_t bytes[LWS_PRE + NET_FRAGMENT_MAX];
};

/* What is left of a message that the socket did not take whole. */
struct net_sender {
    struct buf rest;
    size_t sent;  /* of rest */
    bool started; /* the rest continues a message */
};

enum net_sent { NET_SENT_ALL, NET_SENT_PART, NET_SENT_FAILED };
/* Fills out (empty before) with the next message, or leaves it empty when there is none. */
typedef void net_next_message(void *context, struct buf *out);
/* Sends the rest of the last message, then what `next` gives, until it has no more (ALL) or the
 * socket takes no more or `budget` bytes were sent (PART: ask for a writable callback). FAILED: the
 * connection is dead, or no memory. `frame` is where next writes: one for all connections. */
enum net_sent net_pump(struct net_sender *sender, struct net_stage *stage, struct buf *frame,
                       struct lws *wsi, size_t budget, net_next_message *next, void *context);
/* Keeps the message in frame, of which `sent` bytes went out, for the next net_pump(). ERR_NOMEM. */
enum err net_sender_keep(struct net_sender *sender, const struct buf *frame, size_t sent);
void net_sender_done(struct net_sender *sender);

#endif
