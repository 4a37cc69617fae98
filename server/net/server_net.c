#include "server/net/server_net_internal.h"

#include "client/net/net_log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    OTHER_FILES = 128, /* besides connections: the store's, the library's, our own */
    FILES_LARGE = 1 << 20,
    HEADERS_MAX = 2048,
    TURN_PAUSE_US = 100 * 1000,
    TICK_PAUSE_US = 1000,
};

struct hub_now net_now(const struct server_net *net)
{
    return (struct hub_now){.wall = clock_wall(net->config.clock),
                            .mono = clock_mono(net->config.clock)};
}

int64_t net_deadline_us(const struct server_net *net, int64_t ms)
{
    return mono_add_ms(clock_mono(net->config.clock), ms).us;
}

void net_settle(struct server_net *net, bool *unsettled, bool settled)
{
    if (settled && *unsettled) {
        net->poll.unsettled--;
    } else if (!settled && !*unsettled) {
        net->poll.unsettled++;
    }
    *unsettled = !settled;
}

/* --- Files in the library's poll -------------------------------------------------------------- */

enum err net_file_adopt(struct server_net *net, struct net_file *file, enum net_owner owner, int fd)
{
    *file = (struct net_file){.owner = owner, .net = net, .fd = fd};
    lws_adopt_desc_t description = {
        .vh = net->vhost,
        .type = LWS_ADOPT_RAW_FILE_DESC,
        .fd = {.filefd = fd},
        .vh_prot_name = NET_SUBPROTOCOL,
        .opaque = file,
    };
    file->wsi = lws_adopt_descriptor_vhost_via_info(&description);
    if (!file->wsi) {
        close(fd);
        return ERR_LIMIT;
    }
    return net_poll_add(&net->poll, fd);
}

void net_file_close(struct net_file *file)
{
    if (file->wsi) {
        lws_set_timeout(file->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    }
}

static int file_callback(struct net_file *file, enum lws_callback_reasons reason)
{
    struct server_net *net = file->net;
    if (file->owner == NET_OWNER_CONTROL_CLIENT) {
        return control_callback((struct control_client *)(void *)file, reason);
    }
    if (reason == LWS_CALLBACK_RAW_CLOSE_FILE) {
        file->wsi = NULL;
    } else if (reason == LWS_CALLBACK_RAW_RX_FILE) {
        if (file->owner == NET_OWNER_LISTENER) {
            listen_accept(net);
        } else if (file->owner == NET_OWNER_CONTROL) {
            control_accept(net);
        } else {
            net->stop_asked = true;
            return -1; /* not watched any longer; it stays readable */
        }
    }
    return 0;
}

/* --- libwebsockets ---------------------------------------------------------------------------- */

static int prepare_tls(SSL_CTX *tls)
{
    /* The library has restricted the curves to P-256: most clients would need a second round. */
    if (!SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) ||
        !SSL_CTX_set1_groups_list(tls, "X25519:P-256:P-384") || !SSL_CTX_set_num_tickets(tls, 0)) {
        return -1;
    }
    SSL_CTX_set_options(tls, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    /* A file that is not there is no error to the library. */
    return SSL_CTX_get0_certificate(tls) && SSL_CTX_check_private_key(tls) == 1 ? 0 : -1;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t size)
{
    enum net_owner *owner = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) {
        struct server_net *net = lws_context_user(lws_get_context(wsi));
        net->tls_ready = prepare_tls(user) == 0;
        return net->tls_ready ? 0 : -1;
    }
    if (!owner) {
        return 0; /* a stand-in for a connection */
    }
    if (*owner == NET_OWNER_CONNECTION) {
        return connection_callback((struct connection *)(void *)owner, wsi, reason, in, size);
    }
    return file_callback((struct net_file *)(void *)owner, reason);
}

static const struct lws_protocols protocols[] = {
    {.name = NET_SUBPROTOCOL,
     .callback = callback,
     .rx_buffer_size = NET_RECEIVE_SIZE,
     .tx_packet_size = NET_FRAGMENT_MAX + LWS_PRE},
    {0},
};

static enum err make_lws(struct server_net *net, struct err_info *info)
{
    static const lws_retry_bo_t no_pings = {0}; /* the hub has a heartbeat of its own */
    struct lws_context_creation_info creation = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .user = net,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS |
                   LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .gid = -1,
        .uid = -1,
        .server_string = "satchel",
        .alpn = "http/1.1",
        .http_proxy_address = "", /* else the environment is asked */
        .max_http_header_data = HEADERS_MAX,
        .pt_serv_buf_size = NET_SERVICE_SIZE,
        .ssl_cert_filepath = net->config.certificate_path,
        .ssl_private_key_filepath = net->config.key_path,
        .provided_client_ssl_ctx = net->client_tls,
        .retry_and_idle_policy = &no_pings,
        .timeout_secs = (unsigned)((net->config.handshake_timeout_ms + 999) / 1000),
        .keepalive_timeout = 1,
        .vhost_name = "satchel",
    };
    net_log_clear();
    net->lws = lws_create_context(&creation);
    if (!net->lws) {
        return err_set(info, ERR_NOMEM, "the network could not be set up: %s", net_log_last());
    }
    if (access(net->config.certificate_path, R_OK) != 0 ||
        access(net->config.key_path, R_OK) != 0) {
        return err_set(info, errno == ENOENT ? ERR_NOT_FOUND : ERR_FORBIDDEN,
                       "the certificate %s or the key %s cannot be read",
                       net->config.certificate_path, net->config.key_path);
    }
    net->vhost = lws_create_vhost(net->lws, &creation);
    if (!net->vhost || !net->tls_ready) {
        return err_set(info, ERR_INVALID, "the certificate %s and the key %s cannot be used: %s",
                       net->config.certificate_path, net->config.key_path, net_log_last());
    }
    return ERR_OK;
}

/* The library makes tables for as many files as the process may open, so that number should be
 * what is needed: not too few, nor the billion that some containers allow. */
static void limit_files(struct server_net *net)
{
    struct rlimit files;
    rlim_t wanted = (rlim_t)net->config.connections_max + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return;
    }
    if (files.rlim_cur < wanted || files.rlim_cur > FILES_LARGE) {
        files.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
        (void)getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < wanted) {
        net->config.connections_max =
            files.rlim_cur > OTHER_FILES ? (uint32_t)(files.rlim_cur - OTHER_FILES) : 1;
        log_write(net->config.log, LOG_LEVEL_WARNING,
                  "only %lu files may be open: at most %u connections (see ulimit -n)",
                  (unsigned long)files.rlim_cur, (unsigned)net->config.connections_max);
    }
}

/* --- Opening and closing ---------------------------------------------------------------------- */

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static void take_config(struct server_net *net, const struct server_net_config *config)
{
    struct server_net_config *own = &net->config;
    *own = *config;
    own->connections_max =
        config->connections_max ? config->connections_max : SERVER_NET_CONNECTIONS_MAX;
    own->per_address_max =
        config->per_address_max ? config->per_address_max : SERVER_NET_PER_ADDRESS_MAX;
    own->handshake_timeout_ms =
        or_default(config->handshake_timeout_ms, SERVER_NET_HANDSHAKE_TIMEOUT_MS);
    own->message_timeout_ms = or_default(config->message_timeout_ms, SERVER_NET_MESSAGE_TIMEOUT_MS);
    own->hang_up_timeout_ms = or_default(config->hang_up_timeout_ms, SERVER_NET_HANG_UP_TIMEOUT_MS);
    own->stop_timeout_ms = or_default(config->stop_timeout_ms, SERVER_NET_STOP_TIMEOUT_MS);
}

/* The descriptor stays whose it is: the library gets, and closes, a copy. */
static enum err watch_copy(struct server_net *net, struct net_file *file, enum net_owner owner,
                           int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? ERR_LIMIT : net_file_adopt(net, file, owner, copy);
}

static enum err watch_stop(struct server_net *net, struct err_info *info)
{
    enum err err = ERR_OK;
    net->waker_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (net->waker_fd < 0) {
        err = ERR_LIMIT;
    }
    if (err == ERR_OK) {
        err = watch_copy(net, &net->waker, NET_OWNER_WAKER, net->waker_fd);
    }
    if (err == ERR_OK && net->config.stop_fd >= 0) {
        err = watch_copy(net, &net->stop, NET_OWNER_STOP, net->config.stop_fd);
    }
    if (err == ERR_OK && net->config.guest) {
        err = net_poll_add_foreign(&net->poll, net->config.guest->fd);
    }
    return err == ERR_OK ? ERR_OK : err_set(info, err, "too many files are open");
}

static enum err open_all(struct server_net *net, struct err_info *info)
{
    uint32_t timer_count = net->config.connections_max + CONTROL_CLIENTS_MAX + 5;
    uint64_t seed = 0;
    enum err err = rng_u64(net->config.rng, &seed);
    if (err == ERR_OK) {
        err = net_timers_reserve(&net->timers, timer_count);
    }
    if (err == ERR_OK) {
        err = net_poll_open(&net->poll, true);
    }
    if (err != ERR_OK) {
        return err_set(info, err, "the network could not be set up: %s", err_text(err));
    }
    hash_map_init(&net->per_address, net->config.connections_max, seed);
    /* Not used. But the library makes one where there is none, and loses it when the process has
     * another lws_context (a branch has one for its uplink). */
    net->client_tls = SSL_CTX_new(TLS_client_method());
    net->burst_method = burst_method_new();
    err = net->client_tls && net->burst_method ? make_lws(net, info)
                                               : err_set(info, ERR_NOMEM, "out of memory");
    if (err == ERR_OK) {
        err = watch_stop(net, info);
    }
    if (err == ERR_OK && net->config.control_path) {
        err = control_open(net, info);
    }
    return err == ERR_OK ? listen_open(net, info) : err;
}

enum err server_net_open(const struct server_net_config *config, struct hub *hub,
                         struct server_net **ret_net, struct err_info *info)
{
    struct server_net *net = calloc(1, sizeof *net);
    if (!net) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    take_config(net, config);
    net->hub = hub;
    net->listener_pause = (struct net_timer){.owner = net, .kind = TIMER_LISTENER};
    net->stop_limit = (struct net_timer){.owner = net, .kind = TIMER_STOP};
    net->rest = (struct net_timer){.owner = net, .kind = TIMER_REST};
    net->waker_fd = -1;
    net->poll.fd = -1;
    net_timers_init(&net->timers);
    buf_init(&net->frame, NET_MESSAGE_MAX);
    limit_files(net);
    const struct log *before = net_log_enter(config->log);
    enum err err = open_all(net, info);
    net_log_leave(before);
    if (err != ERR_OK) {
        server_net_close(net);
        return err;
    }
    *ret_net = net;
    return ERR_OK;
}

void server_net_close(struct server_net *net)
{
    if (!net) {
        return;
    }
    const struct log *before = net_log_enter(net->config.log);
    control_close(net);
    if (net->lws) {
        net_poll_close(&net->poll);
        lws_context_destroy(net->lws); /* its last callbacks free the connections */
    }
    net_log_leave(before);
    if (net->waker_fd >= 0) {
        close(net->waker_fd);
    }
    SSL_CTX_free(net->client_tls);
    BIO_meth_free(net->burst_method);
    hash_map_done(&net->per_address);
    net_timers_done(&net->timers);
    buf_done(&net->frame);
    free(net);
}

uint16_t server_net_port(const struct server_net *net)
{
    return net->port;
}

void server_net_stats(const struct server_net *net, struct server_net_stats *ret)
{
    *ret = net->stats;
}

/* --- Running ---------------------------------------------------------------------------------- */

static void fire_timers(struct server_net *net)
{
    int64_t now_us = clock_mono(net->config.clock).us;
    struct net_timer *timer;
    while ((timer = net_timers_take(&net->timers, now_us)) != NULL) {
        switch ((enum timer_kind)timer->kind) {
        case TIMER_CONNECTION: connection_tick(timer->owner); break;
        case TIMER_CONTROL_CLIENT:
            net_file_close(&((struct control_client *)timer->owner)->file);
            break;
        case TIMER_LISTENER:
            if (net->listener.wsi) {
                lws_rx_flow_control(net->listener.wsi, 1);
            }
            break;
        case TIMER_STOP: net->stop_over = true; break;
        case TIMER_REST: net->resting = true; break;
        }
    }
}

/* ERR_OK also after an error that may pass: then the hub tries again a little later. */
static enum err turn_hub(struct server_net *net)
{
    struct hub_now now = net_now(net);
    int64_t due_us = hub_deadline(net->hub);
    bool due = due_us != 0 && due_us <= now.mono.us;
    if (due) {
        net->ticked_us = now.mono.us;
        hub_tick(net->hub, now);
    }
    if ((!due && !hub_has_work(net->hub)) || now.mono.us < net->turn_not_before_us) {
        return ERR_OK;
    }
    enum err err = hub_turn(net->hub, now);
    net->stats.turns++;
    net->turn_not_before_us = 0;
    if (net->config.rest) {
        net_timer_set(&net->timers, &net->rest, net_deadline_us(net, SERVER_NET_REST_MS));
    }
    if (err == ERR_OK) {
        return ERR_OK;
    }
    if (err_class(err) == ERR_CLASS_FATAL || err_class(err) == ERR_CLASS_BUG) {
        log_write(net->config.log, LOG_LEVEL_ERROR, "the server must stop: %s", err_text(err));
        return err;
    }
    log_write(net->config.log, LOG_LEVEL_WARNING, "the server cannot write: %s", err_text(err));
    net->turn_not_before_us = now.mono.us + TURN_PAUSE_US;
    return ERR_OK;
}

/* *ret_served: what it did may have given the hub something to send. */
static enum err serve_guest(struct server_net *net, bool *ret_served)
{
    const struct server_net_guest *guest = net->config.guest;
    *ret_served = false;
    if (!guest) {
        return ERR_OK;
    }
    int64_t due_us = guest->deadline_us(guest->context);
    if (!net->poll.foreign && (due_us == 0 || due_us > clock_mono(net->config.clock).us)) {
        return ERR_OK;
    }
    net->poll.foreign = false;
    *ret_served = true;
    if (net->config.rest) {
        net_timer_set(&net->timers, &net->rest, net_deadline_us(net, SERVER_NET_REST_MS));
    }
    return guest->serve(guest->context);
}

static void begin_stop(struct server_net *net)
{
    net->stopping = true;
    net_file_close(&net->listener);
    net_timer_set(&net->timers, &net->stop_limit,
                  net_deadline_us(net, net->config.stop_timeout_ms));
    connection_stop_all(net);
}

static int64_t earlier(int64_t a_us, int64_t b_us)
{
    return a_us == 0 || (b_us != 0 && b_us < a_us) ? b_us : a_us;
}

static enum err wait_for_events(struct server_net *net)
{
    int64_t hub_due_us = hub_deadline(net->hub);
    if (hub_due_us != 0 && hub_due_us < net->ticked_us + TICK_PAUSE_US) {
        hub_due_us = net->ticked_us + TICK_PAUSE_US; /* what one tick did not settle can wait */
    }
    int64_t due_us = earlier(net_timers_next(&net->timers), hub_due_us);
    if (net->config.guest) {
        due_us = earlier(due_us, net->config.guest->deadline_us(net->config.guest->context));
    }
    if (hub_has_work(net->hub)) {
        due_us = earlier(due_us, net->turn_not_before_us ? net->turn_not_before_us : 1);
    }
    if (net->ready_first) {
        due_us = 1; /* long ago */
    }
    return net_poll_wait(&net->poll, net->lws, net->config.clock, due_us);
}

static void answer_peers(struct server_net *net)
{
    connection_effects(net);
    connection_pump_all(net);
    connection_effects(net);
}

static enum err run(struct server_net *net)
{
    for (;;) {
        bool served;
        fire_timers(net);
        enum err err = turn_hub(net);
        if (err != ERR_OK) {
            return err;
        }
        answer_peers(net);
        err = serve_guest(net, &served);
        if (err != ERR_OK) {
            return err;
        }
        if (served) {
            answer_peers(net);
        }
        if (net->stop_asked && !net->stopping) {
            begin_stop(net);
            continue;
        }
        if (net->stopping && (net->stats.connections == 0 || net->stop_over)) {
            return ERR_OK;
        }
        if (net->resting) {
            net->resting = false;
            err = net->config.rest(net->config.rest_context);
        }
        if (err == ERR_OK) {
            err = wait_for_events(net);
        }
        if (err != ERR_OK) {
            return err;
        }
    }
}

enum err server_net_run(struct server_net *net)
{
    const struct log *before = net_log_enter(net->config.log);
    enum err err = run(net);
    net_log_leave(before);
    return err;
}

void server_net_stop(struct server_net *net)
{
    uint64_t one = 1;
    int saved = errno;
    ssize_t written = write(net->waker_fd, &one, sizeof one);
    (void)written; /* it was asked before, then */
    errno = saved;
}
