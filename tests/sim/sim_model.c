#include "tests/sim/sim_model.h"

#include <stdlib.h>
#include <string.h>

#define COLUMN(id, name, type) "{\"id\":" #id ",\"name\":\"" #name "\",\"type\":\"" #type "\""
#define MERGE(policy)          ",\"merge\":\"" #policy "\""
#define REQUIRED               ",\"required\":true"

const char sim_model_json[] =
    "{\"name\":\"sim\",\"version\":1,\"tables\":["
    "{\"id\":16,\"name\":\"account\",\"delete\":\"revives\",\"title\":\"name\","
    "\"bucket\":{\"visibility\":\"visibility\",\"branch\":\"branch\",\"owner\":\"owner\"},"
    "\"columns\":[" COLUMN(1, name, text) REQUIRED
    "}," COLUMN(2, phone, text) "}," COLUMN(3, motto, text) MERGE(first) "}," COLUMN(
        4, choice, text) MERGE(manual) "}," COLUMN(5, high, integer)
        MERGE(max) "}," COLUMN(6, low, integer) MERGE(min) "}," COLUMN(7, stop, boolean) MERGE(
            restrict) ",\"default\":false}," COLUMN(8, points, integer)
            MERGE(counter) "}," COLUMN(9, tags, set) "}," COLUMN(10, remarks, text) MERGE(
                text) "}," COLUMN(11, stage, enum)
                MERGE(fsm) ",\"default\":\"draft\","
                           "\"symbols\":[\"draft\",\"sent\",\"paid\",\"lost\"],"
                           "\"transitions\":[[\"draft\",\"sent\"],[\"draft\",\"paid\"],[\"draft\","
                           "\"lost\"],"
                           "[\"sent\",\"draft\"],[\"sent\",\"paid\"],[\"sent\",\"lost\"],[\"paid\","
                           "\"sent\"],"
                           "[\"lost\",\"draft\"]],\"ranks\":{\"draft\":0,\"sent\":1,\"paid\":2,"
                           "\"lost\":2}}," COLUMN(12, price, integer) MERGE(upstream) "}," COLUMN(13, street, text) ",\"group\":\"address\"}," COLUMN(14, town, text) ",\"group\":\"address\"}," COLUMN(
                               15, visibility,
                               enum) ",\"required\":true,\"default\":\"company\","
                                     "\"symbols\":[\"company\",\"branch\","
                                     "\"owner\"]}," COLUMN(
                                         16, branch,
                                         reference) ",\"target\":\"branch\"}," COLUMN(17,
                                                                                      owner, reference) ",\"target\":\"user\"}," COLUMN(18, made, text)
                                         MERGE(
                                             append) "}],"
                                                     "\"groups\":[{\"id\":200,"
                                                     "\"name\":\"address\","
                                                     "\"merge\":\"lww\"}]},"
                                                     "{\"id\":17,\"name\":\"line\","
                                                     "\"delete\":\"wins\","
                                                     "\"bucket\":\"inherit\","
                                                     "\"parent\":\"account\","
                                                     "\"columns\":[" COLUMN(1, account, reference) ",\"target\":\"account\",\"required\":true}," COLUMN(
                                                         2, what, text) "}," COLUMN(3, quantity,
                                                                                    integer)
                                                         MERGE(counter) "}]},"
                                                                        "{\"id\":18,"
                                                                        "\"name\":"
                                                                        "\"twin\","
                                                                        "\"delete\":"
                                                                        "\"never\","
                                                                        "\"bucket\":"
                                                                        "\"company\","
                                                                        "\"columns\":"
                                                                        "[" COLUMN(1, token, text)
                                                                            REQUIRED
    "}]},"
    "{\"id\":19,\"name\":\"journal\",\"delete\":\"never\",\"bucket\":\"company\",\"columns\":"
    "[" COLUMN(1, text, text) MERGE(append) REQUIRED
    "}]},"
    "{\"id\":20,\"name\":\"memo\",\"delete\":\"manual\",\"bucket\":\"company\",\"columns\":"
    "[" COLUMN(1, body, text) "}," COLUMN(2, visits, integer) MERGE(
        counter) "}]},"
                 "{\"id\":21,\"name\":\"tariff\",\"delete\":\"revives\",\"bucket\":"
                 "\"company\",\"write\":\"manager\","
                 "\"columns\":[" COLUMN(
                     1, label, text) "}]},"
                                     "{\"id\":22,\"name\":\"photo\",\"delete\":\"wins\",\"bucket\":"
                                     "\"inherit\","
                                     "\"parent\":\"account\",\"columns\":[" COLUMN(
                                         1, account,
                                         reference) ",\"target\":"
                                                    "\"account\",\"required\":true}," COLUMN(
                                                        2, what, text) "}," COLUMN(3, picture, blob)
                                                        MERGE(append) "}]}]}";

/* Each place occurs once. */
static const struct {
    const char *at, *also;
} of_teams[] = {
    {"\"owner\":\"owner\"", ",\"team\":\"team\""},
    {"\"company\",\"branch\",\"owner\"", ",\"team\""},
    {"\"name\":\"made\",\"type\":\"text\",\"merge\":\"append\"}",
     "," COLUMN(19, team, reference) ",\"target\":\"team\"}"},
};

char *sim_model_with_teams(void)
{
    char *text = malloc(sizeof sim_model_json + 200), *from;
    if (!text)
        abort();
    memcpy(text, sim_model_json, sizeof sim_model_json);
    for (size_t i = 0; i < sizeof of_teams / sizeof *of_teams; i++) {
        size_t size = strlen(of_teams[i].also);
        from = strstr(text, of_teams[i].at);
        if (!from || strstr(from + 1, of_teams[i].at))
            abort();
        from += strlen(of_teams[i].at);
        memmove(from + size, from, strlen(from) + 1);
        memcpy(from, of_teams[i].also, size);
    }
    return text;
}
