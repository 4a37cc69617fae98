#include "server/net/server_net_internal.h"

#include "common/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- How many an address has ------------------------------------------------------------------ */

static struct bytes address_key(const uint8_t address[ADDRESS_SIZE])
{
    return bytes_of(address, ADDRESS_SIZE);
}

static bool address_enter(struct server_net *net, const uint8_t address[ADDRESS_SIZE])
{
    union hash_value *count = hash_map_get(&net->per_address, address_key(address));
    if (!count) {
        return hash_map_put_number(&net->per_address, address_key(address), 1) == ERR_OK;
    }
    if (count->number >= net->config.per_address_max) {
        return false;
    }
    count->number++;
    return true;
}

static void address_leave(struct server_net *net, const uint8_t address[ADDRESS_SIZE])
{
    union hash_value *count = hash_map_get(&net->per_address, address_key(address));
    assert(count && count->number > 0);
    if (--count->number == 0) {
        (void)hash_map_remove(&net->per_address, address_key(address), NULL);
    }
}

/* --- Who is ready ----------------------------------------------------------------------------- */

static void ready_add(struct connection *connection)
{
    struct server_net *net = connection->net;
    if (connection->ready) {
        return;
    }
    connection->ready = true;
    connection->ready_before = net->ready_last;
    connection->ready_after = NULL;
    if (net->ready_last) {
        net->ready_last->ready_after = connection;
    } else {
        net->ready_first = connection;
    }
    net->ready_last = connection;
}

static void ready_remove(struct connection *connection)
{
    struct server_net *net = connection->net;
    if (!connection->ready) {
        return;
    }
    if (connection->ready_before) {
        connection->ready_before->ready_after = connection->ready_after;
    } else {
        net->ready_first = connection->ready_after;
    }
    if (connection->ready_after) {
        connection->ready_after->ready_before = connection->ready_before;
    } else {
        net->ready_last = connection->ready_before;
    }
    connection->ready = false;
}

/* --- Writable --------------------------------------------------------------------------------- */

static void ask_writable(struct connection *connection)
{
    lws_callback_on_writable(connection->wsi);
    if (!connection->asked_writable) {
        connection->asked_writable = true;
        net_poll_want_write(&connection->net->poll, lws_get_socket_fd(connection->wsi), true);
    }
}

static int writable(struct connection *connection)
{
    if (connection->close_now) {
        return -1;
    }
    if (connection->asked_writable) {
        connection->asked_writable = false;
        net_poll_want_write(&connection->net->poll, lws_get_socket_fd(connection->wsi), false);
        ready_add(connection);
    }
    return 0;
}

/* --- From accepting to the end ---------------------------------------------------------------- */

static void set_limit(struct connection *connection, int64_t ms)
{
    net_timer_set(&connection->net->timers, &connection->limit,
                  net_deadline_us(connection->net, ms));
}

static struct connection *connection_new(struct server_net *net,
                                         const uint8_t address[ADDRESS_SIZE])
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        return NULL;
    }
    if (!address_enter(net, address)) {
        free(connection);
        return NULL;
    }
    connection->owner = NET_OWNER_CONNECTION;
    connection->net = net;
    connection->limit.owner = connection;
    connection->limit.kind = TIMER_CONNECTION;
    memcpy(connection->address, address, ADDRESS_SIZE);
    connection->after = net->connections;
    if (net->connections) {
        net->connections->before = connection;
    }
    net->connections = connection;
    net->stats.connections++;
    if (net->stats.connections > net->stats.connections_most) {
        net->stats.connections_most = net->stats.connections;
    }
    return connection;
}

/* The hub is told once, at the first sign of the end. */
static void detach(struct connection *connection)
{
    struct server_net *net = connection->net;
    connection->state = CONNECTION_ENDING;
    net_settle(net, &connection->unsettled, false);
    if (connection->peer) {
        hub_detach(net->hub, connection->peer, net_now(net));
        connection->peer = NULL;
    }
    ready_remove(connection);
    net_receiver_done(&connection->in);
    net_sender_done(&connection->out);
    connection->burst = NULL;
}

void connection_free(struct connection *connection)
{
    struct server_net *net = connection->net;
    detach(connection);
    net_timer_clear(&net->timers, &connection->limit);
    if (connection->before) {
        connection->before->after = connection->after;
    } else {
        net->connections = connection->after;
    }
    if (connection->after) {
        connection->after->before = connection->before;
    }
    net_settle(net, &connection->unsettled, true);
    address_leave(net, connection->address);
    net->stats.connections--;
    free(connection);
}

void connection_accept(struct server_net *net, int fd, const uint8_t address[ADDRESS_SIZE])
{
    struct connection *connection = NULL;
    if (net->stats.connections < net->config.connections_max) {
        connection = connection_new(net, address);
    }
    if (!connection) {
        net->stats.refused++;
        close(fd);
        return;
    }
    lws_adopt_desc_t description = {
        .vh = net->vhost,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
        .fd = {.sockfd = fd},
        .opaque = connection,
    };
    set_limit(connection, net->config.handshake_timeout_ms);
    net_settle(net, &connection->unsettled, false);
    net->adopting = connection;
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&description); /* closes fd on failure */
    if (wsi && net_poll_add(&net->poll, fd) == ERR_OK) {
        connection->wsi = wsi;
        net->stats.accepted++;
    } else if (wsi) {
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        net->stats.refused++;
    } else {
        net->stats.refused++;
        if (net->adopting) { /* else WSI_DESTROY has freed it */
            connection_free(connection);
        }
    }
    net->adopting = NULL;
}

static enum lws_close_status close_status(enum err why)
{
    switch ((int)why) {
    case ERR_OK: return LWS_CLOSE_STATUS_NORMAL;
    case ERR_CLOSED: return LWS_CLOSE_STATUS_GOINGAWAY;
    case ERR_TOO_LARGE: return LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE;
    case ERR_PROTOCOL:
    case ERR_MALFORMED:
    case ERR_VERSION: return LWS_CLOSE_STATUS_PROTOCOL_ERR;
    case ERR_NOMEM:
    case ERR_BUG:
    case ERR_IO: return LWS_CLOSE_STATUS_UNEXPECTED_CONDITION;
    default: return LWS_CLOSE_STATUS_POLICY_VIOLATION;
    }
}

/* Says goodbye with the reason; the library waits for the answer, but not for long. */
static void begin_close(struct connection *connection)
{
    const char *text = connection->why == ERR_OK ? "" : err_name(connection->why);
    unsigned char reason[64];
    size_t size = strlen(text);
    if (size > sizeof reason) {
        size = sizeof reason;
    }
    memcpy(reason, text, size);
    lws_close_reason(connection->wsi, close_status(connection->why), reason, size);
    connection->close_now = true;
    detach(connection);
    lws_callback_on_writable(connection->wsi); /* which answers -1 */
}

static void hang_up(struct connection *connection, enum err why)
{
    if (connection->hanging_up || connection->state != CONNECTION_UP) {
        return;
    }
    connection->hanging_up = true;
    connection->why = why;
    net_receiver_done(&connection->in);
    set_limit(connection, connection->net->config.hang_up_timeout_ms);
    ready_add(connection);
}

void connection_tick(struct connection *connection)
{
    struct server_net *net = connection->net;
    net->stats.timed_out++;
    if (connection->state == CONNECTION_UP && !connection->hanging_up) {
        /* A message that has begun and does not end. */
        hub_violation(net->hub, connection->peer, ERR_TIMEOUT, net_now(net));
        hang_up(connection, ERR_TIMEOUT);
        return;
    }
    detach(connection);
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

/* --- Events of the library -------------------------------------------------------------------- */

static int established(struct connection *connection)
{
    struct server_net *net = connection->net;
    if (net->stopping ||
        hub_attach(net->hub, connection, net_now(net), &connection->peer) != ERR_OK) {
        return -1;
    }
    connection->state = CONNECTION_UP;
    connection->burst = burst_attach(net->burst_method, lws_get_ssl(connection->wsi));
    net_settle(net, &connection->unsettled, true);
    net_timer_clear(&net->timers, &connection->limit);
    return 0;
}

static int received(struct connection *connection, struct lws *wsi, const void *in, size_t size)
{
    struct server_net *net = connection->net;
    struct bytes message = {0};
    bool whole = false;
    bool within = connection->in.within;
    if (connection->state != CONNECTION_UP || connection->hanging_up) {
        return 0;
    }
    enum err err = net_receive(&connection->in, wsi, hub_message_max(connection->peer), in, size,
                               &whole, &message);
    if (err != ERR_OK) {
        /* Whatever the hub has to say about it, nothing more is read from this peer. */
        hub_violation(net->hub, connection->peer, err, net_now(net));
        hang_up(connection, err);
    } else if (whole) {
        if (within) {
            net_timer_clear(&net->timers, &connection->limit);
        }
        hub_receive(net->hub, connection->peer, message, net_now(net));
        net_receiver_trim(&connection->in);
    } else if (!within) {
        set_limit(connection, net->config.message_timeout_ms);
    }
    return 0;
}

/* What is wrong with the payload of a close frame, or NOSTATUS. Other codes that nobody may send are
 * the library's to answer. */
static enum lws_close_status close_problem(const uint8_t *in, size_t size)
{
    enum { CODE_SIZE = 2, CODES_END = 5000 }; /* RFC 6455 7.4.2 */
    if (size == 0) {
        return LWS_CLOSE_STATUS_NOSTATUS;
    }
    if (size < CODE_SIZE || be16_get(in) >= CODES_END) {
        return LWS_CLOSE_STATUS_PROTOCOL_ERR;
    }
    return utf8_valid(bytes_of(in + CODE_SIZE, size - CODE_SIZE))
               ? LWS_CLOSE_STATUS_NOSTATUS
               : LWS_CLOSE_STATUS_INVALID_PAYLOAD;
}

/* The library sends the payload back; one that is wrong is answered with what is wrong. */
static int peer_closes(struct connection *connection, const uint8_t *in, size_t size)
{
    enum lws_close_status problem = close_problem(in, size);
    detach(connection);
    if (problem == LWS_CLOSE_STATUS_NOSTATUS) {
        return 0;
    }
    set_limit(connection, connection->net->config.hang_up_timeout_ms);
    lws_close_reason(connection->wsi, problem, NULL, 0);
    return -1;
}

int connection_callback(struct connection *connection, struct lws *wsi,
                        enum lws_callback_reasons reason, void *in, size_t size)
{
    connection->wsi = wsi;
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP: return http_answer(wsi);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return http_check_upgrade(wsi);
    case LWS_CALLBACK_ESTABLISHED: return established(connection);
    case LWS_CALLBACK_RECEIVE: return received(connection, wsi, in, size);
    case LWS_CALLBACK_SERVER_WRITEABLE: return writable(connection);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: return peer_closes(connection, in, size);
    case LWS_CALLBACK_CLOSED: detach(connection); return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        if (connection->net->adopting == connection) {
            connection->net->adopting = NULL;
        }
        connection_free(connection);
        return 0;
    case LWS_CALLBACK_RAW_ADOPT: /* the method CONNECT, which the library takes for a tunnel */
    case LWS_CALLBACK_RAW_RX:
    case LWS_CALLBACK_HTTP_BODY:
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
    case LWS_CALLBACK_HTTP_WRITEABLE: return -1;
    default: return 0;
    }
}

/* --- What the hub wants ----------------------------------------------------------------------- */

void connection_effects(struct server_net *net)
{
    for (;;) {
        struct hub_effect effect = hub_next_effect(net->hub);
        struct connection *connection = effect.context;
        switch (effect.kind) {
        case HUB_EFFECT_NONE: return;
        case HUB_EFFECT_WANT_WRITE:
            if (connection->state == CONNECTION_UP) {
                ready_add(connection);
            }
            break;
        case HUB_EFFECT_HANG_UP: hang_up(connection, effect.why); break;
        }
    }
}

static void next_frame(void *context, struct buf *out)
{
    struct connection *connection = context;
    struct server_net *net = connection->net;
    hub_next_frame(net->hub, connection->peer, net->pumping, out);
}

static enum net_sent send_all(struct connection *connection)
{
    struct server_net *net = connection->net;
    if (connection->burst && connection->out.rest.size == 0 &&
        !lws_partial_buffered(connection->wsi)) {
        const struct burst burst = {.bio = connection->burst,
                                    .tls = lws_get_ssl(connection->wsi),
                                    .frame = &net->frame,
                                    .next = next_frame,
                                    .context = connection};
        bool left;
        enum net_sent sent = burst_send(&burst, &net->stage, SEND_BUDGET, &left);
        if (left && net_sender_keep(&connection->out, &net->frame, 0) != ERR_OK) {
            return NET_SENT_FAILED;
        }
        if (sent != NET_SENT_ALL || !left) {
            return sent;
        }
    }
    return net_pump(&connection->out, &net->stage, &net->frame, connection->wsi, SEND_BUDGET,
                    next_frame, connection);
}

static void pump(struct connection *connection)
{
    if (connection->asked_writable) {
        return; /* it takes nothing now */
    }
    connection->net->pumping = net_now(connection->net);
    switch (send_all(connection)) {
    case NET_SENT_ALL:
        if (connection->hanging_up) {
            begin_close(connection);
        }
        break;
    case NET_SENT_PART: ask_writable(connection); break;
    case NET_SENT_FAILED:
        detach(connection);
        lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        break;
    }
}

void connection_pump_all(struct server_net *net)
{
    /* Who becomes ready meanwhile waits until the others were served. */
    struct connection *last = net->ready_last;
    while (last && net->ready_first) {
        struct connection *connection = net->ready_first;
        ready_remove(connection);
        pump(connection);
        if (connection == last) {
            return;
        }
    }
}

void connection_stop_all(struct server_net *net)
{
    for (struct connection *at = net->connections; at; at = at->after) {
        if (at->state == CONNECTION_UP) {
            hang_up(at, ERR_CLOSED);
        } else if (at->state == CONNECTION_NEW && at->wsi) {
            detach(at);
            lws_set_timeout(at->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        }
    }
}
