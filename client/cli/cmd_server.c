/* cmd_server.c - satchel server: where this device exchanges. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "term.h"

struct listing {
    struct cli *cli;
    struct table table;
    json_t *json;
};

static int add(void *context, const struct satchel_server *server)
{
    struct listing *list = context;
    if (list->json) {
        json_array_append_new(list->json,
                              json_pack("{s:s, s:s, s:s, s:b, s:b}", "name", server->name, "city",
                                        server->city, "address", server->address, "headquarters",
                                        (int)server->headquarters, "in_use", (int)server->in_use));
        return 0;
    }
    table_cell(&list->table, server->in_use ? "*" : "");
    table_cell(&list->table, server->name);
    table_cell(&list->table, server->city);
    table_cell(&list->table, server->address);
    return 0;
}

static int list_servers(struct cli *cli)
{
    static const char *const headings[] = {"", "server", "city", "address"};
    struct listing list = {.cli = cli, .json = cli->json ? json_array() : NULL};
    if (!cli->json)
        table_begin(&list.table, 4);
    for (size_t i = 0; !cli->json && i < 4; i++)
        table_heading(&list.table, i, headings[i], false);
    bool good = satchel_servers(cli->handle, add, &list) == SATCHEL_OK;
    if (!good)
        json_decref(list.json);
    else if (cli->json)
        cli_print_json(list.json);
    if (!cli->json)
        table_end(&list.table, cli);
    return good ? EXIT_DONE : cli_failed(cli);
}

static int use(struct cli *cli, const char *name)
{
    struct satchel_status status;
    if (satchel_use_server(cli->handle, name) != SATCHEL_OK ||
        satchel_status(cli->handle, &status) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json) {
        cli_print_json(json_pack("{s:s, s:s}", "name", name, "server", status.server));
        return EXIT_DONE;
    }
    printf("from now on this device exchanges with %s (%s)\n", name, status.server);
    return EXIT_DONE;
}

static int run(struct cli *cli, int argc, char **argv)
{
    int failed = args_parse(cli, &command_server, NULL, 0, &argc, argv, 0, 2);
    if (failed)
        return failed;
    bool uses = argc == 2 && strcmp(argv[0], "use") == 0;
    if (!uses && argc > 0)
        return args_wrong(cli, &command_server, "say 'use NAME', or nothing to list them");
    failed = cli_open(cli, !uses);
    if (failed)
        return failed;
    return uses ? use(cli, argv[1]) : list_servers(cli);
}

const struct command command_server = {
    "server", "[use NAME]", "the servers of the company, and which one is used",
    "Headquarters, where this device has enrolled, and the servers of branches that it heard of "
    "with\n"
    "its last exchange; * marks the one in use. A device may change from one to another at any "
    "time:\n"
    "it goes on where it was, and what was not sent yet is sent there.\n"
    "\n"
    "examples:\n"
    "  satchel server\n"
    "  satchel server use Kazan\n"
    "  satchel server use headquarters\n",
    run};
