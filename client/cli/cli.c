/* cli.c - opening the replica; finding tables, columns and records by what people type. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

/* A replica made by --create needs no --create again. */
static bool is_made(const struct cli *cli)
{
    struct stat about;
    struct text path = {0};
    text_addf(&path, "%s/replica.db", cli->directory);
    bool made = stat(path.data, &about) == 0;
    text_done(&path);
    return made;
}

int cli_open(struct cli *cli, bool read_only)
{
    struct satchel_error error;
    struct satchel_options options = {
        .directory = cli->directory, .create = cli->create || is_made(cli), .read_only = read_only};
    enum satchel_code code = satchel_open(&options, &cli->handle, &error);
    if (code == SATCHEL_E_NOT_FOUND && read_only) {
        /* Enrolled, and not opened for writing yet: that makes the replica. */
        options.read_only = false;
        code = satchel_open(&options, &cli->handle, &error);
    }
    if (code == SATCHEL_E_NOT_FOUND)
        return cli_failf(cli, EXIT_NOT_FOUND,
                         "%s holds no replica; 'satchel enroll TICKET' makes one "
                         "(headquarters gives the ticket), --dir names another place",
                         cli->directory);
    if (code != SATCHEL_OK)
        return cli_fail(cli, code, error.message);
    return EXIT_DONE;
}

static bool label_is(const struct satchel_label *label, const char *name)
{
    return text_alike(label->text[SATCHEL_EN], name) || text_alike(label->text[SATCHEL_RU], name);
}

const struct satchel_table *cli_find_table(const struct satchel *handle, const char *name)
{
    const struct satchel_schema *schema = satchel_schema(handle);
    const struct satchel_table *table = satchel_table(handle, name);
    for (uint16_t i = 0; i < schema->table_count && !table; i++) {
        const struct satchel_table *one = &schema->tables[i];
        if (text_alike(one->name, name) || label_is(&one->label, name) ||
            label_is(&one->label_plural, name))
            table = one;
    }
    return table;
}

const struct satchel_table *cli_table(struct cli *cli, const char *name)
{
    const struct satchel_schema *schema = satchel_schema(cli->handle);
    const struct satchel_table *table = cli_find_table(cli->handle, name);
    if (table)
        return table;
    const char **names = need(calloc((size_t)schema->table_count * 3, sizeof *names));
    size_t count = 0;
    for (uint16_t i = 0; i < schema->table_count; i++) {
        names[count++] = schema->tables[i].name;
        names[count++] = schema->tables[i].label.text[SATCHEL_EN];
        names[count++] = schema->tables[i].label_plural.text[SATCHEL_EN];
    }
    const char *near = text_nearest(name, names, count);
    const char *meant = near ? cli_find_table(cli->handle, near)->name : NULL;
    free(names);
    if (meant)
        cli_failf(cli, EXIT_USAGE, "there is no table '%s'; did you mean '%s'?", name, meant);
    else
        cli_failf(cli, EXIT_USAGE, "there is no table '%s'; 'satchel tables' lists them", name);
    return NULL;
}

const struct satchel_column *cli_find_column(const struct satchel_table *table, const char *name)
{
    const struct satchel_column *column = satchel_column(table, name);
    for (uint16_t i = 0; i < table->column_count && !column; i++) {
        if (text_alike(table->columns[i].name, name) || label_is(&table->columns[i].label, name))
            column = &table->columns[i];
    }
    return column;
}

const struct satchel_column *cli_column(struct cli *cli, const struct satchel_table *table,
                                        const char *name)
{
    const struct satchel_column *column = cli_find_column(table, name);
    if (column)
        return column;
    const char **names = need(calloc((size_t)table->column_count + 1, sizeof *names));
    for (uint16_t i = 0; i < table->column_count; i++)
        names[i] = table->columns[i].name;
    const char *near = text_nearest(name, names, table->column_count);
    free(names);
    if (near)
        cli_failf(cli, EXIT_USAGE, "%s has no column '%s'; did you mean '%s'?", table->name, name,
                  near);
    else
        cli_failf(cli, EXIT_USAGE, "%s has no column '%s'; 'satchel tables %s' lists them",
                  table->name, name, table->name);
    return NULL;
}

int cli_resolve(struct cli *cli, const struct satchel_table *table, const char *text,
                struct satchel_id *ret_id)
{
    enum satchel_code code = satchel_resolve(cli->handle, table->name, text, ret_id);
    if (code == SATCHEL_E_NOT_FOUND)
        return cli_failf(cli, EXIT_NOT_FOUND,
                         "%s: there is no '%s' here; 'satchel find %s' looks for it everywhere",
                         table->name, text, text);
    if (code == SATCHEL_E_CONFLICT) {
        const struct satchel_error *error = satchel_last_error(cli->handle);
        return cli_failf(cli, EXIT_NOT_FOUND, "%s: '%s' is several records: %s", table->name, text,
                         error->message);
    }
    return code == SATCHEL_OK ? EXIT_DONE : cli_failed(cli);
}

int cli_fields(struct cli *cli, const struct satchel_table *table, int argc, char **argv,
               struct satchel_field **ret_fields)
{
    struct satchel_field *fields = need(calloc((size_t)argc + 1, sizeof *fields));
    for (int i = 0; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals) {
            free(fields);
            return cli_failf(cli, EXIT_USAGE, "'%s' is not of the form column=value", argv[i]);
        }
        *equals = '\0';
        const struct satchel_column *column = cli_column(cli, table, argv[i]);
        if (!column) {
            free(fields);
            return EXIT_USAGE;
        }
        /* An empty text is SQL NULL, of text columns as well: nobody means "". */
        fields[i].column = column->name;
        fields[i].text = equals[1] ? equals + 1 : NULL;
    }
    *ret_fields = fields;
    return EXIT_DONE;
}

int cli_agree(struct cli *cli, bool yes, const char *question, const char *nothing)
{
    char answer[16];
    if (yes)
        return 0;
    if (!isatty(STDIN_FILENO))
        return cli_failf(cli, EXIT_USAGE, "%s: say --yes, as nobody can be asked", nothing);
    fprintf(stderr, "%s [y/N] ", question);
    fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return 0;
    return cli_failf(cli, EXIT_NOT_FOUND, "%s", nothing);
}
