/* message_blob.h - for message.c: elements of the lists of OFFER and STATES. */
#ifndef PROTOCOL_MESSAGE_BLOB_H
#define PROTOCOL_MESSAGE_BLOB_H

#include "protocol/message.h"
#include "protocol/unpack.h"

void encode_blob_offer(const void *element, struct buf *out);
enum err decode_blob_offer(struct unpacker *u, struct arena *arena, void *ret);
void encode_blob_state(const void *element, struct buf *out);
enum err decode_blob_state(struct unpacker *u, struct arena *arena, void *ret);

#endif
