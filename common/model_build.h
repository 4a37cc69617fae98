/* model_build.h - inside of the model module: how a model file becomes a model.
 *
 * Model:      1. model_parse.c reads tables into drafts (model_column.c their columns): what
 *                one JSON value says by itself;
 *             2. model_link.c sorts them, resolves names, sets the policies that follow from a
 *                column's part in its table, and makes the units;
 *             3. model_check.c checks the rules between tables;
 *             4. model_hash.c hashes the canonical form.
 * Errors:     every failure goes through build_fail(), which writes the place before the message.
 * Ownership:  what the model keeps is in builder.keep; drafts are in builder.scratch and end with
 *             it. */
#ifndef COMMON_MODEL_BUILD_H
#define COMMON_MODEL_BUILD_H

#include "common/model.h"

#include <jansson.h>

/* Where in the file: a list from the innermost outwards. */
struct place {
    const struct place *up; /* NULL: the root */
    const char *key;        /* a member of an object, or NULL */
    size_t index;           /* else an element of an array */
};

enum { NO_GROUP = -1 };

struct draft_group {
    uint16_t id;
    const char *name;
    struct model_label label;
    enum merge_policy policy;
    size_t place; /* index in the file */
};

struct draft_column {
    struct model_column column;
    json_t *json;
    size_t place;
    int group; /* index in the table's groups, or NO_GROUP */
    enum merge_policy policy;
    bool policy_given;
    struct model_transition *transitions;
    uint16_t transition_count;
    uint16_t *ranks;
};

struct draft_table {
    struct model_table table;
    struct draft_column *columns; /* table.column_count of them; in order of the file, then by id */
    struct draft_group *groups;
    uint16_t group_count;
    json_t *json;
    size_t place;
};

struct builder {
    struct arena *keep;
    struct arena scratch;
    struct err_info *info;
    bool system;                /* reading model_system.json */
    struct draft_table *tables; /* table_count of them, the system tables first */
    size_t table_count;
};

/* Writes "place: message" into info and returns code. */
enum err build_fail(const struct builder *b, const struct place *place, enum err code,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Members of an object; `at` is the object's place. */
/* ERR_MODEL: not an object, or it has a key that is not in the list. */
enum err build_keys(const struct builder *b, const struct place *at, json_t *json,
                    const char *const *keys, size_t key_count);
/* NULL when absent (unless required). ERR_MODEL. The text is jansson's. */
enum err build_text(const struct builder *b, const struct place *at, json_t *object,
                    const char *key, bool required, const char **ret_text);
/* *ret stays as it is when absent (unless required). ERR_MODEL: not a whole number in range. */
enum err build_integer(const struct builder *b, const struct place *at, json_t *object,
                       const char *key, bool required, int64_t min, int64_t max, int64_t *ret);
enum err build_boolean(const struct builder *b, const struct place *at, json_t *object,
                       const char *key, bool *ret);
/* NULL when absent (unless required). ERR_MODEL: not an array; ERR_LIMIT: more elements than max. */
enum err build_array(const struct builder *b, const struct place *at, json_t *object,
                     const char *key, bool required, size_t max, json_t **ret_array);
/* A name of ours: its form, no SQL word, nothing reserved. Copied into keep. */
enum err build_name(const struct builder *b, const struct place *at, json_t *object,
                    const char *what, const char **ret_name);
/* {"en": ..., "ru": ...} under `key`; what is missing falls back to the English that is given, then
 * to `fallback`. */
enum err build_label(const struct builder *b, const struct place *at, json_t *object,
                     const char *key, const char *const fallback[MODEL_LANGUAGES],
                     struct model_label *ret_label);
/* The index of the word in the list. ERR_MODEL with "is not a <what>; did you mean ...?". */
enum err build_word(const struct builder *b, const struct place *at, const char *word,
                    const char *what, const char *const *list, size_t count, size_t *ret_index);
/* A terminated copy in keep. ERR_NOMEM. */
enum err build_keep(const struct builder *b, const char *text, const char **ret_text);
/* "out of memory", for arena allocations. */
enum err build_nomem(const struct builder *b);

/* model_column.c: columns[place] of a table. Reads all but names of other things. */
enum err build_column(const struct builder *b, const struct place *at, json_t *json,
                      const struct draft_table *table, struct draft_column *draft);
/* model_link.c: sorts and checks tables[i]'s columns, resolves its names. */
enum err build_link(struct builder *b);
/* model_check.c: parents, deletes, buckets across all tables. */
enum err build_check(const struct builder *b);
/* model_hash.c: fills model->hash. ERR_NOMEM, ERR_CRYPTO. */
enum err build_hash(struct model *model);

/* Names of values, in the order of their enums. */
extern const char *const merge_policy_names[MERGE_FSM + 1];
extern const char *const column_type_names[COLUMN_BLOB + 1];
extern const char *const delete_policy_names[DELETE_NEVER + 1];
extern const char *const role_names[ROLE_SERVER + 1];
extern const char *const bucket_rule_names[BUCKET_SYSTEM + 1];

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
