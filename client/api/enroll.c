#include "client/api/api_internal.h"

#include "common/os/os_clock.h"
#include "common/os/os_rng.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

enum { TIMEOUT_MS = 30000 };

/* One enrolment under way. */
struct enrolling {
    const struct satchel_enrollment *input;
    struct err_info *info;
    struct clock clock;
    struct rng rng;
    struct api_log log_to;
    struct log log;
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
    struct enrolling *x = context;
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

static const char *device_name(struct enrolling *x)
{
    if (x->input->device_name != NULL && x->input->device_name[0] != '\0')
        return x->input->device_name;
    return x->system.nodename[0] != '\0' ? x->system.nodename : "device";
}

static enum err make_uplink(struct enrolling *x)
{
    struct uplink_enrolment enrolment = {
        .name = device_name(x),
        .platform = x->input->platform != NULL ? x->input->platform : x->system.sysname};
    struct uplink_identity identity = {0};
    const struct uplink_config config = {.crypto = x->crypto,
                                         .rng = &x->rng,
                                         .log = &x->log,
                                         .agent = "satchel/" SATCHEL_VERSION,
                                         .once = true};
    memcpy(enrolment.code, x->ticket.code, sizeof enrolment.code);
    memcpy(identity.seed, x->identity.seed, sizeof identity.seed);
    memcpy(identity.server_key, x->ticket.pin, sizeof identity.server_key);
    enum err e = uplink_new(&config, &identity, &enrolment, &x->uplink);
    crypto_wipe(&identity, sizeof identity);
    crypto_wipe(&enrolment, sizeof enrolment);
    return e;
}

static enum err open_link(struct enrolling *x)
{
    const struct client_loop_config loop = {.clock = &x->clock, .log = &x->log, .links_max = 1};
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
static enum err talk(struct enrolling *x)
{
    int64_t timeout_ms = x->input->timeout_ms > 0 ? x->input->timeout_ms : TIMEOUT_MS;
    struct mono_time end = mono_add_ms(clock_mono(&x->clock), timeout_ms);
    enum err e = open_link(x);
    while (e == ERR_OK && !x->closed) {
        enum client_woken woken;
        int64_t left_us = mono_elapsed_us(clock_mono(&x->clock), end);
        if (left_us <= 0)
            return err_set(x->info, ERR_TIMEOUT, "%s did not enrol this device in time",
                           x->ticket.host);
        e = client_loop_run(x->loop, -1, left_us / 1000 + 1, &woken);
    }
    return e == ERR_OK ? x->why : e;
}

static enum err keep(struct enrolling *x, const char *path)
{
    const char *login;
    enum err e = uplink_enrolled(x->uplink, &x->identity.device, &x->identity.user,
                                 &x->identity.history, &login);
    if (e != ERR_OK)
        return err_set(x->info, ERR_PROTOCOL, "%s hung up without an answer", x->ticket.host);
    snprintf(x->identity.login, sizeof x->identity.login, "%s", login);
    snprintf(x->identity.name, sizeof x->identity.name, "%s", device_name(x));
    memcpy(x->identity.host, x->ticket.host, sizeof x->identity.host);
    memcpy(x->identity.pin, x->ticket.pin, sizeof x->identity.pin);
    x->identity.port = x->ticket.port;
    x->identity.enrolled_ms = clock_wall(&x->clock).ms;
    return identity_save(path, &x->identity, x->info);
}

static enum err enroll(struct enrolling *x, const char *path)
{
    if (os_file_exists(path))
        return err_set(x->info, ERR_EXISTS,
                       "'%s' is enrolled already: use another directory, or erase this one first",
                       x->input->directory);
    enum err e = rng_fill(&x->rng, x->identity.seed, sizeof x->identity.seed);
    if (e != ERR_OK)
        return err_set(x->info, e, "no random numbers");
    e = talk(x);
    return e == ERR_OK ? keep(x, path) : e;
}

static void done(struct enrolling *x)
{
    client_link_close(x->link);
    client_loop_free(x->loop);
    uplink_free(x->uplink);
    crypto_free(x->crypto);
    identity_done(&x->identity);
    crypto_wipe(&x->ticket, sizeof x->ticket);
}

enum satchel_code satchel_enroll(const struct satchel_enrollment *enrollment,
                                 struct satchel_error *ret_error)
{
    struct err_info unwanted;
    struct err_info *info = ret_error != NULL ? (struct err_info *)(void *)ret_error : &unwanted;
    struct enrolling x = {.input = enrollment, .info = info};
    char path[OS_PATH_MAX], lock_path[OS_PATH_MAX];
    struct os_lock lock;
    info->message[0] = '\0';
    if (enrollment->directory == NULL || enrollment->ticket == NULL)
        return (enum satchel_code)err_set(info, ERR_INVALID, "a directory and a ticket are needed");
    x.clock = os_clock();
    x.rng = os_rng();
    x.log_to = (struct api_log){enrollment->log, enrollment->log_context};
    x.log = api_log(&x.log_to);
    (void)uname(&x.system);
    enum err e = ticket_parse(enrollment->ticket, &x.ticket, info);
    if (e == ERR_OK)
        e = os_dir_make(enrollment->directory, 0700, info);
    if (e == ERR_OK)
        e = api_path(enrollment->directory, IDENTITY_FILE, path, info);
    if (e == ERR_OK)
        e = api_path(enrollment->directory, "lock", lock_path, info);
    if (e == ERR_OK)
        e = os_lock_take(lock_path, &lock, info);
    if (e == ERR_OK) {
        e = enroll(&x, path);
        os_lock_release(&lock);
    }
    done(&x);
    if (e != ERR_OK && info->message[0] == '\0')
        (void)err_set(info, e, "%s", err_text(e));
    return (enum satchel_code)e;
}
