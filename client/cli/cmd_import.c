/* cmd_import.c - satchel import: files, and a mapping that says what goes where. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "args.h"
#include "import.h"

enum { BATCH_MAX = 50000, STEPS_MAX = 256 };

struct arguments {
    const char *table, *map, *key, *data;
    struct source_options source;
    int file_count;
    char **files;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

/* Where a mapping's file is: among the files given, in --data, beside the mapping. Freed by the
 * caller. */
static char *locate(const struct arguments *arguments, const char *file)
{
    struct text path = {0};
    for (int i = 0; i < arguments->file_count; i++) {
        if (strcmp(base_name(arguments->files[i]), base_name(file)) == 0)
            return text_copy(arguments->files[i]);
    }
    if (file[0] == '/')
        return text_copy(file);
    if (arguments->data) {
        text_addf(&path, "%s/%s", arguments->data, file);
        if (exists(path.data))
            return text_take(&path);
        text_clear(&path);
        text_addf(&path, "%s/%s", arguments->data, base_name(file));
        return text_take(&path);
    }
    text_addf(&path, "%.*s%s", (int)(base_name(arguments->map) - arguments->map), arguments->map,
              file);
    if (exists(path.data))
        return text_take(&path);
    text_done(&path);
    return text_copy(file);
}

/* Reads the file, settles the fields, writes. */
static int run_step(struct import *import, struct step *step, const struct arguments *arguments)
{
    struct cli *cli = import->cli;
    struct source *source = need(malloc(sizeof *source));
    int failed = EXIT_DONE;
    if (!source_read(source, step->path, &step->source))
        failed = cli_failf(cli, EXIT_USAGE, "%s: %s", step->path, source->problem);
    if (!failed && step->mapping)
        failed = step_from_mapping(import, step);
    else if (!failed)
        failed = step_guess(import, step, source, arguments->table);
    if (!failed)
        failed = step_bind(import, step, source);
    if (!failed && arguments->key) {
        char *keys = text_copy(arguments->key);
        const char *names[LOOKUP_COLUMNS_MAX + 1];
        size_t count = 0;
        for (char *save = NULL, *name = strtok_r(keys, ",", &save);
             name && count <= LOOKUP_COLUMNS_MAX; name = strtok_r(NULL, ",", &save))
            names[count++] = name;
        failed = step_set_key(import, step, names, count);
        free(keys);
    }
    if (!failed)
        failed = step_run(import, step, source);
    source_done(source);
    free(source);
    free(step->fields);
    return failed;
}

static const char *option_of(const json_t *mapping, const char *name, const char *given)
{
    const char *own = json_string_value(json_object_get(mapping, name));
    return own ? own : given;
}

/* One step of a mapping, for its own file, or for each file given when it is the only step. */
static int run_mapping_step(struct import *import, json_t *mapping, const char *where,
                            const struct arguments *arguments, bool only)
{
    const char *file = json_string_value(json_object_get(mapping, "file"));
    int count = only && arguments->file_count > 0 ? arguments->file_count : 1;
    if (!file && !(only && arguments->file_count > 0))
        return cli_failf(import->cli, EXIT_USAGE, "%s: \"file\" is missing", where);
    int failed = EXIT_DONE;
    for (int i = 0; i < count && !failed; i++) {
        struct step step = {.mapping = mapping};
        snprintf(step.where, sizeof step.where, "%s", where);
        step.source = (struct source_options){
            .encoding = option_of(mapping, "encoding", arguments->source.encoding),
            .delimiter = option_of(mapping, "delimiter", arguments->source.delimiter),
            .rows = json_string_value(json_object_get(mapping, "rows"))};
        step.path = only && arguments->file_count > 0 ? text_copy(arguments->files[i])
                                                      : locate(arguments, file);
        failed = run_step(import, &step, arguments);
        free(step.path);
    }
    return failed;
}

/* Every file given must be one that a step of the mapping names. */
static int check_files(struct cli *cli, const json_t *steps, const struct arguments *arguments)
{
    for (int i = 0; i < arguments->file_count && json_array_size(steps) > 1; i++) {
        size_t index;
        json_t *step;
        bool named = false;
        json_array_foreach(steps, index, step)
        {
            const char *file = json_string_value(json_object_get(step, "file"));
            named |= file && strcmp(base_name(file), base_name(arguments->files[i])) == 0;
        }
        if (!named)
            return cli_failf(cli, EXIT_USAGE, "%s: %s speaks of no such file", arguments->files[i],
                             arguments->map);
    }
    return EXIT_DONE;
}

/* With files given, a mapping of several steps runs those of these files. */
static bool is_asked_for(const json_t *mapping, const struct arguments *arguments, bool only)
{
    const char *file = json_string_value(json_object_get(mapping, "file"));
    bool asked = only || arguments->file_count == 0;
    for (int i = 0; i < arguments->file_count && file; i++)
        asked |= strcmp(base_name(file), base_name(arguments->files[i])) == 0;
    return asked;
}

static int run_mapping(struct import *import, const struct arguments *arguments, json_t *root)
{
    json_t *steps = json_object_get(root, "imports"), *own = NULL;
    size_t index;
    json_t *step;
    if (json_is_array(root)) {
        steps = root;
    } else if (!steps) {
        own = json_pack("[O]", root);
        steps = own;
    }
    int failed = check_files(import->cli, steps, arguments);
    json_array_foreach(steps, index, step)
    {
        char where[128];
        bool only = json_array_size(steps) == 1;
        snprintf(where, sizeof where, "%s: step %zu", base_name(arguments->map), index + 1);
        if (!failed && is_asked_for(step, arguments, only))
            failed = run_mapping_step(import, step, where, arguments, only);
    }
    json_decref(own);
    return failed;
}

static int run_files(struct import *import, const struct arguments *arguments)
{
    int failed = EXIT_DONE;
    for (int i = 0; i < arguments->file_count && !failed; i++) {
        struct step step = {.path = arguments->files[i], .source = arguments->source};
        snprintf(step.where, sizeof step.where, "%s", base_name(step.path));
        failed = run_step(import, &step, arguments);
    }
    return failed;
}

static int run_all(struct import *import, const struct arguments *arguments)
{
    json_error_t error;
    if (!arguments->map)
        return run_files(import, arguments);
    json_t *root = json_load_file(arguments->map, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return cli_failf(import->cli, EXIT_USAGE, "%s, line %d, column %d: %s", arguments->map,
                         error.line, error.column, error.text);
    int failed = run_mapping(import, arguments, root);
    json_decref(root);
    return failed;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {.source = {.encoding = "auto", .delimiter = "auto"}};
    struct import import = {.cli = cli, .batch = 1000};
    const struct option options[] = {{"table", OPTION_TEXT, &arguments.table},
                                     {"map", OPTION_TEXT, &arguments.map},
                                     {"data", OPTION_TEXT, &arguments.data},
                                     {"key", OPTION_TEXT, &arguments.key},
                                     {"dry-run", OPTION_FLAG, &import.dry_run},
                                     {"delimiter", OPTION_TEXT, &arguments.source.delimiter},
                                     {"encoding", OPTION_TEXT, &arguments.source.encoding},
                                     {"rows", OPTION_TEXT, &arguments.source.rows},
                                     {"errors", OPTION_TEXT, &import.errors_path},
                                     {"batch", OPTION_NUMBER, &import.batch}};
    int failed = args_parse(cli, &command_import, options, sizeof options / sizeof *options, &argc,
                            argv, 0, ARGS_MANY);
    if (failed)
        return failed;
    arguments.file_count = argc;
    arguments.files = argv;
    if (argc == 0 && !arguments.map)
        return args_wrong(cli, &command_import, "which file?");
    if (import.batch == 0 || import.batch > BATCH_MAX)
        return args_wrong(cli, &command_import, "--batch is 1 to %d", BATCH_MAX);
    if (arguments.map && (arguments.table || arguments.source.rows))
        return args_wrong(cli, &command_import, "the mapping says the table and the rows");
    failed = cli_open(cli, false);
    if (failed)
        return failed;
    import.report = report_new(&import);
    if (!import.report)
        return EXIT_STORAGE;
    failed = run_all(&import, &arguments);
    satchel_rollback(cli->handle); /* of a dry run, or after a failure */
    failed = report_done(import.report, failed);
    while (import.lookups) {
        struct lookup *next = import.lookups->next;
        lookup_free(import.lookups);
        import.lookups = next;
    }
    pool_done(&import.pool);
    return failed;
}

const struct command command_import = {
    "import", "FILE... [--table T] [--map FILE] [--key COLUMN] [--dry-run] ...",
    "records out of CSV and JSON files",
    "Importing the same file again changes what has changed in it, and nothing else. Every row "
    "that\n"
    "is not taken is told with its line, column and reason; the counts always add up. Without a\n"
    "mapping, columns are taken by their names; the mapping file is described in IMPORT.md, e.g.\n"
    "\n"
    "  {\"file\": \"deals.csv\", \"table\": \"deal\", \"key\": [\"code\"],\n"
    "   \"columns\": {\"id\": \"code\", \"stage\": {\"to\": \"stage\", \"values\": {\"Closed\": "
    "\"won\"}},\n"
    "     \"account\": {\"to\": \"party\", \"reference\": {\"by\": \"name\", \"missing\": "
    "\"error\"}}},\n"
    "   \"constants\": {\"currency\": \"EUR\"}}\n"
    "\n"
    "  --table T         the table (from the file's name)\n"
    "  --map FILE        what goes where; may name several files, which are taken in that order\n"
    "  --data DIR        where the mapping's files are (beside the mapping)\n"
    "  --key A,B         columns that make a row a record (the table's first key that is there)\n"
    "  --dry-run         says what would happen, writes nothing\n"
    "  --delimiter D     auto, ',', ';', tab or '|'\n"
    "  --encoding E      auto, utf-8, windows-1251, windows-1252 or utf-16\n"
    "  --rows PATH       JSON: where the rows are, e.g. orders or orders.lines\n"
    "  --errors FILE     every row not taken, and every note, as CSV\n"
    "  --batch N         rows per transaction (1000)\n"
    "\n"
    "examples:\n"
    "  satchel import customers.csv --dry-run\n"
    "  satchel import export.csv --table party --key tax_id --errors refused.csv\n"
    "  satchel import --map crm_sales.json --data ~/crm_sales\n",
    run};
