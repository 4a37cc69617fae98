/* cmd_show.c - satchel show: one record with its marks, and who wrote each field last. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "term.h"

static void print(struct cli *cli, const struct satchel_record *record, bool all)
{
    struct table table;
    char id[SATCHEL_ID_TEXT_SIZE];
    satchel_id_format(&record->id, id);
    printf("%s%s%s  %s%s\n", cli_style(cli, STYLE_BOLD), record->title, cli_plain(cli),
           record->table->label.text[SATCHEL_EN], record->deleted ? ", deleted" : "");
    printf("%s  ", id);
    if (record->pending > 0)
        printf("%s✓ saved here, %u %s decided at headquarters yet%s\n",
               cli_style(cli, STYLE_YELLOW), record->pending,
               record->pending == 1 ? "change is not" : "changes are not", cli_plain(cli));
    else if (record->revision == 0)
        printf("✓ saved here\n");
    else
        printf("✓✓✓ at headquarters, revision %" PRIu64 "\n", record->revision);
    table_begin(&table, 4);
    table_heading(&table, 0, "field", false);
    table_heading(&table, 1, "value", false);
    table_heading(&table, 2, "written by", false);
    table_heading(&table, 3, "when", false);
    for (uint16_t i = 0; i < record->table->column_count; i++) {
        const struct satchel_cell *cell = &record->cells[i];
        if (cell->value.kind == SATCHEL_NULL && !all)
            continue;
        char *text = cli_cell_text(cli, record, cell), *author = cli_author(&cell->author), at[32];
        cli_time(cell->author.at_ms, at);
        table_cell(&table, cell->column->label.text[SATCHEL_EN]);
        table_cell(&table, text);
        table_cell(&table, author);
        table_cell(&table, at);
        free(text);
        free(author);
    }
    table_end(&table, cli);
}

static int run(struct cli *cli, int argc, char **argv)
{
    bool all = false;
    const struct option options[] = {{"all", OPTION_FLAG, &all}};
    struct satchel_id id;
    struct satchel_record *record;
    int failed = args_parse(cli, &command_show, options, 1, &argc, argv, 2, 2);
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
    if (satchel_get(cli->handle, table->name, &id, SATCHEL_WITH_AUTHORS, &record) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json) {
        json_t *json = cli_json_record(cli, record), *authors = json_object();
        for (uint16_t i = 0; i < table->column_count; i++) {
            if (record->cells[i].author.oseq > 0)
                json_object_set_new(authors, table->columns[i].name,
                                    cli_json_author(&record->cells[i].author));
        }
        json_object_set_new(json, "created", cli_json_author(&record->created));
        json_object_set_new(json, "authors", authors);
        cli_print_json(json);
    } else {
        print(cli, record, all);
    }
    satchel_record_free(record);
    return EXIT_DONE;
}

const struct command command_show = {"show", "TABLE ID|KEY [--all]",
                                     "one record, with who wrote each field last",
                                     "✓ saved on this device, ✓✓✓ decided at headquarters.\n"
                                     "\n"
                                     "  --all   empty fields as well\n"
                                     "\n"
                                     "examples:\n"
                                     "  satchel show party ALFKI\n"
                                     "  satchel show party 'Alfreds Futterkiste' --json\n",
                                     run};
