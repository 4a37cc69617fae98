#include "client/api/api_internal.h"

#include "common/text.h"
#include "protocol/version.h"

#include <stdlib.h>
#include <string.h>

/* ---- texts ---- */

static enum err plain_text(const struct model_column *column, const struct value *value,
                           struct arena *arena, const char **ret)
{
    struct buf text;
    buf_init(&text, API_TEXT_MAX);
    enum err e = model_value_to_text(column, value, &text);
    if (e == ERR_OK) {
        *ret = arena_text(arena, buf_view(&text));
        e = *ret != NULL ? ERR_OK : ERR_NOMEM;
    }
    buf_done(&text);
    return e;
}

static enum err id_text(const struct uuid *id, struct arena *arena, const char **ret)
{
    char *text = arena_alloc(arena, UUID_TEXT_SIZE);
    if (text == NULL)
        return ERR_NOMEM;
    uuid_format(id, text);
    *ret = text;
    return ERR_OK;
}

enum err api_title(struct satchel *h, const struct model_table *table, const struct uuid *id,
                   const struct value *values, struct arena *arena, const char **ret)
{
    if (table->title_column >= 0 && values[table->title_column].kind != VALUE_NULL) {
        enum err e = plain_text(&table->columns[table->title_column], &values[table->title_column],
                                arena, ret);
        if (e != ERR_OK || (*ret)[0] != '\0')
            return e;
    }
    (void)h;
    return id_text(id, arena, ret);
}

enum err api_title_of(struct satchel *h, const struct model_table *table, const struct uuid *id,
                      struct arena *arena, const char **ret)
{
    struct store_row row;
    enum err e = store_row_get(h->store, table, id, arena, &row);
    if (e == ERR_NOT_FOUND)
        return id_text(id, arena, ret);
    return e == ERR_OK ? api_title(h, table, id, row.values, arena, ret) : e;
}

enum err api_text(struct satchel *h, const struct model_column *column, const struct value *value,
                  struct arena *arena, const char **ret)
{
    struct uuid id;
    if (column->type == COLUMN_REFERENCE && column->target >= 0 && value_id(value, &id))
        return api_title_of(h, &h->model->tables[column->target], &id, arena, ret);
    return plain_text(column, value, arena, ret);
}

enum err api_cells(struct satchel *h, const struct model_table *table, const uint16_t *columns,
                   const struct value *values, size_t count, struct arena *arena,
                   struct satchel_cell **ret)
{
    struct satchel_cell *cells = arena_calloc(arena, count + 1, sizeof *cells);
    enum err e = cells != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        cells[i].column = &api_public_table(h, table)->columns[columns[i]];
        cells[i].value = api_public(&values[i]);
        cells[i].candidates = 1;
        e = api_text(h, &table->columns[columns[i]], &values[i], arena, &cells[i].text);
    }
    if (e == ERR_OK)
        *ret = cells;
    return e;
}

/* ---- records ---- */

/* The last of the current writes of a unit: that of the highest stamp, then dot. */
static void last_write(const struct version *version, const struct model_unit *unit,
                       struct dot *ret_dot, uint64_t *ret_stamp, unsigned *ret_count)
{
    const struct unit_state *state = version_unit(version, unit->index);
    *ret_dot = version->insert;
    *ret_stamp = version->insert_stamp;
    *ret_count = 1;
    if (state == NULL)
        return;
    *ret_count = state->count;
    for (uint16_t i = 0; i < state->count; i++) {
        const struct candidate *candidate = &state->candidates[i];
        if (i == 0 || candidate->stamp > *ret_stamp ||
            (candidate->stamp == *ret_stamp && dot_compare(&candidate->dot, ret_dot) > 0)) {
            *ret_dot = candidate->dot;
            *ret_stamp = candidate->stamp;
        }
    }
}

static enum err add_authors(struct satchel *h, const struct model_table *table,
                            const struct version *version, struct satchel_cell *cells,
                            struct satchel_record *record)
{
    enum err e = api_author(h, &version->insert, version->insert_stamp, &record->created);
    for (uint16_t u = 0; e == ERR_OK && u < table->unit_count; u++) {
        const struct model_unit *unit = &table->units[u];
        struct satchel_author author;
        struct dot dot;
        uint64_t stamp;
        unsigned count;
        last_write(version, unit, &dot, &stamp, &count);
        e = api_author(h, &dot, stamp, &author);
        for (uint16_t k = 0; e == ERR_OK && k < unit->column_count; k++) {
            cells[unit->columns[k]].author = author;
            cells[unit->columns[k]].candidates = count;
        }
    }
    return e;
}

static enum err fill(struct satchel *h, const struct model_table *table, const struct uuid *id,
                     const struct store_row *row, unsigned flags, struct arena *arena,
                     struct satchel_record *ret)
{
    uint16_t all[MODEL_COLUMNS_MAX];
    const struct dot *pending;
    uint16_t pending_count;
    struct version_head head;
    struct version version;
    struct satchel_cell *cells;
    for (uint16_t i = 0; i < table->column_count; i++)
        all[i] = i;
    enum err e = replica_touching(h->replica, table, id, row, arena, &pending, &pending_count);
    if (e == ERR_OK && version_peek(row->version, &head) != ERR_OK)
        e = ERR_CORRUPT;
    if (e == ERR_OK)
        e = api_cells(h, table, all, row->values, table->column_count, arena, &cells);
    if (e == ERR_OK)
        e = api_title(h, table, id, row->values, arena, &ret->title);
    if (e == ERR_OK && flags & SATCHEL_WITH_AUTHORS) {
        e = version_decode(table, row->version, arena, &version) == ERR_OK ? ERR_OK : ERR_CORRUPT;
        if (e == ERR_OK)
            e = add_authors(h, table, &version, cells, ret);
    }
    if (e != ERR_OK)
        return e;
    ret->table = api_public_table(h, table);
    ret->id = api_id(id);
    ret->deleted = row->dead;
    ret->pending = pending_count;
    bool undecided = pending_count > 0 && dot_equal(&pending[0], &head.insert);
    ret->bucket = undecided ? 0 : row->bucket;
    ret->revision = undecided ? 0 : head.revision;
    ret->cells = cells;
    return ERR_OK;
}

enum err api_record(struct satchel *h, const struct model_table *table, const struct uuid *id,
                    unsigned flags, struct arena *arena, struct satchel_record *ret)
{
    struct store_row row;
    struct satchel_record record = {0};
    enum err e = store_row_get(h->store, table, id, arena, &row);
    if (e == ERR_NOT_FOUND) {
        char text[UUID_TEXT_SIZE];
        uuid_format(id, text);
        return err_set(&h->error, e, "there is no %s with the id %s here", table->name, text);
    }
    if (e == ERR_OK)
        e = fill(h, table, id, &row, flags, arena, &record);
    if (e == ERR_OK)
        *ret = record;
    return e;
}

struct record_box {
    struct satchel_record record; /* first: what the caller holds */
    struct arena arena;
};

enum satchel_code satchel_get(struct satchel *handle, const char *table,
                              const struct satchel_id *id, unsigned flags,
                              struct satchel_record **ret_record)
{
    enum err e = api_start(handle);
    const struct model_table *found = e == ERR_OK ? api_table_by_name(handle, table, &e) : NULL;
    if (found == NULL)
        return api_end(handle, e);
    struct record_box *box = calloc(1, sizeof *box);
    if (box == NULL)
        return api_end(handle, ERR_NOMEM);
    arena_init(&box->arena, API_ARENA_MAX);
    e = api_read_begin(handle);
    if (e == ERR_OK) {
        e = api_record(handle, found, api_uuid(id), flags, &box->arena, &box->record);
        api_read_end(handle);
    }
    if (e == ERR_OK)
        *ret_record = &box->record;
    else
        satchel_record_free(&box->record);
    return api_end(handle, e);
}

void satchel_record_free(struct satchel_record *record)
{
    struct record_box *box = (struct record_box *)(void *)record;
    if (box == NULL)
        return;
    arena_done(&box->arena);
    free(box);
}
