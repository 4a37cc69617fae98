/* model_extend.c - an administrator's file onto a model: whole, or only what is added (SPEC.md 14.2).
 *
 * Model:      an extension file is merged into the model's own JSON, by names; ids that it does not give are the
 *             next ones of their table. What comes out is read as any model file, and has to extend the model. */
#include "common/model_build.h"
#include "common/model_change.h"

#include <stdlib.h>
#include <string.h>

static const char *const extension_keys[] = {"extends", "tables"};
static const char *const table_keys[] = {"id", "name", "label", "labels", "columns", "groups"};
static const char *const column_keys[] = {"id",  "name",    "label",       "min",
                                          "max", "symbols", "transitions", "ranks"};

static json_t *by_name(json_t *array, const char *name)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *other = json_string_value(json_object_get(json_array_get(array, i), "name"));

        if (other != NULL && strcmp(other, name) == 0)
            return json_array_get(array, i);
    }
    return NULL;
}

static json_int_t highest_id(json_t *array, json_int_t least)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_int_t id = json_integer_value(json_object_get(json_array_get(array, i), "id"));

        least = id > least ? id : least;
    }
    return least;
}

/* Columns and groups have one space of ids. */
static json_int_t next_id(json_t *table)
{
    json_int_t id = highest_id(json_object_get(table, "columns"), 0);

    return highest_id(json_object_get(table, "groups"), id) + 1;
}

static enum err set(const struct builder *b, json_t *object, const char *key, json_t *value)
{
    return value == NULL || json_object_set(object, key, value) == 0 ? ERR_OK : build_nomem(b);
}

static enum err give_id(const struct builder *b, json_t *object, json_int_t id)
{
    if (json_object_get(object, "id") != NULL)
        return ERR_OK;
    return json_object_set_new(object, "id", json_integer(id)) == 0 ? ERR_OK : build_nomem(b);
}

/* The name of an element of the extension. */
static enum err name_of(const struct builder *b, const struct place *at, json_t *json,
                        const char **ret)
{
    if (!json_is_object(json))
        return build_fail(b, at, ERR_MODEL, "must be an object");
    return build_text(b, at, json, "name", true, ret);
}

/* An id that is given with something that exists has to be the one that it has. */
static enum err same_id(const struct builder *b, const struct place *at, json_t *there,
                        json_t *json)
{
    json_t *id = json_object_get(json, "id");

    if (id == NULL || json_equal(id, json_object_get(there, "id")))
        return ERR_OK;
    return build_fail(b, &(struct place){at, "id", 0}, ERR_MODEL,
                      "'%s' exists, with the id %d; leave the id out",
                      json_string_value(json_object_get(there, "name")),
                      (int)json_integer_value(json_object_get(there, "id")));
}

/* What is said of something that exists is in the list, or as it is: a file may be handed in twice. */
static enum err known_keys(const struct builder *b, const struct place *at, json_t *there,
                           json_t *json, const char *const *keys, size_t count)
{
    const char *key;
    json_t *value;

    json_object_foreach(json, key, value)
    {
        size_t k = 0;

        while (k < count && strcmp(keys[k], key) != 0)
            k++;
        if (k == count && !json_equal(value, json_object_get(there, key)))
            return build_fail(b, &(struct place){at, key, 0}, ERR_MODEL,
                              "'%s' exists, and this cannot change",
                              json_string_value(json_object_get(there, "name")));
    }
    return ERR_OK;
}

static const char *symbol_name(json_t *symbol)
{
    return json_string_value(json_is_object(symbol) ? json_object_get(symbol, "name") : symbol);
}

/* Those that are there may get another label; others are put behind them. */
static enum err merge_symbols(const struct builder *b, const struct place *at, json_t *column,
                              json_t *symbols)
{
    json_t *there = json_object_get(column, "symbols");

    if (symbols != NULL && (there == NULL || !json_is_array(symbols)))
        return build_fail(b, &(struct place){at, "symbols", 0}, ERR_MODEL,
                          "must be an array, of a column of type enum");
    for (size_t i = 0; i < json_array_size(symbols); i++) {
        json_t *symbol = json_array_get(symbols, i);
        const char *name = symbol_name(symbol);
        size_t k = 0, count = json_array_size(there);

        while (k < count && name != NULL && symbol_name(json_array_get(there, k)) != NULL &&
               strcmp(symbol_name(json_array_get(there, k)), name) != 0)
            k++;
        if ((k < count && json_is_object(symbol) ? json_array_set(there, k, symbol)
             : k < count                         ? 0
                                                 : json_array_append(there, symbol)) != 0)
            return build_nomem(b);
    }
    return ERR_OK;
}

static enum err merge_column(const struct builder *b, const struct place *at, json_t *there,
                             json_t *json)
{
    static const char *const replaced[] = {"label", "min", "max"};
    json_t *transitions = json_object_get(there, "transitions");
    json_t *ranks = json_object_get(there, "ranks");
    enum err err = known_keys(b, at, there, json, column_keys, COUNT_OF(column_keys));

    if (err == ERR_OK)
        err = same_id(b, at, there, json);
    for (size_t i = 0; err == ERR_OK && i < COUNT_OF(replaced); i++)
        err = set(b, there, replaced[i], json_object_get(json, replaced[i]));
    if (err == ERR_OK)
        err = merge_symbols(b, at, there, json_object_get(json, "symbols"));
    if (err == ERR_OK && json_object_get(json, "transitions") != NULL &&
        json_array_extend(transitions, json_object_get(json, "transitions")) != 0)
        err = build_fail(b, at, ERR_MODEL, "only for columns with merge 'fsm'");
    if (err == ERR_OK && json_object_get(json, "ranks") != NULL &&
        json_object_update(ranks, json_object_get(json, "ranks")) != 0)
        err = build_fail(b, at, ERR_MODEL, "only for columns with merge 'fsm'");
    return err;
}

/* The elements of `key`, columns or groups, of an extension's table into the one that is there. */
static enum err merge_elements(const struct builder *b, const struct place *at, json_t *table,
                               json_t *json, const char *key)
{
    struct place place = {at, key, 0};
    json_t *added = json_object_get(json, key), *there = json_object_get(table, key);

    if (added == NULL)
        return ERR_OK;
    if (!json_is_array(added))
        return build_fail(b, &place, ERR_MODEL, "must be an array");
    if (there == NULL) {
        there = json_array();
        if (json_object_set_new(table, key, there) != 0)
            return build_nomem(b);
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        struct place element = {&place, NULL, i};
        const char *name;
        json_t *one = json_array_get(added, i);
        enum err err = name_of(b, &element, one, &name);
        json_t *old = err == ERR_OK ? by_name(there, name) : NULL;

        if (err == ERR_OK && old == NULL) {
            err = give_id(b, one, next_id(table));
            if (err == ERR_OK && json_array_append(there, one) != 0)
                err = build_nomem(b);
        } else if (err == ERR_OK && key[0] == 'c') {
            err = merge_column(b, &element, old, one);
        } else if (err == ERR_OK) {
            err = build_fail(b, &element, ERR_MODEL, "the group '%s' exists, and stays as it is",
                             name);
        }
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err merge_table(const struct builder *b, const struct place *at, json_t *tables,
                            json_t *json)
{
    const char *name;
    enum err err = name_of(b, at, json, &name);
    json_t *there = err == ERR_OK ? by_name(tables, name) : NULL;
    json_t *fresh;

    if (err != ERR_OK)
        return err;
    if (there != NULL) {
        err = known_keys(b, at, there, json, table_keys, COUNT_OF(table_keys));
        if (err == ERR_OK)
            err = same_id(b, at, there, json);
        if (err == ERR_OK)
            err = set(b, there, "label", json_object_get(json, "label"));
        if (err == ERR_OK)
            err = set(b, there, "labels", json_object_get(json, "labels"));
    } else { /* its columns and groups come one by one, each with its id */
        fresh = json_copy(json);
        if (fresh == NULL || json_array_append_new(tables, fresh) != 0)
            return build_nomem(b);
        (void)json_object_del(fresh, "columns");
        (void)json_object_del(fresh, "groups");
        err = give_id(b, fresh, highest_id(tables, MODEL_TABLE_ID_FIRST - 1) + 1);
        there = fresh;
    }
    if (err == ERR_OK)
        err = merge_elements(b, at, there, json, "columns");
    return err == ERR_OK ? merge_elements(b, at, there, json, "groups") : err;
}

/* The model's own JSON with the extension in it, as text. */
static enum err merge(const struct builder *b, const struct model *model, json_t *extension,
                      char **ret_text)
{
    struct place place = {NULL, "tables", 0};
    json_t *whole = json_loadb((const char *)model->text.data, model->text.size, 0, NULL);
    json_t *added = json_object_get(extension, "tables");
    const char *name = json_string_value(json_object_get(extension, "extends"));
    enum err err = whole != NULL ? ERR_OK : build_nomem(b);

    if (err == ERR_OK)
        err = build_keys(b, NULL, extension, extension_keys, COUNT_OF(extension_keys));
    if (err == ERR_OK && (name == NULL || strcmp(name, model->name) != 0))
        err = build_fail(b, &(struct place){NULL, "extends", 0}, ERR_MODEL,
                         "must be the name of the model that is extended, '%s'", model->name);
    if (err == ERR_OK && !json_is_array(added))
        err = build_fail(b, &place, ERR_MODEL, "must be an array");
    for (size_t i = 0; err == ERR_OK && i < json_array_size(added); i++)
        err = merge_table(b, &(struct place){&place, NULL, i}, json_object_get(whole, "tables"),
                          json_array_get(added, i));
    if (err == ERR_OK &&
        (json_object_del(whole, "system") != 0 ||
         json_object_set_new(whole, "version", json_integer((json_int_t)model->version + 1)) != 0))
        err = build_nomem(b);
    if (err == ERR_OK) {
        *ret_text = json_dumps(whole, JSON_COMPACT);
        err = *ret_text != NULL ? ERR_OK : build_nomem(b);
    }
    json_decref(whole);
    return err;
}

static void count_change(void *context, bool allowed, const char *text)
{
    (void)allowed;
    (void)text;
    ++*(size_t *)context;
}

/* Says in the reader's words that a failure is not of the file alone. */
static enum err explain(struct err_info *info, enum err err)
{
    struct err_info why;

    if (info == NULL || err_class(err) != ERR_CLASS_INPUT)
        return err;
    why = *info;
    return err_set(info, err, "the model with the extension in it: %s", why.message);
}

enum err model_extend(const struct model *model, struct bytes json, struct model **ret_model,
                      struct err_info *info)
{
    const struct builder b = {.info = info};
    struct model *later = NULL;
    char *text = NULL;
    size_t changes = 0;
    json_error_t ignored;
    json_t *root =
        json.size <= MODEL_FILE_MAX && json.size > 0
            ? json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &ignored)
            : NULL;
    enum err err = ERR_OK;

    if (root != NULL && json_object_get(root, "extends") != NULL) {
        err = merge(&b, model, root, &text);
        if (err == ERR_OK)
            err = explain(info, model_parse(bytes_of_text(text), &later, info));
    } else {
        err = model_parse(json, &later, info); /* which says what is wrong, if it is no JSON */
    }
    json_decref(root);
    free(text);
    if (err == ERR_OK)
        err = model_changes(model, later, count_change, &changes, info);
    if (err == ERR_OK && changes <= (size_t)(later->version > model->version))
        err = err_set(info, ERR_EXISTS, "nothing changes: the model '%s' has all of this already",
                      model->name);
    if (err != ERR_OK) {
        model_free(later);
        return err;
    }
    *ret_model = later;
    return ERR_OK;
}
