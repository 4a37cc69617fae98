/* main.c - the program `satchel`: global options, the table of commands, help. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "term.h"
#include "text.h"

static const struct command *const commands[] = {
    &command_enroll,      &command_sync,      &command_status,  &command_add,
    &command_set,         &command_rm,        &command_restore, &command_show,
    &command_list,        &command_find,      &command_history, &command_sql,
    &command_conflicts,   &command_attention, &command_import,  &command_attach,
    &command_attachments, &command_fetch,     &command_export,  &command_handover,
    &command_server,      &command_tables,    &command_verify,
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const char help_head[] = "satchel - the customer file that travels\n"
                                "\n"
                                "usage: satchel [options] COMMAND [arguments]\n"
                                "\n";

static const char help_tail[] =
    "\n"
    "options, before or after the command:\n"
    "  --dir DIR     the data directory ($SATCHEL_DIR, else ~/.satchel)\n"
    "  --json        results as JSON on stdout, errors too\n"
    "  --quiet       no notes, no progress\n"
    "  --color WHEN  auto (default), always, never\n"
    "  --create      make a replica without a server, to try things out; it can be enrolled later\n"
    "  --help        of a command: its options and examples\n"
    "  --version\n"
    "\n"
    "exit codes: 0 done, 1 not found or nothing to do as asked, 2 usage, 3 refused by a rule or\n"
    "needs attention, 4 network, 5 storage, 6 not authenticated or revoked\n"
    "\n"
    "Reading and writing are local and need no network; 'satchel sync' exchanges with "
    "headquarters.\n"
    "'satchel help COMMAND' says more about one, 'satchel tables' what can be kept.\n";

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static int no_command(struct cli *cli, const char *name)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i]->name;
    const char *near = text_nearest(name, names, COMMAND_COUNT);
    if (near)
        return cli_failf(cli, EXIT_USAGE, "there is no command '%s'; did you mean '%s'?", name,
                         near);
    return cli_failf(cli, EXIT_USAGE, "there is no command '%s'; 'satchel help' lists them", name);
}

static int help(struct cli *cli, const char *name)
{
    if (!name) {
        fputs(help_head, stdout);
        for (size_t i = 0; i < COMMAND_COUNT; i++)
            printf("  %-11s  %s\n", commands[i]->name, commands[i]->summary);
        fputs(help_tail, stdout);
        return EXIT_DONE;
    }
    const struct command *command = find_command(name);
    if (!command)
        return no_command(cli, name);
    printf("satchel %s - %s\n\nusage: satchel %s %s\n\n%s", command->name, command->summary,
           command->name, command->arguments, command->help);
    return EXIT_DONE;
}

struct globals {
    const char *directory, *color;
    bool help, version;
};

/* Takes the global options out of argv. Returns the arguments left, or -1 after telling. */
static int take_globals(struct cli *cli, int argc, char **argv, struct globals *globals)
{
    static const char *const valued[] = {"--dir", "--color"};
    int kept = 0;
    for (int i = 1; i < argc; i++) {
        const char **targets[] = {&globals->directory, &globals->color};
        bool taken = false;
        if (strcmp(argv[i], "--") == 0) {
            while (i < argc)
                argv[kept++] = argv[i++];
            break;
        }
        for (size_t k = 0; k < 2 && !taken; k++) {
            size_t size = strlen(valued[k]);
            if (strncmp(argv[i], valued[k], size) != 0 || (argv[i][size] && argv[i][size] != '='))
                continue;
            taken = true;
            if (argv[i][size] == '=') {
                *targets[k] = argv[i] + size + 1;
            } else if (i + 1 < argc) {
                *targets[k] = argv[++i];
            } else {
                cli_failf(cli, EXIT_USAGE, "%s needs a value", valued[k]);
                return -1;
            }
        }
        if (taken)
            continue;
        if (strcmp(argv[i], "--json") == 0)
            cli->json = true;
        else if (strcmp(argv[i], "--quiet") == 0 || strcmp(argv[i], "-q") == 0)
            cli->quiet = true;
        else if (strcmp(argv[i], "--create") == 0)
            cli->create = true;
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            globals->help = true;
        else if (strcmp(argv[i], "--version") == 0)
            globals->version = true;
        else
            argv[kept++] = argv[i];
    }
    return kept;
}

static int settle_globals(struct cli *cli, const struct globals *globals)
{
    const char *directory = globals->directory ? globals->directory : getenv("SATCHEL_DIR");
    const char *home = getenv("HOME"), *color = globals->color ? globals->color : "auto";
    struct text path = {0};
    if (directory && directory[0])
        text_add(&path, directory);
    else
        text_addf(&path, "%s/.satchel", home ? home : ".");
    cli->directory = text_take(&path);
    cli->width = term_width(STDOUT_FILENO);
    cli->terminal = cli->width > 0;
    if (strcmp(color, "auto") == 0)
        cli->color = cli->terminal && !getenv("NO_COLOR");
    else if (strcmp(color, "always") == 0)
        cli->color = true;
    else if (strcmp(color, "never") != 0)
        return cli_failf(cli, EXIT_USAGE, "--color is auto, always or never, not '%s'", color);
    return EXIT_DONE;
}

static int run(struct cli *cli, const struct globals *globals, int argc, char **argv)
{
    const char *name = argc > 0 ? argv[0] : NULL;
    if (globals->version) {
        printf("satchel %s\n", satchel_version());
        return EXIT_DONE;
    }
    if (name && strcmp(name, "help") == 0)
        return help(cli, argc > 1 ? argv[1] : NULL);
    if (globals->help)
        return help(cli, name);
    if (!name) {
        help(cli, NULL);
        return EXIT_USAGE;
    }
    const struct command *command = find_command(name);
    return command ? command->run(cli, argc - 1, argv + 1) : no_command(cli, name);
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    struct globals globals = {0};
    /* Letters are folded by towlower(): it needs a locale that knows UTF-8, whichever is set. */
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    int count = take_globals(&cli, argc, argv, &globals);
    int result = count < 0 ? EXIT_USAGE : settle_globals(&cli, &globals);
    if (result == EXIT_DONE)
        result = run(&cli, &globals, count, argv);
    satchel_close(cli.handle);
    free((void *)(uintptr_t)cli.directory);
    if (fflush(stdout) != 0 && result == EXIT_DONE)
        result = EXIT_STORAGE;
    return result;
}
