/* link.c - connections of satchel_bench_fan: epoll, TLS, the WebSocket's frames.
 *
 * Cost: for a message that has come whole one recv, and none of the library's copies; what the server
 * needs is to be seen, not what its clients do. */
#include "tests/bench/fan/fan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    CHUNK = 64 << 10,
    IN_MAX = 1 << 20,
    STALLED_RECEIVE = 4096, /* bytes in the kernel of one that does not read */
    OPCODE_CONTINUATION = 0,
    OPCODE_BINARY = 2,
    OPCODE_CLOSE = 8,
};

static uint8_t chunk[CHUNK];

void net_init(struct net *net, uint16_t port, bool plain)
{
    *net = (struct net){.epoll = epoll_create1(EPOLL_CLOEXEC), .port = port};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    /* A file cannot be watched, and is read at once. */
    if (net->epoll < 0 ||
        (epoll_ctl(net->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0 && errno != EPERM))
        die("epoll", strerror(errno));
    if (plain)
        return;
    net->tls = SSL_CTX_new(TLS_client_method());
    if (net->tls == NULL || !SSL_CTX_set_min_proto_version(net->tls, TLS1_3_VERSION))
        die("TLS", "no context");
    SSL_CTX_set_verify(net->tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(net->tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(net->tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(net->tls, 1);
}

static void watch_link(const struct net *net, struct link *link, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = link};
    if (epoll_ctl(net->epoll, operation, link->fd, &event) != 0)
        die("epoll", strerror(errno));
}

void link_open(struct net *net, struct link *link)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(net->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in plain = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)}; /* plain_server.c */
    int on = 1;
    *link = (struct link){.state = LINK_CONNECTING};
    link->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (link->fd < 0 || fcntl(link->fd, F_SETFL, O_NONBLOCK) != 0 ||
        setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        (net->tls == NULL &&
         (setsockopt(link->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
          bind(link->fd, (struct sockaddr *)&plain, sizeof plain) != 0)) ||
        (connect(link->fd, (struct sockaddr *)&address, sizeof address) != 0 &&
         errno != EINPROGRESS))
        die("connecting", strerror(errno));
    buf_init(&link->in, IN_MAX + CHUNK);
    buf_init(&link->message, IN_MAX + CHUNK);
    watch_link(net, link, EPOLL_CTL_ADD, EPOLLOUT);
}

void link_stall(struct net *net, struct link *link)
{
    int size = STALLED_RECEIVE;
    link->stalled = true;
    watch_link(net, link, EPOLL_CTL_DEL, 0);
    if (setsockopt(link->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) != 0)
        die("SO_RCVBUF", strerror(errno));
}

/* ---- writing ---- */

static void write_all(struct link *link, const uint8_t *data, size_t size)
{
    if (link->tls != NULL) {
        if (SSL_write(link->tls, data, (int)size) != (int)size)
            die("writing", "the connection took not all of a small message");
    } else if (send(link->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) {
        die("writing", "the connection took not all of a small message");
    }
}

void link_send(struct link *link, struct bytes message)
{
    enum { MASKED = 0x80, FINAL = 0x80, SHORT_MAX = 125, LENGTH_16 = 126 };
    uint8_t frame[8 + 4096] = {FINAL | OPCODE_BINARY};
    size_t at = 2;
    if (message.size > 4096)
        die("sending", "a client's message is not that large");
    if (message.size <= SHORT_MAX) {
        frame[1] = (uint8_t)(MASKED | message.size);
    } else {
        frame[1] = MASKED | LENGTH_16;
        be16_put(frame + at, (uint16_t)message.size);
        at += 2;
    }
    at += 4; /* a mask of zeros */
    memcpy(frame + at, message.data, message.size);
    write_all(link, frame, at + message.size);
}

/* ---- reading ---- */

static void hung_up(struct bytes reason)
{
    char text[128];
    size_t size = reason.size > 2 ? reason.size - 2 : 0;
    snprintf(text, sizeof text, "%.*s", (int)size, size > 0 ? (const char *)reason.data + 2 : "");
    die("the server hung up", text);
}

/* One WebSocket frame at the begin of what has come; 0: not whole. */
static size_t take_frame(struct link *link, struct bytes in)
{
    size_t head = 2;
    if (in.size < head)
        return 0;
    uint64_t size = in.data[1];
    if (size >= 126)
        head += size == 126 ? 2 : 8;
    if (in.size < head)
        return 0;
    if (size >= 126)
        size = size == 126 ? be16_get(in.data + 2) : be64_get(in.data + 2);
    if (size > IN_MAX)
        die("reading", "a frame that is too large");
    if (in.size - head < size)
        return 0;
    struct bytes body = bytes_of(in.data + head, (size_t)size);
    bool final = (in.data[0] & 0x80) != 0;
    unsigned opcode = in.data[0] & 0x0f;
    if (opcode == OPCODE_CLOSE)
        hung_up(body);
    if (opcode == OPCODE_BINARY && final) {
        link_received(link, body);
    } else if (opcode == OPCODE_BINARY || opcode == OPCODE_CONTINUATION) {
        if (buf_append(&link->message, body.data, body.size) != ERR_OK)
            die("reading", "a message that is too large");
        if (final) {
            link_received(link, buf_view(&link->message));
            buf_done(&link->message);
            buf_init(&link->message, IN_MAX + CHUNK);
        }
    }
    return head + (size_t)size;
}

static void send_upgrade(struct link *link)
{
    static const char request[] =
        "GET /satchel HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: satchel.v1\r\n\r\n";
    write_all(link, (const uint8_t *)request, sizeof request - 1);
    link->state = LINK_UPGRADE;
}

/* The head of the answer; 0: not whole. */
static size_t take_answer(struct link *link, struct bytes in)
{
    for (size_t i = 0; i + 4 <= in.size; i++) {
        if (memcmp(in.data + i, "\r\n\r\n", 4) != 0)
            continue;
        if (memcmp(in.data, "HTTP/1.1 101", 12) != 0)
            die("the upgrade was refused", (const char *)in.data);
        link->state = LINK_OPEN;
        link_is_open(link);
        return i + 4;
    }
    return 0;
}

static void take(struct link *link, struct bytes in)
{
    size_t at = 0;
    while (at < in.size) {
        struct bytes rest = bytes_of(in.data + at, in.size - at);
        size_t taken =
            link->state == LINK_UPGRADE ? take_answer(link, rest) : take_frame(link, rest);
        if (taken == 0)
            break;
        at += taken;
    }
    struct buf kept;
    buf_init(&kept, IN_MAX + CHUNK);
    if (at < in.size && buf_append(&kept, in.data + at, in.size - at) != ERR_OK)
        die("reading", "out of memory");
    buf_done(&link->in);
    link->in = kept;
}

static void arrived(struct net *net, struct link *link, size_t size)
{
    net->bytes_in += size;
    if (link->in.size == 0) {
        take(link, bytes_of(chunk, size));
        return;
    }
    if (buf_append(&link->in, chunk, size) != ERR_OK)
        die("reading", "a frame that is too large");
    take(link, buf_view(&link->in));
}

static void read_tls(struct net *net, struct link *link)
{
    do {
        int size = SSL_read(link->tls, chunk, sizeof chunk);
        if (size > 0)
            arrived(net, link, (size_t)size);
        else if (SSL_get_error(link->tls, size) == SSL_ERROR_WANT_READ)
            return;
        else
            die("reading", "the connection has ended");
    } while (SSL_has_pending(link->tls));
}

static void read_plain(struct net *net, struct link *link)
{
    ssize_t size = recv(link->fd, chunk, sizeof chunk, 0);
    if (size > 0)
        arrived(net, link, (size_t)size);
    else if (size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        die("reading", "the connection has ended");
}

/* ---- connecting ---- */

static void shake_hands(struct net *net, struct link *link)
{
    int result = SSL_connect(link->tls);
    if (result == 1) {
        watch_link(net, link, EPOLL_CTL_MOD, EPOLLIN);
        send_upgrade(link);
        return;
    }
    int why = SSL_get_error(link->tls, result);
    if (why == SSL_ERROR_WANT_WRITE)
        watch_link(net, link, EPOLL_CTL_MOD, EPOLLOUT);
    else if (why == SSL_ERROR_WANT_READ)
        watch_link(net, link, EPOLL_CTL_MOD, EPOLLIN);
    else
        die("the handshake", ERR_reason_error_string(ERR_get_error()));
}

static void connected(struct net *net, struct link *link)
{
    int why = 0;
    socklen_t size = sizeof why;
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &why, &size) != 0 || why != 0)
        die("connecting", strerror(why));
    if (net->tls == NULL) {
        watch_link(net, link, EPOLL_CTL_MOD, EPOLLIN);
        send_upgrade(link);
        return;
    }
    link->tls = SSL_new(net->tls);
    if (link->tls == NULL || SSL_set_fd(link->tls, link->fd) != 1)
        die("TLS", "out of memory");
    SSL_set_connect_state(link->tls);
    link->state = LINK_TLS;
    shake_hands(net, link);
}

static void serve(struct net *net, struct link *link)
{
    switch (link->state) {
    case LINK_CONNECTING: connected(net, link); break;
    case LINK_TLS: shake_hands(net, link); break;
    case LINK_UPGRADE:
    case LINK_OPEN:
        if (link->tls != NULL)
            read_tls(net, link);
        else
            read_plain(net, link);
        break;
    case LINK_NONE: break;
    }
}

void net_serve(struct net *net, int timeout_ms, void (*line)(void))
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(net->epoll, events, EVENTS, timeout_ms);
    if (count < 0 && errno != EINTR)
        die("epoll", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct link *link = events[i].data.ptr;
        if (link == NULL && line != NULL)
            line();
        else if (link != NULL && !link->stalled)
            serve(net, link);
    }
}
