/* cmd_export.c - satchel export: all records as CSV or JSON lines. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "args.h"

static int on_text(void *context, const char *text, size_t size)
{
    return fwrite(text, 1, size, context) == size ? 0 : 1;
}

static int run(struct cli *cli, int argc, char **argv)
{
    bool all = false;
    const char *format = "csv", *path = NULL;
    const struct option options[] = {
        {"all", OPTION_FLAG, &all}, {"format", OPTION_TEXT, &format}, {"out", OPTION_TEXT, &path}};
    int failed = args_parse(cli, &command_export, options, 3, &argc, argv, 0, 1);
    if (failed)
        return failed;
    if (all == (argc == 1))
        return args_wrong(cli, &command_export, "name a table, or --all");
    bool lines = strcmp(format, "jsonl") == 0;
    if (!lines && strcmp(format, "csv") != 0)
        return args_wrong(cli, &command_export, "--format is csv or jsonl, not '%s'", format);
    failed = cli_open(cli, true);
    const struct satchel_table *table = failed || all ? NULL : cli_table(cli, argv[0]);
    if (failed || (!all && !table))
        return failed ? failed : EXIT_USAGE;
    FILE *out = path ? fopen(path, "wb") : stdout;
    if (!out)
        return cli_failf(cli, EXIT_STORAGE, "%s: %s", path, strerror(errno));
    enum satchel_code code =
        satchel_export(cli->handle, table ? table->name : NULL,
                       lines ? SATCHEL_FORMAT_JSON_LINES : SATCHEL_FORMAT_CSV, on_text, out);
    bool written = !ferror(out) && fflush(out) == 0;
    if (path && fclose(out) != 0)
        written = false;
    if (code != SATCHEL_OK)
        return cli_failed(cli);
    if (!written)
        return cli_failf(cli, EXIT_STORAGE, "%s could not be written whole: is the disk full?",
                         path ? path : "the output");
    if (path)
        cli_say(cli, "written to %s", path);
    return EXIT_DONE;
}

const struct command command_export = {
    "export", "TABLE|--all [--format csv|jsonl] [--out FILE]", "all records as CSV or JSON lines",
    "One consistent cut. What 'satchel import' reads again, ids as keys.\n"
    "\n"
    "  --all            every table\n"
    "  --format FORMAT  csv (default) or jsonl\n"
    "  --out FILE       instead of the screen\n"
    "\n"
    "examples:\n"
    "  satchel export party --out customers.csv\n"
    "  satchel export --all --format jsonl --out everything.jsonl\n",
    run};
