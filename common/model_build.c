#include "common/model_build.h"

#include "common/model_word.h"
#include "common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* As much of a word of the file as an error quotes. */
enum { QUOTE_MAX = 60 };

/* How many bytes of a word to quote, for %.*s. */
static int quote(const char *word)
{
    return (int)utf8_cut(bytes_of_text(word), QUOTE_MAX);
}

static void write_place(const struct place *place, struct buf *out)
{
    char index[24];

    if (place == NULL)
        return;
    write_place(place->up, out);
    if (place->key == NULL) {
        snprintf(index, sizeof(index), "[%zu]", place->index);
        buf_append(out, index, strlen(index));
        return;
    }
    if (out->size > 0)
        buf_append_byte(out, '.');
    buf_append(out, place->key, (size_t)quote(place->key));
}

enum err build_fail(const struct builder *b, const struct place *place, enum err code,
                    const char *format, ...)
{
    char message[sizeof(b->info->message)];
    struct buf where;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    buf_init(&where, sizeof(message));
    write_place(place, &where);
    err_set(b->info, code, "%s%.*s: %s", b->system ? "system tables, " : "",
            where.size > 0 ? (int)where.size : 9,
            where.size > 0 ? (const char *)where.data : "the model", message);
    buf_done(&where);
    return code;
}

enum err build_nomem(const struct builder *b)
{
    return err_set(b->info, ERR_NOMEM, "out of memory while reading the model");
}

enum err build_keep(const struct builder *b, const char *text, const char **ret_text)
{
    char *copy = arena_text(b->keep, bytes_of_text(text));

    if (copy == NULL)
        return build_nomem(b);
    *ret_text = copy;
    return ERR_OK;
}

static const char *json_kind(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a text";
    case JSON_INTEGER: return "a whole number";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
    }
    return "something else";
}

enum err build_keys(const struct builder *b, const struct place *at, json_t *json,
                    const char *const *keys, size_t key_count)
{
    const char *key;
    json_t *value;

    if (!json_is_object(json))
        return build_fail(b, at, ERR_MODEL, "must be an object, not %s", json_kind(json));
    json_object_foreach(json, key, value)
    {
        const char *nearest;
        size_t i = 0;

        while (i < key_count && strcmp(key, keys[i]) != 0)
            i++;
        if (i < key_count)
            continue;
        nearest = word_nearest(key, keys, key_count);
        return build_fail(b, &(struct place){at, key, 0}, ERR_MODEL, "there is no such key%s%s%s",
                          nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                          nearest != NULL ? "'?" : "");
    }
    return ERR_OK;
}

/* The member, or NULL when it is absent and need not be there. */
static enum err get_member(const struct builder *b, const struct place *at, json_t *object,
                           const char *key, bool required, json_t **ret)
{
    *ret = json_object_get(object, key);
    if (*ret == NULL && required)
        return build_fail(b, at, ERR_MODEL, "'%s' is missing", key);
    return ERR_OK;
}

enum err build_text(const struct builder *b, const struct place *at, json_t *object,
                    const char *key, bool required, const char **ret_text)
{
    json_t *value;
    enum err err = get_member(b, at, object, key, required, &value);

    if (err != ERR_OK)
        return err;
    if (value != NULL && !json_is_string(value))
        return build_fail(b, &(struct place){at, key, 0}, ERR_MODEL, "must be a text, not %s",
                          json_kind(value));
    *ret_text = json_string_value(value);
    return ERR_OK;
}

enum err build_integer(const struct builder *b, const struct place *at, json_t *object,
                       const char *key, bool required, int64_t min, int64_t max, int64_t *ret)
{
    struct place place = {at, key, 0};
    json_t *value;
    enum err err = get_member(b, at, object, key, required, &value);

    if (err != ERR_OK || value == NULL)
        return err;
    if (!json_is_integer(value))
        return build_fail(b, &place, ERR_MODEL, "must be a whole number, not %s", json_kind(value));
    if (json_integer_value(value) < min || json_integer_value(value) > max)
        return build_fail(b, &place, ERR_MODEL, "must be from %lld to %lld, not %lld",
                          (long long)min, (long long)max, (long long)json_integer_value(value));
    *ret = json_integer_value(value);
    return ERR_OK;
}

enum err build_boolean(const struct builder *b, const struct place *at, json_t *object,
                       const char *key, bool *ret)
{
    json_t *value = json_object_get(object, key);

    if (value == NULL)
        return ERR_OK;
    if (!json_is_boolean(value))
        return build_fail(b, &(struct place){at, key, 0}, ERR_MODEL,
                          "must be true or false, not %s", json_kind(value));
    *ret = json_is_true(value);
    return ERR_OK;
}

enum err build_array(const struct builder *b, const struct place *at, json_t *object,
                     const char *key, bool required, size_t max, json_t **ret_array)
{
    struct place place = {at, key, 0};
    json_t *value;
    enum err err = get_member(b, at, object, key, required, &value);

    if (err != ERR_OK)
        return err;
    if (value != NULL && !json_is_array(value))
        return build_fail(b, &place, ERR_MODEL, "must be an array, not %s", json_kind(value));
    if (json_array_size(value) > max)
        return build_fail(b, &place, ERR_LIMIT, "has %zu elements; at most %zu are possible",
                          json_array_size(value), max);
    *ret_array = value;
    return ERR_OK;
}

enum err build_name(const struct builder *b, const struct place *at, json_t *object,
                    const char *what, const char **ret_name)
{
    struct place place = {at, "name", 0};
    const char *name;
    enum err err = build_text(b, at, object, "name", true, &name);

    if (err != ERR_OK)
        return err;
    if (!word_is_name(name))
        return build_fail(b, &place, ERR_MODEL,
                          "'%.*s' is not a name: a-z first, then a-z, 0-9 and _, at most %d",
                          quote(name), name, MODEL_NAME_MAX);
    if (word_is_sql(name))
        return build_fail(b, &place, ERR_MODEL, "'%s' is a word of SQL; name the %s otherwise",
                          name, what);
    if (strcmp(name, "id") == 0 || strcmp(name, "any") == 0 || strncmp(name, "satchel", 7) == 0 ||
        strncmp(name, "sqlite_", 7) == 0)
        return build_fail(b, &place, ERR_MODEL, "'%s' is reserved; name the %s otherwise", name,
                          what);
    return build_keep(b, name, ret_name);
}

enum err build_label(const struct builder *b, const struct place *at, json_t *object,
                     const char *key, const char *const fallback[MODEL_LANGUAGES],
                     struct model_label *ret_label)
{
    static const char *const languages[MODEL_LANGUAGES] = {"en", "ru"};
    struct place place = {at, key, 0};
    struct model_label label;
    json_t *texts = json_object_get(object, key);
    enum err err = ERR_OK;

    memcpy(label.text, fallback, sizeof(label.text));
    if (texts != NULL)
        err = build_keys(b, &place, texts, languages, MODEL_LANGUAGES);
    for (size_t i = 0; i < MODEL_LANGUAGES && texts != NULL && err == ERR_OK; i++) {
        const char *text = NULL;

        err = build_text(b, &place, texts, languages[i], false, &text);
        if (err != ERR_OK || text == NULL) {
            if (i > 0 && json_object_get(texts, languages[0]) != NULL)
                label.text[i] = label.text[0];
            continue;
        }
        if (text[0] == '\0' || strlen(text) > MODEL_LABEL_MAX)
            return build_fail(b, &(struct place){&place, languages[i], 0}, ERR_MODEL,
                              "must be a text of 1 to %d bytes", MODEL_LABEL_MAX);
        err = build_keep(b, text, &label.text[i]);
    }
    if (err == ERR_OK)
        *ret_label = label;
    return err;
}

enum err build_word(const struct builder *b, const struct place *at, const char *word,
                    const char *what, const char *const *list, size_t count, size_t *ret_index)
{
    const char *nearest;

    for (size_t i = 0; i < count; i++) {
        if (list[i] != NULL && strcmp(list[i], word) == 0) {
            *ret_index = i;
            return ERR_OK;
        }
    }
    nearest = word_nearest(word, list, count);
    if (nearest == NULL)
        return build_fail(b, at, ERR_MODEL, "'%.*s' is not %s", quote(word), word, what);
    return build_fail(b, at, ERR_MODEL, "'%.*s' is not %s; did you mean '%s'?", quote(word), word,
                      what, nearest);
}
