/* satcheld init - a new, empty customer file. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/api/join.h"
#include "common/os/os_tls.h"
#include "server/main/command.h"
#include "server/main/ticket.h"
#include "server/main/upstream.h"

struct init {
    struct common_options common;
    const char *model, *name, *host, *listen, *upstream;
    struct satchel_ticket ticket; /* of upstream */
    struct address address;       /* a branch's, for its devices */
};

/* The model is checked before anything is made of it. */
static enum err copy_model(struct house *house, const char *file, struct err_info *info)
{
    char path[OS_PATH_MAX];
    struct buf text;
    struct model *model = NULL;
    buf_init(&text, MODEL_FILE_MAX);
    enum err e = os_file_read(file, &text, info);
    if (e == ERR_OK)
        e = model_parse(buf_view(&text), &model, info);
    if (e != ERR_OK && err_class(e) == ERR_CLASS_INPUT && e != ERR_NOT_FOUND) {
        struct err_info why = *info;
        err_set(info, e, "the model %s: %.400s", file, why.message);
    }
    if (e == ERR_OK)
        e = house_path(house, "model.json", path, info);
    if (e == ERR_OK)
        e = os_file_write(path, buf_view(&text), 0600, info);
    model_free(model);
    buf_done(&text);
    return e;
}

/* A certificate that is there, of an administrator or of an earlier attempt, stays. */
static enum err make_certificate(struct house *house, const char *host, struct err_info *info)
{
    char certificate[OS_PATH_MAX], key[OS_PATH_MAX], machine[256] = "";
    const char *names[5];
    size_t count = 0;
    if (host && *host)
        names[count++] = host;
    if (gethostname(machine, sizeof machine - 1) == 0 && machine[0] && !strchr(machine, '_'))
        names[count++] = machine;
    names[count++] = "localhost";
    names[count++] = "127.0.0.1";
    names[count++] = "::1";
    enum err e = house_path(house, "tls.crt", certificate, info);
    if (e == ERR_OK)
        e = house_path(house, "tls.key", key, info);
    if (e == ERR_OK)
        e = os_tls_make_certificate(certificate, key, names, count, clock_wall(&house->clock),
                                    info);
    return e == ERR_EXISTS ? ERR_OK : e;
}

/* A branch: gives the ticket at headquarters, with the address and the pin for its devices. */
static enum err enrol(struct house *house, struct init *with, struct err_info *info)
{
    char path[OS_PATH_MAX], place[PLACE_TEXT_SIZE];
    struct identity identity = {0};
    struct join join = {.ticket = with->upstream,
                        .address = place,
                        .clock = &house->clock,
                        .rng = &house->rng,
                        .log = &house->log};
    enum err e = house_path(house, UPSTREAM_FILE, path, info);
    if (e == ERR_OK)
        e = house_pin(house, join.pin, info);
    if (e != ERR_OK)
        return e;
    place_text(with->address.host, with->address.port, place);
    e = join_run(&join, &identity, info);
    if (e == ERR_OK)
        e = identity_save(path, &identity, info);
    identity_done(&identity);
    return e;
}

static enum err make_store(struct house *house, struct err_info *info)
{
    enum err e = house_open(house, HOUSE_MAKE, NULL, info);
    if (e == ERR_OK)
        e = hub_create(&house->config, house_now(house), info);
    house_leave(house);
    return e;
}

/* What can be said of the arguments before anything is made. */
static enum err check_arguments(struct init *with, struct err_info *info)
{
    struct address address;
    enum err e = with->listen ? address_parse(with->listen, &address, info) : ERR_OK;
    if (e != ERR_OK || !with->upstream)
        return e;
    e = ticket_parse(with->upstream, &with->ticket, info);
    if (e == ERR_OK && !with->host)
        e = err_set(info, ERR_INVALID,
                    "say with --host HOST[:PORT] how the branch's devices reach this server");
    return e;
}

static enum err check_new(struct house *house, struct err_info *info)
{
    static const char *const names[] = {"hq.db", BRANCH_STORE, UPSTREAM_FILE};
    char path[OS_PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        enum err e = house_path(house, names[i], path, info);
        if (e != ERR_OK)
            return e;
        if (os_file_exists(path))
            return err_set(info, ERR_EXISTS,
                           "%s exists already: it is never made anew. 'satcheld run --data %s' "
                           "serves it; for another customer file choose another directory",
                           path, house->dir);
    }
    return ERR_OK;
}

/* The configuration, and of a branch the address for its devices, which depends on it. */
static enum err configure(struct house *house, struct init *with, struct err_info *info)
{
    char path[OS_PATH_MAX], above[PLACE_TEXT_SIZE];
    struct settings_given given = {with->name, with->listen, with->host, NULL};
    enum err e = house_path(house, "satcheld.conf", path, info);
    if (with->upstream) {
        place_text(with->ticket.host, with->ticket.port, above);
        given.upstream = above;
    }
    if (e == ERR_OK && !os_file_exists(path))
        e = settings_write(path, &given, info);
    if (e == ERR_OK)
        e = settings_read(&house->settings, path, info);
    if (e != ERR_OK || !with->upstream)
        return e;
    if (!house_is_branch(house))
        return err_set(info, ERR_INVALID, "%s has no 'upstream = %s'", path, above);
    return ticket_address(house, with->host, &with->address, info);
}

static enum err init(struct house *house, struct init *with, struct err_info *info)
{
    enum err e = check_arguments(with, info);
    if (e == ERR_OK)
        e = os_dir_make(house->dir, 0700, info);
    if (e == ERR_OK)
        e = house_init(house, house->dir, info);
    if (e == ERR_OK)
        e = check_new(house, info);
    if (e == ERR_OK) /* the lock first: nobody else makes it now */
        e = house_open(house, HOUSE_FILES, NULL, info);
    model_free(house->model); /* the one of before the copy */
    house->model = NULL;
    if (e == ERR_OK && with->model)
        e = copy_model(house, with->model, info);
    if (e == ERR_OK)
        e = configure(house, with, info);
    if (e == ERR_OK)
        e = make_certificate(house, with->upstream ? with->address.host : with->host, info);
    if (e != ERR_OK)
        return e;
    return with->upstream ? enrol(house, with, info) : make_store(house, info);
}

static void print_done(const struct house *house, const struct init *with)
{
    char place[PLACE_TEXT_SIZE];
    place_text(with->address.host, with->address.port, place);
    if (with->common.json) {
        json_t *answer =
            json_pack("{s:b,s:s,s:s}", "ok", 1, "data", house->dir, "model", house->model->name);
        if (with->upstream)
            json_object_set_new(answer, "address", json_string(place));
        print_json(answer);
        json_decref(answer);
        return;
    }
    if (with->upstream) {
        printf("The server of a branch in %s, enrolled at %s, for devices at %s.\n\n"
               "Next:\n"
               "  satcheld run --data %s\n"
               "On a device of the branch, after its next exchange:\n"
               "  satchel server use BRANCH\n",
               house->dir, house->settings.upstream, place, house->dir);
        return;
    }
    printf("A new customer file in %s, model '%s'.\n\n"
           "Next:\n"
           "  satcheld run --data %s\n"
           "  satcheld user add LOGIN --role admin --data %s\n"
           "  satcheld enroll LOGIN --data %s\n\n"
           "Keep tls.key in a safe place as well: devices know this server by it.\n",
           house->dir, house->model->name, house->dir, house->dir, house->dir);
}

int command_init(int argc, char **argv)
{
    struct init with = {0};
    const struct option options[] = {
        OPTIONS_COMMON(&with.common),
        {"model", OPTION_TEXT, &with.model, "FILE", "a model file (JSON); else the CRM's", 0, 0},
        {"name", OPTION_TEXT, &with.name, "COMPANY", "what people call this server", 0, 0},
        {"host", OPTION_TEXT, &with.host, "HOST", "the name under which devices reach it", 0, 0},
        {"upstream", OPTION_TEXT, &with.upstream, "TICKET",
         "makes the server of a branch: the ticket of 'satcheld branch ticket' at headquarters", 0,
         0},
        {"listen", OPTION_TEXT, &with.listen, "ADDR:PORT", "where it will listen (*:7443)", 0, 0},
    };
    const struct usage usage = {
        "satcheld init",
        "",
        "Makes a new, empty customer file: the directory (mode 0700), the store hq.db, a key and\n"
        "certificate, and satcheld.conf to edit. Never touches an existing store. With --upstream "
        "the\n"
        "server of a branch: enrolled at headquarters, filled from there when it runs.",
        "  satcheld init --data /srv/acme --name 'Acme Ltd' --host hq.acme.example\n"
        "  satcheld init --data /srv/kazan --upstream 'satchel://...' --host kazan.acme.example",
        options,
        sizeof options / sizeof *options,
        0,
        0};
    int code = options_parse(&usage, argc, argv, NULL);
    if (code != OPTIONS_GO_ON)
        return code;
    struct house house = {.dir = data_of(&with.common), .lock = {-1}};
    struct err_info info = {0};
    enum err e = init(&house, &with, &info);
    if (e == ERR_OK)
        print_done(&house, &with);
    else
        code = tell_failure(&with.common, e, &info);
    house_close(&house);
    return e == ERR_OK ? EXIT_DONE : code;
}
