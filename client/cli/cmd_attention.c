/* cmd_attention.c - satchel attention: own changes that headquarters set aside; to correct, to try
 * again, to give up. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"

struct telling {
    struct cli *cli;
    json_t *json;
    uint64_t count;
};

static const char *op_name(enum satchel_mutation_op op)
{
    switch (op) {
    case SATCHEL_MUTATION_INSERT: return "add";
    case SATCHEL_MUTATION_UPDATE: return "change";
    case SATCHEL_MUTATION_DELETE: return "delete";
    case SATCHEL_MUTATION_RESTORE: return "restore";
    }
    return "?";
}

static json_t *parked_json(struct cli *cli, const struct satchel_parked *parked)
{
    json_t *json = json_object(), *mutations = json_array();
    json_object_set_new(json, "id", json_integer((json_int_t)parked->oseq));
    json_object_set_new(json, "at", cli_json_time(parked->at_ms));
    json_object_set_new(json, "reason", json_string(parked->reason));
    json_object_set_new(json, "reason_text", json_string(parked->reason_text));
    json_object_set_new(json, "detail", json_string(parked->detail));
    for (size_t i = 0; i < parked->mutation_count; i++) {
        const struct satchel_mutation *mutation = &parked->mutations[i];
        json_t *one = json_object(), *values = json_object();
        json_object_set_new(one, "op", json_string(op_name(mutation->op)));
        json_object_set_new(one, "table",
                            json_string(mutation->table ? mutation->table->name : ""));
        json_object_set_new(one, "id", cli_json_id(&mutation->id));
        json_object_set_new(one, "title", json_string(mutation->title));
        for (size_t k = 0; k < mutation->cell_count; k++)
            json_object_set_new(
                values, mutation->cells[k].column->name,
                cli_json_value(cli, mutation->cells[k].column, &mutation->cells[k].value));
        json_object_set_new(one, "values", values);
        json_array_append_new(mutations, one);
    }
    json_object_set_new(json, "mutations", mutations);
    return json;
}

static int on_parked(void *context, const struct satchel_parked *parked)
{
    struct telling *telling = context;
    struct cli *cli = telling->cli;
    char at[32];
    telling->count++;
    if (cli->json) {
        json_array_append_new(telling->json, parked_json(cli, parked));
        return 0;
    }
    cli_time(parked->at_ms, at);
    printf("%s%" PRIu64 "%s  %s%s%s%s  (%s)\n", cli_style(cli, STYLE_BOLD), parked->oseq,
           cli_plain(cli), cli_style(cli, STYLE_RED), parked->reason_text,
           parked->detail[0] ? ": " : "", parked->detail, at);
    fputs(cli_plain(cli), stdout);
    for (size_t i = 0; i < parked->mutation_count; i++) {
        const struct satchel_mutation *mutation = &parked->mutations[i];
        if (i == 10) {
            printf("     and %zu more\n", parked->mutation_count - i);
            break;
        }
        printf("     %s %s '%s'", op_name(mutation->op),
               mutation->table ? mutation->table->name : "", mutation->title);
        for (size_t k = 0; k < mutation->cell_count && k < 8; k++)
            printf("%s %s=%s", k == 0 ? ":" : ",", mutation->cells[k].column->name,
                   mutation->cells[k].text);
        printf("%s\n", mutation->cell_count > 8 ? " ..." : "");
    }
    return 0;
}

static int list(struct cli *cli)
{
    struct telling telling = {.cli = cli};
    int failed = cli_open(cli, true);
    if (failed)
        return failed;
    telling.json = cli->json ? json_array() : NULL;
    if (satchel_parked(cli->handle, on_parked, &telling) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json)
        cli_print_json(telling.json);
    else if (telling.count == 0)
        cli_say(cli, "nothing needs your attention");
    else
        cli_say(cli, "satchel attention fix ID column=value... | retry ID | discard ID");
    return telling.count > 0 ? EXIT_REFUSED : EXIT_DONE;
}

/* Which record `attention fix` corrects: the first that the transaction writes and that has all the
 * columns named. */
struct fixing {
    uint64_t oseq;
    int argc;
    char **argv;
    const struct satchel_table *table;
    struct satchel_id id;
    bool found, fits;
};

static bool has_columns(const struct satchel_table *table, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(argv[i], "="), argv[i]);
        if (!cli_find_column(table, name))
            return false;
    }
    return true;
}

static int on_fixing(void *context, const struct satchel_parked *parked)
{
    struct fixing *fixing = context;
    if (parked->oseq != fixing->oseq)
        return 0;
    fixing->found = true;
    for (size_t i = 0; i < parked->mutation_count && !fixing->fits; i++) {
        const struct satchel_mutation *mutation = &parked->mutations[i];
        if (!mutation->table || mutation->op == SATCHEL_MUTATION_DELETE)
            continue;
        fixing->table = mutation->table;
        fixing->id = mutation->id;
        fixing->fits = has_columns(mutation->table, fixing->argc, fixing->argv);
    }
    return 1;
}

static int fix(struct cli *cli, uint64_t oseq, int argc, char **argv)
{
    struct fixing fixing = {.oseq = oseq, .argc = argc, .argv = argv};
    struct satchel_field *fields;
    if (satchel_parked(cli->handle, on_fixing, &fixing) != SATCHEL_OK)
        return cli_failed(cli);
    if (!fixing.found || !fixing.table)
        return cli_failf(cli, EXIT_NOT_FOUND, "there is nothing to fix under %" PRIu64, oseq);
    int failed = cli_fields(cli, fixing.table, argc, argv, &fields);
    if (failed)
        return failed;
    enum satchel_code code = satchel_begin(cli->handle);
    if (code == SATCHEL_OK)
        code = satchel_parked_retry(cli->handle, oseq);
    if (code == SATCHEL_OK)
        code = satchel_update_fields(cli->handle, fixing.table->name, &fixing.id, fields,
                                     (size_t)argc);
    if (code == SATCHEL_OK)
        code = satchel_commit(cli->handle, NULL);
    free(fields);
    if (code != SATCHEL_OK) {
        failed = cli_failed(cli);
        satchel_rollback(cli->handle);
        return failed;
    }
    cli_say(cli, "corrected and written again; sent with the next exchange");
    return EXIT_DONE;
}

static int run(struct cli *cli, int argc, char **argv)
{
    int failed = args_parse(cli, &command_attention, NULL, 0, &argc, argv, 0, ARGS_MANY);
    if (failed)
        return failed;
    if (argc == 0)
        return list(cli);
    bool fixes = strcmp(argv[0], "fix") == 0, retries = strcmp(argv[0], "retry") == 0;
    if (!fixes && !retries && strcmp(argv[0], "discard") != 0)
        return args_wrong(cli, &command_attention, "'%s' is none of fix, retry, discard", argv[0]);
    if (fixes ? argc < 3 : argc != 2)
        return args_wrong(cli, &command_attention, "%s needs the id%s", argv[0],
                          fixes ? " and column=value" : " alone");
    char *end;
    uint64_t oseq = strtoull(argv[1], &end, 10);
    if (oseq == 0 || *end != '\0')
        return args_wrong(cli, &command_attention, "'%s' is no id of 'satchel attention'", argv[1]);
    failed = cli_open(cli, false);
    if (failed)
        return failed;
    if (fixes) {
        failed = fix(cli, oseq, argc - 2, argv + 2);
    } else {
        enum satchel_code code = retries ? satchel_parked_retry(cli->handle, oseq)
                                         : satchel_parked_discard(cli->handle, oseq);
        if (code != SATCHEL_OK)
            return cli_failed(cli);
        cli_say(cli, retries ? "written again; sent with the next exchange" : "given up");
    }
    if (!failed && cli->json)
        cli_print_json(json_pack("{s:s, s:I}", "done", argv[0], "id", (json_int_t)oseq));
    return failed;
}

const struct command command_attention = {
    "attention", "[fix ID column=value... | retry ID | discard ID]",
    "own changes that headquarters set aside, with the reason",
    "A refused change is never undone in silence: it waits here until you correct it, try it "
    "again,\n"
    "or give it up. Exit code 3 while something waits.\n"
    "\n"
    "examples:\n"
    "  satchel attention\n"
    "  satchel attention fix 12 stage=negotiation\n"
    "  satchel attention retry 12\n"
    "  satchel attention discard 12\n",
    run};
