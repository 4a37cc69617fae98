#include "client/api/api_internal.h"

#include <string.h>

static struct satchel_label label(const struct model_label *in)
{
    return (struct satchel_label){{in->text[0], in->text[1]}};
}

static const char *delete_name(enum delete_policy policy)
{
    switch (policy) {
    case DELETE_REVIVES: return "revives";
    case DELETE_WINS: return "wins";
    case DELETE_MANUAL: return "manual";
    case DELETE_NEVER: return "never";
    }
    return "";
}

static const char *bucket_name(enum bucket_rule rule)
{
    switch (rule) {
    case BUCKET_COMPANY: return "company";
    case BUCKET_ROUTED: return "routed";
    case BUCKET_INHERIT: return "inherit";
    case BUCKET_SYSTEM: return "system";
    }
    return "";
}

static enum err make_column(const struct model_table *table, const struct model_column *in,
                            struct arena *arena, struct satchel_column *ret)
{
    const struct model_unit *unit = &table->units[in->unit_index];
    struct satchel_label *labels =
        arena_calloc(arena, in->symbol_count + (size_t)1, sizeof *labels);
    if (labels == NULL)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < in->symbol_count; i++)
        labels[i] = label(&in->symbol_labels[i]);
    *ret = (struct satchel_column){
        .id = in->id,
        .index = in->index,
        .name = in->name,
        .label = label(&in->label),
        .type = (enum satchel_type)in->type,
        .type_name = column_type_name(in->type),
        .policy = merge_policy_name(unit->policy),
        .unit = unit->name,
        .unit_id = unit->id,
        .required = in->required,
        .key = in->key,
        .digits = in->digits,
        .currency = in->currency,
        .currency_column = in->currency_column,
        .target = in->target,
        .min = in->min,
        .max = in->max,
        .fallback = api_public(&in->fallback),
        .symbols = in->symbols,
        .symbol_labels = labels,
        .symbol_count = in->symbol_count,
    };
    return ERR_OK;
}

_Static_assert((int)SATCHEL_TYPE_TEXT == (int)COLUMN_TEXT &&
                   (int)SATCHEL_TYPE_MONEY == (int)COLUMN_MONEY &&
                   (int)SATCHEL_TYPE_ENUM == (int)COLUMN_ENUM &&
                   (int)SATCHEL_TYPE_BLOB == (int)COLUMN_BLOB,
               "types pass by cast");

static enum err make_table(const struct model_table *in, struct arena *arena,
                           struct satchel_table *ret)
{
    struct satchel_column *columns =
        arena_calloc(arena, in->column_count + (size_t)1, sizeof *columns);
    enum err e = columns != NULL ? ERR_OK : ERR_NOMEM;
    for (uint16_t i = 0; e == ERR_OK && i < in->column_count; i++)
        e = make_column(in, &in->columns[i], arena, &columns[i]);
    if (e != ERR_OK)
        return e;
    *ret = (struct satchel_table){
        .id = in->id,
        .index = in->index,
        .name = in->name,
        .label = label(&in->label),
        .label_plural = label(&in->label_plural),
        .columns = columns,
        .column_count = in->column_count,
        .title_column = in->title_column,
        .parent_column = in->parent_column,
        .visibility_column = in->visibility_column,
        .branch_column = in->branch_column,
        .owner_column = in->owner_column,
        .team_column = in->team_column,
        .delete_policy = delete_name(in->delete_policy),
        .bucket_rule = bucket_name(in->bucket_rule),
        .write_role = role_name(in->write_role),
        .system = in->system,
    };
    return ERR_OK;
}

enum err api_schema_make(const struct model *model, struct arena *arena,
                         struct satchel_schema **ret)
{
    struct satchel_schema *schema = arena_calloc(arena, 1, sizeof *schema);
    struct satchel_table *tables = arena_calloc(arena, model->table_count, sizeof *tables);
    enum err e = schema != NULL && tables != NULL ? ERR_OK : ERR_NOMEM;
    for (uint16_t i = 0; e == ERR_OK && i < model->table_count; i++)
        e = make_table(&model->tables[i], arena, &tables[i]);
    if (e != ERR_OK)
        return e;
    schema->name = model->name;
    schema->version = model->version;
    schema->tables = tables;
    schema->table_count = model->table_count;
    memcpy(schema->hash, model->hash, sizeof schema->hash);
    *ret = schema;
    return ERR_OK;
}

const struct satchel_schema *satchel_schema(const struct satchel *handle)
{
    return handle->schema;
}

const struct satchel_table *api_public_table(const struct satchel *h,
                                             const struct model_table *table)
{
    return &h->schema->tables[table->index];
}

const struct model_table *api_model_table(const struct satchel *h,
                                          const struct satchel_table *table)
{
    return &h->model->tables[table->index];
}

const struct satchel_table *satchel_table(const struct satchel *handle, const char *name)
{
    const struct model_table *table = model_table_by_name(handle->model, bytes_of_text(name));
    return table != NULL ? api_public_table(handle, table) : NULL;
}

const struct satchel_table *satchel_table_by_id(const struct satchel *handle, uint32_t id)
{
    const struct model_table *table = model_table_by_id(handle->model, id);
    return table != NULL ? api_public_table(handle, table) : NULL;
}

const struct satchel_column *satchel_column(const struct satchel_table *table, const char *name)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return &table->columns[i];
    return NULL;
}

/* ---- for the other files ---- */

/* Appends what there is to choose from, as far as there is room. */
static void append_choice(char *text, size_t size, const char *name)
{
    size_t length = strlen(text), more = strlen(name);
    if (length + more + 3 > size)
        return;
    if (length > 0) {
        memcpy(text + length, ", ", 2);
        length += 2;
    }
    memcpy(text + length, name, more + 1);
}

const struct model_table *api_table_by_name(struct satchel *h, const char *name, enum err *ret_err)
{
    const struct model_table *table =
        name != NULL ? model_table_by_name(h->model, bytes_of_text(name)) : NULL;
    if (table != NULL)
        return table;
    char choice[300] = "";
    for (uint16_t i = 0; i < h->model->table_count; i++)
        append_choice(choice, sizeof choice, h->model->tables[i].name);
    *ret_err = err_set(&h->error, ERR_MODEL, "there is no table '%s'; there are: %s",
                       name != NULL ? name : "", choice);
    return NULL;
}

const struct model_table *api_table_by_id(struct satchel *h, uint32_t id, enum err *ret_err)
{
    const struct model_table *table = model_table_by_id(h->model, id);
    if (table == NULL)
        *ret_err =
            err_set(&h->error, ERR_MODEL, "there is no table with the id %lu", (unsigned long)id);
    return table;
}

enum err api_column(struct satchel *h, const struct model_table *table, const char *name,
                    const struct model_column **ret)
{
    const struct model_column *column =
        name != NULL ? model_column_by_name(table, bytes_of_text(name)) : NULL;
    if (column != NULL) {
        *ret = column;
        return ERR_OK;
    }
    char choice[300] = "";
    for (uint16_t i = 0; i < table->column_count; i++)
        append_choice(choice, sizeof choice, table->columns[i].name);
    return err_set(&h->error, ERR_MODEL, "%s has no column '%s'; it has: %s", table->name,
                   name != NULL ? name : "", choice);
}
