#include "client/net/loop_internal.h"

#include "client/net/net_log.h"
#include "client/net/pin.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t limit_us(const struct client_link *link, int64_t ms, int64_t default_ms)
{
    return mono_add_ms(clock_mono(link->loop->clock), ms > 0 ? ms : default_ms).us;
}

static void set_timer(struct client_link *link, enum link_timer which, int64_t due_us)
{
    net_timer_set(&link->loop->timers, &link->timers[which], due_us);
}

static bool is_established(const struct client_link *link)
{
    return link->wsi && link->state == LINK_UP;
}

/* Asks for a writable callback. */
static void ask_writable(struct client_link *link)
{
    lws_callback_on_writable(link->wsi);
    if (!link->asked_writable && link->state == LINK_UP) {
        link->asked_writable = true;
        net_poll_want_write(&link->loop->poll, lws_get_socket_fd(link->wsi), true);
    }
}

static int writable(struct client_link *link)
{
    if (link->asked_writable) {
        link->asked_writable = false;
        net_poll_want_write(&link->loop->poll, lws_get_socket_fd(link->wsi), false);
        link_list_add(link, LINK_LIST_READY);
    }
    return 0;
}

/* While it connects or ends, the link needs the library's own pass. */
static void settle(struct client_link *link, bool settled)
{
    struct net_poll *poll = &link->loop->poll;
    if (settled && link->unsettled) {
        poll->unsettled--;
    } else if (!settled && !link->unsettled) {
        poll->unsettled++;
    }
    link->unsettled = !settled;
}

enum ending {
    ENDING_POLITE, /* tell the server, and wait a little until it knows */
    ENDING_ABRUPT,
    ENDING_BY_LIBRARY, /* which is closing already */
};

static void drop_connection(struct client_link *link, enum ending ending,
                            enum lws_close_status status)
{
    if (!link->wsi || ending == ENDING_BY_LIBRARY) {
        return;
    }
    if (ending == ENDING_POLITE && is_established(link)) {
        lws_close_reason(link->wsi, status, NULL, 0);
        lws_set_timeout(link->wsi, PENDING_TIMEOUT_USER_OK, CLIENT_HANG_UP_TIMEOUT_MS / 1000);
        lws_callback_on_writable(link->wsi); /* which then answers -1 */
    } else {
        lws_set_timeout(link->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    }
}

/* Ends the link, once; the first reason counts. */
static void end(struct client_link *link, enum err why, enum ending ending)
{
    struct uplink_effects effects = {0};
    if (link->state == LINK_CLOSED) {
        return;
    }
    drop_connection(link, ending,
                    why == ERR_OK ? LWS_CLOSE_STATUS_NORMAL : LWS_CLOSE_STATUS_GOINGAWAY);
    bool was_up = link->state == LINK_UP;
    settle(link, !link->wsi);
    link->state = LINK_CLOSED;
    link->why = why;
    link->want_write = false;
    for (int i = 0; i < LINK_TIMER_COUNT; i++) {
        net_timer_clear(&link->loop->timers, &link->timers[i]);
    }
    net_receiver_done(&link->in);
    net_sender_done(&link->out);
    if (was_up) {
        uplink_link_down(link->config.uplink, loop_now(link->loop), &effects);
        link->report_changed |= effects.changed;
        link->report_erase |= effects.erase;
    }
    link->report_closed = true;
    link_list_remove(link, LINK_LIST_READY);
    link_list_add(link, LINK_LIST_REPORTS);
}

static void fail(struct client_link *link, enum err why, enum ending ending, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

static void fail(struct client_link *link, enum err why, enum ending ending, const char *format,
                 ...)
{
    va_list arguments;
    if (link->state == LINK_CLOSED) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(link->message, sizeof link->message, format, arguments);
    va_end(arguments);
    end(link, why, ending);
}

/* What the uplink wants done; sending is left to link_pump(). */
static void apply(struct client_link *link, const struct uplink_effects *effects)
{
    if (link->state == LINK_CLOSED) {
        return;
    }
    set_timer(link, LINK_TIMER_UPLINK, effects->deadline_us);
    link->report_learned |= effects->learned;
    if (effects->changed || effects->erase) {
        link->report_changed |= effects->changed;
        link->report_erase |= effects->erase;
        link_list_add(link, LINK_LIST_REPORTS);
    }
    if (effects->hang_up && !link->hanging_up) {
        link->hanging_up = true;
        link->why = effects->why;
        snprintf(link->message, sizeof link->message, "%s", effects->message);
        set_timer(link, LINK_TIMER_LIMIT, limit_us(link, 0, CLIENT_HANG_UP_TIMEOUT_MS));
    }
    link->want_write |= effects->want_write;
    if (link->want_write || link->hanging_up) {
        link_list_add(link, LINK_LIST_READY);
    }
}

static void next_frame(void *context, struct buf *out)
{
    struct client_link *link = context;
    struct uplink_effects effects = {0};
    if (!link->want_write) {
        return;
    }
    uplink_next_frame(link->config.uplink, loop_now(link->loop), out, &effects);
    apply(link, &effects);
    if (out->size == 0) {
        link->want_write = false;
    }
}

void link_pump(struct client_link *link)
{
    struct client_loop *loop = link->loop;
    if (!is_established(link)) {
        return;
    }
    enum net_sent sent = net_pump(&link->out, &loop->stage, &loop->frame, link->wsi,
                                  LINK_SEND_BUDGET, next_frame, link);
    link_list_remove(link, LINK_LIST_READY); /* what next_frame() put there has been done */
    switch (sent) {
    case NET_SENT_ALL:
        if (link->hanging_up) {
            end(link, link->why, ENDING_POLITE);
        }
        break;
    case NET_SENT_PART: ask_writable(link); break;
    case NET_SENT_FAILED:
        fail(link, ERR_LINK, ENDING_ABRUPT, "the connection to %s broke while sending", link->host);
        break;
    }
}

void link_tick(struct client_link *link, enum link_timer which)
{
    struct uplink_effects effects = {0};
    if (which == LINK_TIMER_UPLINK) {
        uplink_tick(link->config.uplink, loop_now(link->loop), &effects);
        apply(link, &effects);
    } else if (link->hanging_up) {
        end(link, link->why, ENDING_ABRUPT);
    } else if (link->state == LINK_CONNECTING) {
        fail(link, ERR_TIMEOUT, ENDING_ABRUPT, "%s does not answer on port %u", link->host,
             (unsigned)link->config.port);
    } else {
        fail(link, ERR_TIMEOUT, ENDING_ABRUPT, "%s began a message and did not end it", link->host);
    }
}

void link_report(struct client_link *link)
{
    struct client_report report = {
        .up = link->report_up,
        .changed = link->report_changed,
        .erase = link->report_erase,
        .learned = link->report_closed && link->report_learned,
        .closed = link->report_closed,
        .why = link->report_closed ? link->why : ERR_OK,
        .message = link->message,
    };
    link->report_up = link->report_changed = link->report_erase = link->report_closed = false;
    if (link->config.report) {
        link->config.report(link->config.context, link, &report); /* may free the link */
    }
}

static int check_pin(struct client_link *link, struct lws *wsi)
{
    const SSL *tls = lws_get_ssl(wsi);
    enum err err = tls ? pin_check(tls, link->config.pin) : ERR_PIN;
    if (err == ERR_PIN) {
        fail(link, ERR_PIN, ENDING_ABRUPT,
             "%s has another key than the one this device was enrolled with; ask whoever runs the "
             "server before you enrol again",
             link->host);
    } else if (err != ERR_OK) {
        fail(link, err, ENDING_ABRUPT, "the key of %s could not be checked", link->host);
    }
    link->pinned = err == ERR_OK;
    return link->pinned ? 0 : -1;
}

/* The server must have taken the subprotocol, not merely have left it out. */
static int check_subprotocol(struct client_link *link, struct lws *wsi)
{
    char name[sizeof NET_SUBPROTOCOL + 1];
    int size = lws_hdr_copy(wsi, name, sizeof name, WSI_TOKEN_PROTOCOL);
    if (size <= 0 || strcmp(name, NET_SUBPROTOCOL) != 0) {
        fail(link, ERR_PROTOCOL, ENDING_ABRUPT, "%s is no Satchel server", link->host);
        return -1;
    }
    return 0;
}

static int established(struct client_link *link, struct lws *wsi)
{
    struct uplink_effects effects = {0};
    if (!link->pinned) { /* cannot be: check_pin() comes before the request is sent */
        fail(link, ERR_PIN, ENDING_ABRUPT, "the key of %s was not checked", link->host);
        return -1;
    }
    if (net_poll_connected(&link->loop->poll, lws_get_socket_fd(wsi)) != ERR_OK) {
        fail(link, ERR_NOMEM, ENDING_ABRUPT, "no memory for another connection");
        return -1;
    }
    settle(link, true);
    link->state = LINK_UP;
    link->report_up = true;
    link_list_add(link, LINK_LIST_REPORTS);
    set_timer(link, LINK_TIMER_LIMIT, 0);
    uplink_link_up(link->config.uplink, loop_now(link->loop), &effects);
    apply(link, &effects);
    return 0;
}

/* Never answers -1: 4.1.6 would go on to fill its buffer where it stood, past its end. The
 * connection ends at the next writable callback. */
static void received(struct client_link *link, struct lws *wsi, const void *in, size_t size)
{
    struct uplink_effects effects = {0};
    struct bytes message = {0};
    bool whole = false;
    bool within = link->in.within;
    if (link->hanging_up) {
        return;
    }
    enum err err = net_receive(&link->in, wsi, NET_MESSAGE_MAX, in, size, &whole, &message);
    if (err != ERR_OK) {
        fail(link, err, ENDING_POLITE, "%s: %s", link->host, err_text(err));
        return;
    }
    if (whole) {
        if (within) {
            set_timer(link, LINK_TIMER_LIMIT, 0);
        }
        uplink_receive(link->config.uplink, message, loop_now(link->loop), &effects);
        net_receiver_trim(&link->in);
        apply(link, &effects);
    } else if (!within) {
        set_timer(link, LINK_TIMER_LIMIT,
                  limit_us(link, link->config.message_timeout_ms, CLIENT_MESSAGE_TIMEOUT_MS));
    }
}

/* A link that has ended, whose connection has not. */
static int ended_callback(enum lws_callback_reasons reason)
{
    return reason == LWS_CALLBACK_CLIENT_WRITEABLE ||
                   reason == LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER ||
                   reason == LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH ||
                   reason == LWS_CALLBACK_CLIENT_ESTABLISHED
               ? -1
               : 0;
}

/* The server's status and text, printable. */
static void peer_closes(struct client_link *link, const uint8_t *in, size_t size)
{
    char text[128];
    size_t length = 0;
    unsigned status = size >= 2 ? (unsigned)be16_get(in) : 0;
    for (size_t i = 2; i < size && length + 1 < sizeof text; i++) {
        text[length++] = in[i] >= ' ' && in[i] < 127 ? (char)in[i] : '?';
    }
    text[length] = '\0';
    fail(link, link->hanging_up ? link->why : ERR_CLOSED, ENDING_BY_LIBRARY, "%s hung up (%u%s%s)",
         link->host, status, length > 0 ? ", " : "", text);
}

int link_callback(struct client_link *link, struct lws *wsi, enum lws_callback_reasons reason,
                  void *in, size_t size)
{
    if (reason == LWS_CALLBACK_WSI_DESTROY) {
        if (link->wsi == wsi) {
            link->wsi = NULL;
            settle(link, true);
            fail(link, ERR_CLOSED, ENDING_BY_LIBRARY, "the connection to %s has ended", link->host);
            if (link->released) {
                link_free(link);
            }
        }
        return 0;
    }
    if (link->state == LINK_CLOSED) {
        return ended_callback(reason);
    }
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: return check_pin(link, wsi);
    case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH: return check_subprotocol(link, wsi);
    case LWS_CALLBACK_CLIENT_ESTABLISHED: return established(link, wsi);
    case LWS_CALLBACK_CLIENT_RECEIVE: received(link, wsi, in, size); return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE: return writable(link);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: peer_closes(link, in, size); return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        fail(link, ERR_LINK, ENDING_BY_LIBRARY, "no connection to %s port %u: %.*s", link->host,
             (unsigned)link->config.port, in ? (int)size : 0, in ? (const char *)in : "");
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        fail(link, ERR_CLOSED, ENDING_BY_LIBRARY, "the connection to %s has ended", link->host);
        return 0;
    default: return 0;
    }
}

static void connect_to(struct client_link *link)
{
    static const lws_retry_bo_t no_pings = {0}; /* the uplink has a heartbeat of its own */
    struct lws_client_connect_info info = {
        .context = link->loop->lws,
        .vhost = link->loop->vhost,
        .address = link->address,
        .port = link->config.port,
        .path = link->path,
        .host = link->host,
        .protocol = NET_SUBPROTOCOL,
        .local_protocol_name = NET_SUBPROTOCOL,
        .alpn = "http/1.1",
        .ietf_version_or_minus_one = -1,
        .ssl_connection = LCCSCF_USE_SSL | LCCSCF_ALLOW_SELFSIGNED | LCCSCF_ALLOW_EXPIRED |
                          LCCSCF_ALLOW_INSECURE | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK |
                          LCCSCF_HTTP_NO_FOLLOW_REDIRECT,
        .opaque_user_data = link,
        .retry_and_idle_policy = &no_pings,
    };
    const struct log *before = net_log_enter(link->loop->log);
    net_log_clear();
    link->wsi = lws_client_connect_via_info(&info);
    if (!link->wsi) {
        fail(link, ERR_LINK, ENDING_BY_LIBRARY, "no connection to %s port %u%s%s", link->host,
             (unsigned)link->config.port, net_log_last()[0] ? ": " : "", net_log_last());
    } else {
        net_poll_add_connecting(&link->loop->poll, lws_get_socket_fd(link->wsi));
    }
    net_log_leave(before);
}

enum err client_link_open(struct client_loop *loop, const struct client_link_config *config,
                          struct client_link **ret_link)
{
    if (!config->host || config->host[0] == '\0' || config->port == 0 || !config->uplink) {
        return ERR_INVALID;
    }
    struct client_link *link = calloc(1, sizeof *link);
    if (!link) {
        return ERR_NOMEM;
    }
    link->owner = LOOP_OWNER_LINK;
    link->loop = loop;
    link->config = *config;
    link->host = strdup(config->host);
    link->address = strdup(config->address ? config->address : config->host);
    link->path = strdup(config->path ? config->path : NET_PATH);
    for (uint32_t i = 0; i < LINK_TIMER_COUNT; i++) {
        link->timers[i].owner = link;
        link->timers[i].kind = i;
    }
    if (!link->host || !link->address || !link->path ||
        net_timers_reserve(&loop->timers, (loop->link_count + 1) * LINK_TIMER_COUNT) != ERR_OK) {
        free(link->host);
        free(link->address);
        free(link->path);
        free(link);
        return ERR_NOMEM;
    }
    loop->link_count++;
    link_list_add(link, LINK_LIST_ALL);
    set_timer(link, LINK_TIMER_LIMIT,
              limit_us(link, config->connect_timeout_ms, CLIENT_CONNECT_TIMEOUT_MS));
    settle(link, false);
    connect_to(link);
    *ret_link = link;
    return ERR_OK;
}

void link_free(struct client_link *link)
{
    struct client_loop *loop = link->loop;
    for (int i = 0; i < LINK_TIMER_COUNT; i++) {
        net_timer_clear(&loop->timers, &link->timers[i]);
    }
    for (int i = 0; i < LINK_LIST_COUNT; i++) {
        link_list_remove(link, (enum link_list_kind)i);
    }
    loop->link_count--;
    net_receiver_done(&link->in);
    net_sender_done(&link->out);
    free(link->host);
    free(link->address);
    free(link->path);
    free(link);
}

void client_link_close(struct client_link *link)
{
    if (!link) {
        return;
    }
    const struct log *before = net_log_enter(link->loop->log);
    end(link, ERR_OK, ENDING_POLITE);
    net_log_leave(before);
    link->config.uplink = NULL;
    link->config.report = NULL;
    link->released = true;
    link_list_remove(link, LINK_LIST_REPORTS);
    if (!link->wsi) {
        link_free(link);
    }
}

void client_link_wake(struct client_link *link)
{
    struct uplink_effects effects = {0};
    if (link->state != LINK_UP) {
        return;
    }
    const struct log *before = net_log_enter(link->loop->log);
    uplink_local_change(link->config.uplink, loop_now(link->loop), &effects);
    apply(link, &effects);
    link_list_remove(link, LINK_LIST_READY);
    link_pump(link);
    net_log_leave(before);
}

bool client_link_is_up(const struct client_link *link)
{
    return link->state == LINK_UP;
}

void *client_link_context(const struct client_link *link)
{
    return link->config.context;
}
