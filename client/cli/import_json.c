/* import_json.c - rows out of JSON: an array of objects, an object that holds some, JSON lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

/* A number as short as it is exact: 9.8, not 9.8000000000000007. */
static const char *number_text(struct pool *pool, const json_t *value)
{
    char text[40];
    if (json_is_integer(value)) {
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
        return pool_text(pool, text, strlen(text));
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, json_real_value(value));
        double back = strtod(text, NULL), own = json_real_value(value);
        if (back <= own && back >= own)
            break;
    }
    return pool_text(pool, text, strlen(text));
}

static const char *cell_text(struct pool *pool, const json_t *value)
{
    if (json_is_null(value))
        return NULL;
    if (json_is_string(value))
        return pool_text(pool, json_string_value(value), strlen(json_string_value(value)));
    if (json_is_number(value))
        return number_text(pool, value);
    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    char *text = need(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY));
    const char *copy = pool_text(pool, text, strlen(text));
    free(text);
    return copy;
}

/* The column of that name, made if it is new; -1: too many. */
static int column_of(struct source *source, struct map *names, const char *name)
{
    uint64_t *at = map_at(names, name, true);
    if (*at == 0) {
        if (source->column_count == IMPORT_COLUMNS_MAX)
            return -1;
        source->columns[source->column_count++] = pool_text(&source->pool, name, strlen(name));
        *at = source->column_count;
    }
    return (int)*at - 1;
}

/* Objects within objects become "address.city", those of the object around it "^id". */
static void take_columns(struct source *source, struct map *names, json_t *object,
                         const char *prefix, struct source_row *row, int depth)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        struct text name = {0};
        text_addf(&name, "%s%s", prefix, key);
        if (prefix[0] == '^' && (json_is_array(value) || json_is_object(value))) {
            /* the rows themselves are in one of these */
        } else if (json_is_object(value) && depth < 8) {
            text_add(&name, ".");
            take_columns(source, names, value, text_get(&name), row, depth + 1);
        } else {
            int column = column_of(source, names, text_get(&name));
            if (row && column >= 0)
                row->cells[column] = cell_text(&source->pool, value);
        }
        text_done(&name);
    }
}

struct found {
    json_t *object, *around;
};

struct finds {
    struct found *items;
    size_t count, capacity;
};

static void find_add(struct finds *finds, json_t *object, json_t *around)
{
    if (finds->count == finds->capacity) {
        finds->capacity = finds->capacity ? finds->capacity * 2 : 256;
        finds->items = need(realloc(finds->items, finds->capacity * sizeof *finds->items));
    }
    finds->items[finds->count++] = (struct found){object, around};
}

/* Collects what `path` leads to: each name an object's member; arrays are gone through. outer: `at` is
 * the document, of which rows say nothing. */
static void collect(struct finds *finds, json_t *at, json_t *around, const char *path, bool outer)
{
    size_t index;
    json_t *item;
    if (json_is_array(at)) {
        json_array_foreach(at, index, item)
        {
            if (path[0] && json_is_object(item))
                collect(finds, item, NULL, path, false);
            else
                find_add(finds, item, around);
        }
        return;
    }
    if (path[0] == '\0') {
        find_add(finds, at, around);
        return;
    }
    char name[256];
    size_t size = strcspn(path, ".");
    snprintf(name, sizeof name, "%.*s", (int)size, path);
    json_t *next = json_object_get(at, name);
    if (next)
        collect(finds, next, outer ? NULL : at, path[size] ? path + size + 1 : "", false);
}

/* The names of the arrays of an object, for a message; with one alone, *ret_only. */
static size_t arrays_of(json_t *root, struct text *names, const char **ret_only)
{
    const char *key;
    json_t *value;
    size_t count = 0;
    json_object_foreach(root, key, value)
    {
        if (json_is_array(value) && json_array_size(value) > 0) {
            text_addf(names, "%s%s", count++ ? ", " : "", key);
            *ret_only = key;
        }
    }
    return count;
}

static json_t *load_lines(struct source *source, const char *text, size_t size)
{
    json_t *array = json_array();
    uint64_t line = 0;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t piece = end ? (size_t)(end - (text + at)) : size - at;
        json_error_t error;
        line++;
        if (strspn(text + at, " \t\r") < piece) {
            json_t *one = json_loadb(text + at, piece, JSON_REJECT_DUPLICATES, &error);
            if (!one) {
                snprintf(source->problem, sizeof source->problem, "line %llu: %s",
                         (unsigned long long)line, error.text);
                json_decref(array);
                return NULL;
            }
            json_array_append_new(array, one);
        }
        at += piece + 1;
    }
    return array;
}

static json_t *load(struct source *source, const char *text, size_t size)
{
    json_error_t error;
    json_t *root = json_loadb(text, size, 0, &error);
    if (root && (json_is_array(root) || json_is_object(root))) {
        source->kind = "JSON";
        return root;
    }
    json_decref(root);
    /* Not one document: an object per line, if the first line is one by itself. */
    const char *end = memchr(text, '\n', size);
    json_t *first = end ? json_loadb(text, (size_t)(end - text), 0, NULL) : NULL;
    if (first) {
        json_decref(first);
        source->kind = "JSON lines";
        return load_lines(source, text, size);
    }
    snprintf(source->problem, sizeof source->problem, "line %d, column %d: %s", error.line,
             error.column, error.text);
    return NULL;
}

static void take_rows(struct source *source, const struct finds *finds)
{
    struct map names = {0};
    /* Once for the columns' names, as rows are as wide as all columns; then for the cells. */
    for (size_t i = 0; i < finds->count; i++) {
        take_columns(source, &names, finds->items[i].object, "", NULL, 0);
        if (finds->items[i].around)
            take_columns(source, &names, finds->items[i].around, "^", NULL, 8);
    }
    for (size_t i = 0; i < finds->count; i++) {
        struct source_row *row = source_add(source);
        if (!json_is_object(finds->items[i].object)) {
            row->bad = "it is not an object";
            continue;
        }
        take_columns(source, &names, finds->items[i].object, "", row, 0);
        if (finds->items[i].around)
            take_columns(source, &names, finds->items[i].around, "^", row, 8);
    }
    map_done(&names);
}

bool import_json(struct source *source, const char *text, size_t size, const char *rows)
{
    struct finds finds = {0};
    struct text names = {0};
    json_t *root = load(source, text, size);
    if (!root)
        return false;
    if (!rows && json_is_object(root)) {
        size_t arrays = arrays_of(root, &names, &rows);
        if (arrays > 1)
            snprintf(source->problem, sizeof source->problem,
                     "which of its arrays? a mapping's \"rows\" says: %s", text_get(&names));
        if (arrays == 0)
            rows = ""; /* one object: one row */
    }
    if (source->problem[0] == '\0') {
        collect(&finds, root, NULL, rows ? rows : "", true);
        if (finds.count == 0 && rows && rows[0] && !json_object_get(root, rows))
            snprintf(source->problem, sizeof source->problem, "there are no rows at \"%s\"", rows);
        else
            take_rows(source, &finds);
    }
    free(finds.items);
    text_done(&names);
    json_decref(root);
    return source->problem[0] == '\0';
}
