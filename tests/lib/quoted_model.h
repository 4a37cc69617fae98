/* quoted_model.h - model texts inside C: with ' for ". */
#ifndef TESTS_LIB_QUOTED_MODEL_H
#define TESTS_LIB_QUOTED_MODEL_H

#include "tests/lib/unit.h"

#include "common/model.h"

#define MODEL(tables) "{'name':'m','version':1,'tables':[" tables "]}"
/* A model of one table `t` with these columns. */
#define ONE(column)   MODEL("{'id':16,'name':'t','bucket':'company','columns':[" column "]}")

/* A table without rules, and one that inherits from it. */
#define CHAIN(id, name, parent)                                                     \
    "{'id':" #id ",'name':'" #name "','bucket':'inherit','parent':'up','columns':[" \
    "{'id':1,'name':'up','type':'reference','target':'" #parent "'}]}"
#define ROOT \
    "{'id':16,'name':'root','bucket':'company','columns':[{'id':1,'name':'a','type':'text'}]}"

/* A table with something of everything. */
#define BIG_TABLE                                                                                  \
    "{'id':40,'name':'thing','label':{'en':'Thing','ru':'Вещь'},'labels':{'en':'Things'},"     \
    "'bucket':{'visibility':'seen_by','branch':'b','owner':'o'},'delete':'manual','write':'admin'" \
    ","                                                                                            \
    "'title':'name','columns':["                                                                   \
    "{'id':9,'name':'o','type':'reference','target':'user'},"                                      \
    "{'id':8,'name':'b','type':'reference','target':'branch'},"                                    \
    "{'id':7,'name':'seen_by','type':'enum','symbols':['company','branch','owner'],"               \
    "'default':'owner'},"                                                                          \
    "{'id':1,'name':'name','type':'text','required':true,'key':true,'max':10},"                    \
    "{'id':3,'name':'tags','type':'set','default':['b','a','b']},"                                 \
    "{'id':4,'name':'sum','type':'money','digits':3,'group':'worth','default':'-1.5',"             \
    "'currency_column':'cur','min':-2000,'max':5000},"                                             \
    "{'id':5,'name':'cur','type':'text','group':'worth','default':'EUR'},"                         \
    "{'id':6,'name':'state','type':'enum','merge':'fsm','symbols':['a',"                           \
    "{'name':'b','label':{'ru':'Б'}}],'transitions':[['b','a'],['a','b']],"                       \
    "'ranks':{'a':1,'b':1}},"                                                                      \
    "{'id':10,'name':'live','type':'boolean','default':true},"                                     \
    "{'id':11,'name':'ratio','type':'real','default':1},"                                          \
    "{'id':12,'name':'day','type':'date','default':'2024-02-29'}"                                  \
    "],'groups':[{'id':2,'name':'worth','merge':'manual','label':{'en':'Worth'}}]}"

/* Parses a model text with ' for ". */
static inline enum err parse(const char *quoted, struct model **ret_model, struct err_info *info)
{
    size_t size = strlen(quoted);
    char *json = malloc(size + 1);
    enum err err;

    assert_non_null(json);
    for (size_t i = 0; i <= size; i++)
        json[i] = quoted[i] == '\'' ? '"' : quoted[i];
    err = model_parse(bytes_of(json, size), ret_model, info);
    free(json);
    return err;
}

static inline struct model *parsed(const char *quoted)
{
    struct model *model;
    struct err_info info;
    enum err err = parse(quoted, &model, &info);

    if (err != ERR_OK)
        fail_msg("ERR_%s: %s", err_name(err), info.message);
    return model;
}

#endif
