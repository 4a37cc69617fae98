#include "tests/lib/merge_model.h"

#include <assert.h>
#include <string.h>

const char *const fsm_symbols[4] = {"draft", "sent", "paid", "lost"};
const char *const restrict_symbols[3] = {"open", "ask", "never"};

static const struct model_transition transitions[] = {{0, 1}, {0, 2}, {0, 3}, {1, 0},
                                                      {1, 2}, {1, 3}, {2, 1}};
static const uint16_t fsm_ranks[4] = {0, 1, 2, 2};

static const struct {
    const char *name;
    enum merge_policy policy;
    enum column_type type;
    bool carries_base;
} kinds_of[KIND_COUNT] = {
    [KIND_LWW] = {"lww", MERGE_LWW, COLUMN_TEXT, false},
    [KIND_LWW_GROUP] = {"lww_group", MERGE_LWW, COLUMN_INTEGER, true},
    [KIND_UPSTREAM] = {"upstream", MERGE_UPSTREAM, COLUMN_INTEGER, false},
    [KIND_FIRST] = {"first", MERGE_FIRST, COLUMN_TEXT, false},
    [KIND_MANUAL] = {"manual", MERGE_MANUAL, COLUMN_TEXT, true},
    [KIND_MAX] = {"max", MERGE_MAX, COLUMN_INTEGER, false},
    [KIND_MIN] = {"min", MERGE_MIN, COLUMN_INTEGER, false},
    [KIND_RESTRICT_FLAG] = {"restrict_flag", MERGE_RESTRICT, COLUMN_BOOLEAN, false},
    [KIND_RESTRICT_SYMBOL] = {"restrict_symbol", MERGE_RESTRICT, COLUMN_ENUM, false},
    [KIND_COUNTER] = {"counter", MERGE_COUNTER, COLUMN_INTEGER, false},
    [KIND_SET] = {"set", MERGE_SET, COLUMN_SET, false},
    [KIND_APPEND] = {"append", MERGE_APPEND, COLUMN_TEXT, false},
    [KIND_TEXT] = {"text", MERGE_TEXT, COLUMN_TEXT, true},
    [KIND_FSM] = {"fsm", MERGE_FSM, COLUMN_ENUM, true},
    [KIND_PARENT] = {"parent", MERGE_LWW, COLUMN_REFERENCE, false},
};

static struct model_label label_of(const char *name)
{
    return (struct model_label){{name, name}};
}

void merge_model_init(struct merge_model *m)
{
    memset(m, 0, sizeof *m);
    m->model.name = "merge test";
    m->model.version = 1;
    m->model.tables = m->tables;
}

static struct value fallback_of(enum unit_kind kind)
{
    if (kind == KIND_RESTRICT_FLAG)
        return value_int(0);
    if (kind == KIND_RESTRICT_SYMBOL)
        return value_text(bytes_of_text(restrict_symbols[0]));
    return value_null();
}

static void add_column(struct merge_model *m, struct model_table *table, uint16_t id,
                       enum unit_kind kind, uint16_t unit_index, uint16_t place)
{
    uint16_t index = table->column_count++;
    assert(index < MERGE_MODEL_COLUMNS);
    m->places[table->index][index] = index;
    struct model_column *column = &m->columns[table->index][index];
    column->id = id;
    column->index = index;
    column->unit_index = unit_index;
    column->unit_place = place;
    column->name = place == 0 ? kinds_of[kind].name : "currency";
    column->label = label_of(column->name);
    column->type = place == 0 ? kinds_of[kind].type : COLUMN_TEXT;
    column->fallback = fallback_of(kind);
    column->min = INT64_MIN;
    column->max = column->type == COLUMN_TEXT ? 4096 : INT64_MAX;
    column->currency_column = -1;
    column->target = -1;
    if (kind == KIND_FSM || kind == KIND_RESTRICT_SYMBOL) {
        column->symbols = kind == KIND_FSM ? fsm_symbols : restrict_symbols;
        column->symbol_count = kind == KIND_FSM ? 4 : 3;
    }
}

const struct model_table *merge_model_add(struct merge_model *m, const char *name,
                                          enum delete_policy delete_policy,
                                          const struct model_table *parent,
                                          const enum unit_kind *kinds, uint16_t kind_count)
{
    assert(m->model.table_count < MERGE_MODEL_TABLES);
    uint16_t index = m->model.table_count++;
    struct model_table *table = &m->tables[index];
    uint16_t next_id = 1;
    table->id = (uint16_t)(MODEL_TABLE_ID_FIRST + index);
    table->index = index;
    table->name = name;
    table->label = table->label_plural = label_of(name);
    table->columns = m->columns[index];
    table->units = m->units[index];
    table->delete_policy = delete_policy;
    table->visibility_column = table->branch_column = -1;
    table->owner_column = table->team_column = -1;
    table->parent_column = table->title_column = -1;
    table->write_role = ROLE_REP;
    for (uint16_t i = 0; i < kind_count; i++) {
        struct model_unit *unit = &m->units[index][table->unit_count];
        unit->index = table->unit_count++;
        unit->columns = &m->places[index][table->column_count];
        unit->column_count = kinds[i] == KIND_LWW_GROUP ? 2 : 1;
        for (uint16_t place = 0; place < unit->column_count; place++)
            add_column(m, table, next_id++, kinds[i], unit->index, place);
        unit->id = unit->column_count == 1 ? (uint16_t)(next_id - 1) : next_id++;
        unit->name = kinds_of[kinds[i]].name;
        unit->label = label_of(unit->name);
        unit->policy = kinds_of[kinds[i]].policy;
        unit->carries_base = kinds_of[kinds[i]].carries_base;
        if (kinds[i] == KIND_FSM) {
            unit->transitions = transitions;
            unit->transition_count = sizeof transitions / sizeof *transitions;
            unit->ranks = fsm_ranks;
        }
        if (kinds[i] == KIND_PARENT) {
            table->parent_column = (int16_t)unit->columns[0];
            m->columns[index][unit->columns[0]].target = (int16_t)parent->index;
        }
    }
    return table;
}

enum unit_kind unit_kind_of(const struct model_unit *unit)
{
    for (int i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds_of[i].name, unit->name) == 0)
            return (enum unit_kind)i;
    return KIND_COUNT;
}

const char *unit_kind_name(enum unit_kind kind)
{
    return kinds_of[kind].name;
}
