/* model_column.c - a column of a model file: what it says by itself. */
#include "common/model_build.h"
#include "common/model_word.h"
#include "common/set.h"

#include <stdlib.h>
#include <string.h>

#define TYPE(type) (1u << COLUMN_##type)
#define ANY_TYPE   (~0u)

/* Which types a policy can merge. */
static const struct {
    unsigned types;
    const char *only;
} policy_types[] = {
    [MERGE_LWW] = {ANY_TYPE, ""},
    [MERGE_UPSTREAM] = {ANY_TYPE, ""},
    [MERGE_FIRST] = {ANY_TYPE, ""},
    [MERGE_MANUAL] = {ANY_TYPE, ""},
    [MERGE_MAX] = {TYPE(INTEGER) | TYPE(REAL) | TYPE(MONEY) | TYPE(DATE) | TYPE(INSTANT),
                   "number, money, date and instant columns"},
    [MERGE_MIN] = {TYPE(INTEGER) | TYPE(REAL) | TYPE(MONEY) | TYPE(DATE) | TYPE(INSTANT),
                   "number, money, date and instant columns"},
    [MERGE_RESTRICT] = {TYPE(BOOLEAN) | TYPE(ENUM) | TYPE(INTEGER),
                        "boolean, enum and integer columns"},
    [MERGE_COUNTER] = {TYPE(INTEGER) | TYPE(MONEY) | TYPE(REAL), "number and money columns"},
    [MERGE_SET] = {TYPE(SET), "set columns"},
    [MERGE_APPEND] = {ANY_TYPE, ""},
    [MERGE_TEXT] = {TYPE(TEXT), "text columns"},
    [MERGE_FSM] = {TYPE(ENUM), "enum columns"},
};

/* Keys that only some types have. */
static const struct {
    const char *key;
    unsigned types;
    const char *only;
} typed_keys[] = {
    {"min", TYPE(INTEGER) | TYPE(REAL) | TYPE(MONEY) | TYPE(INSTANT),
     "number, money and instant columns"},
    {"max", TYPE(INTEGER) | TYPE(REAL) | TYPE(MONEY) | TYPE(INSTANT) | TYPE(TEXT) | TYPE(SET),
     "number, money, instant, text and set columns"},
    {"digits", TYPE(MONEY), "money columns"},
    {"currency", TYPE(MONEY), "money columns"},
    {"currency_column", TYPE(MONEY), "money columns"},
    {"target", TYPE(REFERENCE), "reference columns"},
    {"symbols", TYPE(ENUM), "enum columns"},
    {"transitions", TYPE(ENUM), "enum columns with merge 'fsm'"},
    {"ranks", TYPE(ENUM), "enum columns with merge 'fsm'"},
    {"key", TYPE(TEXT) | TYPE(INTEGER), "text and integer columns"},
};

static const char *const column_keys[] = {
    "id",      "name",  "label",       "type",   "merge",    "required",        "key",
    "default", "min",   "max",         "digits", "currency", "currency_column", "target",
    "symbols", "group", "transitions", "ranks",
};

static enum err read_type(const struct builder *b, const struct place *at,
                          struct draft_column *draft)
{
    struct place place = {at, "type", 0};
    const char *text;
    size_t index;
    enum err err = build_text(b, at, draft->json, "type", true, &text);

    if (err == ERR_OK)
        err = build_word(b, &place, text, "a column type", column_type_names,
                         COUNT_OF(column_type_names), &index);
    if (err != ERR_OK)
        return err;
    draft->column.type = (enum column_type)index;
    for (size_t i = 0; i < COUNT_OF(typed_keys); i++) {
        if (json_object_get(draft->json, typed_keys[i].key) != NULL &&
            (typed_keys[i].types & 1u << index) == 0)
            return build_fail(b, &(struct place){at, typed_keys[i].key, 0}, ERR_MODEL,
                              "only for %s; this one is of type %s", typed_keys[i].only, text);
    }
    return ERR_OK;
}

static enum err read_policy(const struct builder *b, const struct place *at,
                            struct draft_column *draft)
{
    struct place place = {at, "merge", 0};
    enum column_type type = draft->column.type;
    const char *text;
    size_t index;
    enum err err = build_text(b, at, draft->json, "merge", false, &text);

    if (err != ERR_OK)
        return err;
    draft->policy = type == COLUMN_SET ? MERGE_SET : MERGE_LWW;
    draft->policy_given = text != NULL;
    if (text == NULL)
        return ERR_OK;
    if (draft->group != NO_GROUP)
        return build_fail(b, &place, ERR_MODEL,
                          "a column of a group has no merge policy of its own");
    err = build_word(b, &place, text, "a merge policy", merge_policy_names,
                     COUNT_OF(merge_policy_names), &index);
    if (err != ERR_OK)
        return err;
    if ((policy_types[index].types & 1u << type) == 0)
        return build_fail(b, &place, ERR_MODEL, "'%s' is for %s; this one is of type %s", text,
                          policy_types[index].only, column_type_names[type]);
    draft->policy = (enum merge_policy)index;
    return ERR_OK;
}

static enum err read_group(const struct builder *b, const struct place *at,
                           const struct draft_table *table, struct draft_column *draft)
{
    struct place place = {at, "group", 0};
    const char *text;
    enum err err = build_text(b, at, draft->json, "group", false, &text);

    draft->group = NO_GROUP;
    if (err != ERR_OK || text == NULL)
        return err;
    for (int i = 0; i < table->group_count; i++) {
        if (strcmp(table->groups[i].name, text) == 0) {
            draft->group = i;
            return ERR_OK;
        }
    }
    return build_fail(b, &place, ERR_MODEL, "the table has no group '%.60s'", text);
}

/* What min and max may be, and are when not given. */
static void type_range(enum column_type type, int64_t *ret_min, int64_t *ret_max)
{
    *ret_min = INT64_MIN;
    *ret_max = INT64_MAX;
    if (type == COLUMN_TEXT || type == COLUMN_SET) {
        *ret_min = type == COLUMN_SET ? 2 : 1;
        *ret_max = MODEL_TEXT_MAX;
    } else if (type == COLUMN_INSTANT) {
        *ret_min = -62135596800000; /* 0001-01-01 */
        *ret_max = 253402300799999; /* the end of 9999-12-31 */
    } else if (type == COLUMN_REAL) {
        *ret_min = -(INT64_C(1) << 53); /* whole numbers that a real holds exactly */
        *ret_max = INT64_C(1) << 53;
    }
}

static enum err read_range(const struct builder *b, const struct place *at,
                           struct draft_column *draft)
{
    struct model_column *column = &draft->column;
    int64_t min, max;
    enum err err;

    type_range(column->type, &min, &max);
    column->min = column->type == COLUMN_REAL ? INT64_MIN : min;
    column->max = column->type == COLUMN_REAL ? INT64_MAX : max;
    if (column->type == COLUMN_TEXT || column->type == COLUMN_SET)
        column->min = 0;
    err = build_integer(b, at, draft->json, "min", false, min, max, &column->min);
    if (err == ERR_OK)
        err = build_integer(b, at, draft->json, "max", false, min, max, &column->max);
    if (err == ERR_OK && column->min > column->max)
        err = build_fail(b, &(struct place){at, "max", 0}, ERR_MODEL, "is less than min");
    return err;
}

static enum err read_money(const struct builder *b, const struct place *at,
                           struct draft_column *draft)
{
    struct place place = {at, "currency", 0};
    int64_t digits = 2;
    const char *currency;
    enum err err = build_integer(b, at, draft->json, "digits", false, 0, 4, &digits);

    if (err == ERR_OK)
        err = build_text(b, at, draft->json, "currency", false, &currency);
    if (err != ERR_OK)
        return err;
    draft->column.digits = draft->column.type == COLUMN_MONEY ? (uint16_t)digits : 0;
    if (currency == NULL)
        return ERR_OK;
    if (strlen(currency) != 3 || strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
        return build_fail(b, &place, ERR_MODEL,
                          "'%.60s' is not a currency code of three capital letters", currency);
    if (json_object_get(draft->json, "currency_column") != NULL)
        return build_fail(b, &place, ERR_MODEL, "is given beside 'currency_column'; drop one");
    return build_keep(b, currency, &draft->column.currency);
}

/* --- Symbols -------------------------------------------------------------------------------- */

/* A way to name a symbol: its name, or a label in one language. */
struct spelling {
    const char *text;
    size_t symbol;
};

static int compare_spelling(const void *a, const void *b)
{
    const struct spelling *x = a, *y = b;

    return word_compare_folded(bytes_of_text(x->text), bytes_of_text(y->text));
}

/* Two symbols that a person could not tell apart by what they type are an error. */
static enum err check_spellings(const struct builder *b, const struct place *at,
                                const struct model_column *column)
{
    struct spelling all[MODEL_SYMBOLS_MAX * (MODEL_LANGUAGES + 1)];
    size_t count = 0;

    for (size_t i = 0; i < column->symbol_count; i++) {
        all[count++] = (struct spelling){column->symbols[i], i};
        for (size_t k = 0; k < MODEL_LANGUAGES; k++)
            all[count++] = (struct spelling){column->symbol_labels[i].text[k], i};
    }
    qsort(all, count, sizeof(all[0]), compare_spelling);
    for (size_t i = 1; i < count; i++) {
        if (all[i].symbol != all[i - 1].symbol && compare_spelling(&all[i], &all[i - 1]) == 0) {
            size_t later = all[i].symbol > all[i - 1].symbol ? all[i].symbol : all[i - 1].symbol;

            return build_fail(b, &(struct place){at, NULL, later}, ERR_MODEL,
                              "'%.60s' names another symbol as well", all[i].text);
        }
    }
    return ERR_OK;
}

static enum err read_symbol(const struct builder *b, const struct place *at, json_t *json,
                            const char **ret_name, struct model_label *ret_label)
{
    static const char *const keys[] = {"name", "label"};
    const char *name = json_string_value(json);
    enum err err = ERR_OK;

    if (name == NULL) {
        err = build_keys(b, at, json, keys, COUNT_OF(keys));
        if (err == ERR_OK)
            err = build_text(b, at, json, "name", true, &name);
    }
    if (err != ERR_OK)
        return err;
    if (!word_is_name(name))
        return build_fail(b, at, ERR_MODEL,
                          "'%.60s' is not a symbol: a-z first, then a-z, 0-9 and _, at most %d",
                          name, MODEL_NAME_MAX);
    err = build_keep(b, name, ret_name);
    if (err != ERR_OK)
        return err;
    return build_label(b, at, json, "label", (const char *const[]){*ret_name, *ret_name},
                       ret_label);
}

static enum err read_symbols(const struct builder *b, const struct place *at,
                             struct draft_column *draft)
{
    struct place place = {at, "symbols", 0};
    struct model_label *labels;
    const char **names;
    json_t *array;
    enum err err;

    if (draft->column.type != COLUMN_ENUM)
        return ERR_OK;
    err = build_array(b, at, draft->json, "symbols", true, MODEL_SYMBOLS_MAX, &array);
    if (err != ERR_OK)
        return err;
    if (json_array_size(array) == 0)
        return build_fail(b, &place, ERR_MODEL, "an enum has at least one symbol");
    names = arena_calloc(b->keep, json_array_size(array), sizeof(*names));
    labels = arena_calloc(b->keep, json_array_size(array), sizeof(*labels));
    if (names == NULL || labels == NULL)
        return build_nomem(b);
    for (size_t i = 0; i < json_array_size(array) && err == ERR_OK; i++)
        err = read_symbol(b, &(struct place){&place, NULL, i}, json_array_get(array, i), &names[i],
                          &labels[i]);
    if (err != ERR_OK)
        return err;
    draft->column.symbols = names;
    draft->column.symbol_labels = labels;
    draft->column.symbol_count = (uint16_t)json_array_size(array);
    return check_spellings(b, &place, &draft->column);
}

/* --- fsm ------------------------------------------------------------------------------------ */

static enum err read_transition(const struct builder *b, const struct place *at,
                                const struct model_column *column, json_t *json,
                                struct model_transition *ret)
{
    size_t ends[2];

    if (json_array_size(json) != 2 || !json_is_string(json_array_get(json, 0)) ||
        !json_is_string(json_array_get(json, 1)))
        return build_fail(b, at, ERR_MODEL, "must be an array of two symbols, from and to");
    for (size_t i = 0; i < 2; i++) {
        enum err err =
            build_word(b, &(struct place){at, NULL, i}, json_string_value(json_array_get(json, i)),
                       "a symbol of this column", column->symbols, column->symbol_count, &ends[i]);
        if (err != ERR_OK)
            return err;
    }
    if (ends[0] == ends[1])
        return build_fail(b, at, ERR_MODEL, "leads from '%s' to itself", column->symbols[ends[0]]);
    *ret = (struct model_transition){(uint16_t)ends[0], (uint16_t)ends[1]};
    return ERR_OK;
}

static int compare_transition(const void *a, const void *b)
{
    const struct model_transition *x = a, *y = b;

    return x->from != y->from ? (x->from > y->from) - (x->from < y->from)
                              : (x->to > y->to) - (x->to < y->to);
}

static enum err read_transitions(const struct builder *b, const struct place *at,
                                 struct draft_column *draft)
{
    struct place place = {at, "transitions", 0};
    const struct model_column *column = &draft->column;
    json_t *array;
    size_t count;
    enum err err =
        build_array(b, at, draft->json, "transitions", true, MODEL_TRANSITIONS_MAX, &array);

    if (err != ERR_OK)
        return err;
    count = json_array_size(array);
    draft->transitions = arena_calloc(b->keep, count, sizeof(*draft->transitions));
    if (draft->transitions == NULL)
        return build_nomem(b);
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = read_transition(b, &(struct place){&place, NULL, i}, column, json_array_get(array, i),
                              &draft->transitions[i]);
    if (err != ERR_OK)
        return err;
    if (count > 1)
        qsort(draft->transitions, count, sizeof(*draft->transitions), compare_transition);
    for (size_t i = 1; i < count; i++) {
        const struct model_transition *t = &draft->transitions[i];

        if (compare_transition(t, t - 1) == 0)
            return build_fail(b, &place, ERR_MODEL, "'%s' to '%s' is listed twice",
                              column->symbols[t->from], column->symbols[t->to]);
    }
    draft->transition_count = (uint16_t)count;
    return ERR_OK;
}

static enum err read_ranks(const struct builder *b, const struct place *at,
                           struct draft_column *draft)
{
    struct place place = {at, "ranks", 0};
    const struct model_column *column = &draft->column;
    json_t *object = json_object_get(draft->json, "ranks");
    enum err err;

    if (object == NULL)
        return build_fail(b, at, ERR_MODEL, "'ranks' is missing: who wins among concurrent states");
    err = build_keys(b, &place, object, column->symbols, column->symbol_count);
    if (err != ERR_OK)
        return err;
    draft->ranks = arena_calloc(b->keep, column->symbol_count, sizeof(*draft->ranks));
    if (draft->ranks == NULL)
        return build_nomem(b);
    for (size_t i = 0; i < column->symbol_count && err == ERR_OK; i++) {
        int64_t rank = 0;

        err = build_integer(b, &place, object, column->symbols[i], true, 0, UINT16_MAX, &rank);
        draft->ranks[i] = (uint16_t)rank;
    }
    return err;
}

static enum err read_fsm(const struct builder *b, const struct place *at,
                         struct draft_column *draft)
{
    static const char *const keys[] = {"transitions", "ranks"};
    enum err err;

    if (draft->policy != MERGE_FSM) {
        for (size_t i = 0; i < COUNT_OF(keys); i++) {
            if (json_object_get(draft->json, keys[i]) != NULL)
                return build_fail(b, &(struct place){at, keys[i], 0}, ERR_MODEL,
                                  "only for columns with merge 'fsm'");
        }
        return ERR_OK;
    }
    err = read_transitions(b, at, draft);
    return err == ERR_OK ? read_ranks(b, at, draft) : err;
}

/* --- The default ---------------------------------------------------------------------------- */

static enum err set_of_array(const struct builder *b, const struct place *at, json_t *array,
                             struct value *ret)
{
    size_t count = json_array_size(array);
    struct bytes elements[SET_ELEMENTS_MAX], copy;
    struct buf text;
    enum err err;

    if (count > SET_ELEMENTS_MAX)
        return build_fail(b, at, ERR_LIMIT, "a set has at most %d elements", SET_ELEMENTS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *element = json_string_value(json_array_get(array, i));

        if (element == NULL)
            return build_fail(b, &(struct place){at, NULL, i}, ERR_MODEL, "must be a text");
        elements[i] = bytes_of_text(element);
    }
    buf_init(&text, MODEL_TEXT_MAX);
    err = set_append(elements, count, &text);
    if (err == ERR_OK)
        err = arena_copy(b->keep, buf_view(&text), &copy);
    buf_done(&text);
    if (err == ERR_NOMEM)
        return build_nomem(b);
    if (err != ERR_OK)
        return build_fail(b, at, ERR_MODEL, "elements of a set have 1 to %d bytes",
                          SET_ELEMENT_MAX);
    *ret = value_text(copy);
    return ERR_OK;
}

/* Numbers and booleans are stored values (minor units, ms); texts are read as a person's. */
static enum err read_fallback(const struct builder *b, const struct place *at,
                              struct draft_column *draft)
{
    struct place place = {at, "default", 0};
    const struct model_column *column = &draft->column;
    json_t *json = json_object_get(draft->json, "default");
    struct value value = value_null();
    struct err_info why;
    enum err err = ERR_OK;

    if (json == NULL)
        return ERR_OK;
    if (column->type == COLUMN_REFERENCE || column->type == COLUMN_BLOB)
        return build_fail(b, &place, ERR_MODEL, "a %s column has no default",
                          column_type_names[column->type]);
    if (json_is_string(json))
        err = model_value_from_text(column, bytes_of_text(json_string_value(json)), b->keep, &value,
                                    &why);
    else if (json_is_array(json) && column->type == COLUMN_SET)
        return set_of_array(b, &place, json, &draft->column.fallback);
    else if (json_is_number(json) && column->type == COLUMN_REAL)
        value = value_real(json_number_value(json));
    else if (json_is_integer(json) && column->type != COLUMN_BOOLEAN)
        value = value_int(json_integer_value(json));
    else if (json_is_boolean(json) && column->type == COLUMN_BOOLEAN)
        value = value_int(json_is_true(json));
    else
        return build_fail(b, &place, ERR_MODEL, "is not a value for a column of type %s",
                          column_type_names[column->type]);
    if (err == ERR_OK)
        err = model_check_value(column, &value, &why);
    if (err == ERR_NOMEM)
        return build_nomem(b);
    if (err != ERR_OK)
        return build_fail(b, &place, ERR_MODEL, "%s", why.message);
    if (value.kind == VALUE_NULL)
        return build_fail(b, &place, ERR_MODEL, "is empty; leave it out");
    draft->column.fallback = value;
    return ERR_OK;
}

enum err build_column(const struct builder *b, const struct place *at, json_t *json,
                      const struct draft_table *table, struct draft_column *draft)
{
    struct model_column *column = &draft->column;
    int64_t id = 0;
    enum err err = build_keys(b, at, json, column_keys, COUNT_OF(column_keys));

    *draft = (struct draft_column){.json = json, .place = at->index, .group = NO_GROUP};
    column->fallback = value_null();
    column->currency_column = -1;
    column->target = -1;
    if (err == ERR_OK)
        err = build_integer(b, at, json, "id", true, 1, MODEL_ID_MAX, &id);
    column->id = (uint16_t)id;
    if (err == ERR_OK)
        err = build_name(b, at, json, "column", &column->name);
    if (err == ERR_OK)
        err = build_label(b, at, json, "label", (const char *const[]){column->name, column->name},
                          &column->label);
    if (err == ERR_OK)
        err = read_type(b, at, draft);
    if (err == ERR_OK)
        err = read_group(b, at, table, draft);
    if (err == ERR_OK)
        err = read_policy(b, at, draft);
    if (err == ERR_OK)
        err = build_boolean(b, at, json, "required", &column->required);
    if (err == ERR_OK)
        err = build_boolean(b, at, json, "key", &column->key);
    if (err == ERR_OK)
        err = read_range(b, at, draft);
    if (err == ERR_OK)
        err = read_money(b, at, draft);
    if (err == ERR_OK)
        err = read_symbols(b, at, draft);
    if (err == ERR_OK)
        err = read_fsm(b, at, draft);
    if (err == ERR_OK)
        err = read_fallback(b, at, draft);
    return err;
}
