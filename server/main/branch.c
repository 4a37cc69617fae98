/* satcheld branch - the branches of the company. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/main/ask.h"
#include "server/main/command.h"
#include "server/main/table.h"
#include "server/main/ticket.h"

struct branch {
    struct common_options common;
    const char *city, *parent, *host;
    int64_t minutes;
};

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

static int add_branch(const struct branch *with, const char *name)
{
    json_t *request = ask_for("branch-add"), *answer = NULL;
    ask_with(request, "name", name);
    ask_with(request, "city", with->city);
    ask_with(request, "parent", with->parent);
    int code = ask_once(&with->common, request, true, &answer);
    if (code == EXIT_DONE && with->common.json)
        print_json(answer);
    else if (code == EXIT_DONE)
        printf("Branch %s added. For a server of its own: satcheld branch ticket '%s' --data %s\n",
               name, name, data_of(&with->common));
    json_decref(answer);
    return code;
}

static const json_t *user_of(const json_t *users, const char *login)
{
    const json_t *user;
    size_t i;
    json_array_foreach(users, i, user)
    {
        const char *own = json_string_value(json_object_get(user, "login"));
        if (own && strcmp(own, login) == 0)
            return user;
    }
    return NULL;
}

/* The user that the branch's server is: made if there is none. */
static enum err need_user(struct house *house, const char *branch, const char *login,
                          struct err_info *info)
{
    json_t *answer = NULL, *request = NULL;
    enum err e = ask(house, ask_for("user-list"), false, &answer, NULL, info);
    const json_t *user = user_of(json_object_get(answer, "users"), login);
    const char *role = json_string_value(json_object_get(user, "role"));
    const char *at = json_string_value(json_object_get(user, "branch"));
    if (e == ERR_OK && user && (!role || strcmp(role, "branch") != 0 || !at || strcmp(at, branch)))
        e = err_set(info, ERR_EXISTS, "there is a user '%s' who is not the server of branch %s",
                    login, branch);
    json_decref(answer);
    if (e != ERR_OK || user)
        return e;
    char name[300];
    (void)snprintf(name, sizeof name, "Server of %s", branch);
    request = ask_for("user-add");
    ask_with(request, "login", login);
    ask_with(request, "name", name);
    ask_with(request, "role", "branch");
    ask_with(request, "branch", branch);
    answer = NULL;
    e = ask(house, request, true, &answer, NULL, info);
    json_decref(answer);
    return e;
}

static void print_ticket(const struct branch *with, const char *branch, const struct ticket *ticket)
{
    char when[WHEN_SIZE];
    if (with->common.json) {
        json_t *answer = json_pack("{s:b,s:s,s:s,s:I}", "ok", 1, "branch", branch, "ticket",
                                   ticket->text, "expires_ms", (json_int_t)ticket->expires_ms);
        print_json(answer);
        json_decref(answer);
        return;
    }
    printf("A ticket for the server of branch %s, good once, until %s UTC:\n\n  %s\n\n"
           "On its machine: satcheld init --upstream '%s' --host HOST --data DIR\n"
           "                satcheld run --data DIR\n",
           branch, when_text(ticket->expires_ms, when), ticket->text, ticket->text);
}

static int make_ticket(const struct branch *with, const char *branch)
{
    struct house house;
    struct err_info info = {0};
    struct ticket ticket = {0};
    char login[128];
    enum err e = house_init(&house, data_of(&with->common), &info);
    if (e == ERR_OK && snprintf(login, sizeof login, "server-%s", branch) >= (int)sizeof login)
        e = err_set(&info, ERR_INVALID, "the name of the branch is too long for a login");
    if (e == ERR_OK)
        e = need_user(&house, branch, login, &info);
    if (e == ERR_OK)
        e = ticket_make(&house, login, NULL, with->minutes, with->host, &ticket, &info);
    if (e == ERR_OK)
        print_ticket(with, branch, &ticket);
    free(ticket.text);
    house_close(&house);
    return e == ERR_OK ? EXIT_DONE : tell_failure(&with->common, e, &info);
}

int command_branch(int argc, char **argv)
{
    struct branch with = {.minutes = 60};
    const char *words[2];
    const struct option options[] = {
        OPTIONS_COMMON(&with.common),
        {"city", OPTION_TEXT, &with.city, "CITY", "where it is (add)", 0, 0},
        {"parent", OPTION_TEXT, &with.parent, "BRANCH", "the branch that it belongs to (add)", 0,
         0},
        {"minutes", OPTION_NUMBER, &with.minutes, "N", "how long the ticket is good (60)", 1,
         TICKET_MINUTES_MAX},
        {"host", OPTION_TEXT, &with.host, "HOST[:PORT]",
         "how the branch reaches this server (ticket)", 0, 0},
    };
    const struct usage usage = {"satcheld branch",
                                "add NAME | ticket NAME | list",
                                "Adds a branch, or lists them. People belong to branches and see "
                                "what is the branch's.\n"
                                "A ticket is for a branch that has a server of its own: with it\n"
                                "'satcheld init --upstream' enrols that one.",
                                "  satcheld branch add Kazan --city Kazan\n"
                                "  satcheld branch ticket Kazan --host hq.acme.example\n"
                                "  satcheld branch list",
                                options,
                                sizeof options / sizeof *options,
                                1,
                                2};
    int code = options_parse(&usage, argc, argv, words);
    if (code != OPTIONS_GO_ON)
        return code;
    if (strcmp(words[0], "list") == 0 && !words[1])
        return list_branches(&with.common);
    if (strcmp(words[0], "add") == 0 && words[1])
        return add_branch(&with, words[1]);
    if (strcmp(words[0], "ticket") == 0 && words[1])
        return make_ticket(&with, words[1]);
    fputs("satcheld branch: say 'add NAME', 'ticket NAME' or 'list'\n"
          "Try 'satcheld branch --help'.\n",
          stderr);
    return EXIT_USAGE;
}
