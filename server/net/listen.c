#include "server/net/server_net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    ACCEPT_AT_ONCE = 64, /* then those that are connected have their turn */
    PAUSE_MS = 100,      /* without files, or memory: nothing gets better by asking again at once */
};

static enum err listen_failed(struct err_info *info, const struct server_net_config *config,
                              int native)
{
    enum err err = native == EADDRINUSE                    ? ERR_BUSY
                   : native == EACCES                      ? ERR_FORBIDDEN
                   : native == EMFILE || native == ENFILE  ? ERR_LIMIT
                   : native == ENOMEM || native == ENOBUFS ? ERR_NOMEM
                   : native == EADDRNOTAVAIL               ? ERR_INVALID
                                                           : ERR_IO;
    char text[128] = "";
    (void)strerror_r(native, text, sizeof text);
    err_set(info, err, "cannot listen on %s port %u: %s",
            config->address && config->address[0] ? config->address : "any address",
            (unsigned)config->port, text);
    if (info) {
        info->native = native;
    }
    return err;
}

/* A listening socket for one address, or -1 and errno. */
static int listen_on(const struct addrinfo *address, bool both)
{
    int on = 1;
    int off = 0;
    int fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (fd < 0) {
        return -1;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (address->ai_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both ? &off : &on, sizeof on) != 0) ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int native = errno;
        close(fd);
        errno = native;
        return -1;
    }
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        return 0;
    }
    if (address.ss_family == AF_INET6) {
        memcpy(&v6, &address, sizeof v6);
        return ntohs(v6.sin6_port);
    }
    memcpy(&v4, &address, sizeof v4);
    return ntohs(v4.sin_port);
}

enum err listen_open(struct server_net *net, struct err_info *info)
{
    const struct server_net_config *config = &net->config;
    bool any = !config->address || config->address[0] == '\0';
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)config->port);
    /* "::" takes IPv4 as well; without IPv6 on the machine it fails, then "0.0.0.0" is tried. */
    int result = getaddrinfo(any ? "::" : config->address, port, &hints, &found);
    if (result != 0) {
        return err_set(info, ERR_INVALID, "cannot listen on %s: %s",
                       any ? "any address" : config->address, gai_strerror(result));
    }
    int fd = listen_on(found, any);
    freeaddrinfo(found);
    if (fd < 0 && any && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) &&
        getaddrinfo("0.0.0.0", port, &hints, &found) == 0) {
        fd = listen_on(found, false);
        freeaddrinfo(found);
    }
    if (fd < 0) {
        return listen_failed(info, config, errno);
    }
    net->port = port_of(fd);
    enum err err = net_file_adopt(net, &net->listener, NET_OWNER_LISTENER, fd);
    return err == ERR_OK ? ERR_OK : err_set(info, err, "too many files are open");
}

/* IPv4 as a mapped IPv6 address; of IPv6 the /64, which is what one subscriber has. */
static void address_of(const struct sockaddr_storage *peer, uint8_t address[ADDRESS_SIZE])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memset(address, 0, ADDRESS_SIZE);
    if (peer->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, peer, sizeof v4);
        memcpy(address, mapped, sizeof mapped);
        memcpy(address + sizeof mapped, &v4.sin_addr, 4);
    } else if (peer->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, peer, sizeof v6);
        bool is_v4 = memcmp(&v6.sin6_addr, mapped, sizeof mapped) == 0;
        memcpy(address, &v6.sin6_addr, is_v4 ? 16 : 8);
    }
}

static void pause_listening(struct server_net *net, int native)
{
    char text[128] = "";
    (void)strerror_r(native, text, sizeof text);
    log_write(net->config.log, LOG_LEVEL_WARNING, "cannot accept connections: %s", text);
    lws_rx_flow_control(net->listener.wsi, 0);
    net_timer_set(&net->timers, &net->listener_pause, net_deadline_us(net, PAUSE_MS));
}

void listen_accept(struct server_net *net)
{
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        uint8_t address[ADDRESS_SIZE];
        int on = 1;
        int fd = accept(net->listener.fd, (struct sockaddr *)&peer, &size);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                pause_listening(net, errno);
                return;
            }
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                return;
            }
            continue; /* that connection is gone already */
        }
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        address_of(&peer, address);
        connection_accept(net, fd, address);
    }
}
