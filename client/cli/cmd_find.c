/* cmd_find.c - satchel find: text in all fields of all tables. */
#include <inttypes.h>
#include <stdlib.h>

#include "args.h"
#include "term.h"

struct finding {
    struct cli *cli;
    struct table out;
    json_t *json;
    uint64_t count;
};

static int on_hit(void *context, const struct satchel_hit *hit)
{
    struct finding *finding = context;
    const struct satchel_record *record = hit->record;
    const struct satchel_cell *cell = &record->cells[hit->column->index];
    finding->count++;
    if (finding->cli->json) {
        json_t *json = cli_json_record(finding->cli, record);
        json_object_set_new(json, "found_in", json_string(hit->column->name));
        json_array_append_new(finding->json, json);
        return 0;
    }
    char id[SATCHEL_ID_TEXT_SIZE], *text = cli_cell_text(finding->cli, record, cell);
    satchel_id_format(&record->id, id);
    table_cell(&finding->out, record->table->name);
    table_cell(&finding->out, record->title);
    table_cell(&finding->out, hit->column->label.text[SATCHEL_EN]);
    table_cell(&finding->out, text);
    table_cell(&finding->out, id);
    free(text);
    return 0;
}

static int run(struct cli *cli, int argc, char **argv)
{
    static const char *const headings[] = {"table", "name", "field", "text", "id"};
    struct finding finding = {.cli = cli};
    uint64_t limit = 100;
    const struct option options[] = {{"limit", OPTION_NUMBER, &limit}};
    int failed = args_parse(cli, &command_find, options, 1, &argc, argv, 1, 1);
    if (!failed)
        failed = cli_open(cli, true);
    if (failed)
        return failed;
    if (cli->json) {
        finding.json = json_array();
    } else {
        table_begin(&finding.out, 5);
        for (size_t i = 0; i < 5; i++)
            table_heading(&finding.out, i, headings[i], false);
    }
    if (satchel_find(cli->handle, argv[0], limit, on_hit, &finding) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json)
        cli_print_json(finding.json);
    else if (finding.count > 0)
        table_end(&finding.out, cli);
    if (finding.count == 0 && !cli->json)
        return cli_failf(cli, EXIT_NOT_FOUND, "nothing here contains '%s'", argv[0]);
    if (finding.count == limit)
        cli_say(cli, "the first %" PRIu64 "; --limit N shows more", limit);
    return finding.count > 0 ? EXIT_DONE : EXIT_NOT_FOUND;
}

const struct command command_find = {"find", "TEXT [--limit N]", "text in all fields of all tables",
                                     "Case does not matter, in any script.\n"
                                     "\n"
                                     "  --limit N   at most N (100)\n"
                                     "\n"
                                     "examples:\n"
                                     "  satchel find futter\n"
                                     "  satchel find '555-47'\n",
                                     run};
