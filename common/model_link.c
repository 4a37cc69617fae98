/* model_link.c - within and between tables: order by id, names to indexes, policies that follow
 * from a column's part in its table, units; see model_build.h. */
#include "common/model_build.h"
#include "common/model_word.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- Order and uniqueness ------------------------------------------------------------------- */

static int compare_column(const void *a, const void *b)
{
    const struct draft_column *x = a, *y = b;

    if (x->column.id != y->column.id)
        return x->column.id < y->column.id ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static int compare_table(const void *a, const void *b)
{
    const struct draft_table *x = a, *y = b;

    if (x->table.id != y->table.id)
        return x->table.id < y->table.id ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static enum err sort_tables(struct builder *b)
{
    struct place tables = {NULL, "tables", 0};

    qsort(b->tables, b->table_count, sizeof(*b->tables), compare_table);
    for (size_t i = 0; i < b->table_count; i++) {
        struct model_table *table = &b->tables[i].table;
        struct place at = {&tables, NULL, b->tables[i].place};

        b->system = table->system;
        table->index = (uint16_t)i;
        if (i > 0 && b->tables[i - 1].table.id == table->id)
            return build_fail(b, &(struct place){&at, "id", 0}, ERR_MODEL,
                              "%d is the id of table '%s' already", table->id,
                              b->tables[i - 1].table.name);
        for (size_t k = 0; k < i; k++) {
            const struct draft_table *other = &b->tables[k];

            if (strcmp(other->table.name, table->name) == 0) {
                if (!other->table.system && other->place > at.index)
                    at.index = other->place;
                return build_fail(b, &(struct place){&at, "name", 0}, ERR_MODEL,
                                  "'%s' is the name of %s table already", table->name,
                                  other->table.system ? "a system" : "another");
            }
        }
    }
    return ERR_OK;
}

/* A group against the columns and the groups before it. */
static enum err check_group(const struct builder *b, const struct place *at,
                            const struct draft_table *draft, size_t index)
{
    struct place groups = {at, "groups", 0};
    const struct draft_group *group = &draft->groups[index];
    struct place place = {&groups, NULL, group->place};
    size_t used = 0;

    for (size_t i = 0; i < draft->table.column_count + index; i++) {
        bool is_column = i < draft->table.column_count;
        const struct draft_column *column = &draft->columns[is_column ? i : 0];
        const struct draft_group *other =
            &draft->groups[is_column ? 0 : i - draft->table.column_count];
        uint16_t id = is_column ? column->column.id : other->id;
        const char *name = is_column ? column->column.name : other->name;

        used += is_column && column->group == (int)index;
        if (id == group->id)
            return build_fail(b, &(struct place){&place, "id", 0}, ERR_MODEL,
                              "%d is the id of '%s' already", id, name);
        if (strcmp(name, group->name) == 0)
            return build_fail(b, &(struct place){&place, "name", 0}, ERR_MODEL,
                              "'%s' is the name of another %s already", name,
                              is_column ? "column" : "group");
    }
    if (used == 0)
        return build_fail(b, &place, ERR_MODEL, "no column is in group '%s'", group->name);
    return ERR_OK;
}

static enum err sort_columns(const struct builder *b, const struct place *at,
                             struct draft_table *draft)
{
    struct place columns = {at, "columns", 0};
    enum err err = ERR_OK;

    qsort(draft->columns, draft->table.column_count, sizeof(*draft->columns), compare_column);
    for (size_t i = 0; i < draft->table.column_count; i++) {
        struct draft_column *this = &draft->columns[i];
        struct place place = {&columns, NULL, this->place};

        this->column.index = (uint16_t)i;
        if (i > 0 && this[-1].column.id == this->column.id)
            return build_fail(b, &(struct place){&place, "id", 0}, ERR_MODEL,
                              "%d is the id of '%s' already", this->column.id,
                              this[-1].column.name);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(draft->columns[k].column.name, this->column.name) != 0)
                continue;
            if (draft->columns[k].place > place.index)
                place.index = draft->columns[k].place;
            return build_fail(b, &(struct place){&place, "name", 0}, ERR_MODEL,
                              "'%s' is the name of another column already", this->column.name);
        }
    }
    for (size_t i = 0; i < draft->group_count && err == ERR_OK; i++)
        err = check_group(b, at, draft, i);
    return err;
}

/* --- Names to indexes ----------------------------------------------------------------------- */

/* The column that the text under `key` names; *ret_index stays as it is when absent. */
static enum err find_column(const struct builder *b, const struct place *at, json_t *json,
                            const char *key, bool required, const struct draft_table *draft,
                            int16_t *ret_index)
{
    struct place place = {at, key, 0};
    const char *names[MODEL_COLUMNS_MAX], *text;
    size_t index;
    enum err err = build_text(b, at, json, key, required, &text);

    if (err != ERR_OK || text == NULL)
        return err;
    for (size_t i = 0; i < draft->table.column_count; i++)
        names[i] = draft->columns[i].column.name;
    err = build_word(b, &place, text, "a column of this table", names, draft->table.column_count,
                     &index);
    if (err == ERR_OK)
        *ret_index = (int16_t)index;
    return err;
}

static enum err find_target(const struct builder *b, const struct place *at,
                            struct draft_column *draft)
{
    struct place place = {at, "target", 0};
    const char *names[MODEL_TABLES_MAX], *text;
    size_t index;
    enum err err;

    if (draft->column.type != COLUMN_REFERENCE)
        return ERR_OK;
    err = build_text(b, at, draft->json, "target", true, &text);
    if (err != ERR_OK || strcmp(text, "any") == 0)
        return err;
    for (size_t i = 0; i < b->table_count; i++)
        names[i] = b->tables[i].table.name;
    err = build_word(b, &place, text, "a table (or 'any')", names, b->table_count, &index);
    if (err == ERR_OK)
        draft->column.target = (int16_t)index;
    return err;
}

static enum err link_columns(const struct builder *b, const struct place *at,
                             struct draft_table *draft)
{
    struct place columns = {at, "columns", 0};

    for (size_t i = 0; i < draft->table.column_count; i++) {
        struct draft_column *this = &draft->columns[i];
        struct place place = {&columns, NULL, this->place};
        int16_t currency = -1;
        enum err err = find_target(b, &place, this);

        if (err == ERR_OK)
            err = find_column(b, &place, this->json, "currency_column", false, draft, &currency);
        if (err != ERR_OK)
            return err;
        if (currency >= 0 && draft->columns[currency].column.type != COLUMN_TEXT)
            return build_fail(b, &(struct place){&place, "currency_column", 0}, ERR_MODEL,
                              "'%s' is not a text column", draft->columns[currency].column.name);
        this->column.currency_column = currency;
    }
    return ERR_OK;
}

/* --- Parts that columns play ---------------------------------------------------------------- */

/* teams: whether the table has a column that names one. */
static bool is_visibility(const struct model_column *column, bool teams)
{
    static const char *const symbols[] = {"company", "branch", "owner", "team"};
    size_t count = COUNT_OF(symbols) - !teams;

    if (column->type != COLUMN_ENUM || column->symbol_count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(column->symbols[i], symbols[i]) != 0)
            return false;
    }
    return true;
}

static bool refers_to(const struct builder *b, const struct model_column *column, uint16_t table_id)
{
    return column->target >= 0 && b->tables[column->target].table.id == table_id;
}

/* A routing column: policy upstream, by itself. `at` is the table's place. */
static enum err route(const struct builder *b, const struct place *at, struct draft_column *draft,
                      const char *part)
{
    struct place columns = {at, "columns", 0};
    struct place place = {&columns, NULL, draft->place};

    if (draft->group != NO_GROUP)
        return build_fail(b, &(struct place){&place, "group", 0}, ERR_MODEL,
                          "the %s of a routed table is in no group", part);
    if (draft->policy_given && draft->policy != MERGE_UPSTREAM)
        return build_fail(b, &(struct place){&place, "merge", 0}, ERR_MODEL,
                          "the %s of a routed table has the policy 'upstream'", part);
    draft->policy = MERGE_UPSTREAM;
    return ERR_OK;
}

static enum err link_routing(const struct builder *b, const struct place *at,
                             struct draft_table *draft)
{
    struct place bucket = {at, "bucket", 0};
    json_t *json = json_object_get(draft->json, "bucket");
    struct model_table *table = &draft->table;
    const bool teams = json_is_object(json) && json_object_get(json, "team");
    struct {
        const char *key, *must;
        uint16_t target;
        int16_t *ret_column;
    } parts[] = {
        {"visibility",
         teams ? "an enum of company, branch, owner, team in this order"
               : "an enum of company, branch, owner in this order",
         0, &table->visibility_column},
        {"branch", "a reference to branch", TABLE_BRANCH, &table->branch_column},
        {"owner", "a reference to user", TABLE_USER, &table->owner_column},
        {"team", "a reference to team", TABLE_TEAM, &table->team_column},
    };

    if (table->bucket_rule != BUCKET_ROUTED)
        return ERR_OK;
    for (size_t i = 0; i < COUNT_OF(parts) - !teams; i++) {
        struct draft_column *found;
        enum err err =
            find_column(b, &bucket, json, parts[i].key, true, draft, parts[i].ret_column);
        bool fits;

        if (err != ERR_OK)
            return err;
        found = &draft->columns[*parts[i].ret_column];
        fits = i == 0 ? is_visibility(&found->column, teams)
                      : refers_to(b, &found->column, parts[i].target);
        if (!fits)
            return build_fail(b, &(struct place){&bucket, parts[i].key, 0}, ERR_MODEL,
                              "column '%s' must be %s", found->column.name, parts[i].must);
        err = route(b, at, found, parts[i].key);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err link_parent(const struct builder *b, const struct place *at,
                            struct draft_table *draft)
{
    struct place parent = {at, "parent", 0}, columns = {at, "columns", 0};
    struct model_table *table = &draft->table;
    bool inherits = table->bucket_rule == BUCKET_INHERIT;
    struct draft_column *found;
    struct place place;
    enum err err =
        find_column(b, at, draft->json, "parent", inherits, draft, &table->parent_column);

    if (err != ERR_OK || table->parent_column < 0)
        return err;
    found = &draft->columns[table->parent_column];
    place = (struct place){&columns, NULL, found->place};
    if (found->column.type != COLUMN_REFERENCE || found->column.target < 0)
        return build_fail(b, &parent, ERR_MODEL, "column '%s' must be a reference to a table",
                          found->column.name);
    if (found->column.target == table->index)
        return build_fail(b, &parent, ERR_MODEL, "a table cannot be its own parent");
    if (!inherits)
        return ERR_OK;
    if (json_is_false(json_object_get(found->json, "required")))
        return build_fail(b, &(struct place){&place, "required", 0}, ERR_MODEL,
                          "a record that inherits its bucket needs its parent");
    if (found->group != NO_GROUP)
        return build_fail(b, &(struct place){&place, "group", 0}, ERR_MODEL,
                          "the parent that a bucket is inherited from is in no group");
    if (found->policy_given && found->policy != MERGE_UPSTREAM && found->policy != MERGE_APPEND)
        return build_fail(b, &(struct place){&place, "merge", 0}, ERR_MODEL,
                          "the parent that a bucket is inherited from has the policy 'upstream' "
                          "or 'append'");
    found->column.required = true;
    if (!found->policy_given)
        found->policy = MERGE_UPSTREAM;
    return ERR_OK;
}

static enum err link_title(const struct builder *b, const struct place *at,
                           struct draft_table *draft)
{
    struct model_table *table = &draft->table;
    enum err err = find_column(b, at, draft->json, "title", false, draft, &table->title_column);

    if (err != ERR_OK || table->title_column < 0)
        return err;
    if (draft->columns[table->title_column].column.type != COLUMN_TEXT)
        return build_fail(b, &(struct place){at, "title", 0}, ERR_MODEL,
                          "column '%s' must be of type text",
                          draft->columns[table->title_column].column.name);
    return ERR_OK;
}

/* --- Units ---------------------------------------------------------------------------------- */

static int compare_unit(const void *a, const void *b)
{
    const struct model_unit *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static void unit_of_column(const struct draft_column *draft, struct model_unit *unit)
{
    *unit = (struct model_unit){
        .id = draft->column.id,
        .name = draft->column.name,
        .label = draft->column.label,
        .policy = draft->policy,
        .transitions = draft->transitions,
        .transition_count = draft->transition_count,
        .ranks = draft->ranks,
        .carries_base = draft->policy == MERGE_TEXT || draft->policy == MERGE_FSM ||
                        draft->policy == MERGE_MANUAL,
    };
}

static void unit_of_group(const struct draft_group *group, struct model_unit *unit)
{
    *unit = (struct model_unit){.id = group->id,
                                .name = group->name,
                                .label = group->label,
                                .policy = group->policy,
                                .carries_base = true};
}

/* The unit's columns, and in each its unit and place. */
static enum err fill_unit(const struct builder *b, struct draft_table *draft,
                          struct model_unit *unit)
{
    uint16_t *columns = arena_calloc(b->keep, draft->table.column_count, sizeof(*columns));

    if (columns == NULL)
        return build_nomem(b);
    for (size_t i = 0; i < draft->table.column_count; i++) {
        struct draft_column *this = &draft->columns[i];
        uint16_t id = this->group == NO_GROUP ? this->column.id : draft->groups[this->group].id;

        if (id != unit->id)
            continue;
        this->column.unit_index = unit->index;
        this->column.unit_place = unit->column_count;
        columns[unit->column_count++] = (uint16_t)i;
    }
    assert(unit->column_count > 0);
    unit->columns = columns;
    return ERR_OK;
}

static enum err make_units(const struct builder *b, struct draft_table *draft)
{
    size_t room = (size_t)draft->table.column_count + draft->group_count, count = 0;
    struct model_unit *units = arena_calloc(b->keep, room, sizeof(*units));
    enum err err = ERR_OK;

    if (units == NULL)
        return build_nomem(b);
    for (size_t i = 0; i < draft->table.column_count; i++) {
        if (draft->columns[i].group == NO_GROUP)
            unit_of_column(&draft->columns[i], &units[count++]);
    }
    for (size_t i = 0; i < draft->group_count; i++)
        unit_of_group(&draft->groups[i], &units[count++]);
    qsort(units, count, sizeof(*units), compare_unit);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        units[i].index = (uint16_t)i;
        err = fill_unit(b, draft, &units[i]);
    }
    draft->table.units = units;
    draft->table.unit_count = (uint16_t)count;
    return err;
}

enum err build_link(struct builder *b)
{
    struct place tables = {NULL, "tables", 0};
    enum err err = sort_tables(b);

    for (size_t i = 0; i < b->table_count && err == ERR_OK; i++) {
        struct draft_table *draft = &b->tables[i];
        struct place at = {&tables, NULL, draft->place};

        b->system = draft->table.system;
        err = sort_columns(b, &at, draft);
        if (err == ERR_OK)
            err = link_columns(b, &at, draft);
        if (err == ERR_OK)
            err = link_routing(b, &at, draft);
        if (err == ERR_OK)
            err = link_parent(b, &at, draft);
        if (err == ERR_OK)
            err = link_title(b, &at, draft);
        if (err == ERR_OK)
            err = make_units(b, draft);
    }
    b->system = false;
    return err;
}
