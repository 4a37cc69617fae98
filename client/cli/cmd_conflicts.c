/* cmd_conflicts.c - satchel conflicts: original, theirs, yours; taking a candidate back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "term.h"

struct telling {
    struct cli *cli;
    struct table out;
    json_t *json;
    uint64_t count, open;
};

static const char *state_name(enum satchel_conflict_state state)
{
    static const char *const names[] = {"open", "automatic", "settled"};
    return names[state];
}

static const char *state_text(enum satchel_conflict_state state)
{
    static const char *const texts[] = {"to decide", "merged for you", "settled"};
    return texts[state];
}

static json_t *conflict_json(const struct satchel_conflict *conflict)
{
    json_t *json = json_object(), *candidates = json_array();
    json_object_set_new(json, "id", cli_json_id(&conflict->id));
    json_object_set_new(json, "table", json_string(conflict->table ? conflict->table->name : ""));
    json_object_set_new(json, "record", cli_json_id(&conflict->record));
    json_object_set_new(json, "title", json_string(conflict->record_title));
    json_object_set_new(json, "field", json_string(conflict->unit));
    json_object_set_new(json, "policy", json_string(conflict->policy));
    json_object_set_new(json, "state", json_string(state_name(conflict->state)));
    json_object_set_new(json, "about_delete", json_boolean(conflict->about_delete));
    json_object_set_new(json, "at", cli_json_time(conflict->at_ms));
    json_object_set_new(json, "settled_at", cli_json_time(conflict->settled_at_ms));
    json_object_set_new(json, "shown", json_string(conflict->shown_text));
    json_object_set_new(json, "original", json_string(conflict->base_text));
    for (size_t i = 0; i < conflict->candidate_count; i++) {
        const struct satchel_candidate *candidate = &conflict->candidates[i];
        json_t *one = json_object();
        json_object_set_new(one, "number", json_integer((json_int_t)i + 1));
        json_object_set_new(one, "text", json_string(candidate->text));
        json_object_set_new(one, "author", cli_json_author(&candidate->author));
        json_object_set_new(one, "deletes", json_boolean(candidate->deletes));
        json_object_set_new(one, "shown", json_boolean(candidate->shown));
        json_object_set_new(one, "cut", json_boolean(candidate->cut));
        json_array_append_new(candidates, one);
    }
    json_object_set_new(json, "candidates", candidates);
    return json;
}

static int on_listed(void *context, const struct satchel_conflict *conflict)
{
    struct telling *telling = context;
    char id[SATCHEL_ID_TEXT_SIZE], at[32];
    telling->count++;
    telling->open += conflict->state == SATCHEL_CONFLICT_OPEN;
    if (telling->cli->json) {
        json_array_append_new(telling->json, conflict_json(conflict));
        return 0;
    }
    satchel_id_format(&conflict->id, id);
    cli_time(conflict->at_ms, at);
    table_cell(&telling->out, state_text(conflict->state));
    table_cell(&telling->out, conflict->record_title);
    table_cell(&telling->out,
               conflict->unit[0] ? conflict->unit_label.text[SATCHEL_EN] : "the record itself");
    table_cell(&telling->out, conflict->shown_text);
    table_cell(&telling->out, at);
    table_cell(&telling->out, id);
    return 0;
}

static void print_candidate(struct cli *cli, const struct satchel_candidate *candidate,
                            size_t number)
{
    char *author = cli_author(&candidate->author), at[32];
    cli_time(candidate->author.at_ms, at);
    printf("  %zu  %-8s %s%s%s%s\n", number, candidate->author.own ? "yours" : "theirs",
           candidate->shown ? cli_style(cli, STYLE_GREEN) : "",
           candidate->deletes ? "(delete)" : candidate->text,
           candidate->shown ? cli_plain(cli) : "",
           candidate->cut ? " (cut: too long for the record of the conflict)" : "");
    printf("              %s%s, %s%s%s\n", cli_style(cli, STYLE_DIM), author, at,
           candidate->shown ? "  <- shown now" : "", cli_plain(cli));
    free(author);
}

static int on_shown(void *context, const struct satchel_conflict *conflict)
{
    struct telling *telling = context;
    struct cli *cli = telling->cli;
    telling->count++;
    if (cli->json) {
        cli_print_json(conflict_json(conflict));
        return 0;
    }
    char id[SATCHEL_ID_TEXT_SIZE], at[32];
    satchel_id_format(&conflict->id, id);
    cli_time(conflict->at_ms, at);
    printf("%s%s: %s%s  (%s, %s)\n", cli_style(cli, STYLE_BOLD), conflict->record_title,
           conflict->unit[0] ? conflict->unit_label.text[SATCHEL_EN]
                             : "deleted by one, changed by "
                               "another",
           cli_plain(cli), state_text(conflict->state), at);
    printf("     original %s\n", conflict->base_text[0] ? conflict->base_text : "(not known)");
    for (size_t i = 0; i < conflict->candidate_count; i++)
        print_candidate(cli, &conflict->candidates[i], i + 1);
    if (conflict->state != SATCHEL_CONFLICT_SETTLED)
        cli_say(cli, "'satchel conflicts take %s N' takes candidate N", id);
    return 0;
}

static int take(struct cli *cli, const char *id_text, const char *number)
{
    struct satchel_id id;
    char *end;
    unsigned long n = strtoul(number, &end, 10);
    if (n == 0 || *end != '\0')
        return args_wrong(cli, &command_conflicts, "'%s' is no number of a candidate", number);
    int failed = cli_open(cli, false);
    if (failed)
        return failed;
    if (satchel_resolve(cli->handle, "conflict", id_text, &id) != SATCHEL_OK ||
        satchel_conflict_take(cli->handle, &id, (size_t)n - 1) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json)
        cli_print_json(
            json_pack("{s:o, s:I}", "settled", cli_json_id(&id), "candidate", (json_int_t)n));
    else
        cli_say(cli, "taken; saved here, and sent with the next exchange");
    return EXIT_DONE;
}

static int show(struct cli *cli, const char *id_text)
{
    struct telling telling = {.cli = cli};
    struct satchel_id id;
    int failed = cli_open(cli, true);
    if (failed)
        return failed;
    if (satchel_resolve(cli->handle, "conflict", id_text, &id) != SATCHEL_OK)
        return cli_failed(cli);
    struct satchel_conflict_query query = {.id = &id, .with_settled = true};
    if (satchel_conflicts(cli->handle, &query, on_shown, &telling) != SATCHEL_OK)
        return cli_failed(cli);
    return telling.count > 0 ? EXIT_DONE
                             : cli_failf(cli, EXIT_NOT_FOUND, "there is no conflict %s", id_text);
}

static int list(struct cli *cli, const struct satchel_conflict_query *query)
{
    static const char *const headings[] = {"state", "record", "field", "shown", "when", "id"};
    struct telling telling = {.cli = cli};
    int failed = cli_open(cli, true);
    if (failed)
        return failed;
    if (cli->json) {
        telling.json = json_array();
    } else {
        table_begin(&telling.out, 6);
        for (size_t i = 0; i < 6; i++)
            table_heading(&telling.out, i, headings[i], false);
    }
    if (satchel_conflicts(cli->handle, query, on_listed, &telling) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json) {
        cli_print_json(telling.json);
    } else if (telling.count == 0) {
        cli_say(cli, "no conflicts");
    } else {
        table_end(&telling.out, cli);
        cli_say(cli, "'satchel conflicts ID' shows original, theirs and yours");
    }
    return EXIT_DONE;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct satchel_conflict_query query = {0};
    const struct option options[] = {{"open", OPTION_FLAG, &query.open_only},
                                     {"settled", OPTION_FLAG, &query.with_settled},
                                     {"limit", OPTION_NUMBER, &query.limit}};
    int failed = args_parse(cli, &command_conflicts, options, 3, &argc, argv, 0, 3);
    if (failed)
        return failed;
    if (argc == 3 && strcmp(argv[0], "take") == 0)
        return take(cli, argv[1], argv[2]);
    if (argc > 1 || (argc == 1 && strcmp(argv[0], "take") == 0))
        return args_wrong(cli, &command_conflicts, "'take' needs the conflict's id and a number");
    return argc == 1 ? show(cli, argv[0]) : list(cli, &query);
}

const struct command command_conflicts = {
    "conflicts", "[ID | take ID N] [--open] [--settled]",
    "what several people wrote at once: original, theirs, yours",
    "Nothing that anyone typed is lost: each value that did not win is here, with who wrote it,\n"
    "where and when, and can be taken back, which is a new change.\n"
    "\n"
    "  --open      only those where somebody has to decide\n"
    "  --settled   settled ones as well\n"
    "  --limit N   at most N\n"
    "\n"
    "examples:\n"
    "  satchel conflicts\n"
    "  satchel conflicts 5f0c2a\n"
    "  satchel conflicts take 5f0c2a 2\n",
    run};
