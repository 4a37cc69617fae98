#include "server/main/house.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/os/os_clock.h"
#include "common/os/os_log.h"
#include "common/os/os_rng.h"
#include "common/os/os_tls.h"

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

static enum err open_store(struct house *house, enum house_mode mode, const char *given,
                           struct err_info *info)
{
    char path[OS_PATH_MAX];
    enum err e = house_path(house, given ? given : "hq.db", path, info);
    if (e != ERR_OK)
        return e;
    if (mode != HOUSE_MAKE && !os_file_exists(given ? given : path))
        return err_set(info, ERR_NOT_FOUND, "there is no %s%s", given ? given : path,
                       given ? "" : "; run 'satcheld init', or say with --data where it is");
    const char *sync = house->settings.sync;
    if (strcmp(sync, "full") != 0 && strcmp(sync, "normal") != 0)
        return err_set(info, ERR_INVALID, "sync is full or normal, not '%s'", sync);
    struct store_sqlite_options options = {
        .path = given ? given : path,
        .synchronous = strcmp(sync, "full") == 0 ? STORE_SQLITE_FULL : STORE_SQLITE_NORMAL,
        .keeps_log = true,
        .read_only = mode == HOUSE_LOOK,
        .busy_timeout_ms = BUSY_TIMEOUT_MS,
        .cache_bytes = (size_t)house->settings.cache_mb << 20,
    };
    return store_sqlite_open(&options, house->model, &house->store, info);
}

enum err house_open(struct house *house, enum house_mode mode, const char *store_path,
                    struct err_info *info)
{
    const struct settings *s = &house->settings;
    enum log_level level;
    enum err e = log_level_parse(s->log, &level, info);
    if (e == ERR_OK && mode != HOUSE_LOOK && house->lock.fd < 0)
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
        .limits = {.page_rows = (uint32_t)s->page_rows,
                   .page_bytes = (uint32_t)s->page_kb << 10,
                   .live_queue_bytes = (uint64_t)s->live_kb << 10},
    };
    if (e == ERR_OK && mode == HOUSE_SERVE)
        e = house_pin(house, house->config.server_key, info);
    if (e == ERR_OK && mode != HOUSE_FILES)
        e = open_store(house, mode, store_path, info);
    house->config.store = house->store;
    if (e == ERR_OK && (mode == HOUSE_SERVE || mode == HOUSE_LOOK))
        e = hub_open(&house->config, house_now(house), &house->hub, info);
    return e;
}

void house_leave(struct house *house)
{
    hub_close(house->hub);
    house->hub = NULL;
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
