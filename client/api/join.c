#include "client/api/join.h"

#include "client/core/uplink.h"
#include "client/net/loop.h"
#include "common/crypto.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

enum { TIMEOUT_MS = 30000 };

/* One enrolment under way. */
struct joining {
    const struct join *input;
    struct err_info *info;
    struct crypto *crypto;
    struct client_loop *loop;
    struct uplink *uplink;
    struct client_link *link;
    struct satchel_ticket ticket;
    struct identity identity;
    struct utsname system;
    bool closed;
    enum err why;
};

static void report(void *context, struct client_link *link, const struct client_report *report)
{
    struct joining *x = context;
    (void)link;
    if (!report->closed)
        return;
    x->closed = true;
    x->why = report->why;
    if (report->why != ERR_OK)
        (void)err_set(x->info, report->why, "%s",
                      report->message != NULL && report->message[0] != '\0'
                          ? report->message
                          : err_text(report->why));
}

static const char *device_name(struct joining *x)
{
    if (x->input->name != NULL && x->input->name[0] != '\0')
        return x->input->name;
    return x->system.nodename[0] != '\0' ? x->system.nodename : "device";
}

static enum err make_uplink(struct joining *x)
{
    struct uplink_enrolment enrolment = {.name = device_name(x),
                                         .platform = x->input->platform != NULL ? x->input->platform
                                                                                : x->system.sysname,
                                         .address = x->input->address};
    struct uplink_identity identity = {0};
    const struct uplink_config config = {.crypto = x->crypto,
                                         .rng = x->input->rng,
                                         .log = x->input->log,
                                         .agent = "satchel/" SATCHEL_VERSION,
                                         .once = true};
    memcpy(enrolment.pin, x->input->pin, sizeof enrolment.pin);
    memcpy(enrolment.code, x->ticket.code, sizeof enrolment.code);
    memcpy(identity.seed, x->identity.seed, sizeof identity.seed);
    memcpy(identity.server_key, x->ticket.pin, sizeof identity.server_key);
    enum err e = uplink_new(&config, &identity, &enrolment, &x->uplink);
    crypto_wipe(&identity, sizeof identity);
    crypto_wipe(&enrolment, sizeof enrolment);
    return e;
}

static enum err open_link(struct joining *x)
{
    const struct client_loop_config loop = {
        .clock = x->input->clock, .log = x->input->log, .links_max = 1};
    struct client_link_config config = {
        .host = x->ticket.host, .port = x->ticket.port, .report = report, .context = x};
    enum err e = crypto_new(&x->crypto);
    if (e == ERR_OK)
        e = make_uplink(x);
    if (e == ERR_OK)
        e = client_loop_new(&loop, &x->loop, x->info);
    if (e != ERR_OK)
        return e;
    config.uplink = x->uplink;
    memcpy(config.pin, x->ticket.pin, sizeof config.pin);
    return client_link_open(x->loop, &config, &x->link);
}

/* Connects and speaks until the server has answered. */
static enum err talk(struct joining *x)
{
    int64_t timeout_ms = x->input->timeout_ms > 0 ? x->input->timeout_ms : TIMEOUT_MS;
    struct mono_time end = mono_add_ms(clock_mono(x->input->clock), timeout_ms);
    enum err e = open_link(x);
    while (e == ERR_OK && !x->closed) {
        enum client_woken woken;
        int64_t left_us = mono_elapsed_us(clock_mono(x->input->clock), end);
        if (left_us <= 0)
            return err_set(x->info, ERR_TIMEOUT, "%s did not enrol this device in time",
                           x->ticket.host);
        e = client_loop_run(x->loop, -1, left_us / 1000 + 1, &woken);
    }
    return e == ERR_OK ? x->why : e;
}

/* What the server gave. */
static enum err take(struct joining *x)
{
    const char *login;
    enum err e = uplink_enrolled(x->uplink, &x->identity.device, &x->identity.user,
                                 &x->identity.history, &login);
    if (e != ERR_OK)
        return err_set(x->info, ERR_PROTOCOL, "%s hung up without an answer", x->ticket.host);
    snprintf(x->identity.login, sizeof x->identity.login, "%s", login);
    snprintf(x->identity.name, sizeof x->identity.name, "%s", device_name(x));
    memcpy(x->identity.home.host, x->ticket.host, sizeof x->identity.home.host);
    memcpy(x->identity.home.pin, x->ticket.pin, sizeof x->identity.home.pin);
    x->identity.home.port = x->ticket.port;
    identity_use(&x->identity, &x->identity.home);
    x->identity.enrolled_ms = clock_wall(x->input->clock).ms;
    return ERR_OK;
}

static void done(struct joining *x)
{
    client_link_close(x->link);
    client_loop_free(x->loop);
    uplink_free(x->uplink);
    crypto_free(x->crypto);
    identity_done(&x->identity);
    crypto_wipe(&x->ticket, sizeof x->ticket);
}

enum err join_run(const struct join *input, struct identity *ret, struct err_info *info)
{
    struct joining x = {.input = input, .info = info};
    (void)uname(&x.system);
    enum err e = ticket_parse(input->ticket, &x.ticket, info);
    if (e == ERR_OK) {
        e = rng_fill(input->rng, x.identity.seed, sizeof x.identity.seed);
        if (e != ERR_OK)
            (void)err_set(info, e, "no random numbers");
    }
    if (e == ERR_OK)
        e = talk(&x);
    if (e == ERR_OK)
        e = take(&x);
    if (e == ERR_OK)
        *ret = x.identity;
    done(&x);
    return e;
}
