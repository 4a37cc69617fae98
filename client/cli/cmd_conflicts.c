/* cmd_conflicts.c - satchel conflicts: original, theirs, yours; taking a candidate back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "term.h"
#include "text.h"

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

static const char *state_text(const struct satchel_conflict *conflict)
{
    static const char *const texts[] = {"to decide", "merged for you", "settled"};
    static const char *const so_far[] = {"to decide, so far", "merged for you, so far",
                                         "settled, so far"};
    return conflict->provisional ? so_far[conflict->state] : texts[conflict->state];
}

/* --- only the fields that differ --------------------------------------------------------------- */

/* The columns of the conflict's unit, of a candidate that has values; NULL: all delete. */
static const struct satchel_candidate *with_cells(const struct satchel_conflict *conflict)
{
    for (size_t i = 0; i < conflict->candidate_count; i++) {
        if (!conflict->candidates[i].deletes && conflict->candidates[i].cell_count > 0)
            return &conflict->candidates[i];
    }
    return NULL;
}

/* Whether the candidates differ in the k-th column of the unit. */
static bool differs(const struct satchel_conflict *conflict, size_t k)
{
    const struct satchel_candidate *first = with_cells(conflict);
    for (size_t i = 0; first && i < conflict->candidate_count; i++) {
        const struct satchel_candidate *one = &conflict->candidates[i];
        if (k < one->cell_count && !one->deletes &&
            strcmp(one->cells[k].text, first->cells[k].text) != 0)
            return true;
    }
    return false;
}

/* "city: Oslo" of a candidate of a group of columns; of one column its text. Freed by the caller. */
static char *differing(const struct satchel_conflict *conflict,
                       const struct satchel_candidate *candidate)
{
    struct text out = {0};
    if (candidate->deletes || candidate->cell_count < 2)
        return text_copy(candidate->deletes ? "(delete)" : candidate->text);
    for (size_t k = 0; k < candidate->cell_count; k++) {
        if (differs(conflict, k))
            text_addf(&out, "%s%s: %s", out.size > 0 ? ", " : "", candidate->cells[k].column->name,
                      candidate->cells[k].text);
    }
    if (out.size == 0)
        text_add(&out, candidate->text);
    return text_take(&out);
}

/* Where "name: " begins in the text of a group, as "city: Oslo, region: " has it; NULL. */
static const char *part_at(const char *text, const char *name)
{
    char mark[160];
    snprintf(mark, sizeof mark, ", %s: ", name);
    if (strncmp(text, mark + 2, strlen(mark + 2)) == 0)
        return text;
    const char *found = strstr(text, mark);
    return found ? found + 2 : NULL;
}

/* The same of the original, which is known as one text. Freed by the caller. */
static char *original(const struct satchel_conflict *conflict)
{
    const struct satchel_candidate *first = with_cells(conflict);
    struct text out = {0};
    for (size_t k = 0; first && first->cell_count > 1 && k < first->cell_count; k++) {
        const char *from = part_at(conflict->base_text, first->cells[k].column->name);
        if (!from || !differs(conflict, k))
            continue;
        const char *end = from + strlen(from);
        for (size_t other = 0; other < first->cell_count; other++) {
            const char *next = part_at(conflict->base_text, first->cells[other].column->name);
            if (next && next > from && next - 2 < end)
                end = next - 2;
        }
        text_add(&out, out.size > 0 ? ", " : "");
        text_add_n(&out, from, (size_t)(end - from));
    }
    if (out.size == 0)
        text_add(&out, conflict->base_text);
    return text_take(&out);
}

/* --- telling ------------------------------------------------------------------------------------ */

static json_t *conflict_json(struct cli *cli, const struct satchel_conflict *conflict)
{
    json_t *json = json_object(), *candidates = json_array();
    json_object_set_new(json, "id", cli_json_id(&conflict->id));
    json_object_set_new(json, "table", json_string(conflict->table ? conflict->table->name : ""));
    json_object_set_new(json, "record", cli_json_id(&conflict->record));
    json_object_set_new(json, "title", json_string(conflict->record_title));
    json_object_set_new(json, "field", json_string(conflict->unit));
    json_object_set_new(json, "policy", json_string(conflict->policy));
    json_object_set_new(json, "state", json_string(state_name(conflict->state)));
    json_object_set_new(json, "provisional", json_boolean(conflict->provisional));
    json_object_set_new(json, "about_delete", json_boolean(conflict->about_delete));
    json_object_set_new(json, "at", cli_json_time(conflict->at_ms));
    json_object_set_new(json, "settled_at", cli_json_time(conflict->settled_at_ms));
    json_object_set_new(json, "shown", json_string(conflict->shown_text));
    json_object_set_new(json, "original", json_string(conflict->base_text));
    for (size_t i = 0; i < conflict->candidate_count; i++) {
        const struct satchel_candidate *candidate = &conflict->candidates[i];
        json_t *one = json_object(), *values = json_object();
        for (size_t k = 0; k < candidate->cell_count; k++) {
            const struct satchel_cell *cell = &candidate->cells[k];
            if (candidate->cell_count == 1 || differs(conflict, k))
                json_object_set_new(values, cell->column->name,
                                    cli_json_value(cli, cell->column, &cell->value));
        }
        json_object_set_new(one, "values", values);
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
        json_array_append_new(telling->json, conflict_json(telling->cli, conflict));
        return 0;
    }
    satchel_id_format(&conflict->id, id);
    cli_time(conflict->at_ms, at);
    table_cell(&telling->out, state_text(conflict));
    table_cell(&telling->out, conflict->record_title);
    table_cell(&telling->out,
               conflict->unit[0] ? conflict->unit_label.text[SATCHEL_EN] : "the record itself");
    table_cell(&telling->out, conflict->shown_text);
    table_cell(&telling->out, at);
    table_cell(&telling->out, id);
    return 0;
}

static void print_candidate(struct cli *cli, const struct satchel_conflict *conflict, size_t index)
{
    const struct satchel_candidate *candidate = &conflict->candidates[index];
    char *author = cli_author(&candidate->author), *text = differing(conflict, candidate), at[32];
    cli_time(candidate->author.at_ms, at);
    printf("  %zu  %-8s %s%s%s%s\n", index + 1, candidate->author.own ? "yours" : "theirs",
           candidate->shown ? cli_style(cli, STYLE_GREEN) : "", text,
           candidate->shown ? cli_plain(cli) : "",
           candidate->cut ? " (cut: too long for the record of the conflict)" : "");
    printf("              %s%s, %s%s%s\n", cli_style(cli, STYLE_DIM), author, at,
           candidate->shown ? "  <- shown now" : "", cli_plain(cli));
    free(author);
    free(text);
}

static int on_shown(void *context, const struct satchel_conflict *conflict)
{
    struct telling *telling = context;
    struct cli *cli = telling->cli;
    telling->count++;
    if (cli->json) {
        cli_print_json(conflict_json(cli, conflict));
        return 0;
    }
    char id[SATCHEL_ID_TEXT_SIZE], at[32];
    satchel_id_format(&conflict->id, id);
    cli_time(conflict->at_ms, at);
    printf("%s%s: %s%s  (%s, %s)\n", cli_style(cli, STYLE_BOLD), conflict->record_title,
           conflict->unit[0] ? conflict->unit_label.text[SATCHEL_EN]
                             : "deleted by one, changed by "
                               "another",
           cli_plain(cli), state_text(conflict), at);
    char *base = original(conflict);
    printf("     original %s\n", base[0] ? base : "(empty, or not known)");
    free(base);
    for (size_t i = 0; i < conflict->candidate_count; i++)
        print_candidate(cli, conflict, i);
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
    "What is so 'so far' is of changes that headquarters has not decided: it may come to another "
    "end.\n"
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
