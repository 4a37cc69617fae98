/* Every way in which a model file can be wrong, with the place and the words that a person reads. */
/* ctest: timeout=900 */
#include "tests/lib/quoted_model.h"

struct wrong {
    const char *json; /* with ' for " */
    enum err err;
    const char *message;
};

#define TABLE(members) MODEL("{'id':16,'name':'t'," members ",'columns':[" A "]}")
#define A              "{'id':1,'name':'a','type':'text'}"
#define B_(members)    ONE(A ",{'id':2,'name':'b'," members "}")
#define ROUTED(columns)                                                                         \
    MODEL("{'id':16,'name':'t','bucket':{'visibility':'v','branch':'b','owner':'o'},'columns':" \
          "[" columns "]}")
#define TEAMS(columns)                                                                           \
    MODEL("{'id':16,'name':'t','bucket':{'visibility':'v','branch':'b','owner':'o','team':'m'}," \
          "'columns':[" columns "]}")
#define V4 "{'id':2,'name':'v','type':'enum','symbols':['company','branch','owner','team']}"
#define T  "{'id':5,'name':'m','type':'reference','target':'team'}"
#define V  "{'id':2,'name':'v','type':'enum','symbols':['company','branch','owner']}"
#define B  "{'id':3,'name':'b','type':'reference','target':'branch'}"
#define O  "{'id':4,'name':'o','type':'reference','target':'user'}"
#define STATES(more) \
    ONE("{'id':1,'name':'a','type':'enum','symbols':['x','y'],'merge':'fsm'" more "}")

static const struct wrong files[] = {
    {"", ERR_PARSE, "the model: line 1, column 0: '[' or '{' expected near end of file"},
    {"{'a':1,'a':2}", ERR_PARSE, "the model: line 1, column 10: duplicate object key near '\"a\"'"},
    {"{'name':'m'} x", ERR_PARSE, "the model: line 1, column 14: end of file expected near 'x'"},
    {"{'name':'\xff'}", ERR_PARSE,
     "the model: line 1, column 9: unable to decode byte 0xff near '\"'"},
    {"[]", ERR_MODEL, "the model: must be an object, not an array"},
    {"{}", ERR_MODEL, "the model: 'name' is missing"},
    {"{'name':'m','table':[]}", ERR_MODEL, "table: there is no such key; did you mean 'tables'?"},
    {"{'name':'m','version':1,'tables':[],'zzz':1}", ERR_MODEL, "zzz: there is no such key"},
    {"{'name':1}", ERR_MODEL, "name: must be a text, not a whole number"},
    {"{'name':'M'}", ERR_MODEL,
     "name: 'M' is not a name: a-z first, then a-z, 0-9 and _, at most 63"},
    {"{'name':'m'}", ERR_MODEL, "the model: 'version' is missing"},
    {"{'name':'m','version':0}", ERR_MODEL, "version: must be from 1 to 4294967295, not 0"},
    {"{'name':'m','version':1.5}", ERR_MODEL,
     "version: must be a whole number, not a number with a fraction"},
    {"{'name':'m','version':1}", ERR_MODEL, "the model: 'tables' is missing"},
    {"{'name':'m','version':1,'tables':{}}", ERR_MODEL, "tables: must be an array, not an object"},
    {MODEL("3"), ERR_MODEL, "tables[0]: must be an object, not a whole number"},
};

static const struct wrong tables[] = {
    {MODEL("{'name':'t'}"), ERR_MODEL, "tables[0]: 'id' is missing"},
    {MODEL("{'id':15,'name':'t'}"), ERR_MODEL, "tables[0].id: must be from 16 to 32767, not 15"},
    {MODEL("{'id':32768,'name':'t'}"), ERR_MODEL,
     "tables[0].id: must be from 16 to 32767, not 32768"},
    {MODEL("{'id':16,'name':'order'}"), ERR_MODEL,
     "tables[0].name: 'order' is a word of SQL; name the table otherwise"},
    {MODEL("{'id':16,'name':'_t'}"), ERR_MODEL,
     "tables[0].name: '_t' is not a name: a-z first, then a-z, 0-9 and _, at most 63"},
    {MODEL("{'id':16,'name':'t-a'}"), ERR_MODEL,
     "tables[0].name: 't-a' is not a name: a-z first, then a-z, 0-9 and _, at most 63"},
    {MODEL("{'id':16,'name':''}"), ERR_MODEL,
     "tables[0].name: '' is not a name: a-z first, then a-z, 0-9 and _, at most 63"},
    {MODEL("{'id':16,'name':'satchel_log'}"), ERR_MODEL,
     "tables[0].name: 'satchel_log' is reserved; name the table otherwise"},
    {MODEL("{'id':16,'name':'sqlite_x'}"), ERR_MODEL,
     "tables[0].name: 'sqlite_x' is reserved; name the table otherwise"},
    {MODEL("{'id':16,'name':'any'}"), ERR_MODEL,
     "tables[0].name: 'any' is reserved; name the table otherwise"},
    {TABLE("'label':'T','bucket':'company'"), ERR_MODEL,
     "tables[0].label: must be an object, not a text"},
    {TABLE("'label':{'de':'T'},'bucket':'company'"), ERR_MODEL,
     "tables[0].label.de: there is no such key"},
    {TABLE("'label':{'en':''},'bucket':'company'"), ERR_MODEL,
     "tables[0].label.en: must be a text of 1 to 200 bytes"},
    {TABLE("'delete':'revive','bucket':'company'"), ERR_MODEL,
     "tables[0].delete: 'revive' is not a delete policy; did you mean 'revives'?"},
    {TABLE("'write':'boss','bucket':'company'"), ERR_MODEL,
     "tables[0].write: 'boss' is not a role that writes"},
    {TABLE("'write':'none','bucket':'company'"), ERR_MODEL,
     "tables[0].write: 'none' is not a role that writes"},
    {TABLE("'delete':'never'"), ERR_MODEL, "tables[0]: 'bucket' is missing: who gets the records"},
    {TABLE("'bucket':'compny'"), ERR_MODEL,
     "tables[0].bucket: 'compny' is not a bucket rule; did you mean 'company'?"},
    {TABLE("'bucket':'system'"), ERR_MODEL, "tables[0].bucket: 'system' is not a bucket rule"},
    {TABLE("'bucket':3"), ERR_MODEL,
     "tables[0].bucket: must be 'company', 'inherit' or an object of routing columns"},
    {TABLE("'bucket':{'visible':'a'}"), ERR_MODEL,
     "tables[0].bucket.visible: there is no such key"},
    {MODEL("{'id':16,'name':'t','bucket':'company'}"), ERR_MODEL,
     "tables[0]: 'columns' is missing"},
    {ONE(""), ERR_MODEL, "tables[0].columns: a table has at least one column"},
    {TABLE("'bucket':'company','title':'b'"), ERR_MODEL,
     "tables[0].title: 'b' is not a column of this table"},
    {MODEL(ROOT "," ROOT), ERR_MODEL, "tables[1].id: 16 is the id of table 'root' already"},
    {MODEL("{'id':17,'name':'root','bucket':'company','columns':[" A "]}," ROOT), ERR_MODEL,
     "tables[1].name: 'root' is the name of another table already"},
    {MODEL("{'id':17,'name':'user','bucket':'company','columns':[" A "]}"), ERR_MODEL,
     "tables[0].name: 'user' is the name of a system table already"},
};

static const struct wrong columns[] = {
    {ONE("'a'"), ERR_MODEL, "tables[0].columns[0]: must be an object, not a text"},
    {ONE("{'name':'a','type':'text'}"), ERR_MODEL, "tables[0].columns[0]: 'id' is missing"},
    {ONE("{'id':0,'name':'a','type':'text'}"), ERR_MODEL,
     "tables[0].columns[0].id: must be from 1 to 32767, not 0"},
    {ONE("{'id':1,'name':'id','type':'text'}"), ERR_MODEL,
     "tables[0].columns[0].name: 'id' is reserved; name the column otherwise"},
    {ONE("{'id':1,'name':'rowid','type':'text'}"), ERR_MODEL,
     "tables[0].columns[0].name: 'rowid' is a word of SQL; name the column otherwise"},
    {ONE("{'id':1,'name':'a'}"), ERR_MODEL, "tables[0].columns[0]: 'type' is missing"},
    {ONE("{'id':1,'name':'a','type':'integr'}"), ERR_MODEL,
     "tables[0].columns[0].type: 'integr' is not a column type; did you mean 'integer'?"},
    {ONE(A ",{'id':1,'name':'b','type':'text'}"), ERR_MODEL,
     "tables[0].columns[1].id: 1 is the id of 'a' already"},
    {ONE("{'id':2,'name':'a','type':'text'}," A), ERR_MODEL,
     "tables[0].columns[1].name: 'a' is the name of another column already"},
    {B_("'type':'text','required':1"), ERR_MODEL,
     "tables[0].columns[1].required: must be true or false, not a whole number"},
    {B_("'type':'text','key':'yes'"), ERR_MODEL,
     "tables[0].columns[1].key: must be true or false, not a text"},
    {B_("'type':'date','key':true"), ERR_MODEL,
     "tables[0].columns[1].key: only for text and integer columns; this one is of type date"},
    {B_("'type':'text','min':1"), ERR_MODEL,
     "tables[0].columns[1].min: only for number, money and instant columns; this one is of type "
     "text"},
    {B_("'type':'text','max':0"), ERR_MODEL,
     "tables[0].columns[1].max: must be from 1 to 65536, not 0"},
    {B_("'type':'text','max':65537"), ERR_MODEL,
     "tables[0].columns[1].max: must be from 1 to 65536, not 65537"},
    {B_("'type':'integer','min':2,'max':1"), ERR_MODEL,
     "tables[0].columns[1].max: is less than min"},
    {B_("'type':'integer','max':99999999999999999999"), ERR_PARSE,
     "the model: line 1, column 180: too big integer near '99999999999999999999'"},
    {B_("'type':'integer','digits':2"), ERR_MODEL,
     "tables[0].columns[1].digits: only for money columns; this one is of type integer"},
    {B_("'type':'money','digits':5"), ERR_MODEL,
     "tables[0].columns[1].digits: must be from 0 to 4, not 5"},
    {B_("'type':'money','currency':'eur'"), ERR_MODEL,
     "tables[0].columns[1].currency: 'eur' is not a currency code of three capital letters"},
    {B_("'type':'money','currency':'EUR','currency_column':'a'"), ERR_MODEL,
     "tables[0].columns[1].currency: is given beside 'currency_column'; drop one"},
    {B_("'type':'money','currency_column':'c'"), ERR_MODEL,
     "tables[0].columns[1].currency_column: 'c' is not a column of this table"},
    {B_("'type':'money','currency_column':'b'"), ERR_MODEL,
     "tables[0].columns[1].currency_column: 'b' is not a text column"},
    {B_("'type':'reference'"), ERR_MODEL, "tables[0].columns[1]: 'target' is missing"},
    {B_("'type':'reference','target':'usr'"), ERR_MODEL,
     "tables[0].columns[1].target: 'usr' is not a table (or 'any'); did you mean 'user'?"},
    {B_("'type':'text','target':'user'"), ERR_MODEL,
     "tables[0].columns[1].target: only for reference columns; this one is of type text"},
};

static const struct wrong policies[] = {
    {B_("'type':'text','merge':'lwww'"), ERR_MODEL,
     "tables[0].columns[1].merge: 'lwww' is not a merge policy; did you mean 'lww'?"},
    {B_("'type':'text','merge':'counter'"), ERR_MODEL,
     "tables[0].columns[1].merge: 'counter' is for number and money columns; this one is of type "
     "text"},
    {B_("'type':'boolean','merge':'max'"), ERR_MODEL,
     "tables[0].columns[1].merge: 'max' is for number, money, date and instant columns; this one "
     "is of type boolean"},
    {B_("'type':'enum','symbols':['x'],'merge':'min'"), ERR_MODEL,
     "tables[0].columns[1].merge: 'min' is for number, money, date and instant columns; this one "
     "is of type enum"},
    {B_("'type':'text','merge':'restrict'"), ERR_MODEL,
     "tables[0].columns[1].merge: 'restrict' is for boolean, enum and integer columns; this one is "
     "of type text"},
    {B_("'type':'text','merge':'set'"), ERR_MODEL,
     "tables[0].columns[1].merge: 'set' is for set columns; this one is of type text"},
    {B_("'type':'set','merge':'text'"), ERR_MODEL,
     "tables[0].columns[1].merge: 'text' is for text columns; this one is of type set"},
    {B_("'type':'text','merge':'fsm'"), ERR_MODEL,
     "tables[0].columns[1].merge: 'fsm' is for enum columns; this one is of type text"},
    {B_("'type':'text','group':'g'"), ERR_MODEL,
     "tables[0].columns[1].group: the table has no group 'g'"},
    {MODEL("{'id':16,'name':'t','bucket':'company','columns':[{'id':1,'name':'a','type':'text',"
           "'group':'g','merge':'lww'}],'groups':[{'id':9,'name':'g'}]}"),
     ERR_MODEL, "tables[0].columns[0].merge: a column of a group has no merge policy of its own"},
    {TABLE("'bucket':'company','groups':[{'id':9,'name':'g','merge':'text'}]"), ERR_MODEL,
     "tables[0].groups[0].merge: 'text' is not a merge policy of a column group"},
    {TABLE("'bucket':'company','groups':[{'id':9,'name':'g'}]"), ERR_MODEL,
     "tables[0].groups[0]: no column is in group 'g'"},
    {TABLE("'bucket':'company','groups':[{'id':1,'name':'g'}]"), ERR_MODEL,
     "tables[0].groups[0].id: 1 is the id of 'a' already"},
    {TABLE("'bucket':'company','groups':[{'id':9,'name':'a'}]"), ERR_MODEL,
     "tables[0].groups[0].name: 'a' is the name of another column already"},
    {MODEL("{'id':16,'name':'t','bucket':'company','columns':[{'id':1,'name':'a','type':'text',"
           "'group':'g'}],'groups':[{'id':9,'name':'g'},{'id':8,'name':'g'}]}"),
     ERR_MODEL, "tables[0].groups[1].name: 'g' is the name of another group already"},
};

static const struct wrong symbols[] = {
    {B_("'type':'enum'"), ERR_MODEL, "tables[0].columns[1]: 'symbols' is missing"},
    {B_("'type':'enum','symbols':[]"), ERR_MODEL,
     "tables[0].columns[1].symbols: an enum has at least one symbol"},
    {B_("'type':'enum','symbols':['x','X']"), ERR_MODEL,
     "tables[0].columns[1].symbols[1]: 'X' is not a symbol: a-z first, then a-z, 0-9 and _, at "
     "most 63"},
    {B_("'type':'enum','symbols':['x','x']"), ERR_MODEL,
     "tables[0].columns[1].symbols[1]: 'x' names another symbol as well"},
    {B_("'type':'enum','symbols':['x',{'name':'y','label':{'en':'X'}}]"), ERR_MODEL,
     "tables[0].columns[1].symbols[1]: 'X' names another symbol as well"},
    {B_("'type':'enum','symbols':[{'name':'y','label':{'ru':'ДА'}},"
        "{'name':'z','label':{'ru':'да'}}]"),
     ERR_MODEL, "tables[0].columns[1].symbols[1]: 'да' names another symbol as well"},
    {B_("'type':'enum','symbols':[4]"), ERR_MODEL,
     "tables[0].columns[1].symbols[0]: must be an object, not a whole number"},
    {B_("'type':'text','symbols':['x']"), ERR_MODEL,
     "tables[0].columns[1].symbols: only for enum columns; this one is of type text"},
    {B_("'type':'enum','symbols':['x'],'ranks':{'x':1}"), ERR_MODEL,
     "tables[0].columns[1].ranks: only for columns with merge 'fsm'"},
    {STATES(""), ERR_MODEL, "tables[0].columns[0]: 'transitions' is missing"},
    {STATES(",'transitions':[]"), ERR_MODEL,
     "tables[0].columns[0]: 'ranks' is missing: who wins among concurrent states"},
    {STATES(",'transitions':['x']"), ERR_MODEL,
     "tables[0].columns[0].transitions[0]: must be an array of two symbols, from and to"},
    {STATES(",'transitions':[['x','y','x']]"), ERR_MODEL,
     "tables[0].columns[0].transitions[0]: must be an array of two symbols, from and to"},
    {STATES(",'transitions':[['x','z']]"), ERR_MODEL,
     "tables[0].columns[0].transitions[0][1]: 'z' is not a symbol of this column"},
    {STATES(",'transitions':[['x','x']]"), ERR_MODEL,
     "tables[0].columns[0].transitions[0]: leads from 'x' to itself"},
    {STATES(",'transitions':[['x','y'],['y','x'],['x','y']]"), ERR_MODEL,
     "tables[0].columns[0].transitions: 'x' to 'y' is listed twice"},
    {STATES(",'transitions':[],'ranks':[]"), ERR_MODEL,
     "tables[0].columns[0].ranks: must be an object, not an array"},
    {STATES(",'transitions':[],'ranks':{'x':1}"), ERR_MODEL,
     "tables[0].columns[0].ranks: 'y' is missing"},
    {STATES(",'transitions':[],'ranks':{'x':1,'y':65536}"), ERR_MODEL,
     "tables[0].columns[0].ranks.y: must be from 0 to 65535, not 65536"},
    {STATES(",'transitions':[],'ranks':{'x':1,'y':2,'z':3}"), ERR_MODEL,
     "tables[0].columns[0].ranks.z: there is no such key"},
};

static const struct wrong defaults[] = {
    {B_("'type':'reference','target':'user','default':'x'"), ERR_MODEL,
     "tables[0].columns[1].default: a reference column has no default"},
    {B_("'type':'boolean','default':1"), ERR_MODEL,
     "tables[0].columns[1].default: is not a value for a column of type boolean"},
    {B_("'type':'text','default':1"), ERR_MODEL,
     "tables[0].columns[1].default: 'b' is of type text; this value is of another kind"},
    {B_("'type':'integer','default':1.5"), ERR_MODEL,
     "tables[0].columns[1].default: is not a value for a column of type integer"},
    {B_("'type':'integer','max':5,'default':6"), ERR_MODEL,
     "tables[0].columns[1].default: 'b' is at most 5, not 6"},
    {B_("'type':'text','max':5,'default':'123456'"), ERR_MODEL,
     "tables[0].columns[1].default: 'b' has at most 5 bytes; this has 6"},
    {B_("'type':'date','default':'2023-02-29'"), ERR_MODEL,
     "tables[0].columns[1].default: 'b': '2023-02-29' is not a date like 2026-11-22"},
    {B_("'type':'enum','symbols':['x'],'default':'y'"), ERR_MODEL,
     "tables[0].columns[1].default: 'b': 'y' is not one of the possible values"},
    {B_("'type':'enum','symbols':['open'],'default':'opne'"), ERR_MODEL,
     "tables[0].columns[1].default: 'b': 'opne' is not one of the values; did you mean open?"},
    {B_("'type':'enum','symbols':['x'],'default':''"), ERR_MODEL,
     "tables[0].columns[1].default: is empty; leave it out"},
    {B_("'type':'text','default':null"), ERR_MODEL,
     "tables[0].columns[1].default: is not a value for a column of type text"},
    {B_("'type':'set','default':[1]"), ERR_MODEL,
     "tables[0].columns[1].default[0]: must be a text"},
    {B_("'type':'set','default':['']"), ERR_MODEL,
     "tables[0].columns[1].default: elements of a set have 1 to 1024 bytes"},
};

static const struct wrong rules[] = {
    {ROUTED(V "," B), ERR_MODEL, "tables[0].bucket.owner: 'o' is not a column of this table"},
    {MODEL("{'id':16,'name':'t','bucket':{'visibility':'v','owner':'o'},'columns':[" V "," O "]}"),
     ERR_MODEL, "tables[0].bucket: 'branch' is missing"},
    {ROUTED("{'id':2,'name':'v','type':'enum','symbols':['company','owner','branch']}," B "," O),
     ERR_MODEL,
     "tables[0].bucket.visibility: column 'v' must be an enum of company, branch, owner in this "
     "order"},
    {ROUTED("{'id':2,'name':'v','type':'text'}," B "," O), ERR_MODEL,
     "tables[0].bucket.visibility: column 'v' must be an enum of company, branch, owner in this "
     "order"},
    {ROUTED(V4 "," B "," O), ERR_MODEL,
     "tables[0].bucket.visibility: column 'v' must be an enum of company, branch, owner in this "
     "order"},
    {TEAMS(V "," B "," O "," T), ERR_MODEL,
     "tables[0].bucket.visibility: column 'v' must be an enum of company, branch, owner, team in "
     "this order"},
    {TEAMS(V4 "," B "," O), ERR_MODEL, "tables[0].bucket.team: 'm' is not a column of this table"},
    {TEAMS(V4 "," B "," O ",{'id':5,'name':'m','type':'reference','target':'user'}"), ERR_MODEL,
     "tables[0].bucket.team: column 'm' must be a reference to team"},
    {TEAMS(V4 "," B "," O ",{'id':5,'name':'m','type':'reference','target':'team','merge':'lww'}"),
     ERR_MODEL, "tables[0].columns[3].merge: the team of a routed table has the policy 'upstream'"},
    {ROUTED(V ",{'id':3,'name':'b','type':'reference','target':'user'}," O), ERR_MODEL,
     "tables[0].bucket.branch: column 'b' must be a reference to branch"},
    {ROUTED(V "," B ",{'id':4,'name':'o','type':'reference','target':'any'}"), ERR_MODEL,
     "tables[0].bucket.owner: column 'o' must be a reference to user"},
    {ROUTED(V "," B ",{'id':4,'name':'o','type':'reference','target':'user','merge':'lww'}"),
     ERR_MODEL,
     "tables[0].columns[2].merge: the owner of a routed table has the policy 'upstream'"},
    {TABLE("'bucket':'inherit'"), ERR_MODEL, "tables[0]: 'parent' is missing"},
    {TABLE("'bucket':'inherit','parent':'a'"), ERR_MODEL,
     "tables[0].parent: column 'a' must be a reference to a table"},
    {MODEL(CHAIN(16, t, any)), ERR_MODEL,
     "tables[0].parent: column 'up' must be a reference to a table"},
    {MODEL(CHAIN(16, t, t)), ERR_MODEL, "tables[0].parent: a table cannot be its own parent"},
    {MODEL(CHAIN(17, t, w) "," CHAIN(16, w, t)), ERR_MODEL,
     "tables[1].parent: the parents of 'w' lead back to it"},
    {MODEL("{'id':16,'name':'t','bucket':'inherit','parent':'up','columns':[{'id':1,'name':'up',"
           "'type':'reference','target':'branch','required':false}]}"),
     ERR_MODEL,
     "tables[0].columns[0].required: a record that inherits its bucket needs its parent"},
    {MODEL("{'id':16,'name':'t','bucket':'inherit','parent':'up','columns':[{'id':1,'name':'up',"
           "'type':'reference','target':'branch','merge':'lww'}]}"),
     ERR_MODEL,
     "tables[0].columns[0].merge: the parent that a bucket is inherited from has the policy "
     "'upstream' or 'append'"},
    {MODEL("{'id':16,'name':'t','bucket':'inherit','parent':'up','columns':[{'id':1,'name':'up',"
           "'type':'reference','target':'branch','group':'g'}],'groups':[{'id':9,'name':'g'}]}"),
     ERR_MODEL,
     "tables[0].columns[0].group: the parent that a bucket is inherited from is in no group"},
    {MODEL("{'id':16,'name':'t','bucket':'inherit','parent':'up','delete':'never','columns':["
           "{'id':1,'name':'up','type':'reference','target':'branch'}]}"),
     ERR_MODEL, "tables[0].delete: 'never' needs a parent that is never deleted; 'branch' may be"},
    {MODEL("{'id':16,'name':'t','bucket':'company','title':'n','columns':["
           "{'id':1,'name':'n','type':'integer'}]}"),
     ERR_MODEL, "tables[0].title: column 'n' must be of type text"},
};

static void check(const struct wrong *cases, size_t count)
{
    size_t failed = 0;

    for (size_t i = 0; i < count; i++) {
        struct model *model = NULL;
        struct err_info info = {.message = ""};
        enum err err = parse(cases[i].json, &model, &info);

        if (err == cases[i].err && strcmp(info.message, cases[i].message) == 0)
            continue;
        failed++;
        print_error("%s\n  gives ERR_%s \"%s\",\n  not ERR_%s \"%s\"\n", cases[i].json,
                    err_name(err), info.message, err_name(cases[i].err), cases[i].message);
        model_free(model);
    }
    assert_int_equal(failed, 0);
}

#define CHECK(what)                                    \
    static void errors_of_##what(void **state)         \
    {                                                  \
        (void)state;                                   \
        check(what, sizeof(what) / sizeof((what)[0])); \
    }
CHECK(files)
CHECK(tables)
CHECK(columns)
CHECK(policies)
CHECK(symbols)
CHECK(defaults)
CHECK(rules)

/* --- Anything at all ------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One edit: a byte or a letter changed, a run removed, or a run copied elsewhere. */
static size_t edit(uint8_t *json, size_t size, uint64_t *random)
{
    static const uint8_t likely[] = "{}[]\",:0123456789-abt\\ ";
    size_t at = next_random(random) % size, from = next_random(random) % size;
    size_t run = 1 + next_random(random) % 40;

    run = at + run > size ? size - at : run;
    switch (next_random(random) % 5) {
    case 0: json[at] = (uint8_t)next_random(random); return size;
    case 1: json[at] = likely[next_random(random) % (sizeof(likely) - 1)]; return size;
    case 2: memmove(json + at, json + at + run, size - at - run); return size - run;
    case 3:
        if (json[at] >= 'a' && json[at] <= 'z')
            json[at] = (uint8_t)('a' + next_random(random) % 26);
        return size;
    default:
        run = from + run > size ? size - from : run;
        memmove(json + at, json + from, run);
        return size;
    }
}

/* A damaged file gives a model or an error with a message; the sanitizers see the rest. */
static void damaged_files_never_crash(void **state)
{
    size_t rounds = unit_rounds(1500), models = 0;
    struct bytes original = model_builtin_json();
    uint8_t *json = malloc(original.size);
    uint64_t random = 0x5a7c4e1;

    (void)state;
    assert_non_null(json);
    for (size_t i = 0; i < rounds; i++) {
        struct model *model = NULL;
        struct err_info info = {.message = ""};
        size_t size = original.size;
        enum err err;

        memcpy(json, original.data, original.size);
        for (size_t edits = 1 + next_random(&random) % 3; edits > 0; edits--)
            size = edit(json, size, &random);
        err = model_parse(bytes_of(json, size), &model, &info);
        assert_true(err == ERR_OK || err == ERR_PARSE || err == ERR_MODEL || err == ERR_LIMIT);
        assert_true((err == ERR_OK) == (model != NULL));
        assert_true(err == ERR_OK || (info.code == err && info.message[0] != '\0'));
        models += err == ERR_OK;
        model_free(model);
    }
    assert_true(models > 0 && models < rounds);
    free(json);
}

/* Whatever a name is replaced by, the place is named and nothing is quoted without end. */
static void long_and_strange_words_are_quoted_in_part(void **state)
{
    char json[4096];
    struct model *model;
    struct err_info info;

    (void)state;
    snprintf(json, sizeof(json), MODEL("{'id':16,'name':'%01000d'}"), 0);
    assert_err(parse(json, &model, &info), ERR_MODEL);
    assert_true(strlen(info.message) < 200);
    assert_err(parse(ONE("{'id':1,'name':'a','type':'"
                         "ыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыыы'}"),
                     &model, &info),
               ERR_MODEL);
    assert_string_equal(info.message, "tables[0].columns[0].type: "
                                      "'ыыыыыыыыыыыыыыыыыыыыыыыыыыыыыы' is not a column type");
    assert_err(model_parse(bytes_of(NULL, 0), &model, NULL), ERR_PARSE); /* no info asked for */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_of_files),
        cmocka_unit_test(errors_of_tables),
        cmocka_unit_test(errors_of_columns),
        cmocka_unit_test(errors_of_policies),
        cmocka_unit_test(errors_of_symbols),
        cmocka_unit_test(errors_of_defaults),
        cmocka_unit_test(errors_of_rules),
        cmocka_unit_test(damaged_files_never_crash),
        cmocka_unit_test(long_and_strange_words_are_quoted_in_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
