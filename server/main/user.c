/* satcheld user - the people who use the customer file. */
#include <stdio.h>
#include <string.h>

#include "server/main/ask.h"
#include "server/main/command.h"
#include "server/main/table.h"

struct user {
    struct common_options common;
    const char *name, *branch, *role, *email, *phone, *title, *active;
};

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static int list_users(const struct common_options *common)
{
    static const char *const headings[] = {"Login", "Name", "Role", "Branch", "State"};
    json_t *answer = NULL, *user;
    size_t i;
    int code = ask_once(common, ask_for("user-list"), false, &answer);
    if (code != EXIT_DONE)
        return code;
    if (common->json) {
        print_json(answer);
    } else {
        struct table table;
        table_init(&table, 5, headings);
        json_array_foreach(json_object_get(answer, "users"), i, user)
        {
            table_cell(&table, text_of(user, "login"));
            table_cell(&table, text_of(user, "name"));
            table_cell(&table, text_of(user, "role"));
            table_cell(&table, text_of(user, "branch"));
            table_cell(&table,
                       json_is_true(json_object_get(user, "active")) ? "active" : "locked out");
        }
        table_print(&table, "There are no users yet: satcheld user add LOGIN --role admin");
    }
    json_decref(answer);
    return EXIT_DONE;
}

static int change(const struct user *user, bool add, const char *login)
{
    json_t *request = ask_for(add ? "user-add" : "user-set"), *answer = NULL;
    ask_with(request, "login", login);
    ask_with(request, "name", user->name);
    ask_with(request, "branch", user->branch);
    ask_with(request, "role", user->role);
    ask_with(request, "email", user->email);
    ask_with(request, "phone", user->phone);
    ask_with(request, "title", user->title);
    if (user->active)
        json_object_set_new(request, "active", json_boolean(strcmp(user->active, "yes") == 0));
    int code = ask_once(&user->common, request, true, &answer);
    if (code == EXIT_DONE && user->common.json)
        print_json(answer);
    else if (code == EXIT_DONE && add)
        printf("User %s added. A device is enrolled with: satcheld enroll %s --data %s\n", login,
               login, data_of(&user->common));
    else if (code == EXIT_DONE)
        printf("User %s changed.\n", login);
    json_decref(answer);
    return code;
}

int command_user(int argc, char **argv)
{
    struct user user = {0};
    const char *words[2];
    const struct option options[] = {
        OPTIONS_COMMON(&user.common),
        {"name", OPTION_TEXT, &user.name, "NAME", "full name", 0, 0},
        {"branch", OPTION_TEXT, &user.branch, "BRANCH", "by the branch's name", 0, 0},
        {"role", OPTION_TEXT, &user.role, "ROLE",
         "rep (own and the branch's customers; default), manager, admin, none", 0, 0},
        {"email", OPTION_TEXT, &user.email, "ADDRESS", "e-mail", 0, 0},
        {"phone", OPTION_TEXT, &user.phone, "NUMBER", "phone", 0, 0},
        {"title", OPTION_TEXT, &user.title, "TITLE", "position", 0, 0},
        {"active", OPTION_TEXT, &user.active, "yes|no", "no: locked out (set)", 0, 0},
    };
    const struct usage usage = {"satcheld user",
                                "add LOGIN | set LOGIN | list",
                                "Adds a user, changes what is named of one, or lists them.",
                                "  satcheld user add anna --name 'Anna Petrova' --branch Kazan\n"
                                "  satcheld user set anna --role manager\n  satcheld user list",
                                options,
                                sizeof options / sizeof *options,
                                1,
                                2};
    int code = options_parse(&usage, argc, argv, words);
    if (code != OPTIONS_GO_ON)
        return code;
    bool add = strcmp(words[0], "add") == 0;
    if (strcmp(words[0], "list") == 0 && !words[1])
        return list_users(&user.common);
    if ((!add && strcmp(words[0], "set") != 0) || !words[1] ||
        (user.active && strcmp(user.active, "yes") != 0 && strcmp(user.active, "no") != 0)) {
        fputs("satcheld user: say 'add LOGIN', 'set LOGIN' or 'list'; --active is yes or no\n"
              "Try 'satcheld user --help'.\n",
              stderr);
        return EXIT_USAGE;
    }
    return change(&user, add, words[1]);
}
