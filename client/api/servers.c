/* servers.c - where this device can exchange: headquarters, and the servers of branches, which are devices with an
 * address. */
#include "client/api/api_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char headquarters[] = "headquarters";

typedef int place_fn(void *context, const struct satchel_server *server,
                     const struct identity_place *place);

struct search {
    struct satchel *h;
    place_fn *fn;
    void *context;
    struct arena arena;
};

static int tell(struct search *search, const char *name, const char *city, bool home,
                const struct identity_place *place)
{
    char address[PLACE_TEXT_SIZE];
    place_text(place->host, place->port, address);
    const struct identity_place used = identity_place(&search->h->identity);
    const struct satchel_server server = {.name = name,
                                          .city = city,
                                          .address = address,
                                          .headquarters = home,
                                          .in_use = place_equal(&used, place)};
    return search->fn(search->context, &server, place);
}

/* A row's values, NULL if there is no such live record. */
static enum err values_of(struct search *search, uint32_t table_id, const struct uuid *id,
                          const struct value **ret)
{
    struct store_row row;
    const struct model_table *table = model_table_by_id(search->h->model, table_id);
    enum err e = store_row_get(search->h->store, table, id, &search->arena, &row);
    *ret = e == ERR_OK && !row.dead ? row.values : NULL;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static const struct value *cell(const struct search *search, uint32_t table_id,
                                const struct value *values, const char *column)
{
    const struct model_table *table = model_table_by_id(search->h->model, table_id);
    return &values[model_column_by_name(table, bytes_of_text(column))->index];
}

/* *ret_branch: the values of the branch that the device serves; NULL: it is no server. */
static enum err branch_of(struct search *search, const struct value *device,
                          const struct value **ret_branch, struct identity_place *ret_place)
{
    const struct value *address = cell(search, TABLE_DEVICE, device, "address");
    const struct value *pin = cell(search, TABLE_DEVICE, device, "pin");
    const struct value *revoked = cell(search, TABLE_DEVICE, device, "revoked");
    const struct value *user;
    struct uuid id;
    *ret_branch = NULL;
    if (address->kind != VALUE_TEXT || pin->kind != VALUE_BLOB ||
        pin->as.bytes.size != sizeof ret_place->pin ||
        (revoked->kind == VALUE_INT && revoked->as.integer != 0) ||
        !place_parse(address->as.bytes, ret_place) ||
        !value_id(cell(search, TABLE_DEVICE, device, "user"), &id))
        return ERR_OK;
    memcpy(ret_place->pin, pin->as.bytes.data, sizeof ret_place->pin);
    enum err e = values_of(search, TABLE_USER, &id, &user);
    if (e != ERR_OK || user == NULL || !value_id(cell(search, TABLE_USER, user, "branch"), &id))
        return e;
    return values_of(search, TABLE_BRANCH, &id, ret_branch);
}

static int look_at(void *context, const struct uuid *id)
{
    struct search *search = context;
    const struct value *device, *branch = NULL;
    struct identity_place place = {.port = 0};
    const char *name = "", *city = "";
    arena_reset(&search->arena);
    enum err e = values_of(search, TABLE_DEVICE, id, &device);
    if (e == ERR_OK && device != NULL)
        e = branch_of(search, device, &branch, &place);
    if (e != ERR_OK || branch == NULL)
        return (int)e;
    const struct value *title = cell(search, TABLE_BRANCH, branch, "name");
    const struct value *town = cell(search, TABLE_BRANCH, branch, "city");
    if (title->kind == VALUE_TEXT)
        name = arena_text(&search->arena, title->as.bytes);
    if (town->kind == VALUE_TEXT)
        city = arena_text(&search->arena, town->as.bytes);
    if (name == NULL || city == NULL)
        return ERR_NOMEM;
    return api_stop(tell(search, name, city, false, &place));
}

static enum err each(struct satchel *h, place_fn *fn, void *context)
{
    struct search search = {.h = h, .fn = fn, .context = context};
    if (!h->enrolled)
        return err_set(&h->error, ERR_INVALID, "this device is not enrolled: it has no server");
    if (tell(&search, headquarters, "", true, &h->identity.home) != 0)
        return ERR_OK;
    enum err e = api_read_begin(h);
    if (e != ERR_OK)
        return e;
    arena_init(&search.arena, API_ARENA_MAX);
    e = store_row_scan(h->store, model_table_by_id(h->model, TABLE_DEVICE), NULL, look_at, &search);
    arena_done(&search.arena);
    api_read_end(h);
    return e;
}

struct listing {
    satchel_server_fn *fn;
    void *context;
};

static int list(void *context, const struct satchel_server *server,
                const struct identity_place *place)
{
    const struct listing *listing = context;
    (void)place;
    return listing->fn(listing->context, server);
}

enum satchel_code satchel_servers(struct satchel *handle, satchel_server_fn *fn, void *context)
{
    struct listing listing = {fn, context};
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = each(handle, list, &listing);
    return api_end(handle, e);
}

struct choice {
    const char *name;
    struct identity_place place;
    bool found;
};

static int choose(void *context, const struct satchel_server *server,
                  const struct identity_place *place)
{
    struct choice *choice = context;
    if (strcasecmp(server->name, choice->name) != 0)
        return 0;
    choice->place = *place;
    choice->found = true;
    return server->headquarters; /* of two of one branch the one that was enrolled last */
}

static enum err use(struct satchel *h, const char *name)
{
    char path[OS_PATH_MAX];
    struct choice choice = {.name = name};
    if (h->read_only || h->sync.loop != NULL)
        return err_set(&h->error, ERR_INVALID, "the server cannot be changed %s",
                       h->read_only ? "through a handle for reading only" : "during an exchange");
    enum err e = each(h, choose, &choice);
    if (e == ERR_OK && !choice.found)
        e = err_set(&h->error, ERR_NOT_FOUND,
                    "this device knows no server of a branch '%s'; 'satchel server' lists those "
                    "that it knows",
                    name);
    if (e == ERR_OK)
        e = api_path(h->directory, IDENTITY_FILE, path, &h->error);
    if (e != ERR_OK)
        return e;
    struct identity changed = h->identity;
    identity_use(&changed, &choice.place);
    e = identity_save(path, &changed, &h->error);
    if (e == ERR_OK)
        h->identity = changed;
    identity_done(&changed);
    return e;
}

enum satchel_code satchel_use_server(struct satchel *handle, const char *name)
{
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = use(handle, name);
    return api_end(handle, e);
}
