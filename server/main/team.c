/* satcheld team - named lists of people who see the same customers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "server/main/ask.h"
#include "server/main/command.h"
#include "server/main/table.h"

struct teams {
    struct common_options common;
    const char *branch;
};

static void join_logins(const json_t *members, char *out, size_t size)
{
    const json_t *login;
    size_t i, at = 0;
    out[0] = 0;
    json_array_foreach(members, i, login)
    {
        int added = snprintf(out + at, size - at, "%s%s", i ? ", " : "", json_string_value(login));
        at += added > 0 ? (size_t)added : 0;
        if (at >= size)
            return; /* cut: --json has them all */
    }
}

static int list_teams(const struct common_options *common)
{
    static const char *const headings[] = {"Team", "Branch", "Records", "Members"};
    json_t *answer = NULL, *team;
    size_t i;
    int code = ask_once(common, ask_for("team-list"), false, &answer);
    if (code != EXIT_DONE)
        return code;
    if (common->json) {
        print_json(answer);
    } else {
        struct table table;
        table_init(&table, 4, headings);
        json_array_foreach(json_object_get(answer, "teams"), i, team)
        {
            char records[32], members[200];
            snprintf(records, sizeof records, "%" JSON_INTEGER_FORMAT,
                     json_integer_value(json_object_get(team, "records")));
            join_logins(json_object_get(team, "members"), members, sizeof members);
            table_cell(&table, json_string_value(json_object_get(team, "name")));
            table_cell(&table, json_string_value(json_object_get(team, "branch")));
            table_cell(&table, records);
            table_cell(&table, members);
        }
        table_print(&table, "There are no teams yet: satcheld team add NAME");
    }
    json_decref(answer);
    return EXIT_DONE;
}

static int add_team(const struct teams *with, const char *name)
{
    json_t *request = ask_for("team-add"), *answer = NULL;
    ask_with(request, "name", name);
    ask_with(request, "branch", with->branch);
    int code = ask_once(&with->common, request, true, &answer);
    if (code == EXIT_DONE && with->common.json)
        print_json(answer);
    else if (code == EXIT_DONE)
        printf("Team %s added. People join it with: satcheld team join '%s' LOGIN --data %s\n",
               name, name, data_of(&with->common));
    json_decref(answer);
    return code;
}

static void tell_left(const char *team, const char *login, const json_t *answer)
{
    json_int_t owns = json_integer_value(json_object_get(answer, "owns"));
    printf("%s has left %s.\n", login, team);
    if (owns > 0)
        printf(
            "%s still owns %" JSON_INTEGER_FORMAT
            " records that only the team sees, and does not see them any more: a manager or an\n"
            "administrator gives them to somebody of the team (satchel handover, satchel set).\n",
            login, owns);
}

/* join, leave or remove. */
static int change(const struct teams *with, const char *what, const char *team, const char *login)
{
    char command[20];
    (void)snprintf(command, sizeof command, "team-%s", what);
    json_t *request = ask_for(command), *answer = NULL;
    ask_with(request, "team", team);
    ask_with(request, "login", login);
    int code = ask_once(&with->common, request, true, &answer);
    if (code == EXIT_DONE && with->common.json)
        print_json(answer);
    else if (code == EXIT_DONE && strcmp(what, "leave") == 0)
        tell_left(team, login, answer);
    else if (code == EXIT_DONE && login)
        printf("%s is of %s now.\n", login, team);
    else if (code == EXIT_DONE)
        printf("Team %s removed.\n", team);
    json_decref(answer);
    return code;
}

static int mistaken(void)
{
    fputs("satcheld team: say 'add NAME', 'join TEAM LOGIN', 'leave TEAM LOGIN', 'remove TEAM' or "
          "'list'\nTry 'satcheld team --help'.\n",
          stderr);
    return EXIT_USAGE;
}

int command_team(int argc, char **argv)
{
    struct teams with = {0};
    const char *words[3];
    const struct option options[] = {
        OPTIONS_COMMON(&with.common),
        {"branch", OPTION_TEXT, &with.branch, "BRANCH",
         "whose managers see what is the team's (add)", 0, 0},
    };
    const struct usage usage = {
        "satcheld team",
        "add NAME | join TEAM LOGIN | leave TEAM LOGIN | remove TEAM | list",
        "Keeps the teams: named lists of people. A record with visibility=team is seen by the "
        "people\n"
        "of its team, wherever they are, and by nobody else but the managers of the team's branch\n"
        "and administrators; its owner has to be one of these. Who leaves a team keeps nothing of "
        "it\n"
        "after the next sync. A team is removed when no record is its alone.",
        "  satcheld team add 'Key accounts' --branch Kazan\n"
        "  satcheld team join 'Key accounts' anna\n"
        "  satcheld team list",
        options,
        sizeof options / sizeof *options,
        1,
        3};
    int code = options_parse(&usage, argc, argv, words);
    if (code != OPTIONS_GO_ON)
        return code;
    const char *what = words[0];
    bool add = strcmp(what, "add") == 0;
    if (with.branch && !add)
        return mistaken();
    if (strcmp(what, "list") == 0 && !words[1])
        return list_teams(&with.common);
    if (add && words[1] && !words[2])
        return add_team(&with, words[1]);
    if ((strcmp(what, "join") == 0 || strcmp(what, "leave") == 0) && words[2])
        return change(&with, what, words[1], words[2]);
    if (strcmp(what, "remove") == 0 && words[1] && !words[2])
        return change(&with, what, words[1], NULL);
    return mistaken();
}
