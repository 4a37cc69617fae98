#include "client/net/loop_internal.h"

#include "client/net/net_log.h"
#include "client/net/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINKS_DEFAULT = 8,
    OTHER_FILES = 8, /* the wake descriptor, the library's own */
    HEADERS_MAX = 2048,
};

/* --- Lists of links --------------------------------------------------------------------------- */

void link_list_add(struct client_link *link, enum link_list_kind kind)
{
    struct link_list *list = &link->loop->lists[kind];
    struct link_place *place = &link->places[kind];
    if (place->in) {
        return;
    }
    *place = (struct link_place){.before = list->last, .after = NULL, .in = true};
    if (list->last) {
        list->last->places[kind].after = link;
    } else {
        list->first = link;
    }
    list->last = link;
}

void link_list_remove(struct client_link *link, enum link_list_kind kind)
{
    struct link_list *list = &link->loop->lists[kind];
    struct link_place *place = &link->places[kind];
    if (!place->in) {
        return;
    }
    if (place->before) {
        place->before->places[kind].after = place->after;
    } else {
        list->first = place->after;
    }
    if (place->after) {
        place->after->places[kind].before = place->before;
    } else {
        list->last = place->before;
    }
    *place = (struct link_place){0};
}

struct client_link *link_list_take(struct client_loop *loop, enum link_list_kind kind)
{
    struct client_link *link = loop->lists[kind].first;
    if (link) {
        link_list_remove(link, kind);
    }
    return link;
}

/* --- libwebsockets ---------------------------------------------------------------------------- */

struct now loop_now(const struct client_loop *loop)
{
    return (struct now){.wall = clock_wall(loop->clock), .mono = clock_mono(loop->clock)};
}

static int wake_callback(struct client_loop *loop, enum lws_callback_reasons reason)
{
    if (reason == LWS_CALLBACK_RAW_RX_FILE || reason == LWS_CALLBACK_RAW_CLOSE_FILE) {
        loop->woken = true; /* not read: whoever gave the descriptor does that */
    }
    if (reason == LWS_CALLBACK_RAW_CLOSE_FILE) {
        loop->wake = NULL;
    }
    return 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t size)
{
    enum loop_owner *owner = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    (void)user;
    if (!owner) {
        return 0; /* a stand-in for a connection, or one that is of no interest any more */
    }
    return *owner == LOOP_OWNER_WAKE
               ? wake_callback((struct client_loop *)(void *)owner, reason)
               : link_callback((struct client_link *)(void *)owner, wsi, reason, in, size);
}

static const struct lws_protocols protocols[] = {
    {.name = NET_SUBPROTOCOL,
     .callback = callback,
     .rx_buffer_size = NET_RECEIVE_SIZE,
     .tx_packet_size = NET_FRAGMENT_MAX + LWS_PRE},
    {0},
};

static enum err make_lws(struct client_loop *loop, uint32_t links_max, struct err_info *info)
{
    static const lws_retry_bo_t no_pings = {0};
    struct lws_context_creation_info creation = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS |
                   LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .gid = -1,
        .uid = -1,
        .http_proxy_address = "", /* else the environment is asked */
        .max_http_header_data = HEADERS_MAX,
        .pt_serv_buf_size = NET_SERVICE_SIZE,
        .provided_client_ssl_ctx = loop->tls,
        .retry_and_idle_policy = &no_pings,
        .connect_timeout_secs = CLIENT_CONNECT_TIMEOUT_MS / 1000,
        .timeout_secs = CLIENT_CONNECT_TIMEOUT_MS / 1000,
        .vhost_name = "satchel",
    };
    if (links_max <= CLIENT_LINKS_SMALL) {
        creation.fd_limit_per_thread = links_max + OTHER_FILES;
    }
    const struct log *before = net_log_enter(loop->log);
    net_log_clear();
    loop->lws = lws_create_context(&creation);
    loop->vhost = loop->lws ? lws_create_vhost(loop->lws, &creation) : NULL;
    net_log_leave(before);
    if (!loop->vhost) {
        return err_set(info, ERR_NOMEM, "the network could not be set up: %s", net_log_last());
    }
    return ERR_OK;
}

enum err client_loop_new(const struct client_loop_config *config, struct client_loop **ret_loop,
                         struct err_info *info)
{
    struct client_loop *loop = calloc(1, sizeof *loop);
    if (!loop) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    loop->owner = LOOP_OWNER_WAKE;
    loop->clock = config->clock;
    loop->log = config->log;
    loop->wake_fd = -1;
    net_timers_init(&loop->timers);
    buf_init(&loop->frame, NET_MESSAGE_MAX);
    enum err err =
        net_poll_open(&loop->poll, config->nested || config->links_max > CLIENT_LINKS_SMALL);
    loop->tls = pin_tls_new();
    if (err != ERR_OK || !loop->tls) {
        err = err_set(info, err != ERR_OK ? err : ERR_CRYPTO, "TLS could not be set up");
    } else {
        err = make_lws(loop, config->links_max ? config->links_max : LINKS_DEFAULT, info);
    }
    if (err != ERR_OK) {
        client_loop_free(loop);
        return err;
    }
    *ret_loop = loop;
    return ERR_OK;
}

void client_loop_free(struct client_loop *loop)
{
    if (!loop) {
        return;
    }
    const struct log *before = net_log_enter(loop->log);
    struct client_link *after;
    for (struct client_link *link = loop->lists[LINK_LIST_ALL].first; link; link = after) {
        after = link->places[LINK_LIST_ALL].after;
        if (!link->released) {
            client_link_close(link);
        }
    }
    net_poll_close(&loop->poll);
    if (loop->lws) {
        lws_context_destroy(loop->lws); /* and with it the links that had a connection */
    }
    net_log_leave(before);
    SSL_CTX_free(loop->tls);
    net_timers_done(&loop->timers);
    buf_done(&loop->frame);
    free(loop);
}

/* --- Running ---------------------------------------------------------------------------------- */

static enum err watch(struct client_loop *loop, int fd)
{
    if (fd == loop->wake_fd && (fd < 0 || loop->wake)) {
        return ERR_OK;
    }
    if (loop->wake) {
        lws_set_opaque_user_data(loop->wake, NULL);
        lws_set_timeout(loop->wake, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
        loop->wake = NULL;
    }
    loop->wake_fd = fd;
    if (fd < 0) {
        return ERR_OK;
    }
    /* The library closes what it adopts, and sets it non-blocking, which would be felt wherever
     * else the file is open: a copy, and the flags as they were. */
    int flags = fcntl(fd, F_GETFL);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        return errno == EBADF ? ERR_INVALID : ERR_LIMIT;
    }
    lws_adopt_desc_t description = {
        .vh = loop->vhost,
        .type = LWS_ADOPT_RAW_FILE_DESC,
        .fd = {.filefd = copy},
        .vh_prot_name = NET_SUBPROTOCOL,
        .opaque = loop,
    };
    loop->wake = lws_adopt_descriptor_vhost_via_info(&description);
    loop->woken = false;
    (void)fcntl(fd, F_SETFL, flags);
    if (!loop->wake) {
        close(copy);
        return ERR_LIMIT;
    }
    return net_poll_add(&loop->poll, copy);
}

static void fire_timers(struct client_loop *loop)
{
    int64_t now_us = clock_mono(loop->clock).us;
    struct net_timer *timer;
    while ((timer = net_timers_take(&loop->timers, now_us)) != NULL) {
        link_tick(timer->owner, (enum link_timer)timer->kind);
    }
}

/* The links that are ready now; who becomes ready meanwhile waits until the others were served. */
static void pump_links(struct client_loop *loop)
{
    struct client_link *last = loop->lists[LINK_LIST_READY].last;
    struct client_link *link;
    while (last && (link = link_list_take(loop, LINK_LIST_READY)) != NULL) {
        bool was_last = link == last;
        link_pump(link);
        if (was_last) {
            break;
        }
    }
}

static bool report_links(struct client_loop *loop)
{
    struct client_link *link;
    bool reported = false;
    while ((link = link_list_take(loop, LINK_LIST_REPORTS)) != NULL) {
        link_report(link);
        reported = true;
    }
    return reported;
}

int client_loop_fd(const struct client_loop *loop)
{
    return loop->poll.fd;
}

int64_t client_loop_deadline(const struct client_loop *loop)
{
    int64_t timer_us = net_timers_next(&loop->timers), sweep_us = net_poll_due(&loop->poll);
    if (loop->lists[LINK_LIST_READY].first || loop->lists[LINK_LIST_REPORTS].first) {
        return 1;
    }
    return timer_us != 0 && timer_us < sweep_us ? timer_us : sweep_us;
}

/* Waits for the network, the earliest timer or end_us (-1: no end). */
static enum err wait_for_events(struct client_loop *loop, int64_t end_us)
{
    int64_t due_us = net_timers_next(&loop->timers);
    if (end_us >= 0 && (due_us == 0 || end_us < due_us)) {
        due_us = end_us;
    }
    if (loop->lists[LINK_LIST_READY].first) {
        due_us = 1; /* long ago */
    }
    return net_poll_wait(&loop->poll, loop->lws, loop->clock, due_us);
}

static enum err run(struct client_loop *loop, int64_t end_us, enum client_woken *ret_woken)
{
    for (;;) {
        fire_timers(loop);
        pump_links(loop);
        if (report_links(loop)) {
            *ret_woken = CLIENT_WOKEN_BY_REPORT;
            return ERR_OK;
        }
        if (loop->woken) {
            loop->woken = false;
            *ret_woken = CLIENT_WOKEN_BY_FD;
            return ERR_OK;
        }
        bool last = end_us >= 0 && clock_mono(loop->clock).us >= end_us;
        enum err err = wait_for_events(loop, end_us);
        if (err != ERR_OK) {
            return err;
        }
        /* What the last look at the network brought is still dealt with. */
        if (last && !loop->woken && !loop->lists[LINK_LIST_REPORTS].first) {
            pump_links(loop);
            if (!loop->lists[LINK_LIST_REPORTS].first) {
                *ret_woken = CLIENT_WOKEN_BY_TIME;
                return ERR_OK;
            }
        }
    }
}

enum err client_loop_run(struct client_loop *loop, int wake_fd, int64_t timeout_ms,
                         enum client_woken *ret_woken)
{
    int64_t end_us = timeout_ms < 0 ? -1 : mono_add_ms(clock_mono(loop->clock), timeout_ms).us;
    const struct log *before = net_log_enter(loop->log);
    enum err err = watch(loop, wake_fd);
    if (err == ERR_OK) {
        err = run(loop, end_us, ret_woken);
    }
    net_log_leave(before);
    return err;
}
