/* What people write: values, names of records. */
#include "client/api/api_internal.h"

#include "common/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MATCHES_MAX = 4, PREFIX_DIGITS_MIN = 6 };

/* ---- look-ups by exact values ---- */

static bool same_columns(const struct api_lookup *lookup, const struct model_table *table,
                         const struct model_column *const *columns, uint16_t count)
{
    return lookup->table == table && lookup->count == count &&
           memcmp(lookup->columns, columns, count * sizeof(const struct model_column *)) == 0;
}

void api_lookups_free(struct satchel *h)
{
    for (uint32_t i = 0; i < h->lookup_count; i++)
        query_lookup_free(h->lookups[i].query);
    h->lookup_count = 0;
}

/* The kept one, or a new one in the place of the one that was not used for longest. */
static enum err get_lookup(struct satchel *h, const struct model_table *table,
                           const struct model_column *const *columns, uint16_t count,
                           struct query_lookup **ret)
{
    struct api_lookup *place = NULL;
    for (uint32_t i = 0; i < h->lookup_count; i++) {
        struct api_lookup *lookup = &h->lookups[i];
        if (same_columns(lookup, table, columns, count)) {
            lookup->used = ++h->lookup_clock;
            *ret = lookup->query;
            return ERR_OK;
        }
        if (place == NULL || lookup->used < place->used)
            place = lookup;
    }
    struct query_lookup *query;
    /* Within a read transaction no index can be made; the next time will do. */
    bool index = !h->read_only && (h->reading == 0 || replica_in_transaction(h->replica));
    enum err e = query_lookup_new(h->store, table, columns, count, index, &query, &h->error);
    if (e != ERR_OK)
        return e;
    if (h->lookup_count < API_LOOKUPS_MAX)
        place = &h->lookups[h->lookup_count++];
    else
        query_lookup_free(place->query);
    *place = (struct api_lookup){
        .table = table, .count = count, .query = query, .used = ++h->lookup_clock};
    memcpy(place->columns, columns, count * sizeof(const struct model_column *));
    *ret = query;
    return ERR_OK;
}

struct id_list {
    struct uuid *ids;
    size_t count, max;
};

static int add_id(void *context, const struct uuid *id)
{
    struct id_list *list = context;
    for (size_t i = 0; i < list->count && i < list->max; i++)
        if (uuid_equal(&list->ids[i], id))
            return 0;
    if (list->count < list->max)
        list->ids[list->count] = *id;
    list->count++;
    return 0;
}

enum err api_lookup(struct satchel *h, const struct model_table *table,
                    const struct model_column *const *columns, const struct value *values,
                    uint16_t count, struct uuid *ret_ids, size_t max, size_t *ret_count)
{
    struct query_lookup *query;
    struct id_list list = {.ids = ret_ids, .count = *ret_count, .max = max};
    enum err e = get_lookup(h, table, columns, count, &query);
    if (e == ERR_OK)
        e = query_lookup_run(query, values, add_id, &list);
    if (e == ERR_OK)
        *ret_count = list.count;
    return e;
}

enum satchel_code satchel_lookup(struct satchel *handle, uint32_t table_id, const uint16_t *columns,
                                 const struct satchel_value *values, uint16_t count,
                                 struct satchel_id *ret_ids, size_t max, size_t *ret_count)
{
    const struct model_column *found[API_LOOKUP_COLUMNS_MAX];
    size_t matches = 0;
    enum err e = api_start(handle);
    const struct model_table *table = e == ERR_OK ? api_table_by_id(handle, table_id, &e) : NULL;
    if (e == ERR_OK && (count == 0 || count > API_LOOKUP_COLUMNS_MAX))
        e = err_set(&handle->error, ERR_LIMIT, "a look-up is by 1 to %d columns",
                    API_LOOKUP_COLUMNS_MAX);
    for (uint16_t i = 0; e == ERR_OK && i < count; i++) {
        found[i] = model_column_by_id(table, columns[i]);
        if (found[i] == NULL)
            e = err_set(&handle->error, ERR_MODEL, "%s has no column with the id %u", table->name,
                        (unsigned)columns[i]);
    }
    if (e == ERR_OK)
        e = api_lookup(handle, table, found, api_values(values), count,
                       (struct uuid *)(void *)ret_ids, max, &matches);
    if (e == ERR_OK)
        *ret_count = matches;
    return api_end(handle, e);
}

/* ---- names of records ---- */

struct search {
    struct satchel *h;
    const struct model_table *table;
    const char *text;
    struct uuid ids[MATCHES_MAX];
    size_t count;
    struct arena arena;
};

/* By the exact value of a column, or folded. */
static enum err search_column(struct search *s, const struct model_column *column, bool folded)
{
    struct value value;
    struct id_list list = {.ids = s->ids, .count = s->count, .max = MATCHES_MAX};
    enum err e;
    if (folded) {
        if (column->type != COLUMN_TEXT)
            return ERR_OK;
        e = store_sqlite_find_equal(s->h->store, s->table, column, bytes_of_text(s->text), add_id,
                                    &list, &s->h->error);
        s->count = list.count;
        return e;
    }
    if (column->type == COLUMN_REFERENCE ||
        model_value_from_text(column, bytes_of_text(s->text), &s->arena, &value, NULL) != ERR_OK ||
        value.kind == VALUE_NULL)
        return ERR_OK;
    return api_lookup(s->h, s->table, &column, &value, 1, s->ids, MATCHES_MAX, &s->count);
}

static enum err search_columns(struct search *s, bool folded)
{
    enum err e = ERR_OK;
    for (uint16_t i = 0; e == ERR_OK && i < s->table->column_count; i++)
        if (s->table->columns[i].key || i == s->table->title_column)
            e = search_column(s, &s->table->columns[i], folded);
    return e;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* The start of an id: the smallest and the largest that begin so. False: it is none. */
static bool id_range(const char *text, struct uuid *low, struct uuid *high)
{
    unsigned digits = 0;
    memset(low->byte, 0, sizeof low->byte);
    memset(high->byte, 0xff, sizeof high->byte);
    for (; *text != '\0'; text++) {
        int digit = hex_digit(*text);
        if (*text == '-')
            continue;
        if (digit < 0 || digits == 32)
            return false;
        unsigned shift = digits % 2 == 0 ? 4 : 0;
        low->byte[digits / 2] = (uint8_t)(low->byte[digits / 2] | digit << shift);
        high->byte[digits / 2] =
            (uint8_t)((high->byte[digits / 2] & ~(0xf << shift)) | digit << shift);
        digits++;
    }
    return digits >= PREFIX_DIGITS_MIN;
}

static enum err search_ids(struct search *s)
{
    struct uuid low, high;
    struct id_list list = {.ids = s->ids, .count = s->count, .max = MATCHES_MAX};
    if (!id_range(s->text, &low, &high))
        return ERR_OK;
    enum err e =
        store_sqlite_find_ids(s->h->store, s->table, &low, &high, add_id, &list, &s->h->error);
    s->count = list.count;
    return e;
}

static enum err ambiguous(struct search *s)
{
    char names[360] = "";
    size_t used = 0;
    enum err e = api_read_begin(s->h);
    for (size_t i = 0; e == ERR_OK && i < s->count && i < MATCHES_MAX; i++) {
        char id[UUID_TEXT_SIZE];
        const char *title = "";
        uuid_format(&s->ids[i], id);
        (void)api_title_of(s->h, s->table, &s->ids[i], &s->arena, &title);
        int size = snprintf(names + used, sizeof names - used, "%s%s (%.40s)", i > 0 ? ", " : "",
                            id, title);
        if (size < 0 || (size_t)size >= sizeof names - used) {
            names[used] = '\0';
            break;
        }
        used += (size_t)size;
    }
    if (e == ERR_OK)
        api_read_end(s->h);
    return err_set(&s->h->error, ERR_CONFLICT, "'%.60s' could be several of %s: %s%s", s->text,
                   s->table->name, names, s->count > MATCHES_MAX ? ", ..." : "");
}

static enum err resolve(struct search *s)
{
    enum err e = search_columns(s, false);
    if (e == ERR_OK && s->count == 0)
        e = search_columns(s, true);
    if (e == ERR_OK && s->count == 0)
        e = search_ids(s);
    if (e != ERR_OK)
        return e;
    if (s->count == 0)
        return err_set(&s->h->error, ERR_NOT_FOUND, "there is no %s '%.100s'", s->table->name,
                       s->text);
    return s->count == 1 ? ERR_OK : ambiguous(s);
}

enum err api_resolve(struct satchel *h, const struct model_table *table, const char *text,
                     struct uuid *ret_id)
{
    struct search s = {.h = h, .table = table, .text = text};
    arena_init(&s.arena, API_ARENA_MAX);
    enum err e = resolve(&s);
    if (e == ERR_OK)
        *ret_id = s.ids[0];
    arena_done(&s.arena);
    return e;
}

/* A whole id may be of a deleted record too. */
static enum err resolve_id(struct satchel *h, const struct model_table *table,
                           const struct uuid *id)
{
    struct arena arena;
    struct store_row row;
    enum err e = api_read_begin(h);
    if (e != ERR_OK)
        return e;
    arena_init(&arena, API_ARENA_MAX);
    e = store_row_get(h->store, table, id, &arena, &row);
    arena_done(&arena);
    api_read_end(h);
    if (e == ERR_NOT_FOUND) {
        char text[UUID_TEXT_SIZE];
        uuid_format(id, text);
        return err_set(&h->error, e, "there is no %s with the id %s here", table->name, text);
    }
    return e;
}

enum satchel_code satchel_resolve(struct satchel *handle, const char *table, const char *text,
                                  struct satchel_id *ret_id)
{
    struct uuid id;
    enum err e = api_start(handle);
    const struct model_table *found = e == ERR_OK ? api_table_by_name(handle, table, &e) : NULL;
    if (found != NULL)
        e = uuid_parse(bytes_of_text(text), &id) != ERR_OK ? api_resolve(handle, found, text, &id)
            : found->id == TABLE_CONFLICT                  ? api_conflict_exists(handle, &id)
                                                           : resolve_id(handle, found, &id);
    if (e == ERR_OK)
        *ret_id = api_id(&id);
    return api_end(handle, e);
}

/* ---- values ---- */

/* A reference by natural key. */
static enum err parse_reference(struct satchel *h, const struct model_table *table,
                                const struct model_column *column, const char *text,
                                struct arena *arena, struct value *ret)
{
    struct uuid id;
    char cause[sizeof h->error.message];
    enum err e = api_resolve(h, &h->model->tables[column->target], text, &id);
    if (e == ERR_NOT_FOUND || e == ERR_CONFLICT) {
        memcpy(cause, h->error.message, sizeof cause);
        return err_set(&h->error, e, "%s.%s: %s", table->name, column->name, cause);
    }
    const struct value view = value_blob(bytes_of(id.byte, sizeof id.byte));
    return e == ERR_OK ? value_copy(arena, &view, ret) : e;
}

enum err api_parse(struct satchel *h, const struct model_table *table,
                   const struct model_column *column, const char *text, struct arena *arena,
                   struct value *ret)
{
    char cause[sizeof h->error.message];
    struct uuid id;
    text += column->type == COLUMN_REFERENCE ? strspn(text, " \t\r\n") : 0;
    if (column->type == COLUMN_REFERENCE && column->target >= 0 && text[0] != '\0' &&
        uuid_parse(bytes_of_text(text), &id) != ERR_OK)
        return parse_reference(h, table, column, text, arena, ret);
    enum err e = model_value_from_text(column, bytes_of_text(text), arena, ret, &h->error);
    if (e == ERR_OK || e == ERR_NOMEM)
        return e;
    memcpy(cause, h->error.message, sizeof cause);
    return err_set(&h->error, e, "%s.%s: '%.80s': %s", table->name, column->name, text, cause);
}

/* A handle's columns know their table by their place in its array. */
static const struct model_table *table_of(const struct satchel *h,
                                          const struct satchel_column *column)
{
    for (uint16_t t = 0; t < h->schema->table_count; t++) {
        const struct satchel_table *table = &h->schema->tables[t];
        if (column->index < table->column_count && &table->columns[column->index] == column)
            return &h->model->tables[t];
    }
    return NULL;
}

static const struct model_table *check_column(struct satchel *h,
                                              const struct satchel_column *column, enum err *ret)
{
    const struct model_table *table = column != NULL ? table_of(h, column) : NULL;
    if (table == NULL)
        *ret = err_set(&h->error, ERR_INVALID, "this column is not one of the handle's schema");
    return table;
}

enum satchel_code satchel_parse_value(struct satchel *handle, const struct satchel_column *column,
                                      const char *text, struct satchel_value *ret_value)
{
    struct value value;
    enum err e = api_start(handle);
    const struct model_table *table = e == ERR_OK ? check_column(handle, column, &e) : NULL;
    if (table != NULL) {
        arena_reset(&handle->parse_arena);
        e = api_parse(handle, table, &table->columns[column->index], text, &handle->parse_arena,
                      &value);
    }
    if (e == ERR_OK)
        *ret_value = api_public(&value);
    return api_end(handle, e);
}

enum satchel_code satchel_format_value(struct satchel *handle, const struct satchel_column *column,
                                       const struct satchel_value *value, char *out, size_t size,
                                       size_t *ret_size)
{
    struct buf text;
    enum err e = api_start(handle);
    const struct model_table *table = e == ERR_OK ? check_column(handle, column, &e) : NULL;
    if (table == NULL)
        return api_end(handle, e);
    buf_init(&text, API_TEXT_MAX);
    e = model_value_to_text(&table->columns[column->index], api_values(value), &text);
    if (e == ERR_OK && size > 0) {
        size_t kept = utf8_cut(buf_view(&text), size - 1);
        if (kept > 0)
            memcpy(out, text.data, kept);
        out[kept] = '\0';
    }
    if (e == ERR_OK && ret_size != NULL)
        *ret_size = text.size;
    buf_done(&text);
    return api_end(handle, e);
}

enum err api_fields(struct satchel *h, const struct model_table *table,
                    const struct satchel_field *fields, size_t count, struct arena *arena,
                    uint16_t **ret_columns, struct value **ret_values)
{
    if (count > table->column_count)
        return err_set(&h->error, ERR_LIMIT, "%s has %u columns, not %zu", table->name,
                       (unsigned)table->column_count, count);
    uint16_t *columns = arena_calloc(arena, count + 1, sizeof *columns);
    struct value *values = arena_calloc(arena, count + 1, sizeof *values);
    if (columns == NULL || values == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct model_column *column;
        enum err e = api_column(h, table, fields[i].column, &column);
        if (e == ERR_OK && fields[i].text != NULL)
            e = api_parse(h, table, column, fields[i].text, arena, &values[i]);
        else if (e == ERR_OK)
            values[i] = fields[i].value != NULL ? *api_values(fields[i].value) : value_null();
        if (e != ERR_OK)
            return e;
        columns[i] = column->index;
        for (size_t k = 0; k < i; k++)
            if (columns[k] == columns[i])
                return err_set(&h->error, ERR_INVALID, "%s.%s is given twice", table->name,
                               column->name);
    }
    *ret_columns = columns;
    *ret_values = values;
    return ERR_OK;
}
