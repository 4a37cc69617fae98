/* cmd_rm.c - satchel rm, satchel restore. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "args.h"

/* Counts what belongs to the record, level by level, and prints it. Returns the sum. */
static uint64_t tell_children(struct cli *cli, const struct satchel_table *parent,
                              const struct satchel_id *id)
{
    const struct satchel_schema *schema = satchel_schema(cli->handle);
    char text[SATCHEL_ID_TEXT_SIZE];
    uint64_t sum = 0;
    satchel_id_format(id, text);
    for (uint16_t i = 0; i < schema->table_count; i++) {
        const struct satchel_table *table = &schema->tables[i];
        if (table->parent_column < 0 ||
            table->columns[table->parent_column].target != (int)parent->index)
            continue;
        struct satchel_condition condition = {
            .column = table->columns[table->parent_column].name, .op = SATCHEL_OP_EQ, .text = text};
        struct satchel_query query = {.conditions = &condition, .condition_count = 1};
        uint64_t count = 0;
        if (satchel_count(cli->handle, table->name, &query, &count) != SATCHEL_OK || count == 0)
            continue;
        cli_say(cli, "  with it: %" PRIu64 " %s", count,
                count == 1 ? table->label.text[SATCHEL_EN] : table->label_plural.text[SATCHEL_EN]);
        sum += count;
    }
    return sum;
}

static int rm(struct cli *cli, int argc, char **argv)
{
    bool yes = false;
    const struct option options[] = {{"yes", OPTION_FLAG, &yes}};
    struct satchel_id id;
    char text[SATCHEL_ID_TEXT_SIZE];
    struct satchel_record *record;
    int failed = args_parse(cli, &command_rm, options, 1, &argc, argv, 2, 2);
    if (!failed)
        failed = cli_open(cli, false);
    const struct satchel_table *table = failed ? NULL : cli_table(cli, argv[0]);
    if (!table)
        return failed ? failed : EXIT_USAGE;
    failed = cli_resolve(cli, table, argv[1], &id);
    if (failed)
        return failed;
    if (satchel_get(cli->handle, table->name, &id, 0, &record) != SATCHEL_OK)
        return cli_failed(cli);
    satchel_id_format(&id, text);
    cli_say(cli, "%s '%s'", table->label.text[SATCHEL_EN], record->title);
    uint64_t children = tell_children(cli, table, &id);
    satchel_record_free(record);
    failed = cli_agree(cli, yes, "delete?", "nothing was deleted");
    if (failed)
        return failed;
    if (satchel_delete(cli->handle, table->id, &id) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json)
        cli_print_json(json_pack("{s:s, s:o, s:I}", "table", table->name, "deleted",
                                 cli_json_id(&id), "with_it", (json_int_t)children));
    else
        cli_say(cli, "deleted; 'satchel restore %s %s' brings it back", table->name, text);
    return EXIT_DONE;
}

static int restore(struct cli *cli, int argc, char **argv)
{
    struct satchel_id id;
    struct satchel_record *record;
    int failed = args_parse(cli, &command_restore, NULL, 0, &argc, argv, 2, 2);
    if (!failed)
        failed = cli_open(cli, false);
    const struct satchel_table *table = failed ? NULL : cli_table(cli, argv[0]);
    if (!table)
        return failed ? failed : EXIT_USAGE;
    if (satchel_id_parse(argv[1], &id) != SATCHEL_OK) {
        failed = cli_resolve(cli, table, argv[1], &id);
        if (failed)
            return failed;
    }
    if (satchel_restore(cli->handle, table->id, &id) != SATCHEL_OK)
        return cli_failed(cli);
    if (satchel_get(cli->handle, table->name, &id, 0, &record) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json)
        cli_print_json(cli_json_record(cli, record));
    else
        printf("%s '%s' is back\n", table->name, record->title);
    satchel_record_free(record);
    return EXIT_DONE;
}

const struct command command_rm = {
    "rm", "TABLE ID|KEY [--yes]", "delete a record and what belongs to it",
    "Says what goes with it, and asks. Another's change that this device had not seen brings the\n"
    "record back at headquarters (customers, contacts, deals), and both are told.\n"
    "\n"
    "  --yes   do not ask\n"
    "\n"
    "examples:\n"
    "  satchel rm task 'Call Acme'\n"
    "  satchel rm party 0193a7c2-... --yes\n",
    rm};

const struct command command_restore = {
    "restore", "TABLE ID", "bring a deleted record back",
    "examples:\n"
    "  satchel restore party 0193a7c2-7d1e-7000-8000-3f2a9c1b5e77\n",
    restore};
