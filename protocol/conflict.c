#include "protocol/conflict.h"

#include "common/text.h"
#include "protocol/merge.h"

#include <assert.h>
#include <string.h>

enum { DOT_SIZE = 20, ID_INPUT_MAX = 2 + 16 + 2 + FRONTIER_MAX * DOT_SIZE };

enum err conflict_id(struct crypto *crypto, const struct model_table *table,
                     const struct uuid *record, const struct model_unit *unit, struct dot_set dots,
                     struct uuid *ret)
{
    uint8_t input[ID_INPUT_MAX], hash[CRYPTO_SHA256_SIZE], *at = input;
    enum err error;

    assert(dots.count <= FRONTIER_MAX);
    be16_put(at, table->id);
    memcpy(at + 2, record->byte, sizeof(record->byte));
    be16_put(at + 18, unit == NULL ? 0 : unit->id);
    at += 20;
    for (uint16_t i = 0; i < dots.count; i++, at += DOT_SIZE) {
        be64_put(at, dots.dots[i].origin);
        be64_put(at + 8, dots.dots[i].oseq);
        be32_put(at + 16, dots.dots[i].tag);
    }
    error = crypto_sha256(crypto, bytes_of(input, (size_t)(at - input)), hash);
    if (error == ERR_OK)
        memcpy(ret->byte, hash, sizeof(ret->byte));
    return error;
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* What is being written. Errors stay in out.error. */
struct json {
    struct buf out;
    size_t text_max; /* bytes of one text; longer ones are cut */
    bool cut;        /* one was, in this object */
};

static void put_text(struct json *json, const char *text)
{
    (void)text_append(&json->out, text);
}

static void put_string(struct json *json, struct bytes text)
{
    if (text.size > json->text_max) {
        text.size = utf8_cut(text, json->text_max);
        json->cut = true;
    }
    (void)text_append_json(&json->out, text);
}

static void put_value(struct json *json, const struct value *value)
{
    switch (value->kind) {
    case VALUE_NULL: put_text(json, "null"); break;
    case VALUE_INT: (void)text_append_int64(&json->out, value->as.integer); break;
    case VALUE_REAL: /* infinity has no form in JSON */
        if (text_append_double(&json->out, value->as.real) == ERR_INVALID)
            put_text(json, "null");
        break;
    case VALUE_TEXT: put_string(json, value->as.bytes); break;
    case VALUE_BLOB:
        put_text(json, "\"");
        (void)text_append_hex(&json->out, value->as.bytes);
        put_text(json, "\"");
        break;
    }
}

/* "name": value, with a comma unless it is the first. */
static void put_member(struct json *json, const struct model_column *column,
                       const struct value *value, bool *first)
{
    if (!*first)
        put_text(json, ",");
    *first = false;
    (void)text_append_json(&json->out, bytes_of_text(column->name));
    put_text(json, ":");
    put_value(json, value);
}

/* An object by column name. values: in the unit's order; NULL: those of the row. */
static void put_unit(struct json *json, const struct model_table *table,
                     const struct model_unit *unit, const struct value *values,
                     const struct value *row)
{
    bool first = true;

    put_text(json, "{");
    for (uint16_t i = 0; i < unit->column_count; i++) {
        const struct model_column *column = &table->columns[unit->columns[i]];

        put_member(json, column, values != NULL ? &values[i] : &row[column->index], &first);
    }
    put_text(json, "}");
}

static void put_dot(struct json *json, const struct dot *dot, uint64_t stamp)
{
    uint8_t origin[8];

    be64_put(origin, dot->origin);
    put_text(json, "{\"origin\":\"");
    (void)text_append_hex(&json->out, bytes_of(origin, sizeof(origin)));
    (void)text_append_format(&json->out,
                             "\",\"oseq\":%llu,\"tag\":%lu,\"at\":", (unsigned long long)dot->oseq,
                             (unsigned long)dot->tag);
    (void)text_append_int64(&json->out, (int64_t)(stamp >> 16));
    put_text(json, ",\"value\":");
    json->cut = false;
}

static void end_dot(struct json *json)
{
    put_text(json, json->cut ? ",\"cut\":true}" : "}");
}

/* --- Rows ------------------------------------------------------------------------------------- */

/* What one of the two kinds of rows is about. */
struct subject {
    const struct model_table *table;
    const struct record *record;
    const struct model_unit *unit; /* NULL: a delete */
    const struct unit_state *state;
    const struct delete_mark *delete_mark;
    struct arena *arena;
};

typedef void json_fn(struct json *json, const struct subject *subject);

/* The JSON that `write` makes, with long texts cut until it fits into a column. ERR_NOMEM. */
static enum err make_text(const struct subject *subject, json_fn *write, struct value *ret)
{
    struct json json = {.text_max = MODEL_TEXT_MAX};
    struct bytes text;
    enum err error;

    buf_init(&json.out, MODEL_TEXT_MAX);
    do {
        buf_reset(&json.out);
        write(&json, subject);
        json.text_max /= 2;
    } while (json.out.error == ERR_TOO_LARGE && json.text_max > 0);
    error = json.out.error;
    if (error == ERR_OK)
        error = arena_copy(subject->arena, buf_view(&json.out), &text);
    buf_done(&json.out);
    if (error == ERR_NOMEM)
        return error;
    *ret = error == ERR_OK ? value_text(text) : value_null();
    return ERR_OK;
}

static void write_shown(struct json *json, const struct subject *subject)
{
    put_unit(json, subject->table, subject->unit, NULL, subject->record->values);
}

static void write_base(struct json *json, const struct subject *subject)
{
    for (uint16_t i = 0; i < subject->state->count; i++) {
        if (subject->state->candidates[i].base == NULL)
            continue;
        put_unit(json, subject->table, subject->unit, subject->state->candidates[i].base, NULL);
        return;
    }
}

static bool same_values(const struct model_unit *unit, const struct value *a, const struct value *b)
{
    for (uint16_t i = 0; i < unit->column_count; i++) {
        if (!value_equal(&a[i], &b[i]))
            return false;
    }
    return true;
}

/* Whether there is a base, and all that carry one carry the same. */
static bool has_one_base(const struct model_unit *unit, const struct unit_state *state)
{
    const struct value *base = NULL;

    for (uint16_t i = 0; i < state->count; i++) {
        if (state->candidates[i].base == NULL)
            continue;
        if (base != NULL && !same_values(unit, base, state->candidates[i].base))
            return false;
        base = state->candidates[i].base;
    }
    return base != NULL;
}

static void write_candidates(struct json *json, const struct subject *subject)
{
    bool bases = !has_one_base(subject->unit, subject->state);

    put_text(json, "[");
    for (uint16_t i = 0; i < subject->state->count; i++) {
        const struct candidate *candidate = &subject->state->candidates[i];

        if (i > 0)
            put_text(json, ",");
        put_dot(json, &candidate->dot, candidate->stamp);
        put_unit(json, subject->table, subject->unit, candidate->values, subject->record->values);
        if (bases && candidate->base != NULL) {
            put_text(json, ",\"base\":");
            put_unit(json, subject->table, subject->unit, candidate->base, NULL);
        }
        end_dot(json);
    }
    put_text(json, "]");
}

/* The current dots of the record's units and the delete's: what may have been missed. */
static enum err collect_dots(const struct subject *subject, struct delete_mark **ret_marks,
                             uint32_t *ret_count)
{
    const struct version *version = &subject->record->version;
    struct delete_mark *marks;
    uint32_t most = 1, count = 0;

    for (uint16_t i = 0; i < version->unit_count; i++)
        most += version->units[i].count;
    marks = arena_alloc(subject->arena, most * sizeof(*marks));
    if (marks == NULL)
        return ERR_NOMEM;
    if (!dot_is_none(&subject->delete_mark->dot))
        marks[count++] = *subject->delete_mark;
    for (uint16_t i = 0; i < version->unit_count; i++) {
        for (uint16_t j = 0; j < version->units[i].count; j++) {
            const struct candidate *candidate = &version->units[i].candidates[j];
            uint32_t at = 0;

            while (at < count && dot_compare(&marks[at].dot, &candidate->dot) < 0)
                at++;
            if (at < count && dot_equal(&marks[at].dot, &candidate->dot))
                continue;
            memmove(marks + at + 1, marks + at, (count - at) * sizeof(*marks));
            marks[at] = (struct delete_mark){.dot = candidate->dot, .stamp = candidate->stamp};
            count++;
        }
    }
    *ret_marks = marks;
    *ret_count = count;
    return ERR_OK;
}

/* All that one group wrote into the record and is current. */
static void put_written(struct json *json, const struct subject *subject, const struct dot *dot)
{
    const struct version *version = &subject->record->version;
    bool first = true;

    put_text(json, "{");
    for (uint16_t i = 0; i < version->unit_count; i++) {
        const struct unit_state *state = &version->units[i];
        const struct model_unit *unit = &subject->table->units[state->unit];

        for (uint16_t j = 0; j < state->count; j++) {
            const struct value *values = state->candidates[j].values;

            if (!dot_equal(&state->candidates[j].dot, dot))
                continue;
            for (uint16_t k = 0; k < unit->column_count; k++) {
                uint16_t column = unit->columns[k];

                put_member(json, &subject->table->columns[column],
                           values != NULL ? &values[k] : &subject->record->values[column], &first);
            }
        }
    }
    put_text(json, "}");
}

static void write_delete(struct json *json, const struct subject *subject)
{
    struct delete_mark *marks;
    uint32_t count;

    if (collect_dots(subject, &marks, &count) != ERR_OK) {
        json->out.error = ERR_NOMEM;
        return;
    }
    put_text(json, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            put_text(json, ",");
        put_dot(json, &marks[i].dot, marks[i].stamp);
        if (dot_equal(&marks[i].dot, &subject->delete_mark->dot))
            put_text(json, "null,\"delete\":true");
        else
            put_written(json, subject, &marks[i].dot);
        end_dot(json);
    }
    put_text(json, "]");
}

static enum err make_title(const struct subject *subject, struct value *ret)
{
    int16_t column = subject->table->title_column;
    struct buf text;
    struct bytes copy;
    enum err error;

    *ret = value_null();
    if (column < 0 || subject->record->values[column].kind == VALUE_NULL)
        return ERR_OK;
    buf_init(&text, MODEL_TEXT_MAX);
    error = model_value_to_text(&subject->table->columns[column], &subject->record->values[column],
                                &text);
    if (error == ERR_OK)
        error = arena_copy(subject->arena, buf_view(&text), &copy);
    buf_done(&text);
    if (error == ERR_OK)
        *ret = value_text(copy);
    return error == ERR_NOMEM ? error : ERR_OK;
}

static struct value *value_at(const struct model *model, struct value *values, uint32_t column_id)
{
    const struct model_table *table = model_table_by_id(model, TABLE_CONFLICT);
    const struct model_column *column = model_column_by_id(table, column_id);

    assert(column != NULL); /* model_system.json */
    return &values[column->index];
}

/* What both kinds have. Everything else is NULL. */
static enum err start_row(const struct model *model, const struct subject *subject,
                          const struct uuid *record_id, int64_t at_ms, struct value **ret_values)
{
    const struct model_table *table = model_table_by_id(model, TABLE_CONFLICT);
    struct value *values =
        arena_calloc(subject->arena, table->column_count, sizeof(*values)); /* VALUE_NULL is 0 */
    struct bytes id;

    if (values == NULL)
        return ERR_NOMEM;
    if (arena_copy(subject->arena, bytes_of(record_id->byte, sizeof(record_id->byte)), &id) !=
        ERR_OK)
        return ERR_NOMEM;
    *value_at(model, values, SYSTEM_CONFLICT_TABLE_ID) = value_int(subject->table->id);
    *value_at(model, values, SYSTEM_CONFLICT_RECORD) = value_blob(id);
    *value_at(model, values, SYSTEM_CONFLICT_AT) = value_int(at_ms);
    *ret_values = values;
    return make_title(subject, value_at(model, values, SYSTEM_CONFLICT_RECORD_TITLE));
}

static void set_text(const struct model *model, struct value *values, uint32_t column_id,
                     const char *text)
{
    *value_at(model, values, column_id) = value_text(bytes_of_text(text));
}

enum err conflict_row(const struct model *model, const struct model_table *table,
                      const struct uuid *record_id, const struct record *record,
                      const struct model_unit *unit, int64_t at_ms, struct arena *arena,
                      struct value **ret_values)
{
    struct subject subject = {.table = table,
                              .record = record,
                              .unit = unit,
                              .state = version_unit(&record->version, unit->index),
                              .arena = arena};
    const struct value *shown;
    struct value *values;
    bool open;
    enum err error;

    assert(subject.state != NULL && subject.state->count > 1);
    error = merge_shown(table, unit, subject.state->candidates, subject.state->count, arena, &shown,
                        &open);
    if (error == ERR_OK)
        error = start_row(model, &subject, record_id, at_ms, &values);
    if (error != ERR_OK)
        return error;
    *value_at(model, values, SYSTEM_CONFLICT_UNIT_ID) = value_int(unit->id);
    set_text(model, values, SYSTEM_CONFLICT_UNIT, unit->name);
    set_text(model, values, SYSTEM_CONFLICT_POLICY, merge_policy_name(unit->policy));
    set_text(model, values, SYSTEM_CONFLICT_STATE, open ? "open" : "automatic");
    set_text(model, values, SYSTEM_CONFLICT_KIND, "value");
    error = make_text(&subject, write_shown, value_at(model, values, SYSTEM_CONFLICT_SHOWN));
    if (error == ERR_OK)
        error = make_text(&subject, write_candidates,
                          value_at(model, values, SYSTEM_CONFLICT_CANDIDATES));
    if (error == ERR_OK && has_one_base(unit, subject.state))
        error = make_text(&subject, write_base, value_at(model, values, SYSTEM_CONFLICT_BASE));
    if (error == ERR_OK)
        *ret_values = values;
    return error;
}

static const char *delete_policy_name(enum delete_policy policy)
{
    switch (policy) {
    case DELETE_REVIVES: return "revives";
    case DELETE_WINS: return "wins";
    case DELETE_MANUAL: return "manual";
    case DELETE_NEVER: return "never";
    }
    return "";
}

enum err conflict_delete_row(const struct model *model, const struct model_table *table,
                             const struct uuid *record_id, const struct record *record,
                             const struct dot *delete_dot, uint64_t delete_stamp, int64_t at_ms,
                             struct arena *arena, struct value **ret_values)
{
    struct delete_mark mark = {.dot = *delete_dot, .stamp = delete_stamp};
    struct subject subject = {
        .table = table, .record = record, .delete_mark = &mark, .arena = arena};
    bool open = table->delete_policy == DELETE_MANUAL;
    struct value *values;
    enum err error = start_row(model, &subject, record_id, at_ms, &values);

    if (error != ERR_OK)
        return error;
    *value_at(model, values, SYSTEM_CONFLICT_UNIT_ID) = value_int(0);
    set_text(model, values, SYSTEM_CONFLICT_POLICY, delete_policy_name(table->delete_policy));
    set_text(model, values, SYSTEM_CONFLICT_STATE, open ? "open" : "automatic");
    set_text(model, values, SYSTEM_CONFLICT_KIND, "delete");
    error = make_text(&subject, write_delete, value_at(model, values, SYSTEM_CONFLICT_CANDIDATES));
    if (error == ERR_OK)
        *ret_values = values;
    return error;
}
