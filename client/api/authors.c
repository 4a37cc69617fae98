/* Who stands behind a dot: the tables origin, device and user tell, as far as they are here. */
#include "client/api/api_internal.h"

#include "protocol/hlc.h"

#include <stdlib.h>
#include <string.h>

void api_authors_forget(struct satchel *h)
{
    h->author_count = 0;
    arena_reset(&h->authors_arena);
}

/* A text or reference column of a system record. */
static struct bytes member(const struct model_table *table, const struct store_row *row,
                           uint32_t column_id)
{
    const struct model_column *column = model_column_by_id(table, column_id);
    const struct value *value = &row->values[column->index];
    return value->kind == VALUE_TEXT || value->kind == VALUE_BLOB ? value->as.bytes
                                                                  : bytes_of(NULL, 0);
}

/* Reads the record that a reference names; false where it is not here. */
static bool follow(struct satchel *h, uint32_t table_id, struct bytes reference,
                   struct store_row *ret)
{
    struct uuid id;
    if (reference.size != sizeof id.byte)
        return false;
    memcpy(id.byte, reference.data, sizeof id.byte);
    return store_row_get(h->store, model_table_by_id(h->model, table_id), &id, &h->authors_arena,
                         ret) == ERR_OK;
}

static const char *text_or_empty(struct satchel *h, struct bytes text)
{
    const char *copy = arena_text(&h->authors_arena, text);
    return copy != NULL ? copy : "";
}

static enum err find(struct satchel *h, uint64_t origin, struct store_row *ret, bool *ret_found)
{
    const struct model_table *origins = model_table_by_id(h->model, TABLE_ORIGIN);
    const struct model_column *number = model_column_by_id(origins, SYSTEM_ORIGIN_ORIGIN);
    const struct value wanted = value_int((int64_t)origin);
    struct uuid id;
    size_t count = 0;
    *ret_found = false;
    enum err e = api_lookup(h, origins, &number, &wanted, 1, &id, 1, &count);
    if (e != ERR_OK || count == 0)
        return e;
    e = store_row_get(h->store, origins, &id, &h->authors_arena, ret);
    *ret_found = e == ERR_OK;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err load(struct satchel *h, uint64_t origin, struct api_author *ret)
{
    const struct model_table *devices = model_table_by_id(h->model, TABLE_DEVICE);
    const struct model_table *users = model_table_by_id(h->model, TABLE_USER);
    const struct model_table *origins = model_table_by_id(h->model, TABLE_ORIGIN);
    struct store_row row, device, user;
    bool found;
    *ret = (struct api_author){origin, "", "", ""};
    enum err e = find(h, origin, &row, &found);
    if (e != ERR_OK || !found)
        return e;
    if (follow(h, TABLE_DEVICE, member(origins, &row, SYSTEM_ORIGIN_DEVICE), &device))
        ret->device = text_or_empty(h, member(devices, &device, SYSTEM_DEVICE_NAME));
    if (follow(h, TABLE_USER, member(origins, &row, SYSTEM_ORIGIN_USER), &user)) {
        ret->login = text_or_empty(h, member(users, &user, SYSTEM_USER_LOGIN));
        ret->user = text_or_empty(h, member(users, &user, SYSTEM_USER_NAME));
    }
    return ERR_OK;
}

static enum err get(struct satchel *h, uint64_t origin, const struct api_author **ret)
{
    for (uint32_t i = 0; i < h->author_count; i++)
        if (h->authors[i].origin == origin) {
            *ret = &h->authors[i];
            return ERR_OK;
        }
    if (h->authors == NULL)
        h->authors = calloc(API_AUTHORS_MAX, sizeof *h->authors);
    if (h->authors == NULL)
        return ERR_NOMEM;
    if (h->author_count == API_AUTHORS_MAX)
        h->author_count = 0; /* their texts stay until the next checkpoint */
    enum err e = load(h, origin, &h->authors[h->author_count]);
    if (e == ERR_OK)
        *ret = &h->authors[h->author_count++];
    return e;
}

enum err api_author(struct satchel *h, const struct dot *dot, uint64_t stamp,
                    struct satchel_author *ret)
{
    const struct api_author *author;
    struct replica_status status;
    enum err e = get(h, dot->origin, &author);
    if (e != ERR_OK)
        return e;
    replica_status(h->replica, &status);
    *ret = (struct satchel_author){
        .origin = dot->origin,
        .oseq = dot->oseq,
        .at_ms = hlc_ms(stamp),
        .device = author->device,
        .login = author->login,
        .user = author->user,
        .own = dot->origin == status.origin,
    };
    if (ret->own && ret->device[0] == '\0') { /* not pulled yet */
        ret->device = h->identity.name;
        ret->login = h->identity.login;
    }
    return ERR_OK;
}
