/* satcheld - headquarters of a customer file, or the server of a branch. One file per command. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/text.h"
#include "server/main/command.h"

static const struct {
    const char *name, *about;
    command_fn *run;
} commands[] = {
    {"init", "make a new, empty customer file in a data directory", command_init},
    {"run", "serve it", command_run},
    {"branch", "add and list branches; a ticket for the server of one", command_branch},
    {"user", "add, change and list users; who stands in for whom", command_user},
    {"team", "named lists of people who see the same customers", command_team},
    {"enroll", "make a one-time ticket for a device of a user", command_enroll},
    {"model", "show the data model, and extend it", command_model},
    {"devices", "list the devices", command_devices},
    {"revoke", "refuse a device from now on; its data is erased when it connects", command_revoke},
    {"status", "what the server holds and does", command_status},
    {"backup", "write a verified copy while the server runs", command_backup},
    {"restore", "make the data directory from a backup", command_restore},
    {"compact", "write the database file anew, without what is free in it", command_compact},
    {"verify", "read everything, and check the digests and the audit log", command_verify},
    {"sql", "ask the store a question, read-only", command_sql},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_usage(FILE *to)
{
    fputs("usage: satcheld COMMAND [arguments] [options]\n\n"
          "Headquarters of a customer file that travels: devices bring their changes here, and\n"
          "take away those of the others. Or, with --upstream, the server of a branch, which goes\n"
          "on when the line to headquarters is down.\n\n",
          to);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-10s%s\n", commands[i].name, commands[i].about);
    fputs("\n'satcheld COMMAND --help' tells more. The first steps:\n"
          "  satcheld init --data DIR && satcheld run --data DIR\n"
          "  satcheld user add anna --role admin --data DIR && satcheld enroll anna --data DIR\n\n"
          "Exit codes: 0 done, 1 not found or (verify) something is wrong, 2 wrong usage,\n"
          "3 refused, 4 network, 5 storage.\n",
          to);
}

const char *data_of(const struct common_options *common)
{
    const char *fallback = getenv("SATCHELD_DATA");
    return common->data ? common->data : fallback && *fallback ? fallback : DATA_DEFAULT;
}

int exit_of(enum err code)
{
    switch ((int)code) {
    case ERR_OK: return EXIT_DONE;
    case ERR_NOT_FOUND: return EXIT_NOTHING;
    case ERR_LINK:
    case ERR_TIMEOUT:
    case ERR_CLOSED:
    case ERR_OFFLINE: return EXIT_NETWORK;
    case ERR_NOMEM:
    case ERR_FULL:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_VERSION: return EXIT_STORAGE;
    default: return EXIT_REFUSED;
    }
}

int tell_failure(const struct common_options *common, enum err code, const struct err_info *info)
{
    const char *text = info && info->message[0] ? info->message : err_text(code);
    if (common->json) {
        json_t *answer =
            json_pack("{s:b,s:s,s:s}", "ok", 0, "code", err_name(code), "message", text);
        print_json(answer);
        json_decref(answer);
    } else {
        fprintf(stderr, "satcheld: %s\n", text);
    }
    return exit_of(code);
}

void print_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2));
    puts(text ? text : "{}");
    free(text);
}

const char *when_text(int64_t ms, char out[WHEN_SIZE])
{
    struct buf text;
    buf_init(&text, 64);
    (void)snprintf(out, WHEN_SIZE, "-");
    if (ms != 0 && text_append_instant(&text, ms) == ERR_OK)
        (void)snprintf(out, WHEN_SIZE, "%.10s %.8s", (const char *)text.data,
                       (const char *)text.data + 11);
    buf_done(&text);
    return out;
}

int main(int argc, char **argv)
{
    (void)setlocale(LC_CTYPE, "");
    (void)umask(077); /* stores and backups are for their owner */
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("satcheld 0.1.0");
        return EXIT_DONE;
    }
    const char *names[COMMAND_COUNT + 1] = {NULL};
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i].name;
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    const char *close = nearest(argv[1], names);
    fprintf(stderr, "satcheld: there is no command '%s'%s%s%s\n'satcheld help' lists them.\n",
            argv[1], close ? "; did you mean '" : "", close ? close : "", close ? "'?" : "");
    return EXIT_USAGE;
}
