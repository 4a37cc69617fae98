/* burst.h - all that a peer is to get now in one TLS record and one packet.
 *
 * Model:      a commit gives each live subscriber a page and a checkpoint, some hundred bytes, and most of
 *             what sending them costs is paid per write: a record, a system call, a packet, a wake-up of
 *             the other side. libwebsockets writes each message apart; here whole messages are put
 *             together, with their WebSocket headers, and written behind its back, whenever it has
 *             nothing of its own to write first.
 * Invariants: OpenSSL wants a write that the socket did not take to be repeated before any other, and the
 *             library may have one (a pong, a goodbye). So what the socket did not take is kept below TLS,
 *             in a BIO on top of the socket's: for OpenSSL the write is done.
 * Bounds:     one record per peer is kept; nothing is written while there is something.
 * Ownership:  the BIO belongs to the SSL, and is freed with it. */
#ifndef SERVER_NET_BURST_H
#define SERVER_NET_BURST_H

#include "client/net/net_message.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

/* The method of the BIO, once per process or server. NULL: no memory. BIO_meth_free(). */
BIO_METHOD *burst_method_new(void);
/* Once the WebSocket is open. NULL: no memory, or no TLS; then there are no bursts. */
BIO *burst_attach(const BIO_METHOD *method, SSL *tls);

struct burst {
    BIO *bio;
    SSL *tls;
    struct buf *frame; /* where next writes */
    net_next_message *next;
    void *context;
};

/* Sends what was kept, then what `next` gives, as far as the messages are small. ALL: there is no more, or
 * *ret_left. PART: the socket takes no more, or budget bytes were sent. FAILED: the connection is dead.
 * *ret_left: `frame` holds a message that is still to be sent, too large for a burst or too late. */
enum net_sent burst_send(const struct burst *burst, struct net_stage *stage, size_t budget,
                         bool *ret_left);

#endif
