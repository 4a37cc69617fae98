/* import_map.c - a mapping file's step into fields. IMPORT.md describes the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

static int wrong(struct import *import, const struct step *step, const char *what, const char *name)
{
    return cli_failf(import->cli, EXIT_USAGE, "%s: %s '%s'", step->where, what, name);
}

static struct field *add_field(struct step *step, const struct satchel_column *column)
{
    step->fields = need(realloc(step->fields, (step->field_count + 1) * sizeof *step->fields));
    struct field *field = &step->fields[step->field_count++];
    *field = (struct field){.column = column, .join = " "};
    return field;
}

/* --- references --------------------------------------------------------------------------------- */

static int read_by(struct import *import, const struct step *step, struct field *field,
                   const struct satchel_table *table, const json_t *by)
{
    uint16_t columns[LOOKUP_COLUMNS_MAX];
    size_t count = json_is_array(by) ? json_array_size(by) : 1;
    if (!by) {
        field->by = import_lookup_default(import, table);
        return field->by ? EXIT_DONE : EXIT_STORAGE;
    }
    if (count == 0 || count > LOOKUP_COLUMNS_MAX)
        return wrong(import, step, "\"by\" names too many or no columns of", table->name);
    for (size_t i = 0; i < count; i++) {
        const json_t *name = json_is_array(by) ? json_array_get(by, i) : by;
        const struct satchel_column *column =
            json_is_string(name) ? cli_column(import->cli, table, json_string_value(name)) : NULL;
        if (!column)
            return EXIT_USAGE;
        columns[i] = column->index;
    }
    field->by = import_lookup(import, table, columns, count);
    return field->by ? EXIT_DONE : EXIT_STORAGE;
}

static int read_reference(struct import *import, const struct step *step, struct field *field,
                          const json_t *spec)
{
    const struct satchel_schema *schema = satchel_schema(import->cli->handle);
    const json_t *reference = json_object_get(spec, "reference");
    const char *name = json_string_value(json_object_get(reference, "table"));
    const char *missing = json_string_value(json_object_get(reference, "missing"));
    const char *take = json_string_value(json_object_get(reference, "take"));
    const struct satchel_table *table = NULL;
    if (!reference && field->column->type != SATCHEL_TYPE_REFERENCE)
        return EXIT_DONE;
    if (name)
        table = cli_table(import->cli, name);
    else if (field->column->target >= 0)
        table = &schema->tables[field->column->target];
    if (!table)
        return name ? EXIT_USAGE
                    : wrong(import, step, "\"reference\" needs a \"table\" for",
                            field->column->name);
    if (!take && field->column->target >= 0 && table != &schema->tables[field->column->target])
        return wrong(import, step, "references to another table than", table->name);
    field->missing = !missing || strcmp(missing, "error") == 0 ? MISSING_ERROR
                     : strcmp(missing, "null") == 0            ? MISSING_NULL
                                                               : MISSING_CREATE;
    if (field->missing == MISSING_CREATE && strcmp(missing, "create") != 0)
        return wrong(import, step, "\"missing\" is error, null or create, not", missing);
    field->aliases = json_object_get(reference, "aliases");
    field->create = json_object_get(reference, "create");
    if (take) {
        field->take = cli_column(import->cli, table, take);
        if (!field->take)
            return EXIT_USAGE;
        if (field->take->type != field->column->type)
            return wrong(import, step, "\"take\" is of another type than", field->column->name);
    } else if (field->column->type != SATCHEL_TYPE_REFERENCE) {
        return wrong(import, step,
                     "\"reference\" needs \"take\", as this is no reference:", field->column->name);
    }
    return read_by(import, step, field, table, json_object_get(reference, "by"));
}

/* --- one field ---------------------------------------------------------------------------------- */

static int add_source(struct import *import, const struct step *step, struct field *field,
                      const char *name)
{
    if (field->source_count == sizeof field->sources / sizeof *field->sources)
        return wrong(import, step, "too many sources of", field->column->name);
    field->sources[field->source_count++] = name;
    return EXIT_DONE;
}

static int read_template(struct import *import, const struct step *step, struct field *field)
{
    int failed = EXIT_DONE;
    for (const char *at = strchr(field->template_text, '{'); at && !failed; at = strchr(at, '{')) {
        const char *close = strchr(at, '}');
        if (!close)
            break;
        failed = add_source(import, step, field,
                            pool_text(&import->pool, at + 1, (size_t)(close - at) - 1));
        at = close + 1;
    }
    return failed;
}

static int read_options(struct import *import, const struct step *step, struct field *field,
                        const json_t *spec)
{
    static const char *const known[] = {"to",        "from",       "join",  "template", "values",
                                        "default",   "skip_empty", "date",  "split",    "part",
                                        "prefix",    "decimal",    "times", "lower",    "login",
                                        "reference", "optional",   "type",  "constant"};
    const size_t known_count = sizeof known / sizeof *known;
    const char *key, *text;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)spec, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < known_count; i++)
            found |= strcmp(key, known[i]) == 0;
        if (!found) {
            const char *near = text_nearest(key, known, known_count);
            return cli_failf(import->cli, EXIT_USAGE, "%s: %s: there is no option '%s'%s%s%s",
                             step->where, field->column->name, key, near ? "; did you mean '" : "",
                             near ? near : "", near ? "'?" : "");
        }
    }
    text = json_string_value(json_object_get(spec, "join"));
    field->join = text ? text : " ";
    field->fallback = json_string_value(json_object_get(spec, "default"));
    field->constant = json_string_value(json_object_get(spec, "constant"));
    field->date = json_string_value(json_object_get(spec, "date"));
    field->split = json_string_value(json_object_get(spec, "split"));
    field->prefix = json_string_value(json_object_get(spec, "prefix"));
    field->values = json_object_get(spec, "values");
    field->part = (uint64_t)json_integer_value(json_object_get(spec, "part"));
    field->skip_empty = json_is_true(json_object_get(spec, "skip_empty"));
    field->optional = json_is_true(json_object_get(spec, "optional"));
    field->lower = json_is_true(json_object_get(spec, "lower"));
    field->login = json_is_true(json_object_get(spec, "login"));
    text = json_string_value(json_object_get(spec, "decimal"));
    field->decimal = text ? text[0] : '\0';
    json_int_t times = json_integer_value(json_object_get(spec, "times"));
    for (; times > 1; times /= 10) {
        if (times % 10 != 0)
            return wrong(import, step, "\"times\" is a power of ten, in", field->column->name);
        field->zeros++;
    }
    text = json_string_value(json_object_get(spec, "type"));
    if (text && strcmp(text, field->column->type_name) != 0)
        return wrong(import, step, "another type than the column has:", text);
    return EXIT_DONE;
}

/* A target column with what is said about it: the text of a column's name, or an object. */
static int read_field(struct import *import, struct step *step, const char *target,
                      const char *source, const json_t *spec)
{
    const struct satchel_column *column = cli_column(import->cli, step->table, target);
    int failed = EXIT_DONE;
    if (!column)
        return EXIT_USAGE;
    for (size_t i = 0; i < step->field_count; i++) {
        if (step->fields[i].column == column)
            return wrong(import, step, "two fields go to", column->name);
    }
    struct field *field = add_field(step, column);
    if (json_is_object(spec)) {
        const json_t *from = json_object_get(spec, "from");
        failed = read_options(import, step, field, spec);
        field->template_text = json_string_value(json_object_get(spec, "template"));
        if (!failed && field->template_text)
            failed = read_template(import, step, field);
        else if (!failed && json_is_string(from))
            failed = add_source(import, step, field, json_string_value(from));
        for (size_t i = 0; !failed && i < json_array_size(from); i++) {
            const char *name = json_string_value(json_array_get(from, i));
            failed = name ? add_source(import, step, field, name)
                          : wrong(import, step, "\"from\" is a list of names, of", column->name);
        }
    }
    if (!failed && source && !field->template_text && field->source_count == 0)
        failed = add_source(import, step, field, source);
    if (!failed && field->source_count == 0 && !field->constant && !field->fallback)
        failed = wrong(import, step, "nothing says where this comes from:", column->name);
    return failed ? failed : read_reference(import, step, field, spec);
}

/* "columns": what a column of the file goes to: a name, an object with "to", or a list of those. */
static int read_columns(struct import *import, struct step *step, const json_t *columns)
{
    const char *source;
    json_t *spec;
    json_object_foreach((json_t *)(uintptr_t)columns, source, spec)
    {
        size_t count = json_is_array(spec) ? json_array_size(spec) : 1;
        for (size_t i = 0; i < count; i++) {
            const json_t *one = json_is_array(spec) ? json_array_get(spec, i) : spec;
            const char *to = json_is_string(one) ? json_string_value(one)
                                                 : json_string_value(json_object_get(one, "to"));
            if (!to)
                return wrong(import, step, "nothing says where this column goes:", source);
            int failed = read_field(import, step, to, source, one);
            if (failed)
                return failed;
        }
    }
    return EXIT_DONE;
}

static int read_constants(struct import *import, struct step *step, const json_t *constants)
{
    const char *target;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)constants, target, value)
    {
        json_t *spec = json_pack("{s:O}", "constant", value);
        if (!json_is_string(value)) {
            json_decref(spec);
            return wrong(import, step, "constants are written as texts:", target);
        }
        int failed = read_field(import, step, target, NULL, spec);
        json_decref(spec); /* the value lives on in the mapping */
        if (failed)
            return failed;
    }
    return EXIT_DONE;
}

int step_set_key(struct import *import, struct step *step, const char *const *names, size_t count)
{
    if (count > LOOKUP_COLUMNS_MAX)
        return wrong(import, step, "too many key columns of", step->table->name);
    step->key_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct satchel_column *column = cli_column(import->cli, step->table, names[i]);
        bool mapped = false;
        if (!column)
            return EXIT_USAGE;
        for (size_t k = 0; k < step->field_count; k++)
            mapped |= step->fields[k].column == column;
        if (!mapped)
            return wrong(import, step, "no column of the file goes to the key", names[i]);
        step->key[step->key_count++] = column->index;
    }
    return EXIT_DONE;
}

void step_default_key(struct step *step)
{
    for (uint16_t i = 0; i < step->table->column_count && step->key_count == 0; i++) {
        for (size_t k = 0; k < step->field_count; k++) {
            if (step->table->columns[i].key && step->fields[k].column->index == i &&
                !step->fields[k].constant && step->key_count == 0)
                step->key[step->key_count++] = i;
        }
    }
}

int step_from_mapping(struct import *import, struct step *step)
{
    static const char *const known[] = {"file",   "table",     "key",  "columns",
                                        "fields", "constants", "null", "encoding",
                                        "rows",   "delimiter", "about"};
    const char *names[LOOKUP_COLUMNS_MAX + 1], *key, *name;
    json_t *value;
    json_object_foreach(step->mapping, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found |= strcmp(key, known[i]) == 0;
        if (!found)
            return wrong(import, step, "there is no option", key);
    }
    name = json_string_value(json_object_get(step->mapping, "table"));
    if (!name)
        return cli_failf(import->cli, EXIT_USAGE, "%s: \"table\" is missing", step->where);
    step->table = cli_table(import->cli, name);
    if (!step->table)
        return EXIT_USAGE;
    step->nulls = json_object_get(step->mapping, "null");
    int failed = read_columns(import, step, json_object_get(step->mapping, "columns"));
    const json_t *fields = json_object_get(step->mapping, "fields");
    json_object_foreach((json_t *)(uintptr_t)fields, key, value)
    {
        if (!failed)
            failed = read_field(import, step, key, NULL, value);
    }
    if (!failed)
        failed = read_constants(import, step, json_object_get(step->mapping, "constants"));
    if (failed)
        return failed;
    const json_t *keys = json_object_get(step->mapping, "key");
    size_t count = json_is_string(keys) ? 1 : json_array_size(keys);
    for (size_t i = 0; i < count && i <= LOOKUP_COLUMNS_MAX; i++) {
        names[i] = json_string_value(json_is_string(keys) ? keys : json_array_get(keys, i));
        if (!names[i])
            return cli_failf(import->cli, EXIT_USAGE, "%s: \"key\" is a list of columns",
                             step->where);
    }
    failed = step_set_key(import, step, names, count);
    if (!failed && count == 0)
        step_default_key(step);
    return failed;
}
