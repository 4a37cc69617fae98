/* net_fakes.h - a hub and uplinks that do what a test says, behind the real headers: the network's
 * tests are about the adapters alone. Include it in one file of a program; what it defines stands
 * before the archives of the real cores.
 *
 * Fake hub, by the first byte of a frame: E echo it; S answer with its size as text; B "B<size>
 * <count>" answer with so many frames of that size; H say "bye" and hang up; anything else nothing.
 * Admin: {"size": bytes of the request}, ok false unless it begins with {.
 * Fake uplink: sends what fake_queue() was given, counts what it receives. */
#ifndef TESTS_INTEGRATION_NET_FAKES_H
#define TESTS_INTEGRATION_NET_FAKES_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/core/uplink.h"
#include "client/net/loop.h"
#include "common/os/os_clock.h"
#include "common/os/os_log.h"
#include "common/os/os_rng.h"
#include "common/os/os_tls.h"
#include "server/net/server_net.h"
#include "tests/lib/unit.h"

struct fake_frame {
    struct fake_frame *next;
    size_t size;
    uint8_t data[];
};

struct fake_queue {
    struct fake_frame *first, *last;
};

static inline void fake_put(struct fake_queue *queue, const void *data, size_t size)
{
    struct fake_frame *frame = malloc(sizeof *frame + size);
    frame->next = NULL;
    frame->size = size;
    if (data && size > 0) {
        memcpy(frame->data, data, size);
    } else {
        memset(frame->data, 'x', size);
    }
    if (queue->last) {
        queue->last->next = frame;
    } else {
        queue->first = frame;
    }
    queue->last = frame;
}

/* False: there is none. */
static inline bool fake_take(struct fake_queue *queue, struct buf *out)
{
    struct fake_frame *frame = queue->first;
    if (!frame) {
        return false;
    }
    if (out) {
        assert_ok(buf_append(out, frame->data, frame->size));
    }
    queue->first = frame->next;
    if (!queue->first) {
        queue->last = NULL;
    }
    free(frame);
    return true;
}

/* --- The hub ---------------------------------------------------------------------------------- */

struct peer {
    struct peer *next;
    void *context;
    struct fake_queue out;
    bool wants_write, hangs_up;
    enum err why;
};

struct hub { /* the counters are read by the test's thread */
    struct peer *peers;
    bool work;
    atomic_int turn_fails; /* an enum err */
    atomic_int attached, detached, received, turns, violations, last_violation;
    atomic_size_t last_size;
};

enum err hub_open(const struct hub_config *config, struct hub_now now, struct hub **ret,
                  struct err_info *info)
{
    (void)config, (void)now, (void)info;
    *ret = calloc(1, sizeof **ret);
    return ERR_OK;
}

enum err hub_create(const struct hub_config *config, struct hub_now now, struct err_info *info)
{
    (void)config, (void)now, (void)info;
    return ERR_OK;
}

void hub_close(struct hub *hub)
{
    free(hub);
}

size_t hub_message_max(const struct peer *peer)
{
    (void)peer;
    return FRAME_MAX + FRAME_HEADER_SIZE;
}

enum err hub_attach(struct hub *hub, void *context, struct hub_now now, struct peer **ret_peer)
{
    struct peer *peer = calloc(1, sizeof *peer);
    (void)now;
    peer->context = context;
    peer->next = hub->peers;
    hub->peers = peer;
    hub->attached++;
    *ret_peer = peer;
    return ERR_OK;
}

void hub_detach(struct hub *hub, struct peer *peer, struct hub_now now)
{
    struct peer **at = &hub->peers;
    (void)now;
    while (*at != peer) {
        at = &(*at)->next;
    }
    *at = peer->next;
    while (fake_take(&peer->out, NULL)) {
    }
    free(peer);
    hub->detached++;
}

static inline void fake_answer(struct peer *peer, const void *data, size_t size)
{
    fake_put(&peer->out, data, size);
    peer->wants_write = true;
}

void hub_receive(struct hub *hub, struct peer *peer, struct bytes frame, struct hub_now now)
{
    char text[64] = "";
    size_t size = 0, count = 0;
    (void)now;
    hub->received++;
    hub->last_size = frame.size;
    hub->work = true;
    memcpy(text, frame.data, frame.size < sizeof text ? frame.size : sizeof text - 1);
    switch (text[0]) {
    case 'E': fake_answer(peer, frame.data, frame.size); break;
    case 'S':
        snprintf(text, sizeof text, "%zu", frame.size);
        fake_answer(peer, text, strlen(text));
        break;
    case 'B':
        assert_int_equal(sscanf(text, "B%zu %zu", &size, &count), 2);
        while (count-- > 0) {
            fake_answer(peer, NULL, size);
        }
        break;
    case 'H':
        fake_answer(peer, "bye", 3);
        peer->hangs_up = true;
        peer->why = ERR_REVOKED;
        break;
    default: break;
    }
}

void hub_violation(struct hub *hub, struct peer *peer, enum err why, struct hub_now now)
{
    (void)now;
    peer->hangs_up = true;
    peer->why = why;
    hub->last_violation = (int)why;
    hub->violations++;
}

bool hub_has_work(const struct hub *hub)
{
    return hub->work;
}

enum err hub_turn(struct hub *hub, struct hub_now now)
{
    (void)now;
    hub->work = false;
    hub->turns++;
    return (enum err)hub->turn_fails;
}

void hub_next_frame(struct hub *hub, struct peer *peer, struct hub_now now, struct buf *out)
{
    (void)hub, (void)now;
    (void)fake_take(&peer->out, out);
}

int64_t hub_deadline(const struct hub *hub)
{
    (void)hub;
    return 0;
}

void hub_tick(struct hub *hub, struct hub_now now)
{
    (void)hub, (void)now;
}

struct hub_effect hub_next_effect(struct hub *hub)
{
    for (struct peer *peer = hub->peers; peer; peer = peer->next) {
        struct hub_effect effect = {.peer = peer, .context = peer->context, .why = peer->why};
        if (peer->wants_write) {
            peer->wants_write = false;
            effect.kind = HUB_EFFECT_WANT_WRITE;
            return effect;
        }
        if (peer->hangs_up) {
            peer->hangs_up = false;
            effect.kind = HUB_EFFECT_HANG_UP;
            return effect;
        }
    }
    return (struct hub_effect){.kind = HUB_EFFECT_NONE};
}

enum err hub_admin(struct hub *hub, struct bytes request, struct hub_now now, struct buf *answer)
{
    char text[64];
    (void)hub, (void)now;
    snprintf(text, sizeof text, "{\"ok\":%s,\"size\":%zu}",
             request.size > 0 && request.data[0] == '{' ? "true" : "false", request.size);
    return buf_append(answer, text, strlen(text));
}

void hub_stats(const struct hub *hub, struct hub_stats *ret)
{
    (void)hub;
    *ret = (struct hub_stats){0};
}

/* --- Uplinks ---------------------------------------------------------------------------------- */

struct uplink {
    struct fake_queue out;
    int ups, downs, received, ticks;
    int64_t tick_us; /* asks to be ticked then */
    bool hangs_up;   /* when something was received */
    size_t last_size;
    uint8_t last[64]; /* how the last message began */
};

static inline void fake_effects(const struct uplink *uplink, struct uplink_effects *effects)
{
    effects->want_write = uplink->out.first != NULL;
    effects->deadline_us = uplink->tick_us;
}

enum err uplink_new(const struct uplink_config *config, const struct uplink_identity *identity,
                    const struct uplink_enrolment *enrolment, struct uplink **ret)
{
    (void)config, (void)identity, (void)enrolment;
    *ret = calloc(1, sizeof **ret);
    return ERR_OK;
}

void uplink_free(struct uplink *uplink)
{
    while (uplink && fake_take(&uplink->out, NULL)) {
    }
    free(uplink);
}

void uplink_link_up(struct uplink *uplink, struct now now, struct uplink_effects *effects)
{
    (void)now;
    uplink->ups++;
    fake_effects(uplink, effects);
}

void uplink_link_down(struct uplink *uplink, struct now now, struct uplink_effects *effects)
{
    (void)now, (void)effects;
    uplink->downs++;
}

void uplink_receive(struct uplink *uplink, struct bytes frame, struct now now,
                    struct uplink_effects *effects)
{
    (void)now;
    uplink->received++;
    uplink->last_size = frame.size;
    memcpy(uplink->last, frame.data,
           frame.size < sizeof uplink->last ? frame.size : sizeof uplink->last);
    fake_effects(uplink, effects);
    effects->changed = true;
    effects->hang_up = uplink->hangs_up;
}

void uplink_next_frame(struct uplink *uplink, struct now now, struct buf *out,
                       struct uplink_effects *effects)
{
    (void)now;
    (void)fake_take(&uplink->out, out);
    fake_effects(uplink, effects);
}

void uplink_tick(struct uplink *uplink, struct now now, struct uplink_effects *effects)
{
    (void)now;
    uplink->ticks++;
    uplink->tick_us = 0;
    fake_effects(uplink, effects);
}

void uplink_local_change(struct uplink *uplink, struct now now, struct uplink_effects *effects)
{
    (void)now;
    fake_effects(uplink, effects);
}

void uplink_progress(const struct uplink *uplink, struct uplink_progress *ret)
{
    (void)uplink;
    *ret = (struct uplink_progress){0};
}

enum err uplink_enrolled(const struct uplink *uplink, struct uuid *ret_device,
                         struct uuid *ret_user, struct uuid *ret_history, const char **ret_login)
{
    (void)uplink, (void)ret_device, (void)ret_user, (void)ret_history, (void)ret_login;
    return ERR_NOT_FOUND;
}

/* --- A server in a thread, a folder for its files --------------------------------------------- */

static char fake_folder[64];
static char fake_certificate[96], fake_control[96];
static struct clock fake_clock;
static struct rng fake_rng;
static struct log fake_log;

static inline int fakes_set_up(void **state)
{
    const char *const names[] = {"localhost", "127.0.0.1"};
    struct err_info info;
    (void)state;
    fake_clock = os_clock();
    fake_rng = os_rng();
    fake_log = os_log(getenv("SATCHEL_TEST_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    snprintf(fake_folder, sizeof fake_folder, "/tmp/satchel-net-XXXXXX");
    if (!mkdtemp(fake_folder)) {
        return -1;
    }
    snprintf(fake_certificate, sizeof fake_certificate, "%s/server.pem", fake_folder);
    snprintf(fake_control, sizeof fake_control, "%s/control", fake_folder);
    return os_tls_make_certificate(fake_certificate, fake_certificate, names, 2,
                                   clock_wall(&fake_clock), &info);
}

static inline int fakes_tear_down(void **state)
{
    (void)state;
    unlink(fake_certificate);
    return rmdir(fake_folder);
}

struct fake_server {
    struct hub *hub;
    struct server_net *net;
    pthread_t thread;
    enum err result;
    uint16_t port;
};

static inline void *fake_server_thread(void *argument)
{
    struct fake_server *server = argument;
    server->result = server_net_run(server->net);
    return NULL;
}

/* With short times; what is not 0 in `config` replaces them. */
static inline void fake_server_start(struct fake_server *server,
                                     const struct server_net_config *config)
{
    struct server_net_config own = config ? *config : (struct server_net_config){0};
    struct hub_config hub_config = {0};
    struct err_info info = {.message = ""};
    assert_ok(hub_open(&hub_config, (struct hub_now){.wall = {0}}, &server->hub, &info));
    own.address = "127.0.0.1";
    own.certificate_path = own.key_path = fake_certificate;
    own.stop_fd = -1;
    own.clock = &fake_clock;
    own.rng = &fake_rng;
    own.log = &fake_log;
    own.handshake_timeout_ms = own.handshake_timeout_ms ? own.handshake_timeout_ms : 5000;
    own.message_timeout_ms = own.message_timeout_ms ? own.message_timeout_ms : 5000;
    own.hang_up_timeout_ms = own.hang_up_timeout_ms ? own.hang_up_timeout_ms : 1000;
    own.stop_timeout_ms = own.stop_timeout_ms ? own.stop_timeout_ms : 1000;
    enum err err = server_net_open(&own, server->hub, &server->net, &info);
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), info.message);
    }
    server->port = server_net_port(server->net);
    assert_int_equal(pthread_create(&server->thread, NULL, fake_server_thread, server), 0);
}

/* Stops it, and checks that the hub saw each peer come and go. */
static inline void fake_server_stop(struct fake_server *server)
{
    server_net_stop(server->net);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    server_net_close(server->net);
    assert_int_equal(server->hub->attached, server->hub->detached);
    assert_null(server->hub->peers);
    hub_close(server->hub);
}

/* Until a counter of the server's thread has this value; fails after 30 s. */
static inline void fake_wait(const atomic_int *counter, int value)
{
    for (int i = 0; i < 30000 && *counter != value; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(*counter, value);
}

#endif
