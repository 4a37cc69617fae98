/* cmd_verify.c - satchel verify: whether what is on this device is what was saved. */
#include <inttypes.h>
#include <stdio.h>

#include "args.h"

struct report {
    struct cli *cli;
    json_t *problems;
    bool begun;
};

static void problem(void *context, const char *text)
{
    struct report *report = context;
    if (json_array_append_new(report->problems, cli_json_text(text)) != 0)
        cli_out_of_memory();
    if (report->cli->json)
        return;
    if (!report->begun)
        printf("%sSomething is wrong:%s\n", cli_style(report->cli, STYLE_RED),
               cli_plain(report->cli));
    report->begun = true;
    printf("  %s\n", text);
}

static void print(struct cli *cli, const struct satchel_verification *v)
{
    if (v->problems == 0) {
        printf("%sIn order:%s %" PRIu64 " records in %" PRIu64
               " buckets are as they were saved, integrity_check is clean.\n",
               cli_style(cli, STYLE_GREEN), cli_plain(cli), v->records, v->buckets);
        return;
    }
    if (v->marked)
        puts("\nThe next 'satchel sync' compares with headquarters and brings what differs.");
    else if (v->repairable)
        puts("\nAnother program has this replica open, so nothing was noted. End it and run "
             "'satchel verify' again.");
    if (v->problems > v->repairable_problems)
        puts("\nThe file itself is damaged: run 'satchel sync', so that headquarters has what you "
             "wrote, and enrol into a new directory.");
}

/* For writing, so that what is wrong is noted; beside another program, for reading. */
static int open_replica(struct cli *cli)
{
    struct satchel_error error;
    const struct satchel_options options = {.directory = cli->directory};
    if (satchel_open(&options, &cli->handle, &error) == SATCHEL_OK)
        return EXIT_DONE;
    return cli_open(cli, true);
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct satchel_verification v;
    struct report report = {.cli = cli, .problems = json_array()};
    if (!report.problems)
        cli_out_of_memory();
    int code = args_parse(cli, &command_verify, NULL, 0, &argc, argv, 0, 0);
    if (code == EXIT_DONE)
        code = open_replica(cli);
    if (code == EXIT_DONE && satchel_verify(cli->handle, problem, &report, &v) != SATCHEL_OK)
        code = cli_failed(cli);
    if (code != EXIT_DONE) {
        json_decref(report.problems);
        return code;
    }
    code = v.problems > 0 ? EXIT_STORAGE : EXIT_DONE;
    if (!cli->json) {
        print(cli, &v);
        json_decref(report.problems);
        return code;
    }
    json_t *json =
        json_pack("{s:b, s:I, s:I, s:I, s:b, s:o}", "in_order", v.problems == 0, "buckets",
                  (json_int_t)v.buckets, "records", (json_int_t)v.records, "unreadable",
                  (json_int_t)v.unreadable, "marked", (int)v.marked, "problems", report.problems);
    if (!json)
        cli_out_of_memory();
    cli_print_json(json);
    return code;
}

const struct command command_verify = {
    "verify", "", "whether the records on this device are as they were saved",
    "Reads every record: SQLite's integrity check, and for each bucket (the company's records, a\n"
    "branch's, a person's) the digest that was saved with the last exchange. Needs no network. If\n"
    "something is wrong it says what, notes it, and ends with exit code 5; the next 'satchel "
    "sync'\n"
    "then compares with headquarters, range by range, and brings what differs. Changes that were\n"
    "not sent yet stay as they are.\n"
    "\n"
    "examples:\n"
    "  satchel verify\n"
    "  satchel verify --json\n",
    run};
