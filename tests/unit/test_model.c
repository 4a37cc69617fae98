/* The model as a whole: what a parsed file gives, what is built in, limits, look-ups, the hash.
 * Errors are in test_model_errors.c, values in test_model_value.c. */
#include "tests/lib/quoted_model.h"

static struct model *builtin(void)
{
    struct model *model;
    struct err_info info;
    enum err err = model_builtin(&model, &info);

    if (err != ERR_OK)
        fail_msg("ERR_%s: %s", err_name(err), info.message);
    return model;
}

static const struct model_table *table_of(const struct model *model, const char *name)
{
    const struct model_table *table = model_table_by_name(model, bytes_of_text(name));

    assert_non_null(table);
    return table;
}

static const struct model_column *column_of(const struct model_table *table, const char *name)
{
    const struct model_column *column = model_column_by_name(table, bytes_of_text(name));

    assert_non_null(column);
    return column;
}

static const struct model_unit *unit_of(const struct model_table *table, const char *column)
{
    return &table->units[column_of(table, column)->unit_index];
}

/* --- What is built in ----------------------------------------------------------------------- */

/* What the header promises of every model. */
static void check_indexes(const struct model *model)
{
    for (size_t t = 0; t < model->table_count; t++) {
        const struct model_table *table = &model->tables[t];

        assert_int_equal(table->index, t);
        assert_ptr_equal(model_table_by_id(model, table->id), table);
        assert_true(t == 0 || table->id > table[-1].id);
        assert_int_equal(table->system, table->id < MODEL_TABLE_ID_FIRST);
        for (size_t c = 0; c < table->column_count; c++) {
            const struct model_column *column = &table->columns[c];
            const struct model_unit *unit = &table->units[column->unit_index];

            assert_int_equal(column->index, c);
            assert_true(c == 0 || column->id > column[-1].id);
            assert_ptr_equal(model_column_by_id(table, column->id), column);
            assert_int_equal(unit->columns[column->unit_place], c);
            assert_true(column->target < model->table_count);
            for (size_t k = 0; k < MODEL_LANGUAGES; k++)
                assert_true(strlen(column->label.text[k]) > 0);
        }
        for (size_t u = 0; u < table->unit_count; u++) {
            const struct model_unit *unit = &table->units[u];

            assert_int_equal(unit->index, u);
            assert_true(u == 0 || unit->id > unit[-1].id);
            assert_ptr_equal(model_unit_by_id(table, unit->id), unit);
            for (size_t k = 1; k < unit->column_count; k++)
                assert_true(unit->columns[k] > unit->columns[k - 1]);
            assert_int_equal(unit->carries_base,
                             unit->column_count > 1 || unit->policy == MERGE_TEXT ||
                                 unit->policy == MERGE_FSM || unit->policy == MERGE_MANUAL);
        }
    }
}

static void builtin_has_what_the_engine_names(void **state)
{
    static const struct {
        uint16_t table, column;
        const char *name;
        enum column_type type;
    } expected[] = {
        {TABLE_BRANCH, SYSTEM_BRANCH_NAME, "name", COLUMN_TEXT},
        {TABLE_BRANCH, SYSTEM_BRANCH_PARENT, "parent", COLUMN_REFERENCE},
        {TABLE_BRANCH, SYSTEM_BRANCH_TIME_ZONE, "time_zone", COLUMN_TEXT},
        {TABLE_USER, SYSTEM_USER_LOGIN, "login", COLUMN_TEXT},
        {TABLE_USER, SYSTEM_USER_BRANCH, "branch", COLUMN_REFERENCE},
        {TABLE_USER, SYSTEM_USER_ROLE, "role", COLUMN_ENUM},
        {TABLE_USER, SYSTEM_USER_ACTIVE, "active", COLUMN_BOOLEAN},
        {TABLE_USER, SYSTEM_USER_CODE, "code", COLUMN_TEXT},
        {TABLE_USER, SYSTEM_USER_MANAGER, "manager", COLUMN_REFERENCE},
        {TABLE_USER, SYSTEM_USER_LANGUAGE, "language", COLUMN_TEXT},
        {TABLE_USER, SYSTEM_USER_SUBSTITUTE, "substitute", COLUMN_REFERENCE},
        {TABLE_USER, SYSTEM_USER_SUBSTITUTE_UNTIL, "substitute_until", COLUMN_INSTANT},
        {TABLE_DEVICE, SYSTEM_DEVICE_USER, "user", COLUMN_REFERENCE},
        {TABLE_DEVICE, SYSTEM_DEVICE_REVOKED, "revoked", COLUMN_BOOLEAN},
        {TABLE_DEVICE, SYSTEM_DEVICE_ENROLLED_AT, "enrolled_at", COLUMN_INSTANT},
        {TABLE_ORIGIN, SYSTEM_ORIGIN_STARTED_AT, "started_at", COLUMN_INSTANT},
        {TABLE_ORIGIN, SYSTEM_ORIGIN_ORIGIN, "origin", COLUMN_INTEGER},
        {TABLE_CONFLICT, SYSTEM_CONFLICT_TABLE_ID, "table_id", COLUMN_INTEGER},
        {TABLE_CONFLICT, SYSTEM_CONFLICT_RECORD, "record", COLUMN_REFERENCE},
        {TABLE_CONFLICT, SYSTEM_CONFLICT_CANDIDATES, "candidates", COLUMN_TEXT},
        {TABLE_CONFLICT, SYSTEM_CONFLICT_STATE, "state", COLUMN_ENUM},
        {TABLE_CONFLICT, SYSTEM_CONFLICT_SETTLED_AT, "settled_at", COLUMN_INSTANT},
        {TABLE_CONFLICT, SYSTEM_CONFLICT_KIND, "kind", COLUMN_ENUM},
        {TABLE_TEAM, SYSTEM_TEAM_NAME, "name", COLUMN_TEXT},
        {TABLE_TEAM, SYSTEM_TEAM_BRANCH, "branch", COLUMN_REFERENCE},
        {TABLE_TEAM, SYSTEM_TEAM_ACTIVE, "active", COLUMN_BOOLEAN},
        {TABLE_TEAM_MEMBER, SYSTEM_TEAM_MEMBER_TEAM, "team", COLUMN_REFERENCE},
        {TABLE_TEAM_MEMBER, SYSTEM_TEAM_MEMBER_USER, "user", COLUMN_REFERENCE},
        {TABLE_TEAM_MEMBER, SYSTEM_TEAM_MEMBER_ACTIVE, "active", COLUMN_BOOLEAN},
    };
    struct model *model = builtin();
    const struct model_column *role;

    (void)state;
    check_indexes(model);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const struct model_table *table = model_table_by_id(model, expected[i].table);
        const struct model_column *column;

        assert_non_null(table);
        column = model_column_by_id(table, expected[i].column);
        assert_non_null(column);
        assert_string_equal(column->name, expected[i].name);
        assert_int_equal(column->type, expected[i].type);
    }
    role = column_of(table_of(model, "user"), "role");
    assert_string_equal(role->symbols[role->symbol_count - 1], "branch"); /* no person's */
    for (uint16_t i = 0; i + 1 < role->symbol_count; i++)
        assert_string_equal(role->symbols[i], role_name((enum role)i));
    assert_int_equal(table_of(model, "conflict")->bucket_rule, BUCKET_SYSTEM);
    assert_int_equal(table_of(model, "conflict")->write_role, ROLE_SERVER);
    assert_int_equal(table_of(model, "user")->delete_policy, DELETE_NEVER);
    assert_int_equal(unit_of(table_of(model, "user"), "role")->policy, MERGE_UPSTREAM);
    assert_int_equal(column_of(table_of(model, "conflict"), "record")->target, -1);
    model_free(model);
}

/* The tables whose records travel with a customer, and those that say for themselves who sees them. */
static void builtin_buckets_are_as_the_design_says(void **state)
{
    struct model *model = builtin();
    const struct model_table *party = table_of(model, "party"),
                             *line = table_of(model, "order_line");

    (void)state;
    assert_int_equal(party->bucket_rule, BUCKET_ROUTED);
    assert_string_equal(party->columns[party->visibility_column].name, "visibility");
    assert_string_equal(party->columns[party->branch_column].name, "branch");
    assert_string_equal(party->columns[party->owner_column].name, "owner");
    assert_int_equal(unit_of(party, "owner")->policy, MERGE_UPSTREAM);
    assert_int_equal(party->delete_policy, DELETE_REVIVES);
    assert_int_equal(line->bucket_rule, BUCKET_INHERIT);
    assert_int_equal(line->delete_policy, DELETE_WINS);
    assert_string_equal(model->tables[line->columns[line->parent_column].target].name,
                        "sales_order");
    assert_int_equal(table_of(model, "product")->bucket_rule, BUCKET_COMPANY);
    assert_int_equal(table_of(model, "product")->write_role, ROLE_ADMIN);
    assert_int_equal(table_of(model, "deal")->bucket_rule, BUCKET_ROUTED);
    assert_false(column_of(table_of(model, "deal"), "party")->required);
    for (size_t i = 0; i < table_of(model, "activity")->unit_count; i++)
        assert_int_equal(table_of(model, "activity")->units[i].policy, MERGE_APPEND);
    model_free(model);
}

static void builtin_never_lets_a_machine_decide_won_against_lost(void **state)
{
    struct model *model = builtin();
    const struct model_table *deal = table_of(model, "deal");
    const struct model_column *stage = column_of(deal, "stage");
    const struct model_unit *unit = unit_of(deal, "stage");
    uint16_t won = 0, lost = 0;

    (void)state;
    for (uint16_t i = 0; i < stage->symbol_count; i++) {
        won = strcmp(stage->symbols[i], "won") == 0 ? i : won;
        lost = strcmp(stage->symbols[i], "lost") == 0 ? i : lost;
    }
    assert_int_equal(unit->policy, MERGE_FSM);
    assert_int_not_equal(won, lost);
    assert_int_equal(unit->ranks[won], unit->ranks[lost]);
    for (uint16_t i = 0; i < stage->symbol_count; i++)
        assert_true(i == won || i == lost || unit->ranks[i] < unit->ranks[won]);
    assert_int_equal(unit->transition_count, 36);
    model_free(model);
}

/* --- Parsing -------------------------------------------------------------------------------- */

static void a_file_becomes_tables_columns_and_units(void **state)
{
    struct model *model = parsed(MODEL(BIG_TABLE));
    const struct model_table *thing = table_of(model, "thing");
    const struct model_unit *worth = model_unit_by_id(thing, 2), *fsm = model_unit_by_id(thing, 6);
    const struct model_column *sum = model_column_by_id(thing, 4);

    (void)state;
    check_indexes(model);
    assert_string_equal(model->name, "m");
    assert_int_equal(model->version, 1);
    assert_int_equal(model->table_count, 8);
    assert_int_equal(thing->delete_policy, DELETE_MANUAL);
    assert_int_equal(thing->write_role, ROLE_ADMIN);
    assert_int_equal(thing->column_count, 11);
    assert_int_equal(thing->unit_count, 10);
    assert_string_equal(thing->label.text[1], "Вещь");
    assert_string_equal(thing->label_plural.text[0], "Things");
    assert_string_equal(thing->label_plural.text[1], "Things"); /* Russian falls back to English */
    assert_int_equal(thing->columns[thing->title_column].id, 1);
    assert_int_equal(thing->columns[thing->visibility_column].id, 7);

    assert_int_equal(worth->policy, MERGE_MANUAL);
    assert_int_equal(worth->column_count, 2);
    assert_true(worth->carries_base);
    assert_int_equal(thing->columns[worth->columns[0]].id, 4);
    assert_int_equal(sum->unit_place, 0);
    assert_int_equal(sum->digits, 3);
    assert_int_equal(thing->columns[sum->currency_column].id, 5);
    assert_int_equal(sum->fallback.as.integer, -1500);
    assert_int_equal(sum->max, 5000);

    assert_int_equal(fsm->transition_count, 2);
    assert_int_equal(fsm->transitions[0].from, 0); /* sorted */
    assert_int_equal(fsm->ranks[0], fsm->ranks[1]);
    assert_string_equal(column_of(thing, "state")->symbol_labels[1].text[0], "b");
    assert_string_equal(column_of(thing, "state")->symbol_labels[1].text[1], "Б");

    assert_text(column_of(thing, "tags")->fallback.as.bytes, "[\"a\",\"b\"]");
    assert_text(column_of(thing, "seen_by")->fallback.as.bytes, "owner");
    assert_int_equal(column_of(thing, "live")->fallback.as.integer, 1);
    assert_true(column_of(thing, "ratio")->fallback.as.real == 1.0);
    assert_text(column_of(thing, "day")->fallback.as.bytes, "2024-02-29");
    assert_int_equal(column_of(thing, "name")->fallback.kind, VALUE_NULL);
    assert_int_equal(unit_of(thing, "tags")->policy, MERGE_SET);
    assert_int_equal(unit_of(thing, "seen_by")->policy, MERGE_UPSTREAM); /* routing */
    assert_int_equal(unit_of(thing, "live")->policy, MERGE_LWW);
    model_free(model);
}

static void a_parent_to_inherit_from_is_required_and_upstream(void **state)
{
    struct model *model = parsed(MODEL(CHAIN(30, leaf, root) "," ROOT));
    const struct model_table *leaf = table_of(model, "leaf");

    (void)state;
    assert_int_equal(leaf->parent_column, 0);
    assert_true(leaf->columns[0].required);
    assert_int_equal(leaf->units[0].policy, MERGE_UPSTREAM);
    assert_int_equal(leaf->columns[0].target, table_of(model, "root")->index);
    model_free(model);
}

static void look_ups_of_nothing_give_null(void **state)
{
    struct model *model = builtin();
    const struct model_table *party = table_of(model, "party");
    enum role role = ROLE_NONE;

    (void)state;
    assert_null(model_table_by_id(model, 0));
    assert_null(model_table_by_id(model, 8));
    assert_null(model_table_by_id(model, UINT32_MAX));
    assert_null(model_table_by_id(model, 65536 + TABLE_USER));
    assert_null(model_table_by_name(model, bytes_of_text("part")));
    assert_null(model_column_by_id(party, 201)); /* a group */
    assert_null(model_column_by_name(party, bytes_of_text("")));
    assert_null(model_unit_by_id(party, 17)); /* a column of a group */
    assert_non_null(model_unit_by_id(party, 201));
    assert_ok(role_parse(bytes_of_text("manager"), &role));
    assert_int_equal(role, ROLE_MANAGER);
    assert_err(role_parse(bytes_of_text("Manager"), &role), ERR_NOT_FOUND);
    model_free(model);
    model_free(NULL);
}

/* --- The hash ------------------------------------------------------------------------------- */

static bool same_hash(const char *a, const char *b)
{
    struct model *x = parsed(a), *y = parsed(b);
    bool same = memcmp(x->hash, y->hash, sizeof(x->hash)) == 0;

    model_free(x);
    model_free(y);
    return same;
}

static void the_hash_is_of_what_affects_data(void **state)
{
    static const char plain[] = ONE("{'id':1,'name':'a','type':'text'}");
    static const char *const different[] = {
        MODEL("{'id':17,'name':'t','bucket':'company','columns':[{'id':1,'name':'a','type':'text'}]"
              "}"),
        MODEL("{'id':16,'name':'u','bucket':'company','columns':[{'id':1,'name':'a','type':'text'}]"
              "}"),
        MODEL("{'id':16,'name':'t','bucket':'company','delete':'wins',"
              "'columns':[{'id':1,'name':'a','type':'text'}]}"),
        MODEL("{'id':16,'name':'t','bucket':'company','write':'admin',"
              "'columns':[{'id':1,'name':'a','type':'text'}]}"),
        MODEL("{'id':16,'name':'t','bucket':'company','title':'a',"
              "'columns':[{'id':1,'name':'a','type':'text'}]}"),
        ONE("{'id':2,'name':'a','type':'text'}"),
        ONE("{'id':1,'name':'b','type':'text'}"),
        ONE("{'id':1,'name':'a','type':'set','merge':'lww'}"),
        ONE("{'id':1,'name':'a','type':'text','merge':'text'}"),
        ONE("{'id':1,'name':'a','type':'text','max':65535}"),
        ONE("{'id':1,'name':'a','type':'text','required':true}"),
        ONE("{'id':1,'name':'a','type':'text','key':true}"),
        ONE("{'id':1,'name':'a','type':'text','default':'x'}"),
        ONE("{'id':1,'name':'a','type':'text'},{'id':2,'name':'b','type':'text'}"),
    };

    (void)state;
    assert_true(same_hash(plain, plain));
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
        if (same_hash(plain, different[i]))
            fail_msg("no difference: %s", different[i]);
    }
}

static void the_hash_is_not_of_labels_order_or_version(void **state)
{
    (void)state;
    assert_true(
        same_hash(MODEL("{'id':16,'name':'t','bucket':'company','columns':["
                        "{'id':1,'name':'a','type':'text'},{'id':2,'name':'b','type':'integer'}]}"),
                  "{'version':7,'tables':[{'columns':["
                  "{'type':'integer','name':'b','id':2,'label':{'en':'B'}},"
                  "{'id':1,'name':'a','type':'text','max':65536,'merge':'lww','required':false}],"
                  "'label':{'ru':'Т'},'id':16,'delete':'revives','write':'rep','name':'t',"
                  "'bucket':'company'}],'name':'other'}"));
}

/* A change of the canonical form, of the system tables or of the CRM's model shows here: the first
 * two need a new model version on the wire, the last one a higher "version" in its file. */
static void the_hash_of_an_empty_model_is_known(void **state)
{
    struct model *model = parsed(MODEL(""));
    struct buf text;

    (void)state;
    buf_init(&text, 100);
    for (size_t i = 0; i < sizeof(model->hash); i++) {
        char hex[3];

        snprintf(hex, sizeof(hex), "%02x", model->hash[i]);
        buf_append(&text, hex, 2);
    }
    assert_text(buf_view(&text),
                "196cb6f876e853f917dbe02b7a3caacd79279e525c703696d65d17ed101b42fb");
    buf_done(&text);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builtin_has_what_the_engine_names),
        cmocka_unit_test(builtin_buckets_are_as_the_design_says),
        cmocka_unit_test(builtin_never_lets_a_machine_decide_won_against_lost),
        cmocka_unit_test(a_file_becomes_tables_columns_and_units),
        cmocka_unit_test(a_parent_to_inherit_from_is_required_and_upstream),
        cmocka_unit_test(look_ups_of_nothing_give_null),
        cmocka_unit_test(the_hash_is_of_what_affects_data),
        cmocka_unit_test(the_hash_is_not_of_labels_order_or_version),
        cmocka_unit_test(the_hash_of_an_empty_model_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
