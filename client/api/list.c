#include "client/api/api_internal.h"

#include <string.h>

_Static_assert((int)SATCHEL_OP_EQ == (int)QUERY_EQ && (int)SATCHEL_OP_NE == (int)QUERY_NE &&
                   (int)SATCHEL_OP_LT == (int)QUERY_LT && (int)SATCHEL_OP_GE == (int)QUERY_GE &&
                   (int)SATCHEL_OP_CONTAINS == (int)QUERY_CONTAINS,
               "operators pass by cast");

enum { FIND_LIMIT = 100 };

enum satchel_code satchel_op_parse(const char *text, enum satchel_op *ret_op)
{
    static const struct {
        const char *text;
        enum satchel_op op;
    } all[] = {{"=", SATCHEL_OP_EQ},       {"==", SATCHEL_OP_EQ},
               {"!=", SATCHEL_OP_NE},      {"<>", SATCHEL_OP_NE},
               {"<", SATCHEL_OP_LT},       {"<=", SATCHEL_OP_LE},
               {">", SATCHEL_OP_GT},       {">=", SATCHEL_OP_GE},
               {"~", SATCHEL_OP_CONTAINS}, {"contains", SATCHEL_OP_CONTAINS}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].text, text) == 0) {
            *ret_op = all[i].op;
            return SATCHEL_OK;
        }
    return SATCHEL_E_PARSE;
}

/* ---- the question ---- */

/* A condition on the id itself. */
static enum err id_condition(struct satchel *h, const struct satchel_condition *in,
                             struct arena *arena, struct query_condition *ret)
{
    struct uuid id;
    if (in->text == NULL) {
        ret->value = in->value != NULL ? *api_values(in->value) : value_null();
        return ERR_OK;
    }
    if (uuid_parse(bytes_of_text(in->text), &id) != ERR_OK)
        return err_set(&h->error, ERR_TYPE, "'%.60s' is not an id", in->text);
    const struct value view = value_blob(bytes_of(id.byte, sizeof id.byte));
    return value_copy(arena, &view, &ret->value);
}

static enum err condition(struct satchel *h, const struct model_table *table,
                          const struct satchel_condition *in, struct arena *arena,
                          struct query_condition *ret)
{
    *ret = (struct query_condition){.op = (enum query_op)in->op};
    if (in->column != NULL && strcmp(in->column, "id") == 0)
        return id_condition(h, in, arena, ret);
    enum err e = api_column(h, table, in->column, &ret->column);
    if (e != ERR_OK)
        return e;
    if (in->text == NULL) {
        ret->value = in->value != NULL ? *api_values(in->value) : value_null();
        return ERR_OK;
    }
    if (in->op != SATCHEL_OP_CONTAINS)
        return api_parse(h, table, ret->column, in->text, arena, &ret->value);
    if (ret->column->type != COLUMN_TEXT && ret->column->type != COLUMN_SET &&
        ret->column->type != COLUMN_ENUM && ret->column->type != COLUMN_DATE)
        return err_set(&h->error, ERR_TYPE, "%s.%s is no text: nothing is contained in it",
                       table->name, ret->column->name);
    ret->value = value_text(bytes_of_text(in->text));
    return ERR_OK;
}

static enum err make_query(struct satchel *h, const struct model_table *table,
                           const struct satchel_query *in, struct arena *arena, struct query *ret)
{
    *ret = (struct query){0};
    if (in == NULL)
        return ERR_OK;
    if (in->condition_count > QUERY_CONDITIONS_MAX)
        return err_set(&h->error, ERR_LIMIT, "more than %d conditions", QUERY_CONDITIONS_MAX);
    struct query_condition *conditions =
        arena_calloc(arena, in->condition_count + 1, sizeof *conditions);
    enum err e = conditions != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < in->condition_count; i++)
        e = condition(h, table, &in->conditions[i], arena, &conditions[i]);
    if (e == ERR_OK && in->order != NULL && strcmp(in->order, "id") != 0)
        e = api_column(h, table, in->order, &ret->order);
    ret->conditions = conditions;
    ret->condition_count = in->condition_count;
    ret->descending = in->descending;
    ret->limit = in->limit;
    ret->offset = in->offset;
    return e;
}

/* ---- the answer ---- */

struct listing {
    struct satchel *h;
    const struct model_table *table;
    struct arena arena; /* of a record */
    satchel_record_fn *fn;
    satchel_hit_fn *hit_fn;
    void *context;
    uint64_t left; /* of hits */
    bool stopped;
};

static int list_id(void *context, const struct uuid *id)
{
    struct listing *l = context;
    struct satchel_record record;
    arena_reset(&l->arena);
    enum err e = api_record(l->h, l->table, id, 0, &l->arena, &record);
    return e == ERR_OK ? api_stop(l->fn(l->context, &record)) : (int)e;
}

enum satchel_code satchel_list(struct satchel *handle, const char *table,
                               const struct satchel_query *query, satchel_record_fn *fn,
                               void *context)
{
    enum err e = api_start(handle);
    const struct model_table *found = e == ERR_OK ? api_table_by_name(handle, table, &e) : NULL;
    if (found == NULL)
        return api_end(handle, e);
    struct listing l = {.h = handle, .table = found, .fn = fn, .context = context};
    struct arena arena;
    struct query made;
    arena_init(&arena, API_ARENA_MAX);
    arena_init(&l.arena, API_ARENA_MAX);
    e = make_query(handle, found, query, &arena, &made);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e == ERR_OK) {
        e = store_sqlite_query(handle->store, found, &made, list_id, &l, &handle->error);
        api_read_end(handle);
    }
    arena_done(&l.arena);
    arena_done(&arena);
    return api_end(handle, e);
}

enum satchel_code satchel_count(struct satchel *handle, const char *table,
                                const struct satchel_query *query, uint64_t *ret_count)
{
    enum err e = api_start(handle);
    const struct model_table *found = e == ERR_OK ? api_table_by_name(handle, table, &e) : NULL;
    if (found == NULL)
        return api_end(handle, e);
    struct arena arena;
    struct query made;
    arena_init(&arena, API_ARENA_MAX);
    e = make_query(handle, found, query, &arena, &made);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e == ERR_OK) {
        e = store_sqlite_count(handle->store, found, &made, ret_count, &handle->error);
        api_read_end(handle);
    }
    arena_done(&arena);
    return api_end(handle, e);
}

/* ---- find ---- */

static int hit_id(void *context, const struct uuid *id, const struct model_column *column)
{
    struct listing *l = context;
    struct satchel_record record;
    arena_reset(&l->arena);
    enum err e = api_record(l->h, l->table, id, 0, &l->arena, &record);
    if (e != ERR_OK)
        return (int)e;
    const struct satchel_hit hit = {
        .record = &record, .column = &api_public_table(l->h, l->table)->columns[column->index]};
    l->left--;
    l->stopped = l->hit_fn(l->context, &hit) != 0;
    return api_stop(l->stopped);
}

static bool is_searched(const struct model_table *table)
{
    return !table->system || table->id == TABLE_BRANCH || table->id == TABLE_USER ||
           table->id == TABLE_TEAM;
}

enum satchel_code satchel_find(struct satchel *handle, const char *text, uint64_t limit,
                               satchel_hit_fn *fn, void *context)
{
    enum err e = api_start(handle);
    if (e == ERR_OK && text[0] == '\0')
        e = err_set(&handle->error, ERR_INVALID, "there is nothing to look for");
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    struct listing l = {
        .h = handle, .hit_fn = fn, .context = context, .left = limit > 0 ? limit : FIND_LIMIT};
    arena_init(&l.arena, API_ARENA_MAX);
    /* The model's own tables first. */
    for (unsigned pass = 0; pass < 2; pass++)
        for (uint16_t t = 0; t < handle->model->table_count; t++) {
            l.table = &handle->model->tables[t];
            if (e == ERR_OK && !l.stopped && l.left > 0 && is_searched(l.table) &&
                l.table->system == (pass == 1))
                e = store_sqlite_find(handle->store, l.table, bytes_of_text(text), l.left, hit_id,
                                      &l, &handle->error);
        }
    arena_done(&l.arena);
    api_read_end(handle);
    return api_end(handle, e);
}

/* ---- SQL ---- */

struct sql_rows {
    satchel_row_fn *fn;
    void *context;
};

static int sql_row(void *context, int count, const char *const *names, const struct value *values)
{
    const struct sql_rows *rows = context;
    return api_stop(
        rows->fn(rows->context, count, names, (const struct satchel_value *)(const void *)values));
}

enum satchel_code satchel_sql(struct satchel *handle, const char *sql, satchel_row_fn *fn,
                              void *context)
{
    struct sql_rows rows = {fn, context};
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e == ERR_OK) {
        e = store_sqlite_sql(handle->store, sql, sql_row, &rows, &handle->error);
        api_read_end(handle);
    }
    return api_end(handle, e);
}
