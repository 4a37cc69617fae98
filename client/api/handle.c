#include "client/api/api_internal.h"

#include "common/os/os_clock.h"
#include "common/os/os_rng.h"
#include "common/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_TIMEOUT_MS = 5000 };

static const char store_file[] = "replica.db";

_Static_assert(sizeof(struct satchel_value) == sizeof(struct value), "values pass by cast");
_Static_assert(offsetof(struct satchel_value, as) == offsetof(struct value, as), "as above");
_Static_assert(offsetof(struct satchel_bytes, size) == offsetof(struct bytes, size), "as above");
_Static_assert((int)SATCHEL_NULL == (int)VALUE_NULL && (int)SATCHEL_INT == (int)VALUE_INT &&
                   (int)SATCHEL_REAL == (int)VALUE_REAL && (int)SATCHEL_TEXT == (int)VALUE_TEXT &&
                   (int)SATCHEL_BLOB == (int)VALUE_BLOB,
               "as above");
_Static_assert(sizeof(struct satchel_id) == sizeof(struct uuid), "ids pass by cast");
_Static_assert(sizeof(struct satchel_error) == sizeof(struct err_info) &&
                   offsetof(struct satchel_error, native) == offsetof(struct err_info, native) &&
                   offsetof(struct satchel_error, message) == offsetof(struct err_info, message),
               "errors pass by cast");
_Static_assert((int)SATCHEL_LOG_DEBUG == (int)LOG_LEVEL_DEBUG, "levels pass by cast");

/* ---- errors, ids, values ---- */

const char *satchel_error_name(enum satchel_code code)
{
    return err_name((enum err)code);
}

const char *satchel_error_text(enum satchel_code code)
{
    return err_text((enum err)code);
}

const char *satchel_version(void)
{
    return SATCHEL_VERSION;
}

void satchel_id_format(const struct satchel_id *id, char out[SATCHEL_ID_TEXT_SIZE])
{
    uuid_format(api_uuid(id), out);
}

enum satchel_code satchel_id_parse(const char *text, struct satchel_id *ret_id)
{
    struct uuid id;
    enum err e = uuid_parse(bytes_of_text(text), &id);
    if (e == ERR_OK)
        *ret_id = api_id(&id);
    return (enum satchel_code)e;
}

struct satchel_value satchel_null(void)
{
    return (struct satchel_value){.kind = SATCHEL_NULL};
}

struct satchel_value satchel_int(int64_t integer)
{
    return (struct satchel_value){.kind = SATCHEL_INT, .as = {.integer = integer}};
}

struct satchel_value satchel_real(double real)
{
    return (struct satchel_value){.kind = SATCHEL_REAL, .as = {.real = real}};
}

struct satchel_value satchel_text(const char *text)
{
    const struct value value = value_text(bytes_of_text(text));
    return api_public(&value);
}

struct satchel_value satchel_blob(const void *data, size_t size)
{
    const struct value value = value_blob(bytes_of(data, size));
    return api_public(&value);
}

struct satchel_value satchel_reference(const struct satchel_id *id)
{
    return satchel_blob(id->byte, sizeof id->byte);
}

enum satchel_code satchel_ticket_parse(const char *ticket, struct satchel_ticket *ret_ticket,
                                       struct satchel_error *ret_error)
{
    return (enum satchel_code)ticket_parse(ticket, ret_ticket,
                                           (struct err_info *)(void *)ret_error);
}

/* ---- what every function begins and ends with ---- */

enum err api_start(struct satchel *h)
{
    h->error.code = ERR_OK;
    h->error.native = 0;
    h->error.message[0] = '\0';
    if (h->revoked)
        return err_set(&h->error, ERR_REVOKED,
                       "this device was revoked and its data were erased. Enrol it again");
    if (h->store == NULL)
        return err_set(
            &h->error, ERR_IO,
            "the replica could not be opened with headquarters' new model. Open it again");
    return ERR_OK;
}

enum satchel_code api_end(struct satchel *h, enum err e)
{
    if (e == ERR_OK)
        h->error.code = ERR_OK;
    else if (h->error.code != e || h->error.message[0] == '\0')
        (void)err_set(&h->error, e, "%s", err_text(e));
    return (enum satchel_code)e;
}

const struct satchel_error *satchel_last_error(const struct satchel *handle)
{
    return (const struct satchel_error *)(const void *)&handle->error;
}

enum err api_read_begin(struct satchel *h)
{
    if (h->reading == 0 && !replica_in_transaction(h->replica)) {
        enum err e = store_begin(h->store, STORE_READ);
        if (e != ERR_OK)
            return e;
    }
    h->reading++;
    api_sync_hold(h, 1);
    return ERR_OK;
}

void api_read_end(struct satchel *h)
{
    assert(h->reading > 0);
    h->reading--;
    api_sync_hold(h, -1);
    if (h->reading == 0 && !replica_in_transaction(h->replica))
        store_rollback(h->store);
}

int api_stop(int result)
{
    return result != 0 ? STORE_STOP : 0;
}

enum err api_path(const char *directory, const char *name, char out[OS_PATH_MAX],
                  struct err_info *info)
{
    int size = snprintf(out, OS_PATH_MAX, "%s/%s", directory, name);
    if (size < 0 || size >= OS_PATH_MAX)
        return err_set(info, ERR_INVALID, "the path of the data directory is too long");
    return ERR_OK;
}

/* ---- opening ---- */

static enum err open_directory(struct satchel *h, const struct satchel_options *options,
                               struct err_info *info)
{
    char path[OS_PATH_MAX];
    enum err e = api_path(options->directory, IDENTITY_FILE, path, info);
    if (e != ERR_OK)
        return e;
    h->enrolled = os_file_exists(path);
    if (!h->enrolled && !options->create && !options->read_only)
        return err_set(info, ERR_NOT_FOUND,
                       "nothing is enrolled in '%s': enrol this device first, with a ticket from"
                       " headquarters",
                       options->directory);
    if (options->create && !options->read_only)
        e = os_dir_make(options->directory, 0700, info);
    if (e == ERR_OK && h->enrolled)
        e = identity_load(path, &h->identity, info);
    if (e == ERR_OK)
        e = api_path(options->directory, "lock", path, info);
    if (e == ERR_OK && !options->read_only)
        e = os_lock_take(path, &h->lock, info);
    return e;
}

static enum err read_model(struct satchel *h, const char *path, struct err_info *info)
{
    if (path == NULL)
        return model_builtin(&h->model, info);
    struct buf text;
    buf_init(&text, MODEL_FILE_MAX);
    enum err e = os_file_read(path, &text, info);
    if (e == ERR_OK)
        e = model_parse(buf_view(&text), &h->model, info);
    buf_done(&text);
    return e;
}

/* Who only reads what an older program has left brings it up to date first. */
static void bring_up(struct satchel *h, const struct store_sqlite_options *options)
{
    char path[OS_PATH_MAX];
    struct store_sqlite_options writing = *options;
    struct os_lock lock;
    struct store *store;
    writing.read_only = false;
    if (api_path(h->directory, "lock", path, NULL) != ERR_OK ||
        os_lock_take(path, &lock, NULL) != ERR_OK)
        return; /* a program is at work there, which does it, or is the older one */
    if (store_sqlite_open(&writing, h->model, &store, NULL) == ERR_OK)
        store_close(store);
    os_lock_release(&lock);
}

/* The store's own, or next, model; where it has none yet, the one that was given. */
static enum err open_store(struct satchel *h, struct err_info *info)
{
    char path[OS_PATH_MAX];
    struct model *own = NULL;
    enum err e = api_path(h->directory, store_file, path, info);
    if (e != ERR_OK)
        return e;
    if (h->read_only && !os_file_exists(path))
        return err_set(info, ERR_NOT_FOUND, "there is no replica in '%s' yet: sync once",
                       h->directory);
    const struct store_sqlite_options store = {
        .path = path,
        .synchronous =
            h->synchronous == SATCHEL_SYNCHRONOUS_NORMAL ? STORE_SQLITE_NORMAL : STORE_SQLITE_FULL,
        .erases = true, /* records leave a device for good */
        .read_only = h->read_only,
        .cache_bytes = h->cache_bytes,
        .busy_timeout_ms = BUSY_TIMEOUT_MS,
    };
    e = os_file_exists(path) ? store_sqlite_model(&store, false, &own, info) : ERR_NOT_FOUND;
    if (e == ERR_OK) {
        model_free(h->model);
        h->model = own;
    } else if (e != ERR_NOT_FOUND) {
        return e;
    }
    if (api_schema_make(h->model, &h->schema_arena, &h->schema) != ERR_OK)
        return err_set(info, ERR_NOMEM, "out of memory");
    e = store_sqlite_open(&store, h->model, &h->store, info);
    if (e != ERR_MODEL || !h->read_only)
        return e;
    bring_up(h, &store);
    return store_sqlite_open(&store, h->model, &h->store, info);
}

static enum err open_replica(struct satchel *h, struct err_info *info)
{
    const struct replica_config config = {
        .model = h->model, .store = h->store, .crypto = h->crypto, .rng = &h->rng, .log = &h->log};
    return replica_open(&config, &h->replica, info);
}

static enum err open_all(struct satchel *h, const struct satchel_options *options,
                         struct err_info *info)
{
    enum err e = open_directory(h, options, info);
    if (e == ERR_OK)
        e = read_model(h, options->model_file, info);
    if (e == ERR_OK) {
        e = crypto_new(&h->crypto);
        if (e != ERR_OK)
            (void)err_set(info, e, "%s", err_text(e));
    }
    if (e == ERR_OK)
        e = open_store(h, info);
    return e == ERR_OK ? open_replica(h, info) : e;
}

enum err api_take_model(struct satchel *h)
{
    api_drop_data(h);
    api_authors_forget(h);
    h->map_table = NULL;
    arena_reset(&h->schema_arena);
    enum err e = open_store(h, &h->error);
    return e == ERR_OK ? open_replica(h, &h->error) : e;
}

enum satchel_code satchel_open(const struct satchel_options *options, struct satchel **ret_handle,
                               struct satchel_error *ret_error)
{
    struct err_info *info = (struct err_info *)(void *)ret_error;
    if (options == NULL || options->directory == NULL || options->directory[0] == '\0')
        return (enum satchel_code)err_set(info, ERR_INVALID, "no data directory was given");
    struct satchel *h = calloc(1, sizeof *h);
    if (h == NULL)
        return (enum satchel_code)err_set(info, ERR_NOMEM, "out of memory");
    h->clock = os_clock();
    h->rng = os_rng();
    h->log_to = (struct api_log){options->log, options->log_context};
    h->log = api_log(&h->log_to);
    h->lock.fd = -1;
    h->read_only = options->read_only;
    h->synchronous = options->synchronous;
    h->cache_bytes = options->cache_bytes;
    arena_init(&h->schema_arena, API_ARENA_MAX);
    arena_init(&h->parse_arena, API_ARENA_MAX);
    arena_init(&h->read_arena, API_ARENA_MAX);
    arena_init(&h->status_arena, API_ARENA_MAX);
    arena_init(&h->authors_arena, API_ARENA_MAX);
    h->directory = strdup(options->directory);
    enum err e = h->directory != NULL ? open_all(h, options, info)
                                      : err_set(info, ERR_NOMEM, "out of memory");
    if (e != ERR_OK) {
        satchel_close(h);
        return (enum satchel_code)e;
    }
    *ret_handle = h;
    return SATCHEL_OK;
}

void api_drop_data(struct satchel *h)
{
    api_lookups_free(h);
    replica_close(h->replica);
    store_close(h->store);
    h->replica = NULL;
    h->store = NULL;
    h->transaction = false;
}

void satchel_close(struct satchel *handle)
{
    if (handle == NULL)
        return;
    satchel_disconnect(handle);
    api_drop_data(handle);
    crypto_free(handle->crypto);
    model_free(handle->model);
    identity_done(&handle->identity);
    os_lock_release(&handle->lock);
    arena_done(&handle->schema_arena);
    arena_done(&handle->parse_arena);
    arena_done(&handle->read_arena);
    arena_done(&handle->status_arena);
    arena_done(&handle->authors_arena);
    free(handle->authors);
    free(handle->directory);
    free(handle);
}

/* ---- erasing ---- */

enum err api_remove_files(const char *directory, struct err_info *info)
{
    /* The identity first: without it the rest is of no use to anyone. */
    static const char *const names[] = {IDENTITY_FILE, "replica.db", "replica.db-wal",
                                        "replica.db-shm"};
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[OS_PATH_MAX];
        enum err e = api_path(directory, names[i], path, info);
        if (e == ERR_OK)
            e = os_file_remove(path, info);
        if (e != ERR_OK && e != ERR_NOT_FOUND)
            return e;
        any |= e == ERR_OK;
    }
    return any ? ERR_OK
               : err_set(info, ERR_NOT_FOUND, "there is nothing of Satchel's in '%s'", directory);
}

enum satchel_code satchel_erase(const char *directory, struct satchel_error *ret_error)
{
    struct err_info *info = (struct err_info *)(void *)ret_error;
    char path[OS_PATH_MAX];
    struct os_lock lock;
    enum err e = api_path(directory, "lock", path, info);
    if (e == ERR_OK)
        e = os_lock_take(path, &lock, info);
    if (e != ERR_OK)
        return (enum satchel_code)e;
    e = api_remove_files(directory, info);
    os_lock_release(&lock);
    return (enum satchel_code)e;
}
