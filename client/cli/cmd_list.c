/* cmd_list.c - satchel list: records of a table that meet conditions. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "term.h"
#include "text.h"

enum { CONDITIONS_MAX = 32, COLUMNS_MAX = 64, COLUMNS_SHOWN = 6 };

struct listing {
    struct cli *cli;
    const struct satchel_table *table;
    const struct satchel_column *columns[COLUMNS_MAX];
    size_t column_count;
    bool chosen, ids; /* columns by --columns; ids are shown */
    struct table out;
    json_t *json;
    uint64_t count;
};

/* The operator at the start of text, and its length; NULL if there is none. */
static const char *operator_at(const char *text, size_t *ret_size)
{
    static const char *const operators[] = {"!=", "<=", ">=", "=", "<", ">", "~"};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (strncmp(text, operators[i], strlen(operators[i])) == 0) {
            *ret_size = strlen(operators[i]);
            return operators[i];
        }
    }
    return NULL;
}

/* Takes the condition that begins at argv[*at]: `city=Berlin`, or `city = Berlin` in three. */
static int take_condition(struct listing *listing, int argc, char **argv, int *at,
                          struct satchel_condition *ret)
{
    struct cli *cli = listing->cli;
    char *word = argv[*at], *end = word;
    const char *op, *value;
    size_t size;
    while (isalnum((unsigned char)*end) || *end == '_' || (unsigned char)*end >= 0x80)
        end++;
    op = operator_at(end, &size);
    if (op) {
        value = end + size;
        *end = '\0';
    } else if (*end == '\0' && *at + 2 < argc) {
        op = argv[*at + 1];
        value = argv[*at + 2];
        *at += 2;
    } else {
        return args_wrong(cli, &command_list, "'%s' is no condition: column, operator, value",
                          word);
    }
    if (satchel_op_parse(op, &ret->op) != SATCHEL_OK)
        return args_wrong(cli, &command_list, "'%s' is none of = != < <= > >= contains", op);
    if (strcmp(word, "id") == 0) {
        ret->column = "id";
    } else {
        const struct satchel_column *column = cli_column(cli, listing->table, word);
        if (!column)
            return EXIT_USAGE;
        ret->column = column->name;
    }
    ret->text = value[0] ? value : NULL;
    return EXIT_DONE;
}

static int choose_columns(struct listing *listing, char *names)
{
    const struct satchel_table *table = listing->table;
    if (names) {
        listing->chosen = true;
        for (char *save = NULL, *name = strtok_r(names, ",", &save); name;
             name = strtok_r(NULL, ",", &save)) {
            const struct satchel_column *column = cli_column(listing->cli, table, name);
            if (!column)
                return EXIT_USAGE;
            if (listing->column_count < COLUMNS_MAX)
                listing->columns[listing->column_count++] = column;
        }
        return EXIT_DONE;
    }
    /* The title first, then what the model has first. */
    if (table->title_column >= 0)
        listing->columns[listing->column_count++] = &table->columns[table->title_column];
    for (uint16_t i = 0; i < table->column_count && listing->column_count < COLUMNS_SHOWN; i++) {
        if ((int)i != table->title_column)
            listing->columns[listing->column_count++] = &table->columns[i];
    }
    return EXIT_DONE;
}

static bool is_number(enum satchel_type type)
{
    return type == SATCHEL_TYPE_INTEGER || type == SATCHEL_TYPE_REAL || type == SATCHEL_TYPE_MONEY;
}

static int on_record(void *context, const struct satchel_record *record)
{
    struct listing *listing = context;
    listing->count++;
    if (listing->cli->json) {
        json_array_append_new(listing->json, cli_json_record(listing->cli, record));
        return 0;
    }
    for (size_t i = 0; i < listing->column_count; i++) {
        char *text =
            cli_cell_text(listing->cli, record, &record->cells[listing->columns[i]->index]);
        table_cell(&listing->out, text);
        free(text);
    }
    table_cell(&listing->out, cli_mark(record));
    char id[SATCHEL_ID_TEXT_SIZE];
    satchel_id_format(&record->id, id);
    table_cell(&listing->out, listing->ids ? id : "");
    return 0;
}

static int print(struct listing *listing, const struct satchel_query *query)
{
    struct cli *cli = listing->cli;
    if (cli->json) {
        listing->json = json_array();
    } else {
        table_begin(&listing->out, listing->column_count + 2);
        listing->out.drop_empty = !listing->chosen || !listing->ids;
        for (size_t i = 0; i < listing->column_count; i++)
            table_heading(&listing->out, i, listing->columns[i]->label.text[SATCHEL_EN],
                          is_number(listing->columns[i]->type));
        table_heading(&listing->out, listing->column_count, "", false);
        table_heading(&listing->out, listing->column_count + 1, listing->ids ? "id" : "", false);
    }
    enum satchel_code code =
        satchel_list(cli->handle, listing->table->name, query, on_record, listing);
    if (code != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json) {
        cli_print_json(listing->json);
    } else {
        table_end(&listing->out, cli);
        cli_say(cli, "%" PRIu64 " %s%s", listing->count,
                listing->count == 1 ? listing->table->label.text[SATCHEL_EN]
                                    : listing->table->label_plural.text[SATCHEL_EN],
                query->limit > 0 && listing->count == query->limit ? " (--limit reached)" : "");
    }
    return listing->count > 0 ? EXIT_DONE : EXIT_NOT_FOUND;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct listing listing = {.cli = cli};
    struct satchel_condition conditions[CONDITIONS_MAX] = {0};
    struct satchel_query query = {.conditions = conditions};
    const char *columns = NULL, *order = NULL;
    const struct option options[] = {
        {"columns", OPTION_TEXT, &columns},       {"order", OPTION_TEXT, &order},
        {"desc", OPTION_FLAG, &query.descending}, {"limit", OPTION_NUMBER, &query.limit},
        {"offset", OPTION_NUMBER, &query.offset}, {"ids", OPTION_FLAG, &listing.ids}};
    int failed = args_parse(cli, &command_list, options, 6, &argc, argv, 1, ARGS_MANY);
    if (!failed)
        failed = cli_open(cli, true);
    /* Ids are wide: a narrow terminal shows them when asked. */
    listing.ids = listing.ids || cli->width == 0 || cli->width >= 140;
    listing.table = failed ? NULL : cli_table(cli, argv[0]);
    if (!listing.table)
        return failed ? failed : EXIT_USAGE;
    for (int i = 1; i < argc; i++) {
        if (query.condition_count == CONDITIONS_MAX)
            return args_wrong(cli, &command_list, "at most %d conditions", CONDITIONS_MAX);
        failed = take_condition(&listing, argc, argv, &i, &conditions[query.condition_count++]);
        if (failed)
            return failed;
    }
    if (order) {
        const struct satchel_column *column = cli_column(cli, listing.table, order);
        if (!column)
            return EXIT_USAGE;
        query.order = column->name;
    }
    char *names = columns ? text_copy(columns) : NULL;
    failed = choose_columns(&listing, names);
    free(names);
    return failed ? failed : print(&listing, &query);
}

const struct command command_list = {
    "list", "TABLE [column op value...] [options]", "records of a table",
    "Conditions: = != < <= > >= and ~ (contains, whatever the case); all must hold. 'column=' "
    "means\n"
    "empty. Exit code 1 when there is none.\n"
    "\n"
    "  --columns A,B   which to show\n"
    "  --order COLUMN  sorted by it (by age without)\n"
    "  --desc          the other way round\n"
    "  --limit N       at most N\n"
    "  --offset N      without the first N\n"
    "  --ids           ids on a narrow terminal as well\n"
    "\n"
    "examples:\n"
    "  satchel list party city=Berlin\n"
    "  satchel list deal amount '>=' 1000 stage=won --order amount --desc --limit 10\n"
    "  satchel list party name '~' caf --columns name,city,phones\n",
    run};
