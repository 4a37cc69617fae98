/* device.c - what a device of satchel_bench_fan says and hears. */
#include "tests/bench/fan/fan.h"

#include "protocol/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CREDIT = 4 << 20 };

struct fan fan;

static void must(enum err e, const char *what)
{
    if (e != ERR_OK)
        die(what, err_text(e));
}

static void send_message(struct device *device, const struct message *message)
{
    must(frame_encode(message, NULL, &fan.payload, &fan.out), "encoding");
    link_send(&device->link, buf_view(&fan.out));
}

/* ---- the handshake ---- */

static void send_hello(struct device *device)
{
    must(rng_fill(&fan.rng, device->nonce, sizeof device->nonce), "random numbers");
    struct message hello = {.type = MESSAGE_HELLO,
                            .as.hello = {.protocol_min = PROTOCOL_VERSION_MIN,
                                         .protocol_max = PROTOCOL_VERSION_MAX,
                                         .device = device->id,
                                         .nonce = bytes_of(device->nonce, sizeof device->nonce),
                                         .agent = bytes_of_text("bench")}};
    send_message(device, &hello);
}

void link_is_open(struct link *link)
{
    fan.connected++;
    send_hello((struct device *)(void *)link);
}

static void send_enrol(struct device *device)
{
    uint8_t public_key[32];
    must(rng_fill(&fan.rng, device->seed, sizeof device->seed), "random numbers");
    must(rng_u64(&fan.rng, &device->origin), "random numbers");
    must(crypto_ed25519_public(fan.crypto, device->seed, public_key), "a key");
    struct message enrol = {.type = MESSAGE_ENROL,
                            .as.enrol = {.code = bytes_of(device->code, 16),
                                         .public_key = bytes_of(public_key, 32),
                                         .name = bytes_of_text("fan"),
                                         .platform = bytes_of_text("bench")}};
    send_message(device, &enrol);
}

static void send_proof(struct device *device, const struct message_challenge *challenge)
{
    static const char label[] = "satchel-auth-v1";
    enum { LABEL = sizeof label - 1 };
    uint8_t text[LABEL + 136] = {0}, *at = text + LABEL, signature[64];
    memcpy(text, label, LABEL);
    memcpy(at, challenge->nonce.data, 32);
    memcpy(at + 32, device->nonce, 32);
    memcpy(at + 64, challenge->server_key.data, 32); /* a device compares it with its pin */
    memcpy(at + 96, device->id.byte, 16);
    be64_put(at + 112, challenge->incarnation);
    be64_put(at + 120, device->origin);
    must(crypto_ed25519_sign(fan.crypto, device->seed, bytes_of(text, sizeof text), signature),
         "signing");
    struct message prove = {.type = MESSAGE_PROVE,
                            .as.prove = {.signature = bytes_of(signature, 64),
                                         .origin = device->origin,
                                         .wall_ms = challenge->wall_ms}};
    send_message(device, &prove);
}

static void challenged(struct device *device, const struct message_challenge *challenge)
{
    if (challenge->nonce.size != 32 || challenge->server_key.size != 32)
        die("a challenge", "of another form");
    if (uuid_is_nil(&device->id))
        send_enrol(device);
    else
        send_proof(device, challenge);
}

/* ---- the feed ---- */

/* From the heads that the first device was told of: a device that was here a moment ago. The first begins
 * with nothing. */
void device_subscribe(struct device *device)
{
    struct message subscribe = {.type = MESSAGE_SUBSCRIBE, .as.subscribe = {.credit = CREDIT}};
    if (fan.have_heads) {
        subscribe.as.subscribe.cursors = fan.heads;
        subscribe.as.subscribe.cursors_count = fan.head_count;
    }
    send_message(device, &subscribe);
}

static void take_heads(const struct message_checkpoint *checkpoint)
{
    fan.heads = calloc((size_t)checkpoint->heads_count + 1, sizeof *fan.heads);
    if (fan.heads == NULL)
        die("heads", "out of memory");
    fan.head_count = checkpoint->heads_count;
    fan.have_heads = true;
    for (uint32_t i = 0; i < fan.head_count; i++)
        fan.heads[i] =
            (struct bucket_position){checkpoint->heads[i].bucket, checkpoint->heads[i].position};
}

static bool is_value(const struct value *value)
{
    return value->kind == VALUE_TEXT && bytes_equal(value->as.bytes, bytes_of_text(fan.value));
}

static enum err look(void *context, const struct page_entry *entry)
{
    bool *found = context;
    if (entry->kind == PAGE_ROW)
        for (uint16_t i = 0; i < entry->table->column_count; i++)
            *found |= is_value(&entry->values[i]);
    if (entry->kind == PAGE_DELTA)
        for (uint16_t i = 0; i < entry->unit_count; i++)
            for (uint16_t k = 0; k < entry->table->units[entry->units[i].unit].column_count; k++)
                *found |= is_value(&entry->units[i].values[k]);
    return ERR_OK;
}

static void keep(struct buf *kept, struct bytes frame)
{
    buf_reset(kept);
    must(buf_append(kept, frame.data, frame.size), "a frame");
}

static void page_came(struct device *device, const struct message_page *page, struct bytes frame)
{
    if (page->live == FEED_CATCH_UP) {
        device->page_bytes += frame.size;
        if (device->page_bytes >= CREDIT / 2) {
            struct message credit = {.type = MESSAGE_CREDIT,
                                     .as.credit = {.bytes = device->page_bytes}};
            device->page_bytes = 0;
            send_message(device, &credit);
        }
    }
    if (!fan.watching || device->seen)
        return;
    bool found = false;
    must(page_read(fan.model, page->body, NULL, look, &found), "a page");
    if (found) {
        device->row = true;
        keep(&fan.page, frame);
    }
}

/* The row counts as seen when its checkpoint has come: earlier a replica would not show it. */
static void saw(struct device *device)
{
    if (!device->row || device->seen)
        return;
    device->seen = true;
    device->seen_ms = now_ms();
    fan.seen++;
}

static void checkpoint_came(struct device *device, const struct message_checkpoint *checkpoint,
                            struct bytes frame)
{
    if (!device->live) {
        device->live = true;
        fan.live++;
        if (!fan.have_heads)
            take_heads(checkpoint);
    }
    if (device->row && !device->seen)
        keep(&fan.checkpoint, frame);
    saw(device);
}

void device_watch(const char *value)
{
    snprintf(fan.value, sizeof fan.value, "%s", value);
    buf_reset(&fan.page);
    buf_reset(&fan.checkpoint);
    fan.seen = 0;
    fan.watching = true;
    for (unsigned i = 0; i < fan.count; i++)
        fan.devices[i].row = fan.devices[i].seen = false;
}

/* ---- messages ---- */

/* The server encodes a change once for all: what equals the first one's frame, byte for byte, is the
 * awaited one and need not be decoded. */
static bool is_same(struct device *device, struct bytes frame)
{
    if (!fan.watching || !device->live)
        return false;
    if (frame.data[0] == MESSAGE_PAGE && bytes_equal(frame, buf_view(&fan.page))) {
        device->row = true;
        return true;
    }
    if (frame.data[0] == MESSAGE_CHECKPOINT && bytes_equal(frame, buf_view(&fan.checkpoint))) {
        saw(device);
        return true;
    }
    return false;
}

void link_received(struct link *link, struct bytes frame)
{
    struct device *device = (struct device *)(void *)link;
    struct message message;
    if (frame.size >= FRAME_HEADER_SIZE && is_same(device, frame))
        return;
    arena_reset(&fan.arena);
    must(frame_decode(frame, true, fan.inflater, &fan.scratch, &fan.arena, &message), "a message");
    switch ((int)message.type) {
    case MESSAGE_CHALLENGE: challenged(device, &message.as.challenge); break;
    case MESSAGE_ENROLLED:
        device->id = message.as.enrolled.device;
        send_hello(device);
        break;
    case MESSAGE_WELCOME:
        device->open = true;
        fan.opened++;
        break;
    case MESSAGE_PING: {
        struct message pong = {.type = MESSAGE_PONG, .as.pong = {.token = message.as.ping.token}};
        send_message(device, &pong);
        break;
    }
    case MESSAGE_PAGE: page_came(device, &message.as.page, frame); break;
    case MESSAGE_CHECKPOINT: checkpoint_came(device, &message.as.checkpoint, frame); break;
    case MESSAGE_FAILURE:
        fprintf(stderr, "satchel_bench_fan: the server says: %.*s\n",
                (int)message.as.failure.text.size, (const char *)message.as.failure.text.data);
        break;
    default: die("a message that nobody asked for", message_name(message.type));
    }
}
