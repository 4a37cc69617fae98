/* blobs.h - attachments at a server (blobs.c), for the hub and its peers. */
#ifndef SERVER_CORE_BLOBS_H
#define SERVER_CORE_BLOBS_H

#include "server/core/hub_internal.h"

/* Handlers of messages, within a turn. ERR_PROTOCOL, store errors. */
enum err handle_offer(struct hub *hub, struct peer *peer, const struct message_offer *message);
enum err handle_chunk(struct hub *hub, struct peer *peer, const struct message_chunk *message);
enum err handle_want(struct hub *hub, struct peer *peer, const struct message_want *message);
bool blobs_ready(const struct peer *peer);
/* Queues the chunk that the peer asked for: when nothing else waits for it. */
enum err blobs_next(struct hub *hub, struct peer *peer);
/* Between turns, with something of checking and removing to do: one step of it. */
bool blobs_work(const struct hub *hub);
enum err blobs_turn(struct hub *hub);
void blobs_tick(struct hub *hub);

#endif
