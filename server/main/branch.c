/* satcheld branch - the branches of the company. */
#include <stdio.h>
#include <string.h>

#include "server/main/ask.h"
#include "server/main/command.h"
#include "server/main/table.h"

static int list_branches(const struct common_options *common)
{
    static const char *const headings[] = {"Branch", "City", "Id"};
    json_t *answer = NULL, *branch;
    size_t i;
    int code = ask_once(common, ask_for("branch-list"), false, &answer);
    if (code != EXIT_DONE)
        return code;
    if (common->json) {
        print_json(answer);
    } else {
        struct table table;
        table_init(&table, 3, headings);
        json_array_foreach(json_object_get(answer, "branches"), i, branch)
        {
            table_cell(&table, json_string_value(json_object_get(branch, "name")));
            table_cell(&table, json_string_value(json_object_get(branch, "city")));
            table_cell(&table, json_string_value(json_object_get(branch, "id")));
        }
        table_print(&table, "There are no branches yet: satcheld branch add NAME");
    }
    json_decref(answer);
    return EXIT_DONE;
}

int command_branch(int argc, char **argv)
{
    struct common_options common = {0};
    const char *city = NULL, *words[2];
    const struct option options[] = {
        OPTIONS_COMMON(&common),
        {"city", OPTION_TEXT, &city, "CITY", "where it is (add)", 0, 0},
    };
    const struct usage usage = {"satcheld branch",
                                "add NAME | list",
                                "Adds a branch, or lists them. People belong to branches and see "
                                "what is the branch's.",
                                "  satcheld branch add Kazan --city Kazan\n  satcheld branch list",
                                options,
                                sizeof options / sizeof *options,
                                1,
                                2};
    int code = options_parse(&usage, argc, argv, words);
    if (code != OPTIONS_GO_ON)
        return code;
    if (strcmp(words[0], "list") == 0 && !words[1])
        return list_branches(&common);
    if (strcmp(words[0], "add") != 0 || !words[1]) {
        fputs("satcheld branch: say 'add NAME' or 'list'\nTry 'satcheld branch --help'.\n", stderr);
        return EXIT_USAGE;
    }
    json_t *request = ask_for("branch-add"), *answer = NULL;
    ask_with(request, "name", words[1]);
    ask_with(request, "city", city);
    code = ask_once(&common, request, true, &answer);
    if (code == EXIT_DONE && common.json)
        print_json(answer);
    else if (code == EXIT_DONE)
        printf("Branch %s added.\n", words[1]);
    json_decref(answer);
    return code;
}
