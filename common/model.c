#include "common/model_build.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *const merge_policy_names[MERGE_FSM + 1] = {
    [MERGE_LWW] = "lww",           [MERGE_UPSTREAM] = "upstream", [MERGE_FIRST] = "first",
    [MERGE_MANUAL] = "manual",     [MERGE_MAX] = "max",           [MERGE_MIN] = "min",
    [MERGE_RESTRICT] = "restrict", [MERGE_COUNTER] = "counter",   [MERGE_SET] = "set",
    [MERGE_APPEND] = "append",     [MERGE_TEXT] = "text",         [MERGE_FSM] = "fsm",
};

const char *const column_type_names[COLUMN_BLOB + 1] = {
    [COLUMN_TEXT] = "text",       [COLUMN_INTEGER] = "integer", [COLUMN_REAL] = "real",
    [COLUMN_MONEY] = "money",     [COLUMN_DATE] = "date",       [COLUMN_INSTANT] = "instant",
    [COLUMN_BOOLEAN] = "boolean", [COLUMN_ENUM] = "enum",       [COLUMN_REFERENCE] = "reference",
    [COLUMN_SET] = "set",         [COLUMN_BLOB] = "blob",
};

const char *const delete_policy_names[DELETE_NEVER + 1] = {
    [DELETE_REVIVES] = "revives",
    [DELETE_WINS] = "wins",
    [DELETE_MANUAL] = "manual",
    [DELETE_NEVER] = "never",
};

const char *const role_names[ROLE_SERVER + 1] = {
    [ROLE_NONE] = "none",   [ROLE_REP] = "rep",       [ROLE_MANAGER] = "manager",
    [ROLE_ADMIN] = "admin", [ROLE_SERVER] = "server",
};

const char *const bucket_rule_names[BUCKET_SYSTEM + 1] = {
    [BUCKET_COMPANY] = "company",
    [BUCKET_ROUTED] = "routed",
    [BUCKET_INHERIT] = "inherit",
    [BUCKET_SYSTEM] = "system",
};

const char *merge_policy_name(enum merge_policy policy)
{
    assert((size_t)policy < COUNT_OF(merge_policy_names));
    return merge_policy_names[policy];
}

const char *column_type_name(enum column_type type)
{
    assert((size_t)type < COUNT_OF(column_type_names));
    return column_type_names[type];
}

const char *role_name(enum role role)
{
    assert((size_t)role < COUNT_OF(role_names));
    return role_names[role];
}

enum err role_parse(struct bytes text, enum role *ret_role)
{
    for (size_t i = 0; i < COUNT_OF(role_names); i++) {
        if (bytes_equal(bytes_of_text(role_names[i]), text)) {
            *ret_role = (enum role)i;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

/* Searches an array of structs whose first member is a uint16_t id, ascending. */
static const void *find_by_id(uint32_t id, const void *array, size_t count, size_t size)
{
    const uint8_t *first = array;

    while (count > 0) {
        const uint8_t *middle = first + count / 2 * size;
        uint16_t found;

        memcpy(&found, middle, sizeof(found));
        if (found == id)
            return middle;
        if (found < id) {
            first = middle + size;
            count -= count / 2 + 1;
        } else {
            count /= 2;
        }
    }
    return NULL;
}

static_assert(offsetof(struct model_table, id) == 0 && offsetof(struct model_column, id) == 0 &&
                  offsetof(struct model_unit, id) == 0,
              "find_by_id");

const struct model_table *model_table_by_id(const struct model *model, uint32_t id)
{
    return find_by_id(id, model->tables, model->table_count, sizeof(*model->tables));
}

const struct model_column *model_column_by_id(const struct model_table *table, uint32_t id)
{
    return find_by_id(id, table->columns, table->column_count, sizeof(*table->columns));
}

const struct model_unit *model_unit_by_id(const struct model_table *table, uint32_t id)
{
    return find_by_id(id, table->units, table->unit_count, sizeof(*table->units));
}

const struct model_table *model_table_by_name(const struct model *model, struct bytes name)
{
    for (size_t i = 0; i < model->table_count; i++) {
        if (bytes_equal(bytes_of_text(model->tables[i].name), name))
            return &model->tables[i];
    }
    return NULL;
}

const struct model_column *model_column_by_name(const struct model_table *table, struct bytes name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (bytes_equal(bytes_of_text(table->columns[i].name), name))
            return &table->columns[i];
    }
    return NULL;
}

enum err model_builtin(struct model **ret_model, struct err_info *info)
{
    return model_parse(model_builtin_json(), ret_model, info);
}
