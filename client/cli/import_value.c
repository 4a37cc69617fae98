/* import_value.c - from a row's cells to one column's value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#include "import.h"

/* --- the text ----------------------------------------------------------------------------------- */

static bool is_null(const struct step *step, const char *text)
{
    size_t index;
    json_t *one;
    json_array_foreach(step->nulls, index, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), text) == 0)
            return true;
    }
    return text[0] == '\0';
}

/* Blanks as people see them: no-break ones too. */
static size_t blank(const char *s)
{
    if (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n')
        return 1;
    return (unsigned char)s[0] == 0xc2 && (unsigned char)s[1] == 0xa0 ? 2 : 0;
}

/* The cell without blanks around, in the pool; NULL when it is empty. */
static const char *trimmed(struct import *import, const struct step *step,
                           const struct field *field, const struct source_row *row, int index,
                           struct pool *pool)
{
    const char *cell = index >= 0 ? row->cells[index] : NULL, *start = cell;
    if (!cell)
        return NULL;
    while (blank(start))
        start += blank(start);
    size_t size = strlen(start);
    while (size > 0 && (blank(start + size - 1) == 1 || (size > 1 && blank(start + size - 2) == 2)))
        size -= blank(start + size - 1) == 1 ? 1 : 2;
    char *copy = pool_text(pool, start, size);
    if (is_null(step, copy))
        return NULL;
    if (size != strlen(cell))
        report_note(import->report, row, field->column->name, cell, "blanks around it taken off");
    return copy;
}

static const char *joined(struct import *import, const struct step *step, const struct field *field,
                          const struct source_row *row, struct pool *pool)
{
    struct text out = {0};
    for (size_t i = 0; i < field->source_count; i++) {
        const char *cell = trimmed(import, step, field, row, field->source_index[i], pool);
        if (cell) {
            text_add(&out, out.size > 0 ? field->join : "");
            text_add(&out, cell);
        }
    }
    const char *copy = out.size > 0 ? pool_text(pool, out.data, out.size) : NULL;
    text_done(&out);
    return copy;
}

/* "{FirstName} {LastName}": the n-th name in braces is the n-th source. Empty when all are. */
static const char *filled(struct import *import, const struct step *step, const struct field *field,
                          const struct source_row *row, struct pool *pool)
{
    struct text out = {0};
    size_t source = 0, given = 0;
    for (const char *at = field->template_text; *at;) {
        const char *close = *at == '{' ? strchr(at, '}') : NULL;
        if (!close) {
            text_add_n(&out, at++, 1);
            continue;
        }
        const char *cell = trimmed(import, step, field, row, field->source_index[source++], pool);
        given += cell != NULL;
        text_add(&out, cell ? cell : "");
        at = close + 1;
    }
    const char *copy = given > 0 ? pool_text(pool, out.data, out.size) : NULL;
    text_done(&out);
    return copy;
}

static const char *part_of(const struct field *field, const char *text, struct pool *pool)
{
    size_t size = strlen(field->split);
    for (uint64_t i = 1; text && i < field->part; i++) {
        text = strstr(text, field->split);
        text = text ? text + size : NULL;
    }
    if (!text)
        return NULL;
    const char *end = strstr(text, field->split);
    size_t length = end ? (size_t)(end - text) : strlen(text);
    while (length > 0 && text[0] == ' ') {
        text++;
        length--;
    }
    return length > 0 ? pool_text(pool, text, length) : NULL;
}

static const char *lower(const char *text, struct pool *pool)
{
    struct text out = {0};
    for (size_t left = strlen(text); left > 0;) {
        uint32_t c;
        size_t bytes = text_decode(text, left, &c);
        text_add_character(&out, (uint32_t)towlower((wint_t)c));
        text += bytes;
        left -= bytes;
    }
    const char *copy = pool_text(pool, text_get(&out), out.size);
    text_done(&out);
    return copy;
}

/* What the mapping says about values; NULL: empty. */
static const char *mapped(const struct field *field, const char *text)
{
    const json_t *found = json_object_get(field->values, text ? text : "");
    const char *key;
    json_t *value;
    if (!found && text) {
        json_object_foreach(field->values, key, value)
        {
            if (!found && text_alike(key, text))
                found = value;
        }
    }
    if (!found && text)
        found = json_object_get(field->values, "*");
    return found ? json_string_value(found) : text;
}

/* The text before it is typed; NULL: empty. */
static const char *field_text(struct import *import, const struct step *step,
                              const struct field *field, const struct source_row *row,
                              struct pool *pool)
{
    const char *text = field->constant;
    if (!text && field->template_text)
        text = filled(import, step, field, row, pool);
    else if (!text)
        text = joined(import, step, field, row, pool);
    if (text && field->part > 0 && field->split)
        text = part_of(field, text, pool);
    if (field->values)
        text = mapped(field, text);
    if (!text)
        text = field->fallback;
    if (text && field->login) {
        char *login = text_login(text);
        text = login[0] ? pool_text(pool, login, strlen(login)) : NULL;
        free(login);
    }
    if (text && field->lower)
        text = lower(text, pool);
    if (text && field->prefix) {
        size_t size = strlen(field->prefix) + strlen(text) + 1;
        char *whole = pool_take(pool, size);
        snprintf(whole, size, "%s%s", field->prefix, text);
        text = whole;
    }
    return text;
}

/* --- the value ---------------------------------------------------------------------------------- */

/* Copies the bytes of a value that belongs to the handle. */
static void keep(struct pool *pool, struct satchel_value *value)
{
    if (value->kind == SATCHEL_TEXT || value->kind == SATCHEL_BLOB)
        value->as.bytes.data = (const uint8_t *)pool_text(pool, (const char *)value->as.bytes.data,
                                                          value->as.bytes.size);
}

static void set_item(json_t *set, const char *text, size_t size)
{
    while (size > 0 && (*text == ' ' || *text == '\n' || *text == '\r')) {
        text++;
        size--;
    }
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\r'))
        size--;
    if (size > 0)
        json_array_append_new(set, json_stringn(text, size));
}

/* A set as JSON: its sources are its elements, each as it is written unless the mapping splits it. */
static char *set_text(struct import *import, const struct step *step, const struct field *field,
                      const struct source_row *row, const char *text, struct pool *pool)
{
    json_t *set = text[0] == '[' ? json_loads(text, 0, NULL) : NULL;
    size_t count = field->constant || field->template_text ? 1 : field->source_count;
    if (!json_is_array(set)) {
        json_decref(set);
        set = json_array();
        for (size_t i = 0; i < count; i++) {
            const char *cell =
                count == 1 ? text : trimmed(import, step, field, row, field->source_index[i], pool);
            const char *end = cell && field->split ? strstr(cell, field->split) : NULL;
            for (; cell && end; end = strstr(cell, field->split)) {
                set_item(set, cell, (size_t)(end - cell));
                cell = end + strlen(field->split);
            }
            if (cell)
                set_item(set, cell, strlen(cell));
        }
    }
    char *json = need(json_dumps(set, JSON_COMPACT));
    json_decref(set);
    return json;
}

/* The symbol that a text means: by symbol or label, whatever the case. NULL: none. */
static const char *symbol_of(const struct satchel_column *column, const char *text)
{
    for (uint16_t i = 0; i < column->symbol_count; i++) {
        const struct satchel_label *label = &column->symbol_labels[i];
        if (strcmp(column->symbols[i], text) == 0 || text_alike(column->symbols[i], text) ||
            text_alike(label->text[SATCHEL_EN], text) || text_alike(label->text[SATCHEL_RU], text))
            return column->symbols[i];
    }
    return NULL;
}

/* Whether the column's bounds allow the value: the engine would say so too, but not in words of the row. */
static bool within(const struct satchel_column *column, const struct satchel_value *value,
                   char *reason, size_t size)
{
    bool text = value->kind == SATCHEL_TEXT && column->type == SATCHEL_TYPE_TEXT;
    bool low = false, high = false;
    if (value->kind == SATCHEL_INT) {
        low = value->as.integer < column->min;
        high = value->as.integer > column->max;
    } else if (value->kind == SATCHEL_REAL) {
        low = column->min != INT64_MIN && value->as.real < (double)column->min;
        high = column->max != INT64_MAX && value->as.real > (double)column->max;
    } else if (text && column->max != INT64_MAX) {
        high = value->as.bytes.size > (uint64_t)column->max;
    }
    if (high && text)
        snprintf(reason, size, "is too long: %zu bytes, %lld at most", value->as.bytes.size,
                 (long long)column->max);
    else if (low || high)
        snprintf(reason, size, "is %s than %lld", low ? "less" : "more",
                 (long long)(low ? column->min : column->max));
    return !low && !high;
}

static enum made typed(struct import *import, const struct step *step, const struct field *field,
                       const struct source_row *row, const char *text, struct pool *pool,
                       struct outcome *outcome)
{
    struct satchel *handle = import->cli->handle;
    const struct satchel_column *column = field->column;
    struct text out = {0};
    bool good = true;
    size_t size = sizeof outcome->reason;
    if (column->type == SATCHEL_TYPE_INTEGER || column->type == SATCHEL_TYPE_REAL ||
        column->type == SATCHEL_TYPE_MONEY) {
        good = import_number(field, text, &out, outcome->reason, size);
    } else if (column->type == SATCHEL_TYPE_DATE || column->type == SATCHEL_TYPE_INSTANT) {
        good = import_date(field, text, &out, outcome->reason, size);
    } else if (column->type == SATCHEL_TYPE_SET) {
        char *json = set_text(import, step, field, row, text, pool);
        text_add(&out, json);
        free(json);
    } else if (column->type == SATCHEL_TYPE_ENUM && symbol_of(column, text)) {
        text_add(&out, symbol_of(column, text));
    } else {
        text_add(&out, text);
    }
    enum satchel_code code = SATCHEL_E_TYPE;
    if (good)
        code = satchel_parse_value(handle, column, text_get(&out), &outcome->value);
    if (good && code != SATCHEL_OK)
        snprintf(outcome->reason, size, "%s", satchel_last_error(handle)->message);
    text_done(&out);
    if (code != SATCHEL_OK || !within(column, &outcome->value, outcome->reason, size))
        return MADE_REFUSED;
    keep(pool, &outcome->value);
    return MADE_VALUE;
}

/* --- references --------------------------------------------------------------------------------- */

/* Makes the record that a reference names. */
static enum made create(struct import *import, const struct field *field, const char *text,
                        struct outcome *outcome, struct satchel_id *id)
{
    struct satchel_field fields[16] = {0};
    const struct lookup *by = field->by;
    size_t count = 0;
    const char *key;
    json_t *value;
    fields[count++] =
        (struct satchel_field){.column = by->table->columns[by->columns[0]].name, .text = text};
    json_object_foreach(field->create, key, value)
    {
        if (count < 16 && json_is_string(value))
            fields[count++] =
                (struct satchel_field){.column = key, .text = json_string_value(value)};
    }
    memset(id, 0, sizeof *id);
    if (import_begin(import) != EXIT_DONE)
        return MADE_FAILED;
    if (satchel_insert_fields(import->cli->handle, by->table->name, id, fields, count) !=
        SATCHEL_OK) {
        snprintf(outcome->reason, sizeof outcome->reason, "%.64s could not be made: %.500s",
                 by->table->name, satchel_last_error(import->cli->handle)->message);
        return MADE_REFUSED;
    }
    import->writes++;
    for (struct lookup *one = import->lookups; one; one = one->next) {
        if (one->table == by->table)
            lookup_add(one, text, id);
    }
    report_counts(import->report)->created++;
    return MADE_VALUE;
}

/* The value that is asked of the record found: itself, or one of its columns. */
static enum made taken(struct import *import, const struct field *field,
                       const struct satchel_id *id, struct pool *pool, struct outcome *outcome)
{
    if (!field->take) {
        struct satchel_value value = satchel_reference(id);
        outcome->value = value;
        keep(pool, &outcome->value);
        return MADE_VALUE;
    }
    uint16_t column = field->take->id;
    enum satchel_code code =
        satchel_read(import->cli->handle, field->by->table->id, id, &column, &outcome->value, 1);
    if (code == SATCHEL_E_NOT_FOUND && import->dry_run) {
        outcome->value = satchel_null(); /* made by this dry run, and rolled back since */
        return MADE_VALUE;
    }
    if (code != SATCHEL_OK) {
        snprintf(outcome->reason, sizeof outcome->reason, "%s",
                 satchel_last_error(import->cli->handle)->message);
        return MADE_REFUSED;
    }
    keep(pool, &outcome->value);
    return MADE_VALUE;
}

static enum made referenced(struct import *import, const struct step *step,
                            const struct field *field, const struct source_row *row,
                            const char *text, struct pool *pool, struct outcome *outcome)
{
    struct satchel_id id;
    const char *called = NULL;
    const json_t *alias = json_object_get(field->aliases, text);
    if (alias && json_is_string(alias)) {
        char what[256];
        snprintf(what, sizeof what, "taken as '%s' (an alias of the mapping)",
                 json_string_value(alias));
        report_note(import->report, row, field->column->name, text, what);
        text = json_string_value(alias);
    }
    enum lookup_result result = lookup_find(field->by, text, &id, &called);
    if (result == LOOKUP_NONE && satchel_id_parse(text, &id) == SATCHEL_OK)
        result = LOOKUP_EXACT;
    if (result == LOOKUP_EXACT)
        return taken(import, field, &id, pool, outcome);
    if (result == LOOKUP_ALIKE) {
        char what[256];
        snprintf(what, sizeof what, "taken as '%s', which differs in case or blanks only", called);
        report_note(import->report, row, field->column->name, text, what);
        return taken(import, field, &id, pool, outcome);
    }
    if (result == LOOKUP_AMBIGUOUS) {
        snprintf(outcome->reason, sizeof outcome->reason, "is the name of several records of %s",
                 field->by->table->name);
        return MADE_REFUSED;
    }
    snprintf(outcome->reason, sizeof outcome->reason, "there is no such %s",
             field->by->table->name);
    if (field->by->table == step->table && field->missing != MISSING_CREATE)
        return MADE_LATER;
    if (field->missing == MISSING_CREATE) {
        enum made made = create(import, field, text, outcome, &id);
        return made == MADE_VALUE ? taken(import, field, &id, pool, outcome) : made;
    }
    if (field->missing == MISSING_NULL) {
        report_note(import->report, row, field->column->name, text,
                    "names nothing here: left empty");
        outcome->value = satchel_null();
        return MADE_VALUE;
    }
    return MADE_REFUSED;
}

enum made field_value(struct import *import, const struct step *step, const struct field *field,
                      const struct source_row *row, struct pool *pool, struct outcome *outcome)
{
    const char *text = field_text(import, step, field, row, pool);
    outcome->text = text ? text : "";
    outcome->reason[0] = '\0';
    if (!text || text[0] == '\0') {
        outcome->value = satchel_null();
        return field->skip_empty ? MADE_LEAVE : MADE_VALUE;
    }
    if (field->by)
        return referenced(import, step, field, row, text, pool, outcome);
    return typed(import, step, field, row, text, pool, outcome);
}
