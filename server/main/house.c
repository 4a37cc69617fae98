#include "server/main/house.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/os/os_clock.h"
#include "common/os/os_log.h"
#include "common/os/os_rng.h"
#include "common/os/os_tls.h"
#include "server/main/upstream.h"

enum { BUSY_TIMEOUT_MS = 5000 };

struct hub_now house_now(const struct house *house)
{
    return (struct hub_now){clock_wall(&house->clock), clock_mono(&house->clock)};
}

enum err house_path(const struct house *house, const char *name, char out[OS_PATH_MAX],
                    struct err_info *info)
{
    int size = name[0] == '/' ? snprintf(out, OS_PATH_MAX, "%s", name)
                              : snprintf(out, OS_PATH_MAX, "%s/%s", house->dir, name);
    if (size < 0 || size >= OS_PATH_MAX)
        return err_set(info, ERR_INVALID, "the path of %s is too long", name);
    return ERR_OK;
}

enum err house_pin(const struct house *house, uint8_t pin[32], struct err_info *info)
{
    char path[OS_PATH_MAX];
    enum err e = house_path(house, house->settings.certificate, path, info);
    return e == ERR_OK ? os_tls_pin(path, pin, info) : e;
}

enum err house_init(struct house *house, const char *dir, struct err_info *info)
{
    *house = (struct house){.dir = dir, .lock = {-1}, .clock = os_clock(), .rng = os_rng()};
    house->log = os_log(LOG_LEVEL_WARNING);
    settings_init(&house->settings);
    struct stat status;
    if (stat(dir, &status) != 0 || !S_ISDIR(status.st_mode))
        return err_set(info, ERR_NOT_FOUND,
                       "there is no data directory %s; make one with 'satcheld init --data %s', or "
                       "say which with --data",
                       dir, dir);
    char path[OS_PATH_MAX];
    enum err e = house_path(house, "satcheld.conf", path, info);
    return e == ERR_OK ? settings_read(&house->settings, path, info) : e;
}

static int64_t days_ms(int64_t days)
{
    return days > 0 ? days * 24 * 3600 * 1000 : -1;
}

struct hub_retention house_retention(const struct house *house)
{
    return (struct hub_retention){.horizon_ms = days_ms(house->settings.horizon_days),
                                  .lease_ms = days_ms(house->settings.lease_days),
                                  .archive_ms = days_ms(house->settings.archive_days)};
}

static enum err load_model(struct house *house, struct err_info *info)
{
    char path[OS_PATH_MAX];
    enum err e = house_path(house, "model.json", path, info);
    if (e != ERR_OK)
        return e;
    if (!os_file_exists(path))
        return model_builtin(&house->model, info);
    struct buf text;
    buf_init(&text, MODEL_FILE_MAX);
    e = os_file_read(path, &text, info);
    if (e == ERR_OK)
        e = model_parse(buf_view(&text), &house->model, info);
    buf_done(&text);
    return e;
}

static enum err take_lock(struct house *house, struct err_info *info)
{
    char path[OS_PATH_MAX];
    enum err e = house_path(house, "lock", path, info);
    if (e == ERR_OK)
        e = os_lock_take(path, &house->lock, info);
    if (e != ERR_BUSY)
        return e;
    char why[256];
    (void)snprintf(why, sizeof why, "%.255s", info->message);
    return err_set(info, e,
                   "another satcheld works in %s (%s). Commands reach a running server by "
                   "themselves; to start a new one, stop that one first",
                   house->dir, why);
}

/* model.json was changed by hand, perhaps: that changes nothing. */
static void tell_other_model(const struct house *house, const struct model *own)
{
    char path[OS_PATH_MAX];
    if (house->model->version > own->version &&
        house_path(house, "model.json", path, NULL) == ERR_OK && os_file_exists(path))
        log_write(
            &house->log, LOG_LEVEL_WARNING,
            "%s is not the model of this customer file: 'satcheld model extend' takes it over",
            path);
}

static enum err open_store(struct house *house, enum house_mode mode, const char *given,
                           struct err_info *info)
{
    char path[OS_PATH_MAX];
    bool branch = house_is_branch(house);
    enum err e = house_path(house, given ? given : branch ? BRANCH_STORE : "hq.db", path, info);
    if (e != ERR_OK)
        return e;
    bool may_make = mode == HOUSE_MAKE || (branch && mode == HOUSE_SERVE);
    if (!may_make && branch && !os_file_exists(path))
        return err_set(info, ERR_NOT_FOUND,
                       "this branch has not been run yet: 'satcheld run --data %s'", house->dir);
    if (!may_make && !os_file_exists(given ? given : path))
        return err_set(info, ERR_NOT_FOUND, "there is no %s%s", given ? given : path,
                       given ? "" : "; run 'satcheld init', or say with --data where it is");
    const char *sync = house->settings.sync;
    if (strcmp(sync, "full") != 0 && strcmp(sync, "normal") != 0)
        return err_set(info, ERR_INVALID, "sync is full or normal, not '%s'", sync);
    struct store_sqlite_options options = {
        .path = given ? given : path,
        .synchronous = strcmp(sync, "full") == 0 ? STORE_SQLITE_FULL : STORE_SQLITE_NORMAL,
        .keeps_log = true,
        .erases = branch, /* records leave a branch for good, as they do a device */
        .read_only = mode == HOUSE_LOOK || mode == HOUSE_COPY,
        .any_model = mode == HOUSE_COPY,
        .busy_timeout_ms = BUSY_TIMEOUT_MS,
        .cache_bytes = (size_t)house->settings.cache_mb << 20,
    };
    /* What the store has, or has next, is the model; what was given is for one that has none. */
    struct model *own = NULL;
    e = os_file_exists(options.path) ? store_sqlite_model(&options, given != NULL, &own, info)
                                     : ERR_NOT_FOUND;
    if (e == ERR_OK) {
        tell_other_model(house, own);
        model_free(house->model);
        house->model = own;
    } else if (e != ERR_NOT_FOUND) {
        return e;
    }
    e = store_sqlite_open(&options, house->model, &house->store, info);
    if (e != ERR_MODEL || given || mode != HOUSE_LOOK)
        return e;
    /* Who only looks at a store that an older program has left brings it up to date first. */
    struct store_sqlite_options writing = options;
    struct err_info busy;
    writing.read_only = false;
    if (house->lock.fd >= 0 || take_lock(house, &busy) != ERR_OK)
        return e;
    if (store_sqlite_open(&writing, house->model, &house->store, NULL) == ERR_OK) {
        store_close(house->store);
        house->store = NULL;
        e = store_sqlite_open(&options, house->model, &house->store, info);
    }
    os_lock_release(&house->lock);
    house->lock.fd = -1;
    return e;
}

static enum err open_replica(struct house *house, struct err_info *info)
{
    struct replica_config config = {.model = house->model,
                                    .store = house->store,
                                    .crypto = house->crypto,
                                    .rng = &house->rng,
                                    .log = &house->log};
    upstream_wire(house->upstream, &config, &house->config);
    enum err e = replica_open(&config, &house->replica, info);
    house->config.replica = house->replica;
    return e;
}

enum err house_open(struct house *house, enum house_mode mode, const char *store_path,
                    struct err_info *info)
{
    const struct settings *s = &house->settings;
    enum log_level level;
    enum err e = log_level_parse(s->log, &level, info);
    if (e == ERR_OK && mode != HOUSE_LOOK && mode != HOUSE_COPY && house->lock.fd < 0)
        e = take_lock(house, info);
    if (e == ERR_OK && !house->model)
        e = load_model(house, info);
    if (e == ERR_OK && !house->crypto) {
        e = crypto_new(&house->crypto);
        if (e != ERR_OK)
            err_set(info, e, "OpenSSL cannot be used: %s", err_text(e));
    }
    if (mode == HOUSE_SERVE)
        house->log = os_log(level);
    house->config = (struct hub_config){
        .model = house->model,
        .crypto = house->crypto,
        .rng = &house->rng,
        .log = &house->log,
        .inspect = mode == HOUSE_LOOK,
        .retention = house_retention(house),
        .limits = {.page_rows = (uint32_t)s->page_rows,
                   .page_bytes = (uint32_t)s->page_kb << 10,
                   .live_queue_bytes = (uint64_t)s->live_kb << 10,
                   .attachment_bytes = (uint64_t)s->attachment_mb << 20},
    };
    if (e == ERR_OK && mode == HOUSE_SERVE)
        e = house_pin(house, house->config.server_key, info);
    if (e == ERR_OK && mode != HOUSE_FILES)
        e = open_store(house, mode, store_path, info);
    house->config.model = house->model;
    house->config.store = house->store;
    bool branch = house_is_branch(house), serve = mode == HOUSE_SERVE, look = mode == HOUSE_LOOK;
    if (e == ERR_OK && branch && (serve || look))
        e = upstream_new(house, &house->upstream, info);
    if (e == ERR_OK && branch && (serve || look))
        e = open_replica(house, info);
    if (e == ERR_OK && (serve || (look && !branch)))
        e = hub_open(&house->config, house_now(house), &house->hub, info);
    return e;
}

bool house_is_branch(const struct house *house)
{
    return house->settings.upstream[0] != '\0';
}

static enum err answer_branch(struct house *house, struct bytes request, struct buf *answer)
{
    json_t *asked = json_loadb((const char *)request.data, request.size, 0, NULL);
    const char *what = json_string_value(json_object_get(asked, "do"));
    bool status = what && strcmp(what, "status") == 0;
    json_decref(asked);
    json_t *said = NULL;
    if (status) {
        said = json_pack("{s:b,s:s}", "ok", 1, "model", house->model->name);
    } else {
        said = json_pack("{s:b,s:s,s:s}", "ok", 0, "code", err_name(ERR_FORBIDDEN), "message",
                         "this is a branch, which is administered at headquarters");
    }
    if (!said)
        return ERR_NOMEM;
    if (status)
        upstream_status(house->upstream, said);
    char *text = json_dumps(said, JSON_COMPACT);
    enum err e = text ? buf_append(answer, text, strlen(text)) : ERR_NOMEM;
    free(text);
    json_decref(said);
    return e;
}

/* The file is read here: a line of the control socket is too short for a model, and the hub reads no files. */
static enum err answer_extend(struct house *house, const json_t *asked, struct buf *answer)
{
    const char *file = json_string_value(json_object_get(asked, "file"));
    struct err_info info = {0};
    struct buf text;
    buf_init(&text, MODEL_FILE_MAX);
    enum err e =
        file ? os_file_read(file, &text, &info) : err_set(&info, ERR_INVALID, "say which file");
    if (e == ERR_OK) {
        e = hub_extend(house->hub, buf_view(&text), json_is_true(json_object_get(asked, "dry_run")),
                       house_now(house), answer);
    } else {
        json_t *refusal =
            json_pack("{s:b,s:s,s:s}", "ok", 0, "code", err_name(e), "message", info.message);
        char *said = refusal ? json_dumps(refusal, JSON_COMPACT) : NULL;
        json_decref(refusal);
        e = said ? buf_append(answer, said, strlen(said)) : ERR_NOMEM;
        free(said);
    }
    buf_done(&text);
    return e;
}

enum err house_admin(struct house *house, struct bytes request, struct buf *answer)
{
    json_t *asked = json_loadb((const char *)request.data, request.size, 0, NULL);
    const char *what = json_string_value(json_object_get(asked, "do"));
    if (what && strcmp(what, "model-extend") == 0 && house->hub && !house_is_branch(house)) {
        enum err e = answer_extend(house, asked, answer);
        json_decref(asked);
        return e;
    }
    json_decref(asked);
    return house_is_branch(house) ? answer_branch(house, request, answer)
                                  : hub_admin(house->hub, request, house_now(house), answer);
}

bool house_reopens(const struct house *house)
{
    return house->learned || (house->hub && hub_reopens(house->hub));
}

void house_leave(struct house *house)
{
    house->learned = false;
    upstream_free(house->upstream);
    house->upstream = NULL;
    hub_close(house->hub);
    house->hub = NULL;
    replica_close(house->replica);
    house->replica = NULL;
    store_close(house->store);
    house->store = NULL;
}

void house_close(struct house *house)
{
    house_leave(house);
    model_free(house->model);
    crypto_free(house->crypto);
    os_lock_release(&house->lock);
    settings_done(&house->settings);
    house->model = NULL;
    house->crypto = NULL;
}
