#include "tests/lib/raw_peer.h"

#include "common/bytes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HEAD_MAX 4096
#define KEY      "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455 1.3 */
#define GUID     "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void set_timeouts(int fd)
{
    struct timeval timeout = {.tv_sec = RAW_TIMEOUT_MS / 1000};
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
}

bool raw_connect(struct raw_peer *peer, uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    *peer = (struct raw_peer){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    if (peer->fd < 0) {
        return false;
    }
    set_timeouts(peer->fd);
    if (connect(peer->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        raw_close(peer);
        return false;
    }
    return true;
}

static bool new_tls(struct raw_peer *peer, const SSL_METHOD *method, int max_version)
{
    peer->context = SSL_CTX_new(method);
    if (!peer->context || !SSL_CTX_set_max_proto_version(peer->context, max_version)) {
        return false;
    }
    return true;
}

bool raw_start_tls(struct raw_peer *peer, int max_version)
{
    if (!new_tls(peer, TLS_client_method(), max_version)) {
        return false;
    }
    peer->tls = SSL_new(peer->context);
    return peer->tls && SSL_set_fd(peer->tls, peer->fd) && SSL_connect(peer->tls) == 1;
}

int raw_listen(uint16_t *ret_port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 8) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        abort();
    }
    set_timeouts(fd);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

bool raw_accept(struct raw_peer *peer, int listener, const char *certificate_path, int max_version)
{
    *peer = (struct raw_peer){.fd = accept(listener, NULL, NULL), .is_server = true};
    if (peer->fd < 0) {
        return false;
    }
    set_timeouts(peer->fd);
    if (!new_tls(peer, TLS_server_method(), max_version) ||
        SSL_CTX_use_certificate_file(peer->context, certificate_path, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(peer->context, certificate_path, SSL_FILETYPE_PEM) != 1) {
        return false;
    }
    peer->tls = SSL_new(peer->context);
    return peer->tls && SSL_set_fd(peer->tls, peer->fd) && SSL_accept(peer->tls) == 1;
}

bool raw_send(struct raw_peer *peer, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        int part = size > 16384 ? 16384 : (int)size;
        ssize_t sent = peer->tls ? SSL_write(peer->tls, at, part)
                                 : send(peer->fd, at, (size_t)part, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool raw_send_text(struct raw_peer *peer, const char *text)
{
    return raw_send(peer, text, strlen(text));
}

ssize_t raw_receive(struct raw_peer *peer, void *data, size_t size)
{
    if (!peer->tls) {
        return recv(peer->fd, data, size, 0);
    }
    int got = SSL_read(peer->tls, data, (int)size);
    if (got > 0) {
        return got;
    }
    int error = SSL_get_error(peer->tls, got);
    return error == SSL_ERROR_WANT_READ ? -1 : 0;
}

bool raw_sees_end(struct raw_peer *peer)
{
    uint8_t data[1024];
    ssize_t got;
    do {
        got = raw_receive(peer, data, sizeof data);
    } while (got > 0);
    return got == 0;
}

bool raw_read_head(struct raw_peer *peer, char *text, size_t size)
{
    size_t length = 0;
    while (length + 1 < size) {
        if (raw_receive(peer, text + length, 1) != 1) {
            break;
        }
        text[++length] = '\0';
        if (length >= 4 && memcmp(text + length - 4, "\r\n\r\n", 4) == 0) {
            return true;
        }
    }
    text[length] = '\0';
    return false;
}

bool raw_accept_upgrade(struct raw_peer *peer, const char *head, const char *headers)
{
    static const char name[] = "sec-websocket-key:";
    char text[HEAD_MAX], key[128], accept_key[64];
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned hash_size = 0;
    const char *at = head;
    while (at && strncasecmp(at, name, sizeof name - 1) != 0) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    if (!at) {
        return false;
    }
    at += sizeof name - 1;
    at += strspn(at, " ");
    snprintf(key, sizeof key, "%.*s%s", (int)strcspn(at, "\r"), at, GUID);
    if (!EVP_Digest(key, strlen(key), hash, &hash_size, EVP_sha1(), NULL)) {
        return false;
    }
    (void)EVP_EncodeBlock((unsigned char *)accept_key, hash, (int)hash_size);
    snprintf(text, sizeof text,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n%s\r\n",
             accept_key, headers);
    return raw_send_text(peer, text);
}

int raw_upgrade(struct raw_peer *peer, const char *path, const char *headers, char *text,
                size_t size)
{
    char request[HEAD_MAX], answer[HEAD_MAX];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
             path, headers);
    if (!text) {
        text = answer;
        size = sizeof answer;
    }
    if (!raw_send_text(peer, request) || !raw_read_head(peer, text, size) ||
        strncmp(text, "HTTP/1.1 ", 9) != 0) {
        return -1;
    }
    return (int)strtol(text + 9, NULL, 10);
}

bool raw_open(struct raw_peer *peer, uint16_t port)
{
    return raw_connect(peer, port) && raw_start_tls(peer, 0) &&
           raw_upgrade(peer, "/satchel", "Sec-WebSocket-Protocol: satchel.v1\r\n", NULL, 0) == 101;
}

bool raw_send_frame_part(struct raw_peer *peer, unsigned first, uint64_t claimed, const void *data,
                         size_t size)
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    uint8_t *frame = malloc(size + 14);
    size_t at = 2;
    if (!frame) {
        return false;
    }
    frame[0] = (uint8_t)first;
    frame[1] = (uint8_t)(claimed < 126 ? claimed : claimed <= UINT16_MAX ? 126 : 127);
    if (frame[1] == 126) {
        be16_put(frame + at, (uint16_t)claimed);
        at += 2;
    } else if (frame[1] == 127) {
        be64_put(frame + at, claimed);
        at += 8;
    }
    if (!peer->is_server) {
        frame[1] |= 0x80;
        memcpy(frame + at, mask, sizeof mask);
        at += sizeof mask;
    }
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = ((const uint8_t *)data)[i];
        frame[at + i] = peer->is_server ? byte : (uint8_t)(byte ^ mask[i & 3]);
    }
    bool sent = raw_send(peer, frame, at + size);
    free(frame);
    return sent;
}

bool raw_send_frame(struct raw_peer *peer, unsigned first, const void *data, size_t size)
{
    return raw_send_frame_part(peer, first, size, data, size);
}

static bool receive_all(struct raw_peer *peer, void *data, size_t size)
{
    uint8_t *at = data;
    while (size > 0) {
        ssize_t got = raw_receive(peer, at, size);
        if (got <= 0) {
            return false;
        }
        at += got;
        size -= (size_t)got;
    }
    return true;
}

/* One frame; masks are not expected (a client does not receive any). */
static ssize_t receive_frame(struct raw_peer *peer, uint8_t *ret_first, void *data, size_t size)
{
    uint8_t head[10];
    uint8_t mask[4] = {0};
    if (!receive_all(peer, head, 2)) {
        return -1;
    }
    uint64_t length = head[1] & 0x7f;
    if (length == 126 && receive_all(peer, head + 2, 2)) {
        length = be16_get(head + 2);
    } else if (length == 127 && receive_all(peer, head + 2, 8)) {
        length = be64_get(head + 2);
    }
    if (((head[1] & 0x80) != 0 && !receive_all(peer, mask, 4)) || length > size ||
        !receive_all(peer, data, (size_t)length)) {
        return -1;
    }
    for (size_t i = 0; i < length; i++) {
        ((uint8_t *)data)[i] ^= mask[i & 3];
    }
    *ret_first = head[0];
    return (ssize_t)length;
}

ssize_t raw_receive_message(struct raw_peer *peer, unsigned *ret_opcode, void *data, size_t size)
{
    size_t total = 0;
    for (bool first = true;; first = false) {
        uint8_t head = 0;
        ssize_t got = receive_frame(peer, &head, (uint8_t *)data + total, size - total);
        if (got < 0) {
            return -1;
        }
        if (first || (head & 0x08) != 0) {
            *ret_opcode = head & 0x0f;
        }
        if ((head & 0x08) != 0) {
            memmove(data, (uint8_t *)data + total, (size_t)got);
            return got;
        }
        total += (size_t)got;
        if ((head & RAW_FIN) != 0) {
            return (ssize_t)total;
        }
    }
}

int raw_receive_close(struct raw_peer *peer)
{
    static uint8_t data[2 << 20];
    unsigned opcode = 0;
    ssize_t size;
    do {
        size = raw_receive_message(peer, &opcode, data, sizeof data);
    } while (size >= 0 && opcode != RAW_CLOSE);
    return size >= 2 ? be16_get(data) : -1;
}

void raw_close(struct raw_peer *peer)
{
    SSL_free(peer->tls);
    SSL_CTX_free(peer->context);
    if (peer->fd > 0) {
        close(peer->fd);
    }
    *peer = (struct raw_peer){.fd = -1};
}
