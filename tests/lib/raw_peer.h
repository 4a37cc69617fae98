/* raw_peer.h - the other end of a connection, byte by byte: TLS and WebSocket without
 * libwebsockets, so that tests can send what no honest peer would. Blocking, with a timeout of
 * RAW_TIMEOUT_MS on everything. */
#ifndef TESTS_LIB_RAW_PEER_H
#define TESTS_LIB_RAW_PEER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RAW_TIMEOUT_MS 5000

enum {
    RAW_CONTINUATION = 0,
    RAW_TEXT = 1,
    RAW_BINARY = 2,
    RAW_CLOSE = 8,
    RAW_PING = 9,
    RAW_PONG = 10,
    RAW_FIN = 0x80
};

struct raw_peer {
    int fd;
    SSL_CTX *context;
    SSL *tls;       /* NULL: plain */
    bool is_server; /* masks nothing */
};

/* As a client, to 127.0.0.1. False: refused. */
bool raw_connect(struct raw_peer *peer, uint16_t port);
/* max_version 0: any. False: the handshake failed. */
bool raw_start_tls(struct raw_peer *peer, int max_version);

/* As a server: a listening socket on 127.0.0.1 (the port goes to ret_port), and taking one
 * connection of it; certificate_path holds the key too; max_version 0: any. */
int raw_listen(uint16_t *ret_port);
bool raw_accept(struct raw_peer *peer, int listener, const char *certificate_path, int max_version);
/* Reads the request into text, for which there is room for `size` bytes with the terminator. */
bool raw_read_head(struct raw_peer *peer, char *text, size_t size);
/* Answers an upgrade request (head) with 101, the right key and these further header lines. */
bool raw_accept_upgrade(struct raw_peer *peer, const char *head, const char *headers);

bool raw_send(struct raw_peer *peer, const void *data, size_t size);
bool raw_send_text(struct raw_peer *peer, const char *text);
/* Bytes read; 0: the other side has ended, -1: timed out or broken. */
ssize_t raw_receive(struct raw_peer *peer, void *data, size_t size);
/* Whether the other side ends the connection (what it sends before is skipped). */
bool raw_sees_end(struct raw_peer *peer);

/* The usual upgrade, with further header lines or ""; the status code of the answer, whose head goes
 * to text unless that is NULL; -1: none came. */
int raw_upgrade(struct raw_peer *peer, const char *path, const char *headers, char *text,
                size_t size);
/* Connects, TLS, upgrade. */
bool raw_open(struct raw_peer *peer, uint16_t port);

/* first: the first byte of a frame (RAW_FIN | RAW_BINARY). claimed: the size in its header. */
bool raw_send_frame_part(struct raw_peer *peer, unsigned first, uint64_t claimed, const void *data,
                         size_t size);
bool raw_send_frame(struct raw_peer *peer, unsigned first, const void *data, size_t size);
/* One whole message, fragments put together; *ret_opcode is that of the first one. -1: none came,
 * or it is larger than size. A control frame is returned when it comes between fragments too, and
 * the message is lost then. */
ssize_t raw_receive_message(struct raw_peer *peer, unsigned *ret_opcode, void *data, size_t size);
/* The status of the close frame that comes, what is before it skipped; -1: none. */
int raw_receive_close(struct raw_peer *peer);

/* Accepts one that is not connected. */
void raw_close(struct raw_peer *peer);

#endif
