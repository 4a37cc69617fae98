/* cmd_attachments.c - satchel attachments: what is attached, and where its bytes are. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "term.h"

struct listing {
    struct cli *cli;
    struct table table;
    json_t *json;
    uint64_t count;
};

static int show(void *context, const struct satchel_attachment *a)
{
    struct listing *list = context;
    char id[SATCHEL_ID_TEXT_SIZE], size[32], place[80], at[32];
    list->count++;
    if (list->cli->json) {
        if (json_array_append_new(list->json, cli_json_attachment(a)) != 0)
            cli_out_of_memory();
        return 0;
    }
    satchel_id_format(&a->id, id);
    cli_size(a->size, size);
    cli_place(a, place);
    cli_time(a->taken_at_ms, at);
    table_cell(&list->table, id);
    table_cell(&list->table, a->name);
    table_cell(&list->table, a->kind);
    table_cell(&list->table, size);
    table_cell(&list->table, at);
    table_cell(&list->table, place);
    return 0;
}

static void begin_table(struct table *table)
{
    static const char *const headings[] = {"id", "name", "kind", "size", "taken", "where"};
    table_begin(table, 6);
    for (size_t i = 0; i < 6; i++)
        table_heading(table, i, headings[i], i == 3);
    table->drop_empty = true;
}

static int run(struct cli *cli, int argc, char **argv)
{
    const char *automatic = NULL;
    const struct option options[] = {{"automatic", OPTION_TEXT, &automatic}};
    struct listing list = {.cli = cli};
    struct satchel_id record = {{0}};
    const struct satchel_table *table = NULL;
    uint64_t bytes = 0;
    int failed = args_parse(cli, &command_attachments, options, 1, &argc, argv, 0, 2);
    if (!failed && argc == 1)
        return args_wrong(cli, &command_attachments, "a table and a record of it, or neither");
    if (!failed && automatic && !cli_parse_size(automatic, &bytes))
        return args_wrong(cli, &command_attachments,
                          "--automatic is none, all, or a size such as 500k or 2M, not '%s'",
                          automatic);
    if (!failed)
        failed = cli_open(cli, !automatic);
    if (failed)
        return failed;
    if (automatic)
        return satchel_attachments_automatic(cli->handle, bytes) == SATCHEL_OK ? EXIT_DONE
                                                                               : cli_failed(cli);
    if (argc == 2) {
        table = cli_table(cli, argv[0]);
        if (!table)
            return EXIT_USAGE;
        failed = cli_resolve(cli, table, argv[1], &record);
        if (failed)
            return failed;
    }
    list.json = json_array();
    if (!list.json)
        cli_out_of_memory();
    if (!cli->json)
        begin_table(&list.table);
    enum satchel_code code =
        satchel_attachments(cli->handle, table ? table->name : NULL, &record, show, &list);
    if (code == SATCHEL_OK && cli->json) {
        cli_print_json(list.json);
        list.json = NULL;
    }
    if (!cli->json && code == SATCHEL_OK && list.count == 0)
        cli_say(cli, "nothing is attached");
    if (!cli->json)
        table_end(&list.table, cli);
    json_decref(list.json);
    return code == SATCHEL_OK ? EXIT_DONE : cli_failed(cli);
}

const struct command command_attachments = {
    "attachments", "[TABLE ID|KEY] [--automatic SIZE]", "what is attached, and where its bytes are",
    "Attachments of a customer or of a record, or all that this device knows of. What is on the\n"
    "server only comes with 'satchel fetch'.\n"
    "\n"
    "  --automatic SIZE   from now on attachments up to this size come by themselves with each\n"
    "                     exchange: none, all, or a size such as 500k or 2M (1M until it is set)\n"
    "\n"
    "examples:\n"
    "  satchel attachments\n"
    "  satchel attachments party ALFKI\n"
    "  satchel attachments --automatic all\n",
    run};
