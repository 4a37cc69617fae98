/* queues.c - every queue keeps its bound, and each push that came is in one until it is answered: looked at
 * inside of the hub. */
#include "server/core/hub_internal.h"
#include "tests/sim/history.h"

enum {
    SLACK = 16 << 10
}; /* one page more than the credit, and what an encoded page may exceed its aim by */

static size_t feed_bytes(const struct peer *peer)
{
    size_t size = 0;
    for (const struct queued_frame *n = peer->out_head; n; n = n->next)
        size += frame_is_feed(n->frame) ? n->frame->size : 0;
    return size;
}

static const struct link *link_of(const struct peer *peer)
{
    return peer->context;
}

/* A live subscriber that is over its bound is given nothing more: it falls back. */
void queues_before(struct node *node)
{
    for (const struct peer *peer = node->hub->peers; peer; peer = peer->next)
        if (peer->context) {
            struct link *link = peer->context;
            link->feed_bytes =
                peer->out_bytes > node->hub->limits.live_queue_bytes ? feed_bytes(peer) : SIZE_MAX;
        }
}

void queues_after(struct node *node)
{
    const struct hub *hub = node->hub;
    if (!node->running || !hub)
        return;
    for (const struct peer *peer = hub->peers; peer; peer = peer->next) {
        const struct link *link = link_of(peer);
        if (link && peer->session.pull == PULL_LIVE && feed_bytes(peer) > link->feed_bytes)
            broken(node->world, "queues keep their bounds",
                   "%zu bytes wait for a live subscriber, whose bound is %zu", peer->out_bytes,
                   hub->limits.live_queue_bytes);
        if (peer->page_credit < -(int64_t)(hub->limits.page_bytes + SLACK))
            broken(node->world, "queues keep their bounds",
                   "%lld bytes of pages were sent without credit", (long long)-peer->page_credit);
        if (link && link->asked > 0 && peer->session.state == PEER_OPEN && peer->in_bytes == 0 &&
            !peer->out_head)
            broken(node->world, "each push is answered",
                   "%d pushes of %s have come, and nothing is queued that answers them",
                   link->asked, node->world->nodes[link->ends[LOWER]].name);
        if (peer->answers > ANSWERS_MAX)
            broken(node->world, "queues keep their bounds", "%u answers wait for a peer",
                   peer->answers);
    }
}

/* A page needs some credit, if only a byte of it. */
int64_t queues_credit(const struct link *link)
{
    return link->peer ? link->peer->page_credit : 0;
}

void queues_gave(struct node *node, const struct link *link, int64_t credit)
{
    if (node->running && link->peer && credit <= 0 && link->peer->page_credit < credit)
        broken(node->world, "queues keep their bounds", "%s was sent a page without credit",
               node->world->nodes[link->ends[LOWER]].name);
}

void queues_answered(struct link *link, enum message_type type)
{
    if (type == MESSAGE_ACK)
        link->asked--;
    else if (type == MESSAGE_FORK || type == MESSAGE_FAILURE)
        link->asked = INT32_MIN / 2; /* the session is over */
}
