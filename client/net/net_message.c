#include "client/net/net_message.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 4096u
#define CAPACITY_KEPT  0u /* idle connections hold nothing */

static enum err gather(struct net_receiver *receiver, const void *data, size_t size)
{
    if (size > receiver->capacity - receiver->size) {
        uint32_t capacity = receiver->capacity ? receiver->capacity : CAPACITY_FIRST;
        while (capacity - receiver->size < size) {
            capacity *= 2;
        }
        uint8_t *grown = realloc(receiver->data, capacity);
        if (!grown) {
            return ERR_NOMEM;
        }
        receiver->data = grown;
        receiver->capacity = capacity;
    }
    if (size > 0) {
        memcpy(receiver->data + receiver->size, data, size);
        receiver->size += (uint32_t)size;
    }
    return ERR_OK;
}

enum err net_receive(struct net_receiver *receiver, struct lws *wsi, size_t max, const void *data,
                     size_t size, bool *ret_whole, struct bytes *ret_message)
{
    /* How much of this WebSocket frame is still to come tells a message that cannot fit from one
     * that can, before it is gathered. */
    bool last = lws_is_final_fragment(wsi) != 0;
    size_t gathered = receiver->within ? receiver->size : 0;
    if (!lws_frame_is_binary(wsi)) {
        return ERR_PROTOCOL;
    }
    if (gathered > max || size > max - gathered ||
        lws_remaining_packet_payload(wsi) > max - gathered - size) {
        return ERR_TOO_LARGE;
    }
    *ret_whole = last;
    if (!receiver->within && last) {
        *ret_message = bytes_of(data, size);
        return ERR_OK;
    }
    receiver->within = true;
    enum err err = gather(receiver, data, size);
    if (err == ERR_OK && last) {
        *ret_message = bytes_of(receiver->data, receiver->size);
        receiver->within = false;
        receiver->size = 0;
    }
    return err;
}

void net_receiver_trim(struct net_receiver *receiver)
{
    if (!receiver->within && receiver->capacity > CAPACITY_KEPT) {
        net_receiver_done(receiver);
    }
}

void net_receiver_done(struct net_receiver *receiver)
{
    free(receiver->data);
    *receiver = (struct net_receiver){0};
}

/* Sends message from *offset on; started: what is before belongs to the same message. */
static enum net_sent send_message(struct net_stage *stage, struct lws *wsi, struct bytes message,
                                  bool started, size_t *offset, size_t *budget)
{
    while (*offset < message.size) {
        size_t size = message.size - *offset;
        bool first = *offset == 0 && !started;
        /* Nothing is asked before the first fragment: most messages are one, and if the socket does
         * not take it, the library keeps it. */
        if (*budget == 0 || (first ? lws_partial_buffered(wsi) : lws_send_pipe_choked(wsi))) {
            return NET_SENT_PART;
        }
        if (size > NET_FRAGMENT_MAX) {
            size = NET_FRAGMENT_MAX;
        }
        bool last = *offset + size == message.size;
        int flags = lws_write_ws_flags(LWS_WRITE_BINARY, first, last);
        /* The library writes the header before the payload, and a client's mask over it. */
        memcpy(stage->bytes + LWS_PRE, message.data + *offset, size);
        int written = lws_write(wsi, stage->bytes + LWS_PRE, size, (enum lws_write_protocol)flags);
        if (written < (int)size) {
            return NET_SENT_FAILED;
        }
        *offset += size;
        *budget -= size < *budget ? size : *budget;
    }
    return NET_SENT_ALL;
}

/* A copy: the frame's memory is as large as the largest message was. */
enum err net_sender_keep(struct net_sender *sender, const struct buf *frame, size_t sent)
{
    buf_init(&sender->rest, NET_MESSAGE_MAX);
    sender->started = sent > 0;
    sender->sent = 0;
    return buf_append(&sender->rest, frame->data + sent, frame->size - sent);
}

enum net_sent net_pump(struct net_sender *sender, struct net_stage *stage, struct buf *frame,
                       struct lws *wsi, size_t budget, net_next_message *next, void *context)
{
    enum net_sent result;
    if (sender->rest.size > 0) {
        result = send_message(stage, wsi, buf_view(&sender->rest), sender->started, &sender->sent,
                              &budget);
        if (result != NET_SENT_ALL) {
            return result;
        }
        net_sender_done(sender);
    }
    for (;;) {
        size_t sent = 0;
        if (budget == 0) {
            return NET_SENT_PART;
        }
        buf_reset(frame);
        next(context, frame);
        if (frame->size == 0) {
            return NET_SENT_ALL;
        }
        result = send_message(stage, wsi, buf_view(frame), false, &sent, &budget);
        if (result != NET_SENT_ALL) {
            return result == NET_SENT_PART && net_sender_keep(sender, frame, sent) == ERR_OK
                       ? NET_SENT_PART
                       : NET_SENT_FAILED;
        }
    }
}

void net_sender_done(struct net_sender *sender)
{
    buf_done(&sender->rest);
    *sender = (struct net_sender){0};
}
