/* model_parse.c - a model file as tables: reading the JSON; see model_build.h. */
#include "common/model_build.h"
#include "common/model_change.h"
#include "common/model_embed.h"

#include <stdlib.h>
#include <string.h>

enum { KEEP_MAX = 64 << 20, SCRATCH_MAX = 128 << 20 };

/* The model and the arena that holds all of it but this. */
struct model_box {
    struct model model; /* first: model_free() casts back */
    struct arena arena;
};

static const char *const file_keys[] = {"name", "version", "tables"};
static const char *const table_keys[] = {"id",     "name",  "label", "labels",  "delete", "bucket",
                                         "parent", "title", "write", "columns", "groups"};
static const char *const group_keys[] = {"id", "name", "merge", "label"};

/* Whether no array or object is nested deeper than MODEL_DEPTH_MAX. What is not JSON may pass. */
static bool depth_ok(struct bytes json)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < json.size; i++) {
        uint8_t c = json.data[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '[') && ++depth > MODEL_DEPTH_MAX)
            return false;
        else if (!quoted && (c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return true;
}

static enum err load(const struct builder *b, struct bytes json, size_t max, json_t **ret_root)
{
    json_error_t error;
    json_t *root;

    if (json.size > max)
        return build_fail(b, NULL, ERR_LIMIT, "has %zu bytes; at most %zu are possible", json.size,
                          max);
    if (!depth_ok(json))
        return build_fail(b, NULL, ERR_LIMIT, "is nested deeper than %d", MODEL_DEPTH_MAX);
    root = json_loadb(json.size > 0 ? (const char *)json.data : "", json.size,
                      JSON_REJECT_DUPLICATES, &error);
    if (root == NULL &&
        (json_error_code(&error) == json_error_out_of_memory || error.text[0] == '\0'))
        return build_nomem(b); /* jansson says nothing in some of these cases */
    if (root == NULL)
        return build_fail(b, NULL, ERR_PARSE, "line %d, column %d: %s", error.line, error.column,
                          error.text);
    *ret_root = root;
    return ERR_OK;
}

static enum err read_group(const struct builder *b, const struct place *at, json_t *json,
                           struct draft_group *group)
{
    static const char *const policies[] = {[MERGE_LWW] = "lww",
                                           [MERGE_UPSTREAM] = "upstream",
                                           [MERGE_FIRST] = "first",
                                           [MERGE_MANUAL] = "manual"};
    struct place merge_at = {at, "merge", 0};
    const char *text = NULL;
    int64_t id = 0;
    size_t policy = MERGE_LWW;
    enum err err = build_keys(b, at, json, group_keys, COUNT_OF(group_keys));

    if (err == ERR_OK)
        err = build_integer(b, at, json, "id", true, 1, MODEL_ID_MAX, &id);
    if (err == ERR_OK)
        err = build_name(b, at, json, "group", &group->name);
    if (err == ERR_OK)
        err = build_label(b, at, json, "label", (const char *const[]){group->name, group->name},
                          &group->label);
    if (err == ERR_OK)
        err = build_text(b, at, json, "merge", false, &text);
    if (err == ERR_OK && text != NULL)
        err = build_word(b, &merge_at, text, "a merge policy of a column group", policies,
                         COUNT_OF(policies), &policy);
    group->id = (uint16_t)id;
    group->policy = (enum merge_policy)policy;
    group->place = at->index;
    return err;
}

static enum err read_groups(struct builder *b, const struct place *at, struct draft_table *draft)
{
    struct place place = {at, "groups", 0};
    json_t *array;
    enum err err = build_array(b, at, draft->json, "groups", false, MODEL_COLUMNS_MAX, &array);

    if (err != ERR_OK || array == NULL)
        return err;
    draft->groups = arena_calloc(&b->scratch, json_array_size(array), sizeof(*draft->groups));
    if (draft->groups == NULL)
        return build_nomem(b);
    for (size_t i = 0; i < json_array_size(array) && err == ERR_OK; i++)
        err = read_group(b, &(struct place){&place, NULL, i}, json_array_get(array, i),
                         &draft->groups[i]);
    draft->group_count = (uint16_t)json_array_size(array);
    return err;
}

static enum err read_columns(struct builder *b, const struct place *at, struct draft_table *draft)
{
    struct place place = {at, "columns", 0};
    json_t *array;
    enum err err = build_array(b, at, draft->json, "columns", true, MODEL_COLUMNS_MAX, &array);

    if (err != ERR_OK)
        return err;
    if (json_array_size(array) == 0)
        return build_fail(b, &place, ERR_MODEL, "a table has at least one column");
    draft->columns = arena_calloc(&b->scratch, json_array_size(array), sizeof(*draft->columns));
    if (draft->columns == NULL)
        return build_nomem(b);
    for (size_t i = 0; i < json_array_size(array) && err == ERR_OK; i++)
        err = build_column(b, &(struct place){&place, NULL, i}, json_array_get(array, i), draft,
                           &draft->columns[i]);
    draft->table.column_count = (uint16_t)json_array_size(array);
    return err;
}

/* The bucket rule; the columns of a routed table are looked up later. */
static enum err read_bucket(const struct builder *b, const struct place *at, json_t *json,
                            struct model_table *table)
{
    static const char *const keys[] = {"visibility", "branch", "owner", "team"};
    struct place place = {at, "bucket", 0};
    json_t *bucket = json_object_get(json, "bucket");
    const char *const words[] = {
        [BUCKET_COMPANY] = bucket_rule_names[BUCKET_COMPANY],
        [BUCKET_ROUTED] = NULL,
        [BUCKET_INHERIT] = bucket_rule_names[BUCKET_INHERIT],
        [BUCKET_SYSTEM] = b->system ? bucket_rule_names[BUCKET_SYSTEM] : NULL,
    };
    size_t index;
    enum err err;

    if (bucket == NULL)
        return build_fail(b, at, ERR_MODEL, "'bucket' is missing: who gets the records");
    if (json_is_object(bucket)) {
        table->bucket_rule = BUCKET_ROUTED;
        return build_keys(b, &place, bucket, keys, COUNT_OF(keys));
    }
    if (!json_is_string(bucket))
        return build_fail(b, &place, ERR_MODEL,
                          "must be 'company', 'inherit' or an object of routing columns");
    err = build_word(b, &place, json_string_value(bucket), "a bucket rule", words, COUNT_OF(words),
                     &index);
    if (err == ERR_OK)
        table->bucket_rule = (enum bucket_rule)index;
    return err;
}

/* A word under `key` out of list; *ret_index stays as it is when absent. */
static enum err read_word(const struct builder *b, const struct place *at, json_t *json,
                          const char *key, const char *what, const char *const *list, size_t count,
                          size_t *ret_index)
{
    struct place place = {at, key, 0};
    const char *text;
    enum err err = build_text(b, at, json, key, false, &text);

    if (err != ERR_OK || text == NULL)
        return err;
    return build_word(b, &place, text, what, list, count, ret_index);
}

static enum err read_table(struct builder *b, const struct place *at, json_t *json,
                           struct draft_table *draft)
{
    struct model_table *table = &draft->table;
    const char *writers[COUNT_OF(role_names)];
    size_t delete = DELETE_REVIVES, write = ROLE_REP;
    int64_t id = 0;
    enum err err = build_keys(b, at, json, table_keys, COUNT_OF(table_keys));

    memcpy(writers, role_names, sizeof(writers));
    writers[ROLE_NONE] = NULL;
    draft->json = json;
    draft->place = at->index;
    table->system = b->system;
    table->visibility_column = table->branch_column = -1;
    table->owner_column = table->team_column = -1;
    table->parent_column = table->title_column = -1;
    if (err == ERR_OK)
        err = build_integer(b, at, json, "id", true, b->system ? 1 : MODEL_TABLE_ID_FIRST,
                            b->system ? MODEL_TABLE_ID_FIRST - 1 : MODEL_ID_MAX, &id);
    table->id = (uint16_t)id;
    if (err == ERR_OK)
        err = build_name(b, at, json, "table", &table->name);
    if (err == ERR_OK)
        err = build_label(b, at, json, "label", (const char *const[]){table->name, table->name},
                          &table->label);
    if (err == ERR_OK)
        err = build_label(b, at, json, "labels", table->label.text, &table->label_plural);
    if (err == ERR_OK)
        err = read_word(b, at, json, "delete", "a delete policy", delete_policy_names,
                        COUNT_OF(delete_policy_names), &delete);
    if (err == ERR_OK)
        err = read_word(b, at, json, "write", "a role that writes", writers, COUNT_OF(writers),
                        &write);
    table->delete_policy = (enum delete_policy) delete;
    table->write_role = (enum role)write;
    if (err == ERR_OK)
        err = read_bucket(b, at, json, table);
    if (err == ERR_OK)
        err = read_groups(b, at, draft);
    return err == ERR_OK ? read_columns(b, at, draft) : err;
}

/* Reads a file's tables behind those that are there. */
static enum err read_file(struct builder *b, json_t *root, struct model *model)
{
    struct place place = {NULL, "tables", 0};
    size_t room = MODEL_TABLES_MAX - b->table_count;
    int64_t version = 0;
    json_t *array;
    enum err err = build_keys(b, NULL, root, file_keys, COUNT_OF(file_keys));

    if (err == ERR_OK)
        err = build_name(b, NULL, root, "model", &model->name);
    if (err == ERR_OK)
        err = build_integer(b, NULL, root, "version", true, 1, UINT32_MAX, &version);
    if (err == ERR_OK)
        err = build_array(b, NULL, root, "tables", true, room, &array);
    if (err != ERR_OK)
        return err;
    model->version = (uint32_t)version;
    for (size_t i = 0; i < json_array_size(array) && err == ERR_OK; i++)
        err = read_table(b, &(struct place){&place, NULL, i}, json_array_get(array, i),
                         &b->tables[b->table_count++]);
    return err;
}

/* The sorted, linked drafts as the model's own arrays. */
static enum err emit(const struct builder *b, struct model *model)
{
    struct model_table *tables = arena_calloc(b->keep, b->table_count, sizeof(*tables));

    if (tables == NULL)
        return build_nomem(b);
    for (size_t i = 0; i < b->table_count; i++) {
        const struct draft_table *draft = &b->tables[i];
        struct model_column *columns =
            arena_calloc(b->keep, draft->table.column_count, sizeof(*columns));

        if (columns == NULL)
            return build_nomem(b);
        for (size_t k = 0; k < draft->table.column_count; k++)
            columns[k] = draft->columns[k].column;
        tables[i] = draft->table;
        tables[i].columns = columns;
    }
    model->tables = tables;
    model->table_count = (uint16_t)b->table_count;
    return ERR_OK;
}

static enum err build(struct builder *b, json_t *system, json_t *user, struct model *model)
{
    enum err err;

    b->tables = arena_calloc(&b->scratch, MODEL_TABLES_MAX, sizeof(*b->tables));
    if (b->tables == NULL)
        return build_nomem(b);
    b->system = true;
    err = read_file(b, system, model);
    b->system = false;
    if (err == ERR_OK)
        err = read_file(b, user, model);
    if (err == ERR_OK)
        err = build_link(b);
    if (err == ERR_OK)
        err = build_check(b);
    if (err == ERR_OK)
        err = emit(b, model);
    if (err != ERR_OK)
        return err;
    err = build_hash(model);
    return err == ERR_OK ? ERR_OK : err_set(b->info, err, "the model could not be hashed");
}

/* The whole text: the file's own keys and the tables of the system. */
static enum err keep_text(const struct builder *b, json_t *system, json_t *user,
                          struct model *model)
{
    json_t *whole =
        json_pack("{s:O,s:O,s:O,s:O}", "name", json_object_get(user, "name"), "version",
                  json_object_get(user, "version"), "tables", json_object_get(user, "tables"),
                  "system", json_object_get(system, "tables"));
    char *text = whole != NULL ? json_dumps(whole, JSON_COMPACT) : NULL;
    enum err err =
        text != NULL ? arena_copy(b->keep, bytes_of_text(text), &model->text) : ERR_NOMEM;

    json_decref(whole);
    free(text);
    return err == ERR_OK ? ERR_OK : build_nomem(b);
}

static enum err make(json_t *system, json_t *user, struct model **ret_model, struct err_info *info)
{
    struct builder b = {.info = info};
    struct model_box *box = calloc(1, sizeof(*box));
    enum err err;

    if (box == NULL)
        return build_nomem(&b);
    arena_init(&box->arena, KEEP_MAX);
    arena_init(&b.scratch, SCRATCH_MAX);
    b.keep = &box->arena;
    err = build(&b, system, user, &box->model);
    if (err == ERR_OK)
        err = keep_text(&b, system, user, &box->model);
    arena_done(&b.scratch);
    if (err != ERR_OK) {
        model_free(&box->model);
        return err;
    }
    *ret_model = &box->model;
    return ERR_OK;
}

enum err model_parse(struct bytes json, struct model **ret_model, struct err_info *info)
{
    const struct builder b = {.info = info};
    json_t *system = NULL, *user = NULL;
    enum err err = load(&b, model_system_json(), MODEL_FILE_MAX, &system);

    if (err == ERR_OK)
        err = load(&b, json, MODEL_FILE_MAX, &user);
    if (err == ERR_OK)
        err = make(system, user, ret_model, info);
    json_decref(system);
    json_decref(user);
    return err;
}

/* Takes the system tables out of a whole text: *ret_system is of the form of model_system.json. */
static enum err split(const struct builder *b, json_t *whole, json_t **ret_system)
{
    json_t *tables = json_object_get(whole, "system");
    json_t *system;

    if (!json_is_array(tables))
        return build_fail(b, NULL, ERR_MODEL, "'system' is missing: this is not a whole model");
    system = json_pack("{s:s,s:i,s:O}", "name", "system", "version", 1, "tables", tables);
    if (system == NULL || json_object_del(whole, "system") != 0) {
        json_decref(system);
        return build_nomem(b);
    }
    *ret_system = system;
    return ERR_OK;
}

/* Whichever of the two extends the other; takes both. */
static enum err later_of(struct model *given, struct model *own, struct model **ret_model,
                         struct err_info *info)
{
    bool ours = model_extends(given, own, NULL) == ERR_OK;
    bool theirs = !ours && model_extends(own, given, info) == ERR_OK;

    model_free(ours ? given : own);
    if (ours || theirs) {
        *ret_model = ours ? own : given;
        return ERR_OK;
    }
    model_free(given);
    return err_set(info, ERR_VERSION,
                   "the model's system tables are neither this program's nor a later one's. Update "
                   "this program");
}

enum err model_parse_whole(struct bytes text, const uint8_t *hash, struct model **ret_model,
                           struct err_info *info)
{
    const struct builder b = {.info = info};
    json_t *builtin = NULL, *system = NULL, *user = NULL;
    struct model *given = NULL, *own = NULL;
    enum err err = load(&b, model_system_json(), MODEL_FILE_MAX, &builtin);

    if (err == ERR_OK)
        err = load(&b, text, MODEL_WHOLE_MAX, &user);
    if (err == ERR_OK)
        err = split(&b, user, &system);
    if (err == ERR_OK)
        err = make(system, user, &given, info);
    if (err == ERR_OK && hash != NULL && memcmp(hash, given->hash, sizeof(given->hash)) != 0)
        err = err_set(info, ERR_MALFORMED, "the model is not the one that was announced");
    if (err == ERR_OK)
        err = make(builtin, user, &own, info);
    json_decref(builtin);
    json_decref(system);
    json_decref(user);
    if (err != ERR_OK) {
        model_free(given);
        return err;
    }
    return later_of(given, own, ret_model, info);
}

enum err model_parse_given(struct bytes text, struct model **ret_model, struct err_info *info)
{
    const struct builder b = {.info = info};
    json_t *system = NULL, *user = NULL;
    enum err err = load(&b, text, MODEL_WHOLE_MAX, &user);

    if (err == ERR_OK)
        err = split(&b, user, &system);
    if (err == ERR_OK)
        err = make(system, user, ret_model, info);
    json_decref(system);
    json_decref(user);
    return err;
}

void model_free(struct model *model)
{
    struct model_box *box = (struct model_box *)model;

    if (box == NULL)
        return;
    arena_done(&box->arena);
    free(box);
}
