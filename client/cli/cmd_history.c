/* cmd_history.c - satchel history: what this device knows of a record's past. */
#include <stdlib.h>

#include "args.h"
#include "term.h"

struct telling {
    struct cli *cli;
    struct table out;
    json_t *json;
};

static int on_event(void *context, const struct satchel_event *event)
{
    static const char *const kinds[] = {"created",  "written", "deleted",
                                        "conflict", "waiting", "set aside"};
    struct telling *telling = context;
    if (telling->cli->json) {
        json_t *json = json_object();
        json_object_set_new(json, "kind", json_string(kinds[event->kind]));
        json_object_set_new(json, "at", cli_json_time(event->at_ms));
        json_object_set_new(json, "author", cli_json_author(&event->author));
        json_object_set_new(json, "field", json_string(event->unit));
        json_object_set_new(json, "text", json_string(event->text));
        json_object_set_new(json, "revision", json_integer((json_int_t)event->revision));
        if (event->kind == SATCHEL_EVENT_CONFLICT)
            json_object_set_new(json, "conflict", cli_json_id(&event->conflict));
        json_array_append_new(telling->json, json);
        return 0;
    }
    char at[32], *author = cli_author(&event->author);
    cli_time(event->at_ms, at);
    table_cell(&telling->out, at);
    table_cell(&telling->out, kinds[event->kind]);
    table_cell(&telling->out, event->unit);
    table_cell(&telling->out, event->text);
    table_cell(&telling->out, author);
    free(author);
    return 0;
}

static int run(struct cli *cli, int argc, char **argv)
{
    static const char *const headings[] = {"when", "what", "field", "value", "by"};
    struct telling telling = {.cli = cli};
    struct satchel_id id;
    int failed = args_parse(cli, &command_history, NULL, 0, &argc, argv, 2, 2);
    if (!failed)
        failed = cli_open(cli, true);
    const struct satchel_table *table = failed ? NULL : cli_table(cli, argv[0]);
    if (!table)
        return failed ? failed : EXIT_USAGE;
    if (satchel_id_parse(argv[1], &id) != SATCHEL_OK) {
        failed = cli_resolve(cli, table, argv[1], &id);
        if (failed)
            return failed;
    }
    if (cli->json) {
        telling.json = json_array();
    } else {
        table_begin(&telling.out, 5);
        for (size_t i = 0; i < 5; i++)
            table_heading(&telling.out, i, headings[i], false);
    }
    if (satchel_history(cli->handle, table->name, &id, on_event, &telling) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json)
        cli_print_json(telling.json);
    else
        table_end(&telling.out, cli);
    return EXIT_DONE;
}

const struct command command_history = {
    "history", "TABLE ID|KEY", "a record's past, as far as this device knows it",
    "Who created it, who wrote each field last, its conflicts, what waits and what was set aside.\n"
    "\n"
    "examples:\n"
    "  satchel history party ALFKI\n",
    run};
