/* plain_server.c - lets satcheld's objects take connections from 127.0.0.2 without TLS: satchel_bench_plain, which
 * exists to measure what a connection costs without it, and is installed nowhere. The product has no such
 * mode. */
#include <libwebsockets.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define PLAIN_PEER (INADDR_LOOPBACK + 1)

struct lws *__real_lws_adopt_descriptor_vhost_via_info(const lws_adopt_desc_t *info);
struct lws *__wrap_lws_adopt_descriptor_vhost_via_info(const lws_adopt_desc_t *info);

struct lws *__wrap_lws_adopt_descriptor_vhost_via_info(const lws_adopt_desc_t *info)
{
    lws_adopt_desc_t adopted = *info;
    struct sockaddr_in peer = {.sin_family = AF_UNSPEC};
    socklen_t size = sizeof peer;
    if (((unsigned)adopted.type & LWS_ADOPT_SOCKET) != 0 &&
        getpeername(adopted.fd.sockfd, (struct sockaddr *)&peer, &size) == 0 &&
        peer.sin_family == AF_INET && ntohl(peer.sin_addr.s_addr) == PLAIN_PEER)
        adopted.type = (lws_adoption_type)((unsigned)adopted.type & ~(unsigned)LWS_ADOPT_ALLOW_SSL);
    return __real_lws_adopt_descriptor_vhost_via_info(&adopted);
}
