/* satcheld run - serves a customer file until it is told to stop. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/store_sqlite/store_sqlite.h"
#include "common/text.h"
#include "server/main/command.h"
#include "server/main/house.h"
#include "server/main/upstream.h"
#include "server/net/server_net.h"

struct run {
    struct common_options common;
    const char *port_file;
    struct house house;
    struct address address;
    char certificate[OS_PATH_MAX], key[OS_PATH_MAX],
        control[OS_PATH_MAX]; /* the net borrows them */
    struct server_net *net;
    struct server_net_guest guest; /* of a branch */
    int stop_fd;
};

static enum err write_port(struct run *run, struct err_info *info)
{
    char text[300], path[OS_PATH_MAX];
    unsigned port = server_net_port(run->net);
    bool six = strchr(run->address.host, ':') != NULL;
    int size = snprintf(text, sizeof text, "%s%s%s:%u\n", six ? "[" : "",
                        run->address.host[0] ? run->address.host : "*", six ? "]" : "", port);
    enum err e = house_path(&run->house, "address", path, info);
    if (e == ERR_OK)
        e = os_file_write(path, bytes_of(text, (size_t)size), 0600, info);
    size = snprintf(text, sizeof text, "%u\n", port);
    if (e == ERR_OK && run->port_file)
        e = os_file_write(run->port_file, bytes_of(text, (size_t)size), 0644, info);
    return e;
}

static void print_start(const struct run *run)
{
    const struct house *house = &run->house;
    const char *host = run->address.host[0] ? run->address.host : "every address";
    struct buf pin;
    buf_init(&pin, 64);
    text_append_base64url(&pin, bytes_of(house->config.server_key, 32));
    buf_append_byte(&pin, 0);
    if (run->common.json)
        printf("{\"ok\":true,\"host\":\"%s\",\"port\":%u,\"pin\":\"%s\",\"pid\":%ld}\n",
               run->address.host, server_net_port(run->net), (const char *)pin.data,
               (long)getpid());
    else if (house_is_branch(house))
        printf("A branch%s%s serves %s on %s, port %u; the server above is %s.\n"
               "Pin: %s\n"
               "Devices enrol at headquarters, then: satchel server use BRANCH\n"
               "Stop with Ctrl-C or SIGTERM.\n",
               house->settings.name[0] ? " of " : "", house->settings.name, house->dir, host,
               server_net_port(run->net), house->settings.upstream, (const char *)pin.data);
    else
        printf("Headquarters%s%s serves %s on %s, port %u.\n"
               "Pin: %s\n"
               "Next: satcheld user add LOGIN --role admin --data %s\n"
               "      satcheld enroll LOGIN --data %s\n"
               "Stop with Ctrl-C or SIGTERM.\n",
               house->settings.name[0] ? " of " : "", house->settings.name, house->dir, host,
               server_net_port(run->net), (const char *)pin.data, house->dir, house->dir);
    (void)fflush(stdout);
    buf_done(&pin);
}

static enum err rest(void *context)
{
    enum { PAGES = 256 }; /* 2 MiB: some milliseconds */
    struct house *house = context;
    bool more;
    enum err e = store_sqlite_tidy(house->store);
    if (e == ERR_OK)
        e = store_sqlite_give_back(house->store, PAGES, &more);
    return err_class(e) == ERR_CLASS_RETRY ? ERR_OK : e; /* another time */
}

static enum err admin(void *context, struct bytes request, struct hub_now now, struct buf *answer)
{
    struct run *run = context;
    (void)now;
    enum err e = house_admin(&run->house, request, answer);
    if (house_reopens(&run->house)) /* the answer leaves before */
        server_net_stop(run->net);
    return e;
}

static enum err tell_end(struct run *run, enum err e, struct err_info *info)
{
    const char *why = upstream_failure(run->house.upstream);
    if (e == ERR_OK)
        return e;
    if (e == ERR_REVOKED)
        return err_set(info, e, "stopped: %s", why);
    return err_set(info, e,
                   "stopped: %s. Nothing that was acknowledged is lost; see that the "
                   "disk is well, 'satcheld verify --data %s', then start again",
                   err_text(e), run->house.dir);
}

static void reopen(void *context)
{
    struct run *run = context;
    if (run->net)
        server_net_stop(run->net);
}

static enum err open_all(struct run *run, struct err_info *info)
{
    struct house *house = &run->house;
    const struct settings *s = &house->settings;
    enum err e = house_open(house, HOUSE_SERVE, NULL, info);
    if (e == ERR_OK)
        e = house_path(house, s->certificate, run->certificate, info);
    if (e == ERR_OK)
        e = house_path(house, s->key, run->key, info);
    if (e == ERR_OK)
        e = house_path(house, "control.sock", run->control, info);
    if (e == ERR_OK && house->upstream)
        e = upstream_start(house->upstream, &run->guest, info);
    return e;
}

static enum err listen_on(struct run *run, uint16_t port, struct err_info *info)
{
    struct house *house = &run->house;
    const struct settings *s = &house->settings;
    enum err e;
    run->house.reopen = reopen;
    run->house.reopen_context = run;
    const struct server_net_config config = {
        .guest = house->upstream ? &run->guest : NULL,
        .admin = admin,
        .admin_context = run,
        .rest = rest,
        .rest_context = house,
        .address = run->address.host,
        .port = port,
        .certificate_path = run->certificate,
        .key_path = run->key,
        .control_path = run->control,
        .stop_fd = run->stop_fd,
        .clock = &house->clock,
        .rng = &house->rng,
        .log = &house->log,
        .connections_max = (uint32_t)s->connections,
        .per_address_max = (uint32_t)s->per_address,
    };
    e = server_net_open(&config, house->hub, &run->net, info);
    if (e == ERR_OK)
        e = write_port(run, info);
    return e;
}

/* Hub and store are closed and opened with the model that is next; the devices come back to the same port. */
static enum err serve_again(struct run *run, struct err_info *info)
{
    uint16_t port = server_net_port(run->net);
    server_net_close(run->net);
    run->net = NULL;
    house_leave(&run->house);
    enum err e = open_all(run, info);
    if (e == ERR_OK)
        e = listen_on(run, port, info);
    if (e == ERR_OK)
        log_write(&run->house.log, LOG_LEVEL_INFO, "the model has version %u now",
                  (unsigned)run->house.model->version);
    return e;
}

static enum err start(struct run *run, struct err_info *info)
{
    enum err e = address_parse(run->house.settings.listen, &run->address, info);
    if (e == ERR_OK) /* from here on, a signal to stop waits until we are ready to */
        e = server_net_stop_signals(&run->stop_fd, info);
    if (e == ERR_OK)
        e = open_all(run, info);
    if (e == ERR_OK)
        e = listen_on(run, run->address.port, info);
    if (e != ERR_OK)
        return e;
    print_start(run);
    for (;;) {
        e = server_net_run(run->net);
        if (e != ERR_OK || !house_reopens(&run->house))
            return tell_end(run, e, info);
        e = serve_again(run, info);
        if (e != ERR_OK)
            return e;
    }
}

static void stop(struct run *run)
{
    char path[OS_PATH_MAX];
    if (run->net && house_path(&run->house, "address", path, NULL) == ERR_OK)
        (void)unlink(path);
    server_net_close(run->net);
    house_close(&run->house);
    if (run->stop_fd >= 0)
        close(run->stop_fd);
}

/* Flags win over the file, so they are read again after it. */
static int read_options(struct run *run, int argc, char **argv)
{
    struct option options[4 + SETTINGS_MAX] = {
        OPTIONS_COMMON(&run->common),
        {"port-file", OPTION_TEXT, &run->port_file, "FILE", "writes the port number there", 0, 0},
    };
    size_t count = 3 + settings_options(&run->house.settings, options + 3);
    const struct usage usage = {
        "satcheld run",
        "",
        "Serves the customer file to its devices until SIGTERM or SIGINT. Each option but --data,\n"
        "--json and --port-file can also stand in satcheld.conf in the data directory.",
        "  satcheld run --data /srv/acme\n"
        "  satcheld run --data /tmp/try --listen 127.0.0.1:0 --port-file /tmp/port",
        options,
        count,
        0,
        0};
    return options_parse(&usage, argc, argv, NULL);
}

int command_run(int argc, char **argv)
{
    struct run run = {.stop_fd = -1, .house = {.lock = {-1}}};
    struct err_info info = {0};
    settings_init(&run.house.settings);
    int code = read_options(&run, argc, argv);
    if (code != OPTIONS_GO_ON)
        return code;
    enum err e = house_init(&run.house, data_of(&run.common), &info);
    if (e == ERR_OK)
        code = read_options(&run, argc, argv);
    if (e == ERR_OK && code == OPTIONS_GO_ON)
        e = start(&run, &info);
    if (e != ERR_OK)
        code = tell_failure(&run.common, e, &info);
    else if (code == OPTIONS_GO_ON)
        code = EXIT_DONE;
    bool network = e != ERR_OK && run.house.hub && !run.net; /* the address, the port */
    stop(&run);
    return network ? EXIT_NETWORK : code;
}
