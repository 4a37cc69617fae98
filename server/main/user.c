/* satcheld user - the people who use the customer file. */
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "server/main/ask.h"
#include "server/main/command.h"
#include "server/main/table.h"

struct user {
    struct common_options common;
    const char *name, *branch, *role, *email, *phone, *title, *active, *until;
    bool end;
};

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static int list_users(const struct common_options *common)
{
    static const char *const headings[] = {"Login",  "Name",  "Role",
                                           "Branch", "State", "Substitute"};
    json_t *answer = NULL, *user;
    size_t i;
    int code = ask_once(common, ask_for("user-list"), false, &answer);
    if (code != EXIT_DONE)
        return code;
    if (common->json) {
        print_json(answer);
    } else {
        struct table table;
        table_init(&table, 6, headings);
        json_array_foreach(json_object_get(answer, "users"), i, user)
        {
            table_cell(&table, text_of(user, "login"));
            table_cell(&table, text_of(user, "name"));
            table_cell(&table, text_of(user, "role"));
            table_cell(&table, text_of(user, "branch"));
            table_cell(&table,
                       json_is_true(json_object_get(user, "active")) ? "active" : "locked out");
            char substitute[200] = "", when[WHEN_SIZE];
            if (text_of(user, "substitute"))
                snprintf(substitute, sizeof substitute, "%s until %s", text_of(user, "substitute"),
                         when_text(json_integer_value(json_object_get(user, "substitute_until_ms")),
                                   when));
            table_cell(&table, substitute);
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

/* A day counts to its end; without a time zone: UTC. */
static bool parse_until(const char *text, int64_t *ret_ms)
{
    enum { DAY_MS = 24 * 3600 * 1000 };
    int32_t days;
    if (text_parse_date(bytes_of_text(text), &days) == ERR_OK) {
        *ret_ms = ((int64_t)days + 1) * DAY_MS;
        return true;
    }
    return text_parse_instant(bytes_of_text(text), ret_ms) == ERR_OK;
}

static int substitute(const struct user *user, const char *login, const char *by)
{
    json_t *request = ask_for("user-substitute"), *answer = NULL;
    char when[WHEN_SIZE];
    int64_t until_ms = 0;
    if (by && !parse_until(user->until, &until_ms)) {
        json_decref(request);
        fprintf(stderr,
                "satcheld user: '%s' is not a day (2026-12-24) or a moment "
                "(2026-12-24T18:00+04:00)\n",
                user->until);
        return EXIT_USAGE;
    }
    ask_with(request, "login", login);
    ask_with(request, "by", by);
    if (by)
        json_object_set_new(request, "until_ms", json_integer((json_int_t)until_ms));
    int code = ask_once(&user->common, request, true, &answer);
    if (code == EXIT_DONE && user->common.json)
        print_json(answer);
    else if (code == EXIT_DONE && by)
        printf("%s stands in for %s until %s UTC.\n", by, login, when_text(until_ms, when));
    else if (code == EXIT_DONE)
        printf("Nobody stands in for %s any more.\n", login);
    json_decref(answer);
    return code;
}

static int mistaken(void)
{
    fputs("satcheld user: say 'add LOGIN', 'set LOGIN', 'substitute LOGIN BY --until DATE',\n"
          "'substitute LOGIN --end' or 'list'; --active is yes or no\n"
          "Try 'satcheld user --help'.\n",
          stderr);
    return EXIT_USAGE;
}

int command_user(int argc, char **argv)
{
    struct user user = {0};
    const char *words[3];
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
        {"until", OPTION_TEXT, &user.until, "DATE",
         "the last day, or a moment: 2026-12-24T18:00+04:00 (substitute)", 0, 0},
        {"end", OPTION_FLAG, &user.end, NULL, "at once (substitute)", 0, 0},
    };
    const struct usage usage = {"satcheld user",
                                "add LOGIN | set LOGIN | substitute LOGIN BY | list",
                                "Adds a user, changes what is named of one, or lists them.\n"
                                "A substitute sees for a time what is the person's own and the "
                                "person's teams', and\n"
                                "may write it as the person may. What was written offline before "
                                "the end counts if it\n"
                                "arrives within 14 days.",
                                "  satcheld user add anna --name 'Anna Petrova' --branch Kazan\n"
                                "  satcheld user set anna --role manager\n"
                                "  satcheld user substitute anna boris --until 2026-12-24\n"
                                "  satcheld user substitute anna --end\n  satcheld user list",
                                options,
                                sizeof options / sizeof *options,
                                1,
                                3};
    int code = options_parse(&usage, argc, argv, words);
    if (code != OPTIONS_GO_ON)
        return code;
    bool add = strcmp(words[0], "add") == 0;
    if (strcmp(words[0], "list") == 0 && !words[1])
        return list_users(&user.common);
    if (strcmp(words[0], "substitute") == 0 && words[1] && user.end != (words[2] != NULL) &&
        user.end == !user.until)
        return substitute(&user, words[1], words[2]);
    if ((!add && strcmp(words[0], "set") != 0) || !words[1] || words[2] || user.until || user.end ||
        (user.active && strcmp(user.active, "yes") != 0 && strcmp(user.active, "no") != 0))
        return mistaken();
    return change(&user, add, words[1]);
}
