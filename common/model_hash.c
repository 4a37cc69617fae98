/* model_hash.c - the canonical form of a model and its hash.
 *
 * Model:      what affects data, in one order: no labels, no name or version of the model. The form
 *             is in protocol/SPEC.md "The model"; a change of it is a new first line. */
#include "common/crypto.h"
#include "common/model_build.h"

#include <string.h>

static const char canonical_head[] = "satchel model 1\n";

static void put_text(struct buf *out, const char *text)
{
    size_t size = text != NULL ? strlen(text) : 0;

    buf_append_varint(out, size);
    buf_append(out, text, size);
}

static void put_number(struct buf *out, int64_t number)
{
    uint8_t bytes[8];

    be64_put(bytes, (uint64_t)number);
    buf_append(out, bytes, sizeof(bytes));
}

static void put_value(struct buf *out, const struct value *value)
{
    int64_t bits;

    buf_append_byte(out, (uint8_t)value->kind);
    switch (value->kind) {
    case VALUE_NULL: break;
    case VALUE_INT: put_number(out, value->as.integer); break;
    case VALUE_REAL:
        memcpy(&bits, &value->as.real, sizeof(bits));
        put_number(out, bits);
        break;
    case VALUE_TEXT:
    case VALUE_BLOB:
        buf_append_varint(out, value->as.bytes.size);
        buf_append(out, value->as.bytes.data, value->as.bytes.size);
        break;
    }
}

/* The id of the column with this index; 0: none. */
static void put_column_id(struct buf *out, const struct model_table *table, int16_t index)
{
    buf_append_varint(out, index < 0 ? 0 : table->columns[index].id);
}

static void put_column(struct buf *out, const struct model *model, const struct model_table *table,
                       const struct model_column *column)
{
    buf_append_varint(out, column->id);
    put_text(out, column->name);
    put_text(out, column_type_name(column->type));
    buf_append_byte(out, (uint8_t)(column->required | column->key << 1));
    put_value(out, &column->fallback);
    put_number(out, column->min);
    put_number(out, column->max);
    buf_append_varint(out, column->digits);
    put_text(out, column->currency);
    put_column_id(out, table, column->currency_column);
    buf_append_varint(out, column->target < 0 ? 0 : model->tables[column->target].id);
    buf_append_varint(out, column->symbol_count);
    for (size_t i = 0; i < column->symbol_count; i++)
        put_text(out, column->symbols[i]);
}

static void put_unit(struct buf *out, const struct model_table *table,
                     const struct model_unit *unit)
{
    buf_append_varint(out, unit->id);
    put_text(out, unit->name);
    put_text(out, merge_policy_name(unit->policy));
    buf_append_varint(out, unit->column_count);
    for (size_t i = 0; i < unit->column_count; i++)
        put_column_id(out, table, (int16_t)unit->columns[i]);
    if (unit->policy != MERGE_FSM)
        return;
    buf_append_varint(out, unit->transition_count);
    for (size_t i = 0; i < unit->transition_count; i++) {
        buf_append_varint(out, unit->transitions[i].from);
        buf_append_varint(out, unit->transitions[i].to);
    }
    for (size_t i = 0; i < table->columns[unit->columns[0]].symbol_count; i++)
        buf_append_varint(out, unit->ranks[i]);
}

static void put_table(struct buf *out, const struct model *model, const struct model_table *table)
{
    buf_append_varint(out, table->id);
    put_text(out, table->name);
    put_text(out, delete_policy_names[table->delete_policy]);
    put_text(out, bucket_rule_names[table->bucket_rule]);
    put_text(out, role_name(table->write_role));
    put_column_id(out, table, table->visibility_column);
    put_column_id(out, table, table->branch_column);
    put_column_id(out, table, table->owner_column);
    put_column_id(out, table, table->team_column);
    put_column_id(out, table, table->parent_column);
    put_column_id(out, table, table->title_column);
    buf_append_varint(out, table->column_count);
    for (size_t i = 0; i < table->column_count; i++)
        put_column(out, model, table, &table->columns[i]);
    buf_append_varint(out, table->unit_count);
    for (size_t i = 0; i < table->unit_count; i++)
        put_unit(out, table, &table->units[i]);
}

enum err build_hash(struct model *model)
{
    struct crypto *crypto = NULL;
    struct buf out;
    enum err err;

    buf_init(&out, (size_t)4 * MODEL_FILE_MAX + ((size_t)32 << 20));
    buf_append(&out, canonical_head, sizeof(canonical_head) - 1);
    buf_append_varint(&out, model->table_count);
    for (size_t i = 0; i < model->table_count; i++)
        put_table(&out, model, &model->tables[i]);
    err = out.error;
    if (err == ERR_OK)
        err = crypto_new(&crypto);
    if (err == ERR_OK)
        err = crypto_sha256(crypto, buf_view(&out), model->hash);
    crypto_free(crypto);
    buf_done(&out);
    return err;
}
