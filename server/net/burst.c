#include "server/net/burst.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum {
    WS_BINARY = 0x82,
    WS_SHORT_MAX = 125,
    WS_LENGTH_16 = 126,
    WS_HEADER_MAX = 4,
    BURST_MAX = NET_FRAGMENT_MAX
};

/* --- The BIO ---------------------------------------------------------------------------------- */

struct kept {
    uint8_t *data; /* what the socket did not take */
    size_t size, sent;
    bool keeps; /* a burst is being written; else the BIO is as if it were not there */
};

/* 1: nothing is left. 0: try again. -1: the connection is dead. */
static int flush(BIO *bio, struct kept *kept)
{
    BIO *socket = BIO_next(bio);
    while (kept->sent < kept->size) {
        int n = BIO_write(socket, kept->data + kept->sent, (int)(kept->size - kept->sent));
        if (n <= 0) {
            if (!BIO_should_retry(socket)) {
                return -1;
            }
            BIO_set_retry_write(bio);
            return 0;
        }
        kept->sent += (size_t)n;
    }
    free(kept->data);
    kept->data = NULL;
    kept->size = kept->sent = 0;
    return 1;
}

static int kept_write(BIO *bio, const char *data, int size)
{
    struct kept *kept = BIO_get_data(bio);
    BIO *socket = BIO_next(bio);
    BIO_clear_retry_flags(bio);
    if (kept->size > 0 && flush(bio, kept) != 1) {
        return -1;
    }
    int n = BIO_write(socket, data, size);
    if (n == size) {
        return n;
    }
    if (n <= 0 && !BIO_should_retry(socket)) {
        return n;
    }
    n = n > 0 ? n : 0;
    size_t left = (size_t)(size - n);
    if (kept->keeps && (kept->data = malloc(left)) != NULL) {
        memcpy(kept->data, data + n, left);
        kept->size = left;
        return size;
    }
    if (n == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    return n;
}

static long kept_control(BIO *bio, int command, long number, void *pointer)
{
    return BIO_next(bio) ? BIO_ctrl(BIO_next(bio), command, number, pointer) : 0;
}

static int kept_create(BIO *bio)
{
    BIO_set_data(bio, calloc(1, sizeof(struct kept)));
    BIO_set_init(bio, 1);
    return BIO_get_data(bio) != NULL;
}

static int kept_destroy(BIO *bio)
{
    struct kept *kept = BIO_get_data(bio);
    if (kept) {
        free(kept->data);
        free(kept);
    }
    return 1;
}

BIO_METHOD *burst_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_FILTER, "satchel burst");
    if (method &&
        (!BIO_meth_set_write(method, kept_write) || !BIO_meth_set_ctrl(method, kept_control) ||
         !BIO_meth_set_create(method, kept_create) ||
         !BIO_meth_set_destroy(method, kept_destroy))) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

BIO *burst_attach(const BIO_METHOD *method, SSL *tls)
{
    BIO *socket = tls ? SSL_get_wbio(tls) : NULL;
    BIO *bio = socket ? BIO_new(method) : NULL;
    if (!bio || !BIO_up_ref(socket)) {
        BIO_free(bio);
        return NULL;
    }
    BIO_push(bio, socket);
    SSL_set0_wbio(tls, bio);
    return bio;
}

/* --- Sending ---------------------------------------------------------------------------------- */

static size_t put_header(uint8_t *out, size_t size)
{
    out[0] = WS_BINARY;
    if (size <= WS_SHORT_MAX) {
        out[1] = (uint8_t)size;
        return 2;
    }
    out[1] = WS_LENGTH_16;
    be16_put(out + 2, (uint16_t)size);
    return WS_HEADER_MAX;
}

static enum net_sent write_record(const struct burst *burst, const uint8_t *data, size_t size)
{
    struct kept *kept = BIO_get_data(burst->bio);
    kept->keeps = true;
    int written = SSL_write(burst->tls, data, (int)size);
    kept->keeps = false;
    if (written != (int)size) {
        ERR_clear_error(); /* the library looks there after calls of its own */
        return NET_SENT_FAILED;
    }
    return kept->size > 0 ? NET_SENT_PART : NET_SENT_ALL;
}

enum net_sent burst_send(const struct burst *burst, struct net_stage *stage, size_t budget,
                         bool *ret_left)
{
    struct kept *kept = BIO_get_data(burst->bio);
    size_t size = 0;
    *ret_left = false;
    int flushed = flush(burst->bio, kept);
    if (flushed != 1) {
        return flushed == 0 ? NET_SENT_PART : NET_SENT_FAILED;
    }
    for (;;) {
        struct buf *frame = burst->frame;
        buf_reset(frame);
        if (budget > 0) {
            burst->next(burst->context, frame);
        }
        if (size > 0 && (frame->size == 0 || size + WS_HEADER_MAX + frame->size > BURST_MAX)) {
            enum net_sent sent = write_record(burst, stage->bytes, size);
            size = 0;
            if (sent != NET_SENT_ALL) {
                *ret_left = frame->size > 0;
                return sent;
            }
        }
        if (frame->size == 0) {
            return budget > 0 ? NET_SENT_ALL : NET_SENT_PART;
        }
        if (WS_HEADER_MAX + frame->size > BURST_MAX) {
            *ret_left = true;
            return NET_SENT_ALL;
        }
        size += put_header(stage->bytes + size, frame->size);
        memcpy(stage->bytes + size, frame->data, frame->size);
        size += frame->size;
        budget -= frame->size < budget ? frame->size : budget;
    }
}
