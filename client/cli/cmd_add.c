/* cmd_add.c - satchel add, satchel set: one record, saved here at once. */
#include <stdio.h>
#include <stdlib.h>

#include "args.h"

/* Shows the record as it is now. */
static int tell(struct cli *cli, const struct satchel_table *table, const struct satchel_id *id,
                const char *done)
{
    struct satchel_record *record;
    char text[SATCHEL_ID_TEXT_SIZE];
    if (satchel_get(cli->handle, table->name, id, 0, &record) != SATCHEL_OK)
        return cli_failed(cli);
    satchel_id_format(id, text);
    if (cli->json)
        cli_print_json(cli_json_record(cli, record));
    else
        printf("%s %s '%s'  %s  %s\n", done, table->name, record->title, text, cli_mark(record));
    satchel_record_free(record);
    return EXIT_DONE;
}

static int add(struct cli *cli, int argc, char **argv)
{
    struct satchel_id id = {{0}};
    struct satchel_field *fields;
    int failed = args_parse(cli, &command_add, NULL, 0, &argc, argv, 2, ARGS_MANY);
    if (!failed)
        failed = cli_open(cli, false);
    const struct satchel_table *table = failed ? NULL : cli_table(cli, argv[0]);
    if (!table)
        return failed ? failed : EXIT_USAGE;
    failed = cli_fields(cli, table, argc - 1, argv + 1, &fields);
    if (failed)
        return failed;
    enum satchel_code code =
        satchel_insert_fields(cli->handle, table->name, &id, fields, (size_t)argc - 1);
    free(fields);
    return code == SATCHEL_OK ? tell(cli, table, &id, "added") : cli_failed(cli);
}

static int set(struct cli *cli, int argc, char **argv)
{
    struct satchel_id id;
    struct satchel_field *fields;
    int failed = args_parse(cli, &command_set, NULL, 0, &argc, argv, 3, ARGS_MANY);
    if (!failed)
        failed = cli_open(cli, false);
    const struct satchel_table *table = failed ? NULL : cli_table(cli, argv[0]);
    if (!table)
        return failed ? failed : EXIT_USAGE;
    failed = cli_resolve(cli, table, argv[1], &id);
    if (!failed)
        failed = cli_fields(cli, table, argc - 2, argv + 2, &fields);
    if (failed)
        return failed;
    enum satchel_code code =
        satchel_update_fields(cli->handle, table->name, &id, fields, (size_t)argc - 2);
    free(fields);
    return code == SATCHEL_OK ? tell(cli, table, &id, "changed") : cli_failed(cli);
}

const struct command command_add = {
    "add", "TABLE column=value...", "add a record",
    "Values are written as people write them: dates as 2026-11-22, money as 12.50, sets as 'a; "
    "b',\n"
    "references by key or name (party='Acme Ltd').\n"
    "\n"
    "examples:\n"
    "  satchel add party name='Acme Ltd' city=Gyumri phones='+374 312 55 555; +374 93 111 222'\n"
    "  satchel add deal name='Spring order' party='Acme Ltd' amount=1200 currency=EUR\n",
    add};

const struct command command_set = {
    "set", "TABLE ID|KEY column=value...", "change a record",
    "The record by its id (or the start of it), its key or its name. 'column=' empties a column.\n"
    "\n"
    "examples:\n"
    "  satchel set party 'Acme Ltd' city=Yerevan\n"
    "  satchel set deal D-17 stage=won closed_on=2026-11-22\n",
    set};
