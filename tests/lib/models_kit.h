/* models_kit.h - a world whose model changes: pair.h with stores that are files, opened anew as the programs do.
 *
 * Ownership:  models that stores were opened with live until stop(). */
#ifndef TESTS_LIB_MODELS_KIT_H
#define TESTS_LIB_MODELS_KIT_H

#include "tests/lib/pair.h"

#include "common/model_change.h"
#include "common/os/os_file.h"
#include "common/store_models.h"
#include "common/store_sqlite/store_sqlite.h"

#include <dirent.h>
#include <unistd.h>

#define THING                                                                               \
    "{\"id\":16,\"name\":\"thing\",\"bucket\":\"company\",\"title\":\"name\",\"columns\":[" \
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\"},{\"id\":2,\"name\":\"city\",\"type\":"  \
    "\"text\"},"                                                                            \
    "{\"id\":3,\"name\":\"level\",\"type\":\"enum\",\"symbols\":[\"low\",\"mid\"]}]}"
static const char first_model[] __attribute__((unused)) =
    "{\"name\":\"m\",\"version\":1,\"tables\":[" THING "]}";
static const char extension[] __attribute__((unused)) =
    "{\"extends\":\"m\",\"tables\":[{\"name\":\"thing\",\"columns\":[{"
    "\"name\":\"size\",\"type\":\"integer\","
    "\"default\":5},{\"name\":\"level\",\"symbols\":[\"top\"]}]},{"
    "\"name\":\"extra\",\"bucket\":\"company\","
    "\"columns\":[{\"name\":\"note\",\"type\":\"text\"}]}]}";
/* another one, of the same version, that uses the id for something else */
static const char other_extension[] __attribute__((unused)) =
    "{\"extends\":\"m\",\"tables\":[{\"name\":\"thing\","
    "\"columns\":[{\"name\":\"colour\",\"type\":\"text\"}]}]}";

enum { MODELS_MAX = 64 };
static char folder[] = "/tmp/satchel-models-XXXXXX";
static struct model *opened[MODELS_MAX];
static uint32_t opened_count;

static inline void path_of(const char *name, char out[100])
{
    snprintf(out, 100, "%s/%s.db", folder, name);
}

/* The store with its own, or next, model; with `fresh` where it has none. */
static inline struct store *open_file(const char *name, const struct model *fresh, bool keeps_log)
{
    char path[100];
    struct err_info info = {0};
    struct model *own = NULL;
    struct store *store;
    path_of(name, path);
    const struct store_sqlite_options options = {
        .path = path, .synchronous = STORE_SQLITE_OFF, .keeps_log = keeps_log};
    enum err e =
        os_file_exists(path) ? store_sqlite_model(&options, false, &own, &info) : ERR_NOT_FOUND;
    assert_true(e == ERR_OK || e == ERR_NOT_FOUND);
    if (e == ERR_OK)
        opened[opened_count++] = own;
    if (store_sqlite_open(&options, e == ERR_OK ? own : fresh, &store, &info) != ERR_OK)
        fail_msg("%s", info.message);
    return store;
}

static inline void name_of(const struct pair *p, const struct pair_device *device, char out[20])
{
    snprintf(out, 20, "d%u", (unsigned)(device - p->devices));
}

static inline struct store *open_device_store(struct pair *p, uint32_t n)
{
    char name[20];
    name_of(p, &p->devices[n], name);
    return open_file(name, p->model, true);
}

static inline void open_branch_hub(struct pair *p, struct pair_branch *branch)
{
    struct err_info info = {0};
    struct hub_config config = {.model = branch->link->store->model,
                                .store = branch->link->store,
                                .crypto = p->crypto,
                                .rng = &p->rng,
                                .replica = branch->link->replica};
    memset(config.server_key, 7, 32);
    assert_ok(hub_open(&config, pair_hub_now(p), &branch->hub, &info));
}

/* As the programs do: everything is closed, and opened with the model that is next. */
static inline void take_model(struct pair *p, struct pair_device *device)
{
    char name[20];
    name_of(p, device, name);
    if (device->serves) {
        for (uint32_t i = 0; i < p->device_count; i++)
            if (p->devices[i].at == device->serves)
                pair_cut(p, &p->devices[i]);
        pair_close_branch(device->serves);
    }
    pair_cut(p, device);
    uplink_free(device->uplink);
    device->uplink = NULL;
    replica_close(device->replica);
    store_close(device->store);
    device->store = open_file(name, p->model, true);
    pair_open_device(p, device);
    if (device->serves)
        open_branch_hub(p, device->serves);
}

static inline void reopen_hub(struct pair *p, const char *name)
{
    struct err_info info = {0};
    for (uint32_t i = 0; i < p->device_count; i++)
        if (!p->devices[i].at)
            pair_cut(p, &p->devices[i]);
    hub_close(p->hub);
    store_close(p->hub_store);
    p->hub_store = p->config.store = open_file(name, p->model, true);
    p->config.model = p->hub_store->model;
    if (hub_open(&p->config, pair_hub_now(p), &p->hub, &info) != ERR_OK)
        fail_msg("%s", info.message);
}

static inline void start_with(struct pair *p, const char *model, uint64_t seed)
{
    struct err_info info = {0};
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    opened_count = 0;
    pair_init(p, model, seed);
    p->open_store = open_device_store;
    p->take_model = take_model;
    hub_close(p->hub);
    store_close(p->hub_store);
    p->hub_store = p->config.store = open_file("hq", p->model, true);
    assert_ok(hub_create(&p->config, pair_hub_now(p), &info));
    assert_ok(hub_open(&p->config, pair_hub_now(p), &p->hub, &info));
}

static inline void start(struct pair *p, uint64_t seed)
{
    start_with(p, first_model, seed);
}

static inline void stop(struct pair *p)
{
    pair_done(p);
    for (uint32_t i = 0; i < opened_count; i++)
        model_free(opened[i]);
    char path[400];
    DIR *list = opendir(folder);
    assert_non_null(list);
    for (const struct dirent *item; (item = readdir(list)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, item->d_name);
        (void)unlink(path);
    }
    closedir(list);
    assert_int_equal(rmdir(folder), 0);
}

static const char *extend_with(struct pair *p, const char *text, bool dry)
{
    static char said[4096];
    struct buf answer;
    buf_init(&answer, sizeof said - 1);
    assert_ok(hub_extend(p->hub, bytes_of_text(text), dry, pair_hub_now(p), &answer));
    memcpy(said, answer.data, answer.size);
    said[answer.size] = 0;
    buf_done(&answer);
    return said;
}

static inline void extend(struct pair *p)
{
    const char *said = extend_with(p, extension, false);
    if (!strstr(said, "\"ok\":true"))
        fail_msg("%s", said);
    assert_true(hub_reopens(p->hub));
    pair_run(p);
    reopen_hub(p, "hq");
}

/* A branch whose link has learned goes on with it. */
static inline void branch_learns(struct pair *p, struct pair_branch *branch)
{
    pair_connect(p, branch->link, false);
    pair_run(p);
    if (branch->link->learned)
        take_model(p, branch->link);
    pair_connect(p, branch->link, false);
    pair_run(p);
}

static inline uint32_t version_of(const struct pair_device *device)
{
    return device->store->model->version;
}

static inline enum replica_model server_model(const struct pair_device *device,
                                              uint32_t *ret_version)
{
    struct arena arena;
    enum replica_model state;
    const char *why;
    arena_init(&arena, 1 << 16);
    assert_ok(store_begin(device->store, STORE_READ));
    assert_ok(replica_server_model(device->store, &arena, &state, ret_version, &why));
    store_rollback(device->store);
    arena_done(&arena);
    return state;
}

static inline uint64_t waiting(struct pair *p)
{
    const char *text = strstr(pair_admin(p, "{\"do\":\"status\"}"), "\"waiting\":");
    return strtoull(text + 10, NULL, 10);
}

#endif
