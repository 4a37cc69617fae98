#include "common/model_change.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 400 };

struct compare {
    const struct model *earlier, *later;
    const struct model_table *table; /* of the later model; NULL: the model itself */
    model_change_fn *fn;
    void *context;
    struct err_info *info;
    enum err result;
    bool own_changed; /* something that is not the program's own */
};

static void tell(struct compare *c, bool allowed, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct compare *c, bool allowed, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    c->own_changed |= c->table == NULL || !c->table->system;
    if (!allowed && c->result == ERR_OK)
        c->result = err_set(c->info, ERR_MODEL, "%s", text);
    if (c->fn != NULL)
        c->fn(c->context, allowed, text);
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool same_label(const struct model_label *a, const struct model_label *b)
{
    bool same = true;

    for (int i = 0; i < MODEL_LANGUAGES; i++)
        same &= same_text(a->text[i], b->text[i]);
    return same;
}

static uint32_t column_id(const struct model_table *table, int16_t index)
{
    return index < 0 ? 0 : table->columns[index].id;
}

static uint32_t target_id(const struct model *model, const struct model_column *column)
{
    return column->target < 0 ? 0 : model->tables[column->target].id;
}

/* ---- columns ---- */

static void refuse(struct compare *c, const struct model_column *column, const char *what)
{
    tell(c, false,
         "%s.%s: its %s cannot change, since rows and groups are kept that were made with the "
         "old one. Add a new column instead",
         c->table->name, column->name, what);
}

static void compare_bounds(struct compare *c, const struct model_column *a,
                           const struct model_column *b)
{
    if (b->min > a->min || b->max < a->max)
        tell(c, false,
             "%s.%s: its bounds become narrower; what was written within the old ones would not "
             "fit. "
             "Bounds can only become wider",
             c->table->name, b->name);
    else if (b->min < a->min || b->max > a->max)
        tell(c, true, "%s.%s: wider bounds", c->table->name, b->name);
}

static void compare_symbols(struct compare *c, const struct model_column *a,
                            const struct model_column *b)
{
    for (uint16_t i = 0; i < a->symbol_count; i++) {
        if (i >= b->symbol_count || strcmp(a->symbols[i], b->symbols[i]) != 0) {
            tell(c, false,
                 "%s.%s: the symbol '%s' is gone, or not at its place; symbols keep their order, "
                 "and new ones "
                 "are put behind them",
                 c->table->name, b->name, a->symbols[i]);
            return;
        }
        if (!same_label(&a->symbol_labels[i], &b->symbol_labels[i]))
            tell(c, true, "%s.%s: another label of '%s'", c->table->name, b->name, a->symbols[i]);
    }
    for (uint16_t i = a->symbol_count; i < b->symbol_count; i++)
        tell(c, true, "%s.%s: a new symbol '%s'", c->table->name, b->name, b->symbols[i]);
}

static void compare_column(struct compare *c, const struct model_table *earlier,
                           const struct model_column *a, const struct model_column *b)
{
    if (strcmp(a->name, b->name) != 0) {
        tell(c, false,
             "%s: the id %u was column '%s' and is '%s'. An id is never used for something else, "
             "and a column "
             "keeps its name (its label may change)",
             c->table->name, (unsigned)a->id, a->name, b->name);
        return;
    }
    if (a->type != b->type) {
        tell(c, false,
             "%s.%s: the type was %s and is %s. A column's type cannot change: add a new column",
             c->table->name, b->name, column_type_name(a->type), column_type_name(b->type));
        return;
    }
    if (a->required != b->required)
        refuse(c, b, "being required");
    if (a->key != b->key)
        refuse(c, b, "being a key");
    if (!value_equal(&a->fallback, &b->fallback))
        refuse(c, b, "default");
    if (a->digits != b->digits)
        refuse(c, b, "number of digits");
    if (!same_text(a->currency, b->currency) ||
        column_id(earlier, a->currency_column) != column_id(c->table, b->currency_column))
        refuse(c, b, "currency");
    if (target_id(c->earlier, a) != target_id(c->later, b))
        refuse(c, b, "target");
    if (!same_label(&a->label, &b->label))
        tell(c, true, "%s.%s: another label", c->table->name, b->name);
    compare_bounds(c, a, b);
    compare_symbols(c, a, b);
}

static void compare_new_column(struct compare *c, const struct model_table *earlier,
                               const struct model_column *column)
{
    const struct model_unit *unit = &c->table->units[column->unit_index];
    uint32_t highest = earlier->columns[earlier->column_count - 1].id;

    if (column->id < highest)
        tell(c, false,
             "%s.%s: a new column has an id above all that its table has (%u), so that what older "
             "models "
             "send is read rightly; this one has %u",
             c->table->name, column->name, (unsigned)highest, (unsigned)column->id);
    else if (model_unit_by_id(earlier, column->id) != NULL)
        tell(c, false, "%s.%s: the id %u was a group's; an id is never used for something else",
             c->table->name, column->name, (unsigned)column->id);
    else if (unit->id != column->id && model_unit_by_id(earlier, unit->id) != NULL)
        tell(c, false,
             "%s.%s: the group '%s' exists already, and groups are merged whole: older devices "
             "would write "
             "it without this column. Make a group of its own for new columns",
             c->table->name, column->name, unit->name);
    else if (column->required && column->fallback.kind == VALUE_NULL)
        tell(c, false,
             "%s.%s: a new column that is required needs a default: the records that there are "
             "have no "
             "value of it, and older devices give none",
             c->table->name, column->name);
    else
        tell(c, true, "%s.%s: a new column (%s)", c->table->name, column->name,
             column_type_name(column->type));
}

/* ---- units ---- */

static bool has_transition(const struct model_unit *unit, const struct model_transition *transition)
{
    for (uint16_t i = 0; i < unit->transition_count; i++)
        if (unit->transitions[i].from == transition->from &&
            unit->transitions[i].to == transition->to)
            return true;
    return false;
}

static void compare_fsm(struct compare *c, const struct model_column *column,
                        const struct model_unit *a, const struct model_unit *b)
{
    for (uint16_t i = 0; i < column->symbol_count; i++)
        if (a->ranks[i] != b->ranks[i]) {
            refuse(c, column, "ranks of states");
            return;
        }
    for (uint16_t i = 0; i < a->transition_count; i++)
        if (!has_transition(b, &a->transitions[i])) {
            tell(c, false,
                 "%s.%s: the transition from '%s' to '%s' is gone; older devices go on making it. "
                 "Transitions "
                 "can only be added",
                 c->table->name, column->name, column->symbols[a->transitions[i].from],
                 column->symbols[a->transitions[i].to]);
            return;
        }
    if (b->transition_count > a->transition_count)
        tell(c, true, "%s.%s: %u new transitions", c->table->name, column->name,
             (unsigned)(b->transition_count - a->transition_count));
}

static bool same_columns(const struct model_table *earlier, const struct model_unit *a,
                         const struct model_table *later, const struct model_unit *b)
{
    uint16_t k = 0;

    for (uint16_t i = 0; i < a->column_count; i++) {
        uint16_t id = earlier->columns[a->columns[i]].id;

        while (k < b->column_count && later->columns[b->columns[k]].id < id)
            k++; /* new ones, which are refused for themselves */
        if (k == b->column_count || later->columns[b->columns[k]].id != id)
            return false;
    }
    return true;
}

static void compare_unit(struct compare *c, const struct model_table *earlier,
                         const struct model_unit *a)
{
    const struct model_unit *b = model_unit_by_id(c->table, a->id);
    bool group = model_column_by_id(earlier, a->id) == NULL;
    const struct model_column *column = &earlier->columns[a->columns[0]];

    if (b == NULL && group)
        tell(c, false, "%s: the group '%s' (id %u) is gone", c->table->name, a->name,
             (unsigned)a->id);
    if (b == NULL && !group && model_column_by_id(c->table, a->id) != NULL)
        tell(c, false, "%s.%s: it joins a group; a column stays what it is merged as",
             c->table->name, a->name);
    if (b == NULL)
        return;
    if (a->policy != b->policy)
        tell(c, false, "%s.%s: its merge policy was %s and is %s; a policy cannot change",
             c->table->name, a->name, merge_policy_name(a->policy), merge_policy_name(b->policy));
    else if (group && (strcmp(a->name, b->name) != 0 || !same_columns(earlier, a, c->table, b)))
        tell(
            c, false,
            "%s: the group '%s' (id %u) has another name or lost a column; groups stay as they are",
            c->table->name, a->name, (unsigned)a->id);
    else if (a->policy == MERGE_FSM &&
             column->symbol_count <= c->table->columns[b->columns[0]].symbol_count)
        compare_fsm(c, column, a, b);
    if (group && !same_label(&a->label, &b->label))
        tell(c, true, "%s.%s: another label", c->table->name, b->name);
}

/* ---- tables ---- */

static void refuse_table(struct compare *c, const char *what)
{
    tell(c, false, "%s: its %s cannot change, since what is stored was made with the old one",
         c->table->name, what);
}

static void compare_rules(struct compare *c, const struct model_table *a,
                          const struct model_table *b)
{
    if (a->delete_policy != b->delete_policy)
        refuse_table(c, "delete policy");
    if (a->bucket_rule != b->bucket_rule ||
        column_id(a, a->visibility_column) != column_id(b, b->visibility_column) ||
        column_id(a, a->branch_column) != column_id(b, b->branch_column) ||
        column_id(a, a->owner_column) != column_id(b, b->owner_column))
        refuse_table(c, "bucket (who receives the records)");
    if (column_id(a, a->parent_column) != column_id(b, b->parent_column))
        refuse_table(c, "parent");
    if (column_id(a, a->title_column) != column_id(b, b->title_column))
        refuse_table(c, "title");
    if (a->write_role != b->write_role)
        refuse_table(c, "role that may write");
    if (!same_label(&a->label, &b->label) || !same_label(&a->label_plural, &b->label_plural))
        tell(c, true, "%s: another label", b->name);
}

static void compare_table(struct compare *c, const struct model_table *a,
                          const struct model_table *b)
{
    c->table = b;
    if (strcmp(a->name, b->name) != 0) {
        tell(c, false,
             "the id %u was table '%s' and is '%s'; an id is never used for something else",
             (unsigned)a->id, a->name, b->name);
        return;
    }
    compare_rules(c, a, b);
    for (uint16_t i = 0; i < a->column_count; i++) {
        const struct model_column *column = model_column_by_id(b, a->columns[i].id);

        if (column == NULL)
            tell(c, false,
                 "%s.%s: the column (id %u) is gone; records and groups that have it are still "
                 "under way. "
                 "Leave it in the model, and use it no more",
                 b->name, a->columns[i].name, (unsigned)a->columns[i].id);
        else
            compare_column(c, a, &a->columns[i], column);
    }
    for (uint16_t i = 0; i < b->column_count; i++)
        if (model_column_by_id(a, b->columns[i].id) == NULL)
            compare_new_column(c, a, &b->columns[i]);
    for (uint16_t i = 0; i < a->unit_count; i++)
        compare_unit(c, a, &a->units[i]);
}

static void compare_versions(struct compare *c)
{
    c->table = NULL;
    if (strcmp(c->earlier->name, c->later->name) != 0)
        tell(c, false, "the model's name was '%s' and is '%s': this is another model",
             c->earlier->name, c->later->name);
    if (c->later->version < c->earlier->version ||
        (c->own_changed && c->later->version == c->earlier->version))
        tell(c, false, "the version is %u, and that of the model that it changes is %u: raise it",
             (unsigned)c->later->version, (unsigned)c->earlier->version);
    else if (c->later->version > c->earlier->version)
        tell(c, true, "the version: %u, before %u", (unsigned)c->later->version,
             (unsigned)c->earlier->version);
}

enum err model_changes(const struct model *earlier, const struct model *later, model_change_fn *fn,
                       void *context, struct err_info *info)
{
    struct compare c = {.earlier = earlier,
                        .later = later,
                        .fn = fn,
                        .context = context,
                        .info = info,
                        .result = ERR_OK};

    for (uint16_t i = 0; i < earlier->table_count; i++) {
        const struct model_table *a = &earlier->tables[i];
        const struct model_table *b = model_table_by_id(later, a->id);

        c.table = a;
        if (b == NULL)
            tell(&c, false, "the table '%s' (id %u) is gone; its records are still there", a->name,
                 (unsigned)a->id);
        else
            compare_table(&c, a, b);
    }
    for (uint16_t i = 0; i < later->table_count; i++) {
        c.table = &later->tables[i];
        if (model_table_by_id(earlier, c.table->id) == NULL)
            tell(&c, true, "%s: a new table of %u columns", c.table->name,
                 (unsigned)c.table->column_count);
    }
    compare_versions(&c);
    return c.result;
}

enum err model_extends(const struct model *earlier, const struct model *later,
                       struct err_info *info)
{
    return model_changes(earlier, later, NULL, NULL, info);
}
