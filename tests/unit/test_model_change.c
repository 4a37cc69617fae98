/* What may change in a model: each kind of change, allowed or refused with the reason; extension files; whole
 * texts with the system tables of another program. */
#include "common/model_change.h"
#include "tests/lib/quoted_model.h"

#define NAME  "{'id':1,'name':'name','type':'text','max':100,'label':{'en':'Name'}}"
#define SUM   "{'id':2,'name':'sum','type':'money','digits':2,'currency':'EUR','min':-10,'max':10}"
#define LEVEL "{'id':3,'name':'level','type':'enum','symbols':['low','mid'],'merge':'restrict'}"
#define STATE(symbols, steps, ranks)                                         \
    "{'id':4,'name':'state','type':'enum','merge':'fsm','symbols':[" symbols \
    "],'transitions':[" steps "],'ranks':{" ranks "}}"
#define STATE1 STATE("'a','b'", "['a','b']", "'a':0,'b':1")
#define REF    "{'id':5,'name':'ref','type':'reference','target':'other'}"
#define STREET "{'id':6,'name':'street','type':'text','group':'place'}"
#define TOWN   "{'id':7,'name':'town','type':'text','group':'place'}"
#define COUNT  "{'id':8,'name':'count','type':'integer','default':3}"
#define LAST   "{'id':9,'name':'last','type':'text','required':true}"
#define COLUMNS(name, sum, level, state, ref, street, town, count, last) \
    name "," sum "," level "," state "," ref "," street "," town "," count "," last
#define ALL(more)      COLUMNS(NAME, SUM, LEVEL, STATE1, REF, STREET, TOWN, COUNT, LAST) more
#define GROUP          "'groups':[{'id':100,'name':'place'}]"
#define TABLE_HEAD     "{'id':16,'name':'t','bucket':'company','title':'name',"
#define TABLE(columns) TABLE_HEAD GROUP ",'columns':[" columns "]}"
#define OTHER \
    "{'id':17,'name':'other','bucket':'company','columns':[{'id':1,'name':'a','type':'text'}]}"
#define VERSION(n, tables) "{'name':'m','version':" #n ",'tables':[" tables "]}"
#define BASE               VERSION(3, TABLE(ALL("")) "," OTHER)
#define LATER(columns)     VERSION(4, TABLE(columns) "," OTHER)

struct seen {
    char text[4096];
    int allowed, refused;
};

static void note(void *context, bool allowed, const char *text)
{
    struct seen *seen = context;

    seen->allowed += allowed;
    seen->refused += !allowed;
    strncat(seen->text, text, sizeof(seen->text) - strlen(seen->text) - 2);
    strcat(seen->text, "\n");
}

/* The change is refused, and the reason names the place and says this. */
static void refused(const char *later, const char *place, const char *why)
{
    struct model *a = parsed(BASE), *b = parsed(later);
    struct seen seen = {0};
    struct err_info info = {0};

    assert_err(model_changes(a, b, note, &seen, &info), ERR_MODEL);
    assert_true(seen.refused > 0);
    if (strstr(info.message, place) == NULL || strstr(info.message, why) == NULL)
        fail_msg("'%s' has not '%s' and '%s'", info.message, place, why);
    assert_err(model_extends(a, b, NULL), ERR_MODEL);
    model_free(a);
    model_free(b);
}

/* It is allowed, and told like this. */
static void allowed(const char *later, const char *what)
{
    struct model *a = parsed(BASE), *b = parsed(later);
    struct seen seen = {0};
    struct err_info info = {0};

    if (model_changes(a, b, note, &seen, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_int_equal(seen.refused, 0);
    if (strstr(seen.text, what) == NULL)
        fail_msg("'%s' has not '%s'", seen.text, what);
    model_free(a);
    model_free(b);
}

static void the_same_is_no_change(void **state)
{
    struct model *a = parsed(BASE);
    struct seen seen = {0};

    (void)state;
    assert_ok(model_changes(a, a, note, &seen, NULL));
    assert_int_equal(seen.allowed + seen.refused, 0);
    model_free(a);
}

static void what_is_added_is_allowed(void **state)
{
    (void)state;
    allowed(LATER(ALL(",{'id':10,'name':'more','type':'text'}")), "t.more: a new column (text)");
    allowed(LATER(ALL(",{'id':10,'name':'more','type':'integer','required':true,'default':1}")),
            "t.more: a new column");
    allowed(VERSION(4, TABLE_HEAD
                    "'groups':[{'id':100,'name':'place'},{'id':101,'name':'pair'}],'columns':[" ALL(
                        ",{'id':102,'name':'x','type':'text','group':'pair'}") "]}," OTHER),
            "t.x: a new column");
    allowed(VERSION(4, TABLE(ALL("")) "," OTHER
                                      ",{'id':18,'name':'fresh','bucket':'company','columns':["
                                      "{'id':1,'name':'a','type':'text'}]}"),
            "fresh: a new table of 1 columns");
    allowed(VERSION(9, TABLE(ALL("")) "," OTHER), "the version: 9, before 3");
}

#define WITH(name, sum, level, state, count) \
    LATER(COLUMNS(name, sum, level, state, REF, STREET, TOWN, count, LAST))

static void what_gets_wider_is_allowed(void **state)
{
    (void)state;
    allowed(WITH("{'id':1,'name':'name','type':'text','max':101,'label':{'en':'Name'}}", SUM, LEVEL,
                 STATE1, COUNT),
            "t.name: wider bounds");
    allowed(
        WITH(NAME,
             "{'id':2,'name':'sum','type':'money','digits':2,'currency':'EUR','min':-11,'max':10}",
             LEVEL, STATE1, COUNT),
        "t.sum: wider bounds");
    allowed(WITH(NAME, SUM,
                 "{'id':3,'name':'level','type':'enum','symbols':['low','mid','top'],'merge':'"
                 "restrict'}",
                 STATE1, COUNT),
            "t.level: a new symbol 'top'");
    allowed(WITH(NAME, SUM, LEVEL, STATE("'a','b','c'", "['a','b'],['b','c']", "'a':0,'b':1,'c':1"),
                 COUNT),
            "t.state: 1 new transitions");
    allowed(WITH("{'id':1,'name':'name','type':'text','max':100,'label':{'en':'Title'}}", SUM,
                 LEVEL, STATE1, COUNT),
            "t.name: another label");
    allowed(WITH(NAME, SUM,
                 "{'id':3,'name':'level','type':'enum','symbols':[{'name':'low','label':{'en':'L'}}"
                 ",'mid'],"
                 "'merge':'restrict'}",
                 STATE1, COUNT),
            "another label of 'low'");
    allowed(
        VERSION(4, "{'id':16,'name':'t','label':{'ru':'Т'},'bucket':'company','title':'name'," GROUP
                   ",'columns':[" ALL("") "]}," OTHER),
        "t: another label");
}

static void what_a_column_is_stays(void **state)
{
    (void)state;
    refused(LATER(COLUMNS(NAME, SUM, LEVEL, STATE1, REF, STREET, TOWN, COUNT,
                          "{'id':9,'name':'final','type':'text','required':true}")),
            "id 9", "never used for something else");
    refused(WITH(NAME, "{'id':2,'name':'sum','type':'integer','min':-10,'max':10}", LEVEL, STATE1,
                 COUNT),
            "t.sum", "the type was money and is integer");
    refused(WITH("{'id':1,'name':'name','type':'text','max':99,'label':{'en':'Name'}}", SUM, LEVEL,
                 STATE1, COUNT),
            "t.name", "narrower");
    refused(
        WITH(NAME,
             "{'id':2,'name':'sum','type':'money','digits':3,'currency':'EUR','min':-10,'max':10}",
             LEVEL, STATE1, COUNT),
        "t.sum", "digits");
    refused(
        WITH(NAME,
             "{'id':2,'name':'sum','type':'money','digits':2,'currency':'USD','min':-10,'max':10}",
             LEVEL, STATE1, COUNT),
        "t.sum", "currency");
    refused(WITH("{'id':1,'name':'name','type':'text','max':100,'required':true}", SUM, LEVEL,
                 STATE1, COUNT),
            "t.name", "required");
    refused(WITH("{'id':1,'name':'name','type':'text','max':100,'key':true}", SUM, LEVEL, STATE1,
                 COUNT),
            "t.name", "key");
    refused(WITH(NAME, SUM, LEVEL, STATE1, "{'id':8,'name':'count','type':'integer','default':4}"),
            "t.count", "default");
    refused(WITH(NAME, SUM, LEVEL, STATE1,
                 "{'id':8,'name':'count','type':'integer','default':3,'merge':'max'}"),
            "t.count", "policy was lww and is max");
    refused(WITH(NAME, SUM, LEVEL, STATE1,
                 "{'id':8,'name':'count','type':'integer','default':3,'group':'place'}"),
            "t.count", "joins a group");
    refused(LATER(COLUMNS(NAME, SUM, LEVEL, STATE1,
                          "{'id':5,'name':'ref','type':'reference','target':'any'}", STREET, TOWN,
                          COUNT, LAST)),
            "t.ref", "target");
    refused(LATER(NAME "," SUM "," LEVEL "," STATE1 "," REF "," STREET "," TOWN "," LAST),
            "t.count", "is gone");
}

static void symbols_and_states_keep_their_order(void **state)
{
    (void)state;
    refused(WITH(NAME, SUM,
                 "{'id':3,'name':'level','type':'enum','symbols':['mid','low'],'merge':'restrict'}",
                 STATE1, COUNT),
            "t.level", "'low'");
    refused(WITH(NAME, SUM,
                 "{'id':3,'name':'level','type':'enum','symbols':['new','low','mid'],'merge':'"
                 "restrict'}",
                 STATE1, COUNT),
            "t.level", "put behind them");
    refused(WITH(NAME, SUM,
                 "{'id':3,'name':'level','type':'enum','symbols':['low'],'merge':'restrict'}",
                 STATE1, COUNT),
            "t.level", "'mid'");
    refused(WITH(NAME, SUM, LEVEL, STATE("'a','b'", "['a','b']", "'a':1,'b':1"), COUNT), "t.state",
            "ranks");
    refused(WITH(NAME, SUM, LEVEL, STATE("'a','b'", "['b','a']", "'a':0,'b':1"), COUNT), "t.state",
            "from 'a' to 'b' is gone");
}

static void new_columns_follow_rules(void **state)
{
    (void)state;
    refused(LATER(ALL(",{'id':10,'name':'more','type':'text','required':true}")), "t.more",
            "needs a default");
    refused(LATER(ALL(",{'id':10,'name':'more','type':'text','group':'place'}")), "t.more",
            "groups are merged whole");
}

static void ids_grow(void **state)
{
    struct model *a =
        parsed(VERSION(1, "{'id':16,'name':'t','bucket':'company','columns':["
                          "{'id':1,'name':'a','type':'text'},{'id':5,'name':'b','type':'text'}]}"));
    struct model *b =
        parsed(VERSION(2, "{'id':16,'name':'t','bucket':'company','columns':["
                          "{'id':1,'name':'a','type':'text'},{'id':5,'name':'b','type':'text'},"
                          "{'id':4,'name':'c','type':'text'}]}"));
    struct err_info info;

    (void)state;
    assert_err(model_extends(a, b, &info), ERR_MODEL);
    assert_non_null(strstr(info.message, "above all that its table has (5)"));
    model_free(a);
    model_free(b);
}

static void what_a_table_is_stays(void **state)
{
    (void)state;
#define HEADED(head) VERSION(4, head GROUP ",'columns':[" ALL("") "]}," OTHER)
    refused(HEADED("{'id':16,'name':'u','bucket':'company','title':'name',"), "id 16",
            "was table 't'");
    refused(HEADED("{'id':16,'name':'t','bucket':'company','title':'name','delete':'wins',"),
            "t:", "delete policy");
    refused(HEADED("{'id':16,'name':'t','bucket':'company','title':'name','write':'admin',"),
            "t:", "role");
    refused(HEADED("{'id':16,'name':'t','bucket':'company',"), "t:", "title");
    refused(HEADED("{'id':16,'name':'t','bucket':'company','title':'name','parent':'ref',"),
            "t:", "parent");
    refused(HEADED("{'id':16,'name':'t','bucket':'inherit','title':'name','parent':'ref',"),
            "t:", "bucket");
    refused(VERSION(4, TABLE_HEAD "'groups':[{'id':100,'name':'spot'}],'columns':[" COLUMNS(
                           NAME, SUM, LEVEL, STATE1, REF,
                           "{'id':6,'name':'street','type':'text','group':'spot'}",
                           "{'id':7,'name':'town','type':'text','group':'spot'}", COUNT,
                           LAST) "]}," OTHER),
            "place", "another name");
    refused(VERSION(4, TABLE_HEAD
                    "'groups':[{'id':100,'name':'place','merge':'first'}],'columns':[" ALL(
                        "") "]}," OTHER),
            "place", "policy was lww and is first");
    refused(VERSION(4, OTHER), "'t'", "is gone");
    refused("{'name':'n','version':4,'tables':[" TABLE(ALL("")) "," OTHER "]}", "'m'",
            "another model");
    refused(VERSION(3, TABLE(ALL(",{'id':10,'name':'more','type':'text'}")) "," OTHER),
            "version is 3", "raise it");
    refused(VERSION(2, TABLE(ALL("")) "," OTHER), "version is 2", "raise it");
}

/* ---- extension files ---- */

static enum err extend(const char *base, const char *quoted, struct model **ret,
                       struct err_info *info)
{
    struct model *a = parsed(base);
    char text[4096];
    size_t size = strlen(quoted);

    for (size_t i = 0; i <= size; i++)
        text[i] = quoted[i] == '\'' ? '"' : quoted[i];
    enum err e = model_extend(a, bytes_of(text, size), ret, info);
    model_free(a);
    return e;
}

static void an_extension_lists_what_is_added(void **state)
{
    struct model *model;
    struct err_info info = {0};
    const char *text =
        "{'extends':'m','tables':[{'name':'t','label':{'en':'T'},'columns':["
        "{'name':'more','type':'integer','default':7},"
        "{'name':'name','max':200,'label':{'en':'Title'}},"
        "{'name':'level','symbols':['top']},"
        "{'name':'state','symbols':['c'],'transitions':[['b','c']],'ranks':{'c':2}},"
        "{'name':'x','type':'text','group':'pair'}],'groups':[{'name':'pair'}]},"
        "{'name':'fresh','bucket':'inherit','parent':'up','columns':["
        "{'name':'up','type':'reference','target':'t'},{'name':'note','type':'text'}]}]}";

    (void)state;
    if (extend(BASE, text, &model, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_int_equal(model->version, 4);
    const struct model_table *t = model_table_by_id(model, 16);
    const struct model_table *fresh = model_table_by_name(model, bytes_of_text("fresh"));
    assert_int_equal(model_column_by_name(t, bytes_of_text("more"))->id, 101);
    assert_int_equal(model_column_by_name(t, bytes_of_text("x"))->id, 102);
    assert_non_null(model_unit_by_id(t, 103));
    assert_int_equal(model_column_by_name(t, bytes_of_text("name"))->max, 200);
    assert_string_equal(model_column_by_name(t, bytes_of_text("level"))->symbols[2], "top");
    assert_int_equal(fresh->id, 18);
    assert_int_equal(fresh->columns[1].id, 2);
    /* what is remembered: the ids are in the text that is kept */
    struct model *again;
    assert_ok(model_parse_whole(model->text, model->hash, &again, &info));
    assert_memory_equal(again->hash, model->hash, 32);
    model_free(again);
    model_free(model);
}

static void a_bad_extension_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
        enum err code;
    } cases[] = {
        {"{'extends':'n','tables':[]}", "'m'", ERR_MODEL},
        {"{'extends':'m'}", "array", ERR_MODEL},
        {"{'extends':'m','tables':[],'more':1}", "more", ERR_MODEL},
        {"{'extends':'m','tables':[1]}", "tables[0]", ERR_MODEL},
        {"{'extends':'m','tables':[]}", "nothing changes", ERR_EXISTS},
        {"{'extends':'m','tables':[{'name':'t','columns':[{'name':'name'}]}]}", "nothing changes",
         ERR_EXISTS},
        {"{'extends':'m','tables':[{'name':'t','delete':'wins'}]}", "delete", ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','id':99}]}", "leave the id out", ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','columns':7}]}", "columns", ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','columns':[{'name':'name','type':'date'}]}]}",
         "type", ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','columns':[{'name':'name','id':2}]}]}",
         "leave the id out", ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','columns':[{'name':'name','max':5}]}]}", "narrower",
         ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','columns':[{'name':'name','symbols':['x']}]}]}",
         "symbols", ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','columns':[{'name':'name','ranks':{'a':1}}]}]}",
         "fsm", ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','columns':[{'name':'q','type':'tex'}]}]}",
         "did you mean", ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','columns':[{'name':'q','type':'text','required':"
         "true}]}]}",
         "needs a default", ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','groups':[{'name':'place'}]}]}", "stays as it is",
         ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'user','columns':[{'name':'q','type':'text'}]}]}",
         "bucket", ERR_MODEL},
        {"{'extends':'m','tables':[{'name':'t','columns':[{'type':'text'}]}]}", "name", ERR_MODEL},
        {"{'extends'", "line", ERR_PARSE},
        {BASE, "nothing changes", ERR_EXISTS},
        {VERSION(4, OTHER), "is gone", ERR_MODEL},
    };
    struct model *model = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err_info info = {0};
        assert_err(extend(BASE, cases[i].text, &model, &info), cases[i].code);
        if (strstr(info.message, cases[i].why) == NULL)
            fail_msg("%s: '%s' has not '%s'", cases[i].text, info.message, cases[i].why);
    }
}

/* ---- whole texts ---- */

/* The text with its system tables changed. */
static enum err parse_changed(const struct model *model, const char *from, const char *to,
                              const uint8_t *hash, struct model **ret, struct err_info *info)
{
    char *text = malloc(model->text.size + strlen(to) + 1);
    char *whole = malloc(model->text.size + 1);
    const char *at;

    memcpy(whole, model->text.data, model->text.size);
    whole[model->text.size] = 0;
    at = strstr(whole, from);
    assert_non_null(at);
    sprintf(text, "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
    enum err e = model_parse_whole(bytes_of_text(text), hash, ret, info);
    free(text);
    free(whole);
    return e;
}

static void system_tables_of_other_programs(void **state)
{
    struct model *model = parsed(BASE), *later = NULL;
    struct err_info info;

    (void)state;
    assert_ok(model_parse_whole(model->text, model->hash, &later, &info));
    assert_memory_equal(later->hash, model->hash, 32);
    model_free(later);
    /* a later program's: one more column of branch, and one more table */
    assert_ok(parse_changed(model, "{\"id\":2,\"name\":\"city\"",
                            "{\"id\":900,\"name\":\"zeal\",\"type\":\"text\"},"
                            "{\"id\":2,\"name\":\"city\"",
                            NULL, &later, &info));
    assert_non_null(model_column_by_id(model_table_by_id(later, TABLE_BRANCH), 900));
    assert_err(model_extends(later, model, &info), ERR_MODEL);
    assert_ok(model_extends(model, later, &info));
    model_free(later);
    /* neither an earlier program's nor a later one's */
    assert_err(parse_changed(model, ",{\"id\":5,\"name\":\"time_zone\"",
                             ",{\"id\":4000,\"name\":\"hours\"", NULL, &later, &info),
               ERR_VERSION);
    /* not what was announced; not whole; a key that is not known */
    assert_err(parse_changed(model, "city", "town", model->hash, &later, &info), ERR_MALFORMED);
    assert_err(parse_changed(model, "\"system\"", "\"sistem\"", NULL, &later, &info), ERR_MODEL);
    assert_err(parse_changed(model, "{\"id\":2,\"name\":\"city\"",
                             "{\"glow\":1,\"id\":2,\"name\":\"city\"", NULL, &later, &info),
               ERR_MODEL);
    assert_non_null(strstr(info.message, "glow"));
    assert_err(model_parse_whole(bytes_of(NULL, 0), NULL, &later, &info), ERR_PARSE);
    model_free(model);
}

static void an_earlier_programs_system_tables(void **state)
{
    struct model *model = parsed(BASE), *earlier = NULL;
    struct err_info info;
    char *whole = malloc(model->text.size + 1);

    (void)state;
    memcpy(whole, model->text.data, model->text.size);
    whole[model->text.size] = 0;
    /* without the last column of branch */
    char *from = strstr(whole, ",{\"id\":5,\"name\":\"time_zone\"");
    assert_non_null(from);
    char *to = strstr(from, "}}") + 2;
    memmove(from, to, strlen(to) + 1);
    assert_ok(model_parse_whole(bytes_of_text(whole), NULL, &earlier, &info));
    assert_memory_equal(earlier->hash, model->hash, 32); /* this program's */
    assert_true(bytes_equal(earlier->text, model->text));
    model_free(earlier);
    free(whole);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_is_no_change),
        cmocka_unit_test(what_is_added_is_allowed),
        cmocka_unit_test(what_gets_wider_is_allowed),
        cmocka_unit_test(what_a_column_is_stays),
        cmocka_unit_test(symbols_and_states_keep_their_order),
        cmocka_unit_test(new_columns_follow_rules),
        cmocka_unit_test(ids_grow),
        cmocka_unit_test(what_a_table_is_stays),
        cmocka_unit_test(an_extension_lists_what_is_added),
        cmocka_unit_test(a_bad_extension_is_refused),
        cmocka_unit_test(system_tables_of_other_programs),
        cmocka_unit_test(an_earlier_programs_system_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
