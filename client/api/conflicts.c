/* Conflict records for people: the rows of the table `conflict`, their JSON (protocol/conflict.h)
 * turned into values, and taking a candidate back. */
#include "client/api/api_internal.h"

#include "common/text.h"
#include "protocol/conflict.h"
#include "protocol/version.h"

#include <jansson.h>
#include <string.h>

/* ---- reading a conflict's row ---- */

static const struct value *member(const struct model_table *table, const struct value *values,
                                  uint32_t column_id)
{
    return &values[model_column_by_id(table, column_id)->index];
}

static int64_t integer(const struct value *value)
{
    return value->kind == VALUE_INT ? value->as.integer : 0;
}

static struct bytes text(const struct value *value)
{
    return value->kind == VALUE_TEXT ? value->as.bytes : bytes_of(NULL, 0);
}

/* A JSON value as a value of the column; what does not fit becomes NULL. */
static struct value json_to_value(const struct model_column *column, const json_t *json,
                                  struct arena *arena)
{
    struct value value = value_null();
    if (json_is_integer(json) && store_column_kind(column) == VALUE_REAL)
        return value_real((double)json_integer_value(json));
    if (json_is_integer(json))
        return value_int(json_integer_value(json));
    if (json_is_real(json))
        return value_real(json_real_value(json));
    if (!json_is_string(json))
        return value;
    struct bytes string = bytes_of(json_string_value(json), json_string_length(json));
    if (store_column_kind(column) == VALUE_BLOB) {
        uint8_t *blob = arena_alloc(arena, string.size / 2 + 1);
        if (blob != NULL && text_parse_hex(string, blob, string.size / 2) == ERR_OK)
            value = value_blob(bytes_of(blob, string.size / 2));
        return value;
    }
    const struct value view = value_text(string);
    (void)value_copy(arena, &view, &value);
    return value;
}

/* The columns that a JSON object names, as cells. */
static enum err object_cells(struct satchel *h, const struct model_table *table, json_t *object,
                             struct arena *arena, struct satchel_cell **ret, size_t *ret_count)
{
    size_t size = json_object_size(object), count = 0;
    uint16_t *columns = arena_calloc(arena, size + 1, sizeof *columns);
    struct value *values = arena_calloc(arena, size + 1, sizeof *values);
    const char *name;
    json_t *json;
    if (columns == NULL || values == NULL)
        return ERR_NOMEM;
    json_object_foreach(object, name, json)
    {
        const struct model_column *column = model_column_by_name(table, bytes_of_text(name));
        if (column == NULL)
            continue;
        columns[count] = column->index;
        values[count++] = json_to_value(column, json, arena);
    }
    enum err e = api_cells(h, table, columns, values, count, arena, ret);
    *ret_count = count;
    return e;
}

/* "moscow", or of a group "street: ..., city: ...". */
static enum err cells_text(const struct satchel_cell *cells, size_t count, struct arena *arena,
                           const char **ret)
{
    struct buf out;
    buf_init(&out, API_TEXT_MAX);
    for (size_t i = 0; i < count; i++) {
        if (count > 1)
            (void)text_append_format(&out, "%s%s: ", i > 0 ? ", " : "", cells[i].column->name);
        (void)text_append(&out, cells[i].text);
    }
    *ret = arena_text(arena, buf_view(&out));
    buf_done(&out);
    return *ret != NULL ? ERR_OK : ERR_NOMEM;
}

/* An object's columns as text; "" where there is no object. */
static enum err object_text(struct satchel *h, const struct model_table *table, struct bytes json,
                            struct arena *arena, const char **ret)
{
    struct satchel_cell *cells;
    size_t count;
    json_t *object = json_loadb((const char *)json.data, json.size, 0, NULL);
    enum err e = object_cells(h, table, object, arena, &cells, &count);
    if (e == ERR_OK)
        e = cells_text(cells, count, arena, ret);
    json_decref(object);
    return e;
}

static bool candidate_dot(const json_t *json, struct dot *ret)
{
    const char *origin = json_string_value(json_object_get(json, "origin"));
    uint8_t raw[8];
    if (origin == NULL || text_parse_hex(bytes_of_text(origin), raw, sizeof raw) != ERR_OK)
        return false;
    *ret = (struct dot){be64_get(raw), (uint64_t)json_integer_value(json_object_get(json, "oseq")),
                        (uint32_t)json_integer_value(json_object_get(json, "tag"))};
    return true;
}

static enum err candidate(struct satchel *h, const struct model_table *table, const json_t *json,
                          struct arena *arena, struct satchel_candidate *ret)
{
    struct satchel_cell *cells;
    struct dot dot = {0};
    uint64_t stamp = (uint64_t)json_integer_value(json_object_get(json, "at")) << 16;
    *ret = (struct satchel_candidate){.cut = json_is_true(json_object_get(json, "cut")),
                                      .deletes = json_is_true(json_object_get(json, "delete"))};
    if (!candidate_dot(json, &dot))
        return ERR_CORRUPT;
    enum err e = api_author(h, &dot, stamp, &ret->author);
    if (e == ERR_OK)
        e = object_cells(h, table, json_object_get(json, "value"), arena, &cells, &ret->cell_count);
    if (e != ERR_OK)
        return e;
    ret->cells = cells;
    if (ret->deletes) {
        ret->text = "";
        return ERR_OK;
    }
    return cells_text(cells, ret->cell_count, arena, &ret->text);
}

/* Whether every column of the candidate has the value that the record shows. */
static bool is_shown(const struct store_row *row, const struct satchel_candidate *candidate)
{
    if (candidate->deletes)
        return row->dead;
    for (size_t i = 0; i < candidate->cell_count; i++)
        if (!value_equal(&row->values[candidate->cells[i].column->index],
                         api_values(&candidate->cells[i].value)))
            return false;
    return !row->dead && candidate->cell_count > 0;
}

static enum err candidates(struct satchel *h, const struct model_table *table, struct bytes json,
                           const struct store_row *row, struct arena *arena,
                           struct satchel_conflict *ret)
{
    json_t *array = json_loadb((const char *)json.data, json.size, 0, NULL);
    size_t count = json_array_size(array);
    struct satchel_candidate *all = arena_calloc(arena, count + 1, sizeof *all);
    enum err e = all != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        e = candidate(h, table, json_array_get(array, i), arena, &all[i]);
        if (e == ERR_OK)
            all[i].shown = row != NULL && is_shown(row, &all[i]);
    }
    json_decref(array);
    ret->candidates = all;
    ret->candidate_count = count;
    return e;
}

/* Whether a write that names all candidates stands over them: what settles a conflict, seen at once
 * here although headquarters has not decided yet. */
static bool is_written_over(const struct model_table *table, const struct store_row *row,
                            uint32_t unit_id, const struct satchel_conflict *conflict,
                            struct arena *arena)
{
    struct version version;
    const struct model_unit *unit = model_unit_by_id(table, unit_id);
    if (unit == NULL || version_decode(table, row->version, arena, &version) != ERR_OK)
        return false;
    const struct unit_state *state = version_unit(&version, unit->index);
    if (state == NULL || state->count != 1)
        return false;
    for (size_t i = 0; i < conflict->candidate_count; i++)
        if (conflict->candidates[i].author.origin == state->candidates[0].dot.origin &&
            conflict->candidates[i].author.oseq == state->candidates[0].dot.oseq)
            return false;
    return true;
}

static enum satchel_conflict_state state_of(const struct value *value)
{
    if (bytes_equal(text(value), bytes_of_text("open")))
        return SATCHEL_CONFLICT_OPEN;
    return bytes_equal(text(value), bytes_of_text("automatic")) ? SATCHEL_CONFLICT_AUTOMATIC
                                                                : SATCHEL_CONFLICT_SETTLED;
}

/* The simple members. */
static enum err fill_head(struct satchel *h, const struct model_table *conflicts,
                          const struct uuid *id, const struct value *values,
                          const struct model_table *about, struct arena *arena,
                          struct satchel_conflict *ret)
{
    const struct value *record = member(conflicts, values, SYSTEM_CONFLICT_RECORD);
    struct bytes kind = text(member(conflicts, values, SYSTEM_CONFLICT_KIND));
    *ret = (struct satchel_conflict){
        .id = api_id(id),
        .table = about != NULL ? api_public_table(h, about) : NULL,
        .record_title =
            arena_text(arena, text(member(conflicts, values, SYSTEM_CONFLICT_RECORD_TITLE))),
        .unit = arena_text(arena, text(member(conflicts, values, SYSTEM_CONFLICT_UNIT))),
        .policy = arena_text(arena, text(member(conflicts, values, SYSTEM_CONFLICT_POLICY))),
        .state = state_of(member(conflicts, values, SYSTEM_CONFLICT_STATE)),
        .about_delete = bytes_equal(kind, bytes_of_text("delete")),
        .at_ms = integer(member(conflicts, values, SYSTEM_CONFLICT_AT)),
        .settled_at_ms = integer(member(conflicts, values, SYSTEM_CONFLICT_SETTLED_AT)),
        .shown_text = "",
        .base_text = "",
    };
    if (ret->record_title == NULL || ret->unit == NULL || ret->policy == NULL)
        return ERR_NOMEM;
    ret->unit_label = (struct satchel_label){{ret->unit, ret->unit}};
    struct uuid of;
    if (value_id(record, &of))
        memcpy(ret->record.byte, of.byte, sizeof of.byte);
    return ERR_OK;
}

/* What needs the record and its table. */
static enum err fill_rest(struct satchel *h, const struct model_table *conflicts,
                          const struct value *values, const struct model_table *about,
                          struct arena *arena, struct satchel_conflict *ret)
{
    struct store_row row;
    uint32_t unit_id = (uint32_t)integer(member(conflicts, values, SYSTEM_CONFLICT_UNIT_ID));
    const struct model_unit *unit = model_unit_by_id(about, unit_id);
    if (unit != NULL)
        ret->unit_label = (struct satchel_label){{unit->label.text[0], unit->label.text[1]}};
    enum err e = store_row_get(h->store, about, api_uuid(&ret->record), arena, &row);
    bool here = e == ERR_OK;
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    e = candidates(h, about, text(member(conflicts, values, SYSTEM_CONFLICT_CANDIDATES)),
                   here ? &row : NULL, arena, ret);
    if (e == ERR_OK)
        e = object_text(h, about, text(member(conflicts, values, SYSTEM_CONFLICT_SHOWN)), arena,
                        &ret->shown_text);
    if (e == ERR_OK)
        e = object_text(h, about, text(member(conflicts, values, SYSTEM_CONFLICT_BASE)), arena,
                        &ret->base_text);
    if (e == ERR_OK && here && ret->state != SATCHEL_CONFLICT_SETTLED && !ret->about_delete &&
        is_written_over(about, &row, unit_id, ret, arena))
        ret->state = SATCHEL_CONFLICT_SETTLED;
    return e;
}

/* values: of the row in TABLE_CONFLICT. */
static enum err fill(struct satchel *h, const struct uuid *id, const struct value *values,
                     struct arena *arena, struct satchel_conflict *ret)
{
    const struct model_table *conflicts = model_table_by_id(h->model, TABLE_CONFLICT);
    uint32_t table_id = (uint32_t)integer(member(conflicts, values, SYSTEM_CONFLICT_TABLE_ID));
    const struct model_table *about = model_table_by_id(h->model, table_id);
    enum err e = fill_head(h, conflicts, id, values, about, arena, ret);
    if (e == ERR_OK && about != NULL)
        e = fill_rest(h, conflicts, values, about, arena, ret);
    return e;
}

struct wanted {
    struct satchel *h;
    const struct uuid *id;
    struct arena *arena;
    struct satchel_conflict *ret; /* NULL: only whether there is one */
    bool found;
};

static int find_provisional(void *context, const struct uuid *id, const struct value *values)
{
    struct wanted *wanted = context;
    if (!uuid_equal(id, wanted->id))
        return 0;
    wanted->found = true;
    enum err e =
        wanted->ret != NULL ? fill(wanted->h, id, values, wanted->arena, wanted->ret) : ERR_OK;
    if (wanted->ret != NULL)
        wanted->ret->provisional = true;
    return e == ERR_OK ? STORE_STOP : (int)e;
}

static enum err load(struct satchel *h, const struct uuid *id, struct arena *arena,
                     struct satchel_conflict *ret)
{
    struct store_row row;
    enum err e =
        store_row_get(h->store, model_table_by_id(h->model, TABLE_CONFLICT), id, arena, &row);
    if (e == ERR_OK && !row.dead)
        return ret != NULL ? fill(h, id, row.values, arena, ret) : ERR_OK;
    struct wanted wanted = {.h = h, .id = id, .arena = arena, .ret = ret};
    if (e == ERR_OK || e == ERR_NOT_FOUND)
        e = api_provisional(h, NULL, find_provisional, &wanted);
    return e == ERR_OK && !wanted.found ? ERR_NOT_FOUND : e;
}

enum err api_conflict_exists(struct satchel *h, const struct uuid *id)
{
    struct arena arena;
    enum err e = api_read_begin(h);
    if (e != ERR_OK)
        return e;
    arena_init(&arena, API_ARENA_MAX);
    e = load(h, id, &arena, NULL);
    arena_done(&arena);
    api_read_end(h);
    return e == ERR_NOT_FOUND ? err_set(&h->error, e, "there is no such conflict here") : e;
}

/* ---- listing ---- */

struct listing {
    struct satchel *h;
    const struct satchel_conflict_query *query;
    satchel_conflict_fn *fn;
    void *context;
    struct arena arena;
    uint64_t given;
    bool over; /* enough were given */
};

static int tell(struct listing *l, const struct satchel_conflict *conflict)
{
    if ((conflict->state == SATCHEL_CONFLICT_SETTLED && !l->query->with_settled &&
         l->query->id == NULL) ||
        (l->query->open_only && conflict->state != SATCHEL_CONFLICT_OPEN))
        return 0;
    l->given++;
    l->over = l->fn(l->context, conflict) != 0 || l->given == l->query->limit;
    return l->over ? STORE_STOP : 0;
}

static int list_id(void *context, const struct uuid *id)
{
    struct listing *l = context;
    struct satchel_conflict conflict;
    arena_reset(&l->arena);
    enum err e = load(l->h, id, &l->arena, &conflict);
    return e == ERR_OK ? tell(l, &conflict) : (int)e;
}

static int list_provisional(void *context, const struct uuid *id, const struct value *values)
{
    struct listing *l = context;
    struct satchel_conflict conflict;
    if (l->over)
        return STORE_STOP; /* of an earlier table */
    arena_reset(&l->arena);
    enum err e = fill(l->h, id, values, &l->arena, &conflict);
    if (e != ERR_OK)
        return (int)e;
    if (l->query->record != NULL &&
        memcmp(conflict.record.byte, l->query->record->byte, sizeof conflict.record.byte) != 0)
        return 0;
    conflict.provisional = true;
    return tell(l, &conflict);
}

/* Newest first; in SQL by table and record, the rest as each is read. */
static enum err scan(struct listing *l, const struct model_table *table)
{
    const struct model_table *conflicts = model_table_by_id(l->h->model, TABLE_CONFLICT);
    struct query_condition conditions[2];
    struct query query = {.conditions = conditions,
                          .order = model_column_by_id(conflicts, SYSTEM_CONFLICT_AT),
                          .descending = true};
    if (table != NULL)
        conditions[query.condition_count++] = (struct query_condition){
            .column = model_column_by_id(conflicts, SYSTEM_CONFLICT_TABLE_ID),
            .op = QUERY_EQ,
            .value = value_int(table->id)};
    if (l->query->record != NULL)
        conditions[query.condition_count++] = (struct query_condition){
            .column = model_column_by_id(conflicts, SYSTEM_CONFLICT_RECORD),
            .op = QUERY_EQ,
            .value = value_blob(bytes_of(l->query->record->byte, 16))};
    return store_sqlite_query(l->h->store, conflicts, &query, list_id, l, &l->h->error);
}

enum err api_conflicts(struct satchel *h, const struct satchel_conflict_query *query,
                       satchel_conflict_fn *fn, void *context)
{
    struct listing l = {.h = h, .query = query, .fn = fn, .context = context};
    enum err e = ERR_OK;
    const struct model_table *table =
        query->table != NULL ? api_table_by_name(h, query->table, &e) : NULL;
    if (e != ERR_OK)
        return e;
    arena_init(&l.arena, API_ARENA_MAX);
    if (query->id != NULL) {
        int result = list_id(&l, api_uuid(query->id));
        e = result > 0 ? (enum err)result : ERR_OK;
    } else {
        e = api_provisional(h, table, list_provisional, &l);
        if (e == ERR_OK && !l.over)
            e = scan(&l, table);
    }
    arena_done(&l.arena);
    return e;
}

enum satchel_code satchel_conflicts(struct satchel *handle,
                                    const struct satchel_conflict_query *query,
                                    satchel_conflict_fn *fn, void *context)
{
    static const struct satchel_conflict_query all = {0};
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e == ERR_OK) {
        e = api_conflicts(handle, query != NULL ? query : &all, fn, context);
        api_read_end(handle);
    }
    return api_end(handle, e);
}

/* ---- settling ---- */

/* Loads a conflict that can be settled: its table is known. */
static enum err load_for_write(struct satchel *h, const struct satchel_id *id, struct arena *arena,
                               struct satchel_conflict *ret)
{
    enum err e = api_read_begin(h);
    if (e != ERR_OK)
        return e;
    e = load(h, api_uuid(id), arena, ret);
    api_read_end(h);
    if (e == ERR_NOT_FOUND)
        return err_set(&h->error, e, "there is no such conflict here");
    if (e == ERR_OK && ret->table == NULL)
        return err_set(&h->error, ERR_MODEL, "the conflict is about a table that is not known");
    return e;
}

/* Writes the values, bringing the record back first if it is deleted. */
static enum err settle(struct satchel *h, const struct satchel_conflict *conflict,
                       const uint16_t *columns, const struct value *values, uint16_t count)
{
    const struct model_table *table = api_model_table(h, conflict->table);
    const struct uuid *id = api_uuid(&conflict->record);
    bool own;
    enum err e = api_write_begin(h, &own);
    if (e != ERR_OK)
        return e;
    e = replica_update(h->replica, table, id, columns, values, count, true, &h->error);
    if (e == ERR_NOT_FOUND) {
        e = replica_restore(h->replica, table, id, &h->error);
        if (e == ERR_OK)
            e = replica_update(h->replica, table, id, columns, values, count, true, &h->error);
    }
    return api_write_end(h, own, e);
}

static enum err take_delete(struct satchel *h, const struct satchel_conflict *conflict)
{
    bool own;
    enum err e = api_write_begin(h, &own);
    if (e != ERR_OK)
        return e;
    e = replica_delete(h->replica, api_model_table(h, conflict->table), api_uuid(&conflict->record),
                       &h->error);
    return api_write_end(h, own, e);
}

static enum err take(struct satchel *h, const struct satchel_conflict *conflict, size_t k,
                     struct arena *arena)
{
    if (k >= conflict->candidate_count)
        return err_set(&h->error, ERR_NOT_FOUND, "the conflict has %zu candidates, 0 to %zu",
                       conflict->candidate_count, conflict->candidate_count - 1);
    const struct satchel_candidate *candidate = &conflict->candidates[k];
    if (candidate->cut)
        return err_set(&h->error, ERR_CONFLICT,
                       "the candidate's text was too long for the conflict record: give the value"
                       " that you want");
    if (candidate->deletes)
        return take_delete(h, conflict);
    uint16_t *columns = arena_calloc(arena, candidate->cell_count + 1, sizeof *columns);
    struct value *values = arena_calloc(arena, candidate->cell_count + 1, sizeof *values);
    if (columns == NULL || values == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < candidate->cell_count; i++) {
        columns[i] = candidate->cells[i].column->index;
        values[i] = *api_values(&candidate->cells[i].value);
    }
    return settle(h, conflict, columns, values, (uint16_t)candidate->cell_count);
}

enum satchel_code satchel_conflict_take(struct satchel *handle, const struct satchel_id *conflict,
                                        size_t k)
{
    struct arena arena;
    struct satchel_conflict loaded;
    enum err e = api_start(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    arena_init(&arena, API_ARENA_MAX);
    e = load_for_write(handle, conflict, &arena, &loaded);
    if (e == ERR_OK)
        e = take(handle, &loaded, k, &arena);
    arena_done(&arena);
    return api_end(handle, e);
}

/* All columns must be of the conflict's unit. */
static enum err check_unit(struct satchel *h, const struct model_table *table,
                           const struct satchel_conflict *conflict, const uint16_t *columns,
                           size_t count)
{
    for (size_t i = 0; i < count && !conflict->about_delete; i++) {
        const struct model_column *column = &table->columns[columns[i]];
        if (strcmp(table->units[column->unit_index].name, conflict->unit) != 0)
            return err_set(&h->error, ERR_INVALID, "the conflict is about %s.%s, not %s",
                           table->name, conflict->unit, column->name);
    }
    if (count == 0)
        return err_set(&h->error, ERR_INVALID, "no value was given");
    return ERR_OK;
}

enum satchel_code satchel_conflict_set(struct satchel *handle, const struct satchel_id *conflict,
                                       const struct satchel_field *fields, size_t count)
{
    struct arena arena;
    struct satchel_conflict loaded;
    uint16_t *columns;
    struct value *values;
    enum err e = api_start(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    arena_init(&arena, API_ARENA_MAX);
    e = load_for_write(handle, conflict, &arena, &loaded);
    const struct model_table *table = e == ERR_OK ? api_model_table(handle, loaded.table) : NULL;
    if (e == ERR_OK)
        e = api_fields(handle, table, fields, count, &arena, &columns, &values);
    if (e == ERR_OK)
        e = check_unit(handle, table, &loaded, columns, count);
    if (e == ERR_OK)
        e = settle(handle, &loaded, columns, values, (uint16_t)count);
    arena_done(&arena);
    return api_end(handle, e);
}
